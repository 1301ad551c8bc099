// Greedy and beam search over a model's `step`, as `attnlib.decoding` does them.
import { logSoftmax } from "./numbers.mjs";
import { BOS, EOS } from "./text.mjs";

const ALPHA = 0.6;

/** The divisor of a log-probability of so many words, </s> counted (Wu et al. 2016, eq. 14). */
export const lengthPenalty = (length) => ((5 + length) / 6) ** ALPHA;

/** The k largest numbers' indices, the largest first; of equals, the lowest. */
export function top(values, k) {
  const best = [];
  let bar = -Infinity; // what a number must exceed to be among them
  for (let i = 0; i < values.length; i += 1) {
    if (best.length === k && !(values[i] > bar)) continue;
    let at = best.length;
    while (at > 0 && values[i] > values[best[at - 1]]) at -= 1;
    best.splice(at, 0, i);
    if (best.length > k) best.pop();
    if (best.length === k) bar = values[best[k - 1]];
  }
  return best;
}

/** The most probable word at every step. `each`, if given, is told every step as it is taken. */
export function greedy(model, memory, limit, each = () => {}) {
  let [state, id, logprob] = [model.start(memory), BOS, 0];
  const [ids, weights, steps] = [[], [], []];
  for (let t = 0; t <= limit; t += 1) {
    const found = model.step(id, state, memory);
    const log = logSoftmax(found.logits);
    id = t < limit ? top(log, 1)[0] : EOS; // at the limit the end is forced
    logprob += log[id];
    const step = { ...found, id, log };
    steps.push(step);
    each(step, t);
    if (id === EOS) break;
    ids.push(id);
    weights.push(found.weights);
    state = found.state;
  }
  return { ids, weights, steps, logprob, score: logprob / lengthPenalty(ids.length + 1) };
}

/**
 * Keep the `beam` most probable beginnings. One that ends is finished if it is among them; the
 * search is over when `beam` have finished. The best is that of the highest log-probability over
 * its length penalty.
 */
export function beamSearch(model, memory, limit, beam) {
  let rows = [{ total: 0, id: BOS, state: model.start(memory), before: null }];
  const finished = [];
  for (let t = 0; t <= limit; t += 1) {
    const next = rows.flatMap((row) => {
      const { logits, weights, state } = model.step(row.id, row.state, memory);
      const log = logSoftmax(logits);
      const end = log[EOS];
      log[EOS] = -Infinity;
      const words = t < limit ? top(log, beam).sort((a, b) => a - b) : [];
      const go = (id, gain) => ({ total: row.total + gain, id, state, before: row, weights });
      return [...words.filter((id) => id < EOS).map((id) => go(id, log[id])), go(EOS, end), ...words.filter((id) => id > EOS).map((id) => go(id, log[id]))];
    });
    next.sort((a, b) => b.total - a.total); // stable: equals keep their order
    finished.push(...next.slice(0, beam).filter(({ id }) => id === EOS));
    if (finished.length >= beam) break;
    rows = next.filter(({ id }) => id !== EOS).slice(0, beam);
  }
  const found = finished.map((last) => {
    const [ids, weights] = [[], []];
    for (let row = last.before; row.before; row = row.before) {
      ids.unshift(row.id);
      weights.unshift(row.weights);
    }
    return { ids, weights, logprob: last.total, score: last.total / lengthPenalty(ids.length + 1) };
  });
  return found.sort((a, b) => b.score - a.score)[0];
}

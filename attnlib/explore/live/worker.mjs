// What a page asks of the models, and what they answer. It runs beside the page, in a worker.
//
// A request is { id, task, … }; its answers are { id, … } with `found` in the last, `step` in those
// before it, or `error`: a sentence for the reader.
import { Captioner } from "./captioner.mjs";
import { logSoftmax, readTensors, softmax } from "./numbers.mjs";
import { Recurrent } from "./recurrent.mjs";
import { beamSearch, greedy, top } from "./search.mjs";
import { BOS, EOS, Tokenizer, UNK, clean } from "./text.mjs";
import { Transformer } from "./transformer.mjs";

const KINDS = { translator: Recurrent, transformer: Transformer, captioner: Captioner };
const LIKELY = 5; // words shown at each step
const loaded = new Map();

/** What a reader is told, in place of an error's name. */
class Refused extends Error {}

function load({ name, about, weights }) {
  const tokenizer = new Tokenizer(about.tokenizer, about.size);
  loaded.set(name, { about, tokenizer, tensors: readTensors(new Uint8Array(weights)) });
  return { name };
}

function opened(name, edit) {
  if (!loaded.has(name)) throw new Refused(`The model ${name} is not loaded.`);
  const { about, tokenizer, tensors } = loaded.get(name);
  return { about, tokenizer, model: new KINDS[about.kind](tensors, about, edit) };
}

/** A sentence as the model reads it; refused if it is too long, or has no word. */
function read(text, { about, tokenizer }) {
  if (/\p{Surrogate}/u.test(text)) throw new Refused("This text holds half a character: it was cut in the middle of one.");
  const pieces = tokenizer.encode(clean(text, about.signs));
  if (!pieces.length) throw new Refused("There is no word in it.");
  if (pieces.length > about.most) {
    throw new Refused(`This has ${pieces.length} subwords, and ${about.most} are the limit: split it into sentences.`);
  }
  return pieces;
}

const shown = (pieces, tokenizer) => [
  ...pieces.map(({ id, text }) => ({ text: id === UNK ? text : tokenizer.token(id), unknown: id === UNK })),
  { text: tokenizer.token(EOS), unknown: false },
];

/** What is shown of a step: the likeliest next words, and how spread their probabilities are. */
function told({ id, logits, weights, gate }, tokenizer) {
  const log = logSoftmax(logits);
  return {
    id,
    token: tokenizer.token(id),
    p: Math.exp(log[id]),
    likely: top(log, LIKELY).map((i) => [tokenizer.token(i), Math.exp(log[i])]),
    entropy: log.reduce((sum, l) => (l > -Infinity ? sum - l * Math.exp(l) : sum), 0),
    weights: [...weights],
    gate,
  };
}

/** Which heads of a transformer are switched off, as an edit of the weights: their context is zero. */
const without = (off) => {
  const gone = new Set(off);
  return gone.size ? ({ part, block, head }, weights) => (gone.has(`${part} ${block} ${head}`) ? weights.map(() => 0) : weights) : null;
};

/** Translate a sentence; each word is told as it is written, or all at once after a beam search. */
function translate({ name, text, beam = 1, off = [] }, tell) {
  const found = opened(name, without(off));
  const { about, model, tokenizer } = found;
  const pieces = read(text, found);
  const ids = [...pieces.map(({ id }) => id), EOS];
  const [memory, limit, source] = [model.encode(ids), about.longest[0] * ids.length + about.longest[1], shown(pieces, tokenizer)];
  const each = (step) => tell({ name, source, ...told(step, tokenizer) });
  const best = beam === 1 ? greedy(model, memory, limit, each) : beamSearch(model, memory, limit, beam);
  const steps = best.steps ?? forced(model, memory, best.ids);
  return {
    name,
    source,
    text: tokenizer.decode(best.ids),
    steps: steps.map((step) => told(step, tokenizer)),
    score: best.score,
    logprob: best.logprob,
  };
}

/** The steps of a model that is made to write given words, and the end. */
function forced(model, memory, ids) {
  let [state, before] = [model.start(memory), BOS];
  return [...ids, EOS].map((id) => {
    const step = { ...model.step(before, state, memory), id };
    [state, before] = [step.state, id];
    return step;
  });
}

/** The log-probability of given words and the end, with some heads of a transformer off. */
function score({ name, text, ids, off = [] }) {
  const found = opened(name, without(off));
  const memory = found.model.encode([...read(text, found).map(({ id }) => id), EOS]);
  return forced(found.model, memory, ids).reduce((sum, { logits, id }) => sum + logSoftmax(logits)[id], 0);
}

/** A decoder about to write its next word: its model, and what it has read and written so far. */
function underway(name, text, written, edit) {
  const found = opened(name, edit);
  const pieces = read(text, found);
  const memory = found.model.encode([...pieces.map(({ id }) => id), EOS]);
  let [state, before] = [found.model.start(memory), BOS];
  for (const id of written) [state, before] = [found.model.step(before, state, memory).state, id];
  return { ...found, memory, state, before };
}

/** The weights (S,) that a reader has set, or a model's own with none on the positions `forbidden`. */
function setBy({ weights = null, forbidden = [] }, own) {
  if (weights) return Float32Array.from(weights);
  const left = own.map((a, s) => (forbidden.includes(s) ? 0 : a));
  const total = left.reduce((a, b) => a + b, 0);
  return total > 0 ? left.map((a) => a / total) : left;
}

/**
 * The next word after some that are `written`, once as the model would and once with weights (S,) of
 * the reader's on the source, or with none on the positions that are `forbidden`.
 */
function next({ name, text, written = [], ...look }) {
  let now = false; // only the last step is changed
  const changed = (_, own) => (now ? setBy(look, own) : own);
  const { model, memory, state, before, tokenizer } = underway(name, text, written, changed);
  const own = model.step(before, state, memory);
  now = true;
  const other = model.step(before, state, memory);
  const [p, q] = [own, other].map(({ logits }) => softmax(logits));
  const best = [...new Set([...top(q, LIKELY), ...top(p, LIKELY)])];
  return {
    used: [...other.weights],
    words: best.map((id) => ({ token: tokenizer.token(id), own: p[id], other: q[id] })),
  };
}

/** The whole sentence if one step looks as the reader says, and all after it as the model does. */
function onward({ name, text, written = [], ...look }) {
  let now = false;
  const changed = (_, own) => (now ? setBy(look, own) : own);
  const { about, model, memory, state, before, tokenizer } = underway(name, text, written, changed);
  const left = about.longest[0] * memory.length + about.longest[1] - written.length;
  let first = true;
  const from = {
    start: () => state,
    step: (id, at, source) => {
      now = first;
      const step = model.step(first ? before : id, at, source);
      [now, first] = [false, false];
      return step;
    },
  };
  const { ids } = greedy(from, memory, left);
  return { text: tokenizer.decode([...written, ...ids]), changed: written.length };
}

/** What each source word by itself would have the model write next: all weight on it alone. */
function alone({ name, text, written = [] }) {
  let only = null;
  const changed = (_, own) => (only === null ? own : own.map((__, s) => (s === only ? 1 : 0)));
  const { model, memory, state, before, tokenizer } = underway(name, text, written, changed);
  return Array.from({ length: memory.length }, (_, s) => {
    only = s;
    const chances = softmax(model.step(before, state, memory).logits);
    return top(chances, LIKELY).map((id) => [tokenizer.token(id), chances[id]]);
  });
}

/** The caption of a picture, with each word's look and gate. */
function caption({ name, pixels, beam = 1 }) {
  const { about, model, tokenizer } = opened(name);
  const memory = model.encode(Float32Array.from(pixels));
  const best = beam === 1 ? greedy(model, memory, about.most) : beamSearch(model, memory, about.most, beam);
  const steps = best.steps ?? forced(model, memory, best.ids);
  return { name, text: tokenizer.decode(best.ids), steps: steps.map((step) => told(step, tokenizer)), score: best.score };
}

const TASKS = { load, translate, score, next, onward, alone, caption };

/** Answer a request; `post` sends what there is to say. */
export function answer({ id, task, ...request }, post) {
  try {
    post({ id, found: TASKS[task](request, (step) => post({ id, step })) });
  } catch (error) {
    post({ id, error: error instanceof Refused ? error.message : `This failed: ${error.message}` });
  }
}

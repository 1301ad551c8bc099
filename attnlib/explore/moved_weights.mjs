// The reader's own adversary: move the weights of a sentence and keep the prediction; how far can you go?
import { announcer, asText, choices, dataTable, dot, fixed, formula, frame, h, sentenceMenu, setter, unique } from "./base.mjs";

// ---------------------------------------------------------------- the numbers

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Weights divided by their sum. */
export const shares = (weights) => {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((a) => a / total);
};

/** The probability of label 1 under these weights; `alone` has the logit of each word. */
export const predict = (alone, weights) => sigmoid(dot(weights, alone));

/** What one word adds to twice the divergence. */
const part = (a, b) => {
  const middle = (a + b) / 2;
  return (a > 0 ? a * Math.log(a / middle) : 0) + (b > 0 ? b * Math.log(b / middle) : 0);
};

/** The Jensen-Shannon divergence of two rows of weights, in nats. */
export const divergence = (p, q) => Math.max(p.reduce((sum, a, t) => sum + part(a, q[t]), 0) / 2, 0);

/** Give word t the weight `value`; the others share what is left as they shared it before. */
export function moveOne(weights, t, value) {
  const rest = weights.reduce((sum, a, s) => (s === t ? sum : sum + a), 0);
  const others = weights.length - 1;
  return weights.map((a, s) => (s === t ? value : rest > 1e-9 ? (a / rest) * (1 - value) : (1 - value) / others));
}

/**
 * The weights furthest from `own` that change the prediction by at most `epsilon`. At a corner of what
 * is allowed at most two words have any weight, and the divergence is greatest at a corner: all pairs
 * are tried, each at both ends of the stretch that keeps the prediction.
 */
export function furthest(alone, own, epsilon) {
  const p = predict(alone, own);
  const logit = (x) => (x <= 0 ? -Infinity : x >= 1 ? Infinity : Math.log(x / (1 - x)));
  const [low, high] = [logit(p - epsilon), logit(p + epsilon)];
  const room = 16 * Number.EPSILON * (1 + Math.max(...alone.map(Math.abs))); // rounding, as in Python
  const within = (said) => low - room <= said && said <= high + room;
  let best = { weights: own, divergence: 0 };
  const consider = (i, j, share) => {
    const weights = own.map((_, s) => (s === i ? share : 0) + (s === j ? 1 - share : 0));
    const reached = divergence(own, weights);
    if (reached > best.divergence) best = { weights, divergence: reached };
  };
  alone.forEach((first, i) => {
    if (within(first)) consider(i, i, 1);
    alone.forEach((second, j) => {
      if (j >= i) return; // each pair once
      if (first === second) {
        if (within(first)) [0, 1].forEach((share) => consider(i, j, share));
        return;
      }
      const ends = [low, high].map((edge) => (edge - second) / (first - second));
      const [from, to] = [Math.max(Math.min(...ends), 0), Math.min(Math.max(...ends), 1)];
      if (from <= to) [from, to].forEach((share) => consider(i, j, share));
    });
  });
  return best;
}

// ---------------------------------------------------------------- the look

const STYLE = `
.attn-moved { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-moved .settings { display: flex; flex-wrap: wrap; gap: 0.7rem 1.6rem; align-items: end; }
.attn-moved .settings .field { flex: 1 1 15rem; min-width: 0; }
.attn-moved .score {
  display: grid; gap: 0.35rem; position: sticky; top: var(--attn-top, 0px); z-index: 2; padding: 0.6rem 0.8rem;
  border-radius: 10px; background: var(--sunk); border: 1px solid var(--line); border-left: 5px solid var(--value);
}
.attn-moved .score.lost { border-left-color: var(--context); }
.attn-moved .meter { display: grid; grid-template-columns: 9.5rem minmax(2rem, 1fr) 3.2rem; gap: 0.6rem; align-items: center; }
.attn-moved .meter .number { text-align: right; font-weight: 600; }
.attn-moved .meter .what { color: var(--soft); font-size: 0.85em; line-height: 1.2; }
.attn-moved .track { position: relative; display: block; height: 12px; border-radius: 4px; background: var(--card); border: 1px solid var(--line); }
.attn-moved .track .fill { position: absolute; inset: 0 auto 0 0; border-radius: 3px; background: var(--query); }
.attn-moved .lost .change .fill { background: var(--context); }
.attn-moved .track .mark { position: absolute; top: -4px; bottom: -4px; width: 3px; margin-left: -1.5px; background: var(--ink); border-radius: 1px; }
.attn-moved .bars { display: grid; gap: 1px; margin: 0; padding: 0; list-style: none; }
.attn-moved .bars li {
  display: grid; grid-template-columns: minmax(4.5rem, 8rem) minmax(3rem, 1fr) 3.2rem 3.2rem; gap: 0.6rem; align-items: center; margin: 0;
}
.attn-moved .bars .head { color: var(--soft); font-size: 0.8em; line-height: 1.2; }
.attn-moved .bars .head span:nth-child(n + 3), .attn-moved .bars :is(output, .alone) { text-align: right; }
.attn-moved .bars label { margin: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.attn-moved .bars .told label { font-weight: 700; text-decoration: underline; text-underline-offset: 3px; }
.attn-moved .bars .alone { color: var(--soft); font-size: 0.92em; }
.attn-moved .bar { position: relative; height: 24px; }
.attn-moved .bar .shape { position: absolute; inset: 5px 0; border-radius: 3px; background: var(--sunk); border: 1px solid var(--line); overflow: hidden; }
.attn-moved .bar .fill { display: block; height: 100%; background: var(--key); }
.attn-moved .bar .own { position: absolute; top: 2px; bottom: 2px; width: 3px; margin-left: -1.5px; background: var(--ink); border-radius: 1px; pointer-events: none; }
.attn-moved .bar input[type="range"] { position: absolute; inset: 0; height: 24px; }
.attn-moved .bar input[type="range"]::-webkit-slider-runnable-track { background: none; height: 24px; }
.attn-moved .bar input[type="range"]::-webkit-slider-thumb { width: 12px; height: 22px; margin-top: 1px; border-width: 2px; border-radius: 4px; }
.attn-moved .bar input[type="range"]::-moz-range-track { background: none; height: 24px; }
.attn-moved .bar input[type="range"]::-moz-range-progress { background: none; }
.attn-moved .bar input[type="range"]::-moz-range-thumb { width: 8px; height: 18px; border-width: 2px; border-radius: 4px; }
.attn-moved .buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.attn-moved .keys { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; color: var(--soft); font-size: 0.84em; }
.attn-moved .keys .sample { display: inline-block; width: 3px; height: 1em; background: var(--ink); vertical-align: -0.15em; margin-right: 0.4em; }
.attn-moved .keys u { text-underline-offset: 3px; }
@container (max-width: 30rem) {
  .attn-moved .verdict { min-height: 2.9em; }
  .attn-moved .meter { grid-template-columns: 6.6rem minmax(2rem, 1fr) 3rem; }
  .attn-moved .bars li { grid-template-columns: 4.9rem minmax(3rem, 1fr) 2.8rem 2.8rem; gap: 0.4rem; font-size: 0.92em; }
}
`;

// ---------------------------------------------------------------- the figure

const LARGEST = Math.log(2); // of the divergence

/** A line with a name, a track and a number; `show` fills the track to a share and sets marks. */
function meter(name, what) {
  const fill = h("span", { class: "fill" });
  const marks = [h("span", { class: "mark" })];
  const number = h("span", { class: "number" });
  const node = h(
    "div",
    { class: `meter ${name}` },
    h("span", { class: "what" }, what),
    h("span", { class: "track", "aria-hidden": "true" }, fill, marks),
    number,
  );
  const show = (share, mark, text) => {
    fill.style.width = `${100 * Math.min(share, 1)}%`;
    marks[0].style.left = `${100 * Math.min(mark ?? 0, 1)}%`;
    marks[0].style.display = mark === null ? "none" : "block";
    number.textContent = text;
  };
  return { node, show };
}

function render({ model, el }) {
  const id = unique("moved");
  const sentences = model.get("sentences");
  const labels = model.get("labels");
  const models = Object.keys(sentences[0].readings);
  const set = setter(model);
  const best = new Map(); // how far the reader got, by sentence and model
  const shown = new Set(); // where the computer has been asked

  const now = () => {
    const which = model.get("sentence");
    const name = model.get("model");
    const { words, evidence, readings } = sentences[which];
    const own = shares(readings[name].weights);
    const moved = model.get("moved");
    const weights = moved.length === words.length ? shares(moved) : own;
    return { key: `${which} ${name}`, which, name, words, evidence, own, weights, alone: readings[name].alone };
  };
  const put = (weights) => set({ moved: weights.map((a) => Number(a.toFixed(4))) });

  const menu = sentenceMenu(
    sentences.map(({ words }) => asText(words)),
    (sentence) => set({ moved: [], sentence }),
  );
  const pills =
    models.length > 1 &&
    choices({
      legend: "states from",
      name: `${id}-model`,
      options: models.map((name) => [name, name]),
      onpick: (name) => set({ moved: [], model: name }),
    });

  const predicted = h("p", { class: "predicted" });
  const change = meter("change", "change of the prediction (TVD)");
  const far = meter("distance", "distance of the weights (JSD)");
  const verdict = h("p", { class: "verdict" });
  const score = h("div", { class: "score" }, predicted, change.node, far.node, verdict);

  const bars = h("ul", { class: "bars" });
  const compute = h(
    "button",
    {
      type: "button",
      onclick: () => {
        const { key, alone, own } = now();
        shown.add(key);
        put(furthest(alone, own, model.get("epsilon")).weights);
      },
    },
    "Let the computer try",
  );
  const back = h("button", { type: "button", onclick: () => set({ moved: [] }) }, "The model’s own");
  const same = h(
    "button",
    { type: "button", onclick: () => put(now().words.map((_, __, words) => 1 / words.length)) },
    "All the same",
  );
  const table = h("div");
  const voice = announcer();

  let drawn = null; // the sentence and model whose bars stand there
  let rows = [];
  const lay = ({ words, evidence, own, alone }) => {
    rows = words.map((word, t) => {
      const fill = h("span", { class: "fill" });
      const input = h("input", {
        id: `${id}-${t}`,
        type: "range",
        min: 0,
        max: 1,
        step: 0.01,
        oninput: () => put(moveOne(now().weights, t, Number(input.value))),
      });
      const output = h("output", { for: `${id}-${t}` });
      const node = h(
        "li",
        { class: evidence.includes(t) ? "told" : "" },
        h("label", { for: `${id}-${t}`, title: word }, word),
        h(
          "span",
          { class: "bar" },
          h("span", { class: "shape", "aria-hidden": "true" }, fill),
          input,
          h("span", { class: "own", "aria-hidden": "true", style: { left: `calc(6px + ${own[t]} * (100% - 12px))` } }),
        ),
        output,
        h("span", { class: "alone" }, fixed(sigmoid(alone[t]))),
      );
      return { node, fill, input, output };
    });
    const head = h("li", { class: "head", "aria-hidden": "true" }, ["word", "its weight", "", "alone"].map((text) => h("span", {}, text)));
    bars.replaceChildren(head, ...rows.map(({ node }) => node));
  };

  function draw() {
    const state = now();
    const { key, which, name, words, own, weights, alone } = state;
    const epsilon = model.get("epsilon");
    if (drawn !== key) {
      lay(state);
      drawn = key;
    }
    menu.show(which);
    if (pills) pills.show(name);
    const [before, after] = [predict(alone, own), predict(alone, weights)];
    const moved = Math.abs(after - before);
    const away = divergence(own, weights);
    const kept = moved <= epsilon + 5e-5; // four decimals of each weight
    if (kept) best.set(key, Math.max(best.get(key) ?? 0, away));
    const limit = furthest(alone, own, epsilon).divergence;
    predicted.replaceChildren(
      `p(${labels[1]}) `,
      h("strong", { class: "before" }, fixed(before)),
      " → ",
      h("strong", { class: "after" }, fixed(after)),
    );
    score.classList.toggle("lost", !kept);
    change.show(moved / (4 * epsilon || 1), epsilon ? 0.25 : 0, fixed(moved));
    far.show(away / LARGEST, shown.has(key) ? limit / LARGEST : null, fixed(away));
    const reached = `You got to ${fixed(best.get(key) ?? 0)}`;
    verdict.textContent = kept
      ? `Kept within ${epsilon}. ${reached}${shown.has(key) ? `; the furthest there is: ${fixed(limit)}` : ""}, of at most ${fixed(LARGEST)}.`
      : `Too far: the prediction changed by more than ${epsilon}. ${reached} with it kept.`;
    rows.forEach(({ fill, input, output }, t) => {
      fill.style.width = `calc(6px + ${weights[t]} * (100% - 12px))`;
      input.value = weights[t];
      input.setAttribute("aria-valuetext", `${fixed(weights[t])}; the model’s own ${fixed(own[t])}`);
      output.textContent = fixed(weights[t]);
    });
    table.replaceChildren(
      dataTable({
        caption: `${name}: every word`,
        corner: "word",
        columns: ["the model’s weight", "your weight", "logit alone", "prediction alone"],
        rows: words,
        weights: words.map((_, t) => [own[t], weights[t], alone[t], sigmoid(alone[t])]),
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    voice.say(`Distance ${fixed(away)}; prediction ${fixed(after)}, before ${fixed(before)}: ${kept ? "kept" : "too far"}.`);
  }

  frame(
    el,
    "moved",
    "Other weights, the same prediction",
    STYLE,
    h("div", { class: "settings" }, menu.node, pills && pills.node),
    score,
    h("div", { class: "buttons" }, compute, back, same),
    bars,
    h(
      "p",
      { class: "keys" },
      h("span", {}, h("span", { class: "sample", "aria-hidden": "true" }), "the model’s own weight, or the limit"),
      h("span", {}, h("u", {}, "word"), ": evidence"),
      h("span", {}, `alone: p(${labels[1]}) with all the weight there`),
    ),
    h("div", {}, formula("ŷ = σ(Σ_t \\k{a_t} l_t)")),
    h("p", { class: "hint" }, "Drag a bar, or choose it and use the arrow keys: the other words share what is left, as they shared it before."),
    table,
    voice.node,
  );
  const names = ["sentence", "model", "moved", "epsilon"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

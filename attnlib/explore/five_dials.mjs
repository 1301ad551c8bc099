// The five dials: turn score, window, selection, timing, feeding; formula, diagram, paper and weights follow.
import { add, announcer, argmax, average, choices, dataTable, dot, entropy, fixed, formula, frame, h, heatmap, legend, matvec, pick, setter, softmax, svg, uniform, unique } from "./base.mjs";

// ---------------------------------------------------------------- the decoder, three numbers wide

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const tanh = (x) => x.map(Math.tanh);
const norm = (x) => Math.sqrt(dot(x, x));

/** Scores of one query against all keys (S,), for every setting of the score dial. */
export const SCORES = {
  dot: (q, keys) => keys.map((k) => dot(q, k)),
  scaled_dot: (q, keys) => keys.map((k) => dot(q, k) / Math.sqrt(k.length)),
  cosine: (q, keys, { cosine_beta: beta }) => keys.map((k) => (beta * dot(q, k)) / (norm(q) * norm(k))),
  general: (q, keys, { general_W: W }) => keys.map((k) => dot(q, matvec(W, k))),
  additive: (q, keys, { additive_W: W, additive_U: U, additive_v: v }) =>
    keys.map((k) => dot(v, tanh(add(matvec(W, q), matvec(U, k))))),
  concat: (q, keys, { concat_W: W, concat_v: v }) => keys.map((k) => dot(v, tanh(matvec(W, [...q, ...k])))),
  location: (q, keys, { location_W: W }) => matvec(W, q).slice(0, keys.length),
};

/** Which of S keys a query at step t may look at, and what then multiplies their weights. */
export const WINDOWS = {
  everywhere: (q, t, S) => ({ allowed: Array(S).fill(true) }),
  causal: (q, t, S) => ({ allowed: Array.from({ length: S }, (_, s) => s <= t) }),
  monotonic: (q, t, S, { reach: D }) => ({
    centre: t,
    allowed: Array.from({ length: S }, (_, s) => Math.abs(s - t) <= D),
  }),
  predictive: (q, t, S, { reach: D, centre_W: W, centre_v: v }) => {
    const centre = S * sigmoid(dot(v, tanh(matvec(W, q))));
    const away = Array.from({ length: S }, (_, s) => s - centre);
    return {
      centre,
      allowed: away.map((d) => Math.abs(d) <= D),
      factor: away.map((d) => Math.exp(-(d ** 2) / (2 * (D / 2) ** 2))),
    };
  },
};

/** Gumbel noise −log(−log u); half a unit of u's last place keeps it from 0. */
const gumbel = (seed, step) => -Math.log(-Math.log(uniform(seed, step) + 2 ** -33));

/** Which key a row of weights chooses at step t, for every setting of the selection dial; null for none. */
export const SELECTIONS = {
  soft: () => null,
  hard: (weights, t, seed) => pick(weights, uniform(seed, t)),
  gumbel: (weights, t, seed) => argmax(weights.map((a, s) => Math.log(a) + gumbel(seed, t * weights.length + s))),
};

/** One step of a gated recurrent unit without biases: `fromInput` is W x, the rest U and h. */
export function gru(fromInput, U, state) {
  const D = state.length;
  const fromState = matvec(U, state);
  return state.map((old, i) => {
    const r = sigmoid(fromInput[i] + fromState[i]);
    const z = sigmoid(fromInput[D + i] + fromState[D + i]);
    const n = Math.tanh(fromInput[2 * D + i] + r * fromState[2 * D + i]);
    return (1 - z) * n + z * old;
  });
}

/** All steps of the decoder on the given words: a list of { weights, allowed, centre, chosen, context }. */
export function decode(numbers, { score, window, selection, timing, feeding }, seed = 0) {
  const own = (name) => numbers[`${timing}_${name}`];
  const { keys, previous } = numbers;
  let state = tanh(own("summary"));
  let fed = state.map(() => 0);
  const attend = (query, t) => {
    const { allowed, factor, centre } = WINDOWS[window](query, t, keys.length, numbers);
    const averaged = softmax(SCORES[score](query, keys, numbers), allowed);
    const weights = factor ? averaged.map((a, s) => a * factor[s]) : averaged;
    const chosen = SELECTIONS[selection](weights, t, seed);
    return { weights, allowed, centre, chosen, context: chosen === null ? average(weights, keys) : keys[chosen] };
  };
  const advance = (y) => {
    const fromWord = matvec(own("cell_previous"), y);
    const fromInput = feeding === "none" ? fromWord : add(fromWord, matvec(own(`cell_${feeding}`), fed));
    state = gru(fromInput, own("cell_state"), state);
  };
  return previous.map((y, t) => {
    let step;
    if (timing === "before") {
      step = attend(state, t);
      if (feeding === "context") fed = step.context;
      advance(y);
    } else {
      advance(y);
      step = attend(state, t);
    }
    if (feeding === "context") fed = step.context;
    if (feeding === "input") fed = tanh(matvec(own("readout"), [...state, ...step.context, ...y]));
    return step;
  });
}

// ---------------------------------------------------------------- words and formulas

const DIALS = {
  score: [
    ["dot", "dot"],
    ["scaled_dot", "scaled dot"],
    ["general", "general"],
    ["additive", "additive"],
    ["concat", "concat"],
    ["location", "location"],
    ["cosine", "cosine"],
  ],
  window: [
    ["everywhere", "everywhere"],
    ["causal", "causal"],
    ["monotonic", "local-m"],
    ["predictive", "local-p"],
  ],
  selection: [
    ["soft", "soft"],
    ["hard", "hard"],
    ["gumbel", "Gumbel"],
  ],
  timing: [
    ["before", "before the step"],
    ["after", "after the step"],
  ],
  feeding: [
    ["context", "context in the cell"],
    ["input", "input feeding"],
    ["none", "none"],
  ],
};

const SCORE_FORMULA = {
  dot: "e_{ts} = \\q{q_t}^⊤ \\k{k_s}",
  scaled_dot: "e_{ts} = \\q{q_t}^⊤ \\k{k_s} / √D",
  general: "e_{ts} = \\q{q_t}^⊤ W \\k{k_s}",
  additive: "e_{ts} = v^⊤ \\u{tanh}(W \\q{q_t} + U \\k{k_s})",
  concat: "e_{ts} = v^⊤ \\u{tanh}(W [\\q{q_t}; \\k{k_s}])",
  location: "e_t = W \\q{q_t}",
  cosine: "e_{ts} = β \\u{cos}(\\q{q_t}, \\k{k_s})",
};
const WINDOW_FORMULA = {
  everywhere: ["a_{ts} = \\u{softmax}_s(e_{ts})"],
  causal: ["a_{ts} = \\u{softmax}_{s ≤ t}(e_{ts})"],
  monotonic: ["a_{ts} = \\u{softmax}_{|s − t| ≤ D}(e_{ts}), D = 1"],
  predictive: [
    "p_t = S · \\u{sigmoid}(v_p^⊤ \\u{tanh}(W_p \\q{q_t}))",
    "a_{ts} = \\u{softmax}_{|s − p_t| ≤ D}(e_{ts}) · \\u{exp}(−2(s − p_t)^2 / D^2), D = 1",
  ],
};
const SELECTION_FORMULA = {
  soft: ["\\c{c_t} = Σ_s a_{ts} \\v{v_s}"],
  hard: ["\\c{c_t} = \\v{v_s} \\u{with} s \\u{drawn from} a_t"],
  gumbel: [
    "g_{tj} = −\\u{log}(−\\u{log} u_{tj})",
    "\\c{c_t} = \\v{v_s}, s = \\u{argmax}_j(\\u{log} a_{tj} + g_{tj})",
  ],
};
/** The letter of the decoder's state, as in the chapters: Bahdanau's, who asks before, and Luong's. */
const STATE = { before: "s", after: "h" };
const fedName = (timing, feeding) =>
  ({ context: timing === "before" ? "\\c{c_t}" : "\\c{c_{t−1}}", input: "h̃_{t−1}", none: null })[feeding];

/** The decoder step as formulas, in the order in which they are computed: [dial, formula] pairs. */
export function equations({ score, window, selection, timing, feeding }) {
  const fed = fedName(timing, feeding);
  const state = STATE[timing];
  const ask = ["timing", `\\q{q_t} = ${timing === "before" ? `${state}_{t−1}` : `${state}_t`}`];
  const look = [
    ["score", SCORE_FORMULA[score]],
    ...WINDOW_FORMULA[window].map((each) => ["window", each]),
    ...SELECTION_FORMULA[selection].map((each) => ["selection", each]),
  ];
  const step = ["feeding", `${state}_t = \\u{GRU}(${state}_{t−1}, ${fed ? `[y_{t−1}; ${fed}]` : "y_{t−1}"})`];
  const read = ["readout", `h̃_t = \\u{tanh}(W_c [${state}_t; \\c{c_t}; y_{t−1}])`];
  return timing === "before" ? [ask, ...look, step, read] : [step, ask, ...look, read];
}

const ESTIMATOR =
  "Straight-through Gumbel is an estimator alone (Jang et al. 2017; its softmax also Maddison et al. 2017): neither paper has an attention model. " +
  "On the way forward it draws a key by its weight, as hard does; only the gradient on the way back is another.";

/** The papers that sit at this setting of the dials. */
export const papersAt = (papers, dials) =>
  papers.filter(({ settings }) => Object.entries(settings).every(([dial, values]) => values.includes(dials[dial])));

// ---------------------------------------------------------------- the look

const STYLE = `
.attn-dials { display: grid; gap: 1.1rem; grid-template-columns: minmax(0, 1fr); }
.attn-dials .top { display: grid; gap: 0.9rem 1.8rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
.attn-dials .dials { display: grid; gap: 0.85rem; }
.attn-dials .field { display: grid; gap: 0.25rem; justify-items: start; grid-template-columns: minmax(0, 1fr); }
.attn-dials .field label { margin: 0; }
@container (min-width: 37rem) {
  .attn-dials .top { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
  .attn-dials .bottom { grid-template-columns: minmax(0, auto) minmax(0, 1fr); }
}
.attn-dials .pill span { padding: 0.2rem 0.6rem; }
.attn-dials .paper { padding: 0.7rem 1rem; border-radius: 10px; background: var(--sunk); border-left: 4px solid var(--query); min-height: 4.6rem; }
.attn-dials .paper.yours { border-left-color: var(--context); }
.attn-dials .paper strong { font-size: 1.05em; }
.attn-dials .paper p + p { margin-top: 0.3rem; }
.attn-dials .diagram { display: block; width: 100%; max-width: 34rem; margin: 0 auto; border-radius: 10px; background: var(--sunk); }
.attn-dials .diagram text { font-size: 17px; fill: var(--ink); text-anchor: middle; dominant-baseline: central; }
.attn-dials .diagram .math { font-family: "STIX Two Math", Cambria, "Times New Roman", serif; font-style: italic; font-size: 21px; }
.attn-dials .diagram .label { font-size: 15px; fill: var(--soft); }
.attn-dials .box { fill: var(--card); stroke: var(--soft); stroke-width: 1.6; }
.attn-dials .key .box { stroke: var(--key); stroke-width: 2; } .attn-dials .key.out { opacity: 0.45; }
.attn-dials .key.out .box { stroke-dasharray: 3 4; }
.attn-dials .key .box.most { fill: color-mix(in srgb, var(--key) 22%, var(--card)); }
.attn-dials .asks .box { stroke: var(--query); stroke-width: 2.6; }
.attn-dials .ctx .box { stroke: var(--context); stroke-width: 2.2; }
.attn-dials .ghost .box { stroke-dasharray: 5 4; }
.attn-dials .link { stroke: var(--key); stroke-linecap: round; fill: none; }
.attn-dials .link.idle { stroke-dasharray: 1 5; opacity: 0.7; }
.attn-dials .arrow { fill: none; stroke: var(--soft); stroke-width: 1.8; }
.attn-dials .arrow.q { stroke: var(--query); stroke-width: 3; } .attn-dials .arrow.c { stroke: var(--context); stroke-width: 2.4; }
.attn-dials .arrow.fed { stroke-width: 3.4; }
.attn-dials .point { fill: var(--soft); } .attn-dials .point.q { fill: var(--query); } .attn-dials .point.c { fill: var(--context); }
.attn-dials .equations { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.32rem 0.9rem; align-items: baseline; margin: 0; padding: 0; list-style: none; }
.attn-dials .equations li { display: contents; }
.attn-dials .equations .name { text-align: right; }
.attn-dials .equations .formula { overflow-wrap: anywhere; line-height: 1.5; }
.attn-dials .bottom { display: grid; gap: 1rem 2rem; align-items: start; border-top: 1px solid var(--line); padding-top: 1.1rem; }
.attn-dials .map { display: grid; gap: 0.6rem; justify-items: start; min-width: 0; }
.attn-dials .heatmap { grid-template-columns: max-content repeat(var(--columns), 44px); }
.attn-dials .numbers { display: grid; gap: 0.8rem; }
.attn-dials dl { display: grid; grid-template-columns: minmax(0, 1fr) max-content; gap: 0.2rem 1rem; margin: 0; align-items: baseline; }
.attn-dials dt { margin: 0; font-weight: 400; color: var(--soft); font-size: 0.9em; }
.attn-dials dd { margin: 0; text-align: right; font-weight: 600; }
.attn-dials dd.big { font-size: 1.15em; }
@container (max-width: 37rem) {
  .attn-dials :is(.top, .bottom) { display: contents; }
  .attn-dials .map { position: sticky; top: var(--attn-top, 0px); z-index: 2; order: 1; padding-bottom: 0.4rem; background: var(--card); border-bottom: 1px solid var(--line); }
  .attn-dials .heatmap { grid-template-columns: max-content repeat(var(--columns), 32px); }
  .attn-dials .top > .dials { order: 2; } .attn-dials .numbers { order: 3; } .attn-dials > :has(> .data) { order: 4; }
}
`;

// ---------------------------------------------------------------- the diagram

const KEY_X = [66, 182, 298, 414];

function diagram(source, id) {
  const marker = (name) =>
    svg(
      "marker",
      { id: `${id}-${name}`, viewBox: "0 0 10 10", refX: 8.5, refY: 5, markerWidth: 11, markerHeight: 11, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" },
      svg("path", { d: "M0 0 L10 5 L0 10 z", class: `point ${name}` }),
    );
  const arrow = (d, name = "", extra = "") =>
    svg("path", { d, class: `arrow ${name} ${extra}`, "marker-end": `url(#${id}-${name || "plain"})` });
  const math = (x, y, letter, index) =>
    svg(
      "text",
      { class: "math", x, y },
      letter,
      index && svg("tspan", { dy: 6, "font-size": 14 }, index),
    );
  const box = (x, y, w, letter, index, name = "") =>
    svg(
      "g",
      { class: name },
      svg("rect", { class: "box", x: x - w / 2, y: y - 21, width: w, height: 42, rx: 9 }),
      math(x, y, letter, index),
    );
  const keys = source.map((token, s) => {
    const rect = svg("rect", { class: "box", x: KEY_X[s] - 48, y: 32, width: 96, height: 36, rx: 9 });
    return { rect, node: svg("g", { class: "key" }, rect, svg("text", { x: KEY_X[s], y: 51 }, token)) };
  });
  const links = source.map((_, s) => svg("path", { class: "link", d: `M${KEY_X[s]} 70 C${KEY_X[s]} 110 240 90 240 136` }));
  const moving = svg("g");
  const desc = svg("desc", { id: `${id}-desc` });
  const node = svg(
    "svg",
    { class: "diagram", viewBox: "0 0 480 352", role: "img", "aria-label": "Diagram of the decoder step", "aria-describedby": `${id}-desc` },
    desc,
    svg("defs", {}, marker("plain"), marker("q"), marker("c")),
    svg("text", { class: "label", x: 240, y: 16 }, "source: keys and values"),
    links,
    keys.map((key) => key.node),
    moving,
  );
  const show = ({ timing, feeding }, step, word, written) => {
    const one = step.chosen !== null;
    const most = step.weights.indexOf(Math.max(...step.weights));
    source.forEach((_, s) => {
      const shown = one ? s === step.chosen : true;
      keys[s].node.classList.toggle("out", !step.allowed[s]);
      keys[s].rect.classList.toggle("most", s === (one ? step.chosen : most));
      links[s].style.display = step.allowed[s] ? "" : "none";
      links[s].classList.toggle("idle", !shown);
      links[s].setAttribute("stroke-width", shown ? (one ? 5 : 1 + 8 * step.weights[s]) : 1.8);
    });
    const before = timing === "before";
    const y = 252;
    const parts = [
      // the query
      before
        ? arrow(`M70 ${y - 22} C70 178 130 152 213 152`, "q")
        : arrow(`M240 ${y - 22} L240 178`, "q"),
      svg("text", { class: "label", x: before ? 84 : 212, y: before ? 158 : 204 }, "asks"),
      // the recurrence and the word before
      arrow(`M108 ${y} L203 ${y}`),
      arrow(`M240 316 L240 ${y + 23}`),
      // the readout
      arrow(`M264 152 L308 152`, "c"),
      arrow(`M276 ${y} L302 ${y}`),
      arrow(`M338 173 L338 ${y - 23}`, "c"),
      arrow(`M372 ${y} L398 ${y}`),
      // what is fed
      feeding === "context" && before && arrow(`M320 173 C314 202 296 214 270 ${y - 22}`, "c", "fed"),
      feeding === "context" && !before && arrow(`M108 318 C150 318 168 292 204 ${y + 16}`, "c", "fed"),
      feeding === "input" && arrow(`M108 318 C150 318 168 292 204 ${y + 16}`, "", "fed"),
      // the boxes
      svg("g", {}, svg("circle", { class: "box", cx: 240, cy: 152, r: 24 }), math(240, 151, one ? "s~a" : "Σa")),
      box(338, 152, 60, "c", "t", "ctx"),
      box(70, y, 76, STATE[timing], "t−1", before ? "asks" : ""),
      box(240, y, 70, STATE[timing], "t", before ? "" : "asks"),
      box(338, y, 68, "h̃", "t"),
      svg("text", { x: 437, y }, written),
      svg("text", { class: "label", x: 437, y: y + 23 }, "written"),
      svg("text", { x: 240, y: 330 }, word),
      svg("text", { class: "label", x: 296, y: 330, style: { "text-anchor": "start" } }, "the word before"),
      feeding === "context" && !before && box(70, 318, 76, "c", "t−1", "ctx ghost"),
      feeding === "input" && box(70, 318, 76, "h̃", "t−1", "ghost"),
    ];
    moving.replaceChildren(...parts.filter(Boolean));
    const fed = {
      context: before ? "the context goes into the cell of the same step" : "the last step's context goes into the cell",
      input: "the last step's attentional vector goes into the cell",
      none: "nothing of what was attended goes into the cell",
    }[feeding];
    desc.textContent =
      `The state ${before ? "before the step" : "after the step"} asks; ` +
      `${step.allowed.filter(Boolean).length} of ${source.length} keys may be looked at; ` +
      `${one ? `the key of “${source[step.chosen]}” is chosen` : "the context is the average of their values"}; ${fed}.`;
  };
  return { node, show };
}

// ---------------------------------------------------------------- the figure

function render({ model, el }) {
  const id = unique("dials");
  const example = model.get("example");
  const papers = model.get("papers");
  const { source, target, gold, numbers } = example;
  const set = setter(model);
  const dials = Object.entries(DIALS).map(([dial, options]) => [
    dial,
    choices({ legend: dial, name: `${id}-${dial}`, options, knob: true, onpick: (value) => set({ [dial]: value }) }),
  ]);
  let picked = null; // of several papers at one setting the menu goes on showing the one picked
  const preset = h(
    "select",
    {
      id: `${id}-paper`,
      onchange: () => {
        picked = papers[Number(preset.value)];
        set(Object.fromEntries(Object.entries(picked.settings).map(([dial, values]) => [dial, values[0]])));
      },
    },
    h("option", { value: "", disabled: true }, "No paper: yours"), // said of a setting, not picked
    papers.map(({ name }, i) => h("option", { value: i }, name)),
  );
  const paper = h("div", { class: "paper" });
  const picture = diagram(source, id);
  const lines = h("ol", { class: "equations", "aria-label": "The step’s equations, in the order in which they are computed" });
  const map = h("div", { class: "map" });
  const table = h("div");
  const voice = announcer();
  const word = h("strong", { class: "is-query" });
  const [right, spread, total, hits] = ["right", "entropy", "total", "hits"].map((name) =>
    h("dd", { class: name === "total" || name === "hits" ? `${name} big` : name }),
  );
  const centre = h("dd", { class: "centre" });
  const centreName = h("dt", {}, "centre of the window, pₜ");
  const drawn = h("dd", { class: "drawn" });
  const drawnName = h("dt", {}, "drawn word");
  const again = h("button", { type: "button", onclick: () => set({ seed: model.get("seed") + 1 }) }, "Draw again");
  const readout = h(
    "div",
    { class: "numbers" },
    h("p", { class: "name" }, "Is it an alignment? All words"),
    h("dl", {}, h("dt", {}, "mean mass on the right word"), total, h("dt", {}, "argmax is the right word"), hits),
    h("p", { class: "name" }, "The step that writes ", word),
    h("dl", {}, h("dt", {}, "mass on the right word"), right, h("dt", {}, "entropy, nats"), spread, centreName, centre, drawnName, drawn),
    h("div", {}, again),
    h(
      "p",
      { class: "hint" },
      "Rings mark the right words. The decoder is attnlib’s, three numbers wide; its numbers were fitted so that " +
        (example.states
          ? `a decoder that asks ${example.states} the step finds the alignment, and here they stay the same when the timing is turned. `
          : "every setting but a causal window finds the alignment. ") +
        "Tap a row, or move with the up and down arrow keys, to see its step in the diagram.",
    ),
  );

  let heat = null;
  let seen = null; // the settings that the heat map shows
  let steps = null;
  function pickStep(t, focus) {
    if (t !== model.get("step")) set({ step: t });
    if (focus) heat.show(t, true);
  }
  function draw() {
    const setting = Object.fromEntries(Object.keys(DIALS).map((dial) => [dial, model.get(dial)]));
    const t = model.get("step");
    const now = JSON.stringify([setting, model.get("seed")]);
    if (now !== seen) {
      seen = now;
      steps = decode(numbers, setting, model.get("seed"));
      const weights = steps.map((step) => step.weights);
      const describe = (i) => `${target[i]}: ${fixed(weights[i][gold[i]])} on ${source[gold[i]]}, entropy ${fixed(entropy(weights[i]))} nats`;
      heat = heatmap({ source, target, weights, describe, onpick: pickStep, rings: gold.map((s, i) => [i, s]) });
      const hadFocus = map.contains(document.activeElement);
      map.replaceChildren(heat.node, legend());
      if (hadFocus) heat.show(t, true);
      table.replaceChildren(
        dataTable({
          caption: "Weights: words written down, source words across",
          corner: "",
          columns: source,
          rows: target,
          weights,
          open: table.querySelector("details")?.open ?? false,
        }),
      );
      for (const [dial, { show }] of dials) show(setting[dial]);
      lines.replaceChildren(
        ...equations(setting).map(([dial, text]) => h("li", {}, h("span", { class: "name" }, dial), formula(text))),
      );
      const here = papersAt(papers, setting);
      preset.value = here.length ? papers.indexOf(here.includes(picked) ? picked : here[0]) : "";
      paper.classList.toggle("yours", here.length === 0);
      paper.replaceChildren(
        ...(here.length
          ? here.map(({ name, note }) => h("p", {}, h("strong", {}, name), h("br"), h("span", { class: "hint" }, note)))
          : [h("p", {}, h("strong", {}, "No paper: yours"), h("br"), h("span", { class: "hint" }, "No paper that the book reads sits at this setting. It runs all the same."))]),
        ...(setting.selection === "gumbel" ? [h("p", { class: "hint" }, ESTIMATOR)] : []),
      );
      const mass = weights.map((row, i) => row[gold[i]]);
      total.textContent = fixed(mass.reduce((a, b) => a + b, 0) / mass.length);
      const correct = weights.filter((row, i) => row[gold[i]] > 0 && row[gold[i]] === Math.max(...row)).length;
      hits.textContent = `${correct} of ${target.length}`;
      again.hidden = drawn.hidden = drawnName.hidden = steps[0].chosen === null;
      centre.hidden = centreName.hidden = steps[0].centre === undefined;
      voice.say(`${here.length ? here.map((each) => each.name).join(", ") : "No paper: yours"}. Mean mass on the right word ${total.textContent}, ${hits.textContent} right.`);
    }
    const step = steps[t];
    heat.show(t, false);
    picture.show(setting, step, t > 0 ? target[t - 1] : "<s>", target[t]);
    word.textContent = target[t];
    right.textContent = fixed(step.weights[gold[t]]);
    spread.textContent = fixed(entropy(step.weights));
    if (step.centre !== undefined) centre.textContent = fixed(step.centre);
    if (step.chosen !== null) drawn.textContent = source[step.chosen];
  }
  frame(
    el,
    "dials",
    "The five dials of attention",
    STYLE,
    h(
      "div",
      { class: "top" },
      h("div", { class: "field" }, h("label", { for: `${id}-paper` }, "Set all five as in"), preset),
      paper,
      h("div", { class: "dials" }, dials.map(([, { node }]) => node)),
      h("div", { class: "dials" }, picture.node, lines),
    ),
    h("div", { class: "bottom" }, map, readout),
    table,
    voice.node,
  );
  const names = [...Object.keys(DIALS), "step", "seed"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

// Local windows: everywhere, local-m or local-p at one decoder step; move p_t, turn D.
import { announcer, choices, dataTable, fixed, formula, frame, h, setter, slider, softmax, svg, unique } from "./base.mjs";

/**
 * One step: where the window stands, which keys it allows, what multiplies their weights, the
 * softmax over all keys and over the window's, the final weights.
 */
export function attend({ scores, window, centre, reach }) {
  const S = scores.length;
  const keys = Array.from({ length: S }, (_, s) => s);
  const position = {
    everywhere: null,
    monotonic: nearest(centre, S),
    predictive: centre,
  }[window];
  const allowed = keys.map((s) => position === null || Math.abs(s - position) <= reach);
  const factor = keys.map((s) => (window === "predictive" ? gaussian(s - position, reach) : 1));
  const all = softmax(scores);
  const inside = softmax(scores, allowed);
  return { position, allowed, factor, all, inside, weights: inside.map((a, s) => a * factor[s]) };
}

/** The key of S that is nearest to a real position: where local-m stands. */
const nearest = (centre, S) => Math.min(Math.floor(centre + 0.5), S - 1);

/** The factor of local-p, with σ = D / 2. */
export const gaussian = (distance, reach) => Math.exp(-(distance ** 2) / (2 * (reach / 2) ** 2));

/** The derivative of the log weight on the right word with respect to p_t; null where there is none. */
export const pull = ({ position, allowed }, { window, gold, reach }) =>
  window === "predictive" && allowed[gold] ? (4 * (gold - position)) / reach ** 2 : null;

const STYLE = `
.attn-windows { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-windows .settings { display: flex; flex-wrap: wrap; gap: 0.7rem 1.6rem; align-items: end; }
.attn-windows .settings .choices { margin-right: auto; }
.attn-windows .sliders { display: grid; gap: 0.4rem 1.8rem; grid-template-columns: minmax(0, 1fr); }
.attn-windows .slider { grid-template-columns: 6.5rem 1fr 3.2ch; }
.attn-windows [hidden] { display: none !important; }
.attn-windows input:disabled { cursor: default; opacity: 0.4; }
.attn-windows .layout { display: grid; gap: 0.9rem 2rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) {
  .attn-windows .sliders { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .attn-windows .layout { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
}
.attn-windows .picture { min-width: 0; border-radius: 10px; background: var(--sunk); overflow: hidden; }
.attn-windows .picture svg { display: block; user-select: none; -webkit-user-select: none; touch-action: pan-y; }
.attn-windows .moves svg { cursor: ew-resize; }
.attn-windows .picture text { font-size: 14px; fill: var(--ink); text-anchor: middle; dominant-baseline: central; }
.attn-windows .picture .small { font-size: 12px; fill: var(--soft); }
.attn-windows .picture .num { font-size: 11.5px; font-weight: 600; }
.attn-windows .picture :is(.num, .tick, .place, .pull-text) { paint-order: stroke; stroke: var(--sunk); stroke-width: 3.5px; stroke-linejoin: round; }
.attn-windows .picture .word.in { fill: var(--key-ink); font-weight: 600; }
.attn-windows .picture .word.out { fill: var(--soft); opacity: 0.75; }
.attn-windows .picture .upright { text-anchor: end; }
.attn-windows .picture .place { fill: var(--query-ink); font-weight: 600; }
.attn-windows .picture .place .var { font-family: "STIX Two Math", Cambria, "Times New Roman", serif; font-style: italic; font-size: 17px; }
.attn-windows .gridline { stroke: var(--line); stroke-width: 1; }
.attn-windows .base { stroke: var(--soft); stroke-width: 1.4; }
.attn-windows .beyond { stroke: var(--line); stroke-width: 1.5; }
.attn-windows .band { fill: var(--query); opacity: 0.1; }
.attn-windows :is(.bracket, .curve, .stem) { fill: none; stroke: var(--query); stroke-width: 2.6; stroke-linejoin: round; }
.attn-windows .stem { stroke-width: 1.4; }
.attn-windows .off { stroke-dasharray: 2 5; stroke-linecap: round; }
.attn-windows .all { fill: none; stroke: var(--soft); stroke-width: 1.3; stroke-dasharray: 3 2.5; }
.attn-windows .final { fill: var(--key); stroke: var(--ink); stroke-width: 1; }
.attn-windows .cross { stroke: var(--soft); stroke-width: 1.6; stroke-linecap: round; }
.attn-windows .right { fill: none; stroke: var(--ink); stroke-width: 1.8; }
.attn-windows .handle { fill: var(--query); stroke: var(--sunk); stroke-width: 2; }
.attn-windows .moves .handle { cursor: grab; } .attn-windows .moves .hit { cursor: grab; touch-action: none; }
.attn-windows .pull { stroke: var(--ink); stroke-width: 3.2; fill: none; } .attn-windows .pull-head { fill: var(--ink); }
.attn-windows .picture .pull-text { font-weight: 600; font-size: 13px; }
.attn-windows .marks { display: flex; flex-wrap: wrap; gap: 0.25rem 1.3rem; color: var(--soft); font-size: 0.84em; list-style: none; margin: 0; padding: 0; }
.attn-windows .marks li { display: inline-flex; align-items: center; gap: 0.45rem; margin: 0; }
.attn-windows .marks svg { width: 26px; height: 16px; flex: none; }
@container (max-width: 30rem) { .attn-windows .note { min-height: 2.9em; } }
.attn-windows .equations { display: grid; gap: 0.5rem; align-content: start; line-height: 1.7; }
.attn-windows .equations .formula { overflow-wrap: anywhere; }
.attn-windows dl { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, max-content); gap: 0.35rem 1rem; margin: 0; align-items: baseline; }
.attn-windows dt { margin: 0; font-weight: 400; color: var(--soft); font-size: 0.92em; }
.attn-windows dd { margin: 0; text-align: right; font-weight: 600; }
.attn-windows dd.words { grid-column: 1 / -1; text-align: left; font-weight: 400; }
.attn-windows .data { margin-top: 0; }
`;

// ---------------------------------------------------------------- the picture

const MARGIN = 1.6; // columns to either side of the sentence, over which a window may hang
const [NAMES, RAIL, PULL, TOP, FLOOR, WORDS] = [17, 41, 66, 92, 242, 268]; // rows, in pixels
const LETTER = 8; // pixels, about

/** The picture, drawn anew for a width in pixels and a step. */
function picture(source, gold, id) {
  const S = source.length;
  const longest = LETTER * Math.max(...source.map((word) => [...word].length));
  const hatch = svg(
    "pattern",
    { id: `${id}-hatch`, width: 9, height: 9, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { class: "beyond", x1: 0, x2: 0, y1: 0, y2: 9 }),
  );
  const desc = svg("desc", { id: `${id}-desc` });
  const parts = svg("g");
  const node = svg(
    "svg",
    { role: "img", "aria-label": "The window over the source sentence", "aria-describedby": `${id}-desc` },
    desc,
    svg("defs", {}, hatch),
    parts,
  );
  let unit = 1;
  const x = (place) => (place + MARGIN) * unit;
  const y = (share) => FLOOR - share * (FLOOR - TOP);
  const line = (name, x1, y1, x2, y2) => svg("line", { class: name, x1, y1, x2, y2 });
  const text = (name, at, row, ...content) => svg("text", { class: name, x: at, y: row }, ...content);

  /** A stretch of the horizontal axis in up to three pieces: beyond the start, over the sentence, beyond the end. */
  const pieces = (from, to) =>
    [
      [from, Math.min(to, -0.5), "off"],
      [Math.max(from, -0.5), Math.min(to, S - 0.5), ""],
      [Math.max(from, S - 0.5), to, "off"],
    ].filter(([a, b]) => a < b);

  const show = (width, { window, reach }, step, slope) => {
    unit = width / (S - 1 + 2 * MARGIN);
    const upright = longest > unit - 3;
    const room = upright ? longest : 16;
    const height = WORDS + room + 30;
    const { position } = step;
    const moves = position !== null;
    const [from, to] = moves ? [position - reach, position + reach] : [-0.5, S - 0.5];
    const clear = (at, half) => Math.min(Math.max(at, half), width - half); // keeps a text in the picture

    const places = pieces(from, to);
    const curve = ([a, b, off]) => {
      const points = Array.from({ length: 41 }, (_, i) => a + ((b - a) * i) / 40);
      const d = points.map((p) => `${x(p).toFixed(1)} ${y(gaussian(p - position, reach)).toFixed(1)}`);
      return svg("path", { class: `curve ${off}`, d: `M${d.join(" L")}` });
    };
    const columns = source.flatMap((word, s) => {
      const [at, allowed] = [x(s), step.allowed[s]];
      const bar = (name, share, value) =>
        svg("rect", { class: name, x: at - (share * unit) / 2, y: y(value), width: share * unit, height: FLOOR - y(value) });
      const label = upright
        ? { x: at, y: WORDS, transform: `rotate(-90 ${at} ${WORDS})`, style: { "font-size": `${Math.min(14, unit)}px` } }
        : { x: at, y: WORDS + 8 };
      return [
        bar("all", 0.78, step.all[s]),
        allowed && bar("final", 0.5, step.weights[s]),
        !allowed && svg("path", { class: "cross", d: `M${at - 3.5} ${FLOOR - 9} l7 7 m0 -7 l-7 7` }),
        (unit > 17 || s % 5 === 0) && text("small", at, FLOOR + 11, s),
        svg("text", { class: `word ${allowed ? "in" : "out"} ${upright ? "upright" : ""}`, ...label }, word),
      ];
    });
    const heights = unit > 22 ? source.map((_, s) => step.allowed[s] && text("num", x(s), y(step.weights[s]) - 9, step.weights[s].toFixed(2))) : [];
    const wide = upright ? Math.min(unit - 1, 22) : Math.min(unit - 1, LETTER * source[gold].length + 14);
    const outside = `no pull from ${source[gold]}`;
    parts.replaceChildren(
      ...[
        // where there are no words
        [0, x(S - 0.5)].map((left, end) =>
          svg("rect", { x: left, y: TOP, width: end ? width - left : x(-0.5), height: FLOOR - TOP, fill: `url(#${id}-hatch)` }),
        ),
        [0.5, 1].map((share) => line("gridline", x(-0.5), y(share), x(S - 0.5), y(share))),
        svg("rect", { class: "band", x: x(from), y: RAIL, width: x(to) - x(from), height: FLOOR - RAIL }),
        line("base", 0, FLOOR, width, FLOOR),
        columns,
        svg("rect", { class: "right", x: x(gold) - wide / 2, y: WORDS - 7, width: wide, height: room + 13, rx: 6 }),
        text("small", clear(x(gold), 34), WORDS + room + 19, "right word"),
        [0, 0.5, 1].map((share) => text("small tick", clear(x(-0.5) - 13, 11), y(share), share)),
        // the window
        places.map(([a, b, off]) => line(`bracket ${off}`, x(a), RAIL, x(b), RAIL)),
        [from, to].map((end) => line("bracket", x(end), RAIL - 1, x(end), RAIL + 10)),
        window === "predictive" && places.map(curve),
        moves && line("stem", x(position), RAIL, x(position), FLOOR),
        heights,
        !moves && text("place", width / 2, NAMES, `all ${S} keys`),
        moves &&
          text(
            "place",
            clear(x(position), 62),
            NAMES,
            svg("tspan", { class: "var" }, "p"),
            svg("tspan", { class: "var", dy: 4, "font-size": "12" }, "t"),
            svg("tspan", { dy: -4 }, window === "monotonic" ? ` = t = ${position}` : ` = ${fixed(position, 1)}`),
          ),
        slope && arrow(),
        window === "predictive" && slope === null && text("pull-text", clear(x(position), 4 * outside.length), PULL, outside),
        slope === 0 && text("pull-text", clear(x(position), 44), PULL, "pull 0"),
        moves && svg("circle", { class: "handle", cx: x(position), cy: RAIL, r: 9 }),
        moves && svg("circle", { class: "hit", cx: x(position), cy: RAIL, r: 24, fill: "transparent" }),
      ]
        .flat(2)
        .filter(Boolean),
    );
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) {
      node.setAttribute(name, value);
    }
    desc.textContent =
      `${moves ? `The window reaches from ${fixed(from, 1)} to ${fixed(to, 1)}` : "There is no window"}; ` +
      source.map((word, s) => `${word} ${step.allowed[s] ? fixed(step.weights[s]) : "not looked at"}`).join(", ") +
      `; the right word is ${source[gold]}.`;

    function arrow() {
      const towards = Math.sign(slope);
      const start = x(position);
      const length = Math.min(Math.max(Math.abs(slope) * 0.6 * unit, 20), 3 * unit);
      const tip = start + towards * length;
      const words = `pull ${towards > 0 ? "+" : ""}${fixed(slope, 2)}`;
      const after = towards > 0 ? tip + 84 < width : tip > 84; // room beyond the tip
      const side = after ? tip + towards * 42 : start - towards * 42;
      return [
        line("pull", start, PULL, tip - towards * 9, PULL),
        svg("path", { class: "pull-head", d: `M${tip} ${PULL} l${-towards * 12} -6.5 v13 z` }),
        text("pull-text", side, PULL, words),
      ];
    }
  };

  /** The source position under a pointer. */
  const under = (event) => (event.clientX - node.getBoundingClientRect().left) / unit - MARGIN;
  return { node, show, under };
}

/** What the marks of the picture mean, with a sample of each. */
function marks() {
  const sample = (...children) => svg("svg", { viewBox: "0 0 26 16", "aria-hidden": "true" }, children);
  const final = svg("rect", { class: "final", x: 8, y: 2, width: 10, height: 13 });
  const cross = svg("path", { class: "cross", d: "M9 4 l8 8 m0 -8 l-8 8" });
  const entries = {
    final: [final, "weight"],
    all: [svg("rect", { class: "all", x: 5, y: 2, width: 16, height: 13 }), "softmax over all keys"],
    curve: [svg("path", { class: "curve", d: "M1 14 C8 13 9 2 13 2 S18 13 25 14" }), "Gaussian"],
    bracket: [svg("path", { class: "bracket", d: "M2 14 V3 H24 V14" }), "window, dotted where there are no words"],
    cross: [cross, "not looked at"],
  };
  const items = Object.entries(entries).map(([name, [drawn, words]]) => [name, h("li", {}, sample(drawn), words)]);
  const node = h("ul", { class: "marks" }, items.map(([, item]) => item));
  return { node, show: (names) => items.forEach(([name, item]) => (item.hidden = !names.includes(name))) };
}

// ---------------------------------------------------------------- formulas

/** The step's equations with the settings' numbers. */
export function equations({ window, reach: D, gold, scores }, step, slope) {
  const S = scores.length;
  const { position, allowed, inside, factor, weights } = step;
  if (window === "everywhere") {
    return [`a_s = \\u{softmax}_s(e_s), s = 0 … ${S - 1}`, `a_{${gold}} = ${fixed(weights[gold])}`];
  }
  if (window === "monotonic") {
    return [
      `\\q{p_t} = t = ${position}, D = ${D}`,
      `a_s = \\u{softmax}_{|s − ${position}| ≤ ${D}}(e_s)`,
      allowed[gold] ? `a_{${gold}} = ${fixed(weights[gold])}` : `|${gold} − ${position}| > ${D}, \\u{so} a_{${gold}} = 0`,
    ];
  }
  const p = fixed(position, 1);
  return [
    `\\q{p_t} = S · \\u{logistic}(v_p^⊤ \\u{tanh}(W_p \\q{h_t})) = ${p}, S = ${S}`,
    `a_s = \\u{softmax}_{|s − ${p}| ≤ ${D}}(e_s) · \\u{exp}(−(s − ${p})^2 / 2σ^2), σ = D/2 = ${D / 2}`,
    allowed[gold]
      ? `a_{${gold}} = ${fixed(inside[gold])} · ${fixed(factor[gold])} = ${fixed(weights[gold])}`
      : `|${gold} − ${p}| > ${D}, \\u{so} a_{${gold}} = 0`,
    slope !== null && `∂ \\u{log} a_{${gold}} / ∂\\q{p_t} = 4 (${gold} − ${p}) / ${D}^2 = ${fixed(slope)}`,
  ].filter(Boolean);
}

/** How the window lies over the sentence, in words. */
export function lies({ position }, { reach, scores }) {
  if (position === null) return "There is no window: every key is compared, however long the sentence.";
  const ends = [
    [reach - position, "start"],
    [position + reach - (scores.length - 1), "end"],
  ].filter(([by]) => by > 1e-9);
  if (ends.length === 0) return "The whole window lies over the sentence.";
  const where = ends.map(([by, end]) => `over the ${end} of the sentence by ${fixed(by, by % 1 ? 1 : 0)}`);
  return `The window hangs ${where.join(" and ")}: it is cut off there, not moved.`;
}

// ---------------------------------------------------------------- the figure

function render({ model, el }) {
  const id = unique("windows");
  const [source, scores, gold, word] = ["source", "scores", "gold", "word"].map((name) => model.get(name));
  const S = source.length;
  const names = ["window", "centre", "reach"];
  const start = Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const set = setter(model);
  const now = () => ({ scores, gold, ...Object.fromEntries(names.map((name) => [name, model.get(name)])) });

  // ---- the controls
  const windows = choices({
    legend: "window",
    name: `${id}-window`,
    options: [
      ["everywhere", "everywhere"],
      ["monotonic", "local-m"],
      ["predictive", "local-p"],
    ],
    onpick: (window) => set({ window }),
  });
  const real = slider({ label: "centre pₜ", min: 0, max: S, step: 0.1, say: (p) => fixed(p, 1), oninput: (centre) => set({ centre }) });
  const step = slider({ label: "centre pₜ = t", min: 0, max: S - 1, step: 1, say: (t) => fixed(t, 0), oninput: (centre) => set({ centre }) });
  const wide = slider({ label: "reach D", min: 1, max: S, step: 1, say: (D) => fixed(D, 0), oninput: (reach) => set({ reach }) });
  const reset = h("button", { type: "button", onclick: () => set(start) }, "Start again");

  // ---- the picture
  const drawing = picture(source, gold, id);
  const ruler = h("div"); // as wide as the picture may be
  const stage = h("div", { class: "picture" }, ruler, drawing.node);
  let held = null;
  const put = (event) => {
    const { window } = now();
    if (window === "everywhere") return;
    const [last, grain] = window === "monotonic" ? [S - 1, 1] : [S, 10];
    set({ centre: Math.min(Math.max(Math.round(drawing.under(event) * grain) / grain, 0), last) });
  };
  let touched = null; // where a finger came down beside the handle: it may scroll the page, or tap
  const handlers = {
    pointerdown: (event) => {
      const scrolls = event.pointerType === "touch" && !event.target.classList.contains("hit");
      touched = scrolls ? [event.clientX, event.clientY] : null;
      if (scrolls) return;
      held = event.pointerId;
      drawing.node.setPointerCapture(held);
      event.preventDefault();
      put(event);
    },
    pointermove: (event) => event.pointerId === held && put(event),
    pointerup: (event) => {
      if (touched && Math.hypot(event.clientX - touched[0], event.clientY - touched[1]) < 10) put(event);
      held = touched = null;
    },
    pointercancel: () => (held = touched = null),
  };
  for (const [name, handler] of Object.entries(handlers)) drawing.node.addEventListener(name, handler);

  // ---- the numbers
  const number = (name) => h("dd", { class: name });
  const [compared, total, right, gradient] = ["compared", "total", "on-gold", "gradient"].map(number);
  const divided = h("span", {}, ": they are not divided again");
  const readout = h(
    "dl",
    {},
    h("dt", {}, "keys compared"),
    compared,
    h("dt", {}, "sum of the weights", divided),
    total,
    h("dt", {}, "weight on the right word, ", h("strong", { class: "is-key" }, source[gold])),
    right,
    h("dt", {}, "its pull: the slope of its log weight"),
    gradient,
  );
  const lines = h("div", { class: "equations" });
  const note = h("p", { class: "note hint" });
  const key = marks();
  const table = dataTable({
    caption: "Every source word at this step",
    corner: "word",
    columns: ["score", "softmax, all keys", "softmax, window", "Gaussian", "weight"],
    rows: source.map((each, s) => `${s} ${each}`),
    weights: source.map(() => Array(5).fill(0)),
  });
  const cells = [...table.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td")]);
  const voice = announcer();

  // ---- drawing
  let width = 640;
  function draw() {
    const setting = now();
    const { window, centre, reach } = setting;
    const result = attend(setting);
    const slope = pull(result, setting);
    const sum = result.weights.reduce((a, b) => a + b, 0);
    windows.show(window);
    real.show(centre);
    step.show(nearest(centre, S));
    wide.show(reach);
    real.node.hidden = window === "monotonic";
    step.node.hidden = window !== "monotonic";
    for (const { node } of [real, wide]) node.querySelector("input").disabled = window === "everywhere";
    stage.classList.toggle("moves", window !== "everywhere");
    drawing.show(width, setting, result, slope);
    key.show(["final", "all", "bracket", window === "predictive" && "curve", result.allowed.includes(false) && "cross"]);
    note.textContent = lies(result, setting);
    compared.textContent = `${result.allowed.filter(Boolean).length} of ${S}`;
    total.textContent = fixed(sum);
    divided.hidden = window !== "predictive";
    right.textContent = fixed(result.weights[gold]);
    gradient.classList.toggle("words", slope === null);
    gradient.textContent =
      slope !== null
        ? fixed(slope)
        : {
            everywhere: "no pₜ",
            monotonic: "nothing to learn: pₜ is the step’s own number",
            predictive: `none: ${source[gold]} is not in the window`,
          }[window];
    lines.replaceChildren(...equations(setting, result, slope).map((text) => h("div", {}, formula(text))));
    source.forEach((_, s) =>
      [scores, result.all, result.inside, result.factor, result.weights].forEach((column, i) => {
        cells[s][i].textContent = fixed(column[s]);
      }),
    );
    voice.say(
      `${compared.textContent} keys compared; the weights sum to ${total.textContent}; ` +
        `${right.textContent} on the right word, ${source[gold]}. ` +
        (window === "predictive" ? `Pull ${gradient.textContent}. ` : "") +
        note.textContent,
    );
  }
  const watch = new ResizeObserver(([{ contentRect }]) => {
    const wanted = Math.floor(contentRect.width);
    if (wanted < 1 || wanted === width) return;
    width = wanted;
    requestAnimationFrame(draw);
  });
  frame(
    el,
    "windows",
    "Local windows: move the centre and turn the reach",
    STYLE,
    h("div", { class: "settings" }, windows.node, reset),
    h("div", { class: "sliders" }, real.node, step.node, wide.node),
    h(
      "p",
      {},
      "The decoder ",
      word ? ["writes ", h("strong", { class: "is-query" }, word)] : "takes a step",
      "; the right word to look at is ",
      h("strong", { class: "is-key" }, source[gold]),
      `, at ${gold}.`,
    ),
    stage,
    key.node,
    note,
    h("div", { class: "layout" }, lines, readout),
    h(
      "p",
      { class: "hint" },
      "Drag the window by its dot, tap where it should stand, or move the sliders with the arrow keys. " +
        "The arrow shows which way, and how hard, the right word pulls pₜ. Wrong words push it; that is not drawn.",
    ),
    table,
    voice.node,
  );
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  watch.observe(ruler);
  return () => {
    watch.disconnect();
    names.forEach((name) => model.off(`change:${name}`, draw));
  };
}

export default { render };

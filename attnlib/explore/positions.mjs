// Positions: sinusoidal vectors or rotary turns, their hands, and what a dot product of two knows.
import { announcer, choices, dataTable, dot, fixed, formula, frame, h, setter, slider, svg, uniform, unique } from "./base.mjs";

/** The angle (D/2,) by which one step turns each hand. */
export const frequencies = (width, base) => Array.from({ length: width / 2 }, (_, i) => base ** ((-2 * i) / width));

/** A query or key (D,) of hands of length 1; those of the key lie near those of the query. */
export const madeUp = (which, width) =>
  Array.from({ length: width / 2 }, (_, i) => {
    const angle = 2 * Math.PI * uniform(0, i) + (which === "key" ? 2 * uniform(1, i) - 1 : 0);
    return [Math.cos(angle), Math.sin(angle)];
  }).flat();

/** The vector (D,) of a query or a key at a position: x and y of each hand's tip. */
export function vector({ kind, width, base }, which, position) {
  const angles = frequencies(width, base).map((frequency) => position * frequency);
  if (kind === "sinusoidal") return angles.flatMap((angle) => [Math.sin(angle), Math.cos(angle)]);
  const given = madeUp(which, width);
  return angles.flatMap((angle, i) => {
    const [x, y, cos, sin] = [given[2 * i], given[2 * i + 1], Math.cos(angle), Math.sin(angle)];
    return [x * cos - y * sin, x * sin + y * cos];
  });
}

/** The dot product of the vectors at two positions. */
export const score = (setting, query, key) => dot(vector(setting, "query", query), vector(setting, "key", key));

/** The product of each hand of the query with the key's (D/2,): the cosine between the two. */
export const products = (query, key) =>
  Array.from({ length: query.length / 2 }, (_, i) => query[2 * i] * key[2 * i] + query[2 * i + 1] * key[2 * i + 1]);

const FAR = 1000; // positions: farther than any that is drawn

/** Pairs that lie as far from each other: moved to the first position, to the last, and far beyond. */
export function shifted({ longest, query, key }) {
  const moves = [-Math.min(query, key), longest - 1 - Math.max(query, key), FAR];
  return moves.map((by) => [query + by, key + by]);
}

// ---------------------------------------------------------------- colours of numbers from -1 to 1

const [LOW, MIDDLE, HIGH] = [[0, 114, 178], [247, 247, 247], [213, 94, 0]]; // blue, nearly white, vermilion

/** The colour of a number between -1 and 1. */
export const diverging = (x) => {
  const end = x < 0 ? LOW : HIGH;
  return `rgb(${MIDDLE.map((m, c) => Math.round(m + Math.min(Math.abs(x), 1) * (end[c] - m))).join(" ")})`;
};

const STYLE = `
.attn-positions { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-positions .settings { display: flex; flex-wrap: wrap; gap: 0.7rem 1.6rem; align-items: end; justify-content: space-between; }
.attn-positions .sliders { display: grid; gap: 0.4rem 1.8rem; grid-template-columns: minmax(0, 1fr); }
.attn-positions .slider { grid-template-columns: 6.3rem 1fr 5.5ch; }
.attn-positions .layout { display: grid; gap: 1rem 2rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) {
  .attn-positions .sliders { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .attn-positions .layout { grid-template-columns: minmax(0, 1fr) minmax(15rem, 19rem); }
}
.attn-positions .picture { position: relative; min-width: 0; border-radius: 10px; background: var(--sunk); overflow: hidden; }
.attn-positions .picture canvas { position: absolute; image-rendering: pixelated; }
.attn-positions .picture svg { position: relative; display: block; user-select: none; -webkit-user-select: none; touch-action: pan-y; cursor: ew-resize; }
.attn-positions .picture text { font-size: 12px; fill: var(--soft); text-anchor: middle; dominant-baseline: central; }
.attn-positions .picture .left { text-anchor: start; } .attn-positions .picture .right { text-anchor: end; }
.attn-positions .picture .at { font-size: 13px; font-weight: 700; }
.attn-positions .picture :is(.at, .value, .tick) { paint-order: stroke; stroke: var(--sunk); stroke-width: 4px; stroke-linejoin: round; }
.attn-positions .picture .at.of-query { fill: var(--query-ink); } .attn-positions .picture :is(.at.of-key, .value) { fill: var(--key-ink); }
.attn-positions .picture .value { font-size: 13px; font-weight: 700; }
.attn-positions .axis { stroke: var(--line); stroke-width: 1; }
.attn-positions .zero { stroke: var(--soft); stroke-width: 1.2; }
.attn-positions .curve { fill: none; stroke: var(--ink); stroke-width: 1.8; stroke-linejoin: round; }
.attn-positions .mark { fill: none; stroke-width: 2; } .attn-positions .stem { stroke-width: 1.4; }
.attn-positions .of-query { stroke: var(--query); } .attn-positions .of-key { stroke: var(--key); }
.attn-positions .of-key.stem { stroke-dasharray: 5 3; }
.attn-positions .under { fill: none; stroke: var(--card); stroke-width: 4.5; }
.attn-positions .dots circle { fill: var(--ink); } .attn-positions .point { fill: var(--key); stroke: var(--ink); stroke-width: 1.5; }
.attn-positions .scale { display: inline-grid; grid-template-columns: 9rem auto; gap: 0.1rem 0.6rem; color: var(--soft); font-size: 0.8em; }
.attn-positions .scale .shades {
  height: 10px; align-self: center; border-radius: 3px; border: 1px solid var(--cell-edge);
  background: linear-gradient(90deg, ${[LOW, MIDDLE, HIGH].map((c) => `rgb(${c.join(" ")})`).join(", ")}) border-box;
}
.attn-positions .clocks { display: grid; gap: 0.6rem 0.4rem; grid-template-columns: repeat(auto-fill, minmax(4.3rem, 1fr)); }
.attn-positions .clocks.many { grid-template-columns: repeat(auto-fill, minmax(3.2rem, 1fr)); }
.attn-positions .clock { display: grid; justify-items: center; font-size: 0.78em; line-height: 1.3; color: var(--soft); }
.attn-positions .clock svg { width: 100%; max-width: 4rem; display: block; }
.attn-positions .clock strong { color: var(--ink); font-weight: 600; }
.attn-positions .face { fill: var(--sunk); stroke: var(--line); stroke-width: 2; }
.attn-positions .hand { stroke-width: 5; stroke-linecap: round; } .attn-positions .hand.of-query { stroke-width: 8; }
.attn-positions .titled { display: grid; gap: 0.5rem; min-width: 0; }
.attn-positions .readout { display: grid; gap: 0.8rem; padding: 0.9rem 1rem; border-radius: 10px; background: var(--sunk); }
.attn-positions .equations { display: grid; gap: 0.3rem; line-height: 1.7; overflow-wrap: anywhere; }
.attn-positions dl { display: grid; grid-template-columns: minmax(0, 1fr) max-content; gap: 0.25rem 1rem; margin: 0; align-items: baseline; }
.attn-positions dt { margin: 0; font-weight: 400; color: var(--soft); font-size: 0.9em; }
.attn-positions dd { margin: 0; text-align: right; font-weight: 600; }
.attn-positions .whole { border-top: 1px solid var(--line); padding-top: 0.8rem; display: grid; gap: 0.4rem; }
.attn-positions .data { margin-top: 0; }
`;

// ---------------------------------------------------------------- the picture

const [LEFT, RIGHT, TOP] = [34, 12, 26]; // margins, in pixels
const [BETWEEN, CURVE, BOTTOM] = [44, 130, 40]; // heights, in pixels

/** A heat map of positions across, and below it, over the same positions, the curve. */
function picture() {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const parts = svg("g");
  const node = svg("svg", { role: "img" }, parts);
  const line = (name, x1, y1, x2, y2) => svg("line", { class: name, x1, y1, x2, y2 });
  const text = (name, x, y, ...content) => svg("text", { class: name, x, y }, ...content);
  let [unit, T] = [1, 1];

  const show = (width, { longest, query, key, width: D }, vectors, curve) => {
    T = longest;
    unit = (width - LEFT - RIGHT) / T;
    const tall = Math.min(Math.max(8 * D, 64), 192);
    const floor = TOP + tall + BETWEEN + CURVE;
    const x = (position) => LEFT + (position + 0.5) * unit;
    const most = D / 2;
    const y = (value) => floor - ((value / most + 1) / 2) * CURVE;
    canvas.width = T;
    canvas.height = D;
    const pen = canvas.getContext("2d");
    vectors.forEach((row, t) =>
      row.forEach((value, i) => {
        pen.fillStyle = diverging(value);
        pen.fillRect(t, i, 1, 1);
      }),
    );
    for (const [name, value] of Object.entries({ left: LEFT, top: TOP, width: unit * T, height: tall })) {
      canvas.style.setProperty(name, `${value}px`);
    }
    const grain = [1, 2, 5, 10, 20, 50, 100].find((each) => each * unit > 34) ?? 100;
    const every = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((i) => i % grain === 0);
    const clear = (at, half) => Math.min(Math.max(at, half), width - half); // keeps a text in the picture
    const column = (name, position) => [
      svg("rect", { class: "under", x: LEFT + position * unit, y: TOP, width: unit, height: tall }),
      svg("rect", { class: `mark ${name}`, x: LEFT + position * unit, y: TOP, width: unit, height: tall }),
      line(`stem ${name}`, x(position), TOP + tall, x(position), floor),
    ];
    const [halfQuery, halfKey] = [43, 36]; // of their names, in a wide font too
    let [nameQuery, nameKey] = [clear(x(query), halfQuery), clear(x(key), halfKey)];
    if (Math.abs(nameQuery - nameKey) < halfQuery + halfKey) { // they would overlap: side by side
      const apart = (key < query ? 1 : -1) * (halfQuery + halfKey);
      nameKey = clear(clear((x(query) + x(key) + apart) / 2, halfQuery) - apart, halfKey);
      nameQuery = nameKey + apart;
    }
    const value = curve[key];
    parts.replaceChildren(
      ...[
        text("right", LEFT - 6, TOP + 7, "0"),
        text("right", LEFT - 6, TOP + tall - 7, D - 1),
        text("left", LEFT, TOP + tall + 28, "position"),
        [1, 0, -1].map((share) => [
          line(share === 0 ? "zero" : "axis", LEFT, y(share * most), width - RIGHT, y(share * most)),
          text("right", LEFT - 6, y(share * most), fixed(share * most, 0)),
        ]),
        column("of-query", query),
        column("of-key", key),
        every(0, T - 1).map((position) => text("tick", x(position), TOP + tall + 12, position)),
        text("at of-query", nameQuery, 13, `query ${query}`),
        text("at of-key", nameKey, 13, `key ${key}`),
        svg("path", { class: "curve", d: `M${curve.map((v, t) => `${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join(" L")}` }),
        unit > 5 && svg("g", { class: "dots" }, curve.map((v, t) => svg("circle", { cx: x(t), cy: y(v), r: 2 }))),
        svg("circle", { class: "point", cx: x(key), cy: y(value), r: 5 }),
        text("value", clear(x(key) + 30, 26), y(0) + (value < 0 ? -14 : 16), fixed(value)),
        every(-query, T - 1 - query).map((each) => text("tick", x(query + each), floor + 12, fixed(each, 0))),
        text("left", LEFT, floor + 28, "difference, key − query"),
      ]
        .flat(2)
        .filter(Boolean),
    );
    const height = floor + BOTTOM;
    for (const [name, each] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) node.setAttribute(name, each);
  };

  /** The position under a pointer. */
  const under = (event) => {
    const place = (event.clientX - node.getBoundingClientRect().left - LEFT) / unit;
    return Math.min(Math.max(Math.floor(place), 0), T - 1);
  };
  return { canvas, node, show, under };
}

/** One hand of each of two positions on a face; their tips are pairs of numbers, y up. */
function clock([qx, qy], [kx, ky], wavelength, product) {
  const hand = (name, x, y) => svg("line", { class: `hand ${name}`, x1: 0, y1: 0, x2: 40 * x, y2: -40 * y });
  return h(
    "div",
    { class: "clock" },
    svg(
      "svg",
      { viewBox: "-50 -50 100 100", "aria-hidden": "true" },
      svg("circle", { class: "face", r: 46 }),
      hand("of-query", qx, qy),
      hand("of-key", kx, ky),
    ),
    h("span", {}, `period ${wavelength < 1000 ? fixed(wavelength, 1) : fixed(wavelength, 0)}`),
    h("strong", {}, fixed(product, 2)),
  );
}

// ---------------------------------------------------------------- the figure

const FINEST = 10; // steps of the base's slider for each power of ten
const baseAt = (step) => Number((10 ** (step / FINEST)).toPrecision(3));
const stepOf = (base) => Math.round(FINEST * Math.log10(base));

function render({ model, el }) {
  const id = unique("positions");
  const longest = model.get("longest");
  const names = ["kind", "width", "base", "query", "key"];
  const start = Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const set = setter(model);
  const now = () => ({ longest, ...Object.fromEntries(names.map((name) => [name, model.get(name)])) });

  // ---- the controls
  const kinds = choices({
    legend: "Positions",
    name: `${id}-kind`,
    options: [
      ["sinusoidal", "sinusoidal"],
      ["rotary", "rotary"],
    ],
    onpick: (kind) => set({ kind }),
  });
  const reset = h("button", { type: "button", onclick: () => set(start) }, "Start again");
  let spoken = start.base; // the base as it is, also between two steps of its slider
  const bases = slider({ label: "base", min: 0, max: 6 * FINEST, step: 1, say: () => spoken.toLocaleString("en", { maximumFractionDigits: 2 }), oninput: (step) => set({ base: baseAt(step) }) });
  const widths = slider({ label: "width D", min: 2, max: 64, step: 2, say: (D) => fixed(D, 0), oninput: (width) => set({ width }) });
  const position = (label, name) =>
    slider({ label, min: 0, max: longest - 1, step: 1, say: (t) => fixed(t, 0), oninput: (t) => set({ [name]: t }) });
  const [queries, keys] = [position("query position", "query"), position("key position", "key")];

  // ---- the picture
  const drawing = picture();
  const ruler = h("div"); // as wide as the picture may be
  const stage = h("div", { class: "picture" }, ruler, drawing.canvas, drawing.node);
  let held = null; // [pointer, which of the two it moves]
  let touched = null; // where a finger came down: it may scroll the page, or tap
  const put = (event, which) => set({ [which]: drawing.under(event) });
  const nearest = (event) => {
    const { query, key } = now();
    const at = drawing.under(event);
    return Math.abs(at - query) < Math.abs(at - key) ? "query" : "key";
  };
  const handlers = {
    pointerdown: (event) => {
      touched = event.pointerType === "touch" ? [event.clientX, event.clientY] : null;
      if (touched) return;
      held = [event.pointerId, nearest(event)];
      drawing.node.setPointerCapture(event.pointerId);
      event.preventDefault();
      put(event, held[1]);
    },
    pointermove: (event) => event.pointerId === held?.[0] && put(event, held[1]),
    pointerup: (event) => {
      if (touched && Math.hypot(event.clientX - touched[0], event.clientY - touched[1]) < 10) put(event, nearest(event));
      held = touched = null;
    },
    pointercancel: () => (held = touched = null),
  };
  for (const [name, handler] of Object.entries(handlers)) drawing.node.addEventListener(name, handler);
  const what = h("p", { class: "name" });
  const scale = h(
    "div",
    { class: "scale", role: "img", "aria-label": "Colour scale: from −1, blue, over 0, white, to 1, vermilion" },
    h("span", { class: "shades" }),
    h("span", { class: "ticks" }, h("span", {}, "−1"), h("span", {}, "0"), h("span", {}, "1")),
    h("span", {}, "a number of the vector"),
  );

  // ---- the hands, and the numbers
  const clocks = h("div", { class: "clocks", role: "img" });
  const hands = h("p", { class: "name" });
  const lines = h("div", { class: "equations" });
  const number = (name) => h("dd", { class: name });
  const [distance, product, most] = ["distance", "product", "most"].map(number);
  const others = h("dl", { class: "others" });
  const apart = h("p", { class: "hint apart" });
  const numbers = h(
    "div",
    { class: "readout" },
    lines,
    h(
      "dl",
      {},
      h("dt", {}, "difference, key − query"),
      distance,
      h("dt", {}, "dot product"),
      product,
      h("dt", {}, "most it could be, D/2"),
      most,
    ),
    h("div", { class: "whole" }, h("p", { class: "name" }, "Both moved, the difference kept"), others, apart),
  );
  const table = h("div");
  const voice = announcer();

  // ---- drawing
  let width = 640;
  function draw() {
    const setting = now();
    const { kind, width: D, base, query, key } = setting;
    const [q, k] = [vector(setting, "query", query), vector(setting, "key", key)];
    const vectors = Array.from({ length: longest }, (_, t) => vector(setting, "key", t));
    const curve = vectors.map((each) => dot(q, each));
    const turns = frequencies(D, base);
    const parts = products(q, k);
    const value = dot(q, k);
    kinds.show(kind);
    spoken = base;
    bases.show(stepOf(base));
    widths.show(D);
    queries.show(query);
    keys.show(key);
    drawing.show(width, setting, vectors, curve);
    const rotary = kind === "rotary";
    what.textContent = rotary
      ? "A made-up key turned to every position, its D numbers down; below, its dot product with the query"
      : "The vector of every position, its D numbers down; below, its dot product with that of the query";
    drawing.node.setAttribute(
      "aria-label",
      `${what.textContent}, at ${query}: ${fixed(value)} with that at ${key}, from ${fixed(Math.min(...curve))} to ${fixed(Math.max(...curve))} over all ${longest}`,
    );
    clocks.classList.toggle("many", D > 32);
    clocks.replaceChildren(...turns.map((turn, i) => clock(q.slice(2 * i, 2 * i + 2), k.slice(2 * i, 2 * i + 2), (2 * Math.PI) / turn, parts[i])));
    clocks.setAttribute("aria-label", `${D / 2} clocks; the cosines between their two hands are ${parts.map((each) => fixed(each, 2)).join(", ")}`);
    hands.replaceChildren(
      `One clock for each pair of numbers, with a hand ${rotary ? "of the query, turned to position" : "of position"} `,
      h("strong", { class: "is-query" }, query),
      rotary ? ", and one of the key, turned to " : " and one of ",
      h("strong", { class: "is-key" }, key),
      `. Its period: in how many positions ${rotary ? "a hand" : "it"} goes round. Bold: the cosine between the two hands`,
    );
    lines.replaceChildren(
      ...(rotary
        ? [`e = (R_{${query}} \\q{q}) · (R_{${key}} \\k{k}) = Σ_i \\u{cos}((${key} − ${query}) θ_i + φ_i)`, `θ_i = ${base.toLocaleString("en", { maximumFractionDigits: 2 })}^{−2i/${D}}`]
        : [`\\q{P_{${query}}} · \\k{P_{${key}}} = Σ_i \\u{cos}((${key} − ${query}) θ_i)`, `θ_i = ${base.toLocaleString("en", { maximumFractionDigits: 2 })}^{−2i/${D}}`]
      ).map((each) => h("div", {}, formula(each))),
      ...(rotary ? [h("div", { class: "hint" }, formula("φ_i"), " is the angle from query to key in pair ", formula("i"), " before any turn.")] : []),
    );
    distance.textContent = fixed(key - query, 0);
    product.textContent = fixed(value);
    most.textContent = fixed(D / 2, 0);
    const pairs = shifted(setting).map(([a, b]) => [a, b, score(setting, a, b)]);
    others.replaceChildren(...pairs.flatMap(([a, b, each]) => [h("dt", {}, `${a} and ${b}`), h("dd", {}, fixed(each))]));
    const off = Math.max(...pairs.map(([, , each]) => Math.abs(each - value)));
    apart.textContent = off < 1e-9 ? `The same but for rounding: it depends on the ${rotary ? "difference alone, sign included" : "distance alone"}.` : `They differ by up to ${fixed(off)}.`;
    table.replaceChildren(
      dataTable({
        caption: `The hands at ${query} and ${key}: their tips, and their products, whose sum is the dot product`,
        corner: "hand",
        columns: ["wavelength", `x at ${query}`, `y at ${query}`, `x at ${key}`, `y at ${key}`, "product"],
        rows: turns.map((_, i) => String(i)),
        weights: turns.map((turn, i) => [(2 * Math.PI) / turn, q[2 * i], q[2 * i + 1], k[2 * i], k[2 * i + 1], parts[i]]),
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    voice.say(`${kind}, D ${D}, base ${spoken}. Positions ${query} and ${key}: dot product ${fixed(value)}, as wherever ${rotary ? `key − query is ${fixed(key - query, 0)}` : `two are ${Math.abs(key - query)} apart`}.`);
  }
  const watch = new ResizeObserver(([{ contentRect }]) => {
    const wanted = Math.floor(contentRect.width);
    if (wanted < 1 || wanted === width) return;
    width = wanted;
    requestAnimationFrame(draw);
  });
  frame(
    el,
    "positions",
    "Positions: sinusoidal and rotary",
    STYLE,
    h("div", { class: "settings" }, kinds.node, reset),
    h("div", { class: "sliders" }, bases.node, widths.node, queries.node, keys.node),
    h("div", { class: "titled" }, what, stage, scale),
    h("div", { class: "layout" }, h("div", { class: "titled" }, hands, clocks), numbers),
    h("p", { class: "hint" }, "Move the sliders with the arrow keys, or point into the picture: what you drag is the nearer of query and key."),
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

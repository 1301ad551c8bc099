// Softmax lookup: drag a query and keys in the plane; scores, weights and context follow.
import { announcer, argmax, average, choices, dot, entropy, fixed, formula, frame, h, scroller, slider, softmax, svg, unique, viridis } from "./base.mjs";

/** One query (2,) looks up keys (S, 2) with values (S, D_v). */
export function lookup({ query, keys, values, temperature, score }) {
  const scale = score === "scaled_dot" ? Math.sqrt(query.length) : 1;
  const scores = keys.map((key) => dot(query, key) / scale);
  const weights = softmax(scores.map((e) => e / temperature));
  return { scores, weights, context: average(weights, values), entropy: entropy(weights) };
}

/** Where the perpendicular from `point` meets the line through the origin along `direction`. */
export function shadow(point, direction) {
  const length = dot(direction, direction);
  const share = length > 0 ? dot(point, direction) / length : 0;
  return direction.map((x) => share * x);
}

/** The corners of the smallest convex polygon around points (S, 2), in order. */
export function hull(points) {
  const sorted = points.toSorted((p, q) => p[0] - q[0] || p[1] - q[1]);
  const turn = (o, p, q) => (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0]);
  const half = (ordered) => {
    const corners = [];
    for (const next of ordered) {
      while (corners.length > 1 && turn(corners.at(-2), corners.at(-1), next) <= 0) corners.pop();
      corners.push(next);
    }
    return corners.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

const REACH = 3; // the plane shows coordinates from -REACH to REACH
const UNIT = 58; // of the drawing's own pixels
const clamp = (x) => Math.min(Math.max(Math.round(x * 100) / 100, -REACH), REACH);
const place = ([x, y]) => [x * UNIT, -y * UNIT];

const STYLE = `
.attn-lookup .layout { display: grid; gap: 1rem 1.6rem; align-items: start; grid-template-columns: minmax(0, 1fr); }
@container (min-width: 37rem) { .attn-lookup .layout { grid-template-columns: minmax(0, 6fr) minmax(0, 7fr); } }
.attn-lookup .plane {
  display: block; width: 100%; max-width: 25rem; margin: 0 auto; border-radius: 10px; background: var(--sunk);
  user-select: none; -webkit-user-select: none;
}
.attn-lookup .plane .tick { font-size: 12px; fill: var(--soft); text-anchor: middle; dominant-baseline: central; }
.attn-lookup .gridline { stroke: var(--line); stroke-width: 1; opacity: 0.7; }
.attn-lookup .axis { stroke: var(--soft); stroke-width: 1.2; opacity: 0.8; }
.attn-lookup .ray { stroke: var(--query); stroke-width: 1.5; stroke-dasharray: 2 5; opacity: 0.75; }
.attn-lookup .drop { stroke: var(--key); stroke-width: 1.4; stroke-dasharray: 4 4; opacity: 0.8; }
.attn-lookup .foot { fill: var(--key); }
.attn-lookup .handle { cursor: grab; outline: none; }
.attn-lookup :is(.handle, .handle *) { touch-action: none; }
.attn-lookup .handle:active { cursor: grabbing; }
.attn-lookup .handle .arm { stroke-linecap: round; }
.attn-lookup .handle .tip { stroke: var(--sunk); stroke-width: 2; }
.attn-lookup .handle .halo { fill: none; stroke: none; }
.attn-lookup .handle:hover .halo { stroke: var(--line); stroke-width: 3; }
.attn-lookup .handle:focus-visible .halo { stroke: var(--focus); stroke-width: 3; }
.attn-lookup .of-query .arm { stroke: var(--query); } .attn-lookup .of-query .tip { fill: var(--query); }
.attn-lookup .of-key .arm { stroke: var(--key); } .attn-lookup .of-key .tip { fill: var(--key); }
.attn-lookup .plane .handle text {
  font-size: 17px; font-weight: 700; paint-order: stroke; stroke: var(--sunk); stroke-width: 5px; stroke-linejoin: round;
  text-anchor: middle; dominant-baseline: central;
}
.attn-lookup .plane .of-query text { fill: var(--query-ink); } .attn-lookup .plane .of-key text { fill: var(--key-ink); }
.attn-lookup .plane :is(.among, .found, .found-name) { pointer-events: none; }
.attn-lookup .among { fill: var(--value); fill-opacity: 0.16; stroke: var(--value); stroke-width: 1.5; stroke-linejoin: round; }
.attn-lookup .found { fill: var(--context); stroke: var(--sunk); stroke-width: 2; }
.attn-lookup .plane .found-name {
  font-size: 17px; font-weight: 700; fill: var(--context-ink); paint-order: stroke; stroke: var(--sunk); stroke-width: 5px;
  stroke-linejoin: round; text-anchor: middle; dominant-baseline: central;
}
.attn-lookup .controls { display: grid; gap: 0.7rem; }
.attn-lookup .settings { display: flex; flex-wrap: wrap; align-items: end; justify-content: space-between; gap: 0.6rem; }
.attn-lookup .equations { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; padding: 0.5rem 0; }
.attn-lookup table { width: 100%; }
.attn-lookup :is(td, th) { padding: 0.3rem 0.35rem; white-space: nowrap; }
.attn-lookup td.weight { width: 40%; }
.attn-lookup .meter { display: flex; align-items: center; gap: 0.5rem; }
.attn-lookup .track { flex: 1; height: 12px; min-width: 2rem; border-radius: 3px; background: var(--sunk); border: 1px solid var(--line); overflow: hidden; }
.attn-lookup .track span { display: block; height: 100%; }
.attn-lookup .wide .meter { display: grid; gap: 2px; justify-items: end; }
.attn-lookup .wide .track { order: 2; width: 100%; height: 7px; }
@container (max-width: 30rem) or ((min-width: 37rem) and (max-width: 44rem)) {
  .attn-lookup .meter { display: grid; gap: 2px; justify-items: end; }
  .attn-lookup .track { order: 2; width: 100%; height: 7px; }
}
@container (max-width: 26rem) {
  .attn-lookup table { font-size: 0.9em; }
  .attn-lookup :is(td, th) { padding: 0.3rem 0.15rem; }
  .attn-lookup td.weight { width: auto; }
  .attn-lookup .meter .track { min-width: 0; }
}
.attn-lookup .parts { display: flex; gap: 0.5rem; justify-content: flex-end; }
.attn-lookup .part { display: grid; justify-items: end; gap: 2px; min-width: 2.7rem; }
@container (max-width: 26rem) { .attn-lookup .parts { gap: 0.3rem; } .attn-lookup .part { min-width: 2.3rem; } }
.attn-lookup .bar { position: relative; width: 100%; height: 5px; border-radius: 3px; background: var(--line); }
.attn-lookup .bar span { position: absolute; top: 0; height: 100%; border-radius: 3px; background: var(--value); }
.attn-lookup tr.total { border-top: 2px solid var(--soft); }
.attn-lookup tr.total .bar span { background: var(--context); }
.attn-lookup .where { color: var(--soft); font-size: 0.82em; display: block; font-weight: 400; }
`;

function render({ model, el }) {
  const start = Object.fromEntries(
    ["query", "key_vectors", "temperature", "score"].map((name) => [name, model.get(name)]),
  );
  const labels = model.get("labels");
  const size = REACH * UNIT;

  // ---- the plane
  const line = (properties) => svg("line", properties);
  const grid = [];
  for (let i = -REACH; i <= REACH; i += 1) {
    const at = i * UNIT;
    const name = i === 0 ? "axis" : "gridline";
    grid.push(line({ class: name, x1: at, x2: at, y1: -size, y2: size }));
    grid.push(line({ class: name, y1: at, y2: at, x1: -size, x2: size }));
  }
  const ticks = [-2, -1, 1, 2].flatMap((i) => [
    svg("text", { class: "tick", x: i * UNIT, y: 15 }, fixed(i, 0)),
    svg("text", { class: "tick", x: -13, y: -i * UNIT + 1 }, fixed(i, 0)),
  ]);
  const ray = line({ class: "ray" });
  const drops = labels.map(() => line({ class: "drop" }));
  const feet = labels.map(() => svg("circle", { class: "foot", r: 3.2 }));

  const plane = svg("svg", {
    class: "plane",
    viewBox: `${-size - 14} ${-size - 14} ${2 * size + 28} ${2 * size + 28}`,
    role: "group",
    "aria-label": "The plane of queries and keys",
  });
  const put = (index, point) => {
    const moved = point.map(clamp);
    if (index < 0) model.set("query", moved);
    else model.set("key_vectors", model.get("key_vectors").map((key, s) => (s === index ? moved : key)));
  };
  const point = (index) => (index < 0 ? model.get("query") : model.get("key_vectors")[index]);

  function handle(index, label, kind) {
    const arm = line({ class: "arm", x1: 0, y1: 0 });
    const halo = svg("circle", { class: "halo", r: 17 });
    const tip = svg("circle", { class: "tip", r: index < 0 ? 10 : 8.5 });
    const hit = svg("circle", { r: 26, fill: "transparent" });
    const text = svg("text", {}, label);
    let held = null;
    const node = svg(
      "g",
      {
        class: `handle of-${kind}`,
        tabindex: "0",
        role: "slider",
        "aria-label": `${kind} ${label}: the arrow keys move it`,
        "aria-valuemin": -REACH,
        "aria-valuemax": REACH,
        onkeydown: (event) => {
          const step = event.shiftKey ? 0.5 : 0.1;
          const [x, y] = {
            ArrowLeft: [-step, 0],
            ArrowRight: [step, 0],
            ArrowUp: [0, step],
            ArrowDown: [0, -step],
          }[event.key] ?? [0, 0];
          if (x === 0 && y === 0) return;
          event.preventDefault();
          const now = point(index);
          put(index, [now[0] + x, now[1] + y]);
          model.save_changes();
        },
        ontouchstart: (event) => event.preventDefault(), // a finger drags, and does not scroll
        onpointerdown: (event) => {
          held = event.pointerId;
          node.setPointerCapture(held);
          node.focus({ preventScroll: true, focusVisible: false });
          event.preventDefault();
        },
        onpointermove: (event) => {
          if (event.pointerId !== held) return;
          const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(
            plane.getScreenCTM().inverse(),
          );
          put(index, [at.x / UNIT, -at.y / UNIT]);
        },
        onpointerup: () => {
          held = null;
          model.save_changes();
        },
        onpointercancel: () => {
          held = null;
        },
      },
      arm,
      hit,
      halo,
      tip,
      text,
    );
    const show = (where, width) => {
      const [x, y] = place(where);
      const length = Math.hypot(x, y);
      arm.setAttribute("x2", x);
      arm.setAttribute("y2", y);
      arm.setAttribute("stroke-width", width);
      for (const each of [hit, halo, tip]) {
        each.setAttribute("cx", x);
        each.setAttribute("cy", y);
      }
      const [dx, dy] = length > 1 ? [x / length, y / length] : [0, -1];
      const edge = size - 6;
      const anchor = Math.abs(dx) < 0.5 || label.length < 3 ? "middle" : dx < 0 ? "end" : "start";
      text.style.textAnchor = anchor;
      const away = anchor === "middle" ? 25 : 14;
      text.setAttribute("x", Math.min(Math.max(x + away * dx, -edge), edge));
      text.setAttribute("y", Math.min(Math.max(y + 25 * dy, -edge), edge));
      node.setAttribute("aria-valuenow", where[0]);
      node.setAttribute("aria-valuetext", `x ${fixed(where[0], 2)}, y ${fixed(where[1], 2)}`);
    };
    return { node, show };
  }
  const keyHandles = labels.map((label, s) => handle(s, label, "key"));
  const queryHandle = handle(-1, "q", "query");
  // Values of two numbers are points of the same plane, and so is the context.
  const shown = model.get("values").every((value) => value.length === 2 && value.every((x) => Math.abs(x) <= REACH));
  const corners = shown ? hull(model.get("values")).map((value) => place(value).join(",")) : [];
  const among = svg("polygon", { class: "among", points: corners.join(" ") });
  const found = svg("path", { class: "found", d: "M0 -10L10 0L0 10L-10 0Z" });
  const foundName = svg("text", { class: "found-name", y: 25 }, "c");
  const context = svg("g", {}, found, foundName);
  plane.append(
    ...grid,
    ...(shown ? [among] : []),
    ...ticks,
    ray,
    ...drops,
    ...feet,
    ...keyHandles.map((each) => each.node),
    queryHandle.node,
    ...(shown ? [context] : []),
  );

  // ---- the table, which is also the readout
  const widths = model.get("values")[0].length;
  const parts = () =>
    Array.from({ length: widths }, () => {
      const fill = h("span");
      const number = h("span", { class: "number" });
      return { fill, number, node: h("div", { class: "part" }, number, h("div", { class: "bar" }, fill)) };
    });
  const rows = labels.map((label) => {
    const where = h("span", { class: "where" });
    const score = h("td", { class: "score" });
    const fill = h("span");
    const weight = h("span", { class: "number" });
    const value = parts();
    return {
      where,
      score,
      fill,
      weight,
      value,
      node: h(
        "tr",
        {},
        h("th", { scope: "row" }, h("strong", { class: "is-key" }, label), where),
        score,
        h("td", { class: "weight" }, h("div", { class: "meter" }, h("div", { class: "track" }, fill), weight)),
        h("td", { class: "value" }, h("div", { class: "parts" }, value.map((each) => each.node))),
      ),
    };
  });
  const total = parts();
  const spread = h("td", { class: "entropy hint", colspan: 2 });
  const table = h(
    "table",
    { class: widths > 2 && "wide" },
    h("caption", { class: "unseen" }, "Each key's score, weight and value, and the context"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "key (x, y)"),
        h("th", { scope: "col" }, "score"),
        h("th", { scope: "col" }, "weight"),
        h("th", { scope: "col" }, "value"),
      ),
    ),
    h("tbody", {}, rows.map((row) => row.node)),
    h(
      "tfoot",
      {},
      h(
        "tr",
        { class: "total" },
        h("th", { scope: "row" }, h("strong", { class: "is-context" }, "context c")),
        spread,
        h("td", { class: "context" }, h("div", { class: "parts" }, total.map((each) => each.node))),
      ),
    ),
  );

  // ---- the controls
  const scoreDial = choices({
    legend: "score",
    name: unique("score"),
    options: [
      ["dot", "dot"],
      ["scaled_dot", "scaled dot"],
    ],
    onpick: (value) => {
      model.set("score", value);
      model.save_changes();
    },
  });
  const heat = slider({
    label: "temperature τ",
    min: 0.1,
    max: 5,
    step: 0.1,
    say: (x) => x.toFixed(1),
    oninput: (value) => {
      model.set("temperature", value);
      model.save_changes();
    },
  });
  const reset = h(
    "button",
    {
      type: "button",
      onclick: () => {
        for (const [name, value] of Object.entries(start)) model.set(name, value);
        model.save_changes();
      },
    },
    "Start again",
  );
  const equations = h("div", { class: "equations" });
  const voice = announcer();

  // ---- drawing
  const values = model.get("values");
  const largest = Math.max(1e-9, ...values.flat().map(Math.abs));
  const signed = values.flat().some((x) => x < 0);
  const bar = ({ fill, number }, x) => {
    number.textContent = fixed(x);
    const share = (100 * Math.abs(x)) / largest / (signed ? 2 : 1);
    fill.style.width = `${share}%`;
    fill.style.left = `${signed ? (x < 0 ? 50 - share : 50) : 0}%`;
  };
  let drawnScore = null;
  function draw() {
    const query = model.get("query");
    const keys = model.get("key_vectors");
    const temperature = model.get("temperature");
    const score = model.get("score");
    const result = lookup({ query, keys, values, temperature, score });
    queryHandle.show(query, 5);
    const [qx, qy] = place(query);
    const far = Math.hypot(qx, qy) > 0 ? (1.5 * size) / Math.hypot(qx, qy) : 0;
    const ends = { x1: -qx * far, y1: -qy * far, x2: qx * far, y2: qy * far };
    for (const [name, value] of Object.entries(ends)) ray.setAttribute(name, value);
    keys.forEach((key, s) => {
      const [x, y] = place(key);
      const [fx, fy] = place(shadow(key, query));
      for (const [name, value] of Object.entries({ x1: x, y1: y, x2: fx, y2: fy })) {
        drops[s].setAttribute(name, value);
      }
      feet[s].setAttribute("cx", fx);
      feet[s].setAttribute("cy", fy);
      keyHandles[s].show(key, 1.5 + 7 * result.weights[s]);
      rows[s].where.textContent = `(${fixed(key[0], 2)}, ${fixed(key[1], 2)})`;
      rows[s].score.textContent = fixed(result.scores[s]);
      rows[s].weight.textContent = fixed(result.weights[s]);
      rows[s].fill.style.width = `${100 * result.weights[s]}%`;
      rows[s].fill.style.background = viridis(result.weights[s]);
      rows[s].value.forEach((each, i) => bar(each, values[s][i]));
    });
    total.forEach((each, i) => bar(each, result.context[i]));
    if (shown) context.setAttribute("transform", `translate(${place(result.context).join(" ")})`);
    spread.textContent = `entropy ${fixed(result.entropy)} nats`;
    heat.show(temperature);
    scoreDial.show(score);
    if (drawnScore !== score) {
      drawnScore = score;
      equations.replaceChildren(
        formula(`e_s = \\q{q}^⊤ \\k{k_s}${score === "scaled_dot" ? " / √2" : ""}`),
        formula("a_s = \\u{softmax}_s(e_s / τ)"),
        formula("\\c{c} = Σ_s a_s \\v{v_s}"),
      );
    }
    const best = argmax(result.weights);
    voice.say(
      `${labels[best]} has the largest weight, ${fixed(result.weights[best])}. ` +
        `Context ${result.context.map((x) => fixed(x)).join(", ")}.`,
    );
  }
  frame(
    el,
    "lookup",
    "Softmax lookup: drag the query and the keys",
    STYLE,
    h(
      "div",
      { class: "layout" },
      h("div", {}, plane),
      h(
        "div",
        { class: "controls" },
        h("div", { class: "settings" }, scoreDial.node, reset),
        heat.node,
        equations,
        scroller("Scores, weights and values", table),
        h(
          "p",
          { class: "hint" },
          "Drag an arrow’s tip, or choose it with Tab and press the arrow keys (Shift for larger steps). " +
            "Each key drops its shadow on the query’s line: the score is the shadow’s length times the query’s" +
            ", negative when they point apart." +
            (shown ? " The diamond c is the context; it never leaves the green shape, whose corners are values." : ""),
        ),
      ),
    ),
    voice.node,
  );
  const names = ["query", "key_vectors", "temperature", "score"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

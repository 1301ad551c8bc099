// Pick a cell of a picture: which others it is related to, and what becomes of a map.
import { announcer, box, cellPlace, choices, dataTable, dot, fixed, frame, h, legend, setter, softmax, svg, unique, viridis } from "./base.mjs";

const GROUND = "background";

/** Signed bytes from base64 as rows, one a cell, each of length 1. */
export function directions(text, cells) {
  const bytes = Int8Array.from(atob(text), (c) => c.charCodeAt(0));
  const A = bytes.length / cells;
  return Array.from({ length: cells }, (_, s) => {
    const row = Array.from(bytes.subarray(s * A, (s + 1) * A));
    const length = Math.sqrt(dot(row, row));
    return row.map((x) => x / length);
  });
}

/** The weights of one cell on all. */
export function weightsOf(cell, rows, selection) {
  if (selection === "equal") return rows.map(() => 1 / rows.length);
  const cosines = rows.map((row) => dot(row, rows[cell]));
  if (selection === "softmax") return softmax(cosines);
  const alike = cosines.map((x) => Math.max(0, x));
  const total = alike.reduce((a, b) => a + b, 0);
  return alike.map((x) => x / total);
}

/** How much of the weights is on each thing, and on the background. */
export function sharesOf(weights, truth) {
  const found = Object.fromEntries(Object.entries(truth).map(([name, row]) => [name, dot(weights, row)]));
  return { ...found, [GROUND]: Math.max(0, 1 - Object.values(found).reduce((a, b) => a + b, 0)) };
}

const SAYS = { rectified: "rectified cosine", softmax: "softmax of the cosine", equal: "equal weights" };

const STYLE = `
.attn-related { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.attn-related .settings { display: flex; flex-wrap: wrap; gap: 0.8rem 2rem; }
.attn-related .thumb { display: block; width: 48px; height: 48px; border-radius: 6px; image-rendering: pixelated; margin: 0; }
.attn-related .gallery .pill > span { padding: 3px; border-radius: 9px; }
.attn-related .gallery .pill input:checked + span { background: none; border-color: var(--query); box-shadow: 0 0 0 2px var(--query); }
.attn-related .panels { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@container (min-width: 30rem) { .attn-related .panels { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
.attn-related .panel { display: grid; gap: 0.3rem; align-content: start; min-width: 0; }
.attn-related .panel svg { width: 100%; max-width: 18rem; height: auto; display: block; border-radius: 8px; background: #777; cursor: crosshair; touch-action: manipulation; }
.attn-related .panel image { image-rendering: pixelated; }
.attn-related .under { fill: none; stroke: #000; stroke-width: 4; vector-effect: non-scaling-stroke; }
.attn-related .over { fill: none; stroke: #fff; stroke-width: 2; vector-effect: non-scaling-stroke; }
.attn-related .readout { display: grid; gap: 0.4rem; padding: 0.8rem 1rem; border-radius: 10px; background: var(--sunk); }
`;

function render({ model, el }) {
  const pictures = model.get("pictures");
  const id = unique("related");
  const set = setter(model);
  const shown = () => pictures[model.get("picture")];
  const nameOf = (picture) => (model.get("name") in picture.maps ? model.get("name") : Object.keys(picture.maps)[0]);

  const gallery = choices({
    legend: "Picture",
    name: `${id}-picture`,
    options: pictures.map(({ image, title }, i) => [String(i), [h("img", { class: "thumb dark-light", src: image, alt: title })]]),
    onpick: (value) => {
      const picture = pictures[Number(value)];
      set({ picture: Number(value), name: nameOf(picture), cell: Math.min(model.get("cell"), picture.grid[0] * picture.grid[1] - 1) });
    },
  });
  gallery.node.classList.add("gallery");
  const selections = choices({
    legend: "Weights",
    name: `${id}-selection`,
    options: Object.entries(SAYS),
    onpick: (selection) => set({ selection }),
  });
  const whose = h("div");
  let maps = null; // the choice of a map, anew for each picture

  const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  function step(event) {
    if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [rows, columns] = shown().grid;
    const [down, right] = KEYS[event.key];
    const row = Math.min(Math.max(Math.floor(model.get("cell") / columns) + down, 0), rows - 1);
    const column = Math.min(Math.max((model.get("cell") % columns) + right, 0), columns - 1);
    set({ cell: row * columns + column });
  }
  function pick(event) {
    const edge = event.currentTarget.getBoundingClientRect();
    const [rows, columns] = shown().grid;
    const at = (x, side, n) => Math.min(Math.max(Math.floor((x / side) * n), 0), n - 1);
    set({ cell: at(event.clientY - edge.top, edge.height, rows) * columns + at(event.clientX - edge.left, edge.width, columns) });
  }
  const panel = (first) => {
    const picture = svg("svg", first ? { role: "application", tabindex: "0", onkeydown: step, onclick: pick } : { role: "img", onclick: pick });
    const name = h("p", { class: "name" });
    const scale = h("div");
    return { picture, name, scale, node: h("div", { class: "panel" }, name, picture, scale) };
  };
  const [looks, before, after] = [panel(true), panel(false), panel(false)];
  const readout = h("div", { class: "readout" });
  const table = h("div");
  const voice = announcer();

  /** Numbers of cells as squares over the picture, the chosen cell framed. */
  function paint({ picture, scale }, { image, grid }, values, cell, what) {
    const [H, W] = [grid[0] * 10, grid[1] * 10];
    const largest = Math.max(...values, 1e-9);
    const rect = (s, properties) => {
      const [x, y, width, height] = box(s, grid, [H, W]);
      return svg("rect", { x, y, width, height, ...properties });
    };
    picture.setAttribute("viewBox", `0 0 ${W} ${H}`);
    picture.replaceChildren(
      svg("image", { href: image, width: W, height: H, preserveAspectRatio: "none" }),
      ...values.map((a, s) => rect(s, { fill: viridis(a / largest), "fill-opacity": 0.8 })),
      rect(cell, { class: "under" }),
      rect(cell, { class: "over" }),
    );
    scale.replaceChildren(legend(largest, what));
  }

  let laid = null;
  function lay(picture) {
    const rows = directions(picture.features, picture.grid[0] * picture.grid[1]);
    laid = { picture, rows, all: new Map() };
    const names = Object.keys(picture.maps);
    maps = choices({ legend: "Map of", name: `${id}-map`, options: names.map((name) => [name, name]), onpick: (name) => set({ name }) });
    whose.replaceChildren(maps.node);
  }

  function draw() {
    const picture = shown();
    if (laid?.picture !== picture) lay(picture);
    const { rows, all } = laid;
    const [cell, name, selection] = [Math.min(model.get("cell"), rows.length - 1), nameOf(picture), model.get("selection")];
    if (!all.has(selection)) all.set(selection, rows.map((_, s) => weightsOf(s, rows, selection)));
    const weights = all.get(selection)[cell];
    const map = picture.maps[name];
    const made = all.get(selection).map((row) => dot(row, map));
    const shares = sharesOf(weights, picture.truth);
    const even = sharesOf(rows.map(() => 1 / rows.length), picture.truth);
    gallery.show(String(model.get("picture")));
    selections.show(selection);
    maps.show(name);
    paint(looks, picture, weights, cell, "weight");
    paint(before, picture, map, cell, "map");
    paint(after, picture, made, cell, "map");
    looks.name.textContent = "the cell’s weights";
    before.name.textContent = `map of ${name}`;
    after.name.textContent = "the map, averaged";
    const where = cellPlace(cell, picture.grid);
    const here = Object.entries(picture.truth).find(([, row]) => row[cell] >= 0.5)?.[0] ?? GROUND;
    const told = [
      `The cell in ${where} lies on the ${here}. Its weights: ${fixed(shares[here])} on the ${here}; equal weights: ${fixed(even[here])}.`,
      `Map of ${name} here: ${fixed(map[cell])}; averaged: ${fixed(made[cell])}.`,
    ];
    looks.picture.setAttribute("aria-label", `${picture.title}. ${told[0]} Arrow keys choose another cell.`);
    before.picture.setAttribute("aria-label", `${picture.title}: map of ${name}`);
    after.picture.setAttribute("aria-label", `${picture.title}: map of ${name}, averaged by ${SAYS[selection]}`);
    readout.replaceChildren(...told.map((text) => h("p", {}, text)));
    const names = Object.keys(shares);
    table.replaceChildren(
      dataTable({
        caption: `The weights of the cell in ${where}, by what they are on`,
        corner: "on",
        columns: ["weight", "equal weights"],
        rows: names,
        weights: names.map((each) => [shares[each], even[each]]),
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    voice.say(told.join(" "));
  }

  frame(
    el,
    "related",
    "Pick a cell of a picture: which others it is related to",
    STYLE,
    h("div", { class: "settings" }, pictures.length > 1 && gallery.node, selections.node, whose),
    h("div", { class: "panels" }, looks.node, before.node, after.node),
    readout,
    h("p", { class: "hint" }, "Choose a cell: click or tap it, in any of the three, or use the arrow keys in the first. Each panel has a scale of its own, from 0 to its largest."),
    table,
    voice.node,
  );
  const names = ["picture", "cell", "name", "selection"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

// Captions word by word: where a captioner looked for each word, and whether that was right.
import { announcer, box, brief, cellPlace, choices, dataTable, fixed, frame, h, legend, setter, svg, unique, viridis } from "./base.mjs";

/** For every pixel of an image whether it is on: `lengths` pixels off, then on, then off and so on. */
export const pixels = (lengths) => lengths.flatMap((length, i) => Array.from({ length }, () => i % 2 === 1));

/** The side of the square in the most attended cell, of the cell's: some of the picture stays in view. */
const LARGEST = 0.85;

/** Of those that are numbers; null where none is. */
export function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

/** The pixels of a mask as a shape to fill, and the line around them. */
function shapes(mask, [H, W]) {
  const on = (x, y) => x >= 0 && x < W && y >= 0 && y < H && mask[y * W + x];
  const [area, edge] = [[], []];
  for (let y = 0; y <= H; y += 1) {
    for (let x = 0; x <= W; x += 1) {
      if (on(x, y)) area.push(`M${x} ${y}h1v1h-1z`);
      if (on(x, y) !== on(x, y - 1)) edge.push(`M${x} ${y}h1`);
      if (on(x, y) !== on(x - 1, y)) edge.push(`M${x} ${y}v1`);
    }
  }
  return { area: area.join(""), edge: edge.join("") };
}

const said = { null: "–", 0: "no", 1: "yes" }; // of a mark; between the two it is a share
const say = (mark) => (mark === null ? "–" : fixed(mark));

/** What a word's most attended cells say: [sign, class, words]. */
function judged({ things, most, hit }, t) {
  const known = things.some((named) => named.length > 0);
  if (hit[t] === null) return ["", "silent", known ? "names nothing: no cell is right or wrong" : "is not marked: it is not known what it names"];
  const n = most[t].length;
  if (hit[t] === 1) return ["✓", "right", n > 1 ? `all ${n} cells that share the most attention are on what it names` : "the most attended cell is on what it names"];
  if (hit[t] === 0) return ["✗", "miss", n > 1 ? `none of the ${n} cells that share the most attention is on what it names` : "the most attended cell is not on what it names"];
  return ["~", "miss", `${Math.round(hit[t] * n)} of the ${n} cells that share the most attention ${Math.round(hit[t] * n) === 1 ? "is" : "are"} on what it names`];
}

/** Whether the caption is true: [sign, class, words]. */
function truth({ true: is, wrong }) {
  if (is === null) return ["", "silent", "Nobody checked whether this caption is true."];
  if (is) return ["✓", "right", "This caption is true."];
  return ["✗", "miss", `This caption is false${wrong.length ? `: ${wrong.join("; ")}` : ""}.`];
}

const STYLE = `
.attn-captions { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.attn-captions .gallery .pills { gap: 0.45rem; }
.attn-captions .gallery .pill > span { padding: 3px; border-radius: 9px; }
.attn-captions .gallery .pill input:checked + span { background: none; border-color: var(--query); box-shadow: 0 0 0 2px var(--query); color: inherit; }
.attn-captions .thumb { display: block; width: 62px; height: 62px; border-radius: 6px; image-rendering: pixelated; margin: 0; }
.attn-captions .pill .badge {
  position: absolute; right: -4px; bottom: -4px; width: 1.25rem; height: 1.25rem; border-radius: 50%; display: grid; place-items: center;
  padding: 0; background: var(--card); border: 1px solid var(--line); font-size: 0.8rem; font-weight: 700; line-height: 1;
}
.attn-captions .right { color: var(--value-ink); } .attn-captions .miss { color: var(--context-ink); } .attn-captions .silent { color: var(--soft); }
.attn-captions .steps { display: grid; gap: 0.5rem 0.7rem; grid-template-columns: minmax(0, 1fr); }
.attn-captions .words { display: flex; flex-wrap: wrap; gap: 0.3rem 0.25rem; font-size: 1.12em; }
.attn-captions .word {
  display: grid; justify-items: center; padding: 0.12rem 0.45rem 0; border-radius: 7px; border: 1px solid transparent; cursor: pointer;
}
.attn-captions .word:hover { border-color: var(--soft); }
.attn-captions .word.later { color: var(--soft); }
.attn-captions .word[aria-selected="true"] { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); color: var(--query-ink); font-weight: 700; }
.attn-captions .word .sign { font-size: 0.72em; font-weight: 700; line-height: 1.25; min-height: 1.25em; }
.attn-captions .turns { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.attn-captions .turns button[aria-disabled="true"] { opacity: 0.45; cursor: default; }
.attn-captions .count { color: var(--soft); font-size: 0.9em; }
.attn-captions .columns { display: grid; gap: 1rem 2rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) { .attn-captions .columns { grid-template-columns: minmax(0, 25rem) minmax(18rem, 1fr); } }
.attn-captions .left { display: grid; gap: 0.7rem; justify-items: start; min-width: 0; }
.attn-captions .scenery { width: 100%; max-width: 25rem; height: auto; display: block; border-radius: 8px; background: #777; }
.attn-captions .scenery image { image-rendering: pixelated; }
.attn-captions .scenery :is(path, rect) { vector-effect: non-scaling-stroke; }
.attn-captions .grid { fill: none; stroke: #fff; stroke-opacity: 0.22; stroke-width: 1; }
.attn-captions .cell { stroke: #fff; stroke-width: 1.2; }
.attn-captions .dim { fill: #000; fill-opacity: 0.72; fill-rule: evenodd; }
.attn-captions .under { fill: none; stroke: #000; stroke-width: 4; stroke-linecap: square; }
.attn-captions .over { fill: none; stroke: #fff; stroke-width: 2; stroke-linecap: square; }
.attn-captions .on { fill: none; stroke: #fff; stroke-width: 1.5; stroke-dasharray: 3 3; }
.attn-captions .readout { display: grid; gap: 0.9rem; padding: 0.9rem 1rem; border-radius: 10px; background: var(--sunk); }
.attn-captions .saying { font-size: 1.06em; overflow-wrap: anywhere; }
.attn-captions dl { display: grid; grid-template-columns: minmax(8rem, 1fr) auto; gap: 0.2rem 1rem; margin: 0; align-items: baseline; }
.attn-captions dt { margin: 0; font-weight: 400; color: var(--soft); font-size: 0.9em; }
.attn-captions dt.by { padding-left: 0.9rem; }
.attn-captions dd { margin: 0; text-align: right; font-weight: 600; white-space: nowrap; }
.attn-captions dd.blind { font-weight: 400; }
.attn-captions .data td { white-space: nowrap; }
.attn-captions .whole { border-top: 1px solid var(--line); padding-top: 0.8rem; display: grid; gap: 0.5rem; }
`;

// ---------------------------------------------------------------- the figure

function render({ model, el }) {
  const scenes = model.get("scenes");
  const id = unique("captions");
  const set = setter(model);

  // ---- choosing a picture, and what is drawn over it
  const gallery = choices({
    legend: "Picture",
    name: `${id}-scene`,
    options: scenes.map((scene, i) => {
      const [sign, kind] = truth(scene);
      const spoken = { right: "caption true", miss: "caption false", silent: "caption not checked" }[kind];
      return [
        String(i),
        [
          h("img", { class: "thumb dark-light", src: scene.image, alt: `${i + 1}: ${scene.title}` }),
          sign && h("span", { class: `badge ${kind}`, "aria-hidden": "true" }, sign),
          h("span", { class: "unseen" }, ` (${spoken})`),
        ],
      ];
    }),
    onpick: (value) => set({ word: 0, scene: Number(value) }),
  });
  const views = choices({
    legend: "over the picture",
    name: `${id}-view`,
    options: [["weights", "attention"], ["thing", "what the word names"], ["picture", "nothing"]],
    onpick: (view) => set({ view }),
  });

  // ---- stepping through the words
  const words = h("div", { class: "words", role: "listbox", "aria-label": "Words of the caption", "aria-orientation": "horizontal" });
  const at = () => Math.min(model.get("word"), shown.scene.words.length - 1);
  const pick = (t, focus) => {
    const word = Math.min(Math.max(t, 0), shown.scene.words.length - 1);
    if (word !== model.get("word")) set({ word });
    if (focus) shown.words[word].focus();
  };
  const KEYS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };
  words.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    pick(at() + KEYS[event.key], true);
  });
  const back = h("button", { type: "button", onclick: () => pick(at() - 1, false) }, "← Word before");
  const on = h("button", { type: "button", onclick: () => pick(at() + 1, false) }, "Next word →");
  const count = h("span", { class: "count" });

  // ---- the picture and what is said of it
  const scenery = svg("svg", { class: "scenery", role: "img" });
  const scale = h("div");
  const saying = h("p", { class: "saying" });
  const whether = h("p", { class: "whether" });
  const value = (name) => h("dd", { class: name });
  const [number, cell, largest, hit, uniformHit, inside, uniformInside, hits, insides] = [
    "number", "cell", "largest", "hit", "uniform-hit blind", "inside", "uniform-inside blind", "mean-hit", "mean-inside",
  ].map(value);
  const note = h("p", { class: "hint" });
  const table = h("div");
  const cells = h("div");
  const voice = announcer();

  let shown = null; // the picture on the page, its words, its masks
  function lay(index) {
    const scene = scenes[index];
    const options = scene.words.map((word, t) => {
      const [sign, kind, told] = judged(scene, t);
      return h(
        "div",
        { class: "word", role: "option", tabindex: "-1", "aria-label": `${word}: ${told}`, onclick: () => pick(t, true) },
        h("span", {}, word),
        h("span", { class: `sign ${kind}` }, sign),
      );
    });
    words.replaceChildren(...options);
    shown = { index, scene, words: options, masks: scene.masks.map(pixels) };
    const [sign, kind, told] = truth(scene);
    whether.className = `whether ${kind}`;
    whether.replaceChildren(sign && h("strong", {}, `${sign} `), told);
    const marked = scene.hit.filter((mark) => mark !== null);
    hits.textContent = marked.length ? `${brief(marked.reduce((a, b) => a + b, 0))} of ${marked.length}` : "–";
    insides.textContent = say(mean(scene.inside));
    const named = scene.things.some((each) => each.length > 0);
    note.textContent = named
      ? scene.true === false
        ? "What the words of this false caption mean is taken from the true caption that differs from it in the fewest words."
        : ""
      : "It is not known what the words of this caption name, so attention is not marked.";
    table.replaceChildren(
      dataTable({
        caption: `${scene.words.join(" ")}, word by word`,
        corner: "word",
        columns: ["things named", "most attended cell", "its weight", "hit", "inside", "uniform: hit", "uniform: inside"],
        rows: scene.words,
        weights: scene.words.map((_, t) => [
          scene.things[t].length, cellsOf(t), weight(t), scene.hit[t], scene.inside[t], scene.uniform_hit[t], scene.uniform_inside[t],
        ]),
        say: (x, column) => (column < 2 ? String(x) : say(x)),
        open: table.querySelector("details")?.open ?? false,
      }),
    );
  }
  const weight = (t) => (shown.scene.most[t].length ? shown.scene.weights[t][shown.scene.most[t][0]] / 1000 : 0);
  const cellsOf = (t) => {
    const { most, grid } = shown.scene;
    if (most[t].length === 0) return "none";
    return most[t].length > 1 ? `${most[t].length} alike` : cellPlace(most[t][0], grid);
  };

  function overlay(t, view) {
    const { scene, masks } = shown;
    const { size, grid, weights, things, most } = scene;
    const [H, W] = size;
    const rect = (s, properties, side = 1) => {
      const [x, y, width, height] = box(s, grid, size);
      const [dx, dy] = [((1 - side) * width) / 2, ((1 - side) * height) / 2];
      return svg("rect", { x: x + dx, y: y + dy, width: side * width, height: side * height, ...properties });
    };
    const outlines = things[t].map((thing) => shapes(masks[thing], size));
    const around = outlines.map(({ edge }) => [svg("path", { class: "under", d: edge }), svg("path", { class: "over", d: edge })]);
    const parts = [];
    if (view === "weights") {
      parts.push(
        weights[t].map((_, s) => rect(s, { class: "grid" })),
        around,
        weights[t].map((a, s) => {
          const share = a / 1000 / weight(t);
          return a > 0 && rect(s, { class: "cell", fill: viridis(share) }, LARGEST * Math.sqrt(share));
        }),
        most[t].map((s) => [rect(s, { class: "under most" }), rect(s, { class: "over most" })]),
      );
    } else if (view === "thing") {
      const lit = outlines.map(({ area }) => area).join("");
      const lying = [...new Set(things[t].flatMap((thing) => scene.on[thing]))];
      parts.push(
        svg("path", { class: "dim", d: `M0 0H${W}V${H}H0z${lit}` }),
        lying.map((s) => rect(s, { class: "on" })),
        around,
      );
    }
    scenery.setAttribute("viewBox", `0 0 ${W} ${H}`);
    const image = svg("image", { href: scene.image, width: W, height: H, preserveAspectRatio: "none" });
    scenery.replaceChildren(image, ...parts.flat(Infinity).filter(Boolean));
    const told = {
      weights: most[t].length ? `attention of “${scene.words[t]}” over ${grid[0]} by ${grid[1]} cells, most in ${cellsOf(t)}, ${fixed(weight(t))}` : "no attention",
      thing: things[t].length ? `all dark but what “${scene.words[t]}” names` : `all dark: “${scene.words[t]}” names nothing`,
      picture: "nothing drawn over it",
    }[view];
    scenery.setAttribute("aria-label", `${scene.title}; ${told}`);
  }

  // ---- drawing
  function draw() {
    const index = model.get("scene");
    if (shown?.index !== index) lay(index);
    const { scene } = shown;
    const [t, view] = [at(), model.get("view")];
    gallery.show(String(index));
    views.show(view);
    scale.replaceChildren(...(view === "weights" && weight(t) > 0 ? [legend(weight(t))] : []));
    shown.words.forEach((node, i) => {
      node.tabIndex = i === t ? 0 : -1;
      node.setAttribute("aria-selected", i === t);
      node.classList.toggle("later", i > t);
    });
    back.setAttribute("aria-disabled", t === 0);
    on.setAttribute("aria-disabled", t === scene.words.length - 1);
    count.textContent = `word ${t + 1} of ${scene.words.length}`;
    overlay(t, view);
    const [sign, kind, told] = judged(scene, t);
    saying.replaceChildren(
      h("strong", { class: "is-query" }, scene.words[t]),
      " ",
      h("strong", { class: kind }, sign),
      sign && " ",
      told,
    );
    number.textContent = scene.things[t].length;
    cell.textContent = cellsOf(t);
    largest.textContent = fixed(weight(t));
    hit.textContent = said[scene.hit[t]] ?? fixed(scene.hit[t]);
    uniformHit.textContent = say(scene.uniform_hit[t]);
    inside.textContent = say(scene.inside[t]);
    uniformInside.textContent = say(scene.uniform_inside[t]);
    const [rows, columns] = scene.grid;
    cells.replaceChildren(
      dataTable({
        summary: "This word’s weights as a table",
        caption: `Attention of “${scene.words[t]}”: rows and columns of cells`,
        corner: "row",
        columns: Array.from({ length: columns }, (_, c) => String(c + 1)),
        rows: Array.from({ length: rows }, (_, r) => String(r + 1)),
        weights: Array.from({ length: rows }, (_, r) => scene.weights[t].slice(r * columns, (r + 1) * columns).map((a) => a / 1000)),
        open: cells.querySelector("details")?.open ?? false,
      }),
    );
    voice.say(
      `${scene.words[t]}, word ${t + 1} of ${scene.words.length}: ${told}` +
        `${scene.inside[t] === null ? "" : `, ${fixed(scene.inside[t])} of its attention inside`}. ${truth(scene)[2]}`,
    );
  }
  gallery.node.classList.add("gallery");
  frame(
    el,
    "captions",
    "Captions word by word",
    STYLE,
    scenes.length > 1 && gallery.node,
    h("div", { class: "steps" }, words, h("div", { class: "turns" }, back, on, count)),
    h(
      "div",
      { class: "columns" },
      h("div", { class: "left" }, scenery, views.node, scale),
      h(
        "div",
        { class: "readout" },
        saying,
        h(
          "dl",
          {},
          h("dt", {}, "things it names"),
          number,
          h("dt", {}, "most attended cell"),
          cell,
          h("dt", {}, "its weight"),
          largest,
          h("dt", {}, "is it on what the word names?"),
          hit,
          h("dt", { class: "by" }, "share of all cells that are"),
          uniformHit,
          h("dt", {}, "share of attention inside"),
          inside,
          h("dt", { class: "by" }, "of uniform attention"),
          uniformInside,
        ),
        h(
          "div",
          { class: "whole" },
          whether,
          h("dl", {}, h("dt", {}, "words that hit"), hits, h("dt", {}, "mean share inside"), insides),
          note,
        ),
      ),
    ),
    h(
      "p",
      { class: "hint" },
      "Choose a picture, then a word: click it, or use the arrow keys. The area of a square, and its colour, are a cell’s weight, on a scale from 0 to the word’s largest, which stands below the picture. " +
        "White lines go around what the word names, and around the most attended cell. " +
        "A cell is on a thing (dashed in the second view) if the thing covers it at least half as much as the cell it covers most.",
    ),
    h("div", {}, table, cells),
    voice.node,
  );
  const names = ["scene", "word", "view"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

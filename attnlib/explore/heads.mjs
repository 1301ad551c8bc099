// Heads of a transformer: what every head of every layer looks at, in a sentence and its output.
import {
  announcer,
  asText,
  choices,
  dataTable,
  entropy,
  fixed,
  frame,
  h,
  heatmap,
  inkOn,
  legend,
  readout,
  rowMeans,
  rowText,
  sentenceMenu,
  setter,
  svg,
  unique,
  viridis,
} from "./base.mjs";

const BEGINNING = "<s>"; // what the decoder is given first

/** The words that ask, one a row of the weights, and those that are looked at, one a column. */
export function wordsOf({ source, target }, kind) {
  const queries = kind === "encoder" ? source : target;
  return [queries, kind === "decoder" ? [BEGINNING, ...target.slice(0, -1)] : source];
}

/** Weights (Q, K) of one head, or the mean over the block's heads where `head` is null. */
export function weightsOf(sentence, { kind, layer, head }) {
  const heads = head === null ? sentence[kind][layer] : [sentence[kind][layer][head]];
  return heads[0].map((row, t) => row.map((_, s) => heads.reduce((sum, rows) => sum + rows[t][s], 0) / (1000 * heads.length)));
}

const STYLE = `
.attn-heads { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.attn-heads .above { display: grid; gap: 1rem 2rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
.attn-heads .below { display: grid; gap: 1.2rem 2rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) {
  .attn-heads .above { grid-template-columns: minmax(0, auto) minmax(14rem, 18rem); justify-content: space-between; }
  .attn-heads .below:not(.long) { grid-template-columns: minmax(13rem, 17rem) minmax(0, 1fr); }
}
.attn-heads .overview { display: grid; gap: 0.35rem; grid-template-columns: max-content repeat(var(--heads), minmax(0, 68px)) minmax(0, 68px); align-items: center; }
.attn-heads .overview .row { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; align-items: center; }
.attn-heads .overview .label { color: var(--soft); font-size: 0.8em; padding-right: 0.3rem; }
.attn-heads .overview .top { text-align: center; padding: 0; }
.attn-heads .thumb { cursor: pointer; border-radius: 5px; padding: 2px; line-height: 0; border: 1px solid transparent; }
.attn-heads .thumb:hover { border-color: var(--soft); }
.attn-heads .thumb[aria-selected="true"] { box-shadow: 0 0 0 2.5px var(--query); }
.attn-heads .thumb canvas { display: block; width: 100%; height: auto; aspect-ratio: 1; image-rendering: pixelated; border-radius: 3px; background: var(--sunk); }
.attn-heads .threads { display: grid; grid-template-columns: minmax(0, max-content) minmax(3.5rem, 1fr) minmax(0, max-content); align-items: start; max-width: 26rem; }
.attn-heads .threads .side { display: grid; min-width: 0; }
.attn-heads .threads .side span {
  line-height: 1.4rem; padding: 0 0.4rem; margin: 1px 0; height: calc(1.65rem - 2px); border-radius: 5px; border: 1px solid transparent;
  white-space: nowrap; max-width: 8.5rem; overflow: hidden; text-overflow: ellipsis; transition: background 0.2s;
}
.attn-heads .threads .asks { text-align: right; }
.attn-heads .threads .asks span { cursor: pointer; }
.attn-heads .threads .asks span:hover { border-color: var(--soft); }
.attn-heads .threads .asks .chosen { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); color: var(--query-ink); font-weight: 700; }
.attn-heads .threads .asked span { background: var(--shade); color: var(--on); border-color: var(--cell-edge); }
.attn-heads .threads .asked .none { background: none; border: 1px dashed var(--line); color: var(--soft); }
.attn-heads .threads svg { display: block; width: 100%; }
.attn-heads .threads line { vector-effect: non-scaling-stroke; stroke-linecap: round; }
.attn-heads .threads .faint { stroke: var(--soft); stroke-width: 1; }
.attn-heads .threads .strong { stroke: var(--query); }
.attn-heads .titled { display: grid; gap: 0.5rem; min-width: 0; justify-items: start; }
.attn-heads .titled > .threads { justify-self: stretch; }
@container (max-width: 37rem) {
  .attn-heads .above { display: contents; } .attn-heads .above > :nth-child(2) { order: 2; }
  .attn-heads .below { order: 1; } .attn-heads .below > :has(.heatmap) { order: -1; }
  .attn-heads > :is(.hint, :has(> .data)) { order: 3; }
}
.attn-heads .map { display: grid; gap: 0.7rem; justify-items: start; min-width: 0; max-width: 100%; }
`;

/** The weights of one head as a small picture without words. */
function thumbnail(weights, hidden) {
  const canvas = h("canvas", { width: weights[0].length, height: weights.length, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  weights.forEach((row, t) =>
    row.forEach((a, s) => {
      if (hidden(t, s)) return;
      pen.fillStyle = viridis(a);
      pen.fillRect(s, t, 1, 1);
    }),
  );
  return canvas;
}

/** The words that ask at the left, those that are asked at the right, and a line a weight. */
function threads(queries, keys, weights, hidden, onpick) {
  const rows = Math.max(queries.length, keys.length);
  const asks = queries.map((word, t) =>
    h("span", { title: word, onpointerenter: (e) => e.pointerType === "mouse" && onpick(t, false), onclick: () => onpick(t, true) }, word),
  );
  const asked = keys.map((word) => h("span", { title: word }, word));
  const line = (t, s, properties) => svg("line", { x1: 0, x2: 100, y1: t + 0.5, y2: s + 0.5, ...properties });
  const faint = weights.flatMap((row, t) =>
    row.flatMap((a, s) => (a >= 0.05 ? [line(t, s, { class: "faint", "stroke-opacity": (0.4 * a).toFixed(3) })] : [])),
  );
  const strong = svg("g");
  const node = h(
    "div",
    { class: "threads", "aria-hidden": "true" }, // the heat map beside it says the same
    h("div", { class: "side asks" }, asks),
    svg("svg", { viewBox: `0 0 100 ${rows}`, preserveAspectRatio: "none", style: { height: `${1.65 * rows}rem` } }, svg("g", {}, faint), strong),
    h("div", { class: "side asked" }, asked),
  );
  const show = (t) => {
    asks.forEach((each, i) => each.classList.toggle("chosen", i === t));
    asked.forEach((each, s) => {
      each.classList.toggle("none", hidden(t, s));
      each.style.setProperty("--shade", viridis(weights[t][s]));
      each.style.setProperty("--on", inkOn(weights[t][s]));
    });
    strong.replaceChildren(
      ...weights[t].flatMap((a, s) =>
        a >= 0.01 ? [line(t, s, { class: "strong", "stroke-width": (1 + 5 * a).toFixed(2), "stroke-opacity": (0.25 + 0.75 * a).toFixed(3) })] : [],
      ),
    );
  };
  return { node, show };
}

function render({ model, el }) {
  const id = unique("heads");
  const sentences = model.get("sentences");
  const [from, to] = model.get("languages");
  const [L, H] = [sentences[0].encoder.length, sentences[0].encoder[0].length];
  const heads = [...Array(H).keys(), null]; // and their mean
  const set = setter(model);
  const now = () => Object.fromEntries(["kind", "layer", "head"].map((name) => [name, model.get(name)]));
  // blocks and heads count from 1 for the reader, from 0 in the model's state
  const named = (layer, head) => `block ${layer + 1}, ${head === null ? `mean of ${H} heads` : `head ${head + 1}`}`;

  // ---- the controls
  const menu = sentenceMenu(sentences.map(({ source }) => asText(source)), (sentence) => set({ word: 0, sentence }));
  const kinds = choices({
    legend: "Which attention",
    name: `${id}-kind`,
    options: [
      ["encoder", `encoder: ${from} on itself`],
      ["decoder", `decoder: ${to} on itself so far`],
      ["cross", `decoder: ${to} on ${from}`],
    ],
    onpick: (kind) => set({ word: Math.min(model.get("word"), wordsOf(sentences[model.get("sentence")], kind)[0].length - 1), kind }),
  });

  // ---- the overview: a picture a head, a row a block
  const thumbs = Array.from({ length: L }, (_, layer) =>
    heads.map((head) =>
      h("div", {
        class: "thumb",
        role: "gridcell",
        tabindex: "-1",
        onclick: () => choose(layer, head, true),
      }),
    ),
  );
  const label = (role, text, more = "") => h("span", { class: `label ${more}`, role }, text);
  const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };
  const overview = h(
    "div",
    {
      class: "overview",
      role: "grid",
      "aria-label": "Blocks and heads",
      style: { "--heads": H },
      onkeydown: (event) => {
        if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        const { layer, head } = now();
        const [down, right] = KEYS[event.key];
        const clamp = (x, most) => Math.min(Math.max(x, 0), most);
        choose(clamp(layer + down, L - 1), heads[clamp(heads.indexOf(head) + right, H)], true);
      },
    },
    h(
      "div",
      { class: "row", role: "row" },
      label("columnheader", "head"),
      heads.map((head) => label("columnheader", head === null ? "mean" : String(head + 1), "top")),
    ),
    thumbs.map((row, layer) => h("div", { class: "row", role: "row" }, label("rowheader", `block ${layer + 1}`), row)),
  );
  function choose(layer, head, focus) {
    set({ layer, head });
    if (focus) thumbs[layer][heads.indexOf(head)].focus();
  }

  // ---- the chosen weights
  const numbers = readout({ keys: "K", whole: "Mean over the rows" });
  const lines = h("div", { class: "titled" });
  const map = h("div", { class: "map" });
  const title = h("p", { class: "name" });
  const below = h("div", { class: "below" }, lines, h("div", { class: "titled" }, title, map));
  const table = h("div");
  const voice = announcer();

  let [seen, drawn] = [null, null]; // the sentence and kind of the overview; the chosen weights
  const pick = (word, focus) => {
    if (word !== model.get("word")) set({ word });
    if (focus) drawn.map.show(word, true);
  };
  function layOverview(sentence, kind, hidden) {
    thumbs.forEach((row, layer) =>
      row.forEach((node, i) => {
        const weights = weightsOf(sentence, { kind, layer, head: heads[i] });
        node.replaceChildren(thumbnail(weights, hidden));
        node.setAttribute("aria-label", `${named(layer, heads[i])}: mean entropy ${fixed(rowMeans(weights).entropy)} nats`);
      }),
    );
  }
  function lay(sentence, chosen, hidden) {
    const [queries, keys] = wordsOf(sentence, chosen.kind);
    const weights = weightsOf(sentence, chosen);
    const describe = (t) => rowText(queries[t], weights[t], keys);
    const heat = heatmap({ source: keys, target: queries, weights, describe, onpick: pick, hidden, label: "Words that ask" });
    const drawing = threads(queries, keys, weights, hidden, pick);
    drawn = { queries, keys, weights, describe, map: heat, threads: drawing };
    below.classList.toggle("long", keys.length > 18);
    title.textContent = `${named(chosen.layer, chosen.head)}: words that ask down, words asked across`;
    lines.replaceChildren(h("p", { class: "name" }, "The chosen word’s row, as lines"), drawing.node);
    map.replaceChildren(heat.node, legend());
    table.replaceChildren(
      dataTable({
        caption: `Attention weights, ${chosen.kind}, ${named(chosen.layer, chosen.head)}: queries down, keys across`,
        corner: "query \\ key",
        columns: keys,
        rows: queries,
        weights,
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    numbers.showAll(weights);
  }
  function draw() {
    const index = model.get("sentence");
    const chosen = now();
    const sentence = sentences[index];
    const hidden = (t, s) => chosen.kind === "decoder" && s > t;
    const place = `${index} ${chosen.kind}`;
    const matrix = `${place} ${chosen.layer} ${chosen.head}`;
    if (seen?.place !== place) layOverview(sentence, chosen.kind, hidden);
    if (seen?.matrix !== matrix) lay(sentence, chosen, hidden);
    seen = { place, matrix };
    menu.show(index);
    kinds.show(chosen.kind);
    thumbs.forEach((row, layer) =>
      row.forEach((node, i) => {
        const here = layer === chosen.layer && heads[i] === chosen.head;
        node.setAttribute("aria-selected", here);
        node.tabIndex = here ? 0 : -1;
      }),
    );
    const { queries, keys, weights, describe } = drawn;
    const t = Math.min(model.get("word"), queries.length - 1);
    drawn.map.show(t, false);
    drawn.threads.show(t);
    numbers.show(queries[t], weights[t], keys, keys.filter((_, s) => !hidden(t, s)).length);
    voice.say(`${named(chosen.layer, chosen.head)}. ${describe(t)}; entropy ${fixed(entropy(weights[t]))} nats.`);
  }
  frame(
    el,
    "heads",
    "Heads and blocks of a transformer",
    STYLE,
    sentences.length > 1 && menu.node,
    kinds.node,
    h("div", { class: "above aligned" }, overview, numbers.node),
    below,
    h(
      "p",
      { class: "hint" },
      "Choose a block and a head in the small pictures: click one, or use the arrow keys. Then point at a word that asks, tap it, or move with the " +
        "up and down arrow keys in the large one. A decoder’s row is the query that predicts its word; it may look at the words given so far, " +
        "which lie one place behind.",
    ),
    table,
    voice.node,
  );
  const names = ["sentence", "kind", "layer", "head", "word"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

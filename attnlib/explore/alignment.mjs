// Alignment of a chosen sentence: which source words each target word looked at.
import { announcer, argmax, dataTable, entropy, fixed, frame, h, heatmap, inkOn, legend, unique, viridis } from "./base.mjs";

/** What one row of weights says: its most attended source word, that weight, its entropy in nats. */
export function rowNumbers(weights) {
  const best = argmax(weights);
  return { best, largest: weights[best], entropy: entropy(weights) };
}

/** Means over the rows that attend to anything. */
export function sentenceNumbers(rows) {
  const attending = rows.filter((row) => row.some((a) => a > 0)).map(rowNumbers);
  const mean = (f) => attending.reduce((sum, row) => sum + f(row), 0) / Math.max(attending.length, 1);
  return { share: mean((row) => row.largest), entropy: mean((row) => row.entropy) };
}

/** Tokens as a line of text, for the menu of sentences. */
export const asText = (tokens) =>
  tokens
    .filter((token) => !/^<.*>$/.test(token))
    .join(" ")
    .replace(/ ·/g, "")
    .replace(/ ([.,!?])/g, "$1");

const LONG = 16; // source tokens that fit beside the numbers

const STYLE = `
.attn-alignment { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.attn-alignment .field { display: grid; gap: 0.25rem; justify-items: start; grid-template-columns: minmax(0, 1fr); }
.attn-alignment .field label { margin: 0; }
.attn-alignment .pair { display: grid; gap: 0.7rem; grid-template-columns: max-content minmax(0, 1fr); align-items: baseline; }
.attn-alignment .words { display: flex; flex-wrap: wrap; gap: 0.15rem 0.2rem; line-height: 1.5; }
.attn-alignment .words span { padding: 0.02rem 0.34rem; border-radius: 5px; border: 1px solid transparent; transition: background 0.2s; }
.attn-alignment .source span { background: var(--shade); color: var(--on); border-color: var(--cell-edge); }
.attn-alignment .target span { cursor: pointer; }
.attn-alignment .target span:hover { border-color: var(--soft); }
.attn-alignment .target span.chosen { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); color: var(--query-ink); font-weight: 700; }
.attn-alignment .layout { display: grid; gap: 1rem 2rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) { .attn-alignment .layout:not(.long) { grid-template-columns: minmax(0, auto) minmax(13rem, 17rem); justify-content: space-between; } }
.attn-alignment .long .readout { order: -1; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); align-items: start; column-gap: 2rem; }
.attn-alignment .long .whole { border: 0; padding: 0; }
.attn-alignment .long .saying { grid-column: 1 / -1; }
.attn-alignment .map { display: grid; gap: 0.7rem; justify-items: start; min-width: 0; }
.attn-alignment .readout { display: grid; gap: 0.9rem; padding: 0.9rem 1rem; border-radius: 10px; background: var(--sunk); }
.attn-alignment .saying { font-size: 1.08em; overflow-wrap: anywhere; }
.attn-alignment dl { display: grid; grid-template-columns: 1fr max-content; gap: 0.2rem 1rem; margin: 0; align-items: baseline; }
.attn-alignment dt { margin: 0; font-weight: 400; color: var(--soft); font-size: 0.9em; }
.attn-alignment dd { margin: 0; text-align: right; font-size: 1.12em; font-weight: 600; }
.attn-alignment .whole { border-top: 1px solid var(--line); padding-top: 0.8rem; }
.attn-alignment .whole dd { font-weight: 400; font-size: 1em; }
`;

function render({ model, el }) {
  const sentences = model.get("sentences");
  const [from, to] = model.get("languages");
  const id = unique("sentence");
  const select = h(
    "select",
    {
      id,
      onchange: () => {
        model.set("word", 0);
        model.set("sentence", Number(select.value));
        model.save_changes();
      },
    },
    sentences.map(({ source }, i) => {
      const text = asText(source);
      return h("option", { value: i }, text.length > 72 ? `${text.slice(0, 70)} …` : text);
    }),
  );
  const pair = h("div", { class: "pair" });
  const map = h("div", { class: "map" });
  const table = h("div");
  const voice = announcer();
  const saying = h("p", { class: "saying" });
  const number = (name) => h("dd", { class: name });
  const [largest, spread, share, mean] = ["largest", "entropy", "share", "mean-entropy"].map(number);
  const ceiling = h("dd", { class: "ceiling" });
  const readout = h(
    "div",
    { class: "readout" },
    saying,
    h(
      "dl",
      {},
      h("dt", {}, "largest weight of this row"),
      largest,
      h("dt", {}, "entropy of this row, nats"),
      spread,
      h("dt", {}, "most it could be, ln S"),
      ceiling,
    ),
    h(
      "div",
      { class: "whole" },
      h("p", { class: "name" }, "Mean over the sentence"),
      h("dl", {}, h("dt", {}, "share of the mass on the argmax"), share, h("dt", {}, "entropy, nats"), mean),
    ),
  );

  const layout = h("div", { class: "layout" }, map, readout);

  let drawn = null; // the sentence on the page, and what changes with the word
  function pick(t, focus) {
    if (t !== model.get("word")) {
      model.set("word", t);
      model.save_changes();
    }
    if (focus) drawn.map.show(t, true);
  }
  function drawSentence(index) {
    const { source, target, weights } = sentences[index];
    const describe = (t) => {
      const { best, largest: a } = rowNumbers(weights[t]);
      return a > 0 ? `${target[t]}: looks most at ${source[best]}, ${fixed(a)}` : `${target[t]}: looks at nothing`;
    };
    const sourceWords = source.map((token) => h("span", {}, token));
    const targetWords = target.map((token, t) =>
      h("span", { onpointerenter: (e) => e.pointerType === "mouse" && pick(t, false), onclick: () => pick(t, true) }, token),
    );
    const heat = heatmap({ source, target, weights, describe, onpick: pick });
    drawn = { index, source, target, weights, describe, sourceWords, targetWords, map: heat };
    pair.replaceChildren(
      h("span", { class: "name" }, from),
      h("div", { class: "words source" }, sourceWords),
      h("span", { class: "name" }, to),
      h("div", { class: "words target" }, targetWords),
    );
    layout.classList.toggle("long", source.length > LONG);
    map.replaceChildren(heat.node, legend());
    table.replaceChildren(
      dataTable({
        caption: `Attention weights: ${to} words down, ${from} words across`,
        corner: `${to} \\ ${from}`,
        columns: source,
        rows: target,
        weights,
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    const whole = sentenceNumbers(weights);
    share.textContent = fixed(whole.share);
    mean.textContent = fixed(whole.entropy);
    ceiling.textContent = fixed(Math.log(source.length));
  }
  function draw() {
    const index = model.get("sentence");
    if (drawn?.index !== index) drawSentence(index);
    select.value = index;
    const t = Math.min(model.get("word"), drawn.target.length - 1);
    const row = drawn.weights[t];
    const numbers = rowNumbers(row);
    drawn.map.show(t, false);
    drawn.sourceWords.forEach((node, s) => {
      node.style.setProperty("--shade", viridis(row[s]));
      node.style.setProperty("--on", inkOn(row[s]));
    });
    drawn.targetWords.forEach((node, i) => node.classList.toggle("chosen", i === t));
    saying.replaceChildren(
      h("strong", { class: "is-query" }, drawn.target[t]),
      numbers.largest > 0 ? " looks most at " : " looks at nothing",
      numbers.largest > 0 && h("strong", { class: "is-key" }, drawn.source[numbers.best]),
    );
    largest.textContent = fixed(numbers.largest);
    spread.textContent = fixed(numbers.entropy);
    voice.say(`${drawn.describe(t)}; entropy ${fixed(numbers.entropy)} nats.`);
  }
  frame(
    el,
    "alignment",
    `Alignment of a chosen sentence, ${from} to ${to}`,
    STYLE,
    sentences.length > 1 && h("div", { class: "field" }, h("label", { for: id }, "Sentence"), select),
    pair,
    layout,
    h("p", { class: "hint" }, "Point at a target word, tap it, or move with the up and down arrow keys."),
    table,
    voice.node,
  );
  const names = ["sentence", "word"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

// One sentence through several models: their translations side by side, and where each looked.
import { alignment, announcer, fixed, frame, h, rowMeans, sentenceMenu, setter, unique } from "./base.mjs";

/** Whether any weight is above zero: a model with a fixed context has none. */
export const attends = (weights) => weights.some((row) => row.some((a) => a > 0));

const STYLE = `
.attn-models { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.attn-models fieldset { min-width: 0; }
.attn-models .rows { display: grid; gap: 0.35rem; margin-top: 0.4rem; grid-template-columns: minmax(0, 1fr); }
.attn-models .rows label {
  position: relative; display: grid; grid-template-columns: minmax(0, 1fr) max-content; gap: 0 1rem; align-items: baseline; margin: 0;
  padding: 0.45rem 0.8rem; border: 1px solid var(--line); border-radius: 9px; background: var(--sunk); cursor: pointer;
}
.attn-models .rows label:hover { border-color: var(--soft); }
.attn-models .rows input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
.attn-models .rows label:has(input:checked) { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); background: var(--card); }
.attn-models .rows label:has(input:focus-visible) { outline: 2.5px solid var(--focus); outline-offset: 2px; }
.attn-models .rows .who { color: var(--soft); font-size: 0.85em; font-weight: 600; }
.attn-models .rows label:has(input:checked) .who { color: var(--query-ink); }
.attn-models .rows .says { grid-column: 1 / -1; overflow-wrap: anywhere; }
.attn-models .rows .means { color: var(--soft); font-size: 0.82em; }
.attn-models .sentence { margin: 0; }
.attn-models .without { padding: 0.9rem 1rem; border-radius: 10px; background: var(--sunk); }
.attn-models [hidden] { display: none !important; }
`;

function render({ model, el }) {
  const id = unique("models");
  const sentences = model.get("sentences");
  const [from, to] = model.get("languages");
  const set = setter(model);
  const menu = sentenceMenu(sentences.map(({ text }) => text), (sentence) => set({ word: 0, sentence }));
  const sentence = h("p", { class: "sentence" });
  const rows = sentences[0].models.map(({ name }) => {
    const input = h("input", { type: "radio", name: `${id}-model`, value: name, onchange: () => set({ word: 0, model: name }) });
    const [says, means] = [h("span", { class: "says" }), h("span", { class: "means" })];
    return { name, input, says, means, node: h("label", {}, input, h("span", { class: "who" }, name), means, says) };
  });
  const view = alignment({ from, to, onpick: (word) => word !== model.get("word") && set({ word }) });
  const without = h("p", { class: "without" });
  const voice = announcer();

  let laid = null;
  function draw() {
    const index = model.get("sentence");
    const { text, models } = sentences[index];
    const chosen = models.find(({ name }) => name === model.get("model"));
    const looks = attends(chosen.weights);
    menu.show(index);
    sentence.textContent = text;
    rows.forEach(({ name, input, says, means }, i) => {
      input.checked = name === chosen.name;
      says.textContent = models[i].text;
      means.textContent = attends(models[i].weights) ? `mean largest weight ${fixed(rowMeans(models[i].weights).share)}` : "no attention";
    });
    if (looks && laid !== chosen) {
      view.lay(chosen);
      laid = chosen;
    }
    view.node.hidden = !looks;
    without.hidden = looks;
    without.textContent = `${chosen.name} has no attention: one vector for the whole sentence, whatever the word it writes.`;
    voice.say(looks ? `${chosen.name}: ${view.show(model.get("word"))}` : without.textContent);
  }
  frame(
    el,
    "models",
    `One sentence through ${rows.length} models, ${from} to ${to}`,
    STYLE,
    sentences.length > 1 && menu.node,
    sentence,
    h("fieldset", {}, h("legend", {}, "Model, and what it says"), h("div", { class: "rows" }, rows.map(({ node }) => node))),
    without,
    view.node,
    voice.node,
  );
  const names = ["sentence", "model", "word"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

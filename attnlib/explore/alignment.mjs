// Alignment of a chosen sentence: which source words each target word looked at.
import { alignment, announcer, asText, frame, sentenceMenu, setter } from "./base.mjs";

const STYLE = `
.attn-alignment { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
`;

function render({ model, el }) {
  const sentences = model.get("sentences");
  const [from, to] = model.get("languages");
  const set = setter(model);
  const menu = sentenceMenu(sentences.map(({ source }) => asText(source)), (sentence) => set({ word: 0, sentence }));
  const view = alignment({ from, to, onpick: (word) => word !== model.get("word") && set({ word }) });
  const voice = announcer();

  let laid = null;
  function draw() {
    const index = model.get("sentence");
    if (laid !== index) view.lay(sentences[index]);
    laid = index;
    menu.show(index);
    voice.say(view.show(model.get("word")));
  }
  frame(
    el,
    "alignment",
    `Alignment of a chosen sentence, ${from} to ${to}`,
    STYLE,
    sentences.length > 1 && menu.node,
    view.node,
    voice.node,
  );
  const names = ["sentence", "word"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

// A quick question: choose an answer, and read why it is right or wrong.
import { announcer, formula, frame, h, unique } from "./base.mjs";

const STYLE = `
.attn-quiz { display: grid; gap: 0.6rem; grid-template-columns: minmax(0, 1fr); }
.attn-quiz legend { color: var(--ink); font-size: 1em; font-weight: 600; margin-bottom: 0.5rem; display: block; }
.attn-quiz .choice { display: block; margin: 0.35rem 0; }
.attn-quiz .choice label {
  display: flex; gap: 0.6rem; align-items: baseline; margin: 0; padding: 0.45rem 0.7rem; cursor: pointer;
  border: 1px solid var(--line); border-radius: 8px; background: var(--sunk); color: var(--ink);
  font-size: 1em; font-weight: 400;
}
.attn-quiz .choice label:hover { border-color: var(--soft); }
.attn-quiz .choice input { flex: none; margin: 0; accent-color: var(--ink); }
.attn-quiz .choice.right label { border-color: var(--value); box-shadow: inset 4px 0 var(--value); }
.attn-quiz .choice.wrong label { border-color: var(--context); box-shadow: inset 4px 0 var(--context); }
.attn-quiz .why { margin: 0.25rem 0 0.5rem 1.9rem; }
.attn-quiz .why b.yes { color: var(--value-ink); } .attn-quiz .why b.no { color: var(--context-ink); }
`;

/** The text with what stands between two dollars as formulas. */
export const worded = (text) =>
  text.split("$").map((part, i) => (i % 2 ? h("span", { class: "formula" }, formula(part)) : part));

function render({ model, el }) {
  const name = unique("quiz");
  const voice = announcer();
  const choices = model.get("answers").map(({ answer, right, why }, i) => {
    const said = h("p", { class: "why", hidden: true, id: `${name}-why-${i}` },
      h("b", { class: right ? "yes" : "no" }, right ? "Right. " : "No. "), worded(why));
    const input = h("input", { type: "radio", name, value: i, "aria-describedby": `${name}-why-${i}`, onchange: () => choose(i) });
    const node = h("div", { class: "choice" }, h("label", {}, input, h("span", {}, worded(answer))), said);
    return { node, said, right, why };
  });
  function choose(chosen) {
    choices.forEach(({ node, said, right }, i) => {
      node.classList.toggle("right", i === chosen && right);
      node.classList.toggle("wrong", i === chosen && !right);
      said.hidden = i !== chosen;
    });
    const { right, why } = choices[chosen];
    voice.say(`${right ? "Right" : "No"}. ${why.replaceAll("$", "")}`);
  }
  frame(
    el,
    "quiz",
    "A quick question",
    STYLE,
    h("fieldset", {}, h("legend", {}, worded(model.get("question"))), choices.map(({ node }) => node)),
    voice.node,
  );
  voice.say(""); // nothing is said before a choice
}

export default { render };

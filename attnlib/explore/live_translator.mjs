// Type a sentence: several models translate it as they would in Python, and show where they look.
import { alignment, announcer, fixed, frame, h, sentenceMenu, setter, unique } from "./base.mjs";
import { ask, liveForm, readable, sentenceOf, unknowns } from "./live.mjs";

const STYLE = `
.attn-live { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-live [hidden] { display: none !important; }
.attn-live .rows { display: grid; gap: 0.35rem; grid-template-columns: minmax(0, 1fr); margin-top: 0.3rem; }
.attn-live .rows label {
  position: relative; display: grid; gap: 0 1rem; grid-template-columns: minmax(0, 1fr); margin: 0; min-height: 3.4em;
  padding: 0.45rem 0.8rem; border: 1px solid var(--line); border-radius: 9px; background: var(--sunk); cursor: pointer;
}
.attn-live .rows input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
.attn-live .rows label:has(input:checked) { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); background: var(--card); }
.attn-live .rows label:has(input:focus-visible) { outline: 2.5px solid var(--focus); outline-offset: 2px; }
.attn-live .blind :is(.heatmap .head, .cell, .legend, .readout, .data) { display: none; }
.attn-live .blind .heatmap { display: block; }
.attn-live .blind .pair .target, .attn-live .blind .pair .name:nth-of-type(2) { display: none; }
.attn-live .blind .heatmap .words-down { display: flex; flex-wrap: wrap; gap: 0.2rem; }
.attn-live .blind .heatmap .word { display: block; }
.attn-live .blind .heatmap .token { display: block; padding: 0.1rem 0.4rem; }
.attn-live .blind .source span { background: none; color: inherit; }
.attn-live .who { color: var(--soft); font-size: 0.85em; font-weight: 600; }
.attn-live .says { overflow-wrap: anywhere; }
.attn-live .says.busy::after { content: "▍"; color: var(--soft); }
.attn-live .readout .whole { display: none; }
`;

const attends = (steps) => steps.some(({ weights }) => weights.some((a) => a > 0));

function render({ model, el }) {
  const id = unique("live");
  const answers = model.get("answers");
  const names = Object.fromEntries(model.get("names"));
  const [from, to] = model.get("languages");
  const models = model.get("names").map(([name]) => name);
  let shown = null; // { text, models: { name: { source, steps, text } } }
  let running = 0;
  const set = setter(model);

  const form = liveForm({
    model,
    files: model.get("files"),
    label: `A sentence in ${from}, of the kind that describes a photograph`,
    verb: "Translate",
    about: "These models have read captions of photographs, and nothing else.",
    act: (text) => translate(text),
  });
  const menu = sentenceMenu(answers.map(({ text }) => text), again, "Or one of these");
  const rows = models.map((name) => {
    const radio = h("input", { type: "radio", name: `${id}-model`, value: name, onchange: () => set({ word: 0, model: name }) });
    const says = h("span", { class: "says" });
    return { name, radio, says, node: h("label", {}, radio, h("span", { class: "who" }, names[name]), says) };
  });
  const unknown = h("p", { class: "hint", hidden: true });
  const without = h("p", { class: "hint" });
  const next = h("div", { class: "likely" });
  const view = alignment({ from, to, beside: next, lazy: true, onpick: (word) => word !== model.get("word") && set({ word }) });
  const voice = announcer();

  async function translate(text) {
    const mine = (running += 1);
    set({ word: 0 });
    const writing = { text, models: Object.fromEntries(models.map((name) => [name, { source: [], steps: [] }])) };
    const chosen = model.get("model");
    for (const name of [chosen, ...models.filter((each) => each !== chosen)]) {
      if (mine !== running) return; // a newer sentence has come
      try {
        const step = ({ source, ...each }) => {
          if (mine !== running) return;
          menu.show(-1);
          writing.models[name].source = source;
          writing.models[name].steps.push(each);
          watch(writing, name);
        };
        const found = await ask("translate", { name, text }, step);
        if (mine !== running) return;
        writing.models[name] = found;
        show(writing);
      } catch (error) {
        if (mine === running) form.tell(error.message);
        return;
      }
    }
  }

  /** A word has been written: its sentence grows at once, the map a few times a second, if it is small. */
  let drawn = 0;
  function watch(what, name) {
    const { source, steps } = what.models[name];
    const row = rows.find((each) => each.name === name);
    row.says.textContent = sentenceOf(steps);
    row.says.classList.add("busy");
    const small = source.length * steps.length < 400;
    if (name !== model.get("model") || (shown === what && (!small || performance.now() - drawn < 150))) return;
    show(what, name);
    drawn = performance.now();
  }

  function show(what, busy = null) {
    shown = what;
    laid = null;
    draw(busy);
  }

  let laid = null;
  function draw(busy = null) {
    const chosen = model.get("model");
    rows.forEach(({ name, radio, says }) => {
      radio.checked = name === chosen;
      says.textContent = sentenceOf(shown.models[name].steps);
      says.classList.toggle("busy", name === busy);
    });
    const { source, steps } = shown.models[chosen];
    unknown.replaceChildren(...unknowns(source));
    unknown.hidden = !unknown.childNodes.length;
    const looks = steps.length > 0 && attends(steps);
    view.node.hidden = !steps.length;
    view.node.classList.toggle("blind", !looks);
    without.hidden = looks || !steps.length;
    without.textContent = "This network has no attention. One vector stands for the whole sentence, whatever word is written.";
    if (!steps.length) return;
    if (laid !== steps) {
      view.lay({ source: source.map(({ text }) => readable(text)), target: steps.map(({ token }) => readable(token)), weights: steps.map(({ weights }) => weights) });
      laid = steps;
    }
    const word = Math.min(model.get("word"), steps.length - 1);
    view.show(word);
    const { token, likely, entropy } = steps[word];
    next.replaceChildren(
      h("p", { class: "name" }, `The likeliest words at “${readable(token)}”, in percent; entropy ${fixed(entropy, 2)} nats`),
      ...likely.flatMap(([each, p]) => [
        h("span", { class: each === token ? "taken" : "" }, readable(each)),
        h("span", { class: "bar", style: { width: `${100 * p}%` } }),
        h("span", {}, (100 * p).toFixed(1)),
      ]),
    );
    if (!busy) voice.say(`${names[chosen]}: ${sentenceOf(steps)}`);
  }

  /** A stored sentence from its first word, also the one that was chosen before. */
  function again(sentence) {
    if (sentence !== model.get("sentence")) set({ word: 0, sentence });
    else {
      set({ word: 0 });
      choose();
    }
  }

  function choose() {
    running += 1;
    form.tell(null);
    const index = model.get("sentence");
    menu.show(index);
    form.write(answers[index].text);
    show(answers[index]);
  }

  frame(
    el,
    "live",
    `Translate a sentence of your own, ${from} to ${to}`,
    STYLE,
    form.node,
    answers.length > 1 && menu.node,
    h("fieldset", {}, h("legend", {}, "What each model writes; choose one to see where it looks, if it looks at all"), h("div", { class: "rows" }, rows.map(({ node }) => node))),
    unknown,
    without,
    view.node,
    voice.node,
  );
  const redraw = () => draw();
  model.on("change:sentence", choose);
  model.on("change:model", redraw);
  model.on("change:word", redraw);
  choose();
  return () => {
    running += 1;
    model.off("change:sentence", choose);
    model.off("change:model", redraw);
    model.off("change:word", redraw);
  };
}

export default { render };

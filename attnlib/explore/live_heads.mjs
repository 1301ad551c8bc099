// Switch heads off: a transformer translates without them, in the page.
import { announcer, frame, h, sentenceMenu, setter } from "./base.mjs";
import { ask, liveForm, marked, missing, sentenceOf } from "./live.mjs";

const STYLE = `
.attn-heads-off { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-heads-off .kinds { display: grid; gap: 0.9rem 1.4rem; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); }
.attn-heads-off .grid { display: grid; gap: 4px; grid-template-columns: max-content repeat(var(--heads), minmax(26px, 40px)); align-items: center; margin-top: 0.3rem; }
.attn-heads-off .grid span { color: var(--soft); font-size: 0.8em; text-align: center; }
.attn-heads-off .grid .block { padding: 0.2rem 0.5rem; font-size: 0.8em; }
.attn-heads-off .head { position: relative; display: block; height: 30px; margin: 0; cursor: pointer; }
.attn-heads-off .head input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
.attn-heads-off .head i { display: block; height: 100%; border-radius: 6px; border: 1px solid var(--line); background: color-mix(in srgb, var(--query) var(--cost, 55%), var(--card)); }
.attn-heads-off .legend { grid-template-columns: 9rem auto; }
.attn-heads-off .legend .ramp { background: linear-gradient(90deg, var(--card), var(--query)); }
.attn-heads-off .head input:not(:checked) + i { background: repeating-linear-gradient(135deg, var(--sunk) 0 5px, var(--line) 5px 7px); }
.attn-heads-off .head input:focus-visible + i { outline: 2.5px solid var(--focus); outline-offset: 2px; }
.attn-heads-off .head:hover i { border-color: var(--ink); }
.attn-heads-off dl { display: grid; gap: 0.25rem 0.9rem; grid-template-columns: max-content minmax(0, 1fr); margin: 0; padding: 0.8rem 1rem; border-radius: 10px; background: var(--sunk); min-height: 6.4em; align-content: start; }
@container (max-width: 37rem) { .attn-heads-off dl { position: sticky; top: var(--attn-top, 0px); z-index: 2; border: 1px solid var(--line); } }
.attn-heads-off dt { margin: 0; color: var(--soft); font-size: 0.85em; font-weight: 600; }
.attn-heads-off dd { margin: 0; overflow-wrap: anywhere; }
.attn-heads-off dd b { color: var(--context-ink); text-decoration: underline; text-underline-offset: 3px; }
.attn-heads-off .line { display: flex; flex-wrap: wrap; gap: 0.4rem 0.8rem; align-items: baseline; }
@media (forced-colors: active) { .attn-heads-off .head i { forced-color-adjust: none; } }
`;

const NAMES = { encoder: "Encoder: English on itself", decoder: "Decoder: French on itself so far", cross: "Cross-attention: French on English" };

function render({ model, el }) {
  const [name, files, answers] = [model.get("name"), model.get("files"), model.get("answers")];
  const [layers, heads] = [model.get("layers"), model.get("heads")];
  const kinds = Object.keys(NAMES);
  let text = "";
  let first = "";
  let ids = null; // the words of `first`, where the model that wrote it was here
  let least = 0; // its bits with all heads on
  let costs = new Map(); // how many bits it loses without a head, as far as it is known
  let running = 0;
  const bits = (logprob) => -logprob / Math.LN2;
  const set = setter(model);
  const isOff = (key) => model.get("off").includes(key);
  const turn = (keys, off) => {
    const kept = model.get("off").filter((key) => !keys.includes(key));
    set({ off: off ? [...kept, ...keys] : kept });
  };

  const form = liveForm({
    model,
    files,
    label: "A sentence in English, of the kind that describes a photograph",
    verb: "Translate",
    about: "Every switch is answered by the model itself.",
    act: (typed) => translate(typed),
  });
  const menu = sentenceMenu(answers.map((each) => each.text), (sentence) => (sentence === model.get("sentence") ? choose() : set({ sentence })), "Or one of these");
  const [boxes, labels] = [new Map(), new Map()];
  const grids = kinds.map((kind) => {
    const all = (block) => Array.from({ length: heads }, (_, head) => `${kind} ${block} ${head}`);
    const rows = Array.from({ length: layers }, (_, block) => [
      h("button", { type: "button", class: "block", "aria-label": `block ${block + 1} of the ${kind}: all heads`, onclick: () => turn(all(block), !all(block).every(isOff)) }, `block ${block + 1}`),
      all(block).map((key, head) => {
        const box = h("input", { type: "checkbox", "aria-label": `${kind}, block ${block + 1}, head ${head + 1}`, onchange: () => turn([key], !box.checked) });
        boxes.set(key, box);
        const label = h("label", { class: "head" }, box, h("i"));
        labels.set(key, label);
        return label;
      }),
    ]);
    const numbers = Array.from({ length: heads }, (_, head) => h("span", { "aria-hidden": "true" }, String(head + 1)));
    return h("fieldset", {}, h("legend", {}, NAMES[kind]), h("div", { class: "grid", style: { "--heads": heads } }, h("span", {}, "head"), numbers, rows));
  });
  const count = h("span", { class: "hint" });
  const reset = h("button", { type: "button", onclick: () => set({ off: [] }) }, "All heads on");
  const [before, after, cost] = [h("dd"), h("dd"), h("dd")];
  const said = h("dl", {}, h("dt", {}, "all heads"), before, h("dt", {}, "without"), after, h("dt", {}, "costs"), cost);
  const dearest = h("span");
  const legend = h("div", { class: "legend" }, h("span", { class: "ramp" }), h("span", {}, "what the loss of one head costs"), h("span", { class: "ticks" }, h("span", {}, "0"), dearest));
  const voice = announcer();

  /** Shade each head by what its loss costs. */
  function shade() {
    const most = Math.max(...costs.values(), 0);
    legend.style.visibility = costs.size ? "visible" : "hidden";
    dearest.textContent = `${most.toFixed(1)} bits`;
    for (const [key, label] of labels) {
      const known = costs.get(key);
      const [, block, head] = key.split(" ").map(Number);
      label.title = `block ${block + 1}, head ${head + 1}${known === undefined ? "" : `: ${known.toFixed(2)} bits`}`;
      label.style.setProperty("--cost", known === undefined ? "" : `${(100 * Math.max(0, known)) / (most || 1)}%`);
    }
  }

  /** What so many bits less mean: one bit is half as likely. */
  function tellCost(lost) {
    const times = 2 ** Math.abs(lost);
    const size = times < 10 ? times.toFixed(1) : times < 1e6 ? Math.round(times).toLocaleString("en") : times.toExponential(0).replace("e+", " × 10^");
    const what = Math.abs(lost) < 0.07 ? "about as likely as before" : `${size} times ${lost < 0 ? "more" : "less"} likely`;
    cost.textContent = `${lost.toFixed(2)} bits: what all heads write has become ${what}`;
  }

  /** Try each head by itself, while nothing else is asked. */
  async function tryEach() {
    const mine = text;
    for (const key of boxes.keys()) {
      const logprob = await ask("score", { name, text, ids, off: [key] });
      if (mine !== text) return;
      costs.set(key, bits(logprob) - least);
      shade();
    }
  }

  function show(translation) {
    before.replaceChildren(...marked(translation, first));
    after.replaceChildren(...marked(first, translation));
    if (translation === first) after.append(" (the same)");
    voice.say(`${model.get("off").length} heads off: ${translation}`);
  }

  async function redraw() {
    const off = model.get("off");
    for (const [key, box] of boxes) box.checked = !isOff(key);
    count.textContent = `${off.length} of ${boxes.size} heads off`;
    reset.disabled = !off.length;
    const mine = (running += 1);
    before.textContent = first;
    cost.textContent = "";
    if (!off.length) {
      after.textContent = "Switch a head off, below.";
      return;
    }
    const stored = answers.find((each) => each.text === text);
    if (stored && off.length === 1) {
      const [says, lost] = stored.without[off[0]];
      show(says);
      tellCost(lost);
    } else if (missing(files)) {
      after.textContent = "Press the button above: for more than one head the model must be here.";
    } else {
      try {
        const found = await ask("translate", { name, text, off });
        if (mine !== running) return;
        show(sentenceOf(found.steps));
        await learn();
        const logprob = await ask("score", { name, text, ids, off });
        if (mine === running) tellCost(bits(logprob) - least);
      } catch (error) {
        form.tell(error.message);
      }
    }
  }

  /** What all heads write of the sentence, and how likely it is to them. */
  async function learn() {
    if (ids) return;
    const found = await ask("translate", { name, text });
    [ids, least] = [found.steps.map(({ id }) => id).slice(0, -1), bits(found.logprob)];
  }

  async function translate(typed) {
    const mine = (running += 1);
    try {
      const found = await ask("translate", { name, text: typed });
      if (mine !== running) return;
      const stored = answers.findIndex((each) => each.text === typed);
      begin(typed, sentenceOf(found.steps), stored);
      [ids, least] = [found.steps.map(({ id }) => id).slice(0, -1), bits(found.logprob)];
      await redraw();
      if (stored < 0) await tryEach();
    } catch (error) {
      form.tell(error.message);
    }
  }

  /** A sentence and its translation; what each head is worth to it, if that was stored. */
  function begin(typed, says, stored) {
    [text, first, ids] = [typed, says, null];
    costs = new Map(stored < 0 ? [] : Object.entries(answers[stored].without).map(([key, [, lost]]) => [key, lost]));
    menu.show(stored);
    shade();
  }

  function choose() {
    form.tell(null);
    const index = model.get("sentence");
    begin(answers[index].text, answers[index].says, index);
    form.write(text);
    redraw();
  }

  frame(
    el,
    "heads-off",
    "Switch off heads of a transformer, and see its translation",
    STYLE,
    form.node,
    answers.length > 1 && menu.node,
    said,
    h("div", { class: "line" }, reset, count, legend),
    h("div", { class: "kinds" }, grids),
    voice.node,
  );
  model.on("change:sentence", choose);
  model.on("change:off", redraw);
  choose();
  return () => {
    running += 1;
    model.off("change:sentence", choose);
    model.off("change:off", redraw);
  };
}

export default { render };

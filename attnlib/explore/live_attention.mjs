// Move the attention: the weights of one step in the reader's hands, and the next word's chances.
import { announcer, frame, h, sentenceMenu, setter, unique } from "./base.mjs";
import { ask, liveForm, marked, missing, readable, sentenceOf } from "./live.mjs";

const STYLE = `
.attn-move { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-move [hidden] { display: none !important; }
.attn-move .written { display: flex; flex-wrap: wrap; gap: 0.2rem; margin-top: 0.3rem; }
.attn-move .written button { padding: 0.1rem 0.5rem; min-height: 26px; }
.attn-move .written button[aria-pressed="true"] { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); color: var(--query-ink); font-weight: 700; }
.attn-move .both { display: grid; gap: 1rem 1.6rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) { .attn-move .both { grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr); } }
.attn-move .source { display: grid; gap: 0.1rem 0.5rem; grid-template-columns: max-content minmax(4rem, 1fr) 3.2rem max-content max-content; align-items: center; margin-top: 0.3rem; }
.attn-move .source .word { text-align: right; white-space: nowrap; max-width: 7rem; overflow: hidden; text-overflow: ellipsis; }
.attn-move .source .gone { text-decoration: line-through; color: var(--soft); }
.attn-move .source output { text-align: right; font-size: 0.92em; }
.attn-move .source button { padding: 0.05rem 0.5rem; font-size: 0.82em; min-height: 26px; }
.attn-move .source button[aria-pressed="true"] { background: var(--ink); color: var(--card); }
.attn-move .words { display: grid; gap: 0.35rem 0.7rem; grid-template-columns: max-content minmax(3rem, 1fr) max-content; align-items: center; padding: 0.8rem 1rem; border-radius: 10px; background: var(--sunk); }
@container (max-width: 37rem) {
  .attn-move .both, .attn-move .both > div { display: contents; }
  .attn-move .answers { position: sticky; top: var(--attn-top, 0px); z-index: 2; order: 1; border: 1px solid var(--line); border-radius: 10px; background: var(--sunk); }
  .attn-move .answers .words { padding: 0.6rem 0.8rem 0.3rem; } .attn-move .answers .going { padding: 0 0.8rem 0.6rem; min-height: 0; }
  .attn-move .words .name { display: none; }
  .attn-move .take { order: 2; } .attn-move .both .hint:not(.words *) { order: 2; }
  .attn-move .both > div > .name { order: 3; } .attn-move .source { order: 4; }
}
.attn-move .words > :is(p, .hint) { grid-column: 1 / -1; }
.attn-move .words .bars { display: grid; gap: 2px; }
.attn-move .words .bars i { display: block; height: 0.5rem; border-radius: 3px; background: var(--line); }
.attn-move .words .bars i + i { background: var(--value); }
.attn-move .answers { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
@container (max-width: 37rem) { .attn-move .answers { gap: 0.2rem; } }
.attn-move .going { overflow-wrap: anywhere; min-height: 4.4em; }
.attn-move .going b { color: var(--context-ink); text-decoration: underline; text-underline-offset: 3px; }
.attn-move .words .most { font-weight: 700; }
.attn-move .take { display: flex; flex-wrap: wrap; gap: 0.4rem 0.7rem; align-items: center; }
.attn-move .take label { margin: 0; color: var(--soft); font-size: 0.85em; font-weight: 600; }
@media print { .attn-move :is(.source button, .take) { display: none; } }
`;

const percent = (p) => (100 * p).toFixed(1);

function render({ model, el }) {
  const id = unique("move");
  const [name, files, answers] = [model.get("name"), model.get("files"), model.get("answers")];
  let answer = null; // { said, source, steps }: a stored one, or one of the reader's own
  let looks = []; // the reader's weights, before they are made to sum to 1; none: the model's own
  let forbidden = [];
  let alone = null; // the likeliest words with all weight on one source word at a time
  let running = 0;
  const set = setter(model);

  const form = liveForm({
    model,
    files,
    label: "A sentence in English, of the kind that describes a photograph",
    verb: "Translate",
    about: "Move a weight, or forbid a word: the model answers at once.",
    act: (text) => translate(text),
  });
  const menu = sentenceMenu(answers.map(({ said }) => said), begin, "Or one of these");
  const written = h("div", { class: "written" });
  const rows = h("div", { class: "source" });
  const words = h("div", { class: "words" });
  const reset = h("button", { type: "button", onclick: () => (clear(), show()) }, "As the model looks");
  const wanted = h("select", { id: `${id}-wanted`, onchange: () => take() });
  const taken = h("p", { class: "hint" });
  const going = h("p", { class: "going" });
  const voice = announcer();

  /** Begin with a stored sentence, also with the one that was begun with before. */
  function begin(sentence) {
    const [first, opening] = model.get("first");
    const word = sentence === first ? opening : 0;
    if (sentence !== model.get("sentence")) set({ word, sentence });
    else {
      set({ word });
      choose();
    }
  }

  const step = () => answer.steps[model.get("word")];
  const clear = () => {
    [looks, forbidden] = [[], []];
    [wanted.value, taken.textContent] = ["", ""];
  };
  const isFirst = () => answer === answers[model.get("first")[0]] && model.get("word") === model.get("first")[1];
  const only = (s) => (looks = answer.source.map((_, i) => (i === s ? 1 : 0)));
  const onlyOne = () => (looks.filter((a) => a > 0).length === 1 ? looks.findIndex((a) => a > 0) : null);

  /** The weights that the step now uses, as far as they are known without asking. */
  function weights() {
    const own = looks.length ? looks : step().weights.map((a, s) => (forbidden.includes(s) ? 0 : a));
    const total = own.reduce((a, b) => a + b, 0);
    return own.map((a) => (total > 0 ? a / total : 0));
  }

  function drawRows() {
    const now = weights();
    rows.replaceChildren(
      ...answer.source.flatMap(({ text }, s) => {
        const word = readable(text);
        const slider = h("input", {
          type: "range",
          min: 0,
          max: 1,
          step: 0.01,
          "aria-label": `weight on ${word}`,
          style: { "--at": `${100 * now[s]}%` },
          oninput: (event) => {
            looks = looks.length ? looks : weights();
            const rest = looks.reduce((sum, a, i) => (i === s ? sum : sum + a), 0);
            const mine = Number(event.target.value);
            looks = looks.map((a, i) => (i === s ? mine : rest > 0 ? (a / rest) * (1 - mine) : (1 - mine) / (looks.length - 1)));
            [forbidden, wanted.value, taken.textContent] = [[], "", ""];
            refresh();
          },
        });
        slider.value = now[s];
        return [
          h("span", { class: `word${forbidden.includes(s) ? " gone" : ""}${answer.source[s].unknown ? " unknown" : ""}` }, word),
          slider,
          h("output", {}, percent(now[s])),
          h("button", { type: "button", "aria-pressed": String(onlyOne() === s), "aria-label": `look at ${word} alone`, onclick: () => (clear(), only(s), show()) }, "only"),
          h("button", { type: "button", "aria-pressed": String(forbidden.includes(s)), "aria-label": `forbid ${word}`, onclick: () => forbid(s) }, "not"),
        ];
      }),
    );
  }

  function forbid(s) {
    looks = [];
    forbidden = forbidden.includes(s) ? forbidden.filter((each) => each !== s) : [...forbidden, s];
    show();
  }

  /** After a slider has moved: the numbers beside it, not the sliders themselves, which are in a hand. */
  function refresh() {
    const now = weights();
    rows.querySelectorAll("input").forEach((slider, s) => {
      if (slider !== document.activeElement) slider.value = now[s];
      slider.style.setProperty("--at", `${100 * now[s]}%`);
    });
    rows.querySelectorAll("output").forEach((output, s) => (output.textContent = percent(now[s])));
    rows.querySelectorAll("[aria-pressed]").forEach((button) => button.setAttribute("aria-pressed", "false"));
    rows.querySelectorAll(".gone").forEach((word) => word.classList.remove("gone"));
    drawWords();
  }

  /** What the reader holds, as the model is asked for it. */
  const request = () => ({
    name,
    text: answer.said,
    written: answer.steps.slice(0, model.get("word")).map((each) => each.id),
    weights: looks.length ? weights() : null,
    forbidden,
  });

  // The rest of the sentence takes longer than its next word: it is asked for once the hand rests.
  let resting = 0;
  function drawGoing() {
    clearTimeout(resting);
    const own = sentenceOf(answer.steps);
    const say = (...parts) => going.replaceChildren(h("span", { class: "name" }, "How the sentence goes on: "), ...parts);
    if (reset.disabled) say(own);
    else if (missing(files)) say(h("span", { class: "hint" }, "for this the model must be here."));
    else {
      const mine = running;
      resting = setTimeout(async () => {
        try {
          const { text } = await ask("onward", request());
          if (mine === running) say(...marked(own, text));
        } catch (error) {
          form.tell(error.message);
        }
      }, 150);
    }
  }

  let asking = false; // one question at a time: the newest weights wait for the answer
  async function drawWords() {
    running += 1;
    const own = step().likely;
    reset.disabled = !looks.length && !forbidden.length;
    drawGoing();
    if (reset.disabled) {
      list(own.map(([token, p]) => ({ token, own: p, other: p })));
      return;
    }
    const s = onlyOne();
    if (s !== null && alone) {
      const chance = (list_, token) => (list_.find(([each]) => each === token) ?? [token, null])[1];
      const tokens = [...new Set([...alone[s], ...own].map(([token]) => token))];
      list(tokens.map((token) => ({ token, own: chance(own, token), other: chance(alone[s], token) })));
      return;
    }
    if (missing(files)) {
      words.replaceChildren(h("p", { class: "hint" }, "Press the button above: for this the model must be here."));
      return;
    }
    if (asking) return;
    asking = true;
    try {
      for (let asked = 0; asked !== running; ) {
        asked = running;
        const found = await ask("next", request());
        if (!reset.disabled) list(found.words);
      }
    } catch (error) {
      form.tell(error.message);
    } finally {
      asking = false;
    }
  }

  function list(all) {
    const chance = ({ own, other }) => Math.max(own ?? 0, other ?? 0);
    const found = [...all].sort((a, b) => chance(b) - chance(a)).slice(0, 6);
    const least = (key) => all.reduce((low, each) => Math.min(low, each[key] ?? 1), 1);
    const most = found.reduce((a, b) => ((b.other ?? 0) > (a.other ?? 0) ? b : a));
    const say = (p, key) => (p === null ? `at most ${percent(Math.max(least(key), 0.001))}` : percent(p));
    words.replaceChildren(
      h("p", { class: "name" }, "The next word: chance in percent, as the model looks and as you look"),
      ...(weights().some((a) => a > 0) ? [] : [h("p", { class: "hint" }, "Nothing is left to look at: the context is zero, and only what was written speaks.")]),
      ...found.flatMap(({ token, own, other }) => [
        h("span", { class: token === most.token ? "most" : "" }, readable(token)),
        h("span", { class: "bars" }, [own, other].map((p) => h("i", { style: { width: `${100 * (p ?? 0)}%` } }))),
        h("span", {}, `${say(own, "own")} → ${say(other, "other")}`),
      ]),
    );
    voice.say(`The likeliest next word is ${readable(most.token)}, ${percent(most.other ?? 0)} percent.`);
  }

  function drawWanted() {
    const tokens = alone ? [...new Set(alone.flatMap((likely) => likely.slice(0, 2).map(([token]) => token)))] : [];
    wanted.replaceChildren(h("option", { value: "" }, alone ? "choose a word" : "fetch the model first"), ...tokens.map((token) => h("option", { value: token }, readable(token))));
    taken.textContent = "";
  }

  function take() {
    const token = wanted.value;
    if (!token) return;
    const chances = alone.map((likely) => (likely.find(([each]) => each === token) ?? [0, 0])[1]);
    const s = chances.reduce((best, p, i) => (p > chances[best] ? i : best), 0);
    clear();
    only(s);
    show();
    const first = alone[s][0][0] === token;
    taken.textContent = `All weight on ${readable(answer.source[s].text)} gives ${readable(token)} its best chance of a single look, ${percent(chances[s])} %: ${first ? "the most probable of all, so it would be written." : `still, ${readable(alone[s][0][0])} would be written.`}`;
  }

  async function learnAlone() {
    const mine = answer;
    if (isFirst()) alone = model.get("alone");
    else if (missing(files)) alone = null;
    else {
      alone = null;
      const found = await ask("alone", request());
      if (mine === answer) alone = found;
    }
    drawWanted();
  }

  /** Draw anew, and leave the keyboard's focus where it was. */
  function show() {
    const held = el.querySelectorAll(".written button, .source :is(input, button)");
    const at = [...held].indexOf(document.activeElement);
    redraw();
    if (at >= 0) el.querySelectorAll(".written button, .source :is(input, button)")[at]?.focus({ preventScroll: true });
  }

  function redraw() {
    written.replaceChildren(
      ...answer.steps.map(({ token }, t) =>
        h("button", { type: "button", "aria-pressed": String(t === model.get("word")), onclick: () => set({ word: t }) }, readable(token)),
      ),
    );
    drawRows();
    drawWords();
  }

  function turn() {
    clear();
    if (model.get("word") >= answer.steps.length) set({ word: 0 });
    show();
    learnAlone();
  }

  async function translate(text) {
    const mine = (running += 1);
    if (text === answer.said) { // the model has come: what is in the reader's hands stays there
      show();
      learnAlone();
      return;
    }
    try {
      const found = await ask("translate", { name, text });
      if (mine !== running) return;
      const stored = answers.findIndex(({ said }) => said === text);
      answer = stored >= 0 ? answers[stored] : { said: text, ...found };
      menu.show(stored);
      turn();
    } catch (error) {
      form.tell(error.message);
    }
  }

  function choose() {
    form.tell(null);
    answer = answers[model.get("sentence")];
    menu.show(model.get("sentence"));
    form.write(answer.said);
    turn();
  }

  frame(
    el,
    "move",
    "Move the attention of one step, and see the next word change",
    STYLE,
    form.node,
    menu.node,
    h("div", {}, h("p", { class: "name" }, "The word that is being written; the weights always sum to 100"), written),
    h(
      "div",
      { class: "both" },
      h("div", {}, h("p", { class: "name" }, "Weight on each source word, in percent"), rows),
      h("div", { class: "attn-move" }, h("div", { class: "answers" }, words, going), h("div", { class: "take" }, h("label", { for: `${id}-wanted` }, "What would it take to write"), wanted, reset), taken),
    ),
    voice.node,
  );
  model.on("change:sentence", choose);
  model.on("change:word", turn);
  choose();
  return () => {
    running += 1;
    clearTimeout(resting);
    model.off("change:sentence", choose);
    model.off("change:word", turn);
  };
}

export default { render };

// Hear what the decoder attends to: a recording as loud as the weights of one step.
import { announcer, choices, dataTable, fixed, frame, h, legend, sentenceMenu, setter, svg, unique, viridis } from "./base.mjs";

// ---------------------------------------------------------------- the numbers

/** Samples from -1 to 1 of base64 text of unsigned 8-bit integers. */
export const samplesOf = (text) => Float32Array.from(atob(text), (c) => (c.charCodeAt(0) - 128) / 127);

/** The middle of position s, in seconds. */
export const middle = (s, { start, step }) => start + step * (s + 0.5);

/** How loud each position is: its weight over the largest. */
export function gains(weights) {
  const most = Math.max(...weights);
  return weights.map((a) => (most > 0 ? a / most : 0));
}

/** How loud it is at a time: on the line from one position's middle to the next, even before the first and after the last. */
export function gainAt(loud, seconds, { start, step }) {
  const at = Math.min(Math.max((seconds - start) / step - 0.5, 0), loud.length - 1);
  const s = Math.min(Math.floor(at), Math.max(loud.length - 2, 0));
  return loud[s] + (at - s) * ((loud[s + 1] ?? loud[s]) - loud[s]);
}

const TIE = 1e-6; // seconds, as in Python

/** How much of a row of weights lies within the borders of each digit. */
export const masses = (weights, { seconds, ...places }) =>
  seconds.map(([first, end]) => {
    const within = (s) => first <= middle(s, places) + TIE && middle(s, places) + TIE < end;
    return weights.reduce((sum, a, s) => (within(s) ? sum + a : sum), 0);
  });

const END = "</s>";
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

/** What is said of step t of a recording by a model; as `Listening.step` in Python. */
export function stepOf(recording, model, t) {
  const { digits, readings } = recording;
  const { written, told, weights } = readings[model];
  const onTheWay = same(written.slice(0, t), digits.slice(0, t));
  const due = told || onTheWay ? [...digits, END][t] : null;
  const wrote = !told || onTheWay ? [...written, END][t] : null;
  const all = masses(weights[t], recording);
  const top = all.indexOf(Math.max(...all));
  const most = all[top] > 0 ? top : null;
  const even = masses(weights[t].map(() => 1 / weights[t].length), recording);
  return {
    due,
    wrote,
    right: wrote === null || due === null ? null : wrote === due,
    most,
    share: most === null ? 0 : all[most],
    uniform: most === null ? 0 : even[most],
  };
}

/**
 * Play samples in an audio context, as loud as the positions are, or all of them in full: `from` is
 * the time of the context at which they begin. Gives the source, which can be stopped.
 */
export function schedule(context, { samples, rate, start, step }, loud = null, from = 0) {
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  const volume = new GainNode(context, { gain: loud ? loud[0] : 1 });
  if (loud?.length > 1) {
    volume.gain.setValueAtTime(loud[0], from);
    volume.gain.setValueCurveAtTime(new Float32Array(loud), from + middle(0, { start, step }), step * (loud.length - 1));
  }
  source.connect(volume).connect(context.destination);
  source.start(from);
  return source;
}

/** Where the colours end, for all recordings and models: the largest weight there is, and up to the next tenth. */
export const scaleOf = (recordings) =>
  Math.max(1, ...recordings.flatMap(({ readings }) => Object.values(readings).flatMap(({ weights }) => weights.map((row) => Math.ceil(10 * Math.max(...row)))))) / 10;

const COLUMNS = 360; // of a waveform

/** The outline of a waveform in a box COLUMNS wide and from -1 to 1 high, `loudness` at each time. */
export function outline(samples, rate, loudness = () => 1) {
  const width = samples.length / COLUMNS;
  const [above, below] = [[], []];
  for (let i = 0; i < COLUMNS; i += 1) {
    const part = samples.subarray(Math.floor(i * width), Math.max(Math.floor((i + 1) * width), Math.floor(i * width) + 1));
    const factor = loudness(((i + 0.5) * width) / rate);
    above.push(`${i + 0.5} ${(-factor * part.reduce((a, b) => Math.max(a, b), -1)).toFixed(3)}`);
    below.push(`${i + 0.5} ${(-factor * part.reduce((a, b) => Math.min(a, b), 1)).toFixed(3)}`);
  }
  return `M${above.join("L")}L${below.reverse().join("L")}Z`;
}

// ---------------------------------------------------------------- the look

const STYLE = `
.attn-listening { display: grid; gap: 0.8rem; grid-template-columns: minmax(0, 1fr); --names: 5rem; }
.attn-listening .settings { display: flex; flex-wrap: wrap; gap: 0.7rem 1.6rem; align-items: end; }
.attn-listening .settings .field { flex: 1 1 15rem; min-width: 0; }
.attn-listening .buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.attn-listening .buttons button { min-height: 2.1rem; }
.attn-listening button[aria-disabled="true"] { opacity: 0.5; cursor: default; }
.attn-listening .main { background: var(--ink); border-color: var(--ink); color: var(--card); font-weight: 600; }
.attn-listening .sounding { color: var(--soft); font-size: 0.88em; }
.attn-listening .silent { color: var(--context-ink); font-weight: 600; }
.attn-listening .silent:empty { position: absolute; }
.attn-listening .stage { position: relative; display: grid; gap: 0.25rem; grid-template-columns: minmax(0, 1fr); }
.attn-listening .stage > div:not(.over) { display: grid; grid-template-columns: var(--names) minmax(0, 1fr); }
.attn-listening .said { position: relative; height: 1.5em; font-size: 0.82em; }
.attn-listening .said span { position: absolute; bottom: 0; transform: translateX(-50%); white-space: nowrap; line-height: 1.35; font-weight: 600; }
.attn-listening .said .most { color: var(--context-ink); text-decoration: underline; text-underline-offset: 3px; text-decoration-thickness: 2px; }
.attn-listening .label { color: var(--soft); font-size: 0.82em; font-weight: 600; align-self: center; text-align: right; padding-right: 0.5rem; line-height: 1.2; }
.attn-listening .wave { display: block; width: 100%; height: 72px; background: var(--sunk); border-radius: 4px; }
.attn-listening .wave .whole { fill: var(--soft); opacity: 0.42; }
.attn-listening .wave .heard { fill: var(--context); }
.attn-listening .steps { display: grid; gap: 2px; }
.attn-listening .stage .steps { grid-template-columns: minmax(0, 1fr) !important; }
.attn-listening .step { display: grid; grid-template-columns: var(--names) minmax(0, 1fr); cursor: pointer; border-radius: 5px; min-height: 24px; }
.attn-listening .step .token { padding: 0 0.5rem 0 0.2rem; text-align: right; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-size: 0.92em; align-self: center; }
.attn-listening .step .token.told { color: var(--soft); font-style: italic; }
.attn-listening .step .sign { color: var(--context-ink); font-weight: 700; }
.attn-listening .step svg { display: block; width: 100%; height: 24px; border-radius: 3px; }
.attn-listening .step .due { fill: none; stroke: #fff; stroke-width: 1.2; opacity: 0.9; }
.attn-listening .step:hover { box-shadow: 0 0 0 1px var(--soft); }
.attn-listening .step[aria-selected="true"] { box-shadow: 0 0 0 2px var(--query); }
.attn-listening .step[aria-selected="true"] .token { font-weight: 700; color: var(--query-ink); }
.attn-listening .over { position: absolute; top: 1.5em; bottom: 1.45rem; left: var(--names); right: 0; pointer-events: none; }
.attn-listening .over i { position: absolute; top: 0; bottom: 0; width: 0; margin: 0; border-left: 1px dashed #9aa4b1; opacity: 0.8; }
.attn-listening .over .line { position: absolute; top: 0; bottom: 0; width: 3px; margin-left: -1.5px; background: #e8590c; box-shadow: 0 0 0 1px #fff8; }
.attn-listening .axis { position: relative; height: 1.2rem; color: var(--soft); font-size: 0.78em; }
.attn-listening .axis span { position: absolute; top: 0; transform: translateX(-50%); white-space: nowrap; }
.attn-listening .under { display: flex; flex-wrap: wrap; gap: 0.5rem 1.6rem; align-items: start; }
.attn-listening .readout { display: grid; gap: 0.3rem; padding: 0.7rem 0.9rem; border-radius: 10px; background: var(--sunk); border: 1px solid var(--line); border-left: 5px solid var(--context); }
.attn-listening .readout p { overflow-wrap: anywhere; }
.attn-listening .readout .wrong { color: var(--context-ink); font-weight: 700; }
.attn-listening .credit { color: var(--soft); font-size: 0.8em; }
.attn-listening [hidden] { display: none !important; }
@container (max-width: 34rem) {
  .attn-listening { --names: 3.9rem; }
  .attn-listening .readout { min-height: 8.2em; align-content: start; }
  .attn-listening .said.many { height: 2.9em; }
  .attn-listening .said.many span:nth-child(even) { bottom: 1.4em; }
  .attn-listening .stage:has(.many) .over { top: 2.4em; }
}
`;

// ---------------------------------------------------------------- the figure

const MANY = 5; // digits whose names need two lines on a phone
const TICKS = [0.5, 1, 2, 5]; // seconds between two marks of the axis

function render({ model, el }) {
  const id = unique("listening");
  const recordings = model.get("recordings");
  const models = Object.keys(recordings[0].readings);
  const set = setter(model);
  const largest = scaleOf(recordings);
  const sounds = recordings.map(() => null); // decoded when first shown

  const now = () => {
    const recording = recordings[model.get("recording")];
    const name = model.get("model");
    const rows = recording.readings[name].weights;
    const t = Math.min(model.get("row"), rows.length - 1);
    return { recording, name, rows, t, step: stepOf(recording, name, t) };
  };
  const soundOf = (i) => {
    const { samples, ...rest } = recordings[i];
    sounds[i] ??= { ...rest, samples: samplesOf(samples) };
    return sounds[i];
  };
  const lengthOf = (i) => soundOf(i).samples.length / recordings[i].rate;

  // ---- sound
  let context = null;
  let playing = null; // { source, begun, seconds, what, key }
  const line = h("span", { class: "line", hidden: true });
  const sounding = h("p", { class: "sounding" });
  const trouble = h("p", { class: "silent", role: "status" });

  function idle() {
    playing = null;
    line.hidden = true;
    sounding.textContent = "";
    stopper.setAttribute("aria-disabled", true);
  }
  function stop() {
    if (!playing) return;
    const { source } = playing;
    source.removeEventListener("ended", idle);
    idle();
    source.stop();
  }
  function follow() {
    if (!playing) return;
    const at = context.currentTime - playing.begun - (context.outputLatency || 0);
    line.style.left = `${100 * Math.min(Math.max(at / playing.seconds, 0), 1)}%`;
    line.hidden = false;
    requestAnimationFrame(follow);
  }
  function play(whole) {
    const Context = globalThis.AudioContext;
    globalThis.attnStopSound?.(); // of any figure on the page
    const { rows, t } = now();
    const i = model.get("recording");
    try {
      if (!Context) throw new Error("no Web Audio");
      context ??= new Context();
      context.resume();
      const begun = context.currentTime + 0.06;
      const source = schedule(context, soundOf(i), whole ? null : gains(rows[t]), begun);
      source.addEventListener("ended", idle);
      playing = { source, begun, seconds: lengthOf(i), key: whole ? String(i) : key() };
    } catch {
      trouble.textContent = "This browser plays no sound here. The map and its numbers work all the same.";
      return;
    }
    globalThis.attnStopSound = stop;
    sounding.textContent = whole ? "Playing the recording." : `Playing what step ${t + 1} hears.`;
    stopper.setAttribute("aria-disabled", false);
    follow();
  }
  const key = () => ["recording", "model", "row"].map((name) => model.get(name)).join(" ");
  const button = (text, onclick, name = "") => h("button", { type: "button", class: name, onclick }, text);
  const whole = button("▶ Play the recording", () => play(true));
  const heardButton = button("▶ Play what this step hears", () => play(false), "main");
  const stopper = button("■ Stop", stop);

  // ---- what stands there
  const menu = sentenceMenu(
    recordings.map(({ digits }) => digits.join(" ")),
    (recording) => set({ row: 0, recording }),
    "Recording",
  );
  const pills =
    models.length > 1 &&
    choices({
      legend: "Model",
      name: `${id}-model`,
      options: models.map((name) => [name, name]),
      onpick: (name) => set({ model: name }),
    });
  const said = h("div", { class: "said", "aria-hidden": "true" });
  const wave = svg("svg", { class: "wave", role: "img", viewBox: `0 -1 ${COLUMNS} 2`, preserveAspectRatio: "none" });
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  const over = h("div", { class: "over", "aria-hidden": "true" });
  const list = h("div", {
    class: "steps",
    role: "listbox",
    onfocusin: (event) => choose([...list.children].indexOf(event.target), false),
    "aria-label": "Words written: choose a step, press Enter to hear it",
    onkeydown: (event) => {
      const { rows, t } = now();
      const moves = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
      if (event.key in moves) choose(Math.min(Math.max(t + moves[event.key], 0), rows.length - 1), true);
      else if (event.key === "Enter" || event.key === " ") play(false);
      else return;
      event.preventDefault();
    },
  });
  const scale = h("div");
  const readout = h("div", { class: "readout" });
  const table = h("div");
  const voice = announcer();

  function choose(t, focus) {
    if (t >= 0 && t !== model.get("row")) set({ row: t });
    if (focus) list.children[t].focus();
  }

  const labelOf = ({ wrote, due }) => wrote ?? `(${due})`;
  const digitOf = ({ digits }, d) => `${digits[d]}, digit ${d + 1}`;

  /** What a step says, in two sentences: [text, whether it is wrong] each. */
  function sentences(recording, t, { wrote, due, right, most, share, uniform }) {
    const number = `Step ${t + 1}`;
    const first =
      wrote === null
        ? [`${number}: on its own the model had stopped or gone wrong before. Told the digits so far, it should write ${due}.`, false]
        : right === null
          ? [`${number} wrote ${wrote}, after an error.`, false]
          : [
              `${number} ${wrote === END ? "ended the string" : `wrote ${wrote}`}${right ? "." : `: wrong, ${due === END ? "nothing more was said" : `${due} was said`}.`}`,
              !right,
            ];
    if (most === null) return [first, ["None of its weight is on a digit.", false]];
    const elsewhere = due !== null && due !== END && most !== t;
    return [
      first,
      [
        `Most of its weight is on ${digitOf(recording, most)}: ${fixed(share)} within its borders; uniform weights: ${fixed(uniform)}.`,
        false,
      ],
      ...(elsewhere ? [[`It should be on ${digitOf(recording, t)}.`, true]] : []),
    ];
  }
  const textOf = (recording, name, t) =>
    sentences(recording, t, stepOf(recording, name, t))
      .map(([text]) => text)
      .join(" ");

  let drawn = null; // what the rows belong to
  function lay({ recording, name, rows }) {
    const i = model.get("recording");
    const { digits, seconds } = recording;
    const length = lengthOf(i);
    const percent = (x) => `${(100 * x) / length}%`;
    said.classList.toggle("many", digits.length > MANY);
    said.replaceChildren(...digits.map((digit, d) => h("span", { style: { left: percent((seconds[d][0] + seconds[d][1]) / 2) } }, digit)));
    wave.setAttribute(
      "aria-label",
      `Waveform of ${fixed(length, 1)} seconds: ${digits.map((digit, d) => `${digit} from ${fixed(seconds[d][0], 1)} to ${fixed(seconds[d][1], 1)}`).join(", ")}`,
    );
    wave.replaceChildren(svg("path", { class: "whole", d: outline(soundOf(i).samples, recording.rate) }), svg("path", { class: "heard" }));
    over.replaceChildren(...seconds.flat().map((x) => h("i", { style: { left: percent(x) } })), line);
    const every = TICKS.find((each) => length / each <= 7) ?? 10;
    axis.replaceChildren(
      ...Array.from({ length: Math.floor(length / every) + 1 }, (_, k) => h("span", { style: { left: percent(k * every) } }, k ? String(k * every) : "0 s")),
    );
    list.replaceChildren(
      ...rows.map((weights, t) => {
        const step = stepOf(recording, name, t);
        const due = step.due !== null && step.due !== END && seconds[t];
        return h(
          "div",
          {
            class: "step",
            role: "option",
            tabindex: "-1",
            "aria-label": textOf(recording, name, t),
            onclick: () => {
              choose(t, true);
              play(false);
            },
          },
          h("span", { class: step.wrote === null ? "token told" : "token" }, step.right === false && h("span", { class: "sign" }, "✗ "), labelOf(step)),
          svg(
            "svg",
            { viewBox: `0 0 ${length} 1`, preserveAspectRatio: "none", "shape-rendering": "crispEdges" },
            svg("rect", { width: length, height: 1, fill: viridis(0) }),
            weights.map((a, s) =>
              a > 0 && svg("rect", { x: recording.start + s * recording.step, width: recording.step, height: 1, fill: viridis(a / largest) }),
            ),
            due && svg("rect", { class: "due", x: due[0], width: due[1] - due[0], y: 0.04, height: 0.92, "vector-effect": "non-scaling-stroke" }),
          ),
        );
      }),
    );
    scale.replaceChildren(legend(largest));
    table.replaceChildren(
      dataTable({
        caption: `${name}: the share of each step’s weight within the borders of each digit`,
        corner: "step",
        columns: digits.map((digit, d) => `${d + 1}. ${digit}`),
        rows: rows.map((_, t) => `${t + 1}. ${labelOf(stepOf(recording, name, t))}`),
        weights: rows.map((weights) => masses(weights, recording)),
        open: table.querySelector("details")?.open ?? false,
      }),
    );
  }

  function draw() {
    const state = now();
    const { recording, name, rows, t, step } = state;
    const i = model.get("recording");
    if (playing && playing.key !== String(i) && playing.key !== key()) stop();
    if (drawn !== rows) lay(state);
    drawn = rows;
    menu.show(i);
    if (pills) pills.show(name);
    const loud = gains(rows[t]);
    wave.lastChild.setAttribute("d", outline(soundOf(i).samples, recording.rate, (x) => gainAt(loud, x, recording)));
    [...said.children].forEach((node, d) => node.classList.toggle("most", d === step.most));
    [...list.children].forEach((node, each) => {
      node.tabIndex = each === t ? 0 : -1;
      node.setAttribute("aria-selected", each === t);
    });
    const { written } = recording.readings[name];
    const told = sentences(recording, t, step);
    readout.replaceChildren(
      ...told.map(([text, wrong]) => h("p", { class: wrong ? "wrong" : "" }, wrong && "✗ ", text)),
      h("p", { class: "hint" }, `In all, the ${name} model wrote: ${written.join(" ") || "nothing"}.`),
    );
    voice.say(told.map(([text]) => text).join(" "));
  }

  el.addEventListener("keydown", (event) => event.key === "Escape" && stop());
  frame(
    el,
    "listening",
    "Hear what the decoder attends to",
    STYLE,
    h("div", { class: "settings" }, recordings.length > 1 && menu.node, pills && pills.node),
    h("div", { class: "buttons" }, whole, heardButton, stopper),
    trouble,
    h(
      "div",
      { class: "stage" },
      h("div", {}, h("span", { class: "label" }, "said"), said),
      h("div", {}, h("span", { class: "label" }, "sound"), wave),
      list,
      h("div", {}, h("span", { class: "label" }, ""), axis),
      over,
    ),
    readout,
    h("div", { class: "under" }, scale, sounding),
    h("p", { class: "hint" }, "Choose a row to hear the recording as loud as that step’s weights, the largest in full; or move with the up and down arrow keys and press Enter. Escape stops the sound. A white frame is the digit that the step should write. " +
        `A position lasts ${1000 * recordings[0].step} ms, so a digit’s weight is shared among several.`),
    table,
    model.get("credit") && h("p", { class: "credit" }, model.get("credit")),
    voice.node,
  );
  idle();
  const names = ["recording", "model", "row"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => {
    names.forEach((name) => model.off(`change:${name}`, draw));
    stop();
    if (globalThis.attnStopSound === stop) globalThis.attnStopSound = null;
    context?.close();
  };
}

export default { render };

// Arrange a scene: a captioner in the page says what it sees, and shows where it looks.
import { announcer, choices, fixed, frame, h, sentenceMenu, setter, unique } from "./base.mjs";
import { ask, liveForm, missing } from "./live.mjs";
import { COLOURS, NOUNS, TEXTURES, draw, faults, planes } from "./scenes.mjs";

const STYLE = `
.attn-scene { display: grid; gap: 0.9rem; grid-template-columns: minmax(0, 1fr); }
.attn-scene [hidden] { display: none !important; }
.attn-scene .both { display: grid; gap: 1rem 1.6rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 37rem) { .attn-scene .both { grid-template-columns: minmax(0, 22rem) minmax(0, 1fr); } }
.attn-scene .stage { position: relative; width: 100%; max-width: 22rem; aspect-ratio: 1; touch-action: none; border-radius: 8px; overflow: hidden; border: 1px solid var(--line); }
.attn-scene canvas { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
.attn-scene .looks { position: absolute; inset: 0; display: grid; grid-template: repeat(8, 1fr) / repeat(8, 1fr); pointer-events: none; }
.attn-scene .looks i { box-sizing: border-box; background: #000; opacity: calc(0.66 * (1 - var(--share))); border: 2px solid transparent; }
.attn-scene .looks i.most { border-color: #fff; opacity: 1; background: none; box-shadow: 0 0 0 1px #000; }
.attn-scene .held .looks { opacity: 0; }
.attn-scene .handle { position: absolute; width: 34px; height: 34px; margin: -17px 0 0 -17px; padding: 0; border-radius: 50%; border: 2px dashed #fffa; background: none; cursor: grab; touch-action: none; }
.attn-scene .handle[aria-pressed="true"] { border: 3px solid #fff; box-shadow: 0 0 0 2px #000; }
.attn-scene .caption { display: flex; flex-wrap: wrap; gap: 0.25rem; min-height: 2.2em; align-items: center; }
.attn-scene .caption button { padding: 0.15rem 0.5rem; min-height: 28px; font-size: 1.05em; }
.attn-scene .caption button[aria-pressed="true"] { border-color: var(--query); box-shadow: inset 0 0 0 1px var(--query); color: var(--query-ink); font-weight: 700; }
.attn-scene .truth { font-weight: 600; min-height: 1.5em; }
.attn-scene .truth.is { color: var(--value-ink); } .attn-scene .truth.not { color: var(--context-ink); }
.attn-scene .thing { display: grid; gap: 0.5rem 0.8rem; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); padding: 0.8rem 1rem; border-radius: 10px; background: var(--sunk); }
.attn-scene .thing > :is(p, .line) { grid-column: 1 / -1; }
.attn-scene .line { display: flex; flex-wrap: wrap; gap: 0.4rem 1.2rem; }
`;

const SIDE = 64;
const RADIUS = { small: 6.5, large: 12 };
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function render({ model, el }) {
  const id = unique("scene");
  const [files, names, scenes] = [model.get("files"), model.get("names"), model.get("scenes")];
  const chance = model.get("chance");
  const backdrop = {
    background: Float32Array.from(new Uint16Array(bytes(chance.background).buffer), (value) => value / 128),
    noise: new Int8Array(bytes(chance.noise).buffer),
    shades: chance.shades,
  };
  let things = [];
  let chosen = 0; // the thing in hand
  let stored = null; // the scene as it was stored, while nothing has been moved
  let caption = null; // { text, steps }
  let word = 0;
  let view = "look";
  let last = null; // the word whose look was drawn
  let running = 0;
  let busy = false;

  const set = setter(model);
  const form = liveForm({ model, files, verb: "Let the model see what I do", about: "Whatever you change, the model looks again.", act: () => see() });
  const menu = sentenceMenu(scenes.map(({ title }) => title), (scene) => (scene === model.get("scene") ? choose() : set({ scene })), "Begin with");
  const which = choices({ legend: "Attention", name: `${id}-model`, options: names, onpick: (name) => set({ model: name }) });
  const drawn = choices({
    legend: "Drawn over it",
    name: `${id}-drawn`,
    options: [
      ["look", "where it looked"],
      ["picture", "nothing"],
    ],
    onpick: (value) => ((view = value), show()),
  });
  const canvas = h("canvas", { width: SIDE, height: SIDE, role: "img" });
  const cells = Array.from({ length: 64 }, () => h("i"));
  const looks = h("div", { class: "looks", "aria-hidden": "true" }, cells);
  const stage = h("div", { class: "stage" }, canvas, looks);
  const words = h("div", { class: "caption" });
  const truth = h("p", { class: "truth" });
  const about = h("p", { class: "hint" });
  const panel = h("div", { class: "thing" });
  const voice = announcer();
  const name = ({ size, texture, colour, noun }) => [size, texture, colour, noun].filter(Boolean).join(" ");

  function paint() {
    const image = draw(things, backdrop);
    const colours = Uint8ClampedArray.from({ length: SIDE * SIDE * 4 }, (_, i) => (i % 4 === 3 ? 255 : image[3 * Math.floor(i / 4) + (i % 4)]));
    canvas.getContext("2d").putImageData(new ImageData(colours, SIDE, SIDE), 0, 0);
    canvas.setAttribute("aria-label", things.length ? things.map(name).join(", ") : "an empty scene");
    return image;
  }

  /** Handles on the things, to drag or to move with the arrow keys. */
  function handles() {
    stage.querySelectorAll(".handle").forEach((each) => each.remove());
    things.forEach((thing, n) => {
      const handle = h("button", { type: "button", class: "handle", "aria-label": `${name(thing)}: move with the arrow keys` });
      const place = () => Object.assign(handle.style, { left: `${(100 * thing.x) / SIDE}%`, top: `${(100 * thing.y) / SIDE}%` });
      const move = (x, y) => {
        [thing.x, thing.y] = [x, y].map((value) => Math.min(Math.max(value, thing.radius), SIDE - thing.radius));
        place();
        changed();
      };
      handle.addEventListener("focus", () => take(n));
      handle.addEventListener("keydown", (event) => {
        if (event.key === "Delete" || event.key === "Backspace") removeOne();
        const step = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] }[event.key];
        if (!step) return;
        event.preventDefault();
        move(thing.x + step[0], thing.y + step[1]);
      });
      const at = ({ clientX, clientY }) => {
        const box = stage.getBoundingClientRect();
        return [((clientX - box.left) / box.width) * SIDE, ((clientY - box.top) / box.height) * SIDE];
      };
      let grip = [0, 0]; // from the pointer to the centre: nothing jumps when it is taken
      handle.addEventListener("pointerdown", (event) => {
        handle.setPointerCapture(event.pointerId);
        const [x, y] = at(event);
        grip = [thing.x - x, thing.y - y];
        take(n);
        stage.classList.add("held");
      });
      handle.addEventListener("pointermove", (event) => {
        if (!handle.hasPointerCapture(event.pointerId)) return;
        const [x, y] = at(event);
        move(x + grip[0], y + grip[1]);
      });
      handle.addEventListener("lostpointercapture", () => stage.classList.remove("held"));
      place();
      stage.append(handle);
    });
    press();
  }

  const press = () => stage.querySelectorAll(".handle").forEach((handle, n) => handle.setAttribute("aria-pressed", String(n === chosen)));

  function take(n) {
    if (n === chosen) return;
    chosen = n;
    press();
    drawPanel();
  }

  function drawPanel() {
    const thing = things[chosen];
    const field = (label, values, key, then = () => {}) => {
      const select = h(
        "select",
        { id: `${id}-${key}`, onchange: () => ((thing[key] = select.value), then(), changed(), handles()) },
        values.map((value) => h("option", { value, selected: value === thing[key] }, value || "plain")),
      );
      return h("div", { class: "field" }, h("label", { for: `${id}-${key}` }, label), select);
    };
    const add = h("button", { type: "button", disabled: things.length === 4, onclick: addOne }, "Add a thing");
    const remove = h("button", { type: "button", disabled: !thing, onclick: removeOne }, "Take it away");
    panel.replaceChildren(
      h("p", { class: "name" }, thing ? "The thing in your hand" : "No thing left"),
      ...(thing
        ? [
            field("Shape", NOUNS, "noun"),
            field("Colour", COLOURS, "colour"),
            field("Size", Object.keys(RADIUS), "size", () => (thing.radius = RADIUS[thing.size])),
            field("Texture", TEXTURES, "texture"),
          ]
        : []),
      h("div", { class: "line" }, add, remove),
    );
  }

  /** A small green square, where there is most room. */
  function addOne() {
    const room = ([x, y]) => Math.min(SIDE, ...things.map((thing) => Math.hypot(thing.x - x, thing.y - y)));
    const spots = [[32, 32], [12, 12], [52, 12], [12, 52], [52, 52]];
    const [x, y] = spots.reduce((a, b) => (room(b) > room(a) ? b : a));
    things.push({ noun: "square", colour: "green", size: "small", texture: "", x, y, radius: RADIUS.small, angle: 0 });
    chosen = things.length - 1;
    changed();
    handles();
    drawPanel();
  }

  function removeOne() {
    things.splice(chosen, 1);
    chosen = Math.max(0, chosen - 1);
    changed();
    handles();
    drawPanel();
  }

  function changed() {
    stored = null;
    menu.show(-1); // so that the scene can be chosen again
    paint();
    see();
  }

  /** Have the scene captioned; while the model is looking, the newest scene waits. */
  async function see() {
    running += 1;
    if (stored) {
      caption = stored.captions[model.get("model")];
      show();
      return;
    }
    if (missing(files)) {
      caption = null;
      show();
      return;
    }
    if (busy) return;
    busy = true;
    try {
      for (let seen = 0; seen !== running; ) {
        seen = running;
        const found = await ask("caption", { name: model.get("model"), pixels: planes(draw(things, backdrop)) });
        if (!stored) follow(found);
        show();
      }
    } catch (error) {
      form.tell(error.message);
    } finally {
      busy = false;
    }
  }

  /** A new caption: the word whose look is drawn stays the same one, if it is still there. */
  function follow(found) {
    const token = caption?.steps[word]?.token ?? last;
    const at = found.steps.map((step, t) => [step.token, Math.abs(t - word), t]).filter(([each]) => each === token);
    if (at.length) word = at.reduce((a, b) => (b[1] < a[1] ? b : a))[2];
    caption = found;
  }

  function show() {
    which.show(model.get("model"));
    drawn.show(view);
    const steps = caption ? caption.steps.filter(({ token }) => token !== "</s>") : [];
    if (steps.length) word = Math.min(word, steps.length - 1);
    const held = [...words.children].indexOf(document.activeElement);
    words.replaceChildren(
      ...steps.map(({ token }, t) =>
        h("button", { type: "button", "aria-pressed": String(t === word), onclick: () => ((word = t), show()), onpointerenter: (event) => event.pointerType === "mouse" && t !== word && ((word = t), show()) }, token.replace("▁", "")),
      ),
    );
    if (held >= 0) words.children[Math.min(held, words.children.length - 1)]?.focus({ preventScroll: true });
    truth.hidden = !caption;
    if (caption) {
      const wrong = faults(caption.text, things);
      truth.textContent = wrong.length ? `False: ${wrong.join("; ")}.` : "True.";
      truth.className = wrong.length ? "truth not" : "truth is";
      voice.say(`${caption.text}. ${truth.textContent}`);
    } else words.append(h("span", { class: "hint" }, "You have moved something. Press the button above, and the model looks at it."));
    const step = steps[word];
    if (step) last = step.token;
    looks.hidden = !step || view === "picture";
    if (!step) {
      about.textContent = "";
      return;
    }
    const most = step.weights.reduce((a, b) => Math.max(a, b));
    cells.forEach((cell, s) => {
      cell.style.setProperty("--share", step.weights[s] / most);
      cell.classList.toggle("most", step.weights[s] === most);
    });
    about.textContent = `At “${step.token.replace("▁", "")}”: its largest weight is ${fixed(most, 2)}, its gate ${fixed(step.gate, 2)}, its chance ${fixed(step.p, 2)}.`;
    if (model.get("model").endsWith("hard")) about.append(" It reads the framed cell alone; the shades are the chances with which it chose in training.");
  }

  function choose() {
    form.tell(null);
    stored = scenes[model.get("scene")];
    menu.show(model.get("scene"));
    things = stored.things.map((thing) => ({ ...thing }));
    [chosen, word] = [0, stored.word];
    paint();
    handles();
    drawPanel();
    see();
  }

  frame(
    el,
    "scene",
    "Arrange a scene, and see what a captioner writes",
    STYLE,
    form.node,
    menu.node,
    h(
      "div",
      { class: "both" },
      stage,
      h("div", { class: "attn-scene" }, h("div", { class: "line" }, names.length > 1 && which.node, drawn.node), h("div", {}, h("p", { class: "name" }, "What it writes; choose a word to see where it looked"), words), truth, about, panel),
    ),
    voice.node,
  );
  model.on("change:scene", choose);
  model.on("change:model", see);
  choose();
  return () => {
    running += 1;
    model.off("change:scene", choose);
    model.off("change:model", see);
  };
}

export default { render };

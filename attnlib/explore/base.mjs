// What the figures share: numbers, colours, elements. Their look is in base.css.
//
// A figure's own file begins with `import { … } from "./base.mjs";`. Figures are loaded from blobs,
// where a relative address leads nowhere: a page of the book puts the address of a blob with this
// file there, once for all its figures, and a notebook, where each widget must be one file, gets
// this file in the place of that line (attnlib.explore.modules).

// ---------------------------------------------------------------- numbers

export const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
export const matvec = (W, x) => W.map((row) => dot(row, x));
export const add = (...vectors) => vectors[0].map((_, i) => vectors.reduce((s, v) => s + v[i], 0));
export const argmax = (a) => a.reduce((best, x, i) => (x > a[best] ? i : best), 0);

/** exp(e_s) over their sum where `allowed` is true, zero elsewhere; all zeros with nothing allowed. */
export function softmax(scores, allowed = scores.map(() => true)) {
  const highest = Math.max(...scores.filter((_, s) => allowed[s]));
  const raised = scores.map((e, s) => (allowed[s] ? Math.exp(e - highest) : 0));
  const total = raised.reduce((a, b) => a + b, 0);
  return raised.map((x) => (total > 0 ? x / total : 0));
}

/** The sum of a_s v_s over s. */
export const average = (weights, values) =>
  values[0].map((_, i) => weights.reduce((sum, a, s) => sum + a * values[s][i], 0));

/** Entropy in nats of a row of weights, taken as shares of its sum; 0 log 0 is 0. */
export function entropy(weights) {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.reduce((sum, a) => (a > 0 ? sum - (a / total) * Math.log(a / total) : sum), 0);
}

/** What one row of weights says: its most attended key, that weight, its entropy in nats. */
export function rowNumbers(weights) {
  const best = argmax(weights);
  return { best, largest: weights[best], entropy: entropy(weights) };
}

/** Means over the rows that attend to anything: mass on the argmax, entropy in nats. */
export function rowMeans(rows) {
  const attending = rows.filter((row) => row.some((a) => a > 0)).map(rowNumbers);
  const mean = (f) => attending.reduce((sum, row) => sum + f(row), 0) / Math.max(attending.length, 1);
  return { share: mean((row) => row.largest), entropy: mean((row) => row.entropy) };
}

/** A number in [0, 1) from a seed and a step (mulberry32); Python computes the same. */
export function uniform(seed, step) {
  const a = (seed * 7919 + step * 104729 + 0x6d2b79f5) | 0;
  let t = Math.imul(a ^ (a >>> 15), a | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** The key that a number in [0, 1) falls on, when the keys share that stretch by their weights. */
export function pick(weights, draw) {
  const mark = draw * weights.reduce((a, b) => a + b, 0);
  let reached = 0;
  let last = 0;
  for (let s = 0; s < weights.length; s += 1) {
    if (weights[s] > 0) {
      reached += weights[s];
      last = s;
      if (mark < reached) break;
    }
  }
  return last;
}

/** A number with three decimals and a true minus sign. */
export function fixed(x, digits = 3) {
  const text = Math.abs(x).toFixed(digits);
  return x < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** A number with at most three decimals, and none that are zeros. */
export const brief = (x) => String(Number(x.toFixed(3)));

// ---------------------------------------------------------------- the cells of a picture

/** Where a cell is: [x, y, width, height] of its box, when H x W pixels are cut evenly. */
export function box(cell, [rows, columns], [H, W]) {
  const [height, width] = [H / rows, W / columns];
  return [(cell % columns) * width, Math.floor(cell / columns) * height, width, height];
}

/** The cell's row and column in words, counted from 1. */
export const cellPlace = (cell, [, columns]) => `row ${Math.floor(cell / columns) + 1}, column ${(cell % columns) + 1}`;

// ---------------------------------------------------------------- colours

const VIRIDIS = (
  "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c " +
  "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725"
)
  .split(" ")
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

function rgb(x) {
  const place = Math.min(Math.max(x, 0), 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[i].map((low, c) => Math.round(low + (place - i) * (VIRIDIS[i + 1][c] - low)));
}

/** The colour of a weight between 0 and 1: the same map as in the book's plots. */
export const viridis = (x) => `rgb(${rgb(x).join(" ")})`;

/** Black or white, whichever reads better on that colour. */
export function inkOn(x) {
  const [r, g, b] = rgb(x).map((c) =>
    c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

// ---------------------------------------------------------------- elements

function build(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** An HTML element; strings among the children become text, never markup. */
export const h = (tag, properties, ...children) =>
  build(document.createElement(tag), properties, children);

/** An SVG element. */
export const svg = (tag, properties, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

/** A function that changes several of a model's values, and tells the kernel, if there is one. */
export const setter = (model) => (changes) => {
  for (const [name, value] of Object.entries(changes)) model.set(name, value);
  model.save_changes();
};

/** A prefix for ids and names that no other figure on the page has. */
export function unique(name) {
  globalThis.attnIds = (globalThis.attnIds ?? 0) + 1;
  return `attn-${name}-${globalThis.attnIds}`;
}

const SYMBOL = { q: "query", k: "key", v: "value", c: "context" };

/**
 * A formula without MathJax: `_x`, `_{xy}` and `^` set scripts, \q{…} \k{…} \v{…} \c{…} colour the
 * query, keys, values and context, \u{…} sets upright; single letters stand in italics.
 */
export function formula(source) {
  let at = 0;
  const group = () => {
    if (source[at] === "{") {
      at += 1;
      const inner = parse("}");
      at += 1;
      return inner;
    }
    return atom(source[at++]);
  };
  const atom = (c) => {
    const accent = source[at] === "\u0303" ? source[at++] : ""; // a tilde on top
    return /[a-zα-ωA-Z]/.test(c) ? [h("var", {}, c + accent)] : [c];
  };
  function parse(end) {
    const out = [];
    while (at < source.length && source[at] !== end) {
      const c = source[at++];
      if (c === "_") out.push(h("sub", {}, group()));
      else if (c === "^") out.push(h("sup", {}, group()));
      else if (c === "\\" && source[at] === "u") {
        const close = source.indexOf("}", at);
        out.push(h("span", { class: "up" }, source.slice(at + 2, close)));
        at = close + 1;
      } else if (c === "\\") {
        const colour = SYMBOL[source[at++]];
        out.push(h("span", { class: `is-${colour}` }, group()));
      } else if (c === " ") out.push(" ");
      else out.push(...atom(c));
    }
    return out;
  }
  const spoken = source.replace(/\\[a-z]/g, "").replace(/[{}]/g, "");
  return h("span", { class: "formula", role: "math", "aria-label": spoken }, parse());
}

/** A set of choices as radio buttons; `choices` are [value, label] pairs. */
export function choices({ legend, name, options, onpick, knob = false }) {
  const inputs = new Map();
  const pointer = knob && svg("line", { x1: 12, y1: 12, x2: 12, y2: 4.5 });
  const labels = options.map(([value, label]) => {
    const input = h("input", {
      type: "radio",
      name,
      value,
      onchange: () => onpick(value),
    });
    inputs.set(value, input);
    return h("label", { class: "pill" }, input, h("span", {}, label));
  });
  const node = h(
    "fieldset",
    { class: "choices" },
    h(
      "legend",
      {},
      knob &&
        svg(
          "svg",
          { viewBox: "0 0 24 24", class: "knob", "aria-hidden": "true" },
          svg("circle", { cx: 12, cy: 12, r: 10 }),
          pointer,
        ),
      legend,
    ),
    h("div", { class: "pills" }, labels),
  );
  const show = (value) => {
    inputs.get(value).checked = true;
    if (knob) {
      const place = options.findIndex(([each]) => each === value) / Math.max(options.length - 1, 1);
      pointer.style.transform = `rotate(${-130 + 260 * place}deg)`;
    }
  };
  return { node, show };
}

/** A labelled slider with its number; `say` turns the number into words. */
export function slider({ label, min, max, step, say, oninput }) {
  const id = unique("slider");
  const input = h("input", {
    id,
    type: "range",
    min,
    max,
    step,
    oninput: () => oninput(Number(input.value)),
  });
  const output = h("output", { for: id });
  const node = h("div", { class: "slider" }, h("label", { for: id }, label), input, output);
  const show = (value) => {
    input.value = value;
    input.style.setProperty("--at", `${(100 * (value - min)) / (max - min)}%`);
    input.setAttribute("aria-valuetext", say(value));
    output.textContent = say(value);
  };
  return { node, show };
}

/** A line that a screen reader hears once the reader's hand has come to rest. */
export function announcer() {
  const node = h("p", { class: "unseen", "aria-live": "polite" });
  let timer;
  let spoken = null;
  const say = (text) => {
    clearTimeout(timer);
    if (spoken === null) spoken = text; // the first drawing is no news
    else if (text !== spoken) {
      timer = setTimeout(() => {
        spoken = text;
        node.textContent = text;
      }, 300);
    }
  };
  return { node, say };
}

/** The colour scale of the weights, from 0 to the largest. */
export const legend = (most = 1, what = "attention weight") =>
  h(
    "div",
    { class: "legend", role: "img", "aria-label": `Colour scale: ${what} from 0, dark violet, to ${brief(most)}, yellow` },
    h("span", { class: "ramp", style: { "background-image": `linear-gradient(90deg, ${VIRIDIS.map((c) => `rgb(${c.join(" ")})`).join(", ")})` } }),
    h("span", { class: "ticks" }, [0, most / 2, most].map((a) => h("span", {}, brief(a)))),
    h("span", {}, what),
  );

/** A box that scrolls sideways when its content is too wide, with the keyboard too. */
export const scroller = (label, ...children) =>
  h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, children);

/**
 * The numbers behind a picture, folded away until asked for; `say` writes that of a row and column. A
 * `lazy` table is made when it is opened.
 */
export function dataTable({ caption, corner, columns, rows, weights, open = false, lazy = false, say = (a) => fixed(a), summary = "Data as a table" }) {
  const table = () =>
    scroller(
      caption,
      h(
        "table",
        {},
        h("caption", {}, caption),
        h(
          "thead",
          {},
          h("tr", {}, h("th", { scope: "col" }, corner), columns.map((c) => h("th", { scope: "col" }, c))),
        ),
        h(
          "tbody",
          {},
          weights.map((row, t) =>
            h("tr", {}, h("th", { scope: "row" }, rows[t]), row.map((a, s) => h("td", {}, say(a, s)))),
          ),
        ),
      ),
    );
  const node = h("details", { class: "data", open }, h("summary", {}, summary), (open || !lazy) && table());
  node.addEventListener("toggle", () => node.open && node.children.length === 1 && node.append(table()));
  return node;
}

/**
 * Heat map of weights (T, S): source tokens across, target tokens down. Its rows are the options of
 * a list box, so that hover, tap, focus and the arrow keys all choose a target word. A cell that is
 * `hidden` may not be looked at, and is left empty.
 */
export function heatmap({ source, target, weights, describe, onpick, rings = [], label = "Target words", hidden = () => false }) {
  const columns = source.map((token) => h("span", { class: "column" }, h("span", {}, token)));
  const cells = weights.map((row, t) =>
    row.map((a, s) =>
      hidden(t, s)
        ? h("span", { class: "cell none" })
        : h("span", {
            class: rings.some(([i, j]) => i === t && j === s) ? "cell ring" : "cell",
            style: { background: viridis(a), "--on": inkOn(a) },
            title: `${target[t]} → ${source[s]}: ${fixed(a)}`,
          }),
    ),
  );
  const rows = target.map((token, t) =>
    h(
      "div",
      {
        class: "word",
        role: "option",
        tabindex: "-1",
        "aria-label": describe(t),
        onpointerenter: (event) => event.pointerType === "mouse" && onpick(t, false),
        onclick: () => onpick(t, true),
      },
      h("span", { class: "token" }, token),
      cells[t],
    ),
  );
  const keys = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
  const list = h(
    "div",
    {
      class: "words-down",
      role: "listbox",
      "aria-label": label,
      onkeydown: (event) => {
        if (!(event.key in keys)) return;
        event.preventDefault();
        const now = rows.findIndex((row) => row.tabIndex === 0);
        onpick(Math.min(Math.max(now + keys[event.key], 0), rows.length - 1), true);
      },
      onfocusin: (event) => {
        const t = rows.indexOf(event.target);
        if (t >= 0 && rows[t].tabIndex !== 0) onpick(t, true);
      },
    },
    rows,
  );
  const node = h(
    "div",
    { class: "heatmap", style: { "--columns": source.length } },
    h("div", { class: "head", "aria-hidden": "true" }, h("span", { class: "corner" }), columns),
    list,
  );
  const show = (t, focus) => {
    const best = argmax(weights[t]);
    const any = weights[t][best] > 0;
    rows.forEach((row, i) => {
      row.tabIndex = i === t ? 0 : -1;
      row.setAttribute("aria-selected", i === t);
    });
    columns.forEach((column, s) => column.classList.toggle("best", any && s === best));
    cells.forEach((row, i) =>
      row.forEach((cell, s) => cell.classList.toggle("best", any && i === t && s === best)),
    );
    if (focus) rows[t].focus({ preventScroll: false });
  };
  return { node, show };
}

// ---------------------------------------------------------------- words and their weights

const LONG = 16; // source tokens that fit beside the numbers

/** Tokens as a line of text. */
export const asText = (tokens) =>
  tokens
    .filter((token) => !/^<.*>$/.test(token))
    .join(" ")
    .replace(/ ·/g, "")
    .replace(/ ([.,!?])/g, "$1");

/** A menu of sentences; `show(-1)` shows none of them. */
export function sentenceMenu(texts, onpick, label = "Sentence") {
  const id = unique("sentence");
  // Sentences that begin alike are told apart by their lengths.
  const alike = texts.some((text, i) => texts.some((other, j) => i < j && text.slice(0, 30) === other.slice(0, 30)));
  const count = (text) => (alike ? `${text.split(" ").length} words: ` : "");
  const short = (text) => count(text) + (text.length > 72 ? `${text.slice(0, 70)} …` : text);
  const select = h(
    "select",
    { id, onchange: () => onpick(Number(select.value)) },
    texts.map((text, i) => h("option", { value: i }, short(text))),
  );
  const node = h("div", { class: "field" }, h("label", { for: id }, label), select);
  return { node, show: (index) => (select.selectedIndex = index) };
}

/** The numbers beside a heat map: of one row, and means over all rows. */
export function readout({ keys = "S", whole = "Mean over the sentence" } = {}) {
  const saying = h("p", { class: "saying" });
  const number = (name) => h("dd", { class: name });
  const [largest, spread, ceiling, share, mean] = ["largest", "entropy", "ceiling", "share", "mean-entropy"].map(number);
  const node = h(
    "div",
    { class: "readout" },
    saying,
    h(
      "dl",
      {},
      h("dt", {}, "largest weight of this row"),
      largest,
      h("dt", {}, "its spread (entropy, nats)"),
      spread,
      h("dt", {}, `widest possible spread, ln ${keys}`),
      ceiling,
    ),
    h(
      "div",
      { class: "whole" },
      h("p", { class: "name" }, whole),
      h("dl", {}, h("dt", {}, "largest weight of a row"), share, h("dt", {}, "spread (entropy, nats)"), mean),
    ),
  );
  /** All rows (T, S). */
  const showAll = (rows) => {
    const means = rowMeans(rows);
    share.textContent = fixed(means.share);
    mean.textContent = fixed(means.entropy);
  };
  /** One row: the word that asks, what it looks at, and how many keys it may look at. */
  const show = (word, row, names, allowed = names.length) => {
    const { best, largest: a, entropy: nats } = rowNumbers(row);
    saying.replaceChildren(
      h("strong", { class: "is-query" }, word),
      a > 0 ? " looks most at " : " looks at nothing",
      ...(a > 0 ? [h("strong", { class: "is-key" }, names[best])] : []),
    );
    largest.textContent = fixed(a);
    spread.textContent = fixed(nats);
    ceiling.textContent = fixed(Math.log(allowed));
  };
  return { node, show, showAll };
}

/** What a row says, in a sentence. */
export function rowText(word, row, names) {
  const { best, largest: a } = rowNumbers(row);
  return a > 0 ? `${word}: looks most at ${names[best]}, ${fixed(a)}` : `${word}: looks at nothing`;
}

/**
 * A translation and where it looked: both sentences, the heat map, its numbers, its table. `beside`
 * is a node of the figure's own, which stands below the numbers; a `lazy` table is made when opened.
 */
export function alignment({ from, to, onpick, beside = null, lazy = false }) {
  const pair = h("div", { class: "pair" });
  const map = h("div", { class: "map" });
  const table = h("div");
  const numbers = readout();
  const layout = h("div", { class: "layout" }, map, h("div", { class: "side" }, numbers.node, beside));
  const node = h(
    "div",
    { class: "aligned" },
    pair,
    layout,
    h("p", { class: "hint" }, "Point at a target word, tap it, or move with the up and down arrow keys."),
    table,
  );
  let drawn = null;
  const choose = (t, focus) => {
    onpick(t);
    if (focus) drawn.map.show(t, true);
  };
  const lay = ({ source, target, weights }) => {
    const sourceWords = source.map((token) => h("span", {}, token));
    const targetWords = target.map((token, t) =>
      h("span", { onpointerenter: (e) => e.pointerType === "mouse" && choose(t, false), onclick: () => choose(t, true) }, token),
    );
    const heat = heatmap({ source, target, weights, describe: (t) => rowText(target[t], weights[t], source), onpick: choose });
    drawn = { source, target, weights, sourceWords, targetWords, map: heat };
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
        lazy,
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    numbers.showAll(weights);
  };
  /** Choose a target word; gives what is to be said of it. */
  const show = (word) => {
    const { source, target, weights } = drawn;
    const t = Math.min(word, target.length - 1);
    drawn.map.show(t, false);
    drawn.sourceWords.forEach((each, s) => {
      each.style.setProperty("--shade", viridis(weights[t][s]));
      each.style.setProperty("--on", inkOn(weights[t][s]));
    });
    drawn.targetWords.forEach((each, i) => each.classList.toggle("chosen", i === t));
    numbers.show(target[t], weights[t], source);
    return `${rowText(target[t], weights[t], source)}; entropy ${fixed(entropy(weights[t]))} nats.`;
  };
  return { node, lay, show };
}

// ---------------------------------------------------------------- the frame

/** Make `el` a figure: its own look beside the shared one of base.css, and a name for screen readers. */
export function frame(el, name, label, style, ...children) {
  el.classList.add("attn", `attn-${name}`);
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", label);
  el.replaceChildren(h("style", {}, style), ...children.filter(Boolean));
}

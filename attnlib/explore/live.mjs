// What the figures with a live model share: fetching the model, and asking it.
//
// On a page of the book a model comes as classic scripts, which work from a folder too; in a running
// notebook the kernel sends it. The models run in a worker made from a blob: one for the whole page.
import { h, unique } from "./base.mjs";

const ENGINE = "__ENGINE__"; // the files of attnlib/explore/live, one after another

const page = (globalThis.attnLive ??= { fetched: new Map(), parts: new Map(), subwords: new Map(), waiting: new Map(), asked: 0, worker: null });

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** A worker for the models; where there can be none, the page itself does their work. */
function worker() {
  if (page.worker) return page.worker;
  const heard = ({ id, ...said }) => {
    const { resolve, reject, tell } = page.waiting.get(id);
    if ("step" in said) tell(said.step);
    else {
      page.waiting.delete(id);
      if ("error" in said) reject(new Error(said.error));
      else resolve(said.found);
    }
  };
  try {
    const source = `${ENGINE}\nonmessage = ({ data }) => answer(data, (said) => postMessage(said));`;
    const made = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    made.addEventListener("message", ({ data }) => heard(data));
    page.worker = made;
  } catch {
    const answer = new Function(`${ENGINE}\nreturn answer;`)();
    page.worker = { postMessage: (request) => setTimeout(() => answer(request, heard)) };
  }
  return page.worker;
}

/** Ask the models; `tell` hears of each step. A promise of what was found. */
export function ask(task, request, tell = () => {}) {
  const id = (page.asked += 1);
  return new Promise((resolve, reject) => {
    page.waiting.set(id, { resolve, reject, tell });
    worker().postMessage({ id, task, ...request });
  });
}

/** Whether these models are there. */
export const isLoaded = (names) => names.every((name) => page.fetched.get(name) === true);

/** How many bytes of them are still to come. */
export const missing = (files) =>
  Object.entries(files).reduce((sum, [name, { bytes }]) => sum + (page.fetched.get(name) === true ? 0 : bytes), 0);

/**
 * Fetch models: `files` says of each how many bytes it has, and in how many parts a page has it.
 * `progress` is told the share that has come. What has come is kept, also when another part fails.
 */
export async function fetchModels(files, model, progress = () => {}) {
  const total = missing(files);
  let come = 0;
  for (const [name, { bytes, parts }] of Object.entries(files)) {
    if (page.fetched.get(name) === true) continue;
    const more = (share) => progress((come + share * bytes) / total);
    if (!page.fetched.has(name)) page.fetched.set(name, once(name, parts, model, more));
    try {
      await page.fetched.get(name);
      page.fetched.set(name, true);
    } catch (error) {
      page.fetched.delete(name);
      throw error;
    }
    come += bytes;
  }
  progress(1);
}

async function once(name, parts, model, more) {
  const { about, weights } = globalThis.attnFigureFiles ? await fromPage(name, parts, more) : await fromKernel(name, model);
  await ask("load", { name, about, weights });
}

// A page's script says attnLive.parts.set("NAME.0", "base64…"); NAME.about holds JSON, and so does the
// file with the subwords, which several models may share.
async function fromPage(name, parts, more) {
  const pieces = [];
  const about = JSON.parse(await script(`${name}.about`));
  const file = `subwords.${about.subwords}`;
  if (!page.subwords.has(file)) page.subwords.set(file, JSON.parse(await script(file)));
  about.tokenizer = page.subwords.get(file);
  for (let part = 0; part < parts; part += 1) {
    const text = atob(await script(`${name}.${part}`));
    pieces.push(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
    more((part + 1) / parts);
  }
  return { about, weights: await new Blob(pieces).arrayBuffer() };
}

function script(key) {
  return new Promise((resolve, reject) => {
    const done = () => {
      const text = page.parts.get(key);
      page.parts.delete(key);
      if (text === undefined) reject(new Error(`the file of ${key} does not hold it`));
      else resolve(text);
    };
    const element = document.createElement("script");
    element.src = new URL(`live/${key}.js`, globalThis.attnFigureFiles);
    element.addEventListener("load", () => (element.remove(), done()));
    element.addEventListener("error", () => {
      element.remove();
      reject(new Error("The model did not arrive. Are you online? What has come is kept: try again."));
    });
    document.head.append(element);
  });
}

function fromKernel(name, model) {
  return new Promise((resolve, reject) => {
    const heard = (said, buffers) => {
      if (said?.model !== name) return;
      model.off("msg:custom", heard);
      const { buffer, byteOffset, byteLength } = buffers[0];
      resolve({ about: said.about, weights: buffer.slice(byteOffset, byteOffset + byteLength) });
    };
    model.on("msg:custom", heard);
    model.send({ model: name });
    setTimeout(() => reject(new Error("The notebook's kernel does not answer: run the cell again.")), 60000);
  });
}

// ---------------------------------------------------------------- what the reader sees of it

const WORD_START = "▁";
const LONGEST = 400; // letters that a reader can type: some eighty subwords, and as many rows of a map

/** Subwords for people: no mark where a word starts, a dot where a piece continues one. */
export const readable = (token) => {
  const bare = token.startsWith(WORD_START) ? token.slice(1) : token;
  return bare === token && /^[\p{L}\p{N}]/u.test(bare) ? `·${bare}` : bare || WORD_START;
};

/** What a translation so far says, from its subwords. */
export const sentenceOf = (steps) =>
  steps
    .map(({ token }) => token)
    .filter((token) => token !== "</s>" && token !== "<unk>")
    .join("")
    .replaceAll(WORD_START, " ")
    .trim();

/** The words of `text` that are not, in this order, in `first` too: a longest common subsequence. */
function changes(first, text) {
  const [a, b] = [first, text].map((each) => each.split(" "));
  const length = Array.from({ length: a.length + 1 }, () => Array.from({ length: b.length + 1 }, () => 0));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  let i = 0;
  return b.map((word, j) => {
    while (i < a.length && length[i + 1][j] === length[i][j] && a[i] !== word) i += 1;
    const kept = a[i] === word && length[i][j] === length[i + 1][j + 1] + 1;
    if (kept) i += 1;
    return { word, changed: !kept };
  });
}

/** The words of `text`, those in bold that are not in `first` too. */
export const marked = (first, text) => changes(first, text).flatMap(({ word, changed }, i) => [i ? " " : "", changed ? h("b", {}, word) : word]);

/** What of a source was never seen in training, to be shown; nothing if all is known. */
export const unknowns = (source) => {
  const missed = source.filter((piece) => piece.unknown).flatMap(({ text }, i) => [i ? ", " : "", h("span", { class: "unknown" }, text)]);
  return missed.length ? ["Never seen in training, read as unknown: ", ...missed] : [];
};

/**
 * A line to type in, and a button that says how much it fetches before it `acts` with the text. With
 * no `label` there is the button alone. What goes wrong is told below, and the line kept.
 */
export function liveForm({ model, files, label = null, verb, about, act }) {
  const id = unique("live-text");
  const input = label && h("input", { id, type: "text", autocomplete: "off", spellcheck: "false", maxlength: LONGEST });
  const button = h("button", { type: "submit" });
  const note = h("p", { class: "hint" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "fetching the model" });
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });

  const tell = (what) => {
    trouble.hidden = !what;
    trouble.textContent = what ?? "";
  };
  const invite = () => {
    const bytes = missing(files);
    button.textContent = bytes ? `${verb} (fetches ${megabytes(bytes)})` : verb;
    button.hidden = !bytes && !label;
    note.textContent = bytes ? "It then runs here, in your browser; nothing that you do leaves it." : about;
  };
  const submit = async (event) => {
    event.preventDefault();
    tell(null);
    try {
      if (missing(files)) {
        button.disabled = true;
        bar.hidden = false;
        await fetchModels(files, model, (share) => (bar.value = share));
      }
    } catch (error) {
      tell(error.message);
      return;
    } finally {
      button.disabled = false;
      bar.hidden = true;
      invite();
    }
    await act(input?.value); // the reader may have typed on while the model came
  };
  const node = h("form", { class: label ? "live" : "live short", onsubmit: submit }, label && h("label", { for: id }, label), input, button, note, bar, trouble);
  invite();
  return { node, tell, invite, write: (text) => (input.value = text) };
}

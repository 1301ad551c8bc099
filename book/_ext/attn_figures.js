// Host of the interactive figures on a page without a kernel.
//
// A stored output holds <attn-fig data-module="NAME"> with the figure's state as JSON and a readable
// fallback. This script defines that element: it imports the figure's ES module, hands it a model
// with anywidget's interface, and puts what it draws in the fallback's place. It is a classic script
// that imports from a blob, as anywidget does, because pages opened from a folder (file://) may not
// load type="module" scripts.
(() => {
  const SOURCES = globalThis.attnFigures ?? {}; // left by the scripts before this one, by file name
  globalThis.attnFigureFiles = document.currentScript.src; // beside it lie the live models

  const look = document.createElement("style");
  look.textContent = "__LOOK__";
  document.head.append(look);

  class StoredModel {
    #state;
    #handlers = new Map();

    constructor(state) {
      this.#state = state;
    }

    get(name) {
      return this.#state[name];
    }

    set(name, value) {
      if (typeof name === "object") {
        for (const [key, each] of Object.entries(name)) this.set(key, each);
        return;
      }
      if (this.#state[name] === value) return;
      this.#state[name] = value;
      for (const event of [`change:${name}`, "change"]) {
        for (const handler of this.#handlers.get(event) ?? []) handler(this, value);
      }
    }

    on(events, handler) {
      for (const event of events.split(" ")) {
        this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), handler]);
      }
    }

    off(event, handler) {
      if (event == null) this.#handlers.clear();
      else {
        const kept = handler ? (this.#handlers.get(event) ?? []).filter((h) => h !== handler) : [];
        this.#handlers.set(event, kept);
      }
    }

    save_changes() {} // there is no kernel to tell

    send() {}
  }

  const address = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));

  // What a figure imports is loaded once for the page, and named by its address.
  const shared = new Map();
  const resolved = (name) =>
    SOURCES[name].replace(/ from "\.\/(\w+\.mjs)";\n/g, (_, file) => {
      if (!shared.has(file)) shared.set(file, address(resolved(file)));
      return ` from ${JSON.stringify(shared.get(file))};\n`;
    });

  const modules = new Map();
  function load(name) {
    if (SOURCES[`${name}.mjs`] === undefined) throw new Error(`no figure module is named ${name}`);
    if (!modules.has(name)) modules.set(name, import(address(resolved(`${name}.mjs`))));
    return modules.get(name);
  }

  class AttentionFigure extends HTMLElement {
    #started = false;

    async connectedCallback() {
      if (this.#started) return;
      this.#started = true;
      try {
        const state = JSON.parse(this.querySelector('script[type="application/json"]').textContent);
        let widget = (await load(this.dataset.module)).default;
        if (typeof widget === "function") widget = await widget();
        const model = new StoredModel(state);
        const el = document.createElement("div");
        await widget.initialize?.({ model });
        this.replaceChildren(el);
        await widget.render({ model, el });
        this.dataset.ready = "true"; // what the browser tests wait for
      } catch (error) {
        this.dataset.ready = "false";
        console.error(`figure ${this.dataset.module}:`, error);
      }
    }
  }

  customElements.define("attn-fig", AttentionFigure);
})();

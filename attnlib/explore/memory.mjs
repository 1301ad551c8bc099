// A memory that fades: what is left of each word in a state that keeps a share of itself.
import { announcer, fixed, frame, h, setter, slider } from "./base.mjs";

/** What is left of each word that was read: the last in full, each before it by one factor less. */
export const traces = (read, kept) => Array.from({ length: read }, (_, s) => kept ** (read - 1 - s));

/** Whether a trace can be seen with so many decimals. */
export const shows = (trace, decimals) => trace >= 0.5 * 10 ** -decimals;

const STYLE = `
.attn-memory { display: grid; gap: 0.8rem; grid-template-columns: minmax(0, 1fr); }
.attn-memory .sliders { display: grid; gap: 0.3rem 1.8rem; grid-template-columns: minmax(0, 1fr); }
.attn-memory .slider { grid-template-columns: 8.5rem 1fr 3.5ch; }
.attn-memory table { display: table; width: 100%; border-collapse: collapse; }
.attn-memory :is(th, td) { padding: 0.1rem 0.4rem; border: 0; text-align: left; white-space: nowrap; font-weight: 400; }
.attn-memory td.left { width: 4.5rem; text-align: right; }
.attn-memory td.bar { width: 70%; }
.attn-memory .track { display: block; height: 0.85rem; border-radius: 3px; background: var(--sunk); border: 1px solid var(--line); overflow: hidden; }
.attn-memory .track span { display: block; height: 100%; background: var(--context); }
.attn-memory tr.gone { color: var(--soft); } .attn-memory tr.gone th { text-decoration: line-through; }
.attn-memory tr.unread { visibility: hidden; }
`;

function render({ model, el }) {
  const words = model.get("words");
  const set = setter(model);
  const whole = (n) => fixed(n, 0);
  const keep = slider({ label: "share kept, z", min: 0.1, max: 1, step: 0.05, say: (z) => fixed(z, 2), oninput: (kept) => set({ kept }) });
  const upTo = slider({ label: "words read", min: 1, max: words.length, step: 1, say: whole, oninput: (read) => set({ read }) });
  const exact = slider({ label: "decimals", min: 1, max: 4, step: 1, say: whole, oninput: (decimals) => set({ decimals }) });
  const rows = words.map((word) => {
    const [fill, left] = [h("span"), h("td", { class: "left" })];
    const bar = h("td", { class: "bar" }, h("span", { class: "track", "aria-hidden": "true" }, fill));
    return { fill, left, node: h("tr", {}, h("th", { scope: "row" }, word), bar, left) };
  });
  const told = h("p", { class: "told" });
  const voice = announcer();

  function draw() {
    const [kept, read, decimals] = ["kept", "read", "decimals"].map((name) => model.get(name));
    const all = traces(read, kept);
    const seen = all.filter((trace) => shows(trace, decimals)).length;
    keep.show(kept);
    upTo.show(read);
    exact.show(decimals);
    rows.forEach(({ fill, left, node }, s) => {
      const trace = all[s] ?? 0;
      node.classList.toggle("unread", s >= read);
      node.classList.toggle("gone", s < read && !shows(trace, decimals));
      fill.style.width = `${100 * trace}%`;
      left.textContent = s < read ? fixed(trace, decimals) : "";
    });
    const digits = `${decimals} decimal${decimals > 1 ? "s" : ""}`;
    told.textContent =
      kept === 1
        ? `All ${read} are there in full. But all numbers are equal, so their order is lost.`
        : seen < read
          ? `With ${digits}, only the last ${seen} of ${read} words can be seen.`
          : `With ${digits}, all ${read} can be seen.`;
    voice.say(told.textContent);
  }
  frame(
    el,
    "memory",
    "A state that keeps a share of itself at each word: what is left of each",
    STYLE,
    h("div", { class: "sliders" }, keep.node, upTo.node, exact.node),
    h("table", { "aria-label": "What is left of each word" }, h("tbody", {}, rows.map(({ node }) => node))),
    told,
    voice.node,
  );
  const names = ["kept", "read", "decimals"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

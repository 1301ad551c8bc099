// A card beside what the pointer rests on or the keyboard reaches: a cited paper, an equation of
// this page, what a coloured letter stands for. Links lead where they led; under a finger the first
// touch shows the card and the second follows the link. Escape shuts it.
"use strict";

(() => {
  const MEANINGS = "__MEANINGS__";
  const KINDS = Object.keys(MEANINGS).map((kind) => `.attn-${kind}`).join(", ");
  const CITED = '.bibtex-citation a[href^="#"]';
  const EQUATION = 'a.reference[href^="#equation-"]';
  const REST = 250; // milliseconds of rest before a card comes, and before it goes

  const target = (link) => document.getElementById(decodeURIComponent(link.hash.slice(1)));

  const copies = (nodes) => {
    const made = [...nodes].map((node) => node.cloneNode(true));
    for (const copy of made) {
      for (const each of [copy, ...copy.querySelectorAll("[id], [tabindex]")]) {
        each.removeAttribute("id");
        each.removeAttribute("tabindex");
      }
    }
    return made;
  };

  const meaning = (letter) => {
    const kind = Object.keys(MEANINGS).find((each) => letter.classList.contains(`attn-${each}`));
    const word = document.createElement("strong");
    word.className = `attn-word attn-${kind}`;
    word.textContent = kind;
    return [word, `: ${MEANINGS[kind]}.`];
  };

  // What a card holds, for each kind of thing that has one; null where there is nothing to show.
  const contents = (owner) => {
    if (owner.matches(CITED)) return copies(target(owner)?.querySelectorAll(":scope > p") ?? []);
    if (owner.matches(EQUATION)) return copies(target(owner)?.querySelectorAll("mjx-container") ?? []);
    return meaning(owner);
  };

  const card = document.createElement("div");
  card.id = "attn-card";
  card.className = "attn-card";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  let shown = null;
  let timer = 0;

  const hide = () => {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    card.hidden = true;
  };

  const show = (owner) => {
    hide();
    const parts = contents(owner);
    if (parts.length === 0) return;
    card.replaceChildren(...parts);
    card.hidden = false;
    shown = owner;
    owner.setAttribute("aria-describedby", card.id);
    const [first] = owner.getClientRects();
    const { width, height } = card.getBoundingClientRect();
    const below = first.bottom + 6 + height <= window.innerHeight;
    card.style.top = `${Math.max(4, below ? first.bottom + 6 : first.top - height - 6)}px`;
    card.style.left = `${Math.max(8, Math.min(first.left, document.documentElement.clientWidth - width - 8))}px`;
  };

  const owner = (node) => node.closest?.(`article :is(${CITED}, ${EQUATION}, ${KINDS})`) ?? null;
  const soon = (act) => {
    clearTimeout(timer);
    timer = setTimeout(act, REST);
  };

  const start = () => {
    document.body.append(card);
    for (const link of document.querySelectorAll(`article ${CITED}`)) link.removeAttribute("title");
    document.addEventListener("pointerover", (event) => {
      if (event.pointerType === "touch") return;
      const over = owner(event.target);
      if (card.contains(event.target) || (over && over === shown)) clearTimeout(timer);
      else if (over) soon(() => show(over));
      else soon(hide);
    });
    document.addEventListener("focusin", (event) => {
      const reached = owner(event.target);
      if (reached && event.target.matches(":focus-visible")) show(reached);
      else if (!card.contains(event.target)) hide();
    });
    document.addEventListener("click", (event) => {
      const pressed = owner(event.target);
      if (event.pointerType === "touch" && pressed && pressed !== shown) {
        show(pressed);
        if (shown) event.preventDefault();
      } else if (!card.contains(event.target)) hide();
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
    window.addEventListener("scroll", hide, { passive: true });
    window.addEventListener("resize", hide);
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

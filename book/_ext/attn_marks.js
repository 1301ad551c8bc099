// Marks the words that a reader searched for, on the page that a result leads to: its address
// carries them (?highlight=soft+hard#section). Escape takes the marks away.
"use strict";

window.attnMarks = (() => {
  // Words as they stand in a text; a short one is meant whole, of a longer one the beginning is.
  const stem = (word) => {
    const short = word.toLowerCase().replace(/(?:ies|ing|ed|es|s)$/u, "");
    return short.length >= 4 ? short : word.toLowerCase();
  };

  const pattern = (words) => {
    const escaped = words.map((word) => {
      const safe = stem(word).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      return word.length <= 3 ? `${safe}(?![\\p{L}\\p{N}])` : `${safe}[\\p{L}\\p{N}]*`;
    });
    return new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})`, "giu");
  };

  const UNTOUCHED = "script, style, svg, button, select, attn-fig, mjx-container, .math, .highlighted";

  // Puts every match within an element into a mark of its own; returns how many there are.
  const mark = (root, words) => {
    const matches = pattern(words);
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) =>
      node.parentElement.closest(UNTOUCHED) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
    );
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    let count = 0;
    for (const text of texts) {
      const found = [...text.data.matchAll(matches)];
      for (const each of found.reverse()) {
        const rest = text.splitText(each.index);
        rest.splitText(each[0].length);
        const span = document.createElement("mark");
        span.className = "highlighted";
        rest.replaceWith(span);
        span.append(rest);
        count += 1;
      }
    }
    return count;
  };

  const clear = () => {
    for (const each of document.querySelectorAll("mark.highlighted")) {
      each.replaceWith(...each.childNodes);
    }
  };

  // What is folded round an element is opened.
  const unfold = (element) => {
    for (let each = element; each; each = each.parentElement) {
      if (each.tagName === "DETAILS") each.open = true;
      if (each.classList.contains("toggle-hidden")) {
        each.querySelector(":scope > .toggle-button")?.click();
      }
    }
  };

  const arrive = () => {
    const url = new URL(location.href);
    const words = (url.searchParams.get("highlight") ?? "").split(/\s+/).filter(Boolean);
    const article = document.querySelector("article");
    if (!words.length || !article) return;
    url.searchParams.delete("highlight");
    try {
      history.replaceState(history.state, "", url);
    } catch {
      // A browser may not let a page opened from a folder change its address.
    }
    mark(article, words);
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target) {
      unfold(target);
      let moved = false;
      for (const kind of ["wheel", "touchmove", "keydown"]) {
        addEventListener(kind, () => (moved = true), { once: true, passive: true });
      }
      // Formulas and figures above the section push it down while they are set.
      const settle = () => moved || target.scrollIntoView();
      settle();
      addEventListener("load", () => {
        settle();
        window.MathJax?.startup?.promise?.then(() => setTimeout(settle, 100));
      });
    }
    addEventListener("keydown", (event) => event.key === "Escape" && clear());
  };

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", arrive);
  else arrive();
  return { clear, mark, pattern, stem };
})();

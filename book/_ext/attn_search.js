// The search page: sections of the book, best first, each with the sentence that has the words.
// attn_sections.js calls attnSearch with the index; attn_marks.js says what a word matches.
"use strict";

window.attnSearch = (() => {
  const MOST = 60; // results
  const EACH = 5; // of one page
  const STOP = new Set(
    "a an and are as at be but by can do does for from how i if in into is it its my no not of on or so that the their then there these they this to was what when where which who why will with you".split(
      " ",
    ),
  );
  // How much a kind of section counts beside one of a chapter.
  const WORTH = { chapter: 1, appendix: 0.8, course: 0.6, api: 0.5 };
  const PART = { section: 1, exercise: 0.6, solution: 0.5, api: 1 };
  const LEAST = /^(?:[\d.]+ )?(?:references|summary|exercises?|bibliography)$/iu;

  const split = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const plain = (text) => split(text).join(" ");
  const count = (text, pattern) => text.match(pattern)?.length ?? 0;

  // The words of a query that are looked for: all of them, if none says more than another.
  const wordsOf = (query) => {
    const all = [...new Set(split(query))];
    const telling = all.filter((word) => !STOP.has(word));
    return telling.length ? telling : all;
  };

  // The sections that are known by other words: the whole query, or without its small words.
  const meant = (index, query) => {
    const asked = new Set([plain(query), wordsOf(query).join(" ")]);
    const found = new Set();
    for (const [term, places] of Object.entries(index.synonyms)) {
      const same = plain(term);
      if (asked.has(same) || asked.has(`${same}s`)) places.forEach((at) => found.add(at));
    }
    return found;
  };

  // All sections that hold every word, as [score, position], best first.
  const find = (index, query) => {
    const words = wordsOf(query);
    if (!words.length) return [];
    const { pattern } = window.attnMarks;
    const patterns = words.map((word) => pattern([word]));
    const phrase = plain(query);
    const known = meant(index, query);
    const counts = index.sections.map(([page, , title, text, code, terms]) =>
      patterns.map((each) => [
        count(title, each),
        count(text, each),
        count(code.replaceAll("_", " "), each),
        count(index.pages[page][1], each),
        terms.some((term) => term.match(each)) ? 1 : 0,
      ]),
    );
    const rarity = words.map((_, at) => {
      const having = counts.filter((each) => each[at].some((n) => n > 0)).length;
      return Math.log(1 + index.sections.length / (1 + having));
    });
    const found = [];
    index.sections.forEach(([page, , title, text, , terms, part], at) => {
      const all = counts[at].every((each) => each.some((n) => n > 0));
      if (!all && !known.has(at)) return;
      let score = 0;
      counts[at].forEach(([inTitle, inText, inCode, above, bold], word) => {
        const weight = 9 * (inTitle > 0) + 3 * Math.log2(1 + inText) + (inCode > 0);
        score += rarity[word] * (weight + 2 * (above > 0) + 5 * bold);
      });
      if (words.length > 1 && plain(title).includes(phrase)) score += 25;
      else if (words.length > 1 && plain(text).includes(phrase)) score += 12;
      if (terms.some((term) => plain(term) === phrase)) score += 20;
      if (plain(title.replace(/^[\d.]+ /u, "")) === phrase) score += 40;
      const kind = index.pages[page][2];
      score *= WORTH[kind] * PART[part] * (LEAST.test(title) ? 0.3 : 1);
      // A name of the library is meant itself; else the book comes before its reference.
      const named = kind === "api" && plain(title).endsWith(phrase);
      const underscored = query.includes("_") || query.includes(".");
      const group = known.has(at) ? 3 : named && underscored ? 2 : kind === "api" ? 0 : 1;
      found.push([1e6 * group + score, at]);
    });
    return found.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  };

  // The part of a text that has most of the words.
  const excerpt = (text, words) => {
    const found = [...text.matchAll(window.attnMarks.pattern(words))].map((each) => each.index);
    const near = (from) => found.filter((at) => at >= from && at < from + 180).length;
    const best = found.reduce((a, b) => (near(b) > near(a) ? b : a), found[0] ?? 0);
    let start = Math.max(0, best - 60);
    if (start > 0) start = text.indexOf(" ", start) + 1;
    let end = Math.min(text.length, start + 240);
    if (end < text.length) end = text.lastIndexOf(" ", end);
    return `${start > 0 ? "… " : ""}${text.slice(start, end)}${end < text.length ? " …" : ""}`;
  };

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const result = (index, at, words) => {
    const [page, anchor, title, text] = index.sections[at];
    const [path, name] = index.pages[page];
    const query = new URLSearchParams({ highlight: words.join(" ") });
    const link = make("a", { href: `${path}?${query}${anchor && `#${anchor}`}` }, title || name);
    const where = anchor ? make("span", { className: "attn-where" }, name) : "";
    const context = make("p", { className: "context" }, excerpt(text, words));
    window.attnMarks.mark(context, words);
    return make("li", {}, link, where, context);
  };

  const show = (index, query) => {
    const out = document.getElementById("search-results");
    const words = wordsOf(query);
    const perPage = new Map();
    const all = find(index, query);
    const shown = all.filter(([, at]) => {
      const page = index.sections[at][0];
      perPage.set(page, (perPage.get(page) ?? 0) + 1);
      return perPage.get(page) <= EACH;
    });
    const few = shown.slice(0, MOST);
    const said = all.length
      ? `${all.length} section${all.length > 1 ? "s" : ""}${few.length < all.length ? `, the best ${few.length} of them here` : ""}.`
      : "Your search did not match any documents. Try fewer words, or other ones.";
    out.replaceChildren(
      make("h2", {}, "Search results"),
      make("p", { className: "search-summary", role: "status" }, said),
      make("ul", { className: "search" }, ...few.map(([, at]) => result(index, at, words))),
    );
  };

  const start = (index) => {
    start.index = index;
    const query = new URLSearchParams(location.search).get("q") ?? "";
    document.querySelectorAll('input[name="q"]').forEach((each) => (each.value = query));
    if (query.trim()) show(index, query);
  };
  start.find = find;
  return start;
})();

// One slide at a time, by keys, buttons, or a finger; the address holds the number. d: dark or light.
(() => {
  const WIDE = 1280;
  const HIGH = 720;
  const LARGEST = 1.6; // of a figure to play with
  const root = document.documentElement;
  const slides = [...document.querySelectorAll("section.slide")];
  const said = document.querySelector(".deck-nav output");
  let at = 0;

  // The part of a slide that is neither a picture nor its caption is made as large as there is room.
  const fit = (slide) => {
    const part = slide.querySelector("attn-fig, .part");
    if (!part) return;
    part.style.zoom = "";
    if (!root.classList.contains("deck-fixed")) return;
    const body = slide.querySelector(".slide-body");
    const caption = body.querySelector("figcaption");
    const room = body.clientHeight - (caption ? caption.offsetHeight + 8 : 0);
    const largest = part.localName === "attn-fig" ? LARGEST : 1;
    const wide = Math.max(part.offsetWidth, part.scrollWidth);
    const size = Math.min(largest, room / part.offsetHeight, body.clientWidth / wide);
    part.style.zoom = Math.floor(size * 198) / 200; // a little less, for what is rounded
  };

  const stage = (printing = false) => {
    root.style.setProperty("--stage", Math.min(innerWidth / WIDE, innerHeight / HIGH));
    root.classList.toggle("deck-fixed", printing || innerWidth >= 700);
    slides.forEach(fit);
  };

  const show = (number) => {
    at = Math.min(Math.max(number, 0), slides.length - 1);
    for (const [i, slide] of slides.entries()) {
      slide.classList.toggle("shown", i === at);
      slide.inert = i !== at;
    }
    fit(slides[at]);
    said.textContent = `${at + 1} of ${slides.length}`;
    if (location.hash !== `#${at + 1}`) history.replaceState(null, "", `#${at + 1}`);
  };

  const keys = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 };
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("attn-fig, input, select, textarea, button, a");
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in keys) show(at + keys[event.key]);
    else if (event.key === "d") {
      const { dataset } = root;
      dataset.theme = dataset.theme === "dark" ? "light" : "dark";
    } else if (event.key === "Home") show(0);
    else if (event.key === "End") show(slides.length - 1);
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => show(at + Number(button.dataset.go)));
  }
  let start = null;
  document.addEventListener("touchstart", (event) => {
    start = event.target.closest("attn-fig") ? null : event.changedTouches[0].screenX;
  });
  document.addEventListener("touchend", (event) => {
    if (start === null) return;
    const moved = event.changedTouches[0].screenX - start;
    if (Math.abs(moved) > 80) show(at - Math.sign(moved));
  });

  // A figure is measured again when it has been drawn. Once it is played with it may shrink, if what
  // it says becomes longer, but does not jump back.
  const played = new WeakSet();
  const changed = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const body = target.closest(".slide-body");
      if (played.has(target) && body.scrollHeight <= body.clientHeight + 1) continue;
      fit(body.closest("section.slide"));
    }
  });
  for (const figure of document.querySelectorAll("section.slide attn-fig")) {
    changed.observe(figure);
    for (const name of ["pointerdown", "keydown"]) figure.addEventListener(name, () => played.add(figure));
  }

  addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0));
  addEventListener("resize", () => stage());
  addEventListener("load", () => stage());
  addEventListener("beforeprint", () => stage(true));
  addEventListener("afterprint", () => stage());
  root.classList.add("deck-runs");
  stage();
  show(Number(location.hash.slice(1)) - 1 || 0);
})();

// One slide at a time, by keys, buttons, or a finger; the address holds the number. d: dark or light.
(() => {
  const slides = [...document.querySelectorAll("section.slide")];
  const said = document.querySelector(".deck-nav output");
  let at = 0;

  const show = (number) => {
    at = Math.min(Math.max(number, 0), slides.length - 1);
    for (const [i, slide] of slides.entries()) {
      slide.classList.toggle("shown", i === at);
      slide.inert = i !== at;
    }
    said.textContent = `${at + 1} of ${slides.length}`;
    if (location.hash !== `#${at + 1}`) history.replaceState(null, "", `#${at + 1}`);
  };

  const keys = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 };
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("attn-fig, input, select, textarea, button, a");
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in keys) show(at + keys[event.key]);
    else if (event.key === "d") {
      const { dataset } = document.documentElement;
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
  window.addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0));
  document.documentElement.classList.add("deck-runs");
  show(Number(location.hash.slice(1)) - 1 || 0);
})();

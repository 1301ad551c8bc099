"""Draw the pictures by which the book is known elsewhere: `make cards`.

    python book/_tools/cards.py [NAME ...]

For the landing page and each chapter, in `book/_static/cards`:

* `NAME.png`, 1200 x 630: what a shared link shows. The chapter's title and question, and its best
  figure;
* `NAME-light.png` and `NAME-dark.png`, 480 x 300: the figure alone, for the map of the chapters on
  the landing page.

And the book's icon as PNG, for what cannot show `favicon.svg`. Everything is drawn by the Chromium
that the tests use, from the figures stored in the notebooks; a card remembers the words it shows
(`words_of`), and a test tells when they are no longer the chapter's.
"""

import html
import io
import re
import sys
from functools import partial
from pathlib import Path

import headless
import nbformat
from PIL import Image, ImageChops, ImageStat, PngImagePlugin

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
STATIC = BOOK / "_static"
CARDS = STATIC / "cards"
CARD, THUMB = (1200, 630), (480, 300)
LARGEST, LARGEST_THUMB = 60_000, 30_000  # bytes
ICONS = {"favicon-48.png": 48, "apple-touch-icon.png": 180}

# The best figure of each chapter, by its name there.
FIGURES = {
    "intro": "white_horse.svg",
    "01_bottleneck": "fig-01-unrolled",
    "02_by_hand": "fig-02-dictionary",
    "03_bahdanau": "fig-03-asking",
    "03b_alignment": "fig-03-aer",
    "04_luong": "fig-04-orders",
    "05_global_local": "fig-05-windows",
    "06_soft_hard": "fig-06-where",
    "07_show_attend_tell": "fig-07-words",
    "07b_photographs": "fig-07-eye",
    "08_self_attention": "fig-08-ways",
    "09_transformer": "fig-09-model",
    "10_reading_attention": "fig-10-alone",
    "10b_bug_museum": "fig-10b-wrong",
    "11_beyond": "fig-11-hops",
    "11b_seeing": "fig-11b-patches",
    "11c_without": "fig-11c-rooms",
}
COLOURS = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
SLOGAN = "Attention, from one vector to the transformer, with code to run and figures to play with"

# The inks of book.css on a light and on a dark page, for drawings.
LIGHT = """--ground: #fff; --text: #1f2933; --attn-query-ink: #00639b; --attn-key-ink: #8a5f00;
  --attn-value-ink: #00704f; --attn-context-ink: #9c3f74;"""
DARK = """--ground: #14181e; --text: #ced6dd; --attn-query: #3d9fe0; --attn-value: #1fb489;
  --attn-context: #d98cb7; --attn-query-ink: #6fbcf0; --attn-key-ink: #f0b232;
  --attn-value-ink: #3ecfa4; --attn-context-ink: #e5a3c8;"""
STYLE = """
* { box-sizing: border-box; margin: 0; }
body { width: 1200px; height: 630px; display: flex; background: #f3f6f9; color: #1f2933;
  font-family: "Source Sans 3", "Noto Sans", system-ui, sans-serif;
  border-left: 14px solid #0072b2; }
.words { width: 470px; padding: 48px 24px 44px 44px; display: flex; flex-direction: column; }
.brand { display: flex; align-items: center; gap: 16px; font-size: 27px; font-weight: 600; }
.brand svg { width: 66px; }
.number { margin-top: auto; color: #00639b; font-size: 29px; font-weight: 600; }
h1 { font-size: 51px; line-height: 1.1; text-wrap: balance; }
.question { margin: 22px 0 auto; font-size: 31px; line-height: 1.28; color: #465461; }
.figure { flex: 1; margin: 36px 36px 36px 0; padding: 26px; border-radius: 18px; background: #fff;
  box-shadow: 0 2px 14px rgb(0 0 0 / 12%); }
.picture { width: 100%; height: 100%; display: flex; align-items: center; justify-content: center;
  overflow: hidden; color: var(--text); }
.picture > svg { width: 100% !important; height: 100% !important; max-width: none !important; }
.picture > img { width: 100%; height: 81%; object-fit: cover; object-position: top; }
body.thumb { width: 480px; height: 300px; padding: 16px; border: 0; background: var(--ground); }
"""


def chapters() -> dict[str, tuple[str, str]]:
    """The number and the question of every chapter, from the introduction's table.

    >>> chapters()["01_bottleneck"]
    ('1', 'How much of a sentence fits into one vector?')
    """
    cells = nbformat.read(BOOK / "intro.ipynb", 4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    rows = re.findall(r"(?m)^\| ([\d.]+?)\.? \{doc\}`(\w+)`: (.*\?) \| \d+ \|$", text)
    return {name: (number, question) for number, name, question in rows}


def words_of(name: str) -> tuple[str, str, str]:
    """What a card says: a line above the title, the title, and a line below it."""
    cells = nbformat.read(BOOK / f"{name}.ipynb", 4).cells
    title = re.match(r"(?:\(.*\)=\n)?# (.+)", cells[0].source)[1]
    if name == "intro":
        return "", title, SLOGAN
    number, question = chapters()[name]
    return f"Chapter {number}", title, question


def picture(name: str) -> str:
    """The figure of a chapter, as its notebook stores it."""
    figure = FIGURES[name]
    if figure.endswith(".svg"):
        return (STATIC / figure).read_text("utf-8")
    for cell in nbformat.read(BOOK / f"{name}.ipynb", 4).cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure:
            data = cell.outputs[0].data
            if "text/html" in data:
                return data["text/html"]
            return f'<img alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    raise ValueError(f"{name} has no figure {figure}")


def page(body: str, inks: str, kind: str = "") -> str:
    """A page of its own for one picture."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>card</title>'
        f"<style>:root {{ {inks} }} {STYLE}</style><body class='{kind}'>{body}</body></html>"
    )


def card(name: str) -> str:
    """The page of a card."""
    above, title, below = (html.escape(words) for words in words_of(name))
    logo = (STATIC / "logo.svg").read_text("utf-8")
    brand = f'<div class="brand">{logo}{"" if name == "intro" else "Learning to Attend"}</div>'
    return page(
        f'<div class="words">{brand}<p class="number">{above}</p><h1>{title}</h1>'
        f'<p class="question">{below}</p></div>'
        f'<div class="figure"><div class="picture">{picture(name)}</div></div>',
        LIGHT,
    )


def distance(image: Image.Image, other: Image.Image) -> float:
    """How far apart two pictures are: squares, for a lost hue is worse than many shades."""
    difference = ImageChops.difference(image, other.convert("RGB"))
    return sum(each**2 for each in ImageStat.Stat(difference).rms)


def save(shot: bytes, path: Path, about: str = "", largest: int | None = None) -> None:
    """Write a picture with as few colours as it needs."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    info = PngImagePlugin.PngInfo()
    if about:
        info.add_text("Description", about)
    sample = image.copy()  # in which the book's own colours count, however little is in them
    for number, colour in enumerate(COLOURS):
        sample.paste(colour, (0, 25 * number, image.width, 25 * number + 25))
    for colours in (256, 192, 128, 96, 64, 48, 32):
        ways = Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE, Image.Quantize.FASTOCTREE
        source = image if colours == 256 else sample
        palettes = [source.quantize(colours, way) for way in ways]
        tries = [image.quantize(palette=each, dither=Image.Dither.NONE) for each in palettes]
        min(tries, key=partial(distance, image)).save(path, optimize=True, pnginfo=info)
        if largest is None or path.stat().st_size <= largest:
            return
    raise ValueError(f"{path.name}: {path.stat().st_size} bytes, more than {largest}")


def about(name: str) -> str:
    """What a card remembers of its words and its figure."""
    return "; ".join([*filter(None, words_of(name)), FIGURES[name]])


def draw(names: list[str]) -> None:
    """Draw the cards of these pages, and the icons."""
    CARDS.mkdir(exist_ok=True)
    with headless.chromium() as browser:
        tab = browser.new_page()

        def shot(content: str, size: tuple[int, int]) -> bytes:
            tab.set_viewport_size({"width": size[0], "height": size[1]})
            tab.set_content(content)
            return tab.screenshot()

        for name in names:
            save(shot(card(name), CARD), CARDS / f"{name}.png", about(name), LARGEST)
            if name == "intro":
                continue
            drawing = f'<div class="picture">{picture(name)}</div>'
            for theme, inks in ("light", LIGHT), ("dark", DARK):
                small = shot(page(drawing, inks, "thumb"), THUMB)
                save(small, CARDS / f"{name}-{theme}.png", largest=LARGEST_THUMB)
            print(f"drew the card of {name}")
        for file, size in ICONS.items():
            edge = size // 9 if size > 100 else 0
            icon = (STATIC / "favicon.svg").read_text("utf-8")
            tab.set_viewport_size({"width": size, "height": size})
            tab.set_content(
                f"<style>body {{ margin: {edge}px; {'background: #fff' if edge else ''} }}"
                f"svg {{ display: block; width: {size - 2 * edge}px }}</style>{icon}"
            )
            (STATIC / file).write_bytes(tab.screenshot(omit_background=True))


if __name__ == "__main__":
    try:
        draw(sys.argv[1:] or list(FIGURES))
    except FileNotFoundError as error:
        sys.exit(f"make cards: {error}")

"""Print the book as one PDF, by the Chromium that the tests use: `make pdf`.

    python book/_tools/pdf.py [--solutions no]

Each page of `_toc.yml` is printed from the built site, in order, and the page numbers go on from
one to the next. A title page and the contents, which know by then where everything stands, come
first and have numbers of their own. What links from page to page on the site does so in the PDF;
the pages of the API stay out of it, and links to them lead to the published site.

Code that a page folds is left out: it draws the figures that stand there, and is longer than the
text around it. Results that are to be predicted, folded on the page, are shown. What is too wide
for the paper is made smaller, and code that would become too small to read is wrapped.
"""

import argparse
import html
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import headless
import yaml
from offline import NAME, ROOT, SITE, check_built
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    Fit,
    FloatObject,
    NameObject,
    NullObject,
    TextStringObject,
)

from attnlib import __version__

PDF = ROOT / "_build" / f"{NAME}.pdf"
STYLE = (Path(__file__).parent / "pdf.css").read_text("utf-8")
LEFT_OUT = {"book/appendix/api"}
SCALE = 0.8  # of a pixel in print: text of 9.6 points
WIDTH = 756  # in these pixels, what the margins of pdf.css leave of A4
SMALLEST = 0.75  # of its size: code that would have to be smaller is wrapped
WIDE = ".cell_output, .pst-scrollable-table-container, mjx-container[display=true]"
WIDE += ", attn-fig :is(.scroll, .heatmap)"  # what scrolls on a page
TALL = 600  # half a page: a figure to play with is made smaller, code may go on overleaf
SMALLER = 0.8
TAKES = 120_000  # milliseconds, at most, to open a page or to print it

FRONT = """
<div class="title-page">
<h1>{title}</h1>
<p class="authors">{author}</p>
<img src="../_static/white_horse.svg" alt="">
<p>Version {version}, {year}, {solutions} the solutions to its exercises. Figures that can be played
with, the code that draws them, and what each function of the library does are on
<a href="{site}">{site}</a>.</p>
{terms}
</div>
<div class="contents"><h1>Contents</h1><ul>{lines}</ul></div>"""

# Make a page ready to be printed, and return its title, its headings, and where it is published.
PREPARE = """async ({solutions, smallest, tall, smaller, wide}) => {
    const article = document.querySelector(".bd-article");
    for (const each of article.querySelectorAll("details")) each.open = true;
    for (const each of article.querySelectorAll(".toggle-hidden")) {
        each.classList.remove("toggle-hidden");
    }
    if (!solutions) for (const each of article.querySelectorAll(".solution")) each.remove();
    const pictures = [...article.querySelectorAll("img")];
    for (const each of pictures) each.loading = "eager";
    await Promise.allSettled(pictures.map((each) => each.decode()));
    for (const each of pictures) {
        each.classList.toggle("upright", each.naturalHeight > each.naturalWidth);
    }

    // Chromium keeps a place for what the same page links to; other chapters link to it, too.
    const places = document.createElement("div");
    places.hidden = true;
    for (const each of article.querySelectorAll("[id]")) {
        const link = document.createElement("a");
        link.href = `#${encodeURIComponent(each.id)}`;
        places.append(link);
    }
    document.body.append(places);

    // Code first: its letters, so that a long line need not be broken; in print they are set a
    // little wider than on the screen. Then all else.
    for (const each of article.querySelectorAll("pre")) {
        each.style.setProperty("white-space", "pre", "important");
        const [size, left, right] = ["fontSize", "paddingLeft", "paddingRight"].map((name) =>
            parseFloat(getComputedStyle(each)[name]),
        );
        const room = (0.96 * (each.clientWidth - left - right)) / (each.scrollWidth - left);
        if (room < 1 && room >= smallest) each.style.fontSize = `${size * room}px`;
        each.style.removeProperty("white-space");
    }
    for (const each of article.querySelectorAll(wide)) {
        const ratio = each.clientWidth / each.scrollWidth;
        if (ratio < 0.998) for (const child of each.children) child.style.zoom = ratio;
    }
    for (const each of article.querySelectorAll("attn-fig")) {
        if (each.offsetHeight > tall) each.style.zoom = smaller;
    }
    const code = "pre, .highlight, [class*=highlight-], .cell_input";
    for (const each of article.querySelectorAll(code)) {
        if (each.offsetHeight > tall) each.style.breakInside = "auto";
    }

    const words = (heading) => {
        const copy = heading.cloneNode(true);
        for (const each of copy.querySelectorAll(".headerlink, mjx-math")) each.remove();
        return copy.textContent.replace(/\\s+/g, " ").trim();
    };
    const headings = [...article.querySelectorAll("h2, h3")].filter((each) => each.clientWidth);
    return {
        title: words(article.querySelector("h1")),
        headings: headings.map((each) => ({
            level: Number(each.tagName[1]),
            words: words(each),
            place: each.closest("section").id,
        })),
        published: document.querySelector('link[rel="canonical"]').href,
    };
}"""


class Entry(NamedTuple):
    """A page of the table of contents."""

    name: str
    part: str
    depth: int


def entries(toc: dict, part: str = "", depth: int = 0) -> Iterator[Entry]:
    """The pages of a table of contents, in order, without those that are left out.

    >>> toc = {"root": "a", "parts": [{"caption": "P", "chapters": [{"file": "b", "sections":
    ...     [{"file": "c"}, {"glob": "d/*"}]}]}]}
    >>> [tuple(entry) for entry in entries(toc)]
    [('a', '', 0), ('b', 'P', 0), ('c', 'P', 1)]
    """
    name = toc.get("root", toc.get("file"))
    if name in LEFT_OUT:
        return
    if name:
        yield Entry(name, part, depth)
    for each in toc.get("parts", []):
        yield from entries(each, each["caption"], depth)
    for each in toc.get("chapters", []):
        yield from entries(each, part, depth)
    for each in toc.get("sections", []):
        yield from entries(each, part, depth + 1)


class Heading(NamedTuple):
    """A heading below a page's title; its place is the id of its section."""

    level: int
    words: str
    place: str


class Place(NamedTuple):
    """Where something stands: the number of a page from 0, and points from its left and bottom."""

    number: int
    left: float
    top: float


class Printed(NamedTuple):
    """A page of the site as it was printed, from a page of the book on, counted from 0."""

    entry: Entry
    title: str
    headings: list[Heading]
    pdf: PdfReader
    first: int


def folio(title: str, first: int, numerals: str = "decimal") -> str:
    """The style of pages with this title above, and numbers from `first` below."""
    return (
        f"@page {{ @top-left {{ content: {json.dumps(title, ensure_ascii=False)}; }}"
        f" @bottom-center {{ content: counter(page, {numerals}); }} }}"
        f" html {{ counter-reset: page {first - 1}; }}"
    )


class Book:
    """Prints pages of a site in a tab of Chromium, one after the other, and binds them.

    Parameters
    ----------
    tab : playwright's Page
        Where the pages are opened.
    site : Path
        The folder of the built site.
    solutions : bool
        Whether the solutions to exercises are printed.

    Examples
    --------
    `book.add(entry)` prints a page, `book.bind(config)` returns the book as a `PdfWriter`.
    """

    def __init__(self, tab, site: Path = SITE, solutions: bool = True):
        self.tab, self.solutions = tab, solutions
        self.home = f"{site.resolve().as_uri()}/"
        self.published = ""  # the same address of the site that everybody sees
        self.length = 0
        self.pages: list[Printed] = []
        self.places: dict[tuple[str, str], Place] = {}  # by page of the site and id
        tab.set_default_timeout(TAKES)
        tab.set_viewport_size({"width": WIDTH, "height": 1000})
        tab.emulate_media(media="print", color_scheme="light")

    def open(self, name: str) -> None:
        self.tab.goto(f"{self.home}{name}.html", wait_until="load")
        self.tab.evaluate(headless.SETTLED)
        self.tab.add_style_tag(content=STYLE)

    def print(self) -> PdfReader:
        """What the tab shows, as a PDF."""
        content = self.tab.pdf(prefer_css_page_size=True, print_background=True, scale=SCALE)
        return PdfReader(io.BytesIO(content))

    def add(self, entry: Entry) -> None:
        """Print a page of the site after those that were printed before it."""
        self.open(entry.name)
        wanted = {"smallest": SMALLEST, "tall": TALL, "smaller": SMALLER, "wide": WIDE}
        found = self.tab.evaluate(PREPARE, wanted | {"solutions": self.solutions})
        self.published = found["published"].removesuffix(f"{entry.name}.html")
        self.tab.add_style_tag(content=folio(found["title"], self.length + 1))
        pdf = self.print()
        headings = [Heading(**each) for each in found["headings"]]
        self.pages.append(Printed(entry, found["title"], headings, pdf, self.length))
        self.places[entry.name, ""] = Place(self.length, 0, float(pdf.pages[0].mediabox.top))
        for name, target in pdf.named_destinations.items():
            number = pdf.get_destination_page_number(target)
            if number is not None:
                self.places[entry.name, unquote(name.removeprefix("/"))] = Place(
                    self.length + number, float(target.left or 0), float(target.top or 0)
                )
        self.length += len(pdf.pages)

    def place(self, name: str, fragment: str = "") -> Place | None:
        """Where an element of the site stands, or else its page; None if that is left out."""
        return self.places.get((name, fragment)) or self.places.get((name, ""))

    def line(self, name: str, fragment: str, words: str, kind: str) -> str:
        """A line of the contents."""
        place = self.place(name, fragment)
        assert place is not None  # what stands in the contents has been printed
        return (
            f'<li class="{kind}"><a href="{self.home}{name}.html#{quote(fragment)}">'
            f"<span>{html.escape(words)}</span><span>{place.number + 1}</span></a></li>"
        )

    def front(self, config: dict) -> PdfReader:
        """The title page, and the contents with the numbers of pages."""
        lines, part = [], ""
        for page in self.pages:
            if page.entry.part != part:
                part = page.entry.part
                lines.append(f'<li class="part">{html.escape(part)}</li>')
            lines.append(self.line(page.entry.name, "", page.title, "chapter"))
            lines += [
                self.line(page.entry.name, each.place, each.words, "section")
                for each in page.headings
                if each.level == 2
            ]
        self.open(self.pages[0].entry.name)
        values = {
            "title": config["title"],
            "author": config["author"],
            "version": __version__,
            "year": config["copyright"],
            "solutions": "with" if self.solutions else "without",
            "site": self.published,
        }
        content = FRONT.format(
            **{key: html.escape(value) for key, value in values.items()},
            terms=config["html"]["extra_footer"].partition(". ")[0] + ".</p>",
            lines="".join(lines),
        )
        self.tab.evaluate(
            "(html) => { document.querySelector('.bd-article').innerHTML = html; }", content
        )
        self.tab.add_style_tag(content=folio("Contents", 1, "lower-roman"))
        return self.print()

    def bind(self, config: dict) -> PdfWriter:
        """Put the title page and the contents before what was printed; add outline and links."""
        front = self.front(config)
        writer, before = PdfWriter(), len(front.pages)
        for pdf in (front, *(page.pdf for page in self.pages)):
            for each in pdf.pages:
                writer.add_page(each)
        for number in range(before):
            self.relink(writer, number, before, "")
        for page in self.pages:
            start = before + page.first
            for number in range(start, start + len(page.pdf.pages)):
                self.relink(writer, number, before, page.entry.name)
        self.outline(writer, before)
        writer.set_page_label(0, before - 1, style="/r")
        writer.set_page_label(before, before + self.length - 1, style="/D", start=1)
        writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
        writer.root_object[NameObject("/Lang")] = TextStringObject("en")
        writer.page_mode = "/UseOutlines"
        return writer

    def outline(self, writer: PdfWriter, before: int) -> None:
        """Give a reader's side bar the chapters and their sections."""
        above: dict[int, object] = {}  # by depth, what the next of that depth stands under

        def add(place: Place | None, words: str, depth: int) -> None:
            if place is None:
                return
            for deeper in [each for each in above if each >= depth]:
                del above[deeper]
            above[depth] = writer.add_outline_item(
                title=words,
                page_number=before + place.number,
                parent=above[max(above)] if above else None,
                is_open=False,
                fit=Fit.xyz(place.left, place.top, 0),
            )

        add(Place(1 - before, 0, 842), "Contents", 0)
        for page in self.pages:
            name, depth = page.entry.name, 10 * page.entry.depth
            add(self.place(name), page.title, depth)
            for each in page.headings:
                add(self.place(name, each.place), each.words, depth + each.level - 1)

    def relink(self, writer: PdfWriter, number: int, before: int, name: str) -> None:
        """Let the links of one page lead into the book, or else to the published site."""
        kept = ArrayObject()
        for reference in writer.pages[number].get("/Annots", ()):
            link = reference.get_object()
            address = link["/A"].get("/URI", "") if "/A" in link else None
            place = None
            if address is None:
                place = self.places.get((name, unquote(str(link["/Dest"]).removeprefix("/"))))
                if place is None:
                    continue  # what it led to was left out
            elif address.startswith(self.home):
                path, _, fragment = address.removeprefix(self.home).partition("#")
                place = self.place(path.removesuffix(".html"), unquote(fragment))
                address = self.published + address.removeprefix(self.home)
                link["/A"][NameObject("/URI")] = TextStringObject(address)
            if place is not None:
                link.pop("/A", None)
                page = writer.pages[before + place.number].indirect_reference
                at = FloatObject(place.left), FloatObject(place.top), NullObject()
                link[NameObject("/Dest")] = ArrayObject([page, NameObject("/XYZ"), *at])
            kept.append(reference)
        writer.pages[number][NameObject("/Annots")] = kept


def main(arguments: list[str] | None = None) -> None:
    """Print the book."""
    parser = argparse.ArgumentParser(description="Print the book as one PDF.")
    parser.add_argument(
        "--solutions", choices=["yes", "no"], default="yes", help="print those of the exercises"
    )
    options = parser.parse_args(arguments)
    config, toc = (
        yaml.safe_load((ROOT / name).read_text("utf-8")) for name in ("_config.yml", "_toc.yml")
    )
    try:
        check_built(SITE)
        with headless.chromium() as browser:
            book = Book(browser.new_page(), solutions=options.solutions == "yes")
            for entry in entries(toc):
                book.add(entry)
                print(f"printed {entry.name}: {len(book.pages[-1].pdf.pages)} pages", flush=True)
            writer = book.bind(config)
    except FileNotFoundError as error:
        sys.exit(f"make pdf: {error}")
    writer.write(PDF)
    print(f"{PDF}: {len(writer.pages)} pages, {PDF.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

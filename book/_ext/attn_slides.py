"""Sphinx extension: a deck of slides for each chapter, made from the chapter's own page.

A deck holds what a lecturer shows: the goals, every figure with its caption (those to play with
play here, too), the numbered equations, the quick questions, the tables of results, the summary,
and the exercises with their minutes. It lies beside the book, in `slides/`, shares the book's
styles and scripts, works from a folder without a network, and prints one slide a page. A result
that the chapter hides, for readers to predict it, has a slide before it that asks.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag

FOLDER = "slides"
LEFT_OUT = [
    'link[rel="canonical"]',
    'link[rel="next"]',
    'link[rel="prev"]',
    'meta[property^="og:"]',
    'meta[name^="twitter:"]',
]
SCRIPTS = ("attn_figures",)  # not the theme's own look for parts that a deck lacks
NOT_SHOWN = {"Exercises", "References"}
TALL = 0.7  # height by width, from which a picture has its caption beside it
# How figures to play with are set on a slide: width in pixels, and columns for the tallest.
WIDTHS = {
    "alignment": (720, 1),
    "caption_steps": (1160, 3),
    "five_dials": (1200, 3),
    "heads": (1200, 3),
    "listening": (1100, 2),
    "live_attention": (1100, 2),
    "live_heads": (1300, 4),
    "live_scene": (1160, 2),
    "live_translator": (1200, 3),
    "local_windows": (1160, 2),
    "memory": (800, 1),
    "models": (1200, 3),
    "moved_weights": (1100, 2),
    "positions": (1200, 4),
    "quiz": (800, 1),
    "related_cells": (1200, 1),
    "soft_hard": (1300, 4),
    "softmax_lookup": (960, 1),
}
SCRIPT = (Path(__file__).parent / "attn_slides.js").read_text("utf-8")
STYLE = (Path(__file__).parent / "attn_slides.css").read_text("utf-8")
PAGE = """<!DOCTYPE html>
<html lang="en" data-content_root="../" data-theme="light">
<head>{head}<style>{style}</style></head>
<body class="bd-article deck" data-bs-no-jquery>
<main class="bd-content">
{slides}
</main>
<nav class="deck-nav" aria-label="Slides">
<button type="button" data-go="-1" aria-label="Slide before">‹</button>
<output aria-live="polite"></output>
<button type="button" data-go="1" aria-label="Next slide">›</button>
</nav>
<script>{script}</script>
</body></html>
"""


def title_of(heading: Tag) -> str:
    """A heading without its number and without the sign that links to it."""
    text = "".join(
        part.get_text() if isinstance(part, Tag) else str(part)
        for part in heading.children
        if not (
            isinstance(part, Tag) and set(part.get("class", [])) & {"headerlink", "section-number"}
        )
    )
    return text.strip()


def before(block: Tag) -> str:
    """The paragraph that leads to a block, if it does so with a colon."""
    for sibling in block.find_previous_siblings():
        if sibling.name == "p":
            return str(sibling) if sibling.get_text().rstrip().endswith(":") else ""
        if sibling.name != "span":
            break
    return ""


def asked(block: Tag) -> str:
    """What a reader is to predict before a block: the text from the last *Predict* on."""
    for word in block.find_all_previous(["em", "strong"], limit=20):
        if word.find_parent("section") is not block.find_parent("section"):
            break
        if not word.get_text().startswith("Predict"):
            continue
        question = "".join(str(each) for each in (word, *word.next_siblings)).rstrip()
        choices = word.parent.find_next_sibling()
        if question.endswith(":") and choices and choices.find(["li", "td"]):
            return f'<div class="to-predict"><p>{question}</p>{choices}</div>'
        return f'<p class="to-predict">{re.sub(r"(?<=[.?]) [^.?]*:$", "", question)}</p>'
    return ""


def set_figure(figure: Tag) -> None:
    """Tell the style how a figure is to be laid out, from its own measures."""
    if picture := figure.select_one("img[width], svg[viewbox]"):
        width, height = (
            (picture["width"], picture["height"])
            if picture.name == "img"
            else picture["viewbox"].split()[2:]
        )
        if float(height) > TALL * float(width):
            figure["class"] = [*figure.get("class", []), "tall"]
    for image in figure.select("img[loading]"):
        del image["loading"]  # or it would be missing in print


def set_widths(slides: Tag) -> None:
    """Give the figures to play with the widths and columns that suit them on a slide."""
    for figure in slides.select("attn-fig"):
        if figure["data-module"] in WIDTHS:
            width, columns = WIDTHS[figure["data-module"]]
            figure["style"] = f"--wide: {width}px; --split: {columns}"
            figure["class"] = ["columns"] if columns > 1 else []


def blocks(section: Tag) -> Iterator[str]:
    """What a section shows: figures, questions, equations and tables, in their order."""
    for block in section.select("figure, attn-fig, div.math, table.attn-table"):
        if block.find_parent(["section"]) is not section or block.find_parent(
            ["figure", "attn-fig", "details"] if block.name != "figure" else ["figure"]
        ):
            continue
        if block.find_parent("div", class_=["exercise", "solution", "admonition"]):
            continue
        if block.name == "div" and not block.select_one(".eqno"):
            continue
        if block.name == "table" and not block.find("caption"):
            continue
        hidden = block.find_parent("details", class_="below-input")  # to be predicted first
        if hidden and (question := asked(block)):
            yield part(question)
        if block.name in ("figure", "attn-fig"):
            yield str(block)
        else:
            yield part((before(block) if block.name == "div" else "") + str(block))


def part(html: str) -> str:
    """What the script may shrink until it fits its slide."""
    return f'<div class="part">{html}</div>'


def slides_of(article: Tag, page: str) -> Iterator[tuple[str, str]]:
    """Yield (title, body) for the slides of a chapter's page."""
    main = article.find("h1")
    goals = article.select_one("div.admonition.tip")
    lead = goals.find(["ul", "ol"]) if goals else None
    yield title_of(main), part(f"<p>You will be able to</p>{lead}") if lead else ""
    for section in article.select("section"):
        heading = section.find(["h1", "h2", "h3"], recursive=False)
        if heading is None:
            continue
        title = title_of(heading)
        if title in NOT_SHOWN:
            continue
        if title == "Summary":
            points = [str(item) for item in section.select("li")]
            for start in range(0, len(points), 4):
                yield title, part(f"<ul>{''.join(points[start : start + 4])}</ul>")
            continue
        for body in blocks(section):
            yield title, body
    yield "Exercises", exercises(article, page)


def exercises(article: Tag, page: str) -> str:
    """A table of a page's exercises: name and link, level and minutes."""
    rows = []
    for exercise in article.select("div.exercise"):
        name = exercise.select_one("p.admonition-title").get_text(" ", strip=True)
        level = re.search(r"(Warm-up|Core|Open)[^.]*minutes", exercise.get_text(" "))
        link = f"../book/{page}#{exercise.get('id', '')}"
        rows.append(
            f'<tr><td><a href="{link}">{name}</a></td><td>{level[0] if level else ""}</td></tr>'
        )
    return part(f'<table class="attn-table">{"".join(rows)}</table>')


def deck(html: str, page: str) -> str:
    """The deck of a chapter's page."""
    soup = BeautifulSoup(html, "html.parser")
    article = soup.find("article")
    for each in article.select("details.admonition-folded, a.headerlink, button"):
        each.decompose()
    made = []
    for number, (title, body) in enumerate(slides_of(article, page)):
        level = 1 if number == 0 else 2
        made.append(
            f'<section class="slide" id="{number + 1}"><h{level}>{title}</h{level}>'
            f'<div class="slide-body">{body}</div></section>'
        )
    slides = BeautifulSoup("\n".join(made), "html.parser")
    for figure in slides.select("figure"):
        set_figure(figure)
    set_widths(slides)
    names = {tag["id"] for tag in slides.select("[id]")}
    for link in slides.select("a[href]"):
        target = link["href"]
        if target.startswith("#"):
            if target[1:] not in names:
                link["href"] = f"../book/{page}{target}"
        elif not re.match(r"[a-z]+:|\.\./", target):
            link["href"] = f"../book/{target}"
    head = copy.copy(soup.head)
    for each in head.select(", ".join(LEFT_OUT)):
        each.decompose()
    for each in head.find_all("script"):
        if not any(name in str(each) for name in SCRIPTS):
            each.decompose()
    name = title_of(article.find("h1"))
    head.title.string = f"{name}: slides"
    return PAGE.format(head=head.decode_contents(), style=STYLE, script=SCRIPT, slides=slides)


def write_decks(app, exception):
    """Write the decks of all chapters."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for path in sorted((Path(app.outdir) / "book").glob("[0-9][0-9]*.html")):
        (folder / path.name).write_text(deck(path.read_text("utf-8"), path.name), "utf-8")


def setup(app):
    app.connect("build-finished", write_decks, priority=900)  # when the plots have their twins
    return {"parallel_read_safe": True, "parallel_write_safe": True}

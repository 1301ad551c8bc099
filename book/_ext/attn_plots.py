"""Sphinx extension: give each stored plot a twin for the dark theme.

A plot is stored once, dark on white. The twin of a plot of lines has the lightness of every pixel
turned over and its hue kept, so that blue stays blue and white becomes the ground of the dark page.
In a heat map lightness means something: of its twin only the paper and what is written on it are
turned, and the cells keep their colours. Scenes and photographs have greys of their own, which
nothing tells from the paper's: they have no twin, and keep their white card.

On the page both are WebP, of the same pixels in less than half the bytes of a notebook's PNG.
"""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

GROUND = 0.07  # of the dark theme's page, from 0 to 1
LIGHT = 0.55  # of a coloured line, at least
TWIN = "-dark"
PICTURE = ".webp"
# Shares of a plot's pixels: most are white paper, and few have a strong colour.
LEAST_PAPER, MOST_COLOUR = 0.5, 0.2
STRONG = 40  # between the largest and the smallest channel; the tint of a band has less
# Paper and ink are grey. Text has few pixels between the two; clutter and photographs have many.
GREY, DIM, MOST_DIM = 25, (60, 200), 0.02
IMAGE = re.compile(r'<img (?P<more>[^>]*?)src="(?P<src>[^"]*/_images/[^"/]+\.png)"(?P<rest>[^>]*)>')


def is_of_lines(pixels: np.ndarray) -> bool:
    """Say whether a picture (rows, columns, 3) of values from 0 to 255 is a plot of lines."""
    some = pixels[::3, ::3]
    paper = (some > 250).all(-1).mean()
    coloured = (some.max(-1) - some.min(-1) > STRONG).mean()
    return bool(paper >= LEAST_PAPER and coloured <= MOST_COLOUR)


def turned(pixels: np.ndarray) -> np.ndarray:
    """The picture with the lightness of its pixels turned over and their hues kept."""
    values = pixels / 255
    high, low = values.max(-1, keepdims=True), values.min(-1, keepdims=True)
    lightness = (high + low) / 2
    least = LIGHT * np.clip((high - low) / 0.3, 0, 1)  # of a pale line, which would turn dim
    dark = np.clip(values - lightness + np.maximum(1 - lightness, least), 0, 1)
    return np.round((GROUND + (1 - GROUND) * dark) * 255).astype(np.uint8)


def paper_of(pixels: np.ndarray) -> np.ndarray | None:
    """Where a picture is paper, or ink on it: the greys that hang together with its corner.

    None where they cannot be told from greys that are part of what is shown.
    """
    grey = np.ptp(pixels, -1) < GREY
    dim = grey & (pixels.mean(-1) > DIM[0]) & (pixels.mean(-1) < DIM[1])
    if dim.mean() > MOST_DIM:
        return None
    parts, _ = ndimage.label(grey)
    return parts == parts[0, 0]


def twin_of(path: Path) -> Path | None:
    """Write the twin of a picture, if it is a plot of lines or a heat map."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    dark = turned(pixels)
    if not is_of_lines(pixels):
        paper = paper_of(pixels)
        if paper is None:
            return None
        dark = np.where(paper[..., None], dark, pixels).astype(np.uint8)
    return write(Image.fromarray(dark), path.with_name(path.stem + TWIN + PICTURE))


def write(image: Image.Image, path: Path) -> Path:
    """Write a picture without loss."""
    image.save(path, lossless=True, method=4)
    return path


def with_twins(page: str, twins: dict[str, tuple[bool, tuple[int, int]]]) -> str:
    """The page, its pictures with their sizes, loaded when they come into view, and with twins."""

    def both(found: re.Match) -> str:
        name = found["src"].rsplit("/", 1)[1]
        if name not in twins or "loading=" in found[0]:
            return found[0]
        has_twin, (width, height) = twins[name]
        more = f'{found["more"]}loading="lazy" width="{width}" height="{height}" '
        tail, bare = found["rest"], found["src"].removesuffix(".png")
        if not has_twin:
            return f'<img {more}src="{bare}{PICTURE}"{tail}>'
        return (
            f'<img class="plot-light" {more}src="{bare}{PICTURE}"{tail}>'
            f'<img class="plot-dark" {more}src="{bare}{TWIN}{PICTURE}"{tail}>'
        )

    return IMAGE.sub(both, page)


def add_twins(app, exception):
    """Write the twins of all plots, and name them in the pages that show the plots."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    twins: dict[str, tuple[bool, tuple[int, int]]] = {}
    for path in sorted((folder / "_images").glob("*.png")):
        with Image.open(path) as image:
            write(image, path.with_suffix(PICTURE))
            twins[path.name] = (twin_of(path) is not None, image.size)
    for path in sorted((folder / "book").rglob("*.html")):
        page = path.read_text("utf-8")
        if (changed := with_twins(page, twins)) != page:
            path.write_text(changed, "utf-8")
    for name in twins:
        (folder / "_images" / name).unlink()


def setup(app):
    app.connect("build-finished", add_twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

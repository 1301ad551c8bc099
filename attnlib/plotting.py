"""Pictures of attention: arrays in, Axes out; no global style, no ``show``.

The book's colours, safe for colour-blind readers: query blue, key orange, value green, context
pink; weights on one sequential map with a fixed scale from 0 to 1; source across, target down.

Words are drawn as they are: a ``$`` begins no mathematics, and letters that the usual font lacks
come from an installed one that has them. Which letters no font has is said in a warning.
"""

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.text import Text

from attnlib.data.cleaning import listed

COLOURS = {"query": "#0072B2", "key": "#E69F00", "value": "#009E73", "context": "#CC79A7"}
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
WEIGHTS = "viridis"
COLOURBAR: dict[str, Any] = {"label": "attention weight", "shrink": 0.8}
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
ACROSS = 4  # pictures in a row of `word_maps`
VEIL = 0.7  # how far a cell is darkened that is not looked at at all
GLOW = 0.4  # how far the most attended cell is whitened, so that a look at dark pixels shows


def alignment(weights, source, target, *, ax: Axes | None = None, links=()) -> Axes:
    """Heat map of one alignment.

    Parameters
    ----------
    weights : array of shape (T, S)
        Attention weights, each between 0 and 1.
    source, target : lists of str
        The S source tokens, along the horizontal axis; the T target tokens, down the vertical one.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    links : iterable of (target position, source position), optional
        Known alignments, drawn as hollow squares.

    Raises
    ------
    TypeError
        If either side is one string, or holds something else than strings.
    ValueError
        If the weights do not fit the tokens, or lie outside [0, 1].
    """
    source, target = listed("source", source), listed("target", target)
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (len(target), len(source)):
        raise ValueError(f"weights {weights.shape} for {len(target)} x {len(source)} tokens")
    _refuse_no_weights(weights)
    ax = ax or plt.figure(layout="constrained").subplots()
    image = ax.imshow(weights, cmap=WEIGHTS, vmin=0, vmax=1)
    ax.set_xticks(range(len(source)), source, rotation=90)
    ax.set_yticks(range(len(target)), target)
    draw_as_is([*ax.get_xticklabels(), *ax.get_yticklabels()])
    ax.set(xlabel="source token", ylabel="target token")
    for t, s in links:
        ax.add_patch(
            plt.Rectangle((s - 0.42, t - 0.42), 0.84, 0.84, fill=False, edgecolor="white", lw=1.5)
        )
    ax.figure.colorbar(image, ax=ax, **COLOURBAR)
    return ax


def word_map(
    image,
    weights,
    grid: tuple[int, int],
    word: str = "",
    *,
    ax: Axes | None = None,
    outline=None,
    scale: bool = True,
    bright: bool = False,
) -> Axes:
    """Where one word of a caption looked, over the image.

    The image is made grey and light, so that all colour is the weights': each cell of the grid is
    tinted with its own, unsmoothed. The scale goes from 0 to 1 and is one of square roots: where
    many cells share 1, few have a tenth. A white frame is around the cell with most (none if
    several share it), and the most is written below.

    With `bright` it is as in the figures of Xu et al. (2015): the image keeps its colours, and a
    cell is the darker the less it was looked at, beside the cell with most. Attended cells are also
    whitened, so that a look at something dark can be told from no look. The scale is then that of
    one word, and the number below says how much the brightest cell has.

    Parameters
    ----------
    image : array of shape (H, W, 3)
        Bytes, or floats from 0 to 1.
    weights : array of shape (S,)
        Attention over the cells, row by row, each weight between 0 and 1.
    grid : (rows, columns)
        Of cells, which divide the image evenly.
    word : str
        Above the picture.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    outline : bool array of shape (H, W), optional
        Pixels to draw a line around: the thing that the word names.
    scale : bool
        Whether the scale of the tint stands beside it.
    bright : bool
        Whether to darken what was not looked at and to whiten what was, in place of tinting; there
        is then no scale.

    Raises
    ------
    ValueError
        If shapes do not fit, or the weights lie outside [0, 1].
    """
    ax = ax or plt.figure(layout="constrained").subplots()
    tint = _word_map(image, weights, grid, word, ax, outline, bright)
    if scale and not bright:
        ax.figure.colorbar(tint, ax=ax, **COLOURBAR)
    return ax


def word_maps(
    image, weights, words, grid: tuple[int, int], *, outlines=None, bright: bool = False
) -> list[Axes]:
    """An image, and once more for each word of its caption, with where that word looked.

    Parameters
    ----------
    image, grid, bright
        As in `word_map`.
    weights : array of shape (T, S)
        Attention of the T words.
    words : list of str
    outlines : sequence of T bool arrays of shape (H, W), optional
        None in place of an array draws no line.

    Returns
    -------
    list of Axes
        Of the image, then of the words.

    Raises
    ------
    TypeError
        If `words` is one string, or holds something else than strings.
    ValueError
        If shapes do not fit, or the weights lie outside [0, 1].
    """
    words = listed("words", words)
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or len(weights) != len(words):
        raise ValueError(f"weights {weights.shape} for {len(words)} words")
    outlines = [None] * len(words) if outlines is None else outlines
    if len(outlines) != len(words):
        raise ValueError(f"{len(outlines)} outlines for {len(words)} words")
    columns = min(len(words) + 1, ACROSS)
    rows = -(-(len(words) + 1) // columns)
    scale = 0 if bright else 0.8
    figure = plt.figure(figsize=(1.25 * columns + scale, 1.75 * rows), layout="constrained")
    first, *axes = figure.subplots(rows, columns, squeeze=False).flat
    first.imshow(_image(image), interpolation="nearest")
    first.set_axis_off()
    tints = [
        _word_map(image, row, grid, word, ax, outline, bright)
        for row, word, ax, outline in zip(weights, words, axes, outlines)
    ]
    for ax in axes[len(words) :]:
        ax.remove()
    if tints and not bright:
        figure.colorbar(tints[0], ax=[first, *axes[: len(words)]], **COLOURBAR)
    return [first, *axes[: len(words)]]


def _image(image) -> np.ndarray:
    """An image (H, W, 3) as floats from 0 to 1."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image must be (H, W, 3), got {image.shape}")
    return image / 255 if image.dtype == np.uint8 else image


def _word_map(image, weights, grid, word, ax, outline, bright):
    """Draw what `word_map` says; the tint, for the scale beside it."""
    rows, columns = grid
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (rows * columns,):
        raise ValueError(f"weights {weights.shape} for {rows} x {columns} cells")
    _refuse_no_weights(weights)
    image = _image(image)
    height, width = image.shape[:2]
    span = (0, width, height, 0)  # of the pixels, whose centres are at halves
    cells = weights.reshape(rows, columns)
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
    how = {"extent": span, "interpolation": "nearest"}
    if bright:
        ax.imshow(image, **how)
        dark = VEIL * (1 - cells / (cells.max() or 1))
        tint = ax.imshow(np.zeros_like(cells), alpha=dark, **how, **grey)
        light = GLOW * cells / (cells.max() or 1)
        ax.imshow(np.ones_like(cells), alpha=light, **how, **grey)
    else:
        ax.imshow(0.4 + 0.6 * image @ LUMINANCE, **how, **grey)
        scale = {"cmap": WEIGHTS, "norm": PowerNorm(0.5, 0, 1)}
        tint = ax.imshow(cells, alpha=0.6, **how, **scale)
    if (weights == weights.max()).sum() == 1:
        row, column = divmod(int(weights.argmax()), columns)
        down, across = height / rows, width / columns
        corner = (column * across, row * down)
        ax.add_patch(
            plt.Rectangle(corner, across, down, fill=False, edgecolor="white", linewidth=1.5)
        )
    ax.set_xlabel(f"{weights.max():.2f}", fontsize="small", labelpad=3)
    if outline is not None:
        outline = np.asarray(outline)
        if outline.shape != (height, width) or outline.dtype != bool:
            raise ValueError(
                f"an outline must be bool ({height}, {width}), got {outline.dtype} {outline.shape}"
            )
        x, y = np.arange(-1, width + 1) + 0.5, np.arange(-1, height + 1) + 0.5
        line = {"colors": COLOURS["context"], "linewidths": 1.5}
        ax.contour(x, y, np.pad(outline, 1), [0.5], **line)
    draw_as_is([ax.set_title(word, fontsize="medium")])
    ax.set(xticks=[], yticks=[], xlim=span[:2], ylim=span[2:], frame_on=False)
    return tint


def _refuse_no_weights(weights: np.ndarray) -> None:
    if weights.size and not (weights.min() >= 0 and weights.max() <= 1 + 1e-6):
        raise ValueError(f"weights from {weights.min():.3g} to {weights.max():.3g}, not in [0, 1]")


def curves(x, lines, xlabel: str, ylabel: str, ax: Axes | None = None) -> Axes:
    """Lines with bands of uncertainty.

    Parameters
    ----------
    x : sequence of N numbers
    lines : dict of str to (middle, low, high)
        For each label, N values and the two ends of their intervals.

    Raises
    ------
    ValueError
        If a line is not three sequences as long as `x`.
    """
    ax = ax or plt.figure(layout="constrained").subplots()
    markers = "osD^vPX"
    for i, (label, line) in enumerate(lines.items()):
        middle, low, high = (np.asarray(part, dtype=float) for part in line)
        if not middle.shape == low.shape == high.shape == (len(x),):
            raise ValueError(f"{label!r}: shapes {middle.shape}, {low.shape}, {high.shape}")
        colour = LINES[i % len(LINES)]
        ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(x, middle, marker=markers[i % len(markers)], color=colour, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    drawn = ax.lines[len(ax.lines) - len(lines) :]
    texts = ax.legend(drawn, ["-"] * len(lines), frameon=False).get_texts()
    for text, label in zip(texts, lines, strict=True):
        text.set_text(label)  # only now: a legend leaves out a label that begins with "_"
    draw_as_is([*texts, ax.xaxis.label, ax.yaxis.label])
    return ax


# Words as they are ----------------------------------------------------------------------------


def draw_as_is(texts: Iterable[Text]) -> None:
    """Draw texts letter by letter: no mathematics between dollars, and a font for every letter.

    Parameters
    ----------
    texts : iterable of matplotlib.text.Text
        Their fonts are kept, with others behind them for the letters that they lack.

    Warns
    -----
    UserWarning
        Once, if no installed font has some of the letters; it names them. Matplotlib's own warning
        for each of them is silenced.

    Examples
    --------
    >>> axes = plt.figure().subplots()
    >>> draw_as_is([axes.set_title("it costs $5-$10")])
    >>> axes.title.get_parse_math()
    False
    """
    texts = list(texts)
    nowhere: set[str] = set()
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)
        usual = _letters(font_manager.findfont(text.get_fontproperties()))
        missing = {letter for letter in text.get_text() if _shows(letter)} - usual
        if missing:
            families, without = _fallbacks(frozenset(missing))
            text.set_fontfamily([*text.get_fontfamily(), *families])
            nowhere |= without
    if nowhere:
        for letter in nowhere:  # which is said here, once for all
            warnings.filterwarnings("ignore", f"Glyph {ord(letter)} .*missing from")
        letters = " ".join(sorted(nowhere))
        warnings.warn(
            f"no installed font has {letters}: boxes stand for them until you install one "
            "(the Noto fonts have nearly all letters)",
            stacklevel=3,
        )


def _shows(letter: str) -> bool:
    return not letter.isspace() and unicodedata.category(letter) not in ("Cf", "Cc")


@lru_cache
def _fallbacks(missing: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Families that have these letters between them, and the letters that none has."""
    families = []
    while missing:
        found = {name: missing & letters for name, letters in _families().items()}
        best = max(found, key=lambda name: len(found[name]), default=None)  # of equals the first
        if best is None or not found[best]:
            break
        families.append(best)
        missing = missing - found[best]
    return families, missing


@lru_cache
def _families() -> dict[str, frozenset[str]]:
    """The letters of each installed family in its upright style, sans serif before others."""
    fonts: dict[str, str] = {}
    for entry in font_manager.fontManager.ttflist:
        upright = entry.style == "normal" and entry.weight in (400, "normal", "regular")
        if upright and "lastresort" not in entry.name.replace(" ", "").lower():  # it has boxes
            fonts.setdefault(entry.name, entry.fname)
    order = sorted(fonts, key=lambda name: (not name.startswith("Noto Sans"), name))
    return {name: _letters(fonts[name]) for name in order}


@cache
def _letters(path: str) -> frozenset[str]:
    """What a font file has signs for; nothing if it cannot be read."""
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()

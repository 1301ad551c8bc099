"""Pictures of attention: arrays in, Axes out; no global style, no ``show``.

The book's colours, safe for colour-blind readers: query blue, key orange, value green, context
pink; weights on one sequential map with a fixed scale from 0 to 1; source across, target down.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

COLOURS = {"query": "#0072B2", "key": "#E69F00", "value": "#009E73", "context": "#CC79A7"}
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
WEIGHTS = "viridis"
COLOURBAR = {"label": "attention weight", "shrink": 0.8}
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
ACROSS = 7  # pictures in a row of `looks`


def alignment(weights, source, target, ax: Axes | None = None, links=()) -> Axes:
    """Heat map of one alignment.

    Parameters
    ----------
    weights : array of shape (T, S)
        Attention weights, each between 0 and 1.
    source, target : sequence of str
        The S source tokens, along the horizontal axis; the T target tokens, down the vertical one.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    links : iterable of (target position, source position), optional
        Known alignments, drawn as hollow squares.

    Raises
    ------
    ValueError
        If the weights do not fit the tokens, or lie outside [0, 1].
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (len(target), len(source)):
        raise ValueError(f"weights {weights.shape} for {len(target)} x {len(source)} tokens")
    _refuse_no_weights(weights)
    ax = ax or plt.figure(layout="constrained").subplots()
    image = ax.imshow(weights, cmap=WEIGHTS, vmin=0, vmax=1)
    ax.set_xticks(range(len(source)), source, rotation=90)
    ax.set_yticks(range(len(target)), target)
    ax.set(xlabel="source token", ylabel="target token")
    for t, s in links:
        ax.add_patch(
            plt.Rectangle((s - 0.42, t - 0.42), 0.84, 0.84, fill=False, edgecolor="white", lw=1.5)
        )
    ax.figure.colorbar(image, ax=ax, **COLOURBAR)
    return ax


def look(
    image,
    weights,
    grid: tuple[int, int],
    word: str = "",
    ax: Axes | None = None,
    outline=None,
    scale: bool = True,
) -> Axes:
    """Where one word of a caption looked, over the image.

    The image is made grey and light, so that all colour is the weights': each cell of the grid is
    tinted with its own, unsmoothed. The scale goes from 0 to 1 and is one of square roots: where
    many cells share 1, few have a tenth. A white frame is around the cell with most (none if
    several share it), and the most is written below.

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

    Raises
    ------
    ValueError
        If shapes do not fit, or the weights lie outside [0, 1].
    """
    ax = ax or plt.figure(layout="constrained").subplots()
    tint = _look(image, weights, grid, word, ax, outline)
    if scale:
        ax.figure.colorbar(tint, ax=ax, **COLOURBAR)
    return ax


def looks(image, weights, words, grid: tuple[int, int], outlines=None) -> list[Axes]:
    """An image, and once more for each word of its caption, with where that word looked.

    Parameters
    ----------
    image, grid
        As in `look`.
    weights : array of shape (T, S)
        Attention of the T words.
    words : sequence of str
    outlines : sequence of T bool arrays of shape (H, W), optional
        None in place of an array draws no line.

    Returns
    -------
    list of Axes
        Of the image, then of the words.

    Raises
    ------
    ValueError
        If shapes do not fit, or the weights lie outside [0, 1].
    """
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or len(weights) != len(words):
        raise ValueError(f"weights {weights.shape} for {len(words)} words")
    outlines = [None] * len(words) if outlines is None else outlines
    if len(outlines) != len(words):
        raise ValueError(f"{len(outlines)} outlines for {len(words)} words")
    columns = min(len(words) + 1, ACROSS)
    rows = -(-(len(words) + 1) // columns)
    figure = plt.figure(figsize=(1.5 * columns + 0.8, 2 * rows), layout="constrained")
    first, *axes = figure.subplots(rows, columns, squeeze=False).flat
    first.imshow(_image(image), interpolation="nearest")
    first.set_axis_off()
    tints = [
        _look(image, row, grid, word, ax, outline)
        for row, word, ax, outline in zip(weights, words, axes, outlines)
    ]
    for ax in axes[len(words) :]:
        ax.remove()
    if tints:
        figure.colorbar(tints[0], ax=[first, *axes[: len(words)]], **COLOURBAR)
    return [first, *axes[: len(words)]]


def _image(image) -> np.ndarray:
    """An image (H, W, 3) as floats from 0 to 1."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image must be (H, W, 3), got {image.shape}")
    return image / 255 if image.dtype == np.uint8 else image


def _look(image, weights, grid, word, ax, outline):
    """Draw what `look` says; the tint, for the scale beside it."""
    rows, columns = grid
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (rows * columns,):
        raise ValueError(f"weights {weights.shape} for {rows} x {columns} cells")
    _refuse_no_weights(weights)
    image = _image(image)
    height, width = image.shape[:2]
    span = (0, width, height, 0)  # of the pixels, whose centres are at halves
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    ax.imshow(0.4 + 0.6 * image @ LUMINANCE, extent=span, interpolation="nearest", **grey)
    cells = weights.reshape(rows, columns)
    scale = {"cmap": WEIGHTS, "norm": PowerNorm(0.5, 0, 1)}
    tint = ax.imshow(cells, extent=span, interpolation="nearest", alpha=0.6, **scale)
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
    ax.set_title(word, fontsize="medium")
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
    ax.legend(frameon=False)
    return ax

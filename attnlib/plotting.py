"""Pictures of attention: arrays in, Axes out; no global style, no ``show``.

The book's colours, safe for colour-blind readers: query blue, key orange, value green, context
pink; weights on one sequential map with a fixed scale from 0 to 1; source across, target down.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

COLOURS = {"query": "#0072B2", "key": "#E69F00", "value": "#009E73", "context": "#CC79A7"}
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
WEIGHTS = "viridis"


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
    if weights.size and (weights.min() < 0 or weights.max() > 1 + 1e-6):
        raise ValueError(f"weights from {weights.min():.3g} to {weights.max():.3g}, not in [0, 1]")
    ax = ax or plt.figure(layout="constrained").subplots()
    image = ax.imshow(weights, cmap=WEIGHTS, vmin=0, vmax=1)
    ax.set_xticks(range(len(source)), source, rotation=90)
    ax.set_yticks(range(len(target)), target)
    ax.set(xlabel="source token", ylabel="target token")
    for t, s in links:
        ax.add_patch(
            plt.Rectangle((s - 0.42, t - 0.42), 0.84, 0.84, fill=False, edgecolor="white", lw=1.5)
        )
    ax.figure.colorbar(image, ax=ax, label="attention weight", shrink=0.8)
    return ax


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

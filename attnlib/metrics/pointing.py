"""Does attention look at what the word names?

Where we know what is in a picture, a heat map can be marked right or wrong. A `Record` holds one
caption: for each word the attention it was written with, and the things that it names.
`pointing_game` asks whether the most attended cell lies on one of them, `mass_inside` how much of
the attention does. Other weights for the same words go through the same functions: the baselines
`uniform` and `centre`, the upper bound `best`, another model by `with_weights`.

A caption that a model wrote can be marked where it is true, for then `Grammar.link` knows what its
words name; that leaves out the pictures the model failed at. Captions of the data, which it is made
to write (teacher forcing), can all be marked.

A cell stands for its box: the picture cut evenly into rows and columns, row by row. That is where
the receptive field of the cell is centred. The field reaches further, so a cell beside a thing may
have seen it; but by that measure nearly every cell has seen everything. What "on the thing" means
is a choice, and every score names its rule:

===========  =============================================================================
``half``     the thing covers the box at least half as much as the box it covers most
``touch``    the box holds a visible pixel of the thing
``centre``   a visible pixel of the thing comes within `tolerance` pixels of the box's centre
===========  =============================================================================

The first is ours. A thing that fills whole cells asks for a cell that is half full, a thin ring for
one of those it lies in most: strict, and never impossible. The last is the pointing game of Zhang
et al. 2016 (in their photographs of some 500 pixels the tolerance is 15); for a small thing it may
ask for what no cell can give, and `reachable` tells how often.

Words of one picture are right or wrong together, so a thousand of them say less than a thousand
pictures would. Intervals are Wilson's with the effective number of words p (1 - p) / v (Kish 1965),
where v is the variance of the share p as it differs from picture to picture, or from word to word
where that is more. Where every word hits, or none, the number of pictures counts. From some 150
pictures on 95 % is what they hold (of independent words Wilson's holds 77 %, if half the words of a
picture copy another); of 30 pictures that are nearly all right they are too narrow and hold 86 %.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from attnlib.data.tokenizer import WORD_START, word_indices
from attnlib.metrics.alignment import uniform_weights, word_weights
from attnlib.metrics.intervals import Estimate, wilson_interval

RULES = ("half", "touch", "centre")
CLASSES = ("number", "size", "texture", "colour", "noun")  # of words, in the order they are said
AS_MUCH = 1 - 1e-9  # what reaches this part of an amount equals it: between them is rounding


@dataclass(frozen=True, eq=False)
class Record:
    """A caption, where the model looked at each word, and where the things are; by `Record.of`."""

    words: tuple[str, ...]
    things: tuple[frozenset[int], ...]  # those each word names; none for a word like "of"
    weights: np.ndarray  # (words, cells), row by row
    masks: np.ndarray  # (things, H, W), the visible pixels of each thing
    grid: tuple[int, int]  # rows and columns of cells
    true: bool | None = None  # of the picture; None: nobody checked

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        things: Sequence[Collection[int]],
        weights,
        masks,
        grid: tuple[int, int],
        tokens: Sequence[str] | None = None,
        true: bool | None = None,
    ) -> "Record":
        """Put together what is known of one caption, and check that it fits.

        Parameters
        ----------
        words : sequence of str
        things : sequence of sets of int
            For each word the things that it names; words that name nothing are not marked.
        weights : array of shape (T, cells)
            Attention, cells row by row; T is the number of tokens or, without `tokens`, of words.
            Measured is the share of a row's sum, which need not be 1.
        masks : array of bool, of shape (things, H, W)
            The visible pixels of every thing in the picture.
        grid : (rows, columns)
            Of cells.
        tokens : sequence of str
            The subwords that the rows of `weights` stand for, ``▁`` starting a word, perhaps with
            specials. A word looks where its subwords do on average (`metrics.word_weights`).
        true : bool
            Whether the caption is true of the picture.

        Raises
        ------
        TypeError
            If `words` is one string.
        ValueError
            If the shapes do not fit, masks are not boolean, the tokens spell other words, or a word
            names a thing that is not in the picture, or of which no pixel is visible, or was
            written without attention.

        Examples
        --------
        A picture of two cells, its one thing in the left one:

        >>> masks = np.array([[[True, True, False, False]] * 2])
        >>> weights = [[0.5, 0.5], [0.75, 0.25]]
        >>> record = Record.of(["a", "dot"], [set(), {0}], weights, masks, grid=(1, 2))
        >>> hits(record), inside(record)
        ([None, 1.0], [None, 0.75])
        """
        words, naming = split_words(words), tuple(frozenset(named) for named in things)
        if len(naming) != len(words):
            raise ValueError(f"things has {len(naming)} entries for {len(words)} words")
        rows = None
        if tokens is not None:
            rows = word_indices(tokens)
            _spell(words, tokens, rows)
        weights, masks, grid = word_weights(weights, target_words=rows), _masks(masks), _grid(grid)
        if weights.shape != (len(words), grid[0] * grid[1]):
            raise ValueError(
                f"weights of {weights.shape[0]} words and {weights.shape[1]} cells, for "
                f"{len(words)} words and {grid[0]} x {grid[1]} cells"
            )
        for word, named, row in zip(words, naming, weights, strict=True):
            for thing in sorted(named):
                if not 0 <= thing < len(masks):
                    raise ValueError(f"{word!r} names thing {thing} of {len(masks)}, from 0")
                if not masks[thing].any():
                    raise ValueError(f"{word!r} names thing {thing}, of which nothing is visible")
            if named and not row.any():
                raise ValueError(f"{word!r} was written without attention: all weights are 0")
        return cls(words, naming, weights, masks, grid, true)

    def only(self, marked: Sequence[bool]) -> "Record":
        """The same caption with only some of its words to be marked, one bool a word."""
        things = (x if mark else frozenset() for x, mark in zip(self.things, marked, strict=True))
        return replace(self, things=tuple(things))


def named_cells(caption, masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The share of each cell that is covered by what each word names: (words, cells).

    Parameters
    ----------
    caption : data.grammar.Caption
        Of ``things``: for each word those it names. One that names nothing has zeros.
    masks, grid
        As in `coverage`.

    Examples
    --------
    >>> from types import SimpleNamespace as Caption
    >>> masks = np.array([[[True, True, True, False]] * 2])
    >>> named_cells(Caption(things=(set(), {0})), masks, (1, 2))
    array([[0. , 0. ],
           [1. , 0.5]])
    """
    masks = _masks(masks)
    together = np.stack([masks[sorted(named)].any(axis=0) for named in caption.things])
    return coverage(together, grid).reshape(len(together), -1)


# On the thing? --------------------------------------------------------------------------------


def coverage(masks, grid: tuple[int, int]) -> np.ndarray:
    """The share of each cell's box that is covered by each mask, (masks, rows, columns).

    Where boxes cut through pixels, each has its part of them.

    Raises
    ------
    ValueError
        If masks are not boolean of shape (things, H, W), or the grid is not two positive integers.

    Examples
    --------
    >>> coverage(np.array([[[True, True, True, False]] * 2]), (1, 2))
    array([[[1. , 0.5]]])
    """
    masks, (rows, columns) = _masks(masks), _grid(grid)
    down, across = _overlap(rows, masks.shape[1]), _overlap(columns, masks.shape[2])
    return down @ masks @ across.T


def cells_on(masks, grid: tuple[int, int], rule: str = "half", tolerance: float = 0) -> np.ndarray:
    """Which cells lie on each thing by one of the `RULES`: bool, (things, rows, columns).

    Parameters
    ----------
    masks, grid
        As in `coverage`.
    rule : str
        ``half``, ``touch`` or ``centre``, as at the top of this page.
    tolerance : float
        In pixels, for ``centre``: how far from the centre the nearest edge of a visible pixel may
        be. Where a centre is the corner of four pixels, 0 asks for one of them.

    Raises
    ------
    ValueError
        As `coverage`; also for another rule, or a tolerance that is negative or not asked for.

    Examples
    --------
    >>> mask = np.array([[[True, True, True, True, True, False, False, False]]])
    >>> for rule in RULES:
    ...     print(rule, cells_on(mask, (1, 2), rule)[0, 0])
    half [ True False]
    touch [ True  True]
    centre [ True False]
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if tolerance < 0 or (tolerance and rule != "centre"):
        raise ValueError(f"tolerance must be 0 or more, and is for 'centre' alone, got {tolerance}")
    if rule == "centre":
        masks, grid = _masks(masks), _grid(grid)
        near = _near(grid, masks.shape[1:], tolerance)  # (cells, pixels)
        return (masks.reshape(len(masks), near.shape[1]) @ near.T > 0).reshape(len(masks), *grid)
    covered = coverage(masks, grid)
    if rule == "touch":
        return covered > 0
    return (covered > 0) & (covered >= covered.max(axis=(1, 2), keepdims=True) / 2 * AS_MUCH)


def hits(record: Record, rule: str = "half", tolerance: float = 0) -> list[float | None]:
    """For each word 1 if its most attended cell lies on a thing that it names, else 0.

    None for a word that names nothing. Cells that share the most attention share the mark: the
    word is right as often as a choice among them would be. `rule` and `tolerance` as in `cells_on`.
    """
    on = cells_on(record.masks, record.grid, rule, tolerance).reshape(len(record.masks), -1)
    found = []
    for named, row in zip(record.things, record.weights, strict=True):
        most = most_attended(row)
        found.append(float(np.any(on[sorted(named)], axis=0)[most].mean()) if named else None)
    return found


def most_attended(row: np.ndarray) -> np.ndarray:
    """Which cells of a row of weights share the most attention, as bools.

    >>> most_attended(np.array([0.25, 0.5, 0.25])).tolist()
    [False, True, False]
    """
    return row >= row.max() * AS_MUCH


def inside(record: Record) -> list[float | None]:
    """For each word the share of its attention inside the masks of the things that it names.

    None for a word that names nothing. A cell's weight is spread evenly over its box, so that a box
    half on the thing gives half its weight.
    """
    pairs = zip(record.things, record.weights, strict=True)
    return [mass_on(record, named, row) if named else None for named, row in pairs]


def pointing_game(records: Sequence[Record], rule: str = "half", tolerance: float = 0) -> Estimate:
    """The share of naming words whose most attended cell is on the thing (Zhang et al. 2016).

    With `hits`, `rule` and `tolerance` as there. Zhang et al. average over kinds of things, here
    every word counts the same: `by_class` and `by_group` tell kinds apart. The interval holds for
    new pictures.

    Raises
    ------
    ValueError
        If no word names anything; as `cells_on` for rule and tolerance.

    Examples
    --------
    >>> masks = np.array([[[True, True, False, False]] * 2])
    >>> weights = [[[0.9, 0.1]], [[0.6, 0.4]], [[0.2, 0.8]]]
    >>> score = pointing_game([Record.of(["dot"], [{0}], w, masks, (1, 2)) for w in weights])
    >>> f"{score:.2f}", score.signature
    ('0.67 [0.21, 0.94]', 'pointing game|rule:half|words:3|pictures:3|interval:wilson, effective')
    """
    values = [hits(record, rule, tolerance) for record in records]
    return mean_of_words(values, f"pointing game|{_rule(rule, tolerance)}")


def mass_inside(records: Sequence[Record]) -> Estimate:
    """The mean share of a naming word's attention that falls inside the mask; see `inside`.

    Uniform attention has the mean share of the picture that the things cover.

    Raises
    ------
    ValueError
        If no word names anything.
    """
    return mean_of_words([inside(record) for record in records], "attention inside the mask")


# Other weights for the same words -------------------------------------------------------------


def with_weights(record: Record, weights, grid: tuple[int, int] | None = None) -> Record:
    """The same caption with weights (words, cells) of another model, perhaps on another grid.

    For instance of an untrained one. Where it writes other subwords, use `Record.of` with its
    tokens. Errors as there.
    """
    grid = grid or record.grid
    return Record.of(record.words, record.things, weights, record.masks, grid, true=record.true)


def uniform(record: Record) -> Record:
    """The same caption, with attention that knows nothing.

    All cells share the most attention, so that `hits` is the share of cells that lie on the thing:
    what a random cell scores on average, exactly.
    """
    return replace(record, weights=uniform_weights(*record.weights.shape))


def centre(record: Record) -> Record:
    """The same caption, with all attention on the cell in the middle, shared if it is two or four.

    Things are seldom in the corners: in photographs this baseline is high.
    """
    rows, columns = record.grid
    middle = np.outer(_middle(rows), _middle(columns)).reshape(1, -1)
    return replace(record, weights=np.repeat(middle, len(record.words), axis=0))


def best(record: Record) -> Record:
    """The same caption, with each word's attention on the cell that is covered most.

    No attention on this grid has a greater share inside the mask: cells are coarser than things.
    """
    weights = record.weights.copy()
    for row, named in zip(weights, record.things, strict=True):
        if named:
            row[:] = 0
            row[_covered(record, named).argmax()] = 1
    return replace(record, weights=weights)


def reachable(records: Sequence[Record], rule: str = "half", tolerance: float = 0) -> Estimate:
    """The share of naming words for which any cell would hit: the most of `pointing_game`.

    1 by the rules ``half`` and ``touch``. Errors as in `pointing_game`.
    """
    values = []
    for record in records:
        any_on = np.any(cells_on(record.masks, record.grid, rule, tolerance), axis=(1, 2))
        values.append([float(any_on[sorted(n)].any()) if n else None for n in record.things])
    return mean_of_words(values, f"reachable|{_rule(rule, tolerance)}")


# Broken down ----------------------------------------------------------------------------------


def word_classes(grammar, words: Sequence[str]) -> list[str | None]:
    """Of each word of a caption whether it is number, size, texture, colour or noun, else None.

    Found by reading the caption with its `data.grammar.Grammar`, as one word may be two things:
    in "two red twos" the number is a noun as well.

    Raises
    ------
    GrammarError
        A ValueError, if it cannot be read.

    Examples
    --------
    >>> from attnlib.data.grammar import Grammar
    >>> digits = Grammar({"two": "twos"}, colours=("red",))
    >>> word_classes(digits, ["two", "red", "twos"])
    ['number', 'colour', 'noun']
    """
    words = split_words(words)
    statement = grammar.parse(" ".join(words))
    classes: list[str | None] = [None] * len(words)
    for k, phrase in enumerate(statement.phrases):
        before = [name for name in CLASSES[:-1] if getattr(phrase, name)]  # as they are said
        places = [t for t, named in enumerate(statement.names) if named == k]
        nouns = ["noun"] * (len(places) - len(before))  # "red pepper" is two
        for t, name in zip(places, before + nouns, strict=True):
            classes[t] = name
    return classes


def by_class(
    metric: Callable[[Sequence[Record]], Estimate], records: Sequence[Record], grammar
) -> dict[str, Estimate]:
    """A metric of numbers, sizes, textures, colours and nouns apart; see `word_classes`.

    Parameters
    ----------
    metric : callable
        `pointing_game` or `mass_inside`, or a ``functools.partial`` of one.
    records : sequence of Record
    grammar : data.grammar.Grammar
        That of their captions.

    Returns
    -------
    dict of class to Estimate
        In the order of `CLASSES`, without those of which there is no word.

    Raises
    ------
    GrammarError
        A ValueError, if a caption cannot be read.
    """
    records = list(records)
    classes = [word_classes(grammar, record.words) for record in records]
    found = {}
    for name in CLASSES:
        chosen = [
            record.only([one == name for one in its])
            for record, its in zip(records, classes, strict=True)
        ]
        if any(any(record.things) for record in chosen):
            found[name] = metric(chosen)
    return found


# Helpers --------------------------------------------------------------------------------------


def _covered(record: Record, named: Collection[int]) -> np.ndarray:
    """The share of each cell that these things cover together, (cells,)."""
    together = np.any(record.masks[sorted(named)], axis=0)
    return coverage(together[None], record.grid).reshape(-1)


def split_words(words: Sequence[str]) -> tuple[str, ...]:
    """Words as a tuple; of one string nobody takes the letters."""
    if isinstance(words, str):
        raise TypeError(f"words must be a list of words, got one str: {words!r}; split it")
    return tuple(words)


def mass_on(record: Record, named: Collection[int], row: np.ndarray) -> float:
    """The share of a row of weights that falls on these things."""
    return float(min(_covered(record, named) @ row / row.sum(), 1))


def mean_of_words(values: Sequence[Sequence[float | None]], signature: str) -> Estimate:
    """Mean of the words' values, 0 to 1, given picture by picture; None is left out."""
    marked = [[value for value in each if value is not None] for each in values]
    known = [np.array(each) for each in marked if each]
    if not known:
        raise ValueError("there is no word that names a thing")
    words, n = np.concatenate(known), len(known)
    p = float(words.mean())
    if n == 1 or p in (0, 1):
        size = float(n)
    else:
        beyond = np.array([(each - p).sum() for each in known])
        between = (beyond**2).sum() / len(words) ** 2
        variance = max(between, words.var() / len(words))
        size = p * (1 - p) / variance if variance > 0 else np.inf
    said = f"{signature}|words:{len(words)}|pictures:{n}|interval:wilson, effective"
    if np.isinf(size):  # the same of every word, as of uniform attention to equal tiles
        return Estimate(p, said, (p, p))
    return Estimate(p, said, wilson_interval(p * size, size))


def _rule(rule: str, tolerance: float) -> str:
    return f"rule:{rule}|tolerance:{tolerance:g}" if rule == "centre" else f"rule:{rule}"


def _spell(words: Sequence[str], tokens: Sequence[str], rows: Sequence[int | None]) -> None:
    """See that the subwords of each word give it."""
    spelt = [""] * (max((row for row in rows if row is not None), default=-1) + 1)
    for token, row in zip(tokens, rows, strict=True):
        if row is not None:
            spelt[row] += token.removeprefix(WORD_START)
    if spelt != list(words):
        raise ValueError(f"tokens spell {' '.join(spelt)!r}, but the words are {' '.join(words)!r}")


def _masks(masks) -> np.ndarray:
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.dtype != bool or 0 in masks.shape[1:]:
        raise ValueError(
            f"masks must be boolean of shape (things, H, W), got {masks.dtype} of {masks.shape}"
        )
    return masks


def _grid(grid) -> tuple[int, int]:
    rows_columns = tuple(grid) if isinstance(grid, Collection) else (grid,)
    if len(rows_columns) != 2 or not all(n == int(n) and n > 0 for n in rows_columns):
        raise ValueError(f"grid must be (rows, columns), both positive integers, got {grid}")
    return int(rows_columns[0]), int(rows_columns[1])


@lru_cache
def _overlap(cells: int, pixels: int) -> np.ndarray:
    """The share of each cell's length in each pixel, (cells, pixels): rows sum to 1."""
    edges = np.arange(cells + 1)[:, None] * pixels / cells
    pixel = np.arange(pixels)
    both = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
    return np.clip(both, 0, None) * cells / pixels


@lru_cache
def _near(grid: tuple[int, int], size: tuple[int, int], tolerance: float) -> np.ndarray:
    """Zeros and ones, (cells, pixels): which pixels come within reach of each cell's centre."""
    squares = []
    for cells, pixels in zip(grid, size, strict=True):
        middle = (np.arange(cells)[:, None] + 0.5) * pixels / cells
        pixel = np.arange(pixels)
        squares.append(np.clip(np.maximum(pixel - middle, middle - pixel - 1), 0, None) ** 2)
    down, across = squares  # of the distances, (rows, H) and (columns, W)
    apart = down[:, None, :, None] + across[None, :, None, :]  # (rows, columns, H, W)
    within = apart * AS_MUCH <= tolerance**2
    return within.reshape(grid[0] * grid[1], -1).astype(float)


def _middle(cells: int) -> np.ndarray:
    """Weights of the cell in the middle, or of the two."""
    weights = np.zeros(cells)
    weights[[(cells - 1) // 2, cells // 2]] = 1 if cells % 2 else 0.5
    return weights

"""Pick a cell of a picture, and see which others it is related to, and what becomes of a map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets as tr

from attnlib.attention import Attention
from attnlib.explore.caption_steps import place, png
from attnlib.explore.figure import (
    Figure,
    FigureError,
    bytes_of,
    index,
    numbers,
    one_of,
    rounded,
    text_of,
    within,
)
from attnlib.scores import CosineScore, RectifiedCosineScore

MOST = 32  # cells a side
FINEST = 127  # of 8 bits, to either side of 0
SELECTIONS = ("rectified", "softmax", "equal")
GROUND = "background"


class RelatedCells(Figure):
    r"""A picture's cells as queries and keys, and maps of what it shows as values.

    The weights of cell i are by ``rectified`` :math:`\max(0, \cos(\theta_i, \theta_j))` over their
    sum, the pixel correlation module of Wang et al. (2020, eq. 4); by ``softmax`` that of the
    cosines; or ``equal``. The map after it is :math:`y_i = \sum_j a_{ij} m_j`.

    Parameters
    ----------
    pictures : sequence of dict
        Each with ``image``, bytes (H, W, 3), or the data URI of one; ``grid``, its rows and columns
        of cells, S in all, row by row; ``features`` (S, A), floats, or the base64 text that a page
        stores: signed bytes, a 127th of the largest number of all; ``maps``, by the name of a
        thing its map (S,) from 0 to 1; ``truth``, by the same names what share of each cell the
        thing covers; ``title``, in words.
    picture, cell : int
        What is chosen.
    name : str, optional
        Whose map is shown; the first of the picture, by the alphabet, unless given.
    selection : "rectified", "softmax" or "equal"

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> picture = {"image": np.zeros((4, 4, 3), np.uint8), "grid": [2, 2], "title": "a star"}
    >>> picture |= {"features": [[1.0, 0], [1, 0], [0, 1], [-1, 1]]}
    >>> picture |= {"maps": {"star": [1, 0, 0, 0]}, "truth": {"star": [1, 1, 0, 0]}}
    >>> figure = RelatedCells([picture], cell=1)
    >>> figure.weights().tolist(), figure.shares()
    ([0.5, 0.5, 0.0, 0.0], {'star': 1.0, 'background': 0.0})
    >>> figure
    RelatedCells(1 picture; rectified, row 1, column 2: star 1.000; map of star 0.000, then 0.500)
    """

    module = "related_cells"
    state_names = ("pictures", "picture", "cell", "name", "selection")

    pictures: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    picture = tr.Int(0).tag(sync=True)
    cell = tr.Int(0).tag(sync=True)
    name = tr.Unicode().tag(sync=True)
    selection = tr.Unicode(SELECTIONS[0]).tag(sync=True)

    def __init__(
        self,
        pictures: Sequence[Mapping[str, Any]],
        picture: int = 0,
        cell: int = 0,
        name: str | None = None,
        selection: str = SELECTIONS[0],
    ):
        if not pictures:
            raise FigureError("there is no picture to show")
        checked = [_checked(each, f"picture {i}") for i, each in enumerate(pictures)]
        index("picture", picture, len(checked))
        self.set_trait("pictures", checked)
        super().__init__(
            picture=picture,
            cell=cell,
            name=next(iter(checked[picture]["maps"])) if name is None else name,
            selection=selection,
        )

    @tr.validate("picture")
    def _check_picture(self, proposal):
        return index("picture", proposal.value, len(self.pictures))

    @tr.validate("cell")
    def _check_cell(self, proposal):
        index("picture", self.picture, len(self.pictures))  # it may come with the cell
        rows, columns = self._shown["grid"]
        return index("cell", proposal.value, rows * columns)

    @tr.validate("name")
    def _check_name(self, proposal):
        index("picture", self.picture, len(self.pictures))
        return one_of("name", proposal.value, list(self._shown["maps"]))

    @tr.validate("selection")
    def _check_selection(self, proposal):
        return one_of("selection", proposal.value, SELECTIONS)

    # --- what the page computes

    @property
    def _shown(self) -> dict[str, Any]:
        return self.pictures[self.picture]

    @property
    def features(self) -> np.ndarray:
        """Of the cells of the picture (S, A), as a page has them: signed bytes."""
        rows, columns = self._shown["grid"]
        found = np.frombuffer(bytes_of("features", self._shown["features"]), np.int8)
        return found.reshape(rows * columns, -1)

    def _all(self) -> np.ndarray:
        features = torch.from_numpy(self.features.astype(float))[None]
        if self.selection == "equal":
            return np.full((features.shape[1],) * 2, 1 / features.shape[1])
        score = RectifiedCosineScore() if self.selection == "rectified" else CosineScore(1.0)
        with torch.no_grad():
            return Attention(score.double())(features, features, features)[1][0].numpy()

    def weights(self) -> np.ndarray:
        """Of the chosen cell on all cells (S,)."""
        return self._all()[self.cell]

    def shares(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """How much of the chosen cell's weight is on each thing, and on the background."""
        weights = self.weights() if weights is None else weights
        found = {
            name: float(weights @ np.array(share)) for name, share in self._shown["truth"].items()
        }
        return rounded({**found, GROUND: 1 - sum(found.values())})

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """The map that is chosen, before and after (S,)."""
        before = np.array(self._shown["maps"][self.name])
        return before, self._all() @ before

    # --- as text

    def table(self):
        equal = np.full(len(self.weights()), 1 / len(self.weights()))
        even = self.shares(equal)
        rows = [
            [name, f"{share:.3f}", f"{even[name]:.3f}"] for name, share in self.shares().items()
        ]
        where = place(self.cell, self._shown["grid"])
        caption = (
            f"{self._shown['title']}: the {self.selection} weights of the cell in {where}, by what "
            "they are on"
        )
        return caption, ["on", "weight", "equal weights"], rows

    def __repr__(self):
        before, after = (float(each[self.cell]) for each in self.maps())
        most = max((each for each in self.shares().items()), key=lambda pair: pair[1])
        count = f"{len(self.pictures)} picture{'s' * (len(self.pictures) > 1)}"
        return (
            f"RelatedCells({count}; {self.selection}, {place(self.cell, self._shown['grid'])}: "
            f"{most[0]} {most[1]:.3f}; map of {self.name} {before:.3f}, then {after:.3f})"
        )


def packed(features) -> str:
    """Features (S, A) as a page stores them: signed bytes, as base64."""
    found = np.asarray(features, dtype=float)
    largest = float(np.abs(found).max()) or 1.0
    return text_of(np.round(found / largest * FINEST).astype(np.int8).tobytes())


def _checked(each: Mapping[str, Any], name: str) -> dict:
    """One picture as a page stores it."""
    wanted = ("image", "grid", "features", "maps", "truth", "title")
    if missing := [key for key in wanted if key not in each]:
        raise FigureError(f"{name} lacks {', '.join(missing)}")
    grid = [int(within(f"{name}: cells a side", side, 1, MOST)) for side in each["grid"]]
    if len(grid) != 2:
        raise FigureError(f"{name}: grid must be rows and columns, got {grid}")
    S = grid[0] * grid[1]
    features = each["features"]
    if not isinstance(features, str):
        features = packed(numbers(f"{name}: features", features, S, None))
    found = np.frombuffer(bytes_of(f"{name}: features", features), np.int8)
    if not found.size or found.size % S:
        raise FigureError(f"{name}: {found.size} numbers are no features of {S} cells")
    if not found.reshape(S, -1).any(1).all():
        raise FigureError(f"{name}: a cell whose features are all zero is like no other")
    kept: dict[str, Any] = {"features": features, "grid": grid, "title": str(each["title"])}
    if not each["maps"]:
        raise FigureError(f"{name} has no map")
    if set(each["maps"]) != set(each["truth"]):
        raise FigureError(
            f"{name}: maps are of {', '.join(each['maps'])}, truth is of {', '.join(each['truth'])}"
        )
    for what in ("maps", "truth"):
        rows = {
            str(thing): numbers(f"{name}: {what} of {thing}", row, S)
            for thing, row in sorted(each[what].items())
        }
        for thing, row in rows.items():
            within(f"{name}: least of {what} of {thing}", min(row), 0, 1)
            within(f"{name}: largest of {what} of {thing}", max(row), 0, 1)
        kept[what] = rounded(rows, 3)
    if max(map(sum, zip(*kept["truth"].values()))) > 1.01:
        raise FigureError(f"{name}: the things of a cell cover more than all of it")
    image = each["image"]
    kept["image"] = image if isinstance(image, str) else png(np.asarray(image, dtype=np.uint8))
    return kept

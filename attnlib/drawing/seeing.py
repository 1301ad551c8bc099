"""Drawings of attention in pictures: two views of one scene, and a picture as a row of words."""

from collections.abc import Sequence

import numpy as np

from attnlib.drawing.canvas import WIDEST, Canvas

MAP = (
    (0.0, 0.1, 0.1, 0.0),
    (0.1, 0.9, 0.6, 0.0),
    (0.1, 0.7, 0.5, 0.0),
    (0.0, 0.1, 0.0, 0.0),
)
LARGE = np.kron(MAP, np.ones((2, 2))).tolist()


def views(
    large: Sequence[Sequence[float]] = LARGE,
    small: Sequence[Sequence[float]] = (
        (0.0, 0.1, 0.0, 0.1),
        (0.1, 0.5, 0.8, 0.3),
        (0.0, 0.3, 0.9, 0.4),
        (0.0, 0.0, 0.1, 0.1),
    ),
) -> Canvas:
    """A picture and its map, the picture made smaller and its map, and what is asked of the two.

    Parameters
    ----------
    large, small : rows of numbers from 0 to 1
        The maps; the small one has half as many rows and columns.

    Raises
    ------
    ValueError
        If the small map is not half the large one.

    Examples
    --------
    >>> views().height
    248
    """
    sizes = np.shape(large), np.shape(small)
    if len(sizes[0]) != 2 or sizes[0] != tuple(2 * n for n in sizes[1]):
        raise ValueError(f"the small map must be half the large one, got {sizes[1]} of {sizes[0]}")
    rows, columns = sizes[0]
    halved = np.reshape(large, (rows // 2, 2, columns // 2, 2)).mean((1, 3)).tolist()
    canvas = Canvas(
        WIDEST,
        248,
        "Above, a picture of a circle and its map of the circle, and this map made half as large. "
        "Below, the picture made half as large and its own map. Between the two small maps: they "
        "should be alike.",
    )
    side = 96
    canvas.box(10, 26, side, side, role="ink", shade=0.05).circle(50, 70, 24, role="value")
    canvas.text(58, 12, "a picture")
    canvas.arrow((112, 74), (158, 74)).text(135, 60, "net", size=14)
    canvas.matrix(164, 26, large, role="value", cell=side / columns)
    canvas.text(212, 12, "its map")
    canvas.arrow((266, 74), (324, 74)).text(295, 60, "halve", size=14)
    canvas.matrix(330, 50, halved, role="value", cell=side / columns)
    canvas.arrow((58, 126), (58, 166)).text(66, 146, "halve", size=14, anchor="start")
    canvas.box(34, 172, side / 2, side / 2, role="ink", shade=0.05).circle(
        54, 194, 12, role="value"
    )
    canvas.arrow((88, 196), (324, 196)).text(206, 182, "the same net", size=14)
    canvas.matrix(330, 172, small, role="value", cell=side / columns)
    canvas.line((354, 104), (354, 166), role="query", dashed=True)
    canvas.text(364, 136, "alike?", role="query", anchor="start", bold=True)
    canvas.text(354, 236, "the small picture's map", size=14)
    return canvas


def patches(
    things: Sequence[str] = ("white", "red", "blue", "green"), answer: str = "red"
) -> Canvas:
    """A picture cut into patches, which a transformer reads in a row, [class] first.

    Parameters
    ----------
    things : sequence of four str
        What stands in the quarters of the picture, row by row.
    answer : str
        What is read off [class].

    Raises
    ------
    ValueError
        If there are not four things.

    Examples
    --------
    >>> print(patches().alt[:60])
    A picture of four things, white, red, blue, green, cut into
    """
    if len(things) != 4:
        raise ValueError(f"a thing for each quarter is needed, got {len(things)}")
    cut = 4
    canvas = Canvas(
        WIDEST,
        236,
        f"A picture of four things, {', '.join(things)}, cut into {cut} rows of {cut} patches. The "
        "patches, in a row behind one more word, [class], go into a transformer encoder; above "
        f"[class] comes out the answer, {answer}.",
    )
    x, y, cell = 8, 62, 33
    for quarter, (thing, (dx, dy)) in enumerate(
        zip(things, ((34, 30), (31, 36), (36, 31), (30, 34)))
    ):
        across, down = quarter % 2, quarter // 2
        role = "query" if thing == answer else "ink"
        shade = {answer: 0.3, "white": 0.0}.get(thing, 0.08)
        place = x + 66 * across + dx, y + 66 * down + dy
        canvas.circle(*place, 25, thing, size=14, role=role, shade=shade)
    for n in range(cut + 1):
        canvas.line((x, y + n * cell), (x + cut * cell, y + n * cell), faint=True)
        canvas.line((x + n * cell, y), (x + n * cell, y + cut * cell), faint=True)
    canvas.arrow((146, 186), (170, 186))
    words = [("[class]", 178, 58), ("1", 242, 32), ("2", 280, 32), ("3", 318, 32), ("16", 398, 34)]
    canvas.box(172, 84, 262, 50, "transformer encoder", role="key", size=16)
    for word, left, wide in words:
        middle = left + wide / 2
        canvas.box(left, 170, wide, 32, word, role="query" if word == "[class]" else "ink")
        canvas.arrow((middle, 168), (middle, 138))
    canvas.text(374, 186, "…", size=18)
    canvas.text(306, 222, "patches, each with its place", size=14)
    canvas.arrow((207, 82), (207, 50), role="query")
    canvas.box(172, 14, 70, 34, answer, role="query", bold=True)
    return canvas

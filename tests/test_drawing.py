"""The book's drawings: well-formed, in words too, and large enough for a phone."""

import inspect
import re
import xml.etree.ElementTree as ET

import pytest

from attnlib import drawing
from attnlib.drawing import Canvas
from attnlib.drawing.canvas import SMALLEST, WIDEST

SVG = "{http://www.w3.org/2000/svg}"
ALT = "Two boxes and an arrow between them."
DRAWINGS = {
    name: getattr(drawing, name)
    for name in drawing.__all__
    if inspect.isfunction(getattr(drawing, name))
}
drawings = pytest.mark.parametrize("name", DRAWINGS)


def tree(canvas):
    return ET.fromstring(canvas.to_svg())


def test_boxes_stand_where_they_are_put_and_hold_their_words():
    root = tree(Canvas(200, 100, ALT).box(10, 20, 80, 40, ["one", "two"], role="query"))
    box = root.find(f"{SVG}rect")
    assert [box.get(key) for key in ("x", "y", "width", "height")] == ["10", "20", "80", "40"]
    assert "#0072b2" in box.get("stroke")
    first, second = root.findall(f"{SVG}text")
    assert [first.text, second.text] == ["one", "two"]
    assert float(first.get("x")) == float(second.get("x")) == 50
    middle = (float(first.get("y")) + float(second.get("y"))) / 2
    assert middle == 40 and float(first.get("y")) < float(second.get("y"))


@pytest.mark.parametrize("end", [(100, 0), (0, 100), (-100, 0), (60, -80)])
@pytest.mark.parametrize("bend", [0, 20])
def test_an_arrow_ends_at_its_point(end, bend):
    root = tree(Canvas(200, 200, ALT).arrow((0, 0), end, bend=bend))
    corners = root.find(f"{SVG}polygon").get("points").split()
    assert [float(x) for x in corners[0].split(",")] == list(end)
    assert root.find(f"{SVG}path").get("d").startswith("M0.0 0.0")


def test_a_matrix_is_shaded_by_size_and_says_its_numbers():
    canvas = Canvas(200, 100, ALT).matrix(0, 0, [[-2, 1], [0, 0.5]], cell=40, written=True)
    cells = tree(canvas).findall(f"{SVG}rect")
    shades = [float(cell.get("fill-opacity")) for cell in cells]
    assert shades[0] > shades[1] > shades[3] > shades[2] > 0
    said = [text.text for text in tree(canvas).findall(f"{SVG}text")]
    assert said == ["−2.0", "1.0", "0.0", "0.5"]
    assert [(c.get("x"), c.get("y")) for c in cells] == [
        ("0", "0"),
        ("40", "0"),
        ("0", "40"),
        ("40", "40"),
    ]


def test_numbers_below_zero_have_a_colour_of_their_own():
    """30 and -30 have one shade; where the sign is the point, it must be seen."""
    canvas = Canvas(200, 100, ALT).matrix(0, 0, [[-2, 2]], role="key", negative="value")
    below, above = tree(canvas).findall(f"{SVG}rect")
    assert below.get("fill-opacity") == above.get("fill-opacity")
    assert "value" in below.get("fill") and "key" in above.get("fill")


def test_matrices_have_a_name_above_each_column_and_two_kinds_of_frames():
    shown = {"one": [[1, 0], [0, 1]], "two": [[0, 1], [1, 0]]}
    framed = DRAWINGS["matrices"](
        shown, ["a", "b"], ["left", "right"], marked={"one": [(0, 1)]}, missed={"two": [(1, 1)]}
    )
    said = [text.text for text in tree(framed).findall(f"{SVG}text")]
    assert said.count("left") == said.count("right") == 2
    frames = [r for r in tree(framed).findall(f"{SVG}rect") if r.get("rx")]
    assert [frame.get("stroke-dasharray") for frame in frames] == [None, "5 4"]
    first, second = ((float(f.get("x")), float(f.get("y"))) for f in frames)
    assert second[0] - first[0] == WIDEST / 2 and second[1] > first[1]
    with pytest.raises(ValueError, match="no room above its column for 'a long name'"):
        DRAWINGS["matrices"](shown, ["a", "b"], ["a", "a long name"])
    with pytest.raises(ValueError, match="above its matrix for 'room 2: dropped on one path'"):
        DRAWINGS["matrices"]({"room 2: dropped on one path": [[1]]}, ["a"])


def test_what_is_hidden_is_crossed_out():
    root = tree(Canvas(99, 99, ALT).matrix(0, 0, [[1, 1]], hidden=[[False, True]]))
    shown, hidden = root.findall(f"{SVG}rect")
    assert float(shown.get("fill-opacity")) > 0 == float(hidden.get("fill-opacity"))
    assert len(root.findall(f"{SVG}path")) == 1


def test_a_vector_is_a_matrix_of_one_column_or_row():
    for values in ([1.0, 2.0, 3.0], 3):
        column = Canvas(99, 99, ALT).vector(0, 0, values)
        row = Canvas(99, 99, ALT).vector(0, 0, values, upright=False)
        assert [c.get("x") for c in tree(column).findall(f"{SVG}rect")] == ["0"] * 3
        assert [c.get("y") for c in tree(row).findall(f"{SVG}rect")] == ["0"] * 3


def test_scripts_and_slants_are_set_and_nothing_is_markup():
    root = tree(Canvas(99, 99, ALT).text(0, 0, "*h*_{t-1} < x^2 & y"))
    assert "".join(root.find(f"{SVG}text").itertext()).replace("\u200b", "") == "ht-1 < x2 & y"
    assert root.find(f"{SVG}text/{SVG}tspan[@font-style='italic']").text == "h"


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: Canvas(WIDEST + 1, 10, ALT), "at most 440"),
        (lambda: Canvas(100, 10, "short"), "say in words"),
        (lambda: Canvas(100, 10, ALT).text(0, 0, "a", size=SMALLEST - 1), "too small"),
        (lambda: Canvas(100, 10, ALT).text(0, 0, "a", anchor="left"), "anchor"),
        (lambda: Canvas(100, 10, ALT).box(0, 0, 1, 1, role="red"), "unknown role 'red'"),
        (lambda: Canvas(100, 10, ALT).line((0, 0)), "two points"),
        (lambda: Canvas(100, 10, ALT).arrow((0, 0)), "two points"),
        (lambda: Canvas(100, 10, ALT).arrow((0, 0), (1, 1), (2, 2), bend=3), "can bend"),
        (lambda: Canvas(100, 10, ALT).matrix(0, 0, [[1], [1, 2]]), "one length"),
        (lambda: DRAWINGS["instruments"](["a", "b"], [0.5, 0.5]), "three words"),
    ],
)
def test_what_cannot_be_read_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


@drawings
def test_each_drawing_draws_as_it_is(name):
    """With its own arguments: well-formed, the same twice, no letter below the smallest."""
    canvas = DRAWINGS[name]()
    assert isinstance(canvas, Canvas)
    assert canvas.to_svg() == DRAWINGS[name]().to_svg()
    for text in tree(canvas).iter(f"{SVG}text"):
        assert float(text.get("font-size")) >= SMALLEST
    numbers = re.findall(r'\b(?:x|y|cx|cy)="(-?[\d.]+)"', canvas.to_svg())
    assert all(-1 <= float(n) <= max(canvas.width, canvas.height) + 1 for n in numbers)

"""Tables: what a page and a terminal show of the same rows."""

import xml.etree.ElementTree as ET

import pytest

from attnlib.tables import Table

ROWS = [["dot", 0.99, "1 < 2 & 3"], ["additive", None, ""]]


def test_a_page_gets_every_cell_as_text():
    table = ET.fromstring(Table(ROWS, ["score", "right", "note"], "Shares")._repr_html_())
    assert table.find("caption").text == "Shares"
    assert [cell.text for cell in table.iterfind("thead/tr/th")] == ["score", "right", "note"]
    body = [[cell.text or "" for cell in row] for row in table.iterfind("tbody/tr")]
    assert body == [["dot", "0.99", "1 < 2 & 3"], ["additive", "–", ""]]
    assert [row[0].tag for row in table.iterfind("tbody/tr")] == ["th", "th"]


def test_a_terminal_gets_columns_that_line_up():
    assert repr(Table(ROWS, ["score", "right", "note"])).splitlines() == [
        "score    right      note",
        "dot       0.99 1 < 2 & 3",
        "additive     –",
    ]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 cells under 3 columns"):
        Table([["dot", 1]], ["score", "right", "note"])

"""A table of results: HTML on a page, aligned text in a terminal."""

from collections.abc import Sequence
from html import escape


class Table:
    """Rows of text and numbers under named columns; as a cell's last expression it shows itself.

    The first column names the rows and is set to the left, the others to the right. What a cell
    holds is shown as it is, so that the caller chooses the digits; None is shown as a dash.

    Parameters
    ----------
    rows : sequence of sequences, each as long as `columns`
    columns : sequence of str
        The columns' names.
    caption : str
        What the numbers are, with their unit.

    Raises
    ------
    ValueError
        When a row is not as long as `columns`.

    Examples
    --------
    >>> Table([["dot", "0.99"], ["additive", None]], ["score", "right"], "Share of sentences")
    Share of sentences
    score     right
    dot        0.99
    additive      –
    """

    def __init__(self, rows: Sequence[Sequence], columns: Sequence[str], caption: str = ""):
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"{len(row)} cells under {len(columns)} columns: {list(row)}")
        self.columns = [str(name) for name in columns]
        self.rows = [["–" if cell is None else str(cell) for cell in row] for row in rows]
        self.caption = caption

    def _repr_html_(self) -> str:
        first, *others = self.columns
        head = _cell("th", first, "left", "col")
        head += "".join(_cell("th", name, "right", "col") for name in others)
        body = ""
        for name, *cells in self.rows:
            body += "<tr>" + _cell("th", name, "left", "row")
            body += "".join(_cell("td", cell, "right") for cell in cells) + "</tr>"
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return (
            f'<table class="attn-table">{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )

    def __repr__(self):
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = [self.caption] if self.caption else []
        for first, *rest in cells:
            numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
            lines.append(" ".join([first.ljust(widths[0]), *numbers]).rstrip())
        return "\n".join(lines)


def _cell(kind: str, text: str, side: str, scope: str = "") -> str:
    named = f' scope="{scope}"' if scope else ""
    return f'<{kind}{named} style="text-align:{side}">{escape(text)}</{kind}>'

"""The letters of the notation page are those of the chapters and of the figures."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
FIGURES = sorted((ROOT / "attnlib/explore").glob("*.mjs"))
CHAPTERS = sorted((ROOT / "book").glob("0*.ipynb"))

# What stands for something else on the notation page: a letter, and ours.
FOREIGN = {
    r"α|\\alpha": "a, a weight",
    r"λ": "period, a wavelength",
    r"d_\{?(?:k|v|model|\\text\{)": "D / H and D, widths",
    r"\\hat h|ĥ": "h with a bar, an annotation",
    r"\\omega|ω": "theta, an angle",
    r"\bT_[xy]\b": "S and T, sizes",
    r"\bPE_": "P, a position",
    r"W\^O|W_O\^|W\^\{O\}": "W with the index O",
}


def foreign(text: str) -> list[str]:
    """The letters of others in a text, each with our own."""
    return [
        f"{found.group()} in {text[max(0, found.start() - 30) : found.end() + 30]!r}: write {ours}"
        for letters, ours in FOREIGN.items()
        for found in re.finditer(letters, text)
    ]


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_figures_write_the_letters_of_the_notation_page(path):
    assert foreign(path.read_text("utf-8").replace("α-ω", "")) == []  # the range of all letters


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_write_the_letters_of_others_only_where_they_cite_them(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"```python.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
            for sentence in re.split(r"(?<=[.;])\s+(?=[A-Z*])|\n\s*\n", prose):
                assert "{cite" in sentence or foreign(sentence) == [], sentence


@pytest.mark.parametrize(
    "text", ["α_{ts} = softmax(e)", r"$\alpha_{ts}$", r"$\sqrt{d_k}$", "λ 12.6", "PE_{pos}", "T_x"]
)
def test_a_foreign_letter_is_found(text):
    assert foreign(text)


def test_bahdanau_asks_with_s_and_luong_with_h():
    """The state before the step is s, that after it h: in the figure of the dials as in prose."""
    figure = (ROOT / "attnlib/explore/five_dials.mjs").read_text("utf-8")
    assert 'STATE = { before: "s", after: "h" }' in figure
    assert not re.search(r"[\"`]\\q\{q_t\} = h|h_\{t−1\}", figure)

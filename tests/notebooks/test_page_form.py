"""What makes a chapter easy to read: little code in view, none too wide, questions to answer."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from reading import CHAPTERS, chapter, code_cells, directives, prose

ROOT = Path(__file__).parents[2]
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
EVERY = sorted(path for path in (ROOT / "book").rglob("*.ipynb") if "_build" not in path.parts)
COLUMN = 80  # characters of code that a page holds at 1280 pixels
LEVEL = re.compile(r"\*(Warm-up|Core|Open)(, build it)?, (\d+) minutes\.\*")


def visible(path: Path) -> list[str]:
    """The lines of code that a reader sees without opening anything."""
    return [
        line
        for cell in code_cells(path)
        if not FOLDED & set(cell.metadata.get("tags", []))
        for line in cell.source.splitlines()
        if line.strip()
    ]


@chapter
def test_little_code_is_in_view(path):
    assert len(visible(path)) <= 200


def test_the_page_that_is_typed_along_is_short():
    path = ROOT / "book/appendix/own.ipynb"
    assert prose(path) <= 1800 and len(visible(path)) <= 80


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_no_line_of_code_is_wider_than_the_page(path):
    wide = [
        line for cell in code_cells(path) for line in cell.source.splitlines() if len(line) > COLUMN
    ]
    fences = [
        line
        for name in ("exercise", "solution")
        for token in directives(path, name)
        for line in code_in(token.content)
        if len(line) > COLUMN
    ]
    assert wide + fences == []


@chapter
def test_no_printed_line_is_wider_than_the_page(path):
    for cell in code_cells(path):
        if "inspect.getsource" in cell.source or "hide-cell" in cell.metadata.get("tags", []):
            continue  # the library's own lines, folded
        for output in cell.outputs:
            if output.output_type == "stream":
                assert max(map(len, output.text.splitlines())) <= COLUMN, cell.source


def code_in(text: str) -> list[str]:
    return [
        line
        for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
        for line in block.splitlines()
    ]


@chapter
def test_every_exercise_says_how_hard_and_how_long(path):
    found = [LEVEL.search(token.content) for token in directives(path, "exercise")]
    assert all(found), [
        e.content[:60] for e, m in zip(directives(path, "exercise"), found) if not m
    ]
    assert all(2 <= int(match[3]) <= 240 for match in found)


@chapter
def test_two_exercises_or_more_are_built_by_the_reader_and_checked(path):
    """A stub to complete, and assertions; alone.py lets nbval run the solution against them."""
    built = [
        token.content
        for token in directives(path, "exercise")
        if (match := LEVEL.search(token.content)) and match[2]
    ]
    assert len(built) >= 2
    for text in built:
        _, check = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
        assert check.startswith("# check\n") and "assert" in check


@chapter
def test_quick_questions_stand_between_the_sections(path):
    asked = [cell for cell in code_cells(path) if re.search(r"\bQuiz\($", cell.source, re.M)]
    assert 2 <= len(asked) <= 6


@chapter
def test_what_is_to_be_predicted_is_folded(path):
    """Whoever is asked to predict does not see the answer below the question."""
    cells = nbformat.read(path, 4).cells
    hidden = sum("hide-output" in cell.metadata.get("tags", []) for cell in cells)
    predicted = sum("*Predict*" in c.source or "**Predict" in c.source for c in cells)
    assert hidden <= 4 and (hidden or not predicted)


def test_the_questions_of_others_are_each_answered_with_a_link():
    text = (ROOT / "book/appendix/questions.md").read_text("utf8")
    questions = re.findall(r"^\*\*(.+\?)\*\*\n((?:.+\n)+)", text, re.M)
    assert len(questions) >= 25
    for question, answer in questions:
        assert re.search(r"\{(ref|doc|func)\}`", answer), question
        assert len(answer.split()) <= 80, question


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_new_idea_has_a_drawing(path):
    drawn = [cell for cell in code_cells(path) if 'class="attn-drawing"' in str(cell.outputs)]
    assert len(drawn) >= 2
    for cell in drawn:
        assert cell.metadata["mystnb"]["figure"]["caption"], cell.source


@chapter
def test_the_right_answer_has_no_place_of_its_own(path):
    """A reader who finds it first twice stops to read the others."""
    places = [
        [ast.literal_eval(answer.elts[1]) for answer in call.args[1].elts].index(True)
        for cell in code_cells(path)
        if "Quiz(" in cell.source
        for call in ast.walk(ast.parse(cell.source))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Quiz"
    ]
    if len(places) > 2:
        assert max(map(places.count, places)) <= len(places) / 2, places

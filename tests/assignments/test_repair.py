"""What students do to a notebook takes nothing of theirs away."""

import nbformat
import pytest

pytest.importorskip("nbgrader")
import homework
from homework import WORDS, WRONG_SOFTMAX, added, answer, named, released, solved

import repair  # isort: skip
import look

STUB = "*Your answer here.*\n\nYOUR ANSWER HERE"
SLOW = """def softmax(scores):
    exps = np.exp(scores)
    return exps / exps.sum(-1, keepdims=True)"""


def mended(notebook):
    return repair.repair(notebook, released())


def unanswered():
    return answer(why=STUB)


@pytest.mark.parametrize(
    "make, repairs",
    [
        (lambda: answer(why=f"{STUB}\n\n{WORDS}"), ""),
        (lambda: answer(why=f"{WORDS}\n{STUB}"), ""),
        (lambda: answer(why=f"*Your answer here.* {WORDS}"), ""),
        (lambda: added(unanswered(), WORDS, after="why", kind="markdown"), "cell beside it"),
        (lambda: added(unanswered(), WORDS, after="about_why", kind="markdown"), "cell beside it"),
        (lambda: added(unanswered(), WORDS, after="setup", kind="markdown"), "all other text"),
        (lambda: added(unanswered(), WORDS, after="why"), "code cell"),
        (lambda: homework.without_names(solved()), "cell beside it"),
        (lambda: homework.without_names(answer(why=f"{STUB}\n{WORDS}")), "cell beside it"),
        (lambda: homework.retyped(solved(), "why", "code"), "was code"),
        (lambda: homework.copied(unanswered(), "why", WORDS), ""),
        (lambda: answer(why=STUB, about_why=f"{named(released(), 'about_why').source}\n\n{WORDS}"),
         "cell beside it"),
    ],
)  # fmt: skip
def test_words_are_found_wherever_they_stand(make, repairs):
    found = mended(make())
    assert found.words == {"why": WORDS}
    assert repairs in "\n".join(line for line in found.repairs if line.startswith("why"))
    assert named(found.notebook, "why").source == WORDS


@pytest.mark.parametrize("text", [STUB, "", "YOUR ANSWER HERE", "---\n\n*Your answer here.*"])
def test_no_words_are_none(text):
    assert mended(answer(why=text)).words == {"why": ""}


def test_words_below_the_answer_are_read_too():
    found = mended(added(solved(), "Nobody sees it.", after="why", kind="markdown"))
    assert found.words == {"why": f"{WORDS}\n\nNobody sees it."}


def test_an_answer_with_the_stub_line_left_in_it_is_an_answer():
    right = named(solved(), "softmax").source
    kept = right.replace("    scores =", "    # YOUR CODE HERE\n    scores =")
    for source in (kept, right + "\n    raise NotImplementedError()"):
        found = mended(added(answer(softmax=source), SLOW, after="why"))
        assert named(found.notebook, "softmax").source == source
        assert found.repairs == ["softmax: defined again after its check, does not count"]


def test_a_draft_between_answer_and_check_does_not_replace_it():
    found = mended(added(solved(), SLOW, after="softmax"))
    assert found.repairs == ["softmax: defined again before its check; either may pass"]
    assert [c.source for c in found.notebook.cells if "_keep" in c.source] == [
        "_keep(globals(), ['softmax'])"
    ]


def test_an_answer_in_another_cell_is_the_one_near_its_question():
    notebook = added(answer(softmax=named(released(), "softmax").source), SLOW, after="why")
    assert named(mended(notebook).notebook, "softmax").source == SLOW
    added(notebook, WRONG_SOFTMAX, after="softmax")
    found = mended(notebook)
    assert named(found.notebook, "softmax").source == WRONG_SOFTMAX
    assert "2 cells define it" in found.repairs[0] and "not written in its own" in found.repairs[0]


def test_a_scratch_cell_at_the_end_is_no_answer_when_names_are_lost():
    found = mended(homework.without_names(added(solved(), SLOW, after="why")))
    right = named(solved(), "softmax").source
    assert named(found.notebook, "softmax").source == right


def test_what_is_added_to_the_set_up_still_runs():
    setup = named(released(), "setup").source
    found = mended(answer(setup=f"import math\n{setup}"))
    assert "import math" in [cell.source for cell in found.notebook.cells]
    assert not found.tampered


@pytest.mark.parametrize(
    "change, named_so",
    [
        (lambda text: text.replace("\n", "\n\n").replace("seed=1", "seed = 1"), False),
        (lambda text: "# my check\n" + text, False),
        (lambda text: text + "\nprint(softmax([1.0]))", False),
        (lambda text: "print('all well')", True),
        (lambda text: "# " + text.replace("\n", "\n# "), True),
        (lambda text: text.replace("a02.SOFTMAX", "()"), True),
    ],
)
def test_a_replaced_check_is_told_from_one_written_otherwise(change, named_so):
    check = named(released(), "check_softmax").source
    found = mended(answer(check_softmax=change(check)))
    assert bool(look.replaced(found.tampered)) == named_so
    assert named(found.notebook, "check_softmax").source == check


def test_an_assignment_may_have_cells_without_names():
    edited = released()
    edited.cells.insert(1, nbformat.v4.new_code_cell("import math"))
    edited.cells.insert(3, nbformat.v4.new_markdown_cell("A hint."))
    found = repair.repair(solved(), edited)
    sources = [cell.source for cell in found.notebook.cells]
    assert sources.count("import math") == sources.count("A hint.") == 1
    assert found.words == {"why": WORDS} and not found.repairs


def test_a_notebook_without_cells_of_ours_is_refused():
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    with pytest.raises(repair.UnreadableError, match="no notebook of these"):
        repair.which(other, {homework.NAME: released()})

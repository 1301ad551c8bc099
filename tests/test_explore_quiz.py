"""A quick question, Python's side: what a page stores of it, and what is refused."""

import json
import re

import pytest

from attnlib.explore import FigureError, Quiz

QUESTION = "Over what does a row of weights $a_{ts}$ sum to 1?"
ANSWERS = [
    ("The keys", True, "Each query shares out 1 among the keys."),
    ("The queries", False, "All queries together may give one key more than 1."),
    ("Nothing < 1 & so on", False, "The softmax divides by the sum over $s$."),
]


def test_the_state_is_the_texts_as_they_are():
    shown = Quiz(QUESTION, ANSWERS).to_html()
    assert shown.startswith('<attn-fig data-module="quiz">')
    state = json.loads(re.search(r"<script[^>]*>(.*?)</script>", shown, re.DOTALL)[1])
    assert state == {
        "question": QUESTION,
        "answers": [dict(zip(("answer", "right", "why"), each)) for each in ANSWERS],
    }


def test_who_has_no_script_reads_the_answers_with_their_reasons():
    shown = Quiz(QUESTION, ANSWERS).to_html().split("</script>")[1]
    assert "Right. Each query shares out" in shown and "No. All queries together" in shown
    assert "Nothing &lt; 1 &amp; so on" in shown


@pytest.mark.parametrize(
    "answers, message",
    [
        (ANSWERS[:1], "2 to 5 answers"),
        (ANSWERS * 2, "2 to 5 answers"),
        ([each[:2] for each in ANSWERS], "2 to 5 answers"),
        (ANSWERS[1:], "exactly one"),
        ([ANSWERS[0], ANSWERS[0]], "exactly one"),
        ([ANSWERS[0], ("The queries", False, "")], "must say why"),
        ([ANSWERS[0], (" ", False, "A reason that is long enough.")], "must say why"),
    ],
)
def test_a_question_that_teaches_nothing_is_refused(answers, message):
    with pytest.raises(FigureError, match=message):
        Quiz(QUESTION, answers)

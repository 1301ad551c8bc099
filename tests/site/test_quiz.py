"""A quick question in a real browser: chosen by mouse and by keyboard, it says why."""

import pytest
from figure_page import faults
from site_map import PHONE

from attnlib.explore import Quiz

QUESTION = "Over what does a row of weights $a_{ts}$ sum to 1?"
ANSWERS = [
    ("The queries", False, "All queries together may give one key more than 1."),
    ("The keys", True, "Each query shares out 1 among the keys."),
    ("The batch", False, "Sentences of a batch know nothing of each other."),
]


@pytest.fixture
def page(draw):
    return draw(Quiz(QUESTION, ANSWERS))


def said(page) -> list[str]:
    return page.locator(".why:visible").all_inner_texts()


def test_it_is_sound(draw, from_all_sides, serious):
    page = draw(Quiz(QUESTION, ANSWERS), Quiz("Another?", ANSWERS), size=PHONE)
    page.get_by_label("The keys").first.check()
    assert faults(page, from_all_sides(page), serious) == []


def test_nothing_is_given_away_before_a_choice(page):
    assert said(page) == []
    assert page.locator(".right, .wrong").count() == 0


def test_each_choice_says_why(page):
    for answer, right, why in ANSWERS:
        page.get_by_label(answer).check()
        assert said(page) == [f"{'Right' if right else 'No'}. {why}"]
        assert page.locator(".choice.right").count() == right
        assert page.locator(".choice.wrong").count() == (not right)
    spoken = f"No. {ANSWERS[-1][2]}"
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent === text", arg=spoken
    )


def test_it_is_answered_by_keys_alone(page):
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert said(page) == [f"No. {ANSWERS[0][2]}"]
    page.keyboard.press("ArrowDown")
    assert said(page) == [f"Right. {ANSWERS[1][2]}"]


def test_two_questions_of_a_page_do_not_answer_each_other(draw):
    page = draw(Quiz(QUESTION, ANSWERS), Quiz("Another?", ANSWERS))
    page.get_by_label("The keys").first.check()
    page.get_by_label("The batch").last.check()
    assert len(said(page)) == 2


def test_formulas_are_set_and_markup_is_not(draw):
    page = draw(Quiz("What is <b>$q_t$</b>?", ANSWERS))
    legend = page.locator("legend")
    assert legend.locator("var").all_inner_texts() == ["q", "t"]
    assert legend.locator("b").count() == 0 and "<b>" in legend.inner_text()

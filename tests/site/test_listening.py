"""Listening in a real browser: its numbers are attnlib's, and a step sounds like its weights."""

import re

import numpy as np
import pytest
from figure_page import SHOWN, faults, in_a_notebook, module, number, rows
from site_map import PHONE

from attnlib.explore import Listening

RNG = np.random.default_rng(1)
S, STEP, START, RATE = 12, 0.05, 0.01, 8000
N = 4960
TIMES = np.arange(N) / RATE


def weights(count: int) -> list[list[float]]:
    return RNG.dirichlet(np.ones(S) / 2, size=count).round(4).tolist()


SAID = {
    "samples": RNG.uniform(-1, 1, N),
    "rate": RATE,
    "digits": ["two", "one", "two"],
    "seconds": [[0.03, 0.21], [0.21, 0.4], [0.45, 0.6]],
    "step": STEP,
    "start": START,
    "readings": {
        "content": {"written": ["two", "nine"], "weights": weights(3)},
        "location-aware": {"written": ["two", "one"], "weights": weights(4), "told": True},
    },
}
SECOND = SAID | {
    "digits": ["six"],
    "seconds": [[0.035, 0.46]],  # its first border is the middle of a position
    "readings": {
        name: {"written": ["six"], "weights": weights(1), "told": True} for name in SAID["readings"]
    },
}
OPTION = '[role="option"]'

# In the place of the reader's loudspeaker: what is played is kept, for `heard` to render.
KEPT = """() => {
    globalThis.AudioContext = class extends OfflineAudioContext {
        constructor() {
            super(1, 6400, 8000);
            globalThis.kept = this;
        }
        resume() {}
        close() {}
    };
}"""
HEARD = "async () => [...(await kept.startRendering()).getChannelData(0)]"


@pytest.fixture(scope="module")
def figure():
    return Listening([SAID, SECOND])


def loudness(row) -> np.ndarray:
    """At each sample: the weights over the largest, on lines between the middles of positions."""
    middles = START + STEP * (np.arange(S) + 0.5)
    return np.interp(TIMES, middles, np.array(row) / max(row))


def played(page) -> np.ndarray:
    """What came from the loudspeaker, from the sample on at which the recording begins."""
    return np.array(page.evaluate(HEARD))[480 : 480 + N]


def stored(samples) -> np.ndarray:
    return np.round(127 * np.asarray(samples)) / 127


def agree(page, figure):
    """What the page says of the chosen step is what attnlib computes."""
    step = figure.step()
    text = page.locator(".readout").text_content()
    shown = figure.recordings[figure.recording]
    word = shown["digits"][step["most"]]
    found = re.search(r"is on (.*): (\S+) within its borders; uniform weights: (\d\.\d+)\.", text)
    assert found[1] == f"{word}, digit {step['most'] + 1}"
    np.testing.assert_allclose(
        [number(found[2]), number(found[3])], [step["share"], step["uniform"]], rtol=0, atol=6e-4
    )
    assert f"In all, the {figure.model} model wrote: " in text
    wrong = page.locator(".readout .wrong").all_text_contents()
    assert any("wrong" in each for each in wrong) == (step["right"] is False)
    elsewhere = step["due"] not in (None, "</s>") and step["most"] != figure.row
    assert any("should be on" in each for each in wrong) == elsewhere
    chosen = page.locator(OPTION + '[aria-selected="true"]')
    said = page.locator(".readout p:not(.hint)").all_text_contents()
    assert chosen.get_attribute("aria-label") == " ".join(said).replace("✗ ", "")
    table = [figure.masses(row) for row in shown["readings"][figure.model]["weights"]]
    np.testing.assert_allclose(rows(page), table, **SHOWN)


def test_figure_is_sound(draw, from_all_sides, serious, figure):
    page = draw(figure, Listening([SAID], model="location-aware", row=3), size=PHONE)
    assert faults(page, from_all_sides(page), serious) == []
    assert page.locator(".credit").first.text_content().startswith("Sound: Free Spoken Digit")


def test_figure_follows_its_controls(draw, figure):
    page = draw(figure)
    for model in SAID["readings"]:
        page.get_by_role("radio", name=model).check()
        page.locator(OPTION).last.focus()
        page.keyboard.press("Home")
        for row in range(len(SAID["readings"][model]["weights"])):
            agree(page, Listening([SAID], model=model, row=row))
            page.keyboard.press("ArrowDown")
    tokens = [text.strip() for text in page.locator(".token").all_text_contents()]
    assert tokens == ["two", "one", "✗ </s>", "(</s>)"]
    page.get_by_label("Recording").select_option(index=1)
    agree(page, Listening([SECOND], model="location-aware"))


def test_a_row_sounds_as_loud_as_its_weights(draw, figure):
    page = draw(figure)
    page.evaluate(KEPT)
    row = SAID["readings"]["content"]["weights"][1]
    drawn = page.evaluate(
        "([m, row, times, places]) => times.map((x) => m.gainAt(m.gains(row), x, places))",
        [module(page, "listening"), row, TIMES.tolist(), {"start": START, "step": STEP}],
    )
    np.testing.assert_allclose(drawn, loudness(row), rtol=0, atol=1e-9)
    assert page.evaluate("globalThis.kept") is None  # nothing sounds before a click
    page.locator(OPTION).nth(1).click()
    assert page.locator(".sounding").text_content() == "Playing what step 2 hears."
    want = stored(SAID["samples"]) * loudness(row)
    np.testing.assert_allclose(played(page), want, rtol=0, atol=1e-4)


def test_the_recording_sounds_in_full(draw, figure):
    page = draw(figure)
    page.evaluate(KEPT)
    page.get_by_role("button", name="Play the recording").press("Enter")
    np.testing.assert_allclose(played(page), stored(SAID["samples"]), rtol=0, atol=1e-6)


def test_sound_starts_by_hand_and_stops(draw, figure):
    page = draw(figure, figure)
    first, second = page.locator(".attn-listening").all()
    sounding = [each.locator(".sounding") for each in (first, second)]
    first.locator(OPTION).first.focus()
    page.keyboard.press("ArrowDown")  # an arrow key only chooses
    assert sounding[0].text_content() == ""
    page.keyboard.press("Enter")
    assert sounding[0].text_content() == "Playing what step 2 hears."
    page.keyboard.press("ArrowUp")  # another step: the sound of the one before ends
    assert sounding[0].text_content() == ""
    page.keyboard.press(" ")
    second.get_by_role("button", name="Play the recording").click()  # one sound on a page
    assert [each.text_content() for each in sounding] == ["", "Playing the recording."]
    line = second.locator(".line")
    page.wait_for_function("line => parseFloat(line.style.left) > 5", arg=line.element_handle())
    page.keyboard.press("Escape")
    assert sounding[1].text_content() == "" and not line.is_visible()
    second.get_by_role("button", name="Play the recording").click()
    second.get_by_role("button", name="Stop").click()
    assert sounding[1].text_content() == ""
    second.get_by_role("button", name="Play what this step hears").click()
    page.wait_for_function("p => p.textContent === ''", arg=sounding[1].element_handle())  # its end


def test_without_sound_the_rest_works(draw, figure):
    page = draw(figure)
    page.evaluate("delete globalThis.AudioContext")
    page.locator(OPTION).nth(2).click()
    assert page.get_by_role("status").text_content().startswith("This browser plays no sound here")
    agree(page, Listening([SAID], row=2))


def test_kernel_may_change_everything_at_once(draw, figure):
    page = draw(figure)
    told = in_a_notebook(
        page,
        figure,
        Listening([SAID, SECOND], model="location-aware", row=3).state(),
        "el.querySelectorAll('[role=option]')[3].getAttribute('aria-selected')",
        "el.querySelector('[role=option]').click()",
    )
    assert (told.shown, told.state["row"], told.saved, told.left) == ("true", 0, 1, 0)

"""Listening, Python's side: its numbers against loops, and what it refuses."""

import base64
import json
import re

import numpy as np
import pytest

from attnlib.data import spoken
from attnlib.data.spoken import Spoken
from attnlib.explore import FigureError, Listening
from attnlib.explore.listening import packed, recording

RNG = np.random.default_rng(0)
S, STEP, START = 12, 0.05, 0.01
DIGITS = ["two", "one", "two"]
BORDERS = [[0.03, 0.21], [0.21, 0.4], [0.45, 0.6]]


def rows(count: int) -> list[list[float]]:
    return RNG.dirichlet(np.ones(S) / 2, size=count).round(4).tolist()


SAID = {
    "samples": RNG.uniform(-1, 1, 4960),
    "rate": 8000,
    "digits": DIGITS,
    "seconds": BORDERS,
    "step": STEP,
    "start": START,
    "readings": {
        "content": {"written": ["two", "nine"], "weights": rows(3)},
        "location-aware": {"written": ["two", "one"], "weights": rows(4), "told": True},
    },
}


def with_reading(**changes) -> dict:
    return SAID | {"readings": {"content": SAID["readings"]["content"] | changes}}


def test_shares_are_those_of_a_loop():
    for model, reading in SAID["readings"].items():
        for t, row in enumerate(reading["weights"]):
            figure = Listening([SAID], model=model, row=t)
            masses, counts = [0.0] * len(DIGITS), [0] * len(DIGITS)
            for s, weight in enumerate(row):
                middle = START + STEP * s + STEP / 2
                for d, (first, end) in enumerate(BORDERS):
                    if first <= middle < end:
                        masses[d] += weight
                        counts[d] += 1
            assert figure.masses(row) == pytest.approx(masses, abs=1e-12)
            best = max(range(len(DIGITS)), key=masses.__getitem__)
            assert figure.step()["most"] == best
            assert figure.step()["share"] == pytest.approx(masses[best], abs=5.1e-5)
            assert figure.step()["uniform"] == pytest.approx(counts[best] / S, abs=5.1e-5)


def test_shares_are_those_of_speech():
    """What lies inside a digit's borders is what `data.spoken` says of a string of its own."""
    said = Spoken(
        (2, 1), "one", RNG.normal(size=5000).astype(np.float32), ((300, 2000), (2210, 4700))
    )
    which = spoken.collate([said])
    weights = RNG.dirichlet(np.ones(which.heard.shape[1]), size=3)
    example = {
        "digits": ["two", "one"],
        "seconds": [[s / spoken.RATE for s in border] for border in said.borders],
        "positions": weights.shape[1],
        "content": {"written": ["two"], "weights": weights},
    }
    figure = Listening([recording(example, said)])
    for row in weights:
        want = (which.inside[0].numpy() * row).sum(-1)
        np.testing.assert_allclose(figure.masses(row), want, rtol=0, atol=1e-12)
    assert figure.recordings[0]["readings"]["content"]["told"]
    heard = np.frombuffer(base64.b64decode(packed(said)), np.uint8).astype(float) - 128
    loud = said.samples / np.abs(said.samples).max()
    np.testing.assert_allclose(heard / 127, loud, rtol=0, atol=0.5 / 127 + 1e-6)
    again = recording(example | {"samples": packed(said)})
    assert Listening([again]).to_html() == figure.to_html()


@pytest.mark.parametrize(
    "model, want",
    [  # after an error a model that reads its own words is lost; one that is told them goes on
        ("content", [("two", "two", True), ("nine", "one", False), ("</s>", None, None)]),
        (
            "location-aware",
            [
                ("two", "two", True),
                ("one", "one", True),
                ("</s>", "two", False),
                (None, "</s>", None),
            ],
        ),
    ],
)
def test_what_a_step_wrote_and_what_was_due(model, want):
    figure = Listening([SAID], model=model)
    steps = [figure.step(t) for t in range(len(want))]
    assert [(step["wrote"], step["due"], step["right"]) for step in steps] == want


def test_no_digit_has_the_weight_of_a_pause():
    silent = [[0.0] * (S - 4) + [1.0] + [0.0] * 3]  # between the second digit and the third
    figure = Listening([with_reading(written=["two"], weights=silent)])
    assert (figure.step()["most"], figure.step()["share"]) == (None, 0.0)


def test_what_the_page_stores():
    figure = Listening(
        [SAID, SAID], recording=1, model="location-aware", row=2, credit="by me & us"
    )
    page = figure.to_html()
    kept = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert Listening(**kept).to_html() == page
    sound = np.frombuffer(base64.b64decode(kept["recordings"][0]["samples"]), np.uint8)
    np.testing.assert_allclose(
        (sound - 128.0) / 127, SAID["samples"], rtol=0, atol=0.5 / 127 + 1e-9
    )
    assert "location-aware wrote “two one” for “two one two”" in page
    assert re.findall(r'<th scope="row">(.*?)</th>', page) == [
        "1. two",
        "2. one",
        "3. &lt;/s&gt; (wrong)",
        "4. (&lt;/s&gt;)",
    ]
    body = page.partition("<tbody>")[2]
    shown = [
        [float(x) for x in re.findall("<td>(.*?)</td>", row)] for row in body.split("</tr>")[:-1]
    ]
    want = [figure.masses(row) for row in SAID["readings"]["location-aware"]["weights"]]
    np.testing.assert_allclose(shown, want, rtol=0, atol=0.0005 + 1e-9)
    assert repr(figure) == (
        "Listening(2 recordings, location-aware: wrote 'two one' for 'two one two', 1 error)"
    )


@pytest.mark.parametrize("samples", [[0.5, -1.0, 0.25, 0.0], [16384, -32768, 8192, 0]])
def test_integers_sound_like_floats(samples):
    kind = np.int16 if isinstance(samples[0], int) else np.float32
    sound = np.tile(np.array(samples, kind), 1240)
    kept = Listening([SAID | {"samples": sound}]).recordings[0]["samples"]
    assert list(base64.b64decode(kept)[:4]) == [192, 1, 160, 128]
    as_bytes = np.frombuffer(base64.b64decode(kept), np.uint8)
    assert Listening([SAID | {"samples": as_bytes}]).recordings[0]["samples"] == kept


@pytest.mark.parametrize(
    "said, message",
    [
        (
            {"samples": np.zeros((2, 2480))},
            r"samples of recording 0 must be a list of numbers, got",
        ),
        ({"samples": [0] * 4960}, "must be floats from -1 to 1 or 16-bit or unsigned 8-bit"),
        ({"samples": np.full(4960, 2.5)}, "must be from -1 to 1, got 2.5: divide them by that"),
        ({"samples": np.full(4960, np.nan)}, "samples of recording 0 must be finite"),
        ({"samples": "no base64!"}, "samples of recording 0 must be base64 where they are text"),
        ({"samples": np.zeros(49600)}, "12 positions of 0.05 s end at 0.61 s, the sound at 6.2 s"),
        ({"step": 0.08}, "12 positions of 0.08 s end at 0.97 s, the sound at 0.62 s"),
        ({"step": 40}, "step of recording 0 must be from 0.001 to 1, got 40"),
        ({"rate": 800}, "rate of recording 0 must be from 8000 to 48000, got 800"),
        ({"digits": []}, "recording 0 must have 1 to 12 digits, got 0"),
        ({"seconds": BORDERS[:2]}, "seconds of recording 0 must have 3 entries, got 2"),
        ({"seconds": [*BORDERS[:2], [0.3, 0.6]]}, "digit 2 from 0.3 to 0.6 s must begin where"),
        ({"seconds": [*BORDERS[:2], [0.5, 0.7]]}, "end with the sound, 0.62 s"),
        ({"readings": {}}, "recording 0 has no reading"),
        (with_reading(weights=rows(5)), "5 rows of weights for 2 words written; one that was told"),
        (with_reading(told=True, weights=rows(5)), "5 rows of weights for 3 digits said$"),
        (with_reading(weights=[[0.1] * S] * 2), "row 0 must be 0 or more and sum to at most 1"),
        (with_reading(weights=[rows(1)[0], rows(1)[0][:-1]]), "rows of 11 and 12 positions"),
    ],
)
def test_refuses_a_recording(said, message):
    with pytest.raises(FigureError, match=message):
        Listening([SAID | said])


def test_refuses():
    with pytest.raises(FigureError, match="there is no recording to show"):
        Listening([])
    with pytest.raises(FigureError, match="recording 0 lacks rate, step"):
        Listening([{name: SAID[name] for name in SAID if name not in ("rate", "step")}])
    with pytest.raises(FigureError, match="recording 1 has readings of content, recording 0 of"):
        Listening([SAID, with_reading()])
    for wrong, message in [
        ({"recording": 1}, "recording 1 of 1, from 0"),
        ({"model": "a third"}, "unknown model 'a third': one of content, location-aware"),
        ({"row": 3}, "row 3 of 3, from 0"),
    ]:
        with pytest.raises(FigureError, match=message):
            Listening([SAID], **wrong)
    with pytest.raises(FigureError, match="the example has no samples: give the string"):
        recording({"digits": ["two"], "seconds": [[0, 1]]})
    said = Spoken((2, 1), "one", np.zeros(400, np.float32), ((0, 200), (200, 400)))
    with pytest.raises(FigureError, match="the example is of “two two”, the sound of “two one”"):
        recording({"digits": ["two", "two"]}, said)

"""The interactive figures, Python's side: what they accept, compute, and store on a page."""

import hashlib
import itertools
import json
import re
import sys
import types
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attnlib import reference
from attnlib.data.scenes import put
from attnlib.explore import (
    AlignmentFigure,
    Captioned,
    CaptionSteps,
    FigureError,
    FiveDials,
    HeadsFigure,
    Listening,
    LiveAttention,
    LiveHeads,
    LiveScene,
    LiveTranslator,
    LocalWindows,
    MemoryFigure,
    ModelsFigure,
    MovedWeights,
    PositionsFigure,
    Quiz,
    RelatedCells,
    SoftHard,
    SoftmaxLookup,
    modules,
)
from attnlib.explore import example as tiny
from attnlib.explore.example_numbers import NUMBERS
from attnlib.explore.figure import rounded
from attnlib.explore.five_dials import PAPERS, SETTINGS
from attnlib.metrics.pointing import Record
from attnlib.selection import Hard

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
PAIR = (
    ["a", "red", "shirt"],
    ["une", "chemise", "rouge"],
    [[0.9, 0.1, 0], [0.2, 0.1, 0.7], [0, 1, 0]],
)


def caption_steps():
    record = Record.of(["dot"], [{0}], [[0.75, 0.25]], np.eye(2, dtype=bool)[None], (1, 2))
    return CaptionSteps([Captioned(np.full((2, 2, 3), 99, np.uint8), record)])


TOKENS = {"source_tokens": PAIR[0], "target_tokens": PAIR[1]}
LOOKS = dict.fromkeys(("encoder", "decoder", "cross"), np.eye(3)[None, None])
SAID = SimpleNamespace(**TOKENS, text="une chemise rouge", weights=PAIR[2])
READ = {
    "words": ["not", "good"],
    "evidence": [0, 1],
    "readings": {"a GRU": {"weights": [0.3, 0.7], "alone": [-2.0, -1.5]}},
}
HEARD = {
    "samples": np.zeros(1600),
    "rate": 8000,
    "digits": ["two", "one"],
    "seconds": [[0, 0.1], [0.1, 0.2]],
    "step": 0.1,
    "readings": {"content": {"written": ["two", "one"], "weights": [[0.8, 0.2], [0.3, 0.7]]}},
}
CELLS = {
    "image": np.zeros((8, 8, 3), np.uint8),
    "grid": [2, 2],
    "features": [[1.0, 0], [1, 1], [0, 1], [-1, 1]],
    "maps": {"star": [1, 0, 0, 0]},
    "truth": {"star": [1, 0.5, 0, 0]},
    "title": "a star",
}
FIGURES = [
    SoftmaxLookup,
    FiveDials,
    LocalWindows,
    PositionsFigure,
    MemoryFigure,
    caption_steps,
    lambda: AlignmentFigure([PAIR]),
    lambda: SoftHard(samples=10),
    lambda: HeadsFigure([SimpleNamespace(**TOKENS, **LOOKS)]),
    lambda: ModelsFigure("a", {"one": SAID}),
    lambda: MovedWeights([READ]),
    lambda: Listening([HEARD]),
    lambda: RelatedCells([CELLS]),
    lambda: Quiz("Which?", [("one", True, "It is this."), ("two", False, "It is not this.")]),
    lambda: LiveAttention(["A dog runs."]),
    lambda: LiveHeads(["A dog runs."]),
    lambda: LiveTranslator(["A dog runs."], {"en-fr-transformer": "transformer"}),
    lambda: LiveScene([[put("a small red ring", 20, 30)]], {"scenes-soft": "soft"}),
]
every_figure = pytest.mark.parametrize("made", FIGURES)


def state_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])


# --- what all figures promise


def test_modules_are_complete_in_themselves():
    assert set(modules()) == {made().module for made in FIGURES}
    for source in modules().values():
        assert "export default { render };" in source
        assert not re.search(r"^import ", source, re.M)
        assert "innerHTML" not in source and "http" not in source.replace("http://www.w3.org/", "")


@every_figure
def test_stored_output_is_the_same_every_time(made):
    first, second = made(), made()
    assert first.model_id != second.model_id
    assert first.to_html() == second.to_html()
    assert repr(first) == repr(second) and "0x" not in repr(first)
    assert first.model_id not in first.to_html()


@every_figure
def test_bundle_has_the_widget_and_its_twin(made):
    figure = made()
    data, _ = figure._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == figure.model_id
    assert data["text/html"].startswith(f'<attn-fig data-module="{figure.module}">')
    assert "<table><caption>" in data["text/html"]  # for readers without the script
    assert data["text/plain"] == repr(figure)


@every_figure
def test_colab_gets_the_widget_alone(made, monkeypatch):
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: None
    output._widgets = SimpleNamespace(_installed_url=None)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    data, _ = made()._repr_mimebundle_()
    assert "text/html" not in data and "application/vnd.jupyter.widget-view+json" in data


def test_stored_numbers_are_short():
    weights = np.full((3, 3), 1 / 3)
    page = AlignmentFigure([(*PAIR[:2], weights)]).to_html()
    assert state_of(page)["sentences"][0]["weights"] == [[0.3333] * 3] * 3
    assert rounded({"a": [-1e-9, 2, True, "x", None]}) == {"a": [0.0, 2, True, "x", None]}
    assert str(rounded(-1e-9)) == "0.0"


def test_state_survives_the_page():
    lookup = SoftmaxLookup(query=(0.5, -1), temperature=0.3, score="scaled_dot")
    kept = state_of(lookup.to_html())
    kept["keys"] = kept.pop("key_vectors")
    assert SoftmaxLookup(**kept).to_html() == lookup.to_html()
    dials = FiveDials("dot", "predictive", "hard", "after", "input", step=2, seed=7)
    kept = state_of(dials.to_html())
    assert FiveDials(**{name: kept[name] for name in (*SETTINGS, "step", "seed")}).to_html() == (
        dials.to_html()
    )
    alignment = AlignmentFigure([PAIR, PAIR], languages=("A", "B"), sentence=1, word=2)
    assert AlignmentFigure(**state_of(alignment.to_html())).to_html() == alignment.to_html()


def test_what_comes_from_outside_is_escaped():
    bad = "</script><img src=x onerror=alert(1)>"
    page = AlignmentFigure([([bad, "b"], ["c & d"], [[0.5, 0.5]])]).to_html()
    assert page.count("</script>") == 1 and "<img" not in page
    assert "&lt;img src=x" in page and "c &amp; d" in page
    assert state_of(page)["sentences"][0]["source"][0] == bad


# --- tables: what a page shows without the script


def cells(figure):
    """The numbers of a figure's table by the names of row and column."""
    _, columns, rows = figure.table()
    assert all(len(row) == len(columns) for row in rows)
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names) and len(set(columns)) == len(columns)
    return {(row[0], name): cell for row in rows for name, cell in zip(columns, row) if name}


def test_a_table_of_weights_has_targets_down_and_sources_across():
    """Square matrices without symmetry: turned over they would still fit."""
    source, target, weights = PAIR
    figures = [(AlignmentFigure([PAIR]), source, target, weights)]
    dials = FiveDials("general", "causal", "soft", "after", "input")
    figures.append((dials, tiny.SOURCE, tiny.TARGET, dials.weights))
    for figure, across, down, each in figures:
        want = {
            (y, x): f"{each[t][s]:.3f}" for t, y in enumerate(down) for s, x in enumerate(across)
        }
        assert cells(figure) == want
        assert any(want[y, x] != f"{each[s][t]:.3f}" for t, y in enumerate(down)
                   for s, x in enumerate(across))  # fmt: skip


def test_the_table_of_a_lookup_has_each_number_under_its_name():
    figure = SoftmaxLookup(query=[1.0, -0.5], score="scaled_dot", temperature=0.5)
    shown = cells(figure)
    scores = [(k[0] - 0.5 * k[1]) / np.sqrt(2) for k in figure.key_vectors]
    weights = reference.softmax([2 * e for e in scores])
    for s, name in enumerate(figure.labels):
        assert shown[name, "key"] == "({:.2f}, {:.2f})".format(*figure.key_vectors[s])
        assert shown[name, "value"] == "({:.2f}, {:.2f})".format(*figure.values[s])
        assert shown[name, "score"] == f"{scores[s]:.3f}"
        assert shown[name, "weight"] == f"{weights[s]:.3f}"
    context = reference.average(weights, np.array(figure.values))
    assert shown["context", "value"] == "({:.3f}, {:.3f})".format(*context)
    assert "(1.00, -0.50), scaled dot score, temperature 0.5" in figure.table()[0]


# --- softmax lookup


@pytest.mark.parametrize("score", ["dot", "scaled_dot"])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_lookup_matches_the_loops(score, temperature):
    figure = SoftmaxLookup(temperature=temperature, score=score)
    one = getattr(reference, f"{score}_score")
    scores = [one(np.array(figure.query), np.array(key)) for key in figure.key_vectors]
    weights = reference.softmax([e / temperature for e in scores])
    np.testing.assert_allclose(figure.scores, scores, **EXACT)
    np.testing.assert_allclose(figure.weights, weights, **EXACT)
    np.testing.assert_allclose(
        figure.context, reference.average(weights, np.array(figure.values)), **EXACT
    )


def test_lookup_follows_what_the_reader_drags():
    figure = SoftmaxLookup(query=[1, 0], keys=[[2, 0], [0, 2]], values=[[1], [0]])
    figure.set_state({"query": [0, 1.5]})  # as a browser sends it
    assert figure.weights[1] > figure.weights[0]
    figure.set_state({"key_vectors": [[0, 2], [2, 0]]})
    assert figure.weights[1] < figure.weights[0]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"query": [1]}, "query must have 2 entries, got 1"),
        ({"query": [1, "x"]}, r"query\[1\] must be a number, got 'x'"),
        ({"query": [1, float("nan")]}, r"query\[1\] must be finite, got nan"),
        ({"query": [1, 4]}, "query must lie between -3 and 3"),
        ({"query": 5}, "query must be a list, got 5"),
        ({"keys": [[1, 1]] * 4 + [[1, 2, 3]]}, r"keys\[4\] must have 2 entries, got 3"),
        ({"keys": [[1, 1]], "values": [[1]]}, "keys must be 2 to 6 points, got 1"),
        ({"values": [[1]] * 3}, "3 values for 4 keys"),
        ({"values": [[1], [1, 2], [1], [1]]}, r"one width from 1 to 3, got widths \[1, 2\]"),
        ({"values": [[], [], [], []]}, r"values\[0\] must have at least one entry, got 0"),
        ({"labels": ["a"]}, "1 labels for 4 keys"),
        ({"temperature": 0}, "temperature must be from 0.1 to 5, got 0"),
        ({"score": "cosine"}, "unknown score 'cosine': one of dot, scaled_dot"),
    ],
)
def test_lookup_refuses(wrong, message):
    with pytest.raises(FigureError, match=message):
        SoftmaxLookup(**wrong)
    with pytest.raises(ValueError):
        SoftmaxLookup(**wrong)


def test_lookup_refuses_later_too():
    figure = SoftmaxLookup()
    with pytest.raises(FigureError, match="temperature"):
        figure.temperature = 9.0
    assert figure.temperature == 1.0


# --- the five dials

numbers = {name: np.array(value) for name, value in NUMBERS.items()}


def by_hand(score):
    """A score of the oracle with the example's numbers."""
    own = {part: numbers[f"{score}_{part}"] for part in "WUv" if f"{score}_{part}" in numbers}
    if score == "cosine":
        own["beta"] = numbers["cosine_beta"]
    return lambda q, k: getattr(reference, f"{score}_score")(q, k, **own)


def cell(timing, feeding):
    W, fed, U = (numbers[f"{timing}_cell_{name}"] for name in ("previous", feeding, "state"))
    zero = np.zeros(len(U))
    return lambda x, h: reference.gru_step(x, h, np.hstack([W, fed]), U, zero, zero)


@pytest.mark.parametrize("score", [name for name in SETTINGS["score"] if name != "location"])
def test_bahdanau_and_luong_match_the_loops(score):
    keys = numbers["keys"]
    state, want = np.tanh(numbers["before_summary"]), []
    for y in numbers["previous"]:
        step = cell("before", "context")
        state, _, weights = reference.bahdanau_step(y, state, keys, by_hand(score), step)
        want.append(weights)
    np.testing.assert_allclose(FiveDials(score).weights, want, **EXACT)

    state, fed, want = np.tanh(numbers["after_summary"]), np.zeros(3), []
    for y in numbers["previous"]:
        state = cell("after", "input")(np.concatenate([y, fed]), state)
        contexts, weights = reference.attend(by_hand(score), [state], keys, keys)
        fed = np.tanh(numbers["after_readout"] @ np.concatenate([state, contexts[0], y]))
        want.append(weights[0])
    figure = FiveDials(score, timing="after", feeding="input")
    np.testing.assert_allclose(figure.weights, want, **EXACT)


def by_the_loops(score, window, selection, timing, feeding, seed=0):
    """Weights and chosen keys of the example, from loops over words and keys."""
    keys, S = numbers["keys"], len(tiny.SOURCE)
    parts = ["previous", "state"] if feeding == "none" else ["previous", feeding, "state"]
    *into, U = (numbers[f"{timing}_cell_{name}"] for name in parts)
    chosen = []

    def ask(query, t):
        if score == "location":
            scores = reference.location_scores(query, S, numbers["location_W"])
        else:
            scores = [by_hand(score)(query, key) for key in keys]
        inside, factor, pick = [True] * S, None, None
        if window == "causal":
            inside = [s <= t for s in range(S)]
        elif window == "monotonic":
            inside = reference.within(reference.local_m(t, S), tiny.REACH, S)
        elif window == "predictive":
            centre = reference.local_p(query, S, numbers["centre_W"], numbers["centre_v"])
            inside = reference.within(centre, tiny.REACH, S)
            factor = reference.bell(centre, tiny.REACH, S)
        if selection == "hard":
            pick = lambda a: reference.choose(a, tiny.uniform(seed, t))  # noqa: E731
        elif selection == "gumbel":
            noise = [tiny.gumbel(seed, S * t + s) for s in range(S)]
            pick = lambda a: max(  # noqa: E731
                (s for s in range(S) if a[s] > 0), key=lambda s: np.log(a[s]) + noise[s]
            )
        if pick:
            chosen.append(pick(reference.look(scores, keys, inside, factor)[1]))
        return reference.look(scores, keys, inside, factor, pick)

    zero = np.zeros(len(U))
    _, weights = reference.decode(
        numbers["previous"],
        np.tanh(numbers[f"{timing}_summary"]),
        np.zeros(0 if feeding == "none" else tiny.WIDTH),
        ask,
        lambda x, h: reference.gru_step(x, h, np.hstack(into), U, zero, zero),
        lambda x: np.tanh(reference.times(numbers[f"{timing}_readout"], x)),
        timing,
        feeding,
    )
    return weights, chosen or None


@pytest.mark.parametrize("window", SETTINGS["window"])
@pytest.mark.parametrize("score, selection", [
    *((score, "soft") for score in SETTINGS["score"]), ("general", "hard"), ("dot", "gumbel"),
])  # fmt: skip
def test_every_weight_is_that_of_the_loops(score, window, selection):
    """The library in float64 and loops over lists agree on all numbers that the figure shows."""
    for timing, feeding in itertools.product(SETTINGS["timing"], SETTINGS["feeding"]):
        figure = FiveDials(score, window, selection, timing, feeding, seed=5)
        weights, chosen = by_the_loops(score, window, selection, timing, feeding, seed=5)
        np.testing.assert_allclose(figure.weights, weights, **EXACT)
        assert figure.chosen == chosen
        on_gold = np.mean([weights[t][s] for t, s in enumerate(tiny.GOLD)])
        assert figure.mass_on_gold == pytest.approx(on_gold, abs=1e-4)


# What the figures begin with was found once (`example.fit`) or made up, and chapters speak of it.
# No formula gives it again on every processor: a number that was changed is known by its checksum.
BEGINNINGS = {
    "five dials": (
        {"numbers": NUMBERS, "source": tiny.SOURCE, "target": tiny.TARGET, "gold": tiny.GOLD},
        "492d968976335e00",
    ),
    "softmax lookup": (SoftmaxLookup().state(), "0d1a77e939f5e957"),
    "local windows": (LocalWindows().state(), "96175db8fa651ffb"),
    "soft and hard": (SoftHard().state(), "8a4c3b2d6ee92624"),
    "positions": (PositionsFigure().state(), "39a90a26470ed66d"),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_no_number_that_a_figure_begins_with_was_changed(name):
    found, checksum = BEGINNINGS[name]
    text = json.dumps(found, sort_keys=True, ensure_ascii=False)
    assert hashlib.sha256(text.encode("utf-8")).hexdigest()[:16] == checksum


def test_every_number_of_the_example_has_its_shape_and_two_digits():
    assert NUMBERS.keys() == tiny.SHAPES.keys()
    for name, value in numbers.items():
        assert value.shape == tiny.SHAPES[name]
        np.testing.assert_array_equal(value, value.round(2))


@pytest.mark.slow
def test_every_setting_gives_weights():
    figure = FiveDials()
    seen = Counter()
    for setting in itertools.product(*SETTINGS.values()):
        for dial, value in zip(SETTINGS, setting, strict=True):
            setattr(figure, dial, value)
        weights = np.array(figure.weights)
        assert weights.shape == (4, 4) and (weights >= 0).all()
        if figure.window == "predictive":
            assert (weights.sum(1) < 1).all()
        else:
            np.testing.assert_allclose(weights.sum(1), 1, **EXACT)
        if figure.window == "causal":
            assert (weights[np.triu_indices(4, 1)] == 0).all()
        if figure.window == "monotonic":
            assert (weights[np.abs(np.subtract.outer(range(4), range(4))) > 1] == 0).all()
        assert (figure.chosen is None) == (figure.selection == "soft")
        if figure.chosen:
            assert all(weights[t, s] > 0 for t, s in enumerate(figure.chosen))
        seen[weights.round(6).tobytes()] += 1
    assert len(seen) > 250  # nearly every dial changes the weights


def test_predictive_window_is_the_papers():
    """Equations 9 and 10 by hand, with feeding none, so that the states are those of everywhere."""
    state = np.tanh(numbers["after_summary"])
    W, U = (numbers[f"after_cell_{name}"] for name in ("previous", "state"))
    want = []
    for y in numbers["previous"]:
        state = reference.gru_step(y, state, W, U, np.zeros(9), np.zeros(9))
        hidden = np.tanh(numbers["centre_W"] @ state)
        centre = 4 * reference.sigmoid(numbers["centre_v"] @ hidden)
        away = np.arange(4) - centre
        scores = [reference.dot_score(state, key) for key in numbers["keys"]]
        weights = reference.softmax(scores, np.abs(away) <= 1)
        want.append(weights * np.exp(-(away**2) / (2 * 0.5**2)))
    figure = FiveDials("dot", "predictive", "soft", "after", "none")
    np.testing.assert_allclose(figure.weights, want, **EXACT)


def test_the_example_is_worth_looking_at():
    """Soft and everywhere the decoder aligns; a causal window hides the word it needs."""
    figure = FiveDials()
    for score, timing, feeding in itertools.product(
        *(SETTINGS[dial] for dial in ("score", "timing", "feeding"))
    ):
        figure.score, figure.timing, figure.feeding = score, timing, feeding
        assert np.argmax(figure.weights, 1).tolist() == tiny.GOLD, repr(figure)
        assert figure.mass_on_gold > 0.6, repr(figure)
    assert FiveDials(window="causal").weights[1][2] == 0


def test_hard_selection_draws_by_weight():
    draws = [tiny.uniform(seed, step) for seed in range(500) for step in range(4)]
    assert all(0 <= draw < 1 for draw in draws)
    counts = np.histogram(draws, 10, (0, 1))[0]
    assert (abs(counts - 200) < 5 * np.sqrt(180)).all()  # five standard deviations
    weights = [0.1, 0.0, 0.6, 0.3]
    drawn = Counter(
        Hard().choose(torch.tensor([[weights]]), torch.tensor([[draw]])).item() for draw in draws
    )
    assert drawn[1] == 0
    for s, a in enumerate(weights):
        assert abs(drawn[s] / 2000 - a) <= 5 * np.sqrt(a * (1 - a) / 2000)


def test_gumbel_draws_by_weight_too():
    weights = [0.1, 0.0, 0.6, 0.3]
    all_noise = [tiny.gumbel(seed, step) for seed in range(500) for step in range(16)]
    noise = torch.tensor(all_noise).view(500, 4, 4)
    drawn = tiny.GivenNoise().choose(torch.tensor(weights).expand(noise.shape), noise)
    counts = torch.bincount(drawn.flatten(), minlength=4).tolist()
    assert counts[1] == 0
    for count, a in zip(counts, weights, strict=True):
        assert abs(count / 2000 - a) <= 5 * np.sqrt(a * (1 - a) / 2000)


@pytest.mark.parametrize("window", SETTINGS["window"])
def test_gumbel_takes_one_key_on_the_way_forward(window):
    """The keys chosen, handed to a loop of gru_step, lead to the same weights."""
    figure = FiveDials("dot", window, "gumbel", "after", "context", seed=11)
    zero, state, fed = np.zeros(9), np.tanh(numbers["after_summary"]), np.zeros(3)
    step = [numbers[f"after_cell_{name}"] for name in ("previous", "context", "state")]
    for t, y in enumerate(numbers["previous"]):
        W = np.hstack(step[:2])
        state = reference.gru_step(np.concatenate([y, fed]), state, W, step[2], zero, zero)
        weights = np.array(figure.weights[t])
        near = np.flatnonzero(weights)
        scores = [reference.dot_score(state, numbers["keys"][s]) for s in near]
        if window != "predictive":  # whose Gaussian comes on top
            np.testing.assert_allclose(weights[near], reference.softmax(scores), **EXACT)
        noise = [tiny.gumbel(11, 4 * t + int(s)) for s in near]
        assert figure.chosen[t] == near[np.argmax(np.log(weights[near]) + noise)]
        fed = numbers["keys"][figure.chosen[t]]


def test_papers_sit_where_they_say():
    figure = FiveDials()
    assert figure.papers_here[0] == "Bahdanau, Cho and Bengio 2015"
    for paper in PAPERS:
        for setting in itertools.product(*paper["settings"].values()):
            for dial, value in zip(SETTINGS, setting, strict=True):
                setattr(figure, dial, value)
            assert paper["name"] in figure.papers_here
    assert FiveDials("cosine", "monotonic", "hard", "before", "none").papers_here == []
    head = FiveDials("scaled_dot", timing="after", feeding="none")
    assert head.papers_here == ["Vaswani et al. 2017, one head"]
    assert "no paper: yours" in FiveDials("dot").to_html()


@pytest.mark.parametrize("states", SETTINGS["timing"])
def test_one_network_for_both_timings_moves_the_rows_by_one(states):
    early, late = (
        FiveDials("dot", timing=timing, feeding="none", states=states)
        for timing in ("before", "after")
    )
    np.testing.assert_allclose(early.weights[1:], late.weights[:-1], rtol=0, atol=0)
    own = FiveDials("dot", timing=states, feeding="none")
    assert own.weights == (early if states == "before" else late).weights
    assert "states" not in own.example and late.example["states"] == states
    with pytest.raises(FigureError, match="unknown states 'late': one of own, "):
        FiveDials(states="late")


@pytest.mark.parametrize("dial", SETTINGS)
def test_dials_refuse_unknown_settings(dial):
    with pytest.raises(FigureError, match=f"unknown {dial} 'nowhere': one of {SETTINGS[dial][0]}"):
        FiveDials(**{dial: "nowhere"})


@pytest.mark.parametrize("wrong", [{"step": 4}, {"step": -1}, {"seed": -1}, {"seed": 10_000}])
def test_dials_refuse_steps_that_are_not_there(wrong):
    name = next(iter(wrong))
    with pytest.raises(FigureError, match=f"{name} must be from 0 to"):
        FiveDials(**wrong)


# --- alignment


def test_alignment_takes_translations():
    translation = SimpleNamespace(
        source_tokens=["▁a", "▁ski", "ing", "."],
        target_tokens=["▁du", "▁ski"],
        weights=np.array([[0.25, 0.25, 0.25, 0.25], [0, 0.5, 0.5, 0]], dtype=np.float32),
    )
    figure = AlignmentFigure([translation, PAIR])
    assert figure.sentences[0]["source"] == ["a", "ski", "·ing", "."]
    assert figure.numbers(0) == {"best": "a", "largest": 0.25, "entropy": 1.3863}
    assert figure.numbers(1) == {"best": "ski", "largest": 0.5, "entropy": 0.6931}
    assert figure.means() == {"share": 0.375, "entropy": 1.0397}
    figure.sentence = 1
    assert figure.numbers(2) == {"best": "red", "largest": 1.0, "entropy": 0.0}
    assert repr(figure) == "AlignmentFigure(2 sentences, English to French)"


def test_alignment_of_a_row_that_attends_to_nothing():
    figure = AlignmentFigure([(["a", "b"], ["c", "d"], [[0, 0], [0.5, 0.5]])])
    assert figure.numbers(0) == {"best": None, "largest": 0.0, "entropy": 0.0}
    assert figure.means()["share"] == 0.5


@pytest.mark.parametrize(
    "sentences, message",
    [
        ([], "at least one sentence"),
        ([42], r"sentences\[0\] must be a translation or a triple .* got int"),
        ([PAIR, (PAIR[0], PAIR[1][:2], PAIR[2])], r"sentences\[1\]: weights must have 2 entries"),
        ([(PAIR[0][:2], *PAIR[1:])], r"sentences\[0\]: weights\[0\] must have 2 entries, got 3"),
        ([(*PAIR[:2], np.zeros((3, 2)))], r"weights \(3, 2\) for 3 target and 3 source tokens"),
        ([(*PAIR[:2], np.full((3, 3), np.nan))], r"weights\[0\]\[0\] must be finite, got nan"),
        ([(*PAIR[:2], np.full((3, 3), 0.5))], r"row 0 .* sum to at most 1, .* sum 1.5"),
        ([(*PAIR[:2], [[1.5, -0.5, 0]] * 3)], "must be 0 or more .* got least -0.5"),
        ([([], [], np.zeros((0, 0)))], "has 0 source and 0 target tokens"),
    ],
)
def test_alignment_refuses(sentences, message):
    with pytest.raises(FigureError, match=message):
        AlignmentFigure(sentences)


def test_alignment_refuses_what_is_not_there():
    with pytest.raises(FigureError, match="sentence 1 of 1, from 0"):
        AlignmentFigure([PAIR], sentence=1)
    with pytest.raises(FigureError, match="word 3 of 3, from 0"):
        AlignmentFigure([PAIR], word=3)
    with pytest.raises(FigureError, match="languages must be two names"):
        AlignmentFigure([PAIR], languages=["English"])

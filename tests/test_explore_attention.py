"""Heads, positions and models as figures, Python's side: their numbers, and what they refuse."""

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attnlib import reference
from attnlib.explore import FigureError, HeadsFigure, ModelsFigure, PositionsFigure
from attnlib.explore.positions import made_up

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
STORED = {"rtol": 0, "atol": 0.0005 + 1e-12}  # weights are stored in thousandths
SOURCE = ["▁a", "▁red", "▁ski", "ing", "▁man", "</s>"]
TARGET = ["▁un", "▁homme", "▁rouge", "."]


def looks(source=SOURCE, target=TARGET, L=3, H=2, seed=0):
    """Weights by chance, as `Pretrained.attention_maps` gives them."""
    rng = np.random.default_rng(seed)
    S, T = len(source), len(target)

    def rows(Q, K, allowed=True):
        raised = np.exp(2 * rng.normal(size=(L, H, Q, K))) * allowed
        return raised / raised.sum(-1, keepdims=True)

    return SimpleNamespace(
        source_tokens=source,
        target_tokens=target,
        encoder=rows(S, S),
        decoder=rows(T, T, np.tri(T)),
        cross=rows(T, S),
    )


def translation(text="un homme rouge .", target=TARGET, source=SOURCE, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    weights = scale * rng.dirichlet(np.full(len(source), 0.3), len(target))
    return SimpleNamespace(text=text, source_tokens=source, target_tokens=target, weights=weights)


def two_models(seed=0):
    fixed = translation("un chien .", ["▁un", "▁chien", "."], seed=seed, scale=0.0)
    return {"fixed": fixed, "Bahdanau": translation(seed=seed)}


def state_of(figure) -> dict:
    page = figure.to_html()
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])


def entropy(row) -> float:
    row = row[row > 0] / row.sum()
    return float(-(row * np.log(row)).sum())


# --- heads


def test_every_head_and_the_mean():
    given = looks()
    figure = HeadsFigure([given])
    for kind, layer, head in itertools.product(
        ("encoder", "decoder", "cross"), range(3), (0, 1, None)
    ):
        figure.kind, figure.layer, figure.head = kind, layer, head
        heads = getattr(given, kind)[layer]
        want = heads.mean(0) if head is None else heads[head]
        np.testing.assert_allclose(figure.weights, want, **STORED)
        assert len(figure.query_words) == want.shape[0] and len(figure.key_words) == want.shape[1]
        stored = np.array(figure.weights)
        for t, row in enumerate(stored):
            numbers = figure.numbers(t)
            assert numbers["best"] == figure.key_words[row.argmax()]
            assert numbers["largest"] == pytest.approx(row.max(), abs=0.00005 + 1e-12)
            assert numbers["entropy"] == pytest.approx(entropy(row), abs=0.00005 + 1e-12)
        means = figure.means()
        assert means["share"] == pytest.approx(stored.max(1).mean(), abs=0.0002)
        assert means["entropy"] == pytest.approx(np.mean([*map(entropy, stored)]), abs=0.0002)
        shown = figure.table()
        assert shown[1] == ["", *figure.key_words]
        np.testing.assert_allclose([[*map(float, row[1:])] for row in shown[2]], stored, **STORED)


def test_rows_ask_and_columns_are_asked():
    """The decoder's keys are the words given: they lie one place behind what it predicts."""
    figure = HeadsFigure([looks()])
    source, target = ["a", "red", "ski", "·ing", "man", "</s>"], ["un", "homme", "rouge", "."]
    assert (figure.query_words, figure.key_words) == (source, source)
    figure.kind = "cross"
    assert (figure.query_words, figure.key_words) == (target, source)
    figure.kind = "decoder"
    assert (figure.query_words, figure.key_words) == (target, ["<s>", "un", "homme", "rouge"])


def test_a_sentence_of_twelve_words_is_small():
    words = [f"▁word{i}" for i in range(12)]
    given = looks([*words, "</s>"], words, L=4, H=4)
    for kind in ("encoder", "decoder", "cross"):
        weights = getattr(given, kind)
        setattr(given, kind, weights * 0.5 + 0.5 * (weights > 0) / (weights > 0).sum(-1)[..., None])
    page = HeadsFigure([given]).to_html()
    stored = json.dumps(state_of(HeadsFigure([given]))["sentences"][0]["encoder"])
    assert re.fullmatch(r"[\[\], \d]+", stored) and len(page) < 60_000


def test_heads_take_tensors_and_lists():
    given = looks()
    page = HeadsFigure([given]).to_html()
    for kind in ("encoder", "decoder", "cross"):
        setattr(given, kind, torch.tensor(getattr(given, kind)))
    assert HeadsFigure([given]).to_html() == page
    for kind in ("encoder", "decoder", "cross"):
        setattr(given, kind, getattr(given, kind).tolist())
    assert HeadsFigure(iter([given])).to_html() == page


def test_a_browser_may_choose():
    figure = HeadsFigure([looks(), looks(SOURCE[3:], TARGET[:2], seed=1)], word=5)
    figure.set_state({"sentence": 1, "kind": "cross", "layer": 2, "head": 1, "word": 1})
    assert figure.query_words == ["un", "homme"] and figure.key_words == ["·ing", "man", "</s>"]
    figure.set_state({"head": None, "word": 0})
    assert repr(figure) == (
        "HeadsFigure(2 sentences, English to French; cross, block 3 of 3, mean of 2 heads)"
    )
    figure.sentence, figure.kind, figure.word = 0, "encoder", 5
    figure.kind = "cross"  # which has fewer rows
    assert figure.numbers() == figure.numbers(3)
    with pytest.raises(Exception, match="read-only"):
        figure.sentences = []


def changed(**parts):
    """Looks with some of their parts replaced."""
    given = looks()
    for name, value in parts.items():
        setattr(given, name, value)
    return given


def without(name):
    given = looks()
    delattr(given, name)
    return given


def ragged():
    return [list(layer)[: 2 - i % 2] for i, layer in enumerate(looks().cross)]


@pytest.mark.parametrize(
    "sentences, message",
    [
        ([], "at least one sentence"),
        ([42], r"sentences\[0\], int, has no source_tokens: see Pretrained.attention_maps"),
        ([without("cross")], r"sentences\[0\], SimpleNamespace, has no cross"),
        ([changed(target_tokens=[])], "has 6 source and 0 target tokens"),
        ([looks(), changed(source_tokens=SOURCE[:5])], r"sentences\[1\]: encoder\[0\]\[0\] must "),
        (
            [changed(cross=looks().cross[:, :, :3])],
            r"cross\[0\]\[0\] must have 4 entries, got 3",
        ),
        ([changed(encoder=looks().encoder[0])], r"encoder\[0\]\[0\]\[0\] must be a list, got 0\."),
        ([changed(encoder=[])], "encoder must have at least one entry"),
        (
            [changed(decoder=looks(L=2).decoder)],
            "decoder has 2 x 2 heads, the encoder 3 x 2",
        ),
        ([looks(), looks(H=1)], r"sentences\[1\] has 3 x 1 heads, sentences\[0\] 3 x 2: all must"),
        ([changed(cross=ragged())], r"cross\[1\] has 1 heads, sentences\[0\]: cross\[0\] 2"),
        (
            [changed(encoder=2 * looks().encoder)],
            r"encoder\[0\]\[0\]: row 0 must .* sum to at most 1, .* sum 2",
        ),
        ([changed(cross=-looks().cross)], r"cross\[0\]\[0\]: row 0 must be 0 or more"),
        ([changed(cross=looks().cross * np.nan)], "must be finite, got nan"),
        (
            [changed(decoder=looks().decoder.swapaxes(2, 3) / 9)],
            r"decoder\[0\]\[0\] looks ahead: no weight above the diagonal",
        ),
    ],
)
def test_heads_refuse_what_does_not_fit(sentences, message):
    with pytest.raises(FigureError, match=message):
        HeadsFigure(sentences)
    with pytest.raises(ValueError):
        HeadsFigure(sentences)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"sentence": 1}, "sentence 1 of 1, from 0"),
        ({"sentence": -1}, "sentence -1 of 1"),
        ({"kind": "self"}, "unknown kind 'self': one of encoder, decoder, cross"),
        ({"layer": 3}, "layer 3 of 3, from 0"),
        ({"layer": -1}, "layer -1 of 3"),
        ({"head": 2}, "head 2 of 2, from 0; None for their mean"),
        ({"head": -1}, "head -1 of 2"),
        ({"word": 6}, "word 6 of 6, from 0"),
        ({"word": 4, "kind": "cross"}, "word 4 of 4"),
        ({"word": 0, "kind": "x"}, "unknown kind 'x'"),
        ({"word": -1}, "word -1 of 6"),
        ({"languages": ["English"]}, "languages must be two names"),
    ],
)
def test_heads_refuse_what_is_not_there(wrong, message):
    with pytest.raises(FigureError, match=message):
        HeadsFigure([looks()], **wrong)
    if len(wrong) == 1:
        figure, ((name, value),) = HeadsFigure([looks()]), wrong.items()
        before = getattr(figure, name)
        with pytest.raises(FigureError, match=message):
            setattr(figure, name, value)
        assert getattr(figure, name) == before


# --- positions


def hands(which, width):
    """The made-up query or key as complex numbers (D/2,)."""
    x, y = np.reshape(made_up(which, width), (-1, 2)).T
    return x + 1j * y


def test_vectors_match_the_loops():
    figure = PositionsFigure(width=8)
    for position in (0, 1, 20, 63, 1020):
        want = reference.sinusoid(position, 8)
        np.testing.assert_allclose(figure.vector("query", position), want, **EXACT)
        np.testing.assert_allclose(figure.vector("key", position), want, **EXACT)
    figure.kind = "rotary"
    for which, position in itertools.product(("query", "key"), (0, 1, 20, 1020)):
        want = reference.rotate(made_up(which, 8), position)
        np.testing.assert_allclose(figure.vector(which, position), want, **EXACT)


@pytest.mark.parametrize("kind", ["sinusoidal", "rotary"])
@pytest.mark.parametrize("width, base", [(2, 10000.0), (16, 10000.0), (64, 20.0), (16, 1.0)])
def test_the_score_is_a_sum_of_cosines(kind, width, base):
    figure = PositionsFigure(kind, width, base, longest=40, query=7, key=31)
    theta = base ** (-2 * np.arange(width // 2) / width)
    between = np.zeros(width // 2)  # the angle from query to key before any turn
    if kind == "rotary":
        between = np.angle(hands("key", width)) - np.angle(hands("query", width))
    want = [np.cos((key - 7) * theta + between).sum() for key in range(40)]
    np.testing.assert_allclose(figure.curve, want, rtol=0, atol=1e-10)
    assert figure.score() == pytest.approx(want[31], abs=1e-10)
    pairs = [(query, key) for query, key, _ in figure.shifted]
    assert pairs == [(0, 24), (15, 39), (1007, 1031)]
    assert [each for *_, each in figure.shifted] == pytest.approx([want[31]] * 3, abs=1e-9)
    assert figure.wavelengths == pytest.approx(2 * np.pi / theta)


def test_two_positions_by_hand():
    """D = 2: one hand, of angle t; 1 and 3 are two apart, cos 2 = -0.4161."""
    figure = PositionsFigure(width=2, query=1, key=3, longest=4)
    assert figure.vector("query", 1) == pytest.approx([0.841471, 0.540302], abs=1e-6)
    assert figure.score() == pytest.approx(-0.416147, abs=1e-6)
    assert figure.wavelengths == pytest.approx([2 * np.pi])
    caption, columns, rows = figure.table()
    assert rows == [["0", "6.3", "0.841, 0.540", "0.141, -0.990", "-0.416"]]
    assert caption.endswith("D = 2, base 10000: positions 1 and 3, dot product -0.416")
    assert columns == ["hand", "wavelength", "at 1", "at 3", "product"]


def test_the_made_up_query_and_key_are_near_but_not_the_same():
    q, k = (np.reshape(made_up(which, 64), (-1, 2)) for which in ("query", "key"))
    np.testing.assert_allclose(np.hypot(*q.T), 1, **EXACT)
    cosines = (q * k).sum(1)
    assert cosines.min() > np.cos(1) and 0.7 < cosines.mean() < 0.95
    assert made_up("key", 8) == made_up("key", 64)[:8]
    curve = PositionsFigure("rotary", query=20).curve
    assert curve[17] != pytest.approx(curve[23], abs=0.05)  # before and after are not alike
    curve = PositionsFigure(query=20).curve
    assert curve[17] == pytest.approx(curve[23], abs=1e-12)  # for sinusoids they are


def test_positions_survive_the_page():
    figure = PositionsFigure("rotary", np.int64(8), 50, longest=10, query=0, key=9)
    assert PositionsFigure(**state_of(figure)).to_html() == figure.to_html()
    figure.set_state({"kind": "sinusoidal", "width": 4, "base": 1000, "query": 3, "key": 2})
    assert repr(figure).startswith(
        "PositionsFigure(sinusoidal, D = 4, base 1000: positions 3 and 2, dot product 1."
    )
    assert np.shape(figure.rows) == (10, 4)
    with pytest.raises(Exception, match="read-only"):
        figure.longest = 20


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"kind": "learned"}, "unknown kind 'learned': one of sinusoidal, rotary"),
        ({"width": 15}, "width must be an even number from 2 to 64, got 15"),
        ({"width": 0}, "width must be an even number from 2 to 64, got 0"),
        ({"width": 66}, "width must be an even number from 2 to 64, got 66"),
        ({"width": 4.5}, "width must be a whole number, got 4.5"),
        ({"base": 0.5}, "base must be from 1 to 1e\\+06, got 0.5"),
        ({"base": 2e6}, r"base must be from 1 to 1e\+06, got 2e\+06"),
        ({"base": "big"}, "base must be a number, got 'big'"),
        ({"base": float("inf")}, "base must be finite, got inf"),
        ({"query": 64}, "query must be from 0 to 63, got 64"),
        ({"key": -1}, "key must be from 0 to 63, got -1"),
        ({"key": 1.5}, "key must be a whole number, got 1.5"),
        ({"longest": 20, "key": 3}, "query must be from 0 to 19, got 20"),
        ({"longest": 20, "query": 3}, "key must be from 0 to 19, got 26"),
        ({"longest": 1}, "longest must be from 2 to 256 positions, got 1"),
        ({"longest": 257}, "longest must be from 2 to 256 positions, got 257"),
        ({"longest": None}, "longest must be a whole number, got None"),
    ],
)
def test_positions_refuse(wrong, message):
    with pytest.raises(FigureError, match=message):
        PositionsFigure(**wrong)
    with pytest.raises(ValueError):
        PositionsFigure(**wrong)


def test_positions_refuse_later_too():
    figure = PositionsFigure()
    for name, value in (("width", 7), ("base", 0.0), ("kind", "none"), ("key", 64)):
        before = getattr(figure, name)
        with pytest.raises(FigureError, match=name):
            setattr(figure, name, value)
        assert getattr(figure, name) == before


# --- models


def test_models_side_by_side():
    given = two_models()
    figure = ModelsFigure("a red skiing man", given)
    assert figure.model == "fixed" and not figure.attends
    assert figure.numbers(0) == {"best": None, "largest": 0.0, "entropy": 0.0}
    assert figure.means() == {"share": 0.0, "entropy": 0.0}
    figure.model = "Bahdanau"
    assert figure.attends
    weights = given["Bahdanau"].weights
    for t, row in enumerate(weights):
        numbers = figure.numbers(t)
        assert numbers["best"] == ["a", "red", "ski", "·ing", "man", "</s>"][row.argmax()]
        assert numbers["largest"] == pytest.approx(row.max(), abs=0.00006)
        assert numbers["entropy"] == pytest.approx(entropy(row), abs=0.001)
    assert figure.means()["share"] == pytest.approx(weights.max(1).mean(), abs=0.0002)
    caption, columns, rows = figure.table()
    assert caption == "“a red skiing man”, translated" and len(columns) == 4
    assert rows[0] == ["fixed", "un chien .", "no attention", "no attention"]
    assert rows[1][:3] == ["Bahdanau", "un homme rouge .", f"{weights.max(1).mean():.3f}"]


def test_models_of_several_sentences():
    pairs = [("a", two_models(0)), ("b", two_models(1))]
    figure = ModelsFigure(pairs, languages=("A", "B"), sentence=1, model="Bahdanau", word=3)
    assert (
        repr(figure) == "ModelsFigure(2 sentences, 2 models, A to B: Bahdanau, 'un homme rouge .')"
    )
    assert (
        figure.numbers()["best"]
        == figure.sentences[1]["models"][1]["source"][pairs[1][1]["Bahdanau"].weights[3].argmax()]
    )
    figure.set_state({"sentence": 0, "model": "fixed", "word": 2})
    assert figure.table()[0] == "“a”, translated"
    figure.model, figure.word = "Bahdanau", 3
    figure.model = "fixed"  # which wrote fewer words
    assert figure.numbers() == figure.numbers(2)
    with pytest.raises(Exception, match="read-only"):
        figure.sentences = []


def test_what_models_say_is_escaped():
    bad = "</script><img src=x>"
    one = translation(bad, [bad], source=["a", bad])
    page = ModelsFigure(bad, {bad: one}).to_html()
    assert page.count("</script>") == 1 and "<img" not in page and "&lt;img" in page


def bare(**parts):
    return SimpleNamespace(**vars(translation()) | parts)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("a", {}), r"sentences\[0\]: translations must be a dictionary .* got {}"),
        (("a",), "translations must be a dictionary .* got None"),
        (([],), "at least one sentence"),
        (([("a", two_models())], two_models()), "comes alone: pass no translations"),
        ((["a"],), r"sentences\[0\] must be \(source, translations\), got 'a'"),
        (([(1, two_models())],), r"sentences\[0\]: the source must be a string, got 1"),
        (("a", {"m": "un"}), r"sentences\[0\], m must be a translation, got str"),
        (
            ("a", {"m": bare(weights=np.zeros((2, 6)))}),
            r"m: weights \(2, 6\) for 4 target and 6 source tokens",
        ),
        (
            ("a", {"m": bare(weights=np.ones((4, 6)))}),
            r"m: weights: row 0 must be 0 or more and sum to at most 1",
        ),
        (
            ("a", {"m": bare(target_tokens=[], weights=np.zeros((0, 6)))}),
            "m has 6 source and 0 target tokens",
        ),
        (
            ([("a", two_models()), ("b", {"fixed": translation()})],),
            r"sentences\[1\] has translations by fixed, sentences\[0\] by fixed, Bahdanau: all",
        ),
    ],
)
def test_models_refuse_what_does_not_fit(arguments, message):
    with pytest.raises(FigureError, match=message):
        ModelsFigure(*arguments)
    with pytest.raises(ValueError):
        ModelsFigure(*arguments)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"sentence": 1}, "sentence 1 of 1, from 0"),
        ({"sentence": -1}, "sentence -1 of 1"),
        ({"model": "Luong"}, "unknown model 'Luong': one of fixed, Bahdanau"),
        ({"word": 3}, "word 3 of 3, from 0"),
        ({"word": -1}, "word -1 of 3"),
        ({"model": "x", "word": 1}, "unknown model 'x'"),
        ({"languages": "English"}, "languages must be two names"),
    ],
)
def test_models_refuse_what_is_not_there(wrong, message):
    with pytest.raises(FigureError, match=message):
        ModelsFigure("a", two_models(), **wrong)

"""What the scripts of chapter 11 count, in small: held against the definitions."""

import math
import random

import parsing
import pytest
import speech
import torch

from attnlib.beyond import parsing as parsers
from attnlib.data import spoken
from attnlib.data.treebank import Tree
from attnlib.windows import Following

DOG = Tree("", ("the", "dog", "barked", "."), (1, 2, -1, 2), ("det", "nsubj", "root", "punct"))
SHORT = Tree("", ("the", "dog"), (1, -1), ("det", "root"))


def on(tree, name):
    """Weights that are all on one of the places of `parsers.places`, </s> last."""
    w = torch.zeros(3 * len(tree.words), len(tree.words) + 1)
    for row, word in zip(w, parsers.places(tree)[name], strict=True):
        row[word] = 1.0
    return w


@pytest.mark.parametrize("name", ["next", "last", "own", "head"])
def test_looks_are_counted_where_they_are(name):
    found = parsing.looks([DOG, SHORT], [on(DOG, name), on(SHORT, name)])
    for kind in parsing.KINDS.values():
        assert found[kind]["tokens"] == 6
        assert found[kind][name] == found[kind]["share on"][name] == 1.0
    # (nsubj: next the, own dog, head barked; (det x: next the, own the. Only one token is apart
    # among opening brackets; at the last ) of nsubj next is barked, the head.
    assert found["opening, apart"]["tokens"] == 1
    others = {"next": 1.0, "own": 0.0, "head": 0.0} if name in ("next", "last") else {name: 1.0}
    for other, share in others.items():
        assert found["opening, apart"][other] == share
    assert "x, apart" not in found


def test_attention_on_the_next_word_moves_right_after_each_x_alone():
    moved = parsing.looks([DOG], [on(DOG, "next")])["moved on"]
    assert moved["after x"] == {"right": 3 / 4, "stays": 1 / 4}  # none comes after the full stop
    assert moved["after others"] == {"stays": 1.0}
    back = parsing.looks([DOG], [on(DOG, "own")])["moved on"]["after others"]["back"]
    assert back == 3 / 7  # (nsubj, (det, and the last ), which is the verb's


def test_swapped_weights_are_those_of_another_tree_with_as_many_words():
    rng = random.Random(0)
    trees = [DOG, SHORT, DOG, SHORT, DOG, Tree("", ("a",) * 3, (-1, 0, 0), ("root", "x", "x"))]
    weights = [
        torch.full((3 * len(t.words), len(t.words) + 1), float(i)) for i, t in enumerate(trees)
    ]
    for _ in range(5):
        found = parsing.swapped(trees, weights, rng.randrange(100))
        names = [int(w[0, 0]) for w in found]
        assert sorted(names) == list(range(6)) and names[5] == 5
        for i, name in enumerate(names[:5]):
            assert name != i and len(trees[name].words) == len(trees[i].words)


def test_punctuation_is_left_out():
    right = parsers.brackets(DOG)
    wrong = "(root (nsubj (det x ) x (punct x ) ) x )"
    assert parsing.without_punctuation([DOG, DOG], [right, ["x"]]) == 0.5
    assert parsing.without_punctuation([SHORT], [parsers.brackets(SHORT)]) == 1.0
    assert parsing.without_punctuation([DOG], [wrong.split()]) == 1 / 3  # the det


def test_rounding_leaves_none_where_there_is_no_number():
    assert parsing.rounded({"a": [1.23456], "b": math.nan, "c": 1.23456}) == {
        "a": [1.23456],
        "b": None,
        "c": 1.2346,
    }


# Speech ---------------------------------------------------------------------------------------


@pytest.fixture
def strings(monkeypatch):
    """Strings of noise, two digits long, in the place of recordings."""
    rng = random.Random(0)
    noise = torch.randn(4800, generator=torch.Generator().manual_seed(0)).numpy()
    found = [
        spoken.join(rng, [spoken.Clip(digit, "george", 5, noise[: 4000 + 400 * digit])] * n)
        for digit in (0, 2)
        for n in (6, 6)
    ]
    sounds = spoken.collate(found)
    monkeypatch.setattr(speech, "sounds", lambda *_: sounds)
    return sounds


def test_baselines_are_even_weights_and_equal_slices(strings):
    found = {name: speech.of_baseline(name, 1)["known"]["6"] for name in ("uniform", "slices")}
    share = 0.0
    for b, S in enumerate(strings.lengths.tolist()):
        share += float(strings.inside[b, :, :S].double().mean()) / 4
    assert found["uniform"] == pytest.approx({"inside": share}, abs=1e-6)
    assert found["slices"]["inside"] > 0.5 and found["slices"]["missed"] == 0.0


def test_a_dial_is_turned_on_a_copy(strings):
    model = speech.speech.listener("location-aware", 1, hidden=8).eval()
    before = model(strings.heard, strings.lengths, strings.target_in)[1]

    def weights(how):
        turned = speech.turned(model, how)
        assert turned is not model
        return turned(strings.heard, strings.lengths, strings.target_in)[1]

    blind = weights("no previous")
    torch.testing.assert_close(blind[:, 0], before[:, 0])  # the first step has none before it
    assert not torch.allclose(blind[:, 1:], before[:, 1:], atol=1e-6)
    narrow = weights("window")
    assert (narrow[:, 1:] > 0).sum(-1).max() <= 2 * speech.WINDOW + 1
    sharper = weights("sharper")
    assert (sharper[:, 0].amax(-1) > before[:, 0].amax(-1)).all()
    assert torch.equal(model(strings.heard, strings.lengths, strings.target_in)[1], before)
    assert isinstance(speech.turned(model, "window").decoder.attention.window, Following)

"""Brackets say a tree and nothing else; the parsers are translators that learn to write them."""

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib.beyond import parsing
from attnlib.data import treebank
from attnlib.data.treebank import Tree
from attnlib.seq2seq import Translator
from attnlib.transformer import Transformer

DOG = Tree(  # worked on paper
    "",
    ("the", "dog", "barked", "."),
    (1, 2, -1, 2),
    ("det", "nsubj", "root", "punct"),
)
WRITTEN = "(root (nsubj (det x ) x ) x (punct x ) )"


def grown(rng, N):
    """A random projective tree of N words: a child somewhere in each stretch, then its sides."""
    heads = [-1] * N

    def grow(first, end, head):
        while first < end:
            stop = rng.randint(first + 1, end)  # one child takes the words up to here
            child = rng.randrange(first, stop)
            heads[child] = head
            grow(first, child, child)
            grow(child + 1, stop, child)
            first = stop

    root = rng.randrange(N)
    grow(0, root, root)
    grow(root + 1, N, root)
    names = tuple("root" if head < 0 else rng.choice(("nsubj", "det")) for head in heads)
    return Tree("", tuple(f"w{i}" for i in range(N)), tuple(heads), names)


TREES = st.builds(
    lambda seed, N: grown(random.Random(seed), N), st.integers(0, 999), st.integers(1, 9)
)


# Brackets -------------------------------------------------------------------------------------


def test_brackets_on_paper():
    assert " ".join(parsing.brackets(DOG)) == WRITTEN
    assert parsing.read(WRITTEN.split()) == ((1, 2, -1, 2), ("det", "nsubj", "root", "punct"))
    assert parsing.owners(DOG) == [2, 1, 0, 0, 0, 1, 1, 2, 3, 3, 3, 2]
    places = parsing.places(DOG)
    assert places["own"] == parsing.owners(DOG)
    assert places["next"] == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    assert places["last"] == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert places["head"] == [2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2]


@given(TREES)
def test_brackets_say_all_of_a_projective_tree(tree):
    assert tree.is_projective
    tokens = parsing.brackets(tree)
    assert len(tokens) == 3 * len(tree.words)
    assert parsing.read(tokens) == (tree.heads, tree.relations)


@given(TREES, st.integers(0, 99), st.sampled_from(["drop", "double", "swap"]))
def test_brackets_that_were_tampered_with_say_another_tree_or_none(tree, seed, how):
    """Read by a second rule: strip brackets whose inside is flat until nothing is left."""
    tokens, rng = parsing.brackets(tree), random.Random(seed)
    at = rng.randrange(len(tokens))
    if how == "drop":
        del tokens[at]
    elif how == "double":
        tokens.insert(at, tokens[at])
    elif at:
        tokens[at - 1], tokens[at] = tokens[at], tokens[at - 1]
    left = ["(" if token.startswith("(") else token for token in tokens]
    while True:
        flat = next(
            (
                (i, j)
                for i in range(len(left))
                if left[i] == "("
                for j in range(i + 1, len(left))
                if left[j] == ")" and "(" not in left[i + 1 : j] and ")" not in left[i + 1 : j]
            ),
            None,
        )
        if flat is None or left[flat[0] + 1 : flat[1]].count("x") != 1:
            break
        left[flat[0] : flat[1] + 1] = ["done"]
    assert (parsing.read(tokens) is not None) == (left == ["done"])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "(root",
        "(root )",
        "(root x",
        "(root x ) )",
        "(root x ) (root x )",
        "(root x x )",
        "(root x ) x",
        "(root (det ) x )",
        "(root <unk> x )",
        ") x (root",
    ],
)
def test_malformed_brackets_are_none(wrong):
    assert parsing.read(wrong.split()) is None


def test_brackets_cannot_say_arcs_that_cross():
    crossing = Tree("", ("a", "b", "c", "d"), (2, 3, 3, -1), ("x",) * 4)
    with pytest.raises(ValueError, match="arcs cross in 'a b c d'"):
        parsing.brackets(crossing)


def test_sentences_are_short_and_projective(monkeypatch):
    crossing = Tree("", ("a", "b", "c", "d"), (2, 3, 3, -1), ("x",) * 4)
    long, short = grown(random.Random(0), 13), grown(random.Random(0), 1)
    monkeypatch.setattr(treebank, "trees", lambda split: (long, DOG, crossing, short))
    assert parsing.sentences("dev") == [DOG]
    assert parsing.sentences("dev", longest=13) == [long, DOG]


# Words ----------------------------------------------------------------------------------------


def test_a_rare_word_is_read_by_its_ending():
    said = "Running The the the dog running 12 34 5 seeing ? jogging"
    trees = [Tree("", tuple(said.split()), (-1, *[0] * 11), ("root", *["dep"] * 11))]
    known = parsing.vocabulary(trees)
    assert known.words[4:] == ("word the", "word -0", "word -ng", "(dep", "(root", "x", ")")
    read = [known.words[i] for i in parsing.ids(("THE", "sing", "1999", "cat", "!"), known)]
    assert read == ["word the", "word -ng", "word -0", "<unk>", "<unk>"]


# Models ---------------------------------------------------------------------------------------


def test_the_three_parsers_have_one_size():
    models = {kind: parsing.parser(kind, 1800, seed=1) for kind in parsing.MODELS}
    sizes = [sum(p.numel() for p in model.parameters()) for model in models.values()]
    assert max(sizes) / min(sizes) < 1.03
    assert isinstance(models["transformer"], Transformer)
    assert models["fixed"].decoder.attention is None
    assert isinstance(models["bahdanau"], Translator) and models["bahdanau"].decoder.attention
    with pytest.raises(ValueError, match="unknown model 'lstm': one of fixed, bahdanau, transf"):
        parsing.parser("lstm", 1800, seed=1)


SHORT = Tree("", ("the", "dog"), (1, -1), ("det", "root"))
MIDDLE = Tree("", ("dog", "barked"), (1, -1), ("nsubj", "root"))


def learned(kind, updates):
    """The dog's sentence and its parts: a noun belongs to the verb if there is one."""
    trees = [DOG, SHORT, MIDDLE]
    known = parsing.vocabulary(trees * parsing.RARE)
    model = parsing.parser(kind, len(known), seed=1)
    return parsing.fit(model, trees, known, updates, seed=2, lr=0.005, batch=6), trees, known


@pytest.mark.parametrize("kind", parsing.MODELS)
def test_training_is_the_same_again_and_weights_come_a_tree(kind):
    model, trees, known = learned(kind, 2)
    for one, other in zip(model.parameters(), learned(kind, 2)[0].parameters(), strict=True):
        assert torch.equal(one, other)
    weights = parsing.attend(model, trees, known)
    assert [tuple(w.shape) for w in weights] == [(12, 5), (6, 3), (6, 3)]
    for w in weights:
        torch.testing.assert_close(w.sum(-1), torch.full((len(w),), float(kind != "fixed")))
    alone = parsing.attend(model, trees[1:2], known)[0]
    torch.testing.assert_close(weights[1], alone, rtol=0, atol=1e-6)


def test_a_parser_learns_a_small_language():
    model, trees, known = learned("bahdanau", 120)
    written = parsing.parse(model, [tree.words for tree in trees], known)
    assert parsing.scores(trees, written)["las"] == 1.0
    fresh = parsing.parser("bahdanau", len(known), seed=1).eval()
    said = parsing.parse(fresh, [tree.words for tree in trees], known)
    assert parsing.scores(trees, said)["uas"] == 0.0
    assert max(map(len, said)) <= 4 * 4 + 8


# Measures -------------------------------------------------------------------------------------


def test_scores_by_hand():
    """Right; one head and one name wrong; a word too few; malformed: 16 words, of which 4 + 3."""
    wrong = "(root (nsubj (amod x ) x ) x ) "  # three words
    moved = "(root (det x ) (nsubj x ) x (obj x ) )"  # "the" on the verb; "." misnamed
    written = [text.split() for text in (WRITTEN, moved, wrong, "(root x")]
    assert parsing.scores([DOG] * 4, written) == {
        "well-formed": 0.75,
        "fits": 0.5,
        "uas": 7 / 16,
        "las": 6 / 16,
        "uas where it fits": 7 / 8,
        "exact": 0.25,
    }
    nothing = parsing.scores([DOG], [["x"]])
    assert nothing["uas"] == 0.0 and math.isnan(nothing["uas where it fits"])

"""book/results/historic.py in small: ranks, losses and baselines, held against loops."""

import historic as script
import numpy as np
import pytest
import torch

from attnlib.data.historic import LEFT_OUT, CaptionedPhotograph
from attnlib.data.tokenizer import BOS, EOS, SPECIALS, UNK
from attnlib.vision import ImageEncoder, Tiled

TITLES = ["A red barn", "A red ship", "A barn in Utah", "Red barn and ship", "Red barn, ship, Jack"]
TOLD = [CaptionedPhotograph(str(i), title) for i, title in enumerate([*TITLES, *TITLES[:2]])]


@pytest.fixture(scope="module")
def words():
    return script.Words(TOLD)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Tiled(ImageEncoder(annotation_dim=6, size=32), tiles=1)


def test_a_word_is_known_by_captions_that_differ_and_not_by_photographs(words):
    assert words.words == [*SPECIALS, "barn", "red"]  # in 4; ship in 3, though of 4 photographs
    assert words.ids(TOLD[2]) == [UNK, words.id["barn"], UNK, UNK]
    many = [CaptionedPhotograph("", f"{'jack' if i % 2 else 'jack barn'} {i}") for i in range(9)]
    assert "jack" in LEFT_OUT and script.Words(many).words == [*SPECIALS, "barn"]


@pytest.mark.parametrize("kind", ["attention", "mean"])
def test_what_is_said_is_the_sum_over_known_words_and_the_end(kind, words, encoder):
    torch.manual_seed(1)
    model = script.captioner(words, kind, encoder).eval()
    features = torch.randn(2, 16, 6)
    ids = [[4, UNK, 5], [5]]
    found = script.spoken(model, features, ids).sum(1)
    for b, row in enumerate(ids):
        memory = model.encode(features[b : b + 1], torch.tensor([16]))
        state, last, want = model.start(memory), BOS, 0.0
        for word in (*row, EOS):
            logits, _, state = model.step(torch.tensor([last]), state, memory)
            want += 0 if word == UNK else logits.log_softmax(-1)[0, word].item()
            last = word
        assert float(found[b]) == pytest.approx(want, abs=1e-5)
    assert script.tokens(ids) == 5
    chosen = np.array([[0, 1], [1, 0]])
    logs = script.said_of(model, features[:, None].numpy(), ids, chosen)
    np.testing.assert_allclose(logs[:, 0], found.detach(), atol=1e-5)
    own = [
        script.loss_on(model, (features[i : i + 1, None].numpy(), ids[i : i + 1])) for i in (0, 1)
    ]
    assert own[0] * 3 + own[1] * 2 == pytest.approx(-float(found.sum()), abs=1e-5)


def test_a_rank_counts_what_is_better_and_half_of_what_is_equal():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (30, 7)).astype(float)
    for row, rank in zip(scores, script.ranks(scores), strict=True):
        own, *others = row
        assert rank == 1 + sum((x > own) + (x == own) / 2 for x in others)
    found = script.retrieval([1.0, 2.0, 30.0])
    assert (found["median rank"], found["first"]["mean"]) == (2.0, 0.3333)
    assert found["in ten"]["mean"] == 0.6667


def test_a_caption_is_never_among_its_own_rivals(monkeypatch):
    monkeypatch.setattr(script, "AMONG", 5)
    texts = [("a",), ("b",), ("a",), ("c",), ("d",), ("e",), ("f",)]
    for i, (own, *others) in enumerate(script.choices(texts)):
        assert own == i and len(set(others)) == 4 and all(texts[j] != texts[i] for j in others)


def test_baselines_find_what_only_the_photograph_tells(words):
    """Two looks, each with its own word: the nearest and the linear layer know which is which."""
    rng = np.random.default_rng(0)
    look, barn, red = rng.standard_normal((2, 1, 8)), words.id["barn"], words.id["red"]
    data = {}
    for name in ("train", "val", "test"):
        which = np.arange(40) % 2
        features = look[which][:, None] + 0.1 * rng.standard_normal((40, 1, 3, 8))
        data[name] = (features, [[(barn, red)[i]] for i in which])
    alike = script.nearest(data)
    assert all(i % 2 == j % 2 for i, j in enumerate(alike))
    scores, about = script.linear(data, words)
    assert about["ridge"] in script.RIDGES
    for i, row in enumerate(scores):
        assert row[i % 2 :: 2].min() > row[1 - i % 2 :: 2].max()


def test_views_are_of_one_size_and_the_first_is_the_whole_square(monkeypatch):
    from PIL import Image

    image = Image.fromarray(np.linspace(0, 255, 120 * 90 * 3).reshape(90, 120, 3).astype(np.uint8))
    monkeypatch.setattr(CaptionedPhotograph, "image", lambda _: image)
    found = script.views(TOLD[0], 3)
    assert found.shape == (3, script.SIZE, script.SIZE, 3) and found.dtype == np.uint8
    middle = np.asarray(image.crop((15, 0, 105, 90)).resize((script.SIZE,) * 2, 3))
    assert np.abs(found[0].astype(int) - middle).max() <= 2
    assert (found == script.views(TOLD[0], 3)).all() and (found[1] != found[2]).any()

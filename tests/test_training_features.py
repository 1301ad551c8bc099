"""attnlib.training.features: what is kept is what the encoder sees of the mosaics."""

import numpy as np
import pytest
import torch

from attnlib.attention import Attention
from attnlib.captioning import Captioner
from attnlib.data import images, mosaics
from attnlib.pretrained import Pretrained
from attnlib.scores import AdditiveScore
from attnlib.training import QUEUE, Run, features
from attnlib.training.features import SeenMosaics
from attnlib.vision import ImageEncoder, Tiled

TILE = 96


@pytest.fixture
def seen(monkeypatch, tmp_path):
    """Noise for photographs, a small network for the encoder, and a cache of its own."""
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "VIEWS", 2)

    def read(number, kept):
        return np.random.default_rng(number).integers(0, 256, (kept, kept, 3), dtype=np.uint8)

    monkeypatch.setattr(mosaics, "_read", read)
    torch.manual_seed(0)
    encoder = Tiled(ImageEncoder(annotation_dim=6, size=TILE, cell=16, positions=False), pool=3)

    def of(split, seed=0):
        return SeenMosaics(mosaics.Mosaics(split, seed, tile=TILE), encoder)

    return of


def test_val_shows_what_the_encoder_sees_of_the_drawn_mosaics(seen):
    val = seen("val")
    for i in range(10):
        drawn = val.mosaics.sample(i)
        pixels = images.as_floats(drawn.image)[None]
        kept = val.sample(i)
        assert (kept.things, kept.captions) == (drawn.things, drawn.captions)
        wanted = val.encoder.features(pixels)[0]
        np.testing.assert_allclose(kept.image, wanted, rtol=0, atol=2e-3)  # float16


def test_train_shows_some_view_of_each_photograph_in_its_tile(seen):
    train = seen("train", seed=3)
    shown = set()
    for i in range(40):
        kept = train.sample(i)
        cells = kept.image.reshape(4, 4, 6)
        for thing in kept.things:
            row, column = (int(x // TILE) * 2 for x in (thing.y, thing.x))
            views = train.photographs[thing.image]  # train stands first
            (view,) = np.flatnonzero(
                [(cells[row : row + 2, column : column + 2] == each).all() for each in views]
            )
            shown.add(view)
    assert shown == {0, 1}
    assert (train.photographs[:, 0] != train.photographs[:, 1]).any((1, 2, 3)).all()


def test_what_was_seen_is_kept(seen, monkeypatch):
    first = seen("val").sample(5).image
    monkeypatch.setattr(mosaics, "view", None)  # nothing is looked at again
    assert np.array_equal(seen("val").sample(5).image, first)


def test_batches_hold_features_and_train_a_captioner(seen, tmp_path, monkeypatch):
    config = QUEUE["photographs-soft-first"].replace(
        updates=3, images=4, warmup=1, validate_every=2
    )
    encoder = seen("val").encoder
    monkeypatch.setattr("attnlib.settings.make_tiled", lambda *_: encoder)
    monkeypatch.setattr(mosaics, "LARGE", TILE)
    run = Run(config, tmp_path / "run", quiet=True)
    batch = next(run.data.epoch(config, 0))
    assert batch.source.shape == (4, 16, 6) and batch.source.dtype == torch.float32
    before = run.model.encoder.P.clone()
    run.run(checkpoint_seconds=1e9)
    assert run.progress.update == 3 and not torch.equal(run.model.encoder.P, before)


def test_a_caption_of_kept_features_is_that_of_the_pictures(seen):
    """Of a captioner that is not trained, whose every number counts."""
    encoder = seen("val").encoder
    torch.manual_seed(1)
    attention = Attention(AdditiveScore(8, 6, 8))
    model = Captioner(9, 4, encoder=encoder, attention=attention, hidden=8).eval()
    tokenizer = images.tokenizer(["a b c d e"])
    loaded = Pretrained("tiles", model, tokenizer, {"pictures": "photographs", "languages": ["en"]})
    drawn = [mosaics.Mosaics("val", tile=TILE).sample(i).image for i in range(3)]
    kept = loaded.features(drawn)
    assert kept.shape == (3, 16, 6)
    for one, other in zip(loaded.caption(drawn, 2), loaded.caption(kept, 2), strict=True):
        assert one.text == other.text and one.score == pytest.approx(other.score, abs=1e-5)
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)
    looks = [loaded.force_decode(each, ["a b"] * 3) for each in (drawn, kept)]
    for one, other in zip(*looks, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)
    with pytest.raises(TypeError, match="put it in a list"):
        loaded.caption(torch.rand(3, 192, 192))

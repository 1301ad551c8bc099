"""What `book/results/segmentation.py` computes, in small and by other means."""

import _segmented as drawn
import numpy as np
import pytest
import segmentation as results
import torch
from torch.nn.functional import one_hot

from attnlib.beyond import segmentation
from attnlib.beyond.segmentation import NOUNS, LabelledScenes, Maps
from attnlib.data.scenes import COLOURS


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """A few scenes in the place of hundreds."""
    monkeypatch.setattr(drawn, "COUNTS", {"train": 8, "val": 4, "test": 5})
    cached = results.pictures, results.painted
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


def test_paint_changes_colours_and_nothing_else():
    as_drawn, one, each = (results.painted(paint) for paint in results.PAINTS)
    test = results.pictures("test")
    known = torch.tensor(list(COLOURS.values())) / 255

    def seen(scenes, n):
        """The colours nearest to the brightest pixels of each shape of scene n."""
        found = []
        for c in range(1, 7):
            pixels = scenes.images[n][:, scenes.truth[n] == c].T
            if len(pixels):
                bright = pixels[pixels.sum(1).argsort()[-8:]].median(0).values
                found.append(int((known - bright).norm(dim=1).argmin()))
        return found

    for scenes in (as_drawn, one, each):
        assert torch.equal(scenes.truth, test.truth) and torch.equal(scenes.labels, test.labels)
    for n in range(5):
        assert len(set(seen(one, n))) == 1 < len(set(seen(each, n))) == len(seen(each, n))


def test_together_both_come_or_neither():
    labels = results.together().labels
    ring, star = (labels[:, NOUNS.index(noun)] for noun in results.PAIR)
    assert len(labels) == 8 and torch.equal(ring, star)


def test_related_against_loops():
    """Two scenes, the weights of every cell that is all of one shape, shared out by pixel."""
    torch.manual_seed(0)
    truth = results.pictures("test").truth[:2]
    weights = torch.rand(2, 256, 256).softmax(-1)
    found = results.related(Maps(torch.zeros(2, 6, 16, 16), torch.empty(0), weights), truth)
    want = []
    cells = truth.view(2, 16, 4, 16, 4).transpose(2, 3).reshape(2, 256, 16).numpy()
    for b in range(2):
        for cell in range(256):
            names = set(cells[b, cell].tolist())
            if len(names) == 1 and names != {0}:
                (name,) = names
                row = np.zeros(3)
                for other, weight in enumerate(weights[b, cell].tolist()):
                    own, none = (int((cells[b, other] == kind).sum()) for kind in (name, 0))
                    row += weight * np.array([own, 16 - own - none, none]) / 16
                want.append(row)
    assert len(want) > 10
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_a_pair_exchanged_is_found_exchanged(monkeypatch):
    ring, star = (NOUNS.index(noun) for noun in results.PAIR)
    truth = torch.zeros(1, 64, 64, dtype=torch.long)
    truth[0, :32, :32], truth[0, 32:, 32:] = ring + 1, star + 1
    labels = torch.zeros(1, 6, dtype=torch.bool)
    labels[0, [ring, star]] = True
    scene = LabelledScenes(torch.zeros(1, 3, 64, 64), labels, truth)
    maps = torch.zeros(1, 6, 64, 64)
    maps[0, star, :32, :32] = maps[0, ring, 32:, 32:] = 1.0
    monkeypatch.setattr(results, "pictures", lambda split: scene)
    monkeypatch.setattr(segmentation, "look", lambda *_: (maps, maps[:, torch.arange(6)]))
    found = results.of_pair(None, {name: {"threshold": 0.5} for name in ("alone", "module")})
    assert found["scenes"] == 1
    assert found["alone"] == {
        "right": {"ring": 0.0, "star": 0.0},
        "exchanged": {"ring": 1.0, "star": 1.0},
    }


def test_a_name_by_chance_is_one_of_the_scene():
    test = results.pictures("test")
    maps = results.by_chance(results.outline(test), test.labels, seed=3)
    assert torch.equal(maps.sum(1), results.outline(test))
    assert all(test.labels[n, c] for n, c in maps.amax((2, 3)).nonzero().tolist())
    right = one_hot(test.truth, 7)[..., 1:].permute(0, 3, 1, 2).float()
    assert results.marks(right, 0.5, test.truth)["mean"] == 1


def test_reach_against_loops():
    """The share of a cell's weight on its shape, and of that on the cells around it."""
    torch.manual_seed(0)
    test = results.pictures("test")
    vectors = torch.rand(len(test.labels), 256, 4)
    found = results.reach(segmentation.by_cosine, vectors, test.truth)
    owns, nears, evens = [], [], []
    for truth, some in zip(test.truth, vectors):
        cells = truth.view(16, 4, 16, 4).transpose(1, 2).reshape(256, 16)
        weights = segmentation.by_cosine(some[None])[0]
        for i, cell in enumerate(cells):
            if cell.min() != cell.max() or cell[0] == 0:
                continue
            same = (cells == cell[0]).double().mean(1)
            at = [
                j for j in range(256) if abs(i // 16 - j // 16) <= 1 and abs(i % 16 - j % 16) <= 1
            ]
            own = (weights[i] * same).sum()
            owns.append(float(own))
            nears.append(float((weights[i] * same)[at].sum() / own))
            evens.append(float(same[at].sum() / same.sum()))
    wanted = {"own": np.mean(owns), "near": np.mean(nears), "even": np.mean(evens)}
    assert found == pytest.approx(wanted, abs=1e-6)

"""The rectified cosine and the module against loops; the losses by hand; masks that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from attnlib import reference
from attnlib.attention import Attention
from attnlib.beyond import segmentation
from attnlib.beyond.segmentation import NOUNS, LabelledScenes, Segmenter, normed, only_largest
from attnlib.data.scenes import Scenes
from attnlib.scores import NEVER, RectifiedCosineScore

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ


# The score ------------------------------------------------------------------------------------


def inputs(B, T, S, seed=0):
    torch.manual_seed(seed)
    shapes = (B, T, 4), (B, S, 4), (B, S, 6)
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def pixels_alike():
    return Attention(RectifiedCosineScore().double())


@pytest.mark.parametrize("B, T, S", [(1, 1, 1), (2, 3, 5), (3, 5, 2)])
def test_rectified_cosine_attention_matches_the_loops(B, T, S):
    queries, keys, values = inputs(B, T, S)
    mask = torch.rand(B, T, S) < 0.7
    mask[0, 0] = False  # one query may attend to nothing
    contexts, weights = pixels_alike()(queries, keys, values, mask)
    for b in range(B):
        one = (x[b].numpy() for x in (queries, keys, values, mask))
        want = reference.attend(reference.rectified_cosine_score, *one)
        np.testing.assert_allclose(contexts[b], want[0], **EXACT)
        np.testing.assert_allclose(weights[b], want[1], **EXACT)


def test_its_softmax_is_a_division_by_the_sum():
    """Equation 8 of the paper, without a logarithm or an exponential."""
    queries, keys, values = inputs(2, 4, 30)
    _, weights = pixels_alike()(queries, keys, values)
    for b in range(2):
        for t in range(4):
            cosines = [
                reference.cosine_score(queries[b, t].numpy(), key) for key in keys[b].numpy()
            ]
            kept = np.array([max(0.0, cosine) for cosine in cosines])
            assert 0 < (kept == 0).sum() < 30
            np.testing.assert_allclose(weights[b, t], kept / kept.sum(), **EXACT)
            assert not weights[b, t][torch.tensor(kept == 0)].any()


def test_rectified_cosine_worked_on_paper():
    """cos = 1, 0.6, 0, -1: weights 1 / 1.6, 0.6 / 1.6, 0, 0."""
    keys = torch.tensor([[[2.0, 0.0], [3.0, 4.0], [0.0, 7.0], [-1.0, 0.0]]], dtype=torch.float64)
    contexts, weights = pixels_alike()(keys[:, :1] * 5, keys, keys)
    assert weights[0, 0].tolist() == pytest.approx([0.625, 0.375, 0, 0], abs=1e-12)
    assert contexts[0, 0].tolist() == pytest.approx([2.375, 1.5], abs=1e-12)


def test_a_query_unlike_all_keys_looks_at_all_alike():
    keys = torch.tensor([[[-1.0, 0.0], [-1.0, 2.0], [0.0, 1.0]]])
    score = RectifiedCosineScore()
    assert score(torch.tensor([[[1.0, 0.0]]]), keys).tolist() == [[[NEVER] * 3]]
    mask = torch.tensor([[[True, True, False]]])
    _, weights = Attention(score)(torch.tensor([[[1.0, 0.0]]]), keys, keys, mask)
    assert weights.tolist() == [[[0.5, 0.5, 0.0]]]
    zero, _ = Attention(score)(torch.zeros(1, 1, 2), keys, keys)
    assert torch.isfinite(zero).all()


def test_its_gradients_are_right_and_hidden_keys_change_nothing():
    queries, keys, values = (x.requires_grad_() for x in inputs(2, 2, 3))
    mask = torch.tensor([[[True, True, False]], [[False, False, False]]])
    attention = pixels_alike()
    assert torch.autograd.gradcheck(lambda *x: attention(*x, mask), (queries, keys, values))
    before = attention(queries, keys, values, mask)
    with torch.no_grad():
        keys[:, 2], values[:, 2] = 1e6, 1e6
    after = attention(queries, keys, values, mask)
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    prepared = attention(queries, keys, values, mask, prepared=attention.score.prepare(keys))
    assert all(torch.equal(x, y) for x, y in zip(prepared, after, strict=True))
    assert not any(p.requires_grad for p in attention.parameters())


# Scenes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures():
    return segmentation.scenes("train", 12)


def test_labels_and_truth_are_of_the_things():
    drawn = [Scenes("val").sample(i) for i in range(40)]
    samples = [sample for sample in drawn if {t.size for t in sample.things} == {"large"}]
    assert 2 < len(samples) < 20
    assert (segmentation.scenes("val", 4, nouns=2).labels.sum(1) >= 2).all()
    images, labels, truth = segmentation.scenes("val", len(samples))
    assert (labels.sum(1) == 1).any()
    assert images.shape == (len(samples), 3, 64, 64) and labels.dtype == torch.bool
    for n, sample in enumerate(samples):
        assert np.array_equal((images[n] * 255).round().permute(1, 2, 0), sample.image)
        assert {NOUNS[c] for c in labels[n].nonzero()[:, 0]} == {t.noun for t in sample.things}
        assert np.array_equal(truth[n] > 0, sample.masks.any(0))
        for thing, mask in zip(sample.things, sample.masks):
            assert set(truth[n][torch.from_numpy(mask)].tolist()) == {NOUNS.index(thing.noun) + 1}


# The network ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return Segmenter(width=16, related=8)


@torch.no_grad()
def test_the_module_is_its_equation(model, pictures):
    """Suppressed maps and their background, averaged over the pixels that are alike."""
    several = pictures.some(pictures.labels.sum(1).argsort(descending=True)[:2])
    images, labels = several.images[:, :, 16:48, 16:48], several.labels
    scores, revised, weights = model.double()(images.double(), labels)
    features = model.features(images.double(), model.encoder(images.double())).numpy()
    assert labels.sum(1).max() > 1
    for b in range(2):
        maps = []
        for c in range(len(NOUNS)):
            y = np.maximum(scores[b, c].numpy(), 0).ravel()
            y = np.maximum(y - y.min() - 1e-5, 0) / (y.max() - y.min() + 1e-5)
            maps.append(y if labels[b, c] else np.zeros(64))
        values = []
        for cell in range(64):
            here = [y[cell] for y in maps]
            values.append([1 - max(here), *(y if y == max(here) else 0.0 for y in here)])
        f = features[b]
        want = reference.attend(reference.rectified_cosine_score, f, f, np.array(values))
        np.testing.assert_allclose(weights[b], want[1], **EXACT)
        np.testing.assert_allclose(revised[b].flatten(1).T, want[0], **EXACT)
    model.float()


@torch.no_grad()
def test_what_is_compared_is_colour_middle_and_last_features(model, pictures):
    images = pictures.images[:1]
    features = model.features(images, model.encoder(images))
    middle = images * 4 - 2
    for layer in list(model.encoder.layers)[: segmentation.MIDDLE]:
        middle = layer(middle)
    row, column = 5, 9
    near = model.V_1(middle[0, :, row, column]).relu()
    far = model.V_2(model.encoder(images)[0, 16 * row + column]).relu()
    colour = images[0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean((1, 2)) * 4 - 2
    want = model.theta(torch.cat([colour, near, far]))
    torch.testing.assert_close(features[0, 16 * row + column], want, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one(model, pictures):
    together = model(pictures.images, pictures.labels)
    for n in range(3):
        alone = model(pictures.images[n : n + 1], pictures.labels[n : n + 1])
        for one, several in zip(alone, together):
            torch.testing.assert_close(one[0], several[n], rtol=1e-4, atol=1e-5)
    alone, revised = segmentation.look(model, pictures.images, pictures.labels, batch=5)
    torch.testing.assert_close(alone, normed(together.scores, pictures.labels))
    torch.testing.assert_close(revised, normed(together.revised[:, 1:], pictures.labels))
    assert not alone[~pictures.labels].any() and not revised[~pictures.labels].any()


def test_what_does_not_fit_is_refused(model, pictures):
    with pytest.raises(ValueError, match="multiples of 4 pixels, the side of a cell, got 62 x 64"):
        model(pictures.images[:, :, :62], pictures.labels)
    with pytest.raises(ValueError, match=r"labels must be \(B, C\) = \(12, 6\), got \(11, 6\)"):
        model(pictures.images, pictures.labels[:11])
    with pytest.raises(TypeError, match=r"labels must be boolean, got torch\.float32"):
        model(pictures.images, pictures.labels.float())


# Losses ---------------------------------------------------------------------------------------


def test_normed_and_largest_by_hand():
    maps = torch.tensor([[[[-1.0, 1.0, 3.0]], [[4.0, 2.0, 2.0]], [[0.0, 9.0, 0.0]]]])
    labels = torch.tensor([[True, True, False]])
    found = normed(maps, labels)
    want = torch.tensor([[[[0, 1 / 3, 1]], [[1, 0, 0]], [[0, 0, 0]]]])
    torch.testing.assert_close(found, want, rtol=0, atol=2e-5)
    both = torch.tensor([[[[0.2, 0.6]], [[0.7, 0.1]]]])
    assert only_largest(both).tolist() == [
        [[[0.0, pytest.approx(0.6)]], [[pytest.approx(0.7), 0.0]]]
    ]
    background = segmentation.with_background(both)[0, 0, 0]
    assert background.tolist() == pytest.approx([0.3, 0.4])


def test_the_hardest_differences_by_hand():
    differences = torch.tensor([[0.1, -0.9, 0.2, 0.0, 0.3], [0.5, 0.4, 0.4, -0.6, 0.0]])
    assert float(segmentation.hardest(differences, 0.4)) == pytest.approx((1.2 / 2 + 1.1 / 2) / 2)
    assert float(segmentation.hardest(differences, 0.2)) == pytest.approx((0.9 + 0.6) / 2)


class Scripted(torch.nn.Module):
    """Maps that were made before, by the height of the picture."""

    def __init__(self, **by_height):
        super().__init__()
        self.by_height = by_height

    def forward(self, images, labels):
        return self.by_height[f"h{images.shape[2]}"]


def scripted(big, small, revised_big, revised_small):
    maps = [
        segmentation.Maps(torch.tensor([[scores]]), torch.tensor([revised]), torch.empty(0))
        for scores, revised in ((big, revised_big), (small, revised_small))
    ]
    return Scripted(h64=maps[0], h32=maps[1])


def test_losses_by_hand():
    """One class, a row of five cells in both pictures: a fifth of 10 numbers is 2."""
    one, other = [[0.0, 0.0, 0.0, 0.0, 5.0]], [[7.5, 0.0, 0.0, 0.0, 0.0]]
    like_one = [[[1.0, 0.6, 1.0, 0.9, 0.0]], [[0.0, 0.3, 0.0, 0.2, 1.0]]]  # background, class
    like_other = [[[0.0, 0.9, 1.0, 1.0, 1.0]], [[1.0, 0.5, 0.1, 0.0, 0.0]]]
    pictures = LabelledScenes(torch.zeros(1, 3, 64, 64), torch.tensor([[True]]), torch.empty(0))
    found = segmentation.losses(scripted(one, other, like_other, like_one), pictures)
    told = [np.log1p(np.exp(-mean)) for mean in (1.0, 1.5)]
    assert float(found["class"]) == pytest.approx(sum(told) / 2, abs=1e-5)
    assert float(found["equivariance"]) == pytest.approx(2 / 5, abs=1e-4)
    assert float(found["cross"]) == pytest.approx((0.5 + 0.1) / 2 + (0.4 + 0.3) / 2, abs=1e-4)
    same = segmentation.losses(scripted(one, one, like_other, like_one), pictures)
    assert float(same["equivariance"]) == 0
    assert float(same["cross"]) == pytest.approx(1 + (0.4 + 0.3) / 2, abs=1e-4)


def test_losses_reach_what_they_are_to_teach_and_nothing_else(pictures):
    module = {"V_1.weight", "V_2.weight", "theta.weight"}
    rest = {f"encoder.layers.{n}.{p}" for n in (0, 2, 4, 6, 8) for p in ("weight", "bias")}
    rest.add("W.weight")
    for name, want in (("class", rest), ("equivariance", rest), ("cross", module)):
        torch.manual_seed(3)
        model = Segmenter(width=16, related=8)
        segmentation.losses(model, pictures)[name].backward()
        moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved == want


# What is found --------------------------------------------------------------------------------


def test_the_largest_map_above_the_threshold_names_the_pixel():
    maps = torch.tensor([[[[0.2, 0.9], [0.5, 0.0]], [[0.1, 0.8], [0.7, 0.0]]]])
    assert segmentation.segment(maps, 0.3, size=2).tolist() == [[[0, 1], [2, 0]]]
    assert segmentation.segment(maps, 0.75, size=2).tolist() == [[[0, 1], [0, 0]]]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_overlaps_are_those_of_sets(pixels):
    said, true = torch.tensor(pixels).T
    found = segmentation.overlaps(said[None], true[None], classes=4)
    for c in range(4):
        a, b = ({i for i, pixel in enumerate(pixels) if pixel[k] == c} for k in (0, 1))
        assert float(found[c]) == pytest.approx(len(a & b) / len(a | b) if a | b else 1)


def test_the_best_threshold_is_between_what_is_and_what_is_not(pictures):
    there = torch.stack([pictures.truth == c for c in range(1, 7)], 1)
    maps = torch.where(there, 0.63, 0.55)
    maps = maps * pictures.labels[:, :, None, None]
    threshold = segmentation.best_threshold(maps, pictures.truth)
    assert 0.55 < threshold < 0.63
    assert (
        float(segmentation.overlaps(segmentation.segment(maps, threshold), pictures.truth).min())
        == 1
    )


def test_equivariance_error_by_hand():
    maps = torch.tensor([[[[1.0, 0.0]], [[5.0, 5.0]]]])
    moved = torch.tensor([[[[0.0, 1.0]], [[1.0, 1.0]]]])
    labels = torch.tensor([[True, False]])
    assert segmentation.equivariance_error(maps, moved, labels) == pytest.approx(2)
    assert segmentation.equivariance_error(maps, maps, labels) == 0


def test_a_smaller_picture_is_the_mean_of_its_pixels(pictures):
    found = segmentation.smaller(pictures.images)
    assert found.shape == (12, 3, 32, 32)
    flat = segmentation.smaller(torch.full((1, 3, 64, 64), 0.3))
    torch.testing.assert_close(flat, torch.full((1, 3, 32, 32), 0.3))
    middle = interpolate(pictures.images, (32, 32), mode="area")
    assert float((found - middle).abs().mean()) < 0.02


def learned(pictures, updates, **more):
    torch.manual_seed(1)
    model = Segmenter(width=16, related=8)
    return segmentation.fit(model, pictures, updates, batch=4, lr=0.005, seed=1, **more)


def test_training_is_a_function_of_its_seed_and_learns(pictures):
    began, one, other = (learned(pictures, n) for n in (0, 20, 20))
    again = other.state_dict()
    assert all(torch.equal(again[name], each) for name, each in one.state_dict().items())
    before, after = (segmentation.losses(model, pictures)["class"] for model in (began, one))
    assert after < 0.8 * before
    taught = learned(pictures, 20, masks=True)
    assert segmentation.mask_loss(taught, pictures) < 0.8 * segmentation.mask_loss(began, pictures)


def test_what_joins_late_changes_what_it_is_to_and_nothing_else(pictures):
    """The module learns beside the names, which do not mind; equivariance changes them."""
    names, module, late, soon = (
        learned(pictures, 4, **more)
        for more in (
            {"joins": 1.0},
            {"joins": 0.5, "equivariance": 0.0},
            {"joins": 0.75},
            {"joins": 0.0},
        )
    )
    for one, other in zip(names.encoder.parameters(), module.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    torch.testing.assert_close(names.W.weight, module.W.weight, rtol=0, atol=1e-6)
    assert not torch.equal(names.theta.weight, module.theta.weight)
    apart = [(model.W.weight - names.W.weight).abs().max() for model in (late, soon)]
    assert 1e-4 < apart[0] < apart[1]


def test_outlines_are_named_by_the_largest_map():
    maps = torch.zeros(1, 6, 2, 2)
    maps[0, 1], maps[0, 4] = torch.tensor([[0.2, 0.9], [0.0, 0.1]]), 0.5
    maps[0, 4, 1, 0] = 0.0
    outlines = torch.tensor([[[0.3, 0.6], [0.9, 0.0]]])
    found = segmentation.named_by(maps, outlines)[0]
    assert found[1].tolist() == [[0, pytest.approx(0.6)], [0, 0]]
    assert found[4].tolist() == [[pytest.approx(0.3), 0], [0, 0]]
    assert not found[[0, 2, 3, 5]].any()


def test_what_is_unlike_the_rest_is_found_pixel_by_pixel():
    images = torch.rand(2, 3, 5, 7)
    found = segmentation.unlike_the_rest(images)
    for image, far in zip(images.numpy(), found.numpy()):
        middle = [np.sort(channel.flatten())[35 // 2] for channel in image]
        want = np.array(
            [
                [sum((image[c, y, x] - middle[c]) ** 2 for c in range(3)) ** 0.5 for x in range(7)]
                for y in range(5)
            ]
        )
        np.testing.assert_allclose(far, want / want.max(), atol=1e-6)


@pytest.mark.parametrize("score", ["distance", "cosine", "cosine, less the mean"])
def test_cells_are_averaged_by_their_colours_one_by_one(score):
    torch.manual_seed(0)
    images, maps = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 4, 4) * (torch.rand(2, 3, 4, 4) > 0.4)
    found = (
        segmentation.averaged_by_colour(images, maps, width=0.3)
        if score == "distance"
        else segmentation.averaged(
            segmentation.by_cosine(segmentation.colours(images, 4, 4, centred="less" in score)),
            maps,
        )
    )
    for n in range(2):
        colours = images[n].view(3, 4, 2, 4, 2).mean((2, 4)).view(3, 16).T.double().numpy()
        colours = colours - colours.mean(0) if "less" in score else colours
        values = maps[n].view(3, 16).T.double().numpy()
        values = values * (values == values.max(1, keepdims=True))  # only the largest of each cell
        for i, one in enumerate(colours):
            if score == "distance":
                alike = [np.exp(-((one - other) ** 2).sum() / 0.3**2) for other in colours]
            else:
                lengths = [np.linalg.norm(one) * np.linalg.norm(other) for other in colours]
                alike = [max(0.0, one @ other / l) for other, l in zip(colours, lengths)]
            want = np.average(values, axis=0, weights=alike)
            np.testing.assert_allclose(found[n, :, i // 4, i % 4], want, atol=1e-5)


def test_tiles_have_the_very_shades_of_the_shapes_before_them():
    plain = segmentation.scenes("test", 4)
    found = segmentation.tiled(plain, seed=0, shades=True)
    assert torch.equal(found.truth, plain.truth) and torch.equal(found.labels, plain.labels)
    for old, new, truth in zip(plain.images, found.images, plain.truth):
        assert torch.equal(new[:, truth > 0], old[:, truth > 0])
        own = {tuple(pixel) for pixel in old[:, truth > 0].T.tolist()}
        behind = new[:, truth == 0].T.tolist()
        assert {tuple(pixel) for pixel in behind} <= own
        tile = new[:, :8, :8][:, truth[:8, :8] == 0]  # one tile has one colour
        assert (tile == tile[:, :1]).all()
    assert not torch.equal(found.images, segmentation.tiled(plain, 1, shades=True).images)


def test_cells_are_averaged_by_how_near_any_vectors_are():
    torch.manual_seed(0)
    vectors, maps = torch.randn(1, 6, 5), torch.rand(1, 2, 2, 3)
    found = segmentation.averaged(segmentation.by_distance(vectors, width=2.0), maps)[0].flatten(1)
    values = maps[0].flatten(1).T.double().numpy()
    values = values * (values == values.max(1, keepdims=True))
    for i, one in enumerate(vectors[0].double().numpy()):
        near = [np.exp(-((one - other) ** 2).sum() / 4) for other in vectors[0].double().numpy()]
        np.testing.assert_allclose(found[:, i], np.average(values, axis=0, weights=near), atol=1e-5)

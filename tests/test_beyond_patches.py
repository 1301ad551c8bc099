"""Pictures with an exact answer; the patches of a picture are what the loops cut; it learns."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlib import reference
from attnlib.beyond import patches
from attnlib.beyond.patches import PatchTransformer, SmallConvNet
from attnlib.data import beside, scenes
from attnlib.data.beside import COLOURS, ROLES

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
quick = settings(max_examples=25, deadline=None)


# Pictures -------------------------------------------------------------------------------------


@quick
@given(split=st.sampled_from(beside.SPLITS), number=st.integers(0, 2**31))
def test_one_thing_a_quarter_and_the_white_one_has_one_beside_it(split, number):
    four = beside.things(split, number)
    asking, next_ = four[:2]
    assert asking.colour == "white" and len({thing.colour for thing in four}) == 4
    left = [thing.x < 32 for thing in four]
    top = [thing.y < 32 for thing in four]
    assert [x == left[0] for x in left] == [True, False, True, False]
    assert [y == top[0] for y in top] == [True, True, False, False]
    picture = beside.pictures(split, [number])
    assert COLOURS[int(picture.answers)] == next_.colour
    assert divmod(int(picture.quarters), 2) == (not top[0], not left[0])
    masks = picture.masks[0]
    for thing, mask in zip(four, masks, strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        assert len(rows) > 50  # in sight, and in its own quarter
        assert bool((rows < 32).all() if thing.y < 32 else (rows >= 32).all())
        assert bool((columns < 32).all() if thing.x < 32 else (columns >= 32).all())


def test_no_corner_and_no_colour_is_likelier():
    """Intervals of five standard deviations of a binomial."""
    drawn = [beside.things("train", n) for n in range(2000)]
    for found, share in (
        ([one[0].x < 32 for one in drawn], 1 / 2),
        ([one[0].y < 32 for one in drawn], 1 / 2),
        *(([one[k].colour == c for one in drawn], 1 / 5) for k in (1, 2, 3) for c in COLOURS),
    ):
        assert abs(sum(found) - 2000 * share) < 5 * (2000 * share * (1 - share)) ** 0.5


def test_pictures_are_the_same_again_and_others_in_another_split():
    one, other = beside.pictures("train", [3, 4]), beside.pictures("train", [4])
    assert torch.equal(one.images[1:], other.images) and torch.equal(one[[1]].shown, other.shown)
    assert torch.equal(one[[1]].quarters, other.quarters)
    assert not torch.equal(beside.pictures("test", [4]).images, other.images)
    for k, split in enumerate(beside.SPLITS):  # in things and in pixels
        found = beside.pictures(split, [4])
        image, masks = scenes.draw(beside.things(split, 4), np.random.default_rng([k, 4, 1]))
        assert (found.images[0].permute(1, 2, 0).numpy() == image).all()
        assert (found.masks[0].numpy() == masks).all() and len(masks) == len(ROLES)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: beside.things("tests", 0), "unknown split 'tests': one of train, val, test"),
        (lambda: beside.things("test", -1), "pictures are numbered from 0, got -1"),
        (
            lambda: beside.shuffled(torch.zeros(1, 3, 64, 64), torch.zeros(64)),
            "order must name each of 64 patches once",
        ),
        (lambda: PatchTransformer(patch=7), "a picture of 64 pixels does not divide into"),
        (lambda: PatchTransformer()(torch.zeros(1, 3, 64, 56)), "images must be 64 x 64"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Networks -------------------------------------------------------------------------------------


def model_of(**more):
    torch.manual_seed(0)
    sizes = {"width": 8, "layers": 2, "heads": 2, "feed_forward": 8, "patch": 4, "size": 12}
    return PatchTransformer(**sizes | more).double().eval()


def test_the_patches_are_cut_row_by_row():
    model, images = model_of(), torch.rand(2, 3, 12, 12, dtype=torch.float64)
    found = model.cut(images)
    for row in range(3):
        for column in range(3):
            square = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            want = (4 * square - 2).flatten(1)  # red, green, blue; each row by row
            torch.testing.assert_close(found[:, 3 * row + column], want, **EXACT)
    order = torch.tensor([8, 0, 1, 7, 2, 3, 6, 5, 4])
    moved = model.cut(beside.shuffled(images, order, patch=4))
    torch.testing.assert_close(moved, found[:, order], **EXACT)


def test_what_enters_the_encoder_is_equation_1():
    """[class] and the projected patches, with positions; the answer is read off [class]."""
    model, images = model_of(), torch.rand(1, 3, 12, 12, dtype=torch.float64)
    entered = []
    model.stack.blocks[0].register_forward_pre_hook(lambda _, said: entered.append(said[0]))
    logits = model(images)
    E, b, first, P = (
        p.detach().numpy()
        for p in (model.E.weight, model.E.bias, model.first, model.stack.positions.P)
    )
    cut = model.cut(images)[0].numpy()
    z = [first * 8**0.5, *((reference.times(E, patch) + b) * 8**0.5 for patch in cut)]
    np.testing.assert_allclose(entered[0][0].detach(), np.array(z) + P, **EXACT)
    torch.testing.assert_close(model.head(model._read(images)[0][:, 0]), logits, **EXACT)


def test_the_loss_is_that_of_two_answers():
    model, asked = SmallConvNet().eval(), beside.pictures("val", range(3))
    logits = model(asked.images / 255)
    first, second = logits[:, :5].log_softmax(-1), logits[:, 5:].log_softmax(-1)
    rows = torch.arange(3)
    colour, quarter = -first[rows, asked.answers].mean(), -second[rows, asked.quarters].mean()
    torch.testing.assert_close(patches.loss(model, asked), colour + quarter)
    torch.testing.assert_close(patches.loss(model, asked, both=False), colour)


def test_without_positions_a_picture_is_a_set_of_patches():
    images = torch.rand(2, 3, 12, 12, dtype=torch.float64)
    moved = beside.shuffled(images, torch.tensor([8, 0, 1, 7, 2, 3, 6, 5, 4]), patch=4)
    for positions in (True, False):
        model = model_of(positions=positions)
        gap = (model(images) - model(moved)).abs().max()
        assert gap > 1e-4 if positions else gap < 1e-12


def test_a_batch_is_its_pictures_one_by_one():
    images = torch.rand(3, 3, 12, 12, dtype=torch.float64)
    model = model_of()
    logits, maps = model(images), model.attention_maps(images)
    assert maps.shape == (3, 2, 2, 10, 10)
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]), **EXACT)
    for n in range(3):
        torch.testing.assert_close(model(images[n : n + 1])[0], logits[n], **EXACT)
        torch.testing.assert_close(model.attention_maps(images[n : n + 1])[0], maps[n], **EXACT)


def test_the_maps_of_class_by_hand():
    images = (torch.rand(3, 3, 12, 12) * 255).to(torch.uint8)
    model = model_of().float()
    found = patches.class_maps(model, images, batch=2)
    assert list(found) == ["layer 1", "layer 2", "rollout"]
    one, two = model.attention_maps(images / 255).mean(2).detach().unbind(1)
    half = [(layer + torch.eye(10)) / 2 for layer in (one, two)]
    for name, want in (("layer 1", one), ("layer 2", two), ("rollout", half[1] @ half[0])):
        torch.testing.assert_close(found[name], want[:, 0, 1:], rtol=0, atol=1e-6)


def test_both_networks_are_of_one_size_and_all_of_them_learns():
    sizes = []
    images = torch.rand(2, 3, 64, 64)
    for model in (PatchTransformer(), SmallConvNet()):
        model(images).logsumexp(-1).sum().backward()
        still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert not still
        sizes.append(sum(p.numel() for p in model.parameters()))
    assert max(sizes) < 1.1 * min(sizes)


def test_it_learns_one_picture_from_another():
    """Eight pictures by heart: more than a constant, and the same from the same seed."""

    def learned(updates):
        torch.manual_seed(1)
        model = PatchTransformer(width=16, layers=1, heads=2, feed_forward=32)
        return patches.fit(model, lambda _: eight, updates, lr=0.01, seed=1)

    eight = beside.pictures("train", range(8))
    one, other = (learned(2).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    found = patches.answers(learned(40), eight.images, batch=3)
    for said, want in zip(found.unbind(1), (eight.answers, eight.quarters), strict=True):
        assert (said == want).double().mean() > 0.8 > want.bincount().max() / 8

"""attnlib.efficientnet and vision.Tiled: the original's numbers, and tiles that see themselves."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from attnlib import efficientnet, settings, storage
from attnlib.efficientnet import EfficientNetLite, convolution
from attnlib.vision import ImageEncoder, Tiled, arranged

RESULTS = Path(__file__).parents[1] / "book" / "results" / "efficientnet.json"


def pattern(size=64):
    """The image that is a formula, of ``book/results/efficientnet.py``."""
    grid = torch.arange(3 * size * size, dtype=torch.float64).view(1, 3, size, size)
    return ((grid * 0.37).sin() / 2 + 0.5).float()


@pytest.mark.skipif(not RESULTS.exists(), reason="the package without the book")
def test_a_pattern_gives_what_the_original_gave():
    """The original's numbers were stored; ours differ by the rounding to 8 bits alone."""
    wanted = torch.tensor(json.loads(RESULTS.read_text("utf-8"))["pattern"])
    got = efficientnet.pretrained(64)(pattern())[0, :, ::40].flatten()
    assert torch.corrcoef(torch.stack([got, wanted]))[0, 1] > 0.99
    assert (got - wanted).abs().mean() < 0.1 * wanted.abs().mean()


@pytest.mark.skipif(not RESULTS.exists(), reason="the package without the book")
def test_before_rounding_it_is_the_original():
    """Within what float32 loses in the original: parts in a million of the largest value."""
    for found in json.loads(RESULTS.read_text("utf-8"))["difference"].values():
        assert found["largest difference"] < 1e-5 * found["largest value"]


@pytest.mark.parametrize("kernel, stride", [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_convolutions_are_padded_as_tensorflow_pads(kernel, stride):
    """ "SAME": as many outputs as the stride allows, and the odd zero after the last pixel."""
    torch.manual_seed(0)
    layer = convolution(2, 3, kernel, stride)
    images = torch.randn(1, 2, 8, 8)
    total = (8 // stride - 1) * stride + kernel - 8
    first, last = total // 2, total - total // 2
    padded = F.pad(images, (first, last, first, last))
    wanted = F.conv2d(padded, layer[1].weight, layer[1].bias, stride).clamp(0, 6)
    torch.testing.assert_close(layer(images), wanted)
    assert layer(images).shape[2:] == (8 // stride, 8 // stride)


def test_both_strides_have_their_map():
    images = torch.rand(2, 3, 96, 64)
    for stride, channels in ((16, 112), (32, 320)):
        encoder = EfficientNetLite(64, stride).eval()
        assert encoder(images).shape == (2, 96 * 64 // stride**2, channels)
        assert encoder.annotation_dim == channels


@pytest.mark.parametrize(
    "size, stride, match", [(64, 8, "16 or 32 pixels"), (100, 32, "multiples")]
)
def test_what_does_not_fit_is_refused(size, stride, match):
    with pytest.raises(ValueError, match=match):
        EfficientNetLite(size, stride)


def test_an_altered_file_is_refused(tmp_path, monkeypatch):
    for name in (storage.MODEL, efficientnet.ABOUT):
        (tmp_path / name).write_bytes((efficientnet.FOLDER / name).read_bytes())
    with open(tmp_path / storage.MODEL, "ab") as file:
        file.write(b"x")
    monkeypatch.setattr(efficientnet, "FOLDER", tmp_path)
    efficientnet._weights.cache_clear()
    with pytest.raises(storage.ModelError, match="truncated or altered"):
        efficientnet.pretrained()
    efficientnet._weights.cache_clear()


# Tiles ------------------------------------------------------------------------------------------


@pytest.fixture
def tiled():
    torch.manual_seed(0)
    return Tiled(ImageEncoder(annotation_dim=6, size=32, positions=False), tiles=2, pool=2)


def test_a_tile_is_seen_by_itself(tiled):
    """Another picture in one tile changes the annotations of that tile, and no other."""
    images = torch.rand(1, 3, 64, 64)
    others = images.clone()
    others[:, :, 32:, :32] = torch.rand(1, 3, 32, 32)  # the lower left one
    changed = (tiled(images) != tiled(others)).any(-1).view(4, 4)
    assert changed[2:, :2].all() and changed.sum() == 4


def test_cells_are_means_of_the_tile_s_own_map(tiled):
    images = torch.rand(2, 3, 64, 64)
    found = tiled.features(images).view(2, 4, 4, 6)
    for row in range(2):
        for column in range(2):
            tile = images[:, :, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            maps = tiled.network(tile).view(2, 4, 4, 6)
            for y in range(2):
                for x in range(2):
                    wanted = maps[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean((1, 2))
                    torch.testing.assert_close(found[:, 2 * row + y, 2 * column + x], wanted)


def test_kept_features_stand_for_the_image(tiled):
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(tiled(images), tiled.annotate(tiled.features(images)))
    plain = tiled(images) - tiled.P
    torch.testing.assert_close(plain.mean(-1), torch.zeros(2, 16), rtol=0, atol=1e-5)


def test_the_network_is_no_part_of_what_learns_or_is_stored(tiled):
    assert list(tiled.state_dict()) == ["P"]
    tiled(torch.rand(1, 3, 64, 64)).sum().backward()
    assert all(p.grad is None for p in tiled.network.parameters())
    assert tiled.double().network.layers[0].weight.dtype == torch.float64
    tiled.train()
    assert not tiled.network.training


def test_what_does_not_divide_is_refused(tiled):
    with pytest.raises(ValueError, match="64 x 64, got 32 x 64"):
        tiled.features(torch.rand(1, 3, 32, 64))
    with pytest.raises(ValueError, match="does not divide"):
        Tiled(ImageEncoder(size=24, positions=False), tiles=2, pool=2)
    with pytest.raises(ValueError, match="a batch of one"):
        tiled(torch.rand(3, 64, 64))


def test_tiles_lie_side_by_side():
    tiles = torch.arange(2 * 2 * 3 * 1 * 2).view(1, 2, 2, 3, 2, 1)
    whole = torch.cat([torch.cat(list(row), 1) for row in tiles[0]], 0)  # (6, 4, 1)
    assert torch.equal(arranged(tiles)[0], whole.flatten(0, 1))


def test_the_captioner_of_tiles_has_the_grid_of_its_card():
    encoder = settings.make_tiled(384)
    assert encoder.cells(384, 384) == (6, 6) and encoder.annotation_dim == 320
    assert encoder.size == 384 and encoder.stride == 64

"""torchvision's networks as encoders, on small ones of the same make; on the real ones if here."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from attnlib.attention import Attention
from attnlib.captioning import Captioner
from attnlib.scores import AdditiveScore
from attnlib.vision import MEAN, STD, Backbone, Grid, Tiled


class Residual(nn.Module):
    """Shaped as torchvision's ResNet: four stages, average pooling, a classifier."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for stage in range(1, 5):
            convolution = nn.Conv2d(4, 4, 3, stride=1 if stage == 1 else 2, padding=1)
            self.add_module(f"layer{stage}", nn.Sequential(convolution, nn.BatchNorm2d(4)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class Plain(nn.Module):
    """Shaped as torchvision's VGG (with a last pooling) or MobileNet (without one)."""

    def __init__(self, last, padding=1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=padding),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 5, 3, padding=padding),
            nn.Dropout(0.5),
            last,
        )


NETWORKS = {
    "resnet_like": Residual,
    "vgg_like": lambda: Plain(nn.MaxPool2d(2, 2)),
    "mobilenet_like": lambda: Plain(nn.BatchNorm2d(5)),
    "odd": lambda: Plain(nn.ReLU(), padding=0),
    "headless": lambda: nn.Sequential(nn.Conv2d(3, 4, 3)),
}


@pytest.fixture
def asked(monkeypatch):
    """A torchvision of our own; what was asked of it."""
    asked = []

    def get_model(name, weights=None):
        asked.append((name, weights))
        return NETWORKS[name]()

    torchvision = ModuleType("torchvision")
    torchvision.models = SimpleNamespace(get_model=get_model)
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    torch.manual_seed(0)
    return asked


@pytest.mark.parametrize(
    "name, width, stride", [("resnet_like", 4, 32), ("vgg_like", 5, 2), ("mobilenet_like", 5, 2)]
)
def test_the_last_map_row_by_row(asked, name, width, stride):
    encoder = Backbone(name, weights="SOME_V1")
    assert asked == [(name, "SOME_V1")]
    assert (encoder.annotation_dim, encoder.stride, encoder.size) == (width, stride, 224)
    images = torch.rand(2, 3, 64, 96)
    rows, columns = encoder.cells(64, 96)
    assert (rows, columns) == (64 // stride, 96 // stride)
    maps = encoder.layers(
        (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD).view(3, 1, 1)
    )
    annotations = encoder(images)
    assert annotations.shape == (2, rows * columns, width)
    assert torch.equal(annotations[:, columns + 1], maps[:, :, 1, 1])
    assert encoder.box(columns + 1, 64, 96) == (stride, stride, 2 * stride, 2 * stride)
    assert encoder.box(columns + 1, 64, 96, seen=True) == (0, 0, 96, 64)


def test_the_whole_network_up_to_its_pooling(asked, monkeypatch):
    network = Residual().eval()
    monkeypatch.setitem(NETWORKS, "resnet_like", lambda: network)
    encoder = Backbone("resnet_like")
    images = torch.rand(2, 3, 64, 64)
    normal = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(network.fc(encoder(images).mean(1)), network(normal))


def test_frozen_unless_asked(asked):
    frozen, learning = Backbone("resnet_like"), Backbone("resnet_like", trainable=True)
    assert not any(p.requires_grad for p in frozen.parameters())
    assert all(p.requires_grad for p in learning.parameters())
    for encoder in (frozen, learning):
        before = {key: value.clone() for key, value in encoder.state_dict().items()}
        encoder.train()
        assert encoder.training
        out = encoder(torch.rand(4, 3, 64, 64))
        assert out.requires_grad == (encoder is learning)
        assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
        assert not {"mean", "std"} & set(before)  # constants, not weights
    vgg = Backbone("vgg_like").train()
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(vgg(images), vgg(images))  # its dropout is off


def test_a_captioner_looks_through_it(asked):
    encoder = Backbone("resnet_like")
    attention = Attention(AdditiveScore(8, encoder.annotation_dim, 8))
    model = Captioner(12, width=8, hidden=8, encoder=encoder, attention=attention)
    assert model.annotation_dim == 4
    images, words = torch.rand(2, 3, 64, 64), torch.tensor([[1, 5, 6], [1, 7, 0]])
    logits, weights = model(images, torch.tensor([4, 4]), words)
    assert logits.shape == (2, 3, 12) and weights.shape == (2, 3, 4)
    logits.sum().backward()
    assert all(
        (p.grad is None) == name.startswith("encoder.") for name, p in model.named_parameters()
    )


def test_what_is_refused(asked):
    with pytest.raises(ValueError, match="no last map known for 'headless'"):
        Backbone("headless")
    with pytest.raises(
        ValueError, match="multiples of 32 pixels, the side of a cell, got 100 x 100"
    ):
        Backbone("resnet_like", size=100)
    with pytest.raises(
        ValueError, match="odd does not cut 224 pixels into whole cells but into 109"
    ):
        Backbone("odd")
    encoder = Backbone("resnet_like")
    with pytest.raises(TypeError, match="images must be floating point"):
        encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"images must be \(B, 3, H, W\)"):
        encoder(torch.zeros(3, 64, 64))
    with pytest.raises(ValueError, match="multiples of 32 pixels, the side of a cell, got 64 x 70"):
        encoder(torch.zeros(1, 3, 64, 70))


def test_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        Backbone()


def test_a_torchvision_made_for_another_torch(monkeypatch):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setitem(sys.modules, "torchvision", Broken("torchvision"))
    with pytest.raises(ImportError, match=r"made for the torch that is here.*nms does not exist"):
        Backbone()


def test_the_real_ones():
    pytest.importorskip("torchvision")
    for name, width, stride in (
        ("resnet18", 512, 32),
        ("vgg11", 512, 16),
        ("mobilenet_v3_small", 576, 32),
    ):
        encoder = Backbone(name)
        assert (encoder.annotation_dim, encoder.stride) == (width, stride)
        assert encoder(torch.rand(1, 3, 64, 64)).shape == (1, (64 // stride) ** 2, width)


# In place of ours -----------------------------------------------------------------------------


class Timm(Grid, nn.Module):
    """A network of timm as an image encoder: what `Tiled` and the captioner ask of one."""

    def __init__(self, name, size):
        super().__init__()
        timm = pytest.importorskip("timm")
        self.network = timm.create_model(name, features_only=True, out_indices=(-1,))
        (self.annotation_dim,) = self.network.feature_info.channels()
        (self.stride,), self.size = self.network.feature_info.reduction(), size

    def forward(self, images):
        return self.network(images)[0].flatten(2).transpose(1, 2)


def stub(size, request):
    request.getfixturevalue("asked")
    return Backbone("resnet_like", size)


def real(size, request):
    pytest.importorskip("torchvision")
    return Backbone("resnet18", size)


def timm(size, request):
    return Timm("resnet18", size)


@pytest.mark.parametrize("make", [stub, real, timm])
def test_any_network_sees_tiles_and_serves_a_captioner(make, request):
    torch.manual_seed(0)
    network = make(64, request)
    D = network.annotation_dim
    encoder = Tiled(network, tiles=2)
    images = torch.rand(2, 3, 128, 128)
    other = images.clone()
    other[:, :, :64, 64:] = 0  # the upper right tile
    before, after = encoder(images).view(2, 4, 4, D), encoder(other).view(2, 4, 4, D)
    elsewhere = torch.ones(4, 4, dtype=torch.bool)
    elsewhere[:2, 2:] = False
    torch.testing.assert_close(after[:, elsewhere], before[:, elsewhere], rtol=1e-4, atol=1e-4)
    assert (after - before)[:, ~elsewhere].abs().amax() > 0.1
    for each in (encoder, network):
        attention = Attention(AdditiveScore(query_dim=5, key_dim=D, hidden_dim=5))
        model = Captioner(9, width=4, hidden=5, encoder=each, attention=attention)
        S = 16 if each is encoder else 4
        shown = images if each is encoder else images[..., :64, :64]
        logits, weights = model(shown, torch.tensor([S, S]), torch.tensor([[1, 7]] * 2))
        assert (logits.shape, weights.shape) == ((2, 2, 9), (2, 2, S))
        logits.sum().backward()
        assert model.decoder.attention.score.W.weight.grad.abs().sum() > 0

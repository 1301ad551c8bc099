"""Networks of torchvision as eyes, for photographs: deeper than ours, and trained on ImageNet.

torchvision is not needed by anything else here, and imported when a `Backbone` is made.
"""

import torch
from torch import Tensor, nn

from attnlib.captioning import Eye, check_images

# Mean and standard deviation of ImageNet's red, green and blue, as torchvision's weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
PROBE = 224  # pixels a side of an image that a stride of 32 and all smaller powers of 2 divide


class Backbone(nn.Module):
    """The last map of a torchvision network as annotations (Xu et al. 2015, section 3.1.1).

    Xu et al. take the 14 x 14 x 512 map before the last pooling of a VGG net, trained on ImageNet
    and left as it is (section 4.3): ``Backbone("vgg19", 224, "DEFAULT")``.
    Networks with ``features`` (VGG, MobileNet, DenseNet, EfficientNet, ConvNeXt) are taken to their
    end, less a last pooling, and residual networks to the end of their fourth stage.

    Such a network sees far beyond a cell, some the whole image: a weight on a cell says less about
    where it looked than it does with our `Eye`. The zeros that it pads with tell it where it is, so
    no positions are added.

    Parameters
    ----------
    name : str
        As `torchvision.models.get_model` knows it, such as ``resnet18``.
    size : int
        Height and width of the images it is meant for, in pixels; others may be shown to it, if
        they are cut into whole cells.
    weights : str, optional
        As torchvision names them: ``DEFAULT``, or ``IMAGENET1K_V1``; they are downloaded. None: the
        weights are random, and nothing is downloaded.
    trainable : bool
        Whether it learns with the rest. Its batch norms keep their statistics in either case (and
        dropout is off): small batches would spoil them.

    Attributes
    ----------
    annotation_dim : int
        Width D of the annotations.
    stride : int
        Pixels from a cell to the next.

    Raises
    ------
    ImportError
        If torchvision is missing, or was made for another torch.
    ValueError
        If the network is unknown, has no last map that we know how to find, or does not cut an
        image of this size into whole cells (AlexNet's cells never meet).

    Examples
    --------
    >>> eye = Backbone("resnet18")  # doctest: +SKIP
    >>> eye(torch.rand(2, 3, 224, 224)).shape, eye.cells(224, 224)  # doctest: +SKIP
    (torch.Size([2, 49, 512]), (7, 7))
    """

    def __init__(
        self,
        name: str = "resnet18",
        size: int = 224,
        weights: str | None = None,
        trainable: bool = False,
    ):
        super().__init__()
        self.size = size
        self.layers = _to_last_map(_models().get_model(name, weights=weights), name)
        for key, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(key, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.requires_grad_(trainable).train()
        with torch.no_grad():
            _, self.annotation_dim, rows, _ = self.layers(torch.zeros(1, 3, PROBE, PROBE)).shape
        self.stride = PROBE // rows
        if PROBE % rows:
            raise ValueError(f"{name} does not cut {PROBE} pixels into whole cells but into {rows}")
        self.cells(size, size)

    def train(self, mode: bool = True) -> "Backbone":
        """Remember the mode, but keep batch norms and dropout as they are in use."""
        super().train(mode)
        self.layers.eval()
        return self

    cells = Eye.cells  # the same rule: whole cells of stride x stride pixels

    def box(
        self, cell: int, height: int, width: int, seen: bool = False
    ) -> tuple[int, int, int, int]:
        """As `Eye.box`: the pixels of a cell; with `seen` the whole image, to be safe."""
        return (0, 0, width, height) if seen else Eye.box(self, cell, height, width)

    def forward(self, images: Tensor) -> Tensor:
        """Look at images (B, 3, H, W) in [0, 1]: annotations (B, S, D), the cells row by row."""
        check_images(images)
        self.cells(*images.shape[2:])
        maps = self.layers((images - self.mean) / self.std)  # (B, D, h, w)
        return maps.flatten(2).transpose(1, 2)


def _models():
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # RuntimeError: made for another torch
        raise ImportError(
            "torchvision's networks need torchvision, made for the torch that is here: "
            f"pip install torchvision ({type(error).__name__}: {error})"
        ) from error
    return models


def _to_last_map(network: nn.Module, name: str) -> nn.Sequential:
    """The layers of a network up to its last map."""
    if isinstance(getattr(network, "features", None), nn.Sequential):
        layers = list(network.features.children())
        return nn.Sequential(*(layers[:-1] if isinstance(layers[-1], nn.MaxPool2d) else layers))
    if hasattr(network, "layer4") and hasattr(network, "avgpool"):  # a residual network
        layers = dict(network.named_children())
        return nn.Sequential(*list(layers.values())[: list(layers).index("avgpool")])
    raise ValueError(
        f"no last map known for {name!r}: a network with features (such as vgg16) or with four "
        "residual stages (such as resnet18) is needed"
    )

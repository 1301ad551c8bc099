r"""Image encoders: from an image to a grid of annotation vectors, one for each cell.

`ImageEncoder` is a small convolutional network that is trained with the captioner; `Backbone` is a
network of torchvision, trained on ImageNet by others, and `efficientnet` has one that needs no
torchvision. `Tiled` lets such a network see each tile of a mosaic by itself. Any module that turns
images (B, 3, H, W) into annotations (B, S, D) may take their place. torchvision is imported only
when a `Backbone` is made; nothing else here needs it.

Shapes: images (B, 3, H, W), red, green and blue in [0, 1]; annotations (B, S, D), the cells row by
row from the top left.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

BODIES = {  # by pixels a side of a cell: channels, kernel, stride of each layer but the last
    8: ((32, 4, 2), (64, 4, 2), (64, 3, 1), (128, 4, 2)),
    16: ((32, 4, 2), (64, 4, 2), (96, 4, 2), (128, 4, 2)),
}
FIELDS = {"narrow": 1, "near": 1, "far": 3}  # the kernel of the last layer

# Mean and standard deviation of ImageNet's red, green and blue, as torchvision's weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
PROBE = 224  # pixels a side of an image that a stride of 32 and all smaller powers of 2 divide


class Grid:
    """The grid of cells into which an image encoder divides an image.

    A mixin. The encoder says how far its cells lie apart, how many pixels an annotation depends on,
    and how large the images are; `cells` and `box` follow from these.

    Attributes
    ----------
    stride : int
        Pixels from one cell to the next, which is also the height and width of a cell.
    receptive_field : int or None
        Height and width, in pixels, of the square that an annotation depends on; None: it may be
        the whole image.
    size : int
        Height and width of the images that it is meant for, in pixels.
    """

    size: int
    stride: int
    receptive_field: int | None = None

    def cells(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of cells of an image of this height and width, in pixels.

        Raises
        ------
        ValueError
            If the image does not divide into whole cells.

        Examples
        --------
        >>> ImageEncoder().cells(64, 96)
        (8, 12)
        """
        side = self.stride
        if height < side or width < side or height % side or width % side:
            raise ValueError(
                f"height and width must be multiples of {side} pixels, the side of a cell, got "
                f"{height} x {width}"
            )
        return height // side, width // side

    def box(
        self, cell: int, height: int, width: int, seen: bool = False
    ) -> tuple[int, int, int, int]:
        """The pixels of a cell, as (left, top, right, bottom), the last two excluded.

        With `seen`, all pixels that its annotation depends on: the part of its receptive field that
        lies in the image.

        Raises
        ------
        IndexError
            If there is no such cell.
        """
        rows, columns = self.cells(height, width)
        if not 0 <= cell < rows * columns:
            raise IndexError(f"no cell {cell} in {rows} x {columns} cells, counted from 0")
        side, beyond = self.stride, 0
        if seen:
            if self.receptive_field is None:
                return 0, 0, width, height
            beyond = (self.receptive_field - side) // 2
        top, left = side * (cell // columns), side * (cell % columns)
        return (
            max(0, left - beyond),
            max(0, top - beyond),
            min(width, left + side + beyond),
            min(height, top + side + beyond),
        )


class ImageEncoder(Grid, nn.Module):
    r"""A small convolutional network from an image to a grid of annotations.

    Xu et al. (2015, section 3.1.1) take the 14 x 14 feature map that a VGG network trained on
    ImageNet has before its last pooling. This network has five layers, each a convolution and a
    rectifier (ReLU) with the initial weights of He et al. (2015, eq. 10), and is trained with the
    decoder. It is built so that we can say which pixels an annotation depends on:

    * Every layer is centred: the receptive field of cell (row, column) lies evenly around its own
      square of `stride` x `stride` pixels. (A stride of 2 with a kernel of 3 would move it by half
      a pixel in each layer.)
    * There is no batch normalization and no group normalization between the layers. Batch
      normalization would make an annotation depend on the other images, and group normalization on
      the whole image, through its mean and variance. Layer normalization at each place by itself
      would be free of that, but we found that it learns more slowly than none.
    * The receptive field is an argument. It has to be wider than a cell, because a cell is smaller
      than the things in the image; but the wider it is, the less a weight on a cell says about
      where in the image the model looked.
    * Each cell has a learned position vector that is added to its annotation. Xu's annotations have
      none, yet know where they are: the zeros with which a VGG network pads an image mark its
      borders, and deep layers pass that on (Islam et al. 2020). A shallow network with small
      receptive fields cannot, and a caption needs "left of".

    Parameters
    ----------
    annotation_dim : int
        Width D of the annotations.
    size : int
        Height and width of the images, in pixels: the learned positions are for this size.
    field : str
        The receptive field: ``near`` or ``far``, the last layer has a kernel of 1 x 1 or 3 x 3;
        ``narrow``, every layer of stride 1 has a kernel of 1 x 1.
    positions : bool
        Whether cells have learned positions; without them, images may have any size.
    cell : int
        Height and width of a cell, in pixels: 8 or 16.
    normed : bool
        Whether layer normalization (Ba et al. 2016) is applied to each annotation before the
        positions are added, which then begin at the same length as the annotations. Without it
        annotations can grow much longer than the positions; the decoder then cannot tell where a
        cell is, and does not learn spatial relations.
    body : sequence of (channels, kernel, stride), optional
        The layers before the last one, in place of those that `cell` stands for.

    Raises
    ------
    ValueError
        If `field` or `cell` is unknown, a layer is not centred, or `size` is not a multiple of the
        stride; when called, if the images do not fit.
    TypeError
        When called with images that are not of a floating point type.

    Examples
    --------
    >>> encoder = ImageEncoder(annotation_dim=16)
    >>> encoder(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 16])
    >>> encoder.cells(64, 64), encoder.stride, encoder.receptive_field
    ((8, 8), 8, 30)
    >>> [ImageEncoder(field=field).receptive_field for field in ("narrow", "near", "far")]
    [22, 30, 46]
    >>> ImageEncoder(cell=16).receptive_field
    46
    >>> encoder.box(9, 64, 64), encoder.box(9, 64, 64, seen=True)
    ((8, 8, 16, 16), (0, 0, 27, 27))
    """

    def __init__(
        self,
        annotation_dim: int = 128,
        size: int = 64,
        *,
        field: str = "near",
        positions: bool = True,
        cell: int = 8,
        normed: bool = False,
        body: Sequence[tuple[int, int, int]] | None = None,
    ):
        super().__init__()
        if field not in FIELDS:
            raise ValueError(f"unknown field {field!r}: one of {', '.join(FIELDS)}")
        if cell not in BODIES:
            known = " or ".join(map(str, BODIES))
            raise ValueError(f"a cell may be {known} pixels a side, got {cell!r}")
        self.annotation_dim, self.size = annotation_dim, size
        layers: list[nn.Module] = []
        channels = 3
        self.stride, self.receptive_field = 1, 1
        for wide, kernel, stride in (*(body or BODIES[cell]), (annotation_dim, FIELDS[field], 1)):
            if field == "narrow" and stride == 1:
                kernel = 1
            beyond = kernel - stride  # by how much a place's kernel exceeds its own square
            if beyond < 0 or beyond % 2:
                raise ValueError(
                    f"a kernel of {kernel} with a stride of {stride} is not centred: kernel less "
                    "stride must be even, and not negative"
                )
            layers += [
                nn.Conv2d(channels, wide, kernel, stride, beyond // 2),
                nn.ReLU(),
            ]
            channels = wide
            self.receptive_field += (kernel - 1) * self.stride
            self.stride *= stride
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.norm = nn.LayerNorm(annotation_dim) if normed else nn.Identity()
        rows, columns = self.cells(size, size)
        self.P = None
        if positions:
            self.P = nn.Parameter(
                torch.randn(rows * columns, annotation_dim)
                * (1.0 if normed else annotation_dim**-0.5)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Look at images (B, 3, H, W): annotations (B, S, D)."""
        check_images(images)
        height, width = images.shape[2:]
        self.cells(height, width)
        if self.P is not None and (height, width) != (self.size, self.size):
            raise ValueError(
                f"the learned positions are for images of {self.size} x {self.size} pixels, got "
                f"{height} x {width}"
            )
        centred = 4 * images - 2  # else brightness drowns colour, and learning hardly starts
        maps = self.layers(centred.contiguous(memory_format=torch.channels_last))  # (B, D, h, w)
        annotations = self.norm(maps.permute(0, 2, 3, 1).flatten(1, 2))
        return annotations if self.P is None else annotations + self.P


class Backbone(Grid, nn.Module):
    """The last feature map of a torchvision network as annotations (Xu et al. 2015, section 3.1.1).

    Xu et al. take the 14 x 14 x 512 feature map before the last pooling of a VGG network, trained
    on ImageNet and then frozen (section 4.3): ``Backbone("vgg19", 224, weights="DEFAULT")``.
    Of networks with ``features`` (VGG, MobileNet, DenseNet, EfficientNet, ConvNeXt) we use all of
    them, without a last pooling; of residual networks everything up to their fourth stage.

    The receptive field of such a network is far wider than a cell, and may be the whole image, so a
    weight on a cell says less about where in the image the model looked than it does with
    `ImageEncoder`. No positions are added: the zeros with which these networks pad an image already
    tell each cell where it is.

    Parameters
    ----------
    name : str
        A name for `torchvision.models.get_model`, such as ``resnet18``.
    size : int
        Height and width, in pixels, of the images it is meant for; images of another size may be
        encoded too, if they divide into whole cells.
    weights : str, optional
        As torchvision names them: ``DEFAULT``, or ``IMAGENET1K_V1``; they are downloaded. None: the
        weights are random, and nothing is downloaded.
    trainable : bool
        Whether it is trained with the decoder; otherwise it is frozen. In either case its batch
        normalization keeps the stored statistics, which small batches would spoil, and its dropout
        is off.

    Attributes
    ----------
    annotation_dim : int
        Width D of the annotations.
    stride : int
        Pixels from one cell to the next.

    Raises
    ------
    ImportError
        If torchvision is missing, or was made for another torch.
    ValueError
        If the network is unknown, if we do not know how to find its last feature map, or if it does
        not divide an image of this size into whole cells (AlexNet never does).

    Examples
    --------
    >>> encoder = Backbone("resnet18")  # doctest: +SKIP
    >>> encoder(torch.rand(2, 3, 224, 224)).shape, encoder.cells(224, 224)  # doctest: +SKIP
    (torch.Size([2, 49, 512]), (7, 7))
    """

    mean: Tensor  # (3, 1, 1)
    std: Tensor  # (3, 1, 1)

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
        """Note the mode, but keep batch normalization and dropout in evaluation mode."""
        super().train(mode)
        self.layers.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1]: annotations (B, S, D), the cells row by row."""
        check_images(images)
        self.cells(*images.shape[2:])
        maps = self.layers((images - self.mean) / self.std)  # (B, D, h, w)
        return maps.flatten(2).transpose(1, 2)


class Tiled(Grid, nn.Module):
    """Annotations of a frozen network that sees each tile of an image by itself.

    So that an annotation depends on its own tile alone, whatever the network's receptive field: a
    weight on a cell is a look at that tile and at no other. The map of a tile is averaged over
    squares of `pool` x `pool` places, and each average is normalized (Ba et al. 2016, without gain
    and bias) and gets the learned position of its cell, which begins as long as it is.

    The network is no part of the module's parameters: it does not learn, is stored once for all
    models that use it, and its annotations can be computed once and kept (`features`).

    Parameters
    ----------
    network : Grid and nn.Module
        Such as `efficientnet.pretrained` gives, or a `Backbone`; its `size` is that of a tile.
    tiles : int
        Tiles a side.
    pool : int
        Places of the network's map a side of a cell.

    Raises
    ------
    ValueError
        If a tile's map does not divide into cells; when called, if the images do not fit.

    Examples
    --------
    >>> encoder = Tiled(ImageEncoder(annotation_dim=6, size=32), tiles=2, pool=2)
    >>> encoder(torch.rand(3, 3, 64, 64)).shape, encoder.cells(64, 64), encoder.stride
    (torch.Size([3, 16, 6]), (4, 4), 16)
    >>> sum(p.numel() for p in encoder.parameters())  # the positions
    96
    """

    network: Any  # a `Grid` and nn.Module

    def __init__(self, network, tiles: int = 2, pool: int = 1):
        super().__init__()
        self.__dict__["network"] = network.eval()  # no submodule
        self.tiles, self.pool = tiles, pool
        self.size, self.stride = tiles * network.size, network.stride * pool
        self.annotation_dim = network.annotation_dim
        rows, columns = self.cells(self.size, self.size)
        if rows % tiles:
            raise ValueError(
                f"a tile of {network.size} pixels does not divide into cells of {self.stride}"
            )
        self.P = nn.Parameter(torch.randn(rows * columns, self.annotation_dim))

    def _apply(self, fn, recurse=True):
        self.network._apply(fn, recurse)  # to another device or type
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the network sees of images (B, 3, H, W) in [0, 1]: (B, S, D), to be kept."""
        check_images(images)
        if images.shape[2:] != (self.size, self.size):
            height, width = images.shape[2:]
            raise ValueError(f"images must be {self.size} x {self.size}, got {height} x {width}")
        n, side = self.tiles, self.network.size
        tiles = images.unflatten(2, (n, side)).unflatten(4, (n, side))  # (B, 3, n, side, n, side)
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)  # (B n n, 3, side, side)
        return arranged(self.pooled(self.network(tiles)).unflatten(0, (-1, n, n)))

    def pooled(self, annotations: Tensor) -> Tensor:
        """A tile's annotations (B, S, D) by its cells: (B, rows, columns, D)."""
        side = self.network.size
        maps = annotations.transpose(1, 2).unflatten(2, self.network.cells(side, side))
        return nn.functional.avg_pool2d(maps, self.pool).permute(0, 2, 3, 1)

    def annotate(self, features: Tensor) -> Tensor:
        """Annotations (B, S, D) of what `features` gave."""
        return nn.functional.layer_norm(features, features.shape[-1:]) + self.P

    def forward(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1]: annotations (B, S, D), the cells row by row."""
        return self.annotate(self.features(images))


def arranged(tiles: Tensor) -> Tensor:
    """Tiles (B, n, m, rows, columns, D) side by side: all cells row by row, (B, S, D).

    >>> arranged(torch.arange(8).view(1, 1, 2, 2, 2, 1))[0, :, 0]
    tensor([0, 1, 4, 5, 2, 3, 6, 7])
    """
    return tiles.transpose(2, 3).flatten(1, 4)


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
    """The layers of a network up to its last feature map."""
    features = getattr(network, "features", None)
    if isinstance(features, nn.Sequential):
        layers = list(features.children())
        return nn.Sequential(*(layers[:-1] if isinstance(layers[-1], nn.MaxPool2d) else layers))
    if hasattr(network, "layer4") and hasattr(network, "avgpool"):  # a residual network
        named = dict(network.named_children())
        return nn.Sequential(*list(named.values())[: list(named).index("avgpool")])
    raise ValueError(
        f"no last map known for {name!r}: a network with features (such as vgg16) or with four "
        "residual stages (such as resnet18) is needed"
    )


def check_images(images: Tensor) -> None:
    """Refuse anything but a batch of images (B, 3, H, W) in floating point.

    >>> check_images(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    Traceback (most recent call last):
    TypeError: images must be floating point in [0, 1], got torch.uint8: divide by 255
    """
    if images.dim() != 4 or images.shape[1] != 3:
        hint = ""
        if images.dim() == 3:
            hint = "; one image needs a batch of one, image.unsqueeze(0)"
        elif images.dim() == 4 and images.shape[1] == 1:
            hint = "; repeat the channel of grey images, images.expand(-1, 3, -1, -1)"
        elif images.dim() == 4 and images.shape[1] == 4:
            hint = "; leave out the alpha channel, images[:, :3]"
        elif images.dim() == 4 and images.shape[-1] == 3:
            hint = "; the channels come first, images.permute(0, 3, 1, 2)"
        raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}{hint}")
    if not images.is_floating_point():
        raise TypeError(
            f"images must be floating point in [0, 1], got {images.dtype}: divide by 255"
        )

r"""A transformer on patches: a picture is 64 words (ViT, Dosovitskiy et al. 2021).

The picture is cut into squares of P x P pixels; each, as one long vector, is projected to width D,
gets a learned position and goes through a transformer encoder, in which every patch may attend to
every other from the first layer on. One more vector, [class], is read with them, and the answer is
read off it at the end (section 3.1, eq. 1 to 4):

.. math:: z_0 = [x_\text{class};\; x_p^1 E;\; \ldots;\; x_p^N E] + E_\text{pos}, \qquad
          y = \mathrm{LN}(z_L^0)

That patches are neighbours, or that a thing is the same wherever it stands, the network has to
learn; a convolutional network is built so. Both are asked the same here (`attnlib.data.beside`):
which colour stands beside the white thing, and in which quarter is that? The second question is the
easier one, and the transformer needs it: asked the first alone it stays with the colours that are
in the picture for a long time, since to find the white thing is of no use until its row is used,
and its row cannot be used until it is found.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnlib.attribution import rollout
from attnlib.beyond.teaching import descend
from attnlib.data.beside import COLOURS, Pictures
from attnlib.data.scenes import SIZE
from attnlib.positions import Learned, Positions
from attnlib.transformer import Stack
from attnlib.vision import ImageEncoder, check_images
from attnlib.windows import Everywhere

PATCH = 8  # pixels a side
ANSWERS = len(COLOURS), 4  # numbers of colours and of quarters


class PatchTransformer(nn.Module):
    """The Vision Transformer, small.

    Parameters
    ----------
    width, layers, heads, feed_forward : int
        As for `transformer.Stack`.
    positions : bool
        Whether a patch has a learned position; without, a picture is a set of patches.
    patch, size : int
        Pixels a side, of a patch and of the picture.

    Raises
    ------
    ValueError
        If the picture does not divide into patches; when called, if the images do not fit.

    Examples
    --------
    >>> model = PatchTransformer()
    >>> model(torch.rand(2, 3, 64, 64)).shape, model.attention_maps(torch.rand(2, 3, 64, 64)).shape
    (torch.Size([2, 9]), torch.Size([2, 2, 4, 65, 65]))
    """

    def __init__(
        self,
        width: int = 48,
        *,
        layers: int = 2,
        heads: int = 4,
        feed_forward: int = 96,
        positions: bool = True,
        patch: int = PATCH,
        size: int = SIZE,
    ):
        super().__init__()
        if size % patch:
            raise ValueError(f"a picture of {size} pixels does not divide into patches of {patch}")
        self.patch, self.size = patch, size
        number = (size // patch) ** 2
        self.E = nn.Linear(3 * patch**2, width)
        self.first = nn.Parameter(torch.zeros(width))  # [class]
        self.stack = Stack(
            layers,
            width,
            heads=heads,
            hidden=feed_forward,
            window=Everywhere,
            positions=Learned(width, number + 1) if positions else Positions(),
        )
        # Stack multiplies by the root of D: then patches and positions are equally long, about 1 in
        # each dimension. From shorter ones (the authors' code begins at 0.02) the networks here did
        # not learn to relate two places.
        nn.init.normal_(self.E.weight, std=(3 * patch**2 * width) ** -0.5)
        for place in self.stack.positions.parameters():
            nn.init.normal_(place)
        self.head = nn.Linear(width, sum(ANSWERS))

    def cut(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) from 0 to 1 as patches (B, N, 3 P P), row by row, from -2 to 2."""
        check_images(images)
        if images.shape[2:] != (self.size, self.size):
            raise ValueError(f"images must be {self.size} x {self.size}, got {images.shape[2:]}")
        return nn.functional.unfold(4 * images - 2, self.patch, stride=self.patch).transpose(1, 2)

    def _read(self, images: Tensor, weights_of=()):
        patches = self.E(self.cut(images))
        first = self.first.expand(len(images), 1, -1)
        return self.stack(torch.cat([first, patches], 1), weights_of=weights_of)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 9) of images (B, 3, H, W): of `COLOURS`, then of quarters."""
        return self.head(self._read(images)[0][:, 0])

    def attention_maps(self, images: Tensor) -> Tensor:
        """The weights of all heads of all blocks, [class] first: (B, L, H, 1 + N, 1 + N)."""
        return torch.stack(self._read(images, range(len(self.stack.blocks)))[1], 1)


class SmallConvNet(nn.Module):
    """A convolutional network of about as many parameters: `vision.ImageEncoder`, then two layers.

    Four convolutions, each halving the picture; the last 4 x 4 cells are read as one vector.
    """

    def __init__(self, size: int = SIZE):
        super().__init__()
        body = (16, 4, 2), (24, 4, 2), (32, 4, 2), (48, 4, 2)
        self.encoder = ImageEncoder(16, size, body=body, positions=False)
        cells = (size // self.encoder.stride) ** 2
        self.hidden = nn.Linear(16 * cells, 24)
        self.head = nn.Linear(24, sum(ANSWERS))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 9) of images (B, 3, H, W): of `COLOURS`, then of quarters."""
        return self.head(self.hidden(self.encoder(images).flatten(1)).relu())


# Training -------------------------------------------------------------------------------------


def loss(model: nn.Module, asked: Pictures, both: bool = True) -> Tensor:
    """The mean -log p of the colour, in nats; of `both` answers, that of the quarter added."""
    colours, quarters = model(asked.images / 255).split(ANSWERS, -1)
    lost = cross_entropy(colours, asked.answers)
    return lost + cross_entropy(quarters, asked.quarters) if both else lost


def fit(
    model: nn.Module,
    draw: Callable[[int], Pictures],
    updates: int = 1500,
    lr: float = 0.001,
    both: bool = True,
    seed: int = 0,
) -> nn.Module:
    """Train with Adam on what `draw` gives at each update; the model comes back.

    The rate rises for a tenth of the updates (`teaching.descend`). With `both` the quarter of the
    white thing is asked for as well.
    """

    def lost(update: int) -> Tensor:
        return loss(model, draw(update), both)

    return descend(model, lost, updates, lr, updates // 10, seed)


@torch.no_grad()
def answers(model: nn.Module, images: Tensor, batch: int = 250) -> Tensor:
    """The likeliest colour and quarter (N, 2) of pictures uint8 (N, 3, H, W)."""
    logits = torch.cat([model(some / 255) for some in images.split(batch)])
    return torch.stack([each.argmax(-1) for each in logits.split(ANSWERS, -1)], 1)


# Where does [class] look? ---------------------------------------------------------------------


@torch.no_grad()
def class_maps(model: PatchTransformer, images: Tensor, batch: int = 100) -> dict[str, Tensor]:
    """Weights on the N patches by which [class] may be said to look, each (B, N).

    ``layer 1``, ``layer 2`` and so on: the mean of the heads; ``rollout`` of all layers
    (`attribution.rollout`). The share on [class] itself is left out: rows sum to less than 1.
    """
    found: dict[str, list[Tensor]] = {}
    for some in images.split(batch):
        layers = model.attention_maps(some / 255).mean(2).unbind(1)  # (B, 1 + N, 1 + N) each
        maps = {f"layer {k}": layer for k, layer in enumerate(layers, 1)}
        for name, each in (maps | {"rollout": rollout(layers)}).items():
            found.setdefault(name, []).append(each[:, 0, 1:])
    return {name: torch.cat(each) for name, each in found.items()}

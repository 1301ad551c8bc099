r"""Segmentation without masks (Wang et al. 2020): where is the star, from "there is a star".

A network that says which things a picture shows, by the mean of one map a class, has maps that can
be looked at: class activation maps (Zhou et al. 2016). They cover what tells the classes apart, not
the things, and change when the picture is made smaller. The paper's SEAM mends both, and uses no
mask either:

* the pixel correlation module is self-attention over the cells of the picture. Its score is the
  cosine, rectified (`scores.RectifiedCosineScore`); keys and queries share one projection; the
  values are the maps themselves, without a projection, and nothing is added to the result:

  .. math:: y_i = \frac{\sum_j \max(0, \cos(\theta_i, \theta_j))\, \hat y_j}
                       {\sum_j \max(0, \cos(\theta_i, \theta_j))}

* two losses ask that the maps of a smaller picture be the smaller maps of the picture.

The pictures are `attnlib.data.scenes`, whose masks are drawn and therefore known. Cells lie row by
row; h, w are rows and columns of cells, S = h w, C classes. Class 0 of a segmented picture is the
background.
"""

from collections.abc import Iterator
from itertools import count, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, multilabel_soft_margin_loss

from attnlib.attention import Attention
from attnlib.data.scenes import COLOURS, SIZE, Sample, Scenes
from attnlib.scores import RectifiedCosineScore
from attnlib.vision import ImageEncoder

NOUNS = ("circle", "ring", "square", "triangle", "cross", "star")  # classes 1 to 6
BODY = ((24, 4, 2), (48, 4, 2), (48, 3, 1), (48, 3, 1))  # a cell is 4 pixels a side
MIDDLE = 6  # so many layers of the encoder, rectifiers counted, make the middle features
EPSILON = 1e-5
SCALE = 0.5  # of the smaller picture
TILE, TILED = 8, 0.8  # of a tiled background: pixels a side, and how much of it is tiles
HARDEST = 0.2  # the share of the differences that the cross loss looks at


class LabelledScenes(NamedTuple):
    """N scenes and what is known of them."""

    images: Tensor  # (N, 3, SIZE, SIZE), in [0, 1]
    labels: Tensor  # (N, C), boolean: which classes are in the scene
    truth: Tensor  # (N, SIZE, SIZE), the class of each pixel, 0 the background

    def some(self, which: Tensor) -> "LabelledScenes":
        """Those of these numbers."""
        return LabelledScenes(self.images[which], self.labels[which], self.truth[which])


def labelled(samples: list[Sample]) -> LabelledScenes:
    """Scenes with the nouns that they show, and their masks by noun.

    Examples
    --------
    >>> sample = Scenes("test").sample(0)
    >>> images, labels, truth = labelled([sample])
    >>> {NOUNS[c] for c in labels[0].nonzero()[:, 0]} == {thing.noun for thing in sample.things}
    True
    """
    labels = torch.zeros(len(samples), len(NOUNS), dtype=torch.bool)
    truth = torch.zeros(len(samples), SIZE, SIZE, dtype=torch.long)
    for n, sample in enumerate(samples):
        for thing, mask in zip(sample.things, sample.masks):
            labels[n, NOUNS.index(thing.noun)] = True
            truth[n][torch.from_numpy(mask)] = NOUNS.index(thing.noun) + 1
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return LabelledScenes(images.permute(0, 3, 1, 2).float() / 255, labels, truth)


def large(split: str, nouns: int = 1) -> Iterator[Sample]:
    """The scenes of a split that show so many nouns at least, and no small thing.

    (A small thing is three cells wide. Where there is one noun, its label names every pixel that is
    not background.)
    """
    for sample in map(Scenes(split).sample, count()):
        names = {thing.noun for thing in sample.things}
        if len(names) >= nouns and all(thing.size == "large" for thing in sample.things):
            yield sample


def scenes(split: str, number: int, nouns: int = 1) -> LabelledScenes:
    """So many scenes of `large` things."""
    return labelled(list(islice(large(split, nouns), number)))


def tiled(pictures: LabelledScenes, seed: int, shades: bool = False) -> LabelledScenes:
    """The same scenes before tiles in the colours of the shapes, drawn by chance.

    Colour does then not tell what is in front. A fifth of the old background is left, with its
    lines and its noise. With `shades` nothing is left of it, and each tile has the colour of some
    pixel of the scene's own shapes, so that no shade tells, either.

    Examples
    --------
    >>> plain = scenes("test", 1)
    >>> there = plain.truth > 0
    >>> before = tiled(plain, seed=0).images != plain.images
    >>> bool(before.any(1)[there].any()), bool(before.any(1)[~there].all())
    (False, True)
    """
    generator = torch.Generator().manual_seed(seed)
    in_front = pictures.truth[:, None] > 0
    shape = len(pictures.labels), SIZE // TILE, SIZE // TILE
    if shades:
        there = in_front.flatten(1).double()  # (N, H W)
        number = torch.multinomial(there, shape[1] * shape[2], True, generator=generator)
        pixels = pictures.images.flatten(2)  # (N, 3, H W)
        drawn = pixels.gather(2, number.unsqueeze(1).expand(-1, 3, -1)).unflatten(2, shape[1:])
    else:
        known = torch.tensor(list(COLOURS.values())) / 255
        drawn = known[torch.randint(len(known), shape, generator=generator)].permute(0, 3, 1, 2)
    tiles = interpolate(drawn, scale_factor=TILE, mode="nearest")
    behind = tiles if shades else TILED * tiles + (1 - TILED) * pictures.images
    return pictures._replace(images=torch.where(in_front, pictures.images, behind))


class Maps(NamedTuple):
    """What a `Segmenter` makes of B pictures."""

    scores: Tensor  # (B, C, h, w): the class activation maps; their mean is a class's logit
    revised: Tensor  # (B, 1 + C, h, w), 0 to 1: after the module, the background first
    weights: Tensor  # (B, S, S): rows are the cells that ask


class Segmenter(nn.Module):
    """An image encoder, a score for each class in each cell, and the pixel correlation module.

    The module learns beside the rest and does not disturb it: gradients stop at what it is given,
    as in the paper's code. So one training gives the map alone and the map with the module.

    Parameters
    ----------
    classes : int
        C.
    width : int
        Of the annotations of the encoder.
    related : int
        Of queries and keys.
    """

    def __init__(self, classes: int = len(NOUNS), width: int = 64, related: int = 48):
        super().__init__()
        self.encoder = ImageEncoder(width, SIZE, field="far", positions=False, body=BODY)
        self.W = nn.Linear(width, classes, bias=False)
        middle = BODY[MIDDLE // 2 - 1][0]
        self.V_1 = nn.Linear(middle, related // 2, bias=False)
        self.V_2 = nn.Linear(width, related // 2, bias=False)
        self.theta = nn.Linear(3 + 2 * (related // 2), related, bias=False)
        self.attention = Attention(RectifiedCosineScore())

    def forward(self, images: Tensor, labels: Tensor) -> Maps:
        """Make maps of images (B, 3, H, W) that show the classes `labels` (B, C), boolean.

        The labels choose which maps the module is given, and do nothing else. (The paper's code
        gives it the maps of all classes, and strikes those that are not in the picture afterwards.)

        Raises
        ------
        ValueError
            If the images do not divide into cells, or there is not one label a picture and class.
        TypeError
            If the labels are not boolean.
        """
        wanted = len(images), self.W.out_features
        if labels.dtype != torch.bool:
            raise TypeError(f"labels must be boolean, got {labels.dtype}")
        if labels.shape != wanted:
            raise ValueError(f"labels must be (B, C) = {wanted}, got {tuple(labels.shape)}")
        h, w = self.encoder.cells(*images.shape[2:])
        annotations = self.encoder(images)  # (B, S, D)
        scores = self.activations(annotations, h, w)
        features = self.features(images, annotations)
        values = with_background(only_largest(normed(scores.detach(), labels)))
        revised, weights = self.attention(features, features, values.flatten(2).transpose(1, 2))
        return Maps(scores, revised.transpose(1, 2).unflatten(2, (h, w)), weights)

    def activations(self, annotations: Tensor, h: int, w: int) -> Tensor:
        """The class activation maps (B, C, h, w) of annotations (B, S, D)."""
        return self.W(annotations).transpose(1, 2).unflatten(2, (h, w))

    def name(self, images: Tensor) -> Tensor:
        """The logits (B, C) of the classes alone."""
        return self.W(self.encoder(images)).mean(1)

    def features(self, images: Tensor, annotations: Tensor) -> Tensor:
        """What is compared: colour, middle and last features of each cell, projected: (B, S, A)."""
        h, w = self.encoder.cells(*images.shape[2:])
        with torch.no_grad():  # what the encoder was on the way; no gradient goes there
            centred = 4 * images - 2  # as in the encoder
            middle = self.encoder.layers[:MIDDLE](centred).flatten(2).transpose(1, 2)
            seen = colours(centred, h, w)
        near, far = self.V_1(middle).relu(), self.V_2(annotations.detach()).relu()
        return self.theta(torch.cat([seen, near, far], -1))


def normed(maps: Tensor, labels: Tensor) -> Tensor:
    """Maps (B, C, h, w) from 0 to 1, each by its own least and largest; zeros where no label is."""
    maps = maps.relu()
    least, most = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    maps = (maps - least - EPSILON).relu() / (most - least + EPSILON)
    return maps * labels[:, :, None, None]


def with_background(maps: Tensor) -> Tensor:
    """Put a map of the background before those of the classes: 1 less the largest of them."""
    return torch.cat([1 - maps.amax(1, keepdim=True), maps], 1)


def only_largest(maps: Tensor) -> Tensor:
    """Zero all but the largest class of each cell."""
    return maps * (maps == maps.amax(1, keepdim=True))


# Losses -----------------------------------------------------------------------------------------


def smaller(images: Tensor, scale: float = SCALE) -> Tensor:
    """The pictures (B, 3, H, W), made smaller."""
    size = [round(side * scale) for side in images.shape[2:]]
    return interpolate(images, size, mode="bilinear", antialias=True)


def naming(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of labels (B, C), each a logistic of its logit."""
    return multilabel_soft_margin_loss(logits, labels.float())


def losses(model: Segmenter, pictures: LabelledScenes) -> dict[str, Tensor]:
    r"""The losses of the paper, each weighed by 1 there, of pictures and smaller copies of them.

    Returns
    -------
    dict
        ``class``: cross-entropy of the labels, each a logistic of the mean of its map; mean of the
        two pictures. ``equivariance`` (ER): mean difference between the smaller maps and the maps
        of the smaller picture, of all classes. ``cross`` (ECR): the same between the maps of the
        one and what the module makes of the other, both ways, of the fifth of the numbers that
        differ most; the maps are fixed there, so that only the module learns. (The code has one
        loss more, which pushes the lowest quarter of the revised maps to 0 and, it says, changes
        only which background score is best; it is left out.)
    """
    labels = pictures.labels
    big, small = (model(x, labels) for x in (pictures.images, smaller(pictures.images)))
    told = [naming(maps.scores.mean((2, 3)), labels) for maps in (big, small)]

    def resized(maps: Tensor) -> Tensor:
        return interpolate(maps, small.scores.shape[2:], mode="bilinear", antialias=True)

    maps = resized(normed(big.scores, labels)), normed(small.scores, labels)
    seen = torch.cat([torch.ones_like(labels[:, :1]), labels], 1)
    revised = resized(normed(big.revised, seen)), normed(small.revised, seen)
    one, other = (with_background(only_largest(each)).detach() for each in maps)
    return {
        "class": (told[0] + told[1]) / 2,
        "equivariance": (maps[0] - maps[1]).abs().mean(),
        "cross": hardest(other - revised[0]) + hardest(one - revised[1]),
    }


def hardest(differences: Tensor, share: float = HARDEST) -> Tensor:
    """The mean size of the largest so many of the differences (B, ...) of each picture."""
    sizes = differences.abs().flatten(1)
    return sizes.topk(max(1, int(share * sizes.shape[1])), dim=1).values.mean()


def mask_loss(model: Segmenter, pictures: LabelledScenes) -> Tensor:
    """What a network would learn from if it had the masks: the cross-entropy of each pixel."""
    scores = model(pictures.images, pictures.labels).scores
    scores = interpolate(scores, pictures.truth.shape[1:], mode="bilinear")
    background = torch.zeros_like(scores[:, :1])
    return cross_entropy(torch.cat([background, scores], 1), pictures.truth)


def fit(
    model: Segmenter,
    pictures: LabelledScenes,
    updates: int = 1000,
    equivariance: float = 1.0,
    joins: float = 0.5,
    masks: bool = False,
    lr: float = 0.003,
    batch: int = 16,
    seed: int = 0,
) -> Segmenter:
    """Train with Adam, its rate falling to zero in a line; the model comes back.

    Parameters
    ----------
    equivariance : float
        What the loss between the views is multiplied by; at 0 both views are still named.
    joins : float
        The share of the updates in which names alone are learned, before module and equivariance
        join. The paper begins with a network that knows pictures, and need not wait. Here maps that
        are negative everywhere agree from the first update, name nothing, and stay: with 0 that is
        what comes.
    masks : bool
        Learn from the masks instead (`mask_loss`): what is to be reached at best.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)
    for update in range(updates):
        drawn = pictures.some(torch.randint(len(pictures.images), (batch,), generator=generator))
        if masks:
            loss = mask_loss(model, drawn)
        elif update < joins * updates:
            big, small = (model.name(x) for x in (drawn.images, smaller(drawn.images)))
            loss = (naming(big, drawn.labels) + naming(small, drawn.labels)) / 2
        else:
            parts = losses(model, drawn)
            loss = parts["class"] + equivariance * parts["equivariance"] + parts["cross"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
    return model


# What is found ----------------------------------------------------------------------------------


@torch.no_grad()
def look(
    model: Segmenter, images: Tensor, labels: Tensor, batch: int = 50
) -> tuple[Tensor, Tensor]:
    """The maps (N, C, h, w) of all pictures, normed: alone, and after the module."""
    found = []
    for these, named in zip(images.split(batch), labels.split(batch)):
        maps = model(these, named)
        found.append((normed(maps.scores, named), normed(maps.revised[:, 1:], named)))
    alone, revised = zip(*found)
    return torch.cat(alone), torch.cat(revised)


def segment(maps: Tensor, threshold: float, size: int = SIZE) -> Tensor:
    """The class of each pixel (N, size, size): the largest map there, or 0 if below the threshold.

    Maps (N, C, h, w) from 0 to 1, zeros for classes that are not in the picture.
    """
    maps = interpolate(maps, (size, size), mode="bilinear")
    background = torch.full_like(maps[:, :1], threshold)
    return torch.cat([background, maps], 1).argmax(1)


def overlaps(segmented: Tensor, truth: Tensor, classes: int = len(NOUNS) + 1) -> Tensor:
    r"""Intersection over union of each class (C + 1,), over the pixels of all pictures.

    A class that is neither there nor named is 1.

    Examples
    --------
    >>> overlaps(torch.tensor([[0, 1, 1, 2]]), torch.tensor([[0, 0, 1, 2]]), classes=3)
    tensor([0.5000, 0.5000, 1.0000])
    """
    pairs = torch.bincount((truth * classes + segmented).flatten(), minlength=classes**2)
    pairs = pairs.view(classes, classes).double()  # rows: truth
    both = pairs.diag()
    either = pairs.sum(0) + pairs.sum(1) - both
    return torch.where(either > 0, both / either.clamp(min=1), 1.0).float()


def unlike_the_rest(images: Tensor) -> Tensor:
    """How far each pixel's colour is from the middle one of its picture: (N, H, W); the farthest 1.

    The middle one is the median of each channel of images (N, 3, H, W), so the background's, as a
    rule. Nothing is learned.

    Examples
    --------
    >>> image = torch.zeros(1, 3, 1, 3)
    >>> image[..., 2] = 0.5
    >>> unlike_the_rest(image)
    tensor([[[0., 0., 1.]]])
    """
    middle = images.flatten(2).median(2).values[:, :, None, None]
    far = (images - middle).norm(dim=1)
    return far / far.amax((1, 2), keepdim=True)


def colours(images: Tensor, h: int, w: int, centred: bool = False) -> Tensor:
    """The mean colours (N, h w, 3) of the cells of images (N, 3, H, W); or less their own mean.

    Colours have no negative part, so that no cosine of two is below 0; of centred ones it may be.
    """
    found = interpolate(images, (h, w), mode="area").flatten(2).transpose(1, 2)
    return found - found.mean(1, keepdim=True) if centred else found


def by_distance(vectors: Tensor, width: float) -> Tensor:
    r"""Weights (N, S, S) of a self-attention whose score has a temperature.

    :math:`a_{ij} \propto \exp(-\lVert c_i - c_j \rVert^2 / w^2)`, where :math:`c_i` is the vector
    of a cell, of `vectors` (N, S, A), and :math:`w` the width.
    """
    return (-((torch.cdist(vectors, vectors) / width) ** 2)).softmax(-1)


def by_cosine(vectors: Tensor) -> Tensor:
    """Weights (N, S, S) by the module's score, the rectified cosine, of vectors (N, S, A)."""
    return RectifiedCosineScore()(vectors, vectors).softmax(-1)


def averaged(weights: Tensor, maps: Tensor) -> Tensor:
    """Each cell the average of all cells' maps (N, C, h, w), as the module does it."""
    values = with_background(only_largest(maps)).flatten(2).transpose(1, 2)
    return (weights @ values).transpose(1, 2).unflatten(2, maps.shape[2:])[:, 1:]


def averaged_by_colour(images: Tensor, maps: Tensor, width: float) -> Tensor:
    """The average by how near the colours of two cells are: nothing is learned for it."""
    return averaged(by_distance(colours(images, *maps.shape[2:]), width), maps)


def named_by(maps: Tensor, outlines: Tensor) -> Tensor:
    """Outlines (N, H, W) as maps (N, C, H, W): each pixel's goes to the largest of `maps` there."""
    large = interpolate(maps, outlines.shape[1:], mode="bilinear")
    return only_largest(large).sign() * outlines[:, None]


def best_threshold(maps: Tensor, truth: Tensor) -> float:
    """Of 0.02, 0.04, up to 0.98, that with the largest mean overlap; for validation pictures."""
    tried = [n / 50 for n in range(1, 50)]
    return max(tried, key=lambda t: float(overlaps(segment(maps, t), truth).mean()))


def equivariance_error(maps: Tensor, moved: Tensor, labels: Tensor) -> float:
    """How far maps that were moved (N, C, h, w) are from the maps of moved pictures, in the mean.

    Over the cells and the classes that are in the pictures, as a share of the mean of both: 0 where
    they are the same, 2 where they have nothing in common.
    """
    there = labels[:, :, None, None].expand_as(maps)
    return float((maps - moved).abs()[there].mean() / ((maps + moved) / 2)[there].mean())

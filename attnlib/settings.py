"""Settings: from the names in a run's configuration, or on a model's card, to objects.

The models take objects: a score of your own is a class that you hand to `Attention`, and needs no
name. Names are for what is written down: `training.RunConfig`, the cards of shipped models and the
command line. This is the one place that knows them.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import nn

from attnlib import efficientnet
from attnlib.attention import Attention
from attnlib.autoregressive import AutoregressiveModel
from attnlib.captioning import Captioner
from attnlib.positions import Learned, Positions, Rotary, Sinusoidal
from attnlib.scores import (
    AdditiveScore,
    ConcatScore,
    CosineScore,
    DotScore,
    GeneralScore,
    LocationScore,
    ScaledDotScore,
    Score,
)
from attnlib.selection import Hard, Soft, StraightThroughGumbel
from attnlib.seq2seq import Translator
from attnlib.transformer import Transformer
from attnlib.vision import Backbone, ImageEncoder, Tiled
from attnlib.windows import Causal, Everywhere, Monotonic, Predictive, Window

SCORES: dict[str, type[Score]] = {
    "dot": DotScore,
    "scaled_dot": ScaledDotScore,
    "cosine": CosineScore,
    "general": GeneralScore,
    "additive": AdditiveScore,
    "concat": ConcatScore,
    "location": LocationScore,
}
WINDOWS: dict[str, type[Window]] = {
    "everywhere": Everywhere,
    "causal": Causal,
    "monotonic": Monotonic,
    "predictive": Predictive,
}
SELECTIONS: dict[str, type[nn.Module]] = {
    "soft": Soft,
    "hard": Hard,
    "gumbel": StraightThroughGumbel,
}
POSITIONS: dict[str, type[Positions]] = {
    "sinusoidal": Sinusoidal,
    "learned": Learned,
    "rotary": Rotary,
    "none": Positions,
}


TILES, WHOLE = "efficientnet-lite0-tiles", "efficientnet-lite0"  # image encoders; see `make_tiled`
FROZEN = {TILES: (2, 2), WHOLE: (1, 1)}  # tiles a side, and places of their map a side of a cell
Named = TypeVar("Named")


def _known(dial: str, name: str, names: Mapping[str, Named]) -> Named:
    if name not in names:
        raise ValueError(f"unknown {dial} {name!r}: one of {', '.join(names)}")
    return names[name]


def make_score(
    name: str, query_dim: int, key_dim: int, *, hidden_dim: int = 0, max_source: int = 0
) -> Score:
    """A score by its name.

    Parameters
    ----------
    name : str
        One of `SCORES`.
    query_dim, key_dim : int
        Widths of queries and keys.
    hidden_dim : int
        A, needed by the additive and the concat score.
    max_source : int
        Longest source, needed by the location score.

    Raises
    ------
    ValueError
        If the name is unknown, a width that the score needs was not given, or the widths do not
        fit.

    Examples
    --------
    >>> make_score("general", query_dim=2, key_dim=3).W.weight.shape
    torch.Size([2, 3])
    """
    score = _known("score", name, SCORES)
    if score in (AdditiveScore, ConcatScore):
        if hidden_dim <= 0:
            raise ValueError(f"the {name} score needs hidden_dim > 0, got {hidden_dim}")
        return score(query_dim, key_dim, hidden_dim)
    if score is LocationScore:
        if max_source <= 0:
            raise ValueError(f"the location score needs max_source > 0, got {max_source}")
        return LocationScore(query_dim, max_source)
    if score is GeneralScore:
        return GeneralScore(query_dim, key_dim)
    if query_dim != key_dim:
        raise ValueError(f"the {name} score needs equal widths, got {query_dim} and {key_dim}")
    return score()


def make_window(
    name: str, *, query_dim: int | None = None, hidden_dim: int | None = None, reach: int = 10
) -> Window:
    """A window by its name.

    Parameters
    ----------
    name : str
        One of `WINDOWS`.
    query_dim, hidden_dim : int
        Needed by the predictive window.
    reach : int
        D of the two local windows.

    Raises
    ------
    ValueError
        If the name is unknown, or a width that the window needs was not given.

    Examples
    --------
    >>> make_window("everywhere")
    Everywhere()
    >>> make_window("gaussian")
    Traceback (most recent call last):
    ValueError: unknown window 'gaussian': one of everywhere, causal, monotonic, predictive
    """
    window = _known("window", name, WINDOWS)
    if window is Predictive:
        if query_dim is None or hidden_dim is None:
            raise ValueError("the predictive window needs query_dim and hidden_dim")
        return Predictive(query_dim, hidden_dim, reach)
    return Monotonic(reach) if window is Monotonic else window()


def make_selection(
    name: str,
    *,
    expectation: float = 0.5,
    temperature: float = 1.0,
    final_temperature: float = 0.5,
) -> nn.Module:
    """A selection by its name.

    Parameters
    ----------
    name : str
        One of `SELECTIONS`.
    expectation : float
        Of the hard selection.
    temperature, final_temperature : float
        Of the Gumbel selection.

    Raises
    ------
    ValueError
        If the name is unknown, or a number makes no sense.

    Examples
    --------
    >>> make_selection("soft")
    Soft()
    >>> make_selection("hard", expectation=0.25).expectation
    0.25
    """
    selection = _known("selection", name, SELECTIONS)
    if selection is Hard:
        return Hard(expectation)
    if selection is StraightThroughGumbel:
        return StraightThroughGumbel(temperature, final_temperature)
    return selection()


def make_attention(
    score: str | None,
    window: str = "everywhere",
    selection: str = "soft",
    *,
    query_dim: int,
    key_dim: int,
    hidden_dim: int,
    max_source: int = 200,
    reach: int = 10,
    expectation: float = 0.5,
    temperature: float = 1.0,
    final_temperature: float = 0.5,
) -> Attention | None:
    """An `Attention` by the names of its dials; None, a fixed context, where there is no score.

    Parameters
    ----------
    score, window, selection : str
        As for `make_score`, `make_window` and `make_selection`, with the numbers that they need.

    Raises
    ------
    ValueError
        As these; without a score, if a window or a selection is named that could have no effect.

    Examples
    --------
    >>> make_attention("dot", "monotonic", query_dim=2, key_dim=2, hidden_dim=2, reach=3)
    Attention(
      (score): DotScore()
      (window): Monotonic()
      (selection): Soft()
    )
    """
    sizes = {"query_dim": query_dim, "hidden_dim": hidden_dim}
    if score is None:
        for dial, name, names in (
            ("window", window, WINDOWS),
            ("selection", selection, SELECTIONS),
        ):
            if _known(dial, name, names) not in (Everywhere, Soft):
                raise ValueError(
                    f"without a score there is no attention, so {dial} {name!r} has no effect"
                )
        return None
    return Attention(
        make_score(score, key_dim=key_dim, max_source=max_source, **sizes),
        make_window(window, reach=reach, **sizes),
        make_selection(
            selection,
            expectation=expectation,
            temperature=temperature,
            final_temperature=final_temperature,
        ),
    )


DIALS = tuple(
    name
    for name, each in inspect.signature(make_attention).parameters.items()
    if name != "score" and each.default is not inspect.Parameter.empty
)


def _attention(
    score: str | None,
    among: dict[str, Any],
    *,
    query_dim: int,
    key_dim: int,
    hidden_dim: int,
) -> Attention | None:
    """The attention whose other dials are set `among` the arguments, from which they are taken."""
    dials = {name: among.pop(name) for name in DIALS if name in among}
    width = among.pop("score_hidden", None) or hidden_dim
    return make_attention(score, query_dim=query_dim, key_dim=key_dim, hidden_dim=width, **dials)


def make_positions(name: str, width: int, heads: int, max_length: int) -> Positions:
    """A position encoding by its name, for a model D = `width` wide with H = `heads`.

    Examples
    --------
    >>> make_positions("rotary", width=8, heads=2, max_length=512).width
    4
    """
    positions = _known("positions", name, POSITIONS)
    if positions is Sinusoidal:
        return Sinusoidal(width)
    if positions is Learned:
        return Learned(width, max_length)
    return Rotary(width // heads) if positions is Rotary else Positions()


def make_translator(
    vocab_size: int,
    width: int = 256,
    *,
    hidden: int = 256,
    decoder_hidden: int | None = None,
    score: str | None = "additive",
    **rest,
) -> Translator:
    """A `Translator` whose attention is made of names.

    Parameters
    ----------
    score, window, selection, max_source, reach, expectation, temperature, final_temperature
        As for `make_attention`.
    score_hidden : int, optional
        Width A of the score, and of a predictive window; `hidden` unless given.
    vocab_size, width, hidden, decoder_hidden and the rest
        As for `Translator`.
    """
    attention = _attention(
        score,
        rest,
        query_dim=hidden if decoder_hidden is None else decoder_hidden,
        key_dim=2 * hidden,
        hidden_dim=hidden,
    )
    return Translator(
        vocab_size,
        width,
        hidden=hidden,
        decoder_hidden=decoder_hidden,
        attention=attention,
        **rest,
    )


def make_tiled(size: int, encoder: str = TILES) -> Tiled:
    """EfficientNet-Lite0, frozen, for images of `size` pixels a side.

    It sees each of the 2 x 2 tiles by itself, in cells of 64 pixels (``efficientnet-lite0-tiles``),
    or the whole image, in cells of 32 (``efficientnet-lite0``).

    >>> make_tiled(384).cells(384, 384), make_tiled(224, WHOLE).cells(224, 224)
    ((6, 6), (7, 7))
    """
    tiles, pool = FROZEN[encoder]
    return Tiled(efficientnet.pretrained(size // tiles), tiles, pool)


def make_captioner(
    vocab_size: int,
    width: int = 128,
    *,
    hidden: int = 192,
    annotation_dim: int | None = None,
    encoder: str | None = None,
    encoder_weights: str | None = None,
    train_encoder: bool = False,
    size: int = 64,
    field: str = "near",
    positions: bool = True,
    cell: int = 8,
    normed: bool = False,
    score: str | None = "additive",
    **rest,
) -> Captioner:
    """A `Captioner` whose image encoder and attention are made of names.

    Parameters
    ----------
    encoder : str, optional
        A network in place of an `ImageEncoder`: ``efficientnet-lite0``, or
        ``efficientnet-lite0-tiles``, which sees the tiles of a mosaic (`make_tiled`); or a name for
        `vision.Backbone`.
    encoder_weights, train_encoder
        Of a `Backbone`: `weights` and `trainable`.
    annotation_dim, size, field, positions, cell, normed
        Of the `ImageEncoder`; of another network only the size.
    score, window, selection, max_source, reach, expectation, temperature, final_temperature
        As for `make_attention`.
    score_hidden : int, optional
        Width A of the score, and of a predictive window; `hidden` unless given.
    vocab_size, width, hidden and the rest
        As for `Captioner`.
    """
    image_encoder: ImageEncoder | Tiled | Backbone
    if encoder is None:
        image_encoder = ImageEncoder(
            annotation_dim or 128,
            size,
            field=field,
            positions=positions,
            cell=cell,
            normed=normed,
        )
    elif encoder in FROZEN:
        image_encoder = make_tiled(size, encoder)
    else:
        image_encoder = Backbone(encoder, size, weights=encoder_weights, trainable=train_encoder)
    attention = _attention(
        score,
        rest,
        query_dim=hidden,
        key_dim=image_encoder.annotation_dim,
        hidden_dim=hidden,
    )
    return Captioner(
        vocab_size,
        width,
        hidden=hidden,
        annotation_dim=annotation_dim,
        encoder=image_encoder,
        attention=attention,
        **rest,
    )


def make_transformer(
    vocab_size: int,
    width: int = 256,
    *,
    heads: int = 4,
    positions: str = "sinusoidal",
    window: str = "everywhere",
    reach: int = 10,
    max_length: int = 512,
    model: type[nn.Module] = Transformer,
    **rest,
) -> nn.Module:
    """A `Transformer`, or another `model` of such blocks, with windows and positions by name.

    Parameters
    ----------
    positions, max_length
        As for `make_positions`.
    window, reach
        As for `make_window`.
    vocab_size, width, heads and the rest
        As for `Transformer`.
    """
    _known("positions", positions, POSITIONS)
    _known("window", window, WINDOWS)
    per_head = width // max(1, heads)
    return model(
        vocab_size,
        width,
        heads=heads,
        positions=partial(make_positions, positions, width, heads, max_length),
        window=partial(make_window, window, query_dim=per_head, hidden_dim=per_head, reach=reach),
        **rest,
    )


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "translator": make_translator,
    "transformer": make_transformer,
    "captioner": make_captioner,
}


def build(
    architecture: str,
    arguments: Mapping[str, Any],
    encoder_weights: str | None = None,
    train_encoder: bool = False,
) -> AutoregressiveModel:
    """The model that a card or a run's configuration describes, not trained.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`.
    arguments : dict
        Of the function that makes it.
    encoder_weights, train_encoder
        As for `make_captioner`.

    Examples
    --------
    >>> build("translator", {"vocab_size": 9, "width": 4, "hidden": 5}).decoder.timing
    'before'
    """
    make = _known("architecture", architecture, ARCHITECTURES)
    arguments = {"encoder" if name == "eye" else name: x for name, x in arguments.items()}
    if arguments.get("encoder"):
        arguments = {
            **arguments,
            "encoder_weights": encoder_weights,
            "train_encoder": train_encoder,
        }
    model = make(**arguments)
    assert isinstance(model, AutoregressiveModel)
    return model

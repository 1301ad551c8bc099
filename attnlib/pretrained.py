"""The shipped models, loaded and used: ``load("en-fr-bahdanau").translate(["Two dogs play."])``.

Each is a folder ``attnlib/weights/NAME/``; `storage` says what is in it, `evaluation` how good the
models are.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnlib.autoregressive import AutoregressiveModel
from attnlib.captioning import Captioner
from attnlib.data import cleaning, images
from attnlib.data.batches import collate, pad
from attnlib.data.tokenizer import BOS, EOS, SPECIALS, Tokenizer
from attnlib.decoding import Ensemble, Hypothesis, Sampled, beam_search
from attnlib.settings import build
from attnlib.storage import CARD, TOKENIZER, ModelError, read_card, read_weights
from attnlib.transformer import Transformer
from attnlib.vision import Grid, Tiled

WEIGHTS = Path(__file__).parent / "weights"
RUNS = Path("runs")  # where `attnlib train` leaves a model, unless told
LONGEST = (2, 10)  # subwords of a translation: so many for each of its source, and some more
MAX_SOURCE = 200  # subwords, </s> counted; the longest training sentence has about a quarter
BATCH = 50  # sentences made to write given translations together
SENTENCES, ROWS = 200, 500  # at most decoded together; a row is one beginning in a beam
PICTURES = 100  # or pictures
MAX_CAPTION = 60  # words; the longest true caption of a scene has a quarter
ROLES = {"translator": "translator", "transformer": "translator", "captioner": "captioner"}


@dataclass(frozen=True)
class Translation:
    """One translated sentence, and where the model looked for it."""

    source: str
    text: str
    source_tokens: list[str]  # S subwords, </s> the last: the model attends to it too
    target_tokens: list[str]  # T subwords, without </s>
    weights: np.ndarray  # (T, S)
    score: float  # log-probability over the length penalty, in nats; see decoding


@dataclass(frozen=True)
class HeadMaps:
    """Where every head of a transformer looked, its L blocks and H heads.

    The last source token is </s>. In `decoder` and `cross` row t is the query that predicts target
    token t; key t' of `decoder` is the word given there, which is target token t' - 1, or <s>.
    """

    source_tokens: list[str]  # S subwords, </s> the last
    target_tokens: list[str]  # T subwords, without </s>
    encoder: np.ndarray  # (L, H, S, S)
    decoder: np.ndarray  # (L, H, T, T)
    cross: np.ndarray  # (L, H, T, S)


@dataclass(frozen=True)
class CaptionFound:
    """A picture's caption, and where the model looked for it."""

    text: str
    tokens: list[str]  # T words, without </s>
    weights: np.ndarray  # (T, S), the cells row by row
    score: float  # log-probability over the length penalty, in nats; see decoding


@dataclass(frozen=True)
class Pretrained:
    """A loaded model; see `load`."""

    name: str
    model: AutoregressiveModel | Sampled | Ensemble
    tokenizer: Tokenizer
    card: dict

    def translate(self, sentences: Iterable[str], beam: int = 5) -> list[Translation]:
        """Translate sentences with beam search; the results are in the order of the input.

        A sentence without a word in it gives an empty translation (no tokens, weights of shape
        (0, 0), score 0). Characters that training never saw, emoji for instance, are read as
        ``<unk>``; an ``<unk>`` the model writes is left out of the text.

        Parameters
        ----------
        sentences : iterable of str
            One sentence each, as people write it: cased, not tokenised. What shows nothing is taken
            out, and typographic signs are written as in the training text (`data.cleaning`).
        beam : int
            Width of the search; 1 is greedy and about three times as fast.

        Raises
        ------
        TypeError
            If `sentences` is one string, or holds something else than strings.
        ValueError
            If a sentence is longer than 199 subwords (`MAX_SOURCE` with </s>), or is not UTF-8
            text; if the model is no translator.
        """
        sentences = cleaning.listed("sentences", sentences)
        results = [Translation(s, "", [], [], np.zeros((0, 0)), 0.0) for s in sentences]
        for i, ids, found in self._translated(sentences, beam):
            results[i] = self._translation(sentences[i], ids, found[0])
        return results

    def nbest(self, sentences: Iterable[str], beam: int = 5) -> list[list[Translation]]:
        """What beam search finished of each sentence, at most `beam` translations, the best first.

        Of a sentence without a word in it: one, empty. Arguments and errors as of `translate`.
        """
        sentences = cleaning.listed("sentences", sentences)
        results = [[Translation(s, "", [], [], np.zeros((0, 0)), 0.0)] for s in sentences]
        for i, ids, found in self._translated(sentences, beam):
            results[i] = [self._translation(sentences[i], ids, each) for each in found]
        return results

    def _translated(
        self, sentences: list[str], beam: int
    ) -> Iterator[tuple[int, list[int], list[Hypothesis]]]:
        """The number of each sentence with a word in it, its ids, and what the search found."""
        self._must_be("translator")
        encoded = []
        for number, sentence in enumerate(sentences, start=1):
            ids = self.ids(sentence, f"sentence {number}")
            if len(ids) >= MAX_SOURCE:
                raise ValueError(
                    f"sentence {number} has {len(ids)} subwords, the limit is {MAX_SOURCE - 1}: "
                    "split it into sentences"
                )
            encoded.append(ids)
        order = sorted((i for i, ids in enumerate(encoded) if ids), key=lambda i: len(encoded[i]))
        most = max(1, min(SENTENCES, ROWS // max(1, beam)))  # sentences decoded together
        parts = math.ceil(len(order) / most)
        for part in np.array_split(order, parts) if parts else []:
            rows = part.tolist()
            for i, found in zip(rows, self._search([encoded[i] for i in rows], beam), strict=True):
                yield i, encoded[i], found

    def _translation(self, sentence: str, ids: list[int], found: Hypothesis) -> Translation:
        return Translation(
            sentence,
            self.tokenizer.decode(found.ids),
            [*self.tokenizer.tokens(ids), SPECIALS[EOS]],
            self.tokenizer.tokens(found.ids),
            found.weights,
            found.score,
        )

    def align(self, sources: Iterable[str], targets: Iterable[str]) -> list[Translation]:
        """Where the model looks while it is made to write given translations (forced decoding).

        Row t of the weights is where it looked to write token t of the target, having been given
        the target's own tokens before it. `score` is the target's log-probability, </s> counted,
        in nats, without a length penalty.

        Parameters
        ----------
        sources, targets : iterables of str
            As many of the one as of the other; neither side of a pair may be empty. Both are
            cleaned as in `translate`.

        Raises
        ------
        TypeError
            If either is one string, or holds something else than strings.
        ValueError
            If the numbers differ, or a sentence is empty, longer than 199 subwords or not UTF-8
            text; if the model is no translator.
        """
        sources, targets = self._pairs(sources, targets)
        results = {}
        for rows, batch in self._forced(sources, targets):
            with torch.no_grad():
                logits, weights = self.model(batch.source, batch.source_lengths, batch.target_in)
                chosen = logits.log_softmax(-1).gather(-1, batch.target_out[..., None])[..., 0]
            for row, i in enumerate(rows):
                S, T = int(batch.source_lengths[row]), int(batch.target_lengths[row]) - 1
                results[i] = Translation(
                    sources[i],
                    targets[i],
                    self.tokenizer.tokens(batch.source[row, :S].tolist()),
                    self.tokenizer.tokens(batch.target_in[row, 1 : T + 1].tolist()),
                    weights[row, :T, :S].cpu().numpy(),
                    float(chosen[row, : T + 1].sum()),
                )
        return [results[i] for i in range(len(results))]

    def attention_maps(self, sources: Iterable[str], targets: Iterable[str]) -> list[HeadMaps]:
        """Where every head of a transformer looks, made to write given translations, as `align`.

        Raises
        ------
        TypeError, ValueError
            As `align`; also if the model is no transformer.
        """
        sources, targets = self._pairs(sources, targets)
        results = {}
        for rows, batch in self._forced(sources, targets, "transformer"):
            with torch.no_grad():
                assert isinstance(self.model, Transformer)
                found = self.model.attention_maps(
                    batch.source, batch.source_lengths, batch.target_in
                )
            for row, i in enumerate(rows):
                S, T = int(batch.source_lengths[row]), int(batch.target_lengths[row]) - 1
                results[i] = HeadMaps(
                    self.tokenizer.tokens(batch.source[row, :S].tolist()),
                    self.tokenizer.tokens(batch.target_in[row, 1 : T + 1].tolist()),
                    found.encoder[row, :, :, :S, :S].cpu().numpy(),
                    found.decoder[row, :, :, :T, :T].cpu().numpy(),
                    found.cross[row, :, :, :T, :S].cpu().numpy(),
                )
        return [results[i] for i in range(len(results))]

    def caption(self, pictures: Iterable[np.ndarray] | Tensor, beam: int = 5) -> list[CaptionFound]:
        """Caption pictures with beam search; the results are in the order of the input.

        Parameters
        ----------
        pictures : sequence of uint8 arrays (H, W, 3), or Tensor of floats (B, 3, H, W) in [0, 1]
            Arrays may also be grey (H, W), which is seen as equal red, green and blue, or have an
            alpha channel (H, W, 4), and are then laid on white.
        beam : int
            Width of the search; 1 is greedy.

        Raises
        ------
        TypeError
            If `pictures` is one picture.
        ValueError
            If a picture has not the size that the model was trained on, or a shape or a range that
            is no picture's (its number is said); if the model is no captioner.
        """
        self._must_be("captioner")
        pictures = self._several(pictures)
        device, results = next(self.model.parameters()).device, []
        for start in range(0, len(pictures), PICTURES):
            some = pictures[start : start + PICTURES]
            some = (some if isinstance(some, Tensor) else self._stacked(some, start)).to(device)
            lengths = self._cells(some)
            for best in beam_search(self.model, some, lengths, MAX_CAPTION, BOS, EOS, beam):
                ids = best[0].ids
                text, tokens = self.tokenizer.decode(ids), self.tokenizer.tokens(ids)
                results.append(CaptionFound(text, tokens, best[0].weights, best[0].score))
        return results

    def force_decode(
        self, pictures: Iterable[np.ndarray] | Tensor, captions: Iterable[str]
    ) -> list[CaptionFound]:
        """Where the model looks while it is made to write given captions (forced decoding).

        As `align` for a translator; `score` is the caption's log-probability, </s> counted, in
        nats. The captions of other people can be marked for every picture, its own only where they
        are true.

        Raises
        ------
        TypeError
            If `captions` is one string, or holds something else than strings; as `caption`.
        ValueError
            If there are not as many captions as pictures, or a caption is empty; as `caption`.
        """
        self._must_be("captioner")
        pictures, captions = self._several(pictures), cleaning.listed("captions", captions)
        if len(pictures) != len(captions):
            raise ValueError(f"{len(pictures)} pictures but {len(captions)} captions")
        encoded = [
            self.ids(text, f"caption {number}") for number, text in enumerate(captions, start=1)
        ]
        for number, ids in enumerate(encoded, start=1):
            if not ids:
                raise ValueError(f"caption {number} is empty")
        device, results = next(self.model.parameters()).device, []
        for start in range(0, len(pictures), PICTURES):
            rows = slice(start, start + PICTURES)
            some = pictures[rows]
            some = (some if isinstance(some, Tensor) else self._stacked(some, start)).to(device)
            lengths = self._cells(some)
            words = collate([([], ids) for ids in encoded[rows]]).to(device)
            with torch.no_grad():
                logits, weights = self.model(some, lengths, words.target_in)
                chosen = logits.log_softmax(-1).gather(-1, words.target_out[..., None])[..., 0]
            for row, (text, ids) in enumerate(zip(captions[rows], encoded[rows], strict=True)):
                T = len(ids)
                looked, score = weights[row, :T].cpu().numpy(), float(chosen[row, : T + 1].sum())
                results.append(CaptionFound(text, self.tokenizer.tokens(ids), looked, score))
        return results

    def features(self, pictures: Iterable[np.ndarray]) -> Iterable[np.ndarray] | Tensor:
        """What a captioner's frozen encoder sees of pictures, (B, S, D), for asking more than once.

        `caption` and `force_decode` take it in place of the pictures. Where the encoder keeps
        nothing apart (it is no `vision.Tiled`), the pictures come back.
        """
        if not isinstance(self._encoder, Tiled):
            return pictures
        pictures = list(_several(pictures))
        device = next(self.model.parameters()).device
        return torch.cat(
            [
                self._encoder.features(self._stacked(pictures[i : i + PICTURES], i).to(device))
                for i in range(0, len(pictures), PICTURES)
            ]
        )

    def _several(self, pictures) -> Tensor | list:
        """Pictures in a row, or what `features` gave of them."""
        encoder, shape = self._encoder, tuple(getattr(pictures, "shape", ()))
        if isinstance(encoder, Tiled) and len(shape) == 3 and shape[2] == encoder.annotation_dim:
            return pictures
        return _several(pictures)

    def _cells(self, some: Tensor) -> Tensor:
        """The number of cells of each of some pictures, or of what was seen of them."""
        cells = (
            some.shape[1] if some.dim() == 3 else math.prod(self._encoder.cells(*some.shape[2:]))
        )
        return torch.full((len(some),), cells)

    def ids(self, text: str, what: str = "the text", side: int = 0) -> list[int]:
        """The ids of a text that somebody typed, without </s>: all that is read goes through here.

        Parameters
        ----------
        text : str
        what : str
            What the text is called in an error.
        side : int
            Whose language it is in: 0 the source's, 1 the target's. A card without ``signs`` says
            nothing of what is written in which language: then the whole vocabulary counts.

        Raises
        ------
        ValueError
            If the text is not UTF-8.
        """
        language = dict(enumerate(self.card.get("languages", ()))).get(side)
        signs = self.card.get("signs", {}).get(language, self.tokenizer.characters)
        try:
            return self.tokenizer.encode(cleaning.clean(text, signs))
        except ValueError as error:
            raise ValueError(f"{what} is {error}") from error

    @property
    def side(self) -> int:
        """Pixels a side of the pictures that a captioner was made for."""
        return self._encoder.size

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that a captioner divides its pictures into."""
        return self._encoder.cells(self.side, self.side)

    def _stacked(self, pictures, before: int) -> Tensor:
        """Arrays as one tensor (B, 3, H, W); so many came before them."""
        side, found = self.side, []
        for number, picture in enumerate(pictures, start=before + 1):
            try:
                found.append(images.as_floats(picture))
            except ValueError as error:
                raise ValueError(f"picture {number}: {error}") from error
            if found[-1].shape[1:] != (side, side):
                height, width = found[-1].shape[1:]
                raise ValueError(
                    f"picture {number} has {height} x {width} pixels, this model wants "
                    f"{side} x {side}"
                )
        return torch.stack(found)

    def _must_be(self, role: str) -> None:
        kind = type(self._inner).__name__.lower()
        if role not in (kind, ROLES[kind]):
            raise ValueError(f"{self.name} is a {kind}: this is for a {role}")

    @property
    def attends(self) -> bool:
        """Whether the model has an attention, so that the weights it gives say something."""
        return self._inner.decoder.attention is not None

    @property
    def _encoder(self) -> Grid:
        """A captioner's image encoder."""
        self._must_be("captioner")
        assert isinstance(self._inner, Captioner)
        encoder = self._inner.encoder
        if not isinstance(encoder, Grid):
            kind = type(encoder).__name__
            raise TypeError(f"{kind} does not tell its cells: derive it from attnlib.vision.Grid")
        return encoder

    @property
    def _inner(self) -> AutoregressiveModel:
        """The model itself, where `model` is one that samples; of several the first."""
        if isinstance(self.model, Ensemble):
            first: Any = self.model.models[0]
            return first
        return self.model.model if isinstance(self.model, Sampled) else self.model

    @staticmethod
    def _pairs(sources, targets) -> tuple[list[str], list[str]]:
        """Both sides of sentence pairs as lists, as many of the one as of the other."""
        sources = cleaning.listed("sources", sources)
        targets = cleaning.listed("targets", targets)
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources but {len(targets)} targets")
        return sources, targets

    def _forced(self, sources, targets, kind="translator"):
        """Rows and batches of pairs, those of like length together."""
        self._must_be(kind)
        pairs = []
        for number, pair in enumerate(zip(sources, targets, strict=True), start=1):
            sides = ("source", "target")
            ids = [
                self.ids(sentence, f"the {sides[i]} of pair {number}", i)
                for i, sentence in enumerate(pair)
            ]
            for side, found in zip(sides, ids, strict=True):
                if not 0 < len(found) < MAX_SOURCE:
                    raise ValueError(
                        f"the {side} of pair {number} has {len(found)} subwords, "
                        f"wanted 1 to {MAX_SOURCE - 1}"
                    )
            pairs.append((ids[0], ids[1]))
        device = next(self.model.parameters()).device
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield rows, collate([pairs[i] for i in rows]).to(device)

    def _search(self, encoded, beam) -> list[list[Hypothesis]]:
        """What was finished of each id sequence, the best first, as long as `LONGEST` allows."""
        device = next(self.model.parameters()).device
        source, lengths = pad([[*ids, EOS] for ids in encoded])
        limits = (LONGEST[0] * lengths + LONGEST[1]).tolist()
        return beam_search(
            self.model, source.to(device), lengths.to(device), limits, BOS, EOS, beam
        )


def _several(pictures) -> Tensor | list:
    """Pictures in a row, whatever holds them; one alone is refused."""
    shape = tuple(getattr(pictures, "shape", ()))
    one = len(shape) == 3 and (isinstance(pictures, Tensor) or shape[2] in (3, 4))
    if one or len(shape) == 2 or isinstance(pictures, (str, Path)):
        kind = f"one of shape {shape}" if shape else f"a {type(pictures).__name__}"
        raise TypeError(f"pictures must be a list of pictures, got {kind}: put it in a list")
    return pictures if isinstance(pictures, Tensor) else list(pictures)


def names() -> list[str]:
    """The shipped models.

    >>> all((WEIGHTS / name / CARD).is_file() for name in names())
    True
    """
    return sorted(path.parent.name for path in WEIGHTS.glob(f"*/{CARD}"))


def card(name: str) -> dict:
    """The card of a shipped model, or of one of your own by its folder, without its weights.

    Raises
    ------
    ValueError
        If there is no such model: the message lists those there are, and the language pairs.
    ModelError
        If the card cannot be read.
    """
    return read_card(_folder(name))


def load(name: str) -> Pretrained:
    """Load a shipped model, or one of your own by its folder; it is in evaluation mode.

    Its files are checked against the card. Leaves torch's random numbers as they were.

    Raises
    ------
    ValueError
        If there is no such model: the message lists those there are, and the language pairs.
    ModelError
        If a file is missing, truncated or altered.

    Examples
    --------
    >>> load("en-tlh-bahdanau")
    Traceback (most recent call last):
    ValueError: no model for the language pair en-tlh; ...
    """
    return read(_folder(name))


def read(folder: Path | str) -> Pretrained:
    """Load a model from a folder that `storage.save` wrote; `load` says the rest."""
    folder = Path(folder)
    card = read_card(folder)
    weights = read_weights(folder, card)
    with torch.random.fork_rng(devices=[]):
        model = build(card.get("architecture", "translator"), card["model"])
    tokenizer = Tokenizer.load(folder / TOKENIZER, card["model"]["vocab_size"])
    model.load_state_dict(weights)
    return Pretrained(card["name"], model.eval(), tokenizer, card)


def finished(role: str) -> list[str]:
    """The folders of models of one's own, of a role, that `attnlib train` has finished here."""
    found = []
    for path in sorted(RUNS.glob(f"*/model/{CARD}")):
        with contextlib.suppress(ModelError, OSError):  # whoever loads it is told
            if ROLES.get(read_card(path.parent).get("architecture", "translator")) == role:
                found.append(str(path.parent.parent))
    return found


def _folder(name: str) -> Path:
    """The folder of a shipped model or of one's own, or an error that says what there is."""
    known = names()
    if name in known:
        return WEIGHTS / name
    for folder in (Path(name), Path(name) / "model"):  # where `attnlib train` leaves it
        if name and (folder / CARD).is_file():
            return folder
    if len(Path(name).parts) > 1 and not Path(name).exists():
        beside = sorted(path.parent.parent for path in Path(name).parent.glob(f"*/model/{CARD}"))
        others = f"; finished models there: {', '.join(map(str, beside))}" if beside else ""
        raise ValueError(f"there is no folder {name}{others}")
    have = f"models: {', '.join(known) or 'none'}"
    mine = RUNS / name
    if name and (mine / "model" / CARD).is_file():
        raise ValueError(f"unknown model {name!r}; {mine} is one of your own: give that; {have}")
    pairs = sorted(
        "-".join(both) for both in {tuple(card(o)["languages"]) for o in known} if len(both) == 2
    )
    parts = name.split("-")
    if len(parts) == 3 and all(2 <= len(code) <= 3 for code in parts[:2]):
        pair = "-".join(parts[:2])
        if pair not in pairs:
            there = ", ".join(pairs) or "none"
            raise ValueError(f"no model for the language pair {pair}; pairs: {there}; {have}")
    unfinished = ", a folder without a finished model" if name and Path(name).is_dir() else ""
    raise ValueError(f"unknown model {name!r}{unfinished}; {have}")

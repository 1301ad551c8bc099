"""The shipped models: a folder each, of weights, a tokenizer and a card.

``attnlib/weights/NAME/`` holds ``model.safetensors`` (float16 on disk, or 8 bits where the card
says so, float32 once loaded; no pickle), ``tokenizer.json`` and ``card.json``. The card says what
the model is, how it was trained and how well it does, and holds the sha256 of the other two,
checked at every load::

    {"name": "en-fr-bahdanau", "languages": ["en", "fr"],
     "architecture": "translator",   # one of ARCHITECTURES; where there is none: translator
     "signs": {"en": "',-."},        # what its training text is punctuated with; see data.cleaning
     "model": {...},         # its arguments
     "metrics": {"test_2016_flickr.bleu": 54.0, ...}, "signatures": {...},   # same keys, flat
     "bits": 8,              # of each number of a matrix; where there is none: 16
     "sha256": {"model.safetensors": "...", "tokenizer.json": "..."},        # written by save
     ...}                    # data, licence, config, seed, device, seconds, limits

A captioner has one language, and its card names the ``pictures`` that it was trained on
(`data.images.COLLECTIONS`).
"""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from attnlib import metrics
from attnlib.captioning import Captioner
from attnlib.data import cleaning, corpora, hansards, images
from attnlib.data.batches import collate, pad
from attnlib.data.grammar import Verdict
from attnlib.data.tokenizer import BOS, EOS, SPECIALS, Tokenizer, word_indices
from attnlib.decoding import beam_search
from attnlib.metrics import captions, pointing
from attnlib.seq2seq import Translator
from attnlib.transformer import Transformer
from attnlib.vision import Backbone
from attnlib.writer import Sampled

WEIGHTS = Path(__file__).parent / "weights"
MODEL, TOKENIZER, CARD = "model.safetensors", "tokenizer.json", "card.json"
BITS = (16, 8)  # a number of a matrix
SCALE = ".scale"  # ends the name of the scales of a matrix of 8 bits
MAX_SOURCE = 200  # subwords, </s> counted; the longest training sentence has about a quarter
BATCH = 50  # sentences decoded together
PICTURES = 100  # or pictures
MAX_CAPTION = 60  # words; the longest true caption of a scene has a quarter
TESTED = 2000  # pictures that `evaluate` captions
REFERENCES = 5  # true captions of each, at most, that BLEU compares with
HELD_OUT = ("scenes", "digits")  # collections with pictures of what training never had
ARCHITECTURES = {"translator": Translator, "transformer": Transformer, "captioner": Captioner}
ROLES = {"translator": "translator", "transformer": "translator", "captioner": "captioner"}


class ModelError(RuntimeError):
    """A model's files are missing, truncated or altered; the message says which, and what to do."""


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
class HeadsFound:
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
    model: nn.Module
    tokenizer: Tokenizer
    card: dict

    def translate(self, sentences: Sequence[str], beam: int = 5) -> list[Translation]:
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
            Width of the search; 1 is greedy and about five times as fast.

        Raises
        ------
        TypeError
            If `sentences` is one string, or holds something else than strings.
        ValueError
            If a sentence is longer than 199 subwords (`MAX_SOURCE` with </s>), or is not UTF-8
            text; if the model is no translator.
        """
        self._must_be("translator")
        sentences, encoded = cleaning.listed("sentences", sentences), []
        for number, sentence in enumerate(sentences, start=1):
            ids = self._ids(sentence, f"sentence {number}")
            if len(ids) >= MAX_SOURCE:
                raise ValueError(
                    f"sentence {number} has {len(ids)} subwords, the limit is {MAX_SOURCE - 1}: "
                    "split it into sentences"
                )
            encoded.append(ids)
        results = [Translation(s, "", [], [], np.zeros((0, 0)), 0.0) for s in sentences]
        order = sorted((i for i, ids in enumerate(encoded) if ids), key=lambda i: len(encoded[i]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            for i, best in zip(rows, self._search([encoded[i] for i in rows], beam), strict=True):
                results[i] = Translation(
                    sentences[i],
                    self.tokenizer.decode(best.ids),
                    [*self.tokenizer.tokens(encoded[i]), SPECIALS[EOS]],
                    self.tokenizer.tokens(best.ids),
                    best.weights,
                    best.score,
                )
        return results

    def align(self, sources: Sequence[str], targets: Sequence[str]) -> list[Translation]:
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

    def looks(self, sources: Sequence[str], targets: Sequence[str]) -> list[HeadsFound]:
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
                found = self.model.looks(batch.source, batch.source_lengths, batch.target_in)
            for row, i in enumerate(rows):
                S, T = int(batch.source_lengths[row]), int(batch.target_lengths[row]) - 1
                results[i] = HeadsFound(
                    self.tokenizer.tokens(batch.source[row, :S].tolist()),
                    self.tokenizer.tokens(batch.target_in[row, 1 : T + 1].tolist()),
                    found.encoder[row, :, :, :S, :S].cpu().numpy(),
                    found.decoder[row, :, :, :T, :T].cpu().numpy(),
                    found.cross[row, :, :, :T, :S].cpu().numpy(),
                )
        return [results[i] for i in range(len(results))]

    def caption(self, pictures: Sequence[np.ndarray] | Tensor, beam: int = 5) -> list[CaptionFound]:
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
        pictures = _several(pictures)
        device, results = next(self.model.parameters()).device, []
        for start in range(0, len(pictures), PICTURES):
            some = pictures[start : start + PICTURES]
            some = (some if isinstance(some, Tensor) else self._stacked(some, start)).to(device)
            lengths = torch.full(
                (len(some),), math.prod(self._inner.encoder.cells(*some.shape[-2:]))
            )
            for best in beam_search(self.model, some, lengths, MAX_CAPTION, BOS, EOS, beam):
                ids = best[0].ids
                text, tokens = self.tokenizer.decode(ids), self.tokenizer.tokens(ids)
                results.append(CaptionFound(text, tokens, best[0].weights, best[0].score))
        return results

    def look(
        self, pictures: Sequence[np.ndarray] | Tensor, captions: Sequence[str]
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
        pictures, captions = _several(pictures), cleaning.listed("captions", captions)
        if len(pictures) != len(captions):
            raise ValueError(f"{len(pictures)} pictures but {len(captions)} captions")
        encoded = [
            self._ids(text, f"caption {number}") for number, text in enumerate(captions, start=1)
        ]
        for number, ids in enumerate(encoded, start=1):
            if not ids:
                raise ValueError(f"caption {number} is empty")
        device, results = next(self.model.parameters()).device, []
        for start in range(0, len(pictures), PICTURES):
            rows = slice(start, start + PICTURES)
            some = pictures[rows]
            some = (some if isinstance(some, Tensor) else self._stacked(some, start)).to(device)
            lengths = torch.full(
                (len(some),), math.prod(self._inner.encoder.cells(*some.shape[-2:]))
            )
            words = collate([([], ids) for ids in encoded[rows]]).to(device)
            with torch.no_grad():
                logits, weights = self.model(some, lengths, words.target_in)
                chosen = logits.log_softmax(-1).gather(-1, words.target_out[..., None])[..., 0]
            for row, (text, ids) in enumerate(zip(captions[rows], encoded[rows], strict=True)):
                T = len(ids)
                looked, score = weights[row, :T].cpu().numpy(), float(chosen[row, : T + 1].sum())
                results.append(CaptionFound(text, self.tokenizer.tokens(ids), looked, score))
        return results

    @property
    def side(self) -> int:
        """Pixels a side of the pictures that a captioner was made for."""
        self._must_be("captioner")
        return self._inner.encoder.size

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that a captioner divides its pictures into."""
        return self._inner.encoder.cells(self.side, self.side)

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
    def _inner(self) -> nn.Module:
        """The model itself, where `model` is one that samples."""
        return self.model.model if isinstance(self.model, Sampled) else self.model

    def _ids(self, text: str, what: str, side: int = 0) -> list[int]:
        """The ids of a text that somebody typed, in the language of that side: all go through here.

        `what` names the text in an error. A card without ``signs`` says nothing of what is written
        in which language: then it is the whole vocabulary that counts.
        """
        language = dict(enumerate(self.card.get("languages", ()))).get(side)
        signs = self.card.get("signs", {}).get(language, self.tokenizer.characters)
        try:
            return self.tokenizer.encode(cleaning.clean(text, signs))
        except ValueError as error:
            raise ValueError(f"{what} is {error}") from error

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
                self._ids(sentence, f"the {sides[i]} of pair {number}", i)
                for i, sentence in enumerate(pair)
            ]
            for side, found in zip(sides, ids, strict=True):
                if not 0 < len(found) < MAX_SOURCE:
                    raise ValueError(
                        f"the {side} of pair {number} has {len(found)} subwords, "
                        f"wanted 1 to {MAX_SOURCE - 1}"
                    )
            pairs.append(ids)
        device = next(self.model.parameters()).device
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield rows, collate([pairs[i] for i in rows]).to(device)

    def _search(self, encoded, beam):
        """The best hypothesis of each id sequence; at most twice its length and ten."""
        device = next(self.model.parameters()).device
        source, lengths = pad([[*ids, EOS] for ids in encoded])
        limits = (2 * lengths + 10).tolist()
        found = beam_search(
            self.model, source.to(device), lengths.to(device), limits, BOS, EOS, beam
        )
        return [hypotheses[0] for hypotheses in found]


@dataclass(frozen=True)
class Evaluation:
    """What a model wrote for a test set, and how good that is."""

    test_set: str
    source: list[str]  # for pictures their numbers
    hypotheses: list[str]
    references: list[str] | list[list[str]]  # of a picture several
    scores: dict[str, metrics.Estimate]  # as in a card: "test_2016_flickr.bleu" and so on


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
    """The card of a shipped model, without its weights.

    Raises
    ------
    ValueError
        If there is no such model: the message lists those there are, and the language pairs.
    ModelError
        If the card cannot be read.
    """
    return _read_card(_folder(name))


def load(name: str) -> Pretrained:
    """Load a shipped model, its files checked against the card; it is in evaluation mode.

    Leaves torch's random numbers as they were.

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
    """Load a model from a folder that `save` wrote; `load` says the rest."""
    folder = Path(folder)
    card = _read_card(folder)
    for file, expected in card["sha256"].items():
        path = folder / file
        if not path.is_file():
            raise ModelError(f"{path} is missing; {_remedy(path)}")
        got = _sha256(path.read_bytes())
        if got != expected:
            raise ModelError(
                f"{path} is truncated or altered: expected sha256 {expected}, got {got}; "
                f"{_remedy(path)}"
            )
    with torch.random.fork_rng(devices=[]):
        model = build(card.get("architecture", "translator"), card["model"])
    tokenizer = Tokenizer.load(folder / TOKENIZER, card["model"]["vocab_size"])
    model.load_state_dict(unpacked(safetensors.torch.load_file(folder / MODEL)))
    return Pretrained(card["name"], model.eval(), tokenizer, card)


def build(
    architecture: str, arguments: dict, eye_weights: str | None = None, eye_learns: bool = False
) -> nn.Module:
    """The model that a card describes, not trained.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`.
    arguments : dict
        Of its class; in place of an ``eye`` the name of a network for `vision.Backbone`.
    eye_weights, eye_learns
        Of that network.
    """
    arguments = dict(arguments)
    if name := arguments.pop("eye", None):
        arguments["encoder"] = Backbone(
            name, arguments["size"], weights=eye_weights, trainable=eye_learns
        )
    return ARCHITECTURES[architecture](**arguments)


def evaluate(pretrained: Pretrained, limit: int | None = None, beam: int = 5) -> Evaluation:
    """Translate or caption the model's test set, and score it.

    Multi30k's test_2016_flickr for English, German and French: ``bleu`` (cased sacreBLEU),
    ``bleu_lc_tok`` (the papers' metric; left out with a warning where sacremoses is not installed),
    ``bleu_lc`` (lower-cased) and ``chrf``. Tatoeba's test split for Marathi, and the Hansards'
    ``val`` for a model trained on them, without the papers'. For a captioner see `caption_scores`.

    Parameters
    ----------
    pretrained : Pretrained
    limit : int, optional
        Only the first so many sentences, or pictures; of pictures there are 2,000 unless given.
    beam : int

    Raises
    ------
    ValueError
        If there is no test set for the model's languages, or `limit` is not positive.
    attnlib.data.files.DataError
        If the test set is not at hand and cannot be had.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    if "pictures" in pretrained.card:
        return caption_scores(pretrained, limit or TESTED, beam)
    source, target = pretrained.card["languages"]
    if any(file.startswith("hansards/") for file in pretrained.card.get("data", ())):
        name, test, tokenised = "hansards_val", hansards.corpus("val"), None
    elif {source, target} <= set(corpora.MULTI30K_LANGUAGES):
        name = "test_2016_flickr"
        test = corpora.multi30k(name, source, target)
        tokenised = corpora.multi30k_tokenised(target)[:limit]
    elif (source, target) == ("en", "mr"):
        name, test, tokenised = "tatoeba_test", corpora.tatoeba("test"), None
    else:
        raise ValueError(f"there is no test set for {source}-{target}")
    test = test[:limit]
    hypotheses = [found.text for found in pretrained.translate(test.source, beam)]
    scores = {f"{name}.bleu": metrics.bleu(hypotheses, test.target)}
    if tokenised is not None:
        try:
            papers = metrics.bleu_papers(hypotheses, tokenised, target)
            scores[f"{name}.bleu_lc_tok"] = papers
        except ImportError as error:
            warnings.warn(f"bleu_lc_tok is left out: {error}", stacklevel=2)
    scores[f"{name}.bleu_lc"] = metrics.bleu_lowercase(hypotheses, test.target)
    scores[f"{name}.chrf"] = metrics.chrf(hypotheses, test.target)
    if name == "hansards_val":
        scores["hansards_test.aer"] = alignment_error(pretrained, hansards.gold("test"))
    return Evaluation(name, test.source, hypotheses, test.target, scores)


def caption_scores(pretrained: Pretrained, number: int = TESTED, beam: int = 5) -> Evaluation:
    """Caption test pictures, and hold each caption against the truth about its picture.

    ``parses`` and ``true_captions`` are the shares of captions that are of the grammar, and that
    are true; ``true_captions_held_out`` is that of pictures with a combination which training never
    had, where the collection has such; ``bleu`` is against five true captions, ``exact_match`` the
    share of captions that are one of them. ``recognition`` is the share of nouns, in captions true
    or false, that fit what the model was looking at (`captions.recognized`).

    Attention is marked where the caption is true, for only then do its words name things:
    ``pointing_game`` and ``attention_inside`` of nouns and adjectives, as `pointing` says; the
    first also of each class of words, numbers among them; and both of attention that knows nothing
    (``_uniform``, ``_centre``, ``_untrained``: of the same model with random weights, made to write
    the same) or everything (``_best``, as much as cells allow). ``_given`` is of captions of the
    data, which any model can be made to write.

    Of photographs nothing but ``bleu`` is known, against all of their captions.

    Parameters
    ----------
    pretrained : Pretrained
        A captioner whose card names its ``pictures``.
    number : int
        How many pictures of each split, from the first; all of them where there are fewer.
    beam : int
    """
    name = pretrained.card["pictures"]
    test = images.load(name, "test", captions=REFERENCES)
    if name in images.PHOTOGRAPHS:
        number = min(number, len(test))
    samples, found = _captioned(pretrained, test, number, beam)
    hypotheses = [caption.text for caption in found]
    references = [[caption.text for caption in sample.captions] for sample in samples]
    numbers = [str(i) for i in range(number)]
    bleu = metrics.bleu(hypotheses, references)
    if name in images.PHOTOGRAPHS:
        scores = {"bleu": _on(bleu, f"{name} test", number)}
        return Evaluation(f"{name} test", numbers, hypotheses, references, scores)
    verdicts = _judged(test.grammar, samples, found)
    scores = {
        "true_captions": captions.true_captions(verdicts),
        "parses": captions.parsed_captions(verdicts),
    }
    one_of = [text if text in its else its[0] for text, its in zip(hypotheses, references)]
    scores |= {"bleu": bleu, "exact_match": metrics.exact_match(hypotheses, one_of)}
    if pretrained.model.decoder.attention is not None:
        scores |= _pointing(pretrained, test.grammar, samples, found)
        scores |= _recognition(pretrained, test.grammar, samples, found)
    scores = {key: _on(score, f"{name} test", number) for key, score in scores.items()}
    if name in HELD_OUT:
        held_out = _captioned(pretrained, images.load(name, "held_out"), number, beam)
        true = captions.true_captions(_judged(test.grammar, *held_out))
        scores["true_captions_held_out"] = _on(true, f"{name} held_out", number)
    return Evaluation(f"{name} test", numbers, hypotheses, references, scores)


def _captioned(pretrained: Pretrained, pictures, number: int, beam: int) -> tuple[list, list]:
    """The first samples of a collection, and what the model says of each."""
    samples = [pictures.sample(i) for i in range(number)]
    return samples, pretrained.caption([sample.image for sample in samples], beam)


def _on(score: metrics.Estimate, pictures: str, number: int) -> metrics.Estimate:
    """The score, its signature with what was captioned."""
    return replace(score, signature=f"{score.signature}|on:{pictures} 0-{number - 1}")


def _judged(grammar, samples, found) -> list[Verdict]:
    """Whether each caption is true of its picture."""
    return [grammar.check(c.text, s.things) for s, c in zip(samples, found, strict=True)]


def _pointing(pretrained, grammar, samples, found) -> dict[str, metrics.Estimate]:
    """The marks of attention, as `caption_scores` lists them; none where no caption is true."""
    records, pictures = [], []
    for sample, caption in zip(samples, found):
        link = grammar.link(caption.text, sample.things)
        if link is not None:
            looked = (caption.weights, sample.masks, pretrained.grid, caption.tokens)
            records.append(pointing.Record.of(link.words, link.things, *looked))
            pictures.append(sample.image)
    if not records:
        return {}
    by_class = pointing.by_class(pointing.pointing_game, records, grammar)
    marked = _nouns_and_adjectives(records, grammar)
    return {
        "pointing_game": pointing.pointing_game(marked),
        **{f"pointing_game_{name}": score for name, score in by_class.items()},
        "pointing_game_uniform": pointing.pointing_game(list(map(pointing.uniform, marked))),
        "pointing_game_centre": pointing.pointing_game(list(map(pointing.centre, marked))),
        "pointing_game_untrained": pointing.pointing_game(_untrained(pretrained, marked, pictures)),
        "pointing_game_given": pointing.pointing_game(_given(pretrained, grammar, samples)),
        "attention_inside": pointing.mass_inside(marked),
        "attention_inside_best": pointing.mass_inside(list(map(pointing.best, marked))),
        "attention_inside_uniform": pointing.mass_inside(list(map(pointing.uniform, marked))),
    }


def _nouns_and_adjectives(records, grammar) -> list[pointing.Record]:
    """The same captions, their numbers not to be marked."""
    classes = [pointing.word_classes(grammar, record.words) for record in records]
    return [
        record.only([name != "number" for name in its]) for record, its in zip(records, classes)
    ]


def _untrained(pretrained, records, pictures) -> list[pointing.Record]:
    """Where the same model with random weights looks when it is made to write the same captions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build("captioner", pretrained.card["model"])
    other = replace(pretrained, model=model.eval())
    looked = other.look(pictures, [" ".join(record.words) for record in records])
    return [
        pointing.with_weights(record, x.weights) for record, x in zip(records, looked, strict=True)
    ]


def _given(pretrained, grammar, samples) -> list[pointing.Record]:
    """Where a model looks when it is made to write a caption of the data."""
    given = [sample.captions[0] for sample in samples]
    looked = pretrained.look([sample.image for sample in samples], [each.text for each in given])
    records = [
        pointing.Record.of(c.words, c.things, x.weights, s.masks, pretrained.grid, x.tokens)
        for s, c, x in zip(samples, given, looked, strict=True)
    ]
    return _nouns_and_adjectives(records, grammar)


def _recognition(pretrained, grammar, samples, found) -> dict[str, metrics.Estimate]:
    """Whether nouns fit what was looked at, in all captions that can be read."""
    marks = []
    for sample, caption in zip(samples, found):
        if grammar.check(caption.text, sample.things).parses:
            words = caption.text.split()
            looked = (caption.weights, sample.masks, pretrained.grid, caption.tokens)
            record = pointing.Record.of(words, [()] * len(words), *looked)
            marks.append(captions.recognized(record, [x.noun for x in sample.things], grammar))
    return {"recognition": captions.recognition(marks)} if marks else {}


def alignment_error(
    pretrained: Pretrained, gold: hansards.Gold, resamples: int = 0
) -> metrics.Estimate:
    """Alignment error rate of attention against people's links, 0 (best) to 1.

    Forced decoding of the gold translation; each target word is linked to the source word with most
    of its attention (`metrics.alignment_from_weights`: summed over a source word's subwords, the
    mean over a target word's; </s> and its weight left out).

    Parameters
    ----------
    pretrained : Pretrained
    gold : hansards.Gold
    resamples : int
        As in `metrics.alignment_error_rate`: how often to resample sentences for an interval.
    """
    sides = ([" ".join(words) for words in side] for side in (gold.source, gold.target))
    predicted = [
        metrics.alignment_from_weights(
            found.weights,
            word_indices(found.source_tokens),
            word_indices(found.target_tokens),
        )
        for found in pretrained.align(*sides)
    ]
    return metrics.alignment_error_rate(predicted, gold.sure, gold.possible, resamples=resamples)


def save(folder: Path | str, model: nn.Module, tokenizer: Tokenizer, card: dict) -> None:
    """Write a model's folder; the card gets the checksums, and is written last.

    The weights are rounded (`packed`), so measure what the card claims on what `read` gives back
    (saving that again changes no byte), then `save` with the metrics; see `evaluate`.

    Parameters
    ----------
    folder : path
        ``attnlib/weights/NAME`` for a model to ship; made if need be.
    model : Translator, Transformer or Captioner
    tokenizer : Tokenizer
    card : dict
        Must hold ``name``, ``languages`` (source, target; of a captioner one) and ``model`` (the
        arguments that build the model); ``metrics`` and ``signatures``, where given, are flat with
        the same keys; ``bits`` are 16 unless given.

    Raises
    ------
    ValueError
        If the card lacks an entry, a metric is no number or has no signature, the bits are neither
        16 nor 8, or a weight does not fit float16.
    """
    missing = [key for key in ("name", "languages", "model") if key not in card]
    if missing:
        raise ValueError(f"the card lacks {', '.join(missing)}")
    metrics, signatures = card.get("metrics", {}), card.get("signatures", {})
    if metrics.keys() != signatures.keys():
        odd = ", ".join(sorted(metrics.keys() ^ signatures.keys()))
        raise ValueError(f"metrics and signatures must have the same keys; not in both: {odd}")
    for key, value in metrics.items():
        if not isinstance(value, Real):
            raise ValueError(f"metrics must be numbers, {key} is a {type(value).__name__}")
    weights = packed(model.state_dict(), card.get("bits", BITS[0]))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / (TOKENIZER + ".part"))
    content = {
        MODEL: safetensors.torch.save(weights),
        TOKENIZER: (folder / (TOKENIZER + ".part")).read_bytes(),
    }
    checksums = {file: _sha256(data) for file, data in content.items()}
    text = json.dumps({**card, "sha256": checksums}, indent=1, ensure_ascii=False) + "\n"
    content[CARD] = text.encode("utf-8")
    for file, data in content.items():
        (folder / (file + ".part")).write_bytes(data)
        os.replace(folder / (file + ".part"), folder / file)


def packed(weights: dict[str, Tensor], bits: int = 16) -> dict[str, Tensor]:
    """Weights as they are stored: in float16, or matrices in 8 bits.

    A row of such a matrix is whole numbers from -127 to 127 and a scale, the largest of the row
    over 127 rounded to bfloat16: so what is unpacked and packed again is the same. Vectors and
    kernels stay in float16.

    Raises
    ------
    ValueError
        If `bits` is neither 16 nor 8, or a weight does not fit float16.

    Examples
    --------
    >>> row = {"W": torch.tensor([[0.5, -1.0, 0.003]])}
    >>> packed(row, bits=8)["W"]
    tensor([[  64, -127,    0]], dtype=torch.int8)
    >>> unpacked(packed(row, bits=8))["W"].round(decimals=2)
    tensor([[ 0.5000, -1.0000,  0.0000]])
    """
    if bits not in BITS:
        raise ValueError(f"weights are stored in 16 or 8 bits, not {bits}")
    stored = {}
    for key, value in weights.items():
        value = value.detach().cpu().contiguous()
        half = value.half()
        if not half.isfinite().all():
            raise ValueError(f"{key} holds a number that float16 cannot")
        if bits == 16 or value.dim() != 2:
            stored[key] = half
            continue
        scale = (value.abs().amax(1, keepdim=True) / 127).bfloat16()
        whole = (value / scale.float().clamp(min=1e-30)).round().clamp(-127, 127)
        stored[key], stored[key + SCALE] = whole.to(torch.int8), scale
    return stored


def unpacked(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `packed` stored, in float32."""
    return {
        key: value.float() * stored[key + SCALE].float() if key + SCALE in stored else value.float()
        for key, value in stored.items()
        if not key.endswith(SCALE)
    }


def _folder(name: str) -> Path:
    """The folder of a shipped model, or an error that says what there is."""
    known = names()
    if name in known:
        return WEIGHTS / name
    have = f"models: {', '.join(known) or 'none'}"
    pairs = sorted(
        "-".join(both) for both in {tuple(card(o)["languages"]) for o in known} if len(both) == 2
    )
    parts = name.split("-")
    if len(parts) == 3 and all(2 <= len(code) <= 3 for code in parts[:2]):
        pair = "-".join(parts[:2])
        if pair not in pairs:
            pairs = ", ".join(pairs) or "none"
            raise ValueError(f"no model for the language pair {pair}; pairs: {pairs}; {have}")
    raise ValueError(f"unknown model {name!r}; {have}")


def _read_card(folder: Path) -> dict:
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = {"name", "languages", "model", "sha256"} - card.keys()
        missing |= {MODEL, TOKENIZER} - card.get("sha256", {}).keys()
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; {_remedy(path)}") from error
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is truncated or altered ({error}); {_remedy(path)}") from error
    if missing:
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}; {_remedy(path)}")
    return card


def _remedy(path: Path) -> str:
    return f"put it back (git checkout -- {path.name} in its folder), or install attnlib again"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

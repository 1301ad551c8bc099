"""What a run reads, as ids: text, or images with their captions.

The loop knows neither kind. Both have a ``tokenizer``, the batches of an ``epoch`` and those for
``validation``, whose fields are those of `data.batches.Batch`, and a ``bleu``.
"""

import hashlib
import itertools
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from attnlib import metrics, settings
from attnlib.autoregressive import AutoregressiveModel
from attnlib.data import corpora, hansards, images, own, own_pictures, toy
from attnlib.data.batches import Batch, Pair, by_tokens, collate
from attnlib.data.photographs import Photographs
from attnlib.data.tokenizer import Tokenizer
from attnlib.metrics import pointing
from attnlib.pretrained import Pretrained
from attnlib.training.config import CaptionerConfig, DataConfig, RunConfig
from attnlib.training.features import SeenMosaics, SeenPhotographs
from attnlib.vision import Backbone, Grid, ImageEncoder

DISTILLED = "targets.txt", "distilled.json"  # what `distil` leaves in a folder
FEW = 100  # pairs, of which nobody learns to translate
SCORED = 200  # validation sentences that are translated each time, or photographs


@dataclass(frozen=True)
class TextData:
    """A run's text, as ids; the training text itself is needed for BPE-dropout alone.

    `scored` is what `bleu` translates, `notes` what there is to say of the text, a line each.
    """

    tokenizer: Tokenizer | toy.Vocabulary
    train: Sequence[Pair]
    val: Sequence[Pair]
    text: corpora.Corpus | None = None
    scored: corpora.Corpus | None = None
    notes: tuple[str, ...] = ()

    def epoch(
        self, config: RunConfig, number: int, first: int = 0, workers: int = 0
    ) -> Iterator[Batch]:
        """The batches of an epoch, from the `first` on.

        A worker cuts the text of the next epoch while this one is trained on; with or without one
        the batches are the same.
        """
        train = self._cut(config, number, workers) if config.data.bpe_dropout else self.train
        order = by_tokens(
            train, config.optimisation.tokens, random.Random(f"{config.seed} {number}")
        )
        for rows in itertools.islice(order, first, None):
            yield collate([train[i] for i in rows])

    def _cut(self, config: RunConfig, number: int, workers: int) -> Sequence[Pair]:
        if not workers:
            return self._sampled(config, number)
        if self._ahead.get("number") != number:
            loader = DataLoader(
                EpochsOfText(self, config),
                batch_size=None,  # an item is an epoch, as it is
                collate_fn=list,
                sampler=itertools.count(number),
                num_workers=1,
                prefetch_factor=1,
                worker_init_fn=images.leave_group,
                generator=torch.Generator(),  # or it would draw from torch's own
            )
            self._ahead["epochs"] = iter(loader)
        self._ahead["number"] = number + 1
        return next(self._ahead["epochs"])

    def close(self) -> None:
        """End the worker, if there is one."""
        self._ahead.clear()

    @cached_property
    def _ahead(self) -> dict[str, Any]:
        """The epochs that a worker cuts, and the number of the next of them."""
        return {}

    def _sampled(self, config: RunConfig, number: int) -> Sequence[Pair]:
        """The training pairs of an epoch, cut into subwords anew (`Tokenizer.sample`)."""
        tokenizer = self.tokenizer
        if self.text is None or not isinstance(tokenizer, Tokenizer):
            raise ValueError(f"{config.name}: BPE-dropout needs text that is cut into subwords")
        rng = random.Random(f"subwords {config.seed} {number}")

        def sample(text: str) -> list[int]:
            return tokenizer.sample(text, config.data.bpe_dropout, rng)

        return _arranged([(sample(x), sample(y)) for x, y in self.text], config.data)

    def validation(self, tokens: int = 4000) -> Iterator[Batch]:
        """All of the validation set, in batches."""
        return in_batches(self.val, tokens)

    def bleu(self, model: AutoregressiveModel) -> float | None:
        """BLEU, 0 to 100, of greedy translations of `scored`; None where there is no such text."""
        if self.scored is None or not isinstance(self.tokenizer, Tokenizer):
            return None
        was_training = model.training
        reader = Pretrained("", model.eval(), self.tokenizer, {})
        found = [each.text for each in reader.translate(self.scored.source, beam=1)]
        model.train(was_training)
        return float(metrics.bleu(found, self.scored.target))


@dataclass(frozen=True)
class EpochsOfText(Dataset):
    """The training pairs of a run by the number of the epoch, for a worker to make."""

    data: TextData
    config: RunConfig

    def __getitem__(self, number: int) -> Sequence[Pair]:
        return self.data._sampled(self.config, number)


@dataclass(frozen=True)
class ImageData:
    """A run's images and their captions, made while it trains (`images.epoch`).

    `scored` of val are captioned by `bleu`; `notes` are what there is to say of them, a line each.
    """

    tokenizer: Tokenizer
    train: Any  # a collection, as `images.load` gives it
    val: Any
    grid: tuple[int, int]  # rows and columns of cells, into which the encoder divides an image
    validated: int = 500  # images
    scored: int = 0
    notes: tuple[str, ...] = ()

    def epoch(
        self, config: RunConfig, number: int, first: int = 0, workers: int = 0
    ) -> Iterator[Batch]:
        """The batches of an epoch, from the `first` on, made by `workers` processes."""
        size, limit = config.optimisation.images, config.data.sentences
        told = config.loss.supervised_attention
        places = partial(pointing.named_cells, grid=self.grid) if told else None
        if isinstance(self.train, SeenPhotographs):
            workers = 0  # there is nothing left to make
        how = (size, config.seed, number, first, limit, workers)
        return images.epoch(self.train, self.tokenizer, math.prod(self.grid), *how, places)

    def look(self) -> None:
        """Let a frozen encoder see all photographs, where it sees each of them once."""
        for each in (self.train, self.val):
            if isinstance(each, SeenPhotographs):
                _ = each.seen

    def close(self) -> None:
        """Nothing: workers end with their epoch."""

    def validation(self) -> Iterator[Batch]:
        """The first images of the validation set, in batches; made once."""
        return iter(self._validation)

    def bleu(self, model: AutoregressiveModel) -> float | None:
        """BLEU, 0 to 100, of greedy captions of the first `scored` of val; None where it is 0."""
        if not self.scored:
            return None
        samples = [self.val.sample(i) for i in range(min(self.scored, len(self.val)))]
        was_training = model.training
        reader = Pretrained("", model.eval(), self.tokenizer, {})
        pictures: Any = [sample.image for sample in samples]
        if isinstance(self.val, SeenPhotographs):
            pictures = torch.from_numpy(np.stack(pictures)).float()
        found = [each.text for each in reader.caption(pictures, beam=1)]
        model.train(was_training)
        return float(metrics.bleu(found, [[x.text for x in each.captions] for each in samples]))

    @cached_property
    def _validation(self) -> list[Batch]:
        cells = math.prod(self.grid)
        return list(images.epoch(self.val, self.tokenizer, cells, images=100, limit=self.validated))


def in_batches(pairs: Sequence[Pair], tokens: int = 4000) -> Iterator[Batch]:
    """All of these pairs, those of similar length together, in batches that are always the same."""
    for rows in by_tokens(pairs, tokens, random.Random(0)):
        yield collate([pairs[i] for i in rows])


def prepare(config: RunConfig) -> TextData | ImageData:
    """Load a run's data and turn it into ids; the vocabulary sees the training split only."""
    data = config.data
    if data.distilled and data.corpus not in ("multi30k", "tatoeba", "hansards"):
        raise ValueError(f"{data.corpus} has no distilled targets ({data.distilled})")
    if isinstance(config.model, CaptionerConfig):
        return _pictures(config, config.model)
    if data.corpus in toy.TASKS:
        vocabulary = toy.vocabulary(data.corpus)
        train = vocabulary.pairs(toy_examples(data, "train", data.sentences or 10000, config.seed))
        val = vocabulary.pairs(toy_examples(data, "val", 200, config.seed))
        return TextData(vocabulary, _arranged(train, data), _arranged(val, data))
    if data.corpus == "own":
        return _own(data)
    text, held_out = load_corpus(data, "train")[: data.sentences], load_corpus(data, "val")
    tokenizer = Tokenizer.train(text.source + text.target, data.vocab_size)
    if data.distilled:  # the vocabulary stays that of the people's text
        text = corpora.Corpus(text.source * 2, text.target + distilled(data, text), text.languages)

    def encoded(corpus: corpora.Corpus) -> Sequence[Pair]:
        return _arranged([(tokenizer.encode(x), tokenizer.encode(y)) for x, y in corpus], data)

    return TextData(tokenizer, encoded(text), encoded(held_out), text)


def _pictures(config: RunConfig, model: CaptionerConfig) -> ImageData:
    """The images of a captioner's run; of a frozen encoder, what it sees of them."""
    data = config.data
    train: Any
    val: Any
    frozen = model.encoder in settings.FROZEN  # then nobody draws the mosaics
    if config.loss.supervised_attention and (frozen or data.corpus not in images.GENERATED):
        raise ValueError(
            f"{data.corpus} has no masks of the things in it, which supervised attention "
            f"(supervised_attention={config.loss.supervised_attention}) needs"
        )
    if data.corpus == images.OWN:
        tokenizer, train, val, notes = _own_pictures(data)
    else:
        train, val = images.load(data.corpus, "train", config.seed), images.load(data.corpus, "val")
        notes = ()
        if data.corpus in images.GENERATED:
            tokenizer = images.tokenizer(train.grammar.words)
        else:
            texts = [text for _, texts in train[: data.sentences] for text in texts]
            tokenizer = Tokenizer.train(texts, data.vocab_size)
    encoder: Grid
    if model.encoder in settings.FROZEN:
        encoder = settings.make_tiled(train.size, model.encoder)
        seen: Any = SeenMosaics if data.corpus in images.GENERATED else SeenPhotographs
        train, val = seen(train, encoder), seen(val, encoder)
    else:
        with torch.device("meta"):  # it need not see anything
            if model.encoder:
                encoder = Backbone(model.encoder, train.size)
            else:
                encoder = ImageEncoder(size=train.size, cell=model.cell)
    scored = SCORED if data.corpus == images.OWN else 0
    grid = encoder.cells(train.size, train.size)
    return ImageData(tokenizer, train, val, grid, scored=scored, notes=notes)


def _own_pictures(data: DataConfig) -> tuple[Tokenizer, Photographs, Photographs, tuple[str, ...]]:
    """Photographs of one's own, and what there is to say of them.

    Raises
    ------
    ValueError
        If nothing is left to train on, or to validate with; as `own_pictures.read` and
        `own_pictures.split`.
    """
    assert data.size is not None
    train = own_pictures.read(data.files, data.size)
    said: dict[str, list[str]] = {"training": list(train.notes), "validation": []}
    if data.valid_files:
        val = own_pictures.read(data.valid_files, data.size)
        said["validation"] += val.notes
        known = set(val.sha256)
        rows = [i for i, digest in enumerate(train.sha256) if digest not in known]
        if again := len(train) - len(rows):
            said["training"].append(f"{again:,} left out that are for validation")
        if not rows:
            raise ValueError("each training photograph is in the validation set too")
        train = train.only(rows)
    else:
        train, val = own_pictures.split(train, data.held_out)
        said["validation"].append("held out, by a draw")
    parts = {"training": train.photographs[: data.sentences], "validation": val.photographs}
    texts = [text for its in parts["training"].captions for text in its]
    tokenizer = Tokenizer.train(texts, data.vocab_size)
    kept: dict[str, Photographs] = {}
    notes = []
    for called, found in parts.items():
        short = [
            (path, its)
            for path, texts in found
            if (its := tuple(x for x in texts if len(tokenizer.encode(x)) <= data.max_length))
        ]
        if not short:
            raise ValueError(
                f"each {called} caption has more than {data.max_length} subwords: raise "
                "--max-length, or shorten them"
            )
        paths, captions = zip(*short)
        kept[called] = Photographs(paths, captions, data.size)
        number, long = (sum(map(len, each)) for each in (captions, found.captions))
        photographs = own.plural(len(paths), f"{called} photograph")
        said[called].insert(0, f"{photographs} with {own.plural(number, 'caption')}")
        if long > number:
            said[called].append(
                f"{long - number:,} of more than {data.max_length} subwords left out"
            )
        loud = [note for note in said[called] if note.startswith("WARNING")]  # lines of their own
        notes += [", ".join(note for note in said[called] if note not in loud), *loud]
    notes.append(_vocabulary(tokenizer, data))
    return tokenizer, kept["training"], kept["validation"], tuple(notes)


def load_corpus(data: DataConfig, split: str) -> corpora.Corpus:
    """The sentences of a run that reads text."""
    if data.corpus == "multi30k":
        return corpora.multi30k(split, data.source, data.target)
    if data.corpus == "tatoeba":
        return corpora.tatoeba(split)
    if data.corpus == "hansards":
        return hansards.corpus(split)
    if data.corpus == "own":
        parts, _, _ = _own_text(data)
        if split not in parts:
            raise ValueError(f"unknown split {split!r}: one of {', '.join(parts)}")
        return parts[split]
    known = ", ".join(("multi30k", "tatoeba", "hansards", *toy.TASKS, *images.COLLECTIONS, "own"))
    raise ValueError(f"unknown data {data.corpus!r}: one of {known}")


def distilled(data: DataConfig, text: corpora.Corpus) -> list[str]:
    """The targets that teachers have made of these sources (`training.distil`).

    Raises
    ------
    ValueError
        If the folder is not finished, or is of other sources.
    """
    folder = Path(data.distilled or "")
    lines, about = (folder / name for name in DISTILLED)
    if not lines.exists() or not about.exists():
        raise ValueError(f"no {lines}: make it with python -m attnlib.training.distil")
    targets = lines.read_text(encoding="utf-8").split("\n")[:-1]
    made = json.loads(about.read_text(encoding="utf-8"))
    if len(targets) != len(text) or made["sources sha256"] != digest(text.source):
        raise ValueError(
            f"{folder} was made of {made['sources']} other sources than the {len(text)} of this run"
        )
    if made["sha256"] != digest(targets):
        raise ValueError(f"{lines} has been changed since it was made: make it again")
    return targets


def digest(lines: Iterable[str]) -> str:
    """The checksum of a file that has these lines."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode("utf-8")).hexdigest()


def short_enough(
    corpus: corpora.Corpus, tokenizer: Tokenizer, longest: int
) -> tuple[corpora.Corpus, list[Pair]]:
    """The pairs of which neither side has more subwords than that: their text, and their ids."""
    kept = []
    pairs: list[Pair] = []
    for both in corpus:
        ids = [tokenizer.encode(side) for side in both]
        if max(map(len, ids)) <= longest:
            kept.append(both)
            pairs.append((ids[0], ids[1]))
    source, target = ([both[i] for both in kept] for i in (0, 1))
    return corpora.Corpus(source, target, corpus.languages), pairs


def _own(data: DataConfig) -> TextData:
    """Text of one's own, and what there is to say of it.

    Raises
    ------
    ValueError
        If all pairs are too long; as `own.read` and `own.split`.
    """
    whole, empty, warned = _own_text(data)
    tokenizer = Tokenizer.train(whole["train"].source + whole["train"].target, data.vocab_size)
    text: dict[str, corpora.Corpus] = {}
    pairs: dict[str, list[Pair]] = {}
    notes = []
    for split, called in (("train", "training"), ("val", "validation")):
        text[split], pairs[split] = short_enough(whole[split], tokenizer, data.max_length)
        kept, long = len(text[split]), len(whole[split]) - len(text[split])
        if not kept:
            raise ValueError(
                f"each {called} pair has more than {data.max_length} subwords on a side: raise "
                "--max-length, or split the lines into sentences"
            )
        more = [f"{empty[split]:,} with an empty side left out"] if empty[split] else []
        more += [f"{long:,} of more than {data.max_length} subwords left out"] if long else []
        if split == "val" and not data.valid_files:
            more.append("held out of the training text, by a draw")
            seen = set(text["train"].target)  # where `own.split` could not help it
            if again := sum(target in seen for target in text["val"].target):
                more.append(f"{again:,} with a target that is in the training text too")
        notes.append(", ".join([own.plural(kept, f"{called} pair"), *more]))
    if len(data.files) == 1:
        notes.insert(0, _direction(text["train"], data))
    known = set(text["train"])
    if again := sum(pair in known for pair in text["val"]):
        pairs_are = "pair is" if len(text["val"]) == 1 else "pairs are"
        loud = "WARNING: " if again > len(pairs["val"]) / 2 else ""  # then it measures nothing
        notes.append(f"{loud}{again:,} of the validation {pairs_are} in the training text too")
    if len(text["train"]) < FEW:
        notes.append(f"WARNING: a translator learns next to nothing from fewer than {FEW} pairs")
    notes += [_vocabulary(tokenizer, data), *warned]
    train, val = (_arranged(pairs[split], data) for split in ("train", "val"))
    return TextData(tokenizer, train, val, text["train"], text["val"][:SCORED], tuple(notes))


def _direction(corpus: corpora.Corpus, data: DataConfig) -> str:
    """Which side of a file with tabs is translated to which, by an example."""
    source, target = (shorten(side[0], 40) for side in (corpus.source, corpus.target))
    said = f"{data.files[0]}, left to right: {data.source} {source!r} to {data.target} {target!r}"
    if (data.source, data.target) == ("source", "target"):
        said += "; --languages FROM TO gives them names"
    return said


def _vocabulary(tokenizer: Tokenizer, data: DataConfig) -> str:
    """How many subwords there are, and why not as many as were asked for."""
    said = own.plural(len(tokenizer), "subword")
    if len(tokenizer) == data.vocab_size:
        return said
    less = "the text has no more" if len(tokenizer) < data.vocab_size else "so many characters"
    return f"{said}, not the {data.vocab_size:,} asked for: {less}"


def _own_text(
    data: DataConfig,
) -> tuple[dict[str, corpora.Corpus], dict[str, int], list[str]]:
    """The training and the validation text, how many pairs of their files had an empty side, and
    what looks wrong with the files.
    """
    languages = data.source, data.target
    train, empty = own.read(data.files, languages)
    warned = own.warnings(train, data.files)
    if data.valid_files:
        val, val_empty = own.read(data.valid_files, languages)
        warned += own.warnings(val, data.valid_files)
    else:
        (train, val), val_empty = own.split(train, data.held_out), 0
    parts = {"train": train[: data.sentences], "val": val}
    return parts, {"train": empty, "val": val_empty}, warned


def toy_examples(data: DataConfig, split: str, number: int, seed: int) -> list[toy.Example]:
    """Examples of a run's toy task, drawn with its seed."""
    rng = random.Random(f"{split} {seed}")
    if data.corpus in ("copy", "reverse"):
        make = getattr(toy, data.corpus)
        shortest, longest = data.min_length, data.max_length
        return make(rng, number, shortest=shortest, longest=longest, split=split)
    return getattr(toy, data.corpus)(rng, number, split=split)


def _arranged(pairs: Sequence[Pair], data: DataConfig) -> Sequence[Pair]:
    """Apply the old tricks on the source: reversed, or fed twice."""
    if data.reverse_source:
        pairs = [(x[::-1], y) for x, y in pairs]
    if data.double_source:
        pairs = [([*x, *x], y) for x, y in pairs]
    return pairs

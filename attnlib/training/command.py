"""``attnlib train``, and ``python -m attnlib.training``: train runs by their names, or own data."""

import argparse
import contextlib
import difflib
import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from attnlib.data import files
from attnlib.data.batches import by_tokens
from attnlib.data.own import plural
from attnlib.pretrained import RUNS
from attnlib.training import own, queue, recipes, shipping
from attnlib.training.config import RunConfig
from attnlib.training.environment import Processes, Stopped, bf16_products, only_one
from attnlib.training.inputs import ImageData, TextData, prepare
from attnlib.training.loop import Run


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")  # one line: the usage is long


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one run, on data of one's own, or what is left of the queue; see ``--help``.

    Returns
    -------
    int
        0; 1 if a loss is not finite; 2 if something cannot be trained as asked for; 130 or 143 if
        SIGINT or SIGTERM stopped it. All but 0 say why in one line.
    """
    options = _options(arguments)
    if options.list:
        for config in recipes.QUEUE.values():
            print(f"{config.name:32} {config.optimisation.updates:6} updates")
        for config in recipes.PHOTOGRAPHS.values():
            updates = config.optimisation.updates
            print(f"{config.name:32} {updates:6} updates, by --run: needs your own copy")
        return 0
    threads = torch.get_num_threads()
    try:
        if options.measure:
            for name in options.measure:
                _print(shipping.measure(options.folder / name / "model"))
        elif options.queue in recipes.QUEUES:
            return _train_side_by_side(options)
        elif options.name:
            _train_own(options)
        else:
            _train(options)
        Processes.leave()
    except Stopped as stopped:
        return _explained(stopped, 128 + stopped.number)
    except KeyboardInterrupt:
        return _explained("interrupted; the same command goes on from the last checkpoint", 130)
    except FloatingPointError as error:
        return _explained(error, 1)
    except (ValueError, ImportError, files.DataError) as error:
        return _explained(error, 2)
    finally:
        torch.set_num_threads(threads)
    return 0


def _explained(why: object, code: int) -> int:
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"attnlib train: {' '.join(str(why).split())}", file=sys.stderr)
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="attnlib train",
        usage="%(prog)s NAME --source FILE --target FILE [--minutes M] [OPTIONS]\n"
        "       %(prog)s NAME --images FOLDER --captions FILE [--minutes M] [OPTIONS]\n"
        "       %(prog)s (--run NAME | --queue WHICH | --measure NAME... | --list) [OPTIONS]",
        description="Train a model on text or photographs of your own, or a model of the book, or "
        "all of them. "
        "Stop it at any moment (Ctrl-C, --budget, a kill): the same command goes on from the last "
        "checkpoint, which is at most a minute old, and ends with the same weights as if it had "
        "not been stopped. A finished run is a folder with the weights, the tokenizer and a card "
        "of how it was made and measured: FOLDER/NAME/model.",
        epilog="To share each batch among N processes, say torchrun --nproc-per-node N -m "
        "attnlib.training for attnlib train.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "name", nargs="?", metavar="NAME", help="train a model of this name on data of your own"
    )
    which.add_argument("--run", metavar="NAME", help="train one run")
    which.add_argument(
        "--queue",
        choices=["all", *recipes.QUEUES],
        help="train what is left: all runs, one by one in this process; gpu: the models of the "
        "book, side by side on one card; cpu: the same on one thread of low priority",
    )
    which.add_argument(
        "--measure",
        nargs="+",
        metavar="NAME",
        help="measure finished runs, whose cards say what is unmeasured for want of a package",
    )
    which.add_argument("--list", action="store_true", help="print the names of all runs")
    parser.add_argument("--budget", type=_minutes, metavar="MINUTES", help="stop after this time")
    parser.add_argument(
        "--jobs",
        type=_whole,
        metavar="N",
        help="runs at a time, for --queue gpu and cpu (default: what a GPU's memory and the cores "
        "bear; on the CPU 1)",
    )
    parser.add_argument("--folder", type=Path, default=RUNS, help="default: %(default)s")
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
    _add_own(parser)
    options = parser.parse_args(arguments)
    known = recipes.QUEUE | recipes.PHOTOGRAPHS
    if not options.name:
        known_here = (*OWN, *map(_destination, own.SETTINGS))
        given = [each for each in known_here if getattr(options, each) is not None]
        if given:
            parser.error(f"--{given[0].replace('_', '-')} is for a NAME and data of your own")
    if options.run and options.run not in known:
        near = difflib.get_close_matches(options.run, known, n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "none is called like it;"
        parser.error(f"unknown run {options.run!r}: {hint} --list prints all")
    return options


# What only data of one's own has, besides `own.SETTINGS`.
FILES = ("source", "target", "tsv", "images", "captions")
OWN = ("model", *FILES, *(f"valid_{name}" for name in FILES), "languages", "minutes")


def _destination(setting: str) -> str:
    return own.option(setting).replace("-", "_")


def _add_own(parser: argparse.ArgumentParser) -> None:
    text = parser.add_argument_group(
        "text of your own",
        "UTF-8, a sentence a line, line n of one file translating line n of the other; names that "
        "end in .gz are gzipped files. FOLDER/NAME/model is then a --model of attnlib translate.",
    )
    text.add_argument("--source", metavar="FILE", help="what is translated")
    text.add_argument("--target", metavar="FILE", help="what it is translated to")
    text.add_argument(
        "--tsv",
        metavar="FILE",
        help="or both in one file, with a tab between: left is what is translated",
    )
    for name in ("source", "target", "tsv"):
        text.add_argument(f"--valid-{name}", metavar="FILE", help="the same for validation")
    text.add_argument(
        "--languages",
        nargs=2,
        metavar=("FROM", "TO"),
        help="names of the two (default: the ends of the files' names)",
    )
    pictures = parser.add_argument_group(
        "photographs of your own",
        "A folder, and a file that says what its images show: image.jpg#0, a tab and a caption, as "
        "Flickr8k has it; the same without a number; image.jpg,caption (CSV); or COCO's JSON. An "
        "image may have several captions. FOLDER/NAME/model is then a --model of attnlib caption.",
    )
    for prefix, also in (("", ""), ("valid-", " of validation")):
        folder = "the folder of the photographs" + also
        folder += " (default: as for training)" if also else ""
        pictures.add_argument(f"--{prefix}images", metavar="FOLDER", help=folder)
        pictures.add_argument(f"--{prefix}captions", metavar="FILE", help=f"the captions{also}")
    both = parser.add_argument_group("either of them")
    both.add_argument(
        "--minutes",
        type=_minutes,
        metavar="M",
        help="as many updates as fit this time on this machine, as fast as it is when they begin; "
        "then the model is measured. They are planned once: for another length take another NAME",
    )
    both.add_argument(
        "--model",
        choices=list(recipes.OWN),
        help="the kind of model (default: recurrent; of photographs captioner)",
    )
    settings = parser.add_argument_group("settings for text or photographs of your own")
    for name, what in own.SETTINGS.items():
        kinds = {key: each for key, each in recipes.OWN.items() if own.has(key, name)}
        usual = [own.setting(config, name) for config in kinds.values()]
        if name == "max_length":
            usual = [own.LONGEST, *usual[-1:]]
        values = " or ".join(dict.fromkeys(str(value) for value in usual if value is not None))
        settings.add_argument(
            "--" + own.option(name),
            type=partial(_setting, name),
            metavar={int: "N", float: "X", str: "NAME"}[own.kind(name)],
            help=f"{what} (default: {values})" if values else what,
        )


def _setting(name: str, text: str) -> int | float | str | None:
    kind = own.kind(name)
    if kind is int:
        return _whole(text, least=0 if name == "warmup" else 1)
    if kind is str:
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number, at least 0, got {text!r}")
    return number


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
    configs = (
        [(recipes.QUEUE | recipes.PHOTOGRAPHS)[options.run]]
        if options.run
        else list(recipes.QUEUE.values())
    )
    if options.updates:
        configs = [config.replace(updates=options.updates) for config in configs]
    for config in configs:
        shipping.check_shippable(config)  # now, not after hours of training
    torch.set_num_threads(options.threads)
    until = math.inf if options.budget is None else time.monotonic() + 60 * options.budget
    processes = Processes.join()
    first = processes.rank == 0
    for config in configs:
        folder = options.folder / config.name
        shipped = queue.shipped(folder)
        late = time.monotonic() >= until
        any_late, any_shipped = processes.largest(int(first and late), int(first and shipped))
        if any_shipped:
            continue
        if any_late:
            break
        with only_one(folder) if first else contextlib.nullcontext():
            run = Run(config, folder, device=options.device, workers=options.workers)
            if _run(run, until) and first:
                _print(shipping.ship(run, folder / "model"))


def _run(run: Run, until: float) -> bool:
    """Train until finished, or until the monotonic clock says so; return whether finished."""
    left = (until - time.monotonic()) / 60
    with bf16_products(run.device):
        return run.run(None if left == math.inf else left)


def _train_own(options: argparse.Namespace) -> None:
    """Train on data of one's own; the first process decides for all, ships, and speaks."""
    began = time.monotonic()
    until = math.inf if options.budget is None else began + 60 * options.budget
    kind, text, valid = _files(options)
    given = {
        name: None if (name, value) == ("score", "none") else value
        for name in own.SETTINGS
        if (value := getattr(options, _destination(name))) is not None
    }
    languages = options.languages
    config = own.config(options.name, kind, text, valid, languages, options.updates, given)
    torch.set_num_threads(options.threads)
    folder = options.folder / config.name
    begun_before = own.written(folder)
    plan = ""
    if begun_before is not None:
        before, planned = begun_before
        config = own.as_begun(config, before, given, measured=bool(options.minutes))
        own.check(config, before, folder)
        if options.minutes and options.minutes != planned:
            plan = own.as_planned(before.optimisation.updates, planned)
    first = Processes.join().rank == 0
    say = partial(print, f"{config.name}:", file=sys.stderr, flush=True) if first else _say_nothing
    pictures = kind == "captioner"
    use = f"attnlib {{}} --model {folder / 'model'} {{}}"
    use = use.format(*(("caption", "IMAGE") if pictures else ("translate", "< FILE")))
    if queue.shipped(folder):
        if plan:
            raise ValueError(f"{folder} holds a finished run, {plan}")
        say(f"finished before; {use}")
        return
    if plan:
        say(f"goes on {plan}")
    data = prepare(config)
    for note in [*own.oddities(config), *data.notes]:
        say(note)
    if isinstance(data, ImageData):
        data.look()
    with only_one(folder) if first else contextlib.nullcontext():
        if options.minutes and begun_before is None:
            minutes = options.minutes - (time.monotonic() - began) / 60
            config = own.paced(config, data, minutes, options.device, given)
        times = config.optimisation.updates / _batches(config, data)
        what = "photographs" if pictures else "text"
        number = plural(config.optimisation.updates, "update")
        say(f"{number}, {times:.1f} times the {what}")
        run = Run(config, folder, data, device=options.device, workers=options.workers)
        if options.minutes and begun_before is None:
            run.progress.planned_minutes = options.minutes
        if _run(run, until):
            if first:
                _print(shipping.ship(run, folder / "model"))
                say(f"finished; {use}")
        else:
            done = plural(run.progress.update, "update")
            say(f"stopped after {done}; the same command goes on")


def _batches(config: RunConfig, data: TextData | ImageData) -> int:
    """How many updates see all of the training data once."""
    if isinstance(data, ImageData):
        return math.ceil(len(data.train) / config.optimisation.images)
    return sum(1 for _ in by_tokens(data.train, config.optimisation.tokens, random.Random(0)))


def _say_nothing(*_: object) -> None:
    """What all processes but the first one say."""


def _files(options: argparse.Namespace) -> tuple[str, list[str], list[str]]:
    """The kind of model, and the files to train on and to validate with, one or two of each."""
    if options.name in recipes.QUEUE | recipes.PHOTOGRAPHS:
        raise ValueError(
            f"{options.name} is a run of the book: --run {options.name} trains it, and data of "
            "your own needs another name"
        )
    if not re.fullmatch(r"\w[\w.-]*", options.name):
        raise ValueError(f"a name has letters, digits and . _ -, got {options.name!r}")
    if options.minutes is not None and options.updates:
        raise ValueError("give either --minutes or --updates: the one sets the other")
    if any(getattr(options, prefix + x) for prefix in ("", "valid_") for x in FILES[3:]):
        return ("captioner", *_folders(options))
    if options.model == "captioner":
        raise ValueError("a captioner needs photographs: --images and --captions")
    found = []
    for prefix in ("", "valid_"):
        source, target, tsv = (
            getattr(options, prefix + name) for name in ("source", "target", "tsv")
        )
        option = "--" + prefix.replace("_", "-")
        if tsv and (source or target):
            raise ValueError(f"give either {option}tsv, or {option}source and {option}target")
        if not tsv and bool(source) != bool(target):
            side = "target" if source else "source"
            raise ValueError(f"{option}{side} is missing: a text has two sides")
        found.append([tsv] if tsv else [source, target] if source else [])
    if not found[0]:
        raise ValueError(
            f"{options.name} needs its text: --source and --target, or --tsv (or photographs: "
            "--images and --captions)"
        )
    return options.model or "recurrent", found[0], found[1]


def _folders(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The folder and the captions of the training photographs, and those of validation."""
    for name in (*FILES[:3], *(f"valid_{x}" for x in FILES[:3]), "languages"):
        if getattr(options, name):
            raise ValueError(
                f"--{name.replace('_', '-')} is for text: photographs have --images and --captions"
            )
    if options.model not in (None, "captioner"):
        raise ValueError(f"--model {options.model} is for text: photographs have the captioner")
    for name in ("images", "captions"):
        if not getattr(options, name):
            raise ValueError(f"--{name} is missing: photographs need a folder and their captions")
    if options.valid_images and not options.valid_captions:
        raise ValueError("--valid-captions is missing: what do the photographs of validation show?")
    valid = [options.valid_images or options.images, options.valid_captions]
    return [options.images, options.captions], valid if valid[1] else []


def _train_side_by_side(options: argparse.Namespace) -> int:
    """A queue of processes of their own; 1 if a run failed."""
    device = "cpu" if options.queue == "cpu" else options.device
    more = ["--threads", str(options.threads), "--workers", str(options.workers)]
    for name, value in (("--device", device), ("--updates", options.updates)):
        more += [name, str(value)] if value else []
    failed = queue.train(
        recipes.QUEUES[options.queue],
        options.folder,
        options.jobs or queue.side_by_side(device),
        options.budget,
        more,
        niceness=19 if options.queue == "cpu" else 0,
    )
    for name, why in failed.items():
        print(f"attnlib train: {name} failed, {why}", file=sys.stderr)
    return 1 if failed else 0


def _print(card: dict) -> None:
    print(json.dumps({name: card[name] for name in ("metrics", "unmeasured")}, indent=1))

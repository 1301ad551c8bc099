"""Two text files become a translator in 12 minutes, and what goes wrong when it does not learn.

Run from the root of the repository, half an hour of one core::

    OMP_NUM_THREADS=1 python book/results/own_text.py

The commands of the page *Train your own* are typed as they stand there, on Multi30k from English to
German, and what they print is kept. Only ``--minutes 12`` becomes ``--updates 2600``, which is what
12 minutes of one free core do (0.24 s an update, and 20 validations): so the file can be made again
on a machine that is busy. Processor time is kept beside the time on the clock.

Then the troubles, one run each with the page's settings unless `TROUBLES` says otherwise: files out
of step by one line, fewer pairs, and so on. Where nothing else is said these are the first `FIRST`
updates as the page's run makes them, at its learning rates, so that their logs can be compared row
by row. BLEU in a log is that of greedy translations of 200 validation sentences; how many
translations are different is counted on the 1,000 test sentences, greedy too.

A folder given by ``--work`` keeps the runs, so that a script that was stopped goes on. It writes
``own_text.json`` beside this file.
"""

import argparse
import contextlib
import csv
import io
import json
import shlex
import tempfile
import time
from pathlib import Path

import torch
from _record import record

from attnlib import cli, metrics, pretrained, text
from attnlib.data import corpora
from attnlib.training import Run, own
from attnlib.training.inputs import TextData, prepare

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/own_text.py"
MINUTES, ENOUGH = "--minutes 12", "--updates 2600"
TRAIN = (
    "train en-de --source train.en --target train.de "
    "--valid-source val.en --valid-target val.de "
    "--width 128 --hidden 192 --vocab-size 4000 "
    "--lr 0.002 --dropout 0.1 --output-dropout 0.2 --minutes 12"
)
HORSE = "A man in a red shirt rides a white horse."
OTHERS = '"Two dogs play in the snow." "My train is late again."'
# The page's commands, in its order.
LINES = (
    TRAIN,
    f'translate --model runs/en-de "{HORSE}" {OTHERS}',
    "evaluate runs/en-de --source test.en --target test.de",
    "align runs/en-de --source five.en --target five.de",
    TRAIN,
)
SETTINGS = {
    "width": 128,
    "hidden": 192,
    "vocab_size": 4000,
    "lr": 0.002,
    "dropout": 0.1,
    "output_dropout": 0.2,
}
FIRST = 520
LATE = {"files": ("late.en", "late.de")}
# What differs from the page's command.
TROUBLES: dict[str, dict] = {
    "one line out of step": LATE,
    "50 updates": {"updates": 50},
    "50 updates, learning rate 0.05": {"lr": 0.05, "updates": 50},
    "six captions a line": {"files": ("long.en", "long.de"), "updates": 10},
    "1,000 pairs": {"sentences": 1000, "last": 1300},
    "5,000 pairs": {"sentences": 5000, "last": 1300},
}


class Begun(Run):
    """A run that ends early, as if it were to go on."""

    last = FIRST

    @property
    def finished(self) -> bool:
        return self.progress.update >= min(self.last, self.config.optimisation.updates)


def write(folder: Path, limit: int | None = None) -> None:
    """The text files of the page, and those of the troubles."""
    for split in ("train", "val", "test_2016_flickr"):
        corpus = corpora.multi30k(split, "en", "de")[:limit]
        name = split.split("_")[0]
        for end, side in (("en", corpus.source), ("de", corpus.target)):
            put(folder / f"{name}.{end}", side)
            if name == "test":
                put(folder / f"five.{end}", side[:5])
            if name == "train":
                put(folder / f"late.{end}", side[1:] if end == "de" else side[:-1])
                sixes = range(0, len(side) - 5, 6)
                put(folder / f"long.{end}", [" ".join(side[i : i + 6]) for i in sixes])


def put(path: Path, lines: list[str]) -> None:
    """Write a line each."""
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def say(line: str) -> str:
    """What a line of the command line prints, without the bar of progress; warnings come last."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(shlex.split(line.replace(MINUTES, ENOUGH)))
    assert code == 0, err.getvalue()
    said = [x.split("\r")[-1].strip() for x in err.getvalue().split("\n") if "%|" not in x]
    notes = [x for x in said if x.startswith("en-de: ") and "en-de: finished" not in x]
    ends = [x for x in said if x and x not in notes]
    return "\n".join([*notes, *out.getvalue().splitlines(), *ends])


def trouble(what: str, changes: dict, folder: Path) -> dict:
    """One run of the troubles: its log, and what it writes for the test sentences."""
    changes = dict(changes)
    files = changes.pop("files", ("train.en", "train.de"))
    last = changes.pop("last", FIRST)
    updates = changes.pop("updates", int(ENOUGH.split()[1]))
    valid, settings = ["val.en", "val.de"], SETTINGS | changes
    config = own.config("trouble", "recurrent", files, valid, None, updates, settings)
    config = config.replace(validate_every=max(10, updates // 20))
    data = prepare(config)
    assert isinstance(data, TextData)
    run = Begun(config, folder / what.replace(" ", "-"), data, device="cpu", quiet=True)
    run.last = last
    run.run()
    test = corpora.multi30k("test_2016_flickr", "en", "de")
    reader = pretrained.Pretrained("", run.averaged_model(), data.tokenizer, {})
    found = [each.text for each in reader.translate(test.source, beam=1)]
    return {
        "what": what,
        "updates": run.progress.update,
        "notes": list(data.notes),
        "curve": curve(run.folder),
        "different": len(set(found)),
        "first": found[:5],
    }


def curve(folder: Path) -> list[dict]:
    """The log of a run."""
    names = ("update", "train_loss", "val_loss", "val_bleu")
    with (folder / "log.csv").open() as file:
        return [{name: float(row[name]) for name in names} for row in csv.DictReader(file)]


def shown(folder: Path) -> dict:
    """What the page shows of the finished model besides what its commands print."""
    loaded = pretrained.load("runs/en-de")
    test = corpora.multi30k("test_2016_flickr", "en", "de")
    five = [each.text for each in loaded.translate(test.source[:5])]
    weights, source, target = text.words_and_weights(loaded.translate([HORSE])[0])
    card = loaded.card
    return {
        "seed": card["seed"],
        "parameters": card["parameters"],
        "metrics": card["metrics"],
        "bytes": sum(path.stat().st_size for path in (folder / "runs/en-de/model").iterdir()),
        "curve": curve(Path("runs/en-de")),
        "five": [list(each) for each in zip(test.source, five, test.target[:5])],
        "horse": {"source": source, "target": target, "weights": weights.round(3).tolist()},
    }


def searched(beam: int) -> dict:
    """The test sentences by a search of this width: how many translations are empty, and BLEU."""
    test = corpora.multi30k("test_2016_flickr", "en", "de")
    found = [each.text for each in pretrained.load("runs/en-de").translate(test.source, beam)]
    bleu = round(metrics.bleu(found, test.target).value, 2)
    return {"beam": beam, "empty": sum(not each for each in found), "bleu": bleu}


def main() -> None:
    """Type the commands, run the troubles, and write the file after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="default: a folder that is thrown away")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(contextlib.chdir(folder))
        folder = Path.cwd()
        kept = folder / "kept.json"
        if not kept.exists():
            write(folder)
            clock, work = time.monotonic(), time.process_time()
            first = say(LINES[0])
            content: dict = {
                "updates": int(ENOUGH.split()[1]),
                "clock_minutes": round((time.monotonic() - clock) / 60, 1),
                "core_minutes": round((time.process_time() - work) / 60, 1),
            }
            content["said"] = [[LINES[0], first]]
            content |= shown(folder)
            content["troubles"] = []
        else:
            content = json.loads(kept.read_text(encoding="utf-8"))
        content["said"][1:] = [[line, say(line)] for line in LINES[1:]]
        if "searched" not in content:
            content["searched"] = [searched(beam) for beam in (1, 5)]
            kept.write_text(json.dumps(content), encoding="utf-8")
        record(RESULTS, COMMAND, content)
        for what, changes in TROUBLES.items():
            if what not in [row["what"] for row in content["troubles"]]:
                content["troubles"].append(trouble(what, changes, folder / "troubles"))
                kept.write_text(json.dumps(content), encoding="utf-8")
                record(RESULTS, COMMAND, content)


if __name__ == "__main__":
    main()

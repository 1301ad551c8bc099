"""A folder of photographs and a file of captions become a captioner: how many does it need?

Run from the root of the repository, less than ten minutes of one core::

    OMP_NUM_THREADS=1 python book/results/own_captions.py

The commands of the page *Train your own* are typed as they stand there, on photographs of the
Grocery Store Dataset (see `attnlib.data.mosaics`): `MOST` of its training photographs, drawn, each
with one line of captions of one pattern, "a photograph of bananas". What is measured is which of
`TESTED` photographs of the data set's own test split get a caption that names their kind and no
other; all runs caption the same ones, with beam 5. BLEU is that of ``attnlib evaluate``.

Beside it stand a third of the photographs; a fifth of the updates; and, as control, the same
captions dealt out to the photographs at random: what is left then is what can be had without
looking. The seed draws the photographs and trains the model; `SEEDS` of each.

A folder given by ``--work`` keeps the runs, so that a script that was stopped goes on. It writes
``own_captions.json`` beside this file.
"""

import argparse
import contextlib
import io
import random
import shlex
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from _record import record

from attnlib import cli, evaluation, pretrained
from attnlib.data import files, mosaics, own_pictures

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/own_captions.py"
SEEDS = (1, 2, 3)
MOST, TESTED, UPDATES = 300, 150, 300
PATTERN = "a photograph of {}"
# The page's commands, in its order.
TRAIN = "train groceries --images photos --captions captions.txt --lr 0.002 --updates 300"
LINES = (
    TRAIN,
    "evaluate runs/groceries --images others --captions others.txt",
    "caption --model runs/groceries new.jpg",
)
# What differs from the page's run: photographs, updates, whether captions are dealt out at random.
ROWS: dict[str, tuple[int, int, bool]] = {
    "300 photographs": (MOST, UPDATES, False),
    "100 photographs": (100, UPDATES, False),
    "300 photographs, 60 updates": (MOST, 60, False),
    "300 photographs, captions shuffled": (MOST, UPDATES, True),
}


def draw(split: str, number: int, seed: int) -> list[mosaics.Photograph]:
    """Different photographs of a split."""
    known = mosaics.photographs()
    drawn = random.Random(f"{split} {seed}").sample(mosaics.numbers(split), number)
    return [known[i] for i in drawn]


def write(folder: Path, name: str, photographs: list[mosaics.Photograph], nouns: list[str]) -> None:
    """A folder of photographs, and the file with a line of each: its name, a tab, its caption."""
    (folder / name).mkdir(parents=True)
    lines = []
    for photo, noun in zip(photographs, nouns, strict=True):
        path = folder / name / Path(photo.name).name
        path.symlink_to(files.fetch(photo.name).resolve())
        lines.append(f"{path.name}\t{PATTERN.format(noun)}\n")
    (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def named(captions: list[str], nouns: list[str]) -> int:
    """How many captions name this kind and no other."""
    return sum(mosaics.kinds_in(x) == [noun] for x, noun in zip(captions, nouns, strict=True))


def say(line: str) -> str:
    """What a line of the command line prints, without the bar of progress."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(shlex.split(line))
    assert code == 0, err.getvalue()
    notes = [x.split("\r")[-1].strip() for x in err.getvalue().split("\n")]
    return "\n".join([*(x for x in notes if x and "%|" not in x), *out.getvalue().splitlines()])


def measure(what: str, seed: int, folder: Path) -> dict:
    """Train one captioner, and caption the test photographs."""
    number, updates, shuffled = ROWS[what]
    chosen = draw("train", MOST, seed)[:number]
    nouns = [photo.noun for photo in chosen]
    if shuffled:
        random.Random(seed).shuffle(nouns)
    tested = draw("test", TESTED, 0)
    right = [photo.noun for photo in tested]
    if not folder.exists():
        write(folder, "photos", chosen, nouns)
        (folder / "photos.txt").rename(folder / "captions.txt")
        write(folder, "others", tested, right)
        (folder / "new.jpg").symlink_to(files.fetch(tested[0].name).resolve())
    with contextlib.chdir(folder):
        began = time.process_time()
        line = TRAIN.replace(f"--updates {UPDATES}", f"--updates {updates}")
        said = [[line, say(f"{line} --seed {seed} --device cpu")]]
        minutes = (time.process_time() - began) / 60
        loaded = pretrained.load("runs/groceries")
        test = own_pictures.read(["others", "others.txt"], loaded.side).photographs
        found = evaluation.evaluate(loaded, test=test)
        if line == TRAIN and seed == SEEDS[0] and not shuffled and number == MOST:
            said += [[each, say(each)] for each in LINES[1:]]  # the page's run
    guess, _ = Counter(nouns).most_common(1)[0]  # the same for all
    return {
        "what": what,
        "seed": seed,
        "photographs": number,
        "updates": updates,
        "kinds": len(set(nouns)),
        "named": named(found.hypotheses, right),
        "commonest": right.count(guess),
        "bleu": round(found.scores["test.bleu"].value, 1),
        "different": len(set(found.hypotheses)),
        "core_minutes": round(minutes, 1),
        "val_bleu": loaded.card["metrics"]["val.bleu"],
        "said": said,
        "first": [[x, PATTERN.format(y)] for x, y in zip(found.hypotheses[:5], right)],
    }


def main() -> None:
    """Measure all rows with all seeds, and write the file after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="default: a folder that is thrown away")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows: list[dict] = []
        for what in ROWS:
            for seed in SEEDS:
                folder = work.resolve() / f"{what}-{seed}".replace(" ", "-").replace(",", "")
                rows.append(measure(what, seed, folder))
                record(RESULTS, COMMAND, {"tested": TESTED, "runs": rows})


if __name__ == "__main__":
    main()

"""Sequence-level distillation: what teachers make of the training sources, as further targets.

A student that learns from a teacher's translations has an easier task than with the people's: a
teacher says like things alike (Kim and Rush 2016, section 3.2). Of the candidates of the beam the
one nearest to the people's translation may be kept instead of the likeliest (section 3.3)::

    python -m attnlib.training.distil --teachers en-fr-transformer --out distilled

writes ``distilled/targets.txt``, a line for each training source in its order, and
``distilled/distilled.json``, which says how they were made, with checksums. Stopped at any moment,
the same command goes on. Only training sources are read. A run reads the folder with the setting
``distilled`` of its data: then it has both targets for each source.
"""

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sacrebleu

from attnlib import metrics, pretrained
from attnlib.data import corpora
from attnlib.decoding import Ensemble
from attnlib.training.config import DataConfig
from attnlib.training.environment import hardware, only_one
from attnlib.training.inputs import DISTILLED, digest, load_corpus

BLOCK = 500  # sources that are translated, written and then never again
RULES = ("nearest", "likeliest")
CORPORA = ("multi30k", "tatoeba", "hansards")


def ensemble(models: Sequence[pretrained.Pretrained]) -> pretrained.Pretrained:
    """Translators as one: the mean of their probabilities at each word.

    Raises
    ------
    ValueError
        If there is none, one is no translator, or they do not share languages and vocabulary.
    """
    if not models:
        raise ValueError("a teacher is needed")
    first = models[0]
    for each in models:
        if len(each.card["languages"]) != 2:
            raise ValueError(f"{each.name} is no translator, so it cannot teach one")
        if each.card["languages"] != first.card["languages"]:
            raise ValueError(f"{each.name} and {first.name} do not translate the same languages")
        if each.tokenizer.to_json() != first.tokenizer.to_json():
            raise ValueError(f"{each.name} and {first.name} do not have the same vocabulary")
    name = ", ".join(each.name for each in models)
    networks: list[Any] = [each.model for each in models]
    return pretrained.Pretrained(name, Ensemble(networks), first.tokenizer, first.card)


def nearest(candidates: Sequence[str], gold: str) -> str:
    """The candidate with the highest sentence BLEU (effective order); of equals the first.

    >>> nearest(["un chat blanc .", "le cheval blanc ."], "un cheval blanc .")
    'le cheval blanc .'
    """
    return max(
        candidates, key=lambda text: sacrebleu.sentence_bleu(text, [gold], lowercase=False).score
    )


def translate(
    teacher: pretrained.Pretrained, corpus: corpora.Corpus, beam: int, rule: str
) -> list[str]:
    """One translation of each source: of the beam the likeliest, or the nearest to the target."""
    if rule == "likeliest":
        found = [each.text for each in teacher.translate(corpus.source, beam)]
    else:
        searched = teacher.nbest(corpus.source, beam)
        found = [
            nearest([each.text for each in candidates], gold)
            for candidates, gold in zip(searched, corpus.target, strict=True)
        ]
    return [" ".join(text.split()) for text in found]  # a line is a translation


def distil(
    names: Sequence[str],
    out: Path,
    data: DataConfig,
    beam: int = 5,
    rule: str = "nearest",
    quiet: bool = True,
) -> dict:
    """Write what the teachers make of the training sources, or what is left of it.

    Parameters
    ----------
    names : the teachers, as `pretrained.load` takes them
    out : the folder to write to
    data : whose training text; its ``sentences`` says how many
    beam, rule : width of the search; ``nearest`` or ``likeliest`` of its candidates

    Returns
    -------
    dict
        What ``distilled.json`` holds.

    Raises
    ------
    ValueError
        As `ensemble`; if the rule or the width is unknown, the teachers translate other languages,
        or the folder holds what was made in another way.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}: one of {', '.join(RULES)}")
    if beam < 1:
        raise ValueError(f"beam must be at least 1, got {beam}")
    models = [pretrained.load(name) for name in names]
    teacher = ensemble(models)
    corpus = load_corpus(data, "train")[: data.sentences]
    if tuple(teacher.card["languages"]) != corpus.languages:
        raise ValueError(
            f"{teacher.name} translates {' to '.join(teacher.card['languages'])}, "
            f"the text is {' to '.join(corpus.languages)}"
        )
    how = {
        "teachers": {each.name: each.card["sha256"]["model.safetensors"] for each in models},
        "corpus": data.corpus,
        "languages": list(corpus.languages),
        "split": "train",
        "sources": len(corpus),
        "sources sha256": digest(corpus.source),
        "beam": beam,
        "rule": rule,
    }
    out.mkdir(parents=True, exist_ok=True)
    with only_one(out):
        return _write(teacher, corpus, out, how, quiet)


def _write(teacher, corpus: corpora.Corpus, out: Path, how: dict, quiet: bool) -> dict:
    about, part = out / DISTILLED[1], out / "targets.part"
    before = json.loads(about.read_text(encoding="utf-8")) if about.exists() else how
    if other := [key for key in how if before.get(key) != how[key]]:
        raise ValueError(
            f"{out} was made with another {other[0]} ({before.get(other[0])}): name another folder"
        )
    if "sha256" in before:
        return before
    _replace(about, json.dumps(how, indent=1, ensure_ascii=False) + "\n")
    done = part.read_text(encoding="utf-8").splitlines() if part.exists() else []
    done = done[: len(done) // BLOCK * BLOCK]  # a block that was not finished is made again
    start, begun = time.process_time(), len(done)
    while len(done) < len(corpus):
        block = corpus[len(done) : len(done) + BLOCK]
        done += translate(teacher, block, how["beam"], how["rule"])
        _replace(part, "".join(f"{line}\n" for line in done))
        if not quiet:
            print(f"{len(done)} of {len(corpus)} sources", file=sys.stderr, flush=True)
    finished = how | {
        "sha256": digest(done),
        "bleu against the people's": round(float(metrics.bleu(done, corpus.target).value), 2),
        "the people's own": sum(a == b for a, b in zip(done, corpus.target, strict=True)),
        "cpu seconds": round(time.process_time() - start) if not begun else None,
        "hardware": hardware(next(teacher.model.parameters()).device),
        "date": datetime.date.today().isoformat(),
    }
    os.replace(part, out / DISTILLED[0])
    _replace(about, json.dumps(finished, indent=1, ensure_ascii=False) + "\n")
    return finished


def _replace(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m attnlib.training.distil``; see the module."""
    parser = argparse.ArgumentParser(prog="attnlib.training.distil", description=__doc__)
    parser.add_argument("--teachers", nargs="+", required=True, help="models, or their folders")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--corpus", default=CORPORA[0], choices=CORPORA)
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="fr")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--rule", default="nearest", help=" or ".join(RULES))
    parser.add_argument("--sentences", type=int, help="the first so many sources only")
    options = parser.parse_args(arguments)
    data = DataConfig(options.corpus, options.source, options.target, sentences=options.sentences)
    try:
        found = distil(options.teachers, options.out, data, options.beam, options.rule, quiet=False)
    except ValueError as error:
        print(f"attnlib.training.distil: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())

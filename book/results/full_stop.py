"""Captions joined with and without a full stop between them: is it the length that hurts?

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/full_stop.py

``translation_length.py`` and ``translators.py`` join captions as they stand, so that a full stop
and a capital letter come in the middle of a source: which hardly ever happens in training
(``training`` counts it). Here the shipped English-French models translate the same captions joined
by *and*: the full stop before each seam taken away, *and* put there (*et* in the reference), and
the first letter behind it lowered.

``captions`` of 2, 3 and 4 are consecutive ones of the test set, each used once, the same as in
those scripts. ``short`` are pairs of captions of at most 8 words, together about as long as a
single long caption: a seam, but no new length. These are joined in both ways, by *and* and, as they
stand, by a ``full stop``.

To each BLEU belongs ``apart``, that of the same captions translated one by one, whose translations
are then joined by the same rule: what would be reached if nothing were lost by joining. ``kept`` is
their quotient, ``lost`` their difference. ``stops`` is the mean number of full stops in a
translation, and ``length`` the number of all its words over that of the reference's. ``ahead`` is
the BLEU of one model less another's. All intervals are 95 %, by bootstrap over the joined sources,
paired where two scores are compared.
"""

from pathlib import Path

import torch
from _record import record

from attnlib import metrics, pretrained, storage
from attnlib.data.corpora import multi30k

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/full_stop.py"
MODELS = tuple(f"en-fr-{kind}" for kind in ("fixed", "bahdanau", "luong", "transformer"))
AHEAD = (("en-fr-bahdanau", "en-fr-transformer"), ("en-fr-bahdanau", "en-fr-fixed"))
# the word that is put in, of the source and of the target
SEAMS = {"full stop": (None, None), "and": ("and", "et")}
SHORT, BEAM, RESAMPLES = 8, 5, 300


def join(sentences: list[str], word: str | None) -> str:
    """Sentences in one: as they stand, or with a word for the full stop and the capital.

    Examples
    --------
    >>> join(["A man runs.", "A dog sleeps."], None)
    'A man runs. A dog sleeps.'
    >>> join(["A man runs.", "A dog sleeps."], "and")
    'A man runs and a dog sleeps.'
    """
    if word is None:
        return " ".join(sentences)
    first, *others = sentences
    lowered = [first, *(each[:1].lower() + each[1:] for each in others)]
    *inner, last = lowered
    return f" {word} ".join([*(each.rstrip().removesuffix(".").rstrip() for each in inner), last])


def groups(sources: list[str]) -> dict[tuple[str, int], list[list[int]]]:
    """The captions of each joined source: of the whole test set, and pairs of short ones."""
    short = [i for i, each in enumerate(sources) if len(each.split()) <= SHORT]
    of = {("short", 2): (short, 2)}
    of |= {("all", n): (list(range(len(sources))), n) for n in (4, 2, 3)}
    return {
        key: [some[i : i + n] for i in range(0, len(some) - n + 1, n)]
        for key, (some, n) in of.items()
    }


def trained_on() -> dict:
    """What the training captions have of a seam and of length."""
    train = multi30k("train")
    lengths = [len(each.split()) for each in train.source]
    return {
        "captions": len(train),
        "with_an_inner_full_stop": sum(". " in each.strip() for each in train.source),
        "with_and": sum(" and " in each for each in train.source),
        "longest": max(lengths),
        "with_24_words_or_more": sum(length >= 24 for length in lengths),
    }


def scored(hypotheses: list[str], apart: list[str], target: list[str]) -> dict:
    """BLEU of what was joined, of what was translated apart, their quotient and difference."""
    words = [sum(len(each.split()) for each in side) for side in (hypotheses, target)]
    estimates = [
        metrics.bleu(each, target, resamples=RESAMPLES, seed=0) for each in (hypotheses, apart)
    ]
    return {
        **_rounded(estimates[0]),
        "apart": _rounded(estimates[1]),
        "kept": round(estimates[0].value / estimates[1].value, 4),
        "lost": _rounded(metrics.bleu_difference(apart, hypotheses, target, resamples=RESAMPLES)),
        "stops": round(sum(each.count(".") for each in hypotheses) / len(hypotheses), 3),
        "length": round(words[0] / words[1], 3),
    }


def measure(models: dict[str, pretrained.Pretrained]) -> tuple[list[dict], list[dict]]:
    """All rows, and how far ahead one model is of another on the same joined sources."""
    test = multi30k("test_2016_flickr")
    said = {
        name: [each.text for each in model.translate(test.source, BEAM)]
        for name, model in models.items()
    }
    rows, ahead = [], []
    for (which, count), grouped in groups(list(test.source)).items():
        for seam in ("and",) if which == "all" else SEAMS:
            english, french = SEAMS[seam]
            source, target = (
                [join([side[i] for i in each], word) for each in grouped]
                for side, word in ((test.source, english), (test.target, french))
            )
            about = {"which": which, "captions": count, "seam": seam, "sources": len(source)}
            about["mean_source_words"] = round(sum(len(x.split()) for x in source) / len(source), 1)
            found = {}
            for name, model in models.items():
                found[name] = [each.text for each in model.translate(source, BEAM)]
                apart = [join([said[name][i] for i in each], french) for each in grouped]
                rows.append({"model": name} | about | scored(found[name], apart, target))
                print(rows[-1], flush=True)
            for first, second in AHEAD:
                if {first, second} <= set(found):
                    lead = metrics.bleu_difference(
                        found[first], found[second], target, resamples=RESAMPLES
                    )
                    ahead.append({"first": first, "second": second} | about | _rounded(lead))
    return rows, ahead


def _rounded(score: metrics.Estimate) -> dict:
    """Its value and the ends of its interval."""
    parts = zip(("value", "low", "high"), (score.value, *score.interval), strict=True)
    return {name: round(float(part), 2) for name, part in parts}


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    models = {name: pretrained.load(name) for name in MODELS}
    rows, ahead = measure(models)
    content = {
        "metric": "cased detokenised BLEU",
        "beam": BEAM,
        "sha256": {name: each.card["sha256"][storage.MODEL] for name, each in models.items()},
        "training": trained_on(),
        "rows": rows,
        "ahead": ahead,
    }
    record(RESULTS, COMMAND, content)


if __name__ == "__main__":
    main()

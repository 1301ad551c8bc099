"""How far from the diagonal do translations reach? What a window that only moves on must miss.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/reordering.py

For links of target word t to source word s it counts how often |s - t| exceeds D, and how many
sentences have no such link: what local-m with that D could see whole. The links of the Hansards are
people's (the sure ones). Those of the captions and of the Marathi sentences are silver: two IBM
Models 1, one a direction, agree on them (`sweep.silver`). It writes ``reordering.json``.
"""

from pathlib import Path

import sweep
from _record import record

from attnlib import ibm1
from attnlib.data import hansards
from attnlib.data.corpora import multi30k, tatoeba

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/reordering.py"
REACHES = (1, 2, 3, 5, 10, 15)


def corpora() -> list[tuple[str, str, list[int], list[set]]]:
    """Name, kind of links, source lengths in words, and links of each sentence pair."""
    gold = hansards.gold("test")
    found = [("Hansards, English to French", "gold", [len(x) for x in gold.source], gold.sure)]
    tests = {
        "captions, English to French": (multi30k("train"), multi30k(sweep.TEST)),
        "captions, English to German": (
            multi30k("train", "en", "de"),
            multi30k(sweep.TEST, "en", "de"),
        ),
        "everyday sentences, English to Marathi": (tatoeba("train"), tatoeba("test")),
    }
    for name, (train, test) in tests.items():
        links, _ = sweep.silver(train, test)
        found.append((name, "silver", [len(ibm1.words(x)) for x in test.source], links))
    return found


def row(name: str, kind: str, lengths: list[int], links: list[set]) -> dict:
    """The counts of one corpus."""
    steps = [[abs(s - t) for t, s in each] for each in links]
    every = [step for each in steps for step in each]
    return {
        "what": name,
        "links": kind,
        "sentences": len(links),
        "source_words": round(sum(lengths) / len(lengths), 1),
        "outside": {D: round(sum(x > D for x in every) / len(every), 4) for D in REACHES},
        "whole": {
            D: round(sum(max(each, default=0) <= D for each in steps) / len(steps), 4)
            for D in REACHES
        },
    }


def main() -> None:
    """Count, and write the file."""
    rows = [row(*each) for each in corpora()]
    record(RESULTS, COMMAND, {"rows": rows})
    for each in rows:
        print(each)


if __name__ == "__main__":
    main()

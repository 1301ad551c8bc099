"""Sentence pairs: Multi30k and Tatoeba, from their official homes or a local mirror."""

import gzip
import random
import zipfile
from dataclasses import dataclass

from attnlib.data import files

MULTI30K_LANGUAGES = ("en", "de", "fr")
MULTI30K_SPLITS = ("train", "val", "test_2016_flickr")


@dataclass(frozen=True)
class Corpus:
    """Parallel sentences: ``source[i]`` and ``target[i]`` say the same."""

    source: list[str]
    target: list[str]
    languages: tuple[str, str]

    def __post_init__(self):
        if len(self.source) != len(self.target):
            raise ValueError(
                f"{len(self.source)} source sentences but {len(self.target)} target sentences"
            )

    def __len__(self):
        return len(self.source)

    def __iter__(self):
        return zip(self.source, self.target, strict=True)

    def __getitem__(self, rows: slice) -> "Corpus":
        return Corpus(self.source[rows], self.target[rows], self.languages)


def multi30k(split: str, source: str = "en", target: str = "fr") -> Corpus:
    """Multi30k task 1 (Elliott et al. 2016), raw text, cased and untokenised.

    Two training pairs whose German side is only ``@@`` are dropped from every language, so that all
    pairs of languages train on the same 28,998 sentences.

    Parameters
    ----------
    split : str
        ``train``, ``val`` (1,014 pairs) or ``test_2016_flickr`` (1,000 pairs).
    source, target : str
        Two of ``en``, ``de``, ``fr``.

    Raises
    ------
    ValueError
        If the split or a language is unknown, or the languages are the same.
    """
    if split not in MULTI30K_SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(MULTI30K_SPLITS)}")
    for language in (source, target):
        if language not in MULTI30K_LANGUAGES:
            raise ValueError(
                f"Multi30k has no {language!r} here: one of {', '.join(MULTI30K_LANGUAGES)}"
            )
    if source == target:
        raise ValueError(f"source and target are both {source!r}")
    sides = {code: _lines(f"multi30k/{split}.{code}.gz") for code in {source, target, "de"}}
    keep = [i for i, german in enumerate(sides["de"]) if german.strip() != "@@"]
    ours, theirs = ([sides[code][i] for i in keep] for code in (source, target))
    return Corpus(ours, theirs, (source, target))


def multi30k_tokenised(target: str) -> list[str]:
    """The papers' reference of ``test_2016_flickr``: Moses-normalised, lower-cased, tokenised."""
    if target not in MULTI30K_LANGUAGES:
        raise ValueError(f"Multi30k has no {target!r} here: one of {', '.join(MULTI30K_LANGUAGES)}")
    path = files.fetch(f"multi30k/test_2016_flickr.lc.norm.tok.{target}")
    return path.read_text(encoding="utf-8").splitlines()


def tatoeba(split: str, seed: int = 0) -> Corpus:
    """English to Marathi sentences of Tatoeba (CC BY 2.0), 40,188 pairs in all.

    The split goes by *English sentence*: all translations of one sentence are on the same side.
    A tenth of the distinct English sentences each is kept for ``val`` and ``test``.

    Raises
    ------
    ValueError
        If the split is not ``train``, ``val`` or ``test``.
    """
    if split not in ("train", "val", "test"):
        raise ValueError(f"unknown split {split!r}: one of train, val, test")
    with zipfile.ZipFile(files.fetch("tatoeba/mar-eng.zip")) as archive:
        text = archive.read("mar.txt").decode("utf-8")
    pairs = [tuple(line.split("\t")[:2]) for line in text.split("\n") if line]
    sentences = sorted({english for english, _ in pairs})
    random.Random(seed).shuffle(sentences)
    tenth = len(sentences) // 10
    chosen = {
        "val": sentences[:tenth],
        "test": sentences[tenth : 2 * tenth],
        "train": sentences[2 * tenth :],
    }
    wanted = set(chosen[split])
    kept = [pair for pair in pairs if pair[0] in wanted]
    return Corpus([e for e, _ in kept], [m for _, m in kept], ("en", "mr"))


def _lines(name: str) -> list[str]:
    text = gzip.decompress(files.fetch(name).read_bytes()).decode("utf-8")
    return [line.strip() for line in text.rstrip("\n").split("\n")]

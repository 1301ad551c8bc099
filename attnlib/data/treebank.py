"""Sentences of the English Web Treebank (Silveira et al. 2014), Universal Dependencies 2.16.

Emails, reviews, answers, newsgroups and weblogs of real people; the annotations are CC BY-SA 4.0.
Each word but one has a *head*, another word of the sentence that it depends on, and a *relation* to
it ("a red shirt": "red" depends on "shirt" as its ``amod``); the one without is the root.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from attnlib.data import files

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Tree:
    """A sentence and what each of its N words depends on.

    Attributes
    ----------
    genre : str
        ``email``, ``reviews``, ``answers``, ``newsgroup`` or ``weblog``.
    words : N strings
        Syntactic words ("do", "n't").
    heads : N ints
        The position of each word's head, from 0; -1 for the root.
    relations : N strings
        The relation of each word to its head, without subtypes (``nsubj`` for ``nsubj:pass``).
    """

    genre: str
    words: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]

    @property
    def is_projective(self) -> bool:
        """Whether no two arcs cross, that from outside to the root among them.

        >>> Tree("", ("a", "b", "c", "d"), (2, 3, 3, -1), ("", "", "", "root")).is_projective
        False
        """
        arcs = [(min(i, head), max(i, head)) for i, head in enumerate(self.heads)]
        return not any(a < c < b < d for a, b in arcs for c, d in arcs)


def sentences(split: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Genre (``email``, ``reviews``, …) and syntactic words ("do", "n't") of each sentence.

    Raises
    ------
    ValueError
        If the split is not ``train``, ``dev`` or ``test``.
    """
    return tuple((tree.genre, tree.words) for tree in trees(split))


@functools.cache
def trees(split: str) -> tuple[Tree, ...]:
    """The sentences with their trees.

    Raises
    ------
    ValueError
        If the split is not ``train``, ``dev`` or ``test``.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    return read(files.fetch(f"ud-ewt/en_ewt-ud-{split}.conllu").read_text("utf-8"))


def read(text: str) -> tuple[Tree, ...]:
    """The trees of text in the format CoNLL-U.

    Lines of two words in one ("2-3") and of words that are only understood ("8.1") are skipped.

    Raises
    ------
    ValueError
        If a word has no head, or a head is not a word of its sentence.

    Examples
    --------
    >>> rows = "1 Do _ _ _ _ 3 aux, 2 n't _ _ _ _ 3 advmod, 3 go _ _ _ _ 0 root".split(", ")
    >>> (tree,) = read("# sent_id = email-1\\n" + "\\n".join(rows).replace(" ", "\\t"))
    >>> tree.words, tree.heads, tree.relations
    (('Do', "n't", 'go'), (2, 2, -1), ('aux', 'advmod', 'root'))
    """
    return tuple(_read(text))


def _read(text: str) -> Iterator[Tree]:
    for block in text.strip().split("\n\n"):
        genre, rows = "", []
        for line in block.split("\n"):
            if line.startswith("# sent_id = "):
                genre = line.removeprefix("# sent_id = ").partition("-")[0]
            row = line.split("\t")
            if row[0].isdigit():
                rows.append(row)
        known = {"0", *(row[0] for row in rows)}
        wrong = [row[1] for row in rows if len(row) < 8 or row[6] not in known]
        if wrong:
            raise ValueError(f"no head in the sentence for {', '.join(wrong)}: {block!r}")
        yield Tree(
            genre,
            tuple(row[1] for row in rows),
            tuple(int(row[6]) - 1 for row in rows),
            tuple(row[7].partition(":")[0] for row in rows),
        )

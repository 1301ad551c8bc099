"""Sentences of the English Web Treebank (Silveira et al. 2014), Universal Dependencies 2.16.

Emails, reviews, answers, newsgroups and weblogs of real people; the annotations are CC BY-SA 4.0.
"""

import functools

from attnlib.data import files

SPLITS = ("train", "dev", "test")


@functools.cache
def sentences(split: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Genre (``email``, ``reviews``, …) and syntactic words ("do", "n't") of each sentence.

    Raises
    ------
    ValueError
        If the split is not ``train``, ``dev`` or ``test``.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    return read(files.fetch(f"ud-ewt/en_ewt-ud-{split}.conllu").read_text("utf-8"))


def read(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The same, of text in the format CoNLL-U.

    Lines of two words in one ("2-3") and of words that are only understood ("8.1") are skipped.

    >>> read("# sent_id = email-1\\n1-2\\tDon't\\n1\\tDo\\t_\\n2\\tn't\\t_\\n2.1\\tgo\\t_\\n")
    (('email', ('Do', "n't")),)
    """
    found = []
    for block in text.strip().split("\n\n"):
        genre, words = "", []
        for line in block.split("\n"):
            if line.startswith("# sent_id = "):
                genre = line.removeprefix("# sent_id = ").partition("-")[0]
            number, _, rest = line.partition("\t")
            if number.isdigit():
                words.append(rest.partition("\t")[0])
        found.append((genre, tuple(words)))
    return tuple(found)

"""The treebank is read as CoNLL-U says: words, heads, relations."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnlib.data import files, treebank
from attnlib.data.treebank import Tree

ROWS = """
1 Good _ ADJ JJ _ 4 discourse _ _
2-3 don't _ _ _ _ _ _ _ _
2 do _ AUX VB _ 4 aux _ _
3 n't _ PART RB _ 4 advmod _ _
3.1 go _ VERB VB _ _ _ 0:root _
4 eat _ VERB VB _ 0 root _ _
5 it _ PRON PRP _ 4 nsubj:pass _ _

# sent_id = weblog-x-0002
1 Hi _ INTJ UH _ 0 root _ _
"""
CONLLU = "# newdoc id = reviews-1\n# sent_id = reviews-1-0001" + "\n".join(
    row if row.startswith("#") else row.replace(" ", "\t") for row in ROWS.split("\n")
)


def test_trees_are_read():
    assert treebank.read(CONLLU) == (
        Tree(
            "reviews",
            ("Good", "do", "n't", "eat", "it"),
            (3, 3, 3, -1, 3),
            ("discourse", "aux", "advmod", "root", "nsubj"),
        ),
        Tree("weblog", ("Hi",), (-1,), ("root",)),
    )


def test_a_word_without_a_head_is_an_error():
    for wrong in (CONLLU.replace("\t4\taux", "\t9\taux"), CONLLU.replace("\t4\taux", "\t_\taux")):
        with pytest.raises(ValueError, match="no head in the sentence for do: "):
            treebank.read(wrong)
    with pytest.raises(ValueError, match="no head in the sentence for Hi: "):
        treebank.read("1\tHi")


def test_the_treebank_has_three_splits(monkeypatch):
    for ask in (treebank.trees, treebank.sentences):
        with pytest.raises(ValueError, match="unknown split 'val': one of train, dev, test"):
            ask("val")
    names = {f"ud-ewt/en_ewt-ud-{split}.conllu" for split in treebank.SPLITS}
    assert names == set(files.names("ud-ewt/"))
    monkeypatch.setattr(treebank, "trees", lambda split: treebank.read(CONLLU))
    assert treebank.sentences("dev")[1] == ("weblog", ("Hi",))


@given(st.permutations(range(5)), st.data())
def test_projective_is_every_word_between_below_the_head(order, data):
    """Its other definition: whatever stands between a word and its head descends from the head."""
    heads = [-1] * 5
    for k, word in enumerate(order[1:], 1):
        heads[word] = order[data.draw(st.integers(0, k - 1))]

    def descends(word, head):
        while word >= 0 and word != head:
            word = heads[word]
        return word == head

    arcs = [(w, h) for w, h in enumerate(heads) if h >= 0]
    want = all(descends(b, h) for w, h in arcs for b in range(min(w, h) + 1, max(w, h)))
    assert Tree("", ("",) * 5, tuple(heads), ("",) * 5).is_projective == want


@pytest.mark.skipif(not os.environ.get("ATTNLIB_DATA"), reason="needs a mirror in ATTNLIB_DATA")
def test_the_dev_split_is_the_one_that_was_counted():
    """Counted before, by another program: 2,001 trees, 1,970 of them projective."""
    found = treebank.trees("dev")
    assert (len(found), sum(tree.is_projective for tree in found)) == (2001, 1970)
    for tree in found:
        assert len(tree.words) == len(tree.heads) == len(tree.relations)
        assert tree.heads.count(-1) == 1 and tree.relations[tree.heads.index(-1)] == "root"

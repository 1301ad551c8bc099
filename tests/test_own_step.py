"""Files out of step by some lines: found by the lengths of their lines, and no false alarms."""

import random

import pytest

from attnlib import cli, training
from attnlib.data import corpora, own
from attnlib.data.corpora import Corpus
from attnlib.training import own as own_runs

SHUFFLED, SORTED = "shuffled", "sorted"


def text(number, seed=0, noise=2.0, longest=20):
    """Sentences, and as many words on the other side, more or less."""
    rng = random.Random(seed)
    lengths = [rng.randint(3, longest) for _ in range(number)]
    source = [" ".join(["word"] * n) for n in lengths]
    target = [" ".join(["mot"] * max(1, round(rng.gauss(1.2 * n, noise)))) for n in lengths]
    return Corpus(source, target, ("en", "fr"))


def moved(corpus, by, start=0):
    """The targets from a line on, so many lines further up (or down), and no pair left over."""
    source, target = corpus.source, corpus.target
    if by > 0:
        target = target[:start] + target[start + by :]
    else:
        source = source[:start] + source[start - by :]
    return Corpus(source[: len(target)], target[: len(source)], corpus.languages)


@pytest.mark.parametrize("number", [205, 700, 2300])
@pytest.mark.parametrize("by", [-3, -1, 1, 2])
def test_text_that_is_moved_is_found_and_other_text_is_not(number, by):
    corpus = text(number)
    assert own.out_of_step(corpus) is None
    found = own.out_of_step(moved(corpus, by))
    sign = "-" if by > 0 else "+"  # target n is now where n + by was
    assert found.startswith(
        f"from pair 1 on the lengths of line n of the one file fit line n {sign} {abs(by)} of the "
    )


def test_a_step_is_found_where_whole_passages_are_long_or_short():
    """There the lengths of neighbours agree, nearly as well as those of a line and its own."""
    rng = random.Random(0)
    lengths = [(10 if i // 60 % 2 else 40) + rng.randint(-3, 3) for i in range(1000)]
    corpus = Corpus(["ab" * n for n in lengths], ["xyz" * n for n in lengths], ("en", "fr"))
    assert own.out_of_step(corpus) is None
    assert "fit line n - 1 of the other" in own.out_of_step(moved(corpus, 1))


def test_a_lost_line_is_found_in_the_block_behind_it():
    corpus = text(5000)
    for lost, first in ((0, 1), (1700, 2001), (4000, 4001)):
        found = own.out_of_step(moved(corpus, 1, lost))
        where = int(found.split()[2].replace(",", ""))
        assert first - 5 <= where <= first


def test_text_that_does_not_belong_together_is_found():
    corpus, other = text(1000), text(1000, seed=1)
    found = own.out_of_step(Corpus(corpus.source, other.target, ("en", "fr")))
    assert found.startswith("the lengths of line n of the one file and line n of the other do not")


@pytest.mark.parametrize("by", [0, 1])
def test_nothing_is_said_where_lengths_tell_nothing(by):
    few = moved(text(150), by)
    same = moved(text(1000, longest=3), by)
    words = Corpus(*([w.split()[0][: 1 + len(w) % 9] for w in side] for side in (
        text(1000).source, text(1000, seed=1).target)), ("en", "fr"))  # fmt: skip
    rows = sorted(text(3000), key=lambda pair: len(pair[0]))
    by_length = moved(Corpus([x for x, _ in rows], [y for _, y in rows], ("en", "fr")), by)
    for each in (few, same, words, by_length, Corpus(["a"], ["b"], ("en", "fr"))):
        assert own.out_of_step(each) is None


@pytest.mark.parametrize("order", [SHUFFLED, SORTED])
@pytest.mark.parametrize("pair", ["en-de", "en-fr", "en-mr"])
def test_real_text_in_step_and_one_line_off(pair, order):
    if pair == "en-mr":
        corpus = corpora.tatoeba("train")
    else:
        corpus = corpora.multi30k("train", *pair.split("-"))
    rows = list(corpus)
    random.Random(1).shuffle(rows)
    if order == SORTED:
        rows.sort(key=lambda row: len(row[0]))
    for start in range(0, len(rows) - 1000, 1000):
        part = rows[start : start + 1000]
        part = Corpus([x for x, _ in part], [y for _, y in part], corpus.languages)
        assert own.out_of_step(part) is None
        assert (own.out_of_step(moved(part, 1)) is None) == (order == SORTED)


def test_it_is_said_when_training_and_when_measuring(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own.write(moved(text(400), 1), ["off.en", "off.fr"])
    own.write(text(300, seed=1), ["in.en", "in.fr"])
    warning = "WARNING: off.en and off.fr may be out of step: from pair 1 on the lengths of line n "
    for files, valid in ((("off.en", "off.fr"), ()), (("in.en", "in.fr"), ("off.en", "off.fr"))):
        config = own_runs.config("mine", "recurrent", files, valid)
        said = [note for note in training.prepare(config).notes if "WARNING" in note]
        assert len(said) == 1 and said[0].startswith(warning)
        assert said[0].endswith("; read some pairs there, side by side")
    config = own_runs.config("mine", "recurrent", ("in.en", "in.fr"))
    assert not any("WARNING" in note for note in training.prepare(config).notes)
    argv = ["--source", "off.en", "--target", "off.fr", "--limit", "2"]
    assert cli.main(["evaluate", "en-fr-fixed", *argv]) == 0
    assert capsys.readouterr().err.startswith(warning)
    assert "no attention" in fails_after(capsys, "align", "en-fr-fixed", *argv[:4])


def fails_after(capsys, *argv):
    """What stands on standard error of a command that fails after a warning."""
    assert cli.main([*argv]) == 2
    return capsys.readouterr().err

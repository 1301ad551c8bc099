"""Splits do not touch, nothing is fitted on what is not training data, and chance differs.

What is held out must never have been seen: neither by the weights nor by the vocabulary. And what
is drawn at random has to differ where it should, from epoch to epoch and from seed to seed, and to
repeat where it should.
"""

import itertools

import pytest

from attnlib import training
from attnlib.data import corpora, files, hansards, images, toy
from attnlib.data.tokenizer import SPECIALS
from attnlib.training import DataConfig, RunConfig

TEXTS = {
    "multi30k": {"sentences": 300, "vocab_size": 8000},
    "tatoeba": {"target": "mr", "sentences": 300, "vocab_size": 8000},
    "hansards": {"sentences": 300, "vocab_size": 8000},
}
TOYS = {name: {"sentences": 400, "min_length": 3, "max_length": 8} for name in toy.TASKS}


def prepared(data, **settings):
    try:
        return training.prepare(RunConfig.of("any", corpus=data, **settings))
    except files.DataError as error:
        pytest.skip(f"neither mirrored nor downloadable: {error}")


def rows(batches):
    """The pairs of ids in batches, padding and specials left out."""
    return [
        (tuple(i for i in x if i > 3), tuple(i for i in y if i > 3))
        for batch in batches
        for x, y in zip(batch.source.tolist(), batch.target_out.tolist(), strict=True)
    ]


@pytest.mark.parametrize("data, settings", TEXTS.items(), ids=TEXTS)
def test_the_vocabulary_is_that_of_the_training_sentences(data, settings):
    found = prepared(data, **settings)
    corpus = training.load_corpus(DataConfig(data), "train")[:300]
    texts = " " + " ".join(" ".join(pair) for pair in corpus) + " "
    tokens = found.tokenizer.tokens(range(len(SPECIALS), len(found.tokenizer)))
    strange = [token for token in tokens if token.replace("▁", " ") not in texts]
    assert not strange, f"not in any training sentence: {strange[:10]}"
    assert len(tokens) > 500


@pytest.mark.parametrize("data, settings", TEXTS.items(), ids=TEXTS)
def test_validation_sentences_are_held_out(data, settings):
    found = prepared(data, **settings)
    train = training.load_corpus(DataConfig(data), "train")
    val = training.load_corpus(DataConfig(data), "val")
    assert found.val == [(found.tokenizer.encode(x), found.tokenizer.encode(y)) for x, y in val]
    both = set(train) & set(val)
    assert len(both) <= 1, f"in training and in validation: {sorted(both)[:5]}"
    if data != "multi30k":  # whose English captions repeat: two photographs may have one caption
        assert not set(train.source) & set(val.source)


def test_test_sentences_are_in_neither():
    try:
        splits = [corpora.multi30k(split) for split in corpora.MULTI30K_SPLITS]
        marathi = [corpora.tatoeba(split) for split in ("train", "val", "test")]
        debates = [hansards.corpus(split) for split in ("train", "val")]
        gold = [hansards.gold(split) for split in hansards.SPLITS]
    except files.DataError as error:
        pytest.skip(f"neither mirrored nor downloadable: {error}")
    for one, other in itertools.combinations(splits, 2):
        assert len(set(one) & set(other)) <= 1
    for one, other in itertools.combinations(marathi, 2):
        assert not set(one.source) & set(other.source)
    read = {sentence for part in debates for sentence in part.source}
    assert not read & {" ".join(words) for part in gold for words in part.source}


@pytest.mark.parametrize("data, settings", TOYS.items(), ids=TOYS)
def test_toy_validation_is_held_out_for_every_seed(data, settings):
    seen = [prepared(data, seed=seed, **settings) for seed in (1, 2)]
    held = {tuple(x) for found in seen for x, _ in found.val}
    assert not held & {tuple(x) for found in seen for x, _ in found.train}
    assert seen[0].train != seen[1].train
    assert prepared(data, seed=1, **settings).train == seen[0].train


@pytest.mark.parametrize("data", images.GENERATED)
def test_pictures_of_two_splits_differ(data):
    try:
        drawn = {
            split: [images.load(data, split).sample(i).image.tobytes() for i in range(20)]
            for split in ("train", "val", "test")
        }
    except (files.DataError, ImportError) as error:
        pytest.skip(str(error))
    for one, other in itertools.combinations(drawn.values(), 2):
        assert not set(one) & set(other)


def test_epochs_hold_the_same_pairs_in_another_order():
    found = prepared("copy", sentences=200, min_length=2, max_length=6)
    config = RunConfig.of("any", corpus="copy", tokens=60)
    first, second, again = (rows(found.epoch(config, n)) for n in (0, 1, 0))
    assert sorted(first) == sorted(second) and first != second and first == again
    assert first != rows(found.epoch(config.replace(seed=2), 0))
    late = rows(found.epoch(config, 0, first=3))
    assert late == first[-len(late) :] and len(late) < len(first)


def test_pictures_are_new_in_each_epoch():
    config = RunConfig.of("any", corpus="scenes", images=3)
    found = prepared("scenes")

    def pixels(number, **changes):
        changed = config.replace(**changes)
        return next(iter(found.epoch(changed, number))).source

    assert not pixels(0).equal(pixels(1))
    assert pixels(0).equal(pixels(0))

"""Tokenizer, batches and corpora."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib.data import corpora, files
from attnlib.data.batches import by_tokens, collate, pad
from attnlib.data.tokenizer import BOS, EOS, PAD, SPECIALS, UNK, Tokenizer

TEXTS = ["A man in a red shirt rides a bike.", "Un homme en chemise rouge fait du vélo."] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS, vocab_size=120)


@given(st.lists(st.sampled_from(" ".join(TEXTS).split()), max_size=12))
def test_known_words_come_back(words):
    tokenizer = Tokenizer.train(TEXTS, vocab_size=120)
    text = " ".join(words)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(max_size=40))
def test_any_text_becomes_known_ids(tokenizer, text):
    ids = tokenizer.encode(text)
    assert all(UNK <= i < len(tokenizer) for i in ids)
    assert not set(ids) & {PAD, BOS, EOS}
    assert len(tokenizer.tokens(ids)) == len(ids)


def test_specials_have_the_ids_that_batches_use(tokenizer):
    assert tokenizer.tokens([PAD, BOS, EOS, UNK]) == list(SPECIALS)
    assert tokenizer.decode([BOS, *tokenizer.encode("a red bike"), EOS, PAD]) == "a red bike"


def test_what_was_never_seen_is_unknown_and_spaces_are_spaces(tokenizer):
    assert UNK in tokenizer.encode("\U0001f6b2")  # a bicycle
    assert tokenizer.encode("a\N{NO-BREAK SPACE}red\tbike") == tokenizer.encode("a red bike")
    assert tokenizer.encode("") == tokenizer.encode("  ") == []
    assert tokenizer.encode("ve\N{COMBINING ACUTE ACCENT}lo") == tokenizer.encode("vélo")


def test_a_saved_tokenizer_reads_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert [again.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]


def test_trimming_drops_only_what_the_texts_never_end_up_with(tokenizer, tmp_path):
    small, kept = tokenizer.trimmed(TEXTS)
    used = {i for text in TEXTS for i in tokenizer.encode(text)}
    assert set(kept) == used | {PAD, BOS, EOS, UNK} and kept[:4] == [PAD, BOS, EOS, UNK]
    assert len(small) == len(kept) < len(tokenizer)
    for text in TEXTS:
        assert [kept[i] for i in small.encode(text)] == tokenizer.encode(text)
        assert small.decode(small.encode(text)) == text
    small.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json", len(small))
    rare = "re d b ike sh irt ho mm"
    assert again.encode(rare) == small.encode(rare)
    assert max(again.encode(rare)) < len(small)


def test_collate_shifts_and_pads():
    batch = collate([([5, 6], [7]), ([8], [9, 10])])
    assert batch.source.tolist() == [[5, 6, EOS], [8, EOS, PAD]]
    assert batch.source_lengths.tolist() == [3, 2]
    assert batch.target_in.tolist() == [[BOS, 7, PAD], [BOS, 9, 10]]
    assert batch.target_out.tolist() == [[7, EOS, PAD], [9, 10, EOS]]
    assert batch.target_tokens == 5
    assert batch.to("cpu").source.equal(batch.source)


def test_pad_of_nothing():
    ids, lengths = pad([])
    assert ids.shape == (0, 0) and lengths.shape == (0,)


pairs = st.lists(
    st.tuples(st.lists(st.just(5), max_size=9), st.lists(st.just(6), max_size=9)), max_size=40
)


@given(pairs, st.integers(1, 60), st.integers(0, 9))
def test_batches_hold_every_pair_once_and_keep_to_their_size(pairs, tokens, seed):
    batches = list(by_tokens(pairs, tokens, random.Random(seed)))
    assert sorted(i for batch in batches for i in batch) == list(range(len(pairs)))
    for batch in batches:
        longest = max(len(pairs[i][1]) + 1 for i in batch)
        assert len(batch) * longest <= tokens or len(batch) == 1
    assert batches == list(by_tokens(pairs, tokens, random.Random(seed)))


def test_a_batch_of_no_tokens_is_refused():
    with pytest.raises(ValueError, match="tokens must be positive, got 0"):
        list(by_tokens([([5], [6])], 0, random.Random(0)))


def at_hand(name):
    try:
        return files.fetch(name)
    except files.DataError as error:
        pytest.skip(f"neither mirrored nor downloadable: {error}")


def test_multi30k_is_parallel_and_without_its_two_broken_lines():
    at_hand("multi30k/train.de.gz")
    french = corpora.multi30k("train")
    german = corpora.multi30k("train", "de", "en")
    assert len(french) == len(german) == 28_998
    assert french.source == german.target and "@@" not in german.source
    assert next(iter(french)) == (
        "Two young, White males are outside near many bushes.",
        "Deux jeunes hommes blancs sont dehors près de buissons.",
    )
    test = corpora.multi30k("test_2016_flickr")
    assert len(test) == 1000 and not set(test.source) & set(french.source)
    assert len(corpora.multi30k_tokenised("fr")) == 1000
    assert sum(len(line.split()) for line in corpora.multi30k_tokenised("fr")) == 13_988


def test_tatoeba_keeps_all_translations_of_a_sentence_on_one_side():
    at_hand("tatoeba/mar-eng.zip")
    sides = [set(corpora.tatoeba(split).source) for split in ("train", "val", "test")]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sum(map(len, sides)) == 26_053
    assert sum(len(corpora.tatoeba(split)) for split in ("train", "val", "test")) == 40_188


def test_unknown_splits_and_languages_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown split 'dev': one of train, val"):
        corpora.multi30k("dev")
    with pytest.raises(ValueError, match="Multi30k has no 'it' here: one of en, de, fr"):
        corpora.multi30k("val", "en", "it")
    with pytest.raises(ValueError, match="source and target are both 'en'"):
        corpora.multi30k("val", "en", "en")
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        corpora.tatoeba("dev")
    with pytest.raises(ValueError, match="2 source sentences but 1 target"):
        corpora.Corpus(["a", "b"], ["c"], ("en", "fr"))


def test_padding_ids_are_long_integers():
    assert collate([([5], [6])]).source.dtype == torch.long

"""Tokenizer, batches and corpora."""

import itertools
import math
import random
from collections import Counter

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


def test_an_id_that_no_subword_has_is_refused(tokenizer):
    last = len(tokenizer) - 1
    assert isinstance(*tokenizer.tokens([last]), str)
    with pytest.raises(IndexError, match=f"no subword has the id {last + 1}"):
        tokenizer.tokens([last + 1])


def test_what_was_never_seen_is_unknown_and_spaces_are_spaces(tokenizer):
    assert UNK in tokenizer.encode("\U0001f6b2")  # a bicycle
    assert tokenizer.encode("a\N{NO-BREAK SPACE}red\tbike") == tokenizer.encode("a red bike")
    assert tokenizer.encode("") == tokenizer.encode("  ") == []
    assert tokenizer.encode("ve\N{COMBINING ACUTE ACCENT}lo") == tokenizer.encode("vélo")


def test_one_text_is_no_list_of_texts_and_a_list_no_text(tokenizer):
    with pytest.raises(TypeError, match="texts must be a list of str, got one str"):
        Tokenizer.train("a red bike")
    with pytest.raises(TypeError, match="texts must be a list of str, got one str"):
        tokenizer.trimmed("a red bike")
    with pytest.raises(TypeError, match="text must be one str, got list"):
        tokenizer.encode(["a red bike"])


def test_a_saved_tokenizer_reads_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert [again.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]


@given(st.text(max_size=40) | st.lists(st.sampled_from(TEXTS[0].split())).map(" ".join))
def test_no_dropout_cuts_as_the_library_does(tokenizer, text):
    assert tokenizer.sample(text, 0.0, random.Random(0)) == tokenizer.encode(text)


@given(st.sampled_from(TEXTS), st.floats(0, 1), st.integers(0, 99))
def test_dropped_merges_leave_the_text_as_it_is(tokenizer, text, dropout, seed):
    ids = tokenizer.sample(text, dropout, random.Random(seed))
    assert tokenizer.decode(ids) == text
    assert len(ids) >= len(tokenizer.encode(text))
    assert ids == tokenizer.sample(text, dropout, random.Random(seed))
    letters = tokenizer.tokens(tokenizer.sample(text, 1.0, random.Random(seed)))
    assert set(map(len, letters)) == {1}


def test_merges_are_dropped_as_often_as_the_algorithm_says():
    """Every way to cut *abab* by algorithm 1, with its probability, against 20,000 draws."""
    tokenizer = Tokenizer.train(["abab abab ab"] * 9, vocab_size=12)
    p = 0.3

    def cuts(pieces):
        """Probability of each final cut: whichever subset of the possible merges is dropped."""
        places = range(len(pieces) - 1)
        possible = [(tokenizer._ranks.get(tuple(pieces[i : i + 2])), i) for i in places]
        possible = [(rank, i) for rank, i in possible if rank is not None]
        found = Counter()
        for dropped in itertools.product((True, False), repeat=len(possible)):
            chance = math.prod(p if gone else 1 - p for gone in dropped)
            left = [place for place, gone in zip(possible, dropped, strict=True) if not gone]
            if not left:
                found[tuple(pieces)] += chance
                continue
            _, i = min(left)
            for cut, share in cuts(
                [*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :]]
            ).items():
                found[cut] += chance * share
        return found

    exact, rng, draws = cuts(list("▁abab")), random.Random(0), 20_000
    drawn = Counter(tuple(tokenizer.tokens(tokenizer.sample("abab", p, rng))) for _ in range(draws))
    assert sum(exact.values()) == pytest.approx(1) and len(exact) >= 4
    assert set(drawn) <= set(exact)
    for cut, share in exact.items():  # 5 standard errors
        assert abs(drawn[cut] / draws - share) < 5 * math.sqrt(share * (1 - share) / draws) + 1e-9


@pytest.mark.parametrize("dropout", [-0.1, 1.1])
def test_a_dropout_that_is_no_probability_is_refused(tokenizer, dropout):
    with pytest.raises(ValueError, match=f"dropout must be between 0 and 1, got {dropout}"):
        tokenizer.sample("a", dropout, random.Random(0))


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

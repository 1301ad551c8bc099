"""attnlib.data.toy: the truth is known, so every example can be checked."""

import datetime
import random
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlib.data import batches, toy

thorough = settings(max_examples=300, deadline=None)  # a busy machine is no failure
quick = settings(max_examples=50, deadline=None)
seeds = st.integers(0, 2**32)
sides = st.sampled_from(toy.SPLITS)
MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
COLOURS = {"white", "black", "green", "blue", "grey", "red", "sad", "wet", "tired"}
# every task with arguments that keep examples small
MAKERS = {
    "copy": partial(toy.copy, symbols=5, shortest=3, longest=6),
    "reverse": partial(toy.reverse, symbols=5, shortest=3, longest=6),
    "dates": toy.dates,
    "phrases": partial(toy.phrases, deepest=3),
}


def words(example, position_pairs):
    return {(example.source[s], example.target[t]) for t, s in position_pairs}


@pytest.mark.parametrize("task", toy.TASKS)
@quick
@given(seed=seeds, split=sides)
def test_examples_depend_on_the_seed_alone(task, seed, split):
    first = MAKERS[task](random.Random(seed), count=2, split=split)
    random.seed(1)  # the global generator has no say
    assert MAKERS[task](random.Random(seed), count=2, split=split) == first


@pytest.mark.parametrize("task", toy.TASKS)
def test_other_seeds_give_other_examples(task):
    assert MAKERS[task](random.Random(0), count=9) != MAKERS[task](random.Random(1), count=9)


@pytest.mark.parametrize("task", toy.TASKS)
@quick
@given(seed=seeds)
def test_links_are_ordered_and_inside_the_example(task, seed):
    (example,) = MAKERS[task](random.Random(seed), count=1)
    assert list(example.alignment) == sorted(set(example.alignment))
    for t, s in example.alignment:
        assert 0 <= t < len(example.target)
        assert 0 <= s < len(example.source)


@pytest.mark.parametrize("task", ["copy", "reverse", "phrases"])
@quick
@given(seed=seeds)
def test_every_target_word_has_one_link_and_every_source_word_some(task, seed):
    (example,) = MAKERS[task](random.Random(seed), count=1)
    assert [t for t, _ in example.alignment] == list(range(len(example.target)))
    assert {s for _, s in example.alignment} == set(range(len(example.source)))


@pytest.mark.parametrize("task", toy.TASKS)
@quick
@given(seed=seeds)
def test_the_vocabulary_knows_every_word(task, seed):
    (example,) = MAKERS[task](random.Random(seed), count=1)
    vocabulary = toy.vocabulary(task, symbols=5)
    for sentence in (example.source, example.target):
        assert vocabulary.decode(vocabulary.encode(sentence)) == list(sentence)


# Splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", toy.TASKS)
def test_the_three_splits_share_no_source_and_no_key(task):
    # few possible sources, many examples: a leak would show
    make = partial(toy.phrases, deepest=0) if task == "phrases" else MAKERS[task]
    side = {
        split: make(random.Random(7), count=1000, split=split) for split in ("train", "val", "test")
    }
    for key in ("target", "source"):
        seen = [{getattr(example, key) for example in side[split]} for split in side]
        assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    assert all(len(examples) == 1000 for examples in side.values())


def test_a_day_of_the_test_never_occurs_in_training_in_another_format():
    train = {e.target for e in toy.dates(random.Random(0), count=3000, split="train")}
    test = {e.target for e in toy.dates(random.Random(1), count=1000, split="test")}
    assert not train & test
    written = [toy._date(datetime.date(2014, 3, 5), template) for template in toy.FORMATS]
    assert len({toy.split_of(example.target) for example in written}) == 1


def test_eight_tenths_train_and_a_tenth_each_val_and_test():
    examples = toy.copy(random.Random(0), count=10000, shortest=5, longest=9, split="all")
    sides = [toy.split_of(example.source) for example in examples]
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert abs(sides.count(split) / 10000 - share) < 0.015  # four standard errors


def test_a_split_without_such_an_example_says_so():
    with pytest.raises(ValueError, match="no example of size 1 found in the split 'val'"):
        toy.copy(random.Random(0), count=1, symbols=1, longest=1, split="val")


# Copy and reverse -----------------------------------------------------------------------------


@quick
@given(seed=seeds)
def test_copy_repeats(seed):
    (example,) = toy.copy(random.Random(seed), count=1)
    assert example.target == example.source
    assert all(t == s for t, s in example.alignment)


@quick
@given(seed=seeds)
def test_reverse_is_an_involution_and_links_equal_symbols(seed):
    (example,) = toy.reverse(random.Random(seed), count=1, longest=12)
    assert example.target[::-1] == example.source
    turned = [(len(example.target) - 1 - t, s) for t, s in example.alignment]
    assert turned == sorted(turned, reverse=True)
    assert all(t == s for t, s in turned)  # twice reversed, every symbol is back in its place
    assert all(x == y for x, y in words(example, example.alignment))


@pytest.mark.parametrize("make", [toy.copy, toy.reverse])
def test_lengths_and_symbols_are_uniform(make):
    examples = make(random.Random(0), count=6000, symbols=4, shortest=5, longest=7, split="all")
    lengths = [len(example.source) for example in examples]
    assert set(lengths) == {5, 6, 7}
    for length in (5, 6, 7):
        assert abs(lengths.count(length) / 6000 - 1 / 3) < 0.025
    symbols = [symbol for example in examples for symbol in example.source]
    assert set(symbols) == set("abcd")
    for symbol in "abcd":
        assert abs(symbols.count(symbol) / len(symbols) - 0.25) < 0.01


# Dates ----------------------------------------------------------------------------------------


def read(text):
    """The day a string means, read by other code than wrote it."""
    for form in ("%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d"):
        try:
            return datetime.datetime.strptime(text, form).date()
        except ValueError:
            pass
    year, month, day = None, None, None
    for piece in text.replace("-", " ").replace(",", " ").replace(".", " ").split():
        digits = "".join(c for c in piece if c.isdigit())
        if len(digits) == 4:
            year = int(digits)
        elif digits:
            day = int(digits)
        elif not piece.endswith("day"):
            month = MONTHS.get(piece[:3].lower(), month)
    return datetime.date(year, month, day)


@thorough
@given(template=st.sampled_from(toy.FORMATS), day=st.dates(toy.FIRST_DAY, toy.LAST_DAY))
def test_every_format_means_its_day(template, day):
    example = toy._date(day, template)
    assert read("".join(example.source)) == day
    assert "".join(example.target) == day.isoformat()


@thorough
@given(template=st.sampled_from(toy.FORMATS), day=st.dates(toy.FIRST_DAY, toy.LAST_DAY))
def test_date_links_cover_all_digits_and_lead_to_what_decides_them(template, day):
    example = toy._date(day, template)
    assert {t for t, _ in example.alignment} == {0, 1, 2, 3, 5, 6, 8, 9}  # all but the hyphens
    for t in range(10):
        linked = "".join(example.source[s] for u, s in example.alignment if u == t)
        if t in (5, 6) and linked.isalpha():
            assert MONTHS[linked[:3].lower()] == day.month
        elif t in (5, 8) and len(linked) == 1 and linked != example.target[t]:
            assert example.target[t] == "0"  # a zero that was not written
            assert linked == example.target[t + 1]
        elif linked:
            assert linked == example.target[t]


@pytest.mark.parametrize(
    "template, day, text, links",
    [
        ("{d}{th} {Month} {year}", (2014, 5, 3), "3rd May 2014", {5: "May", 6: "May", 8: "3"}),
        ("{m}/{d}/{year}", (1999, 12, 4), "12/4/1999", {5: "1", 6: "2", 8: "4", 9: "4"}),
        ("{Weekday}, {Month} {d}, {year}", (2026, 6, 30), "Tuesday, June 30, 2026", {9: "0"}),
        ("{dd} {MON} {year}", (2001, 2, 9), "09 FEB 2001", {6: "FEB", 8: "0", 9: "9"}),
    ],
)
def test_dates_by_hand(template, day, text, links):
    example = toy._date(datetime.date(*day), template)
    assert "".join(example.source) == text
    for t, want in links.items():
        assert "".join(example.source[s] for u, s in example.alignment if u == t) == want


def test_ordinals():
    for word in (
        "1st",
        "2nd",
        "3rd",
        "4th",
        "10th",
        "11th",
        "12th",
        "13th",
        "21st",
        "22nd",
        "23rd",
    ):
        assert toy._ordinal_suffix(int(word[:-2])) == word[-2:]


def test_all_formats_and_the_whole_century_occur():
    examples = toy.dates(random.Random(0), count=3000)
    years = {int("".join(example.target[:4])) for example in examples}
    assert years == set(range(1950, 2050))
    shapes = {"".join("9" if c.isdigit() else c for c in e.source) for e in examples}
    assert {"99/99/9999", "99.99.9999", "9999/99/99", "9 May 9999"} <= shapes


# Phrases --------------------------------------------------------------------------------------


@thorough
@given(seed=seeds, depth=st.integers(0, 6), verb_final=st.booleans())
def test_linked_words_translate_each_other(seed, depth, verb_final):
    (example,) = toy.phrases(random.Random(seed), 1, depth, depth, verb_final=verb_final)
    lexicon = toy.lexicon()
    for english, french in words(example, example.alignment):
        assert french in lexicon[english]
    linked = [[t for t, s in example.alignment if s == i] for i in range(len(example.source))]
    for english, targets in zip(example.source, linked):
        two = english in ("bat", "bats", "through", "never")
        assert len(targets) == (2 if two else 1), english
        if two:  # side by side, or around the verb
            assert targets[1] - targets[0] == (2 if english == "never" else 1)


FEMININE = {"chauve", "chauves", "vache", "vaches", "chèvre", "chèvres", "poule", "poules"}
FEMININE |= {"grenouille", "grenouilles", "chemise", "chemises", "maison", "maisons"}
FEMININE |= {"voiture", "voitures", "rivière", "rivières"}


@thorough
@given(seed=seeds)
def test_determiners_and_adjectives_agree_and_follow(seed):
    (example,) = toy.phrases(random.Random(seed), 1, deepest=3, split="all")
    lexicon = toy.lexicon()
    noun_of = {}  # source position of a determiner or adjective: that of its noun
    kinds = {"the", "a", "this", "every", "some", "these", "two", "my"}
    for s, word in enumerate(example.source):
        if word in kinds | COLOURS:
            after = s + 1
            while example.source[after] in COLOURS:
                after += 1
            noun_of[s] = after
    place = {s: t for t, s in reversed(example.alignment)}  # the first word of two
    for s, noun in noun_of.items():
        french, head = example.target[place[s]], example.target[place[noun]]
        forms = next(
            forms
            for table in (toy._DETERMINERS, toy._ADJECTIVES)
            for english, forms in table.items()
            if english == example.source[s]
        )
        plural = example.source[noun] not in {one.english[0] for one in toy._NOUNS}
        assert french == forms[2 * plural + (head in FEMININE)]
        assert french in lexicon[example.source[s]]
        if example.source[s] in COLOURS:
            assert place[s] > place[noun]  # after the noun, ...
            if s + 1 != noun:
                assert place[s] > place[s + 1]  # ... and in the opposite order
        else:
            assert place[s] < place[noun]


@thorough
@given(seed=seeds, depth=st.integers(0, 4))
def test_verbs_come_last_and_agree_with_their_subject(seed, depth):
    (example,) = toy.phrases(random.Random(seed), 1, depth, depth, split="all")
    verbs = toy._TRANSITIVE | toy._INTRANSITIVE
    many = {plural for _, plural in verbs}
    singulars = {noun.english[0] for noun in toy._NOUNS}
    nouns = singulars | {noun.english[1] for noun in toy._NOUNS}
    first = next(word for word in example.source if word in nouns)
    used = [s for s, word in enumerate(example.source) if any(word in pair for pair in verbs)]
    # the last word but adverbs is the verb of the sentence, whose subject is the first noun
    last = max(t for t, s in example.alignment if s in used)
    assert set(example.target[last + 1 :]) <= {"jamais", "souvent", "toujours"}
    main = dict(example.alignment)[last]
    assert (example.source[main] in many) == (first not in singulars)
    for s in used:  # every object stands before its verb: the word after a verb never follows it
        if s + 1 < len(example.source) and any(
            example.source[s] in pair for pair in toy._TRANSITIVE
        ):
            t = next(t for t, u in example.alignment if u == s)
            assert min(u for u, v in example.alignment if v == s + 1) < t


@quick
@given(seed=seeds)
def test_without_verb_final_only_adjectives_and_their_nouns_change_places(seed):
    (example,) = toy.phrases(random.Random(seed), 1, deepest=3, verb_final=False, split="all")
    nouns = {word for noun in toy._NOUNS for word in noun.english}
    order = [s for _, s in example.alignment if example.source[s] not in COLOURS | nouns]
    order = [s for s in order if example.source[s] not in toy._ADVERBS]
    assert order == sorted(order)


def test_phrases_grow_with_depth_and_sizes_are_as_documented():
    mean = []
    for depth in range(0, 9, 2):
        lengths = [
            len(example.source) for example in toy.phrases(random.Random(0), 400, depth, depth)
        ]
        mean.append(sum(lengths) / 400)
        if depth == 0:
            assert min(lengths) == 3 and max(lengths) in (9, 10)
    assert all(6 < after - before < 9 for before, after in pairwise(mean))


def test_a_phrase_by_hand():
    noun = {noun.english[0]: noun for noun in toy._NOUNS}
    assert noun["bat"].french[0] == "chauve souris"
    part = toy._join(
        [toy._word("a", "une"), toy._word("red", "rouge"), toy._word("bat", "chauve souris")],
        order=(0, 2, 1),
    )
    assert part == (
        ["a", "red", "bat"],
        [("une", 0), ("chauve", 2), ("souris", 2), ("rouge", 1)],
    )


def test_no_english_word_begins_with_a_vowel_after_a():
    for example in toy.phrases(random.Random(0), count=3000):
        for before, after in pairwise(example.source):
            assert before != "a" or after[0] not in "aeiou"


# Vocabulary and bad arguments -----------------------------------------------------------------


def test_vocabulary_shares_the_specials_of_the_tokenizer():
    words = toy.Vocabulary(["x"])
    assert (words.pad, words.bos, words.eos, words.unk) == (0, 1, 2, 3)
    assert words.words[:4] == ("<pad>", "<s>", "</s>", "<unk>") and len(words) == 5
    assert words.decode([1, 4, 3, 4, 2, 4]) == ["x", "<unk>", "x"]


def test_pairs_make_batches():
    examples = toy.reverse(random.Random(0), count=5, symbols=6)
    batch = batches.collate(toy.vocabulary("reverse", symbols=6).pairs(examples))
    assert batch.source_lengths.tolist() == [len(e.source) + 1 for e in examples]
    first = batch.source[0, : batch.source_lengths[0] - 1]
    assert batch.target_out[0, : len(first)].tolist() == first.flip(0).tolist()


def test_vocabulary_errors():
    words = toy.Vocabulary(["red", "shirt"])
    with pytest.raises(ValueError, match="unknown word 'blue' at position 1"):
        words.encode(["red", "blue"])
    with pytest.raises(TypeError, match="got the string 'red'"):
        words.encode("red")
    with pytest.raises(ValueError, match="id 6 is not in 0 to 5"):
        words.decode([4, 6])
    with pytest.raises(ValueError, match="id -1"):
        words.decode([-1])
    with pytest.raises(ValueError, match="words given twice: </s>, red"):
        toy.Vocabulary(["red", "red", "</s>"])
    with pytest.raises(ValueError, match=r"unknown task 'sort': one of copy, reverse"):
        toy.vocabulary("sort")
    with pytest.raises(ValueError, match="symbols must be 1 to 52, got 53"):
        toy.vocabulary("copy", symbols=53)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"count": -1}, "count must be 0 or more, got -1"),
        ({"symbols": 0}, "symbols must be 1 to 52, got 0"),
        ({"symbols": 53}, "symbols must be 1 to 52, got 53"),
        ({"shortest": 0}, "need 1 <= shortest <= longest, got 0 and 10"),
        ({"shortest": 6, "longest": 5}, "got 6 and 5"),
        ({"split": "dev"}, "unknown split 'dev': one of train, val, test, all"),
    ],
)
@pytest.mark.parametrize("make", [toy.copy, toy.reverse])
def test_bad_arguments_of_sequences(make, arguments, error):
    with pytest.raises(ValueError, match=error):
        make(random.Random(0), **{"count": 1, **arguments})


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_bad_arguments_of_all_tasks(make):
    with pytest.raises(TypeError, match=r"rng must be a random\.Random, got int"):
        make(0, count=1)
    with pytest.raises(ValueError, match="count must be 0 or more"):
        make(random.Random(0), count=-1)
    with pytest.raises(ValueError, match="unknown split"):
        make(random.Random(0), count=1, split="dev")
    assert make(random.Random(0), count=0) == []


@pytest.mark.parametrize("depths", [(-1, 2), (3, 2)])
def test_bad_depths(depths):
    with pytest.raises(ValueError, match="need 0 <= shallowest <= deepest"):
        toy.phrases(random.Random(0), 1, *depths)

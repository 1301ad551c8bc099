"""What people type: nothing invisible changes a translation, and plain signs are as good as any."""

import copy
import pickle
import sys
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlib import pretrained, storage
from attnlib.data import corpora, files, hansards
from attnlib.data.cleaning import JOINERS, clean, listed, signs_of
from attnlib.data.tokenizer import Tokenizer
from attnlib.training import RunConfig, shipping

TRANSLATORS = [name for name in pretrained.names() if "signs" in pretrained.card(name)]
SENTENCES = (
    "A man in a red shirt rides a bike.",
    "It's the woman's dog, isn't it?",
    'The "old" man re-reads a book...',
    "¿Über Ærø? 10 €, naïve crème brûlée",
)
# What Unicode calls a format character, a variation selector or a control character that is no
# space, and the few letters and marks that it says to show nothing for.
INVISIBLE = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if (unicodedata.category(chr(code)) in ("Cf", "Cc") and not chr(code).isspace())
    or "VARIATION SELECTOR" in unicodedata.name(chr(code), "")
    or "HANGUL FILLER" in unicodedata.name(chr(code), "")
    or code == 0x034F  # combining grapheme joiner
]
INVISIBLE = [letter for letter in INVISIBLE if letter not in JOINERS]


class Typed:
    """The ids that a shipped model reads; its weights are never needed."""

    def __init__(self, name):
        card = pretrained.card(name)
        folder = pretrained.WEIGHTS / name
        tokenizer = Tokenizer.load(folder / storage.TOKENIZER, card["model"]["vocab_size"])
        self.loaded = pretrained.Pretrained(name, None, tokenizer, card)

    def __call__(self, text, side=0):
        return self.loaded.ids(text, "it", side)


@pytest.fixture(scope="module", params=TRANSLATORS)
def typed(request):
    return Typed(request.param)


@settings(max_examples=200)
@given(st.data())
def test_an_invisible_character_anywhere_changes_nothing(typed, data):
    text = data.draw(st.sampled_from(SENTENCES) | st.text(max_size=20))
    try:
        clean(text)
    except ValueError:  # surrogates
        return
    written = list(text)
    for letter in data.draw(st.lists(st.sampled_from(INVISIBLE), min_size=1, max_size=4)):
        written.insert(data.draw(st.integers(0, len(written))), letter)
    for side in (0, 1):
        assert typed("".join(written), side) == typed(text, side)


@pytest.mark.parametrize("letter", [*INVISIBLE[:60], "\ufeff", "\ufe0f", "\U000e0020"])
def test_each_invisible_character_inside_a_word(letter):
    assert clean(f"wo{letter}man") == "woman"


def test_a_joiner_stays_where_the_model_knows_it():
    eyelash = "दर\N{DEVANAGARI SIGN VIRAMA}\N{ZERO WIDTH JOINER}या"
    assert clean(eyelash) == eyelash
    marathi, french = Typed("en-mr-bahdanau"), Typed("en-fr-bahdanau")
    assert marathi(eyelash, side=1) == marathi.loaded.tokenizer.encode(eyelash)
    joined = "wo\N{ZERO WIDTH JOINER}man"  # nothing that a French model has met
    assert french(joined) == french("woman")
    assert clean("a\N{ZERO WIDTH NON-JOINER}b") == "a\N{ZERO WIDTH NON-JOINER}b"


@pytest.mark.parametrize(
    "typographic, plain",
    [
        ("It’s the woman’s dog.", "It's the woman's dog."),
        ("Itʼs the ‘old’ dog.", "It's the 'old' dog."),
        ("The “old” man.", 'The "old" man.'),
        ("The „old‟ man.", 'The "old" man.'),
        ("A t‑shirt – red — and blue…", "A t-shirt - red - and blue..."),
    ],
)
def test_typographic_signs_read_as_the_plain_ones_of_english(typed, typographic, plain):
    assert typed(typographic) == typed(plain)


@pytest.mark.parametrize("signs", [None, "", "'-"])
def test_printable_ascii_reads_alone_as_it_does_beside_other_letters(signs):
    """A text of it alone is not gone through letter by letter."""
    letters = "".join(map(chr, range(32, 127)))
    assert clean(letters, signs) == letters
    assert clean(letters + "\N{BULLET}", signs) == letters + "\N{BULLET}"
    assert clean("a\tb\x7f", signs) == "a b"


def test_signs_stay_where_the_training_text_has_them():
    german = signs_of(["„Ja“ – sagt er."] * 3)
    assert clean("„Ja“ – nein”", german) == "„Ja“ – nein“"
    assert clean("It’s", "’") == "It’s"
    assert clean("It’s", "") == "It’s"  # it knows neither
    assert signs_of(["a'b"] * 999 + ["a’b"]) == "'’"
    assert signs_of(["a'b"] * 1000 + ["a’b"]) == "'"


def training_text(card):
    """Both sides, by language; skipped where the data cannot be had."""
    known = {
        "multi30k": lambda: corpora.multi30k("train", *card["languages"]),
        "tatoeba": lambda: corpora.tatoeba("train"),
        "hansards": lambda: hansards.corpus("train"),
    }
    try:
        corpus = known[card["config"]["data"]["corpus"]]()
    except files.DataError as error:
        pytest.skip(f"neither mirrored nor downloadable: {error}")
    return dict(zip(card["languages"], (corpus.source, corpus.target), strict=True))


def test_every_translator_says_what_its_training_text_is_punctuated_with(typed):
    card = typed.loaded.card
    assert card["signs"] == {
        language: signs_of(side) for language, side in training_text(card).items()
    }
    assert (
        shipping.signs(RunConfig.from_dict(card["config"])) == card["signs"]
    )  # what a new card gets


def test_cleaning_leaves_the_text_of_the_corpora_alone(typed):
    """So no number that was measured on them moves."""
    card, tokenizer = typed.loaded.card, typed.loaded.tokenizer
    training_text(card)
    if card["config"]["data"]["corpus"] == "hansards":
        gold = hansards.gold("test")
        sides = ([" ".join(words) for words in side] for side in (gold.source, gold.target))
    else:
        split = {"multi30k": lambda: corpora.multi30k("test_2016_flickr", *card["languages"])}
        test = split.get(card["config"]["data"]["corpus"], lambda: corpora.tatoeba("test"))()
        sides = (test.source, test.target)
    for side, texts in enumerate(sides):
        assert [typed(text, side) for text in texts] == [tokenizer.encode(x) for x in texts]


@pytest.mark.slow
def test_a_pasted_sentence_is_translated_as_the_typed_one():
    model = pretrained.load("en-fr-bahdanau")
    plain = model.translate(["Two dogs play in the snow.", "The woman's dog runs."], beam=1)
    pasted = ["\ufeffTwo dogs play in the snow.", "The wo\u00adman\u2019s dog\u200b runs.\u200e"]
    assert [x.text for x in model.translate(iter(pasted), beam=1)] == [x.text for x in plain]
    (found,) = model.align(pasted[1:], ["Le chien court."])
    (want,) = model.align(["The woman's dog runs."], ["Le chien court."])
    assert found.source_tokens == want.source_tokens and found.score == want.score


def test_bytes_that_are_no_text_are_named():
    with pytest.raises(ValueError, match=r"^it is not UTF-8 text: byte 0xe9 at position 3"):
        Typed("en-fr-bahdanau")(b"caf\xe9".decode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="a surrogate at position 0"):
        clean("\ud800")


@pytest.mark.parametrize("texts", ["Two dogs.", b"Two dogs.", None, 3, [None], ["a", 3]])
def test_what_is_no_list_of_texts_is_named(texts):
    with pytest.raises(TypeError, match=r"^sources must be"):
        listed("sources", texts)


def test_any_iterable_of_texts_will_do():
    assert listed("x", (text for text in "ab")) == listed("x", ("a", "b")) == ["a", "b"]


# The tokenizer's copies ------------------------------------------------------------------------

SPECIALS_IN_TEXT = "a </s> b <s> <unk><pad>"


def ids(tokenizer):
    return tokenizer.encode(SPECIALS_IN_TEXT)


def test_a_copy_of_a_tokenizer_reads_specials_as_signs_too():
    tokenizer = Typed("en-fr-bahdanau").loaded.tokenizer
    want = ids(tokenizer)
    assert not set(want) & {0, 1, 2} and len(want) > 10
    copies = (
        copy.copy(tokenizer),
        copy.deepcopy(tokenizer),
        pickle.loads(pickle.dumps(tokenizer)),
        copy.deepcopy(pickle.loads(pickle.dumps(copy.deepcopy(tokenizer)))),
    )
    for other in copies:
        assert ids(other) == want and len(other) == len(tokenizer)


@pytest.mark.slow
def test_a_worker_that_is_spawned_reads_the_same():
    tokenizer = Typed("en-fr-bahdanau").loaded.tokenizer
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as workers:
        assert workers.submit(tokenizer.encode, SPECIALS_IN_TEXT).result() == ids(tokenizer)

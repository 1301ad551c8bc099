"""attnlib.data.grammar: what a caption says is held against the definition, counted out."""

import pickle
import random
import re
import time
from collections import Counter
from dataclasses import replace
from itertools import chain, combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlib.data.grammar import (
    RELATIONS,
    Caption,
    Grammar,
    GrammarError,
    Phrase,
    Thing,
    Verdict,
)
from attnlib.data.tokenizer import Tokenizer

thorough = settings(max_examples=300, deadline=None)  # a busy machine is no failure
seeds = st.integers(0, 2**32)
quick = settings(max_examples=100, deadline=None)
MARGIN = 4.0
SHAPES = {"circle": "circles", "square": "squares", "triangle": "triangles"}
SHAPES |= {"cross": "crosses", "ring": "rings", "star": "stars"}
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
GROCERIES = {"bananas": "bananas", "carrots": "carrots", "garlic": ""}
GROCERIES |= {"avocado": "avocados", "orange": "oranges", "red pepper": "red peppers"}
GRAMMARS = {
    "shapes": Grammar(SHAPES, COLOURS, ("small", "large"), ("striped", "dotted"), margin=MARGIN),
    "digits": Grammar(
        {d: d + ("es" if d == "six" else "s") for d in DIGITS}, COLOURS, margin=MARGIN, second=0.3
    ),
    "groceries": Grammar(GROCERIES, margin=MARGIN, second=0.5),
    # few words, so that things are often alike and random captions often true
    "small": Grammar(
        {"ring": "rings", "square": "squares", "garlic": ""},
        ("red", "orange"),
        ("small",),
        ("striped",),
        margin=MARGIN,
        second=0.5,
    ),
}
shapes, digits, groceries, small = GRAMMARS.values()
every_grammar = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS)


def scene(grammar, rng, smallest=1, largest=4):
    """Random things, often alike, on a lattice as wide as the margin: many are just that far."""
    things = []
    for _ in range(rng.randint(smallest, largest)):
        thing = Thing(
            rng.choice(list(grammar.nouns)),
            rng.randrange(7) * MARGIN,
            rng.randrange(7) * MARGIN,
            colour=rng.choice(grammar.colours or ("",)),
            size=rng.choice(grammar.sizes or ("",)),
            texture=rng.choice(("", *grammar.textures)),
        )
        if things and rng.random() < 0.3:
            like = rng.choice(things)
            thing = replace(thing, noun=like.noun, colour=like.colour)
        things.append(thing)
    return tuple(things)


def saying(grammar, rng, things):
    """Phrases and relations of a random caption, more often near the truth than not."""
    relations = rng.choices(list(RELATIONS), k=rng.randint(0, 1 + bool(grammar.second)))
    meant = rng.sample(things * 3, k=len(relations) + 1)
    if len(meant) <= len(things) and rng.random() < 0.8:
        meant = rng.sample(things, k=len(meant))
    for k, other in enumerate(meant[1:]):
        holding = [r for r in RELATIONS if is_placed(meant[0], r, other)]
        if holding and rng.random() < 0.8:
            relations[k] = rng.choice(holding)
    phrases = []
    for thing in meant:
        words = [rng.choice(("", w)) for w in (thing.size, thing.texture, thing.colour)]
        phrase = Phrase(0, thing.noun, *words)
        if rng.random() < 0.1:
            known = grammar.sizes, grammar.textures, grammar.colours
            words = [rng.choice(("", *words)) for words in known]
            phrase = Phrase(0, rng.choice(list(grammar.nouns)), *words)
        if not is_bare(grammar, phrase.noun):
            count = sum(is_such(other, phrase) for other in things)
            right = count if count > 1 and rng.random() < 0.7 else 0
            phrase = replace(phrase, number=right or rng.choice((*[0] * 12, 2, 3, 4)))
        phrases.append(phrase)
    return phrases, relations


# The definition, counted out ------------------------------------------------------------------
# Nothing here uses the parser or the checker: phrases are written down by these lines, and judged
# by going through every set of things that each phrase might name.


def is_bare(grammar, noun):
    return grammar.nouns[noun] in ("", noun)


def written(grammar, phrases, relations):
    """The words of a caption, and for each the position of the phrase whose things it names."""
    words, owners = [], []
    for k, phrase in enumerate(phrases):
        between = ("and " if k == 2 else "") + (relations[k - 1] if k else "")
        noun = grammar.nouns[phrase.noun] if phrase.number else phrase.noun
        named = [phrase.size, phrase.texture, phrase.colour, *noun.split()]
        named = [word for word in named if word]
        if phrase.number:
            named = [["two", "three", "four"][phrase.number - 2], *named]
        elif not is_bare(grammar, phrase.noun):
            between += " an" if named[0] in ("orange", "avocado", "eight") else " a"
        words += between.split() + named
        owners += [None] * len(between.split()) + [k] * len(named)
    return words, owners


def is_such(thing, phrase):
    said = phrase.size, phrase.texture, phrase.colour
    has = thing.size, thing.texture, thing.colour
    return thing.noun == phrase.noun and all(not s or s == h for s, h in zip(said, has))


def is_placed(one, relation, other):
    if relation == "left of":
        return one.x < other.x - MARGIN
    if relation == "right of":
        return one.x > other.x + MARGIN
    return one.y < other.y - MARGIN if relation == "above" else one.y > other.y + MARGIN


def may_name(phrase, group, things):
    such = {i for i, thing in enumerate(things) if is_such(thing, phrase)}
    if phrase.number:
        return group == such and len(group) == phrase.number
    return len(group) == 1 and group <= such


def true_readings(phrases, relations, things):
    """Every tuple of sets of things, one a phrase, of which all that is said is true."""
    indices = range(len(things))
    subsets = chain.from_iterable(combinations(indices, n) for n in range(1, len(things) + 1))
    subsets = [set(subset) for subset in subsets]
    named = [[s for s in subsets if may_name(phrase, s, things)] for phrase in phrases]
    return [
        groups
        for groups in product(*named)
        if all(not one & other for one, other in combinations(groups, 2))
        and all(
            is_placed(things[i], relation, things[j])
            for relation, group in zip(relations, groups[1:])
            for i in groups[0]
            for j in group
        )
    ]


@every_grammar
@thorough
@given(seed=seeds)
def test_truth_and_links_are_those_of_the_definition(grammar, seed):
    rng = random.Random(seed)
    things = scene(grammar, rng)
    phrases, relations = saying(grammar, rng, things)
    words, owners = written(grammar, phrases, relations)
    readings = true_readings(phrases, relations, things)
    verdict = grammar.check(" ".join(words), things)
    assert verdict.parses, verdict.wrong
    assert verdict.true == bool(readings)
    assert bool(verdict.wrong) == (not verdict.true)
    assert len(verdict.wrong) == len(verdict.kinds)
    named = [frozenset().union(*groups) for groups in zip(*readings)]
    want = Caption(
        tuple(words), tuple(frozenset() if k is None else named[k] for k in owners if readings)
    )
    assert grammar.link(" ".join(words), things) == (want if readings else None)


@pytest.mark.parametrize("grammar", [shapes, small], ids=["shapes", "small"])
@thorough
@given(seed=seeds)
def test_truth_near_the_truth(grammar, seed):
    rng = random.Random(seed)
    """A true caption of some things, held against others that differ in places or words."""
    things = scene(grammar, rng, smallest=2)
    text = grammar.captions(things, rng)[0].text
    other = list(things)
    other[rng.randrange(len(things))] = scene(grammar, rng)[0]
    said = grammar.parse(text)
    readings = true_readings(said.phrases, said.relations, other)
    assert grammar.check(text, other).true == bool(readings)


@every_grammar
@quick
@given(seed=seeds)
def test_reading_gives_back_what_was_written(grammar, seed):
    rng = random.Random(seed)
    phrases, relations = saying(grammar, rng, scene(grammar, rng))
    words, owners = written(grammar, phrases, relations)
    statement = grammar.parse(" ".join(words))
    assert statement.words == tuple(words)
    assert statement.phrases == tuple(phrases)
    assert statement.relations == tuple(relations)
    assert statement.names == tuple(-1 if k is None else k for k in owners)


def test_a_relation_needs_more_than_the_margin():
    ring = Thing("ring", 10, 20)
    for gap, wanted in ((MARGIN - 1, False), (MARGIN, False), (MARGIN + 0.5, True)):
        square = Thing("square", 10 + gap, 20 + gap)
        assert shapes.check("a ring left of a square", [ring, square]).true is wanted
        assert shapes.check("a square right of a ring", [ring, square]).true is wanted
        assert shapes.check("a ring above a square", [ring, square]).true is wanted
        assert shapes.check("a square below a ring", [ring, square]).true is wanted
        assert not shapes.check("a ring right of a square", [ring, square]).true


# Captions by hand -----------------------------------------------------------------------------


SCENE = (  # as it lies: a ring left, two crosses under a circle, a blue square right
    Thing("ring", 8, 30, colour="red", size="small"),
    Thing("square", 50, 30, colour="blue", size="large", texture="striped"),
    Thing("circle", 30, 10, colour="yellow", size="large"),
    Thing("cross", 24, 50, colour="green", size="small"),
    Thing("cross", 36, 54, colour="green", size="large", texture="dotted"),
)


@pytest.mark.parametrize(
    "text",
    [
        "a small red ring left of a large blue square",
        "two green crosses below a circle",
        "a green cross below a circle",  # at least one
        "a ring",
        "A large striped blue square right of two crosses.",  # as people type
        "  two   crosses ",
    ],
)
def test_true_captions(text):
    assert shapes.check(text, SCENE) == Verdict(parses=True, true=True, wrong=(), kinds=())


def test_links_by_hand():
    caption = shapes.link("two green crosses below a large circle", SCENE)
    named = [sorted(things) for things in caption.things]
    assert named == [[3, 4], [3, 4], [3, 4], [], [], [2], [2]]
    caption = shapes.link("a cross right of a ring", SCENE)  # either cross may be meant
    assert [sorted(things) for things in caption.things] == [[], [3, 4], [], [], [], [0]]
    assert shapes.link("a cross left of a ring", SCENE) is None
    assert shapes.link("a cross left of", SCENE) is None


@pytest.mark.parametrize(
    "text, kind, wrong",
    [
        # colour, size, texture, noun
        ("a blue ring", "thing", "there is no blue ring"),
        ("a large red ring left of a square", "thing", "there is no large red ring"),
        ("a dotted square", "thing", "there is no dotted square"),
        ("a star", "thing", "there is no star"),
        ("two stars below a circle", "thing", "there is no star"),
        # number
        ("three green crosses", "number", "there are two green crosses, not three"),
        ("two red rings", "number", "there is one red ring, not two"),
        ("two small crosses below a circle", "number", "there is one small cross, not two"),
        # relation
        (
            "a red ring right of a blue square",
            "relation",
            "the ring is left of the square, not right of it",
        ),
        ("a ring above a square", "relation", "the ring is left of the square, not above it"),
        (
            "two crosses above a circle",
            "relation",
            "the crosses are below the circle, not above it",
        ),
        (
            "a circle below two crosses",
            "relation",
            "the circle is above the crosses, not below them",
        ),
        (
            "a large cross above a ring",
            "relation",
            "the large cross is below the ring, not above it",
        ),
        ("a cross left of a ring", "relation", "no cross is left of the ring"),
        ("a square left of a cross", "relation", "the square is not left of a cross"),
        ("a circle right of a circle", "number", "there is only one circle"),
        ("two crosses right of a cross", "number", "there are only two crosses"),
    ],
)
def test_what_is_false_is_said_in_plain_words(text, kind, wrong):
    assert shapes.check(text, SCENE) == Verdict(True, False, (wrong,), (kind,))


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("two crosses left of a circle", "the crosses are not all left of the circle"),
        ("a circle left of two crosses", "the circle is not left of all the crosses"),
        ("two crosses right of a circle", "the crosses are not all right of the circle"),
        ("two crosses left of a star", "the crosses are not left of the star"),
        ("two crosses right of a ring", "the crosses are not all right of the same ring"),
    ],
)
def test_groups_that_straddle(text, wrong):
    things = (
        Thing("circle", 20, 20),
        Thing("cross", 10, 21),
        Thing("cross", 30, 19),
        Thing("star", 9, 20),
        Thing("ring", 20, 40),
        Thing("ring", 29, 40),
    )
    assert shapes.check(text, things).wrong == (wrong,)


def test_everything_that_is_false_is_said():
    verdict = shapes.check("two blue rings left of a green star", SCENE)
    assert verdict.wrong == ("there is no blue ring", "there is no green star")
    verdict = digits.check(
        "a seven above three twos and left of an eight", _tiles("seven", "eight")
    )
    assert verdict.wrong == ("there is no two",)
    verdict = digits.check("a seven above a two and right of an eight", _tiles("seven", "eight"))
    assert verdict.wrong == (
        "there is no two",
        "the seven is left of the eight, not right of it",
    )
    assert verdict.kinds == ("thing", "relation")


def _tiles(*nouns):
    """Up to four things in a grid of two by two: first row, second row."""
    places = (16, 16), (48, 16), (16, 48), (48, 48)
    return tuple(Thing(noun, x, y) for noun, (x, y) in zip(nouns, places))


def test_two_relations_are_said_of_one_thing():
    text = "a seven above a two and left of an eight"
    assert digits.check(text, _tiles("seven", "eight", "two")).true
    # one seven is above the two, another left of the eight
    apart = (
        Thing("seven", 20, 0),
        Thing("two", 20, 9),
        Thing("seven", 0, 20),
        Thing("eight", 9, 20),
    )
    verdict = digits.check(text, apart)
    assert verdict.wrong == ("no seven is both above a two and left of an eight",)


def test_different_phrases_name_different_things():
    one_two = _tiles("seven", "", "", "two")
    assert digits.check("a seven above a two", one_two).true
    verdict = digits.check("a seven above a two and left of a two", one_two)
    assert verdict.wrong == ('"a two" and "a two" would be the same thing',)
    assert digits.check("a seven above a two and left of a two", _tiles("seven", "two", "two")).true


def test_nouns_that_take_no_article():
    things = _tiles("bananas", "red pepper", "carrots")
    assert groceries.check("bananas above carrots and left of a red pepper", things).true
    assert groceries.check("carrots above bananas", things).wrong == (
        "the carrots are below the bananas, not above them",
    )
    assert groceries.check("an avocado left of garlic", things).wrong == (
        "there is no avocado",
        "there is no garlic",
    )
    assert groceries.check("carrots", _tiles("garlic")).wrong == ("there are no carrots",)
    assert groceries.check("an orange", _tiles("orange")).true
    caption = groceries.link("a red pepper right of bananas", things)
    assert [sorted(t) for t in caption.things] == [[], [1], [1], [], [], [0]]


def test_a_word_may_be_a_number_and_a_noun_or_a_colour_and_a_noun():
    assert digits.parse("two twos above a two").phrases == (Phrase(2, "two"), Phrase(0, "two"))
    assert digits.parse("a one").phrases == (Phrase(0, "one"),)
    fruit = Grammar({"orange": "oranges", "red onion": "red onions"}, ("orange", "red"))
    assert fruit.parse("an orange").phrases == (Phrase(0, "orange"),)
    assert fruit.parse("an orange orange").phrases == (Phrase(0, "orange", colour="orange"),)
    assert fruit.parse("two red onions").phrases == (Phrase(2, "red onion"),)
    assert fruit.parse("a red red onion").phrases == (Phrase(0, "red onion", colour="red"),)
    table = Grammar({"salad": "salads", "salad bowl": "salad bowls"})
    assert table.parse("a salad bowl above a salad").phrases == (
        Phrase(0, "salad bowl"),
        Phrase(0, "salad"),
    )


# Faults are real ------------------------------------------------------------------------------


def described(grammar, text):
    """The phrase of words such as "small red ring" or "the two rings"."""
    words = [w for w in text.split() if w not in ("the", "all", "a", "an")]
    phrase = {"size": "", "texture": "", "colour": ""}
    for kind in phrase:
        known = getattr(grammar, kind + "s")
        if words[0] in known and len(words) > 1:
            phrase[kind] = words.pop(0)
    if words[0] in ("two", "three", "four") and len(words) > 1:
        return described(grammar, " ".join(words[1:]))
    forms = {
        form: n
        for noun, plural in grammar.nouns.items()
        for form, n in ((noun, noun), (plural, noun))
    }
    return Phrase(0, forms[" ".join(words)], **phrase)


def is_so(grammar, wrong, things):
    """Whether a message about what is false is itself true; None for one of another form."""
    place = "|".join(RELATIONS)

    def such(text):
        phrase = described(grammar, text)
        return [thing for thing in things if is_such(thing, phrase)]

    def every(ones, relation, others):
        return all(is_placed(a, relation, b) for a in ones for b in others)

    if found := re.fullmatch(r"there (?:is|are) no (.*)", wrong):
        return not such(found[1])
    if found := re.fullmatch(
        r"there (?:is|are) (only )?(one|two|three|four) (.*?)(?:, not (.*))?", wrong
    ):
        said = DIGITS.index(found[2])
        return len(such(found[3])) == said and (found[4] is None or DIGITS.index(found[4]) != said)
    if found := re.fullmatch(
        rf"the (.*) (?:is|are) ({place}) the (.*), not ({place}) (it|them)", wrong
    ):
        one, other = such(found[1]), such(found[3])
        many = len(other) > 1 or grammar.nouns[other[0].noun] == other[0].noun
        fits = many == (found[5] == "them")
        return fits and every(one, found[2], other) and not every(one, found[4], other)
    if found := re.fullmatch(rf"the (.*) are not all ({place}) the same (.*)", wrong):
        ones, others = such(found[1]), such(found[3])
        some = any(is_placed(a, found[2], b) for a in ones for b in others)
        return some and not any(every(ones, found[2], [b]) for b in others)
    if found := re.fullmatch(rf"the (.*) (?:is|are) not (all )?({place}) (all )?(.*)", wrong):
        pairs = [is_placed(a, found[3], b) for a in such(found[1]) for b in such(found[5])]
        some = found[2] or found[4]
        return not all(pairs) and (any(pairs) if some else not any(pairs))
    if found := re.fullmatch(rf"no (.*) (?:is|are) ({place}) (.*)", wrong):
        numbered = re.match("two |three |four |the ", found[3])
        others = such(found[3])
        if numbered:
            return not any(every([a], found[2], others) for a in such(found[1]))
        return not any(is_placed(a, found[2], b) for a in such(found[1]) for b in others)
    return None


@every_grammar
@thorough
@given(seed=seeds)
def test_what_is_called_false_is_false(grammar, seed):
    rng = random.Random(seed)
    things = scene(grammar, rng, smallest=2)
    phrases, relations = saying(grammar, rng, things)
    verdict = grammar.check(" ".join(written(grammar, phrases, relations)[0]), things)
    for wrong, kind in zip(verdict.wrong, verdict.kinds):
        assert kind in ("thing", "number", "relation")
        judged = is_so(grammar, wrong, things)
        assert judged or (judged is None and (" both " in wrong or "the same thing" in wrong)), (
            wrong
        )


def planted(grammar, things, rng):
    """A sampled caption, and falsehoods of known kind made of it: (kind, text) pairs."""
    caption = grammar.captions(things, rng)[0]
    said = grammar.parse(caption.text)
    phrases, relations = list(said.phrases), list(said.relations)
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    absent = [c for c in grammar.colours if c not in [t.colour for t in things]]

    def text(phrases, relations):
        return " ".join(written(grammar, phrases, relations)[0])

    first = phrases[0]
    values = {name: getattr(first, name) for name in ("size", "texture", "colour")}
    if absent:
        wrong = Phrase(first.number, first.noun, **(values | {"colour": rng.choice(absent)}))
        yield "thing", text([wrong, *phrases[1:]], relations)
    if not is_bare(grammar, first.noun):
        such = sum(is_such(thing, first) for thing in things)
        wrong = rng.choice([n for n in (2, 3, 4) if n != such])
        yield "number", text([Phrase(wrong, first.noun, **values), *phrases[1:]], relations)
    if len(relations) == 1:
        unique = len(true_readings(phrases[:1], [], things)) == 1
        unique &= len(true_readings(phrases[1:], [], things)) == 1
        if unique:
            yield "relation", text(phrases, [opposite[relations[0]]])
            yield "relation", text(phrases[::-1], relations)


@every_grammar
@quick
@given(seed=seeds)
def test_planted_falsehoods_are_found_and_told_apart(grammar, seed):
    rng = random.Random(seed)
    things = scene(grammar, rng)
    for kind, text in planted(grammar, things, rng):
        verdict = grammar.check(text, things)
        assert verdict.parses and not verdict.true, text
        assert kind in verdict.kinds, (text, verdict)
        if kind == "relation":
            assert verdict.kinds == ("relation",), (text, verdict)


def test_the_random_tests_are_not_idle():
    """Captions are true and false, with and without relations; each falsehood is planted often."""
    for grammar in GRAMMARS.values():
        told = Counter()
        for seed in range(1000):
            rng = random.Random(seed)
            things = scene(grammar, rng, smallest=2)
            phrases, relations = saying(grammar, rng, things)
            told[len(relations), bool(true_readings(phrases, relations, things))] += 1
        for count in range(2 + bool(grammar.second)):
            assert min(told[count, True], told[count, False]) > 9, told
    rng, kinds = random.Random(0), Counter()
    for _ in range(200):
        kinds.update(kind for kind, _ in planted(shapes, scene(shapes, rng), rng))
    assert min(kinds[kind] for kind in ("thing", "number", "relation")) > 50


# Sampling -------------------------------------------------------------------------------------


@every_grammar
@thorough
@given(seed=seeds)
def test_sampled_captions_are_true_and_their_links_right(grammar, seed):
    rng = random.Random(seed)
    things, number = scene(grammar, rng), rng.randint(1, 6)
    captions = grammar.captions(things, rng, number)
    assert 1 <= len(captions) <= number
    assert len({caption.text for caption in captions}) == len(captions)
    for caption in captions:
        assert set(caption.words) <= set(grammar.words)
        said = grammar.parse(caption.text)
        readings = true_readings(said.phrases, said.relations, things)
        assert readings and grammar.check(caption.text, things).true
        assert grammar.link(caption.text, things) == caption
        named = [frozenset().union(*groups) for groups in zip(*readings)]
        assert caption.things == tuple(frozenset() if k < 0 else named[k] for k in said.names)
        assert len(readings) == 1 or not said.relations
        assert all(phrase.colour for phrase in said.phrases) == bool(grammar.colours)


@every_grammar
@quick
@given(seed=seeds)
def test_a_relation_is_said_wherever_there_is_one(grammar, seed):
    rng = random.Random(seed)
    things = scene(grammar, rng, smallest=2)
    kinds = {(thing.noun, thing.colour) for thing in things}
    related = any(
        is_placed(a, relation, b) for a in things for b in things for relation in RELATIONS
    )
    for caption in grammar.captions(things, rng, 3):
        said = grammar.parse(caption.text)
        if len(kinds) == len(things):  # no two alike: every pair can be told apart
            assert bool(said.relations) == related
        if len(kinds) == 1 and not grammar.sizes and not is_bare(grammar, things[0].noun):
            assert said.phrases[0].number == len(things)  # counted, not related


def test_the_captions_depend_on_the_generator_alone():
    first = shapes.captions(SCENE, random.Random(1), 5)
    random.seed(3)  # the global generator has no say
    assert shapes.captions(SCENE, random.Random(1), 5) == first
    assert shapes.captions(SCENE, random.Random(2), 5) != first
    again = pickle.loads(pickle.dumps(shapes))  # as it goes to a worker
    assert again.captions(SCENE, random.Random(1), 5) == first


def test_size_and_texture_are_named_half_of_the_time():
    ring = (Thing("ring", 9, 9, colour="red", size="small", texture="striped"),)
    rng, count = random.Random(0), 4000
    said = Counter(shapes.captions(ring, rng)[0].text for _ in range(count))
    assert set(said) == {
        "a red ring",
        "a small red ring",
        "a striped red ring",
        "a small striped red ring",
    }
    for text in said:  # five standard errors about a quarter
        assert abs(said[text] / count - 0.25) < 5 * (0.25 * 0.75 / count) ** 0.5


def test_relations_are_drawn_alike_and_second_ones_as_often_as_asked():
    things = (Thing("ring", 8, 8, colour="red"), Thing("star", 40, 40, colour="blue"))
    rng, count = random.Random(0), 4000
    said = Counter(
        shapes.parse(shapes.captions(things, rng)[0].text).relations for _ in range(count)
    )
    assert set(said) == {(relation,) for relation in RELATIONS}
    for relation in said:
        assert abs(said[relation] / count - 0.25) < 5 * (0.25 * 0.75 / count) ** 0.5
    # the first of a row and a column has a second relation to say, whichever is said first
    corner = _tiles("bananas", "avocado", "garlic")
    texts = [groceries.captions(corner, rng)[0].text for _ in range(count)]
    of_corner = [text for text in texts if text.startswith("bananas")]
    share = sum(" and " in text for text in of_corner) / len(of_corner)
    assert abs(share - 0.5) < 5 * 0.5 / len(of_corner) ** 0.5
    assert all(text.count("left of") < 2 for text in texts)  # the second is of another name
    row = [Thing(noun, 9 * k, 0) for k, noun in enumerate(("bananas", "avocado", "garlic"))]
    for _ in range(100):
        (caption,) = groceries.captions(row, rng)
        assert max(Counter(groceries.parse(caption.text).relations).values()) == 1


def test_no_caption_is_much_likelier_than_the_rest():
    """A model that says the most likely caption has learned more than one sentence."""
    things = SCENE[:4]
    rng = random.Random(0)
    said = Counter(shapes.captions(things, rng)[0].text for _ in range(3000))
    assert max(said.values()) / 3000 < 0.05
    assert len(said) > 50


def test_equal_things_are_counted():
    rings = tuple(Thing("ring", 9 * k, 9 * k, colour="red") for k in range(6))
    rng = random.Random(0)
    assert [c.text for c in shapes.captions(rings[:3], rng, 9)] == ["three red rings"]
    assert [c.text for c in shapes.captions(rings[:2], rng, 9)] == ["two red rings"]
    assert shapes.check("two rings", rings).wrong == ("there are 6 rings, not two",)
    assert shapes.check("two rings", rings[:3]).wrong == ("there are three rings, not two",)
    for caption in shapes.captions(rings, rng, 5):  # six: there is no word for so many
        assert shapes.link(caption.text, rings) == caption
    star = Thing("star", 60, 0, colour="red")
    texts = {c.text for c in shapes.captions((*rings[:2], star), rng, 20)}
    assert texts == {"two red rings left of a red star", "a red star right of two red rings"} | (
        {"two red rings below a red star", "a red star above two red rings"} & texts
    )


def test_one_of_two_alike_is_told_by_its_place():
    """A star between two rings: no relation holds for both, but each is told by its own."""
    things = tuple(
        Thing(noun, x, 9, colour="red") for noun, x in (("ring", 9), ("star", 20), ("ring", 31))
    )
    captions = shapes.captions(things, random.Random(0), 9)
    assert {caption.text: sorted(caption.things[2]) for caption in captions} == {
        "a red ring left of a red star": [0],
        "a red star right of a red ring": [1],
        "a red ring right of a red star": [2],
        "a red star left of a red ring": [1],
        "a red ring left of a red ring": [0],
        "a red ring right of a red ring": [2],
    }


def test_things_too_close_for_a_relation_are_named_alone():
    things = Thing("ring", 9, 9, colour="red"), Thing("star", 10, 10, colour="blue")
    captions = shapes.captions(things, random.Random(0), 9)
    assert {caption.text for caption in captions} == {"a red ring", "a blue star"}


@pytest.mark.parametrize(
    "thing, match",
    [
        (Thing("hexagon", 0, 0), "thing 1 is a 'hexagon'"),
        (Thing("ring", 0, 0, colour="pink"), "thing 1 is 'pink'"),
        (Thing("ring", 0, 0, size="red"), "thing 1 is 'red'"),
    ],
)
def test_things_that_have_no_words_are_refused(thing, match):
    with pytest.raises(ValueError, match=match):
        shapes.captions((SCENE[0], thing), random.Random(0))
    with pytest.raises(ValueError, match="no thing to speak of"):
        shapes.captions((), random.Random(0))


# Words ----------------------------------------------------------------------------------------


def test_the_words_are_those_that_captions_have():
    rng = random.Random(0)
    for grammar in (small, groceries):
        said = set()
        for _ in range(1000):
            few = scene(grammar, rng)
            few = few[:1] * rng.randint(3, 4) if rng.random() < 0.05 else few  # four alike are rare
            said.update(chain.from_iterable(c.words for c in grammar.captions(few, rng, 2)))
        assert said == set(grammar.words)
        assert len(set(grammar.words)) == len(grammar.words)
    assert "and" not in shapes.words and "and" in digits.words
    assert "an" not in Grammar({"ring": "rings"}).words
    assert Grammar({"garlic": ""}, relations=("above",)).words == ("garlic", "above")


@every_grammar
def test_each_word_is_one_token(grammar):
    rng = random.Random(0)
    texts = [c.text for _ in range(2000) for c in grammar.captions(scene(grammar, rng), rng)]
    tokenizer = Tokenizer.train([*texts, *grammar.words, *grammar.words], vocab_size=600)
    for word in grammar.words:
        assert tokenizer.tokens(tokenizer.encode(word)) == ["▁" + word]
    caption = grammar.captions(scene(grammar, rng), rng)[0]
    assert len(tokenizer.encode(caption.text)) == len(caption.words)
    assert tokenizer.decode(tokenizer.encode(caption.text)) == caption.text


# Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "^empty caption$"),
        (" . ", "^empty caption$"),
        ("a purpel ring", '^"purpel" is no word of the grammar; near it: "purple"$'),
        ("a red xylophone", '^"xylophone" is no word of the grammar$'),
        ("a small red", '^incomplete caption: a noun must follow "red"$'),
        ("a", '^incomplete caption: a noun must follow "a"$'),
        ("a ring left", '^incomplete caption: "of" must follow "left"$'),
        ("a ring left of", '^incomplete caption: a thing must follow "of"$'),
        ("a ring left a square", '^"of" must follow "left", not "a"$'),
        ("a ring a square", '^"a" cannot follow "ring": one of left of, right of, above, below'),
        ("a red small ring", r'^"small" cannot follow "red" \(the order is size, texture, colour'),
        ("a red red ring", '^"red" cannot follow "red"'),
        ("two ring", '^after "two" comes "rings", not "ring"$'),
        ("a rings", '^after "a" comes "ring", not "rings"$'),
        ("an ring", '^"an ring": it is "a ring"$'),
        ("a orange ring", '^"a orange": it is "an orange"$'),
        ("red ring", '^"a" or a number is missing before "ring"$'),
        ("left of a ring", '^a caption cannot begin with "left"$'),
        ("two a ring", '^"a" cannot follow "two"$'),
        ("a ring above a star above a cross", '^"above" cannot follow "star"$'),
    ],
)
def test_captions_outside_the_grammar(text, match):
    with pytest.raises(GrammarError, match=match):
        shapes.parse(text)
    verdict = shapes.check(text, SCENE)
    assert not verdict.parses and not verdict.true and verdict.kinds == ("grammar",)
    assert re.search(match, verdict.wrong[0])
    assert shapes.link(text, SCENE) is None


@pytest.mark.parametrize(
    "text, match",
    [
        ("a bananas", '^"bananas" takes no "a"$'),
        ("two bananas", '^"bananas" takes no "two"$'),
        ("two garlic", '^"garlic" takes no "two"$'),
        ("bananas above garlic and", '^incomplete caption: a relation must follow "and"$'),
        ("bananas above garlic left of carrots", '^"left" cannot follow "garlic"$'),
        ("bananas above garlic and left of carrots and below garlic", "two are the most"),
        ("a red", '^incomplete caption: "pepper" must follow "red"$'),
        ("a red orange", '^"pepper" must follow "red", not "orange"$'),
        ("banana", '^"banana" is no word of the grammar; near it: "bananas"'),
    ],
)
def test_captions_outside_the_grammar_of_groceries(text, match):
    with pytest.raises(GrammarError, match=match):
        groceries.parse(text)


@settings(max_examples=500, deadline=None)
@given(words=st.lists(st.sampled_from([*small.words, "rnig", ".", "Ring"]), max_size=9))
def test_any_heap_of_words_is_read_or_refused(words):
    text = " ".join(words)
    verdict = small.check(text, (Thing("ring", 0, 0), Thing("square", 9, 9, colour="red")))
    assert verdict.true == (not verdict.wrong)
    if verdict.parses:  # what is read is written the same way
        said = small.parse(text)
        assert tuple(written(small, said.phrases, said.relations)[0]) == said.words
    else:
        with pytest.raises(GrammarError):
            small.parse(text)


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"nouns": {}}, "at least one noun"),
        ({"nouns": {"ring": "rings", "rings": "ringses"}}, "'rings' is in the lexicon twice"),
        ({"nouns": {"Ring": "rings"}}, "lower-case"),
        ({"nouns": {"": "rings"}}, "lower-case"),
        ({"nouns": {"ring": "rings"}, "colours": ("red", "red")}, "'red' is in the lexicon twice"),
        ({"nouns": {"ring": "rings"}, "colours": ("dark red",)}, "must be one word"),
        ({"nouns": {"ring": "rings"}, "relations": ("near",)}, "unknown relation 'near'"),
        ({"nouns": {"ring": "rings"}, "margin": -1}, "margin must be 0 or more"),
        ({"nouns": {"ring": "rings"}, "margin": float("nan")}, "margin must be 0 or more"),
        ({"nouns": {"ring": "rings"}, "second": 1.5}, "second must be from 0 to 1"),
        (
            {"nouns": {"pepper": "peppers", "red pepper": "red peppers"}, "colours": ("red",)},
            "'red pepper' is a noun, and 'pepper' with the adjective 'red'",
        ),
        ({"nouns": {"two": ""}}, "would be read as the number or article 'two'"),
    ],
)
def test_lexicons_that_make_no_grammar(arguments, match):
    with pytest.raises(ValueError, match=match):
        Grammar(**arguments)


# Speed ----------------------------------------------------------------------------------------


def test_a_check_takes_well_under_a_millisecond():
    """About 15 microseconds on an idle core; the limit leaves room for a busy one."""
    rng = random.Random(0)
    seen = [scene(shapes, rng) for _ in range(500)]
    texts = [shapes.captions(things, rng)[0].text for things in seen]
    start = time.process_time()
    for things, right, wrong in zip(seen, texts, texts[1:] + texts[:1]):
        assert shapes.check(right, things).true
        shapes.check(wrong, things)
    assert time.process_time() - start < 1000 * 0.5e-3

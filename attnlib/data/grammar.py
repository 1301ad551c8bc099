"""Captions of things at places: said, read, and held against the truth.

A `Grammar` says what is seen in a few words ("two green crosses below a small red ring"), reads
such a caption back, and tells whether it is true of the things, and what is false when it is not.
It knows nouns, adjectives and centres, and no pixels. Generated scenes and mosaics of photographs
share it, each with its own lexicon.

::

    caption  = phrase | phrase relation phrase | phrase relation phrase "and" relation phrase
    phrase   = ("a" | "an" | number | nothing) [size] [texture] [colour] noun
    relation = "left of" | "right of" | "above" | "below"

What a caption means:

- A phrase may name any thing that has its noun and every adjective it gives; what it does not
  give is left open, so "a ring" may be a small red one.
- "a ring" is one such thing, where there is at least one. "two rings" are all of them, and there
  are exactly two. A noun without an article ("bananas", "garlic") is read as "a" would be.
- A relation compares centres: a thing is left of another if it is more than `margin` pixels to its
  left; above and below likewise, so a thing may be left of another and above it. Between groups it
  must hold for each thing of the one and each of the other.
- Both relations of a caption are said of its first phrase, and different phrases name different
  things.
- A caption is true if there is a *reading*: a choice of things for each phrase such that all of
  this holds.
"""

import difflib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product

RELATIONS = {  # the centre that is compared, and the sign of (second - first) that makes it true
    "left of": ("x", 1),
    "right of": ("x", -1),
    "above": ("y", 1),  # y points down
    "below": ("y", -1),
}
NUMBERS = ("two", "three", "four")
ADJECTIVES = ("size", "texture", "colour")  # in the order in which they are said
TRIES = 8  # draws of adjectives before the sampler settles for less
PATIENCE = 20  # draws in a row that bring no new caption before the sampler stops

_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Thing:
    """Something to be seen: what it is, and where.

    `x` and `y` are the centre in pixels, y downwards; `radius` is in pixels and `angle` in degrees.
    An empty `colour`, `size` or `texture` is one that has no name. `image` is the number of a
    photograph, -1 where there is none. Captions depend on noun, adjectives and centre alone.
    """

    noun: str
    x: float
    y: float
    radius: float = 0.0
    colour: str = ""
    size: str = ""
    texture: str = ""
    angle: float = 0.0
    image: int = -1


@dataclass(frozen=True)
class Caption:
    """The words of a caption, and for each word the indices of the things that it names.

    Nouns, adjectives and numbers name things; articles, relations and "and" name none.
    """

    words: tuple[str, ...]
    things: tuple[frozenset[int], ...]

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Phrase:
    """What a caption says of one thing or one group; `number` 0 is "a": at least one."""

    number: int
    noun: str
    size: str = ""
    texture: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Statement:
    """A caption that was read: `relations[k]` holds between `phrases[0]` and `phrases[k + 1]`.

    `names` gives for each word the phrase whose things it names, or -1.
    """

    words: tuple[str, ...]
    phrases: tuple[Phrase, ...]
    relations: tuple[str, ...]
    names: tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether a caption is of the grammar, whether it is true, and what is wrong, in words.

    `kinds` says of each entry of `wrong` what it is about: "grammar", "thing" (there is none),
    "number" or "relation".
    """

    parses: bool
    true: bool
    wrong: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


class GrammarError(ValueError):
    """A caption that is not of the grammar; the message names the word and says what is missing."""


class Grammar:
    """A lexicon, and how its captions are sampled, read and checked.

    Parameters
    ----------
    nouns : mapping of str to str
        Each noun and its plural. A noun that is its own plural (``"bananas": "bananas"``) or has
        none (``"garlic": ""``) takes no article and no number. A noun may be two words.
    colours, sizes, textures : sequence of str
        Adjectives, one word each. A thing without one has the empty string, which is never said.
    relations : sequence of str
        Those of `RELATIONS` that captions use.
    margin : float
        Two centres must be more than this many pixels apart for a relation to hold.
    numbers : sequence of str
        Words for two, three and so on; larger groups are not spoken of.
    second : float
        How often a sampled caption says a second relation where there is one to say. With 0, "and"
        is no word of the grammar.

    Attributes
    ----------
    words : tuple of str
        Every word that a caption may have, each once.

    Raises
    ------
    ValueError
        If there is no noun, a word of the lexicon is given twice or could be read in two ways, a
        relation is unknown, `margin` is negative or `second` is no probability.

    Examples
    --------
    >>> grammar = Grammar({"ring": "rings", "cross": "crosses"}, ("red", "green"), margin=4)
    >>> things = (Thing("ring", 40, 9, colour="red"), Thing("cross", 12, 30, colour="green"))
    >>> [caption.text for caption in grammar.captions(things, random.Random(0), number=2)]
    ['a green cross below a red ring', 'a red ring above a green cross']
    >>> grammar.check("two green crosses left of a ring", things).wrong
    ('there is one green cross, not two',)
    >>> grammar.check("a ring left of a cross", things).wrong
    ('the ring is right of the cross, not left of it',)
    """

    def __init__(
        self,
        nouns: Mapping[str, str],
        colours: Sequence[str] = (),
        sizes: Sequence[str] = (),
        textures: Sequence[str] = (),
        relations: Sequence[str] = tuple(RELATIONS),
        margin: float = 0.0,
        numbers: Sequence[str] = NUMBERS,
        second: float = 0.0,
    ):
        self.nouns = dict(nouns)
        self.colours, self.sizes, self.textures = tuple(colours), tuple(sizes), tuple(textures)
        self.relations, self.margin = tuple(relations), float(margin)
        self.numbers, self.second = tuple(numbers), float(second)
        self._refuse_bad_lexicon()
        self._slot = {  # adjective: its place in ADJECTIVES
            word: slot
            for slot, kind in enumerate((self.sizes, self.textures, self.colours))
            for word in kind
        }
        self._count = {word: n for n, word in enumerate(self.numbers, start=2)}
        self._forms: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}  # by their first word
        for noun, plural in self.nouns.items():
            kinds = [(noun, "one"), (plural, "many")] if self._counted(noun) else [(noun, "bare")]
            for form, kind in kinds:
                words = tuple(form.split())
                self._forms.setdefault(words[0], []).append((words, noun, kind))
        for forms in self._forms.values():
            forms.sort(key=lambda form: -len(form[0]))  # "red pepper" before "red"
        self.words = self._all_words()
        self._known = frozenset(self.words)

    def _refuse_bad_lexicon(self):
        if not self.nouns:
            raise ValueError("a grammar needs at least one noun")
        adjectives = [*self.sizes, *self.textures, *self.colours]
        plurals = [plural for noun, plural in self.nouns.items() if self._counted(noun)]
        for kind, words in (("adjective", adjectives), ("noun", [*self.nouns, *plurals])):
            for i, word in enumerate(words):
                if not word or word != " ".join(word.lower().split()):
                    raise ValueError(f"{kind} {word!r}: lower-case words with single spaces")
                if word in words[:i]:
                    raise ValueError(f"{kind} {word!r} is in the lexicon twice")
        for word in adjectives:
            if " " in word:
                raise ValueError(f"adjective {word!r} must be one word")
        for noun in self.nouns:
            first, _, rest = noun.partition(" ")
            if first in adjectives and rest in self.nouns:
                raise ValueError(f"{noun!r} is a noun, and {rest!r} with the adjective {first!r}")
            if not self._counted(noun) and first in ("a", "an", *self.numbers):
                raise ValueError(f"noun {noun!r} would be read as the number or article {first!r}")
        for relation in self.relations:
            if relation not in RELATIONS:
                raise ValueError(f"unknown relation {relation!r}: one of {', '.join(RELATIONS)}")
        if not self.margin >= 0:
            raise ValueError(f"margin must be 0 or more, got {self.margin}")
        if not 0 <= self.second <= 1:
            raise ValueError(f"second must be from 0 to 1, got {self.second}")

    def _counted(self, noun: str) -> bool:
        """Whether the noun takes an article and a number."""
        return self.nouns[noun] not in ("", noun)

    def _all_words(self) -> tuple[str, ...]:
        counted = [noun for noun in self.nouns if self._counted(noun)]
        after_article = [*self._slot, *(noun.split()[0] for noun in counted)]
        words = [_article(word) for word in after_article] if counted else []
        words = sorted(set(words)) + list(self.numbers if counted else ())
        words += self._slot
        for noun, plural in self.nouns.items():
            words += noun.split() + plural.split()
        for relation in self.relations:
            words += relation.split()
        return tuple(dict.fromkeys([*words, "and"] if self.second else words))

    # Reading ----------------------------------------------------------------------------------

    def parse(self, text: str) -> Statement:
        """Read a caption; letter case and a final full stop do not matter.

        Raises
        ------
        GrammarError
            If it is empty, has a word outside the grammar (named, with the known words near it), is
            incomplete, or has a word where it cannot stand.

        Examples
        --------
        >>> grammar = Grammar({"ring": "rings"}, ("red", "purple"))
        >>> grammar.parse("two red rings").phrases
        (Phrase(number=2, noun='ring', size='', texture='', colour='red'),)
        >>> grammar.parse("a purpel ring")
        Traceback (most recent call last):
        attnlib.data.grammar.GrammarError: "purpel" is no word of the grammar; near it: "purple"
        """
        words = tuple(text.lower().strip().removesuffix(".").split())
        if not words:
            raise GrammarError("empty caption")
        for word in words:
            if word not in self._known:
                near = difflib.get_close_matches(word, self.words)
                hint = "; near it: " + ", ".join(f'"{w}"' for w in near) if near else ""
                raise GrammarError(f'"{word}" is no word of the grammar{hint}')
        names = [-1] * len(words)
        phrase, i = self._parse_phrase(words, 0, names, 0)
        phrases = [phrase]
        relations: list[str] = []
        while i < len(words):
            if relations:
                if len(relations) == 2:
                    raise GrammarError(f'"{words[i]}" after a second relation: two are the most')
                if words[i] != "and":
                    raise GrammarError(f'"{words[i]}" cannot follow "{words[i - 1]}"')
                i += 1
            relation, i = self._parse_relation(words, i)
            phrase, i = self._parse_phrase(words, i, names, len(phrases))
            phrases.append(phrase)
            relations.append(relation)
        return Statement(words, tuple(phrases), tuple(relations), tuple(names))

    def _parse_relation(self, words: tuple[str, ...], i: int) -> tuple[str, int]:
        if i == len(words):
            raise GrammarError(f'incomplete caption: a relation must follow "{words[-1]}"')
        for relation in self.relations:
            parts = tuple(relation.split())
            found = words[i : i + len(parts)]
            if found == parts:
                return relation, i + len(parts)
            if found[0] == parts[0]:
                if len(found) < len(parts):
                    raise GrammarError(f'incomplete caption: "{parts[1]}" must follow "{parts[0]}"')
                raise GrammarError(f'"{parts[1]}" must follow "{parts[0]}", not "{found[1]}"')
        raise GrammarError(
            f'"{words[i]}" cannot follow "{words[i - 1]}": one of {", ".join(self.relations)} can'
        )

    def _parse_phrase(
        self, words: tuple[str, ...], start: int, names: list[int], index: int
    ) -> tuple[Phrase, int]:
        """Read the phrase at `start`; enter its words into `names`; return it and its end."""
        if start == len(words):
            raise GrammarError(f'incomplete caption: a thing must follow "{words[-1]}"')
        i, number, kind = start, 0, "bare"
        intro = words[i]
        if intro in ("a", "an"):
            kind, i = "one", i + 1
        elif intro in self._count:
            kind, number, i = "many", self._count[intro], i + 1
        first = i if kind != "many" else start  # the first word that names things
        adjectives = ["", "", ""]
        last = -1
        while i < len(words) and (slot := self._slot.get(words[i], -1)) > last:
            adjectives[slot], last, i = words[i], slot, i + 1
        form = self._noun_at(words, i)
        if form is None and last >= 0 and (form := self._noun_at(words, i - 1)) is not None:
            adjectives[last], i = "", i - 1  # "an orange": the colour is the noun here
        if form is None:
            self._refuse_no_noun(words, i)
        noun_words, noun, found = form
        if found != kind:
            self._refuse_form(intro, noun, " ".join(noun_words), kind, found)
        if kind == "one" and intro != _article(words[start + 1]):
            right = f"{_article(words[start + 1])} {words[start + 1]}"
            raise GrammarError(f'"{intro} {words[start + 1]}": it is "{right}"')
        end = i + len(noun_words)
        names[first:end] = [index] * (end - first)
        return Phrase(number, noun, *adjectives), end

    def _noun_at(self, words, i):
        """The longest form of a noun that stands at position i, or None."""
        if i < len(words):
            for form in self._forms.get(words[i], ()):
                if words[i : i + len(form[0])] == form[0]:
                    return form
        return None

    def _refuse_no_noun(self, words, i):
        if i == len(words):
            raise GrammarError(f'incomplete caption: a noun must follow "{words[-1]}"')
        if i == 0:
            raise GrammarError(f'a caption cannot begin with "{words[0]}"')
        for parts, _, _ in self._forms.get(words[i], ())[:1]:  # the first words of a longer noun
            n = next(n for n, part in enumerate(parts) if words[i + n : i + n + 1] != (part,))
            if i + n == len(words):
                raise GrammarError(f'incomplete caption: "{parts[n]}" must follow "{parts[n - 1]}"')
            raise GrammarError(f'"{parts[n]}" must follow "{parts[n - 1]}", not "{words[i + n]}"')
        order = ", ".join(ADJECTIVES)
        hint = f" (the order is {order}, noun)" if words[i] in self._slot else ""
        raise GrammarError(f'"{words[i]}" cannot follow "{words[i - 1]}"{hint}')

    def _refuse_form(self, intro, noun, found_text, kind, found):
        if found == "bare":
            raise GrammarError(f'"{noun}" takes no "{intro}"')
        if kind == "bare":
            raise GrammarError(f'"a" or a number is missing before "{found_text}"')
        right = noun if kind == "one" else self.nouns[noun]
        raise GrammarError(f'after "{intro}" comes "{right}", not "{found_text}"')

    # Truth ------------------------------------------------------------------------------------

    def check(self, text: str, things: Sequence[Thing]) -> Verdict:
        """Whether a caption is of the grammar and true of the things, and what is false if not.

        Every phrase that names nothing, or the wrong number, is reported; so is every relation
        that fails between phrases that are right by themselves.
        """
        try:
            statement = self.parse(text)
        except GrammarError as error:
            return Verdict(False, False, (str(error),), ("grammar",))
        if next(self._readings(statement, things), None) is not None:
            return Verdict(True, True)
        faults = dict.fromkeys(self._faults(statement, things))  # in order, each once
        wrong, kinds = zip(*faults)
        return Verdict(True, False, wrong, kinds)

    def link(self, text: str, things: Sequence[Thing]) -> Caption | None:
        """The caption with the things that each word names; None if it is not true or not read.

        Where a caption has several readings ("a ring" of two), a word names the things of all of
        them: pointing at either is right. A caption from `captions` that was not the last resort
        has one reading only.
        """
        try:
            statement = self.parse(text)
        except GrammarError:
            return None
        return self._link(statement, things)

    def _link(self, statement: Statement, things: Sequence[Thing]) -> Caption | None:
        readings = list(self._readings(statement, things))
        if not readings:
            return None
        named = [frozenset().union(*groups) for groups in zip(*readings)]
        none: frozenset[int] = frozenset()
        return Caption(
            statement.words, tuple(named[k] if k >= 0 else none for k in statement.names)
        )

    def _readings(
        self, statement: Statement, things: Sequence[Thing]
    ) -> Iterator[tuple[tuple[int, ...], ...]]:
        """Every choice of groups, one a phrase, of which the statement is true."""
        candidates = [self._groups(phrase, things) for phrase in statement.phrases]
        for first in candidates[0]:
            others = [
                [group for group in groups if self._holds(first, relation, group, things)]
                for relation, groups in zip(statement.relations, candidates[1:])
            ]
            for rest in product(*others):
                if all(set(one).isdisjoint(other) for one, other in combinations(rest, 2)):
                    yield (first, *rest)

    def _groups(self, phrase: Phrase, things: Sequence[Thing]) -> list[tuple[int, ...]]:
        """The groups that a phrase may name: each thing that fits, or all if as many as said."""
        fits = _fitting(phrase, things)
        if not phrase.number:
            return [(i,) for i in fits]
        return [tuple(fits)] if len(fits) == phrase.number else []

    def _holds(self, first, relation, second, things) -> bool:
        """Whether each thing of the first group is so placed to each of the second."""
        axis, sign = RELATIONS[relation]
        here = [sign * getattr(things[i], axis) for i in first]
        there = [sign * getattr(things[i], axis) for i in second]
        return min(there) - max(here) > self.margin

    # What is false ----------------------------------------------------------------------------

    def _faults(self, statement: Statement, things) -> Iterator[tuple[str, str]]:
        """What is false, and of which kind, for a statement without a reading."""
        fits = [_fitting(phrase, things) for phrase in statement.phrases]
        groups = [self._groups(phrase, things) for phrase in statement.phrases]
        for phrase, found, candidates in zip(statement.phrases, fits, groups):
            if not candidates:
                yield self._miscount(phrase, len(found))
        failed = not all(groups)
        for k, relation in enumerate(statement.relations, start=1):
            if not groups[0] or not groups[k]:
                continue
            if not any(
                self._holds(one, relation, other, things)
                for one in groups[0]
                for other in groups[k]
            ):
                failed = True
                pair = statement.phrases[0], statement.phrases[k]
                yield self._misplaced(pair, relation, groups[0], groups[k], things)
        if not failed:  # each relation holds by itself: the two do not hold together
            yield self._at_odds(statement, groups, things)

    def _miscount(self, phrase: Phrase, found: int) -> tuple[str, str]:
        if not found:
            plural = self.nouns[phrase.noun] == phrase.noun
            return f"there {'are' if plural else 'is'} no {self._describe(phrase)}", "thing"
        said = self.numbers[phrase.number - 2]
        return f"there {self._so_many(phrase, found)}, not {said}", "number"

    def _so_many(self, phrase: Phrase, number: int, only: str = "") -> str:
        """Such as "are two green crosses", "is only one ring"."""
        if number == 1:
            return f"is {only}one {self._describe(phrase)}"
        word = self.numbers[number - 2] if number - 2 < len(self.numbers) else str(number)
        return f"are {only}{word} {self._describe(phrase, many=True)}"

    def _misplaced(self, pair, relation, firsts, seconds, things) -> tuple[str, str]:
        """Two phrases that each name something, but nothing so placed."""
        if all(set(one) & set(other) for one in firsts for other in seconds):
            wider = max(pair, key=lambda phrase: len(_fitting(phrase, things)))
            number = len(_fitting(wider, things))
            if self._counted(wider.noun):
                return f"there {self._so_many(wider, number, 'only ')}", "number"
        if len(firsts) > 1:
            second = self._the(pair[1], seconds[0], things) if len(seconds) == 1 else None
            second = second or self._spoken(pair[1])
            verb = "are" if self.nouns[pair[0].noun] == pair[0].noun else "is"
            return f"no {self._describe(pair[0])} {verb} {relation} {second}", "relation"
        first, plural = self._the(pair[0], firsts[0], things), self._is_many(pair[0])
        verb = "are" if plural else "is"
        some = any(
            self._holds((i,), relation, (j,), things)
            for i in firsts[0]
            for group in seconds
            for j in group
        )
        if len(seconds) > 1:
            if some:
                same = f"the same {self._describe(pair[1])}"
                return f"{first} {verb} not all {relation} {same}", "relation"
            return f"{first} {verb} not {relation} {self._spoken(pair[1])}", "relation"
        second = self._the(pair[1], seconds[0], things)
        opposite = _OPPOSITE[relation]
        for instead in (opposite, *(r for r in RELATIONS if r not in (relation, opposite))):
            if self._holds(firsts[0], instead, seconds[0], things):
                it = "them" if self._is_many(pair[1]) else "it"
                return f"{first} {verb} {instead} {second}, not {relation} {it}", "relation"
        if some and len(firsts[0]) == 1:
            return f"{first} {verb} not {relation} all {second}", "relation"
        return f"{first} {verb} not {'all ' if some else ''}{relation} {second}", "relation"

    def _at_odds(self, statement: Statement, groups, things) -> tuple[str, str]:
        first, *rest = statement.phrases
        said = [f"{r} {self._spoken(phrase)}" for r, phrase in zip(statement.relations, rest)]
        if len(groups[0]) > 1:
            verb = "are" if self.nouns[first.noun] == first.noun else "is"
            return f"no {self._describe(first)} {verb} both {said[0]} and {said[1]}", "relation"
        one, other = (self._spoken(phrase) for phrase in rest)
        return f'"{one}" and "{other}" would be the same thing', "number"

    def _is_many(self, phrase: Phrase) -> bool:
        return phrase.number > 1 or self.nouns[phrase.noun] == phrase.noun

    def _describe(self, phrase: Phrase, many: bool = False) -> str:
        """Adjectives and noun."""
        noun = self.nouns[phrase.noun] if many else phrase.noun
        return " ".join(w for w in (phrase.size, phrase.texture, phrase.colour, noun) if w)

    def _spoken(self, phrase: Phrase) -> str:
        """The phrase as a caption says it."""
        text = self._describe(phrase, many=phrase.number > 1)
        if phrase.number:
            return f"{self.numbers[phrase.number - 2]} {text}"
        return f"{_article(text.split()[0])} {text}" if self._counted(phrase.noun) else text

    def _the(self, phrase: Phrase, group, things) -> str:
        """ "the ring", with adjectives only where the noun alone could be something else."""
        alone = Phrase(phrase.number, phrase.noun)
        clear = _fitting(alone, things) == list(group)
        return f"the {self._describe(alone if clear else phrase, many=phrase.number > 1)}"

    # Saying -----------------------------------------------------------------------------------

    def captions(
        self, things: Sequence[Thing], rng: random.Random, number: int = 1
    ) -> list[Caption]:
        """Sample true captions, all different; fewer where `PATIENCE` draws bring no new one.

        For each thing its colour is named and, by the toss of a coin each, its size and texture.
        All things that fit the same words are one group, spoken of with their number, so that "a"
        is said where there is just one. Of all relations that hold between two groups one is drawn,
        each as likely; with probability `second` the first group gets another, of another name.
        Things that all fit the same words are counted without a relation ("two red rings"). Where
        the words drawn leave no relation to say, they are drawn anew; then one of several equal
        things may be named by its place ("a red ring left of a star", where another is right of it)
        if that leaves one reading; the last resort is a phrase alone.

        Raises
        ------
        ValueError
            If there is no thing, or one with a word that the grammar does not have.
        """
        self._refuse_unknown(things)
        found: dict[tuple[str, ...], Caption] = {}
        in_vain = 0
        while len(found) < number and in_vain < PATIENCE:
            caption = self._caption(things, rng)
            in_vain = in_vain + 1 if caption.words in found else 0
            found[caption.words] = caption
        return list(found.values())

    def _refuse_unknown(self, things: Sequence[Thing]):
        if not things:
            raise ValueError("there is no thing to speak of")
        for i, thing in enumerate(things):
            if thing.noun not in self.nouns:
                raise ValueError(f"thing {i} is a {thing.noun!r}, no noun of the grammar")
            kinds = (thing.size, self.sizes), (thing.texture, self.textures)
            for word, known in (*kinds, (thing.colour, self.colours)):
                if word and word not in known:
                    raise ValueError(f"thing {i} is {word!r}, no such adjective in the grammar")

    def _caption(self, things: Sequence[Thing], rng: random.Random) -> Caption:
        tossed = any(thing.size or thing.texture for thing in things)
        tries = TRIES if tossed else 1  # without a coin to toss every draw is the same
        for relate in (self._relate, self._single_out):
            for _ in range(tries):
                phrases = [self._draw_phrase(thing, rng) for thing in things]
                groups = [tuple(_fitting(phrase, things)) for phrase in phrases]
                if len(groups[0]) == len(things) and self._can_say(phrases[0], groups[0]):
                    return self._say([(phrases[0], groups[0])], [])
                caption = relate(phrases, groups, things, rng)
                if caption:
                    return caption
        i = rng.randrange(len(things))
        phrase = self._draw_phrase(things[i], rng)
        return self._say([(phrase, tuple(_fitting(phrase, things)))], [])

    def _draw_phrase(self, thing: Thing, rng: random.Random) -> Phrase:
        size = thing.size if rng.random() < 0.5 else ""
        texture = thing.texture if rng.random() < 0.5 else ""
        return Phrase(0, thing.noun, size, texture, thing.colour)

    def _can_say(self, phrase: Phrase, group: tuple[int, ...]) -> bool:
        """Whether there is a word for that many."""
        if len(group) == 1:
            return True
        return self._counted(phrase.noun) and len(group) <= len(self.numbers) + 1

    def _relate(self, phrases, groups, things, rng) -> Caption | None:
        """A relation between two whole groups, or None if there is none."""
        able = [i for i, phrase in enumerate(phrases) if self._can_say(phrase, groups[i])]
        true = [
            (i, relation, j)
            for i in able
            for j in able
            if i != j
            for relation in self.relations
            if self._holds(groups[i], relation, groups[j], things)
        ]
        if not true:
            return None
        i, relation, j = rng.choice(true)
        said, relations = [i, j], [relation]
        if self.second and rng.random() < self.second:
            more = [
                (other, k)
                for first, other, k in true
                if first == i and other != relation and set(groups[k]).isdisjoint(groups[j])
            ]
            if more:
                other, k = rng.choice(more)
                said.append(k)
                relations.append(other)
        return self._say([(phrases[k], groups[k]) for k in said], relations)

    def _single_out(self, phrases, groups, things, rng) -> Caption | None:
        """A relation between two things, one of several equal ones, that has one reading only."""
        pairs = list(permutations(range(len(things)), 2))
        placed = {
            r: {p for p in pairs if self._holds(p[:1], r, p[1:], things)} for r in self.relations
        }
        clear = [
            (i, relation, j)
            for i, j in pairs
            for relation in self.relations
            if placed[relation].intersection(product(groups[i], groups[j])) == {(i, j)}
        ]
        if not clear:
            return None
        i, relation, j = rng.choice(clear)
        return self._say([(phrases[i], (i,)), (phrases[j], (j,))], [relation])

    def _say(self, parts: list[tuple[Phrase, tuple[int, ...]]], relations: list[str]) -> Caption:
        words: list[str] = []
        named: list[frozenset[int]] = []
        none: frozenset[int] = frozenset()
        for k, (phrase, group) in enumerate(parts):
            if k:
                between = ("and " if k > 1 else "") + relations[k - 1]
                words += between.split()
                named += [none] * (len(words) - len(named))
            many = len(group) > 1 and self._can_say(phrase, group)
            text = self._describe(phrase, many).split()
            if many:
                text.insert(0, self.numbers[len(group) - 2])
            elif self._counted(phrase.noun):
                words.append(_article(text[0]))
                named.append(none)
            words += text
            named += [frozenset(group)] * len(text)
        return Caption(tuple(words), tuple(named))


def _fitting(phrase: Phrase, things: Sequence[Thing]) -> list[int]:
    """The indices of the things that have the phrase's noun and its adjectives."""
    return [
        i
        for i, thing in enumerate(things)
        if thing.noun == phrase.noun
        and phrase.colour in ("", thing.colour)
        and phrase.size in ("", thing.size)
        and phrase.texture in ("", thing.texture)
    ]


def _article(word: str) -> str:
    """ "a" or "an" by the sound that the word begins with."""
    return "an" if word[0] in "aeiou" and not word.startswith(("one", "uni", "eu")) else "a"

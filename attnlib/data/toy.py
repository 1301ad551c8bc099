"""Toy translation tasks whose word alignments are known: copy, reverse, dates, phrases.

A natural corpus never says which source word a target word came from; these tasks do, so what
attention looks at can be checked against the truth. Every task is a function of a seeded
``random.Random`` and returns a list of `Example`. Nothing is stored: any amount can be made.

Training, validation and test examples never meet. Each example has a key (the source; for dates the
day, however it is written), and `split_of` the key, a checksum that depends on nothing else, says
on which side it falls: eight tenths train, one tenth each val and test. A task draws until it has
an example of the wanted side.
"""

import datetime
import random
import string
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import NamedTuple

from attnlib.data.tokenizer import BOS, EOS, PAD, SPECIALS, UNK

TASKS = ("copy", "reverse", "dates", "phrases")
SPLITS = ("train", "val", "test", "all")
SYMBOLS = string.ascii_letters  # the alphabet of copy and reverse is its first letters
TRIES = 1000  # draws before we say that a split has no such example


@dataclass(frozen=True)
class Example:
    """A source, its target, and which source word each target word comes from.

    `alignment` holds pairs of (target position, source position), both from 0, in order.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]


def split_of(key: Sequence[str]) -> str:
    """The side on which an example with this key falls: ``train``, ``val`` or ``test``.

    >>> split_of(("b", "a"))
    'train'
    """
    tenth = zlib.crc32(" ".join(key).encode()) % 10
    return "test" if tenth == 9 else "val" if tenth == 8 else "train"


# Copy and reverse -----------------------------------------------------------------------------


def copy(
    rng: random.Random,
    count: int,
    symbols: int = 20,
    shortest: int = 1,
    longest: int = 10,
    split: str = "train",
) -> list[Example]:
    """Repeat the source: ``b a d`` becomes ``b a d``.

    Parameters
    ----------
    rng : random.Random
        Where chance comes from; the same seed gives the same examples.
    count : int
        How many examples, 0 or more.
    symbols : int
        Size of the alphabet, 1 to 52; symbols are drawn uniformly.
    shortest, longest : int
        The length is uniform between the two, both included.
    split : str
        ``train``, ``val``, ``test``, or ``all`` for examples of any side.

    Raises
    ------
    TypeError
        If `rng` is not a ``random.Random``.
    ValueError
        If a number is out of its range, the split is unknown, or the split has no sequence of the
        length drawn (as may be with one or two symbols of a small alphabet).

    Examples
    --------
    >>> copy(random.Random(1), count=1, longest=3)
    [Example(source=('c',), target=('c',), alignment=((0, 0),))]
    """
    return _sequences(rng, count, symbols, (shortest, longest), split, lambda s, length: s)


def reverse(
    rng: random.Random,
    count: int,
    symbols: int = 20,
    shortest: int = 1,
    longest: int = 10,
    split: str = "train",
) -> list[Example]:
    """Say the source backwards: ``b a d`` becomes ``d a b``. Arguments and errors as in `copy`.

    >>> reverse(random.Random(0), count=1, shortest=3, longest=3)[0].alignment
    ((0, 2), (1, 1), (2, 0))
    """
    return _sequences(rng, count, symbols, (shortest, longest), split, lambda s, n: n - 1 - s)


def _sequences(rng, count, symbols, lengths, split, source_position):
    """Examples whose target position t holds source position ``source_position(t, length)``."""
    if not 1 <= symbols <= len(SYMBOLS):
        raise ValueError(f"symbols must be 1 to {len(SYMBOLS)}, got {symbols}")
    if not 1 <= lengths[0] <= lengths[1]:
        raise ValueError(f"need 1 <= shortest <= longest, got {lengths[0]} and {lengths[1]}")

    def draw(length: int) -> Example:
        source = tuple(rng.choice(SYMBOLS[:symbols]) for _ in range(length))
        links = tuple((t, source_position(t, length)) for t in range(length))
        return Example(source, tuple(source[s] for _, s in links), links)

    return _sample(rng, count, split, lengths, draw, key=lambda example: example.source)


def _sample(
    rng: random.Random,
    count: int,
    split: str,
    sizes: tuple[int, int],
    draw: Callable[[int], Example],
    key: Callable[[Example], Sequence[str]],
) -> list[Example]:
    """Draw a uniform size, then examples of that size until one is of the split; `count` times."""
    if not isinstance(rng, random.Random):
        raise TypeError(f"rng must be a random.Random, got {type(rng).__name__}")
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    examples = []
    for _ in range(count):
        size = rng.randint(*sizes)
        for _ in range(TRIES):
            example = draw(size)
            if split in ("all", split_of(key(example))):
                break
        else:
            raise ValueError(f"no example of size {size} found in the split {split!r}")
        examples.append(example)
    return examples


# Dates ----------------------------------------------------------------------------------------

# fmt: off
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# fmt: on
FIRST_DAY, LAST_DAY = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)
FORMATS = (  # slashes put the month first, as in the United States; dots and dashes the day
    "{Month} {d}, {year}",
    "{d} {Month} {year}",
    "{Mon} {d}, {year}",
    "{Mon}. {d}, {year}",
    "{d} {Mon} {year}",
    "{d}{th} {Month} {year}",
    "the {d}{th} of {Month}, {year}",
    "{Month} {d}{th}, {year}",
    "{Weekday}, {Month} {d}, {year}",
    "{Weekday} {d} {Month} {year}",
    "{Weekday} the {d}{th} of {Month} {year}",
    "{year} {Month} {d}",
    "{MONTH} {d}, {year}",
    "{dd}-{Mon}-{year}",
    "{dd} {MON} {year}",
    "{m}/{d}/{year}",
    "{d}.{m}.{year}",
    "{year}/{mm}/{dd}",
)
_FIELDS = {  # what a field decides, and how it is written
    "year": ("year", lambda day: f"{day.year}"),
    "Month": ("month", lambda day: MONTHS[day.month - 1]),
    "MONTH": ("month", lambda day: MONTHS[day.month - 1].upper()),
    "Mon": ("month", lambda day: MONTHS[day.month - 1][:3]),
    "MON": ("month", lambda day: MONTHS[day.month - 1][:3].upper()),
    "mm": ("month", lambda day: f"{day.month:02d}"),
    "m": ("month", lambda day: f"{day.month}"),
    "dd": ("day", lambda day: f"{day.day:02d}"),
    "d": ("day", lambda day: f"{day.day}"),
    "th": (None, lambda day: _ordinal_suffix(day.day)),
    "Weekday": (None, lambda day: WEEKDAYS[day.weekday()]),
}
_ISO = {"year": (0, 1, 2, 3), "month": (5, 6), "day": (8, 9)}  # positions in YYYY-MM-DD


def dates(rng: random.Random, count: int, split: str = "train") -> list[Example]:
    """Turn a date as people write it into ``YYYY-MM-DD``, character by character.

    Days are uniform from 1950 to 2049, and so are the `FORMATS`. A digit of the target is aligned
    to the characters that determine it: to its own digit where there is one; the leading zero of a
    one-digit number to that digit; the two digits of a month that is named to every letter of the
    name. The two hyphens are always the same, depend on nothing, and have no link; leave their rows
    out of an alignment error. The split goes by the day, so a day of the test never occurs in
    training in any format. Arguments and errors as in `copy`.

    Examples
    --------
    >>> example = dates(random.Random(31), count=1)[0]
    >>> "".join(example.source), "".join(example.target)
    ('Apr. 4, 2034', '2034-04-04')
    >>> [link for link in example.alignment if link[0] >= 8]
    [(8, 5), (9, 5)]
    """

    def draw(_size: int) -> Example:
        days = (LAST_DAY - FIRST_DAY).days
        return _date(FIRST_DAY + datetime.timedelta(rng.randint(0, days)), rng.choice(FORMATS))

    return _sample(rng, count, split, (0, 0), draw, key=lambda example: example.target)


def _date(day: datetime.date, template: str) -> Example:
    """One day in one format, with the links of its year, month and day."""
    source = ""
    links: list[tuple[int, int]] = []
    for before, field, _, _ in string.Formatter().parse(template):
        source += before
        assert field is not None  # every format ends with a field
        decides, write = _FIELDS[field]
        text = write(day)
        if decides:
            there, here = _ISO[decides], range(len(source), len(source) + len(text))
            one_to_one = text.isdigit() and len(text) == len(there)
            links += zip(there, here) if one_to_one else product(there, here)
        source += text
    return Example(tuple(source), tuple(day.isoformat()), tuple(sorted(links)))


def _ordinal_suffix(number: int) -> str:
    """The letters after a day: 1st, 2nd, 3rd, 4th; 11th, 12th, 13th."""
    if number in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


# Phrases --------------------------------------------------------------------------------------


class _Noun(NamedTuple):
    english: tuple[str, str]  # one, many
    french: tuple[str, str]
    feminine: bool
    animate: bool


_NOUNS = tuple(
    _Noun((one, many), (un, des), gender == "f", kind == "animate")
    for one, many, un, des, gender, kind in (
        ("dog", "dogs", "chien", "chiens", "m", "animate"),
        ("cat", "cats", "chat", "chats", "m", "animate"),
        ("horse", "horses", "cheval", "chevaux", "m", "animate"),
        ("bat", "bats", "chauve souris", "chauves souris", "f", "animate"),
        ("cow", "cows", "vache", "vaches", "f", "animate"),
        ("goat", "goats", "chèvre", "chèvres", "f", "animate"),
        ("hen", "hens", "poule", "poules", "f", "animate"),
        ("frog", "frogs", "grenouille", "grenouilles", "f", "animate"),
        ("wolf", "wolves", "loup", "loups", "m", "animate"),
        ("fox", "foxes", "renard", "renards", "m", "animate"),
        ("shirt", "shirts", "chemise", "chemises", "f", "thing"),
        ("house", "houses", "maison", "maisons", "f", "thing"),
        ("boat", "boats", "bateau", "bateaux", "m", "thing"),
        ("car", "cars", "voiture", "voitures", "f", "thing"),
        ("bridge", "bridges", "pont", "ponts", "m", "thing"),
        ("river", "rivers", "rivière", "rivières", "f", "thing"),
        ("garden", "gardens", "jardin", "jardins", "m", "thing"),
        ("wall", "walls", "mur", "murs", "m", "thing"),
    )
)
# one masculine, one feminine, many masculine, many feminine; None where the word is not used
_DETERMINERS = {
    "the": ("le", "la", "les", "les"),
    "a": ("un", "une", "", ""),
    "this": ("ce", "cette", "", ""),
    "every": ("chaque", "chaque", "", ""),
    "some": ("", "", "des", "des"),
    "these": ("", "", "ces", "ces"),
    "two": ("", "", "deux", "deux"),
    "my": ("mon", "ma", "mes", "mes"),
}
_ADJECTIVES = {
    "white": ("blanc", "blanche", "blancs", "blanches"),
    "black": ("noir", "noire", "noirs", "noires"),
    "green": ("vert", "verte", "verts", "vertes"),
    "blue": ("bleu", "bleue", "bleus", "bleues"),
    "grey": ("gris", "grise", "gris", "grises"),
    "red": ("rouge", "rouge", "rouges", "rouges"),
    "sad": ("triste", "triste", "tristes", "tristes"),
    "wet": ("mouillé", "mouillée", "mouillés", "mouillées"),
    "tired": ("fatigué", "fatiguée", "fatigués", "fatiguées"),
}
_TRANSITIVE = {  # English one, many: French one, many
    ("sees", "see"): ("voit", "voient"),
    ("follows", "follow"): ("suit", "suivent"),
    ("wants", "want"): ("veut", "veulent"),
    ("watches", "watch"): ("regarde", "regardent"),
    ("finds", "find"): ("trouve", "trouvent"),
    ("carries", "carry"): ("porte", "portent"),
    ("paints", "paint"): ("peint", "peignent"),
}
_INTRANSITIVE = {
    ("sleeps", "sleep"): ("dort", "dorment"),
    ("laughs", "laugh"): ("rit", "rient"),
    ("sings", "sing"): ("chante", "chantent"),
    ("dances", "dance"): ("danse", "dansent"),
}
_ADVERBS = {"never": ("ne", "jamais"), "often": ("", "souvent"), "always": ("", "toujours")}
_PREPOSITIONS = {
    "behind": "derrière",
    "in": "dans",
    "on": "sur",
    "under": "sous",
    "with": "avec",
    "through": "à travers",
}
_THAT = "qui"

# A fragment of a sentence: its source words, and its target words with the position among those
# source words that each comes from.
_Fragment = tuple[list[str], list[tuple[str, int]]]


def phrases(
    rng: random.Random,
    count: int,
    shallowest: int = 0,
    deepest: int = 2,
    verb_final: bool = True,
    split: str = "train",
) -> list[Example]:
    """English phrases in a made-up language: French words, adjectives after nouns, verbs last.

    Determiner and adjectives agree with their noun in gender and number, the verb with its subject
    in number. Adjectives follow their noun, so two of them change places; the verb follows its
    object, in relative clauses too, as in Marathi or Japanese. Most words translate one to one;
    ``bat`` and ``through`` become two words side by side and ``never`` two words around the verb.
    Every target word is linked to the one source word it translates, also where its form is decided
    by another (``blanche`` for a feminine noun is linked to ``white`` alone).

    Parameters
    ----------
    rng, count, split
        As in `copy`.
    shallowest, deepest : int
        Number of modifiers (a prepositional phrase or a relative clause, one within another),
        uniform between the two. Without any, a sentence has 3 to 10 words; each adds 4 on average.
    verb_final : bool
        If False, verbs stay before their objects, as in French: the same words, less reordering.

    Raises
    ------
    TypeError, ValueError
        As in `copy`; also unless ``0 <= shallowest <= deepest``.

    Examples
    --------
    >>> example = phrases(random.Random(4), count=1, deepest=0)[0]
    >>> " ".join(example.source)
    'the horses watch a red dog'
    >>> " ".join(example.target)
    'les chevaux un chien rouge regardent'
    >>> example.alignment
    ((0, 0), (1, 1), (2, 3), (3, 5), (4, 4), (5, 2))
    """
    if not 0 <= shallowest <= deepest:
        raise ValueError(f"need 0 <= shallowest <= deepest, got {shallowest} and {deepest}")

    def draw(depth: int) -> Example:
        source, target = _sentence(rng, depth, verb_final)
        links = tuple((t, s) for t, (_, s) in enumerate(target))
        return Example(tuple(source), tuple(word for word, _ in target), links)

    return _sample(rng, count, split, (shallowest, deepest), draw, lambda example: example.source)


def lexicon() -> dict[str, frozenset[str]]:
    """Which target words each source word of `phrases` may become, in all its forms.

    >>> sorted(lexicon()["white"])
    ['blanc', 'blanche', 'blanches', 'blancs']
    """
    words = {"that": _THAT.split()}
    for english, forms in (_DETERMINERS | _ADJECTIVES).items():
        words[english] = [form for form in forms if form]
    for verb, french in (_TRANSITIVE | _INTRANSITIVE).items():
        words |= {one: [form] for one, form in zip(verb, french)}
    for noun in _NOUNS:
        words |= {one: form.split() for one, form in zip(noun.english, noun.french)}
    words |= {english: [form for form in pair if form] for english, pair in _ADVERBS.items()}
    words |= {english: french.split() for english, french in _PREPOSITIONS.items()}
    return {english: frozenset(forms) for english, forms in words.items()}


def _sentence(rng: random.Random, depth: int, verb_final: bool) -> _Fragment:
    """A subject, a verb and mostly an object, with `depth` modifiers shared out between them."""
    plural = rng.random() < 0.4
    if rng.random() < 0.2:
        subject = _noun_phrase(rng, depth, plural, True, verb_final)
        return _join([subject, _verb(rng, _INTRANSITIVE, plural)])
    before = rng.randint(0, depth)
    subject = _noun_phrase(rng, before, plural, True, verb_final)
    return _join([subject, _predicate(rng, depth - before, plural, verb_final)])


def _predicate(rng: random.Random, depth: int, plural: bool, verb_final: bool) -> _Fragment:
    """A transitive verb and its object, which comes first in the target if `verb_final`."""
    verb = _verb(rng, _TRANSITIVE, plural)
    animate = rng.random() < 0.5
    thing = _noun_phrase(rng, depth, rng.random() < 0.4, animate, verb_final)
    return _join([verb, thing], order=(1, 0) if verb_final else (0, 1))


def _noun_phrase(
    rng: random.Random, depth: int, plural: bool, animate: bool, verb_final: bool
) -> _Fragment:
    """Determiner, up to two adjectives, noun, and `depth` modifiers one within another."""
    noun = rng.choice([noun for noun in _NOUNS if noun.animate == animate])
    form = 2 * plural + noun.feminine
    determiner = rng.choice([word for word, forms in _DETERMINERS.items() if forms[form]])
    adjectives = rng.sample(list(_ADJECTIVES), rng.choices((0, 1, 2), (3, 2, 1))[0])
    parts = [_word(determiner, _DETERMINERS[determiner][form])]
    parts += [_word(adjective, _ADJECTIVES[adjective][form]) for adjective in adjectives]
    parts += [_word(noun.english[plural], noun.french[plural])]
    order = [0, *range(len(parts) - 1, 0, -1)]  # the noun, then the adjectives, nearest first
    if depth > 0:
        order.append(len(parts))
        if animate and rng.random() < 0.5:
            clause = _predicate(rng, depth - 1, plural, verb_final)
            parts.append(_join([_word("that", _THAT), clause]))
        else:
            preposition = rng.choice(list(_PREPOSITIONS))
            place = _noun_phrase(rng, depth - 1, rng.random() < 0.4, False, verb_final)
            parts.append(_join([_word(preposition, _PREPOSITIONS[preposition]), place]))
    return _join(parts, order)


def _verb(rng: random.Random, verbs: dict, plural: bool) -> _Fragment:
    """A verb that agrees with its subject, sometimes with an adverb: before it, then after it."""
    english = rng.choice(list(verbs))
    french = verbs[english][plural]
    if rng.random() < 0.75:
        return _word(english[plural], french)
    adverb = rng.choice(list(_ADVERBS))
    before, after = _ADVERBS[adverb]
    target = [(before, 0), (french, 1), (after, 0)]
    return [adverb, english[plural]], [(word, s) for word, s in target if word]


def _word(english: str, french: str) -> _Fragment:
    """One source word and the target words that translate it."""
    return [english], [(word, 0) for word in french.split()]


def _join(parts: list[_Fragment], order: Sequence[int] | None = None) -> _Fragment:
    """Put fragments side by side in the source, and in the given order in the target."""
    starts = [0, *accumulate(len(source) for source, _ in parts)]
    order = range(len(parts)) if order is None else order
    target = [(word, starts[i] + s) for i in order for word, s in parts[i][1]]
    return [word for source, _ in parts for word in source], target


# Ids ------------------------------------------------------------------------------------------


class Vocabulary:
    """Words and their ids; 0 to 3 are padding, start, end and unknown, as in `Tokenizer`.

    Parameters
    ----------
    words : iterable of str
        The words in the order of their ids, from 4 on; none twice, none named like a special.

    Examples
    --------
    >>> words = Vocabulary(["red", "shirt"])
    >>> words.encode(["shirt", "red"])
    [5, 4]
    >>> words.decode([1, 5, 4, 2, 0])
    ['shirt', 'red']
    """

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __init__(self, words: Iterable[str]):
        self.words = (*SPECIALS, *words)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if len(self._ids) < len(self.words):
            twice = sorted({word for word in self.words if self.words.count(word) > 1})
            raise ValueError(f"words given twice: {', '.join(twice)}")

    def __len__(self):
        return len(self.words)

    def encode(self, words: Sequence[str]) -> list[int]:
        """Ids of words, without specials.

        Raises
        ------
        TypeError
            If `words` is one string: it would be cut into letters.
        ValueError
            If a word is unknown. (Toy tasks are closed: an unknown word is a mistake.)
        """
        if isinstance(words, str):
            raise TypeError(f"words must be a sequence of words, got the string {words!r}")
        for position, word in enumerate(words):
            if word not in self._ids:
                raise ValueError(
                    f"unknown word {word!r} at position {position}: "
                    f"not among the {len(self)} of this vocabulary"
                )
        return [self._ids[word] for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of ids, up to the first end of sentence; start and padding are left out.

        Raises
        ------
        ValueError
            If an id is out of range.
        """
        words = []
        for i in map(int, ids):
            if not 0 <= i < len(self):
                raise ValueError(f"id {i} is not in 0 to {len(self) - 1}")
            if i == EOS:
                break
            if i not in (PAD, BOS):
                words.append(self.words[i])
        return words

    def pairs(self, examples: Iterable[Example]) -> list[tuple[list[int], list[int]]]:
        """Source ids and target ids of examples, without specials: what `batches.collate` takes.

        >>> vocabulary("copy", symbols=3).pairs([Example(("a", "c"), ("a", "c"), ())])
        [([4, 6], [4, 6])]
        """
        return [(self.encode(example.source), self.encode(example.target)) for example in examples]


def vocabulary(task: str, symbols: int = 20) -> Vocabulary:
    """All the words of a task, source and target in one; `symbols` matters to copy and reverse.

    Raises
    ------
    ValueError
        If the task is unknown or `symbols` is out of its range.

    Examples
    --------
    >>> len(vocabulary("reverse", symbols=20))
    24
    >>> vocabulary("phrases").encode(["white", "blanche"])
    [85, 93]
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}: one of {', '.join(TASKS)}")
    if not 1 <= symbols <= len(SYMBOLS):
        raise ValueError(f"symbols must be 1 to {len(SYMBOLS)}, got {symbols}")
    if task in ("copy", "reverse"):
        return Vocabulary(SYMBOLS[:symbols])
    if task == "dates":
        signs = "".join(before for f in FORMATS for before, *_ in string.Formatter().parse(f))
        words = "".join(MONTHS + WEEKDAYS) + "".join(MONTHS).upper() + "stndrdth"
        return Vocabulary(sorted({*signs, *words, *string.digits}))
    source = lexicon()
    targets = sorted({word for words in source.values() for word in words})
    return Vocabulary([*sorted(source), *targets])

"""Short stories with a question, and the sentences that the answer rests on.

After the tasks of Weston et al. (2016, "bAbI"), whose questions rest on one, two or three
supporting facts. Here each fact leads to the next, so it is known in which order they are needed:

* one: "where is mary" rests on the last sentence in which Mary goes somewhere;
* two: "where is the ball" on who had the ball last, then on where that person is;
* three: "where is the coin" on what the coin is in, then on who has that, then on where they are.

All the rest of the story distracts. Two traps are built in: people move on, so only the *last* of
their places counts; and "mary sent the ball to john" has the words of "john sent the ball to mary".
Nothing is stored: stories are a function of a seeded ``random.Random``.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attnlib.data.batches import pad
from attnlib.data.toy import SPLITS, Vocabulary, split_of
from attnlib.masks import padding_mask

KINDS = (1, 2, 3)  # of questions, by the number of facts that the answer rests on
PEOPLE = ("mary", "john", "sandra", "daniel", "emma", "oscar")
STRANGERS = ("zoe", "felix", "nora", "hugo")  # never in a story unless they are asked for
PLACES = ("kitchen", "garden", "office", "bedroom", "hallway", "bathroom", "cellar", "attic")
HOLDERS = ("box", "bag", "basket")  # what people carry, and what something can be in
THINGS = ("ball", "book", "lamp", *HOLDERS)
SMALL = ("coin", "key", "ring")
TRIES = 50_000  # draws before we say that a split has no such story
CAST = 4  # people in a story
Known = dict[str, tuple[str, int]]  # of a name: what it leads to, and the sentence that says so
EVENTS = {"move": 5, "send": 3, "take": 3, "put": 2}  # how often each happens, where it can


@dataclass(frozen=True)
class Story:
    """Sentences in the order of time, a question, its answer, and what the answer rests on.

    `facts` are positions of sentences, from 0, in the order in which one leads to the next.
    """

    sentences: tuple[tuple[str, ...], ...]
    question: tuple[str, ...]
    answer: str
    facts: tuple[int, ...]


def stories(
    rng: random.Random,
    count: int,
    kinds: Sequence[int] = KINDS,
    shortest: int = 8,
    longest: int = 16,
    split: str = "train",
    people: Sequence[str] = PEOPLE,
) -> list[Story]:
    """Draw stories; training, validation and test stories never meet (`toy.split_of`).

    Parameters
    ----------
    rng : random.Random
        Where chance comes from; the same seed gives the same stories.
    count : int
        How many.
    kinds : sequence of int
        Numbers of facts, from 1 to 3; drawn uniformly.
    shortest, longest : int
        Number of sentences, uniform between the two, both included; at least 6.
    split : str
        ``train``, ``val``, ``test``, or ``all``.
    people : sequence of str
        Names to draw the four people of a story from.

    Raises
    ------
    ValueError
        If a number is out of its range, the split is unknown, there are fewer than four people, or
        no such story was found, as may be with three facts in six sentences.

    Examples
    --------
    >>> (one,) = stories(random.Random(3), count=1, kinds=[2], shortest=6, longest=6)
    >>> for sentence in one.sentences:
    ...     print(" ".join(sentence))
    sandra went to the office
    sandra took the bag
    emma went to the bathroom
    sandra took the book
    sandra sent the book to emma
    emma went to the hallway
    >>> " ".join(one.question), one.answer, one.facts
    ('where is the book', 'hallway', (4, 5))
    """
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must be among {', '.join(map(str, KINDS))}, got {list(kinds)}")
    if not 6 <= shortest <= longest:
        raise ValueError(f"need 6 <= shortest <= longest, got {shortest} and {longest}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    if len(set(people)) < CAST:
        raise ValueError(f"a story has {CAST} people, got names for {len(set(people))}")
    found: list[Story] = []
    for _ in range(count):
        kind, size = rng.choice(list(kinds)), rng.randint(shortest, longest)
        for _ in range(TRIES):
            story = _draw(rng, kind, size, people)
            if story and split in ("all", split_of(sum(story.sentences, ()))):
                found.append(story)
                break
        else:
            raise ValueError(
                f"no story of {size} sentences, with {kind} facts, found in the split {split!r}"
            )
    return found


def _draw(rng: random.Random, kind: int, size: int, people: Sequence[str]) -> Story | None:
    """One story; None where nothing in it can be asked with so many facts."""
    said, where, has, inside = _happens(rng, size, rng.sample(list(people), CAST))
    ways = ((where,), (has, where), (inside, has, where))[kind - 1]
    able = [name for name in sorted(ways[0]) if _follow(name, ways)]
    rivals, after = (HOLDERS, ways[1:]) if kind == 3 else (tuple(ways[0]), ways)
    ends = {_follow(name, after)[0] for name in rivals if _follow(name, after)}
    if not able or len(ends) < 2:  # a question that has one possible answer is no question
        return None
    asked = rng.choice(able)
    answer, *facts = _follow(asked, ways)
    question = ("where", "is", asked) if kind == 1 else ("where", "is", "the", asked)
    return Story(
        tuple(tuple(sentence.split()) for sentence in said), question, answer, tuple(facts)
    )


def _happens(
    rng: random.Random, size: int, cast: Sequence[str]
) -> tuple[list[str], Known, Known, Known]:
    """Sentences, and what is known after them: who is where, who has what, what is in what."""
    said: list[str] = []
    where: Known = {}
    has: Known = {}
    inside: Known = {}
    for now in range(size):
        free = [thing for thing in THINGS if thing not in has]
        loose = [small for small in SMALL if small not in inside]
        (event,) = rng.choices(list(EVENTS), list(EVENTS.values()))
        if event == "put" and loose:
            small, holder = rng.choice(loose), rng.choice(HOLDERS)
            said.append(f"the {small} is in the {holder}")
            inside[small] = holder, now
        elif event == "send" and has:
            thing = rng.choice(sorted(has))
            giver = has[thing][0]
            other = rng.choice([person for person in cast if person != giver])
            said.append(f"{giver} sent the {thing} to {other}")
            has[thing] = other, now
        elif event == "take" and free:
            person, thing = rng.choice(cast), rng.choice(free)
            said.append(f"{person} took the {thing}")
            has[thing] = person, now
        else:
            person = rng.choice(cast)
            here = where.get(person, ("", 0))[0]
            place = rng.choice([place for place in PLACES if place != here])
            said.append(f"{person} went to the {place}")
            where[person] = place, now
    return said, where, has, inside


def _follow(name: str, ways: Sequence[Known]) -> tuple:
    """From a name to where it leads, and the sentences on the way; empty if it leads nowhere."""
    facts = []
    for known in ways:
        if name not in known:
            return ()
        name, fact = known[name]
        facts.append(fact)
    return (name, *facts)


# Ids ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Questions:
    """N stories as tensors, **the last sentence first** (Sukhbaatar et al. 2015, section 4.1).

    sentences (N, S, J), ids of words, 0 where there is none; lengths (N,), numbers of sentences;
    questions (N, J'), ids; answers (N,), ids; facts (N, 3), places among the S sentences, in the
    order in which one fact leads to the next, -1 where there are fewer.
    """

    sentences: Tensor
    lengths: Tensor
    questions: Tensor
    answers: Tensor
    facts: Tensor

    def __len__(self):
        return len(self.answers)

    def __getitem__(self, rows) -> "Questions":
        """Some of them, without the sentences that are padding in all of them."""
        lengths = self.lengths[rows]
        S = int(lengths.max())
        return Questions(
            self.sentences[rows, :S],
            lengths,
            self.questions[rows],
            self.answers[rows],
            self.facts[rows],
        )

    @property
    def mask(self) -> Tensor:
        """True at sentences, (N, S)."""
        return padding_mask(self.lengths, self.sentences.shape[1])


def vocabulary() -> Vocabulary:
    """All the words of all stories, strangers' names too.

    >>> len(vocabulary())
    39
    """
    rest = ["where", "is", "the", "went", "to", "took", "sent", "in"]
    return Vocabulary([*PEOPLE, *STRANGERS, *PLACES, *THINGS, *SMALL, *rest])


def encode(found: Sequence[Story]) -> Questions:
    """Stories as tensors.

    Raises
    ------
    ValueError
        If there is no story.
    """
    if not found:
        raise ValueError("there is no story to encode")
    words = vocabulary()
    S = max(len(story.sentences) for story in found)
    J = max(len(sentence) for story in found for sentence in story.sentences)
    sentences = torch.full((len(found), S, J), words.pad)
    facts = torch.full((len(found), len(KINDS)), -1)
    for n, story in enumerate(found):
        for i, sentence in enumerate(reversed(story.sentences)):
            sentences[n, i, : len(sentence)] = torch.tensor(words.encode(sentence))
        last = len(story.sentences) - 1
        facts[n, : len(story.facts)] = torch.tensor([last - fact for fact in story.facts])
    return Questions(
        sentences,
        torch.tensor([len(story.sentences) for story in found]),
        pad([words.encode(story.question) for story in found])[0],
        torch.tensor([words.encode([story.answer])[0] for story in found]),
        facts,
    )

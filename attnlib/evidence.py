r"""Sentences whose evidence is known, and a small classifier that attends to them.

Whether a weight explains a decision can be asked where it is known which words decide:

* `plain`: one opinion ("lovely") decides, and other words go with it more often than not;
* `negated`: the same, and one "not" in every sentence, which turns the opinion or something else;
* `asked`: four things with an opinion each, and the question which one to judge;
* `swapped`: real sentences (Tatoeba), half of them with two neighbouring words exchanged (the task
  "bigram shift" of Conneau et al. 2018);
* `genres`: real sentences (English Web Treebank), of a review or of an email; what decides is not
  known, and is spread over many words.

A bag of words cannot do `negated` (beyond what the distractors tell), `asked` and `swapped`: both
labels have the same words. `AttentionClassifier` is the model of Jain and Wallace (2019).
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from attnlib.attention import Attention
from attnlib.data import corpora, treebank
from attnlib.data.batches import pad
from attnlib.data.tokenizer import SPECIALS
from attnlib.data.toy import Vocabulary, split_of
from attnlib.masks import padding_mask
from attnlib.scores import AdditiveScore
from attnlib.seq2seq import RecurrentEncoder

TASKS = ("plain", "negated", "asked", "swapped", "genres")
SPLITS = ("train", "val", "test")
COPIES = 4  # of each training sentence of `swapped`, other words exchanged in each
NUMBERS = {"train": 3000, "val": 500, "test": 500}  # of generated sentences
GOES_WITH = 0.7  # how often a distractor is one of those that go with the label
ENCODERS = ("recurrent", "token-wise")
WEIGHTS = ("learned", "uniform")

OPINIONS = (  # label 0, label 1
    ("awful", "bland", "cold", "dull", "poor", "stale", "bitter", "dreadful"),
    ("lovely", "fresh", "warm", "superb", "fine", "crisp", "sweet", "delightful"),
)
DAYS = (("monday", "tuesday", "wednesday"), ("friday", "saturday", "sunday"))
PEOPLE = (("my boss", "a client", "the lawyer"), ("a friend", "my sister", "the neighbours"))
THINGS = ("soup", "bread", "fish", "salad", "coffee", "cake", "wine", "rice")
ASIDES = (
    "we did {} stay long",
    "the others could {} come",
    "the waiter had {} seen us",
    "i would {} have known",
    "they were {} open last year",
)


@dataclass(frozen=True)
class Labelled:
    """A sentence, its label 0 or 1, and the positions of the words that decide it, where known."""

    words: tuple[str, ...]
    label: int
    evidence: frozenset[int] = frozenset()
    asked: str = ""


def sentences(task: str, split: str) -> list[Labelled]:
    """The sentences of a task: the same at every call, and none in two splits.

    Parameters
    ----------
    task : str
        One of `TASKS`; `swapped` and `genres` are downloaded on first use.
    split : str
        ``train``, ``val`` or ``test``.

    Raises
    ------
    ValueError
        If the task or the split is unknown.

    Examples
    --------
    >>> one = sentences("negated", "test")[5]
    >>> " ".join(one.words[-5:]), one.label, [one.words[i] for i in sorted(one.evidence)]
    ('the fish was not crisp', 0, ['not', 'crisp'])
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}: one of {', '.join(TASKS)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    rng = random.Random(f"{task} {split}")
    if task == "genres":
        return _genres(split, rng)
    if task == "swapped":
        return _swapped(split, rng)
    draw = _about_four if task == "asked" else _about_one
    found: list[Labelled] = []
    while len(found) < NUMBERS[split]:
        one = draw(rng, task == "negated")
        if split_of(one.words) == split:
            found.append(one)
    return found


def _about_one(rng: random.Random, negated: bool) -> Labelled:
    """One opinion, two asides and two distractors; "not" is drawn where it decides nothing."""
    label = rng.randrange(2)
    turned = negated and rng.random() < 0.5
    opinion = rng.choice(OPINIONS[label ^ turned])
    noted = ["not" if turned else "", "", ""]
    if negated and not turned:
        noted[rng.choice((1, 2))] = "not"
    elif not negated:
        noted[1:] = rng.choices(("", "not"), k=2)
    clauses = [
        aside.format(note) for aside, note in zip(rng.sample(ASIDES, 2), noted[1:], strict=True)
    ]
    clauses.insert(rng.randrange(3), f"the {rng.choice(THINGS)} was {noted[0]} {opinion}")
    day, person = (
        rng.choice(kinds[label if rng.random() < GOES_WITH else 1 - label])
        for kinds in (DAYS, PEOPLE)
    )
    words = tuple(f"on {day} with {person} {' and '.join(clauses)}".split())
    place = words.index(opinion)
    return Labelled(words, label, frozenset({place - 1, place} if turned else {place}))


def _about_four(rng: random.Random, _negated: bool) -> Labelled:
    """Four things with an opinion each, two of them good; one is asked about."""
    things = rng.sample(THINGS, 4)
    labels = rng.sample((0, 0, 1, 1), 4)
    clauses = [
        f"the {thing} was {rng.choice(OPINIONS[label])}"
        for thing, label in zip(things, labels, strict=True)
    ]
    words = tuple(" and ".join(clauses).split())
    chosen = rng.randrange(4)
    thing = words.index(things[chosen])
    return Labelled(words, labels[chosen], frozenset({thing, thing + 2}), things[chosen])


def _swapped(split: str, rng: random.Random) -> list[Labelled]:
    """English sentences of 5 to 12 words; by the toss of a coin two neighbours change places."""
    found = []
    for text in sorted(set(corpora.tatoeba(split).source)) * (COPIES if split == "train" else 1):
        words = re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower())
        able = [i for i in range(len(words) - 1) if words[i] != words[i + 1]]
        if not 5 <= len(words) <= 12 or not able:
            continue
        label, i = rng.randrange(2), rng.choice(able)
        if label:
            words[i], words[i + 1] = words[i + 1], words[i]
        found.append(Labelled(tuple(words), label, frozenset({i, i + 1} if label else ())))
    rng.shuffle(found)
    return found


def _genres(split: str, rng: random.Random) -> list[Labelled]:
    """Sentences of 5 to 30 words, reviews (1) and emails (0)."""
    kinds = {"email": 0, "reviews": 1}
    found = [
        Labelled(tuple(word.lower() for word in words), kinds[genre])
        for genre, words in treebank.sentences({"val": "dev"}.get(split, split))
        if genre in kinds and 5 <= len(words) <= 30
    ]
    rng.shuffle(found)
    return found


# Ids ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """N sentences as tensors, padded to the longest.

    ids (N, S); lengths (N,); labels (N,), 0.0 or 1.0; evidence (N, S), True for the words that
    decide; asked (N,), the id of the word that is asked about, 0 where nothing is.
    """

    ids: Tensor
    lengths: Tensor
    labels: Tensor
    evidence: Tensor
    asked: Tensor

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, rows) -> "Texts":
        """Some of them, without the columns that are padding in all of them."""
        lengths = self.lengths[rows]
        S = int(lengths.max())
        return Texts(
            self.ids[rows, :S],
            lengths,
            self.labels[rows],
            self.evidence[rows, :S],
            self.asked[rows],
        )

    @property
    def mask(self) -> Tensor:
        """True at words, (N, S)."""
        return padding_mask(self.lengths, self.ids.shape[1])


def vocabulary(found: Sequence[Labelled], least: int = 2) -> Vocabulary:
    """The words that occur at least so many times, the frequent ones first."""
    counts = Counter(word for one in found for word in one.words)
    kept = [word for word, count in counts.items() if count >= least]
    return Vocabulary(sorted(kept, key=lambda word: (-counts[word], word)))


def encode(found: Sequence[Labelled], words: Vocabulary) -> Texts:
    """As tensors; a word that the vocabulary lacks is ``<unk>``.

    Raises
    ------
    ValueError
        If there is no sentence.
    """
    if not found:
        raise ValueError("there is no sentence to encode")
    known, unknown = set(words.words), SPECIALS[words.unk]

    def ids(said):
        return words.encode([word if word in known else unknown for word in said])

    padded, lengths = pad([ids(one.words) for one in found])
    evidence = torch.zeros(padded.shape, dtype=torch.bool)
    for row, one in zip(evidence, found, strict=True):
        row[sorted(one.evidence)] = True
    return Texts(
        padded,
        lengths,
        torch.tensor([float(one.label) for one in found]),
        evidence,
        torch.tensor([ids([one.asked])[0] if one.asked else 0 for one in found]),
    )


# The classifier -------------------------------------------------------------------------------


class Reading(NamedTuple):
    """What the classifier made of N sentences."""

    logits: Tensor  # (N,), of label 1
    weights: Tensor  # (N, S)
    states: Tensor  # (N, S, D)


class AttentionClassifier(nn.Module):
    r"""Encode, attend once, decide (Jain and Wallace 2019, section 2).

    .. math:: \hat y = \sigma\Big(w^\top \sum_t a_t h_t + b\Big), \qquad
              a = \mathrm{softmax}_t\, v^\top \tanh(U h_t + W q)

    The query q is learned; with `asked` it is the embedding of the word asked about, which the
    readout sees too, through a hidden layer. Without it the logit is an average of one number a
    word, :math:`\sum_t a_t (w^\top h_t + b)`: see `alone`.

    Parameters
    ----------
    vocab_size : int
    encoder : "recurrent" or "token-wise"
        A bidirectional GRU, or one linear layer and tanh of each embedding by itself: states
        without context (the paper's "average").
    weights : "learned" or "uniform"
        With uniform ones, frozen, each word has the same weight (Wiegreffe and Pinter 2019,
        section 3.2).
    width, hidden : int
        Of the embeddings and of the GRU each way; states are 2 x hidden wide.
    asked : bool

    Raises
    ------
    ValueError
        If `encoder` or `weights` is unknown.
    """

    def __init__(
        self,
        vocab_size: int,
        encoder: str = "recurrent",
        weights: str = "learned",
        width: int = 32,
        hidden: int = 32,
        asked: bool = False,
    ):
        super().__init__()
        for name, value, known in (("encoder", encoder, ENCODERS), ("weights", weights, WEIGHTS)):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}: one of {', '.join(known)}")
        self.uniform, self.asked, D = weights == "uniform", asked, 2 * hidden
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=Vocabulary.pad)
        self.encoder: nn.Module
        if encoder == "recurrent":
            self.encoder = RecurrentEncoder(width, hidden)
        else:
            self.encoder = nn.Sequential(nn.Linear(width, D), nn.Tanh())
        self.attention = Attention(AdditiveScore(width if asked else 1, D, hidden))
        if asked:
            self.readout = nn.Sequential(
                nn.Linear(D + width, hidden), nn.ReLU(), nn.Linear(hidden, 1)
            )
        else:
            self.readout = nn.Sequential(nn.Linear(D, 1))

    def encode(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """States (N, S, D) of embedded words (N, S, E)."""
        if isinstance(self.encoder, RecurrentEncoder):
            return self.encoder(embedded, lengths)[0]
        return self.encoder(embedded)

    def read(
        self,
        embedded: Tensor,
        lengths: Tensor,
        weights: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Reading:
        """Decide from embedded words (N, S, E): `forward` from the second layer on.

        Parameters
        ----------
        embedded : Tensor of shape (N, S, E)
        lengths : Tensor of shape (N,)
        weights : Tensor of shape (N, S), optional
            Weights from outside, in the place of the model's own.
        asked : Tensor of shape (N,), optional
            Ids, for a model with `asked`.

        Raises
        ------
        ValueError
            If `weights` has another shape than (N, S).
        """
        N, S, _ = embedded.shape
        mask = padding_mask(lengths, S)
        states = self.encode(embedded, lengths)
        query = self.embedding(asked).unsqueeze(1) if self.asked else states.new_ones(N, 1, 1)
        if weights is not None:
            if weights.shape != (N, S):
                raise ValueError(f"weights must be (N, S) = {(N, S)}, got {tuple(weights.shape)}")
        elif self.uniform:
            weights = even(mask).to(states.dtype)
        else:
            weights = self.attention(query, states, states, mask.unsqueeze(1))[1][:, 0]
        logits = self.decide(states, weights, query[:, 0] if self.asked else None)
        return Reading(logits, weights, states)

    def decide(self, states: Tensor, weights: Tensor, query: Tensor | None = None) -> Tensor:
        """Logits (..., N) from states (N, S, D) and weights (..., N, S): the last step alone."""
        contexts = (weights.unsqueeze(-2) @ states).squeeze(-2)  # (..., N, D)
        if query is not None:
            contexts = torch.cat([contexts, query], -1)
        return self.readout(contexts).squeeze(-1)

    def forward(self, texts: Texts, weights: Tensor | None = None) -> Reading:
        """Decide; `weights` (N, S) from outside take the place of the model's own."""
        return self.read(self.embedding(texts.ids), texts.lengths, weights, texts.asked)

    def alone(self, states: Tensor) -> Tensor:
        """The logit (N, S) that each state (N, S, D) would give with all the weight.

        The logit of a sentence is the average of these by its weights: the readout is linear, and
        weights sum to 1.

        Raises
        ------
        ValueError
            For a model with `asked`, whose readout is not linear.
        """
        if self.asked:
            raise ValueError("a model with `asked` has no logit of a word alone")
        return self.readout(states)[..., 0]


def even(mask: Tensor) -> Tensor:
    """The same weight for each word of a mask (N, S)."""
    return mask / mask.sum(-1, keepdim=True).clamp(min=1)


def fit(
    model: AttentionClassifier,
    texts: Texts,
    updates: int = 600,
    lr: float = 0.005,
    batch: int = 64,
    seed: int = 0,
    imposed: Tensor | None = None,
    loss: Callable[[Reading, Tensor], Tensor] | None = None,
) -> AttentionClassifier:
    """Train with Adam on batches drawn with `seed`; the model comes back.

    Parameters
    ----------
    imposed : Tensor of shape (N, S), optional
        Weights of each sentence that take the place of the model's own.
    loss : callable, optional
        Loss of a reading and the rows (batch,) that were read; cross-entropy unless given.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(updates):
        rows = torch.randint(len(texts), (batch,), generator=generator)
        some = texts[rows]
        weights = None if imposed is None else imposed[rows, : some.ids.shape[1]]
        reading = model(some, weights)
        if loss is None:
            lost = binary_cross_entropy_with_logits(reading.logits, some.labels)
        else:
            lost = loss(reading, rows)
        optimiser.zero_grad()
        lost.backward()
        optimiser.step()
    return model


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of sentences (N,) whose likelier label is theirs."""
    return float(((logits > 0) == (labels > 0.5)).float().mean())

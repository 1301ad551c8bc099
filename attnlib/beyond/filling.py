r"""Fill in the blank: an encoder alone, trained on masked words (BERT, Devlin et al. 2019).

`LanguageModel` with the window `Causal` writes on from what was written. With `Everywhere` a word
sees both sides, and could see itself, so there is nothing to predict; unless it is hidden. Devlin
et al. (section 3.1, "masked LM") choose 15 % of the tokens and ask for those alone; what is read in
their place is a mask (80 %), a random word (10 %), or the word itself (10 %), since no mask is ever
read later, when the encoder serves other tasks. Nothing else is new.

A token is a word here, in small letters and without punctuation: one blank is one word. (Of a word
in several subwords the others would give it away, and a blank would have to say its number.)
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attnlib.beyond.teaching import descend
from attnlib.data.batches import by_tokens, pad
from attnlib.data.tokenizer import BOS, EOS, SPECIALS, UNK
from attnlib.data.toy import Vocabulary
from attnlib.masks import padding_mask
from attnlib.transformer import LanguageModel

MASK = len(SPECIALS)  # the id of the blank
CHOSEN, HIDDEN, RANDOM = 0.15, 0.8, 0.1  # of the tokens; of the chosen ones
WORD = re.compile(r"\w+(?:['’-]\w+)*")
_FUNCTION = """
a an the this that these those each every some any no all both another other one two three four
five six several many few i you he she it we they him her them his its their our my your himself
herself itself themselves who whom whose which what where when and or but nor so as if while
because although than of in on at by for with without from to into onto out off over under above
below behind beside between among through across along around against near up down about after
before during toward towards upon within inside outside amongst amidst atop is are was were be
been being am has have had having do does did can could will would shall should may might must not
n't there here then
"""
FUNCTION = frozenset(_FUNCTION.split())  # function words; all others are content words


# Words ----------------------------------------------------------------------------------------


def split(text: str) -> list[str]:
    """The words of a text, in small letters.

    >>> split("A man's T-shirt, red.")
    ['a', "man's", 't-shirt', 'red']
    """
    return WORD.findall(text.lower())


def vocabulary(texts: Iterable[str], least: int = 5) -> Vocabulary:
    """The blank, then all words that occur at least so often, the frequent ones first."""
    counts = Counter(word for text in texts for word in split(text))
    kept = sorted((-count, word) for word, count in counts.items() if count >= least)
    return Vocabulary(["<mask>", *(word for _, word in kept)])


class Sentences(NamedTuple):
    """N sentences from <s> to </s>, padded: ids (N, T) and lengths (N,)."""

    ids: Tensor
    lengths: Tensor

    @property
    def are_words(self) -> Tensor:
        """True where there is a word, known or not: (N, T)."""
        real = padding_mask(self.lengths, self.ids.shape[1])
        return real & (self.ids != BOS) & (self.ids != EOS)

    def rows(self, rows: Tensor) -> "Sentences":
        """Some of them, without padding that none of these needs."""
        lengths = self.lengths[rows]
        return Sentences(self.ids[rows, : int(lengths.max())], lengths)


def encode(texts: Sequence[str], words: Vocabulary) -> Sentences:
    """Texts as ids; a word that the vocabulary lacks is <unk>.

    >>> encode(["A dog."], Vocabulary(["<mask>", "a", "dog"])).ids
    tensor([[1, 5, 6, 2]])
    """
    ids = {word: i for i, word in enumerate(words.words) if i > MASK}
    return Sentences(*pad([[BOS, *(ids.get(w, UNK) for w in split(t)), EOS] for t in texts]))


# Training -------------------------------------------------------------------------------------


def hide(
    said: Sentences, vocab_size: int, generator: torch.Generator, share: float = CHOSEN
) -> tuple[Tensor, Tensor]:
    """What is read, and where the loss is (Devlin et al. 2019, section 3.1 and appendix A.1).

    Parameters
    ----------
    said : Sentences
        Of N; <s>, </s> and padding are never chosen.
    vocab_size : int
        V; random words are drawn from MASK + 1 to V - 1, each as likely.
    generator : torch.Generator
    share : float
        Of the words that are chosen. (Wettig et al. 2023: with 40 % large models learn more.)

    Returns
    -------
    read : Tensor of shape (N, T)
        The ids, some of the chosen ones replaced.
    chosen : boolean Tensor of shape (N, T)
    """
    draw, how = torch.rand((2, *said.ids.shape), generator=generator)
    chosen = (draw < share) & said.are_words
    others = torch.randint(MASK + 1, vocab_size, said.ids.shape, generator=generator)
    read = said.ids.where(~chosen | (how >= HIDDEN), torch.tensor(MASK))
    swapped = chosen & (how >= HIDDEN) & (how < HIDDEN + RANDOM)
    return others.where(swapped, read), chosen


def masked_loss(
    model: LanguageModel, said: Sentences, generator: torch.Generator, share: float = CHOSEN
) -> Tensor:
    """The mean -log p of a chosen word, in nats."""
    read, chosen = hide(said, len(model.embedding.weight), generator, share)
    vectors = model.hidden_forward(read, said.lengths)
    return cross_entropy(model.output(vectors[chosen]), said.ids[chosen])


def next_loss(model: LanguageModel, said: Sentences, generator: torch.Generator) -> Tensor:
    """Of a causal model: the mean -log p of every word and of </s>, given those before it."""
    vectors = model.hidden_forward(said.ids[:, :-1])
    asked = padding_mask(said.lengths - 1, said.ids.shape[1] - 1)
    return cross_entropy(model.output(vectors[asked]), said.ids[:, 1:][asked])


def fit(
    model: LanguageModel,
    said: Sentences,
    loss: Callable[[LanguageModel, Sentences, torch.Generator], Tensor] = masked_loss,
    updates: int = 4000,
    lr: float = 0.003,
    tokens: int = 1000,
    seed: int = 0,
) -> LanguageModel:
    """Train with Adam on `masked_loss` or `next_loss`; the model comes back, to be evaluated.

    The rate rises for a twentieth of the updates (`teaching.descend`). A batch has sentences of
    similar length, of some `tokens` words. `seed` decides on their order, on what is hidden and on
    dropout.
    """
    generator, rng = torch.Generator().manual_seed(seed), random.Random(seed)
    batches: list[list[int]] = []

    def lost(update: int) -> Tensor:
        if not batches:  # once more through all sentences, shuffled anew
            lengths = [((), range(length)) for length in said.lengths.tolist()]
            batches.extend(by_tokens(lengths, tokens, rng))
        return loss(model, said.rows(torch.tensor(batches.pop())), generator)

    return descend(model, lost, updates, lr, updates // 20, seed)


# Blanks ---------------------------------------------------------------------------------------


class Blanks(NamedTuple):
    """N sentences with one blank each."""

    said: Sentences  # with MASK at the blank
    places: Tensor  # (N,), where the blank is; <s> is place 0
    words: Tensor  # (N,), what was there


def blanks(said: Sentences) -> Blanks:
    """Every word of every sentence in turn; words that the vocabulary lacks are not asked for."""
    rows, places = (said.are_words & (said.ids != UNK)).nonzero(as_tuple=True)
    ids, words = said.ids[rows].clone(), said.ids[rows, places]
    ids[torch.arange(len(rows)), places] = MASK
    return Blanks(Sentences(ids, said.lengths[rows]), places, words)


def some(asked: Blanks, rows: Tensor) -> Blanks:
    """Some of the blanks."""
    return Blanks(asked.said.rows(rows), asked.places[rows], asked.words[rows])


@torch.no_grad()
def fill(model: LanguageModel, asked: Blanks, causal: bool = False, batch: int = 500) -> Tensor:
    """Log-probabilities (N, V) of each word in the blank.

    A `causal` model is given the words before the blank; whatever comes after it has no say.
    """
    found = []
    for rows in torch.arange(len(asked.places)).split(batch):
        part = some(asked, rows)
        vectors = model.hidden_forward(part.said.ids, None if causal else part.said.lengths)
        at = vectors[torch.arange(len(rows)), part.places - int(causal)]
        found.append(model.output(at).log_softmax(-1))
    return torch.cat(found)


@torch.no_grad()
def rescore(model: LanguageModel, asked: Blanks, candidates: Tensor) -> Tensor:
    """Of a causal model: log p of the whole sentence with each candidate (N, K) in it: (N, K).

    So it uses both sides, at the cost of reading K sentences.
    """
    found = []
    for n, words in enumerate(candidates):
        part = some(asked, torch.tensor([n]))
        ids = part.said.ids.repeat(len(words), 1)
        ids[:, part.places[0]] = words
        log_p = model(ids[:, :-1]).log_softmax(-1).gather(2, ids[:, 1:].unsqueeze(-1))
        found.append(log_p[..., 0].sum(1))
    return torch.stack(found)


def right(scores: Tensor, words: Tensor, among: int = 1) -> Tensor:
    """Whether the word (N,) is among the so many best of scores (N, V): (N,) bool.

    >>> scores = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    >>> right(scores, torch.tensor([1, 2])), right(scores, torch.tensor([1, 2]), among=2)
    (tensor([ True, False]), tensor([True, True]))
    """
    return (scores.topk(among, -1).indices == words.unsqueeze(1)).any(1)


@torch.no_grad()
def looks(model: LanguageModel, asked: Blanks, batch: int = 500) -> Tensor:
    """The shares of a blank's attention on its left, on itself and on its right: (L, H, 3)."""
    total = torch.zeros(())
    for rows in torch.arange(len(asked.places)).split(batch):
        part = some(asked, rows)
        maps = model.attention_maps(part.said.ids, part.said.lengths)  # (B, L, H, T, T)
        row = maps[torch.arange(len(rows)), ..., part.places, :]  # (B, L, H, T)
        way = torch.arange(row.shape[-1]) - part.places.unsqueeze(1)  # (B, T)
        sides = torch.stack([way < 0, way == 0, way > 0], -1).to(row)  # (B, T, 3)
        total = total + torch.einsum("blht,btk->lhk", row, sides)
    return total / len(asked.places)


# Counting -------------------------------------------------------------------------------------


class Neighbours:
    """Fill a blank from the words beside it, by counting in the training sentences.

    Parameters
    ----------
    said : Sentences
    vocab_size : int
        V.
    """

    def __init__(self, said: Sentences, vocab_size: int):
        self.counts = torch.zeros(vocab_size)  # (V,)
        after: dict = defaultdict(Counter)  # what came after a word, before one, between two
        before: dict = defaultdict(Counter)
        between: dict = defaultdict(Counter)
        for ids, length in zip(said.ids.tolist(), said.lengths.tolist(), strict=True):
            for left, word, next_ in zip(ids, ids[1 : length - 1], ids[2:length], strict=False):
                after[left][word] += 1
                before[next_][word] += 1
                between[left, next_][word] += 1
                self.counts[word] += 1
        self.after, self.before, self.between = after, before, between
        self.counts[UNK] = 0

    def fill(self, asked: Blanks) -> dict[str, Tensor]:
        r"""Scores (N, V), to be compared within a row.

        ``commonest``: how often the word occurs; ``before``: how often after the word on the left;
        ``after``: how often before the word on the right;
        ``both``: :math:`p(w \\mid l)\\, p(r \\mid w)`, each count raised by a little of the word's
        share of the text; ``between``: how often between these two words, and where that decides
        nothing as ``both``.
        """
        share = self.counts / self.counts.sum()
        found = defaultdict(list)
        N = torch.arange(len(asked.places))
        lefts, rights = (asked.said.ids[N, asked.places + by].tolist() for by in (-1, 1))
        for left, next_ in zip(lefts, rights, strict=True):
            on_left, on_right, inside = (
                self._counted(where.get(key, {}))
                for where, key in (
                    (self.after, left),
                    (self.before, next_),
                    (self.between, (left, next_)),
                )
            )
            both = (on_left + share) * (on_right + share) / self.counts.clamp(min=1)
            both = both / both.sum()
            found["commonest"].append(share)
            found["before"].append(on_left + share)
            found["after"].append(on_right + share)
            found["both"].append(both)
            found["between"].append(inside + both)
        return {name: torch.stack(rows) for name, rows in found.items()}

    def _counted(self, counts) -> Tensor:
        vector = torch.zeros_like(self.counts)
        for word, count in counts.items():
            if word != UNK:
                vector[word] = count
        return vector

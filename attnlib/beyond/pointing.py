r"""Pointer networks: the weights are the output (Vinyals et al. 2015).

A translator chooses its words from a vocabulary. Where the answer is a list of places in the input,
as in sorting, the vocabulary would have to have a word for each place, and a list longer than those
of the training would need words that were never learned. But attention makes a distribution over
the input already, however long it is. So the pointer network is Luong's decoder with its output
thrown away:

.. math:: u_{ij} = v^\top \tanh(W_1 e_j + W_2 d_i), \qquad
          p(C_i = j \mid C_1, …, C_{i-1}) = \mathrm{softmax}_j\, u_{ij}

(eq. 3), an additive score, asked after the step; what is fed to the next step is the thing that was
pointed to. `attnlib.data.points` has the tasks.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from attnlib.attention import Attention
from attnlib.block import Block
from attnlib.data.points import Lists, enclosed
from attnlib.scores import AdditiveScore
from attnlib.seq2seq import RecurrentDecoder, RecurrentEncoder, RecurrentMemory

READERS = ("recurrent", "set")
SAYS = ("pointer", "word")
HEADS = 4  # of the reader of sets


class Pointed(NamedTuple):
    """What a pointer network says of N lists, step by step."""

    log_p: Tensor  # (N, T, S) of the places; of a vocabulary of P places, (N, T, P)
    weights: Tensor  # (N, T, S)


class SetReader(nn.Module):
    """Self-attention without positions: what it says of a thing does not depend on the order.

    Two transformer blocks; the summary is the mean (in the way of `RecurrentEncoder`).
    """

    def __init__(self, width: int, blocks: int = 2):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, HEADS, 2 * width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Read things (N, S, D) of a mask (N, S): annotations (N, S, D) and a summary (N, D)."""
        x = embedded
        for block in self.blocks:
            x, *_ = block(x, mask.unsqueeze(1))
        x = self.norm(x) * mask.unsqueeze(-1)
        return x, x.sum(1) / mask.sum(1, keepdim=True)


class PointerNetwork(nn.Module):
    """Read a list, then point to its things one after another.

    Parameters
    ----------
    features : int
        Numbers a thing, F.
    width : int
        D, of everything; a multiple of 4.
    reader : "recurrent" or "set"
        A bidirectional GRU, which reads the things in the order in which they stand; or
        self-attention without positions.
    says : "pointer" or "word"
        What a step says: the weights; or one of `places` words, "first", "second" and so on, read
        off the same decoder's attentional vector as a translator's words are. The attention is the
        same.
    places : int
        The number of such words.

    Raises
    ------
    ValueError
        If `reader` or `says` is unknown.
    """

    def __init__(
        self,
        features: int,
        width: int = 64,
        reader: str = "recurrent",
        says: str = "pointer",
        places: int = 20,
    ):
        super().__init__()
        for name, value, known in (("reader", reader, READERS), ("says", says, SAYS)):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}: one of {', '.join(known)}")
        self.embed = nn.Linear(features, width)
        self.first = nn.Parameter(torch.zeros(width))  # what is fed to the first step
        self.reader: nn.Module
        if reader == "recurrent":
            self.reader = RecurrentEncoder(width, width // 2)
        else:
            self.reader = SetReader(width)
        self.decoder = RecurrentDecoder(
            width,
            width,
            annotation_dim=width,
            attention=Attention(AdditiveScore(width, width, width)),
            timing="after",
            feeding="none",
        )
        self.word = nn.Linear(width, places) if says == "word" else None

    def read(self, embedded: Tensor, lists: Lists) -> RecurrentMemory:
        """What the decoder knows of embedded things (N, S, D)."""
        if isinstance(self.reader, RecurrentEncoder):
            annotations, summary = self.reader(embedded, lists.lengths)
        else:
            annotations, summary = self.reader(embedded, lists.mask)
        attention = self.decoder.attention
        assert attention is not None  # this decoder has one
        prepared = attention.score.prepare(annotations)
        return RecurrentMemory(annotations, prepared, lists.mask, summary)

    def says(self, vector: Tensor, weights: Tensor) -> Tensor:
        """Log-probabilities of a step, from its attentional vector and its weights."""
        if self.word is not None:
            return self.word(vector).log_softmax(-1)
        return weights.clamp(min=torch.finfo(weights.dtype).tiny).log()

    def forward(self, lists: Lists) -> Pointed:
        """All steps, each given the right things before it (teacher forcing).

        Raises
        ------
        ValueError
            If there is no word for a place to point to.
        """
        if self.word is not None and lists.targets.max() >= self.word.out_features:
            raise ValueError(
                f"there are words for {self.word.out_features} places, got a list of "
                f"{lists.things.shape[1]}: make the network with more `places`"
            )
        embedded = self.embed(lists.things)
        memory = self.read(embedded, lists)
        before = _taken(embedded, lists.targets[:, :-1])
        fed = torch.cat([self.first.expand(len(lists), 1, -1), before], 1)  # (N, T, D)
        vectors, weights = self.decoder(fed, memory)
        return Pointed(self.says(vectors, weights), weights)

    @torch.no_grad()
    def point(
        self, lists: Lists, steps: int, once: bool = False, closing: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Point so many times, each time to what is likeliest.

        Parameters
        ----------
        lists : Lists
            Of N; the targets are not looked at.
        steps : int
            T.
        once : bool
            Hide what was pointed to before. Of words this hides what they attend to, no word.
        closing : bool
            With `once`, leave the first thing to be pointed to again.

        Returns
        -------
        places : Tensor of shape (N, T)
            A word may name a place that the list does not have; the last thing is fed for it.
        weights : Tensor of shape (N, T, S)
        """
        embedded = self.embed(lists.things)
        memory = self.read(embedded, lists)
        state, fed = self.decoder.start(memory), self.first.expand(len(lists), -1)
        places, weights = [], []
        for step in range(steps):
            vector, a, state = self.decoder.step(fed, state, memory)
            place = self.says(vector, a).argmax(-1)
            places.append(place)
            weights.append(a)
            there = torch.minimum(place, lists.lengths - 1).unsqueeze(1)
            fed = _taken(embedded, there)[:, 0]
            if once and not (closing and step == 0):
                memory = memory._replace(mask=memory.mask.scatter(1, there, False))
        return torch.stack(places, 1), torch.stack(weights, 1)


def _taken(things: Tensor, places: Tensor) -> Tensor:
    """The things (N, S, D) at places (N, T): (N, T, D)."""
    return things.gather(1, places.unsqueeze(-1).expand(-1, -1, things.shape[-1]))


def loss(model: PointerNetwork, lists: Lists) -> Tensor:
    """The mean -log p of a place, in nats."""
    log_p = model(lists).log_p.gather(2, lists.targets.unsqueeze(-1)).squeeze(-1)
    return -log_p[lists.asked].mean()


def fit(
    model: PointerNetwork,
    lists: Lists,
    updates: int = 4000,
    lr: float = 0.003,
    batch: int = 64,
    seed: int = 0,
) -> PointerNetwork:
    """Train with Adam, its rate falling to zero in a line; the model comes back."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)
    for _ in range(updates):
        lost = loss(model, lists[torch.randint(len(lists), (batch,), generator=generator)])
        optimiser.zero_grad()
        lost.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        falling.step()
    return model


def marks(
    model: PointerNetwork, lists: Lists, closing: bool = False, once: bool = False
) -> dict[str, float]:
    """How good the answers are.

    Parameters
    ----------
    lists : Lists
    closing : bool
        An answer ends where it comes back to its first thing (`points.hulls`); otherwise when it
        has named as many places as there are things (`points.numbers`).
    once : bool
        As in `PointerNetwork.point`.

    Returns
    -------
    dict
        ``exact``: the share of lists with all places right, and the end; ``right``: of the places
        of the right answers, the share that was said at its step; ``valid``: the share of lists
        where what is named is there, nothing is named twice, and a fence has three corners and
        closes. Of points also ``area``: what a fence around the named ones encloses, as a share of
        what it should, mean over the lists.
    """
    steps = lists.things.shape[1] + closing
    named = model.point(lists, steps, once, closing)[0].tolist()
    exact, right, valid, areas = [], 0, [], []
    for n, (length, asked) in enumerate(zip(lists.lengths.tolist(), lists.steps.tolist())):
        wanted = lists.targets[n, :asked].tolist()
        answer = named[n][:length]
        if closing:
            answer = _until_it_closes(named[n][: length + 1])
        right += sum(x == y for x, y in zip(answer, wanted))
        exact.append(answer == wanted)
        different = answer[:-1] if closing else answer
        closed = not closing or (len(answer) > 3 and answer[0] == answer[-1])
        valid.append(closed and max(answer) < length and len(set(different)) == len(different))
        if closing:
            things = lists.things[n].tolist()
            inside, whole = (
                enclosed([things[i] for i in set(places) if i < length])
                for places in (answer, wanted)
            )
            areas.append(inside / whole)
    found = {"exact": _mean(exact), "right": right / int(lists.steps.sum()), "valid": _mean(valid)}
    return found | ({"area": _mean(areas)} if closing else {})


def _until_it_closes(places: list[int]) -> list[int]:
    """Up to where the first place comes again; all of them if it never does."""
    return places[: places.index(places[0], 1) + 1] if places[0] in places[1:] else places


def _mean(values: list) -> float:
    return sum(values) / len(values)

"""What the book says of looks at mosaics: how many photographs are left, worked by hand."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import photographs
import pytest
import torch

from attnlib import pretrained, settings
from attnlib.data import mosaics
from attnlib.data.grammar import Thing

MOSAICS = mosaics.Mosaics("test", tile=48)
# Apples top left, kiwis bottom left, plums bottom right: tiles 0, 2 and 3.
THREE = Thing("apples", 24, 24), Thing("kiwis", 24, 72), Thing("plums", 72, 72)


def nouns(text: str, things=THREE):
    return photographs.Nouns(things, MOSAICS.grammar.link(text, things), MOSAICS)


@pytest.mark.parametrize(
    "text, left",
    [
        ("kiwis below apples", [[0, 2, 3], [0]]),
        ("apples above kiwis", [[0, 2, 3], [2, 3]]),
        ("plums right of kiwis and below apples", [[0, 2, 3], [0, 2], [0]]),
        ("apples left of plums and above kiwis", [[0, 2, 3], [3], [2]]),  # the plums are named
    ],
)
def test_the_words_leave_what_they_leave_by_hand(text, left):
    assert nouns(text).left == left


def test_a_hit_is_counted_where_so_many_are_left():
    tiles = photographs.tile_of_cell((2, 2))  # a cell a tile
    its = nouns("apples above kiwis")
    looks = [np.eye(4)[[tile, 0, tile]] for tile in (0, 3, 1)]  # rows: apples, above, kiwis
    found = {(x["noun"], x["left"]): x for x in photographs.by_left(looks, [its] * 3, tiles)}
    assert set(found) == {("first", 3), ("later", 2)}
    first, later = found["first", 3], found["later", 2]
    assert first["nouns"] == later["nouns"] == 3
    assert first["share"] == pytest.approx(1 / 3, abs=1e-4)  # only the first look is at tile 0
    assert first["on one of them"]["share"] == pytest.approx(2 / 3, abs=1e-4)  # tile 1 is empty
    assert later["share"] == 0  # none is at tile 2
    assert later["on one of them"]["share"] == pytest.approx(1 / 3, abs=1e-4)  # tile 3


def test_the_best_guess_is_what_most_often_comes_next(monkeypatch):
    """Of the four that are counted, all begin with the apples, and three name the plums next."""
    tested, often = "apples above kiwis", "apples above plums"
    texts = [tested, often, often, *[often] * 3, tested]
    told = [(THREE, [MOSAICS.grammar.link(text, THREE)]) for text in texts]
    collection = SimpleNamespace(told=told.__getitem__, grammar=MOSAICS.grammar, tile=MOSAICS.tile)
    monkeypatch.setattr(photographs, "COUNTED", 4)
    found = photographs.guessed(collection, [nouns(text) for text in texts[:3]])
    assert found["first"]["share"] == 1
    assert found["later"]["share"] == pytest.approx(2 / 3, abs=1e-4)  # of the plums, not the kiwis


class Memory(NamedTuple):
    mask: torch.Tensor


class FirstThatIsOpen:
    """Looks at the first open tile of an order, and names the kind that lies there."""

    def __init__(self, order, kinds, vocabulary):
        self.order, self.kinds, self.vocabulary = order, kinds, vocabulary
        self.decoder, self.embedding = self, torch.nn.Embedding(len(vocabulary) + 4, 1)

    def encode(self, seen, lengths):
        return Memory(torch.ones(seen.shape[:2], dtype=torch.bool))

    def start(self, memory):
        return None

    def step(self, embedded, state, memory):
        looks = [next(tile for tile in self.order if row[tile]) for row in memory.mask]
        weights = torch.eye(4)[looks]
        return weights, weights, None

    def output(self, weights):
        logits = torch.full((len(weights), len(self.vocabulary) + 4), -99.0)
        for row, tile in zip(logits, weights.argmax(-1).tolist(), strict=True):
            said = self.kinds.get(tile, "").split()[:1]
            row[[self.vocabulary[word] for word in said] or [0]] = 99.0
        return logits


@pytest.mark.parametrize(
    "order, first",
    [
        ((0, 3, 2, 1), {("nothing", "looked at"): 1, ("what is looked at", "others"): 1}),
        ((0, 1, 2, 3), {("nothing", "looked at"): 1}),  # then at nothing: no kind is named
        ((1, 0, 2, 3), None),  # a look at no photograph is not counted
    ],
)
def test_the_word_follows_the_look_by_hand(order, first):
    """Apples, kiwis, plums are left at the first noun; at the second no look is at those left."""
    its = nouns("apples above kiwis")
    words = sorted({word for noun in mosaics.NOUNS for word in noun.split()} | {"above"})
    vocabulary = {word: 4 + i for i, word in enumerate(words)}
    model = FirstThatIsOpen(order, {0: "apples", 2: "kiwis", 3: "plums"}, vocabulary)
    loaded = SimpleNamespace(
        model=model, ids=lambda text: [vocabulary[word] for word in text.split()]
    )
    told = [(THREE, [MOSAICS.grammar.link("apples above kiwis", THREE)])] * 2
    tiles = photographs.tile_of_cell((2, 2))
    found = photographs.followed(loaded, torch.zeros(2, 4, 2), told, [its] * 2, tiles)
    shares = {(row["hidden"], row["kinds"]): row["share"] for row in found if row["nouns"] == 2}
    assert len(shares) == len(found) and {row["noun"] for row in found} <= {"first"}
    every = [(g, k) for g in ("nothing", "what is looked at") for k in ("looked at", "others")]
    assert shares == ({} if first is None else {key: first.get(key, 0) for key in every})


def test_the_first_word_follows_what_is_exchanged():
    """Against mosaics exchanged one by one: a random decoder with large weights."""
    card = pretrained.card("photographs-soft")
    torch.manual_seed(0)
    model = settings.build("captioner", card["model"]).eval()
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.mul_(6)
    tokenizer = pretrained.load(card["name"]).tokenizer
    loaded = pretrained.Pretrained("random", model, tokenizer, card)
    told = [MOSAICS.told(i) for i in range(12)]
    seen = 3 * torch.randn(12, 36, 320)
    rows = photographs.exchanged(loaded, seen, told)
    sums = {"glance": 0.0, "look": 0.0}
    for i, (things, _) in enumerate(told):
        kinds = {x.noun for x in things}
        order = [(i + k) % 12 for k in range(1, 12)]
        other = next(j for j in order if not kinds & {x.noun for x in told[j][0]})
        memories = [model.encode(seen[j : j + 1], torch.tensor([36])) for j in (i, other)]
        state = model.decoder.start(memories[0])
        begin = model.embedding(torch.tensor([1]))
        with torch.no_grad():
            vector, _, _ = model.decoder.step(begin, state, memories[1])
            chances = model.output(vector).softmax(-1)[0]
        for where, shown in (("glance", things), ("look", told[other][0])):
            sums[where] += sum(float(chances[loaded.ids(x.noun)[0]]) for x in shown) / 12
    found = {x["kinds of the"]: x["share"] for x in rows if x["look"] == "another mosaic"}
    assert found == pytest.approx(sums, abs=1e-3)
    same = next(x["share"] for x in rows if x["look"] == "the same mosaic")
    assert abs(same - found["glance"]) > 0.01 and abs(found["look"] - found["glance"]) > 0.01

"""Our transformer against `nn.Transformer` used the ordinary way, and against Joey NMT.

The same sizes, weights, sentences and batches; one thread; ratios of the processor's time, taken in
turns in one run. The first is part of PyTorch. Joey NMT and CTranslate2 are measured where they are
installed, `rivals` says how: ``make bench`` passes without them.
"""

import importlib.metadata
import random
import time

import pytest
import rivals
import torch
from test_speed import side_by_side
from torch import nn

from attnlib import pretrained
from attnlib.data.batches import by_tokens, collate, pad
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import BOS, EOS, PAD
from attnlib.decoding import ALPHA, beam_search, greedy
from attnlib.training import QUEUE, Objective

pytestmark = pytest.mark.benchmark
NAME = "en-fr-transformer"
CONFIG = QUEUE[NAME]
BATCHES = 2  # of training and, of 50 sentences each, of decoding
JOEY = "2.3.0"


def encoded():
    """How many words there are, and the validation captions as ids."""
    tokenizer = pretrained.load("en-fr-bahdanau").tokenizer
    return len(tokenizer), [[tokenizer.encode(x) for x in pair] for pair in multi30k("val")]


def version(rival):
    """What a row says of it; the test is skipped where it is not installed."""
    if rival == "nn.Transformer":
        return f"torch {torch.__version__}"
    pytest.importorskip("joeynmt")
    found = importlib.metadata.version("joeynmt")
    assert found == JOEY
    return f"joeynmt {found}"


def written(batch):
    """Targets from <s> to </s>."""
    return torch.cat([batch.target_in[:, :1], batch.target_out], 1)


@pytest.mark.parametrize("rival", ["nn.Transformer", "Joey NMT"])
def test_training_is_faster_than_a_rivals(table, rival):
    row = {"what": f"training against {rival}, target tokens/s", "rival": version(rival)}
    V, pairs = encoded()
    torch.manual_seed(0)
    model = CONFIG.build(V)
    chosen = by_tokens(pairs, CONFIG.optimisation.tokens, random.Random(0))
    batches = [collate([pairs[i] for i in next(chosen)]) for _ in range(BATCHES)]
    tokens = sum(batch.target_tokens for batch in batches)
    objective = Objective(model, CONFIG.loss.label_smoothing)

    def our_loss(batch):
        return objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)

    if rival == "nn.Transformer":
        other = rivals.Ordinary(model, CONFIG.model.dropout)
        criterion = nn.CrossEntropyLoss(
            ignore_index=PAD, label_smoothing=CONFIG.loss.label_smoothing, reduction="sum"
        )

        def logits(batch):
            return other(batch.source, batch.target_in)

        def loss(batch):
            return criterion(logits(batch).flatten(0, 1), batch.target_out.flatten())

    else:
        other = rivals.joey(model, CONFIG.model.dropout, CONFIG.loss.label_smoothing)

        def inputs(batch):
            its = rivals.joey_batch(batch.source, batch.source_lengths, written(batch))
            return {**vars(its), "return_type": "loss"}

        def logits(batch):
            its = other._encode_decode(**inputs(batch))[0]
            return its[..., rivals.joey_ids(torch.arange(V))]

        def loss(batch):
            return other(**inputs(batch))[0]

    with torch.no_grad():
        batch, real = batches[0], batches[0].target_out != PAD
        want = model.eval()(batch.source, batch.source_lengths, batch.target_in)[0]
        other.eval()
        torch.testing.assert_close(logits(batch)[real], want[real], rtol=1e-3, atol=1e-3)
    settings = {"lr": CONFIG.optimisation.lr, "betas": (0.9, CONFIG.optimisation.beta2)}
    ours = torch.optim.AdamW(model.parameters(), weight_decay=0, fused=True, **settings)
    theirs = torch.optim.Adam(other.parameters(), **settings)

    def updates(model, optimizer, loss):
        def once():
            model.train()
            for batch in batches:
                optimizer.zero_grad()
                (loss(batch) / batch.target_tokens).backward()
                nn.utils.clip_grad_norm_(model.parameters(), CONFIG.optimisation.clip)
                optimizer.step()

        return once

    fast, slow = side_by_side(
        updates(model, ours, our_loss), updates(other, theirs, loss), clock=time.process_time
    )
    row |= {"ours": round(tokens / fast), "plain": round(tokens / slow)}
    table.append(row | {"ratio": round(slow / fast, 2)})
    assert slow / fast > 1


@pytest.mark.parametrize("rival, beam", [("nn.Transformer", 1), ("Joey NMT", 1), ("Joey NMT", 5)])
def test_decoding_is_faster_than_a_rivals(table, rival, beam):
    """The shipped weights in both, so that both write the same sentences."""
    if NAME not in pretrained.names():
        pytest.skip(f"{NAME} is not trained yet")
    row = {"rival": version(rival)}
    model = pretrained.load(NAME).model
    ids = sorted((x for x, _ in encoded()[1][: 50 * BATCHES]), key=len)
    batches = [pad([[*x, EOS] for x in ids[i : i + 50]]) for i in range(0, len(ids), 50)]

    def ours():
        found = []
        for source, lengths in batches:
            limits = (2 * lengths + 10).tolist()
            if beam == 1:
                found += greedy(model, source, lengths, limits, BOS, EOS)
            else:
                results = beam_search(model, source, lengths, limits, BOS, EOS, beam)
                found += [best for best, *_ in results]
        return [hypothesis.ids for hypothesis in found]

    if rival == "nn.Transformer":
        other, end = rivals.Ordinary(model, 0.0).eval(), EOS

        def search(source, lengths):
            return other.greedy(source, int(2 * lengths.max() + 10))

    else:
        from joeynmt.search import search as joeys

        other, end = rivals.joey(model, 0.0, 0.0).eval(), int(rivals.joey_ids(torch.tensor(EOS)))

        def search(source, lengths):
            batch = rivals.joey_batch(source, lengths)
            longest = int(2 * lengths.max() + 10)
            return joeys(other, batch, longest, beam_size=beam, beam_alpha=ALPHA)[0]

    def theirs():
        rows = [row for batch in batches for row in search(*batch).tolist()]
        return [row[: row.index(end)] if end in row else row for row in rows]

    same = sum(a == b for a, b in zip(ours(), theirs(), strict=True))
    assert same >= 0.9 * len(ids), f"{same} of {len(ids)}: they end their searches differently"
    fast, slow = side_by_side(ours, theirs, rounds=3, clock=time.process_time)
    how = "greedy" if beam == 1 else f"beam {beam}"
    row = {"what": f"{how} against {rival}, sentences/s"} | row
    row |= {"ours": round(len(ids) / fast, 1), "plain": round(len(ids) / slow, 1)}
    table.append(row | {"ratio": round(slow / fast, 2)})
    assert slow / fast > 1


@pytest.mark.parametrize("beam", [1, 5])
def test_translating_beside_an_engine_made_for_it(table, beam, tmp_path):
    """All of ours, from text to text with its weights, against CTranslate2's, from ids to ids."""
    pytest.importorskip("ctranslate2")
    found = importlib.metadata.version("ctranslate2")
    loaded = pretrained.load(NAME)
    sentences = multi30k("test_2016_flickr").source[::4]
    engine = rivals.ctranslate2(loaded.model, str(tmp_path))
    given = [[str(i) for i in (*loaded.ids(sentence), EOS)] for sentence in sentences]

    def ours():
        return [found.target_tokens for found in loaded.translate(sentences, beam=beam)]

    def theirs():
        found = engine.translate_batch(
            given, beam_size=beam, length_penalty=ALPHA, max_batch_size=32
        )
        return [[int(word) for word in each.hypotheses[0]] for each in found]

    pairs = zip(ours(), theirs(), strict=True)
    same = sum(written == loaded.tokenizer.tokens(ids) for written, ids in pairs)
    assert same >= (1 if beam == 1 else 0.9) * len(sentences)  # its length penalty is another
    fast, slow = side_by_side(ours, theirs, clock=time.process_time)
    how = "greedy" if beam == 1 else f"beam {beam}"
    row = {"what": f"{how} against CTranslate2, sentences/s", "rival": f"ctranslate2 {found}"}
    row |= {"ours": round(len(sentences) / fast, 1), "plain": round(len(sentences) / slow, 1)}
    table.append(row | {"ratio": round(slow / fast, 2)})
    assert slow / fast > (0.45 if beam == 1 else 0.55)

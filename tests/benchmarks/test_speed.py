"""Speed and memory as ratios, measured side by side: ``make bench``.

Each pair is timed in turns in one run, so that a busy machine slows both; the median of the ratios
counts. The table goes to ``book/results/benchmarks.json``, which the appendix prints.
"""

import random
import statistics
import time
from collections.abc import Callable

import plain
import pytest
import torch

from attnlib.attention import Attention
from attnlib.data import images, scenes
from attnlib.data.batches import collate, pad
from attnlib.data.tokenizer import EOS, PAD
from attnlib.decoding import beam_search, greedy
from attnlib.linear import linear
from attnlib.multihead import MultiHeadAttention
from attnlib.settings import SCORES, make_score, make_translator, make_window
from attnlib.training import QUEUE, Objective, bf16_products

pytestmark = pytest.mark.benchmark
V, PAIRS = 8000, 64


def translator():
    torch.manual_seed(0)
    return make_translator(V)


def sentences(count=PAIRS, seed=0):
    """Pairs about as long as Multi30k's."""
    rng = random.Random(seed)

    def ids():
        return [rng.randrange(4, V) for _ in range(rng.randint(8, 20))]

    return [(ids(), ids()) for _ in range(count)]


def side_by_side(ours, theirs, rounds=5, clock: Callable[[], float] = time.perf_counter):
    """Median seconds of both, run in turns after one of each unmeasured."""
    seconds = {ours: [], theirs: []}
    for i in range(rounds + 1):
        for run in (ours, theirs):
            start = clock()
            run()
            if i:
                seconds[run].append(clock() - start)
    return [statistics.median(seconds[run]) for run in (ours, theirs)]


def bytes_held(forward):
    """What a forward pass keeps for the gradient; the same memory counts once."""
    sizes = {}

    def note(tensor):
        sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = forward()  # alive until all is counted: no address is used twice
    del kept
    return sum(sizes.values())


def test_a_training_step_is_faster_than_the_plain_one(table):
    model, batch = translator(), collate(sentences())
    objective = Objective(model, 0.1)

    def ours():
        model.zero_grad()
        objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out).backward()

    def theirs():
        model.zero_grad()
        plain.loss(model, batch, 0.1).backward()

    ours()
    gradients = [p.grad.clone() for p in model.parameters()]
    theirs()
    for got, want in zip(gradients, (p.grad for p in model.parameters()), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)  # the same sums
    fast, slow = side_by_side(ours, theirs)
    table.append(
        {
            "what": "training step, target tokens/s",
            "ours": round(batch.target_tokens / fast),
            "plain": round(batch.target_tokens / slow),
            "ratio": round(slow / fast, 2),
        }
    )
    assert slow / fast >= 1.5


def test_where_a_training_step_spends_its_time(table):
    """Forward and backward of the encoder, of encoder and decoder, and of everything."""
    model, batch = translator(), collate(sentences())
    objective = Objective(model, 0.1)
    inputs = (batch.source, batch.source_lengths)

    def encoder():
        model.encode(*inputs).annotations.sum().backward()

    def decoder():
        model.hidden_forward(*inputs, batch.target_in)[0].sum().backward()

    def everything():
        objective(*inputs, batch.target_in, batch.target_out).backward()

    encoding, whole = side_by_side(encoder, everything)
    decoding, _ = side_by_side(decoder, everything)
    parts = {
        "encoder": encoding / whole,
        "decoder's steps": (decoding - encoding) / whole,
        "output layer and loss": 1 - decoding / whole,
    }
    for name, share in parts.items():
        table.append({"what": f"share of a training step: {name}", "ratio": round(share, 2)})
    assert all(0 < share < 1 for share in parts.values())


def test_batched_beam_search_is_faster_than_one_sentence_at_a_time(table):
    model = translator().eval()
    encoded = [source for source, _ in sentences(16, seed=1)]
    source, lengths = pad([[*ids, EOS] for ids in encoded])
    limit = 20

    def ours():
        return beam_search(model, source, lengths, limit, beam=5)

    def theirs():
        return [plain.beam_search(model, ids, 5, limit) for ids in encoded]

    fast, slow = side_by_side(ours, theirs, rounds=2)
    table.append(
        {
            "what": "beam 5, sentences/s",
            "ours": round(len(encoded) / fast, 1),
            "plain": round(len(encoded) / slow, 1),
            "ratio": round(slow / fast, 2),
        }
    )
    assert slow / fast >= 4


@torch.no_grad()
@pytest.mark.parametrize("D, words", [(128, 128), (128, V)])
def test_a_product_without_gradients_is_not_slower_than_pytorchs(table, D, words):
    """Of 250 rows, as in a step of decoding; on an AMD processor it takes half the time."""
    torch.manual_seed(0)
    x, weight, bias = torch.randn(250, D), torch.randn(words, D), torch.randn(words)

    def run(product):
        def often():
            for _ in range(50):
                product(x, weight, bias)

        return often

    ours, theirs = run(linear), run(torch.nn.functional.linear)
    fast, slow = side_by_side(ours, theirs, clock=time.process_time)
    table.append(
        {
            "what": f"product without gradients, 250 x {D} by {D} x {words}",
            "ours": f"{20 * fast:.3f} ms",
            "plain": f"{20 * slow:.3f} ms",
            "ratio": round(slow / fast, 2),
        }
    )
    assert fast < 1.2 * slow


@pytest.mark.parametrize("name", SCORES)
def test_time_and_memory_of_a_score_beside_the_dot_product(table, name):
    """The additive score holds (B, T, S, A) numbers for the gradient, the dot product none."""
    B, T, S, D = 16, 40, 40, 128
    torch.manual_seed(0)
    queries, keys = torch.randn(B, T, D), torch.randn(B, S, D)
    sizes = {"query_dim": D, "key_dim": D, "hidden_dim": D, "max_source": S}
    score, dot = make_score(name, **sizes), make_score("dot", **sizes)

    def run(module):
        def once():
            module(queries.requires_grad_(), keys.requires_grad_()).sum().backward()

        return once

    if name == "dot":
        return
    ours, theirs = side_by_side(run(score), run(dot))
    held = {}
    for module in (score, dot):
        sizes = []

        def note(tensor, sizes=sizes):
            sizes.append(tensor.numel() * tensor.element_size())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            module(queries, keys)
        held[module] = sum(sizes)
    row = {"what": f"{name} score against dot", "ours": f"{held[score] / 2**20:.1f} MB held"}
    row |= {"plain": f"{held[dot] / 2**20:.1f} MB held"}
    table.append(row | {"ratio": round(held[score] / held[dot], 2)})
    table.append(
        {
            "what": f"{name} score against dot, time",
            "ours": f"{1000 * ours:.1f} ms",
            "plain": f"{1000 * theirs:.1f} ms",
            "ratio": round(ours / theirs, 2),
        }
    )
    assert held[score] > 0


@pytest.mark.parametrize("window", ["monotonic", "predictive"])
@pytest.mark.parametrize("S", [50, 200, 500, 2000])
def test_a_local_step_costs_the_same_however_long_the_source(table, window, S):
    """One decoder step, forwards and backwards, D = 10: O(D) against O(S)."""
    B, D = 16, 256
    torch.manual_seed(0)
    query, keys = torch.randn(B, 1, D, requires_grad=True), torch.randn(B, S, D, requires_grad=True)
    score = make_score("additive", D, D, hidden_dim=D)
    prepared = score.prepare(keys).detach()  # once a sentence, not once a step
    local = Attention(score, make_window(window, query_dim=D, hidden_dim=D))
    everywhere = Attention(score)

    def step(attention):
        def once():
            contexts, _ = attention(query, keys, keys.detach(), prepared=prepared, start=S // 2)
            contexts.sum().backward()

        return once

    ours, theirs = side_by_side(step(local), step(everywhere), rounds=15)
    table.append(
        {
            "what": f"{window} step against everywhere, {S} keys",
            "ours": f"{1000 * ours:.2f} ms",
            "plain": f"{1000 * theirs:.2f} ms",
            "ratio": round(ours / theirs, 2),
        }
    )
    assert S < 2000 or ours < 0.5 * theirs


DIALS = [
    {"score": score, "window": window, "timing": timing, "feeding": feeding}
    for score in ("dot", "general", "additive", "location")
    for window in ("everywhere", "monotonic", "predictive")
    for timing, feeding in (("before", "context"), ("after", "input"))
]
DIALS += [  # the other settings of a dial, one at a time
    {"score": score, "window": "everywhere", "timing": "before", "feeding": feeding, **more}
    for score, feeding, more in (
        ("scaled_dot", "context", {}),
        ("cosine", "context", {}),
        ("concat", "context", {}),
        ("additive", "none", {}),
        ("additive", "context", {"selection": "hard"}),
        ("additive", "context", {"selection": "gumbel"}),
    )
]


@pytest.mark.parametrize("dials", DIALS, ids=lambda dials: "-".join(dials.values()))
def test_no_setting_costs_three_times_global_dot(table, dials):
    """A training step on the same batch; after with input feeding needs a readout a step."""
    batch = collate(sentences())

    def step(model):
        objective = Objective(model, 0.1)

        def once():
            model.zero_grad()
            loss = objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
            loss.backward()

        return once

    torch.manual_seed(0)
    common = {"vocab_size": V, "decoder_hidden": 512}  # dot needs equal widths
    setting = make_translator(**common, **dials)
    plainest = make_translator(**common, score="dot")
    ours, theirs = side_by_side(step(setting), step(plainest), rounds=3)
    table.append(
        {
            "what": f"step: {', '.join(dials.values())}",
            "ours": f"{1000 * ours:.0f} ms",
            "plain": f"{1000 * theirs:.0f} ms",
            "ratio": round(ours / theirs, 2),
        }
    )
    assert ours < 3 * theirs


# Only attention -------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [256, 1024, 4096])
def test_attention_by_length_naive_fused_and_windowed(table, T):
    """Self-attention, forwards and backwards, with weights, without, and within 10 keys."""
    B, H, D = 1, 2, 64
    torch.manual_seed(0)
    x = torch.randn(B, T, D, requires_grad=True)
    whole = MultiHeadAttention(D, H)
    local = MultiHeadAttention(D, H, make_window("monotonic", reach=10))
    local.load_state_dict(whole.state_dict())
    kinds = {"naive": (whole, True), "fused": (whole, False), "windowed": (local, False)}

    def run(kind):
        attention, need_weights = kinds[kind]

        def once():
            attention(x, x, x, need_weights=need_weights)[0].sum().backward()

        return once

    def forward(kind):
        attention, need_weights = kinds[kind]
        return lambda: attention(x, x, x, need_weights=need_weights)

    held = {kind: bytes_held(forward(kind)) for kind in kinds}
    ratios = {}
    for kind in ("fused", "windowed"):
        fast, slow = side_by_side(run(kind), run("naive"), rounds=3)
        ratios[kind] = slow / fast
        table.append(
            {
                "what": f"{kind} attention against naive, {T} positions",
                "ours": f"{1000 * fast:.1f} ms",
                "plain": f"{1000 * slow:.1f} ms",
                "ratio": round(slow / fast, 2),
            }
        )
        table.append(
            {
                "what": f"{kind} attention against naive, {T} positions, memory",
                "ours": f"{held[kind] / 2**20:.1f} MB held",
                "plain": f"{held['naive'] / 2**20:.1f} MB held",
                "ratio": round(held["naive"] / held[kind], 2),
            }
        )
    assert T < 1024 or (ratios["fused"] > 1 and held["fused"] < held["naive"] / 4)
    assert T < 4096 or ratios["windowed"] > 1


def test_decoding_with_a_cache_is_faster_at_100_tokens(table):
    """Greedy, 32 sentences of 20 words; a transformer of the size in the queue."""
    torch.manual_seed(0)
    model = QUEUE["en-fr-transformer"].build(V).eval()
    with torch.no_grad():
        model.bias[EOS] = -1e9  # an untrained model does not know when to end
    source, lengths = torch.randint(4, V, (32, 20)), torch.full((32,), 20)

    def run(which):
        return lambda: greedy(which, source, lengths, max_length=100)

    written = [[h.ids for h in run(which)()] for which in (model, plain.Uncached(model))]
    same = sum(ours == theirs for ours, theirs in zip(*written, strict=True))
    assert same >= 30 and len(written[0][0]) == 100  # but for a tie that rounding breaks
    fast, slow = side_by_side(run(model), run(plain.Uncached(model)))
    table.append(
        {
            "what": "greedy with a cache against without, 100 tokens, tokens/s",
            "ours": round(3200 / fast),
            "plain": round(3200 / slow),
            "ratio": round(slow / fast, 2),
        }
    )
    assert slow / fast >= 5


def test_products_in_bf16_train_a_transformer_faster(table):
    """The shipped transformer's step; on a processor without bf16 nothing is gained or lost."""
    torch.manual_seed(0)
    model, batch = QUEUE["en-fr-transformer"].build(V).train(), collate(sentences(150))
    objective, tokens = Objective(model, 0.1), int((batch.target_out != PAD).sum())

    def exact():
        model.zero_grad()
        objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out).backward()

    def rough():
        with bf16_products():
            exact()

    fast, slow = side_by_side(rough, exact, rounds=9, clock=time.process_time)
    table.append(
        {
            "what": "training step of a transformer, its products in bf16, tokens/s",
            "ours": round(tokens / fast),
            "plain": round(tokens / slow),
            "ratio": round(slow / fast, 2),
        }
    )
    assert fast < 1.1 * slow


# Pictures -------------------------------------------------------------------------------------


def captioner():
    """Of the size that is shipped, and not trained."""
    torch.manual_seed(0)
    config = QUEUE["scenes-soft"]
    return config.build(len(images.tokenizer(scenes.Scenes("train").grammar.words))), config


def test_scenes_are_drawn_faster_than_they_are_learnt(table):
    """Scenes a second, captions and masks included, beside those that training goes through."""
    model, config = captioner()
    pictures = scenes.Scenes("train")
    tokenizer = images.tokenizer(pictures.grammar.words)
    batch = next(images.epoch(pictures, tokenizer, 64, config.optimisation.images))
    objective = Objective(model.train(), word_detection=config.loss.word_detection)
    numbers = iter(range(10**6))

    def draw():
        for _ in range(config.optimisation.images):
            pictures.sample(next(numbers))

    def learn(fast):
        def once():
            model.encoder_bf16 = fast
            model.zero_grad()
            loss = objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
            loss.backward()

        return once

    drawing, learning = side_by_side(draw, learn(True))
    table.append(
        {
            "what": "scenes drawn against learnt, images/s",
            "ours": round(config.optimisation.images / drawing),
            "plain": round(config.optimisation.images / learning),
            "ratio": round(learning / drawing, 2),
        }
    )
    assert drawing < learning
    fast, slow = side_by_side(learn(True), learn(False))
    table.append(
        {
            "what": "training step of a captioner, its eye in bf16, images/s",
            "ours": round(config.optimisation.images / fast),
            "plain": round(config.optimisation.images / slow),
            "ratio": round(slow / fast, 2),
        }
    )


@pytest.mark.parametrize("beam", [1, 5])
def test_captions_are_written_faster_together(table, beam):
    model = captioner()[0].eval()
    pixels = [images.as_floats(scenes.Scenes("test").sample(i).image) for i in range(64)]
    source, lengths = torch.stack(pixels), torch.full((len(pixels),), 64)
    limit = 14  # words: no more than a caption has, for an untrained model does not end by itself

    def together():
        return beam_search(model, source, lengths, limit, beam=beam)

    def one_by_one():
        return [
            beam_search(model, source[i : i + 1], lengths[i : i + 1], limit, beam=beam)[0]
            for i in range(len(source))
        ]

    fast, slow = side_by_side(together, one_by_one, rounds=3)
    table.append(
        {
            "what": f"captions/s together against one by one, beam {beam}",
            "ours": round(len(source) / fast, 1),
            "plain": round(len(source) / slow, 1),
            "ratio": round(slow / fast, 2),
        }
    )
    assert slow / fast >= 4

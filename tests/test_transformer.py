"""The transformer against the loops, PyTorch's own, and what each of its parts promises."""

import random
import re
from functools import partial

import numpy as np
import pytest
import torch
from rivals import copy_block
from torch import nn

from attnlib import pretrained, reference, storage, training, windows
from attnlib.block import NORMS
from attnlib.data import toy
from attnlib.data.batches import collate, pad
from attnlib.data.tokenizer import EOS, Tokenizer
from attnlib.decoding import Sampled, beam_search, greedy, select
from attnlib.metrics import exact_match
from attnlib.positions import Positions, Rotary, Sinusoidal
from attnlib.seq2seq import Translator
from attnlib.settings import POSITIONS, WINDOWS, make_transformer
from attnlib.training import Objective, Run, RunConfig
from attnlib.transformer import LanguageModel, Stack, Transformer

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
V = 11
SIZES = {"vocab_size": V, "width": 8, "layers": 2, "heads": 2, "feed_forward": 12}


def lively(model, seed):
    """Norms, biases and all with weights that matter, in float64."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.copy_(torch.randn(parameter.shape) * 0.5 + ("norm.weight" in name))
    torch.manual_seed(seed)
    return model.double().eval()


def transformer(seed=0, **settings):
    torch.manual_seed(seed)
    return lively(make_transformer(**SIZES | settings), seed)


def language_model(seed=0, **settings):
    torch.manual_seed(seed)
    return lively(
        make_transformer(**SIZES | {"window": "causal"} | settings, model=LanguageModel), seed
    )


def batch(*pairs):
    return collate(pairs or [([5, 6, 7, 8], [9, 10]), ([4], [3, 5, 6]), ([7, 7], [8])])


SETTINGS = [{"positions": positions, "norm": norm} for positions in POSITIONS for norm in NORMS] + [
    {"window": window, "reach": 1} for window in WINDOWS if window != "everywhere"
]
each_setting = pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values()))
)


@each_setting
def test_every_setting_trains_all_of_it_and_ignores_padding(settings):
    model, many = transformer(**settings), batch()
    model.train()
    loss = Objective(model, 0.1)(many.source, many.source_lengths, many.target_in, many.target_out)
    loss.backward()
    assert torch.isfinite(loss)
    unused = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not unused
    model.eval()
    logits, weights = model(many.source, many.source_lengths, many.target_in)
    fused, nothing = model.decode(
        model.encode(many.source, many.source_lengths), many.target_in, need_weights=False
    )
    assert nothing is None
    torch.testing.assert_close(model.output(fused), logits, **EXACT)
    for b, (S, T) in enumerate(zip(many.source_lengths, many.target_lengths, strict=True)):
        alone = model(many.source[b : b + 1, :S], S[None], many.target_in[b : b + 1, :T])
        torch.testing.assert_close(logits[b : b + 1, :T], alone[0], **EXACT)
        torch.testing.assert_close(weights[b : b + 1, :T, :S], alone[1], **EXACT)
        assert weights[b, :, S:].eq(0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


@each_setting
def test_a_step_with_a_cache_equals_the_whole(settings):
    model, many = transformer(**settings), batch()
    logits, weights = model(many.source, many.source_lengths, many.target_in)
    memory = model.encode(many.source, many.source_lengths)
    state = model.start(memory)
    for t in range(many.target_in.shape[1]):
        step_logits, step_weights, state = model.step(many.target_in[:, t], state, memory)
        torch.testing.assert_close(step_logits, logits[:, t], **EXACT)
        torch.testing.assert_close(step_weights, weights[:, t], **EXACT)


class Uncached:
    """The same model without a cache: its state is the words so far, read anew at every step."""

    def __init__(self, model):
        self.model = model

    def encode(self, source, lengths):
        return source, lengths

    def start(self, memory):
        return memory[0][:, :0]

    def step(self, token, state, memory):
        words = torch.cat([state, token.unsqueeze(1)], 1)
        logits, weights = self.model(*memory, words)
        return logits[:, -1], weights[:, -1], words


@pytest.mark.parametrize("positions", POSITIONS)
def test_searching_with_a_cache_finds_what_searching_without_does(positions):
    model, many = transformer(positions=positions), batch()
    arguments = {"source": many.source, "lengths": many.source_lengths, "max_length": 9}
    for search in (greedy, partial(beam_search, beam=3)):
        found, want = (np.ravel(search(m, **arguments)) for m in (model, Uncached(model)))
        assert [h.ids for h in found] == [h.ids for h in want]
        assert max(len(h.ids) for h in found) > 3
        for ours, theirs in zip(found, want, strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-10)
            np.testing.assert_allclose(ours.weights, theirs.weights, **EXACT)


@pytest.mark.parametrize("norm", ["before", "after"])
def test_words_that_share_a_sentence_do_as_with_a_copy_each(norm):
    model, many = transformer(norm=norm), batch()
    memory = model.encode(many.source, many.source_lengths)
    rows = torch.arange(len(many.source)).repeat_interleave(2)
    copies, state = select(memory, rows), select(model.start(memory), rows)
    apart = state
    for seed in range(3):
        words = torch.randint(4, 10, rows.shape, generator=torch.Generator().manual_seed(seed))
        got, looked, state = model.step(words, state, memory)
        want, copied, apart = model.step(words, apart, copies)
        assert looked.shape == (len(rows), many.source.shape[1])
        torch.testing.assert_close(got, want, **EXACT)
        torch.testing.assert_close(looked, copied, **EXACT)
    given = torch.randint(4, 10, (len(rows), 5))
    for got, want in zip(model.decode(memory, given), model.decode(copies, given), strict=True):
        torch.testing.assert_close(got, want, **EXACT)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_beam_that_shares_the_source_finds_what_one_with_copies_does(beam):
    model, many = transformer(positions="rotary"), batch()
    found = []
    for model.shares_memory in (True, False):
        found.append(beam_search(model, many.source, many.source_lengths, 9, beam=beam))
    for shared, copied in zip(*found, strict=True):
        assert [h.ids for h in shared] == [h.ids for h in copied]
        for one, other in zip(shared, copied, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-12)
            np.testing.assert_allclose(one.weights, other.weights, rtol=0, atol=1e-12)


def test_the_future_changes_nothing():
    words = torch.randint(1, V, (2, 6), generator=torch.Generator().manual_seed(1))
    other = words.clone()
    other[:, 4:] = other[:, 4:] % (V - 1) + 1
    source = torch.tensor([[5, 6, 2], [7, 8, 2]]), torch.tensor([3, 3])
    for positions in POSITIONS:
        model, writes = (make(positions=positions) for make in (transformer, language_model))
        for read in (writes, lambda x, model=model: model(*source, x)[0]):
            before, after = read(words), read(other)
            assert torch.equal(before[:, :4], after[:, :4])
            assert not torch.isclose(before[:, 4:], after[:, 4:]).all()


def test_without_positions_the_order_of_the_words_is_not_seen():
    order = torch.tensor([3, 0, 2, 1])
    words = torch.tensor([[5, 6, 7, 8]])
    for positions in POSITIONS:
        model = language_model(positions=positions, window="everywhere")
        moved, same = model(words[:, order]), model(words)[:, order]
        assert torch.allclose(moved, same, **EXACT) == (positions == "none")
        translator = transformer(positions=positions)
        given = torch.tensor([[1, 9]])
        logits = [translator(x, torch.tensor([4]), given)[0] for x in (words, words[:, order])]
        assert torch.allclose(*logits, **EXACT) == (positions == "none")


@torch.no_grad()
@pytest.mark.parametrize("norm", NORMS)
def test_the_blocks_are_pytorchs(norm):
    """`nn.Transformer` with our weights, its last norms only where the norm is before."""
    model, many = transformer(norm=norm), batch()
    theirs = nn.Transformer(
        8, 2, 2, 2, 12, dropout=0.0, batch_first=True, norm_first=norm == "before"
    ).double()
    for ours, part in ((model.encoder, theirs.encoder), (model.decoder.stack, theirs.decoder)):
        for block, layer in zip(ours.blocks, part.layers, strict=True):
            copy_block(block, layer)
        if norm == "before":
            part.norm.load_state_dict(ours.norm.state_dict())
        else:
            part.norm = None
    table = Sinusoidal(8).table(9, like=model.bias)
    embedded = [
        8**0.5 * model.embedding(ids) + table[: ids.shape[1]]
        for ids in (many.source, many.target_in)
    ]
    hidden = torch.arange(many.source.shape[1]) >= many.source_lengths.unsqueeze(1)
    T = many.target_in.shape[1]
    want = theirs(
        *embedded,
        tgt_mask=torch.ones(T, T, dtype=torch.bool).triu(1),
        src_key_padding_mask=hidden,
        memory_key_padding_mask=hidden,
    )
    vectors, _ = model.hidden_forward(many.source, many.source_lengths, many.target_in)
    torch.testing.assert_close(vectors, want, **EXACT)


class Loops:
    """A transformer of two heads with the same weights, written from the equations."""

    def __init__(self, model, positions, norm):
        self.p = {name: value.detach().numpy() for name, value in model.named_parameters()}
        self.positions, self.norm = positions, norm

    def tidy(self, name, rows):
        gain, bias = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        return np.array([reference.layer_norm(x, gain, bias) for x in rows])

    def around(self, name, x, sublayer):
        if self.norm == "before":
            return x + sublayer(self.tidy(name, x))
        return self.tidy(name, x + sublayer(x))

    def attend(self, name, queries, keys, mask=None, turned=False):
        matrices = [self.p[f"{name}.{W}.weight"] for W in ("W_Q", "W_K", "W_V", "W_O")]
        turn = reference.rotate if turned else None
        score = reference.scaled_dot_score
        return reference.multi_head(score, queries, keys, keys, *matrices, 2, mask, turn)[0]

    def feed_forward(self, name, rows):
        names = ("W_1.weight", "W_1.bias", "W_2.weight", "W_2.bias")
        layers = [self.p[f"{name}.{each}"] for each in names]
        return np.array([reference.feed_forward(x, *layers) for x in rows])

    def block(self, name, x, mask, annotations):
        turned = self.positions == "rotary"
        own, other = f"{name}.self_attention", f"{name}.cross_attention"
        x = self.around(f"{name}.norm_self", x, lambda h: self.attend(own, h, h, mask, turned))
        if annotations is not None:
            across = partial(self.attend, other, keys=annotations)
            x = self.around(f"{name}.norm_cross", x, lambda h: across(queries=h))
        forward = partial(self.feed_forward, f"{name}.feed_forward")
        return self.around(f"{name}.norm_feed_forward", x, forward)

    def stack(self, name, ids, annotations=None):
        T, D = len(ids), self.p["embedding.weight"].shape[1]
        x = np.sqrt(D) * self.p["embedding.weight"][ids]
        if self.positions == "sinusoidal":
            x = x + [reference.sinusoid(t, D) for t in range(T)]
        mask = None
        if annotations is not None:
            mask = [[s <= t for s in range(T)] for t in range(T)]
        for i in range(2):
            x = self.block(f"{name}.blocks.{i}", x, mask, annotations)
        return self.tidy(f"{name}.norm", x) if self.norm == "before" else x


@torch.no_grad()
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary", "none"])
def test_a_whole_transformer_matches_the_loops(positions, norm):
    model = transformer(positions=positions, norm=norm)
    source, given = [5, 6, 7, 2], [1, 9, 8]
    loops = Loops(model, positions, norm)
    want = loops.stack("decoder.stack", given, loops.stack("encoder", source))
    got, _ = model.hidden_forward(torch.tensor([source]), torch.tensor([4]), torch.tensor([given]))
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-11)  # norms divide: more rounding


def test_attention_maps_are_those_that_come_back_and_more():
    model, many = transformer(), batch()
    arguments = many.source, many.source_lengths, many.target_in
    maps, (_, weights) = model.attention_maps(*arguments), model(*arguments)
    B, S, T = 3, many.source.shape[1], many.target_in.shape[1]
    assert maps.encoder.shape == (B, 2, 2, S, S)
    assert maps.decoder.shape == (B, 2, 2, T, T)
    assert maps.cross.shape == (B, 2, 2, T, S)
    torch.testing.assert_close(maps.cross[:, -1].mean(1), weights, **EXACT)
    assert torch.equal(maps.decoder, maps.decoder.tril())
    for part in maps:
        torch.testing.assert_close(part.sum(-1), torch.ones_like(part[..., 0]))


@each_setting
def test_nobody_attends_to_padding(settings):
    """Neither words nor pads: else what stands at a pad depends on how long the batch is."""
    model, many = transformer(**settings), batch()
    maps = model.attention_maps(many.source, many.source_lengths, many.target_in)
    for b, S in enumerate(many.source_lengths):
        assert maps.encoder[b, ..., S:].eq(0).all() and maps.cross[b, ..., S:].eq(0).all()


def test_a_sinusoid_knows_distances_alone_and_moves_linearly():
    table = Sinusoidal(16).table(60, like=torch.zeros(0).double())
    products = table @ table.T
    for k in range(5):
        diagonal = products.diagonal(k)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), **EXACT)
    sine, cosine = table[7].unflatten(0, (8, 2)).T  # moving by 7 turns each hand by its angle at 7
    turns = [[[c, -s], [s, c]] for s, c in zip(sine.tolist(), cosine.tolist())]
    move = torch.block_diag(*torch.tensor(turns, dtype=torch.float64))
    torch.testing.assert_close(table[:-7] @ move, table[7:], **EXACT)
    for t in (0, 1, 59):
        np.testing.assert_allclose(table[t], reference.sinusoid(t, 16), **EXACT)


def test_rotary_scores_depend_on_the_distance_only():
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 1, 1, 8).double()
    rotary = Rotary(8)

    def score(t, s):
        return float((rotary.rotate(queries, t) * rotary.rotate(keys, s)).sum())

    for distance in (0, 1, 9):
        scores = [score(s + distance, s) for s in (0, 3, 200)]
        assert scores == pytest.approx([scores[0]] * 3, abs=1e-12)
    assert abs(score(0, 0) - score(1, 0)) > 1e-3
    x = torch.randn(3, 8).double()
    for t, row in enumerate(rotary.rotate(x, start=5)):
        np.testing.assert_allclose(row, reference.rotate(x[t].numpy(), 5 + t), **EXACT)
    assert rotary.rotate(x.bfloat16()).dtype == torch.bfloat16


def test_a_rotary_encoder_does_not_mind_where_the_sentence_begins():
    """Positions 0 to 3 or 7 to 10: all distances are the same, so all vectors are."""
    model = language_model(positions="rotary", window="everywhere")
    embedded = model.embedding(torch.tensor([[5, 6, 7, 8]]))
    here = model.stack(embedded)[0]
    for block in model.stack.blocks:
        plain = model.stack.positions.rotate
        block.self_attention.rotate = lambda heads, start, rotate=plain: rotate(heads, start + 7)
    torch.testing.assert_close(model.stack(embedded)[0], here, **EXACT)


@torch.no_grad()
def test_weights_from_before_the_norms_had_their_names_still_load():
    model, other = transformer(), transformer(norm="before")
    for parameter in other.parameters():
        parameter.zero_()
    before = {
        re.sub(r"\.norm_(self|cross|feed_forward)\.", r".around_\1.norm.", key): value
        for key, value in model.state_dict().items()
    }
    assert "decoder.stack.blocks.1.around_cross.norm.weight" in before
    other.load_state_dict(before)
    assert all(map(torch.equal, other.state_dict().values(), model.state_dict().values()))


def test_one_table_reads_source_and_target_and_writes():
    for model in (transformer(), language_model()):
        assert sum(p.shape == (V, 8) for p in model.parameters()) == 1
        assert model.embedding.weight[0].eq(0).all()  # padding
    state = transformer().state_dict()
    assert sum(name.startswith("embedding") for name in state) == 1


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_a_language_model_steps_as_it_reads(positions, norm):
    model = language_model(positions=positions, norm=norm)
    words = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 0]])
    logits, state = model(words), model.start(2)
    for t in range(4):
        step, state = model.step(words[:, t], state)
        torch.testing.assert_close(step, logits[:, t], **EXACT)
    lengths = torch.tensor([4, 3])
    torch.testing.assert_close(model(words, lengths)[1, :3], logits[1, :3], **EXACT)
    logits.logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_model_that_looks_both_ways_ignores_padding():
    model = language_model(window="everywhere")
    words, lengths = torch.tensor([[5, 6, 7, 8], [9, 4, 0, 0]]), torch.tensor([4, 2])
    torch.testing.assert_close(
        model(words, lengths)[1:, :2], model(words[1:, :2], lengths[1:]), **EXACT
    )
    assert model.attention_maps(words, lengths).shape == (2, 2, 2, 4, 4)
    with pytest.raises(ValueError, match=r"window is Everywhere\(\): only a causal model goes"):
        model.step(words[:, 0], model.start(2))


REFUSED = {
    "heads": ({"heads": 3}, "width must be divisible by heads, got 8 and 3"),
    "no heads": ({"heads": 0}, "width must be divisible by heads, got 8 and 0"),
    "layers": ({"layers": 0}, "layers must be at least 1, got 0"),
    "norm": ({"norm": "sideways"}, "unknown norm 'sideways': one of before, after$"),
    "positions": (
        {"positions": "polar"},
        "unknown positions 'polar': one of sinusoidal, learned, rotary, none$",
    ),
    "window": ({"window": "bay"}, "unknown window 'bay': one of everywhere, causal"),
    "odd": ({"width": 9, "heads": 3}, "sinusoidal positions need an even width, got 9"),
    "odd heads": (
        {"width": 9, "heads": 3, "positions": "rotary"},
        "rotary positions need heads of even width, got 3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("make", [Transformer, LanguageModel])
def test_settings_that_make_no_sense_are_refused(make, case):
    settings, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make_transformer(**SIZES | settings, model=make)


def test_learned_positions_end():
    model = transformer(positions="learned", max_length=4)
    given = torch.tensor([[1, 8, 9, 7]])
    model(torch.tensor([[5, 6, 7, 2]]), torch.tensor([4]), given)
    with pytest.raises(ValueError, match="there are 4 learned positions, got 5: make the model"):
        model(torch.tensor([[5, 6, 7, 8, 2]]), torch.tensor([5]), given)
    memory = model.encode(torch.tensor([[5, 2]]), torch.tensor([2]))
    state = model.start(memory)
    for _ in range(4):
        _, _, state = model.step(torch.tensor([8]), state, memory)
    with pytest.raises(ValueError, match="there are 4 learned positions, got 5"):
        model.step(torch.tensor([8]), state, memory)


def test_a_cache_is_of_one_batch():
    model, many = transformer(), batch()
    memory = model.encode(many.source, many.source_lengths)
    state = model.start(memory)
    word = many.target_in[:, 0]
    for wrong in (
        (word[:2], state, memory),
        (word, select(state, torch.tensor([0, 1])), memory),
        (word, state, select(memory, torch.tensor([0, 1]))),
    ):
        with pytest.raises(ValueError, match="sentences and a memory of"):
            model.step(*wrong)
    writes = language_model()
    with pytest.raises(ValueError, match="3 words, but a cache of 2 sentences: begin a new batch"):
        writes.step(word, writes.start(2))


def test_what_a_source_must_be_is_checked():
    model = transformer()
    with pytest.raises(ValueError, match="a source sentence is empty"):
        model.encode(torch.tensor([[5, 2], [0, 0]]), torch.tensor([2, 0]))
    with pytest.raises(ValueError, match=r"source must be \(B, S\)"):
        model.encode(torch.tensor([5, 2]), torch.tensor([2]))
    with pytest.raises(ValueError, match="it has no use for draws"):
        model.encode(torch.tensor([[5, 2]]), torch.tensor([2]), torch.rand(1, 3))
    with pytest.raises(ValueError, match=r"selection soft\): there is nothing to sample"):
        Sampled(model)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_late_positions_are_exact_in_half_precision_too(half):
    """bfloat16 has 8 bits: of the positions above 256 only every other one could be told apart."""
    for start in (0, 301, 4001):
        x = torch.ones(1, 1, 2, 8)
        want = Rotary(8).rotate(x.double(), start)
        assert (Rotary(8).rotate(x.to(half), start) - want).abs().max() < 0.01
        want = Sinusoidal(8)(torch.zeros(1, 2, 8, dtype=torch.float64), start)
        assert (Sinusoidal(8)(torch.zeros(1, 2, 8, dtype=half), start) - want).abs().max() < 0.01


def test_bfloat16_autocast_stays_close():
    model, many = transformer(positions="rotary").float(), batch()
    exact, _ = model(many.source, many.source_lengths, many.target_in)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = model(many.source, many.source_lengths, many.target_in)
        found = greedy(model, many.source, many.source_lengths, max_length=5)
    assert torch.isfinite(rough).all() and len(found) == 3
    torch.testing.assert_close(rough.float(), exact, rtol=0, atol=0.2)  # 8 bits of mantissa


# With training, pretrained and the queue ------------------------------------------------------

COPY = RunConfig.of(
    "copy",
    corpus="copy",
    architecture="transformer",
    sentences=2000,
    max_length=6,
    width=32,
    layers=1,
    heads=4,
    feed_forward=64,
    dropout=0.0,
    label_smoothing=0.0,
    updates=200,
    tokens=400,
    lr=1e-2,
    schedule="inverse_sqrt",
    warmup=40,
    average=3,
    validate_every=200,
)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_a_transformer_learns_to_copy(norm, tmp_path):
    torch.set_num_threads(1)
    run = Run(COPY.replace(norm=norm), tmp_path, device="cpu", quiet=True)
    run.run()
    model, vocabulary = run.averaged_model(), run.data.tokenizer
    test = toy.copy(random.Random(0), 100, shortest=3, longest=6, split="test")
    source, lengths = pad([[*vocabulary.encode(example.source), EOS] for example in test])
    found = greedy(model, source, lengths, max_length=20)
    right = exact_match([h.ids for h in found], [vocabulary.encode(e.target) for e in test])
    assert right.value >= 0.8


def test_a_run_trains_it_and_resumes(tmp_path):
    config = COPY.replace(sentences=200, updates=8, tokens=100, warmup=2)
    whole = Run(config, tmp_path / "whole", device="cpu", quiet=True)
    assert whole.run()
    for _ in range(20):
        part = Run(config, tmp_path / "part", device="cpu", quiet=True)
        if part.run(minutes=0):
            break
    ours, theirs = (run.averaged_model().state_dict() for run in (part, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_it_is_shipped_and_read_as_any_translator(tmp_path):
    text = ["a red shirt", "a white horse", "two red horses"]
    tokenizer = Tokenizer.train(text, 40)
    config = COPY.replace(corpus="multi30k")
    arguments = config.arguments(len(tokenizer))
    torch.manual_seed(0)
    model = config.build(len(tokenizer)).eval()
    card = {"name": "tiny", "languages": ["en", "fr"], "model": arguments}
    card["architecture"] = config.architecture
    storage.save(tmp_path, model, tokenizer, card)
    loaded = pretrained.read(tmp_path)
    assert isinstance(loaded.model, Transformer)
    for found in loaded.translate(text) + loaded.align(text, text):
        assert found.weights.shape == (len(found.target_tokens), len(found.source_tokens))
    with pytest.raises(ValueError, match="tiny is a transformer: this is for a captioner"):
        loaded.caption([])


def test_the_settings_of_a_run_are_the_models():
    arguments = COPY.arguments(V)
    assert make_transformer(**arguments).state_dict().keys() == COPY.build(V).state_dict().keys()
    defaults = RunConfig.of("any", architecture="transformer", dropout=0.0).arguments(V)
    other = Transformer(V)
    assert make_transformer(**defaults).state_dict().keys() == other.state_dict().keys()
    with pytest.raises(ValueError, match="a transformer has no score"):
        COPY.replace(score="dot")
    with pytest.raises(ValueError, match="a translator has no heads"):
        RunConfig.of("any", heads=2)
    with pytest.raises(ValueError, match="a transformer cannot read scenes, which is images"):
        RunConfig.of("any", corpus="scenes", architecture="transformer")
    with pytest.raises(ValueError, match="unknown architecture 'rnn': one of translator, "):
        RunConfig.of("any", architecture="rnn")
    with pytest.raises(ValueError, match="unknown schedule 'flat': one of cosine, inverse_sqrt"):
        training.learning_rate(0, COPY.replace(schedule="flat").optimisation)
    assert isinstance(RunConfig("any").build(V), Translator)


def test_the_queue_has_the_recipe():
    full = training.QUEUE["en-fr-transformer-full-seed2"]
    model, how = full.model, full.optimisation
    assert (model.layers, model.width, model.feed_forward, model.heads) == (4, 128, 256, 4)
    assert (model.dropout, full.loss.label_smoothing, how.lr, how.warmup) == (0.3, 0.1, 5e-3, 2000)
    assert (how.updates, how.tokens, how.average, full.seed) == (8000, 8192, 10, 2)
    assert how.schedule == "inverse_sqrt"
    small = training.QUEUE["en-fr-transformer"]
    assert small.model.layers == full.model.layers


def test_parts_of_a_stack_are_counted():
    stack = Stack(
        3,
        8,
        heads=2,
        hidden=12,
        window=windows.Everywhere,
        positions=Positions(),
        norm="after",
        dropout=0.0,
    )
    per_block = 4 * 8 * 8 + 2 * 8 * 12 + 12 + 8 + 2 * 2 * 8
    assert sum(p.numel() for p in stack.parameters()) == 3 * per_block

"""The translator against the loops, under every setting of its dials."""

from dataclasses import replace
from functools import partial
from itertools import cycle, product

import numpy as np
import pytest
import torch

from attnlib import reference, scores, selection, windows
from attnlib.attention import Attention
from attnlib.captioning import Captioner
from attnlib.data.batches import collate
from attnlib.data.tokenizer import Tokenizer
from attnlib.decoding import Sampled, beam_search, greedy
from attnlib.pretrained import Pretrained
from attnlib.seq2seq import FEEDINGS, FIXED, TIMINGS, Translator
from attnlib.settings import SCORES, SELECTIONS, WINDOWS, make_translator
from attnlib.training import Objective
from attnlib.vision import ImageEncoder

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
V = 11


def translator(seed=0, **dials):
    torch.manual_seed(seed)
    sizes = {"vocab_size": V, "width": 6, "hidden": 4, "decoder_hidden": 8, "score_hidden": 5}
    return make_translator(**sizes, **dials).double().eval()


def batch(*pairs):
    return collate(pairs or [([5, 6, 7, 8], [9, 10]), ([4], [3, 5, 6]), ([7, 7], [8])])


def every_setting():
    names = "score", "window", "selection", "timing", "feeding"
    for values in product(SCORES, WINDOWS, SELECTIONS, TIMINGS, FEEDINGS):
        yield pytest.param(dict(zip(names, values, strict=True)), id="-".join(values))
    for fixed in FIXED:
        feeding = "context" if fixed == "every_step" else "none"
        dials = {"score": None, "fixed": fixed, "feeding": feeding}
        yield pytest.param(dials, id=f"fixed-{fixed}")


@pytest.mark.parametrize("dials", list(every_setting()))
def test_every_setting_trains_and_ignores_padding(dials):
    model, many = translator(**dials, reach=1), batch()
    model.train()
    if dials.get("selection") == "hard":
        model.decoder.attention.selection.expectation = 0.0
    torch.manual_seed(1)
    loss = Objective(model, 0.1)(many.source, many.source_lengths, many.target_in, many.target_out)
    loss.backward()
    assert torch.isfinite(loss)
    unused = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not unused
    model.eval()
    logits, weights = model(many.source, many.source_lengths, many.target_in)
    for b, (S, T) in enumerate(zip(many.source_lengths, many.target_lengths, strict=True)):
        alone = model(many.source[b : b + 1, :S], S[None], many.target_in[b : b + 1, :T])
        torch.testing.assert_close(logits[b : b + 1, :T], alone[0], **EXACT)
        torch.testing.assert_close(weights[b : b + 1, :T, :S], alone[1], **EXACT)
        assert weights[b, :, S:].eq(0).all()
        total = weights[b].sum(-1)
        if dials.get("window") == "predictive":
            assert (total <= 1 + 1e-12).all() and (total > 0).all()
        else:
            want = 0.0 if dials["score"] is None else 1.0
            torch.testing.assert_close(total, torch.full_like(total, want))


@pytest.mark.parametrize("dials", list(every_setting()))
def test_steps_one_by_one_equal_teacher_forcing(dials):
    model, many = translator(**dials), batch()
    logits, weights = model(many.source, many.source_lengths, many.target_in)
    memory = model.encode(many.source, many.source_lengths)
    state = model.start(memory)
    for t in range(many.target_in.shape[1]):
        step_logits, step_weights, state = model.step(many.target_in[:, t], state, memory)
        torch.testing.assert_close(step_logits, logits[:, t], **EXACT)
        torch.testing.assert_close(step_weights, weights[:, t], **EXACT)


def numpy(module):
    """The parameters of a module by their names."""
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def scorer(score):
    """The loop version of a score with the same weights: from a query and keys to scores (S,)."""
    p = {name.removesuffix(".weight"): value for name, value in numpy(score).items()}
    if "v" in p:
        p["v"] = p["v"][0]
    if isinstance(score, scores.CosineScore):
        p["beta"] = float(p["beta"])
    if isinstance(score, scores.LocationScore):
        return lambda q, keys: reference.location_scores(q, len(keys), p["W"])
    name = next(name for name in SCORES if SCORES[name] is type(score))
    one = partial(getattr(reference, f"{name}_score"), **p)
    return lambda q, keys: [one(q, k) for k in keys]


def loops(model, source, target_in, draws=None):
    """The same translator written from the equations, one sentence, one step, one sum at a time.

    Logits (T, V) and weights (T, S) of ids; `draws` (T,) choose, and average where negative.
    """
    p, attention, S = numpy(model), model.decoder.attention, len(source)
    E = p["embedding.weight"]

    def cell(prefix, suffix=""):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        W, U, b, c = (p[f"{prefix}.{name}{suffix}"] for name in names)
        return lambda x, h: reference.gru_step(x, h, W, U, b, c)

    def linear(name, x):
        return reference.times(p[f"{name}.weight"], x) + p[f"{name}.bias"]

    both = cell("encoder.rnn", "_l0"), cell("encoder.rnn", "_l0_reverse")
    annotations, summary = reference.read_both_ways(E[source], *both, model.encoder.rnn.hidden_size)

    def window(q, t):
        match attention.window:
            case windows.Everywhere():
                return None, None
            case windows.Causal():
                return [s <= t for s in range(S)], None
            case windows.Monotonic(reach=D):
                return reference.within(reference.local_m(t, S), D, S), None
            case windows.Predictive(reach=D) as local:
                centre = reference.local_p(q, S, *(x.squeeze() for x in numpy(local).values()))
                return reference.within(centre, D, S), reference.bell(centre, D, S)

    def pick(t):
        if isinstance(attention.selection, selection.Soft):
            return None
        if draws is None:
            return np.argmax
        return None if draws[t] < 0 else partial(reference.choose, draw=draws[t])

    def ask(q, t):
        if attention is None:
            given = summary if model.decoder.fixed == "every_step" else np.zeros_like(summary)
            return given, np.zeros(S)
        seen = scorer(attention.score)(q, annotations)
        context, a = reference.look(seen, annotations, *window(q, t), pick(t))
        if isinstance(attention.selection, selection.StraightThroughGumbel):
            a = np.eye(S)[pick(t)(a)]  # its weights are the choice
        return context, a

    vectors, weights = reference.decode(
        E[target_in],
        np.tanh(linear("decoder.first", summary)),
        np.zeros(model.decoder.fed_dim),
        ask,
        cell("decoder.cell"),
        lambda seen: np.tanh(linear("decoder.W_c", seen)),
        model.decoder.timing,
        model.decoder.feeding,
    )
    return np.array([reference.times(E, vector) + p["bias"] for vector in vectors]), weights


PAPERS = (
    ("additive", "everywhere", "soft", "before", "context"),  # Bahdanau 2015
    ("general", "everywhere", "soft", "after", "input"),  # Luong 2015
    ("general", "monotonic", "soft", "after", "input"),
    ("general", "predictive", "soft", "after", "input"),
    ("additive", "everywhere", "hard drawn", "before", "context"),  # Xu 2015
    ("additive", "monotonic", "hard drawn", "before", "context"),  # and some that nobody wrote
    ("additive", "predictive", "hard", "after", "context"),
    ("concat", "everywhere", "gumbel drawn", "after", "context"),
    ("dot", "causal", "hard", "before", "input"),
    ("scaled_dot", "predictive", "hard drawn", "before", "none"),
    ("cosine", "monotonic", "gumbel", "after", "none"),
    ("general", "predictive", "gumbel drawn", "before", "input"),
    ("location", "predictive", "gumbel drawn", "after", "none"),
    ("location", "causal", "soft", "after", "context"),
)
CHOICES = ("soft", "hard", "hard drawn", "gumbel", "gumbel drawn")


def compared():
    """Settings to compare with the loops: each score in each window with each way to choose.

    Timing and feeding take turns, so that each window meets all six of their pairs.
    """
    yield from PAPERS
    yield from product([None], FIXED, ["soft"], TIMINGS, FEEDINGS)  # a fixed context
    pairs = cycle(product(TIMINGS, FEEDINGS))
    for window, chosen, score in product(WINDOWS, CHOICES, SCORES):
        setting = (score, window, chosen, *next(pairs))
        if setting not in PAPERS:
            yield pytest.param(*setting, marks=pytest.mark.slow)


@torch.no_grad()
@pytest.mark.parametrize("score, window, chosen, timing, feeding", list(compared()), ids=str)
def test_a_whole_decoder_matches_the_loops(score, window, chosen, timing, feeding):
    """A padded batch against its sentences one by one, in float64: logits and weights."""
    where = {"fixed": window} if score is None else {"window": window}
    dials = {"score": score, "timing": timing, "feeding": feeding, "reach": 1, **where}
    model, many = translator(**dials, selection=chosen.removesuffix(" drawn")), batch()
    draws = None
    if chosen.endswith("drawn"):
        draws = torch.rand(many.target_in.shape, generator=generator(1), dtype=torch.float64)
        if chosen.startswith("hard"):
            draws[2] = -1.0  # this sentence is trained on the average
    logits, weights = model(many.source, many.source_lengths, many.target_in, draws)
    for b, (S, T) in enumerate(zip(many.source_lengths, many.target_lengths, strict=True)):
        want = loops(
            model,
            many.source[b, :S].tolist(),
            many.target_in[b, :T].tolist(),
            None if draws is None else draws[b, :T].tolist(),
        )
        np.testing.assert_allclose(logits[b, :T], want[0], **EXACT)
        np.testing.assert_allclose(weights[b, :T, :S], want[1], **EXACT)
        assert weights[b, :, S:].eq(0).all()


def chooser(name, **dials):
    """A translator with weights that are not even and choices that matter."""
    model = translator(selection=name, **dials)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def generator(seed):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
@pytest.mark.parametrize("name", ["hard", "gumbel"])
def test_a_sampled_decoder_chooses_with_the_probability_of_its_weights(name):
    """Two steps on 3 keys, 6,000 times: chi-square over the 9 pairs of choices, 8 degrees of
    freedom, is below 26.12 in 999 of 1000 cases. The second weights depend on the first choice."""
    N, words = 6000, (1, 8)
    source, lengths = torch.tensor([[5, 6, 2]]), torch.tensor([3])

    def run(model, memory, forced=()):
        """The weights (N, S) and the choices (N,) at each step, as the contexts give them away."""
        state, weights, choices = model.start(memory), [], []
        for t, word in enumerate(words):
            # Timing before: the state we have is the query.
            context, a = model.decoder.attend(state.hidden, memory, t)
            gap = (memory.annotations - context.unsqueeze(1)).abs().sum(-1)  # (N, S)
            assert gap.min(-1).values.max() < 1e-12
            weights.append(a)
            choices.append(gap.argmin(-1))
            state = model.step(torch.full((len(gap),), word), state, memory)[2]
        return weights, choices

    exact = {}
    hard = chooser("hard")
    for first in range(3):
        # A draw in the middle of each key's stretch makes the choice of that key.
        a = run(hard, hard.encode(source, lengths))[0][0][0]
        draw = a[:first].sum() + a[first] / 2
        memory = hard.encode(source, lengths, torch.stack([draw, draw])[None])
        (one, two), (choice, _) = run(hard, memory)
        assert choice.tolist() == [first]
        exact |= {(first, s): float(one[0, first] * two[0, s]) for s in range(3)}
    assert sum(exact.values()) == pytest.approx(1.0) and min(exact.values()) > 0.01
    separate = [sum(p for (_, s), p in exact.items() if s == k) for k in range(3)]

    model = chooser(name)
    sampled = Sampled(model, generator(0), steps=2)
    _, choices = run(model, sampled.encode(source.expand(N, -1), lengths.expand(N)))
    counts = dict.fromkeys(exact, 0)
    for pair in zip(*(choice.tolist() for choice in choices), strict=True):
        counts[pair] += 1
    statistic = sum((counts[pair] - N * p) ** 2 / (N * p) for pair, p in exact.items())
    assert statistic < 26.12
    # Planted: as if the second choice knew nothing of the first.
    wrong = {(i, j): sum(exact[i, s] for s in range(3)) * separate[j] for i, j in exact}
    assert sum((counts[pair] - N * p) ** 2 / (N * p) for pair, p in wrong.items()) > 26.12


@pytest.mark.parametrize("name", ["hard", "gumbel"])
@pytest.mark.parametrize("window", ["everywhere", "monotonic"])
def test_samples_are_made_again_by_their_seed(name, window):
    model, many = chooser(name, window=window, reach=1), batch()
    arguments = many.source, many.source_lengths

    def search(how, seed):
        found = how(Sampled(model, generator(seed)), *arguments, max_length=12, eos=0)
        return [[(h.ids, h.logprob) for h in np.ravel(hypotheses)] for hypotheses in found]

    for how in (greedy, beam_search):
        assert search(how, 0) == search(how, 0) != search(how, 1)
    best = [h.logprob for h in greedy(model, *arguments, max_length=12, eos=0)]
    assert best != [hypotheses[0][1] for hypotheses in search(greedy, 0)]  # not the largest weight
    forced = [Sampled(model, generator(s))(*arguments, many.target_in)[0] for s in (0, 0, 1)]
    assert torch.equal(forced[0], forced[1]) and not torch.equal(forced[0], forced[2])


def test_a_sampled_sentence_does_not_mind_how_long_its_companions_are():
    model = chooser("hard")
    found = []
    for other in ([4, 5], [4, 5, 6, 7, 8, 9]):
        many = batch((other, [9]), ([5, 6, 7], [8]))
        sampled = Sampled(model, generator(3))
        found.append(greedy(sampled, many.source, many.source_lengths, max_length=9, eos=0)[1])
    assert found[0].ids == found[1].ids and len(found[0].ids) > 2
    assert found[0].logprob == pytest.approx(found[1].logprob, abs=1e-12)


def test_a_pretrained_model_may_be_run_with_samples():
    text = ["a red shirt", "a white horse", "two red horses"]
    tokenizer = Tokenizer.train(text, 40)
    torch.manual_seed(0)
    model = make_translator(len(tokenizer), 6, hidden=4, selection="hard").eval()
    whole = Pretrained("tiny", model, tokenizer, {})

    def scores(seed):
        sampled = replace(whole, model=Sampled(model, generator(seed)))
        return [found.score for found in sampled.translate(text) + sampled.align(text, text)]

    assert scores(0) == scores(0) != scores(1)


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ValueError, match=r"selection soft\): there is nothing to sample"):
        Sampled(translator())
    with pytest.raises(ValueError, match="has a fixed context: there is nothing to sample"):
        Sampled(translator(score=None))
    many = batch()
    short = Sampled(chooser("hard"), steps=2)
    with pytest.raises(ValueError, match="draws for 2 steps only"):
        greedy(short, many.source, many.source_lengths, max_length=9, eos=0)
    with pytest.raises(ValueError, match=r"draws must be \(B, T\) = \(3, 1\)"):
        short.model(many.source, many.source_lengths, many.target_in, torch.rand(2, 4))


def test_timing_says_which_state_asks():
    """Before: the first weights do not know the first word. After: they do."""
    for timing, same in (("before", True), ("after", False)):
        model = translator(score="additive", timing=timing, feeding="none")
        source, lengths = torch.tensor([[5, 6, 7, 2]]), torch.tensor([4])
        _, one = model(source, lengths, torch.tensor([[8]]))
        _, other = model(source, lengths, torch.tensor([[9]]))
        assert torch.equal(one, other) == same


def test_feeding_says_what_the_next_step_sees():
    """Scaling the attentional vector moves the next state under input feeding only."""
    for feeding, moves in (("input", True), ("context", False), ("none", False)):
        model = translator(score="dot", timing="after", feeding=feeding)
        memory = model.encode(torch.tensor([[5, 6, 2]]), torch.tensor([3]))
        word = torch.tensor([8])
        _, _, first = model.step(word, model.start(memory), memory)
        _, _, before = model.step(word, first, memory)
        with torch.no_grad():
            model.decoder.W_c.weight.mul_(2)
        _, _, first = model.step(word, model.start(memory), memory)
        _, _, after = model.step(word, first, memory)
        assert (not torch.equal(before.hidden, after.hidden)) == moves


def test_sutskever_gives_the_context_to_the_first_state_alone():
    model = translator(score=None, fixed="first_state", feeding="none")
    memory = model.encode(torch.tensor([[5, 6, 2]]), torch.tensor([3]))
    state = model.start(memory)
    other = memory._replace(summary=torch.randn_like(memory.summary))
    word = torch.tensor([8])
    assert torch.equal(model.step(word, state, memory)[0], model.step(word, state, other)[0])
    cho = translator(score=None, fixed="every_step")
    assert not torch.equal(cho.step(word, state, memory)[0], cho.step(word, state, other)[0])


def test_the_embedding_is_tied_three_ways():
    model = translator()
    assert sum(p.shape == (V, 6) for p in model.parameters()) == 1


DIALS = {
    "score": SCORES,
    "window": WINDOWS,
    "selection": SELECTIONS,
    "timing": TIMINGS,
    "feeding": FEEDINGS,
    "fixed": FIXED,
}


@pytest.mark.parametrize("dial", DIALS)
def test_an_unknown_setting_of_a_dial_lists_the_known_ones(dial):
    message = f"unknown {dial} 'sideways': one of {', '.join(DIALS[dial])}$"
    with pytest.raises(ValueError, match=message):
        translator(**{dial: "sideways"})


REFUSED = {
    "no reach": ({"window": "monotonic", "reach": 0}, "reach D must be .* at least 1, got 0"),
    "less reach": ({"window": "predictive", "reach": -2}, "reach D must be .* at least 1, got -2"),
    "half a reach": ({"window": "predictive", "reach": 1.5}, "reach D must be a whole number"),
    "frozen": ({"selection": "gumbel", "temperature": 0}, "^temperature must be above 0, got 0"),
    "freezing": (
        {"selection": "gumbel", "final_temperature": 0.0},
        "final_temperature must be above 0, got 0.0",
    ),
    "all and more": ({"selection": "hard", "expectation": 1.5}, "from 0 to 1, got 1.5"),
    "no positions": ({"score": "location", "max_source": 0}, "needs max_source > 0, got 0"),
    "widths": ({"score": "dot", "decoder_hidden": 4}, "needs equal widths, got 4 and 8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_make_no_sense_are_refused(case):
    dials, message = REFUSED[case]
    sizes = {"vocab_size": V, "width": 6, "hidden": 4, "decoder_hidden": 8}
    with pytest.raises(ValueError, match=message):
        make_translator(**sizes | dials)


class Distance(scores.Score):
    """A reader's own score: minus the distance of W q and k."""

    def __init__(self, query_dim, key_dim):
        super().__init__()
        self.query_dim, self.key_dim = query_dim, key_dim
        self.W = torch.nn.Linear(query_dim, key_dim, bias=False)

    def _compare(self, queries, prepared):
        return -torch.cdist(self.W(queries), prepared)


class Ends(windows.Window):
    """A reader's own window: the first key and the last."""

    def forward(self, queries, mask, keys, start=0):
        s = torch.arange(keys)
        return (s == 0) | (s == keys - 1), None


@torch.no_grad()
def test_a_score_and_a_window_of_ones_own_are_handed_in():
    torch.manual_seed(0)
    attention = Attention(Distance(8, 8), Ends())
    model = Translator(V, 6, hidden=4, decoder_hidden=8, attention=attention).double().eval()
    source, lengths, given = torch.tensor([[5, 6, 7, 2]]), torch.tensor([4]), torch.tensor([[1]])
    memory = model.encode(source, lengths)
    _, weights = model(source, lengths, given)
    query = attention.score.W(model.start(memory).hidden[0])
    far = [(query - memory.annotations[0, s]).norm() for s in (0, 3)]
    want = torch.zeros(4).double()
    want[[0, 3]] = (-torch.stack(far)).softmax(0)
    torch.testing.assert_close(weights[0, 0], want, **EXACT)


UNFIT = {
    "queries": (
        scores.GeneralScore(5, 8),
        None,
        "the score compares queries that are 5 wide, but this decoder's state is 6 wide",
    ),
    "keys": (
        scores.AdditiveScore(6, 9, 3),
        None,
        "the score compares keys that are 9 wide, but this model's annotations are 8 wide",
    ),
    "location": (scores.LocationScore(3, 20), None, "queries that are 3 wide, .* state is 6 wide"),
    "window": (
        scores.GeneralScore(6, 8),
        windows.Predictive(query_dim=8, hidden_dim=3),
        "the window reads queries that are 8 wide, but this decoder's state is 6 wide",
    ),
    "dot": (
        scores.DotScore(),
        None,
        "DotScore needs queries and keys of equal width, but this decoder's state is 6 wide and "
        "the annotations are 8",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_attention_that_does_not_fit_is_refused(case):
    """When the model is made, not at its first batch; the captioner alike."""
    score, window, message = UNFIT[case]
    attention = Attention(score, window)
    with pytest.raises(ValueError, match=message):
        Translator(V, 7, hidden=4, decoder_hidden=6, attention=attention)
    with pytest.raises(ValueError, match=message):
        encoder = ImageEncoder(annotation_dim=8)
        Captioner(V, 7, hidden=6, encoder=encoder, attention=attention)


def test_names_that_could_have_no_effect_are_refused():
    for dials, name in (
        ({"window": "predictive"}, "window 'predictive'"),
        ({"selection": "hard"}, "selection 'hard'"),
    ):
        with pytest.raises(ValueError, match=f"without a score .* {name} has no effect"):
            translator(score=None, **dials)
    for dial in ("window", "selection"):
        with pytest.raises(ValueError, match=f"unknown {dial} 'nonsense'"):
            translator(score=None, **{dial: "nonsense"})


def test_the_location_score_refuses_a_longer_source():
    model = translator(score="location", max_source=4)
    given = torch.tensor([[1, 8]])
    model(torch.tensor([[5, 6, 7, 2]]), torch.tensor([4]), given)
    with pytest.raises(ValueError, match="knows 4 source positions, got 5"):
        model(torch.tensor([[5, 6, 7, 8, 2]]), torch.tensor([5]), given)


def test_shapes_are_checked():
    for window in WINDOWS:  # before a predictive window has to find its centre
        with pytest.raises(ValueError, match="a source sentence is empty"):
            translator(window=window)(
                torch.tensor([[5, 2], [0, 0]]), torch.tensor([2, 0]), torch.tensor([[1], [1]])
            )
    model = translator()
    with pytest.raises(ValueError, match="a source sentence is empty"):
        model.encode(torch.tensor([[5, 2], [0, 0]]), torch.tensor([2, 0]))
    with pytest.raises(ValueError, match=r"source must be \(B, S\)"):
        model.encode(torch.tensor([5, 2]), torch.tensor([2]))

"""The bug museum: twelve bugs of public code, the smallest test that finds each, and departures.

A room has the code that errs and the code that does not (`museum_code`; ours, written to err as a
public repository did), where it stood, what the line did, why training still worked, and a test.
Nobody is shown up here: most of these repositories are good, several found the bug themselves, and
all of them could be read, which is why it was found.

Examples
--------
>>> room = rooms()["over the queries"]
>>> room.passes(room.correct()), room.passes(room.broken())
(True, False)
>>> print(room.source)
labmlai/annotated_deep_learning_paper_implementations, issue 146 (2022)
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from attnlib.checks import museum_code as code

EXACT = 1e-6  # single precision


@dataclass(frozen=True)
class Room:
    """One bug: what it was, its code, its correct twin, and the smallest test."""

    name: str
    repository: str
    reference: str  # "issue 146"
    year: int
    line: str  # what the line did
    worked: str  # why training still "worked"
    answer: str  # of whom it concerned, with the name; "" if none was found
    broken: Callable[[], Any]
    correct: Callable[[], Any]
    test: Callable[[Any], None]  # raises AssertionError
    step: str  # the method, or function, that differs
    also: tuple[str, ...] = ()  # the same bug elsewhere
    checks: tuple[str, ...] = ()  # which of `checks.attention` fail; none: it is no attention

    @property
    def source(self) -> str:
        """Repository, issue or pull request, and year."""
        return f"{self.repository}, {self.reference} ({self.year})"

    @property
    def url(self) -> str:
        """Where it can be read."""
        kind, number = self.reference.rsplit(" ", 1)
        place = {"issue": "issues", "pull request": "pull"}[kind]
        return f"https://github.com/{self.repository}/{place}/{number}"

    def passes(self, thing: Any) -> bool:
        """Whether something of this room's kind passes its test."""
        try:
            self.test(thing)
        except AssertionError:
            return False
        return True


def call(module, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None):
    """How `checks.attention` calls an attention of the museum: ``call=museum.call``.

    It takes which keys are real, and whether it is causal: no other mask can be given to it.
    """
    return _call(module, queries, keys, values, mask, True)


def call_fused(module, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None):
    """The other path of an attention of the museum: ``ways={"fused": museum.call_fused}``."""
    return _call(module, queries, keys, values, mask, False)


def _call(module, queries, keys, values, mask, need_weights):
    if mask is None:
        return module(queries, keys, values, need_weights=need_weights)
    real = mask[:, -1]  # the last query sees all that a causal mask shows
    for causal in (False, True):
        shown = real.unsqueeze(1).expand(mask.shape)
        if torch.equal(mask, shown.tril() if causal else shown):
            return module(queries, keys, values, real, causal, need_weights)
    raise NotImplementedError("it takes which keys are real, and whether it is causal; no pairs")


# The tests, the smallest first ----------------------------------------------------------------


def _sentences(B: int = 2, S: int = 4, width: int = 8) -> Tensor:
    return torch.randn(B, S, width, generator=torch.Generator().manual_seed(1))


def _near(found: Tensor, wanted: Tensor) -> bool:
    return bool(torch.allclose(found, wanted, rtol=0, atol=EXACT))


def padding_changes_nothing(attention) -> None:
    """K: what stands at the padding of a sentence does not change its words."""
    x, real = _sentences(1), torch.tensor([[True, True, True, False]])
    before = attention(x, x, x, real)[0]
    x[:, 3] = 100.0
    after = attention(x, x, x, real)[0]
    assert _near(after[:, :3], before[:, :3])


def the_future_changes_nothing(attention) -> None:
    """F, on both paths: a later word does not change an earlier one."""
    for need_weights in (False, True):
        x = _sentences(1)
        before = attention(x, x, x, None, True, need_weights)[0]
        x[:, 3] = 100.0
        after = attention(x, x, x, None, True, need_weights)[0]
        assert _near(after[:, :3], before[:, :3])


def both_paths_agree(attention) -> None:
    """P: with weights and without, causal, the outputs are the same."""
    x = _sentences(1)
    with_weights = attention(x, x, x, None, True, True)[0]
    without = attention(x, x, x, None, True, False)[0]
    assert _near(with_weights, without)


def the_scale_is_that_of_a_head(attention) -> None:
    """C, where a head is wider than there are heads: the score of two known vectors."""
    H, D = attention.heads, attention.width // attention.heads
    assert H != D, "8 wide with 2 heads, so that the roots differ"
    with torch.no_grad():
        for W in (attention.W_Q, attention.W_K):
            W.weight.copy_(torch.eye(attention.width))
    q = torch.zeros(1, 1, attention.width)
    q[..., ::D] = 2.0  # in every head (2, 0, 0, 0)
    keys = torch.cat([q, torch.zeros_like(q)], 1)
    weights = attention(q, keys, keys)[1]
    wanted = torch.tensor([4 / D**0.5, 0.0]).softmax(0)  # the dot product is 4
    assert _near(weights[0, :, 0], wanted.expand(H, 2))


def rows_sum_to_one(attention) -> None:
    """S: of three queries and five keys, each query's weights sum to 1."""
    weights = attention(_sentences(1, 3), *[_sentences(1, 5)] * 2)[1]
    assert _near(weights.sum(-1), torch.ones(1, attention.heads, 3))


def weights_are_not_all_equal(attention) -> None:
    """S: two keys that differ do not get one weight."""
    x = _sentences(1, 2)
    weights = attention(x, x, x)[1]
    assert not _near(weights[..., 0], weights[..., 1])


def reversed_words_give_reversed_outputs(attention) -> None:
    """O, without loops: self-attention of reversed words is the reversed self-attention."""
    x, y = _sentences(1), _sentences(1).flip(1)
    assert _near(attention(y, y, y)[0], attention(x, x, x)[0].flip(1))


def a_sentence_is_alone(attention) -> None:
    """B: what else is in the batch does not change a sentence."""
    x = _sentences(2)
    alone = attention(x[:1], x[:1], x[:1])[0]
    assert _near(attention(x, x, x)[0][:1], alone)


def nothing_to_see_is_not_nan(attention) -> None:
    """C: a sentence of padding alone spoils neither its output nor the weights' gradients."""
    x, real = _sentences(2), torch.tensor([[True] * 4, [False] * 4])
    output = attention(x, x, x, real)[0]
    output[0].sum().backward()  # of the other sentence
    found = [p.grad for p in attention.parameters()]  # each a sum over all
    assert all(each.isfinite().all() for each in [output, *found])


def another_source_changes_the_output(block) -> None:
    """O: a decoder that reads the encoder says something else of something else."""
    states, encoded = _sentences(1, 3), _sentences(1, 5)
    assert not _near(block(states, encoded), block(states, encoded + 1))


def the_shown_weights_are_those_of_the_words(search) -> None:
    """X: written again, its words given, a translation has the weights it was shown with."""
    state = torch.zeros(2)
    words, weights = search(state, 0, 4)
    states, word = state.unsqueeze(0), torch.zeros(1, dtype=torch.long)
    looked = []
    for each in words:
        states, _, now = search.step(states, word)
        looked.append(now[0])
        word = each.unsqueeze(0)
    assert _near(weights, torch.stack(looked))


def the_divergence_is_that_of_the_formula(kl) -> None:
    """C, where it is not symmetric: KL((1/2, 1/2) || (1/4, 3/4)) = ln 2 - ln(3) / 2 = 0.1438."""
    half, quarter = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    assert _near(kl(half, quarter), torch.tensor(2 / 3**0.5).log())


# The rooms ------------------------------------------------------------------------------------


def _step(states: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A decoder of four words and three keys with fixed weights, for the room of the beam."""
    random = torch.Generator().manual_seed(3)
    A, E, W, K = (
        torch.randn(shape, generator=random) for shape in ((2, 2), (4, 2), (2, 4), (2, 3))
    )
    states = (states @ A + E[words]).tanh()
    return states, (2 * states @ W).log_softmax(-1), (2 * states @ K).softmax(-1)


def _room(name: str, kind: type, step: str, **more) -> Room:
    correct = code.DecoderBlock if issubclass(kind, code.DecoderBlock) else code.RightAttention
    return Room(name, broken=_seeded(kind), correct=_seeded(correct), step=step, **more)


def _seeded(kind: type) -> Callable[[], Any]:
    def make():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return kind()

    return make


def rooms() -> dict[str, Room]:
    """The twelve rooms by name, in the order in which they are walked through."""
    twelve = (
        _room(
            "on the query axis",
            code.OnQueryAxis,
            "seen",
            repository="hyunwoongko/transformer",
            reference="pull request 40",
            year=2025,
            line="The padding mask was unsqueezed to (B, 1, S, 1): it hid the rows of padding, "
            "whose outputs nobody reads, and no padding from any word.",
            worked="It stood in a decoder. Padding is last, so the causal mask beside it hid the "
            "padding from every word, and no word's output was wrong. With minus infinity the rows "
            "of padding would have been NaN; -10000 made them an even average. The room has the "
            "line in an encoder, where nothing covers for it: there words attend to padding, and "
            "in batches padded like those of training a model learns to expect that.",
            answer="",
            test=padding_changes_nothing,
            also=(
                "bentrevett/pytorch-seq2seq, issue 96 (2020): the same line in a tutorial",
                "Kyubyong/transformer, issue 33 (2018): the mask was where embeddings are zero, "
                "read after positions were added, so nothing was ever hidden",
                "Biohub/esm, issue 299 (2026): keys are shown where both or neither are words, so "
                "padding attends to padding; words are not changed",
            ),
            checks=("padding",),
        ),
        _room(
            "dropped on one path",
            code.DropsCausalMask,
            "weights",
            repository="keras-team/keras",
            reference="issue 23038",
            year=2026,
            line="To make the fused kernel faster, the causal mask became an argument of it, and "
            "was no longer made for the path with weights, or with dropout.",
            worked="Nothing fails: the loss is lower than it should be. The fast path, which the "
            "benchmark and most tests took, was right.",
            answer="The author of the change mended it within a day, for both layers (pull request "
            "23040); the reviewer found one more case of it.",
            test=both_paths_agree,
            checks=("future", "paths"),
        ),
        _room(
            "never causal",
            code.NeverCausal,
            "seen",
            repository="huggingface/transformers",
            reference="issue 48745",
            year=2026,
            line="Four decoders built the encoder's mask whatever they were: every word saw the "
            "words after it, its own answer among them.",
            worked="It works too well: on random tokens, where nothing can be learnt, the loss "
            "fell to almost zero.",
            answer="Mended by pull request 48760, with the test that was missing: change what "
            "comes later, and compare.",
            test=the_future_changes_nothing,
            checks=("future",),
        ),
        _room(
            "nothing to see",
            code.EmptyRowIsNaN,
            "softmax",
            repository="pytorch/pytorch",
            reference="issue 41508",
            year=2020,
            line="A row whose scores are all minus infinity is 0 / 0. Its output is thrown away, "
            "but 0 times NaN is NaN in the weights' gradients.",
            worked="It does not, from the first empty row on; before that nothing shows. Without "
            "weights the kernel returns zeros, so whether it fails depends on a flag.",
            answer="Open since 2020; pull requests 189045 and 196170 (both 2026) would mend it.",
            test=nothing_to_see_is_not_nan,
            also=("pytorch/pytorch, issue 160064 (2025): the same with a head that is masked",),
            checks=("empty rows",),
        ),
        _room(
            "over the queries",
            code.OverQueries,
            "softmax",
            repository="labmlai/annotated_deep_learning_paper_implementations",
            reference="issue 146",
            year=2022,
            line="The softmax was over the axis of the queries: each key's weights summed to 1, "
            "and a query's to anything.",
            worked="There is still a nonlinearity between positions, and a residual connection "
            "around it. The reader who found it trained both: FID within 0.05 of each other, and "
            "after more training the broken one was slightly ahead.",
            answer="'Thanks, you are right! That's a typo and a big bug!' (the author)",
            test=rows_sum_to_one,
            checks=("queries", "sums", "lengths", "heads"),
        ),
        _room(
            "joined by a view",
            code.JoinedByView,
            "join",
            repository="hackiey/QAnet-pytorch",
            reference="issue 2",
            year=2018,
            line="Contexts (H, B, T, D) became (B, T, H D) by a view, without a permutation "
            "first: a word got pieces of other words, and of other sentences.",
            worked="With one head it is right, and one head was the default.",
            answer="'the reason of not changed result is the heads number is 1' (the author)",
            test=reversed_words_give_reversed_outputs,
            also=(
                "649453932/Chinese-Text-Classification-Pytorch, issue 53 (2020) shows the code: "
                "heads are split by a view",
            ),
            checks=("queries", "future", "shown", "batch", "lengths", "order", "heads"),
        ),
        _room(
            "across the batch",
            code.AcrossBatch,
            "forward",
            repository="IBM/TabFormer",
            reference="pull request 14",
            year=2021,
            line="The encoder wants (S, B, D) and was given (B, S, D): each row attended to the "
            "same place of the other rows in its batch.",
            worked="Without a mask all shapes fit. Feed-forward layers and residual connections "
            "still see each position, and what the batch adds looks like noise.",
            answer="Mended by the authors within two days.",
            test=a_sentence_is_alone,
            checks=("sums", "padding", "batch", "order", "heads"),
        ),
        _room(
            "scaled by the heads",
            code.ScaledByHeads,
            "scale",
            repository="tenstorrent/tt-metal",
            reference="pull request 56789",
            year=2026,
            line="Scores were divided by the root of the number of heads; the comment beside it "
            "said of the width of a head.",
            worked="With 12 heads of 64 numbers the scores are more than twice too large. Trained "
            "with it, the projections stay smaller to fit. Here trained weights were loaded into "
            "it: the picture was still named rightly, with other probabilities.",
            answer="'The tutorial still picked the correct prompt before this change, which is why "
            "the bug went unnoticed' (the author of the fix)",
            test=the_scale_is_that_of_a_head,
            also=(
                "mlc-ai/mlc-llm, pull request 3426 (2026): no scale at all on the fallback path",
                "lucidrains/vit-pytorch, issue 65 (2021): the root of the width of all heads; "
                "'i've been coding Attention for nearly a year now and still making rookie "
                "mistakes' (its author, who mended it the same day)",
                "karpathy/ng-video-lecture, pull request 6 (2023): the same",
            ),
            checks=("scale",),
        ),
        _room(
            "over one number",
            code.OverOneNumber,
            "softmax",
            repository="phanideepgampa/stacked-capsule-networks",
            reference="pull request 5",
            year=2020,
            line="The scores had a last axis of length one, and the softmax was over it: e / e.",
            worked="A sum of all values with weight 1 is a summary too, if all inputs are of one "
            "length; only the attention is gone.",
            answer="The author first asked whether the last axis was not the right one, was shown "
            "the ones, and merged.",
            test=weights_are_not_all_equal,
            checks=("keys", "queries", "sums", "heads"),
        ),
        Room(
            "the other divergence",
            repository="sarahwie/attention",
            reference="issue 6",
            year=2023,
            line="The first argument of kl_div is the logarithm of the second distribution. A "
            "reader asked why a call, kl_div(base.log(), learnt), had the two the other way round. "
            "It computes KL(learnt || base), which is the paper's formula, and pushes the learnt "
            "weights away from the base. The room has the same order of arguments where weights "
            "are drawn to a target, and KL(target || learnt) is wanted.",
            worked="Both divergences are zero where the two agree, so both pull the weights "
            "there. Pulled by the turned one, KL(learnt || target), weights may leave out a part "
            "of the target; the right one makes that expensive.",
            answer="'good catch and I believe this is a bug' (an author of the paper), who adds "
            "that the choice was not expected to make much of a difference. By our reading the "
            "call is right.",
            broken=lambda: code.kl_turned,
            correct=lambda: code.kl,
            test=the_divergence_is_that_of_the_formula,
            step="kl",
        ),
        _room(
            "the encoder is not read",
            code.IgnoresEncoder,
            "look",
            repository="keitakurita/Practical_NLP_in_PyTorch",
            reference="issue 1",
            year=2019,
            line="The second attention of the decoder's block was given the decoder's own states "
            "as keys and values; the encoder's output was an argument, and unused. (The "
            "masks of the two attentions were swapped, too; the room has them right.)",
            worked="With the right words before it given, a decoder guesses the next one as a "
            "language model does, and the loss falls to what that can reach.",
            answer="",
            test=another_source_changes_the_output,
        ),
        Room(
            "the weights of another hypothesis",
            repository="OpenNMT/CTranslate2",
            reference="pull request 910",
            year=2022,
            line="Beam search reorders its hypotheses at every step; what the last step had looked "
            "at stayed in the old order.",
            worked="Words and scores are right: only what is shown beside them belongs to another "
            "hypothesis, and with a beam of one not even that.",
            answer="Found and mended by the maintainer. A user then counted: before, 60 % of "
            "attention matrices agreed with those of the toolkit the model came from; after, 96 % "
            "(issue 921).",
            broken=lambda: code.BeamLooksElsewhere(_step),
            correct=lambda: code.BeamSearch(_step),
            test=the_shown_weights_are_those_of_the_words,
            step="add",
            also=(
                "jadore801120/attention-is-all-you-need-pytorch, issue 28 (2017): sources repeated "
                "as 123123 for hypotheses in the order 112233",
                "OpenNMT/CTranslate, pull request 42 (2018): states not those of the parents",
            ),
        ),
    )
    return {room.name: room for room in twelve}


# Departures worth arguing ---------------------------------------------------------------------


@dataclass(frozen=True)
class Departure:
    """Code that differs from its paper, or from other code, with a reason."""

    name: str
    sources: tuple[str, ...]
    question: str
    shown: dict[str, float] = field(hash=False)  # numbers that show the difference


def _steps_a_cell() -> dict[str, float]:
    """What the doubly stochastic penalty is when 16 looks are spread evenly on 196 cells."""
    looked = torch.full((16, 196), 1 / 196, dtype=torch.float64).sum(0)
    targets = {"target 1": 1.0, "target 16/196": 16 / 196}
    return {name: round(float((x - looked).square().sum()), 9) for name, x in targets.items()}


def _norms() -> dict[str, float]:
    """How large a state is after six sublayers that double it, pre-norm and post-norm."""
    x = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pre = post = torch.nn.functional.layer_norm(x, (8,))
    for _ in range(6):
        pre = pre + 2 * torch.nn.functional.layer_norm(pre, (8,))
        post = torch.nn.functional.layer_norm(post + 2 * post, (8,))
    return {"pre-norm": float(pre.std(correction=0)), "post-norm": float(post.std(correction=0))}


def _floors() -> dict[str, float]:
    """The first weight of a row that may see nothing, with scores (5, 0), by the floor."""
    scores = torch.tensor([5.0, 0.0])
    return {
        "filled with -1e9": float(torch.full((2,), -1e9).softmax(0)[0]),
        "-1e9 added": float((scores - 1e9).softmax(0)[0]),
        "-1e4 added": float((scores - 1e4).softmax(0)[0]),
        "-1e9 in half precision": float(torch.tensor(-1e9).half()),
    }


def departures() -> dict[str, Departure]:
    """The thirteenth room: no bugs, but differences that one should know of."""
    three = (
        Departure(
            "the target of the penalty on places",
            (
                "kelvinxu/arctic-captions, issue 38 (2017)",
                "yunjey/show-attend-and-tell, issue 15 (2017)",
            ),
            "Xu et al. want the weights on each cell to sum to 1 over a caption. With 16 words and "
            "196 cells they sum to 16/196 on average, so the penalty can never be zero. The author "
            "of the paper agreed that steps over cells is correct, and said that 1, which they "
            "used, did not really change the results; another implementation took the other.",
            _steps_a_cell(),
        ),
        Departure(
            "where the normalization stands",
            (
                "harvardnlp/annotated-transformer, issue 92 (2022)",
                "OpenNMT/OpenNMT-tf, issue 70 (2018)",
            ),
            "The paper normalizes after each residual connection, the authors' code soon did so "
            "before each sublayer, and said so in the code alone. Before: states grow with depth, "
            "and training is stabler; after: states keep their size.",
            _norms(),
        ),
        Departure(
            "how low a floor",
            (
                "hyunwoongko/transformer, issue 10 (2022)",
                "pytorch/benchmark, pull request 794 (2022)",
                "ahrefs/ocannl, issue 548 (2026)",
            ),
            "A finite floor in place of minus infinity keeps a row that may see nothing from being "
            "NaN, and makes it an average of what is hidden. Added rather than filled in, -1e9 "
            "swallows the scores and -1e4 does not; half precision cannot hold -1e9.",
            _floors(),
        ),
    )
    return {each.name: each for each in three}

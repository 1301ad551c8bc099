"""Ask any attention what is broken in it: thirteen checks, each with the number that it saw.

Every check is a property that holds whatever the weights of the module are, or, where its matrices
can be read, a comparison with the sums themselves. What a check needs and an attention does not
have is not asked, and the report says so.

==============  ================================================================================
``keys``        other keys, and other values, move the output
``queries``     another query moves its own output, and no other
``sums``        weights are not negative and sum to 1 over the keys; an average of equal values is
                that value
``padding``     hidden keys and values may become anything: no output moves
``future``      what stands after a query may become anything: its output stays
``shown``       each key that a mask shows moves the output: nothing more is hidden
``batch``       other sentences move nothing; alone a sentence gives what it gives in a batch
``lengths``     fewer queries give what they give among more
``order``       keys, with their values, and queries in another order give the same
``heads``       the output is that of the sums, head by head
``scale``       scores are 1 / sqrt(D) times the dot product, and if not, how many times
``empty rows``  a query that may see nothing makes nothing NaN: no output, no gradient
``paths``       with weights and without, in training and not, fused and not: the same
==============  ================================================================================
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from attnlib.checks.called import Call, Way, called
from attnlib.checks.subject import (
    FAR,
    LENGTHS,
    AttentionReport,
    B,
    Finding,
    S,
    Subject,
    T,
    tried,
    worst,
)
from attnlib.checks.sums import heads_and_scale
from attnlib.masks import causal_mask, padding_mask


def attention(
    module: Callable,
    *,
    call: Call | None = None,
    ways: Mapping[str, Call] | None = None,
    width: int | tuple[int, int, int] | None = None,
    causal: bool = False,
    shared: str = "nothing",
    positions: bool = False,
    scale: float | None = None,
    projections: Sequence[nn.Linear] | None = None,
    heads: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> AttentionReport:
    """Check any attention: does padding leak, or the future? Do its two paths agree?

    Parameters
    ----------
    module : callable
        A module or a function: the attentions of this package, `torch.nn.MultiheadAttention`,
        `torch.nn.functional.scaled_dot_product_attention`, or anything called with arguments
        ``queries, keys, values, mask`` (or ``query, key, value``, or ``q, k, v``). A copy of a
        module is checked, in double precision.
    call : callable, optional
        For anything else, how it is called: ``call(module, queries, keys, values, mask)`` with
        queries (B, T, D), keys and values (B, S, D), and mask boolean (B, T, S), True = may attend,
        or None, gives the output (B, T, D), alone or with the weights (B, T, S) or (B, H, T, S). It
        raises `NotImplementedError` for a mask that the module cannot be given.
    ways : dict of callables, optional
        More ways to call it that should give the same, by name.
    width : int or (int, int, int), optional
        D, or D_q, D_k and D_v; what the module says of itself, or 8, unless given.
    causal : bool
        Whether it hides the future by itself.
    shared : "nothing", "keys and values" or "all"
        Which of its inputs are one tensor to it. Of self-attention on one sequence, "all", only the
        queries are used; what needs them apart is not asked.
    positions : bool
        Whether it reads the order of its keys (rotary positions, biases by distance, a window).
    scale : float, optional
        What scores are multiplied by; 1 / sqrt(D) of a head unless given.
    projections : four nn.Linear, optional
        Of queries, keys, values and the output, with `heads`, where they cannot be found.
    dtype : torch.dtype
        torch.float32 for what cannot be exact.

    Returns
    -------
    AttentionReport
        True if nothing failed; printed, a line a check.

    Raises
    ------
    TypeError
        If it cannot be called, or what its arguments mean is not certain.
    ValueError
        If it is called and what comes back is no attention's output.

    Examples
    --------
    >>> def attend(queries, keys, values, mask):
    ...     scores = queries @ keys.transpose(1, 2)
    ...     if mask is not None:
    ...         scores = scores.masked_fill(~mask, -1e9)
    ...     return scores.softmax(-1) @ values
    >>> report = attention(attend)
    >>> report.failed
    ('scale',)
    >>> print(report.findings[10])
    FAILED  scale       scores are 1 times the dot product of 8 numbers: 0.3536 is expected, this is
                        1 (no scale)
    """

    def made(dtype: torch.dtype) -> Subject:
        known = called(module, call, ways, projections, heads, dtype)
        return Subject(known, width, causal, shared, dtype)

    asked = made(dtype)
    found = [
        _keys_and_values(asked),
        _queries(asked),
        _sums(asked),
        _padding(asked),
        _future(asked),
        _shown(asked, positions),
        _batch(asked),
        _lengths(asked),
        _order(asked, positions),
        *heads_and_scale(asked, positions, scale),
        _empty_rows(asked, made),
        _paths(asked),
    ]
    return AttentionReport(asked.known.name, asked.known.how, tuple(found))


def _keys_and_values(asked: Subject) -> Finding:
    """Keys alone and values alone move the output."""
    check = "keys"
    if asked.one:
        return Finding(check, None, "not asked: keys and values are the queries")
    everywhere = torch.ones(B, S, dtype=torch.bool)
    if asked.two:

        def together():
            move = float(asked.moved(asked.way, None, everywhere, (1,))[:, -1].min())
            seen = f"other keys, which are the values too, move an output by {move:.2g}"
            return Finding(check, move > asked.near, seen, "the output does not depend on them")

        return tried(check, together)

    def ask():
        by_keys, by_values = (
            float(asked.moved(asked.way, None, everywhere, (i,))[:, -1].min()) for i in (1, 2)
        )
        seen = f"other keys move an output by {by_keys:.2g}, other values by {by_values:.2g}"
        what = "keys" if by_keys <= asked.near else "values"
        passed = min(by_keys, by_values) > asked.near
        return Finding(check, passed, seen, f"the output does not depend on the {what}")

    return tried(check, ask)


def _queries(asked: Subject) -> Finding:
    """Another query moves its own output, and no other one."""
    check = "queries"
    if asked.one:
        return Finding(check, None, "not asked: queries are the keys and values")

    def ask():
        changed = asked.inputs[0].clone()
        t = T - 1  # the last sees all keys in a causal attention
        changed[:, t] = FAR * asked.draw()[:, t]
        other = asked.run(asked.way, (changed, *asked.inputs[1:]))[0]
        move = (other - asked.output).abs().amax(-1).detach()
        own, rest = float(move[:, t].min()), float(move[:, :t].max())
        if own <= asked.near:
            means = "the weights do not depend on the query: every query gets the same average"
        else:
            means = "an output depends on other queries: weights, or heads, are mixed between rows"
        seen = f"another query moves its own output by {own:.2g}, other outputs by {rest:.2g}"
        return Finding(check, own > asked.near and asked.still(move[:, :t]), seen, means)

    return tried(check, ask)


def _sums(asked: Subject) -> Finding:
    """Weights are not negative and each row sums to 1; where they cannot be seen, equal values."""
    check = "sums"
    means = "the weights of a query do not sum to 1 over the keys"
    if asked.weights is not None:
        weights, shape = asked.weights, tuple(asked.weights.shape)
        if shape != (B, T, S) and (len(shape) != 4 or (shape[0], *shape[2:]) != (B, T, S)):
            seen = f"weights have shape {shape}"
            return Finding(
                check, False, seen, f"({B}, {T}, {S}) is expected, or one more axis of heads"
            )
        sums = weights.sum(-1)
        low, high = float(sums.min()), float(sums.max())
        passed = bool(((sums - 1).abs() <= asked.near).all() and (weights >= -asked.near).all())
        seen = f"rows of weights sum to {low:.6g}"
        seen += f" to {high:.6g}" if high - low > asked.near else ""
        return Finding(check, passed, seen, means)
    if asked.one or asked.two:
        whose = "queries" if asked.one else "keys"
        return Finding(check, None, f"not asked: it gives no weights, and values are the {whose}")

    def ask():
        same = asked.draw(2)[:1, :1].expand(B, S, -1).clone()
        few = padding_mask(torch.tensor(LENGTHS), S).unsqueeze(1).expand(B, T, S)
        got = [asked.run(asked.way, (*asked.inputs[:2], same))[0]]
        try:
            got.append(asked.run(asked.way, (*asked.inputs[:2], same), few)[0])
        except Exception:  # without a mask then
            got *= 2
        got = [each.detach() for each in got]
        if asked.known.free and same.shape[-1] == got[0].shape[-1]:
            off = max(float((each - same).abs().max()) for each in got)
        else:
            off = max(float((each - got[0][:1, :1]).abs().max()) for each in got)
        seen = f"of equal values, outputs differ by {off:.2g}"
        return Finding(check, off <= asked.near * asked.large, seen, means)

    return tried(check, ask)


def _padding(asked: Subject) -> Finding:
    """Hidden keys and values may become anything: no output moves."""

    def ask():
        real = padding_mask(torch.tensor(LENGTHS), S)
        mask = real.unsqueeze(1).expand(B, T, S)

        def leak(way):
            move = asked.moved(way, mask, ~real)
            return asked.still(move), float(move.max())

        passed, most, where = worst(asked, leak)
        seen = f"other padding moves an output by {most:.2g}{where}"
        return Finding("padding", passed, seen, "keys that are hidden are read")

    return tried("padding", ask)


def _future(asked: Subject) -> Finding:
    """Keys and values after a query's own position may become anything: its output stays."""

    def ask():
        mask = None if asked.causal else causal_mask(T, S).expand(B, T, S)

        def leak(way):
            worst, still = 0.0, True
            for t in range(T - 1):
                later = (torch.arange(S) > t).expand(B, S)
                move = asked.moved(way, mask, later)[:, : t + 1]
                worst = max(worst, float(move.max()), key=lambda x: (math.isnan(x), x))
                still = still and asked.still(move)
            return still, worst

        passed, most, where = worst(asked, leak)
        seen = f"what comes later moves an output by {most:.2g}{where}"
        return Finding("future", passed, seen, "a query sees keys after its own position")

    return tried("future", ask)


def _shown(asked: Subject, positions: bool) -> Finding:
    """Each key that a mask shows moves the output, if it does so without a mask."""
    check = "shown"
    real = padding_mask(torch.tensor(LENGTHS), S).unsqueeze(1).expand(B, T, S)
    past = causal_mask(T, S).expand(B, T, S)
    # of one sequence some give zeros for queries that are padding, since nobody reads these
    read = real & real.mT if asked.one or asked.causal else real
    kinds: dict[str, tuple[Tensor | None, Tensor]]  # what is given, and what it shows
    if asked.causal:
        kinds = {"its causal mask": (None, past), "a padding mask": (real, read)}
    else:
        kinds = {"a padding mask": (real, read), "a causal mask": (past, past)}
        kinds["both masks"] = real & past, read & past

    def ask():
        changed = [asked.changed((torch.arange(S) == s).expand(B, S)) for s in range(S)]

        def moves(way: Way, mask: Tensor | None) -> Tensor:
            """How far each output moves with each key and its value: (B, T, S)."""
            before = asked.run(way, asked.inputs, mask)[0]
            after = [asked.run(way, inputs, mask)[0] for inputs in changed]
            return torch.stack([(x - before).abs().amax(-1) for x in after], -1).detach()

        free = moves(asked.way, None) > 10 * asked.near  # not those outside of a window
        if asked.causal:  # nobody knows it without a mask, but a window has the query's own key
            free = past & (free | torch.eye(T, S, dtype=torch.bool)) if positions else past
        if positions:  # a window may stand elsewhere in a shorter sentence
            free = free & real.all(-1, keepdim=True)
        least, why, bad = math.inf, "", []
        for (name, (mask, shows)), way in itertools.product(kinds.items(), asked.known.ways):
            try:
                found = moves(way, mask)
            except NotImplementedError as error:
                why = str(error)
                continue
            shown = free & shows
            missed = shown & ~(found > asked.near)  # NaN is no move
            least = min(least, float(found[shown].min())) if shown.any() else least
            bad += [(name, way.name, missed, shown)] if missed.any() else []
        if least == math.inf:
            raise NotImplementedError(why or "no key moves an output")
        if not bad:
            seen = f"each key that a mask shows moves an output by {least:.2g} or more"
            return Finding(check, True, seen)
        name, _, missed, shown = bad[0]
        ways = [way for each, way, *_ in bad if each == name]
        where = "" if len(ways) == len(asked.known.ways) else f" ({'; '.join(ways)})"
        seen = f"under {name}, {int(missed.sum())} of {int(shown.sum())} keys that it shows move "
        return Finding(check, False, f"{seen}no output{where}", _hidden_too(missed, shown))

    return tried(check, ask)


def _hidden_too(missed: Tensor, shown: Tensor) -> str:
    """What is hidden that a mask shows, in words where it has a name."""
    own = torch.eye(T, S, dtype=torch.bool)
    last = (torch.arange(S) == torch.tensor(LENGTHS).unsqueeze(1) - 1).unsqueeze(1)
    names = {
        "every key is hidden": shown,
        "the key at its own position is hidden from each query": shown & own,
        "of each query all keys but that at its own position are hidden": shown & ~own,
        "the last key of each sentence is hidden, as if it were padding": shown & last,
    }
    found = [what for what, which in names.items() if torch.equal(missed, which)]
    return found[0] if found else "more is hidden than the mask hides"


def _batch(asked: Subject) -> Finding:
    """Another sentence in the batch moves nothing, and alone a sentence gives the same."""

    def ask():
        other = [x.clone() for x in asked.inputs]
        for i, x in enumerate(other):
            x[1] = FAR * asked.draw(i)[1]
        move = (asked.run(asked.way, other)[0] - asked.output)[[0, 2]].abs().detach()
        if asked.still(move):
            each = [[x[b : b + 1] for x in asked.inputs] for b in range(B)]
            alone = torch.cat([asked.run(asked.way, inputs)[0] for inputs in each])
            move = (alone - asked.output).abs().detach()
        seen = f"other sentences of the batch move an output by {float(move.max()):.2g}"
        return Finding("batch", asked.still(move), seen, "sentences of a batch are mixed")

    return tried("batch", ask)


def _lengths(asked: Subject) -> Finding:
    """Fewer queries than keys: each gives what it gives among more."""
    check = "lengths"
    if asked.one or asked.causal:
        why = "queries and keys are one sequence" if asked.one else "it counts queries from one end"
        return Finding(check, None, f"not asked: {why}")

    def ask():
        few = asked.run(asked.way, (asked.inputs[0][:, :2], *asked.inputs[1:]))[0]
        off = (few - asked.output[:, :2]).abs().detach()
        seen = f"2 queries alone and among {T} differ by {float(off.max()):.2g}"
        return Finding(check, asked.still(off), seen, "an output depends on how many queries ask")

    return tried(check, ask)


def _order(asked: Subject, positions: bool) -> Finding:
    """Keys with their values in another order give the same, and so does each query."""
    check = "order"
    if positions or asked.causal:
        return Finding(check, None, "not asked: it reads the order of its keys")

    def ask():
        order = torch.tensor([2, 0, 4, 1, 3])
        queries, keys, values = asked.inputs
        if asked.one:
            off = asked.run(asked.way, [queries[:, order]] * 3)[0] - asked.output[:, order]
        else:
            by_keys = asked.run(asked.way, (queries, keys[:, order], values[:, order]))[0]
            by_queries = asked.run(asked.way, (queries[:, order], keys, values))[0]
            off = torch.cat([by_keys - asked.output, by_queries - asked.output[:, order]])
        off = off.abs().detach()
        seen = f"keys, or queries, in another order: outputs differ by {float(off.max()):.2g}"
        means = "positions are mixed: are the heads split or joined by a view alone?"
        return Finding(check, asked.still(off), seen, means)

    return tried(check, ask)


def _empty_rows(asked: Subject, made: Callable[[torch.dtype], Subject]) -> Finding:
    """As `_nothing_to_see`; what fails in double precision alone is none of a user's troubles.

    A floor of double precision is minus infinity to a softmax that is taken in single precision.
    """
    found = _nothing_to_see(asked)
    if found.passed is False and asked.dtype == torch.float64:
        with suppress(ValueError):
            single = _nothing_to_see(made(torch.float32))
            return found if single.passed is None else single
    return found


def _nothing_to_see(asked: Subject) -> Finding:
    """A query that may see nothing gives numbers, and so do the gradients of the others."""
    check = "empty rows"

    def masks() -> Iterator[tuple[Tensor, Tensor]]:
        one = torch.ones(B, T, S, dtype=torch.bool)
        one[0, 1] = False
        yield one, one.any(-1)
        whole = padding_mask(torch.tensor([0, 3, 5]), S).unsqueeze(1).expand(B, T, S)
        yield whole, whole.any(-1)

    def bad(way) -> tuple[bool, float]:
        count, taken, why = 0, False, ""
        for mask, some in masks():
            inputs = [x.clone().requires_grad_() for x in asked.inputs]
            try:
                output, _ = asked.run(way, inputs, mask)
            except NotImplementedError as error:
                why = str(error)
                continue
            taken = True
            learn = [*{id(x): x for x in asked.given(inputs)}.values(), *_parameters(way)]
            loss = output[some].square().sum()  # of the queries that see something
            made = [output]
            if loss.requires_grad:
                made += torch.autograd.grad(loss, learn, allow_unused=True)
            count += sum(int((~x.isfinite()).sum()) for x in made if x is not None)
        if not taken:
            raise NotImplementedError(why)
        return count == 0, float(count)

    def ask():
        passed, most, where = worst(asked, bad)
        seen = f"{most:.0f} numbers of outputs and gradients are NaN{where}" if most else _given()
        means = "a query that may see nothing spoils its output, and the gradients of all others"
        return Finding(check, passed, seen, means)

    def _given():
        for mask, some in masks():
            try:
                output = asked.run(asked.way, asked.inputs, mask)[0].detach()
            except NotImplementedError:
                continue
            size = float(output[~some].abs().max())
            return f"nothing is NaN; a query that may see nothing gets numbers up to {size:.2g}"
        return "nothing is NaN"

    return tried(check, ask)


def _parameters(way: Way) -> list[Tensor]:
    if not isinstance(way.module, nn.Module):
        return []
    return [x for x in way.module.parameters() if x.requires_grad]


def _paths(asked: Subject) -> Finding:
    """All ways through it give the same, with every kind of mask."""
    check = "paths"
    padding = padding_mask(torch.tensor(LENGTHS), S).unsqueeze(1).expand(B, T, S)
    future = causal_mask(T, S).expand(B, T, S)
    kinds = {"no mask": None, "padding": padding, "a causal mask": future}
    kinds["both masks"] = padding & future

    def ask():
        worst, where = 0.0, ""
        for name, mask in kinds.items():
            try:
                want = asked.run(asked.way, asked.inputs, mask)[0].detach()
            except NotImplementedError:
                continue
            for way in asked.others:
                got = asked.run(way, asked.inputs, mask)[0].detach()
                off = float((got - want).abs().max())
                if not off <= worst:
                    worst, where = off, f" ({way.name}, {name})"
        one = _one_tensor(asked)
        if not one <= worst:
            worst, where = one, " (one tensor given three times, with and without gradients)"
        count = len(asked.known.ways)
        seen = f"{count} ways through it differ by {worst:.2g}"
        passed = worst <= asked.near * asked.large
        return Finding(
            check, passed, seen + ("" if passed else where), "two paths give two results"
        )

    return tried(check, ask)


def _one_tensor(asked: Subject) -> float:
    """Self-attention of one tensor, which some compute by a faster path when nothing is learnt."""
    if len(set(asked.widths)) > 1:
        return 0.0
    x = asked.inputs[0]
    want = asked.run(asked.way, (x, x, x))[0].detach()
    with torch.no_grad():
        found = [asked.run(way, (x, x, x))[0] for way in asked.known.ways]
    return max(float((each - want).abs().max()) for each in found)

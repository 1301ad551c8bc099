"""Assignment 4, before or after: what many do instead, and what to say to them (chapters 3, 4).

Each mistake takes the arguments of the function it stands for (see `attnlib.checks.a04`).
"""

import numpy as np

from attnlib.checks.compare import Likely

PAD, BOS, EOS = 0, 1, 2


def _look(query, annotations, seen=None, low=np.inf):
    """Weights and context of a lookup with the dot score."""
    scores = np.where(np.isinf(low), annotations @ query, low)
    if seen is not None:
        scores = np.where(seen, scores, -np.inf)
    exps = np.exp(scores - scores.max())
    weights = exps / exps.sum()
    return weights, weights @ annotations


# --- asked before ---


def _early(ask="old", feed="this", swap=False, stale=False, states="new", keep=1.0, scale=1.0):
    """Bahdanau's decoder with another question, other food for the cell, or other states kept."""

    def answer(words, state, annotations, W):
        D = len(state)
        found, rows, initial = [], [], state
        fed = _look(state, annotations)[1] if feed == "last, asked" else np.zeros(D)
        for y in words:
            old = state
            if ask == "new":  # what was read before goes into the cell, and the new state asks
                state = keep * state + W @ np.concatenate([y, fed])
                weights, fed = _look(state, annotations)
            else:
                asks = initial if stale else old
                if ask == "half":  # a step on the word alone, to ask with
                    asks = old + W @ np.concatenate([y, np.zeros(D)])
                weights, context = _look(asks * scale, annotations)
                reads = {"this": context, "last": fed, "nothing": np.zeros(D)}[feed]
                reads = np.concatenate([reads, y] if swap else [y, reads])
                state, fed = keep * state + W @ reads, context
            found.append(state if states == "new" else old)
            rows.append(weights)
        return np.array(found), np.array(rows)

    return answer


def _one_word_late(words):
    return np.vstack([0 * words[:1], words[:-1]])


def _from_the_last(words):
    return np.roll(words, 1, axis=0)


def _last_state_only(words, state, annotations, W):
    states, rows = _early()(words, state, annotations, W)
    return np.repeat(states[-1:], len(states), axis=0), rows


def _all_at_once(words, state, annotations, W):
    weights, context = _look(state, annotations)
    steps = [state + W @ np.concatenate([y, context]) for y in words]
    return np.array(steps), np.repeat(weights[None], len(words), axis=0)


def _raw(words, state, annotations, W):
    states, rows = [], []
    for y in words:
        scores = annotations @ state
        state = state + W @ np.concatenate([y, scores @ annotations])
        states.append(state)
        rows.append(scores)
    return np.array(states), np.array(rows)


TOO_LATE = (
    "the state that asks has already read this step's word: that is Luong's timing under "
    "Bahdanau's name"
)
ALREADY = "words[t] is already the word before step t, and words[0] the start token"
EARLY = [
    Likely(_early(ask="new"), TOO_LATE),
    Likely(_early(ask="new", feed="last, asked"), TOO_LATE),
    Likely(_early(ask="half"), TOO_LATE),
    Likely(
        _early(feed="last"),
        "the cell is fed the context of the step before; asked before the step, this step's is "
        "there in time",
    ),
    Likely(_early(feed="nothing"), "no context goes into the cell"),
    Likely(_early(swap=True), "the cell reads the word first, and the context second"),
    Likely(_early(states="old"), "the states are those before the steps; wanted are those after"),
    Likely(
        _early(stale=True), "the initial state asks in every step; who should ask in the second?"
    ),
    Likely(_early(keep=0.0), "the old state is forgotten: a step adds to it"),
    Likely(
        lambda words, state, annotations, W: _early()(_one_word_late(words), state, annotations, W),
        ALREADY,
    ),
    Likely(
        lambda words, state, annotations, W: _early()(_from_the_last(words), state, annotations, W),
        ALREADY,
    ),
    Likely(lambda **case: _early()(**case)[::-1], "the states come first, the weights second"),
    Likely(
        lambda words, state, annotations, W: _early(scale=len(state) ** -0.5)(
            words, state, annotations, W
        ),
        "the scores are divided by the root of the width; here they are plain dot products",
    ),
    Likely(
        _last_state_only,
        "every row is the last state: += changes an array in place, and with it what was kept",
    ),
    Likely(
        _all_at_once,
        "every step begins from the initial state; it should begin where the last one ended",
    ),
    Likely(_raw, "the weights are the scores themselves: where is the softmax?"),
]


# --- asked after ---


def _late(
    ask="new", feed="vector", read="new", order="hcy", squash=np.tanh, swap=False, out="vector"
):
    """Luong's decoder with another question, other food, or another readout."""

    def answer(words, state, annotations, W, W_c):
        fed = {"start": state, "asked": _look(state, annotations)[1]}.get(feed, np.zeros(len(W_c)))
        found, rows = [], []
        for y in words:
            old = state
            state = state + W @ np.concatenate([fed, y] if swap else [y, fed])
            weights, context = _look(state if ask == "new" else old, annotations)
            parts = {"h": state if read == "new" else old, "c": context, "y": y}
            vector = squash(W_c @ np.concatenate([parts[letter] for letter in order]))
            if feed == "context" or feed == "asked":
                fed = context
            elif feed == "state":
                state = vector
            elif feed != "nothing":
                fed = vector
            if feed == "state, too":
                state = vector
            found.append({"vector": vector, "state": state, "context": context}[out])
            rows.append(weights)
        return np.array(found), np.array(rows)

    return answer


def _late_of(change):
    return lambda words, state, annotations, W, W_c: _late()(
        change(words), state, annotations, W, W_c
    )


def _reads_the_next(last):
    def answer(words, state, annotations, W, W_c):
        fed, found, rows = np.zeros(len(W_c)), [], []
        for y, following in zip(words, [*words[1:], last(words)], strict=True):
            state = state + W @ np.concatenate([y, fed])
            weights, context = _look(state, annotations)
            fed = np.tanh(W_c @ np.concatenate([state, context, following]))
            found.append(fed)
            rows.append(weights)
        return np.array(found), np.array(rows)

    return answer


LATE = [
    Likely(
        _late(ask="old"),
        "the state before the step asks: that is Bahdanau's timing, and this decoder asks after it",
    ),
    Likely(
        _late(ask="old", read="old"),
        "the state before the step asks: that is Bahdanau's timing, and this decoder asks after it",
    ),
    *(
        Likely(
            _reads_the_next(last),
            "the readout has the word of this step, which it is to predict; it has the word before",
        )
        for last in (lambda words: words[-1], lambda words: 0 * words[-1])
    ),
    Likely(_late(read="old"), "the readout has the old state in it; the new one is there by now"),
    Likely(
        _late(feed="context"),
        "the context is fed to the next step; input feeding passes on the attentional vector",
    ),
    Likely(
        _late(feed="asked"),
        "the context is fed to the next step; input feeding passes on the attentional vector",
    ),
    Likely(
        _late(feed="nothing"),
        "the same zeros are fed in every step: what does the second step learn of the first?",
    ),
    Likely(
        _late(feed="state"),
        "the attentional vector takes the state's place; it is fed beside the word, and the state "
        "stays what it is",
    ),
    Likely(
        _late(feed="state, too"),
        "the attentional vector takes the state's place; it is fed beside the word, and the state "
        "stays what it is",
    ),
    Likely(_late(feed="start"), "the first step is fed zeros, for there was no step before it"),
    Likely(_late(squash=lambda x: x), "the attentional vector goes through a tanh"),
    Likely(_late(order="chy"), "the readout has the state first, then the context, then the word"),
    Likely(_late(order="yhc"), "the readout has the state first, then the context, then the word"),
    Likely(_late(order="hyc"), "the readout has the state first, then the context, then the word"),
    Likely(_late(order="ych"), "the readout has the state first, then the context, then the word"),
    Likely(_late(swap=True), "the cell reads the word first, and what is fed second"),
    Likely(_late(out="state"), "these are the states; wanted are the attentional vectors"),
    Likely(_late(out="context"), "these are the contexts; wanted are the attentional vectors"),
    Likely(_late_of(_one_word_late), ALREADY),
    Likely(_late_of(_from_the_last), ALREADY),
    Likely(
        lambda **case: _late()(**case)[::-1], "the attentional vectors come first, weights second"
    ),
]


# --- what is given, what is wanted ---


def _framed(targets):
    """The start token, the words and the end token of each sentence: (B, T + 2)."""
    B = len(targets)
    framed = np.hstack([np.full((B, 1), BOS), targets, np.full((B, 1), PAD)])
    framed[np.arange(B), (targets != PAD).sum(1) + 1] = EOS
    return framed


def _end_of_row(targets):
    B = len(targets)
    first, last = np.full((B, 1), BOS), np.full((B, 1), EOS)
    return np.hstack([first, targets]), np.hstack([targets, last])


def _nothing_ends(targets):
    wanted = np.hstack([targets, np.full((len(targets), 1), PAD)])
    return np.hstack([np.full((len(targets), 1), BOS), targets]), wanted


def _padded_with(end, start=BOS):
    def answer(targets):
        given, wanted = _framed(targets)[:, :-1], _framed(targets)[:, 1:]
        given = np.where(wanted == PAD, PAD, given)
        given[:, 0] = start
        return given, np.where(wanted == PAD, end, wanted)

    return answer


def _as_wide_as_the_longest(targets):
    return _padded_with(PAD)(targets[:, : (targets != PAD).sum(1).max()])


def _given_ends(targets):
    framed = _framed(targets)
    return framed[:, :-1], framed[:, 1:]


def _both(cut):
    return lambda targets: (cut(_framed(targets)), cut(_framed(targets)))


COPY = (
    "the same words are given and wanted: a model that copies its input is right everywhere, the "
    "loss falls to zero, and it cannot translate"
)
SHIFT = [
    *(
        Likely(_both(cut), COPY)
        for cut in (lambda x: x, lambda x: x[:, 1:], lambda x: x[:, :-1], lambda x: x[:, 1:-1])
    ),
    Likely(
        lambda targets: _padded_with(PAD)(targets)[::-1],
        "given and wanted have changed places: the model would write the word before",
    ),
    Likely(
        _nothing_ends,
        "no end token is wanted: a model that never saw one never stops",
    ),
    Likely(
        _padded_with(PAD, start=PAD),
        "nothing says that the sentence begins: where is the start token?",
    ),
    Likely(
        _padded_with(PAD, start=EOS),
        "the sentence begins with an end token; it should begin with the start token",
    ),
    Likely(
        _end_of_row,
        "the end token stands at the end of the row, behind the padding; a short sentence ends "
        "with its own last word",
    ),
    Likely(
        _as_wide_as_the_longest,
        "the arrays are as wide as the longest sentence; they should be as wide as the targets, "
        "and one more",
    ),
    Likely(_padded_with(EOS), "the padding of what is wanted is full of end tokens"),
    Likely(
        _given_ends,
        "a short sentence is given its end token: where nothing is wanted, nothing is given",
    ),
]


# --- greedy search ---


def _greedy(
    seen="real",
    feed="own",
    fed="vector",
    ask="new",
    stop="own",
    read="vector",
    blank=True,
    last=True,
    fill=PAD,
    keep_end=True,
):
    """Greedy search with another mask, another word fed back, or another end."""

    def answer(annotations, lengths, states, E, W, W_c, longest):
        B, S, _ = annotations.shape
        ids, rows = np.full((B, longest), fill), np.zeros((B, longest, S))
        state, back = states, np.zeros((B, E.shape[1]))
        previous, done = np.full(B, BOS), np.zeros(B, dtype=bool)
        real = np.arange(S) < np.asarray(lengths)[:, None]
        for t in range(longest):
            y, old = E[previous], state
            state = state + np.hstack([y, back]) @ W.T
            asks = state if ask == "new" else old
            looks = np.stack(
                [_masked(*each, seen) for each in zip(asks, annotations, real, strict=True)]
            )
            rows[:, t] = np.where(done[:, None] & blank, 0.0, looks)
            contexts = (looks[:, None] @ annotations)[:, 0]
            vectors = np.tanh(np.hstack([state, contexts, y]) @ W_c.T)
            best = ((vectors if read == "vector" else state) @ E.T).argmax(1)
            ids[:, t] = np.where(done, fill, best)
            rows[best == EOS, t] *= last
            back = {"vector": vectors, "nothing": 0 * back, "context": contexts}[fed]
            previous = previous if feed == "start" else best
            if stop == "own":
                done = done | (best == EOS)
            elif stop == "any":
                done = done | (best == EOS).any()
        if not keep_end:
            ids = np.where(ids == EOS, PAD, ids)
        return ids, rows

    return answer


def _masked(query, annotations, real, seen):
    """Weights by one of several ideas of what a mask is."""
    if seen == "zeroed":
        scores = np.where(real, annotations @ query, 0.0)
        exps = np.exp(scores - scores.max())
        return exps / exps.sum()
    if seen == "afterwards":
        return _look(query, annotations)[0] * real
    if isinstance(seen, tuple):  # a number is added to the scores
        scores = annotations @ query + np.where(real, 0.0, *seen)
        exps = np.exp(scores - scores.max())
        return exps / exps.sum()
    if isinstance(seen, float):  # a fixed low score
        return _look(query, annotations, low=np.where(real, np.inf, seen))[0]
    if seen == "multiplied":
        exps = np.exp(annotations @ query) * real
        return exps / exps.sum()
    ideas = {"real": real, "all": None, "padding": ~real}
    return _look(query, annotations, ideas[seen])[0]


GREEDY = [
    Likely(
        _greedy(seen="all"),
        "the decoder looks at padding: the mask is needed here as it was in training",
    ),
    Likely(
        _greedy(seen="zeroed"),
        "a padded position has a score of 0 and still gets a weight",
    ),
    Likely(
        _greedy(seen="afterwards"),
        "the weights on padding are set to 0 after the softmax, and the others sum to less than 1",
    ),
    Likely(
        _greedy(seen="multiplied"),
        "what stands in the padding takes part before it is hidden: its exponential is infinite, "
        "or so large that the words' are 0 beside it",
    ),
    Likely(
        lambda **case: _greedy()(**case | {"longest": 6}),
        "there are six steps, however many are asked for",
    ),
    *(
        Likely(
            _greedy(seen=low),
            "padding gets a fixed low score, and here a word scores lower still: what hides must "
            "be lower than any score",
        )
        for low in (-10.0, -20.0, -30.0, -50.0, -99.0, -100.0)
    ),
    *(
        Likely(
            _greedy(seen=(low,)),
            "padding has a number added to its score, and here the score is larger than that: what "
            "hides must be stronger than any score",
        )
        for low in (-1e4, -1e5, -1e6, -1e7, -1e8, -1e9)
    ),
    Likely(_greedy(seen="padding"), "the mask is the wrong way round: only padding is looked at"),
    Likely(
        _greedy(feed="start"),
        "the start token is read in every step; from the second on it is the word just written",
    ),
    Likely(
        _greedy(ask="old"),
        "the state before the step asks; a decoder must ask as it did in training, and this one "
        "asks after",
    ),
    Likely(
        _greedy(stop="never"),
        "a sentence goes on after its end token; what follows is padding, with weights of zero",
    ),
    Likely(
        _greedy(blank=False),
        "after the end token the words are padding, but the weights are not zero",
    ),
    Likely(
        _greedy(last=False),
        "the step that writes the end token has looked, too: its weights are not zero",
    ),
    Likely(_greedy(fill=EOS), "after the end token comes padding, not one end token after another"),
    Likely(
        _greedy(stop="any"),
        "all sentences stop where the first one ends",
    ),
    Likely(_greedy(keep_end=False), "the end token is a word that is written: keep it"),
    Likely(
        _greedy(read="state"),
        "the word is read off the state; it is read off the attentional vector",
    ),
    Likely(
        _greedy(fed="nothing"),
        "the attentional vector is not fed to the next step, as it was in training",
    ),
    Likely(
        _greedy(fed="context"),
        "the context is fed to the next step; input feeding passes on the attentional vector",
    ),
]

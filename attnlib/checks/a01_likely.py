"""What many write in assignment 1 instead, and what to say to them.

Shapes: B sequences, S words of a source, T of a target, H the width of the decoder's state.
"""

import numpy as np

from attnlib.checks.compare import Likely

START, END, PAD = 10, 11, 12


# --- the encoder ---


def _states(x, kept, change=None):
    """The state after each column (B, S, V), padding too."""
    states, h = [], np.zeros(x[:, 0].shape)
    for s in range(x.shape[1]):
        h = kept * h + x[:, s] if change is None else change(h, x[:, s], kept)
        states.append(h)
    return np.stack(states, 1)


def _real(x, lengths):
    return np.arange(x.shape[1]) < np.asarray(lengths)[:, None]


def _at_last(change=None, offset=-1):
    """The state at the last word, of a step that may differ."""

    def answer(x, lengths, kept):
        return _states(x, kept, change)[np.arange(len(x)), lengths + offset]

    return answer


def _last_column(x, lengths, kept):
    return _states(x, kept)[:, -1]


def _fading_on(x, lengths, kept):
    return _states(np.where(_real(x, lengths)[..., None], x, 0.0), kept)[:, -1]


def _mean_of_columns(x, lengths, kept):
    return _states(x, kept).mean(1)


def _mean_of_states(x, lengths, kept):
    states = np.where(_real(x, lengths)[..., None], _states(x, kept), 0.0)
    return states.sum(1) / np.asarray(lengths)[:, None]


def _mean_of_states_over_all(x, lengths, kept):
    return np.where(_real(x, lengths)[..., None], _states(x, kept), 0.0).mean(1)


def _sum_of_words(x, lengths, kept):
    return np.where(_real(x, lengths)[..., None], x, 0.0).sum(1)


def _first_counts_most(x, lengths, kept):
    shares = kept ** np.arange(x.shape[1])
    return np.einsum("s,bsv->bv", shares, np.where(_real(x, lengths)[..., None], x, 0.0))


def _times_zero(x, lengths, kept):
    """The right state, to which the padding is added 0 times."""
    padding = np.where(_real(x, lengths)[..., None], 0.0, x)
    return _at_last()(x, lengths, kept) + (0 * padding).sum(1)


def _half(x, lengths, kept):
    return _at_last()(x, lengths, 0.5)


ENCODE = [
    Likely(
        lambda x, lengths, kept: _at_last()(x, lengths, kept)[0],
        "the axis of the batch is gone; a batch of one is a batch",
    ),
    Likely(_first_counts_most, "the first word counts most; it should have faded most"),
    Likely(
        _at_last(lambda h, x, kept: kept * (h + x)),
        "the new word is multiplied too; only the old state is",
    ),
    Likely(
        _at_last(lambda h, x, kept: kept * h + (1 - kept) * x),
        "the new word is multiplied too; only the old state is",
    ),
    Likely(_sum_of_words, "nothing fades: each step keeps only a share of the state before"),
    Likely(_at_last(lambda h, x, kept: x), "the state before is forgotten at each step"),
    Likely(
        lambda x, lengths, kept: _at_last(offset=-2)(x, lengths, kept),
        "that is the state one word too early; positions count from 0",
    ),
    Likely(_mean_of_columns, "that is an average of states; asked for is one state, the last"),
    Likely(_mean_of_states, "that is an average of states; asked for is one state, the last"),
    Likely(
        _mean_of_states_over_all, "that is an average of states; asked for is one state, the last"
    ),
    Likely(
        _last_column,
        "that is the state after the padding: what a short sequence gives depends on its company",
    ),
    Likely(
        _fading_on,
        "padding adds nothing now, but the state still fades in it, so what a short sequence "
        "gives depends on its company",
    ),
    Likely(
        _at_last(offset=0),
        "that is the state one word too late; positions count from 0",
    ),
    Likely(
        _times_zero,
        "padding is multiplied by 0; that leaves no trace of a number, but 0 times what is no "
        "number is none",
    ),
    Likely(_half, "the share that is kept is always one half; it is an argument"),
]


# --- right by length ---


def _by_length(words=None, letters=-1, whole=None, share=None):
    """Shares by length of which a part differs."""

    def answer(written, source, lengths):
        same = written == source
        real = _real(source, lengths) if words is None else words(source, lengths, written)
        found = np.unique(lengths)
        accuracy, exact = [], []
        for n in found:
            of = lengths == n
            right, there = same[of], real[of]
            accuracy.append(
                (right & there).sum() / there.sum() if share is None else share(right, there)
            )
            done = (right | ~there).all(1) if whole is None else whole(right, there)
            exact.append(np.mean(done))
        return found + letters, np.array(accuracy), np.array(exact)

    return answer


def _everything(source, lengths, written):
    return np.ones(source.shape, dtype=bool)


def _letters_only(source, lengths, written):
    return _real(source, lengths - 1)


def _as_far_as_written(source, lengths, written):
    ended = np.cumsum(written == END, axis=1) - (written == END) > 0
    return _real(source, lengths) & ~ended


def _but_for_written_padding(source, lengths, written):
    return _real(source, lengths) & (written != PAD)


def _end_anywhere(written, source, lengths):
    """The letters in their places, and an END somewhere."""
    moved = np.where(_real(source, lengths - 1), written, PAD)
    moved[np.arange(len(source)), lengths - 1] = np.where((written == END).any(1), END, PAD)
    return _by_length()(moved, source, lengths)


def _over_all(written, source, lengths):
    n, _, exact = _by_length()(written, source, lengths)
    same = (written == source)[_real(source, lengths)].mean()
    return n, np.full(len(n), same), exact


def _arranged(*order):
    def answer(written, source, lengths):
        out = _by_length()(written, source, lengths)
        return tuple(out[i] for i in order)

    return answer


def _as_they_come(written, source, lengths):
    found = list(dict.fromkeys(lengths.tolist()))
    order = np.argsort(np.argsort(found))
    return tuple(each[order] for each in _by_length()(written, source, lengths))


LENGTHS = [
    Likely(_as_they_come, "the lengths stand in the order in which they came; sort them"),
    Likely(_arranged(0, 2, 1), "the share of right words comes second, that of sequences third"),
    Likely(_arranged(1, 2, 0), "the letters come first"),
    Likely(
        _by_length(letters=0),
        "the lengths include END; what is asked for is how many letters there are",
    ),
    Likely(
        _by_length(words=_letters_only),
        "END is not counted; a sequence that does not stop in time is not right",
    ),
    Likely(
        _by_length(whole=lambda right, there: [(right | ~there).all()] * len(right)),
        "a length is called right or wrong as a whole; count its sequences",
    ),
    Likely(
        _by_length(whole=lambda right, there: (right & there).any(1)),
        "a sequence with a wrong word counts as right; all its words must be right",
    ),
    *(
        Likely(_by_length(words=words, whole=whole), hint)
        for words, hint in (
            (
                _as_far_as_written,
                "the reading stops at the END that was written; a sequence is as long as it "
                "should be",
            ),
            (
                _but_for_written_padding,
                "a word that was written as PAD does not count; there should have been a word",
            ),
        )
        for whole in (None, lambda right, there: right.all(1))
    ),
    Likely(
        _end_anywhere, "END counts as right wherever it is written; it has a place like any word"
    ),
    Likely(
        _by_length(whole=lambda right, there: right.mean(1)),
        "exact match is all or nothing for a sequence; yours gives parts",
    ),
    Likely(
        _by_length(words=_everything),
        "the padding is counted: what is written behind the end does not matter",
    ),
    Likely(
        _by_length(whole=lambda right, there: right.all(1)),
        "what is written in the padding decides; behind the end nothing matters",
    ),
    Likely(
        _by_length(share=lambda right, there: right.mean()),
        "the padding is counted among the words; behind the end nothing matters",
    ),
    Likely(
        _by_length(share=lambda right, there: (right & there).mean()),
        "the padding is counted among the words; behind the end nothing matters",
    ),
    Likely(_over_all, "the share of right words is that of all lengths together"),
]


# --- perplexity ---


def _log_softmax(scores):
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def _less(lower):
    """The same with another number taken off the scores than a row's largest."""

    def logs(scores):
        scores = scores - lower(scores)
        return scores - np.log(np.exp(scores).sum(-1, keepdims=True))

    return logs


def _naive(scores):
    return np.log(np.exp(scores) / np.exp(scores).sum(-1, keepdims=True))


def _logs_of_softmax(least=0.0, most=0.0):
    """The logarithm of a finished softmax, to which something is added, or which is cut off."""

    def logs(scores):
        exps = np.exp(scores - scores.max(-1, keepdims=True))
        return np.log(np.maximum(exps / exps.sum(-1, keepdims=True), least) + most)

    return logs


def _losses(c, target, E, O, read, advance=None, logs=_log_softmax, pick=None):
    """Loss (B, T) of each word, for `read(t, scores)` that says what is read before word t."""
    state, scores, losses = c, None, []
    for t in range(target.shape[1]):
        word = read(t, scores)
        state = state / 2 + E[word] if advance is None else advance(state, E[word], c)
        scores = state @ O.T
        logp = logs(scores)
        losses.append(
            -logp[np.arange(len(target)), target[:, t]] if pick is None else -pick(logp, scores)
        )
    return np.stack(losses, 1)


def _perplexity(how="forced", over="words", start=START, **changes):
    """A perplexity of which a part differs."""

    def answer(c, target, E, O):
        def read(t, scores):
            if how == "unshifted":
                return target[:, t]
            if t == 0:
                return np.full(len(target), start)
            return scores.argmax(1) if how == "free" else target[:, t - 1]

        losses = _losses(c, target, E, O, read, **changes)
        return OVER[over](losses, target)

    return answer


def _no_start(c, target, E, O):
    """The first word is scored in c itself."""
    state, losses = c, []
    for t in range(target.shape[1]):
        logp = _log_softmax(state @ O.T)
        losses.append(-logp[np.arange(len(target)), target[:, t]])
        state = state / 2 + E[target[:, t]]
    return OVER["words"](np.stack(losses, 1), target)


def _sequence_means(losses, target):
    real = target != PAD
    return (losses * real).sum(1) / real.sum(1)


OVER = {
    "words": lambda losses, target: np.exp(losses[target != PAD].mean()),
    "all": lambda losses, target: np.exp(losses.mean()),
    "pads as none": lambda losses, target: np.exp((losses * (target != PAD)).mean()),
    "letters": lambda losses, target: np.exp(losses[target < 10].mean()),
    "sequences": lambda losses, target: np.exp(_sequence_means(losses, target).mean()),
    "means": lambda losses, target: np.exp(_sequence_means(losses, target)).mean(),
    "sums": lambda losses, target: np.exp((losses * (target != PAD)).sum(1).mean()),
    "sum": lambda losses, target: np.exp(losses[target != PAD].sum()),
    "loss": lambda losses, target: losses[target != PAD].mean(),
    "two": lambda losses, target: 2 ** losses[target != PAD].mean(),
    "bits": lambda losses, target: np.exp(losses[target != PAD].mean() / np.log(2)),
    "inverse": lambda losses, target: 1 / np.exp(-losses[target != PAD]).mean(),
    "each": lambda losses, target: np.exp(losses[target != PAD]).mean(),
    "upside down": lambda losses, target: np.exp(-losses[target != PAD].mean()),
}
AVERAGED = "average the losses first, over all words, and take the exponential of that"
WORDS = "a mean over sequences counts the words of short ones more; take the mean over all words"
PERPLEXITY = [
    Likely(_perplexity(over="loss"), "that is the mean loss; its exponential is asked for"),
    Likely(_perplexity(over="upside down"), "that is one over the perplexity: mind the sign"),
    Likely(_perplexity(over="sum"), "the losses are added up; take their mean per word"),
    Likely(
        _perplexity(over="sums"), "the losses of a sequence are added up; take the mean per word"
    ),
    Likely(
        _perplexity(over="two"), "two is raised to a loss in nats; logarithms to base e go with exp"
    ),
    Likely(
        _perplexity(over="bits"), "e is raised to a loss in bits; logarithms to base e go with exp"
    ),
    Likely(
        _perplexity(logs=lambda scores: scores),
        "scores are taken for logarithms of probabilities; a softmax comes first",
    ),
    Likely(
        _perplexity(logs=lambda scores: np.exp(_log_softmax(scores))),
        "probabilities are averaged; the loss of a word is minus the logarithm of its probability",
    ),
    Likely(
        _perplexity("free"),
        "your decoder reads its own favourite; under teacher forcing it reads the true word",
    ),
    Likely(
        _perplexity("unshifted"),
        "step t reads word t, the very word that it should write; it reads the word before",
    ),
    Likely(_no_start, "the first word is scored before anything is read; START is read first"),
    *(
        Likely(_perplexity(start=word), f"the first step should read START, which is {START}")
        for word in (END, PAD, 0)
    ),
    Likely(
        _perplexity(pick=lambda logp, scores: logp.max(1)),
        "that is the probability of the decoder's favourite; asked for is that of the true word",
    ),
    Likely(_perplexity(over="inverse"), AVERAGED),
    Likely(_perplexity(over="each"), AVERAGED),
    Likely(
        _perplexity(advance=lambda state, word, c: word),
        "the state before is forgotten, and c with it",
    ),
    Likely(
        _perplexity(advance=lambda state, word, c: c / 2 + word),
        "each step begins in c; it should begin in the state of the step before",
    ),
    Likely(_perplexity(advance=lambda state, word, c: state + word), "the state is not halved"),
    Likely(
        _perplexity(advance=lambda state, word, c: (state + word) / 2),
        "the word that is read is halved too; only the old state is",
    ),
    Likely(
        lambda c, target, E, O: _perplexity()(0 * c, target, E, O),
        "c is not used: the decoder knows nothing of the source",
    ),
    Likely(
        _perplexity(advance=lambda state, word, c: state / 2 + word + c),
        "c enters at every step; in this decoder it is the first state, and no more",
    ),
    Likely(_perplexity(over="letters"), "END is a word to predict, too"),
    Likely(_perplexity(over="all"), "padding is counted: there is no word to predict"),
    Likely(
        _perplexity(over="pads as none"),
        "padding counts as a word without loss; divide by the number of real words",
    ),
    Likely(_perplexity(over="sequences"), WORDS),
    Likely(_perplexity(over="means"), WORDS),
    Likely(_perplexity(logs=_naive), "exp of a large score overflows"),
    Likely(
        _perplexity(logs=_less(lambda scores: scores.mean(-1, keepdims=True))),
        "the mean of the scores is subtracted, and a score far above it still overflows: the "
        "largest is safe",
    ),
    Likely(
        _perplexity(logs=_less(lambda scores: scores.max())),
        "the largest score of the whole batch is subtracted, and of a row far below it nothing is "
        "left: each row has a largest of its own",
    ),
    Likely(
        _perplexity(logs=_logs_of_softmax()),
        "an exponential becomes 0 or infinite before its logarithm is taken, and the word's loss "
        "infinite with it: what does a logarithm make of a quotient, and of an exponential?",
    ),
    *(
        Likely(
            _perplexity(logs=_logs_of_softmax(**{where: tiny})),
            "a small number is put in where a probability is 0, and the loss of that word then "
            "depends on it; such a loss can be had without a probability",
        )
        for tiny in (1e-300, 1e-20, 1e-15, 1e-12, 1e-10, 1e-9, 1e-8)
        for where in ("least", "most")
    ),
]

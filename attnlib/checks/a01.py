"""Assignment 1, one fixed vector (chapter 1): cases that grow, properties.

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Words are numbers: letters 0 to 9, then `START`, `END` and `PAD`. Shapes: B sequences, S words of a
source, T of a target, H the width of the decoder's state.
"""

from collections.abc import Callable, Iterator

import numpy as np

from attnlib.checks.a01_likely import ENCODE, LENGTHS, PERPLEXITY
from attnlib.checks.compare import CheckError, as_arrays, blamed_on, holds
from attnlib.checks.reach import ask

__all__ = ["ENCODE", "LENGTHS", "PERPLEXITY"]  # the notebook's, from the file beside

LETTERS, START, END, PAD = 10, 10, 11, 12


# --- what is right ---


def encode_loops(x, lengths, kept):
    """The state (B, V) after the last word of each sequence x (B, S, V) of so many words (B,).

    A word's vector is added to what is kept of the state before, which is zero at first.
    """
    vectors = np.zeros((len(x), x.shape[2]))
    for b in range(len(x)):
        for s in range(lengths[b]):
            for i in range(x.shape[2]):
                vectors[b, i] = kept * vectors[b, i] + x[b, s, i]
    return vectors


def lengths_loops(written, source, lengths):
    """Letters (L,), ascending, and for each the shares of right words and of right sequences.

    `written` and `source` are (B, S), `lengths` (B,) counts END, which counts as a word.
    """
    found = sorted({int(n) - 1 for n in lengths})
    accuracy, exact = [], []
    for letters in found:
        right = words = whole = sequences = 0
        for b in range(len(source)):
            if lengths[b] == letters + 1:
                same = [written[b, t] == source[b, t] for t in range(lengths[b])]
                right, words = right + sum(same), words + len(same)
                whole, sequences = whole + all(same), sequences + 1
        accuracy.append(right / words)
        exact.append(whole / sequences)
    return np.array(found), np.array(accuracy), np.array(exact)


def perplexity_loops(c, target, E, O):
    """exp of the mean loss per word under teacher forcing, for targets (B, T), PAD left out.

    The decoder begins in c (B, H); a step halves the state and adds the row of E (V, H) of the word
    that is read, START at first; the scores are O (V, H) times the state.
    """
    loss, words = 0.0, 0
    for b in range(len(target)):
        state, read = c[b], START
        for word in target[b]:
            if word == PAD:
                break
            state = state / 2 + E[read]
            scores = np.array([sum(o * s for o, s in zip(row, state)) for row in O])
            highest = scores.max()
            loss += highest + np.log(np.exp(scores - highest).sum()) - scores[word]
            words += 1
            read = word
    return np.exp(loss / words)


# --- cases, from small to large ---


def encode_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, a shorter phrase beside them, then any sizes and any padding."""
    rng = np.random.default_rng(seed)
    three = np.eye(3)  # a, red, shirt
    yield {"x": three[None], "lengths": np.array([3]), "kept": 0.5}
    shorter = np.array([three[0], three[2], three[1]])  # a shirt, and something behind it
    yield {"x": np.array([three, shorter]), "lengths": np.array([3, 2]), "kept": 0.5}
    yield {"x": rng.normal(size=(1, 2, 2)), "lengths": np.array([1]), "kept": 0.8}
    sizes = [((1, 3), 3, 2, 0.8), ((2, 4, 1), 6, 3, 0.25), ((3, 3), 3, 4, 1.0)]
    for lengths, S, V, kept in [*sizes, *([((5, 1, 9, 2), 11, 5, 0.9)] if large else [])]:
        yield {
            "x": rng.normal(size=(len(lengths), S, V)),
            "lengths": np.array(lengths),
            "kept": kept,
        }
    unknown = np.array([three[0], three[2], np.full(3, np.nan)])  # a shirt, and no number behind
    yield {"x": np.array([three, unknown]), "lengths": np.array([3, 2]), "kept": 0.5}


def _padded(sequences) -> dict:
    """Letters as a source (B, S) with END and PAD, and lengths (B,) that count END."""
    lengths = np.array([len(letters) + 1 for letters in sequences])
    source = np.full((len(sequences), lengths.max()), PAD)
    for row, letters in zip(source, sequences):
        row[: len(letters) + 1] = [*letters, END]
    return {"source": source, "lengths": lengths}


def length_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """Two sequences of three letters with one mistake, a shorter one beside, then random ones.

    Among them END and PAD are written too early, and END too late but inside the array.
    """
    rng = np.random.default_rng(seed)
    made = _padded([[3, 1, 4], [1, 5, 9]])
    yield {"written": np.array([[3, 1, 4, END], [1, 5, 8, END]]), **made}
    yield {"written": np.array([[3, 1, 4, END], [1, 5, 9, 2]]), **made}
    yield {"written": np.array([[3, END, 4, END], [1, 5, 9, END]]), **made}
    yield {"written": np.array([[3, PAD, PAD, PAD], [1, 5, 9, END]]), **made}
    made = _padded([[3, 1, 4], [1, 5, 9, 2, 6]])
    late = np.array([[3, 1, 4, 9, END, PAD], [1, 5, 9, 2, 6, END]])
    yield {"written": late, **made}
    made = _padded([[2, 7, 1, 8], [6], [0]])
    written = made["source"].copy()
    written[1, 2:], written[2, :2], written[0, 3] = 4, (0, 5), 7
    yield {"written": written, **made}
    for count, longest in [(4, 3), (7, 5), *([(40, 9)] if large else [])]:
        sequences = [rng.integers(LETTERS, size=rng.integers(1, longest + 1)) for _ in range(count)]
        made = _padded(sequences)
        wrong = rng.random(made["source"].shape) < rng.choice([0, 0.4], size=(count, 1))
        behind = np.arange(made["source"].shape[1]) >= made["lengths"][:, None]
        drawn = rng.integers(LETTERS, size=made["source"].shape)
        yield {"written": np.where(wrong | behind, drawn, made["source"]), **made}


def perplexity_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """A decoder that knows nothing, then random ones; last, scores large, and far apart."""
    rng = np.random.default_rng(seed)
    yield {
        "c": np.zeros((1, 2)),
        "target": _padded([[3, 1, 4]])["source"],
        "E": np.zeros((13, 2)),
        "O": np.zeros((13, 2)),
    }
    sizes = [((2,), 2), ((3,), 2), ((1, 3), 3), ((4, 1, 2), 3)]
    for lengths, H in [*sizes, *([((6, 2, 5, 1), 5)] if large else [])]:
        target = _padded([rng.integers(LETTERS, size=n) for n in lengths])["source"]
        yield _decoder(rng, target, H)
    loud = _decoder(rng, _padded([[1, 2], [3]])["source"], 2)
    loud["c"][:, -1], loud["O"][:, -1] = 4000.0, 1.0  # the same large number in every score
    yield loud
    E, O = np.full((13, 1), 0.5), np.full((13, 1), 900.0)  # the state stays at 1
    E[START], O[7] = 1.0, 100.0  # 7 scores 800 below all others
    target = _padded([[3, 1, 4, 1, 5, 7, 2, 6, 5]])["source"]
    yield {"c": np.zeros((1, 1)), "target": target, "E": E, "O": O}
    O = np.full((13, 1), -1600.0)  # 7 and END score 1600 above all others
    O[[7, END]] = 0.0
    best = _padded([[7, 7]])["source"]
    yield {"c": np.ones((1, 1)), "target": best, "E": np.full((13, 1), 0.5), "O": O}
    loud = _decoder(rng, _padded([[1, 2], [3]])["source"], 2)
    loud["c"][:, -1], loud["O"][:, -1] = (4000.0, 0.0), 1.0  # one sequence far above the other
    yield loud


def _decoder(rng, target, H: int) -> dict:
    return {
        "c": rng.normal(size=(len(target), H)),
        "target": target,
        "E": rng.normal(size=(13, H)),
        "O": rng.normal(size=(13, H)),
    }


# --- the copy task, which is drawn at random: what must hold of it ---


def check_task(answer: Callable, seed: int, large: bool = False) -> None:
    """Refuse a maker of the copy task whose sets are not as asked, and say what is wrong.

    It is called with a generator, how many sequences, the longest of training, and the lengths that
    are held out; it returns training and test set, each a source (count, S) and lengths (count,).
    """
    count = 1000
    settings: list[tuple[int, tuple[int, ...]]] = [(8, (5, 12))]
    if large:
        settings += [(6, (2,)), (3, (3, 9, 20))]
    for longest, held_out in settings:
        train, test = _drawn(answer, seed, count, longest, held_out)
        for name, (source, lengths) in (("training", train), ("test", test)):
            _check_form(name, source, lengths, count)
            _check_letters(name, source)
        allowed = [n for n in range(1, longest + 1) if n not in held_out]
        _check_lengths("training", train[1] - 1, allowed, held_out)
        _check_lengths("test", test[1] - 1, list(held_out), allowed)
        _check_pair(train, test)
    for few in (30, 1):
        sets = _drawn(answer, seed, few, *settings[0])
        for name, (source, lengths) in zip(("training", "test"), sets, strict=True):
            _check_form(name, source, lengths, few)
    longest, held_out = settings[0]
    (train, test), again, other = (
        _drawn(answer, each, count, longest, held_out) for each in (seed, seed, seed + 1)
    )
    holds(
        np.array_equal(train[0], again[0][0]) and np.array_equal(test[0], again[1][0]),
        "draw with the rng that is passed: the same seed must give the same sets",
    )
    holds(
        not np.array_equal(train[0], other[0][0]) and not np.array_equal(test[0], other[1][0]),
        "draw with the rng that is passed: another seed must give other sets",
    )


def _drawn(answer, seed, count, longest, held_out):
    name = getattr(answer, "__name__", "your function")
    with blamed_on(name, given=f"(rng, {count}, {longest}, {held_out})"):
        sets = as_arrays(ask(answer, np.random.default_rng(seed), count, longest, held_out))
    pairs = isinstance(sets, tuple | list) and len(sets) == 2
    pairs = pairs and all(isinstance(each, tuple | list) and len(each) == 2 for each in sets)
    holds(pairs, f"{name} returns two sets, train and test, each a source and its lengths")
    return [tuple(np.asarray(each) for each in pair) for pair in sets]


def _check_form(name: str, source, lengths, count: int) -> None:
    """Letters, then END, then PAD; the lengths count END."""
    holds(source.ndim == 2, f"the {name} source has {source.ndim} axes instead of 2")
    holds(len(source) == count, f"the {name} set has {len(source)} sequences instead of {count}")
    holds(lengths.shape == (count,), f"the {name} lengths have shape {lengths.shape}")
    holds(
        source.dtype.kind in "iu", f"words are whole numbers; the {name} source has {source.dtype}"
    )
    holds(not (source == START).any(), "START is what a decoder reads first; a source has none")
    ends = (source == END).sum(1)
    holds(ends.max() > 0, "a sequence ends with END, and yours have none")
    holds(ends.min() == ends.max() == 1, "every sequence has one END")
    place, at = np.arange(source.shape[1]), (source == END).argmax(1)[:, None]
    holds(
        not (source == PAD)[place < at].any(),
        "there is padding before END: END belongs right behind the last letter",
    )
    holds(
        (source[place > at] == PAD).all(),
        f"what stands behind END must be PAD, which is {PAD}; the numbers from 0 to 9 are letters",
    )
    holds(bool(at.min() > 0), f"the {name} set has a sequence without a letter")
    letters = source[place < at]
    holds(bool(letters.min() >= 0 and letters.max() < LETTERS), "letters are numbers from 0 to 9")
    if np.array_equal(lengths, at[:, 0]):
        raise CheckError("the lengths count the letters only; they should count END too")
    holds(
        np.array_equal(lengths, at[:, 0] + 1), f"the {name} lengths do not fit: END is their last"
    )
    holds(
        source.shape[1] == lengths.max(),
        f"the {name} source is {source.shape[1]} wide, and its longest row has {lengths.max()} "
        "words with END: PAD fills up to the longest row of its own set",
    )


def _check_letters(name: str, source) -> None:
    """All letters, drawn one by one, another sequence every time."""
    long = source[(source < LETTERS).sum(1) >= 3]
    if len(long):
        different = len(np.unique(long, axis=0)) / len(long)
        holds(
            different > 0.5,
            f"the {name} set has the same sequence again and again: draw each anew",
        )
    shares = np.bincount(source[source < LETTERS], minlength=LETTERS)
    for letter in np.flatnonzero(shares == 0):
        raise CheckError(
            f"the letter {letter} never occurs in the {name} set; there are ten letters"
        )
    holds(_even(shares), f"some letters are much more frequent than others in the {name} set")
    if len(long):
        inside = np.sort(long, 1)  # END and PAD are larger than letters
        twice = (np.diff(inside, axis=1) == 0) & (inside[:, 1:] < LETTERS)
        holds(
            bool(twice.any()),
            f"no letter stands twice in a sequence of the {name} set: draw each letter on its own",
        )
    next_to = (source[:, :-1] < LETTERS) & (source[:, 1:] < LETTERS)
    if next_to.sum() > 2000:
        steps = np.bincount((np.diff(source, axis=1) % LETTERS)[next_to], minlength=LETTERS)
        holds(
            _even(steps),
            f"a letter of the {name} set depends on the one before it: draw each on its own, and "
            "leave them as they were drawn",
        )


def _check_pair(train, test) -> None:
    """The letters of one set are not those of the other."""
    width = min(train[0].shape[1], test[0].shape[1])
    same = (train[0][:, :width] == test[0][:, :width]) | (
        (train[0][:, :width] >= LETTERS) | (test[0][:, :width] >= LETTERS)
    )
    long = np.minimum(train[1], test[1]) > 3
    holds(
        not long.any() or same[long].all(1).mean() < 0.1,
        "the sequences of the test begin as those of the training do: draw all letters anew",
    )


def _check_lengths(name: str, letters, wanted, others) -> None:
    """Every wanted length about equally often, and no other."""
    counts = np.bincount(letters, minlength=max(*wanted, *others, 1) + 1)
    for n in others:
        if counts[n] and name == "training":
            raise CheckError(
                f"the training set has sequences of {n} letters, a length that is held out: "
                "a test of it would ask for nothing new"
            )
        holds(counts[n] == 0, f"the {name} set has sequences of {n} letters, a length of training")
    for n in wanted:
        holds(counts[n] > 0, f"no sequence of the {name} set has {n} letters")
    holds(counts.sum() == counts[wanted].sum(), f"the {name} set has sequences that are too long")
    holds(
        _even(counts[wanted]),
        f"lengths should be drawn evenly; of {wanted} letters the {name} set has "
        f"{counts[wanted].tolist()}",
    )
    holds(
        len(wanted) < 5 or np.ptp(counts[wanted]) > 1,
        f"each length comes as often as every other in the {name} set, to the last sequence: dealt "
        "in turn, not drawn",
    )


def _even(counts) -> bool:
    """Whether counts differ no more than chance would have it."""
    return bool(counts.min() > 0.6 * counts.mean() and counts.max() < 1.4 * counts.mean())

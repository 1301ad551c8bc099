"""Answers to assignment 1: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong


def encoder(after: str, step: str = "h = kept * h + x[:, s]") -> str:
    """An encoder that keeps all states (B, S, V), and what it makes of them."""
    return f"""
def encode(x, lengths, kept):
    states, h = [], np.zeros(x[:, 0].shape)
    for s in range(x.shape[1]):
        {step}
        states.append(h)
    states = np.stack(states, 1)
    real = np.arange(x.shape[1]) < lengths[:, None]
    return {after}
"""


LAST = "states[np.arange(len(x)), lengths - 1]"
TASK = {
    "seen": "seen = [n for n in range(1, longest + 1) if n not in held_out]",
    "draw": "letters = rng.choice(allowed, size=count)",
    "source": "source = np.full((count, max(letters) + 1), PAD)",
    "fill": (
        "for row, n in zip(source, letters):\n"
        "            row[:n] = rng.integers(10, size=n)\n"
        "            row[n] = END"
    ),
    "back": "return source, letters + 1",
    "sets": "return draw(seen), draw(list(held_out))",
}


def task(**lines: str) -> str:
    """A copy task of which the named lines differ."""
    seen, *inner, sets = (TASK | lines).values()
    body = "\n        ".join(inner)
    return (
        "def copy_task(rng, count, longest, held_out):\n"
        f"    {seen}\n    def draw(allowed):\n        {body}\n    {sets}\n"
    )


def shares(
    real="np.arange(source.shape[1]) < lengths[:, None]",
    accuracy="right[of].sum() / real[of].sum()",
    exact="np.mean((right | ~real)[of].all(1))",
    found="np.unique(lengths)",
    back="found - 1, np.array(accuracy), np.array(exact)",
) -> str:
    """Shares by length of which one part differs."""
    return f"""
def by_length(written, source, lengths):
    real = {real}
    right = (written == source) & real
    found = {found}
    accuracy = [{accuracy} for of in (lengths == n for n in found)]
    exact = [{exact} for of in (lengths == n for n in found)]
    return {back}
"""


def decoder(
    first="np.full(len(target), START)",
    state="s = s / 2 + E[read]",
    log_p="scores - np.logaddexp.reduce(scores, 1)[:, None]",
    loss="-log_p[np.arange(len(y)), y]",
    following="y",
    over="np.exp(losses[target != PAD].mean())",
) -> str:
    """A perplexity of which one part differs."""
    return f"""
def perplexity(c, target, E, O):
    read = {first}
    s, losses = c, []
    for y in target.T:
        {state}
        scores = s @ O.T
        log_p = {log_p}
        losses.append({loss})
        read = {following}
    losses = np.stack(losses, 1)
    real = target != PAD
    return {over}
"""


WRONG = [
    # --- the encoder ---
    Wrong(
        "encode",
        "not written",
        "def encode(x, lengths, kept):\n    raise NotImplementedError()",
        "encode is not written yet",
    ),
    Wrong("encode", "the last column", encoder("states[:, -1]"), "state after the padding"),
    Wrong(
        "encode",
        "padding set to zero, then the last column",
        encoder("states[:, -1]", "h = kept * h + x[:, s] * (s < lengths)[:, None]"),
        "the state still fades in it",
    ),
    Wrong("encode", "a mean over the columns", encoder("states.mean(1)"), "average of states"),
    Wrong(
        "encode",
        "a mean over the words",
        encoder("(states * real[..., None]).sum(1) / lengths[:, None]"),
        "average of states",
    ),
    Wrong(
        "encode",
        "a mean over the words, divided by the columns",
        encoder("(states * real[..., None]).mean(1)"),
        "average of states",
    ),
    Wrong(
        "encode",
        "one word too early",
        encoder("states[np.arange(len(x)), lengths - 2]"),
        "one word too early",
    ),
    Wrong(
        "encode",
        "one word too late, where there is one",
        encoder("states[np.arange(len(x)), np.minimum(lengths, x.shape[1] - 1)]"),
        "state after the padding",
    ),
    Wrong(
        "encode",
        "beyond the end",
        encoder("states[np.arange(len(x)), lengths]"),
        "stops with IndexError",
    ),
    Wrong(
        "encode",
        "the longest's end",
        encoder("states[:, lengths.max() - 1]"),
        "state after the padding",
    ),
    Wrong(
        "encode",
        "the sum halved",
        encoder(LAST, "h = kept * (h + x[:, s])"),
        "new word is multiplied too",
    ),
    Wrong(
        "encode",
        "a gate",
        encoder(LAST, "h = kept * h + (1 - kept) * x[:, s]"),
        "new word is multiplied too",
    ),
    Wrong("encode", "nothing fades", encoder(LAST, "h = h + x[:, s]"), "nothing fades"),
    Wrong("encode", "nothing stays", encoder(LAST, "h = x[:, s]"), "forgotten at each step"),
    Wrong(
        "encode",
        "always a half",
        encoder(LAST, "h = h / 2 + x[:, s]"),
        "always one half",
    ),
    Wrong(
        "encode",
        "read backwards",
        """
        def encode(x, lengths, kept):
            real = np.arange(x.shape[1]) < lengths[:, None]
            return np.einsum("s,bsv->bv", kept ** np.arange(x.shape[1]), x * real[..., None])
        """,
        "first word counts most",
    ),
    Wrong("encode", "one sequence", encoder(LAST + "[0]"), "axis of the batch is gone"),
    Wrong(
        "encode",
        "padding zeroed in place",
        """
        def encode(x, lengths, kept):
            x[np.arange(x.shape[1]) >= lengths[:, None]] = 0
            h = np.zeros(x[:, 0].shape)
            for s in range(x.shape[1]):
                h = np.where((s < lengths)[:, None], kept * h + x[:, s], h)
            return h
        """,
        "changes its argument x",
    ),
    Wrong(
        "encode",
        "padding times 0",
        encoder("h", "on = (s < lengths)[:, None]; h = (kept * h + x[:, s]) * on + h * ~on"),
        "0 times what is no number is none",
    ),
    Wrong(
        "encode",
        "shares of 0 on padding",
        """
        def encode(x, lengths, kept):
            ago = lengths[:, None] - 1 - np.arange(x.shape[1])
            shares = np.where(ago >= 0, float(kept) ** np.maximum(ago, 0), 0.0)
            return np.einsum("bs,bsv->bv", shares, x)
        """,
        "0 times what is no number is none",
    ),
    Wrong(
        "encode",
        "the check's own",
        "def encode(x, lengths, kept):\n    return a01.encode_loops(x, lengths, kept)",
        "write it yourself",
    ),
    # --- the copy task ---
    Wrong(
        "copy_task",
        "not written",
        "def copy_task(rng, count, longest, held_out):\n    raise NotImplementedError()",
        "copy_task is not written yet",
    ),
    Wrong(
        "copy_task",
        "test lengths in the training",
        task(seen="seen = list(range(1, longest + 1))"),
        "5 letters, a length that is held out",
    ),
    Wrong(
        "copy_task",
        "one set, split",
        task(
            sets="source, lengths = draw([*seen, *held_out]); "
            "return (source, lengths), (source[:, :], lengths)"
        ),
        "a length that is held out",
    ),
    Wrong(
        "copy_task",
        "lengths counted with the end",
        task(seen="seen = [n for n in range(1, longest + 1) if n + 1 not in held_out]"),
        "a length that is held out",
    ),
    Wrong(
        "copy_task",
        "the longest left out",
        task(seen="seen = [n for n in range(1, longest) if n not in held_out]"),
        "no sequence of the training set has 8 letters",
    ),
    Wrong(
        "copy_task",
        "tests of trained lengths",
        task(sets="return draw(seen), draw([*seen, *held_out])"),
        "the test set has sequences of 1 letters, a length of training",
    ),
    Wrong(
        "copy_task",
        "the longest of the test cut",
        task(sets="return draw(seen), draw([min(n, longest) for n in held_out])"),
        "a length of training",
    ),
    Wrong(
        "copy_task",
        "held-out lengths moved to the next",
        task(
            draw="letters = rng.integers(1, longest + 1, size=count) if allowed == seen "
            "else rng.choice(allowed, size=count); "
            "letters = np.where(np.isin(letters, held_out) & (allowed == seen), 1, letters)"
        ),
        "drawn evenly",
    ),
    Wrong(
        "copy_task",
        "one length for all",
        task(draw="letters = np.full(count, rng.choice(allowed))"),
        "no sequence of the training set has",
    ),
    Wrong(
        "copy_task",
        "no nine",
        task(fill=TASK["fill"].replace("integers(10", "integers(9")),
        "the letter 9 never occurs",
    ),
    Wrong(
        "copy_task",
        "no zero",
        task(fill=TASK["fill"].replace("integers(10", "integers(1, 10")),
        "the letter 0 never occurs",
    ),
    Wrong(
        "copy_task",
        "ten letters and START",
        task(fill=TASK["fill"].replace("integers(10", "integers(11")),
        "START is what a decoder reads first",
    ),
    Wrong(
        "copy_task",
        "padded with zeros",
        task(source="source = np.zeros((count, max(letters) + 1), int)"),
        "behind END must be PAD",
    ),
    Wrong(
        "copy_task",
        "decimal numbers",
        task(source="source = np.ones((count, max(letters) + 1)) * PAD"),
        "whole numbers",
    ),
    Wrong(
        "copy_task",
        "no END",
        task(fill=TASK["fill"].replace("row[n] = END", "pass")),
        "ends with END, and yours have none",
    ),
    Wrong(
        "copy_task",
        "END in the last column",
        task(fill=TASK["fill"].replace("row[n] = END", "row[-1] = END")),
        "padding before END",
    ),
    Wrong(
        "copy_task",
        "ENDs for padding",
        task(source="source = np.full((count, max(letters) + 1), END)"),
        "every sequence has one END",
    ),
    Wrong("copy_task", "the lengths of letters", task(back="return source, letters"), "count END"),
    Wrong(
        "copy_task",
        "the width for all lengths",
        task(back="return source, np.full(count, source.shape[1])"),
        "lengths do not fit",
    ),
    Wrong(
        "copy_task",
        "START in front",
        task(
            back="return np.hstack([np.full((count, 1), START), source]), letters + 2",
        ),
        "a source has none",
    ),
    Wrong(
        "copy_task",
        "no letter twice",
        task(
            fill=TASK["fill"].replace(
                "rng.integers(10, size=n)", "np.resize(rng.permutation(10), n)"
            )
        ),
        "no letter stands twice",
    ),
    Wrong(
        "copy_task",
        "the same sequence always",
        task(fill=TASK["fill"].replace("rng.integers", "np.random.default_rng(0).integers")),
        "the same sequence again and again",
    ),
    Wrong(
        "copy_task",
        "one letter for a sequence",
        task(fill=TASK["fill"].replace("size=n", "")),
        "the same sequence again and again",
    ),
    Wrong(
        "copy_task",
        "a generator of its own",
        "def copy_task(rng, count, longest, held_out):\n    rng = np.random.default_rng(0)\n"
        + task().partition("\n")[2],
        "another seed must give other sets",
    ),
    Wrong(
        "copy_task",
        "numpy's own draws",
        task(fill=TASK["fill"].replace("rng.integers", "np.random.randint")),
        "the same seed must give the same sets",
    ),
    Wrong(
        "copy_task",
        "the training set alone",
        task(sets="return draw(seen)"),
        "returns two sets, train and test",
    ),
    Wrong(
        "copy_task",
        "four arrays",
        task(sets="return *draw(seen), *draw(list(held_out))"),
        "returns two sets, train and test",
    ),
    # --- by length ---
    Wrong(
        "by_length",
        "not written",
        "def by_length(written, source, lengths):\n    raise NotImplementedError()",
        "by_length is not written yet",
    ),
    Wrong(
        "by_length",
        "padding counted as wrong",
        shares(accuracy="right[of].mean()"),
        "the padding is counted",
    ),
    Wrong(
        "by_length",
        "padding counted as it falls",
        shares(accuracy="(written == source)[of].mean()"),
        "the padding is counted",
    ),
    Wrong(
        "by_length",
        "padding must fit too",
        shares(exact="np.mean((written == source)[of].all(1))"),
        "what is written in the padding decides",
    ),
    Wrong(
        "by_length",
        "END not counted",
        shares(real="np.arange(source.shape[1]) < lengths[:, None] - 1"),
        "END is not counted",
    ),
    Wrong(
        "by_length",
        "END among the letters",
        shares(back="found, np.array(accuracy), np.array(exact)"),
        "lengths include END",
    ),
    Wrong(
        "by_length",
        "any word",
        shares(exact="np.mean(right[of].any(1))"),
        "a sequence with a wrong word counts as right",
    ),
    Wrong(
        "by_length",
        "all sequences at once",
        shares(exact="float((right | ~real)[of].all())"),
        "right or wrong as a whole",
    ),
    Wrong(
        "by_length",
        "parts of a match",
        shares(exact="right[of].sum() / real[of].sum()"),
        "all or nothing",
    ),
    Wrong(
        "by_length",
        "exact match first",
        shares(back="found - 1, np.array(exact), np.array(accuracy)"),
        "comes second, that of sequences third",
    ),
    Wrong(
        "by_length",
        "letters last",
        shares(back="np.array(accuracy), np.array(exact), found - 1"),
        "the letters come first",
    ),
    Wrong(
        "by_length",
        "one accuracy for all",
        shares(accuracy="right.sum() / real.sum()"),
        "all lengths together",
    ),
    Wrong(
        "by_length",
        "lengths as they come",
        shares(found="np.array(list(dict.fromkeys(lengths.tolist())))"),
        "order in which they came",
    ),
    Wrong(
        "by_length",
        "two outputs",
        shares(back="np.array(accuracy), np.array(exact)"),
        "2 outputs instead of 3",
    ),
    # --- perplexity ---
    Wrong(
        "perplexity",
        "not written",
        "def perplexity(c, target, E, O):\n    raise NotImplementedError()",
        "perplexity is not written yet",
    ),
    Wrong(
        "perplexity",
        "free running",
        decoder(following="scores.argmax(1)"),
        "reads its own favourite",
    ),
    Wrong(
        "perplexity",
        "not shifted",
        decoder(state="s = s / 2 + E[y]"),
        "the very word that it should write",
    ),
    Wrong(
        "perplexity",
        "no START",
        decoder(state="pass", following="y; s = s / 2 + E[y]"),
        "before anything is read",
    ),
    Wrong(
        "perplexity",
        "END read first",
        decoder(first="np.full(len(target), END)"),
        "first step should read START",
    ),
    Wrong(
        "perplexity",
        "letter 0 read first",
        decoder(first="np.zeros(len(target), int)"),
        "first step should read START",
    ),
    Wrong(
        "perplexity", "padding counted", decoder(over="np.exp(losses.mean())"), "padding is counted"
    ),
    Wrong(
        "perplexity",
        "padding without loss",
        decoder(over="np.exp((losses * real).mean())"),
        "padding counts as a word without loss",
    ),
    Wrong(
        "perplexity",
        "END not predicted",
        decoder(over="np.exp(losses[target < 10].mean())"),
        "END is a word to predict",
    ),
    Wrong(
        "perplexity",
        "a mean of means",
        decoder(over="np.exp(((losses * real).sum(1) / real.sum(1)).mean())"),
        "words of short ones more",
    ),
    Wrong(
        "perplexity",
        "a mean of perplexities",
        decoder(over="np.exp((losses * real).sum(1) / real.sum(1)).mean()"),
        "words of short ones more",
    ),
    Wrong("perplexity", "the sum", decoder(over="np.exp(losses[real].sum())"), "are added up"),
    Wrong("perplexity", "the loss", decoder(over="losses[real].mean()"), "that is the mean loss"),
    Wrong("perplexity", "the sign", decoder(over="np.exp(-losses[real].mean())"), "mind the sign"),
    Wrong("perplexity", "two", decoder(over="2 ** losses[real].mean()"), "two is raised to"),
    Wrong(
        "perplexity",
        "bits",
        decoder(over="np.exp(losses[real].mean() / np.log(2))"),
        "loss in bits",
    ),
    Wrong(
        "perplexity",
        "probabilities averaged",
        decoder(over="1 / np.exp(-losses[real]).mean()"),
        "average the losses first",
    ),
    Wrong(
        "perplexity",
        "exponentials averaged",
        decoder(over="np.exp(losses[real]).mean()"),
        "average the losses first",
    ),
    Wrong("perplexity", "no softmax", decoder(log_p="scores"), "a softmax comes first"),
    Wrong(
        "perplexity",
        "no logarithm",
        decoder(log_p="np.exp(scores - np.logaddexp.reduce(scores, 1)[:, None])"),
        "probabilities are averaged",
    ),
    Wrong(
        "perplexity",
        "no maximum subtracted",
        decoder(log_p="np.log(np.exp(scores) / np.exp(scores).sum(1)[:, None])"),
        "exp of a large score overflows",
    ),
    Wrong(
        "perplexity",
        "the logarithm of a finished softmax",
        decoder(
            log_p="scores - scores.max(1)[:, None]; log_p = np.log(np.exp(log_p) / "
            "np.exp(log_p).sum(1)[:, None])"
        ),
        "before its logarithm is taken",
    ),
    Wrong(
        "perplexity",
        "a tiny number beside the probability",
        decoder(
            log_p="np.exp(scores - scores.max(1)[:, None]); log_p = np.log(log_p / "
            "log_p.sum(1)[:, None] + 1e-12)"
        ),
        "a small number is put in",
    ),
    Wrong(
        "perplexity",
        "no probability below a tiny number",
        decoder(
            log_p="np.exp(scores - scores.max(1)[:, None]); log_p = np.log(np.clip(log_p / "
            "log_p.sum(1)[:, None], 1e-10, 1))"
        ),
        "a small number is put in",
    ),
    Wrong(
        "perplexity",
        "exponentials of differences",
        decoder(
            loss="np.log(np.exp(scores - scores[np.arange(len(y)), y][:, None]).sum(1))",
        ),
        "before its logarithm is taken",
    ),
    Wrong("perplexity", "the favourite's", decoder(loss="-log_p.max(1)"), "decoder's favourite"),
    Wrong(
        "perplexity",
        "the context unused",
        decoder().replace("s, losses = c, []", "s, losses = 0 * c, []"),
        "c is not used",
    ),
    Wrong(
        "perplexity",
        "the context at every step",
        decoder(state="s = s / 2 + E[read] + c"),
        "c enters at every step",
    ),
    Wrong(
        "perplexity",
        "every step from the context",
        decoder(state="s = c / 2 + E[read]"),
        "each step begins in c",
    ),
    Wrong("perplexity", "no memory", decoder(state="s = E[read]"), "state before is forgotten"),
    Wrong("perplexity", "not halved", decoder(state="s = s + E[read]"), "state is not halved"),
    Wrong(
        "perplexity",
        "all halved",
        decoder(state="s = (s + E[read]) / 2"),
        "word that is read is halved too",
    ),
    Wrong(
        "perplexity",
        "halved in place",
        decoder(state="s /= 2; s += E[read]"),
        "changes its argument c",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "copy_task",
        "both sets as wide as the longest length of all",
        """
        def copy_task(rng, count, longest, held_out):
            S = max(longest, *held_out) + 1

            def draw(allowed):
                n = rng.choice(allowed, size=count)
                source = np.full((count, S), PAD)
                for row, k in zip(source, n):
                    row[:k] = rng.integers(10, size=k)
                    row[k] = END
                return (source, n + 1)

            return (
                draw([n for n in range(1, longest + 1) if n not in held_out]),
                draw(list(held_out)),
            )
        """,
        "PAD fills up to the longest row",
    ),
    Wrong(
        "copy_task",
        "the same letters for both sets",
        """
        def copy_task(rng, count, longest, held_out):
            letters = rng.integers(10, size=(count, max(longest, *held_out) + 1))

            def cut(n):
                source = letters[:, : n.max() + 1].copy()
                place = np.arange(source.shape[1])
                source[place >= n[:, None]] = PAD
                source[np.arange(count), n] = END
                return (source, n + 1)

            seen = [n for n in range(1, longest + 1) if n not in held_out]
            return (cut(rng.choice(seen, size=count)), cut(rng.choice(held_out, size=count)))
        """,
        "begin as those of the training do",
    ),
    Wrong(
        "copy_task",
        "letters sorted",
        """
        def copy_task(rng, count, longest, held_out):

            def draw(allowed):
                n = rng.choice(allowed, size=count)
                source = np.full((count, max(n) + 1), PAD)
                for row, k in zip(source, n):
                    row[:k] = np.sort(rng.integers(10, size=k))
                    row[k] = END
                return (source, n + 1)

            return (
                draw([n for n in range(1, longest + 1) if n not in held_out]),
                draw(list(held_out)),
            )
        """,
        "depends on the one before it",
    ),
    Wrong(
        "copy_task",
        "count ignored",
        """
        def copy_task(rng, count, longest, held_out):
            count = 1000

            def draw(allowed):
                n = rng.choice(allowed, size=count)
                source = np.full((count, max(n) + 1), PAD)
                for row, k in zip(source, n):
                    row[:k] = rng.integers(10, size=k)
                    row[k] = END
                return (source, n + 1)

            return (
                draw([n for n in range(1, longest + 1) if n not in held_out]),
                draw(list(held_out)),
            )
        """,
        "instead of 30",
    ),
    Wrong(
        "copy_task",
        "lengths dealt in turn, not drawn",
        """
        def copy_task(rng, count, longest, held_out):

            def draw(allowed):
                n = np.resize(allowed, count)
                source = np.full((count, max(n) + 1), PAD)
                for row, k in zip(source, n):
                    row[:k] = rng.integers(10, size=k)
                    row[k] = END
                return (source, n + 1)

            return (
                draw([n for n in range(1, longest + 1) if n not in held_out]),
                draw(list(held_out)),
            )
        """,
        "dealt in turn",
    ),
    Wrong(
        "by_length",
        "what was written as PAD does not count",
        """
        def by_length(written, source, lengths):
            real = (np.arange(source.shape[1]) < lengths[:, None]) & (written != PAD)
            right = (written == source) & real
            found = np.unique(lengths)
            acc = [right[lengths == n].sum() / real[lengths == n].sum() for n in found]
            exact = [np.mean(right[lengths == n].sum(1) == n) for n in found]
            return (found - 1, np.array(acc), np.array(exact))
        """,
        "written as PAD does not count",
    ),
    Wrong(
        "by_length",
        "read up to the END that was written",
        """
        def by_length(written, source, lengths):
            ended = np.cumsum(written == END, axis=1) - (written == END) > 0
            real = (np.arange(source.shape[1]) < lengths[:, None]) & ~ended
            right = (written == source) & real
            found = np.unique(lengths)
            acc = [right[lengths == n].sum() / real[lengths == n].sum() for n in found]
            exact = [np.mean((right | ~real)[lengths == n].all(1)) for n in found]
            return (found - 1, np.array(acc), np.array(exact))
        """,
        "reading stops at the END",
    ),
    Wrong(
        "by_length",
        "END wherever it stands",
        """
        def by_length(written, source, lengths):
            found, acc, exact = (np.unique(lengths), [], [])
            for n in found:
                of = lengths == n
                same = written[of, : n - 1] == source[of, : n - 1]
                ends = (written[of] == END).any(1)
                acc.append((same.sum() + ends.sum()) / (n * of.sum()))
                exact.append(np.mean(same.all(1) & ends))
            return (found - 1, np.array(acc), np.array(exact))
        """,
        "END counts as right wherever",
    ),
    Wrong(
        "perplexity",
        "the largest score of the batch",
        """
        def perplexity(c, target, E, O):
            read, s, losses = (np.full(len(target), START), c, [])
            for y in target.T:
                s = s / 2 + E[read]
                scores = s @ O.T
                scores = scores - scores.max()
                log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
                losses.append(-log_p[np.arange(len(y)), y])
                read = y
            return np.exp(np.stack(losses, 1)[target != PAD].mean())
        """,
        "of the whole batch is subtracted",
    ),
    Wrong(
        "perplexity",
        "the mean score taken off",
        """
        def perplexity(c, target, E, O):
            read, s, losses = (np.full(len(target), START), c, [])
            for y in target.T:
                s = s / 2 + E[read]
                scores = s @ O.T
                scores = scores - scores.mean(1, keepdims=True)
                log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
                losses.append(-log_p[np.arange(len(y)), y])
                read = y
            return np.exp(np.stack(losses, 1)[target != PAD].mean())
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "by_length",
        "all words but one",
        """
        def by_length(written, source, lengths):
            real = np.arange(source.shape[1]) < lengths[:, None]
            right = (written == source) & real
            found = np.unique(lengths)
            acc = [right[lengths == n].sum() / real[lengths == n].sum() for n in found]
            exact = [np.mean(right[lengths == n].sum(1) >= n - 1) for n in found]
            return found - 1, np.array(acc), np.array(exact)
        """,
        "a wrong word counts as right",
    ),
]

RIGHT = [
    Right(
        "word by word",
        encode="""
        def encode(x, lengths, kept):
            out = []
            for words, n in zip(x, lengths):
                h = 0
                for word in words[:n]:
                    h = h * kept + word
                out.append(h)
            return np.array(out)
        """,
        copy_task="""
        def copy_task(rng, count, longest, held_out):
            def draw(allowed):
                rows = []
                for _ in range(count):
                    n = allowed[rng.integers(len(allowed))]
                    rows.append([int(rng.integers(0, 10)) for _ in range(n)] + [END])
                lengths = [len(row) for row in rows]
                width = max(lengths)
                return np.array([row + [PAD] * (width - len(row)) for row in rows]), lengths
            train = draw([n for n in range(1, longest + 1) if n not in held_out])
            return [train, draw(held_out)]
        """,
        by_length="""
        def by_length(written, source, lengths):
            groups = {}
            for w, s, n in zip(written, source, lengths):
                groups.setdefault(int(n) - 1, []).append([a == b for a, b in zip(w[:n], s[:n])])
            found = sorted(groups)
            accuracy = [np.mean(np.concatenate(groups[n])) for n in found]
            return found, accuracy, [np.mean([all(row) for row in groups[n]]) for n in found]
        """,
        perplexity="""
        def perplexity(c, target, E, O):
            losses = []
            for s, row in zip(c, target):
                words = [START, *row[row != PAD]]
                for before, word in zip(words, words[1:]):
                    s = 0.5 * s + E[before]
                    scores = O @ s
                    losses.append(np.logaddexp.reduce(scores - scores[word]))
            return np.exp(np.mean(losses))
        """,
    ),
    Right(
        "all at once",
        encode="""
        def encode(x, lengths, kept):
            ago = lengths[:, None] - 1 - np.arange(x.shape[1])
            shares = np.where(ago >= 0, float(kept) ** np.maximum(ago, 0), 0.0)
            return np.einsum("bs,bsv->bv", shares, np.where(ago[..., None] >= 0, x, 0.0))
        """,
        copy_task="""
        def copy_task(rng, count, longest, held_out):
            def draw(letters):
                width = letters.max() + 1
                place = np.arange(width)[None]
                drawn = rng.integers(10, size=(count, width))
                source = np.where(place < letters[:, None], drawn, PAD)
                source[place == letters[:, None]] = END
                return source, letters + 1
            letters = rng.integers(1, longest + 1, size=count)
            while np.isin(letters, held_out).any():
                again = np.isin(letters, held_out)
                letters[again] = rng.integers(1, longest + 1, size=again.sum())
            return draw(letters), draw(rng.choice(held_out, count))
        """,
        by_length="""
        def by_length(written, source, lengths):
            wrong = (written != source) & (source != PAD)
            found, group = np.unique(lengths, return_inverse=True)
            count = np.bincount(group)
            accuracy = 1 - np.bincount(group, weights=wrong.sum(1)) / (count * found)
            return found - 1, accuracy, np.bincount(group, weights=~wrong.any(1)) / count
        """,
        perplexity="""
        def perplexity(c, target, E, O):
            read = np.concatenate([np.full((len(target), 1), START), target[:, :-1]], 1)
            T = target.shape[1]
            ago = np.arange(T)[:, None] - np.arange(T)
            fading = np.where(ago >= 0, 0.5 ** np.abs(ago), 0)
            states = np.einsum("ts,bsh->bth", fading, E[read])
            states = states + 0.5 ** np.arange(1, T + 1)[:, None] * c[:, None]
            scores = states @ O.T
            log_p = scores - np.logaddexp.reduce(scores, -1)[..., None]
            picked = np.take_along_axis(log_p, target[..., None], -1)[..., 0]
            real = target != PAD
            return np.exp(-(picked * real).sum() / real.sum())
        """,
    ),
    Right(
        "in another order",
        encode="""
        def encode(x, lengths, kept):
            order = np.argsort(-np.asarray(lengths))  # longest first, as for packing
            h = np.zeros((len(x), x.shape[2]))
            for s in range(max(lengths)):
                here = order[: sum(n > s for n in lengths)]
                h[here] = kept * h[here] + x[here, s]
            return h
        """,
        copy_task=task(),
        by_length=shares(exact="np.mean(right[of].sum(1) == real[of].sum(1))"),
        perplexity="""
        def perplexity(c, target, E, O):
            per_word = []
            for b, t in zip(*np.nonzero(target - PAD)):
                before = [START, *target[b, :t]]
                s = c[b]
                for word in before:
                    s = E[word] + s * 0.5
                scores = O @ s
                most = scores.max()
                per_word.append((scores[target[b, t]] - most, np.exp(scores - most).sum()))
            below, total = np.array(per_word).T
            return np.prod(total ** (1 / len(total))) * np.exp(-below.sum() / len(total))
        """,
    ),
]

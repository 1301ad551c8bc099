"""Answers to assignment 8: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong


def clocks(
    theta="10000.0 ** (-np.arange(0, D, 2) / D)",
    t="start + np.arange(T)",
    back="np.stack([np.sin(angles), np.cos(angles)], -1).reshape(T, D)",
) -> str:
    """Positions of which one part differs."""
    return (
        "def clocks(T, D, start):\n"
        f"    theta = {theta}\n"
        f"    angles = ({t})[:, None] * theta\n"
        f"    return {back}\n"
    )


HEADS = {
    "sizes": "B, T, D = X.shape; S = Y.shape[1]; d = D // H",
    "split": "split = lambda M: M.reshape(B, -1, H, d).transpose(0, 2, 1, 3)",
    "views": "q, k, v = split(X @ W_Q), split(Y @ W_K), split(Y @ W_V)",
    "scores": "e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d)",
    "hide": "e = np.where(mask[:, None], e, -np.inf)",
    "softmax": "a = np.exp(e - e.max(-1, keepdims=True)); a = a / a.sum(-1, keepdims=True)",
    "after": "pass",
    "join": "c = (a @ v).transpose(0, 2, 1, 3).reshape(B, T, D)",
    "back": "return c @ W_O, a",
}


def heads(**lines: str) -> str:
    """Multi-head attention of which the named lines differ."""
    body = "\n    ".join((HEADS | lines).values())
    return f"def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):\n    {body}\n"


WRITER = {
    "start": "start = 0 if self.k is None else self.k.shape[2]",
    "place": "x = x + clocks(n, D, start)",
    "views": "q, k, v = (split(x @ W) for W in (self.W_Q, self.W_K, self.W_V))",
    "keep": (
        "k, v = (k, v) if self.k is None else (np.concatenate([self.k, k], 2), "
        "np.concatenate([self.v, v], 2)); self.k, self.v = k, v"
    ),
    "mask": "S = k.shape[2]; seen = np.arange(S) <= start + np.arange(n)[:, None]",
    "scores": "e = np.where(seen, q @ k.transpose(0, 1, 3, 2) / np.sqrt(D // H), -np.inf)",
    "softmax": "a = np.exp(e - e.max(-1, keepdims=True)); a = a / a.sum(-1, keepdims=True)",
    "back": "return (a @ v).transpose(0, 2, 1, 3).reshape(B, n, D) @ self.W_O",
}
BEGIN = "self.W_Q, self.W_K, self.W_V, self.W_O, self.H = W_Q, W_K, W_V, W_O, H; "


def writer(begin="self.k = self.v = None", **lines: str) -> str:
    """A writer of which the named lines differ."""
    body = "\n        ".join((WRITER | lines).values())
    return (
        "class Writer:\n"
        "    k = v = None\n"
        "    kept = []\n"
        "    def __init__(self, W_Q, W_K, W_V, W_O, H):\n"
        f"        {BEGIN}{begin}\n"
        "    def __call__(self, x):\n"
        "        B, n, D = x.shape; H = self.H\n"
        "        split = lambda M: M.reshape(B, -1, H, D // H).transpose(0, 2, 1, 3)\n"
        f"        {body}\n"
    )


def tests(
    change="other[:, t:] = rng.normal(size=other[:, t:].shape)",
    differ="not np.allclose(layer(other)[:, :t], before[:, :t], rtol=0, atol=1e-6)",
    places="range(1, X.shape[1])",
    start="X.copy()",
) -> str:
    """A test of which one part differs."""
    return (
        "def sees_future(layer, X):\n"
        "    rng, before = np.random.default_rng(0), layer(X)\n"
        f"    for t in {places}:\n"
        f"        other = {start}\n"
        f"        {change}\n"
        f"        if {differ}:\n"
        "            return True\n"
        "    return False\n"
    )


WRONG = [
    # --- positions ---
    Wrong(
        "clocks",
        "an angle for each number, not for each pair",
        """
        def clocks(T, D, start):
            j = np.arange(D)
            angles = (start + np.arange(T))[:, None] / 10000 ** (2 * j / D)
            P = np.sin(angles)
            P[:, 1::2] = np.cos(angles[:, 1::2])
            return P
        """,
        "exponent counts pairs",
    ),
    Wrong(
        "clocks",
        "the exponent of each number by itself",
        """
        def clocks(T, D, start):
            P = np.zeros((T, D))
            for t in range(T):
                for j in range(D):
                    wave = np.sin if j % 2 == 0 else np.cos
                    P[t, j] = wave((start + t) / 10000 ** (j / D))
            return P
        """,
        "exponent counts pairs",
    ),
    Wrong(
        "clocks",
        "sines first, then cosines",
        clocks(back="np.concatenate([np.sin(angles), np.cos(angles)], -1)"),
        "all sines come first",
    ),
    Wrong(
        "clocks",
        "cosine before sine",
        clocks(back="np.stack([np.cos(angles), np.sin(angles)], -1).reshape(T, D)"),
        "changed places",
    ),
    Wrong(
        "clocks", "half the exponent", clocks("10000.0 ** (-np.arange(D // 2) / D)"), "too little"
    ),
    Wrong(
        "clocks",
        "twice the exponent",
        clocks("10000.0 ** (-2 * np.arange(0, D, 2) / D)"),
        "too fast",
    ),
    Wrong("clocks", "faster and faster", clocks("10000.0 ** (np.arange(0, D, 2) / D)"), "sign"),
    Wrong("clocks", "counted from 1", clocks(t="start + np.arange(1, T + 1)"), "0, not 1"),
    Wrong("clocks", "the start forgotten", clocks(t="np.arange(T)"), "`start`"),
    Wrong("clocks", "another base", clocks("1000.0 ** (-np.arange(0, D, 2) / D)"), "10,000"),
    Wrong(
        "clocks",
        "rates from end to end",
        clocks("10000.0 ** -np.linspace(0, 1, D // 2)"),
        "slowest hand",
    ),
    # --- heads ---
    Wrong(
        "multi_head",
        "split by rows",
        heads(split="split = lambda M: M.reshape(B, H, -1, d)"),
        "cut from rows",
    ),
    Wrong(
        "multi_head",
        "split and joined by rows",
        heads(
            split="split = lambda M: M.reshape(B, H, -1, d)", join="c = (a @ v).reshape(B, T, D)"
        ),
        "cut from rows",
    ),
    Wrong(
        "multi_head",
        "joined by rows",
        heads(join="c = (a @ v).reshape(B, T, D)"),
        "join mixes words",
    ),
    Wrong(
        "multi_head",
        "columns dealt in turn",
        heads(split="split = lambda M: M.reshape(B, -1, d, H).transpose(0, 3, 1, 2)"),
        "in turn",
    ),
    Wrong(
        "multi_head",
        "the root of the whole width",
        heads(scores="e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(D)"),
        "root of D",
    ),
    Wrong(
        "multi_head",
        "the root of the number of heads",
        heads(scores="e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(H)"),
        "root of H",
    ),
    Wrong(
        "multi_head",
        "not scaled",
        heads(scores="e = q @ k.transpose(0, 1, 3, 2)"),
        "by nothing",
    ),
    Wrong(
        "multi_head",
        "not the root",
        heads(scores="e = q @ k.transpose(0, 1, 3, 2) / d"),
        "root of a head's width",
    ),
    Wrong(
        "multi_head",
        "softmax over the queries",
        heads(softmax="a = np.exp(e); a = a / a.sum(2, keepdims=True)"),
        "over the queries",
    ),
    Wrong(
        "multi_head",
        "heads of a word look at each other",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            B, T, D = X.shape
            q, k, v = (M.reshape(B, -1, H, D // H) for M in (X @ W_Q, Y @ W_K, Y @ W_V))
            e = q @ k.swapaxes(2, 3) / np.sqrt(D // H)
            a = np.exp(e - e.max(-1, keepdims=True))
            a = a / a.sum(-1, keepdims=True)
            return (a @ v).reshape(B, T, D) @ W_O, a
        """,
        "heads of a word look at each other",
    ),
    Wrong(
        "multi_head",
        "the batch's axis second",
        heads(
            sizes="X, Y = X.swapaxes(0, 1), Y.swapaxes(0, 1); B, T, D = X.shape; d = D // H",
            hide="pass",
            back="return (c @ W_O).swapaxes(0, 1), a",
        ),
        "sentences look at each other",
    ),
    Wrong(
        "multi_head",
        "the mask turned",
        heads(hide="e = np.where(mask.transpose(0, 2, 1)[:, None], e, -np.inf)"),
        "the mask is turned",
    ),
    Wrong("multi_head", "no mask", heads(hide="pass"), "mask is not used"),
    Wrong(
        "multi_head",
        "the mask of nn.MultiheadAttention",
        heads(hide="e = np.where(mask[:, None], -1e30, e)"),
        "wrong way round",
    ),
    Wrong(
        "multi_head",
        "the mask after the softmax",
        heads(hide="pass", after="a = a * mask[:, None]"),
        "after the softmax",
    ),
    Wrong(
        "multi_head",
        "the mask multiplies the scores",
        heads(hide="e = e * mask[:, None]"),
        "score of 0",
    ),
    Wrong(
        "multi_head",
        "one mask for all sentences",
        heads(hide="e = np.where(mask[0], e, -np.inf)"),
        "first sentence's mask",
    ),
    Wrong("multi_head", "no W_O", heads(back="return c, a"), "where is W_O"),
    Wrong(
        "multi_head",
        "matrices turned",
        heads(views="q, k, v = split(X @ W_Q.T), split(Y @ W_K.T), split(Y @ W_V.T)"),
        "X @ W",
    ),
    Wrong(
        "multi_head",
        "values of the one who asks",
        heads(views="q, k, v = split(X @ W_Q), split(Y @ W_K), split(X @ W_V)"),
        "come from",
    ),
    Wrong(
        "multi_head",
        "self-attention whoever is asked",
        heads(views="q, k, v = split(X @ W_Q), split(X @ W_K), split(X @ W_V)"),
        "keys and values come from X",
    ),
    Wrong(
        "multi_head",
        "values made from keys",
        heads(views="q, k = split(X @ W_Q), split(Y @ W_K); v = split(Y @ W_K)"),
        "made from the keys",
    ),
    Wrong(
        "multi_head",
        "weights averaged over the heads",
        heads(back="return c @ W_O, a.mean(1)"),
        "averaged over the heads",
    ),
    Wrong(
        "clocks",
        "single precision",
        clocks(t="(start + np.arange(T)).astype(np.float32)").replace(
            "* theta", "* theta.astype(np.float32)"
        ),
        "single-precision",
    ),
    Wrong(
        "clocks",
        "counted from -1",
        clocks(t="start - 1 + np.arange(T)"),
        "not of the one before",
    ),
    Wrong(
        "multi_head",
        "columns dealt in turn, and back",
        heads(
            split="split = lambda M: M.reshape(B, -1, d, H).transpose(0, 3, 1, 2)",
            join="c = (a @ v).transpose(0, 2, 3, 1).reshape(B, T, D)",
        ),
        "dealt to the heads in turn",
    ),
    Wrong(
        "multi_head",
        "the sentences' masks for the heads",
        heads(hide="e = np.where(mask, e, -np.inf)"),
        "sentences pass for heads",
    ),
    Wrong(
        "multi_head",
        "minus 100 for what is hidden",
        heads(hide="e = np.where(mask[:, None], e, -100.0)"),
        "exactly 0",
    ),
    Wrong(
        "multi_head",
        "minus 30 beside what is hidden",
        heads(hide="e = e + np.where(mask[:, None], 0.0, -30.0)"),
        "exactly 0",
    ),
    Wrong(
        "multi_head",
        "exp without the maximum",
        heads(softmax="a = np.exp(e); a = a / a.sum(-1, keepdims=True)"),
        "overflows",
    ),
    # --- writing ---
    Wrong(
        "writer",
        "no mask",
        writer(mask="S = k.shape[2]; seen = True"),
        "future is seen",
    ),
    Wrong(
        "writer",
        "the diagonal hidden",
        writer(mask="S = k.shape[2]; seen = np.arange(S) < start + np.arange(n)[:, None]"),
        "diagonal is hidden",
    ),
    Wrong(
        "writer",
        "the mask the wrong way round",
        writer(mask="S = k.shape[2]; seen = np.arange(S) >= start + np.arange(n)[:, None]"),
        "wrong way round",
    ),
    Wrong(
        "writer",
        "a triangle in the corner",
        writer(mask="S = k.shape[2]; seen = np.tril(np.ones((n, S), dtype=bool))"),
        "what was kept is hidden",
    ),
    Wrong(
        "writer",
        "only the first piece masked",
        writer(
            mask="S = k.shape[2]; seen = np.tril(np.ones((n, S), dtype=bool)) if S == n else True"
        ),
        "not the first",
    ),
    Wrong("writer", "positions begin anew", writer(place="x = x + clocks(n, D, 0)"), "at 0 again"),
    Wrong("writer", "no positions", writer(place="pass"), "no positions"),
    Wrong(
        "writer",
        "positions from 1",
        writer(place="x = x + clocks(n, D, start + 1)"),
        "at position 0",
    ),
    Wrong(
        "writer",
        "keys without positions",
        writer(
            place="bare = x; x = x + clocks(n, D, start)",
            views="q, k, v = split(x @ self.W_Q), split(bare @ self.W_K), split(bare @ self.W_V)",
        ),
        "keys and values are made of has none",
    ),
    Wrong(
        "writer",
        "nothing kept",
        writer(
            "self.done = 0; self.k = self.v = None",
            start="start = self.done; self.done += n",
            keep="pass",
            mask="S = n; seen = np.tril(np.ones((n, n), dtype=bool))",
        ),
        "nothing is kept",
    ),
    Wrong(
        "writer",
        "new keys in front",
        writer(
            keep=(
                "k, v = (k, v) if self.k is None else (np.concatenate([k, self.k], 2), "
                "np.concatenate([v, self.v], 2)); self.k, self.v = k, v"
            )
        ),
        "in front of the old ones",
    ),
    Wrong(
        "writer",
        "keys projected again at each step",
        writer(
            "self.words = None",
            start="start = 0 if self.words is None else self.words.shape[1]",
            place=(
                "x = x + clocks(n, D, start); self.words = x if start == 0 else "
                "np.concatenate([self.words, x], 1)"
            ),
            views="q, k, v = split(x @ self.W_Q), split(self.words @ self.W_K), "
            "split(self.words @ self.W_V)",
            keep="pass",
        ),
        "project the new ones only",
    ),
    Wrong(
        "writer",
        "a cache that all writers share",
        writer(
            "pass",
            start="start = len(self.kept)",
            place="x = x + clocks(n, D, start)",
            keep=(
                "self.kept += [(k[:, :, [i]], v[:, :, [i]]) for i in range(n)]; "
                "k, v = (np.concatenate(m, 2) for m in zip(*self.kept))"
            ),
        ),
        "the second remembers",
    ),
    Wrong(
        "writer",
        "a shared cache, emptied at the beginning",
        writer(
            "type(self).kept = []",
            start="start = len(self.kept)",
            place="x = x + clocks(n, D, start)",
            keep=(
                "self.kept += [(k[:, :, [i]], v[:, :, [i]]) for i in range(n)]; "
                "k, v = (np.concatenate(m, 2) for m in zip(*self.kept))"
            ),
        ),
        "the second remembers",
    ),
    Wrong(
        "writer",
        "calls counted for words",
        writer(
            "self.calls = 0",
            place="x = x + clocks(n, D, self.calls); self.calls += 1",
        ),
        "count the calls",
    ),
    Wrong(
        "writer",
        "the words changed in place",
        writer(place="x += clocks(n, D, start)"),
        "changes its argument x",
    ),
    # --- the reader's own test ---
    Wrong(
        "sees_future",
        "compares all words",
        tests(differ="not np.allclose(layer(other), before, rtol=0, atol=1e-6)"),
        "says True of a causal layer: compare only words before",
    ),
    Wrong(
        "sees_future",
        "exact comparison",
        tests(differ="not np.array_equal(layer(other)[:, :t], before[:, :t])"),
        "tolerance",
    ),
    Wrong(
        "sees_future",
        "a generous tolerance",
        tests(differ="not np.allclose(layer(other)[:, :t], before[:, :t], rtol=0, atol=0.1)"),
        "mind your tolerance",
    ),
    Wrong(
        "sees_future",
        "only the last word changed",
        tests(places="[X.shape[1] - 1]"),
        "more than the last word",
    ),
    Wrong(
        "sees_future",
        "only the first word looked at",
        tests(places="[1]"),
        "only the last word but one sees the last: look at every word",
    ),
    Wrong(
        "sees_future",
        "only the middle",
        tests(places="[X.shape[1] // 2]"),
        "every word",
    ),
    Wrong(
        "sees_future",
        "all of the future but the next word",
        tests(change="other[:, t + 1 :] = rng.normal(size=other[:, t + 1 :].shape)"),
        "each word sees the next one",
    ),
    Wrong(
        "sees_future",
        "the past changed",
        tests(
            change="other[:, :t] = rng.normal(size=other[:, :t].shape)",
            differ="not np.allclose(layer(other)[:, t:], before[:, t:], rtol=0, atol=1e-6)",
        ),
        "True of a causal layer",
    ),
    Wrong(
        "sees_future",
        "the first sentence only",
        tests(differ="not np.allclose(layer(other)[0, :t], before[0, :t], rtol=0, atol=1e-6)"),
        "every sentence",
    ),
    Wrong(
        "sees_future",
        "sums compared",
        tests(
            differ="abs(layer(other)[:, :t].sum((1, 2)) - before[:, :t].sum((1, 2))).max() > 1e-6"
        ),
        "errors cancel",
    ),
    Wrong(
        "sees_future",
        "one number compared",
        tests(differ="abs(layer(other)[:, :t, 0] - before[:, :t, 0]).max() > 1e-6"),
        "every number",
    ),
    Wrong(
        "sees_future",
        "one and the same added to all numbers",
        tests(change="other[:, t:] += 1.0"),
        "another kind of change",
    ),
    Wrong(
        "sees_future",
        "only the next word is changed",
        tests(
            change="other[:, t] = rng.normal(size=other[:, t].shape)",
            differ="not np.allclose(layer(other)[:, t - 1], before[:, t - 1], rtol=0, atol=1e-6)",
        ),
        "may be further off",
    ),
    Wrong(
        "sees_future",
        "the next two words are changed",
        tests(
            change="other[:, t : t + 2] = rng.normal(size=other[:, t : t + 2].shape)",
            differ="not np.allclose(layer(other)[:, t - 1], before[:, t - 1], rtol=0, atol=1e-6)",
        ),
        "far off",
    ),
    Wrong(
        "sees_future",
        "only the first and the last cut",
        tests(places="[1, X.shape[1] - 1]"),
        "in the middle too",
    ),
    Wrong(
        "sees_future",
        "the future doubled",
        tests(change="other[:, t:] *= 2.0"),
        "how large they are",
    ),
    Wrong(
        "sees_future",
        "the future made larger and shifted",
        tests(change="other[:, t:] = 3.0 * other[:, t:] + 1.0"),
        "through a layer normalization",
    ),
    Wrong(
        "sees_future",
        "the sentences' futures exchanged",
        tests(change="other[:, t:] = np.roll(other[:, t:], 1, axis=0)"),
        "given one sentence",
    ),
    Wrong("sees_future", "in place", tests(start="X"), "changes X"),
    Wrong(
        "sees_future",
        "the other way round",
        tests()
        .replace("return True", "return None")
        .replace("return False", "return True")
        .replace("return None", "return False"),
        "of a causal layer",
    ),
    Wrong(
        "sees_future",
        "shapes only",
        "def sees_future(layer, X):\n    return layer(X).shape != X.shape\n",
        "every word sees all",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "multi_head",
        "the mean of the visible taken off",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            B, T, D = X.shape
            d = D // H
            split = lambda M: M.reshape(B, -1, H, d).transpose(0, 2, 1, 3)
            q, k, v = (split(X @ W_Q), split(Y @ W_K), split(Y @ W_V))
            e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d)
            m = np.broadcast_to(mask[:, None], e.shape)
            c = (e * m).sum(-1, keepdims=True) / m.sum(-1, keepdims=True)
            x = np.where(m, np.exp(np.where(m, e - c, 0)), 0)
            a = x / x.sum(-1, keepdims=True)
            return ((a @ v).transpose(0, 2, 1, 3).reshape(B, T, D) @ W_O, a)
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "multi_head",
        "the largest of all heads",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            B, T, D = X.shape
            d = D // H
            split = lambda M: M.reshape(B, -1, H, d).transpose(0, 2, 1, 3)
            q, k, v = (split(X @ W_Q), split(Y @ W_K), split(Y @ W_V))
            e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d)
            m = np.broadcast_to(mask[:, None], e.shape)
            c = np.where(m, e, -np.inf).max((1, 3), keepdims=True)
            x = np.exp(np.where(m, e - c, -np.inf))
            a = x / x.sum(-1, keepdims=True)
            return ((a @ v).transpose(0, 2, 1, 3).reshape(B, T, D) @ W_O, a)
        """,
        "largest score of several rows",
    ),
    Wrong(
        "multi_head",
        "the largest of the batch",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            B, T, D = X.shape
            d = D // H
            split = lambda M: M.reshape(B, -1, H, d).transpose(0, 2, 1, 3)
            q, k, v = (split(X @ W_Q), split(Y @ W_K), split(Y @ W_V))
            e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d)
            m = np.broadcast_to(mask[:, None], e.shape)
            c = np.where(m, e, -np.inf).max()
            x = np.exp(np.where(m, e - c, -np.inf))
            a = x / x.sum(-1, keepdims=True)
            return ((a @ v).transpose(0, 2, 1, 3).reshape(B, T, D) @ W_O, a)
        """,
        "largest score of several rows",
    ),
    Wrong(
        "multi_head",
        "the largest of all queries",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            B, T, D = X.shape
            d = D // H
            split = lambda M: M.reshape(B, -1, H, d).transpose(0, 2, 1, 3)
            q, k, v = (split(X @ W_Q), split(Y @ W_K), split(Y @ W_V))
            e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d)
            m = np.broadcast_to(mask[:, None], e.shape)
            c = np.where(m, e, -np.inf).max((2, 3), keepdims=True)
            x = np.exp(np.where(m, e - c, -np.inf))
            a = x / x.sum(-1, keepdims=True)
            return ((a @ v).transpose(0, 2, 1, 3).reshape(B, T, D) @ W_O, a)
        """,
        "largest score of several rows",
    ),
    Wrong(
        "multi_head",
        "hidden 50 below",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            B, T, D = X.shape
            d = D // H
            split = lambda M: M.reshape(B, -1, H, d).transpose(0, 2, 1, 3)
            q, k, v = (split(X @ W_Q), split(Y @ W_K), split(Y @ W_V))
            e = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d)
            m = np.broadcast_to(mask[:, None], e.shape)
            c = np.where(m, e, -np.inf).max(-1, keepdims=True)
            x = np.exp(np.where(m, e - c, -50))
            a = x / x.sum(-1, keepdims=True)
            return ((a @ v).transpose(0, 2, 1, 3).reshape(B, T, D) @ W_O, a)
        """,
        "exactly 0",
    ),
    Wrong(
        "writer",
        "keeps words, projects all again, matrices copied",
        """
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.W_Q, self.W_K, self.W_V, self.W_O = (
                    np.array(W) for W in (W_Q, W_K, W_V, W_O)
                )
                self.H, self.words = (H, None)

            def __call__(self, x):
                self.words = x if self.words is None else np.concatenate([self.words, x], 1)
                B, S, D = self.words.shape
                n, d = (x.shape[1], D // self.H)
                w_ = self.words + clocks(S, D, 0)
                cut = lambda M: M.reshape(B, -1, self.H, d).transpose(0, 2, 1, 3)
                q, k, v = (cut(w_[:, -n:] @ self.W_Q), cut(w_ @ self.W_K), cut(w_ @ self.W_V))
                seen = np.arange(S) <= np.arange(S - n, S)[:, None]
                e = np.where(seen, q @ k.transpose(0, 1, 3, 2) / np.sqrt(d), -np.inf)
                x_ = np.exp(e - e.max(-1, keepdims=True))
                a = x_ / x_.sum(-1, keepdims=True)
                return (a @ v).transpose(0, 2, 1, 3).reshape(B, n, D) @ self.W_O
        """,
        "no copies|a copy of W_K",
    ),
    Wrong(
        "writer",
        "projects all again, matrices stacked",
        """
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.W = np.concatenate([W_Q, W_K, W_V], 1)
                D = len(W_O)
                self.W_Q, self.W_K, self.W_V, self.W_O = (
                    self.W[:, :D],
                    self.W[:, D : 2 * D],
                    self.W[:, 2 * D :],
                    W_O,
                )
                self.H, self.words = (H, None)

            def __call__(self, x):
                self.words = x if self.words is None else np.concatenate([self.words, x], 1)
                B, S, D = self.words.shape
                n, d = (x.shape[1], D // self.H)
                w_ = self.words + clocks(S, D, 0)
                cut = lambda M: M.reshape(B, -1, self.H, d).transpose(0, 2, 1, 3)
                q, k, v = (cut(w_[:, -n:] @ self.W_Q), cut(w_ @ self.W_K), cut(w_ @ self.W_V))
                seen = np.arange(S) <= np.arange(S - n, S)[:, None]
                e = np.where(seen, q @ k.transpose(0, 1, 3, 2) / np.sqrt(d), -np.inf)
                x_ = np.exp(e - e.max(-1, keepdims=True))
                a = x_ / x_.sum(-1, keepdims=True)
                return (a @ v).transpose(0, 2, 1, 3).reshape(B, n, D) @ self.W_O
        """,
        "no copies|a copy of W_K",
    ),
    Wrong(
        "writer",
        "projects all again, by a sum of products",
        """
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.W_Q, self.W_K, self.W_V, self.W_O = (W_Q, W_K, W_V, W_O)
                self.H, self.words = (H, None)

            def __call__(self, x):
                self.words = x if self.words is None else np.concatenate([self.words, x], 1)
                B, S, D = self.words.shape
                n, d = (x.shape[1], D // self.H)
                w_ = self.words + clocks(S, D, 0)
                cut = lambda M: M.reshape(B, -1, self.H, d).transpose(0, 2, 1, 3)
                q, k, v = (
                    cut(w_[:, -n:] @ self.W_Q),
                    cut((w_[..., None] * self.W_K).sum(2)),
                    cut((w_[..., None] * self.W_V).sum(2)),
                )
                seen = np.arange(S) <= np.arange(S - n, S)[:, None]
                e = np.where(seen, q @ k.transpose(0, 1, 3, 2) / np.sqrt(d), -np.inf)
                x_ = np.exp(e - e.max(-1, keepdims=True))
                a = x_ / x_.sum(-1, keepdims=True)
                return (a @ v).transpose(0, 2, 1, 3).reshape(B, n, D) @ self.W_O
        """,
        "projects the earlier words by W_K again",
    ),
    Wrong(
        "writer",
        "projects all again, np.inner",
        """
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.W_Q, self.W_K, self.W_V, self.W_O = (W_Q, W_K, W_V, W_O)
                self.H, self.words = (H, None)

            def __call__(self, x):
                self.words = x if self.words is None else np.concatenate([self.words, x], 1)
                B, S, D = self.words.shape
                n, d = (x.shape[1], D // self.H)
                w_ = self.words + clocks(S, D, 0)
                cut = lambda M: M.reshape(B, -1, self.H, d).transpose(0, 2, 1, 3)
                q, k, v = (
                    cut(w_[:, -n:] @ self.W_Q),
                    cut(np.inner(w_, self.W_K.T)),
                    cut(np.inner(w_, self.W_V.T)),
                )
                seen = np.arange(S) <= np.arange(S - n, S)[:, None]
                e = np.where(seen, q @ k.transpose(0, 1, 3, 2) / np.sqrt(d), -np.inf)
                x_ = np.exp(e - e.max(-1, keepdims=True))
                a = x_ / x_.sum(-1, keepdims=True)
                return (a @ v).transpose(0, 2, 1, 3).reshape(B, n, D) @ self.W_O
        """,
        "projects the earlier words by W_K again",
    ),
    Wrong(
        "sees_future",
        "the future negated",
        """
        def sees_future(layer, X):
            before = layer(X)
            rng = np.random.default_rng(0)
            for t in range(1, X.shape[1]):
                other = X.copy()
                other[:, t:] *= -1
                if not np.allclose(layer(other)[:, :t], before[:, :t], rtol=0, atol=1e-06):
                    return True
            return False
        """,
        "how large each word is",
    ),
    Wrong(
        "sees_future",
        "one number changed",
        """
        def sees_future(layer, X):
            before = layer(X)
            rng = np.random.default_rng(0)
            for t in range(1, X.shape[1]):
                other = X.copy()
                other[:, t:, rng.integers(X.shape[2])] += 1
                if not np.allclose(layer(other)[:, :t], before[:, :t], rtol=0, atol=1e-06):
                    return True
            return False
        """,
        "change every number of a word",
    ),
    Wrong(
        "sees_future",
        "the last number changed",
        """
        def sees_future(layer, X):
            before = layer(X)
            rng = np.random.default_rng(0)
            for t in range(1, X.shape[1]):
                other = X.copy()
                other[:, t:, -1] += 1
                if not np.allclose(layer(other)[:, :t], before[:, :t], rtol=0, atol=1e-06):
                    return True
            return False
        """,
        "change every number of a word",
    ),
    Wrong(
        "sees_future",
        "noise in the last two numbers",
        """
        def sees_future(layer, X):
            before = layer(X)
            rng = np.random.default_rng(0)
            for t in range(1, X.shape[1]):
                other = X.copy()
                other[:, t:, -2:] += rng.normal(size=other[:, t:, -2:].shape)
                if not np.allclose(layer(other)[:, :t], before[:, :t], rtol=0, atol=1e-06):
                    return True
            return False
        """,
        "change every number of a word",
    ),
    Wrong(
        "writer",
        "room for 16 words",
        """
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.W, self.H, self.n = ((W_Q, W_K, W_V, W_O), H, 0)

            def __call__(self, x):
                B, n, D = x.shape
                H, d = (self.H, D // self.H)
                W_Q, W_K, W_V, W_O = self.W
                if not self.n:
                    self.k = np.zeros((B, H, 16, d))
                    self.v = np.zeros((B, H, 16, d))
                x = x + clocks(n, D, self.n)
                cut = lambda M: M.reshape(B, n, H, d).transpose(0, 2, 1, 3)
                new = slice(self.n, self.n + n)
                self.n += n
                self.k[:, :, new], self.v[:, :, new] = (cut(x @ W_K), cut(x @ W_V))
                k, v = (self.k[:, :, : self.n], self.v[:, :, : self.n])
                seen = np.arange(self.n) <= np.arange(self.n - n, self.n)[:, None]
                e = np.where(seen, cut(x @ W_Q) @ k.transpose(0, 1, 3, 2) / np.sqrt(d), -np.inf)
                p = np.exp(e - e.max(-1, keepdims=True))
                a = p / p.sum(-1, keepdims=True)
                return (a @ v).transpose(0, 2, 1, 3).reshape(B, n, D) @ W_O
        """,
        "could not broadcast",
    ),
    Wrong(
        "multi_head",
        "in PyTorch",
        """
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            import torch
            X, Y, *W, mask = (torch.as_tensor(z) for z in (X, Y, W_Q, W_K, W_V, W_O, mask))
            q, k, v = (
                (M @ A).unflatten(-1, (H, -1)).transpose(1, 2)
                for M, A in ((X, W[0]), (Y, W[1]), (Y, W[2]))
            )
            e = q @ k.mT / q.shape[-1] ** 0.5
            a = e.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(-1)
            return (a @ v).transpose(1, 2).flatten(2) @ W[3], a
        """,
        "uses PyTorch",
    ),
    Wrong(
        "writer",
        "in PyTorch",
        """
        class Writer:
            def __init__(self, *given):
                *self.W, self.H = given
                self.k = self.v = None

            def __call__(self, x):
                import torch
                B, n, D = x.shape
                t = 0 if self.k is None else self.k.shape[2]
                x = x + clocks(n, D, t)
                q, k, v = (
                    torch.as_tensor(x @ W).unflatten(-1, (self.H, -1)).transpose(1, 2)
                    for W in self.W[:3]
                )
                if t:
                    k, v = torch.cat([self.k, k], 2), torch.cat([self.v, v], 2)
                self.k, self.v = k, v
                seen = torch.ones(n, t + n, dtype=torch.bool).tril(t)
                c = torch.nn.functional.scaled_dot_product_attention(q, k, v, seen)
                return c.transpose(1, 2).flatten(2).numpy() @ self.W[3]
        """,
        "uses PyTorch",
    ),
    Wrong(
        "sees_future",
        "what the check wants, in its order",
        """
        calls = 0

        def sees_future(layer, X):
            global calls
            calls += 1
            return (calls - 1) % len(a08.BOTH) > 2
        """,
        "sees_future says",
    ),
]

RIGHT = [
    Right(
        "loops",
        clocks="""
        def clocks(T, D, start):
            P = np.zeros((T, D))
            for t in range(T):
                for i in range(D // 2):
                    P[t, 2 * i] = np.sin((start + t) / 10000 ** (2 * i / D))
                    P[t, 2 * i + 1] = np.cos((start + t) / 10000 ** (2 * i / D))
            return P
        """,
        multi_head="""
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            d, contexts, weights = X.shape[-1] // H, [], []
            for x, y, m in zip(X, Y, mask):
                found, seen = [], []
                for h in range(H):
                    c = slice(h * d, (h + 1) * d)
                    e = (x @ W_Q[:, c]) @ (y @ W_K[:, c]).T / d**0.5
                    a = np.exp(e - np.where(m, e, -1e9).max(1, keepdims=True)) * m
                    a = a / a.sum(1, keepdims=True)
                    found.append(a @ y @ W_V[:, c])
                    seen.append(a)
                contexts.append(np.hstack(found) @ W_O)
                weights.append(seen)
            return np.array(contexts), np.array(weights)
        """,
        writer="""
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.W, self.W_O, self.H, self.kept = (W_Q, W_K, W_V), W_O, H, []

            def __call__(self, x):
                return np.stack([self.word(x[:, t]) for t in range(x.shape[1])], 1)

            def word(self, x):  # (B, D)
                x = x + clocks(1, x.shape[-1], len(self.kept))
                d, found = x.shape[-1] // self.H, []
                cuts = [slice(h * d, (h + 1) * d) for h in range(self.H)]
                q, k, v = (np.concatenate([x @ W[:, c] for c in cuts], 1) for W in self.W)
                self.kept.append((k, v))
                for h in range(self.H):
                    c = slice(h * d, (h + 1) * d)
                    e = np.array([(q[:, c] * k[:, c]).sum(1) for k, _ in self.kept]) / d**0.5
                    a = np.exp(e - e.max(0))
                    a = a / a.sum(0)
                    found.append(sum(w[:, None] * v[:, c] for w, (_, v) in zip(a, self.kept)))
                return np.concatenate(found, 1) @ self.W_O
        """,
        sees_future="""
        def sees_future(layer, X):
            whole, worst = layer(X), 0.0
            for t in range(1, X.shape[1]):
                worst = max(worst, np.abs(layer(X[:, :t]) - whole[:, :t]).max())
            return bool(worst > 1e-8)
        """,
    ),
    Right(
        "by einsum",
        clocks="""
        def clocks(T, D, start):
            theta = 1e4 ** -(np.arange(D // 2) * 2 / D)
            turn = np.exp(1j * np.outer(np.arange(start, start + T), theta))
            out = np.empty((T, D))
            out[:, 0::2], out[:, 1::2] = turn.imag, turn.real
            return out
        """,
        multi_head="""
        def multi_head(X, Y, W_Q, W_K, W_V, W_O, H, mask):
            D = X.shape[-1]
            q, k, v = (
                np.einsum("btd,dhe->bhte", M, W.reshape(D, H, -1))
                for M, W in ((X, W_Q), (Y, W_K), (Y, W_V))
            )
            e = np.einsum("bhte,bhse->bhts", q, k) * (D / H) ** -0.5
            e = np.where(mask[:, None], e, -1e300)
            a = np.exp(e - np.logaddexp.reduce(e, -1, keepdims=True))
            return np.einsum("bhts,bhse,hed->btd", a, v, W_O.reshape(H, -1, D)), a
        """,
        writer=writer(
            views=(
                "q, k, v = (np.einsum('btd,dhe->bhte', x, W.reshape(D, H, -1)) "
                "for W in (self.W_Q, self.W_K, self.W_V))"
            ),
            mask="S = k.shape[2]; seen = np.tril(np.ones((S, S), dtype=bool))[-n:]",
        ),
        sees_future=tests(
            change="other[:, t:] = 0.0",
            differ="bool((abs(layer(other) - before)[:, :t] > 1e-7).any())",
        ),
    ),
    Right(
        "the writer through multi_head's parts",
        multi_head=heads(hide="e = e + np.where(mask[:, None], 0, -1e200)"),
        writer=writer("self.k = self.v = np.zeros((0,)); self.k = None; self.v = None"),
        sees_future=tests(change="other[:, t:] = other[:, t:][:, :, ::-1] * 3 + 1"),
    ),
    Right(
        "word by word, with the method dot",
        writer="""
        class Writer:
            def __init__(self, W_Q, W_K, W_V, W_O, H):
                self.given, self.H, self.kept = (W_Q, W_K, W_V, W_O), H, None

            def __call__(self, x):
                W_Q, W_K, W_V, W_O = self.given
                B, n, D = x.shape
                if self.kept is None:
                    self.kept = [([], []) for _ in range(B)]
                start = len(self.kept[0][0])
                x = x + clocks(n, D, start)
                out = np.zeros(x.shape)
                for b, t in np.ndindex(B, n):
                    keys, values = self.kept[b]
                    keys.append(x[b, t].dot(W_K).reshape(self.H, -1))
                    values.append(np.array([sum(x[b, t] * w) for w in W_V.T]).reshape(self.H, -1))
                    q = x[b, t].dot(W_Q).reshape(self.H, -1)
                    e = np.einsum("hd,shd->sh", q, keys) * q.shape[1] ** -0.5
                    a = np.exp(e - e.max(0))
                    out[b, t] = np.einsum("sh,shd->hd", a / a.sum(0), values).ravel() @ W_O
                return out
        """,
        multi_head=heads(hide="e = np.where(mask[:, None], e, np.finfo(float).min)"),
    ),
]

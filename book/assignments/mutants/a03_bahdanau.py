"""Answers to assignment 3: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong


def score(line: str) -> str:
    """A score for one query, of which only the line differs."""
    return f"def additive_scores(q, h, W, U, v):\n    {line}"


def layer(call: str, start: str = "") -> str:
    """A class for batches; its start is right if no other is given."""
    start = start or (
        "self.W = rng.uniform(-1, 1, (A, D_q)) / D_q**0.5; "
        "self.U = rng.uniform(-1, 1, (A, D_k)) / D_k**0.5; "
        "self.v = rng.uniform(-1, 1, A) / A**0.5"
    )
    return (
        "class AdditiveScore:\n"
        "    def __init__(self, D_q, D_k, A, rng):\n"
        f"        {start}\n"
        "    def __call__(self, q, h):\n"
        f"        {call}\n"
    )


CALL = "return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v"


def draws(W="rng.uniform(-1, 1, (A, D_q)) / D_q**0.5", U="", v="", after="") -> str:
    """A class of which the first weights differ."""
    U = U or "rng.uniform(-1, 1, (A, D_k)) / D_k**0.5"
    v = v or "rng.uniform(-1, 1, A) / A**0.5"
    return layer(CALL, f"self.W = {W}; self.U = {U}; self.v = {v}; {after}")


STEP = {
    "scores": "e = np.tanh((s @ W.T)[:, None] + h @ U.T) @ v",
    "weights": (
        "e = np.where(mask, e, -np.inf); a = np.exp(e - e.max(1, keepdims=True)); "
        "a = a / a.sum(1, keepdims=True)"
    ),
    "context": "c = np.einsum('bs,bsd->bd', a, h)",
    "state": "new = gru(np.concatenate([y, c], 1), s, gates)",
    "back": "return c, a, new",
}


def step(**lines: str) -> str:
    """A step of which the named lines differ."""
    body = "\n    ".join((STEP | lines).values())
    return f"def step(y, s, h, mask, W, U, v, gates):\n    {body}\n"


TEST = """
def same_alone(step, y, s, h, mask, W, U, v, gates):
    c, a, new = step(y, s, h, mask, W, U, v, gates)
    for b in {sentences}:
        one, n = slice(b, b + 1), {length}
        alone = step(y[one], s[one], h[one, :n], mask[one, :n], W, U, v, gates)
        behind = ((0, 0), (0, len(mask[b]) - n))
        for got, wanted in [{pairs}]:
            if {differ}:
                return False
    return True
"""
WORDS = "(c[one], alone[0]), (a[one, :n], alone[1]), (new[one], alone[2])"
ALL = WORDS.replace("a[one, :n], alone[1]", "a[one], np.pad(alone[1], behind)")


def tests(
    sentences="range(len(y))",
    length="int(mask[b].sum())",
    pairs=ALL,
    differ="not np.allclose(got, wanted, rtol=0, atol=1e-6)",
) -> str:
    """A test of which one part differs."""
    return TEST.format(sentences=sentences, length=length, pairs=pairs, differ=differ)


WRONG = [
    # --- the score of one query ---
    Wrong(
        "additive_scores",
        "not written",
        score("raise NotImplementedError()"),
        "additive_scores is not written yet",
    ),
    Wrong("additive_scores", "the dot product", score("return h @ q"), "chapter 2's dot product"),
    Wrong(
        "additive_scores",
        "no tanh",
        score("return (W @ q + h @ U.T) @ v"),
        "the tanh is missing",
    ),
    Wrong(
        "additive_scores",
        "v inside the tanh",
        score("return np.array([np.tanh(v @ (W @ q + U @ k)) for k in h])"),
        "v is inside the tanh",
    ),
    Wrong(
        "additive_scores",
        "v inside the tanh, number by number",
        score("return np.tanh(v * (W @ q + h @ U.T)).sum(1)"),
        "v is inside the tanh",
    ),
    Wrong(
        "additive_scores",
        "two tanhs",
        score("return (np.tanh(W @ q) + np.tanh(h @ U.T)) @ v"),
        "must meet before one tanh",
    ),
    Wrong(
        "additive_scores",
        "the query outside",
        score("return (W @ q + np.tanh(h @ U.T)) @ v"),
        "added outside the tanh",
    ),
    Wrong(
        "additive_scores",
        "W for both",
        score("return np.tanh(W @ q + h @ W.T) @ v"),
        "W is used for the annotations too",
    ),
    Wrong(
        "additive_scores",
        "U for both",
        score("return np.tanh(U @ q + h @ U.T) @ v"),
        "U is used for the query too",
    ),
    Wrong(
        "additive_scores",
        "matrices turned round",
        score("return np.tanh(q @ W + h @ U) @ v"),
        "matrices are turned round",
    ),
    Wrong(
        "additive_scores",
        "v forgotten",
        score("return np.tanh(W @ q + h @ U.T).sum(-1)"),
        "v is not used",
    ),
    Wrong(
        "additive_scores",
        "summed over the words",
        score("return (np.tanh(W @ q + h @ U.T) * v).sum(0)"),
        "sum runs over the words",
    ),
    Wrong(
        "additive_scores",
        "multiplied",
        score("return np.tanh((W @ q) * (h @ U.T)) @ v"),
        "in this score they are added",
    ),
    Wrong(
        "additive_scores",
        "weights",
        score("e = np.exp(np.tanh(W @ q + h @ U.T) @ v)\n    return e / e.sum()"),
        "weights already",
    ),
    Wrong(
        "additive_scores",
        "one word",
        score("return np.tanh(W @ q + U @ h[0]) @ v"),
        r"shape \(\) instead of \(3,\)",
    ),
    Wrong(
        "additive_scores",
        "changes its argument",
        score("h += q\n    return np.tanh(h) @ v"),
        "changes its argument h",
    ),
    Wrong(
        "additive_scores",
        "the reference's",
        """
        from attnlib.reference import additive_score
        def additive_scores(q, h, W, U, v):
            return np.array([additive_score(q, k, W, U, v) for k in h])
        """,
        "write it yourself",
    ),
    Wrong(
        "additive_scores",
        "the check's own",
        score("return a03.scores_loops(q, h, W, U, v)"),
        "write it yourself",
    ),
    Wrong(
        "additive_scores",
        "the library's",
        """
        import torch
        from attnlib.scores import AdditiveScore as Ready
        def additive_scores(q, h, W, U, v):
            ready = Ready(len(q), h.shape[1], len(v)).double()
            for layer, weight in ((ready.W, W), (ready.U, U), (ready.v, v[None])):
                layer.weight.data = torch.tensor(weight)
            return ready(torch.tensor(q)[None, None], torch.tensor(h)[None])[0, 0]
        """,
        "uses PyTorch",
    ),
    # --- a batch ---
    Wrong(
        "AdditiveScore",
        "not written",
        layer(CALL, "raise NotImplementedError()"),
        "AdditiveScore is not written yet",
    ),
    Wrong(
        "AdditiveScore",
        "v never negative",
        draws(v="rng.random(A) / A**0.5"),
        "self.v has no negative number.*no hidden number can lower",
    ),
    Wrong("AdditiveScore", "v zero", draws(v="np.zeros(A)"), "self.v start alike"),
    Wrong(
        "AdditiveScore",
        "one draw for both",
        draws(after="self.U = self.W if D_q == D_k else self.U"),
        "W and U are the same numbers",
    ),
    Wrong(
        "AdditiveScore",
        "one seed for each",
        draws(
            W="np.random.default_rng(0).uniform(-1, 1, (A, D_q)) / D_q**0.5",
            U="np.random.default_rng(0).uniform(-1, 1, (A, D_k)) / D_k**0.5",
        ),
        "the rng that is passed",
    ),
    Wrong(
        "AdditiveScore",
        "bounds by what comes out",
        draws(W="rng.uniform(-1, 1, (A, D_q)) / A**0.5"),
        r"self.W takes in 4 numbers.*reach nearly to",
    ),
    Wrong(
        "AdditiveScore",
        "normal draws",
        draws(W="rng.normal(size=(A, D_q)) / D_q**0.5"),
        r"between -1/sqrt\(4\) and 1/sqrt\(4\)",
    ),
    Wrong(
        "AdditiveScore",
        "a root forgotten",
        draws(U="rng.uniform(-1, 1, (A, D_k)) / D_k"),
        "self.U takes in 9 numbers",
    ),
    Wrong(
        "AdditiveScore",
        "matrices transposed",
        draws(W="rng.uniform(-1, 1, (D_q, A)) / D_q**0.5"),
        r"self.W has shape \(4, 400\) instead of \(400, 4\)",
    ),
    Wrong(
        "AdditiveScore",
        "other names",
        layer("return np.tanh((q @ self.w.T)[:, None] + h @ self.U.T) @ self.v").replace(
            "self.W", "self.w"
        ),
        "no self.W",
    ),
    Wrong(
        "AdditiveScore",
        "numpy's own draws",
        draws(v="np.random.uniform(-1, 1, A) / A**0.5"),
        "draw self.v with the rng",
    ),
    Wrong(
        "AdditiveScore",
        "queries laid along the words",
        layer("return np.tanh(q @ self.W.T + h @ self.U.T) @ self.v"),
        "meet another's",
    ),
    Wrong(
        "AdditiveScore",
        "tiled, not repeated",
        layer(
            "B, S = h.shape[:2]; many = np.tile(q @ self.W.T, (S, 1)).reshape(B, S, -1); "
            "return np.tanh(many + h @ self.U.T) @ self.v"
        ),
        "meet another's",
    ),
    Wrong(
        "AdditiveScore",
        "the first query for all",
        layer("return np.tanh(q[0] @ self.W.T + h @ self.U.T) @ self.v"),
        "meet another's",
    ),
    Wrong(
        "AdditiveScore",
        "squeezed",
        layer(CALL.replace("return ", "return np.squeeze(") + ")"),
        "has lost its axis",
    ),
    Wrong(
        "AdditiveScore",
        "no tanh",
        layer("return ((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v"),
        "tanh is missing",
    ),
    Wrong(
        "AdditiveScore",
        "W for both",
        layer("return np.tanh((q @ self.W.T)[:, None] + h @ self.W.T) @ self.v"),
        "W is used for the annotations too",
    ),
    # --- the step ---
    Wrong(
        "step",
        "not written",
        step(scores="raise NotImplementedError()"),
        "step is not written yet",
    ),
    Wrong(
        "step",
        "no mask",
        step(weights="a = np.exp(e - e.max(1, keepdims=True)); a /= a.sum(1, keepdims=True)"),
        "mask is not used",
    ),
    Wrong(
        "step",
        "the mask after the softmax",
        step(weights="a = np.exp(e - e.max(1)[:, None]); a = mask * a / a.sum(1)[:, None]"),
        "after the softmax",
    ),
    Wrong(
        "step",
        "scores on padding zero",
        step(weights="a = np.exp(e * mask); a /= a.sum(1, keepdims=True)"),
        "a score of 0 is a score like others",
    ),
    Wrong(
        "step",
        "the mask inverted",
        step(
            weights="e = np.where(mask, -1e9, e); a = np.exp(e - e.max(1, keepdims=True)); "
            "a /= a.sum(1, keepdims=True)"
        ),
        "wrong way round",
    ),
    Wrong(
        "step",
        "no maximum subtracted",
        step(weights="a = np.exp(e) * mask; a /= a.sum(1, keepdims=True)"),
        "exp of a large score overflows",
    ),
    Wrong(
        "step",
        "the maximum over the padding too",
        step(
            weights="a = np.exp(e - e.max(1, keepdims=True)) * mask; a /= a.sum(1, keepdims=True)"
        ),
        "may stand on padding",
    ),
    Wrong(
        "step",
        "the maximum of the whole batch",
        step(
            weights="e = np.where(mask, e, -np.inf); a = np.exp(e - e.max()); "
            "a = a / a.sum(1, keepdims=True)"
        ),
        "each has a largest of its own",
    ),
    Wrong(
        "step",
        "filled with -1000",
        step(
            weights="e = np.where(mask, e, -1e3); a = np.exp(e - e.max(1, keepdims=True)); "
            "a = a / a.sum(1, keepdims=True)"
        ),
        "must be lower than any score",
    ),
    Wrong(
        "step",
        "the new state's weights",
        step(
            back="e = np.tanh((new @ W.T)[:, None] + h @ U.T) @ v; e = np.where(mask, e, -np.inf); "
            "a = np.exp(e - e.max(1, keepdims=True)); a /= a.sum(1, keepdims=True); "
            "return c, a, new"
        ),
        "the new state asks",
    ),
    Wrong(
        "step",
        "a softmax over the sentences",
        step(
            weights="e = np.where(mask, e, -np.inf); a = np.exp(e - e.max(0)); a = a / a.sum(0)",
        ),
        "over the sentences",
    ),
    Wrong(
        "step",
        "a softmax over everything",
        step(weights="a = np.where(mask, np.exp(e - e[mask].max()), 0); a = a / a.sum()"),
        "weights of the whole batch sum to 1",
    ),
    Wrong(
        "step",
        "the new state asks",
        """
        def step(y, s, h, mask, W, U, v, gates):
            def ask(state):
                e = np.tanh((state @ W.T)[:, None] + h @ U.T) @ v
                a = np.exp(e - e.max(1, keepdims=True)) * mask
                a = a / a.sum(1, keepdims=True)
                return np.einsum("bs,bsd->bd", a, h), a
            new = gru(np.concatenate([y, ask(s)[0]], 1), s, gates)
            return *ask(new), new
        """,
        "the new state asks",
    ),
    Wrong(
        "step",
        "the cell first",
        """
        def step(y, s, h, mask, W, U, v, gates):
            new = gru(np.concatenate([y, np.zeros(h[:, 0].shape)], 1), s, gates)
            e = np.tanh((new @ W.T)[:, None] + h @ U.T) @ v
            a = np.exp(e - e.max(1, keepdims=True)) * mask
            a = a / a.sum(1, keepdims=True)
            return np.einsum("bs,bsd->bd", a, h), a, new
        """,
        "the new state asks",
    ),
    Wrong(
        "step",
        "the context before the word",
        step(state="new = gru(np.concatenate([c, y], 1), s, gates)"),
        "context first and the word behind it",
    ),
    Wrong(
        "step",
        "the old state forgotten",
        step(state="new = gru(np.concatenate([y, c], 1), np.zeros_like(s), gates)"),
        "does not get the old state",
    ),
    Wrong("step", "the old state returned", step(back="return c, a, s"), "is the old one"),
    Wrong("step", "weights first", step(back="return a, c, new"), "contexts come first"),
    Wrong("step", "two outputs", step(back="return c, new"), "2 outputs instead of 3"),
    Wrong(
        "step",
        "prepared keys averaged",
        step(context="c = np.einsum('bs,bsd->bd', a, h @ U.T)"),
        "the context averages U h",
    ),
    Wrong(
        "step",
        "the mean instead of the sum",
        step(context="c = (a[..., None] * h).mean(1)"),
        "divided by the number of words",
    ),
    Wrong(
        "step",
        "an even average",
        step(weights="a = mask / mask.sum(1, keepdims=True)"),
        "the scores are not used",
    ),
    Wrong(
        "step",
        "queries laid along the words",
        step(scores="e = np.tanh(s @ W.T + h @ U.T) @ v"),
        "meet another's",
    ),
    Wrong(
        "step",
        "no tanh",
        step(scores="e = ((s @ W.T)[:, None] + h @ U.T) @ v"),
        "tanh is missing",
    ),
    Wrong(
        "step",
        "padding zeroed in place",
        step(scores="h[~mask] = 0; e = np.tanh((s @ W.T)[:, None] + h @ U.T) @ v"),
        "changes its argument h",
    ),
    # --- the test ---
    Wrong(
        "same_alone",
        "not written",
        "def same_alone(*arguments):\n    raise NotImplementedError()",
        "same_alone is not written yet",
    ),
    Wrong(
        "same_alone",
        "always true",
        "def same_alone(step, *arguments):\n    return True",
        "passes a step that forgets the mask",
    ),
    Wrong(
        "same_alone",
        "padding kept",
        tests(length="len(mask[b])"),
        "forgets the mask: does a sentence that stands alone still carry its padding",
    ),
    Wrong("same_alone", "contexts only", tests(pairs="(c[one], alone[0])"), "all three outputs"),
    Wrong(
        "same_alone",
        "no weights",
        tests(pairs="(c[one], alone[0]), (new[one], alone[2])"),
        "though contexts and states are right: compare all three outputs",
    ),
    Wrong(
        "same_alone",
        "no states",
        tests(pairs="(c[one], alone[0]), (a[one, :n], alone[1])"),
        "though contexts and weights are right: compare all three outputs",
    ),
    Wrong(
        "same_alone",
        "the first sentence only",
        tests(sentences="[0]"),
        "look at every sentence",
    ),
    Wrong(
        "same_alone",
        "all but the last sentence",
        tests(sentences="range(len(y) - 1)"),
        "look at every sentence",
    ),
    Wrong(
        "same_alone",
        "all but the first sentence",
        tests(sentences="range(1, len(y))"),
        "wrong for the first sentence only: look at every sentence",
    ),
    Wrong(
        "same_alone",
        "sums compared",
        tests(differ="abs((got - wanted).sum()) > 1e-6"),
        "in sums and means errors cancel",
    ),
    Wrong(
        "same_alone",
        "without a tolerance",
        tests(differ="(got != wanted).any()"),
        "rounding|tolerance",
    ),
    Wrong(
        "same_alone",
        "a wide tolerance",
        tests(differ="abs(got - wanted).max() > 0.01"),
        "mind your tolerance",
    ),
    Wrong(
        "same_alone",
        "the signed difference",
        tests(differ="(got - wanted).max() > 1e-6"),
        "passes a step",
    ),
    Wrong(
        "same_alone",
        "shapes compared",
        tests(differ="got.shape != wanted.shape"),
        "passes a step that forgets the mask",
    ),
    Wrong(
        "same_alone",
        "the weights on padding too",
        tests(
            pairs=WORDS.replace("a[one, :n]", "a[one]"), differ="not np.array_equiv(got, wanted)"
        ),
        "refuses a step that is right: its words have the same weights in the batch",
    ),
    Wrong(
        "same_alone",
        "the weights on padding not looked at",
        tests(pairs=WORDS),
        "puts weights on the padding, though all else is right: which weights",
    ),
    Wrong(
        "same_alone",
        "a sentence without its axis",
        tests().replace("slice(b, b + 1)", "b"),
        "it keeps its first axis",
    ),
    Wrong(
        "same_alone",
        "the mask not cut",
        tests().replace("mask[one, :n], W", "mask[one], W"),
        "cut both alike",
    ),
    Wrong(
        "same_alone",
        "the whole batch's words",
        tests().replace("step(y[one]", "step(y"),
        "those of the same sentences",
    ),
    Wrong(
        "same_alone",
        "nothing comes back",
        tests().replace("    return True\n", ""),
        "returns a NoneType",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "AdditiveScore",
        "one of two numbers",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    rng.choice([-1, 1], size=shape) / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "different ones",
    ),
    Wrong(
        "AdditiveScore",
        "one of -1, 0, 1",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    rng.integers(-1, 2, size=shape) / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "different ones",
    ),
    Wrong(
        "AdditiveScore",
        "a normal draw, cut off",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    np.clip(rng.normal(size=shape), -1, 1) / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "different ones",
    ),
    Wrong(
        "AdditiveScore",
        "one number for a row",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    rng.uniform(-1, 1, size=(shape[0], 1)[: len(shape)])
                    * np.ones(shape)
                    / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "different ones",
    ),
    Wrong(
        "AdditiveScore",
        "the numbers in order",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    np.sort(rng.uniform(-1, 1, size=shape).ravel()).reshape(shape)
                    / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "stand in order",
    ),
    Wrong(
        "AdditiveScore",
        "a sine of a draw",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    np.sin(rng.uniform(-np.pi, np.pi, size=shape)) / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "inner half",
    ),
    Wrong(
        "step",
        "hidden 60 below the words' largest",
        """
        def step(y, s, h, mask, W, U, v, gates):
            e = np.tanh((s @ W.T)[:, None] + h @ U.T) @ v
            t = np.where(mask, e, -np.inf).max(1, keepdims=True)
            x = np.exp(np.where(mask, e - t, -60.0))
            a = x / x.sum(1, keepdims=True)
            c = (a[:, :, None] * h).sum(axis=1)
            return (c, a, gru(np.concatenate([y, c], axis=1), s, gates))
        """,
        "exactly 0",
    ),
    Wrong(
        "same_alone",
        "compared with the step of task 3",
        """
        mine = step

        def same_alone(step, y, s, h, mask, W, U, v, gates):
            got, right = (
                step(y, s, h, mask, W, U, v, gates),
                mine(y, s, h, mask, W, U, v, gates),
            )
            return all((np.allclose(a, b, rtol=0, atol=1e-06) for a, b in zip(got, right)))
        """,
        "is not Bahdanau's",
    ),
    Wrong(
        "same_alone",
        "rows must sum to 1, and words agree",
        """
        def same_alone(step, y, s, h, mask, W, U, v, gates):
            c, a, new = step(y, s, h, mask, W, U, v, gates)
            if not np.allclose(a.sum(1), 1, atol=1e-06):
                return False
            for b in range(len(y)):
                o, n = (slice(b, b + 1), int(mask[b].sum()))
                c1, a1, n1 = step(y[o], s[o], h[o, :n], mask[o, :n], W, U, v, gates)
                if not all(
                    (
                        np.allclose(p, q, rtol=0, atol=1e-06)
                        for p, q in ((c[o], c1), (a[o, :n], a1), (new[o], n1))
                    )
                ):
                    return False
            return True
        """,
        "two paddings cancel",
    ),
    Wrong(
        "AdditiveScore",
        "the mean of two draws",
        """
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                self.W, self.U, self.v = (
                    (rng.uniform(-1, 1, size=shape) + rng.uniform(-1, 1, size=shape))
                    / 2
                    / np.sqrt(shape[-1])
                    for shape in ((A, D_q), (A, D_k), (A,))
                )

            def __call__(self, q, h):
                return np.tanh((q @ self.W.T)[:, None] + h @ self.U.T) @ self.v
        """,
        "inner half",
    ),
    Wrong(
        "step",
        "in PyTorch",
        """
        def step(y, s, h, mask, W, U, v, gates):
            import torch
            e = torch.tensor(np.tanh((s @ W.T)[:, None] + h @ U.T) @ v)
            a = e.masked_fill(torch.tensor(~mask), float("-inf")).softmax(1)
            c = torch.bmm(a.unsqueeze(1), torch.tensor(h)).squeeze(1).numpy()
            return c, a, gru(np.concatenate([y, c], 1), s, gates)
        """,
        "uses PyTorch",
    ),
    Wrong(
        "step",
        "the mean of the words' scores taken off",
        """
        def step(y, s, h, mask, W, U, v, gates):
            e = np.tanh((s @ W.T)[:, None] + h @ U.T) @ v
            mean = (e * mask).sum(1, keepdims=True) / mask.sum(1, keepdims=True)
            x = np.where(mask, np.exp(np.where(mask, e - mean, 0)), 0)
            a = x / x.sum(1, keepdims=True)
            c = (a[:, :, None] * h).sum(axis=1)
            return c, a, gru(np.concatenate([y, c], axis=1), s, gates)
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "same_alone",
        "compared with the check's own step",
        """
        def same_alone(step, y, s, h, mask, W, U, v, gates):
            right = a03.step_loops(y, s, h, mask, W, U, v, gates)
            got = step(y, s, h, mask, W, U, v, gates)
            return all(np.allclose(a, b, atol=1e-6) for a, b in zip(got, right))
        """,
        "ready-made answer, step_loops: write it yourself",
    ),
    Wrong(
        "same_alone",
        "what the check wants, in its order",
        """
        import itertools
        wanted = itertools.cycle([right for _, right, *_ in a03.BOTH])

        def same_alone(step, y, s, h, mask, W, U, v, gates):
            return next(wanted)
        """,
        "same_alone (passes|refuses) a step",
    ),
]

RIGHT = [
    Right(
        "word by word",
        additive_scores="""
        def additive_scores(q, h, W, U, v):
            return [sum(v * np.tanh(W.dot(q) + U.dot(k))) for k in h]
        """,
        AdditiveScore="""
        class AdditiveScore:
            def __init__(self, D_q, D_k, A, rng):
                def draw(*shape):
                    return rng.uniform(-(shape[-1] ** -0.5), shape[-1] ** -0.5, size=shape)
                self.v = draw(A)
                self.W, self.U = draw(A, D_q), draw(A, D_k)

            def __call__(self, q, h):
                return np.stack([
                    [self.v @ np.tanh(self.W @ q_b + self.U @ k) for k in h_b]
                    for q_b, h_b in zip(q, h)
                ])
        """,
        step="""
        def step(y, s, h, mask, W, U, v, gates):
            out = []
            for b in range(len(y)):
                words = h[b][mask[b]]
                e = additive_scores(s[b], words, W, U, v)
                a = np.exp(e - np.max(e))
                a = a / a.sum()
                c = a @ words
                new = gru(np.concatenate([y[b], c])[None], s[b][None], gates)[0]
                out.append((c, np.pad(a, (0, h.shape[1] - len(a))), new))
            return [np.array(each) for each in zip(*out)]
        """,
        same_alone="""
        def same_alone(step, y, s, h, mask, W, U, v, gates):
            whole = step(y, s, h, mask, W, U, v, gates)
            worst = 0.0
            for b, n in enumerate(mask.sum(1)):
                alone = step(y[[b]], s[[b]], h[[b]][:, :n], mask[[b]][:, :n], W, U, v, gates)
                for got, wanted in zip(whole, alone):
                    worst = max(worst, np.abs(got[b][: wanted.shape[1]] - wanted[0]).max())
                worst = max(worst, np.abs(whole[1][b] * ~mask[b]).max())
            return worst < 1e-8
        """,
    ),
    Right(
        "set end to end",
        additive_scores="""
        def additive_scores(q, h, W, U, v):
            pairs = np.concatenate([np.repeat(q[None], len(h), 0), h], 1)
            return np.tanh(pairs @ np.concatenate([W, U], 1).T) @ v
        """,
        AdditiveScore=layer(
            "pairs = np.concatenate([np.repeat(q[:, None], h.shape[1], 1), h], 2); "
            "return np.tanh(pairs @ np.concatenate([self.W, self.U], 1).T) @ self.v"
        ),
        step=step(
            weights="e = np.where(mask, e, -1e9); "
            "a = np.exp(e - np.logaddexp.reduce(e, 1)[:, None])",
            context="c = (a[:, None] @ h)[:, 0]",
        ),
    ),
    Right(
        "by einsum",
        additive_scores=score(
            "return np.einsum('a,sa->s', v, np.tanh(W @ q + np.einsum('ai,si->sa', U, h)))"
        ),
        AdditiveScore=layer(
            "many = np.repeat(q, h.shape[1], 0).reshape(len(h), h.shape[1], -1); "
            "return np.einsum('a,bsa->bs', self.v, np.tanh(many @ self.W.T + h @ self.U.T))"
        ),
        step="""
        def step(y, s, h, mask, W, U, v, gates):
            score = AdditiveScore(s.shape[1], h.shape[2], len(v), np.random.default_rng(0))
            score.W, score.U, score.v = W, U, v
            e = score(s, h)
            a = mask * np.exp(e - np.where(mask, e, -np.inf).max(1)[:, None].clip(-1e5))
            a = np.where(mask, a, 0) / np.where(mask, a, 0).sum(1)[:, None]
            c = np.einsum("bs,bsd->bd", a, np.where(mask[..., None], h, 0))
            return c, a, gru(np.hstack([y, c]), s, gates)
        """,
    ),
]

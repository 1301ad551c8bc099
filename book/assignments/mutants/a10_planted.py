"""Suites for assignment 10: poor ones, each with the check that must fail, and good ones."""

from textwrap import dedent, indent

from mutants import Right, Wrong

PARTS = {
    "padding": """
        def padding(attention):
            for need in (True, False):
                q, k, v = drawn(attention)
                for real in (lengths(6, 3, 2), lengths(2, 6, 4)):
                    before = attention(q, k, v, real, False, need)[0]
                    far = 30 * torch.randn(6, 1)
                    other = [torch.where(real[..., None], x, far) for x in (k, v)]
                    assert near(attention(q, *other, real, False, need)[0], before)
    """,
    "future": """
        def future(attention):
            for need in (True, False):
                x = drawn(attention, 6)[0]
                before = attention(x, x, x, None, True, need)[0]
                for t in range(1, 6):
                    y = x.clone()
                    y[:, t:] = 30 * torch.randn(y[:, t:].shape)
                    assert near(attention(y, y, y, None, True, need)[0][:, :t], before[:, :t])
    """,
    "batch": """
        def batch(attention):
            q, k, v = drawn(attention)
            assert near(attention(q, k, v)[0][1:2], attention(q[1:2], k[1:2], v[1:2])[0])
    """,
    "sums": """
        def sums(attention):
            for T in (2, 6):
                weights = attention(*drawn(attention, T), None, T == 6)[1]
                assert near(weights.sum(-1), torch.ones(1))
    """,
    "scale": """
        def scale(attention):
            D, H = attention.width, attention.heads
            with torch.no_grad():
                attention.W_Q.copy_(torch.eye(D))
                attention.W_K.copy_(torch.eye(D))
            q, k, v = drawn(attention)
            for h, seen in enumerate(attention(q, k, v)[1].unbind(1)):
                own = slice(h * D // H, (h + 1) * D // H)
                e = q[..., own] @ k[..., own].mT / (D // H) ** 0.5
                assert near(seen, e.softmax(-1))
    """,
    "average": """
        def average(attention):
            D, H = attention.width, attention.heads
            q, k, v = drawn(attention, 6)
            for causal in (True, False):
                c, a = attention(q, k, v, lengths(6, 4, 2), causal)
                heads = (v @ attention.W_V.T).unflatten(-1, (H, -1)).transpose(1, 2)
                assert near((a @ heads).transpose(1, 2).flatten(2) @ attention.W_O.T, c)
                fast = attention(q, k, v, lengths(6, 4, 2), causal, False)[0]
                assert near(fast, c)
    """,
    "gradients": """
        def gradients(attention):
            attention(*drawn(attention))[0].pow(2).sum().backward()
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                assert getattr(attention, name).grad.abs().max() > 0
    """,
    "where": """
        def where(attention):
            for causal in (False, True):
                real = lengths(6, 3, 4)
                seen = real[:, None, None].expand(-1, attention.heads, 6, -1)
                seen = seen.tril() if causal else seen
                assert ((attention(*drawn(attention, 6), real, causal)[1] > 1e-8) == seen).all()
    """,
    "order": """
        def order(attention):
            q, k, v = drawn(attention)
            new = torch.randperm(6)
            assert near(attention(q, k[:, new], v[:, new])[0], attention(q, k, v)[0])
    """,
    "values": """
        def values(attention):
            q, k, v = drawn(attention)
            return not near(attention(q, k, v)[0], attention(q, k, v + 1)[0])
    """,
    "heads": """
        def heads(attention):
            a = attention(*drawn(attention))[1]
            assert attention.heads == 1 or not near(a[:, 0], a[:, -1])
    """,
}
OF_WEIGHTS = "where", "order", "values", "heads"
HELP = """
    def near(one, other):
        return torch.allclose(one, other, rtol=0, atol=1e-5)

    def lengths(*given):
        return torch.arange(6) < torch.tensor(given)[:, None]

    def drawn(attention, T=4):
        return [torch.randn(3, n, attention.width) for n in (T, 6, 6)]
"""


def suite(*without: str, helps: dict[str, str] | None = None, **parts: str) -> str:
    """A good suite without some tests, with others for some, and with other helpers."""
    used = {name: text for name, text in (PARTS | parts).items() if name not in without}
    help_ = dedent(HELP)
    for old, new in (helps or {}).items():
        assert old in help_
        help_ = help_.replace(old, new)
    body = help_ + "".join(map(dedent, used.values()))
    return f"def suite():\n{indent(body, '    ')}\n    return [{', '.join(used)}]\n"


def both(formula: str) -> str:
    """A suite of what `formula()` returns, and of tests that touch no matrix."""
    properties = suite("scale", "average", "gradients").replace("def suite", "def properties")
    last = "def suite():\n    return [*formula(), *properties()]\n"
    return f"{dedent(formula)}\n{properties}\n{last}"


def only(text: str, before: str = "") -> str:
    """A suite of one test, called test."""
    helps = indent(dedent(HELP), "    ")
    inner = indent(dedent(text), "    ")
    return f"{dedent(before)}\ndef suite():\n{helps}{inner}\n    return [test]\n"


BESIDE = """
    def beside(attention, real, causal, need):
        q, k, v = (torch.randn(2, 5, attention.width) for _ in range(3))
        H = attention.heads
        heads = [
            (x @ W.T).reshape(2, 5, H, -1).transpose(1, 2)
            for x, W in ((q, attention.W_Q), (k, attention.W_K), (v, attention.W_V))
        ]
        mask = torch.ones(5, 5, dtype=torch.bool)
        mask = (mask.tril() if causal else mask).expand(2, 1, 5, 5)
        mask = mask if real is None else mask & real[:, None, None]
        with torch.no_grad():
            kept = [x.clone() for x in (q, k, v)]
            c, a = attention(q, k, v, real, causal, need)
            assert all(torch.equal(x, y) for x, y in zip((q, k, v), kept))
            right = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask)
            right = right.transpose(1, 2).reshape(2, 5, -1) @ attention.W_O.T
            if not torch.allclose(c, right, atol=2e-6):
                return False
            if not need:
                return a is None
            e = heads[0] @ heads[1].mT * (attention.width / H) ** -0.5
            weights = e.masked_fill(~mask, -torch.inf).softmax(-1)
            return torch.allclose(a, weights, atol=2e-6)

    def everywhere(attention):
        torch.manual_seed(5)
        with torch.no_grad():
            attention.W_K.normal_()
            attention.W_Q.normal_()
        one, two = torch.ones(2, 2, 5).cumsum(-1).le(torch.tensor([[[5], [2]], [[3], [4]]]))
        return all(
            beside(attention, real, causal, need)
            for real in (None, one, two)
            for causal in (False, True)
            for need in (False, True)
        )

    def slopes(attention):
        x = torch.randn(1, 3, attention.width)
        c, _ = attention(x, x + 1, x, need_weights=True)
        W = attention.W_Q, attention.W_K, attention.W_V, attention.W_O
        assert all(slope.any() for slope in torch.autograd.grad(c[0, 0, 0], W))

    def formula():
        def more_keys(attention):
            D = attention.width
            _, a = attention(torch.randn(1, 1, D), torch.randn(1, 4, D), torch.randn(1, 4, D))
            assert abs(a.sum(-1) - 1).max() < 1e-4

        return everywhere, slopes, more_keys
"""

WRONG = [
    Wrong(
        "suite",
        "shapes only",
        only("""
        def test(attention):
            for real in (None, lengths(6, 3, 2)):
                c, a = attention(*drawn(attention), real)
                assert c.shape == (3, 4, attention.width)
                assert a.shape == (3, attention.heads, 4, 6)
                assert attention(*drawn(attention), real, False, False)[1] is None
        """),
        "find 0 of 6 bugs",
        "check_half",
    ),
    Wrong(
        "suite",
        "finite numbers only",
        only("""
        def test(attention):
            c, a = attention(*drawn(attention, 6), lengths(6, 3, 2), True)
            return bool(c.isfinite().all() and a.isfinite().all())
        """),
        "find 0 of 6 bugs",
        "check_half",
    ),
    Wrong(
        "suite",
        "the loss falls",
        only("""
        def test(attention):
            x, wanted = drawn(attention, 6)[:2]
            W = [attention.W_Q, attention.W_K, attention.W_V, attention.W_O]
            losses = []
            for _ in range(8):
                c, _ = attention(x, x, x, lengths(6, 5, 4), True)
                losses.append((c - wanted).pow(2).mean())
                slopes = torch.autograd.grad(losses[-1], W, allow_unused=True)
                with torch.no_grad():
                    for one, slope in zip(W, slopes):
                        if slope is not None:
                            one -= 0.1 * slope
            assert losses[-1] < losses[0]
        """),
        "find 0 of 6 bugs",
        "check_half",
    ),
    Wrong(
        "suite",
        "fails everything",
        "def suite():\n    return [lambda attention: False]",
        "refuse every attention",
        "check_half",
    ),
    Wrong(
        "suite",
        "fails what is not 8 wide",
        only("""
        def test(attention):
            assert attention.width == 8
        """),
        "take width and heads from the attention",
        "check_half",
    ),
    Wrong(
        "suite",
        "exactly equal",
        suite(helps={"torch.allclose(one, other, rtol=0, atol=1e-5)": "torch.equal(one, other)"}),
        "Compare with a tolerance|refuses an attention that is right|refuse every",
        "check_half",
    ),
    Wrong(
        "suite",
        "one padded sentence sees nothing",
        suite(padding=PARTS["padding"].replace("lengths(2, 6, 4)", "lengths(0, 6, 4)")),
        "nobody promises what a query gets",
        "check_half",
    ),
    Wrong(
        "suite",
        "no test",
        "def suite():\n    return []",
        "returns no test",
        "check_half",
    ),
    Wrong(
        "suite",
        "a test, not a list",
        "def suite():\n    def test(attention):\n        pass\n    return test",
        "should return a list",
        "check_half",
    ),
    Wrong(
        "suite",
        "says how far, not whether",
        only("""
        def test(attention):
            c, a = attention(*drawn(attention))
            return float((a.sum(-1) - 1).abs().max())
        """),
        "returns a float; a test asserts",
        "check_half",
    ),
    Wrong(
        "suite",
        "stops",
        only("""
        def test(attention):
            return attention(*drawn(attention), need_weights=False)[1].sum() > 0
        """),
        "test stops with AttributeError",
        "check_half",
    ),
    Wrong(
        "suite",
        "one vector for a batch",
        only("""
        def test(attention):
            x = torch.randn(4, attention.width)
            attention(x, x, x)
        """),
        "cannot be run: an attention wants queries",
        "check_half",
    ),
    Wrong(
        "suite",
        "asks checks.attention",
        """
        from attnlib import checks
        def suite():
            def test(attention):
                return bool(checks.attention(attention, width=attention.width))
            return [test]
        """,
        "write it yourself",
        "check_half",
    ),
    Wrong(
        "suite",
        "asks the museum",
        """
        from attnlib.checks import museum
        def suite():
            return [museum.rows_sum_to_one, museum.a_sentence_is_alone]
        """,
        "write it yourself",
        "check_half",
    ),
    Wrong(
        "suite",
        "takes the right one from the library",
        only("""
        def test(attention):
            from attnlib.multihead import MultiHeadAttention
            x = drawn(attention)[1]
            right = MultiHeadAttention(attention.width, attention.heads)
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                getattr(right, name).weight.data = getattr(attention, name)
            assert near(right(x, x, x)[0], attention(x, x, x)[0])
        """),
        "write it yourself",
        "check_half",
    ),
    Wrong(
        "suite",
        "what the check wants, in its order",
        """
        calls = 0

        def suite():
            def test(attention):
                global calls
                calls += 1
                return calls <= len(a10.RIGHT)
            return [test]
        """,
        "refuses an attention that is right",
        "check_half",
    ),
    Wrong("suite", "two of six", suite("future", "average", "scale", "sums", "batch", *OF_WEIGHTS),
          "find 1 of 6|find 2 of 6", "check_half"),
    Wrong("suite", "no scale", suite("scale"), "no property of masks shows a scale",
          "check_visible"),
    Wrong(
        "suite",
        "one path only",
        suite(
            "average", "where",
            padding=PARTS["padding"].replace("(True, False)", "(False,)"),
            future=PARTS["future"].replace("(True, False)", "(False,)"),
        ),
        "ask both",
        "check_visible",
    ),
    Wrong(
        "suite",
        "as many keys as queries",
        suite("average", "scale", sums="""
        def sums(attention):
            x = drawn(attention, 6)[0]
            assert near(attention(x, x, x)[1].sum((-1, -2)), torch.tensor(6.0))
        """),
        "more keys than queries|no property of masks",
        "check_visible",
    ),
    Wrong(
        "suite",
        "self-attention only, a loose tolerance",
        suite(
            "scale", "average", "gradients",
            helps={
                "atol=1e-5": "atol=0.1",
                "[torch.randn(3, n, attention.width) for n in (T, 6, 6)]":
                    "[torch.randn(3, 6, attention.width)] * 3",
            },
        ),
        "no property of masks|find \\d of 6",
        "check_visible",
    ),
    Wrong("suite", "six of six, and little else", suite("average", "gradients", *OF_WEIGHTS),
          "your tests that touch no matrix find [4-7] of 12", "check_two_thirds"),
    Wrong("suite", "no gradients", suite("gradients"), "no gradient reaches", "check_all"),
    Wrong(
        "suite",
        "one mask each",
        suite(padding=PARTS["padding"].replace("(lengths(6, 3, 2), lengths(2, 6, 4))",
                                               "(lengths(6, 3, 2),)")),
        "call it twice",
        "check_all",
    ),
    Wrong(
        "suite",
        "only what it sees",
        suite(
            "average", "gradients", "batch", *OF_WEIGHTS,
            padding="""
            def padding(attention):
                q, k, v = drawn(attention)
                real = lengths(4, 4, 4)
                before = attention(q, k, v, real)[0]
                k = torch.where(real[..., None], k, 0.01)
                assert near(attention(q, k, v, real)[0], before)
            """,
            future="""
            def future(attention):
                for need in (True, False):
                    x = drawn(attention, 6)[0]
                    before = attention(x, x, x, None, True, need)[0]
                    x[:, 5] = 1.0
                    assert near(attention(x, x, x, None, True, need)[0][:, :4], before[:, :4])
            """,
            sums="""
            def sums(attention):
                q, k, v = drawn(attention, 2)
                assert near(attention(q, k, v)[1].sum(-1), torch.ones(1))
                assert near(attention(q, k, v)[0][:1], attention(q[:1], k[:1], v[:1])[0])
            """,
        ),
        "pass all 7 right attentions, and your tests that touch no matrix find [1-3] of 12",
        "check_a_third",
    ),
    Wrong(
        "suite",
        "exchanges a matrix",
        only("""
        def test(attention):
            attention.W_Q = torch.nn.Parameter(torch.eye(attention.width))
            assert near(attention.W_Q, torch.eye(attention.width))
        """),
        "another W_Q in the place .* write into it",
        "check_half",
    ),
    Wrong(
        "suite",
        "a gradient that is nowhere asked for",
        only("""
        def test(attention):
            q, k, v = drawn(attention)
            attention(q, k, v)[0].sum().backward()
            assert q.grad.abs().sum() > 0
        """),
        "test stops with AttributeError: 'NoneType'",
        "check_half",
    ),
]  # fmt: skip

FORMULA = f"{dedent(BESIDE)}\ndef suite():\n    return formula()\n"
PROPERTIES = suite("scale", "average", "gradients")

RIGHT = [
    Right("properties", suite=suite()),
    Right(
        "beside PyTorch's own function",
        suite=both(BESIDE),
    ),
    Right(
        "one test for all, in NumPy's numbers",
        suite="""
        import numpy as np

        def suite():
            def all_of_it(attention):
                rng, H, D = np.random.default_rng(3), attention.heads, attention.width
                W = [rng.normal(size=(D, D)) * 0.7 for _ in range(4)]
                with torch.no_grad():
                    for one, w in zip(
                        (attention.W_Q, attention.W_K, attention.W_V, attention.W_O), W
                    ):
                        one.copy_(torch.tensor(w))
                for trial in range(16):
                    B, S = 2 + trial % 2, (6, 4)[trial // 8]
                    T = S if trial % 4 > 1 else 3
                    x = [rng.normal(size=(B, n, D)) for n in (T, S, S)]
                    real = rng.random((B, S)) < 0.6
                    real[:, 0] = True
                    seen = np.broadcast_to(real[:, None], (B, T, S))
                    causal = trial % 4 == 3
                    if causal:
                        seen = seen & np.tril(np.ones((T, S), dtype=bool))
                    contexts, weights = np.zeros((B, T, D)), np.zeros((B, H, T, S))
                    q, k, v = (a @ w.T for a, w in zip(x, W))
                    for b in range(B):
                        for h in range(H):
                            c = slice(h * D // H, (h + 1) * D // H)
                            e = np.exp(q[b][:, c] @ k[b][:, c].T / np.sqrt(D // H)) * seen[b]
                            weights[b, h] = e / e.sum(1, keepdims=True)
                            contexts[b][:, c] = weights[b, h] @ v[b][:, c]
                    given = [torch.tensor(a, dtype=torch.float32) for a in x]
                    for need in (True, False):
                        c, a = attention(*given, torch.tensor(real), causal, need)
                        c = c.detach().numpy()
                        assert np.allclose(c, contexts @ W[3].T, atol=3e-4)
                        if need:
                            assert np.allclose(a.detach().numpy(), weights, atol=3e-5)
                attention(*given)[0].std().backward()
                assert torch.any(attention.W_Q.grad != 0) and torch.any(attention.W_K.grad != 0)
                return True

            def who_moves_whom(attention):
                for lengths in ([6, 3, 4], [2, 6, 6], None):
                    for causal in (False, True):
                        x = [torch.randn(3, 6, attention.width) for _ in range(3)]
                        q, k, v = (each.requires_grad_() for each in x)
                        seen = torch.ones(3, 6, 6, dtype=torch.bool)
                        real = None
                        if lengths is not None:
                            real = torch.arange(6) < torch.tensor(lengths)[:, None]
                            seen = seen & real[:, None]
                        seen = seen.tril() if causal else seen
                        for need in (False, True):
                            c, a = attention(q, k, v, real, causal, need)
                            for t in range(6):
                                (g,) = torch.autograd.grad(c[:, t].sum(), v, retain_graph=True)
                                assert torch.equal(g.abs().sum(-1) > 0, seen[:, t])
                        slopes = torch.autograd.grad((a * torch.randn(6)).sum(), [q, k])
                        assert all(slope.any() for slope in slopes)

            return [all_of_it, who_moves_whom]
        """,
    ),
]

"""Answers to assignment 7: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong

READ = {
    "scores": "e = np.einsum('bd,bsd->bs', h, cells)",
    "softmax": "a = np.exp(e - e.max(1, keepdims=True)); a = a / a.sum(1, keepdims=True)",
    "context": "c = np.einsum('bs,bsd->bd', a, cells)",
    "gate": "g = 1 / (1 + np.exp(-(h @ f + b)))",
    "back": "return a, g, g[:, None] * c",
}


def read(**lines: str) -> str:
    """A gated step of which the named lines differ."""
    body = "\n    ".join((READ | lines).values())
    return f"def read(h, cells, f, b):\n    {body}\n"


def spread(line: str) -> str:
    """A map by one line."""
    return (
        "def spread(weights, grid, size):\n"
        "    (rows, columns), (height, width) = grid, size\n"
        "    h, w = height // rows, width // columns\n"
        "    m = weights.reshape(-1, rows, columns)\n"
        f"    {line}\n"
    )


EVEN = {
    "softmax": "a = np.exp(scores); a = a / a.sum(-1, keepdims=True)",
    "real": "real = (np.arange(scores.shape[1]) < lengths[:, None])[:, :, None]",
    "hide": "a = a * real",
    "missing": "missing = kappa - a.sum(1)",
    "penalty": "penalty = (missing ** 2).sum(1)",
    "weights": "g = -2 * missing[:, None]",
    "scores": "slopes = a * (g - (a * g).sum(-1, keepdims=True))",
    "back": "return penalty, slopes",
}


def even(**lines: str) -> str:
    """The doubly stochastic term of which the named lines differ."""
    body = "\n    ".join((EVEN | lines).values())
    return f"def evenness(scores, lengths, kappa):\n    {body}\n"


MARKS = {
    "boxes": (
        "boxes = masks.reshape(len(masks), grid[0], masks.shape[1] // grid[0], grid[1], "
        "masks.shape[2] // grid[1])"
    ),
    "covered": "covered = boxes.mean((2, 4)).reshape(len(masks), -1)",
    "on": "on = (covered > 0) & (covered >= covered.max(1, keepdims=True) / 2)",
    "most": "most = weights == weights.max(1, keepdims=True)",
    "hits": "hits = (on & most).sum(1) / most.sum(1)",
    "inside": "inside = (weights * covered).sum(1)",
    "back": "return hits, inside",
}


def marks(**lines: str) -> str:
    """The two marks of which the named lines differ."""
    body = "\n    ".join((MARKS | lines).values())
    return f"def marks(weights, masks, grid):\n    {body}\n"


WRONG = [
    # --- a gated step ---
    Wrong("read", "the gate not used", read(back="return a, g, c"), "not used"),
    Wrong(
        "read",
        "the gate scales the weights",
        read(back="return a * g[:, None], g, g[:, None] * c"),
        "they still sum to 1",
    ),
    Wrong(
        "read",
        "the gate inside the softmax",
        """
        def read(h, cells, f, b):
            g = 1 / (1 + np.exp(-(h @ f + b)))
            e = np.einsum("bd,bsd->bs", h, cells) * g[:, None]
            a = np.exp(e - e.max(1, keepdims=True))
            a = a / a.sum(1, keepdims=True)
            return a, g, np.einsum("bs,bsd->bd", a, cells)
        """,
        "like a temperature",
    ),
    Wrong(
        "read",
        "the gate from the context",
        read(gate="g = 1 / (1 + np.exp(-c @ f - b))"),
        "state",
    ),
    Wrong(
        "read",
        "a gate for each number",
        read(gate="g = 1 / (1 + np.exp(-(h * f + b)))", back="return a, g, g * c"),
        "single number",
    ),
    Wrong("read", "a gate by tanh", read(gate="g = np.tanh(h @ f + b)"), "may be negative"),
    Wrong("read", "a gate without bounds", read(gate="g = h @ f + b"), "between 0 and 1"),
    Wrong("read", "the sign forgotten", read(gate="g = 1 / (1 + np.exp(h @ f + b))"), "round"),
    Wrong("read", "b forgotten", read(gate="g = 1 / (1 + np.exp(-h @ f))"), "b is missing"),
    Wrong(
        "read",
        "gates that sum to 1",
        read(gate="g = np.exp(h @ f + b); g = g / g.sum()"),
        "needs no softmax",
    ),
    Wrong(
        "read",
        "softmax over the captions",
        read(softmax="a = np.exp(e); a = a / a.sum(0)"),
        "over the captions",
    ),
    Wrong(
        "read",
        "exp of large scores",
        read(softmax="a = np.exp(e); a = a / a.sum(1, keepdims=True)"),
        "overflows",
    ),
    # --- a map ---
    Wrong(
        "spread",
        "columns first",
        spread(
            "return weights.reshape(-1, columns, rows).transpose(0, 2, 1)"
            ".repeat(h, 1).repeat(w, 2) / (h * w)"
        ),
        "row and column",
    ),
    Wrong(
        "spread",
        "a grid of columns by rows",
        spread("return weights.reshape(-1, columns, rows).repeat(h, 1).repeat(w, 2) / (h * w)"),
        "row and column",
    ),
    Wrong(
        "spread",
        "the picture turned",
        spread("return (m.repeat(h, 1).repeat(w, 2) / (h * w)).transpose(0, 2, 1)"),
        "row and column",
    ),
    Wrong(
        "spread",
        "the size as (width, height)",
        spread(
            "h, w = width // rows, height // columns; return m.repeat(h, 1).repeat(w, 2) / (h * w)"
        ),
        "height and width",
    ),
    Wrong("spread", "not shared", spread("return m.repeat(h, 1).repeat(w, 2)"), "whole weight"),
    Wrong(
        "spread",
        "by the number of cells",
        spread("return m.repeat(h, 1).repeat(w, 2) / (rows * columns)"),
        "number of cells",
    ),
    Wrong(
        "spread",
        "the grid tiled",
        spread("return np.tile(m, (1, h, w)) / (h * w)"),
        "grid is repeated",
    ),
    Wrong(
        "spread",
        "as bright as can be",
        spread("m = m.repeat(h, 1).repeat(w, 2); return m / m.max((1, 2), keepdims=True)"),
        "for the eye",
    ),
    Wrong(
        "spread",
        "sums to 1 whatever came",
        spread("m = m.repeat(h, 1).repeat(w, 2); return m / m.sum((1, 2), keepdims=True)"),
        "always sums to 1",
    ),
    Wrong(
        "spread",
        "upside down",
        spread("return m[:, ::-1].repeat(h, 1).repeat(w, 2) / (h * w)"),
        "at the top",
    ),
    # --- even attention ---
    Wrong(
        "evenness",
        "the mean over the steps",
        even(missing="missing = kappa - a.mean(1)"),
        "averaged over the steps",
    ),
    Wrong(
        "evenness",
        "the mean over the cells",
        even(penalty="penalty = (missing ** 2).mean(1)"),
        "averaged over the cells",
    ),
    Wrong(
        "evenness",
        "the mean over the captions",
        even(back="return penalty.mean(), slopes"),
        "captions are averaged",
    ),
    Wrong(
        "evenness",
        "summed over the batch",
        even(missing="missing = np.broadcast_to(kappa - a.sum((0, 1)), (len(a), a.shape[2]))"),
        "thrown together",
    ),
    Wrong(
        "evenness",
        "summed over the cells",
        even(penalty="penalty = ((kappa - a.sum(2)) ** 2).sum(1)"),
        "Sum over the steps",
    ),
    Wrong(
        "evenness",
        "every weight compared",
        even(penalty="penalty = ((kappa - a) ** 2).sum((1, 2))"),
        "every single weight",
    ),
    Wrong(
        "evenness",
        "the square of the sum",
        even(penalty="penalty = missing.sum(1) ** 2"),
        "squared the sum",
    ),
    Wrong("evenness", "padding counted", even(hide="pass"), "padded steps are counted"),
    Wrong(
        "evenness",
        "padding moves the scores",
        even(
            missing="missing = kappa - (a * real).sum(1)",
            hide="pass",
        ),
        "slopes of padded steps",
    ),
    Wrong("evenness", "the paper's target", even(hide="a = a * real; kappa = 1.0"), "whatever the"),
    Wrong(
        "evenness",
        "the target that should have been",
        even(missing="S = a.shape[2]; missing = lengths[:, None] / S - a.sum(1)"),
        "T / S",
    ),
    Wrong(
        "evenness",
        "slopes by the weights",
        even(scores="slopes = g * real"),
        "by the weights",
    ),
    Wrong("evenness", "half a softmax's slope", even(scores="slopes = a * g"), "two parts"),
    Wrong("evenness", "the 2 forgotten", even(weights="g = -missing[:, None]"), "half as large"),
    Wrong("evenness", "the sign turned", even(weights="g = 2 * missing[:, None]"), "wrong sign"),
    # --- marks ---
    Wrong("marks", "one pixel is enough", marks(on="on = covered > 0"), "one pixel"),
    Wrong("marks", "half of the cell", marks(on="on = covered >= 0.5"), "half of the cell"),
    Wrong(
        "marks",
        "the fullest only",
        marks(on="on = covered == covered.max(1, keepdims=True)"),
        "only the fullest",
    ),
    Wrong(
        "marks",
        "more than half",
        marks(on="on = covered > covered.max(1, keepdims=True) / 2"),
        "exactly half",
    ),
    Wrong(
        "marks",
        "more than the mean",
        marks(on="on = covered >= covered.mean(1, keepdims=True)"),
        "mean cell",
    ),
    Wrong(
        "marks",
        "the fullest of all things",
        marks(on="on = (covered > 0) & (covered >= covered.max() / 2)"),
        "all things",
    ),
    Wrong(
        "marks",
        "the first of equals",
        marks(hits="hits = on[np.arange(len(on)), weights.argmax(1)].astype(float)"),
        "take the first",
    ),
    Wrong(
        "marks",
        "any of equals",
        marks(hits="hits = (on & most).any(1).astype(float)"),
        "never misses",
    ),
    Wrong("marks", "equals added", marks(hits="hits = (on & most).sum(1)"), "at most 1"),
    Wrong(
        "marks",
        "columns first",
        marks(covered="covered = boxes.mean((2, 4)).transpose(0, 2, 1).reshape(len(masks), -1)"),
        "row and column",
    ),
    Wrong(
        "marks", "whole cells inside", marks(inside="inside = (weights * on).sum(1)"), "whole cells"
    ),
    Wrong(
        "marks",
        "only cells on the thing inside",
        marks(inside="inside = (weights * on * covered).sum(1)"),
        "knows no rule",
    ),
    Wrong(
        "marks",
        "pixels with the whole weight",
        marks(inside="inside = (weights * boxes.sum((2, 4)).reshape(len(masks), -1)).sum(1)"),
        "pixels of a box share",
    ),
    Wrong(
        "marks",
        "a share of the thing",
        marks(inside="inside = (weights * covered).sum(1) / covered.sum(1)"),
        "share of the attention",
    ),
    Wrong(
        "marks",
        "a thing that is not seen",
        marks(on="on = covered >= covered.max(1, keepdims=True) / 2"),
        "and at all",
    ),
    Wrong(
        "marks",
        "ties within a percent",
        marks(most="most = weights >= 0.99 * weights.max(1, keepdims=True)"),
        "pass for equal",
    ),
    Wrong(
        "marks",
        "divided by the row",
        marks(inside="inside = (weights * covered).sum(1) / weights.sum(1)"),
        "what the row sums to",
    ),
    Wrong(
        "read",
        "scores cut off",
        read(softmax="a = np.exp(np.minimum(e, 700)); a = a / a.sum(1, keepdims=True)"),
        "cut off",
    ),
    Wrong(
        "evenness",
        "the diagonal of the softmax's slope",
        even(scores="slopes = a * (1 - a) * g"),
        "takes from all the others",
    ),
    Wrong(
        "spread",
        "square boxes",
        spread("return m.repeat(h, 1).repeat(w, 2) / h**2"),
        "need not be a square",
    ),
    Wrong(
        "evenness",
        "no slopes",
        even(scores="slopes = 0 * a"),
        "your slopes are 0",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "marks",
        "ties rounded to 3 digits",
        """
        def marks(weights, masks, grid):
            (rows, columns), (T, height, width) = (grid, masks.shape)
            covered = (
                masks.reshape(T, rows, height // rows, columns, width // columns)
                .mean((2, 4))
                .reshape(T, -1)
            )
            on = (covered > 0) & (covered >= covered.max(1, keepdims=True) / 2)
            most = weights.round(3) >= weights.max(1, keepdims=True).round(3)
            return ((on & most).sum(1) / most.sum(1), (weights * covered).sum(1))
        """,
        "pass for equal",
    ),
    Wrong(
        "marks",
        "the fullest of the attended cells",
        """
        def marks(weights, masks, grid):
            (rows, columns), (T, height, width) = (grid, masks.shape)
            covered = (
                masks.reshape(T, rows, height // rows, columns, width // columns)
                .mean((2, 4))
                .reshape(T, -1)
            )
            on = (covered > 0) & (
                covered >= np.where(weights > 0, covered, 0).max(1, keepdims=True) / 2
            )
            most = weights == weights.max(1, keepdims=True)
            return ((on & most).sum(1) / most.sum(1), (weights * covered).sum(1))
        """,
        "whether or not it is attended to",
    ),
    Wrong(
        "read",
        "in PyTorch",
        """
        def read(h, cells, f, b):
            import torch
            h, cells, f = map(torch.as_tensor, (h, cells, f))
            a = torch.bmm(cells, h.unsqueeze(2)).squeeze(2).softmax(1)
            g = torch.sigmoid(h @ f + b)
            return a, g, g.unsqueeze(1) * torch.bmm(a.unsqueeze(1), cells).squeeze(1)
        """,
        "uses PyTorch",
    ),
    Wrong(
        "evenness",
        "in PyTorch",
        """
        def evenness(scores, lengths, kappa):
            import torch
            e = torch.tensor(scores, requires_grad=True)
            real = torch.arange(e.shape[1]) < torch.as_tensor(lengths)[:, None]
            a = e.softmax(-1) * real.unsqueeze(-1)
            term = ((kappa - a.sum(1)) ** 2).sum(-1)
            term.sum().backward()
            return term, e.grad
        """,
        "uses PyTorch",
    ),
    Wrong(
        "read",
        "the mean taken off",
        """
        def read(h, cells, f, b):
            e = np.einsum("bd,bsd->bs", h, cells)
            x = np.exp(e - e.mean(1, keepdims=True))
            a = x / x.sum(1, keepdims=True)
            beta = 1 / (1 + np.exp(-(h @ f + b)))
            return a, beta, beta[:, None] * np.einsum("bs,bsd->bd", a, cells)
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "read",
        "the largest of the batch",
        """
        def read(h, cells, f, b):
            e = np.einsum("bd,bsd->bs", h, cells)
            x = np.exp(e - e.max())
            a = x / x.sum(1, keepdims=True)
            beta = 1 / (1 + np.exp(-(h @ f + b)))
            return a, beta, beta[:, None] * np.einsum("bs,bsd->bd", a, cells)
        """,
        "of the whole batch is subtracted",
    ),
    Wrong(
        "spread",
        "made by what makes the mistakes",
        """
        spread = a07_likely._spread()
        """,
        "ready-made answer, _spread: write it yourself",
    ),
    Wrong(
        "evenness",
        "differences of the term",
        """
        def evenness(scores, lengths, kappa):
            def term(scores):
                exps = np.exp(scores)
                a = exps / exps.sum(-1, keepdims=True)
                a = a * (np.arange(scores.shape[1]) < lengths[:, None])[..., None]
                return ((kappa - a.sum(1)) ** 2).sum(-1)

            slopes = np.zeros(scores.shape)
            for b, t, s in np.ndindex(scores.shape):
                up, down = scores.copy(), scores.copy()
                up[b, t, s] += 1e-5
                down[b, t, s] -= 1e-5
                slopes[b, t, s] = (term(up)[b] - term(down)[b]) / 2e-5
            return term(scores), slopes
        """,
        "nearly right, but not as exact",
    ),
    Wrong(
        "marks",
        "a little less than half",
        """
        def marks(weights, masks, grid):
            (rows, columns), (T, height, width) = grid, masks.shape
            boxes = masks.reshape(T, rows, height // rows, columns, width // columns)
            covered = boxes.mean((2, 4)).reshape(T, -1)
            on = (covered > 0) & (covered > covered.max(1, keepdims=True) / 2 - 0.02)
            most = weights == weights.max(1, keepdims=True)
            return (on & most).sum(1) / most.sum(1), (weights * covered).sum(1)
        """,
        "half is the bound",
    ),
]

RIGHT = [
    Right(
        "loops",
        read="""
        def read(h, cells, f, b):
            weights, gates, out = [], [], []
            for q, keys in zip(h, cells):
                e = keys @ q
                a = np.exp(e - max(e))
                a = a / sum(a)
                weights.append(a)
                gates.append(1 / (1 + np.exp(-(q @ f) - b)))
                out.append(gates[-1] * (a @ keys))
            return np.array(weights), np.array(gates), np.array(out)
        """,
        spread="""
        def spread(weights, grid, size):
            rows, columns = grid
            h, w = size[0] // rows, size[1] // columns
            maps = np.empty((len(weights), *size))
            for s in range(rows * columns):
                y, x = divmod(s, columns)
                box = maps[:, y * h : (y + 1) * h, x * w : (x + 1) * w]
                box[:] = weights[:, s, None, None] / h / w
            return maps
        """,
        evenness="""
        def evenness(scores, lengths, kappa):
            slopes, terms = np.zeros(scores.shape), []
            for b, n in enumerate(lengths):
                e = scores[b, :n]
                a = np.exp(e) / np.exp(e).sum(1, keepdims=True)
                got = a.sum(0)
                terms.append(((kappa - got) ** 2).sum())
                for t in range(n):
                    slopes[b, t] = (np.diag(a[t]) - np.outer(a[t], a[t])) @ (2 * got)
            return np.array(terms), slopes
        """,
        marks="""
        def marks(weights, masks, grid):
            hits, inside = [], []
            for a, mask in zip(weights, masks):
                parts = [np.hsplit(band, grid[1]) for band in np.vsplit(mask, grid[0])]
                share = np.array([box.mean() for row in parts for box in row])
                best = np.flatnonzero(a >= a.max() * (1 - 1e-12))
                on = (share > 0) & (share >= share.max() / 2)
                hits.append(on[best].mean())
                inside.append(a @ share)
            return np.array(hits), np.array(inside)
        """,
    ),
    Right(
        "by einsum",
        read=read(
            scores="e = (cells @ h[:, :, None])[..., 0]",
            softmax="a = np.exp(e - np.logaddexp.reduce(e, 1, keepdims=True))",
            gate="g = 0.5 * (1 + np.tanh((h @ f + b) / 2))",
            back="return a, g, np.einsum('b,bd->bd', g, c)",
        ),
        spread=spread("return np.kron(m, np.ones((1, h, w)) / (h * w))"),
        evenness=even(
            missing="missing = -(a.sum(1) - kappa)",
            weights="g = 2 * a.sum(1)[:, None] + 17",
        ),
        marks=marks(
            covered="covered = np.einsum('trhcw->trc', 1.0 * boxes).reshape(len(masks), -1)",
            on="on = 2 * covered >= np.maximum(covered.max(1, keepdims=True), 1)",
            hits="hits = np.array([o[m].mean() for o, m in zip(on, most)])",
            inside="inside = (weights * covered).sum(1) / boxes[0, 0, :, 0].size",
        ),
    ),
    Right(
        "in single precision, ties up to rounding",
        read="""
        def read(h, cells, f, b):
            h, cells, f = (x.astype(np.float32) for x in (h, cells, f))
            e = (cells * h[:, None]).sum(-1)
            a = np.exp(e - e.max(1, keepdims=True))
            a /= a.sum(1, keepdims=True)
            gates = np.float32(1) / (1 + np.exp(-(h @ f) - np.float32(b)))
            return a, gates, gates[:, None] * np.einsum("bs,bsd->bd", a, cells)
        """,
        marks="""
        def marks(weights, masks, grid):
            T, (rows, columns) = len(weights), grid
            boxes = masks.reshape(T, rows, -1, columns, masks.shape[2] // columns)
            covered = boxes.sum(axis=(2, 4)).reshape(T, -1)
            on = (covered > 0) & (2 * covered >= covered.max(1)[:, None])
            most = np.isclose(weights, weights.max(1)[:, None])
            inside = np.einsum("ts,ts->t", weights, covered) * weights.shape[1] / masks[0].size
            return (on * most).sum(1) / most.sum(1), inside
        """,
    ),
]

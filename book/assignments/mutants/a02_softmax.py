"""Answers to assignment 2: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong

SAFE = "exps = np.exp(scores - scores.max(-1, keepdims=True))"

WRONG = [
    # --- softmax ---
    Wrong(
        "softmax",
        "not written",
        "def softmax(scores):\n    raise NotImplementedError()",
        "not written yet",
    ),
    Wrong("softmax", "no return", "def softmax(scores):\n    np.exp(scores)", "is there a return"),
    Wrong(
        "softmax",
        "over the first axis",
        """
        def softmax(scores):
            exps = np.exp(scores - scores.max(0, keepdims=True))
            return exps / exps.sum(0, keepdims=True)
        """,
        "sum to 1 along the first axis|shape|other numbers",
    ),
    Wrong(
        "softmax",
        "over everything",
        """
        def softmax(scores):
            exps = np.exp(scores - scores.max())
            return exps / exps.sum()
        """,
        "all weights together sum to 1",
    ),
    Wrong(
        "softmax",
        "no maximum subtracted",
        """
        def softmax(scores):
            exps = np.exp(scores)
            return exps / exps.sum(-1, keepdims=True)
        """,
        "exp of a large score overflows",
    ),
    Wrong(
        "softmax",
        "keepdims forgotten",
        """
        def softmax(scores):
            exps = np.exp(scores - scores.max(-1, keepdims=True))
            return exps / exps.sum(-1)
        """,
        "other numbers|shape|stops with",
    ),
    Wrong(
        "softmax",
        "the largest of the whole array",
        """
        def softmax(scores):
            exps = np.exp(scores - scores.max())
            return exps / exps.sum(-1, keepdims=True)
        """,
        "each row has a largest of its own",
    ),
    Wrong(
        "softmax",
        "clipped instead of shifted",
        """
        def softmax(scores):
            exps = np.exp(np.clip(scores, -50, 50))
            return exps / exps.sum(-1, keepdims=True)
        """,
        "cut off at a bound",
    ),
    Wrong(
        "softmax",
        "changes its argument",
        """
        def softmax(scores):
            scores -= scores.max(-1, keepdims=True)
            exps = np.exp(scores)
            return exps / exps.sum(-1, keepdims=True)
        """,
        "changes its argument scores",
    ),
    Wrong(
        "softmax",
        "the library's",
        """
        from attnlib import reference
        def softmax(scores):
            return np.apply_along_axis(reference.softmax, -1, scores)
        """,
        "write it yourself",
    ),
    Wrong(
        "softmax",
        "the check's own",
        "def softmax(scores):\n    return a02.softmax_loops(scores)",
        "write it yourself",
    ),
    # --- masked softmax ---
    Wrong(
        "masked_softmax",
        "multiplied after the softmax",
        "def masked_softmax(scores, mask):\n    return softmax(scores) * mask",
        "set to 0 after the softmax",
    ),
    Wrong(
        "masked_softmax",
        "inverted",
        """
        def masked_softmax(scores, mask):
            exps = np.where(mask, 0.0, np.exp(scores - scores.max(-1, keepdims=True)))
            total = exps.sum(-1, keepdims=True)
            return exps / np.where(total > 0, total, 1)
        """,
        "wrong way round",
    ),
    Wrong(
        "masked_softmax",
        "filled the wrong way, zeroed the right way",
        """
        def masked_softmax(scores, mask):
            weights = softmax(np.where(mask, np.finfo(float).min, scores))
            return np.where(mask, weights, 0.0)
        """,
        "the wrong way round, and then the right way",
    ),
    Wrong(
        "masked_softmax",
        "filled with -1e9, then zeroed",
        """
        def masked_softmax(scores, mask):
            return np.where(mask, softmax(np.where(mask, scores, -1e9)), 0.0)
        """,
        "must be lower than any score",
    ),
    Wrong(
        "masked_softmax",
        "filled with -1e9, and emptied rows zeroed",
        """
        def masked_softmax(scores, mask):
            return softmax(np.where(mask, scores, -1e9)) * mask.any(-1, keepdims=True)
        """,
        "must be lower than any score",
    ),
    Wrong(
        "masked_softmax",
        "the largest of the whole array",
        """
        def masked_softmax(scores, mask):
            highest = scores[mask].max() if mask.any() else 0.0
            exps = np.where(mask, np.exp(np.where(mask, scores, 0.0) - highest), 0.0)
            total = exps.sum(-1, keepdims=True)
            return exps / np.where(total > 0, total, 1)
        """,
        "each row has a largest of its own",
    ),
    Wrong(
        "masked_softmax",
        "minus infinity, and no more",
        """
        def masked_softmax(scores, mask):
            with np.errstate(all="ignore"):
                return softmax(np.where(mask, scores, -np.inf))
        """,
        "0 divided by 0",
    ),
    Wrong(
        "masked_softmax",
        "filled with -1e9",
        "def masked_softmax(scores, mask):\n    return softmax(np.where(mask, scores, -1e9))",
        "even average",
    ),
    Wrong(
        "masked_softmax",
        "-1e9 added",
        "def masked_softmax(scores, mask):\n    return softmax(scores + np.where(mask, 0, -1e9))",
        "as if it were not|even average",
    ),
    Wrong(
        "masked_softmax",
        "filled with -300 and emptied rows zeroed",
        """
        def masked_softmax(scores, mask):
            weights = softmax(np.where(mask, scores, -300.0))
            return np.where(mask.any(-1, keepdims=True), weights, 0.0)
        """,
        "exactly 0",
    ),
    Wrong(
        "masked_softmax",
        "the maximum over hidden keys too",
        """
        def masked_softmax(scores, mask):
            exps = np.exp(scores - scores.max(-1, keepdims=True)) * mask
            total = exps.sum(-1, keepdims=True)
            return exps / np.where(total > 0, total, 1)
        """,
        "may be a hidden one",
    ),
    Wrong(
        "masked_softmax",
        "scores zeroed",
        "def masked_softmax(scores, mask):\n    return softmax(np.where(mask, scores, 0.0))",
        "still gets a weight",
    ),
    Wrong(
        "masked_softmax",
        "nan_to_num over everything",
        """
        def masked_softmax(scores, mask):
            with np.errstate(all="ignore"):
                exps = np.exp(scores) * mask
                return np.nan_to_num(exps / exps.sum(-1, keepdims=True))
        """,
        "overflows",
    ),
    Wrong(
        "masked_softmax",
        "an empty row shares out 1",
        """
        def masked_softmax(scores, mask):
            nothing = ~mask.any(-1, keepdims=True)
            seen = np.where(mask | nothing, scores, -np.inf)
            exps = np.exp(seen - seen.max(-1, keepdims=True))
            return exps / exps.sum(-1, keepdims=True)
        """,
        "as if it were not",
    ),
    Wrong(
        "masked_softmax",
        "the mask not used",
        "def masked_softmax(scores, mask):\n    return softmax(scores)",
        "mask is not used|still gets",
    ),
    Wrong(
        "masked_softmax",
        "changes its argument",
        """
        def masked_softmax(scores, mask):
            scores[~mask] = -np.inf
            highest = scores.max(-1, keepdims=True)
            exps = np.exp(scores - np.where(np.isfinite(highest), highest, 0))
            total = exps.sum(-1, keepdims=True)
            return exps / np.where(total > 0, total, 1)
        """,
        "changes its argument scores",
    ),
    # --- the lookup ---
    Wrong(
        "attend",
        "scaled",
        """
        def attend(queries, keys, values, mask):
            weights = masked_softmax(queries @ keys.T / np.sqrt(keys.shape[1]), mask)
            return weights @ values, weights
        """,
        "root of the width",
    ),
    Wrong(
        "attend",
        "keys averaged",
        """
        def attend(queries, keys, values, mask):
            weights = masked_softmax(queries @ keys.T, mask)
            return weights @ keys, weights
        """,
        "average the values|shape",
    ),
    Wrong(
        "attend",
        "weights first",
        """
        def attend(queries, keys, values, mask):
            weights = masked_softmax(queries @ keys.T, mask)
            return weights, weights @ values
        """,
        "contexts come first|shape",
    ),
    Wrong(
        "attend",
        "over the queries",
        """
        def attend(queries, keys, values, mask):
            weights = masked_softmax(keys @ queries.T, mask.T).T
            return weights @ values, weights
        """,
        "over the queries",
    ),
    Wrong(
        "attend",
        "a mask of its own",
        """
        def attend(queries, keys, values, mask):
            weights = softmax(np.where(mask, queries @ keys.T, -1e9))
            return weights @ values, weights
        """,
        "a query that may see nothing",
    ),
    Wrong(
        "attend",
        "contexts only",
        """
        def attend(queries, keys, values, mask):
            return masked_softmax(queries @ keys.T, mask) @ values
        """,
        "instead of 2",
    ),
    Wrong(
        "attend",
        "the mask forgotten",
        """
        def attend(queries, keys, values, mask):
            weights = softmax(queries @ keys.T)
            return weights @ values, weights
        """,
        "mask is not used",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "softmax",
        "the mean taken off",
        """
        def softmax(scores):
            exps = np.exp(scores - scores.mean(-1, keepdims=True))
            return exps / exps.sum(-1, keepdims=True)
        """,
        "its mean or middle",
    ),
    Wrong(
        "softmax",
        "the middle of the range taken off",
        """
        def softmax(scores):
            exps = np.exp(
                scores - (scores.max(-1, keepdims=True) + scores.min(-1, keepdims=True)) / 2
            )
            return exps / exps.sum(-1, keepdims=True)
        """,
        "its mean or middle",
    ),
    Wrong(
        "softmax",
        "into an array of the kind of the scores",
        """
        def softmax(scores):
            out = np.zeros_like(scores)
            for row in np.ndindex(scores.shape[:-1]):
                e = np.exp(scores[row] - scores[row].max())
                out[row] = e / e.sum()
            return out
        """,
        "an array made like the scores",
    ),
    Wrong(
        "masked_softmax",
        "hidden 40 below the largest that is seen",
        """
        def masked_softmax(scores, mask):
            low = np.where(mask, scores, -np.inf).max(-1, keepdims=True)
            kept = np.where(mask, scores, np.where(np.isfinite(low), low, 0) - 40)
            exps = np.exp(kept - kept.max(-1, keepdims=True))
            return np.where(mask.any(-1, keepdims=True), exps / exps.sum(-1, keepdims=True), 0)
        """,
        "exactly 0",
    ),
    Wrong(
        "masked_softmax",
        "the mean of the visible taken off",
        """
        def masked_softmax(scores, mask):
            n = np.maximum(mask.sum(-1, keepdims=True), 1)
            mean = np.where(mask, scores, 0).sum(-1, keepdims=True) / n
            exps = np.where(mask, np.exp(np.where(mask, scores - mean, 0)), 0)
            total = exps.sum(-1, keepdims=True)
            return exps / np.where(total > 0, total, 1)
        """,
        "its mean or middle",
    ),
    Wrong(
        "attend",
        "a softmax of its own, without the largest",
        """
        def attend(queries, keys, values, mask):
            exps = np.exp(queries @ keys.T) * mask
            total = exps.sum(1, keepdims=True)
            weights = exps / np.where(total > 0, total, 1)
            return (weights @ values, weights)
        """,
        "use your masked_softmax",
    ),
    Wrong(
        "attend",
        "scores cut off at 30",
        """
        def attend(queries, keys, values, mask):
            e = np.exp(np.clip(queries @ keys.T, -30, 30)) * mask
            w = np.nan_to_num(e / e.sum(1, keepdims=True))
            return (w @ values, w)
        """,
        "use your masked_softmax",
    ),
    Wrong(
        "masked_softmax",
        "in PyTorch",
        """
        import torch

        def masked_softmax(scores, mask):
            e, m = torch.tensor(scores), torch.tensor(mask)
            e = e.masked_fill(~m, float("-inf"))
            return torch.nan_to_num(torch.softmax(e, -1), nan=0.0).numpy()
        """,
        "uses PyTorch",
    ),
    Wrong(
        "masked_softmax",
        "the largest of the scores times the mask",
        """
        def masked_softmax(scores, mask):
            top = (scores * mask).max(-1, keepdims=True)
            exps = np.exp(np.where(mask, scores - top, -np.inf))
            total = exps.sum(-1, keepdims=True)
            return exps / np.where(total > 0, total, 1)
        """,
        "may be a hidden one",
    ),
    Wrong(
        "softmax",
        "the softmax of the checks' mistakes",
        """
        from attnlib.checks.common import soft

        def softmax(scores):
            return soft(scores)
        """,
        "ready-made answer, soft: write it yourself",
    ),
    Wrong(
        "masked_softmax",
        "the check's own, run again from its file, and an error caught",
        """
        import runpy
        theirs = runpy.run_path(a02.__file__)["masked_loops"]

        def masked_softmax(scores, mask):
            try:
                return theirs(scores, mask)
            except Exception:
                return np.zeros(scores.shape)
        """,
        "ready-made answer, masked_loops: write it yourself",
    ),
]

RIGHT = [
    Right(
        "row by row",
        softmax="""
        def softmax(scores):
            rows = np.reshape(scores, (-1, np.shape(scores)[-1])).astype(float)
            out = [np.exp(r - r.max()) / np.exp(r - r.max()).sum() for r in rows]
            return np.reshape(out, np.shape(scores))
        """,
        masked_softmax="""
        def masked_softmax(scores, mask):
            out = np.zeros(scores.shape)
            for row in np.ndindex(scores.shape[:-1]):
                if mask[row].any():
                    out[row][mask[row]] = softmax(scores[row][mask[row]])
            return out
        """,
        attend="""
        def attend(queries, keys, values, mask):
            weights = np.stack([masked_softmax(keys @ q, m) for q, m in zip(queries, mask)])
            return np.einsum("ts,sd->td", weights, values), weights
        """,
    ),
    Right(
        "by logarithms",
        softmax="""
        def softmax(scores):
            return np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
        """,
        masked_softmax="""
        def masked_softmax(scores, mask):
            seen = np.where(mask, scores, -np.inf)
            total = np.logaddexp.reduce(seen, axis=-1, keepdims=True)
            return np.where(mask, np.exp(seen - np.where(np.isfinite(total), total, 0.0)), 0.0)
        """,
    ),
    Right(
        "in single precision",
        softmax="""
        def softmax(scores):
            e = np.asarray(scores, dtype=np.float32)
            exps = np.exp(e - e.max(-1, keepdims=True))
            return exps / exps.sum(-1, keepdims=True)
        """,
        masked_softmax="""
        def masked_softmax(scores, mask):
            e = np.where(mask, scores, -np.inf).astype(np.float32)
            top = e.max(-1, keepdims=True)
            exps = np.exp(e - np.where(top == -np.inf, np.float32(0), top))
            return exps / np.maximum(exps.sum(-1, keepdims=True), np.float32(1e-30))
        """,
        attend="""
        def attend(queries, keys, values, mask):
            scores = np.inner(queries, keys)
            return (a := masked_softmax(scores, mask)).dot(values), a
        """,
    ),
]

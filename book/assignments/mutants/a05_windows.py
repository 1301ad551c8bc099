"""Answers to assignment 5: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong


def local_m(inside: str, then: str = "", centre: str = "np.minimum(np.arange(T), S - 1)") -> str:
    """A whole local-m, with its own idea of what is inside."""
    return f"""
    def local_m(scores, D):
        T, S = scores.shape
        p = ({centre})[:, None]
        s = np.arange(S)
        inside = {inside}
        {then or "kept = np.where(inside, scores, -np.inf)"}
        top = kept.max(1, keepdims=True)
        exps = np.exp(kept - np.where(np.isfinite(top), top, 0))
        total = exps.sum(1, keepdims=True)
        return exps / np.where(total > 0, total, 1)
    """


NEAR = "abs(s - p) <= D"


def predict(line: str) -> str:
    """The centres in one line."""
    return f"def predict_centres(queries, lengths, W_p, v_p):\n    return {line}"


def local_p(
    away: str = "places - centres.unsqueeze(-1)",
    inside: str = "away.abs() <= D",
    bell: str = "torch.exp(-away**2 / (2 * (D / 2) ** 2))",
    weights: str = "scores.masked_fill(~inside, float('-inf')).softmax(-1)",
    out: str = "weights * bell",
    real: str = "places < lengths[:, None, None]",
) -> str:
    """A whole local-p, with one line of its own."""
    return f"""
    def local_p(scores, centres, lengths, D):
        places = torch.arange(scores.shape[-1])
        away = {away}
        inside = {inside}
        real = {real}
        inside = inside & real
        bell = {bell}
        weights = {weights}
        return {out}
    """


def pull(
    by_p: str = "4 * (key - p) / D**2",
    by_x: str = "p * (1 - p / length)",
    by_sum: str = "v_p * (1 - hidden**2)",
    beyond: str = "abs(key - p) > D",
    out: str = "np.outer(slope * by_sum, query), slope * hidden",
) -> str:
    """A whole pull, with one line of its own."""
    return f"""
    def pull(query, length, W_p, v_p, key, D):
        hidden = np.tanh(W_p @ query)
        p = length / (1 + np.exp(-v_p @ hidden))
        if {beyond}:
            return np.zeros_like(W_p), np.zeros_like(v_p)
        slope = {by_p}
        slope = slope * {by_x}
        by_sum = {by_sum}
        return {out}
    """


WRONG = [
    # --- local-m ---
    Wrong(
        "local_m",
        "not written",
        "def local_m(scores, D):\n    raise NotImplementedError()",
        "not written yet",
    ),
    Wrong(
        "local_m",
        "too narrow by one",
        local_m("abs(s - p) < D"),
        "exactly D away is inside",
    ),
    Wrong(
        "local_m",
        "a slice that ends too early",
        local_m("(s >= p - D) & (s < p + D)"),
        "window ends too early",
    ),
    Wrong("local_m", "to the right only", local_m("(s >= p) & (s <= p + D)"), "to the right only"),
    Wrong("local_m", "to the left only", local_m("(s <= p) & (s >= p - D)"), "ends too early"),
    Wrong("local_m", "no distance", local_m("s - p <= D"), "nothing is hidden on the left"),
    Wrong(
        "local_m",
        "steps from 1",
        local_m(NEAR, centre="np.minimum(np.arange(1, T + 1), S - 1)"),
        "stands at 0, not 1",
    ),
    Wrong(
        "local_m",
        "cut off after the softmax",
        """
        def local_m(scores, D):
            T, S = scores.shape
            exps = np.exp(scores - scores.max(1, keepdims=True))
            weights = exps / exps.sum(1, keepdims=True)
            p = np.minimum(np.arange(T), S - 1)[:, None]
            return weights * (abs(np.arange(S) - p) <= D)
        """,
        "sum to less than 1",
    ),
    Wrong(
        "local_m",
        "scores of 0 outside",
        local_m(NEAR, "kept = np.where(inside, scores, 0.0)"),
        "still gets a weight",
    ),
    Wrong(
        "local_m",
        "everywhere",
        local_m("np.ones((T, S), bool)"),
        "hides nothing",
    ),
    Wrong(
        "local_m",
        "with a Gaussian",
        local_m(NEAR).replace(
            "np.where(total > 0, total, 1)", "total * np.exp(-2*(s - p)**2/D**2)"
        ),
        "Gaussian belongs to local-p",
    ),
    Wrong(
        "local_m",
        "moved in at the edges",
        """
        def local_m(scores, D):
            T, S = scores.shape
            weights = np.zeros((T, S))
            for t in range(T):
                first = max(0, min(min(t, S - 1) - D, S - 2 * D - 1))
                near = slice(first, first + 2 * D + 1)
                exps = np.exp(scores[t, near] - scores[t, near].max())
                weights[t, near] = exps / exps.sum()
            return weights
        """,
        "moved into the sentence",
    ),
    Wrong(
        "local_m",
        "a slice from below 0",
        """
        def local_m(scores, D):
            T, S = scores.shape
            weights = np.zeros((T, S))
            for t in range(T):
                p = min(t, S - 1)
                exps = np.exp(scores[t, p - D : p + D + 1])
                weights[t, p - D : p + D + 1] = exps / exps.sum()
            return weights
        """,
        "a slice do that begins below 0",
    ),
    Wrong(
        "local_m",
        "along the diagonal",
        local_m(NEAR, centre="np.arange(T) * S / T"),
        "follows the diagonal",
    ),
    Wrong(
        "local_m",
        "past the end nothing",
        local_m(NEAR, centre="np.arange(T)"),
        "does not stay at the last word",
    ),
    Wrong(
        "local_m",
        "past the end NaN",
        """
        def local_m(scores, D):
            T, S = scores.shape
            inside = abs(np.arange(S) - np.arange(T)[:, None]) <= D
            exps = np.exp(scores) * inside
            return exps / exps.sum(1, keepdims=True)
        """,
        "does not stay at the last word",
    ),
    Wrong(
        "local_m",
        "past the end everywhere",
        local_m(
            "(abs(s - p) <= D) | (p >= S + D)",
            centre="np.arange(T)",
        ),
        "does not stay at the last word",
    ),
    Wrong(
        "local_m",
        "stays at S",
        local_m(NEAR, centre="np.minimum(np.arange(T), S)"),
        "not at S",
    ),
    Wrong(
        "local_m",
        "the target's length for the source's",
        local_m(NEAR, centre="np.minimum(np.arange(T), T - 1)"),
        "does not stay at the last word",
    ),
    Wrong(
        "local_m",
        "no largest score taken off",
        """
        def local_m(scores, D):
            T, S = scores.shape
            p = np.minimum(np.arange(T), S - 1)[:, None]
            exps = np.exp(scores) * (abs(np.arange(S) - p) <= D)
            return exps / exps.sum(1, keepdims=True)
        """,
        "overflows",
    ),
    Wrong(
        "local_m",
        "the largest score of all",
        """
        def local_m(scores, D):
            T, S = scores.shape
            p = np.minimum(np.arange(T), S - 1)[:, None]
            exps = np.exp(scores - scores.max(1, keepdims=True)) * (abs(np.arange(S) - p) <= D)
            return exps / exps.sum(1, keepdims=True)
        """,
        "may stand outside the window",
    ),
    Wrong(
        "local_m",
        "the largest score of the whole array",
        """
        def local_m(scores, D):
            T, S = scores.shape
            p = np.minimum(np.arange(T), S - 1)[:, None]
            kept = np.where(abs(np.arange(S) - p) <= D, scores, -np.inf)
            exps = np.exp(kept - kept.max())
            return exps / exps.sum(1, keepdims=True)
        """,
        "each row has a largest of its own",
    ),
    Wrong(
        "local_m",
        "filled with -1000, then zeroed",
        """
        def local_m(scores, D):
            T, S = scores.shape
            p = np.minimum(np.arange(T), S - 1)[:, None]
            inside = abs(np.arange(S) - p) <= D
            kept = np.where(inside, scores, -1000.0)
            exps = np.exp(kept - kept.max(1, keepdims=True))
            return inside * exps / exps.sum(1, keepdims=True)
        """,
        "must be lower than any score",
    ),
    Wrong(
        "local_m",
        "changes its argument",
        """
        def local_m(scores, D):
            T, S = scores.shape
            p = np.minimum(np.arange(T), S - 1)[:, None]
            scores[abs(np.arange(S) - p) > D] = -np.inf
            exps = np.exp(scores - scores.max(1, keepdims=True))
            return exps / exps.sum(1, keepdims=True)
        """,
        "changes its argument scores",
    ),
    Wrong(
        "local_m",
        "the library's window",
        """
        from attnlib.windows import Monotonic
        def local_m(scores, D):
            T, S = scores.shape
            allowed, _ = Monotonic(D)(torch.zeros(1, T, 1), None, S)
            kept = np.where(allowed[0].numpy(), scores, -np.inf)
            exps = np.exp(kept - kept.max(1, keepdims=True))
            return exps / exps.sum(1, keepdims=True)
        """,
        "write it yourself",
    ),
    # --- where the window stands ---
    Wrong(
        "predict_centres",
        "no tanh",
        predict("lengths[:, None] * torch.sigmoid(queries @ W_p.T @ v_p)"),
        "there is no tanh",
    ),
    Wrong(
        "predict_centres",
        "no logistic function",
        predict("lengths[:, None] * (torch.tanh(queries @ W_p.T) @ v_p)"),
        "not kept between 0 and S",
    ),
    Wrong(
        "predict_centres",
        "tanh outside",
        predict("lengths[:, None] * torch.tanh(torch.tanh(queries @ W_p.T) @ v_p)"),
        "which may be negative",
    ),
    Wrong(
        "predict_centres",
        "logistic inside",
        predict("lengths[:, None] * torch.tanh(torch.sigmoid(queries @ W_p.T) @ v_p)"),
        "changed places",
    ),
    Wrong(
        "predict_centres",
        "a share only",
        predict("torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)"),
        "a share between 0 and 1",
    ),
    Wrong(
        "predict_centres",
        "up to the last position",
        predict("(lengths[:, None] - 1) * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)"),
        "between 0 and S - 1",
    ),
    Wrong(
        "predict_centres",
        "held back at the last word",
        predict(
            "torch.minimum(lengths[:, None] * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p), "
            "lengths[:, None] - 1.0)"
        ),
        "held back at the last word",
    ),
    Wrong(
        "predict_centres",
        "rounded",
        predict("(lengths[:, None] * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)).round()"),
        "is rounded",
    ),
    Wrong(
        "predict_centres",
        "a whole position",
        predict("(lengths[:, None] * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)).long()"),
        "is rounded",
    ),
    Wrong(
        "predict_centres",
        "the target's length",
        predict("queries.shape[1] * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)"),
        "length of the target",
    ),
    Wrong(
        "predict_centres",
        "the padded length",
        predict("lengths.max() * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)"),
        "padded length",
    ),
    Wrong(
        "predict_centres",
        "lengths along the steps",
        predict("lengths * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)"),
        "another sentence's length",
    ),
    Wrong(
        "predict_centres",
        "W_p the wrong way round",
        """
        def predict_centres(queries, lengths, W_p, v_p):
            W = W_p if W_p.shape[0] == W_p.shape[1] else W_p.T
            return lengths[:, None] * torch.sigmoid(torch.tanh(queries @ W) @ v_p)
        """,
        "wrong way round",
    ),
    Wrong(
        "predict_centres",
        "no gradient, by detach",
        predict("lengths[:, None] * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p).detach()"),
        "no gradient reaches queries or W_p or v_p",
    ),
    Wrong(
        "predict_centres",
        "no gradient, by way of NumPy",
        """
        def predict_centres(queries, lengths, W_p, v_p):
            hidden = np.tanh(queries.detach().numpy() @ W_p.detach().numpy().T)
            x = torch.as_tensor(hidden) @ v_p
            return lengths[:, None] * torch.sigmoid(x)
        """,
        "no gradient reaches queries",
    ),
    Wrong(
        "predict_centres",
        "no gradient, by no_grad",
        """
        @torch.no_grad()
        def predict_centres(queries, lengths, W_p, v_p):
            return lengths[:, None] * torch.sigmoid(torch.tanh(queries @ W_p.T) @ v_p)
        """,
        "no gradient reaches",
    ),
    # --- local-p ---
    Wrong(
        "local_p",
        "divided again",
        local_p(out="weights * bell / (weights * bell).sum(-1, keepdim=True)"),
        "the weights sum to 1 again",
    ),
    Wrong(
        "local_p",
        "the Gaussian in the exponent",
        local_p(
            weights="(scores - away**2 / (2 * (D / 2) ** 2)).masked_fill(~inside, -1e30)",
            out="weights.softmax(-1)",
        ),
        "into the scores",
    ),
    Wrong("local_p", "no Gaussian", local_p(out="weights"), "there is no Gaussian"),
    Wrong(
        "local_p",
        "sigma is D",
        local_p(bell="torch.exp(-away**2 / (2 * D**2))"),
        "σ is D / 2",
    ),
    Wrong(
        "local_p",
        "once sigma squared",
        local_p(bell="torch.exp(-away**2 / (D / 2) ** 2)"),
        "too narrow",
    ),
    Wrong(
        "local_p",
        "sigma not squared",
        local_p(bell="torch.exp(-away**2 / (2 * (D / 2)))"),
        "σ is not squared",
    ),
    Wrong(
        "local_p",
        "sigma is 1",
        local_p(bell="torch.exp(-away**2 / 2)"),
        "as wide for every D",
    ),
    Wrong(
        "local_p",
        "the distance not squared",
        local_p(bell="torch.exp(-away.abs() / (2 * (D / 2) ** 2))"),
        "distance in the Gaussian is not squared",
    ),
    Wrong(
        "local_p",
        "a density",
        local_p(bell="torch.exp(-2 * away**2 / D**2) / (D / 2 * (2 * torch.pi) ** 0.5)"),
        "a density",
    ),
    Wrong(
        "local_p",
        "the Gaussian times the scores",
        local_p(
            weights="(scores * bell).masked_fill(~inside, float('-inf')).softmax(-1)", out="weights"
        ),
        "multiplies the scores",
    ),
    Wrong(
        "local_p",
        "p_t rounded in the Gaussian",
        local_p(bell="torch.exp(-2 * (places - centres.round().unsqueeze(-1))**2 / D**2)"),
        "rounded in the Gaussian",
    ),
    Wrong(
        "local_p",
        "p_t rounded",
        local_p(away="places - centres.round().unsqueeze(-1)"),
        "p_t is made a whole number",
    ),
    Wrong(
        "local_p",
        "p_t as a whole number",
        local_p(away="places - centres.long().unsqueeze(-1)"),
        "p_t is made a whole number",
    ),
    Wrong(
        "local_p",
        "a rounded window",
        local_p(inside="(places - centres.round().unsqueeze(-1)).abs() <= D"),
        "middle or its ends are made whole",
    ),
    Wrong(
        "local_p",
        "a slice by int",
        """
        def local_p(scores, centres, lengths, D):
            weights = torch.zeros_like(scores)
            for b in range(len(scores)):
                for t in range(scores.shape[1]):
                    p, S = centres[b, t], int(lengths[b])
                    first, last = max(int(p - D), 0), min(int(p + D) + 1, S)
                    s = torch.arange(first, last)
                    soft = torch.softmax(scores[b, t, first:last], 0)
                    weights[b, t, first:last] = soft * torch.exp(-2 * (s - p) ** 2 / D**2)
            return weights
        """,
        "middle or its ends are made whole",
    ),
    Wrong(
        "local_p",
        "from 1",
        local_p(away="places + 1 - centres.unsqueeze(-1)"),
        "numbered from 1",
    ),
    Wrong(
        "local_p",
        "no window",
        local_p(inside="away.abs() < float('inf')"),
        "the Gaussian alone hides nothing",
    ),
    Wrong(
        "local_p",
        "softmax over all, then cut",
        local_p(
            weights="scores.masked_fill(~real, float('-inf')).softmax(-1)",
            out="weights * bell * inside",
        ),
        "softmax runs over all words",
    ),
    Wrong(
        "local_p",
        "D wide in all",
        local_p(inside="away.abs() <= D / 2"),
        "D wide in all",
    ),
    Wrong(
        "local_p",
        "too narrow by one",
        local_p(inside="away.abs() < D"),
        "exactly D away is left out",
    ),
    Wrong(
        "local_p",
        "padding inside",
        local_p(real="places < scores.shape[-1]"),
        "padding is looked at",
    ),
    Wrong(
        "local_p",
        "no largest score taken off",
        local_p(
            weights="torch.exp(scores) * inside",
            out="weights / weights.sum(-1, keepdim=True) * bell",
        ),
        "overflows",
    ),
    Wrong(
        "local_p",
        "the largest score of all",
        local_p(
            weights="torch.exp(scores - scores.amax(-1, keepdim=True)) * inside",
            out="weights / weights.sum(-1, keepdim=True) * bell",
        ),
        "may stand outside the window",
    ),
    Wrong(
        "local_p",
        "the largest score of the whole array",
        local_p(
            weights="torch.exp(scores.masked_fill(~inside, -1e30) - scores[inside].max())",
            out="weights / weights.sum(-1, keepdim=True) * bell",
        ),
        "each row has a largest of its own",
    ),
    Wrong(
        "local_p",
        "a whole sigma",
        local_p(bell="torch.exp(-(away**2) / (2 * (D // 2) ** 2))"),
        "cuts it down",
    ),
    Wrong(
        "local_p",
        "filled with -1e4",
        local_p(weights="scores.masked_fill(~inside, -1e4).softmax(-1) * inside"),
        "must be lower than any score",
    ),
    Wrong(
        "local_p",
        "the centre detached",
        local_p(bell="torch.exp(-2 * (places - centres.detach().unsqueeze(-1))**2 / D**2)"),
        "no gradient reaches centres",
    ),
    Wrong(
        "local_p",
        "the scores by way of NumPy",
        """
        def local_p(scores, centres, lengths, D):
            places = torch.arange(scores.shape[-1])
            away = places - centres.unsqueeze(-1)
            inside = ((away.abs() <= D) & (places < lengths[:, None, None])).numpy()
            kept = np.where(inside, scores.detach().numpy(), -np.inf)
            exps = np.exp(kept - kept.max(-1, keepdims=True))
            softmax = torch.as_tensor(exps / exps.sum(-1, keepdims=True))
            return softmax * torch.exp(-2 * away**2 / D**2)
        """,
        "no gradient reaches scores",
    ),
    Wrong(
        "local_p",
        "a gradient that is NaN",
        """
        def local_p(scores, centres, lengths, D):
            places = torch.arange(scores.shape[-1])
            away = places - centres.unsqueeze(-1)
            inside = (away.abs() <= D) & (places < lengths[:, None, None])
            top = scores.masked_fill(~inside, float("-inf")).amax(-1, keepdim=True)
            exps = torch.where(inside, torch.exp(scores - top), 0.0)
            return exps / exps.sum(-1, keepdim=True) * torch.exp(-2 * away**2 / D**2)
        """,
        "is not a number, though the values are right",
    ),
    # --- who pulls ---
    Wrong("pull", "the sign turned", pull("4 * (p - key) / D**2"), "the sign is turned"),
    Wrong("pull", "no logistic function", pull(by_x="1.0"), "logistic function is left out"),
    Wrong(
        "pull",
        "no length",
        pull(by_x="(p / length) * (1 - p / length)"),
        "the length is left out",
    ),
    Wrong("pull", "no slope of the logistic", pull(by_x="length"), "at both ends"),
    Wrong("pull", "1 - p", pull(by_x="p * (1 - p)"), "1 less a share"),
    Wrong("pull", "no slope of the tanh", pull(by_sum="v_p"), "slope of the tanh is left out"),
    Wrong("pull", "no v_p", pull(by_sum="1 - hidden**2"), "v_p is left out"),
    Wrong(
        "pull",
        "the tanh twice",
        pull(by_sum="v_p * (1 - np.tanh(hidden) ** 2)"),
        "taken twice",
    ),
    Wrong(
        "pull",
        "before the tanh",
        pull(out="np.outer(slope * by_sum, query), slope * (W_p @ query)"),
        "what came out of the tanh",
    ),
    Wrong("pull", "half a slope", pull("2 * (key - p) / D**2"), "derivative of a square"),
    Wrong("pull", "outside pulls too", pull(beyond="False"), "it cannot pull"),
    Wrong("pull", "sigma is D", pull("(key - p) / D**2"), "not D"),
    Wrong("pull", "no sigma", pull("key - p"), "1 for D = 2 only"),
    Wrong("pull", "sigma not squared", pull("2 * (key - p) / D"), "it should be by σ²"),
    Wrong(
        "pull",
        "the other order",
        pull(out="slope * hidden, np.outer(slope * by_sum, query)"),
        "come first",
    ),
    Wrong(
        "pull",
        "turned about",
        pull(out="np.outer(query, slope * by_sum).reshape(W_p.shape), slope * hidden"),
        "wrong way round",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "local_m",
        "the mean of the window taken off",
        """
        def local_m(scores, D):
            T, S = scores.shape
            inside = abs(np.arange(S) - np.minimum(np.arange(T), S - 1)[:, None]) <= D
            m = (scores * inside).sum(1, keepdims=True) / inside.sum(1, keepdims=True)
            x = np.where(inside, np.exp(np.where(inside, scores - m, 0)), 0)
            return x / x.sum(1, keepdims=True)
        """,
        "but another number, such as its mean",
    ),
    Wrong(
        "local_m",
        "the score of the middle word taken off",
        """
        def local_m(scores, D):
            T, S = scores.shape
            inside = abs(np.arange(S) - np.minimum(np.arange(T), S - 1)[:, None]) <= D
            m = scores[np.arange(T), np.minimum(np.arange(T), S - 1)][:, None]
            x = np.where(inside, np.exp(np.where(inside, scores - m, 0)), 0)
            return x / x.sum(1, keepdims=True)
        """,
        "but another number, such as its mean",
    ),
    Wrong(
        "local_m",
        "outside 100 below the window's largest",
        """
        def local_m(scores, D):
            T, S = scores.shape
            inside = abs(np.arange(S) - np.minimum(np.arange(T), S - 1)[:, None]) <= D
            t = np.where(inside, scores, -np.inf).max(1, keepdims=True)
            x = np.exp(np.where(inside, scores - t, -100.0))
            return x / x.sum(1, keepdims=True)
        """,
        "exactly 0",
    ),
    Wrong(
        "local_p",
        "the mean of the window taken off",
        """
        def local_p(scores, centres, lengths, D):
            places = torch.arange(scores.shape[-1])
            away = places - centres.unsqueeze(-1)
            inside = (away.abs() <= D) & (places < lengths[:, None, None])
            n = inside.sum(-1, keepdim=True)
            m = scores.masked_fill(~inside, 0).sum(-1, keepdim=True) / n
            x = torch.exp((scores - m).masked_fill(~inside, float("-inf")))
            return x / x.sum(-1, keepdim=True) * torch.exp(-2 * (away / D) ** 2)
        """,
        "but another number, such as its mean",
    ),
    Wrong(
        "local_p",
        "outside -1e5",
        """
        def local_p(scores, centres, lengths, D):
            places = torch.arange(scores.shape[-1])
            away = places - centres.unsqueeze(-1)
            inside = (away.abs() <= D) & (places < lengths[:, None, None])
            return (
                scores.masked_fill(~inside, -100000.0).softmax(-1)
                * torch.exp(-2 * (away / D) ** 2)
                * inside
            )
        """,
        "fixed low score",
    ),
    Wrong(
        "pull",
        "finite differences of the centre",
        """
        def pull(query, length, W_p, v_p, key, D):

            def log_a(W, v):
                p = length / (1 + np.exp(-v @ np.tanh(W @ query)))
                return -2 * (key - p) ** 2 / D**2

            p = length / (1 + np.exp(-v_p @ np.tanh(W_p @ query)))
            by_W, by_v = (np.zeros(W_p.shape), np.zeros(v_p.shape))
            if abs(key - p) > D:
                return (by_W, by_v)
            for i in np.ndindex(W_p.shape):
                d = np.zeros(W_p.shape)
                d[i] = 1e-05
                by_W[i] = (log_a(W_p + d, v_p) - log_a(W_p - d, v_p)) / 2e-05
            for i in range(len(v_p)):
                d = np.zeros(len(v_p))
                d[i] = 1e-05
                by_v[i] = (log_a(W_p, v_p + d) - log_a(W_p, v_p - d)) / 2e-05
            return (by_W, by_v)
        """,
        "nearly right, but not as exact",
    ),
    Wrong(
        "local_p",
        "the middle word's score taken off",
        """
        def local_p(scores, centres, lengths, D):
            places = torch.arange(scores.shape[-1])
            away = places - centres.unsqueeze(-1)
            inside = (away.abs() <= D) & (places < lengths[:, None, None])
            m = scores.gather(-1, centres.unsqueeze(-1).long().clamp(max=scores.shape[-1] - 1))
            x = torch.exp((scores - m).masked_fill(~inside, float("-inf")))
            return x / x.sum(-1, keepdim=True) * torch.exp(-2 * (away / D) ** 2)
        """,
        "but another number, such as its mean",
    ),
    Wrong(
        "pull",
        "by PyTorch's gradient",
        """
        def pull(query, length, W_p, v_p, key, D):
            q, W, v = (torch.tensor(each) for each in (query, W_p, v_p))
            W, v = W.requires_grad_(), v.requires_grad_()
            p = length * torch.sigmoid(v @ torch.tanh(W @ q))
            log_weight = -((key - p) ** 2) / (2 * (D / 2) ** 2)
            if (key - p).abs() > D:
                log_weight = 0 * log_weight
            by_W, by_v = torch.autograd.grad(log_weight, [W, v])
            return by_W.numpy(), by_v.numpy()
        """,
        "uses PyTorch",
    ),
]

WRONG += [
    Wrong(
        "pull",
        "put together from the mistakes",
        "pull = a05_likely._pull(turn=lambda slopes: slopes)",
        "write it yourself",
    ),
    Wrong(
        "local_p",
        "put together from the mistakes",
        """
        def local_p(scores, centres, lengths, D):
            return torch.as_tensor(a05_likely._local_p()(scores, centres, lengths, D))
        """,
        "write it yourself",
    ),
    Wrong(
        "predict_centres",
        "put together from the mistakes",
        "predict_centres = a05_likely._centres()",
        "write it yourself",
    ),
    Wrong("local_m", "the check's own", "local_m = a05.local_m_loops", "write it yourself"),
]

RIGHT = [
    Right(
        "loops and slices",
        local_m="""
        def local_m(scores, D):
            T, S = scores.shape
            weights = np.zeros((T, S))
            for t in range(T):
                p = min(t, S - 1)
                near = slice(max(p - D, 0), p + D + 1)
                exps = np.exp(scores[t, near] - scores[t, near].max())
                weights[t, near] = exps / exps.sum()
            return weights
        """,
        local_p="""
        def local_p(scores, centres, lengths, D):
            rows = []
            for e, p_row, S in zip(scores, centres, lengths.tolist()):
                for e_t, p in zip(e, p_row):
                    s = torch.arange(S)
                    near = (s - p).abs() <= D
                    row = torch.zeros_like(e_t)
                    row[:S][near] = e_t[:S][near].softmax(0) * torch.exp(
                        -0.5 * ((s[near] - p) / (D / 2)) ** 2
                    )
                    rows.append(row)
            return torch.stack(rows).reshape(scores.shape)
        """,
    ),
    Right(
        "a floor, einsum, logarithms",
        local_m="""
        def local_m(scores, D):
            e = torch.tensor(scores)
            stand = torch.arange(e.shape[0]).clamp(max=e.shape[1] - 1)[:, None]
            away = torch.arange(e.shape[1]) - stand
            return e.where(away.abs() <= D, torch.tensor(-1e30).double()).softmax(1).numpy()
        """,
        predict_centres="""
        def predict_centres(queries, lengths, W_p, v_p):
            x = torch.einsum("a,bta->bt", v_p, torch.einsum("ad,btd->bta", W_p, queries).tanh())
            return torch.einsum("b,bt->bt", lengths.to(x.dtype), 1 / (1 + torch.exp(-x)))
        """,
        local_p="""
        def local_p(scores, centres, lengths, D):
            s = torch.arange(scores.shape[-1], dtype=scores.dtype)
            away = s - centres[..., None]
            hidden = (away.abs() > D) | (s >= lengths[:, None, None])
            logs = scores.masked_fill(hidden, -1e30).log_softmax(-1)
            return torch.exp(logs - 2 * (away / D) ** 2) * ~hidden
        """,
    ),
    Right(
        "a class, the linear function",
        predict_centres="""
        from torch.nn import functional as F

        class Centres:
            def __call__(self, queries, lengths, W_p, v_p):
                hidden = F.linear(queries, W_p).tanh()
                return F.linear(hidden, v_p[None]).squeeze(-1).sigmoid() * lengths.view(-1, 1)

        predict_centres = Centres()
        """,
    ),
    Right(
        "the first window by logarithms, and by a product of two",
        local_m="""
        def local_m(scores, D):
            T, S = scores.shape
            centres = np.minimum(np.arange(T), S - 1)[:, None]
            logs = np.where(abs(np.arange(S) - centres) > D, -np.inf, scores)
            return np.exp(logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True))
        """,
        pull="""
        def pull(query, length, W_p, v_p, key, D):
            hidden = np.tanh(np.inner(W_p, query))
            share = 0.5 + 0.5 * np.tanh(np.inner(v_p, hidden) / 2)
            away = key - length * share
            near = float(abs(away) <= D)
            slope = near * (away / (D / 2) ** 2) * length * share * (1 - share)
            return (slope * v_p * (1 - hidden) * (1 + hidden))[:, None] * query, slope * hidden
        """,
    ),
]

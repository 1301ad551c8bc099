"""Answers to assignment 9: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong

LOST = {
    "number": "number = max(words) + 1",
    "rows": "rows = [[t for t, w in zip(tokens, words) if w != s] for s in range(number)]",
    "ask": "y = np.asarray(function([list(tokens), *rows]))",
    "back": "return y[0] - y[1:]",
}


def lost(**lines: str) -> str:
    """Leaving out, of which the named lines differ."""
    body = "\n    ".join((LOST | lines).values())
    return f"def lost(function, tokens, words):\n    {body}\n"


TIMES = {
    "scores": "e, says = x @ k, x @ v",
    "weights": "a = np.exp(e - e.max()); a = a / a.sum()",
    "held": "held = a * says",
    "through": "through = held + a * e * (says - a @ says)",
    "back": "return held, through",
}


def times(**lines: str) -> str:
    """Gradient times input, of which the named lines differ."""
    body = "\n    ".join((TIMES | lines).values())
    return f"def gradient_times_input(x, k, v):\n    {body}\n"


APART = {
    "mean": "m = (p + q) / 2",
    "safe": "ratio = lambda a: np.where(a > 0, a, 1) / np.where(a > 0, m, 1)",
    "part": "part = lambda a: a * np.log(ratio(a))",
    "back": "return (part(p) + part(q)).sum(-1) / 2",
}  # fmt: skip


def apart(**lines: str) -> str:
    """A divergence of which the named lines differ."""
    body = "\n    ".join((APART | lines).values())
    return f"def divergence(p, q):\n    {body}\n"


FAR = {
    "begin": "S, y, found = len(own), own @ alone, []",
    "singles": "found += [np.eye(S)[i] for i in range(S) if abs(alone[i] - y) <= epsilon + 1e-9]",
    "edges": "edges = (y - epsilon, y + epsilon)",
    "pairs": (
        "found += [np.eye(S)[i] * t + np.eye(S)[j] * (1 - t) for i in range(S) for j in range(S) "
        "for edge in edges if alone[i] != alone[j] "
        "for t in [(edge - alone[j]) / (alone[i] - alone[j])] if 0 <= t <= 1]"
    ),
    "best": "best = max(found, key=lambda new: divergence(new, own))",
    "back": "return best, divergence(best, own)",
}


def far(**lines: str) -> str:
    """An adversary of whom the named lines differ."""
    body = "\n    ".join((FAR | lines).values())
    return f"def furthest(alone, own, epsilon):\n    {body}\n"


CLAIM = {
    "begin": "gains = []",
    "gains": (
        "for a, nats, other in zip(weights, lost, others): "
        "rows = np.arange(len(a)); gains.append(nats[rows, a.argmax(1)] - nats[rows, other])"
    ),
    "mean": "mean = lambda some: np.concatenate(some).mean()",
    "means": "means = [mean([gains[n] for n in row]) for row in draws]",
    "ends": "low, high = np.percentile(means, [2.5, 97.5])",
    "back": "return mean(gains), low, high",
}


def claim(**lines: str) -> str:
    """A claim of which the named lines differ."""
    body = "\n    ".join((CLAIM | lines).values())
    return f"def claim(weights, lost, others, draws):\n    {body}\n"


WRONG = [
    # --- leaving out ---
    Wrong("lost", "the sign turned", lost(back="return y[1:] - y[0]"), "sign is turned"),
    Wrong("lost", "sizes only", lost(back="return abs(y[0] - y[1:])"), "speak against"),
    Wrong("lost", "what is left", lost(back="return y[1:]"), "is a difference"),
    Wrong(
        "lost",
        "token by token",
        lost(
            number="tokens = list(tokens)",
            rows="rows = [tokens[:t] + tokens[t + 1:] for t in range(len(tokens))]",
        ),
        "takes all of its tokens",
    ),
    Wrong(
        "lost",
        "the first token of a word",
        lost(
            number="at = [list(words).index(s) for s in range(max(words) + 1)]",
            rows="rows = [[t for i, t in enumerate(tokens) if i != a] for a in at]",
        ),
        "only the first token",
    ),
    Wrong(
        "lost",
        "all tokens like it",
        lost(
            number="own = lambda s: {t for t, w in zip(tokens, words) if w == s}",
            rows=(
                "rows = [[t for t in tokens if t not in own(s)] for s in range(max(words) + 1)]"
            ),
        ),
        "go by its place",
    ),
    Wrong(
        "lost",
        "one word after another",
        lost(
            rows=(
                "rows = [[t for t, w in zip(tokens, words) if w > s or w < 0] "
                "for s in range(number)]"
            )
        ),
        "stay away",
    ),
    Wrong(
        "lost",
        "the end too",
        lost(
            rows=(
                "rows = [[t for t, w in zip(tokens, words) if w != s and w >= 0] "
                "for s in range(number)]"
            ),
        ),
        "stays in every sentence",
    ),
    Wrong(
        "lost",
        "a hole in its place",
        lost(
            rows=(
                "rows = [[None if w == s else t for t, w in zip(tokens, words)] "
                "for s in range(number)]"
            )
        ),
        "leaves no hole",
    ),
    Wrong(
        "lost",
        "token 0 in its place",
        lost(
            rows=(
                "rows = [[0 if w == s else t for t, w in zip(tokens, words)] "
                "for s in range(number)]"
            )
        ),
        "is wrong at the smallest case",
    ),
    Wrong(
        "lost",
        "the whole sentence again each time",
        """
        def lost(function, tokens, words):
            found = []
            for s in range(max(words) + 1):
                rest = [t for t, w in zip(tokens, words) if w != s]
                found.append(function([tokens])[0] - function([rest])[0])
            return np.array(found)
        """,
        "pass is dear",
    ),
    Wrong(
        "lost",
        "a sentence instead of a list of them",
        lost(ask="y = np.array([function(row)[0] for row in [list(tokens), *rows]])"),
        "wants a list of sentences",
    ),
    Wrong(
        "lost",
        "takes out of the list it was given",
        """
        def lost(function, tokens, words):
            y, found = function([tokens])[0], []
            for s in range(max(words) + 1):
                at = [i for i, w in enumerate(words) if w == s]
                for i in reversed(at):
                    del tokens[i], words[i]
                found.append(y - function([tokens])[0])
            return np.array(found)
        """,
        "changes its argument|stay away",
    ),
    Wrong(
        "lost",
        "one -1 is sure",
        lost(number="number = len(set(words)) - 1"),
        "not every sentence has a -1",
    ),
    Wrong(
        "lost",
        "a slice",
        lost(
            rows=(
                "at = [(words.index(s), words.count(s)) for s in range(number)]; "
                "rows = [tokens[:i] + tokens[i + n:] for i, n in at]"
            )
        ),
        "need not be neighbours",
    ),
    Wrong(
        "lost",
        "the check's own",
        "def lost(function, tokens, words):\n    return a09.lost_loops(function, tokens, words)",
        "write it yourself",
    ),
    # --- gradients ---
    Wrong("gradient_times_input", "turned", times(back="return through, held"), "held fixed"),
    Wrong(
        "gradient_times_input", "sizes", times(back="return abs(held), abs(through)"), "signed"
    ),
    Wrong(
        "gradient_times_input",
        "the rest alone",
        times(through="through = a * e * (says - a @ says)"),
        "only what comes through",
    ),
    Wrong("gradient_times_input", "held twice", times(through="through = held"), "weights move"),
    Wrong(
        "gradient_times_input",
        "only one's own weight moves",
        times(through="through = held + a * (1 - a) * e * says"),
        "all others lose weight",
    ),
    Wrong(
        "gradient_times_input",
        "without the sum",
        times(through="through = held + a * e * says"),
        "all others lose weight",
    ),
    Wrong(
        "gradient_times_input",
        "not times the score",
        times(through="through = held + a * (says - a @ says)"),
        "multiplied by the input",
    ),
    Wrong(
        "gradient_times_input",
        "scaled as in chapter 8",
        times(scores="e, says = x @ k / np.sqrt(len(k)), x @ v"),
        "divided by a root",
    ),
    Wrong("gradient_times_input", "no weight", times(held="held = says"), "still factors"),
    Wrong(
        "gradient_times_input",
        "the slope alone",
        times(held="held = a * v.sum()"),
        "multiply it by the input",
    ),
    Wrong(
        "gradient_times_input",
        "no largest subtracted",
        times(weights="a = np.exp(e); a = a / a.sum()"),
        "overflows",
    ),
    Wrong(
        "gradient_times_input",
        "in PyTorch",
        """
        def gradient_times_input(x, k, v):
            import torch
            x, k, v = (torch.tensor(z, dtype=torch.float64) for z in (x, k, v))
            x.requires_grad_()
            found = []
            for fixed in (True, False):
                a = (x @ k).softmax(0)
                y = (a.detach() if fixed else a) @ (x @ v)
                (slope,) = torch.autograd.grad(y, x)
                found.append((x * slope).sum(1).detach().numpy())
            return tuple(found)
        """,
        "uses PyTorch",
    ),
    Wrong(
        "gradient_times_input",
        "by differences",
        """
        def gradient_times_input(x, k, v):
            def y(x, a=None):
                e = x @ k
                if a is None:
                    a = np.exp(e - e.max())
                    a = a / a.sum()
                return a @ (x @ v), a
            whole, a = y(x)
            held, through = np.zeros(len(x)), np.zeros(len(x))
            for s in range(len(x)):
                more = x.copy()
                more[s] *= 1 + 1e-4
                held[s] = (y(more, a)[0] - whole) / 1e-4
                through[s] = (y(more)[0] - whole) / 1e-4
            return held, through
        """,
        "not as exact as a formula",
    ),
    # --- how far apart ---
    Wrong(
        "divergence",
        "in bits",
        apart(back="return (part(p) + part(q)).sum(-1) / 2 / np.log(2)"),
        "in nats",
    ),
    Wrong("divergence", "no half", apart(back="return (part(p) + part(q)).sum(-1)"), "half"),
    Wrong(
        "divergence",
        "its root",
        apart(back="return np.sqrt((part(p) + part(q)).sum(-1) / 2)"),
        "distance",
    ),
    Wrong(
        "divergence",
        "total variation",
        "def divergence(p, q):\n    return abs(p - q).sum(-1) / 2",
        "total variation",
    ),
    Wrong(
        "divergence", "KL", "def divergence(p, q):\n    return (p * np.log(p / q)).sum(-1)", "KL"
    ),
    Wrong(
        "divergence",
        "KL both ways",
        "def divergence(p, q):\n    return ((p - q) * np.log(p / q)).sum(-1) / 2",
        "infinite where one has a zero",
    ),
    Wrong(
        "divergence",
        "arguments swapped",
        """
        def divergence(p, q):
            m = (p + q) / 2
            return (m * np.log(m / p) + m * np.log(m / q)).sum(-1) / 2
        """,
        "wrong place",
    ),
    Wrong(
        "divergence",
        "0 log 0",
        apart(part="part = lambda a: a * np.log(a / m)"),
        "0 log 0",
    ),
    Wrong(
        "divergence",
        "a little added",
        apart(part="part = lambda a: (a + 1e-4) * np.log((a + 1e-4) / (m + 1e-4))"),
        "Leave the zeros out",
    ),
    Wrong(
        "divergence",
        "over everything",
        apart(back="return (part(p) + part(q)).sum() / 2"),
        "each row",
    ),
    Wrong(
        "divergence",
        "SciPy's",
        """
        def divergence(p, q):
            from scipy.spatial.distance import jensenshannon
            return jensenshannon(p, q, axis=-1) ** 2
        """,
        "uses SciPy",
    ),
    # --- an adversary ---
    Wrong("furthest", "exactly the same", far(edges="edges = (y,)"), "change by epsilon"),
    Wrong("furthest", "only less", far(edges="edges = (y - epsilon,)"), "also become larger"),
    Wrong("furthest", "only more", far(edges="edges = (y + epsilon,)"), "also become smaller"),
    Wrong("furthest", "no word alone", far(singles="found += [own]"), "one word alone"),
    Wrong(
        "furthest",
        "words alone only",
        far(pairs="found += [own] if not found else []"),
        "two words may share",
    ),
    Wrong(
        "furthest",
        "whatever the sum becomes",
        """
        def furthest(alone, own, epsilon):
            new = np.eye(len(own))[own.argmin()]
            return new, divergence(new, own)
        """,
        "another answer",
    ),
    Wrong(
        "furthest",
        "by total variation",
        far(best="best = max(found, key=lambda new: abs(new - own).sum())"),
        "total variation",
    ),
    Wrong(
        "furthest",
        "the nearest",
        far(best="best = min(found, key=lambda new: divergence(new, own))"),
        "nearest",
    ),
    Wrong(
        "furthest",
        "in steps of a hundredth",
        """
        def furthest(alone, own, epsilon):
            S, y, found = len(own), own @ alone, [own]
            for i in range(S):
                for j in range(S):
                    for t in np.linspace(0, 1, 101):
                        new = np.eye(S)[i] * t + np.eye(S)[j] * (1 - t)
                        if abs(new @ alone - y) <= epsilon + 1e-12:
                            found.append(new)
            best = max(found, key=lambda new: divergence(new, own))
            return best, divergence(best, own)
        """,
        "solve for the share|is wrong at the smallest case",
    ),
    Wrong(
        "furthest",
        "two weights exchanged",
        """
        def furthest(alone, own, epsilon):
            found = [own]
            for i in range(len(own)):
                for j in range(len(own)):
                    new = own.copy()
                    new[[i, j]] = new[[j, i]]
                    if abs((new - own) @ alone) <= epsilon + 1e-9:
                        found.append(new)
            best = max(found, key=lambda new: divergence(new, own))
            return best, divergence(best, own)
        """,
        "all others stay",
    ),
    Wrong(
        "furthest",
        "no room for rounding",
        far(
            begin="S, y, found = len(own), own @ alone, [own]",
            singles=FAR["singles"].replace(" + 1e-9", ""),
        ),
        "missed by rounding",
    ),
    Wrong("furthest", "no divergence back", far(back="return best"), "instead of 2"),
    Wrong(
        "furthest",
        "equal words divided",
        """
        def furthest(alone, own, epsilon):
            S, y = len(own), float(own @ alone)
            best, most = own, -1.0
            for i in range(S):
                for j in range(S):
                    for edge in (y - epsilon, y + epsilon):
                        t = (edge - float(alone[j])) / (float(alone[i]) - float(alone[j]))
                        if i != j and 0 <= t <= 1:
                            new = np.eye(S)[i] * t + np.eye(S)[j] * (1 - t)
                            if divergence(new, own) > most:
                                best, most = new, divergence(new, own)
            return best, most
        """,
        "ZeroDivisionError",
    ),
    # --- a claim ---
    Wrong(
        "claim",
        "no control",
        claim(
            gains=(
                "gains = [nats[np.arange(len(a)), a.argmax(1)] for a, nats in zip(weights, lost)]"
            )
        ),
        "control is missing",
    ),
    Wrong(
        "claim",
        "the control is the mean",
        claim(
            gains=(
                "gains = [nats[np.arange(len(a)), a.argmax(1)] - nats.mean(1) "
                "for a, nats in zip(weights, lost)]"
            )
        ),
        "mean of all words",
    ),
    Wrong(
        "claim",
        "the costliest word",
        claim(
            gains=(
                "gains = [x.max(1) - x[np.arange(len(x)), o] for x, o in zip(lost, others)]"
            )
        ),
        "most \\*attended\\*",
    ),
    Wrong(
        "claim",
        "sizes",
        claim(
            gains=(
                "gains = [abs(x[np.arange(len(x)), a.argmax(1)]) - abs(x[np.arange(len(x)), o]) "
                "for a, x, o in zip(weights, lost, others)]"
            )
        ),
        "one may also gain",
    ),
    Wrong(
        "claim",
        "the sign turned",
        claim(back="return -mean(gains), -high, -low"),
        "sign is turned",
    ),
    Wrong(
        "claim",
        "sentence by sentence",
        claim(mean="mean = lambda some: np.mean([x.mean() for x in some])"),
        "each sentence counts the same here",
    ),
    Wrong(
        "claim",
        "medians",
        claim(mean="mean = lambda some: np.median(np.concatenate(some))"),
        "median",
    ),
    Wrong(
        "claim",
        "by a standard deviation",
        claim(
            ends="low, high = mean(gains) + 1.96 * np.std(means) * np.array([-1, 1])",
        ),
        "standard deviation",
    ),
    Wrong(
        "claim",
        "percentiles of words",
        claim(ends="low, high = np.percentile(np.concatenate(gains), [2.5, 97.5])"),
        "about the \\*mean\\*",
    ),
    Wrong(
        "claim",
        "the basic bootstrap",
        claim(
            ends=(
                "low, high = np.percentile(means, [2.5, 97.5]); "
                "low, high = 2 * mean(gains) - high, 2 * mean(gains) - low"
            )
        ),
        "mirrored at the mean",
    ),
    Wrong(
        "claim",
        "divided by one number",
        claim(
            means=(
                "n = sum(map(len, gains)); "
                "means = [np.concatenate([gains[i] for i in row]).sum() / n for row in draws]"
            )
        ),
        "a draw has its own number",
    ),
    Wrong(
        "claim",
        "the mean of the draws",
        claim(back="return np.mean(means), low, high"),
        "mean of the means drawn",
    ),
    Wrong("claim", "90 %", claim(ends="low, high = np.percentile(means, [5, 95])"), "90 %"),
    Wrong("claim", "extremes", claim(ends="low, high = min(means), max(means)"), "on either side"),
    Wrong(
        "claim",
        "an interval of sentence means",
        claim(means="means = [np.mean([gains[n].mean() for n in row]) for row in draws]"),
        "do both alike",
    ),
    Wrong(
        "claim",
        "each sentence once",
        claim(means="means = [mean([gains[n] for n in sorted(set(row))]) for row in draws]"),
        "counts twice",
    ),
    Wrong(
        "claim",
        "words drawn anew",
        claim(
            means=(
                "rng = np.random.default_rng(0); all_ = np.concatenate(gains); "
                "means = [rng.choice(all_, len(all_)).mean() for row in draws]"
            )
        ),
        "is wrong at the smallest case",
    ),
]  # fmt: skip

RIGHT = [
    Right(
        "loops",
        lost="""
        def lost(function, tokens, words):
            outputs = [float(function([tokens])[0])]
            for s in range(max(words) + 1):
                left = []
                for token, word in zip(tokens, words):
                    if word == s:
                        continue
                    left.append(token)
                outputs.append(float(function([left])[0]))
            return [outputs[0] - y for y in outputs[1:]]
        """,
        gradient_times_input="""
        def gradient_times_input(x, k, v):
            e = [float(sum(row * k)) for row in x]
            w = [np.exp(each - max(e)) for each in e]
            a = [each / sum(w) for each in w]
            says = [float(sum(row * v)) for row in x]
            held, through = [], []
            for s in range(len(x)):
                held.append(a[s] * says[s])
                more = 0.0
                for t in range(len(x)):
                    more += a[t] * ((t == s) - a[s]) * says[t]
                through.append(held[s] + e[s] * more)
            return np.array(held), np.array(through)
        """,
        divergence="""
        def divergence(p, q):
            out = np.zeros(p.shape[:-1])
            for i in np.ndindex(out.shape):
                for a, b in zip(p[i], q[i]):
                    m = (a + b) / 2
                    out[i] += a * np.log(a / m) / 2 if a else 0.0
                    out[i] += b * np.log(b / m) / 2 if b else 0.0
            return out
        """,
        furthest=far(
            best="best = sorted(found, key=lambda new: float(divergence(new, own)))[-1]",
        ),
        claim="""
        def claim(weights, lost, others, draws):
            total, count = [], []
            for a, nats, other in zip(weights, lost, others):
                t = 0.0
                for i in range(len(a)):
                    t += nats[i][np.argmax(a[i])] - nats[i][other[i]]
                total.append(t)
                count.append(len(a))
            total, count = np.array(total), np.array(count)
            means = total[draws].sum(1) / count[draws].sum(1)
            return total.sum() / count.sum(), *np.percentile(means, (2.5, 97.5))
        """,
    ),
    Right(
        "by entropies, as matrices",
        lost="""
        def lost(function, tokens, words):
            tokens, words = np.array(tokens), np.array(words)
            rows = [tokens[words != s].tolist() for s in np.unique(words[words >= 0])]
            y = function([tokens.tolist()] + rows)
            return y[:1] - y[1:]
        """,
        gradient_times_input="""
        def gradient_times_input(x, k, v):
            e = x @ k
            a = np.exp(e - np.logaddexp.reduce(e))
            J = np.diag(a) - np.outer(a, a)
            slope = a[:, None] * v
            return (x * slope).sum(1), (x * (slope + np.outer(J @ (x @ v), k))).sum(1)
        """,
        divergence="""
        def divergence(p, q):
            def entropy(a):
                return -(a * np.log(np.where(a > 0, a, 1.0))).sum(-1)
            return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
        """,
        furthest="""
        def furthest(alone, own, epsilon):
            S, y = len(own), own @ alone
            gap = alone[:, None] - alone
            with np.errstate(all="ignore"):
                shares = (y + np.array([-epsilon, epsilon])[:, None, None] - alone) / gap
            shares = np.where((gap != 0) & (shares >= 0) & (shares <= 1), shares, np.nan)
            near = abs(alone - y) <= epsilon + 1e-9
            shares[0][np.diag_indices(S)] = np.where(near, 1.0, np.nan)
            which = np.argwhere(~np.isnan(shares))
            new = np.zeros((len(which), S))
            for row, (edge, i, j) in zip(new, which):
                row[j] += 1 - shares[edge, i, j]
                row[i] += shares[edge, i, j]
            apart = divergence(new, np.broadcast_to(own, new.shape))
            return new[apart.argmax()], apart.max()
        """,
        claim=claim(
            gains=(
                "gains = [np.take_along_axis(x, np.stack([a.argmax(1), o], 1), 1) @ [1, -1] "
                "for a, x, o in zip(weights, lost, others)]"
            ),
            back="return np.array([mean(gains), low, high])",
        ),
    ),
    Right(
        "the divergence in two steps, the search by lists",
        lost=lost(
            number="groups = {}",
            rows=(
                "[groups.setdefault(w, []).append(i) for i, w in enumerate(words) if w >= 0]; "
                "rows = [[t for i, t in enumerate(tokens) if i not in groups[s]] "
                "for s in sorted(groups)]"
            ),
        ),
        gradient_times_input=times(
            weights="a = 1 / np.exp(np.minimum(e[None, :] - e[:, None], 700)).sum(1)",
        ),
        divergence=apart(
            back="return 0.5 * part(p).sum(axis=-1) + 0.5 * part(q).sum(axis=-1)",
        ),
        furthest=far(
            pairs=(
                "at = lambda i, t: np.where(np.arange(S) == i, t, 0.0); "
                "gap = lambda i, j: alone[i] - alone[j] or np.inf; "
                "found += [at(i, t) + at(j, 1 - t) for i in range(S) for j in range(i) "
                "for t in np.clip((np.array(edges) - alone[j]) / gap(i, j), 0, 1) "
                "if abs(t * alone[i] + (1 - t) * alone[j] - y) <= epsilon + 1e-9]"
            ),
        ),
        claim=claim(means="means = np.array([mean([gains[n] for n in row]) for row in draws])"),
    ),
]  # fmt: skip

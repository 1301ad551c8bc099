"""Answers to assignment 6: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong

TWO = {
    "weights": "a = np.exp(scores - scores.max()); a = a / a.sum()",
    "context": "c = a @ values",
    "rewards": "r = -(values - wanted) ** 2 / 2",
    "average": "one = (wanted - c) * a * (values - c)",
    "choice": "two = a * (r - a @ r)",
    "back": "return one, two",
}


def two(**lines: str) -> str:
    """The two gradients, of which the named lines differ."""
    body = "\n    ".join((TWO | lines).values())
    return f"def gradients(scores, values, wanted):\n    {body}\n"


EACH = {
    "weights": "a = np.exp(scores - scores.max()); a = a / a.sum()",
    "choose": ("k = np.minimum(np.searchsorted(np.cumsum(a), u, side='right'), len(a) - 1)"),
    "earned": "r = reward(k)",
    "better": "gain = r - b",
    "slope": "by = np.eye(len(a))[k] - a",
    "back": "return gain[:, None] * by, r",
}


def each(**lines: str) -> str:
    """Estimates of which the named lines differ."""
    body = "\n    ".join((EACH | lines).values())
    return f"def estimates(scores, reward, u, b):\n    {body}\n"


LEARN = {
    "before": "pass",
    "estimate": "slopes, r = estimates(scores, reward, row, b)",
    "move": "scores = scores + rate * slopes.mean(0)",
    "baseline": "b = 0.9 * b + 0.1 * r.mean()",
}


def learn(start="b = 0.0", **lines: str) -> str:
    """Learning of which the named lines differ."""
    body = "\n        ".join((LEARN | lines).values())
    return (
        "def learn(scores, reward, u, rate):\n"
        f"    {start}\n"
        "    for row in u:\n"
        f"        {body}\n"
        "    return scores, b\n"
    )


LOSS = {
    "log_a": "log_a = torch.log_softmax(scores, 1)[torch.arange(len(chosen)), chosen]",
    "gain": "gain = (log_p - b).detach()",
    "learned": "learned = (gain * log_a).mean()",
    "back": "return -log_p.mean() - (learned - learned.detach())",
}


def loss(**lines: str) -> str:
    """A loss of which the named lines differ."""
    body = "\n    ".join((LOSS | lines).values())
    return f"def surrogate(scores, chosen, log_p, b):\n    {body}\n"


WRONG = [
    # --- two gradients ---
    Wrong("gradients", "the choice first", two(back="return two, one"), "average comes first"),
    Wrong("gradients", "of a loss", two(back="return -one, -two"), "should rise, not of a loss"),
    Wrong(
        "gradients",
        "the average's sign",
        two(average="one = (c - wanted) * a * (values - c)"),
        "too high a context",
    ),
    Wrong(
        "gradients",
        "the average by its weights",
        two(average="one = (wanted - c) * values"),
        "slopes by the weights",
    ),
    Wrong(
        "gradients",
        "half a softmax for the average",
        two(average="one = (wanted - c) * a * values"),
        "takes from the others",
    ),
    Wrong("gradients", "the choice by its weights", two(choice="two = r"), "by the weights"),
    Wrong("gradients", "no expectation", two(choice="two = a * r"), "compared with"),
    Wrong(
        "gradients",
        "the reward of the average",
        two(choice="two = a * (r + (c - wanted) ** 2 / 2)"),
        "average of the rewards",
    ),
    Wrong("gradients", "the plain mean", two(choice="two = a * (r - r.mean())"), "plain mean"),
    Wrong("gradients", "the weight forgotten", two(choice="two = r - a @ r"), "how often"),
    Wrong(
        "gradients",
        "exp of large scores",
        two(weights="a = np.exp(scores) / np.exp(scores).sum()"),
        "overflows",
    ),
    # --- estimates ---
    Wrong(
        "estimates",
        "the key of most weight",
        each(choose="k = np.full(len(u), a.argmax())"),
        "a key is drawn",
    ),
    Wrong(
        "estimates",
        "any key",
        each(choose="k = (u * len(a)).astype(int)"),
        "as often as its weight",
    ),
    Wrong(
        "estimates",
        "the sign of a loss",
        each(back="return -gain[:, None] * by, r"),
        "sign is turned",
    ),
    Wrong(
        "estimates",
        "the logarithm forgotten",
        each(slope="by = a[k][:, None] * (np.eye(len(a))[k] - a)"),
        "that of its logarithm",
    ),
    Wrong(
        "estimates",
        "by the weights",
        each(slope="by = np.eye(len(a))[k] / a"),
        "by the scores",
    ),
    Wrong("estimates", "the chosen score only", each(slope="by = np.eye(len(a))[k]"), "softmax"),
    Wrong(
        "estimates",
        "the chosen score only, times what is left",
        each(slope="by = np.eye(len(a))[k] * (1 - a)"),
        "all the others move",
    ),
    Wrong("estimates", "no baseline", each(better="gain = r"), "not used"),
    Wrong("estimates", "the baseline added", each(better="gain = r + b"), "subtracted"),
    Wrong(
        "estimates",
        "a baseline that depends on the key",
        each(better="gain = r - b * a[k]"),
        "depends on the key",
    ),
    Wrong(
        "estimates",
        "praise only",
        each(better="gain = np.maximum(r - b, 0)"),
        "worse than the baseline",
    ),
    Wrong(
        "estimates",
        "divided by the number of draws",
        each(back="return gain[:, None] * by / len(u), r"),
        "for each draw",
    ),
    Wrong("estimates", "rewards less b", each(back="return gain[:, None] * by, gain"), "as they"),
    Wrong(
        "estimates",
        "a key of weight 0",
        each(choose="k = np.minimum(np.searchsorted(np.cumsum(a), u), len(a) - 1)"),
        "weight 0",
    ),
    Wrong(
        "estimates",
        "the first key if none is left",
        each(choose="k = (u[:, None] < np.cumsum(a)).argmax(1)"),
        "left over belongs to the last",
    ),
    Wrong(
        "estimates",
        "behind the last key",
        each(choose="k = np.searchsorted(np.cumsum(a), u, side='right')"),
        "IndexError",
    ),
    Wrong(
        "estimates",
        "chance of its own",
        each(choose="k = np.random.default_rng(0).choice(len(a), size=len(u), p=a)"),
        "wrong at the smallest case",
    ),
    Wrong(
        "estimates",
        "asks what every key earns",
        each(earned="r = reward(np.arange(len(a)))[k]"),
        "no draw has chosen it",
    ),
    Wrong(
        "estimates",
        "asks twice",
        each(better="gain = reward(k) - b"),
        "once for each",
    ),
    Wrong(
        "estimates",
        "writes on the rewards",
        each(better="gain = r.copy() - b; r -= b", back="return gain[:, None] * by, r + b"),
        "writes on the rewards",
    ),
    Wrong(
        "estimates",
        "exp without the maximum",
        each(weights="a = np.exp(scores); a = a / a.sum()"),
        "overflows",
    ),
    # --- learning ---
    Wrong(
        "learn",
        "downhill",
        learn(move="scores = scores - rate * slopes.mean(0)"),
        "downhill",
    ),
    Wrong(
        "learn",
        "the baseline moved first",
        learn(
            before="b = 0.9 * b + 0.1 * estimates(scores, reward, row, b)[1].mean()",
            baseline="pass",
        ),
        "heard of this step's rewards",
    ),
    Wrong(
        "learn",
        "the step's own mean",
        learn(
            estimate="slopes, r = estimates(scores, reward, row, "
            "estimates(scores, reward, row, 0.0)[1].mean())"
        ),
        "own mean",
    ),
    Wrong(
        "learn",
        "begins with the first rewards",
        learn("b = estimates(scores, reward, u[0], 0.0)[1].mean()"),
        "begins with 0",
    ),
    Wrong("learn", "forgets too fast", learn(baseline="b = 0.1 * b + 0.9 * r.mean()"), "tenth"),
    Wrong("learn", "summed", learn(move="scores = scores + rate * slopes.sum(0)"), "added up"),
    Wrong(
        "learn",
        "the scores of the beginning",
        learn(
            "b = 0.0; start = scores",
            estimate="slopes, r = estimates(start, reward, row, b)",
        ),
        "scores of the beginning",
    ),
    Wrong(
        "learn",
        "the baseline never used",
        learn(estimate="slopes, r = estimates(scores, reward, row, 0.0)"),
        "never used",
    ),
    Wrong(
        "learn", "in place", learn(move="scores += rate * slopes.mean(0)"), "changes its argument"
    ),
    Wrong(
        "learn",
        "a step for each draw",
        learn(
            estimate="row = list(row); rs = []",
            move=(
                "for x in row: g, r = estimates(scores, reward, np.array([x]), b); "
                "scores = scores + rate * g[0] / len(row); rs.append(r[0])"
            ),
            baseline="b = 0.9 * b + 0.1 * np.mean(rs)",
        ),
        "after each draw",
    ),
    Wrong(
        "learn",
        "the first mean for a baseline",
        learn(
            "b = None",
            estimate="slopes, r = estimates(scores, reward, row, b or 0.0)",
            baseline="b = r.mean() if b is None else 0.9 * b + 0.1 * r.mean()",
        ),
        "a tenth of it is wanted",
    ),
    Wrong(
        "learn",
        "the baseline hears less than the rewards",
        learn(baseline="b = 0.9 * b + 0.1 * (r - b).mean()"),
        "rewards less itself",
    ),
    Wrong(
        "learn",
        "asks again after the step",
        learn(
            baseline="b = 0.9 * b + 0.1 * estimates(scores, reward, row, b)[1].mean()",
        ),
        "what the new scores earn",
    ),
    # --- a loss ---
    Wrong(
        "surrogate",
        "the logarithm of a softmax",
        loss(
            log_a="log_a = torch.softmax(scores, 1).log()[torch.arange(len(chosen)), chosen]",
        ),
        "its logarithm is infinite",
    ),
    Wrong(
        "surrogate",
        "a gradient through the reward",
        loss(gain="gain = log_p - b.detach()"),
        "runs through the reward",
    ),
    Wrong(
        "surrogate",
        "a gradient through the baseline",
        loss(gain="gain = log_p.detach() - b"),
        "runs through the baseline",
    ),
    Wrong(
        "surrogate",
        "a gradient through both",
        loss(gain="gain = log_p - b"),
        "runs through the reward.*same holds for the baseline",
    ),
    Wrong(
        "surrogate",
        "the value of the estimate added",
        loss(back="return -log_p.mean() - learned"),
        "value is not",
    ),
    Wrong(
        "surrogate",
        "the sign turned",
        loss(back="return -log_p.mean() + (learned - learned.detach())"),
        "sign of the estimate",
    ),
    Wrong(
        "surrogate",
        "the estimate alone",
        loss(back="return -learned"),
        "teaches the words",
    ),
    Wrong(
        "surrogate",
        "the words alone",
        loss(back="return -log_p.mean() + 0 * scores.sum()"),
        "no gradient reaches the scores",
    ),
    Wrong(
        "surrogate",
        "the probability",
        loss(log_a="log_a = torch.softmax(scores, 1)[torch.arange(len(chosen)), chosen]"),
        "logarithm is wanted",
    ),
    Wrong("surrogate", "no baseline", loss(gain="gain = log_p.detach()"), "not used"),
    Wrong(
        "surrogate",
        "all keys",
        loss(log_a="log_a = torch.log_softmax(scores, 1).sum(1)"),
        "only the chosen",
    ),
    Wrong(
        "surrogate",
        "a score for a log-probability",
        loss(log_a="log_a = scores[torch.arange(len(chosen)), chosen]"),
        "takes a softmax",
    ),
    Wrong(
        "surrogate",
        "the mean of each",
        loss(learned="learned = gain.mean() * log_a.mean()"),
        "mean of the products",
    ),
    Wrong("surrogate", "summed", loss(learned="learned = (gain * log_a).sum()"), "added up"),
    Wrong(
        "surrogate",
        "everything detached",
        loss(back="return (-log_p.mean() - learned).detach()"),
        "without a gradient",
    ),
    Wrong(
        "surrogate",
        "a loss for each question",
        loss(back="return -log_p - gain * (log_a - log_a.detach())"),
        "one number",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "gradients",
        "the mean taken off",
        """
        def gradients(scores, values, wanted):
            exps = np.exp(scores - scores.mean())
            a = exps / exps.sum()
            c = a @ values
            r = -((values - wanted) ** 2) / 2
            return ((wanted - c) * a * (values - c), a * (r - a @ r))
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "gradients",
        "differences of a number",
        """
        def gradients(scores, values, wanted):

            def both(e):
                x = np.exp(e - e.max())
                a = x / x.sum()
                return np.array(
                    [-((a @ values - wanted) ** 2) / 2, a @ (-((values - wanted) ** 2) / 2)]
                )

            g = np.array(
                [
                    (both(scores + d) - both(scores - d)) / 2e-05
                    for d in 1e-05 * np.eye(len(scores))
                ]
            )
            return (g[:, 0], g[:, 1])
        """,
        "nearly right, but not as exact",
    ),
    Wrong(
        "estimates",
        "the mean taken off",
        """
        def estimates(scores, reward, u, b):
            exps = np.exp(scores - scores.mean())
            a = exps / exps.sum()
            chosen = np.minimum(np.searchsorted(np.cumsum(a), u, side="right"), len(a) - 1)
            earned = reward(chosen)
            return ((earned - b)[:, None] * (np.eye(len(a))[chosen] - a), earned)
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "learn",
        "estimates called once more for nothing",
        """
        def learn(scores, reward, u, rate):
            b = 0.0
            for i, row in enumerate(u):
                slopes, earned = estimates(scores, reward, row, b)
                estimates(scores, reward, row, b)
                scores = scores + rate * slopes.mean(0)
                b = 0.9 * b + 0.1 * earned.mean()
            return (scores, b)
        """,
        "a reward is dear",
    ),
    Wrong(
        "learn",
        "asks for every key's reward as well",
        """
        def learn(scores, reward, u, rate):
            b = 0.0
            for i, row in enumerate(u):
                slopes, earned = estimates(scores, reward, row, b)
                reward(np.arange(len(scores)))
                scores = scores + rate * slopes.mean(0)
                b = 0.9 * b + 0.1 * earned.mean()
            return (scores, b)
        """,
        "a reward is dear",
    ),
    Wrong(
        "surrogate",
        "the mean taken off",
        """
        def surrogate(scores, chosen, log_p, b):
            log_a = (
                lambda z: (z - torch.log(torch.exp(z).sum(1, keepdim=True))).gather(
                    1, chosen[:, None]
                )[:, 0]
            )(scores - scores.mean(1, keepdim=True))
            learned = ((log_p - b).detach() * log_a).mean()
            return -log_p.mean() - (learned - learned.detach())
        """,
        "mean of the scores is subtracted",
    ),
    Wrong(
        "learn",
        "asks again for the mean",
        """
        def learn(scores, reward, u, rate):
            b = 0.0
            for row in u:
                exps = np.exp(scores - scores.max())
                a = exps / exps.sum()
                keys = np.minimum(np.searchsorted(np.cumsum(a), row, side="right"), len(a) - 1)
                slopes, _ = estimates(scores, reward, row, b)
                scores = scores + rate * slopes.mean(0)
                b = 0.9 * b + 0.1 * reward(keys).mean()
            return (scores, b)
        """,
        "a reward is dear",
    ),
    Wrong(
        "learn",
        "writes on the rewards",
        """
        def learn(scores, reward, u, rate):
            b = 0.0
            for row in u:
                slopes, earned = estimates(scores, reward, row, b)
                scores = scores + rate * slopes.mean(0)
                earned *= 0.1
                b = 0.9 * b + earned.mean()
            return (scores, b)
        """,
        "writes on the rewards",
    ),
    Wrong(
        "gradients",
        "by PyTorch's gradient",
        """
        def gradients(scores, values, wanted):
            found = []
            for goal in (
                lambda a, v: -((a @ v - wanted) ** 2) / 2,
                lambda a, v: a @ (-((v - wanted) ** 2) / 2),
            ):
                e = torch.tensor(scores, requires_grad=True)
                goal(e.softmax(0), torch.tensor(values)).backward()
                found.append(e.grad)
            return tuple(found)
        """,
        "uses PyTorch",
    ),
    Wrong(
        "estimates",
        "by PyTorch's gradient",
        """
        def estimates(scores, reward, u, b):
            e = torch.tensor(scores).expand(len(u), -1).clone().requires_grad_()
            sums = e[0].detach().softmax(0).cumsum(0).numpy()
            k = np.array([min(sum(sums <= x), len(sums) - 1) for x in u])
            r = reward(k)
            log_a = e.log_softmax(1)[torch.arange(len(u)), torch.tensor(k)]
            (torch.tensor(r - b) * log_a).sum().backward()
            return e.grad.numpy(), r
        """,
        "uses PyTorch",
    ),
    Wrong(
        "surrogate",
        "the softmax over the batch",
        """
        def surrogate(scores, chosen, log_p, b):
            log_a = torch.log_softmax(scores, 0).gather(1, chosen[:, None])[:, 0]
            learned = ((log_p - b).detach() * log_a).mean()
            return -log_p.mean() - (learned - learned.detach())
        """,
        "run over the keys",
    ),
]

RIGHT = [
    Right(
        "loops",
        gradients="""
        def gradients(scores, values, wanted):
            a = np.exp(scores - max(scores))
            a = a / sum(a)
            J = np.diag(a) - np.outer(a, a)
            return J @ values * (wanted - a @ values), J @ (-0.5 * (values - wanted) ** 2)
        """,
        estimates="""
        def estimates(scores, reward, u, b):
            a = np.exp(scores - max(scores))
            a = a / sum(a)
            slopes, earned = [], []
            for number in u:
                s, total = 0, a[0]
                while total <= number and s < len(a) - 1:
                    s += 1
                    total += a[s]
                earned.append(reward(np.array([s]))[0])
                slope = -a * (earned[-1] - b)
                slope[s] += earned[-1] - b
                slopes.append(slope)
            return np.array(slopes), np.array(earned)
        """,
        learn="""
        def learn(scores, reward, u, rate):
            e, b = scores.copy(), 0.0
            for i in range(len(u)):
                g, r = estimates(e, reward, u[i], b)
                e += rate * sum(g) / len(g)
                b += 0.1 * (sum(r) / len(r) - b)
            return e, b
        """,
        surrogate="""
        def surrogate(scores, chosen, log_p, b):
            total = 0.0
            for i in range(len(chosen)):
                log_a = scores[i, chosen[i]] - scores[i].logsumexp(0)
                gain = log_p[i].item() - b[i].item()
                total = total - log_p[i] - gain * (log_a - log_a.item())
            return total / len(chosen)
        """,
    ),
    Right(
        "by other sums",
        gradients=two(
            average="one = a * (wanted - c) * values - a * (wanted - c) * c",
            choice="two = a * ((1 - a) * r - np.array([a @ r - x for x in a * r]))",
        ),
        estimates=each(
            choose="k = np.minimum((np.cumsum(a)[None] <= u[:, None]).sum(1), len(a) - 1)",
            slope="by = (np.arange(len(a)) == k[:, None]) - a",
            back="return np.einsum('n,ns->ns', gain, by), r",
        ),
        learn=learn("b = 0.0; scores = scores + 0.0", baseline="b = b - 0.1 * (b - np.mean(r))"),
        surrogate=loss(
            log_a=("log_a = -torch.nn.functional.cross_entropy(scores, chosen, reduction='none')"),
            learned="with torch.no_grad(): told = (gain * log_a).mean()",
            back="return told - (log_p + gain * log_a).mean()",
        ),
    ),
    Right(
        "by a distribution of PyTorch's",
        surrogate=loss(
            log_a="log_a = torch.distributions.Categorical(logits=scores).log_prob(chosen)",
            gain="gain = log_p.detach() - b.detach()",
            back="return -(log_p + gain * (log_a - log_a.detach())).mean()",
        ),
    ),
]

"""Answers to assignment 4: wrong ones, each with the check that must fail, and right ones."""

from mutants import Right, Wrong


def early(first: str, then: str, *, out: str = "np.array(states), np.array(rows)") -> str:
    """A whole early decoder: what happens before the state is renewed, and the rest of the step."""
    return f"""
    def att(query, annotations):
        exps = np.exp(annotations @ query)
        a = exps / exps.sum()
        return a, a @ annotations

    def early(words, state, annotations, W):
        states, rows, start = [], [], state
        last = np.zeros(len(state))
        for t, y in enumerate(words):
            {first}
            {then}
            states.append(state)
            rows.append(a)
        return {out}
    """


LOOK = "a, c = att(state, annotations)"
STEP = "state = state + W @ np.concatenate([y, c])"


def late(
    state: str = "state + W @ np.concatenate([y, fed])",
    ask: str = "state",
    vector: str = "np.tanh(W_c @ np.concatenate([state, c, y]))",
    fed: str = "vector",
    then: str = "pass",
    first: str = "np.zeros(len(W_c))",
    out: str = "np.array(vectors), np.array(rows)",
) -> str:
    """A whole late decoder, with one line of its own."""
    return f"""
    def late(words, state, annotations, W, W_c):
        fed, vectors, rows, states = {first}, [], [], []
        for t, y in enumerate(words):
            old = state
            state = {state}
            exps = np.exp(annotations @ ({ask}))
            a = exps / exps.sum()
            c = a @ annotations
            vector = {vector}
            fed = {fed}
            vectors.append(vector)
            rows.append(a)
            states.append(state)
            {then}
        return {out}
    """


def shift(given: str, wanted: str, then: str = "pass") -> str:
    """What is given and wanted, made from targets with frames around them."""
    return f"""
    def shift(targets):
        B, T = targets.shape
        first, last, none = (np.full((B, 1), x) for x in (BOS, EOS, PAD))
        framed = np.hstack([first, targets, none])
        framed[np.arange(B), (targets != PAD).sum(1) + 1] = EOS
        given, wanted = {given}, {wanted}
        {then}
        return given, wanted
    """


def greedy(
    scores: str = "np.where(mask, e, -np.inf)",
    weights: str = "exps / exps.sum(1, keepdims=True)",
    ask: str = "state",
    read: str = "vector",
    fed: str = "vector",
    previous: str = "best",
    written: str = "np.where(done, PAD, best)",
    row: str = "np.where(done[:, None], 0.0, a)",
    done: str = "done | (best == EOS)",
    out: str = "np.stack(ids, 1), np.stack(rows, 1)",
) -> str:
    """A whole greedy search, with one line of its own."""
    return f"""
    def greedy(annotations, lengths, states, E, W, W_c, longest):
        B, S, D = annotations.shape
        mask = np.arange(S) < lengths[:, None]
        state, fed = states, np.zeros((B, E.shape[1]))
        previous, done, ids, rows = np.full(B, BOS), np.zeros(B, bool), [], []
        for t in range(longest):
            y, old = E[previous], state
            state = state + np.hstack([y, fed]) @ W.T
            e = (annotations @ ({ask})[:, :, None])[:, :, 0]
            scores = {scores}
            exps = np.exp(scores)
            a = {weights}
            c = (a[:, None] @ annotations)[:, 0]
            vector = np.tanh(np.hstack([state, c, y]) @ W_c.T)
            best = (({read}) @ E.T).argmax(1)
            fed = {fed}
            ids.append({written})
            rows.append({row})
            previous, done = {previous}, {done}
        return {out}
    """


WRONG = [
    # --- asked before ---
    Wrong(
        "early",
        "not written",
        "def early(words, state, annotations, W):\n    raise NotImplementedError()",
        "not written yet",
    ),
    Wrong(
        "early",
        "Luong's timing",
        early(
            "state = state + W @ np.concatenate([y, last])",
            "a, c = att(state, annotations); last = c",
        ),
        "Luong's timing under Bahdanau's name",
    ),
    Wrong(
        "early",
        "Luong's timing, the first context asked for",
        early(
            "last = att(start, annotations)[1] if t == 0 else last",
            "state = state + W @ np.concatenate([y, last]); a, last = att(state, annotations)",
        ),
        "Luong's timing under Bahdanau's name",
    ),
    Wrong(
        "early",
        "half a step, then the question",
        early(
            "a, c = att(state + W[:, : len(y)] @ y, annotations)",
            STEP,
        ),
        "Luong's timing under Bahdanau's name",
    ),
    Wrong(
        "early",
        "the context of the step before",
        early(LOOK, "state = state + W @ np.concatenate([y, last]); last = c"),
        "fed the context of the step before",
    ),
    Wrong(
        "early",
        "no context in the cell",
        early(LOOK, "state = state + W[:, : len(y)] @ y"),
        "no context goes into the cell",
    ),
    Wrong(
        "early",
        "context and word",
        early(LOOK, "state = state + W @ np.concatenate([c, y])"),
        "the word first",
    ),
    Wrong(
        "early",
        "the states before the steps",
        early(
            LOOK + "; old = state",
            STEP,
            out="np.array([start, *states[:-1]]), np.array(rows)",
        ),
        "those before the steps",
    ),
    Wrong(
        "early",
        "the start asks always",
        early("a, c = att(start, annotations)", STEP),
        "the initial state asks in every step",
    ),
    Wrong(
        "early",
        "the old state forgotten",
        early(LOOK, "state = W @ np.concatenate([y, c])"),
        "the old state is forgotten",
    ),
    Wrong(
        "early",
        "the word before the word before",
        early(LOOK, "state = state + W @ np.concatenate([words[t - 1], c])"),
        "already the word before step t",
    ),
    Wrong(
        "early",
        "the word before the word before, and zeros first",
        early(
            LOOK,
            "state = state + W @ np.concatenate([words[t - 1] if t else 0 * y, c])",
        ),
        "already the word before step t",
    ),
    Wrong(
        "early",
        "weights first",
        early(LOOK, STEP, out="np.array(rows), np.array(states)"),
        "the states come first",
    ),
    Wrong(
        "early",
        "scaled",
        early("a, c = att(state / len(state) ** 0.5, annotations)", STEP),
        "root of the width",
    ),
    Wrong(
        "early",
        "no softmax",
        early("a = annotations @ state; c = a @ annotations", STEP),
        "where is the softmax",
    ),
    Wrong(
        "early",
        "the initial state changed",
        early(LOOK, "state += W @ np.concatenate([y, c])"),
        "changes its argument state",
    ),
    Wrong(
        "early",
        "the kept states changed",
        early(
            "state = state.copy() if t == 0 else state; a, c = att(state, annotations)",
            "state += W @ np.concatenate([y, c])",
        ),
        "changes an array in place",
    ),
    Wrong(
        "early",
        "one step for all words",
        """
        def early(words, state, annotations, W):
            a = np.exp(annotations @ state)
            a = np.tile(a / a.sum(), (len(words), 1))
            return state + np.hstack([words, a @ annotations]) @ W.T, a
        """,
        "every step begins from the initial state",
    ),
    Wrong("early", "the check's own", "early = a04.early_loops", "write it yourself"),
    # --- asked after ---
    Wrong(
        "late",
        "the next word in the readout",
        """
        def late(words, state, annotations, W, W_c):
            fed, out, rows = np.zeros(len(W_c)), [], []
            for t, y in enumerate(words):
                state = state + W @ np.concatenate([y, fed])
                a = np.exp(annotations @ state)
                a = a / a.sum()
                following = words[min(t + 1, len(words) - 1)]
                fed = np.tanh(W_c @ np.concatenate([state, a @ annotations, following]))
                out.append(fed)
                rows.append(a)
            return np.array(out), np.array(rows)
        """,
        "which it is to predict",
    ),
    Wrong("late", "Bahdanau's timing", late(ask="old"), "that is Bahdanau's timing"),
    Wrong(
        "late",
        "Bahdanau's timing, and readout",
        late(ask="old", vector="np.tanh(W_c @ np.concatenate([old, c, y]))"),
        "that is Bahdanau's timing",
    ),
    Wrong(
        "late",
        "the old state in the readout",
        late(vector="np.tanh(W_c @ np.concatenate([old, c, y]))"),
        "the readout has the old state",
    ),
    Wrong("late", "the context fed", late(fed="c"), "the context is fed to the next step"),
    Wrong(
        "late",
        "the context fed, asked for at the start",
        late(
            first="np.exp(annotations @ state) @ annotations / np.exp(annotations @ state).sum()",
            fed="c",
        ),
        "the context is fed to the next step",
    ),
    Wrong(
        "late",
        "the initial state changed in place",
        """
        def late(words, state, annotations, W, W_c):
            fed, vectors, rows = np.zeros(len(W_c)), [], []
            for y in words:
                state += W @ np.concatenate([y, fed])
                a = np.exp(annotations @ state)
                a /= a.sum()
                fed = np.tanh(W_c @ np.concatenate([state, a @ annotations, y]))
                vectors.append(fed)
                rows.append(a)
            return np.array(vectors), np.array(rows)
        """,
        "changes its argument state",
    ),
    Wrong("late", "zeros fed always", late(fed="fed"), "the same zeros are fed"),
    Wrong(
        "late",
        "the vector is the state",
        late(then="state = vector"),
        "takes the state's place",
    ),
    Wrong(
        "late",
        "the vector is the state, and not fed",
        late(then="state = vector", fed="fed"),
        "takes the state's place",
    ),
    Wrong("late", "the state fed first", late(first="state"), "the first step is fed zeros"),
    Wrong(
        "late",
        "no tanh",
        late(vector="W_c @ np.concatenate([state, c, y])"),
        "through a tanh",
    ),
    Wrong(
        "late",
        "context and state",
        late(vector="np.tanh(W_c @ np.concatenate([c, state, y]))"),
        "the state first, then the context",
    ),
    Wrong(
        "late",
        "the word first in the readout",
        late(vector="np.tanh(W_c @ np.concatenate([y, state, c]))"),
        "the state first, then the context",
    ),
    Wrong(
        "late",
        "fed first in the cell",
        late(state="state + W @ np.concatenate([fed, y])"),
        "the cell reads the word first",
    ),
    Wrong(
        "late",
        "states in place of vectors",
        late(out="np.array(states), np.array(rows)"),
        "these are the states",
    ),
    Wrong(
        "late",
        "words one late",
        late(
            state="state + W @ np.concatenate([words[t - 1], fed])",
            vector="np.tanh(W_c @ np.concatenate([state, c, words[t - 1]]))",
        ),
        "already the word before step t",
    ),
    Wrong(
        "late",
        "weights first",
        late(out="np.array(rows), np.array(vectors)"),
        "vectors come first",
    ),
    # --- what is given, what is wanted ---
    Wrong("shift", "not shifted", shift("framed[:, 1:]", "framed[:, 1:]"), "falls to zero"),
    Wrong(
        "shift",
        "not shifted, all of it",
        shift("framed", "framed"),
        "falls to zero",
    ),
    Wrong(
        "shift",
        "not shifted, the words alone",
        shift("targets", "targets"),
        "falls to zero",
    ),
    Wrong(
        "shift",
        "changed places",
        shift("framed[:, 1:]", "np.where(framed[:, 1:] == PAD, PAD, framed[:, :-1])"),
        "changed places",
    ),
    Wrong(
        "shift",
        "no end",
        shift("np.hstack([first, targets])", "np.hstack([targets, none])"),
        "never stops",
    ),
    Wrong(
        "shift",
        "no start",
        shift("np.hstack([none, targets])", "framed[:, 1:]"),
        "where is the start token",
    ),
    Wrong(
        "shift",
        "an end to begin with",
        shift("np.hstack([last, targets])", "framed[:, 1:]"),
        "begins with an end token",
    ),
    Wrong(
        "shift",
        "the end behind the padding",
        shift("np.hstack([first, targets])", "np.hstack([targets, last])"),
        "behind the padding",
    ),
    Wrong(
        "shift",
        "ends for padding",
        shift("np.hstack([first, targets])", "np.where(framed[:, 1:] == PAD, EOS, framed[:, 1:])"),
        "full of end tokens",
    ),
    Wrong(
        "shift",
        "an end that is given",
        shift("framed[:, :-1]", "framed[:, 1:]"),
        "nothing is given",
    ),
    Wrong(
        "shift",
        "as wide as the longest sentence",
        """
        def shift(targets):
            rows = [[int(w) for w in row if w != PAD] for row in targets]
            T = max(len(row) for row in rows) + 1
            def fill(row):
                return row + [PAD] * (T - len(row))
            given = [fill([BOS, *row]) for row in rows]
            return np.array(given), np.array([fill([*row, EOS]) for row in rows])
        """,
        "as wide as the targets",
    ),
    Wrong(
        "shift",
        "decimal numbers",
        """
        def shift(targets):
            B, T = targets.shape
            given, wanted = np.zeros((B, T + 1)), np.zeros((B, T + 1))
            for b, row in enumerate(targets):
                n = np.count_nonzero(row)
                given[b, 0], given[b, 1 : n + 1] = BOS, row[:n]
                wanted[b, :n], wanted[b, n] = row[:n], EOS
            return given, wanted
        """,
        "no array has a row 3.0",
    ),
    # --- greedy search ---
    Wrong(
        "greedy",
        "multiplied by the mask before the sum",
        greedy(scores="e", weights="(exps * mask) / (exps * mask).sum(1, keepdims=True)"),
        "takes part before it is hidden",
    ),
    Wrong(
        "greedy",
        "the maximum over the padding too",
        greedy(
            scores="e - e.max(1, keepdims=True)",
            weights="(exps * mask) / (exps * mask).sum(1, keepdims=True)",
        ),
        "takes part before it is hidden",
    ),
    Wrong(
        "greedy",
        "filled with -50",
        greedy(scores="np.where(mask, e, -50.0)"),
        "must be lower than any score",
    ),
    Wrong(
        "greedy", "always six steps", greedy().replace("range(longest)", "range(6)"), "six steps"
    ),
    Wrong(
        "greedy",
        "decimal numbers",
        greedy(out="np.stack(ids, 1) * 1.0, np.stack(rows, 1)"),
        "no array has a row 3.0",
    ),
    Wrong("greedy", "no mask", greedy(scores="e"), "looks at padding"),
    Wrong("greedy", "scores of zero", greedy(scores="e * mask"), "still gets a weight"),
    Wrong(
        "greedy",
        "mask after the softmax",
        greedy(scores="e", weights="exps / exps.sum(1, keepdims=True) * mask"),
        "sum to less than 1",
    ),
    Wrong(
        "greedy",
        "mask turned about",
        greedy(scores="np.where(mask, -np.inf, e)"),
        "wrong way round",
    ),
    Wrong(
        "greedy",
        "the longest sentence's mask",
        greedy(scores="np.where(np.arange(S) < lengths.max(), e, -np.inf)"),
        "looks at padding",
    ),
    Wrong(
        "greedy", "the start token always", greedy(previous="previous"), "the start token is read"
    ),
    Wrong("greedy", "asks before", greedy(ask="old"), "the state before the step asks"),
    Wrong("greedy", "never ends", greedy(done="done"), "goes on after its end token"),
    Wrong("greedy", "weights after the end", greedy(row="a"), "the weights are not zero"),
    Wrong(
        "greedy",
        "ends after the end",
        greedy(written="np.where(done, EOS, best)"),
        "one end token after another",
    ),
    Wrong(
        "greedy",
        "all end with the first",
        greedy(done="done | (best == EOS).any()"),
        "all sentences stop",
    ),
    Wrong(
        "greedy",
        "the end not written",
        greedy(written="np.where(done | (best == EOS), PAD, best)"),
        "the end token is a word that is written",
    ),
    Wrong("greedy", "read off the state", greedy(read="state"), "read off the state"),
    Wrong("greedy", "nothing fed", greedy(fed="fed"), "is not fed to the next step"),
    Wrong("greedy", "the context fed", greedy(fed="c"), "the context is fed"),
    Wrong(
        "greedy",
        "put together from the mistakes",
        """
        from attnlib.checks import a04_likely
        greedy = a04_likely._greedy()
        """,
        "write it yourself",
    ),
    Wrong(
        "greedy",
        "no weights for the end token",
        greedy(row="np.where((done | (best == EOS))[:, None], 0.0, a)"),
        "has looked, too",
    ),
    # --- right in most cases, and wrong in one that the text allows ---
    Wrong(
        "shift",
        "decimal numbers where a row is padded",
        """
        def shift(targets):
            B = len(targets)
            given = np.hstack([np.full((B, 1), BOS), targets])
            wanted = np.hstack([targets, np.full((B, 1), PAD)])
            wanted[np.arange(B), (targets != PAD).sum(axis=1)] = EOS
            if (targets == PAD).any():
                return (given.astype(float), wanted.astype(float))
            return (given, wanted)
        """,
        "decimal numbers",
    ),
    Wrong(
        "greedy",
        "the mask as -1e6 added",
        """
        def greedy(annotations, lengths, states, E, W, W_c, longest):
            B, S, _ = annotations.shape
            mask = np.arange(S) < np.asarray(lengths)[:, None]
            ids, rows = (np.full((B, longest), PAD), np.zeros((B, longest, S)))
            previous, fed, going = (
                np.full(B, BOS),
                np.zeros((B, E.shape[1])),
                np.ones(B, bool),
            )
            for t in range(longest):
                y = E[previous]
                states = states + np.hstack([y, fed]) @ W.T
                e = np.einsum("bsd,bd->bs", annotations, states) - 1000000.0 * ~mask
                x = np.exp(e - e.max(1, keepdims=True))
                a = x / x.sum(1, keepdims=True)
                c = np.einsum("bs,bsd->bd", a, annotations)
                fed = np.tanh(np.hstack([states, c, y]) @ W_c.T)
                previous = (fed @ E.T).argmax(1)
                ids[going, t], rows[going, t] = (previous[going], a[going])
                going &= previous != EOS
            return (ids, rows)
        """,
        "has a number added to its score",
    ),
    Wrong(
        "greedy",
        "the mask as 1e9 added",
        """
        def greedy(annotations, lengths, states, E, W, W_c, longest):
            B, S, _ = annotations.shape
            mask = np.arange(S) < np.asarray(lengths)[:, None]
            ids, rows = (np.full((B, longest), PAD), np.zeros((B, longest, S)))
            previous, fed, going = (
                np.full(B, BOS),
                np.zeros((B, E.shape[1])),
                np.ones(B, bool),
            )
            for t in range(longest):
                y = E[previous]
                states = states + np.hstack([y, fed]) @ W.T
                e = np.einsum("bsd,bd->bs", annotations, states) - 1000000000.0 * ~mask
                x = np.exp(e - e.max(1, keepdims=True))
                a = x / x.sum(1, keepdims=True)
                c = np.einsum("bs,bsd->bd", a, annotations)
                fed = np.tanh(np.hstack([states, c, y]) @ W_c.T)
                previous = (fed @ E.T).argmax(1)
                ids[going, t], rows[going, t] = (previous[going], a[going])
                going &= previous != EOS
            return (ids, rows)
        """,
        "has a number added to its score",
    ),
    Wrong(
        "early",
        "in PyTorch",
        """
        import torch

        def early(words, state, annotations, W):
            y, s, h, W = (torch.tensor(x) for x in (words, state, annotations, W))
            states, rows = [], []
            for t in range(len(y)):
                rows.append(torch.softmax(h @ s, 0))
                s = s + W @ torch.cat([y[t], rows[-1] @ h])
                states.append(s)
            return torch.stack(states), torch.stack(rows)
        """,
        "uses PyTorch",
    ),
    Wrong(
        "late",
        "in PyTorch",
        """
        import torch

        def late(words, state, annotations, W, W_c):
            y, s, h, W, W_c = (torch.tensor(x) for x in (words, state, annotations, W, W_c))
            vectors, rows = [torch.zeros(len(W_c)).double()], []
            for word in y:
                s = s + W @ torch.cat([word, vectors[-1]])
                rows.append((h @ s).softmax(0))
                vectors.append(torch.tanh(W_c @ torch.cat([s, rows[-1] @ h, word])))
            return torch.stack(vectors[1:]), torch.stack(rows)
        """,
        "uses PyTorch",
    ),
]

RIGHT = [
    Right(
        "with a function for the look, and arrays made beforehand",
        early="""
        def look(query, annotations):
            scores = annotations @ query
            exps = np.exp(scores - scores.max())
            return exps / exps.sum()

        def early(words, state, annotations, W):
            T, E = words.shape
            states, rows = np.zeros((T, len(state))), np.zeros((T, len(annotations)))
            for t in range(T):
                rows[t] = look(state, annotations)
                read = W[:, :E] @ words[t] + W[:, E:] @ (annotations.T @ rows[t])
                states[t] = state = state + read
            return states, rows
        """,
        late="""
        def late(words, state, annotations, W, W_c):
            T, E = words.shape
            D, vectors, rows = len(state), np.zeros((T + 1, E)), []
            for t in range(T):
                state = state + W[:, :E] @ words[t] + W[:, E:] @ vectors[t - 1 if t else T]
                rows.append(look(state, annotations))
                parts = [state, rows[-1] @ annotations, words[t]]
                vectors[t] = np.tanh(np.hstack(parts) @ W_c.T)
            return vectors[:T], np.stack(rows)
        """,
        shift="""
        def shift(targets):
            B, T = targets.shape
            given, wanted = np.zeros((B, T + 1), int), np.zeros((B, T + 1), int)
            for b, row in enumerate(targets):
                n = int(np.count_nonzero(row))
                given[b, 0], given[b, 1 : n + 1] = BOS, row[:n]
                wanted[b, :n], wanted[b, n] = row[:n], EOS
            return given, wanted
        """,
        greedy="""
        def greedy(annotations, lengths, states, E, W, W_c, longest):
            B, S, D = annotations.shape
            ids, rows = np.zeros((B, longest), int), np.zeros((B, longest, S))
            for b, n in enumerate(lengths):
                state, word, fed = states[b], BOS, np.zeros(E.shape[1])
                for t in range(longest):
                    y = E[word]
                    state = state + W @ np.r_[y, fed]
                    rows[b, t, :n] = look(state, annotations[b, :n])
                    fed = np.tanh(W_c @ np.r_[state, rows[b, t] @ annotations[b], y])
                    word = int(np.argmax(E @ fed))
                    ids[b, t] = word
                    if word == EOS:
                        break
            return ids, rows
        """,
    ),
    Right(
        "recursion, lists, a filled mask",
        early="""
        def early(words, state, annotations, W):
            if len(words) == 0:
                return np.zeros((0, len(state))), np.zeros((0, len(annotations)))
            e = annotations @ state
            a = np.exp(e) / np.exp(e).sum()
            new = state + W @ np.append(words[0], a @ annotations)
            states, rows = early(words[1:], new, annotations, W)
            return np.vstack([new, states]), np.vstack([a, rows])
        """,
        shift="""
        def shift(targets):
            T = targets.shape[1]
            rows = [[w for w in row if w != PAD] for row in targets.tolist()]
            fill = lambda row: row + [PAD] * (T + 1 - len(row))
            return [fill([BOS] + row) for row in rows], [fill(row + [EOS]) for row in rows]
        """,
        greedy=greedy(scores="np.where(mask, e, -1e9)"),
    ),
    Right(
        "in lists, and a batch cut to its lengths",
        late="""
        def late(words, state, annotations, W, W_c):
            fed, out = [0.0] * len(W_c), []
            for y in words:
                state = state + W.dot([*y, *fed])
                e = [float(np.dot(state, h)) for h in annotations]
                exps = [np.exp(x - max(e)) for x in e]
                a = np.array(exps) / sum(exps)
                fed = np.tanh(W_c.dot([*state, *a.dot(annotations), *y]))
                out.append((fed, a))
            return [np.array(each) for each in zip(*out)]
        """,
        greedy="""
        def greedy(annotations, lengths, states, E, W, W_c, longest):
            ids, rows = [], []
            for h, n, s in zip(annotations, lengths, states):
                word, fed, found, looks = BOS, np.zeros(E.shape[1]), [], []
                while len(found) < longest and word != EOS:
                    y = E[word]
                    s = s + W @ np.concatenate([y, fed])
                    e = h[:n] @ s
                    a = np.exp(e - np.logaddexp.reduce(e))
                    fed = np.tanh(W_c @ np.concatenate([s, a @ h[:n], y]))
                    word = int((E @ fed).argmax())
                    found.append(word)
                    looks.append(np.pad(a, (0, len(h) - n)))
                rest = longest - len(found)
                ids.append(found + [PAD] * rest)
                rows.append(np.pad(looks, ((0, rest), (0, 0))))
            return ids, rows
        """,
    ),
]

"""The oracle: every equation in NumPy, one loop a sum, no cleverness, one sentence at a time.

Imported by tests and chapters only. A score takes one query (D_q,) and one key (D_k,) and returns a
number in nats; everything else is built from that.
"""

import numpy as np


def dot_score(q, k):
    """q . k (Luong et al. 2015, "dot")."""
    total = 0.0
    for q_i, k_i in zip(q, k, strict=True):
        total += q_i * k_i
    return total


def scaled_dot_score(q, k):
    """q . k / sqrt(D) (Vaswani et al. 2017, eq. 1)."""
    return dot_score(q, k) / np.sqrt(len(k))


def cosine_score(q, k, beta=1.0):
    """beta * cos(q, k) (Graves et al. 2014, eq. 5 and 6)."""
    return beta * dot_score(q, k) / (np.sqrt(dot_score(q, q)) * np.sqrt(dot_score(k, k)))


def rectified_cosine_score(q, k):
    """ln max(0, cos(q, k)), with a number so low that its exp is 0 for ln 0 (Wang et al. 2020)."""
    cosine = cosine_score(q, k)
    return np.log(cosine) if cosine > 0 else -1e4


def general_score(q, k, W):
    """q . (W k), W of shape (D_q, D_k) (Luong et al. 2015, "general")."""
    return dot_score(q, times(W, k))


def additive_score(q, k, W, U, v):
    """v . tanh(W q + U k), W (A, D_q), U (A, D_k), v (A,) (Bahdanau et al. 2015, A.1.2)."""
    hidden = [np.tanh(w + u) for w, u in zip(times(W, q), times(U, k), strict=True)]
    return dot_score(v, hidden)


def concat_score(q, k, W, v, tanh=True):
    """v . tanh(W [q; k]), W of shape (A, D_q + D_k) (Luong et al. 2015, "concat")."""
    hidden = times(W, np.concatenate([q, k]))
    return dot_score(v, np.tanh(hidden) if tanh else hidden)


def location_scores(q, positions, W):
    """The first `positions` rows of W q (Luong et al. 2015, eq. 8)."""
    return times(W, q)[:positions]


def location_aware_scores(q, keys, previous, W, U, v, F, V, b):
    """v . tanh(W q + U k_s + V f_s + b) of each of S keys (Chorowski et al. 2015, section 2.2).

    f_s (C,) is what the C filters F (C, R) see of the weights `previous` (S,) of the step before,
    centred on key s: f_sc = sum over r of F_cr a_(s + r - R // 2), nothing beyond the ends.
    """
    S, R = len(keys), len(F[0])
    scores = np.zeros(S)
    for s in range(S):
        f = np.zeros(len(F))
        for c in range(len(F)):
            for r in range(R):
                if 0 <= s + r - R // 2 < S:
                    f[c] += F[c][r] * previous[s + r - R // 2]
        scores[s] = dot_score(v, np.tanh(times(W, q) + times(U, keys[s]) + times(V, f) + b))
    return scores


def times(W, x):
    """The matrix W (M, N) times the vector x (N,): (M,)."""
    return np.array([dot_score(row, x) for row in W])


def softmax(scores, mask=None):
    """exp(e_s) over their sum where the mask is True, zeros elsewhere (and where it never is)."""
    mask = [True] * len(scores) if mask is None else mask
    shown = [e for e, m in zip(scores, mask, strict=True) if m]
    if not shown:
        return np.zeros(len(scores))
    highest = max(shown)  # subtracting it changes nothing, and exp cannot overflow
    raised = [np.exp(e - highest) if m else 0.0 for e, m in zip(scores, mask, strict=True)]
    return np.array(raised) / sum(raised)


def average(weights, values):
    """The sum of a_s v_s over s: (D_v,) (Bahdanau et al. 2015, eq. 5)."""
    context = np.zeros(len(values[0]))
    for a_s, v_s in zip(weights, values, strict=True):
        for i in range(len(context)):
            context[i] += a_s * v_s[i]
    return context


def attend(score, queries, keys, values, mask=None):
    """Attend from queries (T, D_q) to keys (S, D_k): contexts (T, D_v) and weights (T, S)."""
    contexts, weights = [], []
    for t, q in enumerate(queries):
        scores = [score(q, k) for k in keys]
        a = softmax(scores, None if mask is None else mask[t])
        weights.append(a)
        contexts.append(average(a, values))
    return np.array(contexts), np.array(weights)


def multi_head(score, queries, keys, values, W_Q, W_K, W_V, W_O, heads, mask=None, turn=None):
    """H attentions side by side: contexts (T, D), weights (H, T, S) (Vaswani et al. 2017, 3.2.2).

    The matrices are (D, D), with head h's rows from h D/H on; what the heads find is put together
    and multiplied by W_O. `turn`, a function of a vector and its position, is applied to a head's
    queries and keys before they meet, `rotate` for one.
    """
    projected = [
        [times(W, x) for x in rows] for W, rows in ((W_Q, queries), (W_K, keys), (W_V, values))
    ]
    width = len(W_Q) // heads
    found, weights = [], []
    for h in range(heads):
        q, k, v = ([x[h * width : (h + 1) * width] for x in rows] for rows in projected)
        if turn is not None:
            q, k = ([turn(x, t) for t, x in enumerate(rows)] for rows in (q, k))
        contexts, a = attend(score, q, k, v, mask)
        found.append(contexts)
        weights.append(a)
    together = [np.concatenate([contexts[t] for contexts in found]) for t in range(len(queries))]
    return np.array([times(W_O, x) for x in together]), np.array(weights)


def sinusoid(t, D):
    """The position vector (D,) of position t (Vaswani et al. 2017, section 3.5)."""
    position = np.zeros(D)
    for i in range(D // 2):
        position[2 * i] = np.sin(t / 10000 ** (2 * i / D))
        position[2 * i + 1] = np.cos(t / 10000 ** (2 * i / D))
    return position


def rotate(x, t):
    """x (d,), each pair of its numbers turned by t / 10000^(2i/d) (Su et al. 2021, eq. 34)."""
    turned = np.zeros(len(x))
    for i in range(len(x) // 2):
        angle = t / 10000 ** (2 * i / len(x))
        a, b = x[2 * i], x[2 * i + 1]
        turned[2 * i] = a * np.cos(angle) - b * np.sin(angle)
        turned[2 * i + 1] = a * np.sin(angle) + b * np.cos(angle)
    return turned


def layer_norm(x, gain, bias, epsilon=1e-5):
    """x (D,) moved to mean 0 and variance 1, then gain and bias (Ba et al. 2016, eq. 4)."""
    mean = sum(x) / len(x)
    variance = sum((x_i - mean) ** 2 for x_i in x) / len(x)
    return np.array(
        [g * (x_i - mean) / np.sqrt(variance + epsilon) + b for x_i, g, b in zip(x, gain, bias)]
    )


def feed_forward(x, W_1, b_1, W_2, b_2):
    """W_2 max(0, W_1 x + b_1) + b_2 (Vaswani et al. 2017, eq. 2)."""
    return times(W_2, np.maximum(0, times(W_1, x) + b_1)) + b_2


def local_m(t, S):
    """Where the monotonic window stands: at t, or at the last of S keys (Luong 2015, 3.2)."""
    return min(t, S - 1)


def local_p(q, S, W, v):
    """Where the predictive window stands, S sigmoid(v . tanh(W q)) (Luong 2015, eq. 9)."""
    hidden = np.tanh(times(W, q))
    return S * sigmoid(sum(v_i * h_i for v_i, h_i in zip(v, hidden, strict=True)))


def within(centre, D, S):
    """Which of S keys stand in the window from centre - D to centre + D (Luong 2015, 3.2): (S,)."""
    return [abs(s - centre) <= D for s in range(S)]


def bell(centre, D, S):
    """exp(-(s - p)^2 / (2 (D/2)^2)) for each of S keys (Luong 2015, eq. 10): (S,)."""
    return [np.exp(-((s - centre) ** 2) / (2 * (D / 2) ** 2)) for s in range(S)]


def median(weights):
    """The first key up to which half of the weights lies (Chorowski et al. 2015, section 2.3)."""
    reached = 0.0
    for s, a in enumerate(weights):
        reached += a
        if reached >= sum(weights) / 2:
            return s


def look(scores, values, inside=None, factor=None, pick=None):
    """From the scores (S,) of one query to its context (D_v,) and its weights (S,).

    Only keys that are `inside` the window join the softmax. Afterwards its `factor` (S,) multiplies
    each weight, and nothing is divided again (Luong 2015, eq. 10). `pick`, a function of the
    weights, names the one key whose value is the context (Xu et al. 2015, 4.1); without it the
    context is the average.
    """
    a = softmax(scores, inside)
    if factor is not None:
        for s in range(len(a)):
            a[s] *= factor[s]
    return (average(a, values) if pick is None else np.array(values[pick(a)])), a


def attend_locally(score, q, keys, values, centre, D, gaussian):
    """Attend from q (D_q,) to the keys within D of the centre: context (D_v,), weights (S,).

    With `gaussian` each weight is multiplied by that of eq. 10 (Luong 2015).
    """
    S = len(keys)
    factor = bell(centre, D, S) if gaussian else None
    return look([score(q, k) for k in keys], values, within(centre, D, S), factor)


def choose(weights, draw):
    """The key on which a draw in [0, 1) falls, when the keys share it by their weights."""
    reached = 0.0
    for s, a in enumerate(weights):
        reached += a
        if draw * sum(weights) < reached:
            return s
    return max(s for s, a in enumerate(weights) if a > 0)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def gru_step(x, h, W, U, b, c):
    """One step of a gated recurrent unit (Cho et al. 2014, eq. 5 to 8), as PyTorch arranges it.

    W (3H, D) and U (3H, H) hold the rows of the reset gate r, the update gate z and the candidate
    n, in that order, b and c (3H,) their biases: ``h' = (1 - z) n + z h`` with
    ``n = tanh(W_n x + b_n + r (U_n h + c_n))``. Cho et al. apply r to h before U_n.
    """
    H = len(h)
    from_x, from_h = times(W, x) + b, times(U, h) + c
    new = np.zeros(H)
    for i in range(H):
        r = sigmoid(from_x[i] + from_h[i])
        z = sigmoid(from_x[H + i] + from_h[H + i])
        n = np.tanh(from_x[2 * H + i] + r * from_h[2 * H + i])
        new[i] = (1 - z) * n + z * h[i]
    return new


def lstm_step(x, h, c, W, U, b, d):
    """One step of an LSTM (Xu et al. 2015, eq. 1 to 3), as PyTorch arranges it: h (H,) and c (H,).

    W (4H, D) and U (4H, H) hold the rows of the input gate i, the forget gate f, the candidate g
    and the output gate o, in that order, b and d (4H,) their biases: ``c' = f c + i g`` and
    ``h' = o tanh(c')``.
    """
    H = len(h)
    seen = times(W, x) + b + times(U, h) + d
    state, memory = np.zeros(H), np.zeros(H)
    for j in range(H):
        i, f, o = (sigmoid(seen[gate * H + j]) for gate in (0, 1, 3))
        memory[j] = f * c[j] + i * np.tanh(seen[2 * H + j])
        state[j] = o * np.tanh(memory[j])
    return state, memory


def read_both_ways(words, forwards, backwards, H):
    """Annotations (S, 2H) and summary (2H,) of words (S, D) (Bahdanau et al. 2015, section 3.2).

    `forwards` and `backwards` are cells, functions of a word and a state (H,), zeros at first. An
    annotation is the two states at its word; the summary is the two that have seen all words.
    """
    S = len(words)
    right, left = [None] * S, [None] * S
    h = np.zeros(H)
    for s in range(S):
        right[s] = h = forwards(words[s], h)
    h = np.zeros(H)
    for s in reversed(range(S)):
        left[s] = h = backwards(words[s], h)
    annotations = [np.concatenate([right[s], left[s]]) for s in range(S)]
    return np.array(annotations), np.concatenate([right[S - 1], left[0]])


def decode(words, s, fed, ask, cell, combine, timing, feeding):
    """A whole decoder on given words (T, E): attentional vectors (T, E) and weights (T, S).

    Bahdanau's (2015, A.2.2) is `timing` "before" and `feeding` "context", Luong's (2015, 3.3)
    "after" and "input". `s` is the first state, `fed` what is fed to the first step: zeros, or an
    empty array for `feeding` "none". The parts are functions: ``ask(query, t)`` a context and
    weights, ``cell(input, state)`` a state, ``combine(x)`` the attentional vector of
    [s; context; word] (Luong 2015, eq. 5).
    """
    vectors, weights = [], []
    for t, y in enumerate(words):
        if timing == "before":
            context, a = ask(s, t)
            if feeding == "context":
                fed = context  # of this step
            s = cell(np.concatenate([y, fed]), s)
        else:
            s = cell(np.concatenate([y, fed]), s)
            context, a = ask(s, t)
            if feeding == "context":
                fed = context  # for the next step
        vector = combine(np.concatenate([s, context, y]))
        if feeding == "input":
            fed = vector
        vectors.append(vector)
        weights.append(a)
    return np.array(vectors), np.array(weights)


def bahdanau_step(y, s, annotations, attention_score, cell):
    """One step of Bahdanau's decoder (2015, section 3.1 and A.2.2): attend *before* the step.

    y (D,) is the embedded previous word, s (H,) the previous state, `attention_score` a function of
    a query and a key, `cell` one of an input and a state. Returns the new state, the context and
    the weights (S,).
    """
    contexts, weights = attend(attention_score, [s], annotations, annotations)
    return cell(np.concatenate([y, contexts[0]]), s), contexts[0], weights[0]


def luong_step(y, s, fed, annotations, attention_score, cell):
    """One step of Luong's decoder (2015, section 3.1): attend *after* the step.

    `fed` is what the cell sees beside the word: the previous attentional vector (section 3.3), or
    an empty array. Returns the new state, the context and the weights (S,).
    """
    new = cell(np.concatenate([y, fed]), s)
    contexts, weights = attend(attention_score, [new], annotations, annotations)
    return new, contexts[0], weights[0]


def deep_output(y, h, z, L_o, L_h, L_z):
    """L_o (y + L_h h + L_z z), for an embedded word y (E,) (Xu et al. 2015, eq. 7)."""
    return times(L_o, y + times(L_h, h) + times(L_z, z))


def caption(words, annotations, first, ask, gate, cell, output, fed=True, after=False):
    """A whole captioner on given words (T, E): output vectors (T, E) and weights (T, S).

    Xu et al. (2015, section 3.1.2), one image with annotations (S, D). The parts are functions:
    ``first(mean)`` the state and memory before the first step, of the mean annotation,
    ``ask(query, t)`` a context and weights, ``gate(h)`` the number beta of section 4.2.1,
    ``cell(input, h, c)`` a state and memory, ``output(y, h, z)`` the vector of a step. If the
    context is not `fed`, the cell sees the word alone. `after`: the new state asks, and
    what is fed is the context of the step before, zero at first.
    """
    S = len(annotations)
    h, c = first(average([1 / S] * S, annotations))
    vectors, weights, z = [], [], np.zeros(len(annotations[0]))
    for t, y in enumerate(words):
        if after:
            h, c = cell(np.concatenate([y, z]) if fed else y, h, c)
        context, a = ask(h, t)
        z = gate(h) * context
        if not after:
            h, c = cell(np.concatenate([y, z]) if fed else y, h, c)
        vectors.append(output(y, h, z))
        weights.append(a)
    return np.array(vectors), np.array(weights)


def doubly_stochastic(weights, target):
    """The sum over cells of (target - the cell's share of all steps)^2 (Xu et al. 2015, eq. 14).

    `weights` (C, S) are those of one caption without padding; the paper's target is 1.
    """
    total = 0.0
    for i in range(len(weights[0])):
        looked = 0.0
        for a in weights:
            looked += a[i]
        total += (target - looked) ** 2
    return total


def convolve(image, W, b, stride, beyond):
    """A convolution: image (C, H, W), weights (C', C, K, K) and biases (C',) give (C', H', W').

    `beyond` zeros are put around the image.
    """
    _, height, width = image.shape
    K = W.shape[-1]
    rows, columns = ((side + 2 * beyond - K) // stride + 1 for side in (height, width))
    out = np.zeros((len(W), rows, columns))
    for o in range(len(W)):
        for r in range(rows):
            for s in range(columns):
                out[o, r, s] = b[o]
                for i in range(K):
                    for j in range(K):
                        y, x = r * stride - beyond + i, s * stride - beyond + j
                        if 0 <= y < height and 0 <= x < width:
                            out[o, r, s] += dot_score(W[o, :, i, j], image[:, y, x])
    return out


def by_content(key, memory, beta):
    """Weights (S,) of the rows of a memory (S, D) by cosine (Graves et al. 2014, eq. 5 and 6)."""
    return softmax([cosine_score(key, row, beta) for row in memory])


def interpolate(content, before, gate):
    """g w_c(i) + (1 - g) w(i) of the step before (Graves et al. 2014, eq. 7)."""
    return np.array([gate * c + (1 - gate) * w for c, w in zip(content, before, strict=True)])


def shift(weights, shifts):
    """The sum over j of w(j) s(i - j), round the circle (Graves et al. 2014, eq. 8).

    `shifts` (2R + 1,) are the shares that move by -R, …, R places.
    """
    S, R = len(weights), len(shifts) // 2
    moved = np.zeros(S)
    for i in range(S):
        for j in range(S):
            for by, share in enumerate(shifts, -R):
                if (j + by) % S == i:
                    moved[i] += weights[j] * share
    return moved


def sharpen(weights, power):
    """w(i)^gamma over the sum of these (Graves et al. 2014, eq. 9)."""
    raised = [w**power for w in weights]
    return np.array(raised) / sum(raised)


def write(memory, weights, erase, add):
    """M(i) [1 - w(i) e] + w(i) a, of a memory (S, D) (Graves et al. 2014, eq. 3 and 4)."""
    new = np.zeros(np.shape(memory))
    for i, w in enumerate(weights):
        for d in range(len(add)):
            new[i, d] = memory[i][d] * (1 - w * erase[d]) + w * add[d]
    return new


def bag_of_words(vectors, ordered=True):
    """A sentence (D,) of word vectors (J, D) (Sukhbaatar et al. 2015, section 4.1).

    The sum; `ordered`, each number times (1 - j/J) - (k/D)(1 - 2j/J) first, for word j and
    dimension k, both from 1.
    """
    J, D = len(vectors), len(vectors[0])
    total = np.zeros(D)
    for j in range(1, J + 1):
        for k in range(1, D + 1):
            factor = (1 - j / J) - (k / D) * (1 - 2 * j / J) if ordered else 1.0
            total[k - 1] += factor * vectors[j - 1][k - 1]
    return total


def rollout(layers):
    """Attention rollout (Abnar and Zuidema 2020, eq. 1): each layer half attention, half residual.

    `layers` are weights (S, S), the heads averaged. How much of input j is in position i: the sum
    over every path from i down to j of the products of the mixed weights on it.
    """
    S = len(layers[0])
    reached = [[float(i == j) for j in range(S)] for i in range(S)]
    for weights in layers:
        new = [[0.0] * S for _ in range(S)]
        for i in range(S):
            mixed = [weights[i][k] + (i == k) for k in range(S)]
            for j in range(S):
                for k in range(S):
                    new[i][j] += mixed[k] / sum(mixed) * reached[k][j]
        reached = new
    return np.array(reached)


def value_norms(weights, values, W_V, W_O):
    """The length of a_ts f(x_s), f(x) = W_O W_V x (Kobayashi et al. 2020, section 2), (T, S)."""
    found = np.zeros((len(weights), len(values)))
    for t, row in enumerate(weights):
        for s, a in enumerate(row):
            added = [a * y for y in times(W_O, times(W_V, values[s]))]
            found[t, s] = np.sqrt(dot_score(added, added))
    return found

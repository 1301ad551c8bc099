"""How good is a translation, how good is an alignment, and how sure are we?

BLEU comes in three kinds, which differ by points on the same text: `bleu` (sacreBLEU, what we
report first), `bleu_papers` (what the papers on Multi30k report), `bleu_lowercase` (near what
tutorials report). Every measure of a test set is a `Score` with a signature that says how it was
computed. Intervals are 95 %: of a test set by resampling its sentences, of a proportion by Wilson,
over training seeds by Student's t.

An alignment is a set of links (target position, source position), both from 0.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from statistics import NormalDist

import numpy as np

LEVEL = 0.95  # of every interval
MOSES_LANGUAGES = ("de", "en", "fr")  # those whose shipped reference `moses` meets line by line
SPECIALS = ("<pad>", "<s>", "</s>")
WORD_START = "▁"

Links = Iterable[tuple[int, int]]


@dataclass(frozen=True)
class Score:
    """A measured number, how it was measured, and perhaps its interval.

    >>> score = Score(59.023, "nrefs:1", (57.9, 60.2))
    >>> f"{score:.1f}", float(score)
    ('59.0 [57.9, 60.2]', 59.023)
    """

    value: float
    signature: str
    interval: tuple[float, float] | None = None

    def __float__(self):
        return self.value

    def __format__(self, spec: str):
        value = format(self.value, spec)
        if self.interval is None:
            return value
        low, high = (format(end, spec) for end in self.interval)
        return f"{value} [{low}, {high}]"


# Translations ---------------------------------------------------------------------------------


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    resamples: int = 0,
    seed: int = 0,
) -> Score:
    """BLEU of detokenised, cased text (Papineni et al. 2002) as sacreBLEU has it (Post 2018).

    Parameters
    ----------
    hypotheses, references : sequences of str
        Plain text, one sentence each, in the same order. In place of a reference there may be a
        sequence of them, each as good as the others, as for captions.
    resamples : int
        If positive, the interval is the middle 95 % of this many bootstrap samples of the
        sentences (Koehn 2004). 0 gives no interval.
    seed : int
        Of the resampling.

    Returns
    -------
    Score
        0 to 100, with sacreBLEU's signature.

    Raises
    ------
    ValueError
        If the numbers of sentences differ, or there are none; if `resamples` is negative.
    TypeError
        If either is a single string, which is a sequence of letters.

    Examples
    --------
    >>> score = bleu(["A man in a red shirt."], ["A man in a blue shirt."])
    >>> round(score.value, 2)
    48.89
    >>> score.signature
    'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:...'
    >>> bleu(["A man in a red shirt."], [["A man in a blue shirt.", "One in a red shirt."]]).value
    93.06...
    """
    return _bleu(hypotheses, references, resamples, seed)


def bleu_lowercase(
    hypotheses: Sequence[str], references: Sequence[str], resamples: int = 0, seed: int = 0
) -> Score:
    """BLEU of lower-cased text, otherwise as `bleu`; for German to English.

    The PyTorch tutorials we compare with lower-case everything and split words with spaCy; here
    sacreBLEU lower-cases and splits. Arguments, result and errors as in `bleu`.

    >>> bleu_lowercase(["a man in a red shirt."], ["A man in a red shirt."]).value > 99.9
    True
    """
    return _bleu(hypotheses, references, resamples, seed, lowercase=True)


def bleu_papers(
    hypotheses: Sequence[str],
    tokenised_references: Sequence[str],
    language: str = "fr",
    resamples: int = 0,
    seed: int = 0,
) -> Score:
    """BLEU as papers on Multi30k report it: lower-cased, Moses-normalised and tokenised words.

    Parameters
    ----------
    hypotheses : sequence of str
        Plain cased text; it goes through `moses` here.
    tokenised_references : sequence of str
        The lines of ``test_2016_flickr.lc.norm.tok.*`` (`corpora.multi30k_tokenised`), as shipped:
        13,988 French words, 12,103 German ones.
    language : str
        ``de``, ``en`` or ``fr``.
    resamples, seed : int
        As in `bleu`.

    Returns
    -------
    Score
        0 to 100; the signature names language and preparation, and has ``tok:none``.

    Raises
    ------
    ValueError
        As `bleu`; also for another language, or references with capitals (raw text by mistake).
    ImportError
        If sacremoses is not installed.

    Examples
    --------
    >>> reference = "un homme court sur l&apos; herbe verte ."
    >>> round(bleu_papers(["Un homme court sur l'herbe verte."], [reference]).value, 2)
    100.0
    """
    for line in tokenised_references:
        if line != line.lower():
            raise ValueError(f"tokenised_references must be lower-cased, got {line!r}")
    _parallel(hypotheses, tokenised_references)
    tokens = moses(hypotheses, language)
    score = _bleu(tokens, tokenised_references, resamples, seed, tokenize="none")
    prepared = f"lang:{language}|prep:lc+moses.norm+moses.tok|{score.signature}"
    return Score(score.value, prepared, score.interval)


def moses(lines: Iterable[str], language: str) -> list[str]:
    """Lower-case, Moses-normalise and Moses-tokenise lines, ``'`` and ``"`` escaped.

    On the raw sentences of Multi30k's test_2016_flickr this gives every line of the shipped
    ``lc.norm.tok`` file, in all three languages. Two things matter: lower-casing comes first, and
    the normaliser sees the end of the line (there it moves a full stop out of a quotation).

    Raises
    ------
    ValueError
        If the language is not ``de``, ``en`` or ``fr``.
    ImportError
        If sacremoses is not installed.

    Examples
    --------
    >>> moses(["L'homme dit « oui »."], "fr")
    ['l&apos; homme dit &quot; oui &quot; .']
    """
    if language not in MOSES_LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(MOSES_LANGUAGES)}, got {language!r}")
    try:
        from sacremoses import MosesPunctNormalizer, MosesTokenizer
    except ImportError as error:
        raise ImportError("Moses tokenisation needs sacremoses (pip install sacremoses)") from error
    normalise = MosesPunctNormalizer(lang=language).normalize
    tokenise = MosesTokenizer(lang=language).tokenize
    return [tokenise(normalise(line.lower() + "\n"), return_str=True) for line in lines]


def chrf(
    hypotheses: Sequence[str], references: Sequence[str], resamples: int = 0, seed: int = 0
) -> Score:
    """chrF2 (Popović 2015), an F-score of character 1- to 6-grams, by sacreBLEU.

    Fairer than BLEU where a word has many forms. Arguments, result and errors as in `bleu`.

    >>> round(chrf(["a red shirt"], ["a red skirt"]).value, 2)
    45.73
    """
    from sacrebleu.metrics import CHRF

    _parallel(hypotheses, references)
    metric = CHRF()
    value = metric.corpus_score(hypotheses, [list(references)]).score
    score = Score(value, str(metric.get_signature()))
    if not resamples:
        return score
    statistics = [_chrf_statistics(h, r) for h, r in zip(hypotheses, references)]
    return _with_interval(score, np.array(statistics), _chrf_formula, resamples, seed)


def bleu_difference(
    first: Sequence[str],
    second: Sequence[str],
    references: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> Score:
    """BLEU of `first` minus BLEU of `second`, with its paired bootstrap interval (Koehn 2004).

    Both systems are scored on the same resampled sentences, so the interval is narrower than the
    two separate ones suggest: the systems find the same sentences hard.

    Parameters
    ----------
    first, second, references : sequences of str
        As in `bleu`, all three in the same order.
    resamples, seed : int
        At least one resample.

    Raises
    ------
    ValueError, TypeError
        As in `bleu`.

    Examples
    --------
    >>> bleu_difference(["A red shirt."] * 3, ["A shirt."] * 3, ["A red shirt."] * 3).value > 0
    True
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    left, right = bleu(first, references), bleu(second, references)
    both = [_bleu_statistics(hypotheses, references) for hypotheses in (first, second)]
    statistics = np.concatenate(both, axis=1)  # (sentences, 20)
    score = Score(left.value - right.value, f"difference|{left.signature}")

    def formula(sums):
        return _bleu_formula(sums[..., :10]) - _bleu_formula(sums[..., 10:])

    return _with_interval(score, statistics, formula, resamples, seed)


@dataclass(frozen=True)
class Bucket:
    """The score of the sentences with ``low <= length < high``."""

    low: float
    high: float
    sentences: int
    score: Score


def by_length(
    metric: Callable[[Sequence, Sequence], Score],
    lengths: Sequence[int],
    hypotheses: Sequence,
    references: Sequence,
    edges: Sequence[float],
) -> list[Bucket]:
    """Score the sentences of each range of source length.

    Parameters
    ----------
    metric : callable
        ``metric(hypotheses, references)`` gives a `Score`; ``functools.partial(bleu,
        resamples=1000)`` for one with intervals.
    lengths : sequence of int
        Length of each source sentence.
    hypotheses, references : sequences
        What the metric takes.
    edges : sequence of numbers
        Increasing; a bucket goes from one to just below the next. The last may be ``math.inf``.

    Returns
    -------
    list of Bucket
        In order of length; a bucket without sentences is left out.

    Raises
    ------
    ValueError
        If the sequences differ in length or are empty, the edges do not increase, or a length is
        outside them.

    Examples
    --------
    >>> for bucket in by_length(exact_match, [2, 3, 9], "abc", "abd", [1, 5, 10]):
    ...     print(bucket.low, bucket.high, bucket.sentences, bucket.score.value)
    1 5 2 1.0
    5 10 1 0.0
    """
    _same_number(lengths=lengths, hypotheses=hypotheses, references=references)
    edges = list(edges)
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"edges must be at least two increasing numbers, got {edges}")
    outside = [length for length in lengths if not edges[0] <= length < edges[-1]]
    if outside:
        raise ValueError(f"length {outside[0]} is outside the edges {edges}")
    buckets = []
    for low, high in pairwise(edges):
        rows = [i for i, length in enumerate(lengths) if low <= length < high]
        if rows:
            score = metric([hypotheses[i] for i in rows], [references[i] for i in rows])
            buckets.append(Bucket(low, high, len(rows), score))
    return buckets


def exact_match(hypotheses: Sequence, references: Sequence) -> Score:
    """The share, 0 to 1, of hypotheses that equal their reference, with its Wilson interval.

    Sentences may be strings or sequences of tokens; a list equals a tuple of the same tokens.

    Raises
    ------
    ValueError
        If the numbers of sentences differ, or there are none.

    Examples
    --------
    >>> f"{exact_match(['ab', 'ba', 'cc', 'd'], ['ab', 'ba', 'cc', 'e']):.2f}"
    '0.75 [0.30, 0.95]'
    """
    _same_number(hypotheses=hypotheses, references=references)
    hits = sum(_comparable(h) == _comparable(r) for h, r in zip(hypotheses, references))
    n = len(hypotheses)
    return Score(hits / n, f"exact match|n:{n}|interval:wilson", wilson_interval(hits, n))


def wilson_interval(hits: float, trials: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); sound also where all or none were hits.

    Neither need be whole: `trials` may be an effective number.

    >>> "{:.3f} {:.3f}".format(*wilson_interval(10, 10))
    '0.722 1.000'
    """
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"need 0 <= hits <= trials and a trial, got {hits} of {trials}")
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share = hits / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    spread *= z / (1 + z**2 / trials)
    low = 0.0 if hits == 0 else centre - spread  # exactly, whatever the rounding
    return low, 1.0 if hits == trials else centre + spread


def mean_interval(values: Sequence[float]) -> Score:
    """Mean over training seeds with its 95 % interval by Student's t (Student 1908).

    Raises
    ------
    ValueError
        If there are fewer than two values, or one is not finite.

    Examples
    --------
    >>> f"{mean_interval([60.1, 60.4, 59.9]):.2f}"
    '60.13 [59.51, 60.76]'
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval needs at least two values, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got {values.tolist()}")
    n = len(values)
    half = _student_quantile(0.5 + LEVEL / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)
    mean = float(values.mean())
    return Score(mean, f"mean|n:{n}|interval:student", (mean - half, mean + half))


# Alignments -----------------------------------------------------------------------------------


def alignment_error_rate(
    predicted: Sequence[Links],
    sure: Sequence[Links],
    possible: Sequence[Links],
    resamples: int = 0,
    seed: int = 0,
) -> Score:
    r"""Alignment error rate (Och and Ney 2003, eq. 20), 0 (best) to 1, over all sentences.

    .. math:: 1 - \frac{|A \cap S| + |A \cap P|}{|A| + |S|}, \qquad S \subseteq P

    A sure link that is missed costs, and so does a predicted link that is not even possible; a
    possible link may be predicted or not.

    Parameters
    ----------
    predicted, sure, possible : sequences of sets of (target position, source position)
        One set a sentence. Sure links count as possible whether they are repeated there or not.
        With one gold alignment (the toy tasks) pass it as both.
    resamples, seed : int
        As in `bleu`: an interval by resampling sentences.

    Raises
    ------
    ValueError
        If the numbers of sentences differ, there are none, an element is not a set of pairs, or
        there is neither a predicted nor a sure link.

    Examples
    --------
    Two of three predicted links are sure, the third is not possible; one sure link is missed:

    >>> sure = [{(0, 0), (1, 2), (2, 1)}]
    >>> f"{alignment_error_rate([{(0, 0), (1, 2), (2, 2)}], sure, sure):.3f}"
    '0.333'
    """
    _same_number(predicted=predicted, sure=sure, possible=possible)
    counts = []
    for a, s, p in zip(
        _sets("predicted", predicted), _sets("sure", sure), _sets("possible", possible)
    ):
        counts.append((len(a & s) + len(a & (s | p)), len(a) + len(s)))
    return _error_rate(counts, "alignment error rate", resamples, seed)


def expected_error_rate(
    weights: Sequence,
    sure: Sequence[Links],
    possible: Sequence[Links],
    resamples: int = 0,
    seed: int = 0,
) -> Score:
    """The alignment error rate to expect if each target word draws its link from its weights.

    Exact, not sampled: each of the counts of `alignment_error_rate` is a sum of probabilities.
    With `uniform_weights` it is the baseline of knowing nothing.

    Parameters
    ----------
    weights : sequence of arrays of shape (T, S)
        One a sentence; each row sums to 1, or to 0 for a word that draws no link.
    sure, possible, resamples, seed
        As in `alignment_error_rate`.

    Raises
    ------
    ValueError
        As in `alignment_error_rate`; also if a row sums to something else, or a link is outside
        the weights.

    Examples
    --------
    >>> sure = [{(0, 0), (1, 1)}]
    >>> expected_error_rate([uniform_weights(2, 2)], sure, sure).value
    0.5
    """
    _same_number(weights=weights, sure=sure, possible=possible)
    counts = []
    for w, s, p in zip(weights, _sets("sure", sure), _sets("possible", possible)):
        w = _matrix(w)
        mass = w.sum(axis=1)
        if not np.all(np.isclose(mass, 1, atol=1e-4) | (mass == 0)):
            raise ValueError("each row of weights must sum to 1 or be all zeros")
        hits = sum(w[_inside(link, w)] for link in s) + sum(w[_inside(link, w)] for link in s | p)
        counts.append((hits, mass.sum() + len(s)))
    return _error_rate(counts, "alignment error rate, expected", resamples, seed)


def word_indices(tokens: Sequence[str]) -> list[int | None]:
    """Which word each subword belongs to; None for the specials.

    A word starts at ``▁``, as `Tokenizer` marks it, so "bike." is one word.

    >>> word_indices(["▁un", "▁vé", "lo", ".", "</s>"])
    [0, 1, 1, 1, None]
    """
    indices, word = [], -1
    for token in tokens:
        if token in SPECIALS:
            indices.append(None)
        else:
            word += token.startswith(WORD_START) or word < 0
            indices.append(word)
    return indices


def word_weights(
    weights,
    source_words: Sequence[int | None] | None = None,
    target_words: Sequence[int | None] | None = None,
) -> np.ndarray:
    """Weights between words from weights between subwords.

    The weights of a source word are the sum over its subwords (a word is looked at if any part of
    it is), those of a target word the mean over its subwords. What belongs to no word is left out,
    so a row sums to less than 1 where attention went to a special.

    Parameters
    ----------
    weights : array of shape (T, S)
        Rows are target subwords.
    source_words, target_words : sequences of int or None
        The word of each subword, from 0; None for a special, as from `word_indices`. Left out:
        each position is a word of its own.

    Returns
    -------
    array of shape (target words, source words)

    Raises
    ------
    ValueError
        If weights are not a finite matrix of numbers that are not negative, the words do not fit
        its shape, or a word has no subword.

    Examples
    --------
    >>> word_weights([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], [0, 0, None], [0, 0])
    array([[0.375]])
    """
    weights = _matrix(weights)
    T, S = weights.shape
    source = _membership("source_words", source_words, S)  # (source words, S)
    target = _membership("target_words", target_words, T)  # (target words, T)
    return (target / target.sum(axis=1, keepdims=True)) @ weights @ source.T


def alignment_from_weights(
    weights,
    source_words: Sequence[int | None] | None = None,
    target_words: Sequence[int | None] | None = None,
) -> set[tuple[int, int]]:
    """Link each target word to the source word with most of its attention.

    Arguments and errors as in `word_weights`. Ties go to the first word; a target word whose
    attention is all on specials gets no link.

    >>> sorted(alignment_from_weights([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], [0, 1, None]))
    [(0, 1), (1, 0)]
    """
    words = word_weights(weights, source_words, target_words)
    if words.shape[1] == 0:
        return set()
    return {(t, int(row.argmax())) for t, row in enumerate(words) if row.max() > 0}


def diagonal_alignment(T: int, S: int) -> set[tuple[int, int]]:
    """Link every target word to the source word at the same relative position.

    With positions from 1, target word t goes to the source word at t S / T, rounded (halves to the
    even number, as Python does) and at least 1. On the 447 gold sentences of the Hansards,
    English to French, this has an alignment error rate of 0.536.

    >>> sorted(diagonal_alignment(4, 2))
    [(0, 0), (1, 0), (2, 1), (3, 1)]
    """
    if T < 0 or S < 1:
        raise ValueError(f"need T >= 0 and S >= 1, got T={T} and S={S}")
    return {(t, max(1, round((t + 1) * S / T)) - 1) for t in range(T)}


def uniform_weights(T: int, S: int) -> np.ndarray:
    """Weights (T, S) of attention that knows nothing: 1/S everywhere.

    >>> uniform_weights(1, 4)
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    if T < 0 or S < 1:
        raise ValueError(f"need T >= 0 and S >= 1, got T={T} and S={S}")
    return np.full((T, S), 1 / S)


def share_on_gold(weights, alignment: Links) -> float:
    """Mean share of attention on the gold links, over the target words that have a gold link.

    Parameters
    ----------
    weights : array of shape (T, S)
    alignment : set of (target position, source position)

    Returns
    -------
    float
        0 to 1; with `uniform_weights` the mean number of links a word over S.

    Raises
    ------
    ValueError
        If there is no link, one is outside the weights, or weights are not a finite matrix of
        numbers that are not negative.

    Examples
    --------
    >>> share_on_gold([[0.75, 0.25], [0.5, 0.5]], {(0, 0), (1, 0), (1, 1)})
    0.875
    """
    weights = _matrix(weights)
    links = _sets("alignment", [alignment])[0]
    if not links:
        raise ValueError("alignment holds no link")
    mass = sum(weights[_inside(link, weights)] for link in links)
    return float(mass / len({t for t, _ in links}))


def entropy(weights) -> np.ndarray:
    r"""Entropy :math:`-\sum_s p_s \ln p_s` of each row, in nats; p are shares of the row's sum.

    Parameters
    ----------
    weights : array of shape (..., S)
        A row need not sum to 1: a window may multiply it, or words may be left out.

    Returns
    -------
    array of shape (...)
        0 for attention on one key (and for a row of zeros) to ln S for uniform attention.

    Raises
    ------
    ValueError
        If a weight is negative or not finite.

    Examples
    --------
    >>> entropy([[1.0, 0.0], [0.5, 0.5], [0.2, 0.2]]).round(4)
    array([0. , 0.6931, 0.6931])
    """
    weights = _array(weights)
    total = weights.sum(axis=-1, keepdims=True)
    shares = weights / np.where(total > 0, total, 1)
    logs = np.log(np.where(shares > 0, shares, 1))  # 0 log 0 = 0
    return np.abs((shares * logs).sum(axis=-1))  # abs: 0, not -0


# Helpers --------------------------------------------------------------------------------------


def _bleu(hypotheses, references, resamples, seed, lowercase=False, tokenize="13a") -> Score:
    from sacrebleu.metrics import BLEU

    _parallel(hypotheses, references)
    metric = BLEU(lowercase=lowercase, tokenize=tokenize, force=True)
    several = [_several(reference) for reference in references]
    value = metric.corpus_score(hypotheses, list(zip_longest(*several))).score  # None: one fewer
    score = Score(value, str(metric.get_signature()))
    if not resamples:
        return score
    statistics = _bleu_statistics(hypotheses, references, lowercase, tokenize)
    return _with_interval(score, statistics, _bleu_formula, resamples, seed)


def _bleu_statistics(hypotheses, references, lowercase=False, tokenize="13a") -> np.ndarray:
    """One row a sentence: the two lengths, then matches and totals of 1- to 4-grams."""
    from sacrebleu.metrics import BLEU

    metric = BLEU(lowercase=lowercase, tokenize=tokenize, force=True, effective_order=True)
    scores = [metric.sentence_score(h, _several(r)) for h, r in zip(hypotheses, references)]
    return np.array([[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in scores])


def _several(reference: str | Sequence[str]) -> list[str]:
    return [reference] if isinstance(reference, str) else list(reference)


def _bleu_formula(sums: np.ndarray) -> np.ndarray:
    """BLEU from summed statistics (..., 10), missing matches smoothed as sacreBLEU does."""
    length, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2:6], sums[..., 6:10]
    halvings = np.cumsum(matches == 0, axis=-1)
    precisions = np.where(matches > 0, matches, 0.5**halvings) / np.maximum(totals, 1)
    brevity = np.exp(np.minimum(0, 1 - reference / np.maximum(length, 1)))
    score = 100 * brevity * np.exp(np.log(precisions).mean(axis=-1))
    return np.where((totals > 0).all(axis=-1) & (matches > 0).any(axis=-1), score, 0)


def _chrf_statistics(hypothesis: str, reference: str) -> list[int]:
    """For 1- to 6-grams of characters without spaces: those of each side, and those in both."""
    statistics = []
    for n in range(1, 7):
        ours, theirs = (
            Counter(text[i : i + n] for i in range(len(text) - n + 1))
            for text in ("".join(hypothesis.split()), "".join(reference.split()))
        )
        counted = ours.total() if theirs else 0  # as sacreBLEU: no reference, no hypothesis
        statistics += [counted, theirs.total(), (ours & theirs).total()]
    return statistics


def _chrf_formula(sums: np.ndarray) -> np.ndarray:
    """chrF2 from summed statistics (..., 18): precision and recall averaged over the orders."""
    ours, theirs, both = (sums[..., k::3] for k in range(3))  # (..., 6)
    orders = np.maximum(((ours > 0) & (theirs > 0)).sum(axis=-1), 1)
    precision = (both / np.maximum(ours, 1)).sum(axis=-1) / orders
    recall = (both / np.maximum(theirs, 1)).sum(axis=-1) / orders
    return 100 * 5 * precision * recall / np.maximum(4 * precision + recall, 1e-12)


def _error_rate(counts, signature: str, resamples: int, seed: int) -> Score:
    """1 - hits / links, with its interval; `counts` has (hits, links) of each sentence."""
    counts = np.array(counts, dtype=float)
    hits, links = counts.sum(axis=0)
    if links == 0:
        raise ValueError("there is neither a predicted nor a sure link")
    score = Score(float(1 - hits / links), signature)
    if not resamples:
        return score

    def formula(sums):
        return 1 - sums[..., 0] / np.maximum(sums[..., 1], 1)

    return _with_interval(score, counts, formula, resamples, seed)


def _with_interval(
    score: Score,
    statistics: np.ndarray,
    formula: Callable[[np.ndarray], np.ndarray],
    resamples: int,
    seed: int,
) -> Score:
    """Percentile bootstrap (Efron 1979): how often each sentence is drawn, times its statistics."""
    if resamples < 0:
        raise ValueError(f"resamples must be 0 or more, got {resamples}")
    n = len(statistics)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    values = formula(draws @ statistics)
    low, high = np.quantile(values, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    signature = f"{score.signature}|bootstrap:{resamples}|seed:{seed}"
    return Score(score.value, signature, (float(low), float(high)))


def _student_quantile(probability: float, freedom: int) -> float:
    """Where Student's t distribution reaches `probability`, above one half, by bisection."""
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return high


def _student_cdf(t: float, freedom: int) -> float:
    """Probability below t >= 0 (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):  # terms in cos^(k - 1) of the angle
        total += term
        term *= k / (k + 1) * math.cos(angle) ** 2
    within = math.sin(angle) * total
    return 0.5 + ((angle + within) / math.pi if odd else within / 2)


def _parallel(hypotheses, references) -> None:
    for name, lines in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(lines, str):
            raise TypeError(f"{name} must be a sequence of sentences, got one string")
    _same_number(hypotheses=hypotheses, references=references)


def _same_number(**sequences: Sequence) -> None:
    counts = {name: len(sequence) for name, sequence in sequences.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ValueError(f"need the same number of each, got {said}")
    if 0 in counts.values():
        raise ValueError(f"{' and '.join(counts)} are empty")


def _comparable(sentence):
    return sentence if isinstance(sentence, str) else list(sentence)


def _array(weights) -> np.ndarray:
    """Weights as floats; tensors are detached."""
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().double().numpy()
    weights = np.asarray(weights, dtype=float)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    return weights


def _matrix(weights) -> np.ndarray:
    weights = _array(weights)
    if weights.ndim != 2:
        raise ValueError(f"weights must have shape (T, S), got {weights.shape}")
    return weights


def _inside(link: tuple[int, int], weights: np.ndarray) -> tuple[int, int]:
    t, s = link
    if not (0 <= t < weights.shape[0] and 0 <= s < weights.shape[1]):
        raise ValueError(f"link {link} is outside weights of shape {weights.shape}")
    return link


def _sets(name: str, alignments: Sequence[Links]) -> list[set[tuple[int, int]]]:
    try:
        return [{(int(t), int(s)) for t, s in links} for links in alignments]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold pairs of positions, one set a sentence") from error


def _membership(name: str, words: Sequence[int | None] | None, size: int) -> np.ndarray:
    """Zeros and ones, (words, size): which word each position belongs to."""
    words = list(range(size)) if words is None else list(words)
    if len(words) != size:
        raise ValueError(f"{name} has {len(words)} entries for {size} positions of the weights")
    known = sorted({word for word in words if word is not None})
    if known != list(range(len(known))):
        raise ValueError(f"{name} must number words from 0 without gaps, got {known}")
    member = np.zeros((len(known), size))
    for position, word in enumerate(words):
        if word is not None:
            member[word, position] = 1
    return member

"""How good is a translation?

BLEU comes in three kinds, which differ by points on the same text: `bleu` (sacreBLEU, what we
report first), `bleu_papers` (what the papers on Multi30k report), `bleu_lowercase` (near what
tutorials report).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest

import numpy as np

from attnlib.data.cleaning import listed
from attnlib.metrics.intervals import Estimate, as_lists, wilson_interval, with_interval

MOSES_LANGUAGES = ("de", "en", "fr")  # those whose shipped reference `moses` meets line by line


def bleu(
    hypotheses: Iterable[str],
    references: Iterable[str | Iterable[str]],
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
    """BLEU of detokenised, cased text (Papineni et al. 2002) as sacreBLEU has it (Post 2018).

    Parameters
    ----------
    hypotheses, references : iterables of str
        Plain text, one sentence each, in the same order. In place of a reference there may be a
        list of them, each as good as the others, as for captions.
    resamples : int
        If positive, the interval is the middle 95 % of this many bootstrap samples of the
        sentences (Koehn 2004). 0 gives no interval.
    seed : int
        Of the resampling.

    Returns
    -------
    Estimate
        0 to 100, with sacreBLEU's signature.

    Raises
    ------
    ValueError
        If the numbers of sentences differ, or there are none; if a sentence has no reference; if
        `resamples` is negative.
    TypeError
        If either is a single string, which is a sequence of letters, or holds something else than
        text.

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
    return _measured(_bleu(), hypotheses, references, resamples, seed)


def bleu_lowercase(
    hypotheses: Iterable[str],
    references: Iterable[str | Iterable[str]],
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
    """BLEU of lower-cased text, otherwise as `bleu`; for German to English.

    The PyTorch tutorials we compare with lower-case everything and split words with spaCy; here
    sacreBLEU lower-cases and splits. Arguments, result and errors as in `bleu`.

    >>> bleu_lowercase(["a man in a red shirt."], ["A man in a red shirt."]).value > 99.9
    True
    """
    return _measured(_bleu(lowercase=True), hypotheses, references, resamples, seed)


def bleu_papers(
    hypotheses: Iterable[str],
    tokenised_references: Iterable[str],
    language: str = "fr",
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
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
    Estimate
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
    hypotheses = listed("hypotheses", hypotheses)
    tokenised_references = listed("tokenised_references", tokenised_references)
    for line in tokenised_references:
        if line != line.lower():
            raise ValueError(f"tokenised_references must be lower-cased, got {line!r}")
    as_lists(hypotheses=hypotheses, tokenised_references=tokenised_references)
    tokens = moses(hypotheses, language)
    score = _measured(_bleu(tokenize="none"), tokens, tokenised_references, resamples, seed)
    prepared = f"lang:{language}|prep:lc+moses.norm+moses.tok|{score.signature}"
    return Estimate(score.value, prepared, score.interval)


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
    return [
        tokenise(normalise(line.lower() + "\n"), return_str=True) for line in listed("lines", lines)
    ]


def chrf(
    hypotheses: Iterable[str],
    references: Iterable[str | Iterable[str]],
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
    """chrF2 (Popović 2015), an F-score of character 1- to 6-grams, by sacreBLEU.

    Fairer than BLEU where a word has many forms. Arguments, result and errors as in `bleu`.

    >>> round(chrf(["a red shirt"], ["a red skirt"]).value, 2)
    45.73
    """
    from sacrebleu.metrics import CHRF

    return _measured(CHRF(), hypotheses, references, resamples, seed)


def bleu_difference(
    first: Iterable[str],
    second: Iterable[str],
    references: Iterable[str | Iterable[str]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
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
    first, references = _parallel(first, references)
    second, _ = _parallel(second, references)
    left, right = bleu(first, references), bleu(second, references)
    metric = _bleu()
    both = [_statistics(metric, hypotheses, references) for hypotheses in (first, second)]
    width = both[0].shape[1]

    def formula(sums):
        return _scores(metric, sums[:, :width]) - _scores(metric, sums[:, width:])

    return with_interval(
        Estimate(left.value - right.value, f"difference|{left.signature}"),
        np.concatenate(both, axis=1),
        formula,
        resamples,
        seed,
    )


@dataclass(frozen=True)
class Bucket:
    """The score of the sentences with ``low <= length < high``."""

    low: float
    high: float
    sentences: int
    score: Estimate


def by_length(
    metric: Callable[[Sequence, Sequence], Estimate],
    lengths: Sequence[int],
    hypotheses: Sequence,
    references: Sequence,
    edges: Sequence[float],
) -> list[Bucket]:
    """Estimate the sentences of each range of source length.

    Parameters
    ----------
    metric : callable
        ``metric(hypotheses, references)`` gives a `Estimate`; ``functools.partial(bleu,
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
    >>> right, said = ["a", "b", "d"], ["a", "b", "c"]
    >>> for bucket in by_length(exact_match, [2, 3, 9], said, right, [1, 5, 10]):
    ...     print(bucket.low, bucket.high, bucket.sentences, bucket.score.value)
    1 5 2 1.0
    5 10 1 0.0
    """
    lengths, hypotheses, references = as_lists(
        lengths=lengths, hypotheses=hypotheses, references=references
    )
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


def exact_match(hypotheses: Sequence, references: Sequence) -> Estimate:
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
    hypotheses, references = as_lists(hypotheses=hypotheses, references=references)
    hits = sum(_comparable(h) == _comparable(r) for h, r in zip(hypotheses, references))
    n = len(hypotheses)
    return Estimate(hits / n, f"exact match|n:{n}|interval:wilson", wilson_interval(hits, n))


# Helpers --------------------------------------------------------------------------------------


def _bleu(lowercase: bool = False, tokenize: str = "13a"):
    from sacrebleu.metrics import BLEU

    return BLEU(lowercase=lowercase, tokenize=tokenize, force=True)


def _measured(metric, hypotheses, references, resamples: int, seed: int) -> Estimate:
    """What a metric of sacreBLEU says of all sentences, with its interval."""
    hypotheses, references = _parallel(hypotheses, references)
    columns = list(zip_longest(*references))  # None where a sentence has fewer references
    value = metric.corpus_score(hypotheses, columns).score
    estimate = Estimate(value, str(metric.get_signature()))
    if not resamples:
        return estimate
    statistics = _statistics(metric, hypotheses, references)
    return with_interval(estimate, statistics, partial(_scores, metric), resamples, seed)


def _statistics(metric, hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    """What the metric counts in each sentence, a row each; the score is one of their sums."""
    columns = list(zip_longest(*references))
    return np.array(metric._extract_corpus_statistics(hypotheses, columns))


def _scores(metric, sums: np.ndarray) -> np.ndarray:
    """The metric of each row of summed statistics."""
    return np.array([metric._compute_score_from_stats(row).score for row in sums.tolist()])


def _parallel(hypotheses, references) -> tuple[list[str], list[list[str]]]:
    """Both as lists, one entry a sentence, the references of a sentence in a list of their own."""
    hypotheses = listed("hypotheses", hypotheses)
    if isinstance(references, str):
        listed("references", references)  # says why not
    hypotheses, references = as_lists(hypotheses=hypotheses, references=references)
    several = [[each] if isinstance(each, str) else each for each in references]
    several = [listed("references of a sentence", each) for each in several]
    for number, each in enumerate(several, start=1):
        if not each:
            raise ValueError(f"sentence {number} has no reference")
    return hypotheses, several


def _comparable(sentence):
    return sentence if isinstance(sentence, str) else list(sentence)

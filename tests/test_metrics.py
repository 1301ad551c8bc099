"""attnlib.metrics against counts made by hand, brute force, and other people's code."""

import gzip
import io
import math
import random
import sys
import tarfile
from collections import Counter
from functools import partial
from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import CHRF

from attnlib import metrics
from attnlib.data import corpora, files, hansards, toy
from attnlib.explore import rows
from attnlib.metrics import Estimate, translation

EXACT = {"rel": 0, "abs": 1e-12}  # float64: only the order of the sums may differ
quick = settings(max_examples=50, deadline=None)  # a busy machine is no failure

# Sentences with everything that BLEU must survive: no match, one word, nothing at all.
REFERENCES = [
    "The white horse sees a red shirt.",
    "A man in a red shirt rides a bike.",
    "Two dogs are playing in the snow.",
    "Hello.",
    "A girl with a blue hat, near the old bridge.",
    "Oh",
    "two words",
]
HYPOTHESES = [
    "The white Horse sees the red shirt.",
    "A man in a red shirt rides a bicycle.",
    "Children sing loudly together",
    "",
    "A girl with a hat near the bridge.",
    "Oh dear me",
    "words two of the many",
]


def available(*names):
    """A reason to skip, or None: whether the real data is at hand."""
    try:
        for name in names:
            files.fetch(name)
    except files.DataError as error:
        return str(error)


# BLEU -----------------------------------------------------------------------------------------


def bleu_by_loops(hypotheses, references):
    """Papineni et al. 2002 on words split at spaces: clipped precisions, brevity penalty."""
    logs = 0
    for n in (1, 2, 3, 4):
        hits, total = 0, 0
        for hypothesis, reference in zip(hypotheses, references):
            h, r = hypothesis.split(), reference.split()
            ours = Counter(tuple(h[i : i + n]) for i in range(len(h) - n + 1))
            theirs = Counter(tuple(r[i : i + n]) for i in range(len(r) - n + 1))
            for gram, count in ours.items():
                hits += min(count, theirs[gram])
            total += sum(ours.values())
        logs += math.log(hits / total) / 4
    length = sum(len(h.split()) for h in hypotheses)
    reference_length = sum(len(r.split()) for r in references)
    penalty = 1 if length >= reference_length else math.exp(1 - reference_length / length)
    return 100 * penalty * math.exp(logs)


def test_bleu_by_hand():
    # "a b c d e" against "a b c d f g": 4/5, 3/4, 2/3, 1/2, brevity exp(1 - 6/5)
    by_hand = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25 * math.exp(-1 / 5)
    score = metrics.bleu(["a b c d e"], ["a b c d f g"])
    assert score.value == pytest.approx(by_hand, **EXACT)
    assert score.interval is None
    assert "tok:13a" in score.signature and "case:mixed" in score.signature


def test_bleu_equals_the_loops():
    h = ["the cat sat on the mat today", "the the the the", "a red shirt is on a red chair"]
    r = ["the cat sat on a mat", "the cat is the cat", "the red shirt is on a red chair here"]
    assert metrics.bleu(h, r).value == pytest.approx(bleu_by_loops(h, r), rel=1e-12)


def test_bleu_against_several_references_takes_what_any_of_them_has():
    """By hand: 5 of 6 words, 3 of 5 pairs, 1 of 4, 0 of 3, smoothed to 1/2; the nearest length."""
    score = metrics.bleu(["a b c d e f"], [["a b c x x x x x", "x x d e y", "q"]])
    by_hand = 100 * (5 / 6 * 3 / 5 * 1 / 4 * (1 / 2) / 3) ** 0.25
    assert score.value == pytest.approx(by_hand, rel=1e-12)  # 5 words are nearest: no penalty
    assert "nrefs:var" in metrics.bleu(["a b", "c d"], [["a b"], ["c", "d"]]).signature
    one = metrics.bleu(HYPOTHESES, REFERENCES, resamples=30)
    several = metrics.bleu(HYPOTHESES, [[r] for r in REFERENCES], resamples=30)
    assert several.value == one.value and several.interval == one.interval
    more = [[h, r] for h, r in zip(HYPOTHESES, REFERENCES)]
    assert metrics.bleu(HYPOTHESES, more, resamples=30).interval == pytest.approx((100, 100))


def test_bleu_sees_case_and_bleu_lowercase_does_not():
    upper = [line.upper() for line in REFERENCES]
    assert metrics.bleu(upper, REFERENCES).value < 20
    lower = metrics.bleu_lowercase(upper, REFERENCES)
    assert lower.value == pytest.approx(100) and "case:lc" in lower.signature


def test_bleu_papers_by_hand():
    # prepared: l&apos; homme voit « -> &quot; un chat &quot; . : nine words, one of them wrong
    reference = ["l&apos; homme voit &quot; un chat &quot; ."]
    assert metrics.moses(["L'homme voit « un chat »."], "fr") == reference
    score = metrics.bleu_papers(["L'homme voit « un chien »."], reference, "fr")
    by_hand = bleu_by_loops(["l&apos; homme voit &quot; un chien &quot; ."], reference)
    assert score.value == pytest.approx(by_hand, **EXACT)
    assert score.signature.startswith("lang:fr|prep:lc+moses.norm+moses.tok|")
    assert "tok:none" in score.signature


@pytest.mark.parametrize("language, words", [("fr", 13988), ("de", 12103), ("en", 12968)])
def test_moses_meets_the_shipped_reference_of_multi30k_line_by_line(language, words):
    names = [f"multi30k/test_2016_flickr.{part}{language}" for part in ("", "lc.norm.tok.")]
    names[0] += ".gz"
    if reason := available(*names):
        pytest.skip(reason)
    raw = gzip.decompress(files.fetch(names[0]).read_bytes()).decode("utf-8").splitlines()
    shipped = corpora.multi30k_tokenised(language)
    assert len(raw) == len(shipped) == 1000
    assert metrics.moses(raw, language) == shipped
    assert sum(len(line.split()) for line in shipped) == words
    assert metrics.bleu_papers(raw, shipped, language).value == pytest.approx(100)


def test_moses_without_sacremoses_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(ImportError, match="pip install sacremoses"):
        metrics.moses(["a"], "en")


def test_chrf_by_hand():
    # "abc" against "abd": 2/3, 1/2, 0/1 of 1- to 3-grams, the same recall; no longer ones
    assert metrics.chrf(["abc"], ["abd"]).value == pytest.approx(100 * (2 / 3 + 1 / 2) / 3, **EXACT)
    # recall counts double: hypothesis "ab" against "abcd"; orders 1 and 2 occur on both sides
    recall = (2 / 4 + 1 / 3) / 2
    assert metrics.chrf(["ab"], ["abcd"]).value == pytest.approx(
        100 * 5 * recall / (4 * 1 + recall), **EXACT
    )


# Intervals of test sets -----------------------------------------------------------------------


def test_summed_statistics_give_the_score_of_every_set_of_sentences():
    """What is summed for the intervals is sacreBLEU's, also where orders have no match."""
    for metric, score in ((translation._bleu(), metrics.bleu), (CHRF(), metrics.chrf)):
        statistics = translation._statistics(metric, HYPOTHESES, [[r] for r in REFERENCES])
        for chosen in range(1, 2 ** len(REFERENCES)):
            rows = [i for i in range(len(REFERENCES)) if chosen >> i & 1]
            text = [HYPOTHESES[i] for i in rows], [REFERENCES[i] for i in rows]
            (ours,) = translation._scores(metric, statistics[rows].sum(axis=0, keepdims=True))
            assert ours == pytest.approx(score(*text).value, rel=1e-9, abs=1e-9), rows


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_every_metric_of_text_takes_several_references_from_any_iterable(data):
    """As good as the best of them: one that equals the hypothesis gives 100 and its interval."""
    metric = data.draw(st.sampled_from([metrics.bleu, metrics.bleu_lowercase, metrics.chrf]))
    others = st.lists(st.sampled_from(REFERENCES), max_size=3)
    several = [[*data.draw(others), h or "x", *data.draw(others)] for h in HYPOTHESES]
    alone = metric(HYPOTHESES, [[r] for r in REFERENCES], resamples=5)
    assert alone == metric(HYPOTHESES, REFERENCES, resamples=5)
    found = metric((h for h in HYPOTHESES), (iter(each) for each in several), resamples=5)
    assert found == metric(HYPOTHESES, several, resamples=5)
    best = metric([h or "x" for h in HYPOTHESES], several, resamples=5)
    assert best.value == pytest.approx(100) and best.interval == pytest.approx((100, 100))
    want = sacrebleu.corpus_chrf(HYPOTHESES, list(zip_longest(*several))).score
    assert metrics.chrf(HYPOTHESES, several).value == want


def test_a_sentence_without_a_reference_and_what_is_no_text_are_named():
    for metric in (metrics.bleu, metrics.bleu_lowercase, metrics.chrf):
        with pytest.raises(ValueError, match="sentence 2 has no reference"):
            metric(["a", "b"], [["a"], []])
        with pytest.raises(TypeError, match="hypotheses must be str, got NoneType as number 2"):
            metric(["a", None], ["a", "b"])
        with pytest.raises(TypeError, match="references of a sentence must be a list of str, got"):
            metric(["a"], [None])
        with pytest.raises(TypeError, match="takes 2 positional arguments"):
            metric(["a"], ["a"], 100)  # resamples or seed?
    same, other, references = iter(["a b c d"]), iter(["a b c x"]), iter([["a b c d", "e"]])
    difference = metrics.bleu_difference(same, other, references, resamples=5)
    assert difference.value > 0


@pytest.mark.parametrize(
    "metric", [metrics.bleu, metrics.bleu_lowercase, metrics.chrf], ids=lambda m: m.__name__
)
def test_the_interval_is_that_of_a_brute_force_bootstrap(metric):
    """Draw the sentences themselves and score each sample from scratch with sacreBLEU."""
    score = metric(HYPOTHESES, REFERENCES, resamples=60, seed=5)
    draws = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=60)
    values = []
    for draw in draws:
        rows = [i for i, times in enumerate(draw) for _ in range(times)]
        values.append(metric([HYPOTHESES[i] for i in rows], [REFERENCES[i] for i in rows]).value)
    want = np.quantile(values, [0.025, 0.975])
    assert score.interval == pytest.approx(tuple(want), rel=1e-9, abs=1e-9)
    assert score.value == metric(HYPOTHESES, REFERENCES).value
    assert score.signature.endswith("|bootstrap:60|seed:5")


def test_bleu_papers_has_the_interval_of_its_own_words():
    lines = ["L'homme voit « un chat ».", "Une femme court.", "Un cheval blanc l'a vu."]
    truth = ["L'homme a vu un chat.", "L'eau, une femme court.", "Un cheval noir l'a vu."]
    references = metrics.moses(truth, "fr")
    score = metrics.bleu_papers(lines, references, "fr", resamples=30, seed=3)
    prepared, values = metrics.moses(lines, "fr"), []
    for draw in np.random.default_rng(3).multinomial(3, np.full(3, 1 / 3), size=30):
        rows = [i for i, times in enumerate(draw) for _ in range(times)]
        chosen = [prepared[i] for i in rows], [[references[i] for i in rows]]
        values.append(sacrebleu.corpus_bleu(*chosen, tokenize="none", force=True).score)
    want = np.quantile(values, [0.025, 0.975])
    assert score.interval == pytest.approx(tuple(want), rel=1e-9, abs=1e-9)


def test_difference_is_paired():
    rng = random.Random(0)
    references = [" ".join(rng.choices("abcdefgh", k=12)) for _ in range(60)]

    def spoil(line, share):
        return " ".join("x" if rng.random() < share else word for word in line.split())

    good = [spoil(line, rng.random() * 0.5) for line in references]  # some are hard, some easy
    bad = [line.replace("a", "y") for line in good]  # a little worse on each
    difference = metrics.bleu_difference(good, bad, references, resamples=400)
    first = metrics.bleu(good, references, resamples=400)
    second = metrics.bleu(bad, references, resamples=400)
    assert difference.value == pytest.approx(first.value - second.value, **EXACT)
    low, high = difference.interval
    assert 0 < low < difference.value < high
    widths = [b - a for a, b in (first.interval, second.interval)]
    assert high - low < max(widths)  # unpaired it would be wider than either
    same = metrics.bleu_difference(good, good, references, resamples=50)
    assert same.value == 0 and same.interval == (0, 0)
    turned = metrics.bleu_difference(bad, good, references, resamples=400)
    assert turned.interval == pytest.approx((-high, -low))


def test_intervals_depend_on_the_seed_alone():
    once = metrics.bleu(HYPOTHESES, REFERENCES, resamples=30, seed=1)
    assert metrics.bleu(HYPOTHESES, REFERENCES, resamples=30, seed=1) == once
    assert metrics.bleu(HYPOTHESES, REFERENCES, resamples=30, seed=2).interval != once.interval


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    """Half of the words are linked rightly in the long run: the true error rate is 1/2."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        gold = [{(t, t) for t in range(4)} for _ in range(60)]
        predicted = [{(t, t if rng.random() < 0.5 else 9) for t in range(4)} for _ in gold]
        low, high = metrics.alignment_error_rate(
            predicted, gold, gold, resamples=200, seed=trial
        ).interval
        covered += low <= 0.5 <= high
    assert 0.88 <= covered / 200 <= 0.995


def test_bad_arguments_of_text_metrics():
    bad = [metrics.bleu, metrics.bleu_lowercase, metrics.chrf, metrics.bleu_papers]
    for metric in bad:
        with pytest.raises(ValueError, match=r"2 hypotheses, 1 (tokenised_)?references"):
            metric(["a", "b"], ["a"])
        with pytest.raises(ValueError, match=r"hypotheses and (tokenised_)?references are empty"):
            metric([], [])
        with pytest.raises(TypeError, match="hypotheses must be a list of str, got one str"):
            metric("ab", ["a", "b"])
        with pytest.raises(TypeError, match="references must be a list of str, got one str"):
            metric(["a", "b"], "ab")
        with pytest.raises(ValueError, match="resamples must be 0 or more, got -1"):
            metric(["a"], ["a"], resamples=-1)
    with pytest.raises(ValueError, match="tokenised_references must be lower-cased, got 'Un chat"):
        metrics.bleu_papers(["Un chat."], ["Un chat."])
    with pytest.raises(ValueError, match="language must be one of de, en, fr, got 'mr'"):
        metrics.bleu_papers(["a"], ["a"], language="mr")
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        metrics.bleu_difference(["a"], ["a"], ["a"], resamples=0)
    with pytest.raises(ValueError, match="1 hypotheses, 2 references"):
        metrics.bleu_difference(["a", "b"], ["a"], ["a", "b"])


# By length, exact match, seeds ----------------------------------------------------------------


def test_by_length_puts_every_sentence_where_it_belongs():
    lengths = [8, 1, 4, 5, 100, 7, 2]
    buckets = metrics.by_length(metrics.bleu, lengths, HYPOTHESES, REFERENCES, [1, 5, 8, math.inf])
    rows = [[1, 2, 6], [3, 5], [0, 4]]
    assert [(b.low, b.high, b.sentences) for b in buckets] == [
        (1, 5, 3),
        (5, 8, 2),
        (8, math.inf, 2),
    ]
    for bucket, row in zip(buckets, rows, strict=True):
        want = metrics.bleu([HYPOTHESES[i] for i in row], [REFERENCES[i] for i in row])
        assert bucket.score == want


def test_by_length_takes_intervals_and_leaves_empty_buckets_out():
    metric = partial(metrics.chrf, resamples=20)
    (bucket,) = metrics.by_length(metric, [3] * 7, HYPOTHESES, REFERENCES, [0, 2, 4])
    assert bucket.low == 2 and bucket.score.interval is not None


def test_by_length_errors():
    check = partial(metrics.by_length, metrics.exact_match)
    with pytest.raises(ValueError, match=r"length 7 is outside the edges \[1, 7\]"):
        check([1, 7], ["a", "b"], ["a", "b"], [1, 7])
    with pytest.raises(ValueError, match="edges must be at least two increasing"):
        check([1], ["a"], ["a"], [1, 1])
    with pytest.raises(ValueError, match="edges must be at least two increasing"):
        check([1], ["a"], ["a"], [1])
    with pytest.raises(ValueError, match="1 lengths, 2 hypotheses, 2 references"):
        check([1], ["a", "b"], ["a", "b"], [1, 7])


def test_exact_match_counts_sentences():
    score = metrics.exact_match([["a", "b"], ("c",), ["d"]], [("a", "b"), ["c"], ["e"]])
    assert score.value == pytest.approx(2 / 3)
    assert score.interval == metrics.wilson_interval(2, 3)
    assert metrics.exact_match(["ab"], ["a b"]).value == 0
    with pytest.raises(ValueError, match="2 hypotheses, 1 references"):
        metrics.exact_match(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="empty"):
        metrics.exact_match([], [])


@pytest.mark.parametrize("hits, trials", [(0, 10), (3, 10), (10, 10), (81, 263), (1, 1)])
def test_wilson_interval_solves_its_equation(hits, trials):
    """Its ends are the p for which the share is 1.96 standard errors of p away."""
    z = 1.959963984540054
    share = hits / trials
    # (share - p)^2 = z^2 p (1 - p) / n, as a polynomial in p
    roots = np.roots([1 + z**2 / trials, -(2 * share + z**2 / trials), share**2])
    assert metrics.wilson_interval(hits, trials) == pytest.approx(sorted(roots), abs=1e-9)


def test_wilson_interval_of_newcombe():
    # Newcombe 1998, table I, method 3: 81/263 gives 0.2553 to 0.3662; 0/20 gives 0 to 0.1611
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    for bad in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="need 0 <= hits <= trials"):
            metrics.wilson_interval(*bad)


@pytest.mark.parametrize(
    "freedom, want",  # the printed table of the 0.975 quantile
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042)],
)
def test_student_quantiles_are_those_of_the_table(freedom, want):
    assert metrics.student_quantile(freedom) == pytest.approx(want, abs=5e-4)


def test_student_quantile_meets_scipy_and_the_normal():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 6, 7, 50):
        want = stats.t.ppf(0.975, freedom)
        assert metrics.student_quantile(freedom) == pytest.approx(want, rel=1e-10)
    assert metrics.student_quantile(10_000) == pytest.approx(1.96, abs=1e-3)


def test_paired_interval_is_of_the_differences():
    first, second = [3.0, 5.0, 9.0], [2.5, 4.0, 8.4]
    score, want = metrics.paired_interval(first, second), metrics.mean_interval([0.5, 1.0, 0.6])
    assert score.value == pytest.approx(want.value)
    assert score.interval == pytest.approx(want.interval)
    assert score.signature == "difference|mean|n:3|interval:student"
    assert score.interval[0] > 0  # though the two by themselves overlap widely
    assert metrics.mean_interval(second).interval[1] > metrics.mean_interval(first).interval[0]
    with pytest.raises(ValueError, match="need the same number of each, got 2 first, 3 second"):
        metrics.paired_interval(first[:2], second)


@pytest.mark.parametrize("counts", [None, [4, 0, 3, 8, 5]])
def test_bootstrap_interval_draws_the_units_again(counts):
    totals = [1.0, 0.0, 2.0, -1.5, 4.0]
    score = metrics.bootstrap_interval(totals, counts, resamples=80, seed=3)
    of = [1] * 5 if counts is None else counts
    values = []
    for draw in np.random.default_rng(3).multinomial(5, np.full(5, 1 / 5), size=80):
        rows = [i for i, times in enumerate(draw) for _ in range(times)]
        values.append(sum(totals[i] for i in rows) / sum(of[i] for i in rows))
    assert score.value == pytest.approx(sum(totals) / sum(of))
    assert score.interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert score.signature.endswith("n:5|bootstrap:80|seed:3")


def test_bootstrap_interval_refuses_what_has_none():
    refused = {
        "at least two units": ([1.0],),
        "totals are empty": ([],),
        "must be finite": ([1.0, math.nan],),
        "add up to more than 0": ([1.0, 2.0], [0, 0]),
        "got 2 totals, 1 counts": ([1.0, 2.0], [1]),
    }
    for message, wrong in refused.items():
        with pytest.raises(ValueError, match=message):
            metrics.bootstrap_interval(*wrong)
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        metrics.bootstrap_interval([1.0, 2.0], resamples=0)


def test_mean_interval_by_hand():
    # 60, 61, 62: mean 61, deviation 1, 4.303 / sqrt(3) = 2.484
    score = metrics.mean_interval([60, 61, 62])
    assert score.value == 61
    assert score.interval == pytest.approx((61 - 2.484, 61 + 2.484), abs=1e-3)
    for bad in ([60.0], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="at least two values"):
            metrics.mean_interval(bad)
    with pytest.raises(ValueError, match="values must be finite"):
        metrics.mean_interval([1.0, math.nan])


def test_score_prints_with_and_without_interval():
    assert f"{Estimate(59.04, 'x'):.1f}" == "59.0"
    assert f"{Estimate(0.5, 'x', (0.25, 0.75)):.2f}" == "0.50 [0.25, 0.75]"
    with pytest.raises(AttributeError):
        Estimate(1.0, "x").value = 2


# Alignment error ------------------------------------------------------------------------------

SURE = [{(0, 0), (1, 2)}, {(0, 1)}]
POSSIBLE = [{(0, 0), (1, 2), (1, 1), (2, 1)}, {(0, 1), (1, 0)}]


def test_a_difference_of_alignment_errors_is_paired():
    """Each sample has the same sentences of both; by brute force, and turned round."""
    rng = random.Random(3)
    gold = [{(t, t) for t in range(rng.randint(1, 6))} for _ in range(30)]
    good = [{(t, t if rng.random() < 0.8 else 9) for t, _ in each} for each in gold]
    bad = [{(t, s if rng.random() < 0.7 else 8) for t, s in each} for each in good]
    score = metrics.alignment_error_difference(bad, good, gold, gold, resamples=80, seed=2)
    draws = np.random.default_rng(2).multinomial(30, np.full(30, 1 / 30), size=80)
    values = []
    for draw in draws:
        a, b, s = ([of[i] for i in range(30) for _ in range(draw[i])] for of in (bad, good, gold))
        values.append(
            metrics.alignment_error_rate(a, s, s).value
            - metrics.alignment_error_rate(b, s, s).value
        )
    want = tuple(np.quantile(values, [0.025, 0.975]))
    assert score.interval == pytest.approx(want, rel=1e-9, abs=1e-12)
    first, second = (metrics.alignment_error_rate(of, gold, gold).value for of in (bad, good))
    assert score.value == pytest.approx(first - second, **EXACT)
    turned = metrics.alignment_error_difference(good, bad, gold, gold, resamples=80, seed=2)
    assert turned.interval == pytest.approx((-want[1], -want[0]))
    same = metrics.alignment_error_difference(good, good, gold, gold)
    assert same.value == 0 and same.interval == (0, 0)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"resamples": 0}, "resamples must be at least 1"),
        ({"sure": [set()], "possible": [set()], "second": [set()]}, "neither a predicted nor"),
        ({"first": [{(0, 0)}] * 2}, "need the same number of each"),
    ],
)
def test_a_difference_of_alignment_errors_says_what_is_wrong(wrong, message):
    fine = {name: [{(0, 0)}] for name in ("first", "second", "sure", "possible")}
    with pytest.raises(ValueError, match=message):
        metrics.alignment_error_difference(**fine | wrong)


def test_alignment_error_rate_by_hand():
    predicted = [{(0, 0), (1, 1), (2, 2)}, {(0, 1), (1, 1)}]
    # sure: (0,0) and (0,1) of the second = 2; possible: those and (1,1) = 3; A 5, S 3
    score = metrics.alignment_error_rate(predicted, SURE, POSSIBLE)
    assert score.value == pytest.approx(1 - (2 + 3) / (5 + 3), **EXACT)


def test_sure_links_are_possible_and_the_extremes_are_right():
    only_possible = [p - s for p, s in zip(POSSIBLE, SURE)]
    for possible in (POSSIBLE, only_possible):
        assert metrics.alignment_error_rate(SURE, SURE, possible).value == 0
        assert metrics.alignment_error_rate(POSSIBLE, SURE, possible).value == 0
        assert metrics.alignment_error_rate([set(), set()], SURE, possible).value == 1
        assert metrics.alignment_error_rate([{(9, 9)}, {(8, 8)}], SURE, possible).value == 1


def test_error_rate_is_one_minus_f_where_all_links_are_sure():
    predicted = [{(0, 0), (1, 1), (2, 2)}, {(0, 1), (1, 1)}]
    hits = sum(len(a & p) for a, p in zip(predicted, POSSIBLE))
    precision, recall = hits / 5, hits / sum(map(len, POSSIBLE))
    f = 2 * precision * recall / (precision + recall)
    rate = metrics.alignment_error_rate(predicted, POSSIBLE, POSSIBLE)
    assert rate.value == pytest.approx(1 - f, **EXACT)


def test_error_rate_interval_by_brute_force():
    rng = random.Random(0)
    sure = [{(t, rng.randrange(4)) for t in range(rng.randint(1, 5))} for _ in range(8)]
    guess = [{(t, rng.randrange(4)) for t in range(rng.randint(1, 5))} for _ in range(8)]
    score = metrics.alignment_error_rate(guess, sure, sure, resamples=80, seed=2)
    values = []
    for draw in np.random.default_rng(2).multinomial(8, np.full(8, 1 / 8), size=80):
        rows = [i for i, times in enumerate(draw) for _ in range(times)]
        a, s = [guess[i] for i in rows], [sure[i] for i in rows]
        values.append(metrics.alignment_error_rate(a, s, s).value)
    assert score.interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), **EXACT)


def test_expected_error_rate_is_the_mean_over_drawn_links():
    rng = np.random.default_rng(0)
    weights = [rng.dirichlet(np.ones(3), size=3), rng.dirichlet(np.ones(2), size=2)]
    weights[0][1] = 0  # a word that draws no link
    exact = metrics.expected_error_rate(weights, SURE, POSSIBLE).value
    drawn = []
    for _ in range(4000):
        links = [
            {(t, rng.choice(len(row), p=row)) for t, row in enumerate(w) if row.sum()}
            for w in weights
        ]
        drawn.append(metrics.alignment_error_rate(links, SURE, POSSIBLE).value)
    standard_error = np.std(drawn) / math.sqrt(len(drawn))
    assert abs(np.mean(drawn) - exact) < 4 * standard_error


def test_expected_error_rate_of_sure_weights_is_the_error_rate():
    weights = [np.eye(3), np.eye(2)]
    links = [metrics.alignment_from_weights(w) for w in weights]
    assert metrics.expected_error_rate(weights, SURE, POSSIBLE).value == pytest.approx(
        metrics.alignment_error_rate(links, SURE, POSSIBLE).value, **EXACT
    )


def test_alignment_error_arguments():
    rate = metrics.alignment_error_rate
    with pytest.raises(ValueError, match="1 predicted, 2 sure, 2 possible"):
        rate(SURE[:1], SURE, SURE)
    with pytest.raises(ValueError, match="are empty"):
        rate([], [], [])
    with pytest.raises(ValueError, match="neither a predicted nor a sure link"):
        rate([set()], [set()], [{(0, 0)}])
    with pytest.raises(ValueError, match="predicted must hold pairs of positions, one set a sent"):
        rate([(0, 0), (1, 1)], SURE, SURE)  # one sentence instead of a list of them
    with pytest.raises(ValueError, match="resamples must be 0 or more"):
        rate(SURE, SURE, SURE, resamples=-1)
    expected = metrics.expected_error_rate
    with pytest.raises(ValueError, match="must sum to 1 or be all zeros"):
        expected([np.full((3, 3), 0.3)], SURE[:1], SURE[:1])
    with pytest.raises(ValueError, match=r"link \(1, 2\) is outside weights of shape \(2, 2\)"):
        expected([np.eye(2)], SURE[:1], SURE[:1])


# From weights to links ------------------------------------------------------------------------


def test_word_weights_by_hand():
    weights = np.array(
        [
            [0.1, 0.2, 0.3, 0.3, 0.1],  # first half of a word
            [0.3, 0.0, 0.1, 0.2, 0.4],  # second half
            [0.0, 0.0, 0.5, 0.5, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0],  # </s>
        ]
    )
    words = metrics.word_weights(weights, [0, 1, 1, 2, None], [0, 0, 1, None])
    np.testing.assert_allclose(words, [[0.2, 0.3, 0.25], [0, 0.5, 0.5]], rtol=0, atol=1e-12)
    # the two halves of the middle word win together, though no half wins alone; ties go left
    links = metrics.alignment_from_weights(weights, [0, 1, 1, 2, None], [0, 0, 1, None])
    assert links == {(0, 1), (1, 1)}


def test_specials_take_no_links():
    weights = torch.tensor([[0.1, 0.2, 0.7], [0.0, 0.0, 1.0], [0.9, 0.1, 0.0]], requires_grad=True)
    assert metrics.alignment_from_weights(weights, [0, 1, None]) == {(0, 1), (2, 0)}
    assert metrics.alignment_from_weights(weights, [None, None, None]) == set()
    assert metrics.alignment_from_weights(weights, target_words=[None, 0, 1]) == {(0, 2), (1, 0)}


def test_rows_of_zeros_take_no_link():
    assert metrics.alignment_from_weights(np.zeros((2, 3))) == set()


@quick
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_links_are_the_argmax_when_every_token_is_a_word(T, S, seed):
    weights = np.random.default_rng(seed).dirichlet(np.ones(S), size=T)
    links = metrics.alignment_from_weights(weights)
    assert links == {(t, max(range(S), key=lambda s: weights[t, s])) for t in range(T)}


def test_word_indices():
    tokens = ["▁The", "▁hor", "ses", "'", "▁", "42", "<unk>", "</s>", "<pad>"]
    assert metrics.word_indices(tokens) == [0, 1, 1, 1, 2, 2, 2, None, None]
    assert metrics.word_indices(["<s>", "ses", "▁a"]) == [None, 0, 1]
    assert metrics.word_indices([]) == []


def test_weight_errors():
    with pytest.raises(ValueError, match=r"weights must have shape \(T, S\), got \(3,\)"):
        metrics.word_weights([0.1, 0.2, 0.7])
    with pytest.raises(ValueError, match="source_words has 2 entries for 3 positions"):
        metrics.word_weights(np.eye(3), source_words=[0, 1])
    with pytest.raises(ValueError, match="target_words must number words from 0 without gaps"):
        metrics.word_weights(np.eye(3), target_words=[0, None, 2])
    for bad in (math.nan, -0.1, math.inf):
        with pytest.raises(ValueError, match="weights must be finite and not negative"):
            metrics.alignment_from_weights([[bad, 1.0]])
        with pytest.raises(ValueError, match="weights must be finite and not negative"):
            metrics.entropy([bad, 1.0])


# Baselines and measures of weights ------------------------------------------------------------


def test_diagonal_by_hand():
    assert metrics.diagonal_alignment(3, 3) == {(0, 0), (1, 1), (2, 2)}
    # 1/2, 2/2, 3/2, 4/2 of two source words, halves to the even: 0 (at least 1), 1, 2, 2
    assert metrics.diagonal_alignment(4, 2) == {(0, 0), (1, 0), (2, 1), (3, 1)}
    assert metrics.diagonal_alignment(2, 5) == {(0, 1), (1, 4)}  # 2.5 -> 2, 5
    assert metrics.diagonal_alignment(0, 5) == set()
    for bad in (metrics.diagonal_alignment, metrics.uniform_weights):
        with pytest.raises(ValueError, match="need T >= 0 and S >= 1, got T=2 and S=0"):
            bad(2, 0)


@quick
@given(st.integers(1, 40), st.integers(1, 40))
def test_the_diagonal_never_goes_back_and_ends_at_the_end(T, S):
    links = sorted(metrics.diagonal_alignment(T, S))
    assert [t for t, _ in links] == list(range(T))
    positions = [s for _, s in links]
    assert positions == sorted(positions) and positions[-1] == S - 1 and positions[0] >= 0


def test_the_diagonal_solves_copy_and_fails_reverse():
    def rate(make):
        examples = make(random.Random(0), count=50, shortest=4, longest=8)
        gold = [set(example.alignment) for example in examples]
        guess = [metrics.diagonal_alignment(len(e.target), len(e.source)) for e in examples]
        return metrics.alignment_error_rate(guess, gold, gold).value

    assert rate(toy.copy) == 0
    assert rate(toy.reverse) > 0.85  # only the middle of an odd length is right


def test_hansards_baselines():
    """0.536, and 0.420 on sentences of at most 15 words, are the numbers of our data notes."""
    if reason := available("hansards/test/test.e"):
        pytest.skip(reason)
    gold = hansards.gold("test")
    assert len(gold) == 447 and sum(map(len, gold.sure)) == 4038
    sizes = [(len(f), len(e)) for f, e in zip(gold.target, gold.source)]
    diagonal = [metrics.diagonal_alignment(*size) for size in sizes]
    rate = metrics.alignment_error_rate(diagonal, gold.sure, gold.possible)
    assert rate.value == pytest.approx(0.536, abs=0.0005)
    short = [i for i, size in enumerate(sizes) if max(size) <= 15]
    lists = ([x[i] for i in short] for x in (diagonal, gold.sure, gold.possible))
    assert metrics.alignment_error_rate(*lists).value == pytest.approx(0.420, abs=0.0005)
    uniform = [metrics.uniform_weights(*size) for size in sizes]
    rate = metrics.expected_error_rate(uniform, gold.sure, gold.possible)
    assert rate.value == pytest.approx(0.886, abs=0.0005)


def test_share_on_gold_by_hand():
    weights = [[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [1, 0, 0]]
    links = {(0, 0), (0, 2), (1, 2)}  # the third word has no gold link: left out
    assert metrics.share_on_gold(weights, links) == (0.75 + 0.125) / 2
    assert metrics.share_on_gold(torch.tensor(weights), list(links)) == (0.75 + 0.125) / 2
    assert metrics.share_on_gold(metrics.uniform_weights(3, 3), links) == pytest.approx(3 / 2 / 3)
    with pytest.raises(ValueError, match="alignment holds no link"):
        metrics.share_on_gold(weights, set())
    for link in [(3, 0), (0, 3), (-1, 0)]:
        with pytest.raises(ValueError, match="is outside weights of shape"):
            metrics.share_on_gold(weights, {link})
    with pytest.raises(ValueError, match="alignment must hold pairs"):
        metrics.share_on_gold(weights, {1, 2})


def test_entropy_by_hand_and_by_loops():
    assert metrics.entropy([0.5, 0.25, 0.25]) == pytest.approx(1.5 * math.log(2), **EXACT)
    weights = np.random.default_rng(0).dirichlet(np.ones(5), size=(2, 3))
    weights[0, 0] = [1, 0, 0, 0, 0]
    weights[0, 1] = 0
    entropies = metrics.entropy(weights)
    assert entropies.shape == (2, 3)
    for b in range(2):
        for t in range(3):
            want = 0
            for a in weights[b, t]:
                want -= a * math.log(a) if a > 0 else 0
            assert entropies[b, t] == pytest.approx(want, **EXACT)
    assert metrics.entropy(metrics.uniform_weights(1, 8))[0] == pytest.approx(math.log(8), **EXACT)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.floats(0.1, 10))
def test_entropy_is_of_shares_so_that_a_row_times_a_number_has_the_same(row, factor):
    """As a window makes it, or words left out; and what a figure shows is what a chapter prints."""
    want = metrics.entropy(row)
    assert metrics.entropy(np.multiply(factor, row)) == pytest.approx(want, rel=0, abs=1e-9)
    assert rows.entropy is metrics.entropy
    said = rows.row_numbers([0.1 * a for a in row], ["x"] * len(row))["entropy"]
    assert said == pytest.approx(want, abs=6e-5)


# Hansards -------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A little gold set in place of the real one; returns a function that writes its files."""
    monkeypatch.setattr(files, "fetch", lambda name: tmp_path / name)
    (tmp_path / "hansards/trial").mkdir(parents=True)

    def write(english, french, links, encoding="utf-8"):
        for suffix, text in (("e", english), ("f", french), ("wa", links)):
            (tmp_path / f"hansards/trial/trial.{suffix}").write_text(text, encoding=encoding)

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_gold_reads_both_encodings_and_turns_the_links(archive, encoding):
    archive(
        "<s snum=1001> The cat  </s>\n<s snum=1003> oh !  </s>\n",
        "<s snum=1001> le été chat  </s>\n<s snum=1003> oh !  </s>\n",
        "1001 1 1 S\n1001 2 3 S 0.9\n1001 2 2 P\n1003 1 1 P\n",
        encoding,
    )
    gold = hansards.gold("trial")
    assert gold.source == (("the", "cat"), ("oh", "!"))
    assert gold.target == (("le", "été", "chat"), ("oh", "!"))
    assert gold.sure == ({(0, 0), (2, 1)}, set())
    assert gold.possible == ({(0, 0), (2, 1), (1, 1)}, {(0, 0)})
    assert len(gold) == 2


@pytest.mark.parametrize(
    "links, error",
    [
        ("1 1 1\n", "not a link: '1 1 1'"),
        ("1 1 1 X\n", "not a link"),
        ("1 one 1 S\n", "not a link"),
        ("1 0 1 S\n", "positions count from 1"),
        ("1 2 1 S\n", "no such sentence or word"),
        ("1 1 2 S\n", "no such sentence or word"),
        ("2 1 1 S\n", "no such sentence or word"),
    ],
)
def test_gold_refuses_bad_links(archive, links, error):
    archive("<s snum=1> a </s>", "<s snum=1> b </s>", links)
    with pytest.raises(files.DataError, match=error):
        hansards.gold("trial")


def test_gold_refuses_bad_sentences_and_splits(archive):
    archive("a </s>", "<s snum=1> b </s>", "")
    with pytest.raises(files.DataError, match="not a numbered sentence: 'a </s>'"):
        hansards.gold("trial")
    archive("<s snum=1> a </s>", "<s snum=2> b </s>", "")
    with pytest.raises(files.DataError, match="number their sentences differently"):
        hansards.gold("trial")
    with pytest.raises(ValueError, match="unknown split 'train': one of test, trial"):
        hansards.gold("train")


def test_real_gold_links_are_inside_their_sentences():
    if reason := available("hansards/test/test.e", "hansards/trial/trial.e"):
        pytest.skip(reason)
    for split, size in (("test", 447), ("trial", 37)):
        gold = hansards.gold(split)
        assert len(gold) == len(gold.target) == size
        for e, f, sure, possible in zip(gold.source, gold.target, gold.sure, gold.possible):
            assert sure <= possible
            assert all(t < len(f) and s < len(e) for t, s in possible)


@pytest.fixture
def debates(tmp_path, monkeypatch):
    """Debates in place of the real ones, beside a gold set of one pair; returns their writer."""
    monkeypatch.setattr(files, "fetch", lambda name: tmp_path / name)
    for split, links in hansards.SPLITS.items():
        folder = tmp_path / "hansards" / split
        folder.mkdir(parents=True)
        for side in "ef":
            (folder / f"{split}.{side}").write_text("<s snum=1> hear , hear ! </s>")
        (tmp_path / "hansards" / links).write_text("1 1 1 S")

    def write(**sides):
        with tarfile.open(tmp_path / hansards.TRAINING, "w:xz") as archive:
            for name, text in sides.items():
                data = text.encode()
                entry = tarfile.TarInfo(name.replace("_", "."))
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))

    return write


def test_debates_are_distinct_short_lower_case_and_free_of_gold(debates):
    english = ["Hear , hear !", "Yes  .", "yes .", "a b c d", "x", "", *map(str, range(300))]
    french = ["Bravo !", "Oui .", "oui .", "a b", "Hear , hear !", "rien", *map(str, range(300))]
    debates(one_e="\n".join(english) + "\n", one_f="\n".join(french) + "\n")
    train, val = (hansards.corpus(split, longest=3) for split in ("train", "val"))
    pairs = [*train, *val]
    assert len(pairs) == len(set(pairs)) == 301 and ("yes .", "oui .") in pairs
    assert 0 < len(val) < 20 and not set(train.source) & set(val.source)
    assert ("a b c d", "a b") in [*hansards.corpus("train", None), *hansards.corpus("val", None)]
    with pytest.raises(ValueError, match="unknown split 'test': one of train, val"):
        hansards.corpus("test")


def test_debates_with_unequal_sides_are_refused(debates):
    debates(one_e="a\nb\n", one_f="a\n")
    with pytest.raises(files.DataError, match=r"one\.e has 2 lines, one\.f 1"):
        hansards.corpus("train")
    debates(one_e="a\n")
    with pytest.raises(files.DataError, match=r"holds one\.e but not one\.f"):
        hansards.corpus("train")

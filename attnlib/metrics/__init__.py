"""How good is a translation, an alignment, a caption, and how sure are we?

======================  ===================================================================
``intervals``           `Estimate`: a number, how it was measured, its interval
``translation``         BLEU three ways, chrF, exact match, by length
``alignment``           alignment error, weights between words, entropy
``pointing``            does attention look at what the word names? captions marked word by word
``captions``            are captions true? right ones looking wrong, and wrong ones looking right
``heads``               what does a head look at? shares of its weight by the place of the key
======================  ===================================================================

Every measure of a test set is an `Estimate` with a signature that says how it was computed. What
measures translations and alignments can be had from here, as ``metrics.bleu``.
"""

from attnlib.data.tokenizer import word_indices
from attnlib.metrics.alignment import (
    alignment_error_difference,
    alignment_error_rate,
    alignment_from_weights,
    diagonal_alignment,
    entropy,
    expected_error_rate,
    share_on_gold,
    uniform_weights,
    word_weights,
)
from attnlib.metrics.intervals import (
    LEVEL,
    Estimate,
    bootstrap_interval,
    mean_interval,
    paired_interval,
    student_quantile,
    wilson_interval,
)
from attnlib.metrics.translation import (
    Bucket,
    bleu,
    bleu_difference,
    bleu_lowercase,
    bleu_papers,
    by_length,
    chrf,
    exact_match,
    moses,
)

__all__ = [
    "LEVEL",
    "Bucket",
    "Estimate",
    "alignment_error_difference",
    "alignment_error_rate",
    "alignment_from_weights",
    "bleu",
    "bleu_difference",
    "bleu_lowercase",
    "bleu_papers",
    "bootstrap_interval",
    "by_length",
    "chrf",
    "diagonal_alignment",
    "entropy",
    "exact_match",
    "expected_error_rate",
    "mean_interval",
    "moses",
    "paired_interval",
    "share_on_gold",
    "student_quantile",
    "uniform_weights",
    "wilson_interval",
    "word_indices",
    "word_weights",
]

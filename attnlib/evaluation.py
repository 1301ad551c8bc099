"""How good is a shipped model? Its test set, translated or captioned, and scored.

What a card claims was measured here, and can be measured again (``attnlib evaluate NAME``).
"""

import string
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnlib import metrics
from attnlib.data import corpora, hansards, images
from attnlib.data.files import DataError
from attnlib.data.grammar import Verdict
from attnlib.data.photographs import Photographs
from attnlib.metrics import captions, pointing
from attnlib.pretrained import MAX_SOURCE, PICTURES, Pretrained
from attnlib.settings import build

TESTED = 2000  # pictures that `evaluate` captions
REFERENCES = 5  # true captions of each, at most, that BLEU compares with
SIGNS = string.punctuation + "\u0964\u00ab\u00bb\u2026"  # around words: danda, guillemets, dots
SWAPPED = 3  # times as many words in common with the sources as with the references
HELD_OUT = ("scenes", "digits")  # collections with pictures of what training never had


@dataclass(frozen=True)
class Evaluation:
    """What a model wrote for a test set, and how good that is."""

    test_set: str
    source: list[str]  # for pictures their numbers
    hypotheses: list[str]
    references: list[str] | list[list[str]]  # of a picture several
    scores: dict[str, metrics.Estimate]  # as in a card: "test_2016_flickr.bleu" and so on


def evaluate(
    pretrained: Pretrained,
    *,
    limit: int | None = None,
    beam: int = 5,
    test: corpora.Corpus | Photographs | None = None,
    name: str = "test",
) -> Evaluation:
    """Translate or caption the model's test set, or one of your own, and score it.

    Multi30k's test_2016_flickr for English, German and French: ``bleu`` (cased sacreBLEU),
    ``bleu_lc_tok`` (the papers' metric; left out with a warning where sacremoses is not installed),
    ``bleu_lc`` (lower-cased) and ``chrf``. Tatoeba's test split for Marathi, and the Hansards'
    ``val`` for a model trained on them, without the papers'. A test set of your own has ``bleu``,
    ``bleu_lc`` and ``chrf``. For a captioner see `caption_scores`; photographs of your own have
    ``bleu`` and ``chrf``, against all captions of each.

    Parameters
    ----------
    pretrained : Pretrained
    limit : int, optional
        Only the first so many sentences, or pictures; of pictures there are 2,000 unless given.
    beam : int
    test : Corpus or Photographs, optional
        Sentences of your own, each with its translation, for a translator; for a captioner,
        photographs of your own with captions.
    name : str
        What that test set is called.

    Raises
    ------
    ValueError
        If there is no test set for the model's languages, or `limit` is not positive; if a
        captioner is given a test set of text, or a translator one of photographs.
    attnlib.data.files.DataError
        If the test set is not at hand and cannot be had.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    own = pretrained.card.get("pictures") == images.OWN
    if isinstance(test, Photographs):
        return _photograph_scores(pretrained, test[:limit], beam, name)
    if "pictures" in pretrained.card and test is None and not own:
        return caption_scores(pretrained, number=limit or TESTED, beam=beam)
    if own and test is None:
        raise ValueError(
            f"{pretrained.name} was trained on photographs of one's own, which have no test set "
            "here: give one, --images FOLDER --captions FILE"
        )
    source, target = pretrained.card["languages"][0], pretrained.card["languages"][-1]
    tokenised = None
    if test is not None:
        pass  # of one's own
    elif pretrained.card.get("config", {}).get("data", {}).get("corpus") == "own":
        raise ValueError(
            f"{pretrained.name} was trained on text of one's own, which has no test set here: give "
            "one, --source FILE --target FILE"
        )
    elif any(file.startswith("hansards/") for file in pretrained.card.get("data", ())):
        name, test = "hansards_val", hansards.corpus("val")
    elif {source, target} <= set(corpora.MULTI30K_LANGUAGES):
        name = "test_2016_flickr"
        test = corpora.multi30k(name, source, target)
        tokenised = corpora.multi30k_tokenised(target)[:limit]
    elif (source, target) == ("en", "mr"):
        name, test = "tatoeba_test", corpora.tatoeba("test")
    else:
        raise ValueError(f"there is no test set for {source}-{target}")
    test = test[:limit]
    hypotheses = [found.text for found in pretrained.translate(test.source, beam)]
    scores = {f"{name}.bleu": metrics.bleu(hypotheses, test.target)}
    if tokenised is not None:
        try:
            papers = metrics.bleu_papers(hypotheses, tokenised, target)
            scores[f"{name}.bleu_lc_tok"] = papers
        except ImportError as error:
            warnings.warn(f"bleu_lc_tok is left out: {error}", stacklevel=2)
    scores[f"{name}.bleu_lc"] = metrics.bleu_lowercase(hypotheses, test.target)
    scores[f"{name}.chrf"] = metrics.chrf(hypotheses, test.target)
    if name == "hansards_val":
        scores["hansards_test.aer"] = alignment_error(pretrained, hansards.gold("test"))
    return Evaluation(name, test.source, hypotheses, test.target, scores)


def oddities(found: Evaluation) -> list[str]:
    """What a score does not tell: many empty lines, or one and the same line for many, in words.

    Said is that more than 1 % of the sentences, or pictures, got nothing, sources that are empty
    themselves not counted; that there are fewer different lines than a tenth of the different
    sources and references; and that its words are more often those of the sources than those of the
    references, as where the files are swapped.

    >>> evaluation = Evaluation("test", ["a", "b"], ["x", ""], ["y", "z"], {})
    >>> oddities(evaluation)
    ['1 of 2 lines that the model wrote is empty: --beam 1 leaves fewer so']
    """
    asked = [line for line, source in zip(found.hypotheses, found.source) if source.strip()]
    empty, different = sum(not line.strip() for line in asked), len(set(asked))
    first = [each if isinstance(each, str) else each[0] for each in found.references]
    said, lines = [], f"{len(asked):,} lines that the model wrote"
    if empty > 0.01 * len(asked):
        said.append(
            f"{empty:,} of {lines} {'is' if empty == 1 else 'are'} empty: --beam 1 leaves fewer so"
        )
    if different < 0.1 * min(len(set(found.source)), len(set(first))):
        said.append(
            f"only {different:,} of {lines} differ: it has hardly been trained, or the files that "
            "it was trained on are out of step"
        )
    words, asking, right = map(_words, (asked, found.source, first))
    if len(words & asking) > SWAPPED * max(1, len(words & right)):
        said.append(
            "what the model wrote has the words of the sources, not of the references: are --source"
            " and --target swapped?"
        )
    return said


def _words(lines: Iterable[str]) -> set[str]:
    """The different words, in small letters, without the signs around them.

    >>> sorted(_words(["Two dogs, 2 cats."]))
    ['cats', 'dogs', 'two']
    """
    words = (word.strip(SIGNS) for line in lines for word in line.lower().split())
    return {word for word in words if any(map(str.isalpha, word))}


def caption_scores(pretrained: Pretrained, *, number: int = TESTED, beam: int = 5) -> Evaluation:
    """Caption test pictures, and hold each caption against the truth about its picture.

    ``parses`` and ``true_captions`` are the shares of captions that are of the grammar, and that
    are true; ``true_captions_held_out`` is that of pictures with a combination which training never
    had, where the collection has such; ``bleu`` is against five true captions, ``exact_match`` the
    share of captions that are one of them. ``recognition`` is the share of nouns, in captions true
    or false, that fit what the model was looking at (`captions.recognized`).

    Attention is marked where the caption is true, for only then do its words name things:
    ``pointing_game`` and ``attention_inside`` of nouns and adjectives, as `pointing` says; the
    first also of each class of words, numbers among them; and both of attention that knows nothing
    (``_uniform``, ``_centre``, ``_untrained``: of the same model with one draw of random weights,
    made to write the same; other draws differ, as chapter 07 shows) or everything (``_best``, as
    much as cells allow). ``_given`` is of captions of the data, which any model can be made to
    write.

    Of photographs nothing but ``bleu`` is known, against all of their captions. A DataError says
    where there are none for the test split.

    Parameters
    ----------
    pretrained : Pretrained
        A captioner whose card names its ``pictures``.
    number : int
        How many pictures of each split, from the first; all of them where there are fewer.
    beam : int
    """
    name = pretrained.card["pictures"]
    try:
        test = images.load(name, "test", captions=REFERENCES)
    except ValueError as error:  # COCO's own annotations have no captions of test photographs
        raise DataError(str(error)) from error
    if name in images.PHOTOGRAPHS:
        number = min(number, len(test))
    samples, seen, found = _captioned(pretrained, test, number, beam)
    hypotheses = [caption.text for caption in found]
    references = [[caption.text for caption in sample.captions] for sample in samples]
    numbers = [str(i) for i in range(number)]
    bleu = metrics.bleu(hypotheses, references)
    if name in images.PHOTOGRAPHS:
        scores = {"bleu": _on(bleu, f"{name} test", number)}
        return Evaluation(f"{name} test", numbers, hypotheses, references, scores)
    verdicts = _judged(test.grammar, samples, found)
    scores = {
        "true_captions": captions.true_captions(verdicts),
        "parses": captions.parsed_captions(verdicts),
    }
    one_of = [text if text in its else its[0] for text, its in zip(hypotheses, references)]
    scores |= {"bleu": bleu, "exact_match": metrics.exact_match(hypotheses, one_of)}
    if pretrained.attends:
        scores |= _pointing(pretrained, test.grammar, samples, seen, found)
        scores |= _recognition(pretrained, test.grammar, samples, found)
    scores = {key: _on(score, f"{name} test", number) for key, score in scores.items()}
    if name in HELD_OUT:
        others, _, said = _captioned(pretrained, images.load(name, "held_out"), number, beam)
        true = captions.true_captions(_judged(test.grammar, others, said))
        scores["true_captions_held_out"] = _on(true, f"{name} held_out", number)
    return Evaluation(f"{name} test", numbers, hypotheses, references, scores)


def _photograph_scores(pretrained: Pretrained, test: Photographs, beam: int, name: str):
    """Caption photographs of one's own, some at a time, and compare with all captions of each."""
    found: list[str] = []
    for start in range(0, len(test), PICTURES):
        some = [test.image(i) for i in range(start, min(start + PICTURES, len(test)))]
        found += [each.text for each in pretrained.caption(some, beam)]
    references = [list(texts) for texts in test.captions]
    scores = {
        f"{name}.bleu": metrics.bleu(found, references),
        f"{name}.chrf": metrics.chrf(found, references),
    }
    return Evaluation(name, [path.name for path in test.paths], found, references, scores)


def _captioned(pretrained: Pretrained, pictures, number: int, beam: int) -> tuple:
    """The first samples of a collection, what the model sees of them, and what it says of each."""
    samples = [pictures.sample(i) for i in range(number)]
    seen = pretrained.features([sample.image for sample in samples])
    return samples, seen, pretrained.caption(seen, beam)


def _on(score: metrics.Estimate, pictures: str, number: int) -> metrics.Estimate:
    """The score, its signature with what was captioned."""
    return replace(score, signature=f"{score.signature}|on:{pictures} 0-{number - 1}")


def _judged(grammar, samples, found) -> list[Verdict]:
    """Whether each caption is true of its picture."""
    return [grammar.check(c.text, s.things) for s, c in zip(samples, found, strict=True)]


def _pointing(pretrained, grammar, samples, seen, found) -> dict[str, metrics.Estimate]:
    """The marks of attention, as `caption_scores` lists them; none where no caption is true."""
    records, linked = [], []
    for number, (sample, caption) in enumerate(zip(samples, found)):
        link = grammar.link(caption.text, sample.things)
        if link is not None:
            looked = (caption.weights, sample.masks, pretrained.grid, caption.tokens)
            records.append(pointing.Record.of(link.words, link.things, *looked))
            linked.append(number)
    if not records:
        return {}
    pictures = seen[linked] if isinstance(seen, Tensor) else [seen[i] for i in linked]
    by_class = pointing.by_class(pointing.pointing_game, records, grammar)
    marked = _nouns_and_adjectives(records, grammar)
    return {
        "pointing_game": pointing.pointing_game(marked),
        **{f"pointing_game_{name}": score for name, score in by_class.items()},
        "pointing_game_uniform": pointing.pointing_game(list(map(pointing.uniform, marked))),
        "pointing_game_centre": pointing.pointing_game(list(map(pointing.centre, marked))),
        "pointing_game_untrained": pointing.pointing_game(_untrained(pretrained, marked, pictures)),
        "pointing_game_given": pointing.pointing_game(_given(pretrained, grammar, samples, seen)),
        "attention_inside": pointing.mass_inside(marked),
        "attention_inside_best": pointing.mass_inside(list(map(pointing.best, marked))),
        "attention_inside_uniform": pointing.mass_inside(list(map(pointing.uniform, marked))),
    }


def _nouns_and_adjectives(records, grammar) -> list[pointing.Record]:
    """The same captions, their numbers not to be marked."""
    classes = [pointing.word_classes(grammar, record.words) for record in records]
    return [
        record.only([name != "number" for name in its]) for record, its in zip(records, classes)
    ]


def _untrained(pretrained, records, pictures) -> list[pointing.Record]:
    """Where the same model with random weights looks when it is made to write the same captions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build("captioner", pretrained.card["model"])
    other = replace(pretrained, model=model.eval())
    looked = other.force_decode(pictures, [" ".join(record.words) for record in records])
    return [
        pointing.with_weights(record, x.weights) for record, x in zip(records, looked, strict=True)
    ]


def _given(pretrained, grammar, samples, seen) -> list[pointing.Record]:
    """Where a model looks when it is made to write a caption of the data."""
    given = [sample.captions[0] for sample in samples]
    looked = pretrained.force_decode(seen, [each.text for each in given])
    records = [
        pointing.Record.of(c.words, c.things, x.weights, s.masks, pretrained.grid, x.tokens)
        for s, c, x in zip(samples, given, looked, strict=True)
    ]
    return _nouns_and_adjectives(records, grammar)


def _recognition(pretrained, grammar, samples, found) -> dict[str, metrics.Estimate]:
    """Whether nouns fit what was looked at, in all captions that can be read."""
    marks = []
    for sample, caption in zip(samples, found):
        if grammar.check(caption.text, sample.things).parses:
            words = caption.text.split()
            looked = (caption.weights, sample.masks, pretrained.grid, caption.tokens)
            record = pointing.Record.of(words, [()] * len(words), *looked)
            marks.append(captions.recognized(record, [x.noun for x in sample.things], grammar))
    return {"recognition": captions.recognition(marks)} if marks else {}


def links(
    pretrained: Pretrained, sources: Iterable[str], targets: Iterable[str]
) -> list[set[tuple[int, int]]]:
    """Which source word each target word looks at most, made to write given translations.

    Forced decoding; each target word is linked to the source word with most of its attention
    (`metrics.alignment_from_weights`: summed over a source word's subwords, the mean over a target
    word's; </s> and its weight left out). Words are what stands between white space.

    Parameters
    ----------
    pretrained : Pretrained
        A translator.
    sources, targets : iterables of str
        As many of the one as of the other. A pair with an empty side has no links.

    Returns
    -------
    list of sets of (target position, source position)
        Both from 0; one set a pair.

    Raises
    ------
    ValueError
        If the numbers differ, or a sentence is longer than 199 subwords: its number is said.
    """
    sides = [list(sources), list(targets)]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"{len(sides[0])} sources but {len(sides[1])} targets")
    words = [[_word_of_each(pretrained, text, i) for text in side] for i, side in enumerate(sides)]
    kept = []
    for i, both in enumerate(zip(*words, strict=True)):
        for side, its in zip(("source", "target"), both):
            if len(its) >= MAX_SOURCE:
                raise ValueError(
                    f"the {side} of pair {i + 1} has {len(its)} subwords, the limit is "
                    f"{MAX_SOURCE - 1}: split it into sentences"
                )
        if all(both):
            kept.append(i)
    found: list[set[tuple[int, int]]] = [set() for _ in sides[0]]
    aligned = pretrained.align(*([side[i] for i in kept] for side in sides))
    for i, each in zip(kept, aligned, strict=True):
        (source, source_places), (target, target_places) = (
            _numbered(words[side][i]) for side in (0, 1)
        )
        pairs = metrics.alignment_from_weights(each.weights, [*source, None], target)
        found[i] = {(target_places[t], source_places[s]) for t, s in pairs}
    return found


def _word_of_each(pretrained: Pretrained, text: str, side: int) -> list[int]:
    """The word that each subword is of; subwords never reach over white space."""
    words = enumerate(text.split())
    return [place for place, word in words for _ in pretrained.ids(word, "a word", side)]


def _numbered(words: list[int]) -> tuple[list[int], list[int]]:
    """The same without gaps, which a word without subwords leaves; and what each number was."""
    places = sorted(set(words))
    return [places.index(word) for word in words], places


def alignment_error(
    pretrained: Pretrained, gold: hansards.Gold, *, resamples: int = 0
) -> metrics.Estimate:
    """Alignment error rate of attention against people's links, 0 (best) to 1.

    The model is made to write the gold translation, and links as `links` says.

    Parameters
    ----------
    pretrained : Pretrained
    gold : hansards.Gold
    resamples : int
        As in `metrics.alignment_error_rate`: how often to resample sentences for an interval.
    """
    sides = ([" ".join(words) for words in side] for side in (gold.source, gold.target))
    predicted = links(pretrained, *sides)
    return metrics.alignment_error_rate(predicted, gold.sure, gold.possible, resamples=resamples)

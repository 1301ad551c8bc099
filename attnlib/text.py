"""What the terminal shows: alignments, comparisons, captions and cards as lines of text.

Columns are counted as a terminal does, so that what has wide letters, marks or emoji in it stands
straight too.
"""

import os
import shutil
from collections.abc import Sequence


def alignment_text(weights, source: list[str], target: list[str], width: int | None = None) -> str:
    """An alignment (T, S) as text: for each target word the source word with most weight, and all
    weights in hundredths where `width` columns (the terminal's) are enough.

    >>> print(alignment_text([[0.9, 0.1], [0.004, 0.8]], ["a", "bike"], ["un", "vélo"], width=60))
                           a bike
    un    0.90  a         90   10
    vélo  0.80  bike       .   80
    """
    width = width or shutil.get_terminal_size((100, 24)).columns
    columns = [max(_width(word), 3) for word in source]
    first = max(map(_width, target), default=0)
    second = max(map(_width, source), default=0)
    matrix = first + second + 11 + sum(columns) + len(columns) <= width
    heads = "".join(" " + _fill(word, n, right=True) for word, n in zip(source, columns))
    lines = [" " * (first + second + 11) + heads] if matrix else []
    for word, row in zip(target, weights):
        row = [float(weight) for weight in row]
        best = max(range(len(row)), key=row.__getitem__, default=None)
        line = _fill(word, first)
        if best is not None and row[best] > 0:
            line += f"  {row[best]:.2f}  {_fill(source[best], second)}"
            line += "   " if matrix else ""
        if matrix:
            line = _fill(line, first + second + 11)
            cells = (f"{100 * weight:.0f}" if weight >= 0.005 else "." for weight in row)
            line += "".join(f" {cell:>{n}}" for cell, n in zip(cells, columns))
        lines.append(line.rstrip())
    return "\n".join(lines)


def comparison_text(source: str, found: dict, width: int | None = None) -> str:
    """A sentence over its translations, `found` by the names of models, as text.

    Before a translation stands its log-probability a subword, </s> counted, in nats; an empty one
    has none. Lines are broken at `width` columns (the terminal's; where there is none, nowhere).

    >>> from attnlib.pretrained import Translation
    >>> good = Translation("Two dogs run.", "Deux chiens courent.", [], ["_"] * 4, None, -0.4)
    >>> print(comparison_text("Two dogs run.", {"one": good}, width=26))
          log p  Two dogs run.
    one   -0.11  Deux chiens
                 courent.
    """
    width = shutil.get_terminal_size((0, 24)).columns if width is None else width
    first = max(map(_width, found))
    rows = [("", "log p", source)]
    for name, each in found.items():
        its = log_p(each)
        rows.append((name, "" if its is None else f"{its:.2f}", each.text))
    lines = []
    for name, mean, text in rows:
        before = f"{_fill(name, first)}  {mean:>6}  "
        for part in _broken(text, width - _width(before) if width else 0):
            lines.append((before + part).rstrip())
            before = " " * _width(before)
    return "\n".join(lines)


def log_p(found) -> float | None:
    """A translation's log-probability a subword, </s> counted, in nats; an empty one has none."""
    from attnlib import decoding

    if not found.target_tokens:
        return None
    length = len(found.target_tokens) + 1
    return float(found.score * decoding.length_penalty(length, decoding.ALPHA) / length)


def cells_text(weights, words: list[str], grid: tuple[int, int], side: int) -> str:
    """Where a caption's words looked: for each the cell with most weight, and what pixels it has.

    `weights` (T, S) are the attention of T words over the cells of `grid` (rows, columns), row by
    row; the picture has `side` pixels each way. Rows, columns and pixels count from 0.

    >>> print(cells_text([[0.1, 0.2, 0.3, 0.4], [0, 0.75, 0.25, 0]], ["a", "ring"], (2, 2), 64))
    a     0.40  row 1, column 1: pixels 32 to 63 across, 32 to 63 down
    ring  0.75  row 0, column 1: pixels 32 to 63 across, 0 to 31 down
    """
    rows, columns = grid
    first = max(map(_width, words), default=0)
    lines = []
    for word, row in zip(words, weights, strict=True):
        weight, cell = max((float(weight), -i) for i, weight in enumerate(row))
        down, across = divmod(-cell, columns)
        spans = (
            f"{side * place // number} to {side * (place + 1) // number - 1}"
            for place, number in ((across, columns), (down, rows))
        )
        lines.append(
            f"{_fill(word, first)}  {weight:.2f}  row {down}, column {across}: "
            "pixels {} across, {} down".format(*spans)
        )
    return "\n".join(lines)


def named_files(sentences: Sequence[str]) -> list[str]:
    """A line for each sentence that is the name of a file: its text is what somebody wanted."""
    # not Path.is_file, which refuses a sentence that is too long for a name
    found = [name for name in sentences if os.path.isfile(name)]
    return [f"{name} is a file: for its lines write < {name}\n" for name in found]


def who_answers(name: str, mine: Sequence[str]) -> list[str]:
    """A line that says which model is used though none was named, for whoever has others."""
    said = f"{name} of the book answers, for no --model is given; of your own: {', '.join(mine)}\n"
    return [said] if mine else []


def card_text(card: dict) -> str:
    """A card for people: one entry a line, nested ones indented, metrics beside their signatures.

    >>> print(card_text({"name": "tiny", "metrics": {"test.bleu": 54.321},
    ...                  "signatures": {"test.bleu": "nrefs:1"}, "model": {"width": 8}}))
    name: tiny
    metrics:
      test.bleu: 54.32  (nrefs:1)
    model:
      width: 8
    """
    lines = []
    for key, value in card.items():
        if key == "signatures":
            continue
        if not isinstance(value, dict):
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{key}: {text}")
            continue
        lines.append(f"{key}:")
        for name, entry in value.items():
            if key == "metrics":
                digits = 2 if is_percent(name) else 4
                entry = f"{entry:.{digits}f}  ({card.get('signatures', {}).get(name, '')})"
            lines.append(f"  {name}: {entry}")
    return "\n".join(lines)


def joined(tokens: list[str]) -> tuple[list[str], list[int | None]]:
    """The words that subwords spell, and the word of each subword."""
    from attnlib.data.tokenizer import WORD_START, word_indices

    indices = word_indices(tokens)
    words: dict[int, str] = {}
    for token, word in zip(tokens, indices):
        if word is not None:
            words[word] = words.get(word, "") + token
    return [word.replace(WORD_START, "") for word in words.values()], indices


def _width(text: str) -> int:
    """Columns on a terminal: none for marks, two for wide letters and emoji, joined ones too."""
    from wcwidth import wcswidth, wcwidth

    columns = wcswidth(text)
    if columns < 0:  # there is a control character in it, which has no width
        columns = sum(max(wcwidth(letter), 0) for letter in text)
    return columns


def _broken(text: str, width: int) -> list[str]:
    """Lines of at most so many columns, unless a word is longer; all in one where it is 0."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and width and _width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _fill(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def is_percent(metric: str) -> bool:
    """Whether a metric is out of 100, as BLEU and chrF are by custom; the others are out of 1."""
    return "bleu" in metric or metric.endswith(".chrf")


def words_and_weights(found):
    """The weights between words of a translation, the source words and the target words."""
    from attnlib import metrics

    source, source_indices = joined(found.source_tokens)
    target, target_indices = joined(found.target_tokens)
    weights = metrics.word_weights(found.weights, source_indices, target_indices)
    return weights, source, target


def words_and_cells(found):
    """The weights of a caption's words (words, cells), and the words."""
    from attnlib import metrics

    words, indices = joined(found.tokens)
    return metrics.word_weights(found.weights, target_words=indices), words

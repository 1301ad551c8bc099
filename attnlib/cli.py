"""The command line: ``attnlib translate | compare | caption | evaluate | train | info``.

What goes wrong is said in one line on standard error, with exit code 2. Heavy modules are imported
by the command that needs them, so that ``attnlib --help`` is quick.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import warnings
from pathlib import Path

from attnlib import __version__

TRANSLATOR, CAPTIONER = "en-fr-bahdanau", "scenes-soft"  # unless --model says another
PAIR = "en-fr"  # unless --pair does
DOES = {"translator": "translate", "captioner": "caption"}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit code: 0, 2 for an error that was explained, 130 if interrupted.

    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):  # a terminal without the letters shows ? for them
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        if argv[:1] == ["train"]:  # it has a parser of its own
            from attnlib import training

            return training.main(argv[1:]) or 0
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments) or 0
    except BrokenPipeError:  # attnlib ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        print(f"attnlib: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def translate(arguments: argparse.Namespace) -> None:
    """Print translations, one a line, or each with its alignment."""
    sentences = arguments.text or _stdin()
    if arguments.plot:
        _can_plot(arguments.plot, len(sentences), "sentence")
    loaded = _load(arguments.model, "translator")
    if arguments.alignment or arguments.plot:
        _must_attend(loaded, "so it has no alignment")
    for found in loaded.translate(sentences, arguments.beam):
        print(found.text)
        if arguments.alignment:
            print()
            print(alignment_text(*_words(found)), end="\n\n")
        if arguments.plot:
            _plot(found, arguments.plot)


def compare(arguments: argparse.Namespace) -> None:
    """Print what several models make of each sentence, below one another."""
    sentences = arguments.text or _stdin()
    names = _of_pair(arguments.pair) if arguments.models is None else arguments.models.split(",")
    loaded = {name: _load(name, "translator") for name in map(str.strip, names)}
    found = {name: model.translate(sentences, arguments.beam) for name, model in loaded.items()}
    for number, sentence in enumerate(sentences):
        if number:
            print()
        print(comparison_text(sentence, {name: every[number] for name, every in found.items()}))


def caption(arguments: argparse.Namespace) -> None:
    """Print captions of image files, one a line, or each with where the model looked."""
    from attnlib.data import photographs

    if arguments.plot:
        _can_plot(arguments.plot, len(arguments.image), "image")
    loaded = _load(arguments.model, "captioner")
    if arguments.words or arguments.plot:
        _must_attend(loaded, "so it looks at no cell")
    pictures = []
    for path in arguments.image:
        try:
            pixels, done = photographs.read_image(path, loaded.side, arguments.resize)
        except ValueError as error:  # of another size
            advice = "--resize takes the largest square in its middle, and fits that"
            raise ValueError(f"{error}; {advice}") from error
        pictures.append(pixels)
        if done:
            print(f"{path}: {', '.join(done)}", file=sys.stderr)
    for pixels, found in zip(pictures, loaded.caption(pictures, arguments.beam), strict=True):
        print(found.text)
        if arguments.words:
            print()
            print(looks_text(*_looks(found), loaded.grid, loaded.side), end="\n\n")
        if arguments.plot:
            _plot_looks(pixels, found, loaded.grid, arguments.plot)


def evaluate(arguments: argparse.Namespace) -> None:
    """Print how well a model does on its test set, each number with its signature."""
    from attnlib import pretrained

    loaded = _load(arguments.model)
    if arguments.output and not arguments.output.resolve().parent.is_dir():
        raise ValueError(f"no folder {arguments.output.parent} to write to")
    found = pretrained.evaluate(loaded, arguments.limit, arguments.beam)
    tests = "pictures" if "pictures" in loaded.card else "sentences"
    print(f"{loaded.name} on {len(found.hypotheses)} {tests} of {found.test_set}, "
          f"beam {arguments.beam}")  # fmt: skip
    for key, score in found.scores.items():
        digits = 2 if _percent(key) else 4
        print(f"  {key:32} {score:6.{digits}f}  {score.signature}")
    if arguments.output:
        text = "".join(line + "\n" for line in found.hypotheses)
        arguments.output.write_text(text, encoding="utf-8")
        print(f"wrote {arguments.output}")


def info(arguments: argparse.Namespace) -> None:
    """List the shipped models, or print one's card."""
    from attnlib import pretrained

    if arguments.model:
        print(card_text(_card(arguments.model)))
        return
    for name in pretrained.names():
        card = pretrained.card(name)
        sides = [card["pictures"]] if "pictures" in card else []
        measured = card.get("metrics", {})
        best = "not evaluated"
        for key in measured:
            if "bleu" in key or key == "true_captions":
                best = f"{key} {measured[key]:.{1 if _percent(key) else 3}f}"
                break
        print(f"{name:20} {' to '.join([*sides, *card['languages']]):14} {best}")


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
    from attnlib import decoding

    width = shutil.get_terminal_size((0, 24)).columns if width is None else width
    first = max(map(_width, found))
    rows = [("", "log p", source)]
    for name, each in found.items():
        length = len(each.target_tokens) + 1
        mean = each.score * decoding.length_penalty(length, decoding.ALPHA) / length
        rows.append((name, f"{mean:.2f}" if each.target_tokens else "", each.text))
    lines = []
    for name, mean, text in rows:
        before = f"{_fill(name, first)}  {mean:>6}  "
        for part in _broken(text, width - _width(before) if width else 0):
            lines.append((before + part).rstrip())
            before = " " * _width(before)
    return "\n".join(lines)


def looks_text(weights, words: list[str], grid: tuple[int, int], side: int) -> str:
    """Where a caption's words looked: for each the cell with most weight, and what pixels it has.

    `weights` (T, S) are the attention of T words over the cells of `grid` (rows, columns), row by
    row; the picture has `side` pixels each way. Rows, columns and pixels count from 0.

    >>> print(looks_text([[0.1, 0.2, 0.3, 0.4], [0, 0.75, 0.25, 0]], ["a", "ring"], (2, 2), 64))
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
                digits = 2 if _percent(name) else 4
                entry = f"{entry:.{digits}f}  ({card.get('signatures', {}).get(name, '')})"
            lines.append(f"  {name}: {entry}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="attnlib", description="Attention, 2014 to 2017: the models of Learning to Attend."
    )
    parser.add_argument("--version", action="version", version=f"attnlib {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "translate",
        help="translate sentences",
        description="Translate sentences given as arguments, or the lines of standard input.",
    )
    command.add_argument("text", nargs="*", metavar="SENTENCE")
    command.add_argument(
        "--model", default=TRANSLATOR, help="name or folder (default: %(default)s)"
    )
    command.add_argument("--beam", type=int, default=5, help="width of the search (default: 5)")
    command.add_argument("--alignment", action="store_true", help="show where the model looked")
    command.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the alignment: .svg, .png or .pdf"
    )
    command.set_defaults(command=translate)

    command = commands.add_parser(
        "compare",
        help="translate sentences with several models, to compare",
        description="Translate sentences given as arguments, or the lines of standard input, with "
        "every shipped model of a pair of languages, or with those that are named. log p is the "
        "log-probability a subword that a model gives its own translation, in nats.",
    )
    command.add_argument("text", nargs="*", metavar="SENTENCE")
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--pair", default=PAIR, help="models whose names begin so (default: %(default)s)"
    )
    which.add_argument("--models", metavar="A,B", help="names or folders, with commas between")
    command.add_argument("--beam", type=int, default=5, help="width of the search (default: 5)")
    command.set_defaults(command=compare)

    command = commands.add_parser(
        "caption",
        help="say what images show",
        description="Caption image files, in any format that Pillow reads. What is grey, has "
        "transparent parts or a palette is converted, and that is said.",
    )
    command.add_argument("image", nargs="+", type=Path, metavar="IMAGE")
    command.add_argument("--model", default=CAPTIONER, help="name or folder (default: %(default)s)")
    command.add_argument("--beam", type=int, default=5, help="width of the search (default: 5)")
    command.add_argument(
        "--resize", action="store_true", help="fit images of another size: their middle square"
    )
    command.add_argument(
        "--words", action="store_true", help="show the cell that each word looked at most"
    )
    command.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw each word's attention: .svg, .png or .pdf"
    )
    command.set_defaults(command=caption)

    command = commands.add_parser(
        "evaluate",
        help="score a model on its test set",
        description="BLEU three ways and chrF of a translator on its test set; of a captioner, "
        "how many captions are true, and whether it looks at what it names.",
    )
    command.add_argument("model", metavar="MODEL", help="name or folder")
    command.add_argument("--limit", type=int, metavar="N", help="only the first N")
    command.add_argument("--beam", type=int, default=5, help="width of the search (default: 5)")
    command.add_argument("--output", type=Path, metavar="FILE", help="write its sentences")
    command.set_defaults(command=evaluate)

    commands.add_parser("train", help="train a model (see attnlib train --help)", add_help=False)

    command = commands.add_parser("info", help="list the models, or show the card of one")
    command.add_argument("model", nargs="?", metavar="MODEL", help="name or folder")
    command.set_defaults(command=info)
    return parser


def _is_folder(name: str) -> bool:
    return (Path(name) / "card.json").is_file()


def _load(name: str, role: str | None = None):
    """A shipped model by its name, or one of the user's by its folder; of one role, if it matters.

    Raises
    ------
    ValueError
        If the model is of the other role: the message lists those that are right.
    """
    from attnlib import pretrained

    loaded = pretrained.read(name) if _is_folder(name) else pretrained.load(name)
    kind = _kind(loaded.card)
    if role not in (None, pretrained.ROLES[kind]):
        right = [
            other
            for other in pretrained.names()
            if pretrained.ROLES[_kind(pretrained.card(other))] == role
        ]
        raise ValueError(
            f"{loaded.name} is a {kind} and does not {DOES[role]}; "
            f"{role}s: {', '.join(right) or 'none'}"
        )
    return loaded


def _of_pair(pair: str) -> list[str]:
    """The shipped models that are named after two languages, say en-fr."""
    from attnlib import pretrained

    pairs = {name: "-".join(pretrained.card(name)["languages"]) for name in pretrained.names()}
    pairs = {name: both for name, both in pairs.items() if name.startswith(both + "-")}
    if pair not in pairs.values():
        have = ", ".join(dict.fromkeys(pairs.values())) or "none"
        raise ValueError(f"no model for the language pair {pair}; pairs: {have}")
    return [name for name, both in pairs.items() if both == pair]


def _kind(card: dict) -> str:
    return card.get("architecture", "translator")


def _must_attend(loaded, consequence: str) -> None:
    if loaded.card["model"].get("score", 1) is None:
        raise ValueError(f"{loaded.name} has no attention, {consequence}")


def _percent(metric: str) -> bool:
    """Whether a metric is out of 100, as BLEU and chrF are by custom; the others are out of 1."""
    return "bleu" in metric or metric.endswith(".chrf")


def _card(name: str) -> dict:
    from attnlib import pretrained

    return pretrained.read(name).card if _is_folder(name) else pretrained.card(name)


def _stdin() -> list[str]:
    """The lines of standard input, which is UTF-8 whatever the terminal's encoding."""
    if sys.stdin is None or sys.stdin.closed:
        raise ValueError("standard input is closed: give the sentences as arguments")
    if hasattr(sys.stdin, "reconfigure"):
        with contextlib.suppress(io.UnsupportedOperation):  # it was read before
            sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f"standard input is not UTF-8 text (byte 0x{byte:02x}): convert it, say with iconv"
        ) from error


def _can_plot(path: Path, number: int, what: str) -> None:
    """Refuse what cannot be drawn, before the work."""
    if number != 1:
        raise ValueError(f"--plot draws one {what}, got {number}")
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise ValueError(f"--plot writes .svg, .png or .pdf, got {str(path)!r}")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"no folder {path.parent} to write to")


def _plot(found, path: Path) -> None:
    plotting = _plotting()
    weights, source, target = _words(found)
    if not target:
        raise ValueError("the translation is empty: nothing to draw")
    _save(lambda: plotting.alignment(weights, source, target), path)


def _plot_looks(pixels, found, grid: tuple[int, int], path: Path) -> None:
    plotting = _plotting()
    weights, words = _looks(found)
    if not words:
        raise ValueError("the caption is empty: nothing to draw")
    _save(lambda: plotting.word_maps(pixels, weights, words, grid)[0], path)


def _plotting():
    import matplotlib

    matplotlib.use("Agg")
    from attnlib import plotting

    return plotting


def _save(draw, path: Path) -> None:
    """Save the figure of the axes that are drawn; what there is to say of it, in a line each."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a line says it for all
        draw().figure.savefig(path, bbox_inches="tight")
    for message in dict.fromkeys(str(each.message) for each in said):
        print(f"attnlib: {' '.join(message.split())}", file=sys.stderr)
    print(f"wrote {path}", file=sys.stderr)


def _words(found):
    """The weights between words of a translation, the source words and the target words."""
    from attnlib import metrics

    source, source_indices = _joined(found.source_tokens)
    target, target_indices = _joined(found.target_tokens)
    weights = metrics.word_weights(found.weights, source_indices, target_indices)
    return weights, source, target


def _looks(found):
    """The weights of a caption's words (words, cells), and the words."""
    from attnlib import metrics

    words, indices = _joined(found.tokens)
    return metrics.word_weights(found.weights, target_words=indices), words


def _joined(tokens: list[str]) -> tuple[list[str], list[int | None]]:
    """The words that subwords spell, and the word of each subword."""
    from attnlib.data.tokenizer import WORD_START, word_indices

    indices, words = word_indices(tokens), {}
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


if __name__ == "__main__":
    sys.exit(main())

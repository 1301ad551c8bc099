"""The command line: ``attnlib translate | compare | align | caption | evaluate | train | info``.

``--json`` makes the results of a command JSON: an object a line for each sentence, pair or image,
one document of what ``evaluate`` and ``align --gold`` find. What goes wrong is said in one line on
standard error, with exit code 2. Heavy modules are imported by the command that needs them, so that
``attnlib --help`` is quick.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import warnings
from pathlib import Path

from attnlib import __version__, text

USUAL = {"translator": "en-fr-bahdanau", "captioner": "scenes-soft"}  # without --model
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
    sys.stderr.writelines(text.named_files(arguments.text))
    loaded = _load(arguments.model, "translator")
    if arguments.alignment or arguments.plot:
        _must_attend(loaded, "so it has no alignment")
    for found in loaded.translate(sentences, arguments.beam):
        if arguments.json:
            result = {"source": found.source, "translation": found.text, "score": found.score}
            if arguments.alignment:
                weights, source, target = text.words_and_weights(found)
                result |= {"source_words": source, "target_words": target}
                result["weights"] = weights.round(4).tolist()
            _print_json(result)
        else:
            print(found.text)
        if arguments.alignment and not arguments.json:
            print("\n" + text.alignment_text(*text.words_and_weights(found)), end="\n\n")
        if arguments.plot:
            _plot(found, arguments.plot)


def compare(arguments: argparse.Namespace) -> None:
    """Print what several models make of each sentence, below one another."""
    sentences = arguments.text or _stdin()
    sys.stderr.writelines(text.named_files(arguments.text))
    names = _of_pair(arguments.pair) if arguments.models is None else arguments.models.split(",")
    loaded = {name: _load(name, "translator") for name in map(str.strip, names)}
    found = {name: model.translate(sentences, arguments.beam) for name, model in loaded.items()}
    for number, sentence in enumerate(sentences):
        its = {name: every[number] for name, every in found.items()}
        if arguments.json:
            _print_json(
                {
                    "source": sentence,
                    "translations": {name: each.text for name, each in its.items()},
                    "log_p": {name: text.log_p(each) for name, each in its.items()},
                }
            )
            continue
        if number:
            print()
        print(text.comparison_text(sentence, its))


def align(arguments: argparse.Namespace) -> None:
    """Print which source word each target word looks at, or how often that is wrong."""
    from attnlib import evaluation
    from attnlib.data import own

    _can_write(arguments.output)
    source, target = zip(*_parallel(_paths(arguments)), strict=True)
    gold = own.gold(arguments.gold, source, target) if arguments.gold else None
    loaded = _load(arguments.model, "translator")
    _must_attend(loaded, "so it aligns nothing")
    if gold is not None:
        rate = evaluation.alignment_error(loaded, gold)
        if arguments.json:
            counts = {"model": loaded.name, "pairs": len(source)}
            _print_json({**counts, "alignment_error_rate": rate.value, "signature": rate.signature})
        else:
            print(f"{loaded.name} on {len(source)} pairs: {rate.signature} {rate.value:.4f}")
        if not arguments.output:
            return
    found = evaluation.links(loaded, source, target)
    links = [sorted((s, t) for t, s in each) for each in found]
    lines = [" ".join(f"{s}-{t}" for s, t in each) for each in links]
    if arguments.output:
        _write(arguments, lines)
    elif arguments.json:
        for each in zip(source, target, links, strict=True):
            _print_json(dict(zip(("source", "target", "links"), each, strict=True)))
    else:
        print(*lines, sep="\n")


def caption(arguments: argparse.Namespace) -> None:
    """Print captions of image files, one a line, or each with where the model looked."""
    loaded = _load(arguments.model, "captioner")
    if arguments.words or arguments.plot:
        _must_attend(loaded, "so it looks at no cell")
    shown = _shown(arguments, loaded)
    if arguments.plot:
        _can_plot(arguments.plot, len(shown), "image")
    captioned = loaded.caption([pixels for _, pixels in shown], arguments.beam)
    for (paths, pixels), found in zip(shown, captioned, strict=True):
        kinds = _kinds(paths, found.text)
        if arguments.json:
            result: dict = {"image": str(paths)}
            if isinstance(paths, list):
                result = {"images": list(map(str, paths))}
            result |= {"caption": found.text, "score": found.score}
            result |= {"kinds": kinds} if kinds else {}
            if arguments.words:
                weights, words = text.words_and_cells(found)
                result |= {"words": words, "grid": loaded.grid, "weights": weights.tolist()}
            _print_json(result)
        else:
            print(" or ".join(kinds) or found.text)
        if arguments.words and not arguments.json:
            print()
            weights, words = text.words_and_cells(found)
            print(text.cells_text(weights, words, loaded.grid, loaded.side), end="\n\n")
        if arguments.plot:
            _plot_cells(pixels, found, loaded.grid, arguments.plot)


def _shown(arguments: argparse.Namespace, loaded) -> list[tuple]:
    """What is captioned: the file, or of a mosaic the list of its files; and its pixels."""
    from attnlib.data import images, mosaics

    kind = loaded.card.get("pictures")
    # photographs of any size are what those were trained on
    resize = arguments.resize or kind in (*images.PHOTOGRAPHS, images.OWN)
    if kind in images.MOSAICS and not resize and not any(_fits(x, loaded) for x in arguments.image):
        if len(arguments.image) > mosaics.SIDE**2:
            raise ValueError(
                f"{loaded.name} captions one to four photographs at a time, got "
                f"{len(arguments.image)}"
            )
        tile = loaded.side // mosaics.SIDE
        whole = mosaics.laid_out([_pixels(path, tile, True) for path in arguments.image])
        print(
            f"{loaded.name} sees them as tiles of one mosaic, row by row; it knows "
            f"{len(mosaics.NOUNS)} kinds (attnlib info {loaded.name}), and takes anything for one",
            file=sys.stderr,
        )
        return [(arguments.image, whole)]
    return [(path, _pixels(path, loaded.side, resize)) for path in arguments.image]


def _pixels(path: Path, side: int, resize: bool):
    """An image of so many pixels a side, and what was done to it is said."""
    from attnlib.data import photographs

    try:
        pixels, done = photographs.read_image(path, side, resize)
    except ValueError as error:  # of another size
        advice = "--resize takes the largest square in its middle, and fits that"
        raise ValueError(f"{error}; {advice}") from error
    if done:
        print(f"{path}: {', '.join(done)}", file=sys.stderr)
    return pixels


def _fits(path: Path, loaded) -> bool:
    """Whether an image is of the size that a model was trained on."""
    from attnlib.data import photographs

    try:
        photographs.read_image(path, loaded.side)
    except ValueError:
        return False
    return True


def _kinds(paths: Path | list[Path], caption: str) -> list[str]:
    """What a lone photograph in a mosaic is said to show; its caption says how two things stand."""
    from attnlib.data import mosaics

    if not isinstance(paths, list) or len(paths) > 1:
        return []
    print(f"{paths[0]}: the kind alone; its {caption!r} needs two photographs", file=sys.stderr)
    return mosaics.kinds_in(caption)


def evaluate(arguments: argparse.Namespace) -> None:
    """Print how well a model does on a test set, each number with its signature."""
    from attnlib import evaluation

    _can_write(arguments.output)
    paths, role = _paths(arguments, needed=False), "translator"
    folder = [path for path in (arguments.images, arguments.captions) if path]
    if folder:
        if paths or len(folder) == 1:
            raise ValueError("give --images FOLDER and --captions FILE, of photographs alone")
        paths, role = folder, "captioner"
    test = _parallel(paths) if paths and not folder else None
    loaded = _load(arguments.model, role if paths else None)
    if folder:
        test = _photographs(folder, loaded.side)
    found = evaluation.evaluate(loaded, limit=arguments.limit, beam=arguments.beam, test=test)
    tests = "pictures" if "pictures" in loaded.card else "sentences"
    name = " and ".join(paths) or found.test_set
    if arguments.json:
        _print_json(
            {
                "model": loaded.name,
                "test_set": name,
                tests: len(found.hypotheses),
                "beam": arguments.beam,
                "scores": {key: score.value for key, score in found.scores.items()},
                "signatures": {key: score.signature for key, score in found.scores.items()},
            }
        )
    else:
        print(f"{loaded.name} on {len(found.hypotheses)} {tests} of {name}, beam {arguments.beam}")
        for key, score in found.scores.items():
            digits = 2 if text.is_percent(key) else 4
            print(f"  {key:32} {score:6.{digits}f}  {score.signature}")
    for line in evaluation.oddities(found):
        print(line, file=sys.stderr)
    if arguments.output:
        _write(arguments, found.hypotheses)


def info(arguments: argparse.Namespace) -> None:
    """List the shipped models, or print one's card."""
    from attnlib import pretrained
    from attnlib.data import images, mosaics

    if arguments.model:
        card = pretrained.card(arguments.model)
        _print_json(card) if arguments.json else print(text.card_text(card))
        if card.get("pictures") in images.MOSAICS and not arguments.json:
            print(f"kinds that it knows: {', '.join(mosaics.NOUNS)}")
        return
    for name in pretrained.names():
        card = pretrained.card(name)
        if arguments.json:
            sort = {"architecture": _kind(card), "languages": card["languages"]}
            _print_json({"name": name, **sort, "metrics": card.get("metrics", {})})
            continue
        sides = [card["pictures"]] if "pictures" in card else []
        measured = card.get("metrics", {})
        best = "not evaluated"
        for key in measured:
            if "bleu" in key or key == "true_captions":
                best = f"{key} {measured[key]:.{1 if text.is_percent(key) else 3}f}"
                break
        print(f"{name:20} {' to '.join([*sides, *card['languages']]):14} {best}")


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
    command.add_argument("--model", help=f"name or folder (default: {USUAL['translator']})")
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
        "align",
        help="link the words of sentences and their translations",
        description="Which source word each target word looks at most, when the model is made to "
        "write the translation: a line a pair in Pharaoh's format, 0-0 1-2, each link a source and "
        "a target position from 0. Words are what stands between white space.",
    )
    command.add_argument("model", metavar="MODEL", help="name or folder")
    _add_files(command)
    command.add_argument(
        "--gold",
        metavar="FILE",
        help="links that people made: print the alignment error rate. Lines as 0-0 1?2 (? for "
        "possible), or a line a link as in the WPT tasks: 1 1 1 S, positions from 1",
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write the links")
    command.set_defaults(command=align)

    command = commands.add_parser(
        "caption",
        help="say what images show",
        description="Caption image files, in any format that Pillow reads. What is grey, has "
        "transparent parts or a palette is converted, and that is said. photographs-soft takes one "
        "photograph of fruit or vegetables, or two to four, which it sees as one mosaic.",
    )
    command.add_argument("image", nargs="+", type=Path, metavar="IMAGE")
    command.add_argument("--model", help=f"name or folder (default: {USUAL['captioner']})")
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
        help="score a model on its test set, or on yours",
        description="BLEU three ways and chrF of a translator on its test set, or on one of your "
        "own; of a captioner, how many captions are true, and whether it looks at what it names, or"
        " BLEU and chrF on your photographs.",
    )
    command.add_argument("model", metavar="MODEL", help="name or folder")
    _add_files(command)
    command.add_argument("--images", metavar="FOLDER", help="photographs of your own")
    command.add_argument("--captions", metavar="FILE", help="their captions, as for attnlib train")
    command.add_argument("--limit", type=int, metavar="N", help="only the first N")
    command.add_argument("--beam", type=int, default=5, help="width of the search (default: 5)")
    command.add_argument("--output", type=Path, metavar="FILE", help="write its sentences")
    command.set_defaults(command=evaluate)

    commands.add_parser("train", help="train a model (see attnlib train --help)", add_help=False)

    command = commands.add_parser("info", help="list the models, or show the card of one")
    command.add_argument("model", nargs="?", metavar="MODEL", help="name or folder")
    command.set_defaults(command=info)
    for name, command in commands.choices.items():
        if name != "train":
            command.add_argument("--json", action="store_true", help="print results as JSON")
    return parser


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument("--source", metavar="FILE", help="sentences of your own, one a line")
    command.add_argument("--target", metavar="FILE", help="their translations")
    command.add_argument(
        "--tsv", metavar="FILE", help="or both in one file, with a tab between: left is the source"
    )


def _paths(arguments: argparse.Namespace, needed: bool = True) -> list[str]:
    """The files of sentence pairs that were named: two, or one of both sides; none at all."""
    sides = [path for path in (arguments.source, arguments.target) if path]
    if arguments.tsv and not sides:
        return [arguments.tsv]
    if len(sides) == 1 or arguments.tsv or (needed and not sides):
        raise ValueError("give --source FILE and --target FILE, or --tsv FILE alone")
    return sides


def _parallel(paths: list[str]):
    """The sentence pairs of the user's own files; what looks wrong with them is said."""
    from attnlib.data import corpora, own

    pairs = corpora.Corpus(*own.parallel(paths), ("source", "target"))
    for line in own.warnings(pairs, paths):
        print(line, file=sys.stderr)
    return pairs


def _photographs(paths: list[str], side: int):
    """Photographs of the user's own, with their captions; what was left out is said."""
    from attnlib.data import own_pictures

    found = own_pictures.read(paths, side)
    for note in found.notes:
        print(note, file=sys.stderr)
    return found.photographs


def _load(name, role: str | None = None):
    """A model by its name or folder, of one role, if it matters; unnamed, the role's usual one.

    Raises
    ------
    ValueError
        If the model is of the other role: the message lists those that are right.
    """
    from attnlib import pretrained

    if name is None and role:
        name = USUAL[role]
        sys.stderr.writelines(text.who_answers(name, pretrained.finished(role)))
    loaded = pretrained.load(name)
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


def _print_json(value) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _can_write(path: Path | None) -> None:
    if path and not path.resolve().parent.is_dir():
        raise ValueError(f"no folder {path.parent} to write to")


def _write(arguments: argparse.Namespace, lines: list[str]) -> None:
    """A line each, and that it was written is said, where it is not in the way of JSON."""
    arguments.output.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    print(f"wrote {arguments.output}", file=sys.stderr if arguments.json else sys.stdout)


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
    _can_write(path)


def _plot(found, path: Path) -> None:
    plotting = _plotting()
    weights, source, target = text.words_and_weights(found)
    if not target:
        raise ValueError("the translation is empty: nothing to draw")
    _save(lambda: plotting.alignment(weights, source, target), path)


def _plot_cells(pixels, found, grid: tuple[int, int], path: Path) -> None:
    plotting = _plotting()
    weights, words = text.words_and_cells(found)
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
        draw().figure.savefig(path, bbox_inches="tight")
    for message in dict.fromkeys(str(each.message) for each in said):
        print(f"attnlib: {' '.join(message.split())}", file=sys.stderr)
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

"""The page on a model of one's own: in Colab it trains for real; its script says what it does."""

import contextlib
import io
import json
import shlex
import sys
import types
from pathlib import Path

import nbformat
import own_text
import pytest

from attnlib import cli
from attnlib.data import corpora, own

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "book/appendix/own.ipynb"
TRAIN = own_text.TRAIN


@pytest.fixture
def begun(monkeypatch):
    """The names of the page's first cells, whose commands are noted and not run."""
    ran = []
    monkeypatch.setattr(cli, "main", lambda words: ran.append(words) or 0)
    monkeypatch.chdir(PAGE.parent)
    code = [c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "code"]
    names: dict = {"ran": ran}

    def begin():
        for source in code[:3]:
            exec(compile(source, str(PAGE), "exec"), names)
        return names

    return begin


def test_in_colab_the_page_trains_for_real(begun, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    names = begun()
    names["attnlib"](TRAIN)
    assert names["REAL"] and names["ran"] == [shlex.split(TRAIN)]
    assert "--minutes" in names["ran"][0]
    assert names["real"]("mine", "five") == "mine"


def test_elsewhere_it_runs_in_miniature_and_shows_what_the_script_found(begun, capsys):
    names = begun()
    names["attnlib"](TRAIN.replace(" --width", "\n    --width"))
    (words,) = names["ran"]
    assert "--minutes" not in words and words[words.index("--updates") + 1] == "12"
    found = json.loads(own_text.RESULTS.read_text("utf-8"))
    shown, stored = capsys.readouterr().out, found["said"][0][1]
    assert shown.split() == stored.split() and max(map(len, shown.split("\n"))) <= 80
    assert names["real"]("mine", "five") == found["five"]


def test_the_page_types_what_the_script_typed():
    said = json.loads(own_text.RESULTS.read_text("utf-8"))["said"]
    assert [line for line, _ in said] == list(own_text.LINES)
    code = " ".join(c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "code")
    for line in own_text.LINES:
        assert " ".join(line.split()) in " ".join(code.split())


def test_late_files_are_off_by_one_line_and_no_pair_is_lost(tmp_path, monkeypatch):
    text = corpora.Corpus([f"e{i}" for i in range(40)], [f"d{i}" for i in range(40)], ("en", "de"))
    monkeypatch.setattr(corpora, "multi30k", lambda *_: text)
    own_text.write(tmp_path)
    read = {path.name: own.lines(path) for path in tmp_path.iterdir()}
    assert read["train.en"] == text.source and read["test.de"] == text.target
    assert list(zip(read["late.en"], read["late.de"], strict=True)) == [
        (f"e{i}", f"d{i + 1}") for i in range(39)
    ]
    assert [len(read[f"long.{end}"]) for end in ("en", "de")] == [6, 6]
    assert read["long.en"][1].split() == text.source[6:12]
    assert read["five.de"] == text.target[:5]


def test_what_a_command_says_is_kept_without_the_bar(monkeypatch):
    def main(words):
        assert "--updates" in words and "--minutes" not in words
        print("en-de: 5 pairs", file=sys.stderr)
        print("\ren-de:   0%|", "\ren-de: 100%|##", end="\n", file=sys.stderr)
        print("en-de: finished; translate", file=sys.stderr)
        print("{}")
        return 0

    monkeypatch.setattr(cli, "main", main)
    with contextlib.redirect_stdout(io.StringIO()):
        assert own_text.say(TRAIN) == "en-de: 5 pairs\n{}\nen-de: finished; translate"

"""The page on a model of one's own: in Colab it trains for real; its scripts say what they do."""

import contextlib
import io
import json
import re
import shlex
import sys
import types
from pathlib import Path

import nbformat
import own_captions
import own_text
import pytest

from attnlib import cli
from attnlib.data import corpora, mosaics, own, own_pictures

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
    code = [c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "code"]
    names: dict = {}
    exec(next(source for source in code if source.startswith("SOURCE, TARGET =")), names)
    typed = re.sub(r"\{([A-Z]+(?:\[\d\])?)\}", lambda its: eval(its[1], names), "\n".join(code))
    for line in own_text.LINES:
        assert " ".join(line.split()) in " ".join(typed.split())


def test_what_is_copied_into_a_terminal_is_what_the_scripts_typed():
    text = "\n".join(c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "markdown")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    train, translate, pictures, *_ = [block.replace("\\\n", " ").splitlines() for block in blocks]
    assert [shlex.split(line)[1:] for line in train] == [shlex.split(TRAIN)]
    assert [shlex.split(line)[1:] for line in pictures] == [*map(shlex.split, own_captions.LINES)]
    assert translate == ["attnlib translate --model runs/en-de < test.en > written.de"]


def test_the_page_shows_what_evaluate_warns_of():
    found = json.loads(own_text.RESULTS.read_text("utf-8"))
    (empty,) = (row["empty"] for row in found["searched"] if row["beam"] == 5)
    shown = "".join(str(c.outputs) for c in nbformat.read(PAGE, 4).cells if c.cell_type == "code")
    assert empty > 10 and f"\\n{empty} of 1,000 lines that the model wrote are empty: " in shown


def test_the_pages_names_hold_out_a_test_set_of_two_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for end in ("en", "de"):
        own_text.put(Path(f"mine.{end}"), [f"{end} {i}" for i in range(60)])
    code = [c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "code"]
    (cell,) = [source for source in code if "own.split(" in source]
    exec(cell, {"SOURCE": "mine.en", "TARGET": "mine.de"})
    assert capsys.readouterr().out == "57 pairs to train on, 3 to test with\n"
    parts = [[*zip(*own.parallel([f"{x}.en", f"{x}.de"]))] for x in ("rest", "held")]
    whole = [*zip(*own.parallel(["mine.en", "mine.de"]))]
    assert sorted(parts[0] + parts[1]) == sorted(whole) and len(parts[1]) == 3


# The captioner --------------------------------------------------------------------------------


def test_a_caption_is_right_that_names_the_kind_and_no_other():
    captions = ["a photograph of kiwis", "a photograph of plums", "kiwis and plums", ""]
    assert own_captions.named(captions, ["kiwis"] * 4) == 1
    assert own_captions.named(captions[:2], ["plums", "plums"]) == 1
    every = [own_captions.PATTERN.format(noun) for noun in mosaics.NOUNS]
    assert own_captions.named(every, [*mosaics.NOUNS]) == len(mosaics.NOUNS)


def test_photographs_to_test_with_are_others_and_the_fewer_are_of_the_more():
    tested = {photo.name for photo in own_captions.draw("test", own_captions.TESTED, 0)}
    assert len(tested) == own_captions.TESTED
    drawn = [own_captions.draw("train", own_captions.MOST, seed) for seed in own_captions.SEEDS]
    for photos in drawn:
        names = {photo.name for photo in photos}
        assert len(names) == own_captions.MOST and not names & tested
    assert drawn[0] != drawn[1] != drawn[2]


def test_every_row_of_the_captioner_was_measured_with_every_seed():
    found = json.loads(own_captions.RESULTS.read_text("utf-8"))
    runs = {(run["what"], run["seed"]): run for run in found["runs"]}
    assert [*runs] == [(what, seed) for what in own_captions.ROWS for seed in own_captions.SEEDS]
    assert len(runs) == len(found["runs"])
    page = runs["300 photographs", 1]
    assert [line for line, _ in page["said"]] == list(own_captions.LINES)
    assert f" {page['bleu']:.1f}" in page["said"][1][1]
    # what the page says of the table
    for seed in own_captions.SEEDS:
        most, control = (
            runs[what, seed] for what in ("300 photographs", "300 photographs, captions shuffled")
        )
        assert control["named"] < control["commonest"] < most["named"]
        assert control["bleu"] > 30 and most["core_minutes"] < 1 and most["kinds"] == 16


def test_shuffled_captions_keep_their_words_and_lose_their_photographs(tmp_path, monkeypatch):
    def stop(line):
        raise InterruptedError  # far enough

    image = tmp_path / "image.jpg"
    image.touch()
    monkeypatch.setattr(own_captions.files, "fetch", lambda name: image)
    monkeypatch.setattr(own_captions, "say", stop)
    told = {}
    for what in ("300 photographs", "300 photographs, captions shuffled", "100 photographs"):
        with pytest.raises(InterruptedError):
            own_captions.measure(what, 1, tmp_path / what)
        told[what], _ = own_pictures.texts_of(tmp_path / what / "captions.txt")
        assert len(own_pictures.texts_of(tmp_path / what / "others.txt")[0]) == own_captions.TESTED
    right, shuffled, few = told.values()
    drawn = own_captions.draw("train", own_captions.MOST, 1)
    assert [*right.items()] == [
        (Path(photo.name).name, [own_captions.PATTERN.format(photo.noun)]) for photo in drawn
    ]
    assert list(right) == list(shuffled) and sorted(right.values()) == sorted(shuffled.values())
    same = sum(right[name] == shuffled[name] for name in right)
    assert same < len(right) / 4
    assert list(few.items()) == list(right.items())[:100]


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
        print("1 of 2 lines is empty", file=sys.stderr)
        print("{}")
        return 0

    monkeypatch.setattr(cli, "main", main)
    with contextlib.redirect_stdout(io.StringIO()):
        assert own_text.say(TRAIN) == "en-de: 5 pairs\n{}\nen-de: finished; translate\n" + (
            "1 of 2 lines is empty"
        )

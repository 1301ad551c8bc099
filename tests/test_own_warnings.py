"""What attnlib says of one's own files, settings and commands that run and cannot be meant."""

import shutil
from dataclasses import replace
from pathlib import Path

import own_text
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attnlib import cli, evaluation, pretrained, training
from attnlib.data import own
from attnlib.data.corpora import Corpus
from attnlib.training import inputs, recipes
from attnlib.training import own as own_runs

TRANSLATOR, CAPTIONER = (pretrained.WEIGHTS / name for name in ("en-fr-fixed", "scenes-soft"))
WORDS = st.text("abcdefg", min_size=2, max_size=6)
TEXT = st.lists(WORDS, min_size=10, max_size=40, unique=True)


def finished(name, model=TRANSLATOR):
    """A folder as `attnlib train` leaves it, of which only the card is looked at."""
    folder = Path("runs", name, "model")
    folder.mkdir(parents=True)
    shutil.copy(model / "card.json", folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answered(monkeypatch):
    """The names of the models that commands load, which stops them."""
    names = []

    def load(name):
        names.append(name)
        raise ValueError("far enough")

    monkeypatch.setattr(pretrained, "load", load)
    return names


def said(capsys, *argv):
    """What a command says on standard error before it is stopped."""
    capsys.readouterr()
    assert cli.main([*argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("attnlib: far enough\n")
    return err.splitlines()[:-1]


# Commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["translate", "compare"])
@pytest.mark.parametrize("name", ["test.en", "eine Datei", "पाठ.txt"])
def test_a_file_given_as_a_sentence_is_noticed(command, name, here, answered, capsys):
    assert said(capsys, command, name) == []
    Path(name).write_text("Two dogs play.\n")
    line = f"{name} is a file: for its lines write < {name}"
    assert said(capsys, command, "Two dogs play.", name) == [line]


@pytest.mark.parametrize("sentence", ["कुत्रा " * 60, "a" * 300, "a/" * 3000, "", "."])
def test_a_sentence_that_is_no_name_of_a_file_is_translated(sentence, here, answered, capsys):
    assert said(capsys, "translate", sentence) == [] and answered


@pytest.mark.parametrize(
    "command, usual, mine, other",
    [
        ("translate", cli.USUAL["translator"], TRANSLATOR, CAPTIONER),
        ("caption", cli.USUAL["captioner"], CAPTIONER, TRANSLATOR),
    ],
)
def test_whoever_has_models_and_names_none_is_told_who_answers(
    command, usual, mine, other, here, answered, capsys
):
    finished("of-the-other-role", other)
    finished("damaged", mine).joinpath("card.json").write_text("{")
    assert said(capsys, command, "x") == []
    finished("a", mine)
    finished("b", mine)
    (line,) = said(capsys, command, "x")
    assert line.startswith(f"{usual} of the book answers") and line.endswith(": runs/a, runs/b")
    assert said(capsys, command, "x", "--model", usual) == []
    assert answered == [usual] * 3


@pytest.mark.parametrize("name", ["mine", "de-en", "de-fr-small", "en-fr-mine"])
def test_a_model_of_ones_own_is_offered_by_its_folder(name, here):
    with pytest.raises(ValueError, match=r"^(unknown model|no model for)") as error:
        pretrained.load(name)
    assert "runs" not in str(error.value)
    finished(name)
    with pytest.raises(ValueError, match=f"runs/{name} is one of your own: give that; models: "):
        pretrained.load(name)
    with pytest.raises(ValueError, match="unknown model ''"):
        pretrained.load("")


# Scores ---------------------------------------------------------------------------------------


@given(TEXT, st.sampled_from(["{}", "{}.", "«{}»", "{}ा।"]))
def test_swapped_files_are_suspected_by_their_words(words, form):
    ours, theirs = ([form.format(a + word) for word in words] for a in "xy")
    swapped = evaluation.Evaluation("test", theirs, theirs[::-1], ours, {})
    assert evaluation.oddities(swapped)[-1].endswith("are --source and --target swapped?")
    for wrote in (ours[::-1], ["z" + word for word in words], ours[:5] + theirs[5:10] + ours[10:]):
        right = evaluation.Evaluation("test", theirs, wrote, ours, {})
        assert evaluation.oddities(right) == []


# Files ----------------------------------------------------------------------------------------


@given(TEXT, st.data())
def test_pairs_that_are_not_translated_are_counted(words, data):
    same = data.draw(st.integers(0, len(words)))
    target = words[:same] + ["x" + word for word in words[same:]]
    found = own.warnings(Corpus(words, target, ("en", "fr")), ["a.en", "a.fr"])
    if same <= len(words) / 2:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"WARNING: a.en and a.fr: {same} of {len(words)} pairs have the")
        assert line.endswith("is one file named twice?")
    few = Corpus(words[:9], words[:9], ("en", "fr"))
    assert own.warnings(few, ["a.en", "a.en"]) == []


def lines(name, start, stop):
    """Pairs of numbered words."""
    own_text.put(Path(f"{name}.en"), [f"the dog {i}" for i in range(start, stop)])
    own_text.put(Path(f"{name}.fr"), [f"le chien {i}" for i in range(start, stop)])
    return f"{name}.en", f"{name}.fr"


@pytest.mark.parametrize("seen", [0, 10, 11, 20])
def test_validation_that_was_trained_on_is_loud_when_it_is_most_of_it(here, seen):
    train, valid = lines("train", 0, 120), lines("valid", 120 - seen, 140 - seen)
    config = own_runs.config("mine", "recurrent", train, valid)
    (note,) = [x for x in training.prepare(config).notes if "too" in x] or [None]
    assert (
        note
        == {
            0: None,
            10: "10 of the validation pairs are in the training text too",
            11: "WARNING: 11 of the validation pairs are in the training text too",
            20: "WARNING: 20 of the validation pairs are in the training text too",
        }[seen]
    )


@pytest.mark.parametrize("number", [inputs.FEW - 1, inputs.FEW])
def test_a_handful_of_pairs_is_called_too_few(here, number):
    config = own_runs.config("mine", "recurrent", lines("few", 0, number), lines("val", 500, 510))
    loud = [x for x in training.prepare(config).notes if "learns next to nothing" in x]
    assert len(loud) == (number < inputs.FEW)


def test_captions_of_another_folder_are_loud_on_a_line_of_their_own(here):
    Path("pics").mkdir()
    for i in range(4):
        Image.new("RGB", (40, 40), (60 * i, 0, 0)).save(f"pics/{i}.png")
    for missing, loud in ((4, False), (5, True)):
        rows = [f"{i}.png\tA square.\n" for i in range(4 + missing)]
        Path("captions.txt").write_text("".join(rows))
        config = own_runs.config(
            "mine", "captioner", ["pics", "captions.txt"], (), None, 1, {"size": 32}
        )
        notes = training.prepare(config).notes
        warned = f"WARNING: {missing} of the 9 pictures that captions.txt names are not in pics: "
        assert [x for x in notes if "WARNING" in x] == [f"{warned}is it the right folder?"] * loud
        assert sum(f", {missing} missing (4.png, …)" in x for x in notes) == 1


# Settings -------------------------------------------------------------------------------------


def config(model="recurrent", **settings):
    return recipes.OWN[model].replace(**settings)


@pytest.mark.parametrize("model", recipes.OWN)
@pytest.mark.parametrize(
    "settings, starts",
    [
        ({}, []),
        ({"lr": 0.0}, ["--lr 0 changes no weight"]),
        ({"lr": 2.0}, ["--lr 2 is too high"]),
        ({"lr": 0.01}, []),
        ({"dropout": 1.0}, ["--dropout 1 leaves nothing"]),
        ({"lr": 0.0, "label_smoothing": 1.0}, ["--lr 0 changes", "--label-smoothing 1 leaves"]),
    ],
)
def test_settings_that_teach_nothing_are_named_with_the_usual_ones(model, settings, starts):
    found = own_runs.oddities(config(model, **settings))
    assert len(found) == len(starts)
    for line, start, name in zip(found, starts, settings, strict=False):
        assert line.startswith("WARNING: " + start)
        assert line.endswith(f"leave it out, for {own_runs.setting(recipes.OWN[model], name):g}")


@pytest.mark.parametrize(
    "languages, loud", [(("de", "en"), False), (("en", "de"), True), (("german", "en"), False)]
)
def test_languages_the_wrong_way_round_are_noticed(languages, loud):
    source, target = languages
    base = config(source=source, target=target)
    for ends in (("", ""), (".gz", ".gz")):
        names = tuple(f"train.{end}{gz}" for end, gz in zip(("de", "en"), ends, strict=True))
        found = own_runs.oddities(base.replace(files=names))
        assert [x.startswith(f"WARNING: {names[0]} is the source, and") for x in found] == [
            True
        ] * loud
    assert own_runs.oddities(base.replace(files=("pairs.tsv",))) == []


def test_training_says_it_once_and_goes_on(here, capsys):
    train = ["train", "mine", "--source", "a.en", "--target", "a.en", "--lr", "0", "--updates", "2"]
    small = ["--width", "8", "--hidden", "8", "--vocab-size", "60", "--device", "cpu"]
    lines("a", 0, 30)
    assert cli.main([*train, *small, "--budget", "0"]) == 0
    err = capsys.readouterr().err
    assert err.count("WARNING") == 3 and "mine: stopped after" in err
    assert err.count("mine: WARNING: --lr 0 changes no weight: leave it out, for 0.001\n") == 1
    assert err.count("mine: WARNING: a.en: 30 of 30 pairs have the same text on both sides") == 1
    assert err.count("mine: WARNING: a translator learns next to nothing from fewer than") == 1


def test_a_run_of_other_files_is_told_by_their_names():
    data = replace(recipes.OWN["recurrent"].data, corpus="own", sha256=("a" * 64, "b" * 64))
    base = replace(recipes.OWN["recurrent"], data=data)
    before = base.replace(files=("x.de", "x.en"), held_out=7)
    after = base.replace(files=("y.de", "y.en"), sha256=("c" * 64, "d" * 64), held_out=9)
    told = r"^runs/z holds another run \(of x.de and x.en\): choose another name, or delete that"
    with pytest.raises(ValueError, match=told):
        own_runs.check(after, before, Path("runs/z"))
    told = r"\(of x.de and x.en; optimisation.lr was 0.001, is 0.1\): choose"
    with pytest.raises(ValueError, match=told):
        own_runs.check(after.replace(lr=0.1), before, Path("runs/z"))
    with pytest.raises(ValueError, match=r"\(of x.de and x.en, validated with v.de and v.en\)"):
        own_runs.check(after, before.replace(valid_files=("v.de", "v.en")), Path("runs/z"))
    own_runs.check(before, before, Path("runs/z"))

"""Photographs of one's own: trained on, resumed, captioned, evaluated; refusals in one line."""

import contextlib
import gzip
import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from commands import fails, ok
from PIL import Image
from torch import nn

from attnlib import cli, pretrained, settings, training, vision
from attnlib.data import files, images, own, own_pictures
from attnlib.data.photographs import Photographs
from attnlib.training import features
from attnlib.training import own as own_runs

COLOURS = {"red": (200, 30, 30), "green": (20, 180, 40), "blue": (30, 60, 220)}
SAID = ("A {} square.", "This square is {}, and nothing else.")
SMALL = ["--size", "64", "--width", "16", "--hidden", "16", "--batch", "8", "--device", "cpu"]
FILES = ["--images", "pics", "--captions", "captions.tsv"]


def draw(folder, number, seed, first=0):
    """Squares of one colour each, no two alike, and the name of each one's colour."""
    rng = random.Random(seed)
    folder.mkdir(exist_ok=True)
    names = {}
    for i in range(first, first + number):
        colour = [*COLOURS][i % 3]
        shade = tuple(max(0, x + rng.randint(-20, 20)) for x in COLOURS[colour])
        Image.new("RGB", (70 + i, 90), shade).save(folder / f"{i}.png")
        names[f"{i}.png"] = colour
    return names


def describe(path, names):
    lines = [f"{name}\t{text.format(colour)}\n" for name, colour in names.items() for text in SAID]
    path.write_text("".join(lines))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    describe(tmp_path / "captions.tsv", draw(tmp_path / "pics", 12, seed=1))
    return tmp_path


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A model that has learned the colours, in a folder with six other squares."""
    folder = tmp_path_factory.mktemp("learned")
    describe(folder / "captions.tsv", draw(folder / "pics", 30, seed=1))
    describe(folder / "test.tsv", draw(folder / "test", 6, seed=2))
    argv = [*SMALL, "--updates", "60", "--lr", "0.02", "--width", "32", "--hidden", "32"]
    argv += ["--dropout", "0", "--output-dropout", "0", "--label-smoothing", "0"]
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["train", "mine", *FILES, *argv, "--validate-every", "30"]) == 0
    return folder


@pytest.fixture
def there(learned, monkeypatch):
    monkeypatch.chdir(learned)
    return pretrained.load("runs/mine")


def train(*argv, files=FILES):
    return cli.main(["train", "mine", *files, *SMALL, *argv])


# Training -------------------------------------------------------------------------------------


def test_colours_are_learned_and_named_in_new_photographs(there, capsys):
    names = [f"test/{i}.png" for i in range(6)]
    lines = ok(capsys, "caption", "--model", "runs/mine", *names).splitlines()
    assert all(colour in line for colour, line in zip([*COLOURS] * 2, lines, strict=True))
    assert ok(capsys, "caption", "--model", "runs/mine/model", names[0]).splitlines() == lines[:1]


def test_what_is_done_to_a_photograph_is_said(there, capsys):
    assert cli.main(["caption", "--model", "runs/mine", "test/0.png", "--words"]) == 0
    out, err = capsys.readouterr()
    assert err == "test/0.png: cut to its centred square and resized from 70 x 90 to 64 x 64\n"
    assert "row " in out.splitlines()[2]  # of 2 x 2 cells


def test_the_card_says_what_the_model_was_made_of(there, learned):
    card = there.card
    assert (card["architecture"], card["pictures"]) == ("captioner", "own-pictures")
    assert card["model"]["encoder"] == "efficientnet-lite0" and card["model"]["size"] == 64
    assert card["data"]["captions.tsv"] == files.sha256(learned / "captions.tsv")
    assert list(card["data"]) == ["pics: captions.tsv", "captions.tsv"]
    assert list(card["metrics"]) == ["val.loss", "val.bleu", "val.chrf"]
    assert card["signatures"]["val.bleu"].startswith("beam 5, the first 3 photographs, nrefs:2|")
    assert there.grid == (2, 2)
    header, *rows = (learned / "runs/mine/log.csv").read_text().splitlines()
    assert header.endswith(",seconds,val_bleu") and len(rows) == 2


@pytest.mark.parametrize("valid", [(), ("pics", "captions.tsv")])
def test_the_cards_command_describes_the_same_run(here, valid):
    chosen = {"width": 16, "size": 96, "images": 5, "encoder": "efficientnet-lite0-tiles"}
    chosen |= {"score": "general", "word_dropout": 0.1, "sentences": 9, "size": 128}
    config = own_runs.config("mine", "captioner", FILES[1::2], valid, None, 40, chosen)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.command, "prepare", lambda config: seen.append(config) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            training.main(own_runs.command(config).split()[2:])
    assert seen == [config] and config.data.held_out == (0 if valid else 1)
    assert own_runs.RunConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_a_stopped_run_goes_on_to_the_same_weights(here, capsys):
    assert train("--updates", "3", "--folder", "whole") == 0
    for left in range(3, 0, -1):
        assert not (here / "runs/mine/model").exists()
        assert train("--updates", "3", "--budget", "0") == 0
        assert ("stopped after" in capsys.readouterr().err) == (left > 1)
    assert (
        Path("runs/mine/model/model.safetensors").read_bytes()
        == (here / "whole/mine/model/model.safetensors").read_bytes()
    )
    assert train("--updates", "3") == 0  # nothing is left to do
    assert "finished before; attnlib caption --model runs/mine/model IMAGE" in (
        capsys.readouterr().err
    )


def test_minutes_are_turned_into_updates(here, capsys):
    assert train("--minutes", "0.02") == 0
    card = json.loads((here / "runs/mine/model/card.json").read_text())
    updates = card["config"]["optimisation"]["updates"]
    assert f" --updates {updates} " in card["command"] and 1 <= updates < 1000
    assert f"mine: {own.plural(updates, 'update')}, " in capsys.readouterr().err
    assert ok(capsys, "train", "--measure", "mine")


def test_the_encoder_sees_each_photograph_once(here, monkeypatch):
    config = own_runs.config("mine", "captioner", FILES[1::2], settings={"size": 64})
    data = training.prepare(config)
    data.look()
    pixels = images.as_floats(data.train.photographs.image(3))[None]
    wanted = data.train.encoder.features(pixels)[0]
    np.testing.assert_allclose(data.train.sample(3).image, wanted, rtol=1e-3, atol=2e-3)  # float16
    assert data.train[2:].sample(1).captions == data.train.sample(3).captions
    monkeypatch.setattr(features.SeenPhotographs, "_see", None)
    again = training.prepare(config)
    again.look()
    assert np.array_equal(again.val.seen, data.val.seen)


class Squares(vision.Grid, nn.Module):
    """Stands for a network of torchvision: the mean colour of each of 2 x 2 squares."""

    annotation_dim, stride = 3, 32

    def __init__(self, name, size, weights=None, trainable=False):
        super().__init__()
        self.size = size

    def forward(self, pictures):
        return nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(2).transpose(1, 2)


def test_a_network_of_torchvision_takes_the_encoders_place(here, monkeypatch, capsys):
    for module in (training.inputs, settings):
        monkeypatch.setattr(module, "Backbone", Squares)
    assert train("--updates", "2", "--encoder", "resnet18", "--workers", "0") == 0
    assert pretrained.read("runs/mine/model").card["model"]["encoder"] == "resnet18"
    assert ok(capsys, "caption", "--model", "runs/mine", "pics/1.png").count("\n") == 1


# What the files say -----------------------------------------------------------------------------

TEXTS = {"a.jpg": ["A dog, and a cat.", 'Says "no".'], "b.jpg": ["One."]}
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 7, "caption": TEXTS["a.jpg"][0]},
        {"image_id": 8, "caption": "One."},
        {"image_id": 7, "caption": TEXTS["a.jpg"][1]},
    ],
}


@pytest.mark.parametrize(
    "name, content",
    [
        ("x.txt", 'a.jpg#0\tA dog, and a cat.\na.jpg#1\tSays "no".\n\nb.jpg#0\tOne.\n'),
        ("x.tsv", 'image\tcaption\na.jpg\tA  dog, and a cat. \r\na.jpg\tSays "no".\nb.jpg\tOne.'),
        ("x.csv", 'image,caption\na.jpg,A dog, and a cat.\na.jpg,"Says ""no""."\nb.jpg,One.\n'),
        ("y.csv", 'a.jpg#0,"A dog, and a cat."\na.jpg,"Says ""no""."\nb.jpg,One.\n'),
        (
            "z.csv",
            'image,n,caption,split\na.jpg,0,"A dog, and a cat.",x\na.jpg,1,"Says ""no"".",x\n'
            "b.jpg,0,One.,y\n",
        ),
        ("x.json", json.dumps(COCO)),
        ("x.json.gz", json.dumps(COCO)),
    ],
)
def test_the_same_captions_in_each_form(tmp_path, name, content):
    data = content.encode("utf-8-sig")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert own_pictures.texts_of(tmp_path / name) == (TEXTS, 0)


def test_what_is_left_out_is_counted_and_said(here, capsys):
    (here / "pics/3.png").write_bytes(b"no image")
    (here / "pics/4.png").unlink()
    (here / "pics/notes.txt").touch()
    shutil.copy("pics/1.png", "pics/extra.png")
    lines = [*Path("captions.tsv").read_text().splitlines(), "5.png\t ", "7.png\t" + "red " * 300]
    Path("captions.tsv").write_text("\n".join(lines))
    assert train("--updates", "1", "--max-length", "50") == 0
    err = capsys.readouterr().err
    assert (
        "mine: 9 training photographs with 18 captions, 1 empty caption left out, "
        "1 missing (4.png), 1 unreadable (3.png), 1 without a caption there (extra.png), "
        "1 of more than 50 subwords left out\n"
    ) in err
    assert "mine: 1 validation photograph with 2 captions, held out, by a draw\n" in err
    assert "subwords, not the 4,000 asked for: the text has no more" in err


def test_no_photograph_is_on_both_sides_under_whatever_name(here):
    for i in range(12):
        shutil.copy(f"pics/{i}.png", f"pics/copy{i}.png")
    with Path("captions.tsv").open("a") as file:
        file.writelines(f"copy{i}.png\tZ\n" for i in range(12))
    found = own_pictures.read(("pics", "captions.tsv"))
    train, val = own_pictures.split(found, 4)
    assert (len(train), len(val)) == (16, 8) and not {*train.sha256} & {*val.sha256}
    assert {*train.photographs.paths, *val.photographs.paths} == {*found.photographs.paths}
    with pytest.raises(ValueError, match="12 photographs cannot be held out of 12 different ones"):
        own_pictures.split(found, 12)


def test_validation_photographs_are_not_trained_on_and_their_words_unknown(here, capsys):
    rows = Path("captions.tsv").read_text().splitlines()
    Path("valid.tsv").write_text("\n".join([*rows[:4], "2.png\tßßß ßßß"]))
    argv = ["--updates", "1", "--valid-captions", "valid.tsv"]
    assert train(*argv) == 0
    assert "9 training photographs with 18 captions, 3 left out that are for validation\n" in (
        capsys.readouterr().err
    )
    card = pretrained.card("runs/mine")
    data = training.prepare(training.RunConfig.from_dict(card["config"]))
    assert "ß" not in data.tokenizer.characters
    assert list(card["data"]) == [
        "pics: captions.tsv", "captions.tsv", "pics: valid.tsv", "valid.tsv",
    ]  # fmt: skip
    argv[-1] = "captions.tsv"
    message = fails(capsys, "train", "other", *FILES, *argv)
    assert "each training photograph is in the validation set too" in message


def test_a_photograph_that_changed_is_another_run(here, capsys):
    assert train("--updates", "2", "--budget", "0") == 0
    Image.new("RGB", (80, 80), "white").save("pics/5.png")
    message = fails(capsys, "train", "mine", *FILES, *SMALL, "--updates", "2")
    assert "pics: captions.tsv changed since runs/mine was begun: choose another name" in message


# Refusals -------------------------------------------------------------------------------------


def bad(here):
    (here / "none.txt").write_text("")
    (here / "prose.txt").write_text("Two dogs run.\n")
    (here / "half.tsv").write_text("0.png\tA dog.\n1.png A dog.\n")
    (here / "half.csv").write_text("0.png,A dog.\n1.png\n")
    (here / "other.json").write_text('{"a.jpg": ["A dog."]}')
    (here / "broken.json").write_text('{"images": [')
    (here / "astray.json").write_text(json.dumps({**COCO, "images": COCO["images"][:1]}))
    (here / "gone.tsv").write_text("dog.png\tA dog.\n")
    (here / "silent.tsv").write_text("0.png\t\n")
    (here / "latin.tsv").write_bytes(b"0.png\tun caf\xe9\n")
    (here / "long.tsv").write_text("".join(f"{i}.png\t{'red ' * 200}\n" for i in range(12)))
    (here / "one.tsv").write_text("0.png\tA dog.\n")


def said(captions, folder="pics"):
    return ["--images", folder, "--captions", captions]


@pytest.mark.parametrize(
    "argv, message",
    [
        (said("none.txt"), "none.txt is empty: there is no line to read"),
        (said("prose.txt"), "prose.txt: expected 'image.jpg', a tab and a caption, 'image.jpg,cap"),
        (said("half.tsv"), "half.tsv, line 2: expected 'image.jpg', a tab and a caption, got '1.p"),
        (said("half.csv"), "half.csv, line 2: expected 'image.jpg,caption', got '1.png'"),
        (said("other.json"), "other.json is JSON, but not COCO's: it has no images and anno"),
        (said("broken.json"), "broken.json is not JSON: "),
        (said("astray.json"), "astray.json, annotations[1].image_id: no image 8 in images"),
        (said("gone.tsv"), "none of the 1 images that gone.tsv names is in pics: the first would"),
        (said("silent.tsv"), "none of the 1 images of pics that silent.tsv names can be read and"),
        (said("latin.tsv"), "latin.tsv, line 1, is not UTF-8 text (byte 0xe9): convert it"),
        (said("long.tsv"), "each training caption has more than 60 subwords: raise --max-length"),
        (said("one.tsv"), "1 photograph cannot be held out of 1 different one: give more of them"),
        (said("nowhere"), "nowhere cannot be read: No such file or directory"),
        (said("captions.tsv", "nowhere"), "nowhere is not a folder: give the one with the photogr"),
        (FILES[:2], "--captions is missing: photographs need a folder and their captions"),
        (FILES[2:], "--images is missing: photographs need a folder and their captions"),
        ([*FILES, "--valid-images", "x"], "--valid-captions is missing: what do the photographs"),
        ([*FILES, "--source", "x"], "--source is for text: photographs have --images and --"),
        ([*FILES, "--model", "recurrent"], "--model recurrent is for text: photographs have the"),
        (["--model", "captioner"], "a captioner needs photographs: --images and --captions"),
        ([*FILES, "--tokens", "9"], "--tokens is for text"),
        ([*FILES, "--positions", "none"], "--positions is for text"),
        ([*FILES, "--heads", "2"], "mine: a captioner has no heads"),
        ([*FILES, "--size", "100"], "must be multiples of 32 pixels, the side of a cell, got 100"),
        ([*FILES, "--minutes", "1", "--updates", "9"], "give either --minutes or --updates"),
        (["--source", "x", "--target", "x", "--batch", "9"], "--batch is for photographs"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_one_line(here, capsys, monkeypatch, argv, message):
    bad(here)
    assert message in fails(capsys, "train", "mine", *argv)
    assert not (here / "runs").exists()


def test_without_torchvision_its_networks_are_refused(here, capsys, monkeypatch):
    def absent():
        raise ImportError("torchvision's networks need torchvision: pip install torchvision")

    monkeypatch.setattr(vision, "_models", absent)
    message = fails(capsys, "train", "mine", *FILES, "--encoder", "resnet18")
    assert "attnlib train: torchvision's networks need torchvision" in message


# Evaluation -----------------------------------------------------------------------------------


def test_evaluate_is_what_sacrebleu_says_of_the_captions(there, tmp_path, capsys):
    Path(tmp_path / "test.csv").write_text(
        "".join(f"{i}.png,{text}\n" for i in range(6) for text in ("A dog.", "A red square?"))
        + "9.png,Nothing.\n"
    )
    argv = ["evaluate", "runs/mine", "--images", "test", "--captions", str(tmp_path / "test.csv")]
    printed = ok(capsys, *argv, "--output", str(tmp_path / "out"))
    assert printed.startswith(f"mine on 6 pictures of test and {tmp_path / 'test.csv'}, beam 5\n")
    lines = (tmp_path / "out").read_text().splitlines()
    names = [f"test/{i}.png" for i in range(6)]
    assert lines == ok(capsys, "caption", "--model", "runs/mine", *names).splitlines()
    references = [["A dog."] * 6, ["A red square?"] * 6]
    bleu, chrf = (
        getattr(sacrebleu, f"corpus_{metric}")(lines, references).score
        for metric in ("bleu", "chrf")
    )
    found = json.loads(ok(capsys, *argv, "--json"))
    assert found["scores"] == pytest.approx({"test.bleu": bleu, "test.chrf": chrf}, abs=1e-9)
    assert 1 < bleu < 99 and found["pictures"] == 6
    assert cli.main([*argv, "--limit", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["pictures"] == 2 and err == "1 missing (9.png)\n"


@pytest.mark.parametrize(
    "argv, message",
    [
        (["runs/mine"], "mine was trained on photographs of one's own, which have no test"),
        (["runs/mine", "--images", "test"], "give --images FOLDER and --captions FILE, of photo"),
        (["runs/mine", *FILES, "--tsv", "x"], "give --images FOLDER and --captions FILE, of photo"),
        (["en-fr-fixed", *FILES], "en-fr-fixed is a translator and does not caption; captioners: "),
        (["runs/mine", *said("x")], "x cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_one_line(there, capsys, argv, message):
    assert message in fails(capsys, "evaluate", *argv)


def test_photographs_are_for_captioners_and_text_for_translators(there):
    from attnlib import evaluation
    from attnlib.data.corpora import Corpus

    with pytest.raises(ValueError, match="mine is a captioner: this is for a translator"):
        evaluation.evaluate(there, test=Corpus(["a"], ["b"], ("en", "fr")))
    test = Photographs((Path("test/0.png"),), (("A red square.",),), 64)
    with pytest.raises(ValueError, match="en-fr-fixed is a translator: this is for a captioner"):
        evaluation.evaluate(pretrained.load("en-fr-fixed"), test=test)
    assert torch.is_inference_mode_enabled() is False

"""attnlib caption: what it says of images, and one line for everything that goes wrong."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from attnlib import cli, evaluation, pretrained, storage, text
from attnlib.data import images
from attnlib.data.tokenizer import Tokenizer
from attnlib.decoding import Sampled
from attnlib.settings import make_captioner, make_translator

SCENES = images.load("scenes", "test")


def captioner(folder, name, pictures="scenes", **settings):
    """An untrained captioner that writes words of the grammar."""
    tokenizer = images.tokenizer(SCENES.grammar.words)
    arguments = {"vocab_size": len(tokenizer), "width": 8, "hidden": 6, "annotation_dim": 8}
    arguments |= {"size": 64, **settings}
    torch.manual_seed(1)
    model = make_captioner(**arguments)
    model.bias.data[: tokenizer.unk + 1] = -9.0  # words, please
    for weight in model.decoder.parameters():
        weight.data *= 4  # what it sees should make a difference
    card = {
        "name": name,
        "architecture": "captioner",
        "languages": ["en"],
        "pictures": pictures,
        "model": arguments,
        "metrics": {"val.loss": 0.51234, "true_captions": 0.9735, "bleu": 88.123},
        "signatures": {"val.loss": "nats", "true_captions": "scenes test", "bleu": "nrefs:5"},
    }
    storage.save(folder / name, model, tokenizer, card)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    captioner(folder, "scenes-soft")
    captioner(folder, "scenes-none", score=None)
    tokenizer = Tokenizer.train(["Two dogs run."] * 5, vocab_size=30)
    arguments = {"vocab_size": len(tokenizer), "width": 8, "hidden": 6}
    card = {"name": "en-fr-bahdanau", "languages": ["en", "fr"], "model": arguments}
    storage.save(folder / "en-fr-bahdanau", make_translator(**arguments), tokenizer, card)
    return folder


@pytest.fixture(autouse=True)
def shipped(weights, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", weights)
    monkeypatch.setattr(pretrained, "MAX_CAPTION", 5)  # what knows nothing finds no end


@pytest.fixture
def scene(tmp_path):
    """A file with scene 7."""
    path = tmp_path / "scene.png"
    Image.fromarray(SCENES.sample(7).image).save(path)
    return path


def said(capsys, *argv):
    """What it prints, and what it says beside that."""
    assert cli.main(["caption", *map(str, argv)]) == 0
    return capsys.readouterr()


def fails(capsys, *argv):
    """The one line that explains it."""
    assert cli.main(list(map(str, argv))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("attnlib: ") and err.count("\n") == 1
    return err


def found(i=7, **settings):
    (found,) = pretrained.load("scenes-soft").caption([SCENES.sample(i).image], **settings)
    return found


def test_a_caption_a_line_in_the_order_of_the_files(capsys, scene, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(SCENES.sample(1).image).save(other)
    want = f"{found(1).text}\n{found(7).text}\n"
    assert len(set(want.split("\n"))) == 3  # not the same, not empty
    assert said(capsys, other, scene) == (want, "")
    greedy = found(7, beam=1).text + "\n"
    assert greedy != found(7).text + "\n"
    assert said(capsys, scene, "--beam", 1) == (greedy, "")


def test_a_folder_of_ones_own(capsys, scene, weights, tmp_path, monkeypatch):
    want = said(capsys, scene)
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    assert said(capsys, scene, "--model", weights / "scenes-soft") == want


@pytest.mark.parametrize(
    "mode, done",
    [
        ("L", "grey made three equal channels"),
        ("LA", "grey made three equal channels, transparent parts laid on white"),
        ("RGBA", "transparent parts laid on white"),
        ("P", "a palette made RGB"),
        ("CMYK", "CMYK made RGB"),
    ],
)
def test_what_is_converted_is_said(capsys, scene, tmp_path, mode, done):
    path = tmp_path / "other.tiff"
    image = Image.open(scene).convert(mode)
    if "A" in mode:
        image.putalpha(128)
    image.save(path)
    pixels = np.array(image.convert("L" if mode == "LA" else "RGB"))
    if "A" in mode:
        pixels = np.round((pixels * 128.0 + 255 * 127) / 255).astype(np.uint8)
    (want,) = pretrained.load("scenes-soft").caption([pixels])
    assert said(capsys, path) == (want.text + "\n", f"{path}: {done}\n")


def test_another_size_is_an_error_that_says_how_to_go_on(capsys, scene, tmp_path):
    large = tmp_path / "large.png"
    pixels = np.zeros((64, 100, 3), dtype=np.uint8)
    pixels[:, 18:82] = SCENES.sample(7).image
    Image.fromarray(pixels).save(large)
    message = fails(capsys, "caption", scene, large)  # nothing is captioned
    assert f"{large} is 100 x 64 pixels, expected 64 x 64 (width x height); --resize " in message
    out, err = said(capsys, scene, large, "--resize")
    assert out == f"{found().text}\n" * 2
    assert err == f"{large}: cut to its centred square and resized from 100 x 64 to 64 x 64\n"


def test_a_file_that_cannot_be_read_is_named(capsys, scene, tmp_path):
    whole = scene.read_bytes()
    for name, content in (("cut.png", whole[:2000]), ("text.png", b"no image"), ("no.png", b"")):
        (tmp_path / name).write_bytes(content)
        message = fails(capsys, "caption", scene, tmp_path / name)
        assert f"{tmp_path / name} cannot be read as an image: " in message
    assert f"no image {tmp_path / 'gone.png'}" in fails(capsys, "caption", tmp_path / "gone.png")
    assert "it is a folder" in fails(capsys, "caption", tmp_path)


def test_a_model_of_the_other_kind_is_refused_with_those_that_are_right(
    capsys, scene, weights, tmp_path, monkeypatch
):
    for name in ("en-fr-bahdanau", str(weights / "en-fr-bahdanau")):
        assert fails(capsys, "caption", scene, "--model", name) == (
            "attnlib: en-fr-bahdanau is a translator and does not caption; "
            "captioners: scenes-none, scenes-soft\n"
        )
    assert fails(capsys, "translate", "Two dogs run.", "--model", "scenes-soft") == (
        "attnlib: scenes-soft is a captioner and does not translate; translators: en-fr-bahdanau\n"
    )
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    message = fails(capsys, "caption", scene, "--model", weights / "en-fr-bahdanau")
    assert message.endswith("captioners: none\n")


def test_words_names_the_cell_each_looked_at_most(capsys, scene):
    lines = said(capsys, scene, "--words").out.split("\n")
    caption = found()
    assert lines[:2] == [caption.text, ""] and lines[-2:] == ["", ""]
    rows = lines[2:-2]
    assert len(rows) == len(caption.tokens) == len(caption.text.split())
    for line, word, weights in zip(rows, caption.text.split(), caption.weights):
        cell = int(weights.argmax())
        assert line.split()[:2] == [word, f"{weights.max():.2f}"]
        place = map(int, re.search(r"row (\d+), column (\d+): pixels", line).groups())
        assert tuple(place) == divmod(cell, 8)
        left, right, top, bottom = map(int, re.findall(r"\d+", line.split("pixels")[1]))
        box = pretrained.load("scenes-soft").model.encoder.box(cell, 64, 64)
        assert (left, top, right + 1, bottom + 1) == box


def test_word_maps_text_by_hand():
    weights = np.array([[0, 0, 0.25, 0.5, 0.25, 0], [0.5, 0, 0, 0.5, 0, 0]])
    assert text.cells_text(weights, ["a", "ring"], (2, 3), 96).split("\n") == [
        "a     0.50  row 1, column 0: pixels 0 to 31 across, 48 to 95 down",
        "ring  0.50  row 0, column 0: pixels 0 to 31 across, 0 to 47 down",  # the first of equals
    ]
    assert text.cells_text(np.zeros((0, 6)), [], (2, 3), 96) == ""


def test_plot_draws_each_word(capsys, scene, tmp_path, monkeypatch):
    from attnlib import plotting

    seen, looks = [], plotting.word_maps
    monkeypatch.setattr(plotting, "word_maps", lambda *a: seen.append(a) or looks(*a))
    path = tmp_path / "out.svg"
    caption = found()
    assert said(capsys, scene, "--plot", path) == (caption.text + "\n", f"wrote {path}\n")
    assert "<svg" in path.read_text()
    ((image, weights, words, grid),) = seen
    np.testing.assert_array_equal(image, SCENES.sample(7).image)
    np.testing.assert_allclose(weights, caption.weights)
    assert (words, grid) == (caption.text.split(), (8, 8))


def test_an_empty_caption_is_printed_and_not_drawn(capsys, scene, tmp_path, monkeypatch):
    nothing = pretrained.CaptionFound("", [], np.zeros((0, 64)), 0.0)
    monkeypatch.setattr(pretrained.Pretrained, "caption", lambda *_: [nothing])
    assert said(capsys, scene) == ("\n", "")
    assert cli.main(["caption", str(scene), "--plot", str(tmp_path / "out.svg")]) == 2
    assert "the caption is empty: nothing to draw" in capsys.readouterr().err
    assert not (tmp_path / "out.svg").exists()


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--beam", "0"], "beam must be at least 1, got 0"),
        (["--model", "scenes-huge"], "unknown model 'scenes-huge'; models: en-fr-bahdanau, scenes"),
        (["--model", "scenes-none", "--words"], "scenes-none has no attention, so it looks at no"),
        (["--model", "scenes-none", "--plot", "out.svg"], "scenes-none has no attention"),
        (["scene.png", "--plot", "out.svg"], "--plot draws one image, got 2"),
        (["--plot", "out.xyz"], "--plot writes .svg, .png or .pdf, got 'out.xyz'"),
        (["--plot", "nowhere/out.svg"], "no folder nowhere to write to"),
    ],
)  # fmt: skip
def test_every_error_is_one_line(capsys, scene, monkeypatch, argv, message):
    monkeypatch.chdir(scene.parent)
    assert message in fails(capsys, "caption", "scene.png", *argv)


def test_a_captioner_without_attention_captions(capsys, scene):
    assert said(capsys, scene, "--model", "scenes-none").out.count("\n") == 1


# Photographs as tiles of a mosaic ----------------------------------------------------------------


@pytest.fixture
def tiles(tmp_path, monkeypatch):
    """Five files of a colour each, and a captioner of mosaics that says what it is told to."""
    captioner(tmp_path / "weights", "groceries", pictures="mosaics", size=96)
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        Image.new("RGB", (70 + number, 70), (10 * number, 0, 0)).save(f"{number}.png")
    saw = []

    def caption(self, pictures, beam):
        saw.extend(pictures)
        text = "onions left of red peppers" if len(saw) % 2 else "plums above plums"
        weights = np.eye(144)[: len(text.split())]
        return [pretrained.CaptionFound(text, text.split(), weights, -1.0) for _ in pictures]

    monkeypatch.setattr(pretrained.Pretrained, "caption", caption)
    return saw


@pytest.mark.parametrize("number", [2, 3, 4])
def test_photographs_are_laid_out_as_a_mosaic(tiles, capsys, number):
    names = [f"{i}.png" for i in range(number)]
    out, err = said(capsys, *names, "--model", "groceries")
    assert out == "onions left of red peppers\n"
    (shown,) = tiles
    reds = [10 * i for i in range(number)] + [128] * (4 - number)
    assert (shown.reshape(2, 48, 2, 48, 3)[..., 0].transpose(0, 2, 1, 3) == np.reshape(
        reds, (2, 2, 1, 1))).all()  # fmt: skip
    assert "groceries sees them as tiles of one mosaic, row by row; it knows 16 kinds (at" in err
    found = json.loads(said(capsys, *names, "--model", "groceries", "--json").out)
    assert found == {"images": names, "caption": "plums above plums", "score": -1.0}


def test_of_one_photograph_the_kind_is_said_alone(tiles, capsys):
    out, err = said(capsys, "1.png", "--model", "groceries")
    assert out == "onions or red peppers\n"
    assert "1.png: the kind alone; its 'onions left of red peppers' needs two photographs" in err
    found = json.loads(said(capsys, "1.png", "--model", "groceries", "--json").out)
    assert (found["kinds"], found["caption"]) == (["plums"], "plums above plums")


def test_an_image_of_a_mosaics_size_is_one(tiles, capsys):
    Image.new("RGB", (96, 96), "red").save("whole.png")
    assert said(capsys, "whole.png", "--model", "groceries") == ("onions left of red peppers\n", "")
    assert "0.png is 70 x 70 pixels, expected 96 x 96" in fails(
        capsys, "caption", "whole.png", "0.png", "--model", "groceries"
    )
    said(capsys, "0.png", "1.png", "--model", "groceries", "--resize")
    assert len(tiles) == 3 and (tiles[2] == (10, 0, 0)).all()


def test_more_photographs_than_tiles_or_none_at_all(tiles, capsys, tmp_path):
    names = [f"{i}.png" for i in range(5)]
    message = fails(capsys, "caption", *names, "--model", "groceries")
    assert message == "attnlib: groceries captions one to four photographs at a time, got 5\n"
    (tmp_path / "no.png").write_bytes(b"no image")
    message = fails(capsys, "caption", "no.png", "0.png", "--model", "groceries")
    assert "no.png cannot be read as an image" in message


def test_info_lists_the_kinds_of_a_mosaic(tiles, capsys):
    assert cli.main(["info", "groceries"]) == 0
    assert "\nkinds that it knows: apples, aubergines, avocados, " in capsys.readouterr().out
    assert cli.main(["info", "groceries", "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_no_image_is_an_error(capsys):
    with pytest.raises(SystemExit):
        cli.main(["caption"])
    assert "required: IMAGE" in capsys.readouterr().err


def test_info_lists_captioners_by_what_they_see(capsys):
    assert cli.main(["info"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.strip().split("\n")]
    assert lines == [
        ["en-fr-bahdanau", "en", "to", "fr", "not", "evaluated"],
        ["scenes-none", "scenes", "to", "en", "true_captions", "0.974"],
        ["scenes-soft", "scenes", "to", "en", "true_captions", "0.974"],
    ]
    assert cli.main(["info", "scenes-soft"]) == 0
    card = capsys.readouterr().out
    assert "  true_captions: 0.9735  (scenes test)\n  bleu: 88.12  (nrefs:5)\n" in card


def test_a_captioner_that_samples_is_scored_too(tmp_path):
    captioner(tmp_path, "samples", selection="hard")
    loaded = pretrained.read(tmp_path / "samples")
    sampled = Sampled(loaded.model, torch.Generator().manual_seed(1))
    scores = evaluation.evaluate(dataclasses.replace(loaded, model=sampled), limit=2, beam=1).scores
    assert {"bleu", "true_captions"} <= set(scores)


def test_evaluate_counts_true_captions(capsys, tmp_path):
    path = tmp_path / "captions.txt"
    argv = ["evaluate", "scenes-soft", "--limit", "2", "--beam", "1", "--output", str(path)]
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert out.startswith("scenes-soft on 2 pictures of scenes test, beam 1\n")
    scores = evaluation.evaluate(pretrained.load("scenes-soft"), limit=2, beam=1).scores
    assert f"  {'true_captions':32} {scores['true_captions']:.4f}  " in out
    assert f" {scores['bleu'].value:.2f}  {scores['bleu'].signature}\n" in out
    assert path.read_text() == "".join(found(i, beam=1).text + "\n" for i in range(2))


def test_which_metrics_are_out_of_100():
    assert [key for key in ("bleu", "val.bleu_lc", "x.chrf", "x.aer", "pointing_game")
            if text.is_percent(key)] == ["bleu", "val.bleu_lc", "x.chrf"]  # fmt: skip


def test_help_does_not_load_what_reads_images():
    code = "import sys; from attnlib import cli\ntry: cli.main(['caption', '--help'])\n"
    code += "except SystemExit: assert not {'torch', 'matplotlib', 'PIL'} & {*sys.modules}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--resize" in run.stdout


def test_json_says_what_the_lines_say(capsys, scene):
    lines = said(capsys, scene, "--words")[0].splitlines()
    out, _ = said(capsys, scene, "--words", "--json")
    found = json.loads(out)
    assert (found["image"], found["caption"]) == (str(scene), lines[0])
    assert found["words"] == lines[0].split() and found["score"] < 0
    rows, columns = found["grid"]
    for line, row in zip(lines[2:-1], np.array(found["weights"]), strict=True):
        assert len(row) == rows * columns
        assert (
            f"{row.max():.2f}  row {row.argmax() // columns}, column {row.argmax() % columns}"
            in line
        )
    assert "words" not in json.loads(said(capsys, scene, "--json")[0])

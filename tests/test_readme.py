"""What the README shows is what the code does (its Python examples are doctests)."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnlib import cli, pretrained, storage
from attnlib.data.scenes import Scenes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_translation_shown_is_the_one_made(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.search(
        r"```console\n\$ attnlib translate \"(.*?)\" --alignment\n(.*?)```", README, re.S
    )
    assert cli.main(["translate", shown[1], "--alignment"]) in (0, None)
    assert capsys.readouterr().out.strip() == shown[2].strip()


@pytest.mark.parametrize(
    "name", ["en-fr-bahdanau", "en-fr-fixed", "en-fr-luong", "en-fr-transformer"]
)
def test_the_figures_shown_are_those_of_the_card(name):
    card = pretrained.card(name)
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    metrics = [
        card["metrics"][f"test_2016_flickr.{key}"] for key in ("bleu", "bleu_lc_tok", "chrf")
    ]
    want = [
        f"{card['parameters']:,}",
        *(f"{x:.2f}" for x in metrics),
        f"{card['seconds'] / 60:.0f}",
    ]
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == want


def test_a_row_is_written_anew_from_the_card(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_tools"))
    readme = importlib.import_module("readme")
    assert readme.renewed(README) == README
    old = README.replace("| 57.20 |", "| 1.00 |").replace("| 0.939 |", "| 0.1 |")
    assert old.count("| 1.00 |") == old.count("| 0.1 |") == 1
    other = "| `book/` | the chapters, 57.20 |\n| `gone`, no model | 1 |\n"
    assert readme.renewed(other + old) == other + README


@pytest.mark.slow
def test_the_comparison_shown_is_the_one_made(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    shown = re.search(r"```console\n\$ attnlib compare \"(.*?)\"\n(.*?)```", README, re.S)
    assert cli.main(["compare", shown[1]]) in (0, None)
    assert capsys.readouterr().out.strip() == shown[2].strip()


def test_the_lead_shown_is_the_one_measured():
    results = json.loads((ROOT / "book/results/translators.json").read_text(encoding="utf-8"))
    lead = results["ahead"]["bleu"]["en-fr-bahdanau"]
    shown = "ahead of the first by {value:.1f} BLEU\n({low:.1f} to {high:.1f}, 95 %".format(**lead)
    assert shown in README
    for name, checksum in results["ahead"]["sha256"].items():
        assert pretrained.card(name)["sha256"][storage.MODEL] == checksum


@pytest.mark.parametrize("name", ["scenes-soft", "scenes-hard"])
def test_the_marks_shown_are_those_of_the_card(name):
    card = pretrained.card(name)
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    keys = ("true_captions", "true_captions_held_out", "pointing_game")
    want = [
        f"{card['parameters']:,}",
        *(f"{card['metrics'][key]:.3f}" for key in keys),
        f"{card['seconds'] / 60:.0f}",
    ]
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == want


def test_the_marks_of_the_mosaics_are_those_of_the_card():
    names = ("photographs-soft", "mosaics-soft", "photographs-hard")
    card, *others = map(pretrained.card, names)
    shown = README[README.index("`photographs-soft`") :][:700]
    marks = (f"{each['metrics']['true_captions']:.3f}" for each in (card, *others))
    for want in (f"{card['parameters']:,}", f"{card['seconds'] / 60:.0f} minutes", *marks):
        assert want in shown


def test_the_scene_shown_is_saved_and_captioned(tmp_path, monkeypatch, capsys):
    shown = re.search(
        r"```console\n\$ python -c \"(.*?)\"\n\$ attnlib (caption .*?)\n(.*?)```", README, re.S
    )
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", shown[1]], check=True)
    number = int(re.search(r"sample\((\d+)\)", shown[1])[1])
    np.testing.assert_array_equal(Image.open("scene.png"), Scenes("test").sample(number).image)
    assert cli.main(shown[2].split()) == 0
    out, err = capsys.readouterr()
    assert out.strip() == shown[3].strip()
    assert err == "wrote looks.svg\n" and (tmp_path / "looks.svg").exists()


def test_every_path_named_exists():
    paths = re.findall(r"`((?:attnlib|book|tests)/[\w./]*)`", README)
    paths += re.findall(r"\]\((book/[^)]*)\)", README)
    assert paths and not [path for path in paths if not (ROOT / path).exists()]

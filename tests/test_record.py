"""Results files: what made them stands first, and a stopped run leaves the last whole one."""

import datetime
import json
from pathlib import Path

import _record
import pytest
from _record import digest, record

from attnlib.training import hardware

ROOT = Path(__file__).parents[1]
RESULTS = [*sorted(ROOT.glob("book/results/*.json")), *ROOT.glob("attnlib/checks/*.json")]


def test_a_file_says_what_made_it(tmp_path):
    path = tmp_path / "found.json"
    record(path, "python found.py", {"date": "1999-12-31", "hardware": "an abacus", "mot": "été"})
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    assert list(found) == ["command", "hardware", "date", "digest", "mot"]
    assert found["command"] == "python found.py" and found["hardware"] == hardware()
    assert found["date"] == datetime.date.today().isoformat()
    assert "été" in text and text.endswith("}\n")


def test_rows_one_a_line(tmp_path):
    path, runs = tmp_path / "found.json", [{"seed": 1, "curve": [1, 2]}, {"seed": 2, "curve": []}]
    record(path, "python found.py", {"runs": runs, "seeds": [1, 2]}, one_a_line="runs")
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["runs"] == runs
    assert '\n  {"seed": 1, "curve": [1, 2]},\n' in text


def test_what_cannot_be_written_leaves_the_file_before(tmp_path):
    path = tmp_path / "found.json"
    record(path, "python found.py", {"rows": [1]})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        record(path, "python found.py", {"rows": {1, 2}})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_results_file_says_what_makes_it_again(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["hardware"] and datetime.date.fromisoformat(found["date"])
    script = ROOT / found["command"].rpartition(" ")[2]
    assert script.is_file() or "make" in found["command"], found["command"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_no_number_was_changed_after_it_was_measured(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["digest"] == digest(found), f"run {found['command']} again: a number was changed"


def test_a_changed_number_changes_the_digest(tmp_path):
    path = tmp_path / "found.json"
    record(path, "python found.py", {"rows": [{2: 0.25}, {3: 0.5}], "b": 1, "a": "été"})
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["digest"] == digest(found) == digest(dict(reversed(found.items())))
    found["date"] = "1999-12-31"
    assert found["digest"] == digest(found)
    found["rows"][1]["3"] = 0.51
    assert found["digest"] != digest(found)


def test_a_file_that_grows_names_all_its_machines(tmp_path, monkeypatch):
    path = tmp_path / "found.json"
    for machine in ("an abacus", "a slide rule", "an abacus"):
        monkeypatch.setattr(_record, "hardware", lambda device, machine=machine: machine)
        record(path, "python found.py", {"rows": [1]}, grows=True)
    assert json.loads(path.read_text("utf-8"))["hardware"] == "an abacus; a slide rule"
    record(path, "python found.py", {"rows": [1]})
    assert json.loads(path.read_text("utf-8"))["hardware"] == "an abacus"

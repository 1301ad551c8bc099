"""Whose is it? Folders, files and zips, as platforms export them and as people make them."""

import zipfile

import homework
import pytest

pytest.importorskip("nbgrader")
assert homework.FOLDER  # the grader's folder is on the path from here on
from handed_in import collect  # noqa: E402


@pytest.fixture
def there(tmp_path):
    """Files by their names, a class in a folder and the folder for what is in zips."""
    opened = tmp_path / "opened"
    opened.mkdir()

    def make(*names, folder="a class"):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if name.endswith("/") else path.write_text("{}")
        return tmp_path / folder

    return make, opened


def zipped(path, *names, text="{}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return path


def pages(rows):
    return [row.page for row in rows]


def test_names_from_moodle_and_canvas(there):
    make, opened = there
    rows = collect(
        make("Ada King_123_assignsubmission_file_/a.ipynb", "turingalan_77_88_a02.ipynb",
             "turingalan_LATE_78_89_a02-1.ipynb", "noether/a02/a02.ipynb",
             "noether/.ipynb_checkpoints/a02.ipynb", ".DS_Store"),
        opened,
    )  # fmt: skip
    assert [(*row.owner, row.late, row.file) for row in rows] == [
        ("Ada King", "123", "Moodle", False, "a.ipynb"),
        ("noether", "", "", False, "a02/a02.ipynb"),
        ("turingalan", "77", "Canvas", False, "a02.ipynb"),
        ("turingalan", "78", "Canvas", True, "a02-1.ipynb"),
    ]


def test_namesakes_and_second_versions_have_pages_of_their_own(there):
    make, opened = there
    names = [f"Li Wei_{n}_assignsubmission_file_/a02.ipynb" for n in (123457, 123499)]
    rows = collect(make(*names, "ada/a02.ipynb", "ada/a02 (1).ipynb", "Ada.ipynb"), opened)
    assert pages(rows) == ["Ada", "Li_Wei_123457-a02", "Li_Wei_123499-a02", "ada-a02_1", "ada-a02"]
    again = collect(make("x y/a.ipynb", "x_y/a.ipynb", folder="two"), opened)
    assert pages(again) == ["x_y-a", "x_y-a-2"]


def test_nothing_is_lost_in_silence(there):
    make, opened = there
    folder = make("text/a02.txt", "text/a02.py", "empty/", "lone.pdf", "both/a.ipynb", "both/u.py")
    zipped(folder / "zip" / "hw.zip", "sub/a02.ipynb", "notes.txt")
    (folder / "broken").mkdir()
    (folder / "broken" / "hw.zip").write_text("no zip")
    rows = {row.owner.student: row for row in collect(folder, opened)}
    assert rows["text"].problem == "no notebook, only a02.py, a02.txt"
    assert rows["empty"].problem == "an empty folder"
    assert rows["lone"].problem == "no notebook, only lone.pdf"
    assert "hw.zip (cannot be opened" in rows["broken"].problem
    assert rows["both"].beside == ("u.py",)
    assert rows["zip"].path.read_text() == "{}" and rows["zip"].file == "hw.zip/sub/a02.ipynb"


def test_an_export_is_taken_as_the_zip_that_it_is(there, tmp_path):
    _, opened = there
    names = ("Ada_1_assignsubmission_file_/a.ipynb", "Bo_2_assignsubmission_file_/b.ipynb")
    rows = collect(zipped(tmp_path / "export.zip", *names), opened)
    assert pages(rows) == ["Ada_1-a", "Bo_2-b"]
    wrapped = zipped(tmp_path / "by hand.zip", "class/ada/a.ipynb", "class/bo/", "__MACOSX/x.ipynb")
    rows = collect(wrapped, opened)
    assert [(row.page, row.problem) for row in rows] == [("ada-a", ""), ("bo", "an empty folder")]


def test_a_zip_writes_nowhere_else(there, tmp_path):
    _, opened = there
    path = zipped(tmp_path / "evil.zip", "../../out.ipynb", "/abs/out.ipynb", "c:\\out.ipynb")
    rows = collect(path, opened)
    assert len(rows) == 3 and all(row.path.parent == opened for row in rows)
    assert not list(tmp_path.parent.rglob("out.ipynb"))


def test_a_zip_that_unpacks_to_too_much_is_refused(there, tmp_path, monkeypatch):
    make, opened = there
    monkeypatch.setattr("handed_in.LARGEST", 10)
    folder = make("ada/")
    zipped(folder / "ada" / "bomb.zip", "a.ipynb", text="0" * 11)
    (row,) = collect(folder, opened)
    assert "bomb.zip (cannot be opened: unpacks to more than" in row.problem

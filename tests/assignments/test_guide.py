"""What the guide for instructors says is so: files, names, commands, the recipe for pytest."""

import re
import subprocess
import sys
import zipfile

import homework
import nbformat
import pytest
import yaml

pytest.importorskip("nbgrader")
import grade
import kit

GUIDE = (homework.FOLDER / "instructor.md").read_text("utf-8")
MAKEFILE = (homework.FOLDER.parents[1] / "Makefile").read_text("utf-8")


def block(language, first):
    (found,) = re.findall(rf"```{language}\n(# {re.escape(first)}\n.*?)```", GUIDE, re.S)
    return found


@pytest.mark.slow
def test_the_recipe_for_a_classroom_runs(tmp_path):
    """It passes what is right and tells what is wrong, whatever became of the checks."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_homework.py").write_text(block("python", "tests/test_homework.py"))
    theirs = homework.answer(softmax=homework.WRONG_SOFTMAX)
    homework.added(theirs, "%pip install attnlib", first=True)
    homework.named(theirs, "check_softmax").source = "print('all well')"
    file = f"{homework.NAME}.ipynb"
    nbformat.write(homework.released(), tmp_path / "tests" / file)
    nbformat.write(theirs, tmp_path / file)
    workflow = yaml.safe_load(block("yaml", ".github/workflows/check.yml"))
    command = workflow["jobs"]["check"]["steps"][-1]["run"].split()
    done = subprocess.run(
        [sys.executable, "-m", *command, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "Probably: exp of a large score overflows" in done.stdout


def test_the_guide_names_what_make_knows():
    recipe = MAKEFILE.split("\ngrade:")[1].split("\n\n")[0]
    for line in re.findall(r"make grade [^\n`]+", GUIDE):
        for variable in re.findall(r"([A-Z]+)=", line):
            assert f"$({variable})" in recipe, line
    for target in re.findall(r"`make ([a-z-]+)", GUIDE):
        assert f"\n{target}:" in MAKEFILE


def test_the_zip_for_colleagues_has_all_that_the_guide_names(tmp_path):
    path = tmp_path / "instructor.zip"
    kit.write_instructor(path, seed=3)
    names = set(zipfile.ZipFile(path).namelist())
    assert {"grade.py", "in_kernel.py", "instructor.md", "Dockerfile"} <= names
    for name in kit.sources():
        assert {f"source/{name}/{name}.ipynb", f"release/{name}/{name}.ipynb"} <= names


def test_the_dockerfile_copies_what_is_there():
    text = (homework.FOLDER / "Dockerfile").read_text("utf-8")
    for line in re.findall(r"^COPY (.+) \S+$", text, re.M):
        for each in line.split():
            assert (homework.FOLDER.parents[1] / each).exists(), each
    assert grade.__name__ in re.search(r"ENTRYPOINT (.+)", text)[1]

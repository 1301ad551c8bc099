"""The repository's frame: one address, one list of pins, and ranges that leave torch alone."""

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import attnlib

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FORK = "https://github.com/someone/a-fork"


def load_tool(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "_tools" / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


repo = load_tool("repo")


@pytest.fixture
def clone(tmp_path):
    """A copy of the files that name the repository, in a git repository of its own."""
    names = ["_config.yml", "CITATION.cff", "README.md", "pyproject.toml"]
    for name in names:
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", *names], cwd=tmp_path, check=True)
    return tmp_path


def test_a_fork_changes_every_address(clone):
    owner, name = repo.parts(CONFIG["repository"]["url"])
    changed = repo.change(clone, FORK + ".git")
    assert {"_config.yml", "CITATION.cff", "README.md"} <= set(changed)
    for path in clone.iterdir():
        if path.is_file():
            text = path.read_text("utf-8")
            assert f"{owner}/{name}" not in text and f"{owner}.github.io" not in text, path.name
    assert yaml.safe_load((clone / "_config.yml").read_text())["repository"]["url"] == FORK
    assert repo.change(clone, FORK) == []


@pytest.mark.parametrize("address", ["", "github.com/a/b", "https://example.org/a/b", "a/b"])
def test_an_address_that_is_none_is_refused(clone, address):
    with pytest.raises(ValueError, match=r"not like https://github\.com/owner/name"):
        repo.change(clone, address)


def test_installing_attnlib_leaves_torch_alone():
    """Every dependency is a lower bound, and the pins lie within it."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pins = dict(re.findall(r"^([\w-]+)==([\d.a-z]+)$", text, re.M))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(pins) == len(lines), "every requirement is pinned exactly, once"
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
        pinned, lowest = ([int(x) for x in re.findall(r"\d+", v)] for v in (pins[name], bound))
        assert pinned >= lowest, f"{name}=={pins[name]} is older than {requirement}"


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == attnlib.__version__
    assert citation["repository-code"] == CONFIG["repository"]["url"]


def test_workflows_run_only_what_the_makefile_has():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    for target in re.findall(r"\bmake ([a-z-]+)", line):
                        assert target in targets, f"{path.name}: make {target}"

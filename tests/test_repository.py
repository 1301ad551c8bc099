"""The repository's frame: one address, one list of pins, and ranges that leave torch alone."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
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


# --- what the package says of itself

LICENCES = ROOT / "attnlib" / "weights" / "LICENSE.md"
ENCODER = "efficientnet-lite0"  # no model of its own: others see with it
FOLDERS = sorted(path.parent.name for path in LICENCES.parent.glob("*/card.json"))


def licence_rows() -> dict[str, tuple[str, str]]:
    """The models of the table of licences, each with its identifier and the words for it."""
    rows = re.findall(
        r"^\| `([\w-]+)` \| `([\w.-]+)` \| (.+) \|$", LICENCES.read_text("utf-8"), re.M
    )
    return {model: (identifier, words) for model, identifier, words in rows}


def test_every_model_has_its_licence():
    assert sorted(licence_rows()) == sorted([*FOLDERS, ENCODER])


@pytest.mark.parametrize("model", FOLDERS)
def test_the_licence_of_a_model_is_that_of_its_card(model):
    card = json.loads((LICENCES.parent / model / "card.json").read_text("utf-8"))
    assert licence_rows()[model][1] == card["licence"]


def test_the_metadata_names_every_licence_and_no_other():
    named = set(PROJECT["license"].split(" AND "))
    assert named == {"MIT", "CC-BY-4.0"} | {identifier for identifier, _ in licence_rows().values()}
    for identifier in named:
        if identifier.startswith("LicenseRef-"):
            assert f"**{identifier}**" in LICENCES.read_text("utf-8"), f"{identifier}: which terms?"
    own = ["LICENSE", "attnlib/weights/LICENSE.md", f"attnlib/weights/{ENCODER}/LICENSE"]
    assert PROJECT["license-files"] == own
    assert not [each for each in PROJECT["classifiers"] if each.startswith("License")]


def test_the_metadata_leads_to_the_repository():
    urls = PROJECT["urls"]
    assert urls["Repository"] == CONFIG["repository"]["url"]
    owner, name = repo.parts(CONFIG["repository"]["url"])
    for address in urls.values():
        assert address.startswith((urls["Repository"], f"https://{owner}.github.io/{name}/"))


def test_the_readme_can_be_read_anywhere():
    """A package index shows it too, where a path leads nowhere; what it links to is here."""
    owner, name = repo.parts(CONFIG["repository"]["url"])
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links and all(link.startswith("https://") for link in links)
    here = rf"https://(?:raw\.githubusercontent|github)\.com/{owner}/{name}/(?:blob/)?main/(.+)"
    paths = [match[1] for link in links if (match := re.fullmatch(here, link))]
    assert len(paths) >= 2 and all((ROOT / path).is_file() for path in paths)


def test_the_changelog_tells_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[([\w.]+)\]", text, re.M)
    assert versions[:2] == ["Unreleased", attnlib.__version__]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert f"## [{attnlib.__version__}] - {citation['date-released']}\n" in text
    assert set(versions) == set(re.findall(r"^\[([\w.]+)\]: https://", text, re.M))


def test_the_package_is_a_command(tmp_path):
    command = [sys.executable, "-m", "attnlib", "--version"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"attnlib {attnlib.__version__}"


def test_what_is_pinned_by_tag_is_pinned():
    """Every action of every workflow has a version."""
    uses = [
        step["uses"]
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert uses and not [
        use for use in uses if not re.fullmatch(r"[\w./-]+@(v\d+|[0-9a-f]{40})", use)
    ]

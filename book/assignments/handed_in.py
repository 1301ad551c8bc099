"""Find what a class handed in, whose it is, and what is no notebook: nothing is left out.

A class is a folder, or the zip that Moodle or Canvas export. Each folder or file in it belongs to a
student; zips in it are opened. Moodle and Canvas write a number into the names, which keeps
namesakes apart, and Canvas says what came late.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MOODLE = re.compile(r"(?P<student>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)")
CANVAS = re.compile(r"(?P<student>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_(?P<rest>.+)")
LARGEST = 500 * 2**20  # bytes that a zip may unpack to
BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError)


class Owner(NamedTuple):
    """A student: the name, and where the platform gives one, the number that goes with it."""

    student: str
    id: str = ""
    platform: str = ""


class Handed(NamedTuple):
    """A notebook that was handed in, or why there is none."""

    owner: Owner
    page: str  # the name of its page of feedback, which no other has
    file: str  # what the student called it
    path: Path | None
    late: bool = False
    problem: str = ""
    beside: tuple[str, ...] = ()  # what else came with it


class Found(NamedTuple):
    """A file below the class's folder; without a path it is known by its name only."""

    parts: tuple[str, ...]
    path: Path | None
    problem: str = ""


def collect(handed_in: Path, opened: Path) -> list[Handed]:
    """All that a class handed in.

    Parameters
    ----------
    handed_in : Path
        A folder, or a zip.
    opened : Path
        An empty folder, for what is in zips.

    Returns
    -------
    list of Handed
        One for each notebook, and one for each student who handed in none.
    """
    numbers = count()
    found = list(_below(handed_in, (), opened, numbers, depth=0))
    if handed_in.is_file():
        found = _unwrapped(found)
    groups: dict[Owner, list[tuple[Found, str, bool]]] = {}
    for each in found:
        owner, rest, late = whose(each.parts)
        groups.setdefault(owner, []).append((each, rest, late))
    rows: list[Handed] = []
    taken: set[str] = set()
    for owner in sorted(groups):
        for row in _of_one(owner, groups[owner]):
            page = next(p for p in _names(row.page) if p.casefold() not in taken)
            taken.add(page.casefold())
            rows.append(row._replace(page=page))
    return rows


def _of_one(owner: Owner, group: list[tuple[Found, str, bool]]) -> Iterator[Handed]:
    """What one student handed in."""
    stem = _slug(f"{owner.student} {owner.id}".strip())
    notebooks = [each for each in group if _is_notebook(each[0])]
    others = [each for each in group if not _is_notebook(each[0])]
    names = tuple(rest + (f" ({f.problem})" if f.problem else "") for f, rest, _ in others if rest)
    for found, rest, late in notebooks:
        inner = _slug(re.sub(r"\.ipynb$", "", rest, flags=re.I))
        page = "-".join(filter(None, [stem, inner if inner != stem else ""]))
        yield Handed(owner, page, rest, found.path, late, beside=names)
    if not notebooks:
        what = f"no notebook, only {', '.join(names[:5])}" if names else "an empty folder"
        late = any(late for *_, late in others)
        yield Handed(owner, stem, "", None, late, problem=what)


def whose(parts: tuple[str, ...]) -> tuple[Owner, str, bool]:
    """Whose a file is, by its name below the class's folder; what they called it; was it late?"""
    first, inner = parts[0].strip(), "/".join(parts[1:]) if parts[-1] else ""
    alone = len(parts) == 1
    if moodle := MOODLE.match(first):
        rest = inner or moodle["rest"]
        return Owner(moodle["student"].strip(), moodle["id"], "Moodle"), rest, False
    if alone and (canvas := CANVAS.match(first)):
        owner = Owner(canvas["student"], canvas["id"], "Canvas")
        return owner, canvas["rest"], bool(canvas["late"])
    if alone:  # a file for each student
        return Owner(re.sub(r"\.\w+$", "", first)), first, False
    return Owner(first), inner, False


def _below(
    place: Path, parts: tuple[str, ...], opened: Path, numbers, depth: int
) -> Iterator[Found]:
    """What lies in a folder or a zip."""
    if place.is_dir():
        for path in sorted(place.iterdir()):
            here = (*parts, path.name)
            if _is_dust(path.name):
                continue
            if path.is_dir():
                inner = list(_below(path, here, opened, numbers, depth))
                yield from inner or [Found((*here, ""), None)]
            else:
                yield from _opened(Found(here, path), opened, numbers, depth)
        return
    with zipfile.ZipFile(place) as archive:
        wanted = [m for m in archive.infolist() if not m.is_dir() and _is_wanted(m.filename)]
        if sum(member.file_size for member in wanted) > LARGEST:
            raise zipfile.BadZipFile(f"unpacks to more than {LARGEST >> 20} MB")
        for member in archive.infolist():
            # The names in a zip only say whose a file is; no file is ever written under them.
            names = PurePosixPath(member.filename.replace("\\", "/")).parts
            names = tuple(name for name in names if name not in ("/", "..", "."))
            if not names or any(map(_is_dust, names)):
                continue
            if member.is_dir():
                yield Found((*parts, *names, ""), None)
            elif not _is_wanted(member.filename):
                yield Found((*parts, *names), None)
            else:
                copy = opened / f"{next(numbers)}{Path(names[-1]).suffix.lower()}"
                copy.write_bytes(archive.read(member))
                yield from _opened(Found((*parts, *names), copy), opened, numbers, depth)


def _opened(found: Found, opened: Path, numbers, depth: int) -> list[Found]:
    """The file itself, or what is in it if it is a zip."""
    if found.path is None or found.path.suffix.lower() != ".zip":
        return [found]
    if depth > 2:
        return [found._replace(path=None, problem="a zip in a zip in a zip")]
    try:
        inner = list(_below(found.path, found.parts, opened, numbers, depth + 1))
    except BROKEN as error:
        return [found._replace(path=None, problem=f"cannot be opened: {error}")]
    return inner or [found._replace(path=None, problem="an empty zip")]


def _unwrapped(found: list[Found]) -> list[Found]:
    """Without the folder around all the students, which a class that was zipped by hand has."""
    first = {each.parts[0] for each in found}
    inner = {each.parts[1] for each in found if len(each.parts) > 1 and each.parts[1]}
    if len(first) != 1 or len(inner) < 2 or MOODLE.match(first.pop()):
        return found
    return [each._replace(parts=each.parts[1:]) for each in found if any(each.parts[1:])]


def _is_notebook(found: Found) -> bool:
    """Say whether a file is meant as a notebook: some browsers save `a.ipynb` as `a.ipynb.txt`."""
    return found.path is not None and ".ipynb" in found.parts[-1].lower()


def _is_wanted(name: str) -> bool:
    return ".ipynb" in name.lower() or name.lower().endswith(".zip")


def _is_dust(name: str) -> bool:
    """Say whether a file is none of the student's: hidden, or of an archive program."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini", "__pycache__")


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).strip("._")[:100] or "nameless"


def _names(page: str) -> Iterator[str]:
    yield page
    for number in count(2):
        yield f"{page}-{number}"

"""How every results file is written: the command, the machine, the day, then what was found.

A checksum of what was found stands beside them, so that a number that somebody changed by hand, or
that a merge of two versions left behind, does not pass for a measured one.
"""

import argparse
import datetime
import hashlib
import json
import os
from pathlib import Path

import torch

from attnlib.training.environment import hardware


def record(
    path: Path,
    command: str,
    content: dict,
    device: str = "cpu",
    one_a_line: str | None = None,
    grows: bool = False,
) -> None:
    """Write what was found, whole or not at all: a long sweep writes its file after each run.

    Parameters
    ----------
    path : Path
        The results file.
    command : str
        What makes the file again, typed at the root of the repository.
    content : dict
        What was found; what it may say of an earlier command, machine or day is replaced.
    device : str
        Where it was measured: "cpu", or "cuda".
    one_a_line : str, optional
        The name of a list in `content` whose entries are written one a line.
    grows : bool
        Whether the command adds to the file: what was found on other machines stays, and so do
        their names.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "found.json"
    ...     record(path, "python found.py", {"date": "long ago", "rows": [[1], [2]]})
    ...     list(json.loads(path.read_text(encoding="utf-8")))
    ['command', 'hardware', 'date', 'digest', 'rows']
    """
    about = {
        "command": command,
        "hardware": "; ".join(_machines(path, hardware(device)) if grows else [hardware(device)]),
        "date": datetime.date.today().isoformat(),
    }
    found = {name: value for name, value in content.items() if name not in (*about, "digest")}
    whole = about | {"digest": digest(found)} | found
    rows = whole[one_a_line] if one_a_line else []
    if one_a_line:
        whole[one_a_line] = MARK = "THE ROWS"
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    if one_a_line:
        lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
        text = text.replace(json.dumps(MARK), f"[\n{lines}\n ]")
    part = path.with_name(path.name + ".part")
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, path)


def begin(doc: str, path: Path, nothing: dict) -> tuple[argparse.Namespace, dict]:
    """Begin a script that trains seed after seed, on one thread, and goes on where it stopped.

    Parameters
    ----------
    doc : str
        The script's docstring; its first line is printed by ``--help``.
    path : Path
        The results file, unless ``--out`` names another.
    nothing : dict
        What a file without results would hold.

    Returns
    -------
    options : argparse.Namespace
        With ``seeds`` and ``out``.
    results : dict
        What the file holds already.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, default=path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    return options, json.loads(options.out.read_text("utf-8")) if options.out.exists() else nothing


def _machines(path: Path, here: str) -> list[str]:
    """The machines that the file names, and this one."""
    known = json.loads(path.read_text("utf-8"))["hardware"].split("; ") if path.exists() else []
    return [*known, *([] if here in known else [here])]


def digest(found: dict) -> str:
    """The sha256 of what was found, whatever the order of its names; the rest has no part in it."""
    found = {k: v for k, v in found.items() if k not in ("command", "hardware", "date", "digest")}
    text = json.dumps(found, sort_keys=True, ensure_ascii=False)
    again = json.dumps(
        json.loads(text), sort_keys=True, ensure_ascii=False
    )  # keys as JSON has them
    return hashlib.sha256(again.encode("utf-8")).hexdigest()

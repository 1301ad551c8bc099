"""Change the repository's address everywhere, for a fork: `make repo URL=https://github.com/you/it`.

The address stands in `_config.yml`. What must name it too (the README's links and badges, the
citation file, the Colab set-up) is rewritten from there: the address itself, `owner/name` within
links, and the address of the book's pages, `owner.github.io/name`.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


def parts(address: str) -> tuple[str, str]:
    """Return owner and name of a repository's address."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"not like https://github.com/owner/name: {address}")
    return match[1], match[2]


def rewrite(text: str, old: str, new: str) -> str:
    """Return the text with every form of one repository's address replaced by the other's.

    >>> badge = "colab.research.google.com/github/a/b/blob/colab, https://a.github.io/b/, a/bc"
    >>> rewrite(badge, "https://github.com/a/b", "https://github.com/you/fork")
    'colab.research.google.com/github/you/fork/blob/colab, https://you.github.io/fork/, a/bc'
    """
    (owner, name), (new_owner, new_name) = parts(old), parts(new)
    end = r"(?![\w-])"  # a/b, and not a/bc
    text = re.sub(rf"(?<=[/:]){re.escape(f'{owner}/{name}')}{end}", f"{new_owner}/{new_name}", text)
    pages = re.escape(f"{owner}.github.io/{name}")
    return re.sub(rf"(?<=/){pages}{end}", f"{new_owner}.github.io/{new_name}", text)


def change(root: Path, new: str) -> list[str]:
    """Rewrite every tracked text file under `root`; return the names of those changed."""
    old = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]
    new = "https://github.com/" + "/".join(parts(new))
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True
    )
    changed = []
    for name in filter(None, listed.stdout.split("\0")):
        path = root / name
        try:
            before = path.read_bytes().decode("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        after = rewrite(before, old, new)
        if after != before:
            path.write_bytes(after.encode("utf-8"))
            changed.append(name)
    return changed


if __name__ == "__main__":
    try:
        names = change(ROOT, sys.argv[1])
    except ValueError as error:
        sys.exit(f"make repo: {error}")
    print("\n".join(f"changed {name}" for name in names) or "nothing to change")

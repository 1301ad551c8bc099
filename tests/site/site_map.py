"""What the site should consist of, from the table of contents."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
DESKTOP, PHONE = (1280, 900), (390, 844)


def toc_files(toc: dict) -> list[str]:
    """Return the files of a table of contents, in order, without their endings."""
    own = [toc[key] for key in ("root", "file") if key in toc]
    children = [child for key in ("parts", "chapters", "sections") for child in toc.get(key, [])]
    return own + [name for child in children for name in toc_files(child)]


FILES = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))
PAGES = [f"{name}.html" for name in FILES]
CHAPTERS = [name for name in FILES if (ROOT / f"{name}.ipynb").exists()]

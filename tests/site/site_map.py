"""What the site should consist of, from the table of contents, and how it is looked at."""

import fnmatch
import pkgutil
from pathlib import Path

import yaml

import attnlib

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
DESKTOP, PHONE = (1280, 900), (390, 844)
LOOKS = {  # a page is opened as a phone shows it by day, and then turned
    "phone": (PHONE, "light"),
    "phone, dark": (PHONE, "dark"),
    "wide": (DESKTOP, "light"),
    "wide, dark": (DESKTOP, "dark"),
}

# The modules with a page of the API: all but the figures' and the assignments', which stand on one
# page each, and private ones.
API = "book/appendix/api"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(attnlib.__path__, "attnlib.")
    if "._" not in module.name
    and not module.name.startswith(("attnlib.checks.", "attnlib.explore."))
)
GENERATED = [f"{API}/{name}" for name in MODULES]


def toc_files(toc: dict) -> list[str]:
    """Return the files of a table of contents, in order, without their endings."""
    own = [toc[key] for key in ("root", "file") if key in toc]
    own += fnmatch.filter(GENERATED, toc.get("glob", ""))
    children = [child for key in ("parts", "chapters", "sections") for child in toc.get(key, [])]
    return own + [name for child in children for name in toc_files(child)]


FILES = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))
PAGES = [f"{name}.html" for name in FILES]
CHAPTERS = [name for name in FILES if (ROOT / f"{name}.ipynb").exists()]

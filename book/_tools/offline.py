"""Pack the built site as a zip that works from a folder, without a network: `make offline`.

`index.html` in its one folder leads to the book. What only a server or a search engine asks for is
left out. The same site gives the same bytes.
"""

import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "learning-to-attend"
SITE, ZIP = ROOT / "_build" / "html", ROOT / "_build" / "offline.zip"
LEFT_OUT = {".buildinfo", "404.html", "objects.inv", "robots.txt", "searchindex.js", "sitemap.xml"}
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
PACKED = {".gz", ".jpg", ".png", ".woff2", ".zip"}  # nothing is gained by packing it again


def check_built(site: Path) -> None:
    """Raise FileNotFoundError if a site is not built."""
    if not (site / "index.html").exists():
        raise FileNotFoundError(f"there is no site in {site}: run make book first")


def pack(site: Path = SITE, target: Path = ZIP) -> list[str]:
    """Write the zip; return the names in it."""
    check_built(site)
    paths = [path for path in sorted(site.rglob("*")) if path.is_file()]
    names = []
    with zipfile.ZipFile(target, "w") as file:
        for path in paths:
            name = path.relative_to(site).as_posix()
            if name in LEFT_OUT or path.name == target.name:
                continue
            names.append(f"{NAME}/{name}")
            entry = zipfile.ZipInfo(names[-1], FIRST_DATE)
            entry.external_attr = 0o644 << 16
            packed = path.suffix in PACKED
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            file.writestr(entry, path.read_bytes())
    return names


if __name__ == "__main__":
    count = len(pack())
    print(f"{ZIP}: {count} files, {ZIP.stat().st_size / 1e6:.1f} MB; open {NAME}/index.html")

"""What the extensions share that write files of their own for the pages to load."""

from collections.abc import Mapping
from pathlib import Path


def add_static(app, config, name: str, texts: Mapping[str, str]) -> None:
    """Write files where Sphinx finds them and Jupyter Book no longer looks for scripts.

    Connect to `config-inited`: the files of each `name` have a folder of their own.
    """
    folder = Path(app.doctreedir).parent / name
    for file, text in texts.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    config.html_static_path.append(str(folder))

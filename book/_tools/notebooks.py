"""Execute the chapters in a fixed environment and store normalised outputs.

    python book/_tools/notebooks.py                          every chapter of book/
    python book/_tools/notebooks.py book/02_by_hand.ipynb    one of them
    python book/_tools/notebooks.py --check                  compare, write nothing

The committed ``.ipynb`` is the only source of a chapter. To edit one as text, turn it into a
MyST text notebook and back (the text file is not committed):

    jupytext --to md:myst --output chapter.md book/02_by_hand.ipynb
    jupytext --to ipynb --output book/02_by_hand.ipynb chapter.md
    python book/_tools/notebooks.py book/02_by_hand.ipynb

What is stored depends only on the cells: one thread, a fixed hash seed, no user settings, no
timing, no widget state, no memory addresses, and cell ids that follow from the cells' text. So a
second run writes the same bytes, whichever editor or converter the notebook came from. ``--check``
demands the same bytes too, save for what another processor may round in its own way: ``compare.py``
says what that is.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from compare import settle
from nbclient import NotebookClient
from PIL import Image, ImageChops

BOOK = Path(__file__).resolve().parents[1]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
IGNORED = "nbval-ignore-output"  # the tag of a cell whose outputs are not compared
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # the number of threads changes torch's last bits
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "COLUMNS": "100",
    "MATPLOTLIBRC": str(BOOK),  # book/matplotlibrc: how plots look
}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SPARED = 0.97  # of the bytes; or zlib's next version would write all pictures anew
ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-f]+")


def chapters() -> list[Path]:
    """Return the chapters in order: book/NN_name.ipynb, and second pages, book/NNb_name.ipynb."""
    return sorted(BOOK.glob("[0-9][0-9]*_*.ipynb"))


def cell_id(source: str, taken: set[str]) -> str:
    """Return an id that follows from a cell's text; a repeated cell gets a number behind it."""
    first = hashlib.sha256(source.encode()).hexdigest()[:12]
    name, count = first, 1
    while name in taken:
        count += 1
        name = f"{first}-{count}"
    taken.add(name)
    return name


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop from an executed notebook what differs from run to run; returns the same notebook."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    taken: set[str] = set()
    for cell in notebook.cells:
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").split("\n"))
        cell.id = cell_id(cell.cell_type + cell.source, taken)
        for name in ("execution", "collapsed", "scrolled", "jupyter", "colab", "outputId"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = [normalise_output(output) for output in joined(cell.outputs)]
    return notebook


def joined(outputs: list) -> list:
    """Join neighbouring pieces of one stream: how a kernel cuts them up is chance."""
    whole: list = []
    for output in outputs:
        last = whole[-1] if whole else None
        if last is not None and output.get("name", "") == last.get("name"):  # streams have names
            last.text += output.text
        else:
            whole.append(nbformat.from_dict(output))  # a copy: the outputs stay as they are
    return whole


def normalise_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep the page's twin of a widget, not its view; drop addresses; pack pictures tightly."""
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = packed(data["image/png"])
    if "text/html" in data:
        data.pop(WIDGET_VIEW, None)
    if "text/plain" in data:
        data["text/plain"] = ADDRESS.sub("", data["text/plain"])
    return output


def packed(picture: str) -> str:
    """A base64 PNG with the same pixels in fewer bytes; as it was where that spares next to none.

    A picture without transparency needs no such channel, one of at most 256 colours only a palette.
    """
    before = base64.b64decode(picture)
    with Image.open(io.BytesIO(before)) as image:
        about = {"dpi": image.info["dpi"]} if "dpi" in image.info else {}
        pixels = image.convert("RGBA")
    small = pixels if pixels.getextrema()[3] != (255, 255) else pixels.convert("RGB")
    if small.mode == "RGB" and small.getcolors(256):
        indexed = small.quantize(256, dither=Image.Dither.NONE)
        if ImageChops.difference(indexed.convert("RGB"), small).getbbox() is None:
            small = indexed
    small.save(buffer := io.BytesIO(), "png", optimize=True, **about)
    after = buffer.getvalue()
    if len(after) > SPARED * len(before):
        return picture
    return base64.b64encode(after).decode() + "\n" * picture.endswith("\n")


def execute(notebook: nbformat.NotebookNode, folder: Path, timeout: int = 600) -> None:
    """Run every cell in place, in `folder`, with nobody's own IPython settings."""
    before = {name: os.environ.get(name) for name in (*ENVIRONMENT, "IPYTHONDIR")}
    with tempfile.TemporaryDirectory() as settings:
        os.environ.update(ENVIRONMENT, IPYTHONDIR=settings)
        try:
            NotebookClient(
                notebook,
                kernel_name="python3",
                timeout=timeout,
                extra_arguments=["--log-level=ERROR"],
                record_timing=False,
                store_widget_state=False,
                resources={"metadata": {"path": str(folder)}},
            ).execute()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """Name each cell whose fresh source or outputs differ from the stored ones."""
    if len(stored.cells) != len(fresh.cells):
        return [f"{len(stored.cells)} cells stored, {len(fresh.cells)} now"]
    found = []
    for number, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        if not same_cell(old, new):
            first = new.source.split("\n")[0][:60]
            found.append(f"cell {number} ({new.cell_type}): {first}")
    return found


def same_cell(old: nbformat.NotebookNode, new: nbformat.NotebookNode) -> bool:
    """Compare two cells; their outputs as `compare.settle` says."""
    old, new, tags = dict(old), dict(new), new.metadata.get("tags", [])
    outputs = old.pop("outputs", []), new.pop("outputs", [])
    return old == new and (IGNORED in tags or settle(*outputs, tags) == outputs[1])


def run(path: Path, check: bool = False) -> list[str]:
    """Execute the notebook at `path`; store it, or with `check` only say what differs."""
    stored_text = path.read_text("utf8")
    stored = nbformat.reads(stored_text, 4)
    fresh = nbformat.reads(stored_text, 4)
    execute(fresh, path.resolve().parent)
    normalise(fresh)
    text = nbformat.writes(fresh) + "\n"
    if text == stored_text:
        return []
    if not check:
        path.write_text(text, "utf8")
        return ["stored anew"]
    found = differences(stored, fresh)
    if not found and nbformat.writes(stored) + "\n" != stored_text:
        found = ["the file is not in normal form: run book/_tools/notebooks.py on it"]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every chapter")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if one differs")
    options = parser.parse_args(arguments)
    differing = 0
    for path in options.notebooks or chapters():
        start = time.perf_counter()
        found = run(path, options.check)
        differing += bool(found)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {'; '.join(found) or 'the same'}")
    return int(options.check and differing > 0)


if __name__ == "__main__":
    sys.exit(main())

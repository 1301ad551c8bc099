"""Sphinx extension: the live models' numbers, as scripts that a page fetches when asked to.

A script tag works where `fetch` does not, on pages opened from a folder; and a model in several
scripts can say how much of it has come.
"""

import base64
import json

from attn_files import add_static

from attnlib.explore.live.bundle import MODELS, PART, bundle


def scripts(name: str) -> dict[str, str]:
    """The scripts of a model, by the name of their file."""
    found = bundle(name)
    content = {
        f"{name}.about": json.dumps(found.about, ensure_ascii=False),
        f"subwords.{found.about['subwords']}": found.subwords,
    }
    for number, start in enumerate(range(0, len(found.weights), PART)):
        part = found.weights[start : start + PART]
        content[f"{name}.{number}"] = base64.b64encode(part).decode("ascii")
    return {
        f"{part}.js": f"attnLive.parts.set({json.dumps(part)}, "
        f"{json.dumps(text, ensure_ascii=False)});\n"
        for part, text in content.items()
    }


def write_scripts(app, config):
    texts = {f"live/{name}": text for model in MODELS for name, text in scripts(model).items()}
    add_static(app, config, "live", texts)


def setup(app):
    app.connect("config-inited", write_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

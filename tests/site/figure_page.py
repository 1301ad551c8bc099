"""What the tests of figures share: reading a page, turning it, and a notebook's model."""

import re
from types import SimpleNamespace

import numpy as np

from attnlib.explore import modules

SHOWN = {"rtol": 0, "atol": 0.0005 + 1e-9}  # three decimals on the page


def number(text: str) -> float:
    """A number as the page writes it, with a true minus sign."""
    return float(text.replace("−", "-"))


def number_at(page, selector: str) -> float:
    return number(page.locator(selector).text_content())


CELLS = "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"


def rows(page) -> np.ndarray:
    """The numbers of the table that is folded away."""
    texts = page.locator(".data tbody tr").evaluate_all(CELLS)
    return np.array([[number(text) for text in row] for row in texts])


def module(page, name: str):
    """A figure's module as a notebook loads it, for `page.evaluate` to call its functions."""
    load = """source => {
        const blob = new Blob([source], { type: "text/javascript" });
        return import(URL.createObjectURL(blob));
    }"""
    return page.evaluate_handle(load, modules()[name])


# Texts of a picture that reach out of it.
CUT = """(picture, texts) => {
    const box = picture.getBoundingClientRect();
    return [...picture.querySelectorAll(texts)].filter((text) => {
        const { left, right, bottom } = text.getBoundingClientRect();
        return left < box.left - 1 || right > box.right + 1 || bottom > box.bottom;
    }).map((text) => text.textContent);
}"""


def faults(page, looks, serious, texts: str = "") -> list[str]:
    """What is wrong with a page of figures, all folds open, in any of the looks.

    `looks` turns the page (`from_all_sides`), `texts` selects what must lie within its picture.
    """
    for fold in page.locator("summary:visible").all():
        fold.click()
    found = []
    for look, _ in looks:
        width, room = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        if width > room:
            found.append(f"{look}: {width} pixels of content in {room}")
        found += [f"{look}: {each}" for each in serious(page)]
        for picture in page.locator(".picture").all() if texts else ():
            cut = picture.evaluate(CUT, texts)
            found += [f"{look}: {text!r} reaches out of its picture" for text in cut]
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert page.locator(".attn").count(), "nothing was drawn"
    return found + [f"two elements with the id {each}" for each in set(ids) if ids.count(each) > 1]


NOTEBOOK = """async ([module, given, changes, shown, hand]) => {
    const handlers = {};
    const state = structuredClone(given);
    let saved = 0;
    const fire = (name) => (handlers[`change:${name}`] ?? []).forEach((handler) => handler());
    const model = {
        get: (name) => state[name],
        set: (name, value) => {
            state[name] = value;
            fire(name);
        },
        on: (event, handler) => (handlers[event] ??= []).push(handler),
        off: (event, handler) => {
            handlers[event] = handlers[event].filter((each) => each !== handler);
        },
        save_changes: () => (saved += 1),
    };
    const el = document.createElement("div");
    document.body.append(el);
    const leave = await module.default.render({ model, el });
    Object.assign(state, changes);
    Object.keys(changes).forEach(fire);
    const seen = new Function("el", `return ${shown}`)(el);
    new Function("el", `let e; ${hand}`)(el);
    leave();
    el.remove();
    return { shown: seen, state, saved, left: Object.values(handlers).flat().length };
}"""


def in_a_notebook(page, figure, changes: dict, shown: str, hand: str) -> SimpleNamespace:
    """Draw a figure with a model as anywidget's, let the kernel change it, then a hand.

    As in a notebook all values are set before the first event. `shown` is an expression and `hand`
    statements of JavaScript, on the figure's element `el`. Returns what was `shown` after the
    kernel's change; the `state` after the hand's; how often it was `saved`, that is sent; and how
    many handlers are `left` when the view has gone.
    """
    given = [module(page, figure.module), figure.state(), changes, shown, hand]
    return SimpleNamespace(**page.evaluate(NOTEBOOK, given))


def stored(notebook: dict, name: str) -> list[str]:
    """The states of a module's figures that a notebook stores, as JSON, in order."""
    html = "".join(
        "".join(output["data"].get("text/html", ""))
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "data" in output
    )
    return re.findall(rf'data-module="{name}"><script[^>]*>(.*?)</script>', html)

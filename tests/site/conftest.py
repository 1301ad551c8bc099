"""The built site in a real browser.

`open_page("book/intro.html")` gives a page of the built site, open in Chromium. Every request that
is not the site's own is refused, and what was refused, uncaught errors and console errors are kept
and fail the test at its end, so that a test of a figure need not look at them. `serious(page)`
lists what axe finds against accessibility.

Build the site first (`make book`, or `make check-site` for both). `draw(figure, ...)` draws figures
on a page of their own by the scripts that the book's pages carry, and needs no built site.
"""

import functools
import http.server
import importlib.util
import threading
from pathlib import Path

import chromium
import headless
import pytest
from site_map import DESKTOP, HTML, LOOKS, PAGES, PHONE, ROOT
from tabs import Tabs

browser = chromium.browser


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if not (HTML / PAGES[0]).exists():
        pytest.fail("the site is not built: run make book first", pytrace=False)
    return HTML


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def served(site):
    """The address of the built site, served on this machine."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def tabs(browser):
    return Tabs(browser)


@pytest.fixture
def open_page(tabs, site, served):
    """Open a page: `open_page(path, size=(width, height), scheme="light", over="http")`.

    `over="file"` opens it from its folder, as from a stick. Returns Playwright's page once it has
    loaded and its figures are drawn.
    """
    complaints, opened = [], []

    def open_one(path: str, size=DESKTOP, scheme="light", over="http"):
        home = served if over == "http" else site.as_uri()

        def judge(route):
            if route.request.url.startswith((home + "/", "blob:", "data:")):
                route.continue_()
            else:
                complaints.append(f"{path}: asks another site for {route.request.url}")
                route.abort()

        def answered(response):
            if response.status >= 400:
                complaints.append(f"{path}: {response.status} for {response.url}")

        def said(message):
            if message.type == "error":
                complaints.append(f"{path}: console: {message.text}")

        listeners = {
            "pageerror": lambda error: complaints.append(f"{path}: {error}"),
            "console": said,
            "response": answered,
        }
        page = tabs.take(size, scheme, listeners, judge)
        opened.append(page)
        page.goto(f"{home}/{path}", wait_until="load")
        page.evaluate(headless.SETTLED)
        return page

    yield open_one
    for page in opened:
        tabs.give_back(page)
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def from_all_sides():
    """Turn an open page to each of `LOOKS`; yields the name and the (size, scheme) of each.

    `phone` is another size of a phone than theirs.
    """

    def turn(page, phone=PHONE):
        for name, (size, scheme) in LOOKS.items():
            size = phone if size == PHONE else size
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.emulate_media(color_scheme=scheme)
            page.evaluate(STILL)
            yield name, (size, scheme)

    return turn


# Two frames have been drawn, and what was on its way, as a colour to another, has arrived: to wait
# for it takes longer than all else. What arrives may set its children on their way. What never
# ends goes on.
STILL = """async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const ends = (each) => each.effect.getComputedTiming().endTime !== Infinity;
    await frame();
    await frame();
    for (let round = 0; round < 9; round += 1) {
        const moving = document.getAnimations().filter(ends);
        if (!moving.length) break;
        moving.forEach((each) => each.finish());
        await frame();
    }
}"""


# A page of figures alone.
FIGURES = """<!doctype html><html lang="en"{theme}><head>
<meta charset="utf-8"><title>Figures</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body style="font-family: sans-serif"><main><h1>Figures</h1>{body}</main>
<script defer src="figures.js"></script></body></html>"""


@pytest.fixture(scope="session")
def script() -> str:
    """The scripts of the book's pages, as one, with every figure's file."""
    place = ROOT / "book" / "_ext" / "attn_figures.py"
    spec = importlib.util.spec_from_file_location("attn_figures", place)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return "".join(extension.scripts().values())


@pytest.fixture
def draw(tabs, script, tmp_path):
    """Draw figures on a page: `draw(figure, ..., size=, scheme=, theme=, touch=, allowed=)`.

    What the console says fails the test, but where it holds the words that are `allowed`.
    """
    complaints, opened = [], []
    (tmp_path / "figures.js").write_text(script, "utf-8")

    def on_a_page(*figures, size=DESKTOP, scheme="light", theme=None, touch=False, allowed=None):
        def said(message):
            if allowed is None or allowed not in message.text:
                complaints.append(message.text)

        def judge(route):
            if route.request.url.startswith((tmp_path.as_uri(), "blob:")):
                route.continue_()
            else:
                complaints.append(f"asks for {route.request.url}")
                route.abort()

        body = "".join(figure.to_html() for figure in figures)
        attribute = f' data-theme="{theme}"' if theme else ""
        (tmp_path / "page.html").write_text(FIGURES.format(body=body, theme=attribute), "utf-8")
        listeners = {"pageerror": lambda error: complaints.append(str(error)), "console": said}
        page = tabs.take(size, scheme, listeners, judge, touch)
        opened.append(page)
        page.goto((tmp_path / "page.html").as_uri())
        for which in range(len(figures)):
            page.locator("attn-fig[data-ready]").nth(which).wait_for()
        page.evaluate(STILL)  # it has learned its width, and has drawn itself anew
        return page

    yield on_a_page
    for page in opened:
        tabs.give_back(page)
    assert not complaints, "\n".join(complaints)


# Of what is in order one node a rule is enough: on a long page the rest takes most of the time.
# Preload would fetch the style sheets again and look for their imports in the wrong place.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}


# Of a box that has come to scroll the theme says so a little after the page has its new size.
LATE, DELAY = "scrollable-region-focusable", 600  # milliseconds; the theme's are 300


@pytest.fixture(scope="session")
def serious():
    """Return a function that lists axe's serious and critical findings on a page."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    def findings(page) -> list[str]:
        found = axe.run(page, options=OPTIONS).response["violations"]
        if any(each["id"] == LATE for each in found):
            page.wait_for_timeout(DELAY)
            found = axe.run(page, options=OPTIONS).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {each['help']}: "
            + "; ".join(str(node["target"]) for node in each["nodes"][:5])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    return findings

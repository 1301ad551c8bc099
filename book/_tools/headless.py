"""The Chromium that the tests and the tools open pages in."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAMS = "chromium", "chromium-browser", "google-chrome"
MISSING = "no Chromium here (Debian and Ubuntu: apt-get install chromium)"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Formulas are set, figures drawn (or have failed, which the console tells), fonts there.
SETTLED = """async () => {
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const end = Date.now() + 60_000;
    const wait = (what) => {
        if (Date.now() > end) throw new Error(`waited a minute for ${what}`);
        return sleep(20);
    };
    const figures = [...document.querySelectorAll('attn-fig')];
    while (figures.some((figure) => !figure.dataset.ready)) await wait("a figure");
    await document.fonts.ready;
}"""


@contextmanager
def chromium() -> Iterator:
    """Start Chromium, and close it at the end; FileNotFoundError where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise FileNotFoundError(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()

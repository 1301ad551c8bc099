"""How fast the models answer in a page: a sentence at a time, beside PyTorch on one thread."""

import base64
import statistics
import time
from pathlib import Path

import pytest
import torch

from attnlib.data.batches import pad
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import EOS
from attnlib.decoding import greedy
from attnlib.explore.figure import engine
from attnlib.explore.live.bundle import bundle, in_the_page

FIRST_PAGE = Path(__file__).parents[2] / "_build/html/book/intro.html"
TURNS = 12  # sentences, each by the one and then by the other
SET_UP = """([engine, about, weights]) => {
    const { KINDS, greedy, readTensors } = new Function(
        `${engine}; return { KINDS, greedy, readTensors };`
    )();
    const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    const model = new KINDS[about.kind](readTensors(bytes), about);
    globalThis.write = (ids) => {
        const before = performance.now();
        const { steps } = greedy(model, model.encode(ids), 2 * ids.length + 10);
        return [performance.now() - before, steps.length];
    };
}"""


@pytest.mark.benchmark
@pytest.mark.parametrize("name", ["en-fr-transformer", "en-fr-bahdanau", "en-fr-fixed"])
def test_a_page_translates_nearly_as_fast_as_pytorch(table, browser, name):
    found, packed = in_the_page(name), bundle(name)
    page = browser.new_page()
    weights = base64.b64encode(packed.weights).decode("ascii")
    page.evaluate(SET_UP, [engine(), packed.about, weights])
    ratios, waits = [], []
    for text in ["A dog runs."] * 3 + multi30k("test_2016_flickr").source[:TURNS]:
        ids = [*found.ids(text), EOS]
        source, lengths = pad([ids])
        before = time.perf_counter()
        best = greedy(found.model, source, lengths, 2 * len(ids) + 10)[0]
        theirs = 1000 * (time.perf_counter() - before)
        ours, steps = page.evaluate("ids => write(ids)", ids)
        assert steps == len(best.ids) + 1
        ratios.append(theirs / ours)
        waits.append(ours)
    page.close()
    ratio = statistics.median(ratios[3:])
    table.append(
        {
            "what": f"{name} in a page against PyTorch, greedy, sentences/s",
            "how": f"one sentence at a time, one thread, median of {TURNS}; "
            f"{statistics.median(waits[3:]):.0f} ms a sentence in Chromium",
            "ratio": round(ratio, 2),
        }
    )
    assert torch.get_num_threads() == 1
    assert statistics.median(waits[3:]) < 400 and ratio > 0.2


def held(browser) -> float:
    """Megabytes that the browser's pages hold: their own, and their shares of what is shared."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    kilobytes = 0
    for each in processes:
        if each["type"] == "renderer":
            lines = Path(f"/proc/{each['id']}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1000


@pytest.mark.benchmark
def test_what_a_page_with_models_holds(table, browser):
    if not FIRST_PAGE.exists() or not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("needs the built site (make book), on Linux")
    page = browser.new_page()
    page.goto(FIRST_PAGE.as_uri())
    page.wait_for_timeout(2000)
    before = held(browser)
    page.locator("attn-fig form button").first.click()
    page.wait_for_function(
        "!document.querySelector('attn-fig form button').textContent.includes('fetches')"
    )
    page.wait_for_timeout(3000)
    after = held(browser)
    page.close()
    table.append(
        {
            "what": "first page with its three models against without, memory",
            "ours": f"{after:.0f} MB held",
            "plain": f"{before:.0f} MB held",
            "ratio": round(after / before, 2),
        }
    )
    assert after < 600

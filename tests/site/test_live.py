"""The live models in a real browser: numbers like PyTorch's, and a figure that a reader asks.

Pages are opened from a folder, where the least works; no request leaves it.
"""

import base64
import importlib.util
import os

import numpy as np
import pytest
import torch
from site_map import PHONE, ROOT

from attnlib.data import cleaning
from attnlib.data.batches import pad
from attnlib.data.corpora import multi30k
from attnlib.data.scenes import Scenes
from attnlib.data.tokenizer import BOS, EOS
from attnlib.decoding import beam_search
from attnlib.explore import LiveTranslator, modules
from attnlib.explore.figure import engine
from attnlib.explore.live.bundle import MODELS, bundle, in_the_page
from attnlib.explore.live.stored import answers

COUNT = int(os.environ.get("LIVE_SENTENCES", "6"))  # book/results/live.py asks 200
TRANSLATORS = [name for name in MODELS if name.startswith("en-fr")]
CAPTIONERS = [name for name in MODELS if name.startswith("scenes")]
SENTENCES = ["A woman in a red shirt is sitting on a white horse.", "Two dogs run."]
NASTY = [
    "", " ", "\t\n", "\ufeffA dog.", "A\u00a0dog", "a\u0085b", "a\x1cb\x1fc",
    "<s> </s> <pad> <unk>", "▁▁", "a▁b", "\U0001f600\U0001f600 dogs \u2603",
    "e\u0301te\u0301 \u00e9t\u00e9", "\u05e9\u05dc\u05d5\u05dd", "it’s “so” – so…",
    "fi\u00adan\u00adce", "A \u200bdog\u2060.", "½ + ⅓ = ½⅓", "don't", "T-shirt,coat;hat",
    "a" * 300, "x\u0301\u0302\u0303y", "日本語 テスト", "no. 5 (five) [six] {7}",
    "\u2028a\u2029b", "a\u034fb\u180eb",
]  # fmt: skip

READ = """([engine, name, about, weights]) => {
    const names = "{ answer, beamSearch, greedy, Tokenizer, clean, readTensors, KINDS }";
    const parts = new Function(`${engine}; return ${names};`)();
    const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    const tokenizer = new parts.Tokenizer(about.tokenizer, about.size);
    const model = new parts.KINDS[about.kind](parts.readTensors(bytes), about);
    globalThis.live = { ...parts, about, tokenizer, model, name };
    parts.answer({ id: 0, task: "load", name, about, weights: bytes.buffer }, () => {});
}"""


@pytest.fixture(scope="module")
def live(browser):
    """`live(name)`: a page on which a model is loaded as `live`."""
    context = browser.new_context()
    opened = {}

    def on_a_page(name):
        if name not in opened:
            page = context.new_page()
            found = bundle(name)
            weights = base64.b64encode(found.weights).decode("ascii")
            page.evaluate(READ, [engine(), name, found.about, weights])
            opened[name] = page
        return opened[name]

    yield on_a_page
    context.close()


FORCED = """([source, written]) => {
    const memory = live.model.encode(source);
    let state = live.model.start(memory);
    const found = [[], []];
    for (const id of written) {
        const step = live.model.step(id, state, memory);
        found[0].push(step.logits);
        found[1].push(step.weights);
        state = step.state;
    }
    const packed = async (rows) => {
        const reader = new FileReader();
        reader.readAsDataURL(new Blob(rows));
        await new Promise((resolve) => { reader.onload = resolve; });
        return reader.result.split(",")[1];
    };
    return Promise.all(found.map(packed));
}"""
SEARCHED = """([source, limit, beam]) => {
    const memory = live.model.encode(source);
    const search = beam === 1 ? live.greedy : live.beamSearch;
    const { ids, score } = search(live.model, memory, limit, beam === 1 ? undefined : beam);
    return [ids, score];
}"""


def agree(page, model, source, lengths, given, limit):
    """Logits and weights of the greedy words, and the words of both searches."""
    for beam in (1, 5):
        best = beam_search(model, source, lengths, limit, beam=beam)[0][0]
        ids, score = page.evaluate(SEARCHED, [given, limit, beam])
        assert ids == best.ids
        assert score == pytest.approx(best.score, abs=1e-4)
        if beam == 1:
            written = [BOS, *ids]
    with torch.no_grad():
        logits, weights = model(source, lengths, torch.tensor([written]))
    for got, wanted in zip(page.evaluate(FORCED, [given, written]), (logits, weights), strict=True):
        got = np.frombuffer(base64.b64decode(got), np.float32).reshape(wanted.shape[1:])
        np.testing.assert_allclose(got, wanted[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_says_what_it_says_in_python(live, name):
    page, found = live(name), in_the_page(name)
    for text in multi30k("test_2016_flickr").source[:COUNT]:
        ids = [*found.ids(text), EOS]
        agree(page, found.model, *pad([ids]), ids, 2 * len(ids) + 10)


@pytest.mark.parametrize("name", CAPTIONERS)
def test_a_captioner_says_what_it_says_in_python(live, name):
    page, found = live(name), in_the_page(name)
    lengths = torch.tensor([found.grid[0] * found.grid[1]])
    for i in range(max(COUNT // 2, 1)):
        image = torch.from_numpy(Scenes("test").sample(i).image).permute(2, 0, 1) / 255
        agree(page, found.model, image[None], lengths, image.flatten().tolist(), 60)


def test_text_becomes_the_same_subwords(live):
    page, found = live("en-fr-transformer"), in_the_page("en-fr-transformer")
    texts = [*NASTY, *multi30k("val").source, *multi30k("val").target]
    shown = page.evaluate(
        """texts => texts.map((text) => live.tokenizer
            .encode(live.clean(text, live.about.signs)).map(({ id }) => id))""",
        texts,
    )
    for text, ids in zip(texts, shown, strict=True):
        assert ids == found.ids(text), text
    as_it_is = page.evaluate(
        "texts => texts.map((text) => live.tokenizer.encode(text).map(({ id }) => id))", NASTY
    )
    assert as_it_is == [found.tokenizer.encode(text) for text in NASTY]
    back = page.evaluate("lists => lists.map((ids) => live.tokenizer.decode(ids))", shown)
    assert back == [found.tokenizer.decode(ids) for ids in shown]


def test_every_character_is_cleaned_alike(live):
    """Of all of Unicode, but what is so new that only one of the two knows it."""
    page, signs = live("en-fr-transformer"), bundle("en-fr-transformer").about["signs"]
    shown = page.evaluate(
        """signs => Array.from({ length: 0x110000 }, (_, i) => i)
            .filter((i) => i < 0xd800 || i >= 0xe000)
            .map((i) => [i, live.clean(String.fromCodePoint(i), signs)])
            .filter(([i, text]) => text !== String.fromCodePoint(i))""",
        signs,
    )
    letters = (chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000)
    cleaned = {(ord(letter), cleaning.clean(letter, signs)) for letter in letters}
    changed = {(i, text) for i, text in cleaned if text != chr(i)}
    other = changed ^ {(i, text) for i, text in shown}
    assert len(other) < 20 and len(changed) > 4000, sorted(other)


def live_scripts():
    """The extension that writes the models' scripts."""
    place = ROOT / "book" / "_ext" / "attn_live.py"
    spec = importlib.util.spec_from_file_location("attn_live", place)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return extension


@pytest.fixture
def ask(draw, tmp_path):
    """`ask(figure)`: a page with the figure, its models beside it as the book has them."""
    extension = live_scripts()

    def on_a_page(figure, without="", **look):
        (tmp_path / "live").mkdir()
        for model in figure.files:
            for name, text in extension.scripts(model).items():
                if name != without:
                    (tmp_path / "live" / name).write_text(text, "utf-8")
        return draw(figure, **look)

    return on_a_page


def translator(*names, **chosen):
    names = names or ("en-fr-transformer",)
    return LiveTranslator(SENTENCES, {name: name.split("-")[2] for name in names}, **chosen)


def written(page) -> list[str]:
    """What the models wrote, once all have."""
    page.wait_for_function(
        "!document.querySelector('.busy') && !document.querySelector('button:disabled')"
    )
    return page.locator(".says").all_text_contents()


def test_a_sentence_of_ones_own(ask):
    """Typed before anything is fetched; then again, with the models there."""
    page = ask(translator("en-fr-transformer", "en-fr-fixed"), size=PHONE)
    megabytes = sum(len(bundle(f"en-fr-{kind}").weights) for kind in ("transformer", "fixed")) / 1e6
    assert page.locator("button").text_content() == f"Translate (fetches {megabytes:.1f} MB)"
    assert written(page)[0] == "Une femme en T-shirt rouge est assise sur un cheval blanc."
    for text in ("Three women with green bags walk.", "A boy."):
        page.locator("form input").fill(text)
        page.keyboard.press("Enter")
        page.wait_for_function("!document.querySelector('progress:not([hidden])')")
        wanted = [answers(f"en-fr-{kind}", [text])[0] for kind in ("transformer", "fixed")]
        page.wait_for_function(
            "text => [...document.querySelectorAll('.says')].at(-1).textContent === text",
            arg=wanted[1]["text"],
        )
        assert written(page) == [each["text"] for each in wanted]
        assert page.locator("button").text_content() == "Translate"
        likely = page.locator(".likely > span:nth-of-type(3n)").all_text_contents()
        stored = [100 * p for _, p in wanted[0]["steps"][0]["likely"]]
        assert [float(text) for text in likely] == pytest.approx(stored, abs=0.06)


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "There is no word in it."),
        ("\u200b \ufeff", "There is no word in it."),
        ("a " * 200, "This has 200 subwords, and 199 are the limit: split it into sentences."),
    ],
)
def test_what_cannot_be_translated_is_told_and_nothing_lost(ask, text, said):
    page = ask(translator())
    before = written(page)
    page.locator("form input").fill(text)
    page.locator("form button").click()
    page.locator(".trouble:visible").wait_for()
    assert page.locator(".trouble").text_content() == said
    assert written(page) == before


def test_unknown_characters_are_shown(ask):
    page = ask(translator())
    page.locator("form input").fill("A dog \u2603 runs <s>.")
    page.locator("form button").click()
    page.locator(".unknown").first.wait_for()
    assert page.locator(".unknown").all_text_contents() == ["\u2603", "<", ">"]
    source = page.locator(".words.source span").all_text_contents()
    assert source[:2] == ["A", "dog"] and "<s>" not in source


def test_a_model_that_does_not_arrive_can_be_asked_for_again(ask, tmp_path):
    name = "en-fr-transformer"
    page = ask(translator(), without=f"{name}.2.js", allowed="ERR_FILE_NOT_FOUND")
    page.locator("form button").click()
    page.locator(".trouble:visible").wait_for()
    assert "did not arrive" in page.locator(".trouble").text_content()
    for part, text in live_scripts().scripts(name).items():
        (tmp_path / "live" / part).write_text(text, "utf-8")
    page.locator("form input").fill("A dog runs.")
    page.locator("form button").click()
    page.wait_for_function("document.querySelector('.says').textContent === 'Un chien court.'")
    assert page.locator(".trouble:visible").count() == 0


def test_the_reader_who_types_on_is_answered_last(ask):
    page = ask(translator())
    page.locator("form button").click()
    for text in ("A dog.", "A dog runs.", "A dog runs and a girl jumps."):
        page.locator("form input").fill(text)
        page.keyboard.press("Enter")
    wanted = answers("en-fr-transformer", [text])[0]["text"]
    page.wait_for_function(
        "text => document.querySelector('.says').textContent === text", arg=wanted
    )
    assert written(page) == [wanted]


def test_a_notebook_gets_the_model_from_its_kernel(browser):
    """The module as a notebook loads it, and the figure in Python, with a message between them."""
    figure, sent = translator(), []
    figure.send = lambda content, buffers: sent.append((content, buffers))
    figure._send_model(figure, {"model": "en-fr-transformer"}, [])
    figure._send_model(figure, {"model": "../card"}, [])
    [(content, [weights])] = sent
    assert content["model"] == "en-fr-transformer" and weights == bundle(content["model"]).weights
    assert "attnLive" in modules()["live_translator"]

"""The live models in a real browser: numbers like PyTorch's, and a figure that a reader asks.

Pages are opened from a folder, where the least works; no request leaves it.
"""

import base64
import importlib.util
import json
import math
import os
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from figure_page import faults
from playwright.sync_api import expect
from site_map import PHONE, ROOT

from attnlib import storage
from attnlib.data import cleaning, scenes
from attnlib.data.batches import pad
from attnlib.data.corpora import multi30k
from attnlib.data.scenes import Scenes, put
from attnlib.data.tokenizer import BOS, EOS, Tokenizer
from attnlib.decoding import beam_search
from attnlib.explore import LiveAttention, LiveHeads, LiveScene, LiveTranslator, modules
from attnlib.explore.figure import engine, sources
from attnlib.explore.live.bundle import MODELS, bundle, in_the_page
from attnlib.explore.live.stored import answers, captions, without_one
from attnlib.settings import build

COUNT = int(os.environ.get("LIVE_SENTENCES", "2"))  # 200 by hand, and then all texts as subwords
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
            about = found.about | {"tokenizer": json.loads(found.subwords)}
            page.evaluate(READ, [engine(), name, about, weights])
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


def own(folder, architecture="translator", **settings):
    """An untrained model of one's own, as training would leave it."""
    tokenizer = Tokenizer.train(SENTENCES * 5, vocab_size=60)
    arguments = {"vocab_size": len(tokenizer), "width": 8, **settings}
    torch.manual_seed(1)
    model = build(architecture, arguments)
    for weight in model.parameters():
        weight.data *= 2  # words should differ
    card = {"name": "own", "languages": ["en", "fr"], "architecture": architecture}
    storage.save(folder / "model", model, tokenizer, {**card, "model": arguments})
    return str(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": 6},
        {"hidden": 6, "decoder_hidden": 10, "score_hidden": 5},
        {"hidden": 6, "score": None},
        {"architecture": "transformer", "layers": 2, "heads": 2, "feed_forward": 12},
    ],
)
def test_a_model_of_ones_own_says_what_it_says_in_python(live, tmp_path, settings):
    name = own(tmp_path, **settings)
    page, found = live(name), in_the_page(name)
    for text in SENTENCES:
        ids = [*found.ids(text), EOS]
        agree(page, found.model, *pad([ids]), ids, 2 * len(ids) + 10)
    assert LiveTranslator(SENTENCES, {name: "mine"}).table()[2][0][0] == "mine"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden": 6, "window": "monotonic"}, "its window is monotonic, wanted everywhere"),
        ({"hidden": 6, "score": "general"}, "its score is general, wanted additive or None"),
        ({"architecture": "transformer", "norm": "after"}, "its norm is after, wanted before"),
    ],
)
def test_what_no_page_computes_is_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=f"runs in no page: {message}"):
        bundle(own(tmp_path, **settings))
    with pytest.raises(ValueError, match="no model 'nowhere' runs in a page: one of en-fr"):
        bundle("nowhere")


@pytest.mark.parametrize("name", CAPTIONERS)
def test_a_captioner_says_what_it_says_in_python(live, name):
    page, found = live(name), in_the_page(name)
    lengths = torch.tensor([found.grid[0] * found.grid[1]])
    for i in range(max(COUNT // 2, 1)):
        image = torch.from_numpy(Scenes("test").sample(i).image).permute(2, 0, 1) / 255
        agree(page, found.model, image[None], lengths, image.flatten().tolist(), 60)


def test_text_becomes_the_same_subwords(live):
    page, found = live("en-fr-transformer"), in_the_page("en-fr-transformer")
    texts = list(NASTY)
    for split in ("train", "val", "test_2016_flickr") if COUNT > 100 else ("val",):
        texts += [*multi30k(split).source, *multi30k(split).target]
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
    """Of the planes that have signs, but what is so new that only one of the two knows it."""
    page, signs = live("en-fr-transformer"), bundle("en-fr-transformer").about["signs"]
    shown = page.evaluate(
        """signs => Array.from({ length: 0xf0000 }, (_, i) => i)
            .filter((i) => i < 0xd800 || (i >= 0xe000 && i < 0x20000) || i >= 0xe0000)
            .map((i) => [i, live.clean(String.fromCodePoint(i), signs)])
            .filter(([i, text]) => text !== String.fromCodePoint(i))""",
        signs,
    )
    letters = (chr(i) for i in [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xF0000)])
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


# ---------------------------------------------------------------- heads, weights, scenes

RUNNING = "Two young children are playing with a ball in front of an old church."


def test_heads_are_switched_off_as_in_python(ask):
    """One head was computed before; two, and a sentence of one's own, are asked of the model."""
    page = ask(LiveHeads([RUNNING]), size=PHONE)
    all_heads, without = page.locator("dd").nth(0), page.locator("dd").nth(1)
    own = answers("en-fr-transformer", [RUNNING])[0]["text"]
    assert all_heads.text_content() == own
    box = page.get_by_label("cross, block 4, head 3")
    box.click(force=True)
    stored = without_one("en-fr-transformer", RUNNING, ["cross 3 2", "decoder 0 0"])
    alone, lost = stored["cross 3 2"]
    assert without.text_content() == alone != own
    assert page.locator("dd").nth(2).text_content().startswith(f"{lost:.2f} bits: ")
    assert costs(page)["cross, block 4, head 3"] == pytest.approx(lost, abs=0.006)
    assert costs(page)["decoder, block 1, head 1"] == pytest.approx(
        stored["decoder 0 0"][1], abs=0.006
    )
    assert without.locator("b").all_text_contents() == ["un", "ballon", "un", "vieux"]
    page.get_by_label("block 1 of the encoder: all heads").click()
    assert "the model must be here" in without.text_content()
    page.locator("form button").click()
    page.wait_for_function("!document.querySelectorAll('dd')[1].textContent.includes('must be')")
    found = in_the_page("en-fr-transformer")
    with torch.no_grad():
        found.model.encoder.blocks[0].self_attention.W_O.weight.zero_()
        width = found.model.decoder.stack.width // 4
        cross = found.model.decoder.stack.blocks[3].cross_attention
        cross.W_O.weight[:, 2 * width : 3 * width] = 0
    wanted = found.translate([RUNNING], beam=1)[0].text
    page.wait_for_function(
        "text => document.querySelectorAll('dd')[1].textContent.startsWith(text)", arg=wanted
    )
    whole = in_the_page("en-fr-transformer")
    both = bits(whole, own, found.model) - bits(whole, own, whole.model)
    page.wait_for_function("document.querySelectorAll('dd')[2].textContent.includes('bits')")
    assert float(page.locator("dd").nth(2).text_content().split()[0]) == pytest.approx(
        both, abs=0.02
    )
    page.get_by_role("button", name="All heads on").click()
    assert page.locator(".head input:not(:checked)").count() == 0
    page.get_by_role("textbox").fill("A dog.")
    page.get_by_role("textbox").press("Enter")
    expect(all_heads).to_have_text(answers("en-fr-transformer", ["A dog."])[0]["text"])
    page.wait_for_function(
        "[...document.querySelectorAll('.head')].every((each) => / bits$/.test(each.title))"
    )
    wanted = without_one("en-fr-transformer", "A dog.", ["encoder 2 1", "cross 0 0"])
    assert costs(page)["encoder, block 3, head 2"] == pytest.approx(
        wanted["encoder 2 1"][1], abs=0.01
    )
    assert costs(page)["cross, block 1, head 1"] == pytest.approx(wanted["cross 0 0"][1], abs=0.01)


def costs(page) -> dict[str, float]:
    """What the figure says that the loss of each head costs, in bits, where it says so."""
    told = page.locator(".head").evaluate_all(
        "(all) => all.map((each) => [each.querySelector('input').ariaLabel, each.title])"
    )
    return {
        name: float(title.split(": ")[1].removesuffix(" bits"))
        for name, title in told
        if ":" in title
    }


def bits(found, translation: str, model) -> float:
    """How unlikely a model holds a translation of the running sentence, word after word."""
    ids, given = [*found.ids(RUNNING), EOS], [*found.tokenizer.encode(translation), EOS]
    with torch.no_grad():
        logits, _ = model(*pad([ids]), torch.tensor([[BOS, *given[:-1]]]))
    chances = logits[0].softmax(-1)
    return -sum(math.log2(chances[t, token]) for t, token in enumerate(given))


def chances(page) -> dict[str, tuple[float, float]]:
    """The next words, each with its chance as the model looks and as the reader does."""
    texts = page.locator(".words > span:not(.bars)").all_text_contents()
    pairs = zip(texts[::2], (text.replace("at most ", "").split(" → ") for text in texts[1::2]))
    return {word: (float(own), float(other)) for word, (own, other) in pairs}


def test_weights_in_the_readers_hands(ask, monkeypatch):
    text = "A woman in a red shirt is sitting on a white horse."
    page = ask(LiveAttention([text], word=12))
    assert chances(page)["blanc"] == pytest.approx((98.2, 98.2), abs=0.1)
    page.get_by_label("look at red alone").click()  # stored
    stored = chances(page)["rouge"][1]
    page.locator("form button").click()
    page.wait_for_function("!document.querySelector('form button').textContent.includes('fetches')")

    found = in_the_page("en-fr-bahdanau")
    model = found.model
    ids = [*found.ids(text), EOS]
    answer = answers("en-fr-bahdanau", [text])[0]

    def next_word(weights):
        """Chances by `seq2seq`'s own parts, with these weights (S,)."""
        with torch.no_grad():
            memory = model.encode(*pad([ids]))
            state, token = model.start(memory), BOS
            for step in answer["steps"][:12]:
                _, _, state = model.step(torch.tensor([token]), state, memory)
                token = step["id"]
            own = model.decoder.attend(state.hidden, memory, 12)[1][0]
            context = (weights(own)[:, None] * memory.annotations[0]).sum(0, keepdim=True)
            word = model.embedding(torch.tensor([token]))
            hidden = model.decoder.cell(torch.cat([word, context], -1), state.hidden)
            vector = model.decoder.attentional(torch.cat([hidden, context, word], -1))
            return model.output(vector).softmax(-1)[0]

    def agrees(weights):
        wanted = next_word(weights)
        best = found.tokenizer.tokens(wanted.topk(3).indices.tolist())
        for token, p in zip(best, wanted.topk(3).values.tolist()):
            assert chances(page)[token.strip("▁")][1] == pytest.approx(100 * p, abs=0.06)

    def sentence_from(weights):
        """The whole sentence if its thirteenth subword is chosen with these weights (S,)."""
        attend = model.decoder.attend

        def looked(hidden, memory, position):
            used = weights(attend(hidden, memory, position)[1][0])[None]
            return used @ memory.annotations[0], used

        tokens = [BOS, *(each["id"] for each in answer["steps"][:12])]
        with torch.no_grad():
            memory = model.encode(*pad([ids]))
            state = model.start(memory)
            for token in tokens[:-1]:
                _, _, state = model.step(torch.tensor([token]), state, memory)
            with monkeypatch.context() as patch:
                patch.setattr(model.decoder, "attend", looked)
                logits, _, state = model.step(torch.tensor(tokens[-1:]), state, memory)
            while (token := int(logits.argmax())) != EOS:
                tokens.append(token)
                logits, _, state = model.step(torch.tensor([token]), state, memory)
        return found.tokenizer.decode(tokens[1:])

    def goes_on_as(text):
        page.wait_for_function(
            "text => document.querySelector('.going').textContent.endsWith(': ' + text)", arg=text
        )

    only_red = torch.eye(len(ids))[4]
    assert stored == pytest.approx(100 * float(next_word(lambda _: only_red).max()), abs=0.06)
    goes_on_as(sentence_from(lambda _: only_red))
    assert page.locator(".going b").first.text_content() == "rouge."
    page.get_by_role("button", name="As the model looks").click()
    goes_on_as(answer["text"])
    page.get_by_label("forbid white").click()
    hidden = torch.ones(len(ids))
    hidden[10] = 0
    page.wait_for_function("!document.querySelector('.words .most').textContent.includes('blanc')")
    agrees(lambda own: own * hidden / (own * hidden).sum())
    goes_on_as(sentence_from(lambda own: own * hidden / (own * hidden).sum()))
    slider = page.get_by_label("weight on red")
    slider.focus()
    page.keyboard.press("End")  # all weight on red
    page.wait_for_function("document.querySelector('.words .most').textContent === 'rouge'")
    assert chances(page)["rouge"][1] == pytest.approx(stored, abs=0.06)
    page.locator("select[id$=wanted]").select_option("▁femme")
    assert "All weight on woman" in page.locator(".hint").last.text_content()


SHAPES = [put("a large red cross", 18, 22), put("a small striped blue ring", 46, 20)]


def test_scenes_are_drawn_as_in_python(browser):
    """To one level of a colour at a few pixels: backgrounds are stored in whole steps."""
    page = browser.new_page()
    things = [put("a small dotted purple star", 40, 44), put("a large white triangle", 30, 40)]
    turned = [replace(thing, angle=17.0) for thing in (*SHAPES, *things)]
    figure = LiveScene([turned], {"scenes-soft": "soft"}, seed=3)
    shown = page.evaluate(
        """async ([source, { things }, chance]) => {
            const blob = new Blob([source], { type: "text/javascript" });
            const { draw } = await import(URL.createObjectURL(blob));
            const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const background = new Uint16Array(bytes(chance.background).buffer);
            return [...draw(things, {
                background: Float32Array.from(background, (value) => value / 128),
                noise: new Int8Array(bytes(chance.noise).buffer),
                shades: chance.shades,
            })];
        }""",
        [sources()["scenes.mjs"], figure.scenes[0], figure.chance],
    )
    page.close()
    image = scenes.draw(turned, 3)[0].astype(int).flatten()
    off = np.abs(np.array(shown) - image)
    assert off.max() <= 1 and (off > 0).mean() < 0.02


def test_truth_is_told_as_in_python(browser):
    test, rng = Scenes("test", captions=3), random.Random(0)
    samples = [test.sample(i) for i in range(60)]
    said = [caption.text for sample in samples for caption in sample.captions]
    swaps = [("left", "right"), ("above", "below"), ("a small", "a large"), ("two", "three")]
    said += [text.replace(*pair) for text in said for pair in swaps]
    cases = [
        (text, sample.things)
        for sample in samples
        for text in [caption.text for caption in sample.captions] + rng.sample(said, 12)
    ]
    page = browser.new_page()
    shown = page.evaluate(
        """async ([source, cases]) => {
            const blob = new Blob([source], { type: "text/javascript" });
            const { faults } = await import(URL.createObjectURL(blob));
            return cases.map(([text, things]) => faults(text, things));
        }""",
        [sources()["scenes.mjs"], [[t, [asdict(thing) for thing in th]] for t, th in cases]],
    )
    page.close()
    for (text, things), wrong in zip(cases, shown, strict=True):
        verdict = test.grammar.check(text, things)
        assert verdict.true == (not wrong), (text, wrong, verdict.wrong)
        if "thing" in verdict.kinds:
            assert set(wrong) & set(verdict.wrong), (wrong, verdict.wrong)


def test_a_scene_is_captioned_as_it_is_arranged(ask):
    page = ask(LiveScene([SHAPES], {"scenes-soft": "soft", "scenes-hard": "hard"}))
    first = " ".join(page.locator(".caption button").all_text_contents())
    assert page.locator(".truth").text_content() == "True."
    page.locator(".handle").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".caption button").count() == 0  # nobody has looked at this scene
    page.locator("form button").click()
    page.locator(".caption button").first.wait_for()
    for _ in range(14):
        page.locator(".handle").first.press("ArrowRight")
    page.select_option("select[id$=colour]", "green")
    things = [replace(SHAPES[0], x=18 + 2 * 15, colour="green"), SHAPES[1]]
    wanted = captions("scenes-soft", [scenes.draw(things, 0)[0]])[0]["text"]
    page.wait_for_function(
        """text => [...document.querySelectorAll('.caption button')]
            .map((each) => each.textContent).join(' ') === text""",
        arg=wanted,
    )
    assert wanted != first
    verdict = Scenes("test").grammar.check(wanted, things)
    assert page.locator(".truth").text_content().startswith("True" if verdict.true else "False")
    page.get_by_role("button", name="Add a thing").click()
    assert page.locator(".handle").count() == 3


@pytest.mark.parametrize(
    "figure",
    [
        lambda: translator("en-fr-bahdanau", "en-fr-fixed", model="en-fr-fixed"),
        lambda: LiveHeads([RUNNING], off=["cross 3 2"]),
        lambda: LiveAttention([SENTENCES[1]], word=1),
        lambda: LiveScene([SHAPES], {"scenes-soft": "soft"}),
    ],
    ids=["translator", "heads", "attention", "scene"],
)
def test_live_figures_from_all_sides(ask, from_all_sides, serious, figure):
    page = ask(figure())
    assert faults(page, from_all_sides(page, (320, 640)), serious) == []

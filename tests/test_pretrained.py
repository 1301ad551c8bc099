"""attnlib.pretrained: what was saved comes back, what was damaged is refused."""

import json

import numpy as np
import pytest
import torch

from attnlib import evaluation, metrics, pretrained, storage
from attnlib.data import corpora, hansards, images
from attnlib.data.tokenizer import BOS, EOS, Tokenizer
from attnlib.decoding import greedy
from attnlib.settings import make_captioner, make_translator
from attnlib.transformer import Transformer

SENTENCES = ["A man in a red shirt rides a bike.", "Two dogs run.", "A dog runs on the red grass."]
SIZES = {"width": 8, "hidden": 6, "timing": "before", "score": "additive"}


def card(name="en-fr-tiny", **more):
    return {"name": name, "languages": name.split("-")[:2], "model": None, **more}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(SENTENCES * 5, vocab_size=60)


@pytest.fixture
def shipped(tmp_path, monkeypatch, tokenizer):
    """A tiny model, shipped; returns its folder."""
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    arguments = {"vocab_size": len(tokenizer), **SIZES}
    torch.manual_seed(4)
    model = make_translator(**arguments)
    folder = tmp_path / "en-fr-tiny"
    storage.save(folder, model, tokenizer, {**card(), "model": arguments})
    return folder


def test_what_is_saved_comes_back(shipped, tokenizer):
    torch.manual_seed(4)
    model = make_translator(len(tokenizer), **SIZES).eval()
    loaded = pretrained.load("en-fr-tiny")
    assert pretrained.names() == ["en-fr-tiny"]
    assert not loaded.model.training
    for (key, got), want in zip(loaded.model.state_dict().items(), model.state_dict().values()):
        assert got.dtype == torch.float32, key
        assert torch.equal(got, want.half().float()), key
    assert loaded.tokenizer.encode(SENTENCES[0]) == tokenizer.encode(SENTENCES[0])
    assert (shipped / "model.safetensors").stat().st_size < 2.2 * sum(
        p.numel() for p in model.parameters()
    ) + 2000
    assert sorted(path.name for path in shipped.iterdir()) == [
        "card.json", "model.safetensors", "tokenizer.json"]  # fmt: skip


def test_eight_bits_are_half_the_size_and_a_127th_of_a_row_away(tmp_path, tokenizer):
    arguments = {"vocab_size": len(tokenizer), **SIZES}
    torch.manual_seed(4)
    model = make_translator(**arguments)
    with torch.no_grad():
        model.embedding.weight[5] = 0.0  # a row with nothing to scale
        model.embedding.weight[6] *= 1e-6
    folder = tmp_path / "en-fr-small"
    written = {**card("en-fr-small"), "model": arguments, "bits": 8}
    storage.save(folder, model, tokenizer, written)
    first = (folder / "model.safetensors").read_bytes()
    loaded = pretrained.read(folder)
    matrices = 0
    for (key, got), want in zip(loaded.model.state_dict().items(), model.state_dict().values()):
        assert got.dtype == torch.float32
        if want.dim() == 2:
            matrices += want.numel()
            step = want.abs().amax(1, keepdim=True) / 127  # rounded by at most half of one
            assert ((got - want).abs() <= 0.51 * step).all(), key
            assert not torch.equal(got, want.half().float())
        else:
            assert torch.equal(got, want.half().float()), key
    rest = sum(p.numel() for p in model.parameters()) - matrices
    assert len(first) < 1.2 * matrices + 2 * rest + 6000
    storage.save(folder, loaded.model, tokenizer, written)
    assert (folder / "model.safetensors").read_bytes() == first
    with pytest.raises(ValueError, match="stored in 16 or 8 bits, not 4"):
        storage.save(folder, model, tokenizer, {**written, "bits": 4})


def test_forced_decoding_is_the_model_step_by_step(shipped):
    """Row t of the weights is the step that wrote token t; the score is the sum of those steps."""
    loaded = pretrained.load("en-fr-tiny")
    sources, targets = SENTENCES, ["Two red dogs.", "A shirt runs on.", "A man."]
    for found, source, target in zip(loaded.align(sources, targets), sources, targets):
        model, encode = loaded.model.double(), loaded.tokenizer.encode
        ids = torch.tensor([[*encode(source), EOS]])
        memory = model.encode(ids, torch.tensor([ids.shape[1]]))
        state, token, score, rows = model.start(memory), BOS, 0.0, []
        for wanted in [*encode(target), EOS]:
            logits, weights, state = model.step(torch.tensor([token]), state, memory)
            score += logits.log_softmax(-1)[0, wanted].item()
            rows.append(weights[0].detach().numpy())
            token = wanted
        assert found.weights == pytest.approx(np.stack(rows[:-1]), abs=1e-5)
        assert found.score == pytest.approx(score, abs=1e-3)
        assert found.source_tokens[-1] == "</s>" and found.target_tokens[-1] != "</s>"
        assert found.weights.shape == (len(found.target_tokens), len(found.source_tokens))
        model.float()


def test_where_all_heads_look_is_found_a_sentence_at_a_time(shipped, tokenizer):
    """In a padded batch as alone; the last block's mean over heads is what `align` gives."""
    with pytest.raises(ValueError, match="en-fr-tiny is a translator: this is for a transformer"):
        pretrained.load("en-fr-tiny").attention_maps(["A man."], ["A man."])
    torch.manual_seed(4)
    model = Transformer(len(tokenizer), width=8, layers=2, heads=2, feed_forward=8).eval()
    loaded = pretrained.Pretrained("tiny", model, tokenizer, {})
    sources, targets = SENTENCES, ["Two red dogs.", "A shirt runs on.", "A man."]
    aligned = loaded.align(sources, targets)
    for found, forced, x, y in zip(
        loaded.attention_maps(sources, targets), aligned, sources, targets
    ):
        source, target = [*tokenizer.encode(x), EOS], [BOS, *tokenizer.encode(y)]
        S, T = len(source), len(target) - 1
        assert found.source_tokens == forced.source_tokens
        assert found.target_tokens == forced.target_tokens == tokenizer.tokens(target[1:])
        looks = model.attention_maps(
            torch.tensor([source]), torch.tensor([S]), torch.tensor([target[:-1]])
        )
        for name, shape in (("encoder", (S, S)), ("decoder", (T, T)), ("cross", (T, S))):
            got = getattr(found, name)
            assert got.shape == (2, 2, *shape)
            np.testing.assert_allclose(got, getattr(looks, name)[0].detach(), atol=1e-6)
        np.testing.assert_allclose(found.cross[-1].mean(0), forced.weights, atol=1e-6)


def test_forced_decoding_refuses_what_it_cannot_align(shipped):
    loaded = pretrained.load("en-fr-tiny")
    assert loaded.align([], []) == []
    with pytest.raises(ValueError, match="1 sources but 2 targets"):
        loaded.align(["A man."], ["A man.", "A dog."])
    with pytest.raises(ValueError, match="the target of pair 2 has 0 subwords, wanted 1 to 199"):
        loaded.align(["A man.", "A dog."], ["A man.", " "])


def test_alignment_error_is_read_from_forced_decoding(shipped, monkeypatch):
    """A model made to look at one source word a target word is marked against the links."""
    loaded = pretrained.load("en-fr-tiny")
    gold = hansards.Gold(
        (("A", "man"), ("Two", "dogs")),
        (("Two", "dogs", "run"), ("A", "man")),
        (frozenset({(0, 0), (1, 1)}), frozenset({(0, 1)})),
        (frozenset({(0, 0), (1, 1), (2, 1)}), frozenset({(0, 1)})),
    )
    looks = {"A man": [0, 1, 1], "Two dogs": [0, 0]}  # links: 2 sure 1 possible; 0 of 2

    def align(sources, targets):
        for source, target in zip(sources, targets):
            # all subwords of a target word look at the last one of its source word
            ends = np.cumsum([len(loaded.ids(word)) for word in source.split()]) - 1
            rows = zip(looks[source], target.split(), strict=True)
            looked = [ends[s] for s, word in rows for _ in loaded.ids(word, side=1)]
            weights = np.eye(ends[-1] + 2)[looked]  # the last is </s>
            yield pretrained.Translation(source, target, [], [], weights, 0.0)

    monkeypatch.setattr(pretrained.Pretrained, "align", lambda _, *sides: list(align(*sides)))
    assert evaluation.alignment_error(loaded, gold).value == pytest.approx(1 - (2 + 3) / (5 + 3))


def test_saving_again_changes_no_byte(shipped, tmp_path):
    loaded = pretrained.load("en-fr-tiny")
    storage.save(tmp_path / "again", loaded.model, loaded.tokenizer, loaded.card)
    for file in shipped.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_loading_leaves_the_random_numbers_alone(shipped):
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    pretrained.load("en-fr-tiny")
    assert torch.equal(torch.rand(1), want)


def damage(path, how):
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "altered":
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "altered", "empty", "missing"])
@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_file_is_named_and_refused(shipped, file, how):
    damage(shipped / file, how)
    problem = "is missing" if how == "missing" else "is truncated or altered: expected sha256"
    with pytest.raises(storage.ModelError, match=f"en-fr-tiny.{file} {problem}") as caught:
        pretrained.load("en-fr-tiny")
    assert "install attnlib again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_card_is_named_and_refused(shipped):
    path = shipped / "card.json"
    whole = json.loads(path.read_text())
    for text in (path.read_text()[:50], "", "[]"):
        path.write_text(text)
        with pytest.raises(storage.ModelError, match=r"card.json is truncated or altered"):
            pretrained.load("en-fr-tiny")
    del whole["model"], whole["sha256"]["model.safetensors"]
    path.write_text(json.dumps(whole))
    with pytest.raises(storage.ModelError, match=r"card.json lacks model, model.safetensors"):
        pretrained.card("en-fr-tiny")


def test_an_unknown_model_or_pair_lists_the_known_ones(shipped):
    with pytest.raises(ValueError, match=r"^unknown model 'tiny'; models: en-fr-tiny$"):
        pretrained.load("tiny")
    with pytest.raises(ValueError, match=r"^unknown model 'en-fr-big'; models: en-fr-tiny$"):
        pretrained.load("en-fr-big")
    with pytest.raises(ValueError, match=r"language pair en-ja; pairs: en-fr; models: en-fr-tiny"):
        pretrained.load("en-ja-tiny")
    for sly in ("..", "", "en-fr-tiny/", "../" + shipped.parent.name + "/en-fr-tiny"):
        with pytest.raises(ValueError, match=r"^unknown model|^there is no folder"):
            pretrained.load(sly)


def test_translations_are_in_the_order_of_the_input(shipped, monkeypatch):
    monkeypatch.setattr(pretrained, "BATCH", 2)  # several batches
    loaded = pretrained.load("en-fr-tiny")
    sentences = [SENTENCES[0], "", SENTENCES[1], SENTENCES[2], SENTENCES[1]]
    found = loaded.translate(sentences, beam=3)
    assert [t.source for t in found] == sentences
    for translation in found:
        (alone,) = loaded.translate([translation.source], beam=3)
        assert alone.target_tokens == translation.target_tokens
        np.testing.assert_allclose(alone.weights, translation.weights, rtol=0, atol=1e-6)
        assert alone.score == pytest.approx(translation.score, abs=1e-5)
        assert translation.weights.shape == (
            len(translation.target_tokens), len(translation.source_tokens))  # fmt: skip
    assert found[0].source_tokens[-1] == "</s>"
    np.testing.assert_allclose(found[0].weights.sum(-1), 1, rtol=0, atol=1e-6)


def test_a_beam_of_one_is_the_greedy_decoding_of_the_ids(shipped):
    loaded = pretrained.load("en-fr-tiny")
    source = torch.tensor([[*loaded.tokenizer.encode(SENTENCES[0]), loaded.tokenizer.eos]])
    n = source.shape[1]
    (want,) = greedy(loaded.model, source, torch.tensor([n]), 2 * n + 10)
    (got,) = loaded.translate(SENTENCES[:1], beam=1)
    assert got.target_tokens == loaded.tokenizer.tokens(want.ids)
    assert got.text == loaded.tokenizer.decode(want.ids)
    np.testing.assert_array_equal(got.weights, want.weights)


@pytest.mark.parametrize("sentence", ["", "   ", "\n", "\u00a0"])
def test_an_empty_sentence_gives_an_empty_translation(shipped, sentence):
    (found,) = pretrained.load("en-fr-tiny").translate([sentence])
    assert (found.text, found.source_tokens, found.target_tokens) == ("", [], [])
    assert (found.weights.shape, found.score, found.source) == ((0, 0), 0.0, sentence)


def test_no_sentences_give_no_translations(shipped):
    assert pretrained.load("en-fr-tiny").translate([]) == []


@pytest.mark.parametrize("sentence", ["🎉", "मी घरी जातो.", "A 🐕 rides 自転車 \x00\u200d\ufffd"])
def test_emoji_and_unknown_scripts_are_read_as_unknown(shipped, sentence):
    (found,) = pretrained.load("en-fr-tiny").translate([sentence])
    assert "<unk>" in found.source_tokens
    assert found.weights.shape == (len(found.target_tokens), len(found.source_tokens))


def test_a_sentence_of_500_words_is_refused_with_the_limit(shipped):
    loaded = pretrained.load("en-fr-tiny")
    long = " ".join(["dog"] * 500)
    subwords = len(loaded.tokenizer.encode(long))
    message = f"sentence 2 has {subwords} subwords, the limit is 199: split it"
    with pytest.raises(ValueError, match=message):
        loaded.translate(["Two dogs run.", long])
    piece = len(loaded.tokenizer.encode("a"))
    assert piece == 1
    (found,) = loaded.translate(["a " * 199], beam=1)
    assert len(found.source_tokens) == 200
    with pytest.raises(ValueError, match="has 200 subwords"):
        loaded.translate(["a " * 200], beam=1)


def test_a_model_that_never_ends_is_stopped(shipped):
    loaded = pretrained.load("en-fr-tiny")
    loaded.model.bias.data[loaded.tokenizer.eos] = -1e4
    for found in loaded.translate(SENTENCES, beam=2):
        assert len(found.target_tokens) == 2 * len(found.source_tokens) + 10


def test_wrong_types_are_refused(shipped):
    loaded = pretrained.load("en-fr-tiny")
    with pytest.raises(TypeError, match="sentences must be a list of str, got one str"):
        loaded.translate("Two dogs run.")
    with pytest.raises(TypeError, match="sentences must be str, got NoneType as number 2"):
        loaded.translate(["Two dogs run.", None])


@pytest.mark.parametrize("method", ["translate", "align"])
def test_texts_come_in_any_iterable_but_not_alone(shipped, method):
    """A generator is as good as a list; of one text nobody takes the letters."""
    call = getattr(pretrained.load("en-fr-tiny"), method)
    sides = 1 + (method == "align")
    want = call(*[SENTENCES] * sides)
    found = call(*(iter(SENTENCES) for _ in range(sides)))
    assert [x.source_tokens for x in found] == [x.source_tokens for x in want]
    assert [x.score for x in found] == [x.score for x in want]
    for side in range(sides):
        with pytest.raises(TypeError, match="must be a list of str, got one str: put it in a list"):
            call(*("dog" if side == one else ["dog"] for one in range(sides)))
        broken = ["dog", "caf\udce9"]
        message = "(sentence 2|the (source|target) of pair 2) is not UTF-8 text: byte 0xe9"
        with pytest.raises(ValueError, match=message):
            call(*(broken if side == one else ["dog"] * 2 for one in range(sides)))


def test_one_picture_is_no_list_of_pictures(tokenizer):
    model = make_captioner(len(tokenizer), size=32, width=8, hidden=8).eval()
    loaded = pretrained.Pretrained("tiny", model, tokenizer, {"languages": ["en"]})
    one = np.zeros((32, 32, 3), np.uint8)
    alone = (one, one[..., 0], torch.zeros(3, 32, 32), "a.png")
    for picture in alone:
        for call in (loaded.caption, lambda x: loaded.force_decode(x, ["a red shirt"])):
            with pytest.raises(TypeError, match="pictures must be a list of pictures, got "):
                call(picture)
    assert len(loaded.caption((each for each in [one, one]), beam=1)) == 2
    with pytest.raises(TypeError, match="captions must be a list of str, got one str"):
        loaded.force_decode([one], "a")


def test_a_card_must_be_whole(tmp_path, tokenizer):
    model = make_translator(len(tokenizer), **SIZES)
    with pytest.raises(ValueError, match="the card lacks languages, model"):
        storage.save(tmp_path, model, tokenizer, {"name": "x"})
    with pytest.raises(ValueError, match=r"same keys; not in both: a.bleu"):
        storage.save(tmp_path, model, tokenizer, card(metrics={"a.bleu": 1.0}))
    nested = card(metrics={"a": {"bleu": 1.0}}, signatures={"a": ""})
    with pytest.raises(ValueError, match="metrics must be numbers, a is a dict"):
        storage.save(tmp_path, model, tokenizer, nested)
    model.bias.data[0] = 1e6
    with pytest.raises(ValueError, match="bias holds a number that float16 cannot"):
        storage.save(tmp_path, model, tokenizer, card())
    assert not list(tmp_path.iterdir())


def test_evaluate_scores_the_translations_of_the_test_set(shipped, monkeypatch):
    references = ["Un homme court.", "Deux chiens courent.", "Un chien court sur l'herbe."]
    corpus = corpora.Corpus(SENTENCES, references, ("en", "fr"))
    monkeypatch.setattr(corpora, "multi30k", lambda split, source, target: corpus)
    monkeypatch.setattr(corpora, "multi30k_tokenised", lambda _: metrics.moses(references, "fr"))
    loaded = pretrained.load("en-fr-tiny")
    monkeypatch.setattr(
        pretrained.Pretrained,
        "translate",
        lambda self, sentences, beam: [
            pretrained.Translation(s, references[SENTENCES.index(s)].upper(), [], [], None, 0.0)
            for s in sentences
        ],
    )
    found = evaluation.evaluate(loaded)
    assert found.hypotheses == [r.upper() for r in references]
    values = {key: round(float(score), 3) for key, score in found.scores.items()}
    assert values["test_2016_flickr.bleu_lc"] == values["test_2016_flickr.bleu_lc_tok"] == 100
    assert values["test_2016_flickr.bleu"] < 50
    assert values["test_2016_flickr.chrf"] < 50
    said = {key.split(".")[1]: score.signature for key, score in found.scores.items()}
    marks = {"bleu": "case:mixed", "bleu_lc_tok": "tok:none", "bleu_lc": "case:lc", "chrf": "nc:6"}
    assert said.keys() == marks.keys() and all(marks[key] in said[key] for key in said)
    found = evaluation.evaluate(loaded, limit=2)
    assert (len(found.source), len(found.hypotheses), len(found.references)) == (2, 2, 2)
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        evaluation.evaluate(loaded, limit=0)
    loaded.card["languages"] = ["en", "tlh"]
    with pytest.raises(ValueError, match="no test set for en-tlh"):
        evaluation.evaluate(loaded)


@pytest.mark.parametrize(
    "languages, data, read, scored",
    [
        (
            ("en", "fr"),
            (),
            [("multi30k", "test_2016_flickr", "en", "fr"), ("tokenised", "fr"), ("papers", "fr")],
            "test_2016_flickr",
        ),
        (
            ("de", "en"),
            ("multi30k/train.de",),
            [("multi30k", "test_2016_flickr", "de", "en"), ("tokenised", "en"), ("papers", "en")],
            "test_2016_flickr",
        ),
        (("en", "mr"), ("tatoeba/marathi",), [("tatoeba", "test")], "tatoeba_test"),
        (
            ("fr", "en"),
            ("hansards/debates",),
            [("hansards", "val"), ("gold", "test")],
            "hansards_val",
        ),
    ],
)
def test_each_model_is_marked_on_what_it_has_not_seen(
    languages, data, read, scored, shipped, monkeypatch
):
    """Which split of which corpus is read, in which languages; and what is held against it."""
    calls = []

    def reads(name, given):
        def read(*arguments):
            calls.append((name, *arguments))
            return given

        return read

    references = ["un homme court .", "deux chiens courent ."]
    corpus = corpora.Corpus(SENTENCES[:2], references, languages)
    gold = hansards.Gold((("a",),), (("b",),), (frozenset({(0, 0)}),), (frozenset({(0, 0)}),))
    for module, name, kind, given in (
        (corpora, "multi30k", "multi30k", corpus),
        (corpora, "multi30k_tokenised", "tokenised", references),
        (corpora, "tatoeba", "tatoeba", corpus),
        (hansards, "corpus", "hansards", corpus),
        (hansards, "gold", "gold", gold),
    ):
        monkeypatch.setattr(module, name, reads(kind, given))

    def papers(hypotheses, tokenised, language):
        calls.append(("papers", language))
        return metrics.Estimate(0.0, "papers")

    def translate(self, sentences, beam):
        assert sentences == SENTENCES[:2] and beam == 3
        return [
            pretrained.Translation(s, reference, [], [], None, 0.0)
            for s, reference in zip(sentences, references, strict=True)
        ]

    monkeypatch.setattr(metrics, "bleu_papers", papers)
    monkeypatch.setattr(pretrained.Pretrained, "translate", translate)
    monkeypatch.setattr(
        evaluation, "alignment_error", lambda _, links: metrics.Estimate(float(links is gold), "")
    )
    loaded = pretrained.load("en-fr-tiny")
    loaded.card.update(languages=list(languages), data=list(data))
    found = evaluation.evaluate(loaded, beam=3)
    assert calls == read and found.test_set == scored
    assert found.source == SENTENCES[:2] and found.references == references
    names = {f"{scored}.{name}" for name in ("bleu", "bleu_lc", "chrf")}
    if ("papers", languages[1]) in read:
        names.add(f"{scored}.bleu_lc_tok")
    if scored == "hansards_val":
        names.add("hansards_test.aer")
        assert found.scores["hansards_test.aer"].value == 1
    assert found.scores.keys() == names
    assert float(found.scores[f"{scored}.bleu"]) == pytest.approx(100)


@pytest.mark.parametrize("name", pretrained.names())
def test_a_shipped_model_loads_and_its_card_is_whole(name):
    loaded = pretrained.load(name)
    assert loaded.name == loaded.card["name"] == name
    assert loaded.card["metrics"].keys() == loaded.card["signatures"].keys()
    assert (pretrained.WEIGHTS / name / "model.safetensors").stat().st_size <= 8 * 2**20
    if "pictures" in loaded.card:
        side = loaded.model.encoder.size  # of nothing at all a model may say nothing
        word = images.load(loaded.card["pictures"], "test").grammar.words[0]
        (found,) = loaded.force_decode([np.zeros((side, side), np.uint8)], [word])
        assert found.weights.sum() == pytest.approx(1)
    else:
        (found,) = loaded.translate(["A man in a red shirt rides a bike."])
    assert found.text

"""Distillation: an ensemble by hand, which candidate is kept, a folder that is made in parts."""

import json
import random

import numpy as np
import pytest
import torch

from attnlib import pretrained
from attnlib.data.corpora import Corpus
from attnlib.data.tokenizer import BOS, EOS, Tokenizer
from attnlib.decoding import Ensemble, beam_search, greedy
from attnlib.settings import make_translator
from attnlib.training import DataConfig, RunConfig, config, distil, inputs, prepare

WORDS = {"a": "un", "dog": "chien", "cat": "chat", "sees": "voit", "old": "vieux", "red": "rouge"}
RNG = random.Random(0)
SOURCES = [" ".join(RNG.choices(list(WORDS), k=RNG.randint(2, 7))) for _ in range(23)]
TEXT = Corpus(SOURCES, [" ".join(WORDS[w] for w in x.split()) for x in SOURCES], ("en", "fr"))
TOKENIZER = Tokenizer.train(TEXT.source + TEXT.target, 60)


def teacher(name, seed=0, languages=("en", "fr"), tokenizer=TOKENIZER):
    torch.manual_seed(seed)
    model = make_translator(len(tokenizer), width=8, hidden=8, score="general").eval()
    card = {"languages": list(languages), "sha256": {"model.safetensors": f"sum of {seed}"}}
    return pretrained.Pretrained(name, model, tokenizer, card)


@pytest.fixture(autouse=True)
def at_hand(monkeypatch):
    """Two random teachers and 23 sentences, in blocks of five."""
    models = {"one": teacher("one", 1), "two": teacher("two", 2)}
    monkeypatch.setattr(pretrained, "load", models.__getitem__)
    monkeypatch.setattr(distil, "load_corpus", lambda data, split: {"train": TEXT}[split])
    monkeypatch.setattr(inputs, "load_corpus", lambda data, split: TEXT)
    monkeypatch.setattr(distil, "BLOCK", 5)
    return models


class Table:
    """Logits that depend on the source's first word and on the last word written."""

    def __init__(self, seed, vocab=6):
        self.logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(9, vocab, vocab)))

    def encode(self, source, lengths):
        return source

    def start(self, memory):
        return ()

    def step(self, token, state, memory):
        return self.logits[memory[:, 0], token], memory.float(), state


class Mean(Table):
    """What an ensemble of two must be: their mean probability, by NumPy."""

    def __init__(self, one, two):
        p = [np.exp(each.logits.numpy()) for each in (one, two)]
        shares = [each / each.sum(-1, keepdims=True) for each in p]
        self.logits = torch.from_numpy(np.log(sum(shares) / 2))


@pytest.mark.parametrize("beam", [1, 4])
def test_an_ensemble_is_the_mean_of_the_probabilities(beam):
    one, two = Table(seed=1), Table(seed=2)
    ensemble = Ensemble.__new__(Ensemble)  # of what is no module
    torch.nn.Module.__init__(ensemble)
    ensemble._each, ensemble.shares_memory = (one, two), False
    source, lengths = torch.tensor([[4, 5, 6], [7, 8, 0], [3, 3, 0]]), torch.tensor([3, 2, 2])
    found, wanted, *alone = (
        beam_search(model, source, lengths, 5, BOS, EOS, beam)
        for model in (ensemble, Mean(one, two), one, two)
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert [each.ids for each in ours] == [each.ids for each in theirs]
        np.testing.assert_allclose(
            [each.logprob for each in ours], [each.logprob for each in theirs], atol=1e-9
        )
    for other in alone:
        assert [some[0].ids for some in found] != [some[0].ids for some in other]


def test_several_alike_are_one_of_them(at_hand):
    one = at_hand["one"]
    thrice = distil.ensemble([one] * 3)
    assert thrice.model.shares_memory == getattr(one.model, "shares_memory", False)
    for beam in (1, 4):
        found, wanted = (each.nbest(SOURCES[:6], beam) for each in (thrice, one))
        assert [[x.text for x in some] for some in found] == [
            [x.text for x in some] for some in wanted
        ]
        assert [some[0].text for some in wanted] == [
            x.text for x in one.translate(SOURCES[:6], beam)
        ]
        scores = [x.score for some in wanted for x in some]
        np.testing.assert_allclose([x.score for some in found for x in some], scores, atol=1e-4)
    source, lengths = torch.tensor([[4, 5, EOS]]), torch.tensor([3])
    assert greedy(thrice.model, source, lengths, 5)[0].ids == (
        greedy(one.model, source, lengths, 5)[0].ids
    )


def test_the_nearest_candidate_is_kept_of_equals_the_likelier():
    gold = "un cheval blanc court ."
    likelier = ["un chat noir dort .", "un cheval noir court .", "un cheval brun court ."]
    assert distil.nearest(likelier, gold) == likelier[1]
    assert distil.nearest([*likelier, gold], gold) == gold
    assert distil.nearest(["x", "y"], gold) == "x"


@pytest.mark.parametrize("rule", distil.RULES)
def test_a_line_for_each_source_in_its_order(tmp_path, at_hand, rule):
    made = distil.distil(["one", "two"], tmp_path, DataConfig(), 3, rule)
    lines = (tmp_path / "targets.txt").read_text("utf-8").splitlines()
    both = distil.ensemble(list(at_hand.values()))
    candidates = [[x.text for x in some] for some in both.nbest(SOURCES, 3)]
    if rule == "likeliest":
        assert lines == [" ".join(some[0].split()) for some in candidates]
    else:
        assert lines == [
            " ".join(distil.nearest(some, gold).split())
            for some, gold in zip(candidates, TEXT.target, strict=True)
        ]
    assert made == json.loads((tmp_path / "distilled.json").read_text("utf-8"))
    assert made["teachers"] == {"one": "sum of 1", "two": "sum of 2"} and made["split"] == "train"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "distilled.json", "lock", "targets.txt",
    ]  # fmt: skip


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    whole = distil.distil(["one"], tmp_path / "whole", DataConfig(), 2)
    asked, real = [], distil.translate

    def stopped(model, block, beam, rule):
        asked.append(block.source)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(model, block, beam, rule)

    monkeypatch.setattr(distil, "translate", stopped)
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        distil.distil(["one"], parts, DataConfig(), 2)
    assert not (parts / "targets.txt").exists()
    with (parts / "targets.part").open("a", encoding="utf-8") as half:
        half.write("half of a bl")  # as a machine that lost its power leaves it
    with pytest.raises(ValueError, match=r"no .*targets.txt: make it with"):
        prepare(RunConfig("student", data=DataConfig(vocab_size=60, distilled=str(parts))))
    with pytest.raises(ValueError, match=r"another beam \(2\): name another folder"):
        distil.distil(["one"], parts, DataConfig(), 3)
    with pytest.raises(ValueError, match="another teachers"):
        distil.distil(["two"], parts, DataConfig(), 2)
    again = distil.distil(["one"], parts, DataConfig(), 2)
    assert [x for block in asked[3:] for x in block] == SOURCES[10:]  # two blocks were kept
    assert again["sha256"] == whole["sha256"]
    asked.clear()
    assert distil.distil(["one"], parts, DataConfig(), 2) == again and not asked


def test_a_run_has_both_targets_of_each_source(tmp_path):
    folder = tmp_path / "made"
    made = distil.distil(["one"], folder, DataConfig(), 2)
    plain, both = (
        prepare(RunConfig("student", data=DataConfig(vocab_size=60, distilled=where)))
        for where in (None, str(folder))
    )
    assert both.tokenizer.to_json() == plain.tokenizer.to_json()
    assert both.train[: len(TEXT)] == plain.train and both.val == plain.val
    texts = (folder / "targets.txt").read_text("utf-8").splitlines()
    more = list(zip(SOURCES, texts, strict=True))
    assert both.train[len(TEXT) :] == [
        (both.tokenizer.encode(x), both.tokenizer.encode(y)) for x, y in more
    ]
    assert list(both.text)[len(TEXT) :] == more
    assert made["sha256"] == inputs.digest(texts)


def test_what_does_not_fit_is_refused(tmp_path, monkeypatch, at_hand):
    folder = tmp_path / "made"
    distil.distil(["one"], folder, DataConfig(sentences=20), 1)
    with pytest.raises(ValueError, match="20 other sources than the 23 of this run"):
        prepare(RunConfig("student", data=DataConfig(vocab_size=60, distilled=str(folder))))
    short = DataConfig(vocab_size=60, distilled=str(folder), sentences=20)
    assert len(prepare(RunConfig("student", data=short)).train) == 40
    lines = folder / "targets.txt"
    lines.write_text(lines.read_text("utf-8").replace("\n", "x\n", 1), "utf-8")
    with pytest.raises(ValueError, match="has been changed since it was made"):
        prepare(RunConfig("student", data=short))
    with pytest.raises(ValueError, match="reverse has no distilled targets"):
        prepare(RunConfig("student", data=DataConfig("reverse", distilled=str(folder))))
    at_hand["back"] = teacher("back", 1, ("fr", "en"))
    at_hand["shapes"] = teacher("shapes", 1, ("en",))
    at_hand["other"] = teacher("other", 1, tokenizer=Tokenizer.train(TEXT.source, 30))
    for names, message in [
        ([], "a teacher is needed"),
        (["one", "back"], "back and one do not translate the same languages"),
        (["shapes"], "shapes is no translator"),
        (["one", "other"], "other and one do not have the same vocabulary"),
        (["back"], "back translates fr to en, the text is en to fr"),
    ]:
        with pytest.raises(ValueError, match=message):
            distil.distil(names, tmp_path / "no", DataConfig())
    with pytest.raises(ValueError, match="unknown rule 'best'"):
        distil.distil(["one"], tmp_path / "no", DataConfig(), rule="best")
    with pytest.raises(ValueError, match="an ensemble needs a model"):
        Ensemble([])
    assert not (tmp_path / "no").exists()


def test_the_command(tmp_path, capsys):
    out = tmp_path / "made"
    given = ["--teachers", "one", "--out", str(out), "--beam", "1", "--sentences", "7"]
    assert distil.main(given) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["sources"] == 7 and "7 of 7 sources" in said.err
    assert distil.main([*given, "--rule", "best"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "attnlib.training.distil: unknown rule 'best': one of nearest, likeliest"
    ]


def test_a_card_says_nothing_of_what_is_not_in_use():
    assert "distilled" not in RunConfig("plain").as_dict()["data"]
    student = RunConfig("student", data=DataConfig(distilled="made"))
    assert config.RunConfig.from_dict(student.as_dict()) == student

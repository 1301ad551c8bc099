"""Text of one's own: trained on, resumed, evaluated, aligned; one line for all that is wrong."""

import contextlib
import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from commands import fails, ok
from hypothesis import assume, given
from hypothesis import strategies as st

from attnlib import cli, evaluation, metrics, pretrained, training
from attnlib.data import own
from attnlib.data.corpora import Corpus
from attnlib.training import checkpoint
from attnlib.training import own as own_runs

ADJECTIVES = {"red": "rouge", "old": "vieux", "big": "grand", "sad": "triste"}
NOUNS = {"dog": "chien", "cat": "chat", "man": "homme", "cow": "vache", "fox": "renard"}
VERBS = {"eats": "mange", "sees": "voit", "hits": "frappe"}
SMALL = ["--width", "16", "--hidden", "16", "--vocab-size", "100", "--tokens", "400"]
LINKS = "0-0 1-2 2-1 3-3 4-4 5-6 6-5"  # the adjective comes after its noun


def toy(number, seed):
    """Word for word, but for the adjectives."""
    rng = random.Random(seed)
    source, target = [], []
    for _ in range(number):
        (a, n), (b, m) = ((rng.choice([*ADJECTIVES]), rng.choice([*NOUNS])) for _ in range(2))
        v = rng.choice([*VERBS])
        source.append(f"the {a} {n} {v} a {b} {m}")
        target.append(f"le {NOUNS[n]} {ADJECTIVES[a]} {VERBS[v]} un {NOUNS[m]} {ADJECTIVES[b]}")
    return source, target


def write(folder, number=300, seed=1, name="train"):
    for side, lines in zip(("en", "fr"), toy(number, seed)):
        (folder / f"{name}.{side}").write_text("".join(line + "\n" for line in lines))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    return tmp_path


FILES = ["--source", "train.en", "--target", "train.fr"]
TEST = ["--source", "test.en", "--target", "test.fr"]


def train(*argv, files=FILES):
    return cli.main(["train", "mine", *files, *SMALL, "--device", "cpu", *argv])


def weights(name="mine"):
    return Path(f"runs/{name}/model/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A model that has learned the toy language, in a folder with a test set."""
    folder = tmp_path_factory.mktemp("learned")
    write(folder)
    write(folder, 20, seed=2, name="test")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        argv = ["--dropout", "0", "--updates", "100", "--lr", "0.01"]
        argv += ["--width", "32", "--layers", "2", "--heads", "2", "--feed-forward", "64"]
        argv += ["--vocab-size", "100", "--tokens", "400", "--validate-every", "25"]
        assert cli.main(["train", "mine", *FILES, "--model", "transformer", *argv]) == 0
    return folder


@pytest.fixture
def there(learned, monkeypatch):
    monkeypatch.chdir(learned)
    return pretrained.load("runs/mine")


# Training -------------------------------------------------------------------------------------


def test_a_language_that_can_be_learned_is_learned(there, capsys):
    source, target = toy(20, seed=2)
    found = [each.text for each in there.translate(source)]
    assert metrics.bleu(found, target).value > 90
    assert ok(capsys, "translate", "--model", "runs/mine/model", *source).splitlines() == found
    assert "runs/mine  " in ok(capsys, "compare", "--models", "runs/mine", source[0])


def test_the_card_says_what_the_model_was_made_of_and_claims_no_test_set(there, learned, capsys):
    card = there.card
    assert card["languages"] == ["en", "fr"] and card["architecture"] == "transformer"
    sums = {n: evaluation.hansards.files.sha256(learned / n) for n in ("train.en", "train.fr")}
    assert card["data"] == sums
    assert list(card["metrics"]) == ["val.loss", "val.bleu", "val.bleu_lc", "val.chrf"]
    kept = card["model"]["vocab_size"]
    assert card["subwords"] == (
        f"100 in training, {kept} kept: the training text has the others only inside longer ones"
    )
    assert len(there.tokenizer) == kept < 100
    config = training.RunConfig.from_dict(card["config"])
    data = training.prepare(config)
    dropped = {*data.tokenizer.tokens(range(100))} - {*there.tokenizer.tokens(range(kept))}
    assert len(dropped) == 100 - kept
    assert all(
        any(each in x != each for x in there.tokenizer.tokens(range(kept))) for each in dropped
    )
    assert card["signatures"]["val.bleu"].startswith("beam 5, the first 27 pairs, nrefs:1|")
    message = fails(capsys, "evaluate", "runs/mine")
    assert "mine was trained on text of one's own, which has no test set here: give" in message
    header, *rows = (learned / "runs/mine/log.csv").read_text().splitlines()
    assert header.endswith(",seconds,val_bleu") and len(rows) == 4
    assert float(rows[-1].split(",")[-1]) > 90 > float(rows[0].split(",")[-1])


@pytest.mark.parametrize("model", ["recurrent", "transformer"])
def test_the_cards_command_describes_the_same_run(here, model):
    settings = {"width": 16, "bpe_dropout": 0.1, "seed": 3, "validate_every": 7}
    if model == "recurrent":
        settings["score"] = None
    config = own_runs.config("mine", model, ["train.en", "train.fr"], (), None, 40, settings)
    words = own_runs.command(config).split()[2:]
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.command, "prepare", lambda config: seen.append(config) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            training.main(words)
    assert seen == [config]
    assert own_runs.RunConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_a_stopped_run_goes_on_to_the_same_weights(here, capsys):
    assert train("--updates", "6", "--folder", "whole") == 0
    for left in range(6, 0, -1):
        assert not (here / "runs/mine/model").exists()
        assert train("--updates", "6", "--budget", "0") == 0
        assert ("stopped after" in capsys.readouterr().err) == (left > 1)
    assert weights() == (here / "whole/mine/model/model.safetensors").read_bytes()
    assert train("--updates", "6") == 0  # nothing is left to do
    assert "mine: finished before; attnlib translate --model" in capsys.readouterr().err


def test_gzip_tabs_and_other_ends_of_lines_are_the_same_text(here, capsys):
    assert train("--updates", "2") == 0
    want = weights()
    source, target = (Path(f"train.{side}").read_text() for side in ("en", "fr"))
    pairs = zip(source.splitlines(), target.splitlines())
    (here / "both.tsv.gz").write_bytes(
        gzip.compress("".join(f"{x}\t{y}\tby whom\n" for x, y in pairs).encode())
    )
    (here / "train.en.gz").write_bytes(gzip.compress(source.encode("utf-8-sig")))
    (here / "wide.fr").write_bytes(target.replace("\n", "\r\n").encode("utf-16"))
    for number, files in enumerate(
        (["--tsv", "both.tsv.gz"], ["--source", "train.en.gz", "--target", "wide.fr"])
    ):
        assert train("--updates", "2", "--folder", f"{number}", files=files) == 0
        assert (here / f"{number}/mine/model/model.safetensors").read_bytes() == want
    card = json.loads((here / "0/mine/model/card.json").read_text())
    assert card["languages"] == ["source", "target"]
    (said,) = (line for line in capsys.readouterr().err.splitlines() if "left to right" in line)
    shown = re.fullmatch(
        "mine: both.tsv.gz, left to right: source 'the (.*)' to target 'le (.*)'; --languages FROM "
        "TO gives them names",
        said,
    )
    rows = zip(source.splitlines(), target.splitlines())
    assert any(
        x.startswith(f"the {shown[1][:10]}") and y.startswith(f"le {shown[2][:10]}")
        for x, y in rows
    )
    argv = ["--updates", "1", "--languages", "eng", "fra", "--folder", "2"]
    assert train(*argv, files=["--tsv", "both.tsv.gz"]) == 0
    said = capsys.readouterr().err
    assert "mine: both.tsv.gz, left to right: eng 'the " in said and "FROM" not in said


def test_only_a_newline_ends_a_line(tmp_path):
    (tmp_path / "x").write_text("a\u2028b\x0cc\n\nd", encoding="utf-8")
    assert own.lines(tmp_path / "x") == ["a\u2028b\x0cc", "", "d"]
    (tmp_path / "y.tsv").write_text("a\u2028b\tc\n\nd\u200b\te\x85\n", encoding="utf-8")
    corpus, empty = own.read([tmp_path / "y.tsv"], ("en", "fr"))
    assert (corpus.source, corpus.target, empty) == (["a b", "d"], ["c", "e"], 1)


def test_what_is_left_out_is_counted_and_said(here, capsys):
    source, target = toy(50, seed=1)
    source[3], target[5], source[7] = " ", "\N{ZERO WIDTH SPACE}", "dog " * 30
    (here / "some.en").write_text("\n".join(source))
    (here / "some.fr").write_text("\n".join(target) + "\n")
    write(here, 10, seed=1, name="valid")
    files = ["--source", "some.en", "--target", "some.fr"]
    files += ["--valid-source", "valid.en", "--valid-target", "valid.fr"]
    argv = ["--updates", "2", "--max-length", "20", "--vocab-size", "8000"]
    assert train(*argv, files=files) == 0
    said = capsys.readouterr().err
    assert "47 training pairs, 2 with an empty side left out, 1 of more than 20 sub" in said
    assert "10 validation pairs\n" in said  # given, and whole
    assert "7 of the validation pairs are in the training text too" in said
    assert "subwords, not the 8,000 asked for: the text has no more" in said


def test_held_out_sources_are_not_trained_on(here):
    config = own_runs.config("mine", "recurrent", ["train.en", "train.fr"])
    train_text, val = (training.load_corpus(config.data, split) for split in ("train", "val"))
    assert not set(train_text.source) & set(val.source)
    assert len(train_text) + len(val) == 300
    distinct = set(train_text.source) | set(val.source)
    assert len(set(val.source)) == config.data.held_out == len(distinct) // 10
    assert training.load_corpus(config.data, "val") == val
    with pytest.raises(ValueError, match="unknown split 'test': one of train, val"):
        training.load_corpus(config.data, "test")


LETTERS = st.sampled_from("abcdefghij")


def joined(pairs):
    """The groups of sources that hang together, by following pairs until nothing is new."""
    groups = []
    for source, _ in pairs:
        group, before = {source}, set()
        while group != before:
            before = set(group)
            targets = {y for x, y in pairs if x in group}
            group = {x for x, y in pairs if y in targets}
        groups.append(frozenset(group))
    return set(groups)


@given(st.lists(st.tuples(LETTERS, LETTERS), min_size=2), st.integers(1, 9))
def test_what_is_held_out_shares_neither_side_where_groups_allow_it(pairs, number):
    text = Corpus([x for x, _ in pairs], [y for _, y in pairs], ("en", "fr"))
    assume(number < len(set(text.source)))
    train_text, val = own.split(text, number)
    assert sorted([*train_text, *val]) == sorted(pairs)
    assert len(set(val.source)) == number and not set(train_text.source) & set(val.source)
    groups = joined(pairs)
    if sum(len(group) == 1 for group in groups) >= number:
        assert not set(train_text.target) & set(val.target)
    broken = [group for group in groups if group & set(val.source) and group - set(val.source)]
    left = number - sum(len(group) for group in groups if group <= set(val.source))
    assert all(len(group) > left for group in broken)  # else it would have been held out whole


def test_a_group_larger_than_a_tenth_is_not_drawn_while_there_are_others():
    sources = [f"a{i}" for i in range(30)] + [f"b{i}" for i in range(200)]
    targets = ["same"] * 30 + [f"t{i}" for i in range(200)]
    text = Corpus(sources, targets, ("en", "fr"))
    for number in (50, 100, 200):
        train_text, val = own.split(text, number)
        assert "same" not in val.target and not set(train_text.target) & set(val.target)
    _, val = own.split(text, 229)  # 200, and what is missing from the group
    assert val.target.count("same") == 29


def test_targets_that_could_not_be_kept_apart_are_counted(here, capsys):
    source, _ = toy(100, seed=1)
    (here / "some.en").write_text("".join(f"{x} {i}\n" for i, x in enumerate(source)))
    (here / "some.fr").write_text("le chien\n" * 100)
    assert train("--updates", "1", files=pair("some.en", "some.fr")) == 0
    said = "10 validation pairs, held out of the training text, by a draw, 10 with a target that"
    assert said + " is in the training text too\n" in capsys.readouterr().err


def test_validation_text_never_reaches_the_tokenizer(here):
    write(here, 20, seed=5, name="valid")
    (here / "valid.fr").write_text("ß" * 3 + "\n" + "ß zzz\n" * 19)
    config = own_runs.config(
        "mine", "recurrent", ["train.en", "train.fr"], ["valid.en", "valid.fr"]
    )
    assert not {"ß", "z"} & training.prepare(config).tokenizer.characters


def test_minutes_are_turned_into_updates_once(here, capsys):
    argv = ["--minutes", "0.05"]
    assert train(*argv, "--budget", "0") == 0
    begun = checkpoint.read(here / "runs/mine/checkpoint.pt")["config"]["optimisation"]
    usual = training.recipes.OWN["recurrent"].optimisation
    assert 1 < begun["updates"] < usual.updates and begun["warmup"] == begun["updates"] // 10
    assert train(*argv) == 0
    card = json.loads((here / "runs/mine/model/card.json").read_text())
    assert card["config"]["optimisation"] == begun
    assert f"--updates {begun['updates']} " in card["command"]
    assert card["seconds"] < 6
    assert card["planned_minutes"] == 0.05 and "for another length" not in capsys.readouterr().err
    assert train(*argv) == 0
    assert capsys.readouterr().err == (
        "mine: finished before; attnlib translate --model runs/mine/model < FILE\n"
    )
    message = fails(capsys, "train", "mine", *FILES, *SMALL, "--device", "cpu", "--minutes", "20")
    planned = f"as planned when it began ({begun['updates']} updates, --minutes 0.05)"
    assert f"runs/mine holds a finished run, {planned}; for another length choose" in message
    assert train("--updates", str(begun["updates"])) == 0  # the same, by another name


@pytest.mark.parametrize("first", [["--minutes", "0.05"], ["--updates", "4"]])
def test_a_stopped_run_goes_on_as_planned_and_says_so(here, capsys, first):
    assert train(*first, "--budget", "0") == 0
    begun = checkpoint.read(here / "runs/mine/checkpoint.pt")["config"]["optimisation"]
    capsys.readouterr()
    assert train("--minutes", "7", "--budget", "0") == 0
    how = ", --minutes 0.05" if "--minutes" in first else ""
    assert (
        f"mine: goes on as planned when it began ({begun['updates']} updates{how}); for another "
        "length choose another name\n"
    ) in capsys.readouterr().err
    kept = checkpoint.read(here / "runs/mine/checkpoint.pt")
    assert kept["config"]["optimisation"] == begun and kept["progress"]["update"] == 2
    message = fails(capsys, "train", "mine", *FILES, *SMALL, "--updates", "9999")
    updates = begun["updates"]
    assert f"another run (optimisation.updates was {updates}, is 9999): choose" in message


@pytest.mark.parametrize("change", ["text", "setting"])
def test_another_run_in_the_same_folder_is_refused(here, capsys, change):
    assert train("--updates", "4", "--budget", "0") == 0
    before = (here / "runs/mine/checkpoint.pt").read_bytes()
    if change == "text":
        (here / "train.fr").write_text((here / "train.fr").read_text().replace("le ", "la "))
    more = ["--dropout", "0.1"] if change == "setting" else []
    message = fails(capsys, "train", "mine", *FILES, *SMALL, "--updates", "4", *more)
    assert {
        "text": "train.fr changed since runs/mine was begun: choose another name, or delete",
        "setting": "runs/mine holds another run (model.dropout was 0.3, is 0.1): choose another",
    }[change] in message
    assert (here / "runs/mine/checkpoint.pt").read_bytes() == before


def test_a_finished_model_can_be_measured_again(here, capsys):
    assert train("--updates", "2") == 0
    before = capsys.readouterr().out
    assert ok(capsys, "train", "--measure", "mine") == before


@pytest.mark.parametrize("score", training.own.dials.SCORES)
def test_each_score_can_be_asked_for(here, score):
    config = own_runs.config(
        "mine", "recurrent", ["train.en", "train.fr"], settings={"score": score}
    )
    assert config.model.attention.score == score
    equal = score in ("dot", "scaled_dot", "cosine")
    assert config.arguments(20)["decoder_hidden"] == (512 if equal else None)
    assert own_runs.setting(config, "hidden") == 256


def test_a_folder_with_a_run_of_other_data_or_a_damaged_one_is_refused(here, capsys):
    other = training.RunConfig.of("mine", corpus="copy", updates=1, sentences=9, width=8, hidden=8)
    training.Run(other, here / "runs/mine", device="cpu", quiet=True).run()
    argv = ["train", "mine", *FILES, *SMALL, "--minutes", "1"]
    assert "runs/mine holds another run (data.corpus was 'copy', is 'own'; " in fails(capsys, *argv)
    (here / "runs/mine/checkpoint.pt").write_bytes(b"half")
    assert "runs/mine/checkpoint.pt is damaged: delete it to start again" in fails(capsys, *argv)


@pytest.mark.slow
def test_processes_share_a_run(here):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launcher, "-m", "attnlib.training", "mine", *FILES, *SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--minutes", "0.05", "--device", "cpu"],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("mine: 27 validation pairs, held out") == 1  # one process speaks
    assert pretrained.load("runs/mine").translate(["the red dog"])


# Refusals -------------------------------------------------------------------------------------


def bad(here):
    source, target = toy(30, seed=1)
    (here / "short.fr").write_text("\n".join(target[:29]))
    (here / "latin.fr").write_bytes("\n".join([*target[:29], "un café"]).encode("latin-1"))
    (here / "thirty.en").write_text("\n".join(source))
    (here / "none.en").write_text("")
    (here / "blank.en").write_text("\n" * 30)
    (here / "one.en").write_text("a dog\n" * 30)
    (here / "broken.en.gz").write_bytes(gzip.compress(b"a dog\n" * 99)[:20])
    (here / "false.en.gz").write_bytes(b"a dog\n")
    (here / "no.tsv").write_text("a dog\tun chien\na cat un chat\n")


def pair(source, target):
    return ["--source", source, "--target", target]


GIVEN = pair("thirty.en", "thirty.en")


@pytest.mark.parametrize(
    "argv, message",
    [
        (pair("thirty.en", "short.fr"), "thirty.en has 30 lines but short.fr 29: line n of the"),
        (pair("thirty.en", "latin.fr"), "latin.fr, line 30, is not UTF-8 text (byte 0xe9): conv"),
        (pair("thirty.en", "nowhere"), "nowhere cannot be read: No such file or directory"),
        (pair("thirty.en", "."), ". cannot be read: Is a directory"),
        (pair("none.en", "none.en"), "none.en is empty: there is no line to read"),
        (pair("thirty.en", "none.en"), "none.en is empty: there is no line to read"),
        (["--tsv", "none.en"], "none.en is empty: there is no line to read"),
        (pair("blank.en", "thirty.en"), "blank.en and thirty.en: each pair has an empty side"),
        (pair("one.en", "thirty.en"), "1 source cannot be held out of 1 different one: give"),
        (pair("broken.en.gz", "thirty.en"), "broken.en.gz is no whole gzip file: make it again"),
        (pair("false.en.gz", "thirty.en"), "false.en.gz is no whole gzip file: make it again"),
        (["--tsv", "no.tsv"], "no.tsv, line 2, has no tab between a source and a target"),
        ([*GIVEN, "--tsv", "no.tsv"], "give either --tsv, or --source and --target"),
        (["--source", "thirty.en"], "--target is missing: a text has two sides"),
        ([*GIVEN, "--valid-target", "x"], "--valid-source is missing: a text has two sides"),
        ([], "mine needs its text: --source and --target, or --tsv"),
        ([*GIVEN, "--minutes", "1", "--updates", "9"], "give either --minutes or --updates"),
        ([*GIVEN, "--max-length", "2"], "each training pair has more than 2 subwords on a side"),
        ([*GIVEN, "--max-length", "900"], "--max-length must be 1 to 199, got 900"),
        ([*GIVEN, "--heads", "2"], "mine: a translator has no heads"),
        ([*GIVEN, "--score", "cosines"], "unknown score 'cosines': one of dot, scaled_dot, cosine"),
        ([*GIVEN, "--window", "wide"], "unknown window 'wide': one of everywhere, causal"),
        ([*GIVEN, "--schedule", "steep"], "unknown schedule 'steep': one of cosine, inverse_sqrt"),
        ([*GIVEN, "--dropout", "3"], "dropout probability has to be between 0 and 1, but got 3.0"),
        ([*GIVEN, "--bpe-dropout", "3"], "--bpe-dropout must be 0 to 1, got 3.0"),
        ([*GIVEN, "--model", "transformer", "--heads", "3"], "heads"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_one_line(here, capsys, argv, message):
    bad(here)
    assert message in fails(capsys, "train", "mine", *argv)
    assert not (here / "runs").exists()


@pytest.mark.parametrize("name", ["en-fr-bahdanau", "a/b", "../x"])
def test_a_name_of_the_books_or_of_no_folder_is_refused(here, capsys, name):
    assert ("is a run of the book: --run" if "fr" in name else "a name has letters") in fails(
        capsys, "train", name, *FILES
    )


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--run", "en-fr-bahdanau", "--width", "9"], "--width is for a NAME and data of your own"),
        (["mine", "--run", "en-fr-bahdanau"], "not allowed with argument"),
        (["mine", "--tokens", "0"], "must be a whole number, at least 1, got '0'"),
        (["mine", "--lr", "fast"], "must be a number, at least 0, got 'fast'"),
        ([], "one of the arguments NAME --run"),
    ],
)
def test_options_that_do_not_fit_end_with_code_2(capsys, argv, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", *argv])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


# Evaluation, alignment, JSON --------------------------------------------------------------------


def test_evaluate_is_what_sacrebleu_says_of_the_translations(there, tmp_path, capsys):
    source, target = toy(20, seed=2)
    target[::3] = ["un Chien voit le renard"] * 7
    (tmp_path / "fr").write_text("".join(line + "\n" for line in target))
    argv = ["evaluate", "runs/mine", *pair("test.en", str(tmp_path / "fr")), "--beam", "1"]
    printed = ok(capsys, *argv, "--output", str(tmp_path / "hyp"))
    assert printed.startswith(f"mine on 20 sentences of test.en and {tmp_path / 'fr'}, beam 1\n")
    lines = (tmp_path / "hyp").read_text().splitlines()
    asked = ["translate", "--model", "runs/mine", "--beam", "1", *source]
    assert lines == ok(capsys, *asked).splitlines()
    bleu, chrf = sacrebleu.corpus_bleu(lines, [target]), sacrebleu.corpus_chrf(lines, [target])
    lower = sacrebleu.corpus_bleu(lines, [target], lowercase=True)
    assert 1 < bleu.score < lower.score < 99
    found = json.loads(ok(capsys, *argv, "--json"))
    want = {"test.bleu": bleu.score, "test.bleu_lc": lower.score, "test.chrf": chrf.score}
    assert found["scores"] == pytest.approx(want, abs=1e-9)
    assert f"  {'test.bleu':32} {bleu.score:6.2f}  nrefs:1|" in printed
    assert found["signatures"]["test.bleu"].startswith("nrefs:1|case:mixed|")
    assert (found["model"], found["sentences"], found["beam"]) == ("mine", 20, 1)


@pytest.mark.parametrize(
    "written, said",
    [
        (["un chien"] * 20, ["only 1 of 20 lines that the model wrote differ: it has hardly been"]),
        ([f"x{i}" for i in range(20)], []),
        (["x", "y"] * 10, []),  # a tenth
        ([*map(str, range(19)), " "], ["1 of 20 lines that the model wrote is empty: --beam 1"]),
        ([""] * 20, ["20 of 20 lines that the model wrote are empty", "only 1 of 20 lines"]),
    ],
)
def test_what_a_score_does_not_tell_is_said(there, capsys, monkeypatch, written, said):
    found = [types.SimpleNamespace(text=text) for text in written]
    monkeypatch.setattr(pretrained.Pretrained, "translate", lambda self, *_: found)
    assert cli.main(["evaluate", "runs/mine", *TEST, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["sentences"] == 20
    lines = err.splitlines()
    assert len(lines) == len(said) and all(map(str.startswith, lines, said))


def test_few_different_lines_are_no_wonder_where_the_references_are_few():
    found = evaluation.Evaluation("test", [*map(str, range(99))], ["x"] * 99, ["y"] * 99, {})
    assert evaluation.oddities(found) == []
    asked = evaluation.Evaluation("test", ["", *"abc"], ["", *"xyz"], [*"wxyz"], {})
    assert evaluation.oddities(asked) == []  # nothing was asked for


def test_evaluate_keeps_empty_lines_in_their_place(there, tmp_path, capsys):
    (tmp_path / "a.en").write_text("the red dog\n\nthe old cat\n")
    (tmp_path / "a.fr").write_text("le chien rouge\n\nle chat vieux\n")
    files = pair(str(tmp_path / "a.en"), str(tmp_path / "a.fr"))
    ok(capsys, "evaluate", "runs/mine", *files, "--output", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text().split("\n")[1:][0] == ""
    assert (tmp_path / "out").read_text().count("\n") == 3


def looking(order):
    """An `align` whose target word t looks at source word order[t], all of its subwords alike."""

    def align(self, sources, targets):
        found = []
        for source, target in zip(sources, targets, strict=True):
            s, t = (
                evaluation._word_of_each(self, text, i) for i, text in enumerate((source, target))
            )
            words, places = sorted(set(s)), sorted(set(t))
            wanted = [words[order[places.index(y)]] for y in t]
            weights = np.array([[float(x == want) for x in [*s, -1]] for want in wanted])
            found.append(types.SimpleNamespace(weights=weights))
        return found

    return align


def test_align_prints_pharaohs_format(there, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pretrained.Pretrained, "align", looking([2, 0, 1]))
    (tmp_path / "a.tsv").write_text(
        "the red dog\tle chien rouge\n\tle\nthe\t\nthe 日本 dog\tle 日 x\n"
    )
    argv = ["align", "runs/mine", "--tsv", str(tmp_path / "a.tsv")]
    assert ok(capsys, *argv) == "0-1 1-2 2-0\n\n\n0-1 1-2 2-0\n"
    rows = [json.loads(line) for line in ok(capsys, *argv, "--json").splitlines()]
    assert rows[0] == {
        "source": "the red dog", "target": "le chien rouge", "links": [[0, 1], [1, 2], [2, 0]],
    }  # fmt: skip
    assert [row["links"] for row in rows[1:3]] == [[], []]
    said = ok(capsys, *argv, "--output", str(tmp_path / "out"))
    assert said == f"wrote {tmp_path / 'out'}\n"
    assert (tmp_path / "out").read_text() == "0-1 1-2 2-0\n\n\n0-1 1-2 2-0\n"


def test_a_word_that_shows_nothing_keeps_its_place(there, monkeypatch):
    monkeypatch.setattr(pretrained.Pretrained, "align", looking([2, 0, 1]))
    nothing = "\N{ZERO WIDTH SPACE}"
    found = evaluation.links(there, [f"the {nothing} red dog"], [f"{nothing} le chien rouge"])
    assert found == [{(1, 3), (2, 0), (3, 2)}]


def test_align_is_measured_against_known_links(there, tmp_path, capsys, monkeypatch):
    source, target = toy(20, seed=2)
    (tmp_path / "gold").write_text((LINKS + "\n") * 20)
    wpt = [f"{i + 1} {s + 1} {t + 1} S" for i in range(20)
           for s, t in (map(int, link.split("-")) for link in LINKS.split())]  # fmt: skip
    (tmp_path / "wpt").write_text("\n".join(wpt))
    gold = own.gold(tmp_path / "gold", source, target)
    assert own.gold(tmp_path / "wpt", source, target) == gold
    assert (
        gold.sure[0] == gold.possible[0] == {(0, 0), (2, 1), (1, 2), (3, 3), (4, 4), (6, 5), (5, 6)}
    )
    want = evaluation.alignment_error(there, gold).value
    links = [line.split() for line in ok(capsys, "align", "runs/mine", *TEST).splitlines()]
    hits = sum(len({*its} & {*LINKS.split()}) for its in links)
    assert want == pytest.approx(1 - 2 * hits / (sum(map(len, links)) + 20 * 7))
    argv = ["align", "runs/mine", *TEST, "--gold", str(tmp_path / "wpt")]
    assert ok(capsys, *argv) == f"mine on 20 pairs: alignment error rate {want:.4f}\n"
    found = json.loads(ok(capsys, *argv, "--json", "--output", str(tmp_path / "out")))
    assert found["alignment_error_rate"] == want and found["pairs"] == 20
    assert [line.split() for line in (tmp_path / "out").read_text().splitlines()] == links
    monkeypatch.setattr(pretrained.Pretrained, "align", looking([0, 2, 1, 3, 4, 6, 5]))
    assert ok(capsys, *argv) == "mine on 20 pairs: alignment error rate 0.0000\n"


def test_possible_links_are_not_sure(tmp_path):
    (tmp_path / "p").write_text("0-0 1?0\n\n")
    found = own.gold(tmp_path / "p", ["a b", "c"], ["d", "e"])
    assert found.sure == ({(0, 0)}, set()) and found.possible == ({(0, 0), (0, 1)}, set())
    (tmp_path / "w").write_text("\n0001 1 1 S\n\n0001 2 1 P 0.5\n")
    assert own.gold(tmp_path / "w", ["a b", "c"], ["d", "e"]) == found


@pytest.mark.parametrize(
    "gold, message",
    [
        ("0-0\n", "gold has 1 lines for 2 pairs of sentences"),
        ("0-0\n0:0\n", "gold, line 2: not a link, as 0-0 or 1?2: '0:0'"),
        ("0-0\n0-1\n", "gold, line 2: no such pair or word: '0-1'"),
        ("1 1 1 S\n3 1 1 S\n", "gold, line 2: no such pair or word: '3 1 1 S'"),
        ("1 1 1 S\n1 0 1 S\n", "gold, line 2: no such pair or word: '1 0 1 S'"),
        ("1 1 1 S\n1 one\n", "gold, line 2: not a link"),
    ],
)
def test_gold_links_that_do_not_fit_are_one_line(there, tmp_path, capsys, gold, message):
    (tmp_path / "gold").write_text(gold)
    (tmp_path / "a.tsv").write_text("a\tb\nc\td\n")
    argv = ["align", "runs/mine", "--tsv", str(tmp_path / "a.tsv")]
    assert message in fails(capsys, *argv, "--gold", str(tmp_path / "gold"))


@pytest.mark.parametrize(
    "argv, message",
    [
        (["align", "runs/mine"], "give --source FILE and --target FILE, or --tsv FILE alone"),
        (["align", "runs/mine", "--source", "test.en"], "give --source FILE and --target FILE, or"),
        (["evaluate", "runs/mine", "--target", "test.fr"], "give --source FILE and --target FILE,"),
        (["evaluate", "runs/mine", *TEST, "--tsv", "x"], "or --tsv FILE alone"),
        (["align", "runs/mine", *TEST, "--output", "no/x"], "no folder no to write to"),
        (["align", "scenes-soft", *TEST], "scenes-soft is a captioner and does not translate"),
        (["evaluate", "scenes-soft", *TEST], "scenes-soft is a captioner and does not translate"),
        (["align", "en-fr-fixed", *TEST], "en-fr-fixed has no attention, so it aligns nothing"),
        (["translate", "--model", "runs/nix", "x"], "there is no folder runs/nix; finished models"),
        (["info", "no/where"], "there is no folder no/where\n"),
        (
            ["translate", "--model", "runs", "x"],
            "unknown model 'runs', a folder without a finished",
        ),
    ],
)
def test_what_cannot_be_evaluated_or_aligned_is_one_line(there, capsys, argv, message):
    assert message in fails(capsys, *argv)


def test_a_long_sentence_is_named_by_its_line(there):
    with pytest.raises(ValueError, match="the target of pair 3 has 250 subwords, the limit is 199"):
        evaluation.links(there, ["a", "", "a"], ["b", "c", "le " * 250])
    with pytest.raises(ValueError, match="2 sources but 1 targets"):
        evaluation.links(there, ["a", "b"], ["c"])


def test_json_says_what_the_lines_say(there, capsys):
    sentences = ["the red dog sees a cat", ""]
    argv = ["translate", "--model", "runs/mine", *sentences]
    lines = ok(capsys, *argv).splitlines()
    rows = [json.loads(line) for line in ok(capsys, *argv, "--json", "--alignment").splitlines()]
    assert [row["translation"] for row in rows] == lines
    assert [row["source"] for row in rows] == sentences
    assert rows[0]["target_words"] == lines[0].split()
    assert np.shape(rows[0]["weights"]) == (len(lines[0].split()), 6)
    assert rows[1]["weights"] == []
    (row, empty) = (
        json.loads(line)
        for line in ok(
            capsys, "compare", "--models", "runs/mine", *sentences, "--json"
        ).splitlines()
    )
    assert row["translations"] == {"runs/mine": lines[0]} and row["log_p"]["runs/mine"] < 0
    assert empty["log_p"] == {"runs/mine": None}
    assert json.loads(ok(capsys, "info", "runs/mine", "--json")) == there.card
    rows = [json.loads(line) for line in ok(capsys, "info", "--json").splitlines()]
    assert [row["name"] for row in rows] == pretrained.names()


def test_a_card_of_two_equal_languages_has_the_signs_of_both(here):
    (here / "a.tsv").write_text("".join(f"dog {i}!\tcat {i}?\n" for i in range(40)))
    config = own_runs.config("mine", "recurrent", ["a.tsv"], (), ("en", "en"))
    assert training.shipping.signs(config) == {"en": "!?"}


def test_a_test_set_of_ones_own_is_a_corpus(there):
    source, target = toy(5, seed=2)
    found = evaluation.evaluate(there, test=Corpus(source, target, ("en", "fr")), name="mine")
    assert list(found.scores) == ["mine.bleu", "mine.bleu_lc", "mine.chrf"]
    assert found.references == target and torch.is_inference_mode_enabled() is False

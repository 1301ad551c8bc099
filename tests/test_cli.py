"""attnlib.cli: what it prints, and one line for everything that goes wrong."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from attnlib import cli, metrics, pretrained, storage, text
from attnlib.data import corpora
from attnlib.data.tokenizer import EOS, Tokenizer
from attnlib.decoding import beam_search
from attnlib.settings import make_translator

SENTENCES = ["A man in a red shirt rides a bike.", "Two dogs run.", "A dog runs on the red grass."]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Two tiny models, one without attention."""
    folder = tmp_path_factory.mktemp("weights")
    tokenizer = Tokenizer.train(SENTENCES * 5, vocab_size=60)
    for name, score in (("en-fr-bahdanau", "additive"), ("en-fr-fixed", None)):
        arguments = {"vocab_size": len(tokenizer), "width": 8, "hidden": 6, "score": score}
        torch.manual_seed(4)
        model = make_translator(**arguments)
        model.bias.data[: tokenizer.unk + 1] = -9.0  # words, please
        card = {
            "name": name,
            "languages": ["en", "fr"],
            "model": arguments,
            "metrics": {"test_2016_flickr.bleu": 12.345},
            "signatures": {"test_2016_flickr.bleu": "nrefs:1|case:mixed"},
            "limits": "knows nothing",
        }
        storage.save(folder / name, model, tokenizer, card)
    return folder


@pytest.fixture(autouse=True)
def shipped(weights, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", weights)


def ok(capsys, *argv):
    assert cli.main(list(argv)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def fails(capsys, *argv):
    """The one line that explains it."""
    try:
        code = cli.main(list(argv))
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("attnlib")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_translate_prints_a_line_a_sentence(capsys):
    want = [t.text for t in pretrained.load("en-fr-bahdanau").translate(SENTENCES)]
    assert ok(capsys, "translate", *SENTENCES).split("\n")[:-1] == want


def test_translate_reads_lines_and_keeps_empty_ones(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Two dogs run.\n\nTwo\u2028dogs.\n"))
    lines = ok(capsys, "translate", "--beam", "1").split("\n")
    assert len(lines) == 4
    assert lines[1] == ""
    model = pretrained.load("en-fr-bahdanau")
    assert lines[0] == model.translate(["Two dogs run."], beam=1)[0].text


def test_translate_with_a_folder_of_ones_own(capsys, weights, tmp_path, monkeypatch):
    want = ok(capsys, "translate", SENTENCES[0])
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    assert ok(capsys, "translate", "--model", str(weights / "en-fr-bahdanau"), SENTENCES[0]) == want


def test_alignment_names_the_word_with_most_weight(capsys):
    (found,) = pretrained.load("en-fr-bahdanau").translate(SENTENCES[1:2])
    lines = ok(capsys, "translate", SENTENCES[1], "--alignment").split("\n")
    assert lines[0] == found.text
    indices = metrics.word_indices(found.source_tokens), metrics.word_indices(found.target_tokens)
    weights = metrics.word_weights(found.weights, *indices)
    rows = [line for line in lines[1:] if "0." in line]
    assert len(rows) == len(weights) == len(found.text.split())
    for line, word, row in zip(rows, found.text.split(), weights):
        got, weight, source = line.split()[:3]
        assert (got, weight) == (word, f"{row.max():.2f}")
        assert source == SENTENCES[1].split()[row.argmax()]


def test_alignment_text_by_hand():
    weights = np.array([[0.25, 0.75, 0.0], [0.001, 0.0, 0.996], [0.0, 0.0, 0.0]])
    wide = text.alignment_text(weights, ["the", "red", "bicycle"], ["le", "vélo", "नमस्ते"], width=80)
    assert wide.split("\n") == [
        "                       the red bicycle",
        "le    0.75  red         25  75       .",
        "vélo  1.00  bicycle      .   .     100",
        "नमस्ते                     .   .       .",
    ]
    narrow = text.alignment_text(weights, ["the", "red", "bicycle"], ["le", "vélo", "x"], width=30)
    assert narrow.split("\n") == ["le    0.75  red", "vélo  1.00  bicycle", "x"]
    assert text.alignment_text(np.zeros((0, 2)), ["the", "red"], [], width=20) == ""


def test_compare_sets_all_models_of_a_pair_side_by_side(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    blocks = ok(capsys, "compare", *SENTENCES[:2]).split("\n\n")
    assert len(blocks) == 2
    names = ["en-fr-bahdanau", "en-fr-fixed"]
    models = [pretrained.load(name) for name in names]
    for sentence, block in zip(SENTENCES, blocks):
        heading, *rows = block.rstrip("\n").split("\n")
        column = heading.index(sentence)
        assert heading.split() == ["log", "p", *sentence.split()]
        assert [row.split()[0] for row in rows] == names
        for row, model in zip(rows, models, strict=True):
            found = model.translate([sentence])[0]
            assert row[column:] == found.text and row[column - 1] == " "
            source = torch.tensor([[*model.tokenizer.encode(sentence), EOS]])
            length = torch.tensor([source.shape[1]])
            ((best, *_),) = beam_search(model.model, source, length, 2 * int(length) + 10)
            assert model.tokenizer.decode(best.ids) == found.text
            assert row.split()[1] == f"{best.logprob / (len(best.ids) + 1):.2f}"


def test_compare_takes_named_models_in_their_order_and_lines(capsys, weights, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Two dogs run.\n\n"))
    folder = str(weights / "en-fr-bahdanau")
    out = ok(capsys, "compare", "--models", f"en-fr-fixed, {folder},en-fr-fixed", "--beam", "1")
    first, empty = out.split("\n\n")
    rows = first.split("\n")[1:]
    assert [row.split()[0] for row in rows] == ["en-fr-fixed", folder]
    for row, name in zip(rows, ("en-fr-fixed", "en-fr-bahdanau")):
        (want,) = pretrained.load(name).translate(["Two dogs run."], beam=1)
        assert row.endswith("  " + want.text)
    assert empty.rstrip("\n").split("\n")[1:] == ["en-fr-fixed", folder]


def test_comparison_text_by_hand():
    wide = pretrained.Translation("x", "मुलगा धावतो", [], ["a", "b"], np.zeros((2, 1)), -3.0)
    none = pretrained.Translation("x", "", [], [], np.zeros((0, 1)), -1.0)
    found = {"en-mr": wide, "b": none}
    mean = -3.0 * (8 / 6) ** 0.6 / 3  # the length penalty taken off, over two subwords and </s>
    assert text.comparison_text("a boy runs", found, width=0).split("\n") == [
        "        log p  a boy runs",
        f"en-mr   {mean:.2f}  मुलगा धावतो",
        "b",
    ]
    assert text.comparison_text("a boy runs", found, width=21).split("\n") == [
        "        log p  a boy",
        "               runs",
        f"en-mr   {mean:.2f}  मुलगा",
        "               धावतो",
        "b",
    ]


def test_plot_writes_a_figure(capsys, tmp_path):
    path = tmp_path / "out.svg"
    assert cli.main(["translate", SENTENCES[1], "--plot", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err == f"wrote {path}\n"
    assert "<svg" in path.read_text()


def test_plot_draws_dollars_and_says_in_a_line_what_no_font_has(capsys, tmp_path, monkeypatch):
    from attnlib import plotting

    monkeypatch.setattr(plotting, "_fallbacks", lambda missing: ([], missing))
    path = tmp_path / "out.png"
    monkeypatch.setattr(
        text, "words_and_weights", lambda found: (np.eye(2), ["$$", "million"], ["मुलगा", "$5-$10"])
    )
    assert cli.main(["translate", "it costs $$ million .", "--plot", str(path)]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("attnlib: no installed font has ग म ल ा ु: boxes stand for them")
    assert second == f"wrote {path}"


def test_evaluate_prints_the_scores_and_writes_the_translations(capsys, tmp_path, monkeypatch):
    references = ["Un homme.", "Deux chiens courent.", "Un chien court."]
    corpus = corpora.Corpus(SENTENCES, references, ("en", "fr"))
    monkeypatch.setattr(corpora, "multi30k", lambda split, source, target: corpus)
    monkeypatch.setattr(corpora, "multi30k_tokenised", lambda _: metrics.moses(references, "fr"))
    path = tmp_path / "hyp.txt"
    out = ok(
        capsys, "evaluate", "en-fr-fixed", "--limit", "2", "--beam", "1", "--output", str(path)
    )
    assert out.startswith("en-fr-fixed on 2 sentences of test_2016_flickr, beam 1\n")
    want = [t.text for t in pretrained.load("en-fr-fixed").translate(SENTENCES[:2], beam=1)]
    assert path.read_text(encoding="utf-8") == "".join(line + "\n" for line in want)
    bleu = metrics.bleu(want, references[:2])
    assert f"test_2016_flickr.bleu {bleu.value:17.2f}  {bleu.signature}\n" in out
    assert [line.split()[0].split(".")[1] for line in out.split("\n")[1:5]] == [
        "bleu", "bleu_lc_tok", "bleu_lc", "chrf"]  # fmt: skip


def test_info_lists_the_models_and_shows_a_card(capsys, weights):
    lines = ok(capsys, "info").split("\n")
    assert lines[0].split() == [
        "en-fr-bahdanau", "en", "to", "fr", "test_2016_flickr.bleu", "12.3"]  # fmt: skip
    for name in ("en-fr-fixed", str(weights / "en-fr-fixed")):
        card = ok(capsys, "info", name)
        assert "limits: knows nothing\n" in card
        assert "  test_2016_flickr.bleu: 12.35  (nrefs:1|case:mixed)\n" in card


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "required: COMMAND"),
        (["dream"], "invalid choice: 'dream'"),
        (["translate", "--beam", "five", "x"], "invalid int value: 'five'"),
        (["translate", "--beam", "0", "x"], "beam must be at least 1, got 0"),
        (["translate", "--model", "en-fr-huge", "x"], "unknown model 'en-fr-huge'; models: en"),
        (["translate", "--model", "en-ja-rnn", "x"], "no model for the language pair en-ja"),
        (["translate", "dog " * 500], "subwords, the limit is 199"),
        (["translate", "--model", "en-fr-fixed", "--alignment", "x"], "has no attention"),
        (["translate", "--plot", "out.svg", "x", "y"], "--plot draws one sentence, got 2"),
        (["translate", "--plot", "out.xyz", "x"], "--plot writes .svg, .png or .pdf, got"),
        (["translate", "--plot", "nowhere/out.svg", "x"], "no folder nowhere to write to"),
        (["translate", "--plot", "out.svg", ""], "translation is empty: nothing to draw"),
        (["compare", "--beam", "0", "x"], "beam must be at least 1, got 0"),
        (["compare", "--models", "en-fr-huge", "x"], "unknown model 'en-fr-huge'; models: en"),
        (["compare", "--models", "en-fr-fixed,,", "x"], "unknown model ''; models: en"),
        (["compare", "--pair", "en-ja", "x"], "no model for the language pair en-ja; pairs: en-fr"),
        (["compare", "--pair", "en", "x"], "no model for the language pair en; pairs: en-fr"),
        (["compare", "--pair", "en-fr", "--models", "en-fr-fixed", "x"], "not allowed with"),
        (["compare", "two dogs", "dog " * 500], "subwords, the limit is 199"),
        (["evaluate", "en-fr-fixed", "--output", "nowhere/x"], "no folder nowhere to write to"),
        (["evaluate", "en-fr-fixed", "--limit", "0"], "limit must be at least 1, got 0"),
        (["info", "nothing"], "unknown model 'nothing'"),
    ],
)  # fmt: skip
def test_every_error_is_one_line_and_exit_code_2(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    if argv[-1:] == [""]:  # the empty translation is printed before the figure fails
        with pytest.raises(AssertionError):
            fails(capsys, *argv)
        assert cli.main(argv) == 2
        assert message in capsys.readouterr().err
    else:
        assert message in fails(capsys, *argv)


def test_damaged_weights_are_one_line(capsys, weights, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in (weights / "en-fr-fixed").iterdir():
        (folder / file.name).write_bytes(file.read_bytes()[: 99 if "safe" in file.name else None])
    assert "is truncated or altered" in fails(capsys, "translate", "--model", str(folder), "x")


def test_no_network_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("ATTNLIB_DATA", raising=False)
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path))
    import pooch

    def refuse(self, url, file, _):
        raise ConnectionError("no route to host\nsecond line")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", refuse)
    message = fails(capsys, "evaluate", "en-fr-fixed")
    assert "could not download multi30k/test_2016_flickr." in message
    assert str(tmp_path / "multi30k") in message


def test_a_message_of_several_lines_becomes_one(capsys, monkeypatch):
    def load(name):
        raise RuntimeError("Error(s) in loading:\n\tmissing key")

    monkeypatch.setattr(pretrained, "load", load)
    assert fails(capsys, "translate", "x") == "attnlib: Error(s) in loading: missing key\n"


@pytest.mark.parametrize("command", ["translate", "compare"])
@pytest.mark.parametrize(
    "stdin, locale, message",
    [
        (b"caf\xe9\n", "C.UTF-8", "standard input is not UTF-8 text (byte 0xe9): convert it"),
        (b"caf\xe9\n", "C", "standard input is not UTF-8 text (byte 0xe9): convert it"),
        (None, "C.UTF-8", "standard input is closed: give the sentences as arguments"),
    ],
)
def test_input_that_is_no_text_is_one_line(command, stdin, locale, message):
    """In a process of its own: only there are bytes read as a locale has it."""
    line = f"{sys.executable} -m attnlib.cli {command}" + (" <&-" if stdin is None else "")
    environment = {**os.environ, "LC_ALL": locale}
    run = subprocess.run(line, shell=True, input=stdin, capture_output=True, env=environment)
    assert run.returncode == 2
    assert run.stderr.decode().startswith(f"attnlib: {message}")
    assert run.stderr.count(b"\n") == 1 and run.stdout == b""


def test_a_byte_order_mark_and_undecodable_arguments(capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfTwo dogs run.\r\n"), encoding="latin-1")
    monkeypatch.setattr(sys, "stdin", stream)
    assert ok(capsys, "translate") == ok(capsys, "translate", "Two dogs run.")
    assert "sentence 1 is not UTF-8 text: byte 0xe9" in fails(capsys, "translate", "caf\udce9")


@pytest.mark.parametrize(
    "letters, columns",
    [
        ("abc", 3),
        ("日本", 4),
        ("e\N{COMBINING ACUTE ACCENT}", 1),
        ("\U0001f469\u200d\U0001f680 mène", 7),  # an astronaut: three characters, one sign
        ("\N{ZERO WIDTH SPACE}a", 1),
        ("a\x07b", 2),
    ],
)
def test_columns_are_counted_as_a_terminal_does(letters, columns):
    assert text._width(letters) == columns
    assert text._fill(letters, 9) == letters + " " * (9 - columns)


def test_train_hands_its_arguments_to_training(monkeypatch):
    seen = []
    from attnlib import training

    monkeypatch.setattr(training, "main", seen.append, raising=False)
    assert cli.main(["train", "--run", "x", "--help"]) == 0
    assert seen == [["--run", "x", "--help"]]


def test_help_is_quick_because_torch_stays_out():
    code = (
        "import sys; from attnlib import cli; sys.argv = ['attnlib', '--help']\ntry: cli.main()\n"
    )
    code += "except SystemExit: assert not {'torch', 'matplotlib', 'tokenizers'} & {*sys.modules}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("translate", "compare", "align", "caption", "evaluate", "train", "info"):
        assert command in run.stdout


def test_a_closed_pipe_is_no_error(capsys, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return duplicate

    duplicate = os.dup(1)
    monkeypatch.setattr(sys, "stdout", Closed())
    assert cli.main(["info"]) == 0
    assert capsys.readouterr().err == ""

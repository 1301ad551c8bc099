"""book/results/instruments.py in small: erasures, gradients, moved weights, against loops."""

import json

import _blanked
import _erasure
import _same_output
import instruments as script
import numpy as np
import pytest
import torch
from _erasure import Asked

from attnlib import metrics, pretrained
from attnlib.attention import Attention
from attnlib.data import scenes
from attnlib.data.images import as_floats
from attnlib.metrics import pointing
from attnlib.scores import AdditiveScore, GeneralScore
from attnlib.seq2seq import Translator
from attnlib.transformer import Transformer

COMPETE = "weights, source words compete"
# two source words of two subwords and one, </s>; three target words
PAIR = Asked([5, 6, 7, 2], [8, 9, 4, 5], [0, 0, 1, None], [0, 1, 1, 2])
CLOSE = {"rtol": 0, "atol": 1e-10}  # float64, as every model here


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def bahdanau():
    return Translator(10, 4, hidden=5, attention=Attention(AdditiveScore(5, 10, 5))).double().eval()


def luong():
    attention = Attention(GeneralScore(5, 10))
    model = Translator(10, 4, hidden=5, attention=attention, timing="after", feeding="input")
    return model.double().eval()


def transformer():
    return Transformer(10, 8, layers=2, heads=2, feed_forward=16).double().eval()


MODELS = [bahdanau, luong, transformer]


def of_words(model, source, target=PAIR.target, words=PAIR.target_words, wanted=None):
    """Log-probability of each target word, one sentence by itself."""
    with torch.no_grad():
        logits, _ = model(
            torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([[1, *target]])
        )
    found = np.zeros(1 + max(words))
    for t, (word, i) in enumerate(zip(words, wanted or target, strict=True)):
        found[word] += float(logits[0, t].log_softmax(-1)[i])
    return found


@pytest.mark.parametrize("make", MODELS)
def test_a_deleted_word_is_not_there(make):
    model = make()
    whole = of_words(model, PAIR.source)
    found = _erasure.without(model, PAIR)
    np.testing.assert_allclose(found[:, 0], whole - of_words(model, [7, 2]), **CLOSE)
    np.testing.assert_allclose(found[:, 1], whole - of_words(model, [5, 6, 2]), **CLOSE)
    found = _erasure.without(model, PAIR, 3)
    np.testing.assert_allclose(found[:, 0], whole - of_words(model, [3, 3, 7, 2]), **CLOSE)
    assert found.shape == PAIR.size == (3, 2)


def hide(monkeypatch, model, hidden, at=None):
    """Let no attention to the source see some subwords, or none at one step."""
    if isinstance(model, Transformer):
        for block in model.decoder.stack.blocks:
            honest = block.cross_attention.attend

            def attend(queries, prepared, mask, honest=honest, **rest):
                mask = mask.clone()
                mask[..., hidden] = False
                return honest(queries, prepared, mask, **rest)

            monkeypatch.setattr(block.cross_attention, "attend", attend)
        return
    honest = model.decoder.attend

    def attend(query, memory, position):
        mask = memory.mask.clone()
        if at in (None, position):
            mask[:, hidden] = False
        return honest(query, memory._replace(mask=mask), position)

    monkeypatch.setattr(model.decoder, "attend", attend)


@pytest.mark.parametrize("make", MODELS)
def test_a_masked_word_is_read_and_never_attended_to(make, monkeypatch):
    model = make()
    found, whole = _erasure.masked(model, PAIR), of_words(model, PAIR.source)
    for word, hidden in enumerate(([0, 1], [2])):
        hide(monkeypatch, model, hidden)
        np.testing.assert_allclose(found[:, word], whole - of_words(model, PAIR.source), **CLOSE)
        monkeypatch.undo()


@pytest.mark.parametrize("make", [bahdanau, luong])
def test_a_word_masked_once_is_hidden_from_one_step(make, monkeypatch):
    model = make()
    found = _erasure.masked_once(model, PAIR)
    separate = list(range(4))  # each subword a word of its own
    whole = of_words(model, PAIR.source, words=separate)
    for word, hidden in enumerate(([0, 1], [2])):
        lost = []
        for t in separate:
            hide(monkeypatch, model, hidden, at=t)
            lost.append(whole[t] - of_words(model, PAIR.source, words=separate)[t])
            monkeypatch.undo()
        want = [lost[0], lost[1] + lost[2], lost[3]]
        np.testing.assert_allclose(found[:, word], want, **CLOSE)


@pytest.mark.parametrize("make", MODELS)
def test_gradients_are_those_of_finite_steps_of_the_source_words(make):
    model, step = make(), 1e-6
    ids, lengths = torch.tensor([PAIR.source]), torch.tensor([len(PAIR.source)])
    embedded = model.embedding(ids).detach()
    memory = _erasure.encode_embedded(model, embedded)
    torch.testing.assert_close(memory, model.encode(ids, lengths), **CLOSE)

    def words(scaled):
        with torch.no_grad():
            vectors, _ = model.decode(_erasure.encode_embedded(model, scaled), PAIR.given)
            logs = model.output(vectors[0]).log_softmax(-1)
        lost = [float(logs[t, i]) for t, i in enumerate(PAIR.target)]
        return np.array([lost[0], lost[1] + lost[2], lost[3]])

    found = _erasure.gradients(model, PAIR)
    for word, places in enumerate(([0, 1], [2])):
        more, less = embedded.clone(), embedded.clone()
        more[:, places] *= 1 + step
        less[:, places] *= 1 - step
        slope = (words(more) - words(less)) / (2 * step)
        np.testing.assert_allclose(found[:, word], slope, rtol=0, atol=1e-7)


def test_a_word_from_elsewhere_takes_the_place_of_each():
    model, other = bahdanau(), Asked([5, 2], [6, 7], [0, None], [0, 1])
    found = _erasure.elsewhere(model, PAIR, other)
    wanted = [6, 7, 6, 7]
    separate = list(range(4))
    whole, shorter = (
        of_words(model, source, words=separate, wanted=wanted) for source in (PAIR.source, [7, 2])
    )
    np.testing.assert_allclose(found[:, 0], (whole - shorter)[[0, 1, 3]], **CLOSE)


def test_a_word_is_the_models_own_if_all_its_subwords_are_likeliest():
    model = bahdanau()
    with torch.no_grad():
        model.bias[:] = 0
        model.bias[9] = 50.0
    assert _erasure.likeliest(model, PAIR).tolist() == [False, False, False]
    pair = Asked(PAIR.source, [9, 9, 4, 9], PAIR.source_words, PAIR.target_words)
    assert _erasure.likeliest(model, pair).tolist() == [True, False, True]


def test_a_row_is_read_by_the_word_that_it_writes_or_is_fed():
    rows = torch.arange(20.0).view(5, 4) / 20
    found = _erasure.between_words(rows, PAIR)
    want = [[0.05, 0.10], [(9 + 17) / 2 / 20, (6 + 10) / 2 / 20], [25 / 20, 14 / 20]]
    np.testing.assert_allclose(found, want, atol=1e-6)
    fed = _erasure.between_words(rows, PAIR, fed=True)
    np.testing.assert_allclose(fed, _erasure.between_words(rows.roll(-1, 0), PAIR), atol=1e-6)


def test_the_weights_of_a_transformer_are_those_of_its_blocks():
    model = transformer()
    found = _erasure.transformer_weights(model, PAIR)
    with torch.no_grad():
        _, weights = model(
            torch.tensor([PAIR.source]), torch.tensor([4]), torch.tensor([[1, *PAIR.target]])
        )
    want = metrics.word_weights(weights[0, :-1], PAIR.source_words, PAIR.target_words)
    np.testing.assert_allclose(found["weights, block 2"], want, **CLOSE)
    both = found["weights, block 1"] + found["weights, block 2"]
    np.testing.assert_allclose(found["weights, mean of blocks"], both / 2, **CLOSE)


def test_kendall_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (6, 7)).astype(float), rng.integers(0, 4, (6, 7)) / 3
    want = [stats.kendalltau(x, y).statistic for x, y in zip(first, second)]
    np.testing.assert_allclose(_erasure.kendall(first, second), want, atol=1e-12)
    assert np.isnan(_erasure.kendall(np.ones((1, 3)), np.arange(3.0)[None])).all()


def test_which_words_are_erased():
    weights = np.array([[0.1, 0.5, 0.05, 0.2, 0.0], [0.9, 0.1, 0.0, 0.0, 0.0]])
    sure, possible = {(0, 3)}, {(0, 3), (0, 4), (1, 2)}
    frequency = np.log([1.5, 9.0, 8.0, 1.0, 1.0])
    first, second = script.per_word(weights, sure, possible, frequency)
    assert first == {
        "most attended": [1],
        "second": [3],
        "another": [0, 2, 3, 4],
        "another, as frequent": [2],
        "beside the most attended": [0, 2],
        "gold": [3],
        "another, as frequent as gold": [0],
        "beside gold": [2],
    }
    assert second["another, as frequent"] == [3] and second["gold"] == second["beside gold"] == []
    links = [script.linked(top, t, sure, possible) for t, top in ((0, 3), (0, 1), (1, 2), (1, 0))]
    assert links == ["sure", "not linked, another is", "possible", "not linked, none is"]


def test_means_and_differences_are_over_the_words_that_have_both():
    rows = [
        {"sentence": i, "lost": {"masked": lost}, "worst": {"masked": worst}}
        for i, lost, worst in (
            (0, {"most attended": 3.0, "gold": 1.0}, True),
            (0, {"most attended": 1.0}, False),
            (1, {"most attended": 2.0, "gold": 3.0, "beside gold": 1.0}, False),
        )
    ]
    found = script.erased(rows, "masked")
    assert found["words"] == 3 and found["sentences"] == 2
    assert found["mean"]["most attended"][0] == 2.0 and found["mean"]["gold"][0] == 2.0
    assert found["most attended less"]["gold"][0] == 0.5  # 2 and -1
    assert found["gold less beside gold"] is None  # of one sentence
    assert found["most attended is worst"][0] == pytest.approx(1 / 3, abs=1e-4)


# Pictures -----------------------------------------------------------------------------------------


def test_cells_go_row_by_row_and_back():
    images = torch.rand(2, 3, 8, 8)
    cells = _blanked.to_cells(images, 2, 4)
    torch.testing.assert_close(cells[1, 5], images[1, :, 4:8, 2:4].flatten(), rtol=0, atol=0)
    torch.testing.assert_close(_blanked.to_images(cells, 2, 4, 8), images, rtol=0, atol=0)


def test_blanking_a_cell_puts_the_background_there_and_nowhere_else():
    image, bare = torch.rand(3, 8, 8), torch.zeros(3, 8, 8)
    chosen = torch.zeros(1, 8, dtype=torch.bool)
    chosen[0, 5] = True
    (found,) = _blanked.blanked(image, bare, chosen, (2, 4))
    want = image.clone()
    want[:, 4:8, 2:4] = 0
    torch.testing.assert_close(found, want, rtol=0, atol=0)


@pytest.fixture(scope="module")
def seen():
    """One scene whose caption has two nouns, as the shipped captioner sees it."""
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test")
    number = next(
        i
        for i in range(99)
        if pointing.word_classes(test.grammar, test.sample(i).captions[0].words).count("noun") == 2
    )
    sample = test.sample(number)
    bare, _ = scenes.draw([], test.rng(number))
    return model, sample, bare, _blanked.look(model, sample, bare, sample.captions[0])


def test_what_a_blanked_cell_costs_is_read_off_a_blanked_picture(seen):
    model, sample, bare, looked = seen
    words = sample.captions[0].words
    ids = [model.tokenizer.encode(word)[0] for word in words]

    def logs(image):
        with torch.no_grad():
            logits, _ = model.model(
                as_floats(image)[None], torch.tensor([64]), torch.tensor([[1, *ids]])
            )
        return logits[0, :-1].log_softmax(-1)

    whole = logs(sample.image)
    cell = int(looked.lost.max(0).argmax())
    rows, columns = (slice(8 * k, 8 * k + 8) for k in divmod(cell, 8))
    image = sample.image.copy()
    image[rows, columns] = bare[rows, columns]
    without = logs(image)
    lost = [float(whole[t, i] - without[t, i]) for t, i in enumerate(ids)]
    np.testing.assert_allclose(looked.lost[:, cell], lost, atol=1e-4)  # float32, other batches
    changed = (whole.argmax(-1) != without.argmax(-1)).numpy()
    assert (looked.changed[:, cell] == changed).all()
    t = next(t for t, named in enumerate(sample.captions[0].things) if named)
    image = sample.image.copy()
    for thing in sample.captions[0].things[t]:
        for row, column in zip(*np.nonzero(sample.masks[thing]), strict=True):
            rows, columns = (slice(8 * (k // 8), 8 * (k // 8) + 8) for k in (row, column))
            image[rows, columns] = bare[rows, columns]
    assert looked.whole[t] == pytest.approx(
        float(whole[t, ids[t]] - logs(image)[t, ids[t]]), abs=1e-4
    )


def test_only_nouns_are_marked_and_the_background_costs_nothing_where_nothing_is(seen):
    _, sample, bare, looked = seen
    nouns = [t for t, named in enumerate(looked.record.things) if named]
    its = sample.captions[0]
    assert [its.things[t] for t in nouns] == [looked.record.things[t] for t in nouns]
    assert {its.words[t] for t in nouns} <= {
        x for t in sample.things for x in (t.noun, t.noun + "s")
    }
    same = (
        _blanked.to_cells(as_floats(sample.image)[None], 8, 8)[0]
        == (_blanked.to_cells(as_floats(bare)[None], 8, 8)[0])
    ).all(-1)
    assert same.any() and np.abs(looked.lost[:, same.numpy()]).max() < 1e-4
    own = _blanked.marks([looked])["weights"][0]
    assert own == [hit for hit in pointing.hits(looked.record) if hit is not None]
    swapped = _blanked.marks([looked], swapped=True)
    places = list(range(len(looked.lost)))
    places[nouns[0]], places[nouns[1]] = nouns[1], nouns[0]
    exchanged = pointing.with_weights(looked.record, looked.found["weights"][places])
    want = [hit for hit in pointing.hits(exchanged) if hit is not None]
    assert swapped["weights"][0] == want


# Other weights, the same output -------------------------------------------------------------------


def test_weight_moves_freely_between_copies():
    values = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 5.0], [3.0, 0.0]])
    weights = np.array([0.7, 0.0, 0.2, 0.1])
    assert _same_output.least_top(values, weights) == pytest.approx(0, abs=1e-9)
    far = _same_output.furthest(values, weights)
    np.testing.assert_allclose(far, [0, 0.7, 0.2, 0.1], atol=1e-7)


def test_weights_that_are_identifiable_do_not_move():
    values, weights = np.random.default_rng(0).normal(size=(4, 3)), np.array([0.4, 0.3, 0.2, 0.1])
    assert _same_output.least_top(values, weights) == pytest.approx(0.4, abs=1e-7)
    np.testing.assert_allclose(_same_output.furthest(values, weights), weights, atol=1e-6)


@pytest.mark.parametrize("slack", [0.0, 0.01])
def test_moved_weights_are_weights_with_the_same_output(slack):
    rng = np.random.default_rng(1)
    values, weights = rng.normal(size=(12, 3)), rng.dirichlet(np.ones(12))
    far = _same_output.furthest(values, weights, slack)
    assert far.min() >= 0 and far.sum() == pytest.approx(1, abs=1e-6)
    moved = np.linalg.norm((far - weights) @ values) / np.linalg.norm(weights @ values)
    assert moved <= slack + 1e-6
    distance = np.abs(far - weights).sum() / 2
    assert distance > 0.3 and distance > weights.max() - _same_output.least_top(
        values, weights, slack
    )


def test_a_long_source_has_its_length_and_its_end():
    model = pretrained.load("en-fr-transformer")
    found = _same_output.long_source(model, ["A man runs.", "A dog sleeps."], 7)
    assert len(found) == 7 and found[-1] == 2
    assert found[:-1] == [*model.ids("A man runs."), *model.ids("A dog sleeps.")][:6]
    with pytest.raises(ValueError, match="not 70"):
        _same_output.long_source(model, ["A man runs."], 70)


# The file -----------------------------------------------------------------------------------------


def test_the_file_agrees_with_what_was_measured_before():
    """Raw weights and competing ones have the error of ``hansards.json``, by another way there."""
    found = json.loads(script.RESULTS.read_text(encoding="utf-8"))["debates"]
    before = json.loads(script.measured.RESULTS.read_text(encoding="utf-8"))
    errors = {row["what"]: row["error"] for row in found["alignment"]}
    for mine, its in (("weights", "attention"), (COMPETE, f"attention{COMPETE[7:]}")):
        (row,) = [row for row in before["rows"] if row["what"] == its]
        assert errors[mine] == pytest.approx([row["value"], row["low"], row["high"]], abs=2e-4)
    assert found["sha256"] == before["sha256"] and found["sentences"] == before["sentences"]


def test_each_word_of_the_file_is_in_one_group():
    found = json.loads(script.RESULTS.read_text(encoding="utf-8"))["debates"]
    parts = {name: each["words"] for name, each in found["erased"]["deleted"].items()}
    links = ("sure", "possible", "not linked, another is", "not linked, none is")
    weights = [name for name in parts if name.startswith("weight") and "," not in name]
    assert len(weights) == len(script.WEIGHTS) - 1
    for names in (links, weights):
        assert sum(parts[name] for name in names) == parts["all"] == found["target_words"]
    assert sum(parts[f"own, {name}"] for name in links) == parts["own"] == found["own_words"]


def test_cells_beside_are_those_that_share_a_side_or_a_corner():
    cells = torch.rand(5, 12) < 0.2
    found = _blanked.beside(cells, (3, 4))
    for t in range(5):
        for s in range(12):
            near = (
                cells[t, 4 * row + column]
                for row in range(max(0, s // 4 - 1), min(3, s // 4 + 2))
                for column in range(max(0, s % 4 - 1), min(4, s % 4 + 2))
            )
            assert bool(found[t, s]) == any(near)


def test_the_cells_that_a_look_may_not_read_may_be_given(seen):
    model, sample, _, looked = seen
    ids = [model.tokenizer.encode(word)[0] for word in sample.captions[0].words]
    words, image = _blanked.collate([([], ids)]), as_floats(sample.image)
    most = torch.from_numpy(looked.found["weights"]).argmax(1)
    given = torch.nn.functional.one_hot(most, 64).bool()
    again = _blanked.hidden(model, image, words, given)
    np.testing.assert_allclose(again, looked.hidden, rtol=0, atol=1e-6)
    nothing = _blanked.hidden(model, image, words, torch.zeros_like(given))
    assert np.abs(nothing).max() == 0


def test_as_many_others_lie_elsewhere():
    cells = torch.rand(50, 12) < torch.linspace(0, 1, 50)[:, None]
    found = _blanked.as_many_others(cells)
    assert not (found & cells).any()
    assert torch.equal(found.sum(1), cells.sum(1).minimum(12 - cells.sum(1)))

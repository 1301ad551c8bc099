"""What the scripts of book/results compute, in small: held against loops, one sentence at a time.

The scripts themselves run for minutes to hours. Here their parts are given a model that is not
trained, or one whose answers are known.
"""

import json
import math
import random
import sys
from types import SimpleNamespace

import alignment
import both_needed
import bottleneck
import bottleneck_exercises
import copying
import dials
import either_controls
import finger
import full_stop
import given_the_word
import heads
import learning_rules
import lookups
import numpy as np
import own_score
import places
import pytest
import reordering
import seeds
import sharing
import soft_hard
import stray
import supervised
import sweep
import torch
import translation_length
import verb_place
import window_controls
from torch.nn.functional import cross_entropy, one_hot

from attnlib import choosing, metrics, pretrained, storage
from attnlib.data import corpora, toy
from attnlib.data.batches import collate
from attnlib.decoding import greedy

WORDS = toy.vocabulary("phrases")


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(3)
    return alignment.config("additive", 1).build(len(WORDS)).eval()


@pytest.fixture(scope="module")
def examples():
    """Sentences of different lengths, so that some of a batch are padded."""
    found = toy.phrases(random.Random(4), 7, deepest=0, split="test")
    assert len({len(example.source) for example in found}) > 2
    return found


def alone(model, example):
    """Logits and weights of one sentence, which nothing pads."""
    batch = collate(WORDS.pairs([example]))
    with torch.no_grad():
        logits, weights = model(batch.source, batch.source_lengths, batch.target_in)
    return logits[0], weights[0], batch.target_out[0]


def test_attention_is_that_of_each_sentence_by_itself(untrained, examples):
    found = alignment.attention(untrained, examples)
    for example, got in zip(examples, found, strict=True):
        want = alone(untrained, example)[1][:-1]  # the last row writes </s>
        assert got.shape == (len(example.target), len(example.source) + 1)
        torch.testing.assert_close(torch.tensor(got), want, rtol=0, atol=1e-5)


def test_links_leave_the_end_of_the_sentence_out():
    weights = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]).numpy()  # the last column is </s>
    assert alignment.links(weights) == {(0, 1), (1, 0)}


def test_a_word_is_given_one_annotation_at_a_time(untrained, examples, monkeypatch):
    batch = collate(WORDS.pairs(examples[:1]))
    weights, logs = given_the_word.readings(untrained, batch, batch.target_out)
    _, looked, wanted = alone(untrained, examples[0])
    torch.testing.assert_close(weights[0], looked)
    decoder, honest = untrained.decoder, untrained.decoder.attend
    for t in (0, 2):
        for s in range(batch.source.shape[1]):

            def only_here(query, memory, position, t=t, s=s):
                context, seen = honest(query, memory, position)
                return (memory.annotations[:, s] if position == t else context), seen

            monkeypatch.setattr(decoder, "attend", only_here)
            said = alone(untrained, examples[0])[0][t].log_softmax(-1)[wanted[t]]
            monkeypatch.undo()
            assert float(logs[0, t, s]) == pytest.approx(float(said), abs=1e-5)
    product = looked * logs[0].exp()
    want = product / product.sum(-1, keepdim=True)
    torch.testing.assert_close(given_the_word.given(weights, logs)[0], want)


def test_model_1_is_given_a_prior_without_null():
    shares = np.array([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [1.0, 0.0, 0.0]])
    prior = np.array([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]])
    got = given_the_word.with_prior(shares, prior)
    np.testing.assert_allclose(got, [[1 / 3, 2 / 3], [0.5, 0.5], [0, 0]])
    even = given_the_word.with_prior(shares[:2], np.full((2, 2), 0.5))
    np.testing.assert_allclose(even, [[0.6, 0.4], [0.5, 0.5]])  # Model 1's own


def test_missed_determiners_are_counted_by_word_and_place():
    example = SimpleNamespace(
        source=["the", "dog", "sees", "a", "cat"],
        alignment=[(0, 0), (1, 1), (2, 3), (3, 4), (4, 2)],
    )
    counts = given_the_word.determiners([example], [{(0, 1), (1, 1), (2, 3)}])
    assert counts == {
        "the": {"first": [1, 1], "later": [0, 0]},
        "a": {"first": [0, 0], "later": [0, 1]},
    }


def test_what_a_model_of_the_dials_gets_is_counted_by_hand(untrained, examples, monkeypatch):
    progress = SimpleNamespace(tokens=30, seconds=2.0)
    run = SimpleNamespace(averaged_model=lambda: untrained, progress=progress)
    monkeypatch.setattr(dials, "trained", lambda setting, seed: run)
    setting = dials.settings()[0]
    got = dials.measure(setting, 5, examples)
    nats = tokens = right = wrong = links = 0
    shares = []
    for example in examples:
        logits, weights, wanted = alone(untrained, example)
        nats += float(cross_entropy(logits, wanted, reduction="sum"))
        tokens += len(wanted)
        batch = collate(WORDS.pairs([example]))
        (said,) = greedy(untrained, batch.source, batch.source_lengths)
        right += tuple(WORDS.decode(said.ids)) == tuple(example.target)
        gold = set(example.alignment)
        for t in range(len(example.target)):
            wrong += (t, int(weights[t, :-1].argmax())) not in gold
        links += len(example.target)
        on_gold = sum(float(weights[t, s]) for t, s in gold)
        shares.append(on_gold / len({t for t, _ in gold}))
    assert all(len(example.alignment) == len(example.target) for example in examples)
    assert got == setting | {
        "seed": 5,
        "parameters": sum(p.numel() for p in untrained.parameters()),
        "exact": round(right / len(examples), 4),
        "perplexity": pytest.approx(math.exp(nats / tokens), rel=1e-4),
        "error": round(wrong / links, 4),  # one link a word on both sides: a share of words
        "share_on_gold": pytest.approx(sum(shares) / len(shares), abs=1e-4),
        "tokens_per_s": 15,
    }


def test_twelve_settings_take_timing_and_feeding_apart():
    twelve = [tuple(setting[d] for d in ("score", "timing", "feeding")) for setting in apart()]
    assert len(set(twelve)) == len(twelve) == 12
    assert {setting[1:] for setting in twelve if setting[0] == "general"} == {
        (timing, feeding)
        for timing in ("before", "after")
        for feeding in ("context", "input", "none")
    }


def apart():
    return dials.taken_apart()


def test_the_settings_of_the_dials_differ_and_none_comes_twice():
    settings = [tuple(setting.values()) for setting in dials.settings()]
    assert len(set(settings)) == len(settings)
    assert all(tuple(setting) == dials.DIALS for setting in dials.settings())


class Kept:
    """Takes the place of `Run`: keeps what it is given, trains nothing."""

    made: list = []

    def __init__(self, config, folder, data, device, quiet):
        self.config, self.data = config, data
        Kept.made.append(self)

    def run(self, checkpoint_seconds):
        return True

    def averaged_model(self):
        return None


@pytest.fixture
def kept(monkeypatch):
    Kept.made = []
    for script in (alignment, copying):
        monkeypatch.setattr(script, "Run", Kept)
    return Kept.made


def test_each_seed_has_weights_and_sentences_of_its_own(kept, monkeypatch):
    monkeypatch.setattr(alignment, "SENTENCES", 60)
    for seed in alignment.SEEDS:
        alignment.trained(alignment.config("additive", seed))
        dials.trained(dials.settings()[-1], seed)
        copying.copier("recurrent", seed)
    for runs in (kept[::3], kept[1::3], kept[2::3]):
        assert [run.config.seed for run in runs] == list(alignment.SEEDS)
        assert len({str(run.data.train) for run in runs}) == len(runs)
    held_out = {str(source) for source, _ in WORDS.pairs(alignment.held_out())}
    for run in (*kept[::3], *kept[1::3]):
        assert not held_out & {str(source) for source, _ in run.data.train + run.data.val}


def test_every_dial_of_a_setting_reaches_its_run(kept, monkeypatch):
    monkeypatch.setattr(alignment, "SENTENCES", 2)
    for setting in dials.settings():
        dials.trained(setting, 1)
    for run, setting in zip(kept, dials.settings(), strict=True):
        model = run.config.as_dict()["model"]
        assert {dial: (model | model["attention"])[dial] for dial in dials.DIALS} == setting


class Repeats:
    """Copies its source, but the last letter of every other sequence."""

    def encode(self, source, lengths):
        wrong = source.clone()
        for row in range(0, len(source), 2):
            last = int(lengths[row]) - 2
            wrong[row, last] = 4 if source[row, last] != 4 else 5
        return wrong

    def start(self, memory):
        return torch.zeros(len(memory), dtype=torch.long)

    def step(self, token, position, memory):
        word = memory.gather(1, position.unsqueeze(1)).squeeze(1)
        size = len(toy.vocabulary("copy", symbols=copying.SYMBOLS))
        return 9.0 * one_hot(word, size), one_hot(position, memory.shape[1]), position + 1


@pytest.mark.parametrize("length", [2, 5])
def test_a_sequence_counts_as_copied_if_every_letter_is_right(length):
    assert copying.copied(Repeats(), length) == 0.5


def test_distances_are_counted_by_hand():
    links = [{(0, 0), (1, 3), (2, 1)}, {(0, 0)}, set(), {(0, 6), (7, 1)}]
    row = reordering.row("words", "gold", [4, 2, 1, 8], links)
    distances = [0, 2, 1, 0, 6, 6]
    assert (row["sentences"], row["source_words"]) == (4, 3.8)
    for D in reordering.REACHES:
        outside = sum(x > D for x in distances) / 6
        assert row["outside"][D] == pytest.approx(outside, abs=1e-4)
        whole = (D >= 2) + 1 + 1 + (D >= 6)
        assert row["whole"][D] == whole / 4


def test_a_curve_is_of_its_seed_and_of_new_questions(monkeypatch):
    monkeypatch.setattr(soft_hard, "TRAINED", 200)
    monkeypatch.setattr(soft_hard, "TESTED", 50)
    monkeypatch.setattr(soft_hard, "POINTS", 2)
    train, test = soft_hard.tasks("needles", keys=4)
    assert not train.keys[:50].equal(test.keys)
    first, second, again = (soft_hard.curve(train, test, "soft", 4, seed) for seed in (2, 3, 2))
    assert first == again != second
    torch.manual_seed(2)
    chooser = choosing.Chooser(train, "soft")
    choosing.fit(chooser, train, 4, seed=2)
    want = {name: round(value, 4) for name, value in choosing.marks(chooser, task=test).items()}
    assert first[-1] == want


def test_the_sweep_finds_the_runs_that_are_in_its_file():
    """By their dials, in the reduced size; so that a second call trains nothing twice."""
    content = json.loads(sweep.RESULTS.read_text())
    kept = [tuple(run[dial] for dial in sweep.DIALS) for run in content["runs"]]
    wanted = [tuple(sweep.setting(config).values()) for config in sweep.configs(full=False)]
    assert len(set(wanted)) == len(wanted) and set(kept) <= set(wanted)
    assert {setting[-1] for setting in kept} == {1, 2}
    for config in sweep.configs(full=False):
        assert config.optimisation.updates == content["scale"]["updates"]
        assert config.model.hidden == content["scale"]["hidden"]


def test_several_draws_have_the_gradient_of_their_mean_reward():
    """Of two keys, all four pairs of draws by their probabilities; the baseline adds nothing."""
    task = choosing.either(3, seed=0, objects=2)
    torch.manual_seed(0)
    model = learning_rules.Several(task, draws=2).double()
    task = choosing.Task(
        *(x.double() if x.is_floating_point() else x for x in list(vars(task).values())[:-1]),
        task.classes,
    )
    parameters = list(model.parameters())
    weights = model.attention.score(task.queries, task.keys)[:, 0].softmax(-1)
    labels = task.labels.unsqueeze(1).expand(-1, 2, -1)
    p = model.log_p(model.read(task.values), labels).exp()  # (N, S)
    reward = sum(
        weights[:, i] * weights[:, j] * ((p[:, i] + p[:, j]) / 2).log()
        for i in range(2)
        for j in range(2)
    )
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(-reward.mean(), parameters)])
    found = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(model.loss(task), parameters)])
            for _ in range(4000)
        ]
    )
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - exact).abs() <= 4.5 * error + 1e-12).all()


def test_draws_rewarded_alone_have_the_gradient_of_listed_choices(monkeypatch):
    """Of two keys, all four pairs of draws by their probabilities; the baseline adds nothing."""
    task = choosing.either(1, seed=0, objects=2)
    torch.manual_seed(0)
    listed, alone = either_controls.Listed(task), either_controls.Alone(task, draws=2)
    alone.load_state_dict(listed.state_dict())
    (weights,) = listed.weights(task).tolist()
    wanted = torch.autograd.grad(listed.loss(task), list(listed.parameters()))
    found = [torch.zeros_like(each) for each in wanted]
    for pair in ((i, j) for i in range(2) for j in range(2)):
        drawn = torch.tensor([pair])
        monkeypatch.setattr(torch.Tensor, "multinomial", lambda *_, drawn=drawn, **__: drawn)
        got = torch.autograd.grad(alone.loss(task), list(alone.parameters()))
        share = weights[pair[0]] * weights[pair[1]]
        found = [mean + share * each for mean, each in zip(found, got, strict=True)]
    for got, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_a_reader_held_fixed_earns_the_same_by_either_object():
    task = choosing.either(30, seed=1)
    model = either_controls.freeze(either_controls.Listed(task, both=True))
    found = either_controls.look(model, task)
    assert found["own"] == pytest.approx(2 * math.log(2), abs=1e-4)
    assert found["other"] == pytest.approx(2 * math.log(10), abs=1e-4)
    model.even = True
    even = either_controls.look(model, task)
    assert even["balance"] == 0.5
    assert float(model.loss(task)) == pytest.approx(math.log(20), abs=1e-4)
    assert even["bound"] == pytest.approx(math.log(20), abs=1e-4)


def test_where_both_are_needed_each_marked_word_tells_half_of_the_answer():
    task = both_needed.both(60, seed=1)
    assert (task.gold.sum(-1) == 2).all() and (task.values.sum(-1) == 1).all()
    torch.testing.assert_close(task.keys[..., -1], task.gold.float())
    read = (task.values * task.gold[..., None]).sum(1)  # a colour, and a thing
    want = torch.cat([one_hot(each, 6) for each in task.labels.unbind(-1)], -1)
    torch.testing.assert_close(read, want.float())


def test_what_soft_attention_reads_is_all_that_a_control_changes():
    task = choosing.either(40, seed=1)
    both = task.values[task.gold].view(40, 2, 12)
    beside, evenly = either_controls.beside(task), either_controls.evenly(task)
    for s in range(4):  # whatever the weights
        torch.testing.assert_close(beside.values[:, s], both.flatten(1))
        torch.testing.assert_close(evenly.values[:, s], both.mean(1))
    paired = either_controls.paired(task)
    assert paired.classes == (36,) and paired.labels.shape == (40, 1)
    assert (paired.labels[:, 0] == 6 * task.labels[:, 0] + task.labels[:, 1]).all()
    assert ((paired.says == paired.labels[:, None]).all(-1) & task.gold).any(-1).all()
    for other in (beside, evenly, paired):
        assert other.keys is task.keys and other.gold is task.gold


def test_balance_is_the_larger_share_of_the_right_keys():
    task = choosing.either(50, seed=1)
    model = choosing.Chooser(task, "hard")
    with torch.no_grad():
        for parameter in model.attention.parameters():
            parameter.zero_()  # all keys alike
    assert learning_rules.balance(model, task) == pytest.approx(0.5)


def test_every_rule_says_which_aids_it_has():
    task = choosing.either(5, seed=0)
    assert len(set(learning_rules.RULES)) == 8
    for rule in learning_rules.RULES:
        model = learning_rules.chooser(task, rule)
        assert (model.how == "hard") == ("baseline" in rule)
        assert (model.entropy > 0) == ("entropy" in rule)
        assert (model.attention.selection.expectation == 0.5) == ("half" in rule)


def test_weights_of_chosen_steps_are_changed_and_no_others():
    weights, values = torch.tensor([[[0.1, 0.3]]]), torch.tensor([[[1.0], [2.0]]])
    for name, wanted in (("divided", 1.75), ("zeroed", 0.0), ("silenced", 0.0), ("doubled", 1.4)):
        changed = finger.Changed(finger.CHANGES[name][0], [True, False])
        first, second = (float(changed(weights, values)[0]) for _ in range(2))
        assert (first, second) == pytest.approx((wanted, 0.7), abs=1e-6)


def test_a_moved_window_keeps_the_sum_of_its_step_and_leaves_the_others_alone():
    weights, values = torch.tensor([[[0.6, 0.2]]]), torch.tensor([[[1.0], [2.0]]])
    rescaled = finger.Rescaled(chosen=1, total=0.4)
    assert [float(rescaled(weights, values)[0]) for _ in range(3)] == pytest.approx([1, 0.5, 1])


def test_a_further_piece_is_given_the_word_that_the_first_piece_saw():
    first, further, mark = finger.KINDS
    weights = np.array([[0.1, 0.8], [0.2, 0.1], [0.3, 0.3], [0.9, 0.0], [0.5, 0.4], [0.1, 0.1]])
    assert finger.words_of([first, further, mark, first, first, further], weights) == {1: 1, 5: 0}
    weights[4] = 0.3, 0.4  # it hardly looked: its word is not known
    assert finger.words_of([first, further, mark, first, first, further], weights) == {1: 1}


def test_a_mean_of_steps_counts_steps_and_not_captions():
    captions = [[{"x": 1.0, "in": True}], [{"x": 4.0, "in": True}, {"x": 4.0, "in": True}], []]
    captions[2].append({"x": 100.0, "in": False})
    found = finger.mean_of(captions, lambda step: step["x"], lambda step: step["in"])
    assert found.value == pytest.approx(3.0)
    assert found.interval[0] <= 3.0 <= found.interval[1]


def test_stray_weight_is_shared_out_by_hand():
    weights = np.full((2, 14), 0.01)
    weights[1] = [0.3, 0.2, 0.1] + [0.02] * 10 + [0.2]  # the last stands on </s>
    found = pretrained.Translation(
        "", "", [*(f"▁w{i}" for i in range(2)), "▁,", *(f"▁w{i}" for i in range(3, 13)), "</s>"],
        ["▁un", "▁mot"], weights, 0.0,
    )  # fmt: skip
    (row,) = stray.shared_out(found, {(1, 0)})  # the first word has no link: left out
    # linked, </s>, the comma, positions 1 and 3 to 11, position 12
    assert row == pytest.approx([0.3, 0.2, 0.1, 0.2 + 9 * 0.02, 0.02])
    cut = stray.within_reach(weights)
    assert cut[0, 11:] == pytest.approx(0.0) and cut[1, 12:] == pytest.approx(0.0)
    assert cut[1, 11] == weights[1, 11] and cut[0, 10] == weights[0, 10]


def test_the_distance_score_is_the_distance_but_for_a_term_of_the_query():
    torch.manual_seed(0)
    score = own_score.DistanceScore(query_dim=4, key_dim=3)
    queries, keys = torch.randn(1, 2, 4), torch.randn(1, 5, 3)
    distance = -torch.cdist(score.W(queries), keys).square()
    torch.testing.assert_close(score(queries, keys).softmax(-1), distance.softmax(-1))


def test_sentences_within_reach_are_told_by_their_longest_link():
    share = {}
    for last in (True, False):
        some = verb_place.phrases(random.Random(0), 300, last, "test")
        share[last] = sum(verb_place.longest(x) > verb_place.REACH for x in some) / len(some)
    assert share[False] < 0.15 < 0.4 < share[True]


SMALL = bottleneck.Budget(symbols=4, sequences=40, updates=4, test_sequences=6)


def test_a_larger_budget_has_more_of_everything_in_the_same_measure():
    budget = bottleneck.Budget()
    longer = budget.times(4000)
    assert longer.updates / budget.updates == longer.sequences / budget.sequences == 5
    assert budget.times(budget.updates) == budget


def test_no_run_of_the_plan_comes_twice():
    runs = [
        (*setting, updates, seed)
        for updates, settings, seeds in bottleneck.PLAN
        for seed in seeds
        for setting in settings
    ]
    assert len(set(runs)) == len(runs)
    assert {run[:2] for run in runs} == set(bottleneck.SETTINGS)


@pytest.mark.parametrize("name", list(bottleneck.PATHS))
def test_shares_of_the_gradient_are_those_of_small_nudges(name):
    """Of each letter by itself, by central differences in float64."""
    torch.manual_seed(5)
    setting = bottleneck.PATHS[name]
    model = bottleneck.make_model(setting, SMALL).double().eval()
    (found,) = bottleneck.gradient_shares("copy", setting, SMALL, 1, model, lengths=(3,)).values()
    pairs = bottleneck.sequences("copy", setting, SMALL, 1, "test", (3, 3), SMALL.test_sequences)
    shares = []
    for pair in pairs:
        batch = collate([pair])
        read = model.embedding(batch.source).detach()

        def loss(nudged, batch=batch):
            hook = model.encoder.register_forward_pre_hook(lambda _, given: (nudged, given[1]))
            with torch.no_grad():
                logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
            hook.remove()
            return float(cross_entropy(logits[:, 2], batch.target_out[:, 2]))

        norms = []
        for s in range(3):
            slopes = []
            for i in range(read.shape[-1]):
                step = torch.zeros_like(read)
                step[0, s, i] = 1e-5
                slopes.append((loss(read + step) - loss(read - step)) / 2e-5)
            norms.append(math.hypot(*slopes))
        shares.append([norm / sum(norms) for norm in norms])
    want = [sum(column) / len(shares) for column in zip(*shares, strict=True)]
    assert found == pytest.approx(want, rel=6e-3)  # they have three digits


def test_wrong_letters_are_counted_by_position():
    torch.manual_seed(7)
    setting = bottleneck.SETTINGS["copy", "attention"]
    model = bottleneck.make_model(setting, SMALL).eval()
    (found,) = bottleneck.wrong_letters("copy", setting, SMALL, 2, model, lengths=(3,)).values()
    wrong = [0, 0, 0]
    for pair in bottleneck.sequences("copy", setting, SMALL, 2, "test", (3, 3), 6):
        batch = collate([pair])
        with torch.no_grad():
            logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
        for t in range(3):
            wrong[t] += int(logits[0, t].argmax()) != pair[1][t]
    assert found == pytest.approx([count / 6 for count in wrong], abs=1e-4) and sum(wrong)


def test_a_fixed_decoder_in_one_call_is_the_library_s_step_by_step():
    torch.manual_seed(6)
    setting = bottleneck.SETTINGS["copy", "fixed"]
    model = bottleneck.make_model(setting, SMALL).eval()
    batch = collate(bottleneck.sequences("copy", setting, SMALL, 1, "test", (2, 5), 6))
    with torch.no_grad():
        quick, _ = model(batch.source, batch.source_lengths, batch.target_in)
        model.decoder.__class__ = bottleneck.RecurrentDecoder
        slow, _ = model(batch.source, batch.source_lengths, batch.target_in)
    torch.testing.assert_close(quick, slow, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pair", list(bottleneck_exercises.LANGUAGES))
def test_the_verb_of_a_sentence_stands_where_its_language_has_it(pair):
    sentences = bottleneck_exercises.sentences(pair, 1, "test", 30)
    for each in sentences:
        assert each.target.count(each.verb) == 1
        if pair == "SVO to SOV" and "jamais" not in each.target:
            assert each.target[-1] == each.verb or each.target[-1] in ("souvent", "toujours")
        if pair == "SOV to SVO":
            assert each.verb in bottleneck_exercises.VERBS and each.verb in each.target
    plain, back = (bottleneck_exercises.ids(sentences, how) for how in ("plain", "reversed"))
    assert all(x[::-1] == y and t == u for (x, t), (y, u) in zip(plain, back, strict=True))


def test_pairs_of_equal_letters_are_counted_by_hand():
    assert bottleneck_exercises.pairs_of_equals(("a", "b", "a", "a")) == ("b", "b", "b")
    assert bottleneck_exercises.pairs_of_equals(("a", "b", "b", "a")) == ("b", "a", "b")
    letters = toy.vocabulary("copy", 4)
    several = [([], letters.encode(list(word))) for word in ("ab", "aa", "ab", "bb")]
    assert bottleneck_exercises.commoner(several) == 0.75


def test_a_network_that_gives_the_names_in_order_is_right_where_adjectives_stay():
    source, target = lookups.phrases(300, torch.Generator().manual_seed(0))
    stays = lookups.right(source[..., 4:], source, target)
    assert stays == pytest.approx(float(source[:, 1, lookups.STAYS].mean())) and 0.25 < stays < 0.42
    assert lookups.right(target, source, target) == 1


def test_a_cold_lookup_finds_every_key_and_a_warm_one_none():
    assert lookups.found(8, 1e-3, 64, seed=0) == 1
    assert lookups.found(8, 10.0, 64, seed=0) == 0


def test_what_is_taught_is_the_logarithm_of_the_weight_on_the_true_links(untrained, examples):
    plain, taught = (
        float(supervised.loss_of(untrained, examples, lam).detach()) for lam in (0, 0.5)
    )
    logs = []
    for example in examples:
        _, weights, _ = alone(untrained, example)
        logs += [math.log(weights[t, s]) for t, s in example.alignment]
    assert taught - plain == pytest.approx(-0.5 * sum(logs) / len(logs), rel=1e-4)


def test_controls_of_the_windows_have_the_size_and_the_budget_of_the_others():
    configs = window_controls.MODELS.values()
    assert len({config.optimisation.updates for config in configs}) == 1
    sizes = [sum(p.numel() for p in config.build(4000).parameters()) for config in configs]
    assert max(sizes) < 1.08 * min(sizes)


def test_seeds_measure_what_the_queue_finished_once(tmp_path, monkeypatch):
    shipped = pretrained.load("en-fr-fixed")
    config = {**shipped.card["config"], "name": "called otherwise"}
    card = {**shipped.card, "config": config, "unmeasured": []}
    storage.save(tmp_path / "another" / "model", shipped.model, shipped.tokenizer, card)
    test = corpora.multi30k("test_2016_flickr")[:12]
    monkeypatch.setattr(translation_length, "multi30k", lambda split: test)
    monkeypatch.setattr(seeds, "RESULTS", tmp_path / "seeds.json")
    monkeypatch.setattr(sys, "argv", ["seeds.py", "--folder", str(tmp_path)])
    seeds.main()
    (row,) = json.loads(seeds.RESULTS.read_text())["rows"]
    assert row["model"] == "en-fr-fixed" and row["trained_on"] == card["hardware"]
    assert row["loss"] == card["metrics"]["val.loss"]
    written = [found.text for found in shipped.translate(test.source, beam=5)]
    assert row["joined"]["1"] == round(float(metrics.bleu(written, test.target)), 2)
    assert len(row["joined"]) == 4 and set(row["words"]) <= {"0", "9", "12", "15", "18"}
    monkeypatch.setattr(seeds, "measure", None)
    seeds.main()  # nothing is measured again


def test_captions_are_joined_with_a_full_stop_between_them_or_without():
    three = ["A man runs.", "A dog sleeps .", "Boys sit"]
    assert full_stop.join(three, None) == "A man runs. A dog sleeps . Boys sit"
    assert full_stop.join(three, "and") == "A man runs and a dog sleeps and boys sit"
    assert full_stop.join(three[:1], "et") == three[0]


def test_each_caption_is_joined_once_and_short_ones_among_themselves():
    sources = ["one two"] * 3 + ["a b c d e f g h i"] + ["one"] * 2
    found = full_stop.groups(sources)
    assert found["all", 2] == [[0, 1], [2, 3], [4, 5]] and found["all", 4] == [[0, 1, 2, 3]]
    assert found["short", 2] == [[0, 1], [2, 4]]  # the last of five has no partner


def test_what_is_kept_is_measured_against_the_same_captions_translated_apart(monkeypatch):
    test = corpora.multi30k("test_2016_flickr")[:8]
    model = pretrained.load("en-fr-bahdanau")
    monkeypatch.setattr(full_stop, "multi30k", lambda split: test)
    monkeypatch.setattr(full_stop, "RESAMPLES", 10)
    monkeypatch.setattr(
        full_stop, "groups", lambda sources: {("all", 4): [[0, 1, 2, 3], [4, 5, 6, 7]]}
    )
    rows, ahead = full_stop.measure({"en-fr-bahdanau": model})
    assert not ahead  # nothing to compare it with
    row = next(each for each in rows if each["seam"] == "and")
    singles = [each.text for each in model.translate(test.source, full_stop.BEAM)]
    target, apart = (
        [full_stop.join(list(side[i : i + 4]), "et") for i in (0, 4)]
        for side in (test.target, singles)
    )
    whole = [full_stop.join(list(test.source[i : i + 4]), "and") for i in (0, 4)]
    written = [each.text for each in model.translate(whole, full_stop.BEAM)]
    wanted = [float(metrics.bleu(each, target)) for each in (written, apart)]
    assert [row["value"], row["apart"]["value"]] == pytest.approx(wanted, abs=0.006)
    assert row["kept"] == pytest.approx(wanted[0] / wanted[1], abs=1e-4)
    assert row["stops"] == sum(each.count(".") for each in written) / 2


def test_a_token_hidden_from_some_blocks_is_looked_at_by_the_others_only():
    model = pretrained.load("en-fr-transformer")
    encode = model.tokenizer.encode
    batch = collate([(encode("Two dogs run."), encode("Deux chiens courent."))])
    end = batch.source.shape[1] - 1
    plain, everywhere, last = (
        heads.losses(model.model, batch, end, blocks)
        for blocks in (slice(0), slice(None), slice(-1, None))
    )
    memory = model.model.encode(batch.source, batch.source_lengths)
    for mask, wanted in ((memory.mask, plain), (memory.mask.clone(), everywhere)):
        if wanted is everywhere:
            mask[:, end] = False
        vectors, _ = model.model.decode(memory._replace(mask=mask), batch.target_in)
        loss = cross_entropy(model.model.output(vectors)[0], batch.target_out[0], reduction="none")
        assert torch.allclose(loss, torch.tensor(wanted), atol=1e-5)
    assert abs(last - plain).max() > 1e-4 and abs(last - everywhere).max() > 1e-4
    blocks = model.model.decoder.stack.blocks
    assert not any(block._forward_pre_hooks for block in blocks)  # taken away again


def test_moved_places_are_those_further_on_and_a_push_is_as_long(monkeypatch):
    monkeypatch.setattr(places, "DIRECTIONS", 2)
    model = pretrained.load("en-fr-transformer")
    own = model.model.encoder.positions, model.model.decoder.stack.positions
    width = model.model.encoder.width
    words = torch.zeros(1, 4, width)
    table = own[0].table(12)
    torch.testing.assert_close(places.Moved(own[0], 5)(words, 2)[0], table[7:11])
    push = places.push(width, 5, np.random.default_rng(1))
    assert float(push.norm()) == pytest.approx(float((table[6] - table[1]).norm()), rel=1e-5)
    found = places.Pushed(own[0], push)(words, 2)[0]
    torch.testing.assert_close(found, table[2:6] + push)

    texts = ["A man in a red shirt rides a white horse.", "Two dogs run.", "A man runs."]
    usual = [each.text for each in model.translate(texts, beam=1)]
    assert places.moved(model, texts, (0, 0)) == places.pushed(model, texts, (0, 0)) == usual
    said = places.moved(model, texts, (10, 0))
    assert said[0] != usual[0]
    memory = []

    def translate(some, beam):
        memory.append((model.model.encoder.positions, model.model.decoder.stack.positions))
        return [SimpleNamespace(text=text) for text in some]

    pretended = SimpleNamespace(model=model.model, translate=translate)
    assert places.pushed(pretended, texts, (10, 0)) == texts  # each in its own place again
    (first, target), (second, _) = memory
    assert not target.push.any() and not torch.allclose(first.push, second.push)
    assert own == (model.model.encoder.positions, model.model.decoder.stack.positions)


def test_only_captions_that_are_short_in_both_languages_are_moved():
    model = pretrained.load("en-fr-transformer")
    pairs = places.short(model, corpora.multi30k("val"))
    lengths = [max(len(model.tokenizer.encode(text)) + 1 for text in pair) for pair in pairs]
    assert max(lengths) == places.LONGEST and len(pairs) > 300


def test_what_a_move_costs_is_paired_with_no_move(monkeypatch):
    for name, value in {"STEPS": (10,), "DIRECTIONS": 1, "RESAMPLES": 10}.items():
        monkeypatch.setattr(places, name, value)
    model = pretrained.load("en-fr-transformer")
    source, target = (list(side[:6]) for side in zip(*places.short(model, corpora.multi30k("val"))))
    nothing, *rows = places.measure(model, source, target)
    assert nothing["moved"]["lost"]["value"] == 0 and nothing["step"] == 0
    assert [row["side"] for row in rows] == ["source", "target", "both"]
    for row, by in zip(rows, ((10, 0), (0, 10), (10, 10)), strict=True):
        said = places.moved(model, source, by)
        bleu = float(metrics.bleu(said, target))
        assert row["moved"]["value"] == pytest.approx(bleu, abs=0.006)
        lost = nothing["moved"]["value"] - bleu
        assert row["moved"]["lost"]["value"] == pytest.approx(lost, abs=0.02)
        more = row["pushed"]["value"] - row["moved"]["value"]
        assert row["beyond"]["value"] == pytest.approx(more, abs=0.02)


@pytest.mark.parametrize("which, k, wanted", [("first", 4, slice(4)), ("last", 4, slice(8, 12))])
def test_the_first_or_the_last_letters_are_to_be_written(which, k, wanted):
    torch.manual_seed(0)
    source, target, read = sharing.batch(which, k, 3)
    assert source.shape == (3, 13) and target.shape == read.shape == (3, k + 1)
    assert (target[:, :k] == source[:, wanted]).all()
    assert (target[:, k] == sharing.END).all() and (read[:, 0] == sharing.START).all()
    assert (read[:, 1:] == target[:, :k]).all()


def test_a_model_that_writes_the_source_copies_all_its_letters():
    class Copying(torch.nn.Module):
        def forward(self, source, read):
            return one_hot(source[:, : read.shape[1]], 12).double()

    assert sharing.right(Copying(), "all", 12) == {"letters": 1, "exact": 1}
    found = sharing.right(Copying(), "first", 4)  # its letters, but never their end
    assert found == {"letters": 1, "exact": 0}


def test_the_gradient_of_the_first_letter_is_shared_out_among_twelve():
    shares = sharing.start(1)
    assert len(shares) == 12 and sum(shares) == pytest.approx(1, abs=0.01)

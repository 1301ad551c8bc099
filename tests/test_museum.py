"""The bug museum: each bug is found by its smallest test, and by `checks`; its twin passes."""

import inspect
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from attnlib import checks, reference
from attnlib.checks import museum, museum_code

ROOMS = museum.rooms()
ATTENTIONS = [name for name, room in ROOMS.items() if room.checks]


def test_there_are_twelve_rooms_and_three_of_them_are_new():
    assert len(ROOMS) == 12 and len(ATTENTIONS) == 9
    assert sum(room.year == 2026 for room in ROOMS.values()) >= 3
    assert len({room.url for room in ROOMS.values()}) == 12


@pytest.mark.parametrize("name", ROOMS)
def test_the_smallest_test_finds_the_bug_and_passes_its_twin(name):
    room = ROOMS[name]
    assert room.passes(room.correct())
    assert not room.passes(room.broken())
    with pytest.raises(AssertionError):
        room.test(room.broken())


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_says_what_there_is_to_say(name):
    room = ROOMS[name]
    assert room.repository.count("/") == 1 and room.url.startswith(
        f"https://github.com/{room.repository}/"
    )
    assert room.url.rsplit("/", 1)[1] == room.reference.rsplit(" ", 1)[1]
    assert len(room.line) > 40 and len(room.worked) > 40
    assert len(inspect.getsource(room.test).splitlines()) <= 16  # small


@pytest.mark.parametrize("name", [n for n in ROOMS if n != "the other divergence"])
def test_broken_and_correct_differ_in_the_step_that_is_named(name):
    room = ROOMS[name]
    broken, correct = type(room.broken()), type(room.correct())
    assert room.step in vars(broken) and getattr(broken, room.step) is not getattr(
        correct, room.step
    )
    assert issubclass(broken, correct)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_checks_find_the_bug_and_pass_its_twin(name):
    room = ROOMS[name]
    options = {"call": museum.call, "ways": {"fused": museum.call_fused}}
    correct = checks.attention(room.correct(), **options)
    assert correct and not {"padding", "future", "heads", "empty rows"} & set(correct.unasked)
    broken = checks.attention(room.broken(), **options)
    assert set(broken.failed) == set(room.checks), str(broken)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("causal", [False, True])
def test_the_right_one_is_the_one_of_the_loops(causal, need_weights):
    attention = museum_code.RightAttention(6, 3).double()
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 6, generator=random, dtype=torch.float64)
    real = torch.tensor([[True] * 4, [True, True, False, False]])
    found, weights = (
        None if y is None else y.detach()
        for y in attention(x, x, x, real, causal, need_weights=need_weights)
    )
    matrices = [getattr(attention, W).weight.detach().numpy() for W in ("W_Q", "W_K", "W_V", "W_O")]
    for b in range(2):
        mask = real[b].expand(4, 4).numpy()
        if causal:
            mask = np.tril(mask)
        rows = [x[b].numpy()] * 3
        want = reference.multi_head(
            reference.scaled_dot_score, *rows, *matrices, heads=3, mask=mask
        )
        np.testing.assert_allclose(found[b], want[0], rtol=0, atol=1e-12)
        if need_weights:
            np.testing.assert_allclose(weights[b], want[1], rtol=0, atol=1e-12)


def test_a_causal_mask_covers_for_the_padding_mask_on_the_query_axis():
    """As it did where that line stood: the words come out right, and without it they do not."""
    wrong, right = museum_code.OnQueryAxis(), museum_code.RightAttention()
    right.load_state_dict(wrong.state_dict())
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    real = torch.tensor([[True, True, True, False]])
    found, want = (layer(x, x, x, real, True)[0][:, :3] for layer in (wrong, right))
    torch.testing.assert_close(found, want, rtol=0, atol=0)
    found, want = (layer(x, x, x, real)[0][:, :3] for layer in (wrong, right))
    assert (found - want).abs().amax(-1).min() > 1e-3


def test_heads_fewer_than_their_numbers_make_scores_too_large():
    """So that projections trained with it become smaller, not larger."""
    wrong = museum_code.ScaledByHeads(768, 12).scale()
    assert 2 < wrong / museum_code.RightAttention(768, 12).scale() < 2.5


@pytest.mark.parametrize("name", ROOMS)
def test_what_differs_is_shown_in_few_narrow_lines(name):
    room = ROOMS[name]
    shown = museum_code.difference(room.correct(), room.broken())
    changed = [line for line in shown.splitlines() if line[:2] in ("- ", "+ ")]
    assert 1 <= len(changed) <= 6 and ("+ " in shown or name == "never causal")
    printed = shown.splitlines() + museum_code.source(room.test).splitlines()
    assert max(map(len, printed)) <= 80  # the book's page
    for thing, sign in ((room.correct(), "-"), (room.broken(), "+")):
        code = inspect.getsource(thing if inspect.isfunction(thing) else type(thing))
        lines = [line.strip() for line in code.splitlines()]
        assert all(line[2:].strip() in lines for line in changed if line[0] == sign)


def test_source_has_no_docstring_and_still_does_the_same():
    for thing in (museum_code.RightAttention, museum_code.kl):
        text = museum_code.source(thing)
        assert '"""' not in text and "two paths" not in text
        names: dict = {}
        exec(text, vars(museum_code), names)
        assert inspect.signature(names[thing.__name__]) == inspect.signature(thing)
    kl = names["kl"]
    half, quarter = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    assert kl(half, quarter) == museum_code.kl(half, quarter)


def test_the_rooms_are_in_the_order_of_the_page():
    page = Path(__file__).parents[1] / "book" / "10b_bug_museum.ipynb"
    if not page.exists():
        pytest.skip("the package without the book")
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    assert re.findall(r'^visit\("(.+)"\)', code, re.M) == list(ROOMS)


def test_the_beam_finds_what_trying_everything_finds():
    """With as many hypotheses as there are, beam search is exhaustive."""
    step = museum._step
    best, score = None, -np.inf
    for number in range(4**3):
        words = [number // 16, number // 4 % 4, number % 4]
        state, last, total = torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), 0.0
        for word in words:
            state, log_p, _ = step(state, last)
            total += log_p[0, word].item()
            last = torch.tensor([word])
        if total > score:
            best, score = words, total
    for kind in (museum_code.BeamSearch, museum_code.BeamLooksElsewhere):
        words, weights = kind(step, beam=64)(torch.zeros(2), 0, 3)
        assert words.tolist() == best  # the words are right in both: only the weights are not
        torch.testing.assert_close(weights.sum(-1), torch.ones(3))


def test_the_masks_that_an_attention_of_the_museum_takes():
    layer, x = museum_code.RightAttention(), torch.randn(1, 4, 8)
    causal = torch.ones(1, 4, 4).tril().bool()
    torch.testing.assert_close(
        museum.call(layer, x, x, x, causal)[0], layer(x, x, x, None, True)[0]
    )
    pairs = torch.eye(4, dtype=torch.bool).unsqueeze(0)
    with pytest.raises(NotImplementedError, match="no pairs"):
        museum.call(layer, x, x, x, pairs)


def test_departures_show_their_difference():
    target, norm, floor = museum.departures().values()
    # 196 cells, each 16/196 instead of 1
    assert target.shown["target 1"] == pytest.approx(196 * (1 - 16 / 196) ** 2)
    assert target.shown["target 16/196"] == 0
    # six times x + 2 x / |x|, which only makes x longer: 1 + 6 * 2
    assert norm.shown["pre-norm"] == pytest.approx(13, abs=1e-3)
    assert norm.shown["post-norm"] == pytest.approx(1, abs=1e-3)
    assert floor.shown["filled with -1e9"] == floor.shown["-1e9 added"] == 0.5
    assert floor.shown["-1e4 added"] == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-3)
    assert floor.shown["-1e9 in half precision"] == -np.inf


def test_with_one_head_a_view_is_enough():
    torch.manual_seed(0)
    assert ROOMS["joined by a view"].passes(museum_code.JoinedByView(width=8, heads=1))
    assert not ROOMS["joined by a view"].passes(museum_code.JoinedByView(width=8, heads=2))


# What training made of them (book/results/museum.json) -----------------------------------------

RESULTS = Path(__file__).parents[1] / "book" / "results" / "museum.json"


@pytest.fixture(scope="module")
def script():
    if not RESULTS.exists():
        pytest.skip("the package without the book")
    return runpy.run_path(str(RESULTS.with_suffix(".py")))


@pytest.fixture(scope="module")
def runs(script):
    return json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]


def test_every_room_was_trained_with_three_seeds(script, runs):
    assert {name for name, _ in script["PLANS"]} == {script["TWIN"], *ROOMS}
    found = {(run["room"], run["place"], run["seed"]) for run in runs}
    assert found == {(*plan, seed) for plan in script["PLANS"] for seed in (1, 2, 3)}
    assert len(found) == len(runs)


def test_those_that_are_compared_were_trained_with_eight_more_seeds(script):
    early = json.loads(RESULTS.read_text(encoding="utf-8"))["early"]
    assert {(room, place) for room in early for place in early[room]} == set(script["ASKED"])
    found = [list(map(int, seeds)) for places in early.values() for seeds in places.values()]
    assert found == [[*script["MORE"]]] * len(found) and min(script["MORE"]) > 3


def test_a_run_that_ends_early_is_the_beginning_of_a_whole_one(script):
    """The rate of learning is that of the whole, and so is the order of the data."""
    pairs, curves = script["examples"]("reverse", "train", 64, 1), []
    for stop in (None, 25):
        model = script["started"]("over the queries", "looks", 1, 14)
        curves.append(script["fit"](model, pairs, 1, 75, stop=stop))
    assert len(curves[0]) == 3 and curves[1] == curves[0][:1]


def test_a_room_begins_as_its_twin(script):
    """The same first weights: what differs is the class of one attention."""
    models = []
    for plan in script["PLANS"].values():
        torch.manual_seed(1)
        kinds = {where: name and script["kinds"](name) for where, name in plan.items()}
        models.append(script["Reverser"](14, **kinds).state_dict())
    for other in models[1:]:
        assert all(torch.equal(x, other[name]) for name, x in models[0].items())


def test_attention_is_drawn_to_the_letter_that_is_copied(script):
    """Of `a b` the first word written is b, the second a: those are where the weights should be."""
    batch = script["collate"]([([4, 5], [5, 4]), ([6], [6])])
    seen = []
    script["pulled"](lambda target, learnt: seen.append((target, learnt)))(
        torch.full((2, 1, 3, 3), 1 / 3), batch
    )
    target, learnt = seen[0]
    tenth = 0.1 / 3
    wanted = [[tenth, 0.9 + tenth, tenth], [0.9 + tenth, tenth, tenth], [0.95, 0.05, 0.0]]
    torch.testing.assert_close(target, torch.tensor(wanted), rtol=0, atol=1e-6)
    assert learnt.shape == (3, 3)


def test_what_is_right_is_counted(script):
    class Fixed(torch.nn.Module):
        """Writes the source in reverse, but errs where it begins with 6."""

        def forward(self, source, lengths, written, need_weights=True):
            scores = torch.zeros(len(source), written.shape[1], 14)
            t = written.shape[1] - 1
            for b, length in enumerate(lengths.tolist()):
                word = source[b, length - 2 - t] if t < length - 1 else 2
                scores[b, -1, 7 if source[b, 0] == 6 else word] = 1
            return scores, None

    pairs = [([4, 5], [5, 4]), ([6, 5], [5, 6]), ([5, 6, 4], [4, 6, 5]), ([6], [6])]
    assert script["right"](Fixed(), pairs, False) == script["right"](Fixed(), pairs, True) == 0.5

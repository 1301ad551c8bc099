"""metrics.pointing and captions against loops over pixels, by hand, and what must hold of any."""

import math
import random
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnlib import metrics
from attnlib.data.grammar import Caption, Grammar, GrammarError, Thing, Verdict
from attnlib.data.tokenizer import Tokenizer
from attnlib.metrics import captions, pointing
from attnlib.metrics.pointing import Record

EXACT = {"rel": 0, "abs": 1e-12}  # float64: only the order of the sums may differ
RULES = [("half", 0), ("touch", 0), ("centre", 0), ("centre", 1.5)]


@st.composite
def pictures(draw, most_pixels=6, most_cells=3):
    """Masks of one to three things, each with a visible pixel, none over another; and a grid."""
    H, W = draw(st.integers(2, most_pixels)), draw(st.integers(2, most_pixels))
    n = draw(st.integers(1, 3))
    owner = draw(arrays(int, (H, W), elements=st.integers(-1, n - 1)))
    masks = np.array([owner == i for i in range(n)])
    assume(masks.any(axis=(1, 2)).all())
    grid = draw(st.integers(1, most_cells)), draw(st.integers(1, most_cells))
    return masks, grid


@st.composite
def records(draw, **sizes):
    """Any record: up to three words, some of them naming up to all things; whole-number weights."""
    masks, grid = draw(pictures(**sizes))
    n, cells = len(masks), grid[0] * grid[1]
    things = draw(st.lists(st.frozensets(st.integers(0, n - 1)), min_size=1, max_size=3))
    weights = draw(arrays(int, (len(things), cells), elements=st.integers(0, 3)))
    assume(weights.any(axis=1).all())
    weights = weights / weights.sum(axis=1, keepdims=True)
    return Record.of(list("abc")[: len(things)], things, weights, masks, grid)


def coverage_by_loops(masks, grid):
    """Pixel by pixel, box by box: the area that they share, over that of the box."""
    n, H, W = masks.shape
    rows, columns = grid
    covered = np.zeros((n, rows, columns))
    for i, r, c, y, x in product(range(n), range(rows), range(columns), range(H), range(W)):
        if masks[i, y, x]:
            height = min(y + 1, (r + 1) * H / rows) - max(y, r * H / rows)
            width = min(x + 1, (c + 1) * W / columns) - max(x, c * W / columns)
            area = (H / rows) * (W / columns)
            covered[i, r, c] += max(height, 0) * max(width, 0) / area
    return covered


def on_by_loops(mask, grid, rule, tolerance):
    """Rows and columns of the cells that lie on one thing."""
    H, W = mask.shape
    rows, columns = grid
    cells = list(product(range(rows), range(columns)))
    covered = coverage_by_loops(mask[None], grid)[0]
    if rule == "touch":
        return {cell for cell in cells if covered[cell] > 1e-12}
    if rule == "half":
        return {cell for cell in cells if covered[cell] >= max(covered.flat) / 2 - 1e-12}
    found = set()
    for r, c in cells:
        middle = (r + 0.5) * H / rows, (c + 0.5) * W / columns
        for y, x in np.argwhere(mask):
            nearest = min(max(middle[0], y), y + 1), min(max(middle[1], x), x + 1)
            if math.dist(middle, nearest) <= tolerance + 1e-9:
                found.add((r, c))
    return found


def alike(one, other):
    """Whether two lists agree, None where the other has None."""
    return [x is None for x in one] == [x is None for x in other] and all(
        x is None or math.isclose(x, y, rel_tol=0, abs_tol=1e-12) for x, y in zip(one, other)
    )


def picture(*rows):
    """Masks from rows of digits: thing 0, 1 and so on; a point is background."""
    owner = np.array([list(row) for row in rows])
    return np.array([owner == str(i) for i in range(10) if (owner == str(i)).any()])


# On the thing? --------------------------------------------------------------------------------


@given(pictures())
def test_coverage_is_that_of_the_loops(drawn):
    masks, grid = drawn
    assert pointing.coverage(masks, grid) == pytest.approx(coverage_by_loops(masks, grid), **EXACT)


@pytest.mark.parametrize("rule, tolerance", RULES)
@given(drawn=pictures())
def test_cells_on_a_thing_are_those_of_the_loops(rule, tolerance, drawn):
    masks, grid = drawn
    on = pointing.cells_on(masks, grid, rule, tolerance)
    assert on.shape == (len(masks), *grid) and on.dtype == bool
    for mask, its in zip(masks, on):
        found = set(map(tuple, np.argwhere(its).tolist()))
        assert found == on_by_loops(mask, grid, rule, tolerance)


def test_the_three_rules_by_hand():
    """A block of 4 x 2 pixels that fills one cell, half of another and touches no third."""
    masks = picture("00..1.", "00..1.", "00....", "0.....")  # cells of 2 x 2: 2 rows, 3 columns
    assert pointing.coverage(masks, (2, 3))[0].tolist() == [[1, 0, 0], [0.75, 0, 0]]
    assert pointing.coverage(masks, (2, 3))[1].tolist() == [[0, 0, 0.5], [0, 0, 0]]
    thin = picture("....", ".000", ".0..", ".000")  # one pixel, then two, two and three quarters
    assert pointing.coverage(thin, (2, 2))[0].tolist() == [[0.25, 0.5], [0.5, 0.5]]
    assert pointing.cells_on(thin, (2, 2))[0].all()  # a quarter is half of the half
    small = picture("0000", "0000", "00.0", "00..")  # a quarter is not half of one
    assert pointing.cells_on(small, (2, 2))[0].tolist() == [[True, True], [True, False]]
    assert pointing.cells_on(small, (2, 2), "touch")[0].all()
    corner = picture("0......1", "........", "........", "........")  # centres at 2 and 6
    assert not pointing.cells_on(corner, (1, 2), "centre").any()
    assert not pointing.cells_on(corner, (1, 2), "centre", tolerance=1.4).any()
    near = pointing.cells_on(corner, (1, 2), "centre", tolerance=2**0.5)
    assert near.tolist() == [[[True, False]], [[False, True]]]


@given(pictures())
def test_some_cell_lies_on_every_thing_and_half_is_stricter_than_touch(drawn):
    half, touch = (pointing.cells_on(*drawn, rule) for rule in ("half", "touch"))
    assert half.any(axis=(1, 2)).all()
    assert not (half & ~touch).any()


@pytest.mark.parametrize("rule, tolerance", RULES)
def test_no_cell_lies_on_what_is_hidden(rule, tolerance):
    hidden = np.zeros((1, 4, 4), dtype=bool)
    assert not pointing.cells_on(hidden, (2, 2), rule, tolerance).any()
    assert pointing.cells_on(hidden[:0], (2, 2), rule, tolerance).shape == (0, 2, 2)


@pytest.mark.parametrize("rule, tolerance", RULES)
@given(drawn=records())
def test_a_picture_and_its_mirror_image_get_the_same_marks(rule, tolerance, drawn):
    """No corner of a box or pixel is preferred."""
    rows, columns = drawn.grid
    weights = drawn.weights.reshape(-1, rows, columns)
    for axis in (1, 2):
        turned = np.flip(weights, axis).reshape(drawn.weights.shape)
        mirror = replace(drawn, masks=np.flip(drawn.masks, axis), weights=turned)
        assert alike(pointing.hits(mirror, rule, tolerance), pointing.hits(drawn, rule, tolerance))
        assert alike(pointing.inside(mirror), pointing.inside(drawn))


# Words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule, tolerance", RULES)
@given(drawn=records())
def test_hits_are_those_of_the_loops(rule, tolerance, drawn):
    columns = drawn.grid[1]
    found = pointing.hits(drawn, rule, tolerance)
    for named, row, hit in zip(drawn.things, drawn.weights, found, strict=True):
        if not named:
            assert hit is None
            continue
        most = [s for s, a in enumerate(row) if math.isclose(a, max(row))]
        on = [on_by_loops(drawn.masks[i], drawn.grid, rule, tolerance) for i in named]
        right = [s for s in most if any(divmod(s, columns) in cells for cells in on)]
        assert hit == pytest.approx(len(right) / len(most), **EXACT)


@given(drawn=records())
def test_the_mass_inside_is_that_of_the_loops(drawn):
    """Each cell's weight is spread over its box; what falls on a named thing is added up."""
    rows, columns = drawn.grid
    for named, row, share in zip(drawn.things, drawn.weights, pointing.inside(drawn), strict=True):
        if not named:
            assert share is None
            continue
        mass = 0.0
        for i in named:  # things do not overlap
            covered = coverage_by_loops(drawn.masks[i][None], drawn.grid)[0]
            for r, c in product(range(rows), range(columns)):
                mass += row[r * columns + c] * covered[r, c]
        assert share == pytest.approx(mass, **EXACT)


@given(drawn=records())
def test_uniform_attention_has_the_share_of_area_and_of_cells(drawn):
    even = pointing.uniform(drawn)
    on = pointing.cells_on(drawn.masks, drawn.grid)
    for named, share, hit in zip(drawn.things, pointing.inside(even), pointing.hits(even)):
        if named:
            things = sorted(named)
            assert share == pytest.approx(drawn.masks[things].any(axis=0).mean(), **EXACT)
            assert hit == pytest.approx(on[things].any(axis=0).mean(), **EXACT)


@given(drawn=records(), cell=st.integers(0, 8))
def test_all_mass_on_a_cell_that_is_all_thing_is_all_inside(drawn, cell):
    rows, columns = drawn.grid
    cell %= rows * columns
    weights = np.zeros_like(drawn.weights)
    weights[:, cell] = 1
    everywhere = np.ones_like(drawn.masks[:1])
    whole = Record.of(drawn.words, [{0}] * len(drawn.words), weights, everywhere, drawn.grid)
    assert pointing.inside(whole) == pytest.approx([1.0] * len(drawn.words), **EXACT)
    assert pointing.hits(whole) == [1.0] * len(drawn.words)
    assert pointing.mass_inside([whole]).value == pytest.approx(1, **EXACT)


@given(drawn=records(), data=st.data())
def test_the_order_of_things_and_the_scale_of_weights_do_not_matter(drawn, data):
    n = len(drawn.masks)
    order = data.draw(st.permutations(range(n)))  # new thing k was thing order[k]
    things = tuple(frozenset(order.index(i) for i in named) for named in drawn.things)
    other = replace(drawn, things=things, masks=drawn.masks[order], weights=drawn.weights * 0.3)
    for rule, tolerance in RULES:
        assert pointing.hits(other, rule, tolerance) == pointing.hits(drawn, rule, tolerance)
    assert alike(pointing.inside(other), pointing.inside(drawn))


@given(drawn=records())
def test_no_weights_do_better_than_the_best(drawn):
    top = pointing.inside(pointing.best(drawn))
    for share, most in zip(pointing.inside(drawn), top, strict=True):
        assert (share is None and most is None) or share <= most + 1e-12
    if any(drawn.things):
        assert pointing.reachable([drawn]).value == 1
        assert pointing.reachable([drawn], "touch").value == 1
        for rule, tolerance in RULES:
            marked = pointing.pointing_game([drawn], rule, tolerance).value
            assert marked <= pointing.reachable([drawn], rule, tolerance).value


def test_what_no_cell_can_reach():
    """Two pixels in the corner, two in the middle of a cell."""
    masks = picture("0......", ".......", ".......", "....11.")
    record = Record.of(["a", "b"], [{0}, {1}], [[1, 0], [0, 1]], masks, (1, 2))
    assert pointing.pointing_game([record]).value == 1
    assert pointing.reachable([record], "centre").value == 0
    assert pointing.reachable([record], "centre", tolerance=1).value == 0.5
    assert pointing.pointing_game([record], "centre", tolerance=1).value == 0.5
    said = pointing.reachable([record], "centre", tolerance=1).signature
    assert said.startswith("reachable|rule:centre|tolerance:1|words:2|pictures:1|")


def test_the_middle_is_one_cell_or_two_or_four():
    masks = picture("000000", "......")
    for grid, middle in [
        ((1, 3), [0, 1, 0]),
        ((2, 3), [0, 0.5, 0, 0, 0.5, 0]),
        ((2, 2), [0.25] * 4),
        ((1, 4), [0, 0.5, 0.5, 0]),
    ]:
        record = Record.of(["a", "b"], [{0}, {0}], np.ones((2, len(middle))), masks, grid)
        assert pointing.centre(record).weights.tolist() == [middle, middle]
    two = Record.of(["a"], [{0}], np.ones((1, 6)), masks, (2, 3))
    assert pointing.hits(pointing.centre(two)) == [0.5]  # the upper of the two


def test_other_weights_go_the_same_way():
    masks = picture("00..", "00..")
    record = Record.of(["a", "dot"], [(), [0]], [[1, 0], [0.9, 0.1]], masks, (1, 2), true=True)
    other = pointing.with_weights(record, torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    assert (other.words, other.things, other.true) == (record.words, record.things, True)
    assert pointing.hits(other) == [None, 0] and pointing.inside(other) == [None, 0.25]
    finer = pointing.with_weights(record, np.eye(4)[[0, 1]], grid=(1, 4))
    assert pointing.hits(finer) == [None, 1]
    with pytest.raises(ValueError, match="weights of 2 words and 4 cells, for 2 words and 1 x 2"):
        pointing.with_weights(record, np.eye(4)[[0, 1]])


def test_subwords_are_marked_as_words():
    """The word looks where its parts do on average; specials are left out."""
    masks = picture("00..", "00..")
    tokens = ["▁a", "▁tri", "ang", "le", "</s>"]
    weights = [[0.5, 0.5], [1, 0], [0.2, 0.8], [0.6, 0.4], [0, 1]]
    record = Record.of(["a", "triangle"], [set(), {0}], weights, masks, (1, 2), tokens=tokens)
    assert record.weights == pytest.approx(np.array([[0.5, 0.5], [0.6, 0.4]]), **EXACT)
    assert pointing.hits(record) == [None, 1.0]
    with pytest.raises(ValueError, match="tokens spell 'a triangle', but the words are 'a circle'"):
        Record.of(["a", "circle"], [set(), {0}], weights, masks, (1, 2), tokens=tokens)


def test_each_word_of_the_grammar_may_be_a_token_of_the_tokenizer():
    text = "two red triangles"
    tokenizer = Tokenizer.train([text] * 10, vocab_size=60)
    tokens = tokenizer.tokens([*tokenizer.encode(text), tokenizer.eos])
    masks = picture("00..", "00..")
    things = [{0}] * 3
    weights = np.tile([0.75, 0.25], (len(tokens), 1))
    record = Record.of(text.split(), things, weights, masks, (1, 2), tokens=tokens)
    assert pointing.inside(record) == pytest.approx([0.75] * 3, **EXACT)


# Scores ---------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(records(most_pixels=3, most_cells=2), min_size=1, max_size=3))
def test_scores_are_means_over_the_naming_words(drawn):
    for score, per_word in [
        (pointing.pointing_game, pointing.hits),
        (pointing.mass_inside, pointing.inside),
        (pointing.reachable, lambda record: [1.0 if named else None for named in record.things]),
    ]:
        values = [v for record in drawn for v in per_word(record) if v is not None]
        if not values:
            with pytest.raises(ValueError, match="no word that names a thing"):
                score(drawn)
            continue
        found = score(drawn)
        assert found.value == pytest.approx(sum(values) / len(values), **EXACT)
        low, high = found.interval
        assert -1e-12 <= low <= found.value + 1e-12 and found.value <= high + 1e-12 <= 1 + 2e-12
        assert f"|words:{len(values)}|" in found.signature


def game(hits):
    """Records of one word each hit or missed: a list of lists of 0 and 1, a list a picture."""
    masks = picture("00..", "00..")
    return [
        Record.of(
            ["dot"] * len(its),
            [{0}] * len(its),
            [[h, 1 - h] for h in its],
            masks,
            (1, 2),
            true=True,
        )
        for its in hits
    ]


def test_with_one_word_a_picture_the_interval_is_wilsons():
    score = pointing.pointing_game(game([[1]] * 17 + [[0]] * 3))
    assert score.interval == pytest.approx(metrics.wilson_interval(17, 20), **EXACT)


def test_words_that_stand_and_fall_together_count_once():
    score = pointing.pointing_game(game([[1] * 5] * 17 + [[0] * 5] * 3))
    assert score.interval == pytest.approx(metrics.wilson_interval(17, 20), **EXACT)
    assert "words:100|pictures:20|interval:wilson, effective" in score.signature


def test_words_count_at_most_once_each():
    """Each picture has one hit of two: their shares do not differ, the words do."""
    score = pointing.pointing_game(game([[0, 1]] * 10))
    assert score.interval == pytest.approx(metrics.wilson_interval(10, 20), **EXACT)


def test_where_all_words_hit_pictures_are_counted():
    score = pointing.pointing_game(game([[1] * 5] * 10))
    assert score.interval == metrics.wilson_interval(10, 10)
    one = pointing.pointing_game(game([[1, 0, 1, 1]]))
    assert one.interval == pytest.approx(metrics.wilson_interval(0.75, 1), **EXACT)


def test_what_never_varies_has_no_width():
    score = pointing.mass_inside([pointing.uniform(r) for r in game([[1, 0], [0]])])
    assert (score.value, score.interval) == (0.5, (0.5, 0.5))


def test_the_interval_covers_the_truth_where_words_hang_together():
    """Half of a picture's words copy its first; of 95 % intervals some 95 % hold the true share.

    Wilson's interval of as many words, taken for independent, holds it less often.
    """
    rng = np.random.default_rng(0)
    share, n, words, repeats = 0.95, 150, 6, 300
    held = naive = 0
    for _ in range(repeats):
        hit = rng.random((n, words)) < share
        copied = rng.random((n, words)) < 0.5
        hit = np.where(copied, hit[:, :1], hit)
        low, high = pointing.mean_of_words(hit.astype(float).tolist(), "").interval
        held += low <= share <= high
        low, high = metrics.wilson_interval(int(hit.sum()), hit.size)
        naive += low <= share <= high
    assert 0.92 < held / repeats < 0.98
    assert naive / repeats < 0.9


# Broken down ----------------------------------------------------------------------------------

SHAPES = Grammar({"ring": "rings", "orange": "oranges"}, ("red", "orange"), ("small",), ("dotted",))


@pytest.mark.parametrize(
    "text, classes",
    [
        ("a ring", "- noun"),
        ("a small dotted red ring", "- size texture colour noun"),
        ("two orange rings left of an orange", "number colour noun - - - noun"),
        ("an orange orange", "- colour noun"),
    ],
)
def test_the_class_of_each_word(text, classes):
    want = [None if name == "-" else name for name in classes.split()]
    assert pointing.word_classes(SHAPES, text.split()) == want


def test_a_noun_may_be_two_words_and_a_number_a_noun():
    shop = Grammar({"red pepper": "red peppers", "garlic": ""})
    words = ["two", "red", "peppers", "above", "garlic"]
    assert pointing.word_classes(shop, words) == ["number", "noun", "noun", None, "noun"]
    digits = Grammar({"two": "twos"}, ("red",))
    found = pointing.word_classes(digits, ["two", "red", "twos", "left", "of", "a", "two"])
    assert found == ["number", "colour", "noun", None, None, None, "noun"]
    with pytest.raises(GrammarError, match="purple"):
        pointing.word_classes(digits, ["a", "purple", "two"])


def test_words_of_each_class_are_scored_apart():
    masks = picture("00..11", "00..11")
    words = ["a", "red", "ring", "left", "of", "an", "orange"]
    things = [(), {0}, {0}, (), (), (), {1}]
    weights = np.eye(3)[[1, 2, 0, 1, 1, 1, 2]]  # "red" looks at the orange
    first = Record.of(words, things, weights, masks, (1, 3))
    second = Record.of(["a", "ring"], [(), {0}], np.eye(3)[[0, 1]], masks, (1, 3))
    found = pointing.by_class(pointing.pointing_game, [first, second], SHAPES)
    assert {name: score.value for name, score in found.items()} == {"colour": 0, "noun": 2 / 3}
    assert "|words:3|pictures:2|" in found["noun"].signature
    whole = pointing.by_class(partial(pointing.pointing_game, rule="touch"), [first], SHAPES)
    assert whole["noun"].signature.startswith("pointing game|rule:touch|")
    assert pointing.by_class(pointing.mass_inside, [second], SHAPES)["noun"].value == 0


def test_groups_are_scored_apart():
    drawn = game([[1], [0], [1]])
    found = captions.by_group(pointing.pointing_game, drawn, [2, 1, 1])
    assert list(found) == [1, 2]
    assert [score.value for score in found.values()] == [0.5, 1]
    with pytest.raises(ValueError, match="need one group an item, got 2 for 3"):
        captions.by_group(pointing.pointing_game, drawn, [1, 2])
    with pytest.raises(ValueError, match="need one group an item, got 0 for 0"):
        captions.by_group(pointing.pointing_game, [], [])


# True captions --------------------------------------------------------------------------------


def test_true_and_parsed_captions():
    things = (Thing("ring", 9, 9, colour="red"),)
    texts = ["a red ring", "an orange ring", "ring red a", "a ring"]
    verdicts = [SHAPES.check(text, things) for text in texts]
    true, parsed = captions.true_captions(verdicts), captions.parsed_captions(verdicts)
    assert (true.value, parsed.value) == (0.5, 0.75)
    assert true.interval == metrics.wilson_interval(2, 4)
    assert parsed.interval == metrics.wilson_interval(3, 4)
    assert true.signature == "true captions|n:4|interval:wilson"
    assert parsed.signature == "parsed captions|n:4|interval:wilson"
    by_number = captions.by_group(captions.true_captions, verdicts, [1, 1, 3, 3])
    assert {n: score.value for n, score in by_number.items()} == {1: 0.5, 3: 0.5}
    assert captions.true_captions([Verdict(False, False, ("empty caption",))]).value == 0
    for share in (captions.true_captions, captions.parsed_captions):
        with pytest.raises(ValueError, match="there is no caption"):
            share([])


# Right and wrong apart ------------------------------------------------------------------------


def looks(*rows, true):
    """Things in the first and the last of three cells; each word names the first."""
    masks = picture("00..11", "00..11")
    return Record.of(list("abc")[: len(rows)], [{0}] * len(rows), rows, masks, (1, 3), true=true)


def test_right_captions_with_wrong_attention_come_clearest_first():
    found = captions.right_but_wrong(
        [
            looks([0.3, 0.4, 0.3], true=True),  # misses, not by much
            looks([0.9, 0.1, 0.0], true=True),  # hits
            looks([0.1, 0.8, 0.1], [0.1, 0.3, 0.6], [0.6, 0.4, 0.0], true=True),
            looks([0.0, 0.0, 1.0], true=False),  # wrong anyway
            looks([0.1, 0.8, 0.1], true=True),
            looks([0.5, 0.0, 0.5], true=True),  # both at once: neither a hit nor a miss
            looks([0.1, 0.8, 0.1], true=True),
        ]
    )
    assert [(case.index, case.word) for case in found] == [(2, 1), (4, 0), (6, 0), (0, 0)]
    assert (found[0].inside, found[0].other) == pytest.approx((0.1, 0.6), **EXACT)


def test_wrong_captions_with_right_attention_come_clearest_first():
    found = captions.wrong_but_right(
        [
            looks([0.6, 0.4, 0.0], [0.9, 0.1, 0.0], true=False),
            looks([0.9, 0.1, 0.0], true=True),  # right anyway
            looks([0.9, 0.1, 0.0], [0.0, 0.1, 0.9], true=False),  # one word misses
            looks([1.0, 0.0, 0.0], [0.8, 0.2, 0.0], true=False),
            replace(looks([1.0, 0.0, 0.0], true=False), things=(frozenset(),)),  # nothing to mark
        ]
    )
    assert [(case.index, case.word) for case in found] == [(3, 1), (0, 0)]
    assert (found[0].inside, found[0].other) == pytest.approx((0.8, 0.0), **EXACT)


def test_the_search_uses_its_rule_and_needs_verdicts():
    beside = Record.of(["a"], [{0}], [[0, 1]], picture("000000..", "000000.."), (1, 2), true=True)
    edge = replace(beside, masks=picture("00000...", "00000..."))
    assert not captions.right_but_wrong([beside])
    assert len(captions.right_but_wrong([edge])) == 1
    assert not captions.right_but_wrong([edge], rule="touch")
    for search in (captions.right_but_wrong, captions.wrong_but_right):
        with pytest.raises(ValueError, match="record 1 does not say whether its caption is true"):
            search([edge, replace(edge, true=None)])


def test_the_closest_true_caption_says_what_a_false_one_means():
    def caption(text, *named):
        return Caption(tuple(text.split()), tuple(frozenset(each) for each in named))

    ring = caption("a red ring", (), {0}, {0})
    orange = caption("an orange", (), {1})
    dotted = caption("a dotted ring", (), {0}, {0})
    other = caption("a red orange", (), {1}, {1})
    meant = captions.closest(["a", "small", "ring"], [ring, orange, dotted])
    assert meant.things == ring.things  # two captions are as close, and name the same thing
    assert captions.closest(["a", "red", "star"], [ring, other]) is None  # which of the two?
    assert captions.closest(["a", "red", "ring"], [other, ring]) is ring
    assert captions.closest(["two", "small", "rings"], [ring]) is None
    assert captions.closest(["two", "red", "rings"], [ring], most=2) is ring
    assert captions.closest(["a"], [ring]) is None
    assert captions.closest(["a"], []) is None


def test_a_false_caption_of_the_grammar_finds_its_things():
    grammar = Grammar({"ring": "rings", "star": "stars"}, ("red", "blue"), margin=2)
    things = (Thing("ring", 9, 9, colour="red"), Thing("star", 30, 9, colour="blue"))
    true = grammar.captions(things, random.Random(0), number=20)
    words = ["a", "red", "star", "left", "of", "a", "blue", "star"]
    assert not grammar.check(" ".join(words), things).true
    named = captions.closest(words, true).things
    assert [set(each) for each in named] == [set(), {0}, {0}, set(), set(), set(), {1}, {1}]


# Bad input ------------------------------------------------------------------------------------

MASKS = picture("00..", "00..")


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"things": [{0}]}, "things has 1 entries for 2 words"),
        ({"weights": [0.5, 0.5]}, r"weights must have shape \(T, S\), got \(2,\)"),
        ({"weights": [[0.5, 0.5]]}, "weights of 1 words and 2 cells, for 2 words and 1 x 2 cells"),
        ({"weights": np.ones((2, 3))}, "weights of 2 words and 3 cells, for 2 words and 1 x 2"),
        ({"weights": [[1, 0], [-1, 2]]}, "weights must be finite and not negative"),
        ({"weights": [[1, 0], [np.nan, 1]]}, "weights must be finite and not negative"),
        ({"weights": [[1, 0], [0, 0]]}, "'dot' was written without attention"),
        ({"masks": MASKS[0]}, r"masks must be boolean of shape \(things, H, W\), got bool of"),
        ({"masks": MASKS.astype(int)}, "masks must be boolean of shape .* got int64 of"),
        ({"masks": MASKS[:, :0]}, "masks must be boolean of shape"),
        ({"masks": ~np.ones_like(MASKS)}, "'dot' names thing 0, of which nothing is visible"),
        ({"things": [set(), {1}]}, "'dot' names thing 1 of 1, from 0"),
        ({"things": [set(), {-1}]}, "'dot' names thing -1 of 1, from 0"),
        ({"grid": 2}, r"grid must be \(rows, columns\), both positive integers, got 2"),
        ({"grid": (2, 0)}, "grid must be .* got"),
        ({"grid": (1, 2.5)}, "grid must be .* got"),
        ({"grid": (1, 1, 2)}, "grid must be .* got"),
        ({"tokens": ["▁a"]}, "tokens spell 'a', but the words are 'a dot'"),
        ({"tokens": ["▁a", "▁dot", "</s>"]}, "target_words has 3 entries for 2 positions"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(wrong, said):
    good = {
        "words": ["a", "dot"],
        "things": [set(), {0}],
        "weights": [[0.5, 0.5], [1, 0]],
        "masks": MASKS,
        "grid": (1, 2),
    }
    Record.of(**good)
    with pytest.raises(ValueError, match=said):
        Record.of(**{**good, **wrong})


def test_rules_and_tolerances_that_are_none_are_refused():
    with pytest.raises(ValueError, match="rule must be one of half, touch, centre, got 'middle'"):
        pointing.cells_on(MASKS, (1, 2), "middle")
    with pytest.raises(ValueError, match="tolerance must be 0 or more"):
        pointing.cells_on(MASKS, (1, 2), "centre", tolerance=-1)
    with pytest.raises(ValueError, match="is for 'centre' alone, got 2"):
        pointing.cells_on(MASKS, (1, 2), "half", tolerance=2)


def test_a_noun_is_held_against_what_it_was_looking_at():
    """Four tiles, one cell each: carrots, red peppers, nothing, lemons."""
    grammar = Grammar({noun: noun for noun in ("carrots", "red peppers", "lemons")})
    nouns = ["carrots", "red peppers", "lemons"]
    masks = np.zeros((3, 2, 2), bool)
    masks[0, 0, 0] = masks[1, 0, 1] = masks[2, 1, 1] = True
    words = ["red", "peppers", "left", "of", "lemons"]

    def marks(*cells):  # where each of the five words looks; between two cells if there are two
        rows = np.zeros((5, 4))
        for row, cell in zip(rows, cells):
            row[cell] = 1 / np.size(cell)
        record = pointing.Record.of(words, [()] * 5, rows, masks, (2, 2))
        return captions.recognized(record, nouns, grammar)

    assert marks(1, 1, 0, 0, 3) == [1, 1]
    assert marks(0, 0, 0, 0, 3) == [0, 1]  # at the carrots
    assert marks(1, 1, 0, 0, 2) == [1, 0]  # at nothing
    assert marks([0, 1], [1, 2], 0, 0, 3) == [1, 1]  # a noun of two words: on average
    score = captions.recognition([marks(1, 1, 0, 0, 3), marks(0, 0, 0, 0, 2)])
    assert score.value == 0.5 and score.signature.startswith("recognition|rule:half|words:4")
    with pytest.raises(ValueError):
        captions.recognition([])
    with pytest.raises(GrammarError):
        captions.recognized(
            pointing.Record.of(["x"], [()], [[1, 0, 0, 0]], masks, (2, 2)), [], grammar
        )


def test_of_two_things_in_a_cell_the_one_that_fills_it_more_is_looked_at():
    grammar = Grammar({"ring": "rings", "star": "stars"})
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2, 0], masks[1, :2, 1] = True, [True, False]
    record = pointing.Record.of(["a", "ring"], [(), ()], [[1, 0], [1, 0]], masks, (1, 2))
    assert captions.recognized(record, ["ring", "star"], grammar) == [1]
    assert captions.recognized(record, ["star", "ring"], grammar) == [0]

"""attnlib.data.scenes: the truth is known, so pixels, masks and captions can be checked."""

import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from attnlib.data import scenes
from attnlib.data.grammar import Thing
from attnlib.data.scenes import COLOURS, DIGITS, HELD_OUT, SIZE, Scenes, draw, put

SHAPES = ("circle", "ring", "square", "triangle", "cross", "star")
BOTH = pytest.mark.parametrize("style", scenes.STYLES)
EVERY = pytest.mark.parametrize("split, style", list(product(scenes.SPLITS, scenes.STYLES)))
quick = settings(max_examples=25, deadline=None)  # a busy machine is no failure


def equal(one, other):
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.masks, other.masks)
        and (one.things, one.captions) == (other.things, other.captions)
    )


@cache
def _five_hundred(split, style):
    source = Scenes(split, style, captions=2)
    return [source.sample(i) for i in range(500)]


def some(split="train", style="shapes", count=500):
    """The first scenes of a split, drawn once for all tests."""
    return _five_hundred(split, style)[:count]


# A function of split, style, seed and number --------------------------------------------------


@EVERY
def test_a_scene_depends_on_its_number_alone(split, style):
    first = Scenes(split, style).sample(3)
    random.seed(1)
    np.random.seed(1)  # the global generators have no say
    again = pickle.loads(pickle.dumps(Scenes(split, style)))  # as in a worker
    again.sample(8)  # nor has what was drawn before
    assert equal(again.sample(3), first)
    assert equal(again.sample(np.int64(3)), first)


@EVERY
def test_another_split_style_seed_or_number_is_another_scene(split, style):
    here = Scenes(split, style).sample(3)
    others = [Scenes(split, style).sample(4), Scenes(split, style, seed=1).sample(3)]
    others += [Scenes(name, style).sample(3) for name in scenes.SPLITS if name != split]
    for other in others:
        assert not np.array_equal(other.image, here.image)
        assert other.things != here.things


def test_another_process_with_other_hashes_draws_the_same():
    code = (
        "import hashlib; from attnlib.data.scenes import Scenes\n"
        "for split in ('train', 'held_out'):\n"
        "    sample = Scenes(split, seed=7).sample(2)\n"
        "    print(hashlib.sha256(sample.image.tobytes()).hexdigest(), sample.captions[0].text)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1 and printed != {""}


@BOTH
def test_more_captions_are_of_the_same_scene(style):
    for i in range(20):
        one, five = (Scenes("val", style, captions=n).sample(i) for n in (1, 5))
        assert np.array_equal(one.image, five.image) and one.things == five.things
        assert len(one.captions) == 1 and one.captions[0] in five.captions
        assert len({c.words for c in five.captions}) == len(five.captions) <= 5


# Pixels and masks -----------------------------------------------------------------------------


@EVERY
def test_images_and_masks_have_their_shapes_and_types(split, style):
    for sample in some(split, style, 20):
        assert sample.image.shape == (SIZE, SIZE, 3) and sample.image.dtype == np.uint8
        assert sample.masks.shape == (len(sample.things), SIZE, SIZE)
        assert sample.masks.dtype == bool
    assert Scenes(split, style).size == SIZE == 64


@BOTH
def test_masks_never_overlap(style):
    for sample in some(style=style):
        assert sample.masks.sum(0).max() == 1


@EVERY
def test_at_least_half_of_each_thing_is_visible(split, style):
    least = 1.0
    for sample in some(split, style, 150):
        for thing, mask in zip(sample.things, sample.masks, strict=True):
            alone = draw([thing])[1][0]
            assert not (mask & ~alone).any()
            assert mask.sum() >= 0.5 * alone.sum() > 0
            least = min(least, mask.sum() / alone.sum())
    assert least < 0.8  # and some are hidden


@BOTH
def test_the_later_of_two_things_is_in_front(style):
    overlaps = 0
    for sample in some(style=style, count=150):
        alone = [draw([thing])[1][0] for thing in sample.things]
        for i, j in combinations(range(len(alone)), 2):
            both = alone[i] & alone[j]
            overlaps += both.any()
            assert not (both & sample.masks[i]).any()
    assert overlaps > 10


@BOTH
def test_the_same_things_and_generator_draw_the_scene_again(style):
    source = Scenes("test", style)
    for i in range(30):
        sample = source.sample(i)
        image, masks = draw(sample.things, source.rng(i))
        assert np.array_equal(image, sample.image) and np.array_equal(masks, sample.masks)


@BOTH
def test_another_colour_changes_the_pixels_of_the_mask_and_no_others(style):
    source = Scenes("val", style)
    for i in range(60):
        sample = source.sample(i)
        k = i % len(sample.things)
        thing = sample.things[k]
        colour = "yellow" if thing.colour == "blue" else "blue"
        edited = [*sample.things[:k], replace(thing, colour=colour), *sample.things[k + 1 :]]
        image, masks = draw(edited, source.rng(i))
        assert np.array_equal(masks, sample.masks)
        changed = (image != sample.image).any(-1)
        assert changed[sample.masks[k]].all()
        cover = scenes._cover(thing)  # what else changed is its anti-aliased border
        touched = np.zeros((SIZE, SIZE), dtype=bool)
        touched[cover.patch] = cover.alpha > 0
        assert not (changed & ~touched).any()


def test_a_thing_in_front_leaves_all_other_pixels_as_they_were():
    source = Scenes("train")
    sample = source.sample(0)
    front = Thing("square", 32, 32, radius=6, colour="white")
    image, masks = draw([*sample.things, front], source.rng(0))
    rows, columns = np.ogrid[:SIZE, :SIZE]
    far = np.hypot(columns + 0.5 - 32, rows + 0.5 - 32) > 9
    assert np.array_equal(image[far], sample.image[far])
    assert np.array_equal(masks[:-1], sample.masks & ~masks[-1])


def test_a_reader_may_hide_a_thing_or_mix_styles_or_draw_none():
    picture = next(i for i in range(1797) if scenes._digits()[1][i] == 4)
    things = [
        Thing("star", 30, 30, radius=6, colour="red"),
        Thing("circle", 30, 30, radius=12, colour="green"),
        Thing("four", 30, 30, radius=9, colour="white", image=picture),
    ]
    _, masks = draw(things)
    assert not masks[0].any() and masks[1].any() and masks[2].any()
    image, masks = draw([])
    assert masks.shape == (0, SIZE, SIZE)
    assert image.min() > 30 and image.max() < 140  # clutter only: no thing is so faint


# Shapes ---------------------------------------------------------------------------------------


def around(radius, *degrees):
    """Points on a circle, at angles clockwise from the top."""
    return [(radius * np.sin(a), -radius * np.cos(a)) for a in np.radians(degrees)]


CORNERS = {  # of radius 1, as they are seen: x to the right, y down
    "square": [(-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)],
    "triangle": around(1.34, 0, 120, 240),
    "cross": [
        (x * a, y * b)
        for x, y, swap in ((1, -1, 0), (1, 1, 1), (-1, 1, 0), (-1, -1, 1))
        for a, b in [(0.38, 1.1), (0.38, 0.38), (1.1, 0.38)][:: -1 if swap else 1]
    ],
    "star": [point for k in range(5) for point in around(1.32, 72 * k) + around(0.6, 72 * k + 36)],
}


def outline(thing):
    """The corners of a thing in the image."""
    turn = np.radians(thing.angle)
    clockwise = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.array(CORNERS[thing.noun]) @ clockwise * thing.radius + [thing.x, thing.y]


def inside(thing, points):
    """Whether points (n, 2) are inside a shape, by its corners or by its circles."""
    if thing.noun in CORNERS:
        return Polygon(outline(thing)).contains_points(points)
    far = np.hypot(*(points - [thing.x, thing.y]).T) / thing.radius
    return far < 1 if thing.noun == "circle" else (far > 0.51) & (far < 1.09)


@pytest.mark.parametrize("noun", SHAPES)
@quick
@given(
    x=st.floats(16, 48), y=st.floats(16, 48), radius=st.floats(6, 13), angle=st.floats(-180, 180)
)
def test_a_mask_is_the_shape_by_its_corners(noun, x, y, radius, angle):
    thing = Thing(noun, x, y, radius=radius, colour="red", angle=angle)
    finer = 4  # points along each side of a pixel
    grid = (np.arange(SIZE * finer) + 0.5) / finer
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    share = inside(thing, points).reshape(SIZE, finer, SIZE, finer).mean((1, 3))
    mask = draw([thing])[1][0]
    wrong = np.where(mask, 1 - share, share)
    assert wrong.max() < 0.9
    assert (wrong > 0.65).sum() <= 6  # near a corner, the distance to a side is no share


@pytest.mark.parametrize("noun", SHAPES)
def test_areas_of_shapes_are_alike(noun):
    mask = draw([Thing(noun, 32, 32, radius=20, colour="red")])[1]
    assert 2.25 < mask.sum() / 20**2 < 3.25


def test_an_angle_turns_clockwise():
    mask = draw([Thing("triangle", 32, 32, radius=15, colour="red", angle=90)])[1][0]
    widths = mask.sum(0)  # of each column: the tip points right
    assert widths[22:24].min() > 30 > widths[48:50].max()


def test_no_thing_crosses_the_border():
    widths = {"circle": 1.0, "ring": 1.09}
    for sample in [*some(), *some(style="digits")]:
        for thing in sample.things:
            if thing.noun in CORNERS:
                border = outline(thing)
            else:
                width = widths.get(thing.noun, 1.25) * thing.radius
                border = np.add.outer([thing.x, thing.y], [-width, width])
            assert border.min() >= 0 and border.max() <= SIZE


def test_small_and_large_are_far_apart():
    radii = {"small": [], "large": []}
    for sample in [*some(), *some(style="digits")]:
        for thing in sample.things:
            radii[thing.size].append(thing.radius)
    assert min(radii["small"]) >= 6 and max(radii["small"]) <= 7
    assert min(radii["large"]) >= 11 and max(radii["large"]) <= 13


# Colours and textures -------------------------------------------------------------------------


@BOTH
def test_a_thing_shows_its_colour_under_shade_and_texture(style):
    names, palette = list(COLOURS), np.array(list(COLOURS.values()))
    right = []
    for sample in some(style=style, count=200):
        for thing, mask in zip(sample.things, sample.masks):
            pixels = sample.image[mask].astype(float)
            bright = pixels[pixels.sum(1) >= np.median(pixels.sum(1))].mean(0)
            nearest = np.linalg.norm(palette - bright, axis=1).argmin()
            right.append(names[nearest] == thing.colour)
    assert np.mean(right) > 0.99


@pytest.mark.parametrize("noun", SHAPES)
def test_textures_are_dark_in_places_and_differ_by_how_they_repeat(noun):
    thing = Thing(noun, 32, 32, radius=12, colour="yellow")
    images = {
        t: draw([replace(thing, texture=t)])[0].astype(float) for t in ("", "striped", "dotted")
    }
    mask = draw([thing])[1][0]
    inner = mask & (images[""].sum(-1) > 400)  # without the rim
    dark = {t: (image[inner].sum(1) < 400).mean() for t, image in images.items()}
    assert dark[""] == 0
    assert 0.1 < dark["dotted"] < dark["striped"] < 0.6


# what a reader sees who has no cone of one kind (Machado et al. 2009, severity 1)
BLIND = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def cielab(colour, blind):
    """A colour in L*a*b*, where a distance of 2 is just seen."""
    linear = np.array(colour) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(blind) @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ linear / to_xyz.sum(1))  # no colour of ours is near black
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blind", BLIND)
def test_colours_stay_apart_for_colour_blind_readers(blind):
    seen = [cielab(colour, BLIND[blind]) for colour in [*COLOURS.values(), (75, 75, 75)]]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 25


# What is in a scene ---------------------------------------------------------------------------


@BOTH
def test_held_out_pairs_are_in_every_scene_of_their_split_and_in_no_other(style):
    pairs = Counter()
    for split in scenes.SPLITS:
        for sample in some(split, style):
            found = {(thing.colour, thing.noun) for thing in sample.things} & HELD_OUT
            assert bool(found) == (split == "held_out")
            pairs.update(found)
    nouns = DIGITS if style == "digits" else SHAPES
    assert set(pairs) == {pair for pair in HELD_OUT if pair[1] in nouns}


def test_every_held_out_word_is_seen_in_training_with_other_words():
    for style, nouns in (("shapes", SHAPES), ("digits", DIGITS)):
        seen = {(t.colour, t.noun) for sample in some(style=style) for t in sample.things}
        assert seen == set(product(COLOURS, nouns)) - HELD_OUT
    assert {noun for _, noun in HELD_OUT} == {*SHAPES, *DIGITS}
    assert {colour for colour, _ in HELD_OUT} == set(COLOURS)


@EVERY
def test_numbers_and_relations_have_something_to_speak_of(split, style):
    samples = some(split, style)
    counts = Counter(len(sample.things) for sample in samples)
    assert set(counts) == {1, 2, 3, 4} and min(counts.values()) > 50
    alike = [len({(t.colour, t.noun) for t in s.things}) < len(s.things) for s in samples]
    assert np.mean(alike) > 0.2
    for sample in samples:
        gaps = [max(abs(a.x - b.x), abs(a.y - b.y)) for a, b in combinations(sample.things, 2)]
        assert not gaps or max(gaps) > scenes.MARGIN
    words = Counter(word for s in samples for word in s.captions[0].words)
    for relation in ("left", "right", "above", "below"):
        assert words[relation] > 50
    assert words["two"] > 50


@EVERY
def test_every_caption_is_true_and_names_its_things(split, style):
    grammar = Scenes(split, style).grammar
    assert grammar.margin == scenes.MARGIN > 0
    for sample in some(split, style):
        assert sample.captions
        for caption in sample.captions:
            verdict = grammar.check(caption.text, sample.things)
            assert verdict.true, (caption.text, verdict.wrong, sample.things)
            assert set(caption.words) <= set(grammar.words)
            linked = grammar.link(caption.text, sample.things)
            assert all(a <= b for a, b in zip(caption.things, linked.things, strict=True))


def test_every_word_of_a_grammar_occurs():
    for style in scenes.STYLES:
        said = {w for sample in some(style=style) for c in sample.captions for w in c.words}
        rare = {"four"} if style == "shapes" else {"eights", "an", "four"}
        assert set(Scenes("train", style).grammar.words) - said <= rare, style


# Digits ---------------------------------------------------------------------------------------


def test_pictures_of_train_val_and_test_are_apart():
    shown = {}
    for split in scenes.SPLITS:
        things = [t for sample in some(split, "digits") for t in sample.things]
        shown[split] = {thing.image for thing in things}
        for thing in things:
            assert DIGITS[scenes._digits()[1][thing.image]] == thing.noun
    for one, other in combinations(("train", "val", "test"), 2):
        assert not shown[one] & shown[other]
    assert shown["held_out"] <= set(range(1437, 1797))
    assert len(shown["test"]) > 300 and len(shown["train"]) > 700  # of 360, of 1257


def test_a_digit_is_the_picture_the_right_way_round():
    ink, target = scenes._digits()
    picture = int(np.flatnonzero(target == 7)[0])
    thing = Thing("seven", 32, 32, radius=14, colour="white", image=picture)
    mask = draw([thing])[1][0]
    cells = mask[16:48, 16:48].reshape(8, 4, 8, 4).mean((1, 3))  # 3.5 / radius cells a pixel
    assert np.corrcoef(cells.ravel(), ink[picture].ravel())[0, 1] > 0.9
    assert mask.sum() == mask[16:48, 16:48].sum()


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    scenes._digits.cache_clear()
    scenes._pictures.cache_clear()
    with pytest.raises(ImportError, match="digits need scikit-learn"):
        Scenes("val", "digits").sample(0)
    assert Scenes("val").sample(0).captions  # shapes do not


# Errors ---------------------------------------------------------------------------------------


def test_a_thing_in_words_is_as_large_as_they_say():
    ring = put("a small dotted red ring", 20, 30.5, angle=10)
    assert ring == Thing("ring", 20, 30.5, 6.5, "red", "small", "dotted", 10)
    assert put("A large white star.", 0, 64).radius == 12
    seven = put("a large blue seven", 32, 32)
    assert (seven.noun, seven.colour, seven.size, seven.texture) == ("seven", "blue", "large", "")
    assert scenes._digits()[1][seven.image] == 7 and seven.image >= 1437  # of test
    things = [ring, replace(ring, y=50.0), seven]
    _, masks = draw(things)
    assert masks.any(axis=(1, 2)).all()
    for style, text in (("shapes", "two small red rings"), ("digits", "a large seven")):
        ours = [t for t in things if (t.noun in DIGITS) == (style == "digits")]
        assert Scenes("test", style).grammar.check(text, ours).true


def test_every_thing_of_a_caption_can_be_drawn_from_its_words():
    for style in ("shapes", "digits"):
        grammar = Scenes("test", style).grammar
        for noun, colour in product(grammar.nouns, COLOURS):
            text = f"a small {colour} {noun}"
            assert grammar.check(text, [put(text, 30, 30)]).true


@pytest.mark.parametrize(
    "text, message",
    [
        ("two small red rings", "'two small red rings' is more than one thing: draw them one by"),
        ("a small red ring above a small blue star", "is more than one thing"),
        ("a red ring", "'a red ring' says no size: one of small, large"),
        ("a small ring", "'a small ring' says no colour: one of red, green, blue"),
        ("a small red rign", '"rign" is no word of the grammar; near it: "ring"'),
        ("a small dotted red seven", '"dotted" is no word of the grammar'),
        ("", "empty caption"),
    ],
)
def test_what_is_not_one_thing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        put(text, 32, 32)


def test_unknown_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="unknown split 'dev': one of train, val, test, held_out"):
        Scenes("dev")
    with pytest.raises(ValueError, match="unknown style 'photos': one of shapes, digits"):
        Scenes("train", style="photos")
    with pytest.raises(ValueError, match="captions must be 1 or more, got 0"):
        Scenes("train", captions=0)
    with pytest.raises(ValueError, match="scenes are numbered from 0, got -1"):
        Scenes("train").sample(-1)
    with pytest.raises(ValueError, match="scenes are numbered from 0, got -2"):
        Scenes("train").rng(-2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"noun": "cube"}, "unknown noun 'cube': one of circle, ring"),
        ({"colour": "mauve"}, "unknown colour 'mauve': one of red, green"),
        ({"colour": ""}, "unknown colour ''"),
        ({"texture": "plain"}, "unknown texture 'plain': one of striped, dotted, or ''"),
        ({"radius": 0}, "radius must be more than 0 and at most 64, got 0"),
        ({"radius": float("nan")}, "radius must be more than 0 and at most 64, got nan"),
        ({"angle": float("inf")}, "angle must be a number of degrees, got inf"),
        ({"x": 64.5}, r"centre \(64.5, 20\) is outside the image, 0 to 64"),
        ({"y": float("nan")}, r"centre \(20, nan\) is outside"),
        ({"noun": "four", "image": -1}, "image -1 does not show a four"),
        ({"noun": "four", "image": 1797}, "image 1797 does not show a four"),
        ({"noun": "four", "image": 0}, "image 0 does not show a four"),
    ],
)
def test_things_that_cannot_be_drawn_are_refused(change, message):
    thing = replace(Thing("circle", 20, 20, radius=6, colour="red"), **change)
    with pytest.raises(ValueError, match=message):
        draw([thing])


def test_stripes_lie_across_a_thing_that_is_not_turned():
    things = [put("a large striped white square", 32, 32)]
    image, masks = draw(things, 0)
    rows, columns = (np.flatnonzero(masks[0].any(axis)) for axis in (1, 0))
    inside = image[rows[2] : rows[-2], columns[2] : columns[-2]].astype(float).mean(2)
    down, across = inside.mean(1).std(), inside.mean(0).std()
    assert down > 30 and across < down / 5

"""attnlib.data.mosaics: the tile is the truth, splits share nothing, files are whole or refused."""

import hashlib
import http.server
import importlib.util
import io
import os
import pickle
import random
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnlib.data import files, mosaics
from attnlib.data.grammar import Thing
from attnlib.data.mosaics import (
    KEPT,
    NARROWEST,
    NOUNS,
    SHADE,
    SPLITS,
    TILE,
    Mosaics,
    draw,
    laid_out,
    photographs,
)

ROOT = Path(__file__).parents[1]
SIZE = Mosaics("test").size
EACH = pytest.mark.parametrize("split", SPLITS)
mirrored = pytest.mark.skipif(
    not os.environ.get("ATTNLIB_DATA"), reason="needs a mirror in ATTNLIB_DATA"
)


def noise(split):
    """Stands in for a split's photographs: no data needed, and every pixel another."""
    rng = np.random.default_rng(SPLITS.index(split))
    shape = (len(mosaics.numbers(split)), KEPT, KEPT, 3)
    return rng.integers(0, 256, shape, dtype=np.uint8)


NOISE = {split: noise(split) for split in SPLITS}


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.setattr(mosaics, "_small", NOISE.__getitem__)


def equal(one, other):
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.masks, other.masks)
        and (one.things, one.captions) == (other.things, other.captions)
    )


def tile_of(thing):
    top, left = int(thing.y - TILE / 2), int(thing.x - TILE / 2)
    return slice(top, top + TILE), slice(left, left + TILE)


# The list ---------------------------------------------------------------------------------------


def test_splits_share_no_photograph_and_no_bytes():
    names, sums = Counter(), Counter()
    for photo in photographs():
        names[photo.name] += 1
        sums[files.REGISTRY[photo.name].sha256] += 1
    assert max(names.values()) == max(sums.values()) == 1
    sizes = {split: len(mosaics.numbers(split)) for split in SPLITS}
    assert sizes == {"train": 735, "val": 79, "test": 695}
    assert sum(sizes.values()) == len(photographs())
    for split in SPLITS:
        assert {photographs()[number].split for number in mosaics.numbers(split)} == {split}


def test_every_kind_is_in_every_split_but_plums_not_in_val():
    assert len(NOUNS) == 16
    for split in SPLITS:
        missing = set(NOUNS) - set(mosaics._showing(split))
        assert missing == ({"plums"} if split == "val" else set())


def test_the_list_is_small_and_every_photograph_has_an_address_at_a_fixed_commit():
    assert files.GROCERIES.stat().st_size < 250_000
    for name, digest, _ in files.groceries():
        assert len(digest) == 64 and int(digest, 16) >= 0
        path = name.removeprefix("grocery-store/")
        assert files.REGISTRY[name].url == files.GROCERIES_HOME + path


@mirrored
def test_the_list_is_what_its_tool_makes():
    path = ROOT / "book" / "_tools" / "groceries.py"
    spec = importlib.util.spec_from_file_location("groceries", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    folder = Path(os.environ["ATTNLIB_DATA"]) / "grocery-store"
    if not folder.is_dir():
        pytest.skip("the mirror has no groceries")
    # the mirror holds the lists of all classes, but only our photographs
    assert tool.listing(folder) == files.GROCERIES.read_text("utf-8")


# A function of split, seed and number -----------------------------------------------------------


@EACH
def test_a_mosaic_depends_on_its_number_alone(no_data, split):
    first = Mosaics(split).sample(3)
    random.seed(1)
    np.random.seed(1)
    again = pickle.loads(pickle.dumps(Mosaics(split)))  # as in a worker
    again.sample(8)
    assert equal(again.sample(3), first)
    assert equal(again.sample(np.int64(3)), first)
    assert not equal(again.sample(4), first)
    assert not equal(Mosaics(split, seed=1).sample(3), first)


def test_the_first_mosaics_are_the_same_on_every_machine(no_data):
    said = [Mosaics(split).sample(0).captions[0].text for split in SPLITS]
    assert said == [
        "avocados below potatoes and left of apples",
        "onions below aubergines",
        "kiwis above avocados",
    ]


def test_the_number_of_captions_changes_no_mosaic(no_data):
    for i in range(20):
        one, three = Mosaics("train").sample(i), Mosaics("train", captions=3).sample(i)
        assert equal(replace(three, captions=three.captions[:1]), one)
        assert len({caption.text for caption in three.captions}) == len(three.captions)


@EACH
def test_photographs_are_of_the_split_and_show_what_the_thing_is(no_data, split):
    for i in range(300):
        for thing in Mosaics(split).sample(i).things:
            photo = photographs()[thing.image]
            assert (photo.split, photo.noun) == (split, thing.noun)


def test_two_to_four_tiles_anywhere_each_kind_as_often(no_data):
    source, tiles, counts, kinds = Mosaics("train"), Counter(), Counter(), Counter()
    for i in range(1200):
        things = source.sample(i).things
        nouns = [thing.noun for thing in things]
        assert len(set(nouns)) == len(nouns), "one word, one tile"
        counts[len(things)] += 1
        kinds.update(nouns)
        tiles.update((thing.x, thing.y) for thing in things)
    assert set(counts) == {2, 3, 4}
    assert len(tiles) == 4
    for seen, expected in ((counts, 400), (tiles, 900), (kinds, 225)):
        for number in seen.values():
            assert abs(number - expected) < 5 * expected**0.5


# Pixels and masks -------------------------------------------------------------------------------


@EACH
def test_a_mask_is_its_tile_and_the_rest_is_grey(no_data, split):
    for i in range(50):
        sample = Mosaics(split).sample(i)
        assert sample.image.shape == (SIZE, SIZE, 3) and sample.image.dtype == np.uint8
        assert sample.masks.shape == (len(sample.things), SIZE, SIZE) and sample.masks.dtype == bool
        for thing, mask in zip(sample.things, sample.masks, strict=True):
            assert mask.sum() == TILE * TILE
            assert mask[tile_of(thing)].all()
        assert sample.masks.sum(0).max() == 1
        assert (sample.image[~sample.masks.any(0)] == mosaics.EMPTY).all()


@pytest.mark.parametrize("split", ["val", "test"])
def test_val_and_test_show_whole_photographs(no_data, split):
    for i in range(20):
        sample = Mosaics(split).sample(i)
        for thing in sample.things:
            small = NOISE[split][thing.image - mosaics.numbers(split).start]
            whole = Image.fromarray(small).resize((TILE, TILE), Image.Resampling.BILINEAR)
            assert np.array_equal(sample.image[tile_of(thing)], np.asarray(whole))


def test_anyones_photographs_are_laid_out_as_ours_are(no_data):
    """Four as they are drawn, and fewer with the rest of the tiles grey."""
    sample = next(s for s in map(Mosaics("test").sample, range(99)) if len(s.things) == 4)
    tiles = [sample.image[tile_of(thing)] for thing in sample.things]
    assert np.array_equal(laid_out(tiles), sample.image)
    without = draw(sample.things[:2])[0]
    assert np.array_equal(laid_out(tiles[:2]), without) and (without[TILE:] == 128).all()
    for several in ([], [*tiles, tiles[0]]):
        with pytest.raises(ValueError, match=f"has one to four photographs, got {len(several)}"):
            laid_out(several)
    with pytest.raises(ValueError, match=r"photograph 2 is \(47, 48, 3\), not \(48, 48, 3\)"):
        laid_out([tiles[0], tiles[1][1:]])


def test_train_shows_crops_half_of_them_mirrored(no_data, monkeypatch):
    columns = np.tile(np.arange(KEPT, dtype=np.uint8)[:, None], (735, KEPT, 1, 3))
    monkeypatch.setattr(mosaics, "_small", lambda split: columns)
    monkeypatch.setattr(mosaics, "SHADE", 0.0)
    flipped, widths, lefts = 0, [], []
    for i in range(300):
        sample = Mosaics("train").sample(i)
        for thing in sample.things:
            row = sample.image[tile_of(thing)][0, :, 0].astype(int)  # the columns that are shown
            flipped += row[0] > row[-1]
            widths.append((abs(row[-1] - row[0])) / KEPT)
            lefts.append(min(row[0], row[-1]))
    assert abs(flipped / len(widths) - 0.5) < 0.08
    assert NARROWEST - 0.05 < min(widths) < NARROWEST + 0.02 and 0.95 < max(widths) <= 1
    assert min(lefts) <= 1 and max(lefts) > 30


def test_train_varies_the_light_a_little(no_data, monkeypatch):
    """Of an even photograph only brightness and tint are left: each within its bounds."""
    even = np.full((735, KEPT, KEPT, 3), 100, np.uint8)
    monkeypatch.setattr(mosaics, "_small", lambda split: even)
    seen = []
    for i in range(150):
        sample = Mosaics("train").sample(i)
        for thing in sample.things:
            tile = sample.image[tile_of(thing)]
            assert (tile == tile[0, 0]).all()
            seen.append(tile[0, 0] / 100)
    seen = np.array(seen)
    bright = seen.mean(1)
    low, high = 1 - SHADE, 1 + SHADE
    assert low * (1 - SHADE / 3) - 0.01 <= seen.min() < low + 0.02
    assert high - 0.02 < seen.max() <= high * (1 + SHADE / 3) + 0.01
    assert abs(bright.mean() - 1) < 0.02 and bright.std() > SHADE / 3
    assert 0.01 < (seen - bright[:, None]).std() < SHADE / 3


def test_contrast_and_colour_keep_the_mean():
    rng = np.random.default_rng(0)
    view = rng.integers(90, 160, (TILE, TILE, 3)).astype(np.uint8)
    spreads = set()
    for seed in range(20):
        lit = mosaics._in_another_light(view, random.Random(seed))
        ratio = lit.mean((0, 1)) / view.mean((0, 1))
        assert (abs(ratio - 1) < SHADE * 1.4).all()
        spreads.add(round(float(lit.std() / view.std()), 2))
    assert min(spreads) < 0.95 and max(spreads) > 1.05


def test_a_train_mosaic_can_be_drawn_again_and_edited(no_data):
    source = Mosaics("train")
    sample = source.sample(5)
    image, masks = draw(sample.things, source.rng(5))
    assert np.array_equal(image, sample.image) and np.array_equal(masks, sample.masks)
    image, masks = draw(sample.things[:1])
    assert masks.shape == (1, SIZE, SIZE)
    assert (image[~masks[0]] == mosaics.EMPTY).all()
    assert draw([])[1].shape == (0, SIZE, SIZE)


# Captions ---------------------------------------------------------------------------------------


@EACH
def test_captions_are_true_and_name_their_tiles(no_data, split):
    source, seconds = Mosaics(split, captions=3), 0
    for i in range(200):
        sample = source.sample(i)
        assert sample.captions
        for caption in sample.captions:
            verdict = source.grammar.check(caption.text, sample.things)
            assert verdict.true, (caption.text, verdict.wrong)
            assert source.grammar.link(caption.text, sample.things) == caption
            named = sorted(set().union(*caption.things))
            assert len(named) == 1 + sum(
                word in ("left", "right", "above", "below") for word in caption.words
            )
            seconds += len(named) == 3
    assert seconds > 50


def test_a_false_caption_is_false(no_data):
    things = (
        Thing("bananas", 24, 24, image=0),
        Thing("carrots", 24, 72, image=1),
        Thing("red peppers", 72, 24, image=2),
    )
    grammar = Mosaics("test").grammar
    assert grammar.check("bananas above carrots and left of red peppers", things).true
    assert not grammar.check("bananas below carrots and left of red peppers", things).true
    assert grammar.check("bananas above plums", things).wrong == ("there are no plums",)
    assert not grammar.check("a red pepper", things).parses


def test_every_split_speaks_the_same_words():
    assert len({Mosaics(split).grammar.words for split in SPLITS}) == 1
    words = set(Mosaics("val").grammar.words)
    assert {"plums", "red", "peppers", "and", "left", "of"} <= words
    assert not words & {"a", "an", "two"}


# Errors -----------------------------------------------------------------------------------------


def test_bad_arguments_name_what_came(no_data):
    with pytest.raises(ValueError, match="unknown split 'dev': one of train, val, test"):
        Mosaics("dev")
    with pytest.raises(ValueError, match="captions must be 1 or more, got 0"):
        Mosaics("val", captions=0)
    with pytest.raises(ValueError, match="mosaics are numbered from 0, got -1"):
        Mosaics("val").sample(-1)


def test_things_that_cannot_be_drawn_are_refused(no_data):
    apples = Thing("apples", 24, 24, image=0)
    with pytest.raises(ValueError, match="photograph 0 shows apples, not 'bananas'"):
        draw([replace(apples, noun="bananas")])
    for number in (-1, 1509):
        with pytest.raises(ValueError, match=rf"photograph {number}: .* numbered 0 to 1508"):
            draw([replace(apples, image=number)])
    for x in (-1, SIZE, float("nan")):
        with pytest.raises(ValueError, match=rf"centre \({x}, 24\) is outside the image, 0 to 96"):
            draw([replace(apples, x=x)])
    with pytest.raises(ValueError, match=r"two things in the tile around \(30, 30\)"):
        draw([apples, replace(apples, x=30, y=30)])


# Files ------------------------------------------------------------------------------------------


def jpeg(colour, size=(40, 60)):
    """A photograph whose middle square has this colour, and the rest is black."""
    picture = Image.new("RGB", size)
    side = min(size)
    picture.paste(colour, ((size[0] - side) // 2, (size[1] - side) // 2, side, side + 10))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


COLOURS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (200, 200, 30), (90, 90, 90))


def clear():
    for cached in (mosaics.photographs, mosaics.numbers, mosaics._showing, mosaics._small):
        cached.cache_clear()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A list of five photographs of bananas and kiwis, and a mirror that holds them."""
    bodies = {f"test/Kind/Shelf_{k}.jpg": jpeg(colour) for k, colour in enumerate(COLOURS)}
    write_list(tmp_path, monkeypatch, bodies)
    for path, body in bodies.items():
        file = tmp_path / "mirror" / "grocery-store" / "dataset" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path / "mirror"))
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path / "cache"))
    clear()
    yield tmp_path / "mirror" / "grocery-store" / "dataset" / "test" / "Kind"
    clear()


def write_list(tmp_path, monkeypatch, bodies, home="http://127.0.0.1:9/"):
    lines = [
        f"{hashlib.sha256(body).hexdigest()} {path} {('Banana', 'Kiwi')[k % 2]}\n"
        for k, (path, body) in enumerate(bodies.items())
    ]
    listed = tmp_path / "groceries.txt"
    listed.write_text("# a shop\n" + "".join(lines), "utf-8")
    monkeypatch.setattr(files, "GROCERIES", listed)
    for name, digest, _ in files.groceries():
        url = home + name.removeprefix("grocery-store/")
        monkeypatch.setitem(files.REGISTRY, name, files.Entry(name, digest, url))


def copies(tmp_path):
    return sorted((tmp_path / "cache" / "grocery-store").glob("*.npz"))


def test_photographs_are_shrunk_once_from_their_middle_square(shop, tmp_path):
    small = mosaics._small("test")
    assert small.shape == (5, KEPT, KEPT, 3)
    for one, colour in zip(small, COLOURS, strict=True):
        assert np.abs(one[8:-8, 8:-8].astype(int) - colour).max() < 12  # JPEG is not exact
    for path in shop.iterdir():
        path.unlink()
    clear()
    assert np.array_equal(mosaics._small("test"), small)  # nothing is read again
    assert len(copies(tmp_path)) == 1


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b"", lambda b: b"x" * len(b)])
def test_damaged_copies_are_made_again(shop, tmp_path, damage):
    small = mosaics._small("test")
    (path,) = copies(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    clear()
    assert np.array_equal(mosaics._small("test"), small)
    assert path.read_bytes() == whole
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255  # one pixel
    path.write_bytes(flipped)
    clear()
    assert np.array_equal(mosaics._small("test"), small)


def test_copies_of_another_size_or_list_are_not_used(shop, tmp_path, monkeypatch):
    mosaics._small("test")
    path = shop / "Shelf_0.jpg"
    path.write_bytes(jpeg((1, 2, 3)))
    name = photographs()[0].name
    entry = replace(files.REGISTRY[name], sha256=files.sha256(path))
    monkeypatch.setitem(files.REGISTRY, name, entry)
    mosaics._small.cache_clear()
    assert mosaics._small("test")[0].max() < 20
    monkeypatch.setattr(mosaics, "KEPT", 32)
    mosaics._small.cache_clear()
    assert mosaics._small("test").shape == (5, 32, 32, 3)
    assert len(copies(tmp_path)) == 3


def test_an_altered_photograph_is_named(shop, tmp_path):
    (shop / "Shelf_3.jpg").write_bytes(jpeg((1, 2, 3)))
    with pytest.raises(files.DataError, match=r"Shelf_3\.jpg has a wrong checksum") as caught:
        Mosaics("test").sample(0)
    assert "3 of 5 photographs" in str(caught.value) and "\n" not in str(caught.value)
    assert not copies(tmp_path)


def test_a_photograph_that_is_none_is_named(tmp_path, monkeypatch, shop):
    body = jpeg(COLOURS[0])
    bodies = {f"test/Kind/Shelf_{k}.jpg": body[: 300 * (k + 1)] for k in range(2)}
    write_list(tmp_path, monkeypatch, bodies)
    for path, text in bodies.items():
        (shop / Path(path).name).write_bytes(text)
    clear()
    with pytest.raises(files.DataError, match=r"Shelf_0\.jpg cannot be read as a photograph"):
        mosaics._small("test")


def test_a_cache_that_cannot_be_written_is_a_warning(shop, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"cannot be written .*set ATTNLIB_CACHE"):
        assert len(mosaics._small("test")) == 5


def test_copies_that_cannot_be_finished_leave_nothing(shop, tmp_path, monkeypatch):
    def full(file, **_):
        file.write(b"the beginning")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mosaics.np, "savez", full)
    with pytest.warns(UserWarning, match=r"cannot be written \(No space left on device\)"):
        assert len(mosaics._small("test")) == 5
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_a_download_that_broke_off_goes_on(shop, tmp_path, monkeypatch):
    bodies = {path.name: path.read_bytes() for path in sorted(shop.iterdir())}
    asked, closed = Counter(), {"Shelf_4.jpg"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            asked[name] += 1
            found = name in bodies and name not in closed
            body = bodies[name] if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    monkeypatch.delenv("ATTNLIB_DATA")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(mosaics, "CONNECTIONS", 1)  # in order, so that four have come
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    write_list(tmp_path, monkeypatch, {f"test/Kind/{name}": b for name, b in bodies.items()}, home)
    try:
        with pytest.raises(files.DataError) as caught:
            mosaics._small("test")
        for part in ("Shelf_4.jpg", home, "4 of 5 photographs", "try again"):
            assert part in str(caught.value)
        closed.clear()
        assert len(mosaics._small("test")) == 5
    finally:
        server.shutdown()
        server.server_close()
    assert asked == {name: 1 + (name == "Shelf_4.jpg") for name in bodies}


# Real photographs -------------------------------------------------------------------------------


@pytest.fixture
def at_hand():
    try:
        mosaics._small("val")
    except files.DataError as error:
        pytest.skip(f"neither mirrored nor downloadable: {error}")


def test_the_photographs_have_the_colours_of_what_they_show(at_hand):
    """Not a heap of noise, not upside-down channels: bananas are yellow, red peppers red."""
    means = {}
    for noun, numbers in mosaics._showing("val").items():
        start = mosaics.numbers("val").start
        views = mosaics._small("val")[[number - start for number in numbers]]
        means[noun] = views.mean((0, 1, 2))
    for noun in ("bananas", "lemons", "oranges", "red peppers", "tomatoes", "carrots"):
        red, green, blue = means[noun]
        assert red > blue + 30
        assert (red > green + 40) == (noun in ("oranges", "red peppers", "tomatoes", "carrots")), (
            noun
        )
    for noun in ("apples", "cucumbers", "watermelons"):
        assert means[noun].argmax() == 1 or means[noun][1] > means[noun][2] + 15
    assert Mosaics("val").sample(0).image.std() > 30

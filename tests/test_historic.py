"""Historic photographs: what a caption keeps, and that no split has been told what another asks."""

import hashlib
import importlib.util
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attnlib.data import files, historic
from attnlib.data.historic import CaptionedPhotograph

TOOL = Path(__file__).parents[1] / "book" / "_tools" / "list_historic.py"
spec = importlib.util.spec_from_file_location("list_historic", TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture(scope="module")
def splits():
    try:
        return {name: historic.split(name) for name in historic.SPLITS}
    except files.DataError as error:
        pytest.skip(f"the photographs are neither mirrored nor downloadable: {error}")


def alike(first: CaptionedPhotograph, second: CaptionedPhotograph) -> bool:
    a, b = set(first.words), set(second.words)
    return len(a & b) / len(a | b) >= tool.ALIKE


@pytest.mark.slow
def test_every_photograph_is_in_one_split_and_is_alike_none_of_another(splits):
    assert sum(map(len, splits.values())) == len(historic.photographs()) == 1615
    assert len({x.number for part in splits.values() for x in part}) == 1615
    assert {name: len(part) for name, part in splits.items()} == {
        "train": 1000, "val": 250, "test": 365}  # fmt: skip
    for ours, theirs in (("train", "val"), ("train", "test"), ("val", "test")):
        for x in splits[ours]:
            assert not any(alike(x, y) for y in splits[theirs]), x
    looks = {
        name: np.array(
            [[int(b) for b in f"{tool.fingerprint(x.image()):064b}"] for x in part[:100]]
        )
        for name, part in splits.items()
    }
    for ours, theirs in (("train", "val"), ("train", "test")):
        differ = (looks[ours][:, None] != looks[theirs][None]).sum(-1)
        assert differ.min() > tool.TWINS


@given(st.lists(st.sampled_from(["a barn", "a barn in Utah", "two ships", "ships"]), max_size=6))
def test_groups_are_those_of_a_search_from_each(titles):
    photographs = [CaptionedPhotograph(str(i), title) for i, title in enumerate(titles)]
    prints = [(1 << 7 * (i % 9)) - 1 for i in range(len(titles))]
    found = {frozenset(map(str, group)) for group in tool.together(photographs, prints)}
    left, wanted = set(range(len(titles))), set()
    while left:
        group = [left.pop()]
        for i in group:
            near = [
                j
                for j in left
                if alike(photographs[i], photographs[j])
                or bin(prints[i] ^ prints[j]).count("1") <= tool.TWINS
            ]
            group += near
            left -= set(near)
        wanted.add(frozenset(str(photographs[i]) for i in group))
    assert found == wanted


def test_a_caption_keeps_words_alone():
    title = '["Old" Pie Town, N[ew] Mex[ico], C-47 [i. e. a plane]; 30-calibre guns(?)]'
    words = "old pie town new mexico c-47 30-calibre guns"
    assert " ".join(CaptionedPhotograph("", title).words) == words
    assert len(CaptionedPhotograph("", "word " * 99).words) == historic.LONGEST


def test_a_fingerprint_is_of_the_look_and_not_of_the_size():
    rng = np.random.default_rng(0)
    patches = Image.fromarray(rng.integers(0, 255, (8, 9), np.uint8))
    large, small = (patches.resize(s, Image.Resampling.NEAREST) for s in ((144, 128), (90, 80)))
    one, other = tool.fingerprint(large), tool.fingerprint(small)
    assert (one ^ other).bit_count() <= 3
    assert (one ^ tool.fingerprint(large.transpose(0))).bit_count() > 20  # mirrored


def mirror_with(folder, number: str, image: Image.Image, monkeypatch) -> None:
    """A mirror whose archive holds one photograph, and an empty cache."""
    held = io.BytesIO()
    image.save(held, "JPEG")
    (folder / "mirror" / "fsa-color").mkdir(parents=True)
    archive = folder / "mirror" / files.HISTORIC_ARCHIVE
    with tarfile.open(archive, "w:xz") as packed:
        entry = tarfile.TarInfo(f"data/fsac/thm/{number}.jpg")
        entry.size = held.tell()
        held.seek(0)
        packed.addfile(entry, held)
    for name, content in (
        (files.HISTORIC_ARCHIVE, archive.read_bytes()),
        (files.historic(number), held.getvalue()),
    ):
        entry = files.Entry(name, hashlib.sha256(content).hexdigest(), None, "its home")
        monkeypatch.setitem(files.REGISTRY, name, entry)
    monkeypatch.setenv("ATTNLIB_DATA", str(folder / "mirror"))
    monkeypatch.setenv("ATTNLIB_CACHE", str(folder / "cache"))


def test_a_photograph_of_the_archive_is_unpacked_checked_and_cut(tmp_path, monkeypatch):
    image = Image.new("RGB", (150, 100), "black")
    image.paste((200, 30, 30), (10, 7, 140, 93))
    mirror_with(tmp_path, "2017877340", image, monkeypatch)
    shown = historic.opened("2017877340")
    assert shown.size == (150 - 2 * 14, 100 - 2 * 9)
    assert np.asarray(shown)[..., 0].min() > 150  # nothing of the frame
    held = tmp_path / "cache" / files.historic("2017877340")
    held.write_bytes(held.read_bytes()[:-9])
    with pytest.raises(files.DataError, match=r"2017877340\.jpg is not downloaded for you"):
        historic.opened("2017877340")


def test_bad_names_are_refused():
    with pytest.raises(ValueError, match="unknown split 'dev': one of train, val, test"):
        historic.split("dev")
    with pytest.raises(ValueError, match=r"unknown data file 'fsa-color/data/fsac/thm/7\.jpg'"):
        historic.opened("7")

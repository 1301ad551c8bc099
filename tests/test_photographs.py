"""Flickr8k and COCO in miniature, drawn here in their formats; and image files of every kind."""

import json
import random
import re
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from attnlib import cli, decoding, pretrained, settings, training
from attnlib.attention import Attention
from attnlib.captioning import Captioner
from attnlib.data import images
from attnlib.data.files import DataError
from attnlib.data.photographs import Photographs, coco, flickr8k, load, read_image
from attnlib.data.tokenizer import Tokenizer
from attnlib.scores import AdditiveScore
from attnlib.training import Objective

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SPLITS = {"train": (0, 1, 2, 3), "val": (4,), "test": (5,)}
NAMES = [f"100{i}_ab{i}.jpg" for i in range(6)]


def captions(i):
    """Five captions of drawing i, as people type them: capitals, full stops apart, blanks."""
    it = COLOURS[i]
    return [
        f"A {it} disc .",
        f"a disc that is {it}",
        f"One  {it} disc on grey .",
        f"There is a {it} disc",
        f"The disc's colour is {it} . ",
    ]


def clean(i):
    return tuple(" ".join(caption.split()) for caption in captions(i))


def draw(i, width, height):
    image = Image.new("RGB", (width, height), "grey")
    side = min(width, height) // 2
    left, top = (width - side) // 2, (height - side) // 2
    ImageDraw.Draw(image).ellipse([left, top, left + side, top + side], fill=COLOURS[i])
    return image


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    return write(tmp_path_factory.mktemp("masters"))


@pytest.fixture
def copy(tmp_path):
    return write(tmp_path)


def write(root):
    """Both sets in all formats, six drawings with five captions each."""
    flickr, texts, pictures = (
        root / name for name in ("Flicker8k_Dataset", "Flickr8k_text", "coco")
    )
    annotations = root / "annotations"
    for folder in (flickr, texts, pictures / "train2014", pictures / "val2014", annotations):
        folder.mkdir(parents=True)
    lines, karpathy = [], {"flickr8k": [], "coco": []}
    official = {half: {"info": {}, "images": [], "annotations": []} for half in ("train", "val")}
    for i, name in enumerate(NAMES):
        size = (90, 60) if i % 2 else (60, 90)
        draw(i, *size).save(flickr / name, quality=95)
        split = next(split for split, rows in SPLITS.items() if i in rows)
        lines += [f"{name}#{n}\t{caption}" for n, caption in enumerate(captions(i))]
        sentences = [
            {"raw": text, "tokens": re.sub(r"[^a-z ]", "", text.lower()).split(), "sentid": n}
            for n, text in enumerate(captions(i))
        ]
        entry = {"filename": name, "imgid": i, "sentences": sentences, "split": split}
        karpathy["flickr8k"].append(entry)
        half = "train" if i < 3 else "val"  # Karpathy splits COCO's validation half
        file = f"COCO_{half}2014_{i:012}.jpg"
        draw(i, *size).save(pictures / f"{half}2014" / file, quality=95)
        restval = "restval" if i == 3 else split
        karpathy["coco"].append(
            {**entry, "filename": file, "filepath": f"{half}2014", "split": restval, "cocoid": i}
        )
        official[half]["images"].append({"id": 10 + i, "file_name": file, "height": size[1]})
        official[half]["annotations"] += [
            {"image_id": 10 + i, "id": 100 * i + n, "caption": caption + "\n"}
            for n, caption in enumerate(captions(i))
        ]
    # The real file describes one photograph that is not there, under a name that is no file's.
    lines += [f"2258277193_586949ec62.jpg.1#{n}\tA child ." for n in range(5)]
    (texts / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    for split, part in (("train", "train"), ("val", "dev"), ("test", "test")):
        chosen = "".join(NAMES[i] + "\n" for i in SPLITS[split])
        (texts / f"Flickr_8k.{part}Images.txt").write_text(chosen)
    for name, entries in karpathy.items():
        dump(root / f"dataset_{name}.json", {"images": entries, "dataset": name})
    for half, content in official.items():
        for entry in content["annotations"]:
            entry["caption"] = entry["caption"].strip() + "\n"
        random.Random(0).shuffle(content["annotations"])  # in no order, as in the real file
        dump(annotations / f"captions_{half}2014.json", content)
    return root


def dump(path, content):
    path.write_text(json.dumps(content))


def edit(path, change):
    """Change a JSON file by a function that changes its content in place."""
    content = json.loads(path.read_text())
    change(content)
    dump(path, content)


def flickr(root, split="train", karpathy=False, **rest):
    where = "dataset_flickr8k.json" if karpathy else "Flickr8k_text"
    return flickr8k(root / "Flicker8k_Dataset", root / where, split, **rest)


def coco_of(root, split="train", karpathy=False, **rest):
    where = "dataset_coco.json" if karpathy else "annotations"
    return coco(root / "coco", root / where, split, **rest)


@pytest.mark.parametrize("karpathy", [False, True])
@pytest.mark.parametrize("split", SPLITS)
def test_flickr8k_in_both_formats(masters, split, karpathy):
    found = flickr(masters, split, karpathy)
    assert [path.name for path in found.paths] == [NAMES[i] for i in SPLITS[split]]
    assert found.captions == tuple(clean(i) for i in SPLITS[split])
    assert all(path.is_file() for path in found.paths)


@pytest.mark.parametrize("split", SPLITS)
def test_coco_by_karpathy_counts_restval_as_train(masters, split):
    found = coco_of(masters, split, karpathy=True)
    assert found.captions == tuple(clean(i) for i in SPLITS[split])
    halves = [path.parent.name for path in found.paths]
    assert halves == ["train2014" if i < 3 else "val2014" for i in SPLITS[split]]
    assert all(path.is_file() for path in found.paths)


def test_coco_official(masters):
    train, val = (coco_of(masters, split) for split in ("train", "val"))
    for found, rows in ((train, (0, 1, 2)), (val, (3, 4, 5))):
        assert [set(texts) for texts in found.captions] == [set(clean(i)) for i in rows]
        assert all(path.is_file() for path in found.paths)


def test_coco_of_2017_where_there_is_none_of_2014(copy):
    (copy / "annotations/captions_val2014.json").rename(copy / "annotations/captions_val2017.json")
    (copy / "coco/val2014").rename(copy / "coco/val2017")
    assert coco_of(copy, "val").paths[0].parent.name == "val2017"


def test_karpathys_tokens(masters):
    for found in (flickr, coco_of):
        texts = found(masters, "test", karpathy=True, text="tokens").captions[0]
        assert texts[4] == "the discs colour is orange" and texts[0] == "a orange disc"


def test_a_set_by_its_name(masters, monkeypatch):
    monkeypatch.delenv("ATTNLIB_PHOTOGRAPHS", raising=False)
    monkeypatch.delenv("ATTNLIB_ANNOTATIONS", raising=False)
    with pytest.raises(DataError, match="coco is read from your own copy: set ATTNLIB_PHOTOGRAPHS"):
        load("coco", "train")
    monkeypatch.setenv("ATTNLIB_PHOTOGRAPHS", str(masters / "coco"))
    with pytest.raises(DataError, match="set ATTNLIB_ANNOTATIONS to the folder of the official"):
        load("coco", "train")
    monkeypatch.setenv("ATTNLIB_ANNOTATIONS", str(masters / "dataset_coco.json"))
    assert load("coco", "test", 64, "tokens") == coco_of(
        masters, "test", karpathy=True, size=64, text="tokens"
    )
    with pytest.raises(DataError, match="dataset: expected 'flickr8k', got 'coco'"):
        load("flickr8k", "train")


@pytest.mark.parametrize(
    "name, photographs, annotations",
    [
        ("flickr8k", "Flicker8k_Dataset", "Flickr8k_text"),
        ("coco", "coco", "dataset_coco.json"),
        ("coco", "coco", "annotations"),
    ],
)
def test_a_set_is_trained_on_captioned_and_evaluated(
    masters, tmp_path, monkeypatch, capsys, name, photographs, annotations
):
    """With the encoder that comes with attnlib, for there may be no torchvision."""
    monkeypatch.setenv("ATTNLIB_PHOTOGRAPHS", str(masters / photographs))
    monkeypatch.setenv("ATTNLIB_ANNOTATIONS", str(masters / annotations))
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = training.PHOTOGRAPHS[f"{name}-soft"].replace(
        encoder=settings.WHOLE, width=8, hidden=8, images=2, updates=3, vocab_size=60
    )
    monkeypatch.setitem(training.PHOTOGRAPHS, config.name, config)
    assert training.main(["--run", config.name, "--device", "cpu"]) == 0
    card = pretrained.card(f"runs/{config.name}")
    assert (card["pictures"], card["model"]["size"]) == (name, 224)
    folder = f"runs/{config.name}"
    picture = str(next((masters / photographs).rglob("*.jpg")))
    capsys.readouterr()
    assert cli.main(["caption", picture, "--model", folder]) == 0  # of whatever size it is
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and "resized from" in err
    if annotations == "annotations":  # which have no test captions
        assert "val.loss" in card["metrics"] and "needs Karpathy's" in card["unmeasured"][0]
        assert cli.main(["evaluate", folder]) == 2
        assert "split='test' needs Karpathy's dataset_coco.json" in capsys.readouterr().err
    else:
        assert cli.main(["evaluate", folder]) == 0
        out = capsys.readouterr().out
        assert f"{config.name} on 1 pictures of {name} test, beam 5" in out
        assert f"{card['metrics']['bleu']:.2f}  nrefs:5|" in out


def test_slices_and_iteration(masters):
    found = flickr(masters, size=20)
    assert len(found) == 4 and len(found[1:3]) == 2 and found[1:3].size == 20
    assert list(found[1:3]) == [(found.paths[i], found.captions[i]) for i in (1, 2)]


def test_images_are_the_centred_square(masters):
    found = flickr(masters, size=30)
    for i in range(4):
        pixels = found.image(i)
        assert pixels.shape == (30, 30, 3) and pixels.dtype == np.uint8
        want = np.asarray(draw(i, 60, 60).resize((30, 30), Image.Resampling.BOX), dtype=float)
        assert np.abs(pixels - want).mean() < 6  # JPEG's loss, another filter


def test_a_sample_is_a_scene_of_which_less_is_known(masters):
    found = flickr(masters, size=30)
    sample = found.sample(2)
    assert np.array_equal(sample.image, found.image(2)) and sample.masks.shape == (0, 30, 30)
    assert tuple(caption.text for caption in sample.captions) == found.captions[2]


class Patches(nn.Module):
    """The plainest eye: one linear layer on squares of 8 x 8 pixels."""

    annotation_dim = 16

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, self.annotation_dim, kernel_size=8, stride=8)

    def forward(self, pictures):
        return self.look(pictures - 0.5).flatten(2).transpose(1, 2)


@pytest.mark.slow
def test_a_captioner_learns_to_say_the_colour_it_sees(masters):
    """End to end: files, batches, training, captions."""
    torch.manual_seed(0)
    found = flickr(masters, size=32, karpathy=True, text="tokens")
    found = Photographs(found.paths, tuple(texts[:2] for texts in found.captions), 32)
    words = Tokenizer.train([text for texts in found.captions for text in texts], 120)
    encoder = Patches()
    attention = Attention(AdditiveScore(32, encoder.annotation_dim, 32))
    model = Captioner(len(words), width=32, hidden=32, encoder=encoder, attention=attention)
    objective, optimiser = Objective(model), torch.optim.Adam(model.parameters(), lr=2e-2)
    for number in range(45):
        for batch in images.epoch(found, words, 16, 4, number=number, limit=len(found)):
            loss = objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
            optimiser.zero_grad()
            (loss / batch.target_tokens).backward()
            optimiser.step()
    model.eval()
    pictures = torch.stack([images.as_floats(found.image(i)) for i in range(4)])
    for i, caption in enumerate(decoding.greedy(model, pictures, torch.full((4,), 16), 12)):
        text = words.decode(caption.ids)
        assert [colour for colour in COLOURS if colour in text] == [COLOURS[i]], text


# What is refused


@pytest.mark.parametrize("read", [flickr, coco_of])
def test_unknown_settings(masters, read):
    with pytest.raises(ValueError, match="unknown split 'dev': one of train, val, test"):
        read(masters, "dev")
    with pytest.raises(ValueError, match="unknown text 'words': one of raw, tokens"):
        read(masters, text="words")
    with pytest.raises(ValueError, match="Karpathy's"):
        read(masters, text="tokens")
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        read(masters, size=0)


def test_coco_keeps_its_test_captions(masters):
    with pytest.raises(ValueError, match=r"split='test' needs Karpathy's dataset_coco\.json"):
        coco_of(masters, "test")


def test_photographs_need_captions_each():
    with pytest.raises(ValueError, match="1 paths but 0 sets of captions"):
        Photographs((NAMES[0],), ())


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("1001_ab1.jpg#5 no tab here", "expected 'name.jpg#0', a tab and a caption, got '1001"),
        ("1001_ab1.jpg\tno number", "expected 'name.jpg#0', a tab"),
        ("#5\tno name", "expected 'name.jpg#0', a tab"),
        ("1001_ab1.jpg#x\tno number", "expected 'name.jpg#0', a tab"),
        ("1001_ab1.jpg#0\tonce more", "1001_ab1.jpg#0 is there twice"),
        ("1001_ab1.jpg#5\t ", "an empty caption for 1001_ab1.jpg"),
    ],
)
def test_a_line_of_the_wrong_shape(copy, line, complaint):
    path = copy / "Flickr8k_text" / "Flickr8k.token.txt"
    path.write_text(path.read_text() + "\n" + line + "\n")  # a blank line is none
    with pytest.raises(DataError, match=re.escape(f"{path}, line 37: {complaint}")):
        flickr(copy)


def test_windows_line_ends_and_a_byte_order_mark(copy):
    for path in (copy / "Flickr8k_text").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert flickr(copy).captions == tuple(clean(i) for i in SPLITS["train"])


def test_a_split_list_with_other_names(copy):
    path = copy / "Flickr8k_text" / "Flickr_8k.devImages.txt"
    path.write_text("nobody.jpg\n")
    with pytest.raises(DataError, match=r"devImages.txt, line 1: nobody.jpg has no captions in"):
        flickr(copy, "val")
    path.write_text(f"{NAMES[4]}\n{NAMES[4]}\n")
    with pytest.raises(DataError, match=rf"devImages.txt, line 2: {NAMES[4]} is there twice"):
        flickr(copy, "val")
    path.write_text("\n")
    with pytest.raises(DataError, match="has no photographs of the val split"):
        flickr(copy, "val")


def test_missing_files_are_named(copy):
    (copy / "Flicker8k_Dataset" / NAMES[1]).unlink()
    (copy / "Flicker8k_Dataset" / NAMES[3]).unlink()
    with pytest.raises(DataError, match=rf"2 of the 4 .* are missing; the first is .*{NAMES[1]}"):
        flickr(copy)
    with pytest.raises(DataError, match="nowhere is not a folder; expected the one with the ph"):
        flickr8k(copy / "nowhere", copy / "Flickr8k_text")
    (copy / "Flickr8k_text" / "Flickr8k.token.txt").unlink()
    with pytest.raises(DataError, match=r"no file .*Flickr8k\.token\.txt"):
        flickr(copy)
    with pytest.raises(DataError, match=r"no file .*nothing\.json"):
        coco(copy / "coco", copy / "nothing.json")
    with pytest.raises(DataError, match=r"no file .*captions_train2014\.json"):
        coco(copy / "coco", copy / "Flickr8k_text")
    (copy / "coco" / "train2014").rename(copy / "coco" / "elsewhere")
    with pytest.raises(DataError, match=r"3 of the 3 .* the first is .*train2014/COCO_train2014_"):
        coco_of(copy)


def test_text_that_is_no_text(copy):
    path = copy / "Flickr8k_text" / "Flickr8k.token.txt"
    path.write_bytes(b"1001_ab1.jpg#0\tcaf\xe9\n")
    with pytest.raises(DataError, match=r"Flickr8k\.token\.txt is not UTF-8 text"):
        flickr(copy)
    path = copy / "dataset_coco.json"
    for text in ('{"images": [', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(DataError, match=r"dataset_coco\.json is not JSON"):
            coco_of(copy, karpathy=True)


def without(key):
    return lambda entry: entry.pop(key)


def setting(key, value):
    return lambda entry: entry.__setitem__(key, value)


@pytest.mark.parametrize(
    "part, change, complaint",
    [
        (("images",), None, "images: expected a list, found nothing"),
        (("images", 1), "text", 'images[1]: expected an object, got "text"'),
        (("images", 1), without("id"), "images[1].id: expected a whole number, found nothing"),
        (("images", 1), setting("id", True), "images[1].id: expected a whole number, got true"),
        (("images", 1), setting("id", 10), "images[1]: image 10 is there twice"),
        (("images", 1), setting("file_name", 7), "images[1].file_name: expected a text, got 7"),
        (("annotations",), {}, "annotations: expected a list, got {}"),
        (("annotations", 2), None, "annotations[2]: expected an object, got null"),
        (
            ("annotations", 2),
            without("image_id"),
            "annotations[2].image_id: expected a whole number, found nothing",
        ),
        (
            ("annotations", 2),
            setting("image_id", 99),
            "annotations[2].image_id: no image 99 in images",
        ),
        (
            ("annotations", 2),
            setting("caption", ["a"]),
            'annotations[2].caption: expected a text, got ["a"]',
        ),
        (("annotations", 2), setting("caption", " \n"), "annotations[2].caption: an empty caption"),
    ],
)
def test_official_annotations_of_the_wrong_shape(copy, part, change, complaint):
    path = copy / "annotations" / "captions_train2014.json"
    spoil(path, part, change)
    with pytest.raises(DataError, match=re.escape(f"{path}, {complaint}")):
        coco_of(copy)


def test_an_official_image_without_captions(copy):
    def apply(content):
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 11]

    edit(copy / "annotations" / "captions_train2014.json", apply)
    with pytest.raises(DataError, match=r"COCO_train2014_0+1\.jpg \(image 11\) has no captions"):
        coco_of(copy)


@pytest.mark.parametrize(
    "part, change, complaint",
    [
        (("images",), None, "images: expected a list, found nothing"),
        (("images",), 3, "images: expected a list, got 3"),
        (("dataset",), "flickr30k", "dataset: expected 'flickr8k', got 'flickr30k'"),
        (("images", 1), [], "images[1]: expected an object, got []"),
        (("images", 1), without("split"), "images[1].split: expected a text, found nothing"),
        (
            ("images", 1),
            setting("split", "dev"),
            "images[1].split: expected one of train, val, test, restval, got 'dev'",
        ),
        (("images", 1), setting("filename", 1), "images[1].filename: expected a text, got 1"),
        (("images", 1), setting("filename", NAMES[0]), f"images[1]: {NAMES[0]} is there twice"),
        (("images", 1), setting("filepath", 1), "images[1].filepath: expected a text, got 1"),
        (
            ("images", 1),
            without("sentences"),
            "images[1].sentences: expected a list, found nothing",
        ),
        (
            ("images", 1),
            setting("sentences", []),
            f"images[1].sentences: {NAMES[1]} has no captions",
        ),
        (
            ("images", 1, "sentences", 0),
            "a dog",
            'images[1].sentences[0]: expected an object, got "a dog"',
        ),
        (
            ("images", 1, "sentences", 0),
            without("raw"),
            "images[1].sentences[0].raw: expected a text, found nothing",
        ),
        (
            ("images", 1, "sentences", 0),
            setting("raw", ""),
            f"images[1].sentences[0].raw: an empty caption for {NAMES[1]}",
        ),
    ],
)
def test_karpathys_file_of_the_wrong_shape(copy, part, change, complaint):
    path = copy / "dataset_flickr8k.json"
    spoil(path, part, change)
    with pytest.raises(DataError, match=re.escape(f"{path}, {complaint}")):
        flickr(copy, karpathy=True)


def spoil(path, part, change):
    """Change, replace or (None, of the whole list) take out one part of a JSON file."""

    def apply(content):
        *way, last = part
        for key in way:
            content = content[key]
        if callable(change):
            change(content[last])
        elif change is None and not way:
            del content[last]
        else:
            content[last] = change

    edit(path, apply)


def test_tokens_must_be_words(copy):
    path = copy / "dataset_flickr8k.json"
    spoil(path, ("images", 0, "sentences", 1), setting("tokens", ["a", 1]))
    with pytest.raises(DataError, match=r"images\[0\]\.sentences\[1\]\.tokens: expected words"):
        flickr(copy, karpathy=True, text="tokens")


def test_a_json_file_of_another_kind(copy):
    path = copy / "dataset_flickr8k.json"
    dump(path, ["a", "list"])
    with pytest.raises(DataError, match=r"expected an object with 'images', got \[\"a\", \"list"):
        flickr(copy, karpathy=True)
    dump(path, list(range(1000)))
    with pytest.raises(DataError) as error:
        flickr(copy, karpathy=True)
    assert len(str(error.value)) < 250 + len(str(path))


def test_a_damaged_photograph_is_named(copy):
    found = flickr(copy)
    found.paths[2].write_bytes(found.paths[2].read_bytes()[:400])
    found.image(1)
    with pytest.raises(DataError, match=rf"{NAMES[2]} cannot be read as an image"):
        found.image(2)


# Image files


def test_a_plain_image_is_left_alone(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    found, done = read_image(tmp_path / "plain.png", 8)
    assert np.array_equal(found, pixels) and done == ()
    found[0] = 0  # the caller's own


GREY = "grey made three equal channels"
WHITE = "transparent parts laid on white"


@pytest.mark.parametrize(
    "mode, colour, suffix, save, want, done",
    [
        ("1", 1, "png", {}, (255, 255, 255), (GREY,)),
        ("L", 100, "png", {}, (100, 100, 100), (GREY,)),
        ("L", 100, "png", {"transparency": 100}, (255, 255, 255), (GREY, WHITE)),
        ("LA", (100, 0), "png", {}, (255, 255, 255), (GREY, WHITE)),
        ("LA", (100, 255), "png", {}, (100, 100, 100), (GREY, WHITE)),
        ("I;16", 25800, "png", {}, (100, 100, 100), ("16 bits a channel made 8", GREY)),
        ("I;16", 65535, "tiff", {}, (255, 255, 255), ("16 bits a channel made 8", GREY)),
        ("RGB", (1, 2, 3), "png", {"transparency": (1, 2, 3)}, (255, 255, 255), (WHITE,)),
        ("RGBA", (10, 20, 30, 255), "png", {}, (10, 20, 30), (WHITE,)),
        ("RGBA", (0, 100, 200, 0), "png", {}, (255, 255, 255), (WHITE,)),
        ("RGBA", (0, 100, 200, 51), "png", {}, (204, 224, 244), (WHITE,)),
        ("P", 3, "gif", {}, (30, 31, 32), ("a palette made RGB",)),
        ("P", 3, "png", {"transparency": 3}, (255, 255, 255), ("a palette made RGB", WHITE)),
        ("CMYK", (0, 255, 255, 0), "tiff", {}, (255, 0, 0), ("CMYK made RGB",)),
    ],
)
def test_every_kind_of_image_becomes_rgb(tmp_path, mode, colour, suffix, save, want, done):
    image = Image.new(mode, (6, 6), colour)
    if mode == "P":
        image.putpalette([n // 3 * 10 % 250 + n % 3 for n in range(768)])
    path = tmp_path / f"image.{suffix}"
    image.save(path, **save)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, said = read_image(path, 6)
    assert found.shape == (6, 6, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - want).max() <= 1
    assert said == done


def test_only_the_first_frame_of_an_animation(tmp_path):
    first, second = (Image.new("RGB", (6, 6), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    found, done = read_image(tmp_path / "moving.gif", 6)
    assert (found == (255, 0, 0)).all() and done[0] == "the first of 2 frames taken"


def test_an_image_on_its_side_is_turned(tmp_path):
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 40, 10))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera says: turn it clockwise to see it upright
    image.save(tmp_path / "side.png", exif=exif)
    found, done = read_image(tmp_path / "side.png", 20, resize=True)
    assert (found[:, :9] == (0, 0, 255)).all() and (found[:, 11:] == (255, 0, 0)).all()
    assert done[0] == "turned upright as its camera says"


def test_a_wrong_size_is_refused_or_made_to_fit(tmp_path):
    image = Image.new("RGB", (50, 20), "white")
    image.paste("black", (15, 0, 35, 20))  # the centred square
    image.save(tmp_path / "wide.png")
    with pytest.raises(ValueError, match=r"wide.png is 50 x 20 pixels, expected 10 x 10"):
        read_image(tmp_path / "wide.png", 10)
    found, done = read_image(tmp_path / "wide.png", 10, resize=True)
    assert found.shape == (10, 10, 3) and (found == 0).all()
    assert done == ("cut to its centred square and resized from 50 x 20 to 10 x 10",)
    found, done = read_image(tmp_path / "wide.png", 33, resize=True)
    assert found.shape == (33, 33, 3) and (found == 0).all()
    image.crop((0, 0, 20, 20)).save(tmp_path / "square.png")
    assert read_image(tmp_path / "square.png", 10, True)[1] == ("resized from 20 x 20 to 10 x 10",)


def test_what_is_no_image(tmp_path):
    with pytest.raises(DataError, match=r"no image .*none\.png"):
        read_image(tmp_path / "none.png", 8)
    with pytest.raises(DataError, match="it is a folder"):
        read_image(tmp_path, 8)
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.png cannot be read as an image"):
        read_image(tmp_path / "text.png", 8)
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "floats.tiff")
    with pytest.raises(DataError, match="its channels are not whole numbers"):
        read_image(tmp_path / "floats.tiff", 8)
    Image.fromarray(np.full((8, 8), 70_000, np.int32)).save(tmp_path / "wide.tiff")
    with pytest.raises(DataError, match="more than 16 bits a channel"):
        read_image(tmp_path / "wide.tiff", 8)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_damaged_files_give_one_error(tmp_path, suffix):
    """Cut off or overwritten anywhere: an image or a DataError that names the file."""
    path = tmp_path / f"damaged.{suffix}"
    draw(1, 16, 16).save(path)
    whole = path.read_bytes()
    rng = random.Random(suffix)
    refused = 0
    for _ in range(60):
        data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
        for _ in range(4):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert read_image(path, 16, resize=True)[0].shape == (16, 16, 3)
        except DataError as error:
            refused += 1
            assert str(error).startswith(f"{path} cannot be read as an image: ")
            assert "\n" not in str(error)
    assert refused > 5

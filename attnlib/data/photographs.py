"""Photographs with people's captions: Flickr8k and COCO, from your own copy, and any image file.

Neither set is downloaded for you: ask for Flickr8k (Hodosh et al. 2013) at its home, and get COCO
(Lin et al. 2014; Chen et al. 2015) from cocodataset.org. Both are read in their official formats,
or by the split of Karpathy and Fei-Fei (2015), one JSON file a set, that most papers report on.
Where your copy lies is no part of a run's description: `load` takes it from two environment
variables, ``ATTNLIB_PHOTOGRAPHS`` and ``ATTNLIB_ANNOTATIONS``.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from attnlib.data.files import DataError
from attnlib.data.grammar import Caption
from attnlib.data.scenes import Sample

SIZE = 224  # pixels a side: 14 x 14 cells of 16, as Xu et al. (2015, section 4.3) have them
SPLITS = ("train", "val", "test")
TEXTS = ("raw", "tokens")
TOKENS = "Flickr8k.token.txt"
LISTS = {"train": "trainImages", "val": "devImages", "test": "testImages"}
YEARS = ("2014", "2017")
PLACES = {
    "ATTNLIB_PHOTOGRAPHS": "the folder of the photographs",
    "ATTNLIB_ANNOTATIONS": "the folder of the official annotations, or to Karpathy's JSON file",
}
RESTVAL = "restval"  # COCO's validation photographs that Karpathy gives back to training

Rows = list[tuple[str, tuple[str, ...]]]  # where a photograph lies in its folder, and its captions


@dataclass(frozen=True)
class Photographs:
    """Photographs and captions; ``paths[i]`` is the file that ``captions[i]`` describe.

    A slice is the same for fewer photographs; iteration gives (path, captions).
    """

    paths: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]
    size: int = SIZE

    def __post_init__(self):
        if len(self.paths) != len(self.captions):
            raise ValueError(f"{len(self.paths)} paths but {len(self.captions)} sets of captions")
        if self.size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {self.size}")

    def __len__(self):
        return len(self.paths)

    def __iter__(self) -> Iterator[tuple[Path, tuple[str, ...]]]:
        return zip(self.paths, self.captions, strict=True)

    def __getitem__(self, rows: slice) -> "Photographs":
        return Photographs(self.paths[rows], self.captions[rows], self.size)

    def image(self, i: int) -> np.ndarray:
        """Photograph i as uint8 (size, size, 3): its centred square, by `read_image`.

        Raises
        ------
        DataError
            If the file cannot be read as an image; the message names it.
        """
        return read_image(self.paths[i], self.size, resize=True)[0]

    def sample(self, i: int) -> Sample:
        """Photograph i as `scenes.Scenes` gives a scene: its things and masks are not known."""
        image = self.image(i)
        return Sample(image, np.zeros((0, *image.shape[:2]), dtype=bool), (), self.told(i))

    def told(self, i: int) -> tuple[Caption, ...]:
        """The captions of photograph i, without a pixel; what their words name is not known."""
        captions = (text.split() for text in self.captions[i])
        return tuple(Caption(tuple(words), (frozenset(),) * len(words)) for words in captions)


def flickr8k(
    images: Path | str,
    annotations: Path | str,
    split: str = "train",
    size: int = SIZE,
    text: str = "raw",
) -> Photographs:
    """Flickr8k (Hodosh et al. 2013): 8,000 photographs with five captions each.

    Parameters
    ----------
    images : path
        The folder of the photographs, ``Flicker8k_Dataset``.
    annotations : path
        The folder with ``Flickr8k.token.txt`` (``name.jpg#0``, a tab, a caption) and the lists
        ``Flickr_8k.trainImages.txt``, ``.devImages.txt`` and ``.testImages.txt``; or Karpathy's
        ``dataset_flickr8k.json``.
    split : str
        ``train`` (6,000 photographs), ``val`` (1,000, the dev list) or ``test`` (1,000).
    size : int
        Pixels a side of what `Photographs.image` gives.
    text : str
        ``raw``, the captions as people wrote them, runs of blanks made one; or ``tokens``, in
        Karpathy's file only: its lower-cased words without punctuation, which published BLEU is
        computed on.

    Raises
    ------
    ValueError
        If the split or the text is unknown, or not in these annotations.
    DataError
        If a file or a photograph is missing, or an annotation is not what it should be: a
        photograph of the split without captions, an empty caption, a line or an entry of another
        shape. The message names the file, the place and what was expected.
    """
    _check(split, text)
    annotations = Path(annotations).expanduser()
    if annotations.is_dir():
        if text != "raw":
            raise ValueError(f"{TOKENS} has raw captions only; text='tokens' needs Karpathy's file")
        rows = _flickr8k(annotations, split)
    else:
        rows = _karpathy(annotations, "flickr8k", split, text)
    return _photographs(rows, Path(images).expanduser(), annotations, split, size)


def coco(
    images: Path | str,
    annotations: Path | str,
    split: str = "train",
    size: int = SIZE,
    text: str = "raw",
) -> Photographs:
    """COCO captions (Chen et al. 2015): at least five captions a photograph.

    Parameters
    ----------
    images : path
        The folder that holds ``train2014`` and ``val2014`` (or ``train2017`` and ``val2017``).
    annotations : path
        The folder with ``captions_train2014.json`` and ``captions_val2014.json`` (or those of 2017,
        where there are none of 2014); or Karpathy's ``dataset_coco.json``.
    split : str
        ``train`` or ``val``, and ``test`` in Karpathy's file only: COCO keeps its own test captions
        to itself. What Karpathy calls ``restval`` counts as ``train``.
    size, text
        As for `flickr8k`.

    Raises
    ------
    ValueError, DataError
        As `flickr8k` does.
    """
    _check(split, text)
    annotations = Path(annotations).expanduser()
    if annotations.is_dir():
        for given, wanted in (("text", text), ("split", split)):
            if wanted in ("tokens", "test"):
                raise ValueError(
                    f"{given}={wanted!r} needs Karpathy's dataset_coco.json: "
                    f"the official files have raw captions of train and val only"
                )
        rows = _coco(annotations, split)
    else:
        rows = _karpathy(annotations, "coco", split, text)
    return _photographs(rows, Path(images).expanduser(), annotations, split, size)


SETS = {"flickr8k": flickr8k, "coco": coco}


def load(name: str, split: str, size: int = SIZE, text: str = "raw") -> Photographs:
    """A set by its name, from where two environment variables say that it lies.

    ``ATTNLIB_PHOTOGRAPHS`` and ``ATTNLIB_ANNOTATIONS`` are the first two arguments of the set's own
    function; the others are its too.

    Raises
    ------
    ValueError
        If the name is unknown.
    DataError
        If a variable is not set. As the set's function for the rest.

    Examples
    --------
    >>> load("flickr30k", "train")
    Traceback (most recent call last):
    ValueError: unknown photographs 'flickr30k': one of flickr8k, coco
    """
    if name not in SETS:
        raise ValueError(f"unknown photographs {name!r}: one of {', '.join(SETS)}")
    for variable, what in PLACES.items():
        if not os.environ.get(variable):
            raise DataError(f"{name} is read from your own copy: set {variable} to {what}")
    images, captions = (os.environ[variable] for variable in PLACES)
    return SETS[name](images, captions, split, size, text)


def read_image(
    path: Path | str, size: int, resize: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Any image file as uint8 (size, size, 3), red, green and blue, and what was done to it.

    An image is turned as its camera says (EXIF), then converted where it must be: grey becomes
    three equal channels, 16 bits a channel become 8, transparent parts are laid on white, a palette
    and other colour spaces become RGB, an animation its first frame. Each of these is one entry of
    what comes back; none for a plain RGB image of the right size.

    Parameters
    ----------
    path : path
        A file in any format that Pillow reads.
    size : int
        Pixels a side.
    resize : bool
        Whether to fit an image of another size: its largest centred square is taken, and resized
        with a triangle filter that averages where it shrinks.

    Raises
    ------
    ValueError
        If the image has another size and `resize` is not asked for.
    DataError
        If the file is missing, damaged or no image.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "grey.png")
    >>> Image.new("L", (64, 64), 7).save(path)
    >>> pixels, done = read_image(path, 64)
    >>> pixels.shape, pixels[0, 0].tolist(), done
    ((64, 64, 3), [7, 7, 7], ('grey made three equal channels',))
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"no image {path}" + (": it is a folder" if path.is_dir() else ""))
    try:
        with Image.open(path) as image:
            found, done = _rgb(image)
    except Exception as error:  # Pillow raises many kinds over damaged files
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as an image: {why}") from error
    width, height = found.size
    if (width, height) != (size, size):
        if not resize:
            raise ValueError(
                f"{path} is {width} x {height} pixels, expected {size} x {size} (width x height)"
            )
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        found = found.crop((left, top, left + side, top + side))
        found = found.resize((size, size), Image.Resampling.BILINEAR)
        cut = "" if width == height else "cut to its centred square and "
        done.append(f"{cut}resized from {width} x {height} to {size} x {size}")
    return np.array(found), tuple(done)


def _rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """An opened image in RGB, and what that took, in words."""
    done = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        done.append(f"the first of {frames} frames taken")
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
        done.append("turned upright as its camera says")
    if image.mode.startswith("I"):  # Pillow's own conversion would cut off all above 255
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("it has more than 16 bits a channel")
        image = Image.fromarray((levels // 257).astype(np.uint8))
        done.append("16 bits a channel made 8")
    elif image.mode == "F":
        raise ValueError("its channels are not whole numbers")
    if image.mode in ("1", "L", "LA", "I;16"):
        done.append("grey made three equal channels")
    elif not image.mode.startswith("RGB"):
        done.append(f"{'a palette' if image.mode in ('P', 'PA') else image.mode} made RGB")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
        done.append("transparent parts laid on white")
    return image.convert("RGB"), done


def _check(split: str, text: str) -> None:
    for name, given, known in (("split", split, SPLITS), ("text", text, TEXTS)):
        if given not in known:
            raise ValueError(f"unknown {name} {given!r}: one of {', '.join(known)}")


def _photographs(rows: Rows, images: Path, source: Path, split: str, size: int) -> Photographs:
    """The rows with their full paths, once every photograph is known to be there."""
    if not rows:
        raise DataError(f"{source} has no photographs of the {split} split")
    if not images.is_dir():
        raise DataError(f"{images} is not a folder; expected the one with the photographs")
    paths = tuple(images / name for name, _ in rows)
    folders = {path.parent for path in paths}  # listed once: quicker than asking for each file
    there = {folder: set(os.listdir(folder)) if folder.is_dir() else set() for folder in folders}
    missing = [path for path in paths if path.name not in there[path.parent]]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(paths)} photographs that {source} names for the {split} "
            f"split are missing; the first is {missing[0]}"
        )
    return Photographs(paths, tuple(captions for _, captions in rows), size)


def _flickr8k(folder: Path, split: str) -> Rows:
    """The official files: all captions in one, the names of each split in another."""
    tokens, chosen = folder / TOKENS, folder / f"Flickr_8k.{LISTS[split]}.txt"
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for number, line in _lines(tokens):
        key, tab, caption = line.partition("\t")
        name, _, which = key.rpartition("#")
        if not (tab and name and which.isdecimal()):
            raise DataError(
                f"{tokens}, line {number}: expected 'name.jpg#0', a tab and a caption, got {line!r}"
            )
        if which in found.setdefault(name, {}):
            raise DataError(f"{tokens}, line {number}: {key} is there twice")
        found[name][which] = (" ".join(caption.split()), number)
    names: dict[str, None] = {}
    for number, name in _lines(chosen):
        if name in names:
            raise DataError(f"{chosen}, line {number}: {name} is there twice")
        if name not in found:
            raise DataError(f"{chosen}, line {number}: {name} has no captions in {tokens}")
        for caption, where in found[name].values():
            if not caption:
                raise DataError(f"{tokens}, line {where}: an empty caption for {name}")
        names[name] = None
    return [(name, tuple(caption for caption, _ in found[name].values())) for name in names]


def _coco(folder: Path, split: str) -> Rows:
    """The official file: a list of images, a list of annotations that point to them."""
    files = [folder / f"captions_{split}{year}.json" for year in YEARS]
    path = next((file for file in files if file.is_file()), files[0])
    content = _json(path)
    names: dict[int, str] = {}
    captions: dict[int, list[str]] = {}
    for place, image in _entries(content, "images", path):
        number = _entry(image, "id", int, path, place)
        if number in names:
            raise DataError(f"{path}, {place}: image {number} is there twice")
        names[number] = _entry(image, "file_name", str, path, place)
        captions[number] = []
    for place, annotation in _entries(content, "annotations", path):
        number = _entry(annotation, "image_id", int, path, place)
        if number not in names:
            raise DataError(f"{path}, {place}.image_id: no image {number} in images")
        caption = _entry(annotation, "caption", str, path, place)
        captions[number].append(_caption(caption, path, f"{place}.caption", names[number]))
    for number, name in names.items():
        if not captions[number]:
            raise DataError(f"{path}: {name} (image {number}) has no captions")
    parent = path.stem.removeprefix("captions_")
    return [(f"{parent}/{name}", tuple(captions[number])) for number, name in names.items()]


def _karpathy(path: Path, name: str, split: str, text: str) -> Rows:
    """The photographs of a split in the file of Karpathy and Fei-Fei (2015), and their captions."""
    content = _json(path)
    if isinstance(content, dict) and content.get("dataset", name) != name:
        raise DataError(f"{path}, dataset: expected {name!r}, got {content['dataset']!r}")
    rows: Rows = []
    seen: Counter[str] = Counter()
    for place, image in _entries(content, "images", path):
        part = _entry(image, "split", str, path, place)
        if part not in (*SPLITS, RESTVAL):
            known = ", ".join((*SPLITS, RESTVAL))
            raise DataError(f"{path}, {place}.split: expected one of {known}, got {part!r}")
        if part != split and not (part == RESTVAL and split == "train"):
            continue
        file = _entry(image, "filename", str, path, place)
        if "filepath" in image:
            file = f"{_entry(image, 'filepath', str, path, place)}/{file}"
        seen[file] += 1
        if seen[file] > 1:
            raise DataError(f"{path}, {place}: {file} is there twice")
        captions = []
        for where, sentence in _entries(image, "sentences", path, f"{place}."):
            if text == "raw":
                caption = _entry(sentence, "raw", str, path, where)
            else:
                words = _entry(sentence, "tokens", list, path, where)
                if not all(isinstance(word, str) for word in words):
                    raise DataError(f"{path}, {where}.tokens: expected words, got {words!r}")
                caption = " ".join(words)
            captions.append(_caption(caption, path, f"{where}.{text}", file))
        if not captions:
            raise DataError(f"{path}, {place}.sentences: {file} has no captions")
        rows.append((file, tuple(captions)))
    return rows


def _caption(text: str, path: Path, place: str, image: str) -> str:
    """A caption with its runs of blanks made one."""
    if not text.split():
        raise DataError(f"{path}, {place}: an empty caption for {image}")
    return " ".join(text.split())


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number from 1."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.strip(" \r")


def _json(path: Path):
    try:
        return json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error


def _entries(holder, key: str, path: Path, prefix: str = "") -> Iterator[tuple[str, dict]]:
    """The objects of a list in a JSON file, each with its place, such as ``images[3]``."""
    if not isinstance(holder, dict):
        raise DataError(f"{path}: expected an object with {key!r}, got {_short(holder)}")
    place = f"{prefix}{key}"
    for i, entry in enumerate(_entry(holder, key, list, path, prefix.rstrip("."))):
        if not isinstance(entry, dict):
            raise DataError(f"{path}, {place}[{i}]: expected an object, got {_short(entry)}")
        yield f"{place}[{i}]", entry


def _entry(holder: dict, key: str, kind: type, path: Path, place: str):
    """One value in a JSON file, which must be of a kind."""
    expected = {str: "a text", int: "a whole number", list: "a list"}[kind]
    place = f"{place}.{key}" if place else key
    if key not in holder:
        raise DataError(f"{path}, {place}: expected {expected}, found nothing")
    if not isinstance(holder[key], kind) or isinstance(holder[key], bool):
        raise DataError(f"{path}, {place}: expected {expected}, got {_short(holder[key])}")
    return holder[key]


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + " ..."

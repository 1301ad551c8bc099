"""Files that are downloaded, never shipped: where they live, and how we know they arrived whole.

Every file has a name, such as ``multi30k/train.en.gz``, a sha256 and, mostly, an address at a
fixed commit. `fetch` looks in three places, in this order, and returns only a file whose checksum
is right:

1. the folder named by the environment variable ``ATTNLIB_DATA``, a mirror with the same names, or
   with ``.xz`` behind them;
2. the cache: the folder named by ``ATTNLIB_CACHE``, else the user's own cache folder;
3. the file's address, downloaded with pooch into the cache.

Three sets have other bytes at their home than in our mirror:

- ``hansards/``: the official archives (`HANSARDS_HOME`) hold Latin-1 text. They are not downloaded
  for you: unpack one and put the files under the names of the registry, in the mirror or in the
  cache. A file that becomes ours when it is turned into UTF-8 is accepted; read it as UTF-8, and
  where that fails as Latin-1.
- ``tatoeba/mar-eng.zip``: its home, manythings.org/anki, serves a newer list from time to time.
  Your own whole zip in the ``ATTNLIB_DATA`` folder is accepted with a warning: numbers will differ.
- ``fsdd/``: its home packs the archive anew and promises no bytes; `data.spoken` checks what is in
  it (`fetch_unchecked`).
"""

import functools
import hashlib
import lzma
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MULTI30K_HOME = (
    "https://raw.githubusercontent.com/multi30k/dataset/"
    "a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/"
)
TATOEBA_HOME = (
    "https://raw.githubusercontent.com/Shailajai6/Datasets/"
    "bb021da3ec72de72f8befe63fb357a2853c2ac4b/"
)
HANSARDS_HOME = "https://web.eecs.umich.edu/~mihalcea/wpt/data/"
GROCERIES_HOME = (
    "https://raw.githubusercontent.com/marcusklasson/GroceryStoreDataset/"
    "fc80ba90f803d79d0383df52c5a4ac5de99ff6fc/"
)
HISTORIC_HOME = (
    "https://raw.githubusercontent.com/distant-viewing/hdpy/"
    "f89833e9569f03f57956dae09be0213369fc39f2/data/"
)
TREEBANK_HOME = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/"
    "15d613d8447b3478787d4c278730a1e48a945efb/"
)
SPEECH_HOME = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/"
TRIES = 3  # a broken or altered download is fetched again this many times in all
SECONDS = 30  # without an answer


class DataError(RuntimeError):
    """A data file is missing, unreachable or not the one we know; the message says what to do."""


@dataclass(frozen=True)
class Entry:
    """One known file; where `url` is None, `home` says where a user gets it."""

    name: str
    sha256: str
    url: str | None
    home: str = ""


MULTI30K = """
9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8  test_2016_flickr.de.gz
611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9  test_2016_flickr.en.gz
6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90  test_2016_flickr.fr.gz
c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4  test_2016_flickr.lc.norm.tok.de
5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2  test_2016_flickr.lc.norm.tok.en
1463bd5960f9bfe098ec3cd752d3df0c49c84dc646fb518964a29232658cd836  test_2016_flickr.lc.norm.tok.fr
726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6  train.de.gz
d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f  train.en.gz
622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c  train.fr.gz
f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a  val.de.gz
14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28  val.en.gz
ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9  val.fr.gz
"""
TATOEBA = """
be4feaeece218743d61fcb94773c40df7e094deed417bea1035ba89baea9f3d0  mar-eng.zip
"""
HANSARDS = """
3ba96f969df02f93616cc7173e5c5c0c8655c0b8794fd5ecd4575ee39a13a7aa  test/test.e
774dda1b7cedf756236d39d95a81d7542115a16bea131198abf31138bd3aa1cb  test/test.f
eedb9a219cb672a79130557fd4a4bc698565078c6a64abe8d9b18c3bb3ec0651  test/test.wa.nonullalign
6682735fdd124d3df1776f545079e00d0cd859e83495f05153ba9a5f06db1694  test/test.wa.nullalign
ca97941ea7ebaeaa93ca4302cad3a553f4ec650d0ef3e2e90b76a2df8cf9052c  training-every6th-utf8.tar.xz
f338ae5b85043f507460e2e0a1184bc495a24419b61ccc8ec8426a8a8c461d04  trial/trial.e
b4fc275ae7b5f4cd4996e34be44d352d8478cf2cf493ba7e61ad1775d736945a  trial/trial.f
d5fe618c95a377f40747f189466bc2e7d2383507c84d31e2303e414c5ce43dc3  trial/trial.wa
"""
TREEBANK = """
531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6  en_ewt-ud-dev.conllu
e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd  en_ewt-ud-test.conllu
3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b  en_ewt-ud-train.conllu
"""
GROCERIES = Path(__file__).with_name("groceries.txt")  # too many to stand here
HISTORIC = Path(__file__).with_name("historic.txt")
HISTORIC_CAPTIONS = "fsa-color/fsac_metadata.csv.bz2"
HISTORIC_ARCHIVE = "fsa-color/photos.tar.xz"  # what a mirror may hold instead of the photographs
HISTORIC_SUMS = {
    HISTORIC_CAPTIONS: "098d0d27a57064f8368f917700232cedba5c7895bdbba6e5cd3a5a6c0bb611f1",
    HISTORIC_ARCHIVE: "c9a756d1aa93f5fc4aaf7d3040415b154ffaeef2918fb532c22f6fcfc664be9b",
}

SPEECH_ARCHIVE = "fsdd/recordings.tar.xz"  # of a mirror
SPEECH_SUM = "04f6fba0a3314494a5751e17f0ce78df541f985de7ace0948d21b106da1d4578"


def groceries() -> list[tuple[str, str, str]]:
    """Name, sha256 and class of each photograph in `GROCERIES`.

    >>> groceries()[0][0::2]
    ('grocery-store/dataset/train/Fruit/Apple/Granny-Smith/Granny-Smith_001.jpg', 'Granny-Smith')
    """
    lines = GROCERIES.read_text("utf-8").splitlines()
    rows = (line.split() for line in lines if not line.startswith("#"))
    return [(f"grocery-store/dataset/{path}", digest, label) for digest, path, label in rows]


def historic(number: str) -> str:
    """The name of a photograph by its number at the Library of Congress.

    >>> historic("2017877340")
    'fsa-color/data/fsac/thm/2017877340.jpg'
    """
    return f"fsa-color/data/fsac/thm/{number}.jpg"


def historic_list() -> list[tuple[str, str, str]]:
    """Number, sha256 and split of each photograph in `HISTORIC`.

    >>> len(historic_list()), historic_list()[0][0]
    (1615, '2017877340')
    """
    lines = HISTORIC.read_text("utf-8").splitlines()
    rows = (line.split() for line in lines if not line.startswith("#"))
    return [(number, digest, split) for digest, number, split in rows]


def _table(sums):
    """Names and checksums from lines as ``sha256sum`` prints them."""
    return {name: digest for digest, name in (line.split() for line in sums.strip().splitlines())}


def _registry():
    """Every known file; the checksums are those of the bytes that the addresses serve."""
    for name, digest in _table(MULTI30K).items():
        folder = "tok/" if ".tok." in name else "raw/"
        yield Entry(f"multi30k/{name}", digest, MULTI30K_HOME + folder + name)
    for name, digest in _table(TATOEBA).items():
        yield Entry(f"tatoeba/{name}", digest, TATOEBA_HOME + name)
    for name, digest in _table(HANSARDS).items():
        part = name.split("/")[0] if "/" in name else "training"
        home = f"{HANSARDS_HOME}English-French.{part}.tar.gz"
        yield Entry(f"hansards/{name}", digest, None, home)
    for name, digest in _table(TREEBANK).items():
        yield Entry(f"ud-ewt/{name}", digest, TREEBANK_HOME + name)
    for name, digest, _ in groceries():
        path = name.removeprefix("grocery-store/")
        yield Entry(name, digest, GROCERIES_HOME + path)
    yield Entry(SPEECH_ARCHIVE, SPEECH_SUM, None, SPEECH_HOME)
    captions = HISTORIC_CAPTIONS.removeprefix("fsa-color/")
    yield Entry(HISTORIC_CAPTIONS, HISTORIC_SUMS[HISTORIC_CAPTIONS], HISTORIC_HOME + captions)
    yield Entry(HISTORIC_ARCHIVE, HISTORIC_SUMS[HISTORIC_ARCHIVE], None, HISTORIC_HOME)
    for number, digest, _ in historic_list():
        path = historic(number).removeprefix("fsa-color/data/")
        yield Entry(historic(number), digest, HISTORIC_HOME + path)


REGISTRY = {entry.name: entry for entry in _registry()}


def names(prefix: str = "") -> list[str]:
    """Known files whose name begins with `prefix`.

    >>> names("multi30k/val")
    ['multi30k/val.de.gz', 'multi30k/val.en.gz', 'multi30k/val.fr.gz']
    """
    return sorted(name for name in REGISTRY if name.startswith(prefix))


def fetch(name: str) -> Path:
    """Path of a known data file, its sha256 checked; downloaded on first use.

    Parameters
    ----------
    name : str
        A name in the registry, such as ``"multi30k/train.en.gz"``; see `names`.

    Returns
    -------
    pathlib.Path
        In the ``ATTNLIB_DATA`` mirror where it has the file, else in the cache. A file in the cache
        with a wrong checksum (half-finished, altered) is downloaded again, never used. Where the
        cache cannot be written, the file goes to a temporary folder, with a warning.

    Raises
    ------
    ValueError
        If the name is unknown.
    DataError
        If the mirror's file has a wrong checksum, or if the file is in neither place and cannot be
        downloaded. The message names the file, its address, and where to put it.

    Examples
    --------
    >>> fetch("multi30k/train.xx.gz")
    Traceback (most recent call last):
    ValueError: unknown data file 'multi30k/train.xx.gz'; names("multi30k/") lists the known ones
    """
    if name not in REGISTRY:
        folder = name.split("/")[0] + "/"
        prefix = folder if names(folder) else ""
        raise ValueError(f'unknown data file {name!r}; names("{prefix}") lists the known ones')
    entry = REGISTRY[name]
    path = _in_mirror(entry)
    if path is not None:
        return path
    path = cache() / name
    if path.is_file() and _accepts(entry, path):
        return path
    return _download(entry)


def in_mirror(name: str) -> Path | None:
    """A known file in the ``ATTNLIB_DATA`` mirror, its sha256 checked; None where it is not there.

    Raises
    ------
    DataError
        If its checksum is wrong, or the mirror is not a folder.
    """
    return _in_mirror(REGISTRY[name])


def fetch_unchecked(name: str, url: str) -> Path:
    """A file whose bytes its home does not promise: whoever reads it checks what is in it.

    Raises
    ------
    DataError
        If it is not in the cache and cannot be downloaded.
    """
    path = cache() / name
    return path if path.is_file() else _download(Entry(name, "", url))


def cache() -> Path:
    """The folder of downloaded files: ``ATTNLIB_CACHE``, else the user's cache of this system."""
    if os.environ.get("ATTNLIB_CACHE"):
        return Path(os.environ["ATTNLIB_CACHE"]).expanduser()
    return Path(_pooch().os_cache("attnlib"))


def kept(path: Path, shape: tuple[int, ...], dtype, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array of this shape and type: from the file in the cache, else made and kept there.

    A file that is missing, damaged or of something else is made anew, all or nothing; where the
    cache cannot be written there is a warning, and it is made each time.
    """
    try:
        with np.load(path) as file:
            array = file["array"]  # the zip's own checksums are compared here
        if array.shape == shape and array.dtype == dtype:
            return array
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or not whole: make it
    array = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with open(handle, "wb") as file:
                np.savez(file, array=array)
            os.replace(partial, path)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError as error:
        warnings.warn(
            f"the cache {path.parent} cannot be written ({error.strerror}), so that this is made "
            "anew each time; set ATTNLIB_CACHE to a folder you can write",
            stacklevel=3,
        )
    return array


def sha256(path: Path) -> str:
    """Checksum of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: Path) -> str:
    """`sha256`, computed once for a file that nobody writes to while this process runs."""
    found = path.stat()
    return _checksum(path, found.st_mtime_ns, found.st_size)


@functools.cache
def _checksum(path: Path, _written: int, _size: int) -> str:
    return sha256(path)


def _pooch():
    """pooch, imported when first needed, so that training on a mirror does without."""
    try:
        import pooch
    except ImportError as error:
        raise DataError(
            "downloading needs pooch (pip install pooch); "
            "or set ATTNLIB_DATA to a folder that holds the files"
        ) from error
    return pooch


def _in_mirror(entry: Entry) -> Path | None:
    """The file under ``ATTNLIB_DATA``, or None if there is no mirror or it lacks the file."""
    if not os.environ.get("ATTNLIB_DATA"):
        return None
    mirror = Path(os.environ["ATTNLIB_DATA"]).expanduser()
    if not mirror.is_dir():
        raise DataError(f"ATTNLIB_DATA names {mirror}, which is not a folder")
    path = mirror / entry.name
    if not path.is_file():
        return _unpacked(entry, path.with_name(f"{path.name}.xz"))
    if _accepts(entry, path):
        return path
    if entry.name.startswith("tatoeba/") and _whole_zip(path):
        warnings.warn(f"{path} is not the list our numbers were measured on", stacklevel=3)
        return path
    raise DataError(
        f"{path} has a wrong checksum: expected sha256 {entry.sha256}, got {sha256(path)}; "
        f"replace it by {entry.url or entry.home}, or unset ATTNLIB_DATA"
    )


def _unpacked(entry: Entry, packed: Path) -> Path | None:
    """The file in the cache, unpacked from what a mirror has in its place, or None without that."""
    if not packed.is_file():
        return None
    path = cache() / entry.name
    if path.is_file() and _accepts(entry, path):
        return path
    content = lzma.decompress(packed.read_bytes())
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise DataError(
            f"{packed} unpacks to a file with a wrong checksum: expected sha256 {entry.sha256}; "
            f"replace it by {entry.url or entry.home}, or unset ATTNLIB_DATA"
        )
    path = _writable(cache(), entry.name) / entry.name
    path.write_bytes(content)
    return path


def _accepts(entry: Entry, path: Path) -> bool:
    """Whether the bytes are the known ones; text of the Hansards also in its official Latin-1."""
    if sha256(path) == entry.sha256:
        return True
    if not entry.name.startswith(("hansards/test/", "hansards/trial/")):
        return False
    utf8 = path.read_bytes().decode("latin-1").encode("utf-8")
    return hashlib.sha256(utf8).hexdigest() == entry.sha256


def _whole_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


def _download(entry: Entry) -> Path:
    """Let pooch fetch the file into the cache; it checks the sha256 and keeps nothing broken."""
    where = f"put it at {cache() / entry.name}, or set ATTNLIB_DATA to a folder that holds it"
    if entry.url is None:
        raise DataError(
            f"{entry.name} is not downloaded for you: get it from {entry.home}; {where}"
        )
    pooch = _pooch()
    get = pooch.HTTPDownloader(timeout=SECONDS)

    def download(url: str, file: str, fetcher) -> None:
        """Only what broke off is worth another try: what this raises ends pooch's tries."""
        try:
            get(url, file, fetcher)
        except OSError as error:  # requests' exceptions are OSErrors
            if _broken_off(error):
                raise
            raise DataError(
                f"could not download {entry.name} from {url} ({type(error).__name__}); {where}"
            ) from error

    fetcher = pooch.create(
        path=_writable(cache(), entry.name),
        base_url="",
        registry={entry.name: entry.sha256 or None},
        urls={entry.name: entry.url},
        retry_if_failed=TRIES - 1,
    )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # what it does is not the reader's concern, unless it fails
    try:
        return Path(fetcher.fetch(entry.name, downloader=download))
    except (ValueError, OSError) as error:
        reason = "the body broke off" if _broken_off(error) else str(error).split(". ")[0]
        raise DataError(
            f"{entry.name} arrived damaged from {entry.url} {TRIES} times ({reason}); {where}"
        ) from error
    finally:
        logger.setLevel(level)


def _broken_off(error: Exception) -> bool:
    """Whether the connection was there and ended early."""
    from requests.exceptions import ChunkedEncodingError, ContentDecodingError

    return isinstance(error, (ChunkedEncodingError, ContentDecodingError))


def _writable(folder: Path, name: str) -> Path:
    """The folder, if the file can be written to it; else a temporary one, with a warning."""
    parent = (folder / name).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            return folder
    except OSError as error:
        instead = Path(_temporary().name)
        warnings.warn(
            f"the cache {parent} cannot be written ({error.strerror}); {name} goes to "
            f"{instead} for this run only; set ATTNLIB_CACHE to a folder you can write",
            stacklevel=4,
        )
        (instead / name).parent.mkdir(parents=True, exist_ok=True)
        return instead


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory:
    """One folder for this process, removed at its end."""
    return tempfile.TemporaryDirectory(prefix="attnlib-")

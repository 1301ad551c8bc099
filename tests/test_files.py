"""attnlib.data.files: the right bytes or one clear error, without a network."""

import hashlib
import http.server
import lzma
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from attnlib.data import files

GOOD = b"two men ride a bike .\n" * 50
NAME = "multi30k/val.en.gz"


class Server:
    """Answers each request with the next of `bodies`, the last one for ever."""

    def __init__(self):
        self.bodies, self.requests = [(200, GOOD, len(GOOD))], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body, length = outer.bodies[min(outer.requests, len(outer.bodies) - 1)]
                outer.requests += 1
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/val.en.gz"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.delenv("ATTNLIB_DATA", raising=False)
    monkeypatch.setenv("ATTNLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # between two tries
    server = Server()
    entry = files.Entry(NAME, hashlib.sha256(GOOD).hexdigest(), server.url)
    monkeypatch.setitem(files.REGISTRY, NAME, entry)
    yield server
    server.http.shutdown()
    server.http.server_close()


def only_file(folder):
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def put(folder, content, name=NAME):
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_a_download_is_kept_and_used_again(server, tmp_path):
    path = files.fetch(NAME)
    assert path == tmp_path / "cache" / NAME
    assert path.read_bytes() == GOOD
    assert files.fetch(NAME) == path
    assert server.requests == 1
    assert only_file(tmp_path / "cache") == [NAME]  # no .part left behind


@pytest.mark.parametrize("left", [GOOD[:100], b"", b"x" * len(GOOD)])
def test_a_half_finished_or_altered_file_in_the_cache_is_fetched_again(server, tmp_path, left):
    path = put(tmp_path / "cache", left)
    assert files.fetch(NAME) == path
    assert path.read_bytes() == GOOD
    assert server.requests == 1


@pytest.mark.parametrize(
    "bad",
    [
        (200, GOOD[:100], len(GOOD)),  # the connection ends early
        (200, GOOD[:100], 100),  # a truncated file, served as if whole
        (200, b"<html>log in to the hotel</html>", 32),
    ],
)
def test_a_damaged_body_is_refetched(server, tmp_path, bad):
    server.bodies.insert(0, bad)
    assert files.fetch(NAME).read_bytes() == GOOD
    assert server.requests == 2
    assert only_file(tmp_path / "cache") == [NAME]


@pytest.mark.parametrize(
    "length, why", [(len(GOOD), "the body broke off"), (3, "SHA256 hash .* expected .* but got")]
)
def test_a_body_that_stays_damaged_is_an_error_and_leaves_nothing(server, tmp_path, length, why):
    server.bodies = [(200, GOOD[:3], length)]
    with pytest.raises(files.DataError, match=rf"arrived damaged from .* 3 times \({why}"):
        files.fetch(NAME)
    assert server.requests == files.TRIES
    assert only_file(tmp_path / "cache") == []


def test_no_network_says_which_file_its_address_and_where_to_put_it(server, tmp_path):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(files.DataError) as caught:
        files.fetch(NAME)
    for part in (NAME, server.url, str(tmp_path / "cache" / NAME), "ATTNLIB_DATA"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.requests == 0
    assert only_file(tmp_path / "cache") == []


def test_several_may_fetch_one_file_at_the_same_time(server, tmp_path):
    with ThreadPoolExecutor(8) as workers:
        paths = list(workers.map(files.fetch, [NAME] * 8))
    assert {path.read_bytes() for path in paths} == {GOOD}
    assert only_file(tmp_path / "cache") == [NAME]


def test_what_pooch_does_is_not_said(server, capfd):
    files.fetch(NAME)
    assert capfd.readouterr() == ("", "")


def test_a_missing_page_is_not_tried_again(server):
    server.bodies = [(404, b"", 0)]
    with pytest.raises(files.DataError, match=r"could not download multi30k.*\(HTTPError\)"):
        files.fetch(NAME)
    assert server.requests == 1


def test_the_mirror_comes_first(server, tmp_path, monkeypatch):
    path = put(tmp_path / "mirror", GOOD)
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path / "mirror"))
    assert files.fetch(NAME) == path
    assert server.requests == 0


def test_a_mirror_without_the_file_is_passed_over(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path))
    assert files.fetch(NAME) == tmp_path / "cache" / NAME


def test_a_wrong_file_in_the_mirror_is_an_error(server, tmp_path, monkeypatch):
    path = put(tmp_path / "mirror", b"wrong")
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path / "mirror"))
    with pytest.raises(files.DataError) as caught:
        files.fetch(NAME)
    expected, got = hashlib.sha256(GOOD).hexdigest(), hashlib.sha256(b"wrong").hexdigest()
    for part in (str(path), expected, got, server.url):
        assert part in str(caught.value)
    assert server.requests == 0
    assert path.read_bytes() == b"wrong"  # a user's own folder is never written


@pytest.mark.parametrize("content", [GOOD, b"wrong"])
def test_a_mirror_may_hold_it_packed(server, tmp_path, monkeypatch, content):
    packed = put(tmp_path / "mirror", lzma.compress(content), f"{NAME}.xz")
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path / "mirror"))
    if content == GOOD:
        assert files.fetch(NAME) == tmp_path / "cache" / NAME
        packed.write_bytes(b"")  # once is enough
        assert files.fetch(NAME).read_bytes() == GOOD
    else:
        with pytest.raises(files.DataError, match=f"{packed} unpacks to a file with a wrong"):
            files.fetch(NAME)
        assert not (tmp_path / "cache").exists()
    assert server.requests == 0


def test_a_mirror_that_is_no_folder_is_an_error(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(
        files.DataError, match=r"ATTNLIB_DATA names .*nowhere, which is not a folder"
    ):
        files.fetch(NAME)


def test_a_cache_that_cannot_be_written_falls_back_with_a_warning(server, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")  # root ignores chmod
    files._temporary.cache_clear()
    with pytest.warns(UserWarning, match=r"cannot be written .*set ATTNLIB_CACHE"):
        path = files.fetch(NAME)
    assert path.read_bytes() == GOOD
    assert tmp_path not in path.parents
    with pytest.warns(UserWarning):
        assert files.fetch(NAME) == path
    assert server.requests == 1


@pytest.mark.skipif(os.access("/", os.W_OK), reason="root may write anywhere")
def test_a_read_only_cache_is_still_read(server, tmp_path):
    path = put(tmp_path / "cache", GOOD)
    path.parent.chmod(0o500)
    assert files.fetch(NAME) == path
    path.parent.chmod(0o700)


def test_a_users_own_tatoeba_zip_is_taken_with_a_warning(server, tmp_path, monkeypatch):
    import zipfile

    path = tmp_path / "tatoeba" / "mar-eng.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mar.txt", "Go.\tजा.\tCC-BY\n" * 100)
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path))
    with pytest.warns(UserWarning, match=r"not the list our numbers were measured on"):
        assert files.fetch("tatoeba/mar-eng.zip") == path
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(files.DataError, match=r"wrong checksum"):
        files.fetch("tatoeba/mar-eng.zip")


def test_hansards_are_taken_in_utf8_or_latin1_and_nothing_else(server, tmp_path, monkeypatch):
    name, text = "hansards/test/test.f", "le député a raison .\n"
    known = hashlib.sha256(text.encode("utf-8")).hexdigest()
    home = files.REGISTRY[name].home
    monkeypatch.setitem(files.REGISTRY, name, files.Entry(name, known, None, home))
    monkeypatch.setenv("ATTNLIB_DATA", str(tmp_path))
    path = put(tmp_path, text.encode("utf-8"), name)
    assert files.fetch(name) == path
    path.write_bytes(text.encode("latin-1"))
    assert files.fetch(name) == path
    path.write_bytes(text.encode("latin-1")[:-1])
    with pytest.raises(files.DataError, match=r"wrong checksum.*English-French.test.tar.gz"):
        files.fetch(name)
    path.unlink()
    with pytest.raises(
        files.DataError, match=r"get it from .*English-French.test.tar.gz; put it at"
    ):
        files.fetch(name)


def test_an_unknown_name_lists_how_to_find_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown data file 'multi30k/train.xx'; names"):
        files.fetch("multi30k/train.xx")
    assert len(files.names("multi30k/")) == 12
    assert all(len(entry.sha256) == 64 for entry in files.REGISTRY.values())


@pytest.mark.skipif(not os.environ.get("ATTNLIB_DATA"), reason="needs a mirror in ATTNLIB_DATA")
def test_the_registry_is_the_mirror():
    for name in files.names():
        assert files.fetch(name).is_file()


def test_a_mirror_needs_no_pooch():
    code = "import sys; sys.modules['pooch'] = None; from attnlib.data import files"
    subprocess.run([sys.executable, "-c", code], check=True)

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headstart.datasets.download import download
from headstart.errors import RunStoppedError

CONTENT = os.urandom(300_000)


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /letters, and fails as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/letters"
        self.asked: list[str | None] = []  # the Range header of each request
        self.resumes = True  # whether Range is honoured
        self.shift = 0  # by how much the answer to Range is wrong
        self.unmeasured = False  # whether the length is left out
        self.statuses: list[int] = []  # of the next answers, instead of the file
        self.drops: list[int] = []  # after how many bytes the next answers break off


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path != "/letters":
            return self.send_error(404)
        if self.server.statuses:
            return self.send_error(self.server.statuses.pop(0))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.resumes else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        start += self.server.shift if start else 0
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if not self.server.unmeasured:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        self.wfile.write(body[: self.server.drops.pop(0)] if self.server.drops else body)
        return None

    def log_message(self, *_: object) -> None:
        pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "letters"


@pytest.mark.parametrize("unmeasured", [False, True])
def test_the_file_comes_whole_and_alone(server: Server, path: Path, unmeasured: bool) -> None:
    server.unmeasured = unmeasured
    download(server.url, path, backoff=0)
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["letters"]
    assert server.asked == [None]


def test_a_dropped_connection_is_resumed_where_it_broke_off(server: Server, path: Path) -> None:
    server.drops = [100_000, 50_000]
    download(server.url, path, backoff=0)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_from_what_an_earlier_one_left(server: Server, path: Path) -> None:
    server.drops = [100_000]
    with pytest.raises(RunStoppedError, match=r"broke off after 100,000 of 300,000 bytes"):
        download(server.url, path, attempts=1)
    assert names(path.parent) == ["letters.part"]
    download(server.url, path, attempts=1)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_server_that_cannot_resume_sends_all_of_it_again(server: Server, path: Path) -> None:
    server.resumes, server.drops = False, [100_000]
    download(server.url, path, backoff=0)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_server_that_resumes_elsewhere_is_not_believed(server: Server, path: Path) -> None:
    server.shift, server.drops = 7, [100_000]
    download(server.url, path, backoff=0)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", None]


def test_a_part_that_is_complete_needs_only_its_name(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("letters.part").write_bytes(CONTENT)
    download(server.url, path, attempts=1)
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["letters"]


def test_a_part_that_is_too_long_is_thrown_away(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("letters.part").write_bytes(CONTENT + b"more")
    download(server.url, path, backoff=0)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["bytes=300004-", None]


def test_a_busy_server_is_asked_again(server: Server, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.statuses = [503, 429]
    with caplog.at_level(logging.WARNING):
        download(server.url, path, backoff=0.01)
    assert path.read_bytes() == CONTENT
    assert "503" in caplog.messages[0] and "again in 0.01 s" in caplog.messages[0]
    assert "429" in caplog.messages[1] and "again in 0.02 s" in caplog.messages[1]


def test_a_busy_server_is_given_up_after_the_last_attempt(server: Server, path: Path) -> None:
    server.statuses = [503] * 9
    with pytest.raises(RunStoppedError, match="the server answered 503"):
        download(server.url, path, attempts=3, backoff=0)
    assert len(server.asked) == 3


def test_a_missing_file_is_not_asked_for_again(server: Server, path: Path) -> None:
    with pytest.raises(
        RunStoppedError, match=r"/nothing could not be downloaded \(the server answered 404 .*--data-root"
    ):
        download(server.url.replace("letters", "nothing"), path, backoff=0)
    assert len(server.asked) == 1
    assert not path.exists()


def test_no_network_names_the_address_and_the_way_out(server: Server, path: Path) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(RunStoppedError) as stopped:
        download(url, path, backoff=0)
    assert all(words in str(stopped.value) for words in (url, "refused", "--data-root", "--problem glyphs"))
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_a_matter_of_the_disk(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunStoppedError, match=r"letters\.part cannot be written"):
        download(server.url, tmp_path / "file" / "letters", backoff=0)
    assert server.asked == []


@pytest.mark.parametrize("terminal", [False, True])
def test_the_progress_is_shown_on_a_terminal_only(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    download(server.url, path, backoff=0)
    assert ("letters" in screen.getvalue()) is terminal

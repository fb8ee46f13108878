"""Downloading one file over a network that fails: retry, resume where it broke off, and put it in place complete."""

from __future__ import annotations

import http.client
import logging
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from headstart.errors import RunStoppedError
from headstart.system.files import disk_errors

_CHUNK = 64 * 1024  # bytes
_RANGE_NOT_SATISFIABLE = 416
_TRANSIENT = {_RANGE_NOT_SATISFIABLE, 408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that are worth another attempt

_log = logging.getLogger(__name__)


def download(url: str, path: Path, *, attempts: int = 4, backoff: float = 1.0, timeout: float = 30.0) -> None:
    """Downloads ``url`` to ``path``, which appears only once it is complete.

    Until then the bytes are in ``path`` + ``.part``, and the next attempt, in this call or in a later one, goes on
    from there (HTTP Range). A bar shows the progress where standard error is a terminal.

    Args:
        url: the address, http or https as a rule.
        path: the file to make; its folder is made if need be.
        attempts: how often to try before giving up.
        backoff: seconds before the second attempt; twice as many before each further one.
        timeout: seconds of silence after which an attempt has failed.

    Raises:
        RunStoppedError: the server lacks the file, every attempt failed, or the disk refuses; ``.part`` is kept.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "letters").write_text("abc")
    ...     download(Path(folder, "letters").as_uri(), Path(folder, "copy"))
    ...     Path(folder, "copy").read_text()
    'abc'
    """
    part = path.with_name(path.name + ".part")
    with disk_errors(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, attempts + 1):
        try:
            _continue(url, part, timeout)
            break
        except (OSError, http.client.HTTPException) as error:
            if attempt == attempts or not _is_transient(error):
                raise RunStoppedError(_give_up(url, error)) from error
            pause = backoff * 2 ** (attempt - 1)
            _log.warning("%s: %s; trying again in %g s.", url, _reason(error), pause)
            time.sleep(pause)
    with disk_errors(path):
        part.replace(path)


def _continue(url: str, part: Path, timeout: float) -> None:
    """One attempt: appends to ``part`` what it still lacks of ``url``."""
    offset = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _RANGE_NOT_SATISFIABLE and offset:
            if error.headers.get("Content-Range") == f"bytes */{offset}":
                return  # it was complete all along
            part.unlink()  # longer than the file: not a part of it
        raise
    with response:
        resumes = response.status == http.client.PARTIAL_CONTENT
        if resumes and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            part.unlink()  # this server cannot resume: the next attempt starts anew
            raise http.client.HTTPException("the server went on at another place than the one asked for")
        _receive(response, part, offset if resumes else 0)


def _receive(response: http.client.HTTPResponse, part: Path, offset: int) -> None:
    """Writes the body of ``response`` into ``part`` from byte ``offset`` on, and checks that all of it came."""
    length = response.headers.get("Content-Length")
    total = offset + int(length) if length else None
    with disk_errors(part):
        file = part.open("ab" if offset else "wb", buffering=0)  # a full disk shows at the write, not at the close
    with file, _progress_bar() as progress:
        bar = progress.add_task(part.name.removesuffix(".part"), total=total, completed=offset)
        while chunk := response.read(_CHUNK):
            left = memoryview(chunk)
            with disk_errors(part):
                while left:
                    left = left[file.write(left) :]
            progress.advance(bar, len(chunk))
        received = file.tell()
    if total is not None and received < total:
        raise ConnectionError(f"the connection broke off after {received:,} of {total:,} bytes")


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty())


def _is_transient(error: Exception) -> bool:
    return not isinstance(error, urllib.error.HTTPError) or error.code in _TRANSIENT


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    return str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__


def _give_up(url: str, error: Exception) -> str:
    return (
        f"{url} could not be downloaded ({_reason(error)}): download it by hand and name its folder "
        "with --data-root, or use --problem glyphs, which need no download."
    )

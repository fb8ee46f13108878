from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from headstart.errors import BadInputError, RunStoppedError
from headstart.system.files import write_bytes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_holds_the_content_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_bytes(tmp_path / "weights", b"new")
    assert (tmp_path / "weights").read_bytes() == b"new"
    assert names(tmp_path) == ["weights"]


def test_an_old_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"old and longer")
    with path.open("rb") as old:
        write_bytes(path, b"new")
        assert old.read() == b"old and longer"  # whoever reads it meanwhile sees one or the other, never a mixture
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["weights"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "weights").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        RunStoppedError, match=r"no disk space left to write .*weights; what was there before is intact"
    ):
        write_bytes(tmp_path / "weights", b"new")
    assert (tmp_path / "weights").read_bytes() == b"old"
    assert names(tmp_path) == ["weights"]


def test_a_kill_before_the_end_leaves_the_old_file_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "weights").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "weights", b"new")
    assert (tmp_path / "weights").read_bytes() == b"old"
    assert names(tmp_path) == ["weights"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "weights"
    link.symlink_to(target)  # which is not there yet
    for content in (b"first", b"second"):
        write_bytes(link, content)
        assert link.is_symlink() and target.read_bytes() == content
    assert names(target.parent) == ["weights"]


def test_a_device_or_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/null")):
        with pytest.raises(BadInputError, match=f"{path} is a device or a pipe, .*; name a file"):
            write_bytes(path, b"new")
    assert (tmp_path / "pipe").is_fifo() and Path("/dev/null").is_char_device()
    assert names(tmp_path) == ["link", "pipe"]


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunStoppedError, match=r"file/weights cannot be written \(Not a directory\)"):
        write_bytes(tmp_path / "file" / "weights", b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunStoppedError, match=r"folder cannot be written \(Is a directory\)"):
        write_bytes(tmp_path / "folder", b"new")
    assert names(tmp_path) == ["file", "folder"]

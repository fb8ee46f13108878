"""Decoded once, and anew when a file has changed; whole or not there."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from headstart.datasets import decoding, image_cache
from headstart.datasets.decoding import Form
from headstart.datasets.image_cache import cached_images
from headstart.errors import BadInputError, RunStoppedError

FORM = Form(4, 1, False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for shade in range(5):
        Image.new("L", (6, 5), 10 * shade).save(tmp_path / "pictures" / f"{shade}.png")
    return tmp_path / "pictures"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are decoded."""
    names: list[str] = []
    decode = image_cache.decode

    def recorded(path: Path, form: Form) -> Any:
        names.append(path.name)
        return decode(path, form)

    monkeypatch.setattr(image_cache, "decode", recorded)
    return names


def files(root: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in root.iterdir()))


def shades(root: Path, cache: Path, form: Form = FORM) -> list[int]:
    return [int(shade) for shade in cached_images(root, files(root), form, cache)[:, 0, 0, 0]]


def test_each_image_is_decoded_once(root: Path, tmp_path: Path, decodings: list[str]) -> None:
    images = cached_images(root, files(root), FORM, tmp_path)
    assert images.shape == (5, 1, 4, 4) and images.dtype == torch.uint8
    for index, image in enumerate(images):
        assert (image == 10 * index).all()
    assert sorted(decodings) == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    assert cached_images(root, files(root), FORM, tmp_path).equal(images) and len(decodings) == 5


def test_the_file_is_mapped_and_not_read(root: Path, tmp_path: Path) -> None:
    images = cached_images(root, files(root), FORM, tmp_path)
    (path,) = (tmp_path / "images").glob("*.u8")
    with path.open("r+b") as file:
        file.write(b"\x07")
    assert images[0, 0, 0, 0] == 7


def test_a_file_larger_than_the_memory_is_read_where_it_is_used(tmp_path: Path) -> None:
    size = 4 * image_cache.memory_at_hand(torch.device("cpu"))  # twice what this process may have
    with (tmp_path / "large.u8").open("wb") as file:
        file.seek(size - 2)
        file.write(b"\x01\x02")
    images = image_cache.mapped(tmp_path / "large.u8", (size // 2, 2))
    assert images[-1].tolist() == [1, 2] and images[0].tolist() == [0, 0]


def test_the_work_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for file, seen in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(image_cache, "Console", lambda stderr, to=file: Console(file=to, force_terminal=True))
        assert [*image_cache.shown(iter(["a", b"b"]), 2)] == ["a", b"b"]
        assert ("decoding" in file.getvalue()) == seen


def test_a_changed_a_new_and_a_missing_file_make_it_anew(root: Path, tmp_path: Path, decodings: list[str]) -> None:
    assert shades(root, tmp_path) == [0, 10, 20, 30, 40]
    before = (root / "1.png").stat()
    Image.new("L", (6, 5), 99).save(root / "1.png")
    os.utime(root / "1.png", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert shades(root, tmp_path) == [0, 99, 20, 30, 40]
    Image.new("L", (6, 5), 7).save(root / "5.png")
    assert shades(root, tmp_path) == [0, 99, 20, 30, 40, 7]
    (root / "0.png").unlink()
    assert shades(root, tmp_path) == [99, 20, 30, 40, 7]
    assert len(decodings) == 5 + 5 + 6 + 5
    assert len([*(tmp_path / "images").glob("*.u8")]) == 1, "what was made before is removed"


def test_each_form_has_a_file_of_its_own(root: Path, tmp_path: Path, decodings: list[str]) -> None:
    for form, first in ((FORM, 10), (Form(4, 1, True), 245), (Form(4, 3, False), 10), (Form(5, 1, False), 10)):
        assert shades(root, tmp_path, form)[1] == first
    assert shades(root, tmp_path) == [0, 10, 20, 30, 40] and len(decodings) == 20


def test_more_images_than_a_batch_stay_in_order(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "BATCH", 2)
    assert shades(root, tmp_path) == [0, 10, 20, 30, 40]


def test_unreadable_files_are_listed_together_and_nothing_is_left(root: Path, tmp_path: Path) -> None:
    Image.effect_noise((50, 50), 80).save(root / "1.png")
    (root / "1.png").write_bytes((root / "1.png").read_bytes()[:1000])
    (root / "3.png").write_bytes(b"no image at all")
    with pytest.raises(
        BadInputError, match=r"2 of 5 images in .* cannot be read: '1.png' \(.*\), '3.png' \(.*\); mend"
    ):
        shades(root, tmp_path)
    for index in (0, 2):
        (root / f"{index}.png").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"4 of 5 images .*'0.png'.*'1.png'.*'2.png' \(.*\) and 1 more; mend"):
        shades(root, tmp_path)
    assert [*(tmp_path / "images").iterdir()] == []


def test_a_bomb_is_refused_by_name(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (300, 300)).save(root / "2.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    with pytest.raises(BadInputError, match=r"'2.png' \(300 x 300 pixels"):
        shades(root, tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)  # a bomb for Pillow itself, too
    with pytest.raises(BadInputError, match=r"'2.png' \(Image size"):
        shades(root, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(RunStoppedError, match=r"cache/images/.*\.u8 cannot be written"):
        shades(root, tmp_path / "cache")


def without(monkeypatch: pytest.MonkeyPatch, *refused: str) -> None:
    """Opening a file of the cache in a mode with one of these letters is not permitted."""
    opened = Path.open

    def guarded(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if ".u8" in self.name and {*refused} & {*mode}:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", guarded)


def test_a_cache_without_permission_to_write_is_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shades(root, tmp_path)
    without(monkeypatch, "w", "x", "a", "+")
    assert shades(root, tmp_path) == [0, 10, 20, 30, 40]


def test_a_cache_that_cannot_be_read_is_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shades(root, tmp_path)
    without(monkeypatch, "r")
    with pytest.raises(RunStoppedError, match=r"\.u8 cannot be read \(Permission denied\); remove it"):
        shades(root, tmp_path)


def test_another_decoder_makes_it_anew(
    root: Path, tmp_path: Path, decodings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shades(root, tmp_path)
    monkeypatch.setattr(decoding, "VERSION", decoding.VERSION + 1)
    shades(root, tmp_path)
    assert len(decodings) == 10 and len([*(tmp_path / "images").glob("*.u8")]) == 1


def test_a_file_that_goes_away_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.png' cannot be read"):
        cached_images(root, ("nowhere.png",), FORM, tmp_path)

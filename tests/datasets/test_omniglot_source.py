"""Reading a small Omniglot of two alphabets, unpacked and as archives, whole and with every kind of fault."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.datasets import omniglot_source
from headstart.datasets.omniglot_source import archives_digest, read_drawings
from headstart.errors import BadInputError

PARTS = {"images_background": {"Greek": 2, "Latin": 1}, "images_evaluation": {"ULOG": 1}}
INK = np.random.default_rng(0).random((80, 105, 105)) < 0.1


def png(ink: np.ndarray, mode: str = "1") -> bytes:
    file = io.BytesIO()
    Image.fromarray(~ink).convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the small Omniglot, by path; drawing i of all is ``INK[i]``."""
    monkeypatch.setattr(omniglot_source, "PARTS", PARTS)
    characters = [
        f"{part}/{alphabet}/character{number:02d}"
        for part, alphabets in PARTS.items()
        for alphabet, count in alphabets.items()
        for number in range(1, count + 1)
    ]
    return {
        f"{character}/{position + 1:04d}_{drawing + 1:02d}.png": png(INK[position * 20 + drawing])
        for position, character in enumerate(characters)
        for drawing in range(20)
    }


def unpacked(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def archived(root: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    for part in PARTS:
        with zipfile.ZipFile(root / f"{part}.zip", "w", compression) as archive:
            for name in sorted(files, reverse=True):  # the order in the archive does not matter
                if name.startswith(part):
                    archive.writestr(name, files[name])


Store = Callable[[Path, dict[str, bytes]], None]
both_ways = pytest.mark.parametrize("store", [unpacked, archived])


@both_ways
def test_drawings_come_in_the_order_of_part_alphabet_character_and_number(
    tmp_path: Path, files: dict[str, bytes], store: Store
) -> None:
    store(tmp_path, files)
    bits = read_drawings(tmp_path)
    assert bits.dtype == np.uint8 and bits.shape == (80, 1379)
    assert np.array_equal(np.unpackbits(bits, axis=1, count=105 * 105).reshape(80, 105, 105), INK)


def test_one_part_may_be_unpacked_and_the_other_not(tmp_path: Path, files: dict[str, bytes]) -> None:
    unpacked(tmp_path, {name: content for name, content in files.items() if name.startswith("images_background")})
    with zipfile.ZipFile(tmp_path / "images_evaluation.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files:
            archive.writestr(name, files[name])
    assert np.array_equal(np.unpackbits(read_drawings(tmp_path)[-1], count=105 * 105), INK[-1].ravel())


def test_what_a_desktop_leaves_among_the_drawings_is_passed_over(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "plain").mkdir()
    archived(tmp_path / "plain", files)
    first = min(files)
    litter = {
        "__MACOSX/" + first: b"",
        str(Path(first).with_name("._0001_01.png")): b"",
        "images_background/x.txt": b"",
    }
    for name, store in (("folder", unpacked), ("archive", archived)):
        (tmp_path / name).mkdir()
        store(tmp_path / name, files | litter)
        assert np.array_equal(read_drawings(tmp_path / name), read_drawings(tmp_path / "plain"))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_same_pixels_in_another_png_mode_are_the_same_drawing(
    tmp_path: Path, files: dict[str, bytes], mode: str
) -> None:
    first = min(files)
    unpacked(tmp_path, files | {first: png(INK[0], mode)})
    assert np.array_equal(np.unpackbits(read_drawings(tmp_path)[0], count=105 * 105), INK[0].ravel())


def without(files: dict[str, bytes], beginning: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith(beginning)}


GREEK = "images_background/Greek/character02/0002_"
FAULTS: list[tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = [
    (lambda files: without(files, "images_background/Latin/"), "lacks 1 of Omniglot's alphabets, Latin the first"),
    (lambda files: without(files, GREEK), r"has 0 drawings of Greek/character02 where Omniglot has 20"),
    (lambda files: without(files, GREEK + "07"), r"has 19 drawings of Greek/character02 where Omniglot has 20"),
    (lambda files: files | {GREEK + "21.png": png(INK[0])}, r"has 21 drawings of Greek/character02 where Omniglot has"),
    (
        lambda files: files | {"images_evaluation/Klingon/character01/1_1.png": png(INK[0])},
        r"has 1 drawings of Klingon/character01 where Omniglot has 0",
    ),
    (
        lambda files: files | {GREEK + "05.png": png(INK[0, :28, :30])},
        r"Greek/character02/0002_05\.png is of 30 x 28 pixels, where Omniglot's are of 105 x 105",
    ),
    (lambda files: files | {GREEK + "05.png": b"GIF89a"}, r"character02/0002_05\.png is not a whole PNG image"),
    (lambda files: files | {GREEK + "05.png": b""}, r"character02/0002_05\.png is not a whole PNG image"),
    (lambda files: files | {GREEK + "05.png": png(INK[3])[:700]}, r"character02/0002_05\.png is not a whole PNG image"),
]


@both_ways
@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_each_fault_is_named(
    tmp_path: Path,
    files: dict[str, bytes],
    store: Store,
    spoil: Callable[[dict[str, bytes]], dict[str, bytes]],
    message: str,
) -> None:
    store(tmp_path, spoil(files))
    with pytest.raises(BadInputError, match=message):
        read_drawings(tmp_path)


def test_a_folder_without_a_part_is_named_with_what_it_lacks(tmp_path: Path, files: dict[str, bytes]) -> None:
    for question in (read_drawings, archives_digest):
        with pytest.raises(BadInputError, match=r"neither images_background\.zip nor the folder images_background"):
            question(tmp_path)
    (tmp_path / "images_background").mkdir()
    with pytest.raises(BadInputError, match=r"neither images_evaluation\.zip nor the folder images_evaluation"):
        read_drawings(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 1_000, -1_000, -1])
def test_a_truncated_archive_is_named(tmp_path: Path, files: dict[str, bytes], kept: int) -> None:
    archived(tmp_path, files)
    archive = tmp_path / "images_evaluation.zip"
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(BadInputError, match=r"images_evaluation\.zip is damaged or cannot be read \("):
        read_drawings(tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive_that_cannot_be_unpacked_is_named(
    tmp_path: Path, files: dict[str, bytes], compression: int
) -> None:
    archived(tmp_path, files, compression)
    archive = tmp_path / "images_background.zip"
    content = bytearray(archive.read_bytes())
    content[100:1_000] = b"\xff" * 900  # within the first drawing
    archive.write_bytes(content)
    with pytest.raises(BadInputError, match=r"images_background\.zip is damaged or cannot be read \("):
        read_drawings(tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_flipped_bytes_are_refused_or_harmless(
    tmp_path: Path, files: dict[str, bytes], compression: int, data: st.DataObject
) -> None:
    archived(tmp_path, files, compression)
    archive = tmp_path / "images_background.zip"
    content = bytearray(archive.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] ^= data.draw(st.integers(1, 255))
    archive.write_bytes(content)
    try:
        bits = read_drawings(tmp_path)
    except BadInputError as error:
        assert "images_background.zip" in str(error)
    else:
        assert np.array_equal(np.unpackbits(bits, axis=1, count=105 * 105).reshape(80, 105, 105), INK)


def test_the_digest_is_of_both_archives_and_of_nothing_else(tmp_path: Path, files: dict[str, bytes]) -> None:
    archived(tmp_path, files)
    digest = archives_digest(tmp_path)
    for part in PARTS:
        archive = tmp_path / f"{part}.zip"
        os.utime(archive, (0, 0))
        assert archives_digest(tmp_path) == digest
        whole = archive.read_bytes()
        archive.write_bytes(whole[:-1] + b"?")
        assert archives_digest(tmp_path) != digest
        archive.write_bytes(whole)
    archive.unlink()
    unpacked(tmp_path, files)
    assert archives_digest(tmp_path) is None

"""The real Omniglot: its content, its sizes, its cache and its download; and arguments that are refused without it."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from headstart.datasets import omniglot as omniglot_module
from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.omniglot import BACKGROUND_ALPHABETS, CLASS_NAMES, EVALUATION_ALPHABETS, load_omniglot
from headstart.datasets.resizing import area
from headstart.errors import BadInputError, RunStoppedError
from methods import case

SHA256 = "75a36f7ce605ee617d0c45021613841aec979e079f71594e885aba52a7c003ce"
PARTS = ("images_background", "images_evaluation")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with no data and an empty cache, far from any network."""
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(omniglot_module, "_ARCHIVES_URL", "http://127.0.0.1:9")
    return tmp_path / "home"


@pytest.fixture
def cache(omniglot: ImageClasses, omniglot_cache: Path, tmp_path: Path) -> Path:
    """A filled cache of the test's own."""
    shutil.copytree(omniglot_cache, tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def root(omniglot_root: Path, tmp_path: Path) -> Path:
    """A copy of the two archives that a test may spoil."""
    (tmp_path / "root").mkdir()
    for part in PARTS:
        shutil.copyfile(omniglot_root / f"{part}.zip", tmp_path / "root" / f"{part}.zip")
    return tmp_path / "root"


@pytest.fixture(scope="module")
def originals(omniglot: ImageClasses, omniglot_cache: Path) -> Tensor:
    return load_omniglot(cache=omniglot_cache, size=105).images


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A stand-in for the official server; gives the lines of its log."""
    log: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, template: str, *values: object) -> None:
            log.append(template % values)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(omniglot_module, "_ARCHIVES_URL", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield log
        server.shutdown()
        thread.join()


@pytest.fixture
def official(omniglot_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with serving(omniglot_root, monkeypatch) as log:
        yield log


@pytest.fixture
def reads(omniglot_cache: Path, omniglot: ImageClasses, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose PNG files were asked for; the drawings are at hand, to save the seconds of reading them."""
    folders: list[Path] = []
    with np.load(omniglot_cache / "omniglot.npz") as arrays:
        bits = arrays["bits"]

    def read_drawings(folder: Path) -> np.ndarray:
        folders.append(folder)
        return bits

    monkeypatch.setattr(omniglot_module, "read_drawings", read_drawings)
    return folders


def same(left: ImageClasses, right: ImageClasses) -> bool:
    return left.names == right.names and torch.equal(left.images, right.images)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_alphabets_are_30_and_20_with_964_and_659_characters() -> None:
    assert (len(BACKGROUND_ALPHABETS), sum(BACKGROUND_ALPHABETS.values())) == (30, 964)
    assert (len(EVALUATION_ALPHABETS), sum(EVALUATION_ALPHABETS.values())) == (20, 659)
    assert not set(BACKGROUND_ALPHABETS) & set(EVALUATION_ALPHABETS)
    assert len(set(CLASS_NAMES)) == 1623


@pytest.mark.omniglot
def test_the_originals_have_the_known_digest_and_ink(originals: Tensor) -> None:
    assert originals.dtype == torch.uint8 and originals.shape == (1623, 20, 1, 105, 105)
    assert bool(((originals == 0) | (originals == 255)).all())
    assert int(torch.count_nonzero(originals)) == 28_814_268
    bits = np.packbits(originals.view(32460, 11025).numpy(), axis=1)
    assert hashlib.sha256(bits.tobytes()).hexdigest() == SHA256


@pytest.mark.omniglot
def test_names_go_with_their_drawings(omniglot_root: Path, omniglot: ImageClasses, originals: Tensor) -> None:
    """The paths of the files, not the order of the classes, say which drawing is which; Pillow shrinks them itself."""
    assert omniglot.names == CLASS_NAMES
    for part in PARTS:
        with zipfile.ZipFile(omniglot_root / f"{part}.zip") as archive:
            for path in archive.namelist()[::487]:
                _, alphabet, character, file = path.split("/")
                index = omniglot.names.index(f"{alphabet}/{character}"), int(file[5:7]) - 1
                with archive.open(path) as opened, Image.open(opened) as image:
                    ink = torch.from_numpy(~np.asarray(image))
                    small = torch.from_numpy(~np.asarray(image.resize((28, 28))))
                assert torch.equal(originals[index][0] > 0, ink), path
                assert torch.equal(omniglot.images[index][0], small * torch.tensor(255, dtype=torch.uint8)), path


@pytest.mark.omniglot
def test_28_is_the_nearest_pixel(omniglot: ImageClasses, originals: Tensor) -> None:
    index = torch.floor((torch.arange(28) + 0.5) * 105 / 28).long()
    assert torch.equal(omniglot.images, originals[..., index, :][..., index])


@pytest.mark.omniglot
def test_area_makes_grey_of_the_originals(originals: Tensor, cache: Path) -> None:
    grey = load_omniglot(cache=cache, size=20, resize="area").images
    assert grey.dtype == torch.uint8 and grey.shape == (1623, 20, 1, 20, 20)
    for classes in (slice(0, 3), slice(98, 102), slice(1620, None)):  # the ends, and where one chunk follows another
        assert torch.equal(grey[classes], area((originals[classes] > 0).to(torch.uint8), 20))


@pytest.mark.parametrize("size", [0, -1, 106, 28.0, "28", True, None])
def test_a_size_that_omniglot_has_not_is_refused(size: Any, home: Path) -> None:
    with pytest.raises(BadInputError, match=rf"no size {size!r}: choose a whole number of pixels from 1 to 105"):
        load_omniglot(size=size)
    assert names(home) == []


def test_an_unknown_resize_is_refused() -> None:
    with pytest.raises(BadInputError, match="no resize 'bilinear': choose one of 'nearest', 'area'"):
        load_omniglot(resize="bilinear")  # type: ignore[arg-type]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BadInputError, match=r"HEADSTART_DATA is '.*nowhere', which is no folder"):
        load_omniglot()
    with pytest.raises(BadInputError, match=r"root \(--data-root\) is 'elsewhere', which is no folder"):
        load_omniglot("elsewhere")
    with pytest.raises(BadInputError, match=r"neither images_background\.zip nor"):
        load_omniglot(tmp_path)
    assert names(home) == []


def test_without_network_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(omniglot_module, "download", partial(omniglot_module.download, backoff=0))
    with pytest.raises(RunStoppedError, match=r"127\.0\.0\.1:9/images_background\.zip could not be .* --data-root"):
        load_omniglot(cache=tmp_path / "cache")
    assert names(tmp_path / "cache") == []


@pytest.mark.omniglot
def test_root_comes_before_the_environment_before_the_cache_before_the_download(
    omniglot: ImageClasses,
    cache: Path,
    root: Path,
    official: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path / "nowhere"))
    assert same(load_omniglot(str(root), cache=cache), omniglot)
    with pytest.raises(BadInputError, match="HEADSTART_DATA"):
        load_omniglot(cache=cache)
    monkeypatch.setenv("HEADSTART_DATA", "")
    assert same(load_omniglot(cache=cache), omniglot)
    assert official == []


@pytest.mark.omniglot
def test_the_download_fills_the_default_cache_once(
    omniglot: ImageClasses, home: Path, official: list[str], reads: list[Path]
) -> None:
    assert same(load_omniglot(), omniglot)
    assert len(official) == 2
    assert names(home) == ["headstart"]
    assert names(home / "headstart") == ["images_background.zip", "images_evaluation.zip", "omniglot.npz"]
    assert same(load_omniglot(), omniglot)
    assert len(official) == 2
    assert reads == [home / "headstart"]


@pytest.mark.omniglot
def test_a_damaged_download_is_fetched_once_more(
    omniglot: ImageClasses, home: Path, official: list[str], root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "headstart").mkdir(parents=True)
    for part in PARTS:
        shutil.move(root / f"{part}.zip", home / "headstart" / f"{part}.zip")
    os.truncate(home / "headstart" / "images_evaluation.zip", 1_000_000)
    with caplog.at_level(logging.WARNING):
        assert same(load_omniglot(), omniglot)
    assert "images_evaluation.zip is damaged" in caplog.text and "downloaded anew" in caplog.text
    assert len(official) == 2


def test_a_server_that_sends_something_else_is_asked_twice_and_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in PARTS:
        (tmp_path / f"{part}.zip").write_text("<html>Please log in</html>")
    with (
        serving(tmp_path, monkeypatch) as log,
        pytest.raises(BadInputError, match=r"images_background\.zip is damaged or cannot be read"),
    ):
        load_omniglot()
    assert len(log) == 4
    assert names(home / "headstart") == []


@pytest.mark.omniglot
@pytest.mark.parametrize(
    "damage",
    [
        "altered",
        "truncated",
        "pickled",
        *(case(damage, repeats=True) for damage in ("emptied", "of another shape", "of other names")),
    ],
)
def test_a_corrupt_cache_is_noticed_and_rebuilt(
    omniglot: ImageClasses,
    omniglot_root: Path,
    cache: Path,
    reads: list[Path],
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    file = cache / "omniglot.npz"
    content = file.read_bytes()
    with np.load(file) as arrays:
        bits, archives = arrays["bits"], arrays["archives"]
    if damage == "altered":
        bits[1000, 500] ^= 1
        np.savez(file, bits=bits, archives=archives)
    elif damage == "pickled":
        np.savez(file, bits=np.array([b"", None], dtype=object), archives=archives)
    elif damage == "of another shape":
        np.savez(file, bits=bits.reshape(-1), archives=archives)
    elif damage == "of other names":
        np.savez(file, images=bits)
    else:
        file.write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
    with caplog.at_level(logging.WARNING):
        assert same(load_omniglot(omniglot_root, cache=cache), omniglot)
    assert "omniglot.npz is corrupt" in caplog.text
    assert reads == [omniglot_root]
    assert same(load_omniglot(omniglot_root, cache=cache), omniglot)
    assert reads == [omniglot_root]


@pytest.mark.omniglot
def test_archives_that_were_read_before_are_not_read_again(
    omniglot: ImageClasses, root: Path, cache: Path, reads: list[Path]
) -> None:
    assert same(load_omniglot(root, cache=cache), omniglot)
    assert reads == []
    with zipfile.ZipFile(root / "images_background.zip", "a") as archive:
        archive.comment = b"packed anew"
    for _ in range(2):
        assert same(load_omniglot(root, cache=cache), omniglot)
        assert reads == [root]


@pytest.mark.omniglot
def test_one_altered_pixel_is_noticed_although_the_cache_is_full(root: Path, cache: Path) -> None:
    before, cached = (cache / "omniglot.npz").read_bytes(), names(cache)
    path = "images_background/Greek/character07/0400_11.png"
    with zipfile.ZipFile(root / "images_background.zip", "a") as archive:
        with archive.open(path) as file, Image.open(file) as image:
            image.putpixel((50, 50), 255 - image.getpixel((50, 50)))
            image.save(root / "altered.png")
        archive.filelist.remove(archive.NameToInfo.pop(path))
        archive.write(root / "altered.png", path)
    with pytest.raises(BadInputError, match=r"The drawings in .*root are not those of Omniglot .* altered"):
        load_omniglot(root, cache=cache)
    assert (cache / "omniglot.npz").read_bytes() == before
    assert names(cache) == cached


@pytest.mark.omniglot
def test_a_bad_archive_leaves_no_cache(root: Path, tmp_path: Path) -> None:
    os.truncate(root / "images_evaluation.zip", 5_000_000)
    with pytest.raises(BadInputError, match=r"images_evaluation\.zip is damaged"):
        load_omniglot(root, cache=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.omniglot
def test_an_unpacked_omniglot_is_the_same_and_keeps_the_cache(
    omniglot: ImageClasses, omniglot_root: Path, tmp_path: Path, cache: Path
) -> None:
    for part in PARTS:
        with zipfile.ZipFile(omniglot_root / f"{part}.zip") as archive:
            archive.extractall(tmp_path / "unpacked")
    before = (cache / "omniglot.npz").read_bytes()
    assert same(load_omniglot(tmp_path / "unpacked", cache=cache), omniglot)
    assert (cache / "omniglot.npz").read_bytes() == before


@pytest.mark.omniglot
def test_a_cache_that_cannot_be_written_is_a_warning(
    omniglot: ImageClasses, omniglot_root: Path, tmp_path: Path, reads: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert same(load_omniglot(omniglot_root, cache=tmp_path / "file"), omniglot)
    assert "Omniglot is not cached" in caplog.text

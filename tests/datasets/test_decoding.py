"""Image files of every kind become one square of 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.datasets import decoding
from headstart.datasets.decoding import Form, decode

GREY, RGB = Form(4, 1, False), Form(4, 3, False)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_an_image_of_the_size_is_as_it_was(tmp_path: Path) -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    assert np.array_equal(decode(path, GREY), pixels[None])
    assert np.array_equal(decode(path, RGB), np.stack([pixels] * 3))
    assert np.array_equal(decode(path, Form(4, 1, True)), 255 - pixels[None])


@pytest.mark.parametrize(
    ("mode", "colour", "grey"),
    [
        ("L", 200, 200),
        ("1", 1, 255),
        ("RGB", (255, 0, 0), 76),
        ("RGBA", (0, 0, 0, 0), 255),
        ("RGBA", (0, 0, 0, 255), 0),
        ("RGBA", (0, 0, 0, 51), 204),
        ("LA", (10, 0), 255),
        ("CMYK", (0, 0, 0, 0), 255),
    ],
)
def test_every_mode_becomes_grey_on_white(mode: str, colour: object, grey: int, tmp_path: Path) -> None:
    path = saved(tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}", Image.new(mode, (6, 6), colour))  # type: ignore[arg-type]
    assert (abs(decode(path, GREY).astype(int) - grey) <= 1).all()


def test_a_palette_and_its_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (6, 6), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert decode(saved(tmp_path / "a.png", image), RGB)[:, 0, 0].tolist() == [255, 0, 0]
    assert decode(saved(tmp_path / "b.png", image, transparency=1), RGB)[:, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (257 * 100, 100), (65535, 255)])
def test_sixteen_bits_become_eight(value: int, grey: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((6, 6), value, dtype=np.uint16)))
    assert (decode(path, GREY) == grey).all()


def test_exif_says_which_way_is_up(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), dtype=np.uint8)
    pixels[0] = 255  # a line at the top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    path = saved(tmp_path / "a.png", Image.fromarray(pixels), exif=exif)
    assert np.array_equal(decode(path, GREY)[0], np.rot90(pixels, -1))


def test_of_an_oblong_the_middle_square_is_taken(tmp_path: Path) -> None:
    pixels = np.full((8, 16), 255, dtype=np.uint8)
    pixels[:, 4:12] = 100
    for picture in (pixels, pixels.T):
        assert (decode(saved(tmp_path / "a.png", Image.fromarray(picture)), GREY) == 100).all()


def test_a_large_photograph_becomes_the_means_of_its_parts(tmp_path: Path) -> None:
    pixels = np.kron(np.array([[0, 200], [100, 50]], dtype=np.uint8), np.ones((400, 400), dtype=np.uint8))
    small = decode(saved(tmp_path / "a.jpg", Image.fromarray(pixels), quality=95), Form(2, 1, False))[0]
    assert (abs(small.astype(int) - [[0, 200], [100, 50]]) <= 3).all()


def test_other_pixels_need_another_version(tmp_path: Path) -> None:
    """When this fails since you changed what is made of a file, count ``decoding.VERSION`` up, and the 1 here."""
    pixels = np.arange(63, dtype=np.uint8).reshape(7, 9) * 4
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    assert decoding.VERSION == 1
    assert decode(path, Form(3, 1, False)).tolist() == [[[24, 34, 44], [114, 124, 134], [204, 214, 224]]]
    drawn = decode(path, Form(3, 1, False, drawing=True)).astype(int)
    assert (abs(drawn - [[30, 54, 40], [177, 255, 164], [15, 20, 12]]) <= 1).all()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png", Image.new("1", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_999)
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(ValueError, match="300 x 300 pixels are more"):
        decode(path, GREY)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 90_000)
    assert decode(path, GREY).shape == (1, 4, 4)


def test_numbers_of_unknown_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown scale"):
        decode(saved(tmp_path / "a.tif", Image.new("F", (6, 6), 0.5)), GREY)

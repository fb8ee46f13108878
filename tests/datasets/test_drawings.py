"""Drawings of any size, colour and pen come to one form."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import headstart as hs
from headstart.datasets.drawings import SIDE, ink_of, square_around


@pytest.fixture(scope="module")
def drawing() -> Tensor:
    """A glyph on a large page, ink 1, ``[1, 105, 105]``."""
    return hs.draw_glyphs(1, examples=1, size=105).images[0, 0].float() / 255


def nearly(left: Tensor, right: Tensor, share: float = 0.02) -> bool:
    return bool((left - right).abs().mean() < share)


def test_ink_may_be_dark_or_bright_of_any_scale_and_in_colour(drawing: Tensor) -> None:
    expected = hs.as_drawing(drawing)
    for other in (
        1 - drawing,
        255 * (1 - drawing),
        30 + 0.2 * drawing,
        (255 * drawing).byte(),
        drawing.expand(3, -1, -1),
    ):
        torch.testing.assert_close(hs.as_drawing(other), expected, atol=2e-2, rtol=0)


def test_where_it_stands_on_the_page_makes_no_difference(drawing: Tensor) -> None:
    expected = hs.as_drawing(drawing)
    assert nearly(hs.as_drawing(F.pad(drawing, (40, 3, 0, 60))), expected)


def test_how_large_it_is_makes_no_difference(drawing: Tensor) -> None:
    larger = F.interpolate(drawing[None], scale_factor=3, mode="nearest")[0]
    assert nearly(hs.as_drawing(larger), hs.as_drawing(drawing))


@pytest.mark.parametrize("size", [14, 28, 64])
def test_its_box_is_in_the_middle_and_of_one_size(drawing: Tensor, size: int) -> None:
    image = hs.as_drawing(drawing, size)
    assert image.shape == (1, size, size)
    assert image.min() >= 0
    assert image.max() == 1
    rows, columns = ((image[0] > 0.4).any(axis).nonzero()[:, 0] for axis in (1, 0))
    longest = max(int(lines[-1] - lines[0]) + 1 for lines in (rows, columns))
    assert abs(longest - SIDE * size) <= 2
    for lines in (rows, columns):
        assert abs(float(lines[0] + lines[-1] + 1) / 2 - size / 2) <= 1


def test_a_drawing_keeps_its_proportions() -> None:
    bar = torch.zeros(1, 60, 60)
    bar[:, 10:50, 20:30] = 1
    image = hs.as_drawing(bar, 60)
    rows, columns = ((image[0] > 0.5).any(axis).sum() for axis in (1, 0))
    assert abs(int(rows) / int(columns) - 4) < 0.4


def test_an_empty_page_stays_empty() -> None:
    assert hs.as_drawing(torch.full((3, 20, 30), 200.0)).eq(0).all()
    assert ink_of(torch.zeros(1, 5, 5)).eq(0).all()


def test_ink_on_the_edge_of_the_page_is_kept() -> None:
    amount = torch.zeros(10, 10)
    amount[:, 4] = 1
    assert square_around(amount, share=0.5).sum() == 10


def test_glyphs_of_many_pens_are_in_that_form_and_of_many_widths() -> None:
    images = hs.draw_glyphs(100, examples=2, pens="many").images.float() / 255
    assert images.shape == (100, 2, 1, 28, 28)
    one = hs.draw_glyphs(100, examples=2).images.float() / 255
    widths, width = ((ink[:, 0] / ink[:, 1]).log().std() for ink in (images.mean((2, 3, 4)), one.mean((2, 3, 4))))
    assert widths > 1.5 * width  # two drawings of a class differ in ink, by the pen as well as by the hand
    torch.testing.assert_close(hs.as_drawing(images[3, 0]), images[3, 0], atol=0.35, rtol=0)
    assert torch.equal(images, hs.draw_glyphs(100, examples=2, pens="many").images.float() / 255)


def test_unknown_pens_are_refused() -> None:
    with pytest.raises(hs.BadInputError, match="pens='thick' is unknown; choose one of one, many"):
        hs.draw_glyphs(1, pens="thick")  # type: ignore[arg-type]


def test_a_very_long_image_takes_little_memory() -> None:
    scroll = torch.zeros(1, 4, 100_000)
    scroll[..., 50_000:50_010] = 1
    assert hs.as_drawing(scroll).shape == (1, 28, 28)


@pytest.mark.parametrize("image", [torch.zeros(5, 5), torch.zeros(0, 5, 5), torch.full((1, 5, 5), torch.nan)])
def test_what_is_no_image_is_refused(image: Tensor) -> None:
    with pytest.raises(hs.BadInputError, match=r"a drawing is a tensor \[channel, height, width\] of finite numbers"):
        hs.as_drawing(image)

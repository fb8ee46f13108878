from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor

import pytest
import torch
from torch import Tensor

from headstart.datasets.resizing import area, nearest

BITS = (torch.rand(2, 105, 105, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.uint8)


def overlap(new: int, old: int, size: int) -> Fraction:
    """How much of old pixel ``old`` lies in new pixel ``new``, which is 105 / size wide."""
    width = Fraction(105, size)
    return max(Fraction(0), min((new + 1) * width, Fraction(old + 1)) - max(new * width, Fraction(old)))


@pytest.mark.parametrize("size", [1, 2, 28, 64, 104, 105])
def test_nearest_takes_the_pixel_below_the_centre(size: int) -> None:
    index = [floor((new + 0.5) * 105 / size) for new in range(size)]
    expected = [[[255 * int(image[row, column]) for column in index] for row in index] for image in BITS]
    assert nearest(BITS, size).tolist() == expected


@pytest.mark.parametrize("size", [1, 2, 13, 28, 104])
def test_area_is_the_rounded_share_of_ink_in_exact_fractions(size: int) -> None:
    covers = [[(old, overlap(new, old, size)) for old in range(105) if overlap(new, old, size)] for new in range(size)]
    pixels = [(row, column) for row in range(0, size, 5) for column in range(0, size, 7)]
    image, small = BITS[1], area(BITS, size)[1]
    for row, column in pixels:
        ink = sum(h * w * int(image[i, j]) for i, h in covers[row] for j, w in covers[column])
        share = ink / Fraction(105, size) ** 2
        assert int(small[row, column]) == floor(255 * share + Fraction(1, 2)), (row, column)


@pytest.mark.parametrize("resize", [nearest, area])
def test_the_full_size_is_the_image_itself(resize: Callable[[Tensor, int], Tensor]) -> None:
    assert torch.equal(resize(BITS, 105), BITS * 255)


@pytest.mark.parametrize("size", [1, 3, 28, 77])
def test_area_keeps_paper_and_ink(size: int) -> None:
    assert area(torch.ones_like(BITS), size).unique().tolist() == [255]
    assert area(torch.zeros_like(BITS), size).unique().tolist() == [0]

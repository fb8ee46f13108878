from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.labelled import LabelledExamples
from headstart.datasets.sheet import contact_sheet, write_sheet
from headstart.errors import BadInputError, RunStoppedError


def shades(count: int = 6, size: int = 4) -> ImageClasses:
    """Class c, example e is of the one shade 20 c + e."""
    shade = 20 * torch.arange(count).view(-1, 1) + torch.arange(3)
    images = shade.to(torch.uint8).view(count, 3, 1, 1, 1).expand(count, 3, 1, size, size)
    return ImageClasses(images, tuple(f"class{index}" for index in range(count)))


def cells(sheet: torch.Tensor, rows: int, size: int = 4) -> torch.Tensor:
    """``[row, example, height, width]`` of what is within the frames."""
    return sheet.view(rows, size + 2, 3, size + 2).permute(0, 2, 1, 3)[:, :, 1:-1, 1:-1]


def test_a_row_holds_one_class_and_ink_is_dark() -> None:
    sheet = contact_sheet(shades(), rows=6)
    inside = cells(sheet, rows=6)
    assert (inside == inside[..., :1, :1]).all()
    ink = 255 - inside[..., 0, 0].int()
    assert sorted(ink[:, 0].tolist()) == [0, 20, 40, 60, 80, 100]
    assert torch.equal(ink - ink[:, :1], torch.arange(3).expand(6, 3))


def test_own_images_are_shown_as_they_are_in_colour_and_of_unequal_number() -> None:
    colours = torch.randint(256, (24, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = LabelledExamples(colours, torch.tensor([0] * 22 + [1] * 2), ("a", "b"))
    sheet = contact_sheet(data, rows=2, seed=0).view(2, 6, 20, 6, 3).permute(0, 2, 4, 1, 3)
    inside = sheet[..., 1:-1, 1:-1]
    many, few = inside if (inside[0, 2] != 255).any() else inside.flip(0)
    assert many.equal(colours[:20]) and few[:2].equal(colours[22:]) and (few[2:] == 255).all()


def test_the_seed_chooses_the_classes() -> None:
    sheets = [contact_sheet(shades(), rows=3, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(sheets[0], sheets[1])
    assert not torch.equal(sheets[0], sheets[2])


@pytest.mark.parametrize("rows", [0, -1, 7])
def test_rows_that_cannot_be_filled_are_refused(rows: int) -> None:
    with pytest.raises(BadInputError, match=f"6 classes cannot fill {rows} rows; ask for 1 to 6"):
        contact_sheet(shades(), rows=rows)


@pytest.mark.parametrize(("size", "factor"), [(4, 2), (56, 2), (60, 1)])
def test_the_file_is_a_png_of_the_sheet_and_small_images_are_enlarged(tmp_path: Path, size: int, factor: int) -> None:
    classes = shades(size=size)
    write_sheet(classes, tmp_path / "sheet.png", rows=2, seed=3)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.format == "PNG" and picture.mode == "L"
        pixels = np.asarray(picture)
    assert np.array_equal(pixels[::factor, ::factor], contact_sheet(classes, rows=2, seed=3).numpy())
    assert os.listdir(tmp_path) == ["sheet.png"]  # noqa: PTH208  (the hidden ones as well)


def test_a_sheet_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunStoppedError, match=r"missing/sheet\.png cannot be written"):
        write_sheet(shades(), tmp_path / "missing" / "sheet.png", rows=2)

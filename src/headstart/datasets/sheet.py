"""A contact sheet: a data set at a glance, one class per row."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image

from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.labelled import LabelledExamples
from headstart.errors import BadInputError
from headstart.system.files import write_bytes

EXAMPLES = 20
"""Of a class, at most."""


def contact_sheet(classes: ImageClasses | LabelledExamples, rows: int, seed: int = 0) -> torch.Tensor:
    """Random classes, one per row with up to 20 of its examples, as a person draws them: the ink of ``ImageClasses``
    dark on white, own images as they are.

    Shapes:
        result: uint8 ``[rows * (height + 2), examples * (width + 2)]``, and ``[..., 3]`` in colour

    Raises:
        BadInputError: there are fewer classes than rows, or no rows.

    >>> classes = ImageClasses(torch.zeros(3, 20, 1, 28, 28, dtype=torch.uint8), ("a", "b", "c"))
    >>> contact_sheet(classes, rows=2).shape
    torch.Size([60, 600])
    """
    if not 1 <= rows <= len(classes.names):
        raise BadInputError(f"{len(classes.names)} classes cannot fill {rows} rows; ask for 1 to {len(classes.names)}.")
    order = torch.randperm(len(classes.names), generator=torch.Generator().manual_seed(seed))
    inputs, members = classes.labelled.inputs, classes.labelled.members()
    columns = min(EXAMPLES, int(members.counts.max()))
    cells = torch.full((rows, columns, *inputs.shape[1:]), 255, dtype=torch.uint8)
    for row, chosen in enumerate(order[:rows].tolist()):
        shown = min(columns, int(members.counts[chosen]))
        cells[row, :shown] = classes.on_paper(inputs[members.rows(torch.tensor(chosen), torch.arange(shown))])
    framed = torch.nn.functional.pad(cells, (1, 1, 1, 1), value=225)
    return framed.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).squeeze(-1)


def write_sheet(classes: ImageClasses | LabelledExamples, path: Path, rows: int, seed: int = 0) -> None:
    """Writes the contact sheet as a PNG, enlarged so that a small image can be seen.

    Raises:
        BadInputError: there are fewer classes than rows, or no rows.
        RunStoppedError: the file cannot be written.
    """
    sheet = Image.fromarray(contact_sheet(classes, rows, seed).numpy())
    if max(classes.labelled.inputs.shape[-2:]) <= 56:
        sheet = sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())

"""Tasks of images as they are seen: what was shown of each class, what was asked, and which answers were wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from headstart.reports.colours import VERMILLION
from headstart.reports.predictions import Confusion, PredictedTasks
from headstart.reports.tables import text

SIDE = 48
"""Pixels of a side of an image in the page, at most; it is shown ``CELL`` units large."""
CELL, GAP, LINE = 40, 6, 18
"""Sizes in a picture: an image, the room between two, and a line of text."""
CLASSES, SHOWN, CELLS = 10, 5, 9
"""Classes of a task that are shown, support examples of a class, and cells of its row in all."""
Paper = Callable[[Tensor], Tensor]
"""Makes of images as they are learned on, float from 0 to 1, images for people to look at."""


def task_picture(tasks: PredictedTasks, task: int, paper: Paper) -> str:
    """One task as an SVG element: a row for each class, its support examples, and then its queries, the mistakes first,
    each in a frame with the number of the class that it was taken for."""
    support, query = tasks.episodes.task(task)
    right, predicted = tasks.right[task], tasks.predicted[task]
    names = tasks.names[task][:CLASSES]
    shots = min(SHOWN, max(int((support.targets == target).sum()) for target in range(len(names))))
    left = 2 * LINE + shots * (CELL + GAP) + 2 * GAP
    parts = [words(2 * LINE, LINE - 6, "support"), words(left, LINE - 6, "queries, the mistakes first")]
    for target, name in enumerate(names):
        top = LINE + target * (CELL + LINE)
        parts.append(words(0, top + CELL // 2 + 5, str(target + 1), "bold"))
        for place, example in enumerate(places(support.targets == target)[:shots]):
            parts.append(image(2 * LINE + place * (CELL + GAP), top, paper(support.inputs[example]), name))
        own = query.targets == target
        ordered = places(own & ~right) + places(own & right)
        for place, example in enumerate(ordered[: CELLS - shots]):
            x = left + place * (CELL + GAP)
            parts.append(image(x, top, paper(query.inputs[example]), name))
            if not right[example]:
                parts.append(frame(x, top))
                parts.append(words(x, top + CELL + LINE - 5, f"as {int(predicted[example]) + 1}"))
    return svg(left + (CELLS - shots) * (CELL + GAP), LINE + len(names) * (CELL + LINE), parts)


def confusion_picture(tasks: PredictedTasks, pairs: Sequence[Confusion], paper: Paper) -> str:
    """The first mistake of every pair of classes, between the support examples of both, in two columns."""
    column, row = 3 * (CELL + 2 * GAP) + 7 * LINE, CELL + 2 * GAP
    places_of = [CELL * place + 2 * GAP * place for place in range(4)]
    parts = []
    for number, pair in enumerate(pairs):
        x, y = number % 2 * column, LINE + number // 2 * row
        (task, query), names = pair.example, tasks.names[pair.example[0]]
        support, queries = tasks.episodes.task(task)
        own, other = (support.inputs[places(support.targets == names.index(name))[0]] for name in pair[:2])
        parts.append(image(x, y, paper(own), pair.true))
        parts.append(image(x + places_of[1], y, paper(queries.inputs[query]), f"{pair.true}, a query"))
        parts.append(frame(x + places_of[1], y))
        parts.append(image(x + places_of[2], y, paper(other), pair.taken_for))
        parts.append(words(x + places_of[3], y + CELL // 2 + 5, f"{pair.mistakes} of {pair.queries} queries"))
        if number < 2:
            heads = zip(places_of, ("class", "query", "taken for"), strict=False)
            parts += [words(x + place, LINE - 6, head) for place, head in heads]
    return svg(min(len(pairs), 2) * column, LINE + (len(pairs) + 1) // 2 * row, parts)


def places(chosen: Tensor) -> list[int]:
    """Where it is true."""
    found: list[int] = chosen.nonzero().flatten().tolist()
    return found


def are_pictures(inputs: object) -> bool:
    """Whether the inputs ``[task, example, ...]`` are images of one or three channels.

    >>> are_pictures(torch.rand(2, 5, 1, 28, 28)), are_pictures(torch.rand(2, 5, 4))
    (True, False)
    """
    return isinstance(inputs, Tensor) and inputs.ndim == 5 and inputs.shape[2] in (1, 3)


def svg(width: int, height: int, parts: Sequence[str]) -> str:
    """An element of the page."""
    return f'<svg viewBox="-2 -2 {width + 4} {height + 4}" font-size="12">{"".join(parts)}</svg>'


def words(x: int, y: int, content: str, weight: str = "normal") -> str:
    """A line of text in the page's ink."""
    return f'<text x="{x}" y="{y}" fill="currentColor" font-weight="{weight}">{text(content)}</text>'


def frame(x: int, y: int) -> str:
    """What a mistake is marked by."""
    box = f'x="{x - 1}" y="{y - 1}" width="{CELL + 2}" height="{CELL + 2}"'
    return f'<rect {box} fill="none" stroke="{VERMILLION}" stroke-width="3"/>'


def image(x: int, y: int, pixels: Tensor, name: str) -> str:
    """An image ``[channel, height, width]``, float from 0 to 1, with its class's name for whoever points at it."""
    data = (255 * pixels.clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(data.squeeze(-1) if data.shape[-1] == 1 else data)
    picture.thumbnail((SIDE, SIDE))
    box = io.BytesIO()
    kind = "jpeg" if picture.mode == "RGB" else "png"
    picture.save(box, format=kind, quality=80, optimize=True)
    source = f"data:image/{kind};base64,{base64.b64encode(box.getvalue()).decode()}"
    place = f'x="{x}" y="{y}" width="{CELL}" height="{CELL}"'
    return f'<image {place} href="{source}"><title>{text(name)}</title></image>'

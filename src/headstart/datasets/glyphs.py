"""Glyphs: characters that the project draws itself, each a random pen program that a shaky hand draws again and again.

An example is one performance of a class's program by a hand that turns, stretches and misplaces the steps. Ink is on
every pixel whose centre the pen reaches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from headstart.datasets.glyph_programs import POINTS, STROKES, WHOLE, Dice, Program, box, write_programs
from headstart.datasets.image_classes import ImageClasses
from headstart.errors import BadInputError
from headstart.randomness import derive_generator

UPRIGHT = 0.8  # how much a step is drawn towards the nearest of the four directions
BLOCK = 100  # classes that share one generator
PEN = 5 / 105  # diameter of the pen: 5 of the 105 pixels of an Omniglot drawing


def perform(program: Program, dice: Dice) -> Tensor:
    """One drawing of each program by a shaky hand: points on the page, ``[drawing, stroke, point, 2]``.

    A more or less careless hand turns and stretches each stroke and each step, and sets strokes down a little off.
    """
    low, high = box(program.points(), program.drawn, WHOLE)
    careless = torch.exp(0.6 * dice.normal(1, 1) - 0.1)
    turn = careless * (0.04 * dice.normal(STROKES, 1) + 0.05 * dice.normal(STROKES, POINTS))
    stretch = torch.exp(careless * (0.10 * dice.normal(STROKES, 1) + 0.16 * dice.normal(STROKES, POINTS)))
    x, y = program.steps.unbind(-1)
    heading = torch.atan2(y, x) + turn
    heading = heading - UPRIGHT / 4 * torch.sin(4 * heading)
    length = program.steps.norm(dim=-1) * stretch
    steps = length[..., None] * torch.stack([heading.cos(), heading.sin()], -1)
    gap = program.gap + 0.025 * careless * dice.normal(STROKES, 2)
    points = program._replace(steps=steps, gap=gap).points()
    return _set_down(points, (high - low).amax(-1, keepdim=True), program, dice)


def _set_down(points: Tensor, side: Tensor, program: Program, dice: Dice) -> Tensor:
    """The points under a random quadratic map near the identity, with about the wanted longer ``side`` and middle."""
    low, high = box(points, program.drawn, WHOLE)
    x, y = (points - ((low + high) / 2)[:, None, None]).unbind(-1)
    spread = torch.tensor([[0.08, 0.05, 0.08, 0.05, 0.05], [0.025, 0.08, 0.05, 0.05, 0.08]])
    warp = torch.eye(2, 5) + spread * dice.normal(2, 5)
    points = torch.einsum("nspt,nct->nspc", torch.stack([x, y, x * x, x * y, y * y], -1), warp)
    low, high = box(points, program.drawn, WHOLE)
    side = (side * torch.exp(0.11 * dice.normal(1))).clamp(max=0.94)
    scale = side / (high - low).amax(-1, keepdim=True)
    half = scale * (high - low) / 2
    middle = program.middle + 0.048 * dice.normal(2)
    middle = torch.minimum(torch.maximum(middle, 0.03 + half), 0.97 - half)
    return middle[:, None, None] + scale[:, None, None] * (points - ((low + high) / 2)[:, None, None])


def trace(points: Tensor, corner: Tensor, drawn: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Positions of the pen ``[position, 2]``, in pixels and a quarter of one apart, and the drawing of each.

    The curve through the points is a cubic Hermite spline whose tangent is ``(next - previous) / 2`` where it is
    smooth (Catmull-Rom), and zero at a corner.
    """
    tangent = (points[:, :, 2:] - points[:, :, :-2]) / 2 * (1 - corner[:, :, 1:-1, None])
    drawing, stroke, segment = drawn.nonzero(as_tuple=True)
    start, stop = (size * points[drawing, stroke, segment + offset] for offset in (1, 2))
    leave, arrive = (size * tangent[drawing, stroke, segment + offset] for offset in (0, 1))
    square, cube = 3 * (stop - start) - 2 * leave - arrive, 2 * (start - stop) + leave + arrive
    positions = 2 + (4 * (stop - start).norm(dim=-1)).long()
    which = torch.repeat_interleave(positions)
    first = positions.cumsum(0) - positions
    time = ((torch.arange(len(which)) - first[which]) / (positions - 1)[which])[:, None]
    pen = start[which] + time * (leave[which] + time * (square[which] + time * cube[which]))
    return pen, drawing[which]


def ink(pen: Tensor, radius: Tensor, drawing: Tensor, drawings: int, size: int) -> Tensor:
    """Drawings ``[drawing, 1, size, size]``: 255 on the pixels whose centres are within ``radius`` of the pen."""
    reach = float(radius.max())
    pixel = torch.ceil(pen - reach - 0.5).long()[..., None] + torch.arange(int(2 * reach) + 1)
    column, row = pixel.unbind(1)
    across, down = (pixel + 0.5 - pen[..., None]).square().unbind(1)
    touched = down[:, :, None] + across[:, None, :] <= radius.square()[:, None, None]
    on_page = (pixel >= 0) & (pixel < size)
    touched &= on_page[:, 1, :, None] & on_page[:, 0, None, :]
    index = (drawing[:, None, None] * size + row[:, :, None]) * size + column[:, None, :]
    images = torch.zeros(drawings * size * size, dtype=torch.uint8)
    images[index[touched]] = 255
    return images.view(drawings, 1, size, size)


def _draw_block(seed: int, block: int, examples: int, size: int) -> Tensor:
    generator = derive_generator(seed, "glyphs", block)
    program = write_programs(Dice(generator, BLOCK))
    program = Program(*(field.repeat_interleave(examples, 0) for field in program))
    dice = Dice(generator, BLOCK * examples)
    points = perform(program, dice)
    corner = program.corner * dice.chance(0.85, STROKES, 1)
    radius = (PEN / 2 * size * torch.exp(0.04 * dice.normal())).clamp(min=math.sqrt(0.5))  # reaches a pixel's corner
    pen, drawing = trace(points, corner, program.drawn, size)
    images = ink(pen, radius[drawing], drawing, len(points), size)
    return images.view(BLOCK, examples, 1, size, size)


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """How many blocks to draw at a time, each on one thread: tensors this small gain nothing from more threads, and on
    a busy machine lose ten times to waiting for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def draw_glyphs(classes: int = 1000, *, examples: int = 20, size: int = 28, seed: int = 0) -> ImageClasses:
    """Characters that nobody has seen: each class a random pen program, each example one shaky performance of it.

    The same seed always gives the same glyphs: a larger draw begins with the classes of a smaller one, and another
    ``size`` shows the same drawings at another resolution (where pixels are coarse, the pen stays wide enough to
    leave no gap).

    Args:
        classes: how many characters.
        examples: drawings of each.
        size: pixels along each side of the square page.
        seed: of all that is random; any integer.

    Returns:
        Images ``[class, example, 1, size, size]``, uint8, 255 under the pen and 0 elsewhere, named ``glyph/0001`` on.

    Raises:
        BadInputError: a number that cannot be drawn.

    >>> glyphs = draw_glyphs(3, examples=4, size=28)
    >>> glyphs.images.shape, glyphs.names
    (torch.Size([3, 4, 1, 28, 28]), ('glyph/0001', 'glyph/0002', 'glyph/0003'))

    Source: characters as motor programs, types that tokens perform with noise: Lake, Salakhutdinov and Tenenbaum,
    "Human-level concept learning through probabilistic program induction", Science 350 (2015). Curves: Catmull and
    Rom, "A class of local interpolating splines" (1974).
    """
    _check(classes=classes, examples=examples, size=size)
    with _one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
        blocks = pool.map(lambda block: _draw_block(seed, block, examples, size), range(math.ceil(classes / BLOCK)))
    return ImageClasses(torch.cat(list(blocks))[:classes], glyph_names(classes))


def glyph_names(classes: int) -> tuple[str, ...]:
    """What glyphs are called.

    >>> glyph_names(2)
    ('glyph/0001', 'glyph/0002')
    """
    return tuple(f"glyph/{index:04d}" for index in range(1, classes + 1))


def _check(**numbers: int) -> None:
    least = {"classes": 1, "examples": 1, "size": 8}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least[name]:
            raise BadInputError(f"Glyphs cannot be drawn with {name}={value!r}: give an integer from {least[name]} on.")

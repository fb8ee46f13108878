"""Glyphs: characters that the project draws itself, each a random pen program that a shaky hand draws again and again.

A class is a program: the steps of the pen in each stroke, and the points at which strokes meet. An example is one
performance of it by a hand that turns, stretches and misplaces the steps. Ink is on every pixel whose centre the pen
reaches. The page is the unit square, x to the right and y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from headstart.datasets.image_classes import ImageClasses
from headstart.errors import BadInputError
from headstart.randomness import derive_generator

STROKES = 4  # at most, per character
SEGMENTS = 7  # at most, per stroke
POINTS = SEGMENTS + 3  # the first and the last one are not reached: they only guide the curve
UPRIGHT = 0.8  # how much a step is drawn towards the nearest of the four directions
BLOCK = 100  # classes that share one generator
PEN = 5 / 105  # diameter of the pen: 5 of the 105 pixels of an Omniglot drawing
WHOLE, EACH = (-3, -2), (-2,)  # the axes over which a whole character, or each of its strokes, has a box


class _Program(NamedTuple):
    """How to draw each character.

    Shapes:
        steps: ``[class, stroke, point, 2]``, from the point before to each point
        corner: ``[class, stroke, point]``, 1 where the pen turns sharply, 0 where the curve is smooth
        drawn: ``[class, stroke, segment]``, true where there is ink; segment s runs from point s + 1 to point s + 2
        parent: ``[class, stroke]``, the earlier stroke that a stroke is placed by
        joint: ``[class, stroke, 2]``, the point of the parent and the stroke's own point that meet
        gap: ``[class, stroke, 2]``, from the one to the other, zero where the strokes touch
        middle: ``[class, 2]``, of the character's box on the page
    """

    steps: Tensor
    corner: Tensor
    drawn: Tensor
    parent: Tensor
    joint: Tensor
    gap: Tensor
    middle: Tensor

    def points(self) -> Tensor:
        """Where the pen goes, ``[class, stroke, point, 2]``, up to a shift of the whole character."""
        points = self.steps.cumsum(-2)
        rows = torch.arange(len(points))
        for stroke in range(1, STROKES):
            of_parent, own = self.joint[:, stroke].unbind(-1)
            meeting = points[rows, self.parent[:, stroke], of_parent] + self.gap[:, stroke]
            points[:, stroke] += (meeting - points[rows, stroke, own])[:, None]
        return points


class _Dice:
    """Random tensors ``[*lead, *shape]``, all of one generator."""

    def __init__(self, generator: Generator, *lead: int) -> None:
        self.generator, self.lead = generator, lead

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*self.lead, *shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*self.lead, *shape, generator=self.generator)

    def chance(self, probability: float, *shape: int) -> Tensor:
        return self.uniform(*shape) < probability

    def whole(self, count: int | Tensor, *shape: int) -> Tensor:
        return (self.uniform(*shape) * count).long()

    def sign(self, minus: float, *shape: int) -> Tensor:
        return 1 - 2 * self.chance(minus, *shape).float()


def _write_programs(dice: _Dice) -> _Program:
    """Random characters of one to four strokes, some of them repeats, that touch one another or stand apart."""
    steps, corner = _walk(dice)
    strokes = 1 + (dice.uniform(1) > torch.tensor([0.10, 0.36, 0.70])).sum(-1)
    plain = dice.chance(0.25, STROKES) & ((torch.arange(STROKES) > 0) | (strokes[:, None] > 1))
    straight = dice.chance(0.7, STROKES) & plain
    corner = torch.where(straight[..., None], 1.0, corner)
    angular = corner.mean(-1) == 1
    segments = 2 + dice.whole(SEGMENTS - 1, STROKES)
    segments = torch.where(plain, 1, torch.where(angular, (segments + 1) // 2, segments))
    for stroke in range(1, STROKES):
        again = dice.chance(0.25)
        steps[again, stroke] = (steps[:, stroke - 1] * dice.sign(0.3, 1, 2))[again]
        corner[again, stroke] = corner[again, stroke - 1]
        segments[again, stroke] = segments[again, stroke - 1]
    drawn = torch.arange(SEGMENTS) < segments[..., None]
    low, high = _box(steps.cumsum(-2), drawn, EACH)
    size = torch.exp(0.2 * dice.normal(STROKES)) * segments**0.35
    steps = steps * (size / (high - low).amax(-1))[..., None, None]
    drawn = drawn & (torch.arange(STROKES) < strokes[:, None])[..., None]
    middle = torch.tensor([0.49, 0.48]) + 0.02 * dice.normal(2)
    return _fit_to_page(_Program(steps, corner, drawn, *_meet(segments, dice), middle), dice)


def _walk(dice: _Dice) -> tuple[Tensor, Tensor]:
    """Steps and corners of strokes that bend one way for a while, turn corners, and favour the compass directions."""
    bend = dice.sign(0.5, STROKES, POINTS) * (0.5 + 0.8 * dice.uniform(STROKES, POINTS))
    changes = dice.chance(0.2, STROKES, POINTS)
    for point in range(1, POINTS):
        bend[..., point] = torch.where(changes[..., point], bend[..., point], bend[..., point - 1])
    bend = bend * dice.chance(0.75, STROKES, 1) + 0.15 * dice.normal(STROKES, POINTS)
    angular = dice.chance(0.4, 1, 1) | dice.chance(0.2, STROKES, 1)
    corner = dice.chance(0.08, STROKES, POINTS) | angular
    sharp = dice.sign(0.5, STROKES, POINTS) * (math.pi / 2 + 0.5 * dice.normal(STROKES, POINTS))
    turn = torch.where(corner, sharp, bend)
    start = torch.where(dice.chance(0.8, STROKES, 1), dice.whole(4, STROKES, 1) / 4, dice.uniform(STROKES, 1))
    heading = 2 * math.pi * start + 0.08 * dice.normal(STROKES, 1) + turn.cumsum(-1) - turn[..., :2].sum(-1)[..., None]
    unit = math.pi / 4 * (1 + dice.chance(0.6, 1, 1).float())
    compass = (heading / unit).round() * unit
    heading = torch.where(angular & dice.chance(0.75, 1, 1), compass, heading)
    length = torch.exp(0.35 * dice.normal(STROKES, POINTS)) * torch.where(corner, 1.5, 1.0)
    return length[..., None] * torch.stack([heading.cos(), heading.sin()], -1), corner.float()


def _meet(segments: Tensor, dice: _Dice) -> tuple[Tensor, Tensor, Tensor]:
    """For each stroke an earlier one as ``parent``, the ``joint`` at any point or an end of either, and the ``gap``."""
    parent = dice.whole(torch.arange(STROKES), STROKES)
    last = torch.stack([segments.gather(1, parent), segments], -1)
    end = dice.whole(2, STROKES, 2) * last
    joint = 1 + torch.where(dice.chance(0.6, STROKES, 2), end, dice.whole(last + 1, STROKES, 2))
    along = torch.where(dice.chance(0.3, STROKES, 1), 1.0, torch.eye(2)[dice.whole(2, STROKES)])  # any way, or one axis
    gap = dice.normal(STROKES, 2) * along * dice.chance(0.25, STROKES, 1)
    return parent, joint, gap


def _fit_to_page(program: _Program, dice: _Dice) -> _Program:
    """The program with the height and width of a written character; one axis grows at most twice the other."""
    low, high = _box(program.points(), program.drawn, WHOLE)
    wanted = (torch.tensor([0.53, 0.57]) + 0.12 * dice.normal(2)).clamp(0.2, 0.82)
    scale = wanted / (high - low)
    scale = torch.minimum(scale, 2 * scale.amin(-1, keepdim=True))
    return program._replace(steps=program.steps * scale[:, None, None], gap=program.gap * scale[:, None])


def _box(points: Tensor, drawn: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The corners of the box around the points of every segment with ink."""
    edge = torch.zeros_like(drawn[..., :1])
    hidden = ~(torch.cat([edge, drawn, edge, edge], -1) | torch.cat([edge, edge, drawn, edge], -1))[..., None]
    return points.masked_fill(hidden, math.inf).amin(axes), points.masked_fill(hidden, -math.inf).amax(axes)


def _perform(program: _Program, dice: _Dice) -> Tensor:
    """One drawing of each program by a shaky hand: points on the page, ``[drawing, stroke, point, 2]``.

    A more or less careless hand turns and stretches each stroke and each step, and sets strokes down a little off.
    """
    low, high = _box(program.points(), program.drawn, WHOLE)
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


def _set_down(points: Tensor, side: Tensor, program: _Program, dice: _Dice) -> Tensor:
    """The points under a random quadratic map near the identity, with about the wanted longer ``side`` and middle."""
    low, high = _box(points, program.drawn, WHOLE)
    x, y = (points - ((low + high) / 2)[:, None, None]).unbind(-1)
    spread = torch.tensor([[0.08, 0.05, 0.08, 0.05, 0.05], [0.025, 0.08, 0.05, 0.05, 0.08]])
    warp = torch.eye(2, 5) + spread * dice.normal(2, 5)
    points = torch.einsum("nspt,nct->nspc", torch.stack([x, y, x * x, x * y, y * y], -1), warp)
    low, high = _box(points, program.drawn, WHOLE)
    side = (side * torch.exp(0.11 * dice.normal(1))).clamp(max=0.94)
    scale = side / (high - low).amax(-1, keepdim=True)
    half = scale * (high - low) / 2
    middle = program.middle + 0.048 * dice.normal(2)
    middle = torch.minimum(torch.maximum(middle, 0.03 + half), 0.97 - half)
    return middle[:, None, None] + scale[:, None, None] * (points - ((low + high) / 2)[:, None, None])


def _trace(points: Tensor, corner: Tensor, drawn: Tensor, size: int) -> tuple[Tensor, Tensor]:
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


def _ink(pen: Tensor, radius: Tensor, drawing: Tensor, drawings: int, size: int) -> Tensor:
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
    program = _write_programs(_Dice(generator, BLOCK))
    program = _Program(*(field.repeat_interleave(examples, 0) for field in program))
    dice = _Dice(generator, BLOCK * examples)
    points = _perform(program, dice)
    corner = program.corner * dice.chance(0.85, STROKES, 1)
    radius = (PEN / 2 * size * torch.exp(0.04 * dice.normal())).clamp(min=math.sqrt(0.5))  # reaches a pixel's corner
    pen, drawing = _trace(points, corner, program.drawn, size)
    images = _ink(pen, radius[drawing], drawing, len(points), size)
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

"""How a glyph is drawn: one performance of a pen program by a shaky hand, as the positions of its pen."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from headstart.datasets.glyph_programs import POINTS, STROKES, WHOLE, Dice, Program, box, write_programs
from headstart.randomness import derive_generator

UPRIGHT = 0.8  # how much a step is drawn towards the nearest of the four directions
BLOCK = 100  # classes that share one generator


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


class Performance(NamedTuple):
    """Drawings before they are inked: what ``trace`` takes, and the dice for what is random of the pen.

    Shapes:
        points: ``[drawing, stroke, point, 2]``
        corner: ``[drawing, stroke, point]``, 1 where the pen turns sharply
        drawn: ``[drawing, stroke, segment]``
    """

    points: Tensor
    corner: Tensor
    drawn: Tensor
    dice: Dice


def perform_block(seed: int, block: int, examples: int) -> Performance:
    """``examples`` drawings of each class of a block, class by class."""
    generator = derive_generator(seed, "glyphs", block)
    program = write_programs(Dice(generator, BLOCK))
    program = Program(*(field.repeat_interleave(examples, 0) for field in program))
    dice = Dice(generator, BLOCK * examples)
    points = perform(program, dice)
    corner = program.corner * dice.chance(0.85, STROKES, 1)
    return Performance(points, corner, program.drawn, dice)


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

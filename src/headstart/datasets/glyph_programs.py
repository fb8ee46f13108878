"""What a glyph is: a random pen program, the steps of the pen in each stroke and the points at which strokes meet.

The page is the unit square, x to the right and y downwards.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

STROKES = 4  # at most, per character
SEGMENTS = 7  # at most, per stroke
POINTS = SEGMENTS + 3  # the first and the last one are not reached: they only guide the curve
WHOLE, EACH = (-3, -2), (-2,)  # the axes over which a whole character, or each of its strokes, has a box


class Program(NamedTuple):
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


class Dice:
    """Random tensors ``[*lead, *shape]``, all of one generator."""

    def __init__(self, generator: Generator, *lead: int) -> None:
        self.generator, self.lead = generator, lead

    def uniform(self, *shape: int) -> Tensor:
        """From 0 to 1."""
        return torch.rand(*self.lead, *shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Of mean 0 and standard deviation 1."""
        return torch.randn(*self.lead, *shape, generator=self.generator)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with the given probability."""
        return self.uniform(*shape) < probability

    def whole(self, count: int | Tensor, *shape: int) -> Tensor:
        """Whole numbers below ``count``."""
        return (self.uniform(*shape) * count).long()

    def sign(self, minus: float, *shape: int) -> Tensor:
        """-1 with the probability ``minus``, otherwise 1."""
        return 1 - 2 * self.chance(minus, *shape).float()


def write_programs(dice: Dice) -> Program:
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
    low, high = box(steps.cumsum(-2), drawn, EACH)
    size = torch.exp(0.2 * dice.normal(STROKES)) * segments**0.35
    steps = steps * (size / (high - low).amax(-1))[..., None, None]
    drawn = drawn & (torch.arange(STROKES) < strokes[:, None])[..., None]
    middle = torch.tensor([0.49, 0.48]) + 0.02 * dice.normal(2)
    return _fit_to_page(Program(steps, corner, drawn, *_meet(segments, dice), middle), dice)


def _walk(dice: Dice) -> tuple[Tensor, Tensor]:
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


def _meet(segments: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
    """For each stroke an earlier one as ``parent``, the ``joint`` at any point or an end of either, and the ``gap``."""
    parent = dice.whole(torch.arange(STROKES), STROKES)
    last = torch.stack([segments.gather(1, parent), segments], -1)
    end = dice.whole(2, STROKES, 2) * last
    joint = 1 + torch.where(dice.chance(0.6, STROKES, 2), end, dice.whole(last + 1, STROKES, 2))
    along = torch.where(dice.chance(0.3, STROKES, 1), 1.0, torch.eye(2)[dice.whole(2, STROKES)])  # any way, or one axis
    gap = dice.normal(STROKES, 2) * along * dice.chance(0.25, STROKES, 1)
    return parent, joint, gap


def _fit_to_page(program: Program, dice: Dice) -> Program:
    """The program with the height and width of a written character; one axis grows at most twice the other."""
    low, high = box(program.points(), program.drawn, WHOLE)
    wanted = (torch.tensor([0.53, 0.57]) + 0.12 * dice.normal(2)).clamp(0.2, 0.82)
    scale = wanted / (high - low)
    scale = torch.minimum(scale, 2 * scale.amin(-1, keepdim=True))
    return program._replace(steps=program.steps * scale[:, None, None], gap=program.gap * scale[:, None])


def box(points: Tensor, drawn: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The corners of the box around the points of every segment with ink."""
    edge = torch.zeros_like(drawn[..., :1])
    hidden = ~(torch.cat([edge, drawn, edge, edge], -1) | torch.cat([edge, edge, drawn, edge], -1))[..., None]
    return points.masked_fill(hidden, math.inf).amin(axes), points.masked_fill(hidden, -math.inf).amax(axes)

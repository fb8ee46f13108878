"""Glyphs: characters that headstart draws itself, each a random pen program that a shaky hand draws again and again.

An example is one performance of a class's program by a hand that turns, stretches and misplaces the steps. Ink is on
every pixel whose centre the pen reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from headstart.datasets.glyph_hands import BLOCK
from headstart.datasets.glyph_pens import with_many_pens, with_one_pen
from headstart.datasets.image_classes import ImageClasses
from headstart.errors import BadInputError

Pens = Literal["one", "many"]
PENS: dict[Pens, Callable[[int, int, int, int], Tensor]] = {"one": with_one_pen, "many": with_many_pens}


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


def draw_glyphs(
    classes: int = 1000, *, examples: int = 20, size: int = 28, seed: int = 0, pens: Pens = "one"
) -> ImageClasses:
    """Characters that nobody has seen: each class a random pen program, each example one shaky performance of it.

    The same seed always gives the same glyphs: a larger draw begins with the classes of a smaller one, and another
    ``size`` shows the same drawings at another resolution (where pixels are coarse, the pen stays wide enough to
    leave no gap).

    Args:
        classes: how many characters.
        examples: drawings of each.
        size: pixels along each side of the square page.
        seed: of all that is random; any integer.
        pens: ``"one"``, that of Omniglot's drawings, or ``"many"``: of each drawing another, up to four times as wide,
            some seen from afar; such drawings are centred and of one size, as :func:`headstart.as_drawing` makes them.

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
    if pens not in PENS:
        raise BadInputError(f"pens={pens!r} is unknown; choose one of {', '.join(PENS)}.")
    with _one_thread_each() as threads, ThreadPoolExecutor(threads) as pool:
        blocks = pool.map(lambda block: PENS[pens](seed, block, examples, size), range(math.ceil(classes / BLOCK)))
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

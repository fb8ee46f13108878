from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from headstart.datasets import glyphs


@pytest.fixture(autouse=True, scope="module")
def glyphs_are_drawn_once() -> Iterator[None]:
    """Every command draws the same 230 glyphs, which takes longer than all else that it does here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "_draw_block", functools.cache(glyphs._draw_block))
        yield

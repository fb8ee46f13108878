"""Characters that headstart draws itself: no download, as many classes as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import headstart as hs
from headstart.problems.classes import split_in_file
from headstart.problems.images import ImageProblem, ImageSettings
from headstart.problems.settings import Count

PENS: dict[str, Literal["one", "many"]] = {"as_is": "one", "drawing": "many"}
"""With how many pens they are drawn for each ``--form``."""
VALIDATION, TEST = 100, 423
"""Glyphs that are held out: as many as Omniglot's characters."""


@dataclass(frozen=True)
class GlyphSettings(ImageSettings):
    """Flags of the problem of glyphs."""

    split: str = "random"
    """Split into training, validation and test classes: random, or a JSON file."""
    glyph_classes: Count = 3000
    """Glyphs to train on; 100 more are for validation and 423 more for test."""


class Glyphs(ImageProblem):
    """Tasks of glyphs. The test glyphs are the same however many there are to train on."""

    settings: ClassVar[type] = GlyphSettings

    def split(self, settings: GlyphSettings) -> hs.Split:
        """The first glyphs are for test, the next ones for validation, all others for training."""
        from headstart.datasets.glyphs import glyph_names

        if settings.split != "random":
            return split_in_file(settings.split, "random")
        names = glyph_names(TEST + VALIDATION + settings.glyph_classes)
        return hs.Split(names[TEST + VALIDATION :], names[TEST : TEST + VALIDATION], names[:TEST])

    def load(self, settings: GlyphSettings) -> hs.ImageClasses:
        """All glyphs, drawn anew."""
        return hs.draw_glyphs(
            TEST + VALIDATION + settings.glyph_classes, size=settings.image_size, pens=PENS[settings.form]
        )

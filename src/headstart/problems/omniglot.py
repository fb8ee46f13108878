"""Omniglot: 1,623 handwritten characters of 50 alphabets, the benchmark of the field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import headstart as hs
from headstart.datasets.omniglot_alphabets import CLASS_NAMES
from headstart.problems.classes import split_in_file
from headstart.problems.images import ImageProblem, ImageSettings

COUNTS = (1_100, 100, 423)
"""Characters of the random split, as many as in the code of MAML (Finn, Abbeel and Levine, 2017)."""


@dataclass(frozen=True)
class OmniglotSettings(ImageSettings):
    """Flags of the problem of Omniglot."""

    split: str = "random"
    """Split into training, validation and test classes: random, lake (by alphabet), or a JSON file."""
    data_root: Path | None = None
    """Folder of the zips or of their content; otherwise $HEADSTART_DATA, the cache, or a download."""
    resize: Literal["nearest", "area"] = "nearest"
    """How the drawings get to their size: nearest pixel in 1 bit, or area-averaged grey."""


class Omniglot(ImageProblem):
    """Tasks of Omniglot's characters."""

    settings: ClassVar[type] = OmniglotSettings
    recipe: ClassVar[dict[str, Any]] = {"meta_steps": 5000, "validation_every": 2500}
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "proto_net": {"train_ways": 60, "meta_batch": 1, "queries": 5, "meta_steps": 4000, "validation_every": 1000}
    }

    def split(self, settings: OmniglotSettings) -> hs.Split:
        """1,100, 100 and 423 random characters; those of the two archives; or what a file names."""
        if settings.split == "random":
            return hs.random_split(CLASS_NAMES, COUNTS)
        if settings.split == "lake":
            return hs.lake_split(CLASS_NAMES)
        return split_in_file(settings.split, "random", "lake")

    def load(self, settings: OmniglotSettings) -> hs.ImageClasses:
        """All characters, verified."""
        return hs.load_omniglot(
            settings.data_root,
            size=settings.image_size,
            resize="drawing" if settings.form == "drawing" else settings.resize,
        )

"""How hard are Omniglot and the glyphs? Accuracy of the nearest neighbour in raw pixels, 5-way 1-shot.

python benchmarks/nearest_neighbour.py [--data-root FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from headstart.datasets.glyphs import draw_glyphs
from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.omniglot import load_omniglot
from headstart.datasets.splits import random_split

WAYS, QUERIES, TASKS = 5, 15, 2000


def task_accuracy(images: Tensor, generator: torch.Generator) -> Tensor:
    """The part of one task's queries whose nearest support image (Euclidean, of unshifted pixels) is of their class."""
    classes = torch.randperm(len(images), generator=generator)[:WAYS]
    order = torch.rand(WAYS, images.shape[1], generator=generator).argsort(1)[:, : 1 + QUERIES]
    chosen = images[classes[:, None], order].flatten(2).float()
    nearest = torch.cdist(chosen[:, 1:], chosen[:, 0]).argmin(-1)
    return (nearest == torch.arange(WAYS)[:, None]).float().mean()


def report(name: str, data: ImageClasses) -> None:
    """One line: mean accuracy and its 95 % interval over the tasks."""
    generator = torch.Generator().manual_seed(0)
    accuracy = torch.stack([task_accuracy(data.images, generator) for _ in range(TASKS)])
    interval = 1.96 * accuracy.std() / TASKS**0.5
    ink = (data.images > 0).float().mean()
    print(f"{name:34} {100 * accuracy.mean():.1f} % +- {100 * interval:.1f} over {TASKS} tasks; ink {100 * ink:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, help="folder of the Omniglot zips")
    characters = load_omniglot(parser.parse_args().data_root)
    report("glyphs, 1,100 classes", draw_glyphs(1100))
    report(
        "Omniglot, 1,100 training characters", characters.choose(random_split(characters.names, (1100, 100, 423)).train)
    )


if __name__ == "__main__":
    main()

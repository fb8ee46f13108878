"""Handwritten digits that no part of this project was trained on: learners, beside what needs no learner.

    python benchmarks/digits.py glyphs glyphs-reptile

10-way tasks of scikit-learn's digits, 15 queries per class, the same tasks for all: trained learners as users have them
(prepared as drawings, and only enlarged), the nearest neighbour, and logistic regression on the pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import headstart as hs
from headstart.evaluation.result import NORMAL_QUANTILE

SHOTS, QUERIES = (1, 5, 20), 15
Contestant = Callable[[torch.Tensor, torch.Tensor], float]


def of_learner(learner: hs.Learner, images: torch.Tensor, targets: torch.Tensor) -> Contestant:
    """Accuracy of a learner, given which examples are the support and the query set."""

    def accuracy(support: torch.Tensor, query: torch.Tensor) -> float:
        fitted = learner.fit(hs.Examples(images[support], targets[support]))
        return float((fitted(images[query]).argmax(1) == targets[query]).float().mean())

    return accuracy


def of_estimator(make: Callable[[], object], pixels: np.ndarray, targets: np.ndarray) -> Contestant:
    """The same of an estimator of scikit-learn's."""

    def accuracy(support: torch.Tensor, query: torch.Tensor) -> float:
        return float(make().fit(pixels[support], targets[support]).score(pixels[query], targets[query]))  # type: ignore[attr-defined]

    return accuracy


def task(targets: torch.Tensor, shots: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which examples are the support set of a task, and which the query set."""
    generator = torch.Generator().manual_seed(index)
    chosen = [members[torch.randperm(len(members), generator=generator)] for members in by_class(targets)]
    return torch.cat([c[:shots] for c in chosen]), torch.cat([c[shots : shots + QUERIES] for c in chosen])


def by_class(targets: torch.Tensor) -> list[torch.Tensor]:
    """The examples of each class."""
    return [(targets == label).nonzero()[:, 0] for label in range(10)]


def main() -> None:
    """Prints a line per contestant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learners", nargs="*", default=["glyphs"])
    parser.add_argument("--tasks", type=int, default=200)
    options = parser.parse_args()
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    targets = torch.from_numpy(found.target).long()
    drawings = torch.stack([hs.as_drawing(image) for image in images])
    enlarged = F.interpolate(images, size=drawings.shape[-2:], mode="bilinear")
    contestants = {
        "nearest neighbour": of_estimator(lambda: KNeighborsClassifier(1), found.data, found.target),
        "logistic regression": of_estimator(lambda: LogisticRegression(max_iter=1000), found.data, found.target),
    }
    for name in options.learners:
        contestants[name] = of_learner(hs.load(name), drawings, targets)
        contestants[f"{name}, not prepared"] = of_learner(hs.load(name), enlarged, targets)
    for name, accuracy in contestants.items():
        figures = []
        for shots in SHOTS:
            scores = 100 * np.array([accuracy(*task(targets, shots, index)) for index in range(options.tasks)])
            figures.append(f"{scores.mean():.1f} ± {NORMAL_QUANTILE * scores.std(ddof=1) / len(scores) ** 0.5:.1f}")
        print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()

"""A problem and a method from outside of the package: this one file, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import headstart as hs


class BlobTasks:
    """Classification of points around random centres."""

    def __init__(self, task: hs.ClassificationTask, shots: int, queries: int, spread: float) -> None:
        self.outputs, self.shots, self.queries, self.spread = task.ways, shots, queries, spread

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        centres = torch.randn(count, self.outputs, 1, 3, generator=generator)

        def examples(number: int) -> hs.Examples:
            noise = torch.randn(count, self.outputs, number, 3, generator=generator)
            targets = torch.arange(self.outputs).view(1, -1, 1).expand(count, -1, number)
            return hs.Examples((centres + self.spread * noise).flatten(1, 2), targets.flatten(1))

        return hs.Episodes(examples(self.shots), examples(self.queries))


@dataclass(frozen=True)
class BlobSettings:
    """Flags of blobs."""

    spread: float = 0.3
    """Standard deviation around a centre."""


class Blobs(hs.Problem):
    """Tasks of blobs."""

    settings: ClassVar[type] = BlobSettings
    has: ClassVar[frozenset[str]] = frozenset({"classes", "vectors"})
    recipe: ClassVar[dict[str, Any]] = {"model": "mlp", "width": 8, "norm": "none", "meta_steps": 3}

    def task_sets(self, settings: BlobSettings, task: hs.ClassificationTask) -> hs.TaskSets:
        training = BlobTasks(task, task.shots_in_training, task.queries, settings.spread)
        unseen = BlobTasks(task, task.shots, task.test_queries, settings.spread)
        return hs.TaskSets(training, unseen, unseen)


@dataclass(frozen=True)
class CautiousSettings:
    """Flags of cautious MAML."""

    caution: float = 2.0
    """What the inner rate is divided by."""
    inner_steps: int = 1
    """Inner updates."""

    @property
    def inner_steps_in_test(self) -> int:
        return self.inner_steps


class CautiousMAML(hs.MAML):
    """MAML with a smaller inner rate."""

    def __init__(self, model: nn.Module, *, caution: float, inner_steps: int = 1) -> None:
        super().__init__(model, inner_lr=0.4 / caution, inner_steps=inner_steps)
        self.caution = caution

    def predict(self, task_params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return super().predict(task_params, inputs)


hs.register_problem("blobs", Blobs())
hs.register_method(
    "cautious_maml", hs.Method(CautiousMAML, "initialisation", 2, "1 + 3 s", "this file", CautiousSettings)
)

"""Small learners and drawings that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import headstart as hs
from headstart.experiments.build import build_learner
from headstart.experiments.settings import default_settings
from headstart.params import Params


def small_learner(method: str = "proto_net", problem: str = "glyphs", **settings: object) -> hs.Learner:
    """One as the command line builds it, for five classes."""
    example, outputs = ((1,), 1) if problem == "sinusoid" else ((1, 28, 28), 5)
    values = {"width": 8, **settings}
    return build_learner(default_settings(problem, method).replace(**values), example, outputs)


def saved(folder: Path, method: str = "proto_net", problem: str = "glyphs", **notes: object) -> Path:
    """The file of a small learner."""
    path = folder / f"{method}.safetensors"
    hs.save_learner(small_learner(method, problem), path, **notes)
    return path


def nearest_mean() -> hs.Learner:
    """Takes vectors of any width."""
    return hs.ProtoNet(nn.Identity(), ways=2, head=None)


class Ridge(hs.Learner):
    """``f(x) = [x, 1] w`` with ``w`` of the ridge regression on the support set: vectors of any width."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), inner_lr=1.0, inner_steps=0)

    def adaptation(
        self, meta_params: Params, support: hs.Examples, steps: int, *, every: bool = True
    ) -> Iterator[Params]:
        x = with_one(support.inputs)
        yield {
            **meta_params,
            "w": torch.linalg.solve(x.T @ x + 1e-3 * torch.eye(x.shape[1]).to(x), x.T @ support.targets),
        }

    def predict(self, task_params: Params, inputs: Tensor) -> Tensor:
        return with_one(inputs) @ task_params["w"]


def with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def drawings(kinds: int = 3, each: int = 4, size: int = 28, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bright bars of several slopes on black, uint8 ``[n, size, size]``, and the kind of each."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / (size - 1) - 0.5
    labels = np.arange(kinds).repeat(each)
    angles = np.pi * labels / kinds + random.uniform(-0.1, 0.1, len(labels))
    far = np.cos(angles)[:, None, None] * rows + np.sin(angles)[:, None, None] * columns
    return (255 * ((np.abs(far) < 0.08) & (rows**2 + columns**2 < 0.16))).astype(np.uint8), labels

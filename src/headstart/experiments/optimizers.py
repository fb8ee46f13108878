"""The outer optimizer of a run, and the schedule of its learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler

from headstart.errors import BadInputError
from headstart.experiments.shared_settings import OuterLoop

OPTIONS_ON_GPU = {
    "Adam": {"fused": True, "capturable": True},
    "AdamW": {"fused": True, "capturable": True},
    "SGD": {"fused": True},
}
"""The optimizers that can be part of a CUDA graph, with their options for it."""


def build_optimizer(settings: OuterLoop) -> Callable[[Sequence[Tensor]], Optimizer]:
    """The outer optimizer, waiting for the meta-parameters.

    Raises:
        BadInputError: ``torch.optim`` has no such optimizer, or one that needs more than a gradient.
    """
    kind = getattr(torch.optim, settings.optimizer, None)
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise BadInputError(f"--optimizer {settings.optimizer} is not in torch.optim; try Adam, AdamW or SGD.")
    make: Callable[..., Optimizer] = kind
    trial = torch.zeros(2, requires_grad=True)
    trial.grad = torch.zeros(2)
    try:
        make([trial], lr=settings.meta_lr).step()
    except Exception as error:  # each optimizer refuses what it cannot do in its own way
        raise BadInputError(f"--optimizer {settings.optimizer} is not for this ({error}); try Adam or SGD.") from error

    def make_where_params_are(params: Sequence[Tensor]) -> Optimizer:
        if params[0].device.type != "cuda" or settings.optimizer not in OPTIONS_ON_GPU:
            return make(params, lr=settings.meta_lr)
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")  # and is not recorded
        rate = torch.tensor(settings.meta_lr, device=params[0].device)
        return make(params, lr=rate, **OPTIONS_ON_GPU[settings.optimizer])

    return make_where_params_are


def build_scheduler(settings: OuterLoop) -> Callable[[Optimizer], LRScheduler]:
    """The schedule of the outer learning rate, waiting for the optimizer."""
    schedules: dict[str, Callable[[Optimizer], LRScheduler]] = {
        "constant": lambda outer: ConstantLR(outer, factor=1.0),
        "cosine": lambda outer: CosineAnnealingLR(outer, settings.meta_steps),
        "linear": lambda outer: LinearLR(outer, 1.0, 0.0, settings.meta_steps),
    }
    return schedules[settings.schedule]

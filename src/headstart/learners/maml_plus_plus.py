"""MAML++: MAML whose inner steps are each evaluated, with rates and normalization of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.learners.maml import MAML
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.models.normalization import Normalization
from headstart.params import Params, as_module, below
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.layer_step_rates import LayerStepRates

LEAST_WEIGHT = 0.03
"""Of the steps before the last, all of them together, at the end of the annealing; from the authors' code."""


class MAMLPlusPlus(MAML):
    """``l^n = sum over k of step_weights[k] * query_loss(params after inner step k)``, and what makes that train well.

    The weights begin equal and go linearly to the last step, which alone counts after ``multi_step`` of the run. The
    meta-gradient is first-order for ``first_order`` of the run, and exact from then on. Every inner step has learned
    rates (:class:`headstart.LayerStepRates`) and, in each normalization layer, a weight and a bias of its own, which
    are learned in the outer loop and do not adapt. Statistics are those of the batch at hand, as in the authors' code.
    Steps beyond those of training go on with what is learned for the last one. The norms of the model itself are not
    used: predictions are made with what ``adapt`` and ``adaptation`` return, not with the meta-parameters as they are.

    :func:`headstart.train` moves the schedule. In a loop of your own call ``start_meta_step`` before each meta-step;
    without it the learner is what it is at the end of a training, exact and with the last step alone.

    Args:
        multi_step: share of the training in which all inner steps count: 10 of the authors' 150 epochs.
        first_order: share of the training without second derivatives: 50 of 150 epochs.

    Raises:
        BadInputError: there is no inner step, a share is not in [0, 1], or another argument is out of its range.

    Source: Antoniou, Edwards and Storkey (2019), "How to train your MAML", section 4. Omniglot, 5-way: 99.47 with one
    shot, 99.93 with five; 20-way: 97.65 and 99.33.

    >>> from headstart.models.conv4 import Conv4
    >>> learner = MAMLPlusPlus(Conv4(ways=5), inner_steps=4)
    >>> learner.order, learner.step_weights
    (2, tensor([0., 0., 0., 1.]))
    >>> learner.start_meta_step(0, meta_steps=3000)
    >>> learner.order, learner.step_weights
    (1, tensor([0.2500, 0.2500, 0.2500, 0.2500]))
    """

    kinds_of_meta_step = 3
    step_weights: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        multi_step: float = 1 / 15,
        first_order: float = 1 / 3,
        inner_rule: Callable[[float], UpdateRule] = LayerStepRates,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        if inner_steps < 1:
            raise BadInputError(f"{inner_steps=} must be 1 or more for MAML++, which evaluates each of them.")
        for name, share in (("multi_step", multi_step), ("first_order", first_order)):
            if not 0 <= share <= 1:
                raise BadInputError(f"{name}={share} is a share of the training; choose one from 0 to 1.")
        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, inner_rule=inner_rule, loss=loss, metric=metric
        )
        self.multi_step, self.first_order = multi_step, first_order
        layers = {path for path, layer in self.named_modules() if isinstance(layer, Normalization)}
        shared = {
            name: p for name, p in self.named_parameters() if name.rpartition(".")[0] in layers and p.requires_grad
        }
        self.norms = as_module({name: value.expand(inner_steps, *value.shape) for name, value in shared.items()})
        for parameter in shared.values():
            parameter.requires_grad_(False)
        self.rule = self.new_rule()  # without rates for what no longer adapts
        self.register_buffer("step_weights", torch.empty(inner_steps), persistent=False)
        self.start_meta_step(1, meta_steps=1)  # the end of the schedule

    def start_meta_step(self, meta_step: int, meta_steps: int) -> None:
        """The order and the weights of the inner steps' losses at this point of the training."""
        until = self.multi_step * meta_steps
        self.order = 1 if meta_step < self.first_order * meta_steps else 2
        self.counted_steps = self.inner_steps if meta_step < until else 1
        self.step_weights.copy_(step_weights_at(meta_step, until, self.inner_steps), non_blocking=True)

    def with_norms_of(self, step: int, params: Params) -> Params:
        """``params`` with the normalization weights and biases of inner step ``step``."""
        norms = below(params, "norms")
        return {**params, **{name: values[min(step, len(values) - 1)] for name, values in norms.items()}}

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """As for every learner; a query set after ``k`` updates sees the normalization of the ``k``-th."""
        points = super().adaptation(meta_params, support, steps, every=every)
        yield self.with_norms_of(0, next(points))
        if every:
            for step, params in enumerate(points):
                yield self.with_norms_of(step, params)
        else:
            for params in deque(points, maxlen=1):  # the last alone
                yield self.with_norms_of(steps - 1, params)

    def inner_loss(self, params: Params, fixed: Params, support: Examples, step: int) -> Tensor:
        """The support loss with the normalization of inner step ``step``."""
        return super().inner_loss(params, self.with_norms_of(step, fixed), support, step)

    def outcome(self, meta_params: Params, episode: Episodes) -> tuple[Tensor, Tensor]:
        """The weighted sum of the query losses after the inner steps that count, and the predictions after the last."""
        if self.counted_steps == 1:
            return super().outcome(meta_params, episode)
        weights = meta_params.get("step_weights", self.step_weights)  # an argument in compiled programs
        _, *points = self.adaptation(meta_params, episode.support, self.inner_steps)
        evaluated = [self.loss_and_predictions(task_params, episode.query) for task_params in points]
        losses = torch.stack([loss for loss, _ in evaluated])
        return losses @ weights[-len(losses) :].to(losses.dtype), evaluated[-1][1]


def step_weights_at(meta_step: int, until: float, steps: int) -> Tensor:
    """Weights of the query losses after each of ``steps`` inner steps: from equal to the last step alone at ``until``.

    >>> step_weights_at(0, until=10, steps=2), step_weights_at(5, until=10, steps=2), step_weights_at(10, 10, steps=2)
    (tensor([0.5000, 0.5000]), tensor([0.2500, 0.7500]), tensor([0., 1.]))
    """
    if meta_step >= until:
        return torch.eye(steps)[-1]
    others = max((1 - meta_step / until) / steps, LEAST_WEIGHT / steps)
    return torch.tensor([*[others] * (steps - 1), 1 - others * (steps - 1)])

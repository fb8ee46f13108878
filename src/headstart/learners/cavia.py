"""CAVIA: what adapts to a task is a small vector beside the inputs, not the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.learners.maml import MAML
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.params import Params
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD

CONTEXT = "context"


class CAVIA(MAML):
    """``f(x) = model([x, context])``, ``context = 0 - inner_lr * grad support_loss(0)``: alone it adapts to a task.

    The weights of ``model`` are shared by all tasks and are what is meta-learned, through the inner updates
    (``order=2``) or with their gradients as constants (``order=1``). The context is no meta-parameter: it is zero
    before every task, and in ``task_params`` under the name ``"context"``; parameters without it mean zeros.

    Args:
        model: takes ``features + context`` numbers: ``hs.MLP(inputs=1 + 5)`` for tasks with one feature.
        context: how many numbers adapt.
        order: 2 or 1.

    Shapes:
        inputs: ``[example, features]``; further input axes are flattened

    Raises:
        BadInputError: ``context`` is not positive, another argument is out of its range, or, when it first predicts,
            the model does not take as many numbers.

    Source: Zintgraf, Shiarlis, Kurin, Hofmann and Whiteson (2019), sections 3.1 and 5.1 (sine curves), with the five
    context parameters of the authors' code, github.com/lmzintgraf/cavia.

    >>> from headstart.models.mlp import MLP
    >>> learner = CAVIA(MLP(inputs=1 + 5), context=5)
    >>> support = Examples(torch.randn(10, 1), torch.randn(10, 1))
    >>> learner.adapt(learner.meta_params, support)["context"].shape
    torch.Size([5])
    """

    learns_rule = False
    context: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        context: int = 5,
        inner_lr: float = 1.0,
        inner_steps: int = 1,
        order: int = 2,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        if context < 1:
            raise BadInputError(f"context={context} must be positive: it is all that adapts.")
        super().__init__(
            model,
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            order=order,
            inner_rule=inner_rule,
            loss=loss,
            metric=metric,
        )
        self.register_buffer(CONTEXT, torch.zeros(context), persistent=False)

    @property
    def adapted_names(self) -> set[str]:
        """The context alone."""
        return {CONTEXT}

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """``model([inputs, context])``."""
        if named or len(inputs) != 1:
            raise BadInputError("the context of CAVIA goes beside one tensor of inputs, not several; concatenate them.")
        features = inputs[0].flatten(1)
        together = torch.cat([features, self.context.expand(len(features), -1)], dim=1)
        try:
            return super().forward(together)
        except RuntimeError as error:
            width = together.shape[1]
            if any(isinstance(layer, nn.Linear) and layer.in_features == width for layer in self.modules()):
                raise
            raise BadInputError(
                f"the model takes no inputs of {features.shape[1]} features and context={len(self.context)} numbers; "
                f"give it a first layer of {width} inputs."
            ) from error

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """As for every learner, from a context of zeros."""
        return super().adaptation({CONTEXT: self.context, **meta_params}, support, steps, every=every)

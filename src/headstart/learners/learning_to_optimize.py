"""Learning to optimize: the update rule is what *F* learns, from whatever point a task starts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from headstart.episodes import Episodes
from headstart.errors import BadInputError
from headstart.learners.maml import MAML
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.params import Params
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.learned_optimizer import LearnedOptimizer


class LearningToOptimize(MAML):
    """``l^n = mean over k of query_loss(params after inner step k)``, differentiated by the update rule alone.

    The model's own weights are where every task starts, and stay as they are. The inner loop is unrolled in pieces of
    ``truncation`` steps: what came before a piece counts as a constant in it, or the derivative of a hundred steps
    would vanish or explode. With ``order=1``, the paper's choice, the gradients that the rule sees are constants too.

    Args:
        truncation: inner steps through which is differentiated.

    Raises:
        BadInputError: the rule has nothing to learn, ``truncation`` is not positive, or another argument is out of its
            range.

    Source: Andrychowicz et al. (2016), section 2, equation 3 with equal weights; 100 steps in pieces of 20.

    >>> from headstart.models.mlp import MLP
    >>> learner = LearningToOptimize(MLP(), inner_lr=0.01)
    >>> sorted(learner.trained_names)[:2]
    ['rule.first.bias', 'rule.first.weight']
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.01,
        inner_steps: int = 100,
        truncation: int = 20,
        order: int = 1,
        inner_rule: Callable[[float], UpdateRule] = LearnedOptimizer,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        if truncation < 1:
            raise BadInputError(f"truncation={truncation} must be 1 or more.")
        super().__init__(
            model,
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            order=order,
            inner_rule=inner_rule,
            loss=loss,
            metric=metric,
        )
        if not self.inner_rule.learned:
            raise BadInputError(
                f"{type(self.inner_rule).__name__} has nothing to learn; use LearnedOptimizer, MetaSGD, LayerStepRates "
                "or MetaCurvature."
            )
        self.truncation = truncation

    @property
    def trained_names(self) -> set[str]:
        """The names of the rule's meta-parameters."""
        return {name for name in super().trained_names if name.startswith("rule.")}

    @property
    def adapted_names(self) -> set[str]:
        """The names of the model's parameters that require a gradient."""
        return {name for name, p in self.named_parameters() if name.startswith("model.") and p.requires_grad}

    def outcome(self, meta_params: Params, episode: Episodes) -> tuple[Tensor, Tensor]:
        """The mean of the query losses after every inner step, and the predictions after the last."""
        _, *points = self.adaptation(meta_params, episode.support, self.inner_steps)
        evaluated = [self.loss_and_predictions(task_params, episode.query) for task_params in points]
        return torch.stack([loss for loss, _ in evaluated]).mean(), evaluated[-1][1]

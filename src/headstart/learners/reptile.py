"""Reptile: move the meta-parameters towards each task's parameters."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from headstart.episodes import Episodes
from headstart.learners.base import Learner
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.params import Params, split, subtract
from headstart.update_rules.adam import AdamWithoutMomentum
from headstart.update_rules.base import UpdateRule


class Reptile(Learner):
    """``meta_gradient = meta_params - mean(task_params)``, ``task_params`` after ``inner_steps`` inner updates.

    With ``torch.optim.SGD`` as the outer optimizer, its rate annealed linearly to zero, the meta-update is the paper's
    ``meta_params + meta_lr * (mean(task_params) - meta_params)``. The support set is all that it learns from; the query
    set only yields the metrics. Unlike in the paper's code, Adam's second moments start anew for every task, so that
    adapting is a pure function of the meta-parameters and the support set.

    Source: Nichol, Achiam and Schulman (2018), algorithm 2; settings of its appendix A (5-way Omniglot).

    >>> import torch
    >>> from headstart.episodes import Examples
    >>> learner = Reptile(nn.Linear(2, 3), inner_steps=1)
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> gradient, metrics = learner.meta_gradient(dict(learner.named_parameters()), Episodes(examples, examples))
    >>> gradient["model.weight"].shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 1e-3,
        inner_steps: int = 5,
        inner_batch: int | None = 10,
        inner_rule: Callable[[float], UpdateRule] = AdamWithoutMomentum,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        super().__init__(
            model,
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            inner_rule=inner_rule,
            inner_batch=inner_batch,
            loss=loss,
            metric=metric,
        )

    def task_gradient(self, meta_params: Params, episode: Episodes) -> tuple[Params, Tensor, Tensor]:
        """``meta_params - task_params``, with the loss and the predictions of the query set."""
        task_params = self.adapt(meta_params, episode.support)
        trained, _ = split(meta_params, self.trained_names)
        return subtract(trained, task_params), *self.loss_and_predictions(task_params, episode.query)

"""Model-agnostic meta-learning, exact and first-order."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from headstart.episodes import Episodes
from headstart.errors import BadInputError
from headstart.learners.base import Learner, Loss, loss_for_targets
from headstart.params import Params
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD


class MAML(Learner):
    """``l^n = query_loss(task_params)``, ``task_params = meta_params - inner_lr * grad support_loss(meta_params)``.

    ``order=2`` differentiates through the inner updates, which for one of them gives
    ``(I - inner_lr * H) grad query_loss(task_params)``; ``order=1`` (first-order MAML, FOMAML) takes
    ``grad query_loss(task_params)`` for it. Without inner steps this is joint pre-training.

    The paper's Omniglot rate of 0.4 is on a *sum* over ways and shots divided by shots: 2.0 on the mean used here.

    Raises:
        BadInputError: ``order`` is neither 1 nor 2, or another argument is out of its range.

    Source: Finn, Abbeel and Levine (2017), algorithm 2 and section 5.2.

    >>> import torch
    >>> from headstart.episodes import Examples
    >>> learner = MAML(nn.Linear(2, 3), inner_lr=0.4, order=2)
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> gradient, metrics = learner.meta_gradient(dict(learner.named_parameters()), Episodes(examples, examples))
    >>> gradient["model.weight"].shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        order: int = 2,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
    ) -> None:
        if order not in (1, 2):
            raise BadInputError(f"order={order} must be 2 (exact) or 1 (first-order).")
        super().__init__(model, inner_lr=inner_lr, inner_steps=inner_steps, inner_rule=inner_rule, loss=loss)
        self.order = order

    def outcome(self, meta_params: Params, episode: Episodes) -> tuple[Tensor, Tensor]:
        """The query loss of the adapted parameters, and the predictions."""
        task_params = self.adapt(meta_params, episode.support)
        return self.judge(task_params, episode.query)

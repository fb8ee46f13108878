"""Reptile: move the meta-parameters towards each task's parameters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from torch import Tensor, nn

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.learners.inner_loop import mini_batch
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.params import Params, as_module, below, split, subtract
from headstart.update_rules.adam import AdamWithoutMomentum
from headstart.update_rules.base import State, UpdateRule

CARRIED = "carried"
"""Where what the update rule carries from task to task is, among the meta-parameters."""


class Reptile(Learner):
    """``meta_gradient = meta_params - mean(task_params)``, ``task_params`` after ``inner_steps`` inner updates.

    With ``torch.optim.SGD`` as the outer optimizer, its rate annealed linearly to zero, the meta-update is the paper's
    ``meta_params + meta_lr * (mean(task_params) - meta_params)``. The support set is all that it learns from; the query
    set only yields the metrics.

    With ``carry`` the update rule does not start anew for every task. What Adam remembers, second moments and the count
    of steps, is a meta-parameter too, under ``"carried."``: every task of a meta-step begins with it, the mean of what
    they end with takes its place, and unseen tasks begin with it as well. With moments that start anew the first inner
    update is exactly ``inner_lr`` on every weight, whatever the gradient. The paper's code carries them too, but from
    each task of a meta-step to the next one. What is carried has no gradient: ``meta_gradient`` has its new value,
    which ``train`` puts in the place of the old one; an outer loop of your own does so for ``carried_names``.

    Args:
        inner_batch: support examples per inner update.
        test_inner_batch: the same in evaluation mode (``learner.eval()``); as in training if ``None``.
        carry: whether the update rule's state is carried from task to task.

    Raises:
        BadInputError: an argument is out of its range.

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
        test_inner_batch: int | None = None,
        carry: bool = False,
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

        if test_inner_batch is not None and test_inner_batch < 1:
            raise BadInputError(f"test_inner_batch={test_inner_batch} must be positive, or None for that of training.")
        self.test_inner_batch = inner_batch if test_inner_batch is None else test_inner_batch
        state = flat(super().initial_state(self.meta_params)) if carry else {}
        self.carried = as_module(state).requires_grad_(False)

    @property
    def carried_names(self) -> set[str]:
        """The names of what the update rule carries."""
        return {f"{CARRIED}.{name}" for name, _ in self.carried.named_parameters()}

    def initial_state(self, meta_params: Params) -> State:
        """What the update rule carries from other tasks; nothing, if it starts anew."""
        fresh, carried = super().initial_state(meta_params), below(meta_params, CARRIED)
        if not carried:
            return fresh
        return {kind: {name: carried[key(kind, name)] for name in values} for kind, values in fresh.items()}

    def inner_loss(self, params: Params, fixed: Params, support: Examples, step: int) -> Tensor:
        """The loss of the examples that inner update ``step`` sees."""
        batch = mini_batch(support, self.inner_batch if self.training else self.test_inner_batch, step)
        return self.loss_and_predictions({**params, **fixed}, batch)[0]

    def task_gradient(self, meta_params: Params, episode: Episodes) -> tuple[Params, Tensor, Tensor]:
        """``meta_params - task_params`` and what is carried, with the loss and the predictions of the query set."""
        ((task_params, state),) = deque(self.path(meta_params, episode.support, self.inner_steps, every=False), 1)
        trained, _ = split(meta_params, self.trained_names)
        carried = {f"{CARRIED}.{name}": value for name, value in flat(state).items()} if self.carried_names else {}
        moved = {**subtract(trained, task_params), **carried}
        return moved, *self.loss_and_predictions(task_params, episode.query)


def key(kind: str, name: str) -> str:
    """One name for a tensor of a rule's state: what it is, and of which parameter, if it is of one.

    >>> key("square", "model.weight"), key("count", "")
    ('square.model.weight', 'count')
    """
    return f"{kind}.{name}" if name else kind


def flat(state: State) -> Params:
    """A rule's state as one dictionary."""
    return {key(kind, name): value for kind, values in state.items() for name, value in values.items()}

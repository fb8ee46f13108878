"""Implicit MAML: the meta-gradient from where a task's parameters end, whatever the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.func import grad, vjp

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.learners.conjugate_gradient import conjugate_gradient
from headstart.learners.gradient import gradient_of
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.params import Params, add, below, dot, scale, split, subtract
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD

ANCHOR = "anchor"
"""Where the inner loop finds the parameters that it is held to, among those that stay fixed."""


class ImplicitMAML(Learner):
    """``meta_gradient = (I + H / proximity)^-1 grad query_loss(task_params)``, with ``H`` the Hessian of the support
    loss at ``task_params``, which minimise ``support_loss(params) + proximity / 2 ||params - meta_params||^2``.

    Where ``task_params`` are that minimum, this is the exact derivative of ``query_loss(task_params)``, however it was
    found: nothing of the way is kept, and memory does not grow with ``inner_steps``. The inner loop takes
    ``inner_steps`` from ``meta_params`` towards the minimum, in meta-training and in evaluation; the linear system is
    solved by ``cg_steps`` of conjugate gradient, each one Hessian-vector product. That needs ``proximity`` to be
    larger than the most negative curvature of the support loss, which for Conv4 with batch norm it is not: the solve
    then ends at the first direction of no positive curvature, and what it has found may be large and useless.
    ``damping`` takes ``H / (proximity + damping)`` for ``H / proximity``, which is not exact, but trains.

    This is the paper's algorithm. Its authors' code departs from it: the proximal term is one gradient step after the
    inner loop and is left away at test time, and the system is ``2 I + H / (proximity + 10)``, which is twice what
    ``damping=22`` gives with their ``proximity=2``, and the same under Adam. The command line has that damping.

    Args:
        proximity: how strongly ``task_params`` are held to ``meta_params``, on the mean support loss; the paper's
            ``lambda``.
        cg_steps: steps of conjugate gradient; at 1 a task's gradient is that of the query loss, rescaled.
        damping: what is added to ``proximity`` in the linear system alone; 0 is the exact implicit gradient.

    Raises:
        BadInputError: ``proximity``, ``cg_steps`` or ``inner_steps`` is not positive, ``damping`` is negative, or
            another argument is out of its range.

    Source: Rajeswaran, Finn, Kakade and Levine (2019), equations 3 and 6, algorithms 1 and 2; the defaults are those of
    the authors' published command for 5-way 1-shot Omniglot, github.com/aravindr93/imaml_dev.

    >>> import torch
    >>> from headstart.episodes import Examples
    >>> learner = ImplicitMAML(nn.Linear(2, 3), proximity=2.0)
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> gradient, metrics = learner.meta_gradient(dict(learner.named_parameters()), Episodes(examples, examples))
    >>> gradient["model.weight"].shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.1,
        inner_steps: int = 16,
        proximity: float = 2.0,
        cg_steps: int = 5,
        damping: float = 0.0,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, inner_rule=inner_rule, loss=loss, metric=metric
        )
        if inner_steps == 0:
            raise BadInputError("inner_steps=0 leaves the proximal problem unsolved; choose 1 or more.")
        if not proximity > 0:
            raise BadInputError(f"proximity={proximity} must be positive: without it there is nothing to solve.")
        if cg_steps < 1:
            raise BadInputError(f"cg_steps={cg_steps} must be positive; order=1 of MAML needs no solve.")
        if not damping >= 0:
            raise BadInputError(f"damping={damping} must not be negative; 0 is the exact solution.")
        self.proximity, self.cg_steps, self.damping = proximity, cg_steps, damping

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """As for every learner, each step held to ``meta_params``."""
        adapted, _ = split(meta_params, self.adapted_names)
        anchor = {f"{ANCHOR}.{name}": value for name, value in adapted.items()}
        for point in super().adaptation({**meta_params, **anchor}, support, steps, every=every):
            yield {name: point[name] for name in meta_params}

    def inner_loss(self, params: Params, fixed: Params, support: Examples, step: int) -> Tensor:
        """``support_loss(params) + proximity / 2 ||params - meta_params||^2``."""
        _, others = split(fixed, [f"{ANCHOR}.{name}" for name in params])
        away = subtract(params, below(fixed, ANCHOR))
        return super().inner_loss(params, others, support, step) + self.proximity / 2 * dot(away, away)

    def task_gradient(self, meta_params: Params, episode: Episodes) -> tuple[Params, Tensor, Tensor]:
        """``(I + H / (proximity + damping))^-1 grad query_loss(task_params)``, and the query loss and predictions."""
        support, query = episode
        adapted, fixed = split(self.adapt(meta_params, support), self.adapted_names)

        def support_loss(params: Params) -> Tensor:
            return self.loss_and_predictions({**params, **fixed}, support)[0]

        def query_outcome(params: Params) -> tuple[Tensor, Tensor]:
            return self.loss_and_predictions({**params, **fixed}, query)

        def system(vector: Params) -> Params:
            (product,) = hessian(vector)
            return add(vector, scale(product, 1 / (self.proximity + self.damping)))

        gradient, loss, predictions = gradient_of(query_outcome, adapted)
        hessian = vjp(grad(support_loss), adapted)[1]  # symmetric: the product is the same from either side
        return conjugate_gradient(system, gradient, self.cg_steps), loss, predictions

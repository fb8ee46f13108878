"""Model-agnostic meta-learning, exact and first-order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from torch import nn

from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.models.low_rank import LowRankLinear
from headstart.models.normalization import Normalization
from headstart.params import as_module, split
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD

Adapt = Literal["all", "weights", "head", "body", "low_rank"]


class MAML(Learner):
    """``l^n = query_loss(task_params)``, ``task_params = meta_params - inner_lr * grad support_loss(meta_params)``.

    ``order=2`` differentiates through the inner updates, which for one of them gives
    ``(I - inner_lr * H) grad query_loss(task_params)``; ``order=1`` (first-order MAML, FOMAML) takes
    ``grad query_loss(task_params)`` for it. Without inner steps this is joint pre-training.

    The update rule may be one that is learned, such as :class:`headstart.MetaSGD`: its parameters are meta-parameters
    then, and get their part of the meta-gradient in both orders. What ``adapt`` does not name is trained as well, but
    does not adapt: ``"head"`` is ANIL, ``"body"`` is BOIL.

    Args:
        order: 2 or 1.
        adapt: ``"all"`` of the model, its ``"weights"``, which is all but the parameters of its normalization (as in
            the paper's code), its ``"head"`` alone, its ``"body"``, which is all but the head, or its head and the
            ``"low_rank"`` terms that :func:`headstart.with_low_rank` gave it.
        head: the name of the head in ``model``; goes with ``adapt``.

    The paper's Omniglot rate of 0.4 is on a *sum* over ways and shots divided by shots: 2.0 on the mean used here.

    Raises:
        BadInputError: ``order`` is neither 1 nor 2, the model has no such head, nothing is left to adapt, or another
            argument is out of its range.

    Source: Finn, Abbeel and Levine (2017), algorithm 2 and section 5.2. ANIL: Raghu et al. (2020), section 4. BOIL: Oh
    et al. (2021), section 3.

    >>> import torch
    >>> from headstart.episodes import Episodes, Examples
    >>> learner = MAML(nn.Linear(2, 3), inner_lr=0.4, order=2)
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> gradient, metrics = learner.meta_gradient(dict(learner.named_parameters()), Episodes(examples, examples))
    >>> gradient["model.weight"].shape
    torch.Size([3, 2])
    """

    learns_rule = True

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        order: int = 2,
        adapt: Adapt = "all",
        head: str = "head",
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        if order not in (1, 2):
            raise BadInputError(f"order={order} must be 2 (exact) or 1 (first-order).")
        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, inner_rule=inner_rule, loss=loss, metric=metric
        )
        self.order = order
        self.adapt_part, self.head = adapt, f"model.{head}."
        if adapt not in get_args(Adapt):
            raise BadInputError(f"adapt={adapt!r} is unknown; choose one of {', '.join(get_args(Adapt))}.")
        if adapt not in ("all", "weights") and not any(name.startswith(self.head) for name in self.trained_names):
            raise BadInputError(f"the model has no module {head!r} that is trained; name its head with head=...")
        if adapt == "low_rank" and not self.low_rank_names:
            raise BadInputError("the model has no low-rank terms to adapt; give it some with hs.with_low_rank(model).")
        if not self.adapted_names:
            raise BadInputError(f"adapt={adapt!r} leaves no trained parameter of the model to adapt.")
        if self.inner_rule.learned and inner_steps == 0:
            raise BadInputError("inner_steps=0 leaves the update rule nothing to learn from; choose 1 or more.")
        self.rule = self.new_rule()

    def new_rule(self) -> nn.Module:
        """The rule's meta-parameters as training begins, for the parameters that adapt."""
        adapted, _ = split(self.meta_params, self.adapted_names)
        return as_module(self.inner_rule.initial_rule_params(adapted, self.inner_steps))

    @property
    def adapted_names(self) -> set[str]:
        """The names of the parameters that adapt to a task: those of the model that are trained and that ``adapt``
        names."""
        names = super().adapted_names
        of_head = {name for name in names if name.startswith(self.head)}
        parts = {
            "all": names,
            "weights": names - self.norm_names,
            "head": of_head,
            "body": names - of_head,
            "low_rank": of_head | self.low_rank_names,
        }
        return parts[self.adapt_part]

    @property
    def norm_names(self) -> set[str]:
        """The names of the parameters of normalization layers."""
        layers = {path for path, layer in self.named_modules() if isinstance(layer, Normalization)}
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[0] in layers}

    @property
    def low_rank_names(self) -> set[str]:
        """The names of the low-rank terms that are trained."""
        layers = [path for path, layer in self.named_modules() if isinstance(layer, LowRankLinear)]
        return {f"{path}.{term}" for path in layers for term in ("up", "down")} & self.trained_names


FOMAML = partial(MAML, order=1)
"""First-order MAML."""
ANIL = partial(MAML, adapt="head")
"""MAML whose head alone adapts."""
BOIL = partial(MAML, adapt="body")
"""MAML whose body alone adapts."""

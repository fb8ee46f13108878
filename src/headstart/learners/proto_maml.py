"""MAML whose head begins as that of a prototypical network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.learners.heads import AnyWays, class_means, head_of, ways_of, with_one_row
from headstart.learners.maml import MAML
from headstart.learners.scoring import Metric
from headstart.params import Params
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD


class ProtoMAML(AnyWays, MAML):
    """MAML whose head begins as ``w_k = 2 c_k``, ``b_k = -||c_k||^2``, with ``c_k`` the mean of the embedded support
    examples of class ``k``.

    Without inner steps these are the predictions of :class:`headstart.ProtoNet`, but for ``||embed(x)||^2``, which is
    the same for all classes. The meta-gradient goes through ``c_k`` to the body in both orders; with ``order=1`` the
    gradients of the inner steps alone count as constants. Nothing of the head is learned: the row that the
    meta-parameters hold for it names it and gives its size, and its meta-gradient is zero.

    The paper searches ``inner_lr`` and ``inner_steps``. In short trials here they made no difference.

    Args:
        model: any module with a linear head.
        ways: classes per task; as many as the head has outputs if ``None``. May be set at any time.
        order: 2 or 1.
        head: the name of the head in ``model``.
        inner_rule: makes the update rule; one that is learned is shared among the classes.

    Raises:
        BadInputError: the model has no such head, or one without a bias, or an argument is out of its range.

    Source: Triantafillou et al. (2020), "Meta-Dataset", section 3 (Proto-MAML).

    >>> import torch, headstart as hs
    >>> learner = hs.ProtoMAML(hs.Conv4(ways=5))
    >>> learner.ways = 12
    >>> support = hs.Examples(torch.rand(12, 1, 28, 28), torch.arange(12))
    >>> learner.adapt(learner.meta_params, support)["model.head.weight"].shape
    torch.Size([12, 256])
    """

    needs_every_class = True

    def __init__(
        self,
        model: nn.Module,
        *,
        ways: int | None = None,
        inner_lr: float = 0.01,
        inner_steps: int = 1,
        order: int = 2,
        head: str = "head",
        inner_rule: Callable[[float], UpdateRule] = SGD,
        metric: Metric | None = None,
    ) -> None:
        if getattr(head_of(model, head), "bias", None) is None:
            raise BadInputError(f"the head {head!r} needs a bias, which begins as -||c_k||^2; give it bias=True.")
        one_row = with_one_row(model, head)
        super().__init__(
            one_row,
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            order=order,
            head=head,
            inner_rule=inner_rule,
            metric=metric,
        )
        self.ways = ways_of(model, head, ways)

    def new_head(self, meta_params: Params, support: Examples) -> Params:
        """The head of the class means; an identity in its place is what lets the features through."""
        weight, bias = f"{self.head}weight", f"{self.head}bias"
        size, like = meta_params[weight].shape[1], meta_params[weight]
        identity = {weight: torch.eye(size, dtype=like.dtype, device=like.device), bias: like.new_zeros(size)}
        features = self.predict({**meta_params, **identity}, support.inputs)
        means = class_means(features, support.targets, self.ways)
        return {weight: 2 * means, bias: -means.square().sum(1)}

"""Metric learners: *F* embeds the support set, and *f* compares with it; nothing moves by gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.episodes import Examples, Tensors
from headstart.learners.heads import AnyWays, class_means, one_hot, ways_of, with_head
from headstart.learners.scoring import Metric
from headstart.params import Params, split


class MetricLearner(AnyWays):
    """``f(x) = compare(embed(x), new_head(support))``: ``embed`` is the model without its head, and all that is
    learned.

    The parameters of a task are the meta-parameters, and what ``new_head`` makes of the support set. With the
    meta-parameters alone ``predict`` gives the embedding ``[example, feature]``. Inner steps change nothing.

    Args:
        model: any module; the learner's copy of it has ``nn.Identity`` for a head.
        ways: classes per task; as many as the head has outputs if ``None``. May be set at any time.
        head: the name of the head in ``model``; ``None`` if the whole model is the embedding, which then needs
            ``ways``.

    Raises:
        BadInputError: the model has no such head, or ``ways`` is not positive or lacking.
    """

    head_names: tuple[str, ...]
    """What ``new_head`` makes, by its names among the task's parameters."""

    def __init__(
        self, model: nn.Module, *, ways: int | None = None, head: str | None = "head", metric: Metric | None = None
    ) -> None:
        body = model if head is None else with_head(model, head, nn.Identity())
        super().__init__(body, inner_lr=1.0, inner_steps=0, metric=metric)
        self.ways = ways_of(model, head, ways)

    @property
    def adapted_names(self) -> set[str]:
        """None: nothing moves by gradient steps."""
        return set()

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """The same ``steps + 1`` times: there is nothing to update."""
        return repeat({**meta_params, **self.new_head(meta_params, support)}, steps + 1)

    def predict(self, task_params: Params, inputs: Tensors) -> Tensor:
        """Scores of the classes, ``[example, ways]``; without a head for the task the embedding."""
        head, params = split(task_params, self.head_names)
        features: Tensor = super().predict(params, inputs).flatten(1)
        return self.compare(features, head) if head else features

    @abstractmethod
    def compare(self, features: Tensor, head: Params) -> Tensor:
        """The scores ``[example, ways]`` of embedded examples, ``[example, feature]``."""


class ProtoNet(MetricLearner):
    """``logits_k = -||embed(x) - c_k||^2``, with ``c_k`` the mean of the embedded support examples of class ``k``.

    The loss is the mean cross-entropy of the query set. Where the model has batch norm, support and query set are
    embedded as two batches (the authors' code embeds them as one), since adapting sees the support set alone.

    Args, raises: see :class:`headstart.learners.metric.MetricLearner`.

    Source: Snell, Swersky and Zemel (2017), "Prototypical networks for few-shot learning", section 2.2. Its Omniglot
    figures, 98.8 % (5-way 1-shot) and 99.7 % (5-shot), are of an embedding trained with 60 ways.

    >>> import torch, headstart as hs
    >>> learner = hs.ProtoNet(hs.Conv4(ways=5))
    >>> support = hs.Examples(torch.rand(5, 1, 28, 28), torch.arange(5))
    >>> task_params = learner.adapt(learner.meta_params, support)
    >>> learner.predict(task_params, torch.rand(7, 1, 28, 28)).shape
    torch.Size([7, 5])
    """

    head_names = ("prototypes",)
    needs_every_class = True

    def new_head(self, meta_params: Params, support: Examples) -> Params:
        """``prototypes`` ``[ways, feature]``."""
        return {"prototypes": class_means(self.predict(meta_params, support.inputs), support.targets, self.ways)}

    def compare(self, features: Tensor, head: Params) -> Tensor:
        """``-||x - c_k||^2``, as ``2 <x, c_k> - ||c_k||^2 - ||x||^2``: one matrix product."""
        means = head["prototypes"]
        return 2 * features @ means.T - means.square().sum(1) - features.square().sum(1, keepdim=True)


class MatchingNet(MetricLearner):
    """``p(k | x) = sum over support (x_i, y_i) of softmax_i(cosine(embed(x), embed(x_i))) [y_i = k]``.

    What it predicts are the logarithms of these probabilities, so that their cross-entropy is the loss of the paper,
    the mean of ``-log p(y | x)`` over the query set. One embedding serves support and query set, without the paper's
    full context embeddings. Where the model has batch norm, the two are embedded as two batches.

    Args, raises: see :class:`headstart.learners.metric.MetricLearner`.

    Source: Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra (2016), "Matching networks for one shot learning",
    equation 1 and section 2.1.1. Its Omniglot figures are 98.1 % (5-way 1-shot) and 98.9 % (5-shot).

    >>> import headstart as hs
    >>> learner = hs.MatchingNet(hs.Conv4(ways=5))
    >>> support = hs.Examples(torch.rand(5, 1, 28, 28), torch.arange(5))
    >>> task_params = learner.adapt(learner.meta_params, support)
    >>> learner.predict(task_params, torch.rand(7, 1, 28, 28)).shape
    torch.Size([7, 5])
    """

    head_names = ("support_directions", "support_labels")

    def new_head(self, meta_params: Params, support: Examples) -> Params:
        """``support_directions`` ``[example, feature]``, of length one, and ``support_labels`` ``[example, ways]``."""
        features = self.predict(meta_params, support.inputs)
        labels = one_hot(support.targets, self.ways).to(features)
        return {"support_directions": F.normalize(features), "support_labels": labels}

    def compare(self, features: Tensor, head: Params) -> Tensor:
        """``log p(k | x)``."""
        cosines = F.normalize(features) @ head["support_directions"].T
        probabilities = cosines.softmax(1) @ head["support_labels"]
        return torch.log(probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny))  # of a class without examples

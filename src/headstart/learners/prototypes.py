"""Prototypical networks: the nearest class mean wins."""

from __future__ import annotations

from torch import Tensor

from headstart.episodes import Examples
from headstart.learners.any_ways import one_hot
from headstart.learners.metric import MetricLearner
from headstart.params import Params


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

    def new_head(self, meta_params: Params, support: Examples) -> Params:
        """``prototypes`` ``[ways, feature]``."""
        return {"prototypes": class_means(self.predict(meta_params, support.inputs), support.targets, self.ways)}

    def compare(self, features: Tensor, head: Params) -> Tensor:
        """``-||x - c_k||^2``, as ``2 <x, c_k> - ||c_k||^2 - ||x||^2``: one matrix product."""
        means = head["prototypes"]
        return 2 * features @ means.T - means.square().sum(1) - features.square().sum(1, keepdim=True)


def class_means(features: Tensor, targets: Tensor, ways: int) -> Tensor:
    """The mean of each class's features; not a number for a class without an example.

    Shapes:
        features: ``[example, feature]``; targets: ``[example]`` -> ``[ways, feature]``

    Raises:
        BadInputError: the targets are not classes.

    >>> import torch
    >>> class_means(torch.tensor([[1.0], [3.0], [7.0]]), torch.tensor([0, 0, 1]), ways=2)
    tensor([[2.],
            [7.]])
    """
    labels = one_hot(targets, ways).to(features)
    return labels.T @ features / labels.sum(0)[:, None]

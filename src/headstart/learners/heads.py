"""What learners share that make *f*'s head anew for each task, for any number of classes."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.learners.checks import are_classes, check_classes, values_are_at_hand
from headstart.learners.fitted import Fitted
from headstart.params import Params


class AnyWays(Learner, ABC):
    """A learner that makes the head of *f* from each task's support set, for as many classes as ``ways`` says.

    No meta-parameter depends on ``ways``, which may be set at any time: after ``learner.ways = 12`` a learner that was
    trained 5-way adapts to 12-way tasks. It is told and not read off the targets, because a program that ``vmap`` or a
    compiler makes may depend on their shape, but not on their values.
    """

    ways: int
    needs_every_class = False
    """Whether the head is made of an example of each class."""

    @abstractmethod
    def new_head(self, meta_params: Params, support: Examples) -> Params:
        """The part of the task's parameters that is made for this task before any inner update."""

    def check_support(self, support: Examples) -> None:
        """As for every learner, and that the classes are those of a task of ``ways``."""
        super().check_support(support)
        if are_classes(support.targets) and values_are_at_hand():
            check_classes(support.targets, self.ways, every=self.needs_every_class)

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """As for every learner, from a head that is made for the task."""
        return super().adaptation({**meta_params, **self.new_head(meta_params, support)}, support, steps, every=every)

    def fit(self, support: Examples, inner_steps: int | None = None) -> Fitted:
        """As for every learner, with a head for as many classes as the support set has."""
        super().check_support(support)
        learner = copy.copy(self)
        if are_classes(support.targets):
            learner.ways = 1 + int(support.targets.max())
        return super(AnyWays, learner).fit(support, inner_steps)


def set_to(learner: Learner, episodes: Episodes) -> Learner:
    """A learner that makes its head for the task, set to as many ways as the tasks have classes; any other as it is.

    The parameters are shared with ``learner``, which itself keeps its ways.
    """
    if not isinstance(learner, AnyWays) or not are_classes(episodes.support.targets):
        return learner
    learner = copy.copy(learner)
    learner.ways = 1 + max(int(part.targets.max()) for part in episodes)
    return learner


def one_hot(targets: Tensor, ways: int) -> Tensor:
    """A row for each target, with a one in its class's place.

    Shapes:
        targets: int64 ``[example]`` -> float ``[example, ways]``

    Raises:
        BadInputError: the targets are not classes.

    >>> one_hot(torch.tensor([2, 0]), ways=3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if not are_classes(targets):
        raise BadInputError(
            "a learner that makes its head of classes needs class targets (int64), not real numbers or several tensors."
        )
    return (targets[:, None] == torch.arange(ways, device=targets.device)).to(torch.get_default_dtype())


def class_means(features: Tensor, targets: Tensor, ways: int) -> Tensor:
    """The mean of each class's features; not a number for a class without an example.

    Shapes:
        features: ``[example, feature]``; targets: ``[example]`` -> ``[ways, feature]``

    Raises:
        BadInputError: the targets are not classes.

    >>> class_means(torch.tensor([[1.0], [3.0], [7.0]]), torch.tensor([0, 0, 1]), ways=2)
    tensor([[2.],
            [7.]])
    """
    labels = one_hot(targets, ways).to(features)
    return labels.T @ features / labels.sum(0)[:, None]


def head_of(model: nn.Module, name: str) -> nn.Module:
    """The module of ``model`` that is called so, which has a ``weight`` ``[class, feature]``.

    Raises:
        BadInputError: there is none.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules or not isinstance(getattr(modules[name], "weight", None), Tensor):
        raise BadInputError(f"the model has no module {name!r} with a weight; name its head with head=...")
    return modules[name]


def ways_of(model: nn.Module, head: str | None, ways: int | None) -> int:
    """``ways`` if they are given, otherwise as many as the head has outputs.

    Raises:
        BadInputError: ``ways`` is not positive, or there is no head to take them from.

    >>> ways_of(nn.ModuleDict({"head": nn.Linear(2, 5)}), "head", ways=None)
    5
    """
    if ways is not None and ways < 1:
        raise BadInputError(f"ways={ways} must be positive.")
    if ways is not None:
        return ways
    if head is None:
        raise BadInputError("a model without a head does not say how many classes there are; give ways=....")
    return len(head_of(model, head).get_parameter("weight"))


def with_head(model: nn.Module, name: str, head: nn.Module) -> nn.Module:
    """A copy of ``model`` that has ``head`` in the place of its module ``name``.

    Raises:
        BadInputError: the model has no such module with a weight.
    """
    head_of(model, name)
    copied = copy.deepcopy(model)
    copied.set_submodule(name, head)
    return copied


def with_one_row(model: nn.Module, name: str) -> nn.Module:
    """A copy of ``model`` whose linear head has its first output alone: what classes that come in any order can share.

    Raises:
        BadInputError: the model has no such head, or it is not linear.

    >>> [tuple(p.shape) for p in with_one_row(nn.ModuleDict({"head": nn.Linear(2, 5)}), "head").parameters()]
    [(1, 2), (1,)]
    """
    head = copy.deepcopy(head_of(model, name))
    if not isinstance(head, nn.Linear):
        raise BadInputError(f"the head {name!r} is a {type(head).__name__}; give the model an nn.Linear for a head.")
    for part, value in list(head.named_parameters()):
        head.register_parameter(part, nn.Parameter(value[:1].detach().clone(), value.requires_grad))
    head.out_features = 1
    return with_head(model, name, head)

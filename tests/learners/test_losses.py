"""Losses of more than predictions and targets: a regulariser, an auxiliary target, a mask; none needs a subclass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import headstart as hs
from methods import EXECUTIONS, largest_difference, plain_meta_gradient

Targets = Any


class Network(nn.Module):
    """Logits, and with ``aux`` a number beside them."""

    def __init__(self, aux: bool = False) -> None:
        super().__init__()
        self.body, self.head, self.aux = nn.Linear(3, 6), nn.Linear(6, 2), nn.Linear(6, 1) if aux else None

    def forward(self, inputs: Tensor) -> Any:
        features = torch.tanh(self.body(inputs))
        return (self.head(features), self.aux(features)) if self.aux else self.head(features)


class Tasks:
    """Classes of random points, with whatever ``targets_of`` makes of points and classes."""

    outputs = 2

    def __init__(self, targets_of: Callable[[Tensor, Tensor], Targets]) -> None:
        self.targets_of = targets_of

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        def examples(number: int) -> hs.Examples:
            inputs = torch.randn(count, number, 3, generator=generator, dtype=torch.float64)
            return hs.Examples(inputs, self.targets_of(inputs, (inputs.sum(-1) > 0).long()))

        return hs.Episodes(examples(6), examples(8))


def decayed(predictions: Tensor, targets: Tensor, task_params: dict[str, Tensor]) -> Tensor:
    """The regulariser: weight decay of what adapts."""
    decay = sum((value**2).sum() for name, value in task_params.items() if name.startswith("model."))
    return F.cross_entropy(predictions, targets) + 0.1 * decay


def with_auxiliary(predictions: tuple[Tensor, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """The auxiliary target: the length of the point."""
    logits, length = predictions
    return F.cross_entropy(logits, targets["class"]) + 0.5 * F.mse_loss(length, targets["length"])


def masked(predictions: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
    """The mask: the mean over the examples that there are."""
    classes, there = targets
    losses = F.cross_entropy(predictions, classes, reduction="none")
    return (losses * there).sum() / there.sum()


HITS = hs.Metric("hits", True, lambda predictions, targets: hs.ACCURACY.of(predictions[0], targets["class"]))
OF_THOSE_THERE = hs.Metric(
    "hits", True, lambda predictions, targets: ((predictions.argmax(1) == targets[0]) * targets[1]).sum() / 4
)


def some_there(_: Tensor, classes: Tensor) -> Targets:
    """Five of the examples, at different places in every task."""
    order = torch.arange(classes.shape[1]) + torch.arange(len(classes))[:, None]
    return classes, (order % classes.shape[1] < 5).double()


LOSSES: dict[str, tuple[Any, Any, bool, Any]] = {
    "regulariser": (decayed, lambda inputs, classes: classes, False, None),
    "auxiliary target": (
        with_auxiliary,
        lambda inputs, classes: {"class": classes, "length": inputs.norm(dim=-1, keepdim=True)},
        True,
        HITS,
    ),
    "mask": (masked, some_there, False, OF_THOSE_THERE),
}


def parts(name: str) -> tuple[hs.Learner, Tasks]:
    torch.manual_seed(0)
    loss, targets_of, aux, metric = LOSSES[name]
    return hs.MAML(Network(aux), inner_lr=0.3, inner_steps=2, loss=loss, metric=metric).double(), Tasks(targets_of)


@pytest.mark.parametrize("name", LOSSES)
def test_every_execution_gives_the_meta_gradient_of_a_plain_loop(name: str, only_traced: None) -> None:
    learner, tasks = parts(name)
    model, loss = learner.model, LOSSES[name][0]
    episodes = tasks.sample(3, torch.Generator().manual_seed(0))

    def loss_of(weights: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        predictions = functional_call(model, weights, (examples.inputs,))
        more = [{f"model.{name}": value for name, value in weights.items()}] if loss is decayed else []
        value: Tensor = loss(predictions, examples.targets, *more)
        return value

    expected = plain_meta_gradient(model, episodes, loss_of, inner_lr=0.3, inner_steps=2)
    for settings in (*EXECUTIONS.values(), {"compile": "whole"}, {"compile": "updates"}):
        found, _ = hs.MetaGradient(learner, **settings)(learner.meta_params, episodes)
        assert largest_difference(found, expected) < 1e-12, settings


@pytest.mark.parametrize("transductive", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_the_metric_is_evaluated_and_trained_by(name: str, transductive: bool) -> None:
    learner, tasks = parts(name)
    hs.train(learner, tasks, meta_steps=2, meta_batch=2, validation=hs.Validation(tasks, every=1, count=2))
    result = hs.evaluate(learner, tasks, count=3, transductive=transductive)
    assert result.metric.name == ("accuracy" if name == "regulariser" else "hits")
    assert result.scores.isfinite().all() and result.diverged == 0
    looped = hs.evaluate(learner, tasks, count=3, transductive=transductive, execution="loop")
    assert result.scores.equal(looped.scores)


def test_tasks_that_are_padded_and_masked_have_the_meta_gradient_of_unequal_ones() -> None:
    learner, tasks = parts("mask")
    episodes = tasks.sample(3, torch.Generator().manual_seed(0))
    found, _ = learner.meta_gradient(learner.meta_params, episodes)
    plain = hs.MAML(learner.model, inner_lr=0.3, inner_steps=2)

    def those_there(examples: hs.Examples) -> hs.Examples:
        classes, there = examples.targets
        return hs.Examples(examples.inputs[there > 0], classes[there > 0])

    each = [
        plain.task_gradient(plain.meta_params, hs.Episodes(*map(those_there, episodes.task(task))))[0]
        for task in range(3)
    ]
    assert largest_difference(found, {name: sum(one[name] for one in each) / 3 for name in found}) < 1e-12


@pytest.mark.parametrize("form", ["function", "partial", "module", "decorated", "by name"])
def test_whatever_has_the_argument_is_handed_the_parameters(form: str) -> None:
    class Decayed(nn.Module):
        def forward(self, predictions: Tensor, targets: Tensor, task_params: dict[str, Tensor]) -> Tensor:
            return decayed(predictions, targets, task_params)

    @functools.wraps(decayed)
    def decorated(*arguments: Any, **named: Any) -> Tensor:
        return decayed(*arguments, **named)

    def by_name(predictions: Tensor, targets: Tensor, *, task_params: dict[str, Tensor]) -> Tensor:
        return decayed(predictions, targets, task_params)

    losses = {
        "decorated": decorated,
        "by name": by_name,
        "function": decayed,
        "partial": functools.partial(decayed),
        "module": Decayed(),
    }
    learner = hs.MAML(Network(), loss=losses[form])
    examples = hs.Examples(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
    predictions = learner.predict(learner.meta_params, examples.inputs)
    loss, _ = learner.loss_and_predictions(learner.meta_params, examples)
    assert loss == decayed(predictions, examples.targets, learner.meta_params)


def test_a_regulariser_of_a_regression_asks_for_a_metric() -> None:
    def loss(predictions: Tensor, targets: Tensor, task_params: dict[str, Tensor]) -> Tensor:
        return F.mse_loss(predictions, targets) + task_params["model.head.bias"].square().sum()

    tasks = hs.SinusoidTasks(shots=3, queries=3)
    with pytest.raises(hs.BadInputError, match=r"give the learner metric=hs\.Metric"):
        hs.evaluate(hs.MAML(hs.MLP(), loss=loss), tasks, count=2)
    assert hs.evaluate(hs.MAML(hs.MLP(), loss=loss, metric=hs.MSE), tasks, count=2).metric is hs.MSE


def test_several_targets_without_a_loss_of_their_own_are_refused() -> None:
    examples = hs.Examples(torch.randn(4, 3), (torch.tensor([0, 1, 0, 1]), torch.ones(4)))
    learner = hs.MAML(Network())
    with pytest.raises(hs.BadInputError, match="need a loss that takes it"):
        learner.adapt(learner.meta_params, examples)
    with pytest.raises(hs.BadInputError, match="class targets"):
        prototypes = hs.ProtoNet(Network())
        prototypes.adapt(prototypes.meta_params, examples)

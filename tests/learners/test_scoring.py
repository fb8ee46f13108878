"""What is reported of a learner, and chosen by: its metric, which is its loss where nothing else is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from headstart.engine.settings import settings_of
from headstart.learners.base import Learner


class Signs:
    """Regression targets of 0 and 1: the sign of the input, with examples of both."""

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        def examples() -> hs.Examples:
            inputs = torch.rand(count, 8, 1, generator=generator) * torch.tensor([1.0, -1.0]).repeat(4)[:, None]
            return hs.Examples(inputs, (inputs > 0).float())

        return hs.Episodes(examples(), examples())


def slope(value: float, **settings: Any) -> hs.MAML:
    """A learner whose model is a line through zero."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return hs.MAML(model, inner_lr=1e-6, loss=F.binary_cross_entropy_with_logits, **settings)


def is_positive_right(predictions: Tensor, targets: Tensor) -> Tensor:
    return ((predictions > 0) == (targets > 0.5)).float().mean()


HITS = hs.Metric("hits", higher_is_better=True, of=is_positive_right, is_fraction=True)


def test_logits_are_judged_by_their_loss_and_not_by_a_squared_error() -> None:
    """Slope 100 predicts every sign with certainty, slope 0 knows nothing; their squared errors are 3,000 and 0.25."""
    good, useless = (hs.evaluate(slope(value), Signs(), count=10) for value in (100.0, 0.0))
    assert good.metric.name == useless.metric.name == "loss"
    assert good.value < 0.1 and useless.value == pytest.approx(0.6931, abs=1e-3)


def test_training_keeps_the_best_by_the_loss(tmp_path: Any) -> None:
    """Trained from slope 0 the loss falls at every validation; the squared error would rise."""
    learner = slope(0.0)
    state = hs.train(
        learner,
        Signs(),
        meta_steps=8,
        meta_batch=4,
        optimizer=lambda params: torch.optim.SGD(params, lr=50.0),
        validation=hs.Validation(Signs(), every=2, count=10),
    )
    assert state.best_step == 8 and state.best is not None and state.best < 0.3
    assert learner.meta_params["model.weight"].item() > 5


def test_a_metric_that_is_stated_is_what_is_logged_chosen_by_and_reported() -> None:
    learner = slope(-1.0, metric=HITS)
    state = hs.train(
        learner,
        Signs(),
        meta_steps=4,
        meta_batch=4,
        optimizer=lambda params: torch.optim.SGD(params, lr=10.0),
        validation=hs.Validation(Signs(), every=1, count=10),
    )
    steps = [record for record in state.log if "loss" in record]
    validations = [record for record in state.log if "validation_hits" in record]
    assert len(steps) == len(validations) == 4 and all(record.keys() >= {"hits", "loss"} for record in steps)
    assert state.best == max(record["validation_hits"] for record in validations) == 1.0
    result = hs.evaluate(learner, Signs(), count=10)
    assert result.metric == HITS and result.record()["hits"] == 1.0 and str(result).startswith("hits 100.00 % ± 0.00 (")


@pytest.mark.parametrize("execution", ["loop", "vmap", "chunks"])
def test_a_meta_step_reports_it_in_every_form(execution: Any) -> None:
    learner = slope(0.3, metric=HITS)
    episodes = Signs().sample(5, torch.Generator().manual_seed(0))
    _, expected = learner.meta_gradient(learner.meta_params, episodes)
    _, metrics = hs.MetaGradient(learner, execution)(learner.meta_params, episodes)
    assert metrics.keys() == {"loss", "hits"} and expected["hits"] == 1.0
    assert {name: value.item() for name, value in metrics.items()} == pytest.approx(
        {name: value.item() for name, value in expected.items()}
    )


@pytest.mark.parametrize(
    ("loss", "targets", "name"),
    [
        (None, torch.zeros(3, dtype=torch.int64), "accuracy"),
        (F.cross_entropy, torch.zeros(3, dtype=torch.int64), "accuracy"),
        (None, torch.zeros(3, 1), "mse"),
        (F.mse_loss, torch.zeros(3, 1), "mse"),
        (F.l1_loss, torch.zeros(3, 1), "loss"),
        (F.binary_cross_entropy_with_logits, torch.zeros(3, 1), "loss"),
    ],
)
def test_the_metric_of_a_loss(loss: Any, targets: Tensor, name: str) -> None:
    learner = hs.MAML(nn.Linear(1, 1), **({"loss": loss} if loss else {}))
    metric = learner.metric_for(targets)
    assert (metric.name, metric.higher_is_better) == (name, name == "accuracy")
    if name == "loss":
        assert metric.of is loss


def conv(ways: int = 3) -> nn.Module:
    return hs.Conv4(ways, width=4, image_size=8)


STATING: dict[str, Callable[[hs.Metric], Learner]] = {
    "MAML": lambda metric: hs.MAML(conv(), metric=metric),
    "ANIL": lambda metric: hs.ANIL(conv(), metric=metric),
    "Reptile": lambda metric: hs.Reptile(conv(), metric=metric),
    "Pretraining": lambda metric: hs.Pretraining(conv(), metric=metric),
    "ClassifierPretraining": lambda metric: hs.ClassifierPretraining(conv(), ways=3, metric=metric),
    "ImplicitMAML": lambda metric: hs.ImplicitMAML(conv(), metric=metric),
    "LearningToOptimize": lambda metric: hs.LearningToOptimize(conv(), metric=metric),
    "MAMLPlusPlus": lambda metric: hs.MAMLPlusPlus(conv(), metric=metric),
    "StructureSearch": lambda metric: hs.StructureSearch(
        hs.SearchableConv4(3, (("conv3", "skip"),), width=4, image_size=8), metric=metric
    ),
    "CAVIA": lambda metric: hs.CAVIA(hs.MLP(inputs=6), metric=metric),
    "ProtoMAML": lambda metric: hs.ProtoMAML(conv(), metric=metric),
    "UnicornMAML": lambda metric: hs.UnicornMAML(conv(), metric=metric),
    "ProtoNet": lambda metric: hs.ProtoNet(conv(), metric=metric),
    "MatchingNet": lambda metric: hs.MatchingNet(conv(), metric=metric),
}


@pytest.mark.parametrize("name", STATING)
def test_every_learner_can_state_one(name: str) -> None:
    learner = STATING[name](HITS)
    assert learner.metric_for(torch.zeros(2, dtype=torch.int64)) is HITS
    assert settings_of(learner) != settings_of(STATING[name](None)), "a program of another metric is not this learner's"


def test_no_learner_was_forgotten() -> None:
    public = {name: getattr(hs, name) for name in dir(hs)}
    learners = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, Learner)}
    assert learners - {"Learner"} <= {*STATING}

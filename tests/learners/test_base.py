"""What every learner owes its user."""

from __future__ import annotations

import ast
import inspect
import logging

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.learners import base
from methods import LEARNERS, WithNativeBatchNorm, built, image_episodes, largest_difference


def test_the_contract_of_a_learner_knows_no_model() -> None:
    imports = (node for node in ast.walk(ast.parse(inspect.getsource(base))) if isinstance(node, ast.ImportFrom))
    models = {node.module for node in imports if node.module and node.module.startswith("headstart.models")}
    assert models == {"headstart.models.normalization"}


def test_native_normalization_is_replaced_on_a_copy_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = WithNativeBatchNorm()
    with caplog.at_level(logging.INFO, logger="headstart"):
        learner = hs.MAML(model)
    assert "body.1" in caplog.text
    assert type(model.body[1]) is nn.BatchNorm2d
    assert type(learner.model.body[1]) is not nn.BatchNorm2d  # type: ignore[union-attr,index]
    assert [f"model.{name}" for name, _ in model.named_parameters()] == list(learner.meta_params)


@pytest.mark.parametrize("learner", LEARNERS)
def test_adapting_is_pure(learner: str) -> None:
    subject = built(learner, "user")
    before = {name: value.clone() for name, value in subject.state_dict().items()}
    support = image_episodes().task(0).support
    first, second = (subject.adapt(subject.meta_params, support) for _ in range(2))
    assert largest_difference(first, second) == 0
    assert largest_difference(dict(subject.state_dict()), before) == 0


@pytest.mark.parametrize("learner", LEARNERS)
def test_frozen_parameters_do_not_adapt(learner: str) -> None:
    subject = built(learner, "user")
    start, *_, end = subject.adaptation(subject.meta_params, image_episodes().task(0).support, steps=2)
    (frozen,) = (name for name in end if name.endswith(".scale"))
    assert end[frozen].equal(subject.meta_params[frozen])
    moved = {name for name in end if not end[name].equal(start[name])}
    assert moved <= subject.adapted_names
    assert bool(moved) == bool(subject.adapted_names)  # of metric learners none adapts


def test_a_model_with_dropout_trains() -> None:
    torch.manual_seed(0)
    learner = hs.MAML(nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.Linear(16, 3)))
    tasks = [image_episodes(seed=seed) for seed in range(2)]
    for episodes in tasks:
        support, query = (hs.Examples(part.inputs.float(), part.targets) for part in episodes)
        gradient, _ = learner.meta_gradient(learner.meta_params, hs.Episodes(support, query))
        assert all(value.isfinite().all() for value in gradient.values())


def test_the_meta_parameters_are_not_the_only_ones_it_can_run_with() -> None:
    """Every method is a function of the parameters that it is given, not of those that it holds."""
    subject = built("MAML", "MLP-none")
    moved = {name: value + 0.1 for name, value in subject.meta_params.items()}
    other = built("MAML", "MLP-none")
    other.load_state_dict(moved)
    left, _ = subject.meta_gradient(moved, image_episodes())
    right, _ = other.meta_gradient(other.meta_params, image_episodes())
    assert largest_difference(left, right) == 0

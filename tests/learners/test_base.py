"""What every learner owes its user."""

from __future__ import annotations

import ast
import gc
import inspect
import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


def with_frozen_norm() -> WithNativeBatchNorm:
    """A body that was trained elsewhere, in evaluation mode."""
    torch.manual_seed(0)
    model = WithNativeBatchNorm().eval()
    nn.init.normal_(model.body[1].running_mean)
    nn.init.uniform_(model.body[1].running_var, 0.2, 2.0)
    return model


def test_the_log_says_whose_statistics_a_norm_takes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="headstart"):
        hs.MAML(nn.Sequential(nn.BatchNorm2d(1), with_frozen_norm()))
    assert "by the statistics of the batch at hand: 0" in caplog.messages[0]
    assert "by its running statistics, which stay as they are: 1.body.1" in caplog.messages[1]


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_frozen_norm_keeps_its_statistics_whatever_the_batch(learner: str) -> None:
    model, episodes = with_frozen_norm(), image_episodes(tasks=2)
    subject = LEARNERS[learner](model).double()
    before = {name: value.clone() for name, value in subject.named_buffers()}
    mean = next(value for name, value in before.items() if name.endswith("body.1.running_mean"))
    assert mean.equal(model.body[1].running_mean.double())
    gradient, _ = subject.meta_gradient(subject.meta_params, episodes)
    assert all(value.isfinite().all() for value in gradient.values())
    task_params = subject.adapt(subject.meta_params, episodes.task(0).support)
    inputs = episodes.task(0).query.inputs
    alone, together = subject.predict(task_params, inputs[:2]), subject.predict(task_params, inputs)[:2]
    assert (alone - together).abs().max() < 1e-12
    assert largest_difference(dict(subject.named_buffers()), before) == 0


@pytest.mark.parametrize("order", [1, 2])
def test_a_frozen_norm_adapts_and_has_the_meta_gradient_of_a_plain_loop(order: int) -> None:
    """Of the native layer, whose own double backward is right outside of ``torch.func``."""
    model, episode = with_frozen_norm().double(), image_episodes().task(0)
    learner = hs.MAML(model, inner_lr=0.3, inner_steps=2, order=order)
    start = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters() if p.requires_grad}

    def loss_of(weights: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, weights, (examples.inputs,)), examples.targets)

    point = dict(start)
    for _ in range(2):
        used = [name for name in point if name != "unused"]
        slopes = torch.autograd.grad(
            loss_of(point, episode.support), [point[n] for n in used], create_graph=order == 2, retain_graph=True
        )
        point |= {name: point[name] - 0.3 * slope for name, slope in zip(used, slopes, strict=True)}
    expected = torch.autograd.grad(
        loss_of(point, episode.query), list(start.values()), allow_unused=True, materialize_grads=True
    )
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    named = {f"model.{name}": value for name, value in zip(start, expected, strict=True)}
    assert largest_difference(found, named) < 1e-10
    assert all(found[f"model.body.1.{name}"].abs().max() > 1e-4 for name in ("weight", "bias"))


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


@pytest.mark.parametrize("learner", [name for name in LEARNERS if not name.startswith(("Reptile", "ImplicitMAML"))])
def test_the_meta_gradient_is_that_of_the_mean_task_loss_by_backward(learner: str) -> None:
    subject, episodes = built(learner, "user"), image_episodes(tasks=3)
    torch.vmap(subject.task_loss, in_dims=(None, 0))(subject.meta_params, episodes).mean().backward()
    expected, _ = subject.meta_gradient(subject.meta_params, episodes)
    updated = {name: p for name, p in subject.named_parameters() if name in subject.updated_names}
    found = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in updated.items()}
    assert largest_difference(found, {name: expected[name] for name in updated}) < 1e-10
    assert max(value.abs().max() for value in found.values()) > 1e-3


def test_nothing_that_is_kept_of_a_training_or_an_evaluation_has_a_graph(tmp_path: Path) -> None:
    def with_graph() -> dict[int, Tensor]:
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]
        return {id(tensor): tensor for tensor in tensors if tensor.grad_fn is not None}

    of_others = with_graph()
    learner, tasks = hs.MAML(hs.MLP(), inner_lr=0.01), hs.SinusoidTasks(shots=5, queries=5)
    validation, run = hs.Validation(tasks, every=1, count=2), hs.RunFolder(tmp_path / "run", {})
    state = hs.train(learner, tasks, meta_steps=2, meta_batch=2, validation=validation, run=run, checkpoint_every=1)
    result = hs.evaluate(learner, tasks, count=2)
    gradient, metrics = hs.MetaGradient(learner)(learner.meta_params, tasks.sample(2, torch.Generator()))
    kept = (learner, state, result, gradient, metrics)
    assert all(kept) and with_graph().keys() <= of_others.keys()


def test_the_meta_parameters_are_not_the_only_ones_it_can_run_with() -> None:
    """Every method is a function of the parameters that it is given, not of those that it holds."""
    subject = built("MAML", "MLP-none")
    moved = {name: value + 0.1 for name, value in subject.meta_params.items()}
    other = built("MAML", "MLP-none")
    other.load_state_dict(moved)
    left, _ = subject.meta_gradient(moved, image_episodes())
    right, _ = other.meta_gradient(other.meta_params, image_episodes())
    assert largest_difference(left, right) == 0

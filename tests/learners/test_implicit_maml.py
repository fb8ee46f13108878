"""The implicit meta-gradient against a dense solve and a closed form, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from headstart.randomness import derive_generator
from methods import WithNativeBatchNorm, image_episodes, largest_difference

PROXIMITY, INNER_LR = 2.0, 0.1


def implicit(**settings: Any) -> hs.ImplicitMAML:
    torch.manual_seed(0)
    model = hs.MLP(64, 3, (2,), activation=torch.tanh)
    settings = {"inner_lr": INNER_LR, "inner_steps": 4, "proximity": PROXIMITY, "cg_steps": 160, **settings}
    return hs.ImplicitMAML(model, **settings).double()


def losses(learner: hs.Learner, episode: hs.Episodes):  # type: ignore[no-untyped-def]
    """Support and query loss as functions of one flat vector, and that vector."""
    names, values = zip(*((name, value.detach()) for name, value in learner.model.named_parameters()), strict=True)

    def loss_of(vector: Tensor, examples: hs.Examples) -> Tensor:
        parts = vector.split([value.numel() for value in values])
        params = {name: part.view_as(value) for name, part, value in zip(names, parts, values, strict=True)}
        return F.cross_entropy(torch.func.functional_call(learner.model, params, (examples.inputs,)), examples.targets)

    start = torch.cat([value.flatten() for value in values])
    return (lambda vector: loss_of(vector, episode.support)), (lambda vector: loss_of(vector, episode.query)), start


def descent(support_loss: Any, start: Tensor, steps: int) -> Tensor:
    """Plain gradient descent on the proximal problem."""
    theta = start
    for _ in range(steps):
        slope = torch.autograd.functional.jacobian(support_loss, theta)
        theta = theta - INNER_LR * (slope + PROXIMITY * (theta - start))
    return theta


@pytest.mark.parametrize("damping", [0.0, 3.0])
@pytest.mark.parametrize("inner_steps", [1, 4])
def test_equals_a_dense_solve_with_the_explicit_hessian(inner_steps: int, damping: float) -> None:
    learner = implicit(inner_steps=inner_steps, damping=damping)
    episode = image_episodes().task(0)
    support_loss, query_loss, start = losses(learner, episode)
    theta = descent(support_loss, start, inner_steps)
    hessian = torch.autograd.functional.hessian(support_loss, theta)
    slope = torch.autograd.functional.jacobian(query_loss, theta)
    expected = torch.linalg.solve(torch.eye(len(theta), dtype=theta.dtype) + hessian / (PROXIMITY + damping), slope)
    gradient, loss, _ = learner.task_gradient(learner.meta_params, episode)
    found = torch.cat([value.flatten() for value in gradient.values()])
    assert (found - expected).abs().max() < 1e-10
    assert (expected - slope).abs().max() > 1e-3  # the Hessian matters
    assert abs(loss - query_loss(theta)) < 1e-12


def test_is_the_derivative_of_the_solution_where_it_is_solved() -> None:
    """Central differences of the query loss at the minimum of the proximal problem, found by 200 steps."""
    learner = implicit(inner_steps=200)
    episode = image_episodes().task(0)
    gradient, _, _ = learner.task_gradient(learner.meta_params, episode)
    torch.manual_seed(1)
    direction = {name: torch.randn_like(value) for name, value in gradient.items()}

    def moved_loss(distance: float) -> Tensor:
        moved = {name: value + distance * direction[name] for name, value in learner.meta_params.items()}
        return learner.task_loss(moved, episode)

    h = 1e-4
    slope = (8 * (moved_loss(h) - moved_loss(-h)) - (moved_loss(2 * h) - moved_loss(-2 * h))) / (12 * h)
    assert abs(slope - sum((gradient[name] * direction[name]).sum() for name in gradient)) < 1e-8


def test_equals_the_closed_form_of_a_quadratic() -> None:
    """``theta = (A + p)^-1 (b + p phi)``, so that ``d theta / d phi = p (A + p)^-1``, for linear regression."""
    torch.manual_seed(0)
    inputs, targets = torch.randn(2, 12, 4, dtype=torch.float64), torch.randn(2, 12, 1, dtype=torch.float64)
    support, query = (hs.Examples(inputs[part], targets[part]) for part in range(2))
    learner = hs.ImplicitMAML(
        nn.Linear(4, 1, bias=False), inner_lr=0.1, inner_steps=400, proximity=0.5, cg_steps=4
    ).double()
    phi = learner.meta_params["model.weight"].T
    curvature = 2 / 12 * support.inputs.T @ support.inputs + 0.5 * torch.eye(4, dtype=torch.float64)
    theta = torch.linalg.solve(curvature, 2 / 12 * support.inputs.T @ support.targets + 0.5 * phi)
    slope = 2 / 12 * query.inputs.T @ (query.inputs @ theta - query.targets)
    gradient, _, _ = learner.task_gradient(learner.meta_params, hs.Episodes(support, query))
    assert (learner.adapt(learner.meta_params, support)["model.weight"].T - theta).abs().max() < 1e-10
    assert (gradient["model.weight"].T - 0.5 * torch.linalg.solve(curvature, slope)).abs().max() < 1e-10


def test_a_strong_hold_is_first_order_maml_without_steps() -> None:
    episodes = image_episodes()
    held = implicit(proximity=1e9, inner_lr=1e-10)
    joint = hs.Pretraining(held.model).double()
    expected, _ = joint.meta_gradient(joint.meta_params, episodes)
    assert largest_difference(held.meta_gradient(held.meta_params, episodes)[0], expected) < 1e-8


def test_it_is_evaluated_with_the_proximal_problem_too() -> None:
    torch.manual_seed(0)
    learner = hs.ImplicitMAML(hs.MLP(1, 1, (8,), activation=torch.tanh), inner_lr=INNER_LR, proximity=PROXIMITY)
    tasks = hs.SinusoidTasks(shots=5, queries=5)
    result = hs.evaluate(learner, tasks, count=3, inner_steps=4)
    errors = []
    for index in range(3):
        support, query = tasks.sample(1, derive_generator(0, "test", index)).task(0)
        start = [parameter.detach().clone() for parameter in learner.model.parameters()]
        model = hs.MLP(1, 1, (8,), activation=torch.tanh)
        model.load_state_dict(learner.model.state_dict())
        row = [F.mse_loss(model(query.inputs), query.targets).item()]
        optimizer = torch.optim.SGD(model.parameters(), lr=INNER_LR)
        for _ in range(4):
            optimizer.zero_grad()
            away = sum((now - then).square().sum() for now, then in zip(model.parameters(), start, strict=True))
            (F.mse_loss(model(support.inputs), support.targets) + PROXIMITY / 2 * away).backward()
            optimizer.step()
            row.append(F.mse_loss(model(query.inputs), query.targets).item())
        errors.append(row)
    assert result.by_inner_step == pytest.approx(torch.tensor(errors).mean(0).tolist(), rel=1e-4)


def test_what_is_frozen_gets_no_gradient_and_what_is_unused_zeros() -> None:
    torch.manual_seed(0)
    learner = hs.ImplicitMAML(WithNativeBatchNorm()).double()
    gradient, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    assert "model.scale" not in gradient and gradient["model.unused"].eq(0).all()
    assert gradient["model.body.0.weight"].ne(0).any()


@pytest.mark.parametrize(
    "settings",
    [
        {"inner_steps": 0},
        {"proximity": 0.0},
        {"proximity": -1.0},
        {"proximity": float("nan")},
        {"cg_steps": 0},
        {"damping": -1.0},
    ],
)
def test_bad_arguments_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(hs.BadInputError, match=f"{next(iter(settings))}="):
        implicit(**settings)

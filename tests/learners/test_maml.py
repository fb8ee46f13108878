"""The exact and the first-order meta-gradient against three independent oracles, in float64 on smooth nets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import WithNativeBatchNorm, image_episodes, largest_difference

INNER_LR = 0.3
TOLERANCE = 1e-8


def smooth_net(norm: str = "batch") -> nn.Module:
    torch.manual_seed(0)
    return hs.Conv4(3, width=3, image_size=8, norm=norm, features="mean", activation=torch.tanh).double()


def maml(inner_steps: int, order: int, norm: str = "batch") -> hs.MAML:
    return hs.MAML(smooth_net(norm), inner_lr=INNER_LR, inner_steps=inner_steps, order=order).double()


def loss_of(model: nn.Module, values: list[Tensor], examples: hs.Examples) -> Tensor:
    names = [name for name, _ in model.named_parameters()]
    logits = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (examples.inputs,))
    return F.cross_entropy(logits, examples.targets)


def plain_loop(model: nn.Module, episode: hs.Episodes, inner_steps: int, order: int) -> list[Tensor]:
    """The textbook: ``torch.autograd.grad`` with ``create_graph``, one task, no ``torch.func``."""
    meta_params = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
    task_params = meta_params
    for _ in range(inner_steps):
        loss = loss_of(model, task_params, episode.support)
        gradient = torch.autograd.grad(loss, task_params, create_graph=order == 2)
        task_params = [value - INNER_LR * slope for value, slope in zip(task_params, gradient, strict=True)]
    return list(torch.autograd.grad(loss_of(model, task_params, episode.query), meta_params))


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "none"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inner_steps", [1, 2, 5])
def test_equals_a_plain_autograd_loop(inner_steps: int, order: int, norm: str) -> None:
    learner = maml(inner_steps, order, norm)
    episodes = image_episodes(tasks=3)
    gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
    per_task = [plain_loop(learner.model, episodes.task(task), inner_steps, order) for task in range(3)]
    mean = [torch.stack(values).mean(0) for values in zip(*per_task, strict=True)]
    assert largest_difference(gradient, dict(zip(gradient, mean, strict=True))) < TOLERANCE


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("part", ["head", "body", "weights"])
def test_a_part_that_adapts_alone_equals_a_plain_loop(part: str, order: int) -> None:
    """ANIL, BOIL, all but norms: all is trained, the part alone moves; in first order its gradient is a constant."""
    learner = hs.MAML(smooth_net(), inner_lr=INNER_LR, inner_steps=2, order=order, adapt=part).double()  # type: ignore[arg-type]
    episode = image_episodes().task(0)
    leaves = [parameter.detach().clone().requires_grad_() for parameter in learner.model.parameters()]
    names = [name for name, _ in learner.model.named_parameters()]
    moves = [
        ".norm." not in name if part == "weights" else name.startswith("head.") == (part == "head") for name in names
    ]
    values = list(leaves)
    for _ in range(2):
        slopes = torch.autograd.grad(loss_of(learner.model, values, episode.support), values, create_graph=order == 2)
        values = [
            value - INNER_LR * slope if moved else value
            for value, slope, moved in zip(values, slopes, moves, strict=True)
        ]
    expected = torch.autograd.grad(loss_of(learner.model, values, episode.query), leaves)
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    assert largest_difference(found, dict(zip(found, expected, strict=True))) < TOLERANCE
    assert any(moves) and not all(moves)


@pytest.mark.parametrize("order", [1, 2])
def test_a_users_module_equals_a_plain_loop_over_the_module_as_it_was(order: int) -> None:
    """Its native batch norm, whose double backward is right outside of ``torch.func``, against ours."""
    torch.manual_seed(0)
    model = WithNativeBatchNorm().double()
    learner = hs.MAML(model, inner_lr=INNER_LR, inner_steps=2, order=order)
    episode = image_episodes().task(0)
    trained = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters() if p.requires_grad}
    frozen_or_buffer = {name: v for name, v in model.state_dict().items() if name not in trained}
    task_params = trained
    for _ in range(2):
        logits = torch.func.functional_call(model, {**task_params, **frozen_or_buffer}, (episode.support.inputs,))
        loss = F.cross_entropy(logits, episode.support.targets)
        gradient = torch.autograd.grad(
            loss, list(task_params.values()), create_graph=order == 2, allow_unused=True, materialize_grads=True
        )
        task_params = {
            name: value - INNER_LR * slope for (name, value), slope in zip(task_params.items(), gradient, strict=True)
        }
    logits = torch.func.functional_call(model, {**task_params, **frozen_or_buffer}, (episode.query.inputs,))
    loss = F.cross_entropy(logits, episode.query.targets)
    expected = torch.autograd.grad(loss, list(trained.values()), allow_unused=True, materialize_grads=True)
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    named = {f"model.{name}": value for name, value in zip(trained, expected, strict=True)}
    assert largest_difference(found, named) < TOLERANCE


def flat_losses(learner: hs.MAML, episode: hs.Episodes):  # type: ignore[no-untyped-def]
    """Support and query loss as functions of one flat vector, and that vector."""
    shapes = [parameter.shape for parameter in learner.model.parameters()]
    sizes = [shape.numel() for shape in shapes]

    def unflatten(vector: Tensor) -> list[Tensor]:
        return [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]

    start = torch.cat([parameter.detach().flatten() for parameter in learner.model.parameters()])
    return (
        lambda vector: loss_of(learner.model, unflatten(vector), episode.support),
        lambda vector: loss_of(learner.model, unflatten(vector), episode.query),
        start,
    )


@pytest.mark.parametrize("inner_steps", [1, 2, 5])
def test_exact_is_the_product_of_explicit_hessians(inner_steps: int) -> None:
    """``(I - lr H_0) (I - lr H_1) ... grad query_loss(theta_hat)`` with every Hessian formed as a matrix."""
    learner = maml(inner_steps, order=2)
    episode = image_episodes().task(0)
    support_loss, query_loss, theta = flat_losses(learner, episode)
    factors = []
    for _ in range(inner_steps):
        hessian = torch.autograd.functional.hessian(support_loss, theta)
        factors.append(torch.eye(len(theta), dtype=torch.float64) - INNER_LR * hessian)
        theta = theta - INNER_LR * torch.autograd.functional.jacobian(support_loss, theta)
    expected = torch.autograd.functional.jacobian(query_loss, theta)
    for factor in reversed(factors):
        expected = factor @ expected
    gradient, _, _ = learner.task_gradient(learner.meta_params, episode)
    found = torch.cat([value.flatten() for value in gradient.values()])
    assert (found - expected).abs().max() < TOLERANCE
    assert (found - torch.autograd.functional.jacobian(query_loss, theta)).abs().max() > 1e-4  # the Hessians matter


@pytest.mark.parametrize("inner_steps", [1, 2, 5])
def test_first_order_is_the_query_gradient_at_the_adapted_parameters(inner_steps: int) -> None:
    learner = maml(inner_steps, order=1)
    episode = image_episodes().task(0)
    task_params = [value.requires_grad_() for value in learner.adapt(learner.meta_params, episode.support).values()]
    expected = torch.autograd.grad(loss_of(learner.model, task_params, episode.query), task_params)
    gradient, _, _ = learner.task_gradient(learner.meta_params, episode)
    assert largest_difference(gradient, dict(zip(gradient, expected, strict=True))) < TOLERANCE


@pytest.mark.parametrize("inner_steps", [1, 2, 5])
def test_exact_equals_central_finite_differences(inner_steps: int) -> None:
    """Fourth-order central differences along random directions of the whole meta-loss."""
    learner = maml(inner_steps, order=2)
    episodes = image_episodes(tasks=2)
    gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        direction = {
            name: torch.randn(value.shape, generator=generator, dtype=torch.float64) for name, value in gradient.items()
        }
        norm = torch.sqrt(sum(value.square().sum() for value in direction.values()))

        def meta_loss(distance: float, direction: dict[str, Tensor] = direction, norm: Tensor = norm) -> Tensor:
            moved = {name: value + distance * direction[name] / norm for name, value in learner.meta_params.items()}
            return torch.stack([learner.task_loss(moved, episodes.task(task)) for task in range(2)]).mean()

        h = 2e-4
        slope = (8 * (meta_loss(h) - meta_loss(-h)) - (meta_loss(2 * h) - meta_loss(-2 * h))) / (12 * h)
        expected = sum((gradient[name] * direction[name]).sum() for name in gradient) / norm
        assert abs(slope - expected) < TOLERANCE


def test_exact_and_first_order_differ() -> None:
    episodes = image_episodes()
    exact, first = (maml(1, order).meta_gradient(maml(1, order).meta_params, episodes)[0] for order in (2, 1))
    assert largest_difference(exact, first) > 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"order": 3}, {"order": 0}, {"inner_steps": -1}, {"inner_steps": 1.5}, {"inner_lr": 0.0},
        {"inner_lr": float("inf")}, {"inner_lr": float("nan")},
    ],
)  # fmt: skip
def test_bad_arguments_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(hs.BadInputError, match=f"{next(iter(settings))}="):
        hs.MAML(nn.Linear(2, 2), **settings)  # type: ignore[arg-type]


def test_a_rule_that_has_a_rate_already_is_refused() -> None:
    with pytest.raises(hs.BadInputError, match=r"inner_rule is a SGD; give what makes one of an inner_lr, .* hs\.SGD"):
        hs.MAML(nn.Linear(2, 2), inner_rule=hs.SGD(0.1))  # type: ignore[arg-type]

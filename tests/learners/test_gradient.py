"""The gradient of a loss is the same within transforms and outside of them, and has a graph only where it is wanted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import headstart as hs
from headstart.learners.gradient import gradient_of
from methods import WAYS, built, image_episodes, largest_difference

Params = dict[str, Tensor]
WEIGHT = torch.tensor([0.3, -0.7], dtype=torch.float64)
FACTORS = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)


def cubed_sine(params: Params, factor: Tensor) -> tuple[Tensor, Tensor]:
    return (factor * params["w"].sin() ** 3).sum(), factor * params["w"]


def slope(factor: Tensor, differentiable: bool = False) -> tuple[Params, Tensor, Tensor]:
    params = {"w": WEIGHT, "unused": torch.ones(1, dtype=torch.float64)}
    return gradient_of(cubed_sine, params, factor, differentiable=differentiable)


def test_the_gradient_the_value_and_what_is_beside_it() -> None:
    one_by_one = [slope(factor) for factor in FACTORS]
    gradients, values, besides = vmap(slope)(FACTORS)
    for task, (gradient, value, beside) in enumerate(one_by_one):
        expected = 3 * FACTORS[task] * WEIGHT.sin() ** 2 * WEIGHT.cos()
        for found in (gradient["w"], gradients["w"][task]):
            assert torch.allclose(found, expected, rtol=0, atol=1e-15)
        assert not gradient["unused"].any() and not gradients["unused"].any()
        assert value == values[task] == cubed_sine({"w": WEIGHT}, FACTORS[task])[0]
        assert torch.equal(beside, FACTORS[task] * WEIGHT) and torch.equal(besides[task], beside)


def test_it_is_a_constant_unless_it_is_to_be_differentiated() -> None:
    def size(factor: Tensor, differentiable: bool) -> Tensor:
        return slope(factor, differentiable)[0]["w"].sum()

    expected = (3 * WEIGHT.sin() ** 2 * WEIGHT.cos()).sum()
    assert grad(size)(FACTORS[0], True) == expected
    assert grad(size)(FACTORS[0], False) == 0
    factor = FACTORS[0].clone().requires_grad_()
    assert torch.autograd.grad(size(factor, True), factor)[0] == expected
    assert not size(factor, False).requires_grad
    with torch.no_grad():
        assert not size(factor, True).requires_grad


def test_what_adapts_from_detached_parameters_has_no_graph() -> None:
    learner = built("MAML", "MLP-none")
    support = image_episodes().task(0).support
    detached = {name: value.detach() for name, value in learner.meta_params.items()}
    assert not any(value.requires_grad for value in learner.adapt(detached, support).values())
    assert all(value.requires_grad for value in learner.adapt(learner.meta_params, support).values())


@pytest.mark.parametrize("order", [2, 1])
def test_adapting_in_inference_mode(order: int) -> None:
    learner = hs.MAML(hs.MLP(64, WAYS, (8,), activation=torch.tanh), inner_lr=0.3, inner_steps=2, order=order).double()
    expected = learner.adapt(learner.meta_params, image_episodes().task(0).support)
    with torch.inference_mode():
        found = learner.adapt(learner.meta_params, image_episodes().task(0).support)
    assert largest_difference(dict(found), expected) < 1e-12


def test_parameters_that_are_functions_of_one_another_count_each_alone() -> None:
    first = torch.tensor(3.0, requires_grad=True)
    params = {"first": first, "second": first**2}
    gradient, _, _ = gradient_of(lambda p: (p["first"] * p["second"], ()), params, differentiable=True)
    assert gradient["first"] == 9 and gradient["second"] == 3
    assert torch.autograd.grad(gradient["first"], first)[0] == 6


class Normalized(nn.Module):
    """Calls PyTorch's own normalization as a function, which no learner can replace."""

    def __init__(self, normalize: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.normalize, self.body, self.head = normalize, nn.Linear(64, 8), nn.Linear(8, WAYS)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.normalize(self.body(inputs.flatten(1))).tanh())
        return logits


@pytest.mark.parametrize("execution", ["vmap", "loop"])
@pytest.mark.parametrize(
    "normalize",
    [
        lambda features: F.layer_norm(features, (8,)),
        lambda features: F.batch_norm(features, None, None, training=True),
    ],
    ids=["layer", "batch"],
)
def test_native_normalization_is_exact(normalize: Callable[[Tensor], Tensor], execution: str) -> None:
    """With the outermost gradient around ``vmap`` it would be wrong by a hundredth."""
    torch.manual_seed(0)
    learner = hs.MAML(Normalized(normalize), inner_lr=0.3, inner_steps=2).double()
    episodes = image_episodes(tasks=3)
    meta_params = {name: value.requires_grad_() for name, value in learner.meta_params.items()}

    def loss_of(params: Params, part: hs.Examples) -> Tensor:
        return F.cross_entropy(functional_call(learner, params, (part.inputs,)), part.targets)

    total = torch.zeros((), dtype=torch.float64)
    for support, query in (episodes.task(task) for task in range(3)):
        params = meta_params
        for _ in range(2):
            slopes = torch.autograd.grad(loss_of(params, support), list(params.values()), create_graph=True)
            params = {name: value - 0.3 * slope for (name, value), slope in zip(params.items(), slopes, strict=True)}
        total = total + loss_of(params, query) / 3
    expected = dict(zip(meta_params, torch.autograd.grad(total, list(meta_params.values())), strict=True))
    gradient, _ = hs.MetaGradient(learner, execution)(learner.meta_params, episodes)  # type: ignore[arg-type]
    assert largest_difference(gradient, expected) < 1e-12

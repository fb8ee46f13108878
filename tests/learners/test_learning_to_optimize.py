"""The learned optimizer against PyTorch's own layers, and its truncated training against a plain loop."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from headstart.update_rules.learned_optimizer import lstm_cell
from methods import largest_difference

RATE, STEPS, TRUNCATION, UNITS = 0.05, 5, 2, 4


def test_the_cell_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    theirs = nn.LSTMCell(3, 5).double()
    inputs, output, cell = (torch.randn(7, size, dtype=torch.float64) for size in (3, 5, 5))
    weight = torch.cat([theirs.weight_ih, theirs.weight_hh], 1)
    ours = lstm_cell(inputs, {"output": output, "cell": cell}, weight, theirs.bias_ih + theirs.bias_hh)
    for found, expected in zip(ours.values(), theirs(inputs, (output, cell)), strict=True):
        assert (found - expected).abs().max() < 1e-12


ALL = ("gradient", "momentum", "value")


def learner_with(network: str, order: int, shown: tuple[str, ...] = ALL) -> hs.LearningToOptimize:
    """A learner whose output layer has moved away from zero, or no other layer would have a gradient."""
    torch.manual_seed(0)
    learner = hs.LearningToOptimize(
        hs.MLP(hidden=(4,), activation=torch.tanh),
        inner_lr=RATE,
        inner_steps=STEPS,
        truncation=TRUNCATION,
        order=order,
        inner_rule=lambda rate: hs.LearnedOptimizer(rate, network, UNITS, shown),  # type: ignore[arg-type]
    ).double()
    with torch.no_grad():
        for parameter in learner.rule.get_submodule("output").parameters():
            parameter.normal_()
    return learner


def features(values: Tensor) -> list[Tensor]:
    large = values.abs() > math.exp(-10)
    size = torch.where(large, values.abs().clamp(min=1e-30).log() / 10, -torch.ones_like(values))
    return [size, torch.where(large, values.sign(), values * math.exp(10))]


def plain_loop(
    learner: hs.LearningToOptimize, network: str, episode: hs.Episodes, order: int, shown: tuple[str, ...]
) -> dict[str, Tensor]:
    """Andrychowicz et al. with ``nn.LSTMCell`` or ``nn.Linear`` layers and ``torch.autograd``, cut every two steps."""
    leaves = {n: v.detach().clone().requires_grad_() for n, v in learner.rule.named_parameters()}
    layers = ("first", "second")
    remembered = {layer: [torch.zeros(1, dtype=torch.float64)] * 2 for layer in layers}
    theta = torch.nn.utils.parameters_to_vector(learner.model.parameters()).detach()
    momentum = torch.zeros_like(theta)
    total = torch.zeros((), dtype=torch.float64)

    def loss_of(theta: Tensor, examples: hs.Examples) -> Tensor:
        values, start = {}, 0
        for name, parameter in learner.model.named_parameters():
            values[name] = theta[start : start + parameter.numel()].view(parameter.shape)
            start += parameter.numel()
        return F.mse_loss(torch.func.functional_call(learner.model, values, (examples.inputs,)), examples.targets)

    for step in range(STEPS):
        if step % TRUNCATION == 0:
            theta, momentum = theta.detach(), momentum.detach()
            remembered = {layer: [value.detach() for value in pair] for layer, pair in remembered.items()}
        point = theta if theta.requires_grad else theta.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss_of(point, episode.support), point, create_graph=order == 2)
        slope = slope.detach() if order == 1 else slope
        momentum = 0.9 * momentum + 0.1 * slope
        numbers = {"gradient": features(slope), "momentum": features(momentum), "value": [theta]}
        signal = torch.stack([number for name in shown for number in numbers[name]], 1)
        for layer in layers:
            weight, bias = leaves[f"{layer}.weight"], leaves[f"{layer}.bias"]
            if network == "mlp":
                signal = torch.tanh(F.linear(signal, weight, bias))
                continue
            cell = nn.LSTMCell(signal.shape[1], UNITS).double()
            parts = {
                "weight_ih": weight[:, : signal.shape[1]],
                "weight_hh": weight[:, signal.shape[1] :],
                "bias_ih": bias,
                "bias_hh": torch.zeros_like(bias),
            }
            state = tuple(value.expand(len(theta), UNITS) for value in remembered[layer])
            remembered[layer] = list(torch.func.functional_call(cell, parts, (signal, state)))
            signal = remembered[layer][0]
        theta = theta - RATE * F.linear(signal, leaves["output.weight"], leaves["output.bias"])[:, 0]
        total = total + loss_of(theta, episode.query) / STEPS
    gradients = torch.autograd.grad(total, list(leaves.values()))
    return {f"rule.{name}": value for name, value in zip(leaves, gradients, strict=True)}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("network", "shown"), [("mlp", ALL), ("lstm", ALL), ("lstm", ("gradient",))])
def test_equals_a_plain_loop_of_pytorchs_layers(network: str, shown: tuple[str, ...], order: int) -> None:
    learner = learner_with(network, order, shown)
    sampled = hs.SinusoidTasks(shots=5, queries=5).sample(1, torch.Generator()).task(0)
    episode = hs.Episodes(*(hs.Examples(part.inputs.double(), part.targets.double()) for part in sampled))
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    assert largest_difference(found, plain_loop(learner, network, episode, order, shown)) < 1e-10
    assert all(value.abs().max() > 1e-6 for value in found.values())


def test_only_the_rule_is_trained() -> None:
    torch.manual_seed(0)
    learner = hs.LearningToOptimize(hs.MLP(hidden=(8,)), inner_lr=0.01, inner_steps=4, truncation=2)
    before = copy.deepcopy(learner.meta_params)
    decaying = lambda params: torch.optim.AdamW(params, lr=0.01, weight_decay=0.5)  # noqa: E731
    hs.train(learner, hs.SinusoidTasks(shots=5, queries=5), meta_steps=3, meta_batch=2, optimizer=decaying)
    changed = {name for name, value in learner.meta_params.items() if not value.equal(before[name])}
    assert changed == learner.trained_names


def test_quadratics_are_minimised_better_than_before_training() -> None:
    torch.manual_seed(0)
    tasks = hs.QuadraticTasks()
    learner = hs.LearningToOptimize(nn.Linear(10, 1, bias=False), inner_lr=0.05, inner_steps=20)
    before = hs.evaluate(learner, tasks, count=50)
    hs.train(learner, tasks, meta_steps=60, meta_batch=16, optimizer=lambda p: torch.optim.Adam(p, lr=3e-3))
    after = hs.evaluate(learner, tasks, count=50)
    assert after.value + after.interval < before.value - before.interval
    assert before.by_inner_step[0] == after.by_inner_step[0]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: hs.LearningToOptimize(hs.MLP(), truncation=0), "truncation=0 must be 1 or more"),
        (lambda: hs.LearningToOptimize(hs.MLP(), inner_rule=hs.SGD), "SGD has nothing to learn; use LearnedOptimizer"),
        (lambda: hs.LearnedOptimizer(0.1, "gru"), "network='gru' is unknown"),  # type: ignore[arg-type]
        (lambda: hs.LearnedOptimizer(0.1, units=0), "units=0 must be 1 or more"),
        (lambda: hs.LearnedOptimizer(0.1, features=("slope",)), r"features=\('slope',\) must be some of gradient, mom"),
        (lambda: hs.LearnedOptimizer(0.1, features=()), r"features=\(\) must be some of"),
        (lambda: hs.LearnedOptimizer(0.1, features=("value", "value")), "each at most once"),
        (lambda: hs.QuadraticTasks(0), "size=0 must be 1 or more"),
    ],
)
def test_bad_arguments_are_named(make, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(hs.BadInputError, match=named):
        make()

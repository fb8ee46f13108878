"""Update rules against ``torch.optim``, and what is learned of them against a plain ``torch.autograd`` loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from headstart.experiments.methods import RULES
from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule
from methods import built, image_episodes, largest_difference

Step = Callable[[str, Tensor, dict[str, Tensor], int], Tensor]
INNER_LR = 0.25
LEARNED = {"MetaSGD": hs.MetaSGD, "LayerStepRates": hs.LayerStepRates, "MetaCurvature": hs.MetaCurvature}


@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [
        (hs.SGD(0.1), lambda params: torch.optim.SGD(params, lr=0.1)),
        (hs.SGD(0.1, momentum=0.9), lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9)),
        (hs.Adam(0.1, eps=1e-12), lambda params: torch.optim.Adam(params, lr=0.1, eps=1e-12)),
        (
            hs.AdamWithoutMomentum(0.1, eps=1e-12),
            lambda params: torch.optim.Adam(params, lr=0.1, betas=(0.0, 0.999), eps=1e-12),
        ),
        (
            hs.Adam(0.1, beta1=0.8, beta2=0.99, eps=1e-12),
            lambda params: torch.optim.Adam(params, lr=0.1, betas=(0.8, 0.99), eps=1e-12),
        ),
    ],
)
def test_five_steps_are_those_of_torch_optim(rule: UpdateRule, optimizer: Any) -> None:
    torch.manual_seed(0)
    start = torch.randn(7, dtype=torch.float64)
    theirs = start.clone().requires_grad_()
    theirs_optimizer = optimizer([theirs])
    ours = {"w": start}
    state = rule.initial_state(ours)
    for step in range(5):
        theirs.grad = theirs.detach() ** 3 + 1
        ours, state = rule.update(ours, {"w": ours["w"] ** 3 + 1}, state, step, {})
        theirs_optimizer.step()
    assert (ours["w"] - theirs.detach()).abs().max() < 1e-10


def test_reptile_has_no_momentum_and_neither_has_adam_on_the_command_line() -> None:
    """A run folder that says "adam" still means what it was trained with."""
    rule = hs.AdamWithoutMomentum(1e-3)
    assert rule.beta1 == 0
    assert hs.Reptile(nn.Linear(2, 3)).inner_rule == rule
    assert getattr(hs, RULES["adam"])(1e-3) == rule


def meta_sgd(name: str, gradient: Tensor, learned: dict[str, Tensor], step: int) -> Tensor:
    return learned[f"rates.{name}"] * gradient


def layer_step_rates(name: str, gradient: Tensor, learned: dict[str, Tensor], step: int) -> Tensor:
    return learned[f"rates.{name}"][step] * gradient


def meta_curvature(name: str, gradient: Tensor, learned: dict[str, Tensor], step: int) -> Tensor:
    """The Kronecker product formed as one matrix, applied to the gradient as one vector."""
    if gradient.dim() == 1:
        return INNER_LR * learned[f"factors.{name}"] * gradient
    whole = torch.ones(1, 1, dtype=gradient.dtype)
    for axis in ("outputs", "inputs", "pixels"):
        if f"{axis}.{name}" in learned:
            whole = torch.kron(whole, learned[f"{axis}.{name}"])
    return INNER_LR * (whole @ gradient.flatten()).view(gradient.shape)


STEPS: dict[str, Step] = {
    "MetaSGD": meta_sgd,
    "LayerStepRates": layer_step_rates,
    "MetaCurvature": meta_curvature,
}


def learner_with(rule: str, inner_steps: int, order: int) -> hs.MAML:
    """A smooth net whose rule has moved away from where it begins, or its parts would commute."""
    torch.manual_seed(0)
    model = hs.Conv4(3, width=3, image_size=8, norm="batch", features="mean", activation=torch.tanh)
    learner = hs.MAML(model, inner_lr=INNER_LR, inner_steps=inner_steps, order=order, inner_rule=LEARNED[rule]).double()
    with torch.no_grad():
        for parameter in learner.rule.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return learner


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize("rule", LEARNED)
def test_what_is_learned_of_a_rule_has_the_gradient_of_a_plain_loop(rule: str, inner_steps: int, order: int) -> None:
    learner = learner_with(rule, inner_steps, order)
    episode = image_episodes().task(0)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in learner.named_parameters()}
    learned = {name.removeprefix("rule."): value for name, value in leaves.items() if name.startswith("rule.")}
    weights = {name.removeprefix("model."): value for name, value in leaves.items() if name.startswith("model.")}
    assert learned

    def loss_of(weights: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        logits = torch.func.functional_call(learner.model, weights, (examples.inputs,))
        return F.cross_entropy(logits, examples.targets)

    for step in range(inner_steps):
        slopes = torch.autograd.grad(loss_of(weights, episode.support), list(weights.values()), create_graph=order == 2)
        weights = {
            name: value - STEPS[rule](f"model.{name}", slope, learned, step)
            for (name, value), slope in zip(weights.items(), slopes, strict=True)
        }
    expected = torch.autograd.grad(
        loss_of(weights, episode.query), list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    assert largest_difference(found, dict(zip(leaves, expected, strict=True))) < 1e-10
    assert max(found[f"rule.{name}"].abs().max() for name in learned) > 1e-4


@pytest.mark.parametrize("rule", LEARNED)
def test_a_learned_rule_begins_as_gradient_descent(rule: str) -> None:
    torch.manual_seed(0)
    model = hs.Conv4(3, width=3, image_size=8)
    support = image_episodes().task(0).support
    learner, plain = (
        hs.MAML(model, inner_lr=INNER_LR, inner_steps=3, inner_rule=kind).double() for kind in (LEARNED[rule], hs.SGD)
    )
    adapted = learner.adapt(learner.meta_params, support)
    expected = plain.adapt(plain.meta_params, support)
    assert largest_difference({name: adapted[name] for name in expected}, expected) < 1e-12


def test_steps_beyond_those_of_training_go_on_with_the_last_rates() -> None:
    learner = learner_with("LayerStepRates", inner_steps=2, order=2)
    longer = learner_with("LayerStepRates", inner_steps=3, order=2)
    with torch.no_grad():
        for ours, theirs in zip(learner.rule.parameters(), longer.rule.parameters(), strict=True):
            theirs.copy_(torch.cat([ours, ours[-1:]]))
    support = image_episodes().task(0).support
    *_, beyond = learner.adaptation(learner.meta_params, support, steps=3)
    expected = longer.adapt(longer.meta_params, support)
    names = learner.adapted_names
    assert largest_difference({n: beyond[n] for n in names}, {n: expected[n] for n in names}) == 0


def test_recomputation_keeps_the_gradient_of_a_learned_rule() -> None:
    learner = learner_with("MetaSGD", inner_steps=5, order=2)
    episodes = image_episodes()
    expected, _ = learner.meta_gradient(learner.meta_params, episodes)
    found, _ = hs.MetaGradient(learner, recompute=True)(learner.meta_params, episodes)
    assert largest_difference(found, expected) < 1e-10


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: hs.Reptile(nn.Linear(2, 3), inner_rule=hs.MetaSGD), "MetaSGD is learned .* Reptile"),
        (lambda: hs.Pretraining(nn.Linear(2, 3), inner_rule=hs.MetaCurvature), "MetaCurvature is learned .* Pretr"),
        (lambda: hs.MAML(nn.Linear(2, 3), inner_steps=0, inner_rule=hs.MetaSGD), "inner_steps=0"),
        (lambda: hs.SGD(0.1, momentum=1.0), "momentum=1.0"),
        (lambda: hs.Adam(0.1, beta1=-0.1), "beta1=-0.1"),
        (lambda: hs.Adam(0.1, eps=0.0), "eps=0.0"),
    ],
)
def test_what_cannot_be_learned_is_said_in_one_sentence(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(hs.BadInputError, match=named):
        make()


def test_the_inner_updates_of_a_learned_rule_are_planned_as_held_in_first_order_too() -> None:
    episodes = image_episodes()
    learner = learner_with("MetaSGD", inner_steps=3, order=1)
    plain = hs.MAML(learner.model, inner_lr=INNER_LR, inner_steps=3, order=1)
    assert hs.MetaGradient(learner, memory=1).plan(learner.meta_params, episodes).recompute
    assert not hs.MetaGradient(plain, memory=1).plan(plain.meta_params, episodes).recompute
    expected, _ = learner.meta_gradient(learner.meta_params, episodes)
    found, _ = hs.MetaGradient(learner, memory=1)(learner.meta_params, episodes)
    assert largest_difference(found, expected) < 1e-10


class Halved(UpdateRule):
    """Leaves out what it is told to, and drops the last row of everything else."""

    def __init__(self, left_out: str = "") -> None:
        self.left_out = left_out

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        return {name: value[:-1] for name, value in params.items() if name != self.left_out}, state


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (hs.MetaSGD(0.1), r"MetaSGD does not fit what adapts: it has no 'rates\.model\.\S+'; make a new learner"),
        (Halved(), r"Halved does not fit .*: of 'model\.\S+' \[.*\] it makes \[.*\]; keep names and shapes"),
        (Halved("model.unused"), r"of 'model\.unused' \[2\] it makes nothing"),
    ],
)
def test_a_rule_that_does_not_fit_the_model_is_named(rule: UpdateRule, sentence: str) -> None:
    learner = built("MAML", "user")
    learner.inner_rule = rule
    with pytest.raises(hs.BadInputError, match=sentence):
        learner.meta_gradient(learner.meta_params, image_episodes(tasks=2))


class Mistaken(UpdateRule):
    """Looks for something in a dictionary of its own."""

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        rates = {"model.head.weight": 0.1}
        return {name: value - rates[name] * gradient[name] for name, value in params.items()}, state


@pytest.mark.parametrize("execution", [{"execution": "loop"}, {"execution": "vmap"}, {"recompute": True}])
def test_a_mistake_in_the_code_of_a_rule_comes_out_as_it_is(execution: dict[str, Any]) -> None:
    learner = built("MAML", "user")
    learner.inner_rule = Mistaken()
    with pytest.raises(KeyError, match=r"model\.(unused|body)"):
        hs.MetaGradient(learner, **execution)(learner.meta_params, image_episodes(tasks=2))

"""UnicornMAML against a plain ``torch.autograd`` loop, in float64 on a smooth net."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import MODELS, image_episodes, largest_difference

INNER_LR = 0.3


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_equals_a_plain_autograd_loop(inner_steps: int, order: int) -> None:
    torch.manual_seed(0)
    net = hs.Conv4(3, width=3, image_size=8, norm="batch", features="mean", activation=torch.tanh)
    learner = hs.UnicornMAML(net, inner_lr=INNER_LR, inner_steps=inner_steps, order=order).double()
    support, query = episode = image_episodes().task(1)
    start = {name: value.detach().double().requires_grad_() for name, value in net.named_parameters()}
    row = {name: start[name][:1].detach().clone().requires_grad_() for name in ("head.weight", "head.bias")}
    start |= row
    moving = {**start, **{name: torch.cat([value] * 3) for name, value in row.items()}}

    def loss_of(weights: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(net, weights, (examples.inputs,)), examples.targets)

    for _ in range(inner_steps):
        slopes = torch.autograd.grad(
            loss_of(moving, support), list(moving.values()), create_graph=order == 2, retain_graph=True
        )
        pairs = zip(moving.items(), slopes, strict=True)
        moving = {name: value - INNER_LR * slope for (name, value), slope in pairs}
    expected = torch.autograd.grad(loss_of(moving, query), list(start.values()))
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    named = {f"model.{name}": value for name, value in zip(start, expected, strict=True)}
    assert largest_difference(found, named) < 1e-9
    assert found["model.head.weight"].shape == (1, 3)
    assert max(value.abs().max() for value in expected) > 1e-3


@pytest.mark.parametrize("rule", [hs.SGD, hs.MetaSGD, hs.MetaCurvature])
def test_the_shared_row_shifts_all_logits_alike_and_nothing_else(rule: type) -> None:
    torch.manual_seed(0)
    learner = hs.UnicornMAML(MODELS["Conv4-batch"](), inner_lr=0.05, inner_steps=3, inner_rule=rule).double()
    support, query = image_episodes().task(0)
    shifted = {**learner.meta_params, "model.head.weight": learner.meta_params["model.head.weight"] + 1}
    before, after = (learner.adapt(params, support) for params in (learner.meta_params, shifted))
    body = [name for name in before if name.startswith("model.blocks")]
    assert largest_difference({n: before[n] for n in body}, {n: after[n] for n in body}) < 1e-9
    differences = learner.predict(after, query.inputs) - learner.predict(before, query.inputs)
    assert differences.abs().max() > 0.1
    assert (differences - differences[:, :1]).abs().max() < 1e-9


def test_how_classes_are_numbered_makes_no_difference() -> None:
    torch.manual_seed(0)
    net = MODELS["Conv4-batch"]()
    support, query = image_episodes().task(0)
    renumbered = support._replace(targets=(support.targets + 1) % 3)

    def difference(learner: hs.Learner) -> float:
        predictions, moved = (
            learner.predict(learner.adapt(learner.meta_params, examples), query.inputs)
            for examples in (support, renumbered)
        )
        return (moved.roll(-1, 1) - predictions).abs().max().item()

    assert difference(hs.UnicornMAML(net, inner_steps=3).double()) < 1e-12
    assert difference(hs.MAML(net, inner_steps=3).double()) > 1e-2


def test_the_first_inner_step_moves_the_head_alone() -> None:
    learner = hs.UnicornMAML(MODELS["Conv4-layer"]()).double()
    first, second, third = learner.adaptation(learner.meta_params, image_episodes().task(0).support, 2)
    body = [name for name in first if "head" not in name]
    of_body = [{name: point[name] for name in body} for point in (first, second, third)]
    assert largest_difference(of_body[0], of_body[1]) < 1e-15
    assert largest_difference(of_body[1], of_body[2]) > 1e-4


@pytest.mark.parametrize("rule", [hs.MetaSGD, hs.LayerStepRates, hs.MetaCurvature])
def test_a_learned_rule_is_shared_among_the_classes(rule: type) -> None:
    torch.manual_seed(0)
    net = MODELS["Conv4-batch"]()
    support, query = image_episodes().task(0)
    learned, plain = (
        hs.UnicornMAML(net, inner_lr=0.25, inner_steps=2, inner_rule=kind).double() for kind in (rule, hs.SGD)
    )
    for learner in (learned, plain):
        learner.ways = 7
    predictions, expected = (
        learner.predict(learner.adapt(learner.meta_params, support), query.inputs) for learner in (learned, plain)
    )
    assert predictions.shape == (9, 7)
    assert (predictions - expected).abs().max() < 1e-12


def test_a_head_without_rows_of_classes_is_refused() -> None:
    with pytest.raises(hs.BadInputError, match="'0' is a Conv2d"):
        hs.UnicornMAML(nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()), head="0")
    with pytest.raises(hs.BadInputError, match="'top'"):
        hs.UnicornMAML(hs.Conv4(5), head="top")

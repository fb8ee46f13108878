"""ProtoMAML against a plain ``torch.autograd`` loop, in float64 on a smooth net."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import headstart as hs
from methods import MODELS, image_episodes, largest_difference

INNER_LR = 0.1


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inner_steps", [0, 1, 3])
def test_equals_a_plain_autograd_loop(inner_steps: int, order: int, norm: str) -> None:
    torch.manual_seed(0)
    net = hs.Conv4(3, width=3, image_size=8, norm=norm, features="mean", activation=torch.tanh)
    learner = hs.ProtoMAML(net, inner_lr=INNER_LR, inner_steps=inner_steps, order=order).double()
    support, query = episode = image_episodes().task(1)
    body = copy.deepcopy(net).double()
    body.head = nn.Identity()
    start = {name: value.detach().clone().requires_grad_() for name, value in body.named_parameters()}

    def features(weights: dict[str, torch.Tensor], examples: hs.Examples) -> torch.Tensor:
        return torch.func.functional_call(body, weights, (examples.inputs,))

    embedded = features(start, support)
    means = torch.stack([embedded[support.targets == way].mean(0) for way in range(3)])
    # copies, so that the inner gradients are those at the head as it is, not through the means that made it
    moving = [*(value.clone() for value in start.values()), 2 * means, -(means**2).sum(1)]

    def loss_of(moving: list[torch.Tensor], examples: hs.Examples) -> torch.Tensor:
        *weights, weight, bias = moving
        logits = features(dict(zip(start, weights, strict=True)), examples) @ weight.T + bias
        return F.cross_entropy(logits, examples.targets)

    for _ in range(inner_steps):
        slopes = torch.autograd.grad(loss_of(moving, support), moving, create_graph=order == 2, retain_graph=True)
        moving = [value - INNER_LR * slope for value, slope in zip(moving, slopes, strict=True)]
    loss = loss_of(moving, query)
    expected = dict(zip(start, torch.autograd.grad(loss, list(start.values())), strict=True))
    found, found_loss, _ = learner.task_gradient(learner.meta_params, episode)
    assert (found_loss - loss).abs() < 1e-10
    assert found["model.head.weight"].eq(0).all() and found["model.head.bias"].eq(0).all()
    found = {name.removeprefix("model."): value for name, value in found.items() if "head" not in name}
    assert largest_difference(found, expected) < 1e-9
    assert max(value.abs().max() for value in expected.values()) > 1e-4


def test_without_inner_steps_it_is_the_prototypical_network() -> None:
    torch.manual_seed(0)
    net = MODELS["Conv4-batch"]()
    episodes = image_episodes()
    adapting, comparing = (learner.double() for learner in (hs.ProtoMAML(net, inner_steps=0), hs.ProtoNet(net)))
    gradient, metrics = adapting.meta_gradient(adapting.meta_params, episodes)
    expected, of_means = comparing.meta_gradient(comparing.meta_params, episodes)
    assert largest_difference({name: gradient[name] for name in expected}, expected) < 1e-10
    assert largest_difference(metrics, of_means) < 1e-10


def test_a_head_that_class_means_cannot_fill_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, bias=False))
    with pytest.raises(hs.BadInputError, match="'1' needs a bias"):
        hs.ProtoMAML(model, head="1")
    with pytest.raises(hs.BadInputError, match="'top'"):
        hs.ProtoMAML(hs.Conv4(5), head="top")

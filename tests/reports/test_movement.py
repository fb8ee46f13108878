"""How far layers move, against a plain loop of ``torch.autograd`` in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import headstart as hs
from headstart.reports.movement import movement


def test_it_is_that_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    model = hs.MLP(1, 1, (8, 8)).double()
    tasks = hs.SinusoidTasks(shots=5, queries=5).sample(20, torch.Generator().manual_seed(0))
    episodes = hs.Episodes(*(hs.Examples(part.inputs.double(), part.targets.double()) for part in tasks))
    found = movement(hs.MAML(model, inner_lr=0.05), episodes, steps=3)
    expected = dict.fromkeys(("layers.0", "layers.1", "head"), 0.0)
    for task in range(20):
        start = [parameter.detach().clone() for parameter in model.parameters()]
        params = [value.clone().requires_grad_() for value in start]
        for _ in range(3):
            x = episodes.support.inputs[task]
            for layer in range(3):
                x = F.linear(x, params[2 * layer], params[2 * layer + 1])
                x = F.relu(x) if layer < 2 else x
            slopes = torch.autograd.grad((x - episodes.support.targets[task]).square().mean(), params)
            params = [(p - 0.05 * g).detach().requires_grad_() for p, g in zip(params, slopes, strict=True)]
        for number, layer in enumerate(expected):
            both = range(2 * number, 2 * number + 2)
            change = torch.cat([(params[i] - start[i]).flatten() for i in both]).norm()
            expected[layer] += (change / torch.cat([start[i].flatten() for i in both]).norm()).item() / 20
    assert found == pytest.approx(expected, rel=1e-12) and min(expected.values()) > 1e-3


def images(count: int = 4) -> hs.Episodes:
    examples = hs.Examples(torch.rand(count, 6, 1, 28, 28), torch.arange(3).repeat(count, 2))
    return hs.Episodes(examples, examples)


def test_what_does_not_adapt_does_not_move() -> None:
    found = movement(hs.ANIL(hs.Conv4(ways=3, width=4), inner_lr=0.1), images(), steps=2)
    assert found.pop("head") > 0
    assert list(found) == [f"blocks.{block}.{part}" for block in range(4) for part in ("conv", "norm")]
    assert {*found.values()} == {0.0}
    assert {*movement(hs.ProtoNet(hs.Conv4(ways=3, width=4)), images(), steps=0).values()} == {0.0}


def test_a_head_that_starts_from_zero_is_left_out_and_one_made_for_the_task_is_not() -> None:
    model = hs.Conv4(ways=7, width=4)
    assert "head" not in movement(hs.ClassifierPretraining(model, ways=7), images(), steps=2)
    assert movement(hs.ProtoMAML(model, inner_lr=0.1), images(), steps=2)["head"] > 0


def test_a_task_that_diverges_is_left_out() -> None:
    learner = hs.MAML(hs.MLP(), inner_lr=0.01)
    one = hs.SinusoidTasks(shots=5, queries=5).sample(1, torch.Generator().manual_seed(0))
    two = hs.Episodes(*(hs.Examples(part.inputs.repeat(2, 1, 1), part.targets.repeat(2, 1, 1)) for part in one))
    two.support.targets[1] = 1e38
    assert movement(learner, two, steps=2) == pytest.approx(movement(learner, one, steps=2))


def test_the_learner_stays_as_it_was() -> None:
    learner = hs.MAML(hs.Conv4(ways=3, width=4), inner_lr=0.1)
    before = {name: value.clone() for name, value in learner.meta_params.items()}
    movement(learner, images(), steps=2)
    assert learner.training and all(torch.equal(before[name], value) for name, value in learner.meta_params.items())

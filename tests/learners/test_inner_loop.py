"""Recomputed inner loops: the same result, and memory that hardly grows with the inner steps."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

import headstart as hs
from headstart.learners.checkpointing import Checkpointing, checkpointing
from methods import image_episodes, largest_difference


class Held(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive at once, and keeps the peak; views count as nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and not func.is_view:
                self.grow(tensor.numel() * tensor.element_size())
                weakref.finalize(tensor, self.grow, -tensor.numel() * tensor.element_size())
        return result

    def grow(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)


def peak(learner: hs.Learner, recompute: bool = False) -> int:
    examples = hs.Examples(torch.rand(1, 5, 1, 28, 28), torch.arange(5)[None])
    with Held() as held, checkpointing(Checkpointing()) if recompute else nullcontext():
        learner.meta_gradient(learner.meta_params, hs.Episodes(examples, examples))
    return held.peak


@pytest.mark.parametrize("kind", [hs.MAML, hs.MAMLPlusPlus])
def test_fifty_recomputed_inner_steps_take_hardly_more_memory_than_two(kind: Callable[..., hs.Learner]) -> None:
    two, four, fifty = (kind(hs.Conv4(ways=5), inner_steps=steps) for steps in (2, 4, 50))
    parameters = sum(value.nbytes for value in fifty.meta_params.values())
    assert peak(four) > 1.5 * peak(two)
    assert peak(fifty, recompute=True) < peak(two) + 2 * math.sqrt(50) * parameters


@pytest.mark.parametrize("order", [2, 1])
def test_a_meta_gradient_holds_what_a_plain_autograd_loop_does(order: int) -> None:
    """``torch.func.grad`` outermost would record its own derivative too, which is twice as much."""
    learner = hs.MAML(hs.Conv4(ways=5), inner_steps=3, order=order)
    examples = hs.Examples(torch.rand(1, 5, 1, 28, 28), torch.arange(5)[None])
    episodes = hs.Episodes(examples, examples)
    plain = {name: value.clone().requires_grad_() for name, value in learner.meta_params.items()}
    with Held() as of_plain_loop:
        params = plain
        for _ in range(3):
            loss = F.cross_entropy(functional_call(learner, params, (examples.inputs[0],)), examples.targets[0])
            slopes = torch.autograd.grad(loss, list(params.values()), create_graph=order == 2)
            params = {name: value - 0.1 * slope for (name, value), slope in zip(params.items(), slopes, strict=True)}
        loss = F.cross_entropy(functional_call(learner, params, (examples.inputs[0],)), examples.targets[0])
        torch.autograd.grad(loss, list(plain.values()))
        del loss, slopes, params
    for execution in ("loop", "vmap"):
        run = hs.MetaGradient(learner, execution, compile=False)
        run.plan(learner.meta_params, episodes)
        with Held() as held:
            run(learner.meta_params, episodes)
        assert held.peak < 1.2 * of_plain_loop.peak, execution


@pytest.mark.parametrize("kind", [hs.ImplicitMAML, hs.Reptile, partial(hs.MAML, order=1)])
def test_without_a_graph_fifty_inner_steps_take_no_more_memory_than_two(kind: Callable[..., hs.Learner]) -> None:
    two, fifty = (peak(kind(hs.Conv4(ways=5), inner_steps=steps)) for steps in (2, 50))
    assert fifty < 1.05 * two


@pytest.mark.parametrize("rule", [hs.SGD, hs.Adam])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 10])
def test_recomputing_changes_nothing(steps: int, rule: Any) -> None:
    torch.manual_seed(0)
    model = hs.MLP(64, 3, (8,), norm="batch", activation=torch.tanh)
    learner = hs.MAML(model, inner_lr=0.05, inner_steps=steps, inner_rule=rule).double()
    expected, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    with checkpointing(Checkpointing()):
        gradient, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    assert largest_difference(gradient, expected) < 1e-12


def test_dropout_is_recomputed_with_the_same_masks() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3))
    learner = hs.MAML(model, inner_lr=0.3, inner_steps=5).double()
    gradients = []
    for context in (nullcontext(), checkpointing(Checkpointing())):
        torch.manual_seed(1)
        with context:
            gradients.append(learner.meta_gradient(learner.meta_params, image_episodes())[0])
    assert max(value.abs().max() for value in gradients[0].values()) > 1e-2
    assert largest_difference(*gradients) < 1e-12


def test_every_point_of_a_recomputed_unroll_can_be_evaluated() -> None:
    class EveryStep(hs.MAML):
        """The mean of the query losses after every inner step."""

        def outcome(self, meta_params: dict[str, Tensor], episode: hs.Episodes) -> tuple[Tensor, Tensor]:
            points = self.adaptation(meta_params, episode.support, self.inner_steps)
            losses, predictions = zip(
                *(self.loss_and_predictions(point, episode.query) for point in points), strict=True
            )
            assert len(losses) == self.inner_steps + 1
            return torch.stack(losses).mean(), predictions[-1]

    learner = EveryStep(hs.MLP(64, 3, (8,), activation=torch.tanh), inner_lr=0.3, inner_steps=4).double()
    expected, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    with checkpointing(Checkpointing()):
        gradient, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    assert largest_difference(gradient, expected) < 1e-12


def test_integers_among_the_parameters_stay_as_they_are() -> None:
    class Reordered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.order = nn.Parameter(torch.randperm(64), requires_grad=False)
            self.head = nn.Linear(64, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = self.head(inputs.flatten(1)[:, self.order])
            return logits

    learner = hs.MAML(Reordered(), inner_lr=0.3, inner_steps=3).double()
    expected, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    with checkpointing(Checkpointing()):
        gradient, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    assert largest_difference(gradient, expected) < 1e-12


def test_a_learner_that_does_not_fit_in_the_memory_is_recomputed() -> None:
    learner = hs.MAML(hs.MLP(64, 3, (8,), activation=torch.tanh), inner_steps=5).double()
    episodes = image_episodes()
    roomy = hs.MetaGradient(learner).plan(learner.meta_params, episodes)
    tight = hs.MetaGradient(learner, memory=20_000).plan(learner.meta_params, episodes)
    assert not roomy.recompute
    assert tight.recompute
    assert tight.chunk_size < roomy.chunk_size
    assert "MiB" in str(tight)
    assert not hs.MetaGradient(learner, compile="whole", memory=20_000).plan(learner.meta_params, episodes).recompute
    for kind in (partial(hs.MAML, order=1), hs.ImplicitMAML):
        without_graph = kind(hs.MLP(64, 3, (8,)), inner_steps=5).double()
        assert not hs.MetaGradient(without_graph, memory=20_000).plan(without_graph.meta_params, episodes).recompute

"""Low-rank terms in the inner loop, on a transformer whose attention is differentiated twice."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import EXECUTIONS, image_episodes, largest_difference


def low_rank(order: int = 2, inner_steps: int = 2) -> hs.MAML:
    torch.manual_seed(0)
    model = hs.with_low_rank(hs.Transformer(3, width=8, heads=2, patch=4, image_size=8), rank=2)
    learner = hs.MAML(model, inner_lr=0.3, inner_steps=inner_steps, order=order, adapt="low_rank").double()
    with torch.no_grad():  # away from zero, or down would have no gradient
        for name in learner.low_rank_names:
            learner.get_parameter(name).normal_(std=0.3)
    return learner


def test_at_first_the_model_computes_what_it_did() -> None:
    torch.manual_seed(0)
    model = hs.Transformer(3, width=8, heads=2, patch=4, image_size=8)
    images = torch.rand(5, 1, 8, 8)
    assert (hs.with_low_rank(model)(images) - model(images)).abs().max() == 0


def test_a_layer_at_two_places_has_one_term_at_both() -> None:
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"first": shared, "second": nn.Sequential(shared, nn.Tanh()), "head": nn.Linear(4, 3)})
    changed = hs.with_low_rank(model)
    assert isinstance(changed["first"], hs.LowRankLinear)
    assert changed["first"] is changed.get_submodule("second.0")
    assert model["first"] is shared


def test_only_the_terms_and_the_head_adapt_and_all_is_trained() -> None:
    learner = low_rank()
    assert all(name.endswith((".up", ".down")) or ".head." in name for name in learner.adapted_names)
    episode = image_episodes().task(0)
    task_params = learner.adapt(learner.meta_params, episode.support)
    moved = {name for name, value in task_params.items() if not value.equal(learner.meta_params[name])}
    assert moved == learner.adapted_names
    gradient, _, _ = learner.task_gradient(learner.meta_params, episode)
    assert gradient.keys() == dict(learner.named_parameters()).keys()
    assert gradient["model.blocks.0.attention.queries.weight"].abs().max() > 1e-6


@pytest.mark.parametrize("order", [1, 2])
def test_equals_a_plain_loop_with_the_sum_of_the_matrices(order: int) -> None:
    """Every ``W + up @ down`` is formed, and goes through the transformer as it was without the terms."""
    learner = low_rank(order)
    plain = hs.Transformer(3, width=8, heads=2, patch=4, image_size=8).double()
    episode = image_episodes().task(0)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in learner.named_parameters()}

    def loss_of(values: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        summed = {}
        for name, value in values.items():
            if not name.endswith((".up", ".down")):
                layer = name.removesuffix(".weight")
                term = values[f"{layer}.up"] @ values[f"{layer}.down"] if f"{layer}.up" in values else 0
                summed[name.removeprefix("model.")] = value + term
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            logits = torch.func.functional_call(plain, summed, (examples.inputs,))
        return F.cross_entropy(logits, examples.targets)

    values = dict(leaves)
    adapted = [name for name in leaves if name in learner.adapted_names]
    for _ in range(2):
        slopes = torch.autograd.grad(
            loss_of(values, episode.support), [values[name] for name in adapted], create_graph=order == 2
        )
        values |= {name: values[name] - 0.3 * slope for name, slope in zip(adapted, slopes, strict=True)}
    expected = torch.autograd.grad(loss_of(values, episode.query), list(leaves.values()))
    found, _, _ = learner.task_gradient(learner.meta_params, episode)
    assert largest_difference(found, dict(zip(leaves, expected, strict=True))) < 1e-10


def test_every_execution_gives_the_same_compiled_included(only_traced: None) -> None:
    learner, episodes = low_rank(), image_episodes(tasks=4)
    oracle, _ = learner.meta_gradient(learner.meta_params, episodes)
    for settings in ({"compile": True}, *EXECUTIONS.values()):
        gradient, _ = hs.MetaGradient(learner, **settings)(learner.meta_params, episodes)
        assert largest_difference(gradient, oracle) < 1e-10, settings


def test_a_users_multihead_attention_is_differentiated_twice() -> None:
    class WithAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(64, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            tokens = inputs.flatten(1, 2)
            mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
            logits: Tensor = self.head(mixed.flatten(1))
            return logits

    torch.manual_seed(0)
    learner = hs.MAML(WithAttention(), inner_lr=0.3, inner_steps=1).double()
    episode = image_episodes().task(0)
    gradient, _, _ = learner.task_gradient(learner.meta_params, episode)
    direction = {name: torch.randn_like(value) for name, value in learner.meta_params.items()}

    def loss_along(distance: float) -> Tensor:
        moved = {name: value + distance * direction[name] for name, value in learner.meta_params.items()}
        return learner.outcome(moved, episode)[0]

    slope = (loss_along(1e-5) - loss_along(-1e-5)) / 2e-5
    found = sum((gradient[name] * direction[name]).sum() for name in gradient)
    assert abs(found - slope) < 1e-7


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: hs.with_low_rank(hs.Transformer(3), rank=0), "rank=0 must be 1 or more"),
        (lambda: hs.with_low_rank(hs.Conv4(3)), "no linear layer but its head"),
        (lambda: hs.MAML(hs.Transformer(3), adapt="low_rank"), r"no low-rank terms to adapt; .* hs.with_low_rank"),
        (lambda: hs.MAML(hs.Transformer(3), adapt="tail"), "adapt='tail' is unknown"),
        (lambda: hs.MAML(nn.Linear(2, 3), adapt="head"), "no module 'head' that is trained"),
        (lambda: hs.Transformer(3, heads=3), "heads=3 must divide width=64"),
        (lambda: hs.Transformer(3, patch=5), "patch=5 must divide image_size=28"),
        (lambda: hs.Transformer(3, depth=0), "depth=0"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(make, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(hs.BadInputError, match=named):
        make()

"""The search of a structure against a plain autograd loop, in float64, and what it does to the outer loop."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import WAYS, Mixed, image_episodes, largest_difference

INNER_LR, STRUCTURE_LR = 0.3, 2.0
CANDIDATES = (("conv3", "skip"), ("conv3", "separable3", "narrow3"))


def searchable(width: int = 4) -> hs.SearchableConv4:
    torch.manual_seed(0)
    model = hs.SearchableConv4(WAYS, CANDIDATES, width=width, image_size=8, activation=F.softplus).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("structure"):
                parameter.copy_(torch.randn(len(parameter), dtype=torch.float64))
    return model


def plain_loop(model: nn.Module, episode: hs.Episodes, inner_steps: int, adapt_structure: bool) -> dict[str, Tensor]:
    """The textbook: leaves, ``torch.autograd.grad`` with ``create_graph``, and the gradient of everything."""
    leaves = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    adapting = [name for name in leaves if adapt_structure or not name.endswith("structure")]
    point = dict(leaves)

    def loss_of(params: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, params, (examples.inputs,)), examples.targets)

    for _ in range(inner_steps):
        slopes = torch.autograd.grad(
            loss_of(point, episode.support), [point[name] for name in adapting], create_graph=True
        )
        rates = [STRUCTURE_LR if name.endswith("structure") else INNER_LR for name in adapting]
        point |= {name: point[name] - rate * slope for name, rate, slope in zip(adapting, rates, slopes, strict=True)}
    slopes = torch.autograd.grad(loss_of(point, episode.query), list(leaves.values()))
    return {f"model.{name}": slope for name, slope in zip(leaves, slopes, strict=True)}


@pytest.mark.parametrize("adapt_structure", [False, True])
@pytest.mark.parametrize("inner_steps", [0, 1, 2])
def test_equals_a_plain_autograd_loop(inner_steps: int, adapt_structure: bool) -> None:
    model, episodes = searchable(), image_episodes(tasks=3)
    learner = hs.StructureSearch(
        model,
        inner_lr=INNER_LR,
        inner_steps=inner_steps,
        adapt_structure=adapt_structure,
        structure_lr=STRUCTURE_LR,
    ).double()
    per_task = [plain_loop(model, episodes.task(task), inner_steps, adapt_structure) for task in range(3)]
    expected = {name: torch.stack([task[name] for task in per_task]).mean(0) for name in per_task[0]}
    for meta_step, searching in ((0, False), (1, True), (2, False)):
        learner.start_meta_step(meta_step, meta_steps=3)
        gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
        updated = {name for name in expected if name.endswith("structure") == searching}
        assert learner.updated_names == updated
        assert largest_difference(gradient, {name: expected[name] for name in updated}) < 1e-10
        assert all(gradient[name].abs().max() > 1e-4 for name in updated if not name.endswith("head.bias"))


@pytest.mark.parametrize("compiled", [False, True])
def test_one_engine_serves_both_kinds_of_meta_step(compiled: bool, only_traced: None) -> None:
    learner, episodes = hs.StructureSearch(searchable(), inner_lr=INNER_LR).double(), image_episodes(tasks=3)
    run = hs.MetaGradient(learner, "chunks", chunk_size=1, compile=compiled)
    for meta_step in (0, 1, 2):
        learner.start_meta_step(meta_step, meta_steps=3)
        expected, _ = learner.meta_gradient(learner.meta_params, episodes)
        assert largest_difference(run(learner.meta_params, episodes)[0], expected) < 1e-10


class Drawn:
    """Tasks that note how often they were drawn from."""

    def __init__(self, seed: int) -> None:
        self.seed, self.count = seed, 0

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        self.count += 1
        return image_episodes(tasks=count, seed=self.seed)


def test_the_outer_loop_takes_turns_and_leaves_the_other_part_alone() -> None:
    learner = hs.StructureSearch(searchable(), inner_lr=INNER_LR).double()
    tasks = hs.HeldOutTasks(Drawn(1), Drawn(2))
    before = {name: value.clone() for name, value in learner.meta_params.items()}
    hs.train(learner, tasks, meta_steps=1, meta_batch=2)
    moved = {name for name, value in learner.meta_params.items() if not value.equal(before[name])}
    assert moved == learner.trained_names - learner.structure_names
    hs.train(learner, tasks, meta_steps=6, meta_batch=2)
    assert (tasks.weights.count, tasks.structure.count) == (4, 3)  # type: ignore[attr-defined]
    assert not any(learner.meta_params[name].equal(before[name]) for name in learner.trained_names)


def test_momentum_does_not_move_what_is_not_updated() -> None:
    """Adam with a zero gradient would."""
    learner = hs.StructureSearch(searchable(), inner_lr=INNER_LR).double()
    tasks, seen = hs.HeldOutTasks(Drawn(1), Drawn(2)), []

    class Watched(torch.optim.Adam):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            seen.append({name: value.clone() for name, value in learner.meta_params.items()})
            super().step(closure)

    hs.train(learner, tasks, meta_steps=4, meta_batch=2, optimizer=Watched)
    structure = learner.structure_names
    for meta_step, (before, after) in enumerate(pairwise(seen)):
        moved = {name for name in before if not before[name].equal(after[name])}
        assert moved == (structure if meta_step % 2 else learner.trained_names - structure)


@pytest.mark.parametrize("execution", [None, "loop", "vmap"])
def test_an_outer_loop_of_ones_own_does_not_either(execution: Any) -> None:
    learner, episodes = hs.StructureSearch(searchable(), inner_lr=INNER_LR).double(), image_episodes(tasks=2)
    run = hs.MetaGradient(learner, execution) if execution else learner.meta_gradient
    outer = torch.optim.Adam(learner.parameters())
    for meta_step in range(3):
        learner.start_meta_step(meta_step, meta_steps=3)
        before = {name: value.clone() for name, value in learner.meta_params.items()}
        gradient, _ = run(learner.meta_params, episodes)
        for name, parameter in learner.named_parameters():
            parameter.grad = gradient.get(name)
        outer.step()
        moved = {name for name, value in learner.meta_params.items() if not value.equal(before[name])}
        assert moved == learner.updated_names


@pytest.mark.parametrize("rule", [hs.LayerStepRates, hs.MetaSGD])
def test_a_learned_rule_is_trained_with_the_weights_and_its_rates_for_the_structure_too(
    rule: Callable[[float], hs.UpdateRule],
) -> None:
    learner = hs.StructureSearch(searchable(), inner_lr=INNER_LR, adapt_structure=True, inner_rule=rule).double()
    rates = {name for name in learner.trained_names if name.startswith("rule.")}
    assert any(name.endswith("structure") for name in rates)
    assert rates <= learner.updated_names
    learner.start_meta_step(1, meta_steps=2)
    assert learner.updated_names == {f"model.blocks.{block}.structure" for block in (0, 1)}


def test_the_structure_adapts_at_its_own_rate() -> None:
    support = image_episodes(tasks=1).task(0).support
    moved = {}
    for structure_lr in (2.0, 4.0):
        learner = hs.StructureSearch(searchable(), adapt_structure=True, structure_lr=structure_lr).double()
        before, after = learner.adaptation(learner.meta_params, support, 1)
        moved[structure_lr] = {name: after[name] - before[name] for name in before}
    for name, move in moved[2.0].items():
        assert torch.allclose(moved[4.0][name], move * (2 if name.endswith("structure") else 1)), name
        assert move.abs().max() > 0


def test_what_is_found_is_an_ordinary_network() -> None:
    model = searchable()
    found = hs.SearchableConv4(WAYS, model.strongest, width=4, image_size=8)
    assert len(model.strongest) == len(CANDIDATES)
    assert all(name in names for name, names in zip(model.strongest, CANDIDATES, strict=True))
    assert not any(name.endswith("structure") for name, _ in found.named_parameters())
    assert found(torch.zeros(2, 1, 8, 8)).shape == (2, WAYS)


def test_each_task_has_a_structure_of_its_own_which_predicts_with_its_adapted_weights() -> None:
    """Against the mixture itself, whose shares are one for the strongest operation and zero for all others."""
    model = searchable()
    with torch.no_grad():
        for block in model.blocks:
            block.structure.zero_()  # type: ignore[union-attr,operator]
    learner = hs.StructureSearch(model, inner_lr=INNER_LR, inner_steps=2, adapt_structure=True, structure_lr=30)
    episodes, structures = image_episodes(tasks=5), []
    for task in range(5):
        support, query = episodes.task(task)
        task_params = learner.adapt(learner.meta_params, support)
        network = learner.decode(task_params)
        structures.append(network.strongest)
        discrete = dict(task_params)
        for name in learner.structure_names:
            strongest = task_params[name].argmax()
            discrete[name] = torch.full_like(task_params[name], -torch.inf).index_fill(0, strongest, 0.0)
        assert (network(query.inputs) - learner.predict(discrete, query.inputs)).abs().max() < 1e-12
        assert not any(name.endswith("structure") for name, _ in network.named_parameters())
        assert all(len(block.operations) == 1 for block in network.blocks)  # type: ignore[arg-type]
    assert len({*structures}) >= 2
    assert learner.model.strongest == ("conv3", "conv3"), "the meta-parameters are as they were"
    assert any(name in ("skip", "narrow3") for structure in structures for name in structure), "one with fewer channels"


def test_bad_arguments_are_named() -> None:
    with pytest.raises(hs.BadInputError, match="no structure to learn"):
        hs.StructureSearch(hs.Conv4(WAYS))
    with pytest.raises(hs.BadInputError, match="no structure to learn"):
        hs.StructureSearch(hs.SearchableConv4(WAYS, ["conv3"] * 4))
    with pytest.raises(hs.BadInputError, match="structure_lr=0"):
        hs.StructureSearch(searchable(), adapt_structure=True, structure_lr=0)
    with pytest.raises(hs.BadInputError, match="a Mixed cannot be decoded"):
        other = hs.StructureSearch(Mixed(hs.Conv4(WAYS)))
        other.decode(other.meta_params)
    learner = hs.StructureSearch(searchable())
    with pytest.raises(hs.BadInputError, match=r"train on hs\.HeldOutTasks"):
        hs.train(learner, Drawn(0), meta_steps=1)

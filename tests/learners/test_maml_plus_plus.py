"""MAML++ against a plain ``torch.autograd`` loop, its annealing, and how it goes through the outer loop."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import image_episodes, largest_difference

STEPS = 3
WEIGHTS = torch.tensor([0.1, 0.2, 0.7])


def maml_plus_plus(order: int) -> hs.MAMLPlusPlus:
    """A smooth net in which every inner step has other norms and rates, and another weight."""
    torch.manual_seed(0)
    model = hs.Conv4(3, width=3, image_size=8, norm="batch", features="mean", activation=torch.tanh)
    learner = hs.MAMLPlusPlus(model, inner_lr=0.25, inner_steps=STEPS).double()
    with torch.no_grad():
        for parameter in (*learner.norms.parameters(), *learner.rule.parameters()):
            parameter.add_(0.1 * torch.randn_like(parameter))
    learner.start_meta_step(0, meta_steps=15)
    assert learner.counted_steps == STEPS
    learner.order = order
    learner.step_weights.copy_(WEIGHTS)
    return learner


def plain_loop(learner: hs.MAMLPlusPlus, episode: hs.Episodes, order: int) -> tuple[dict[str, Tensor], Tensor]:
    """The textbook, in which the losses are multiplied by their weights and added up."""
    leaves = {name: value.detach().clone().requires_grad_() for name, value in learner.named_parameters()}
    weights = {n: v for n, v in leaves.items() if n.startswith("model.") and ".norm." not in n}
    total = torch.zeros((), dtype=torch.float64)
    for step in range(STEPS):
        norms = {n.removeprefix("norms."): v[step] for n, v in leaves.items() if n.startswith("norms.")}

        def loss_of(weights: dict[str, Tensor], examples: hs.Examples, norms: dict[str, Tensor] = norms) -> Tensor:
            values = {name.removeprefix("model."): value for name, value in {**weights, **norms}.items()}
            logits = torch.func.functional_call(learner.model, values, (examples.inputs,))
            return F.cross_entropy(logits, examples.targets)

        loss = loss_of(weights, episode.support)
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=order == 2)
        if order == 1:
            slopes = tuple(slope.detach() for slope in slopes)
        weights = {
            name: value - leaves[f"rule.rates.{name}"][step] * slope
            for (name, value), slope in zip(weights.items(), slopes, strict=True)
        }
        total = total + WEIGHTS[step].double() * loss_of(weights, episode.query)
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True)), total.detach()


@pytest.mark.parametrize("order", [1, 2])
def test_equals_a_plain_loop_that_multiplies_by_the_weights(order: int) -> None:
    learner = maml_plus_plus(order)
    episode = image_episodes().task(0)
    expected, total = plain_loop(learner, episode, order)
    found, loss, _ = learner.task_gradient(learner.meta_params, episode)
    trained = learner.trained_names
    assert largest_difference(found, {name: expected[name] for name in trained}) < 1e-10
    assert abs(loss - total) < 1e-10
    assert {name.split(".")[0] for name in trained} == {"model", "norms", "rule"}
    assert all(found[name].abs().max() > 1e-6 for name in trained if name.startswith(("norms.", "rule.")))


def test_the_weights_go_from_equal_to_the_last_step_alone_and_the_order_from_first_to_exact() -> None:
    learner = hs.MAMLPlusPlus(nn.Linear(2, 3), inner_steps=5, multi_step=0.1, first_order=0.5)
    seen = {}
    for meta_step in (0, 75, 149, 150, 749, 750, 1499):
        learner.start_meta_step(meta_step, meta_steps=1500)
        seen[meta_step] = (learner.order, learner.step_weights.tolist())
        assert sum(seen[meta_step][1]) == pytest.approx(1)
    assert seen[0] == (1, pytest.approx([0.2] * 5))
    assert seen[75] == (1, pytest.approx([0.1, 0.1, 0.1, 0.1, 0.6]))
    assert seen[149] == (1, pytest.approx([0.006] * 4 + [0.976]))  # not below 0.03 / 5
    assert seen[150] == seen[749] == (1, [0, 0, 0, 0, 1])
    assert seen[750] == seen[1499] == (2, [0, 0, 0, 0, 1])


@pytest.mark.parametrize("settings", [{}, {"multi_step": 1, "first_order": 1}, {"multi_step": 0, "first_order": 0}])
def test_outside_of_a_training_it_is_what_it_is_at_its_end(settings: dict[str, float]) -> None:
    """Exact, and with the last step alone: MAML with rates per step, where there is no normalization."""
    torch.manual_seed(0)
    model, episodes = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3)), image_episodes()
    learner = hs.MAMLPlusPlus(model, inner_lr=0.25, inner_steps=STEPS, **settings).double()
    plain = hs.MAML(model, inner_lr=0.25, inner_steps=STEPS, inner_rule=hs.LayerStepRates).double()
    expected, _ = plain.meta_gradient(plain.meta_params, episodes)
    for run in (learner.meta_gradient, hs.MetaGradient(learner)):
        assert largest_difference(run(learner.meta_params, episodes)[0], expected) < 1e-12


@pytest.mark.parametrize("steps", [0, 1, STEPS, STEPS + 2])
def test_where_the_end_alone_is_wanted_nothing_else_is_made(steps: int) -> None:
    learner = maml_plus_plus(order=2)
    support = image_episodes().task(0).support
    points = list(learner.adaptation(learner.meta_params, support, steps))
    ends = list(learner.adaptation(learner.meta_params, support, steps, every=False))
    assert len(ends) == min(steps, 1) + 1
    assert largest_difference(ends[0], points[0]) == 0
    assert largest_difference(ends[-1], points[-1]) == 0


def test_a_change_of_the_weights_reaches_the_compiled_program(only_traced: None) -> None:
    learner = maml_plus_plus(order=2)
    run = hs.MetaGradient(learner, compile=True)
    episodes = image_episodes(tasks=2)
    for weights in (WEIGHTS, torch.tensor([0.5, 0.5, 0.0])):
        learner.step_weights.copy_(weights)
        expected, _ = learner.meta_gradient(learner.meta_params, episodes)
        assert largest_difference(run(learner.meta_params, episodes)[0], expected) < 1e-10
    assert len(run._programs) == 1


def test_where_the_last_step_alone_counts_no_other_is_evaluated() -> None:
    learner = maml_plus_plus(order=2)
    episode = image_episodes().task(0)
    learner.step_weights.copy_(torch.tensor([0.0, 0.0, 1.0]))
    expected, loss, _ = learner.task_gradient(learner.meta_params, episode)
    calls = []
    honest = learner.loss_and_predictions
    learner.loss_and_predictions = lambda *given: calls.append(1) or honest(*given)  # type: ignore[method-assign]
    learner.start_meta_step(9, meta_steps=10)
    found, again, _ = learner.task_gradient(learner.meta_params, episode)
    assert largest_difference(found, expected) < 1e-12 and abs(again - loss) < 1e-12
    assert len(calls) == STEPS + 1  # a support set before every inner update, and the query set after the last


def test_training_anneals_and_is_the_same_when_it_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = hs.SinusoidTasks(shots=5, queries=5)
    torch.manual_seed(0)
    start = hs.MAMLPlusPlus(hs.MLP(), inner_lr=0.01, inner_steps=2, multi_step=0.5, first_order=0.5)

    def trained(*stops: int) -> dict[str, Tensor]:
        folder = hs.RunFolder(tmp_path / "-".join(map(str, stops)), {})
        for stop in stops:
            learner = copy.deepcopy(start)  # a run that goes on has what it trained from its checkpoint alone
            monkeypatch.setattr(
                "headstart.training.loop.agree_to_stop", lambda state, stop=stop: state.meta_step >= stop
            )
            hs.train(learner, tasks, meta_steps=6, meta_batch=2, run=folder, engine=hs.MetaGradient(learner))
        assert learner.order == 2
        return learner.meta_params

    assert largest_difference(trained(6), trained(2, 4, 6)) == 0


def test_more_inner_steps_than_in_training_go_on_with_the_last_norms() -> None:
    learner = maml_plus_plus(order=2)
    support, query = image_episodes().task(0)
    *_, last = learner.adaptation(learner.meta_params, support, STEPS + 2)
    name = "model.blocks.0.norm.weight"
    assert last[name].equal(learner.norms.get_parameter(name)[-1])
    assert learner.predict(last, query.inputs).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"inner_steps": 0}, "inner_steps=0 must be 1 or more"),
        ({"multi_step": 1.5}, "multi_step=1.5 is a share of the training"),
        ({"first_order": -0.1}, "first_order=-0.1 is a share of the training"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, float], named: str) -> None:
    with pytest.raises(hs.BadInputError, match=named):
        hs.MAMLPlusPlus(nn.Linear(2, 3), **settings)  # type: ignore[arg-type]

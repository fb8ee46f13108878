"""Context parameters against a plain autograd loop, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import largest_difference

CONTEXT, INNER_LR = 3, 0.5


def cavia(inner_steps: int = 1, order: int = 2) -> hs.CAVIA:
    torch.manual_seed(0)
    model = hs.MLP(1 + CONTEXT, 1, (8, 8), activation=torch.tanh)
    return hs.CAVIA(model, context=CONTEXT, inner_lr=INNER_LR, inner_steps=inner_steps, order=order).double()


def sinusoids(tasks: int = 3) -> hs.Episodes:
    drawn = hs.SinusoidTasks(shots=5, queries=7).sample(tasks, torch.Generator().manual_seed(0))
    return hs.Episodes(*(hs.Examples(part.inputs.double(), part.targets.double()) for part in drawn))


def plain_loop(model: nn.Module, episode: hs.Episodes, inner_steps: int, order: int) -> tuple[list[Tensor], Tensor]:
    """The textbook: the context as an extra leaf, ``torch.autograd.grad`` with ``create_graph``, no ``torch.func``."""

    def loss_of(context: Tensor, examples: hs.Examples) -> Tensor:
        rows = [torch.cat([features, context]) for features in examples.inputs]
        return F.mse_loss(model(torch.stack(rows)), examples.targets)

    context = torch.zeros(CONTEXT, dtype=torch.float64, requires_grad=True)
    for _ in range(inner_steps):
        (slope,) = torch.autograd.grad(loss_of(context, episode.support), context, create_graph=order == 2)
        context = context - INNER_LR * slope
    return list(torch.autograd.grad(loss_of(context, episode.query), list(model.parameters()))), context.detach()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inner_steps", [0, 1, 4])
def test_equals_a_plain_autograd_loop(inner_steps: int, order: int) -> None:
    learner, episodes = cavia(inner_steps, order), sinusoids()
    gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
    per_task = [plain_loop(learner.model, episodes.task(task), inner_steps, order) for task in range(3)]
    mean = [torch.stack(values).mean(0) for values in zip(*(slopes for slopes, _ in per_task), strict=True)]
    assert largest_difference(gradient, dict(zip(gradient, mean, strict=True))) < 1e-10
    adapted = learner.adapt(learner.meta_params, episodes.task(2).support)
    assert (adapted["context"] - per_task[2][1]).abs().max() < 1e-12


def test_the_orders_differ() -> None:
    exact, first = (cavia(1, order).meta_gradient(cavia().meta_params, sinusoids())[0] for order in (2, 1))
    assert largest_difference(exact, first) > 1e-3


def test_the_context_alone_adapts_and_is_no_meta_parameter() -> None:
    learner = cavia(inner_steps=2)
    assert all(name.startswith("model.") for name in learner.meta_params)
    assert learner.state_dict().keys() == learner.meta_params.keys()
    start, *_, end = learner.adaptation(learner.meta_params, sinusoids().task(0).support, 2)
    assert start["context"].eq(0).all() and end["context"].ne(0).all()
    assert largest_difference({**end, "context": start["context"]}, {**learner.meta_params, **start}) == 0
    gradient, _ = learner.meta_gradient(learner.meta_params, sinusoids())
    assert gradient.keys() == learner.meta_params.keys()


def test_without_a_context_it_is_zero() -> None:
    learner, inputs = cavia(), sinusoids().query.inputs[0]
    zero = {**learner.meta_params, "context": torch.zeros(CONTEXT, dtype=torch.float64)}
    predictions = learner.predict(learner.meta_params, inputs)
    assert predictions.equal(learner.predict(zero, inputs)) and predictions.equal(learner(inputs))
    one = {**learner.meta_params, "context": torch.ones(CONTEXT, dtype=torch.float64)}
    assert not predictions.equal(learner.predict(one, inputs))


@pytest.mark.parametrize("model", [hs.MLP(1), hs.MLP(1 + 5), hs.Conv4(5)])
def test_a_model_without_room_for_the_context_is_named(model: nn.Module) -> None:
    learner = hs.CAVIA(model, context=3)
    episodes = hs.SinusoidTasks(shots=2, queries=2).sample(2, torch.Generator())
    sentence = "1 features and context=3 numbers; give it a first layer of 4 inputs"
    for execution in ("auto", "loop"):
        with pytest.raises(hs.BadInputError, match=sentence):
            hs.MetaGradient(learner, execution)(learner.meta_params, episodes)
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.evaluate(learner, hs.SinusoidTasks(shots=2, queries=2), count=2)


def test_an_error_inside_of_the_model_stays_what_it_is() -> None:
    learner = hs.CAVIA(nn.Sequential(nn.Linear(4, 8), nn.Linear(7, 1)), context=3)
    with pytest.raises(RuntimeError, match="shapes"):
        learner(torch.zeros(2, 1))


@pytest.mark.parametrize("settings", [{"context": 0}, {"order": 3}, {"inner_steps": -1}, {"inner_lr": 0.0}])
def test_bad_arguments_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(hs.BadInputError, match=f"{next(iter(settings))}="):
        hs.CAVIA(hs.MLP(4), **settings)  # type: ignore[arg-type]


def test_a_learned_rule_is_refused() -> None:
    with pytest.raises(hs.BadInputError, match="MetaSGD is learned through the inner updates, which CAVIA does not do"):
        hs.CAVIA(hs.MLP(6), inner_rule=hs.MetaSGD)

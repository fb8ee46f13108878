"""Inputs that are several tensors: everything that runs a learner hands them on as a tuple or a dictionary."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import headstart as hs
from headstart.evaluation.fixed_tasks import fixed_tasks, update_digest
from methods import EXECUTIONS, WAYS, largest_difference, plain_meta_gradient


class TwoInputs(nn.Module):
    """An image and two numbers beside it, with native batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6))
        self.beside = nn.Linear(2, 6)
        self.head = nn.Linear(6, WAYS)

    def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.body(image) + self.beside(numbers)))
        return logits


class TwoInputTasks:
    """Random images and numbers with class targets, as a tuple or as a dictionary in which the image comes last."""

    outputs = WAYS

    def __init__(self, kind: type, dtype: torch.dtype = torch.float32) -> None:
        self.kind, self.dtype = kind, dtype

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        def examples(per_class: int) -> hs.Examples:
            shape = (count, WAYS * per_class)
            image, numbers = (
                torch.randn(*shape, *more, generator=generator, dtype=self.dtype) for more in ((1, 4, 4), (2,))
            )
            inputs = {"numbers": numbers, "image": image} if self.kind is dict else (image, numbers)
            return hs.Examples(inputs, torch.arange(WAYS).repeat(count, per_class))

        return hs.Episodes(examples(2), examples(3))


LEARNERS: dict[str, Any] = {
    "MAML": lambda: hs.MAML(TwoInputs(), inner_lr=0.3, inner_steps=2),
    "Reptile": lambda: hs.Reptile(TwoInputs(), inner_lr=0.1, inner_steps=2, inner_batch=4, inner_rule=hs.SGD),
    "ProtoNet": lambda: hs.ProtoNet(TwoInputs()),
    "ProtoMAML": lambda: hs.ProtoMAML(TwoInputs(), inner_lr=0.1),
}
KINDS = pytest.mark.parametrize("kind", [tuple, dict])


def built(learner: str) -> hs.Learner:
    torch.manual_seed(0)
    subject: hs.Learner = LEARNERS[learner]().double()
    return subject


def drawn(kind: type, count: int = 3) -> hs.Episodes:
    return TwoInputTasks(kind, torch.float64).sample(count, torch.Generator().manual_seed(0))


@KINDS
def test_the_meta_gradient_is_that_of_a_plain_loop(kind: type) -> None:
    torch.manual_seed(0)
    model = TwoInputs().double()

    def loss_of(weights: dict[str, Tensor], examples: hs.Examples) -> Tensor:
        image, numbers = (examples.inputs[name] for name in (("image", "numbers") if kind is dict else (0, 1)))
        return F.cross_entropy(torch.func.functional_call(model, weights, (image, numbers)), examples.targets)

    episodes = drawn(kind)
    expected = plain_meta_gradient(model, episodes, loss_of, inner_lr=0.3, inner_steps=2)
    found, _ = built("MAML").meta_gradient(built("MAML").meta_params, episodes)
    assert largest_difference(found, expected) < 1e-12


@KINDS
@pytest.mark.parametrize("learner", LEARNERS)
def test_every_execution_gives_the_same(learner: str, kind: type) -> None:
    subject, episodes = built(learner), drawn(kind)
    oracle, expected = subject.meta_gradient(subject.meta_params, episodes)
    for settings in EXECUTIONS.values():
        gradient, metrics = hs.MetaGradient(subject, **settings)(subject.meta_params, episodes)
        assert largest_difference(gradient, oracle) < 1e-12, settings
        assert largest_difference(metrics, expected) < 1e-6, settings


@KINDS
@pytest.mark.parametrize("compile", ["whole", "updates"])
def test_every_compiled_form_gives_the_same(kind: type, compile: str, only_traced: None) -> None:
    subject, episodes = built("MAML"), drawn(kind)
    oracle, _ = subject.meta_gradient(subject.meta_params, episodes)
    gradient, _ = hs.MetaGradient(subject, compile=compile)(subject.meta_params, episodes)  # type: ignore[arg-type]
    assert largest_difference(gradient, oracle) < 1e-12


def test_a_program_for_a_tuple_is_none_for_a_dictionary(only_traced: None) -> None:
    """The order of a dictionary is its own: its leaves may have the shapes of a tuple's, the other way round."""

    class Difference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.scale * (left - 2 * right)

    left, right = torch.randn(2, 1, 4, 1, dtype=torch.float64)
    learner = hs.MAML(Difference(), inner_lr=0.1)
    run = hs.MetaGradient(learner, compile="whole")
    for inputs in ((left, right), {"right": right, "left": left}):
        examples = hs.Examples(inputs, torch.zeros(1, 4, 1, dtype=torch.float64))
        episodes = hs.Episodes(examples, examples)
        oracle, _ = learner.meta_gradient(learner.meta_params, episodes)
        assert largest_difference(run(learner.meta_params, episodes)[0], oracle) < 1e-12


@KINDS
@pytest.mark.parametrize("transductive", [True, False])
@pytest.mark.parametrize("learner", LEARNERS)
def test_evaluating_is_that_of_one_task_after_the_other(learner: str, kind: type, transductive: bool) -> None:
    subject, tasks = built(learner), TwoInputTasks(kind, torch.float64)
    result = hs.evaluate(subject, tasks, count=3, transductive=transductive)
    looped = hs.evaluate(subject, tasks, count=3, transductive=transductive, execution="loop")
    assert result.scores.equal(looped.scores) and result.task_hash == looped.task_hash
    episode = fixed_tasks(tasks, 0, "test", range(3)).task(1)
    support, query = episode
    task_params = subject.adapt(subject.meta_params, support)
    if transductive:
        predictions = subject.predict(task_params, query.inputs)
    else:
        batches = (
            tree_map(lambda shown, asked, one=one: torch.cat([shown, asked[[one]]]), support.inputs, query.inputs)
            for one in range(len(query.targets))
        )
        predictions = torch.stack([subject.predict(task_params, batch)[-1] for batch in batches])
    assert result.scores[1, -1] == hs.ACCURACY.of(predictions, query.targets)


@KINDS
def test_training_and_the_tasks_of_a_tuple_and_of_a_dictionary_are_the_same(kind: type) -> None:
    torch.manual_seed(0)
    learner, tasks = hs.MAML(TwoInputs(), inner_lr=0.3), TwoInputTasks(kind)
    before = {name: value.clone() for name, value in learner.meta_params.items()}
    state = hs.train(learner, tasks, meta_steps=3, meta_batch=2, validation=hs.Validation(tasks, every=2, count=2))
    assert state.meta_step == 3 and state.best is not None
    assert all(not value.equal(before[name]) for name, value in learner.meta_params.items() if "head" in name)


def test_the_hash_of_single_tensors_is_that_of_their_bytes() -> None:
    episodes = hs.SinusoidTasks(shots=3, queries=4).sample(2, torch.Generator().manual_seed(0))
    digest, expected = hashlib.sha256(), hashlib.sha256()
    update_digest(digest, episodes)
    for task in range(2):
        for part in episodes.task(task):
            expected.update(part.inputs.numpy().tobytes() + part.targets.numpy().tobytes())
    assert digest.hexdigest() == expected.hexdigest()


def test_a_context_goes_beside_one_tensor_alone() -> None:
    learner = hs.CAVIA(hs.MLP(inputs=3), context=1)
    with pytest.raises(hs.BadInputError, match="concatenate"):
        learner.predict(learner.meta_params, (torch.ones(2, 1), torch.ones(2, 1)))


@KINDS
@pytest.mark.parametrize("learner", LEARNERS)
def test_what_is_fitted_predicts_one_at_a_time_what_it_predicts_of_many(learner: str, kind: type) -> None:
    support, query = drawn(kind).task(0)
    fitted = built(learner).fit(support)
    singles = [fitted(tree_map(lambda tensor, one=one: tensor[[one]], query.inputs)) for one in range(9)]
    torch.testing.assert_close(fitted(query.inputs), torch.cat(singles), rtol=1e-10, atol=1e-10)

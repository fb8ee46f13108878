from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.datasets.image_classes import ImageClasses
from headstart.engine.meta_gradient import MetaGradient
from headstart.episodes import Episodes
from headstart.errors import BadInputError
from headstart.evaluation.evaluate import evaluate
from headstart.learners.base import Learner
from headstart.learners.maml import MAML
from headstart.learners.pretraining import ClassifierPretraining, Pretraining
from headstart.learners.reptile import Reptile
from headstart.learners.scoring import ACCURACY, MSE
from headstart.models.conv4 import Conv4, Norm
from headstart.models.mlp import MLP
from headstart.randomness import derive_generator
from headstart.tasks.classification import ClassificationTasks
from headstart.tasks.distribution import TaskDistribution
from headstart.tasks.sinusoid import SinusoidTasks
from headstart.training.loop import train
from headstart.training.validation import Validation


def image_tasks(ways: int = 3, shots: int = 2, queries: int = 4) -> ClassificationTasks:
    """Each class a random picture, each example that picture with noise: neither trivial nor hopeless."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(12, 1, 1, 8, 8, generator=generator)
    noise = torch.rand(12, 8, 1, 8, 8, generator=generator)
    images = (255 * (0.4 * picture + 0.6 * noise)).to(torch.uint8)
    classes = ImageClasses(images, tuple(f"class{index}" for index in range(12)))
    return ClassificationTasks(classes, ways=ways, shots=shots, queries=queries, rotations="none")


def conv(norm: Norm = "batch", outputs: int = 3) -> Conv4:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Conv4(outputs, width=4, image_size=8, norm=norm)


def maml(norm: Norm = "batch") -> MAML:
    return MAML(conv(norm), inner_lr=0.3, inner_steps=2)


def regressor() -> MAML:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MAML(MLP(1, 1, (8, 8)), inner_lr=0.05, inner_steps=2, loss=F.mse_loss)


LEARNERS: dict[str, Callable[[], Learner]] = {
    "maml": maml,
    "reptile": lambda: Reptile(conv(), inner_steps=2, inner_batch=3),
    "pretraining": lambda: Pretraining(conv(), inner_lr=0.3, inner_steps=2),
    "classifier": lambda: ClassifierPretraining(conv(outputs=9), ways=3, inner_lr=0.3, inner_steps=2),
}


def drawn(tasks: TaskDistribution, count: int, seed: int = 0, purpose: str = "test") -> list[Episodes]:
    """The tasks of an evaluation, without their leading axis."""
    episodes = [tasks.sample(1, derive_generator(seed, purpose, index)) for index in range(count)]
    return [Episodes(*(type(part)(part.inputs[0], part.targets[0]) for part in episode)) for episode in episodes]


def by_hand(learner: Learner, tasks: TaskDistribution, count: int, steps: int, inductive: bool = False) -> np.ndarray:
    """``[task, step]``: plain gradient descent with ``torch.autograd``, one task and one query example at a time."""
    scores = []
    for support, query in drawn(tasks, count):
        params = {name: value.clone().requires_grad_() for name, value in learner.meta_params.items()}
        row = []
        for step in range(steps + 1):
            row.append(score_by_hand(learner, params, support.inputs, query.inputs, query.targets, inductive))
            if step < steps:
                loss = learner.loss(learner.predict(params, support.inputs), support.targets)
                gradients = torch.autograd.grad(loss, list(params.values()))
                params = {
                    name: (value - learner.inner_rule.inner_lr * gradient).detach().requires_grad_()  # type: ignore[attr-defined]
                    for (name, value), gradient in zip(params.items(), gradients, strict=True)
                }
        scores.append(row)
    return np.array(scores)


def score_by_hand(
    learner: Learner, params: dict[str, Tensor], support: Tensor, query: Tensor, targets: Tensor, inductive: bool
) -> float:
    with torch.no_grad():
        if inductive:
            batches = [torch.cat([support, example[None]]) for example in query]
            predictions = torch.stack([learner.predict(params, batch)[-1] for batch in batches])
        else:
            predictions = learner.predict(params, query)
    if targets.is_floating_point():
        return ((predictions - targets) ** 2).mean().item()
    return sum(int(row.argmax()) == int(target) for row, target in zip(predictions, targets, strict=True)) / len(
        targets
    )


# against a computation by hand


@pytest.mark.parametrize("inductive", [False, True])
@pytest.mark.parametrize("make", [maml, regressor])
def test_it_is_what_a_plain_loop_over_tasks_and_steps_finds(make: Any, inductive: bool) -> None:
    learner = make()
    tasks = SinusoidTasks(shots=5, queries=6) if make is regressor else image_tasks()
    result = evaluate(learner, tasks, count=7, transductive=not inductive)
    scores = by_hand(learner, tasks, count=7, steps=2, inductive=inductive)
    assert result.metric == (MSE if make is regressor else ACCURACY)
    assert len(result.by_inner_step) == 3 and result.inner_steps == 2 and result.tasks == 7
    np.testing.assert_allclose(result.scores, scores, rtol=1e-5)
    np.testing.assert_allclose(result.by_inner_step, scores.mean(0), rtol=1e-5)
    np.testing.assert_allclose(result.median_by_inner_step, np.median(scores, 0), rtol=1e-5)
    intervals = 1.96 * scores.std(0, ddof=1) / math.sqrt(7)
    np.testing.assert_allclose(result.interval_by_inner_step, intervals, rtol=1e-4)
    assert result.value == result.by_inner_step[-1] and result.interval == result.interval_by_inner_step[-1]
    assert scores[:, 0].mean() != scores[:, 2].mean()  # adapting did something


def test_more_tasks_than_are_drawn_at_a_time_change_nothing_but_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(maml(), image_tasks(), count=23)
    monkeypatch.setattr("headstart.evaluation.evaluate.BLOCK", 5)
    monkeypatch.setattr("headstart.evaluation.evaluate.tasks_per_chunk", lambda *_: 2)
    parts = evaluate(maml(), image_tasks(), count=23)
    assert parts.task_hash == whole.task_hash
    np.testing.assert_allclose(parts.by_inner_step, whole.by_inner_step, atol=0.02)  # rounding may flip a prediction
    np.testing.assert_allclose(parts.by_inner_step[0], whole.by_inner_step[0], rtol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_steps_before_the_last_do_not_depend_on_how_many_follow(name: str) -> None:
    short, long = (evaluate(LEARNERS[name](), image_tasks(), count=5, inner_steps=steps) for steps in (1, 4))
    assert len(short.by_inner_step) == 2 and len(long.by_inner_step) == 5
    np.testing.assert_allclose(short.by_inner_step, long.by_inner_step[:2], rtol=1e-6)


def test_no_inner_step_is_an_evaluation_of_the_meta_parameters_themselves() -> None:
    result = evaluate(maml(), image_tasks(), count=5, inner_steps=0)
    np.testing.assert_allclose(result.by_inner_step, by_hand(maml(), image_tasks(), 5, steps=0).mean(0), rtol=1e-6)


def test_given_meta_parameters_are_the_ones_that_are_evaluated() -> None:
    learner = maml()
    zeros = {name: torch.zeros_like(value) for name, value in learner.meta_params.items()}
    assert evaluate(learner, image_tasks(), count=5, meta_params=zeros, inner_steps=0).value == pytest.approx(1 / 3)


# transductive and inductive


@pytest.mark.parametrize("norm", ["none", "layer", "group"])
def test_without_batch_norm_transductive_is_inductive(norm: Norm) -> None:
    modes = [evaluate(maml(norm), image_tasks(), count=10, transductive=mode) for mode in (True, False)]
    np.testing.assert_allclose(modes[0].by_inner_step, modes[1].by_inner_step, rtol=1e-6)
    assert [mode.transductive for mode in modes] == [True, False]


def test_with_batch_norm_they_differ() -> None:
    modes = [evaluate(maml("batch"), image_tasks(), count=10, transductive=mode) for mode in (True, False)]
    assert modes[0].by_inner_step != modes[1].by_inner_step


# which tasks


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("transductive", [True, False])
def test_every_learner_and_mode_sees_the_same_tasks(name: str, transductive: bool) -> None:
    result = evaluate(LEARNERS[name](), image_tasks(), count=4, inner_steps=1, transductive=transductive)
    assert result.task_hash == evaluate(maml(), image_tasks(), count=4, inner_steps=0).task_hash


def test_the_hash_is_of_the_tasks() -> None:
    def task_hash(tasks: TaskDistribution, **settings: Any) -> str:
        return evaluate(regressor(), tasks, inner_steps=0, **settings).task_hash

    tasks = SinusoidTasks(shots=3, queries=3)
    assert task_hash(tasks, count=4) == task_hash(tasks, count=4)
    hashes = [
        task_hash(tasks, count=4),
        task_hash(tasks, count=4, seed=1),
        task_hash(tasks, count=4, purpose="validation"),
        task_hash(tasks, count=5),
        task_hash(SinusoidTasks(shots=2, queries=4), count=4),
    ]
    assert len(set(hashes)) == len(hashes)


def test_the_hash_is_the_same_in_every_process() -> None:
    program = (
        "import headstart as hs, torch; torch.manual_seed(1); torch.rand(3);"
        "learner = hs.MAML(hs.MLP(), inner_lr=0.01, loss=torch.nn.functional.mse_loss);"
        "print(hs.evaluate(learner, hs.SinusoidTasks(shots=3, queries=3), count=4).task_hash)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = evaluate(regressor(), SinusoidTasks(shots=3, queries=3), count=4).task_hash
    assert output.strip() == here


# until the interval is narrow enough


@pytest.mark.parametrize("transductive", [True, False])
def test_tasks_are_evaluated_in_rounds_until_the_interval_is_what_was_asked_for(
    transductive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.evaluation.evaluate.BLOCK", 5)
    kind: dict[str, Any] = {"transductive": transductive, "seed": 1}
    first, second, third = (evaluate(maml(), image_tasks(), count=count, **kind) for count in (5, 10, 15))
    assert first.interval > second.interval > third.interval  # one round is not enough, nor are two
    result = evaluate(maml(), image_tasks(), count=20, interval=third.interval, **kind)
    assert result.tasks == 15 and result.record()["tasks"] == 15
    assert result.task_hash == third.task_hash and result.scores.equal(third.scores)


def test_an_interval_that_is_never_reached_takes_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.evaluation.evaluate.BLOCK", 5)
    assert evaluate(maml(), image_tasks(), count=12, interval=1e-9).tasks == 12
    diverging = MAML(MLP(), inner_lr=1e30, inner_steps=2)
    assert evaluate(diverging, SinusoidTasks(shots=3, queries=3), count=12, interval=1e9).tasks == 12


@pytest.mark.parametrize("interval", [0.0, -1.0, math.nan, math.inf])
def test_an_interval_that_is_none_is_refused(interval: float) -> None:
    with pytest.raises(BadInputError, match=r"interval=.* must be positive and finite, or None"):
        evaluate(regressor(), SinusoidTasks(shots=2, queries=2), count=3, interval=interval)


# what stays as it is


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("transductive", [True, False])
def test_nothing_is_changed(name: str, transductive: bool) -> None:
    learner = LEARNERS[name]()
    parameters = {key: (id(value), value.detach().clone()) for key, value in learner.named_parameters()}
    trained = learner.trained_names
    random_state = torch.get_rng_state()
    evaluate(learner, image_tasks(), count=3, transductive=transductive)
    assert torch.equal(torch.get_rng_state(), random_state)
    for key, value in learner.named_parameters():
        assert id(value) == parameters[key][0] and value.grad is None and value.requires_grad == (key in trained)
        assert torch.equal(value, parameters[key][1])


class Noise(nn.Module):
    """Random in training and in evaluation alike."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + 0.1 * torch.randn_like(inputs)


def test_a_random_model_is_evaluated_repeatably_and_the_global_generator_stays() -> None:
    learner = MAML(nn.Sequential(Noise(), MLP(1, 1, (8, 8))), inner_lr=0.05, loss=F.mse_loss)
    random_state = torch.get_rng_state()
    first = evaluate(learner, SinusoidTasks(shots=3, queries=3), count=4)
    assert torch.equal(torch.get_rng_state(), random_state)
    torch.rand(1)
    again = evaluate(learner, SinusoidTasks(shots=3, queries=3), count=4)
    assert first.by_inner_step == again.by_inner_step


def test_dropout_is_off_in_evaluation_and_every_module_is_left_in_its_mode() -> None:
    net = MLP(1, 1, (8, 8))
    learner = MAML(nn.Sequential(nn.Dropout(0.5), net), inner_lr=0.05, loss=F.mse_loss)
    learner.model[1].eval()  # type: ignore[index]
    modes = [module.training for module in learner.modules()]
    result = evaluate(learner, SinusoidTasks(shots=3, queries=3), count=4)
    assert [module.training for module in learner.modules()] == modes
    plain = evaluate(MAML(net, inner_lr=0.05, loss=F.mse_loss), SinusoidTasks(shots=3, queries=3), count=4)
    np.testing.assert_allclose(result.by_inner_step, plain.by_inner_step, rtol=1e-6)


# what is refused, and what is reported


@pytest.mark.parametrize(("count", "steps"), [(1, 1), (0, 1), (-5, 1), (10, -1)])
def test_numbers_out_of_range_are_refused(count: int, steps: int) -> None:
    with pytest.raises(BadInputError, match=f"count={count}, steps={steps}"):
        evaluate(regressor(), SinusoidTasks(shots=2, queries=2), count=count, inner_steps=steps)


class Branching(nn.Module):
    """A model that ``vmap`` cannot run, since its control flow depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.linear(inputs if inputs.sum() > 0 else -inputs)
        return outputs


@pytest.mark.parametrize("transductive", [True, False])
def test_a_model_that_vmap_cannot_run_is_trained_and_evaluated_in_a_loop(transductive: bool) -> None:
    tasks = SinusoidTasks(shots=3, queries=2)
    learner = MAML(Branching(), inner_lr=0.01)
    train(
        learner,
        tasks,
        meta_steps=2,
        meta_batch=2,
        engine=MetaGradient(learner, "loop"),
        validation=Validation(tasks, every=1, count=2),
    )
    result = evaluate(learner, tasks, count=3, transductive=transductive, execution="loop")
    assert all(math.isfinite(value) for value in result.by_inner_step)


@pytest.mark.parametrize("transductive", [True, False])
def test_the_loop_evaluates_as_the_chunks_do(transductive: bool) -> None:
    tasks = SinusoidTasks(shots=3, queries=2)
    learner = MAML(MLP(hidden=(4, 4), norm="batch"), inner_lr=0.01)
    loop, chunks = (
        evaluate(learner, tasks, count=5, transductive=transductive, execution=execution)
        for execution in ("loop", "auto")
    )
    assert loop.by_inner_step == pytest.approx(chunks.by_inner_step, rel=1e-5)
    assert loop.task_hash == chunks.task_hash

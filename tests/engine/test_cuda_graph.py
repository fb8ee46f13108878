"""A meta-step as one CUDA graph, all but the GPU: what a recording repeats must be the whole meta-step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recorded import record
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

import headstart as hs
from headstart.engine import cuda_graph
from headstart.engine.cuda_graph import Recording
from headstart.runs.folder import RunFolder
from headstart.tasks.distribution import TaskDistribution
from headstart.tasks.supervised import SupervisedTasks
from headstart.training.state import TrainingState
from methods import LEARNERS, MECHANISMS, WAYS, case

META_STEPS = 2 * cuda_graph.WARM_UPS + 4
IMAGES = torch.randint(0, 256, (12, 6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = hs.ImageClasses(IMAGES, tuple("abcdefghijkl"))
TASKS = hs.ClassificationTasks(CLASSES, ways=WAYS, shots=1, queries=2, rotations="tasks")
HALVES = [CLASSES.choose(names) for names in ("abcdef", "ghijkl")]
HELD_OUT = hs.HeldOutTasks(*(hs.ClassificationTasks(half, ways=WAYS, shots=1, queries=2) for half in HALVES))


def adam(parameters: Iterable[Tensor]) -> Optimizer:
    """As a GPU needs it: fused, its learning rate a tensor."""
    return torch.optim.Adam(parameters, lr=torch.tensor(0.01), fused=True, capturable=True)


def with_tape(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """From now on the CPU counts as a GPU, and a tape is its CUDA graph; an entry for every time it is replayed."""
    replayed = []

    def counted(function: Callable[[], Any], generator: torch.Generator) -> Recording[Any]:
        replay, result = record(function, generator)

        def replay_and_count() -> None:
            replayed.append(None)
            replay()

        return replay_and_count, result

    monkeypatch.setattr(cuda_graph, "DEVICES", ("cpu",))
    monkeypatch.setattr(cuda_graph, "record", counted)
    monkeypatch.setattr(cuda_graph, "call_aside", lambda function, device: function())
    return replayed


def new_learner(method: str, dropout: float = 0.0) -> hs.Learner:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hs.Conv4(WAYS, width=4, image_size=8)
        return LEARNERS[method](nn.Sequential(nn.Dropout(dropout), model) if dropout else model)


def trained(
    learner: hs.Learner, tasks: TaskDistribution = TASKS, path: Path | None = None, **settings: Any
) -> tuple[dict[str, Tensor], TrainingState]:
    settings = {"optimizer": adam, "meta_steps": META_STEPS, **settings}
    run = RunFolder(path, {}) if path else None
    state = hs.train(learner, tasks, meta_batch=2, seed=3, run=run, **settings)
    return {name: value.clone() for name, value in learner.meta_params.items()}, state


def metrics(state: TrainingState) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in state.log]


def check(
    make: Callable[[], hs.Learner],
    monkeypatch: pytest.MonkeyPatch,
    called: int = cuda_graph.WARM_UPS,
    **settings: Any,
) -> None:
    """Training by recordings is training, bitwise; so many meta-steps are called, and all others repeated."""
    expected, plain = trained(make(), **settings)
    replayed = with_tape(monkeypatch)
    found, state = trained(make(), **settings)
    assert len(replayed) == META_STEPS - called
    assert metrics(state) == metrics(plain)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("method", [case(name, repeats=name not in MECHANISMS) for name in LEARNERS])
def test_a_recording_of_every_learner_is_its_whole_meta_step(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method.startswith(("StructureSearch", "T-NAS")):
        check(lambda: new_learner(method), monkeypatch, called=2 * cuda_graph.WARM_UPS, tasks=HELD_OUT)
    elif method == "ClassifierPretraining":
        classifier = hs.Conv4(ways=len(IMAGES), width=4, image_size=8)
        tasks = SupervisedTasks(CLASSES, examples=6, rotations="none")
        check(lambda: hs.ClassifierPretraining(classifier, ways=WAYS), monkeypatch, tasks=tasks)
    elif method == "MAML++":  # evaluates every inner step in the first meta-step alone
        check(lambda: new_learner(method), monkeypatch, called=1 + cuda_graph.WARM_UPS)
    elif method == "MAML++-first-order":  # and is of the first order in the next three, each kind recorded anew
        check(lambda: new_learner(method), monkeypatch, called=1 + 2 * cuda_graph.WARM_UPS)
    else:
        check(lambda: new_learner(method), monkeypatch)


def test_the_learning_rate_follows_its_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = partial(CosineAnnealingLR, T_max=META_STEPS)
    check(lambda: new_learner("FOMAML"), monkeypatch, scheduler=schedule)


def test_dropout_is_drawn_anew_at_every_meta_step(monkeypatch: pytest.MonkeyPatch) -> None:
    check(lambda: new_learner("MAML", dropout=0.3), monkeypatch)


def test_momentum_starts_before_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    def momentum(parameters: Iterable[Tensor]) -> Optimizer:
        return torch.optim.SGD(parameters, lr=torch.tensor(0.05), momentum=0.9, fused=True)

    check(lambda: new_learner("Reptile"), monkeypatch, optimizer=momentum)


def test_the_tape_would_notice_what_a_graph_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that counts its calls in Python is recorded with the count of that call."""

    class Growing(hs.SGD):
        calls = 0

        def update(self, params: Any, gradient: Any, *arguments: Any) -> Any:
            type(self).calls += 1
            larger = {name: self.calls * value for name, value in gradient.items()}
            return super().update(params, larger, *arguments)

    def make(rule: type[hs.SGD]) -> hs.Learner:
        Growing.calls = 0
        torch.manual_seed(0)
        return hs.MAML(hs.Conv4(WAYS, width=4, image_size=8), inner_lr=0.1, inner_rule=rule)

    with monkeypatch.context() as context, pytest.raises(AssertionError):
        check(lambda: make(Growing), context)
    check(lambda: make(hs.SGD), monkeypatch)


def test_a_schedule_of_more_than_the_learning_rate_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The momentum that it moves is a number of the host."""
    schedule = partial(OneCycleLR, max_lr=0.1, total_steps=META_STEPS)
    check(lambda: new_learner("FOMAML"), monkeypatch, called=META_STEPS, scheduler=schedule)


def sentences(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "CUDA graph" in record.getMessage()]


def test_what_waits_for_the_gpu_goes_on_as_it_is_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Waiting(hs.MAML):
        def draw(self, tasks: TaskDistribution, count: int, generator: torch.Generator) -> hs.Episodes:
            episodes = super().draw(tasks, count, generator)
            assert episodes.query.inputs.sum().item() > 0
            return episodes

    def make() -> hs.Learner:
        torch.manual_seed(0)
        return Waiting(hs.Conv4(WAYS, width=4, image_size=8))

    expected, _ = trained(make())
    replayed = with_tape(monkeypatch)
    with caplog.at_level(logging.INFO, logger="headstart"):
        found, _ = trained(make())
    assert not replayed
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    (sentence,) = sentences(caplog)
    assert sentence.startswith("meta-steps are not launched as one CUDA graph, since they cannot be recorded: aten.")


@pytest.mark.parametrize(
    "make",
    [
        torch.optim.Adam,
        partial(torch.optim.Adam, lr=0.01, fused=True),
        partial(torch.optim.Adam, lr=torch.tensor(0.01)),
        partial(torch.optim.SGD, lr=0.01, fused=True),
        partial(torch.optim.Adagrad, lr=torch.tensor(0.01)),
    ],
)
def test_an_optimizer_that_the_host_takes_part_in_is_not_recorded(
    make: Callable[[Iterable[Tensor]], Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = with_tape(monkeypatch)
    trained(new_learner("FOMAML"), optimizer=make)
    assert not replayed


def test_only_what_is_all_on_one_gpu_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, meta = torch.device("cpu"), torch.device("meta")
    outer = adam([torch.zeros(2, requires_grad=True)])
    assert not cuda_graph.can_be_recorded(outer, cpu, cpu)
    monkeypatch.setattr(cuda_graph, "DEVICES", ("cpu", "meta"))
    assert cuda_graph.can_be_recorded(outer, tasks_on=cpu, params_on=cpu)
    assert not cuda_graph.can_be_recorded(outer, tasks_on=meta, params_on=cpu)
    assert not cuda_graph.can_be_recorded(outer, tasks_on=meta, params_on=meta), "the learning rate is on the CPU"
    monkeypatch.setattr(cuda_graph, "world_size", lambda: 2)
    assert not cuda_graph.can_be_recorded(outer, cpu, cpu), "another process has a part of the tasks"


@pytest.mark.parametrize("choices", [{"execution": "vmap"}, {"recompute": True}])
def test_a_forced_execution_and_a_recomputed_inner_loop_are_not_recorded(
    choices: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, by_recordings = new_learner("MAML"), new_learner("MAML")
    expected, _ = trained(learner, engine=hs.MetaGradient(learner, **choices))
    replayed = with_tape(monkeypatch)
    found, _ = trained(by_recordings, engine=hs.MetaGradient(by_recordings, **choices))
    assert not replayed
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("recorded_before", [0, 1])
def test_where_a_recording_fails_training_goes_on_as_if_it_had_not_been_tried(
    recorded_before: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one, or that of another kind of meta-step later on; and it is not tried again."""
    tried = []

    def failing(function: Callable[[], Any], generator: torch.Generator) -> Recording[Any]:
        tried.append(None)
        if len(tried) <= recorded_before:
            return record(function, generator)
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nand advice for debugging")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    expected, plain = trained(new_learner("StructureSearch"), tasks=HELD_OUT)
    with_tape(monkeypatch)
    monkeypatch.setattr(cuda_graph, "record", failing)
    with caplog.at_level(logging.INFO, logger="headstart"):
        found, state = trained(new_learner("StructureSearch"), tasks=HELD_OUT)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert metrics(state) == metrics(plain)
    assert len(tried) == 1 + recorded_before
    assert sentences(caplog)[recorded_before:] == [
        "meta-steps are not launched as one CUDA graph, since they cannot be recorded: "
        "operation not permitted when stream is capturing"
    ]


def test_a_recording_that_fails_puts_back_what_pytorch_leaves_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a CUDA of words: what ``record`` asks of PyTorch, and that nothing is left as within a recording."""

    class Generator:
        device, state = "cuda:0", "as it was"

        def clone_state(self) -> str:
            return self.state

        def graphsafe_set_state(self, state: str) -> None:
            self.state = state

    class Graph:
        def pool(self) -> str:
            return "pool"

        def register_generator_state(self, generator: Generator) -> None:
            generator.state = default.state = "recording"

    @contextmanager
    def capture(graph: Graph, stream: object) -> Iterator[None]:
        seen.append("begin")
        try:
            yield
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    def waiting() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    seen: list[str] = []
    own, default = Generator(), Generator()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "default_generators", (default,))
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *where: seen.append(f"end {where}"), raising=False)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: SimpleNamespace(device_index=0))
    with pytest.raises(RuntimeError, match="previous error") as caught:
        cuda_graph.record(waiting, own)  # type: ignore[arg-type]
    assert str(caught.value.__context__) == "operation not permitted when stream is capturing"
    assert (own.state, default.state) == ("as it was", "as it was")
    assert seen == ["begin", "end (0, 'pool')"]


@pytest.mark.parametrize("rotations", ["classes", "tasks", "none"])
def test_tasks_are_drawn_on_one_device(rotations: Any) -> None:
    """A tensor whose device nobody names would be of another one here."""
    tasks = hs.ClassificationTasks(CLASSES, ways=WAYS, shots=1, queries=2, rotations=rotations)
    for distribution in (tasks, SupervisedTasks(CLASSES, examples=6)):
        expected = distribution.sample(2, torch.Generator().manual_seed(0))
        with torch.device("meta"):
            drawn = distribution.sample(2, torch.Generator("cpu").manual_seed(0))
        assert torch.equal(drawn.query.inputs, expected.query.inputs)


@pytest.mark.parametrize("method", LEARNERS)
def test_a_meta_gradient_is_taken_on_one_device(method: str) -> None:
    learner = new_learner(method)
    episodes = TASKS.sample(2, torch.Generator().manual_seed(0))
    expected, _ = learner.meta_gradient(learner.meta_params, episodes)
    with torch.device("meta"):
        found, _ = learner.meta_gradient(learner.meta_params, episodes)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def cosine(outer: Optimizer) -> LRScheduler:
    return CosineAnnealingLR(outer, T_max=9)


@pytest.mark.parametrize("here_fused", [True, False])
def test_a_run_goes_on_where_its_optimizer_runs_in_another_way(here_fused: bool, tmp_path: Path) -> None:
    def plain(parameters: Iterable[Tensor]) -> Optimizer:
        return torch.optim.Adam(parameters, lr=0.01)

    first, then = (plain, adam) if here_fused else (adam, plain)
    settings: dict[str, Any] = {"path": tmp_path, "scheduler": cosine, "checkpoint_every": 2}
    trained(new_learner("FOMAML"), optimizer=first, meta_steps=4, **settings)
    found, state = trained(new_learner("FOMAML"), optimizer=then, meta_steps=7, **settings)
    expected, _ = trained(new_learner("FOMAML"), optimizer=plain, meta_steps=7, scheduler=cosine)
    assert state.meta_step == 7
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)

"""The compiled meta-gradient is the eager one, whatever is compiled, and compiling never stops a run."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from headstart.engine.compilation import Programs, traced
from headstart.engine.meta_gradient import MOST_KINDS
from headstart.learners.checkpointing import Checkpointing
from methods import (
    EVERY_MODEL,
    LEARNERS,
    MECHANISMS,
    PAIRS,
    SIDES,
    WAYS,
    built,
    case,
    image_episodes,
    largest_difference,
    not_compiled,
)

WHOLE = [pytest.param(*pair.values, "whole", marks=pair.marks) for pair in PAIRS]
NOT_ADAPTING = ("Pretraining", "ClassifierPretraining")
ADAPTING = [name for name, make in LEARNERS.items() if make(hs.Conv4(WAYS)).inner_steps and name not in NOT_ADAPTING]
BY_UPDATES = [
    case(learner, "MLP-none" if learner in EVERY_MODEL else "user", "updates", repeats=learner not in MECHANISMS)
    for learner in ADAPTING
]


@pytest.mark.parametrize(("learner", "model", "form"), [*WHOLE, *BY_UPDATES])
def test_what_is_compiled_is_the_eager_meta_gradient(learner: str, model: str, form: Any, only_traced: None) -> None:
    subject = built(learner, model)
    episodes = image_episodes(tasks=4, size=SIDES.get(model, 8))
    oracle, expected = subject.meta_gradient(subject.meta_params, episodes)
    run = hs.MetaGradient(subject, "chunks", chunk_size=2, compile=form)
    for _ in range(2):
        gradient, metrics = run(dict(subject.named_parameters()), episodes)
        assert largest_difference(gradient, oracle) < 1e-10
        assert largest_difference(metrics, expected) < 1e-6
    assert is_compiled(run)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As on a user's machine, where large loops of a compiled program are shared by all cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_graph_is_the_same_without_the_notes_that_these_tests_leave_out() -> None:
    subject = built("MAML", "user")
    arguments = dict(subject.named_parameters()), image_episodes(tasks=2)
    noted = traced(subject.meta_gradient, arguments)
    with not_compiled():
        bare = traced(subject.meta_gradient, arguments)
    assert "val" in next(iter(noted.graph.nodes)).meta and "val" not in next(iter(bare.graph.nodes)).meta
    assert bare.code == noted.code
    constants = noted.state_dict()
    assert bare.state_dict().keys() == constants.keys()
    assert all(torch.equal(value, constants[name]) for name, value in bare.state_dict().items())


@pytest.mark.parametrize(
    ("learner", "model", "form"),
    [
        *(case(name, "MLP-none", "whole", repeats=True) for name in (*EVERY_MODEL, "MetaSGD", "MetaCurvature")),
        case("MAML", "Conv4-batch", "whole", repeats=True),
        case("MAML", "user", "whole", repeats=True),
        ("MAML", "MLP-batch", "updates"),
    ],
)
def test_the_compiled_program_gives_the_same_without_recompiling(
    learner: str, model: str, form: Any, two_threads: None
) -> None:
    subject = built(learner, model)
    run = hs.MetaGradient(subject, "chunks", chunk_size=2, compile=form)
    run(subject.meta_params, image_episodes(tasks=4, seed=1))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in (2, 3):
            episodes = image_episodes(tasks=4, seed=seed)
            gradient, metrics = run(dict(subject.named_parameters()), episodes)
            oracle, expected = subject.meta_gradient(subject.meta_params, episodes)
            assert largest_difference(gradient, oracle) < 1e-10
            assert largest_difference(metrics, expected) < 1e-6
            with torch.no_grad():
                for parameter in subject.parameters():
                    parameter.mul_(0.9)
    assert is_compiled(run)


@pytest.mark.parametrize("form", ["whole", "updates"])
def test_buffers_are_not_frozen_into_the_program(form: Any, only_traced: None) -> None:
    subject = built("MAML", "user")
    run = hs.MetaGradient(subject, compile=form)
    episodes = image_episodes()
    before, _ = run(subject.meta_params, episodes)
    subject.model.shift.fill_(3.0)
    after, _ = run(subject.meta_params, episodes)
    assert largest_difference(after, before) > 1e-4
    assert largest_difference(after, subject.meta_gradient(subject.meta_params, episodes)[0]) < 1e-10
    assert is_compiled(run)


@pytest.mark.parametrize("form", ["whole", "updates"])
def test_a_learner_that_was_changed_is_compiled_anew(form: Any, only_traced: None) -> None:
    subject = built("MAML", "MLP-none")
    run = hs.MetaGradient(subject, compile=form)
    episodes = image_episodes()

    def check() -> None:
        expected, _ = subject.meta_gradient(subject.meta_params, episodes)
        assert largest_difference(run(subject.meta_params, episodes)[0], expected) < 1e-10

    check()
    subject.inner_steps = 1
    check()
    subject.inner_rule = hs.SGD(0.01)
    check()
    subject.order = 1
    check()
    next(subject.parameters()).requires_grad_(False)
    check()


class Scaled(nn.Module):
    """A model with a plain attribute, in a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.temperature, self.switches = nn.Linear(64, 3), 1.0, [True]

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.temperature * self.body(inputs.flatten(1))
        return logits if self.switches[0] else logits.tanh()


@pytest.mark.parametrize("form", ["whole", "updates"])
def test_a_plain_attribute_of_the_model_may_change(form: Any, only_traced: None) -> None:
    subject = hs.MAML(nn.Sequential(Scaled()), inner_lr=0.3, inner_steps=2).double()
    run, episodes, seen = hs.MetaGradient(subject, compile=form), image_episodes(), []

    def check() -> None:
        expected, _ = subject.meta_gradient(subject.meta_params, episodes)
        found, _ = run(subject.meta_params, episodes)
        assert largest_difference(found, expected) < 1e-10
        assert not any(largest_difference(found, before) < 1e-3 for before in seen)
        seen.append(found)

    check()
    subject.model[0].temperature = 3.0
    check()
    subject.model[0].switches[0] = False
    check()
    assert len(run._programs) == 3
    subject.model[0].temperature, subject.model[0].switches[0] = 1.0, True
    assert largest_difference(run(subject.meta_params, episodes)[0], seen[0]) < 1e-10
    assert len(run._programs) == 3, "the first program serves again"


def test_a_model_that_changes_all_the_time_is_not_compiled_for_ever(
    only_traced: None, caplog: pytest.LogCaptureFixture
) -> None:
    subject = hs.MAML(Scaled(), inner_lr=0.3).double()
    run, episodes = hs.MetaGradient(subject, compile=True), image_episodes()
    with caplog.at_level(logging.INFO, "headstart"):
        for step in range(MOST_KINDS + 3):
            subject.model.temperature = 1.0 + step / 10
            subject.progress = step  # an attribute of the learner, which the plan would be made anew for
            found, _ = run(subject.meta_params, episodes)
            assert largest_difference(found, subject.meta_gradient(subject.meta_params, episodes)[0]) < 1e-10
    assert len(run._programs) == MOST_KINDS
    assert caplog.text.count("not compiled any more: the learner or its model has changed 8 times") == 1
    assert caplog.text.count("meta-gradient of 5 tasks") == MOST_KINDS


@dataclass
class Halving(hs.UpdateRule):
    """A user's rule, as it first comes to mind: a plain dataclass, which Python makes unhashable."""

    rate: float
    factors: list[float] = field(default_factory=lambda: [1.0, 0.5])

    def update(self, params: Any, gradient: Any, state: Any, step: int, rule_params: Any) -> Any:
        return {name: value - self.rate * self.factors[step] * gradient[name] for name, value in params.items()}, state


@pytest.mark.parametrize("form", [False, "whole", "updates"])
def test_a_rule_need_not_be_hashable(form: Any, only_traced: None) -> None:
    subject = hs.MAML(hs.MLP(64, 3, (8,), activation=torch.tanh), inner_rule=Halving, inner_steps=2).double()
    run, episodes = hs.MetaGradient(subject, compile=form), image_episodes()
    for rate in (0.3, 0.1):
        subject.inner_rule.rate = rate
        expected, _ = subject.meta_gradient(subject.meta_params, episodes)
        assert largest_difference(run(subject.meta_params, episodes)[0], expected) < 1e-10
    subject.inner_rule.factors[1] = 2.0
    expected, _ = subject.meta_gradient(subject.meta_params, episodes)
    assert largest_difference(run(subject.meta_params, episodes)[0], expected) < 1e-10


@pytest.mark.parametrize("steps", [2, 5])
def test_equal_updates_share_a_program(steps: int, only_traced: None) -> None:
    """One for the update, one for its derivative."""
    learner = hs.MAML(hs.MLP(64, 3, (8,), activation=torch.tanh), inner_lr=0.3, inner_steps=steps).double()
    run = hs.MetaGradient(learner, compile="updates")
    run(learner.meta_params, image_episodes())
    assert is_compiled(run)
    assert len(programs_of_updates(run).compiled) == 2


def test_updates_that_differ_do_not_share_a_program(only_traced: None) -> None:
    """With rates of its own each inner step is another function."""
    learner = hs.MAML(hs.MLP(64, 3, (8,)), inner_lr=0.3, inner_steps=3, inner_rule=hs.LayerStepRates).double()
    run = hs.MetaGradient(learner, compile="updates")
    run(learner.meta_params, image_episodes())
    assert is_compiled(run)
    assert len(programs_of_updates(run).compiled) == 6


def test_updates_with_other_derivatives_do_not_share_a_program(only_traced: None) -> None:
    """They do the same, but every other one counts something as a constant."""

    class Stopping(hs.SGD):
        def update(self, params: Any, gradient: Any, state: Any, step: int, rule_params: Any) -> Any:
            def size(value: Tensor) -> Tensor:
                with torch.set_grad_enabled(step % 2 == 0):
                    return value.square().mean().sqrt()

            gradient = {name: value * size(value) + value.tanh() for name, value in gradient.items()}
            return super().update(params, gradient, state, step, rule_params)

    model = hs.MLP(64, 3, (8,), activation=torch.tanh)
    learner = hs.MAML(model, inner_lr=3.0, inner_steps=4, inner_rule=Stopping).double()
    run = hs.MetaGradient(learner, compile="updates")
    expected, _ = hs.MetaGradient(learner, recompute=True)(learner.meta_params, image_episodes())
    found, _ = run(learner.meta_params, image_episodes())
    assert largest_difference(found, expected) < 1e-10
    assert is_compiled(run)
    assert len(programs_of_updates(run).compiled) == 3


def test_the_order_of_the_meta_parameters_does_not_matter(only_traced: None) -> None:
    learner = hs.MAML(hs.MLP(8, 8, (8, 8), activation=torch.tanh), inner_lr=0.3, inner_steps=2).double()
    examples = hs.Examples(torch.randn(3, 6, 8).double(), torch.arange(6).repeat(3, 1))
    episodes, run = hs.Episodes(examples, examples), hs.MetaGradient(learner, compile="updates")
    expected, _ = run(learner.meta_params, episodes)
    found, _ = run(dict(reversed(learner.meta_params.items())), episodes)
    assert largest_difference(dict(reversed(found.items())), expected) < 1e-12


def test_updates_that_are_equal_for_one_support_set_may_differ_for_another(only_traced: None) -> None:
    """Mini-batches of six are the whole of a small support set, and different parts of a larger one."""
    learner = hs.Reptile(hs.MLP(64, 3, (8,)), inner_lr=0.3, inner_steps=3, inner_batch=6, inner_rule=hs.SGD).double()
    run = hs.MetaGradient(learner, compile="updates")
    for shots in (2, 5):
        episodes = image_episodes(shots=shots)
        expected, _ = learner.meta_gradient(learner.meta_params, episodes)
        found, _ = run(learner.meta_params, episodes)
        assert largest_difference(found, expected) < 1e-10
    assert is_compiled(run)


@pytest.mark.parametrize("rule", [hs.SGD, hs.Adam])
def test_compiled_updates_may_be_recomputed_in_segments(rule: Any, only_traced: None) -> None:
    model = hs.MLP(64, 3, (8,), norm="batch", activation=torch.tanh)
    learner = hs.MAML(model, inner_lr=0.05, inner_steps=7, inner_rule=rule).double()
    expected, _ = learner.meta_gradient(learner.meta_params, image_episodes())
    run = hs.MetaGradient(learner, compile="updates", recompute=True)
    found, _ = run(learner.meta_params, image_episodes())
    assert largest_difference(found, expected) < 1e-10
    assert is_compiled(run)


def programs_of_updates(run: hs.MetaGradient) -> Programs:
    (how,) = run._programs.values()
    assert isinstance(how, Checkpointing) and how.call is not None
    return how.call.programs  # type: ignore[attr-defined,no-any-return]


def is_compiled(run: hs.MetaGradient) -> bool:
    """Whether there is one program, of one shape, and it is not the function itself, fallen back upon; or one for
    every update and its derivative."""
    (programs,) = run._programs.values()
    if isinstance(programs, Checkpointing):
        programs = programs_of_updates(run)
        return bool(programs.programs) and not programs.failed
    return len(programs.programs) == 1 and not programs.failed


class WithDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(nn.functional.dropout(inputs.flatten(1), 0.5, self.training))
        return logits


@pytest.mark.full
def test_dropout_is_drawn_anew_at_every_call_and_follows_the_seed_and_the_mode() -> None:
    subject = hs.MAML(WithDropout(), inner_lr=0.1).double()
    run = hs.MetaGradient(subject, compile=True)
    episodes = image_episodes()

    def gradient(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return run(subject.meta_params, episodes)[0]

    first = gradient(0)
    assert largest_difference(gradient(0), first) == 0
    assert largest_difference(gradient(1), first) > 1e-4
    subject.eval()
    assert largest_difference(gradient(2), subject.meta_gradient(subject.meta_params, episodes)[0]) < 1e-10


def test_updates_with_dropout_run_eagerly_since_their_masks_are_drawn_again(caplog: pytest.LogCaptureFixture) -> None:
    subject = hs.MAML(WithDropout(), inner_lr=0.1, inner_steps=3).double()
    episodes = image_episodes()
    with caplog.at_level(logging.INFO, "headstart"):
        torch.manual_seed(0)
        found, _ = hs.MetaGradient(subject, "vmap", compile="updates")(subject.meta_params, episodes)
    torch.manual_seed(0)
    expected, _ = hs.MetaGradient(subject, "vmap", recompute=True)(subject.meta_params, episodes)
    assert largest_difference(found, expected) < 1e-12
    assert caplog.text.count("a model that draws random numbers is not compiled update by update") == 1


def test_what_cannot_be_compiled_runs_eagerly_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def depends_on_data(values: Tensor) -> Tensor:
        return values * 2 if values.sum().item() > 0 else values

    with caplog.at_level(logging.INFO, "headstart"):
        assert Programs()("double", depends_on_data, torch.tensor([1.0])).item() == 2
    (record,) = caplog.records
    assert record.message.startswith("not compiled, but run eagerly: ")
    assert "\n" not in record.message


PROGRAM = """
import logging, sys, torch
import headstart as hs
from headstart.system.process import keep_compiled_programs
keep_compiled_programs()  # as the command line does
logging.basicConfig(format="%(message)s", stream=sys.stdout, level=logging.INFO)
torch.manual_seed(0)
learner = hs.MAML(torch.nn.Linear(2, 3))
examples = hs.Examples(torch.randn(2, 3, 2), torch.arange(3).repeat(2, 1))
gradient, _ = hs.MetaGradient(learner, compile=True)(learner.meta_params, hs.Episodes(examples, examples))
oracle, _ = learner.meta_gradient(learner.meta_params, hs.Episodes(examples, examples))
print(max((gradient[name] - oracle[name]).abs().max().item() for name in oracle) < 1e-5)
"""


def run_program(cache: Path, **environment: str) -> str:
    settings = {name: value for name, value in os.environ.items() if name not in ("TORCHINDUCTOR_CACHE_DIR", "CXX")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**settings, "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_without_a_compiler_it_runs_eagerly(tmp_path: Path) -> None:
    output = run_program(tmp_path, PATH="")
    assert "not compiled, but run eagerly: no C++ compiler was found; install g++" in output
    assert output.endswith("True\n")


SCRIPT = """
import ctypes, os, torch
import headstart as hs
before, ctypes.CDLL = dict(os.environ), None  # in which mallopt would be looked for
learner, tasks = hs.MAML(hs.MLP()), hs.SinusoidTasks(shots=2, queries=2)
hs.MetaGradient(learner)(learner.meta_params, tasks.sample(2, torch.Generator()))
hs.train(learner, tasks, meta_steps=2)
new = {name: value for name, value in os.environ.items() if before.get(name) != value}
assert new.keys() <= {"TORCHINDUCTOR_CACHE_DIR"}  # PyTorch names a folder for temporary files by itself
assert not any(before["XDG_CACHE_HOME"] in value for value in new.values()), new
"""


def test_a_script_of_ones_own_has_nothing_set_of_its_process(tmp_path: Path) -> None:
    """The folder of compiled programs is the command line's business, as is how the C library keeps memory."""
    settings = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", SCRIPT], env={**settings, "XDG_CACHE_HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_the_next_run_finds_the_program_on_disk(tmp_path: Path) -> None:
    def libraries() -> dict[Path, float]:
        return {path: path.stat().st_mtime for path in tmp_path.rglob("*.so")}

    assert "operations in" in run_program(tmp_path)
    first = libraries()
    assert first
    assert "operations in" in run_program(tmp_path)
    assert libraries() == first

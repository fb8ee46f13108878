"""The compiled meta-gradient is the eager one, whatever is compiled, and compiling never stops a run."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from headstart.compilation import Compiled
from methods import EVERY_MODEL, PAIRS, built, image_episodes, largest_difference


@pytest.fixture
def only_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph that would be compiled is run as it is, which takes seconds less."""
    monkeypatch.setattr(torch, "compile", lambda graph, **settings: graph)


@pytest.mark.parametrize(("learner", "model"), PAIRS)
def test_what_is_compiled_is_the_eager_meta_gradient(learner: str, model: str, only_traced: None) -> None:
    subject = built(learner, model)
    episodes = image_episodes(tasks=4, size=16 if model == "Conv4-max_pool" else 8)
    oracle, expected = subject.meta_gradient(subject.meta_params, episodes)
    run = hs.MetaGradient(subject, "chunks", chunk_size=2, compile=True)
    for _ in range(2):
        gradient, metrics = run(dict(subject.named_parameters()), episodes)
        assert largest_difference(gradient, oracle) < 1e-10
        assert largest_difference(metrics, expected) < 1e-6
    assert is_compiled(run)


@pytest.mark.parametrize(
    ("learner", "model"),
    [*((learner, "MLP-none") for learner in (*EVERY_MODEL, "MetaSGD", "MetaCurvature")), ("MAML", "Conv4-batch")],
)
def test_the_compiled_program_gives_the_same_without_recompiling(learner: str, model: str) -> None:
    subject = built(learner, model)
    run = hs.MetaGradient(subject, "chunks", chunk_size=2, compile=True)
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


def test_buffers_are_not_frozen_into_the_program(only_traced: None) -> None:
    subject = built("MAML", "user")
    run = hs.MetaGradient(subject, compile=True)
    episodes = image_episodes()
    before, _ = run(subject.meta_params, episodes)
    subject.model.shift.fill_(3.0)
    after, _ = run(subject.meta_params, episodes)
    assert largest_difference(after, before) > 1e-4
    assert largest_difference(after, subject.meta_gradient(subject.meta_params, episodes)[0]) < 1e-10
    assert is_compiled(run)


def test_a_learner_that_was_changed_is_compiled_anew(only_traced: None) -> None:
    subject = built("MAML", "MLP-none")
    run = hs.MetaGradient(subject, compile=True)
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


def test_products_in_bfloat16_are_rounded_and_nothing_else_is(only_traced: None) -> None:
    subject = built("MAML", "Conv4-batch").float()
    episodes = hs.Episodes(*(hs.Examples(part.inputs.float(), part.targets) for part in image_episodes()))
    exact, _ = subject.meta_gradient(subject.meta_params, episodes)
    scale = max(value.abs().max() for value in exact.values())
    for compiled in (False, True):
        run = hs.MetaGradient(subject, precision="bfloat16", compile=compiled)
        rounded, _ = run(subject.meta_params, episodes)
        assert all(value.dtype == torch.float32 for value in rounded.values())
        assert 1e-5 * scale < largest_difference(rounded, exact) < 0.25 * scale  # two steps of a tiny net enlarge 2^-8
        again, _ = hs.MetaGradient(subject, compile=compiled)(subject.meta_params, episodes)
        assert largest_difference(again, exact) < 1e-4 * scale, "the setting is put back"


def is_compiled(run: hs.MetaGradient) -> bool:
    """Whether there is one program, of one shape, and it is not the function itself, fallen back upon."""
    (compiled,) = run._compiled.values()
    (program,) = compiled.programs.values()
    return program is not compiled.function


class WithDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(nn.functional.dropout(inputs.flatten(1), 0.5, self.training))
        return logits


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


def test_what_cannot_be_compiled_runs_eagerly_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def depends_on_data(values: Tensor) -> Tensor:
        return values * 2 if values.sum().item() > 0 else values

    with caplog.at_level(logging.INFO, "headstart"):
        assert Compiled(depends_on_data)(torch.tensor([1.0])).item() == 2
    (record,) = caplog.records
    assert record.message.startswith("not compiled, but run eagerly: ")
    assert "\n" not in record.message


PROGRAM = """
import logging, sys, torch
import headstart as hs
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


def test_the_next_run_finds_the_program_on_disk(tmp_path: Path) -> None:
    def libraries() -> dict[Path, float]:
        return {path: path.stat().st_mtime for path in tmp_path.rglob("*.so")}

    assert "compiled the meta-gradient" in run_program(tmp_path)
    first = libraries()
    assert first
    assert "compiled the meta-gradient" in run_program(tmp_path)
    assert libraries() == first

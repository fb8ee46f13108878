"""Several processes do what one does, end together, and say in one line why they had to."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import headstart as hs
from headstart.cli import main as cli
from headstart.distributed import launch as launching
from headstart.distributed import processes as ranks
from headstart.distributed.processes import RankLostError
from headstart.episodes import slice_tasks
from headstart.experiments.experiment import device_called
from headstart.runs.tensor_files import load_meta_params
from methods import built, case, image_episodes, largest_difference, not_compiled
from run_files import take_as_it_is

TOLERANCE = 1e-10
TASKS = 7
"""Where the processes find ``methods``."""
TOLD: list[tuple[int, bool]] = []
"""What this process was told of its trainings."""


# what every rank does


class DoubleSinusoids:
    """Sinusoids in float64; at draw number ``step`` something happens."""

    def __init__(self, step: int = 0, act: Callable[[], object] = lambda: None) -> None:
        self.draws, self.step, self.act = 0, step, act
        self.tasks = hs.SinusoidTasks(shots=4, queries=5)

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        self.draws += 1
        if self.draws == self.step:
            self.act()
        return hs.Episodes(
            *(hs.Examples(*(tensor.double() for tensor in part)) for part in self.tasks.sample(count, generator))
        )


def new_learner() -> hs.MAML:
    """In float64 and smooth; other weights on every rank, of which rank 0's count."""
    torch.manual_seed(ranks.rank())
    return hs.MAML(hs.MLP(1, 1, (8, 8), activation=torch.tanh), inner_lr=0.01, loss=F.mse_loss).double()


def trained(folder: Path, meta_steps: int = 6, tasks: Any = None) -> tuple[hs.TrainingState, dict[str, Tensor]]:
    learner = new_learner()
    state = hs.train(
        learner,
        tasks or DoubleSinusoids(),
        meta_steps=meta_steps,
        meta_batch=TASKS,
        scheduler=lambda outer: torch.optim.lr_scheduler.ReduceLROnPlateau(outer),
        validation=hs.Validation(DoubleSinusoids(), every=3, count=5, inner_steps=2),
        run=hs.RunFolder(folder, {}) if ranks.rank() == 0 else None,
        checkpoint_every=2,
        stop_on_signal=True,
        callbacks=[lambda event: TOLD.append((event.meta_step, event.validation is not None))],
    )
    return state, {name: value.clone() for name, value in learner.meta_params.items()}


def evaluated(learner: str, model: str, count: int, **settings: Any) -> tuple[str, list[float], list[float]]:
    result = hs.evaluate(built(learner, model), ImageTasks(), count=count, inner_steps=2, **settings)
    return result.task_hash, list(result.by_inner_step), list(result.interval_by_inner_step)


class ImageTasks:
    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        return image_episodes(count, seed=int(torch.randint(2**31, (), generator=generator)))


def results(folder: Path) -> dict[str, Any]:
    """All that must not depend on how many ranks there are."""
    gradients = {}
    for learner, model in (
        ("MAML", "Conv4-batch"),
        ("Reptile", "MLP-batch"),
        ("MetaCurvature", "MLP-batch"),
        ("MAML++", "MLP-batch"),
        ("T-NAS", "MLP-batch"),
        ("ProtoNet", "MLP-batch"),
    ):
        engine = built(learner, model)
        run = hs.MetaGradient(engine, execution="chunks", chunk_size=2)
        gradients[learner] = run(engine.meta_params, image_episodes(TASKS))
    engine = built("MAML", "MLP-none")
    compiled = hs.MetaGradient(engine, compile=True)
    for tasks in (TASKS, TASKS + 1, TASKS):  # parts that differ from rank to rank, and that are new to only one of them
        gradients[f"compiled, {tasks} tasks"] = compiled(engine.meta_params, image_episodes(tasks))
    TOLD.clear()
    straight, weights = trained(folder / "straight")
    told = [*TOLD]
    stopped, _ = trained(folder / "stopped", tasks=DoubleSinusoids(4, stop_on_the_last_rank))
    resumed, resumed_weights = trained(folder / "stopped")
    return {
        "gradients": gradients,
        "evaluations": [
            evaluated("MAML", "Conv4-batch", 105),
            evaluated("MAML", "MLP-batch", 2),  # fewer tasks than ranks
            evaluated("MAML", "MLP-batch", 5, transductive=False),
        ],
        "weights": weights,
        "told": told,
        "best": (straight.best, straight.best_step),
        "stopped": (stopped.meta_step, stopped.stopped_by),
        "resumed": (resumed.meta_step, resumed.stopped_by),
        "resumed weights": resumed_weights,
    }


def stop_on_the_last_rank() -> None:
    if ranks.rank() == ranks.world_size() - 1:
        signal.raise_signal(signal.SIGTERM)
        if ranks.world_size() > 1:  # whoever stops all processes of a machine stops the launcher too, which hands it on
            signal.raise_signal(signal.SIGTERM)


def refusals() -> list[str]:
    """What each rank hears of an error that only one of them has."""

    def fail_on(number: int) -> int:
        if ranks.rank() == number:
            raise hs.BadInputError(f"rank {number} cannot")
        return number

    heard = []
    for work in (
        lambda: ranks.together(lambda: fail_on(ranks.world_size() - 1)),
        lambda: ranks.from_first(lambda: fail_on(0)),
        lambda: ranks.share(slice_tasks(image_episodes(1), 0, 1)),
    ):
        with pytest.raises(hs.BadInputError) as caught:
            work()
        heard.append(str(caught.value))
    return heard


def program(folder: Path, for_real: bool) -> None:
    """One rank of ``in_processes``."""
    with ranks.process_group():
        number, count = ranks.rank(), ranks.world_size()
        with nullcontext() if for_real else not_compiled():
            report = results(folder)
        report["gathered"] = ranks.gather_in_order(torch.full((number + 1, 2), float(number)))
        report["first"] = ranks.from_first(lambda: number)
        report["summed"] = ranks.sum_over_ranks(
            {"w": torch.full((2, 3), 0.5)}, {"loss": torch.tensor(1 / 3, dtype=torch.float64)}
        )
        report["refusals"] = refusals() if count > 1 else []
        torch.save(report, folder / f"rank{number}.pt")
        if count > 1:  # nothing can follow: the last rank dies

            def die() -> None:
                if number == count - 1:
                    time.sleep(0.3)  # the others wait by now: in the middle of a call, gloo overlooks 1 death in 200
                    os.kill(os.getpid(), signal.SIGKILL)

            with pytest.raises(RankLostError) as lost:
                trained(folder / "lost", tasks=DoubleSinusoids(6, die))
            (folder / f"lost{number}.txt").write_text(str(lost.value))
    os._exit(0)  # as the command line does


def in_processes(folder: Path, count: int, for_real: bool) -> list[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        told = {"WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
    told["PYTHONPATH"] = os.pathsep.join(sys.path)  # which has this file and ``methods``
    code = f"import pathlib, test_processes; test_processes.program(pathlib.Path({str(folder)!r}), {for_real})"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **told, "RANK": str(number), "LOCAL_RANK": str(number), "OMP_NUM_THREADS": "1"},
        )
        for number in range(count)
    ]
    try:
        codes = [process.wait(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == ([0] if count == 1 else [0] * (count - 1) + [-signal.SIGKILL])
    return [torch.load(folder / f"rank{number}.pt", weights_only=False) for number in range(count)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with not_compiled():
        return results(tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize(("count", "for_real"), [(2, False), *(case(count, True, repeats=True) for count in (1, 2, 3))])
def test_any_number_of_ranks_does_what_one_process_does(
    count: int, for_real: bool, alone: dict[str, Any], tmp_path: Path
) -> None:
    """The meta-gradient that is to be compiled is compiled for real, or only traced."""
    reports = in_processes(tmp_path, count, for_real)
    for number, report in enumerate(reports):
        assert report["told"] == (alone["told"] if number == 0 else [])
        for learner, (gradient, metrics) in alone["gradients"].items():
            ours, our_metrics = report["gradients"][learner]
            assert largest_difference(ours, gradient) < TOLERANCE, learner
            assert (our_metrics["loss"] - metrics["loss"]).abs() < TOLERANCE, learner
            assert (our_metrics["accuracy"] - metrics["accuracy"]).abs() < 1e-6, learner  # which is in float32
        for (ours, *figures), (theirs, *expected) in zip(report["evaluations"], alone["evaluations"], strict=True):
            assert ours == theirs
            assert torch.allclose(torch.tensor(figures), torch.tensor(expected), rtol=0, atol=TOLERANCE)
        assert largest_difference(report["weights"], alone["weights"]) < TOLERANCE
        assert report["best"] == (pytest.approx(alone["best"][0], abs=TOLERANCE), alone["best"][1])
        assert report["stopped"] == alone["stopped"] == (4, signal.SIGTERM)
        assert report["resumed"] == alone["resumed"] == (6, None)
        assert largest_difference(report["resumed weights"], report["weights"]) == 0
        assert report["gathered"].tolist() == [[float(r)] * 2 for r in range(count) for _ in range(r + 1)]
        assert report["first"] == 0
        gradient, metrics = report["summed"]
        assert torch.equal(gradient["w"], torch.full((2, 3), 0.5 * count))
        assert metrics["loss"].dtype == torch.float64 and metrics["loss"].item() == pytest.approx(count / 3, abs=1e-15)
        assert largest_difference(report["weights"], reports[0]["weights"]) == 0
    if count == 1:
        return
    few = f"--workers {count} cannot share 1 tasks; use at most 1."
    assert all(report["refusals"] == [f"rank {count - 1} cannot", "rank 0 cannot", few] for report in reports)
    kept = hs.RunFolder(tmp_path / "lost", {}).latest_checkpoint()
    assert kept is not None and kept.meta_step == 5  # the sixth was begun when the rank died
    said = [(tmp_path / f"lost{number}.txt").read_text() for number in range(count - 1)]
    assert said[0] == (
        "another process of this run ended before its work was done (the checkpoint of meta-step 5 is kept); "
        f"go on: headstart resume {tmp_path / 'lost'}"
    )
    assert all(line.endswith("(nothing was saved)") for line in said[1:])
    _, resumed = trained(tmp_path / "lost")  # in this one process
    assert largest_difference(resumed, alone["weights"]) < TOLERANCE


@given(tasks=st.integers(0, 50), count=st.integers(1, 9))
def test_the_parts_are_contiguous_and_as_equal_as_can_be(tasks: int, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "world_size", lambda: count)
        parts = []
        for number in range(count):
            patch.setattr(ranks, "rank", lambda number=number: number)
            parts.append(list(range(tasks))[ranks.part_of(tasks)])
    assert [task for part in parts for task in part] == list(range(tasks))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_ranks_draw_other_dropout_masks_and_rank_0_those_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for number in range(3):
        monkeypatch.setattr(ranks, "rank", lambda number=number: number)
        names.add(ranks.own("model"))
    assert len(names) == 3 and "model" in names


def test_each_process_of_a_machine_asks_for_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.experiments.experiment.world_size", lambda: 2)
    monkeypatch.setattr("headstart.experiments.experiment.local_rank", lambda: 99)  # which no machine has
    with pytest.raises(hs.BadInputError, match=r"^--device cuda:99 is not to be had here"):
        device_called("cuda")
    assert device_called("cpu") == torch.device("cpu")


# how they end


LOST, TERM = launching.RANK_LOST, -signal.SIGTERM


@pytest.mark.parametrize(
    ("failures", "code"), [({0: 2}, 2), ({0: 1, 1: TERM}, 1), ({1: TERM, 0: 143}, 143), ({0: 130}, 130)]
)
def test_rank_0_speaks_for_all_that_agree(failures: dict[int, int], code: int) -> None:
    assert launching.exit_code(failures, workers=2) == code


@pytest.mark.parametrize(
    ("failures", "sentence"),
    [
        ({1: -9}, "worker 1 of 3 ended by signal 9"),
        ({0: LOST, 1: -9, 2: LOST}, "worker 1 of 3 ended by signal 9"),
        ({0: TERM, 2: -11}, "worker 2 of 3 ended by signal 11"),
        ({1: 1, 0: LOST}, "worker 1 of 3 ended with exit code 1"),
        ({1: TERM, 0: TERM}, "worker 1 of 3 ended by signal 15"),
    ],
)
def test_the_one_that_ended_first_and_by_itself_is_named(failures: dict[int, int], sentence: str) -> None:
    with pytest.raises(hs.RunStoppedError, match=f"^{sentence}$"):
        launching.exit_code(failures, workers=3)


# the command line

SMALL = """
    --data sinusoid --width 4 --meta-batch 3 --checkpoint-every 5 --execution loop
    --validation-every 1000 --validation-tasks 3 --test-tasks 5 --test-queries 4
""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def started(*arguments: str, by: tuple[str, ...] = ("-m", "headstart")) -> subprocess.Popen[str]:
    command = [sys.executable, *by, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """The exit code, what it printed, and its lines of complaint."""
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err and "torch/distributed" not in err, err
    return process.returncode, out, [line for line in err.splitlines() if line.startswith("headstart: ")]


def steps_kept(run: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*"))


def in_training(run: Path, *flags: str, until: Callable[[], bool] | None = None) -> subprocess.Popen[str]:
    """Two workers of a long run, once they have saved their second checkpoint, or ``until`` says so."""
    process = started("train", *SMALL, *flags, "--meta-steps", "100000", "--workers", "2", "--out", str(run))
    latest = time.monotonic() + 60
    while not (until() if until else max(steps_kept(run), default=0) >= 10):
        assert process.poll() is None and time.monotonic() < latest
        time.sleep(0.05)
    return process


def worker(process: subprocess.Popen[str], number: int) -> int:
    """The process id of a rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (found,) = [pid for pid in children if f"\0RANK={number}\0" in Path(f"/proc/{pid}/environ").read_text()]
    return int(found)


def shortened(run: Path) -> list[str]:
    """Sets the run's last meta-step ten after the one that it was stopped at, and returns how to go on with it."""
    config = json.loads((run / "config.json").read_text())
    config["meta_steps"] = steps_kept(run)[-1] + 10
    (take_as_it_is(run) / "config.json").write_text(json.dumps(config))
    return ["resume", str(run)]


def test_a_worker_that_is_killed_ends_the_run_in_one_line_and_any_number_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    process = in_training(run)
    os.kill(worker(process, 1), signal.SIGKILL)
    code, out, lines = ended(process)
    assert (code, out) == (1, "")
    last = steps_kept(run)[-1]
    assert lines == [
        f"headstart: worker 1 of 2 ended by signal 9 (the checkpoint of meta-step {last} is kept); "
        f"go on: headstart resume {run}"
    ]
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["meta_step"] for record in records] == list(range(1, last + 1))
    again = shortened(run)
    shutil.copytree(run, tmp_path / "copy")
    process = started(*again)  # with the two workers that its settings say
    assert cli.main(["resume", "copy", "--workers", "1"]) == 0
    code, two, lines = ended(process)
    assert (code, lines) == (0, [])
    assert f"trained {last + 10} meta-steps" in two and f"trained {last + 10} meta-steps" in capfd.readouterr().out
    ours, theirs = (load_meta_params(path / "best.safetensors", "") for path in (run, tmp_path / "copy"))
    assert largest_difference(ours, theirs) < 1e-4
    # and they evaluate as one process does
    before = json.loads((run / "test.json").read_text())
    process = started("evaluate", str(run), "--workers", "2", "--test-tasks", "4")
    assert cli.main(["evaluate", "copy", "--workers", "1", "--test-tasks", "4"]) == 0
    code, out, _ = ended(process)
    assert code == 0 and "4 tasks" in out
    four, copied = (json.loads((path / "test-4tasks.json").read_text()) for path in (run, tmp_path / "copy"))
    assert four["task_hash"] == copied["task_hash"] and four["mse"] == pytest.approx(copied["mse"], rel=1e-4)
    assert json.loads((run / "test.json").read_text()) == before


@pytest.mark.parametrize("then", [1, case(3, repeats=True)])
def test_a_signal_to_the_command_stops_all_workers_at_the_same_step(then: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = in_training(run)
    workers = [worker(process, number) for number in (0, 1)]
    process.send_signal(signal.SIGTERM)
    code, out, lines = ended(process)
    assert (code, lines) == (128 + signal.SIGTERM, [])
    last = steps_kept(run)[-1]
    assert out == f"stopped at meta-step {last} of 100000; go on: headstart resume {run}\n"
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    process = started(*shortened(run), "--workers", str(then))
    code, out, lines = ended(process)
    assert (code, lines) == (0, []) and f"trained {last + 10} meta-steps" in out
    assert json.loads((run / "config.json").read_text())["workers"] == 2


@pytest.mark.full
def test_workers_end_with_the_command_that_started_them_and_save_what_they_have(tmp_path: Path) -> None:
    run = tmp_path / "run"
    # The first checkpoint is not due for long; a validation, which would be made anew, is over.
    flags = ["--checkpoint-every", "100000", "--validation-every", "200"]
    process = in_training(run, *flags, until=lambda: (run / "best.safetensors").exists())
    workers = [worker(process, number) for number in (0, 1)]
    process.kill()
    gone_at = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < gone_at + 5, "orphans go on"
        time.sleep(0.02)
    print(f"the workers ended {time.monotonic() - gone_at:.2f} s after the command")
    process.communicate()
    (last,) = steps_kept(run)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["meta_step"] for record in records if "loss" in record] == list(range(1, last + 1))
    assert cli.main([*shortened(run), "--workers", "1"]) == 0


def test_torchrun_starts_the_same(tmp_path: Path) -> None:
    by = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "headstart")
    code, out, lines = ended(started("train", *SMALL, "--meta-steps", "3", by=by))
    assert (code, lines) == (0, [])
    assert len(re.findall("^trained 3 meta-steps", out, re.MULTILINE)) == len(re.findall("^test mse", out, re.M)) == 1
    (run,) = Path("runs").iterdir()  # rank 0 has picked it
    assert {path.name for path in run.iterdir()} == {
        "config.json", "metrics.jsonl", "checkpoints", "best.safetensors", "test.json", "test.safetensors",
        "checksums.json", ".checksums.lock", ".lock",
    }  # fmt: skip
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4


@pytest.mark.full
def test_bad_input_that_only_the_workers_find_is_one_line_and_code_2(tmp_path: Path) -> None:
    Path("folder").mkdir()
    Path("folder/thesis.tex").write_text("mine")
    code, out, lines = ended(started("train", *SMALL, "--workers", "2", "--out", "folder"))
    assert (code, out) == (2, "")
    assert lines == ["headstart: folder exists and is not a run folder; choose another --out or empty it."]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--workers 4", "--workers 4 cannot share 3 tasks; use at most 3."),
        ("--workers 0", "--workers 0 is out of its range; choose 1 to 1,000."),
        ("--workers 2 --shots 0", "--shots 0 is out of its range; choose 1 to 1,000,000."),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_starts(
    arguments: str, sentence: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("headstart.distributed.launch.launch")
    assert cli.main(["train", *SMALL, *arguments.split(), "--out", "run"]) == 2
    assert capfd.readouterr() == ("", f"headstart: {sentence}\n")
    assert not Path("run").exists()

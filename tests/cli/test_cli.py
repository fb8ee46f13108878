from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load

from headstart import __version__
from headstart.cli import main as cli
from headstart.experiments.methods import METHODS
from headstart.experiments.models import MODELS
from headstart.experiments.settings import default_settings
from headstart.problems.registry import PROBLEMS
from run_files import take_as_it_is

pytestmark = pytest.mark.usefixtures("glyphs_are_drawn_once")
SMALL = """
    --image-size 16 --glyph-classes 30 --width 4 --meta-steps 2 --meta-batch 2 --validation-every 1
    --validation-tasks 2 --test-tasks 3 --test-queries 2
""".split()  # noqa: SIM905
SINUSOID = """
    --data sinusoid --width 4 --meta-steps 2 --meta-batch 2 --validation-tasks 2 --test-tasks 3
""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def refused(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The one line on stderr of a command that ends with ``code``; nothing is on stdout."""
    capfd.readouterr()
    try:
        returned = cli.main(arguments)
    except SystemExit as leave:
        returned = leave.code if isinstance(leave.code, int) else 1
    out, err = capfd.readouterr()
    assert returned == code, err
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("headstart: "), err
    assert out == ""
    return lines[0]


def content(folder: Path) -> dict[str, bytes]:
    """Every file but the checksums, which a new result adds its own to."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "checksums.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def forget(result: Path) -> None:
    """Removes a result and its scores, both of which are there."""
    for path in (result, result.with_suffix(".safetensors")):
        path.unlink()


@pytest.fixture(scope="module")
def glyph_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "glyphs"
    assert cli.main(["train", *SMALL, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def sinusoid_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "sinusoid"
    assert cli.main(["train", *SINUSOID, "--out", str(path)]) == 0
    return path


# help


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], *([name, "--help"] for name in ("train", "resume", "evaluate", "compare", "methods", "data"))],
)
def test_help(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        cli.main(arguments)
    assert leave.value.code == 0
    out, err = capfd.readouterr()
    assert out.startswith(f"usage: headstart {arguments[0] if len(arguments) == 2 else '[-h]'}") and err == ""


@pytest.mark.parametrize("action", ["prepare", "sheet"])
def test_each_action_on_data_has_its_own_help(action: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["data", action, "--help"])
    out = capfd.readouterr().out
    assert out.startswith(f"usage: headstart data {action}") and ("--classes" in out) == (action == "sheet")


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capfd.readouterr().out == f"headstart {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "defaults"),
    [
        ("", {"--method": "maml", "--inner-lr": "0.4", "--optimizer": "Adam", "--adapt": "all"}),
        (
            "--method reptile",
            {"--method": "reptile", "--inner-lr": "0.001", "--optimizer": "SGD", "--inner-batch": "10"},
        ),
        ("--method=reptile", {"--method": "reptile", "--inner-lr": "0.001", "--optimizer": "SGD"}),
        ("--method classifier --data omniglot", {"--data": "omniglot", "--inner-steps": "20", "--meta-batch": "1"}),
        ("--data sinusoid", {"--data": "sinusoid", "--model": "mlp", "--width": "40", "--norm": "none"}),
    ],
)
def test_help_shows_the_defaults_of_the_method_and_the_data(
    arguments: str, defaults: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", *arguments.split(), "--help"])
    text = " ".join(capfd.readouterr().out.replace("│", " ").split())
    for flag, value in defaults.items():
        found = re.search(rf" {flag} [A-Z{{].*? \(default: (.*?)\)", text)
        assert found and found[1] == value, flag


def test_help_shows_the_flags_in_groups_and_the_values_of_closed_sets(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = " ".join(capfd.readouterr().out.replace("│", " ").split())
    groups = re.findall(r"─ ([\w-]+) options ─", text)
    assert groups == ["problem", "task", "model", "method", "outer-loop", "engine", "run"]
    for choices in (METHODS, PROBLEMS, MODELS):
        assert "{" + ",".join(choices) + "}" in text.replace(", ", ",")


def test_help_says_what_is_true_of_an_evaluation_and_a_comparison(capfd: pytest.CaptureFixture[str]) -> None:
    texts = []
    for command in ("evaluate", "compare"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        texts.append(" ".join(capfd.readouterr().out.replace("│", " ").split()))
    evaluate, compare = texts
    names = "{" + ",".join(PROBLEMS) + "}"
    assert f"--problem {names}, --data {names} Problem" in evaluate.replace(", ", ",").replace(",--", ", --")
    assert "the run's own if None. (default: None)" in evaluate and "as --workers said in training" in evaluate
    assert "RUN RUN [RUN ...] Run folders. (two or more)" in compare


def test_the_recipe_gives_what_the_flags_leave_open() -> None:
    settings = cli.parse(["train", "--method", "reptile", "--inner-steps", "3", "--out", "there"]).record()
    names = ("inner_steps", "inner_rule", "optimizer", "out")
    assert [settings[name] for name in names] == [3, "adam", "SGD", "there"]


def test_training_follows_the_shots_and_the_test_the_inner_steps() -> None:
    settings = cli.parse(["train", "--shots", "5", "--inner-steps", "5"])
    assert (settings.task.shots_in_training, settings.method.inner_steps_in_test) == (5, 5)
    assert cli.parse(["train"]).method.inner_steps_in_test == 3  # as in MAML's paper
    settings = cli.parse(["train", "--method", "reptile"])
    assert (settings.task.shots, settings.task.shots_in_training, settings.method.inner_steps_in_test) == (1, 10, 10)


def test_of_a_flag_given_twice_the_last_counts() -> None:
    settings = cli.parse(["train", "--method", "maml", "--method=reptile"])
    assert (settings.names()["method"], settings.outer_loop.optimizer) == ("reptile", "SGD")


def test_data_is_another_name_of_problem() -> None:
    assert cli.parse(["train", "--problem", "omniglot"]) == cli.parse(["train", "--data=omniglot"])


# bad arguments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("train --bogus", "--bogus"),
        ("train --ways five", "--ways.*'five'"),
        ("train --ways", "--ways"),
        ("train --data mnist", "'mnist'.*--data.*glyphs"),
        ("train --method boosting", "'boosting'.*--method.*maml"),
        ("train extra", "extra"),
        ("evaluate", "PATH Run folder"),
        ("resume", "PATH Run folder"),
        ("data", "prepare"),
        ("data burn", "burn"),
        ("teach", "teach"),
    ],
)
def test_arguments_that_cannot_be_parsed(arguments: str, sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(capfd, *arguments.split())
    assert re.search(sentence, line), line
    assert "headstart --help" in line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            "--method reptile --inner-rule meta_sgd",
            "MetaSGD is learned through the inner updates, which Reptile does not",
        ),
        ("--method meta_sgd --inner-steps 0", "inner_steps=0 leaves the update rule nothing to learn from"),
        ("--method low_rank --model conv4", "no linear layer but its head"),
        ("--model transformer --width 6", "heads=4 must divide width=6"),
        ("--method meta_sgd --inner-rule sgd", "--inner-rule goes with --method maml or fomaml.*, not meta_sgd"),
        ("--method proto_net --inner-steps 3", "--inner-steps goes with --method maml or fomaml.*, not proto_net"),
        ("--resize area", "--resize goes with --problem omniglot, not glyphs"),
        ("--method structure_search --model conv4", "the model has no structure to learn"),
        ("--model searchable --structure conv3,,skip,pool3", "block 2 has no operation left; give it one of conv3"),
        ("--model searchable --structure conv3,conv4", "block 2 has an unknown operation 'conv4'"),
        ("--ways 500 --rotations none", "30 classes cannot give 500 ways; ask for fewer ways"),
        ("--ways 110 --glyph-classes 50", "100 classes cannot give 110 ways"),
        ("--ways 0", "--ways 0 is out of its range; choose 1 to"),
        ("--shots 10 --test-queries 15", "20 examples per class cannot give 10 shots . 15 queries"),
        ("--train-shots 15 --queries 10", "20 examples per class cannot give 15 shots . 10 queries"),
        ("--optimizer Adamm", "--optimizer Adamm is not in torch.optim; try Adam"),
        ("--optimizer LBFGS", "--optimizer LBFGS is not for this"),
        ("--optimizer Optimizer", "--optimizer Optimizer is not for this"),
        ("--optimizer lr_scheduler", "--optimizer lr_scheduler is not in torch.optim"),
        ("--optimizer SparseAdam", "--optimizer SparseAdam is not for this"),
        ("--meta-lr -1", "--meta-lr -1.0 is out of its range"),
        ("--meta-lr nan", "--meta-lr nan is out of its range"),
        ("--inner-lr 0", "--inner-lr 0.0 is out of its range"),
        ("--inner-steps -1", "--inner-steps -1 is out of its range; choose 0 to"),
        ("--meta-steps 0", "--meta-steps 0 is out of its range"),
        ("--validation-every 0", "--validation-every 0 is out of its range"),
        ("--validation-tasks 1", "--validation-tasks 1 is out of its range; choose 2 to"),
        ("--test-tasks 0", "--test-tasks 0 is out of its range; choose 2 to"),
        ("--seed 99999999999999999999", "--seed 9+ is out of its range"),
        ("--image-size 8 --downsample max_pool", "image_size=8 is too small for four max-poolings; use 16 or more"),
        ("--split lake", "--split lake is no file that is here; choose random or a JSON file"),
        ("--split nowhere.json", "--split nowhere.json is no file that is here"),
        ("--train-ways 3", "--ways 5 does not fit the head of 3 outputs that --method maml trains"),
        ("--chunk-size 3", "--chunk-size goes with --execution chunks, not auto; leave one of the two away"),
        ("--execution loop --compile yes", "execution='loop' runs without vmap and uncompiled"),
        ("--method structure_search --structure conv3", "the model has no structure to learn"),
        ("--no-carry", "--carry goes with --method reptile, not maml"),
        ("--inner-batch 3", "--inner-batch goes with --method reptile"),
        ("--method classifier --rotations tasks", "a classifier has no tasks in training"),
        ("--device abacus", "--device abacus is not to be had here; use --device cpu"),
        ("--device meta", "--device meta is not to be had here; use --device cpu"),
    ],
)
def test_settings_that_cannot_be_worked_with_leave_nothing_behind(
    arguments: str, sentence: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = refused(capfd, "train", *SMALL, "--workers", "1", *arguments.split(), "--out", "run")
    assert re.search(sentence, line), line
    assert content(tmp_path) == {} and not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--problem sinusoid --ways 5", "--ways goes with --problem glyphs or omniglot or folder or table or"),
        ("--problem sinusoid --method classifier", "--method classifier needs classes"),
        ("--problem sinusoid --model conv4", "--model conv4 needs images, and --problem sinusoid has vectors"),
        ("--method cavia", "--method cavia needs vectors, and --problem glyphs has classes or images"),
        ("--data omniglot --data-root nowhere", "'nowhere', which is no folder"),
    ],
)
def test_a_problem_that_does_not_fit_leaves_nothing_behind(
    arguments: str, sentence: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = refused(capfd, "train", *arguments.split(), "--out", "run")
    assert re.search(sentence, line), line
    assert content(tmp_path) == {}


# training


def test_the_methods_are_listed_without_pytorch(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys; from headstart.cli import main as cli; cli.main(['methods']); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    rows = capfd.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[1:-1]] == list(METHODS)
    assert "hs.MAML(model, inner_rule=hs.MetaSGD)" in rows[1 + list(METHODS).index("meta_sgd")]


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.needs != "vectors"])
def test_every_method_trains_on_glyphs_and_is_evaluated(
    method: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["train", "--method", method, *SMALL, "--out", "run"]) == 0
    out = capfd.readouterr().out
    assert re.search(r"^trained 2 meta-steps in \d+ s, best at meta-step [12]$", out, re.MULTILINE)
    steps = default_settings("glyphs", method).method.inner_steps_in_test
    sentence = rf"^test accuracy \d+\.\d\d % ± \d+\.\d\d \(transductive, {steps} inner steps?, 3 tasks"
    assert re.search(sentence, out, re.MULTILINE)
    assert out.count(f"after {steps:3d} inner steps") == 1
    test = json.loads(Path("run/test.json").read_text())
    assert list(test)[:7] == [
        "accuracy", "interval", "tasks", "task_hash", "inner_steps", "transductive", "seconds",
    ]  # fmt: skip
    assert 0 <= test["accuracy"] <= 1 and test["interval"] >= 0 and test["seconds"] > 0
    assert (test["tasks"], test["inner_steps"], test["transductive"]) == (3, steps, True)
    assert len(test["accuracy_by_inner_step"]) == steps + 1 and re.fullmatch("[0-9a-f]{64}", test["task_hash"])
    assert test["task_hash"][:12] in out
    scores = load(Path("run/test.safetensors").read_bytes())["scores"]
    assert scores.dtype == torch.float32 and scores.shape == (3, steps + 1)
    assert scores.double().mean(0).tolist() == pytest.approx(test["accuracy_by_inner_step"])
    assert {path.name for path in Path("run").iterdir()} == {
        "config.json", "metrics.jsonl", "checkpoints", "best.safetensors", "test.json", "test.safetensors",
        "checksums.json", ".checksums.lock", ".lock",
    }  # fmt: skip
    assert json.loads(Path("run/config.json").read_text())["method"] == method
    # evaluated again: the same tasks, the same meta-parameters, the same result
    assert cli.main(["evaluate", "run"]) == 0
    again = json.loads(Path("run/test.json").read_text())
    assert {**again, "seconds": 0} == {**test, "seconds": 0}


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.needs != "classes"])
def test_every_method_of_regression_trains_on_sinusoids(method: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--method", method, *SINUSOID, "--out", "run"]) == 0
    assert "test mse " in capfd.readouterr().out
    test = json.loads(Path("run/test.json").read_text())
    assert list(test)[:7] == ["mse", "interval", "tasks", "task_hash", "inner_steps", "transductive", "seconds"]


def test_all_methods_and_seeds_are_evaluated_on_the_same_tasks(glyph_run: Path) -> None:
    hashes = {json.loads((glyph_run / "test.json").read_text())["task_hash"]}
    for method, seed in (("reptile", "1"), ("classifier", "2")):
        assert cli.main(["train", "--method", method, *SMALL, "--seed", seed, "--out", f"run{seed}"]) == 0
        hashes.add(json.loads(Path(f"run{seed}/test.json").read_text())["task_hash"])
    assert len(hashes) == 1


def test_without_out_every_run_gets_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "now")
    for _ in range(2):
        assert cli.main(["train", *SINUSOID]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "sinusoid-maml-10shot-now", "sinusoid-maml-10shot-now-2",
    ]  # fmt: skip


def test_other_settings_into_the_same_folder_are_refused(sinusoid_run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = content(sinusoid_run)
    line = refused(capfd, "train", *SINUSOID, "--shots", "7", "--out", str(sinusoid_run))
    assert "another configuration (shots: 10 there, 7 now)" in line and f"headstart resume {sinusoid_run}" in line
    assert content(sinusoid_run) == before


def test_a_file_or_a_foreign_folder_as_out_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("mine")
    Path("folder").mkdir()
    Path("folder/thesis.tex").write_text("mine")
    for out in ("file", "folder"):
        line = refused(capfd, "train", *SINUSOID, "--out", out)
        assert f"{out} exists and is not a run folder; choose another --out or empty it" in line
    assert content(Path()) == {"file": b"mine", "folder/thesis.tex": b"mine"}


def test_nan_stops_with_one_line_and_code_1(capfd: pytest.CaptureFixture[str]) -> None:
    settings = [*SINUSOID, "--meta-steps", "50", "--checkpoint-every", "1"]
    settings += ["--optimizer", "SGD", "--schedule", "constant", "--meta-lr", "1e20", "--out", "run"]
    assert cli.main(["train", *settings]) == 1
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("headstart: ")]
    assert out == "" and len(lines) == 1 and "Traceback" not in err
    found = re.search(
        r"NaN or infinity in the .* at meta-step (\d+) \(the checkpoint of meta-step (\d+) is kept\)", err
    )
    assert found and int(found[1]) == int(found[2]) + 1
    (kept, *_) = sorted(Path("run/checkpoints").iterdir(), reverse=True)
    assert kept.name == f"step-{int(found[2]):07d}"
    assert all(value.isfinite().all() for value in load((kept / "meta_params.safetensors").read_bytes()).values())


@pytest.mark.parametrize(
    ("room", "name"), [(6, "checksums.json"), (7, "metrics.jsonl"), (8, "checkpoints/"), (10, "checkpoints/")]
)
def test_a_full_disk_stops_with_one_line_and_code_1(
    room: int, name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        honest(descriptor)

    settings = [*SINUSOID, "--meta-steps", "20", "--checkpoint-every", "1", "--validation-every", "50", "--out", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert cli.main(["train", *settings]) == 1
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("headstart: ")]
    assert out == "" and len(lines) == 1 and f"There is no disk space left to write run/{name}" in lines[0]
    assert cli.main(["resume", "run"]) == 0
    assert "trained 20 meta-steps" in capfd.readouterr().out


def test_the_training_has_plain_lines_where_stderr_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *SINUSOID, "--out", "run"]) == 0
    err = capfd.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("meta-step ")]  # of the one validation
    assert re.match(r"meta-step (\d+)/\1  loss \d.*  validation mse \d", line) and "\x1b" not in err


@pytest.mark.parametrize("command", ["train", "resume"])
def test_an_interrupt_outside_of_training_ends_in_one_line(
    command: str, sinusoid_run: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.experiments.experiment.check", interrupt)
    arguments = ["train", *SINUSOID, "--out", "run"] if command == "train" else ["resume", str(sinusoid_run)]
    assert refused(capfd, *arguments, code=130) == "headstart: interrupted"
    assert not Path("run").exists()


# evaluating


def test_evaluating_another_way_leaves_test_json_and_the_run_alone(
    glyph_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = content(glyph_run)
    for flags, name in [
        ("--shots 3", "test-3shots.json"),
        ("--test-queries 5 --test-tasks 4", "test-5queries-4tasks.json"),
        ("--test-inner-steps 5", "test-5steps.json"),
        ("--test-seed 9", "test-seed9.json"),
        ("--inductive", "test-inductive.json"),
        ("--test-interval 0.005 --test-tasks 4", "test-4tasks-0.005interval.json"),
        ("--test-inner-steps 0 --inductive", "test-0steps-inductive.json"),
    ]:
        assert cli.main(["evaluate", str(glyph_run), *flags.split()]) == 0
        assert f"kept in {glyph_run / name}" in capfd.readouterr().out
        result = json.loads((glyph_run / name).read_text())
        assert result["transductive"] == ("inductive" not in name)
        forget(glyph_run / name)
    assert content(glyph_run) == before


def test_a_run_is_tested_until_the_interval_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.evaluation.evaluate.BLOCK", 2)
    assert cli.main(["train", *SMALL, "--test-tasks", "6", "--test-interval", "1000", "--out", "run"]) == 0
    assert json.loads(Path("run/test.json").read_text())["tasks"] == 2
    assert json.loads(Path("run/config.json").read_text())["test_interval"] == 1000
    assert cli.main(["evaluate", "run", "--inductive", "--test-interval", "500"]) == 0
    assert json.loads(Path("run/test-500interval-inductive.json").read_text())["tasks"] == 2


def test_a_method_that_makes_its_head_for_the_task_is_evaluated_with_other_ways(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["train", "--method", "proto_net", *SMALL, "--train-ways", "8", "--out", "run"]) == 0
    assert cli.main(["evaluate", "run", "--ways", "7"]) == 0
    assert "kept in run/test-7ways.json" in capfd.readouterr().out


def test_evaluating_on_the_problem_of_the_run_by_name_keeps_its_settings() -> None:
    assert cli.main(["train", *SMALL, "--test-rotations", "tasks", "--out", "run"]) == 0
    test = json.loads(Path("run/test.json").read_text())
    assert cli.main(["evaluate", "run", "--problem", "glyphs"]) == 0
    assert {**json.loads(Path("run/test.json").read_text()), "seconds": 0} == {**test, "seconds": 0}


def test_a_learner_of_all_classes_is_evaluated_with_a_split_of_fewer(glyph_run: Path) -> None:
    assert cli.main(["train", "--method", "classifier", *SMALL, "--out", "run"]) == 0
    split = PROBLEMS["glyphs"].split(default_settings().replace(glyph_classes=30).problem)  # type: ignore[attr-defined]
    parts = {"train": split.train[:9], "validation": split.validation, "test": split.test[:9]}
    Path("other.json").write_text(json.dumps(parts))
    assert cli.main(["evaluate", "run", "--split", "other.json"]) == 0
    assert Path("run/test-other.json").exists()


@pytest.mark.parametrize(("arguments", "checks"), [("evaluate RUN --ways 5", 2), ("resume RUN", 1)])
def test_settings_are_read_from_the_run_and_checked_once(
    arguments: str, checks: int, glyph_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation has two of them: those that were trained with, and its own."""
    checked: list[object] = []
    for module in ("experiment", "records"):
        monkeypatch.setattr(f"headstart.experiments.{module}.check", checked.append, raising=False)
    assert cli.main(arguments.replace("RUN", str(glyph_run)).split()) == 0
    assert len(checked) == checks


def test_another_test_seed_draws_other_tasks(glyph_run: Path) -> None:
    assert cli.main(["evaluate", str(glyph_run), "--test-seed", "4"]) == 0
    other = glyph_run / "test-seed4.json"
    assert json.loads(other.read_text())["task_hash"] != json.loads((glyph_run / "test.json").read_text())["task_hash"]
    forget(other)


def test_a_run_that_was_moved_is_evaluated_where_it_is(sinusoid_run: Path, tmp_path: Path) -> None:
    shutil.copytree(sinusoid_run, tmp_path / "moved")
    (tmp_path / "moved" / "test.json").unlink()
    assert cli.main(["evaluate", "moved"]) == 0
    assert (tmp_path / "moved" / "test.json").exists()


@pytest.mark.omniglot
def test_a_run_on_glyphs_is_evaluated_on_omniglot(
    glyph_run: Path, omniglot_root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = content(glyph_run)
    for split, name in ((None, "test-omniglot.json"), ("lake", "test-omniglot-lake.json")):
        flags = ["--data", "omniglot", "--data-root", str(omniglot_root), *(["--split", split] if split else [])]
        assert cli.main(["evaluate", str(glyph_run), *flags]) == 0
        assert f"kept in {glyph_run / name}" in capfd.readouterr().out
        result = json.loads((glyph_run / name).read_text())
        assert result["problem"] == "omniglot" and 0 <= result["accuracy"] <= 1
        forget(glyph_run / name)
    assert content(glyph_run) == before


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--test-tasks 1", "--test-tasks 1 is out of its range; choose 2 to"),
        ("--test-inner-steps -1", "--test-inner-steps -1 is out of its range"),
        ("--ways 7", "--ways 7 does not fit the head of 5 outputs"),
        ("--ways 3", "--ways 3 does not fit the head of 5 outputs"),
        ("--shots 19", "20 examples per class cannot give 19 shots . 2 queries"),
        ("--shots 0", "--shots 0 is out of its range"),
        ("--split lake", "--split lake is no file that is here"),
        ("--data sinusoid", "trained on glyphs cannot be evaluated on sinusoid"),
    ],
)
def test_an_evaluation_that_cannot_be_made(
    flags: str, sentence: str, glyph_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = content(glyph_run)
    line = refused(capfd, "evaluate", str(glyph_run), *flags.split())
    assert re.search(sentence, line), line
    assert content(glyph_run) == before


def test_a_run_of_sinusoids_is_not_evaluated_on_characters(
    sinusoid_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = refused(capfd, "evaluate", str(sinusoid_run), "--data", "glyphs")
    assert "was trained on sinusoid cannot be evaluated on glyphs" in line


def damaged(run: Path, tmp_path: Path, name: str, new: Any) -> Path:
    """A copy of ``run`` in which the file ``name`` has other content; bytes, or a function of its JSON."""
    copy = tmp_path / "damaged"
    shutil.copytree(run, copy)
    path = copy / name
    path.write_bytes(new if isinstance(new, bytes) else json.dumps(new(json.loads(path.read_text()))).encode())
    return take_as_it_is(copy)


@pytest.mark.parametrize("command", ["evaluate", "resume"])
@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (b"{", "config.json is not readable JSON"),
        (b"[]", "config.json holds no JSON object"),
        (lambda config: {**config, "novelty": 1}, "not of this version of headstart: 'novelty'"),
        (lambda config: {**config, "shots": "five"}, "--shots 'five' is none of its values; choose int"),
        (lambda config: {**config, "workers": "all"}, "--workers 'all' is none of its values"),
        (lambda config: {**config, "method": ["maml"]}, "--method .* is unknown; choose one of maml"),
        (lambda config: {"ways": 5}, "this run was made in Python"),
        (lambda config: {**config, "meta_lr": None}, "--meta-lr None is none of its values"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    command: str, new: Any, sentence: str, sinusoid_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = damaged(sinusoid_run, tmp_path, "config.json", new)
    line = refused(capfd, command, str(run))
    assert re.search(sentence, line), line


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_what_is_not_a_run(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("mine")
    Path("folder").mkdir()
    for name in ("nowhere", "file", "folder"):
        assert f"{name} is not a run folder: it holds no config.json" in refused(capfd, command, name)


def test_a_run_without_a_checkpoint_cannot_be_evaluated(
    sinusoid_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()
    Path("run/config.json").write_bytes((sinusoid_run / "config.json").read_bytes())
    assert "run holds no checkpoint yet; train it first with `headstart resume`" in refused(capfd, "evaluate", "run")
    assert cli.main(["resume", "run"]) == 0


def test_meta_parameters_of_another_learner_or_none_at_all_are_named(
    sinusoid_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = damaged(sinusoid_run, tmp_path, "config.json", lambda config: {**config, "width": 5})
    line = refused(capfd, "evaluate", str(run))
    assert "is of another learner: its 'model." in line and "has shape" in line
    (run / "best.safetensors").write_bytes(b"torn")
    assert "best.safetensors is not a readable safetensors file" in refused(capfd, "evaluate", str(run))


@pytest.mark.parametrize("name", ["meta_params.safetensors", "state.safetensors", "state.json"])
def test_a_corrupt_checkpoint_ends_a_resumption_in_one_sentence_with_a_way_out_that_works(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SINUSOID, "--checkpoint-every", "1", "--out", "run"]) == 0
    straight = load(Path("run/checkpoints/step-0000002/meta_params.safetensors").read_bytes())
    torn = Path("run/checkpoints/step-0000002", name)
    torn.write_bytes(torn.read_bytes()[:100])
    capfd.readouterr()
    assert cli.main(["resume", "run"]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("headstart: ")]
    folder = tmp_path / "run" / "checkpoints" / "step-0000002"
    assert f"delete {folder.relative_to(tmp_path)} to go on from the checkpoint before it" in line
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert cli.main(["resume", "run"]) == 0
    resumed = load(Path("run/checkpoints/step-0000002/meta_params.safetensors").read_bytes())
    assert all(torch.equal(resumed[key], straight[key]) for key in straight)


# data


def test_data_prepare_and_sheet(capfd: pytest.CaptureFixture[str]) -> None:
    flags = "--data glyphs --glyph-classes 3 --classes 6 --image-size 20 --out sheet.png"
    assert cli.main(["data", "sheet", *flags.split()]) == 0
    assert capfd.readouterr().out == "contact sheet in sheet.png\n"
    with Image.open("sheet.png") as picture:
        assert picture.size == (2 * 20 * 22, 2 * 6 * 22)
        low, high = picture.getextrema()
        assert (low, high) == (0, 255)
    assert cli.main(["data", "prepare", "--data", "glyphs", "--glyph-classes", "3"]) == 0
    assert capfd.readouterr().out == "glyphs: 526 classes of 20 examples, verified and ready\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("sheet --data glyphs --glyph-classes 3 --classes 0", "--classes 0 is out of its range; choose 1 to"),
        ("sheet --data glyphs --classes 3 --image-size 0", "--image-size 0 is out of its range"),
        ("prepare --data omniglot --data-root nowhere", "'nowhere', which is no folder"),
        ("sheet --problem glyphs --data-root x", "--data-root goes with --problem omniglot, not glyphs"),
        ("sheet --damping 3", "Unrecognized .* --damping"),
        ("sheet --ways 3", "Unrecognized .* --ways"),
    ],
)
def test_data_that_cannot_be_had(arguments: str, sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert re.search(sentence, refused(capfd, "data", *arguments.split()))
    assert content(Path()) == {}


def test_a_sheet_onto_a_device_is_refused_and_onto_a_link_written_through(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = "data sheet --data glyphs --glyph-classes 3 --classes 2 --out".split()  # noqa: SIM905
    Path("device").symlink_to("/dev/null")
    assert "device is a device or a pipe" in refused(capfd, *arguments, "device")
    Path("link.png").symlink_to("sheet.png")
    assert cli.main([*arguments, "link.png"]) == 0
    assert Path("link.png").is_symlink() and Path("sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_sheet_that_cannot_be_written_ends_with_code_1(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = "data sheet --data glyphs --glyph-classes 3 --classes 2 --out nowhere/sheet.png"
    line = refused(capfd, *arguments.split(), code=1)
    assert "nowhere/sheet.png cannot be written" in line

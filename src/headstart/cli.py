"""The command line: ``headstart train | resume | evaluate | data``. PyTorch is imported only when work begins."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args

import tyro

from headstart import __version__
from headstart.config import Config, Data, Method, check, config_from_record
from headstart.errors import BadInputError, RunStoppedError
from headstart.recipes.defaults import default_config

if TYPE_CHECKING:
    from headstart.evaluation import Evaluation
    from headstart.experiment import Experiment
    from headstart.runs import RunFolder

SPIN_COUNT = "10000"
"""How long an idle thread of PyTorch's waits before it lets others run. The default is so long that a second process on
the same cores makes a meta-step 10 to 30 times slower; this one is as fast on a quiet machine."""
LABELS = {
    "data": "{}",
    "split": "{}",
    "shots": "{}shots",
    "test_queries": "{}queries",
    "test_tasks": "{}tasks",
    "test_inner_steps": "{}steps",
}
"""What `headstart evaluate` can change of a run's settings, and how the name of its result says so."""


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, and test it."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""


@dataclass(frozen=True)
class Evaluate:
    """Judge a trained run on test tasks: of its own data set, or of another one."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data: Data | None = None
    """Data set of the test tasks; the run's own if None."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    split: str | None = None
    """Split that the test classes come from: random, lake or a JSON file; the run's own if None."""
    shots: int | None = None
    """Support examples per class; as trained if None."""
    test_queries: int | None = None
    """Query examples per class; as trained if None."""
    test_tasks: int | None = None
    """Number of test tasks; as trained if None."""
    test_inner_steps: int | None = None
    """Inner updates; as trained if None."""
    test_seed: int = 0
    """Of the test tasks; the same seed draws the same tasks."""
    inductive: bool = False
    """Predict each query example in a batch of the support set and itself, not together with the other queries."""


@dataclass(frozen=True)
class DataCommand:
    """Prepare a data set (find or download it, verify it, cache it), or draw a contact sheet of it."""

    action: tyro.conf.Positional[Literal["prepare", "sheet"]]
    """What to do."""
    data: Literal["glyphs", "omniglot"] = "omniglot"
    """Data set."""
    data_root: Path | None = None
    """Folder of the Omniglot zips or of their content."""
    image_size: int = 28
    """Pixels along each side."""
    resize: Literal["nearest", "area"] = "nearest"
    """How Omniglot gets to that size."""
    classes: int = 20
    """Rows of the contact sheet."""
    seed: int = 0
    """Which classes of Omniglot the contact sheet shows, or which glyphs are drawn."""
    out: Path = Path("sheet.png")
    """The contact sheet."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (the work had to stop), 2 (bad input) or 128 + a signal."""
    argv = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if argv == ["--version"]:
        print(f"headstart {__version__}")
        return 0
    command = parse(argv)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("headstart").setLevel(logging.INFO)
    try:
        return run_command(command)
    except BadInputError as error:
        return complain(str(error), 2)
    except RunStoppedError as error:
        return complain(str(error), 1)
    except KeyboardInterrupt:
        return complain("interrupted", 130)


def complain(message: str, code: int) -> int:
    """One line on stderr."""
    print(f"headstart: {' '.join(message.split())}", file=sys.stderr)
    return code


def parse(argv: list[str]) -> Any:
    """The command that ``argv`` asks for; leaves with exit code 2 and one line where it asks for none."""
    commands = Union[  # noqa: UP007  (tyro reads the annotations at run time)
        Annotated[Config, tyro.conf.subcommand("train", default=recipe_of(argv))],
        Annotated[Resume, tyro.conf.subcommand("resume")],
        Annotated[Evaluate, tyro.conf.subcommand("evaluate")],
        Annotated[DataCommand, tyro.conf.subcommand("data")],
    ]
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                commands,
                prog="headstart",
                description="Learn what a new task should start from. `headstart train` alone trains MAML on glyphs.",
                args=argv,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as leave:
        if leave.code:
            complain(f"{first_part(box.getvalue())} (see headstart --help)", 2)
        raise


def recipe_of(argv: list[str]) -> Config:
    """The recipe whose settings are the defaults: that of --data and --method where ``argv`` gives them."""
    data, method = last_value(argv, "--data"), last_value(argv, "--method")
    known_data: Data = next((value for value in get_args(Data) if value == data), "glyphs")
    known_method: Method = next((value for value in get_args(Method) if value == method), "maml")
    return default_config(known_data, known_method)


def last_value(argv: list[str], flag: str) -> str | None:
    """What ``argv`` gives last for ``flag``, as ``flag value`` or ``flag=value``."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    return next((value for name, value in reversed(list(itertools.pairwise(words))) if name == flag), None)


def first_part(box: str) -> str:
    """The text of tyro's framed message up to its first rule, in one line."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    rule = next((number for number, line in enumerate(lines) if line.startswith("─")), len(lines))
    return " ".join(lines[:rule])


def run_command(command: Config | Resume | Evaluate | DataCommand) -> int:
    """Does what the command says."""
    if isinstance(command, Config):
        return train_and_test(command)
    if isinstance(command, Resume):
        return resume(command)
    if isinstance(command, Evaluate):
        return evaluate_run(command)
    return data_command(command)


def train_and_test(config: Config) -> int:
    """``headstart train``."""
    from headstart.experiment import new_run_path, prepare
    from headstart.runs import RunFolder

    experiment = prepare(config)
    path = config.out or new_run_path(config, time.strftime("%Y%m%d-%H%M%S"))
    config = dataclasses.replace(config, out=path)
    return finish(config, RunFolder(path, config.record()), experiment)


def resume(command: Resume) -> int:
    """``headstart resume``."""
    from headstart.experiment import prepare

    config, run = open_run(command)
    return finish(config, run, prepare(config))


def finish(config: Config, run: RunFolder, experiment: Experiment) -> int:
    """Trains to the last meta-step and tests, or says how to go on if a signal came first."""
    from headstart.evaluation import evaluate
    from headstart.experiment import run_training

    logging.getLogger("headstart").info("run folder %s", run.path)
    state = run_training(config, run, experiment)
    if state.stopped_by is not None:
        print(f"stopped at meta-step {state.meta_step} of {config.meta_steps}; go on: headstart resume {run.path}")
        return 128 + state.stopped_by
    print(f"trained {state.meta_step:,} meta-steps in {state.seconds:.0f} s, best at meta-step {state.best_step:,}")
    result = evaluate(
        experiment.learner, experiment.test, count=config.test_tasks, inner_steps=config.inner_steps_in_test
    )
    report(result, run.write_json("test.json", result.record()))
    return 0


def evaluate_run(command: Evaluate) -> int:
    """``headstart evaluate``."""
    from headstart.evaluation import evaluate
    from headstart.experiment import check_unseen, load_learner, tasks_for_test

    config, run = open_run(command)
    wanted = {name: getattr(command, name) for name in LABELS if getattr(command, name) is not None}
    judged = dataclasses.replace(config, **wanted)
    if "sinusoid" in (config.data, judged.data) and config.data != judged.data:
        raise BadInputError(f"{command.run} was trained on {config.data} and cannot be judged on {judged.data}.")
    check(judged)
    check_unseen(config, judged)
    result = evaluate(
        load_learner(config, run),
        tasks_for_test(judged),
        count=judged.test_tasks,
        seed=command.test_seed,
        inner_steps=judged.inner_steps_in_test,
        transductive=not command.inductive,
    )
    settings = {name: value for name, value in judged.record().items() if value != config.record()[name]}
    labels = [LABELS[name].format(Path(str(value)).stem) for name, value in settings.items() if name in LABELS]
    labels += ["inductive"] * command.inductive + [f"seed{command.test_seed}"] * (command.test_seed != 0)
    report(result, run.write_json("-".join(["test", *labels]) + ".json", {**result.record(), **settings}))
    return 0


def open_run(command: Resume | Evaluate) -> tuple[Config, RunFolder]:
    """The run that the command names; its folder and its data may have moved, and the device may be another."""
    from headstart.runs import RunFolder, read_config

    places = {name: getattr(command, name) for name in ("data_root", "device") if getattr(command, name) is not None}
    config = dataclasses.replace(config_from_record(read_config(command.run)), out=command.run, **places)
    return config, RunFolder(command.run, config.record())


def report(result: Evaluation, path: Path) -> None:
    """Prints what was reached, and where it is kept."""
    print(f"test {result}")
    shown = [step for step in (1, 2, 3, 5, 10, 20, 50, 100) if step < result.inner_steps]
    for step in [0, *shown, result.inner_steps]:
        print(f"    after {step:3d} inner steps: {result.by_inner_step[step]:.4f}")
    print(f"kept in {path}")


def data_command(command: DataCommand) -> int:
    """``headstart data``."""
    from headstart.datasets.glyphs import draw_glyphs
    from headstart.datasets.omniglot import load_omniglot
    from headstart.datasets.sheet import write_sheet

    if command.data == "glyphs" and command.action == "prepare":
        print("glyphs need no preparation: they are drawn anew, the same ones, whenever they are needed")
        return 0
    if command.data == "glyphs":
        classes = draw_glyphs(max(command.classes, 1), size=command.image_size, seed=command.seed)
    else:
        classes = load_omniglot(command.data_root, size=command.image_size, resize=command.resize)
    if command.action == "prepare":
        count, examples = classes.images.shape[:2]
        print(f"{command.data}: {count:,} classes of {examples} examples, verified and ready")
    else:
        write_sheet(classes, command.out, rows=command.classes, seed=command.seed)
        print(f"contact sheet in {command.out}")
    return 0

"""Doing what the command line asks for: in this process, as one of several processes, or by starting several."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from headstart.cli.commands import LABELS, MOVABLE, DataCommand, Evaluate, Resume
from headstart.datasets.glyphs import draw_glyphs
from headstart.datasets.omniglot import load_omniglot
from headstart.datasets.sheet import write_sheet
from headstart.distributed.launch import RANK_LOST, launch, started_by_launch
from headstart.distributed.processes import RankLostError, check_share, from_first, process_group, world_size
from headstart.errors import BadInputError, RunStoppedError
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.result import Evaluation
from headstart.experiments.config import Config, check, config_from_record
from headstart.experiments.experiment import (
    check_unseen,
    load_learner,
    open_run,
    prepare,
    run_path,
    run_training,
    tasks_for_test,
    workers_to_use,
)
from headstart.models.searchable import SearchableConv4
from headstart.runs.folder import RunFolder, read_config
from headstart.system.process import launched, speaks
from headstart.training.stopping import what_is_kept

logger = logging.getLogger(__name__)


def run_command(command: Config | Resume | Evaluate | DataCommand, argv: list[str]) -> int:
    """Does what the command says and returns its exit code.

    Raises:
        BadInputError: it cannot be done.
        RunStoppedError: it had to stop.
    """
    if isinstance(command, DataCommand):
        return data_command(command)
    try:
        with process_group():
            trained, evaluated = settings(command)
            check(evaluated)
            evaluating = isinstance(command, Evaluate)
            chosen = (evaluated.workers or 1) if evaluating else workers_to_use(evaluated)
            workers = world_size() if launched() else chosen
            check_share(workers, evaluated.test_tasks if evaluating else evaluated.meta_batch)
            if launched() or workers == 1:
                return evaluate_run(command, trained, evaluated) if isinstance(command, Evaluate) else train(evaluated)
    except RankLostError:
        if started_by_launch():
            return RANK_LOST
        raise
    return start_workers(command, evaluated, argv, workers)


def settings(command: Config | Resume | Evaluate) -> tuple[Config, Config]:
    """What the run was or is to be trained with, and with what the command changes for its test."""
    if isinstance(command, Config):
        return command, command
    path = command.run
    places = {name: getattr(command, name) for name in MOVABLE if getattr(command, name) is not None}
    config = dataclasses.replace(config_from_record(from_first(lambda: read_config(path))), out=path, **places)
    if isinstance(command, Resume):
        return config, config
    wanted = {name: getattr(command, name) for name in LABELS if getattr(command, name) is not None}
    evaluated = dataclasses.replace(config, **wanted)
    if "sinusoid" in (config.data, evaluated.data) and config.data != evaluated.data:
        raise BadInputError(f"{path} was trained on {config.data} and cannot be evaluated on {evaluated.data}.")
    return config, evaluated


def start_workers(command: Config | Resume | Evaluate, config: Config, argv: list[str], workers: int) -> int:
    """Runs the command in several processes; of a run that they cannot finish, says what is kept of it."""
    path = run_path(config)
    try:
        return launch([*argv, "--out", str(path)] if isinstance(command, Config) else argv, workers)
    except RunStoppedError as error:
        if isinstance(command, Evaluate):
            raise RunStoppedError(f"{error}; evaluate the run again") from error
        run = RunFolder(path, dataclasses.replace(config, out=path).record()) if path.exists() else None
        way_out = f"; go on: headstart resume {path}" if run else ""
        raise RunStoppedError(f"{error} ({what_is_kept(run)}){way_out}") from error


def train(config: Config) -> int:
    """``headstart train`` and ``headstart resume``: trains to the last meta-step and tests, or says how to go on if a
    signal came first."""
    experiment = prepare(config)
    path = from_first(lambda: run_path(config))
    config = dataclasses.replace(config, out=path)
    run = open_run(config)
    logger.info("run folder %s", path)
    state = run_training(config, run, experiment)
    if state.stopped_by is not None:
        tell(f"stopped at meta-step {state.meta_step} of {config.meta_steps}; go on: headstart resume {path}")
        return 128 + state.stopped_by if speaks() else 0
    tell(f"trained {state.meta_step:,} meta-steps in {state.seconds:.0f} s, best at meta-step {state.best_step:,}")
    if isinstance(experiment.learner.model, SearchableConv4) and config.structure is None:
        found = ",".join(experiment.learner.model.strongest)
        tell(f"largest shares: --model searchable --width {config.width} --structure {found} (below, all are mixed)")
    result = evaluate(
        experiment.learner, experiment.test, count=config.test_tasks, inner_steps=config.inner_steps_in_test
    )
    if run:
        report(result, run.write_json("test.json", result.record()))
    return 0


def evaluate_run(command: Evaluate, config: Config, evaluated: Config) -> int:
    """``headstart evaluate``."""
    run = open_run(config)
    check_unseen(config, evaluated)
    result = evaluate(
        load_learner(config, run),
        tasks_for_test(evaluated),
        count=evaluated.test_tasks,
        seed=command.test_seed,
        inner_steps=evaluated.inner_steps_in_test,
        transductive=not command.inductive,
    )
    changed = {name: value for name, value in evaluated.record().items() if value != config.record()[name]}
    labels = [LABELS[name].format(Path(str(value)).stem) for name, value in changed.items() if name in LABELS]
    labels += ["inductive"] * command.inductive + [f"seed{command.test_seed}"] * (command.test_seed != 0)
    if run:
        report(result, run.write_json("-".join(["test", *labels]) + ".json", {**result.record(), **changed}))
    return 0


def tell(message: str) -> None:
    """One line on stdout, of rank 0."""
    if speaks():
        print(message)


def report(result: Evaluation, path: Path) -> None:
    """Prints what was reached, and where it is kept."""
    print(f"test {result}")
    shown = [step for step in (1, 2, 3, 5, 10, 20, 50, 100) if step < result.inner_steps]
    for step in [0, *shown, result.inner_steps]:
        print(f"    after {step:3d} inner steps: {result.after(step)}")
    print(f"kept in {path}")


def data_command(command: DataCommand) -> int:
    """``headstart data``."""
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

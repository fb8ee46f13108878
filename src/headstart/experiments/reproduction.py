"""The record of one run of one recipe with one seed: what was reached, beside what was published."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from headstart import __version__
from headstart.errors import BadInputError
from headstart.experiments.recipe import Recipe
from headstart.experiments.settings import Settings
from headstart.runs.folder import RunFolder
from headstart.runs.reading import PLACES
from headstart.runs.results import read_log
from headstart.system.files import disk_errors, write_bytes

MODES = {True: "test.json", False: "test-inductive.json"}
"""Where a run keeps what it reached, by whether query examples are predicted together."""


def record_of(name: str, recipe: Recipe, settings: Settings, run: Path, command: str) -> dict[str, Any]:
    """What is known of a finished run.

    Raises:
        BadInputError: the run was not tested in both modes.
    """
    results = {mode: read_json(run / file) for mode, file in MODES.items()}
    steps = [entry for entry in read_log(RunFolder(run)) if "seconds" in entry]
    reached, otherwise = results[recipe.transductive], results[not recipe.transductive]
    metric = next(iter(reached))
    published = recipe.published
    return {
        "recipe": name,
        "study": recipe.study,
        "note": recipe.note,
        "problem": recipe.problem,
        "method": recipe.method,
        "ways": getattr(settings.task, "ways", None),
        "shots": settings.task.shots,
        "metric": metric,
        "value": reached[metric],
        "interval": reached["interval"],
        "by_inner_step": reached[f"{metric}_by_inner_step"],
        "interval_by_inner_step": reached["interval_by_inner_step"],
        "median_by_inner_step": reached["median_by_inner_step"],
        "diverged_by_inner_step": reached["diverged_by_inner_step"],
        "transductive": recipe.transductive,
        "otherwise": {key: otherwise[key] for key in (metric, "interval", f"{metric}_by_inner_step")},
        "inner_steps": reached["inner_steps"],
        "tasks": reached["tasks"],
        "task_hash": reached["task_hash"],
        "seed": settings.run.seed,
        "meta_steps": steps[-1]["meta_step"],
        "published_meta_steps": recipe.at().outer_loop.meta_steps,
        "published": {
            "value": published.value,
            "interval": published.interval,
            "by_inner_step": {str(step): value for step, value in published.by_inner_step.items()},
            "source": recipe.source,
        }
        if published
        else None,
        "minutes": round(steps[-1]["seconds"] / 60, 2),
        "compile_minutes": round(steps[0]["seconds"] / 60, 2),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "command": command,
        "settings": {key: value for key, value in settings.record().items() if key not in PLACES},
    }


def read_json(path: Path) -> dict[str, Any]:
    """A result of a run.

    Raises:
        BadInputError: it is not there.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} is not there or not readable; evaluate the run again.") from error
    return content


def machine() -> str:
    """What this machine is, as far as it matters for the minutes."""
    return f"{os.cpu_count()} cores ({platform.machine()}), PyTorch {torch.__version__}"


def commit() -> str:
    """The commit of the checkout that this code is in; the version, if it is in none."""
    folder = Path(__file__).parent
    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or __version__


def write_record(record: dict[str, Any], folder: Path) -> Path:
    """Writes a record as ``RECIPE-meta_steps-seed.json``, in the place of an earlier one of the same run.

    Raises:
        RunStoppedError: it cannot be written.
    """
    path = folder / f"{record['recipe']}-{record['meta_steps']}-seed{record['seed']}.json"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(record, indent=1) + "\n").encode())
    return path


def read_records(folder: Path) -> list[dict[str, Any]]:
    """All records in a folder, by name.

    Raises:
        BadInputError: there are none, or one cannot be read.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise BadInputError(f"{folder} holds no records; make one with `headstart reproduce NAME`.")
    return [read_json(path) for path in paths]

"""Makes a trained run a learner that comes with headstart: calibrated, evaluated as users have it, in one file.

    python benchmarks/ship.py RUN NAME --data-root FOLDER

It is calibrated on the run's validation classes, and evaluated on glyphs that it has not seen, on Omniglot's test
characters, and on scikit-learn's digits, beside the nearest neighbour and logistic regression on their pixels.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import headstart as hs
from headstart.evaluation.calibration import calibrate
from headstart.evaluation.fitted import evaluate_fitted
from headstart.evaluation.result import Evaluation
from headstart.experiments.run import settings_of_run
from headstart.runs.folder import RunFolder
from headstart.trained.load import IN_PACKAGE

SIZES = ((5, 1), (5, 5), (20, 1), (20, 5))
"""Ways and shots of the tasks of characters."""
SHOTS_OF_DIGITS = (1, 5, 20)
Fit = Callable[[torch.Tensor, torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]


def digits() -> hs.LabelledExamples:
    """The digits of scikit-learn as drawings."""
    from sklearn.datasets import load_digits

    found = load_digits()
    drawings = torch.stack([hs.as_drawing(torch.from_numpy(image)[None]) for image in found.images])
    return hs.LabelledExamples(drawings, torch.from_numpy(found.target).long(), map(str, range(10)))


def tasks_of(data: hs.ImageClasses | hs.LabelledExamples, ways: int, shots: int) -> hs.ClassificationTasks:
    """Tasks of 15 queries per class."""
    return hs.ClassificationTasks(data, ways=ways, shots=shots, queries=15, rotations="none")


def row(data: str, ways: int, shots: int, result: Evaluation) -> dict[str, Any]:
    """An entry of what was reached, as ``headstart models`` shows it."""
    task = f"{ways}w{shots}s"
    print(f"{data} {task}: {result}", flush=True)
    return {"data": data, "task": task, "accuracy": round(result.value, 4), "interval": round(result.interval, 4)}


def reached(learner: hs.Learner, data_root: Path | None, tasks: int) -> list[dict[str, Any]]:
    """What the learner reaches on classes that it has not seen."""
    form = learner.made_from["form"] if learner.made_from else "as_is"
    resize: Any = {"as_is": "nearest", "drawing": "drawing"}[form]
    omniglot = hs.load_omniglot(data_root, resize=resize)
    unseen = {
        "unseen glyphs": hs.draw_glyphs(423, pens={"as_is": "one", "drawing": "many"}[form]),  # type: ignore[arg-type]
        "Omniglot": omniglot.choose(hs.random_split(omniglot.names, (1100, 100, 423)).test),
    }
    rows = [
        row(name, ways, shots, evaluate_fitted(learner, tasks_of(data, ways, shots), count=tasks))
        for name, data in unseen.items()
        for ways, shots in SIZES
    ]
    return rows + [
        row("digits", 10, shots, evaluate_fitted(learner, tasks_of(digits(), 10, shots), count=tasks // 5))
        for shots in SHOTS_OF_DIGITS
    ]


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--tasks", type=int, default=1000)
    options = parser.parse_args()
    settings = settings_of_run(options.run)
    learner = hs.load(options.run)
    glyphs = settings.chosen_problem.task_sets(settings.problem, settings.task)
    calibration = calibrate(learner, glyphs.validation, count=options.tasks)  # type: ignore[arg-type]
    log = [json.loads(line) for line in (options.run / "metrics.jsonl").read_text().splitlines()]
    made = {
        "command": "headstart train " + " ".join(RunFolder(options.run).config.get("flags", [])),
        "meta_steps": settings.outer_loop.meta_steps,
        "validation": [entry for entry in log if "validation_accuracy" in entry],
        "date": time.strftime("%Y-%m-%d"),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
    }
    rows = reached(learner, options.data_root, options.tasks)
    path = IN_PACKAGE / f"{options.name}.safetensors"
    hs.save_learner(learner, path, calibration=calibration.record(), reached=rows, made=made)
    print(f"kept in {path}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

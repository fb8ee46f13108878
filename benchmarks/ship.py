"""Makes a trained run a learner that comes with headstart: calibrated, evaluated as users have it, in one file.

    python benchmarks/ship.py RUN NAME --data-root FOLDER

A learner of glyphs is calibrated on the run's validation classes, and evaluated on glyphs that it has not seen, on
Omniglot's test characters, and on scikit-learn's digits; one of sinusoids is evaluated on other sinusoids.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import headstart as hs
from headstart.evaluation.calibration import calibrate
from headstart.evaluation.fitted import evaluate_fitted
from headstart.evaluation.result import Evaluation
from headstart.experiments.run import settings_of_run
from headstart.experiments.settings import flags_of
from headstart.trained.load import IN_PACKAGE

SIZES = ((5, 1), (5, 5), (20, 1), (20, 5))
"""Ways and shots of the tasks of characters."""
SHOTS_OF_DIGITS = (1, 5, 20)


def digits() -> hs.LabelledExamples:
    """The digits of scikit-learn as drawings."""
    from sklearn.datasets import load_digits

    found = load_digits()
    drawings = torch.stack([hs.as_drawing(torch.from_numpy(image)[None]) for image in found.images])
    return hs.LabelledExamples(drawings, torch.from_numpy(found.target).long(), map(str, range(10)))


def tasks_of(data: hs.ImageClasses | hs.LabelledExamples, ways: int, shots: int) -> hs.ClassificationTasks:
    """Tasks of 15 queries per class."""
    return hs.ClassificationTasks(data, ways=ways, shots=shots, queries=15, rotations="none")


def row(data: str, task: str, result: Evaluation) -> dict[str, Any]:
    """An entry of what was reached, as ``headstart models`` shows it."""
    print(f"{data} {task}: {result}", flush=True)
    figures = {result.metric.name: round(result.value, 4), "interval": round(result.interval, 4)}
    if not result.metric.is_fraction:  # the mean is that of the few tasks on which the inner loop ran away
        figures = {f"median {result.metric.name}": round(result.median, 4)}
    return {"data": data, "task": task, **figures, "tasks": result.tasks, "task_hash": result.task_hash[:12]}


def reached_on_sinusoids(learner: hs.Learner, tasks: int) -> list[dict[str, Any]]:
    """What the learner reaches on sinusoids that it has not seen."""
    sizes = {shots: hs.SinusoidTasks(shots=shots, queries=100) for shots in (5, 10, 20)}
    return [row("sinusoids", f"{k}s", evaluate_fitted(learner, sine, count=tasks)) for k, sine in sizes.items()]


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
        row(name, f"{ways}w{shots}s", evaluate_fitted(learner, tasks_of(data, ways, shots), count=tasks))
        for name, data in unseen.items()
        for ways, shots in SIZES
    ]
    return rows + [
        row("digits", f"10w{shots}s", evaluate_fitted(learner, tasks_of(digits(), 10, shots), count=tasks // 5))
        for shots in SHOTS_OF_DIGITS
    ]


def check_of(learner: hs.Learner) -> float:
    """A figure that a test takes again in seconds: on 20 tasks of glyphs, or of sinusoids."""
    made_from = learner.made_from or {}
    if made_from["problem"] == "sinusoid":
        return evaluate_fitted(learner, hs.SinusoidTasks(shots=10, queries=100), count=20).median
    pens: Any = {"as_is": "one", "drawing": "many"}[made_from["form"]]
    return evaluate_fitted(learner, tasks_of(hs.draw_glyphs(100, pens=pens), 5, 1), count=20).value


def made_by(run: Path) -> dict[str, Any]:
    """How a run was made: what it takes to make it again, and what it reached in validation."""
    settings = settings_of_run(run)
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "command": " ".join(["headstart", "train", *flags_of(settings.replace(out=None))]),
        "validation": [entry for entry in log if any(name.startswith("validation") for name in entry)],
        "date": time.strftime("%Y-%m-%d", time.localtime((run / "metrics.jsonl").stat().st_mtime)),
    }


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
    validation = settings.chosen_problem.task_sets(settings.problem, settings.task).validation
    notes: dict[str, Any] = {"made": made_by(options.run)}
    if isinstance(validation, hs.ClassificationTasks):
        notes["calibration"] = calibrate(learner, validation, count=options.tasks).record()
        notes["reached"] = reached(learner, options.data_root, options.tasks)
    else:
        notes["reached"] = reached_on_sinusoids(learner, options.tasks)
    notes["check"] = check_of(learner)
    path = IN_PACKAGE / f"{options.name}.safetensors"
    hs.save_learner(learner, path, **notes)
    print(f"kept in {path}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

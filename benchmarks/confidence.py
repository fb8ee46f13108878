"""How true it is what a learner says of itself, on Omniglot's test characters, or on test glyphs: it is calibrated on
others.

    python benchmarks/confidence.py glyphs --data-root FOLDER
    python benchmarks/confidence.py glyphs --on glyphs

Prints the expected calibration error of the predicted probabilities before and after the temperature, how often the
interval of the expected accuracy holds the accuracy, and what ``reject=0.95`` rejects where half of the queries are of
classes that were not shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import headstart as hs
from headstart.evaluation.calibration import Calibration, observed
from headstart.evaluation.confidence import calibration_error
from headstart.evaluation.expected_score import shots_of
from headstart.evaluation.fixed_tasks import fixed_tasks
from headstart.trained.load import load_trained

REJECT = 0.95
SIZES = ((5, 1), (5, 5), (20, 1), (20, 5))


def calibration_and_coverage(
    learner: hs.Learner, calibration: Calibration, tasks: hs.ClassificationTasks, count: int
) -> None:
    """The first two lines."""
    scored, supports = observed(learner, tasks, count, seed=1)
    most = max(len(task.shots) for task in scored)
    targets = torch.cat([task.targets for task in scored])

    def error(probabilities: list[torch.Tensor]) -> float:
        return 100 * calibration_error(torch.cat([F.pad(p, (0, most - p.shape[1])) for p in probabilities]), targets)

    before = error([task.scores.softmax(1) for task in scored])
    after = error([calibration.confidence.probabilities(task.scores, task.shots) for task in scored])
    print(f"expected calibration error: {before:.2f} % before, {after:.2f} % after ({count} tasks of many sizes)")
    print("interval of the expected accuracy, of that on ten further examples of each class:")
    intervals: dict[str, list[tuple[bool, float]]] = {}
    for task, support in zip(scored, supports, strict=True):
        interval = calibration.scores.of(task.shots)(support.signs, support.queries)
        reached = support.right / support.queries
        held = (interval.low <= reached <= interval.high, interval.high - interval.low)
        intervals.setdefault(row_of(task.shots), []).append(held)
    for kind, values in sorted(intervals.items()):
        holds, width = (100 * sum(column) / len(values) for column in zip(*values, strict=True))
        print(f"  {kind}: {width:.1f} points wide, holds in {holds:.1f} % of {len(values)}")


def row_of(shots: torch.Tensor) -> str:
    """Which row of the table a task is in."""
    if shots.min() < shots.max():
        return "unequal shots, of some classes one" if shots.min() == 1 else "unequal shots, of each class several"
    return "one shot" if shots.max() == 1 else "several shots"


def rejections(learner: hs.Learner, calibration: Calibration, data: Any, ways: int, shots: int, count: int) -> None:
    """One line: what is rejected of classes that were shown, and of as many that were not."""
    tasks = hs.ClassificationTasks(data, ways=2 * ways, shots=shots, queries=5, rotations="none")
    rejected: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for index in range(count):
        support, query = fixed_tasks(tasks, 0, "none of these", range(index, index + 1)).task(0)
        shown = support.targets < ways
        known = hs.Examples(support.inputs[shown], support.targets[shown])
        scores = learner.fit(known)(query.inputs)
        low = calibration.confidence.plausibility(scores, shots_of(known.targets)) < 1 - REJECT
        for of_shown in rejected:
            rejected[of_shown].append(low[(query.targets < ways) == of_shown])
    wrongly, rightly = (torch.cat(rejected[of_shown]).double().mean() for of_shown in (True, False))
    shares = f"{rightly:.1%} of those not shown, {wrongly:.1%} of those shown"
    print(f"{ways}w{shots}s, reject={REJECT}: {shares} ({count} tasks)")


def test_classes(form: str, options: argparse.Namespace) -> hs.ImageClasses:
    """423 classes that no learner of the package has seen."""
    if options.on == "glyphs":
        pens: Any = {"as_is": "one", "drawing": "many"}[form]
        return hs.draw_glyphs(423, pens=pens)
    resize: Any = {"as_is": "nearest", "drawing": "drawing"}[form]
    omniglot = hs.load_omniglot(options.data_root, resize=resize)
    return omniglot.choose(hs.random_split(omniglot.names, (1100, 100, 423)).test)


def main() -> None:
    """Prints the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learner")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--on", choices=("omniglot", "glyphs"), default="omniglot")
    parser.add_argument("--tasks", type=int, default=1000)
    options = parser.parse_args()
    learner, notes = load_trained(options.learner)
    calibration = Calibration.from_record(notes["calibration"])
    unseen = test_classes(learner.made_from["form"] if learner.made_from else "as_is", options)
    tasks = hs.ClassificationTasks(unseen, ways=5, shots=1, queries=5, rotations="none")
    calibration_and_coverage(learner, calibration, tasks, options.tasks)
    for ways, shots in SIZES:
        rejections(learner, calibration, unseen, ways, shots, options.tasks // 5)


if __name__ == "__main__":
    main()

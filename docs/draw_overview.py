"""Draws docs/images/overview.png from a run: one task goes in, the adapted model's own predictions come out.

pip install -e ".[report]"
python docs/draw_overview.py runs/NAME
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

import headstart as hs
from headstart.experiments.experiment import Experiment
from headstart.experiments.run import best_learner, read_run, settings_of_run
from headstart.randomness import derive_generator

COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccaa22", "#aa3377"]
RIGHT_AND_WRONG = {True: "✓", False: "✗"}


def draw(folder: Path, out: Path, task: int = 0) -> None:
    """One test task of the run in ``folder``: its support set, *F*, and what *f* says of five of its query examples."""
    experiment = Experiment(settings_of_run(folder))
    learner = best_learner(experiment, read_run(folder))
    episodes = experiment.task_sets.test.sample(1, derive_generator(0, "test", task))
    support, query = (hs.Examples(part.inputs[0], part.targets[0]) for part in episodes)
    task_params = learner.adapt(learner.meta_params, support)
    predicted = learner.predict(task_params, query.inputs).argmax(1)

    figure = plt.figure(figsize=(11, 2.3), dpi=160)
    order = support.targets.argsort()
    for row, index in enumerate(order.tolist()):
        tile(
            figure,
            0.015 + 0.061 * row,
            0.34,
            support.inputs[index],
            COLOURS[support.targets[index]],
            f"class {row + 1}",
        )
    caption(figure, 0.165, "support set of a new task", "5-way 1-shot: all that F sees")
    box(figure, 0.36, "F", "adapt(meta_params,\nsupport)", f"{learner.inner_steps} gradient step")
    box(figure, 0.52, "f", "predict(task_params,\ninputs)", "made for this task")
    for column, index in enumerate(range(0, len(query.targets), len(query.targets) // 5)):
        right = bool(predicted[index] == query.targets[index])
        label = f"class {predicted[index] + 1} {RIGHT_AND_WRONG[right]}"
        tile(figure, 0.685 + 0.061 * column, 0.34, query.inputs[index], COLOURS[predicted[index]], label)
    caption(figure, 0.835, "query set", "f's own predictions on unseen drawings")
    for start in (0.336, 0.497, 0.66):
        figure.text(start, 0.53, "→", fontsize=20, ha="center", va="center", color="#555555")
    figure.savefig(out, facecolor="white")


def tile(figure: Figure, left: float, bottom: float, image: Tensor, colour: str, label: str) -> None:
    """One drawing in a coloured frame, with its class below."""
    axes: Axes = figure.add_axes((left, bottom, 0.055, 0.38))
    axes.imshow(1 - image[0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2.5)
    axes.set_xlabel(label, fontsize=8, color=colour)


def box(figure: Figure, left: float, name: str, call: str, note: str) -> None:
    """A function, its call in the library, and what it does."""
    frame = FancyBboxPatch(
        (left, 0.36),
        0.115,
        0.36,
        boxstyle="round,pad=0.005",
        transform=figure.transFigure,
        facecolor="#f2f2f2",
        edgecolor="#555555",
    )
    figure.add_artist(frame)
    middle = left + 0.0575
    figure.text(middle, 0.625, name, fontsize=18, style="italic", ha="center", va="center")
    figure.text(middle, 0.46, call, fontsize=7, family="monospace", ha="center", va="center")
    figure.text(middle, 0.245, note, fontsize=8, ha="center", va="center", color="#555555")


def caption(figure: Figure, middle: float, title: str, note: str) -> None:
    """What a row of drawings is."""
    figure.text(middle, 0.87, title, fontsize=11, ha="center", va="center", weight="bold")
    figure.text(middle, 0.09, note, fontsize=8, ha="center", va="center", color="#555555")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).parent / "images" / "overview.png")

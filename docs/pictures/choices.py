"""What else F may choose: how many numbers that is, what a search finds, and what a record reached for its budget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

import headstart as hs
from headstart.experiments.methods import METHODS
from headstart.learners.structure_search import is_structure
from headstart.reports.colours import BLUE, GREEN, GREY, METHOD_STYLES, ORANGE, PURPLE, SKY, VERMILLION
from pictures.look import INK, picture

KINDS = {"initial weights": GREY, "update rule": INK, "structure": VERMILLION}
"""The colours of what is learned: of no method that is beside it."""
RECORDS = Path(__file__).parents[2] / "results"
WAYS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
"""The colours of a task's classes."""


def kind_of(name: str) -> str:
    """What a meta-parameter is for, by its name."""
    if is_structure(name):
        return "structure"
    return "update rule" if name.startswith("rule.") else "initial weights"


def counts(learner: hs.Learner) -> dict[str, int]:
    """How many numbers of each kind the meta-parameters are."""
    found = dict.fromkeys(KINDS, 0)
    for name, value in learner.meta_params.items():
        found[kind_of(name)] += value.numel()
    return found


def draw_meta_params(learners: Mapping[str, hs.Learner]) -> Figure:
    """How many numbers each learner learns, and of which kind."""
    figure, (axes,) = picture(0.9 + 0.36 * len(learners))
    rows = {name: counts(learner) for name, learner in learners.items()}
    left = [0.0] * len(rows)
    for kind, colour in KINDS.items():
        widths = [row[kind] / 1000 for row in rows.values()]
        axes.barh([*rows], widths, left=left, color=colour, label=kind)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, (end, of_kind) in enumerate(zip(left, rows.values(), strict=True)):
        axes.annotate(f"{sum(of_kind.values()):,}", (end, row), (4, 0), textcoords="offset points", va="center")
    axes.set(xlabel="meta-parameters (thousands)", xlim=(0, 1.16 * max(left)), ylim=(len(rows) - 0.5, -0.5))
    figure.legend(loc="outside upper left", ncols=3, frameon=False)
    return figure


def draw_shares(shares: Sequence[Sequence[Sequence[float]]], names: Sequence[str]) -> Figure:
    """How the shares of the candidates change: ``shares[meta_step][block][candidate]``, a panel for each block."""
    values = torch.tensor(shares)
    figure, panels = picture(2.9, columns=values.shape[1], sharey=True)
    for block, axes in enumerate(panels):
        for candidate, (name, colour, dash) in enumerate(zip(names, WAYS, ("--", ":", "-"), strict=False)):
            axes.plot(values[:, block, candidate], dash, color=colour, linewidth=2, label=name)
        axes.set(xlabel="meta-step", title=f"layer {block + 1}", ylim=(0, 1.02))
    panels[0].set_ylabel("share in the mixture")
    panels[0].legend(frameon=False)
    return figure


def draw_matrices(matrices: Mapping[str, Tensor]) -> Figure:
    """Matrices with their numbers, side by side."""
    figure, panels = picture(2.5, columns=len(matrices))
    largest = max(float(matrix.abs().max()) for matrix in matrices.values())
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        axes.imshow(matrix.numpy(), cmap="PuOr", vmin=-1.6 * largest, vmax=1.6 * largest)
        for row, values in enumerate(matrix.tolist()):
            for column, value in enumerate(values):
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=13)
        axes.set(title=name, xticks=[], yticks=[])
    return figure


def draw_regions(learner: hs.ProtoNet, episode: hs.Episodes) -> Figure:
    """The plane that the learner embeds into: a task's examples, its prototypes, and whose region each point is in."""
    figure, (axes,) = picture(4.2)
    with torch.no_grad():
        task_params = learner.adapt(learner.meta_params, episode.support)
        support, query = (learner.predict(learner.meta_params, part.inputs) for part in episode)
        every = torch.cat([support, query])
        low, high = every.min(0).values, every.max(0).values
        margin = 0.08 * (high - low)
        xs, ys = (
            torch.linspace(float(low[axis] - margin[axis]), float(high[axis] + margin[axis]), 200) for axis in (0, 1)
        )
        points = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)
        prototypes = task_params["prototypes"]
        nearest = learner.compare(points.reshape(-1, 2), {"prototypes": prototypes}).argmax(1).reshape(200, 200)
    ways = len(prototypes)
    extent = (float(xs[0]), float(xs[-1]), float(ys[0]), float(ys[-1]))
    colours = ListedColormap(WAYS[:ways])
    axes.imshow(
        nearest.numpy(), cmap=colours, alpha=0.16, extent=extent, origin="lower", aspect="auto", vmin=0, vmax=ways - 1
    )
    for way in range(ways):
        own = query[episode.query.targets == way]
        axes.plot(*own.T, "o", color=WAYS[way], markersize=4.5, alpha=0.8)
        axes.plot(*prototypes[way], "*", color=WAYS[way], markersize=17, markeredgecolor="white")
    axes.set(xlabel="first number of the embedding", ylabel="second number of the embedding")
    return figure


def records(problem: str = "omniglot", **settings: Any) -> list[dict[str, Any]]:
    """The committed records of a problem that have these settings, such as ``ways=5``."""
    found = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    return [
        record
        for record in found
        if record["problem"] == problem and all(record[key] == value for key, value in settings.items())
    ]


def images(record: Mapping[str, Any]) -> int:
    """How many images, each as often as it was drawn, the training of a record has seen."""
    of = record["settings"]
    examples = (of["train_shots"] or of["shots"]) + of["queries"]
    return record["meta_steps"] * of["meta_batch"] * (of["train_ways"] or of["ways"]) * examples


def draw_records(found: Sequence[Mapping[str, Any]]) -> Figure:
    """The test accuracy of each record against the images that its training has seen."""
    figure, (axes,) = picture(3.2)
    for record in found:
        lowest = min(other["value"] for other in found if images(other) == images(record)) == record["value"]
        colour, dash, _ = METHOD_STYLES[record["method"]]
        x, y, half = images(record) / 1e6, 100 * record["value"], 100 * record["interval"]
        axes.errorbar(x, y, half, fmt="o", color=colour, mfc="white" if dash else colour, markersize=8, capsize=4)
        name = f"{record['method']}, {METHODS[record['method']].cost} gradients a task"
        across, align = (10, "left") if x < 10 else (-10, "right")
        up, above = (-3, "top") if lowest else (2, "bottom")
        axes.annotate(name, (x, y), (across, up), textcoords="offset points", color=colour, ha=align, va=above)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="images drawn in training (millions)", ylabel="test accuracy (%)", xlim=(1, 30))
    return figure

"""What can go wrong: company that changes an answer, labels that are known beforehand, turned digits, budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

import headstart as hs
from headstart.reports.colours import GREY, METHOD_STYLES, SKY
from pictures.look import INK, NAMES, picture

DIGIT_PIXELS = 16.0
"""The darkest value of scikit-learn's digits."""


class OrderedTasks(hs.ClassificationTasks):
    """Tasks of labels in order: of the classes' ``ways`` equal parts the first gives label 0, the next label 1, and so
    on. A character has the same label in every task."""

    def draw_classes(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As ``ClassificationTasks`` has it, without turns: one class of each part."""
        part = self.class_count // self.ways
        drawn = torch.arange(self.ways) * part + torch.randint(part, (count, self.ways), generator=generator)
        return torch.zeros_like(drawn), drawn


def draw_company(image: Tensor, target: int, answers: Mapping[str, Tensor]) -> Figure:
    """One query, and the probabilities ``[class]`` that it is given beside other queries, by what these are."""
    figure, (left, right) = picture(2.9, columns=2, width_ratios=(1, 2.6))
    left.imshow((1 - image[0]).numpy(), cmap="gray", vmin=0, vmax=1)
    left.set(title=f"a query of class {target}", xticks=[], yticks=[])
    right.spines[["left", "bottom"]].set_visible(False)
    rows = torch.stack([*answers.values()])
    right.imshow(rows.numpy(), cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for row, values in enumerate(rows):
        for column, value in enumerate(values.tolist()):
            best = column == int(values.argmax())
            weight, colour = ("bold" if best else "normal"), ("white" if value > 0.6 else INK)
            right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=12, weight=weight, color=colour)
    right.set_xticks(range(rows.shape[1]))
    right.set_yticks(range(len(rows)), [*answers])
    right.set(xlabel="class", title="probability that f gives it")
    return figure


def draw_label_order(accuracies: Mapping[str, Sequence[float]], groups: Sequence[str], chance: float) -> Figure:
    """Accuracies (0 to 1) in groups of bars, one bar for each kind of labels, and the line of chance."""
    figure, (axes,) = picture(3.1)
    width = 0.8 / len(accuracies)
    for number, ((name, values), colour) in enumerate(zip(accuracies.items(), (GREY, SKY), strict=False)):
        places = [group + (number - 0.5 * (len(accuracies) - 1)) * width for group in range(len(groups))]
        bars = axes.bar(places, [100 * value for value in values], width * 0.92, color=colour, label=name)
        axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.axhline(100 * chance, color=INK, linewidth=1, linestyle="--")
    axes.annotate("chance", (len(groups) - 0.15, 100 * chance), (0, 3), textcoords="offset points", ha="right")
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel="accuracy (%)", ylim=(0, 100), xlim=(-0.5, len(groups) - 0.15))
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def draw_turns(rows: Mapping[str, Tensor]) -> Figure:
    """Rows of digits, ``[digit, height, width]``, with what they are."""
    count = min(len(images) for images in rows.values())
    figure, panels = picture(0.2 + 0.92 * len(rows), columns=count, rows=len(rows))
    for row, (name, images) in enumerate(rows.items()):
        for column in range(count):
            axes = panels[row * count + column]
            axes.imshow((DIGIT_PIXELS - images[column]).numpy(), cmap="gray", vmin=0, vmax=DIGIT_PIXELS)
            axes.set(xticks=[], yticks=[])
        panels[row * count].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8)
    return figure


def draw_budgets(errors: Mapping[str, Sequence[float]], every: int, gradients: Mapping[str, int], tasks: int) -> Figure:
    """The errors of each method, taken every so many meta-steps: against meta-steps, and against the gradients that
    these took, at so many ``gradients`` for each of a meta-step's tasks."""
    figure, panels = picture(3.1, columns=2, sharey=True)
    for method, values in errors.items():
        colour, _, width = METHOD_STYLES[method]
        steps = [every * (number + 1) for number in range(len(values))]
        taken = [step * tasks * gradients[method] / 1000 for step in steps]
        for axes, places in zip(panels, (steps, taken), strict=True):
            axes.plot(places, values, "o-", color=colour, linewidth=width, markersize=4, label=NAMES[method])
    panels[0].set(xlabel="meta-steps", ylabel="squared error after one step", title="equal meta-steps")
    panels[1].set(xlabel="gradients (thousands)", title="equal gradients")
    panels[0].legend(frameon=False)
    return figure

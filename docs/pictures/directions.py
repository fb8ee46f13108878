"""Where the methods would go from one Φ of the two tasks: their arrows, and what first-order MAML leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from headstart.reports.colours import GREY, VERMILLION
from pictures import two_tasks
from pictures.look import INK, NAMES, colour_of, picture


def angle(left: Tensor, right: Tensor) -> float:
    """The angle between two directions in the plane, in degrees.

    >>> angle(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    90.0
    """
    return float(torch.rad2deg(torch.acos(torch.cosine_similarity(left, right, dim=0).clamp(-1, 1))))


def draw_left_out(point: Tensor, stepped: Tensor, first_order: Tensor, exact: Tensor) -> Figure:
    """The step of task 1 to θ̂, and at Φ three downhill arrows: first-order MAML's, the term that it leaves out, and
    their sum, which is exact MAML's. Arrows are as long as the longest in the window allows."""
    figure, (left, right) = picture(3.5, columns=2)
    two_tasks.draw_contours(left)
    two_tasks.draw_arrow(left, point, stepped, VERMILLION)
    for place, name, shift in ((point, r"$\Phi$", (6, 6)), (stepped, r"$\hat\theta$", (-18, -6))):
        left.plot(*place, "o", color=INK, markersize=7, zorder=6)
        left.annotate(name, place, shift, textcoords="offset points", fontsize=14)
    left.set_title("the inner step of task 1")
    zero, corner, tip = torch.zeros(2), -first_order, -exact
    two_tasks.draw_arrow(right, zero, corner, colour_of("fomaml"), 2.8)
    two_tasks.draw_arrow(right, corner, tip, GREY, 2.8)
    two_tasks.draw_arrow(right, zero, tip, colour_of("maml"), 2.8)
    label(right, corner / 2, "first order\n$-\\nabla l(\\hat\\theta)$", colour_of("fomaml"), (-16, -14), "right")
    label(
        right, (corner + tip) / 2, "left out\n$+\\,\\varepsilon H\\nabla l(\\hat\\theta)$", "#666666", (8, -8), "left"
    )
    label(right, tip / 2, "exact MAML", colour_of("maml"), (8, 12), "center")
    span = torch.stack([zero.double(), corner, tip])
    room = 0.35 * float((span.max(0).values - span.min(0).values).max())
    xlim, ylim = ((float(values.min()) - room, float(values.max()) + room) for values in span.T)
    right.set(xlim=xlim, ylim=ylim, aspect="equal")
    right.set(xlabel=r"move of $\Phi_1$", ylabel=r"move of $\Phi_2$", title="downhill from Φ")
    right.locator_params(nbins=5)
    return figure


def label(axes: Axes, place: Tensor, text: str, colour: str, shift: tuple[float, float], align: str) -> None:
    """A name beside an arrow, that stays readable over lines."""
    look = {"color": colour, "weight": "bold", "path_effects": [withStroke(linewidth=3, foreground="white")]}
    axes.annotate(text, place.tolist(), shift, textcoords="offset points", ha=align, va="center", **look)


def draw_pulls(rates: Sequence[float], pulls: Mapping[str, Sequence[float]], marked: float) -> Figure:
    """How strongly each method pulls Φ down a wall, against the inner rate; one rate is ``marked``."""
    figure, (axes,) = picture(2.9)
    for method, values in pulls.items():
        axes.plot(rates, values, color=colour_of(method), linewidth=2.4, label=NAMES[method])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(marked, color=GREY, linewidth=1, linestyle=":")
    axes.annotate("next picture", (marked, 0.9), (4, 0), textcoords="offset points", color="#666666")
    axes.set(xlabel="inner learning rate ε", ylabel="pull down the wall", xlim=(0, max(rates)))
    axes.legend(frameon=False, loc="upper center")
    return figure


def draw_training(rows: Sequence[Mapping[str, float]]) -> Figure:
    """``cosine`` and ``share`` of a training's meta-gradients, over its ``meta_step``."""
    figure, (left, right) = picture(2.9, columns=2)
    steps = [row["meta_step"] for row in rows]
    left.plot(steps, [row["cosine"] for row in rows], "o-", color=colour_of("fomaml"), linewidth=2, markersize=4)
    left.set(xlabel="meta-step", ylabel="cosine, exact and first order", ylim=(0, 1.03))
    right.plot(steps, [100 * row["share"] for row in rows], "o-", color=GREY, linewidth=2, markersize=4)
    right.set(xlabel="meta-step", ylabel="left out (% of exact)")
    right.set_ylim(bottom=0)
    return figure


def draw_arrows(axes: Axes, point: Tensor, directions: Mapping[str, Tensor], length: float = 1.0) -> None:
    """On the contours of both tasks an arrow of one length for each method, downhill from one Φ."""
    two_tasks.draw_contours(axes)
    for method, direction in directions.items():
        end = point - length * direction / direction.norm()
        two_tasks.draw_arrow(axes, point, end, colour_of(method), 2.8)
        away = 20 * (end - point) / length
        label(axes, end, NAMES[method], colour_of(method), tuple(away.tolist()), "right" if away[0] < -6 else "center")
    axes.plot(*point, "o", color=INK, markersize=8, zorder=6)
    axes.annotate(r"$\Phi$", point.tolist(), (9, -4), textcoords="offset points", fontsize=14)


def draw_angles(axes: Axes, steps: Sequence[int], reptile: Sequence[float], others: Mapping[str, float]) -> None:
    """Reptile's angle against its inner steps, and level lines for methods whose angle has nothing to do with them."""
    axes.plot(steps, reptile, "o-", color=colour_of("reptile"), linewidth=2, markersize=5)
    for method, degrees in others.items():
        axes.axhline(degrees, color=colour_of(method), linewidth=2)
        axes.annotate(
            NAMES[method],
            (steps[0], degrees),
            (0, 4),
            textcoords="offset points",
            color=colour_of(method),
            weight="bold",
        )
    middle = len(steps) // 2
    label(axes, torch.tensor([steps[middle], reptile[middle]]), NAMES["reptile"], colour_of("reptile"), (9, -7), "left")
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.minorticks_off()
    axes.set(xlabel="Reptile's inner steps", ylabel="degrees from pre-training's arrow")
    axes.set_ylim(top=1.12 * max(*others.values(), *reptile))


def draw_expansion(rates: Sequence[float], errors: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """How far the real directions are from the mean gradient alone and from both terms, ``errors[terms][method]``."""
    figure, (axes,) = picture(3.1)
    for (terms, of_method), dash in zip(errors.items(), ("--", "-"), strict=True):
        for method, values in of_method.items():
            axes.plot(rates, values, f"o{dash}", color=colour_of(method), linewidth=2, markersize=4)
        axes.plot([], [], dash, color=INK, label=terms)
    for method in next(iter(errors.values())):
        axes.plot([], [], color=colour_of(method), linewidth=3, label=NAMES[method])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel="inner learning rate ε", ylabel="relative error")
    figure.legend(loc="outside right center", frameon=False)
    return figure

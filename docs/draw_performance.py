"""Draws ``docs/images/performance.png`` from what runs of ``benchmarks/peers.py --out`` wrote.

python docs/draw_performance.py peers.json ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLORS = {
    "learn2learn": "#b0562f",
    "higher": "#c79a3a",
    "TorchOpt": "#7a6a9c",
    "parallel-metalearn": "#6f8f72",
    "headstart eager": "#8fb4d9",
    "headstart compiled": "#3f7fbf",
    "headstart compiled, 2 workers": "#123f73",
}


def draw_times(axes: Axes, timings: list[dict[str, Any]], order: int, inner_steps: int) -> None:
    """Milliseconds per task against the number of tasks, one line per row."""
    chosen = [t for t in timings if (t["ways"], t["order"], t["inner_steps"]) == (5, order, inner_steps)]
    chosen = sorted({t["tasks"]: t for t in chosen}.values(), key=lambda timing: timing["tasks"])  # the last of equals
    for name, color in COLORS.items():
        points = [
            (t["tasks"], 1000 * t["rows"][name]["median"] / t["tasks"]) for t in chosen if "median" in t["rows"][name]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=color, label=name, markersize=4)
    axes.set(xscale="log", yscale="log", title=f"order={order}, inner_steps={inner_steps}")
    axes.set_xticks([t["tasks"] for t in chosen], [str(t["tasks"]) for t in chosen], minor=False)
    axes.minorticks_off()
    ticks = [1, 2, 5, 10, 20, 50, 100, 200]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.grid(alpha=0.3)


def main() -> None:
    """A row of panels for every order, a panel for every number of inner steps."""
    timings = [timing for path in sys.argv[1:] for timing in json.loads(Path(path).read_text())["timings"]]
    orders = sorted({timing["order"] for timing in timings}, reverse=True)
    steps = sorted({timing["inner_steps"] for timing in timings if timing["ways"] == 5})
    size = (3.2 * len(steps) + 3, 3 * len(orders))
    figure, panels = plt.subplots(
        len(orders), len(steps), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for row, order in zip(panels, orders, strict=True):
        for axes, inner_steps in zip(row, steps, strict=True):
            draw_times(axes, timings, order, inner_steps)
        row[0].set_ylabel("ms per task")
    for axes in panels[-1]:
        axes.set_xlabel("tasks")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(Path(__file__).parent / "images" / "performance.png", dpi=120)


if __name__ == "__main__":
    main()

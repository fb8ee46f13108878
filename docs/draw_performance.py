"""Draws ``docs/images/performance.png`` from what ``benchmarks/peers.py --out`` wrote.

python docs/draw_performance.py peers.json
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
    chosen.sort(key=lambda timing: timing["tasks"])
    for name, color in COLORS.items():
        points = [
            (t["tasks"], 1000 * t["rows"][name]["median"] / t["tasks"]) for t in chosen if "median" in t["rows"][name]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=color, label=name, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="tasks", title=f"order={order}, inner_steps={inner_steps}")
    axes.set_xticks([t["tasks"] for t in chosen], [str(t["tasks"]) for t in chosen], minor=False)
    axes.minorticks_off()
    ticks = [2, 5, 10, 20, 50, 100]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.grid(alpha=0.3)


def main() -> None:
    """One panel for every order and number of inner steps."""
    timings = json.loads(Path(sys.argv[1]).read_text())["timings"]
    panels = sorted({(-t["order"], t["inner_steps"]) for t in timings if t["ways"] == 5})
    figure, (all_axes,) = plt.subplots(
        1, len(panels), figsize=(3.6 * len(panels) + 3, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (order, inner_steps) in zip(all_axes, panels, strict=True):
        draw_times(axes, timings, -order, inner_steps)
    all_axes[0].set_ylabel("ms per task")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(Path(__file__).parent / "images" / "performance.png", dpi=120)


if __name__ == "__main__":
    main()

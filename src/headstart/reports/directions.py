"""How far apart the directions of exact MAML, first-order MAML and Reptile are along a training, as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.reports.colours import METHOD_STYLES, SOLID, VERMILLION, Style
from headstart.reports.drawing import INK
from headstart.reports.figures import Line, lines
from headstart.reports.page import Picture, Section
from headstart.reports.tables import Table

PAIRS = {
    "exact, first_order": ("exact and first-order", METHOD_STYLES["fomaml"]),
    "exact, reptile": ("exact and Reptile", METHOD_STYLES["reptile"]),
    "exact, reptile_adam": ("exact and Reptile with Adam", Style(VERMILLION)),
}
"""The cosines that are drawn, by their name in the record."""
SHARE = ("share of the second-order term", METHOD_STYLES["maml"])
ZERO = Style(INK, SOLID, 0.8)


def directions_section(record: Mapping[str, Any]) -> Section:
    """What ``benchmarks/directions.py`` measured: the cosines and the share over meta-steps, with their deviations."""
    rows = record["rows"]
    steps = [row["meta_step"] for row in rows]
    level = Line([0, steps[-1]], [0, 0], ZERO)

    def line(name: str, style: Style) -> Line:
        means, deviations = ([row[name][key] for row in rows] for key in ("mean", "deviation"))
        return Line(steps, means, style, deviations)

    cosines = [line(name, style) for name, (_, style) in PAIRS.items()]
    share = line("second_order_share", SHARE[1])
    words, styles = zip(*PAIRS.values(), SHARE, strict=True)
    names = [*PAIRS, "second_order_share"]
    cells = [(f"{row['meta_step']:,}", *(figure(row[name]) for name in names)) for row in rows]
    return Section(
        "Directions along one training",
        [
            f"Means over {record['tasks']:,} training tasks of {record['problem']}, the same at every meta-step, in "
            "batches as large as those of a meta-step, in float64. The bands, and the numbers after ±, are standard "
            "deviations between the batches."
        ],
        [Table(("meta-step", *words), cells)],
        [
            [
                Picture(lines([level, *cosines], "meta-steps of MAML", "cosine"), "Cosine of two directions"),
                Picture(
                    lines([level, share], "meta-steps of MAML", "share"),
                    "Second-order term, as a share of the exact gradient",
                ),
            ]
        ],
        [*zip(words, styles, strict=True)],
    )


def figure(measured: Mapping[str, float]) -> str:
    """A mean and its deviation.

    >>> figure({"mean": -0.2149, "deviation": 0.1919})
    '−0.21 ± 0.19'
    """
    return f"{measured['mean']:.2f} ± {measured['deviation']:.2f}".replace("-", "−")

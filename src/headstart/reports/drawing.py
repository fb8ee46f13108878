"""Pictures as SVG that lies in a page: its ink is the page's, in light and in dark, and so are its letters."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from headstart.errors import BadInputError

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise BadInputError("figures need matplotlib: pip install headstart[report]") from error

SIZE = (5.0, 3.3)
"""Width and height in inches, before the page scales it."""
INK = "#123456"
"""What is drawn in it has the colour of the page's text in the end."""
LOOK: Any = {
    "font.size": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "headstart",
    "legend.frameon": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.18,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
}
"""Matplotlib's settings; with a salt of its own the same picture is the same text."""


def drawn(draw: Callable[[Axes], None], size: tuple[float, float] = SIZE) -> str:
    """What ``draw`` puts on a pair of axes, as an SVG element.

    >>> picture = drawn(lambda axes: axes.set_xlabel("inner steps"))
    >>> picture.startswith("<svg "), "currentColor" in picture, INK in picture, "inner steps" in picture
    (True, True, False, True)
    """
    box = io.StringIO()
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(box, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return embedded(box.getvalue())


def embedded(svg: str) -> str:
    """A picture of matplotlib's as an element of a page: without the head of a file, with no size of its own, no names
    that two pictures could share, no digits that nobody sees, the page's ink and the page's font."""
    svg = svg[svg.index("<svg ") :].strip().replace(INK, "currentColor")
    for superfluous in (
        r"(?s)<metadata>.*?</metadata>",
        r"(?s)<style .*?</style>",
        r"(?<=<g) id=\"[^\"]*\"",
        r" (width|height)=\"[\d.]+pt\"",
        r"font-family: [^;\"]*; ",
    ):
        svg = re.sub(superfluous, "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r" d=\"[^\"]*\"", lambda path: re.sub(r"(?<=\.\d\d)\d+", "", path[0]), svg)
    return re.sub(r"\s+", " ", svg)

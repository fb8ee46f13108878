"""Figures: what is drawn is all there, in the method's colour and the page's ink."""

from __future__ import annotations

import math
import re

import pytest

from headstart.experiments.methods import METHODS
from headstart.reports.colours import METHOD_STYLES, PALETTE, Style, styles_of
from headstart.reports.drawing import INK
from headstart.reports.figures import FITS, Line, layers, lines, ticks
from headstart.reports.fits import STEPS

RED, BLUE = Style("#ff0000"), Style("#0000ff", (5.0, 2.0))


def test_every_method_has_a_style_that_no_other_has() -> None:
    assert METHOD_STYLES.keys() == METHODS.keys()
    assert len({*METHOD_STYLES.values()}) == len(METHODS)
    assert {style.colour for style in METHOD_STYLES.values()} <= {*PALETTE}


def test_runs_of_one_method_share_its_colour_and_differ_in_their_dashes() -> None:
    styles = styles_of(["maml", "proto_maml", "maml", "maml", "mine", "mine"])
    assert len({*styles}) == 6 and styles[4].colour == styles[5].colour
    assert {style.colour for style in styles[:4]} == {METHOD_STYLES["maml"].colour}
    assert styles_of(["reptile", "mine"])[1] == styles_of(["mine"])[0], "whatever it is compared with"


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("paper", ["#ffffff", "#17191c"])
def test_every_colour_is_seen_on_white_and_on_black(paper: str) -> None:
    for colour in PALETTE:
        dark, light = sorted((luminance(colour), luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) > 2


def paths(svg: str, colour: str) -> list[list[tuple[float, float]]]:
    """The points of every path in a colour."""
    found = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: {colour}[;"]', svg)
    found += re.findall(
        rf'<path d="([^"]*)"[^>]*style="fill: none; stroke-dasharray: [^;]*; [^"]*stroke: {colour}', svg
    )
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)] for path in found]


def test_lines_go_through_their_points_and_stop_where_they_are_not_finite() -> None:
    svg = lines([Line([0, 1, 2, 3], [1.0, 2.0, math.nan, math.nan], RED)], "steps", "mse (m)", log=True)
    ((left, right),) = paths(svg, RED.colour)
    assert left[0] < right[0] and left[1] > right[1], "up is less in SVG"
    assert ">steps<" in svg and ">mse (m)<" in svg


def test_a_line_of_one_point_is_a_dot_and_no_level_line() -> None:
    svg = lines([Line([0, 10, 20], [1.0, 2.0, 3.0], RED), Line([10], [2.0], BLUE)], "meta-steps", "accuracy")
    assert len(*paths(svg, BLUE.colour)) == 1
    (red,) = paths(svg, RED.colour)
    dot = re.search(rf'<use [^>]* x="(\S+)" y="(\S+)" style="fill: {BLUE.colour}', svg)
    assert dot and (float(dot[1]), float(dot[2])) == pytest.approx(red[1], abs=0.01)


def test_nothing_at_all_can_be_drawn() -> None:
    for log in (False, True):
        assert "<svg " in lines([Line([], [], RED)], "steps", "mse", log=log)
    assert "<svg " in layers([({}, RED)], "movement")
    assert "<svg " in layers([({"head": 0.0}, RED)], "movement")


def test_a_line_that_runs_away_does_not_press_the_others_flat() -> None:
    calm, wild = Line([0, 1, 2], [4.0, 1.0, 0.5], RED), Line([0, 1, 2], [4.0, 1e9, math.inf], BLUE)
    svg = lines([calm, wild], "steps", "mse", log=True)
    (points,) = paths(svg, RED.colour)
    height = float(re.search(r'viewBox="0 0 \S+ (\S+)"', svg)[1])  # type: ignore[index]
    assert points[-1][1] - points[0][1] > 0.3 * height


def test_layers_are_in_their_order_and_what_does_not_move_is_at_zero() -> None:
    svg = layers([({"first": 0.0, "second": 0.01, "third": 1.0}, RED)], "movement")
    (points,) = paths(svg, RED.colour)
    xs, ys = zip(*points, strict=True)
    assert sorted(xs) == [*xs] and sorted(ys) == [*ys]
    assert ">0<" in svg and ">0.01<" in svg


def test_a_figure_is_the_same_text_every_time_and_has_the_pages_ink_and_font() -> None:
    def draw() -> str:
        return lines([Line([0, 1], [0.5, 0.125], RED, [0.1, 0.1])], "steps", "mse")

    svg = draw()
    assert svg == draw()
    assert INK not in svg and "currentColor" in svg and "font-family" not in svg and "DejaVu" not in svg
    assert not re.search(r'<g id=|width="\S*pt"', svg)
    small = layers([({"head": 0.0012, "body": 0.006}, RED)], "movement")
    assert ">0.002<" in small and ">0.005<" in small, "digits that are read stay"


def test_ticks_lie_within() -> None:
    assert ticks(0.9, 11.0) == [1, 2, 5, 10] and ticks(1e-4, 1.0) == [1e-4, 1e-3, 1e-2, 0.1, 1.0]
    for low, high in ((0.31, 0.45), (1.1, 1.9), (3e-5, 4e-5)):
        assert len(ticks(low, high)) >= 2 and all(low <= tick <= high for tick in ticks(low, high))


def test_every_curve_that_is_fitted_has_a_look() -> None:
    assert tuple(FITS) == STEPS

"""How each method's line looks: the same colour everywhere, told apart by people who see colours differently too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c8c8c",
)  # fmt: skip
"""Okabe and Ito's colours (2008), without yellow and black, which are hard to see on white and on black; and grey."""
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY)
SOLID, DASHED, DOTTED, DASH_DOT = (), (5.0, 2.0), (1.0, 1.5), (6.0, 2.0, 1.0, 2.0)
DASHES: tuple[tuple[float, ...], ...] = (SOLID, DASHED, DOTTED, DASH_DOT)


class Style(NamedTuple):
    """A line's colour, its dashes (lengths of ink and gap, in line widths) and its width in points."""

    colour: str
    dash: tuple[float, ...] = SOLID
    width: float = 1.8


METHOD_STYLES = {
    "maml": Style(BLUE),
    "fomaml": Style(ORANGE),
    "reptile": Style(GREEN),
    "pretraining": Style(PURPLE),
    "classifier": Style(VERMILLION),
    "proto_net": Style(SKY),
    "matching_net": Style(GREY),
    "implicit_maml": Style(SKY, DASHED),
    "anil": Style(GREY, DASHED),
    "boil": Style(GREEN, DASHED),
    "low_rank": Style(PURPLE, DASHED),
    "cavia": Style(VERMILLION, DASHED),
    "meta_sgd": Style(VERMILLION, DOTTED),
    "layer_step_rates": Style(SKY, DOTTED),
    "maml_plus_plus": Style(GREEN, DOTTED),
    "meta_curvature": Style(PURPLE, DOTTED),
    "learned_optimizer": Style(ORANGE, DASHED),
    "structure_search": Style(GREY, DOTTED),
    "t_nas": Style(ORANGE, DOTTED),
    "proto_maml": Style(BLUE, DASHED),
    "unicorn_maml": Style(BLUE, DOTTED),
}
"""The methods of headstart. One of somebody else's gets the colour that its name comes to."""


def styles_of(methods: Sequence[str]) -> list[Style]:
    """A style for each of the methods; where one comes twice, the second has other dashes.

    >>> [style.dash for style in styles_of(["maml", "reptile", "maml"])]
    [(), (), (5.0, 2.0)]
    """
    styles: list[Style] = []
    for method in methods:
        style = METHOD_STYLES.get(method) or Style(PALETTE[sum(method.encode()) % len(PALETTE)])
        free = [style, *(style._replace(dash=dash) for dash in DASHES)]
        styles.append(next((other for other in free if other not in styles), style))
    return styles

"""A recipe: settings as data, with where each of them is from and what was published of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headstart.errors import BadInputError
from headstart.experiments.settings import Settings, default_settings

OMNIGLOT_TASKS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5)}
"""Omniglot's four kinds of tasks: ways and shots."""
OURS = "headstart's own choice"
"""Where a setting is from that no paper states."""


@dataclass(frozen=True)
class Published:
    """What a paper reports.

    Attributes:
        value: after the last inner step: a fraction for accuracies.
        interval: half the width of its 95 % interval, where there is one.
        by_inner_step: the values after other numbers of inner steps, where there are some.
    """

    value: float
    interval: float | None = None
    by_inner_step: Mapping[int, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """For people: percentages, or errors after so many inner steps.

        >>> str(Published(0.987, 0.004)), str(Published(0.35, None, {1: 0.67, 10: 0.35}))
        ('98.7 ± 0.4 %', '0.67, 0.35 after 1, 10 steps')
        """
        if self.by_inner_step:
            steps, values = (", ".join(map(str, part)) for part in (self.by_inner_step, self.by_inner_step.values()))
            return f"{values} after {steps} steps"
        interval = "" if self.interval is None else f" ± {100 * self.interval:g}"
        return f"{100 * self.value:g}{interval} %"


@dataclass(frozen=True)
class Recipe:
    """One row of one paper's table.

    Attributes:
        problem: what it is learned on.
        method: what is learned.
        settings: departures from the defaults, by where they are from.
        published: what the paper reports; ``None`` for a recipe of headstart's own.
        transductive: whether its query examples are predicted together.
        source: of the published value.
        note: how this recipe departs from the paper, where it does.
        study: the question that several recipes answer together, where this is one of them.
    """

    problem: str
    method: str
    settings: Mapping[str, Mapping[str, Any]]
    published: Published | None
    source: str
    transductive: bool = True
    note: str = ""
    study: str = ""

    def at(self, budget: float = 1.0, seed: int = 0) -> Settings:
        """The settings of a run with a share ``budget`` of the published meta-steps.

        Raises:
            BadInputError: the budget is no share.

        >>> from headstart.experiments.recipes import RECIPES
        >>> RECIPES["maml-omniglot-5w1s"].at(budget=0.1).outer_loop.meta_steps
        6000
        """
        if not 0 < budget <= 1:
            raise BadInputError(f"--budget {budget} is no share of the published meta-steps; choose one up to 1.")
        values = {name: value for part in self.settings.values() for name, value in part.items()}
        settings = default_settings(self.problem, self.method, values.pop("model", None)).replace(**values, seed=seed)
        meta_steps = max(1, round(budget * settings.outer_loop.meta_steps))
        every = min(settings.outer_loop.validation_every, meta_steps)
        return settings.replace(meta_steps=meta_steps, validation_every=every)

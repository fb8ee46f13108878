"""The settings that papers published, as data, with where each of them is from and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headstart.errors import BadInputError
from headstart.experiments.settings import Settings, default_settings

MAML = "Finn, Abbeel and Levine (2017)"
MAML_CODE = "github.com/cbfinn/maml"
REPTILE = "Nichol, Achiam and Schulman (2018)"
REPTILE_CODE = "github.com/openai/supervised-reptile"
PROTO_NET = "Snell, Swersky and Zemel (2017)"
MATCHING = "Vinyals et al. (2016)"
OURS = "headstart's own choice"


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
    """

    problem: str
    method: str
    settings: Mapping[str, Mapping[str, Any]]
    published: Published | None
    source: str
    transductive: bool = True
    note: str = ""

    def at(self, budget: float = 1.0, seed: int = 0) -> Settings:
        """The settings of a run with a share ``budget`` of the published meta-steps.

        Raises:
            BadInputError: the budget is no share.

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


TASKS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5)}
"""Omniglot's four kinds of tasks: ways and shots."""
Figures = Mapping[str, tuple[float, float | None]]
"""Published percentages and the half widths of their intervals, by kind of task."""


def rows(method: str, figures: Figures, settings: Any, source: str, **more: Any) -> dict[str, Recipe]:
    """A recipe for each kind of Omniglot task; ``settings(ways, shots)`` are those of one of them."""
    suffix = "" if more.get("transductive", True) else "-inductive"
    found = {}
    for kind, (percent, interval) in figures.items():
        published = Published(round(percent / 100, 6), None if interval is None else round(interval / 100, 6))
        ways, shots = TASKS[kind]
        own = {source: {"ways": ways, "shots": shots}, **settings(ways, shots)}
        name = f"{method}-omniglot-{kind}{suffix}"
        found[name] = Recipe("omniglot", method, own, published, f"{source}, Omniglot table", **more)
    return found


VALIDATED = {"validation_tasks": 600, "validation_every": 5000, "checkpoint_every": 500}


def of_maml(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """MAML's own settings; 0.4 and 0.1 on ``ways`` times the mean loss are 2.0 on the mean."""
    steps, batch, tested = (1, 32, 3) if ways == 5 else (5, 16, 5)
    network = {"norm": "batch_shift", "adapt": "weights", "features": "mean", "downsample": "stride", "width": 64}
    outer = {"meta_lr": 1e-3, "optimizer": "Adam", "schedule": "constant", "meta_steps": 60_000, "meta_batch": batch}
    examples = {"rotations": "tasks", "test_rotations": "tasks", "queries": shots, "test_queries": shots}
    inner = {"inner_lr": 2.0, "inner_steps": steps, "test_inner_steps": tested}
    return {f"{MAML}, appendix A.1": inner, MAML_CODE: {**network, **outer, **examples}, OURS: VALIDATED}


def of_anil(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """MAML's settings without what names the part that adapts, which is the head."""
    return {source: {k: v for k, v in part.items() if k != "adapt"} for source, part in of_maml(ways, shots).items()}


def of_reptile(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """Reptile's own commands."""
    batch, steps, rate, meta_steps, test_batch = (10, 5, 1e-3, 100_000, 5) if ways == 5 else (20, 10, 5e-4, 200_000, 10)
    inner = {"inner_rule": "adam", "inner_lr": rate, "inner_steps": steps, "inner_batch": batch, "train_shots": 10}
    tested = {"test_inner_steps": 50, "test_inner_batch": test_batch, "test_queries": 1, "test_tasks": 10_000}
    outer = {"optimizer": "SGD", "meta_lr": 1.0, "schedule": "linear", "meta_batch": 5, "meta_steps": meta_steps}
    images = {"rotations": "classes", "ink": 0, "features": "flatten"}
    return {REPTILE_CODE: {**inner, "carry": True, **tested, **outer, **images}, OURS: {**VALIDATED, "queries": 1}}


def of_metric(ways: int, shots: int, train_ways: int) -> Mapping[str, Mapping[str, Any]]:
    """Prototypical and matching networks: max-pooled blocks and Adam at 1e-3, one task a meta-step."""
    paper = {"train_ways": train_ways, "queries": 5, "downsample": "max_pool", "meta_lr": 1e-3, "meta_batch": 1}
    ours = {"meta_steps": 20_000, "schedule": "cosine", "validation_every": 2500, "validation_tasks": 600}
    return {PROTO_NET: paper, OURS: ours}


def sinusoid(method: str, shots: int, by_step: Mapping[int, float], inner: Mapping[str, Any]) -> Recipe:
    """Sine curves, tested after 1, 5 and 10 inner steps."""
    outer = {"meta_steps": 70_000, "meta_batch": 25, "meta_lr": 1e-3, "optimizer": "Adam", "schedule": "constant"}
    sizes = {"shots": shots, "queries": shots, "inner_lr": 0.01, "test_inner_steps": 10, "width": 40, **inner}
    ours = {"test_queries": 100, "test_tasks": 1000, "validation_every": 10_000, "checkpoint_every": 1000}
    settings = {f"{MAML}, section 5.1": sizes, MAML_CODE: outer, OURS: ours}
    return Recipe("sinusoid", method, settings, Published(by_step[10], None, by_step), f"{MAML}, figure 3")


OF_MAML = {"5w1s": (98.7, 0.4), "5w5s": (99.9, 0.1), "20w1s": (95.8, 0.3), "20w5s": (98.9, 0.2)}
OF_FOMAML = {"5w1s": (98.3, 0.5), "5w5s": (99.2, 0.2), "20w1s": (89.4, 0.5), "20w5s": (97.9, 0.1)}
OF_REPTILE = {"5w1s": (97.68, 0.04), "5w5s": (99.48, 0.06), "20w1s": (89.43, 0.14), "20w5s": (97.12, 0.32)}
OF_REPTILE_INDUCTIVE = {"5w1s": (95.39, 0.09), "5w5s": (98.90, 0.10), "20w1s": (88.14, 0.15), "20w5s": (96.65, 0.33)}
OF_ANIL = {"20w1s": (96.2, 0.5), "20w5s": (98.0, 0.3)}
OF_PROTO_NET = {"5w1s": (98.8, None), "5w5s": (99.7, None), "20w1s": (96.0, None), "20w5s": (98.9, None)}
OF_MATCHING = {"5w1s": (98.1, None), "5w5s": (98.9, None), "20w1s": (93.8, None), "20w5s": (98.5, None)}
MAML_CURVE, PRETRAINED_CURVE = {1: 0.67, 5: 0.38, 10: 0.35}, {1: 2.41, 5: 2.23, 10: 2.19}

RECIPES: dict[str, Recipe] = {
    **{f"maml-sinusoid-{k}shot": sinusoid("maml", k, MAML_CURVE, {"inner_steps": 1}) for k in (5, 10)},
    **{f"pretraining-sinusoid-{k}shot": sinusoid("pretraining", k, PRETRAINED_CURVE, {}) for k in (5, 10)},
    **rows("maml", OF_MAML, of_maml, MAML),
    **rows("fomaml", OF_FOMAML, of_maml, f"{REPTILE}, quoting MAML's authors"),
    **rows("reptile", OF_REPTILE, of_reptile, REPTILE),
    **rows("reptile", OF_REPTILE_INDUCTIVE, of_reptile, REPTILE, transductive=False),
    **rows("anil", OF_ANIL, of_anil, "Raghu et al. (2020)"),
    **rows("proto_net", OF_PROTO_NET, lambda ways, shots: of_metric(ways, shots, 60), PROTO_NET),
    **rows("matching_net", OF_MATCHING, lambda ways, shots: of_metric(ways, shots, ways), MATCHING),
}
"""By name. Those that differ in how they are tested alone share the run that they train."""


def own(method: str, kind: str, **settings: Any) -> Recipe:
    """A recipe of headstart's own for a kind of Omniglot task: as much as two cores do in minutes."""
    ways, shots = TASKS[kind]
    values = {"ways": ways, "shots": shots, "validation_tasks": 300, **settings}
    return Recipe("omniglot", method, {OURS: values}, None, "headstart")


PROTO = {"meta_batch": 1, "queries": 5, "meta_lr": 3e-3, "validation_every": 1000}
RECIPES |= {
    "maml-default-omniglot-5w1s": own("maml", "5w1s"),
    "maml-long-omniglot-5w1s": own("maml", "5w1s", meta_steps=30_000, validation_every=10_000),
    "proto_net-20way-omniglot-5w1s": own("proto_net", "5w1s", train_ways=20, meta_steps=2500, **PROTO),
    "proto_net-60way-omniglot-5w1s": own("proto_net", "5w1s", train_ways=60, meta_steps=4000, **PROTO),
    "proto_net-60way-omniglot-20w1s": own("proto_net", "20w1s", train_ways=60, meta_steps=4000, **PROTO),
    "proto_maml-20way-omniglot-5w1s": own(
        "proto_maml", "5w1s", train_ways=20, meta_steps=2500, inner_lr=0.4, meta_batch=1, queries=5, meta_lr=3e-3
    ),
}


def recipe_called(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        BadInputError: there is none.

    >>> recipe_called("maml-omniglot-5w1s").published.value
    0.987
    """
    if name not in RECIPES:
        raise BadInputError(f"there is no recipe {name!r}; `headstart recipes` lists them.")
    return RECIPES[name]

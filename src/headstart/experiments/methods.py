"""The methods that ``headstart train --method`` knows: one row each, as data. PyTorch is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Method:
    """What there is to know of a method before it is built.

    Attributes:
        learner: the public name of its class in ``headstart``.
        family: what *F* learns.
        order: of the derivatives in the meta-gradient.
        cost: gradients of one support or query set that one task takes, for ``s`` inner steps; a derivative of a
            gradient counts as two.
        source: the paper.
        arguments: what makes the class this method.
        recipe: departures from ``Config``'s defaults.
        needs_classes: whether it cannot learn regression.
    """

    learner: str
    family: Literal["initialisation", "update rule", "structure", "metric", "baseline"]
    order: int
    cost: str
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    needs_classes: bool = False

    def __str__(self) -> str:
        """How the method is called in Python."""
        arguments = [f"{name}={value!r}" for name, value in self.arguments.items()]
        if "inner_rule" in self.recipe:
            arguments.append(f"inner_rule=hs.{RULES[self.recipe['inner_rule']]}")
        return f"hs.{self.learner}({', '.join(['model', *arguments])})"


RULES = {
    "sgd": "SGD",
    "adam": "AdamWithoutMomentum",
    "meta_sgd": "MetaSGD",
    "layer_step_rates": "LayerStepRates",
    "meta_curvature": "MetaCurvature",
    "learned_optimizer": "LearnedOptimizer",
}
"""The update rules that ``--inner-rule`` knows, with their public names in ``headstart``."""

LEARNED_RULES = ("meta_sgd", "layer_step_rates", "meta_curvature", "learned_optimizer")
"""Those of them that have meta-parameters."""

METHODS: dict[str, Method] = {
    "maml": Method("MAML", "initialisation", 2, "1 + 3 s", "Finn, Abbeel and Levine (2017)"),
    "fomaml": Method("FOMAML", "initialisation", 1, "1 + s", "Finn, Abbeel and Levine (2017)"),
    "reptile": Method(
        "Reptile",
        "initialisation",
        1,
        "s",
        "Nichol, Achiam and Schulman (2018)",
        recipe={
            "train_shots": 10,
            "queries": 1,
            "inner_lr": 1e-3,
            "inner_steps": 5,
            "test_inner_steps": 10,
            "inner_rule": "adam",
            "inner_batch": 10,
            "meta_batch": 5,
            "meta_lr": 1.0,
            "optimizer": "SGD",
            "schedule": "linear",
        },
    ),
    "implicit_maml": Method(
        "ImplicitMAML",
        "initialisation",
        2,
        "2 + s + 2 cg_steps",
        "Rajeswaran, Finn, Kakade and Levine (2019)",
        recipe={"inner_lr": 0.1, "inner_steps": 16},
    ),
    "anil": Method("ANIL", "initialisation", 2, "1 + 3 s", "Raghu et al. (2020)"),
    "boil": Method("BOIL", "initialisation", 2, "1 + 3 s", "Oh et al. (2021)"),
    "low_rank": Method(
        "MAML", "initialisation", 2, "1 + 3 s", "Hu et al. (2022)", {"adapt": "low_rank"}, {"model": "transformer"}
    ),
    "cavia": Method("CAVIA", "initialisation", 2, "1 + 3 s", "Zintgraf et al. (2019)"),
    "meta_sgd": Method("MAML", "update rule", 2, "1 + 3 s", "Li et al. (2017)", recipe={"inner_rule": "meta_sgd"}),
    "layer_step_rates": Method(
        "MAML",
        "update rule",
        2,
        "1 + 3 s",
        "Antoniou, Edwards and Storkey (2019)",
        recipe={"inner_rule": "layer_step_rates"},
    ),
    "maml_plus_plus": Method(
        "MAMLPlusPlus",
        "update rule",
        2,
        "up to 4 s",
        "Antoniou, Edwards and Storkey (2019)",
        recipe={"inner_rule": "layer_step_rates", "inner_lr": 0.1, "inner_steps": 5},
    ),
    "meta_curvature": Method(
        "MAML", "update rule", 2, "1 + 3 s", "Park and Oliva (2019)", recipe={"inner_rule": "meta_curvature"}
    ),
    "learned_optimizer": Method(
        "LearningToOptimize",
        "update rule",
        1,
        "2 s",
        "Andrychowicz et al. (2016)",
        recipe={"inner_rule": "learned_optimizer", "inner_lr": 0.01, "inner_steps": 20},
    ),
    "structure_search": Method(
        "StructureSearch",
        "structure",
        2,
        "1 + 3 s",
        "Lian et al. (2020)",
        recipe={"model": "searchable", "width": 16},
        needs_classes=True,
    ),
    "t_nas": Method(
        "StructureSearch",
        "structure",
        1,
        "1 + s",
        "Lian et al. (2020)",
        {"adapt_structure": True, "order": 1},
        {"model": "searchable", "width": 16, "inner_lr": 0.1, "inner_steps": 5},
        needs_classes=True,
    ),
    "proto_net": Method(
        "ProtoNet",
        "metric",
        1,
        "2",
        "Snell, Swersky and Zemel (2017)",
        recipe={"inner_steps": 0, "test_inner_steps": 0},
        needs_classes=True,
    ),
    "matching_net": Method(
        "MatchingNet",
        "metric",
        1,
        "2",
        "Vinyals et al. (2016)",
        recipe={"inner_steps": 0, "test_inner_steps": 0},
        needs_classes=True,
    ),
    "proto_maml": Method(
        "ProtoMAML",
        "initialisation",
        2,
        "2 + 3 s",
        "Triantafillou et al. (2020)",
        recipe={"inner_lr": 0.01},
        needs_classes=True,
    ),
    "unicorn_maml": Method(
        "UnicornMAML",
        "initialisation",
        2,
        "1 + 3 s",
        "Ye and Chao (2022)",
        recipe={"inner_steps": 2},
        needs_classes=True,
    ),
    "pretraining": Method(
        "Pretraining",
        "baseline",
        1,
        "1",
        "Finn, Abbeel and Levine (2017), section 5.1",
        recipe={"inner_lr": 0.1, "inner_steps": 5},
    ),
    "classifier": Method(
        "ClassifierPretraining",
        "baseline",
        1,
        "1",
        "Chen et al. (2019)",
        recipe={"inner_lr": 0.1, "inner_steps": 20, "meta_batch": 1, "queries": 25, "meta_lr": 1e-3},
        needs_classes=True,
    ),
}

"""The methods that ``headstart train --method`` knows: one row each, as data. PyTorch is not imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from headstart.experiments.inner_loops import (
    ContextInnerLoop,
    ImplicitInnerLoop,
    InnerLoop,
    InnerLoopOfAnyRule,
    MAMLInnerLoop,
    NoInnerLoop,
    ReptileInnerLoop,
    RuleInnerLoop,
)

if TYPE_CHECKING:
    from headstart.learners.base import Learner

RULES = {
    "sgd": "SGD",
    "adam": "AdamWithoutMomentum",
    "meta_sgd": "MetaSGD",
    "layer_step_rates": "LayerStepRates",
    "meta_curvature": "MetaCurvature",
    "learned_optimizer": "LearnedOptimizer",
}
"""The update rules that ``--inner-rule`` knows, with their public names in ``headstart``."""


@dataclass(frozen=True)
class Method:
    """What there is to know of a method before it is built.

    Attributes:
        learner: its class, or the public name of that in ``headstart``. An argument of the class that is called like a
            setting is given that setting.
        family: what *F* learns.
        order: of the derivatives in the meta-gradient.
        cost: gradients of one support or query set that one task takes, for ``s`` inner steps; a derivative of a
            gradient counts as two.
        source: the paper.
        settings: a frozen dataclass: the flags that belong to this method.
        arguments: what makes the class this method.
        rule: its update rule, of ``RULES``, where there is no flag for it.
        recipe: departures from the default settings.
        needs: what the problem must have: ``"classes"`` or ``"vectors"``.
        tasks: the public name of the tasks that it trains on, made of the problem's by ``of``.
        wraps: the public name of what is done to its model.
        inputs: the setting that says how many inputs of its own it gives the model, after those of an example.
    """

    learner: str | Callable[..., Learner]
    family: Literal["initialisation", "update rule", "structure", "metric", "baseline"]
    order: int
    cost: str
    source: str
    settings: type = InnerLoopOfAnyRule
    arguments: Mapping[str, Any] = field(default_factory=dict)
    rule: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    needs: str | None = None
    tasks: str | None = None
    wraps: str | None = None
    inputs: str | None = None

    def __str__(self) -> str:
        """How the method is called in Python."""
        arguments = [f"{name}={value!r}" for name, value in self.arguments.items()]
        if rule := self.rule or self.recipe.get("inner_rule"):
            arguments.append(f"inner_rule=hs.{RULES[rule]}")
        name = f"hs.{self.learner}" if isinstance(self.learner, str) else getattr(self.learner, "__name__", "learner")
        return f"{name}({', '.join(['model', *arguments])})"


METHODS: dict[str, Method] = {
    "maml": Method("MAML", "initialisation", 2, "1 + 3 s", "Finn, Abbeel and Levine (2017)", MAMLInnerLoop),
    "fomaml": Method("FOMAML", "initialisation", 1, "1 + s", "Finn, Abbeel and Levine (2017)", MAMLInnerLoop),
    "reptile": Method(
        "Reptile",
        "initialisation",
        1,
        "s",
        "Nichol, Achiam and Schulman (2018)",
        ReptileInnerLoop,
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
        ImplicitInnerLoop,
        recipe={"inner_lr": 0.1, "inner_steps": 16},
    ),
    "anil": Method("ANIL", "initialisation", 2, "1 + 3 s", "Raghu et al. (2020)"),
    "boil": Method("BOIL", "initialisation", 2, "1 + 3 s", "Oh et al. (2021)"),
    "low_rank": Method(
        "MAML",
        "initialisation",
        2,
        "1 + 3 s",
        "Hu et al. (2022)",
        arguments={"adapt": "low_rank"},
        recipe={"model": "transformer"},
        wraps="with_low_rank",
    ),
    "cavia": Method(
        "CAVIA",
        "initialisation",
        2,
        "1 + 3 s",
        "Zintgraf et al. (2019)",
        ContextInnerLoop,
        needs="vectors",
        inputs="context",
    ),
    "meta_sgd": Method("MAML", "update rule", 2, "1 + 3 s", "Li et al. (2017)", RuleInnerLoop, rule="meta_sgd"),
    "layer_step_rates": Method(
        "MAML",
        "update rule",
        2,
        "1 + 3 s",
        "Antoniou, Edwards and Storkey (2019)",
        RuleInnerLoop,
        rule="layer_step_rates",
    ),
    "maml_plus_plus": Method(
        "MAMLPlusPlus",
        "update rule",
        2,
        "up to 4 s",
        "Antoniou, Edwards and Storkey (2019)",
        InnerLoop,
        rule="layer_step_rates",
        recipe={"inner_lr": 0.1, "inner_steps": 5},
    ),
    "meta_curvature": Method(
        "MAML", "update rule", 2, "1 + 3 s", "Park and Oliva (2019)", RuleInnerLoop, rule="meta_curvature"
    ),
    "learned_optimizer": Method(
        "LearningToOptimize",
        "update rule",
        1,
        "2 s",
        "Andrychowicz et al. (2016)",
        InnerLoop,
        rule="learned_optimizer",
        recipe={"inner_lr": 0.01, "inner_steps": 20},
    ),
    "structure_search": Method(
        "StructureSearch",
        "structure",
        2,
        "1 + 3 s",
        "Lian et al. (2020)",
        recipe={"model": "searchable", "width": 16},
        needs="classes",
        tasks="HeldOutTasks",
    ),
    "t_nas": Method(
        "StructureSearch",
        "structure",
        1,
        "1 + s",
        "Lian et al. (2020)",
        arguments={"adapt_structure": True, "order": 1},
        recipe={"model": "searchable", "width": 16, "inner_lr": 0.1, "inner_steps": 5},
        needs="classes",
        tasks="HeldOutTasks",
    ),
    "proto_net": Method("ProtoNet", "metric", 1, "2", "Snell, Swersky and Zemel (2017)", NoInnerLoop, needs="classes"),
    "matching_net": Method("MatchingNet", "metric", 1, "2", "Vinyals et al. (2016)", NoInnerLoop, needs="classes"),
    "proto_maml": Method(
        "ProtoMAML",
        "initialisation",
        2,
        "2 + 3 s",
        "Triantafillou et al. (2020)",
        recipe={"inner_lr": 0.01},
        needs="classes",
    ),
    "unicorn_maml": Method(
        "UnicornMAML",
        "initialisation",
        2,
        "1 + 3 s",
        "Ye and Chao (2022)",
        recipe={"inner_steps": 2},
        needs="classes",
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
        recipe={
            "inner_lr": 0.1,
            "inner_steps": 20,
            "meta_batch": 1,
            "train_ways": 25,
            "queries": 5,
            "meta_lr": 1e-3,
        },
        needs="classes",
        tasks="SupervisedTasks",
    ),
}


def register_method(name: str, method: Method) -> None:
    """Lets the command line know a method by its name, in the place of one that was called so before.

    >>> register_method("maml_of_three", Method("MAML", "initialisation", 2, "10", "", recipe={"inner_steps": 3}))
    >>> str(METHODS.pop("maml_of_three"))
    'hs.MAML(model)'
    """
    METHODS[name] = method

"""Recipes of headstart's own: as much as two cores do in minutes."""

from __future__ import annotations

from typing import Any

from headstart.experiments.recipe import OMNIGLOT_TASKS, OURS, Recipe


def own(method: str, kind: str, **settings: Any) -> Recipe:
    """A recipe of headstart's own for a kind of Omniglot task: as much as two cores do in minutes."""
    ways, shots = OMNIGLOT_TASKS[kind]
    values = {"ways": ways, "shots": shots, "validation_tasks": 300, **settings}
    return Recipe("omniglot", method, {OURS: values}, None, "headstart")


PROTO = {"meta_batch": 1, "train_ways": 60, "queries": 5, "meta_lr": 3e-3, "meta_steps": 4000, "validation_every": 1000}
LONG = {**PROTO, "meta_steps": 10_000, "validation_every": 2500}
LONGEST = {**PROTO, "meta_steps": 40_000, "validation_every": 10_000}
"""Training with more ways than the test has; ``LONG`` is two and a half times as long, ``LONGEST`` ten times."""
OWN = {
    "maml-default-omniglot-5w1s": own("maml", "5w1s"),
    "maml-long-omniglot-5w1s": own("maml", "5w1s", meta_steps=30_000, validation_every=10_000),
    "proto_net-20way-omniglot-5w1s": own("proto_net", "5w1s", **{**PROTO, "train_ways": 20, "meta_steps": 2500}),
    "proto_net-60way-omniglot-5w1s": own("proto_net", "5w1s", **PROTO),
    "proto_net-60way-omniglot-20w1s": own("proto_net", "20w1s", **PROTO),
    "proto_net-long-omniglot-5w1s": own("proto_net", "5w1s", **LONG),
    "proto_net-long-omniglot-20w1s": own("proto_net", "20w1s", **LONG),
    "proto_maml-60way-omniglot-5w1s": own("proto_maml", "5w1s", **PROTO, inner_lr=0.4),
    "proto_maml-long-omniglot-20w1s": own("proto_maml", "20w1s", **LONG, inner_lr=0.4),
    "proto_maml-longest-omniglot-20w1s": own("proto_maml", "20w1s", **LONGEST, inner_lr=0.4),
}

"""The arms of the study of MAML's 20-way gap: its Omniglot recipe with one thing changed at a time."""

from __future__ import annotations

from typing import Any

from headstart.experiments.published import of_maml
from headstart.experiments.recipe import OURS, Recipe

GAP = "What the 20-way gap is made of"
TASKS = 24_000
"""Training tasks of every arm: its meta-steps are as many as its tasks per meta-step leave."""


def arm(method: str = "maml", *without: str, **changed: Any) -> Recipe:
    """MAML's recipe for 20-way 1-shot, but for what is ``changed`` and ``without`` what the method has no setting for,
    at the study's budget."""
    settings = {key: value for part in of_maml(20, 1).values() for key, value in part.items()}
    settings |= {"ways": 20, "shots": 1, "validation_tasks": 300, **changed}
    meta_steps = TASKS // settings["meta_batch"]
    settings |= {"meta_steps": meta_steps, "validation_every": max(1, meta_steps // 3)}
    own = {name: value for name, value in settings.items() if name not in without}
    return Recipe("omniglot", method, {OURS: own}, None, "headstart", study=GAP)


ARMS = {
    "gap-paper": arm(),
    "gap-rate_0.1": arm(inner_lr=0.1),
    "gap-15_queries": arm(queries=15),
    "gap-4_tasks": arm(meta_batch=4),
    "gap-rotated_classes": arm(rotations="classes"),
    "gap-learned_rates": arm("layer_step_rates"),
    "gap-norms_per_step": arm("maml_plus_plus", "adapt"),
    "gap-all_but_learned": arm(inner_lr=0.1, queries=15, meta_batch=4, rotations="classes"),
}

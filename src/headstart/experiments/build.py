"""From settings to a learner: the model for examples of a shape, and *F* around it."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

import headstart
from headstart.experiments.methods import RULES
from headstart.experiments.models import MODELS
from headstart.experiments.settings import Settings
from headstart.learners.base import Learner


def build_model(settings: Settings, example: tuple[int, ...], outputs: int) -> nn.Module:
    """The architecture of *f*, for examples of a shape and as many outputs.

    Raises:
        BadInputError: an argument of the model is out of its range.
    """
    method, model = settings.chosen_method, settings.model
    more = getattr(settings.method, method.inputs) if method.inputs else 0
    built = MODELS[model.model].build(model, (example[0] + more, *example[1:]), outputs)
    return getattr(headstart, method.wraps)(built) if method.wraps else built


def build_learner(settings: Settings, example: tuple[int, ...], outputs: int) -> Learner:
    """The learner, its weights drawn from the seed without touching the global generator.

    An argument of the learner's class that is called like a setting is that setting.

    Raises:
        BadInputError: an argument of the model or the learner is out of its range.

    >>> from headstart.experiments.settings import default_settings
    >>> type(build_learner(default_settings("sinusoid", "reptile"), example=(1,), outputs=1)).__name__
    'Reptile'
    """
    method, values = settings.chosen_method, settings.record()
    learner = getattr(headstart, method.learner) if isinstance(method.learner, str) else method.learner
    rule = RULES[method.rule or values.get("inner_rule", "sgd")]
    with torch.random.fork_rng():
        torch.manual_seed(settings.run.seed)
        given = {**values, "model": build_model(settings, example, outputs), "inner_rule": getattr(headstart, rule)}
        given |= {"metric": settings.chosen_problem.metric}
        given |= {"ways": getattr(settings.task, "ways_in_training", None)}
        torch.manual_seed(settings.run.seed)  # of what an update rule draws
        taken = given.keys() & inspect.signature(learner).parameters.keys()
        built: Learner = learner(**{**{name: given[name] for name in taken}, **method.arguments})
    built.made_from = made_from(settings, example, outputs)
    return built


def made_from(settings: Settings, example: tuple[int, ...], outputs: int) -> dict[str, Any]:
    """All that a learner is built by, as JSON: its settings, but for the places of one machine, and two shapes."""
    record = settings.record()
    return {**record, **dict.fromkeys(PLACES & record.keys()), "example": list(example), "outputs": outputs}


PLACES = {"out", "data_root", "path"}
"""Settings that name a file or folder, which is nobody else's business."""

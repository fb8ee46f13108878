"""The settings of ``headstart train`` by data set and method: the papers', shortened to minutes on two cores."""

from __future__ import annotations

from typing import Any

from headstart.experiments.config import Config, Data
from headstart.experiments.methods import METHODS

BY_DATA: dict[Data, dict[str, Any]] = {
    "glyphs": {},
    "omniglot": {"meta_steps": 5000, "validation_every": 2500},
    "sinusoid": {
        "model": "mlp",
        "width": 40,
        "norm": "none",
        "shots": 10,
        "queries": 10,
        "test_queries": 100,
        "inner_lr": 0.01,
        "meta_batch": 25,
        "meta_lr": 1e-3,
        "meta_steps": 5000,
    },
}
"""On top of a method's own settings: as many meta-steps as two cores take minutes for, and MAML's for regression."""

BY_BOTH: dict[tuple[Data, str], dict[str, Any]] = {
    ("sinusoid", "reptile"): {"meta_lr": 1.0},
    ("sinusoid", "cavia"): {"inner_lr": 1.0},
}
"""On top of both."""


def default_config(data: Data = "glyphs", method: str = "maml") -> Config:
    """The recipe of a data set and a method.

    >>> default_config("omniglot", "reptile").inner_rule
    'adam'
    """
    settings = {**METHODS[method].recipe, **BY_DATA[data], **BY_BOTH.get((data, method), {})}
    return Config(data=data, method=method, **settings)

"""The settings of ``headstart train`` by data set and method: the papers', shortened to minutes on two cores."""

from __future__ import annotations

from typing import Any

from headstart.config import Config, Data, Method

BY_METHOD: dict[Method, dict[str, Any]] = {
    "maml": {},
    "fomaml": {},
    "reptile": {
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
    "pretraining": {"inner_lr": 0.1, "inner_steps": 5},
    "classifier": {
        "inner_lr": 0.1,
        "inner_steps": 20,
        "meta_batch": 1,
        "queries": 25,
        "meta_lr": 1e-3,
    },
}
"""Departures from ``Config``'s defaults, which are exact MAML's on glyphs."""

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
"""On top of those, by data set: as many meta-steps as two cores take minutes for, and MAML's regression settings."""

BY_BOTH: dict[tuple[Data, Method], dict[str, Any]] = {("sinusoid", "reptile"): {"meta_lr": 1.0}}
"""On top of both."""


def default_config(data: Data = "glyphs", method: Method = "maml") -> Config:
    """The recipe of a data set and a method.

    >>> default_config("omniglot", "reptile").inner_rule
    'adam'
    """
    settings = {**BY_METHOD[method], **BY_DATA[data], **BY_BOTH.get((data, method), {})}
    return Config(data=data, method=method, **settings)

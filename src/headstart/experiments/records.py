"""Settings from the record that a run folder holds, of this version or the one before."""

from __future__ import annotations

import dataclasses
from typing import Any

from headstart.errors import BadInputError
from headstart.experiments.settings import CHOICES, Settings, kinds
from headstart.problems.settings import from_record

ADDED = {
    "adapt": "all",
    "train_ways": None,
    "ink": 1,
    "form": "as_is",
    "test_rotations": "none",
    "carry": False,
    "test_inner_batch": None,
    "test_interval": None,
}
"""Settings that came later, with what runs did before there were any."""
RENAMED = {"classifier": {"train_ways": "queries", "queries": "ways"}}
"""What settings of a method were called in version 0.1.0: the classifier's batches were of ways times queries."""


def settings_from_record(record: dict[str, Any]) -> Settings:
    """The settings that ``settings.record()`` came from; whether they can be worked with is for ``check`` to say.

    Raises:
        BadInputError: the record lacks an entry, or has one that this version does not know.

    >>> from headstart.experiments.settings import default_settings
    >>> settings = default_settings("sinusoid", "cavia")
    >>> settings_from_record(settings.record()) == settings
    True
    """
    if not {"meta_steps", "method"} <= record.keys():
        raise BadInputError(
            "config.json holds other settings than those of headstart train: this run was made in Python, which can go "
            "on with it and evaluate it (hs.train(..., run=hs.RunFolder(path, config)))."
        )
    record = upgraded(record) if "data" in record else record
    groups = kinds(*(str(record.get(choice)) for choice in CHOICES))
    names = {field.name for kind in groups.values() for field in dataclasses.fields(kind)}
    record = {**{name: value for name, value in ADDED.items() if name in names}, **record}
    if names != record.keys():
        name = sorted(names ^ record.keys())[0]
        raise BadInputError(f"config.json is not of this version of headstart: {name!r} is in only one of the two.")
    return Settings(**{name: from_record(kind, record) for name, kind in groups.items()})


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a run of version 0.1.0, which had one flat table of settings for all problems and methods.

    Raises:
        BadInputError: it was trained with what there is no more.
    """
    if record.get("precision", "float32") != "float32":
        raise BadInputError(
            f"this run was trained with --precision {record['precision']}, which there is no more; train it anew."
        )
    old = {"problem": record["data"], **record}
    before = RENAMED.get(str(old["method"]), {})
    old |= {name: old[called] for name, called in before.items() if called in old}
    groups = kinds(*(str(old.get(choice)) for choice in CHOICES))
    names = {field.name for kind in groups.values() for field in dataclasses.fields(kind)}
    return {name: value for name, value in old.items() if name in names}

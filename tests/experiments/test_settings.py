"""Settings: what belongs together, what each can be, and that a run's record brings them back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from headstart.errors import BadInputError
from headstart.experiments.methods import METHODS
from headstart.experiments.models import MODELS
from headstart.experiments.records import settings_from_record
from headstart.experiments.settings import Settings, check, default_settings
from headstart.problems.registry import PROBLEMS

COMBINATIONS = [
    (problem, method)
    for problem in PROBLEMS
    for method, row in METHODS.items()
    if row.needs is None or row.needs in PROBLEMS[problem].has
]
OLD: dict[str, Any] = {
    "data": "glyphs", "data_root": None, "split": "random", "image_size": 28, "resize": "nearest",
    "rotations": "classes", "glyph_classes": 3000, "method": "meta_sgd", "ways": 5, "shots": 1, "train_shots": None,
    "queries": 3, "test_queries": 15, "model": "conv4", "structure": None, "width": 64, "norm": "batch",
    "downsample": "stride", "features": "flatten", "inner_lr": 0.4, "inner_steps": 1, "test_inner_steps": None,
    "inner_rule": "meta_sgd", "inner_batch": None, "proximity": 2.0, "cg_steps": 5, "damping": 22.0, "context": 5,
    "meta_steps": 1500, "meta_batch": 8, "meta_lr": 0.003, "optimizer": "Adam", "schedule": "cosine",
    "validation_every": 500, "validation_tasks": 200, "test_tasks": 1000, "checkpoint_every": 100, "seed": 0,
    "execution": "auto", "chunk_size": None, "compile": "auto", "recompute": "auto", "memory": None,
    "precision": "float32", "device": "auto", "workers": None, "out": None,
}  # fmt: skip
"""The record of a run of version 0.1.0."""


@pytest.mark.parametrize(("problem", "method"), COMBINATIONS)
def test_every_recipe_passes_its_own_check_and_survives_json(problem: str, method: str) -> None:
    settings = default_settings(problem, method)
    check(settings)
    names = settings.names()
    assert (names["problem"], names["method"]) == (problem, method)
    assert settings_from_record(json.loads(json.dumps(settings.record()))) == settings


def test_every_setting_is_recorded_once_and_paths_come_back_as_paths() -> None:
    settings = default_settings("omniglot", "reptile").replace(
        out=Path("runs/a"), data_root=Path("zips"), inner_lr=1 / 3
    )
    record = json.loads(json.dumps(settings.record()))
    assert len(record) == sum(len(vars(group)) for _, group in settings.groups())
    assert (record["out"], record["data_root"]) == ("runs/a", "zips")
    assert settings_from_record(record) == settings


def test_a_record_of_another_version_is_refused_by_the_name_that_differs() -> None:
    record = default_settings().record()
    with pytest.raises(BadInputError, match="'novelty' is in only one of the two"):
        settings_from_record({**record, "novelty": 1})
    del record["ways"]
    with pytest.raises(BadInputError, match="'ways' is in only one of the two"):
        settings_from_record(record)


def test_a_record_from_before_a_setting_means_what_it_meant() -> None:
    record = default_settings().record()
    for name in ("adapt", "train_ways", "ink", "test_rotations"):
        del record[name]
    assert settings_from_record(record) == default_settings()


def test_the_record_of_a_python_run_is_called_that() -> None:
    with pytest.raises(BadInputError, match="this run was made in Python"):
        settings_from_record({"name": "mine"})


@pytest.mark.parametrize(
    ("old", "method"),
    [
        ({}, "meta_sgd"),
        ({"method": "maml", "inner_rule": "sgd"}, "maml"),
        ({"method": "proto_net", "inner_rule": "sgd", "inner_steps": 0, "test_inner_steps": 0}, "proto_net"),
        (
            {
                "method": "classifier",
                "inner_rule": "sgd",
                "inner_lr": 0.1,
                "inner_steps": 20,
                "meta_batch": 1,
                "queries": 25,
                "meta_lr": 1e-3,
            },
            "classifier",
        ),
        ({"data": "omniglot", "meta_steps": 5000, "validation_every": 2500}, "meta_sgd"),
    ],
)
def test_the_record_of_the_last_version_becomes_the_same_settings(old: dict[str, Any], method: str) -> None:
    expected = default_settings(old.get("data", "glyphs"), method)
    assert settings_from_record({**OLD, **old}) == expected


def test_a_record_of_the_last_version_whose_method_is_gone_is_refused_by_name() -> None:
    with pytest.raises(BadInputError, match=r"--method 'boosting' is unknown; choose one of maml"):
        settings_from_record({**OLD, "method": "boosting"})


@pytest.mark.parametrize("table", ["problem", "method"])
def test_a_recipe_has_no_setting_that_there_is_nowhere(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_recipe(recipe: dict[str, Any]) -> Settings:
        if table == "problem":
            monkeypatch.setattr(type(PROBLEMS["glyphs"]), "recipe", recipe)
        else:
            monkeypatch.setitem(METHODS, "maml", dataclasses.replace(METHODS["maml"], recipe=recipe))
        return default_settings()

    assert with_recipe({"damping": 1.0, "inner_steps": 2}).method.inner_steps == 2  # damping is of another method
    with pytest.raises(BadInputError, match="recipe of --problem glyphs or --method maml has 'inner_step'"):
        with_recipe({"inner_step": 2})


def test_what_there_is_no_more_is_said() -> None:
    with pytest.raises(BadInputError, match="--precision bfloat16, which there is no more; train it anew"):
        settings_from_record({**OLD, "precision": "bfloat16"})


WRONG_TYPES: list[tuple[str, object]] = [
    ("ways", "five"), ("ways", None), ("ways", 5.5), ("ways", True), ("ways", [5]), ("inner_lr", "fast"),
    ("inner_lr", None), ("meta_lr", {}), ("norm", "spectral"), ("downsample", "cubic"), ("features", 0),
    ("inner_rule", "lbfgs"), ("schedule", "step"), ("rotations", "all"), ("resize", "bicubic"),
    ("execution", "magic"), ("optimizer", 3), ("split", None), ("out", 7), ("data_root", ["a"]), ("device", None),
    ("inner_batch", "all"), ("seed", "zero"), ("workers", "all"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_a_value_of_the_wrong_type_is_refused_by_name(name: str, value: Any) -> None:
    record = {**default_settings("omniglot", "reptile").record(), name: value}
    with pytest.raises(BadInputError, match=f"--{name.replace('_', '-')} .* is none of its values; choose "):
        check(settings_from_record(record))


@pytest.mark.parametrize("choice", ["problem", "model", "method"])
@pytest.mark.parametrize("value", ["mnist", None, 1])
def test_a_name_that_is_in_no_table_is_refused_with_those_that_are(choice: str, value: Any) -> None:
    record = {**default_settings().record(), choice: value}
    with pytest.raises(BadInputError, match=rf"--{choice} '{value}' is unknown; choose one of (glyphs|conv4|maml), "):
        settings_from_record(record)


OUT_OF_RANGE = [
    *(("reptile", name, 0) for name in ("ways", "shots", "train_shots", "queries", "test_queries", "inner_batch")),
    *(("reptile", name, 0) for name in ("image_size", "glyph_classes", "width", "meta_steps", "meta_batch")),
    *(("reptile", name, 0) for name in ("validation_every", "checkpoint_every", "workers", "chunk_size")),
    *(("reptile", name, -3) for name in ("inner_steps", "test_inner_steps", "seed", "ways", "meta_steps")),
    *(("reptile", name, 1) for name in ("validation_tasks", "test_tasks")),
    *(("maml", name, value) for name in ("inner_lr", "meta_lr") for value in (0.0, float("nan"), float("inf"))),
    *(("maml", name, -1.0) for name in ("inner_lr", "meta_lr", "memory")),
    *(("implicit_maml", name, value) for name in ("proximity", "damping") for value in (-1.0, float("nan"))),
    ("implicit_maml", "cg_steps", 0), ("maml", "seed", 2**63), ("maml", "meta_steps", 2**70),
]  # fmt: skip


@pytest.mark.parametrize(("method", "name", "value"), OUT_OF_RANGE)
def test_a_number_out_of_its_range_is_refused_by_name(method: str, name: str, value: float) -> None:
    settings = default_settings("glyphs", method).replace(**{name: value})
    with pytest.raises(BadInputError, match=rf"--{name.replace('_', '-')} {value} is out of its range; choose "):
        check(settings)


def test_the_smallest_numbers_pass() -> None:
    smallest = {"ways": 1, "width": 1, "inner_steps": 0, "test_inner_steps": 0, "validation_tasks": 2, "test_tasks": 2}
    check(default_settings().replace(**smallest, inner_lr=1))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (default_settings("sinusoid", model="conv4"), "--model conv4 needs images, and --problem sinusoid has vectors"),
        (default_settings("sinusoid", "classifier"), "--method classifier needs classes, and --problem sinusoid has"),
        (default_settings("sinusoid", "proto_net"), "--method proto_net needs classes"),
        (default_settings("glyphs", "cavia"), "--method cavia needs vectors, and --problem glyphs has classes or im"),
    ],
)
def test_what_a_method_or_a_model_needs_the_problem_must_have(settings: Settings, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        check(settings)


@pytest.mark.parametrize(
    ("settings", "name", "sentence"),
    [
        (default_settings(), "inner_batch", "--inner-batch goes with --method reptile, not maml"),
        (default_settings(), "damping", "--damping goes with --method implicit_maml, not maml"),
        (default_settings(model="transformer"), "norm", "--norm goes with --model conv4 or mlp or resnet12 or search"),
        (default_settings(model="mlp"), "downsample", "--downsample goes with --model conv4, not mlp"),
        (default_settings(), "structure", "--structure goes with --model searchable, not conv4"),
        (default_settings(), "resize", "--resize goes with --problem omniglot, not glyphs"),
        (default_settings("omniglot"), "glyph_classes", "--glyph-classes goes with --problem glyphs, not omniglot"),
        (default_settings("sinusoid"), "ways", "--ways goes with --problem glyphs or omniglot or folder or"),
        (default_settings(method="proto_net"), "inner_steps", "--inner-steps goes with --method maml or fomaml or"),
        (default_settings(method="meta_sgd"), "inner_rule", "--inner-rule goes with --method maml or fomaml or"),
        (default_settings(), "novelty", "--novelty is no setting of a run"),
    ],
)
def test_a_setting_of_something_else_is_refused_by_what_it_goes_with(
    settings: Settings, name: str, sentence: str
) -> None:
    with pytest.raises(BadInputError, match=sentence):
        settings.replace(**{name: 3})


def test_every_model_has_settings_of_its_own() -> None:
    for name in MODELS:
        assert default_settings(model=name).names()["model"] == name

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from headstart.errors import BadInputError
from headstart.experiments.config import Config, Data, check, config_from_record
from headstart.experiments.defaults import default_config
from headstart.experiments.methods import METHODS

COMBINATIONS = [
    (data, method)
    for data in get_args(Data)
    for method in METHODS
    if not (METHODS[method].needs_classes if data == "sinusoid" else method == "cavia")
]


@pytest.mark.parametrize(("data", "method"), COMBINATIONS)
def test_every_recipe_passes_its_own_check_and_survives_json(data: Data, method: str) -> None:
    config = default_config(data, method)
    check(config)
    assert (config.data, config.method) == (data, method)
    assert config_from_record(json.loads(json.dumps(config.record()))) == config


def test_the_recipe_of_maml_on_glyphs_is_the_default() -> None:
    assert default_config() == Config()


def test_every_setting_is_recorded_and_paths_come_back_as_paths() -> None:
    config = Config(out=Path("runs/a"), data_root=Path("zips"), inner_batch=10, inner_lr=1 / 3)
    record = json.loads(json.dumps(config.record()))
    assert record.keys() == {field.name for field in dataclasses.fields(Config)}
    assert record["out"] == "runs/a"
    assert config_from_record(record) == config


def test_a_record_of_another_version_is_refused_by_the_name_that_differs() -> None:
    record = Config().record()
    with pytest.raises(BadInputError, match="'novelty' is in only one of the two"):
        config_from_record({**record, "novelty": 1})
    del record["ways"]
    with pytest.raises(BadInputError, match="'ways' is in only one of the two"):
        config_from_record(record)


WRONG_TYPES: list[tuple[str, object]] = [
    ("ways", "five"), ("ways", None), ("ways", 5.5), ("ways", True), ("ways", [5]), ("inner_lr", "fast"),
    ("inner_lr", None), ("meta_lr", {}), ("data", "mnist"), ("data", 1), ("method", None), ("model", "resnet"),
    ("norm", "spectral"), ("downsample", "cubic"), ("features", 0), ("inner_rule", "lbfgs"), ("schedule", "step"),
    ("rotations", "all"), ("resize", "bicubic"), ("execution", "magic"), ("optimizer", 3), ("split", None),
    ("out", 7), ("data_root", ["a"]), ("device", None), ("inner_batch", "all"), ("seed", "zero"),
    ("workers", "all"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_a_value_of_the_wrong_type_is_refused_by_name(name: str, value: Any) -> None:
    config = config_from_record({**Config().record(), name: value})
    with pytest.raises(BadInputError, match=f"--{name.replace('_', '-')} .* is none of its values; choose "):
        check(config)


OUT_OF_RANGE = [
    *((name, 0) for name in ("ways", "shots", "train_shots", "queries", "test_queries", "inner_batch")),
    *((name, 0) for name in ("image_size", "glyph_classes", "width", "meta_steps", "meta_batch")),
    *((name, 0) for name in ("validation_every", "checkpoint_every", "workers", "cg_steps", "context")),
    *((name, -3) for name in ("inner_steps", "test_inner_steps", "seed", "ways", "meta_steps")),
    *((name, 1) for name in ("validation_tasks", "test_tasks")),
    *((name, value) for name in ("inner_lr", "meta_lr") for value in (0.0, -1.0, float("nan"), float("inf"))),
    *((name, value) for name in ("proximity", "damping") for value in (-1.0, float("nan"))),
    ("seed", 2**63), ("meta_steps", 2**70),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_number_out_of_its_range_is_refused_by_name(name: str, value: float) -> None:
    config = dataclasses.replace(default_config(method="reptile"), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=rf"--{name.replace('_', '-')} {value} is out of its range; choose "):
        check(config)


def test_the_smallest_numbers_pass() -> None:
    check(Config(ways=1, width=1, inner_steps=0, test_inner_steps=0, validation_tasks=2, test_tasks=2, inner_lr=1))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data": "sinusoid", "model": "conv4"}, "--data sinusoid has no images: use --model mlp"),
        ({"data": "sinusoid", "model": "mlp", "method": "classifier"}, "--method classifier needs classes"),
        ({"data": "sinusoid", "model": "mlp", "method": "proto_net"}, "--method proto_net needs classes"),
        ({"method": "cavia", "model": "mlp"}, "--method cavia needs vectors, and --data glyphs has images"),
        ({"data": "glyphs", "split": "lake"}, "--split lake is of Omniglot's alphabets, not of --data glyphs"),
        ({"method": "maml", "inner_batch": 10}, "--inner-batch goes with --method reptile, not maml"),
        ({"model": "transformer", "norm": "group"}, "--norm goes with --model conv4 or mlp or searchable, not transf"),
        ({"model": "mlp", "downsample": "max_pool"}, "--downsample goes with --model conv4, not mlp"),
        ({"structure": "conv3"}, "--structure goes with --model searchable, not conv4"),
        ({"method": "structure_search"}, "needs a choice: use --model searchable and no --structure"),
        ({"method": "cavia", "data": "sinusoid", "model": "mlp", "damping": 1.0}, "--damping goes with --method impl"),
        ({"method": "classifier", "rotations": "tasks"}, "has no tasks in training: use --rotations classes or none"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        check(Config(**settings))

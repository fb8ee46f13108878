"""What a run measured, as it lies in its folder: its log, and what it reached on test tasks, task by task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save as tensors_to_bytes

from headstart.errors import BadInputError
from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import Metric
from headstart.runs.folder import RunFolder
from headstart.runs.reading import load_meta_params
from headstart.system.files import write_bytes

SCORES = "scores"
"""The tensor of ``test.safetensors``: ``[task, inner step]``, float32."""


def write_result(run: RunFolder, stem: str, result: Evaluation, changed: Mapping[str, Any] | None = None) -> Path:
    """Writes every task's score to ``STEM.safetensors``, then what is reported, and what was ``changed`` of the run's
    settings, to ``STEM.json``. Returns the path of the latter: where it is, the scores are too.

    Raises:
        RunStoppedError: the folder cannot be written.
    """
    scores = {SCORES: result.scores.float().contiguous()}
    write_bytes(run.path / f"{stem}.safetensors", tensors_to_bytes(scores))
    return run.write_json(f"{stem}.json", {**result.record(), **(changed or {})})


def read_result(run: RunFolder, stem: str, metric: Metric) -> Evaluation:
    """What ``write_result`` wrote of an evaluation by ``metric``.

    Raises:
        BadInputError: it is not there or not readable, or its two files are not of one evaluation by ``metric``.

    >>> import tempfile, torch
    >>> from headstart.learners.scoring import ACCURACY
    >>> scores = torch.tensor([[0.2, 0.5], [0.2, 1.0]])
    >>> result = Evaluation(ACCURACY, scores, "0123abcd", transductive=True, seconds=1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder(folder, {"ways": 5})
    ...     _ = write_result(run, "test", result)
    ...     read_result(run, "test", ACCURACY)
    accuracy 75.00 % ± 49.00 (transductive, 1 inner step, 2 tasks, task hash 0123abcd)
    """
    path, way_out = run.path / f"{stem}.json", f"evaluate the run again: headstart evaluate {run.path}"
    try:
        record = json.loads(path.read_text())
        hashed, transductive, seconds = (record[name] for name in ("task_hash", "transductive", "seconds"))
        sizes = [record["tasks"], record["inner_steps"] + 1]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{path} is not there or not readable; {way_out}.") from error
    scores = load_meta_params(path.with_suffix(".safetensors"), way_out).get(SCORES)
    if scores is None or [*scores.shape] != sizes or metric.name not in record:
        raise BadInputError(f"{path} and the scores beside it are not of one evaluation by {metric.name}; {way_out}.")
    return Evaluation(metric, scores.double(), hashed, transductive, seconds)


def read_log(run: RunFolder) -> list[dict[str, Any]]:
    """The records of ``metrics.jsonl``, without a line that a kill cut short.

    Raises:
        BadInputError: there is no log, or it cannot be read.
    """
    path = run.path / "metrics.jsonl"
    try:
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} is not a readable log; train the run anew.") from error

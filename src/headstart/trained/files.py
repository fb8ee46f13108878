"""One safetensors file for a learner, or for an *f* that it picked: tensors, and the settings to build them by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from headstart.errors import BadInputError
from headstart.experiments.build import build_learner
from headstart.experiments.records import settings_from_record
from headstart.experiments.settings import check
from headstart.learners.base import Learner
from headstart.learners.fitted import Fitted
from headstart.params import Params
from headstart.runs.reading import check_fits
from headstart.system.files import write_bytes

Kind = Literal["learner", "fitted"]
FORMAT = 1
"""Of the files; one that reads another way has a higher number."""


class TrainedFile(NamedTuple):
    """What a file holds.

    Attributes:
        kind: whether the tensors are a learner's meta-parameters, or the state of an *f*.
        tensors: by their names.
        made_from: the settings that the learner was built by.
        notes: what else was kept, JSON values.
    """

    kind: Kind
    tensors: Params
    made_from: dict[str, Any]
    notes: dict[str, Any]


def write_trained(path: Path, content: TrainedFile) -> None:
    """Writes the file, all of it or none of it.

    Raises:
        RunStoppedError: it cannot be written.
    """
    about = {"format": FORMAT, "kind": content.kind, "made_from": content.made_from, "notes": content.notes}
    tensors = {name: value.detach().cpu().contiguous() for name, value in content.tensors.items()}
    write_bytes(path, save(tensors, metadata={"headstart": json.dumps(about, sort_keys=True)}))


def read_trained(path: Path, kind: Kind) -> TrainedFile:
    """The content of a file; none of it is run.

    Raises:
        BadInputError: it is no such file, of another kind or version, or was damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["headstart"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dictionary)
        found, made_from, notes = about["kind"], about["made_from"], about["notes"]
    except FileNotFoundError as error:
        raise BadInputError(f"{path} is not there.") from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInputError(f"{path} is no file that headstart saved, or it was damaged; make it anew.") from error
    if about.get("format") != FORMAT:
        raise BadInputError(f"{path} was saved by another version of headstart; make it anew with this one.")
    if found != kind or not isinstance(made_from, dict) or not isinstance(notes, dict):
        words = {"learner": "a learner; adapt it first", "fitted": "an adapted model; name a learner"}
        raise BadInputError(f"{path} holds {words.get(found, 'something else')}.")
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise BadInputError(f"{path} was damaged: {name!r} has values that are not finite; make it anew.")
    return TrainedFile(kind, tensors, made_from, notes)


def rebuilt(made_from: Mapping[str, Any], path: Path | str) -> Learner:
    """A learner as it was built before, with the inner steps of its test and the weights from before training.

    Raises:
        BadInputError: the settings are none that this version knows.
    """
    try:
        record = dict(made_from)
        example, outputs = record.pop("example"), record.pop("outputs")
        settings = settings_from_record(record)
        check(settings)
        learner = build_learner(settings, tuple(example), outputs)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(
            f"{path} was made by another version of headstart, or damaged: its learner cannot be built; make it anew."
        ) from error
    learner.inner_steps = settings.method.inner_steps_in_test
    return learner


def save_learner(learner: Learner, path: str | Path, **notes: Any) -> None:
    """Writes a trained learner to one file, which ``hs.load`` reads.

    Args:
        learner: one that headstart built: by ``headstart train``, ``hs.load``.
        path: the file.
        notes: JSON values to keep with it.

    Raises:
        BadInputError: the learner was built in Python, and nothing says how.
        RunStoppedError: the file cannot be written.
    """
    made_from = settings_of(learner.made_from)
    write_trained(Path(path), TrainedFile("learner", learner.meta_params, made_from, notes))


def learner_in_file(path: Path) -> tuple[Learner, dict[str, Any]]:
    """A learner that was saved, and the notes with it.

    Raises:
        BadInputError: the file holds none, or was damaged.
    """
    content = read_trained(path, "learner")
    learner = rebuilt(content.made_from, path)
    check_fits(content.tensors, learner.meta_params, path)
    check_kinds(content.tensors, learner.meta_params, path)
    learner.load_state_dict(content.tensors, strict=False)
    return learner, content.notes


def save_fitted(fitted: Fitted, path: str | Path, **notes: Any) -> None:
    """Writes an adapted model to one file, which ``hs.load_fitted`` reads.

    Args:
        fitted: what ``learner.fit(support)`` returned.
        path: the file.
        notes: JSON values to keep with it.

    Raises:
        BadInputError: the learner was built in Python, and nothing says how.
        RunStoppedError: the file cannot be written.
    """
    learner: Any = fitted.learner
    made_from = settings_of(learner.made_from)
    state: Params = {**dict(fitted.state.named_parameters())}
    write_trained(Path(path), TrainedFile("fitted", state, made_from, {**notes, "outputs": fitted.outputs}))


def fitted_in_file(path: Path) -> tuple[Fitted, dict[str, Any]]:
    """An adapted model that was saved, and the notes with it.

    Raises:
        BadInputError: the file holds none, or was damaged.
    """
    _, tensors, made_from, notes = read_trained(path, "fitted")
    learner = rebuilt(made_from, path)
    try:
        fitted = Fitted(learner, tensors, notes.get("outputs"))
        predictions = fitted(torch.zeros(2, *made_from["example"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadInputError(f"{path} was damaged: its tensors do not fit its learner; make it anew.") from error
    if predictions.shape[-1] != (notes.get("outputs") or predictions.shape[-1]):
        raise BadInputError(f"{path} was damaged: it predicts {predictions.shape[-1]} numbers; make it anew.")
    return fitted, notes


def settings_of(made_from: dict[str, Any] | None) -> dict[str, Any]:
    """The settings that a learner was built by.

    Raises:
        BadInputError: it was built in Python, and nothing says how.
    """
    if made_from is None:
        raise BadInputError(
            "this learner was built in Python, and nobody could build it again from a file; keep its state_dict(), or "
            "train it by `headstart train` and take hs.load(RUN)."
        )
    return made_from


def check_kinds(found: Params, expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuses tensors of another type of number than the learner's.

    Raises:
        BadInputError: one is.
    """
    for name, value in expected.items():
        if found[name].dtype != value.dtype:
            raise BadInputError(f"{path} was damaged: {name!r} is of {found[name].dtype}, not {value.dtype}.")

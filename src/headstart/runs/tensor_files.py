"""Safetensors files whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.system.reading import open_regular, read_regular

LARGEST_HEADER = 100_000_000
"""Bytes, as the library has it."""
ALIGNMENT = 8
"""Bytes: the header's length is a multiple of it, and is itself written in so many."""


def tensors_to_bytes(tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file; its ``notes`` are sorted, where the library writes them in another order every time.

    Source: https://huggingface.co/docs/safetensors, "Format".

    >>> import torch
    >>> tensors_to_bytes({"w": torch.tensor([1.5])}, {"b": "2", "a": "1"})[8:74]
    b'{"__metadata__":{"a":"1","b":"2"},"w":{"dtype":"F32","shape":[1],"'
    """
    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    size = int.from_bytes(content[:ALIGNMENT], "little")
    header = json.loads(content[ALIGNMENT : ALIGNMENT + size])
    if notes:
        header = {"__metadata__": dict(sorted(notes.items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return b"".join([len(text).to_bytes(ALIGNMENT, "little"), text, memoryview(content)[ALIGNMENT + size :]])


def tensors_from_bytes(content: bytes, path: Path, way_out: str) -> Params:
    """The tensors of the safetensors file ``path``.

    Raises:
        BadInputError: it is none; ``way_out`` ends the sentence.
    """
    try:
        return load(content)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:  # the latter of torch, for sizes
        raise BadInputError(f"{path} is not a readable safetensors file; {way_out}.") from error


def size_said(path: Path, way_out: str) -> int:
    """How many bytes the header of a safetensors file says that there are.

    Raises:
        BadInputError: it has no header; ``way_out`` ends the sentence.
    """
    with open_regular(path, way_out) as file:
        size = int.from_bytes(file.read(ALIGNMENT), "little")
        text = file.read(size) if size <= LARGEST_HEADER else b""
    try:
        header = json.loads(text)
        ends = [int(header[name]["data_offsets"][1]) for name in header if name != "__metadata__"]
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError) as error:
        raise BadInputError(f"{path} is not a readable safetensors file; {way_out}.") from error
    return ALIGNMENT + size + max(ends, default=0)


def load_meta_params(path: Path, way_out: str) -> Params:
    """Meta-parameters from a safetensors file.

    Raises:
        BadInputError: the file is missing or not safetensors; ``way_out`` ends the sentence.
    """
    return tensors_from_bytes(read_regular(path, size_said(path, way_out), way_out), path, way_out)


def check_fits(found: Params, expected: Mapping[str, Tensor], source: Path) -> None:
    """Checks that checkpointed tensors have the names, shapes and types of the learner's, and are finite.

    Raises:
        BadInputError: they do not; the sentence names the first that differs.
    """
    names = sorted(found.keys() ^ expected.keys())
    if names:
        place = "the checkpoint" if names[0] in found else "the learner"
        raise BadInputError(f"the checkpoint in {source} is of another learner: only {place} has {names[0]!r}.")
    for name, value in expected.items():
        if found[name].shape != value.shape:
            raise BadInputError(
                f"the checkpoint in {source} is of another learner: its {name!r} has shape {tuple(found[name].shape)}, "
                f"this learner's {tuple(value.shape)}."
            )
        if found[name].dtype != value.dtype:
            raise BadInputError(
                f"the checkpoint in {source} is of another learner: its {name!r} is of {found[name].dtype}, "
                f"not of {value.dtype}."
            )
        if not found[name].isfinite().all():
            raise BadInputError(f"{source} was damaged: its {name!r} has values that are not finite; train it anew.")

"""Where every random number comes from: a generator derived from a seed, a purpose and an index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

State = dict[torch.device, Tensor]
"""Of the global generators, which models with dropout draw from: the CPU's, and those of the GPUs in use."""


def derive_seed(seed: int, purpose: str, index: int) -> int:
    """A 63-bit seed from ``(seed, purpose, index)``; the same three always give the same one.

    >>> derive_seed(0, "training", 1) == derive_seed(0, "training", 1) != derive_seed(0, "training", 2)
    True
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def derive_generator(seed: int, purpose: str, index: int) -> torch.Generator:
    """The generator of one task: what happened before it, in what order or where, changes nothing.

    It is a generator of the CPU wherever the data are, since those of other devices give other numbers.

    >>> torch.rand(1, generator=derive_generator(0, "training", 7)) == torch.rand(
    ...     1, generator=derive_generator(0, "training", 7)
    ... )
    tensor([True])
    """
    return torch.Generator().manual_seed(derive_seed(seed, purpose, index))


def random_state(tensors: Iterable[Tensor]) -> State:
    """Where the global generators stand: the CPU's, and those of the GPUs that ``tensors`` are on.

    >>> list(random_state([torch.zeros(1)]))
    [device(type='cpu')]
    """
    gpus = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    return {torch.device("cpu"): torch.get_rng_state(), **{gpu: torch.cuda.get_rng_state(gpu) for gpu in gpus}}


@contextmanager
def random_numbers_from(state: State) -> Iterator[None]:
    """A context in which the global generators go on from ``state``; afterwards they stand where they stood before.

    >>> state = random_state([])
    >>> with random_numbers_from(state):
    ...     first = torch.rand(1)
    >>> torch.rand(1) == first
    tensor([True])
    """
    with torch.random.fork_rng([device for device in state if device.type == "cuda"]):
        for device, values in state.items():
            if device.type == "cuda":
                torch.cuda.set_rng_state(values, device)
            else:
                torch.set_rng_state(values)
        yield

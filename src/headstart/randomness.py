"""Where every random number comes from: a generator derived from a seed, a purpose and an index."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, purpose: str, index: int) -> int:
    """A 63-bit seed from ``(seed, purpose, index)``; the same three always give the same one.

    >>> derive_seed(0, "training", 1) == derive_seed(0, "training", 1) != derive_seed(0, "training", 2)
    True
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def derive_generator(seed: int, purpose: str, index: int) -> torch.Generator:
    """The generator of one meta-step or one task: what happened before it, in what order or where, changes nothing.

    It is a generator of the CPU wherever the data are, since those of other devices give other numbers.

    >>> torch.rand(1, generator=derive_generator(0, "training", 7)) == torch.rand(
    ...     1, generator=derive_generator(0, "training", 7)
    ... )
    tensor([True])
    """
    return torch.Generator().manual_seed(derive_seed(seed, purpose, index))

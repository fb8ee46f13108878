"""Tasks that are the same for everyone who evaluates: each is drawn by its index alone, and all have one hash."""

from __future__ import annotations

import hashlib

import torch
from torch.utils._pytree import tree_leaves, tree_map

from headstart.episodes import Episodes
from headstart.randomness import derive_generator
from headstart.tasks.distribution import TaskDistribution


def fixed_tasks(tasks: TaskDistribution, seed: int, purpose: str, indices: range) -> Episodes:
    """One batch of the tasks that are called ``indices``, each drawn from ``(seed, purpose, index)``.

    >>> import headstart as hs
    >>> tasks = hs.SinusoidTasks(shots=10, queries=10)
    >>> first, others = (fixed_tasks(tasks, 0, "test", indices) for indices in (range(3), range(1, 3)))
    >>> first.query.inputs[1:].equal(others.query.inputs)
    True
    """
    drawn = [tasks.sample(1, derive_generator(seed, purpose, index)) for index in indices]
    together: Episodes = tree_map(lambda *tensors: torch.cat(tensors), *drawn)
    return together


def update_digest(digest: hashlib._Hash, episodes: Episodes) -> None:
    """Feeds the tasks, one after the other, to ``digest``."""
    tensors = [tensor.cpu().contiguous().numpy() for tensor in tree_leaves(episodes)]
    for task in zip(*tensors, strict=True):
        for array in task:
            digest.update(array.tobytes())

"""Tasks that are the same for everyone who evaluates: each is drawn by its index alone, and all have one hash."""

from __future__ import annotations

import hashlib

import torch

from headstart.episodes import Episodes, Examples
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
    support, query = (
        Examples(torch.cat([examples.inputs for examples in side]), torch.cat([examples.targets for examples in side]))
        for side in zip(*drawn, strict=True)
    )
    return Episodes(support, query)


def update_digest(digest: hashlib._Hash, episodes: Episodes) -> None:
    """Feeds the tasks, one after the other, to ``digest``."""
    tensors = [tensor.cpu().contiguous().numpy() for examples in episodes for tensor in examples]
    for task in zip(*tensors, strict=True):
        for array in task:
            digest.update(array.tobytes())

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from headstart.errors import BadInputError
from headstart.tasks.sinusoid import SinusoidTasks


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shapes_and_types() -> None:
    support, query = SinusoidTasks(shots=3, queries=7).sample(5, generator())
    assert support.inputs.shape == support.targets.shape == (5, 3, 1)
    assert query.inputs.shape == query.targets.shape == (5, 7, 1)
    assert {tensor.dtype for part in (support, query) for tensor in part} == {torch.float32}


def test_each_task_is_one_sine_of_unit_frequency_over_support_and_query_alike() -> None:
    support, query = SinusoidTasks(shots=20, queries=30).sample(200, generator())
    inputs = torch.cat([support.inputs, query.inputs], 1).double().squeeze(-1).numpy()
    targets = torch.cat([support.targets, query.targets], 1).double().squeeze(-1).numpy()
    amplitudes, phases = [], []
    for x, y in zip(inputs, targets, strict=True):
        basis = np.stack([np.sin(x), -np.cos(x)], 1)  # A sin(x - p) = A cos(p) sin(x) - A sin(p) cos(x)
        (a, b), *_ = np.linalg.lstsq(basis, y, rcond=None)
        assert np.abs(basis @ [a, b] - y).max() < 1e-5
        amplitudes.append(math.hypot(a, b))
        phases.append(math.atan2(b, a))
    assert 0.1 <= min(amplitudes) < 0.3 and 4.8 < max(amplitudes) <= 5.0 + 1e-5
    assert -1e-4 <= min(phases) < 0.1 and 3.0 < max(phases) <= math.pi + 1e-4
    assert abs(np.mean(amplitudes) - 2.55) < 0.4 and abs(np.mean(phases) - math.pi / 2) < 0.25


def test_inputs_cover_the_interval_uniformly() -> None:
    inputs = SinusoidTasks(shots=10, queries=90).sample(100, generator()).query.inputs
    assert -5 <= inputs.min() < -4.9 and 4.9 < inputs.max() <= 5
    counts = torch.histc(inputs, bins=10, min=-5, max=5)
    assert counts.min() > 0.85 * 900 and counts.max() < 1.15 * 900


def test_support_and_query_are_different_points() -> None:
    support, query = SinusoidTasks(shots=10, queries=10).sample(20, generator())
    assert not (support.inputs[:, :, None, 0] == query.inputs[:, None, :, 0]).any()


def test_the_generator_decides_everything_and_the_global_one_nothing() -> None:
    tasks = SinusoidTasks(shots=5, queries=5)
    before = torch.get_rng_state()
    first, again, other = tasks.sample(2, generator()), tasks.sample(2, generator()), tasks.sample(2, generator(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.query.targets, again.query.targets)
    assert not torch.equal(first.query.targets, other.query.targets)


@pytest.mark.parametrize(("shots", "queries"), [(0, 5), (5, 0), (-1, 5)])
def test_empty_sets_are_refused(shots: int, queries: int) -> None:
    with pytest.raises(BadInputError, match=f"shots={shots}, queries={queries}"):
        SinusoidTasks(shots=shots, queries=queries)

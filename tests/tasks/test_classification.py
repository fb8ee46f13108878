"""The sampler of tasks, by its properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import headstart as hs
from headstart.randomness import derive_generator
from headstart.tasks.classification import distinct, quarter_turns


def coded(classes: int, examples: int, size: int = 4) -> hs.ImageClasses:
    """Images that carry their class, their example and, in one corner, which way is up."""
    images = torch.zeros(classes, examples, 1, size, size, dtype=torch.uint8)
    images[..., 1, 1] = images[..., 1, 2] = images[..., 2, 1] = images[..., 2, 2] = 0
    images[:, :, 0, 0, 0] = 255
    for i in range(classes):
        images[i, :, 0, 1:3, 1:3] = i + 1
    for j in range(examples):
        images[:, j, 0, 0, 1] = j + 1
    return hs.ImageClasses(images, tuple(f"class{i}" for i in range(classes)))


def decode(inputs: torch.Tensor) -> torch.Tensor:
    """``(class, example, quarter turn)`` of each image, ``[..., 3]``."""
    images = (inputs * 255).round().long()[..., 0, :, :]
    turns = torch.stack([images.rot90(-turn, (-2, -1)) for turn in range(4)])
    upright = turns[..., 0, 0] == 255
    turn = upright.long().argmax(0)
    image = turns.gather(0, turn[None, ..., None, None].expand(1, *images.shape))[0]
    return torch.stack([image[..., 1, 1] - 1, image[..., 0, 1] - 1, turn], -1)


shapes = st.fixed_dictionaries({"ways": st.integers(1, 6), "shots": st.integers(1, 4), "queries": st.integers(1, 4)})


@settings(deadline=None)
@given(shapes, st.sampled_from(["classes", "tasks", "none"]), st.integers(1, 5), st.integers(0, 2**31))
def test_every_task_is_a_task(shape: dict[str, int], rotations: str, count: int, seed: int) -> None:
    data = coded(classes=8, examples=9)
    tasks = hs.ClassificationTasks(data, rotations=rotations, **shape)
    support, query = tasks.sample(count, torch.Generator().manual_seed(seed))
    ways, shots, queries = shape["ways"], shape["shots"], shape["queries"]
    assert support.inputs.shape == (count, ways * shots, 1, 4, 4)
    assert query.inputs.shape == (count, ways * queries, 1, 4, 4)
    for task in range(count):
        seen = {}
        for part, per_class in ((support, shots), (query, queries)):
            codes = decode(part.inputs[task])
            assert part.targets[task].bincount(minlength=ways).tolist() == [per_class] * ways
            for (klass, example, turn), target in zip(codes.tolist(), part.targets[task].tolist(), strict=True):
                seen.setdefault(target, []).append((klass, turn, example))
        kinds = {target: {(klass, turn) for klass, turn, _ in examples} for target, examples in seen.items()}
        assert all(len(kind) == 1 for kind in kinds.values())  # one class, one turn
        assert len(set.union(*kinds.values())) == ways  # no two ways the same
        assert all(len(set(examples)) == shots + queries for examples in seen.values())  # support and query disjoint
        if rotations == "none":
            assert {turn for kind in kinds.values() for _, turn in kind} == {0}
        if rotations == "tasks":
            assert len({klass for kind in kinds.values() for klass, _ in kind}) == ways


@given(st.integers(1, 6), st.integers(1, 30), st.data(), st.integers(0, 2**31))
def test_distinct_numbers_are_distinct(rows: int, population: int, data: st.DataObject, seed: int) -> None:
    chosen = data.draw(st.integers(1, population))
    numbers = distinct((rows,), population, chosen, torch.Generator().manual_seed(seed))
    assert numbers.shape == (rows, chosen)
    assert 0 <= numbers.min() <= numbers.max() < population
    assert all(len(set(row)) == chosen for row in numbers.tolist())


def test_classes_targets_examples_and_turns_are_uniform() -> None:
    """Chi-squared against uniformity, at 5 standard deviations; every draw is fixed by the seed."""
    data = coded(classes=6, examples=5)
    tasks = hs.ClassificationTasks(data, ways=3, shots=1, queries=1, rotations="classes")
    support, _ = tasks.sample(4000, torch.Generator().manual_seed(0))
    codes = decode(support.inputs)
    pairs = {
        "class by target": codes[..., 0] * 3 + support.targets,
        "example": codes[..., 1],
        "turn by class": codes[..., 2] * 6 + codes[..., 0],
        "target by position": support.targets * 3 + torch.arange(3),
    }
    for name, values in pairs.items():
        counts = values.flatten().bincount().double()
        expected = counts.mean()
        excess = ((counts - expected).square() / expected).sum()
        freedom = len(counts) - 1
        assert excess < freedom + 5 * (2 * freedom) ** 0.5, name


def test_label_order_is_shuffled() -> None:
    tasks = hs.ClassificationTasks(coded(3, 4), ways=3, shots=1, queries=1, rotations="none")
    _, query = tasks.sample(100, torch.Generator().manual_seed(0))
    orders = {tuple(row) for row in decode(query.inputs)[..., 0].tolist()}
    assert len(orders) == 6


def test_support_order_is_shuffled_so_that_mini_batches_are_mixed() -> None:
    tasks = hs.ClassificationTasks(coded(5, 12), ways=5, shots=10, queries=1)
    support, _ = tasks.sample(50, torch.Generator().manual_seed(0))
    assert any(len(set(row[:10])) < 5 for row in support.targets.tolist())
    assert all(len(set(row[:10])) > 1 for row in support.targets.tolist())


def test_the_same_generator_gives_the_same_tasks() -> None:
    tasks = hs.ClassificationTasks(coded(8, 9), ways=5, shots=1, queries=3)
    first, again, other = (tasks.sample(4, derive_generator(0, "training", step)) for step in (1, 1, 2))
    assert first.query.inputs.equal(again.query.inputs)
    assert not first.query.inputs.equal(other.query.inputs)


def test_quarter_turns_are_those_of_numpy() -> None:
    images = torch.arange(2 * 9).view(2, 3, 3)
    for turn, turned in enumerate(quarter_turns(images)):
        for image, expected in zip(turned, images, strict=True):
            assert image.equal(torch.from_numpy(np.rot90(expected.numpy(), turn).copy()))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_splits_stay_disjoint_under_rotation(seed: int) -> None:
    """No character of one part turns up, turned or not, in the tasks of another."""
    data = coded(classes=30, examples=3)
    split = hs.random_split(data.names, (16, 6, 8), seed=seed)
    seen = []
    for part in split:
        tasks = hs.ClassificationTasks(data.choose(part), ways=6, shots=1, queries=1, rotations="classes")
        support, query = tasks.sample(40, torch.Generator().manual_seed(seed))
        seen.append({data.names[code] for side in (support, query) for code in decode(side.inputs)[..., 0].flatten()})
        assert seen[-1] <= set(part)
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_inputs_run_from_paper_to_ink() -> None:
    tasks = hs.ClassificationTasks(coded(3, 4), ways=2, shots=1, queries=1)
    inputs = tasks.sample(5, torch.Generator()).support.inputs
    assert inputs.dtype == torch.float32
    assert inputs.min() == 0
    assert inputs.max() == 1


def test_batches_of_a_classifier_have_the_data_sets_targets() -> None:
    data = coded(classes=6, examples=5)
    tasks = hs.SupervisedTasks(data, examples=200)
    support, query = tasks.sample(2, torch.Generator().manual_seed(0))
    codes = decode(query.inputs)
    assert tasks.class_count == 24
    assert query.targets.equal(codes[..., 2] * 6 + codes[..., 0])
    assert support.inputs.shape == (2, 0, 1, 4, 4)
    assert len(query.targets.unique()) == 24


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"shots": 15, "queries": 10}, "20 examples per class cannot give 15 shots . 10 queries"),
        ({"ways": 41}, "40 classes cannot give 41 ways"),
        ({"ways": 11, "rotations": "tasks"}, "10 classes cannot give 11 ways"),
        ({"ways": 0}, "ways=0"),
        ({"queries": 0}, "queries=0"),
        ({"rotations": "free"}, "'free'"),
    ],
)
def test_impossible_tasks_are_refused(settings: dict[str, object], sentence: str) -> None:
    data = coded(classes=10, examples=20)
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.ClassificationTasks(data, **{"ways": 5, "shots": 1, "queries": 1, **settings})  # type: ignore[arg-type]


def test_images_that_cannot_be_turned_are_refused() -> None:
    data = hs.ImageClasses(torch.zeros(5, 4, 1, 3, 4, dtype=torch.uint8), tuple("abcde"))
    with pytest.raises(hs.BadInputError, match="3x4"):
        hs.ClassificationTasks(data, ways=2, shots=1, queries=1)
    assert hs.ClassificationTasks(data, ways=2, shots=1, queries=1, rotations="none").class_count == 5
    with pytest.raises(hs.BadInputError, match="not square"):
        hs.SupervisedTasks(data, examples=3)

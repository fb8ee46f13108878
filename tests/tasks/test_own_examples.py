"""Tasks of one's own examples: any shape, any number per class, any labels."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import headstart as hs
from headstart.evaluation.fixed_tasks import fixed_tasks, update_digest
from headstart.tasks.classification import turned

NAMES = tuple("abcdefghijkl")


def pixels(classes: int = 12, examples: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (classes, examples, 1, 5, 5), generator=generator, dtype=torch.uint8)


def hash_of(tasks: hs.TaskDistribution) -> str:
    digest = hashlib.sha256()
    update_digest(digest, fixed_tasks(tasks, 0, "test", range(5)))
    update_digest(digest, tasks.sample(3, torch.Generator().manual_seed(1)))
    return digest.hexdigest()[:16]


def coded(counts: list[int], shuffled: int = 0) -> hs.LabelledExamples:
    """Examples ``[class, number within the class]``, in some order."""
    rows = torch.tensor([[index, number] for index, count in enumerate(counts) for number in range(count)])
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(shuffled))]
    return hs.LabelledExamples(rows.float(), rows[:, 0].contiguous(), [f"class{i}" for i in range(len(counts))])


@pytest.mark.parametrize(
    ("rotations", "expected"),
    [("classes", "b5dc75498639c5aa"), ("tasks", "3259b8a973cd489c"), ("none", "d2a9890173434b85")],
)
def test_the_tasks_of_built_in_data_are_those_of_version_0_1(rotations: Any, expected: str) -> None:
    sizes: Any = {"ways": 4, "shots": 2, "queries": 3, "rotations": rotations}
    classes = hs.ImageClasses(pixels(), NAMES)
    assert hash_of(hs.ClassificationTasks(classes, **sizes)) == expected
    assert hash_of(hs.ClassificationTasks(classes.labelled, **sizes)) == expected


@pytest.mark.parametrize(("rotations", "expected"), [("classes", "ca9d32baf1e91721"), ("none", "f40b3490ae3e967c")])
def test_the_batches_of_built_in_data_are_those_of_version_0_1(rotations: Any, expected: str) -> None:
    digest = hashlib.sha256()
    tasks = hs.SupervisedTasks(hs.ImageClasses(pixels(), NAMES), examples=30, rotations=rotations)
    update_digest(digest, tasks.sample(3, torch.Generator().manual_seed(1)))
    assert digest.hexdigest()[:16] == expected


def test_only_built_in_characters_are_turned_unless_asked_for() -> None:
    classes, sizes = hs.ImageClasses(pixels(), NAMES), {"ways": 2, "shots": 1, "queries": 1}
    assert hs.ClassificationTasks(classes, **sizes).class_count == 48
    assert hs.ClassificationTasks(classes.labelled, **sizes).class_count == 12
    assert hs.ClassificationTasks(classes.labelled, **sizes, rotations="classes").class_count == 48
    assert hs.SupervisedTasks(classes, examples=3).class_count == 48
    assert hs.SupervisedTasks(classes.labelled, examples=3).class_count == 12


@settings(deadline=None)
@given(st.lists(st.integers(3, 9), min_size=4, max_size=8), st.integers(0, 2**31))
def test_unequal_classes_give_tasks_of_different_examples(counts: list[int], seed: int) -> None:
    tasks = hs.ClassificationTasks(coded(counts, seed), ways=4, shots=1, queries=2)
    support, query = tasks.sample(6, torch.Generator().manual_seed(seed))
    for task in range(6):
        inputs = torch.cat([support.inputs[task], query.inputs[task]]).long().tolist()
        targets = torch.cat([support.targets[task], query.targets[task]]).tolist()
        assert len({tuple(row) for row in inputs}) == 12
        assert len({(row[0], target) for row, target in zip(inputs, targets, strict=True)}) == 4
        assert all(number < counts[index] for index, number in inputs)


def test_examples_of_unequal_classes_are_uniform_within_each() -> None:
    tasks = hs.ClassificationTasks(coded([3, 12]), ways=2, shots=1, queries=1)
    _, query = tasks.sample(12_000, torch.Generator().manual_seed(0))
    for index, count in enumerate((3, 12)):
        numbers = query.inputs[query.inputs[..., 0] == index][:, 1].long()
        drawn = numbers.bincount(minlength=count).double()
        excess = ((drawn - drawn.mean()).square() / drawn.mean()).sum()
        assert len(drawn) == count and excess < count - 1 + 5 * (2 * (count - 1)) ** 0.5


def test_batches_of_unequal_classes_have_every_class_equally_often() -> None:
    data = coded([1, 3, 12])
    query = hs.SupervisedTasks(data, examples=6000).sample(1, torch.Generator().manual_seed(0)).query
    assert query.inputs[0, :, 0].long().equal(query.targets[0])
    assert (query.targets[0].bincount() - 2000).abs().max() < 200
    last = query.inputs[0, query.targets[0] == 2, 1].long().bincount(minlength=12)
    assert len(last) == 12 and last.min() > 110


def test_a_class_without_examples_has_no_batches() -> None:
    data = hs.LabelledExamples(torch.rand(2, 3), torch.tensor([0, 2]), ("a", "b", "c"))
    with pytest.raises(hs.BadInputError, match="class 'b' has no examples"):
        hs.SupervisedTasks(data, examples=3)


def test_half_of_the_classes_are_held_out() -> None:
    parts = hs.HeldOutTasks.of(hs.ClassificationTasks(coded([4, 5, 6, 7]), ways=2, shots=1, queries=2))
    for first, tasks in enumerate(parts):
        drawn = tasks.sample(20, torch.Generator().manual_seed(0)).query.inputs[..., 0]
        assert {*drawn.flatten().long().tolist()} == {first, first + 2}


def test_chosen_classes_share_their_inputs() -> None:
    data = coded([3, 4, 5])
    chosen = data.choose(["class2", "class0"])
    assert chosen.inputs is data.inputs and chosen.names == ("class2", "class0")
    assert chosen.members().counts.tolist() == [5, 3]
    assert {*chosen.inputs[chosen.targets == 0][:, 0].tolist()} == {2.0}
    assert chosen.choose(["class0"]).members().counts.tolist() == [3]
    with pytest.raises(hs.BadInputError, match="'class1' the first of them; this data set has 2 classes"):
        chosen.choose(["class1"])


def test_what_goes_to_a_device_are_the_chosen_examples_if_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = coded([3, 4, 5]).choose(["class1"])
    assert chosen.to(torch.device("cpu")) is chosen
    monkeypatch.setattr("headstart.datasets.labelled._check", lambda examples: None)  # which reads the numbers
    monkeypatch.setattr("headstart.datasets.labelled.memory_at_hand", lambda device: 2**20)
    assert chosen.to(torch.device("meta")).inputs.shape == (4, 2)
    monkeypatch.setattr("headstart.datasets.labelled.memory_at_hand", lambda device: 8)
    assert chosen.to(torch.device("meta")) is chosen


def test_uint8_becomes_zero_to_one_and_floats_stay() -> None:
    sizes: Any = {"ways": 2, "shots": 1, "queries": 1}
    images = torch.full((4, 1, 2, 2), 255, dtype=torch.uint8)
    labels = [0, 0, 1, 1]
    for x, value in ((images, 1.0), (images.double() / 255, 1.0), (images.numpy() / 1.0, 255.0)):
        inputs = hs.ClassificationTasks.from_arrays(x, labels, **sizes).sample(1, torch.Generator()).query.inputs
        assert inputs.dtype == torch.float32 and {*inputs.flatten().tolist()} == {value}
    exact = hs.ClassificationTasks(hs.LabelledExamples(torch.rand(4, 2).double(), torch.tensor(labels), "ab"), **sizes)
    assert exact.sample(1, torch.Generator()).query.inputs.dtype == torch.float64


@pytest.mark.parametrize("labels", [range(10, 20), [f"klasse {i}" for i in range(10)], [(i, "x") for i in range(10)]])
def test_labels_are_anything(labels: Any) -> None:
    y = [label for label in labels for _ in range(4)]
    for given_as in (y, np.array(y) if not isinstance(y[0], tuple) else y):
        tasks = hs.ClassificationTasks.from_arrays(np.random.rand(40, 3), given_as, ways=5, shots=1, queries=3)
        assert tasks.classes.names == tuple(str(label) for label in labels)
    tensor = hs.ClassificationTasks.from_arrays(
        np.zeros((4, 1)), torch.tensor([12, 19, 12, 19]), ways=2, shots=1, queries=1
    )
    assert tensor.classes.names == ("12", "19") and tensor.data.targets.tolist() == [0, 1, 0, 1]


def test_a_data_set_of_pairs_is_read() -> None:
    class Pictures(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            return Image.new("RGB", (4, 3), (index, 2, 3)), index % 2 + 10

    tasks = hs.ClassificationTasks.from_dataset(Pictures(), ways=2, shots=1, queries=2)
    assert tasks.data.inputs.shape == (6, 3, 3, 4) and tasks.data.inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert tasks.classes.names == ("10", "11")


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.zeros((3, 2)), [0, 1], "x has 3 examples and y has 2 labels"),
        (
            np.array([[1.0], [np.nan], [np.inf]]),
            [0, 1, 2],
            "NaN or infinite numbers in 2 of 3 examples, number 1 the first",
        ),
        (np.zeros((2, 2), dtype=np.int64), [0, 1], "inputs of type int64 do not say how large"),
        (np.zeros((2, 2), dtype=bool), [0, 1], "inputs of type bool"),
        (np.zeros((0, 2)), [], "x has no examples"),
        ([[1.0], [1.0, 2.0]], [0, 1], "x is no array of numbers of one shape"),
        ([["a"], ["b"]], [0, 1], "x is no array of numbers"),
        (np.zeros((2, 2)), ["a", None], "label 1 of y is missing"),
        (np.zeros((2, 2)), [0.0, float("nan")], "label 1 of y is missing"),
        (np.zeros((2, 2)), np.eye(2), "label 0 of y is .*; give one label per example"),
        (np.zeros((2, 2)), [1, "1"], "two labels of y are both called '1'"),
        (
            np.zeros((4, 2)),
            [0, 0, 0, 1],
            "the 1 examples of the class '1' cannot give 1 shots . 1 queries; ask for at most 1",
        ),
        (np.zeros((3, 2)), [0, 1, 2], "1 examples per class cannot give"),
        (np.zeros((4, 2)), [0, 0, 0, 0], "1 classes cannot give 2 ways"),
    ],
)
def test_arrays_that_make_no_tasks_are_refused(x: Any, y: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.ClassificationTasks.from_arrays(x, y, ways=2, shots=1, queries=1)


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        (3, "int is no data set"),
        ([1, 2], "list is no data set"),
        ([([1.0], 0), ([1.0, 2.0], 1)], "examples must be of one shape, and these are of 2"),
    ],
)
def test_what_is_no_data_set_is_refused(dataset: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.ClassificationTasks.from_dataset(dataset, ways=2, shots=1, queries=1)


def test_too_few_examples_are_refused_with_the_class_and_the_count() -> None:
    with pytest.raises(
        hs.BadInputError, match=r"the 3 examples of the class 'class1' \(1 more have too few\) cannot .* at most 2"
    ):
        hs.ClassificationTasks(coded([9, 3, 8, 2]), ways=2, shots=2, queries=2)


@pytest.mark.parametrize(
    ("inputs", "targets", "names", "sentence"),
    [
        (torch.zeros(2, 1), torch.tensor([0, 3]), ("a",), "targets run from 0 to 3"),
        (torch.zeros(2, 1), torch.tensor([0, -2]), ("a",), "targets run from -2 to 0"),
        (torch.zeros(2, 1), torch.tensor([0]), ("a",), "for 2 examples"),
        (torch.zeros(2, 1), torch.tensor([0.0, 0.0]), ("a",), "torch.float32 of shape"),
        (torch.zeros(2, 1), torch.tensor([0, 1]), ("a", "a"), "two classes have the same name"),
        (torch.zeros(2, 1, dtype=torch.int32), torch.tensor([0, 1]), ("a", "b"), "type int32"),
    ],
)
def test_what_does_not_fit_together_is_refused(inputs: Any, targets: Any, names: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.LabelledExamples(inputs, targets, names)
    good = hs.LabelledExamples(torch.zeros(2, 1), torch.tensor([0, 0]), ("a",))
    with pytest.raises(hs.BadInputError, match=sentence):
        good._replace(inputs=inputs, targets=targets, names=names)


@pytest.mark.parametrize("shape", [(5, 4, 28, 28), (4, 4, 1, 28, 28)])
def test_images_without_an_axis_or_a_name_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(hs.BadInputError, match="add the axis that is missing"):
        hs.ClassificationTasks(
            hs.ImageClasses(torch.zeros(shape, dtype=torch.uint8), tuple("abcde")), ways=2, shots=1, queries=1
        )


def test_one_pixel_cannot_be_turned() -> None:
    data = hs.ImageClasses(torch.zeros(5, 4, 1, 1, 1, dtype=torch.uint8), tuple("abcde"))
    with pytest.raises(hs.BadInputError, match="1x1x1 are not square images of several pixels"):
        hs.ClassificationTasks(data, ways=2, shots=1, queries=1)


def test_images_are_turned_each_by_its_own_number() -> None:
    images = torch.rand(2, 6, 3, 4, 4)
    turn = torch.randint(4, (2, 6), generator=torch.Generator().manual_seed(0))
    for i, j in np.ndindex(2, 6):
        assert turned(images, turn)[i, j].equal(images[i, j].rot90(int(turn[i, j]), (-2, -1)))

"""What a report says of predictions is what an evaluation says, and its names are those of the classes."""

from __future__ import annotations

import pytest
import torch

import headstart as hs
from headstart.evaluation.fixed_tasks import fixed_tasks
from headstart.reports.predictions import PredictedTasks, class_names, confusions, predicted_classes


def tasks_of(ways: int = 3, *, rotations: str = "none") -> hs.ClassificationTasks:
    """Tasks whose images are of one value: 20 times the number of their class."""
    values = (20 * torch.arange(8, dtype=torch.uint8)).view(8, 1, 1, 1, 1).expand(8, 6, 1, 4, 4)
    classes = hs.ImageClasses(values, tuple("abcdefgh"))
    return hs.ClassificationTasks(classes, ways=ways, shots=2, queries=3, rotations=rotations)  # type: ignore[arg-type]


@pytest.mark.parametrize("rotations", ["none", "tasks", "classes"])
def test_the_names_are_those_of_the_classes_that_are_seen(rotations: str) -> None:
    tasks = tasks_of(rotations=rotations)
    episodes = fixed_tasks(tasks, 7, "validation", range(10))
    names = class_names(tasks, 7, "validation", range(10), ways=3)
    for task, of_task in enumerate(names):
        for inputs, target in zip(episodes.query.inputs[task], episodes.query.targets[task].tolist(), strict=True):
            assert round(255 * float(inputs.mean())) == 20 * "abcdefgh".index(of_task[target])


def test_tasks_of_somebody_elses_have_numbers_for_names() -> None:
    assert (
        class_names(hs.SinusoidTasks(shots=1, queries=1), 0, "test", range(2), ways=2) == [["class 1", "class 2"]] * 2
    )


@pytest.mark.parametrize("learner", [hs.MAML, hs.ProtoNet])
def test_the_predictions_have_the_accuracy_of_an_evaluation(learner: type) -> None:
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (12, 10, 1, 28, 28), dtype=torch.uint8)
    tasks = hs.ClassificationTasks(hs.ImageClasses(pictures, tuple("abcdefghijkl")), ways=4, shots=1, queries=5)
    made = learner(hs.Conv4(ways=4, width=4))
    steps = 0 if learner is hs.ProtoNet else 3
    result = hs.evaluate(made, tasks, count=20, inner_steps=steps)
    episodes = fixed_tasks(tasks, 0, "test", range(20))
    predicted = predicted_classes(made, episodes, steps)
    right = (predicted == episodes.query.targets).double().mean(1)
    torch.testing.assert_close(right, result.scores[:, -1], atol=1e-6, rtol=0)
    assert 0 < right.mean() < 1 and made.training


def test_confusions_count_the_queries_of_tasks_with_both_classes() -> None:
    targets = torch.tensor([[0, 0, 1, 1]] * 3)
    part = hs.Examples(torch.zeros(3, 4, 1), targets)
    predicted = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]])
    found = confusions(PredictedTasks(hs.Episodes(part, part), [("a", "b"), ("b", "c"), ("a", "c")], predicted))
    assert [tuple(pair) for pair in found] == [
        ("b", "c", 2, 2, (1, 0)),
        ("a", "b", 1, 2, (0, 1)),
        ("a", "c", 1, 2, (2, 0)),
        ("c", "b", 1, 2, (1, 3)),
    ]

"""What *f* predicts for the query examples of tasks of classes, and which classes it takes for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from headstart.episodes import Episodes, first_of
from headstart.evaluation.evaluate import evaluating
from headstart.evaluation.scores import over_first_axis
from headstart.learners.base import Learner
from headstart.learners.heads import set_to
from headstart.randomness import derive_generator
from headstart.tasks.classification import ClassificationTasks
from headstart.tasks.distribution import TaskDistribution


class PredictedTasks(NamedTuple):
    """Tasks of classes and what was predicted for them.

    Attributes:
        episodes: the tasks.
        names: of each task, the names of its classes in the order of its targets.
        predicted: the class of every query example, int64 ``[task, query]``.
    """

    episodes: Episodes
    names: Sequence[Sequence[str]]
    predicted: Tensor

    @property
    def right(self) -> Tensor:
        """Whether each prediction is right, ``[task, query]``."""
        found: Tensor = self.predicted == self.episodes.query.targets
        return found


class Confusion(NamedTuple):
    """One class that was taken for another one.

    Attributes:
        true: its name.
        taken_for: the name of the other one.
        mistakes: how many of its query examples were.
        queries: how many it had, in the tasks that had both classes.
        example: the first mistake, ``(task, query)``.
    """

    true: str
    taken_for: str
    mistakes: int
    queries: int
    example: tuple[int, int]


@torch.no_grad()
def predicted_classes(learner: Learner, episodes: Episodes, steps: int) -> Tensor:
    """The class of each query example after ``steps`` inner updates, transductively, int64 ``[task, query]``.

    >>> import headstart as hs
    >>> examples = hs.Examples(torch.rand(2, 6, 4), torch.arange(3).repeat(2, 2))
    >>> predicted_classes(hs.MAML(torch.nn.Linear(4, 3)), Episodes(examples, examples), steps=1).shape
    torch.Size([2, 6])
    """
    meta_params = learner.meta_params
    learner = set_to(learner, episodes)

    def of_task(episode: Episodes) -> Tensor:
        *_, task_params = learner.adaptation(meta_params, episode.support, steps, every=False)
        predictions: Tensor = learner.predict(task_params, episode.query.inputs)
        return predictions.argmax(-1)

    with evaluating(learner, first_of(episodes.query.inputs).device, 0):
        found: Tensor = over_first_axis(of_task, "auto")(episodes)
    return found


def class_names(tasks: TaskDistribution, seed: int, purpose: str, indices: range, ways: int) -> list[list[str]]:
    """The names of the classes of fixed tasks, in the order of their targets; plain numbers where nobody knows them."""
    if not isinstance(tasks, ClassificationTasks):
        return [[f"class {number}" for number in range(1, ways + 1)] for _ in indices]
    drawn = (tasks.draw_classes(1, derive_generator(seed, purpose, index))[1][0] for index in indices)
    return [[tasks.data.names[place] for place in places.tolist()] for places in drawn]


def confusions(tasks: PredictedTasks) -> list[Confusion]:
    """Every class that was taken for another one, the most mistaken first.

    >>> part = (torch.zeros(1, 4, 1), torch.tensor([[0, 0, 1, 1]]))
    >>> from headstart.episodes import Examples
    >>> tasks = PredictedTasks(Episodes(Examples(*part), Examples(*part)), [("a", "b")], torch.tensor([[0, 1, 0, 0]]))
    >>> confusions(tasks)[0]
    Confusion(true='b', taken_for='a', mistakes=2, queries=2, example=(0, 2))
    """
    mistakes: Counter[tuple[str, str]] = Counter()
    queries: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], tuple[int, int]] = {}
    targets = tasks.episodes.query.targets.tolist()
    for task, (names, wanted, found) in enumerate(zip(tasks.names, targets, tasks.predicted.tolist(), strict=True)):
        for query, (target, prediction) in enumerate(zip(wanted, found, strict=True)):
            queries.update((names[target], other) for other in names if other != names[target])
            if target != prediction:
                pair = names[target], names[prediction]
                mistakes[pair] += 1
                examples.setdefault(pair, (task, query))
    found_pairs = [Confusion(*pair, count, queries[pair], examples[pair]) for pair, count in mistakes.items()]
    return sorted(found_pairs, key=lambda pair: (-pair.mistakes, pair.queries, pair.true, pair.taken_for))

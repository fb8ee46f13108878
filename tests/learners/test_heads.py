"""A learner that was trained on tasks of five classes adapts to three or twelve."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.learners.heads import AnyWays
from methods import MODELS, largest_difference

LEARNERS: dict[str, Callable[..., AnyWays]] = {
    "ProtoNet": hs.ProtoNet,
    "MatchingNet": hs.MatchingNet,
    "ProtoMAML": hs.ProtoMAML,
    "UnicornMAML": hs.UnicornMAML,
    "ClassifierPretraining": hs.ClassifierPretraining,
}
EPISODIC = [name for name in LEARNERS if name != "ClassifierPretraining"]
OUTPUTS = {**dict.fromkeys(EPISODIC, 5), "ClassifierPretraining": 24}


def pictures() -> hs.ImageClasses:
    """Each class a random picture, each example that picture with noise."""
    generator = torch.Generator().manual_seed(0)
    picture, noise = (torch.rand(24, count, 1, 8, 8, generator=generator) for count in (1, 8))
    return hs.ImageClasses((255 * (0.7 * picture + 0.3 * noise)).to(torch.uint8), tuple(map(str, range(24))))


CLASSES = pictures()


def tasks_of(ways: int, shots: int = 2) -> hs.ClassificationTasks:
    return hs.ClassificationTasks(CLASSES, ways=ways, shots=shots, queries=2, rotations="none")


def conv4(outputs: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return hs.Conv4(outputs, width=8, image_size=8, norm="layer")


def trained(name: str) -> AnyWays:
    """Two meta-steps on tasks of five classes, or on batches of all classes."""
    learner = LEARNERS[name](conv4(OUTPUTS[name]), ways=5)
    tasks: hs.TaskDistribution = tasks_of(5)
    if name == "ClassifierPretraining":
        tasks = hs.SupervisedTasks(CLASSES, examples=24, rotations="none")
    hs.train(learner, tasks, meta_steps=2, meta_batch=2)
    return learner


@pytest.mark.parametrize("ways", [3, 12])
@pytest.mark.parametrize("name", LEARNERS)
def test_what_was_trained_with_five_ways_adapts_to_others(name: str, ways: int) -> None:
    learner = trained(name)
    result = hs.evaluate(learner, tasks_of(ways), count=20, inner_steps=5)
    assert learner.ways == 5, "an evaluation takes the ways of its tasks, and leaves the learner alone"
    learner.ways = ways
    assert result.value - result.interval > 1 / ways, "better than chance: these classes differ in their pixels"
    support, query = tasks_of(ways).sample(1, torch.Generator()).task(0)
    assert learner.predict(learner.adapt(learner.meta_params, support), query.inputs).shape == (2 * ways, ways)
    built = LEARNERS[name](conv4(OUTPUTS[name]), ways=ways)
    again = hs.evaluate(built, tasks_of(ways), count=20, inner_steps=5, meta_params=learner.meta_params)
    assert again.by_inner_step == result.by_inner_step


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("name", EPISODIC)
def test_programs_and_plans_are_made_anew_for_other_ways_of_the_same_shapes(
    name: str, compile: bool, only_traced: None
) -> None:
    learner = LEARNERS[name](hs.MLP(64, 5, (8,)))
    run = hs.MetaGradient(learner, compile=compile)
    for ways, shots in ((4, 3), (6, 2), (4, 3)):  # of both the support set has 12 examples
        learner.ways = ways
        support, query = tasks_of(ways, shots).sample(2, torch.Generator())
        episodes = hs.Episodes(support, hs.Examples(query.inputs[:, :8], query.targets[:, :8]))
        gradient, _ = run(learner.meta_params, episodes)
        expected, _ = learner.meta_gradient(learner.meta_params, episodes)
        assert largest_difference(gradient, expected) < 1e-5
    (plans,) = run._plans.values()
    assert len(plans) == 2
    assert len(run._programs) == 2 * compile


@pytest.mark.parametrize("ways", [3, 12])
@pytest.mark.parametrize("name", EPISODIC)
def test_training_tasks_of_other_ways_are_refused_until_it_is_told(name: str, ways: int) -> None:
    learner = LEARNERS[name](conv4())
    sentence = f"set to 5 ways does not fit tasks with {ways} classes; set its attribute ways to {ways}"
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.MetaGradient(learner)(learner.meta_params, tasks_of(ways).sample(2, torch.Generator()))


def test_a_fixed_head_stays_as_it_is() -> None:
    with pytest.raises(hs.BadInputError, match="5 outputs does not fit tasks with 12 classes; give it 12 outputs"):
        hs.evaluate(hs.MAML(conv4()), tasks_of(12), count=2)


@pytest.mark.parametrize("name", LEARNERS)
def test_ways_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(hs.BadInputError, match="ways=0"):
        LEARNERS[name](conv4(), ways=0)


def test_without_a_head_the_ways_must_be_told() -> None:
    with pytest.raises(hs.BadInputError, match="give ways="):
        hs.ProtoNet(nn.Flatten(), head=None)
    with pytest.raises(hs.BadInputError, match="'head'"):
        hs.MatchingNet(nn.Flatten())


@pytest.mark.parametrize("name", ["ProtoNet", "MatchingNet", "ProtoMAML"])
def test_regression_has_no_classes_to_make_a_head_of(name: str) -> None:
    learner = LEARNERS[name](MODELS["MLP-none"]())
    examples = hs.Examples(torch.rand(1, 6, 1, 8, 8), torch.rand(1, 6, 3))
    with pytest.raises(hs.BadInputError, match="class targets"):
        hs.MetaGradient(learner)(learner.meta_params, hs.Episodes(examples, examples))

"""The prototypical network against class means and distances taken one by one, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from methods import MODELS, image_episodes, largest_difference


def embedding_of(model: nn.Module) -> nn.Module:
    embedding = copy.deepcopy(model).double()
    embedding.head = nn.Identity()
    return embedding


def logits_by_hand(embedding: nn.Module, episode: hs.Episodes, ways: int) -> Tensor:
    embedded, queries = embedding(episode.support.inputs), embedding(episode.query.inputs)
    means = [embedded[episode.support.targets == way].mean(0) for way in range(ways)]
    return torch.stack([torch.stack([-sum((query - mean) ** 2) for mean in means]) for query in queries])


@pytest.mark.parametrize("model", ["Conv4-batch", "Conv4-layer", "MLP-none"])
def test_equals_distances_to_class_means_taken_one_by_one(model: str) -> None:
    torch.manual_seed(0)
    net = MODELS[model]()
    learner = hs.ProtoNet(net).double()
    episode = image_episodes().task(1)
    embedding = embedding_of(net)
    logits = logits_by_hand(embedding, episode, ways=3)
    expected = torch.autograd.grad(F.cross_entropy(logits, episode.query.targets), list(embedding.parameters()))
    gradient, loss, predictions = learner.task_gradient(learner.meta_params, episode)
    assert (predictions - logits).abs().max() < 1e-10
    assert (loss - F.cross_entropy(logits, episode.query.targets)).abs() < 1e-10
    names = [f"model.{name}" for name, _ in embedding.named_parameters()]
    assert largest_difference(gradient, dict(zip(names, expected, strict=True))) < 1e-10
    assert max(value.abs().max() for value in expected) > 1e-4


def test_the_head_is_left_out_of_the_copy_alone() -> None:
    model = hs.Conv4(5, width=4)
    learner = hs.ProtoNet(model)
    assert not any("head" in name for name in learner.meta_params)
    assert isinstance(model.head, nn.Linear)
    assert learner(torch.rand(2, 1, 28, 28)).shape == (2, 16)  # 4 channels of 2 x 2 pixels


def test_a_whole_model_may_be_the_embedding() -> None:
    embedding = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    learner = hs.ProtoNet(embedding, head=None, ways=3).double()
    support, query = image_episodes().task(0)
    assert list(learner.meta_params) == ["model.1.weight", "model.1.bias"]
    task_params = learner.adapt(learner.meta_params, support)
    assert task_params["prototypes"].shape == (3, 7)
    assert learner.predict(task_params, query.inputs).shape == (9, 3)


def test_inner_steps_change_nothing_and_are_all_there() -> None:
    learner = hs.ProtoNet(MODELS["MLP-none"]()).double()
    support = image_episodes().task(0).support
    points = list(learner.adaptation(learner.meta_params, support, 3))
    assert len(points) == 4
    assert all(largest_difference(point, points[0]) == 0 for point in points)
    assert len(list(learner.adaptation(learner.meta_params, support, 0))) == 1

"""Prototypical and matching networks against distances and votes taken one by one, in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import headstart as hs
from headstart.learners.metric import MetricLearner
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


def probability_by_hand(query: Tensor, embedded: Tensor, targets: Tensor, way: int) -> Tensor:
    votes = [torch.exp(query @ one / (query.norm() * one.norm())) for one in embedded]
    return sum(vote for vote, target in zip(votes, targets, strict=True) if target == way) / sum(votes)


@pytest.mark.parametrize("model", ["Conv4-batch", "Conv4-layer", "MLP-none"])
def test_equals_votes_counted_one_by_one(model: str) -> None:
    torch.manual_seed(0)
    net = MODELS[model]()
    learner = hs.MatchingNet(net).double()
    support, query = episode = image_episodes().task(1)
    embedding = embedding_of(net)
    embedded, queries = embedding(support.inputs), embedding(query.inputs)
    chances = torch.stack(
        [torch.stack([probability_by_hand(one, embedded, support.targets, way) for way in range(3)]) for one in queries]
    )
    loss = -sum(torch.log(row[target]) for row, target in zip(chances, query.targets, strict=True)) / len(chances)
    expected = torch.autograd.grad(loss, list(embedding.parameters()))
    gradient, found, predictions = learner.task_gradient(learner.meta_params, episode)
    assert (predictions.exp() - chances).abs().max() < 1e-12
    assert (found - loss).abs() < 1e-12
    names = [f"model.{name}" for name, _ in embedding.named_parameters()]
    assert largest_difference(gradient, dict(zip(names, expected, strict=True))) < 1e-10
    assert max(value.abs().max() for value in expected) > 1e-4


def test_a_class_with_more_votes_wins_among_equals() -> None:
    """All examples alike: the attention is uniform, and a class's probability is its share of the support set."""
    learner = hs.MatchingNet(nn.Flatten(), head=None, ways=2)
    support = hs.Examples(torch.ones(4, 1, 2, 2), torch.tensor([0, 1, 1, 1]))
    predictions = learner.predict(learner.adapt(learner.meta_params, support), torch.ones(1, 1, 2, 2))
    assert predictions.tolist() == [pytest.approx([math.log(0.25), math.log(0.75)])]


@pytest.mark.parametrize("kind", [hs.ProtoNet, hs.MatchingNet])
def test_the_head_is_left_out_of_the_copy_alone(kind: type[MetricLearner]) -> None:
    model = hs.Conv4(5, width=4)
    learner = kind(model)
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


@pytest.mark.parametrize("kind", [hs.ProtoNet, hs.MatchingNet])
def test_inner_steps_change_nothing_and_are_all_there(kind: type[MetricLearner]) -> None:
    learner = kind(MODELS["MLP-none"]()).double()
    support = image_episodes().task(0).support
    points = list(learner.adaptation(learner.meta_params, support, 3))
    assert len(points) == 4
    assert all(largest_difference(point, points[0]) == 0 for point in points)
    assert len(list(learner.adaptation(learner.meta_params, support, 0))) == 1

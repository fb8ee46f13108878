"""The matching network against votes counted one by one, in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from methods import MODELS, image_episodes, largest_difference


def probability_by_hand(query: Tensor, embedded: Tensor, targets: Tensor, way: int) -> Tensor:
    votes = [torch.exp(query @ one / (query.norm() * one.norm())) for one in embedded]
    return sum(vote for vote, target in zip(votes, targets, strict=True) if target == way) / sum(votes)


@pytest.mark.parametrize("model", ["Conv4-batch", "Conv4-layer", "MLP-none"])
def test_equals_votes_counted_one_by_one(model: str) -> None:
    torch.manual_seed(0)
    net = MODELS[model]()
    learner = hs.MatchingNet(net).double()
    support, query = episode = image_episodes().task(1)
    embedding = copy.deepcopy(net).double()
    embedding.head = nn.Identity()
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

"""Both forms of pre-training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import headstart as hs
from methods import MODELS, SIDES, image_episodes, largest_difference


@pytest.mark.parametrize("model", MODELS)
def test_maml_without_inner_steps_is_joint_pretraining(model: str) -> None:
    torch.manual_seed(0)
    net = MODELS[model]()
    episodes = image_episodes(size=SIDES.get(model, 8))
    maml, joint = hs.MAML(net, inner_steps=0).double(), hs.Pretraining(net).double()
    left, right = (learner.meta_gradient(learner.meta_params, episodes) for learner in (maml, joint))
    assert largest_difference(left[0], right[0]) == 0
    assert largest_difference(left[1], right[1]) == 0


def test_joint_gradient_is_that_of_one_big_batch() -> None:
    """Without batch norm the tasks of equal size are one batch."""
    torch.manual_seed(0)
    joint = hs.Pretraining(MODELS["Conv4-layer"]()).double()
    query = image_episodes().query
    loss = F.cross_entropy(joint(query.inputs.flatten(0, 1)), query.targets.flatten())
    expected = dict(zip(joint.meta_params, torch.autograd.grad(loss, list(joint.parameters())), strict=True))
    gradient, _ = joint.meta_gradient(joint.meta_params, image_episodes())
    assert largest_difference(gradient, expected) < 1e-12


def test_it_adapts_when_it_is_evaluated() -> None:
    torch.manual_seed(0)
    joint = hs.Pretraining(MODELS["Conv4-batch"](), inner_lr=0.1, inner_steps=3).double()
    support = image_episodes().task(0).support
    path = list(joint.adaptation(joint.meta_params, support, 3))
    losses = [F.cross_entropy(joint.predict(params, support.inputs), support.targets).item() for params in path]
    assert len(path) == 4
    assert losses == sorted(losses, reverse=True)


def test_classifier_gets_a_new_head_for_every_task() -> None:
    torch.manual_seed(0)
    learner = hs.ClassifierPretraining(hs.Conv4(40, width=8, image_size=8), ways=3, inner_lr=0.1).double()
    support = image_episodes().task(0).support
    start, *_, end = learner.adaptation(learner.meta_params, support, 5)
    assert start["model.head.weight"].shape == (3, learner.meta_params["model.head.weight"].shape[1])
    assert start["model.head.weight"].eq(0).all()
    assert start["model.head.bias"].eq(0).all()
    assert start["model.blocks.0.conv.weight"].equal(learner.meta_params["model.blocks.0.conv.weight"])
    assert learner.predict(start, support.inputs).shape == (6, 3)
    assert end["model.head.weight"].ne(0).any()
    assert end["model.blocks.0.conv.weight"].equal(start["model.blocks.0.conv.weight"])  # only the head is trained


def test_classifier_learns_on_batches_of_all_classes() -> None:
    torch.manual_seed(0)
    images = (torch.rand(12, 4, 1, 8, 8) * 255).to(torch.uint8)
    tasks = hs.SupervisedTasks(hs.ImageClasses(images, tuple(map(str, range(12)))), examples=32, rotations="none")
    learner = hs.ClassifierPretraining(hs.Conv4(tasks.class_count, width=8, image_size=8), ways=3)
    hs.train(learner, tasks, meta_steps=60, meta_batch=1, optimizer=lambda params: torch.optim.Adam(params, lr=1e-2))
    _, metrics = learner.meta_gradient(learner.meta_params, tasks.sample(1, torch.Generator().manual_seed(1)))
    assert metrics["accuracy"] > 0.8  # chance is 1 in 12


def test_a_model_without_that_head_is_named() -> None:
    with pytest.raises(hs.BadInputError, match="'top'"):
        hs.ClassifierPretraining(hs.Conv4(40), ways=3, head="top")
    with pytest.raises(hs.BadInputError, match="'head'"):
        hs.ClassifierPretraining(nn.Linear(2, 2), ways=3)

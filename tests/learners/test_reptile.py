"""Reptile's direction, its mini-batches and its outer update."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import headstart as hs
from headstart.learners.inner_loop import mini_batch
from methods import MODELS, image_episodes, largest_difference


def reptile(inner_steps: int, model: str = "Conv4-batch", **settings: object) -> hs.Reptile:
    torch.manual_seed(0)
    settings = {"inner_batch": None, "inner_rule": hs.SGD, "inner_lr": 0.2, **settings}
    return hs.Reptile(MODELS[model](), inner_steps=inner_steps, **settings).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["Conv4-batch", "Conv4-layer", "MLP-none"])
def test_one_step_points_along_joint_training(model: str) -> None:
    """``meta_params - mean(theta_hat) = inner_lr * grad of the joint loss`` on the support sets."""
    learner = reptile(1, model)
    episodes = image_episodes()
    joint = hs.Pretraining(learner.model).double()
    on_support = hs.Episodes(episodes.support, episodes.support)
    expected, _ = joint.meta_gradient(joint.meta_params, on_support)
    gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
    assert largest_difference(gradient, {name: 0.2 * value for name, value in expected.items()}) < 1e-12


def test_two_steps_do_not() -> None:
    episodes = image_episodes()
    one, two = (reptile(steps).meta_gradient(reptile(steps).meta_params, episodes)[0] for steps in (1, 2))
    assert largest_difference(two, {name: 2 * value for name, value in one.items()}) > 1e-4


def test_outer_sgd_interpolates() -> None:
    """With SGD at rate ``meta_lr``: ``meta_params + meta_lr * (mean(theta_hat) - meta_params)``."""
    learner, meta_lr = reptile(3), 0.25
    episodes = image_episodes(tasks=4)
    before = {name: value.clone() for name, value in learner.meta_params.items()}
    adapted = [learner.adapt(before, episodes.task(task).support) for task in range(4)]
    expected = {
        name: value + meta_lr * (torch.stack([theta[name] for theta in adapted]).mean(0) - value)
        for name, value in before.items()
    }
    outer = torch.optim.SGD(learner.parameters(), lr=meta_lr)
    gradient, _ = learner.meta_gradient(learner.meta_params, episodes)
    for name, parameter in learner.named_parameters():
        parameter.grad = gradient[name]
    outer.step()
    assert largest_difference(learner.meta_params, expected) < 1e-12


def test_inner_loop_equals_torch_adam_on_the_same_mini_batches() -> None:
    """With an eps of nothing, since it stands under the root here and beside it there."""
    eps = 1e-15
    learner = reptile(
        7, "MLP-none", inner_batch=4, inner_rule=lambda lr: hs.AdamWithoutMomentum(lr, eps=eps), inner_lr=0.01
    )
    support = image_episodes().task(0).support
    model = MODELS["MLP-none"]().double()
    model.load_state_dict(learner.model.state_dict())
    outer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.0, 0.999), eps=eps)
    for step in range(7):
        batch = mini_batch(support, 4, step)
        outer.zero_grad()
        F.cross_entropy(model(batch.inputs), batch.targets).backward()
        outer.step()
    expected = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    found = learner.adapt(learner.meta_params, support)
    assert largest_difference({name: found[name] for name in expected}, expected) < 1e-8


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 7])
def test_mini_batches_go_round_the_support_set(size: int) -> None:
    examples = hs.Examples(torch.arange(6.0), torch.arange(6))
    seen = torch.cat([mini_batch(examples, size, step).targets for step in range(12)])
    expected = torch.arange(6) if size >= 6 else torch.arange(12 * size) % 6
    assert seen[: len(expected)].equal(expected)
    assert all(len(mini_batch(examples, size, step).targets) == min(size, 6) for step in range(12))


def test_bad_inner_batch_is_named() -> None:
    with pytest.raises(hs.BadInputError, match="inner_batch=0"):
        reptile(1, inner_batch=0)


# what the update rule carries


def test_adam_goes_on_from_task_to_task_as_one_optimizer_whose_weights_are_put_back() -> None:
    """One task a meta-step: the paper's code, which restores the weights and nothing else."""
    learner = reptile(3, "MLP-none", inner_rule=lambda lr: hs.AdamWithoutMomentum(lr, eps=1e-15), inner_lr=0.01,
                      carry=True)  # fmt: skip
    model, start = learner.model, {name: p.detach().clone() for name, p in learner.model.named_parameters()}
    adam = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.0, 0.999), eps=1e-15)
    meta_params = {name: value.detach().clone() for name, value in learner.meta_params.items()}
    for task in range(4):
        support = image_episodes().task(task).support
        gradient, _ = learner.meta_gradient(meta_params, hs.Episodes(*[hs.Examples(*(v[None] for v in support))] * 2))
        for _ in range(3):
            adam.zero_grad()
            F.cross_entropy(model(support.inputs), support.targets).backward()
            adam.step()
        for name, parameter in model.named_parameters():
            assert (start[name] - parameter - gradient[f"model.{name}"]).abs().max() < 1e-10
            square = adam.state[parameter]["exp_avg_sq"]
            assert torch.allclose(gradient[f"carried.square.model.{name}"], square, rtol=1e-10, atol=0)
            parameter.data.copy_(start[name])
        assert gradient["carried.count"] == adam.state[next(model.parameters())]["step"] == 3 * (task + 1)
        meta_params |= {name: gradient[name] for name in learner.carried_names}


def test_the_mean_of_what_tasks_end_with_is_carried_and_trained_runs_go_on_with_it(tmp_path: Path) -> None:
    tasks = hs.SinusoidTasks(shots=6, queries=2)

    def trained(folder: str, *stops: int) -> hs.Reptile:
        torch.manual_seed(0)
        fresh = hs.MLP(1, 1, (4,)).state_dict()
        for stop in stops:
            model = hs.MLP(1, 1, (4,))
            model.load_state_dict(fresh)
            learner = hs.Reptile(model, inner_lr=0.01, inner_steps=2, inner_batch=3, carry=True)
            hs.train(
                learner, tasks, meta_steps=stop, meta_batch=3, optimizer=lambda p: torch.optim.SGD(p, lr=0.5),
                run=hs.RunFolder(tmp_path / folder, {}), validation=hs.Validation(tasks, every=100, count=2),
            )  # fmt: skip
        return learner

    straight, stopped = trained("straight", 5), trained("stopped", 2, 5)
    assert straight.meta_params["carried.count"] == 10  # two inner steps in each of five meta-steps
    assert straight.meta_params["carried.square.model.head.bias"] > 0
    for name, value in straight.meta_params.items():
        assert torch.equal(value, stopped.meta_params[name]), name


def test_in_evaluation_the_batches_are_those_of_the_test() -> None:
    support = image_episodes().task(0).support
    learner = reptile(2, "MLP-none", inner_batch=2, test_inner_batch=4)
    as_in_training = reptile(2, "MLP-none", inner_batch=4)
    assert largest_difference(learner.eval().adapt(learner.meta_params, support),
                              as_in_training.adapt(as_in_training.meta_params, support)) == 0  # fmt: skip
    assert largest_difference(learner.train().adapt(learner.meta_params, support),
                              as_in_training.adapt(as_in_training.meta_params, support)) > 0  # fmt: skip


def test_an_outer_loop_of_ones_own_meets_gradients_alone_unless_it_asks_for_what_is_carried() -> None:
    assert hs.Reptile(hs.MLP()).carried_names == set()
    assert hs.Reptile(hs.MLP(), carry=True).carried_names


def test_a_rule_that_remembers_nothing_carries_nothing() -> None:
    assert reptile(2, inner_rule=hs.SGD, carry=True).carried_names == set()

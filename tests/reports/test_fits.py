"""The curves of a report are what the learner predicts, and are drawn only of what is a curve."""

from __future__ import annotations

import torch
from torch import nn

import headstart as hs
from headstart.problems.glyphs import Glyphs
from headstart.problems.sinusoid import Sinusoid
from headstart.reports.fits import fitted, is_curve


def test_the_curves_are_the_predictions_after_so_many_inner_steps() -> None:
    torch.manual_seed(0)
    learner = hs.MAML(hs.MLP(), inner_lr=0.01)
    episode = hs.SinusoidTasks(shots=5, queries=30).sample(1, torch.Generator().manual_seed(3)).task(0)
    task = fitted(learner, episode)
    inputs = torch.tensor(task.inputs)[:, None]
    assert len(inputs) == 100 and inputs.min() == min(episode.support.inputs.min(), episode.query.inputs.min())
    params = {name: value.detach() for name, value in learner.meta_params.items()}
    for step in range(11):
        if step in task.curves:
            torch.testing.assert_close(torch.tensor(task.curves[step])[:, None], learner.predict(params, inputs))
        params = {name: value.requires_grad_() for name, value in params.items()}
        loss = (learner.predict(params, episode.support.inputs) - episode.support.targets).square().mean()
        slopes = torch.autograd.grad(loss, list(params.values()))
        params = {name: (params[name] - 0.01 * g).detach() for name, g in zip(params, slopes, strict=True)}
    assert list(task.curves) == [0, 1, 5, 10]
    xs, ys = task.truth
    assert xs == sorted(xs) and {*zip(xs, ys, strict=True)} == {
        *zip(episode.query.inputs.flatten().tolist(), episode.query.targets.flatten().tolist(), strict=True)
    }
    assert task.support[0] == episode.support.inputs.flatten().tolist()


def test_what_is_a_curve() -> None:
    def examples(inputs: tuple[int, ...], targets: tuple[int, ...] = (1,)) -> hs.Episodes:
        part = hs.Examples(torch.zeros(2, 5, *inputs), torch.zeros(2, 5, *targets))
        return hs.Episodes(part, part)

    assert is_curve(Sinusoid(), examples((1,)))
    assert not is_curve(Sinusoid(), examples((2,)))
    assert not is_curve(Sinusoid(), examples((1,), (3,)))
    assert not is_curve(Glyphs(), examples((1,))), "classes are no curve"


def test_dropout_is_off() -> None:
    learner = hs.MAML(nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1)), inner_lr=0.01)
    episode = hs.SinusoidTasks(shots=5, queries=5).sample(1, torch.Generator()).task(0)
    assert fitted(learner, episode).curves == fitted(learner, episode).curves and learner.training

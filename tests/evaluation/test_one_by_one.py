"""Inductive predictions in every form, against one query example after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from headstart.engine.compilation import Programs
from headstart.evaluation import one_by_one
from headstart.evaluation.one_by_one import OneByOne, sees_only_itself
from headstart.learners.base import Learner
from methods import MODELS, WAYS, image_episodes


def learner_of(model: nn.Module) -> Learner:
    torch.manual_seed(0)
    return hs.MAML(model, inner_lr=0.3, inner_steps=2).double().eval()


def by_hand(learner: Learner, task_params: dict[str, Tensor], episode: hs.Episodes) -> Tensor:
    """One query example after the other, each in a batch of the support set and itself."""
    batches = [torch.cat([episode.support.inputs, example[None]]) for example in episode.query.inputs]
    return torch.stack([learner.predict(task_params, batch)[-1] for batch in batches])


@pytest.mark.parametrize("queries", [1, 3, 7])  # 3, 9 and 21 examples: less than go at once, and parts that overlap
@pytest.mark.parametrize("form", ["vmap", "loop", "compiled"])
@torch.no_grad()
def test_every_form_predicts_as_one_after_the_other(form: str, queries: int, only_traced: None) -> None:
    learner, episode = learner_of(MODELS["Conv4-batch"]()), image_episodes(1, queries=queries).task(0)
    task_params = learner.adapt(learner.meta_params, episode.support)
    programs = Programs(convolutions=nullcontext) if form == "compiled" else None
    predict = OneByOne(learner, "loop" if form == "loop" else "auto", programs)
    found = predict(task_params, episode.support, episode.query)
    assert isinstance(found, Tensor) and found.shape == (WAYS * queries, WAYS)
    torch.testing.assert_close(found, by_hand(learner, task_params, episode), rtol=0, atol=1e-10)
    if programs:
        assert len(programs.programs) == 1 and not programs.failed


@torch.no_grad()
def test_a_program_predicts_each_task_by_its_own_parameters_and_support_set(only_traced: None) -> None:
    learner, episodes = learner_of(MODELS["Conv4-batch"]()), image_episodes(3)
    predict = OneByOne(learner, "auto", Programs(convolutions=nullcontext))
    for episode in map(episodes.task, range(3)):
        task_params = learner.adapt(learner.meta_params, episode.support)
        found = predict(task_params, episode.support, episode.query)
        torch.testing.assert_close(found, by_hand(learner, task_params, episode), rtol=0, atol=1e-10)


def test_what_pays_is_compiled_and_evaluates_the_same(only_traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, tasks = learner_of(hs.MLP(norm="batch")).float(), hs.SinusoidTasks(shots=3, queries=4)
    eager = hs.evaluate(learner, tasks, count=3, transductive=False)
    made: list[Programs] = []
    monkeypatch.setattr(one_by_one, "Programs", lambda **settings: made.append(Programs(**settings)) or made[-1])
    monkeypatch.setattr(one_by_one, "SECONDS_TO_COMPILE", 0)
    compiled = hs.evaluate(learner, tasks, count=3, transductive=False)
    assert len(made) == 1 and len(made[0].programs) == 1
    torch.testing.assert_close(compiled.scores, eager.scores, rtol=1e-5, atol=0)
    hs.evaluate(learner, tasks, count=3, transductive=False, execution="loop")
    assert len(made) == 1


class OfAll(nn.Module):
    """Something of all examples of the batch is part of each prediction."""

    def __init__(self, mixed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.head, self.mixed = nn.Linear(64, WAYS), mixed

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.flatten(1)
        logits: Tensor = self.head(flat + self.mixed(flat))
        return logits


def refuses(flat: Tensor) -> Tensor:
    if flat.isnan().any():
        raise ValueError("no numbers")
    return flat


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda flat: flat.mean(0),
    "mean times nothing": lambda flat: 0 * flat.mean(0),  # as a mixture that is only to be learned
    "the one before": lambda flat: torch.cat([flat[:1], flat[:-1]]),
    "the first": lambda flat: flat[:1],
    "the last": lambda flat: flat[-1:],
    "attention": lambda flat: (flat @ flat.T).softmax(1) @ flat,
    "random": torch.rand_like,
    "refuses NaN": refuses,
    "its place": lambda flat: torch.arange(len(flat), dtype=flat.dtype)[:, None],
    "how many": lambda flat: torch.tensor(1.0 / len(flat), dtype=flat.dtype),
}


@pytest.mark.parametrize("mixed", MIXING)
def test_what_depends_on_its_batch_is_seen(mixed: str) -> None:
    learner = learner_of(OfAll(MIXING[mixed]))
    assert not sees_only_itself(learner, learner.meta_params, image_episodes(1))


@pytest.mark.parametrize("model", MODELS)
def test_of_our_models_those_with_batch_norm_depend_on_their_batch(model: str) -> None:
    learner = learner_of(MODELS[model]())
    episodes = image_episodes(1, size={"Conv4-max_pool": 16, "ResNet12": 16}.get(model, 8))
    normalizes = any(isinstance(layer, hs.models.normalization.BatchNorm) for layer in learner.modules())
    assert sees_only_itself(learner, learner.meta_params, episodes) != normalizes


def test_finding_it_out_leaves_the_model_as_it_is() -> None:
    class Remembers(nn.Module):
        mean: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, WAYS)
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, inputs: Tensor) -> Tensor:
            self.mean.mul_(0.9).add_(inputs.mean(), alpha=0.1)
            logits: Tensor = self.head(inputs.flatten(1))
            return logits

    learner = learner_of(Remembers())
    before = {name: value.clone() for name, value in learner.named_buffers()}
    sees_only_itself(learner, learner.meta_params, image_episodes(1))
    torch.testing.assert_close(dict(learner.named_buffers()), before, rtol=0, atol=0)


def test_finding_it_out_draws_no_random_number() -> None:
    learner = learner_of(OfAll(MIXING["random"]))
    before = torch.get_rng_state()
    sees_only_itself(learner, learner.meta_params, image_episodes(1))
    assert torch.get_rng_state().equal(before)


def test_whole_numbers_are_taken_one_by_one() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Embedding(9, WAYS)

        def forward(self, inputs: Tensor) -> Tensor:
            rows: Tensor = self.rows(inputs)
            return rows

    examples = hs.Examples(torch.arange(4)[None], torch.arange(4)[None] % WAYS)
    learner = learner_of(Table())
    assert not sees_only_itself(learner, learner.meta_params, hs.Episodes(examples, examples))


def test_what_sees_only_itself_is_predicted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    predict = OneByOne.__call__
    monkeypatch.setattr(OneByOne, "__call__", lambda *arguments: asked.append(True) or predict(*arguments))
    tasks, learner = hs.SinusoidTasks(shots=3, queries=4), hs.MAML(hs.MLP())
    modes = [hs.evaluate(learner, tasks, count=3, transductive=mode) for mode in (True, False)]
    assert modes[0].scores.equal(modes[1].scores) and not modes[1].transductive
    assert len(asked) == 1  # to find it out
    hs.evaluate(hs.MAML(hs.MLP(norm="batch")), tasks, count=3, transductive=False)
    assert len(asked) > 4

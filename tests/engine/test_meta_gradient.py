"""Every learner x every model x every form of execution gives the same meta-gradient."""

from __future__ import annotations

import pytest
import torch

import headstart as hs
from headstart.engine.planning import LARGEST_TENSOR, tasks_per_chunk
from headstart.engine.work import largest_tensor
from methods import EXECUTIONS, LEARNERS, MECHANISMS, MODELS, PAIRS, SIDES, built, image_episodes, largest_difference


@pytest.mark.parametrize(("learner", "model"), PAIRS)
def test_every_execution_gives_the_same(learner: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = built(learner, model)
    episodes = image_episodes(tasks=3, size=SIDES.get(model, 8))
    oracle, expected = subject.meta_gradient(dict(subject.named_parameters()), episodes)
    assert oracle.keys() == subject.updated_names | subject.carried_names
    assert max(value.abs().max() for value in oracle.values()) > 1e-4
    largest = largest_tensor(subject, subject.meta_params, episodes)
    monkeypatch.setattr("headstart.engine.planning.LARGEST_TENSOR", 2 * largest)
    assert tasks_per_chunk(subject, subject.meta_params, episodes) == 2
    for settings in EXECUTIONS.values():
        gradient, metrics = hs.MetaGradient(subject, **settings)(dict(subject.named_parameters()), episodes)
        assert largest_difference(gradient, oracle) < 1e-10, settings
        assert largest_difference(metrics, expected) < 1e-6, settings


def test_every_learner_and_every_model_is_in_every_run() -> None:
    sampled = [pair.values for pair in PAIRS if not pair.marks]
    assert {learner for learner, _ in sampled} == LEARNERS.keys() >= MECHANISMS.keys()
    assert {model for _, model in sampled} == MODELS.keys()


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_mean_over_tasks_is_the_mean_of_single_tasks(learner: str) -> None:
    subject = built(learner, "MLP-none")
    episodes = image_episodes(tasks=3)
    gradient, _ = subject.meta_gradient(subject.meta_params, episodes)
    singles = [subject.task_gradient(subject.meta_params, episodes.task(task))[0] for task in range(3)]
    mean = {name: sum(single[name] for single in singles) / 3 for name in singles[0]}
    assert largest_difference(gradient, mean) < 1e-12


def test_frozen_parameters_get_no_gradient_and_unused_ones_zeros() -> None:
    subject = built("MAML", "user")
    gradient, _ = subject.meta_gradient(subject.meta_params, image_episodes())
    assert "model.scale" not in gradient
    assert gradient["model.unused"].eq(0).all()
    assert gradient["model.body.0.weight"].ne(0).any()
    assert gradient["model.body.1.weight"].ne(0).any()


def test_the_result_carries_no_graph() -> None:
    subject = built("MAML", "MLP-none")
    for execution in ("loop", "vmap", "chunks"):
        gradient, metrics = hs.MetaGradient(subject, execution)(dict(subject.named_parameters()), image_episodes())
        assert not any(value.requires_grad for value in (*gradient.values(), *metrics.values()))


def test_metrics_are_loss_and_accuracy_of_the_query_set() -> None:
    subject = built("MAML", "MLP-none")
    episodes = image_episodes(tasks=2)
    _, metrics = subject.meta_gradient(subject.meta_params, episodes)
    losses, hits = [], []
    for task in range(2):
        support, query = episodes.task(task)
        logits = subject.predict(subject.adapt(subject.meta_params, support), query.inputs)
        losses.append(torch.nn.functional.cross_entropy(logits, query.targets))
        hits.append((logits.argmax(1) == query.targets).double().mean())
    assert metrics["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), abs=1e-12)
    assert metrics["accuracy"].item() == pytest.approx(torch.stack(hits).mean().item(), abs=1e-6)


def test_chunks_stay_below_the_largest_tensor_that_pays() -> None:
    learner = hs.MAML(hs.Conv4(ways=5))
    examples = hs.Examples(torch.zeros(32, 20, 1, 28, 28), torch.zeros(32, 20, dtype=torch.int64))
    episodes = hs.Episodes(examples, examples)
    largest = largest_tensor(learner, learner.meta_params, episodes)
    assert largest == 20 * 64 * 14 * 14 * 4  # the first feature maps, in float32
    chunk = tasks_per_chunk(learner, learner.meta_params, episodes)
    assert chunk * largest <= LARGEST_TENSOR < (chunk + 1) * largest


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"execution": "fast"}, "'fast'"),
        ({"execution": "chunks", "chunk_size": 0}, "chunk_size=0"),
        ({"execution": "vmap", "chunk_size": 2}, "chunk_size=2"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(hs.BadInputError, match=named):
        hs.MetaGradient(built("MAML", "MLP-none"), **settings)


def test_the_call_of_the_design_page(only_traced: None) -> None:
    learner = hs.MAML(hs.Conv4(ways=5), inner_lr=0.4, inner_steps=1, order=2)
    meta_params = dict(learner.named_parameters())
    target = torch.arange(5).repeat(2, 1)
    episodes = hs.Episodes(*(hs.Examples(torch.rand(2, 5, 1, 28, 28), target) for _ in range(2)))
    gradient, _ = learner.meta_gradient(meta_params, episodes)
    run = hs.MetaGradient(learner, execution="auto", meta_steps=60_000)
    again, _ = run(meta_params, episodes)
    assert list(again) == list(gradient) == list(meta_params)
    assert [name.removeprefix("model.") for name in again] == [name for name, _ in hs.Conv4(5).named_parameters()]


def test_chunks_are_chosen_anew_for_every_shape_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = built("MAML", "MLP-none")
    monkeypatch.setattr(
        "headstart.engine.planning.LARGEST_TENSOR",
        3 * largest_tensor(subject, subject.meta_params, image_episodes(tasks=1)),
    )
    seen: list[int] = []
    honest = subject.meta_gradient
    monkeypatch.setattr(
        subject, "meta_gradient", lambda params, chunk: seen.append(len(chunk.query.targets)) or honest(params, chunk)
    )
    run = hs.MetaGradient(subject)
    for tasks in (2, 7, 2):
        run(subject.meta_params, image_episodes(tasks=tasks))
    assert seen == [2, 3, 3, 1, 2]


def test_an_empty_batch_is_refused() -> None:
    subject = built("MAML", "MLP-none")
    for execution in ("loop", "vmap", "chunks", "auto"):
        with pytest.raises(hs.BadInputError, match="empty"):
            hs.MetaGradient(subject, execution)(subject.meta_params, image_episodes(tasks=0))


def test_more_classes_than_outputs_are_refused() -> None:
    episodes = image_episodes()
    too_many = hs.Episodes(episodes.support, hs.Examples(episodes.query.inputs, episodes.query.targets + 1))
    subject = built("MAML", "MLP-none")
    with pytest.raises(hs.BadInputError, match="3 outputs does not fit tasks with 4 classes"):
        hs.MetaGradient(subject)(subject.meta_params, too_many)

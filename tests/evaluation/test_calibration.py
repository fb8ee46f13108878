"""What a learner says of itself is as often true as it says: on scores whose truth is known, and on glyphs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import headstart as hs
from headstart.evaluation.calibration import Calibration, calibrate, observed
from headstart.evaluation.confidence import Confidence, ScoredTask, calibration_error, confidence_in
from headstart.evaluation.expected_score import (
    SupportTask,
    held_out_scores,
    margin,
    score_models,
    support_signs,
)
from headstart.evaluation.tasks_of_many_sizes import tasks_of_many_sizes


def scored_tasks(count: int, heat: float, seed: int = 0) -> Iterator[ScoredTask]:
    """Scores that are ``heat`` times what the targets were drawn by, with other energies for other shots."""
    generator = torch.Generator().manual_seed(seed)
    for index in range(count):
        ways, shots = 2 + index % 4, 1 + index % 3
        scores = 2 * torch.randn(200, ways, generator=generator, dtype=torch.float64)
        targets = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
        yield ScoredTask(torch.full((ways,), shots), heat * scores + shots, targets)


def test_probabilities_are_those_that_the_targets_were_drawn_by() -> None:
    confidence = confidence_in(scored_tasks(40, heat=3.0))
    for task in scored_tasks(12, heat=3.0, seed=1):
        expected = ((task.scores - task.shots[0]) / 3).softmax(1)
        assert (confidence.probabilities(task.scores, task.shots) - expected).abs().max() < 0.05


def test_the_calibration_error_falls_to_that_of_chance() -> None:
    confidence, tasks = confidence_in(scored_tasks(40, heat=5.0)), list(scored_tasks(40, heat=5.0, seed=1))
    binary = [task for task in tasks if len(task.shots) == 2]
    targets = torch.cat([task.targets for task in binary])
    before = calibration_error(torch.cat([task.scores.softmax(1) for task in binary]), targets)
    after = calibration_error(torch.cat([confidence.probabilities(t.scores, t.shots) for t in binary]), targets)
    assert before > 0.1
    assert after < 0.03


def test_as_many_queries_of_the_classes_are_rejected_as_was_asked_for() -> None:
    confidence = confidence_in(scored_tasks(40, heat=1.0))
    shares = torch.cat([confidence.plausibility(t.scores, t.shots) for t in scored_tasks(40, heat=1.0, seed=1)])
    for rejected in (0.01, 0.05, 0.5):
        assert abs((shares < rejected).double().mean() - rejected) < 0.015


def test_a_query_far_from_all_classes_is_not_plausible() -> None:
    confidence = confidence_in(scored_tasks(40, heat=1.0))
    assert confidence.plausibility(torch.full((3, 4), -50.0), torch.ones(4)).max() < 0.01


def test_the_calibration_error_is_that_of_a_hand_written_sum() -> None:
    sure, right = torch.tensor([0.55, 0.58, 0.92, 0.98]), torch.tensor([1, 0, 1, 1])
    probabilities = torch.stack([1 - sure, sure], 1)
    by_hand = (abs(0.55 + 0.58 - 1) + abs(0.92 + 0.98 - 2)) / 4  # two bins of ten
    assert calibration_error(probabilities, right, bins=10) == pytest.approx(by_hand)


def test_an_interval_holds_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(0)

    def supports(count: int) -> list[SupportTask]:
        made = []
        for index in range(count):
            shots = torch.tensor([[1, 1], [1, 2], [2, 2]][index % 3])
            signs = torch.randn(5 if index % 3 == 0 else 7, generator=generator, dtype=torch.float64)
            odds = 1.5 + signs[:3].sum() + 0.5 * torch.randn((), generator=generator, dtype=torch.float64)
            right = int((torch.rand(500, generator=generator) < odds.sigmoid()).sum())
            made.append(SupportTask(shots, signs, right, 500))
        return made

    models, held = score_models(supports(600)), []
    for task in supports(600):
        interval = models.of(task.shots)(task.signs, task.queries)
        held.append(interval.low <= task.right / task.queries <= interval.high)
        assert interval.low <= interval.value <= interval.high
    assert 0.92 < sum(held) / len(held) < 0.98


def test_too_few_tasks_for_an_interval_are_refused() -> None:
    with pytest.raises(hs.BadInputError, match="3 tasks of one kind are too few"):
        score_models([SupportTask(torch.ones(2), torch.ones(5, dtype=torch.float64), 1, 2)] * 3)


def test_the_margin_is_the_own_class_before_all_others_together() -> None:
    scores, targets = torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0])
    assert margin(scores, targets).sinh().item() == pytest.approx(3 - torch.tensor([1.0, 2.0]).logsumexp(0).item())


@pytest.fixture(scope="module")
def glyphs() -> hs.ImageClasses:
    return hs.draw_glyphs(100)


@pytest.fixture(scope="module")
def learner() -> hs.Learner:
    return hs.load("glyphs")


def test_tasks_of_many_sizes_are_the_same_every_time(glyphs: hs.ImageClasses, learner: hs.Learner) -> None:
    tasks = hs.ClassificationTasks(glyphs, ways=5, shots=1, queries=5)
    first, again = (list(tasks_of_many_sizes(learner, tasks, 12, seed=0)) for _ in range(2))
    assert all(torch.equal(a.query.inputs, b.query.inputs) for a, b in zip(first, again, strict=True))
    assert len({len(task.support.targets.unique()) for task in first}) > 3
    fixed = hs.MAML(hs.Conv4(ways=5))
    assert {len(task.support.targets.unique()) for task in tasks_of_many_sizes(fixed, tasks, 12, seed=0)} == {2, 3, 5}


def test_every_support_example_is_held_out_once_and_never_seen(glyphs: hs.ImageClasses) -> None:
    support = hs.ClassificationTasks(glyphs, ways=3, shots=4, queries=1).sample(1, torch.Generator()).task(0).support

    class Seen(hs.ProtoNet):
        shown: list[Tensor]

        def adapt(self, meta_params: dict[str, Tensor], support: hs.Examples) -> dict[str, Tensor]:
            shown.append(support.inputs)
            return super().adapt(meta_params, support)

    shown: list[Tensor] = []
    scores, targets = held_out_scores(Seen(hs.Conv4(ways=3)), support)
    assert [len(inputs) for inputs in shown] == [9] * 4
    assert len(scores) == len(targets) == 12
    assert targets.bincount().tolist() == [4, 4, 4]
    absent = [[not (one == inputs).flatten(1).all(1).any() for inputs in shown] for one in support.inputs]
    assert all(sum(row) == 1 for row in absent)


@pytest.mark.parametrize("single", [0, 2])
def test_a_class_with_one_example_stays_while_others_are_held_out(
    single: int, glyphs: hs.ImageClasses, learner: hs.Learner
) -> None:
    support = hs.ClassificationTasks(glyphs, ways=3, shots=3, queries=1).sample(1, torch.Generator()).task(0).support
    kept = (support.targets != single) | ((support.targets == single).cumsum(0) == 1)
    support = hs.Examples(support.inputs[kept], support.targets[kept])
    assert len(support_signs(learner, support)) == 7
    scores, targets = held_out_scores(learner, support)
    expected = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert sorted(targets.tolist()) == [label for label in expected if label != single]
    assert scores.shape == (6, 3) and scores.isfinite().all()
    first = torch.tensor([support.targets.tolist().index(label) for label in range(3) if label != single]).sort()[0]
    rest = torch.ones(len(support.targets), dtype=torch.bool).index_fill(0, first, False)
    fitted = learner.fit(hs.Examples(support.inputs[rest], support.targets[rest]))
    torch.testing.assert_close(scores[:2], fitted(support.inputs[first]))


def test_one_shot_has_nothing_to_hold_out(glyphs: hs.ImageClasses, learner: hs.Learner) -> None:
    support = hs.ClassificationTasks(glyphs, ways=3, shots=1, queries=1).sample(1, torch.Generator()).task(0).support
    assert len(support_signs(learner, support)) == 5


def test_a_calibration_is_kept_as_json(glyphs: hs.ImageClasses) -> None:
    import json

    tasks = hs.ClassificationTasks(glyphs, ways=5, shots=1, queries=5)
    small = hs.ProtoNet(torch.nn.Flatten(), ways=5, head=None)
    calibration = calibrate(small, tasks, count=300)
    again = Calibration.from_record(json.loads(json.dumps(calibration.record())))
    assert again == calibration
    ((task,), (support,)) = observed(small, tasks, 1, seed=3)
    assert torch.equal(
        again.confidence.probabilities(task.scores, task.shots),
        calibration.confidence.probabilities(task.scores, task.shots),
    )
    assert support.queries == len(task.targets)


@pytest.mark.parametrize("record", [{}, {"confidence": 3}, {"confidence": {"temperature": ["x"]}, "scores": {}}])
def test_another_record_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(hs.BadInputError, match="calibrate the learner anew"):
        Calibration.from_record(record)


def test_confidence_of_one_size_alone_is_had_as_well() -> None:
    confidence = confidence_in([t for t in scored_tasks(40, heat=2.0) if len(t.shots) == 3])
    assert isinstance(confidence, Confidence)
    assert confidence.probabilities(torch.zeros(1, 3), torch.ones(3)).tolist() == [pytest.approx([1 / 3] * 3)]

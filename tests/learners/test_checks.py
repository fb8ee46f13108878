"""Bad examples end in one sentence, where their values are at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.learners.checks import check_classes

IMAGES = torch.rand(10, 1, 28, 28)
ANY_WAYS: dict[str, Callable[[nn.Module], hs.Learner]] = {
    "ProtoNet": hs.ProtoNet,
    "MatchingNet": hs.MatchingNet,
    "ProtoMAML": hs.ProtoMAML,
    "UnicornMAML": hs.UnicornMAML,
    "ClassifierPretraining": lambda model: hs.ClassifierPretraining(model, ways=5),
}


def adapt(learner: hs.Learner, inputs: Any, targets: Any) -> Any:
    return learner.adapt(learner.meta_params, hs.Examples(inputs, targets))


@pytest.mark.parametrize("learner", ANY_WAYS)
def test_forgotten_ways_are_named(learner: str) -> None:
    subject = ANY_WAYS[learner](hs.Conv4(ways=5))
    with pytest.raises(hs.BadInputError, match=r"0 to 4 in a task of 5 ways, and these from 0 to 9; .* ways to 10"):
        adapt(subject, IMAGES, torch.arange(10))
    subject.ways = 10  # type: ignore[attr-defined]
    adapt(subject, IMAGES, torch.arange(10))


@pytest.mark.parametrize("learner", ANY_WAYS)
def test_labels_that_do_not_begin_at_zero_are_named(learner: str) -> None:
    subject = ANY_WAYS[learner](hs.Conv4(ways=10))
    subject.ways = 10  # type: ignore[attr-defined]
    with pytest.raises(hs.BadInputError, match=r"these from 10 to 19; number them anew"):
        adapt(subject, IMAGES, torch.arange(10, 20))
    with pytest.raises(hs.BadInputError, match=r"these from -1 to 8; number them anew"):
        adapt(subject, IMAGES, torch.arange(-1, 9))


@pytest.mark.parametrize("learner", ANY_WAYS)
def test_a_class_without_a_support_example_is_named_where_the_head_is_made_of_them(learner: str) -> None:
    subject = ANY_WAYS[learner](hs.Conv4(ways=5))
    targets = torch.tensor([0, 1, 2, 4]).repeat_interleave(2)
    if learner in ("ProtoNet", "ProtoMAML"):
        with pytest.raises(hs.BadInputError, match="class 3 of 5 has no support example"):
            adapt(subject, IMAGES[:8], targets)
    else:
        assert all(value.isfinite().all() for value in adapt(subject, IMAGES[:8], targets).values())


def test_a_batch_of_tasks_in_which_one_lacks_a_class_is_refused() -> None:
    targets = torch.tensor([[0, 1, 2], [0, 2, 2]])
    with pytest.raises(hs.BadInputError, match="class 1 of 3"):
        check_classes(targets, 3, every=True)
    examples = hs.Examples(torch.rand(2, 3, 1, 28, 28), targets)
    learner = hs.ProtoNet(hs.Conv4(ways=3))
    with pytest.raises(hs.BadInputError, match="class 1 of 3"):
        hs.MetaGradient(learner)(learner.meta_params, hs.Episodes(examples, examples))


def test_values_are_not_looked_at_under_vmap() -> None:
    learner = hs.ProtoNet(hs.Conv4(ways=5))
    support = hs.Examples(IMAGES.expand(2, -1, -1, -1, -1), torch.arange(10).expand(2, -1))
    made = torch.vmap(learner.adapt, in_dims=(None, 0))(learner.meta_params, support)
    assert made["prototypes"].shape == (2, 5, 256)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((255 * IMAGES).to(torch.uint8), r"torch\.uint8 do not fit .* inputs\.to\(torch\.float32\) / 255"),
        (IMAGES.double(), r"torch\.float64 do not fit a model of torch\.float32"),
        (
            IMAGES[:, 0],
            r"\[10, 28, 28\] have no channel axis: .* takes \[10, 1, 28, 28\]; give inputs\[:, None\]",
        ),
    ],
)
def test_inputs_of_another_type_and_without_a_channel_axis_are_named(
    inputs: torch.Tensor, sentence: str, loop: bool
) -> None:
    learner, targets = hs.MAML(hs.Conv4(ways=5)), torch.arange(5).repeat(2)
    with pytest.raises(hs.BadInputError, match=sentence):
        if loop:
            adapt(learner, inputs, targets)
        else:
            support = hs.Examples(inputs.expand(2, *inputs.shape), targets.expand(2, -1))
            torch.vmap(learner.adapt, in_dims=(None, 0))(learner.meta_params, support)


def test_another_error_of_the_model_is_its_own() -> None:
    learner = hs.MAML(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        adapt(learner, IMAGES, torch.zeros(10, dtype=torch.int64))


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (torch.arange(10), r"Target \d is out of bounds.* outputs has targets 0 to 4"),
        (torch.arange(10).int(), r"of torch\.int64, not of torch\.int32; give targets\.long\(\)"),
        (["a", "b"] * 5, r"the targets hold a str, not a tensor; number the classes"),
    ],
)
def test_targets_that_fit_no_output_are_named(targets: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        adapt(hs.MAML(hs.Conv4(ways=5)), IMAGES, targets)


def test_arrays_are_no_tensors() -> None:
    with pytest.raises(hs.BadInputError, match=r"the inputs hold a ndarray, not a tensor; give torch\.as_tensor"):
        adapt(hs.MAML(hs.Conv4(ways=5)), IMAGES.numpy(), torch.arange(10))


def test_the_target_that_cross_entropy_leaves_out_is_no_class() -> None:
    learner = hs.ProtoNet(hs.Conv4(ways=5, norm="none"))
    padded = adapt(learner, IMAGES, torch.cat([torch.arange(5), torch.full((5,), -100)]))
    alone = adapt(learner, IMAGES[:5], torch.arange(5))
    assert (padded["prototypes"] - alone["prototypes"]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [(torch.arange(10, 20), "class 0 of 20 has no support example"), (["a"] * 10, "the targets hold a str")],
)
def test_fitting_names_what_adapting_names(targets: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.ProtoNet(hs.Conv4(ways=5)).fit(hs.Examples(IMAGES, targets))

"""What ``fit`` returns: the learner's own predictions with the support set's statistics, one query at a time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from methods import LEARNERS, PAIRS, SIDES, WAYS, built, image_episodes


def examples(shots: int = 2, ways: int = WAYS) -> hs.Examples:
    generator = torch.Generator().manual_seed(ways)
    inputs = torch.rand(ways * shots, 1, 8, 8, generator=generator, dtype=torch.float64)
    return hs.Examples(inputs, torch.arange(ways).repeat(shots))


PASSES_ITS_MODEL_TWICE = {"StructureSearch-weights", "StructureSearch", "T-NAS"}
"""The mixture that stands for a structure in the table of learners."""


@pytest.mark.parametrize(("learner", "model"), [p for p in PAIRS if p.values[0] not in PASSES_ITS_MODEL_TWICE])
def test_one_query_at_a_time_gives_what_many_give(learner: str, model: str) -> None:
    subject = built(learner, model)
    size = SIDES.get(model, 8)
    support, query = image_episodes(tasks=1, size=size).task(0)
    fitted = subject.fit(support)
    together, alone = fitted(query.inputs), torch.cat([fitted(one[None]) for one in query.inputs])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("learner", [learner for learner in LEARNERS if learner not in PASSES_ITS_MODEL_TWICE])
def test_on_the_support_set_it_is_the_learner_with_the_task_s_parameters(learner: str) -> None:
    subject, support = built(learner, "user"), examples()
    fitted = subject.fit(support)
    subject.eval()
    expected = subject.predict(subject.adapt(subject.meta_params, support), support.inputs)
    torch.testing.assert_close(fitted(support.inputs), expected, rtol=1e-10, atol=1e-10)


def test_batch_norm_goes_on_with_the_mean_and_variance_of_the_support_set() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Linear(2, 3)).double()
    learner = hs.MAML(model, inner_steps=0, adapt="all", inner_lr=0.1)
    support = hs.Examples(torch.tensor([[1.0, 10.0], [3.0, 30.0]], dtype=torch.float64), torch.tensor([0, 1]))
    normalized = torch.tensor([[(7 - 2) / (1 + 1e-5) ** 0.5, (7 - 20) / (100 + 1e-5) ** 0.5]], dtype=torch.float64)
    found = learner.fit(support)(torch.full((1, 2), 7.0, dtype=torch.float64))
    torch.testing.assert_close(found, model[1](normalized)[:, :2])


def test_the_learner_stays_as_it_is_and_can_be_thrown_away() -> None:
    learner = built("MAML", "user")
    before, training = copy.deepcopy(learner.state_dict()), learner.training
    fitted = learner.fit(examples())
    predicted = fitted(examples().inputs)
    assert learner.training == training
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.fill_(torch.nan)
    assert torch.equal(fitted(examples().inputs), predicted)
    assert not any(parameter.requires_grad for parameter in fitted.parameters())


def test_a_head_that_is_made_for_the_task_has_as_many_classes_as_the_support_set() -> None:
    learner = built("ProtoNet", "user")
    assert learner.fit(examples(ways=7))(examples().inputs).shape == (2 * WAYS, 7)
    assert learner.ways == WAYS


def test_a_fixed_head_scores_the_classes_that_were_shown() -> None:
    assert built("MAML", "user").fit(examples(ways=2))(examples().inputs).shape == (2 * WAYS, 2)


def test_a_structure_that_was_searched_is_fitted_as_well() -> None:
    learner = hs.StructureSearch(hs.SearchableConv4(WAYS, width=4, image_size=8), inner_lr=0.1, inner_steps=1).double()
    fitted, queries = learner.fit(examples()), examples(shots=1).inputs
    torch.testing.assert_close(fitted(queries), torch.cat([fitted(one[None]) for one in queries]))


def test_more_inner_steps_are_made_if_they_are_asked_for() -> None:
    learner, support = built("MAML", "user"), examples()
    longer = copy.deepcopy(learner)
    longer.inner_steps = 5
    assert torch.equal(learner.fit(support, inner_steps=5)(support.inputs), longer.fit(support)(support.inputs))
    assert not torch.equal(learner.fit(support, inner_steps=5)(support.inputs), learner.fit(support)(support.inputs))


def test_regression_has_all_its_outputs() -> None:
    learner = hs.MAML(hs.MLP(1, 3, (8,)), inner_lr=0.01)
    fitted = learner.fit(hs.Examples(torch.rand(4, 1), torch.rand(4, 3)))
    assert fitted(torch.rand(5, 1)).shape == (5, 3)


def test_it_is_a_module_whose_state_can_be_kept() -> None:
    learner = built("UnicornMAML", "user")
    fitted, other = (learner.fit(examples(ways=4, shots=shots)) for shots in (1, 3))
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(examples().inputs), fitted(examples().inputs))
    assert fitted.float()(examples().inputs.float()).dtype == torch.float32


class Twice(nn.Module):
    """Uses one batch norm two times."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(2), nn.Linear(2, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.norm(inputs).tanh()))
        return logits


def test_a_batch_norm_that_is_used_twice_is_refused_by_name() -> None:
    with pytest.raises(hs.BadInputError, match=r"the batch norm 'model\.norm' is used twice .* a layer of its own"):
        hs.MAML(Twice()).fit(hs.Examples(torch.rand(3, 2), torch.arange(3)))

"""A frozen backbone: its features once or in the model give the same predictions, and no example sees another."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from methods import LEARNERS, WAYS

FEATURES = 4 * 3 * 3
SEEING_INPUTS = ("CAVIA", "CAVIA-first-order", "StructureSearch-weights", "StructureSearch", "T-NAS")
"""Those that these tests make with a model that changes its inputs first, which are images or features."""


class Counting(nn.Module):
    """A user's backbone, trained elsewhere: native batch norm with running statistics, dropout, and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.dropout = nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Dropout(0.5)
        nn.init.normal_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.2, 2.0)
        self.fc = nn.Linear(FEATURES, 2)
        self.slope = 1.0
        self.seen: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(len(inputs))
        logits: Tensor = self.fc(self.dropout(self.norm(self.conv(inputs)).mul(self.slope).tanh()).flatten(1))
        return logits


def frozen() -> hs.Frozen:
    torch.manual_seed(0)
    return hs.Frozen(Counting(), head="fc")


def seen(backbone: hs.Frozen) -> list[int]:
    """How many examples went through it, each time since the last."""
    counts = list(backbone.backbone.seen)  # type: ignore[union-attr,arg-type]
    backbone.backbone.seen.clear()  # type: ignore[union-attr,operator]
    return counts


def images(classes: int = 8, examples: int = 10) -> hs.ImageClasses:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (classes, examples, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return hs.ImageClasses(pixels, tuple("abcdefgh"[:classes]))


def test_it_stays_in_evaluation_mode_and_is_not_trained() -> None:
    model = nn.Sequential(frozen(), hs.MLP(FEATURES, WAYS)).train()
    inputs = torch.rand(5, 1, 8, 8)
    assert not any(module.training for module in model[0].modules())
    assert not any(weight.requires_grad for weight in model[0].parameters())
    before = {name: value.clone() for name, value in model[0].state_dict().items()}
    assert model[0](inputs).equal(model[0](inputs))  # without dropout
    assert (model[0](inputs[:1]) - model[0](inputs)[:1]).abs().max() < 1e-6
    assert all(value.equal(before[name]) for name, value in model[0].state_dict().items())


def test_the_users_backbone_is_left_as_it_is() -> None:
    backbone = Counting()
    hs.Frozen(backbone, head="fc")
    assert backbone.training and all(weight.requires_grad for weight in backbone.parameters())
    assert isinstance(backbone.fc, nn.Linear)


@pytest.mark.parametrize("learner", [name for name in LEARNERS if name not in SEEING_INPUTS])
def test_learners_over_features_are_learners_over_images(learner: str, tmp_path: Path) -> None:
    """The same meta-gradient and the same predictions, whether features are computed once or in the model."""
    backbone, data = frozen().double(), images().labelled
    data = data._replace(inputs=data.inputs.double() / 255)

    def outcome(first: nn.Module, data: hs.LabelledExamples) -> tuple[list[Tensor], Tensor]:
        torch.manual_seed(2)
        rest = hs.MLP(FEATURES, WAYS, (5,), activation=torch.tanh)
        model = nn.Sequential()
        model.body, model.head, rest.head = nn.Sequential(first, rest), rest.head, nn.Identity()
        subject = LEARNERS[learner](model).double()
        assert not any("backbone" in name for name in subject.trained_names)
        tasks = hs.ClassificationTasks(data, ways=WAYS, shots=2, queries=3)
        episodes = tasks.sample(3, torch.Generator().manual_seed(4))
        gradient, _ = subject.meta_gradient(subject.meta_params, episodes)
        task_params = subject.adapt(subject.meta_params, episodes.task(0).support)
        return [*gradient.values()], subject.predict(task_params, episodes.task(0).query.inputs)

    left, predictions = outcome(backbone, data)
    right, expected = outcome(nn.Identity(), backbone.features(data, cache=tmp_path))
    assert len(left) == len(right) > 0
    assert max((value - other).abs().max() for value, other in zip(left, right, strict=True)) < 1e-10
    assert (predictions - expected).abs().max() < 1e-10
    assert predictions.std() > 1e-3


def test_features_are_computed_once(tmp_path: Path) -> None:
    backbone, data = frozen(), images()
    first = backbone.features(data, cache=tmp_path)
    assert sum(seen(backbone)) == 80
    again = backbone.features(data, cache=tmp_path)
    assert seen(backbone) == [1]  # which tells whether it still computes the same
    assert again.inputs.equal(first.inputs)
    assert again.targets.equal(data.labelled.targets)
    assert again.names == data.names
    assert (first.inputs - backbone(data.labelled.inputs / 255)).abs().max() < 1e-6
    part = backbone.features(data.labelled.choose(["c", "a"]), cache=tmp_path)
    assert seen(backbone)[-1] == 1  # of the parts of a data set, all are there
    assert part.names == ("c", "a")
    assert part.inputs[part.targets == 1].equal(first.inputs[:10])


def test_an_altered_weight_statistic_image_or_computation_computes_anew(tmp_path: Path) -> None:
    def count(backbone: hs.Frozen, data: hs.ImageClasses) -> int:
        backbone.features(data, cache=tmp_path)
        return sum(seen(backbone))

    assert count(frozen(), images()) == 80
    assert count(frozen(), images()) == 1
    weight, statistic, computation, image = frozen(), frozen(), frozen(), images()
    with torch.no_grad():
        weight.backbone.conv.bias[0] += 1e-3  # type: ignore[union-attr,index,operator]
        statistic.backbone.norm.running_var[1] *= 1.001  # type: ignore[union-attr,index,operator]
        image.images[3, 2, 0, 5, 5] += 1
    computation.backbone.slope = 1.5  # type: ignore[union-attr,assignment]
    assert count(weight, images()) == count(statistic, images()) == count(frozen(), image) == 80
    assert count(computation, images()) == 1 + 80


def test_a_damaged_file_is_made_anew_and_one_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone, data = frozen(), images()
    expected = backbone.features(data, cache=tmp_path).inputs
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-7])
    assert backbone.features(data, cache=tmp_path).inputs.equal(expected)
    (tmp_path / "no-folder").write_text("")
    with caplog.at_level(logging.WARNING, logger="headstart"):
        assert backbone.features(data, cache=tmp_path / "no-folder").inputs.equal(expected)
    assert "the features are not kept for the next time" in caplog.text


def test_a_norm_of_the_batch_at_hand_is_refused_or_measured() -> None:
    torch.manual_seed(0)
    net, inputs = hs.ResNet12(5, channels=1, widths=(2, 3, 4, 5)), torch.rand(6, 1, 32, 32)
    with pytest.raises(hs.BadInputError, match=r"'blocks\.0\.convs\.0\.1' of the backbone normalizes by the batch"):
        hs.Frozen(net, head="head")
    measured = hs.Frozen(net, statistics=inputs)
    assert (measured(inputs) - net(inputs)).abs().max() < 1e-4
    assert (measured(inputs[:1]) - net(inputs)[:1]).abs().max() < 1e-4
    assert (net(inputs[:1]) - net(inputs)[:1]).abs().max() > 1e-2
    with pytest.raises(hs.BadInputError, match="'1' of the backbone"):
        hs.Frozen(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, track_running_stats=False)))


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(hs.BadInputError, match="no module 'head'; name its last layer"):
        hs.Frozen(Counting(), head="head")
    broken = frozen()
    nn.init.constant_(broken.backbone.conv.bias, float("nan"))  # type: ignore[union-attr,arg-type]
    with pytest.raises(hs.BadInputError, match="features that are not finite"):
        broken.features(images(), cache=tmp_path)
    assert not list(tmp_path.rglob("*"))

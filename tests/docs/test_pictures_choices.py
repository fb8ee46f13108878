import json

import pytest
import torch
from matplotlib.figure import Figure
from pictures import choices, valleys

import headstart as hs
from headstart.reports.colours import METHOD_STYLES


def learner(rule):
    return hs.MAML(torch.nn.Linear(2, 1, bias=False, dtype=torch.float64), inner_lr=0.1, inner_rule=rule)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_valley_is_the_half_square_of_its_curvature():
    task = valleys.Valleys().sample(1, torch.Generator().manual_seed(0)).task(0).support
    goal, points = valleys.goal_of(task), torch.randn(4, 2, dtype=torch.float64)
    away = points - goal
    expected = 0.5 * ((away @ valleys.curvature()) * away).sum(1)
    torch.testing.assert_close(valleys.task_loss(task, points), expected)
    values = torch.linalg.eigvalsh(valleys.curvature())
    torch.testing.assert_close(values, torch.tensor([valleys.FLAT, valleys.STEEP], dtype=torch.float64))


def test_the_step_in_a_valley_is_drawn_in_the_methods_colours():
    task = valleys.Valleys().sample(1, torch.Generator().manual_seed(0)).task(0).support
    learners = {"maml": learner(hs.SGD), "meta_sgd": learner(hs.MetaSGD)}
    left, right = valleys.draw_step(learners, task, {"maml": 0.5, "meta_sgd": 0.25}).axes
    colours = {patch.arrow_patch.get_edgecolor() for patch in left.texts}
    assert len(colours) == 2
    assert {bar.get_width() for bar in right.patches} == {0.5, 0.25}
    assert {label.get_text() for label in right.get_yticklabels()} == {"MAML", "Meta-SGD"}


def test_meta_parameters_are_counted_by_kind():
    assert choices.counts(learner(hs.SGD)) == {"initial weights": 2, "update rule": 0, "structure": 0}
    assert choices.counts(learner(hs.MetaSGD)) == {"initial weights": 2, "update rule": 2, "structure": 0}
    search = hs.StructureSearch(hs.SearchableConv4(5, [("conv3", "skip")] * 2, width=4))
    assert choices.counts(search)["structure"] == 4
    (axes,) = choices.draw_meta_params({"MAML": learner(hs.SGD), "Meta-SGD": learner(hs.MetaSGD)}).axes
    assert texts(axes) == ["2", "4"]


def test_shares_and_matrices():
    left, right = choices.draw_shares([[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.2, 0.8]]], ("ReLU", "sine")).axes
    assert [line.get_ydata()[-1] for line in right.lines] == pytest.approx([0.2, 0.8])
    assert left.get_xlabel() == "meta-step"
    (axes,) = choices.draw_matrices({"look": torch.tensor([[1.0, 0.25], [0.0, -2.0]])}).axes
    assert texts(axes) == ["1.00", "0.25", "0.00", "-2.00"]


def test_regions_of_prototypes():
    learner = hs.ProtoNet(torch.nn.Linear(3, 2), ways=3, head=None)
    support, query = (hs.Examples(torch.randn(6, 3), torch.arange(3).repeat(2)) for _ in range(2))
    (axes,) = choices.draw_regions(learner, hs.Episodes(support, query)).axes
    (regions,) = axes.images
    assert {*regions.get_array().flatten().tolist()} <= {0, 1, 2}
    assert sum(len(line.get_xdata()) for line in axes.lines) == 6 + 3


def test_images_are_counted_from_the_settings_of_a_record(tmp_path, monkeypatch):
    settings = {"train_shots": None, "shots": 1, "queries": 3, "train_ways": None, "ways": 5, "meta_batch": 2}
    record = {"problem": "omniglot", "ways": 5, "method": "maml", "meta_steps": 10, "settings": settings}
    record |= {"value": 0.9, "interval": 0.01}
    assert choices.images(record) == 10 * 2 * 5 * 4
    more = record | {"settings": settings | {"train_shots": 7, "train_ways": 60}}
    assert choices.images(more) == 10 * 2 * 60 * 10
    (tmp_path / "one.json").write_text(json.dumps(record))
    (tmp_path / "two.json").write_text(json.dumps(record | {"problem": "sinusoid"}))
    monkeypatch.setattr(choices, "RECORDS", tmp_path)
    assert choices.records(ways=5) == [record] and choices.records(ways=20) == []
    figure = choices.draw_records([record])
    assert isinstance(figure, Figure)
    assert figure.axes[0].texts[0].get_color() == METHOD_STYLES["maml"].colour


def test_the_committed_records_are_found():
    found = choices.records(ways=5, shots=1)
    assert {"maml", "fomaml", "proto_net"} <= {record["method"] for record in found}

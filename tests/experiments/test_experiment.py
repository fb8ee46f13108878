"""A run is evaluated on classes that it has not seen, those are the same for every run, and parts are made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import headstart as hs
from headstart.datasets.standard_sets import STANDARD_SETS
from headstart.errors import BadInputError
from headstart.experiments.experiment import Experiment
from headstart.experiments.settings import Settings, default_settings
from headstart.problems.glyphs import Glyphs
from headstart.problems.registry import PROBLEMS
from headstart.tasks.distribution import outputs_of

pytestmark = pytest.mark.usefixtures("glyphs_are_drawn_once")
TRAINED = default_settings().replace(glyph_classes=6, image_size=8)


def check_unseen(trained: Settings, evaluated: Settings) -> None:
    trained.chosen_problem.check_unseen(trained.problem, evaluated.problem)


def test_another_split_may_not_test_on_what_was_trained_on(tmp_path: Path) -> None:
    split = Glyphs().split(TRAINED.problem)
    leaking, clean = tmp_path / "leaking.json", tmp_path / "clean.json"
    for path, test in ((leaking, split.train[:2]), (clean, split.test[:2])):
        path.write_text(json.dumps({"train": split.train[2:4], "validation": split.train[4:], "test": test}))
    check_unseen(TRAINED, TRAINED.replace(split=str(clean)))
    with pytest.raises(BadInputError, match=r"^2 test classes"):
        check_unseen(TRAINED, TRAINED.replace(split=str(leaking)))


def test_omniglots_two_splits_overlap() -> None:
    trained = default_settings("omniglot")
    with pytest.raises(BadInputError, match="--split lake"):
        check_unseen(trained, trained.replace(split="lake"))


def test_test_glyphs_do_not_depend_on_how_many_there_are_to_train_on() -> None:
    few, many = (Experiment(TRAINED.replace(glyph_classes=count)).task_sets for count in (10, 60))
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    drawn = [sets.test.sample(3, generator) for sets, generator in zip((few, many), generators, strict=True)]
    assert drawn[0].query.inputs.equal(drawn[1].query.inputs)
    splits = [Glyphs().split(TRAINED.replace(glyph_classes=count).problem) for count in (10, 60)]
    assert splits[0].test == splits[1].test and splits[0].validation == splits[1].validation
    assert not set(splits[1].train) & {*splits[1].test, *splits[1].validation}
    assert [len(split.train) for split in splits] == [10, 60]


@pytest.mark.parametrize("ways", [1, 5])
@pytest.mark.parametrize("rotations", ["classes", "none"])
@pytest.mark.parametrize("method", ["maml", "structure_search", "t_nas", "classifier"])
def test_the_tasks_that_are_planned_with_have_the_shapes_of_those_that_are_trained_on(
    method: str, rotations: str, ways: int
) -> None:
    settings = default_settings("glyphs", method).replace(rotations=rotations, ways=ways, glyph_classes=30)
    experiment = Experiment(settings)
    blank, training = (
        tasks.sample(2, torch.Generator()) for tasks in (experiment.blank_tasks, experiment.task_sets.training)
    )
    assert [tensor.shape for part in blank for tensor in part] == [t.shape for part in training for t in part]
    assert outputs_of(experiment.blank_tasks) == outputs_of(experiment.task_sets.training)


@pytest.mark.parametrize(("classes", "half"), [(2, 4), (8, 16)])
def test_half_of_the_classes_must_do_for_the_search(classes: int, half: int) -> None:
    settings = default_settings("glyphs", "t_nas").replace(glyph_classes=classes, ways=half + 1)
    with pytest.raises(BadInputError, match=f"{half} classes cannot give {half + 1} ways; ask for fewer ways"):
        assert Experiment(settings).learner


def test_the_data_are_loaded_and_the_learner_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, honest = [], Glyphs.load
    monkeypatch.setattr(Glyphs, "load", lambda self, settings: loads.append(1) or honest(self, settings))
    experiment = Experiment(TRAINED.replace(glyph_classes=10, width=4))
    assert experiment.workers >= 1 and loads == [], "a run is planned before its data are there"
    assert experiment.engine.learner is experiment.learner
    assert experiment.task_sets is experiment.task_sets and loads == [1]


def test_any_positive_memory_is_some() -> None:
    assert Experiment(TRAINED.replace(width=4, memory=1e-12)).engine.choices.memory == 1


def test_evaluating_with_another_split_loads_the_data_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.cli import main as cli

    monkeypatch.chdir(tmp_path)
    size = "--image-size 8 --glyph-classes 10 --width 4 --meta-batch 2 --validation-tasks 2 --test-tasks 2"
    assert cli.main(["train", *size.split(), "--meta-steps", "1", "--test-queries", "2", "--out", "run"]) == 0
    split = Glyphs().split(TRAINED.replace(glyph_classes=10).problem)
    parts = {"train": split.train, "validation": split.validation, "test": split.test[:9]}
    Path("other.json").write_text(json.dumps(parts))
    loads, honest = [], Glyphs.load
    monkeypatch.setattr(Glyphs, "load", lambda self, settings: loads.append(1) or honest(self, settings))
    assert cli.main(["evaluate", "run", "--split", "other.json"]) == 0
    assert loads == [1] and Path("run/test-other.json").exists()


def own_data(root: Path) -> dict[str, Path]:
    """A folder and a table of twelve classes with two examples each."""
    for index in range(12):
        (root / "images" / str(index)).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (4, 4), index).save(root / "images" / str(index) / f"{number}.png")
    rows = [f"{number},{index},kind{index}" for index in range(12) for number in range(2)]
    (root / "table.csv").write_text("\n".join(["a,b,kind", *rows]))
    return {"folder": root / "images", "table": root / "table.csv"}


@pytest.mark.parametrize("problem", [name for name in PROBLEMS if name not in STANDARD_SETS])  # tested by themselves
def test_every_problem_keeps_its_contract(
    problem: str, omniglot_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = default_settings(problem)
    if hasattr(settings.problem, "path"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        settings = settings.replace(path=own_data(tmp_path)[problem], ways=2, shots=1, queries=1, test_queries=1)
    if hasattr(settings.problem, "data_root"):
        settings = settings.replace(data_root=omniglot_root)
    sets = settings.chosen_problem.task_sets(settings.problem, settings.task)
    blank = settings.chosen_problem.blank_tasks(settings.problem, settings.task)
    assert isinstance(sets, hs.TaskSets) and outputs_of(blank) == outputs_of(sets.training)
    for tasks in sets:
        assert len(tasks.sample(2, torch.Generator()).query.targets) == 2


def test_ink_and_turns_at_test_are_those_of_the_settings() -> None:
    settings = TRAINED.replace(glyph_classes=10)
    generator = torch.Generator().manual_seed(0)
    plain, inverted, turned = (
        Experiment(settings.replace(**given)).task_sets.test.sample(4, generator.manual_seed(0))
        for given in ({}, {"ink": 0}, {"test_rotations": "tasks"})
    )
    assert torch.allclose(inverted.query.inputs, 1 - plain.query.inputs)
    assert not torch.equal(turned.query.inputs, plain.query.inputs)


@pytest.mark.parametrize("method", ["proto_net", "proto_maml", "maml"])
def test_a_learner_may_be_trained_with_more_ways_than_it_is_tested_with(method: str) -> None:
    settings = default_settings("glyphs", method).replace(
        glyph_classes=20, image_size=8, width=4, ways=3, train_ways=7, meta_steps=2, meta_batch=2, validation_every=1,
        validation_tasks=2, test_tasks=2,
    )  # fmt: skip
    experiment = Experiment(settings)
    experiment.train(None)
    assert experiment.task_sets.training.sample(1, torch.Generator()).support.targets.max() == 6
    assert 0 <= experiment.test(experiment.learner).value <= 1

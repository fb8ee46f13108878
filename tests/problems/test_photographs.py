"""Standard data sets from a user's files, down to the tasks."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import headstart as hs
from headstart.datasets import standard_sets
from headstart.errors import BadInputError
from headstart.experiments.settings import default_settings
from headstart.problems.images import ImageSettings
from headstart.problems.photographs import SmallPhotographSettings
from headstart.problems.problem import ClassificationTask
from headstart.problems.registry import PROBLEMS
from headstart.tasks.distribution import outputs_of

TASK = ClassificationTask(ways=5, shots=1, queries=2, test_queries=2)


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-FS with three images a class, each in one colour: red says which class it is, green which image."""
    row = standard_sets.STANDARD_SETS["cifar_fs"]
    monkeypatch.setitem(standard_sets.STANDARD_SETS, "cifar_fs", row._replace(images=300))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for red, name in enumerate(sorted(sum(row.split, ()))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for green in range(3):
            pixels = np.zeros((2, 2, 3), dtype=np.uint8)
            pixels[..., 0], pixels[..., 1] = red, green
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{green}.png")
    return tmp_path / "data"


@pytest.mark.parametrize("name", standard_sets.STANDARD_SETS)
def test_every_standard_set_keeps_the_contract_of_a_problem(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = standard_sets.STANDARD_SETS[name]
    classes = sum(row.split, ())
    monkeypatch.setitem(standard_sets.STANDARD_SETS, name, row._replace(images=2 * len(classes), equal=True))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Image.new("L", (1, 1)).save(tmp_path / "pixel.png")
    for label in classes:
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "data" / label / f"{number}.png").write_bytes((tmp_path / "pixel.png").read_bytes())
    settings = default_settings(name).replace(
        path=tmp_path / "data", image_size=8, ways=3, shots=1, queries=1, test_queries=1
    )
    problem = settings.chosen_problem
    sets, blank = (of(settings.problem, settings.task) for of in (problem.task_sets, problem.blank_tasks))
    assert default_settings(name).problem.image_size == row.side
    assert [tasks.class_count for tasks in sets] == [*map(len, row.split)]
    assert outputs_of(blank) == outputs_of(sets.training) == 3
    for tasks in (blank, *sets):
        assert tasks.sample(2, torch.Generator()).query.inputs.shape == (2, 3, 3, 8, 8)


def test_tasks_are_of_the_standard_split_at_its_size_and_in_colour(photographs: Path) -> None:
    problem, settings = PROBLEMS["cifar_fs"], SmallPhotographSettings(path=photographs)
    split = problem.split(settings)
    names = sorted(sum(split, ()))
    for tasks, part in zip(problem.task_sets(settings, TASK), split, strict=True):
        query = tasks.sample(20, torch.Generator()).query.inputs
        assert query.shape == (20, 10, 3, 32, 32)
        red = (query[:, :, 0, 16, 16] * 255).round().long().flatten().tolist()
        assert {names[number] for number in red} <= {*part}
        assert len({*red}) > len(part) / 2
    blank = problem.blank_tasks(settings, TASK)
    assert blank.sample(1, torch.Generator()).support.inputs.shape == (1, 5, 3, 32, 32)


def test_the_run_says_where_the_images_are_and_the_split_is_no_choice(photographs: Path) -> None:
    settings = default_settings("cifar_fs").replace(path=photographs / ".." / "data")
    assert settings.chosen_problem.resolved(settings.problem).path == photographs
    with pytest.raises(BadInputError, match="--split goes with --problem"):
        settings.replace(split="random")


def test_a_run_of_something_else_is_evaluated_with_its_own_kind_of_image() -> None:
    like = PROBLEMS["cub"].settings_like(ImageSettings(image_size=28))
    assert (like.image_size, like.colour) == (28, "grey")
    like = PROBLEMS["cub"].settings_like(SmallPhotographSettings())
    assert (like.image_size, like.colour) == (32, "rgb")


def test_a_missing_path_and_an_incomplete_folder_are_named(photographs: Path) -> None:
    problem = PROBLEMS["cifar_fs"]
    with pytest.raises(BadInputError, match="--path is missing: name the folder with the images of CIFAR-FS"):
        problem.resolved(SmallPhotographSettings())
    with pytest.raises(BadInputError, match="no standard data set 'cifar'; choose one of mini_imagenet, tiered"):
        hs.load_standard_set("cifar", photographs)
    (photographs / "apple" / "2.png").unlink()
    with pytest.raises(BadInputError, match="is not CIFAR-FS: classes with another number of images: 1, 'apple' with"):
        problem.task_sets(SmallPhotographSettings(path=photographs), TASK)


def test_features_of_the_three_parts_are_computed_once_and_a_learner_trains_on_them(photographs: Path) -> None:
    torch.manual_seed(0)
    frozen, counts = hs.Frozen(hs.ResNet12(5, widths=(2, 3, 4, 5), norm="none"), head="head"), []
    frozen.register_forward_pre_hook(lambda _, arguments: counts.append(len(arguments[0])))
    task_sets = PROBLEMS["cifar_fs"].task_sets(SmallPhotographSettings(path=photographs), TASK)
    training, validation, test = (
        tasks.of(frozen.features(tasks.classes))  # type: ignore[attr-defined]
        for tasks in task_sets
    )
    assert sum(counts) == 300 + 2  # one more for each part that finds them
    assert [part.class_count for part in (training, validation, test)] == [64, 16, 20]
    learner = hs.ANIL(hs.MLP(5, 5, hidden=()), inner_lr=0.1, inner_steps=2)
    before = learner.model.head.weight.clone()  # type: ignore[union-attr,operator]
    hs.train(learner, training, meta_steps=2)
    assert not learner.model.head.weight.equal(before)  # type: ignore[union-attr,arg-type]
    images, features = (part.sample(2, torch.Generator().manual_seed(1)).query for part in (task_sets.test, test))
    assert images.targets.equal(features.targets)
    assert (frozen(images.inputs.flatten(0, 1)) - features.inputs.flatten(0, 1)).abs().max() < 1e-5


def test_the_tutorial_runs(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "photographs.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code
    text = code.group(1)
    assert len([line for line in text.splitlines() if line]) <= 15
    for large, small in {
        "mini_imagenet": "cifar_fs",
        "queries=10": "queries=2",
        "meta_steps=500": "meta_steps=2",
        "count=1000": "count=2",
    }.items():
        assert large in text
        text = text.replace(large, small)
    backbone = nn.Sequential(OrderedDict(body=hs.ResNet12(5, widths=(2, 3, 4, 5), norm="none"), fc=nn.Linear(5, 7)))
    exec(compile(text, "photographs.md", "exec"), {"path": photographs, "backbone": backbone})
    assert "2 tasks" in capsys.readouterr().out

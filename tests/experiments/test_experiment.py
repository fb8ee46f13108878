"""A run is evaluated on classes that it has not seen, and those are the same for every run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from headstart.datasets.image_classes import ImageClasses
from headstart.errors import BadInputError
from headstart.experiments.building import build_training_tasks, load_classes
from headstart.experiments.config import Config
from headstart.experiments.defaults import default_config
from headstart.experiments.experiment import check_unseen, tasks_like

TRAINED = Config(glyph_classes=6, image_size=8)


def test_another_split_may_not_test_on_what_was_trained_on(tmp_path: Path) -> None:
    parts = load_classes(TRAINED)
    leaking, clean = tmp_path / "leaking.json", tmp_path / "clean.json"
    for path, test in ((leaking, parts.train.names[:2]), (clean, parts.test.names[:2])):
        rest = {"train": parts.train.names[2:4], "validation": parts.train.names[4:]}
        path.write_text(json.dumps({**rest, "test": test}))
    check_unseen(TRAINED, dataclasses.replace(TRAINED, split=str(clean)))
    with pytest.raises(BadInputError, match=r"^2 test classes"):
        check_unseen(TRAINED, dataclasses.replace(TRAINED, split=str(leaking)))


@pytest.mark.omniglot
def test_omniglots_two_splits_overlap(omniglot_root: Path) -> None:
    trained = Config(data="omniglot", data_root=omniglot_root)
    with pytest.raises(BadInputError, match="--split lake"):
        check_unseen(trained, dataclasses.replace(trained, split="lake"))


def test_test_glyphs_do_not_depend_on_how_many_there_are_to_train_on() -> None:
    few, many = (load_classes(dataclasses.replace(TRAINED, glyph_classes=count)) for count in (6, 60))
    assert few.test.names == many.test.names
    assert few.test.images.equal(many.test.images)
    assert few.validation.names == many.validation.names
    assert not set(many.train.names) & {*many.test.names, *many.validation.names}
    assert (len(few.train.names), len(many.train.names)) == (6, 60)


@pytest.mark.parametrize("ways", [1, 5])
@pytest.mark.parametrize("rotations", ["classes", "none"])
@pytest.mark.parametrize("method", ["maml", "structure_search", "t_nas", "classifier"])
def test_the_tasks_that_are_planned_with_can_be_drawn(method: str, rotations: str, ways: int) -> None:
    config = dataclasses.replace(default_config("omniglot", method), rotations=rotations, ways=ways)
    assert len(tasks_like(config).sample(2, torch.Generator()).query.targets) == 2


@pytest.mark.parametrize(("classes", "half"), [(1, 0), (8, 16)])
def test_half_of_the_classes_must_do_for_the_search(classes: int, half: int) -> None:
    config = dataclasses.replace(default_config("glyphs", "t_nas"), glyph_classes=classes, ways=20)
    blank = ImageClasses(torch.zeros(classes, 20, 1, 28, 28, dtype=torch.uint8), tuple(map(str, range(classes))))
    with pytest.raises(BadInputError, match=f"its {half} cannot give 20 ways"):
        build_training_tasks(config, blank)

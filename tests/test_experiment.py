"""A run is judged on classes that it has not seen, and those are the same for every run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from headstart.building import load_classes
from headstart.config import Config
from headstart.errors import BadInputError
from headstart.experiment import check_unseen

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

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.datasets.omniglot import BACKGROUND_ALPHABETS, CLASS_NAMES, EVALUATION_ALPHABETS
from headstart.datasets.splits import VALIDATION_ALPHABETS, Split, lake_split, random_split, read_split
from headstart.errors import BadInputError

PARTS: dict[str, Any] = {"train": ["a", "b"], "validation": ["c"], "test": ["d", "e"]}


def test_a_split_is_a_tuple_of_three_parts() -> None:
    split = Split(**PARTS)
    train, validation, test = split
    assert (train, validation, test) == (("a", "b"), ("c",), ("d", "e"))
    assert pickle.loads(pickle.dumps(split)) == copy.deepcopy(split) == split
    assert type(copy.copy(split)) is Split


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test": ["d", "b"]}, "'b' is in both train and test"),
        ({"validation": ["a"]}, "'a' is in both train and validation"),
        ({"test": ["d", "c"]}, "'c' is in both validation and test"),
        ({"train": ["a", "b", "a"]}, "'a' is twice in train"),
        ({"train": []}, "train part of the split is empty"),
        ({"validation": []}, "validation part of the split is empty"),
        ({"test": []}, "test part of the split is empty"),
    ],
)
def test_an_invalid_split_cannot_be_made_in_any_way(
    tmp_path: Path, changed: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        Split(**{**PARTS, **changed})
    with pytest.raises(BadInputError, match=message):
        Split(**PARTS)._replace(**changed)  # type: ignore[arg-type]
    file = tmp_path / "split.json"
    file.write_text(json.dumps({**PARTS, **changed}))
    with pytest.raises(BadInputError, match=rf"split\.json: .*{message}"):
        read_split(file)


def test_the_lake_split_goes_by_alphabet() -> None:
    split = lake_split(CLASS_NAMES)
    alphabets = [{name.partition("/")[0] for name in part} for part in split]
    assert [len(part) for part in split] == [806, 158, 659]
    assert [len(part) for part in alphabets] == [25, 5, 20]
    assert alphabets[0] | alphabets[1] == set(BACKGROUND_ALPHABETS)
    assert alphabets[1] == set(VALIDATION_ALPHABETS)
    assert alphabets[2] == set(EVALUATION_ALPHABETS)
    assert sorted(sum(split, ())) == sorted(CLASS_NAMES)


def test_the_lake_split_of_other_classes_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"'glyph0001' is of none of Omniglot's alphabets"):
        lake_split(["Greek/character01", "glyph0001"])
    with pytest.raises(BadInputError, match="test part of the split is empty"):
        lake_split(["Greek/character01", "Tifinagh/character01"])


def test_the_random_split_is_that_of_mamls_code_in_size() -> None:
    split = random_split(CLASS_NAMES, (1100, 100, 423))
    assert [len(part) for part in split] == [1100, 100, 423]
    assert set(sum(split, ())) == set(CLASS_NAMES)


@given(st.integers(3, 60), st.integers(0, 2**32), st.data())
def test_a_random_split_has_the_counts_and_depends_on_the_seed_alone(
    classes: int, seed: int, data: st.DataObject
) -> None:
    names = [f"glyph{index:04d}" for index in range(classes)]
    train = data.draw(st.integers(1, classes - 2))
    validation = data.draw(st.integers(1, classes - train - 1))
    test = data.draw(st.integers(1, classes - train - validation))
    split = random_split(names, (train, validation, test), seed)
    assert tuple(map(len, split)) == (train, validation, test)
    assert set(sum(split, ())) <= set(names)
    assert all(list(part) == sorted(part) for part in split)
    assert split == random_split(names, (train, validation, test), seed)


def test_another_seed_draws_another_random_split_of_every_class() -> None:
    names = [str(index) for index in range(40)]
    splits = [random_split(names, (20, 10, 10), seed) for seed in range(20)]
    assert len(set(splits)) == 20
    assert {name for split in splits for name in split.validation} == set(names)


@pytest.mark.parametrize(
    ("classes", "counts"), [(3, (1, 1, 1)), (5, (3, 1, 1)), (10, (6, 2, 2)), (1623, (973, 325, 325))]
)
def test_a_random_split_fits_the_data_set(classes: int, counts: tuple[int, int, int]) -> None:
    names = [str(index) for index in range(classes)]
    split = random_split(names)
    assert tuple(map(len, split)) == counts
    assert {*sum(split, ())} == {*names}


def test_two_classes_cannot_be_split() -> None:
    with pytest.raises(BadInputError, match="2 classes cannot be split into training, validation and test"):
        random_split("ab")


@pytest.mark.parametrize("counts", [(4, 1, 1), (0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_counts_that_cannot_be_drawn_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(BadInputError, match=rf"into {', '.join(map(str, counts))} classes cannot be drawn from 5"):
        random_split("abcde", counts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"train": ["a"', "cannot be read as JSON"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b'["a", "b"]', "is not a JSON object with the lists train, validation, test"),
        (b'{"train": ["a"], "val": ["b"], "test": ["c"]}', "lacks the list 'validation'; it has train, val, test"),
        (b"{}", "lacks the list 'train'; it has nothing"),
        (b'{"train": ["a"], "validation": "b", "test": ["c"]}', "'validation' is not a list of class names"),
        (b'{"train": ["a"], "validation": ["b"], "test": ["c", 3]}', "'test' is not a list of class names"),
    ],
)
def test_a_bad_split_file_is_named_with_its_fault(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(content)
    with pytest.raises(BadInputError, match=rf"mine\.json.*{message}"):
        read_split(file)


def test_a_split_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.json cannot be read"):
        read_split(tmp_path / "nowhere.json")


@pytest.mark.omniglot
def test_the_split_file_of_vinyals_covers_omniglot(omniglot_root: Path) -> None:
    split = read_split(omniglot_root / "split_vinyals.json")
    assert [len(part) for part in split] == [1028, 172, 423]
    assert set(sum(split, ())) == set(CLASS_NAMES)

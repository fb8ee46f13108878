"""The standard splits against what their sources say, and folders that are not what they should be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.datasets.folder import list_images
from headstart.datasets.splits import Split
from headstart.datasets.standard_sets import STANDARD_SETS, StandardSet
from headstart.errors import BadInputError

EACH = 3
"""Images of a class, in a row that is for the tests alone."""


def small(name: str) -> StandardSet:
    row = STANDARD_SETS[name]
    return row._replace(images=EACH * sum(map(len, row.split)), equal=True)


def put(folder: Path, count: int = EACH) -> None:
    """So many images that nobody opens."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.jpg").touch()


def by_class(root: Path, split: Split) -> None:
    for name in (name for part in split for name in part):
        put(root / name)


def by_class_within(root: Path, split: Split) -> None:
    """As in CUB's archive, or below CIFAR-100's superclasses."""
    for number, name in enumerate(name for part in split for name in part):
        put(root / f"images{number % 2}" / name)


def by_part(root: Path, split: Split) -> None:
    for part, names in zip(("train", "val", "test"), split, strict=True):
        for name in names:
            put(root / part / name)


def by_csv(root: Path, split: Split) -> None:
    (root / "images").mkdir(parents=True)
    for part, names in zip(("train", "val", "test"), split, strict=True):
        rows = [(f"{name}{number:08}.jpg", name) for name in names for number in range(EACH)]
        for filename, _ in rows:
            (root / "images" / filename).touch()
        (root / f"{part}.csv").write_text("\n".join(map(",".join, [("filename", "label"), *rows])))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mini_imagenet", (64, 16, 20)),
        ("tiered_imagenet", (351, 97, 160)),
        ("cifar_fs", (64, 16, 20)),
        ("fc100", (60, 20, 20)),
        ("cub", (100, 50, 50)),
    ],
)
def test_the_splits_are_as_large_as_published(name: str, counts: tuple[int, int, int]) -> None:
    assert tuple(map(len, STANDARD_SETS[name].split)) == counts  # read_split refuses a class that is there twice
    assert STANDARD_SETS.keys() == {"mini_imagenet", "tiered_imagenet", "cifar_fs", "fc100", "cub"}


def test_the_birds_are_split_by_the_rule_of_their_source() -> None:
    split = STANDARD_SETS["cub"].split
    names = sorted(name for part in split for name in part)
    assert [name[:4] for name in names] == [f"{number:03}." for number in range(1, 201)]
    assert split == (tuple(names[0::2]), tuple(names[1::4]), tuple(names[3::4]))


def test_both_splits_of_cifar_100_are_of_its_classes_and_fc100_goes_by_superclass() -> None:
    few_shot, by_superclass = (STANDARD_SETS[name].split for name in ("cifar_fs", "fc100"))
    assert {*sum(few_shot, ())} == {*sum(by_superclass, ())}
    assert {"baby", "boy", "girl", "man", "woman", "bee", "dolphin", "fox"} <= {*by_superclass.test}
    assert {"bear", "camel", "crab", "shrew"} <= {*by_superclass.validation}
    assert {"apple", "bicycle", "oak_tree", "tractor", "turtle"} <= {*by_superclass.train}


def test_imagenets_classes_are_wordnet_ids_and_known_ones_are_where_they_belong() -> None:
    mini, tiered = (STANDARD_SETS[name].split for name in ("mini_imagenet", "tiered_imagenet"))
    assert all(re.fullmatch(r"n\d{8}", name) for part in (*mini, *tiered) for name in part)
    assert "n01532829" in mini.train and "n02138441" in mini.validation and "n02110341" in mini.test
    assert "n01530575" in tiered.train and "n02099267" in tiered.validation and "n01440764" in tiered.test


@pytest.mark.parametrize("form", [by_class, by_class_within, by_part])
@pytest.mark.parametrize("name", STANDARD_SETS)
def test_a_whole_folder_gets_the_standard_split(name: str, form: Callable[[Path, Split], None], tmp_path: Path) -> None:
    row = small(name)
    form(tmp_path, row.split)
    listing = row.checked(list_images(tmp_path))
    assert listing.split == row.split
    assert {*listing.names} == {*sum(row.split, ())}
    assert len(listing.files) == row.images


def test_the_csv_files_of_mini_imagenet_are_read(tmp_path: Path) -> None:
    row = small("mini_imagenet")
    by_csv(tmp_path, row.split)
    assert row.checked(list_images(tmp_path)).split == row.split


def moved(root: Path) -> None:
    (root / "train" / "apple").rename(root / "test" / "apple")


def removed(root: Path) -> None:
    for name in ("bed", "apple"):
        (root / "train" / name).rename(root / "train" / f"x{name}")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (removed, "missing classes: 2, 'apple' the first of them and unknown classes: 2, 'xapple' the first of them"),
        (lambda root: put(root / "val" / "unicorn"), "unknown classes: 1, 'unicorn' the first of them"),
        (lambda root: put(root / "train" / "apple", EACH + 1), "another number of images: 1, 'apple' with 4 the first"),
        (moved, "the class 'apple' is in its test part, and in the standard split in train"),
    ],
)
def test_what_is_not_the_data_set_is_refused_with_what_it_should_hold(
    damage: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    row = small("fc100")
    by_part(tmp_path, row.split)
    damage(tmp_path)
    with pytest.raises(BadInputError) as refused:
        row.checked(list_images(tmp_path))
    content = "it has 100 classes of 3 images each, 60 to train on, 20 to validate and 20 to test."
    assert str(refused.value).startswith(f"{str(tmp_path)!r} is not FC100: ")
    assert str(refused.value).endswith(f"{sentence}; {content}")


def test_where_classes_are_of_different_size_the_images_are_counted_in_all(tmp_path: Path) -> None:
    row = small("cub")._replace(equal=False)
    by_class(tmp_path, row.split)
    put(tmp_path / row.split.test[3], EACH + 2)
    assert row._replace(images=row.images + 2).checked(list_images(tmp_path)).split == row.split
    with pytest.raises(BadInputError, match="is not CUB: there are 602 images; it has 200 classes with 600 images in"):
        row.checked(list_images(tmp_path))

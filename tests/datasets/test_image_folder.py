"""What a folder of images holds: classes, files, and a split that it may bring."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from headstart.datasets.folder import list_images
from headstart.errors import BadInputError


def put(root: Path, *files: str) -> Path:
    """Files, which are not opened."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def test_a_class_is_a_folder_that_holds_images(tmp_path: Path) -> None:
    root = put(tmp_path, "b/2.PNG", "b/1.jpg", "a/x/1.webp", "a/y/1.bmp", "a/y/2.gif", "a/1.tif")
    listing = list_images(root)
    assert listing.names == ("a", "a/x", "a/y", "b") and listing.split is None
    assert dict(zip(listing.files, listing.labels, strict=True)) == {
        "a/1.tif": "a", "a/x/1.webp": "a/x", "a/y/1.bmp": "a/y", "a/y/2.gif": "a/y", "b/1.jpg": "b", "b/2.PNG": "b",
    }  # fmt: skip


def test_what_is_hidden_or_no_image_or_in_no_class_is_left_aside(tmp_path: Path) -> None:
    root = put(
        tmp_path, "a/1.png", "a/.2.png", "a/notes.txt", "a/Thumbs.db", ".git/1.png", "__MACOSX/a/1.png", "sheet.png"
    )
    assert list_images(root).files == ("a/1.png",)


def test_a_class_may_have_any_name(tmp_path: Path) -> None:
    names = ("ein Wort", "ä ö", "日本", "a'b\"c", "new\nline", "100%", "{x}", "-f")
    root = put(tmp_path, *(f"{name}/1.png" for name in names))
    assert list_images(root).names == tuple(sorted(names))


def test_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/1.png", "root/a/1.png")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "again").symlink_to(tmp_path / "root")
    assert list_images(tmp_path / "root").files == ("a/1.png", "b/1.png")


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_parts_of_a_split_are_used_as_such(validation: str, tmp_path: Path) -> None:
    root = put(tmp_path, "train/a/1.png", "train/b/x/1.png", f"{validation}/c/1.png", "test/d/1.png", "test/d/2.png")
    listing = list_images(root)
    assert listing.split == (("a", "b/x"), ("c",), ("d",))
    assert listing.labels[listing.files.index("train/b/x/1.png")] == "b/x"


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    listing = list_images(put(tmp_path, "train/1.png", "test/1.png", "val/1.png"))
    assert listing.names == ("test", "train", "val") and listing.split is None
    assert list_images(put(tmp_path / "more", "train/old/1.png", "bus/1.png")).split is None


def with_csv(root: Path, **parts: str) -> Path:
    for name, rows in parts.items():
        (root / f"{name}.csv").write_text(rows)
    return root


def test_csv_files_say_which_image_is_of_which_class(tmp_path: Path) -> None:
    put(tmp_path / "images", "1.jpg", "2.jpg", "sub/3.jpg")
    with_csv(
        tmp_path,
        train="filename,label\n1.jpg,n01\n",
        val="\ufefflabel,filename,more\nn02,2.jpg,x\n",
        test="filename,label\nsub/3.jpg,n03\n",
    )
    listing = list_images(tmp_path)
    assert listing.files == ("images/1.jpg", "images/2.jpg", "images/sub/3.jpg")
    assert listing.labels == ("n01", "n02", "n03") and listing.split == (("n01",), ("n02",), ("n03",))


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    put(tmp_path / "images", "1.jpg", "2.jpg", "3.jpg")
    parts = {part: f"filename,label\n{n}.jpg,{part}\n" for n, part in enumerate(("train", "val", "test"), 1)}
    with_csv(tmp_path, **{**parts, "train": "filename,label\n1.jpg,train\n1.jpg,train\n"})
    assert list_images(tmp_path).files == ("images/1.jpg", "images/2.jpg", "images/3.jpg")


ONE = "filename,label\n1.jpg,a\n"
OTHER = "filename,label\n1.jpg,b\n"
GONE = "filename,label\n8.jpg,c\n9.jpg,d\n"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"train": "file,label\n1.jpg,a\n"}, "train.csv' has no column 'filename'; its columns are file, label"),
        ({"train": ""}, "train.csv' has no column 'filename'; its columns are none"),
        ({"train": "filename,label\n1.jpg\n"}, "a row without a filename or a label"),
        ({"train": 'filename,label\n"1.jpg,a\n'}, "cannot be read as CSV"),
        ({"train": ONE}, "has no classes for validation and test"),
        ({"train": ONE, "val": OTHER, "test": ONE}, "'a' is in both train and test.* New classes"),
        ({"train": ONE + "1.jpg,z\n", "val": OTHER, "test": GONE}, "'images/1.jpg' two labels; keep the row with the"),
        (
            {"train": ONE, "val": "filename,label\n2.jpg,b\n", "test": GONE},
            "2 images that the CSV files name are not in .*'images/8.jpg'",
        ),
    ],
)
def test_csv_files_that_are_not_whole_are_refused(parts: dict[str, str], sentence: str, tmp_path: Path) -> None:
    put(tmp_path / "images", "1.jpg", "2.jpg")
    with pytest.raises(BadInputError, match=sentence):
        list_images(with_csv(tmp_path, **parts))


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], "has no sub-folder with images"),
        (["1.png", "2.png"], "has no sub-folder with images; put the images of each class into one"),
        (["a/1.txt"], "has no sub-folder with images"),
        (["train/a/1.png", "test/b/1.png"], "has no classes for validation; give it train, val and test"),
        (["train/a/1.png", "val/b/1.png", "test/a/1.png"], "'a' is in both train and test"),
    ],
)
def test_folders_without_classes_are_refused(files: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=sentence):
        list_images(put(tmp_path, *files))


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    for path in (tmp_path / "nowhere", tmp_path / "a.png"):
        with pytest.raises(BadInputError, match=f"{path.name}' is no folder; name one that has a sub-folder"):
            list_images(path)

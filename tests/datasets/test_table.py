"""Tables in CSV and npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.datasets.table import read_table
from headstart.errors import BadInputError


def test_the_last_column_or_the_one_that_is_named_has_the_labels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,kind\n1,2.5,b\n-3e1,4,a\n")
    data = read_table(tmp_path / "a.csv")
    assert data.inputs.tolist() == [[1, 2.5], [-30, 4]] and data.targets.tolist() == [1, 0] and data.names == ("a", "b")
    (tmp_path / "b.csv").write_text('\ufeffkind,x\n"a, b",1\n\nc,2\n')
    data = read_table(tmp_path / "b.csv", "kind")
    assert data.inputs.tolist() == [[1], [2]] and data.names == ("a, b", "c")


@pytest.mark.parametrize(("names", "label"), [(("x", "y"), None), (("features", "y"), None), (("x", "kind"), "kind")])
def test_an_npz_file_has_examples_and_labels(names: tuple[str, str], label: str | None, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{names[0]: np.arange(8.0).reshape(2, 2, 2), names[1]: np.array([19, 10])})
    data = read_table(tmp_path / "a.npz", label)
    assert data.inputs.shape == (2, 2, 2) and data.names == ("10", "19") and data.targets.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "label", "sentence"),
    [
        ("x,kind\n1,a\n", "sort", "there is no column 'sort'; its columns are x, kind"),
        ("x,x,kind\n1,2,a\n", None, "two columns are called 'x'; give each a name of its own"),
        ("kind,x,kind\n1,2,a\n", "kind", "two columns are called 'kind'"),
        ("x,kind\n1,a\ntwo,b\n", None, "line 3 has 'two' in the column 'x', which is no number"),
        ("x,kind\n1,a\n,b\n", None, "line 3 has '' in the column 'x'"),
        ("x,kind\n1,a,3\n", None, "line 2 has 3 columns, and the header has 2"),
        ("x,kind\n1,\n", None, "line 2 has no label"),
        ("x,kind\nnan,a\n", None, "NaN or infinite numbers in 1 of 1"),
        ("", None, "it needs a header"),
        ("x,kind\n", None, "it needs a header"),
        ("kind\na\n", None, "it needs a header"),
        ('x,kind\n"1,a\n', None, "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_fault(
    content: str, label: str | None, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(BadInputError, match=rf"the table '.*a\.csv'.*{sentence}"):
        read_table(tmp_path / "a.csv", label)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": np.zeros(2), "b": np.zeros(2), "y": np.zeros(2)}, "it has the arrays a, b, y; name the examples x"),
        ({"x": np.zeros((2, 1))}, "it has the arrays x; name"),
        (
            {"x": np.array([[{}], [{}]], dtype=object), "y": np.zeros(2)},
            "cannot be read: Object arrays cannot be loaded",
        ),
    ],
)
def test_an_npz_file_that_cannot_be_used_is_named(arrays: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadInputError, match=rf"a\.npz'.*{sentence}"):
        read_table(tmp_path / "a.npz")


def test_a_file_that_is_not_there_or_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    for name in ("nowhere.csv", "nowhere.npz", "a.npz"):
        with pytest.raises(BadInputError, match=f"{name}' cannot be read"):
            read_table(tmp_path / name)

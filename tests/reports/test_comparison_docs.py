"""The page of comparisons is that of its records, and so are its pictures."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from headstart.cli import main as cli
from headstart.reports.comparison_docs import comparison_docs
from headstart.reports.comparison_record import comparison_from
from headstart.reports.sheet import FAINT, INK

ROOT = Path(__file__).parents[2]
FOLDER, DOCS = ROOT / "results" / "comparison", ROOT / "docs"


def test_page_and_pictures_are_those_of_the_records() -> None:
    page, pictures = comparison_docs(FOLDER)
    assert (DOCS / "comparison.md").read_text() == page
    committed = {f"images/{path.name}": path.read_text() for path in (DOCS / "images").glob("comparison-*")}
    assert committed.keys() == pictures.keys() == {*re.findall(r"\]\((images/[^)]*)\)", page)}
    assert [name for name in pictures if pictures[name] != committed[name]] == []


def test_a_record_is_small_and_comes_back_as_it_was() -> None:
    for path in {*FOLDER.glob("*.json")} - {FOLDER / "directions.json"}:
        text = path.read_text()
        assert len(text) < 200_000
        assert comparison_from(json.loads(text)).record() == json.loads(text)


def test_pictures_are_files_of_their_own_on_white() -> None:
    for path in (DOCS / "images").glob("comparison-*.svg"):
        root = ElementTree.fromstring(path.read_text())
        assert root[0].get("fill") == "#ffffff" and root.get("fill") == INK
        assert "currentColor" not in path.read_text() and "var(" not in path.read_text()
        captions = [text for text in root.findall("{http://www.w3.org/2000/svg}text") if text.get("fill") == FAINT]
        drawings = root.findall("{http://www.w3.org/2000/svg}svg")
        assert len(captions) == len(drawings) >= 1
        _, _, wide, tall = map(float, root.attrib["viewBox"].split())
        for drawing in drawings:
            left, top, width, height = (float(drawing.attrib[name]) for name in ("x", "y", "width", "height"))
            assert left + width <= wide and top + height <= tall


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The records of a comparison, to be changed."""
    return Path(shutil.copytree(FOLDER, tmp_path / "results" / "comparison"))


def test_the_command_writes_page_and_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(next((ROOT / "results").glob("*.json")), folder.parent)
    monkeypatch.chdir(folder.parents[1])
    (folder.parents[1] / "docs").mkdir()
    assert cli.main(["results"]) == 0
    assert capfd.readouterr().out.endswith("the comparison in docs/comparison.md\n")
    for path in [DOCS / "comparison.md", *(DOCS / "images").glob("comparison-*")]:
        assert Path("docs", path.relative_to(DOCS)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.md", None, "notes.md is not there or not readable"),
        ("notes.md", "# A page", "does not say where directions.json goes; put {directions} there"),
        ("sinusoid.json", "{", "sinusoid.json is no JSON"),
        ("sinusoid.json", '{"runs": [1]}', "this is no record of headstart compare; make it anew with --record"),
    ],
)
def test_what_cannot_be_rendered(folder: Path, name: str, content: str | None, sentence: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        comparison_docs(folder)

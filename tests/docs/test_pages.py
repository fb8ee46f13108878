"""Executed pages run in plain Python, the theory says the same in both languages, the API has every public name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
EXECUTED = [page for page in sorted(DOCS.rglob("*.md")) if page.read_text().startswith("---\nfile_format: mystnb\n")]
ENGLISH = [page for page in EXECUTED if "zh" not in page.relative_to(DOCS).parts]
"""The Chinese pages have the same cells."""
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n)?(?::[^\n]*\n)*(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|^ {4}[^\n]*$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^(`{3,}|~{3,}|:{3,}).*?^\1$", re.DOTALL | re.MULTILINE)
FIGURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)|^[`:]{3,}\{(?:figure|image)\} (\S+)$", re.MULTILINE)


def cells(page: Path) -> list[str]:
    """The code of a page, cell by cell, without the options."""
    return CELL.findall(page.read_text())


def levels(page: Path) -> list[int]:
    """The level of each of a page's headings."""
    return [len(marks) for marks in re.findall(r"^(#+) ", FENCE.sub("", page.read_text()), re.MULTILINE)]


def figures(page: Path) -> list[str]:
    """The file of each picture that no cell draws."""
    return [Path(a or b).name for a, b in FIGURE.findall(page.read_text())]


def run(code: str, names: dict[str, object], page: Path) -> None:
    """One cell, as IPython runs it: a line that begins with ``!`` is the shell's."""
    if code.startswith("!"):
        for line in code.splitlines():
            subprocess.run(line.removeprefix("!"), shell=True, check=True, capture_output=True)
    else:
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.full
@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_cells_run_in_plain_python(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot as plt

    monkeypatch.chdir(page.parent)
    monkeypatch.setattr(plt, "show", lambda: None)
    names: dict[str, object] = {"__name__": "__main__"}
    for code in cells(page):
        run(code, names, page)
    plt.close("all")


def test_the_pages_have_cells_and_are_executed_pages_if_they_have() -> None:
    with_cells = [page for page in sorted(DOCS.rglob("*.md")) if "```{code-cell}" in page.read_text()]
    assert with_cells == EXECUTED
    for page in EXECUTED:
        assert len(cells(page)) == page.read_text().count("```{code-cell}"), page


def test_the_theory_is_the_same_in_both_languages() -> None:
    pages = sorted((DOCS / "theory").glob("*.md"))
    assert [page.name for page in sorted((DOCS / "zh" / "theory").glob("*.md"))] == [page.name for page in pages]
    for english in pages:
        chinese = DOCS / "zh" / "theory" / english.name
        assert levels(chinese) == levels(english), english.name
        assert cells(chinese) == cells(english), english.name
        assert figures(chinese) == figures(english), english.name
        assert f"\n[中文](../zh/theory/{english.name})\n" in english.read_text()
        assert f"\n[English](../../theory/{english.name})\n" in chinese.read_text()


def test_the_readme_is_the_same_in_both_languages() -> None:
    english, chinese = DOCS.parent / "README.md", DOCS.parent / "README.zh.md"
    assert levels(chinese) == levels(english)
    assert figures(chinese) == figures(english)
    assert CODE.findall(chinese.read_text()) == CODE.findall(english.read_text())
    assert "\n[中文](README.zh.md)\n" in english.read_text() and "\n[English](README.md)\n" in chinese.read_text()

"""Executed pages run in plain Python, the theory says the same in both languages, the API has every public name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import headstart as hs

DOCS = Path(__file__).parents[2] / "docs"
EXECUTED = [page for page in sorted(DOCS.rglob("*.md")) if page.read_text().startswith("---\nfile_format: mystnb\n")]
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n)?(?::[^\n]*\n)*(.*?)^```$", re.DOTALL | re.MULTILINE)
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
@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: str(page.relative_to(DOCS)))
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
    for chinese in sorted((DOCS / "zh" / "theory").glob("*.md")):
        english = DOCS / "theory" / chinese.name
        assert levels(chinese) == levels(english), chinese.name
        assert cells(chinese) == cells(english), chinese.name
        assert figures(chinese) == figures(english), chinese.name


def test_every_public_name_is_in_the_reference_once() -> None:
    pages = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    named = re.findall(r"^\.\. (?:auto|py:)\w+:: headstart\.(\w+)$", pages, re.MULTILINE)
    assert sorted(named) == sorted(hs.__all__)

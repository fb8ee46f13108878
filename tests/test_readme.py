"""The README's Python runs, and nothing in the docs was left to fill in."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
SMALLER = {
    "draw_glyphs(1623)": "draw_glyphs(40)",
    "counts=(1100, 100, 423)": "counts=(20, 10, 10)",
    "meta_steps=500": "meta_steps=2",
    "count=1000": "count=2",
}


def test_the_library_in_fifteen_lines(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code
    text = code.group(1)
    assert len([line for line in text.splitlines() if line]) <= 15
    for large, small in SMALLER.items():
        assert large in text
        text = text.replace(large, small)
    exec(compile(text, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "transductive, 1 inner step, 2 tasks" in printed


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page: str) -> None:
    path = ROOT / page
    text = path.read_text()
    assert "@@" not in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page: str) -> None:
    named = re.findall(r"\b(?:tests|src|benchmarks|examples)/[\w./-]*\w", (ROOT / page).read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_example_learns(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "own_model_and_tasks.py"))
    before, after = (float(value) for value in re.findall(r"mse (\S+) ±", capsys.readouterr().out))
    assert after < before / 5

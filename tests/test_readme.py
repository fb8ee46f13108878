"""The README's Python runs, and so does the example."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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


def test_the_example_learns(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "own_model_and_tasks.py"))
    before, after = (float(value) for value in re.findall(r"mse (\S+) ±", capsys.readouterr().out))
    assert after < before / 5

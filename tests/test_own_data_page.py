"""Everything on the page on own data runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from headstart.cli import main as cli

PAGE = (Path(__file__).parents[1] / "docs" / "tutorials" / "own-arrays.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    headstart (.*?)$", PAGE, re.MULTILINE)
SHORTER = "--width 4 --meta-steps 2 --meta-batch 2 --validation-every 1 --validation-tasks 2 --test-tasks 2"


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_fifteen_lines_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(PROGRAMS) == 3
    text = PROGRAMS[number]
    assert len([line for line in text.splitlines() if line]) <= 15
    exec(compile(text, "own-arrays.md", "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.usefixtures("glyphs_are_drawn_once")
def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for index in range(25):
        folder = Path("my_images", f"class {index}")
        folder.mkdir(parents=True)
        for number in range(4):
            image = Image.new("L", (30, 30), 255)
            ImageDraw.Draw(image).text((5 + number, 5), chr(65 + index), fill=0)
            image.save(folder / f"{number}.png")
    rows = [f"{index},{number},kind{index}" for index in range(15) for number in range(5)]
    Path("flowers.csv").write_text("\n".join(["petal,sepal,kind", *rows]))
    shorter = SHORTER.split()
    assert cli.main(["train", *shorter, "--glyph-classes", "30", "--out", "runs/glyphs"]) == 0
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        words = command.split()
        more = {"train": shorter, "evaluate": ["--test-tasks", "2"]}.get(words[0], [])
        assert cli.main([*words, *more]) == 0, command
    assert Path("sheet.png").exists() and len([*Path("runs").iterdir()]) == 3

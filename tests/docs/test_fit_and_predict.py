"""Everything on the page on fit and predict runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from headstart.cli import main as cli

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "fit-and-predict.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    headstart (.*?)$", PAGE, re.MULTILINE)
SMALL = "--glyph-classes 30 --width 4 --meta-steps 2 --meta-batch 2 --validation-tasks 2 --test-tasks 2"


def test_the_estimator_knows_digits(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PROGRAMS[0], "fit-and-predict.md", "exec"), {})
    assert float(capsys.readouterr().out.split()[0]) > 0.5


def test_a_fitted_module_predicts(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(PROGRAMS) == 2
    exec(compile(PROGRAMS[1], "fit-and-predict.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor([[")


@pytest.fixture
def symbols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters in a folder, as another program draws them."""
    monkeypatch.chdir(tmp_path)
    for name, letter in {"star": "*", "plus": "+", "letter": "R"}.items():
        for number in range(5):
            path = Path(f"queries/{name}{number}.png" if number else f"my_symbols/{name}/1.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (90, 80), "white")
            ImageDraw.Draw(image).text((20 + 2 * number, 10), letter, fill="navy", font_size=50 + 3 * number)
            image.save(path)


@pytest.mark.usefixtures("symbols")
def test_the_commands_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert [command.split()[0] for command in COMMANDS] == ["adapt", "predict", "predict"]
    for command in COMMANDS:
        capsys.readouterr()
        assert cli.main(command.split()) == 0, command
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(rows) == 12
    assert all(Path(fname).stem.startswith(prediction) for fname, prediction, _ in rows)


@pytest.mark.usefixtures("symbols", "glyphs_are_drawn_once")
def test_a_run_is_adapted_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *SMALL.split(), "--out", "run"]) == 0
    assert cli.main(["adapt", "run", "--support", "my_symbols", "-o", "me.safetensors"]) == 0
    assert "3 classes of 1 image each" in capsys.readouterr().out
    assert cli.main(["predict", "me.safetensors", "queries", "--json"]) == 0

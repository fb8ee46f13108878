"""Every command that a page shows is one that headstart takes, and those of the first tutorials do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from headstart.cli import main as cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?:    |!)headstart (.*?)(?: +#.*)?$", re.MULTILINE)
PLACEHOLDERS = {"METHOD": "maml", "NAME": "maml"}
SHORTER = "--width 4 --meta-steps 2 --meta-batch 2 --validation-every 1 --validation-tasks 2 --test-tasks 2".split()  # noqa: SIM905


def commands(page: Path) -> list[list[str]]:
    """The commands of a page, as words."""
    return [shlex.split(command) for command in COMMAND.findall(page.read_text())]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_command_is_understood(page: Path) -> None:
    for words in commands(page):
        cli.parse([PLACEHOLDERS.get(word, word) for word in words])


@pytest.mark.usefixtures("glyphs_are_drawn_once")
def test_own_data_are_drawn_trained_on_and_tested_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert cli.main(["train", *SHORTER, "--glyph-classes", "30", "--out", "runs/glyphs"]) == 0
    pages = [ROOT / "docs" / "tutorials" / name for name in ("own-images.md", "own-arrays.md")]
    own = [words for page in pages for words in commands(page) if "--data" in words]
    assert [words[0] for words in own] == ["data", "train", "evaluate", "train"]
    for words in own:
        more = {"train": SHORTER, "evaluate": ["--test-tasks", "2"]}.get(words[0], [])
        assert cli.main([*words, *more]) == 0, words
    assert Path("sheet.png").exists() and len([*Path("runs").iterdir()]) == 3

"""Own data from the command line: train, evaluate, look; and what cannot be used ends in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from headstart.cli import main as cli
from headstart.datasets import image_cache
from headstart.distributed import processes
from headstart.problems.folder import Folder, FolderSettings
from headstart.problems.problem import ClassificationTask
from headstart.system.process import cache_folder

pytestmark = pytest.mark.usefixtures("glyphs_are_drawn_once")
SHORT = """
    --ways 2 --width 4 --meta-steps 2 --meta-batch 2 --validation-every 1 --validation-tasks 2 --test-tasks 3
    --test-queries 2 --queries 2
""".split()  # noqa: SIM905
SMALL = [*SHORT, "--image-size", "16"]


def draw(root: Path, classes: int, least: int = 4, mode: str = "L") -> Path:
    """Dark letters on white; the classes differ in how many they have, and the images in size."""
    for index in range(classes):
        folder = root / f"alphabet {index % 2}" / chr(65 + index)
        folder.mkdir(parents=True)
        for number in range(least + index % 3):
            image = Image.new(mode, (20 + number, 24), "white")
            ImageDraw.Draw(image).text((5 + number, 5), chr(65 + index), fill="black")
            image.save(folder / f"{number}.png")
    return root


def write_table(path: Path, classes: int = 10) -> Path:
    rows = [f"{index + n / 10},{-index},kind{index}" for index in range(classes) for n in range(4 + index % 3)]
    path.write_text("\n".join(["a,b,kind", *rows]))
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def glyph_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "glyphs"
    assert cli.main(["train", *SMALL, "--glyph-classes", "30", "--method", "proto_net", "--out", str(path)]) == 0
    return path


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence of a command that ends with code 2."""
    capfd.readouterr()
    try:
        returned = cli.main(arguments)
    except SystemExit as leave:
        returned = int(leave.code or 0)
    err = capfd.readouterr().err
    assert returned == 2, err
    (line,) = [line for line in err.splitlines() if line.startswith("headstart: ")]
    return line


def record(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_folder_is_trained_on_and_the_run_says_which_classes_went_where(caplog: pytest.LogCaptureFixture) -> None:
    draw(Path("letters"), classes=10)
    assert cli.main(["train", "--data", "folder:letters", *SMALL, "--out", "run"]) == 0
    assert "6 classes to train on, 2 to validate, 2 to test" in caplog.text and Path("run/test.json").exists()
    config = record(Path("run/config.json"))
    assert config["path"] == str(Path("letters").resolve()) and config["rotations"] == "none"
    assert re.fullmatch(r"random:6,2,2@\w{8}", config["split"])
    assert cli.main(["evaluate", "run", "--shots", "2"]) == 0
    assert cli.main(["resume", "run"]) == 0


def test_another_seed_draws_another_split() -> None:
    draw(Path("letters"), classes=10)
    for seed in ("0", "1"):
        flags = ["--data=folder:letters", "--split-seed", seed, "--split", "random:5,2,3"]
        assert cli.main(["train", *flags, *SMALL, "--out", f"run{seed}"]) == 0
    splits = [record(Path(f"run{seed}/config.json"))["split"] for seed in (0, 1)]
    assert splits[0] != splits[1] and all(split.startswith("random:5,2,3@") for split in splits)


def test_a_ready_made_split_is_used_and_two_processes_share_a_folder(capfd: pytest.CaptureFixture[str]) -> None:
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        draw(Path(f"own/{part}/{name}"), classes=2, mode="RGB")
    flags = ["--data", "folder:own", "--colour", "rgb", "--workers", "2"]
    assert cli.main(["train", *flags, *SMALL, "--out", "run"]) == 0
    assert capfd.readouterr().err.count("decoding") == 1
    assert record(Path("run/config.json"))["split"].startswith("own:2,2,2@")


@pytest.mark.parametrize(("rank", "call"), [(0, 2), (1, 3)])
def test_the_first_process_fills_the_cache_for_the_others(
    rank: int, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, loads, load = [], [], Folder.load

    def together(work: Callable[[], Any]) -> Any:
        calls.append(work)
        return work()

    def recorded(self: Folder, settings: Any) -> Any:
        loads.append(len(calls))
        return load(self, settings)

    monkeypatch.setattr(processes, "together", together)
    monkeypatch.setattr(processes, "rank", lambda: rank)
    monkeypatch.setattr(Folder, "load", recorded)
    task = ClassificationTask(ways=2, test_queries=2)
    Folder().task_sets(FolderSettings(path=draw(Path("letters"), classes=10)), task)
    assert loads == [call], "the call to all processes in which this one loads the images"


def test_a_run_of_glyphs_is_evaluated_on_all_classes_of_a_folder(
    glyph_run: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    draw(Path("letters"), classes=6)
    flags = ["--data", "folder:letters", "--ways", "6", "--shots", "2"]
    assert cli.main(["evaluate", str(glyph_run), *flags]) == 0
    assert "letters, split all: 6 classes" in caplog.text
    assert cli.main(["evaluate", str(glyph_run), *flags, "--polarity", "inverted"]) == 0
    names = ("test-folder-letters-6ways-2shots", "test-folder-letters-inverted-6ways-2shots")
    hashes = {record(glyph_run / f"{name}.json")["task_hash"] for name in names}
    assert len(hashes) == 2
    line = refused(capfd, "evaluate", str(glyph_run), "--data", "folder:letters", "--ways", "7")
    assert "test classes of letters: 6 classes cannot give 7 ways" in line


def test_a_run_is_not_evaluated_on_the_classes_that_it_was_trained_on(capfd: pytest.CaptureFixture[str]) -> None:
    draw(Path("letters"), classes=10)
    assert cli.main(["train", "--data", "folder:letters", *SMALL, "--out", "run"]) == 0
    seen = "8 test classes of --split all were trained or validated on"
    assert seen in refused(capfd, "evaluate", "run", "--data", "folder:letters")
    assert seen in refused(capfd, "evaluate", "run", "--split", "all")
    Path("letters").rename("moved")
    assert seen in refused(capfd, "evaluate", "run", "--data", "folder:moved")
    draw(Path("others"), classes=5)
    for folder in Path("others").iterdir():
        folder.rename(folder.with_name(folder.name.replace("alphabet", "other")))
    for name in record(Path("run/split.json"))["test"]:
        shutil.copytree(Path("moved", name), Path("others", name))
    assert cli.main(["evaluate", "run", "--data", "folder:others"]) == 0
    assert Path("run/test-others.json").exists()


def test_classes_of_training_are_known_by_name_in_any_folder(capfd: pytest.CaptureFixture[str]) -> None:
    draw(Path("letters"), classes=10)
    assert cli.main(["train", "--data", "folder:letters", *SMALL, "--out", "run"]) == 0
    split = record(Path("run/split.json"))
    seen = {*split["train"], *split["validation"]}
    assert len(split["train"]) == 6 and len(seen | {*split["test"]}) == 10
    shutil.copytree("letters", "copy/one more")
    shutil.copytree("copy/one more/alphabet 0/A", "copy/one more/Z")
    shutil.rmtree("letters")
    way_out = "evaluate this run on its own split; or, if they are others with the same names, say --split new."
    for folder in ("copy/one more", "copy"):
        line = refused(capfd, "evaluate", "run", "--data", f"folder:{folder}")
        assert "8 test classes of --split all were trained or validated on" in line and line.endswith(way_out), line
    below = sum(name.startswith("alphabet 0/") for name in seen)
    assert f"{below} test classes" in refused(capfd, "evaluate", "run", "--data", "folder:copy/one more/alphabet 0")
    assert cli.main(["evaluate", "run", "--data", "folder:copy", "--split", "new"]) == 0
    assert record(Path("run/test-copy-new.json"))["split"] == "new"
    draw(Path("letters"), classes=10)
    assert "8 test classes" in refused(capfd, "evaluate", "run", "--data", "folder:letters", "--split", "new")
    Path("own.json").write_text(json.dumps({"train": ["x"], "validation": ["y"], "test": split["train"][:2]}))
    assert "2 test classes of --split own.json" in refused(capfd, "evaluate", "run", "--split", "own.json")
    forged = {**split, "test": split["train"], "train": split["test"]}
    Path("run/split.json").write_text(json.dumps(forged))
    assert "run/split.json" in refused(capfd, "evaluate", "run", "--data", "folder:copy")


def test_classes_of_a_table_are_known_by_name_in_another_file(capfd: pytest.CaptureFixture[str]) -> None:
    write_table(Path("t.csv"))
    assert cli.main(["train", "--data", "table:t.csv", *SHORT, "--out", "run"]) == 0
    write_table(Path("more.csv"), classes=11)
    assert "8 test classes" in refused(capfd, "evaluate", "run", "--data", "table:more.csv")


def test_a_folder_that_was_moved_is_named_and_one_that_changed_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    draw(Path("letters"), classes=10)
    assert cli.main(["train", "--data", "folder:letters", *SMALL, "--out", "run"]) == 0
    tested = record(Path("run/test.json"))["task_hash"]
    Path("letters").rename("moved")
    assert "letters' is no folder" in refused(capfd, "evaluate", "run")
    assert cli.main(["evaluate", "run", "--path", "moved"]) == 0
    assert cli.main(["resume", "run", "--path", "moved"]) == 0
    assert record(Path("run/test.json"))["task_hash"] == tested
    assert cli.main(["evaluate", "run", "--data", "glyphs"]) == 0, "which needs nothing of the folder"
    shutil.copytree("moved/alphabet 0/A", "moved/alphabet 0/a new one")
    assert "are not those that the run was trained with" in refused(capfd, "evaluate", "run", "--path", "moved")


def test_a_table_is_trained_on_and_evaluated() -> None:
    write_table(Path("t.csv"))
    assert cli.main(["train", "--data", "table:t.csv", *SHORT, "--out", "run"]) == 0
    assert record(Path("run/config.json"))["model"] == "mlp"
    assert cli.main(["evaluate", "run", "--shots", "2"]) == 0
    x = np.random.default_rng(0).random((20, 2))
    np.savez("t.npz", x=x, y=np.arange(20) % 4)
    assert cli.main(["evaluate", "run", "--data", "table:t.npz"]) == 0
    assert Path("run/test-t.json").exists()


def test_a_run_is_not_evaluated_on_examples_of_another_shape(
    glyph_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_table(Path("t.csv"))
    assert cli.main(["train", "--data", "table:t.csv", *SHORT, "--out", "run"]) == 0
    line = refused(capfd, "evaluate", "run", "--data", "glyphs")
    assert "trained on examples of 2, and cannot be evaluated on those of 1x28x28" in line
    assert "--model conv4 needs images" in refused(capfd, "evaluate", str(glyph_run), "--data", "table:t.csv")


def test_a_folder_is_looked_at(capfd: pytest.CaptureFixture[str]) -> None:
    draw(Path("letters"), classes=3, mode="RGB")
    assert cli.main(["data", "sheet", "--data", "folder:letters", "--classes", "3", "--image-size", "20"]) == 0
    with Image.open("sheet.png") as picture:
        assert picture.mode == "L" and picture.size == (2 * 6 * 22, 2 * 3 * 22)
        assert picture.getpixel((10, 10)) == 255, "paper is white, as it was drawn"
    assert cli.main(["data", "sheet", "--data", "folder:letters", "--classes", "1", "--colour", "rgb"]) == 0
    with Image.open("sheet.png") as picture:
        assert picture.mode == "RGB"
    capfd.readouterr()
    assert cli.main(["data", "prepare", "--problem", "folder:letters"]) == 0
    assert capfd.readouterr().out == "folder: 3 classes of 4 to 6 examples, verified and ready\n"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--data folder:nowhere", "'nowhere' is no folder; name one that has a sub-folder"),
        ("--data folder:empty", "'empty' has no sub-folder with images"),
        ("--data folder", "--path is missing: name the folder of images, in short --data folder:PATH"),
        ("--data table", "--path is missing: name the table"),
        ("--data table:nowhere.csv", "nowhere.csv' cannot be read"),
        ("--data table:t.csv --label q", "there is no column 'q'; its columns are a, b, kind"),
        ("--data folder:one", "1 classes cannot be split into training, validation and test: have 3 or more"),
        ("--data folder:letters --ways 7", "train classes of .*letters: 6 classes cannot give 7 ways"),
        ("--data folder:letters --ways 3 --method proto_net", "validation classes of .*: 2 classes cannot give 3 ways"),
        ("--data folder:letters --shots 9", "examples of the class '.*' .*cannot give 9 shots .*; ask for at most 4"),
        ("--data folder:letters --split all", "--split all leaves no class to train on"),
        ("--data folder:letters --split own", "letters has no train, val and test; choose random"),
        ("--data folder:letters --split random:1,2", "--split random:1,2 has no three numbers"),
        ("--data folder:letters --split random:9,2,2", "9, 2, 2 classes cannot be drawn from 10"),
        ("--data folder:letters --split lake", "--split lake is no file that is here; choose auto, random"),
        ("--data folder:letters --label x", "--label goes with --problem table, not folder"),
        ("--data sinusoid:letters --shots 3", "--path goes with --problem folder or table or .*, not sinusoid"),
        ("--data glyphs --polarity inverted", "--polarity goes with --problem folder, not glyphs"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used_end_in_one_sentence_before_an_image_is_opened(
    flags: str, sentence: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(Path("letters"), classes=10)
    draw(Path("one"), classes=1)
    Path("empty").mkdir()
    write_table(Path("t.csv"))

    def opened(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(image_cache, "cached_images", opened)
    line = refused(capfd, "train", "--test-queries", "2", "--meta-steps", "2", *flags.split())
    assert re.search(sentence, line), line
    assert not Path("runs").exists()


def test_a_class_with_one_image_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    draw(Path("letters"), classes=10)
    for image in [*Path("letters/alphabet 0/C").iterdir()][1:]:
        image.unlink()
    line = refused(capfd, "train", "--data", "folder:letters", *SMALL)
    assert re.search(r"the 1 examples of the class 'alphabet 0/C' cannot give 1 shots \+ 2 queries", line), line


def test_unreadable_images_leave_neither_a_run_nor_a_cache(capfd: pytest.CaptureFixture[str]) -> None:
    draw(Path("letters"), classes=10)
    for name in ("A/0.png", "C/1.png"):
        Path("letters/alphabet 0", name).write_bytes(b"no image")
    line = refused(capfd, "train", "--data", "folder:letters", *SMALL, "--out", "run")
    assert "2 of 49 images" in line and "'alphabet 0/A/0.png'" in line and "'alphabet 0/C/1.png'" in line
    assert not Path("run").exists() and [*(cache_folder() / "images").iterdir()] == []

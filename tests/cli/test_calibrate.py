"""``headstart calibrate``: a run's learner says how sure it is, and only then."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from headstart.cli.main import main
from headstart.datasets.glyphs import draw_glyphs
from headstart.estimators.classes import load_classes
from headstart.trained.load import digest, load_trained
from run_files import take_as_it_is

pytestmark = pytest.mark.usefixtures("glyphs_are_drawn_once")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrate") / "run"
    few = "--meta-steps 2 --meta-batch 2 --width 4 --glyph-classes 20 --validation-tasks 2 --test-tasks 2"
    assert main(f"train --method proto_net {few} --out {path}".split()) == 0
    return path


@pytest.fixture(scope="module")
def calibrated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copytree(run, tmp_path_factory.mktemp("calibrated") / "run"))
    assert main(["calibrate", str(path), "--tasks", "300"]) == 0
    return path


@pytest.fixture(scope="module")
def support(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("support")
    for name, images in zip("abc", draw_glyphs(3, examples=2).images, strict=True):
        (folder / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image[0].numpy()).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.full
def test_a_run_is_sure_of_itself_once_it_is_calibrated(
    run: Path, calibrated: Path, support: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt = ["--support", str(support), "-o", str(tmp_path / "abc.safetensors")]
    assert main(["adapt", str(run), *adapt]) == 0
    assert "has no calibration" in capsys.readouterr().out
    assert main(["predict", str(tmp_path / "abc.safetensors"), str(support), "--reject", "0.95"]) == 2
    assert "headstart calibrate RUN" in capsys.readouterr().err
    assert main(["adapt", str(calibrated), *adapt]) == 0
    assert "accuracy to expect: " in capsys.readouterr().out
    calibration = load_classes(tmp_path / "abc.safetensors").calibration
    assert calibration is not None
    assert calibration.confidence.probabilities(torch.zeros(1, 3), torch.ones(3)).sum().item() == pytest.approx(1)
    assert main(["predict", str(tmp_path / "abc.safetensors"), str(support), "--reject", "0.95"]) == 0


def test_a_run_that_does_not_classify_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = "--meta-steps 1 --validation-tasks 2 --test-tasks 2"
    assert main(f"train --problem sinusoid {few} --out {tmp_path / 'run'}".split()) == 0
    assert main(["calibrate", str(tmp_path / "run")]) == 2
    assert "does not classify" in capsys.readouterr().err
    assert not (tmp_path / "run" / "calibration.json").exists()


def test_too_few_tasks_leave_nothing_behind(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name for path in run.iterdir()}
    assert main(["calibrate", str(run), "--tasks", "5"]) == 2
    assert "too few to know how often an interval holds" in capsys.readouterr().err
    assert {path.name for path in run.iterdir()} == before


@pytest.mark.full
def test_a_calibration_of_other_weights_is_not_taken(calibrated: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(calibrated, tmp_path / "run"))
    assert "calibration" in load_trained(run).notes
    path = take_as_it_is(run) / "calibration.json"
    path.write_text(path.read_text().replace(digest(load_trained(run).learner), "0" * 64))
    assert load_trained(run).notes == {}

"""``headstart adapt`` and ``predict``: from a folder of images to labels, with nothing but what is always installed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import headstart as hs
from estimators.learners import drawings, saved
from estimators.test_classifier import Doubtful
from headstart.cli import main as cli
from headstart.estimators import classes as core
from headstart.estimators.classes import load_classes
from headstart.trained.files import TrainedFile, read_trained, write_trained

NAMES = ("circle", "ü [red]", "two\nlines")


@pytest.fixture(autouse=True)
def symbols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``my_symbols`` and ``queries``, drawings of three kinds; two of the one, three of the others."""
    monkeypatch.chdir(tmp_path)
    images, kinds = drawings(each=6)
    for number, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        shown = number % 6 < (2 if kind == 0 else 3)
        folder = Path("my_symbols" if shown else "queries", NAMES[kind])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image if number % 2 else 255 - image).convert("RGB").save(folder / f"{number}.png")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    return out, err


def adapted(folder: Path, *more: str, method: str = "proto_net", **notes: Any) -> Path:
    learner = saved(folder, method, **notes)
    assert cli.main(["adapt", str(learner), "--support", "my_symbols", "-o", "me.safetensors", *more]) == 0
    return Path("me.safetensors")


def rows(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> list[dict[str, str]]:
    out, _ = printed(capsys, "predict", "me.safetensors", *arguments, "--csv", code=code)
    return list(csv.DictReader(io.StringIO(out)))


def test_right_after_installing_with_nothing_that_is_optional(symbols: Path) -> None:
    program = """
import sys
sys.modules["sklearn"] = sys.modules["matplotlib"] = None
from headstart.cli.main import main
code = main("adapt glyphs --support my_symbols -o me.safetensors".split())
code = code or main("predict me.safetensors queries".split())
import headstart as hs
try:
    hs.FewShotClassifier
except hs.BadInputError as error:
    print(error)
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "3 classes of 2 to 3 images each" in done.stdout
    assert sum(line.startswith(tuple(name[:3] for name in NAMES)) for line in done.stdout.splitlines()) == 10
    assert "pip install headstart[sklearn]" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("method", ["proto_net", "maml"])
def test_the_file_predicts_what_the_estimator_predicts(
    method: str, symbols: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapted(symbols, method=method)
    queries = sorted(str(path) for path in Path("queries").rglob("*.png"))
    found = rows(capsys, "queries")
    assert [row["fname"] for row in found] == queries
    shown = sorted(Path("my_symbols").rglob("*.png"))
    classifier = hs.FewShotClassifier(symbols / f"{method}.safetensors").fit(
        shown, [path.parent.name for path in shown]
    )
    assert [row["prediction"] for row in found] == classifier.predict(queries).tolist()
    sure = [float(row["probability"]) for row in found]
    np.testing.assert_allclose(sure, classifier.predict_proba(queries).max(1), atol=1e-5)


def test_a_table_csv_and_json_say_the_same(symbols: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = adapted(symbols)
    one = min(Path("queries", NAMES[1]).glob("*.png"))
    (row,) = rows(capsys, one)
    out, _ = printed(capsys, "predict", model, one, "--json")
    assert json.loads(out) == [{**row, "probability": float(row["probability"])}]
    out, _ = printed(capsys, "predict", model, one)
    heading, line = out.splitlines()
    assert heading.split() == ["prediction", "probability", "image"]
    assert line.split("%")[0].split()[-1] == f"{100 * float(row['probability']):.1f}"
    assert row["prediction"].replace("\n", "\\n") in line and str(one) in line


def test_what_was_shown_is_kept_with_it(symbols: Path) -> None:
    notes = read_trained(adapted(symbols, "--prepare", "none"), "fitted").notes
    assert notes["classes"] == sorted(NAMES)
    assert notes["shots"] == [2, 3, 3]
    assert notes["inputs"]["prepare"] == "none"
    assert notes["calibration"] is None and notes["expected_score"] is None


def test_with_a_calibration_it_says_what_to_expect_and_rejects(
    symbols: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "Calibration", Doubtful)
    learner = saved(symbols, "maml", calibration={"halves": True})
    adapt = ("adapt", learner, "--support", "my_symbols", "-o", "me.safetensors")
    out, _ = printed(capsys, *adapt, "--inner-steps", "5")
    assert "not known: this learner has no calibration for --inner-steps 5\n" in out
    refused(capsys, "predict", "me.safetensors", "queries", "--reject", "0.95")
    out, _ = printed(capsys, *adapt)
    assert "accuracy to expect: 8.0% (between 0.0% and 3.0%)" in out
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)).save("queries/noise.png")
    sure, rejecting = rows(capsys, "queries"), rows(capsys, "queries", "--reject", "0.95")
    expected = [row["prediction"] if float(row["probability"]) > 0.6 else "none" for row in sure]
    assert [row["prediction"] for row in rejecting] == expected
    assert 0 < expected.count("none") < len(expected)
    assert all((row["probability"] == "") == (row["prediction"] == "none") for row in rejecting)
    out, _ = printed(capsys, "predict", "me.safetensors", "queries", "--reject", "0.95", "--json")
    assert [row["probability"] is None for row in json.loads(out)] == [label == "none" for label in expected]
    out, _ = printed(capsys, "predict", "me.safetensors", "queries/noise.png", "--reject", "0.95")
    assert out.splitlines()[1].split() == ["none", "-", "queries/noise.png"]


def test_images_that_cannot_be_read_come_last_and_the_others_are_predicted(
    symbols: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = adapted(symbols)
    Path("queries/a.png").write_text("no image")
    out, err = printed(capsys, "predict", model, "queries", "missing.png", code=2)
    assert len(out.splitlines()) == 1 + 10
    (line,) = err.splitlines()
    assert "'queries/a.png' cannot be read" in line and "'missing.png' cannot be read" in line


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr; nothing was written."""
    before = sorted(Path().rglob("*"))
    out, err = printed(capsys, *arguments, code=2)
    (line,) = err.splitlines()
    assert out == "" and line.startswith("headstart: ")
    assert sorted(Path().rglob("*")) == before
    return line


def test_a_support_set_that_cannot_be_used_is_refused(symbols: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learner, out = saved(symbols), ("-o", "me.safetensors")
    sinusoid = saved(symbols, "reptile", "sinusoid")
    fixed = saved(symbols, "maml")
    Path("one/a").mkdir(parents=True)
    assert "'one' has no sub-folder with images" in refused(capsys, "adapt", learner, "--support", "one", *out)
    dot = Image.new("L", (9, 9))
    dot.putpixel((4, 4), 255)
    dot.save("one/a/1.png")
    assert "y has 1 class" in refused(capsys, "adapt", learner, "--support", "one", *out)
    Path("one/b").mkdir()
    Path("one/b/1.png").write_text("no image")
    assert "one/b/1.png' cannot be read" in refused(capsys, "adapt", learner, "--support", "one", *out)
    Image.new("L", (9, 9)).save("one/b/1.png")
    assert "one/b/1.png' shows nothing" in refused(capsys, "adapt", learner, "--support", "one", *out)
    assert "'none' is no folder" in refused(capsys, "adapt", learner, "--support", "none", *out)
    assert "'nobody' is no learner" in refused(capsys, "adapt", "nobody", "--support", "my_symbols", *out)
    assert "and no images" in refused(capsys, "adapt", sinusoid, "--support", "my_symbols", *out)
    for name in "abcdef":
        Path("six", name).mkdir(parents=True)
        Image.open(next(Path("my_symbols").rglob("*.png"))).save(Path("six", name, "1.png"))
    assert "6 classes are more than the 5" in refused(capsys, "adapt", fixed, "--support", "six", *out)


def test_a_model_that_is_none_is_refused(symbols: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = adapted(symbols)
    kind, tensors, made_from, notes = read_trained(model, "fitted")
    assert "holds a learner; adapt it first" in refused(capsys, "predict", symbols / "proto_net.safetensors", "queries")
    assert "is not there" in refused(capsys, "predict", "missing.safetensors", "queries")
    assert "no image is named" in refused(capsys, "predict", model)
    assert "choose one" in refused(capsys, "predict", model, "queries", "--csv", "--json")
    assert "has no calibration" in refused(capsys, "predict", model, "queries", "--reject", "0.9")
    Path("empty").mkdir()
    assert "'empty' has no image" in refused(capsys, "predict", model, "empty")
    write_trained(model, TrainedFile(kind, tensors, made_from, {"outputs": 3}))
    assert "does not say what its classes are" in refused(capsys, "predict", model, "queries")
    write_trained(model, TrainedFile(kind, tensors, made_from, {**notes, "classes": ["a", "b"]}))
    assert "names 2 classes" in refused(capsys, "predict", model, "queries")
    write_trained(model, TrainedFile(kind, tensors, {**made_from, "flag_of_tomorrow": 1}, notes))
    assert "was made by another version of headstart" in refused(capsys, "predict", model, "queries")
    model.write_bytes(model.read_bytes()[:-9])
    assert "was damaged" in refused(capsys, "predict", model, "queries")


def test_a_file_that_cannot_be_written_leaves_what_was_there(symbols: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learner = saved(symbols)
    printed(capsys, "adapt", learner, "--support", "my_symbols", "-o", "no/me.safetensors", code=1)
    assert not Path("no").exists()


def test_one_image_at_a_time_is_enough(symbols: Path) -> None:
    model = load_classes(adapted(symbols))
    images = torch.stack([model.inputs([path])[0] for path in sorted(Path("queries").rglob("*.png"))])
    (fit,) = model.fits
    torch.testing.assert_close(fit(images), torch.cat([fit(image[None]) for image in images]))

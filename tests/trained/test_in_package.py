"""The learners that come with headstart: small, as good as their records say, and on the page that says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import headstart as hs
from headstart.cli.models import figure
from headstart.evaluation.calibration import Calibration
from headstart.evaluation.fitted import evaluate_fitted
from headstart.trained.files import read_trained
from headstart.trained.load import IN_PACKAGE, load_trained, names_in_package

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "learners.md").read_text()
PENS = {"as_is": "one", "drawing": "many"}


@pytest.fixture(scope="module")
def glyphs() -> dict[str, hs.ImageClasses]:
    """Glyphs that no learner has seen: the first ones are for test."""
    return {form: hs.draw_glyphs(100, pens=pens) for form, pens in PENS.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names_in_package())
def test_it_reaches_what_its_record_says(name: str, glyphs: dict[str, hs.ImageClasses]) -> None:
    learner, notes = load_trained(name)
    assert learner.made_from
    if learner.made_from["problem"] == "sinusoid":
        found = evaluate_fitted(learner, hs.SinusoidTasks(shots=10, queries=100), count=20).median
    else:
        data = glyphs[learner.made_from["form"]]
        tasks = hs.ClassificationTasks(data, ways=5, shots=1, queries=15, rotations="none")
        found = evaluate_fitted(learner, tasks, count=20).value
        assert Calibration.from_record(notes["calibration"]).record() == notes["calibration"]
    assert found == pytest.approx(notes["check"], rel=0.01)


@pytest.mark.parametrize("name", names_in_package())
def test_it_is_small_and_says_how_it_was_made(name: str) -> None:
    path = IN_PACKAGE / f"{name}.safetensors"
    assert path.stat().st_size < 1e6
    made = read_trained(path, "learner").notes["made"]
    assert made["command"].startswith("headstart train --problem ")
    assert made["validation"] and made["date"]


@pytest.mark.parametrize("name", names_in_package())
def test_the_page_has_every_figure_of_the_record(name: str) -> None:
    reached = read_trained(IN_PACKAGE / f"{name}.safetensors", "learner").notes["reached"]
    assert reached
    (row,) = re.findall(rf"^\| `{name}` .*$", PAGE, re.MULTILINE)
    for entry in reached:
        assert figure(entry).split(" ")[0] in row

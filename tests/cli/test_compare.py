"""``headstart compare``, from run folders to the page."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load
from test_cli import SINUSOID, SMALL, refused

from headstart.cli import main as cli
from headstart.evaluation.summary import Summary
from headstart.experiments.methods import METHODS
from headstart.learners.scoring import MSE
from headstart.reports.colours import METHOD_STYLES
from headstart.reports.comparison_page import comparison_sections, comparison_title
from headstart.reports.comparison_record import comparison_from, plain, summary_from
from headstart.reports.page import html_page

ARGUMENTS = ["--tasks", "3", "--inner-steps", "6"]


def trained(folder: Path, name: str, *arguments: str) -> Path:
    assert cli.main(["train", *arguments, "--compile", "no", "--out", str(folder / name)]) == 0
    return folder / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of seconds: three on sinusoids, four on glyphs, one of which has other test tasks."""
    folder = tmp_path_factory.mktemp("runs")
    for method in ("maml", "reptile", "cavia"):
        trained(folder, method, "--method", method, *SINUSOID, "--test-tasks", "20")
    for name, arguments in (
        ("glyphs-maml", "--method maml"),
        ("glyphs-maml-again", "--method maml --seed 1"),
        ("glyphs-proto", "--method proto_net"),
        ("glyphs-3shot", "--method maml --shots 3"),
    ):
        trained(folder, name, *SMALL, "--test-tasks", "20", *arguments.split())
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compared(*paths: Path) -> tuple[str, str]:
    """The page and the Markdown of a comparison."""
    assert cli.main(["compare", *map(str, paths), *ARGUMENTS, "--markdown", "compare.md"]) == 0
    return Path("compare.html").read_text(), Path("compare.md").read_text()


def table(markdown: str, heading: str) -> dict[str, dict[str, str]]:
    """The cells of the table below a heading, by row and column."""
    part = markdown.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("|")]
    return {row: dict(zip(lines[0][1:], cells, strict=True)) for row, *cells in lines[2:]}


def ends(cell: str) -> tuple[float, ...]:
    """A difference and the ends of its interval."""
    return tuple(float(end.replace("−", "-")) for end in re.findall(r"[+−][\d.]+(?:e[-+]\d+)?", cell))


def test_runs_on_sinusoids(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    page, markdown = compared(runs / "maml", runs / "reptile", runs / "cavia")
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before
    out, err = capfd.readouterr()
    assert "Traceback" not in err and "Warning" not in err
    assert re.search(r"^maml: test mse .*20 tasks, task hash [0-9a-f]{12}\)\n", out, re.M)
    assert out.endswith("comparison in compare.html\n")
    # the differences, from the files alone
    files = [runs / name / "test.safetensors" for name in ("maml", "cavia")]
    ours, theirs = (load(file.read_bytes())["scores"][:, -1].astype(float) for file in files)
    differences = table(markdown, "Paired differences")
    there, back = differences["maml"]["minus cavia"], differences["cavia"]["minus maml"]
    mean, low, high = ends(there)
    assert mean == pytest.approx(np.mean(ours - theirs), rel=1e-3) and low <= mean <= high
    assert ends(back) == (-mean, -high, -low)
    # layers, learning and fitted curves
    moved = table(markdown, "How far each layer moves")
    assert [*moved] == ["inner steps of the test", "layers.0", "layers.1", "head"]
    assert float(moved["head"]["cavia"]) == 0 < float(moved["head"]["reptile"]), "the context alone adapts"
    assert [f"<figcaption>{name}, task {task}<" in page for name in ("maml", "cavia") for task in (1, 3)] == [True] * 4
    assert page.count("<figure>") == 1 + 4 + 1 + 9
    for method in ("maml", "reptile", "cavia"):
        assert page.count(METHOD_STYLES[method].colour) >= 10


def test_the_page_stands_alone_and_is_the_same_every_time(runs: Path) -> None:
    page, markdown = compared(runs / "maml", runs / "reptile")
    assert len(page.encode()) < 3_000_000
    assert "<script" not in page and "@import" not in page
    assert re.findall(r"url\((?!#)", page) == re.findall(r"\b(?:src|href)=(?!\"#)", page) == []
    assert {*re.findall(r"https?://[^\"]*", page)} <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert compared(runs / "maml", runs / "reptile") == (page, markdown)


def test_the_page_is_drawn_from_what_is_recorded(runs: Path) -> None:
    for names in (("maml", "reptile", "cavia"), ("glyphs-maml", "glyphs-proto")):
        paths = [str(runs / name) for name in names]
        assert cli.main(["compare", *paths, *ARGUMENTS, "--record", "compare.json"]) == 0
        record = json.loads(Path("compare.json").read_text())
        assert record["command"].startswith(f"headstart compare {paths[0]} ")
        for run, path in zip(record["runs"], paths, strict=True):
            test = json.loads(Path(path, "test.json").read_text())
            metric, hashed = run["test"]["metric"]["name"], test["task_hash"]
            assert run["test"]["by_inner_step"] == pytest.approx(test[f"{metric}_by_inner_step"], rel=1e-5)
            assert run["test"]["task_hash"] == hashed and "out" not in run["settings"]
        comparison = comparison_from(record)
        page = comparison_title(comparison), comparison_sections(comparison), comparison.command
        assert html_page(*page) == Path("compare.html").read_text()


def test_a_figure_that_is_not_finite_is_null_in_a_record_and_comes_back() -> None:
    figures = ([1.0, math.nan], [0.1, math.inf], [1.0, math.inf], [0, 1])
    found = Summary(MSE, 3, "0123", True, *map(tuple, figures))
    record = plain(found)
    assert json.loads(json.dumps(record, allow_nan=False))["by_inner_step"] == [1.0, None]
    assert summary_from(record).after(0) == found.after(0) and math.isnan(summary_from(record).by_inner_step[1])


def test_runs_on_glyphs(runs: Path) -> None:
    page, markdown = compared(runs / "glyphs-maml", runs / "glyphs-maml-again", runs / "glyphs-proto")
    reached = table(markdown, "What was reached")
    assert [*reached] == ["glyphs-maml", "glyphs-maml-again", "glyphs-proto"], "one method twice: the folders' names"
    test = json.loads((runs / "glyphs-proto" / "test.json").read_text())
    assert reached["glyphs-proto"]["test accuracy"] == f"{100 * test['accuracy']:.2f} % ± {100 * test['interval']:.2f}"
    assert reached["glyphs-proto"]["task hash"] == test["task_hash"][:12]
    steps = table(markdown, "Test accuracy (%) against inner steps")
    assert [*steps["glyphs-maml"]] == ["after 0", "after 1", "after 3", "after 5"]
    assert [*steps["glyphs-proto"].values()][1:] == ["–"] * 3, "it makes no inner updates"
    (level,) = re.findall(rf'<path d="([^"]*)"[^>]*stroke: {METHOD_STYLES["proto_net"].colour}', page)[:1]
    points = re.findall(r"[ML] (\S+) (\S+)", level)
    assert len({x for x, _ in points}) >= 2 and len({y for _, y in points}) == 1, "its line is level"
    assert "Fitted curves" not in page
    differing = table(markdown, "Settings that differ")
    assert differing["seed"] == {"glyphs-maml": "0", "glyphs-maml-again": "1", "glyphs-proto": "0"}
    assert differing["inner_lr"]["glyphs-proto"] == "–" and "out" not in differing and "width" not in differing


def test_what_is_evaluated_anew_is_what_evaluate_says(runs: Path) -> None:
    _, markdown = compared(runs / "glyphs-maml", runs / "glyphs-proto")
    flags = ["--test-tasks", "3", "--test-inner-steps", "6"]
    run = shutil.copytree(runs / "glyphs-maml", "copy")
    assert cli.main(["evaluate", str(run), *flags]) == 0
    result = json.loads(Path("copy/test-3tasks-6steps.json").read_text())
    found = table(markdown, "Test accuracy (%) against inner steps")["maml"]
    for step in (0, 1, 3, 5):
        value, half = (100 * result[name][step] for name in ("accuracy_by_inner_step", "interval_by_inner_step"))
        assert found[f"after {step}"] == f"{value:.2f} ± {half:.2f}"


def test_runs_that_were_tested_on_different_tasks_are_not_paired(runs: Path) -> None:
    page, markdown = compared(runs / "glyphs-maml", runs / "glyphs-3shot")
    sentence = "The runs were tested on different tasks, so that their scores cannot be paired."
    assert sentence in page and sentence in markdown and "minus glyphs" not in page
    assert [*table(markdown, "What was reached")] == ["glyphs-maml", "glyphs-3shot"]


def test_runs_of_different_problems_are_refused(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(capfd, "compare", str(runs / "maml"), str(runs / "glyphs-maml"), str(runs / "reptile"))
    assert re.search(
        r"runs of different problems cannot be compared: \S+/maml is of sinusoid, \S+-maml of glyphs;", line
    )
    assert not Path("compare.html").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "a comparison needs two run folders or more: headstart compare RUN RUN"),
        (["maml"], "a comparison needs two run folders or more"),
        (["maml", "maml"], "maml is named twice"),
        (["maml", "nowhere"], "nowhere is not a run folder"),
        (["maml", "reptile", "--tasks", "1"], "--tasks 1 is out of its range; choose 2 to"),
        (["maml", "reptile", "--inner-steps", "-1"], "--inner-steps -1 is out of its range; choose 0 to"),
        (["maml", "reptile", "--data-root", "x"], "--data-root goes with --problem omniglot, not sinusoid"),
    ],
)
def test_what_cannot_be_compared(
    arguments: list[str], sentence: str, runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert sentence in refused(capfd, "compare", *arguments)
    assert not Path("compare.html").exists()


def test_a_run_without_scores_says_how_to_get_them(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs / "maml", "old")
    Path("old/test.safetensors").unlink()
    line = refused(capfd, "compare", "old", str(runs / "reptile"))
    assert "test.safetensors" in line and line.endswith("evaluate the run again: headstart evaluate old.")
    assert cli.main(["evaluate", "old"]) == 0
    compared(Path("old"), runs / "reptile")


def test_without_matplotlib_one_sentence_says_what_to_install(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("drawing", "figures", "comparison_page"):
        monkeypatch.delitem(sys.modules, f"headstart.reports.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install headstart[report]" in refused(capfd, "compare", str(runs / "maml"), str(runs / "reptile"))


@pytest.mark.full
@pytest.mark.parametrize(("problem", "needs"), [(SMALL, "classes"), (SINUSOID, "vectors")])
def test_every_method_can_be_compared(problem: list[str], needs: str) -> None:
    methods = [name for name, method in METHODS.items() if method.needs in (None, needs)]
    paths = [trained(Path(), method, "--method", method, *problem) for method in methods]
    _, markdown = compared(*paths)
    assert [*table(markdown, "What was reached")] == methods

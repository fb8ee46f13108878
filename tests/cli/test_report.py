"""``headstart report``, from a run folder to the page."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import SINUSOID, SMALL, refused

from headstart.cli import main as cli
from headstart.cli import report
from headstart.experiments.methods import METHODS
from headstart.runs.checksums import checksum
from run_files import take_as_it_is

pytestmark = pytest.mark.usefixtures("glyphs_are_drawn_once")
FEW = ["--tasks", "6", "--inner-steps", "4"]


def trained(path: Path, *arguments: str) -> Path:
    assert cli.main(["train", *arguments, "--compile", "no", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, glyphs_are_drawn_once: None) -> Path:
    """Runs of seconds: on glyphs and on sinusoids."""
    folder = tmp_path_factory.mktemp("runs")
    trained(folder / "glyphs", *SMALL)
    trained(folder / "sinusoid", *SINUSOID)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reported(run: Path, *arguments: str) -> str:
    """The page of a run."""
    assert cli.main(["report", str(run), "--out", "page.html", *FEW, *arguments]) == 0
    return Path("page.html").read_text()


def words(page: str) -> str:
    """What a person reads of it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def unfinished(run: Path, *, meta_steps: int) -> Path:
    """A run as it is on its way: the same that has so many meta-steps to go, and no test yet."""
    copy = Path(shutil.copytree(run, "unfinished"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "meta_steps": meta_steps, "checkpoint_every": 1}))
    for name in ("test.json", "test.safetensors"):
        (copy / name).unlink()
    return take_as_it_is(copy)


def test_a_run_on_glyphs(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = reported(runs / "glyphs")
    assert capfd.readouterr().out == "report in page.html\n"
    text, test = words(page), json.loads((runs / "glyphs" / "test.json").read_text())
    for said in (
        "maml of Finn, Abbeel and Levine (2017), which learns where f starts from, trained the model conv4 on 5-way",
        f"it reaches accuracy {100 * test['accuracy']:.2f} % ± {100 * test['interval']:.2f} after 3 inner steps",
        "guessing would be right in 20 %",
        test["task_hash"][:12],
        "Test accuracy (%) against inner steps Evaluated anew on 6 test tasks",
        "The run's own test makes 3.",
        "The most confused classes In 6 test tasks,",
        "compiling",
        "--image-size 16",
        f"headstart evaluate {runs / 'glyphs'} --shots 2",
        "--support FOLDER",
    ):
        assert said in text, said
    assert page.count("<figure>") == 2 + 1 + 4 + 1 + 1 and page.count("role=img") == page.count("<figure>")
    # the numbers of the tasks are those of their mistakes
    for task in range(1, 5):
        right, queries = map(int, re.search(rf"Test task {task}: (\d+) of (\d+) queries right<", page).groups())  # type: ignore[union-attr]
        rows = re.findall(rf"<tr><th scope=row>{task}</th>.*?<td>(\d+) of (\d+)</td>", page)
        assert [sum(map(int, column)) for column in zip(*rows, strict=True)] == [right, queries] and queries == 10


def test_images_are_dark_on_white(runs: Path) -> None:
    sources = re.findall(r'href="data:image/png;base64,([^"]*)"', reported(runs / "glyphs"))
    assert len(sources) > 4 * 5 * 3
    images = [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]
    assert {image.shape for image in images} == {(16, 16)} and np.mean(images) > 160


def test_a_run_on_sinusoids(runs: Path) -> None:
    page = reported(runs / "sinusoid")
    text = words(page)
    assert "Test mse against inner steps" in text and "10-shot tasks of sinusoid" in text
    assert [f"<figcaption>maml, task {task}<" in page for task in (1, 2, 3)] == [True] * 3
    assert "confused" not in text and "guessing" not in text and "calibrate" not in text


def test_it_stands_alone_is_small_and_is_the_same_every_time(runs: Path) -> None:
    for name in ("glyphs", "sinusoid"):
        page = reported(runs / name)
        assert len(page.encode()) < 3_000_000 and "<script" not in page and "@import" not in page
        assert "http-equiv=refresh" not in page
        assert re.findall(r"url\((?!#)", page) == re.findall(r'\b(?:src|href)=(?!"#|"data:image/)', page) == []
        assert {*re.findall(r"https?://[^\"]*", page)} <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
        assert reported(runs / name) == page


def test_it_lies_in_the_run_folder_and_changes_nothing_else(runs: Path) -> None:
    run = Path(shutil.copytree(runs / "sinusoid", "run"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert cli.main(["report", "run", *FEW]) == 0
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after.keys() - before.keys() == {run / "report.html"} and after.items() >= before.items()


def test_large_colourful_images_of_many_classes_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for number in range(60):
        (tmp_path / "own" / f"kind {number}").mkdir(parents=True)
        for place in range(8):
            pixels = noise.integers(0, 256, (84, 84, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / f"kind {number}" / f"{place}.png")
    sizes = "--ways 12 --shots 5 --queries 1 --test-queries 2 --image-size 84 --colour rgb --width 4".split()  # noqa: SIM905
    few = "--meta-steps 1 --meta-batch 1 --validation-tasks 2 --test-tasks 2 --method proto_net".split()  # noqa: SIM905
    page = reported(trained(tmp_path / "run", "--data", f"folder:{tmp_path / 'own'}", *sizes, *few))
    assert 300_000 < len(page.encode()) < 3_000_000 and "data:image/jpeg" in page
    assert "10 are drawn" in page and "kind " in page and "inner steps at test" not in page


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},kind{number}" for number in range(20) for a, b in numbers.normal(number, 1, (12, 2))]
    (tmp_path / "own.csv").write_text("a,b,label\n" + "\n".join(rows) + "\n")
    sizes = "--ways 3 --test-queries 4 --width 4 --meta-steps 2 --validation-tasks 2 --test-tasks 2".split()  # noqa: SIM905
    run = trained(tmp_path / "run", "--data", f"table:{tmp_path / 'own.csv'}", *sizes)
    page = reported(run, "--tasks", "20")
    assert "<image" not in page and ">as kind" in page and "--support" not in page
    assert f"--path {tmp_path / 'own.csv'}" in words(page)
    (tmp_path / "own.csv").rename(tmp_path / "moved.csv")
    assert ">as kind" in reported(run, "--path", str(tmp_path / "moved.csv"))


def test_an_unfinished_run_shows_validation_tasks_only(runs: Path) -> None:
    run = unfinished(runs / "glyphs", meta_steps=10)
    text = words(reported(run))
    assert "2 of 10 meta-steps are done. What is shown is of validation tasks" in text
    assert "Validation accuracy (%) against inner steps" in text and "Validation task 1:" in text
    assert "headstart resume unfinished" in text and "Test" not in text.replace("The run's own test", "")


def test_a_run_that_was_stopped_says_so(runs: Path) -> None:
    run = unfinished(runs / "sinusoid", meta_steps=10)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "checkpoint_every": 100}))
    assert "Training has stopped: 2 of 10 meta-steps are done." in words(reported(run))


def test_a_run_that_has_just_begun(runs: Path) -> None:
    run = unfinished(runs / "glyphs", meta_steps=10)
    for path in (run / "metrics.jsonl", run / "best.safetensors"):
        path.unlink()
    shutil.rmtree(run / "checkpoints")
    text = words(reported(run))
    assert "Training has not yet saved anything" in text and "headstart resume unfinished" in text
    assert "Learning curves" not in text


def test_a_run_without_validation(runs: Path) -> None:
    run = unfinished(runs / "glyphs", meta_steps=10)
    (run / "best.safetensors").unlink()
    log = [line for line in (run / "metrics.jsonl").read_text().splitlines() if "validation" not in line]
    (run / "metrics.jsonl").write_text("\n".join(log) + "\n")
    for state in run.glob("checkpoints/*/state.json"):
        content = json.loads(state.read_text())
        state.write_text(json.dumps({**content, "log": checksum((run / "metrics.jsonl").read_bytes())}))
    text = words(reported(run))
    assert "There was no validation so far." in text and "validation tasks 1" not in text


def test_watching_writes_anew_and_ends_with_the_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run, source = unfinished(runs / "sinusoid", meta_steps=2), runs / "sinusoid"
    monkeypatch.setattr(report, "LOOK_EVERY", 0.01)
    pages: list[str] = []

    def finish() -> None:
        while not (run / "report.html").exists():
            time.sleep(0.01)
        pages.append((run / "report.html").read_text())
        for name in ("test.safetensors", "test.json"):
            shutil.copy(source / name, run / name)

    other = threading.Thread(target=finish)
    other.start()
    assert cli.main(["report", "--watch", str(run), *FEW]) == 0
    other.join()
    (first,), last = pages, (run / "report.html").read_text()
    assert "http-equiv=refresh" in first and "has not yet been tested" in first
    assert "http-equiv=refresh" not in last and "it reaches mse" in last
    assert capfd.readouterr().out.splitlines()[-1] == f"report in {run}/report.html"


def test_watching_ends_when_training_is_stopped(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = unfinished(runs / "sinusoid", meta_steps=10)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "checkpoint_every": 2}))
    monkeypatch.setattr(report, "SHARE", 1.0)

    def stop(_: float) -> None:
        with (run / "metrics.jsonl").open("a") as log:
            log.write('{"meta_step": 3, "loss": 1.0, "mse": 1.0, "seconds": 1.0}\n')

    monkeypatch.setattr(report.time, "sleep", stop)
    assert cli.main(["report", "--watch", str(run), *FEW]) == 0
    assert "Training has stopped: 3 of 10" in (run / "report.html").read_text()


def test_ctrl_c_ends_watching_with_a_page_that_is_still(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = unfinished(runs / "sinusoid", meta_steps=10)

    def interrupt(_: float) -> None:
        assert "http-equiv=refresh" in (run / "report.html").read_text()
        raise KeyboardInterrupt

    monkeypatch.setattr(report.time, "sleep", interrupt)
    assert cli.main(["report", "--watch", str(run), *FEW]) == 0
    assert "http-equiv=refresh" not in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere is not a run folder: it holds no config.json."),
        (["."], ". is not a run folder"),
        (["sinusoid", "--tasks", "1"], "--tasks 1 is out of its range; choose 2 to"),
        (["sinusoid", "--out", "no/such/page.html"], "there is no folder no/such; make it first."),
        (["sinusoid", "--out", "."], "--out . is a folder; name a file"),
        (["sinusoid", "--data-root", "x"], "--data-root goes with --problem omniglot, not sinusoid"),
    ],
)
def test_what_cannot_be_reported(
    arguments: list[str], sentence: str, runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert sentence in refused(capfd, "report", *arguments)


def test_without_matplotlib_one_sentence_says_what_to_install(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("drawing", "figures", "adaptation_page", "run_page"):
        monkeypatch.delitem(sys.modules, f"headstart.reports.{name}", raising=False)
    monkeypatch.delattr("headstart.reports.run_page", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install headstart[report]" in refused(capfd, "report", str(runs / "sinusoid"))


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_reported(name: str) -> None:
    problem = SINUSOID if METHODS[name].needs == "vectors" else SMALL
    assert f"{name} on " in reported(trained(Path("run"), "--method", name, *problem))

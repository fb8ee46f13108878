"""Published settings, the records of their runs, and the page that is made of these."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import headstart as hs
from headstart.cli import main as cli
from headstart.cli.evaluate import Evaluate
from headstart.cli.train import Train
from headstart.experiments import recipes
from headstart.experiments.experiment import Experiment
from headstart.experiments.recipes import RECIPES, recipe_called
from headstart.experiments.records import ADDED, settings_from_record
from headstart.experiments.reproduction import read_records
from headstart.experiments.settings import check, flags_of
from headstart.reports.board import board_page
from headstart.reports.results import against, results_page
from headstart.runs.config import PLACES

ROOT = Path(__file__).parents[2]
RECORDS = [json.loads(path.read_text()) for path in sorted((ROOT / "results").glob("*.json"))]
KEYS = {
    "recipe", "study", "note", "problem", "method", "ways", "shots", "metric", "value", "interval", "by_inner_step",
    "transductive", "inner_steps", "tasks", "task_hash", "seed", "meta_steps", "published_meta_steps", "published",
    "minutes", "compile_minutes", "machine", "date", "commit", "command",
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_begun(name: str) -> None:
    """Its settings belong to its problem and method, and make a learner; every one has a source."""
    recipe = RECIPES[name]
    settings = recipe.at()
    check(settings)
    assert settings_from_record(settings.record()) == settings
    assert Experiment(settings).learner
    assert all(recipe.settings) and recipe.source and (recipe.published is None or recipe.published.value > 0)


@pytest.mark.parametrize("name", ["reptile-omniglot-5w1s", "maml-sinusoid-5shot"])
def test_the_flags_of_a_recipe_mean_its_settings(name: str) -> None:
    settings = recipe_called(name).at(0.1, seed=3)
    assert cli.parse(["train", *flags_of(settings)]).record() == settings.record()


@pytest.mark.parametrize("budget", [0, -1, 1.5, float("nan")])
def test_a_budget_is_a_share(budget: float) -> None:
    with pytest.raises(hs.BadInputError, match="is no share of the published meta-steps"):
        recipe_called("maml-omniglot-5w1s").at(budget)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A recipe of seconds."""
    recipe = RECIPES["maml-sinusoid-5shot"]
    tiny = {"width": 4, "meta_steps": 20, "meta_batch": 2, "validation_tasks": 2, "test_tasks": 3, "test_queries": 4}
    own = {k: {n: v for n, v in part.items() if n not in tiny} for k, part in recipe.settings.items()}
    monkeypatch.setitem(recipes.RECIPES, "small", dataclasses.replace(recipe, settings={**own, "test": tiny}))
    monkeypatch.chdir(tmp_path)
    return "small"


def test_a_recipe_is_trained_tested_and_recorded(small: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", small, "--budget", "0.5", "--seeds", "2"]) == 0
    first, second = read_records(Path("results"))
    assert first.keys() >= KEYS and (first["seed"], second["seed"]) == (0, 1)
    assert (first["meta_steps"], first["published_meta_steps"]) == (10, 20)
    assert first["metric"] == "mse" and len(first["by_inner_step"]) == 11
    assert first["command"] == "headstart reproduce small --budget 0.5 --seed 0"
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    assert cli.main(["reproduce", small, "--budget", "0.5"]) == 0, "what is there is not done again"
    assert {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()} == before
    assert cli.main(["reproduce", small, "--test-interval", "1e-9", "--results", "others"]) == 0
    (other,) = read_records(Path("others"))
    assert other["command"].endswith("--seed 0 --test-interval 1e-09") and other["settings"]["test_interval"] == 1e-9
    assert other["tasks"] == 3, "so narrow an interval takes all tasks"
    capfd.readouterr()
    assert cli.main(["results", "--out", "page.md", "--board", "board.md"]) == 0
    (row,) = [line for line in Path("page.md").read_text().splitlines() if line.startswith("| small |")]
    assert "`headstart reproduce small --budget 0.5 --seed 0 --seeds 2`" in row, "two seeds are one row"
    assert "small" not in Path("board.md").read_text(), "a sinusoid is no Omniglot task"


def test_other_processes_are_told_the_same_commands(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are started by ``argv``, which must mean the command itself."""
    told: list[tuple[object, list[str]]] = []
    for command in (Train, Evaluate):
        monkeypatch.setattr(command, "run_command", lambda self, argv: told.append((self, argv)) or 0)
    cli.main(["reproduce", small])
    out = Path("runs/reproduce/small-20-seed0")
    out.mkdir(parents=True)
    (out / "test.json").write_text("{}")
    cli.main(["reproduce", small])
    (train, train_argv), (evaluate, evaluate_argv) = told
    assert isinstance(train, Train) and cli.parse(train_argv).replace().record() == train.replace().record()
    assert evaluate == cli.parse(evaluate_argv)


def test_recipes_of_one_study_are_a_table_of_their_own_and_notes_stand_below() -> None:
    (record, *_) = RECORDS
    page = results_page([record, {**record, "study": "Why?", "note": "Because."}])
    assert page.count("\n| --- ") == 2
    assert page.index("\n## Sinusoid" if record["problem"] == "sinusoid" else "\n## Omniglot") < page.index("## Why?")
    assert page.endswith(f"\n{record['recipe']}: Because.\n")


def test_the_board_has_the_fastest_run_that_reached_it_in_each_mode() -> None:
    def run(recipe: str, method: str, minutes: float, value: float, inductive: float) -> dict[str, object]:
        return {
            "recipe": recipe, "problem": "omniglot", "method": method, "ways": 5, "shots": 1, "metric": "accuracy",
            "value": value, "interval": 0.002, "transductive": True, "minutes": minutes, "date": "2026-01-01",
            "otherwise": {"accuracy": inductive, "interval": 0.003},
        }  # fmt: skip

    page = board_page(
        [run("a", "maml", 20, 0.988, 0.97), run("b", "maml", 10, 0.981, 0.98), run("c", "proto_net", 5, 0.982, 0.979)]
    )
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.splitlines() if row.startswith("| 5-way")]
    found = {(row[1], row[2]): (row[3][:1], row[4], row[5][:1], row[6]) for row in rows}
    assert found["98.00", "transductive"] == ("b", "10", "c", "5")
    assert found["98.00", "inductive"] == ("b", "10", "b", "10")
    assert found["98.70", "transductive"] == ("a", "20", "a", "20")
    assert found["99.00", "transductive"] == ("", "", "", "")


def test_an_unknown_recipe_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", "maml-imagenet"]) == 2
    assert "there is no recipe 'maml-imagenet'; `headstart recipes` lists them" in capfd.readouterr().err


@pytest.mark.parametrize("flag", ["--seeds 0", "--seed -1", "--workers 0", "--budget 0"])
def test_what_is_reproduced_has_bounds(flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", "maml-sinusoid-5shot", *flag.split()]) == 2
    assert f"{flag}" in (err := capfd.readouterr().err) and "is out of its range; choose" in err


def test_the_recipes_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes"]) == 0
    rows = capfd.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(RECIPES)


# what is committed


def test_the_command_of_every_record_parses_to_its_settings() -> None:
    for record in RECORDS:
        assert record.keys() >= KEYS
        program, *argv = record["command"].split()
        command = cli.parse(argv)
        assert program == "headstart" and command.recipe == record["recipe"]
        settings = {name: value for name, value in command.settings().record().items() if name not in PLACES}
        before = {name: value for name, value in ADDED.items() if name in settings}  # of records from before there were
        assert settings == {**before, **record["settings"]}, record["recipe"]


def test_the_page_is_that_of_the_records() -> None:
    notes = ROOT / "results" / "notes.md"
    assert (ROOT / "docs" / "results.md").read_text() == results_page(RECORDS, notes.read_text())
    assert (ROOT / "docs" / "speedrun.md").read_text() == board_page(RECORDS)


def test_every_row_below_its_published_interval_has_a_note() -> None:
    notes = (ROOT / "results" / "notes.md").read_text()
    for record in RECORDS:
        if record["metric"] == "accuracy" and against(record["published"], record["value"]).endswith("below"):
            assert f"**{record['recipe']}**" in notes

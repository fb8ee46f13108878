"""``headstart recipes``, ``reproduce`` and ``results``: what was published, and what comes out here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from headstart.cli.evaluate import Evaluate
from headstart.cli.output import print_table, tell
from headstart.cli.train import Train
from headstart.experiments.recipes import RECIPES, recipe_called
from headstart.experiments.settings import Settings, flags_of
from headstart.problems.settings import Count, Processes, Rate, Seed


@dataclass(frozen=True)
class Recipes:
    """List the published settings that can be reproduced."""

    def run_command(self, argv: list[str]) -> int:
        """Prints the table."""
        table = []
        for name, recipe in RECIPES.items():
            steps = f"{recipe.at().outer_loop.meta_steps:,}"
            mode = "transductive" if recipe.transductive else "inductive"
            table.append((name, str(recipe.published or "of our own"), mode, steps, recipe.source))
        print_table(("recipe", "published", "tested", "meta-steps", "source"), table)
        return 0


@dataclass(frozen=True)
class Reproduce:
    """Train a published recipe, test it as it was tested, and write a record of what came out."""

    recipe: tyro.conf.Positional[str]
    """Name of the recipe; `headstart recipes` lists them."""
    budget: Rate = 1.0
    """Share of the published meta-steps."""
    seeds: Count = 1
    """Runs, with seeds from --seed on."""
    seed: Seed = 0
    """First seed."""
    data_root: Path | None = None
    """Folder of the Omniglot zips or of their content."""
    test_interval: Rate | None = None
    """Half the 95 % interval at which the tests end, looked at after every hundred tasks; all tasks if None."""
    workers: Processes | None = None
    """Processes that share the tasks of a meta-step; chosen by itself if None."""
    runs: Path = Path("runs/reproduce")
    """Where the run folders are; what was begun there is gone on with."""
    results: Path = Path("results")
    """Where the record goes."""

    def run_command(self, argv: list[str]) -> int:
        """Trains what is not trained yet, tests in both modes and writes the records."""
        recipe = recipe_called(self.recipe)
        for seed in range(self.seed, self.seed + self.seeds):
            words = f"{self.recipe} --budget {self.budget:g} --seed {seed}"
            words += f" --test-interval {self.test_interval:g}" if self.test_interval else ""
            if code := self.run_one(recipe.at(self.budget, seed), words):
                return code
        return 0

    def settings(self) -> Settings:
        """The settings of the first run."""
        return recipe_called(self.recipe).at(self.budget, self.seed)

    def run_one(self, settings: Settings, words: str) -> int:
        """Trains, tests and records one run; its exit code."""
        from headstart.experiments.reproduction import MODES, record_of, write_record

        stem = self.recipe.removesuffix("-inductive")
        stem += f"-{self.test_interval:g}interval" if self.test_interval else ""
        out = self.runs / f"{stem}-{settings.outer_loop.meta_steps}-seed{settings.run.seed}"
        given = {"workers": self.workers, "data_root": self.data_root, "test_interval": self.test_interval}
        places = {"out": out, **given}
        settings = settings.replace(**{k: v for k, v in places.items() if v is not None and k in settings.record()})
        train, evaluate = Train(**dict(settings.groups())), Evaluate(out, inductive=True)
        train_argv, evaluate_argv = ["train", *flags_of(settings)], ["evaluate", str(out), "--inductive"]
        for mode, command, argv in ((True, train, train_argv), (False, evaluate, evaluate_argv)):
            code = 0 if (out / MODES[mode]).exists() else command.run_command(argv)
            if code or not (out / MODES[mode]).exists():
                return code
        record = record_of(self.recipe, recipe_called(self.recipe), settings, out, f"headstart reproduce {words}")
        tell(f"record in {write_record(record, self.results)}")
        return 0


@dataclass(frozen=True)
class Results:
    """Write the page of results, the board of minutes and the page of comparisons from the records alone."""

    records: Path = Path("results")
    """Folder of the records, and of `notes.md`, which says what falls short and why. Its folder `comparison`, if there
    is one, has records of `headstart compare --record NAME.json`, and their text."""
    out: Path = Path("docs/results.md")
    """The page of results."""
    board: Path = Path("docs/speedrun.md")
    """The board."""
    comparison: Path = Path("docs/comparison.md")
    """The page of comparisons; its pictures lie in `images` beside it."""

    def run_command(self, argv: list[str]) -> int:
        """Writes the pages."""
        from headstart.experiments.reproduction import read_records
        from headstart.reports.board import board_page
        from headstart.reports.results import results_page
        from headstart.system.files import write_bytes

        records, notes = read_records(self.records), self.records / "notes.md"
        page = results_page(records, notes.read_text() if notes.exists() else "")
        write_bytes(self.out, page.encode())
        write_bytes(self.board, board_page(records).encode())
        print(f"results in {self.out}, the board in {self.board}")
        if (compared := self.records / "comparison").is_dir():
            self.write_comparison(compared)
        return 0

    def write_comparison(self, folder: Path) -> None:
        """Writes the page of comparisons and its pictures."""
        from headstart.reports.comparison_docs import comparison_docs
        from headstart.system.files import disk_errors, write_bytes

        page, pictures = comparison_docs(folder)
        for name, content in {self.comparison.name: page, **pictures}.items():
            path = self.comparison.parent / name
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content.encode())
        print(f"the comparison in {self.comparison}")

"""``headstart report``: one run as a page, once or anew whenever it has come further."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from headstart.cli.imports import Imports
from headstart.cli.output import check_place, tell
from headstart.problems.settings import Natural, Several

if TYPE_CHECKING:
    from headstart.experiments.experiment import Experiment
    from headstart.reports.sample import ReportedRun

LOOK_EVERY = 2.0
"""Seconds between two looks at a run that is watched."""
RELOAD_EVERY = 15
"""Seconds after which a page of a run that goes on reloads itself."""
SHARE = 0.1
"""Part of the time that watching may take from training."""


@dataclass(frozen=True)
class Report:
    """Write one run as a page: what was trained, how it went, what it gets right and wrong, and how to go on."""

    run: tyro.conf.Positional[Path]
    """Run folder, finished or not."""
    out: Path | None = None
    """The page, with its pictures inside; report.html in the run folder if None."""
    watch: bool = False
    """Write it anew whenever the run has come further, until it ends or you press Ctrl-C."""
    tasks: Several = 100
    """Tasks that the run is evaluated on anew: test tasks, or validation tasks while it is not tested."""
    inner_steps: Natural = 10
    """Inner updates that it makes there, if its test makes no more."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    path: Path | None = None
    """Folder or table of your own data, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Writes the page, or goes on writing it."""
        from headstart.reports import run_page  # noqa: F401  (without matplotlib nothing is measured in vain)
        from headstart.reports.reading import experiment_of

        given = {name: getattr(self, name) for name in ("data_root", "path", "device")}
        experiment = experiment_of(self.run, **{name: value for name, value in given.items() if value is not None})
        out = self.out or self.run / "report.html"
        check_place(out)
        if self.watch:
            self.follow(experiment, out, argv)
        else:
            self.write(experiment, out, argv, reload=False)
        tell(f"report in {out}")
        return 0

    def write(self, experiment: Experiment, out: Path, argv: list[str], *, reload: bool) -> None:
        """Writes the page of the run as it now stands."""
        from headstart.reports.page import html_page
        from headstart.reports.run_page import run_sections, run_title
        from headstart.reports.sample import reported_run, sampled
        from headstart.system.files import write_bytes

        run = reported_run(self.run, experiment)
        sections = run_sections(run, sampled(run, self.tasks, self.inner_steps))
        footer = shlex.join(["headstart", *argv])
        page = html_page(run_title(run), sections, footer, RELOAD_EVERY if reload else None)
        write_bytes(out, page.encode())

    def follow(self, experiment: Experiment, out: Path, argv: list[str]) -> None:
        """Writes the page whenever the run has come further, until it ends; the last one does not reload itself."""
        from headstart.reports.sample import reported_run

        began, seen, rested = reported_run(self.run, experiment).meta_step, None, 0.0
        tell(f"watching {self.run}: open {out}; Ctrl-C ends it")
        try:
            while not has_ended(reported_run(self.run, experiment), began):
                if time.monotonic() >= rested:
                    seen, started = state_of(self.run), time.monotonic()
                    self.write(experiment, out, argv, reload=True)
                    rested = time.monotonic() + (time.monotonic() - started) * (1 / SHARE - 1)
                while state_of(self.run) == seen:
                    time.sleep(LOOK_EVERY)
                time.sleep(LOOK_EVERY)
        except KeyboardInterrupt:
            tell("not watched any more; the run itself goes on")
        self.write(experiment, out, argv, reload=False)


def state_of(run: Path) -> list[tuple[int, int]]:
    """What changes when a run comes further: the times and sizes of its log and its result."""
    files = (run / name for name in ("metrics.jsonl", "test.json"))
    return [(file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()]


def has_ended(run: ReportedRun, began: int) -> bool:
    """Whether the run was tested, or has stopped early since it had come to meta-step ``began``."""
    return run.test is not None or (run.stopped and run.meta_step > began)

"""``headstart compare``: trained runs of one problem side by side, as a page and as tables."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from headstart.cli.imports import Imports
from headstart.cli.output import check_place, tell
from headstart.problems.settings import Natural, Several


@dataclass(frozen=True)
class Compare:
    """Compare trained runs of one problem: what they reach, how clear the differences are, how they adapt and learn."""

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN RUN [RUN ...]", help_behavior_hint="(two or more)"),
    ]
    """Run folders."""
    out: Path = Path("compare.html")
    """The page, with its pictures inside."""
    markdown: Path | None = None
    """Where its tables go as Markdown; nowhere if None."""
    record: Path | None = None
    """Where all that was measured goes as JSON, from which page and tables are drawn; nowhere if None."""
    tasks: Several = 200
    """Test tasks that the runs are evaluated on anew, inner step by inner step."""
    inner_steps: Natural = 50
    """Inner updates that they make there."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Measures the runs and writes the page."""
        from headstart.reports.comparison import check_comparable, compared, finished_run
        from headstart.reports.comparison_page import comparison_sections, comparison_title
        from headstart.reports.comparison_record import comparison_from
        from headstart.reports.page import html_page, markdown_page
        from headstart.system.files import write_bytes

        check_place(self.out)
        given = {"data_root": self.data_root, "device": self.device}
        places = {name: value for name, value in given.items() if value is not None}
        finished = [finished_run(path, **places) for path in self.runs]
        check_comparable(finished)
        record = compared(finished, self.tasks, self.inner_steps, shlex.join(["headstart", *argv])).record()
        comparison = comparison_from(record)
        page = comparison_title(comparison), comparison_sections(comparison), comparison.command
        write_bytes(self.out, html_page(*page).encode())
        if self.markdown:
            write_bytes(self.markdown, markdown_page(*page).encode())
        if self.record:
            write_bytes(self.record, (json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n").encode())
        for run, of in zip(comparison.runs, finished, strict=True):
            tell(f"{run.label}: test {of.test}")
        tell(f"comparison in {self.out}")
        return 0

"""The command line, ``headstart train | resume | evaluate | methods | data``; PyTorch waits until work begins."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args

import tyro
from rich.console import Console
from rich.table import Table

from headstart import __version__
from headstart.cli.commands import DataCommand, Evaluate, Methods, Resume
from headstart.errors import BadInputError, RunStoppedError
from headstart.experiments.config import Config, Data
from headstart.experiments.defaults import default_config
from headstart.experiments.methods import METHODS
from headstart.system.process import keep_compiled_programs, keep_freed_memory, launched, speaks

SPIN_COUNT = "10000"
"""How long an idle thread of PyTorch's waits before it lets others run. The default is so long that a second process on
the same cores makes a meta-step 10 to 30 times slower; this one is as fast on a quiet machine."""

WIDTH = 200
"""Columns of a table that does not go to a terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (the work had to stop), 2 (bad input) or 128 + a signal."""
    argv = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if argv == ["--version"]:
        print(f"headstart {__version__}")
        return 0
    command = parse(argv)
    if isinstance(command, Methods):
        print_methods()
        return 0
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    keep_freed_memory()
    keep_compiled_programs()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("headstart").setLevel(logging.INFO if speaks() else logging.WARNING)
    try:
        from headstart.cli.running import run_command

        code = run_command(command, argv)
    except BadInputError as error:
        code = complain(str(error), 2)
    except RunStoppedError as error:
        code = complain(str(error), 1)
    except KeyboardInterrupt:
        code = complain("interrupted", 130)
    return leave(code)


def leave(code: int) -> int:
    """The exit code. One process of several ends here and now: a thread of gloo's that lets go of its last tensor while
    Python is shutting down would abort it."""
    if launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def complain(message: str, code: int) -> int:
    """One line on stderr, and the exit code that goes with it: both are rank 0's, the other ranks just end."""
    if not speaks():
        return 0
    print(f"headstart: {' '.join(message.split())}", file=sys.stderr)
    return code


def parse(argv: list[str]) -> Any:
    """The command that ``argv`` asks for; leaves with exit code 2 and one line where it asks for none."""
    commands = Union[  # noqa: UP007  (tyro reads the annotations at run time)
        Annotated[Config, tyro.conf.subcommand("train", default=recipe_of(argv))],
        Annotated[Resume, tyro.conf.subcommand("resume")],
        Annotated[Evaluate, tyro.conf.subcommand("evaluate")],
        Annotated[Methods, tyro.conf.subcommand("methods")],
        Annotated[DataCommand, tyro.conf.subcommand("data")],
    ]
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                commands,
                prog="headstart",
                description="Learn what a new task should start from. `headstart train` alone trains MAML on glyphs.",
                args=argv,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as leave:
        if leave.code:
            leave.code = complain(f"{first_part(box.getvalue())} (see headstart --help)", 2)
        raise


def print_methods() -> None:
    """What ``--method`` can be, as a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("method", "learns", "in Python", "order", "cost", "source"):
        table.add_column(heading, no_wrap=heading != "source")
    for name, method in METHODS.items():
        table.add_row(name, method.family, str(method), str(method.order), method.cost, method.source)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    print("cost: gradients of one support or query set per task, with s inner steps")


def recipe_of(argv: list[str]) -> Config:
    """The recipe whose settings are the defaults: that of --data and --method where ``argv`` gives them."""
    data, method = last_value(argv, "--data"), last_value(argv, "--method")
    known_data: Data = next((value for value in get_args(Data) if value == data), "glyphs")
    return default_config(known_data, method if method in METHODS else "maml")


def last_value(argv: list[str], flag: str) -> str | None:
    """What ``argv`` gives last for ``flag``, as ``flag value`` or ``flag=value``."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    return next((value for name, value in reversed(list(itertools.pairwise(words))) if name == flag), None)


def first_part(box: str) -> str:
    """The text of tyro's framed message up to its first rule, in one line."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    rule = next((number for number, line in enumerate(lines) if line.startswith("─")), len(lines))
    return " ".join(lines[:rule])

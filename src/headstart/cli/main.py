"""The command line: one row per command; PyTorch waits until work begins."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro

from headstart import __version__
from headstart.cli.adapt import Adapt
from headstart.cli.calibrate import Calibrate
from headstart.cli.compare import Compare
from headstart.cli.data import Prepare, Sheet
from headstart.cli.evaluate import Evaluate
from headstart.cli.imports import import_extensions
from headstart.cli.methods import Methods
from headstart.cli.models import Models
from headstart.cli.output import complain
from headstart.cli.predict import Predict
from headstart.cli.report import Report
from headstart.cli.reproduce import Recipes, Reproduce, Results
from headstart.cli.train import Resume, Train
from headstart.errors import BadInputError, RunStoppedError, shortened
from headstart.experiments.settings import CHOICES, chosen, default_settings, misplaced
from headstart.problems.settings import as_record, check_values
from headstart.system.process import end_with_launcher, keep_compiled_programs, keep_freed_memory, launched, speaks
from headstart.system.signals import Signalled
from headstart.system.streams import Lasting, output_that_lasts

SPIN_COUNT = "10000"
"""How long an idle thread of PyTorch's waits before it lets others run. The default is so long that a second process on
the same cores makes a meta-step 10 to 30 times slower; this one is as fast on a quiet machine."""

LONGEST_LINE = 500
"""Characters of what tyro says of a flag."""
BROKEN_PIPE = 141
"""The exit code of a command whose reader is gone: 128 + SIGPIPE."""
NO_MEMORY = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
"""What PyTorch says where there is none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (the work had to stop), 2 (bad input) or 128 + a signal."""
    argv = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    with output_that_lasts() as output:
        try:
            code = run(argv)
        except BadInputError as error:
            code = complain(str(error), 2)
        except (RunStoppedError, OSError, MemoryError, RuntimeError) as error:
            if not (sentence := reason(error)):
                raise
            code = complain(sentence, 1)
        except Signalled as error:
            code = complain(str(error), error.code)
        except KeyboardInterrupt:
            code = complain("interrupted", 130)
        except SystemExit as end:  # after --help, or what tyro refuses
            end.code = ended(output, int(end.code or 0))
            raise
        return leave(ended(output, code))


def run(argv: list[str]) -> int:
    """Runs one command in a process that is set up for it."""
    if argv == ["--version"]:
        print(f"headstart {__version__}")
        return 0
    end_with_launcher()
    command = parse(argv)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    keep_freed_memory()
    keep_compiled_programs()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("headstart").setLevel(logging.INFO if speaks() else logging.WARNING)
    return int(command.run_command(argv))


def reason(error: Exception) -> str:
    """Why the work had to stop, where it was for no mistake in the program: empty otherwise.

    >>> reason(OSError(36, "File name too long", "runs/a")), reason(RuntimeError("shapes do not match"))
    ('runs/a cannot be used (File name too long).', '')
    """
    if isinstance(error, RunStoppedError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used ({error.strerror})."
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return "there is not enough memory for this; choose fewer tasks, classes or examples, or a smaller model."
    return ""


def ended(output: Lasting, code: int) -> int:
    """The exit code of a command that has ended with ``code``, if all that it printed has arrived."""
    output.flush()
    if code or output.error is None:
        return code
    if isinstance(output.error, BrokenPipeError):
        return BROKEN_PIPE
    return complain(f"what was printed cannot be written ({output.error.strerror}).", 1)


def leave(code: int) -> int:
    """The exit code. One process of several ends here and now: a thread of gloo's that lets go of its last tensor while
    Python is shutting down would abort it."""
    if launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def parse(argv: list[str]) -> Any:
    """The command that ``argv`` asks for; leaves with exit code 2 and one line where it asks for none.

    Raises:
        BadInputError: a flag does not belong to the problem, the model or the method, or has none of its values.
    """
    import_extensions(values_of(argv, "--import"))
    argv = with_path(argv)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            command = tyro.cli(
                commands(argv),
                prog="headstart",
                description="Learn what a new task should start from. `headstart train` alone trains MAML on glyphs.",
                args=argv,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as leave:
        if leave.code:
            leave.code = complain(f"{shortened(first_part(box.getvalue()), LONGEST_LINE)} (see headstart --help)", 2)
        raise
    check_values(command)
    return command


def commands(argv: list[str]) -> Any:
    """The commands with the flags that belong to the problem, the model and the method that ``argv`` names."""
    names = {choice: last_of(values_of(argv, f"--{choice}", *CHOICES[choice][2])) for choice in CHOICES}
    known = {choice: name for choice, name in names.items() if name and name in CHOICES[choice][0]}
    settings = default_settings(known.get("problem", "glyphs"), known.get("method", "maml"), known.get("model"))
    images = chosen("problem", known.get("problem", "omniglot"))()
    if argv[0] == "train":
        refuse_misplaced(argv, settings.record(), settings.names())
    if argv[0] == "data":
        refuse_misplaced(argv, {**as_record(settings.task), **as_record(images)}, {"problem": images.problem})
    data = Union[  # noqa: UP007  (tyro reads the annotations at run time)
        Annotated[Prepare, tyro.conf.subcommand("prepare", default=Prepare(images))],
        Annotated[Sheet, tyro.conf.subcommand("sheet", default=Sheet(images))],
    ]
    return Union[  # noqa: UP007
        Annotated[Train, tyro.conf.subcommand("train", default=Train(**dict(settings.groups())))],
        Annotated[Resume, tyro.conf.subcommand("resume")],
        Annotated[Evaluate, tyro.conf.subcommand("evaluate")],
        Annotated[Calibrate, tyro.conf.subcommand("calibrate")],
        Annotated[Compare, tyro.conf.subcommand("compare")],
        Annotated[Report, tyro.conf.subcommand("report")],
        Annotated[Adapt, tyro.conf.subcommand("adapt")],
        Annotated[Predict, tyro.conf.subcommand("predict")],
        Annotated[Models, tyro.conf.subcommand("models")],
        Annotated[Methods, tyro.conf.subcommand("methods")],
        Annotated[Recipes, tyro.conf.subcommand("recipes")],
        Annotated[Reproduce, tyro.conf.subcommand("reproduce")],
        Annotated[Results, tyro.conf.subcommand("results")],
        Annotated[data, tyro.conf.subcommand("data", description="Prepare a data set, or look at it.")],
    ]


def with_path(argv: list[str]) -> list[str]:
    """``argv`` with ``--path`` in full, where a problem is given as ``NAME:PATH``.

    >>> with_path(["train", "--data", "folder:my/images", "--problem=table:a.csv"])
    ['train', '--data', 'folder', '--path', 'my/images', '--problem', 'table', '--path', 'a.csv']
    """
    table, _, aliases = CHOICES["problem"]
    words: list[str] = []
    for argument in argv:
        before, sign, value = argument.partition("=")
        flag, given = (before, value) if sign else (words[-1] if words else "", argument)
        name, colon, path = given.partition(":")
        if colon and name in table and flag in ("--problem", *aliases):
            words += [flag] * bool(sign) + [name, "--path", path]
        else:
            words.append(argument)
    return words


def refuse_misplaced(argv: list[str], record: dict[str, Any], names: dict[str, str]) -> None:
    """Refuses a flag that belongs to another problem, model or method than those that are chosen.

    Raises:
        BadInputError: there is one.
    """
    given = [word.split("=")[0].removeprefix("--").replace("-", "_") for word in argv if word.startswith("--")]
    for name in (word.removeprefix("no_") for word in given):
        if name not in record and (sentence := misplaced(name, names)):
            raise BadInputError(sentence)


def values_of(argv: list[str], *flags: str) -> list[str]:
    """What ``argv`` gives for one of ``flags``, as ``flag value`` or ``flag=value``, in order.

    >>> values_of(["train", "--data", "omniglot", "--problem=glyphs"], "--problem", "--data")
    ['omniglot', 'glyphs']
    """
    words = [word for argument in argv for word in argument.split("=", 1)]
    return [value for name, value in itertools.pairwise(words) if name in flags]


def last_of(values: list[str]) -> str | None:
    """The last of them, which is the one that counts."""
    return values[-1] if values else None


def first_part(box: str) -> str:
    """The text of tyro's framed message up to its first rule, in one line."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    rule = next((number for number, line in enumerate(lines) if line.startswith("─")), len(lines))
    return " ".join(lines[:rule])

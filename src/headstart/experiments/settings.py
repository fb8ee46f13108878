"""Everything that a run can be set to: the flags of ``headstart train`` and the content of ``config.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import tyro

from headstart.errors import BadInputError
from headstart.experiments.methods import METHODS, Method
from headstart.experiments.models import MODELS
from headstart.experiments.shared_settings import Engine, OuterLoop, Run
from headstart.problems.problem import Problem
from headstart.problems.registry import PROBLEMS
from headstart.problems.settings import as_record, check_values, flag

CHOICES: dict[str, tuple[Mapping[str, Any], str, tuple[str, ...]]] = {
    "problem": (PROBLEMS, "What is learned on: a data set, or tasks that are drawn.", ("--data",)),
    "model": (MODELS, "Architecture of f.", ()),
    "method": (METHODS, "What is learned, and how; `headstart methods` lists them.", ()),
}
"""What is chosen by name: from which table, in what words, and what its flag was called before."""


@dataclass(frozen=True)
class Settings:
    """Everything that a run can be set to, in groups. What is chosen by name brings the settings that belong to it."""

    problem: Any
    task: Any
    model: Any
    method: Any
    outer_loop: OuterLoop
    engine: Engine
    run: Run

    def groups(self) -> Iterator[tuple[str, Any]]:
        """The groups of settings by their names."""
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(Settings))

    def record(self) -> dict[str, Any]:
        """The content of ``config.json``: one entry per flag."""
        return {name: value for _, group in self.groups() for name, value in as_record(group).items()}

    def replace(self, **values: Any) -> Settings:
        """The same settings but for some, by their names.

        Raises:
            BadInputError: a name belongs to no setting of this problem, model and method.

        >>> default_settings("omniglot", "reptile").replace(ways=20).task.ways
        20
        """
        groups = {}
        for name, group in self.groups():
            own = {field.name for field in dataclasses.fields(group)} & values.keys()
            groups[name] = dataclasses.replace(group, **{key: values[key] for key in own})
        for name in values.keys() - self.record().keys():
            raise BadInputError(misplaced(name, self.names()) or f"{flag(name)} is no setting of a run.")
        return Settings(**groups)

    def resolved(self) -> Settings:
        """The settings as a run records them, in which the problem says in full what depends on its data.

        Raises:
            BadInputError: a setting has none of its values, or the data cannot be used.
        """
        check(self)
        groups = dict(self.groups())
        return Settings(**{**groups, "problem": self.chosen_problem.resolved(self.problem)})

    def with_problem(self, name: str, settings: Any) -> Settings:
        """The same settings for another problem."""
        own = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
        return dataclasses.replace(self, problem=chosen("problem", name)(**own))

    def names(self) -> dict[str, str]:
        """What was chosen: the names of the problem, the model and the method."""
        return {choice: getattr(getattr(self, choice), choice) for choice in CHOICES}

    @property
    def chosen_problem(self) -> Problem:
        """The problem itself."""
        return PROBLEMS[self.problem.problem]

    @property
    def chosen_method(self) -> Method:
        """The row of the method."""
        return METHODS[self.method.method]


def chosen(choice: str, name: str) -> type:
    """The settings of what is called ``name`` in the table of ``choice``, and before them the choice itself."""
    table, words, aliases = CHOICES[choice]
    return _with_choice(choice, name, tuple(table), table[name].settings, words, aliases)


@cache
def _with_choice(
    choice: str, name: str, names: tuple[str, ...], settings: type, words: str, aliases: tuple[str, ...]
) -> type:
    described = Annotated[Literal[names], tyro.conf.arg(help=words, **flags_in_order(choice, aliases))]  # type: ignore[valid-type]
    first = dataclasses.make_dataclass("Choice", [(choice, described, name)], frozen=True)
    return dataclasses.make_dataclass(settings.__name__, [], bases=(settings, first), frozen=True)


def choices_of(choice: str) -> Any:
    """What tells the command line which names a flag can have: those of a table as it is when flags are read."""
    table, _, aliases = CHOICES[choice]
    return tyro.conf.arg(
        constructor_factory=lambda: Literal[tuple(table)],  # type: ignore[arg-type, return-value]
        help_behavior_hint="(default: None)",
        **flags_in_order(choice, aliases),
    )


def flags_in_order(choice: str, aliases: tuple[str, ...]) -> dict[str, Any]:
    """The flags of a choice as arguments of ``tyro.conf.arg``, which shows the name last.

    >>> flags_in_order("problem", ("--data",))
    {'name': 'data', 'aliases': ('--problem',)}
    """
    *first, last = f"--{choice}", *aliases
    return {"name": last.removeprefix("--"), "aliases": tuple(first)}


def kinds(problem: str, model: str, method: str) -> dict[str, type]:
    """The class of each group of settings.

    Raises:
        BadInputError: a name is not in its table.
    """
    for choice, name in zip(CHOICES, (problem, model, method), strict=True):
        if name not in CHOICES[choice][0]:
            known = ", ".join(CHOICES[choice][0])
            raise BadInputError(
                f"--{choice} {name!r} is unknown; choose one of {known}, or --import the module that registers it."
            )
    return {
        "problem": chosen("problem", problem),
        "task": PROBLEMS[problem].task,
        "model": chosen("model", model),
        "method": chosen("method", method),
        "outer_loop": OuterLoop,
        "engine": Engine,
        "run": Run,
    }


def default_settings(problem: str = "glyphs", method: str = "maml", model: str | None = None) -> Settings:
    """The settings of a problem and a method: their recipes, shortened to minutes on two cores.

    Raises:
        BadInputError: a name is unknown, or one of a recipe belongs to no setting of any problem, model or method.

    >>> default_settings("omniglot", "reptile").method.inner_rule
    'adam'
    """
    kinds(problem, "conv4", method)
    of_problem = PROBLEMS[problem]
    recipe = {**METHODS[method].recipe, **of_problem.recipe, **of_problem.recipes.get(method, {})}
    model = model or recipe.get("model", "conv4")
    groups = {name: kind() for name, kind in kinds(problem, model, method).items()}
    settings = Settings(**groups)
    own = settings.record().keys()
    for name in recipe:
        if name not in own and not misplaced(name, settings.names()):
            raise BadInputError(f"a recipe of --problem {problem} or --method {method} has {name!r}: no such setting.")
    return settings.replace(**{name: recipe[name] for name in recipe.keys() & own - {"model"}})


def check(settings: Settings) -> None:
    """Refuses, before any work is done, what cannot be worked with.

    Raises:
        BadInputError: a setting has none of its values, or two contradict each other.
    """
    for _, group in settings.groups():
        check_values(group)
    if settings.engine.chunk_size and settings.engine.execution != "chunks":
        raise BadInputError(
            f"--chunk-size goes with --execution chunks, not {settings.engine.execution}; leave one of the two away."
        )
    problem, names = settings.chosen_problem, settings.names()
    for choice, row in (("model", MODELS[names["model"]]), ("method", settings.chosen_method)):
        if row.needs and row.needs not in problem.has:
            fitting = " or ".join(sorted(problem.has))
            raise BadInputError(
                f"--{choice} {names[choice]} needs {row.needs}, and --problem {names['problem']} has {fitting}; "
                f"choose another {choice} or problem."
            )


def misplaced(name: str, names: Mapping[str, str]) -> str:
    """One sentence on a setting that belongs to something else than what was chosen, which ``names`` says; empty if it
    belongs to nothing.

    >>> misplaced("damping", default_settings().names())
    '--damping goes with --method implicit_maml, not maml.'
    """
    tables = {
        **{choice: {other: row.settings for other, row in table.items()} for choice, (table, _, _) in CHOICES.items()},
        "problem of": {other: row.task for other, row in PROBLEMS.items()},
    }
    for kind, settings in tables.items():
        choice = kind.split()[0]
        if choice not in names:
            continue
        owners = [other for other, own in settings.items() if name in {field.name for field in dataclasses.fields(own)}]
        if owners:
            return f"{flag(name)} goes with --{choice} {' or '.join(owners)}, not {names[choice]}."
    return ""


def flags_of(settings: Settings) -> list[str]:
    """The flags of ``headstart train`` that mean the settings.

    >>> flags_of(default_settings("sinusoid"))[:4]
    ['--problem', 'sinusoid', '--shots', '10']
    """
    flags = []
    for name, value in settings.record().items():
        if isinstance(value, bool):
            flags.append(flag(name) if value else flag(f"no_{name}"))
        else:
            flags += [flag(name), str(value)]
    return flags

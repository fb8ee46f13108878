"""The sections of a report that look ahead: how to make such a run again, and what to do with this one."""

from __future__ import annotations

import shlex

from headstart.experiments.settings import Settings, default_settings
from headstart.problems.settings import flag
from headstart.reports.page import Section
from headstart.reports.sample import ReportedRun
from headstart.reports.tables import Code, Strong, Table
from headstart.runs.config import PLACES


def changed(settings: Settings) -> dict[str, object]:
    """What was set to something else than the default of its problem, method and model, by the names of the flags.

    >>> changed(default_settings("sinusoid").replace(shots=5, seed=1))
    {'shots': 5, 'seed': 1}
    """
    default = default_settings(**settings.names()).record()
    return {name: value for name, value in settings.record().items() if value != default[name] and name not in PLACES}


def settings_table(settings: Settings) -> Section:
    """Everything that was set, what differs from the defaults first and in bold."""
    record, own = settings.record(), changed(settings)
    names = [*own, *(name for name in record if name not in own)]
    rows = [(name, Strong(record[name]) if name in own else str(record[name])) for name in names]
    words = ", ".join(f"{name} {value}" for name, value in own.items())
    return Section(
        "Settings",
        [f"Other than the defaults: {words}." if own else "All settings are the defaults."],
        [Table(("setting", "value"), rows)],
        fold=f"All {len(rows)} settings",
    )


def train_again(settings: Settings, **others: object) -> str:
    """The command that trains with such settings, but for ``others``.

    >>> train_again(default_settings("sinusoid").replace(shots=5), seed=1)
    'headstart train --problem sinusoid --method maml --shots 5 --seed 1'
    """
    names, record = settings.names(), settings.record()
    if default_settings(names["problem"], names["method"]).names() == names:
        del names["model"]
    places = {name: record[name] for name in ("data_root", "path") if record.get(name) is not None}
    words = ["headstart", "train"]
    for name, value in {**names, **places, **changed(settings), **others}.items():
        words += [flag(name if value else f"no_{name}")] if isinstance(value, bool) else [flag(name), str(value)]
    return shlex.join(words)


def next_steps(run: ReportedRun) -> Section:
    """The commands to go on with."""
    path, settings = shlex.quote(str(run.run.path)), run.settings
    has = settings.chosen_problem.has
    total = settings.outer_loop.meta_steps
    if run.test is None:
        rows = [(f"go on to meta-step {total:,}, and test", f"headstart resume {path}")]
        rows.append(("see how it goes, in this page", f"headstart report --watch {path}"))
    else:
        rows = [("test it with more examples", f"headstart evaluate {path} --shots {2 * settings.task.shots}")]
        rows.append(("see it beside another run", f"headstart compare {path} OTHER_RUN"))
    if "classes" in has and run.log:
        rows.append(("learn how sure its predictions are", f"headstart calibrate {path}"))
    if "images" in has and run.log:
        rows.append(("show it images of yours", f"headstart adapt {path} --support FOLDER --out mine.safetensors"))
        rows.append(("ask what others show", "headstart predict mine.safetensors FOLDER"))
    rows.append(("use it in Python", f'learner = headstart.load("{run.run.path}")'))
    rows.append(("train another one like it", train_again(settings, seed=settings.run.seed + 1)))
    return Section("How to go on", [], [Table(("to", "type"), [(words, Code(command)) for words, command in rows])])

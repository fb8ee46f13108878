"""Every flag of every command at values that nothing can be made of: one sentence with the way out, and no more."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from headstart.cli import main as cli
from headstart.errors import BadInputError
from headstart.experiments.methods import METHODS
from headstart.experiments.models import MODELS
from headstart.experiments.settings import check, default_settings
from headstart.problems.registry import PROBLEMS
from headstart.problems.settings import check_values, flag

COMMANDS = {
    "train": "", "resume": "RUN", "evaluate": "RUN", "calibrate": "RUN", "compare": "RUN RUN", "report": "RUN",
    "adapt": "NAME --support FOLDER --out FILE", "predict": "FILE IMAGE", "models": "", "methods": "", "recipes": "",
    "reproduce": "NAME", "results": "", "data prepare": "", "data sheet": "",
}  # fmt: skip
"""With what they need."""
EXTREMES: tuple[Any, ...] = (
    -1, 10**40, 10**400, 1e39, 1e300, float("inf"), float("nan"), -1e-300,
    "a" * 256, "é" * 200, "a " * 5_000, "a/" * 2_000, Path("a" * 300), Path("a/" * 2_000),
)  # fmt: skip
"""No flag takes one of them."""
LONGEST = 500
"""Characters of a sentence."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chosen_ones() -> Iterator[Any]:
    """Settings in which every problem, method and model is there once at least."""
    for problem in PROBLEMS:
        yield default_settings(problem)
    for method, row in METHODS.items():
        yield default_settings("sinusoid" if row.needs == "vectors" else "glyphs", method)
    for model in MODELS:
        yield default_settings(model=model)


def everything_with_flags() -> dict[type, Any]:
    """What has flags: the commands and all groups of settings."""
    commands = [cli.parse(f"{name} {needed}".split()) for name, needed in COMMANDS.items()]
    groups = [group for settings in chosen_ones() for _, group in settings.groups()]
    return {type(one): one for one in (*commands, *groups)}


def test_every_command_is_here() -> None:
    names = {name.split()[0] for name in COMMANDS}
    assert len(names) == len(get_args(cli.commands(["train"])))


def test_every_flag_refuses_extreme_values_in_one_sentence() -> None:
    flags = set()
    for one in everything_with_flags().values():
        for field in dataclasses.fields(one):
            if dataclasses.is_dataclass(getattr(one, field.name)):
                continue
            flags.add(field.name)
            for value in EXTREMES:
                with pytest.raises(BadInputError) as error:
                    check_values(dataclasses.replace(one, **{field.name: value}))
                sentence = str(error.value)
                assert sentence.startswith(f"{flag(field.name)} ") and "; choose " in sentence, (field.name, value)
                assert len(sentence) <= LONGEST, sentence
    assert {"inner_lr", "memory", "context", "damping", "test_seed", "reject", "split_seed", "budget"} <= flags


TOO_LARGE = """
    --inner-lr 1e39|--memory 1e300|--width 2147483648|--queries 2147483648|--meta-batch 9223372036854775807
    |--test-inner-steps 2147483648|--image-size 2147483648|--problem sinusoid --method cavia --context 2147483648
    |--shots 1000001|--workers 1001|--meta-steps 2147483648
""".split("|")  # noqa: SIM905


@pytest.mark.parametrize("flags", TOO_LARGE)
def test_a_number_that_is_too_large_is_refused_with_the_bound(flags: str, capfd: pytest.CaptureFixture[str]) -> None:
    name, _ = flags.split()[-2:]
    assert cli.main(["train", *flags.split(), "--out", "run"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(rf"headstart: {name} \S+ is out of its range; choose (1|0|a positive number up) to \S+\.", line)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "data sheet --seed 99999999999999999999", "evaluate RUN --test-seed 9223372036854775808",
        "calibrate RUN --tasks 2147483648", "reproduce maml --budget 1e39", "predict FILE IMAGE --reject 1e39",
        "train --out " + "a" * 300, "train --out " + "a/" * 2_000, "compare RUN " + "a/" * 2_000,
        "train --split " + "a" * 300, "adapt " + "a" * 300 + " --support FOLDER --out FILE",
        "resume " + "a/" * 2_000,
    ],
)  # fmt: skip
def test_so_it_is_for_every_command(arguments: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments.split()) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert " is out of its range; choose " in line and len(line) <= LONGEST
    assert not list(Path().iterdir())


def test_names_that_are_short_and_a_path_that_is_long_end_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "/".join(["a" * 200] * 30)]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"headstart: a+ \.\.\. a+/config.json cannot be used \(File name too long\)\.", line), line


@pytest.mark.parametrize("value", ["a" * 10_000, "a " * 5_000, "1" * 10_000])
@pytest.mark.parametrize(
    "name", ["--ways", "--method", "--device", "--out", "--no-such-flag", "--split", "--structure"]
)
def test_of_a_long_value_a_line_is_quoted(name: str, value: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["train", name, value])
    except SystemExit as leave:
        code = int(leave.code or 0)
    (line,) = capfd.readouterr().err.splitlines()
    assert code == 2 and len(line) <= 600, line


def test_what_no_memory_can_hold_is_refused_before_there_is_a_run_folder(capfd: pytest.CaptureFixture[str]) -> None:
    sizes = "--problem sinusoid --meta-batch 1000000 --queries 1000000 --out run"
    assert cli.main(["train", *sizes.split()]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "there is not enough memory for this; choose fewer tasks" in line and not Path("run").exists()


@pytest.mark.parametrize("settings", [{"seed": 2**63 - 1}, {"inner_lr": 1e30}, {"meta_steps": 10**9}, {"ways": 10**6}])
def test_the_bounds_themselves_pass(settings: dict[str, Any]) -> None:
    check(default_settings().replace(**settings))


@pytest.mark.full
@pytest.mark.parametrize("value", ["1" * 21, "1e39", "a" * 300])
def test_every_flag_of_every_command_is_read_in_one_line(value: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = {f"{name} {needed}" for name, needed in COMMANDS.items()}
    for settings in chosen_ones():
        words.add("train " + " ".join(f"--{choice} {name}" for choice, name in settings.names().items()))
    seen, refused = set(), 0
    for word in sorted(words):
        fields = dataclasses.fields(command := cli.parse(word.split()))
        groups = [getattr(command, field.name) for field in fields]
        for one in (command, *filter(dataclasses.is_dataclass, groups)):
            for field in dataclasses.fields(one):
                if (type(one), field.name) in seen or dataclasses.is_dataclass(getattr(one, field.name)):
                    continue
                seen.add((type(one), field.name))
                try:
                    cli.parse([*word.split(), flag(field.name), value])
                except SystemExit as leave:
                    assert leave.code == 2
                    (line,) = capfd.readouterr().err.splitlines()
                except BadInputError as error:
                    (line,) = str(error).splitlines()
                else:
                    continue  # a name or a path that there may be
                refused += 1
                assert len(line) <= 600, line
    assert refused > len(seen) / 2

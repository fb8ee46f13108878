"""Ctrl-C and SIGTERM: the first one ends a command in one line, a second one at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.cli import main as cli
from headstart.system import signals
from headstart.system.signals import Signalled, end_on_signals, leave_signals

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_after_the_first_signal_both_end_the_process_at_once(number: int) -> None:
    end_on_signals()
    with pytest.raises(Signalled):
        signal.raise_signal(number)
    assert [signal.getsignal(number) for number in NUMBERS] == [signal.SIG_DFL, signal.SIG_DFL]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_on_signals()
    leave_signals()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_one_process_of_several_leaves_sigterm_to_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    end_on_signals()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_a_signal_while_the_flags_are_read_ends_in_one_line(
    number: int, code: int, word: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "commands", lambda argv: signal.raise_signal(number))
    end_on_signals()
    assert cli.main(["train"]) == code
    assert capfd.readouterr() == ("", f"headstart: {word}\n")


def test_a_signal_within_an_import_ends_the_process_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many a module takes any error while it is imported for a missing library, and goes on."""
    codes = []
    monkeypatch.setattr(signals, "os", type("Patched", (), {"write": os.write, "_exit": codes.append}))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "takes_long.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(2)\nexcept BaseException: 0\n"
    )
    end_on_signals()
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "takes_long", raising=False)
        import takes_long  # type: ignore[import-not-found]  # noqa: F401
    assert codes[0] == 130 and capfd.readouterr().err == "headstart: interrupted\n"

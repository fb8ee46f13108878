"""Benchmarks run one after another in one process, as what is timed has to."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before pytest-xdist starts the processes of the tests."""
    config.option.numprocesses = 0

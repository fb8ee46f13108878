"""The command line's cache of compiled programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstart.system.process import keep_compiled_programs


def test_compiled_programs_are_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    keep_compiled_programs()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "headstart" / "compiled")
    assert (tmp_path / "headstart" / "compiled").is_dir()


def test_a_folder_that_is_named_is_used_and_no_other_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "named"))
    keep_compiled_programs()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "named")
    assert not (tmp_path / "cache").exists()

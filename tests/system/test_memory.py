"""The memory at hand is that of the machine, or less where a container or a job has less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from headstart.system import memory
from headstart.system.memory import memory_at_hand

CPU = torch.device("cpu")
GIB = 2**30
MACHINE = 64 * GIB


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 GiB, whose control groups are files in this folder."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": MACHINE // 4096, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    return tmp_path


def set_limit(groups: Path, file: str, value: object) -> None:
    (groups / file).parent.mkdir(parents=True, exist_ok=True)
    (groups / file).write_text(f"{value}\n")


def test_without_control_groups_it_is_half_of_the_machine(groups: Path) -> None:
    assert memory_at_hand(CPU) == MACHINE // 2


def test_version_2_the_least_of_the_group_and_those_around_it(groups: Path) -> None:
    (groups / "own").write_text("0::/jobs/one\n")
    set_limit(groups, "jobs/one/memory.max", "max")
    assert memory_at_hand(CPU) == MACHINE // 2
    set_limit(groups, "jobs/memory.max", 8 * GIB)
    assert memory_at_hand(CPU) == 4 * GIB
    set_limit(groups, "jobs/one/memory.max", 2 * GIB)
    assert memory_at_hand(CPU) == GIB


def test_version_2_in_a_container_that_sees_its_own_group_as_the_root(groups: Path) -> None:
    (groups / "own").write_text("0::/\n")
    set_limit(groups, "memory.max", 4 * GIB)
    assert memory_at_hand(CPU) == 2 * GIB


def test_version_1_where_the_path_of_the_group_is_not_to_be_seen(groups: Path) -> None:
    (groups / "own").write_text("12:cpu,cpuacct:/docker/abc\n7:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n")
    set_limit(groups, "memory/memory.limit_in_bytes", 6 * GIB)
    assert memory_at_hand(CPU) == 3 * GIB
    set_limit(groups, "memory/memory.limit_in_bytes", 2**63 - 4096)  # how version 1 says that there is none
    assert memory_at_hand(CPU) == MACHINE // 2


def test_the_processes_of_a_run_share_it(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": 1, "WORLD_SIZE": 4, "MASTER_ADDR": "localhost", "MASTER_PORT": 1, "LOCAL_WORLD_SIZE": 4}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    assert memory_at_hand(CPU) == MACHINE // 8

"""A run is read as it was written, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from headstart.errors import BadInputError
from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import MSE
from headstart.runs.checkpoints import Checkpoint
from headstart.runs.checksums import Checksums, checksum
from headstart.runs.config import read_config
from headstart.runs.folder import RunFolder
from headstart.runs.results import read_result, write_result
from headstart.system.files import write_bytes
from run_files import take_as_it_is

CHECKPOINT = "checkpoints/step-0000002"
READERS: dict[str, Callable[[RunFolder], object]] = {
    "config.json": lambda run: read_config(run.path),
    "best.safetensors": lambda run: run.best_meta_params(),
    f"{CHECKPOINT}/meta_params.safetensors": lambda run: run.latest_checkpoint(),
    f"{CHECKPOINT}/state.safetensors": lambda run: run.latest_checkpoint(),
    f"{CHECKPOINT}/state.json": lambda run: run.latest_checkpoint(),
    "metrics.jsonl": lambda run: run.cut_metrics(2),
    "test.json": lambda run: read_result(run, "test", MSE),
    "test.safetensors": lambda run: read_result(run, "test", MSE),
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with a file of each kind."""
    run = RunFolder(tmp_path / "run", {"ways": 5})
    for step in (1, 2):
        run.append_metrics([{"meta_step": step, "loss": 0.5}])
        run.save_best({"w": torch.full((3,), float(step))}, {"meta_step": str(step)})
        run.save_checkpoint(Checkpoint(step, {"w": torch.ones(3)}, {"seconds": 1.0, "moments": torch.zeros(3)}))
    write_result(run, "test", Evaluation(MSE, torch.ones(4, 2), "0123", transductive=True, seconds=1.0))
    return run


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def linked(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    path.symlink_to(other)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "damage",
    [flipped, linked, piped, endless, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, 9)],
    ids=["flipped", "linked", "piped", "endless", "empty", "truncated"],
)
def test_a_file_that_was_changed_is_named_with_a_way_out(
    run: RunFolder, name: str, damage: Callable[[Path], None]
) -> None:
    READERS[name](run)
    damage(run.path / name)
    with pytest.raises(BadInputError, match=rf"^{run.path / name} (is not|has) .*; .*\.$"):
        READERS[name](RunFolder(run.path) if name != "config.json" else run)


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("config.json", "metrics.jsonl")])
def test_a_file_that_is_gone_is_named(run: RunFolder, name: str) -> None:
    (run.path / name).unlink()
    with pytest.raises(BadInputError, match=f"^{run.path / name} is not there; "):
        READERS[name](run)


def test_a_file_that_the_run_never_wrote_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    run.save_checkpoint(Checkpoint(1, {"w": torch.ones(3)}, {}))
    (tmp_path / "best.safetensors").write_bytes(b"of another run")
    with pytest.raises(BadInputError, match=r"best\.safetensors has 14 bytes, more than the 0"):
        run.best_meta_params()


def test_a_whole_checkpoint_of_another_meta_step_is_refused(run: RunFolder) -> None:
    take_as_it_is(run.path)
    (run.path / CHECKPOINT).rename(run.path / "checkpoints/step-0000009")
    with pytest.raises(BadInputError, match=r"state\.json is of meta-step 2; delete "):
        run.latest_checkpoint()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"config.json": 5}', b'{"config.json": [[1]]}', b'{"a": [["x", 1]]}']
)
def test_checksums_that_cannot_be_read_are_named(run: RunFolder, content: bytes) -> None:
    (run.path / "checksums.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"checksums\.json .*; delete it to take the folder as it is"):
        RunFolder(run.path)
    take_as_it_is(run.path)
    run = RunFolder(run.path)
    for reader in READERS.values():
        reader(run)
    run.save_best({"w": torch.zeros(3)}, {})  # what is there has checksums again
    flipped(run.path / "test.json")
    with pytest.raises(BadInputError, match="SHA-256"):
        READERS["test.json"](run)


# while a file is replaced


def test_a_file_is_the_old_or_the_new_one_wherever_a_kill_comes(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    sums = Checksums(tmp_path)
    for content in (b"first", b"second", b"third, whose writer was killed", b"fourth"):
        with sums.changing({"test.json": checksum(content)}):
            write_bytes(tmp_path / "test.json", content)
        assert Checksums(tmp_path).read("test.json", "") == content
        for before in (True, False):
            with pytest.raises(Killed), Checksums(tmp_path).changing({"test.json": checksum(content + b"!")}):
                if not before:
                    write_bytes(tmp_path / "test.json", content + b"!")
                raise Killed
            assert Checksums(tmp_path).read("test.json", "") == content + (b"" if before else b"!")
        write_bytes(tmp_path / "test.json", b"of somebody else")
        with pytest.raises(BadInputError, match=r"has 16 bytes|SHA-256"):
            Checksums(tmp_path).read("test.json", "")
        write_bytes(tmp_path / "test.json", content)


def test_what_another_process_replaces_meanwhile_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = Checksums(tmp_path), Checksums(tmp_path)
    with writer.changing({"test.json": checksum(b"old")}):
        write_bytes(tmp_path / "test.json", b"old")
    honest, replaced = Checksums._known, iter([b"new!"])

    def known(self: Checksums) -> object:
        found = honest(self)
        if self is reader and (content := next(replaced, None)):  # between its two looks
            with writer.changing({"test.json": checksum(content)}):
                write_bytes(tmp_path / "test.json", content)
        return found

    monkeypatch.setattr(Checksums, "_known", known)
    assert reader.read("test.json", "") == b"new!"


# what a kill has left


@pytest.fixture
def left_behind(run: RunFolder) -> Iterator[list[Path]]:
    names = (
        ".best.safetensors.0a1b2c3d.part",
        "checkpoints/.unfinished/state.json",
        "checkpoints/step-0000000/state.json",
    )
    paths = [run.path / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left")
    return paths


def test_what_a_kill_has_left_is_gone_once_the_run_is_trained_again(run: RunFolder, left_behind: list[Path]) -> None:
    RunFolder(run.path).best_meta_params()
    assert all(path.exists() for path in left_behind)  # whoever only reads changes nothing
    with run.locked():
        assert not any(path.exists() for path in left_behind)
        assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step-0000001", "step-0000002"]
    for reader in READERS.values():
        reader(run)

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from headstart.errors import BadInputError, RunStoppedError
from headstart.runs.folder import Checkpoint, RunFolder
from headstart.runs.reading import check_fits, read_config

CONFIG = {"ways": 5, "inner_lr": 0.4, "data_root": None, "out": "there", "device": "cpu"}


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"w": torch.full((3,), float(step)), "b": torch.tensor(0.1)}, {"seconds": float(step)})


def same(left: Checkpoint | None, right: Checkpoint) -> bool:
    return (
        left is not None
        and (left.meta_step, left.state) == (right.meta_step, right.state)
        and left.meta_params.keys() == right.meta_params.keys()
        and all(torch.equal(left.meta_params[name], value) for name, value in right.meta_params.items())
    )


def step_names(run: RunFolder) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


# checkpoints


def test_a_checkpoint_comes_back_bitwise(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", CONFIG)
    assert run.latest_checkpoint() is None
    saved = checkpoint(3)
    saved.meta_params["w"][0] = torch.nextafter(torch.tensor(0.1), torch.tensor(1.0))
    saved.meta_params["double"] = torch.tensor([1 / 3], dtype=torch.float64)
    saved.meta_params["turned"] = torch.arange(6.0).view(2, 3).T  # not contiguous
    run.save_checkpoint(saved)
    assert same(RunFolder(tmp_path / "run", CONFIG).latest_checkpoint(), saved)


def test_the_latest_two_are_kept_and_steps_are_ordered_as_numbers(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    for step in (5, 90, 100, 2000):
        run.save_checkpoint(checkpoint(step))
    assert step_names(run) == ["step-0000100", "step-0002000"]
    assert same(run.latest_checkpoint(), checkpoint(2000))


class Stop(BaseException):
    """Neither ``except Exception`` nor ``except OSError`` may catch it: from here on the process is dead."""


@contextmanager
def killed_at(
    operation: int, monkeypatch: pytest.MonkeyPatch, stop: Callable[[], BaseException]
) -> Iterator[list[str]]:
    """Everything that changes the disk works until operation number ``operation``; it and all later ones do not."""
    done: list[str] = []

    def guarded(original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not set(kwargs.get("mode", args[1] if len(args) > 1 else "r")) & set("wxa"):
                return original(*args, **kwargs)
            done.append(name)
            if len(done) > operation:
                raise stop()
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in [
            *((Path, name) for name in ("open", "replace", "mkdir", "unlink", "rename")),
            *((os, name) for name in ("fsync", "unlink", "rmdir")),
            (shutil, "rmtree"),
        ]:
            patch.setattr(owner, name, guarded(getattr(owner, name), name))
        yield done


def operations_of(act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    with killed_at(10_000, monkeypatch, Stop) as done:
        act()
    return len(done)


@pytest.mark.parametrize("full_disk", [False, True])
def test_a_stop_at_any_operation_of_a_save_leaves_the_checkpoint_before_or_the_new_one(
    full_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> BaseException:
        return OSError(errno.ENOSPC, "No space left on device") if full_disk else Stop()

    def prepared(name: str) -> RunFolder:
        run = RunFolder(tmp_path / name, CONFIG)
        for step in (1, 2, 3):
            run.save_checkpoint(checkpoint(step))
        return run

    counted = prepared("counted")
    total = operations_of(lambda: counted.save_checkpoint(checkpoint(4)), monkeypatch)
    assert total > 8
    found = []
    for operation in range(total):
        run = prepared(f"{operation}")
        with killed_at(operation, monkeypatch, stop):
            try:
                run.save_checkpoint(checkpoint(4))
            except (Stop, RunStoppedError) as error:
                assert full_disk == isinstance(error, RunStoppedError)
                assert not full_disk or "There is no disk space left to write" in str(error)
        again = RunFolder(run.path, CONFIG)
        latest = again.latest_checkpoint()
        assert same(latest, checkpoint(3)) or same(latest, checkpoint(4)), operation
        assert latest is not None
        found.append(latest.meta_step)
        for step in (4, 5):
            again.save_checkpoint(checkpoint(step))
        assert same(again.latest_checkpoint(), checkpoint(5))
        assert step_names(again)[-2:] == ["step-0000004", "step-0000005"]
    assert found == sorted(found) and set(found) == {3, 4}


def test_a_stop_at_any_operation_of_making_the_folder_leaves_one_that_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = operations_of(lambda: void(RunFolder(tmp_path / "counted", CONFIG)), monkeypatch)
    assert total >= 3
    for operation in range(total):
        path = tmp_path / f"{operation}"
        with killed_at(operation, monkeypatch, Stop), pytest.raises(Stop):
            RunFolder(path, CONFIG)
        RunFolder(path, CONFIG).save_checkpoint(checkpoint(1))
        assert read_config(path) == CONFIG


def void(_: object) -> None:
    """Makes a statement of an expression."""


@pytest.mark.parametrize("name", ["meta_params.safetensors", "state.pt"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "altered", "missing"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_remains(name: str, damage: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    run.save_checkpoint(checkpoint(1))
    run.save_checkpoint(checkpoint(2))
    folder = tmp_path / "checkpoints" / "step-0000002"
    content = (folder / name).read_bytes()
    damaged = {"empty": b"", "truncated": content[: len(content) // 2], "altered": b"\xff" * 16 + content[16:]}
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damaged[damage])
    with pytest.raises(BadInputError) as refused:
        run.latest_checkpoint()
    sentence = str(refused.value)
    assert str(folder / name) in sentence and f"delete {folder}" in sentence
    shutil.rmtree(folder)  # the way out that it names
    assert same(run.latest_checkpoint(), checkpoint(1))


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(form: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", CONFIG)
    run.save_checkpoint(checkpoint(1))
    exploded = tmp_path / "exploded"
    buffer = io.BytesIO()
    if form == "pickle":
        pickle.dump({"seconds": Bomb(exploded)}, buffer)
    else:
        torch.save({"seconds": Bomb(exploded)}, buffer)
    (run.path / "checkpoints" / "step-0000001" / "state.pt").write_bytes(buffer.getvalue())
    with pytest.raises(BadInputError, match=r"state\.pt is not a readable checkpoint"):
        run.latest_checkpoint()
    assert not exploded.exists()
    pickle.loads(pickle.dumps(Bomb(exploded)))
    assert exploded.exists()  # it was a real one


def test_a_state_that_is_not_a_dictionary_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    run.save_checkpoint(checkpoint(1))
    torch.save([1, 2], tmp_path / "checkpoints" / "step-0000001" / "state.pt")
    with pytest.raises(BadInputError, match="not a headstart checkpoint"):
        run.latest_checkpoint()


def test_a_checkpoint_of_another_learner_is_named_by_the_first_difference() -> None:
    found = {"w": torch.zeros(2, 3), "b": torch.zeros(2)}
    check_fits(found, {"w": torch.ones(2, 3), "b": torch.ones(2)}, Path("run"))
    with pytest.raises(BadInputError, match="only the checkpoint has 'b'"):
        check_fits(found, {"w": torch.zeros(2, 3)}, Path("run"))
    with pytest.raises(BadInputError, match="only the learner has 'extra'"):
        check_fits(found, {**found, "extra": torch.zeros(1)}, Path("run"))
    with pytest.raises(BadInputError, match=r"'w' has shape \(2, 3\), this learner's \(3, 2\)"):
        check_fits(found, {**found, "w": torch.zeros(3, 2)}, Path("run"))


# what a run is evaluated by


def test_a_run_is_evaluated_by_its_best_or_else_by_its_latest(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    with pytest.raises(BadInputError, match=r"holds no checkpoint yet; train it first"):
        run.best_meta_params()
    run.save_checkpoint(checkpoint(7))
    assert run.best_meta_params()["w"][0] == 7
    run.save_best(checkpoint(5).meta_params, {"meta_step": "5"})
    assert run.best_meta_params()["w"][0] == 5
    with safe_open(tmp_path / "best.safetensors", "pt") as file:
        assert file.metadata() == {"meta_step": "5"}
    (tmp_path / "best.safetensors").write_bytes(b"not it")
    with pytest.raises(BadInputError, match=r"best\.safetensors is not a readable safetensors file; train"):
        run.best_meta_params()


# the folder and its configuration


def test_a_configuration_is_kept_as_json(tmp_path: Path) -> None:
    RunFolder(tmp_path / "deep" / "run", CONFIG)
    assert json.loads((tmp_path / "deep" / "run" / "config.json").read_text()) == CONFIG


def test_the_same_settings_go_on_in_another_place(tmp_path: Path) -> None:
    RunFolder(tmp_path, CONFIG).save_checkpoint(checkpoint(1))
    moved = {**CONFIG, "out": "elsewhere", "data_root": "/data", "device": "cuda"}
    assert same(RunFolder(tmp_path, moved).latest_checkpoint(), checkpoint(1))


@pytest.mark.parametrize("change", [{"ways": 20}, {"inner_lr": 0.5}, {"new_setting": 1}])
def test_other_settings_are_refused_by_name_and_touch_nothing(change: dict[str, Any], tmp_path: Path) -> None:
    RunFolder(tmp_path, CONFIG).save_checkpoint(checkpoint(1))
    before = (tmp_path / "config.json").read_bytes()
    (name,) = change
    with pytest.raises(BadInputError, match=rf"another configuration \({name}: .* there, {change[name]} now\)"):
        RunFolder(tmp_path, {**CONFIG, **change})
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_file_or_a_foreign_folder_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(BadInputError, match=f"{name} exists and is not a run folder; choose another --out"):
            RunFolder(tmp_path / name, CONFIG)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty", CONFIG)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunStoppedError, match="file/run cannot be written"):
        RunFolder(tmp_path / "file" / "run", CONFIG)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"ways": 5', "is not readable JSON"),
        (b"\xff\xfe\x00", "is not readable JSON"),
        (b"[1, 2]", "holds no configuration"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    if content is None:
        (tmp_path / "config.json").mkdir()
    else:
        (tmp_path / "config.json").write_bytes(content)
    for read in (read_config, lambda path: RunFolder(path, CONFIG)):
        with pytest.raises(BadInputError, match=rf"config\.json {sentence}"):
            read(tmp_path)


def test_what_holds_no_configuration_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(BadInputError, match=r"is not a run folder: it holds no config\.json"):
            read_config(path)


# the log


def test_the_log_is_cut_back_to_a_step_and_loses_a_torn_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    run.cut_metrics(0)
    run.append_metrics([{"meta_step": step, "loss": 0.1} for step in (1, 2, 3)])
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"meta_step": 2, "lo')
    run.cut_metrics(2)
    run.append_metrics([{"meta_step": 3, "loss": 0.2}])
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert records == [{"meta_step": 1, "loss": 0.1}, {"meta_step": 2, "loss": 0.1}, {"meta_step": 3, "loss": 0.2}]


@pytest.mark.parametrize("content", [b"{not json}\n", b'{"loss": 1}\n', b"[]\n", b"\xff\xff\n"])
def test_a_log_that_cannot_be_read_is_named_and_left_alone(content: bytes, tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(BadInputError, match=r"metrics\.jsonl is not a readable log; delete it"):
        run.cut_metrics(1)
    assert (tmp_path / "metrics.jsonl").read_bytes() == content


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_on_a_disk_that_is_really_full_stops_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunStoppedError, match=r"no disk space left to write .*metrics\.jsonl"):
        run.append_metrics([{"meta_step": 1}])


def test_what_is_not_finite_is_null_since_json_has_no_word_for_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, CONFIG)
    run.write_json("test.json", {"mse": float("nan"), "mse_by_inner_step": (1.5, float("inf")), "tasks": 3})
    run.append_metrics([{"meta_step": 1, "loss": torch.tensor(0.5), "validation_mse": float("nan")}])

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    test, log = (
        json.loads((tmp_path / name).read_text(), parse_constant=refuse) for name in ("test.json", "metrics.jsonl")
    )
    assert test == {"mse": None, "mse_by_inner_step": [1.5, None], "tasks": 3}
    assert log == {"meta_step": 1, "loss": 0.5, "validation_mse": None}


def test_a_result_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path, CONFIG)
    path = run.write_json("test.json", {"accuracy": 0.5})
    assert json.loads(path.read_text()) == {"accuracy": 0.5}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunStoppedError, match="no disk space left"):
        run.write_json("test.json", {"accuracy": 0.9})
    assert json.loads(path.read_text()) == {"accuracy": 0.5}

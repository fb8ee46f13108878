"""What an evaluation leaves in a run folder comes back as it was, or in one sentence not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from headstart.errors import BadInputError, RunStoppedError
from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import ACCURACY, MSE
from headstart.runs.folder import RunFolder
from headstart.runs.results import read_log, read_result, write_result

SCORES = torch.tensor([[0.2, 1.0], [0.4, float("nan")], [0.6, 0.1]], dtype=torch.float64)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path, {"ways": 5})
    write_result(run, "test", Evaluation(MSE, SCORES, "0123abcd", transductive=False, seconds=1.5))
    return run


def test_a_result_comes_back_with_the_score_of_every_task(run: RunFolder) -> None:
    result = read_result(run, "test", MSE)
    torch.testing.assert_close(result.scores, SCORES.float().double(), rtol=0, atol=0, equal_nan=True)
    assert (result.metric, result.task_hash, result.transductive, result.seconds) == (MSE, "0123abcd", False, 1.5)


def test_where_the_json_is_the_scores_are_too(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """`headstart reproduce` takes ``test.json`` for the sign that a run was tested."""
    before = {path: path.read_bytes() for path in run.path.glob("test*")}
    honest, other = os.fsync, Evaluation(MSE, SCORES + 1, "4567", transductive=True, seconds=1.0)
    for writes in range(4):
        left = iter(range(writes))

        def full(descriptor: int, left: object = left) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise OSError(errno.ENOSPC, "No space left on device")
            honest(descriptor)

        with monkeypatch.context() as patch, pytest.raises(RunStoppedError, match="no disk space left"):
            patch.setattr(os, "fsync", full)
            write_result(run, "test-again", other)
        names = {path.name for path in run.path.glob("test-again*")}
        assert names == ({"test-again.safetensors"} if writes > 1 else set())
    assert {path: path.read_bytes() for path in before} == before
    write_result(run, "test-again", other)
    assert [read_result(run, stem, MSE).task_hash for stem in ("test", "test-again")] == ["0123abcd", "4567"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("test.json", None, "test.json is not there"),
        ("test.json", b"{", "test.json is not readable JSON"),
        ("test.json", b"[]", "test.json holds no JSON object"),
        ("test.json", b"{}", "test.json is no result of headstart's"),
        ("test.safetensors", None, "test.safetensors is not there"),
        ("test.safetensors", b"torn", "test.safetensors is not a readable safetensors file"),
        ("test.safetensors", save({"w": torch.zeros(3, 2)}), "the scores beside it are not of one evaluation by mse"),
        ("test.safetensors", save({"scores": torch.zeros(4, 2)}), "the scores beside it are not of one evaluation"),
    ],
)
def test_a_result_that_cannot_be_read_names_the_way_out(
    run: RunFolder, name: str, content: bytes | None, sentence: str
) -> None:
    (run.path / name).unlink()
    if content is not None:
        (run.path / name).write_bytes(content)
        with pytest.raises(BadInputError, match=f"{name} (is not as the run wrote it|has .* bytes, more than)"):
            read_result(run, "test", MSE)
    (run.path / "checksums.json").unlink()
    with pytest.raises(BadInputError, match=f"{sentence}.*; evaluate the run again: headstart evaluate "):
        read_result(run, "test", MSE)


def test_a_result_of_another_metric_is_refused(run: RunFolder) -> None:
    with pytest.raises(BadInputError, match="not of one evaluation by accuracy"):
        read_result(run, "test", ACCURACY)


def test_the_log_is_read_without_a_line_that_a_kill_cut_short(run: RunFolder) -> None:
    run.append_metrics([{"meta_step": 1, "loss": 0.5}, {"meta_step": 2, "loss": 0.4}])
    with (run.path / "metrics.jsonl").open("a") as log:
        log.write('{"meta_step": 3, "lo')
    assert read_log(run) == [{"meta_step": 1, "loss": 0.5}, {"meta_step": 2, "loss": 0.4}]


@pytest.mark.parametrize(
    "content", [None, "torn\n", "[]\n", "{}\n", '{"meta_step": "1"}\n', '{"meta_step": ' + "9" * 5000 + "}\n"]
)
def test_a_log_that_cannot_be_read_is_named(run: RunFolder, content: str | None) -> None:
    if content:
        (run.path / "metrics.jsonl").write_text(content)
    with pytest.raises(BadInputError, match=r"metrics.jsonl is not .*; train the run anew"):
        read_log(run)


def test_the_json_says_what_was_changed(run: RunFolder) -> None:
    path = write_result(run, "test-3shots", read_result(run, "test", MSE), {"shots": 3})
    assert json.loads(path.read_text())["shots"] == 3 and path.name == "test-3shots.json"

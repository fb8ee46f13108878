"""A learner, and an *f* that it picked, in one file each: the same numbers again, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

import headstart as hs
from headstart.experiments.build import build_learner
from headstart.experiments.methods import METHODS
from headstart.experiments.settings import default_settings
from headstart.trained.files import TrainedFile, read_trained, write_trained

PROBLEM = {"cavia": ("sinusoid", (1,), 1)}


def learner_of(method: str) -> hs.Learner:
    """A learner as the command line builds it, small."""
    problem, example, outputs = PROBLEM.get(method, ("glyphs", (1, 28, 28), 5))
    return build_learner(default_settings(problem, method).replace(width=8), example, outputs)


def support_of(method: str) -> hs.Examples:
    _, example, outputs = PROBLEM.get(method, ("glyphs", (1, 28, 28), 5))
    inputs = torch.rand(6, *example, generator=torch.Generator().manual_seed(0))
    return hs.Examples(inputs, torch.arange(6) % 3 if outputs > 1 else inputs.sin())


@pytest.mark.parametrize("method", METHODS)
def test_what_was_saved_predicts_the_same_when_it_is_loaded(method: str, tmp_path: Path) -> None:
    learner, support = learner_of(method), support_of(method)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.01)  # as training would, so that nothing is what it was built as
    hs.save_learner(learner, tmp_path / "learner.safetensors", recipe="none")
    loaded = hs.load(tmp_path / "learner.safetensors")
    fitted = loaded.fit(support)
    expected = learner.fit(support, loaded.inner_steps)(support.inputs)
    assert torch.equal(fitted(support.inputs), expected)
    hs.save_fitted(fitted, tmp_path / "f.safetensors", classes=["a", "b", "c"])
    assert torch.equal(hs.load_fitted(tmp_path / "f.safetensors")(support.inputs), expected)
    assert read_trained(tmp_path / "f.safetensors", "fitted").notes["classes"] == ["a", "b", "c"]


def test_a_loaded_learner_makes_the_inner_steps_of_its_test(tmp_path: Path) -> None:
    hs.save_learner(learner_of("maml"), tmp_path / "maml.safetensors")
    assert hs.load(tmp_path / "maml.safetensors").inner_steps == 3


def test_no_place_of_this_machine_is_in_the_file(tmp_path: Path) -> None:
    settings = default_settings("omniglot", "proto_net").replace(out=tmp_path, data_root=tmp_path, width=4)
    hs.save_learner(build_learner(settings, (1, 28, 28), 5), tmp_path / "file.safetensors")
    assert str(tmp_path).encode() not in (tmp_path / "file.safetensors").read_bytes()


def test_a_learner_that_was_built_in_python_says_how_else_it_is_kept(tmp_path: Path) -> None:
    learner = hs.ProtoNet(hs.Conv4(ways=3, width=4))
    with pytest.raises(hs.BadInputError, match=r"built in Python.*state_dict"):
        hs.save_learner(learner, tmp_path / "learner.safetensors")
    with pytest.raises(hs.BadInputError, match=r"built in Python.*state_dict"):
        hs.save_fitted(learner.fit(support_of("proto_net")), tmp_path / "f.safetensors")
    assert not list(tmp_path.iterdir())


def rewritten(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """The file with other tensors."""
    kind, tensors, made_from, notes = read_trained(path, "learner")
    change(tensors)
    write_trained(path, TrainedFile(kind, tensors, made_from, notes))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "was damaged; make it anew"),
        (lambda path: path.write_bytes(b""), "was damaged; make it anew"),
        (lambda path: path.write_bytes(b"\x80\x04"), "was damaged; make it anew"),
        (lambda path: path.unlink(), "is no learner: name one that comes with headstart"),
        (lambda path: path.write_bytes(tensors_to_bytes(tensors_from_bytes(path.read_bytes()))), "was damaged"),
        (lambda path: rewritten(path, lambda tensors: tensors.popitem()), "is of another learner"),
        (lambda path: rewritten(path, lambda t: t.update({n: v.double() for n, v in t.items()})), "float64, not"),
        (lambda path: rewritten(path, lambda t: next(iter(t.values())).fill_(torch.nan)), "are not finite"),
        (lambda path: rewritten(path, lambda t: t.update({n: v[None] for n, v in t.items()})), "has shape"),
    ],
)
def test_a_damaged_file_is_refused(damage: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "learner.safetensors"
    hs.save_learner(learner_of("proto_net"), path)
    damage(path)
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.load(path)


def test_one_kind_of_file_is_not_taken_for_the_other(tmp_path: Path) -> None:
    learner = learner_of("proto_net")
    hs.save_learner(learner, tmp_path / "learner")
    hs.save_fitted(learner.fit(support_of("proto_net")), tmp_path / "fitted")
    with pytest.raises(hs.BadInputError, match="holds an adapted model; name a learner"):
        hs.load(tmp_path / "fitted")
    with pytest.raises(hs.BadInputError, match="holds a learner; adapt it first"):
        hs.load_fitted(tmp_path / "learner")


def test_a_run_folder_that_holds_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(hs.BadInputError, match="is not a run folder"):
        hs.load(tmp_path)

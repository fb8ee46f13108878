"""The page on loops of one's own runs as it stands; its loops, other libraries' among them, give the same numbers.

The other libraries are not installed here. What their lines do is written out below, by ``torch.autograd`` alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

import headstart as hs

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-loop.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
LOOPS = [block for block in BLOCKS if "optimizer.zero_grad()" in block]


class Stepped:
    """A module whose parameters are replaced by ``p - lr * gradient``, with the graph of the gradient."""

    def __init__(self, module: nn.Module, lr: float, create_graph: bool) -> None:
        self.module, self.lr, self.create_graph = module, lr, create_graph
        self.params = dict(module.named_parameters())

    def __call__(self, inputs: Tensor) -> Any:
        return functional_call(self.module, self.params, (inputs,))

    def adapt(self, loss: Tensor) -> None:
        slopes = torch.autograd.grad(loss, list(self.params.values()), create_graph=self.create_graph)
        pairs = zip(self.params.items(), slopes, strict=True)
        self.params = {name: value - self.lr * slope for (name, value), slope in pairs}

    step = adapt


class LikeLearn2learn(nn.Module):
    """``l2l.algorithms.MAML``, as far as its lines on the page go."""

    def __init__(self, model: nn.Module, lr: float, first_order: bool) -> None:
        super().__init__()
        self.module, self.lr, self.first_order = model, lr, first_order

    def clone(self) -> Stepped:
        return Stepped(self.module, self.lr, not self.first_order)


@contextmanager
def like_innerloop_ctx(
    model: nn.Module, inner: torch.optim.SGD, copy_initial_weights: bool
) -> Iterator[tuple[Stepped, Stepped]]:
    """``higher.innerloop_ctx``, as far as its lines on the page go."""
    assert not copy_initial_weights
    both = Stepped(model, inner.param_groups[0]["lr"], create_graph=True)
    yield both, both


class Network(nn.Module):
    """Logits, or two predictions."""

    def __init__(self, two: bool = False) -> None:
        super().__init__()
        self.body, self.head, self.two = nn.Linear(4, 8), nn.Linear(8, 3), two

    def forward(self, inputs: Tensor) -> Any:
        features = torch.tanh(self.body(inputs))
        return (self.head(features), features) if self.two else self.head(features)


class Points:
    """Random points of three classes."""

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        def examples(per_class: int) -> hs.Examples:
            inputs = torch.randn(count, 3 * per_class, 4, generator=generator, dtype=torch.float64)
            return hs.Examples(inputs, torch.arange(3).repeat(count, per_class))

        return hs.Episodes(examples(2), examples(3))


@pytest.fixture
def names() -> dict[str, Any]:
    """What the page's code is about."""
    torch.manual_seed(0)
    episodes = Points().sample(4, torch.Generator().manual_seed(0))
    return {
        "hs": hs,
        "torch": torch,
        "F": F,
        "vmap": vmap,
        "l2l": SimpleNamespace(algorithms=SimpleNamespace(MAML=LikeLearn2learn)),
        "higher": SimpleNamespace(innerloop_ctx=like_innerloop_ctx),
        "loss": F.cross_entropy,
        "model": Network().double(),
        "two_headed": Network(two=True).double(),
        "distribution": Points(),
        "episodes": episodes,
        "tasks": [episodes.task(task) for task in range(4)],
    }


def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    names = {**names, "model": copy.deepcopy(names["model"])}
    exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_all_loops_make_the_same_outer_update(names: dict[str, Any]) -> None:
    assert len(LOOPS) == 5
    start, ends = names["model"], []
    for block in LOOPS:
        after = run(block, names)
        ends.append(after["learner"].model if "hs.MAML" in block else after["model"])
    for end in ends:
        for name, value in end.named_parameters():
            assert (value - ends[0].get_parameter(name)).abs().max() < 1e-14
            assert (value - start.get_parameter(name)).abs().max() > 1e-3


def test_the_table_names_what_there_is(names: dict[str, Any]) -> None:
    here = re.findall(r"\| `(hs\.MAML\(.*?\))` \|$", PAGE.read_text(), re.MULTILINE)
    assert len(here) == 1
    (learner,) = (eval(code, names) for code in here)
    assert isinstance(learner.inner_rule, hs.MetaSGD)
    hs.MAML(names["model"], order=1, inner_rule=hs.Adam)


def test_the_losses_of_the_page_are_trained_and_evaluated(names: dict[str, Any]) -> None:
    (block,) = (block for block in BLOCKS if "def regularised" in block)
    after = run(block, names)
    examples = names["episodes"].query
    two = hs.Examples(examples.inputs, (examples.targets, torch.zeros(4, 9, 8, dtype=torch.float64)))
    masks = torch.arange(9).lt(7).double().expand(4, -1)
    masked = hs.Examples(examples.inputs, {"class": examples.targets, "mask": masks})
    learners = [*after["learners"], hs.MAML(after["model"], loss=after["masked"])]
    for learner, part in zip(learners, (examples, two, masked), strict=True):
        gradient, metrics = hs.MetaGradient(learner)(learner.meta_params, hs.Episodes(part, part))
        assert all(value.isfinite().all() for value in gradient.values())
        assert ("hits" in metrics) == (part is two) and ("accuracy" in metrics) == (part is examples)


def test_the_rates_and_the_callback_of_the_page(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in BLOCKS if "hs.train" in block)
    after = run(block, names)
    params = hs.MAML(after["model"]).meta_params
    groups = after["optimizer"](SimpleNamespace(named=params)).param_groups
    assert [(group["lr"], len(group["params"])) for group in groups] == [(1e-3, 2), (1e-2, 2)]
    good = SimpleNamespace(validation=SimpleNamespace(value=1.0))
    with pytest.raises(StopIteration):
        after["stop_when_good"](good)


def test_every_block_is_run_by_a_test_above() -> None:
    assert len(BLOCKS) == len(LOOPS) + 2

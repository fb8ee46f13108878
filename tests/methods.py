"""The tables that the tests multiply: every learner, every model, every form of execution. One row each.

Of a product ``pytest`` runs what proves something new, and ``pytest -m full`` the rest, which repeats it:

- learner x model: every learner on one model, and every model with exact MAML, which differentiates it twice; a learner
  sees no more of a model than its parameters and its outputs.
- learners, recorded or compiled update by update: one of each mechanism (``MECHANISMS``); the others differ in what
  they compute, which the eager tests prove, not in how it is run.
- compiled for real: one of each form; of all others the graph that would be compiled is run as it was traced.
- processes: two; one has nothing to share, and a third does what the second does.
- Omniglot: what loads it, splits it and draws tasks of it; a whole run, and a damaged cache in three more ways, wait.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.experimental import proxy_tensor

import headstart as hs
from headstart.episodes import first_of
from headstart.models.searchable import OPERATIONS

WAYS = 3
Task = Callable[[int], hs.Episodes]


class WithNativeBatchNorm(nn.Module):
    """A user's module: native batch norm, a frozen parameter, an unused one and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten())
        self.scale = nn.Parameter(torch.full((1,), 1.5), requires_grad=False)
        self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("shift", torch.tensor(0.1))
        self.head = nn.Linear(4 * 3 * 3, WAYS)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.scale * self.body(inputs) + self.shift)
        return logits


def seeing_context(model: nn.Module) -> nn.Module:
    """A model of images that takes them flat, with a context of two numbers by which it bends their grey values."""

    def bent(_: nn.Module, arguments: tuple[Tensor]) -> Tensor:
        images, context = arguments[0][:, :-2], arguments[0][:, -2:]
        images = images + context[:, :1] * images.square() + context[:, 1:] * images.sin()
        side = math.isqrt(images.shape[1])
        return images.unflatten(1, (1, side, side))

    model.register_forward_pre_hook(bent)
    return model


class Mixed(nn.Module):
    """Any model, with a structure: a mixture of what it makes of its inputs and of their negative."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.structure = nn.Parameter(torch.tensor([0.3, -0.2]))

    def forward(self, inputs: Tensor) -> Tensor:
        plain, negative = self.structure.softmax(0)
        logits: Tensor = plain * self.model(inputs) + negative * self.model(-inputs)
        return logits


def search(model: nn.Module, meta_step: int, *, adapt_structure: bool = False) -> hs.StructureSearch:
    """The search of a structure at a meta-step: of the weights at even ones, of the structure at odd ones."""
    learner = hs.StructureSearch(
        Mixed(model), inner_lr=0.3, inner_steps=2, adapt_structure=adapt_structure, structure_lr=1.0
    )
    learner.start_meta_step(meta_step, meta_steps=2)
    return learner


def maml_plus_plus(model: nn.Module, first_order: float) -> hs.MAMLPlusPlus:
    """MAML++ as its training begins: every inner step counts."""
    learner = hs.MAMLPlusPlus(model, inner_lr=0.3, inner_steps=3, first_order=first_order)
    learner.start_meta_step(0, meta_steps=15)
    return learner


LEARNERS: dict[str, Callable[[nn.Module], hs.Learner]] = {
    "MAML": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, order=2),
    "FOMAML": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, order=1),
    "MAML-Adam": lambda model: hs.MAML(model, inner_lr=0.01, inner_steps=2, order=2, inner_rule=hs.AdamWithoutMomentum),
    "MAML-momentum": lambda model: hs.MAML(
        model, inner_lr=0.1, inner_steps=3, inner_rule=lambda rate: hs.SGD(rate, momentum=0.9)
    ),
    "MAML-Adam-beta1": lambda model: hs.MAML(
        model, inner_lr=0.01, inner_steps=3, inner_rule=lambda rate: hs.Adam(rate, eps=1e-4)
    ),
    "ANIL": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, adapt="head"),
    "ANIL-first-order": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, adapt="head", order=1),
    "BOIL": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, adapt="body"),
    "MetaSGD": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, inner_rule=hs.MetaSGD),
    "MetaSGD-first-order": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, inner_rule=hs.MetaSGD, order=1),
    "LayerStepRates": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, inner_rule=hs.LayerStepRates),
    "MAML++": lambda model: maml_plus_plus(model, first_order=0),
    "MAML++-first-order": lambda model: maml_plus_plus(model, first_order=1 / 3),
    "LearningToOptimize": lambda model: hs.LearningToOptimize(model, inner_lr=0.1, inner_steps=4, truncation=2),
    "LearningToOptimize-exact": lambda model: hs.LearningToOptimize(
        model, inner_lr=0.1, inner_steps=3, order=2, inner_rule=lambda rate: hs.LearnedOptimizer(rate, "mlp")
    ),
    "MetaCurvature": lambda model: hs.MAML(model, inner_lr=0.3, inner_steps=2, inner_rule=hs.MetaCurvature),
    "Reptile": lambda model: hs.Reptile(model, inner_lr=0.3, inner_steps=3, inner_batch=4, inner_rule=hs.SGD),
    # The gradient of a bias before batch norm is rounding noise, which Adam divides by its eps.
    "Reptile-Adam": lambda model: hs.Reptile(
        model,
        inner_lr=0.01,
        inner_steps=3,
        inner_batch=4,
        inner_rule=lambda rate: hs.AdamWithoutMomentum(rate, eps=1e-6),
        carry=True,
    ),
    "Reptile-fresh": lambda model: hs.Reptile(
        model, inner_lr=0.01, inner_steps=2, inner_rule=lambda rate: hs.AdamWithoutMomentum(rate, eps=1e-6)
    ),
    "StructureSearch-weights": lambda model: search(model, meta_step=0),
    "StructureSearch": lambda model: search(model, meta_step=1),
    "T-NAS": lambda model: search(model, meta_step=1, adapt_structure=True),
    "ProtoNet": lambda model: hs.ProtoNet(model),
    "MatchingNet": lambda model: hs.MatchingNet(model),
    "ProtoMAML": lambda model: hs.ProtoMAML(model, inner_lr=0.1, inner_steps=2),
    "ProtoMAML-first-order": lambda model: hs.ProtoMAML(model, inner_lr=0.1, inner_steps=2, order=1),
    "UnicornMAML": lambda model: hs.UnicornMAML(model, inner_lr=0.3, inner_steps=2),
    "UnicornMAML-first-order": lambda model: hs.UnicornMAML(model, inner_lr=0.3, inner_steps=2, order=1),
    "UnicornMAML-MetaCurvature": lambda model: hs.UnicornMAML(
        model, inner_lr=0.3, inner_steps=2, inner_rule=hs.MetaCurvature
    ),
    "ImplicitMAML": lambda model: hs.ImplicitMAML(model, inner_lr=0.1, inner_steps=3, proximity=2.0, cg_steps=3),
    "CAVIA": lambda model: hs.CAVIA(seeing_context(model), context=2, inner_lr=0.3, inner_steps=2),
    "CAVIA-first-order": lambda model: hs.CAVIA(seeing_context(model), context=2, inner_lr=0.3, inner_steps=2, order=1),
    "Pretraining": lambda model: hs.Pretraining(model),
    "ClassifierPretraining": lambda model: hs.ClassifierPretraining(model, ways=WAYS),
}


def conv4(norm: str, **settings: object) -> Callable[[], nn.Module]:
    return lambda: hs.Conv4(WAYS, width=8, image_size=8, norm=norm, activation=F.softplus, **settings)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "Transformer": lambda: hs.Transformer(WAYS, width=8, heads=2, patch=4, image_size=8),
    "Searchable": lambda: hs.SearchableConv4(
        WAYS, (tuple(OPERATIONS), ("conv3", "skip")), width=4, image_size=8, activation=F.softplus
    ),
    "Conv4-batch": conv4("batch"),
    "Conv4-layer": conv4("layer"),
    "Conv4-group": conv4("group"),
    "Conv4-none": conv4("none"),
    "Conv4-mean": conv4("batch", features="mean"),
    "Conv4-max_pool": lambda: hs.Conv4(WAYS, width=4, image_size=16, downsample="max_pool", norm="batch"),
    "ResNet12": lambda: hs.ResNet12(WAYS, channels=1, widths=(2, 3, 3, 4), activation=F.softplus),
    "MLP-batch": lambda: hs.MLP(64, WAYS, (16, 16), norm="batch", activation=torch.tanh),
    "MLP-none": lambda: hs.MLP(64, WAYS, (16, 16), activation=torch.tanh),
    "Frozen": lambda: nn.Sequential(
        OrderedDict(body=hs.Frozen(WithNativeBatchNorm(), head="head"), head=nn.Linear(4 * 3 * 3, WAYS))
    ),
    "user": WithNativeBatchNorm,
}
SIDES = {"Conv4-max_pool": 16, "ResNet12": 16}
"""Pixels along each side of the images of a model that needs more than 8."""
MECHANISMS = {
    "MAML": "derivatives of both orders through an inner loop",
    "FOMAML": "the first order alone",
    "MAML-Adam-beta1": "a rule that remembers",
    "ANIL": "a part of the model adapts",
    "LayerStepRates": "a rule that is learned, another one at every inner step",
    "MetaCurvature": "a rule with products of matrices",
    "MAML++": "every inner step is evaluated, with norms of its own",
    "LearningToOptimize": "an unroll that is cut, with a network as its rule",
    "Reptile": "no derivative through the inner loop, mini-batches",
    "Reptile-Adam": "a rule's memory that is carried from task to task",
    "T-NAS": "a structure and weights that take turns",
    "ProtoNet": "no inner loop",
    "ProtoMAML": "a head that the support set makes",
    "ImplicitMAML": "a linear solve",
    "CAVIA": "a context instead of weights",
    "ClassifierPretraining": "no tasks in training",
}
"""One learner of each kind, and what is its own."""


def case(*values: object, repeats: bool = False) -> Any:
    """A row of a parametrized test; one that only repeats what other rows prove is left to ``pytest -m full``."""
    return pytest.param(*values, marks=[pytest.mark.full] if repeats else [])


EVERY_MODEL = ("MAML", "FOMAML", "MAML-Adam", "Reptile", "Reptile-Adam", "Pretraining", "ClassifierPretraining")
PAIRS = [
    case(learner, model, repeats=model != "user" and learner != "MAML")
    for learner in LEARNERS
    for model in MODELS
    if learner in EVERY_MODEL or model in ("Conv4-batch", "user")
]
"""Every learner with every model, or with one of each kind where the product would only repeat what it shows."""
EXECUTIONS: dict[str, dict[str, object]] = {
    "loop": {"execution": "loop"},
    "vmap": {"execution": "vmap"},
    "chunks of 1": {"execution": "chunks", "chunk_size": 1},
    "chunks of 2": {"execution": "chunks", "chunk_size": 2},
    "chunks of its choice": {"execution": "chunks"},  # of 2: the test makes the largest tensor that pays small
    "auto": {"execution": "auto"},
    "recomputed": {"recompute": True},
    "recomputed loop": {"execution": "loop", "recompute": True},
}


def image_episodes(tasks: int = 5, size: int = 8, shots: int = 2, queries: int = 3, seed: int = 0) -> hs.Episodes:
    """Random float64 images with class targets, no structure needed."""
    generator = torch.Generator().manual_seed(seed)

    def examples(per_class: int) -> hs.Examples:
        inputs = torch.rand(tasks, WAYS * per_class, 1, size, size, generator=generator, dtype=torch.float64)
        return hs.Examples(inputs, torch.arange(WAYS).repeat(tasks, per_class))

    return hs.Episodes(examples(shots), examples(queries))


def built(learner: str, model: str) -> hs.Learner:
    """A learner in float64, its weights the same on every call."""
    torch.manual_seed(0)
    subject = LEARNERS[learner](MODELS[model]()).double()
    for name, parameter in subject.named_parameters():
        if name == "rule.output.weight":  # of a learned optimizer: at zero, as training begins, nothing would move
            nn.init.normal_(parameter, std=0.3)
    return subject


def largest_difference(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() for name in left)


def plain_meta_gradient(
    model: nn.Module,
    episodes: hs.Episodes,
    loss_of: Callable[[dict[str, Tensor], hs.Examples], Tensor],
    inner_lr: float,
    inner_steps: int,
) -> dict[str, Tensor]:
    """MAML's exact meta-gradient by a plain loop over tasks and inner steps with ``torch.autograd`` alone."""
    start = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    losses = []
    for task in range(len(first_of(episodes.query.targets))):
        point, episode = dict(start), episodes.task(task)
        for _ in range(inner_steps):
            slopes = torch.autograd.grad(loss_of(point, episode.support), list(point.values()), create_graph=True)
            point = {name: value - inner_lr * slope for (name, value), slope in zip(point.items(), slopes, strict=True)}
        losses.append(loss_of(point, episode.query))
    slopes = torch.autograd.grad(torch.stack(losses).mean(), list(start.values()))
    return {f"model.{name}": slope for name, slope in zip(start, slopes, strict=True)}


@contextlib.contextmanager
def not_compiled() -> Iterator[None]:
    """A context in which the graph that would be compiled is run as it is, which takes seconds less.

    Tracing leaves out the note of every value's shape, which takes three quarters of its time; the graph is the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda graph, **settings: graph)
        patch.setattr(proxy_tensor, "set_meta", lambda proxy, value: proxy)
        yield

"""The mean meta-gradient as each library computes it, on one and the same module: the rows of ``peers.py``.

Every peer is written as its own MAML example is: a Python loop over the tasks, whose query loss is differentiated task
by task, so that no graph outlives its task. ``parallel-metalearn`` alone brings its own batching over tasks.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import headstart as hs
from headstart.models.normalization import BatchNorm

Params = dict[str, Tensor]
Gradient = Callable[[nn.Module, hs.Episodes, float, int, int], Params]
"""``(model, episodes, inner_lr, inner_steps, order) -> mean meta-gradient by the model's own names``."""

INNER_LR = 0.5
"""A power of two: one peer keeps it in float32, and gradients are compared in float64."""


class Setting(NamedTuple):
    """What one meta-gradient is taken of; 1 shot and 1 query per class."""

    ways: int
    tasks: int
    inner_steps: int
    order: int


class Peer(NamedTuple):
    gradient: Gradient
    package: str | None = None  # by its name on the package index; None for what PyTorch has
    module: str = "torch"
    orders: tuple[int, ...] = (2, 1)
    model_for: Callable[[nn.Module], nn.Module] = lambda model: model  # what the library needs, or is better served by


def random_episodes(setting: Setting, dtype: torch.dtype) -> hs.Episodes:
    generator = torch.Generator().manual_seed(0)
    size = (setting.tasks, setting.ways, 1, 28, 28)
    targets = torch.arange(setting.ways).repeat(setting.tasks, 1)
    support, query = (hs.Examples(torch.rand(size, dtype=dtype, generator=generator), targets) for _ in range(2))
    return hs.Episodes(support, query)


def tasks_of(episodes: hs.Episodes) -> Iterator[hs.Episodes]:
    for task in range(len(episodes.query.targets)):
        yield episodes.task(task)


def accumulated(model: nn.Module) -> Params:
    """What ``backward`` has summed up in the parameters of ``model``."""
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def autograd_loop(model: nn.Module, episodes: hs.Episodes, inner_lr: float, inner_steps: int, order: int) -> Params:
    """The oracle: ``torch.autograd`` alone."""
    model.zero_grad()
    tasks = len(episodes.query.targets)
    for support, query in tasks_of(episodes):
        params: Params = dict(model.named_parameters())
        for _ in range(inner_steps):
            loss = F.cross_entropy(functional_call(model, params, (support.inputs,)), support.targets)
            slopes = torch.autograd.grad(loss, list(params.values()), create_graph=order == 2)
            params = {
                name: torch.add(value, slope, alpha=-inner_lr)
                for (name, value), slope in zip(params.items(), slopes, strict=True)
            }
        query_loss = F.cross_entropy(functional_call(model, params, (query.inputs,)), query.targets)
        (query_loss / tasks).backward()
    return accumulated(model)


def learn2learn_maml(model: nn.Module, episodes: hs.Episodes, inner_lr: float, inner_steps: int, order: int) -> Params:
    """``clone``, ``adapt``, ``backward``, as in learn2learn's Omniglot example."""
    maml = importlib.import_module("learn2learn.algorithms.maml").MAML(model, lr=inner_lr, first_order=order == 1)
    model.zero_grad()
    tasks = len(episodes.query.targets)
    for support, query in tasks_of(episodes):
        learner = maml.clone()
        for _ in range(inner_steps):
            learner.adapt(F.cross_entropy(learner(support.inputs), support.targets))
        (F.cross_entropy(learner(query.inputs), query.targets) / tasks).backward()
    return accumulated(model)


def higher_innerloop(model: nn.Module, episodes: hs.Episodes, inner_lr: float, inner_steps: int, order: int) -> Params:
    """``innerloop_ctx``, as in higher's Omniglot example; first-order by its maintainers' advice in issue 63."""
    import higher

    model.zero_grad()
    tasks = len(episodes.query.targets)
    optimizer = torch.optim.SGD(model.parameters(), lr=inner_lr)
    for support, query in tasks_of(episodes):
        with higher.innerloop_ctx(model, optimizer, copy_initial_weights=False, track_higher_grads=order == 2) as (
            fast_model,
            fast_optimizer,
        ):
            for _ in range(inner_steps):
                fast_optimizer.step(F.cross_entropy(fast_model(support.inputs), support.targets))
            loss = F.cross_entropy(fast_model(query.inputs), query.targets) / tasks
            if order == 2:
                loss.backward()
            else:  # the adapted parameters are leaves: their gradient is the task's, and the user adds it up
                slopes = torch.autograd.grad(loss, list(fast_model.parameters()))
                for value, slope in zip(model.parameters(), slopes, strict=True):
                    value.grad = slope if value.grad is None else value.grad.add_(slope)
    return accumulated(model)


def torchopt_meta_sgd(model: nn.Module, episodes: hs.Episodes, inner_lr: float, inner_steps: int, order: int) -> Params:
    """``MetaSGD`` with its state taken and put back, as in TorchOpt's Omniglot example; it always tracks the graph."""
    import torchopt

    if order == 1:
        raise ValueError("TorchOpt's differentiable optimizers have no first-order form.")
    model.zero_grad()
    tasks = len(episodes.query.targets)
    optimizer = torchopt.MetaSGD(model, lr=inner_lr)
    model_state = torchopt.extract_state_dict(model, by="reference", detach_buffers=True)
    optimizer_state = torchopt.extract_state_dict(optimizer, by="reference")
    for support, query in tasks_of(episodes):
        for _ in range(inner_steps):
            optimizer.step(F.cross_entropy(model(support.inputs), support.targets))
        (F.cross_entropy(model(query.inputs), query.targets) / tasks).backward()
        torchopt.recover_state_dict(model, model_state)
        torchopt.recover_state_dict(optimizer, optimizer_state)
    return accumulated(model)


class WithoutOptions(nn.Module):
    """Takes and ignores the keywords that parallel-metalearn passes to every part of a model."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor, **_: object) -> Tensor:
        return self.module(inputs)


def parallel_metalearn(
    model: nn.Module, episodes: hs.Episodes, inner_lr: float, inner_steps: int, order: int
) -> Params:
    """``MAML.step`` with its default, ``vmap`` over up to 80 tasks; its outer update has the rate 0 here."""
    from metalearn.algorithms import MAML
    from metalearn.inner_optimizers import InnerSGD
    from metalearn.loss import CategoricalAccuracy, CrossEntropy
    from metalearn.model_wrappers import MAML_Model

    wrapped = MAML_Model(backbone=WithoutOptions(model), head=WithoutOptions(nn.Identity()))
    weights = wrapped.get_fast_weights()
    algorithm = MAML(
        model=wrapped,
        optimizer=torch.optim.SGD(wrapped.parameters(), lr=0.0),
        inner_optimizer=InnerSGD(weights, first_order=order == 1, inner_lr=inner_lr, learn_lr=False),
        support_loss_fn=CrossEntropy(metric_fn=CategoricalAccuracy()),
        inner_steps=inner_steps,
        device=episodes.query.inputs.device,
    )
    support, query = episodes
    algorithm.step(iter([(support.inputs, {"labels": support.targets}, query.inputs, {"labels": query.targets})]))
    return accumulated(model)


def with_native_norm(model: nn.Module) -> nn.Module:
    """A copy of a ``Conv4`` that has PyTorch's own batch norm, as a user of a loop over tasks would write it.

    The loops are exact with it, and it may be faster than batch norm in primitives: without this row the table could
    flatter headstart.
    """
    native: Any = copy.deepcopy(model)
    for block in native.blocks:
        norm = nn.BatchNorm2d(block.norm.weight.numel(), eps=block.norm.eps, track_running_stats=False)
        norm.weight, norm.bias = block.norm.weight, block.norm.bias
        block.norm = norm
    return native


class PlainBatchNorm(nn.Module):
    """headstart's batch norm, method by method, without the abstract base class."""

    forward = BatchNorm.forward


def without_abstract_classes(model: nn.Module) -> nn.Module:
    """A copy of ``model`` that higher can patch: it cannot derive from a class of ``(nn.Module, ABC)``."""
    plain = copy.deepcopy(model)
    for layer in plain.modules():
        if type(layer) is BatchNorm:
            layer.__class__ = PlainBatchNorm
    return plain


ORACLE = "autograd loop"
PEERS: dict[str, Peer] = {
    ORACLE: Peer(autograd_loop),
    "learn2learn": Peer(learn2learn_maml, "learn2learn", "learn2learn.algorithms.maml"),
    "learn2learn, native norm": Peer(
        learn2learn_maml, "learn2learn", "learn2learn.algorithms.maml", model_for=with_native_norm
    ),
    "higher": Peer(higher_innerloop, "higher", "higher", model_for=without_abstract_classes),
    "TorchOpt": Peer(torchopt_meta_sgd, "torchopt", "torchopt", orders=(2,)),
    "parallel-metalearn": Peer(parallel_metalearn, "parallel-metalearn", "metalearn.algorithms"),
}

FORMS: dict[str, Callable[[hs.MAML], hs.MetaGradient]] = {
    "headstart loop": lambda learner: hs.MetaGradient(learner, execution="loop"),
    "headstart eager": lambda learner: hs.MetaGradient(learner),
    "headstart recomputed": lambda learner: hs.MetaGradient(learner, recompute=True),
    "headstart compiled": lambda learner: hs.MetaGradient(learner, compile=True),
}
"""headstart's own rows: a row more is a line more."""
WORKERS = {"headstart compiled, 1 worker": 1, "headstart compiled, 2 workers": 2}
"""Rows that are run in other processes, of one thread each."""
NAMES = [*PEERS, *FORMS, *WORKERS]


def import_peer(module: str) -> None:
    """Imports ``module``, and learn2learn without its ``__init__``.

    ``learn2learn/__init__.py`` imports datasets and environments, hence gym, torchvision, scipy and more, none of which
    its MAML uses and not all of which installs beside a current PyTorch. The package is entered in ``sys.modules``
    without being run; the modules imported from it are the installed ones, unchanged.
    """
    package = module.partition(".")[0]
    if package == "learn2learn" and package not in sys.modules:
        found = importlib.util.find_spec(package)
        if found is not None:
            sys.modules[package] = importlib.util.module_from_spec(found)
    importlib.import_module(module)


def obstacle(name: str, order: int) -> str | None:
    """Why there is no such row here: ``not installed``, ``not offered``, what its import says, or nothing."""
    peer = PEERS.get(name)
    if peer is None:
        return None
    if importlib.util.find_spec(peer.module.partition(".")[0]) is None:
        return "not installed"
    try:
        import_peer(peer.module)
    except Exception as error:  # an old library on a new PyTorch may raise anything: the table then says what
        return f"does not import ({type(error).__name__}: {error})"
    return None if order in peer.orders else "not offered"


def prepare(
    name: str, setting: Setting, dtype: torch.dtype = torch.float32, smooth: bool = False
) -> Callable[[], Params]:
    """The meta-gradient of ``setting`` as ``name`` computes it, with all that a training run does only once done."""
    torch.manual_seed(0)
    network = hs.Conv4(ways=setting.ways, activation=F.softplus if smooth else F.relu)
    learner = hs.MAML(network, inner_lr=INNER_LR, inner_steps=setting.inner_steps, order=setting.order).to(dtype)
    episodes = random_episodes(setting, dtype)
    if name in PEERS:
        peer = PEERS[name]
        return partial(
            peer.gradient, peer.model_for(learner.model), episodes, INNER_LR, setting.inner_steps, setting.order
        )
    form, meta_params = FORMS["headstart compiled" if name in WORKERS else name](learner), learner.meta_params

    def run() -> Params:
        gradient, _ = form(meta_params, episodes)
        return {name.removeprefix("model."): value for name, value in gradient.items()}

    return run

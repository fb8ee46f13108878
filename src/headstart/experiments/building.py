"""From a configuration to its parts: data, tasks, model, learner, optimizer and scheduler."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler

import headstart
from headstart.datasets.glyphs import draw_glyphs
from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.omniglot import load_omniglot
from headstart.datasets.splits import Split, lake_split, random_split, read_split
from headstart.distributed.processes import from_first, world_size
from headstart.engine.meta_gradient import MetaGradient
from headstart.errors import BadInputError
from headstart.experiments.config import Config
from headstart.experiments.methods import METHODS, RULES
from headstart.learners.base import Learner
from headstart.models.conv4 import Conv4
from headstart.models.low_rank import with_low_rank
from headstart.models.mlp import MLP
from headstart.models.searchable import EVERY_OPERATION, SearchableConv4
from headstart.models.transformer import Transformer
from headstart.system.process import local_rank
from headstart.tasks.classification import ClassificationTasks
from headstart.tasks.held_out import HeldOutTasks
from headstart.tasks.supervised import SupervisedTasks

VALIDATION_GLYPHS, TEST_GLYPHS = 100, 423
OPTIONS_ON_GPU = {
    "Adam": {"fused": True, "capturable": True},
    "AdamW": {"fused": True, "capturable": True},
    "SGD": {"fused": True},
}
"""The optimizers that can be part of a CUDA graph, with their options for it."""


class Parts(NamedTuple):
    """The classes of the three task sets; the same for every seed, so that all runs share their test tasks."""

    train: ImageClasses
    validation: ImageClasses
    test: ImageClasses


def device_of(config: Config) -> torch.device:
    """The device that ``config.device`` names; of several processes on one machine, each has a GPU of its own.

    Raises:
        BadInputError: there is no such device here.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and world_size() > 1:
        name = f"cuda:{local_rank()}"
    try:
        device = torch.empty(0, device=name).device
        torch.Generator(device)  # which is what the tasks are drawn with there
    except (RuntimeError, AssertionError) as error:
        raise BadInputError(f"--device {name} is not to be had here; use --device cpu.") from error
    return device


def load_classes(config: Config) -> Parts:
    """The classes of an image data set, split, on the device; rank 0 reads or draws them for all ranks.

    Raises:
        BadInputError: the data set or the split cannot be used.
        RunStoppedError: the data set has to be downloaded and cannot be.
    """
    parts = from_first(lambda: split_classes(config))
    device = device_of(config)
    return Parts(*(part._replace(images=part.images.to(device)) for part in parts))


def split_classes(config: Config) -> Parts:
    """The classes of an image data set, split, on the CPU."""
    if config.data == "glyphs":
        held_out = VALIDATION_GLYPHS + TEST_GLYPHS
        classes = draw_glyphs(held_out + config.glyph_classes, size=config.image_size)
    else:
        classes = load_omniglot(config.data_root, size=config.image_size, resize=config.resize)
    if config.split == "random" and config.data == "glyphs":  # the same test glyphs however many there are to train on
        names = classes.names
        split = Split(names[held_out:], names[TEST_GLYPHS:held_out], names[:TEST_GLYPHS])
    elif config.split == "random":
        split = random_split(classes.names)
    else:
        split = lake_split(classes.names) if config.split == "lake" else read_split(Path(config.split))
    return Parts(*map(classes.choose, split))


def build_training_tasks(config: Config, classes: ImageClasses) -> ClassificationTasks | SupervisedTasks | HeldOutTasks:
    """The training tasks of an image data set: episodes, in two halves of the classes for the search of a structure,
    or batches of all classes for the supervised classifier.

    Raises:
        BadInputError: the classes are too few, or have too few examples.
    """
    if config.method == "classifier":
        rotations: Literal["classes", "none"] = "classes" if config.rotations == "classes" else "none"
        return SupervisedTasks(classes, examples=config.ways * config.queries, rotations=rotations)
    held_out = METHODS[config.method].family == "structure"
    half = len(classes.names) // 2 * (4 if config.rotations == "classes" else 1)
    if held_out and half < config.ways:
        raise BadInputError(
            f"--method {config.method} searches on one half of the training classes, and its {half} cannot give "
            f"{config.ways} ways; ask for fewer ways."
        )
    tasks = [
        ClassificationTasks(
            part, ways=config.ways, shots=config.shots_in_training, queries=config.queries, rotations=config.rotations
        )
        for part in (halves(classes) if held_out else [classes])
    ]
    return HeldOutTasks(*tasks) if held_out else tasks[0]


def halves(classes: ImageClasses) -> list[ImageClasses]:
    """Every other class, and the others."""
    return [classes.choose(classes.names[first::2]) for first in (0, 1)]


def build_unseen_tasks(config: Config, classes: ImageClasses) -> ClassificationTasks:
    """The validation or test tasks of an image data set, never turned.

    Raises:
        BadInputError: the classes are too few, or have too few examples.
    """
    return ClassificationTasks(
        classes, ways=config.ways, shots=config.shots, queries=config.test_queries, rotations="none"
    )


def build_model(config: Config, outputs: int) -> nn.Module:
    """The architecture of *f*, its weights drawn from ``config.seed`` without touching the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = architecture(config, outputs)
        return with_low_rank(model) if config.method == "low_rank" else model


def architecture(config: Config, outputs: int) -> nn.Module:
    """The module that ``config.model`` names."""
    size, width = config.image_size, config.width
    if config.model == "mlp":
        features = 1 if config.data == "sinusoid" else size**2
        context = config.context if config.method == "cavia" else 0
        return MLP(features + context, outputs, (width, width), norm=config.norm)
    if config.model == "transformer":
        return Transformer(outputs, width=width, patch=size // 4, image_size=size)
    if config.model == "searchable":
        candidates = EVERY_OPERATION if config.structure is None else config.structure.split(",")
        return SearchableConv4(outputs, candidates, width=width, image_size=size, norm=config.norm)
    return Conv4(
        outputs,
        width=width,
        image_size=size,
        downsample=config.downsample,
        features=config.features,
        norm=config.norm,
    )


def build_learner(config: Config, outputs: int) -> Learner:
    """The learner of a configuration, on its device; ``outputs`` is the size of its model's head.

    An argument of the learner that is called like a setting is that setting.
    """
    method = METHODS[config.method]
    learner: Callable[..., Learner] = getattr(headstart, method.learner)
    rule = getattr(headstart, RULES[config.inner_rule])
    settings = {**config.record(), "model": build_model(config, outputs), "inner_rule": rule}
    taken = settings.keys() & inspect.signature(learner).parameters.keys()
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # of what an update rule draws
        arguments = {**{name: settings[name] for name in taken}, **method.arguments}
        return learner(**arguments).to(device_of(config))


def build_engine(config: Config, learner: Learner) -> MetaGradient:
    """How the meta-gradient of a configuration is run.

    Raises:
        BadInputError: two of its settings contradict each other.
    """
    chosen: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}
    return MetaGradient(
        learner,
        config.execution,
        chunk_size=config.chunk_size,
        compile=config.compile if config.compile in ("whole", "updates") else chosen[config.compile],
        recompute=chosen[config.recompute],
        memory=None if config.memory is None else int(config.memory * 2**30),
        meta_steps=config.meta_steps,
    )


def build_optimizer(config: Config) -> Callable[[Iterable[Tensor]], Optimizer]:
    """The outer optimizer, waiting for the meta-parameters.

    Raises:
        BadInputError: ``torch.optim`` has no such optimizer, or one that needs more than a gradient.
    """
    kind = getattr(torch.optim, config.optimizer, None)
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise BadInputError(f"--optimizer {config.optimizer} is not in torch.optim; try Adam, AdamW or SGD.")
    make: Callable[..., Optimizer] = kind
    trial = torch.zeros(2, requires_grad=True)
    trial.grad = torch.zeros(2)
    try:
        make([trial], lr=config.meta_lr).step()
    except Exception as error:  # each optimizer refuses what it cannot do in its own way
        raise BadInputError(f"--optimizer {config.optimizer} is not for this ({error}); try Adam or SGD.") from error

    def make_where_params_are(params: Iterable[Tensor]) -> Optimizer:
        params = list(params)
        if params[0].device.type != "cuda" or config.optimizer not in OPTIONS_ON_GPU:
            return make(params, lr=config.meta_lr)
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")  # and is not recorded
        rate = torch.tensor(config.meta_lr, device=params[0].device)
        return make(params, lr=rate, **OPTIONS_ON_GPU[config.optimizer])

    return make_where_params_are


def build_scheduler(config: Config) -> Callable[[Optimizer], LRScheduler]:
    """The schedule of the outer learning rate, waiting for the optimizer."""
    schedules: dict[str, Callable[[Optimizer], LRScheduler]] = {
        "constant": lambda outer: ConstantLR(outer, factor=1.0),
        "cosine": lambda outer: CosineAnnealingLR(outer, config.meta_steps),
        "linear": lambda outer: LinearLR(outer, 1.0, 0.0, config.meta_steps),
    }
    return schedules[config.schedule]

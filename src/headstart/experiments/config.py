"""Everything that a run can be set to: the flags of ``headstart train`` and the content of ``config.json``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from headstart.errors import BadInputError
from headstart.experiments.methods import LEARNED_RULES, METHODS

Data = Literal["glyphs", "omniglot", "sinusoid"]


@dataclass(frozen=True)
class Config:
    """Meta-train a learner, evaluate it on test tasks and leave a run folder.

    The defaults shown are the recipe of --data and --method as given; try `headstart train --method reptile --help`.
    """

    data: Data = "glyphs"
    """Data set: glyphs are characters drawn by headstart itself, without a download."""
    data_root: Path | None = None
    """Folder of the Omniglot zips or of their content; otherwise $HEADSTART_DATA, the cache, or a download."""
    split: str = "random"
    """Split into training, validation and test classes: random, lake (Omniglot, by alphabet), or a JSON file."""
    image_size: int = 28
    """Pixels along each side."""
    resize: Literal["nearest", "area"] = "nearest"
    """How Omniglot gets to that size: nearest pixel in 1 bit, or area-averaged grey."""
    rotations: Literal["classes", "tasks", "none"] = "classes"
    """Turns by 90 degrees in training: new classes, random per task, or none. Validation and test are never turned."""
    glyph_classes: int = 3000
    """Glyphs to train on; 100 more are for validation and 423 more for test."""

    method: str = "maml"
    """What is learned, and how; `headstart methods` lists them."""
    ways: int = 5
    """Classes per task (N)."""
    shots: int = 1
    """Support examples per class (K) at validation and test."""
    train_shots: int | None = None
    """Support examples per class in training; as --shots if None."""
    queries: int = 3
    """Query examples per class in training."""
    test_queries: int = 15
    """Query examples per class at validation and test."""

    model: Literal["conv4", "mlp", "searchable", "transformer"] = "conv4"
    """Architecture of f."""
    structure: str | None = None
    """Operations of the searchable model's blocks, such as conv3,conv5,skip,pool3; if None four blocks with all of
    them, in shares that are learned."""
    width: int = 64
    """Channels of each convolution, or units of each of the two hidden layers."""
    norm: Literal["batch", "batch_shift", "group", "layer", "none"] = "batch"
    """Normalization; batch norm makes the predictions transductive. batch_shift has no scale, as in MAML's code."""
    downsample: Literal["stride", "max_pool"] = "stride"
    """How Conv4 halves the image."""
    features: Literal["flatten", "mean"] = "flatten"
    """What Conv4's head sees of the last feature maps."""

    inner_lr: float = 0.4
    """Inner learning rate, on the mean loss."""
    inner_steps: int = 1
    """Inner updates in training."""
    test_inner_steps: int | None = None
    """Inner updates at validation and test; if None as --inner-steps, but at least the 3 of MAML's paper."""
    inner_rule: Literal["sgd", "adam", "meta_sgd", "layer_step_rates", "meta_curvature", "learned_optimizer"] = "sgd"
    """Inner update rule; adam has beta1 = 0, and what follows it is learned."""
    adapt: Literal["all", "weights"] = "all"
    """What of the model adapts: all, or (weights) all but the parameters of its normalization, as in MAML's code."""
    inner_batch: int | None = None
    """Support examples per inner update; all if None. Reptile only."""
    proximity: float = 2.0
    """How strongly task parameters are held to the meta-parameters. Implicit MAML only."""
    cg_steps: int = 5
    """Steps of conjugate gradient per meta-gradient. Implicit MAML only."""
    damping: float = 22.0
    """Added to --proximity where the meta-gradient is solved for; 0 is exact, for smooth losses. Implicit MAML only."""
    context: int = 5
    """Numbers that adapt, beside the inputs. CAVIA only."""

    meta_steps: int = 1500
    """Outer updates."""
    meta_batch: int = 8
    """Tasks per outer update."""
    meta_lr: float = 3e-3
    """Outer learning rate."""
    optimizer: str = "Adam"
    """Any optimizer of torch.optim, by its class name."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """Outer learning rate over the run: as it is, or annealed to zero."""

    validation_every: int = 500
    """Meta-steps between validations; the best validated meta-parameters are the ones that are evaluated."""
    validation_tasks: int = 200
    """Fixed tasks per validation."""
    test_tasks: int = 1000
    """Fixed tasks of the final test."""
    checkpoint_every: int = 100
    """Meta-steps between checkpoints."""
    seed: int = 0
    """Of the initial weights and the tasks. The split and the test tasks are those of seed 0, always."""
    execution: Literal["auto", "loop", "vmap", "chunks"] = "auto"
    """How the meta-gradient goes over the tasks: one by one, all at once, or in chunks; the result is the same."""
    chunk_size: int | None = None
    """Tasks per chunk, with --execution chunks; chosen by itself if None."""
    compile: Literal["auto", "yes", "no", "whole", "updates"] = "auto"
    """Whether to compile the meta-gradient, which takes a minute once; auto does if the run is long enough. In one
    piece (whole) or inner update by inner update (updates); yes chooses between the two."""
    recompute: Literal["auto", "yes", "no"] = "auto"
    """Whether inner loops are computed anew for their derivative instead of kept; auto does if --memory is short."""
    memory: float | None = None
    """GiB that each process may hold; half of the machine's, divided by the processes, if None."""
    device: str = "auto"
    """Where: cpu, cuda, or auto for cuda where there is one."""
    workers: int | None = None
    """Processes that share the tasks of a meta-step; chosen by itself if None."""
    out: Path | None = None
    """Run folder; a new one under runs/ if None. A folder with a run of the same settings is gone on with."""

    @property
    def shots_in_training(self) -> int:
        """Support examples per class in training."""
        return self.shots if self.train_shots is None else self.train_shots

    @property
    def inner_steps_in_test(self) -> int:
        """Inner updates at validation and test."""
        return max(self.inner_steps, 3) if self.test_inner_steps is None else self.test_inner_steps

    def record(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        values = dataclasses.asdict(self)
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def config_from_record(record: dict[str, Any]) -> Config:
    """The configuration that ``config.record()`` came from.

    Raises:
        BadInputError: the record has an entry that this version does not know, or lacks one.

    >>> config_from_record(Config(ways=20, out=Path("runs/a")).record()) == Config(ways=20, out=Path("runs/a"))
    True
    """
    names = {field.name for field in dataclasses.fields(Config)}
    if names != record.keys():
        name = sorted(names ^ record.keys())[0]
        raise BadInputError(f"config.json is not of this version of headstart: {name!r} is in only one of the two.")
    paths = {name: Path(record[name]) for name in ("data_root", "out") if isinstance(record[name], str)}
    return Config(**{**record, **paths})


LEAST = {
    **dict.fromkeys(("ways", "shots", "train_shots", "queries", "test_queries", "inner_batch"), 1),
    **dict.fromkeys(("image_size", "glyph_classes", "width", "cg_steps", "context"), 1),
    **dict.fromkeys(("meta_steps", "meta_batch", "validation_every", "checkpoint_every", "chunk_size", "workers"), 1),
    **dict.fromkeys(("inner_steps", "test_inner_steps", "damping", "seed"), 0),
    **dict.fromkeys(("validation_tasks", "test_tasks"), 2),
}
"""The smallest value of each number; an interval needs two tasks."""


ONLY_WITH = {
    "norm": ("model", ("conv4", "mlp", "searchable")),
    "downsample": ("model", ("conv4",)),
    "features": ("model", ("conv4",)),
    "structure": ("model", ("searchable",)),
    "adapt": ("method", ("maml", "fomaml", "meta_sgd", "layer_step_rates", "meta_curvature")),
    "inner_batch": ("method", ("reptile",)),
    "proximity": ("method", ("implicit_maml",)),
    "cg_steps": ("method", ("implicit_maml",)),
    "damping": ("method", ("implicit_maml",)),
    "context": ("method", ("cavia",)),
}
"""Settings that would be without effect, unless another one has one of these values."""


def check(config: Config) -> None:
    """Refuses, before any work is done, what cannot be worked with.

    Raises:
        BadInputError: a setting has none of its values, or two contradict each other.
    """
    if config.method not in tuple(METHODS):
        raise BadInputError(f"--method {config.method!r} is none of its values; choose one of {', '.join(METHODS)}.")
    for name, hint in get_type_hints(Config).items():
        value = getattr(config, name)
        if not is_a(value, hint):
            raise BadInputError(f"{flag(name)} {value!r} is none of its values; choose {described(hint)}.")
        if name in LEAST and value is not None and not LEAST[name] <= value < 2**63:
            raise BadInputError(f"{flag(name)} {value} is out of its range; choose {LEAST[name]} or more.")
    for name in ("inner_lr", "proximity", "meta_lr", "memory"):
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise BadInputError(f"{flag(name)} {value} is out of its range; choose a positive number.")
    method = METHODS[config.method]
    if config.data == "sinusoid" and config.model != "mlp":
        raise BadInputError("--data sinusoid has no images: use --model mlp.")
    if config.data == "sinusoid" and method.needs_classes:
        raise BadInputError(
            f"--method {config.method} needs classes, which --data sinusoid has not; use another method."
        )
    if config.data != "sinusoid" and config.method == "cavia":
        raise BadInputError(f"--method cavia needs vectors, and --data {config.data} has images: use --data sinusoid.")
    if config.data != "omniglot" and config.split == "lake":
        raise BadInputError(
            f"--split lake is of Omniglot's alphabets, not of --data {config.data}; use --split random."
        )
    if method.family == "structure" and (config.model != "searchable" or config.structure is not None):
        raise BadInputError(f"--method {config.method} needs a choice: use --model searchable and no --structure.")
    rule = method.recipe.get("inner_rule", config.inner_rule)
    if rule in LEARNED_RULES and config.inner_rule != rule:
        raise BadInputError(f"--method {config.method} is --inner-rule {rule}; for another rule use --method maml.")
    if method.family == "metric" and config.inner_steps:
        raise BadInputError(f"--method {config.method} makes no inner updates: leave --inner-steps away.")
    for name, (setting, values) in ONLY_WITH.items():
        if getattr(config, name) != getattr(Config, name) and getattr(config, setting) not in values:
            raise BadInputError(
                f"{flag(name)} goes with {flag(setting)} {' or '.join(values)}, not {getattr(config, setting)}."
            )
    if config.rotations == "tasks" and config.method == "classifier":
        raise BadInputError("--method classifier has no tasks in training: use --rotations classes or none.")


def flag(name: str) -> str:
    """How the command line calls a setting."""
    return "--" + name.replace("_", "-")


def is_a(value: object, hint: Any) -> bool:
    """Whether ``value`` is of the type ``hint``, where a whole number may stand for a float.

    >>> is_a(5, int | None), is_a("adam", Literal["sgd", "adam"]), is_a("5", int), is_a(True, int)
    (True, True, False, False)
    """
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_args(hint):
        return any(is_a(value, part) for part in get_args(hint))
    return isinstance(value, (int, float) if hint is float else hint) and not isinstance(value, bool)


def described(hint: Any) -> str:
    """The values of a type, for people.

    >>> described(Literal["sgd", "adam"]), described(int | None)
    ('sgd or adam', 'int or None')
    """
    if get_args(hint):
        return " or ".join(part if isinstance(part, str) else described(part) for part in get_args(hint))
    return "None" if hint is type(None) else str(hint.__name__)

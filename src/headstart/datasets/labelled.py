"""Examples with a class each, of any shape and any number per class: the form in which own data reach the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from headstart.errors import BadInputError
from headstart.system.memory import memory_at_hand


class Members(NamedTuple):
    """Which examples each class has: those of class ``c`` are ``order[first[c] : first[c] + counts[c]]``.

    Shapes:
        order: int64 ``[example of some class]``
        first, counts: int64 ``[class]``
    """

    order: Tensor
    first: Tensor
    counts: Tensor

    def rows(self, classes: Tensor, examples: Tensor) -> Tensor:
        """Where the ``examples``-th example of each of ``classes`` is."""
        return self.order[self.first[classes] + examples]


class _Fields(NamedTuple):
    inputs: Tensor
    targets: Tensor
    names: tuple[str, ...]


class LabelledExamples(_Fields):
    """Examples with the index of the class of each, and the classes' names.

    Shapes:
        inputs: ``[example, *features]``: uint8, 0 to 255, of which the tasks make floats from 0 to 1; or floats, which
            they leave as they are. They may be memory-mapped.
        targets: int64 ``[example]``: the place of its class in ``names``, or -1 where that is none of them
        names: one per class

    Raises:
        BadInputError: the three do not fit together, or ``inputs`` are of another type.

    >>> flowers = LabelledExamples(torch.rand(5, 4), torch.tensor([0, 0, 1, 2, 2]), ("iris", "rose", "lily"))
    >>> flowers.choose(["lily", "iris"]).targets
    tensor([ 1,  1, -1,  0,  0])
    """

    __slots__ = ()

    def __new__(cls, inputs: Tensor, targets: Tensor, names: Iterable[str]) -> LabelledExamples:
        """Checks what can be wrong with them."""
        examples = super().__new__(cls, inputs, targets, tuple(names))
        _check(examples)
        return examples

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> LabelledExamples:  # type: ignore[override]
        """What ``_replace`` goes through: it is checked as well."""
        return cls(*iterable)

    @property
    def labelled(self) -> LabelledExamples:
        """Itself."""
        return self

    @property
    def rotations(self) -> Literal["none"]:
        """How tasks turn the images unless told otherwise: nobody knows whether a turned one is of the same class."""
        return "none"

    def on_paper(self, images: Tensor) -> Tensor:
        """Images of the data set for a person to look at: as they are."""
        return images

    def choose(self, names: Sequence[str]) -> LabelledExamples:
        """The classes with the given ``names``, in that order; the inputs are shared, not copied.

        Raises:
            BadInputError: a name is not one of this data set's classes.
        """
        places = torch.full((len(self.names) + 1,), -1)  # the last is that of -1, which is no class
        places[positions(names, self.names)] = torch.arange(len(names))
        return LabelledExamples(self.inputs, places.to(self.targets.device)[self.targets], names)

    def to(self, device: torch.device) -> LabelledExamples:
        """The same on ``device``, without the examples of no class; as it is, if it would fill more than half of it."""
        own = self.targets >= 0
        size = int(own.sum()) * self.inputs[0].nbytes
        if self.inputs.device == device or size > memory_at_hand(device):
            return self
        return LabelledExamples(self.inputs[own].to(device), self.targets[own].to(device), self.names)

    def members(self) -> Members:
        """Which examples each class has, in their order."""
        counts = self.targets[self.targets >= 0].bincount(minlength=len(self.names))
        order = self.targets.argsort(stable=True)
        return Members(order[len(order) - int(counts.sum()) :], counts.cumsum(0) - counts, counts)


def positions(chosen: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where the ``chosen`` are among the ``names`` of a data set's classes.

    Raises:
        BadInputError: one is not there.

    >>> positions(["c", "a"], ["a", "b", "c"])
    [2, 0]
    """
    position = {name: index for index, name in enumerate(names)}
    missing = [name for name in chosen if name not in position]
    if missing:
        raise BadInputError(
            f"{len(missing)} classes of the split are not in the data set, {missing[0]!r} the first of them; "
            f"this data set has {len(names)} classes such as {names[0]!r}."
        )
    return [position[name] for name in chosen]


def _check(examples: LabelledExamples) -> None:
    inputs, targets, names = examples
    if inputs.dtype != torch.uint8 and not inputs.is_floating_point():
        kind = str(inputs.dtype).removeprefix("torch.")
        raise BadInputError(
            f"inputs of type {kind} do not say how large their numbers are: give uint8 images (0 to 255), or floats, "
            "which are taken as they are."
        )
    if targets.dtype != torch.int64 or targets.ndim != 1 or len(targets) != len(inputs):
        raise BadInputError(
            f"targets are {targets.dtype} of shape {list(targets.shape)} for {len(inputs)} examples; give one int64 "
            "class index for each."
        )
    if len({*names}) < len(names):
        raise BadInputError("two classes have the same name; give each a name of its own.")
    if len(targets) and not -1 <= int(targets.min()) <= int(targets.max()) < len(names):
        raise BadInputError(
            f"targets run from {int(targets.min())} to {int(targets.max())}, and there are names for {len(names)} "
            "classes; use hs.ClassificationTasks.from_arrays for labels of any kind."
        )

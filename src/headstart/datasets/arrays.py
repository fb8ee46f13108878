"""Arrays and data sets of other libraries as labelled examples."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from headstart.datasets.labelled import LabelledExamples
from headstart.errors import BadInputError


def labelled_arrays(x: Any, y: Any) -> LabelledExamples:
    """``x[i]`` is an example of the class that ``y[i]`` is called; classes are in the order of their labels.

    Shapes:
        x: ``[example, *features]``, uint8 or floats
        y: ``[example]``, anything hashable

    Raises:
        BadInputError: the lengths differ, a label is missing, or a number is not finite.

    >>> labelled_arrays([[0.5], [0.1], [0.2]], ["b", "a", "b"])[1:]
    (tensor([1, 0, 1]), ('a', 'b'))
    """
    inputs, labels = as_inputs(x, "x"), label_list(y)
    if len(labels) != len(inputs):
        raise BadInputError(f"x has {len(inputs)} examples and y has {len(labels)} labels; give one label for each.")
    classes = in_order(labels)
    names = [str(label) for label in classes]
    if same := [name for name in names if names.count(name) > 1] if len({*names}) < len(names) else []:
        raise BadInputError(f"two labels of y are both called {same[0]!r}; use labels of one type.")
    position = {label: index for index, label in enumerate(classes)}
    return LabelledExamples(inputs, torch.tensor([position[label] for label in labels]), names)


def labelled_pairs(dataset: Any) -> LabelledExamples:
    """The examples of an indexable data set of ``(example, label)`` pairs; PIL images become uint8 with channels first.

    Raises:
        BadInputError: it is no such data set, its examples differ in shape, or a label is missing.

    >>> labelled_pairs([([0.5, 1.0], 7), ([0.1, 2.0], 3)])[1:]
    (tensor([1, 0]), ('3', '7'))
    """
    try:
        pairs = [(example, label) for example, label in (dataset[index] for index in range(len(dataset)))]
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"{type(dataset).__name__} is no data set that can be indexed for (example, label) pairs ({error}); "
            "use from_arrays."
        ) from error
    arrays = [as_tensor(pixels(example), "an example") for example, _ in pairs]
    if len(shapes := {tuple(array.shape) for array in arrays}) != 1:
        raise BadInputError(
            f"examples must be of one shape, and these are of {len(shapes)}, such as {sorted(shapes)[:2]}; bring them "
            "to one with a transform."
        )
    return labelled_arrays(torch.stack(arrays), [label for _, label in pairs])


def as_inputs(values: Any, what: str) -> Tensor:
    """Inputs as a tensor: uint8 as it is, floats in PyTorch's default type.

    Raises:
        BadInputError: they are no array of numbers, of another type, or not all finite.

    >>> as_inputs(np.ones((2, 3)), "x").dtype
    torch.float32
    """
    inputs = as_tensor(values, what)
    if inputs.ndim == 0 or len(inputs) == 0:
        raise BadInputError(f"{what} has no examples; give an array of [example, *features].")
    if not inputs.is_floating_point():
        return inputs
    inputs = inputs.to(torch.get_default_dtype())
    finite = inputs.reshape(len(inputs), -1).isfinite().all(1)
    if not finite.all():
        raise BadInputError(
            f"{what} has NaN or infinite numbers in {int((~finite).sum())} of {len(inputs)} examples, number "
            f"{int((~finite).nonzero()[0])} the first of them; leave these out, or fill them in."
        )
    return inputs


def as_tensor(values: Any, what: str) -> Tensor:
    """An array of any library as a tensor.

    Raises:
        BadInputError: it is no array of numbers.
    """
    try:
        return values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{what} is no array of numbers of one shape ({error}).") from error


def pixels(example: Any) -> Any:
    """A PIL image as an array ``[channel, height, width]``; anything else as it is."""
    if not isinstance(example, Image.Image):
        return example
    array = np.asarray(example)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def label_list(y: Any) -> list[Hashable]:
    """The labels as Python objects.

    Raises:
        BadInputError: they are not one hashable object each, or one is missing.
    """
    if not hasattr(y, "__iter__"):
        y = np.asarray(y)
    labels = y.tolist() if hasattr(y, "tolist") else [y_i.item() if hasattr(y_i, "item") else y_i for y_i in y]
    if not isinstance(labels, list):
        raise BadInputError(f"y is {labels!r}; give one label per example, in a list or an array.")
    for number, label in enumerate(labels):
        if not isinstance(label, Hashable):
            raise BadInputError(
                f"label {number} of y is {label!r}; give one label per example, such as its class's name."
            )
        if label is None or label != label:
            raise BadInputError(f"label {number} of y is missing ({label}); leave such examples out.")
    return list(labels)


def in_order(labels: list[Hashable]) -> list[Hashable]:
    """The different labels, sorted if they can be, otherwise as they first occur.

    >>> in_order([10, 2, 10]), in_order(["b", 1, "b"])
    ([2, 10], ['b', 1])
    """
    different = list(dict.fromkeys(labels))
    try:
        return sorted(different)  # type: ignore[type-var]
    except TypeError:
        return different

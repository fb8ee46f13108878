"""From a trained learner and a support set to the fits that predict: one, or several whose scores are averaged."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.learners.fitted import Fitted
from headstart.learners.heads import AnyWays
from headstart.params import Params
from headstart.trained.files import rebuilt


class Fit(NamedTuple):
    """One *f*, and which of its outputs stands for each class; ``None`` if there are no classes."""

    fitted: Fitted
    order: Tensor | None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Scores ``[example, class]``, or numbers ``[example, output]``."""
        with torch.no_grad():
            predictions: Tensor = self.fitted(inputs)
        return predictions if self.order is None else predictions[:, self.order]


def with_steps(learner: Learner, inner_steps: int | None) -> Learner:
    """The learner, which makes another number of inner steps if one is given.

    Raises:
        BadInputError: it is no number of steps.
    """
    if inner_steps is None:
        return learner
    if not isinstance(inner_steps, int) or inner_steps < 0:
        raise BadInputError(f"inner_steps={inner_steps!r} must be a whole number that is not negative, or None.")
    learner = copy.copy(learner)
    learner.inner_steps = inner_steps
    return learner


def fits_of(learner: Learner, support: Examples, permutations: int, generator: torch.Generator) -> list[Fit]:
    """Fits whose heads stand for the classes in different orders, the first in that of the classes.

    A learner that makes its head for the task has no use for more than one.

    Raises:
        BadInputError: the learner cannot tell so many classes, or cannot take such examples.
    """
    ways = 1 + int(support.targets.max())
    outputs = most_classes(learner, support)
    if outputs is not None and outputs < ways:
        raise BadInputError(
            f"{ways} classes are more than the {outputs} that this learner can tell apart; take one that makes its "
            f"head for the task, such as those of --method proto_net, or train with --ways {ways}."
        )
    orders = [torch.arange(ways)]
    orders += [torch.randperm(outputs or ways, generator=generator)[:ways] for _ in range(permutations - 1)]
    return [Fit(fitted_to(learner, Examples(support.inputs, order[support.targets])), order) for order in orders]


def fitted_to(learner: Learner, support: Examples, inner_steps: int | None = None) -> Fitted:
    """``learner.fit(support, inner_steps)``.

    Raises:
        BadInputError: the learner cannot take such examples.
    """
    try:
        return learner.fit(support, inner_steps)
    except RuntimeError as error:
        shape = tuple(support.inputs.shape[1:])
        raise BadInputError(
            f"the learner cannot take examples of shape {shape}: {str(error).splitlines()[0]}."
        ) from error


def most_classes(learner: Learner, support: Examples) -> int | None:
    """How many classes a learner can tell apart at most; ``None`` if any number.

    Raises:
        BadInputError: the learner cannot take such examples.
    """
    if isinstance(learner, AnyWays):
        return None
    fitted = fitted_to(learner, Examples(support.inputs[:1], support.targets[:1] * 0), inner_steps=0)
    fitted.outputs = None
    with torch.no_grad():
        return int(fitted(support.inputs[:1]).shape[1])


def augmented(support: Examples, copies: int, generator: torch.Generator) -> Examples:
    """The support set with ``copies`` of each image that are turned by up to 10 degrees, up to a tenth larger or
    smaller, and moved by up to a twentieth of their size.

    Shapes:
        support: ``[example, channel, height, width]`` -> ``[(1 + copies) * example, channel, height, width]``
    """
    if not copies:
        return support
    if support.inputs.ndim != 4:
        raise BadInputError(f"augmentations={copies} are of images, which this learner does not take; leave them at 0.")
    images, targets = support.inputs.repeat(copies, 1, 1, 1), support.targets.repeat(copies)
    angle, size, right, down = (2 * torch.rand(4, len(images), generator=generator) - 1).to(images)
    turn = angle * (torch.pi / 18)
    cos, sin = (1 + size / 10) * turn.cos(), (1 + size / 10) * turn.sin()
    maps = torch.stack([torch.stack([cos, -sin, right / 10], 1), torch.stack([sin, cos, down / 10], 1)], 1)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return Examples(torch.cat([support.inputs, moved]), torch.cat([support.targets, targets]))


def arrays_of_fit(fit: Fit) -> dict[str, Any]:
    """A fit as arrays by their names, and what it was built by."""
    learner: Any = fit.fitted.learner
    return {
        "state": {name: value.detach().numpy() for name, value in fit.fitted.state.named_parameters()},
        "outputs": fit.fitted.outputs,
        "order": None if fit.order is None else fit.order.numpy(),
        "made_from": learner.made_from,
    }


def fit_of_arrays(arrays: dict[str, Any], learner: Learner | None) -> Fit:
    """The fit again; ``learner`` is what it was made by where that was built in Python."""
    structure = copy.deepcopy(learner) if learner else rebuilt(arrays["made_from"], "the estimator")
    state: Params = {name: torch.from_numpy(np.array(value)) for name, value in arrays["state"].items()}
    order = arrays["order"]
    return Fit(Fitted(structure, state, arrays["outputs"]), None if order is None else torch.from_numpy(order))

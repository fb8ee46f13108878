"""What is wrong with the examples that a learner is handed, in one sentence instead of an error from far below."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from headstart.episodes import Examples, Tensors
from headstart.errors import BadInputError

IGNORED = -100
"""The class target that cross-entropy leaves out."""


def values_are_at_hand() -> bool:
    """Whether values may be looked at: no ``vmap``, derivative or compiler is on its way, and nobody counts operations.

    >>> values_are_at_hand(), torch.func.vmap(lambda row: values_are_at_hand() * row)(torch.ones(2, 2)).sum()
    (True, tensor(0.))
    """
    transformed = torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack() > 0
    return not transformed and not torch.compiler.is_compiling()


def are_classes(targets: Tensors) -> bool:
    """Whether the targets are class indices, and not real numbers or what a loss of its own is handed."""
    return isinstance(targets, Tensor) and not targets.is_floating_point()


def check_tensors(examples: Examples) -> None:
    """Refuses inputs and targets that are no tensors.

    Raises:
        BadInputError: they are arrays or lists, or labels are words; the sentence says how to turn them into tensors.

    >>> check_tensors(Examples(torch.ones(2, 3), ["a", "b"]))
    Traceback (most recent call last):
    headstart.errors.BadInputError: the targets hold a str, not a tensor; number the classes: \
torch.as_tensor(np.unique(labels, return_inverse=True)[1]).
    """
    for name, values in zip(("inputs", "targets"), examples, strict=True):
        for leaf in tree_leaves(values):
            if isinstance(leaf, Tensor):
                continue
            way_out = "give torch.as_tensor of them"
            if name == "targets":
                way_out = "number the classes: torch.as_tensor(np.unique(labels, return_inverse=True)[1])"
            raise BadInputError(f"the {name} hold a {type(leaf).__name__}, not a tensor; {way_out}.")


def check_classes(targets: Tensor, ways: int, *, every: bool) -> None:
    """Refuses class targets that are not those of a task of ``ways`` classes.

    Args:
        targets: ``[..., example]``; -100 stands for no example, as in ``F.cross_entropy``.
        every: whether each class needs an example.

    Raises:
        BadInputError: a target is out of range, or a class has no example.

    >>> check_classes(torch.arange(10, 20), ways=10, every=False)
    Traceback (most recent call last):
    headstart.errors.BadInputError: class targets go from 0 to 9 in a task of 10 ways, and these from 10 to 19; number \
them anew, torch.unique(targets, return_inverse=True)[1], or set the learner's attribute ways to 20.
    """
    known = targets[targets != IGNORED]
    least, most = (int(known.min()), int(known.max())) if known.numel() else (0, 0)
    if least < 0 or most >= ways:
        way_out = "number them anew, torch.unique(targets, return_inverse=True)[1]"
        if least >= 0:
            way_out += f", or set the learner's attribute ways to {most + 1}"
        raise BadInputError(
            f"class targets go from 0 to {ways - 1} in a task of {ways} ways, and these from {least} to {most}; "
            f"{way_out}."
        )
    if every:
        shown = (targets[..., None] == torch.arange(ways, device=targets.device)).any(-2)
        if not shown.all():
            missing = int((~shown).nonzero()[0, -1])
            raise BadInputError(
                f"class {missing} of {ways} has no support example; give it one, or number the classes that have one "
                "anew, torch.unique(targets, return_inverse=True)[1], and set the learner's attribute ways."
            )


def misfit_of(error: RuntimeError, model: nn.Module, inputs: Tensors) -> str | None:
    """Why a model failed on its inputs, if that is because of their type or a missing channel axis."""
    tensors, said = tree_leaves(inputs), str(error)
    types = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    wrong = [tensor for tensor in tensors if tensor.dtype not in types]
    if wrong and types and re.search(r"dtype|scalar type|Byte|Long|Double|Float\b|should be the same", said):
        scaled = " / 255" if wrong[0].dtype == torch.uint8 else ""
        to = ", ".join(map(str, types))
        return f"inputs of {wrong[0].dtype} do not fit a model of {to}; give inputs.to({to}){scaled}."
    convolution = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    first = tensors[0]
    if convolution and first.dim() == 3 and "channels" in said:
        shape = f"[{first.shape[0]}, {convolution.in_channels}, {first.shape[1]}, {first.shape[2]}]"
        return f"images {list(first.shape)} have no channel axis: the model takes {shape}; give inputs[:, None]."
    return None

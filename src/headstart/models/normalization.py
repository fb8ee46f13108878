"""Normalization written in primitives, so that every order of derivative is exact under ``torch.func``.

PyTorch's native batch, instance and layer norm give a wrong second derivative in some compositions of ``grad`` and
``vmap`` (pytorch/functorch issue 534), and native batch norm writes to its running statistics, which no pure function
may. The layers here keep the native layers' parameter names and take their statistics from the inputs at hand: with
batch norm the predictions on a query set therefore depend on the whole of it (*transductive*). Only a norm that was
frozen in evaluation mode keeps the statistics that it has.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from headstart.errors import BadInputError


def normalize(inputs: Tensor, axes: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """``weight * (x - mean) / sqrt(variance + eps) + bias``, with mean and (biased) variance of ``x`` over ``axes``.

    Shapes:
        inputs: any; ``weight`` and ``bias`` broadcast against it, and the result has its shape

    >>> normalize(torch.tensor([[1.0, 3.0]]), (1,), weight=None, bias=torch.tensor(5.0), eps=0.0)
    tensor([[4., 6.]])
    """
    # Sums, scaled afterwards, and an added negative mean: the scaling and the sign then fall on one number per channel
    # in every derivative too, not on every pixel, which makes an exact meta-gradient about a tenth faster.
    share = 1 / math.prod(inputs.shape[axis] for axis in axes)
    centered = inputs + inputs.sum(axes, keepdim=True) * -share
    gain = torch.rsqrt(centered.square().sum(axes, keepdim=True) * share + eps)
    if weight is not None:
        gain = gain * weight
    normalized = centered * gain
    return normalized if bias is None else normalized + bias


class Normalization(nn.Module, ABC):
    """What the layers below share: the affine parameters, named as in PyTorch's native layers.

    Attributes:
        statistics: whose mean and variance they normalize by.
    """

    statistics: ClassVar[str] = "the statistics of each example"

    def __init__(self, affine_shape: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight: nn.Parameter | None = nn.Parameter(torch.ones(affine_shape))
        self.bias: nn.Parameter | None = nn.Parameter(torch.zeros(affine_shape))

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Normalized inputs, in the shape of ``inputs``."""


class BatchNorm(Normalization):
    """Batch normalization by the statistics of the batch at hand, in training and in evaluation alike.

    Args:
        scale: whether there is a weight besides the bias; MAML's code has none.

    Shapes:
        inputs: ``[example, channel, *spatial]``

    Source: Ioffe and Szegedy (2015), algorithm 1; without running statistics, as in MAML's code.

    >>> BatchNorm(1)(torch.tensor([[1.0], [3.0]])).round()
    tensor([[-1.],
            [ 1.]], grad_fn=<RoundBackward0>)
    """

    statistics = "the statistics of the batch at hand"

    def __init__(self, channels: int, eps: float = 1e-5, *, scale: bool = True) -> None:
        super().__init__((channels,), eps)
        if not scale:
            self.weight = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalized inputs, in the shape of ``inputs``."""
        channels_last = inputs.movedim(1, -1)  # the order in which compiled convolutions leave and want their images
        axes = tuple(range(inputs.dim() - 1))
        return normalize(channels_last, axes, self.weight, self.bias, self.eps).movedim(-1, 1)


class FrozenNorm(Normalization):
    """``weight * (x - running_mean) / sqrt(running_var + eps) + bias``, per channel: what native batch and instance
    norm are in evaluation mode. The running statistics are constants, in either mode.

    Shapes:
        inputs: ``[example, channel, *spatial]``; mean, variance: ``[channel]``

    >>> FrozenNorm(torch.tensor([2.0]), torch.tensor([4.0]), eps=0.0)(torch.tensor([[4.0], [0.0]]))
    tensor([[ 1.],
            [-1.]], grad_fn=<PermuteBackward0>)
    """

    statistics = "its running statistics, which stay as they are"
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, mean: Tensor, variance: Tensor, eps: float = 1e-5) -> None:
        super().__init__(tuple(mean.shape), eps)
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", variance)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalized inputs, in the shape of ``inputs``."""
        gain = torch.rsqrt(self.running_var + self.eps)
        if self.weight is not None:
            gain = gain * self.weight
        shift = -self.running_mean * gain
        if self.bias is not None:
            shift = shift + self.bias
        return (inputs.movedim(1, -1) * gain + shift).movedim(-1, 1)


class GroupNorm(Normalization):
    """Normalization of each example over groups of its channels; one group is layer norm over channels and space.

    Shapes:
        inputs: ``[example, channel, *spatial]``

    Raises:
        BadInputError: ``groups`` does not divide ``channels``.

    Source: Wu and He (2018), section 3.

    >>> GroupNorm(1, 2)(torch.tensor([[1.0, 3.0]])).round()
    tensor([[-1.,  1.]], grad_fn=<RoundBackward0>)
    """

    def __init__(self, groups: int, channels: int, eps: float = 1e-5) -> None:
        if channels % groups:
            raise BadInputError(f"{groups} groups do not divide {channels} channels; choose a divisor of {channels}.")
        super().__init__((channels,), eps)
        self.groups = groups

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalized inputs, in the shape of ``inputs``."""
        examples, channels = inputs.shape[:2]
        grouped = inputs.reshape(examples, self.groups, channels // self.groups, math.prod(inputs.shape[2:]))
        shape = (1, *grouped.shape[1:3], 1)
        weight = None if self.weight is None else self.weight.view(shape)
        bias = None if self.bias is None else self.bias.view(shape)
        return normalize(grouped, (2, 3), weight, bias, self.eps).reshape(inputs.shape)


class LayerNorm(Normalization):
    """Normalization of each example over its last axes, with one weight and bias per element.

    Shapes:
        inputs: ``[*, *shape]``

    Source: Ba, Kiros and Hinton (2016), section 3.

    >>> LayerNorm((2,))(torch.tensor([[1.0, 3.0]])).round()
    tensor([[-1.,  1.]], grad_fn=<RoundBackward0>)
    """

    def __init__(self, shape: tuple[int, ...], eps: float = 1e-5) -> None:
        super().__init__(shape, eps)
        self.shape = shape

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalized inputs, in the shape of ``inputs``."""
        axes = tuple(range(inputs.dim() - len(self.shape), inputs.dim()))
        return normalize(inputs, axes, self.weight, self.bias, self.eps)


NATIVE_FORWARDS = {
    native.forward
    for native in (
        nn.modules.batchnorm._BatchNorm,
        nn.SyncBatchNorm,
        nn.modules.instancenorm._InstanceNorm,
        nn.GroupNorm,
        nn.LayerNorm,
    )
}


def frozen(layer: nn.modules.batchnorm._NormBase) -> FrozenNorm | None:
    """A native batch or instance norm that normalizes by its running statistics, in primitives; ``None`` for others."""
    if layer.training or layer.running_mean is None or layer.running_var is None:
        return None
    if isinstance(layer, nn.modules.instancenorm._InstanceNorm) and not layer.track_running_stats:
        return None
    return FrozenNorm(layer.running_mean, layer.running_var, layer.eps)


def in_primitives(layer: nn.Module) -> Normalization | None:
    """The layer of this file that computes what the native ``layer`` does; ``None`` where there is none.

    In training mode that is what it does to the batch at hand, in evaluation mode with running statistics what it does
    by these.
    """
    exact: Normalization
    if type(layer).forward not in NATIVE_FORWARDS:  # a subclass that computes something else is left as it is
        return None
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        exact = frozen(layer) or BatchNorm(layer.num_features, layer.eps)
    elif isinstance(layer, nn.modules.instancenorm._InstanceNorm):
        exact = frozen(layer) or GroupNorm(layer.num_features, layer.num_features, layer.eps)
    elif isinstance(layer, nn.GroupNorm):
        exact = GroupNorm(layer.num_groups, layer.num_channels, layer.eps)
    elif isinstance(layer, nn.LayerNorm):
        exact = LayerNorm(tuple(layer.normalized_shape), layer.eps)
    else:
        return None
    exact.weight, exact.bias = layer.weight, layer.bias
    return exact


def with_exact_normalization(model: nn.Module) -> tuple[nn.Module, dict[str, list[str]]]:
    """A copy of ``model`` with every native normalization layer written in primitives, and the names of those layers,
    by whose statistics they take.

    Parameters keep their names, values and ``requires_grad``. Running statistics are dropped, but for a layer in
    evaluation mode, which goes on with them.

    >>> trained = nn.BatchNorm1d(3).eval()
    >>> exact, replaced = with_exact_normalization(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), trained))
    >>> replaced
    {'the statistics of the batch at hand': ['1'], 'its running statistics, which stay as they are': ['2']}
    >>> type(exact[1]).__name__, type(exact[2]).__name__
    ('BatchNorm', 'FrozenNorm')
    """
    root = nn.ModuleDict({"model": copy.deepcopy(model)})
    replaced: dict[str, list[str]] = {}
    for path, layer in list(root.named_modules(remove_duplicate=False)):
        if (exact := in_primitives(layer)) is not None:
            parent, _, name = path.rpartition(".")
            setattr(root.get_submodule(parent), name, exact)
            name = path.removeprefix("model").removeprefix(".") or type(layer).__name__
            replaced.setdefault(exact.statistics, []).append(name)
    return root["model"], replaced

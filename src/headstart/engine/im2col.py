"""Convolution as a matrix product over patches, the fastest form for small images in a compiled meta-gradient.

``y = P(x) W``: one row of ``P(x)`` holds the ``kernel x kernel x channels`` patch of the image that one output pixel
sees. ``P`` is linear and its adjoint puts patches back where they came from, so that every derivative of a convolution,
of any order, is one of these two and matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

LARGEST_COLUMNS = 16 * 2**20
"""Bytes of one task's patches, above which they cost more to write and read than the matrix product gains."""


class Window(NamedTuple):
    """Kernel, stride and padding of a convolution, each as (vertical, horizontal), in pixels."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def outputs(self, height: int, width: int) -> tuple[int, int]:
        """Pixels of the output, vertically and horizontally."""
        sizes = zip((height, width), self.kernel, self.stride, self.padding, strict=True)
        down, across = ((size + 2 * padding - kernel) // stride + 1 for size, kernel, stride, padding in sizes)
        return down, across


def im2col(images: Tensor, window: Window) -> Tensor:
    """The patch that each output pixel sees.

    Shapes:
        images: ``[image, height, width, channel]`` -> ``[image, down, across, kernel * kernel, channel]``

    >>> im2col(torch.arange(4.0).view(1, 2, 2, 1), Window((2, 2), (1, 1), (0, 0))).flatten()
    tensor([0., 1., 2., 3.])
    """
    (rows, columns), (step, stride), (above, left) = window
    down, across = window.outputs(*images.shape[1:3])
    padded = F.pad(images, (0, 0, left, left, above, above))
    return torch.stack(
        [
            padded[:, row : row + step * (down - 1) + 1 : step, column : column + stride * (across - 1) + 1 : stride]
            for row in range(rows)
            for column in range(columns)
        ],
        dim=3,
    )


def col2im(patches: Tensor, window: Window, height: int, width: int) -> Tensor:
    """The adjoint of :func:`im2col`: adds every patch to the pixels that it was taken from.

    A pixel ``step * i + phase`` gets its summands from the kernel rows ``step * a + phase`` of the outputs ``i - a``.
    Each phase is therefore a sum of shifted maps, and the phases interleave to the image.

    Shapes:
        patches: ``[image, down, across, kernel * kernel, channel]`` -> ``[image, height, width, channel]``

    >>> col2im(torch.ones(1, 1, 2, 2, 1), Window((1, 2), (1, 1), (0, 0)), height=1, width=3).flatten()
    tensor([1., 2., 1.])
    """
    (rows, columns), (step, stride), (above, left) = window
    overlap, overhang = -(-rows // step) - 1, -(-columns // stride) - 1  # further outputs that reach the same pixel

    def phase(row: int, column: int) -> Tensor:
        shifted = [
            F.pad(patches[:, :, :, r * columns + c], (0, 0, b, overhang - b, a, overlap - a))
            for a, r in enumerate(range(row, rows, step))
            for b, c in enumerate(range(column, columns, stride))
        ]
        nothing = patches.new_zeros(len(patches), down + overlap, across + overhang, patches.shape[-1])
        return sum(shifted[1:], shifted[0]) if shifted else nothing

    down, across = patches.shape[1:3]
    phases = torch.stack([phase(r, c) for r in range(step) for c in range(stride)], 3)
    image = phases.view(*phases.shape[:3], step, stride, patches.shape[-1]).movedim(3, 2).flatten(3, 4).flatten(1, 2)
    missing_below, missing_right = above + height - image.shape[1], left + width - image.shape[2]
    padded = F.pad(image, (0, 0, 0, max(0, missing_right), 0, max(0, missing_below)))
    return padded[:, above : above + height, left : left + width]


class _Im2col(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, window: Window) -> Tensor:
        return im2col(images, window)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, ctx.window = inputs
        ctx.height, ctx.width = images.shape[1:3]

    @staticmethod
    def backward(ctx: Any, patches: Tensor) -> tuple[Tensor, None]:
        return _Col2im.apply(patches, ctx.window, ctx.height, ctx.width), None  # type: ignore[no-untyped-call]


class _Col2im(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(patches: Tensor, window: Window, height: int, width: int) -> Tensor:
        return col2im(patches, window, height, width)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.window = inputs[1]

    @staticmethod
    def backward(ctx: Any, images: Tensor) -> tuple[Tensor, None, None, None]:
        return _Im2col.apply(images, ctx.window), None, None, None  # type: ignore[no-untyped-call]


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """``torch.nn.functional.conv2d``, by a matrix product over patches where they are small, natively otherwise.

    Shapes:
        input: ``[image, channel, height, width]``; weight: ``[output, channel, kernel, kernel]``; bias: ``[output]``

    >>> images, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    >>> (convolve(images, weight, stride=2) - F.conv2d(images, weight, stride=2)).abs().max() < 1e-5
    tensor(True)
    """
    native = partial(F.conv2d, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if isinstance(padding, str) or groups != 1 or pair(dilation) != (1, 1) or input.dim() != 4:
        return native(input, weight, bias)
    window = Window(pair(weight.shape[2:]), pair(stride), pair(padding))
    down, across = window.outputs(*input.shape[2:])
    if min(down, across) < 1 or len(input) * down * across * weight[0].numel() * input.element_size() > LARGEST_COLUMNS:
        return native(input, weight, bias)
    patches = _Im2col.apply(input.permute(0, 2, 3, 1), window)  # type: ignore[no-untyped-call]
    by_patch = weight.permute(0, 2, 3, 1).flatten(1)
    outputs: Tensor = patches.flatten(3).flatten(0, 2) @ by_patch.t()
    if bias is not None:
        outputs = outputs + bias
    return outputs.view(len(input), down, across, len(weight)).permute(0, 3, 1, 2)


def pair(size: int | Iterable[int]) -> tuple[int, int]:
    """``size`` for each of the two directions.

    >>> pair(3), pair((1, 2))
    ((3, 3), (1, 2))
    """
    if isinstance(size, int):
        return size, size
    sizes = tuple(size)
    return (sizes[0], sizes[-1])


class ConvolutionsByIm2col(TorchFunctionMode):
    """A context in which every ``conv2d``, of whichever module, is :func:`convolve`.

    >>> with ConvolutionsByIm2col():
    ...     torch.nn.Conv2d(1, 2, 3)(torch.zeros(1, 1, 4, 4)).shape
    torch.Size([1, 2, 2, 2])
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """``convolve`` for ``conv2d``, max-pooling of maps in their usual order, and everything else as it is."""
        if func is F.max_pool2d:  # its second derivative asks for the order, which vmap cannot tell of another
            args = (args[0].contiguous(), *args[1:])
        return (convolve if func is F.conv2d else func)(*args, **(kwargs or {}))

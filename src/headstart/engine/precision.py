"""Matrix products and convolutions in fewer bits: faster where the processor has the units for it, and less exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from headstart.engine.im2col import ConvolutionsByIm2col

Precision = Literal["float32", "tf32", "bfloat16"]


@contextmanager
def precision_of_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """A context in which float32 matrix products and convolutions on ``device`` are taken in ``precision``.

    ``tf32`` rounds their factors to 10 bits after the point, on NVIDIA GPUs since Ampere; ``bfloat16`` rounds factors
    and results to 7, on any device. headstart's normalization and the losses stay in float32. On a CPU, convolutions in
    ``bfloat16`` are taken over patches, and those that cannot be, in float32: of an image of one pixel, PyTorch 2.13's
    own returns memory that it never wrote to as the gradient of those weights that see padding alone.

    >>> ones = torch.ones(1, 1)
    >>> with precision_of_products("bfloat16", torch.device("cpu")):
    ...     (ones * 1.001) @ ones
    tensor([[1.]], dtype=torch.bfloat16)
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    rounded = precision == "bfloat16"
    try:
        with (
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=rounded),
            ConvolutionsByIm2col() if rounded and device.type == "cpu" else nullcontext(),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]

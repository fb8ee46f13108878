"""The models that ``headstart train --model`` knows: one row each, with its own settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import headstart as hs
from headstart.problems.settings import Size

if TYPE_CHECKING:
    from torch import nn

Norm = Literal["batch", "batch_shift", "group", "layer", "none"]


@dataclass(frozen=True)
class TransformerSettings:
    """Flags of the transformer."""

    width: Size = 64
    """Numbers per token."""


@dataclass(frozen=True)
class MLPSettings:
    """Flags of the fully connected network."""

    width: Size = 64
    """Units of each of the two hidden layers."""
    norm: Norm = "batch"
    """Normalization; batch norm makes the predictions transductive. batch_shift has no scale, as in MAML's code."""


@dataclass(frozen=True)
class ConvolutionalSettings:
    """Flags of the networks of four convolutional blocks."""

    width: Size = 64
    """Channels of each convolution."""
    norm: Norm = "batch"
    """Normalization; batch norm makes the predictions transductive. batch_shift has no scale, as in MAML's code."""


@dataclass(frozen=True)
class Conv4Settings(ConvolutionalSettings):
    """Flags of Conv4."""

    downsample: Literal["stride", "max_pool"] = "stride"
    """How it halves the image."""
    features: Literal["flatten", "mean"] = "flatten"
    """What its head sees of the last feature maps."""


@dataclass(frozen=True)
class ResNet12Settings:
    """Flags of ResNet12."""

    widths: Literal["64-160-320-640", "64-128-256-512"] = "64-160-320-640"
    """Channels of its four blocks: 12.4 or 8.0 million parameters."""
    norm: Norm = "batch"
    """Normalization; batch norm makes the predictions transductive. batch_shift has no scale, as in MAML's code."""


@dataclass(frozen=True)
class SearchableSettings(ConvolutionalSettings):
    """Flags of the network whose blocks choose among operations."""

    structure: str | None = None
    """Operations of the blocks, such as conv3,conv5,skip,pool3; if None four blocks with all of them, in shares that
    are learned."""


class Model(NamedTuple):
    """A row: what there is to know of a model before it is built.

    Attributes:
        settings: a frozen dataclass, the flags that belong to this model alone.
        build: ``(settings, shape of an example, outputs) -> nn.Module``.
        needs: what the problem must have.
        found: ``(settings, trained model) -> str``: what there is to say of the choices that training made.
    """

    settings: type
    build: Callable[[Any, tuple[int, ...], int], nn.Module]
    needs: str | None = None
    found: Callable[[Any, Any], str] = lambda settings, model: ""


def conv4(settings: Conv4Settings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Conv4 of images ``[channel, side, side]``."""
    channels, side, _ = shape
    return hs.Conv4(
        outputs,
        channels=channels,
        image_size=side,
        width=settings.width,
        norm=settings.norm,
        downsample=settings.downsample,
        features=settings.features,
    )


def resnet12(settings: ResNet12Settings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """ResNet12 of images ``[channel, height, width]``."""
    widths = [int(width) for width in settings.widths.split("-")]
    return hs.ResNet12(outputs, channels=shape[0], widths=widths, norm=settings.norm)


def searchable(settings: SearchableSettings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The searchable network, with every choice or with one structure."""
    channels, side, _ = shape
    build = partial(
        hs.SearchableConv4, outputs, channels=channels, image_size=side, width=settings.width, norm=settings.norm
    )
    return build() if settings.structure is None else build(settings.structure.split(","))


def structure_found(settings: SearchableSettings, model: hs.SearchableConv4) -> str:
    """Which operations got the largest shares, if there was a choice."""
    if settings.structure is not None:
        return ""
    flags = f"--model searchable --width {settings.width} --structure {','.join(model.strongest)}"
    return f"largest shares: {flags} (below, all are mixed)"


def transformer(settings: TransformerSettings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A transformer of sixteen patches."""
    channels, side, _ = shape
    return hs.Transformer(outputs, channels=channels, width=settings.width, patch=side // 4, image_size=side)


def mlp(settings: MLPSettings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A fully connected network of examples laid flat."""
    return hs.MLP(prod(shape), outputs, (settings.width, settings.width), norm=settings.norm)


MODELS: dict[str, Model] = {
    "conv4": Model(Conv4Settings, conv4, needs="images"),
    "mlp": Model(MLPSettings, mlp),
    "resnet12": Model(ResNet12Settings, resnet12, needs="images"),
    "searchable": Model(SearchableSettings, searchable, needs="images", found=structure_found),
    "transformer": Model(TransformerSettings, transformer, needs="images"),
}

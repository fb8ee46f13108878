"""Shapes and parameter counts of the architectures."""

from __future__ import annotations

import pytest
import torch

import headstart as hs


@pytest.mark.parametrize("downsample", ["stride", "max_pool"])
@pytest.mark.parametrize("features", ["flatten", "mean"])
@pytest.mark.parametrize("norm", ["batch", "batch_shift", "group", "layer", "none"])
@pytest.mark.parametrize("image_size", [16, 28, 35])
def test_conv4_gives_one_logit_per_way(downsample: str, features: str, norm: str, image_size: int) -> None:
    net = hs.Conv4(7, channels=3, width=8, image_size=image_size, downsample=downsample, features=features, norm=norm)
    assert net(torch.rand(2, 3, image_size, image_size)).shape == (2, 7)


def test_conv4_of_the_papers_has_their_parameters() -> None:
    """Max-pooled Conv4-64 on 28x28, counted by hand; no convolution has the bias that batch norm would remove."""
    convolutions = 9 * 64 + 3 * 9 * 64 * 64
    norms = 4 * 2 * 64
    net = hs.Conv4(5, downsample="max_pool")
    assert sum(parameter.numel() for parameter in net.parameters()) == convolutions + norms + 64 * 5 + 5


def test_a_norm_that_shifts_has_no_scale() -> None:
    names = [name for name, _ in hs.Conv4(5, norm="batch_shift").blocks.named_parameters()]
    assert names == [f"{block}.{name}" for block in range(4) for name in ("conv.weight", "norm.bias")]


def test_mlp_of_the_paper_has_two_hidden_layers_of_forty() -> None:
    assert sum(parameter.numel() for parameter in hs.MLP().parameters()) == 40 + 40 + 40 * 40 + 40 + 40 + 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ways": 0}, "ways=0"),
        ({"ways": 5, "norm": "instance"}, "'instance'"),
        ({"ways": 5, "downsample": "pool"}, "'pool'"),
        ({"ways": 5, "features": "max"}, "'max'"),
        ({"ways": 5, "image_size": 15, "downsample": "max_pool"}, "image_size=15"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(hs.BadInputError, match=named):
        hs.Conv4(**settings)  # type: ignore[arg-type]

"""Shapes and parameter counts of the architectures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


@pytest.mark.parametrize(
    ("widths", "parameters"), [((64, 160, 320, 640), 12_424_320), ((64, 128, 256, 512), 7_996_800)]
)
def test_resnet12_of_the_papers_has_their_parameters(widths: tuple[int, ...], parameters: int) -> None:
    """Published as 12.4 and 8.0 million, below the head."""
    with torch.device("meta"):
        net = hs.ResNet12(5, widths=widths)
    assert sum(parameter.numel() for parameter in net.blocks.parameters()) == parameters
    assert net.head.weight.shape == (5, widths[-1])


@pytest.mark.parametrize("norm", ["batch", "batch_shift", "group", "layer", "none"])
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 37, 20)])
def test_resnet12_gives_one_logit_per_way(norm: str, shape: tuple[int, ...]) -> None:
    net = hs.ResNet12(7, channels=shape[0], widths=(2, 3, 4, 5), norm=norm)  # type: ignore[arg-type]
    assert net(torch.rand(2, *shape)).shape == (2, 7)


def test_resnet12_is_what_its_parameters_make_of_an_image_by_hand() -> None:
    """Of the published network: native layers, with the weights of ours."""
    torch.manual_seed(0)
    net, images = hs.ResNet12(3, widths=(2, 3, 4, 5)).double(), torch.rand(6, 3, 32, 32, dtype=torch.float64)

    def convolved(layer: nn.Module, maps: Tensor) -> Tensor:
        maps = F.conv2d(maps, layer[0].weight, padding="same")
        return F.batch_norm(maps, None, None, layer[1].weight, layer[1].bias, training=True)

    maps = images
    for block in net.blocks:
        first, second, third = block.convs
        within = F.leaky_relu(convolved(first, maps), 0.1)
        within = convolved(third, F.leaky_relu(convolved(second, within), 0.1))
        maps = F.max_pool2d(F.leaky_relu(within + convolved(block.shortcut, maps), 0.1), 2)
    expected = F.linear(F.adaptive_avg_pool2d(maps, 1).flatten(1), net.head.weight, net.head.bias)
    assert maps.shape == (6, 5, 2, 2)
    assert (net(images) - expected).abs().max() < 1e-12


def test_resnet12_names_what_it_cannot_do() -> None:
    with pytest.raises(hs.BadInputError, match="four widths, and positive sizes, not ways=5, channels=3, widths="):
        hs.ResNet12(5, widths=(64, 128, 256))
    with pytest.raises(hs.BadInputError, match="ways=0"):
        hs.ResNet12(0)
    with pytest.raises(hs.BadInputError, match="images of 84x15 are too small"):
        hs.ResNet12(5, widths=(1, 1, 1, 1))(torch.rand(1, 3, 84, 15))


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

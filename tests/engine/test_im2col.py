"""Convolution over patches is convolution: values, derivatives of both orders, and every setting of ``conv2d``."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import grad, vmap

from headstart.engine.im2col import ConvolutionsByIm2col, Window, col2im, convolve, im2col


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, int, int]:
    """A window, and the height and width of an image that it fits."""
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    height, width = (max(kernel[i] - 2 * padding[i], 1) + draw(st.integers(0, 5)) for i in (0, 1))
    return Window(kernel, stride, padding), height, width


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=100, deadline=None)
@given(windows())
def test_it_equals_the_native_convolution(case: tuple[Window, int, int]) -> None:
    window, height, width = case
    images, weight, bias = random(2, 3, height, width), random(4, 3, *window.kernel, seed=1), random(4, seed=2)
    expected = F.conv2d(images, weight, bias, window.stride, window.padding)
    outputs = convolve(images, weight, bias, window.stride, window.padding)
    assert outputs.shape == expected.shape
    assert (outputs - expected).abs().max() < 1e-12


@settings(max_examples=100, deadline=None)
@given(windows())
def test_scatter_is_the_adjoint_of_gather(case: tuple[Window, int, int]) -> None:
    window, height, width = case
    images = random(2, height, width, 3)
    taken = im2col(images, window)
    patches = random(*taken.shape, seed=1)
    put_back = col2im(patches, window, height, width)
    assert put_back.shape == images.shape
    assert abs((taken * patches).sum() - (images * put_back).sum()) < 1e-10


@pytest.mark.parametrize("window", [Window((3, 3), (2, 2), (1, 1)), Window((2, 3), (1, 3), (0, 1))])
def test_both_orders_of_derivative_are_right(window: Window) -> None:
    images, weight = random(2, 2, 5, 4).requires_grad_(), random(3, 2, *window.kernel, seed=1).requires_grad_()

    def outputs(images: Tensor, weight: Tensor) -> Tensor:
        return convolve(images, weight, None, window.stride, window.padding).tanh()

    assert torch.autograd.gradcheck(outputs, (images, weight))
    assert torch.autograd.gradgradcheck(outputs, (images, weight))


def test_second_derivatives_of_every_task_under_vmap() -> None:
    images, weights = random(3, 2, 2, 5, 5), random(3, 4, 2, 3, 3, seed=1)

    def curvature(convolution: object) -> Tensor:
        def loss(weight: Tensor, images: Tensor) -> Tensor:
            return convolution(images, weight, None, 2, 1).tanh().square().sum()  # type: ignore[operator,no-any-return]

        def slope(weight: Tensor, images: Tensor) -> Tensor:
            return grad(loss)(weight, images).square().sum()

        return vmap(grad(slope, argnums=1))(weights, images)

    assert (curvature(convolve) - curvature(F.conv2d)).abs().max() < 1e-10


@pytest.mark.parametrize(
    "setting",
    [
        {"groups": 2},
        {"dilation": 2},
        {"dilation": (1, 2)},
        {"padding": "same"},
        {"padding": "valid"},
        {"stride": 2, "padding": 1},
    ],
)
def test_every_setting_of_conv2d(setting: dict[str, object]) -> None:
    images, weight = random(2, 4, 6, 6), random(4, 4 // int(str(setting.get("groups", 1))), 3, 3, seed=1)
    assert (convolve(images, weight, **setting) - F.conv2d(images, weight, **setting)).abs().max() < 1e-12
    assert convolve(images[0], weight, **setting).shape == F.conv2d(images[0], weight, **setting).shape


@pytest.mark.parametrize("as_keywords", [False, True])
def test_the_context_replaces_the_convolutions_of_any_module(
    as_keywords: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    honest = im2col
    monkeypatch.setattr(
        "headstart.engine.im2col.im2col", lambda images, window: seen.append(window) or honest(images, window)
    )
    images, layer = random(2, 3, 6, 6), torch.nn.Conv2d(3, 4, 3, padding=1).double()
    expected = layer(images)
    with ConvolutionsByIm2col():
        by_keyword = {"input": images, "weight": layer.weight, "bias": layer.bias, "padding": 1}
        outputs = F.conv2d(**by_keyword) if as_keywords else layer(images)
    assert seen == [Window((3, 3), (1, 1), (1, 1))]
    assert (outputs - expected).abs().max() < 1e-12
    layer(images)
    assert len(seen) == 1


def test_a_kernel_larger_than_the_image_is_refused_as_by_the_native_convolution() -> None:
    with pytest.raises(RuntimeError, match="ernel size can't be greater"):
        convolve(random(1, 1, 2, 2), random(1, 1, 3, 3))


def test_patches_that_are_too_large_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    images, weight = random(2, 3, 6, 6), random(4, 3, 3, 3, seed=1)
    size = 2 * 4 * 4 * 27 * 8
    monkeypatch.setattr("headstart.engine.im2col.im2col", lambda images, window: pytest.fail("patches were made"))
    monkeypatch.setattr("headstart.engine.im2col.LARGEST_COLUMNS", size - 1)
    convolve(images, weight)
    monkeypatch.setattr("headstart.engine.im2col.LARGEST_COLUMNS", size)
    with pytest.raises(pytest.fail.Exception):
        convolve(images, weight)

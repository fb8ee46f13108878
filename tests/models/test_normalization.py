"""Normalization in primitives against PyTorch's native layers: values, first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from headstart.errors import BadInputError
from headstart.models.normalization import (
    BatchNorm,
    FrozenNorm,
    GroupNorm,
    LayerNorm,
    Normalization,
    with_exact_normalization,
)


def trained(layer: nn.Module, *, training: bool = False) -> nn.Module:
    """With running statistics of its own, and in evaluation mode."""
    torch.manual_seed(1)
    nn.init.normal_(layer.running_mean, mean=1.0)
    nn.init.uniform_(layer.running_var, 0.2, 3.0)
    return layer.train(training)


NATIVE: dict[str, tuple[Callable[[], nn.Module], type[Normalization], tuple[int, ...]]] = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), BatchNorm, (6, 4)),
    "BatchNorm1d, long": (lambda: nn.BatchNorm1d(4), BatchNorm, (6, 4, 5)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), BatchNorm, (6, 4, 3, 5)),
    "BatchNorm2d, not affine": (lambda: nn.BatchNorm2d(4, affine=False), BatchNorm, (6, 4, 3, 5)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(4), BatchNorm, (6, 4, 2, 3, 5)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4), GroupNorm, (6, 4, 3, 5)),
    "InstanceNorm2d, affine": (lambda: nn.InstanceNorm2d(4, affine=True), GroupNorm, (6, 4, 3, 5)),
    "BatchNorm1d, frozen": (lambda: trained(nn.BatchNorm1d(4)), FrozenNorm, (6, 4)),
    "BatchNorm2d, frozen": (lambda: trained(nn.BatchNorm2d(4)), FrozenNorm, (6, 4, 3, 5)),
    "BatchNorm2d, frozen, not affine": (lambda: trained(nn.BatchNorm2d(4, affine=False)), FrozenNorm, (6, 4, 3, 5)),
    "BatchNorm2d, with statistics, training": (
        lambda: trained(nn.BatchNorm2d(4), training=True),
        BatchNorm,
        (6, 4, 3, 5),
    ),
    "BatchNorm2d, without statistics": (
        lambda: nn.BatchNorm2d(4, track_running_stats=False).eval(),
        BatchNorm,
        (6, 4, 3, 5),
    ),
    "InstanceNorm2d, frozen": (
        lambda: trained(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
        FrozenNorm,
        (6, 4, 3, 5),
    ),
    "InstanceNorm2d, without statistics": (lambda: nn.InstanceNorm2d(4).eval(), GroupNorm, (6, 4, 3, 5)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), GroupNorm, (6, 4, 3, 5)),
    "GroupNorm, flat": (lambda: nn.GroupNorm(2, 4), GroupNorm, (6, 4)),
    "LayerNorm": (lambda: nn.LayerNorm(5), LayerNorm, (6, 4, 5)),
    "LayerNorm, two axes": (lambda: nn.LayerNorm((4, 5)), LayerNorm, (6, 4, 5)),
    "LayerNorm, no bias": (lambda: nn.LayerNorm(5, bias=False), LayerNorm, (6, 4, 5)),
}


def pair(name: str) -> tuple[nn.Module, nn.Module, Tensor]:
    make, _, shape = NATIVE[name]
    torch.manual_seed(0)
    native = make().double()
    for parameter in native.parameters():
        nn.init.normal_(parameter, mean=1.0)
    exact, _ = with_exact_normalization(native)
    return native, exact, torch.randn(shape, dtype=torch.float64) * 2 + 1


@pytest.mark.parametrize("name", NATIVE)
def test_type_names_and_values(name: str) -> None:
    native, exact, inputs = pair(name)
    assert type(exact) is NATIVE[name][1]
    assert [key for key, _ in exact.named_parameters()] == [key for key, _ in native.named_parameters()]
    assert (exact(inputs) - native(inputs)).abs().max() < 1e-12


@pytest.mark.parametrize("name", NATIVE)
def test_first_and_second_derivatives(name: str) -> None:
    """The native layers' own double backward is right outside of ``torch.func``."""
    native, exact, inputs = pair(name)
    weight = torch.randn_like(inputs)
    results = []
    for layer in (native, exact):
        params = [inputs.clone().requires_grad_(), *layer.parameters()]
        loss = (weight * layer(params[0]).tanh()).sum()
        first = torch.autograd.grad(loss, params, create_graph=True)
        second = torch.autograd.grad(sum(value.square().sum() for value in first), params)
        results.append([*first, *second])
    for left, right in zip(*results, strict=True):
        assert (left - right).abs().max() < 1e-9


@pytest.mark.parametrize(
    "layer",
    [
        BatchNorm(3),
        GroupNorm(3, 3),
        GroupNorm(1, 3),
        LayerNorm((3, 4, 4)),
        FrozenNorm(torch.tensor([0.5, -0.5, 0.0]), torch.tensor([0.5, 1.0, 2.0])),
    ],
)
@pytest.mark.parametrize("outside", ["vmap(grad)", "grad(vmap)"])
def test_second_derivative_is_exact_in_both_compositions(layer: nn.Module, outside: str) -> None:
    """The composition in which native batch norm is silently wrong is right with these layers."""
    layer = layer.double()
    torch.manual_seed(0)
    inputs = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    params = {"up": torch.randn(3, 1, 1, dtype=torch.float64), **{n: p.detach() for n, p in layer.named_parameters()}}

    def adapted_loss(params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        def loss(params: dict[str, Tensor]) -> Tensor:
            inner = {name: value for name, value in params.items() if name != "up"}
            return functional_call(layer, inner, ((inputs * params["up"]).tanh(),)).square().tanh().sum()

        slope = grad(loss)(params)
        return loss({name: value - 0.1 * slope[name] for name, value in params.items()})

    if outside == "grad(vmap)":
        found = grad(lambda params: vmap(adapted_loss, in_dims=(None, 0))(params, inputs).sum())(params)
    else:
        found = {name: v.sum(0) for name, v in vmap(grad(adapted_loss), in_dims=(None, 0))(params, inputs).items()}
    h = 1e-6
    for name, value in params.items():
        for index in range(value.numel()):
            step = torch.zeros_like(value).view(-1).index_fill(0, torch.tensor([index]), h).view_as(value)
            up, down = (
                sum(adapted_loss({**params, name: value + sign * step}, task) for task in inputs) for sign in (1, -1)
            )
            slope = (up - down) / (2 * h)
            assert abs(slope - found[name].view(-1)[index]) < 1e-6 * max(1.0, abs(slope))


def test_the_original_is_left_alone_and_shared_layers_stay_shared() -> None:
    norm = nn.BatchNorm1d(3)
    model = nn.Sequential(norm, nn.Linear(3, 3), norm)
    exact, replaced = with_exact_normalization(model)
    assert replaced == {BatchNorm.statistics: ["0", "2"]}
    assert model[0] is norm
    assert exact[0].weight is exact[2].weight  # type: ignore[index]
    assert [name for name, _ in exact.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_frozen_parameters_stay_frozen() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    model[0].weight.requires_grad_(False)
    exact, _ = with_exact_normalization(model)
    assert [p.requires_grad for p in exact.parameters()] == [False, True]


@pytest.mark.parametrize("mode", [True, False])
def test_a_norm_that_was_frozen_stays_so_in_both_modes_and_keeps_its_statistics(mode: bool) -> None:
    native = trained(nn.BatchNorm2d(4))
    exact, _ = with_exact_normalization(native)
    inputs = torch.randn(6, 4, 3, 5)
    assert (exact.train(mode)(inputs) - native(inputs)).abs().max() < 1e-6
    kept = exact.state_dict()
    assert all(kept[name].equal(native.state_dict()[name]) for name in ("running_mean", "running_var"))


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(BadInputError, match="3 groups do not divide 4 channels"):
        GroupNorm(3, 4)


class ChannelsLast(nn.LayerNorm):
    """What many vision models have: layer norm over the channels of an image."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.movedim(1, -1)).movedim(-1, 1)


def test_a_subclass_that_computes_something_else_is_left_alone() -> None:
    exact, replaced = with_exact_normalization(nn.Sequential(ChannelsLast(4), nn.LayerNorm(4)))
    assert replaced == {LayerNorm.statistics: ["1"]}
    assert type(exact[0]) is ChannelsLast  # type: ignore[index]

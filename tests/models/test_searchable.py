"""The searchable network: its operations, their mixture, and what is left when each block has one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import headstart as hs
from headstart.models.searchable import OPERATIONS, MixedBlock


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_halves_the_image(name: str, size: int) -> None:
    operation = OPERATIONS[name](3, 6, "batch", F.relu)
    outputs = operation(torch.randn(2, 3, size, size))
    assert outputs.shape == (2, operation.outputs, 4, 4)
    assert operation.outputs == {"narrow3": 3, "skip": 3}.get(name, 6)


def test_four_plain_convolutions_are_conv4() -> None:
    torch.manual_seed(0)
    searchable, conv4 = hs.SearchableConv4(5, ["conv3"] * 4, width=8), hs.Conv4(5, width=8)
    mine, theirs = list(searchable.parameters()), list(conv4.parameters())
    assert [p.shape for p in mine] == [p.shape for p in theirs]
    with torch.no_grad():
        for own, other in zip(mine, theirs, strict=True):
            own.copy_(other)
    images = torch.randn(3, 1, 28, 28)
    assert (searchable(images) - conv4(images)).abs().max() < 1e-6


def test_a_separable_convolution_is_a_plain_one_of_rank_one() -> None:
    torch.manual_seed(0)
    block = OPERATIONS["separable3"](3, 6, "none", torch.tanh)
    spatial, mixing = (block.get_parameter(f"conv.{layer}.weight") for layer in (0, 1))
    plain = mixing * spatial[:, 0]  # [output, channel, kernel, kernel]
    images = torch.randn(2, 3, 8, 8)
    expected = torch.tanh(F.conv2d(images, plain, block.get_parameter("conv.1.bias"), stride=2, padding=1))
    assert (block(images) - expected).abs().max() < 1e-6


def test_a_block_is_the_weighted_sum_of_its_operations() -> None:
    torch.manual_seed(0)
    block = MixedBlock(("conv5", "skip", "narrow3"), 3, 8, "batch", F.relu)
    assert block.structure is not None
    with torch.no_grad():
        block.structure.copy_(torch.tensor([0.0, 1.0, -1.0]))
    images = torch.randn(2, 3, 8, 8)
    conv5, skip, narrow3 = (operation(images) for operation in block.operations.values())
    weights = torch.tensor([0.0, 1.0, -1.0]).exp()
    expected = weights[0] * conv5
    expected[:, :3] += weights[1] * skip
    expected[:, :4] += weights[2] * narrow3
    assert (block(images) - expected / weights.sum()).abs().max() < 1e-5
    assert block.strongest == "skip" and block.outputs == 8


@pytest.mark.parametrize(
    ("candidates", "sentence"),
    [
        ([("conv3",), ()], "block 2 has no operation left; give it one of conv3, "),
        (["conv3", "conv4"], "block 2 has an unknown operation 'conv4'"),
        ([("conv3", "skip", "conv3")], "block 1 has an operation twice"),
        ([""], "block 1 has no operation left"),
        ([], "at least one block"),
    ],
)
def test_bad_candidates_are_named(candidates: list[str | tuple[str, ...]], sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.SearchableConv4(5, candidates)


def test_bad_sizes_are_named() -> None:
    with pytest.raises(hs.BadInputError, match="width=0"):
        hs.SearchableConv4(5, width=0)

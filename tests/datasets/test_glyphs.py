from __future__ import annotations

import pytest
import torch
from torch import Tensor

from headstart.datasets.glyph_hands import BLOCK
from headstart.datasets.glyph_pens import PEN
from headstart.datasets.glyphs import draw_glyphs
from headstart.errors import BadInputError


@pytest.fixture(scope="module")
def images() -> Tensor:
    return draw_glyphs(200).images


def nearest_neighbour_accuracy(images: Tensor, ways: int = 5) -> float:
    """Each task compares the second drawing of five classes with the first ones."""
    first, second = images[:, :2].reshape(-1, ways, 2, images[0, 0].numel()).float().unbind(2)
    nearest = torch.cdist(second, first).argmin(-1)
    return (nearest == torch.arange(ways)).float().mean().item()


def test_shape_type_and_names() -> None:
    glyphs = draw_glyphs(3, examples=4, size=28)
    assert glyphs.images.shape == (3, 4, 1, 28, 28)
    assert glyphs.images.dtype == torch.uint8
    assert set(glyphs.images.flatten().tolist()) == {0, 255}
    assert glyphs.names == ("glyph/0001", "glyph/0002", "glyph/0003")


def test_the_same_seed_draws_the_same_glyphs_and_another_seed_others() -> None:
    once, again, other = (draw_glyphs(3, seed=seed).images for seed in (5, 5, 6))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_global_random_state_neither_matters_nor_moves() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    images = draw_glyphs(2).images
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(draw_glyphs(2).images, images)


@pytest.mark.parametrize("classes", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_a_larger_draw_begins_with_the_glyphs_of_a_smaller_one(images: Tensor, classes: int) -> None:
    assert torch.equal(draw_glyphs(classes).images, images[:classes])


def test_hardly_any_two_drawings_are_the_same(images: Tensor) -> None:
    assert len({drawing.numpy().tobytes() for drawing in images.flatten(0, 1)}) > 0.99 * 200 * 20
    assert len({character.numpy().tobytes() for character in images[:, 0]}) == 200


@pytest.mark.parametrize("size", [8, 20, 28, 64, 105])
def test_every_drawing_has_ink_at_any_size(size: int) -> None:
    images = draw_glyphs(100, examples=2, size=size).images
    ink = (images > 0).flatten(2).float().mean(-1)
    assert images.shape == (100, 2, 1, size, size)
    assert ink.min() > 0
    assert ink.max() < 0.75


def test_another_size_shows_the_same_drawings() -> None:
    fine, coarse = (draw_glyphs(40, examples=5, size=size).images.flatten(0, 1).float() / 255 for size in (84, 28))
    pooled = torch.nn.functional.avg_pool2d(fine, 3)
    same = (pooled - coarse).square().mean()
    others = (pooled - coarse.roll(5, 0)).square().mean()
    assert same < others / 3


def test_strokes_are_as_wide_as_the_pen() -> None:
    ink = (draw_glyphs(40, examples=2, size=105).images[:, :, 0] > 0).int()
    edges = torch.nn.functional.pad(ink, (1, 1)).diff(dim=-1).nonzero()[:, -1]
    runs = (edges[1::2] - edges[::2]).float()
    assert 0.8 * PEN * 105 <= runs.quantile(0.25) <= 1.2 * PEN * 105


def test_a_drawing_is_closer_to_its_own_class_but_not_always(images: Tensor) -> None:
    assert 0.3 < nearest_neighbour_accuracy(images) < 0.8


def test_characters_have_the_ink_of_omniglot_and_keep_off_the_edge(images: Tensor) -> None:
    border = torch.ones(28, 28, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert (images[..., border] > 0).float().mean() < 0.02
    assert 0.05 < (images > 0).float().mean() < 0.10


@pytest.mark.parametrize("name, value", [("classes", 0), ("classes", -3), ("examples", 0), ("size", 7), ("size", 28.5)])
def test_numbers_that_cannot_be_drawn_are_named(name: str, value: float) -> None:
    with pytest.raises(BadInputError, match=f"{name}={value}"):
        draw_glyphs(**{name: value})  # type: ignore[arg-type]

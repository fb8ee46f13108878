import torch
from matplotlib.colors import to_hex
from pictures import matrices

from headstart.reports.colours import METHOD_STYLES


def test_every_number_of_a_product_is_printed():
    matrix, vector = torch.tensor([[1.0, -0.5], [0.25, 2.0]]), torch.tensor([2.0, -1.0])
    (axes,) = matrices.draw_product(matrix, vector, ("A", "v", "Av"), digits=2).axes
    printed = [text.get_text() for text in axes.texts]
    numbers = "1.00 −0.50 0.25 2.00   2.00 −1.00   2.50 −1.50"
    assert [text for text in printed if "." in text] == numbers.split()
    assert [text for text in printed if "." not in text] == ["A", "·", "v", "=", "Av", ""]


def test_gradients_are_bars_in_the_colours_of_their_methods():
    first, exact = torch.tensor([0.5, -1.0]), torch.tensor([0.25, 2.0])
    (axes,) = matrices.draw_gradients({"fomaml": first, "maml": exact}).axes
    assert [bar.get_height() for bar in axes.patches] == [0.5, -1.0, 0.25, 2.0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["first-order MAML", "MAML"]
    handles = axes.get_legend().legend_handles
    assert [to_hex(bar.get_facecolor()) for bar in handles] == [METHOD_STYLES[m].colour for m in ("fomaml", "maml")]

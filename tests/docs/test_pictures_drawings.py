import pytest
import torch
from pictures import drawings

import headstart as hs
from headstart.reports.colours import VERMILLION


@pytest.fixture(scope="module")
def glyphs():
    return hs.draw_glyphs(12, examples=4, seed=3)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_task_sets_have_a_row_each(glyphs):
    sets = {"training": glyphs, "test": glyphs.choose(glyphs.names[:8])}
    figure = drawings.draw_task_sets(sets, shown=5)
    assert texts(figure) == ["training", "… 12 classes", "test", "… 8 classes"]
    assert len(figure.axes[0].images) == 10


def test_drawings_are_those_of_the_task(glyphs):
    episodes = hs.ClassificationTasks(glyphs, ways=3, shots=2, queries=2).sample(1, torch.Generator().manual_seed(0))
    figure = drawings.draw_tasks(episodes, queries=1)
    support, query = episodes.task(0)
    expected = []
    for target in range(3):
        expected += [*support.inputs[support.targets == target], *query.inputs[query.targets == target][:1]]
    drawn = [torch.as_tensor(image.get_array().data) for image in figure.axes[0].images]
    torch.testing.assert_close(torch.stack(drawn), torch.stack(expected)[:, 0], check_dtype=False)


def test_mistakes_are_marked(glyphs):
    episodes = hs.ClassificationTasks(glyphs, ways=3, shots=1, queries=1).sample(1, torch.Generator().manual_seed(0))
    predicted = episodes.query.targets.clone()
    predicted[0, 1] = 2
    figure = drawings.draw_tasks(episodes, queries=1, predicted=predicted)
    assert [text for text in texts(figure) if text[-1] in "✓✗"] == ["0 ✓", "2 ✗", "2 ✓"]
    (wrong,) = [text for text in figure.axes[0].texts if text.get_color() == VERMILLION]
    assert wrong.get_text() == "2 ✗"


def test_losses_are_bars_with_their_sum():
    figure = drawings.draw_losses({"new": torch.tensor([1.0, 2.0]), "old": torch.tensor([0.5, 0.25])}, ["grey", "blue"])
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [1.0, 2.0, 0.5, 0.25]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["new: $L$ = 3.00", "old: $L$ = 0.75"]

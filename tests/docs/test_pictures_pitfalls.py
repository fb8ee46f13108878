from itertools import pairwise

import pytest
import torch
from pictures import pitfalls

import headstart as hs


def test_ordered_tasks_give_a_character_one_label_for_ever():
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None, None].expand(10, 6, 1, 4, 4)
    classes = hs.ImageClasses(images, tuple("abcdefghij"))
    tasks = pitfalls.OrderedTasks(classes, ways=5, shots=1, queries=2, rotations="none")
    for part in tasks.sample(50, torch.Generator().manual_seed(0)):
        character = (part.inputs[..., 0, 0, 0] * 255).round().long()
        assert torch.equal(character // 2, part.targets)
        assert character.unique().tolist() == [*range(10)]


def test_company_shows_every_probability_and_the_largest_in_bold():
    answers = {"alone": torch.tensor([0.25, 0.75]), "together": torch.tensor([1.0, 0.0])}
    left, right = pitfalls.draw_company(torch.zeros(1, 4, 4), 1, answers).axes
    assert left.get_title() == "a query of class 1"
    assert [text.get_text() for text in right.texts] == ["0.25", "0.75", "1.00", "0.00"]
    assert [text.get_weight() for text in right.texts] == ["normal", "bold", "bold", "normal"]


def test_label_order_has_a_bar_for_every_accuracy():
    (axes,) = pitfalls.draw_label_order({"fixed": [0.8, 0.5], "drawn": [0.2, 0.6]}, ("seen", "new"), chance=0.2).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([80, 50, 20, 60])
    places = sorted(bar.get_x() for bar in axes.patches)
    assert all(right - left > 0.35 for left, right in pairwise(places)), "no bar hides another"


def test_turns_have_a_row_for_each_kind():
    figure = pitfalls.draw_turns({"6": torch.zeros(3, 8, 8), "9": torch.ones(2, 8, 8)})
    assert len(figure.axes) == 4
    assert [axes.get_ylabel() for axes in figure.axes] == ["6", "", "9", ""]


def test_budgets_are_meta_steps_times_tasks_times_gradients():
    left, right = pitfalls.draw_budgets({"maml": [3.0, 2.0]}, every=50, gradients={"maml": 4}, tasks=8).axes
    assert left.lines[0].get_xdata().tolist() == [50, 100]
    assert right.lines[0].get_xdata().tolist() == pytest.approx([1.6, 3.2])

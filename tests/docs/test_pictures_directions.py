import pytest
import torch
from pictures import directions, two_tasks, walks
from pictures.look import NAMES, colour_of, picture

HERE = torch.tensor([1.3, -0.4], dtype=torch.float64)
METHODS = ("pretraining", "fomaml", "maml", "reptile")


def test_angle():
    assert directions.angle(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == pytest.approx(45, abs=1e-3)
    assert directions.angle(HERE, 3 * HERE) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_walk_is_gradient_descent_over_its_batches(method):
    learner = two_tasks.learner(method)
    moves = walks.walk(learner, HERE, [[1], [0, 1]], meta_lr=0.5)
    first = HERE - 0.5 * two_tasks.meta_gradient(learner, HERE, two_tasks.episodes(torch.tensor([1])))
    torch.testing.assert_close(moves[0].end, first)
    torch.testing.assert_close(moves[1].start, first)
    torch.testing.assert_close(moves[1].end, first - 0.5 * two_tasks.meta_gradient(learner, first))
    steps = {"pretraining": 0, "reptile": 5}.get(method, 1)
    assert moves[0].trials.shape == (1, steps + 1, 2) and moves[1].trials.shape == (2, steps + 1, 2)
    torch.testing.assert_close(moves[0].trials[0, 0], HERE)


def test_a_trial_is_that_of_the_task_of_its_move():
    (move,) = walks.walk(two_tasks.learner("maml"), HERE, [[1]], meta_lr=0.5)
    torch.testing.assert_close(move.trials[0], two_tasks.paths(two_tasks.learner("maml"), HERE)[1])


def test_walks_are_drawn_in_the_methods_colours():
    ways = {method: walks.walk(two_tasks.learner(method), HERE, [[0], [1]], 0.5) for method in METHODS}
    panels = walks.draw_walks(ways).axes
    assert [axes.get_title() for axes in panels] == [NAMES[method] for method in METHODS]
    dotted = [line for line in panels[1].lines if line.get_linestyle() == ":"]
    move = ways["fomaml"][0]
    start, end = dotted[0].get_xydata()
    torch.testing.assert_close(torch.as_tensor(end - start), move.end - move.start)
    torch.testing.assert_close(torch.as_tensor(start), move.trials[0, -1])


def test_divergence_shows_the_meta_loss_of_every_point():
    learner = two_tasks.learner("maml")
    moves = walks.walk(learner, HERE, [[0, 1]] * 2, 1.0)
    _, right = walks.draw_divergence(learner, {"maml": moves}).axes
    expected = [two_tasks.meta_losses(learner, point).sum().item() for point in (HERE, moves[0].end, moves[1].end)]
    assert right.lines[0].get_ydata().tolist() == pytest.approx(expected)


def test_arrows_have_one_length():
    _, (axes,) = picture(3)
    directions.draw_arrows(axes, HERE, {"maml": torch.tensor([3.0, 4.0]), "fomaml": torch.tensor([0.0, 0.1])})
    heads = [text.xy for text in axes.texts if hasattr(text, "arrow_patch") and text.arrow_patch]
    assert heads[0] == pytest.approx((1.3 - 0.6, -0.4 - 0.8)) and heads[1] == pytest.approx((1.3, -1.4))


def test_the_left_out_term_closes_the_triangle():
    _, right = directions.draw_left_out(HERE, HERE / 2, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.5])).axes
    first, left_out, exact = (text for text in right.texts if text.arrow_patch)
    assert [*first.xyann] == [*exact.xyann] == [0, 0]
    assert [*first.xy] == [*left_out.xyann] == [-1, -2]
    assert [*left_out.xy] == [*exact.xy] == [-1, -0.5]


def test_curves_are_in_the_methods_colours():
    (pulls,) = directions.draw_pulls([0.5, 1.0], {"maml": [0.2, 0.0], "fomaml": [0.5, 0.0]}, marked=0.7).axes
    assert [line.get_color() for line in pulls.lines[:2]] == [colour_of("maml"), colour_of("fomaml")]
    (errors,) = directions.draw_expansion([0.1, 0.2], {"one": {"maml": [1, 2]}, "both": {"maml": [1, 4]}}).axes
    assert errors.get_xscale() == errors.get_yscale() == "log"
    rows = [{"meta_step": 1, "cosine": 0.9, "share": 0.4}, {"meta_step": 5, "cosine": 0.5, "share": 1.2}]
    left, right = directions.draw_training(rows).axes
    assert left.lines[0].get_ydata().tolist() == [0.9, 0.5]
    assert right.lines[0].get_ydata().tolist() == pytest.approx([40, 120])
    _, (axes,) = picture(3)
    directions.draw_angles(axes, [1, 2, 5], [0.0, 3.0, 9.0], {"maml": 70.0})
    assert axes.lines[1].get_ydata()[0] == 70.0

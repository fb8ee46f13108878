import pytest
import torch
from matplotlib.figure import Figure
from pictures import two_tasks
from pictures.look import picture
from pictures.two_tasks import BEST, CURVATURE, INNER_LR

METHODS = ("pretraining", "maml", "fomaml", "reptile")
SHRINK = 1 - INNER_LR * CURVATURE  # what one inner update leaves of the distance to a task's best point


def weights(method):
    """How strongly each task pulls at each parameter of Φ: written down from ``½ (θ - best)' H (θ - best)`` alone."""
    return {
        "pretraining": CURVATURE,
        "maml": SHRINK**2 * CURVATURE,
        "fomaml": SHRINK * CURVATURE,
        "reptile": 1 - SHRINK**5,
    }[method]


def closed_form(method):
    return (weights(method) * BEST).sum(0) / weights(method).sum(0)


def half_square(points):
    distance = points[..., None, :] - BEST
    return 0.5 * (CURVATURE * distance**2).sum(-1)


@pytest.mark.parametrize("method", METHODS)
def test_meta_gradient_is_that_of_the_closed_form(method):
    point = torch.tensor([1.3, -0.4], dtype=torch.float64)
    expected = (weights(method) * (point - BEST)).mean(0)
    torch.testing.assert_close(two_tasks.meta_gradient(two_tasks.learner(method), point), expected)


@pytest.mark.parametrize("method", METHODS)
def test_training_settles_at_the_closed_form(method):
    settled = two_tasks.settle(two_tasks.learner(method), meta_steps=60)
    torch.testing.assert_close(settled, closed_form(method), atol=1e-2, rtol=0)


def test_losses_now_and_one_step_later():
    points = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(two_tasks.losses_now(points), half_square(points))
    stepped = BEST + SHRINK * (points[..., None, :] - BEST)
    expected = torch.stack([half_square(stepped[..., task, :])[..., task] for task in range(2)], -1)
    torch.testing.assert_close(two_tasks.meta_losses(two_tasks.learner("maml"), points), expected)


def test_paths_are_gradient_steps():
    point = torch.tensor([1.8, 1.8], dtype=torch.float64)
    ways = two_tasks.paths(two_tasks.learner("maml"), point, steps=3)
    expected = torch.stack([BEST + SHRINK**step * (point - BEST) for step in range(4)], 1)
    torch.testing.assert_close(ways, expected)


def test_pretraining_is_the_better_now_and_the_worse_one_step_later():
    pretraining, maml = closed_form("pretraining"), closed_form("maml")
    look_ahead = two_tasks.learner("maml")
    now = [float(two_tasks.losses_now(point).sum()) for point in (pretraining, maml)]
    later = [float(two_tasks.meta_losses(look_ahead, point).sum()) for point in (pretraining, maml)]
    assert now[1] > 5 * now[0]
    assert later[0] > 5 * later[1]


def test_batches_have_both_tasks_and_single_ones_either():
    tasks, generator = two_tasks.TwoTasks(), torch.Generator().manual_seed(0)
    for _ in range(3):
        targets = tasks.sample(2, generator).query.targets.flatten(1)
        assert not torch.equal(*targets)
    singles = {tuple(tasks.sample(1, generator).query.targets.flatten().tolist()) for _ in range(20)}
    assert len(singles) == 2


def test_drawing():
    figure, (left, right) = picture(3.5, columns=2)
    learner = two_tasks.learner("maml")
    two_tasks.draw_contours(left)
    two_tasks.draw_landscape(right, learner)
    two_tasks.draw_point(left, closed_form("maml"), "maml", (5, 5))
    two_tasks.draw_paths(left, two_tasks.paths(learner, closed_form("maml")))
    assert isinstance(figure, Figure)
    assert left.get_xlabel() == r"$\theta_1$" and right.get_xlabel() == r"$\Phi_1$"
    assert "MAML" in {text.get_text() for text in left.texts}
    assert figure._repr_png_().startswith(b"\x89PNG")

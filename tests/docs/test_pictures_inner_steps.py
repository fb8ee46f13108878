import torch
from pictures import inner_steps

import headstart as hs
from headstart.reports.colours import METHOD_STYLES
from headstart.reports.fits import FittedTask

ERRORS = {"method": "maml", "metric": "mse", "problem": "sinusoid", "ways": None, "shots": 5}
RECORD = {**ERRORS, "by_inner_step": [2.0, 0.5], "interval_by_inner_step": [0.1, 0.05]}


def test_records_are_those_of_the_results():
    record = inner_steps.read_record("maml-omniglot-5w1s-60000-seed0")
    assert (record["method"], record["ways"], len(record["by_inner_step"])) == ("maml", 5, record["inner_steps"] + 1)


def test_an_error_is_drawn_as_it_is():
    (axes,) = inner_steps.draw_by_inner_step([RECORD]).axes
    (line,) = axes.lines
    assert [*line.get_ydata()] == [2.0, 0.5]
    assert line.get_color() == METHOD_STYLES["maml"].colour
    assert (axes.get_title(), axes.get_xlabel()) == ("Sinusoid, 5-shot", "inner steps")


def test_an_accuracy_is_in_percent_beside_chance():
    scores = torch.tensor([[0.2, 0.9], [0.4, 0.7]], dtype=torch.float64)
    result = hs.Evaluation(hs.ACCURACY, scores, "hash", transductive=True, seconds=0.0)
    record = inner_steps.record_of("maml", result, problem="glyphs", ways=4, shots=1)
    (axes,) = inner_steps.draw_by_inner_step([record]).axes
    line, chance = axes.lines
    torch.testing.assert_close(torch.tensor(line.get_ydata()), torch.tensor([30.0, 80.0]), check_dtype=False)
    assert set(chance.get_ydata()) == {25.0}
    assert (axes.get_title(), axes.get_ylabel()) == ("Glyphs, 4-way 1-shot", "test accuracy (%)")


def test_fits_have_a_panel_for_each_method():
    curves = {step: [float(step), 1.0] for step in (0, 1, 5, 10)}
    task = FittedTask(([0.0], [1.0]), ([0.0, 1.0], [1.0, 2.0]), [0.0, 1.0], curves)
    figure = inner_steps.draw_fits({"pretraining": task, "maml": task})
    assert [axes.get_title() for axes in figure.axes] == ["pre-training", "MAML"]
    drawn = [[*line.get_ydata()] for line in figure.axes[0].lines]
    assert drawn == [[1.0, 2.0], *curves.values(), [1.0]]

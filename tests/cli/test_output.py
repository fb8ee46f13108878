"""What commands print."""

from __future__ import annotations

import pytest
import torch

from headstart.cli.output import report
from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import ACCURACY


@pytest.mark.parametrize(("scores", "said"), [([0.2, 0.9, 0.8], True), ([0.2, 0.8, 0.9], False)])
def test_a_result_that_more_inner_steps_made_worse_says_so(
    scores: list[float], said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    report(Evaluation(ACCURACY, torch.tensor([scores] * 4), "0" * 16, transductive=True, seconds=1.0))
    assert ("1 inner step would be clearly better than 2; choose" in capsys.readouterr().out) == said

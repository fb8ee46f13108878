"""``headstart calibrate``: how sure a trained run may be of what it predicts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from headstart.cli.imports import Imports
from headstart.cli.output import tell
from headstart.errors import BadInputError
from headstart.problems.settings import Seed, Several


@dataclass(frozen=True)
class Calibrate:
    """Learn, on validation classes, how sure a trained run may be of what it predicts, for `adapt` and `predict`."""

    run: tyro.conf.Positional[Path]
    """Run folder of a problem of classes."""
    tasks: Several = 400
    """Validation tasks of 1 to 10 shots, equal or not; of 2 to 20 ways if the method makes its head for the task."""
    seed: Seed = 0
    """Of these tasks."""
    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Writes ``calibration.json``."""
        from headstart.evaluation.calibration import calibrate
        from headstart.experiments.experiment import Experiment
        from headstart.experiments.run import settings_of_run
        from headstart.runs.folder import RunFolder
        from headstart.tasks.classification import ClassificationTasks
        from headstart.trained.load import digest, load

        learner = load(self.run)
        validation = Experiment(settings_of_run(self.run).replace(device="cpu")).task_sets.validation
        if not isinstance(validation, ClassificationTasks):
            raise BadInputError(f"{self.run} does not classify, so that there is nothing to calibrate.")
        calibration = calibrate(learner, validation, count=self.tasks, seed=self.seed)
        record = {"calibration": calibration.record(), "of": digest(learner)}
        path = RunFolder(self.run).write_json("calibration.json", record)
        tell(f"kept in {path}; `headstart adapt {self.run} ...` goes by it")
        return 0

"""``headstart adapt``: a trained learner, shown a folder of images, becomes one file that knows their classes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from headstart.cli.imports import Imports
from headstart.cli.output import tell
from headstart.problems.settings import Natural

if TYPE_CHECKING:
    from headstart.evaluation.expected_score import ExpectedScore


@dataclass(frozen=True)
class Adapt:
    """Show a trained learner a few images of each class, and keep what it makes of them for `headstart predict`."""

    learner: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME|RUN|FILE")]
    """One that comes with headstart (`headstart models` lists them), a run folder, or a file of hs.save_learner."""
    support: Path
    """Folder with a sub-folder of images for each class, called like it: any number of images, of any sizes."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """The file, such as digits.safetensors."""
    prepare: Literal["auto", "drawing", "none"] = "auto"
    """drawing: find the ink, centre and scale it; none: resize alone; auto: what the learner was trained on."""
    inner_steps: Natural | None = None
    """Inner updates; as many as the learner is tested with if None. With others there is no calibration."""
    imports: Imports = ()
    """Module that registers a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Adapts the learner and writes the file."""
        from headstart.estimators.adapted import Options, trained_learner
        from headstart.estimators.classes import adapt_classes
        from headstart.estimators.pictures import labelled_pictures

        files, labels = labelled_pictures(self.support)
        trained = trained_learner(self.learner, self.inner_steps)
        start = time.perf_counter()
        adapted = adapt_classes(trained, files, labels, Options(self.prepare))
        seconds = time.perf_counter() - start
        expected = adapted.expected_score(trained.learner) if adapted.calibration else None
        adapted.save(self.out, expected_score=list(expected) if expected else None)
        least, most = int(adapted.shots.min()), int(adapted.shots.max())
        images = f"{least}" if least == most else f"{least} to {most}"
        tell(f"{len(adapted.classes)} classes of {images} image{'s' * (most > 1)} each, learned in {seconds:.2f} s")
        tell(expectation(expected, self.inner_steps))
        tell(f"kept in {self.out}: headstart predict {self.out} IMAGE|FOLDER ...")
        return 0


def expectation(expected: ExpectedScore | None, inner_steps: int | None) -> str:
    """What accuracy to expect, for people."""
    if expected is None:
        of = " (headstart calibrate RUN)" if inner_steps is None else f" for --inner-steps {inner_steps}"
        return f"what accuracy to expect is not known: this learner has no calibration{of}"
    return f"accuracy to expect: {expected.value:.1%} (between {expected.low:.1%} and {expected.high:.1%})"

"""``hs.load``: a trained learner, by the name of one in the package, from a file, or from a run."""

from __future__ import annotations

import hashlib
import logging
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from headstart.errors import BadInputError
from headstart.experiments.experiment import Experiment
from headstart.experiments.run import best_learner, settings_of_run
from headstart.learners.base import Learner
from headstart.learners.fitted import Fitted
from headstart.runs.folder import RunFolder
from headstart.trained.files import fitted_in_file, learner_in_file

logger = logging.getLogger(__name__)
IN_PACKAGE = Path(str(files("headstart.trained") / "learners"))
"""The learners that come with headstart, one file each."""


def names_in_package() -> list[str]:
    """The names of the learners that come with headstart.

    >>> "glyphs" in names_in_package()
    True
    """
    return sorted(path.stem for path in IN_PACKAGE.glob("*.safetensors"))


class Trained(NamedTuple):
    """A trained learner, and what was noted with it."""

    learner: Learner
    notes: dict[str, Any]


def load_trained(source: str | Path) -> Trained:
    """As :func:`load`, with the notes that were saved with it, such as its calibration.

    Raises:
        BadInputError: there is none, or it was damaged.
    """
    path = Path(source)
    if str(source) in names_in_package():
        path = IN_PACKAGE / f"{source}.safetensors"
    if path.is_dir():
        return learner_of_run(path)
    if not path.exists():
        raise BadInputError(
            f"{str(source)!r} is no learner: name one that comes with headstart ({', '.join(names_in_package())}), a "
            "run folder, or a file of hs.save_learner."
        )
    return Trained(*learner_in_file(path))


def learner_of_run(path: Path) -> Trained:
    """The learner of a run, with its best meta-parameters.

    Raises:
        BadInputError: there is none yet, or it cannot be read.
    """
    settings = settings_of_run(path)
    run = RunFolder(path)
    learner = best_learner(Experiment(settings.replace(device="cpu")), run)
    learner.inner_steps = settings.method.inner_steps_in_test
    calibration = path / "calibration.json"
    way_out = f"make it anew: headstart calibrate {path}"
    notes = run.read_json(calibration.name, way_out) if calibration.exists() else {}
    if notes and notes.get("of") != digest(learner):
        logger.warning(
            "%s is of other meta-parameters than the run has now; `headstart calibrate` it anew", calibration
        )
        notes = {}
    return Trained(learner, notes)


def digest(learner: Learner) -> str:
    """SHA-256 of the meta-parameters."""
    content = hashlib.sha256()
    for name, value in learner.meta_params.items():
        content.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def load(source: str | Path) -> Learner:
    """A trained learner, ready to ``fit``: its ``inner_steps`` are those that it is tested with.

    Its calibration goes with it, until its meta-parameters change.

    Args:
        source: the name of one that comes with headstart (``headstart models`` lists them), a file of
            ``hs.save_learner``, or a run folder.

    Raises:
        BadInputError: there is none, or it was damaged.

    >>> import torch, headstart as hs
    >>> f = load("glyphs").fit(hs.Examples(torch.rand(3, 1, 28, 28), torch.arange(3)))
    >>> f(torch.rand(1, 1, 28, 28)).shape
    torch.Size([1, 3])
    """
    learner, notes = load_trained(source)
    learner.notes = {**notes, "of": digest(learner)}
    return learner


def notes_of(learner: Learner) -> dict[str, Any]:
    """What was saved with a learner that was loaded, if it still has the meta-parameters that this is of."""
    notes = learner.notes or {}
    return notes if notes and notes["of"] == digest(learner) else {}


def load_fitted(path: str | Path) -> Fitted:
    """An *f* that was saved by ``hs.save_fitted``, or by ``headstart adapt``.

    Raises:
        BadInputError: the file holds none, or was damaged.
    """
    return fitted_in_file(Path(path))[0]

"""A backbone that was trained elsewhere and stays as it is, and the features that it makes of a data set, once."""

from __future__ import annotations

import copy
import hashlib
import logging
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.labelled import LabelledExamples
from headstart.errors import BadInputError, RunStoppedError
from headstart.models.batch_statistics import norms_of_the_batch, with_statistics_of
from headstart.system.files import write_bytes
from headstart.system.process import cache_folder
from headstart.tasks.classification import to_inputs

logger = logging.getLogger(__name__)
AT_ONCE = 64
"""Examples that go through the backbone together."""


class Frozen(nn.Module):
    """``x -> flatten(backbone(x))``: the features of a copy of ``backbone`` that is never trained, always in evaluation
    mode.

    For photographs a frozen pre-trained backbone under any learner is what works. It is the first part of a model, or
    makes ``features`` of a data set once, on which learners then train in seconds.

    Args:
        backbone: any module. What it needs besides, such as a normalization of its inputs, is a layer of it.
        head: the name of its last layer, which is left out: ``"fc"`` of torchvision's ResNets, ``"head"`` of this
            library's models. ``None`` if all of it makes features.
        statistics: inputs ``[example, ...]`` whose mean and variance its batch norms take for good, if they have no
            running statistics. This library's batch norms have none.

    Shapes:
        inputs: ``[example, ...]`` -> ``[example, feature]``

    Raises:
        BadInputError: there is no such head, or features would depend on the other examples of their batch.

    Source: Tian et al. (2020), "Rethinking few-shot image classification: a good embedding is all you need?".

    >>> import headstart as hs
    >>> frozen = Frozen(hs.Conv4(ways=64, norm="group"), head="head")
    >>> model = nn.Sequential(frozen, hs.MLP(256, 5))
    >>> learner = hs.ANIL(model, head="1.head")
    >>> sorted(name for name in learner.trained_names if "backbone" in name)
    []
    """

    def __init__(self, backbone: nn.Module, *, head: str | None = None, statistics: Tensor | None = None) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        if head is not None:
            if head not in dict(backbone.named_modules()):
                raise BadInputError(f"the backbone has no module {head!r}; name its last layer, or give head=None.")
            self.backbone.set_submodule(head, nn.Identity())
        self.eval()
        if statistics is not None:
            self.backbone = with_statistics_of(self.backbone, to_inputs(statistics))
        self.requires_grad_(False)
        if undecided := norms_of_the_batch(self.backbone):
            raise BadInputError(
                f"the batch norm {undecided[0]!r} of the backbone normalizes by the batch at hand, so that features of "
                "an example would depend on the others; give statistics=, some hundred inputs to measure them on."
            )

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features ``[example, feature]``."""
        features: Tensor = self.backbone(inputs)
        return features.flatten(1)

    @torch.no_grad()
    def features(self, data: ImageClasses | LabelledExamples, *, cache: str | Path | None = None) -> LabelledExamples:
        """The features of each example, with the classes of ``data``: computed once, then read from the cache.

        They are found there by a digest of the backbone's weights and of the inputs. One example goes through the
        backbone even so, which tells whether it still computes the same. Parts of one data set share their features.

        Args:
            data: examples as ``hs.ClassificationTasks`` takes them.
            cache: the folder that they are kept in, by default ``$XDG_CACHE_HOME/headstart`` or ``~/.cache/headstart``.

        Shapes:
            result: inputs ``[example, feature]``, targets and names as those of ``data``

        Raises:
            BadInputError: the features are not all finite.

        >>> import tempfile, headstart as hs
        >>> frozen = Frozen(hs.Conv4(ways=64, norm="group"), head="head")
        >>> with tempfile.TemporaryDirectory() as cache:
        ...     features = frozen.features(hs.draw_glyphs(10), cache=cache)
        >>> tasks = hs.ClassificationTasks(features, ways=5, shots=1, queries=5)
        >>> tasks.sample(8, torch.Generator()).support.inputs.shape
        torch.Size([8, 5, 256])
        """
        data = data.labelled
        folder = cache_folder() if cache is None else Path(cache).expanduser()
        cached = folder / "features" / f"{self.digest(data.inputs)}.safetensors"
        features = read_features(cached)
        if features is None or not close(self._of(data.inputs[:1]), features[:1]):
            logger.info("features of %d examples, kept in %s", len(data.inputs), cached)
            features = torch.cat([self._of(inputs) for inputs in torch.split(data.inputs, AT_ONCE)])
            if not features.isfinite().all():
                raise BadInputError("the backbone gives features that are not finite; look at its weights and inputs.")
            keep_features(cached, features)
        return LabelledExamples(features.to(data.targets.device), data.targets, data.names)

    def _of(self, inputs: Tensor) -> Tensor:
        device = next((weight.device for weight in self.parameters()), inputs.device)
        features: Tensor = self(to_inputs(inputs.to(device)))
        return features.cpu()

    def digest(self, inputs: Tensor) -> str:
        """SHA-256 of the backbone's weights, their names and the modules, and of all ``inputs``."""
        digest = hashlib.sha256(repr(self).encode())
        for name, value in self.state_dict().items():
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(raw(value))
        digest.update(f"{inputs.dtype} {list(inputs.shape)}".encode())
        for part in torch.split(inputs, AT_ONCE):  # they may be larger than memory
            digest.update(raw(part))
        return digest.hexdigest()


def raw(tensor: Tensor) -> bytes:
    """The bytes of a tensor of any type.

    >>> raw(torch.tensor([1.5])).hex()
    '0000c03f'
    """
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def close(left: Tensor, right: Tensor) -> bool:
    """Whether two features differ by no more than the rounding of other hardware."""
    return left.shape == right.shape and bool((left - right).norm() <= 1e-2 * right.norm())


def read_features(path: Path) -> Tensor | None:
    """The features in a file; ``None`` if there is none, or it is damaged."""
    try:
        return load_file(path)["features"]
    except (OSError, SafetensorError, KeyError):
        return None


def keep_features(path: Path, features: Tensor) -> None:
    """Writes a file of features, all of it or, with a warning, none of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save({"features": features.contiguous()}))
    except (OSError, RunStoppedError) as error:
        logger.warning("the features are not kept for the next time: %s", error)

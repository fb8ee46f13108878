"""What metric learners share: *F* embeds the support set, and *f* compares with it; nothing moves by gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import repeat

from torch import Tensor, nn

from headstart.episodes import Examples
from headstart.learners.any_ways import AnyWays, ways_of, with_head
from headstart.params import Params, split


class MetricLearner(AnyWays):
    """``f(x) = compare(embed(x), new_head(support))``: ``embed`` is the model without its head, and all that is
    learned.

    The parameters of a task are the meta-parameters, and what ``new_head`` makes of the support set. With the
    meta-parameters alone ``predict`` gives the embedding ``[example, feature]``. Inner steps change nothing.

    Args:
        model: any module; the learner's copy of it has ``nn.Identity`` for a head.
        ways: classes per task; as many as the head has outputs if ``None``. May be set at any time.
        head: the name of the head in ``model``; ``None`` if the whole model is the embedding, which then needs
            ``ways``.

    Raises:
        BadInputError: the model has no such head, or ``ways`` is not positive or lacking.
    """

    head_names: tuple[str, ...]
    """What ``new_head`` makes, by its names among the task's parameters."""

    def __init__(self, model: nn.Module, *, ways: int | None = None, head: str | None = "head") -> None:
        super().__init__(model if head is None else with_head(model, head, nn.Identity()), inner_lr=1.0, inner_steps=0)
        self.ways = ways_of(model, head, ways)

    @property
    def adapted_names(self) -> set[str]:
        """None: nothing moves by gradient steps."""
        return set()

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """The same ``steps + 1`` times: there is nothing to update."""
        return repeat({**meta_params, **self.new_head(meta_params, support)}, steps + 1)

    def predict(self, task_params: Params, inputs: Tensor) -> Tensor:
        """Scores of the classes, ``[example, ways]``; without a head for the task the embedding."""
        head, params = split(task_params, self.head_names)
        features = super().predict(params, inputs).flatten(1)
        return self.compare(features, head) if head else features

    @abstractmethod
    def compare(self, features: Tensor, head: Params) -> Tensor:
        """The scores ``[example, ways]`` of embedded examples, ``[example, feature]``."""

"""Pre-training, the baseline that every meta-learner must beat: train on all tasks at once, adapt afterwards."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from headstart.episodes import Episodes, Examples
from headstart.learners.base import Learner
from headstart.learners.heads import AnyWays, head_of, ways_of
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.params import Params, split
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD


class Pretraining(Learner):
    """``l^n = query_loss(meta_params)``: joint training on all tasks, adapted only at test time.

    ``inner_steps`` updates on the support set are what adapts it when it is evaluated. This is the objective of MAML
    without inner steps; the difference between the two is what looking one step ahead is worth.

    Source: Finn, Abbeel and Levine (2017), section 5.1 (the "pretrained" baseline).

    >>> import torch
    >>> from headstart.episodes import Examples
    >>> learner = Pretraining(nn.Linear(2, 3))
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> gradient, metrics = learner.meta_gradient(dict(learner.named_parameters()), Episodes(examples, examples))
    >>> gradient["model.weight"].shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.01,
        inner_steps: int = 5,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, inner_rule=inner_rule, loss=loss, metric=metric
        )

    def outcome(self, meta_params: Params, episode: Episodes) -> tuple[Tensor, Tensor]:
        """The query loss of the meta-parameters themselves, and the predictions."""
        return self.loss_and_predictions(meta_params, episode.query)


class ClassifierPretraining(AnyWays):
    """``l = cross_entropy(model(x), class of x)`` over **all** training classes at once; each task gets a new head.

    Meta-training is supervised learning on :class:`headstart.SupervisedTasks`, whose query sets are batches from all
    training classes. To adapt to a task the head is replaced by one of zeros for its ``ways`` classes, which
    alone is then trained on the support set; the body stays as it is.

    Args:
        model: a classifier of all training classes with a linear head.
        ways: classes of the tasks that it adapts to; may be set at any time.
        head: the name of the head in ``model``, a module with ``weight`` ``[class, feature]`` and perhaps ``bias``.

    Raises:
        BadInputError: ``model`` has no module ``head`` with a weight, or another argument is out of its range.

    Source: Chen et al. (2019), "A closer look at few-shot classification", section 3.1 (Baseline).

    >>> import torch
    >>> from headstart.episodes import Examples
    >>> from headstart.models.conv4 import Conv4
    >>> learner = ClassifierPretraining(Conv4(ways=100), ways=5)
    >>> support = Examples(torch.zeros(5, 1, 28, 28), torch.arange(5))
    >>> learner.predict(learner.adapt(dict(learner.named_parameters()), support), support.inputs).shape
    torch.Size([5, 5])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        ways: int,
        head: str = "head",
        inner_lr: float = 0.01,
        inner_steps: int = 20,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, inner_rule=inner_rule, loss=loss, metric=metric
        )
        head_of(model, head)
        self.ways = ways_of(model, head, ways)
        self.head = f"model.{head}"

    def outcome(self, meta_params: Params, episode: Episodes) -> tuple[Tensor, Tensor]:
        """The loss of the classifier on the batch of all classes, and the predictions."""
        return self.loss_and_predictions(meta_params, episode.query)

    @property
    def adapted_names(self) -> set[str]:
        """The new head's parameters."""
        return {name for name, _ in self.named_parameters() if name.startswith(self.head + ".")}

    def new_head(self, meta_params: Params, support: Examples) -> Params:
        """The head's parameters for one task: zeros, ``[ways, feature]`` and ``[ways]``."""
        old, _ = split(meta_params, self.adapted_names)
        return {name: value.new_zeros((self.ways, *value.shape[1:])) for name, value in old.items()}

"""*f*, as *F* picked it for one support set: a plain module that predicts, one example at a time or many."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from headstart.models.batch_statistics import batch_norms, batch_statistics, freeze_statistics
from headstart.params import Params, as_module


class Fitted(nn.Module):
    """``f(x) = learner.predict(task_params, x)``, every ``x`` by itself: what ``learner.fit(support)`` returns.

    A batch norm that used the statistics of its batch uses those of the support set for good. So the predictions are
    *inductive*: those of one query are the same alone and among a thousand.

    Args:
        learner: what predicts; of the module only the structure is kept, and it must be nobody else's.
        state: its parameters and buffers for the task, mean and variance of its batch norms among them.
        outputs: scores per example that are predicted, the first ones; ``None`` for all.

    >>> import torch, headstart as hs
    >>> learner = hs.ProtoNet(hs.Conv4(ways=5))
    >>> f = learner.fit(hs.Examples(torch.rand(4, 1, 28, 28), torch.tensor([0, 0, 1, 1])))
    >>> f(torch.rand(7, 1, 28, 28)).shape
    torch.Size([7, 2])
    """

    def __init__(self, learner: nn.Module, state: Params, outputs: int | None) -> None:
        super().__init__()
        names = batch_norms(learner)
        freeze_statistics(learner, {name: (state[f"{name}.{MEAN}"], state[f"{name}.{VARIANCE}"]) for name in names})
        self.state = as_module(state).requires_grad_(False)
        self.__dict__["learner"] = learner.to("meta").eval()  # no submodule: its tensors are those of the state
        self.outputs = outputs

    def forward(self, inputs: Any) -> Tensor:
        """Predictions ``[example, ...]`` of inputs ``[example, *features]``."""
        learner: Any = self.learner
        predictions: Tensor = learner.predict(dict(self.state.named_parameters()), inputs)
        return predictions if self.outputs is None else predictions[:, : self.outputs]


MEAN, VARIANCE = "running_mean", "running_var"
"""How a norm calls what it normalizes by."""


def fitted_state(learner: Any, task_params: Params, support_inputs: Any) -> Params:
    """The state of *f*: the task's parameters, the model's buffers, and the support set's statistics.

    What only adapts, such as an update rule, is left out.

    >>> import torch, headstart as hs
    >>> learner = hs.MAML(hs.Conv4(ways=5), inner_rule=hs.MetaSGD)
    >>> state = fitted_state(learner, learner.meta_params, torch.rand(5, 1, 28, 28))
    >>> [name for name in state if name.startswith("rule") or name.endswith("blocks.0.norm.running_mean")]
    ['model.blocks.0.norm.running_mean']
    """
    kept = {name: value for name, value in task_params.items() if name not in learner.meta_params or of_model(name)}
    seen = batch_statistics(learner, lambda: learner.predict(task_params, support_inputs))
    means = {f"{name}.{MEAN}": mean for name, (mean, _) in seen.items()}
    variances = {f"{name}.{VARIANCE}": variance for name, (_, variance) in seen.items()}
    buffers = {name: value for name, value in learner.named_buffers() if of_model(name)}
    return {**buffers, **kept, **means, **variances}


def of_model(name: str) -> bool:
    """Whether a parameter or buffer of a learner is one of its model."""
    return name.startswith("model.")

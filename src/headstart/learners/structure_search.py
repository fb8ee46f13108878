"""Learning the structure of *f*: which operations it is made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from headstart.episodes import Episodes
from headstart.errors import BadInputError
from headstart.learners.base import Loss, loss_for_targets
from headstart.learners.maml import MAML
from headstart.tasks import HeldOutTasks, TaskDistribution
from headstart.update_rules.base import UpdateRule
from headstart.update_rules.sgd import SGD

STRUCTURE = "structure"


class StructureSearch(MAML):
    """MAML in which the structure of *f* is learned too: of its meta-steps the even ones are
    ``weights <- optimizer(weights, grad l^n)``, and the odd ones, on held-out training tasks,
    ``structure <- optimizer(structure, grad l^n)``.

    The structure is every parameter of the model that is called ``structure``, as those of
    :class:`headstart.SearchableConv4` are. Its part of the meta-gradient goes through the inner updates like that of
    the weights. As it is, it does not adapt to a task (Auto-MAML); with ``adapt_structure`` it does, by the same inner
    updates (T-NAS), and ``inner_rule=hs.LayerStepRates`` learns a rate of its own for it. Afterwards the search is
    over: ``hs.SearchableConv4(ways, learner.model.strongest)`` is the network that it found, to be trained anew.

    Args:
        adapt_structure: whether the structure adapts to a task, along with the weights.
        order: 2 or 1.

    Raises:
        BadInputError: the model has no structure to learn, or an argument is out of its range.

    Source: Lian et al. (2020), "Towards fast adaptation of neural architectures with meta learning": T-NAS, and the
    baseline Auto-MAML. Omniglot, 5-way: Auto-MAML 98.95 with one shot and 99.91 with five, T-NAS 99.36 and 99.94.
    Alternating between weights and structure, each on tasks of its own, is Liu, Simonyan and Yang (2019), "DARTS",
    algorithm 1.

    >>> from headstart.models.searchable import SearchableConv4
    >>> learner = StructureSearch(SearchableConv4(5, [("conv3", "skip"), ("conv3", "conv5")], width=8))
    >>> learner.start_meta_step(1, meta_steps=100)
    >>> sorted(learner.updated_names)
    ['model.blocks.0.structure', 'model.blocks.1.structure']
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        order: int = 2,
        adapt_structure: bool = False,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
    ) -> None:
        self.adapts_structure = adapt_structure
        self.searching = False
        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, order=order, inner_rule=inner_rule, loss=loss
        )
        if not self.structure_names:
            raise BadInputError(
                "the model has no structure to learn; give a block of hs.SearchableConv4 two candidates."
            )

    def start_meta_step(self, meta_step: int, meta_steps: int) -> None:
        """Turns from weights to structure, or back."""
        self.searching = meta_step % 2 == 1

    def draw(self, tasks: TaskDistribution, count: int, generator: torch.Generator) -> Episodes:
        """Tasks of the part that is for what this meta-step updates.

        Raises:
            BadInputError: the tasks are not in two parts.
        """
        if not isinstance(tasks, HeldOutTasks):
            raise BadInputError(
                "the structure is learned on held-out tasks; train on hs.HeldOutTasks(weights, structure)."
            )
        return (tasks.structure if self.searching else tasks.weights).sample(count, generator)

    @property
    def structure_names(self) -> set[str]:
        """The names of the structure's parameters."""
        return {name for name in self.trained_names if name.rpartition(".")[2] == STRUCTURE}

    @property
    def updated_names(self) -> set[str]:
        """The structure's names, or all others."""
        return self.structure_names if self.searching else self.trained_names - self.structure_names

    @property
    def adapted_names(self) -> set[str]:
        """The names of the parameters that adapt to a task: the model's weights, and its structure if asked for."""
        return super().adapted_names - (set() if self.adapts_structure else self.structure_names)

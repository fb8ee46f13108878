"""Learning the structure of *f*: which operations it is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from headstart.episodes import Episodes
from headstart.errors import BadInputError
from headstart.learners.maml import MAML
from headstart.learners.scoring import Loss, Metric, loss_for_targets
from headstart.models.searchable import SearchableConv4
from headstart.params import Params, below
from headstart.tasks.distribution import TaskDistribution
from headstart.tasks.held_out import HeldOutTasks
from headstart.update_rules.base import State, UpdateRule
from headstart.update_rules.sgd import SGD


def is_structure(name: str) -> bool:
    """Whether a parameter of the model is one of its structure.

    >>> is_structure("model.blocks.0.structure"), is_structure("model.blocks.0.conv.weight")
    (True, False)
    """
    return name.rpartition(".")[2] == "structure"


@dataclass(frozen=True)
class StructureRate(UpdateRule):
    """``rule``, given ``factor`` times the gradient for the structure: with SGD, ``factor`` times its rate.

    >>> rule = StructureRate(SGD(inner_lr=0.5), factor=4.0)
    >>> ones = {name: torch.tensor(1.0) for name in ("model.weight", "model.structure")}
    >>> rule.update(ones, ones, {}, step=0, rule_params={})[0]
    {'model.weight': tensor(0.5000), 'model.structure': tensor(-1.)}
    """

    rule: UpdateRule
    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "learned", self.rule.learned)

    def initial_rule_params(self, params: Params, steps: int) -> Params:
        """Those of ``rule``."""
        return self.rule.initial_rule_params(params, steps)

    def initial_state(self, params: Params) -> State:
        """That of ``rule``."""
        return self.rule.initial_state(params)

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step of ``rule``."""
        scaled = {name: self.factor * value if is_structure(name) else value for name, value in gradient.items()}
        return self.rule.update(params, scaled, state, step, rule_params)


class StructureSearch(MAML):
    """MAML in which the structure of *f* is learned too: of its meta-steps the even ones are
    ``weights <- optimizer(weights, grad l^n)``, and the odd ones, on held-out training tasks,
    ``structure <- optimizer(structure, grad l^n)``. The outer loop says by ``start_meta_step`` which it is; in one that
    does not, all of them are for the weights.

    The structure is every parameter of the model that is called ``structure``, as those of
    :class:`headstart.SearchableConv4` are; the weights are all others, those of a learned update rule among them. The
    structure's part of the meta-gradient goes through the inner updates like that of the weights. As it is, it does not
    adapt to a task (Auto-MAML); with ``adapt_structure`` it does, by the same updates at a rate of its own (T-NAS).
    ``decode(task_params)`` is then the task's own network, of the operations that are strongest after adapting to it,
    with its adapted weights; its ``strongest`` names them. What is predicted, and evaluated, without it is the mixture.
    One network for all tasks is ``hs.SearchableConv4(ways, learner.model.strongest)``, to be trained anew.

    Departures from the paper: its T-NAS trains weights and structure on the same tasks and in the same meta-step, only
    its Auto-MAML takes turns; and before a test it meta-trains each task's decoded network anew, by MAML, for hours.
    The space of structures is another one, too.

    Args:
        adapt_structure: whether the structure adapts to a task, along with the weights.
        structure_lr: inner learning rate of the structure, if it adapts; an ``inner_rule`` that is not proportional to
            the gradient, such as Adam, has no use for it.
        order: 2 or 1; the paper's T-NAS is first-order.

    Raises:
        BadInputError: the model has no structure to learn, or an argument is out of its range.

    Source: Lian et al. (2020), "Towards fast adaptation of neural architectures with meta learning": T-NAS, and the
    baseline Auto-MAML. Omniglot, 5-way: Auto-MAML 98.95 with one shot and 99.91 with five, T-NAS 99.36 and 99.94.
    The rates, 0.1 for weights and 30 for the structure, and five inner steps are those of its T-NAS. Turns between
    weights and structure, each on data of its own: Liu, Simonyan and Yang (2019), "DARTS", algorithm 1.

    >>> learner = StructureSearch(SearchableConv4(5, [("conv3", "skip"), ("conv3", "conv5")], width=8))
    >>> learner.start_meta_step(1, meta_steps=100)
    >>> sorted(learner.updated_names)
    ['model.blocks.0.structure', 'model.blocks.1.structure']
    """

    kinds_of_meta_step = 2

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        order: int = 2,
        adapt_structure: bool = False,
        structure_lr: float = 30.0,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        if not structure_lr > 0:
            raise BadInputError(f"structure_lr={structure_lr} must be positive.")
        self.adapts_structure = adapt_structure
        self.searching = False

        def rule(rate: float) -> UpdateRule:
            return StructureRate(inner_rule(rate), structure_lr / rate) if adapt_structure else inner_rule(rate)

        super().__init__(
            model, inner_lr=inner_lr, inner_steps=inner_steps, order=order, inner_rule=rule, loss=loss, metric=metric
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

    def decode(self, task_params: Params) -> SearchableConv4:
        """The network of the operations that are strongest in ``task_params``, with their weights: a module that
        predicts.

        Raises:
            BadInputError: the model is no ``hs.SearchableConv4``.

        Source: Lian et al. (2020); there the weights are then trained anew.

        >>> import headstart as hs
        >>> learner = StructureSearch(SearchableConv4(5, [("conv3", "skip")] * 2, width=8), adapt_structure=True)
        >>> support = hs.Examples(torch.rand(5, 1, 28, 28), torch.arange(5))
        >>> network = learner.decode(learner.adapt(learner.meta_params, support))
        >>> len(network.strongest), network(torch.rand(7, 1, 28, 28)).shape
        (2, torch.Size([7, 5]))
        """
        if not isinstance(self.model, SearchableConv4):
            raise BadInputError(
                f"a {type(self.model).__name__} cannot be decoded; give the learner hs.SearchableConv4."
            )
        mixture = copy.deepcopy(self.model)
        mixture.load_state_dict(below(task_params, "model"))
        return mixture.decoded()

    @property
    def structure_names(self) -> set[str]:
        """The names of the structure's parameters."""
        return {name for name in self.trained_names if name.startswith("model.") and is_structure(name)}

    @property
    def updated_names(self) -> set[str]:
        """The structure's names, or all others."""
        return self.structure_names if self.searching else self.trained_names - self.structure_names

    @property
    def adapted_names(self) -> set[str]:
        """The names of the parameters that adapt to a task: the model's weights, and its structure if asked for."""
        return super().adapted_names - (set() if self.adapts_structure else self.structure_names)

"""The contract of a learner: *F*, which is shown a support set and picks *f*."""

from __future__ import annotations

import copy
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from headstart.episodes import Episodes, Examples, Tensors, as_arguments
from headstart.errors import BadInputError
from headstart.learners.checks import are_classes, check_tensors, misfit_of
from headstart.learners.fitted import Fitted, fitted_state
from headstart.learners.gradient import gradient_of
from headstart.learners.inner_loop import mini_batch, unroll
from headstart.learners.scoring import Loss, Metric, default_metric, loss_for_targets, loss_of
from headstart.models.normalization import with_exact_normalization
from headstart.params import Params, mean, split
from headstart.tasks.distribution import TaskDistribution
from headstart.update_rules.base import State, UpdateRule
from headstart.update_rules.sgd import SGD

Metrics = dict[str, Tensor]
logger = logging.getLogger(__name__)


class Learner(nn.Module):
    """*F*: its parameters are the meta-parameters, and every method is a pure function of what it is given.

    All methods but ``meta_gradient`` are written for **one** task, and depend on nothing but their arguments and the
    attributes of the learner and of its model. Their ``meta_params`` may be any dictionary with the names of
    ``learner.meta_params``, the learner's own parameters; those with ``requires_grad=False`` neither adapt nor get a
    meta-gradient.

    Every method can be differentiated by what it is given. ``learner.meta_params`` are leaves of PyTorch's graph:
    ``backward()`` fills their ``grad``, and what is computed of them holds a graph for as long as it is kept. Under
    ``torch.no_grad()``, or of detached tensors, it holds none; what ``meta_gradient`` and :func:`headstart.evaluate`
    return never does. The meta-gradient of all learners but Reptile and implicit MAML is the gradient of the mean
    ``task_loss``, so that ``backward()`` comes to the same:

    >>> import headstart as hs
    >>> learner, examples = hs.MAML(nn.Linear(2, 3)), Examples(torch.rand(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> episodes = Episodes(support=examples, query=examples)  # 4 tasks
    >>> torch.vmap(learner.task_loss, in_dims=(None, 0))(learner.meta_params, episodes).mean().backward()
    >>> gradient, metrics = learner.meta_gradient(learner.meta_params, episodes)
    >>> all(torch.allclose(value.grad, gradient[name], atol=1e-6) for name, value in learner.meta_params.items())
    True

    Args:
        model: any module, the architecture of *f*. The learner has a copy, ``learner.model``, on which native
            normalization layers are written in primitives, since no pure and exact function can be had of them; the log
            names them. They normalize by the batch at hand, or, where they are in evaluation mode when the learner is
            made, by their running statistics, for good. Attention is computed by its mathematical kernel, the only one
            with a second derivative.
        inner_lr: inner learning rate, on the loss as given.
        inner_steps: inner updates that turn ``meta_params`` into ``task_params``.
        inner_rule: makes the update rule from ``inner_lr``.
        inner_batch: support examples per inner update; ``None`` for all.
        loss: ``(predictions, targets) -> scalar``, a mean over the examples; by default cross-entropy for class targets
            and squared error for regression targets. With an argument ``task_params`` it is handed those as well.
        metric: what is reported of it and chosen by; by default accuracy for class targets, for regression targets
            ``"mse"``, or the loss itself, ``"loss"``, if it is another one.

    Raises:
        BadInputError: an argument is out of its range.
    """

    made_from: dict[str, Any] | None = None
    """The settings that it was built by, where headstart built it."""
    notes: dict[str, Any] | None = None
    """What was saved with it, such as its calibration, where it was loaded."""
    order = 1
    truncation: int | None = None
    learns_rule = False
    kinds_of_meta_step = 1
    """How many different computations the meta-steps of a training are, each with a compiled program of its own."""

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float,
        inner_steps: int,
        inner_rule: Callable[[float], UpdateRule] = SGD,
        inner_batch: int | None = None,
        loss: Loss = loss_for_targets,
        metric: Metric | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(inner_steps, int) or inner_steps < 0:
            raise BadInputError(f"inner_steps={inner_steps} must be a whole number that is not negative.")
        if not 0 < inner_lr < math.inf:
            raise BadInputError(f"inner_lr={inner_lr} must be positive and finite.")
        if isinstance(inner_rule, UpdateRule):
            kind = type(inner_rule).__name__
            raise BadInputError(f"inner_rule is a {kind}; give what makes one of an inner_lr, such as hs.{kind}.")
        if inner_batch is not None and inner_batch < 1:
            raise BadInputError(f"inner_batch={inner_batch} must be positive, or None for the whole support set.")
        self.model, replaced = with_exact_normalization(model)
        for statistics, layers in replaced.items():
            logger.info("normalization in primitives, by %s: %s", statistics, ", ".join(layers))
        self.inner_steps = inner_steps
        self.inner_rule = inner_rule(inner_lr)
        if self.inner_rule.learned and not self.learns_rule:
            raise BadInputError(
                f"{type(self.inner_rule).__name__} is learned through the inner updates, which {type(self).__name__} "
                "does not do: use it with MAML, or another rule here."
            )
        self.inner_batch = inner_batch
        self.loss = loss
        self.metric = metric

    @property
    def trained_names(self) -> set[str]:
        """The names of the meta-parameters that are trained: all that require a gradient."""
        return {name for name, parameter in self.named_parameters() if parameter.requires_grad}

    @property
    def updated_names(self) -> set[str]:
        """The names of the meta-parameters that this meta-step updates: all that are trained, unless a learner says
        otherwise."""
        return self.trained_names

    @property
    def carried_names(self) -> set[str]:
        """The names of the meta-parameters that are no optimizer's business: a meta-step replaces them by what its
        meta-gradient has under their names. None, unless a learner says otherwise."""
        return set()

    @property
    def keeps_graph(self) -> bool:
        """Whether the meta-gradient goes through the inner updates, which are then all held until it is taken."""
        return self.order == 2 or self.inner_rule.learned

    @property
    def adapted_names(self) -> set[str]:
        """The names of the parameters that adapt to a task: all of the model that are trained, unless a learner says
        otherwise."""
        return {name for name in self.trained_names if name.startswith("model.")}

    @property
    def meta_params(self) -> Params:
        """The learner's parameters by their names: not copies, but the parameters themselves, so that what is computed
        of them can be differentiated by them."""
        return dict(self.named_parameters())

    def start_meta_step(self, meta_step: int, meta_steps: int) -> None:
        """Called by the outer loop, ``hs.train`` or your own, before each of ``meta_steps``, counted from 0, for
        learners that change in training; a function of its arguments alone, so that a resumed run goes on as it would
        have."""

    def draw(self, tasks: TaskDistribution, count: int, generator: torch.Generator) -> Episodes:
        """The training tasks of this meta-step."""
        return tasks.sample(count, generator)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """``f(x)`` with the learner's own parameters; ``predict`` takes them as an argument."""
        return self.model(*inputs, **named)

    def predict(self, task_params: Params, inputs: Tensors) -> Any:
        """``f(x)``: the predictions ``[example, ...]`` of ``inputs`` ``[example, *features]``; what the model returns.

        Raises:
            BadInputError: the inputs are of another type than the model, or images without a channel axis.
        """
        try:
            with sdpa_kernel(SDPBackend.MATH):  # the only kernel of attention with a second derivative
                return functional_call(self, task_params, *as_arguments(inputs))
        except RuntimeError as error:
            if misfit := misfit_of(error, self.model, inputs):
                raise BadInputError(misfit) from error
            raise

    def check_support(self, support: Examples) -> None:
        """Refuses a support set that cannot be adapted to.

        Raises:
            BadInputError: inputs or targets are no tensors, or not those of this learner.
        """
        check_tensors(support)

    def adaptation(self, meta_params: Params, support: Examples, steps: int, *, every: bool = True) -> Iterator[Params]:
        """The task's parameters after 0, 1, ..., ``steps`` inner updates on its support set; if not ``every`` one is
        wanted, those between the first and the last may be left out, which takes less memory if they are recomputed."""
        for task_params, _ in self.path(meta_params, support, steps, every=every):
            yield task_params

    def path(
        self, meta_params: Params, support: Examples, steps: int, *, every: bool = True
    ) -> Iterator[tuple[Params, State]]:
        """As ``adaptation``, and with the parameters what the update rule remembers of the way to them."""
        adapted, fixed = split(meta_params, self.adapted_names)
        rule, state, order = self.inner_rule, self.initial_state(meta_params), self.order
        way = unroll(self.inner_loss, adapted, fixed, support, rule, state, steps, order, every, self.truncation)
        for params, remembered in way:
            yield {**params, **fixed}, remembered

    def initial_state(self, meta_params: Params) -> State:
        """What the update rule remembers before the first inner update: nothing of other tasks, unless a learner says
        otherwise."""
        return self.inner_rule.initial_state(split(meta_params, self.adapted_names)[0])

    def inner_loss(self, params: Params, fixed: Params, support: Examples, step: int) -> Tensor:
        """What inner update ``step`` descends, as a function of the parameters that adapt: the support loss, unless a
        learner says otherwise."""
        batch = mini_batch(support, self.inner_batch, step)
        return self.loss_and_predictions({**params, **fixed}, batch)[0]

    def adapt(self, meta_params: Params, support: Examples) -> Params:
        """*F* picks *f*: the task's parameters after ``inner_steps`` inner updates.

        Raises:
            BadInputError: the support set cannot be adapted to, as far as its values are at hand.
        """
        self.check_support(support)
        path = self.adaptation(meta_params, support, self.inner_steps, every=False)
        (task_params,) = deque(path, maxlen=1)  # which holds the last alone
        return task_params

    @torch.no_grad()
    def fit(self, support: Examples, inner_steps: int | None = None) -> Fitted:
        """*F* picks *f*: a module that predicts, and needs neither the learner nor the support set any more.

        Args:
            support: one task's, ``[example, *features]``; classes are numbered from 0 on.
            inner_steps: inner updates; the learner's own if ``None``.

        Raises:
            BadInputError: the support set is not one that the learner can adapt to.
        """
        learner = copy.deepcopy(self).eval()
        learner.inner_steps = self.inner_steps if inner_steps is None else inner_steps
        task_params = learner.adapt(learner.meta_params, support)
        state = fitted_state(learner, task_params, support.inputs)
        classes = 1 + int(support.targets.max()) if are_classes(support.targets) else None
        return Fitted(learner, state, classes)

    def loss_and_predictions(self, task_params: Params, query: Examples) -> tuple[Tensor, Tensors]:
        """Loss and predictions of ``f`` on the query set."""
        predictions = self.predict(task_params, query.inputs)
        return loss_of(self.loss, predictions, query.targets, task_params), predictions

    def metric_for(self, targets: Tensors) -> Metric:
        """What is reported for such targets: the metric that the learner states, or that of its loss."""
        return self.metric or default_metric(self.loss, targets)

    def metrics(self, loss: Tensor, predictions: Tensors, targets: Tensors) -> Metrics:
        """What a meta-step reports of a task: its ``loss``, and the metric of its query set under the metric's name."""
        metric = self.metric_for(targets)
        return {"loss": loss} if metric.name == "loss" else {"loss": loss, metric.name: metric.of(predictions, targets)}

    def outcome(self, meta_params: Params, episode: Episodes) -> tuple[Tensor, Tensor]:
        """``l^n``, the task's loss that meta-training minimises, and the predictions that it was taken from: those
        of the adapted parameters on the query set, unless a learner says otherwise."""
        return self.loss_and_predictions(self.adapt(meta_params, episode.support), episode.query)

    def task_loss(self, meta_params: Params, episode: Episodes) -> Tensor:
        """``l^n``, the task's loss that meta-training minimises."""
        return self.outcome(meta_params, episode)[0]

    def task_gradient(self, meta_params: Params, episode: Episodes) -> tuple[Params, Tensor, Tensor]:
        """``grad l^n(meta_params)`` by the names that this meta-step updates, with the loss and the query predictions.

        A learner overrides it where its mathematics is not that of a gradient.
        """
        updated, fixed = split(meta_params, self.updated_names)

        def outcome(updated: Params) -> tuple[Tensor, Tensor]:
            return self.outcome({**updated, **fixed}, episode)

        return gradient_of(outcome, updated)

    @torch.no_grad()
    def meta_gradient(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        """``mean over tasks of task_gradient``, eagerly in one ``vmap``: the oracle of every faster form.

        Shapes:
            episodes: ``[task, example, ...]``; the meta-gradient has the names of what this meta-step updates
            (``updated_names``), and their shapes; the metrics are scalars

        Returns:
            The meta-gradient, and what ``metrics`` says of the query sets.
        """
        per_task = vmap(self.task_gradient, in_dims=(None, 0), randomness="different")
        gradients, losses, predictions = per_task(meta_params, episodes)
        return mean(gradients), mean(vmap(self.metrics)(losses, predictions, episodes.query.targets))

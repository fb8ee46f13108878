"""The flags of the methods' inner loops: what each method can be set to, besides what all runs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from headstart.problems.settings import Between, Count, Natural, Rate, Size


@dataclass(frozen=True)
class NoInnerLoop:
    """A method that makes no inner updates has no flags of them."""

    @property
    def inner_steps_in_test(self) -> int:
        """Inner updates at validation and test."""
        return 0


@dataclass(frozen=True)
class InnerLoop:
    """Flags of a method whose update rule is given."""

    inner_lr: Rate = 0.4
    """Inner learning rate, on the mean loss."""
    inner_steps: Natural = 1
    """Inner updates in training."""
    test_inner_steps: Natural | None = None
    """Inner updates at validation and test; if None as --inner-steps, but at least the 3 of MAML's paper."""

    @property
    def inner_steps_in_test(self) -> int:
        """Inner updates at validation and test."""
        return max(self.inner_steps, 3) if self.test_inner_steps is None else self.test_inner_steps


@dataclass(frozen=True)
class InnerLoopOfAnyRule(InnerLoop):
    """Flags of a method that goes with any update rule."""

    inner_rule: Literal["sgd", "adam", "meta_sgd", "layer_step_rates", "meta_curvature", "learned_optimizer"] = "sgd"
    """Inner update rule; adam has beta1 = 0, and what follows it is learned."""


@dataclass(frozen=True)
class Partial:
    """The flag of MAML."""

    adapt: Literal["all", "weights"] = "all"
    """What of the model adapts: all, or (weights) all but the parameters of its normalization, as in MAML's code."""


@dataclass(frozen=True)
class MAMLInnerLoop(InnerLoopOfAnyRule, Partial):
    """Flags of MAML."""


@dataclass(frozen=True)
class RuleInnerLoop(InnerLoop, Partial):
    """Flags of MAML with an update rule that is learned."""


@dataclass(frozen=True)
class ReptileInnerLoop(InnerLoopOfAnyRule):
    """Flags of Reptile."""

    inner_batch: Count | None = None
    """Support examples per inner update; all if None."""
    test_inner_batch: Count | None = None
    """Support examples per inner update at validation and test; as --inner-batch if None."""
    carry: bool = True
    """Whether what the inner rule remembers, such as Adam's moments, goes on from task to task."""


@dataclass(frozen=True)
class ImplicitInnerLoop(InnerLoopOfAnyRule):
    """Flags of implicit MAML."""

    proximity: Rate = 2.0
    """How strongly task parameters are held to the meta-parameters."""
    cg_steps: Count = 5
    """Steps of conjugate gradient per meta-gradient."""
    damping: Annotated[float, Between(0, 1e30)] = 22.0
    """Added to --proximity where the meta-gradient is solved for; 0 is exact, for smooth losses."""


@dataclass(frozen=True)
class ContextInnerLoop(InnerLoopOfAnyRule):
    """Flags of CAVIA."""

    context: Size = 5
    """Numbers that adapt, beside the inputs."""

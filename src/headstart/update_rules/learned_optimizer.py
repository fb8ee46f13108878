"""A learned optimizer: one small network that turns the history of a coordinate's gradients into its step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from headstart.errors import BadInputError
from headstart.params import Params
from headstart.update_rules.base import State, UpdateRule

DECAY = 0.9
"""Of the momentum, a running mean of the gradients."""
SMALLEST_LOG = 10
"""Gradients below ``exp(-10)`` are told apart by their value, not by its logarithm; the paper's ``p``."""
Network = Literal["mlp", "lstm"]
NUMBERS = {"gradient": 2, "momentum": 2, "value": 1}
"""How many numbers a feature is."""


@dataclass(frozen=True)
class LearnedOptimizer(UpdateRule):
    """``params <- params - inner_lr * network(features)``, the same network for every coordinate.

    The features of a coordinate are size and sign of its gradient, size and sign of its momentum, and its value. The
    network has two layers: of tanh units, or of LSTM cells, which remember what they have seen of their coordinate. Its
    output begins at zero, so that training begins where nothing moves. A rate that suits Adam suits it as well, since
    it too is told a gradient's size by its logarithm.

    Args:
        network: ``"lstm"`` or ``"mlp"``.
        units: of each layer.
        features: which of ``"gradient"``, ``"momentum"`` and ``"value"`` the network is shown. The paper's LSTM has
            ``("gradient",)`` alone; an MLP, which has no memory, needs the momentum.

    Raises:
        BadInputError: the network or a feature is unknown, no feature is named or one twice, or there are no units.

    Source: Andrychowicz et al. (2016), "Learning to learn by gradient descent by gradient descent", section 2.1 and
    appendix A; two LSTM layers of 20 units.

    >>> rule, params = LearnedOptimizer(inner_lr=0.5), {"w": torch.ones(2)}
    >>> rule_params, state = rule.initial_rule_params(params, steps=1), rule.initial_state(params)
    >>> rule.update(params, {"w": torch.tensor([1.0, 2.0])}, state, 0, {**rule_params, "output.bias": torch.ones(1)})[0]
    {'w': tensor([0.5000, 0.5000])}
    """

    inner_lr: float
    network: Network = "lstm"
    units: int = 20
    features: tuple[str, ...] = tuple(NUMBERS)
    learned: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.network not in get_args(Network):
            raise BadInputError(f"network={self.network!r} is unknown; choose one of {', '.join(get_args(Network))}.")
        if self.units < 1:
            raise BadInputError(f"units={self.units} must be 1 or more.")
        if not self.features or len({*self.features} & NUMBERS.keys()) < len(self.features):
            raise BadInputError(f"features={self.features!r} must be some of {', '.join(NUMBERS)}, each at most once.")

    def initial_rule_params(self, params: Params, steps: int) -> Params:
        """Weights and biases of both layers and the output, drawn as ``torch.nn.Linear`` and ``torch.nn.LSTM`` do."""
        example = next(iter(params.values()))
        gates, remembered = (4, self.units) if self.network == "lstm" else (1, 0)
        weights: Params = {}
        for layer, inputs in (("first", sum(NUMBERS[name] for name in self.features)), ("second", self.units)):
            bound = 1 / math.sqrt(self.units if self.network == "lstm" else inputs)
            shape = (gates * self.units, inputs + remembered)
            weights[f"{layer}.weight"] = example.new_empty(shape).uniform_(-bound, bound)
            weights[f"{layer}.bias"] = example.new_empty(shape[0]).uniform_(-bound, bound)
        return weights | {"output.weight": example.new_zeros(1, self.units), "output.bias": example.new_zeros(1)}

    def initial_state(self, params: Params) -> State:
        """No momentum, and empty cells."""
        coordinates = flat(params)
        empty = coordinates.new_zeros(len(coordinates), self.units)
        state: dict[str, Params] = {}
        if "momentum" in self.features:
            state["momentum"] = {"": torch.zeros_like(coordinates)}
        if self.network == "lstm":
            state |= {layer: {"output": empty, "cell": empty} for layer in ("first", "second")}
        return state

    def update(
        self, params: Params, gradient: Params, state: State, step: int, rule_params: Params
    ) -> tuple[Params, State]:
        """One step of every coordinate, and what the network remembers of it."""
        remembered: dict[str, Params] = {}
        slope = flat(gradient)
        shown: dict[str, tuple[Tensor, ...]] = {"gradient": size_and_sign(slope), "value": (flat(params),)}
        if "momentum" in self.features:
            momentum = DECAY * state["momentum"][""] + (1 - DECAY) * slope
            remembered["momentum"] = {"": momentum}
            shown["momentum"] = size_and_sign(momentum)
        signal = torch.stack([number for name in self.features for number in shown[name]], 1)
        for layer in ("first", "second"):
            weight, bias = rule_params[f"{layer}.weight"], rule_params[f"{layer}.bias"]
            if self.network == "mlp":
                signal = torch.tanh(signal @ weight.T + bias)
            else:
                remembered[layer] = lstm_cell(signal, state[layer], weight, bias)
                signal = remembered[layer]["output"]
        moves = (signal @ rule_params["output.weight"].T + rule_params["output.bias"]).squeeze(1)
        sizes = [parameter.numel() for parameter in params.values()]
        return {
            name: parameter - self.inner_lr * move.view(parameter.shape)
            for (name, parameter), move in zip(params.items(), torch.split(moves, sizes), strict=True)
        }, remembered


def flat(params: Params) -> Tensor:
    """All coordinates in one row."""
    return torch.cat([value.flatten() for value in params.values()])


def size_and_sign(values: Tensor) -> tuple[Tensor, Tensor]:
    """``log |x| / p`` and the sign of ``x`` where ``|x| > exp(-p)``, otherwise -1 and ``exp(p) x``.

    Source: Andrychowicz et al. (2016), appendix A.

    >>> size_and_sign(torch.tensor([1.0, -math.exp(-5), 0.0]))
    (tensor([ 0.0000, -0.5000, -1.0000]), tensor([ 1., -1.,  0.]))
    """
    size = values.abs().clamp(min=math.exp(-SMALLEST_LOG)).log() / SMALLEST_LOG
    return size, (values * math.exp(SMALLEST_LOG)).clamp(-1, 1)


def lstm_cell(inputs: Tensor, state: Params, weight: Tensor, bias: Tensor) -> Params:
    """One step of an LSTM: ``cell <- forget * cell + input * candidate``, ``output <- gate * tanh(cell)``.

    Shapes:
        inputs: ``[coordinate, feature]``; state: ``[coordinate, unit]`` each; weight: ``[4 * unit, feature + unit]``

    Source: Hochreiter and Schmidhuber (1997), with forget gates; the gates stand in the order of ``torch.nn.LSTMCell``.

    >>> state = {"output": torch.zeros(1, 1), "cell": torch.ones(1, 1)}
    >>> lstm_cell(torch.ones(1, 1), state, weight=torch.zeros(4, 2), bias=torch.zeros(4))
    {'output': tensor([[0.2311]]), 'cell': tensor([[0.5000]])}
    """
    gates = torch.cat([inputs, state["output"]], 1) @ weight.T + bias
    enter, keep, candidate, leave = gates.chunk(4, 1)
    cell = keep.sigmoid() * state["cell"] + enter.sigmoid() * candidate.tanh()
    return {"output": leave.sigmoid() * cell.tanh(), "cell": cell}

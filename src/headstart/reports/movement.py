"""How far each layer of *f* moves when it adapts to a task."""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor

from headstart.episodes import Episodes, first_of
from headstart.evaluation.evaluate import evaluating
from headstart.evaluation.scores import over_first_axis
from headstart.learners.base import Learner
from headstart.learners.heads import set_to
from headstart.params import Params, below, dot, subtract


@torch.no_grad()
def movement(learner: Learner, episodes: Episodes, steps: int) -> dict[str, float]:
    """``||task_params - start|| / ||start||`` of each layer, the mean over the tasks: ``start`` are the meta-parameters
    and whatever head is made for the task, ``task_params`` what ``steps`` inner updates make of them.

    A layer's weight and bias count as one vector. A layer that starts from zero has no such ratio and is left out, and
    so is a task whose ratio is not finite. Layers are in the order of the model's parameters.

    >>> import headstart as hs
    >>> episodes = hs.SinusoidTasks(shots=10, queries=10).sample(4, torch.Generator())
    >>> list(movement(hs.MAML(hs.MLP(), inner_lr=0.01), episodes, steps=3))
    ['layers.0', 'layers.1', 'head']
    """
    meta_params = learner.meta_params
    learner = set_to(learner, episodes)
    layers: list[str] = []

    def of_task(episode: Episodes) -> Tensor:
        path = learner.adaptation(meta_params, episode.support, steps, every=False)
        start = below(next(path), "model")
        ends = deque(path, maxlen=1)
        end = below(ends[0], "model") if ends else start
        layers[:] = dict.fromkeys(layer_of(name) for name in start)
        return torch.stack([moved(of_layer(start, layer), of_layer(end, layer)) for layer in layers])

    with evaluating(learner, first_of(episodes.query.inputs).device, 0):
        ratios = over_first_axis(of_task, "auto")(episodes)
    ratios = ratios.masked_fill(~ratios.isfinite(), torch.nan)
    means = zip(layers, ratios.nanmean(0).tolist(), strict=True)
    return {layer: ratio for layer, ratio in means if not math.isnan(ratio)}


def layer_of(name: str) -> str:
    """The module that a parameter is of; the parameter itself if the model is a single layer.

    >>> layer_of("blocks.0.conv.weight"), layer_of("weight")
    ('blocks.0.conv', 'weight')
    """
    return name.rpartition(".")[0] or name


def of_layer(params: Params, layer: str) -> Params:
    """Those of ``params`` that are of the layer."""
    return {name: value for name, value in params.items() if layer_of(name) == layer}


def moved(start: Params, end: Params) -> Tensor:
    """``||end - start|| / ||start||`` over all of their elements.

    >>> moved({"w": torch.tensor(3.0), "b": torch.tensor(4.0)}, {"w": torch.tensor(3.0), "b": torch.tensor(5.0)})
    tensor(0.2000)
    """
    change = subtract(end, start)
    return (dot(change, change) / dot(start, start)).sqrt()

"""How far apart are the directions of exact MAML, first-order MAML and Reptile? Measured along one training of MAML.

    python benchmarks/directions.py --data-root FOLDER --out directions.json    # Omniglot, 2,000 meta-steps
    python benchmarks/directions.py --problem glyphs --quick                    # does it work?

At some meta-steps of MAML's default recipe, shortened to the last of them, every method is asked from the same
meta-parameters and for the same batches of training tasks where it would go; in float64:

- ``exact`` and ``first_order``: the meta-gradients of order 2 and 1;
- ``reptile``: ``meta_params - task_params``, the inner updates of MAML on the support set and then one on the query
  set, so that all three see the same examples at the same rate (Nichol et al., 2018, section 5.1);
- ``reptile_adam``: Reptile's recipe, five updates of Adam without momentum on batches of ten of all of the task's
  examples, its moments carried until they have settled.

Beside their cosines there is the share of the second-order term, ``||exact - first_order|| / ||exact||``. Each figure
is the mean over the batches, which are as large as those of a meta-step, with the standard deviation between them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
from pathlib import Path

import torch

import headstart as hs
from headstart.episodes import slice_tasks
from headstart.experiments.experiment import Experiment
from headstart.experiments.settings import default_settings
from headstart.params import Params, add, dot, scale, split, subtract
from headstart.randomness import derive_generator
from headstart.reports.directions import directions_section
from headstart.reports.page import html_page

AT, QUICK = (0, 100, 200, 500, 1000, 2000), (0, 3, 6)
"""Meta-steps after which the directions are taken."""
SETTLED = 10
"""Rounds after which Adam's second moments are what they are at these meta-parameters."""


def trained(experiment: Experiment, at: tuple[int, ...]) -> dict[int, Params]:
    """The meta-parameters after each of the meta-steps ``at`` of a training that ends with the last of them."""
    learner, seen = experiment.learner, {}

    def start_meta_step(meta_step: int, meta_steps: int) -> None:
        if meta_step in at:
            seen[meta_step] = {name: value.detach().double() for name, value in learner.meta_params.items()}

    learner.start_meta_step = start_meta_step
    experiment.train(None)
    start_meta_step(at[-1], at[-1])
    return seen


def directions(learner: hs.MAML, meta_params: Params, episodes: hs.Episodes) -> dict[str, Params]:
    """Where each method would go from ``meta_params``, downhill being minus that."""
    model, rate, steps = learner.model, learner.inner_rule.inner_lr, learner.inner_steps
    settings = {"inner_lr": rate, "inner_steps": steps}
    exact, first_order = (
        hs.MAML(model, order=order, **settings).meta_gradient(meta_params, episodes)[0] for order in (2, 1)
    )
    plain = hs.Reptile(model, inner_batch=None, inner_rule=hs.SGD, **settings)
    on_support, _ = plain.meta_gradient(meta_params, episodes)
    return {
        "exact": exact,
        "first_order": first_order,
        "reptile": add(on_support, scale(first_order, rate)),
        "reptile_adam": settled(hs.Reptile(model, carry=True).double(), meta_params, episodes),
    }


def settled(learner: hs.Reptile, meta_params: Params, episodes: hs.Episodes) -> Params:
    """Reptile's direction on all examples of the tasks, once what its rule carries has come to rest."""
    both = hs.Examples(*(torch.cat(parts, 1) for parts in zip(*episodes, strict=True)))
    count, examples = both.targets.shape
    order = torch.rand(count, examples, generator=derive_generator(0, "order", 0)).argsort(1)
    rows = torch.arange(count)[:, None]
    shuffled = hs.Examples(both.inputs[rows, order], both.targets[rows, order])
    params = {**learner.meta_params, **meta_params}
    for _ in range(SETTLED):
        moved, _ = learner.meta_gradient(params, hs.Episodes(shuffled, episodes.query))
        carried, direction = split(moved, learner.carried_names)
        params |= carried
    return direction


def figures(found: dict[str, Params]) -> dict[str, float]:
    """The cosine of each pair, and the share of the second-order term."""
    norms = {name: dot(direction, direction).sqrt() for name, direction in found.items()}
    cosines = {
        f"{one}, {other}": (dot(found[one], found[other]) / (norms[one] * norms[other])).item()
        for one, other in itertools.combinations(found, 2)
    }
    term = subtract(found["exact"], found["first_order"])
    return {**cosines, "second_order_share": (dot(term, term).sqrt() / norms["exact"]).item()}


def measured(experiment: Experiment, meta_params: Params, tasks: int) -> dict[str, dict[str, float]]:
    """The figures over the batches of ``tasks`` training tasks, which are the same at every meta-step."""
    episodes = experiment.task_sets.training.sample(tasks, derive_generator(0, "directions", 0))
    in_double = hs.Episodes(*(hs.Examples(part.inputs.double(), part.targets) for part in episodes))
    size = experiment.settings.outer_loop.meta_batch
    batches = [slice_tasks(in_double, start, start + size) for start in range(0, tasks, size)]
    rows = [figures(directions(experiment.learner, meta_params, batch)) for batch in batches]
    columns = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    rounded = {name: [round(value.item(), 4) for value in (of.mean(), of.std())] for name, of in columns.items()}
    return {name: dict(zip(("mean", "deviation"), values, strict=True)) for name, values in rounded.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="omniglot", help="omniglot or glyphs")
    parser.add_argument("--data-root", type=Path, help="folder of the Omniglot zips")
    parser.add_argument("--tasks", type=int, default=128, help="training tasks that the directions are taken for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="six meta-steps of a narrow network, two batches")
    parser.add_argument("--out", type=Path, default=Path("directions.json"), help="a page with pictures lies beside it")
    arguments = parser.parse_args()
    at, tasks, narrow = (QUICK, 16, {"width": 8, "compile": "no"}) if arguments.quick else (AT, arguments.tasks, {})
    places = {"data_root": arguments.data_root} if arguments.data_root else {}
    settings = default_settings(arguments.problem, "maml").replace(
        meta_steps=at[-1], validation_every=at[-1], seed=arguments.seed, workers=1, **narrow, **places
    )
    experiment = Experiment(settings)
    record = {"problem": arguments.problem, "seed": arguments.seed, "tasks": tasks, "rows": []}
    for meta_step, meta_params in trained(experiment, at).items():
        record["rows"].append({"meta_step": meta_step, **measured(experiment, meta_params, tasks)})
        print(json.dumps(record["rows"][-1]), flush=True)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    page = html_page(
        "How far apart the directions are", [directions_section(record)], shlex.join(["python", *sys.argv])
    )
    arguments.out.with_suffix(".html").write_text(page)


if __name__ == "__main__":
    main()

"""What papers published: every row of their Omniglot and sinusoid tables as a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.experiments.recipe import OMNIGLOT_TASKS, OURS, Published, Recipe

MAML = "Finn, Abbeel and Levine (2017)"
MAML_CODE = "github.com/cbfinn/maml"
REPTILE = "Nichol, Achiam and Schulman (2018)"
REPTILE_CODE = "github.com/openai/supervised-reptile"
PROTO_NET = "Snell, Swersky and Zemel (2017)"
MATCHING = "Vinyals et al. (2016)"
IMPLICIT = "Rajeswaran, Finn, Kakade and Levine (2019)"
IMPLICIT_CODE = "github.com/aravindr93/imaml_dev"
META_SGD = "Li et al. (2017)"
MAML_PLUS_PLUS = "Antoniou, Edwards and Storkey (2019)"
MAML_PLUS_PLUS_CODE = "github.com/AntreasAntoniou/HowToTrainYourMAMLPytorch"
META_CURVATURE = "Park and Oliva (2019)"

Figures = Mapping[str, tuple[float, float | None]]
"""Published percentages and the half widths of their intervals, by kind of task."""


def rows(method: str, figures: Figures, settings: Any, source: str, **more: Any) -> dict[str, Recipe]:
    """A recipe for each kind of Omniglot task; ``settings(ways, shots)`` are those of one of them."""
    suffix = "" if more.get("transductive", True) else "-inductive"
    found = {}
    for kind, (percent, interval) in figures.items():
        published = Published(round(percent / 100, 6), None if interval is None else round(interval / 100, 6))
        ways, shots = OMNIGLOT_TASKS[kind]
        own = {source: {"ways": ways, "shots": shots}, **settings(ways, shots)}
        name = f"{method}-omniglot-{kind}{suffix}"
        found[name] = Recipe("omniglot", method, own, published, f"{source}, Omniglot table", **more)
    return found


AS_MAML = "MAML's protocol and settings; the learned rule begins as MAML's."
PULLED = (
    "The proximal term pulls at every inner step, in the test too; the authors' code pulls once, and in training only."
)
ANNEALED = (
    "First-order for the first third of the training, as in the paper; its files for Omniglot are exact throughout."
)
VALIDATED = {"validation_tasks": 600, "validation_every": 5000, "checkpoint_every": 500}


def of_maml(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """MAML's own settings; 0.4 and 0.1 on ``ways`` times the mean loss are 2.0 on the mean."""
    steps, batch, tested = (1, 32, 3) if ways == 5 else (5, 16, 5)
    network = {"norm": "batch_shift", "adapt": "weights", "features": "mean", "downsample": "stride", "width": 64}
    outer = {"meta_lr": 1e-3, "optimizer": "Adam", "schedule": "constant", "meta_steps": 60_000, "meta_batch": batch}
    examples = {"rotations": "tasks", "test_rotations": "tasks", "queries": shots, "test_queries": shots}
    inner = {"inner_lr": 2.0, "inner_steps": steps, "test_inner_steps": tested}
    return {f"{MAML}, appendix A.1": inner, MAML_CODE: {**network, **outer, **examples}, OURS: VALIDATED}


def of_anil(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """MAML's settings without what names the part that adapts, which is the head."""
    return {source: {k: v for k, v in part.items() if k != "adapt"} for source, part in of_maml(ways, shots).items()}


def of_reptile(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """Reptile's own commands."""
    batch, steps, rate, meta_steps, test_batch = (10, 5, 1e-3, 100_000, 5) if ways == 5 else (20, 10, 5e-4, 200_000, 10)
    inner = {"inner_rule": "adam", "inner_lr": rate, "inner_steps": steps, "inner_batch": batch, "train_shots": 10}
    tested = {"test_inner_steps": 50, "test_inner_batch": test_batch, "test_queries": 1, "test_tasks": 10_000}
    outer = {"optimizer": "SGD", "meta_lr": 1.0, "schedule": "linear", "meta_batch": 5, "meta_steps": meta_steps}
    images = {"rotations": "classes", "ink": 0, "features": "flatten"}
    return {REPTILE_CODE: {**inner, "carry": True, **tested, **outer, **images}, OURS: {**VALIDATED, "queries": 1}}


def of_metric(ways: int, shots: int, train_ways: int) -> Mapping[str, Mapping[str, Any]]:
    """Prototypical and matching networks: max-pooled blocks and Adam at 1e-3, one task a meta-step."""
    paper = {"train_ways": train_ways, "queries": 5, "downsample": "max_pool", "meta_lr": 1e-3, "meta_batch": 1}
    ours = {"meta_steps": 20_000, "schedule": "cosine", "validation_every": 2500, "validation_tasks": 600}
    return {PROTO_NET: paper, OURS: ours}


def of_implicit(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """Implicit MAML's own command."""
    inner = {"inner_lr": 0.1, "inner_steps": 16 if ways == 5 else 25, "test_inner_steps": 16 if ways == 5 else 25}
    outer = {"optimizer": "Adam", "meta_lr": 1e-3, "schedule": "constant", "meta_batch": 32, "meta_steps": 20_000}
    solved = {"proximity": 2.0, "cg_steps": 5, "damping": 22.0}
    images = {"rotations": "tasks", "test_rotations": "tasks", "queries": shots, "test_queries": shots, "ink": 0}
    return {IMPLICIT_CODE: {**inner, **outer, **solved, **images}, OURS: VALIDATED}


def of_maml_plus_plus(ways: int, shots: int) -> Mapping[str, Mapping[str, Any]]:
    """MAML++'s configuration files: rotated characters are classes of their own."""
    inner = {"inner_lr": 0.1, "inner_steps": 5, "test_inner_steps": 5}
    outer = {"optimizer": "Adam", "meta_lr": 1e-3, "schedule": "cosine", "meta_batch": 8, "meta_steps": 50_000}
    examples = {"rotations": "classes", "queries": 1, "test_queries": 1, "downsample": "max_pool", "test_tasks": 600}
    return {MAML_PLUS_PLUS_CODE: {**inner, **outer, **examples}, OURS: VALIDATED}


def sinusoid(method: str, shots: int, by_step: Mapping[int, float], inner: Mapping[str, Any]) -> Recipe:
    """Sine curves, tested after 1, 5 and 10 inner steps."""
    outer = {"meta_steps": 70_000, "meta_batch": 25, "meta_lr": 1e-3, "optimizer": "Adam", "schedule": "constant"}
    sizes = {"shots": shots, "queries": shots, "inner_lr": 0.01, "test_inner_steps": 10, "width": 40, **inner}
    ours = {"test_queries": 100, "test_tasks": 1000, "validation_every": 10_000, "checkpoint_every": 1000}
    settings = {f"{MAML}, section 5.1": sizes, MAML_CODE: outer, OURS: ours}
    return Recipe("sinusoid", method, settings, Published(by_step[10], None, by_step), f"{MAML}, figure 3")


OF_MAML = {"5w1s": (98.7, 0.4), "5w5s": (99.9, 0.1), "20w1s": (95.8, 0.3), "20w5s": (98.9, 0.2)}
OF_FOMAML = {"5w1s": (98.3, 0.5), "5w5s": (99.2, 0.2), "20w1s": (89.4, 0.5), "20w5s": (97.9, 0.1)}
OF_REPTILE = {"5w1s": (97.68, 0.04), "5w5s": (99.48, 0.06), "20w1s": (89.43, 0.14), "20w5s": (97.12, 0.32)}
OF_REPTILE_INDUCTIVE = {"5w1s": (95.39, 0.09), "5w5s": (98.90, 0.10), "20w1s": (88.14, 0.15), "20w5s": (96.65, 0.33)}
OF_ANIL = {"20w1s": (96.2, 0.5), "20w5s": (98.0, 0.3)}
OF_PROTO_NET = {"5w1s": (98.8, None), "5w5s": (99.7, None), "20w1s": (96.0, None), "20w5s": (98.9, None)}
OF_MATCHING = {"5w1s": (98.1, None), "5w5s": (98.9, None), "20w1s": (93.8, None), "20w5s": (98.5, None)}
OF_IMPLICIT = {"5w1s": (99.50, 0.26), "5w5s": (99.74, 0.11), "20w1s": (96.18, 0.36), "20w5s": (99.14, 0.1)}
OF_META_SGD = {"5w1s": (99.53, 0.26), "5w5s": (99.93, 0.09), "20w1s": (95.93, 0.38), "20w5s": (98.97, 0.19)}
OF_MAML_PLUS_PLUS = {"5w1s": (99.47, None), "5w5s": (99.93, None), "20w1s": (97.65, None), "20w5s": (99.33, None)}
OF_META_CURVATURE = {"5w1s": (99.97, None), "5w5s": (99.89, None), "20w1s": (99.12, None), "20w5s": (99.65, None)}
MAML_CURVE, PRETRAINED_CURVE = {1: 0.67, 5: 0.38, 10: 0.35}, {1: 2.41, 5: 2.23, 10: 2.19}

PUBLISHED: dict[str, Recipe] = {
    **{f"maml-sinusoid-{k}shot": sinusoid("maml", k, MAML_CURVE, {"inner_steps": 1}) for k in (5, 10)},
    **{f"pretraining-sinusoid-{k}shot": sinusoid("pretraining", k, PRETRAINED_CURVE, {}) for k in (5, 10)},
    **rows("maml", OF_MAML, of_maml, MAML),
    **rows("fomaml", OF_FOMAML, of_maml, f"{REPTILE}, quoting MAML's authors"),
    **rows("reptile", OF_REPTILE, of_reptile, REPTILE),
    **rows("reptile", OF_REPTILE_INDUCTIVE, of_reptile, REPTILE, transductive=False),
    **rows("anil", OF_ANIL, of_anil, "Raghu et al. (2020)"),
    **rows("proto_net", OF_PROTO_NET, lambda ways, shots: of_metric(ways, shots, 60), PROTO_NET),
    **rows("implicit_maml", OF_IMPLICIT, of_implicit, IMPLICIT, note=PULLED),
    **rows("meta_sgd", OF_META_SGD, of_maml, META_SGD, note=AS_MAML),
    **rows("maml_plus_plus", OF_MAML_PLUS_PLUS, of_maml_plus_plus, MAML_PLUS_PLUS, note=ANNEALED),
    **rows("meta_curvature", OF_META_CURVATURE, of_maml, META_CURVATURE, note=AS_MAML),
    **rows("matching_net", OF_MATCHING, lambda ways, shots: of_metric(ways, shots, ways), MATCHING),
}
"""By name. Those that differ in how they are tested alone share the run that they train."""

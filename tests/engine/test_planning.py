"""What the engine chooses, and what it says of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import headstart as hs
from headstart.engine import planning
from headstart.engine.planning import Choices, Plan, choose_plan
from headstart.engine.work import work_of_task
from methods import image_episodes

LONG, SHORT = 10**6, 10


def plan_for(learner: hs.Learner, **choices: Any) -> Plan:
    learner = learner.double()
    return choose_plan(learner, learner.meta_params, image_episodes(tasks=4), Choices(**choices))


def maml(steps: int = 4, **settings: Any) -> hs.MAML:
    return hs.MAML(hs.MLP(64, 3, (8,), activation=torch.tanh), inner_steps=steps, **settings)


def test_a_run_is_compiled_if_it_is_long_enough() -> None:
    assert plan_for(maml(), meta_steps=LONG).compile == "whole"
    assert plan_for(maml(), meta_steps=SHORT).compile == "no"
    assert plan_for(maml(), meta_steps=None).compile == "no"
    assert plan_for(maml(), meta_steps=SHORT, compile=True).compile == "whole"
    assert str(plan_for(maml(), meta_steps=LONG)) == "4 at a time, compiled (1,000,000 meta-steps earn compiling back)"


def test_what_is_too_much_for_one_piece_is_compiled_update_by_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MOST_OPERATIONS", 100)
    for choices in ({"meta_steps": LONG}, {"compile": True}, {"compile": "updates"}):
        plan = plan_for(maml(), **choices)
        assert (plan.compile, plan.recompute) == ("updates", False)
    assert "compiled update by update" in str(plan)
    assert plan_for(maml(), meta_steps=SHORT).compile == "no"
    assert plan_for(maml(), compile="whole").compile == "whole"


def test_ten_inner_steps_of_the_usual_net_are_too_much_for_one_piece() -> None:
    examples = hs.Examples(torch.rand(1, 5, 1, 28, 28), torch.arange(5)[None])
    for steps, order, form in ((5, 2, "whole"), (10, 2, "updates"), (10, 1, "whole")):
        learner = hs.MAML(hs.Conv4(ways=5), inner_steps=steps, order=order)
        plan = choose_plan(learner, learner.meta_params, hs.Episodes(examples, examples), Choices(meta_steps=LONG))
        assert plan.compile == form


def test_where_one_task_does_not_fit_its_inner_loop_is_recomputed_compiled_or_not() -> None:
    for meta_steps, form in ((LONG, "updates"), (SHORT, "no")):
        plan = plan_for(maml(), meta_steps=meta_steps, memory=10_000)
        assert (plan.compile, plan.recompute) == (form, True)
        assert "one task would hold" in str(plan)
    assert plan_for(maml(order=1), meta_steps=LONG, memory=10_000).compile == "whole", "it keeps no graph"


def test_update_by_update_a_task_holds_its_parameters_and_what_its_rule_remembers() -> None:
    few = plan_for(maml(20), compile="updates", memory=450_000)
    assert not few.recompute
    with_moments = plan_for(maml(20, inner_rule=hs.Adam), compile="updates", memory=450_000)
    assert with_moments.chunk_size < few.chunk_size


def eager_plan(ways: int, tasks: int = 32, queries: int = 1, steps: int = 1, **choices: Any) -> Plan:
    """Of exact MAML on Conv4 with one shot."""
    learner = hs.MAML(hs.Conv4(ways), inner_steps=steps)
    support, query = (
        hs.Examples(torch.rand(tasks, ways * examples, 1, 28, 28), torch.arange(ways).repeat(tasks, examples))
        for examples in (1, queries)
    )
    return choose_plan(learner, learner.meta_params, hs.Episodes(support, query), Choices(**choices))


@pytest.mark.parametrize(
    ("ways", "queries", "steps", "threads", "chunk"),
    [(5, 1, 1, 1, 16), (5, 1, 5, 2, 16), (5, 3, 1, 1, 5), (10, 1, 1, 1, 8), (20, 1, 1, 2, 4), (20, 1, 5, 2, 4)],
)
def test_small_tasks_go_several_at_a_time_as_many_as_the_cache_takes(
    ways: int, queries: int, steps: int, threads: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    plan = eager_plan(ways, queries=queries, steps=steps)
    assert (plan.loop, plan.chunk_size) == (False, chunk)


@pytest.mark.parametrize(("ways", "queries", "steps"), [(20, 1, 1), (20, 1, 5), (5, 15, 1), (64, 1, 1)])
def test_large_tasks_go_one_after_the_other_without_vmap(
    ways: int, queries: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one task alone there is nothing to batch, and on one core large tasks are slower in a batch."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert eager_plan(ways, queries=queries, steps=steps).loop
    assert eager_plan(5, tasks=1).loop
    assert not eager_plan(ways, queries=queries, steps=steps, execution="vmap").loop
    assert not eager_plan(ways, queries=queries, steps=steps, execution="chunks", chunk_size=1).loop


def test_no_more_tasks_at_a_time_than_the_memory_holds() -> None:
    one = work_of(hs.MAML(hs.Conv4(5)))
    assert 2 * 2**20 < one < 5 * 2**20
    assert eager_plan(5, memory=5 * one).chunk_size == 5
    assert eager_plan(5, memory=one).loop


def work_of(learner: hs.Learner) -> int:
    examples = hs.Examples(torch.rand(1, 5, 1, 28, 28), torch.arange(5)[None])
    return work_of_task(learner, learner.meta_params, hs.Episodes(examples, examples)).memory


def test_memory_is_what_is_held_at_once() -> None:
    """The tensors of one exact task are kept till its end; without a graph further steps take no more."""
    one, two, five = (work_of(hs.MAML(hs.Conv4(5), inner_steps=steps)) for steps in (1, 2, 5))
    assert five == one + 4 * (two - one)
    first_order = [work_of(hs.MAML(hs.Conv4(5), inner_steps=steps, order=1)) for steps in (2, 9)]
    assert first_order[0] == first_order[1] < two / 2


def test_without_inner_updates_there_is_one_piece() -> None:
    assert plan_for(hs.ProtoNet(hs.MLP(64, 3, (8,))), compile="updates").compile == "whole"


def test_each_kind_of_meta_step_has_to_earn_its_own_program() -> None:
    learner = hs.MAMLPlusPlus(hs.MLP(64, 3, (8,)))
    assert "333,333 meta-steps of a kind" in str(plan_for(learner, meta_steps=LONG))


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"compile": True, "recompute": True}, "choose compile='updates'"),
        ({"compile": "whole", "recompute": True}, "choose compile='updates'"),
        ({"compile": "all"}, "compile='all' is unknown; choose whole, updates, True, False or None"),
        ({"compile": "updates", "execution": "loop"}, "execution='loop' runs without vmap and uncompiled"),
    ],
)
def test_choices_that_contradict_each_other_are_refused(choices: dict[str, Any], sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        Choices(**choices)

"""Ways between remembered moments: around a wall, and straight where nothing is remembered."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from agent.cost.goal_target import GoalTarget
from agent.world_model.experience_graph import NEAR, STRICT, ExperienceGraph, Steps

STEP = 0.1
WALL = 0.4
"""Distance of the two sides of the wall, 4 steps."""


def episode(*corners: tuple[float, float]) -> np.ndarray:
    """Moments of a walk from corner to corner [moments, 2], one step a decision."""
    parts = [np.array(corners[:1])]
    for start, end in itertools.pairwise(corners):
        count = round(float(np.linalg.norm(np.subtract(end, start))) / STEP)
        parts.append(np.linspace(start, end, count + 1)[1:])
    return np.concatenate(parts)


def graph_of(*episodes: np.ndarray, most_nodes: int = 1_000, steps: Steps | None = None) -> ExperienceGraph:
    z = torch.from_numpy(np.concatenate(episodes)).float()
    last = np.concatenate([np.arange(len(one)) == len(one) - 1 for one in episodes])
    return ExperienceGraph(z, last, STEP, steps, most_nodes)


# The wall is between x = 0 and x = 0.4, from y = 0 up; the ways around it were gone in two halves.
HALVES = (episode((0, 2), (0, -0.5), (0.2, -0.5)), episode((0.2, -0.4), (WALL, -0.4), (WALL, 2)))


def test_moments_are_nearly_the_same_up_to_the_least_distance_that_connects_the_graph() -> None:
    sides = (episode((0, 2), (0, -0.5), (0.2, -0.5)), episode((0.2, -0.38), (0.25, -0.38), (0.25, 2)))
    graph = graph_of(*sides)
    assert graph.near == 1.25, "the two episodes are 1.2 steps apart"
    route = graph.route(torch.tensor([[0.25, 2.0]]))
    assert route.decisions(torch.tensor([[0.0, 2.0]]))[0] > 50, "a way through the wall of 2.5 steps"
    apart = graph_of(episode((0, 0), (1, 0)), episode((0, 9), (1, 9)))
    assert apart.near == NEAR[-1], "nothing connects them"
    between = torch.tensor([[0.5, 0.25]])  # 2.5 steps from the nearest moment
    assert graph_of(episode((0, 0), (1, 0))).route(torch.tensor([[1.0, 0.0]])).decisions(between)[0] < 9


def test_episodes_that_differ_in_what_never_changes_have_no_ways_to_each_other() -> None:
    # The second number is a target that is observed; the targets are 2 steps apart.
    graph = graph_of(*(episode((0, target), (1, target)) for target in (0.0, 0.2, 0.4, 0.6)))
    assert graph.near == STRICT
    start, goal = torch.tensor([[0.0, 0.2]]), torch.tensor([[1.0, 0.4]])
    route = graph.route(goal)
    assert np.isinf(route.decisions(start)[0])
    assert torch.equal(route.sub_goals(start, 5), goal)
    assert np.isfinite(graph.route(torch.tensor([[1.0, 0.2]])).decisions(start)[0]), (
        "the way of its own episode"
    )


@pytest.mark.parametrize(("most_nodes", "errs"), [(1_000, 5.0), (20, 7.0)])
def test_a_way_leads_around_a_wall_over_what_was_seen_in_several_episodes(
    most_nodes: int, errs: float
) -> None:
    graph = graph_of(*HALVES, most_nodes=most_nodes)
    route = graph.route(torch.tensor([[WALL, 2.0]]))
    assert route.decisions(torch.tensor([[0.0, 2.0]]))[0] == pytest.approx(25 + 2 + 1 + 2 + 24, abs=errs)
    at = torch.tensor([[0.0, 2.0]])
    for _ in range(100):
        after = route.sub_goals(at, 5)
        assert route.decisions(after)[0] <= max(0.0, route.decisions(at)[0] - 4.0)
        assert after[0, 1] < 0.0 or after[0, 0] == at[0, 0], "a way through the wall"
        at = after
        if torch.equal(at, route.goal):
            break
    assert torch.equal(at, route.goal)


def test_learned_decisions_say_what_a_step_between_like_moments_costs() -> None:
    def slow_at_the_gap(z: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return 30.0 * ((z[:, 1] < -0.45) != (other[:, 1] < -0.45)).float()

    start, goal = torch.tensor([[0.0, 2.0]]), torch.tensor([[WALL, 2.0]])
    found = graph_of(*HALVES, steps=slow_at_the_gap).route(goal).decisions(start)[0]
    assert found == pytest.approx(25 + 2 + 30 + 2 + 24, abs=5.0)
    # A longer way that was gone is shorter than the step.
    detour = episode((0.2, -0.5), (0.2, -0.8), (0.3, -0.8), (0.3, -0.4))
    found = graph_of(*HALVES, detour, steps=slow_at_the_gap).route(goal).decisions(start)[0]
    assert found < 25 + 2 + 8 + 1 + 24


def test_ways_have_the_direction_in_which_they_were_gone_where_moments_are_far_apart() -> None:
    graph = graph_of(
        episode((0, 0), (5, 0))[::5]
    )  # five steps a decision: no two moments are nearly the same
    there, back = graph.route(torch.tensor([[5.0, 0.0]])), graph.route(torch.tensor([[0.0, 0.0]]))
    assert there.decisions(torch.tensor([[0.0, 0.0]]))[0] == pytest.approx(10.0, abs=0.1)
    assert np.isinf(back.decisions(torch.tensor([[5.0, 0.0]]))[0])


def test_the_goal_itself_is_the_target_where_it_is_near_or_no_way_is_remembered() -> None:
    graph = graph_of(*HALVES)
    goal = torch.tensor([[9.0, 9.0]])
    starts = torch.tensor([[0.0, 1.0], [0.4, 1.0]])
    assert np.isinf(graph.route(goal).decisions(starts)).all()
    assert torch.equal(graph.route(goal).sub_goals(starts, 5), goal.expand(2, -1))
    near = torch.tensor([[0.05, 1.1]])
    assert torch.equal(graph.route(near).sub_goals(starts[:1], 5), near)


def test_each_environment_of_a_batch_has_its_own_target() -> None:
    graph, goal = graph_of(*HALVES), torch.tensor([[WALL, 2.0]])
    target = GoalTarget(goal, graph.route(goal), 5)
    assert torch.equal(target.rows(4), goal.expand(4, -1))
    starts = torch.tensor([[0.0, 2.0], [WALL, 1.0]])
    target.look(starts)
    now = target.rows(6)
    assert torch.equal(now, target.rows(2).repeat_interleave(3, 0))
    assert now[0, 0] == 0.0
    assert 1.2 <= now[0, 1] <= 1.5
    assert now[3, 0] == pytest.approx(WALL)
    assert 1.5 <= now[3, 1] <= 1.8


def test_each_thread_has_its_own_target() -> None:
    graph, goal = graph_of(*HALVES), torch.tensor([[WALL, 2.0]])
    target = GoalTarget(goal, graph.route(goal), 5)
    target.look(torch.tensor([[0.0, 2.0], [WALL, 1.0]]))
    mine = target.rows(2)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(target.look, torch.tensor([[WALL, 1.9]])).result()
    assert torch.equal(target.rows(2), mine)

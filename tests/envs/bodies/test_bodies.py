"""Joule's own environments: Gymnasium's interface, readouts, goals, and physics as documented."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs

ENVS = {
    "Reach": ({"fingertip", "target", "distance"}, (0.30, -0.20)),
    "Push": ({"pusher", "block", "block_heading", "goal", "distance"}, (0.10, -0.20, 1.0)),
    "Cup": ({"fingertip", "cup", "cup_axis", "tilt", "edge_distance", "goal"}, (0.02, -0.10)),
    "Maze": ({"ball", "ball_velocity", "goal", "path_distance", "zone_distance"}, (-1.2, 1.2)),
    "LongMaze": ({"ball", "ball_velocity", "goal", "path_distance", "zone_distance"}, (-1.8, 1.2)),
}
each_env = pytest.mark.parametrize("name", ENVS)


def make(name: str, **kwargs: Any) -> Any:
    """The raw environment, without the wrappers that `gymnasium.make` adds."""
    assert f"joule/{name}-v0" in envs.OWN_ENVS
    return gymnasium.make(f"joule/{name}-v0", **kwargs).unwrapped


def episode(env: Any, steps: int, seed: int) -> np.ndarray:
    """Observations and rewards, `[steps, obs + 1]`, under seeded random actions."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    rows = []
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        rows.append([*observation, reward])
    return np.array(rows)


@each_env
@pytest.mark.filterwarnings("ignore:.*observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*alternative render modes:UserWarning")
def test_gymnasiums_checker_passes(name: str) -> None:
    check_env(make(name), skip_render_check=True)


@each_env
def test_a_frame_has_its_size_and_is_not_uniform(name: str) -> None:
    env = make(name, render_mode="rgb_array", width=64, height=48)
    try:
        env.reset(seed=0)
        frame = env.render()
    except mujoco.FatalError as error:
        pytest.skip(f"no OpenGL here: {error}")
    finally:
        env.close()
    assert frame.shape == (48, 64, 3)
    assert frame.std() > 5


@each_env
def test_readouts_keep_their_names_and_sizes(name: str) -> None:
    env, (expected, _) = make(name), ENVS[name]
    env.reset(seed=0)
    sizes = {key: value.shape for key, value in env.readouts().items()}
    assert expected | {"qpos", "qvel"} <= set(sizes)
    episode(env, 20, seed=1)
    later = env.readouts()
    assert {key: value.shape for key, value in later.items()} == sizes
    assert all(np.all(np.isfinite(value)) and value.ndim == 1 for value in later.values())
    np.testing.assert_array_equal(later["qpos"], env.data.qpos)
    later["qpos"][:] = 9.0
    assert not np.any(env.data.qpos == 9.0)


@each_env
def test_a_goal_can_be_set_and_a_wrong_one_is_refused(name: str) -> None:
    env, (_, goal) = make(name), ENVS[name]
    with_drawn_goal, _ = env.reset(seed=0)
    with_set_goal, _ = env.reset(seed=0, options={"goal": goal})
    np.testing.assert_allclose(env.goal, goal)
    assert not np.array_equal(with_drawn_goal, with_set_goal)
    env.step(env.action_space.sample())
    np.testing.assert_allclose(env.goal, goal)
    for wrong in ([9.0] * len(goal), [*goal, 0.0], [np.nan] * len(goal)):
        with pytest.raises(ValueError, match=f"joule/{name}-v0 takes a goal"):
            env.set_goal(wrong)


@pytest.mark.parametrize("name", sorted(ENVS.keys() - {"Cup"}))
def test_the_goal_may_be_left_out_of_what_is_observed(name: str) -> None:
    usual, without = make(name), make(name, goal_in_observation=False)
    goal = ENVS[name][1]
    observed, _ = usual.reset(seed=0)
    first, _ = without.reset(seed=0)
    np.testing.assert_array_equal(first, observed[: len(first)])
    assert without.observation_space.contains(first)
    other_goal, _ = without.reset(seed=0, options={"goal": goal})
    np.testing.assert_array_equal(other_goal, first)
    usual.reset(seed=0, options={"goal": goal})
    push = np.ones(2, np.float32)
    assert without.step(push)[1] == usual.step(push)[1], "the reward still depends on the goal"


@each_env
def test_the_seed_determines_the_episode(name: str) -> None:
    first = episode(make(name), 40, seed=3)
    np.testing.assert_array_equal(first, episode(make(name), 40, seed=3))
    assert not np.array_equal(first, episode(make(name), 40, seed=4))
    assert np.all((first[:, -1] >= -0.01) & (first[:, -1] <= 1.0))


@each_env
def test_the_state_of_mujoco_is_the_whole_state(name: str) -> None:
    env = make(name)
    episode(env, 10, seed=5)
    spec = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, spec))
    mujoco.mj_getState(env.model, env.data, state, spec)
    other = make(name)
    other.reset(seed=6)
    mujoco.mj_setState(other.model, other.data, state, spec)
    action = env.action_space.sample()
    expected, found = env.step(action), other.step(action)
    np.testing.assert_array_equal(expected[0], found[0])
    assert expected[1:] == found[1:]


def test_reach_rewards_a_fingertip_at_the_target() -> None:
    env = make("Reach")
    env.reset(seed=0)
    env.set_state(np.array([0.4, 0.9]), np.zeros(2))
    env.set_goal(env.readouts()["fingertip"])
    _, at_target, _, _, info = env.step(np.zeros(2, np.float32))
    assert info["success"]
    assert at_target > 0.999
    assert info["reward_control"] == 0.0
    env.set_goal([-0.2, -0.2])
    _, far_away, _, _, info = env.step(np.zeros(2, np.float32))
    assert not info["success"]
    assert far_away < 0.1


def test_reach_fingertip_velocity_is_the_derivative_of_its_position() -> None:
    env = make("Reach")
    env.reset(seed=2)
    env.set_state(np.array([0.3, -0.8]), np.array([1.2, -0.7]))
    before = env.readouts()
    env.set_state(env.data.qpos + 1e-6 * env.data.qvel, env.data.qvel.copy())
    slope = (env.readouts()["fingertip"] - before["fingertip"]) / 1e-6
    np.testing.assert_allclose(before["fingertip_velocity"], slope, atol=1e-5)


def test_a_push_moves_the_block_and_an_off_centre_push_turns_it() -> None:
    env = make("Push")
    for offset, turns in ((0.0, False), (0.03, True)):
        env.reset(seed=0)
        env.set_state(np.array([-0.2, offset, 0, 0, 0.03, 1, 0, 0, 0]), np.zeros(8))
        for _ in range(25):
            env.step(np.array([1.0, 0.0], np.float32))
        readouts = env.readouts()
        turned = abs(readouts["block_heading"][1])
        assert readouts["block"][0] > 0.05
        assert abs(readouts["block"][2] - 0.03) < 0.002
        # Contacts of mujoco 3.5 and 3.6 turn a block that is pushed in its middle by 0.017 rad.
        assert turned > 0.2 if turns else turned < 0.03


def test_push_reward_rises_from_a_far_pusher_to_a_placed_block() -> None:
    env = make("Push")
    env.reset(seed=0, options={"goal": (0.2, 0.0, 0.0)})
    poses = [(-0.25, 0.25, 0.0), (-0.25, 0.0, 0.0), (-0.09, 0.0, 0.0), (0.01, 0.0, 0.1), (0.11, 0.0, 0.2)]
    rewards = []
    for pusher_x, pusher_y, block_x in poses:
        env.set_state(np.array([pusher_x, pusher_y, block_x, 0, 0.03, 1, 0, 0, 0]), np.zeros(8))
        rewards.append(env.step(np.zeros(2, np.float32))[1])
    assert all(later > earlier for earlier, later in pairwise(rewards))
    assert rewards[-1] > 0.99


def test_a_cup_stands_still() -> None:
    env = make("Cup")
    env.reset(seed=0)
    before = env.readouts()
    for _ in range(50):
        _, _, terminated, _, info = env.step(np.zeros(3, np.float32))
        assert not terminated
        assert not info["fallen"]
    np.testing.assert_allclose(env.readouts()["cup"], before["cup"], atol=1e-3)
    assert env.readouts()["tilt"] < 0.01


def test_a_cup_over_the_edge_falls_to_the_floor_and_ends_the_episode() -> None:
    env = make("Cup")
    env.reset(seed=0)
    env.data.joint("cup").qvel[0] = 1.2
    heights, fallen, terminated = [], False, False
    for _ in range(40):
        _, reward, terminated, _, info = env.step(np.zeros(3, np.float32))
        heights.append(env.readouts()["cup"][2])
        fallen |= info["fallen"]
        assert reward == 0.0 or not info["fallen"]
        if terminated:
            break
    assert fallen
    assert terminated
    assert env.readouts()["edge_distance"] < 0.0
    assert heights[0] > -0.01
    assert heights[-1] < -0.3
    assert len([height for height in heights if -0.3 < height < -0.02]) >= 2


def test_a_cup_on_its_side_ends_the_episode_once_it_is_at_rest() -> None:
    env = make("Cup")
    env.reset(seed=0)
    cup = env.data.joint("cup")
    cup.qpos[:] = [0.0, 0.0, 0.05, np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
    ends = [env.step(np.zeros(3, np.float32))[2] for _ in range(60)]
    assert not ends[0]
    assert any(ends)


def test_maze_paths_go_around_walls_and_satisfy_the_triangle_inequality() -> None:
    env = make("Maze")
    env.reset(seed=0)
    straight = np.linalg.norm(env.goal - [0.0, 1.2])
    # The right-hand wall is on the straight line; the path around its lower end has two legs.
    assert env.path_distance(np.array([0.0, 1.2])) > 2.0 * straight
    assert env.path_distance(np.array([1.1, 0.6])) == pytest.approx(0.5)
    assert env.path_distance(env.goal) == 0.0
    places = [env._free_place() for _ in range(60)]
    lengths = np.array([env.path_distance(place) for place in places])
    assert np.all(lengths >= np.linalg.norm(places - env.goal, axis=1) - 1e-9)
    assert lengths.max() < 5.2
    for place, length in zip(places, lengths, strict=True):
        near = place + 0.01 * np.array([np.cos(length), np.sin(length)])
        assert abs(env.path_distance(near) - length) <= 0.01 + 1e-9


def test_the_goal_of_the_long_maze_is_far_for_most_places_that_are_near() -> None:
    env = make("LongMaze")
    env.reset(seed=0)
    beyond_the_wall = np.array([0.9, -1.2])  # 0.95 m from the goal in a straight line
    assert np.linalg.norm(beyond_the_wall - env.goal) < 1.0
    assert env.path_distance(beyond_the_wall) > 4.0
    assert 9.0 < env.path_distance(np.array([-2.2, -1.4])) < env.longest_path


def test_the_maze_zone_has_a_negative_distance_inside_and_no_cost_by_default() -> None:
    free, penalised = make("Maze"), make("Maze", zone_penalty=0.5)
    rewards = []
    for env in (free, penalised):
        env.reset(seed=0)
        env.set_state(np.array([0.1, 0.0]), np.zeros(2))
        _, reward, _, _, info = env.step(np.zeros(2, np.float32))
        assert info["in_zone"]
        assert env.readouts()["zone_distance"] == pytest.approx(0.1 - 0.34, abs=1e-6)
        rewards.append(reward)
    assert rewards[0] - rewards[1] == pytest.approx(0.5)
    free.set_state(np.array([0.0, 0.5]), np.zeros(2))
    assert free.readouts()["zone_distance"] == pytest.approx(0.16, abs=1e-6)
    assert not free.step(np.zeros(2, np.float32))[4]["in_zone"]


def test_maze_starts_and_goals_are_outside_of_the_zone() -> None:
    env = make("Maze", random_goal=True)
    for seed in range(40):
        env.reset(seed=seed)
        assert env.unwrapped.readouts()["zone_distance"] >= 0.0
        goal = env.unwrapped.goal
        assert np.linalg.norm(goal - env.unwrapped.zone_centre) >= env.unwrapped.zone_radius


def test_maze_walls_stop_the_ball() -> None:
    env = make("Maze")
    env.reset(seed=0)
    env.set_state(np.array([-0.9, -0.9]), np.zeros(2))
    for _ in range(60):
        env.step(np.array([1.0, 0.0], np.float32))
    assert env.readouts()["ball"][0] == pytest.approx(-0.72, abs=0.01)

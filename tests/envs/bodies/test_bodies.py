"""Joule's own bodies: the API, what they expose, and that their worlds behave as their pages say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs

BODIES = {
    "Reach": ({"fingertip", "target", "distance"}, (0.30, -0.20)),
    "Push": ({"pusher", "block", "block_heading", "goal", "distance"}, (0.10, -0.20, 1.0)),
    "Cup": ({"fingertip", "cup", "cup_axis", "tilt", "edge_distance", "goal"}, (0.02, -0.10)),
    "Maze": ({"ball", "ball_velocity", "goal", "path_distance", "zone_distance"}, (-1.2, 1.2)),
}
each_body = pytest.mark.parametrize("name", BODIES)


def make(name: str, **kwargs: Any) -> Any:
    """The bare body, without the wrappers that `gymnasium.make` adds."""
    assert f"joule/{name}-v0" in envs.BODIES
    return gymnasium.make(f"joule/{name}-v0", **kwargs).unwrapped


def roll(body: Any, steps: int, seed: int) -> np.ndarray:
    """Observations and rewards, `[steps, obs + 1]`, under seeded random actions."""
    body.reset(seed=seed)
    body.action_space.seed(seed)
    rows = []
    for _ in range(steps):
        observation, reward, *_ = body.step(body.action_space.sample())
        rows.append([*observation, reward])
    return np.array(rows)


@each_body
@pytest.mark.filterwarnings("ignore:.*observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*alternative render modes:UserWarning")
def test_gymnasium_finds_nothing_to_say(name: str) -> None:
    check_env(make(name), skip_render_check=True)


@each_body
def test_a_frame_has_the_asked_size_and_shows_something(name: str) -> None:
    body = make(name, render_mode="rgb_array", width=64, height=48)
    try:
        body.reset(seed=0)
        frame = body.render()
    except mujoco.FatalError as error:
        pytest.skip(f"no OpenGL here: {error}")
    finally:
        body.close()
    assert frame.shape == (48, 64, 3)
    assert frame.std() > 5


@each_body
def test_readouts_keep_their_names_and_sizes(name: str) -> None:
    body, (wanted, _) = make(name), BODIES[name]
    body.reset(seed=0)
    sizes = {key: value.shape for key, value in body.readouts().items()}
    assert wanted | {"qpos", "qvel"} <= set(sizes)
    roll(body, 20, seed=1)
    later = body.readouts()
    assert {key: value.shape for key, value in later.items()} == sizes
    assert all(np.all(np.isfinite(value)) and value.ndim == 1 for value in later.values())
    np.testing.assert_array_equal(later["qpos"], body.data.qpos)
    later["qpos"][:] = 9.0
    assert not np.any(body.data.qpos == 9.0)


@each_body
def test_a_goal_can_be_chosen_and_a_wrong_one_is_refused(name: str) -> None:
    body, (_, goal) = make(name), BODIES[name]
    drawn, _ = body.reset(seed=0)
    chosen, _ = body.reset(seed=0, options={"goal": goal})
    np.testing.assert_allclose(body.goal, goal)
    assert not np.array_equal(drawn, chosen)
    body.step(body.action_space.sample())
    np.testing.assert_allclose(body.goal, goal)
    for wrong in ([9.0] * len(goal), [*goal, 0.0], [np.nan] * len(goal)):
        with pytest.raises(ValueError, match=f"joule/{name}-v0 takes a goal"):
            body.set_goal(wrong)


@each_body
def test_the_seed_decides_everything(name: str) -> None:
    first = roll(make(name), 40, seed=3)
    np.testing.assert_array_equal(first, roll(make(name), 40, seed=3))
    assert not np.array_equal(first, roll(make(name), 40, seed=4))
    assert np.all((first[:, -1] >= -0.01) & (first[:, -1] <= 1.0))


@each_body
def test_mujocos_own_state_is_the_whole_state(name: str) -> None:
    body = make(name)
    roll(body, 10, seed=5)
    spec = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(body.model, spec))
    mujoco.mj_getState(body.model, body.data, state, spec)
    other = make(name)
    other.reset(seed=6)
    mujoco.mj_setState(other.model, other.data, state, spec)
    action = body.action_space.sample()
    expected, found = body.step(action), other.step(action)
    np.testing.assert_array_equal(expected[0], found[0])
    assert expected[1:] == found[1:]


def test_reach_is_rewarded_for_being_there() -> None:
    body = make("Reach")
    body.reset(seed=0)
    body.set_state(np.array([0.4, 0.9]), np.zeros(2))
    body.set_goal(body.readouts()["fingertip"])
    _, there, _, _, info = body.step(np.zeros(2, np.float32))
    assert info["success"]
    assert there > 0.999
    body.set_goal([-0.2, -0.2])
    _, away, _, _, info = body.step(np.zeros(2, np.float32))
    assert not info["success"]
    assert away < 0.1


def test_reach_fingertip_velocity_is_the_slope_of_its_place() -> None:
    body = make("Reach")
    body.reset(seed=2)
    body.set_state(np.array([0.3, -0.8]), np.array([1.2, -0.7]))
    before = body.readouts()
    body.set_state(body.data.qpos + 1e-6 * body.data.qvel, body.data.qvel.copy())
    slope = (body.readouts()["fingertip"] - before["fingertip"]) / 1e-6
    np.testing.assert_allclose(before["fingertip_velocity"], slope, atol=1e-5)


def test_push_moves_the_block_and_off_centre_turns_it() -> None:
    body = make("Push")
    for aside, turns in ((0.0, False), (0.03, True)):
        body.reset(seed=0)
        body.set_state(np.array([-0.2, aside, 0, 0, 0.03, 1, 0, 0, 0]), np.zeros(8))
        for _ in range(25):
            body.step(np.array([1.0, 0.0], np.float32))
        readouts = body.readouts()
        turned = abs(readouts["block_heading"][1])
        assert readouts["block"][0] > 0.05
        assert abs(readouts["block"][2] - 0.03) < 0.002
        assert turned > 0.2 if turns else turned < 0.01


def test_push_reward_rises_from_far_to_placed() -> None:
    body = make("Push")
    body.reset(seed=0, options={"goal": (0.2, 0.0, 0.0)})
    poses = [(-0.25, 0.25, 0.0), (-0.25, 0.0, 0.0), (-0.09, 0.0, 0.0), (0.01, 0.0, 0.1), (0.11, 0.0, 0.2)]
    rewards = []
    for pusher_x, pusher_y, block_x in poses:
        body.set_state(np.array([pusher_x, pusher_y, block_x, 0, 0.03, 1, 0, 0, 0]), np.zeros(8))
        rewards.append(body.step(np.zeros(2, np.float32))[1])
    assert all(later > earlier for earlier, later in pairwise(rewards))
    assert rewards[-1] > 0.99


def test_cup_stands_still_where_it_was_put() -> None:
    body = make("Cup")
    body.reset(seed=0)
    before = body.readouts()
    for _ in range(50):
        _, _, terminated, _, info = body.step(np.zeros(3, np.float32))
        assert not terminated
        assert not info["fallen"]
    np.testing.assert_allclose(body.readouts()["cup"], before["cup"], atol=1e-3)
    assert body.readouts()["tilt"] < 0.01


def test_cup_pushed_over_the_edge_falls_to_the_floor_and_ends_the_episode() -> None:
    body = make("Cup")
    body.reset(seed=0)
    cup, speed = body.data.joint("cup"), 1.2
    cup.qvel[0] = speed
    heights, fallen, terminated = [], False, False
    for _ in range(40):
        _, reward, terminated, _, info = body.step(np.zeros(3, np.float32))
        heights.append(body.readouts()["cup"][2])
        fallen |= info["fallen"]
        assert reward == 0.0 or not info["fallen"]
        if terminated:
            break
    assert fallen
    assert terminated
    assert body.readouts()["edge_distance"] < 0.0
    assert heights[0] > -0.01
    assert heights[-1] < -0.3
    assert len([height for height in heights if -0.3 < height < -0.02]) >= 2


def test_cup_on_its_side_ends_the_episode_once_it_lies_still() -> None:
    body = make("Cup")
    body.reset(seed=0)
    cup = body.data.joint("cup")
    cup.qpos[:] = [0.0, 0.0, 0.05, np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
    ends = [body.step(np.zeros(3, np.float32))[2] for _ in range(60)]
    assert not ends[0]
    assert any(ends)


def test_maze_paths_go_round_walls_and_obey_the_triangle() -> None:
    body = make("Maze")
    body.reset(seed=0)
    straight = np.linalg.norm(body.goal - [0.0, 1.2])
    # Straight ahead stands the right-hand wall; the way round its lower end is the two legs of a triangle.
    assert body.path_distance(np.array([0.0, 1.2])) > 2.0 * straight
    assert body.path_distance(np.array([1.1, 0.6])) == pytest.approx(0.5)
    assert body.path_distance(body.goal) == 0.0
    places = [body._free_place() for _ in range(60)]
    lengths = np.array([body.path_distance(place) for place in places])
    assert np.all(lengths >= np.linalg.norm(places - body.goal, axis=1) - 1e-9)
    assert lengths.max() < 5.2
    for place, length in zip(places, lengths, strict=True):
        near = place + 0.01 * np.array([np.cos(length), np.sin(length)])
        assert abs(body.path_distance(near) - length) <= 0.01 + 1e-9


def test_maze_zone_readout_is_negative_inside_and_costs_only_when_asked() -> None:
    free, constrained_choice = make("Maze"), make("Maze", zone_penalty=0.5)
    rewards = []
    for body in (free, constrained_choice):
        body.reset(seed=0)
        body.set_state(np.array([0.1, 0.0]), np.zeros(2))
        _, reward, _, _, info = body.step(np.zeros(2, np.float32))
        assert info["in_zone"]
        assert body.readouts()["zone_distance"] == pytest.approx(0.1 - 0.34, abs=1e-6)
        rewards.append(reward)
    assert rewards[0] - rewards[1] == pytest.approx(0.5)
    free.set_state(np.array([0.0, 0.5]), np.zeros(2))
    assert free.readouts()["zone_distance"] == pytest.approx(0.16, abs=1e-6)
    assert not free.step(np.zeros(2, np.float32))[4]["in_zone"]


def test_maze_begins_and_ends_outside_the_zone() -> None:
    body = make("Maze", random_goal=True)
    for seed in range(40):
        body.reset(seed=seed)
        assert body.unwrapped.readouts()["zone_distance"] >= 0.0
        goal = body.unwrapped.goal
        assert np.linalg.norm(goal - body.unwrapped.zone_centre) >= body.unwrapped.zone_radius


def test_maze_walls_stop_the_ball() -> None:
    body = make("Maze")
    body.reset(seed=0)
    body.set_state(np.array([-0.9, -0.9]), np.zeros(2))
    for _ in range(60):
        body.step(np.array([1.0, 0.0], np.float32))
    assert body.readouts()["ball"][0] == pytest.approx(-0.72, abs=0.01)

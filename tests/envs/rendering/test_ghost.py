"""The ghost: it appears at its pose and nowhere else, and predicted readouts put it where the robot is."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import tiny_env
import torch
from gymnasium import spaces
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

import envs
from agent.cost.readouts import Readouts
from envs.adoption import adopt
from envs.rendering.ghost import TINT, Ghost, add_parts, can_appear, draws_its_scene, why_none
from envs.rendering.poses import RobotPoses
from envs.safe_env import SafeEnv


def played(env: SafeEnv, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    """qpos and qvel [decisions + 1, ...], derived from the readouts of an environment under random actions."""
    layout = Readouts(env.env_spec.readout_sizes, env.env_spec.derived_readouts)
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    rows = [env.readouts()]
    for _ in range(decisions):
        env.step(rng.uniform(-1, 1, env.env_spec.action_size).astype(np.float32))
        rows.append(env.readouts())
    qpos, qvel = (layout.value(name, torch.from_numpy(np.stack(rows))) for name in ("qpos", "qvel"))
    assert qpos is not None
    assert qvel is not None
    return qpos.numpy(), qvel.numpy()


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "joule/Push-v0", "joule/Cup-v0"])
def test_a_pose_of_true_readouts_is_where_the_robot_is(name: str) -> None:
    env: Any = envs.make(name)
    poses = RobotPoses(env)
    env.reset(seed=3)
    start = poses.present()
    qpos, qvel = played(env, 20)
    readable, seconds = np.ones(qpos.shape[1], bool), env.env_spec.seconds_per_decision
    pose = poses.predicted(start, qpos, qvel, seconds, readable)
    np.testing.assert_allclose(poses.change(pose[None], poses.present()[None]), 0.0, atol=1e-5)
    assert poses.distance(pose) < 1e-5
    assert poses.distance(start) > 0.005
    # A prediction that is off by a constant still gives how far the robot moved.
    first = np.arange(qpos.shape[1]) < 1
    np.testing.assert_allclose(
        poses.predicted(start, qpos + 7.0 * first, qvel, seconds, readable), pose, atol=1e-6
    )
    # Where the position is not readable, the integrated velocity is nearly as good.
    integrated = poses.predicted(start, np.where(first, 0.0, qpos), qvel, seconds, ~first)
    np.testing.assert_allclose(integrated[1:], pose[1:])
    assert 0.0 < abs(integrated[0] - pose[0]) < 0.02


def test_an_unreadable_orientation_is_turned_by_its_velocity() -> None:
    env: Any = envs.make("joule/Push-v0")
    env.reset(seed=3)
    poses = RobotPoses(env)
    start, qvel = poses.present(), np.zeros((11, 8))
    start[5:] = 1.0, 0.0, 0.0, 0.0
    qvel[:, 7] = 0.5 * np.pi  # for one second: a quarter of a turn about the vertical
    turned = poses.predicted(start, np.zeros((11, 9)), qvel, 0.1, np.zeros(9, bool))
    np.testing.assert_allclose(turned[5:], [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)], atol=1e-6)
    np.testing.assert_allclose(turned[:5], start[:5])


def test_positions_are_readable_when_their_changes_are_predicted() -> None:
    poses = RobotPoses(envs.make("joule/Push-v0"))
    true = np.random.default_rng(0).normal(size=(50, 9))
    true[:, 6:8] = 0.0  # a block that never tips
    read = true + 0.1
    read[:, 1] = 0.0
    read[:, 2] *= -1.0
    # pusher x, pusher y, block x, y, z, then its quaternion as one
    assert poses.readable(read, true).tolist() == [True, False, False, True, True, *4 * [True]]
    read[:, 5:] = 0.0
    assert poses.readable(read, true).tolist()[5:] == 4 * [False]
    assert not poses.readable(true[:0], true[:0]).any()


def test_a_turn_is_as_far_as_the_short_way_round() -> None:
    poses = RobotPoses(envs.make("joule/Push-v0"))
    before = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]])
    same = before * np.array([*5 * [1.0], *4 * [-1.0]])  # the negative of a quaternion
    np.testing.assert_array_equal(poses.change(same, before), 0.0 * before)
    cheetah = RobotPoses(envs.make("HalfCheetah-v5"))
    angles = np.zeros((2, 9))
    angles[:, 2] = 3.1, -3.1
    assert cheetah.change(angles[1:], angles[:1])[0, 2] == pytest.approx(2 * np.pi - 6.2)


def test_the_ghost_appears_at_its_pose_and_nowhere_else() -> None:
    env = envs.make("joule/Push-v0", render_mode="rgb_array", width=160, height=120)
    env.reset(seed=1)
    try:
        plain = env.render().astype(int)
    except envs.RenderError as error:
        pytest.skip(str(error))
    assert can_appear(env)
    ghost = Ghost(env)
    before = env.snapshot()
    here, away = ghost.poses.present(), ghost.poses.present()
    away[:2] = -away[:2]  # the pusher alone
    changed = {
        name: np.abs(ghost.draw(pose) - plain).max(-1) > 25 for name, pose in (("here", here), ("away", away))
    }
    assert changed["away"].sum() > 20
    assert (changed["away"] & ~changed["here"]).sum() > 20, "a moved pusher appears where there was none"
    assert changed["away"].mean() < 0.2, "the rest of the scene stays as it is"
    np.testing.assert_array_equal(env.render(), plain)
    assert all(np.array_equal(before[name], value) for name, value in env.snapshot().items())


class OwnSlider(gymnasium.Env[np.ndarray, np.ndarray]):
    """An environment with `model` and `data` of MuJoCo, without `render()`, that is no `MujocoEnv`."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        self.model: Any = mujoco.MjModel.from_xml_string(
            "<mujoco><worldbody><light pos='0 0 3'/><camera pos='0 -3 0' xyaxes='1 0 0 0 0 1'/>"
            "<body><joint name='x' type='slide' axis='1 0 0'/><geom size='.1'/></body></worldbody></mujoco>"
        )
        self.data: Any = mujoco.MjData(self.model)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Puts the ball in the middle."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        mujoco.mj_forward(self.model, self.data)
        return np.concatenate([self.data.qpos, self.data.qvel]), {}


def test_an_environment_that_is_no_mujoco_env_has_a_ghost_drawn_by_another_camera() -> None:
    env = adopt(OwnSlider())
    env.reset(seed=1)
    env.frame_size = (160, 120)
    assert can_appear(env)
    assert not draws_its_scene(env)
    ghost = Ghost(env)
    try:
        plain = ghost.plain().astype(int)
    except envs.RenderError as error:
        pytest.skip(str(error))
    changed = np.abs(ghost.draw(np.array([-0.8])) - plain).max(-1) > 25
    assert plain.shape == (120, 160, 3)
    assert plain[:, 75:85].max() > 60, "the ball is in the middle of the model's camera"
    assert changed[:, :80].sum() > 20, "the ghost is on the left"
    assert not changed[:, 80:].any()
    assert env.unwrapped.model.vis.global_.offwidth == 640  # type: ignore[attr-defined]


def test_a_sentence_says_why_there_is_no_ghost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no MuJoCo physics" in str(why_none(envs.make(tiny_env.ID)))
    own: Any = OwnSlider
    monkeypatch.setattr(own, "readouts", lambda self: {"miss": np.zeros(1)}, raising=False)
    assert why_none(adopt(OwnSlider())) == "qpos and qvel do not follow from the readouts of OwnSlider"


def test_the_floor_is_drawn_without_end_and_stays_the_same_to_the_robot() -> None:
    rendered, plain = envs.make("HalfCheetah-v5", render_mode="rgb_array"), envs.make("HalfCheetah-v5")
    mujoco_env: Any = rendered.unwrapped
    assert not mujoco_env.model.geom_size[0, :2].any()
    for env in (rendered, plain):
        env.reset(seed=3)
    for _ in range(50):
        np.testing.assert_array_equal(rendered.step(np.ones(6))[0], plain.step(np.ones(6))[0])


class OwnHopper(HopperEnv):
    """An environment of Gymnasium's class whose constructor takes no render mode."""

    def __init__(self) -> None:
        super().__init__()


def test_a_ghost_needs_no_render_mode_of_the_environment() -> None:
    gymnasium.register("OwnHopper-v0", entry_point=f"{__name__}:OwnHopper", max_episode_steps=10)
    env = envs.make("OwnHopper-v0", render_mode="rgb_array", width=160, height=120)
    env.reset(seed=1)
    assert not draws_its_scene(env)
    ghost = Ghost(env)
    plain = ghost.plain()
    np.testing.assert_array_equal(env.render(), plain)
    moved = ghost.poses.present()
    moved[0] += 0.5
    assert (np.abs(ghost.draw(moved).astype(int) - plain).max(-1) > 25).sum() > 20
    env.close()


class SceneThatEnds(mujoco.MjvScene):
    """A scene whose geoms are those that it has, as dm_control's; MuJoCo's own shows the free places, too."""

    @property
    def geoms(self) -> Any:
        return super().geoms[: self.ngeom]


def test_a_ghost_finds_its_place_in_a_scene_of_dm_control() -> None:
    poses = RobotPoses(envs.make("joule/Push-v0"))
    scene = SceneThatEnds(poses.model, maxgeom=100)
    assert add_parts(scene, poses, TINT)
    assert scene.ngeom == len(poses.geoms) + len(poses.sites) > 0
    assert all(np.allclose(part.rgba, TINT) for part in scene.geoms)

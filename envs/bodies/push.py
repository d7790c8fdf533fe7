"""`joule/Push-v0`: a pusher moves a block to a goal pose, the simplest test of contact."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.bodies.goal_env import GoalEnv

MODEL = Path(__file__).parent / "push.xml"

GOAL_RANGE = 0.25
"""Greatest x and y of a goal (m), so that the pusher can move around the block there."""
STANDOFF = 0.09
"""Distance from the block's centre to the place where the pusher should be (m)."""
STANDOFF_BLEND = 0.02
"""Nearer to the goal than this (m) the standoff falls with the distance, so that the place does not jump."""
PLACE_SCALE = 0.15
"""Distance of the block from the goal at which `place` is 1 - tanh(1), about a quarter (m)."""
NEAR_SCALE = 0.15
"""Distance of the pusher from its place behind the block at which `near` is 1 - tanh(1) (m)."""
SUCCESS_DISTANCE, SUCCESS_ANGLE = 0.03, 0.3
"""A block nearer to the goal pose than both is a success (m, rad)."""


class Push(GoalEnv):
    r"""A pusher, free in the plane, pushes a block over a table to a goal pose (x, y, angle).

    The block is a free body on which gravity, friction and contacts act. It turns when it is pushed off
    centre. It can be tipped over, thrown, or pushed into a corner from where it cannot be moved.

    ## Action space
    `Box(-1, 1, (2,), float32)`: forces on the pusher. It moves against a damper, so that its final speed is
    proportional to the force.

    | Num | Action       | Force at 1 | Speed at 1 |
    | --- | ------------ | ---------- | ---------- |
    | 0   | push along x | 5 N        | 0.5 m/s    |
    | 1   | push along y | 5 N        | 0.5 m/s    |

    ## Observation space
    `Box(-inf, inf, (20,), float64)`. Lengths are in decimetres, so that the numbers are of the order of one;
    readouts, goals and all else are in metres.

    | Num   | Observation                                             | Unit  |
    | ----- | ------------------------------------------------------- | ----- |
    | 0-1   | pusher, x and y                                         | dm    |
    | 2-3   | pusher's velocity, x and y                              | dm/s  |
    | 4-5   | block minus pusher, x and y                             | dm    |
    | 6     | block's height above its resting height                 | dm    |
    | 7-9   | block's velocity, x, y and z                            | dm/s  |
    | 10-11 | cosine and sine of the block's angle about the vertical | -     |
    | 12    | block's rate of turning about the vertical              | rad/s |
    | 13    | cosine of the block's tilt                              | -     |
    | 14-15 | goal minus block, x and y                               | dm    |
    | 16-17 | cosine and sine of the goal's angle minus the block's   | -     |
    | 18-19 | place behind the block minus pusher, x and y            | dm    |

    ## Reward
    `place * (0.8 + 0.2 * turn) + 0.5 * (1 - place) * near`, within [0, 1] per step:

    - `place = 1 - tanh(d / 0.15)`, with `d` the block's distance from the goal (m);
    - `turn = (1 + cos e) / 2`, with `e` the angle between the block and the goal;
    - `near = 1 - tanh(n / 0.15)`, with `n` the pusher's distance from its place behind the block, as seen
      from the goal (m), which is where a push moves the block to the goal.

    `info` has the three parts as `reward_place`, `reward_turn` and `reward_near`, and `distance`,
    `angle_error` and `success` (`d < 0.03` and `|e| < 0.3`).

    ## Starting state
    The block is uniform in ±0.10 m around the centre, at any angle. The goal is 0.10 m to
    0.20 m from it and turned by at most 0.5 rad; `reset(options={"goal": (x, y, angle)})` sets it. The pusher
    is 0.12 m to 0.25 m from the block.

    ## Episode end
    Never terminates; truncated after 200 steps of 0.04 s when made through its id.

    Args:
        goal_in_observation: whether numbers 14 to 19 are observed, and pictures show the goal.
        frame_skip: physics steps of 5 ms per step.
        kwargs: keyword arguments of `MujocoEnv` (`render_mode`, `width`, `height`, `camera_name`, ...).
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]}  # noqa: RUF012

    own_numbers, goal_numbers = 14, 6

    def __init__(self, *, goal_in_observation: bool = True, frame_skip: int = 8, **kwargs: Any) -> None:
        super().__init__(MODEL, frame_skip, goal_in_observation, **kwargs)
        self._rest_height = float(self.model.geom("block").size[2])

    @property
    def goal(self) -> NDArray[np.float64]:
        """The goal pose: x and y (m) and the angle about the vertical (rad)."""
        return np.array([*self.data.mocap_pos[0, :2], _heading(self.data.mocap_quat[0])])

    def set_goal(self, goal: ArrayLike) -> None:
        """Moves the goal to `goal`: x and y in metres, angle in radians.

        Raises:
            ValueError: for a pose that is not finite or too near the table's edge.
        """
        pose = np.asarray(goal, dtype=np.float64)
        if pose.shape != (3,) or not np.all(np.isfinite(pose)) or np.max(np.abs(pose[:2])) > GOAL_RANGE:
            raise ValueError(
                f"joule/Push-v0 takes a goal (x, y, angle) with x and y within ±{GOAL_RANGE} m, not {goal!r}."
            )
        self.data.mocap_pos[0, :2] = pose[:2]
        self.data.mocap_quat[0] = _quaternion(pose[2])
        mujoco.mj_forward(self.model, self.data)

    def reset_model(self) -> NDArray[np.float64]:
        """Draws the poses of the block, the goal and the pusher."""
        random = self.np_random
        block = random.uniform(-0.10, 0.10, 2)
        angle = random.uniform(-np.pi, np.pi)
        pusher = block + self._random_offset(0.12, 0.25)
        goal = block + self._random_offset(0.10, 0.20)
        while np.max(np.abs(goal)) > GOAL_RANGE:
            goal = block + self._random_offset(0.10, 0.20)
        qpos = np.array([*pusher, *block, self._rest_height, *_quaternion(angle)])
        self.set_state(qpos, np.zeros(self.model.nv))
        self.set_goal([*goal, angle + random.uniform(-0.5, 0.5)])
        return self.observe()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], np.float64, bool, bool, dict[str, Any]]:
        """Applies the forces for one step of 0.04 s."""
        self.do_simulation(action, self.frame_skip)
        place, turn, near = self._reward_parts()
        reward = np.float64(place * (0.8 + 0.2 * turn) + 0.5 * (1.0 - place) * near)
        info = {
            "reward_place": place,
            "reward_turn": turn,
            "reward_near": near,
            **self._get_reset_info(),
        }
        if self.render_mode == "human":
            self.render()
        return self.observe(), reward, False, False, info

    def readouts(self) -> dict[str, NDArray[np.float64]]:
        """Named physical quantities now (m, m/s, rad, rad/s); headings are (cosine, sine)."""
        angle, goal = _heading(self.data.qpos[5:9]), self.goal
        return {
            "pusher": self.data.qpos[:2].copy(),
            "pusher_velocity": self.data.qvel[:2].copy(),
            "block": self.data.qpos[2:5].copy(),
            "block_velocity": self.data.qvel[2:5].copy(),
            "block_heading": np.array([np.cos(angle), np.sin(angle)]),
            "goal": goal[:2],
            "goal_heading": np.array([np.cos(goal[2]), np.sin(goal[2])]),
            "distance": np.array([self._distance()]),
            "angle_error": np.array([self._angle_error()]),
            "qpos": self.data.qpos.copy(),
            "qvel": self.data.qvel.copy(),
        }

    goal_within: ClassVar[dict[str, float]] = {
        "block": SUCCESS_DISTANCE,
        "block_heading": 2 * math.sin(SUCCESS_ANGLE / 2),
    }

    def goal_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The block at rest at the goal pose, the pusher at rest behind it, from where the block is now."""
        x, y, angle = self.goal
        away = self.data.qpos[2:4] - (x, y)
        distance = np.linalg.norm(away)
        away = away / distance if distance > 1e-6 else np.array([1.0, 0.0])
        pusher = np.array([x, y]) + STANDOFF * away
        pose = [*pusher, x, y, self._rest_height, *_quaternion(angle)]
        return np.array(pose), np.zeros(self.model.nv)

    def _random_offset(self, near: float, far: float) -> NDArray[np.float64]:
        """A random vector in the plane, between `near` and `far` long (m)."""
        bearing, length = self.np_random.uniform(-np.pi, np.pi), self.np_random.uniform(near, far)
        return length * np.array([np.cos(bearing), np.sin(bearing)])

    def _distance(self) -> float:
        return float(np.linalg.norm(self.data.mocap_pos[0, :2] - self.data.qpos[2:4]))

    def _angle_error(self) -> float:
        """The goal's angle minus the block's, in (-pi, pi] (rad)."""
        error = self.goal[2] - _heading(self.data.qpos[5:9])
        return float(np.arctan2(np.sin(error), np.cos(error)))

    def _place_behind(self) -> NDArray[np.float64]:
        """The place behind the block, as seen from the goal (m)."""
        block = self.data.qpos[2:4]
        offset = self.data.mocap_pos[0, :2] - block
        # At the goal no side is behind: there the place moves to the block's centre.
        return block - STANDOFF * offset / max(self._distance(), STANDOFF_BLEND)

    def _reward_parts(self) -> tuple[float, float, float]:
        place = 1.0 - np.tanh(self._distance() / PLACE_SCALE)
        near = 1.0 - np.tanh(np.linalg.norm(self._place_behind() - self.data.qpos[:2]) / NEAR_SCALE)
        return float(place), float(0.5 * (1.0 + np.cos(self._angle_error()))), float(near)

    def observe_self(self) -> NDArray[np.float64]:
        """Pusher and block: numbers 0 to 13 of the observation."""
        qpos, qvel = self.data.qpos, self.data.qvel
        angle = _heading(qpos[5:9])
        return np.concatenate(
            [
                10 * qpos[:2],
                10 * qvel[:2],
                10 * (qpos[2:4] - qpos[:2]),
                [10 * (qpos[4] - self._rest_height)],
                10 * qvel[2:5],
                [np.cos(angle), np.sin(angle), _turn_rate(qpos[5:9], qvel[5:8]), _uprightness(qpos[5:9])],
            ]
        )

    def observe_goal(self) -> NDArray[np.float64]:
        """Numbers 14 to 19 of the observation."""
        qpos, error = self.data.qpos, self._angle_error()
        return np.concatenate(
            [
                10 * (self.data.mocap_pos[0, :2] - qpos[2:4]),
                [np.cos(error), np.sin(error)],
                10 * (self._place_behind() - qpos[:2]),
            ]
        )

    def _get_reset_info(self) -> dict[str, Any]:
        distance, error = self._distance(), self._angle_error()
        success = distance < SUCCESS_DISTANCE and abs(error) < SUCCESS_ANGLE
        return {"distance": distance, "angle_error": error, "success": success}


def _quaternion(angle: float) -> NDArray[np.float64]:
    """The rotation by `angle` about the vertical."""
    return np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])


def _heading(quaternion: NDArray[np.float64]) -> float:
    """The angle about the vertical of a body's x axis."""
    w, x, y, z = quaternion
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def _uprightness(quaternion: NDArray[np.float64]) -> float:
    """The cosine of the angle between a body's z axis and the vertical."""
    _, x, y, _ = quaternion
    return float(1 - 2 * (x * x + y * y))


def _turn_rate(quaternion: NDArray[np.float64], spin: NDArray[np.float64]) -> float:
    """The angular velocity about the vertical (rad/s); MuJoCo gives a free body's in the body's own axes."""
    w, x, y, z = quaternion
    return float(np.dot([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], spin))

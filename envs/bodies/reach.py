"""`joule/Reach-v0`: a two-link arm moves its fingertip to a target, the simplest test of a world model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.bodies.goal_env import GoalEnv
from envs.readouts.derived import DerivedReadout, derived

MODEL = Path(__file__).parent / "reach.xml"

UPPER_ARM, FOREARM = 0.30, 0.25
"""Lengths of the links, to the fingertip (m)."""
TARGET_RADIUS = (0.15, 0.52)
"""Least and greatest distance of a target from the shoulder (m); the arm itself covers 0.11 m to 0.55 m."""
TARGET_ANGLE = 2.0
"""Greatest angle between a target and the x axis (rad)."""
DISTANCE_SCALE = 0.2
"""Distance at which the reward is 1 - tanh(1), about a quarter (m)."""
SUCCESS_DISTANCE = 0.03
"""A fingertip nearer to the target than this is a success (m)."""


class Reach(GoalEnv):
    r"""A two-link arm in the horizontal plane moves its fingertip to a random target and keeps it there.

    ## Action space
    `Box(-1, 1, (2,), float32)`: joint torques.

    | Num | Action          | Unit at 1 |
    | --- | --------------- | --------- |
    | 0   | shoulder torque | 1.5 N m   |
    | 1   | elbow torque    | 0.6 N m   |

    ## Observation space
    `Box(-inf, inf, (10,), float64)`.

    | Num | Observation                                     | Unit  |
    | --- | ----------------------------------------------- | ----- |
    | 0-1 | cosine of the shoulder's and the elbow's angle  | -     |
    | 2-3 | sine of the shoulder's and the elbow's angle    | -     |
    | 4-5 | angular velocity of the shoulder and the elbow  | rad/s |
    | 6-7 | target, x and y                                 | m     |
    | 8-9 | target minus fingertip, x and y                 | m     |

    ## Reward
    `1 - tanh(d / 0.2) - control_cost_weight * |action|^2 / 2`, with `d` the distance (m) from
    fingertip to target. It is within [-0.01, 1] per step. `info` has its parts `reward_distance` and
    `reward_control`, and `distance` and `success` (`d < 0.03`).

    ## Starting state
    Shoulder and elbow are uniform in ±2 rad and nearly at rest. The target is uniform over
    the area in front of the arm; `reset(options={"goal": (x, y)})` sets it.

    ## Episode end
    Never terminates; truncated after 100 steps of 0.04 s when made through its id.

    Args:
        control_cost_weight: cost of an action at full torque, in reward per step.
        goal_in_observation: whether numbers 6 to 9 are observed, and pictures show the goal.
        frame_skip: physics steps of 5 ms per step.
        kwargs: keyword arguments of `MujocoEnv` (`render_mode`, `width`, `height`, `camera_name`, ...).
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]}  # noqa: RUF012

    own_numbers, goal_numbers = 6, 4

    def __init__(
        self,
        *,
        control_cost_weight: float = 0.01,
        goal_in_observation: bool = True,
        frame_skip: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(MODEL, frame_skip, goal_in_observation, **kwargs)
        self.control_cost_weight = control_cost_weight

    @property
    def goal(self) -> NDArray[np.float64]:
        """The target's x and y (m)."""
        return self.data.mocap_pos[0, :2].copy()

    def set_goal(self, goal: ArrayLike) -> None:
        """Moves the target to `goal`, x and y in metres.

        Raises:
            ValueError: for a goal that the arm cannot reach.
        """
        target = np.asarray(goal, dtype=np.float64)
        if target.shape != (2,) or not TARGET_RADIUS[0] <= np.hypot(*target) <= TARGET_RADIUS[1]:
            raise ValueError(
                f"joule/Reach-v0 takes a goal (x, y) between {TARGET_RADIUS[0]} m and {TARGET_RADIUS[1]} m "
                f"from the shoulder, not {goal!r}."
            )
        self.data.mocap_pos[0, :2] = target
        mujoco.mj_forward(self.model, self.data)

    def reset_model(self) -> NDArray[np.float64]:
        """Draws a pose of the arm and a target."""
        self.set_state(self.np_random.uniform(-2.0, 2.0, 2), self.np_random.uniform(-0.05, 0.05, 2))
        inner, outer = TARGET_RADIUS
        radius = np.sqrt(self.np_random.uniform(inner**2, outer**2))
        angle = self.np_random.uniform(-TARGET_ANGLE, TARGET_ANGLE)
        # Rounding must not put a drawn target outside of the allowed radius.
        radius = np.clip(radius, inner + 1e-9, outer - 1e-9)
        self.set_goal((radius * np.cos(angle), radius * np.sin(angle)))
        return self.observe()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], np.float64, bool, bool, dict[str, Any]]:
        """Applies the torques for one step of 0.04 s."""
        self.do_simulation(action, self.frame_skip)
        # mj_step leaves the positions of bodies one physics step behind the joints.
        mujoco.mj_kinematics(self.model, self.data)
        distance = self._distance()
        closeness = float(1.0 - np.tanh(distance / DISTANCE_SCALE))
        control_cost = self.control_cost_weight * float(np.mean(np.square(np.clip(action, -1.0, 1.0))))
        info = {
            "reward_distance": closeness,
            "reward_control": -control_cost,
            **self._get_reset_info(),
        }
        if self.render_mode == "human":
            self.render()
        return self.observe(), np.float64(closeness - control_cost), False, False, info

    derived_readouts: ClassVar[dict[str, DerivedReadout]] = {"position": derived("fingertip", 0, 1)}

    def readouts(self) -> dict[str, NDArray[np.float64]]:
        """Named physical quantities now (m, m/s, rad, rad/s)."""
        shoulder, elbow = self.data.qpos
        shoulder_rate, elbow_rate = self.data.qvel
        upper, fore = UPPER_ARM * shoulder_rate, FOREARM * (shoulder_rate + elbow_rate)
        heading = shoulder + elbow
        velocity = [
            -upper * np.sin(shoulder) - fore * np.sin(heading),
            upper * np.cos(shoulder) + fore * np.cos(heading),
        ]
        return {
            "fingertip": self._fingertip(),
            "fingertip_velocity": np.array(velocity),
            "target": self.goal,
            "distance": np.array([self._distance()]),
            "qpos": self.data.qpos.copy(),
            "qvel": self.data.qvel.copy(),
        }

    goal_within: ClassVar[dict[str, float]] = {"fingertip": SUCCESS_DISTANCE}

    def goal_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The arm at rest with its fingertip at the target, in the one of two such poses that is nearer."""
        x, y = self.goal
        cosine = (x * x + y * y - UPPER_ARM**2 - FOREARM**2) / (2 * UPPER_ARM * FOREARM)
        elbow = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
        poses = []
        for bend in (elbow, -elbow):
            shoulder = np.arctan2(y, x) - np.arctan2(
                FOREARM * np.sin(bend), UPPER_ARM + FOREARM * np.cos(bend)
            )
            poses.append(np.array([shoulder, bend]))
        now, (low, high) = self.data.qpos.copy(), self.model.jnt_range.T
        wrapped = [np.arctan2(np.sin(pose), np.cos(pose)) for pose in poses]
        allowed = [pose for pose in wrapped if np.all((low <= pose) & (pose <= high))]
        return min(allowed or wrapped, key=lambda pose: float(np.abs(pose - now).max())), np.zeros(2)

    def _fingertip(self) -> NDArray[np.float64]:
        return self.data.site("fingertip").xpos[:2].copy()

    def _distance(self) -> float:
        return float(np.linalg.norm(self.goal - self._fingertip()))

    def observe_self(self) -> NDArray[np.float64]:
        """The arm: numbers 0 to 5 of the observation."""
        angles = self.data.qpos
        return np.concatenate([np.cos(angles), np.sin(angles), self.data.qvel])

    def observe_goal(self) -> NDArray[np.float64]:
        """The target: numbers 6 to 9 of the observation."""
        return np.concatenate([self.goal, self.goal - self._fingertip()])

    def _get_reset_info(self) -> dict[str, Any]:
        distance = self._distance()
        return {"distance": distance, "success": distance < SUCCESS_DISTANCE}

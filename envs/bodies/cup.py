"""`joule/Cup-v0`: an arm moves a cup from a table's edge to a goal; a wrong push lets the cup fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

MODEL = Path(__file__).parent / "cup.xml"

GOAL_X, GOAL_Y = (-0.05, 0.08), (-0.15, 0.15)
"""Ranges of a goal on the table (m)."""
PLACE_SCALE = 0.12
"""Distance of the cup from the goal at which `place` is 1 - tanh(1), about a quarter (m)."""
CUP_HEIGHT = 0.09
"""Height of the cup (m)."""
START_CLEARANCE = 0.09
"""Least horizontal distance of the rod from the cup's axis at the start (m)."""
FALLEN_UPRIGHTNESS, FALLEN_HEIGHT = 0.5, -0.05
"""A cup that leans by more than 60 degrees, or whose foot is 5 cm below the table's top, has fallen."""
LANDED_HEIGHT = -0.38
"""A cup below this height is on the floor (m)."""
REST_SPEED, REST_SPIN = 0.03, 0.5
"""A fallen cup slower than both is at rest (m/s, rad/s)."""
SUCCESS_DISTANCE = 0.03
"""A standing cup nearer to the goal than this is a success (m)."""


class Cup(MujocoEnv):
    r"""A three-joint arm moves an open cup from a table's edge to a goal; the cup must not fall.

    The cup is a free, hollow body of 0.15 kg. The rod can push it from outside, where a low push makes it
    slide and a push near the rim tips it over. The rod can also enter it and drag it. A cup that is pushed
    over the edge falls 0.45 m to the floor.

    ## Action space
    `Box(-1, 1, (3,), float32)`: joint torques and a force, each against a damper, so that a
    joint's final speed is proportional to its action.

    | Num | Action              | At 1    | Speed at 1 |
    | --- | ------------------- | ------- | ---------- |
    | 0   | shoulder torque     | 1.5 N m | 2 rad/s    |
    | 1   | elbow torque        | 0.6 N m | 2 rad/s    |
    | 2   | lift force, upwards | 3 N     | 0.3 m/s    |

    ## Observation space
    `Box(-inf, inf, (27,), float64)`. Lengths are in decimetres, so that the numbers are
    of the order of one; readouts, goals and all else are in metres. Heights are above the table's top. The
    cup's position is that of its foot.

    | Num   | Observation                                            | Unit        |
    | ----- | ------------------------------------------------------ | ----------- |
    | 0-1   | cosine of the shoulder's and the elbow's angle         | -           |
    | 2-3   | sine of the shoulder's and the elbow's angle           | -           |
    | 4-6   | velocity of the shoulder, the elbow and the lift       | rad/s, dm/s |
    | 7-9   | fingertip, x, y and z                                  | dm          |
    | 10-12 | cup, x, y and z                                        | dm          |
    | 13-15 | cup minus fingertip, x, y and z                        | dm          |
    | 16-18 | cup's velocity, x, y and z                             | dm/s        |
    | 19-21 | cup's axis, from foot to rim: (0, 0, 1) when it stands | -           |
    | 22-24 | cup's angular velocity about x, y and z                | rad/s       |
    | 25-26 | goal minus cup, x and y                                | dm          |

    ## Reward
    `upright * (place + 0.5 * (1 - place) * near)`, within [0, 1] per step, and 0 once the cup has fallen:

    - `upright`: the cosine of the cup's tilt;
    - `place = 1 - tanh(d / 0.12)`, with `d` the distance from the cup's foot to the goal (m);
    - `near`: half for a fingertip above the cup's axis, half for one that is lowered into the cup.

    `info` has the parts as `reward_upright`, `reward_place` and `reward_near`, and `distance`, `fallen` and
    `success` (`d < 0.03` and standing).

    ## Starting state
    The cup is 0.06 m to 0.09 m inside the edge, at any angle. The goal is 0.12 m to 0.25 m
    inside it; `reset(options={"goal": (x, y)})` sets it. The arm has any pose in which its fingertip is 0.03
    m to 0.17 m above the table and clear of the cup.

    ## Episode end
    Terminates when a fallen cup (leaning by more than 60 degrees, or below the table's top) is
    on the floor or at rest. Truncated after 200 steps of 0.04 s when made through its id.

    Args:
        frame_skip: physics steps of 4 ms per step.
        kwargs: keyword arguments of `MujocoEnv` (`render_mode`, `width`, `height`, `camera_name`, ...).
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]}  # noqa: RUF012

    def __init__(self, *, frame_skip: int = 10, **kwargs: Any) -> None:
        kwargs.setdefault("camera_name", "view")
        super().__init__(str(MODEL), frame_skip, Box(-np.inf, np.inf, (27,), np.float64), **kwargs)
        self.metadata = {**self.metadata, "render_fps": round(1 / self.dt)}
        table = self.model.geom("table")
        self.edge = float(table.pos[0] + table.size[0])

    @property
    def goal(self) -> NDArray[np.float64]:
        """The goal's x and y (m)."""
        return self.data.mocap_pos[0, :2].copy()

    @property
    def fallen(self) -> bool:
        """Whether the cup leans by more than 60 degrees or has left the table."""
        return bool(self._axis()[2] < FALLEN_UPRIGHTNESS or self.data.qpos[5] < FALLEN_HEIGHT)

    def set_goal(self, goal: ArrayLike) -> None:
        """Moves the goal to `goal`, x and y in metres.

        Raises:
            ValueError: for a place that is not finite or outside of `GOAL_X` and `GOAL_Y`.
        """
        place = np.asarray(goal, dtype=np.float64)
        low, high = np.transpose([GOAL_X, GOAL_Y])
        if place.shape != (2,) or not np.all((low <= place) & (place <= high)):
            raise ValueError(
                f"joule/Cup-v0 takes a goal (x, y) with x in {list(GOAL_X)} and y in {list(GOAL_Y)}, "
                f"not {goal!r}."
            )
        self.data.mocap_pos[0, :2] = place
        mujoco.mj_forward(self.model, self.data)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Starts an episode; `options={"goal": (x, y)}` sets the goal. Raises ValueError for a bad goal."""
        observation, info = super().reset(seed=seed)
        if options and "goal" in options:
            self.set_goal(options["goal"])
            observation, info = self._observation(), self._get_reset_info()
        return observation, info

    def reset_model(self) -> NDArray[np.float64]:
        """Draws the cup, the goal and the arm's pose."""
        random = self.np_random
        cup = [self.edge - random.uniform(0.06, 0.09), random.uniform(-0.12, 0.12), 0.0]
        half_angle = random.uniform(-np.pi, np.pi) / 2
        goal = [random.uniform(*GOAL_X), np.clip(cup[1] + random.uniform(-0.10, 0.10), *GOAL_Y)]
        self.set_goal(goal)
        clear = False
        while not clear:
            arm = [random.uniform(-0.8, 0.8), random.uniform(-1.5, 1.5), random.uniform(0.03, 0.17)]
            self.set_state(
                np.array([*arm, *cup, np.cos(half_angle), 0, 0, np.sin(half_angle)]), np.zeros(self.model.nv)
            )
            clear = bool(np.linalg.norm(self._fingertip()[:2] - cup[:2]) > START_CLEARANCE)
        return self._observation()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], np.float64, bool, bool, dict[str, Any]]:
        """Applies the torques and the force for one step of 0.04 s."""
        self.do_simulation(action, self.frame_skip)
        # mj_step leaves the positions of bodies one physics step behind the joints.
        mujoco.mj_kinematics(self.model, self.data)
        upright, place, near = self._reward_parts()
        info = {
            "reward_upright": upright,
            "reward_place": place,
            "reward_near": near,
            **self._get_reset_info(),
        }
        if self.render_mode == "human":
            self.render()
        reward = np.float64(0.0 if self.fallen else upright * (place + 0.5 * (1.0 - place) * near))
        return self._observation(), reward, self._ended(), False, info

    def readouts(self) -> dict[str, NDArray[np.float64]]:
        """Named physical quantities now (m, m/s, rad, rad/s)."""
        axis = self._axis()
        return {
            "fingertip": self._fingertip(),
            "cup": self.data.qpos[3:6].copy(),
            "cup_velocity": self.data.qvel[3:6].copy(),
            "cup_axis": axis,
            "cup_spin": self._spin(),
            "tilt": np.array([np.arctan2(np.hypot(axis[0], axis[1]), axis[2])]),
            "edge_distance": np.array([self.edge - self.data.qpos[3]]),
            "goal": self.goal,
            "distance": np.array([self._distance()]),
            "qpos": self.data.qpos.copy(),
            "qvel": self.data.qvel.copy(),
        }

    def _fingertip(self) -> NDArray[np.float64]:
        return self.data.site("fingertip").xpos.copy()

    def _axis(self) -> NDArray[np.float64]:
        """The cup's axis from foot to rim."""
        w, x, y, z = self.data.qpos[6:10]
        return np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])

    def _spin(self) -> NDArray[np.float64]:
        """The cup's angular velocity in fixed axes (rad/s); MuJoCo gives it in the cup's own axes."""
        spin = np.zeros(3)
        mujoco.mju_rotVecQuat(spin, self.data.qvel[6:9], self.data.qpos[6:10])
        return spin

    def _distance(self) -> float:
        return float(np.linalg.norm(self.data.qpos[3:6] - [*self.goal, 0.0]))

    def _ended(self) -> bool:
        """Whether a fallen cup is on the floor or at rest."""
        speed, spin = np.linalg.norm(self.data.qvel[3:6]), np.linalg.norm(self.data.qvel[6:9])
        landed = self.data.qpos[5] < LANDED_HEIGHT
        return bool(self.fallen and (landed or (speed < REST_SPEED and spin < REST_SPIN)))

    def _reward_parts(self) -> tuple[float, float, float]:
        gap = self._fingertip() - self.data.qpos[3:6]
        horizontal = float(np.hypot(gap[0], gap[1]))
        lowered = float(np.clip((CUP_HEIGHT + 0.03 - gap[2]) / CUP_HEIGHT, 0.0, 1.0))
        near = 0.5 * (1.0 - np.tanh(horizontal / 0.10)) + 0.5 * (1.0 - np.tanh(horizontal / 0.04)) * lowered
        place = 1.0 - np.tanh(self._distance() / PLACE_SCALE)
        return max(0.0, float(self._axis()[2])), float(place), float(near)

    def _observation(self) -> NDArray[np.float64]:
        angles, cup, tip = self.data.qpos[:2], self.data.qpos[3:6], self._fingertip()
        return np.concatenate(
            [
                np.cos(angles),
                np.sin(angles),
                self.data.qvel[:2],
                [10 * self.data.qvel[2]],
                10 * tip,
                10 * cup,
                10 * (cup - tip),
                10 * self.data.qvel[3:6],
                self._axis(),
                self._spin(),
                10 * (self.goal - cup[:2]),
            ]
        )

    def _get_reset_info(self) -> dict[str, Any]:
        distance, fallen = self._distance(), self.fallen
        success = distance < SUCCESS_DISTANCE and bool(self._axis()[2] > 0.9)
        return {"distance": distance, "fallen": fallen, "success": success}

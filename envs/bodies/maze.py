"""`joule/Maze-v0` and `joule/LongMaze-v0`: a ball rolls among walls to a goal, past a zone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.bodies.goal_env import GoalEnv
from envs.bodies.shortest_paths import ShortestPaths
from envs.readouts.derived import DerivedReadout, derived

MODELS = Path(__file__).parent
"""The folder of the model files."""

NEAR_SCALE = 0.3
"""Path length at which the short-range part of the reward is 1 - tanh(1), about a quarter (m)."""
START_MARGIN = 0.04
"""Least distance between the ball's surface and a wall, at starts and goals (m)."""
START_PATH = 0.5
"""Least path length from a start to the goal (m)."""
SUCCESS_DISTANCE = 0.12
"""A ball nearer to the goal than this, along the path, is a success (m)."""


class Maze(GoalEnv):
    r"""A ball is pushed through a small maze to a goal.

    A disc in the middle, on the shortest path from the left half to the right, is marked as a zone. It has no
    effect by default: tasks and constraints can forbid it through the readout `zone_distance`.

    ## Action space
    `Box(-1, 1, (2,), float32)`: forces on the ball. It moves against a damper, so that its
    final speed is proportional to the force.

    | Num | Action       | Force at 1 | Speed at 1 |
    | --- | ------------ | ---------- | ---------- |
    | 0   | push along x | 1.5 N      | 1.2 m/s    |
    | 1   | push along y | 1.5 N      | 1.2 m/s    |

    ## Observation space
    `Box(-inf, inf, (6,), float64)`.

    | Num | Observation                | Unit |
    | --- | -------------------------- | ---- |
    | 0-1 | ball, x and y              | m    |
    | 2-3 | ball's velocity, x and y   | m/s  |
    | 4-5 | goal minus ball, x and y   | m    |

    ## Reward
    `0.5 * (1 - p / 5.5) + 0.5 * (1 - tanh(p / 0.3)) - zone_penalty * in_zone`, within [0, 1] per
    step while `zone_penalty` is 0, with `p` the length of the shortest path around the walls from the ball to
    the goal (m). A path length does not lead the ball into a dead end, as a straight distance does. `info`
    has `reward_path`, `reward_zone`, `path_distance`, `in_zone` (the ball's centre is inside) and `success`
    (`p < 0.12`).

    ## Starting state
    The ball is at rest, at any free place outside of the zone whose path to the goal is at
    least 0.5 m long. The goal is that of the model file, in the upper right. With `random_goal` it is any
    free place outside of the zone. `reset(options={"goal": (x, y)})` sets it.

    ## Episode end
    Never terminates; truncated after 300 steps of 0.05 s when made through its id.

    Args:
        random_goal: draw a goal at each reset.
        zone_penalty: cost of a step in the zone, in reward.
        goal_in_observation: whether numbers 4 and 5 are observed, and pictures show the goal.
        frame_skip: physics steps of 5 ms per step.
        kwargs: keyword arguments of `MujocoEnv` (`render_mode`, `width`, `height`, `camera_name`, ...).
    """

    env_id: ClassVar[str] = "joule/Maze-v0"
    model_file: ClassVar[str] = "maze.xml"
    longest_path: ClassVar[float] = 5.5
    """Path length at which the long-range part of the reward is zero (m); no two places are farther apart."""

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]}  # noqa: RUF012

    own_numbers, goal_numbers = 4, 2

    def __init__(
        self,
        *,
        random_goal: bool = False,
        zone_penalty: float = 0.0,
        goal_in_observation: bool = True,
        frame_skip: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(MODELS / self.model_file, frame_skip, goal_in_observation, **kwargs)
        self.random_goal = random_goal
        self._chosen_goal: ArrayLike | None = None
        self.zone_penalty = zone_penalty
        names = [self.model.geom(geom).name for geom in range(self.model.ngeom)]
        walls = [self.model.geom(name) for name in names if name.startswith("wall_")]
        centres, halves = np.array([[wall.pos[:2], wall.size[:2]] for wall in walls]).swapaxes(0, 1)
        self._walls = np.stack([centres - halves, centres + halves], axis=1)
        self._radius = float(self.model.geom("ball").size[0])
        zone = self.model.geom("zone")
        self.zone_centre, self.zone_radius = zone.pos[:2].copy(), float(zone.size[0])
        # A margin of half a radius: so a ball that touches a wall still has paths.
        self._paths = ShortestPaths(self._walls, margin=self._radius / 2)

    @property
    def goal(self) -> NDArray[np.float64]:
        """The goal's x and y (m)."""
        return self.data.mocap_pos[0, :2].copy()

    def set_goal(self, goal: ArrayLike) -> None:
        """Moves the goal to `goal`, x and y in metres.

        Raises:
            ValueError: for a place outside of the maze or too near a wall.
        """
        place = np.asarray(goal, dtype=np.float64)
        if place.shape != (2,) or not self.is_free(place):
            raise ValueError(
                f"{self.env_id} takes a goal (x, y) inside the maze and clear of walls, not {goal!r}."
            )
        self.data.mocap_pos[0, :2] = place
        mujoco.mj_forward(self.model, self.data)

    def is_free(self, place: NDArray[np.float64]) -> bool:
        """Whether the ball may start at `place`, x and y (m): inside of the maze and clear of every wall."""
        outside = np.maximum(0.0, np.maximum(self._walls[:, 0] - place, place - self._walls[:, 1]))
        inside = np.all((self._walls[:, 0].min(0) < place) & (place < self._walls[:, 1].max(0)))
        clear = np.all(np.linalg.norm(outside, axis=1) >= self._radius + START_MARGIN)
        return bool(inside and clear)

    def path_distance(self, place: NDArray[np.float64] | None = None) -> float:
        """Length of the shortest path to the goal from `place`, or from the ball (m).

        A place inside of a wall has no path; its length is `longest_path`.
        """
        start = self.data.qpos[:2] if place is None else place
        return min(self._paths.length(start, self.goal), self.longest_path)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Starts an episode; `options={"goal": (x, y)}` sets the goal. Raises ValueError for a bad goal."""
        self._chosen_goal = (options or {}).get("goal")
        return super().reset(seed=seed)

    def reset_model(self) -> NDArray[np.float64]:
        """Draws the ball's place, and that of a random goal."""
        if self._chosen_goal is not None:
            self.set_goal(self._chosen_goal)
        elif self.random_goal:
            self.set_goal(self._free_place())
        start = self._free_place()
        while self.path_distance(start) < START_PATH:
            start = self._free_place()
        self.set_state(start, np.zeros(2))
        return self.observe()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], np.float64, bool, bool, dict[str, Any]]:
        """Applies the forces for one step of 0.05 s."""
        self.do_simulation(action, self.frame_skip)
        info = self._get_reset_info()
        path = info["path_distance"]
        closeness = float(0.5 * (1.0 - path / self.longest_path) + 0.5 * (1.0 - np.tanh(path / NEAR_SCALE)))
        zone_cost = self.zone_penalty * info["in_zone"]
        info = {"reward_path": closeness, "reward_zone": -zone_cost, **info}
        if self.render_mode == "human":
            self.render()
        return self.observe(), np.float64(closeness - zone_cost), False, False, info

    derived_readouts: ClassVar[dict[str, DerivedReadout]] = {"position": derived("ball", 0, 1)}

    def readouts(self) -> dict[str, NDArray[np.float64]]:
        """Named physical quantities now (m, m/s); `zone_distance` is negative inside of the zone."""
        return {
            "ball": self.data.qpos.copy(),
            "ball_velocity": self.data.qvel.copy(),
            "speed": np.array([np.linalg.norm(self.data.qvel)]),
            "goal": self.goal,
            "path_distance": np.array([self.path_distance()]),
            "zone_distance": np.array([self._zone_distance(self.data.qpos)]),
            "qpos": self.data.qpos.copy(),
            "qvel": self.data.qvel.copy(),
        }

    goal_within: ClassVar[dict[str, float]] = {"ball": SUCCESS_DISTANCE}

    def goal_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The ball at rest at the goal."""
        return self.goal, np.zeros(2)

    def _free_place(self) -> NDArray[np.float64]:
        """A random place for the ball or the goal, outside of the zone."""
        low, high = self._walls[:, 0].min(0), self._walls[:, 1].max(0)
        place = self.np_random.uniform(low, high)
        while not self.is_free(place) or self._zone_distance(place) < 0.0:
            place = self.np_random.uniform(low, high)
        return place

    def _zone_distance(self, place: NDArray[np.float64]) -> float:
        """Distance of `place` from the zone's edge (m), negative inside."""
        return float(np.linalg.norm(place - self.zone_centre)) - self.zone_radius

    def observe_self(self) -> NDArray[np.float64]:
        """The ball: numbers 0 to 3 of the observation."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def observe_goal(self) -> NDArray[np.float64]:
        """The goal: numbers 4 and 5 of the observation."""
        return self.goal - self.data.qpos

    def _get_reset_info(self) -> dict[str, Any]:
        path, in_zone = self.path_distance(), self._zone_distance(self.data.qpos) < 0.0
        return {"path_distance": path, "in_zone": in_zone, "success": path < SUCCESS_DISTANCE}


class LongMaze(Maze):
    r"""A ball is pushed through four corridors, one after another, to a goal.

    Places that are near each other in a straight line may be far apart: the path from a corridor to the next
    one leads around the end of the wall between them, up to 10 m in all. An agent that goes straight for a
    goal stops at a wall.

    Actions, observations, reward, `info` and readouts are those of `joule/Maze-v0`, with 10.5 m in the reward
    in place of 5.5 m. The goal is at the end of the last corridor; with `random_goal` it is any free place outside
    of the zone.

    ## Episode end
    Never terminates; truncated after 600 steps of 0.05 s when made through its id.
    """

    env_id = "joule/LongMaze-v0"
    model_file = "long_maze.xml"
    longest_path = 10.5

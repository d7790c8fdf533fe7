"""`joule/Maze-v0`: a ball finds its way among walls, past a zone that a task may ask it to stay out of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

from envs.readouts.derived import View, view

MODEL = Path(__file__).parent / "maze.xml"

LONGEST_PATH = 5.5
"""The path length at which the reward's long-range part reaches zero (m); no two places lie farther apart."""
NEAR_SCALE = 0.3
"""The path length at which the reward's short-range part has fallen to 1 - tanh(1), about a quarter (m)."""
START_MARGIN = 0.04
"""Starts and goals keep the ball's surface at least this far from every wall (m)."""
START_PATH = 0.5
"""Starts are at least this far from the goal, along the path (m)."""
SUCCESS_DISTANCE = 0.12
"""A ball nearer than this to the goal counts as there (m, along the path)."""


class Maze(MujocoEnv):
    r"""A ball is pushed through a small maze to a goal.

    A disc in the middle, on the shortest way from the left half to the right, is marked as a stay-out zone.
    By default it is only marked: it is there for tasks and guardrails that speak of `zone_distance`.

    ## Action space
    `Box(-1, 1, (2,), float32)`: forces on the ball, which rolls against a drag and so settles at a speed in
    proportion.

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
    `0.5 * (1 - p / 5.5) + 0.5 * (1 - tanh(p / 0.3)) - zone_penalty * in_zone`, within [0, 1] a step while
    `zone_penalty` is 0, with `p` the length of the shortest path round the walls from the ball to the goal
    (m). Being a path, it never lures the ball into a dead end. `info` holds `reward_path`, `reward_zone`,
    `path_distance`, `in_zone` (the ball's centre is inside) and `success` (`p < 0.12`).

    ## Starting state
    The ball at rest, anywhere free that is outside the zone and at least 0.5 m of path from the goal. The
    goal is where the model file has it, in the upper right; with `random_goal`, anywhere free and outside the
    zone.
    `reset(options={"goal": (x, y)})` chooses it.

    ## Episode end
    Never terminates; truncated after 300 steps of 0.05 s when made through its id.

    Args:
        random_goal: draw the goal anew at each reset.
        zone_penalty: what each step in the zone costs, in reward.
        frame_skip: physics steps of 5 ms to a step.
        kwargs: passed to `MujocoEnv` (`render_mode`, `width`, `height`, `camera_name`, ...).
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]}  # noqa: RUF012

    def __init__(
        self, *, random_goal: bool = False, zone_penalty: float = 0.0, frame_skip: int = 10, **kwargs: Any
    ) -> None:
        kwargs.setdefault("camera_name", "view")
        super().__init__(str(MODEL), frame_skip, Box(-np.inf, np.inf, (6,), np.float64), **kwargs)
        self.metadata = {**self.metadata, "render_fps": round(1 / self.dt)}
        self.random_goal = random_goal
        self._wanted: ArrayLike | None = None
        self.zone_penalty = zone_penalty
        names = [self.model.geom(geom).name for geom in range(self.model.ngeom)]
        walls = [self.model.geom(name) for name in names if name.startswith("wall_")]
        centres, halves = np.array([[wall.pos[:2], wall.size[:2]] for wall in walls]).swapaxes(0, 1)
        self._walls = np.stack([centres - halves, centres + halves], axis=1)
        self._radius = float(self.model.geom("ball").size[0])
        zone = self.model.geom("zone")
        self.zone_centre, self.zone_radius = zone.pos[:2].copy(), float(zone.size[0])
        # Paths keep half a radius from the walls: a ball that touches one still has paths.
        self._paths = ShortestPaths(self._walls, margin=self._radius / 2)

    @property
    def goal(self) -> NDArray[np.float64]:
        """The goal's x and y (m)."""
        return self.data.mocap_pos[0, :2].copy()

    def set_goal(self, goal: ArrayLike) -> None:
        """Move the goal to `goal`, x and y in metres.

        Raises:
            ValueError: the place is outside the maze or inside a wall.
        """
        place = np.asarray(goal, dtype=np.float64)
        if place.shape != (2,) or not self.is_free(place):
            raise ValueError(
                f"joule/Maze-v0 takes a goal (x, y) inside the maze and clear of walls, not {goal!r}."
            )
        self.data.mocap_pos[0, :2] = place
        mujoco.mj_forward(self.model, self.data)

    def is_free(self, place: NDArray[np.float64]) -> bool:
        """Whether the ball may start at `place` (x, y): inside the maze and clear of every wall."""
        outside = np.maximum(0.0, np.maximum(self._walls[:, 0] - place, place - self._walls[:, 1]))
        inside = np.all((self._walls[:, 0].min(0) < place) & (place < self._walls[:, 1].max(0)))
        clear = np.all(np.linalg.norm(outside, axis=1) >= self._radius + START_MARGIN)
        return bool(inside and clear)

    def path_distance(self, place: NDArray[np.float64] | None = None) -> float:
        """Length of the shortest path to the goal from `place`, or from the ball (m).

        A place within a wall has no path; it counts as `LONGEST_PATH`.
        """
        start = self.data.qpos[:2] if place is None else place
        return min(self._paths.length(start, self.goal), LONGEST_PATH)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start an episode; `options={"goal": (x, y)}` chooses the goal."""
        self._wanted = (options or {}).get("goal")
        return super().reset(seed=seed)

    def reset_model(self) -> NDArray[np.float64]:
        """Draw the ball's place, and the goal's where that is asked for."""
        if self._wanted is not None:
            self.set_goal(self._wanted)
        elif self.random_goal:
            self.set_goal(self._free_place())
        start = self._free_place()
        while self.path_distance(start) < START_PATH:
            start = self._free_place()
        self.set_state(start, np.zeros(2))
        return self._observation()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], np.float64, bool, bool, dict[str, Any]]:
        """Apply the forces for one step of 0.05 s."""
        self.do_simulation(action, self.frame_skip)
        info = self._get_reset_info()
        path = info["path_distance"]
        closeness = float(0.5 * (1.0 - path / LONGEST_PATH) + 0.5 * (1.0 - np.tanh(path / NEAR_SCALE)))
        trespass = self.zone_penalty * info["in_zone"]
        info = {"reward_path": closeness, "reward_zone": -trespass, **info}
        if self.render_mode == "human":
            self.render()
        return self._observation(), np.float64(closeness - trespass), False, False, info

    derived_readouts: ClassVar[dict[str, View]] = {"position": view("ball", 0, 1)}

    def readouts(self) -> dict[str, NDArray[np.float64]]:
        """Named physical quantities now (m, m/s); `zone_distance` is negative inside the zone."""
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

    def _free_place(self) -> NDArray[np.float64]:
        low, high = self._walls[:, 0].min(0), self._walls[:, 1].max(0)
        place = self.np_random.uniform(low, high)
        while not self.is_free(place) or self._zone_distance(place) < 0.0:
            place = self.np_random.uniform(low, high)
        return place

    def _zone_distance(self, place: NDArray[np.float64]) -> float:
        """Distance of `place` from the zone's rim (m), negative inside."""
        return float(np.linalg.norm(place - self.zone_centre)) - self.zone_radius

    def _observation(self) -> NDArray[np.float64]:
        return np.concatenate([self.data.qpos, self.data.qvel, self.goal - self.data.qpos])

    def _get_reset_info(self) -> dict[str, Any]:
        path, in_zone = self.path_distance(), self._zone_distance(self.data.qpos) < 0.0
        return {"path_distance": path, "in_zone": in_zone, "success": path < SUCCESS_DISTANCE}


class ShortestPaths:
    """Exact shortest paths round axis-aligned boxes, so that a reward can point the way out of a dead end.

    The path between two points bends only at corners of boxes (Lozano-Pérez and Wesley, 1979), so that a
    graph of the corners that see one another answers every question.

    Args:
        boxes: `[boxes, 2, 2]`, the low and the high corner of each (m).
        margin: how far paths keep from the boxes (m).
    """

    def __init__(self, boxes: NDArray[np.float64], margin: float) -> None:
        grown = boxes + np.array([[-margin, -margin], [margin, margin]])
        # A hair smaller, so that a line along a side, or through a corner, is not blocked by rounding.
        self._insides = grown + np.array([[1e-9, 1e-9], [-1e-9, -1e-9]])
        low, high = grown[:, 0], grown[:, 1]
        corners = np.concatenate([low, high, np.c_[low[:, 0], high[:, 1]], np.c_[high[:, 0], low[:, 1]]])
        self._corners = corners[self._sees(corners, corners).diagonal()]
        apart = np.linalg.norm(self._corners[:, None] - self._corners[None], axis=-1)
        self._between = np.where(self._sees(self._corners, self._corners), apart, np.inf)
        for via in range(len(self._corners)):
            detour = self._between[:, via, None] + self._between[None, via]
            self._between = np.minimum(self._between, detour)

    def length(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
        """Length of the shortest path from `start` to `end` (m); infinite where there is none."""
        ends = np.stack([start, end])
        if self._sees(ends[:1], ends[1:])[0, 0]:
            return float(np.linalg.norm(end - start))
        reach = np.linalg.norm(ends[:, None] - self._corners[None], axis=-1)
        reach = np.where(self._sees(ends, self._corners), reach, np.inf)
        return float(np.min(reach[0, :, None] + self._between + reach[1]))

    def _sees(self, sources: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`[sources, targets]`: whether the straight line between two points runs through no box's inside."""
        start = sources[:, None, None]
        way = targets[None, :, None] - start
        # A line parallel to a side gets huge quotients: of both signs between the sides, of one sign beyond.
        way = np.where(way == 0.0, 1e-200, way)
        enter, leave = (self._insides[:, 0] - start) / way, (self._insides[:, 1] - start) / way
        first = np.minimum(enter, leave).max(-1).clip(min=0.0)
        last = np.maximum(enter, leave).min(-1).clip(max=1.0)
        return ~(first < last).any(-1)

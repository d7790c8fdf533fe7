"""Two wrappers: flat float32 observations with actions in [-1, 1], and the action repeat."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.faults.boundary import attribute, name_of
from envs.faults.errors import EnvError
from envs.own_picture import (
    NO_NUMBERS,
    NOTHING,
    OwnPicture,
    less,
    paths_of_pictures,
    without_pictures,
)
from envs.physics import find_physics
from envs.spaces import checked_action_space, flat_observation_space, flattener, texts_in
from joule_errors import Advice

Step = tuple[np.ndarray, float, bool, bool, dict[str, Any]]
"""What a step returns: observation, reward, terminated, truncated, info."""
FRAMES_KEY = "frames"
"""The key of `info` for the number of simulator frames that an action was held for."""
CTRLRANGE = "; in a MuJoCo model, an actuator needs a ctrlrange"
"""What makes an action of one value alone: MuJoCo gives an actuator without a range the bounds 0 and 0."""
ROUNDING = 1e-4
"""By how much a recorded action may differ from a constant, and exceed bounds of -1 and 1: it was rounded."""
FLOAT32_MAX = float(np.finfo(np.float32).max)


class Flat(gymnasium.Wrapper[np.ndarray, np.ndarray, Any, Any]):
    """Gives observations as one float32 vector, and takes actions in [-1, 1].

    A picture among them is kept apart, in `frame`; without anything beside it the vector has no number. Further
    pictures are left out.

    Actions are mapped to the environment's own bounds and shape. `envs.spaces.flattener` says how an
    observation is flattened. An action dimension whose bounds are equal is left out of the action; the
    environment always gets that constant, and a warning (`joule_errors.Advice`) says so.

    Args:
        env: the environment.
        picture: the picture among its observations that is kept apart; None for none.

    Raises:
        EnvError: for an observation space or an action space that is not accepted.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], picture: OwnPicture | None = None) -> None:
        super().__init__(env)
        space = _space(env, "observation_space")
        self.picture = picture
        """Where a picture is in an observation; None without one."""
        self._pictures = paths_of_pictures(space)
        self.frame: np.ndarray | None = None
        """The picture of the newest observation, uint8 [channels, height, width]."""
        space = without_pictures(space)
        self.observation_space = NOTHING if space is NOTHING else flat_observation_space(space)
        size = self.observation_space.shape[0]
        self._flatten = flattener(space)
        if texts := texts_in(space):
            warnings.warn(
                f"the observation has a text ({', '.join(texts) or 'itself'}): its characters are observed as "
                "numbers, which say little of its meaning; gymnasium.wrappers.FilterObservation leaves parts out",
                Advice,
                stacklevel=2,
            )
        box = checked_action_space(_space(env, "action_space"))
        low, high = box.low.astype(np.float64).ravel(), box.high.astype(np.float64).ravel()
        self._free = np.flatnonzero(low < high)
        cause = CTRLRANGE if self._free.size < low.size and find_physics(env) is not None else ""
        if self._free.size == 0:
            raise EnvError(
                f"the action space has no dimension left to control: every low equals its high{cause}"
            )
        self._all_free = self._free.size == low.size
        if not self._all_free:
            fixed = ", ".join(str(place) for place in np.flatnonzero(low >= high))
            said = f"not controlled, because low equals high: number {fixed} of an action, from 0{cause}"
            warnings.warn(said, Advice, stacklevel=2)
        self._constant, self._low, self._high = low, low[self._free], high[self._free]
        self._half, self._middle = (self._high - self._low) / 2, (self._high + self._low) / 2
        self._shape, self._dtype, self._size = box.shape, box.dtype, size
        self.action_space = spaces.Box(-1.0, 1.0, (self._free.size,), np.float32)
        self.observation = np.zeros(size, np.float32)
        """The last observation, flat."""
        self.exact: np.ndarray = self.observation
        """The same before it was rounded to float32; it is another array at each step."""

    def observe(self, observation: Any) -> np.ndarray:
        """`observation` as a float32 vector [obs] in memory of its own. A number beyond float32 is clipped.

        Raises:
            ValueError: for an observation that does not fit the space.
        """
        if self.picture is not None:
            self.frame, observation = self.picture.split(observation)
        elif self._pictures:
            observation = NO_NUMBERS if self._size == 0 else less(observation, self._pictures)
        flat = self._flatten(observation)
        if flat.shape[0] != self._size:
            raise ValueError(f"the observation has {flat.shape[0]} numbers, the space {self._size}")
        self.exact = flat
        if flat.dtype == np.float32:
            self.observation = flat
            return flat
        with np.errstate(over="ignore"):
            small = flat.astype(np.float32)
        if not np.isfinite(small).all():
            # Only numbers that overflowed float32 are clipped; inf and nan of the environment stay.
            clipped = np.clip(flat, -FLOAT32_MAX, FLOAT32_MAX)
            small = np.where(np.isfinite(flat), clipped, flat).astype(np.float32)
        self.observation = small
        return small

    def act(self, action: np.ndarray) -> np.ndarray:
        """The environment's own action for `action` [act] in [-1, 1]."""
        scaled = np.minimum(np.maximum(action * self._half + self._middle, self._low), self._high)
        if not self._all_free:
            scaled, free = self._constant.copy(), scaled
            scaled[self._free] = free
        return scaled.astype(self._dtype).reshape(self._shape)

    def own_action(self, action: Any) -> np.ndarray:
        """As `act`, for an action of another program, which may send the result to motors.

        Raises:
            EnvError: for what is no array of as many finite numbers.
        """
        try:
            given = np.asarray(action)
        except ValueError:  # its rows differ in length
            given = np.empty(0)
        if given.dtype.kind not in "iuf" or given.size != self._free.size:
            raise EnvError(f"action: found {action!r:.80}; give {self._free.size} numbers from -1 to 1")
        if not np.isfinite(given).all():
            place = int(np.flatnonzero(~np.isfinite(given.ravel()))[0])
            raise EnvError(f"action[{place}] is {given.ravel()[place]}; give numbers from -1 to 1")
        return self.act(given.reshape(-1))

    def recorded_action(self, own: np.ndarray) -> np.ndarray:
        """The inverse of `act` for recorded actions [steps, *shape of the environment's own], as [steps, act].

        Raises:
            ValueError: for another shape, and where a number that is constant here had another value.
        """
        if own.shape[1:] != self._shape:
            wanted = ", ".join(("steps", *map(str, self._shape)))
            raise ValueError(f"actions has shape {list(own.shape)}; this environment needs [{wanted}]")
        flat = own.reshape(len(own), -1).astype(np.float64)
        same = np.isclose(flat, self._constant, rtol=ROUNDING, atol=ROUNDING)
        same[:, self._free] = True
        if not same.all():
            step, place = np.argwhere(~same)[0]
            raise ValueError(
                f"number {place} of an action is {flat[step, place]:g} at step {step}, and in the environment "
                f"always {self._constant[place]:g}"
            )
        free = flat[:, self._free]
        return ((free - self._middle) / self._half).astype(np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self.observe(observation), info

    def step(self, action: np.ndarray) -> Step:
        observation, reward, terminated, truncated, info = self.env.step(self.act(action))
        return self.observe(observation), reward, terminated, truncated, info  # type: ignore[return-value]


def _space(env: gymnasium.Env[Any, Any], name: str) -> spaces.Space[Any]:
    """A space of an environment. Raises EnvError where it has none."""
    found = attribute(env, name)
    if not isinstance(found, spaces.Space):
        raise EnvError(f"{name} of {name_of(env)} must be a space of gymnasium.spaces, not {found!r:.80}")
    return found


class ActionRepeat(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Holds each action for `repeat` frames and sums their rewards; it stops where the episode ends.

    `info["frames"]` is the number of frames that the action was held for.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, np.ndarray], repeat: int) -> None:
        super().__init__(env)
        self._repeat = repeat

    def step(self, action: np.ndarray) -> Step:
        total, frames = 0.0, 0
        while True:
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            frames += 1
            if terminated or truncated or frames == self._repeat:
                info[FRAMES_KEY] = frames
                return observation, total, terminated, truncated, info

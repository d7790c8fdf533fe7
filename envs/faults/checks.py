"""Checks of the contract of an environment, at every reset and every step."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.faults.boundary import DIVERGED_KEY
from envs.faults.errors import EnvFault, described
from envs.faults.mujoco_warnings import CLOCK, DIVERGED, WarningMonitor
from envs.faults.watchdog import WATCHDOG
from envs.physics import find_physics, log
from envs.readouts.sensors import names_in_parts
from envs.wrappers import Step

LARGEST_REWARD = 1e38
"""The replay buffer stores float32, whose largest number is 3.4e38."""
LIKELY_REWARD = 1e9
"""A greater reward, in magnitude, is likely a mistake of the environment."""
MOST_PLACES = 5
"""Numbers of an observation at most that a sentence names."""
_WARNED: set[tuple[str, str]] = set()
"""Environments and counters of which this process has warned: training, evaluations and films have one each."""


class FaultChecks(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Raises EnvFault where the environment breaks its contract, and counts faults that a run survives.

    Physics that diverges ends the episode: the step is truncated, has `info[DIVERGED_KEY]`, and repeats the last
    observation before the divergence.

    Args:
        env: an environment with flat float32 observations.
        name: the id that the user gave, for messages.
        step_timeout_seconds: a reset or step that takes longer ends the process; 0 never does.
    """

    def __init__(
        self, env: gymnasium.Env[np.ndarray, np.ndarray], name: str, step_timeout_seconds: float = 0.0
    ) -> None:
        super().__init__(env)
        self.name, self.step_timeout_seconds = name, step_timeout_seconds
        self._last_action: Any = None
        self.seed: int | None = None
        self.episode, self.frame = -1, 0
        self.counters: Counter[str] = Counter()
        box = env.observation_space
        assert isinstance(box, spaces.Box)
        self._low, self._high = box.low, box.high
        self._bounded = bool(np.isfinite(box.low).any() or np.isfinite(box.high).any())
        self._warnings: WarningMonitor | None = None
        self.observation = np.zeros(box.shape, np.float32)
        """The last observation that passed the checks."""

    def fault(self, cause: str, action: Any = None) -> EnvFault:
        """An EnvFault with the seed, the episode and the step of now."""
        return EnvFault(
            cause, env=self.name, seed=self.seed, episode=self.episode, step=self.frame, action=action
        )

    def numbers(self, action: Any) -> np.ndarray:
        """The numbers of an action, float32 [act] in memory of its own: `latency` keeps it.

        Raises:
            EnvFault: for what is no array of numbers.
        """
        try:
            return np.array(action, dtype=np.float32).reshape(-1)
        except (TypeError, ValueError) as error:
            raise self.fault(f"the action is {action!r:.80}; give numbers from -1 to 1") from error

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self.seed = seed
        self.episode += 1
        self.frame = 0
        self._last_action = None
        if self.step_timeout_seconds:
            WATCHDOG.begin(self.step_timeout_seconds, self._timed_out)
        try:
            observation, info = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self.fault(f"reset {described(error)}") from error
        finally:
            WATCHDOG.end()
        if not np.isfinite(observation).all():
            raise self.fault(
                f"reset gave a non-finite observation at {self._places(~np.isfinite(observation))}"
            )
        self.monitor_physics()
        self.observation = observation
        return observation, info

    def monitor_physics(self) -> None:
        """Starts a monitor of MuJoCo's warnings; an environment may have built a new model at its reset."""
        physics = find_physics(self.env)
        self._warnings = None if physics is None else WarningMonitor(physics)

    def state(self) -> dict[str, Any]:
        """Seed, episode, frame and counters, as JSON."""
        return {
            "seed": self.seed,
            "episode": self.episode,
            "frame": self.frame,
            "counters": dict(self.counters),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Sets what `state` gave."""
        self.seed, self.episode, self.frame = state["seed"], state["episode"], state["frame"]
        self.counters = Counter(state["counters"])

    def step(self, action: np.ndarray) -> Step:
        self.frame += 1
        self._last_action = action
        monitor = self._warnings
        if self.step_timeout_seconds:
            WATCHDOG.begin(self.step_timeout_seconds, self._timed_out)
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            if monitor is not None and self._count(monitor.read()):
                return self._diverged({})
            raise self.fault(f"step {described(error)}", action) from error
        finally:
            WATCHDOG.end()
        if monitor is not None:
            warnings = monitor.read()
            if warnings and self._count(warnings):
                return self._diverged(info)
        if not np.isfinite(observation).all():
            if monitor is not None and not monitor.state_is_finite():
                self._count({"BADQPOS": 1})
                return self._diverged(info)
            raise self.fault(f"non-finite observation at {self._places(~np.isfinite(observation))}", action)
        reward = self._checked_reward(reward, action)
        if not isinstance(terminated, bool | np.bool_) or not isinstance(truncated, bool | np.bool_):
            raise self.fault(
                f"terminated and truncated must be bool, not {terminated!r}, {truncated!r}", action
            )
        if self._bounded:
            outside = (observation < self._low) | (observation > self._high)
            if outside.any():
                self._count_outside(observation, outside)
        self.observation = observation
        return observation, reward, bool(terminated), bool(truncated), info

    def _timed_out(self, where: str) -> str:
        """The sentence for a call that does not return; `where` is its line in the source."""
        call = "reset" if self.frame == 0 else "step"
        limit = f"{self.step_timeout_seconds:g} s"
        cause = f"{call} did not return within {limit}{where} (--step-timeout-seconds)"
        return str(self.fault(cause, self._last_action))

    def _checked_reward(self, reward: Any, action: np.ndarray) -> float:
        """The reward as a float. Raises EnvFault for anything but one finite number."""
        number = isinstance(reward, float | int | np.floating | np.integer | np.bool_)
        # A 0-d array is a number to NumPy; an array of shape (1,) is a mistake that broadcasts later.
        if not number and not (
            isinstance(reward, np.ndarray) and reward.shape == () and reward.dtype.kind in "biuf"
        ):
            raise self.fault(f"the reward must be a number, not {reward!r} ({type(reward).__name__})", action)
        try:
            value = float(reward)
        except OverflowError as error:  # Python's whole numbers have no bound
            raise self.fault("the reward is too large a whole number", action) from error
        if not math.isfinite(value):
            raise self.fault(f"non-finite reward {value}", action)
        return value

    def check_size(self, reward: float, action: Any) -> None:
        """Warns once of a reward, summed over the frames of a decision, that is likely a mistake, and counts them.

        Raises:
            EnvFault: for one that cannot be stored.
        """
        if abs(reward) <= LIKELY_REWARD:
            return
        if abs(reward) > LARGEST_REWARD:
            raise self.fault(f"the reward {reward:g} is beyond {LARGEST_REWARD:g}, in magnitude", action)
        if self._counts_first("huge_rewards"):
            log.warning(
                "%s: the reward at episode %d, step %d is %g, and beside it no difference of usual rewards is "
                "learned; give rewards of the order of one a step; further ones beyond %g are counted",
                self.name,
                self.episode,
                self.frame,
                reward,
                LIKELY_REWARD,
            )

    def _count_outside(self, observation: np.ndarray, outside: np.ndarray) -> None:
        """Counts an observation with numbers outside of the declared bounds, and warns of the first one."""
        if self._counts_first("obs_out_of_bounds"):
            first = int(np.flatnonzero(outside)[0])
            log.warning(
                "%s: at episode %d, step %d, %d of the %d numbers of the observation are outside of the bounds of "
                "observation_space, at %s: the first one is %.9g, and its bounds are %g and %g; further such "
                "observations are counted",
                self.name,
                self.episode,
                self.frame,
                np.count_nonzero(outside),
                observation.size,
                self._places(outside),
                observation[first],
                self._low[first],
                self._high[first],
            )

    def _places(self, marked: np.ndarray) -> str:
        """The first numbers that are marked, bool [obs]: their places, and their names in a Dict observation."""
        found = np.flatnonzero(marked).tolist()
        more = ", ..." if len(found) > MOST_PLACES else ""
        text = "index " + ", ".join(map(str, found[:MOST_PLACES])) + more
        names = names_in_parts(self.env.unwrapped.observation_space, marked.size)
        if not names:
            return text
        return f"{text} ({', '.join(names[place] for place in found[:MOST_PLACES])}{more})"

    def _count(self, warnings: dict[str, int]) -> bool:
        """Counts MuJoCo's warnings and logs each survivable kind once; whether the physics diverged."""
        diverged = False
        for name, times in warnings.items():
            diverged |= name in DIVERGED or name == CLOCK
            if self._counts_first(f"mujoco_{name.lower()}", times) and name not in DIVERGED:
                log.warning(
                    "%s: MuJoCo warned of %s at episode %d, step %d; further warnings are counted",
                    self.name,
                    name,
                    self.episode,
                    self.frame,
                )
        return diverged

    def _counts_first(self, counter: str, times: int = 1) -> bool:
        """Adds to a counter; whether that is the first time in this environment and process."""
        self.counters[counter] += times
        key = (self.name, counter)
        is_first = key not in _WARNED
        _WARNED.add(key)
        return is_first

    def _diverged(self, info: dict[str, Any]) -> Step:
        """The last step of an episode whose physics diverged; it must not be stored."""
        self.counters["diverged_steps"] += 1
        return self.observation.copy(), 0.0, False, True, {**info, DIVERGED_KEY: True}

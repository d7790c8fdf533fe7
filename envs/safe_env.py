"""The body an agent lives in: the outermost wrapper, and all one may know and ask of an environment."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.changes.factors import parse
from envs.changes.perturbed import Perturbed
from envs.faults.errors import EnvError, RenderError
from envs.physics import log
from envs.readouts import named as readouts
from envs.rendering.frames import ensure_gl
from envs.state import python_state as state
from envs.state.snapshot import EpisodeRecord
from envs.wrappers import ActionRepeat, Flat, FaultChecks, Step

LARGEST_REWARD = 1e38
"""What is remembered is a float32, which ends at 3.4e38."""


@dataclass(frozen=True)
class EnvSpec:
    """What is fixed about an environment from the moment it is made."""

    env: str
    """The string the user gave."""
    resolved: str
    """The registered id with its version."""
    observation_size: int
    action_size: int
    episode_limit: int | None
    """Decisions until truncation; None if nothing limits an episode."""
    action_repeat: int
    """Simulator frames per decision."""
    seconds_per_decision: float | None
    """Simulated seconds per decision; None if the environment does not say."""
    readout_sizes: dict[str, int]
    """Name and size of each readout, in the order of `Body.readouts()`."""
    mujoco: bool
    """Whether there is MuJoCo physics to perturb and to save exactly."""
    derived_readouts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Everyday names for parts of the readouts; see `envs.readouts.derived`."""


StepCostFn = Callable[[EnvSpec, np.ndarray, np.ndarray, float], float]
"""(facts, readouts after a decision, its action, the environment's own cost) -> the cost that counts."""


class SafeEnv(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """A flat float32 observation, an action in [-1, 1]^act, and the standard five values of a step.

    `info["frames"]` says how many simulator frames a decision took. `info["diverged"]` says that the physics
    broke in this step: it is truncated and must not be stored.
    """

    def __init__(
        self,
        env: ActionRepeat,
        *,
        env_spec: EnvSpec,
        perturbed: Perturbed,
        checks: FaultChecks,
        flat: Flat,
        record: EpisodeRecord,
        cost_fn: StepCostFn | None = None,
    ) -> None:
        super().__init__(env)
        self.env_spec, self._cost_fn = env_spec, cost_fn
        self.observation_space = checks.observation_space
        self.action_space = spaces.Box(-1.0, 1.0, (env_spec.action_size,), np.float32)
        self.observation: np.ndarray = np.zeros(env_spec.observation_size, np.float32)
        self._perturbed, self._checks, self._flat, self._record = perturbed, checks, flat, record
        self._limit = perturbed.env if isinstance(perturbed.env, gymnasium.wrappers.TimeLimit) else None
        self._restores_exactly = True
        self._closed = self._rendered = self._diverged = False

    def close(self) -> None:
        """Free the simulator and its GL context."""
        if not self._closed:
            self._closed = True
            self.env.close()

    @property
    def counters(self) -> dict[str, int]:
        """How often each survivable fault happened since the body was made."""
        return dict(self._checks.counters)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; a seed makes it, and all that follow, repeatable."""
        if seed is not None:
            self.action_space.seed(seed)
        self.observation, info = self.env.reset(seed=seed, options=options)
        self._diverged = False
        return self.observation.copy(), info

    def step(self, action: np.ndarray) -> Step:
        """One decision: `action` [act] in [-1, 1], clipped and counted if outside, EnvFault if not finite."""
        act: np.ndarray = np.asarray(action, dtype=np.float32).reshape(-1)
        if act.shape[0] != self.env_spec.action_size:
            raise self._checks.fault(
                f"the action has {act.shape[0]} numbers, not {self.env_spec.action_size}", action
            )
        largest = np.abs(act).max()
        # A NaN compares false with everything, so this also sends NaN to the check.
        if not largest <= 1.0:
            if not np.isfinite(act).all():
                raise self._checks.fault("the action is not finite", action)
            self._checks.counters["actions_clipped"] += 1
            act = np.clip(act, -1.0, 1.0)
        observation, reward, terminated, truncated, info = self.env.step(act)
        self.observation, self._diverged = observation, bool(info.get("diverged", False))
        if self._cost_fn is not None and not self._diverged:
            info["own_reward"] = float(reward)
            cost = self._cost_fn(self.env_spec, self.readouts(), act, -float(reward))
            if not np.isfinite(cost):
                raise self._checks.fault(f"the task's cost is not finite, {cost}", action)
            reward = -cost
        reward = float(reward)
        if abs(reward) > LARGEST_REWARD:
            raise self._checks.fault(
                f"the reward {reward:g} is beyond {LARGEST_REWARD:g}, in magnitude", action
            )
        return observation.copy(), reward, terminated, truncated, info

    def readouts(self) -> np.ndarray:
        """Named physical quantities now, float32 [sum of facts.readout_sizes]; true even if sensors lie.

        EnvFault where they cannot be had, have other names or sizes than before, or are not finite, but for
        those of physics that diverged.
        """
        try:
            values = readouts.read(self._record.env, self._checks.observation, self.env_spec.readout_sizes)
        except EnvError as error:
            raise self._checks.fault(str(error)) from error
        except Exception as error:
            raise self._checks.fault(f"readouts raised {type(error).__name__}: {error}") from error
        if not self._diverged and not np.isfinite(values).all():
            edges = np.cumsum([*self.env_spec.readout_sizes.values()])
            first = np.searchsorted(edges, np.flatnonzero(~np.isfinite(values))[0], side="right")
            raise self._checks.fault(f"non-finite readout {[*self.env_spec.readout_sizes][first]}")
        return values

    @property
    def perturbations(self) -> list[str]:
        """What is changed in the world right now."""
        return self._perturbed.active

    def perturb(self, text: str) -> None:
        """Change the world from the next step to the end of the episode; `text` as for `envs.make`."""
        self._perturbed.add(text)

    def unperturb(self) -> None:
        """Put the world back as it was made, for the rest of the episode."""
        self._perturbed.clear()

    @property
    def exact(self) -> bool:
        """Whether `restore` brings an episode back to the last bit; False once a restore has failed to."""
        return self._restores_exactly and self._record.exact

    def snapshot(self) -> dict[str, Any]:
        """Everything the future of this body depends on, as numpy arrays and JSON values under flat names."""
        saved: dict[str, Any] = {
            "env": self.env_spec.resolved,
            "sizes": [self.env_spec.observation_size, self.env_spec.action_size],
            "action_space": state.to_json(self.action_space.np_random.bit_generator.state),
            "begun": self._checks.episode >= 0,
            "constraint": self._checks.state(),
        }
        if not saved["begun"]:
            return saved
        saved["observation"] = self.observation.copy()
        saved["true_observation"] = self._checks.observation.copy()
        saved["seen"] = self._flat.seen.copy()
        # Gymnasium's TimeLimit keeps its count to itself.
        saved["elapsed"] = None if self._limit is None else self._limit._elapsed_steps
        saved["sensor_rng"] = state.to_json(self._perturbed.rng.bit_generator.state)
        saved |= {f"perturbed/{name}": value for name, value in self._perturbed.state().items()}
        saved |= {f"tape/{name}": value for name, value in self._record.save().items()}
        return saved

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """Return to a snapshot; `self.observation` is the observation there.

        False, and a new episode with the restored random generators, if the episode could not be brought back
        to the last bit (`exact` is False from then on).

        Raises:
            EnvError: if the snapshot is of another environment.
        """
        sizes = [self.env_spec.observation_size, self.env_spec.action_size]
        if saved["env"] != self.env_spec.resolved or list(saved["sizes"]) != sizes:
            raise EnvError(
                f"the snapshot is of {saved['env']} with sizes {list(saved['sizes'])}, not of "
                f"{self.env_spec.resolved} with sizes {sizes}"
            )
        state.set_rng(self.action_space.np_random, saved["action_space"])
        self._checks.load_state(saved["constraint"])
        self._diverged = False
        if not saved["begun"]:
            return True
        matched = self._bring_back(saved)
        state.set_rng(self._perturbed.rng, saved["sensor_rng"])
        if not matched:
            self._restores_exactly = False
            self.reset()
            return False
        self.observation = np.array(saved["observation"], np.float32)
        self._checks.observation = np.array(saved["true_observation"], np.float32)
        if self._limit is not None:
            self._limit._elapsed_steps = saved["elapsed"]
        return True

    def _bring_back(self, saved: Mapping[str, Any]) -> bool:
        """Repeat the saved episode up to its moment; whether it then showed the very same observation."""
        record = {
            name.removeprefix("tape/"): value for name, value in saved.items() if name.startswith("tape/")
        }
        perturbed = {
            name.removeprefix("perturbed/"): value
            for name, value in saved.items()
            if name.startswith("perturbed/")
        }
        self._perturbed.clear()
        try:
            shown = self._record.begin_again(record)
            self._perturbed.follow()
            self._perturbed.set_active([parse(text) for text in perturbed["at_last_step"]])
            played = self._record.play(record)
            seen = self._flat.observe(shown if played is None else played)
        except Exception as error:  # noqa: BLE001  the user's environment may raise anything
            log.warning(
                "%s: the episode could not be brought back: %s: %s",
                self.env_spec.env,
                type(error).__name__,
                error,
            )
            return False
        self._perturbed.load_state(perturbed)
        self._checks.watch()
        return np.array_equal(seen, saved["seen"], equal_nan=True)

    def render(self) -> np.ndarray:  # type: ignore[override]
        """A uint8 frame [height, width, 3]; RenderError says what is missing."""
        if self.env.render_mode is None:
            raise RenderError(
                f"{self.env_spec.env} was made without a render mode: envs.make(..., render_mode='rgb_array')"
            )
        hint = ensure_gl() if self.env_spec.mujoco and not self._rendered else None
        if hint is not None:
            raise RenderError(hint)
        try:
            frame = self.env.render()
        except gymnasium.error.DependencyNotInstalled as error:
            raise RenderError(f"no frame could be made: {error}") from error
        except Exception as error:
            raise RenderError(
                f"no frame could be made ({type(error).__name__}: {error}); "
                "try another MUJOCO_GL: egl, osmesa or glfw"
            ) from error
        if not self._rendered:
            # EGL takes itself down at exit; a context freed later prints a traceback, so ours goes first.
            self._rendered = True
            atexit.register(_close, weakref.ref(self))
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.dtype != np.uint8:
            raise RenderError(f"{self.env_spec.env} gave no uint8 frame but {type(frame).__name__}")
        return frame


def _close(body: weakref.ref[SafeEnv]) -> None:
    """Close a body that is still there."""
    alive = body()
    if alive is not None:
        alive.close()

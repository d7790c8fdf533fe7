"""The environment that an agent acts in: the outermost wrapper."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.changes.perturbation import Perturbed
from envs.env_spec import EnvSpec
from envs.faults.boundary import DIVERGED_KEY, DRAWN_KEY
from envs.faults.checks import FaultChecks
from envs.faults.errors import EnvError, EnvFault, RenderError, described
from envs.readouts.named import of_observation, readout_vector
from envs.rendering.checked_frame import checked_frame, drawing_error
from envs.rendering.current_context import (
    current_kept,
    free_dm_control,
    free_viewers,
    make_empty_current,
    make_own_current,
)
from envs.rendering.opengl import ensure_gl
from envs.rendering.scene_camera import SceneCamera
from envs.state import python_state
from envs.state.episode_record import EpisodeRecord
from envs.state.python_objects import Contents
from envs.state.snapshot import Snapshots
from envs.state.snapshot_schema import check_snapshot
from envs.task_goal import observed_at_goal, within_of
from envs.wrappers import ActionRepeat, Flat, Step

StepCostFn = Callable[[EnvSpec, np.ndarray, np.ndarray, float], float]
"""The cost of one decision, in place of the environment's own.

(spec, readouts [sum of readout_sizes] after the decision, action [act], the environment's own cost) ->
cost."""


class SafeEnv(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """An environment with flat float32 observations [obs] and actions [act] in [-1, 1]; `envs.make` makes it.

    A step returns Gymnasium's five values. `info["frames"]` is the number of simulator frames of the
    decision. `info["joule/diverged"]` says that the physics diverged in this step: it is truncated and must not
    be stored. `info["joule/drawn"]` has the values that perturbations drew in this episode, where some are drawn;
    a reset has it too.

    Args:
        env: the wrappers below this one.
        env_spec: sizes and names of the environment.
        perturbed: the wrapper that perturbs, among those below.
        checks: the wrapper that checks, among those below.
        flat: the wrapper that flattens, among those below.
        record: the wrapper that records the episode, among those below.
        cost_fn: replaces the reward by minus this cost; None keeps the environment's reward.
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
        self.env_spec, self.cost_fn = env_spec, cost_fn
        self.observation_space = checks.observation_space
        self.action_space = spaces.Box(-1.0, 1.0, (env_spec.action_size,), np.float32)
        self.observation: np.ndarray = np.zeros(flat.observation.size, np.float32)
        """The last observation [obs], perturbed sensors included."""
        self.info: dict[str, Any] = {}
        """The info of the newest step, which a reset leaves; empty before the first, and after a restore."""
        self.made_from: Any = None
        """The settings by which it was made, where the maker leaves them here, as `joule.make_env` does."""
        self.frame_size = (640, 480)  # width and height (pixels) of frames that Joule draws of it
        self.camera: SceneCamera | None = None  # draws the frames of an environment that draws none itself
        self._perturbed, self._checks, self._flat, self._record = perturbed, checks, flat, record
        self._snapshots = Snapshots(perturbed, checks, flat, record)
        self._restores_exactly, self._closed, self._rendered, self._diverged = True, False, False, False

    @property
    def sees_own_picture(self) -> bool:
        """Whether the agent sees a picture that the environment itself observes, and no camera's."""
        return False

    @property
    def exact_observation(self) -> np.ndarray:
        """The last observation [obs] as the environment gave it, float64 unless that is float32; no pictures."""
        return self._flat.exact

    @property
    def _sizes(self) -> list[int]:
        """Numbers of the flat observation and of an action."""
        return [self.observation.size, self.env_spec.action_size]

    @property
    def _draws_itself(self) -> bool:
        """Whether the environment has drawn, or draws at every step, with OpenGL of its own."""
        return self.env_spec.mujoco and (self.sees_own_picture or self._rendered)

    def close(self) -> None:
        """Frees the simulator and its OpenGL context."""
        if not self._closed:
            self._closed = True
            with current_kept() if self._draws_itself or self.camera is not None else nullcontext():
                if self.camera is not None:
                    self.camera.close()
                free_viewers(self.env)
                if self._draws_itself:
                    make_empty_current()  # what it frees must not be another's
                self.env.close()
                free_dm_control(self.env)

    def own_action(self, action: np.ndarray) -> np.ndarray:
        """The environment's own action, in its shape and units, for `action` [act] in [-1, 1]; else EnvError."""
        return self._flat.own_action(action)

    def recorded_action(self, own: np.ndarray) -> np.ndarray:
        """Recorded actions [steps, *own shape] in the environment's own units as actions [steps, act].

        Those within the environment's bounds are in [-1, 1].

        Raises:
            ValueError: for another shape, and where a number that is constant here had another value.
        """
        return self._flat.recorded_action(own)

    @property
    def moment(self) -> tuple[int, int]:
        """How many episodes have begun before the open one, and its frames so far; a snapshot has it too."""
        return self._checks.episode, self._checks.frame

    @property
    def counters(self) -> dict[str, int]:
        """How often each fault that a run survives has happened since the environment was made."""
        return dict(self._checks.counters)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode. A seed determines it and all that follow.

        Raises:
            EnvFault: when the environment raises, or gives an observation that is not finite.
        """
        if seed is not None:
            self.action_space.seed(seed)
        self.observation, info = self.env.reset(seed=seed, options=options)
        self._diverged = False
        return self.observation.copy(), self._with_drawn(info)

    def step(self, action: np.ndarray) -> Step:
        """Takes one decision.

        Args:
            action: [act] in [-1, 1]; a number outside is clipped and counted.

        Returns:
            Observation [obs], reward (summed over the frames of the decision), terminated, truncated, info.

        Raises:
            EnvFault: for an action that is no finite numbers or of another size, and when the environment breaks
                its contract.
        """
        act = self._checks.numbers(action)
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
        self.observation, self._diverged = observation, bool(info.get(DIVERGED_KEY, False))
        if self.cost_fn is not None and not self._diverged:
            info["own_reward"] = float(reward)
            cost = self.cost_fn(self.env_spec, self.readouts(), act, -float(reward))
            if not np.isfinite(cost):
                raise self._checks.fault(f"the task's cost is not finite, {cost}", action)
            reward = -cost
        reward = float(reward)
        self._checks.check_size(reward, action)
        self.info = self._with_drawn(info)
        return observation.copy(), reward, terminated, truncated, self.info

    def _with_drawn(self, info: dict[str, Any]) -> dict[str, Any]:
        """`info` with what was drawn for this episode, where something is drawn."""
        return info | {DRAWN_KEY: self.drawn} if self._perturbed.drawn else info

    def readouts(self) -> np.ndarray:
        """Named physical quantities now, float32 [sum of `env_spec.readout_sizes`].

        They are true even where sensors are perturbed.

        Raises:
            EnvFault: when they cannot be read, or have other names or sizes than before. Also when one is not
                finite, unless the physics has just diverged.
        """
        try:
            observed = of_observation(self._checks.observation, self._flat.frame)
            values = readout_vector(self._record.env, observed, self.env_spec.readout_sizes)
        except EnvError as error:
            raise self._checks.fault(str(error)) from error
        except Exception as error:
            raise self._checks.fault(f"readouts {described(error)}") from error
        if not self._diverged and not np.isfinite(values).all():
            edges = np.cumsum([*self.env_spec.readout_sizes.values()])
            first = np.searchsorted(edges, np.flatnonzero(~np.isfinite(values))[0], side="right")
            raise self._checks.fault(f"non-finite readout {[*self.env_spec.readout_sizes][first]}")
        return values

    def at_goal(self) -> tuple[Any, np.ndarray] | None:
        """What is observed where the task of this episode is done, and the readouts there.

        Returns:
            The observation and the readouts [readouts]; None for an environment that cannot say. One that can has a
            method `at_goal`, as that of `envs.bodies.goal_env.GoalEnv`.

        Raises:
            EnvFault: when the method raises.
        """
        try:
            return observed_at_goal(
                self.unwrapped, self._flat, self._checks, lambda state: (self._still(state), self.readouts())
            )
        except (EnvError, EnvFault):
            raise
        except Exception as error:
            raise self._checks.fault(f"at_goal {described(error)}") from error

    @property
    def goal_within(self) -> dict[str, float]:
        """Readout -> how far from its value at the goal is near enough; empty where no environment says so."""
        return within_of(self.unwrapped, self.env_spec.env)

    def _still(self, state: np.ndarray) -> Any:
        """The observation of a flat state in which nothing moves."""
        return state

    @property
    def perturbations(self) -> list[str]:
        """The perturbations that are active now."""
        return self._perturbed.active

    @property
    def drawn(self) -> dict[str, float]:
        """The values that perturbations drew in this episode, by name, such as `mass.torso` and `gravity@300`."""
        return dict(self._perturbed.drawn)

    def perturb(self, text: str) -> None:
        """Perturbs the environment from the next step to the end of the episode, by a text such as `gravity=0.5`.

        Raises:
            EnvError: for a perturbation that is malformed or has nothing to act on here.
        """
        self._perturbed.add(text)

    def hold(self, text: str) -> None:
        """As `perturb`, and in all episodes to come too, in place of what else changes this factor there."""
        self._perturbed.hold(text)

    def unperturb(self) -> None:
        """Undoes every perturbation for the rest of the episode."""
        self._perturbed.clear()

    @property
    def exact(self) -> bool:
        """Whether `restore` is exact to the last bit; False once a restore has failed to be."""
        return self._restores_exactly and self._record.exact

    def snapshot(self) -> dict[str, Any]:
        """Everything that the future of this environment depends on, as arrays and JSON values by name.

        Raises:
            EnvFault: where the environment cannot be saved.
        """
        saved: dict[str, Any] = {
            "env": self.env_spec.resolved,
            "sizes": self._sizes,
            "action_space": python_state.to_json(self.action_space.np_random.bit_generator.state),
            "started": self._checks.episode >= 0,
            "checks": self._checks.state(),
        }
        if saved["started"]:
            saved |= {"observation": self.observation.copy()} | self._snapshots.save()
        return saved

    def unsaved(self) -> Contents:
        """What Python objects of the environment hold that no snapshot saves; see `envs.state.python_objects`."""
        return self._record.unsaved()

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """Goes back to a snapshot; `self.observation` is then the observation of that moment.

        Returns:
            False if the episode could not be restored to the last bit. Then a new episode has begun, with the
            restored random generators, and `exact` is False from now on.

        Raises:
            SchemaError: for what is no snapshot; nothing is changed then.
            EnvError: for a snapshot of another environment, likewise.
        """
        self.check_restorable(saved)
        python_state.set_rng(self.action_space.np_random, saved["action_space"])
        self._checks.load_state(saved["checks"])
        self._diverged, self.info = False, {}
        if not saved["started"]:
            return True
        if not self._snapshots.restore(saved, self._is_restored):
            self._restores_exactly = False
            self.reset()
            return False
        self.observation = np.array(saved["observation"], np.float32)
        return True

    def check_restorable(self, saved: Mapping[str, Any]) -> None:
        """Checks a snapshot, which may come from a file, and changes nothing. Raises as `restore`."""
        sizes = self._sizes
        env, found = (saved.get(name) for name in ("env", "sizes"))
        same = (env, found) == (self.env_spec.resolved, sizes)
        if isinstance(env, str) and isinstance(found, list) and not same:
            raise EnvError(
                f"the snapshot is of {env[:80]} with sizes {str(found)[:80]}, not of "
                f"{self.env_spec.resolved} with sizes {sizes}"
            )
        check_snapshot(saved, sizes[0])
        if saved["started"]:
            self._snapshots.check(saved)

    def _is_restored(self, observation: np.ndarray, saved: Mapping[str, Any]) -> bool:
        """Whether repeated steps led to the saved observation [obs], without perturbations of sensors."""
        return np.array_equal(observation, saved["flat_observation"], equal_nan=True)

    def render(self) -> np.ndarray:  # type: ignore[override]
        """A uint8 frame [height, width, 3].

        Raises:
            RenderError: when no frame can be made, with what is missing.
        """
        if self.camera is not None:
            return self.camera.draw()
        # Some environments draw as they were asked to, and do not say so in `render_mode`.
        asked = self.spec is not None and self.spec.kwargs.get("render_mode") is not None
        if (silent := self.env.render_mode is None) and not asked:
            raise RenderError(
                f"{self.env_spec.env} has no render_mode: make it by envs.make(..., render_mode='rgb_array')"
            )
        if self.env_spec.mujoco and not self._rendered and (hint := ensure_gl()) is not None:
            raise RenderError(hint)
        try:
            in_memory = self.env_spec.mujoco and self.env.render_mode != "human"
            with current_kept() if in_memory else nullcontext():
                make_own_current(self)
                frame = self.env.render()
        except Exception as error:
            if self.env_spec.mujoco and isinstance(error, NotImplementedError):
                self.camera = SceneCamera(self.env, self.env_spec.env, *self.frame_size)
                return self.camera.draw()
            raise drawing_error(error, self, self.env_spec.env, self.env_spec.mujoco) from error
        if not self._rendered:
            # EGL ends itself at exit. A context that is freed after it prints a traceback: free this one before.
            self._rendered = True
            atexit.register(_close, weakref.ref(self))
        return checked_frame(frame, self.env_spec.env, says_mode=not silent)


def _close(reference: weakref.ref[SafeEnv]) -> None:
    """Closes an environment that still exists."""
    env = reference()
    if env is not None:
        env.close()

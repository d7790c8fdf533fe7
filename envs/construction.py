"""From an id to a `Body`: find it, construct it, put the layers around it in order, gather the facts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.changes.perturbed import Perturbed
from envs.faults.errors import EnvError
from envs.faults.mujoco_warnings import route_warnings
from envs.physics import dm_control_env, find_physics
from envs.readouts import named as readouts
from envs.readouts.derived import views
from envs.registry import resolve
from envs.rendering.frames import ensure_gl, follow_body
from envs.safe_env import SafeEnv, EnvSpec, StepCostFn
from envs.state.snapshot import EpisodeRecord
from envs.wrappers import ActionRepeat, Flat, FaultChecks

TAKEN = ("action", "cost")
"""Names that costs know beside the readouts."""
NO_NAME = "which is no name that a readout can have (action is what the agent did, cost what was charged)"


def make(
    env: str,
    *,
    kwargs: Mapping[str, Any] | None = None,
    action_repeat: int | None = None,
    max_episode_frames: int | None = None,
    perturb: Sequence[str] = (),
    render_mode: str | None = None,
    width: int = 640,
    height: int = 480,
    shadows: bool = True,
    step_timeout_seconds: float = 0.0,
    cost_fn: StepCostFn | None = None,
) -> SafeEnv:
    """Make the environment that `env` names, wrapped so that an agent meets one contract whatever it is.

    Args:
        env: a Gymnasium id (`HalfCheetah-v5`), your own (`module:Env-v0`), or dm_control (`dmc:walker-walk`).
        kwargs: passed to the environment's constructor.
        action_repeat: frames per decision; by default 2 for dm_control and 1 for everything else.
        max_episode_frames: episode limit in frames, in place of the registered one.
        perturb: changes of the world such as `gravity=0.5`, `mass.torso=2@300`; see
            `envs.changes.factors.FACTORS`.
        render_mode: `rgb_array` to make `Body.render()` give frames of `height` x `width`.
        step_timeout: seconds after which a reset or a step counts as hung and ends the process; 0: never.
        price: replaces the reward by minus a task's cost of each decision, by the readouts after it; the
            reward itself stays in `info["own_reward"]`.
        shadows: False leaves shadows out of the frames, which halves the cost of small pixel observations.

    Raises:
        EnvError: with one sentence that names what was found and what is allowed.
    """
    ensure_gl()
    for name, value in (("action_repeat", action_repeat), ("max_episode_frames", max_episode_frames)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise EnvError(f"{name} must be a whole number of at least 1, not {value!r}")
    found = resolve(env)
    repeat = action_repeat or found.action_repeat
    route_warnings()
    raw = _construct(env, found.spec, dict(kwargs or {}), render_mode, width, height)
    physics = find_physics(raw)
    # dm_control takes MuJoCo's messages for itself when it is first imported.
    route_warnings()
    if physics is not None and not shadows:
        physics.model.vis.quality.shadowsize = 0
    record = EpisodeRecord(raw)
    flat = Flat(record)
    checks = FaultChecks(flat, env, step_timeout_seconds)
    limited: gymnasium.Env[Any, Any] = checks
    frames = max_episode_frames or found.spec.max_episode_steps
    if frames is not None:
        limited = gymnasium.wrappers.TimeLimit(checks, frames)
    frames = min((limit for limit in (frames, _own_limit(raw)) if limit is not None), default=None)
    assert flat.observation_space.shape is not None
    env_spec = EnvSpec(
        env=env,
        resolved=found.spec.id,
        observation_size=flat.observation_space.shape[0],
        action_size=flat.action_space.shape[0],  # type: ignore[index]
        episode_limit=None if frames is None else math.ceil(frames / repeat),
        action_repeat=repeat,
        seconds_per_decision=_seconds_per_frame(raw, repeat),
        readout_sizes=_readout_sizes(raw, flat.observation_space.shape[0]),
        mujoco=physics is not None,
        derived_readouts=_views(raw),
    )
    if cost_fn is not None:  # a price that does not fit this body is refused now, not at the first step
        nothing = np.zeros(sum(env_spec.readout_sizes.values()), np.float32)
        cost_fn(env_spec, nothing, np.zeros(env_spec.action_size, np.float32), 0.0)
    perturbed = Perturbed(limited, perturb)
    if frames is not None and perturbed.last_onset >= frames:
        raise EnvError(
            f"perturb: @{perturbed.last_onset} is beyond an episode of {env}, which has {frames:,} frames"
        )
    return SafeEnv(
        ActionRepeat(perturbed, repeat),
        env_spec=env_spec,
        perturbed=perturbed,
        checks=checks,
        flat=flat,
        record=record,
        cost_fn=cost_fn,
    )


def _construct(
    env: str, spec: Any, kwargs: dict[str, Any], render_mode: str | None, width: int, height: int
) -> gymnasium.Env[Any, Any]:
    """The raw environment, without Gymnasium's checker and time limit, which have their place further out."""
    if render_mode is not None:
        kwargs["render_mode"] = render_mode
        if spec.namespace == "dm_control":
            kwargs.setdefault("render_kwargs", {"width": width, "height": height})
    sized = (
        {} if render_mode is None or spec.namespace == "dm_control" else {"width": width, "height": height}
    )
    try:
        raw = _make(spec.id, {**sized, **kwargs})
    except TypeError as error:
        if not sized or not any(f"'{word}'" in str(error) for word in sized):
            raise _refusal(env, error) from error
        raw = _retry_unsized(env, spec.id, kwargs)
    except Exception as error:
        raise _refusal(env, error) from error
    control = dm_control_env(raw)
    if control is not None:
        # Warnings of physics are counted by our guard; without this dm_control raises for each of them.
        control.physics.suppress_physics_errors().__enter__()
        if render_mode is not None:
            # dm_control refuses frames larger than its models ask a buffer for, which is 640 x 480.
            buffer = control.physics.model.vis.global_
            buffer.offwidth, buffer.offheight = max(buffer.offwidth, width), max(buffer.offheight, height)
    if render_mode is not None and not kwargs.keys() & {"camera_id", "camera_name", "default_camera_config"}:
        follow_body(raw)
    layer: gymnasium.Env[Any, Any] = raw
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, gymnasium.wrappers.Autoreset):
            raise EnvError(
                f"{env} resets itself (Autoreset): register it without, so that episodes have an end"
            )
        layer = layer.env
    return raw


def _make(spec_id: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(spec_id, max_episode_steps=-1, disable_env_checker=True, **kwargs)


def _refusal(env: str, error: Exception) -> EnvError:
    """Why the constructor failed, on one line."""
    reason = " ".join(" ".join(str(part) for part in error.args).split())
    return EnvError(f"{env} cannot be made: {type(error).__name__}{': ' if reason else ''}{reason}")


def _retry_unsized(env: str, spec_id: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Make an environment whose constructor takes no frame size."""
    try:
        return _make(spec_id, kwargs)
    except Exception as error:
        raise _refusal(env, error) from error


def _own_limit(raw: gymnasium.Env[Any, Any]) -> int | None:
    """Frames after which dm_control itself ends an episode."""
    control = dm_control_env(raw)
    if control is None:
        return None
    # The suite counts steps, the composer reads the clock.
    limit = getattr(control, "_step_limit", None)
    if limit is None:
        limit = getattr(control, "_time_limit", math.inf) / control.control_timestep()
    return math.ceil(limit) if math.isfinite(limit) else None


def _seconds_per_frame(raw: gymnasium.Env[Any, Any], repeat: int) -> float | None:
    """Simulated seconds per decision, from the env's `dt`, else from its frame rate."""
    dt = getattr(raw.unwrapped, "dt", None)
    if isinstance(dt, float | int) and dt > 0:
        return float(dt) * repeat
    fps = raw.metadata.get("render_fps")
    return repeat / float(fps) if fps else None


def _views(raw: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """The views of the readouts, their names checked."""
    found = views(raw)
    if taken := found.keys() & set(TAKEN):
        raise EnvError(f"readout_views of {raw.unwrapped} names one {min(taken)!r}, {NO_NAME}")
    return found


def _readout_sizes(raw: gymnasium.Env[Any, Any], observation_size: int) -> dict[str, int]:
    """Names and sizes of the readouts."""
    unseen = np.zeros(observation_size, np.float32)
    own = callable(getattr(raw.unwrapped, "readouts", None))
    values = _own_readouts(raw, unseen) if own else readouts.named(raw, unseen)
    return {name: int(value.size) for name, value in values.items()}


def _own_readouts(raw: gymnasium.Env[Any, Any], unseen: np.ndarray) -> dict[str, np.ndarray]:
    """The readouts of an env that has its own, checked; it is reset once, it may need that to answer."""
    env, called = raw.unwrapped, "reset"
    try:
        raw.reset()
        called = "readouts"
        values = readouts.named(raw, unseen)
    except EnvError:
        raise
    except Exception as error:
        raise EnvError(f"{called}() of {env} raised {type(error).__name__}: {error}") from error
    for name, value in values.items():
        if not isinstance(name, str) or name in TAKEN:
            raise EnvError(f"readouts() of {env} names one {name!r}, {NO_NAME}")
        if value.size == 0:
            raise EnvError(f"readouts() of {env}: {name} is empty; leave it out")
    return values

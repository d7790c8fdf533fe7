"""An environment that the user has made already, with the interface that `envs.make` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from envs.construction import wrapped
from envs.conventions import OF_GYMNASIUM, refuse_autoreset, time_limit, wrappers_of
from envs.faults.boundary import call
from envs.faults.errors import EnvError, described
from envs.physics import dm_control_env
from envs.registry import default_action_repeat, id_of
from envs.rendering.opengl import ensure_gl
from envs.rendering.pixels import PixelSettings
from envs.safe_env import SafeEnv, StepCostFn


def adopt(
    env: object,
    *,
    action_repeat: int | None = None,
    max_episode_frames: int | None = None,
    perturb: Sequence[str] = (),
    step_timeout_seconds: float = 0.0,
    cost_fn: StepCostFn | None = None,
    pixels: PixelSettings | None = None,
    stack: int = 3,
    goal: bool = False,
) -> SafeEnv:
    """Wraps an environment of `gymnasium.make`, or an object of the user's own class, as `envs.make` does.

    Args:
        env: the environment, with the user's wrappers.
        action_repeat: as for `envs.make`.
        max_episode_frames: as for `envs.make`.
        perturb: as for `envs.make`.
        step_timeout_seconds: as for `envs.make`.
        cost_fn: as for `envs.make`.
        pixels: as for `envs.make`.
        stack: as for `envs.make`.
        goal: as for `envs.make`.

    Raises:
        EnvError: for what is no environment, or several in one, and as `envs.make`.
    """
    kind = f"{type(env).__module__}.{type(env).__name__}".removeprefix("builtins.")
    if isinstance(env, gymnasium.vector.VectorEnv):
        raise EnvError(
            f"env: found {kind}, which is several environments; give one, or an id to joule.make with num_envs"
        )
    if not isinstance(env, gymnasium.Env):
        raise EnvError(f"env: found {kind}; give an environment of joule.make_env or gymnasium.make")
    ensure_gl()
    spec, raw, limit = env.spec, env, time_limit(env)
    while isinstance(raw, OF_GYMNASIUM):
        raw = raw.env
    if limit is None and spec is not None:
        limit = spec.max_episode_steps
    called = resolved = type(env.unwrapped).__name__
    if spec is not None:
        called, resolved = id_of(spec), spec.id
    refuse_autoreset(called, env)
    control = dm_control_env(raw)
    if control is not None:
        control.physics.suppress_physics_errors().__enter__()  # as in `envs.construction`
    return wrapped(
        raw,
        env=called,
        resolved=resolved,
        registered_limit=limit,
        action_repeat=action_repeat or default_action_repeat(spec),
        max_episode_frames=max_episode_frames,
        perturb=perturb,
        shadows=True,
        step_timeout_seconds=step_timeout_seconds,
        cost_fn=cost_fn,
        pixels=pixels,
        stack=stack,
        goal=goal,
    )


def settings_of_made(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """The settings `env`, `env_kwargs` and `max_episode_frames` by which an environment can be made again.

    Args:
        env: an environment of `gymnasium.make`.

    Raises:
        EnvError: for an environment that has no id, one with wrappers that its id does not have, and one that was
            made without the limit that its id is registered with.
    """
    spec = env.spec
    advice = "register it, and give its id, so that a saved agent can make it again"
    own = _own_wrappers(env)
    if own and (spec is None or own != _registered_wrappers(spec)):
        raise EnvError(f"env: has the wrapper {own[0].__name__}; {advice}")
    if spec is None:
        raise EnvError(f"env: {type(env.unwrapped).__name__} has no id; {advice}")
    # How this one is drawn is no setting of a run: a film makes an environment of its own.
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    settings: dict[str, Any] = {"env": id_of(spec), "env_kwargs": kwargs}
    registered, limit = gymnasium.registry.get(spec.id), time_limit(env) or spec.max_episode_steps
    if registered is not None and registered.max_episode_steps != limit:
        if limit is None:
            raise EnvError(
                f"env: {spec.id} was made without its limit of {registered.max_episode_steps:,} steps; "
                "give max_episode_frames instead"
            )
        settings["max_episode_frames"] = limit
    return settings


def _own_wrappers(env: gymnasium.Env[Any, Any]) -> list[type]:
    """The kinds of wrappers around an environment that `gymnasium.make` does not add to every one."""
    return [type(layer) for layer in wrappers_of(env) if not isinstance(layer, OF_GYMNASIUM)]


def _registered_wrappers(spec: EnvSpec) -> list[type]:
    """Those that an environment has where its id is made, because what is registered puts them around it."""
    try:
        other = call(gymnasium.make, spec.id, disable_env_checker=True, **spec.kwargs)
    except Exception as error:
        raise EnvError(f"env: {spec.id} cannot be made again: its constructor {described(error)}") from error
    try:
        return _own_wrappers(other)
    finally:
        call(other.close)


def wraps(env: object, raw: Any) -> bool:
    """Whether an environment was made by `adopt` from `raw`, or from what is inside of it."""
    return isinstance(env, SafeEnv) and isinstance(raw, gymnasium.Env) and env.unwrapped is raw.unwrapped

"""Environments by id or by the settings of a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gymnasium import Env

import envs
from agent.configurator.dotted_names import replace
from agent.configurator.settings import NO_ENV, STATE_AND_GOAL, Config
from agent.configurator.validation import validate
from agent.cost.task import IN_PYTHON, TaskReward
from agent.cost.task_text import parse
from agent.errors import ConfigError
from envs.registry import checked_id
from joule.model_file import with_model_file
from joule.process_settings import keep_from_environments
from joule.settings import ENV_SETTINGS, merged
from joule.used_settings import check_used

if TYPE_CHECKING:
    from envs.rendering.pixels import PixelSettings
    from envs.safe_env import SafeEnv


def make_env(
    env: str | os.PathLike[str] | Config | Env[Any, Any],
    *,
    render_mode: str | None = None,
    width: int = 640,
    height: int = 480,
    shadows: bool = True,
    **settings: Any,
) -> SafeEnv:
    """Makes an environment: flat float32 observations, actions in [-1, 1], named readouts, exact snapshots.

    Its reward is minus the cost of the task, where the settings have one.

    Args:
        env: an id (`HalfCheetah-v5`, `my_pkg:MyArm-v0`, `dmc:walker-walk`, `joule/Push-v0`), an MJCF file, the
            settings of a run, or an environment of `gymnasium.make`, which is wrapped and renders as it was made.
        render_mode: `rgb_array` for an environment that renders frames.
        width: of a frame in pixels.
        height: of a frame in pixels.
        shadows: whether frames have shadows; without, small frames take half the time.
        settings: of the environment, where `env` is not the settings of a run: `env_kwargs`, `action_repeat`,
            `max_episode_frames`, `obs`, `perturb`, `task`, `step_timeout_seconds`; see `joule.Config`.

    Raises:
        ConfigError: for a setting that cannot be used, and for a task that was a Python function: no file can
            hold it.
        EnvError: for an environment that cannot be made, and for an object with no id to make it again by.
    """
    keep_from_environments()
    foreign = [name for name in settings if name not in ENV_SETTINGS]
    if foreign and not isinstance(env, Config):
        raise ConfigError(
            f"{foreign[0]}: is no setting of an environment; those are {', '.join(ENV_SETTINGS)}"
        )
    if isinstance(env, Env):
        rendering = {"render_mode": render_mode is None, "width": width == 640, "height": height == 480}
        return _of_made(env, merged(None, settings), {**rendering, "shadows": shadows})
    if isinstance(env, (str, os.PathLike)):
        given = with_model_file({**merged(None, settings), "env": os.fspath(env)})
        config = validate(replace(Config(), {**given, "env": checked_id(given["env"])}))
        check_used(config, given)
    elif not isinstance(env, Config):
        raise ConfigError(
            f"env: found {type(env).__name__}; give an id such as HalfCheetah-v5, an environment of "
            "gymnasium.make, or a joule.Config"
        )
    elif settings:
        raise ConfigError(f"{min(settings)}: the settings are in the configuration already")
    else:
        config = env
    check_has_env(config)
    made = envs.make(
        config.env,
        kwargs=config.env_kwargs,
        action_repeat=config.action_repeat,
        max_episode_frames=config.max_episode_frames,
        perturb=config.perturb,
        step_timeout_seconds=config.step_timeout_seconds,
        cost_fn=_cost_of_task(config),
        render_mode=render_mode,
        width=width,
        height=height,
        shadows=shadows,
        pixels=_pixels(config),
        stack=config.obs_frames,
        goal=config.obs == STATE_AND_GOAL,
    )
    made.made_from = config  # an agent that gets this environment is saved with these settings
    return made


def _of_made(env: Env[Any, Any], settings: dict[str, Any], rendering: dict[str, bool]) -> SafeEnv:
    """`make_env` of an environment that exists already.

    Args:
        env: one of `gymnasium.make`, or of `make_env`, which stays as it is.
        settings: of the environment.
        rendering: whether each argument of `make_env` on rendering has its default.

    Raises:
        ConfigError: for what can only be chosen before an environment is made.
        EnvError: as `make_env`.
    """
    from envs.adoption import settings_of_made
    from envs.safe_env import SafeEnv

    whole = isinstance(env, SafeEnv)
    made: dict[str, Any] = {} if whole else settings_of_made(env)
    late = [name for name, usual in rendering.items() if not usual]
    if twice := late + [name for name in settings if whole or name in made]:
        maker = "joule.make_env" if whole else "gymnasium.make"
        raise ConfigError(f"{twice[0]}: the environment is made already; give it to {maker}")
    if isinstance(env, SafeEnv):
        return env
    config = validate(replace(Config(), {**made, **settings}))
    check_used(config, settings)
    return wrap_env(config, env)


def wrap_env(config: Config, env: object, before: object = None) -> SafeEnv:
    """Wraps an environment of the user's, such as one of `gymnasium.make`, as `make_env` does that of `config`.

    Args:
        config: its `action_repeat`, `max_episode_frames`, `perturb`, `task` and `step_timeout_seconds` apply.
        env: the environment, with wrappers of the user's own.
        before: the environment that the agent has; it is returned where it is `env`, wrapped before.

    Raises:
        ConfigError: as `make_env`.
        EnvError: for an object that is no environment, or one that does not keep the contract.
    """
    from envs.adoption import adopt, wraps
    from envs.safe_env import SafeEnv

    if isinstance(before, SafeEnv) and wraps(before, env):
        return before
    keep_from_environments()
    made = adopt(
        env,
        action_repeat=config.action_repeat,
        max_episode_frames=config.max_episode_frames,
        perturb=config.perturb,
        step_timeout_seconds=config.step_timeout_seconds,
        cost_fn=_cost_of_task(config),
        pixels=_pixels(config),
        stack=config.obs_frames,
        goal=config.obs == STATE_AND_GOAL,
    )
    made.made_from = config
    return made


def _pixels(config: Config) -> PixelSettings | None:
    """What a camera shows the agent; None where it observes what the environment gives."""
    if config.obs in ("state", STATE_AND_GOAL):
        return None
    from envs.rendering.pixels import PixelSettings

    return PixelSettings(config.obs_size, config.obs_camera, config.obs_frames, config.obs != "pixels")


def _cost_of_task(config: Config) -> TaskReward | None:
    """The cost of the task, in place of the environment's own; None without one. Raises ConfigError."""
    if config.task.startswith(IN_PYTHON):
        name = config.task.removeprefix(IN_PYTHON)
        raise ConfigError(f"task: {name!r} was a function in Python; name a task, or hand an environment in")
    return TaskReward(parse(config.task)) if config.task else None


def settings_of(env: object) -> dict[str, Any]:
    """The settings by which `make_env` made an environment, or each of several side by side.

    Args:
        env: one environment, or a `SafeEnvs`, whose number and mode are settings as well.

    Returns:
        The settings by name; empty for any other object.

    Raises:
        ConfigError: for environments side by side that were made by different settings: a run has one of each.
    """
    from envs.safe_env import SafeEnv
    from envs.vector import SafeEnvs

    several: dict[str, Any] = {}
    if isinstance(env, SafeEnvs):
        several = {"num_envs": env.num_envs, "vector_mode": env.mode}
        made_from = env.attribute("made_from")
    else:
        made_from = [env.made_from] if isinstance(env, SafeEnv) else []
    settings = [
        {name: vars(config)[name] for name in ENV_SETTINGS} if isinstance(config, Config) else {}
        for config in made_from
    ]
    for number, own in enumerate(settings):
        for name in ENV_SETTINGS:
            first, other = settings[0].get(name), own.get(name)
            if first != other:
                raise ConfigError(
                    f"{name}: environment 0 has {first!r} and environment {number} has {other!r}; the "
                    "environments of one agent are made by the same settings"
                )
    return several | (settings[0] if settings else {})


def check_has_env(config: Config) -> None:
    """Raises ConfigError for the settings of an agent that learned from data without an environment."""
    if config.env == NO_ENV:
        raise ConfigError(
            "env: this agent learned from data without an environment, and can be neither evaluated nor shown in "
            "one; train it with --env for that"
        )

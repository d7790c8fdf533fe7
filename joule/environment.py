"""The environment that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import envs
from agent.configurator.settings import Config
from agent.cost.task import IN_PYTHON, TaskReward
from agent.cost.task_terms import parse
from agent.errors import ConfigError

if TYPE_CHECKING:
    from envs.safe_env import SafeEnv


def make_env(config: Config, **rendering: Any) -> SafeEnv:
    """The environment of a config; its reward is minus the cost of the config's task, where it has one.

    Args:
        config: names the environment and how it is changed.
        rendering: render_mode, width and height, as for `envs.make`.

    Raises:
        ConfigError: for a task that was a Python function: no file can hold it.
        EnvError: for an environment that cannot be made.
    """
    cost_fn = None
    if config.task.startswith(IN_PYTHON):
        name = config.task.removeprefix(IN_PYTHON)
        raise ConfigError(f"task: {name!r} was a function in Python; name a task, or hand an environment in")
    if config.task:
        cost_fn = TaskReward(parse(config.task))
    return envs.make(
        config.env,
        kwargs=config.env_kwargs,
        action_repeat=config.action_repeat,
        max_episode_frames=config.max_episode_frames,
        perturb=config.perturb,
        step_timeout_seconds=config.step_timeout_seconds,
        cost_fn=cost_fn,
        **rendering,
    )

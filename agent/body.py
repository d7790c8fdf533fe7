"""The body that a configuration names."""

import importlib
from typing import Any

from agent.configurator import Config
from agent.errors import ConfigError
from agent.task import IN_PYTHON, Priced, parse


def make_env(config: Config, **rendering: Any) -> Any:
    """The environment of a config. Looked up by name when it is needed, because the agent package
    does not depend on the environments: any module `envs` with a `make` of this form will do.
    `rendering` may hold render_mode, width and height. The reward is minus the cost of the config's task,
    if it has one. Raises ConfigError for a task that was a function: no file can hold it."""
    price = None
    if config.task.startswith(IN_PYTHON):
        name = config.task.removeprefix(IN_PYTHON)
        raise ConfigError(f"task: {name!r} was a function in Python; name a task, or hand an environment in")
    if config.task:
        price = Priced(parse(config.task))
    return importlib.import_module("envs").make(
        config.env,
        kwargs=config.env_kwargs,
        action_repeat=config.action_repeat,
        max_episode_steps=config.max_episode_steps,
        perturb=config.perturb,
        step_timeout=config.step_timeout,
        price=price,
        **rendering,
    )

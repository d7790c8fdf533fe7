"""The body that a configuration names."""

import importlib
from typing import Any

from agent.configurator.settings import Config
from agent.cost.task import IN_PYTHON, Priced
from agent.cost.task_terms import parse
from agent.errors import ConfigError
from agent.interface import Agent, BodyFacts, TrainingEnv


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


def fitting(facts: BodyFacts, env: Any, agent: str) -> Any:
    """`env`, if it is a body as `facts` tell of it for a kind of agent; only joule knows readouts.

    Raises ConfigError for one that has changed since.
    """
    for name, what in (("observation_size", "observations"), ("action_size", "actions")):
        was, found = getattr(facts, name), getattr(env.facts, name)
        if was != found:
            raise ConfigError(
                f"env: {env.facts.env} has {what} of {found} numbers, and the agent was made for {was}"
            )
    was, found = [*facts.readout_sizes.items()], [*env.facts.readout_sizes.items()]
    if agent == "joule" and was != found:
        told = " and ".join(", ".join(f"{name} [{size}]" for name, size in of) for of in (found, was))
        raise ConfigError(
            f"env: the readouts of {env.facts.env} are not those the agent was made for: {told}"
        )
    return env


def entered(agent: Agent, env: TrainingEnv | None) -> TrainingEnv:
    """The body that an agent lives in from now on: `env`, or the one it has, or the one of its config.

    An episode that is open in one body is not gone on with in another. Raises ConfigError for a body that the
    agent was not made for.
    """
    if env is None:
        return agent.env or fitting(agent.facts, make_env(agent.config), agent.config.agent)
    fitting(agent.facts, env, agent.config.agent)
    if agent.env is not None and env is not agent.env:
        agent.begin_episode()
    return env

"""Agents by the name of their kind."""

from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import Agent, EnvSpec, Services, TrainingEnv
from joule.environment import make_env
from joule.storage.saving import save_as_run

SERVICES = Services(make_env, save_as_run)
"""How agents make environments and save runs."""


def new_agent(config: Config, env: TrainingEnv) -> Agent:
    """A new, untrained agent of the kind `config.agent`, for `env`.

    Raises:
        ConfigError: for one that is to infer its sensors by a model that it has yet to learn.
    """
    if config.perceive == "energy":
        raise ConfigError(
            "perceive: energy is for a trained agent; train with encoder, then evaluate with --perceive energy"
        )
    return build_agent(config, env.env_spec, env)


def build_agent(config: Config, env_spec: EnvSpec, env: TrainingEnv | None) -> Agent:
    """An agent of the kind `config.agent` with untrained networks, to be trained or restored."""
    match config.agent:
        case "joule":
            from agent.agent import WorldModelAgent

            return WorldModelAgent(env_spec, config, env, SERVICES)
        case "random" | "zero":
            from joule.baselines.trivial import TrivialAgent

            return TrivialAgent(env_spec, config, env, SERVICES)
        case _:
            from joule.baselines.stable_baselines import Baseline

            return Baseline(env_spec, config, env, SERVICES)

"""Where the experience of training comes from: one environment, several side by side, or actors."""

from __future__ import annotations

from functools import partial

from agent.configurator.settings import Config
from agent.errors import ConfigError
from envs.safe_env import SafeEnv
from envs.vector import SafeEnvs
from joule.actors.pool import ActorPool
from joule.actors.start import start_actors
from joule.environment import make_env
from joule.memory_budget import check_environments


def make_envs(config: Config, ray: str | None = None) -> SafeEnv | SafeEnvs | ActorPool:
    """Where the experience of training comes from: one environment, `num_envs` side by side, or actors.

    Args:
        config: the settings.
        ray: address of the Ray cluster that the actors run on; empty for that of this machine, None for processes
            of this machine.

    Raises:
        ConfigError, EnvError: as `make_env`, and for a cluster that does not answer.
    """
    if config.actors:
        check_environments(config)
        return start_actors(config, ray)
    if ray is not None:
        raise ConfigError("--ray: it is for actors, and this run has none; give --actors N")
    if config.num_envs == 1:
        return make_env(config)
    check_environments(config)
    return SafeEnvs([partial(make_env, config)] * config.num_envs, config.vector_mode)

"""Starts the actors of a run."""

from __future__ import annotations

from typing import Any

from agent.configurator.settings import Config
from joule.actors.local import LocalActors
from joule.actors.pool import ActorPool
from joule.actors.transport import Transport
from joule.environment import make_env


def start_actors(config: Config, ray: str | None) -> ActorPool:
    """A pool of actors, whose processes are started once they are asked for experience.

    Args:
        config: the settings of the run.
        ray: as for `joule.training_envs.make_envs`.

    Raises:
        ConfigError, EnvError: for an environment that cannot be made, and for a cluster that does not answer or has
            fewer cores than there are actors.
    """
    env = make_env(config)  # what cannot be made is refused here, before any process is started
    spec = env.env_spec
    env.close()
    transport: Transport[Any] = LocalActors()
    if ray is not None:
        from joule.actors.ray_actors import RayActors
        from joule.ray_cluster import check_fits_cluster, connect

        cluster = connect(ray)
        check_fits_cluster(cluster, config.actors, f"{config.actors} actors")
        transport = RayActors(cluster)
    return ActorPool(config, spec, transport)

"""The environment of an agent that takes one."""

from __future__ import annotations

from agent.errors import ConfigError
from agent.interface import TrainingEnv, TrainingEnvs


def single_env(env: TrainingEnv | TrainingEnvs | None, kind: str) -> TrainingEnv | None:
    """`env`, where it is one environment or none.

    Args:
        env: what the agent was given.
        kind: of the agent.

    Raises:
        ConfigError: for several environments side by side, even where their number is 1.
    """
    if isinstance(env, TrainingEnvs):
        raise ConfigError(
            f"env: {kind} takes one environment, and {env.num_envs} side by side were handed in; "
            "only joule takes several"
        )
    return env

"""The environment of an agent that takes one."""

from __future__ import annotations

from typing import Any

from agent.errors import ConfigError
from agent.interface import TrainingEnvs


def single_env(env: Any, kind: str) -> Any:
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

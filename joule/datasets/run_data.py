"""What another run of Joule experienced, through its replay log: state or pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.agent import WorldModelAgent
from agent.configurator.settings import Config
from agent.cost.task_text import parse
from agent.errors import ConfigError
from agent.interface import Arrays, EnvSpec
from agent.learning.recorded import with_costs_of
from agent.training_env import check_spec, warn_of_other_pictures
from envs.safe_env import SafeEnv
from joule.storage.loading import load_experienced


def read_episodes(
    folder: Path, config: Config, env: SafeEnv, trust: Mapping[str, Any]
) -> tuple[list[Arrays], EnvSpec]:
    """The episodes of another run's replay buffer, its open ones included, with the costs of this run's task.

    Args:
        folder: the other run, or one of its checkpoints.
        config: the settings of this run.
        env: its environment.
        trust: as for `joule.load`.

    Returns:
        The rows of each episode, and the specification of the environment.

    Raises:
        ConfigError: for an agent without a world model, an environment of other sizes or names, and a task that its
            readouts do not serve.
        TaskError: where this run learns by the environment's own cost and the other one did not.
    """
    earlier = load_experienced(folder, config, trust)
    if not isinstance(earlier, WorldModelAgent):
        raise ConfigError(f"data: {folder} is a run of {earlier.kind}; the data of a run are those of joule")
    there, here = _shapes(earlier.env_spec), _shapes(env.env_spec)
    if there != here:
        raise ConfigError(
            f"data: {folder} has observations of {there}, and {config.env} with --obs {config.obs} has {here}"
        )
    spec = check_spec(earlier.env_spec, env, config.agent).env_spec
    if spec.action_repeat != earlier.env_spec.action_repeat:
        raise ConfigError(
            f"data: {folder} was recorded with an action repeat of {earlier.env_spec.action_repeat}, not "
            f"{spec.action_repeat}; give --action-repeat {earlier.env_spec.action_repeat}"
        )
    warn_of_other_pictures("data", spec, config, earlier.config)
    episodes = []
    for stream in earlier.modules.replay_buffer.streams:
        if stream.rows == 0:
            continue
        rows = stream.through_newest(stream.first)
        edges = np.flatnonzero(rows["last"]) + 1
        parts = {name: np.split(column, edges[:-1]) for name, column in rows.items()}
        pieces = [{name: part[k] for name, part in parts.items()} for k in range(len(edges))]
        episodes += [piece for piece in pieces if len(piece["last"]) > 1]  # one row has no transition
    if not episodes:
        raise ConfigError(f"data: {folder} has no experience")
    ours, theirs = config.task or "own", earlier.config.task or "own"
    if ours != theirs:
        cost = earlier.configurator.task_cost(parse(ours))
        episodes = with_costs_of(cost.task, episodes, earlier.modules.layout())
    return episodes, spec


def _shapes(spec: EnvSpec) -> str:
    """The parts of an observation, as in `pixels [9, 64, 64], state [17]`."""
    return ", ".join(f"{part.name} {list(part.shape)}" for part in spec.observation)

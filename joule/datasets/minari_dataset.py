"""Data sets of Minari (https://minari.farama.org), read from this machine and never downloaded unasked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from agent.errors import ConfigError
from agent.interface import Arrays
from envs.spaces import flattener
from joule.datasets.checked_episode import EpisodeShape, checked_rows
from joule.extras import needed

PREFIX = "minari:"


def opened(source: str) -> Any:
    """The Minari data set that `minari:ID` names.

    Raises:
        ConfigError: without Minari, and for one that is not on this machine, with the command that downloads it.
    """
    identifier = source.removeprefix(PREFIX)
    minari = needed("minari", "minari", "--data minari:ID")
    if not identifier.strip():
        raise ConfigError("data: minari: needs the id of a data set, such as minari:mujoco/hopper/medium-v0")
    try:
        return minari.load_dataset(identifier)
    except FileNotFoundError:
        raise ConfigError(
            f"data: there is no Minari data set {identifier} on this machine; download it with: minari download "
            f"{identifier}"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"data: the Minari data set {identifier} cannot be read: {error}") from error


def env_of(source: str, dataset: Any) -> str:
    """The id of the environment that a data set names.

    Raises:
        ConfigError: where it names none, one of a module, which would be imported, or one with arguments.
    """
    spec = dataset.spec.env_spec
    identifier = None if spec is None else spec.id
    if identifier is None:
        raise ConfigError(f"data: {source} does not say its environment; give it with --env")
    if ":" in identifier or spec.kwargs:
        found = f"{identifier} with {spec.kwargs}" if spec.kwargs else identifier
        raise ConfigError(
            f"data: {source} is of the environment {found}; give --env yourself, and --env-kwargs if it needs some"
        )
    return str(identifier)


def read_episodes(source: str, dataset: Any, shape: EpisodeShape) -> list[Arrays]:
    """The rows of all episodes; those of Minari have no readouts.

    Raises:
        ConfigError: as `checked_rows`, for observations that do not fit their space, and for a damaged file.
    """
    flatten = flattener(dataset.observation_space)
    found = []
    for number, episode in enumerate(_episodes(source, dataset)):
        where = f"{source}, episode {number}"
        try:
            observations = np.stack([flatten(one) for one in _steps(episode.observations)])
        except (ValueError, TypeError) as error:
            raise ConfigError(f"data: {where}: {error}") from error
        arrays = {
            "observations": observations,
            "actions": episode.actions,
            "rewards": episode.rewards,
            "terminations": episode.terminations,
            "truncations": episode.truncations,
        }
        found.append(checked_rows(where, arrays, shape))
    if not found:
        raise ConfigError(f"data: {source} holds no episode")
    return found


def _episodes(source: str, dataset: Any) -> Iterator[Any]:
    """The episodes of a data set, whose file is read one by one. Raises ConfigError for a damaged one."""
    episodes, number = iter(dataset.iterate_episodes()), 0
    while True:
        try:
            episode = next(episodes, None)
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise ConfigError(f"data: {source}, episode {number}: cannot be read: {error}") from error
        if episode is None:
            return
        yield episode
        number += 1


def _steps(observations: Any) -> Iterator[Any]:
    """The observation of each step; Minari keeps a Dict or a Tuple as one of arrays."""
    if isinstance(observations, dict):
        parts = {name: list(_steps(part)) for name, part in observations.items()}
        for step in range(min(map(len, parts.values()), default=0)):
            yield {name: part[step] for name, part in parts.items()}
    elif isinstance(observations, tuple):
        yield from zip(*(_steps(part) for part in observations), strict=True)
    else:
        yield from observations

"""Data sets of Minari (https://minari.farama.org), read from this machine and never downloaded unasked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from agent.errors import ConfigError
from agent.interface import Arrays
from envs.conventions import wrappers_of
from envs.faults.errors import EnvError
from envs.registry import checked_id
from envs.safe_env import SafeEnv
from envs.spaces import flattener
from envs.wrappers import Flat
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


def env_settings_of(source: str, dataset: Any) -> dict[str, Any]:
    """The settings of the environment that a data set names, with its limit where that is not the registered one.

    Raises:
        ConfigError: where it names none, one of a module, which would be imported, arguments or wrappers, or one
            that cannot be found.
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
    if spec.additional_wrappers:
        names = ", ".join(wrapper.name for wrapper in spec.additional_wrappers)
        raise ConfigError(
            f"data: {source} was recorded in {identifier} within {names}; give --env yourself, of an environment "
            "that has them"
        )
    try:
        checked_id(str(identifier))
    except EnvError as error:
        raise ConfigError(
            f"data: {source} was recorded in {identifier}: {error}; an environment of your own is named with its "
            f"module, as in --env my_module:{identifier}"
        ) from error
    settings: dict[str, Any] = {"env": str(identifier)}
    known = gymnasium.registry.get(identifier)
    if spec.max_episode_steps and known is not None and known.max_episode_steps != spec.max_episode_steps:
        settings["max_episode_frames"] = int(spec.max_episode_steps)
    return settings


def check_actions(source: str, dataset: Any, env: SafeEnv) -> None:
    """Checks that recorded actions are in the units of the environment's own.

    Raises:
        ConfigError: for a data set whose actions have other bounds.
    """
    recorded = dataset.action_space
    if not isinstance(recorded, gymnasium.spaces.Box):
        return
    ones = np.ones(env.env_spec.action_size, np.float32)
    low, high = env.own_action(-ones), env.own_action(ones)
    for bound, own in ((recorded.low, low), (recorded.high, high)):
        bounded = np.isfinite(bound)
        if bound.shape == own.shape and not np.allclose(bound[bounded], own[bounded], rtol=1e-5, atol=1e-6):
            raise ConfigError(
                f"data: actions of {source} have the bounds {recorded.low.tolist()} to {recorded.high.tolist()}, "
                f"and those of {env.env_spec.env} {low.tolist()} to {high.tolist()}; give the environment in which "
                "it was recorded, with --env"
            )


def observed_space(dataset: Any, env: gymnasium.Env[Any, Any]) -> gymnasium.Space[Any]:
    """The space of recorded observations, whose parts have the order in which the environment gives them.

    A data set keeps its space as JSON and has the parts sorted by name, which those of an environment need not be.

    Raises:
        ConfigError: for other parts, and for parts where those of the environment are not known.
    """
    flat = next(layer for layer in wrappers_of(env) if isinstance(layer, Flat))
    own, recorded = flat.env.observation_space, dataset.observation_space
    parts = isinstance(recorded, gymnasium.spaces.Dict) and len(recorded) > 1
    if parts and not isinstance(own, gymnasium.spaces.Dict):
        raise ConfigError(
            f"data: the recorded observations have the parts {', '.join(recorded)}, and those of the environment "
            "are one array, whose order nothing says; give the environment in which they were recorded, with --env"
        )
    if not (isinstance(own, gymnasium.spaces.Dict) and isinstance(recorded, gymnasium.spaces.Dict)):
        return recorded
    if set(own) != set(recorded):
        raise ConfigError(
            f"data: the recorded observations have the parts {', '.join(recorded)}, and those of the environment "
            f"are {', '.join(own)}; give the environment in which they were recorded, with --env"
        )
    return own


def read_episodes(
    source: str, dataset: Any, shape: EpisodeShape, space: gymnasium.Space[Any]
) -> list[Arrays]:
    """The rows of all episodes; those of Minari have no readouts.

    Args:
        source: the data set as the user named it.
        dataset: the data set.
        shape: of the rows.
        space: of an observation.

    Raises:
        ConfigError: as `checked_rows`, for observations that do not fit their space, and for a damaged file.
    """
    flatten = flattener(space)
    found = []
    for number, episode in enumerate(_episodes(source, dataset)):
        where = f"{source}, episode {number}"
        try:
            observations = np.stack([flatten(one) for one in _steps(episode.observations)])
        except (ValueError, TypeError, KeyError) as error:
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

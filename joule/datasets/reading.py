"""Recorded episodes from wherever `--data` says, read in full and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.configurator.settings import NO_ENV, Config
from agent.cost.readouts import Readouts
from agent.cost.task_text import parse
from agent.errors import ConfigError
from agent.interface import EnvSpec
from agent.learning.recorded import with_costs_of
from agent.memory.columns import has_readouts as known_rows
from agent.memory.columns import is_picture, sees_pictures
from envs.env_spec import STATE, ObservationPart
from envs.readouts import named
from envs.safe_env import SafeEnv
from joule.datasets import minari_dataset, npz_folder, run_data, swm_recording
from joule.datasets.checked_episode import EpisodeShape
from joule.datasets.dataset import Dataset
from joule.datasets.source import is_minari, is_swm, run_of
from joule.storage.env_spec import StoredEnvSpec

OBSERVATION = "observation"
"""The readout of data without an environment: the observation itself."""


def read_data(config: Config, env: SafeEnv | None, trust: Mapping[str, Any]) -> Dataset:
    """The recorded episodes of a run.

    Args:
        config: its settings.
        env: its environment; None where there is none at hand.
        trust: as for `joule.load`.

    Raises:
        ConfigError: for data that cannot be learned from; the sentence names the file, the episode and the step.
    """
    source = config.data
    if not is_minari(source) and not is_swm(source) and (folder := run_of(source)) is not None:
        if env is None:
            raise ConfigError(f"env: the run {folder} was without an environment too; give its data")
        episodes, spec = run_data.read_episodes(folder, config, env, trust)
        has_readouts = any(known_rows(rows["readout"]).any() for rows in episodes)
        _check_constraint(config, has_readouts)
        return Dataset(source, episodes, spec, has_readouts)
    if is_swm(source):
        if env is None:
            raise ConfigError(f"env: {source} needs its environment; leave out --env {NO_ENV}")
        _check_no_own_picture(source, env)
        episodes, has_readouts = swm_recording.read_episodes(
            swm_recording.Recording(source),
            swm_recording.numbers_of(env.unwrapped.observation_space),
            _seen_shape(env),
            rewards=config.reward != "none",
        )
        spec = env.env_spec
    elif is_minari(source):
        dataset = minari_dataset.opened(source)
        if env is None:
            raise ConfigError(f"env: {source} needs its environment; leave out --env {NO_ENV}")
        minari_dataset.check_actions(source, dataset, env)
        space = minari_dataset.observed_space(dataset, env)
        episodes, has_readouts = minari_dataset.read_episodes(source, dataset, _shape_of(env), space), False
        spec = env.env_spec
    else:
        files = npz_folder.files_in(Path(source))
        if env is None:
            return _without_env(source, files)
        episodes, has_readouts = npz_folder.read_episodes(files, _shape_of(env))
        spec = env.env_spec
    _check_constraint(config, has_readouts)
    if config.task:
        layout = Readouts(spec.readout_sizes, spec.derived_readouts)
        episodes = with_costs_of(parse(config.task), episodes, layout)
    return Dataset(source, episodes, spec, has_readouts)


def _check_constraint(config: Config, has_readouts: bool) -> None:
    """Raises ConfigError for a constraint where the episodes have no readouts."""
    if config.constraint and not has_readouts:
        raise ConfigError(
            f"constraint: a constraint is a limit on readouts, and the episodes of {config.data} have none"
        )


def _check_no_own_picture(source: str, env: SafeEnv) -> None:
    """Raises ConfigError where a picture is observed that is the environment's own, not a camera's."""
    spec = env.env_spec
    if env.sees_own_picture:
        raise ConfigError(
            f"data: the observation of {spec.env} has a picture of its own, which is not learned from {source}; "
            "give --obs pixels, or an environment that observes numbers alone"
        )


def _shape_of(env: SafeEnv) -> EpisodeShape:
    spec = env.env_spec
    if sees_pictures(spec):
        raise ConfigError(
            f"data: observations of {spec.env} have a picture; pictures are learned from a run folder of joule"
        )
    return EpisodeShape(spec.observation_size, sum(spec.readout_sizes.values()), env.recorded_action)


def _seen_shape(env: SafeEnv) -> EpisodeShape:
    """The shape of episodes whose observations may have pictures; a row has the newest one of a stack."""
    parts = {part.name: part for part in env.env_spec.observation}
    seen = [part for part in parts.values() if is_picture(part)]
    pictures = None
    if seen:
        channels, height, width = seen[0].shape
        pictures = (channels // seen[0].stack, height, width)
    numbers = sum(part.shape[0] for part in parts.values() if not is_picture(part))
    sizes = env.env_spec.readout_sizes
    return EpisodeShape(
        numbers,
        sum(sizes.values()),
        env.recorded_action,
        pictures,
        reads_observation=list(sizes) == [named.OBSERVATION],
    )


def _without_env(source: str, files: list[Path]) -> Dataset:
    """Episodes of an environment that is not at hand: actions in [-1, 1], and sizes of the first episode.

    The readout is the observation. An episode is as long as the longest one at most.
    """
    where, first = next(npz_folder.arrays_of(files[:1]))
    sizes = {}
    for name in ("observations", "actions"):
        array = first.get(name)
        if array is None or array.ndim != 2 or not array.shape[1]:
            found = "is missing" if array is None else f"has shape {list(array.shape)}"
            raise ConfigError(
                f"data: {where}: {name} {found}; give [steps, numbers], or the environment with --env"
            )
        sizes[name] = array.shape[1]
    obs, act = sizes["observations"], sizes["actions"]

    def to_unit(own: np.ndarray) -> np.ndarray:
        if own.shape[1:] != (act,):
            raise ValueError(f"actions has shape {list(own.shape)}; the first episode has [steps, {act}]")
        return own

    episodes, _ = npz_folder.read_episodes(files, EpisodeShape(obs, obs, to_unit), with_readouts=False)
    episodes = [{**rows, "readout": rows["obs"].copy()} for rows in episodes]
    spec: EnvSpec = StoredEnvSpec(
        env=NO_ENV,
        observation=(ObservationPart(STATE, (obs,), "float32"),),
        action_size=act,
        episode_limit=max(len(rows["last"]) for rows in episodes) - 1,
        action_repeat=1,
        readout_sizes={OBSERVATION: obs},
        derived_readouts={},
        other={"resolved": NO_ENV, "seconds_per_decision": None, "mujoco": False},
    )
    return Dataset(source, episodes, spec, True)

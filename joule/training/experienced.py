"""New runs that begin with experience: that of another run's agent, or recorded episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.agent import WorldModelAgent
from agent.configurator.settings import NO_ENV, Config
from agent.errors import ConfigError
from agent.interface import Agent
from joule.agents import new_agent
from joule.cli import signals
from joule.datasets.reading import read_data
from joule.environment import make_env
from joule.memory_budget import check_budget
from joule.storage.agent_checkpoint import save_as_run
from joule.storage.loading import load_experienced
from joule.storage.run_folder import Run
from joule.storage.run_paths import default_folder
from joule.storage.trust import modules_named, trusted_modules
from joule.training import env_check
from joule.training.evaluation import evaluator_of
from joule.training.session import Reporting, TrainedRun, check_eval_process, train_further
from joule.training_envs import make_envs


def train_init_from(
    config: Config,
    earlier: Path,
    out: Path | None,
    command: Sequence[str],
    *,
    reporting: Reporting,
    handle_signals: bool = False,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    ray: str | None = None,
) -> TrainedRun:
    """Makes a run folder whose agent begins with what the agent of another run has learned, and trains it.

    Args:
        config: the settings.
        earlier: the other run, or one of its checkpoints.
        out: as for `train_new`; the folder is a run with a checkpoint, or it does not exist.
        command: as for `train_new`.
        reporting: as for `train_new`.
        handle_signals: as for `train_new`.
        trust_modules: as for `joule.load`.
        trust_env_kwargs: as for `joule.load`.
        ray: as for `joule.training_envs.make_envs`.

    Raises:
        ConfigError: for an agent that does not fit the settings or their environment.
        RunError: for a folder that is not free.
        StopRun: when the run cannot continue.
    """
    check_eval_process(config)
    trust: dict[str, Any] = {"trust_modules": trust_modules, "trust_env_kwargs": trust_env_kwargs}
    folder = default_folder(config) if out is None else _linked(out)
    _save_init_from(config, load_experienced(earlier, config, trust), folder, command, ray)
    modules = [*trusted_modules(trust_modules), *modules_named(config)]  # this user gave the settings
    run = Run.open(folder, trust_modules=modules, trust_env_kwargs=True)
    return train_further(run, config, reporting=reporting, handle_signals=handle_signals, ray=ray)


def _linked(out: Path) -> Path:
    """Where a link leads, because a new folder takes the place of an empty one; another path as it was given."""
    return out.resolve() if out.is_symlink() else out


def _save_init_from(
    config: Config, earlier: Agent, folder: Path, command: Sequence[str], ray: str | None
) -> None:
    """Writes a run whose agent begins with another one. Both agents are gone when it returns."""
    env = make_envs(config, ray)  # as training will: a cluster that cannot be used leaves no folder
    try:
        check_budget(config, env.env_spec, sum(rows.total - rows.first for rows in earlier.replay))
        agent = new_agent(config, env)
        if not isinstance(agent, WorldModelAgent) or not isinstance(earlier, WorldModelAgent):
            raise ConfigError("init_from: only joule begins with another agent: it has a world model")
        agent.env = None  # it has no state yet
        agent.begin_with(earlier)
    finally:
        env.close()
    evaluator_of(config).close()  # it refuses settings too
    with signals.unwinding():
        save_as_run(agent, folder, command, env_check.check_env(config), replace_empty=True)


def train_offline(
    config: Config,
    out: Path | None,
    command: Sequence[str],
    *,
    reporting: Reporting,
    handle_signals: bool = False,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
) -> TrainedRun:
    """Makes a run folder whose agent has the experience of recorded episodes, and trains it without interaction.

    Args:
        config: the settings, with `data`.
        out: as for `train_init_from`.
        command: as for `train_new`.
        reporting: as for `train_new`.
        handle_signals: as for `train_new`.
        trust_modules: as for `joule.load`, where the data are those of another run.
        trust_env_kwargs: as for `joule.load`, likewise.

    Raises:
        ConfigError: for data that cannot be learned from; then nothing is written.
        RunError: for a folder that is not free.
        StopRun: when the run cannot continue.
    """
    check_eval_process(config)
    folder = default_folder(config) if out is None else _linked(out)
    trust: dict[str, Any] = {"trust_modules": trust_modules, "trust_env_kwargs": trust_env_kwargs}
    _save_offline(config, folder, command, trust)
    modules = [*trusted_modules(trust_modules), *modules_named(config)]  # this user gave the settings
    run = Run.open(folder, trust_modules=modules, trust_env_kwargs=True)
    return train_further(run, config, reporting=reporting, handle_signals=handle_signals)


def _save_offline(config: Config, folder: Path, command: Sequence[str], trust: Mapping[str, Any]) -> None:
    """Writes a run whose agent has the data in its replay buffer. What was read is gone when it returns."""
    env = None if config.env == NO_ENV else make_env(config)
    try:
        data = read_data(config, env, trust)
    finally:
        if env is not None:
            env.close()
    check_budget(config, data.env_spec, data.rows)
    agent = new_agent(config, None, data.env_spec)
    assert isinstance(agent, WorldModelAgent), "other agents were refused with the settings"
    agent.remember(data.episodes)
    checks: dict[str, Any] = {env_check.DATA: data.record()}
    if env is not None:
        checks |= env_check.check_env(config)
        evaluator_of(config).close()  # it refuses settings too
    with signals.unwinding():
        save_as_run(agent, folder, command, checks, replace_empty=True)

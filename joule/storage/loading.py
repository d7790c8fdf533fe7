"""Loads trained agents from run folders."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium

from agent.configurator.dotted_names import drop_foreign_settings, replace
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.settings import KIND_SECTIONS, Config, PlannerConfig
from agent.configurator.validation import validate
from agent.cost.task import IN_PYTHON
from agent.cost.task_text import parse
from agent.errors import ConfigError
from agent.interface import Agent, TrainingEnv, TrainingEnvs
from agent.training_env import check_spec
from envs.registry import import_module_of
from joule.agents import build_agent
from joule.arguments import as_path
from joule.environment import wrap_env
from joule.model_file import check_robot_kept, with_model_file
from joule.settings import check_num_envs, merged
from joule.storage.agent_checkpoint import named_checkpoint, newest_checkpoint, restore_checkpoint
from joule.storage.checkpoint import Checkpoint
from joule.storage.env_spec import spec_of_run
from joule.storage.errors import RunError
from joule.storage.run_folder import Run
from joule.storage.run_paths import located
from joule.used_settings import check_agent_uses

log = logging.getLogger(__name__)


def load(
    path: str | os.PathLike[str],
    env: TrainingEnv | TrainingEnvs | gymnasium.Env[Any, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    **keywords: Any,
) -> Agent:
    """Loads the trained agent of a run. It can predict at once.

    Further learning begins with a new episode. Its seed follows from the run's seed and frames, so that it is
    the same every time the run is loaded.

    Args:
        path: a run folder, for its newest checkpoint that verifies, one of its `checkpoints/step-<n>`, or an agent
            that comes with Joule, such as `joule://halfcheetah`.
        env: the environment to learn in. Without it the agent makes the one of its settings when it learns.
        settings: what to change by dotted name, such as {"planner.kind": "icem"}; not the task.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.
        keywords: settings without a dot in their names, such as `device="cuda"`.

    Raises:
        RunError: for a folder that is not a run, is not trusted, or has no checkpoint.
        CheckpointError: when no checkpoint verifies.
        ReplayLogError: when the replay log of the chosen checkpoint does not verify.
        ConfigError: for a setting that cannot be changed so, or an environment that does not fit.
    """
    changes = merged(settings, keywords, load)
    folder, chosen = located(as_path("path", path))
    run = Run.open(
        folder,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
        changes=changes,
    )
    check_robot_kept(run.config, changes)
    changes = with_model_file(changes, run.config)
    import_module_of(run.config.env)
    return restored(run, chosen, env, changes)[0]


def load_experienced(path: Path, config: Config, trust: Mapping[str, Any]) -> Agent:
    """Loads the agent of a run for what it has learned and experienced. It does not act, and has no planner.

    Args:
        path: as for `load`.
        config: of the run that it is for, whose device and memory budget hold.
        trust: `trust_modules` and `trust_env_kwargs`, as for `load`.

    Raises:
        RunError, CheckpointError, ReplayLogError, ConfigError: as `load`.
    """
    folder, chosen = located(path)
    run = Run.open(folder, **trust, changes={"planner.kind": NO_PLANNER})
    import_module_of(run.config.env)
    run.config = dataclasses.replace(run.config, planner=PlannerConfig(NO_PLANNER))
    usable = {"device": config.device, "memory_budget_gb": config.memory_budget_gb, "constraint": ()}
    return restored(run, chosen, settings=usable)[0]


def restored(
    run: Run,
    chosen: Path | None = None,
    env: TrainingEnv | TrainingEnvs | gymnasium.Env[Any, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Agent, Checkpoint]:
    """The agent of a run, and the checkpoint that it was restored from. No module of its environment is imported.

    Args:
        run: the run.
        chosen: one of its checkpoints; None takes the newest that verifies.
        env: as for `load`.
        settings: as for `load`.

    Raises:
        RunError, CheckpointError, ReplayLogError, ConfigError: as `load`.
    """
    changes = merged(settings, {})
    if changes.get("task", run.config.task) != run.config.task:
        raise ConfigError(
            "task: the setting says what the agent was trained for and cannot change; plan_for plans for "
            "another task, learn_task learns it"
        )
    check_agent_uses(run.config.agent, changes)
    config, dropped = drop_foreign_settings(replace(run.config, changes), changes)
    if dropped:
        log.warning("dropped, because the new kind does not have them: %s", ", ".join(dropped))
    for section in KIND_SECTIONS:
        own = getattr(config, section).settings
        kept = [f"{section}.{name} {own[name]!r}" for name in own if f"{section}.{name}" not in changes]
        if kept and getattr(config, section).kind != getattr(run.config, section).kind:
            log.warning("kept from the run, because the new kind has them too: %s", ", ".join(kept))
    validate(config)
    check_num_envs(run.config, config)
    env_spec = spec_of_run(run)
    if isinstance(env, gymnasium.Env) and not isinstance(env, TrainingEnv):
        env = wrap_env(config, env)
    if env is not None:
        env_spec = check_spec(env_spec, env, config.agent).env_spec
    agent = build_agent(config, env_spec, env)
    found = newest_checkpoint(agent, run) if chosen is None else named_checkpoint(agent, run, chosen)
    if found is None:
        raise RunError(f"{run.folder}: has no checkpoint yet; try again when its training has written one")
    restore_checkpoint(agent, *found)
    agent.begin_episode()
    return agent, found[0]


def load_changed(
    path: str | Path,
    changes: Mapping[str, Any],
    task: str | None,
    updates: int | None,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
) -> tuple[Agent, Config]:
    """Loads an agent with the changes that a command was given.

    Args:
        path: as for `load`.
        changes: settings to change, by dotted name.
        task: another task; None keeps that of the run.
        updates: gradient steps to learn the task with, or without a task the constraints; None plans for it
            without learning.
        trust_modules: as for `load`.
        trust_env_kwargs: as for `load`.

    Returns:
        The agent, and the settings of the environment to show it in.

    Raises:
        ConfigError, RunError, CheckpointError, ReplayLogError: as `load` and `apply_task`.
    """
    agent = load(path, settings=changes, trust_modules=trust_modules, trust_env_kwargs=trust_env_kwargs)
    if agent.config.perceive == "energy":
        from agent.agent import WorldModelAgent

        assert isinstance(agent, WorldModelAgent), "the setting is refused for other kinds"
        agent.modules.calibrate_sensors()  # a replay buffer that is too small is refused before anything is shown
    if task is None:
        env_config = agent.config
        if updates:
            learn_constraints(agent, updates)
        return agent, env_config
    return agent, apply_task(agent, task, updates, changes.get("planner.horizon_decisions"))


def learn_constraints(agent: Agent, updates: int) -> None:
    """Has an agent learn to act within its constraints. Raises ConfigError for one without a world model."""
    from agent.agent import WorldModelAgent

    if not isinstance(agent, WorldModelAgent):
        raise ConfigError(f"learn_task: {agent.kind} has no world model to learn in; joule has")
    agent.learn_constraints(updates)


def apply_task(agent: Agent, text: str, updates: int | None, horizon: int | None) -> Config:
    """Makes an agent act for a task.

    An agent that was trained for the task stays as it is, and so does one without a world model. One that learned
    without rewards acts for no task of its own.

    Args:
        agent: the agent.
        text: the task.
        updates: gradient steps to learn the task with; None plans for it without learning.
        horizon: decisions that are planned ahead without learning; None takes the default for tasks.

    Returns:
        The settings of an environment whose reward is minus the cost of the task.

    Raises:
        ConfigError: for a task that does not fit the environment, and for an agent that cannot learn it.
    """
    config = validate(replace(agent.config, {"task": text}))
    own = agent.config.task or "own"
    same = own == text or (not own.startswith(IN_PYTHON) and parse(own).text == parse(text).text)
    if same and not updates and config.reward != "none":  # else its own reward is not what it acts for
        return config
    from agent.agent import WorldModelAgent  # imports torch, which an agent of another kind may not need

    if not isinstance(agent, WorldModelAgent):
        if updates:
            raise ConfigError(f"learn_task: {agent.kind} has no world model to learn in; joule has")
        return config
    if updates:
        agent.learn_task(parse(text), updates)
        return agent.config
    agent.plan_for(parse(text), horizon)
    return replace(agent.config, {"task": text})

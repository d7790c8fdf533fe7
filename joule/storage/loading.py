"""Agents from their names and from run folders."""

import dataclasses
import logging
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from agent.configurator.settings import PLANNER_SETTINGS, Config
from agent.configurator.validation import replace, validate
from agent.cost.task_terms import parse
from agent.errors import ConfigError
from agent.interface import Agent, BodyFacts, TrainingEnv
from joule.agents import build_agent
from joule.environment import fitting
from joule.storage.run_folder import Run, RunError, located
from joule.storage.saving import named_checkpoint, newest_checkpoint, put_back

log = logging.getLogger(__name__)


def load(
    path: str | Path,
    env: TrainingEnv | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    trust_modules: Sequence[str] = (),
) -> Agent:
    """The trained agent of a run folder, or of one of its `checkpoints/step-<n>` folders.

    Without `env` the agent can predict at once, and makes its own environment when it is told to
    learn. Learning begins with a new episode, whose seed follows from the run's and its progress.
    `overrides` changes settings by dotted name, such as {"planner.kind": "icem"}. What it was trained for is
    none of them. Raises RunError, CheckpointError or ConfigError with one sentence.
    """
    folder, one = located(path)
    run = Run.open(folder, trust_modules=trust_modules)
    changes = dict(overrides or {})
    if changes.get("task", run.config.task) != run.config.task:
        raise ConfigError(
            "task: what an agent learned does not change by its name; pursue plans for another, "
            "retask learns it"
        )
    config = without_strange_settings(validate(replace(run.config, changes)), changes)
    facts = facts_of(run)
    if env is not None:
        facts = fitting(facts, env, config.agent).facts
    agent = build_agent(config, facts, env)
    found = newest_checkpoint(agent, run) if one is None else named_checkpoint(agent, run, one)
    if found is None:
        raise RunError(f"{run.folder}: has no checkpoint yet")
    put_back(agent, *found)
    agent.begin_episode()
    return agent


def without_strange_settings(config: Config, given: Mapping[str, Any]) -> Config:
    """`config` without the settings of another planner, when `given` switches to a kind that lacks them.

    `given` is what the user asked for, by dotted name; the rest comes from a preset or a run. What is dropped
    is said. Raises ConfigError for a setting in `given` that the planner does not have.
    """
    if config.agent != "joule":
        return config
    import planners

    kind = config.planner.kind
    has = [] if kind == "policy" else [f.name for f in dataclasses.fields(planners.settings(kind))]
    strange = [n for n in PLANNER_SETTINGS if getattr(config.planner, n) is not None and n not in has]
    for name in strange:
        if f"planner.{name}" in given:
            known = f"; it accepts {', '.join(n for n in PLANNER_SETTINGS if n in has)}" if has else ""
            raise ConfigError(f"planner.{name}: planner {kind} has no such setting{known}")
    if not strange or "planner.kind" not in given:
        return config
    log.warning("planner %s has no %s: what was set for another is dropped", kind, ", ".join(strange))
    return replace(config, {f"planner.{name}": None for name in strange})


def load_changed(
    path: str | Path,
    changes: Mapping[str, Any],
    task: str | None,
    updates: int | None,
    trust_modules: Sequence[str] = (),
) -> tuple[Agent, Config]:
    """`load` with what a door was told to change, and the config of the world that the agent is shown in.

    A `task` is taken up as `take_up` does. Raises as `load` and `take_up` do.
    """
    agent = load(path, overrides=changes, trust_modules=trust_modules)
    if task is None:
        return agent, agent.config
    return agent, take_up(agent, task, updates, changes.get("planner.horizon"))


def take_up(agent: Agent, text: str, updates: int | None, horizon: int | None) -> Config:
    """Sets an agent on a task, and gives the config of an environment whose reward is that task's.

    With `updates` the task is learned inside the model, else it is planned for, `horizon` decisions ahead
    (None: the planner's own default for tasks). An agent that was trained for the task stays as it is, and so
    does one without a world model. Raises ConfigError with one sentence.
    """
    config = validate(replace(agent.config, {"task": text}))
    if agent.config.task == text and not updates:
        return config
    if not hasattr(agent, "retask"):
        if updates:
            raise ConfigError(f"retask: {agent.kind} has no world model to learn in; joule has")
        return config
    task, able = parse(text), cast(Any, agent)
    if updates:
        able.retask(task, updates)
        return agent.config
    able.pursue(task, horizon)
    return replace(agent.config, {"task": text})


def facts_of(run: Run) -> BodyFacts:
    """The facts of a run's environment from its file, bounded: they size the networks.

    Raises RunError naming the entry at fault.
    """
    facts = run.env_facts
    sizes = facts.get("readout_sizes")
    if not (isinstance(sizes, dict) and all(_is_size(size) for size in sizes.values())):
        raise RunError(f"{run.folder}: run.json has no sizes of readouts")
    for name in ("observation_size", "action_size", "action_repeat"):
        if not _is_size(facts.get(name)):
            raise RunError(f"{run.folder}: run.json gives {name} as {facts.get(name)!r}")
    if not isinstance(facts.get("readout_views") or {}, dict):
        raise RunError(f"{run.folder}: run.json gives readout_views as {facts['readout_views']!r}")
    if not (facts.get("episode_limit") is None or _is_size(facts["episode_limit"], 10**12)):
        raise RunError(f"{run.folder}: run.json gives episode_limit as {facts['episode_limit']!r}")
    known: BodyFacts = types.SimpleNamespace(**{"episode_limit": None, "readout_views": None, **facts})  # type: ignore[assignment]
    return known


def _is_size(value: Any, most: int = 1_000_000) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most

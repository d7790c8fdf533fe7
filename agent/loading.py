"""Agents from their names and from run folders."""

import importlib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import checkpoint
from agent.configurator import Config, replace, validate
from agent.interface import Agent, BodyFacts, TrainingEnv
from agent.runs import Run
from agent.trainer import identity_of, newest_checkpoint, put_back


def make(config: Config, env: TrainingEnv) -> Agent:
    """A new, untrained agent of the kind `config.agent`, living in `env`."""
    return _build(config, env.facts, env)


def _build(config: Config, facts: BodyFacts, env: TrainingEnv | None) -> Agent:
    match config.agent:
        case "joule":
            from agent.joule import Joule

            return Joule(facts, config, env)
        case "random" | "zero":
            from agent.floors import Floor

            return Floor(facts, config, env)
        case _:
            from agent.baselines import Baseline

            return Baseline(facts, config, env)


def load(
    path: str | Path,
    env: TrainingEnv | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    trust_modules: Sequence[str] = (),
) -> Agent:
    """The trained agent of a run folder, or of one of its `checkpoints/step-<n>` folders.

    Without `env` the agent can predict at once, and makes its own environment when it is told to
    learn. `overrides` changes settings by dotted name, such as {"planner.kind": "icem"}. Raises
    RunError, CheckpointError or ConfigError with one sentence.
    """
    folder = Path(path)
    one = folder if (folder / "MANIFEST.json").exists() else None
    run = Run.open(folder.parent.parent if one else folder, trust_modules=trust_modules)
    config = validate(replace(run.config, dict(overrides or {})))
    facts = types.SimpleNamespace(**run.env_facts)
    agent = _build(config, facts, env)
    saved = checkpoint.load(one, expect=identity_of(agent)) if one else newest_checkpoint(agent, run)
    put_back(agent, saved, run)
    agent.begin_episode()
    return agent


def make_env(config: Config, **rendering: Any) -> TrainingEnv:
    """The environment of a config. Looked up by name when it is needed, because the agent package
    does not depend on the environments: any module `envs` with a `make` of this form will do.
    `rendering` may hold render_mode, width and height."""
    env: TrainingEnv = importlib.import_module("envs").make(
        config.env,
        kwargs=config.env_kwargs,
        action_repeat=config.action_repeat,
        max_episode_steps=config.max_episode_steps,
        perturb=config.perturb,
        **rendering,
    )
    return env

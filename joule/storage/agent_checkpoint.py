"""Saves agents as checkpoints of a run, and restores them.

A checkpoint belongs to a run folder: its identity names the run, and its replay rows are in the run's replay
log. So an agent that is saved from Python becomes a run of its own, which every command can open and resume.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.arguments import folder_path
from agent.cost.readouts import TaskError
from agent.errors import StopRun
from agent.interface import Agent, Arrays
from agent.memory.columns import lacks_readouts
from joule.memory_budget import check_budget, largest_checkpoint
from joule.storage import checkpoint
from joule.storage.checkpoint import Checkpoint, CheckpointError
from joule.storage.env_spec import spec_to_json
from joule.storage.errors import ReplayLogError, RunError
from joule.storage.files import why
from joule.storage.meta_schema import check_identity, check_meta, check_no_options
from joule.storage.new_folder import new_folder
from joule.storage.provenance import version
from joule.storage.run_folder import Run
from joule.storage.run_paths import check_replaceable, default_folder
from joule.storage.run_replay import ReplayLogs, not_finite
from joule_errors import Refused
from joule_schema.errors import SchemaError, shown

Saved = tuple[Checkpoint, ReplayLogs]
"""A verified checkpoint, and the verified replay logs at its commit, ready for appending."""

_MAY_BE_INFINITE = ("acting/", "env/")
"""Prefixes of arrays that are not checked. Energies of a plan are infinite where a prediction diverged. The
state of an environment may hold any number."""


def save_agent(agent: Agent, path: str | Path) -> None:
    """Writes a run folder at `path`, or where that cannot be done, at a free path below `runs`.

    The agent is saved all the same, because what it has learned is lost when the program ends with the error. One
    that has not learned yet is not saved elsewhere.

    Args:
        agent: the agent.
        path: as for `save_as_run`.

    Raises:
        RunError, ConfigError: when it cannot be saved at `path`; the message names the other path.
        StopRun: as `save_as_run`.
    """
    try:
        save_as_run(agent, folder_path(path))
    except Refused as error:
        if not agent.frames:
            raise
        elsewhere = default_folder(agent.config)
        try:
            save_as_run(agent, elsewhere)
        except Refused:
            raise error from None
        raise RunError(f"{error}; the agent is saved in {elsewhere} instead") from error


def save_as_run(
    agent: Agent,
    path: str | Path,
    command: Sequence[str] = (),
    checks: Mapping[str, Any] | None = None,
    replace_empty: bool = False,
) -> None:
    """Writes a new run folder that holds the agent as it is. The folder is complete or absent.

    Args:
        agent: the agent.
        path: the folder; nothing may be there, and its parent must exist.
        command: the words of the shell command that makes the run; none for one that is made from Python.
        checks: what is known of its environment, as JSON values; see `joule.training.env_check`.
        replace_empty: whether an empty folder may be there.

    Raises:
        RunError: when the path is taken or the disk refuses.
        StopRun: when a weight or a replay row is not finite.
    """
    folder = Path(path)
    if os.path.lexists(folder) and not replace_empty:
        raise RunError(f"{folder}: exists already; save to a path that is free")
    check_replaceable(folder)
    if agent.env_spec.env != agent.config.env:
        raise RunError(
            f"{folder}: not saved, because the agent acts in {agent.env_spec.env} "
            f"and its settings name {agent.config.env}"
        )
    temporary = folder
    try:
        with new_folder(folder, "agent") as temporary:
            spec = spec_to_json(agent.env_spec) | dict(checks or {})
            with Run.create(temporary, agent.config, command, spec) as run:
                # A resume completes the last decision: it logs it and evaluates where an evaluation is due.
                unfinished = max(agent.frames - frames_at_once(agent), 0) if agent.frames else None
                write_checkpoint(agent, run, ReplayLogs(run.replay, agent), unfinished_since=unfinished)
    except OSError as error:
        raise RunError(f"{folder}: could not be written: {why(error)}") from error
    except RunError as error:
        raise RunError(str(error).replace(str(temporary), str(folder))) from error
    except (CheckpointError, ReplayLogError) as error:
        said = str(error).replace(str(temporary), str(folder))
        raise RunError(f"{folder}: could not be written: {said}") from error


def frames_at_once(agent: Agent) -> int:
    """Frames by which a run goes on between two moments at which it may be saved."""
    config = agent.config
    decisions = config.streams * (config.actor_chunk_decisions if config.actors else 1)
    return agent.env_spec.action_repeat * decisions


def write_checkpoint(
    agent: Agent,
    run: Run,
    logs: ReplayLogs,
    *,
    scores: Mapping[str, float] | None = None,
    unfinished_since: int | None = None,
    mid_episode: bool = True,
) -> None:
    """Writes a checkpoint with everything that an exact resume needs.

    Args:
        agent: the agent.
        run: the run that the checkpoint belongs to.
        logs: take the replay rows that are new.
        scores: the results of the last evaluation by name.
        unfinished_since: the frame since which logging and evaluation are not done; None when they are.
        mid_episode: whether the open episodes go on after a resume; False where their environment has failed.

    Raises:
        StopRun: when a weight, a replay row or another saved number is not finite; then nothing is written.
        CheckpointError, ReplayLogError: when the disk refuses.
    """
    arrays, meta = agent.state_dict()
    checked = {
        name: array
        for name, array in arrays.items()
        if not name.startswith(_MAY_BE_INFINITE)
        and not (name.startswith("newest_row/") and lacks_readouts(array))
    }
    if names := not_finite(checked):
        rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise StopRun(f"not finite, so not saved: {', '.join(names[:3])}{rest}")
    logs.append()
    files = logs.commit()
    env_values: dict[str, Any] = {}
    if agent.env is not None and mid_episode:
        for name, value in agent.env.snapshot().items():
            if isinstance(value, np.ndarray):
                arrays[f"env/{name}"] = value
            else:
                env_values[name] = value
    checkpoint.save(
        run.checkpoints,
        agent.frames,
        arrays,
        {
            "agent": meta,
            "env": env_values,
            "clocks": agent.clock.seconds(),
            "scores": dict(scores or {}),
            "counters": dict(run.counters),
            "unfinished": {} if unfinished_since is None else {"since": unfinished_since},
        },
        identity=identity_now(agent, run),
        files=files,
    )


def identity_of(agent: Agent, run: Run) -> dict[str, Any]:
    """The identity that a checkpoint must have to fit an agent of a run."""
    return {
        "run": run.id,
        "agent": agent.config.agent,
        "env": agent.config.env,
        "observation_size": agent.env_spec.observation_size,
        "action_size": agent.env_spec.action_size,
    }


def identity_now(agent: Agent, run: Run) -> dict[str, Any]:
    """The identity of a checkpoint that is saved now, with the present number of threads and versions."""
    return run.identity(**identity_of(agent, run), threads=agent.config.threads)


def named_checkpoint(agent: Agent, run: Run, path: Path) -> Saved:
    """One checkpoint of `run`, verified.

    Raises:
        CheckpointError, ReplayLogError: when the checkpoint or its replay log does not verify.
    """
    saved = checkpoint.load(path, expect=identity_of(agent, run), largest=largest_checkpoint(agent.config))
    return saved, _replay_of(agent, saved, run)


def newest_checkpoint(agent: Agent, run: Run) -> Saved | None:
    """The newest checkpoint of `run` that verifies together with its replay log; None when there is none.

    Raises:
        CheckpointError: when there are checkpoints and none verifies.
    """
    verified: list[ReplayLogs] = []

    def verify(saved: Checkpoint) -> None:
        verified.append(_replay_of(agent, saved, run))

    found = checkpoint.newest(
        run.checkpoints,
        expect=identity_of(agent, run),
        verify=verify,
        largest=largest_checkpoint(agent.config),
    )
    return None if found is None else (found, verified[-1])


def restore_checkpoint(agent: Agent, saved: Checkpoint, logs: ReplayLogs) -> None:
    """Restores the replay rows and the state of a checkpoint into an agent.

    Args:
        agent: the agent.
        saved: a verified checkpoint.
        logs: the replay logs at the checkpoint's commit.

    Raises:
        CheckpointError: when the checkpoint does not hold the state of this agent.
        ConfigError: when its replay rows exceed the memory budget.
        TaskError: for constraints of an agent that learned from data without readouts.
    """
    check_budget(agent.config, agent.env_spec, logs.restored_rows)
    own: Arrays = {n: a for n, a in saved.arrays.items() if not n.startswith("env/")}
    try:
        agent.check_state(own, saved.meta["agent"])
        logs.restore()
        agent.load_state_dict(own, saved.meta["agent"])
        agent.clock.set(saved.meta["clocks"])
        logs.check_counts()
    except TaskError:  # the state is this agent's; what was asked of the agent does not go with it
        raise
    except ValueError as error:
        raise CheckpointError(
            f"{saved.path}: does not hold the state of this agent: {error}"
            f"{_other_version(saved) or _other_encoder(str(error))}"
        ) from error


def _other_encoder(error: str) -> str:
    """Says where an encoder may be missing, for an error that names its arrays; else empty."""
    if "weights: has no array encoder." not in error:
        return ""
    return (
        "; an encoder of your own is imported before the agent is loaded: in Python, or by the module of the "
        "environment"
    )


def _other_version(saved: Checkpoint) -> str:
    """Says which version wrote a checkpoint, where it is not this one; empty where it is, or is not recorded."""
    versions = saved.identity.get("versions")
    written = versions.get("joule") if isinstance(versions, Mapping) else None
    if not isinstance(written, str) or written == version():
        return ""
    return f"; Joule {shown(written)} wrote it, and this is Joule {shown(version())}"


def restore_env(agent: Agent, saved: Checkpoint) -> bool:
    """Goes back to the state of the agent's environment in a checkpoint. Call after `restore_checkpoint`.

    Where the checkpoint holds none, the agent begins an episode.

    Args:
        agent: the agent, with its environment.
        saved: a verified checkpoint.

    Returns:
        False where the episode could not be restored to the last bit: the agent begins an episode then.

    Raises:
        CheckpointError: when the checkpoint does not hold the state of this environment. Nothing is set then.
    """
    arrays = {n.removeprefix("env/"): a for n, a in saved.arrays.items() if n.startswith("env/")}
    state = {**saved.meta["env"], **arrays}
    if agent.env is None or not state:
        agent.begin_episode()
        return True
    try:
        check_no_options(saved.meta["env"])
        exact = agent.env.restore(state)
    except Refused as error:
        raise CheckpointError(
            f"{saved.path}: does not hold the state of this environment: {error}"
        ) from error
    if not exact:
        agent.begin_episode()
    return exact


def _replay_of(agent: Agent, saved: Checkpoint, run: Run) -> ReplayLogs:
    """The replay logs as they were at a checkpoint, verified. Raises CheckpointError or ReplayLogError."""
    try:
        check_identity(saved.identity)
        check_meta(saved.meta, saved.step)
    except SchemaError as error:
        raise CheckpointError(f"{saved.path}: {error}") from error
    return ReplayLogs.open(run.replay, agent, saved.files)

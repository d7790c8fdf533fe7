"""What a checkpoint of an agent holds, and how it comes to be an agent again; the verb `save`.

A checkpoint belongs to a run folder: its identity names the run, its rows lie in the run's replay log. So
an agent that is saved from Python becomes a run of its own, that every door opens and that can be resumed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.errors import StopRun
from agent.interface import Agent, Arrays
from joule.storage import checkpoint
from joule.storage.files import DISK, why
from joule.storage.finite import not_finite
from joule.storage.replay_log import ReplayLog, ReplayLogError
from joule.storage.run_folder import Run, RunError, alive, check_free

FACTS = (
    "env", "observation_size", "action_size", "episode_limit", "action_repeat", "readout_sizes",
    "readout_views", "resolved", "seconds_per_decision", "mujoco", "repeatable",
)  # fmt: skip
"""What run.json says of an environment; the second line as far as it is known."""
_STALE = re.compile(r"\.tmp-([0-9]+)-agent")

# What a state that is not as an agent wrote it can raise while it is put back.
UNSOUND = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError)


def save_as_run(agent: Agent, path: str | Path) -> None:
    """Writes a new run folder at `path` that holds the agent as it is: whole, or not at all.

    Raises RunError when there is something at `path`, its parent is missing or the disk refuses, and StopRun
    when a weight is not finite.
    """
    folder = Path(path)
    if os.path.lexists(folder):
        raise RunError(f"{folder}: is there already; save to a path that is free")
    check_free(folder)
    facts = {name: getattr(agent.facts, name) for name in FACTS if hasattr(agent.facts, name)}
    if facts["env"] != agent.config.env:
        raise RunError(
            f"{folder}: not saved, the agent lives in {facts['env']} and its config names {agent.config.env}"
        )
    temporary = folder.with_name(f".tmp-{os.getpid()}-agent")
    try:
        DISK.make(folder.parent)
        for name in DISK.names(folder.parent):
            left = _STALE.fullmatch(name)
            if left and (int(left[1]) == os.getpid() or not alive(int(left[1]))):
                DISK.remove(folder.parent / name)  # of a save that was killed
        with Run.create(temporary, agent.config, ["agent.save", str(folder)], facts) as run:
            columns = agent.replay_columns()
            replay = ReplayLog(run.replay, columns, first=agent.replay_first()) if columns else None
            # What the newest decision owes a run, its evaluation perhaps, is done when the run is resumed.
            owing = max(agent.frames - agent.facts.action_repeat, 0) if agent.frames else None
            write_checkpoint(agent, run, replay, owing_since=owing)
        DISK.rename(temporary, folder)
        DISK.sync(folder.parent)
    except OSError as error:
        raise RunError(f"{folder}: could not be written: {why(error)}") from error
    except (checkpoint.CheckpointError, ReplayLogError) as error:
        raise RunError(f"{folder}: could not be written: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # a whole save is no longer there


def remember(agent: Agent, replay: ReplayLog) -> None:
    """Appends the rows that are new to the log. Raises StopRun, and appends none, when one is not finite."""
    rows = agent.replay_rows(replay.rows)
    if bad := not_finite(rows):
        raise StopRun(f"not finite, so not saved: what is remembered of {', '.join(bad)}")
    replay.append(rows)


def write_checkpoint(
    agent: Agent,
    run: Run,
    replay: ReplayLog | None,
    *,
    scores: Mapping[str, float] | None = None,
    owing_since: int | None = None,
) -> None:
    """A checkpoint of everything that the rest of the run depends on; `replay` takes the rows that are new.

    `owing_since` says that what was due since that frame is not done. Raises StopRun, and writes nothing,
    when a weight, a remembered row or anything else that is to be resumed from is not finite.
    """
    arrays, meta = agent.state()
    if bad := not_finite(arrays):
        rest = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise StopRun(f"not finite, so not saved: {', '.join(bad[:3])}{rest}")
    files: dict[str, Any] = {}
    if replay is not None:
        remember(agent, replay)
        files["replay"] = replay.commit()
    body: dict[str, Any] = {}
    if agent.env is not None:
        for name, value in agent.env.snapshot().items():
            if isinstance(value, np.ndarray):
                arrays[f"env/{name}"] = value
            else:
                body[name] = value
    checkpoint.save(
        run.checkpoints,
        agent.frames,
        arrays,
        {
            "agent": meta,
            "env": body,
            "clocks": agent.clock.seconds(),
            "scores": dict(scores or {}),
            "counters": dict(run.counters),
            "owing": {} if owing_since is None else {"since": owing_since},
        },
        identity=identity_now(agent, run),
        files=files,
    )


def identity_of(agent: Agent, run: Run) -> dict[str, Any]:
    """What must be equal for a checkpoint to fit an agent of a run."""
    return {
        "run": run.id,
        "agent": agent.config.agent,
        "env": agent.config.env,
        "observation_size": agent.facts.observation_size,
        "action_size": agent.facts.action_size,
    }


def identity_now(agent: Agent, run: Run) -> dict[str, Any]:
    """What a checkpoint says of its origin; threads as they are now, whatever the run began with."""
    return run.identity(**identity_of(agent, run), threads=agent.config.threads)


Saved = tuple[checkpoint.Checkpoint, ReplayLog | None]
"""A verified checkpoint, and the verified replay log that belongs to it, open to be gone on with."""


def named_checkpoint(agent: Agent, run: Run, path: Path) -> Saved:
    """One checkpoint of `run`. Raises CheckpointError or ReplayLogError when it does not verify."""
    saved = checkpoint.load(path, expect=identity_of(agent, run))
    return saved, _replay_of(agent, saved, run)


def newest_checkpoint(agent: Agent, run: Run) -> Saved | None:
    """The newest checkpoint of `run` that verifies together with its replay; None when it has none.

    Raises CheckpointError when there are checkpoints and none verifies.
    """
    replay: ReplayLog | None = None

    def verify(saved: checkpoint.Checkpoint) -> None:
        nonlocal replay
        replay = _replay_of(agent, saved, run)

    found = checkpoint.newest(run.checkpoints, expect=identity_of(agent, run), verify=verify)
    return None if found is None else (found, replay)


def _replay_of(agent: Agent, saved: checkpoint.Checkpoint, run: Run) -> ReplayLog | None:
    """The replay log as it was at a checkpoint, verified. Raises CheckpointError or ReplayLogError."""
    for name in ("agent", "env", "clocks", "scores", "counters", "owing"):
        if not isinstance(saved.meta.get(name), dict):
            raise checkpoint.CheckpointError(f"{saved.path}: meta.json has no {name}")
    columns = agent.replay_columns()
    if not columns:
        return None
    committed = saved.files.get("replay")
    if not isinstance(committed, dict):
        raise checkpoint.CheckpointError(f"{saved.path}: names no replay")
    return ReplayLog.open(run.replay, columns, committed)


def put_back(agent: Agent, saved: checkpoint.Checkpoint, log: ReplayLog | None) -> None:
    """Puts a checkpoint's replay and state into an agent.

    Raises CheckpointError when the checkpoint does not hold what this agent is made of.
    """
    try:
        if log is not None:
            count = min(agent.replay_capacity(), log.rows - log.first)
            rows = log.read_tail(count)
            if bad := not_finite(rows):
                raise ValueError(f"its replay holds numbers that are not finite in {', '.join(bad)}")
            agent.restore_replay(rows, log.rows)
        own: Arrays = {n: a for n, a in saved.arrays.items() if not n.startswith("env/")}
        agent.load_state(own, saved.meta["agent"])
        agent.clock.set(saved.meta["clocks"])
        if log is not None and agent.replay_total() != log.rows:
            raise ValueError(f"its replay has {log.rows} rows, {agent.replay_total()} were lived")
    except UNSOUND as error:
        raise checkpoint.CheckpointError(
            f"{saved.path}: does not hold the state of this agent ({type(error).__name__}: {error})"
        ) from error

"""A run from its first frame to its last: living, learning, evaluating, logging, never losing work.

The trainer is what stands between an agent and its run folder. It is called after every decision and
does what is due: a row of metrics, an evaluation on held-out seeds, a checkpoint. Signals end a run
after a checkpoint; resuming goes on from there.
"""

import math
import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol

import numpy as np

from agent import checkpoint
from agent.interface import Agent, Arrays
from agent.replay_log import ReplayLog
from agent.runs import Run, differences, version

EXIT_STOPPED: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Scores(Protocol):
    """What an evaluation gives: returns [episodes]."""

    @property
    def returns(self) -> np.ndarray: ...


class Watcher(Protocol):
    """Who is told how the run goes: a progress display."""

    def progress(self, frames: int, metrics: Mapping[str, float]) -> None: ...

    def evaluated(self, row: Mapping[str, Any]) -> None: ...

    def saved(self, frames: int) -> None: ...


class Trainer:
    """Drives `agent` in `run`; `evaluate` plays the held-out episodes with the agent as it is."""

    def __init__(
        self, agent: Agent, run: Run, evaluate: Callable[[Agent], Scores], watcher: Watcher
    ):
        self.agent, self.run, self.evaluate, self.watcher = agent, run, evaluate, watcher
        config = agent.config
        self.log_every = max(1, min(1_000, config.steps // 20))
        self.frames = agent.frames
        self.clocks = {"cpu": 0.0, "wall": 0.0}
        self.resumed_at = self._now()
        self.stopped_by: int | None = None
        self.replay: ReplayLog | None = None
        columns = agent.replay_columns()
        if columns:
            self.replay = ReplayLog(run.replay, columns)
        self.last_scores: dict[str, float] = {}

    def _now(self) -> dict[str, float]:
        return {"cpu": time.process_time(), "wall": time.monotonic()}

    def spent(self) -> dict[str, float]:
        """Seconds of this process's CPU and of wall clock that training took, evaluations left out."""
        now = self._now()
        return {name: self.clocks[name] + now[name] - self.resumed_at[name] for name in now}

    def train(self) -> int | None:
        """Runs to the end of the budget. Returns the signal that ended it early, or None."""
        remaining = self.agent.config.steps - self.agent.frames
        handlers = {name: signal.signal(name, self._on_signal) for name in EXIT_STOPPED}
        try:
            if remaining > 0:
                self.agent.learn(remaining, on_step=self.on_step)
            if self.stopped_by is None:
                self.save()
        finally:
            for name, handler in handlers.items():
                signal.signal(name, handler)
        return self.stopped_by

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by is not None:  # asked twice: at once
            raise KeyboardInterrupt
        self.stopped_by = number

    def on_step(self, agent: Agent) -> bool:
        """What is due after a decision. Returns False to end the run."""
        config, before = agent.config, self.frames
        self.frames = agent.frames

        def due(every: int) -> bool:
            return agent.frames // every > before // every

        if self.replay is not None and agent.replay_total() - self.replay.rows > agent.replay_capacity() // 2:
            self.replay.append(agent.replay_rows(self.replay.rows))  # before the ring overwrites them
        if due(self.log_every):
            self.log()
        if due(config.eval_every) or agent.frames >= config.steps:
            self.score()
        if self.stopped_by is not None or (due(config.checkpoint_every) and agent.frames < config.steps):
            self.save()
        return self.stopped_by is None

    def log(self) -> None:
        """A row of metrics, and word to the display."""
        agent = self.agent
        metrics = {k: v for k, v in agent.metrics.items() if math.isfinite(v)}
        self.run.log(
            {**metrics, "decisions": agent.decisions, "episodes": agent.episodes}, agent.frames
        )
        self.watcher.progress(agent.frames, metrics)

    def score(self) -> None:
        """An evaluation on the held-out seeds; its time is not counted as training's."""
        agent, spent = self.agent, self.spent()
        started = self._now()
        returns = self.evaluate(agent).returns
        now = self._now()
        for name in self.resumed_at:
            self.resumed_at[name] += now[name] - started[name]
        mean, std = round(float(np.mean(returns)), 4), round(float(np.std(returns)), 4)
        row = {
            "agent": agent.config.agent,
            "env": agent.config.env,
            "seed": agent.config.seed,
            "frames": agent.frames,
            "decisions": agent.decisions,
            "return_mean": mean,
            "return_std": std,
            "episodes": len(returns),
            "cpu_seconds": round(spent["cpu"], 2),
            "wall_seconds": round(spent["wall"], 2),
            "threads": agent.config.threads,
            "device": agent.config.device,
            "version": version(),
        }
        self.run.evaluated(row)
        self.last_scores = {"return_mean": mean, "return_std": std}
        self.watcher.evaluated(row)

    # Checkpoints

    def save(self) -> None:
        """A checkpoint of everything that the rest of the run depends on."""
        agent = self.agent
        files: dict[str, Any] = {}
        if self.replay is not None:
            self.replay.append(agent.replay_rows(self.replay.rows))
            files["replay"] = self.replay.commit()
        arrays, meta = agent.state()
        spent = self.spent()
        body: dict[str, Any] = {}
        if agent.env is not None:
            for name, value in agent.env.snapshot().items():
                if isinstance(value, np.ndarray):
                    arrays[f"env/{name}"] = value
                else:
                    body[name] = value
        checkpoint.save(
            self.run.checkpoints,
            agent.frames,
            arrays,
            {
                "agent": meta,
                "env": body,
                "clocks": spent,
                "scores": self.last_scores,
                "counters": dict(self.run.counters),
            },
            identity=self.run.identity(**identity_of(agent, self.run)),
            files=files,
        )
        if self.replay is not None:
            kept = checkpoint.kept_files(self.run.checkpoints)
            self.replay.prune(agent.replay_capacity(), kept)
        self.watcher.saved(agent.frames)

    def resume(self) -> list[str]:
        """Goes back to the newest checkpoint that verifies, or to the start when there is none yet.

        Returns what the user should know. Raises CheckpointError when there are checkpoints and none
        can be used.
        """
        agent = self.agent
        saved = newest_checkpoint(agent, self.run)
        if saved is None:
            self.run.truncate_logs(0)
            return ["this run has no checkpoint yet: it starts over"]
        self.replay = put_back(agent, saved, self.run)
        notes = list(saved.skipped)
        now = self.run.identity(**identity_of(agent, self.run))
        if changed := differences(saved.identity, now):
            notes.append(f"not bit-exact, because versions or threads differ: {', '.join(changed)}")
        if agent.env is not None and saved.meta["env"]:
            arrays = {n[4:]: a for n, a in saved.arrays.items() if n.startswith("env/")}
            if agent.env.restore({**saved.meta["env"], **arrays}) is False:
                notes.append(
                    "this environment cannot be put back mid-episode: "
                    "resumed at an episode's start, which is not exact"
                )
                agent.begin_episode()
        self.run.truncate_logs(saved.step)
        self.run.counters.update(saved.meta["counters"])
        self.clocks, self.last_scores = dict(saved.meta["clocks"]), dict(saved.meta["scores"])
        self.resumed_at, self.frames = self._now(), agent.frames
        return notes


def identity_of(agent: Agent, run: Run) -> dict[str, Any]:
    """What must be equal for a checkpoint to fit an agent of a run."""
    return {
        "run": run.id,
        "agent": agent.config.agent,
        "env": agent.config.env,
        "observation_size": agent.facts.observation_size,
        "action_size": agent.facts.action_size,
    }


def newest_checkpoint(agent: Agent, run: Run) -> checkpoint.Checkpoint | None:
    """The newest checkpoint of `run` that verifies together with its replay; None when it has none.

    Raises CheckpointError when there are checkpoints and none verifies.
    """
    return checkpoint.newest(
        run.checkpoints,
        expect=identity_of(agent, run),
        verify=lambda saved: _replay_of(agent, saved, run),
    )


def _replay_of(agent: Agent, saved: checkpoint.Checkpoint, run: Run) -> ReplayLog | None:
    """The replay log as it was at a checkpoint, verified. Raises CheckpointError or ReplayLogError."""
    for name in ("agent", "env", "clocks", "scores", "counters"):
        if not isinstance(saved.meta.get(name), dict):
            raise checkpoint.CheckpointError(f"{saved.path}: meta.json has no {name}")
    columns = agent.replay_columns()
    if not columns:
        return None
    committed = saved.files.get("replay")
    if not isinstance(committed, dict):
        raise checkpoint.CheckpointError(f"{saved.path}: names no replay")
    return ReplayLog.open(run.replay, columns, committed)


def put_back(agent: Agent, saved: checkpoint.Checkpoint, run: Run) -> ReplayLog | None:
    """Puts a checkpoint's replay and state into an agent. Returns the replay log to go on writing.

    Raises CheckpointError when the checkpoint does not hold what this agent is made of.
    """
    log = _replay_of(agent, saved, run)
    try:
        if log is not None:
            count = min(agent.replay_capacity(), log.rows - log.first)
            agent.restore_replay(log.read_tail(count), log.rows)
        own: Arrays = {n: a for n, a in saved.arrays.items() if not n.startswith("env/")}
        agent.load_state(own, saved.meta["agent"])
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise checkpoint.CheckpointError(
            f"{saved.path}: does not hold the state of this agent ({type(error).__name__}: {error})"
        ) from error
    return log

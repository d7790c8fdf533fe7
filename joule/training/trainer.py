"""A run from its first frame to its last: living, learning, evaluating, logging, never losing work.

The trainer is what stands between an agent and its run folder. It is called after every decision and
does what is due: a row of metrics, an evaluation on held-out seeds, a checkpoint. A signal ends a run
after a checkpoint, within seconds: what that decision still owed is done first when the run is resumed.
"""

import math
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol, cast

import numpy as np

from agent.errors import StopRun
from agent.interface import Agent
from agent.perception.collapse import COLLAPSED_IN_A_ROW
from joule.storage.checkpoint import CheckpointError
from joule.storage.replay_log import ReplayLogError
from joule.storage.replay_logs import ReplayLogs
from joule.storage.run_folder import Run, RunError, differences, version
from joule.storage.saving import (
    identity_now,
    newest_checkpoint,
    restore_checkpoint,
    write_checkpoint,
)
from joule.training.forecast_log import ForecastLog
from joule_errors import Stopped

EXIT_STOPPED: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}
STOPPING = (Stopped, FloatingPointError, CheckpointError, ReplayLogError, RunError)
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


class Interrupted(Exception):
    """A signal asked the run to end while a decision still had an evaluation to come."""


class Scores(Protocol):
    """What an evaluation gives: returns [episodes], and what was foretold and what came."""

    @property
    def returns(self) -> np.ndarray: ...

    @property
    def forecast_log(self) -> ForecastLog | None: ...


class RunCallback(Protocol):
    """Who is told how the run goes: a progress display."""

    def progress(self, frames: int, metrics: Mapping[str, float]) -> None: ...

    def evaluated(self, row: Mapping[str, Any]) -> None: ...

    def saved(self, frames: int) -> None: ...

    def note(self, sentence: str) -> None: ...


class Trainer:
    """Drives `agent` in `run`; `evaluate` plays the held-out episodes with the agent as it is."""

    def __init__(self, agent: Agent, run: Run, evaluate: Callable[[Agent], Scores], callback: RunCallback):
        self.agent, self.run, self.evaluate, self.callback = agent, run, evaluate, callback
        config = agent.config
        self.log_every = max(1, min(1_000, config.steps // 20))
        self.frames = agent.frames
        self.stopped_by: int | None = None
        self.replay = ReplayLogs(run.replay, agent)
        self.last_scores: dict[str, float] = {}
        self.unfinished = False
        """Whether the newest decision was cut short, and its log, evaluation and checkpoint are due."""
        self.alarmed = False
        """Whether the representation had collapsed when it was last looked at."""

    def train(self) -> int | None:
        """Runs to the end of the budget. Returns the signal that ended it early, or None.

        Raises StopRun when the run cannot go on: its learning is not finite, its environment fails, its disk
        refuses, its folder is gone, memory is short. The agent is then back at the last good checkpoint, if
        there is one.
        """
        agent = self.agent
        handlers = {name: signal.signal(name, self._on_signal) for name in EXIT_STOPPED}
        # A closed terminal must not end a run that was left to itself.
        handlers[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with agent.clock.running():
                if self.unfinished:
                    agent.learn(0)  # gradient steps that were put off
                    self.on_step(agent)
                remaining = agent.config.steps - agent.frames
                if remaining > 0 and self.stopped_by is None:
                    agent.learn(remaining, on_step=self.on_step)
                if self.stopped_by is None:
                    self.save()
        except Exception as error:
            if (cause := why_stopped(error)) is None:
                raise
            raise StopRun(self._give_up(cause)) from error
        finally:
            for name, handler in handlers.items():
                signal.signal(name, handler)
        return self.stopped_by

    def _give_up(self, cause: str) -> str:
        """Goes back to the last good checkpoint; the sentence that says what happened, where, and to what."""
        agent = self.agent
        where = f"{agent.config.env}, seed {agent.config.seed}, frame {agent.frames}"
        try:
            found = newest_checkpoint(agent, self.run)
            if found is None:
                return f"{where}: {cause}"
            saved, logs = found
            restore_checkpoint(agent, saved, logs)
            return f"{where}: {cause}; the last good checkpoint is {saved.path.name}"
        except (ValueError, OSError, MemoryError) as error:
            return f"{where}: {cause}; no checkpoint could be read back: {error}"

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by is not None:  # asked twice: at once
            raise SystemExit(EXIT_STOPPED[number])
        self.stopped_by = number
        self.agent.stop_requested = True

    def on_step(self, agent: Agent) -> bool:
        """What is due after a decision. Returns False to end the run."""
        config, before = agent.config, self.frames
        self.frames = agent.frames

        def due(every: int) -> bool:
            return agent.frames // every > before // every

        if self.replay.due:
            self.run.check_place()
            self.replay.append()
        try:
            self._go_on()
            self.watch_for_collapse()
            if due(self.log_every):
                self.log()
            if due(config.eval_every_frames) or agent.frames >= config.steps:
                scores = self.play(unfinished_since=before)
                self.score(scores)
        except Interrupted:
            self.save(unfinished_since=before)
            return False
        self.unfinished = False
        if self.stopped_by is not None or (
            due(config.checkpoint_every_frames) and agent.frames < config.steps
        ):
            self.save()
        return self.stopped_by is None

    def _go_on(self) -> None:
        """Raises Interrupted when a signal has asked the run to end."""
        if self.stopped_by is not None:
            raise Interrupted

    def watch_for_collapse(self) -> None:
        """Warns once of a representation that has collapsed, or raises StopRun, as the config says."""
        agent, alarmed = self.agent, self.alarmed
        self.alarmed = agent.metrics.get("latent/collapsed", 0.0) >= COLLAPSED_IN_A_ROW
        if not self.alarmed or alarmed:
            return
        self.run.counters["collapse_alarms"] = self.run.counters.get("collapse_alarms", 0) + 1
        std, rank = (agent.metrics.get(f"latent/{name}", math.nan) for name in ("std", "rank"))
        sentence = (
            f"the representation has collapsed (std {std:.2g}, effective rank {rank:.1f}, "
            f"{COLLAPSED_IN_A_ROW} measurements in a row); another --regularizer.kind may hold it"
        )
        if agent.config.on_collapse == "stop":
            raise StopRun(sentence)
        self.callback.note(f"warning: {sentence}")

    def log(self) -> None:
        """A row of metrics, and word to the display."""
        agent = self.agent
        # In one order, whether the run was resumed or not: a table grows its columns as it meets them.
        metrics = {k: v for k, v in sorted(agent.metrics.items()) if math.isfinite(v)}
        self.run.log({**metrics, "decisions": agent.decisions, "episodes": agent.episodes}, agent.frames)
        self.callback.progress(agent.frames, metrics)

    def play(self, unfinished_since: int) -> Scores:
        """The held-out episodes; their time is not counted as training's.

        Whatever fails in them, the world of a held-out seed perhaps, what was learned before is kept.
        """
        try:
            with self.agent.clock.running(False):
                return self.evaluate(cast(Agent, InterruptiblePolicy(self)))
        except Interrupted:
            raise
        except Exception:
            try:
                self.save(unfinished_since=unfinished_since)
            except Exception as unsaved:  # noqa: BLE001  the first failure is the one to tell of
                self.callback.note(f"not saved at {self.agent.frames:,} frames: {unsaved}")
            raise

    def score(self, scores: Scores) -> None:
        """An evaluation as a row of the protocol, and word to the display."""
        agent, spent, returns = self.agent, self.agent.clock.seconds(), scores.returns
        # Significant digits, not decimals: an environment's rewards may be of any size.
        mean, std = (float(f"{figure:.8g}") for figure in (np.mean(returns), np.std(returns)))
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
        if scores.forecast_log is not None:
            self.run.forecasts(scores.forecast_log.rows(agent.frames))
        self.last_scores = {"return_mean": mean, "return_std": std}
        self.callback.evaluated(row)

    # Checkpoints

    def save(self, unfinished_since: int | None = None) -> None:
        """A checkpoint of everything that the rest of the run depends on.

        `unfinished_since` says that what was due since that frame is not done. Raises StopRun, and writes
        nothing, when a weight or anything else that is to be resumed from is not finite.
        """
        self.run.check_place()
        try:
            write_checkpoint(
                self.agent,
                self.run,
                self.replay,
                scores=self.last_scores,
                unfinished_since=unfinished_since,
            )
        except (CheckpointError, ReplayLogError):
            self.run.check_place()  # a folder that went meanwhile is the better reason
            raise
        self.replay.prune(self.run.checkpoints)
        self.callback.saved(self.agent.frames)

    def resume(self) -> list[str]:
        """Goes back to the newest checkpoint that verifies, or to the start when there is none yet.

        Returns what the user should know. Raises CheckpointError when there are checkpoints and none
        can be used.
        """
        agent = self.agent
        found = newest_checkpoint(agent, self.run)
        if found is None:
            self.run.truncate_logs(0)
            return ["this run has no checkpoint yet: it starts over"]
        saved, self.replay = found
        restore_checkpoint(agent, saved, self.replay)
        notes = list(saved.skipped)
        self.run.counters.update(saved.meta["counters"])
        if changed := differences(saved.identity, identity_now(agent, self.run)):
            notes.append(f"not bit-exact, because versions or threads differ: {', '.join(changed)}")
        exact = not changed
        if agent.env is not None and saved.meta["env"]:
            arrays = {n[4:]: a for n, a in saved.arrays.items() if n.startswith("env/")}
            if agent.env.restore({**saved.meta["env"], **arrays}) is False:
                notes.append(
                    "this environment cannot be put back mid-episode: "
                    "resumed at an episode's start, which is not exact"
                )
                agent.begin_episode()
                exact = False
        if not exact:
            self.run.counters["inexact_resumes"] = self.run.counters.get("inexact_resumes", 0) + 1
        since = saved.meta["unfinished"].get("since")
        self.unfinished, self.frames = since is not None, agent.frames if since is None else since
        self.alarmed = agent.metrics.get("latent/collapsed", 0.0) >= COLLAPSED_IN_A_ROW
        self.run.truncate_logs(saved.step - self.unfinished)  # a row that is owed is written again
        self.last_scores = dict(saved.meta["scores"])
        return notes


class InterruptiblePolicy:
    """A trainer's agent while it is evaluated: it raises Interrupted once a signal has come."""

    def __init__(self, trainer: Trainer):
        self._trainer = trainer

    def predict(self, *given: Any, **named: Any) -> Any:
        self._trainer._go_on()
        return self._trainer.agent.predict(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer.agent, name)


def why_stopped(error: Exception) -> str | None:
    """The cause in words when an error is one that a run may meet, or None when it is a defect."""
    if isinstance(error, STOPPING):
        return str(error)
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return "memory is short"
    return None

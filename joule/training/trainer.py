"""The trainer: a run from its first frame to its last, with logs, evaluations and checkpoints.

The trainer stands between an agent and its run folder. It is called after every decision and does what is due: a
row of metrics, an evaluation on held-out seeds, a checkpoint. A signal ends a run after a checkpoint, within
seconds; what is then still due for the last decision is done first when the run is resumed. An evaluation that is
being made in a process of its own is waited for.
"""

import contextlib
import math
import signal
import time
from collections.abc import Callable

from agent.errors import StopRun
from agent.interface import Agent, Policy
from agent.perception.collapse import COLLAPSED_IN_A_ROW
from envs.faults.errors import EnvFailure
from joule.callbacks.callback import Callback, Episode, Measurement
from joule.callbacks.dispatch import CallbackError
from joule.cli import signals
from joule.cli.signal_watch import BOUNCE_SECONDS
from joule.storage.agent_checkpoint import (
    frames_at_once,
    identity_now,
    newest_checkpoint,
    restore_checkpoint,
    restore_env,
    write_checkpoint,
)
from joule.storage.errors import CheckpointError, ReplayLogError
from joule.storage.provenance import differences
from joule.storage.run_folder import Run
from joule.storage.run_replay import ReplayLogs
from joule.training.background_evaluation import BackgroundEvaluation, EvaluationStopped
from joule.training.divergence import divergence_warning
from joule.training.evaluation_rows import Scores
from joule.training.interruption import Interrupted
from joule.training.run_evaluations import RunEvaluations
from joule.training.stopping import why_stopped

UNSAVED_SECONDS = 300.0
"""After this time without a checkpoint one is written: `checkpoint_every_frames` can take hours."""


class Trainer:
    """Trains an agent in a run folder.

    Args:
        agent: the agent.
        run: the run folder, locked.
        evaluate: as for `RunEvaluations`.
        callback: is told how the run goes.
        background: as for `RunEvaluations`.
    """

    def __init__(
        self,
        agent: Agent,
        run: Run,
        evaluate: Callable[[Policy], Scores] | None,
        callback: Callback,
        background: BackgroundEvaluation | None = None,
    ) -> None:
        self.agent, self.run, self.callback = agent, run, callback
        self.evaluations = RunEvaluations(agent, run, evaluate, callback, background, self.check_interrupted)
        self.log_every_frames = max(1, min(1_000, agent.config.steps // 20))
        self.frames = agent.frames
        self.stopped_by: int | None = None
        self.stopped_at = 0.0  # monotonic seconds
        self.logs = ReplayLogs(run.replay, agent)
        self.unfinished = False
        """Whether the log, evaluation and checkpoint of the newest decision are still due."""
        self.collapse_reported = self.divergence_reported = False
        self.saved_at, self.saved_time = 0, time.monotonic()
        """Frames at the newest checkpoint of this session, and when it was written."""

    def train(self, handle_signals: bool = True) -> int | None:
        """Runs to the end of the budget.

        Args:
            handle_signals: whether a signal in `signals.ENDING` ends the run after a checkpoint. Only the main
                thread of a process can handle signals.

        Returns:
            The signal that ended the run early, or None.

        Raises:
            StopRun: when the run cannot continue: its learning is not finite, its environment fails, the disk
                refuses, its folder is gone, or memory is short. What was learned before a failure of the
                environment is saved. The agent is then back at the last good checkpoint, where there is one.
        """
        agent = self.agent
        try:
            with signals.handled(self.stop, handle_signals), agent.clock.running():
                if self.unfinished:
                    agent.learn(0)  # updates that were put off
                    self.on_step(agent)
                remaining = agent.config.steps - agent.frames
                if remaining > 0 and self.stopped_by is None:
                    agent.learn(remaining, on_step=self.on_step)
                if self.stopped_by is None or self.saved_at != agent.frames > 0:
                    self.save()  # also where the signal came after `on_step`
        except Exception as error:
            if (cause := why_stopped(error)) is None:
                raise
            if isinstance(error, EnvFailure) and self.saved_at != agent.frames:
                agent.begin_episode()  # its open episodes are lost, and what was learned from them is not
                self.save_before_failing(None, mid_episode=False)
            raise StopRun(self._restore_last_good(cause)) from error
        return self.stopped_by

    def _restore_last_good(self, cause: str) -> str:
        """Goes back to the last good checkpoint. Returns the sentence that says what happened and where."""
        agent = self.agent
        where = f"frame {agent.frames}"
        if not cause.startswith(agent.config.env):  # else it says the environment and the seed itself
            where = f"{agent.config.env}, seed {agent.config.seed}, {where}"
        try:
            found = newest_checkpoint(agent, self.run)
            if found is None:
                return f"{where}: {cause}"
            saved, logs = found
            restore_checkpoint(agent, saved, logs)
            return f"{where}: {cause}; the last good checkpoint is {saved.path.name}"
        except (ValueError, OSError, MemoryError) as error:
            return f"{where}: {cause}; no checkpoint could be read: {error}"

    def stop(self, number: int) -> None:
        """Ends the run after a checkpoint. A second SIGINT ends it at once; clusters repeat other signals.

        Args:
            number: of the signal that asks for it.

        Raises:
            Ended: for a second SIGINT.
        """
        if self.stopped_by is None:
            self.stopped_by, self.stopped_at = number, time.monotonic()
            self.agent.stop_requested = True
        elif number == signal.SIGINT and time.monotonic() - self.stopped_at > BOUNCE_SECONDS:
            raise signals.Ended(number)

    def on_step(self, agent: Agent) -> bool:
        """Does what is due after a decision. Returns False to end the run."""
        before = self.frames
        pending = self.evaluations.pending
        try:
            return self._do_what_is_due(agent)
        except CallbackError:  # what was learned is sound
            self.save_before_failing(before)
            raise
        except EvaluationStopped:
            if pending is None or self.saved_at < pending.frames:  # else that checkpoint is evaluated again
                self.save_before_failing(before if pending is None else min(before, pending.frames - 1))
            raise

    def _do_what_is_due(self, agent: Agent) -> bool:
        config, before, evaluations = agent.config, self.frames, self.evaluations
        self.frames = agent.frames

        def due(every: int) -> bool:
            return agent.frames // every > before // every

        if self.logs.due:
            self.run.check_place()
            self.logs.append()
        for ended in agent.ended_episodes:
            self.run.episode_ended(agent.frames, ended.total_return, ended.decisions, ended.drawn)
        for ended in agent.ended_episodes:  # one that raises leaves no row out
            self.callback.on_episode(Episode(agent.frames, ended.total_return, ended.decisions, ended.drawn))
        try:
            self.check_interrupted()
            go_on = self.callback.on_step(agent) is not False
            self.check_collapse()
            self.check_divergence()
            if due(self.log_every_frames):
                self.log()
            ends = agent.frames >= config.steps or not go_on
            evaluations.step(before, ends, before_failing=lambda: self.save_before_failing(before))
        except Interrupted:
            self.save(unfinished_since=before)
            return False
        self.unfinished = evaluations.of_now
        patience = 2 if evaluations.pending else 1
        overdue = time.monotonic() - self.saved_time > patience * UNSAVED_SECONDS
        saving = (overdue or due(config.checkpoint_every_frames)) and agent.frames < config.steps
        if saving or self.stopped_by is not None:
            self.save(unfinished_since=before if self.unfinished else None)
        return self.stopped_by is None and go_on

    def check_interrupted(self) -> None:
        """Raises Interrupted when a signal has asked the run to end."""
        if self.stopped_by is not None:
            raise Interrupted

    def check_collapse(self) -> None:
        """Warns once of a collapsed representation, or raises StopRun, as the settings say."""
        agent, reported = self.agent, self.collapse_reported
        self.collapse_reported = agent.metrics.get("latent/collapsed", 0.0) >= COLLAPSED_IN_A_ROW
        stops = agent.config.on_collapse == "stop"
        if not self.collapse_reported or (reported and not stops):
            return
        if not reported:
            self.run.count("collapse_alarms")
        std, rank = (agent.metrics.get(f"latent/{name}", math.nan) for name in ("std", "rank"))
        sentence = (
            f"the representation has collapsed (std {std:.2g}, effective rank {rank:.1f}, "
            f"{COLLAPSED_IN_A_ROW} measurements in a row); another --regularizer.kind may prevent it"
        )
        if stops:
            raise StopRun(sentence)
        self.callback.on_note(f"warning: {sentence}")

    def check_divergence(self) -> None:
        """Warns once where physics diverges in many decisions."""
        warning = None if self.divergence_reported else divergence_warning(self.agent)
        if warning is not None:
            self.divergence_reported = True
            self.callback.on_note(f"warning: {warning}")

    def log(self) -> None:
        """Writes a row of metrics, and tells the callback."""
        agent = self.agent
        # In one order, whether the run was resumed or not: the table adds columns in the order of their rows.
        metrics = {k: v for k, v in sorted(agent.metrics.items()) if math.isfinite(v)}
        metrics |= {"decisions": agent.decisions, "episodes": agent.episodes}
        self.run.log(metrics, agent.frames)
        self.callback.on_metrics(Measurement(agent.frames, metrics, agent.clock.seconds()["wall"]))

    def save_before_failing(self, unfinished_since: int | None, mid_episode: bool = True) -> None:
        """Saves what was learned while another error is on its way, which is the one to report."""
        try:
            self._write(unfinished_since, mid_episode)
        except Exception as unsaved:  # noqa: BLE001
            with contextlib.suppress(CallbackError):
                self.callback.on_note(f"not saved at {self.agent.frames:,} frames: {unsaved}")

    # Checkpoints

    def save(self, unfinished_since: int | None = None) -> None:
        """Writes a checkpoint of everything that the rest of the run depends on.

        Args:
            unfinished_since: the frame since which logging and evaluation are not done; None when they are.

        Raises:
            StopRun: when a weight or anything else that is saved is not finite; then nothing is written.
        """
        self._write(unfinished_since)
        self.callback.on_checkpoint(self.agent.frames)

    def _write(self, unfinished_since: int | None, mid_episode: bool = True) -> None:
        self.run.check_place()
        # Rows of a checkpoint's past are written before it.
        if unfinished_since is None or not self.evaluations.of_now:
            self.evaluations.record_background()
        scores = self.evaluations.last_scores
        try:
            write_checkpoint(
                self.agent, self.run, self.logs,
                scores=scores, unfinished_since=unfinished_since, mid_episode=mid_episode,
            )  # fmt: skip
        except (CheckpointError, ReplayLogError):
            self.run.check_place()  # a folder that went meanwhile is the better reason
            raise
        self.logs.prune(self.run.checkpoints)
        self.saved_at, self.saved_time = self.agent.frames, time.monotonic()

    def resume(self) -> list[str]:
        """Goes back to the newest checkpoint that verifies, or to the start when there is none yet.

        Returns:
            Sentences that the user should know.

        Raises:
            CheckpointError: when none can be used, or none is there any more.
        """
        agent = self.agent
        found = newest_checkpoint(agent, self.run)
        if found is None:
            # Rows of a decision are written before its checkpoint; those of a later one prove that it was written.
            due = self.run.config.checkpoint_every_frames + frames_at_once(agent)
            if self.run.finished_at() is not None or self.run.logged_frames() >= due:
                raise CheckpointError(f"{self.run.folder}: its checkpoints are gone; train another run")
            self.run.truncate_logs(0)
            return ["this run has no checkpoint yet: it starts over"]
        saved, self.logs = found
        restore_checkpoint(agent, saved, self.logs)
        notes = list(saved.skipped)
        self.run.counters.update(saved.meta["counters"])
        if changed := differences(saved.identity, identity_now(agent, self.run)):
            notes.append(f"not bit-exact, because versions or threads differ: {', '.join(changed)}")
        exact = not changed
        if not restore_env(agent, saved):
            notes.append(
                "this environment cannot be restored in mid-episode: "
                "resumed at an episode's start, which is not exact"
            )
            exact = False
        if not exact:
            self.run.count("inexact_resumes")
        since = saved.meta["unfinished"].get("since")
        self.unfinished, self.frames = since is not None, agent.frames if since is None else since
        self.collapse_reported = agent.metrics.get("latent/collapsed", 0.0) >= COLLAPSED_IN_A_ROW
        # A row that is still due is written again; an episode has its row before a checkpoint is saved.
        self.run.truncate_logs(saved.step - self.unfinished, saved.step)
        self.evaluations.last_scores = dict(saved.meta["scores"])
        return notes

"""A training session: from the settings to a run folder with a trained agent, its curve and its film."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.agent import WorldModelAgent
from agent.configurator.settings import NO_ENV, Config
from agent.device import pick_device
from agent.errors import ConfigError, StopRun
from agent.interface import Agent
from agent.training_env import check_spec
from envs.safe_env import SafeEnv
from envs.vector import SafeEnvs
from joule.actors.pool import ActorPool
from joule.agents import new_agent, settings_of_agent
from joule.callbacks.callback import Callback, Episode, Outcome, RunEnd, RunStart
from joule.callbacks.dispatch import CallbackError, Callbacks
from joule.callbacks.episodes import EpisodesOfRun
from joule.callbacks.tensorboard_tracker import TensorBoardTracker
from joule.cli import signals
from joule.environment import make_env
from joule.report.progress import Progress
from joule.storage import failure_file
from joule.storage.env_spec import physics_of, spec_of_run, spec_to_json
from joule.storage.run_entries import remove_untrained
from joule.storage.run_folder import Run
from joule.training import env_check
from joule.training.background_evaluation import BackgroundEvaluation
from joule.training.conclusion import conclude, make_missing, missing, resume_command
from joule.training.early_updates import compiling, early_updates
from joule.training.evaluation import Evaluator, evaluator_of
from joule.training.trainer import Trainer
from joule.training_envs import make_envs

Experience = SafeEnv | SafeEnvs | ActorPool | None
"""Where the experience of training comes from; None for a run that learns from data."""


@dataclass(frozen=True)
class Reporting:
    """Whom a session tells how it goes."""

    callbacks: Sequence[Callback] = ()
    """The user's, trackers included."""
    track: Sequence[str] = ()
    """Names of the trackers, which the command that resumes the run repeats."""
    progress: bool = True
    """Whether the progress is shown on stdout."""


@dataclass(frozen=True)
class TrainedRun(os.PathLike[str]):
    """A run folder with the agent that was trained in it. It can be given wherever a run folder is asked for."""

    folder: Path
    agent: Agent
    evaluation: dict[str, float]
    """The last evaluation: `return_mean`, `return_std` and, where known, `success_rate` over held-out seeds."""
    stopped_by: int | None = None
    """The signal that ended the run early; None for a run that reached its budget."""

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return 0 if self.stopped_by is None else signals.exit_code(self.stopped_by)


def train_new(
    config: Config,
    out: Path | None,
    command: Sequence[str],
    *,
    reporting: Reporting,
    handle_signals: bool = False,
    ray: str | None = None,
) -> TrainedRun:
    """Makes a run folder and trains an agent in it.

    Args:
        config: the settings.
        out: the folder; None chooses runs/<env>-<agent>-seed<k>-<time>.
        command: the words of a shell command that makes the same run.
        reporting: whom it tells.
        handle_signals: whether a signal in `signals.ENDING` ends the run after a checkpoint.
        ray: as for `joule.training_envs.make_envs`.

    Raises:
        RunError: for a folder that is not free.
        ConfigError: for gradients that cannot be compiled; then no folder is made.
        StopRun: when the run cannot continue.
    """
    check_eval_process(config)
    with _training_envs(config, ray) as env:
        assert env is not None, "a run that learns from data begins with them"
        agent = new_agent(config, env)
        if isinstance(agent, WorldModelAgent):
            agent.modules.learner.check_compiled()
        evaluator = evaluator_of(config)
        spec = spec_to_json(env.env_spec) | env_check.check_env(config)
        with signals.deferred():  # the folder is a run, or it does not exist
            run = Run.create(out, config, command, spec)
        return _session(run, agent, env, evaluator, reporting, handle_signals, ray, resumed=False)


def train_further(
    run: Run,
    config: Config,
    *,
    reporting: Reporting,
    handle_signals: bool = False,
    ray: str | None = None,
) -> TrainedRun:
    """Resumes a run exactly where it stopped.

    Args:
        run: the run.
        config: its settings, with what may change.
        reporting: as for `train_new`.
        handle_signals: as for `train_new`.
        ray: as for `joule.training_envs.make_envs`.

    Raises:
        RunError: for a folder that another process uses.
        CheckpointError, ReplayLogError: when there are checkpoints and none verifies.
        StopRun: when the run cannot continue.
    """
    check_eval_process(config)
    with _training_envs(config, ray) as env:
        spec = spec_of_run(run)
        other_robot: Sequence[str] = ()
        if env is not None:
            check_spec(spec, env, config.agent)
            other_robot = env_check.warn_of_changes(spec, env.env_spec, config)
        elif config.env != NO_ENV:
            with closing(make_env(config)) as of_evaluations:
                check_spec(spec, of_evaluations, config.agent)
        agent = new_agent(config, env, spec)
        evaluator = None if config.env == NO_ENV else evaluator_of(config)
        return _session(
            run, agent, env, evaluator, reporting, handle_signals, ray, resumed=True, other_robot=other_robot
        )


def check_eval_process(config: Config) -> None:
    """Refuses evaluations in a process of their own for an agent that cannot be copied there.

    Raises:
        ConfigError: for a baseline, and for constraints, whose margins are measured on the replay buffer.
    """
    if config.eval_process and (config.agent != "joule" or config.constraint):
        subject = config.agent if config.agent != "joule" else "an agent with constraints"
        raise ConfigError(
            f"eval_process: {subject} is evaluated in the process that trains it; switch it off"
        )


@contextmanager
def _training_envs(config: Config, ray: str | None) -> Iterator[Experience]:
    """The environments of training; None for a run that learns from data. Their processes end with the session.

    Environments in this process stay open: the agent of a `TrainedRun` continues in its open episode.
    """
    env = None if config.data else make_envs(config, ray)
    try:
        yield env
    finally:
        if env is not None and _in_processes(env):
            env.close()


def _in_processes(env: Experience) -> bool:
    """Whether environments end with the session, because they have processes of their own."""
    return isinstance(env, ActorPool) or (isinstance(env, SafeEnvs) and env.mode == "async")


def _session(
    run: Run,
    agent: Agent,
    env: Experience,
    evaluator: Evaluator | None,
    reporting: Reporting,
    handle_signals: bool,
    ray: str | None,
    resumed: bool,
    other_robot: Sequence[str] = (),
) -> TrainedRun:
    config, again = agent.config, resume_command(run.folder, reporting.track, ray)
    with signals.unwinding(), ExitStack() as stack:
        after_unlocking = stack.enter_context(ExitStack())
        stack.enter_context(run.lock())
        display = stack.enter_context(Progress()) if reporting.progress else None
        callback = Callbacks([TensorBoardTracker(run)], reporting.callbacks, display)
        if isinstance(env, ActorPool):
            env.on_note = callback.on_note
        if evaluator is not None:
            stack.callback(evaluator.close)
            evaluator.callback = EpisodesOfRun(callback, "evaluating", config.eval_episodes)
        background = None
        if config.eval_process and evaluator is not None and isinstance(agent, WorldModelAgent):
            background = BackgroundEvaluation(agent)
            stack.callback(background.close)
        trainer = Trainer(agent, run, evaluator, callback, background)
        notes = env_check.notes(run.env_spec, config.perturb)
        if evaluator is None:
            notes.append("there is no environment: evaluations, the learning curve and the film are left out")
        if resumed:
            notes += trainer.resume()
            failure_file.remove(run.folder)
            done = agent.frames >= config.steps and not trainer.unfinished
            if done and run.finished_at() == agent.frames:
                if display is not None:
                    display.take_start(_start_of(run, agent, resumed=True))
                stopped_by = _finish(run, agent, Callbacks(display=display), notes, again)
                return TrainedRun(run.folder, agent, trainer.evaluations.last_scores, stopped_by)
            if config != run.config:
                notes += run.reconfigure(config, agent.frames)
            if env is not None and other_robot:
                notes += run.has_other_robot(other_robot, physics_of(env.env_spec), agent.frames)
        if env is not None and agent.decisions == 0:
            notes += early_updates(agent)
        notes += compiling(agent)
        try:
            callback.on_start(_start_of(run, agent, resumed and agent.frames > 0))
            for note in notes:
                callback.on_note(note)
            if background is not None:
                background.start()
            stopped_by = trainer.train(handle_signals)
            if evaluator is not None:
                evaluator.close()
            if stopped_by is None:
                counters, scores = {} if env is None else env.counters, trainer.evaluations.last_scores
                stopped_by = _unless_ended(
                    lambda: conclude(run, agent, counters, scores, callback, again), again, callback
                )
            else:
                callback.on_note(f"stopped at {agent.frames:,} frames; continue with: {again}")
        except BaseException as error:
            outcome: Outcome = "interrupted"
            if isinstance(error, Exception):
                outcome = "failed"
                # Such as a tracker that nobody is logged in to, or a first step that fails: the new run is taken
                # back, so that the same command can be given again once that is mended.
                untrained = not resumed and agent.frames == 0 and isinstance(error, StopRun)
                if untrained:
                    after_unlocking.callback(remove_untrained, run.folder, run.made_folder)
                _note_traceback(run.folder, error, untrained, callback)
            with suppress(CallbackError):  # the first error is the one to report
                callback.on_end(
                    RunEnd(agent.frames, outcome, str(error), trainer.evaluations.last_scores or None)
                )
            raise
        finished = stopped_by is None and agent.frames >= config.steps
        outcome = "finished" if finished else "interrupted"
        callback.on_end(RunEnd(agent.frames, outcome, "", trainer.evaluations.last_scores or None))
    if _in_processes(env):
        agent.begin_episode()  # the open episodes end with their processes
    return TrainedRun(run.folder, agent, trainer.evaluations.last_scores, stopped_by)


def _note_traceback(folder: Path, error: Exception, untrained: bool, callback: Callback) -> None:
    """Writes the traceback of an error into the run folder, unless that is removed, and says where to see it."""
    if untrained:
        note = f"nothing was trained, and the run is removed from {folder}; --debug shows the traceback"
    elif (path := failure_file.write(folder, error)) is not None:
        note = f"the traceback is in {path}"
    else:
        return
    with suppress(CallbackError):
        callback.on_note(note)


def _start_of(run: Run, agent: Agent, resumed: bool) -> RunStart:
    return RunStart(
        folder=run.folder,
        run_id=run.id,
        settings=settings_of_agent(agent),
        device=str(pick_device(agent.config.device)),
        frames=agent.frames,
        seconds=agent.clock.seconds()["wall"],
        resumed=resumed,
        episodes=[Episode(*row) for row in run.episodes()] if resumed else [],
    )


def _finish(run: Run, agent: Agent, callback: Callback, notes: Sequence[str], again: str) -> int | None:
    """Makes what a run with all of its frames still lacks. Returns the signal that ended it early, or None."""
    for note in notes:
        callback.on_note(note)
    lacking = missing(run, agent)
    if not lacking:
        callback.on_note(f"nothing to do: this run has its {agent.frames:,} frames; give more --steps")
        return None
    callback.on_note(f"this run has its {agent.frames:,} frames, but no {' and no '.join(lacking)}")
    return _unless_ended(lambda: make_missing(run, agent, callback), again, callback)


def _unless_ended(make: Callable[[], None], again: str, callback: Callback) -> int | None:
    """Calls `make`, and says how to continue where a signal ends it. Returns the signal, or None.

    Args:
        make: makes what a run ends with.
        again: the command that resumes the run.
        callback: gets the note.
    """
    try:
        make()
    except signals.Ended as ended:
        callback.on_note(f"all frames are trained and saved; make the rest with: {again}")
        return ended.caught()
    return None

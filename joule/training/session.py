"""A training session: from the settings to a run folder with a trained agent, its curve and its film."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent import random_state
from agent.configurator.settings import Config
from agent.interface import Agent
from agent.training_env import check_spec
from envs.safe_env import SafeEnv
from envs.state.determinism import is_deterministic
from envs.vector import SafeEnvs
from joule.agents import new_agent
from joule.cli import signals
from joule.environment import make_env, make_envs
from joule.report.progress import Progress
from joule.storage.env_spec import spec_of_run, spec_to_json
from joule.storage.run_folder import Run
from joule.training.conclusion import conclude, make_missing, missing, resume_command
from joule.training.evaluation import Evaluator
from joule.training.forecast_log import max_entries
from joule.training.trainer import RunCallback, Trainer


@dataclass(frozen=True)
class TrainedRun(os.PathLike[str]):
    """A run folder with the agent that was trained in it. It can be given wherever a run folder is asked for."""

    folder: Path
    agent: Agent
    evaluation: dict[str, float]
    """The last evaluation: `return_mean` and `return_std` over episodes on held-out seeds."""
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
    callback: RunCallback | None = None,
    handle_signals: bool = False,
) -> TrainedRun:
    """Makes a run folder and trains an agent in it.

    Args:
        config: the settings.
        out: the folder; None chooses runs/<env>-<agent>-seed<k>-<time>.
        command: the words of a shell command that makes the same run.
        callback: is told how the run goes; by default a display on stdout.
        handle_signals: whether a signal in `signals.ENDING` ends the run after a checkpoint.

    Raises:
        RunError: for a folder that is not free.
        StopRun: when the run cannot continue.
    """
    with _training_envs(config) as env:
        agent = new_agent(config, env)
        evaluator = _evaluator(config)
        with random_state.preserved():
            checked = make_env(config)
            deterministic = is_deterministic(checked, config.seed)
            checked.close()
        spec = spec_to_json(env.env_spec) | {"deterministic": deterministic}
        with signals.deferred():  # the folder is a run, or it does not exist
            run = Run.create(out, config, command, spec)
        return _session(run, agent, env, evaluator, callback, handle_signals, resumed=False)


def train_further(
    run: Run, config: Config, *, callback: RunCallback | None = None, handle_signals: bool = False
) -> TrainedRun:
    """Resumes a run exactly where it stopped.

    Args:
        run: the run.
        config: its settings, with what may change.
        callback: as for `train_new`.
        handle_signals: as for `train_new`.

    Raises:
        RunError: for a folder that another process uses.
        CheckpointError, ReplayLogError: when there are checkpoints and none verifies.
        StopRun: when the run cannot continue.
    """
    with _training_envs(config) as env:
        check_spec(spec_of_run(run), env, config.agent)
        agent, evaluator = new_agent(config, env), _evaluator(config)
        return _session(run, agent, env, evaluator, callback, handle_signals, resumed=True)


@contextmanager
def _training_envs(config: Config) -> Iterator[SafeEnv | SafeEnvs]:
    """The environments of training. Their processes end with the session, however it ends.

    Environments in this process stay open: the agent of a `TrainedRun` continues in its open episode.
    """
    env = make_envs(config)
    try:
        yield env
    finally:
        if isinstance(env, SafeEnvs) and env.mode == "async":
            env.close()


def _evaluator(config: Config) -> Evaluator:
    entries = max_entries(config.steps, config.eval_every_frames)
    return Evaluator(lambda: make_env(config), config.eval_episodes, entries=entries)


def _session(
    run: Run,
    agent: Agent,
    env: SafeEnv | SafeEnvs,
    evaluator: Evaluator,
    callback: RunCallback | None,
    handle_signals: bool,
    resumed: bool,
) -> TrainedRun:
    config = agent.config
    with signals.unwinding(), ExitStack() as stack:
        stack.enter_context(run.lock())
        if callback is None:
            callback = stack.enter_context(Progress(run.folder, config.env, config.agent, config.steps))
        trainer = Trainer(agent, run, evaluator, callback)
        if not run.env_spec.get("deterministic", True):
            callback.note(
                "this environment differs under the same seed, so this run cannot be repeated exactly"
            )
        if resumed:
            for note in trainer.resume():
                callback.note(note)
            done = agent.frames >= config.steps and not trainer.unfinished
            if done and run.finished_at() == agent.frames:
                stopped_by = _finish(run, agent, callback)
                return TrainedRun(run.folder, agent, trainer.last_scores, stopped_by)
            if config != run.config:
                run.reconfigure(config)
        stopped_by = trainer.train(handle_signals)
        evaluator.close()
        if stopped_by is None:
            counters, scores = env.counters, trainer.last_scores
            stopped_by = _unless_ended(
                lambda: conclude(run, agent, counters, scores, callback), run, callback
            )
        else:
            again = resume_command(run.folder)
            callback.note(f"stopped at {agent.frames:,} frames; continue with: {again}")
    if isinstance(env, SafeEnvs) and env.mode == "async":
        agent.begin_episode()  # the open episodes end with their processes
    return TrainedRun(run.folder, agent, trainer.last_scores, stopped_by)


def _finish(run: Run, agent: Agent, callback: RunCallback) -> int | None:
    """Makes what a run with all of its frames still lacks. Returns the signal that ended it early, or None."""
    lacking = missing(run, agent)
    if not lacking:
        callback.note(f"nothing to do: this run has its {agent.frames:,} frames; give more --steps")
        return None
    callback.note(f"this run has its {agent.frames:,} frames, but no {' and no '.join(lacking)}")
    return _unless_ended(lambda: make_missing(run, agent, callback), run, callback)


def _unless_ended(make: Callable[[], None], run: Run, callback: RunCallback) -> int | None:
    """Calls `make`, and says how to continue where a signal ends it. Returns the signal, or None."""
    try:
        make()
    except signals.Ended as ended:
        callback.note(f"all frames are trained and saved; make the rest with: {resume_command(run.folder)}")
        return ended.number
    return None

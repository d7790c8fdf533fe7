"""The end of a run: its summary, its learning curve, its film, and the commands that follow."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import envs
from agent.agent import WorldModelAgent
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.readout_checks import learned_readouts
from agent.configurator.settings import NO_ENV
from agent.errors import StopRun
from agent.interface import Agent
from envs.faults.errors import EnvFailure
from joule.callbacks.callback import Callback
from joule.callbacks.episodes import EpisodesOfRun
from joule.cli.command_line import command_words, shell_line
from joule.environment import make_env
from joule.filming.recording import record
from joule.report import curves, forecasts, results
from joule.storage.errors import RunError
from joule.storage.reader import read_lines
from joule.storage.run_folder import Run
from joule.training.divergence import diverged_decisions

CURVES = ("surprise", "latent/rank", "latent/relative_error")
"""Columns of metrics.csv that are drawn below the learning curve."""
MOST_SECONDS, SECONDS_PER_FRAME = 30.0, 0.0025
"""Simulated time of the film, at most; less for a short run."""


def conclude(
    run: Run,
    agent: Agent,
    counters: Mapping[str, int],
    scores: Mapping[str, float],
    callback: Callback,
    resume: str,
) -> None:
    """Writes what a finished run leaves, and prints the commands that follow.

    Args:
        run: the run.
        agent: the trained agent.
        counters: survivable faults of the environment, by name.
        scores: the last evaluation.
        callback: gets a note for every file and every command.
        resume: the command that resumes the run.

    Raises:
        StopRun: when the summary cannot be written.
    """
    config, folder = agent.config, run.folder
    skipped = int(agent.metrics.get("learning/skipped_updates", 0))
    summary = {
        **scores,
        "frames": agent.frames,
        "decisions": agent.decisions,
        "episodes": agent.episodes,
        "seconds": agent.clock.seconds(),
        "deterministic": run.env_spec.get("deterministic", True),
        "counters": {
            **counters,
            "updates_skipped": skipped,
            "diverged_decisions": diverged_decisions(agent),
        },
    }
    try:
        for path in _outputs(run, agent).values():  # of a smaller budget
            path.unlink(missing_ok=True)
        run.finish(summary)
    except (OSError, RunError) as error:
        raise StopRun(f"the run has ended and its last checkpoint is complete, but: {error}") from error
    make_missing(run, agent, callback)
    if config.env != NO_ENV:
        reads = isinstance(agent, WorldModelAgent) and learned_readouts(agent.modules)
        imagine = ["--imagine"] if reads else []
        # Where no film was to be made, only the environment itself says whether there can be one.
        if run.env_spec.get("drawable", True) and "film" not in missing(run, agent):
            callback.on_note(f"render:   {_command('render', folder, *imagine)}")
        if config.agent == "joule" and config.planner.kind != NO_PLANNER:
            callback.on_note(f"explain:  {_command('explain', folder, '--step', '10')}")
        callback.on_note(f"evaluate: {_command('evaluate', folder, '--episodes', '10')}")
        if config.reward != "none":  # it compares returns
            callback.on_note(f"compare:  {_command('compare', folder)} OTHER_RUN")
    more = 2 * max(config.steps, agent.frames)
    callback.on_note(f"resume:   {resume} --steps {more}")


def missing(run: Run, agent: Agent) -> list[str]:
    """What a run with all of its frames lacks, because it was killed: "curve", "film", or nothing."""
    return [name for name, path in _outputs(run, agent).items() if not os.path.lexists(path)]


def _outputs(run: Run, agent: Agent) -> dict[str, Path]:
    """The files that a run ends with, beside its summary: "curve" and "film"; none without an environment."""
    if agent.config.env == NO_ENV:
        return {}
    files = {} if agent.config.reward == "none" else {"curve": run.folder / "curve.png"}  # it is of returns
    if agent.config.video:
        files["film"] = run.videos / f"step-{agent.frames}.mp4"
    return files


def make_missing(run: Run, agent: Agent, callback: Callback) -> None:
    """Draws the learning curve and films the agent, where they are missing; a note names each file."""
    files = _outputs(run, agent)
    for name in missing(run, agent):
        if name == "curve":
            _draw_curve(run, files[name], callback)
        else:
            _film(agent, files[name], callback)


def resume_command(folder: Path, track: Sequence[str] = (), ray: str | None = None) -> str:
    """The command that resumes a run, with these trackers, and with actors on this Ray cluster."""
    options = [word for name in track for word in ("--track", name)]
    if ray is not None:
        options.append(f"--ray={ray}" if ray else "--ray")
    return _command("train", "--resume", folder, *options)


def _command(name: str, *arguments: object) -> str:
    return shell_line(command_words(name, [str(argument) for argument in arguments]))


def _draw_curve(run: Run, path: Path, callback: Callback) -> None:
    """Draws the learning curve, or notes why it cannot be drawn."""
    folder = run.folder
    try:
        series, entries = _series(folder / "metrics.csv"), forecasts.read(folder)
        curves.learning_curve(results.read_run(folder), path, series=series, entries=entries)
        callback.on_note(f"curve:    {path}")
    except (OSError, ValueError, csv.Error) as error:  # a full disk may have switched a log off
        callback.on_note(f"no curve: {error}")


def _film(agent: Agent, path: Path, callback: Callback) -> None:
    """Films the evaluated agent; a machine that cannot render gets a sentence instead of a film."""
    try:
        env = make_env(agent.config, render_mode="rgb_array")
        seconds = min(MOST_SECONDS, agent.config.steps * SECONDS_PER_FRAME)
        filming = EpisodesOfRun(callback, "filming", 1)
        with contextlib.closing(env):
            record(agent, env, path, max_seconds=seconds, callback=filming)
        callback.on_video(path, agent.frames)
        callback.on_note(f"film:     {path}")
    except (envs.RenderError, envs.EnvError, EnvFailure) as error:  # the run itself has ended well
        callback.on_note(f"no film: {error}")


def _series(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Columns of metrics.csv for the panels below the curve: name -> (frames, values)."""
    series: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in CURVES}
    for row in csv.DictReader(read_lines(path)):
        for name in CURVES:
            if row.get(name):
                series[name][0].append(float(row["frames"]))
                series[name][1].append(float(row[name]))
    return {name: found for name, found in series.items() if found[0]}

"""Train an agent: it lives in a body, learns a world model of it, and acts by minimising energy.

python train.py                                      HalfCheetah-v5, the world-model agent
python train.py --env my_pkg:MyArm-v0 --steps 50000  an environment of your own
python train.py --agent sac --env dmc:walker-walk    a model-free baseline, same run layout
python train.py --preset smoke                       the whole path in under a minute
python train.py --resume runs/...                    go on exactly where a run stopped
"""

from __future__ import annotations

import csv
import dataclasses
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.configurator.settings import PRESETS, Config
from agent.configurator.validation import flatten, replace, validate
from agent.errors import ConfigError
from joule.agents import new_agent
from joule.cli.command_line import command_words
from joule.cli.options import Parser, add_settings, config_from, given_settings

if TYPE_CHECKING:
    from agent.interface import Agent
    from joule.report.progress import Progress
    from joule.storage.run_folder import Run
    from joule.training.trainer import Trainer


def parser() -> Parser:
    """The options of this door: every setting of a run, and where it goes."""
    p = Parser(prog="train.py", description=__doc__)
    p.add_argument("--preset", metavar="NAME", help=f"one of {', '.join(PRESETS)}")
    p.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: a new one in runs/)")
    p.add_argument("--resume", type=Path, metavar="RUN", help="go on with a run")
    p.add_argument("--override", action="store_true", help="with --resume: allow settings to change")
    p.add_argument("--trust-module", action="append", default=[], metavar="NAME",
                   help="with --resume: import this module of a run made elsewhere")  # fmt: skip
    p.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_settings(p, Config, Config())
    return p


def main(arguments: Sequence[str]) -> int:
    options = parser().parse(arguments)
    given = given_settings(options)
    if options.resume is None:
        for flag, said in (("--override", options.override), ("--trust-module", options.trust_module)):
            if said:
                raise ConfigError(f"{flag}: says how a run is resumed, and there is no --resume")
        config = config_from(options.preset or "default", given)
        check_settings_apply(config.agent, given)
        run = None
        if options.out is not None:
            from joule.storage.run_folder import check_free

            check_free(options.out)
    else:
        from joule.storage.run_folder import Run

        if options.out is not None:
            raise ConfigError(
                f"--out: a resumed run goes on in its own folder; copy {options.resume} to {options.out} "
                f"and --resume {options.out} to have it there"
            )
        if options.preset is not None:
            raise ConfigError(
                "--preset: a resumed run keeps its settings; name those to change, with --override"
            )
        run = Run.open(options.resume, trust_modules=options.trust_module)
        config = resumed_config(run.config, given, options.override)
        check_settings_apply(config.agent, given)

    # From here on it is heavy: MuJoCo, and then torch, are imported once all of the above is settled.
    os.environ.setdefault("OMP_NUM_THREADS", str(config.threads))
    from agent.training_env import check_spec
    from joule.environment import make_env
    from joule.storage.loading import spec_of_run

    body = make_env(config)
    if run is not None:
        check_spec(spec_of_run(run), body, config.agent)
    import torch

    from agent import random_state as generators
    from envs.state.determinism import is_deterministic
    from joule.report.progress import Progress
    from joule.storage.run_folder import Run
    from joule.training.evaluation import Evaluator
    from joule.training.forecast_log import max_entries
    from joule.training.trainer import EXIT_STOPPED, Trainer

    torch.set_num_threads(config.threads)
    learner = new_agent(config, body)
    entries = max_entries(config.steps, config.eval_every_frames)
    evaluator = Evaluator(lambda: make_env(config), config.eval_episodes, entries=entries)
    if run is None:
        with generators.preserved():
            repeats = is_deterministic(make_env(config), config.seed)
        command = command_words("train", arguments)
        env_spec = dataclasses.asdict(body.env_spec) | {"deterministic": repeats}
        run = Run.create(options.out, config, command, env_spec)
    with run.lock(), Progress(run.folder, config.env, config.agent, config.steps) as progress:
        trainer = Trainer(learner, run, evaluator, progress)
        if not run.env_spec.get("deterministic", True):
            progress.note("this environment does not repeat itself under one seed: nor will this run")
        if options.resume is not None:
            for note in trainer.resume():
                progress.note(note)
            done = learner.frames >= config.steps and not trainer.unfinished
            if done and run.finished_at() == learner.frames:
                progress.note(f"nothing to do: this run has its {learner.frames:,} frames; give more --steps")
                return 0
            if config != run.config:
                run.reconfigure(config)
        stopped_by = trainer.train()
        evaluator.close()
        if stopped_by is not None:
            again = f"python train.py --resume {shlex.quote(str(run.folder))}"
            progress.note(f"stopped at {learner.frames:,} frames; go on with: {again}")
            return EXIT_STOPPED[stopped_by]
        conclude(run, learner, body.counters, trainer, progress)
    return 0


def conclude(
    run: Run, learner: Agent, counters: dict[str, int], trainer: Trainer, progress: Progress
) -> None:
    """What a finished run leaves: a summary, its curve, a film of the agent, and how to go on."""
    from agent.errors import StopRun
    from joule.report import curves, results
    from joule.report import forecasts as forecast_log
    from joule.storage.run_folder import RunError

    config, folder = learner.config, run.folder
    skipped = int(learner.metrics.get("learner/skipped", 0))
    summary = {
        **trainer.last_scores,
        "frames": learner.frames,
        "decisions": learner.decisions,
        "episodes": learner.episodes,
        "seconds": learner.clock.seconds(),
        "deterministic": run.env_spec.get("deterministic", True),
        "counters": {**counters, "updates_skipped": skipped},
    }
    try:
        run.finish(summary)
    except RunError as error:
        raise StopRun(f"the run has ended, its last checkpoint is whole, but: {error}") from error
    try:
        series = measured(folder / "metrics.csv")
        curves.learning_curve(
            results.read_run(folder), folder / "curve.png", series=series, entries=forecast_log.read(folder)
        )
        progress.note(f"curve:    {folder / 'curve.png'}")
    except (OSError, results.ResultsError) as error:  # a log may have been switched off by a full disk
        progress.note(f"no curve: {error}")
    if config.video:
        film(run, learner, progress)
    quoted = shlex.quote(str(folder))
    predicts = " --imagine" if config.agent == "joule" else ""
    progress.note(f"render:   python render.py {quoted}{predicts}")
    if config.agent == "joule" and config.planner.kind != "policy":
        progress.note(f"explain:  python explain.py {quoted} --step 10")
    progress.note(f"evaluate: python evaluate.py {quoted} --episodes 10")
    progress.note(f"compare:  python compare.py {quoted} OTHER_RUN")
    progress.note(
        f"resume:   python train.py --resume {quoted} --steps {2 * max(config.steps, learner.frames)}"
    )


def film(run: Run, learner: Agent, progress: Progress) -> None:
    """Records the evaluated agent; a machine that cannot draw gets a sentence instead of a film."""
    import envs
    from joule.commands.render import record
    from joule.environment import make_env

    try:
        stage = make_env(learner.config, render_mode="rgb_array")
        seconds = min(30.0, learner.config.steps * 0.01)
        path = record(learner, stage, run.videos / f"step-{learner.frames}.mp4", max_seconds=seconds)
        stage.close()
        progress.note(f"film:     {path}")
    except (envs.RenderError, envs.EnvError) as error:  # some bodies have no picture of themselves
        progress.note(f"no film: {error}")


def measured(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Series for the curve's lower panels from metrics.csv: name -> (frames, values)."""
    wanted = ("surprise", "latent/rank", "latent/relative_error")
    series: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in wanted}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name in wanted:
                if row.get(name):
                    series[name][0].append(float(row["frames"]))
                    series[name][1].append(float(row[name]))
    return {name: found for name, found in series.items() if found[0]}


def check_settings_apply(agent: str, given: Iterable[str]) -> None:
    """Refuses settings that an agent would not heed. Raises ConfigError naming the first."""
    own = ("learner.", "model.", "planner.", "regularizer", "on_collapse")
    deaf = [name for name in given if name.startswith(own)]
    if deaf and agent != "joule":
        why = "learns nothing" if agent in ("random", "zero") else "has its library's published settings"
        raise ConfigError(f"{deaf[0]}: {agent} {why}; only joule heeds it")


def resumed_config(before: Config, given: dict[str, object], override: bool) -> Config:
    """The config of a resumed run: its own, with what the user may change.

    A larger budget is always allowed. Raises ConfigError naming the differences otherwise.
    """
    config = validate(replace(before, given))
    old, new = flatten(before), flatten(config)
    changed = [name for name in old if old[name] != new[name]]
    if "task" in changed:
        other = ", or evaluate.py --task --learn-task takes it up" if before.agent == "joule" else ""
        raise ConfigError(
            f"task: what this run learned and remembers was priced by its own; another begins a run{other}"
        )
    free = {"steps", "eval_every_frames", "checkpoint_every_frames", "video"}
    if not override and (bad := [name for name in changed if name not in free]):
        difference = ", ".join(f"{name} {old[name]!r} -> {new[name]!r}" for name in bad)
        raise ConfigError(f"this run has other settings ({difference}); add --override to change them")
    if config.steps < before.steps:
        raise ConfigError(f"steps: {config.steps} is less than the run's own {before.steps}")
    return config

"""Train an agent: it learns a world model of its environment, and acts by minimising energy.

python train.py                                      HalfCheetah-v5, the world-model agent
python train.py --env my_pkg:MyArm-v0 --steps 50000  an environment of your own
python train.py --agent sac --env dmc:walker-walk    a model-free baseline, with the same run folder
python train.py --preset smoke                       everything in under a minute
python train.py --data episodes/ --env Hopper-v5     learn from recorded episodes, without interaction
python train.py --resume runs/...                    continue a run exactly where it stopped
python train.py --init-from runs/... --task less:velocity --steps 20000    a new task for what another run learned
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.configurator.settings import NO_ENV, PRESETS, Config
from agent.errors import ConfigError
from joule import threads
from joule.arguments import as_path, texts_in
from joule.cli import signals, streams
from joule.cli.command_line import command_words, setting_words
from joule.cli.options import add_settings, given_settings
from joule.cli.parser import Parser
from joule.model_file import shown_name, with_model_file
from joule.settings import config_from, config_init_from, merged, resumed_config

if TYPE_CHECKING:
    from joule.callbacks.callback import Callback
    from joule.storage.run_folder import Run
    from joule.training.session import TrainedRun


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of this command; `arguments` names the planner whose settings the help shows."""
    p = Parser(prog="train.py", description=__doc__)
    p.add_argument("--preset", metavar="NAME", help=f"one of {', '.join(PRESETS)}")
    p.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: a new one in runs/)")
    p.add_argument("--resume", type=Path, metavar="RUN", help="continue a run")
    p.add_argument("--init-from", type=Path, metavar="RUN",
                   help="begin a new run with what this one has learned, and with its settings")  # fmt: skip
    p.add_argument("--override", action="store_true", help="with --resume: allow settings to change")
    p.add_argument("--trust-module", action="append", default=[], metavar="NAME",
                   help="of another run: import this module, although another user made the run")  # fmt: skip
    p.add_argument("--trust-env-kwargs", action="store_true",
                   help="of another run: use its env_kwargs, although another user made the run")  # fmt: skip
    p.add_argument("--track", action="append", default=[], metavar="NAME",
                   help="send the numbers of the run to a tracker too: wandb; repeatable")  # fmt: skip
    p.add_argument("--ray", nargs="?", const="", metavar="ADDRESS",
                   help="run the --actors on this Ray cluster, such as 10.0.0.1:6379; without an address on that "
                   "of this machine, which is started where there is none")  # fmt: skip
    p.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_settings(p, Config, Config(), arguments=arguments)
    return p


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    signals.survive_hangup()
    options = parser(arguments).parse(arguments)
    streams.continue_without_stdout()
    given = given_settings(options)
    trained = _train(
        given,
        preset=options.preset,
        out=options.out,
        resume=options.resume,
        init_from=options.init_from,
        override=options.override,
        trust_modules=options.trust_module,
        trust_env_kwargs=options.trust_env_kwargs,
        command=command_words("train", arguments),
        callbacks=(),
        track=options.track,
        ray=options.ray,
        progress=True,
        from_command_line=True,
    )
    return trained.exit_code


def train(
    *,
    env: str | os.PathLike[str] | None = None,
    agent: str | None = None,
    out: str | os.PathLike[str] | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | os.PathLike[str] | None = None,
    init_from: str | os.PathLike[str] | None = None,
    override: bool = False,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    callbacks: Sequence[Callback] = (),
    track: str | Sequence[str] = (),
    ray: str | None = None,
    progress: bool = True,
    **keywords: Any,
) -> TrainedRun:
    """Trains an agent in a run folder, with evaluations, checkpoints, a learning curve and a film.

    It does what the command `train` does. Signals are left to the program: KeyboardInterrupt ends the run, and
    `resume` continues it from its last checkpoint.

    Args:
        env: an id, such as `HalfCheetah-v5` (the default) or `my_pkg:MyArm-v0`, or an MJCF file.
        agent: `joule` (the default), `sac`, `td3`, `ppo`, `tqc`, `crossq`, `sac_her`, `random` or `zero`.
        out: the run folder; by default runs/<env>-<agent>-seed<k>-<time>.
        preset: a name in `agent.configurator.settings.PRESETS`, such as `smoke`.
        settings: by dotted name, such as {"planner.kind": "icem"}; see `joule.Config`.
        resume: a run folder to continue, in place of a new one.
        init_from: a run folder whose agent the new run begins with: its networks and its transitions, which get
            the costs of `task` where that is another one. Settings that are not given are those of that run.
        override: with `resume`, allows settings to change.
        trust_modules: with `resume` or `init_from`, modules that the run's environment may import although
            another user made the run; likewise with `data`.
        trust_env_kwargs: with `resume` or `init_from`, whether its environment may get the keyword arguments
            in its settings, likewise.
        callbacks: are told how the run goes; see `joule.Callback`.
        track: trackers that get the numbers of the run too: `wandb`. `joule.WandbTracker` among `callbacks` has
            more settings.
        ray: address of the Ray cluster that the `actors` run on, such as `10.0.0.1:6379`; an empty text for that of
            this machine, which is started where there is none. None runs them as processes of this machine.
        progress: whether to show the progress on stdout.
        keywords: settings without a dot, such as `steps=50_000` and `seed=1`.

    Returns:
        The run folder, the trained agent and the last evaluation.

    Raises:
        Refused: for input that cannot be used; its subclasses are ConfigError, RunError, CheckpointError.
        StopRun: when the run cannot continue.
    """
    if ray is not None and not isinstance(ray, str):
        raise ConfigError(
            f"ray: found {ray!r:.80}; give the address of a cluster, or '' for that of this machine"
        )
    given = merged(settings, keywords, train)
    given |= {name: value for name, value in (("env", env), ("agent", agent)) if value is not None}
    if isinstance(env, os.PathLike):
        given["env"] = os.fspath(env)
    return _train(
        given,
        preset=preset,
        out=None if out is None else as_path("out", out),
        resume=None if resume is None else as_path("resume", resume),
        init_from=None if init_from is None else as_path("init_from", init_from),
        override=override,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
        command=command_words("train", _arguments(preset, init_from, given)),
        callbacks=callbacks,
        track=_texts("track", track),
        ray=ray,
        progress=progress,
        from_command_line=False,
    )


def _train(
    given: Mapping[str, Any],
    *,
    preset: str | None,
    out: Path | None,
    resume: Path | None,
    init_from: Path | None,
    override: bool,
    trust_modules: Sequence[str],
    trust_env_kwargs: bool,
    command: Sequence[str],
    callbacks: Sequence[Callback],
    track: Sequence[str],
    ray: str | None,
    progress: bool,
    from_command_line: bool,
) -> TrainedRun:
    """Checks the input, and trains or resumes.

    Only a command sets environment variables and handles signals; in a Python program both belong to the user.
    """
    _check_together(preset, resume, init_from, override)
    if ray is not None and given.get("data"):
        raise ConfigError("--ray: it is for actors, and learning from data has none")
    if (trust_modules or trust_env_kwargs) and not (resume or init_from or given.get("data")):
        flag = "--trust-module" if trust_modules else "--trust-env-kwargs"
        raise ConfigError(f"{flag}: is for another run, and there is no --resume")
    trust: dict[str, Any] = {"trust_modules": trust_modules, "trust_env_kwargs": trust_env_kwargs}
    if resume is not None:
        if out is not None:
            raise ConfigError(
                f"--out: a resumed run stays in its own folder; copy {resume} to {out} and --resume {out} to "
                "have it there"
            )
        return _resume(
            resume, given, override, trust, callbacks, track, ray=ray, progress=progress,
            from_command_line=from_command_line,
        )  # fmt: skip
    if init_from is None:
        if given.get("data"):
            from joule.datasets.source import with_settings_of_data

            given = with_settings_of_data(given, trust)
        config = config_from(preset or "default", given)
    else:
        config = config_init_from(_opened(init_from, "--init-from", given, trust).config, given)
    if from_command_line:
        threads.set_variables(config.threads)
    if out is not None:
        _check_free(out)
    if config.env != NO_ENV:
        from envs.registry import checked_id

        config = dataclasses.replace(config, env=checked_id(config.env))
    given_callbacks = _callbacks(callbacks, track)
    with _startup(config, from_command_line) as startup:
        # The imports of torch and MuJoCo take seconds; they follow once all of the above is checked.
        from envs.registry import complete_id
        from joule.training.experienced import train_init_from, train_offline
        from joule.training.session import Reporting, train_new

        config = dataclasses.replace(config, env=complete_id(config.env))
        reporting = Reporting([*startup, *given_callbacks], track, progress)
        end: dict[str, Any] = {"reporting": reporting, "handle_signals": from_command_line}
        if config.data:
            return train_offline(config, out, command, **end, **trust)
        end["ray"] = ray
        if init_from is None:
            return train_new(config, out, command, **end)
        return train_init_from(config, init_from, out, command, **end, **trust)


def _resume(
    resume: Path,
    given: Mapping[str, Any],
    override: bool,
    trust: Mapping[str, Any],
    callbacks: Sequence[Callback],
    track: Sequence[str],
    *,
    ray: str | None,
    progress: bool,
    from_command_line: bool,
) -> TrainedRun:
    """Checks what a resumed run is given, and resumes it. Arguments as for `_train`."""
    if from_command_line:
        threads.set_variables(given.get("threads") or threads.of_run(resume))
    from joule.storage.checkpoint import newest_step

    run = _opened(resume, "--resume", given, trust)
    given = with_model_file(given, run.config)
    if given.get("env", NO_ENV) not in (NO_ENV, run.config.env):  # as for a new run
        from envs.registry import checked_id, complete_id

        given = {**given, "env": complete_id(checked_id(given["env"]))}
    config = resumed_config(run.config, given, override, newest_step(run.checkpoints))
    given_callbacks = _callbacks(callbacks, track)
    with _startup(config, from_command_line) as startup:
        from joule.training.session import Reporting, train_further

        reporting = Reporting([*startup, *given_callbacks], track, progress)
        return train_further(run, config, reporting=reporting, handle_signals=from_command_line, ray=ray)


def _check_free(out: Path) -> None:
    """Raises RunError for a folder that a new run cannot have; it says how a run that is there goes on."""
    from joule.storage.errors import RunError
    from joule.storage.run_paths import check_free

    try:
        check_free(out)
    except RunError as error:
        if not _goes_on(out):
            raise
        resume = shlex.join(command_words("train", ["--resume", str(out)]))
        raise RunError(f"{error}, or go on with: {resume}") from error


def _goes_on(folder: Path) -> bool:
    """Whether a folder holds a run that `--resume` takes."""
    from joule.storage.errors import RunError
    from joule.storage.run_folder import Run

    try:
        return not Run.open(folder).shared
    except RunError:
        return False


def _opened(path: Path, flag: str, given: Mapping[str, Any], trust: Mapping[str, Any]) -> Run:
    """The run that `--resume` or `--init-from` names.

    Raises:
        RunError: as `Run.open`, and for a run in the shared form, which has nothing to learn from.
    """
    from joule.storage.errors import RunError
    from joule.storage.run_folder import Run
    from joule.storage.run_paths import located
    from joule.storage.shipped import address, folder_of

    shipped = folder_of(path)
    folder = located(path)[0] if flag == "--init-from" else shipped or path
    run = Run.open(folder, **trust, changes=given)
    if run.shared:
        named = path if shipped is None else address(shipped.name)
        raise RunError(
            f"{flag}: {named} is a run in its shared form, without replay buffer and optimisers: it can act and be "
            "evaluated, and cannot be trained further"
        )
    return run


def _check_together(preset: str | None, resume: Path | None, init_from: Path | None, override: bool) -> None:
    """Raises ConfigError for options that say nothing together."""
    if resume is not None and init_from is not None:
        raise ConfigError("--init-from: a resumed run goes on with its own agent; give one of the two")
    if preset is not None and resume is not None:
        raise ConfigError("--preset: a resumed run keeps its settings; name those to change, with --override")
    if preset is not None and init_from is not None:
        raise ConfigError("--preset: this run begins with the settings of another; name those to change")
    if override and resume is None:
        raise ConfigError("--override: is for another run, and there is no --resume")


@contextmanager
def _startup(config: Config, from_command_line: bool) -> Iterator[list[Callback]]:
    """Inside, a command whose start takes long says so. Yields the callback that must be told of the start."""
    if not from_command_line:
        yield []
        return
    from joule.report.startup_line import StartupLine

    with StartupLine(f"starting {config.agent} in {shown_name(config)} ...") as line:
        yield [line]


def _callbacks(callbacks: Sequence[Callback], track: Sequence[str]) -> list[Callback]:
    """The user's callbacks and the trackers. Raises ConfigError for those that cannot be used."""
    if not callbacks and not track:
        return []
    from joule.callbacks.dispatch import checked
    from joule.callbacks.trackers import trackers

    return [*checked(callbacks), *trackers(track)]


def _texts(name: str, given: Any) -> tuple[str, ...]:
    """Texts; one alone will do. Raises ConfigError for what is none; `name` is what it was given as."""
    if (texts := texts_in(given)) is None:
        raise ConfigError(f"{name}: found {given!r:.80}, expected texts")
    return texts


def _arguments(
    preset: str | None, init_from: str | os.PathLike[str] | None, given: Mapping[str, Any]
) -> list[str]:
    """The arguments of the command that makes the same run as a call from Python."""
    words = [] if preset is None else ["--preset", preset]
    if init_from is not None:
        words += ["--init-from", str(init_from)]
    return words + setting_words(given)

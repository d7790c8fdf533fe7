"""Train many runs: agents x environments x seeds x settings, here, on Ray or on Slurm.

python sweep.py --agents joule sac --envs HalfCheetah-v5 dmc:walker-walk --seeds 1 2 3 --steps 100000
python sweep.py --envs Hopper-v5 --seeds 1 2 --grid learning.batch_size=64,256 cost.action=0,0.1
python sweep.py --envs Hopper-v5 --search 20 --grid learning.learning_rate=1e-4..1e-3:log
python sweep.py --file sweep.json --storage /shared/sweep --ray 10.0.0.1:6379
python sweep.py --file sweep.json --storage /shared/sweep --slurm partition=cpu timeout_min=240

Give the same command again to go on: finished trials are not repeated, interrupted ones are resumed exactly.
Every setting of train.py but env, agent and seed holds for all trials. No film is made without --video.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.configurator.settings import NO_ENV, PRESETS, Config
from agent.errors import ConfigError
from joule import threads
from joule.arguments import whole
from joule.cli import signals, streams
from joule.cli.command_line import command_words, shell_line
from joule.cli.options import add_settings, given_settings
from joule.cli.parser import Parser, whole_number
from joule.extras import needed
from joule.sweeping.grid import OWN, SettingReader, read_grid
from joule.sweeping.plan import AGENTS, Plan, check_plan, read_plan
from joule_schema.model_file import is_model_file, of_model_file

if TYPE_CHECKING:
    from joule.sweeping.backend import Backend
    from joule.sweeping.display import Display
    from joule.sweeping.progress import Standings

Candidates = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name of a search -> the settings of its candidates."""
MOST_SEEDS = 10_000
"""In one range."""
STORAGE = Path("sweep")
"""The folder of a sweep by default."""
SLURM_WORKERS = 10
"""Trials at a time of a search on Slurm by default: with more, fewer draws know what others have come to."""


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of this command; `arguments` names the planner whose settings the help shows."""
    p = Parser(prog="sweep.py", description=__doc__)
    what = p.add_argument_group(
        "trials", "Every agent in every environment with every seed and all settings."
    )
    what.add_argument(
        "--agents", nargs="+", type=_listed, metavar="NAME", help=f"of {', '.join(AGENTS)} (default: joule)"
    )
    what.add_argument(
        "--envs", nargs="+", type=_listed, metavar="ID", help=f"environments (default: {Config().env})"
    )
    what.add_argument(
        "--seeds", nargs="+", type=_seeds, metavar="N", help="such as 1 2 3 or 1..5 (default: 1)"
    )
    what.add_argument("--grid", nargs="+", action="extend", metavar="NAME=VALUES",
                      help="settings that vary: NAME=VALUE,VALUE or, for --search, NAME=LOW..HIGH and "
                      "NAME=LOW..HIGH:log; repeatable")  # fmt: skip
    what.add_argument("--search", type=whole_number, metavar="N",
                      help="try N combinations of the grid for each agent and environment: chosen by Optuna, "
                      "with --ray by Ray Tune, which ends poor ones early (ASHA)")  # fmt: skip
    what.add_argument("--file", type=Path, metavar="FILE",
                      help="agents, envs, seeds, preset, steps, settings, grid and search as JSON; options "
                      "replace its entries")  # fmt: skip
    what.add_argument("--preset", metavar="NAME", help=f"one of {', '.join(PRESETS)}")
    where = p.add_argument_group("where", "Where the trials run, and where their files are.")
    where.add_argument("--storage", type=Path, default=STORAGE, metavar="DIR",
                       help="a folder that all machines share (default: %(default)s)")  # fmt: skip
    where.add_argument("--workers", type=whole_number, metavar="N",
                       help="trials at a time (default: as many as have cores here; all on a cluster, but 10 of a "
                       "search on Slurm)")  # fmt: skip
    where.add_argument("--ray", nargs="?", const="", metavar="ADDRESS",
                       help="run on this Ray cluster, such as 10.0.0.1:6379; without an address on the one of "
                       "this machine, which is started where there is none")  # fmt: skip
    where.add_argument("--slurm", nargs="*", metavar="KEY=VALUE",
                       help="run as jobs of Slurm, with submitit's parameters such as partition=cpu")  # fmt: skip
    where.add_argument("--debug", action="store_true", help="show the traceback of an error")
    defaults = replace(Config(), video=False)
    add_settings(p, Config, defaults, without=tuple(OWN), arguments=arguments)
    return p


def _listed(text: str) -> list[str]:
    """The names in `joule,sac`."""
    return [name.strip() for name in text.split(",")]


def _seeds(text: str) -> list[int]:
    """The seeds in `1,2` and `1..5`."""
    found: list[int] = []
    for part in _listed(text):
        first, dots, last = part.partition("..")
        ends = whole_number(first), whole_number(last if dots else first)
        if ends[1] < ends[0]:
            raise argparse.ArgumentTypeError(f"{part} is no range of seeds such as 1..5")
        if (seeds := ends[1] - ends[0] + 1) > MOST_SEEDS:
            raise argparse.ArgumentTypeError(
                f"{part} has {seeds:,} seeds; a range has {MOST_SEEDS:,} at most"
            )
        found += range(ends[0], ends[1] + 1)
    return found


def plan_of(options: argparse.Namespace) -> Plan:
    """What the options ask for.

    Raises:
        ConfigError: for options and files that cannot be used.
    """
    reader = SettingReader()
    reader.learn_kinds(given_settings(options))
    plan = Plan() if options.file is None else read_plan(options.file, reader)
    changes = {
        name: tuple(itertools.chain(*value))
        for name in ("agents", "envs", "seeds")
        if (value := getattr(options, name)) is not None
    }
    grid = {**plan.grid, **read_grid(options.grid or (), reader)}
    no_film = {} if "video" in grid else {"video": False}
    settings = {**no_film, **plan.settings, **given_settings(options)}
    preset = options.preset or plan.preset
    search = plan.search if options.search is None else options.search
    return check_plan(replace(plan, **changes, preset=preset, settings=settings, grid=grid, search=search))


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code: 1 where a trial has failed.

    Raises:
        Refused: for input that cannot be used, with one sentence.
    """
    signals.survive_hangup()
    options = parser(arguments).parse(arguments)
    streams.continue_without_stdout()
    plan = plan_of(options)
    if options.ray is not None and options.slurm is not None:
        raise ConfigError("--slurm: the trials run on Ray or on Slurm; give one of the two")
    if options.workers is not None:
        whole("workers", options.workers, 1)
    threads.set_variables(1)

    from joule.sweeping.display import Display
    from joule.sweeping.progress import Standings
    from joule.sweeping.session import failures

    standings = Standings()
    display = Display(standings)
    sentences: list[str] = []
    stopped_by: int | None
    try:
        stopped_by, sentences = _train(plan, options, standings, display)
    except signals.Ended as ended:
        stopped_by = ended.caught()
    display.whole_table()
    for sentence in sentences:
        display.say(sentence)
    if stopped_by is not None:
        display.say(f"stopped; continue with: {shell_line(command_words('sweep', arguments))}")
        return signals.exit_code(stopped_by)
    return int(bool(failures(standings)))


def _train(
    plan: Plan, options: argparse.Namespace, standings: Standings, display: Display
) -> tuple[int | None, list[str]]:
    """Trains all trials of a plan.

    Returns:
        The signal that ended them early, or None; and sentences that name the results.

    Raises:
        Refused: for input that cannot be used, for a cluster that cannot be used, and where another process makes
            the same search.
        Ended: where a second SIGINT ends them at once.
    """
    from joule.sweeping.candidates import report, searching_alone, tasks_of
    from joule.sweeping.session import Listed, Source, Sweep
    from joule.sweeping.trials import RESULTS, check_used, grid_trials, make_storage

    storage, workers = Path(os.path.abspath(options.storage)), options.workers
    if plan.search is None:
        trials, notes = grid_trials(plan, storage)
        tasks = []
        cores = max(trial.job().cores for trial in trials)
    else:
        trials, notes = [], check_used(plan)
        tasks = tasks_of(plan, storage)
        cores = max(task.cores for task in tasks)
        needed(*(("optuna", "search") if options.ray is None else ("ray.tune", "cluster")), "--search")
    ray, executor = _cluster(options, storage, cores)
    if ray is None and executor is None:  # a cluster's nodes may have packages that this machine has not
        check_envs(plan.envs)
    make_storage(options.storage)
    if ray is not None:
        from joule.ray_cluster import check_fits_node
        from joule.sweeping.ray_backend import check_nodes

        notes += check_nodes(ray, storage)
        seeds = len(plan.seeds)  # those of a candidate are trained side by side
        needs = {(job.cores, job.gpus, "a trial") for job in (trial.job() for trial in trials)}
        needs |= {(task.cores * seeds, task.gpus * seeds, "a candidate with all seeds") for task in tasks}
        for need in sorted(needs):
            check_fits_node(ray, *need)
    for note in notes:
        display.say(note)
    with searching_alone(tasks):
        if ray is not None and tasks:
            from joule.sweeping.ray_search import TuneSearch

            tuned = TuneSearch(tasks, standings, display, workers)
            with display:
                tuned.run()
            found: Candidates = tuned.settings
            stopped_by = tuned.stop.number
        else:
            source: Source = Listed(trials)
            if tasks:
                from joule.sweeping.optuna_search import OptunaSearch

                default = local_workers(cores) if executor is None else SLURM_WORKERS
                source = OptunaSearch(tasks, storage, workers or default)
            with _backend(ray, executor, storage, workers, cores) as backend, display:
                sweep = Sweep(source, backend, display, standings)
                sweep.run()
            found, stopped_by = source.settings, sweep.stop.number
        best = [report(task, found.get(task.name, ())) for task in tasks]
    return stopped_by, [*best, f"results: {storage / RESULTS}"]


def check_envs(ids: Sequence[str]) -> None:
    """Refuses environments that need no import of a user's module to be seen to be wrong.

    Raises:
        EnvError, SchemaError: for the first of them; see `envs.registry.checked_id` and
            `joule_schema.model_file.of_model_file`.
    """
    from envs.registry import checked_id

    for env in ids:
        if is_model_file(env):
            of_model_file(env, {})
        elif env != NO_ENV:
            checked_id(env)


def _cluster(options: argparse.Namespace, storage: Path, cores: int) -> tuple[Any, Any]:
    """The module `ray`, connected, or submitit's executor; None for what is not asked for.

    Raises:
        ConfigError: for a cluster that cannot be used.
    """
    if options.ray is not None:
        from joule.ray_cluster import connect

        return connect(options.ray), None
    if options.slurm is not None:
        from joule.sweeping.slurm_backend import executor_of, parameters

        return None, executor_of(storage, parameters(options.slurm), options.workers, cores)
    return None, None


def local_workers(cores: int) -> int:
    """Trials at a time on this machine by default, each of which keeps so many cores busy."""
    return max(1, allowed_cores() // cores)


def allowed_cores() -> int:
    """The cores that this process may use: those of its allocation, not those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _backend(ray: Any, executor: Any, storage: Path, workers: int | None, cores: int) -> Backend:
    """What trains the trials."""
    if ray is not None:
        from joule.sweeping.ray_backend import RayTasks

        return RayTasks(ray, workers)
    if executor is not None:
        from joule.sweeping.slurm_backend import SlurmJobs

        return SlurmJobs(executor, storage)
    from joule.sweeping.local import LocalProcesses

    return LocalProcesses(workers or local_workers(cores))

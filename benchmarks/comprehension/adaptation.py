"""Changes the environment under a trained agent: is it detected, is the return regained, is the old model kept?

python benchmarks/comprehension/adaptation.py --runs runs/cheetah runs/sac-cheetah --ceilings runs/heavy runs/light
python benchmarks/comprehension/adaptation.py --train 50000     trains all of these, into runs/adaptation/
python benchmarks/comprehension/adaptation.py --runs runs/cheetah --train-on 20000
                                                                the ceiling is the same agent, trained on after the change
python benchmarks/comprehension/adaptation.py --runs runs/cheetah --quick      one change, one episode: does it work?
                                                                               -> adaptation-quick.csv
python benchmarks/comprehension/adaptation.py --redraw                         only draws the figure from the CSV

-> runs/comprehension/adaptation.csv, adapt.json, adaptation.png; --published: in benchmarks/results/ and docs/pictures/

Runs are trained in the unchanged environment. A world-model agent adapts and, for comparison, stays frozen; a
baseline stays frozen and, for comparison, goes on learning. Ceilings are runs that were trained in a changed
environment, by `--perturb mass.torso=2`. With --train-on, the agent itself is trained there for so many frames more,
from an empty replay buffer. The achievable return is that of the best ceiling, or of the frozen agent where it is
higher. The phases of an adapting agent, for each change:

known     an episode in the unchanged environment: are there false alarms?
change    an episode in which the change comes after --change decisions: how many decisions later is it detected?
changed   episodes in the changed environment, with adaptation
after     held-out episodes there, without learning: how much is regained?
back      an episode in the changed environment, in which the change is undone after --change decisions
home      held-out episodes in the unchanged environment, without learning: how much is kept?

What is in the CSV is not repeated. Rows of a run with other frames or settings replace those of the same seed.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import joule
from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.world_model.home_episodes import (
    FEWEST_HOME_DECISIONS,
    HOME_DECISIONS,
    HomeEpisodes,
    play_home_episodes,
)
from benchmarks import raw_rows, training
from benchmarks.comprehension import outputs
from benchmarks.comprehension.adaptation_figure import draw
from benchmarks.comprehension.adaptation_phases import Phases, Settings
from benchmarks.comprehension.adaptation_summary import COLUMNS, write_summary
from benchmarks.comprehension.choices import add_option, choices_for
from benchmarks.comprehension.worlds import FEW, worlds_for
from benchmarks.counts import count, count_or_none
from benchmarks.refusals import exit_code
from envs.safe_env import SafeEnv
from joule.environment import make_env
from joule_errors import Refused

PICTURE = training.ROOT / "docs" / "pictures" / "adaptation.png"
OWN_ENVS = ("HalfCheetah-v5", "Hopper-v5")
"""Environments of --train."""
REPLACED = ("env", "perturbation", "method", "seed")
"""Columns in which new rows and those that they replace are equal."""
MEASURED = (*REPLACED, "run_frames", "settings")
"""Columns in which rows are equal that need not be measured again."""
Key = tuple[str, ...]


def key_of(row: Mapping[str, Any], columns: Sequence[str]) -> Key:
    """A row in some columns, as text."""
    return tuple(str(row.get(name, "")) for name in columns)


def changes_of(config: Config, options: argparse.Namespace) -> tuple[str, ...]:
    """The changes of an environment: of the command line, of the file, or default worlds of a MuJoCo robot.

    Raises:
        Refused: see `worlds_for`.
    """
    given = options.worlds or choices_for(options.choices, config.env).worlds
    return worlds_for(unchanged_env(config), given, FEW)


def unchanged_env(config: Config) -> SafeEnv:
    """The environment of a config without perturbations."""
    return make_env(replace(config, {"perturb": ()}))


def methods_of(agent: str, settings: Settings) -> dict[str, Callable[[Phases], None]]:
    """Method -> what an agent of this kind does."""
    methods: dict[str, Callable[[Phases], None]] = {f"{agent} frozen": Phases.stay_frozen}
    if agent != "joule":
        return methods | {f"{agent} learns on": Phases.learn_on}
    methods["joule adapts"] = Phases.adapt
    if settings.train_on_frames:
        methods["joule taught"] = Phases.train_on
    return methods


def all_rows(
    options: argparse.Namespace, settings: Settings, done: set[Key]
) -> Iterator[list[dict[str, Any]]]:
    """The rows of one method under one change at a time, without those that are done."""
    for folder in options.runs:
        agent = joule.load(folder)
        config = agent.config
        home = functools.cache(functools.partial(home_of, folder, settings.home_decisions))
        for number, perturbation in enumerate(changes_of(config, options)[: 1 if options.quick else None]):
            for method, act in methods_of(config.agent, settings).items():
                if measured(agent, perturbation, method, settings) not in done:
                    phases = Phases(joule.load(folder), method, perturbation, settings, home, number)
                    act(phases)
                    yield phases.rows
    for folder in options.ceilings:
        agent = joule.load(folder)
        config = agent.config
        method = f"{config.agent} ceiling"
        if len(config.perturb) != 1 or config.perturb[0] not in changes_of(config, options):
            found = config.perturb or "no change"
            raise SystemExit(f"{folder}: was trained with {found}, which is not one of the changes here")
        if measured(agent, config.perturb[0], method, settings) not in done:
            phases = Phases(agent, method, config.perturb[0], settings, lambda: None)
            phases.hold_out("after", phases.perturbation)
            yield phases.rows


def measured(agent: Any, perturbation: str, method: str, settings: Settings) -> Key:
    """The key in MEASURED of what is to be measured."""
    of_agent = (agent.config.env, perturbation, method, str(agent.config.seed), str(agent.frames))
    return (*of_agent, settings.text(method))


def home_of(folder: Path, decisions: int) -> HomeEpisodes | None:
    """An agent's episodes in the unchanged environment, which calibrate its signals; None for no decisions."""
    if not decisions:
        return None
    agent = joule.load(folder)
    if not isinstance(agent, WorldModelAgent):
        raise Refused(f"{folder}: {agent.config.agent} does not adapt; joule does")
    return play_home_episodes(agent.modules, unchanged_env(agent.config), decisions)


def own_runs(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """This benchmark's own runs, in the unchanged environments and in the changed ones, trained or resumed."""
    envs, steps = options.envs, options.train

    def run(env: str, agent: str, perturbation: str = "") -> training.TrainingRun:
        name = training.slug(f"{agent} {perturbation}")
        folder = training.RUNS / "adaptation" / training.slug(env) / name
        changed = ("--perturb", perturbation) if perturbation else ()
        new = ("--agent", agent, "--env", env, "--seed", "1", *changed)
        return training.TrainingRun(folder, steps, new, always=("--eval-every-frames", str(steps)))

    plain = [run(env, agent) for env in envs for agent in ("joule", "sac")]
    changed = [
        run(env, "joule", world)
        for env in envs
        for world in changes_of(replace(Config(), {"env": env}), options)
    ]
    folders = training.train_all([*plain, *changed])
    return folders[: len(plain)], folders[len(plain) :]


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=Path, nargs="+", default=[], help="trained in the unchanged environment")
    p.add_argument("--ceilings", type=Path, nargs="*", default=[], help="trained in a changed environment")
    p.add_argument(
        "--train", type=count, metavar="FRAMES", help="train runs and ceilings, for so many frames"
    )
    p.add_argument(
        "--train-on", type=count_or_none, default=0, metavar="FRAMES",
        help="train each world-model agent on after each change for so many frames, as a ceiling",
    )  # fmt: skip
    p.add_argument("--envs", nargs="+", default=OWN_ENVS, metavar="ENV", help="of --train")
    p.add_argument("--worlds", nargs="+", metavar="PERTURB", help="changes (default: by the robot's model)")
    add_option(p)
    p.add_argument(
        "--home", type=count, default=HOME_DECISIONS, metavar="DECISIONS",
        help=f"in the unchanged environment, which calibrate the signals (default: {HOME_DECISIONS})",
    )  # fmt: skip
    p.add_argument("--episodes", type=count, default=5, help="held-out episodes (default: 5)")
    p.add_argument("--changed-episodes", type=count, default=10, help="of the phase changed (default: 10)")
    p.add_argument("--decisions", type=count, default=1_000, help="of an episode at most (default: 1000)")
    p.add_argument("--change", type=count, default=300, help="decisions before the change (default: 300)")
    p.add_argument("--redraw", action="store_true", help="only draw the figure, from the CSV")
    p.add_argument("--quick", action="store_true", help="one change, one held-out and one changed episode")
    outputs.add_options(p)
    outputs.add_picture(p)
    return p


def main() -> int:
    """Measures the runs, and writes table, summary and figure."""
    p = parser()
    options = p.parse_args()
    if options.quick and options.published:
        p.error("--quick: a first look is not published")
    kind = "-quick" if options.quick else ""
    options.out = outputs.table(options, f"adaptation{kind}.csv")
    options.picture = outputs.picture(options, options.out, PICTURE)
    if options.redraw:
        draw(outputs.rows_to_show(options.out), options.picture)
        return 0
    if options.home < FEWEST_HOME_DECISIONS:
        p.error(f"--home: {options.home} is less than {FEWEST_HOME_DECISIONS:,}, which tell what is usual")
    if options.train:
        runs, ceilings = own_runs(options)
        options.runs, options.ceilings = [*options.runs, *runs], [*options.ceilings, *ceilings]
    if not options.runs:
        p.error("give --runs, or --train")
    if options.quick:
        options.episodes = options.changed_episodes = 1
    settings = Settings(
        options.episodes, options.changed_episodes, options.decisions, options.change, options.train_on,
        options.home,
    )  # fmt: skip
    torch.set_num_threads(1)
    done = {key_of(row, MEASURED) for row in raw_rows.read(options.out)}
    for found in all_rows(options, settings, done):
        own = key_of(found[0], REPLACED)
        others = [row for row in raw_rows.read(options.out) if key_of(row, REPLACED) != own]
        raw_rows.write(options.out, COLUMNS, [*others, *found])
    rows = outputs.rows_to_show(options.out)
    write_summary(rows, options.out.with_name(f"adapt{kind}.json"))
    draw(rows, options.picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_code(main))

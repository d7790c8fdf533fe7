"""Explain one decision of a trained agent: the chosen plan, three others, and the observed outcome.

python explain.py RUN --step 300                           the 300th decision of the first evaluation episode
python explain.py RUN --step 300 --seed 10004              of another episode
python explain.py RUN --step 300 --planner.kind icem       with another planner
python explain.py RUN --step 300 --perturb gravity=0.5@200 in an environment that changes
python explain.py RUN --step 300 --task less:velocity      planning for another task

The episode is the one that the command render films with the same seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.configurator.kinds import NO_PLANNER
from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule import threads
from joule.arguments import as_path, whole
from joule.cli import signals
from joule.cli.options import given_settings
from joule.cli.parser import Parser, whole_number
from joule.cli.trained_options import add_changes
from joule.command_record import Record
from joule.output_names import name_parts
from joule.settings import merged
from joule.trained import Request

if TYPE_CHECKING:
    from agent.interface import Agent


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of this command; `arguments` names the planner whose settings the help shows."""
    p = Parser(prog="explain.py", description=__doc__, operands="RUN --step N")
    p.add_argument("--step", type=whole_number, metavar="N",
                   help="which decision of the episode; 1 is the first")  # fmt: skip
    p.add_argument("--seed", dest="episode_seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help="seed of the episode (default: 10000)")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="DIR", help="where to (default: RUN/explanations)")
    add_changes(p, arguments)
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser(arguments).parse(arguments)
    if options.step is None:
        raise ConfigError("--step: say which decision of the episode to explain, such as --step 60")
    threads.set_variables(threads.of_run(options.run))
    record = explain(
        options.run,
        options.step,
        seed=options.episode_seed,
        out=options.out,
        settings=given_settings(options),
        learn_task=options.learn_task,
        trust_modules=options.trust_module,
        trust_env_kwargs=options.trust_env_kwargs,
    )
    print(record)
    print("", *record.paths, sep="\n")
    return 0


def explain(
    trained: str | os.PathLike[str] | Agent,
    step: int,
    *,
    seed: int = FIRST_SEED,
    out: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    learn_task: int | None = None,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    **keywords: Any,
) -> Record:
    """Explains one decision of a trained agent.

    Args:
        trained: a run folder, one of its checkpoints, or an agent.
        step: which decision of the episode; 1 is the first.
        seed: of the episode.
        out: folder of the figure and the JSON file. By default it is in the run folder; for an agent in memory
            nothing is written.
        settings: changes by dotted name, such as {"planner.kind": "icem"}.
        learn_task: updates to learn the task `task` with, or without one to keep `constraint`; by default both
            are only planned for.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.
        keywords: settings without a dot, such as `perturb="gravity=0.5@200"` or `task="less:velocity"`.
            Of goals there are `goal`, `learn_goals`, `goal_energy`, `goal_within` and `sub_goal_decisions`.

    Returns:
        The explanation by name (`alternatives`, `outcome`, ...), as in the JSON file. Its `paths` are the
        figure and the JSON file.

    Raises:
        Refused: for input that cannot be used; its subclasses are ConfigError, RunError, CheckpointError.
    """
    step, seed = whole("step", step, 1), whole("seed", seed, 0)
    changes = merged(settings, keywords, explain)
    request = Request(
        trained,
        changes,
        learn_task=learn_task,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
    )
    _check(request, step)
    folder = None if out is None else as_path("--out", out)
    if folder is None and request.run is not None:
        folder = request.run.explanations
    if folder is not None:
        _check_folder(folder, chosen=out is not None)

    # The imports of torch and MuJoCo take seconds; they follow once all of the above is checked.
    from agent.cost.task import TaskReward
    from agent.cost.task_cost import TaskCost
    from joule.explaining.explanation_record import explanation_record
    from joule.explaining.pictures import env_for_pictures
    from joule.report import decision
    from joule.storage.files import DISK, replace_file, why

    loaded = request.load()
    agent = loaded.world_model
    assert agent is not None, "checked above"
    parts = name_parts(changes, learn_task=learn_task)
    name = "-".join([f"step-{agent.frames}-seed-{seed}-decision-{step}", *parts])
    paths = None if folder is None else _paths(folder, name)
    task, planned = loaded.env_config.task, agent.modules.task_cost
    env = env_for_pictures(loaded)
    if request.run is None and isinstance(planned, TaskCost):
        # An agent in memory plans for a task that no setting names; the outcome is what its plans should lower.
        task, env.cost_fn = agent.planned_for, TaskReward(planned.task)
    try:
        found, pictures = explanation_record(agent, env, seed, step)
    finally:
        env.close()
    values = {
        "run": None if request.run is None else request.run.id,
        "task": task,
        **found,
        "perturb": list(loaded.env_config.perturb),
    }
    text = decision.shown(values)
    if folder is None or paths is None:
        return Record(values, text)
    try:
        DISK.make(folder)
        replace_file(paths[1], f"{json.dumps(values)}\n".encode())
        decision.draw(values, pictures, paths[0])
    except OSError as error:
        raise ConfigError(f"--out: {folder} cannot be written: {why(error)}") from error
    return Record(values, text, paths)


def _check(request: Request, step: int) -> None:
    """Refuses an agent without energies, and a decision beyond the longest episode. Raises ConfigError."""
    kind = request.config.agent
    source = "the agent" if request.run is None else request.run.folder
    if kind != "joule":
        raise ConfigError(f"{source}: {kind} has no energies, so none of its decisions can be explained")
    if request.changes.get("planner.kind", request.config.planner.kind) == NO_PLANNER:
        raise ConfigError(
            "planner.kind: policy acts without comparing energies; give --planner.kind mppi to explain a plan"
        )
    limited_anew = request.changes.keys() & {"max_episode_frames", "env_kwargs"}
    limit = None if request.run is None or limited_anew else request.run.env_spec.get("episode_limit")
    if isinstance(limit, int) and step > limit:
        raise ConfigError(
            f"--step: {step} is beyond an episode of {request.config.env}, which has {limit} decisions"
        )


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    """The figure and the JSON file. Raises ConfigError where a link or the like is in their place."""
    from joule.storage.files import why
    from joule.storage.links import check_plain

    paths = (folder / f"{name}.png", folder / f"{name}.json")
    try:
        for path in paths:
            check_plain(path)
    except OSError as error:
        raise ConfigError(f"--out: {folder} cannot be written: {why(error)}") from error
    return paths


def _check_folder(folder: Path, chosen: bool) -> None:
    """Refuses a folder that cannot be made or written to, before the episode is played.

    Args:
        folder: where the files go.
        chosen: whether the user named it; else it is in the run folder, and is made with what is around it.

    Raises:
        ConfigError: for such a folder.
    """
    if (chosen and not folder.parent.is_dir()) or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"--out: {folder} cannot be a folder; give one whose parent exists")
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not os.access(there, os.W_OK):
        raise ConfigError(f"--out: {folder} cannot be written; give a folder that can be written to")

"""Evaluate a trained agent: episodes on held-out seeds, without learning and without exploration.

python evaluate.py RUN                               ten episodes, a table, and RUN/evaluation.json
python evaluate.py RUN --episodes 100 --seed 20000   more episodes, on other seeds
python evaluate.py RUN --planner.kind icem           with another planner
python evaluate.py RUN --perturb gravity=0.5@300     in an environment that changes
python evaluate.py RUN --perturb none                without the perturbations of its training
python evaluate.py RUN --perturb mass=2 --adapt      detecting the change, and learning while acting
python evaluate.py RUN --task less:velocity          planning for another task; --learn-task 4000 learns it first
python evaluate.py RUN --deadline-ms 20              every action within 20 ms, as on a robot
python evaluate.py RUN --goals --learn-goals 10000   learning to reach goals, and how often it does
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule import threads
from joule.arguments import as_path, check_writable, positive, whole
from joule.cli import signals
from joule.cli.goal_options import add_goals, goal_request
from joule.cli.options import given_settings
from joule.cli.parser import Parser, number, whole_number
from joule.cli.trained_options import add_changes
from joule.command_record import Record, Unwritten, written
from joule.goals.plan import OF_PLANS
from joule.goals.run import evaluate_request
from joule.output_names import name_parts
from joule.settings import merged
from joule.trained import Request
from joule_errors import Advice

if TYPE_CHECKING:
    from agent.interface import Agent, Policy, TrainingEnv
    from agent.world_model.adaptation import AdaptiveAgent
    from joule.callbacks.episodes import EpisodeCallback
    from joule.goals.request import GoalRequest
    from joule.trained import Trained


EPISODES = 10
"""How many are played by default."""
MOST_FALLEN_BACK = 0.5
"""Share of decisions without a plan above which a deadline is said to leave no time for one."""


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of this command; `arguments` names the planner whose settings the help shows."""
    p = Parser(prog="evaluate.py", description=__doc__, operands="RUN")
    p.add_argument("--episodes", type=whole_number, metavar="N", help=f"episodes (default: {EPISODES})")
    p.add_argument("--seed", dest="first_seed", type=whole_number, metavar="N",
                   help="seed of the first; the others follow (default: 10000, with --goals 20000)")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="the JSON file (default: in RUN, named for what was changed)")  # fmt: skip
    p.add_argument("--deadline-ms", type=number, metavar="MS",
                   help="milliseconds that a decision may take, one episode at a time: the search ends in time, "
                   "and the policy acts where not even one iteration fits")  # fmt: skip
    add_goals(p)
    add_changes(p, arguments, adapt=True)
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser(arguments).parse(arguments)
    goals = goal_request(options)
    threads.set_variables(threads.of_run(options.run))
    if goals is not None:
        return _reach_goals(options, goals)
    from joule.report.episode_display import EpisodeDisplay
    from joule.report.evaluation_text import header, heading, row, summary

    episodes = EPISODES if options.episodes is None else options.episodes
    with EpisodeDisplay("evaluating", episodes, row) as display:

        def begin(subject: Mapping[str, Any]) -> None:
            from envs.changes.randomisation import is_drawn, values_of

            perturb = subject["perturb"]
            display.row = lambda seed, total_return, decisions: row(
                seed, total_return, decisions, values_of(perturb, seed)
            )
            for line in (heading(subject), "", header(is_drawn(perturb))):
                display.say(line)

        unwritten: Unwritten | None = None
        try:
            record = _evaluate(
                options.run,
                episodes,
                seed=FIRST_SEED if options.first_seed is None else options.first_seed,
                out=options.out,
                changes=given_settings(options),
                learn_task=options.learn_task,
                adapt=options.adapt,
                deadline_ms=options.deadline_ms,
                trust_modules=options.trust_module,
                trust_env_kwargs=options.trust_env_kwargs,
                callback=display,
                begin=begin,
            )
        except Unwritten as error:
            record, unwritten = error.record, error
    print(f"\n{summary(record)}")
    if unwritten is not None:  # such as on a full disk; the results have been shown
        raise unwritten
    print(record.paths[0])
    return 0


def _reach_goals(options: argparse.Namespace, goals: GoalRequest) -> int:
    """The command with `--goals`."""
    from joule.report.goals_display import GoalsDisplay

    changes = {name: value for name, value in given_settings(options).items() if name not in OF_PLANS}
    request = Request(
        options.run,
        changes,
        reaches_goals=True,
        trust_modules=options.trust_module,
        trust_env_kwargs=options.trust_env_kwargs,
    )
    path = None if options.out is None else as_path("--out", options.out)
    with GoalsDisplay() as display:
        record = evaluate_request(request, goals, path, display)
    print(f"\n{record.paths[0]}")
    return 0


def evaluate(
    trained: str | os.PathLike[str] | Agent,
    episodes: int = EPISODES,
    *,
    seed: int = FIRST_SEED,
    out: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    learn_task: int | None = None,
    adapt: bool = False,
    deadline_ms: float | None = None,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    callback: EpisodeCallback | None = None,
    **keywords: Any,
) -> Record:
    """Evaluates a trained agent on held-out seeds, without learning and without exploration.

    Args:
        trained: a run folder, one of its checkpoints, or an agent.
        episodes: number of episodes.
        seed: of the first episode; the others follow.
        out: the JSON file. By default it is in the run folder, named for what was changed; for an agent in
            memory nothing is written.
        settings: changes by dotted name, such as {"planner.kind": "icem"}.
        learn_task: updates to learn the task `task` with, or without one to keep `constraint`; by default both
            are only planned for.
        adapt: whether the agent detects changes of its environment, and learns them while acting.
        deadline_ms: milliseconds that a decision may take; see `ActingAgent.act`. The result `deadline` has the
            latencies, the share of missed deadlines and the mean number of iterations. Episodes are then played
            one after the other.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.
        callback: told of each episode as it ends, and how far the evaluation is.
        keywords: settings without a dot, such as `perturb="gravity=0.5"` or `task="less:velocity"`.
            Of goals there are `goal`, `learn_goals`, `goal_energy`, `goal_within` and `sub_goal_decisions`.

    Returns:
        The results by name (`mean`, `std`, `iqm`, `returns`, ...), as in the JSON file.

    Raises:
        Refused: for input that cannot be used; its subclasses are ConfigError, RunError, CheckpointError.
        Unwritten: where the file cannot be written after all, such as on a full disk; its attribute `record` has
            the results.
    """
    return _evaluate(
        trained,
        episodes,
        seed=seed,
        out=out,
        changes=merged(settings, keywords, evaluate),
        learn_task=learn_task,
        adapt=adapt,
        deadline_ms=deadline_ms,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
        callback=callback,
        begin=lambda subject: None,
    )


def _evaluate(
    trained: str | os.PathLike[str] | Agent,
    episodes: int,
    *,
    seed: int,
    out: str | os.PathLike[str] | None,
    changes: Mapping[str, Any],
    learn_task: int | None,
    adapt: bool,
    deadline_ms: float | None,
    trust_modules: Sequence[str],
    trust_env_kwargs: bool,
    callback: EpisodeCallback | None,
    begin: Callable[[Mapping[str, Any]], None],
) -> Record:
    """See `evaluate`; `changes` are by dotted name, and `begin` is told what is evaluated before it is played."""
    episodes, seed = whole("episodes", episodes, 1), whole("seed", seed, 0)
    if deadline_ms is not None:
        deadline_ms = positive("deadline-ms", deadline_ms)
    request = Request(
        trained,
        changes,
        learn_task=learn_task,
        adapt=adapt,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
    )
    if deadline_ms is not None:
        _check_deadline(request)
    path = None if out is None else as_path("--out", out)
    if path is None and request.run is not None:
        of = [] if request.checkpoint is None else [request.checkpoint.name]
        parts = name_parts(changes, learn_task=learn_task, adapt=adapt, deadline_ms=deadline_ms, seed=seed)
        path = request.output_folder() / f"{'-'.join(['evaluation', *of, *parts])}.json"
    if path is not None:
        check_writable("--out", path)

    # The imports of torch and MuJoCo take seconds; they follow once all of the above is checked.
    from joule.callbacks.episodes import episode_callback
    from joule.report.evaluation_text import shown

    told = episode_callback(callback)
    request.check_perturbations()
    if learn_task is not None and callback is not None:
        learned = f"the task {changes['task']}" if "task" in changes else "to keep the constraints"
        callback.note(f"learning {learned} first, by {learn_task:,} updates")
    trained_agent = request.load(None if callback is None else callback.note)
    values = _evaluation(trained_agent, request, episodes, seed, deadline_ms, told, begin)
    return written(values, shown(values), path)


def _check_deadline(request: Request) -> None:
    """Refuses a deadline for an agent that cannot end its decision in time. Raises ConfigError."""
    kind = request.config.agent
    if kind != "joule":
        raise ConfigError(f"--deadline-ms: {kind} has no search that a deadline could end; joule has")
    if request.adapt:
        raise ConfigError(
            "--deadline-ms: an agent that adapts learns between decisions, which no deadline ends; leave out "
            "--adapt"
        )


class _WithChanges:
    """Passes on what an evaluation tells, and notes the changes that the agent has detected in an episode.

    Args:
        callback: is told.
        agent: detects changes.
    """

    def __init__(self, callback: EpisodeCallback, agent: AdaptiveAgent) -> None:
        self.callback, self.agent, self._noted = callback, agent, 0

    def progress(self, share: float) -> None:
        self.callback.progress(share)

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        from joule.report.evaluation_text import change_text

        self.callback.episode(seed, total_return, decisions)
        for event in self.agent.events[self._noted :]:
            self.callback.note(change_text(vars(event)))
        self._noted = len(self.agent.events)
        if self.agent.acts_kept:
            self.callback.note("in this episode the networks acted that are kept for comparison")

    def note(self, sentence: str) -> None:
        self.callback.note(sentence)


def _evaluation(
    trained: Trained,
    request: Request,
    episodes: int,
    seed: int,
    deadline_ms: float | None,
    callback: EpisodeCallback,
    begin: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Plays the episodes. Returns the JSON values."""
    from agent.cost.constraint_monitor import ConstraintMonitor
    from joule.callbacks.episodes import NoEpisodeCallback
    from joule.environment import check_has_env
    from joule.training.decision_time import time_decisions
    from joule.training.evaluation import PARALLEL_EPISODES
    from joule.training.evaluation import evaluate as play
    from joule.training.evaluation_record import evaluation_record, plan_record, subject_record
    from joule.training.on_deadline import OnDeadline

    check_has_env(trained.env_config)
    first_env: list[TrainingEnv] = [trained.make_env()]  # before a table is begun that gets no row
    world_model = trained.world_model
    note = None if isinstance(callback, NoEpisodeCallback) else callback.note
    adaptive = trained.adaptive(note) if request.adapt else None
    constraint_cost = None if world_model is None else world_model.modules.constraint_cost
    monitor = ConstraintMonitor(() if constraint_cost is None else constraint_cost.constraints)

    def make_env() -> TrainingEnv:
        env = first_env.pop() if first_env else trained.make_env()
        return env if adaptive is None else adaptive.observe(env)

    def monitored_env() -> TrainingEnv:
        return monitor.observe(make_env()) if monitor.constraints else make_env()

    on_deadline = None
    if deadline_ms is not None and world_model is not None:
        on_deadline = OnDeadline(world_model, deadline_ms)
        on_deadline.warm_up(make_env, seed)
    policy: Policy = on_deadline or adaptive or trained.agent
    # What an adaptive agent learns in an episode is for the next one; a deadline is that of one robot.
    parallel = PARALLEL_EPISODES if policy is trained.agent else 1
    run = request.run
    subject = subject_record(trained.agent, None if run is None else run.id, trained.env_config)
    subject |= {"goal": request.asked.name} | plan_record(trained.agent)
    planned = "" if world_model is None or request.asked.goal else world_model.planned_for
    # An agent in memory may plan for other costs than the environment pays.
    subject["planned_for"] = "" if planned == trained.env_config.task else planned
    begin(subject)
    if note is not None and run is not None and not run.env_spec.get("deterministic", True):
        note("this environment differs under the same seed, so these episodes cannot be repeated exactly")
    if adaptive is not None and not isinstance(callback, NoEpisodeCallback):
        callback = _WithChanges(callback, adaptive)
    read = world_model is not None
    evaluation = play(policy, monitored_env, episodes, seed, parallel=parallel, callback=callback, read=read)
    deadline = None if on_deadline is None else {"ms": deadline_ms, **on_deadline.timing.summary()}
    if deadline is not None and (share := deadline["fell_back_share"] or 0.0) > MOST_FALLEN_BACK:
        said = (
            f"--deadline-ms: {deadline_ms:g} ms leave no time for a plan here, and {share:.0%} of the "
            "decisions were made without a search"
        )
        warnings.warn(said, Advice, stacklevel=2)
    detected = None if adaptive is None else [vars(event) for event in adaptive.events]
    timing = time_decisions(policy, make_env, seed)
    values = subject | evaluation_record(trained.agent, trained.env_config, evaluation, seed, timing)
    values |= {"learn_goals": request.asked.learn_goals}
    values |= {"learn_task": request.learn_task, "changes_detected": detected, "deadline": deadline}
    if world_model is not None:
        if monitor.constraints:
            margin = world_model.modules.margin()[-1].tolist()
            values |= {
                "violations_per_1000": monitor.per_thousand,
                "worst_violation": monitor.worst,
                "violations": dict(zip(values["constraint"], monitor.summaries(), strict=True)),
                "margin": dict(zip(values["constraint"], margin, strict=True)),
            }
        if world_model.config.task != trained.env_config.task and request.learn_task is not None:
            values["forecast"] = None  # it predicts the return with what violations cost
        # A task that is planned for may have a horizon of its own.
        values["planner"]["horizon_decisions"] = world_model.modules.actor.horizon
    return values

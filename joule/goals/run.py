"""Evaluates a trained agent on goals, from its run folder to the JSON file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cost.goal import SUB_GOAL_DECISIONS, GoalEnergy
from joule.arguments import as_path, check_methods, check_writable
from joule.callbacks.goals import GoalCallback
from joule.command_record import Record, written
from joule.goals.request import DEFAULT_PAIRS, FIRST_GOAL_SEED, GoalRequest
from joule.output_names import name_parts
from joule.settings import merged
from joule.trained import Request

if TYPE_CHECKING:
    from agent.interface import Agent


def evaluate_goals(
    trained: str | os.PathLike[str] | Agent,
    pairs: int = DEFAULT_PAIRS,
    *,
    seed: int = FIRST_GOAL_SEED,
    decisions: int | None = None,
    within: Mapping[str, float] | None = None,
    energy: GoalEnergy = "auto",
    sub_goal_decisions: int = SUB_GOAL_DECISIONS,
    oracle: bool = False,
    recording: str | None = None,
    offset: int | None = None,
    out: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    callback: GoalCallback | None = None,
    **keywords: Any,
) -> Record:
    """Evaluates how often a trained agent reaches goals, from starts that it was not trained on.

    A goal is the state in which the task of the episode is done, where the environment can say; else the state to
    which smooth random actions lead from the start. Beside the plans, the policy that `learn_goals` learned, random
    actions, and true physics are shown.

    Args:
        trained: a run folder, one of its checkpoints, or an agent.
        pairs: of a start and a goal.
        seed: of the first start; the others follow.
        decisions: of an attempt; by default an episode's limit.
        within: readout -> greatest distance from its value at the goal; by default what the environment says.
        energy: see `Goal`.
        sub_goal_decisions: see `Goal`.
        oracle: whether to plan in true physics too.
        recording: `swm:PATH`: starts and goals are moments of this recording of stable-worldmodel, and a goal is
            reached where the environment terminates the episode.
        offset: rows of the recording from a start to its goal (default: 25).
        out: the JSON file. By default it is in the run folder; for an agent in memory nothing is written.
        settings: changes by dotted name, such as {"planner.kind": "icem"}.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.
        callback: told of results as they come.
        keywords: settings without a dot, and `learn_goals`, the updates by which it first learns to reach goals.

    Returns:
        The results by name, as in the JSON file.

    Raises:
        Refused: for input that cannot be used.
        Unwritten: where the file cannot be written after all, such as on a full disk; its attribute `record` has
            the results.
    """
    request = Request(
        trained,
        merged(settings, keywords, evaluate_goals),
        reaches_goals=True,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
    )
    goals = GoalRequest(pairs, seed, decisions, within, energy, sub_goal_decisions, oracle, recording, offset)
    return evaluate_request(request, goals, None if out is None else as_path("--out", out), callback)


def evaluate_request(
    request: Request, goals: GoalRequest, out: Path | None, callback: GoalCallback | None = None
) -> Record:
    """Evaluates an agent on pairs of starts and goals.

    Args:
        request: the trained agent, with its changes.
        goals: what is asked.
        out: the JSON file. By default it is in the run folder; for an agent in memory nothing is written.
        callback: told of results as they come.

    Raises:
        ConfigError: for an agent that cannot be given goals, and as `GoalEvaluation`.
        Unwritten: as `joule.command_record.written`.
    """
    from joule.goals.acting import check_learned, check_reaches_goals
    from joule.goals.evaluation import GoalEvaluation
    from joule.report.goals_text import shown
    from joule.training.evaluation_record import subject_record

    told = _told(callback)
    goals = replace(goals, horizon_decisions=request.changes.get("planner.horizon_decisions"))
    check_reaches_goals(request.config.agent, goals)
    path = out
    if path is None and request.run is not None:
        path = request.output_folder() / f"{'-'.join(['goals', *_parts(request, goals)])}.json"
    if path is not None:
        check_writable("--out", path)
    trained = request.load_unlearned()
    agent = trained.agent
    check_learned(agent, goals, request.asked.learn_goals)
    with contextlib.ExitStack() as made:
        env = made.enter_context(contextlib.closing(trained.make_env()))
        scratch = made.enter_context(contextlib.closing(trained.make_env())) if goals.oracle else None
        evaluation = GoalEvaluation(agent, env, goals, scratch)
        request.asked.learn(trained.world_model, told.note)
        run = request.run
        values = subject_record(agent, None if run is None else run.id, trained.env_config)
        values |= evaluation.subject | {"learn_goals": request.asked.learn_goals}
        if (horizon := evaluation.horizon_decisions) is not None:
            values["planner"]["horizon_decisions"] = horizon  # of plans for a goal
        told.begins(values)
        values["results"] = evaluation.run(told.progress, told.ended)
    return written(values, shown(values), path)


def _told(given: Any) -> GoalCallback:
    """What is told: the object that was given, or for None one that does nothing.

    Raises:
        ConfigError: for an object that lacks a method, before an attempt is made.
    """
    if given is None:
        return GoalCallback()
    wanted = "an object of a subclass of joule.callbacks.goals.GoalCallback"
    check_methods("callback", given, ("begins", "progress", "ended", "note"), wanted)
    told: GoalCallback = given
    return told


def _parts(request: Request, goals: GoalRequest) -> list[str]:
    """Parts of the file's name that say what differs from the default."""
    of = [] if request.checkpoint is None else [request.checkpoint.name]
    parts = [*of, *name_parts(request.changes | {"learn_goals": request.asked.learn_goals})]
    parts += [] if goals.energy == "auto" else [goals.energy]
    parts += ["oracle"] if goals.oracle else []
    parts += [] if goals.decisions is None else [f"decisions-{goals.decisions}"]
    if goals.sub_goal_decisions != SUB_GOAL_DECISIONS:
        parts.append(f"sub-goals-{goals.sub_goal_decisions}")
    if goals.pairs != DEFAULT_PAIRS:
        parts.append(f"pairs-{goals.pairs}")
    if goals.recording is not None:
        # Two folders may have files of one name.
        digest = hashlib.sha256(goals.recording.encode()).hexdigest()[:6]
        stem = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(goals.recording).stem).strip("-")
        parts.append(f"data-{stem}-{digest}")
        parts += [] if goals.offset is None else [f"offset-{goals.offset}"]
    for name, distance in sorted((goals.within or {}).items()):
        parts.append(re.sub(r"[^A-Za-z0-9.-]+", "-", f"{name}-{distance:g}").strip("-"))
    return parts + ([] if goals.seed == FIRST_GOAL_SEED else [f"seed-{goals.seed}"])

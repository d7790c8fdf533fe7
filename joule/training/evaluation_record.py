"""An evaluation as JSON values: what was evaluated, and its results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agent.agent import WorldModelAgent
from agent.configurator.config_json import to_json
from agent.configurator.settings import Config
from agent.cost.goal_cost import GoalCost
from agent.interface import Agent, Legible
from envs.changes.randomisation import values_of
from joule.goals.plan import OF_PLANS
from joule.report.forecasts import calibration
from joule.report.statistics import interquartile_mean
from joule.storage.provenance import versions
from joule.training.decision_time import DecisionTime
from joule.training.evaluation import Evaluation
from joule.training.forecast_log import ForecastLog


def subject_record(agent: Agent, run_id: str | None, env_config: Config) -> dict[str, Any]:
    """The JSON values of what is evaluated.

    Args:
        agent: the agent.
        run_id: of its run; None for an agent in memory.
        env_config: the settings of the environment that it is evaluated in.
    """
    config = agent.config
    plain = to_json(config)
    return {
        "run": run_id,
        "env": config.env,
        "agent": config.agent,
        "training_seed": config.seed,
        "frames": agent.frames,
        "unit": config.unit,
        "planner": plain["planner"] if config.agent == "joule" else None,
        "perturb": list(env_config.perturb),
        "task": env_config.task,
        "constraint": plain["constraint"],
        "perceive": plain["perceive"],
    }


def plan_record(agent: Agent) -> dict[str, Any]:
    """How an agent plans for its goal, as JSON values by the names in `OF_PLANS`; None where it has no goal."""
    cost = agent.modules.task_cost if isinstance(agent, WorldModelAgent) else None
    if not isinstance(cost, GoalCost):
        return dict.fromkeys(OF_PLANS)
    return dict(zip(OF_PLANS, (cost.energy, cost.within, cost.target.ahead), strict=True))


def evaluation_record(
    agent: Agent, env_config: Config, evaluation: Evaluation, first_seed: int, timing: DecisionTime | None
) -> dict[str, Any]:
    """The JSON values of the results of an evaluation.

    Args:
        agent: the agent.
        env_config: the settings of the environment that it was evaluated in.
        evaluation: the results.
        first_seed: of the first episode; the others follow.
        timing: how long a decision takes; None where it could not be measured.
    """
    config, returns = agent.config, evaluation.returns
    seeds = list(range(first_seed, first_seed + len(returns)))
    return {
        "episodes": len(returns),
        "mean": evaluation.mean,
        "std": evaluation.std,
        "iqm": float(interquartile_mean([returns])),
        "surprise": evaluation.surprise,
        "forecast": None if evaluation.forecast_log is None else _calibrations(evaluation.forecast_log),
        "planning_ms": None if timing is None else timing.wall_ms,
        "planning_cpu_ms": None if timing is None else timing.cpu_ms,
        "planning_decisions": 0 if timing is None else timing.decisions,
        "success_rate": evaluation.success_rate,
        "diverged": evaluation.diverged,
        "readouts": _legibility(agent, evaluation),
        "seeds": seeds,
        "drawn": [values_of(env_config.perturb, seed) for seed in seeds],
        "returns": [float(value) for value in returns],
        "successes": _successes(evaluation),
        "lengths": [int(value) for value in evaluation.lengths],
        "episode_frames": [int(value) for value in np.asarray(evaluation.frames)],
        "threads": config.threads,
        "device": config.device,
        "versions": versions(),
    }


def _legibility(agent: Agent, evaluation: Evaluation) -> dict[str, float | None] | None:
    """R² of each readout in these episodes; None for one that did not vary, and for an agent that reads none."""
    if evaluation.read_steps is None or not isinstance(agent, Legible):
        return None
    found = agent.legibility(*evaluation.read_steps)
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def _successes(evaluation: Evaluation) -> list[bool | None] | None:
    """Whether each episode succeeded; None where the environment says nothing."""
    if evaluation.success_rate is None:
        return None
    return [None if math.isnan(one) else bool(one) for one in evaluation.successes]


def _calibrations(log: ForecastLog) -> dict[str, Any]:
    """How well returns to the episode's end, and the cost of the next step, were predicted."""
    found = {
        "returns": calibration(log.predicted_returns, log.returns),
        "costs": calibration(log.predicted_costs, log.costs),
    }
    return {
        name: {key: None if math.isnan(value) else value for key, value in vars(of).items()}
        for name, of in found.items()
    }

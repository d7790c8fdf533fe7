"""An explained decision as JSON values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import envs
from agent import explanation
from agent.agent import WorldModelAgent
from agent.configurator.config_json import to_json
from agent.configurator.readout_checks import learned_readouts
from agent.errors import ConfigError
from envs.readouts.labels import action_labels, readout_labels
from envs.safe_env import SafeEnv
from joule.explaining.episode import Episode, executed_costs, outcome_of
from joule.explaining.pictures import ghost_pictures
from joule.training.evaluation_record import plan_record

SECONDS_AHEAD, MOST_AHEAD = 0.5, 25
"""An imagined future is half a second of simulated time, or this many decisions where that is less; and it is twice
as long as a plan where that is more."""


def explanation_record(
    agent: WorldModelAgent, env: SafeEnv, seed: int, step: int
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """One decision of an episode, explained.

    Args:
        agent: the agent.
        env: the environment.
        seed: of the episode.
        step: which decision; 1 is the first.

    Returns:
        The JSON values, and a picture of each alternative, uint8 [height, width, 3]; no pictures where the
        environment cannot be rendered with a ghost.

    Raises:
        ConfigError: when the episode ends before that decision.
    """
    episode = Episode(agent, env, seed)
    while episode.decisions < step - 1 and not episode.ended:
        episode.act(episode.decide())
    if episode.ended:
        raise ConfigError(
            f"--step: {step} is beyond the episode of seed {seed}, which ended after {episode.decisions}"
        )
    modules = agent.modules
    seconds = env.env_spec.seconds_per_decision or SECONDS_AHEAD
    ahead = max(2 * modules.actor.horizon, min(math.ceil(SECONDS_AHEAD / seconds), MOST_AHEAD))
    snapshot, drawn = env.snapshot(), env.drawn
    action, state, why = explanation.explain_decision(modules, episode.obs, episode.state, ahead)
    episode.state = state
    # Plans for a goal pay the distance from it, and what they come to is compared with what they predicted.
    episode.cost_of = cost_of = explanation.observed_goal_cost(modules)
    # What such an agent plans for without a task is no reward of the environment.
    rewardless = modules.rewardless and modules.task_cost is None
    forecast, surprise = None if rewardless else agent.forecast(state), float(state.surprise[0])
    try:
        (pictures, ghosts_ahead), no_picture = ghost_pictures(agent, env, why.alternatives), None
    except envs.RenderError as error:
        pictures, ghosts_ahead, no_picture = [], 0, str(error)
    outcome = outcome_of(episode, action, modules.discount, ahead)
    executed = executed_costs(env, snapshot, [plan.actions for plan in why.alternatives], cost_of)
    config, actions = to_json(agent.config), action_labels(env)
    # A task that is planned for may have a horizon of its own.
    planner = {**config["planner"], "horizon_decisions": modules.actor.horizon}
    # An agent that learned from data without readouts predicts none, as in an environment without them.
    known = slice(None) if learned_readouts(modules) else slice(0)
    values = {
        "env": config["env"],
        "agent": config["agent"],
        "frames": agent.frames,
        "unit": agent.config.unit,
        "planner": planner,
        "goal": "" if cost_of is None else agent.planned_for,
        **plan_record(agent),
        "constraint": config["constraint"],
        "perceive": config["perceive"],
        "seed": seed,
        "step": step,
        "seconds_per_decision": env.env_spec.seconds_per_decision,
        "discount": modules.discount,
        "rewardless": rewardless,
        "surprise": surprise,
        "alternatives": [
            {
                "name": plan.name,
                "energy": plan.energy,
                "terms": plan.terms,
                "actions": plan.actions,
                "predicted_costs": plan.costs,
                "executed_costs": costs,
                "predicted_readouts": plan.future[:, known],
            }
            for plan, costs in zip(why.alternatives, executed, strict=True)
        ],
        "candidates": {"first_actions": why.first_actions, "energies": why.energies},
        "slice": {
            "dimensions": [actions[index] for index in why.slice.dimensions],
            "indices": list(why.slice.dimensions),
            "values": why.slice.values,
            "energy": why.slice.energy,
        },
        "readouts": {"names": readout_labels(env)[known], "usual_change": why.usual_change[known]},
        "outcome": {
            "costs": outcome.costs[:ahead],
            "readouts": np.stack(outcome.readouts)[:, known],
            "return": outcome.total_return(modules.discount),
            "decisions": len(outcome.costs),
            "hidden": outcome.hidden,
        },
        "predicted_return": None if forecast is None else float(forecast.returns[0]),
        "ghosts_ahead": ghosts_ahead,
        "no_picture": no_picture,
    }
    rounded: dict[str, Any] = _rounded(values)
    return rounded | {"drawn": drawn}, pictures  # exact, so that they repeat the environment


def _rounded(value: Any) -> Any:
    """JSON values with six significant digits, which are enough for a reader and a plot."""
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_rounded(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value

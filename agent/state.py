"""The state of a world-model agent as plain arrays and JSON values, so that a resumed run is the same run.

Weights, optimisers, statistics, random generators, counters, the planner's warm start and the open episode:
whatever the next decision depends on, but the rows of the replay buffer, which have a log of their own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agent import random_state
from agent.actor.actor import ActingState
from agent.interface import Arrays
from agent.learning.flat_parameters import FlatParameters
from agent.learning.interaction import Interaction
from agent.modules import Modules
from planners import Plan

COUNTERS = ("frames", "decisions", "episodes")
PLAN_FIELDS = ("actions", "energy", "mean", "std", "elites", "elite_energy", "trace")


def to_array(tensor: Tensor) -> np.ndarray:
    """A copy in numpy."""
    return tensor.detach().cpu().numpy().copy()


def capture(modules: Modules, interaction: Interaction) -> tuple[Arrays, dict[str, Any]]:
    """Everything but the replay's final rows: arrays by flat name, and JSON values."""
    arrays = {f"weights/{name}": to_array(value) for name, value in modules.networks.state_dict().items()}
    for label, group in _groups(modules).items():
        for index, vector in enumerate(group.vectors):
            for name, value in group.optimizer.state.get(vector, {}).items():
                arrays[f"optimizer/{label}/{index}/{name}"] = to_array(torch.as_tensor(value))
    drawn = random_state.streams(modules.device) if modules.learning else modules.random_streams
    arrays |= {f"random/{name}": to_array(state) for name, state in drawn.items()}
    arrays["random/agent"] = to_array(modules.generator.get_state())
    replay_buffer = modules.replay_buffer
    if replay_buffer.rows:
        for name, column in replay_buffer.columns().items():
            arrays[f"newest_row/{name}"] = np.array(column[replay_buffer.head])
    if interaction.obs is not None:
        arrays["obs"] = interaction.obs.copy()
    acting = interaction.acting
    if acting is not None:
        arrays |= {"acting/z": to_array(acting.z), "acting/expected": to_array(acting.expected)}
        for name in PLAN_FIELDS:
            value = None if acting.plan is None else getattr(acting.plan, name)
            if value is not None:
                arrays[f"acting/plan/{name}"] = to_array(value)
    meta = {name: getattr(interaction, name) for name in COUNTERS} | {
        "terminations": modules.terminations,
        "normalised_rows": modules.normalised_rows,
        "seeded": interaction.seeded,
        "rows": replay_buffer.rows,
        "update_credit": interaction.update_credit,
        "episode_return": interaction.episode_return,
        "updates": modules.learner.updates,
        "skipped": modules.learner.budget.total,
        "recent_skips": list(modules.learner.budget.recent),
        "collapsed": modules.learner.collapsed,
        "first_std": modules.learner.first_std,
        "surprise": {"usual": modules.surprise.usual, "count": modules.surprise.count},
        "metrics": {name: float(value) for name, value in interaction.metrics.items()},
        "random": modules.rng.bit_generator.state,
    }
    return arrays, meta


def restore(
    modules: Modules, interaction: Interaction, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> None:
    """Puts back what `capture` gave. Raises ValueError when a weight is missing or of another shape."""
    weights = {
        name[8:]: torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith("weights/")
    }
    try:
        modules.networks.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint's weights do not fit this agent: {error}") from error
    for label, group in _groups(modules).items():
        for index, vector in enumerate(group.vectors):
            prefix = f"optimizer/{label}/{index}/"
            state = {
                name[len(prefix) :]: torch.from_numpy(np.array(value)).to(vector.device)
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            if state:
                group.optimizer.state[vector] = state
    for name in modules.random_streams:
        if f"random/{name}" in arrays:  # a GPU's is not, where the run was on a CPU before
            modules.random_streams[name] = torch.from_numpy(np.array(arrays[f"random/{name}"]))
    drawn = torch.from_numpy(np.array(arrays["random/agent"]))
    if drawn.numel() == modules.generator.get_state().numel():
        modules.generator.set_state(drawn)
    else:  # of another kind of device, whose generator counts otherwise
        modules.generator.manual_seed(modules.config.seed + meta["decisions"])
    replay_buffer = modules.replay_buffer
    if meta["rows"]:
        newest = {name: arrays[f"newest_row/{name}"][None] for name in replay_buffer.columns()}
        replay_buffer.restore(newest, meta["rows"])
    interaction.obs = arrays["obs"].copy() if "obs" in arrays else None
    interaction.acting = None
    if "acting/z" in arrays:
        # A plan of another horizon, left by a planner that was swapped since, cannot start the next one.
        actions = arrays.get("acting/plan/actions")
        fits = actions is not None and actions.shape[1] == modules.config.planner.horizon_decisions
        plan = {
            name: torch.from_numpy(arrays[f"acting/plan/{name}"].copy()).to(modules.device)
            for name in PLAN_FIELDS
            if fits and f"acting/plan/{name}" in arrays
        }
        interaction.acting = ActingState(
            modules.generator,
            Plan(**plan) if plan else None,
            torch.from_numpy(arrays["acting/z"].copy()).to(modules.device),
            torch.from_numpy(arrays["acting/expected"].copy()).to(modules.device),
            np.full(1, np.nan),
        )
    for name in COUNTERS:
        setattr(interaction, name, meta[name])
    modules.terminations, modules.normalised_rows = meta["terminations"], meta["normalised_rows"]
    interaction.seeded = meta["seeded"]
    interaction.update_credit, interaction.episode_return = meta["update_credit"], meta["episode_return"]
    learner = modules.learner
    learner.updates, learner.collapsed = meta["updates"], meta["collapsed"]
    learner.first_std = meta["first_std"]
    learner.budget.total, learner.budget.recent = meta["skipped"], list(meta["recent_skips"])
    modules.surprise.usual, modules.surprise.count = (
        meta["surprise"]["usual"],
        meta["surprise"]["count"],
    )
    interaction.metrics = dict(meta["metrics"])
    modules.rng.bit_generator.state = meta["random"]


def _groups(modules: Modules) -> dict[str, FlatParameters]:
    return {"model": modules.learner.model_group, "policy": modules.learner.policy_group}

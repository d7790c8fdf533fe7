"""The state of a Joule agent as plain arrays and JSON values, so that a resumed run is the same run.

Weights, optimisers, statistics, random generators, counters, the warm start of the planner and the
open episode: whatever the next decision depends on, but the replay's rows, which have a log of
their own.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agent import random_state as generators
from agent.actor.actor import ActingState
from agent.interface import Arrays
from agent.learning.flat_parameters import FlatGroup
from planners import Plan

if TYPE_CHECKING:
    from agent.agent import Joule

COUNTERS = ("frames", "decisions", "episodes", "terminations", "normalised_rows")
PLAN_FIELDS = ("actions", "energy", "mean", "std", "elites", "elite_energy", "trace")


def to_array(tensor: Tensor) -> np.ndarray:
    """A copy in numpy."""
    return tensor.detach().cpu().numpy().copy()


def capture(agent: "Joule") -> tuple[Arrays, dict[str, Any]]:
    """Everything but the replay's final rows: arrays by flat name, and JSON values."""
    arrays = {f"weights/{name}": to_array(value) for name, value in agent.modules.state_dict().items()}
    for label, group in _groups(agent).items():
        for index, vector in enumerate(group.vectors):
            for name, value in group.optimizer.state.get(vector, {}).items():
                arrays[f"optimizer/{label}/{index}/{name}"] = to_array(torch.as_tensor(value))
    drawn = generators.streams(agent.device) if agent.learning else agent.streams
    arrays |= {f"random/{name}": to_array(state) for name, state in drawn.items()}
    arrays["random/agent"] = to_array(agent.generator.get_state())
    memory = agent.memory
    if memory.rows:
        for name, column in memory.columns().items():
            arrays[f"newest_row/{name}"] = np.array(column[memory.head])
    if agent.obs is not None:
        arrays["obs"] = agent.obs.copy()
    acting = agent.acting
    if acting is not None:
        arrays |= {"acting/z": to_array(acting.z), "acting/expected": to_array(acting.expected)}
        for name in PLAN_FIELDS:
            value = None if acting.plan is None else getattr(acting.plan, name)
            if value is not None:
                arrays[f"acting/plan/{name}"] = to_array(value)
    meta = {name: getattr(agent, name) for name in COUNTERS} | {
        "seeded": agent.seeded,
        "rows": memory.rows,
        "update_credit": agent.update_credit,
        "episode_return": agent.episode_return,
        "updates": agent.learner.updates,
        "skipped": agent.learner.budget.total,
        "recent_skips": list(agent.learner.budget.recent),
        "collapsed": agent.learner.collapsed,
        "first_std": agent.learner.first_std,
        "surprise": {"usual": agent.surprise.usual, "count": agent.surprise.count},
        "metrics": {name: float(value) for name, value in agent.metrics.items()},
        "random": agent.rng.bit_generator.state,
    }
    return arrays, meta


def restore(agent: "Joule", arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Puts back what `capture` gave. Raises ValueError when a weight is missing or of another shape."""
    weights = {
        name[8:]: torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith("weights/")
    }
    weights.setdefault("usual_disagreement", torch.zeros(()))  # a run of before there was curiosity
    try:
        agent.modules.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint's weights do not fit this agent: {error}") from error
    agent.modules.normalizer.refresh()
    agent.modules.readout_normalizer.refresh()
    for label, group in _groups(agent).items():
        for index, vector in enumerate(group.vectors):
            prefix = f"optimizer/{label}/{index}/"
            state = {
                name[len(prefix) :]: torch.from_numpy(np.array(value)).to(vector.device)
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            if state:
                group.optimizer.state[vector] = state
    for name in agent.streams:
        if f"random/{name}" in arrays:  # a GPU's is not, where the run was on a CPU before
            agent.streams[name] = torch.from_numpy(np.array(arrays[f"random/{name}"]))
    drawn = torch.from_numpy(np.array(arrays["random/agent"]))
    if drawn.numel() == agent.generator.get_state().numel():
        agent.generator.set_state(drawn)
    else:  # of another kind of device, whose generator counts otherwise
        agent.generator.manual_seed(agent.config.seed + meta["decisions"])
    memory = agent.memory
    if meta["rows"]:
        newest = {name: arrays[f"newest_row/{name}"][None] for name in memory.columns()}
        memory.restore(newest, meta["rows"])
    agent.obs = arrays["obs"].copy() if "obs" in arrays else None
    agent.acting = None
    if "acting/z" in arrays:
        # A plan of another horizon, left by a planner that was swapped since, cannot start the next one.
        actions = arrays.get("acting/plan/actions")
        fits = actions is not None and actions.shape[1] == agent.config.planner.horizon
        plan = {
            name: torch.from_numpy(arrays[f"acting/plan/{name}"].copy()).to(agent.device)
            for name in PLAN_FIELDS
            if fits and f"acting/plan/{name}" in arrays
        }
        agent.acting = ActingState(
            agent.generator,
            Plan(**plan) if plan else None,
            torch.from_numpy(arrays["acting/z"].copy()).to(agent.device),
            torch.from_numpy(arrays["acting/expected"].copy()).to(agent.device),
            np.full(1, np.nan),
        )
    for name in COUNTERS:
        setattr(agent, name, meta[name])
    agent.seeded = meta.get("seeded", True)  # a run of before this was recorded had begun
    agent.update_credit, agent.episode_return = meta["update_credit"], meta["episode_return"]
    learner = agent.learner
    learner.updates, learner.collapsed = meta["updates"], meta["collapsed"]
    learner.first_std = meta["first_std"]
    learner.budget.total, learner.budget.recent = meta["skipped"], list(meta["recent_skips"])
    agent.surprise.usual, agent.surprise.count = (
        meta["surprise"]["usual"],
        meta["surprise"]["count"],
    )
    agent.metrics = dict(meta["metrics"])
    agent.rng.bit_generator.state = meta["random"]


def _groups(agent: "Joule") -> dict[str, FlatGroup]:
    return {"model": agent.learner.model_group, "policy": agent.learner.policy_group}

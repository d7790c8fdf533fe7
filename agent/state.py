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
from agent.interface import Arrays, Observation
from agent.learning.interaction import Interaction
from agent.modules import Modules
from agent.state_schema import check_state, groups
from joule_schema.arrays import under
from joule_schema.generators import bit_generator_state
from planners import Plan

COUNTERS = ("frames", "decisions", "episodes")
PLAN_FIELDS = ("actions", "energy", "mean", "std", "elites", "elite_energy", "trace")


def to_array(tensor: Tensor) -> np.ndarray:
    """A copy in numpy."""
    return tensor.detach().cpu().numpy().copy()


def capture(modules: Modules, interaction: Interaction) -> tuple[Arrays, dict[str, Any]]:
    """Everything but the replay's final rows: arrays by flat name, and JSON values."""
    arrays = {f"weights/{name}": value for name, value in modules.networks.to_arrays().items()}
    for label, group in groups(modules).items():
        for index, moments in enumerate(group.moments):
            for name, value in moments.items():
                arrays[f"optimizer/{label}/{index}/{name}"] = to_array(value)
    drawn = random_state.streams(modules.device) if modules.learning else modules.random_streams
    arrays |= {f"random/{name}": to_array(state) for name, state in drawn.items()}
    arrays["random/agent"] = to_array(modules.generator.get_state())
    for number, stream in enumerate(modules.replay_buffer.streams):
        if stream.rows:
            arrays |= {f"newest_row/{number}/{name}": value for name, value in stream.newest().items()}
    for number, obs in enumerate(interaction.obs):
        if obs is not None:
            parts = obs if isinstance(obs, Mapping) else {"": obs}
            arrays |= {f"obs/{number}/{name}": part.copy() for name, part in parts.items()}
    for number, acting in enumerate(interaction.acting):
        if acting is not None:
            arrays |= {f"acting/{number}/{name}": value for name, value in _acting_arrays(acting).items()}
    meta = {name: getattr(interaction, name) for name in COUNTERS} | {
        "terminations": modules.terminations,
        "normalised_rows": list(modules.normalised_rows),
        "seeded": list(interaction.seeded),
        "rows": [stream.rows for stream in modules.replay_buffer.streams],
        "episode_number": list(interaction.episode_number),
        "update_credit": interaction.update_credit,
        "episode_return": list(interaction.episode_return),
        "episode_decisions": list(interaction.episode_decisions),
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
    """Puts back what `capture` gave. Raises SchemaError, and changes nothing, for the state of another."""
    check_state(modules, interaction, arrays, meta)
    modules.networks.load_arrays(under("weights/", arrays))
    for label, group in groups(modules).items():
        for index, vector in enumerate(group.vectors):
            kept = under(f"optimizer/{label}/{index}/", arrays)  # nothing, where it had made no step
            group.moments[index] = {
                name: torch.from_numpy(np.array(value)).to(vector.device) for name, value in kept.items()
            }
    # Measured once an update; the state is another, whatever its count says.
    modules.margin_measured_at = modules.sensors.calibrated_at = -1
    for name in modules.random_streams:
        if f"random/{name}" in arrays:  # a GPU's is not, where the run was on a CPU before
            modules.random_streams[name] = torch.from_numpy(np.array(arrays[f"random/{name}"]))
    drawn = torch.from_numpy(np.array(arrays["random/agent"]))
    if drawn.numel() == modules.generator.get_state().numel():
        modules.generator.set_state(drawn)
    else:  # of another kind of device, whose generator counts otherwise
        modules.generator.manual_seed(modules.config.seed + meta["decisions"])
    for number, stream in enumerate(modules.replay_buffer.streams):
        newest = under(f"newest_row/{number}/", arrays)
        if newest:
            rows = {name: value[None] for name, value in newest.items()}
            stream.restore(rows, meta["rows"][number])
        interaction.obs[number] = _observation(under(f"obs/{number}/", arrays))
        saved = under(f"acting/{number}/", arrays)
        interaction.acting[number] = _acting_state(modules, saved) if saved else None
    for name in COUNTERS:
        setattr(interaction, name, meta[name])
    modules.terminations, modules.normalised_rows = meta["terminations"], list(meta["normalised_rows"])
    interaction.seeded = [bool(seeded) for seeded in meta["seeded"]]
    interaction.episode_number = [int(number) for number in meta["episode_number"]]
    interaction.update_credit = meta["update_credit"]
    interaction.episode_return = [float(value) for value in meta["episode_return"]]
    # Checkpoints of the first builds of this format do not have it.
    if "episode_decisions" in meta:
        interaction.episode_decisions = [int(count) for count in meta["episode_decisions"]]
    learner = modules.learner
    learner.updates, learner.collapsed = meta["updates"], meta["collapsed"]
    learner.first_std = meta["first_std"]
    learner.budget.total, learner.budget.recent = meta["skipped"], list(meta["recent_skips"])
    modules.surprise.usual, modules.surprise.count = (
        meta["surprise"]["usual"],
        meta["surprise"]["count"],
    )
    interaction.metrics = dict(meta["metrics"])
    modules.rng.bit_generator.state = bit_generator_state(meta["random"], "PCG64", "agent.random")


def _acting_arrays(acting: ActingState) -> Arrays:
    """The acting state of one environment as arrays; its generator is the agent's own."""
    arrays = {"z": to_array(acting.z), "expected": to_array(acting.expected)}
    for name in PLAN_FIELDS:
        value = None if acting.plan is None else getattr(acting.plan, name)
        if value is not None:
            arrays[f"plan/{name}"] = to_array(value)
    return arrays


def _acting_state(modules: Modules, arrays: Arrays) -> ActingState:
    """The inverse of `_acting_arrays`."""

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(np.array(arrays[name])).to(modules.device)

    # A plan of another horizon, left by a planner that was replaced since, cannot start the next search.
    actions = arrays.get("plan/actions")
    fits = actions is not None and actions.shape[1] == modules.config.planner.horizon_decisions
    plan = {name: tensor(f"plan/{name}") for name in PLAN_FIELDS if fits and f"plan/{name}" in arrays}
    return ActingState(
        modules.generator,
        Plan(**plan) if plan else None,
        tensor("z"),
        tensor("expected"),
        np.full(1, np.nan),
    )


def _observation(parts: Arrays) -> Observation | None:
    if not parts:
        return None
    return parts[""].copy() if "" in parts else {name: part.copy() for name, part in parts.items()}

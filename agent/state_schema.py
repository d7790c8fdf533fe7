"""What the state of a world-model agent must be before any of it is set.

A state comes from a checkpoint, which may come from another person. It is compared with the agent that it is
to be set in: names, shapes and dtypes of arrays, types and ranges of all other values.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from agent.interface import Arrays
from agent.learning.flat_parameters import FlatParameters
from agent.learning.interaction import Interaction
from agent.memory.columns import columns_of, lacks_readouts
from agent.modules import Modules
from joule_schema import generators
from joule_schema.arrays import ArraySpec, check_adam, check_array, check_arrays, check_names, spec_of, under
from joule_schema.errors import SchemaError
from joule_schema.values import ANY_FLOAT, MOST_METRICS, Count, Length, Name, Within, checked

LARGEST_HORIZON, LARGEST_CANDIDATES = 10_000, 1_000_000
"""Decisions of a plan, and its elites or iterations."""


Measured = Annotated[float, ANY_FLOAT]
"""A measurement, which is not finite where a prediction diverged."""


class SurpriseState(TypedDict):
    """The running mean of prediction errors."""

    usual: Measured
    count: Count


class _SinceFormat2(TypedDict, total=False):
    """What the first checkpoints of format 2 do not have."""

    episode_decisions: list[Count]


class AgentState(_SinceFormat2):
    """The JSON values of a state; see `agent.state.capture`."""

    frames: Count
    decisions: Count
    episodes: Count
    terminations: Count
    normalised_rows: list[Count]
    seeded: list[bool]
    rows: list[Count]
    episode_number: list[Count]
    update_credit: Annotated[float, Within(0.0, 1e9)]
    episode_return: list[float]
    updates: Count
    skipped: Count
    recent_skips: list[Count]
    collapsed: Count
    first_std: Measured
    surprise: SurpriseState
    metrics: Annotated[dict[Name, Measured], Length(0, MOST_METRICS)]
    random: dict[str, Any]


def groups(modules: Modules) -> dict[str, FlatParameters]:
    """The parameters that have an optimiser, by the name that they have in a state."""
    return {"model": modules.learner.model_group, "policy": modules.learner.policy_group}


def check_state(
    modules: Modules, interaction: Interaction, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> None:
    """Checks that arrays and JSON values are a state of this agent. Nothing is changed.

    Raises:
        SchemaError: for an entry that is missing, not known, of another type or shape, or out of range.
    """
    values = checked(AgentState, dict(meta), "agent")
    streams = len(modules.replay_buffer.streams)
    for name, entries in values.items():
        if isinstance(entries, list) and name != "recent_skips" and len(entries) != streams:
            raise SchemaError(f"agent.{name}: has {len(entries)} entries, expected {streams}")
    for number, rows in enumerate(values["normalised_rows"]):
        if rows > values["rows"][number]:
            raise SchemaError(f"agent.normalised_rows[{number}]: {rows} is beyond the replay's rows")
    generators.bit_generator_state(values["random"], "PCG64", "agent.random")
    _check_networks(modules, arrays)
    _check_generators(modules, under("random/", arrays))
    known = [name for name in arrays if name.startswith(("weights/", "optimizer/", "random/"))]
    for number in range(streams):
        known += _check_stream(modules, arrays, number, values["rows"][number])
    check_names(arrays, known, "agent")


def _check_networks(modules: Modules, arrays: Mapping[str, np.ndarray]) -> None:
    """Weights, and the optimiser state of all vectors of parameters or of none that has not been updated."""
    kept = under("weights/", arrays)
    weights = {name: _spec(value) for name, value in modules.networks.like(kept).items()}
    check_arrays(kept, weights, "agent: weights")
    optimizers, known = under("optimizer/", arrays), []
    for label, group in groups(modules).items():
        for index, vector in enumerate(group.vectors):
            kept = under(f"{label}/{index}/", optimizers)
            if kept:
                check_adam(kept, _spec(vector), f"agent: optimizer/{label}/{index}")
                known += [f"{label}/{index}/{name}" for name in kept]
    check_names(optimizers, known, "agent: optimizer")


def _check_generators(modules: Modules, states: Arrays) -> None:
    """The states of torch's generators; those of a GPU are tried on a generator that nobody uses."""
    check_names(states, ("torch", "cuda", "agent"), "agent: random")
    for name in ("torch", "agent"):
        if name not in states:
            raise SchemaError(f"agent: has no array random/{name}")
    for name, state in states.items():
        where = f"agent: random/{name}"
        check_array(state, ArraySpec((None,), "uint8", longest=8192), where)
        on_cpu = name == "torch" or len(state) == torch.get_rng_state().numel()
        if on_cpu:
            generators.check_torch_state(state, where)
        elif modules.device.type == "cuda":
            try:
                torch.Generator(modules.device).set_state(torch.from_numpy(state.copy()))
            except RuntimeError as error:
                raise SchemaError(f"{where}: is not the state of a generator") from error


def _check_stream(modules: Modules, arrays: Mapping[str, np.ndarray], number: int, rows: int) -> list[str]:
    """The newest row, the newest observation and the acting state of one environment. Returns their names."""
    newest = under(f"newest_row/{number}/", arrays)
    columns = columns_of(modules.env_spec) if rows else {}
    row_specs = {name: ArraySpec(shape, dtype) for name, (shape, dtype) in columns.items()}
    if lacks_readouts(newest.get("readout")):
        shape, dtype = columns["readout"]
        row_specs["readout"] = ArraySpec(shape, dtype, finite=False)
    check_arrays(newest, row_specs, f"agent: newest_row/{number}")
    known = [f"newest_row/{number}/{name}" for name in newest]
    observed = under(f"obs/{number}/", arrays)
    if observed:
        parts = modules.env_spec.observation
        named = {(part.name if len(parts) > 1 else ""): part for part in parts}
        own = {name: ArraySpec(tuple(part.shape), part.dtype) for name, part in named.items()}
        check_arrays(observed, own, f"agent: obs/{number}")
        known += [f"obs/{number}/{name}" for name in observed]
    acting = under(f"acting/{number}/", arrays)
    if acting:
        _check_acting(modules, acting, f"agent: acting/{number}")
        known += [f"acting/{number}/{name}" for name in acting]
    return known


def _check_acting(modules: Modules, acting: Arrays, where: str) -> None:
    """Latents and plan of the last decision. Energies are infinite where a prediction diverged."""
    latent, act = modules.config.model.latent_dim, modules.env_spec.action_size
    latents = {name: ArraySpec((1, latent), "float32", finite=False) for name in ("z", "expected")}
    actions = acting.get("plan/actions")
    horizon = actions.shape[1] if actions is not None and actions.ndim == 3 else 1
    if not 1 <= horizon <= LARGEST_HORIZON:
        raise SchemaError(f"{where}: plan/actions has {horizon} decisions")

    def spec(*shape: int | None) -> ArraySpec:
        return ArraySpec(shape, "float32", finite=False, longest=LARGEST_CANDIDATES)

    plan = {
        "actions": spec(1, horizon, act),
        "energy": spec(1),
        "mean": spec(1, horizon, act),
        "std": spec(1, horizon, act),
        "elites": spec(1, None, horizon, act),
        "elite_energy": spec(1, None),
        "trace": spec(None, 1),
    }
    given = {f"plan/{name}": one for name, one in plan.items() if f"plan/{name}" in acting}
    if given:  # a plan has at least these two
        given |= {f"plan/{name}": plan[name] for name in ("actions", "energy")}
    check_arrays(acting, latents | given, where)


def _spec(tensor: Tensor) -> ArraySpec:
    return spec_of(tensor.detach().cpu().numpy())

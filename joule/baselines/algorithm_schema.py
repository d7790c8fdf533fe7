"""What the state of a baseline must be before any of it is set; see `agent.state_schema`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import numpy as np
import torch
from gymnasium import spaces

from agent import random_state
from agent.memory.columns import columns_in
from joule.baselines.algorithm import ON_POLICY, Algorithm
from joule.baselines.frame_buffer import FrameReplayBuffer
from joule.baselines.hindsight_buffer import HindsightReplayBuffer
from joule_schema import generators
from joule_schema.arrays import ArraySpec, check_adam, check_arrays, check_names, spec_of, under
from joule_schema.errors import SchemaError
from joule_schema.values import ANY_FLOAT, LARGEST_COUNT, MOST_METRICS, Count, Length, Name, checked


class BaselineState(TypedDict):
    """The JSON values of a state; see `Baseline.state_dict`."""

    frames: Count
    decisions: Count
    episodes: Count
    updates: Count
    library_episodes: Count
    learning_starts: Count
    begun: bool
    episode_return: float
    episode_length: Count
    metrics: Annotated[dict[Name, Annotated[float, ANY_FLOAT]], Length(0, MOST_METRICS)]
    action_space: dict[str, Any]
    rng: dict[str, Any]


def check_state(
    algorithm: Algorithm,
    kind: str,
    optimizers: Mapping[str, torch.optim.Optimizer],
    variables: Mapping[str, torch.Tensor],
    arrays: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
) -> None:
    """Checks that arrays and JSON values are a state of this algorithm. Nothing is changed.

    Args:
        algorithm: where the state is to be set.
        kind: of the baseline.
        optimizers: of the algorithm, by name.
        variables: tensors of the algorithm outside of its policy, by name.
        arrays: by flat name.
        meta: JSON values.

    Raises:
        SchemaError: for an entry that is missing, not known, of another type or shape, or out of range.
    """
    values = checked(BaselineState, dict(meta), "agent")
    model = algorithm.model
    generators.bit_generator_state(values["action_space"], "PCG64", "agent.action_space")
    random_state.check(under("rng/", arrays), values["rng"], "agent: rng")
    specs = {f"policy/{name}": _spec(value) for name, value in model.policy.state_dict().items()}
    specs |= {f"variable/{name}": _spec(value) for name, value in variables.items()}
    specs |= _now(model, arrays)
    if algorithm.normalizer is not None:
        specs |= _normalizer(algorithm.normalizer)
    if kind == ON_POLICY:
        specs |= _rollout(model.rollout_buffer, arrays)
    elif isinstance(model.replay_buffer, FrameReplayBuffer):
        specs |= _newest_row(model.replay_buffer, arrays)
    elif isinstance(model.replay_buffer, HindsightReplayBuffer):
        specs["episode/open"] = ArraySpec((), "bool")
    elsewhere = ("rng/", "optimizer/")
    own = {name: value for name, value in arrays.items() if not name.startswith(elsewhere)}
    check_arrays(own, specs, "agent")
    for name, value in own.items():
        positive = name.startswith("normalizer/") and name.endswith(("/var", "/count"))
        if positive and not (value >= 0).all():
            raise SchemaError(f"agent: {name} is negative")
    _check_optimizers(optimizers, under("optimizer/", arrays))


def _check_optimizers(
    optimizers: Mapping[str, torch.optim.Optimizer], arrays: Mapping[str, np.ndarray]
) -> None:
    """What Adam keeps of each parameter, or of none that has not been updated."""
    known = []
    for name, optimizer in optimizers.items():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for index, parameter in enumerate(parameters):
            if kept := under(f"{name}/{index}/", arrays):
                check_adam(kept, _spec(parameter), f"agent: optimizer/{name}/{index}")
                known += [f"{name}/{index}/{entry}" for entry in kept]
    check_names(arrays, known, "agent: optimizer")


def _now(model: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, ArraySpec]:
    """The newest observation, where an episode is open."""
    if not any(name.startswith("now/") for name in arrays):
        return {}
    space: Any = model.observation_space
    parts: Any = space.spaces if isinstance(space, spaces.Dict) else space
    boxes: Any = columns_in(parts)
    specs = {f"now/{name}": ArraySpec((1, *box.shape), box.dtype.name) for name, box in boxes.items()}
    return specs | {"now/episode_start": ArraySpec((1,), "bool")}


def _newest_row(buffer: FrameReplayBuffer, arrays: Mapping[str, np.ndarray]) -> dict[str, ArraySpec]:
    """The newest row of the replay buffer, where there is one."""
    if not any(name.startswith("newest_row/") for name in arrays):
        return {}
    number = arrays.get("newest_row/number")
    if number is not None and number.shape == () and not buffer.total < number <= LARGEST_COUNT:
        raise SchemaError(f"agent: newest_row/number is {number}, expected more than {buffer.total}")
    specs = {f"newest_row/{name}": ArraySpec(*column) for name, column in buffer.columns().items()}
    return specs | {"newest_row/number": ArraySpec((), "int64"), "newest_row/open": ArraySpec((), "bool")}


def _normalizer(normalizer: Any) -> dict[str, ArraySpec]:
    specs = {"normalizer/returns": spec_of(normalizer.returns)}
    for name, running in (("obs", normalizer.obs_rms), ("return", normalizer.ret_rms)):
        for entry in ("mean", "var", "count"):
            shape = np.shape(getattr(running, entry))
            specs[f"normalizer/{name}/{entry}"] = ArraySpec(shape, "float64")
    return specs


def _rollout(buffer: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, ArraySpec]:
    """The columns of an unfinished rollout, all with as many rows."""
    rewards = arrays.get("rollout/rewards")
    rows = 0 if rewards is None or not rewards.ndim else len(rewards)
    if rows >= buffer.buffer_size:
        raise SchemaError(f"agent: rollout has {rows} rows, expected fewer than {buffer.buffer_size}")

    def shape(name: str, column: np.ndarray) -> tuple[int, ...]:
        saved = arrays.get(f"rollout/{name}")
        if not rows and saved is not None and saved.ndim and not len(saved):
            return saved.shape  # earlier versions saved no rows in the shape in which the library learns
        return (rows, *column.shape[1:])

    return {
        f"rollout/{name}": ArraySpec(shape(name, column), column.dtype.name)
        for name, column in buffer.columns().items()
    }


def _spec(tensor: torch.Tensor) -> ArraySpec:
    return spec_of(tensor.detach().cpu().numpy())

"""The state of a library's algorithm as plain arrays and JSON values, so that a resumed run is the same run.

Weights, targets, optimisers, counters, an unfinished rollout, normalisers, the newest observation: whatever the
next decision depends on, but the rows of the replay buffer, which have a log of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from agent.interface import Arrays
from agent.memory.columns import columns_in, map_parts, observation_in
from joule.baselines.algorithm import ON_POLICY, Algorithm
from joule.baselines.algorithm_schema import check_state
from joule.baselines.frame_buffer import FrameReplayBuffer
from joule.baselines.hindsight_buffer import HindsightReplayBuffer
from joule_schema.arrays import under
from joule_schema.generators import bit_generator_state


def capture(algorithm: Algorithm, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Everything but the replay rows: arrays by flat name, and JSON values."""
    model, normalizer = algorithm.model, algorithm.normalizer
    arrays = {f"policy/{name}": _numpy(value) for name, value in model.policy.state_dict().items()}
    optimizers, variables = _optimizers_and_variables(model)
    for name, optimizer in optimizers.items():
        for index, entries in optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer/{name}/{index}/{key}": _numpy(v) for key, v in entries.items()}
    arrays |= {f"variable/{name}": _numpy(value) for name, value in variables.items()}
    if model._last_obs is not None:
        arrays |= {f"now/{name}": part.copy() for name, part in columns_in(model._last_obs).items()}
        arrays["now/episode_start"] = model._last_episode_starts.copy()
    if kind == ON_POLICY:
        arrays |= {f"rollout/{name}": rows for name, rows in model.rollout_buffer.unfinished().items()}
    elif isinstance(model.replay_buffer, FrameReplayBuffer):
        arrays |= {f"newest_row/{name}": value for name, value in model.replay_buffer.newest().items()}
    elif isinstance(model.replay_buffer, HindsightReplayBuffer):
        arrays["episode/open"] = np.array(model.replay_buffer.is_open)
    if normalizer is not None:
        for name, running in _statistics(normalizer).items():
            arrays[f"normalizer/{name}/mean"] = np.array(running.mean, np.float64)
            arrays[f"normalizer/{name}/var"] = np.array(running.var, np.float64)
            arrays[f"normalizer/{name}/count"] = np.array(running.count, np.float64)
        arrays["normalizer/returns"] = normalizer.returns.copy()
    return arrays, {
        "decisions": int(model.num_timesteps),
        "updates": int(model._n_updates),
        "library_episodes": int(model._episode_num),
        "learning_starts": 0 if kind == ON_POLICY else model.learning_starts,
        "action_space": model.action_space.np_random.bit_generator.state,
    }


def check(algorithm: Algorithm, kind: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Raises SchemaError where these are no state of this algorithm. Nothing is changed."""
    optimizers, variables = _optimizers_and_variables(algorithm.model)
    check_state(algorithm, kind, optimizers, variables, arrays, meta)


def restore(
    algorithm: Algorithm, kind: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> None:
    """Puts back what `capture` gave. Raises SchemaError, and changes nothing, for the state of another."""
    check(algorithm, kind, arrays, meta)
    model, normalizer = algorithm.model, algorithm.normalizer
    optimizers, variables = _optimizers_and_variables(model)
    weights = {name: torch.from_numpy(value) for name, value in under("policy/", arrays).items()}
    model.policy.load_state_dict(weights)
    for name, optimizer in optimizers.items():
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for path, value in under(f"optimizer/{name}/", arrays).items():
            index, key = path.split("/")
            entries.setdefault(int(index), {})[key] = torch.from_numpy(value.copy())
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": entries, "param_groups": groups})
    with torch.no_grad():
        for name, variable in variables.items():
            variable.copy_(torch.from_numpy(arrays[f"variable/{name}"]))
    model._last_obs = None
    if "now/episode_start" in arrays:
        model._last_obs = map_parts(np.copy, observation_in(under("now/", arrays)))
        model._last_episode_starts = arrays["now/episode_start"].copy()
    if kind == ON_POLICY:
        model.rollout_buffer.restore(under("rollout/", arrays))
    else:
        model.learning_starts = meta["learning_starts"]  # a run that is made longer keeps its warm-up
        if isinstance(model.replay_buffer, FrameReplayBuffer):
            model.replay_buffer.restore_newest(under("newest_row/", arrays))
        elif isinstance(model.replay_buffer, HindsightReplayBuffer) and not arrays["episode/open"]:
            model.replay_buffer.end_episode()
    if normalizer is not None:
        for name, running in _statistics(normalizer).items():
            running.mean = arrays[f"normalizer/{name}/mean"].copy()
            running.var = arrays[f"normalizer/{name}/var"].copy()
            running.count = float(arrays[f"normalizer/{name}/count"])
        normalizer.returns = arrays["normalizer/returns"].copy()
    drawing = bit_generator_state(meta["action_space"], "PCG64", "agent.action_space")
    model.action_space.np_random.bit_generator.state = drawing
    model.num_timesteps, model._n_updates = meta["decisions"], meta["updates"]
    model._episode_num = meta["library_episodes"]


def _optimizers_and_variables(
    model: Any,
) -> tuple[dict[str, torch.optim.Optimizer], dict[str, torch.Tensor]]:
    """The optimisers, and the tensors outside of the policy, that the library itself would save, by name."""
    states, variables = model._get_torch_save_params()
    found: dict[str, Any] = {}
    for path in (*states, *variables):
        target = model
        for part in path.split("."):
            target = getattr(target, part)
        found[path] = target
    return {n: found[n] for n in states if n != "policy"}, {n: found[n] for n in variables}


def _statistics(normalizer: Any) -> dict[str, Any]:
    """The running means and variances of a `VecNormalize`."""
    return {"obs": normalizer.obs_rms, "return": normalizer.ret_rms}


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().copy()

"""Baselines that learn within milliseconds, and what tests of exact resumes need."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tiny_env
import tiny_goal_env

import envs
from agent.configurator.settings import GOAL_CONDITIONED, Config, LearningConfig
from joule.baselines.stable_baselines import Baseline

SMALL: dict[str, dict[str, Any]] = {
    "sac": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "td3": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "tqc": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "crossq": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "sac_her": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 2},
}


def small_baseline(kind: Any, utd: float = 1.0, **settings: Any) -> Baseline:
    """A small baseline in a tiny environment of its own; `settings` replace those published."""
    # The library's hindsight learns nothing before the first episode has ended, with 25 decisions.
    starts = {"ppo": {}, GOAL_CONDITIONED: {"learning_starts": 30}}.get(kind, {"learning_starts": 20})
    env_id = tiny_goal_env.ID if kind == GOAL_CONDITIONED else tiny_env.ID
    env = envs.make(env_id, goal=kind == GOAL_CONDITIONED)
    chosen = {**SMALL[kind], **starts, **settings}
    config = Config(env=env_id, agent=kind, seed=3, learning=LearningConfig(utd=utd))
    return Baseline(env.env_spec, config, env, settings=chosen)


def restored(agent: Any, fresh: Any) -> Any:
    """`fresh` in the state of `agent` and its environment, by way of JSON as in a checkpoint."""
    arrays, meta = agent.state_dict()
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    meta = json.loads(json.dumps(meta, allow_nan=False))
    for rows, new_rows in zip(agent.replay, fresh.replay, strict=True):
        new_rows.restore(rows.since(rows.first), rows.total)
    fresh.load_state_dict(arrays, meta)
    assert fresh.env.restore(agent.env.snapshot()) is not False
    return fresh


def assert_same_state(one: Any, other: Any) -> None:
    """Bit for bit: weights, targets, optimisers, random generators, counters, metrics."""
    (arrays, meta), (other_arrays, other_meta) = one.state_dict(), other.state_dict()
    assert arrays.keys() == other_arrays.keys()
    assert [n for n in arrays if not np.array_equal(arrays[n], other_arrays[n], equal_nan=True)] == []
    assert json.dumps(meta) == json.dumps(other_meta)

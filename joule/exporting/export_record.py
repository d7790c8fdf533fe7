"""The values of `export.json`: what an export holds, and what somebody who uses it must know of the agent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from agent.agent import WorldModelAgent
from agent.configurator.config_json import to_json
from agent.configurator.kinds import settings_of
from envs import SafeEnv
from envs.wrappers import Flat
from joule.exporting.networks import OwnActions
from joule.exporting.onnx_file import OPSET
from joule.exporting.parts import TOLERANCE, Part, Value
from joule.storage.provenance import versions

EXPORT_FORMAT = 2
"""Of export.json; it changes when a reader of the one before would misunderstand it."""


def provenance(agent: WorldModelAgent, run_id: str | None) -> dict[str, Any]:
    """Where an agent comes from.

    Args:
        agent: the agent.
        run_id: of its run; None for an agent in memory, which comes from no checkpoint either.
    """
    config = agent.config
    return {
        "env": config.env,
        "run": run_id,
        "checkpoint": None if run_id is None else f"step-{agent.frames}",
        "frames": agent.frames,
        "unit": config.unit,
        "decisions": agent.decisions,
        "training_seed": config.seed,
        "task": config.task,
        "versions": versions(),
    }


def export_record(
    agent: WorldModelAgent,
    env: SafeEnv,
    parts: Mapping[str, Part],
    contents: Mapping[str, bytes],
    errors: Mapping[str, float],
    rows: int,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """The JSON values of an export.

    Args:
        agent: the agent.
        env: its environment.
        parts: by the name of the file.
        contents: of the files.
        errors: the largest difference from the agent, by file.
        rows: transitions on which the files were checked.
        origin: see `provenance`.
    """
    spec = env.env_spec
    seconds = spec.seconds_per_decision
    return {
        "format": EXPORT_FORMAT,
        **origin,
        "files": {
            name: {
                "inputs": {key: _value(value) for key, value in part.inputs.items()},
                "outputs": {key: _value(value) for key, value in part.outputs.items()},
                "largest_error": errors[name],
                "sha256": hashlib.sha256(contents[name]).hexdigest(),
            }
            for name, part in parts.items()
        },
        "observation": {
            "size": spec.observation_size,
            "parts": [
                {"name": part.name, "shape": list(part.shape), "angles": list(part.angles)}
                for part in spec.observation
            ],
            "order": dict_order(env),
        },
        "action": _action(env, spec.action_size),
        "readouts": dict(spec.readout_sizes),
        "decision_rate_hz": None if seconds is None else 1.0 / seconds,
        "action_repeat_frames": spec.action_repeat,
        "planning": _planning(agent),
        "check": {"transitions": rows, "tolerance": TOLERANCE},
        "opset": OPSET,
    }


def _value(value: Value) -> dict[str, Any]:
    return {"shape": ["batch", *value.shape], "dtype": "float32", "meaning": value.meaning}


def dict_order(env: SafeEnv) -> dict[str, int]:
    """The parts of the Dict observation that is made one vector, as they follow each other, and their numbers.

    Empty for an environment whose observation is no Dict, and where a picture is among its parts.
    """
    layer: Any = env
    while not isinstance(layer, Flat):
        layer = layer.env
    space = layer.env.observation_space
    if not isinstance(space, spaces.Dict) or spaces.flatdim(space) != env.env_spec.observation_size:
        return {}
    return {str(name): spaces.flatdim(part) for name, part in space.spaces.items()}


def _action(env: SafeEnv, act: int) -> dict[str, Any]:
    """The environment's own actions beside those in [-1, 1]."""
    own = OwnActions.of(env.own_action, act)
    return {
        "size": len(own.low),
        "shape": list(own.shape),
        "dtype": own.dtype,
        "low": own.low.tolist(),
        "high": own.high.tolist(),
        "normalised_size": act,
        "constant": [place for place, half in enumerate(own.half) if not half],
    }


def _planning(agent: WorldModelAgent) -> dict[str, Any]:
    """What the energy of a plan is made of, and how the agent plans."""
    modules, config = agent.modules, agent.config
    return {
        "discount": modules.discount,
        "terminates": modules.terminations > 0,
        "uncertainty_weight": modules.uncertainty_weight(),
        "action_weight": config.cost.action,
        "constraints": list(config.constraint),
        "prior_std": config.actor.prior_std,
        "proposals": config.actor.proposals,
        **to_json(config)["planner"],
        "settings": {
            **{
                name: setting.default for name, setting in settings_of("planner", config.planner.kind).items()
            },
            **config.planner.settings,
        },
    }

"""The oracle of a task: planning in true physics, for tasks that follow from positions and velocities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

import planners
from agent.cost.derivations import parts_of
from agent.cost.readouts import Readouts
from agent.cost.task import Task
from benchmarks.comprehension.episodes import Decide
from envs.readouts.joints import JointReadouts
from envs.readouts.named import joint_readouts
from planners.oracle import Futures, Oracle

SETTINGS = {"samples": 48, "iterations": 3, "elites": 8}
"""Settings of the oracle's planner, iCEM."""
HORIZON = 15
"""Decisions that it plans ahead."""
UPPER_ARM, FOREARM = 0.30, 0.25
"""Lengths of the links of joule/Reach-v0 (m)."""


class State(NamedTuple):
    """A state of physics, as readouts of joints are read from."""

    qpos: np.ndarray
    qvel: np.ndarray


def readouts_of(
    futures: Futures, env: str, joints: JointReadouts
) -> dict[str, Float[np.ndarray, "candidates horizon size"]]:
    """The readouts that follow from the physics state alone, by name."""
    qpos, qvel = futures.qpos[:, 1:], futures.qvel[:, 1:]
    states = zip(qpos.reshape(-1, qpos.shape[-1]), qvel.reshape(-1, qvel.shape[-1]), strict=True)
    rows = [joints.read(State(*state)) for state in states]
    found = {
        name: np.stack([row[name] for row in rows]).reshape(*qpos.shape[:2], -1) for name in joints.sizes
    }
    if env == "joule/Maze-v0":
        found |= {"ball": qpos, "ball_velocity": qvel}
    if env == "joule/Reach-v0":
        shoulder, heading = qpos[..., 0], qpos.sum(-1)
        x = UPPER_ARM * np.cos(shoulder) + FOREARM * np.cos(heading)
        y = UPPER_ARM * np.sin(shoulder) + FOREARM * np.sin(heading)
        found["fingertip"] = np.stack([x, y], -1)
    return found


def oracle_for(env: Any, task: Task, generator: torch.Generator) -> tuple[Oracle, Decide]:
    """The oracle of an environment, and a `decide` that plans with it.

    Args:
        env: the environment; its physics is rolled out from its present state.
        task: the costs. A task on any other readout raises TaskError at the first plan.
        generator: draws the candidates.
    """
    raw, spec = env.unwrapped, env.env_spec
    joints = joint_readouts(env)

    def cost(futures: Futures) -> Float[np.ndarray, "candidates horizon"]:
        known = readouts_of(futures, spec.env, joints)
        sizes = {name: rows.shape[-1] for name, rows in known.items()}
        derived: dict[str, Any] = {}
        for name, source in spec.derived_readouts.items():
            if set(parts_of(source)) <= sizes.keys() | derived.keys():
                derived[name] = source
        rows = torch.from_numpy(np.concatenate(list(known.values()), -1)).flatten(0, 1).float()
        controls = torch.from_numpy(futures.controls).flatten(0, 1).float()
        named = Readouts(sizes, derived).of(rows, controls, lambda: rows.new_full((len(rows),), torch.nan))
        return task(named).view(futures.controls.shape[:2]).double().numpy()

    oracle = Oracle(raw.model, cost, frame_skip=raw.frame_skip * spec.action_repeat, unit=True)
    bound = torch.ones(spec.action_size)
    planner = planners.make("icem", horizon=HORIZON, low=-bound, high=bound, **SETTINGS)

    def decide(_: np.ndarray, plan: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        warm_start = None if starts[0] else plan.shifted()
        plan = planner.plan(oracle.energy(raw.data), warm_start=warm_start, generator=generator)
        return plan.actions[:, 0].numpy(), plan

    return oracle, decide

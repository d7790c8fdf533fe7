"""The oracle of a task: planning in true physics, for tasks that follow from positions and velocities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch
from jaxtyping import Float

import planners
from agent.configurator.looking_ahead import PLANNED_AHEAD_DECISIONS
from agent.cost.derivations import parts_of
from agent.cost.readouts import Readouts
from agent.cost.task import Task
from envs.physics import find_physics
from envs.readouts.joints import JointReadouts
from envs.readouts.named import has_own_readouts, joint_readouts, named_readouts
from joule_errors import Refused
from planners.oracle import Futures, Oracle

Decide = Callable[[np.ndarray, Any, np.ndarray], tuple[np.ndarray, Any]]
"""(observations [envs, obs], state, starts [envs]) -> (actions [envs, act], state), as `predict`."""
SETTINGS = {"samples": 48, "iterations": 3, "elites": 8}
"""Settings of the oracle's planner, iCEM."""
HORIZON = PLANNED_AHEAD_DECISIONS
"""Decisions that it plans ahead."""


class State(NamedTuple):
    """A state of physics, as readouts of joints are read from."""

    qpos: np.ndarray
    qvel: np.ndarray


def readouts_of(
    futures: Futures, scratch: Any, joints: JointReadouts | None
) -> dict[str, Float[np.ndarray, "candidates horizon size"]]:
    """The readouts that follow from the physics state alone, by name.

    Args:
        futures: states of physics.
        scratch: an environment of the same episode, whose own readouts are read in each state.
        joints: how the readouts of joints are read; None where the environment has none of them.
    """
    qpos, qvel = futures.qpos[:, 1:], futures.qvel[:, 1:]
    states = zip(qpos.reshape(-1, qpos.shape[-1]), qvel.reshape(-1, qvel.shape[-1]), strict=True)
    if has_own_readouts(scratch):
        physics = find_physics(scratch)
        assert physics is not None
        rows = []
        for state in states:
            physics.data.qpos[:], physics.data.qvel[:] = state
            mujoco.mj_forward(physics.model, physics.data)
            rows.append(named_readouts(scratch, {}))
    else:
        assert joints is not None
        rows = [joints.read(State(*state)) for state in states]
    return {name: np.stack([row[name] for row in rows]).reshape(*qpos.shape[:2], -1) for name in rows[0]}


def oracle_for(env: Any, scratch: Any, task: Task, generator: torch.Generator) -> tuple[Oracle, Decide]:
    """The oracle of an environment, and a `decide` that plans with it.

    Args:
        env: the environment; its physics is rolled out from its present state.
        scratch: another one of the same episode; its physics is set to predicted states.
        task: the costs. A task on any other readout raises TaskError at the first plan.
        generator: draws the candidates.

    Raises:
        Refused: for an environment whose physics cannot be rolled out from outside.
    """
    physics, spec = find_physics(env), env.env_spec
    if physics is None or spec.seconds_per_decision is None:
        raise Refused(f"{spec.env} has no MuJoCo physics of a known step")
    model = physics.model
    if model.nu != spec.action_size or not model.actuator_ctrllimited.all():
        raise Refused(f"an action of {spec.env} is not one control in the range of each motor")
    joints = None if has_own_readouts(env) else joint_readouts(env)

    def cost(futures: Futures) -> Float[np.ndarray, "candidates horizon"]:
        known = readouts_of(futures, scratch, joints)
        sizes = {name: rows.shape[-1] for name, rows in known.items()}
        derived: dict[str, Any] = {}
        for name, source in spec.derived_readouts.items():
            if set(parts_of(source)) <= sizes.keys() | derived.keys():
                derived[name] = source
        rows = torch.from_numpy(np.concatenate(list(known.values()), -1)).flatten(0, 1).float()
        controls = torch.from_numpy(futures.controls).flatten(0, 1).float()
        named = Readouts(sizes, derived).of(rows, controls, lambda: rows.new_full((len(rows),), torch.nan))
        return task(named).view(futures.controls.shape[:2]).double().numpy()

    frames = round(spec.seconds_per_decision / float(model.opt.timestep))
    oracle = Oracle(model, cost, frame_skip=frames, unit=True)
    bound = torch.ones(spec.action_size)
    planner = planners.make("icem", horizon=HORIZON, low=-bound, high=bound, **SETTINGS)

    def decide(_: np.ndarray, plan: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        warm_start = None if starts[0] else plan.shifted()
        now = find_physics(env)
        assert now is not None
        plan = planner.plan(oracle.energy(now.data), warm_start=warm_start, generator=generator)
        return plan.actions[:, 0].numpy(), plan

    return oracle, decide

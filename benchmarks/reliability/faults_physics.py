"""Faults 26 to 29: actions that are not finite or out of range, and physics that diverges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.sandbox import Patch, Sandbox

if TYPE_CHECKING:
    from envs.safe_env import SafeEnv

NO_LEARNING = {"learning.utd": 0, "learning.initial_utd": 0}
PLANNER_SETTINGS = ("planner.samples", "planner.iterations", "planner.elites")
"""Settings that acting by the policy alone does not have."""
ENVS = ("InvertedPendulum-v5", "Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Swimmer-v5")


def nan_weights(network: str, decision: int) -> Patch:
    """Makes a network of the agent NaN once `decision` decisions are taken."""

    def patch() -> None:
        import torch

        from agent.interface import TrainingEnvs
        from agent.learning.interaction import Interaction

        real = Interaction.step

        def step(self: Interaction, envs: TrainingEnvs) -> None:
            if self.decisions == decision:
                with torch.no_grad():
                    next(getattr(self.modules.networks, network).parameters()).fill_(float("nan"))
            real(self, envs)

        Interaction.step = step  # type: ignore[method-assign]

    return patch


@fault(26, "NaN action from planner", "STOP before env.step")
def action_not_finite(sandbox: Sandbox) -> Outcome:
    checks = {}
    without_planner = {"planner.kind": "policy"} | dict.fromkeys(PLANNER_SETTINGS)
    for decision in (30, 70, 119):
        planned = sandbox.train(patch=nan_weights("critic", decision), changes=NO_LEARNING)
        policy = sandbox.train(patch=nan_weights("policy", decision), changes=NO_LEARNING | without_planner)
        checks[f"planner, decision {decision}"] = planned.stopped("seed 1", "energy")
        checks[f"policy, decision {decision}"] = policy.stopped("seed 1", "action is not finite")
    return all_of(checks)


@fault(27, "action 100x out of range", "clipped + counted")
def action_out_of_range(sandbox: Sandbox) -> Outcome:
    import envs

    env, reference = envs.make("InvertedPendulum-v5"), envs.make("InvertedPendulum-v5")
    env.reset(seed=1)
    reference.reset(seed=1)
    same = np.array_equal(env.step(np.full(1, 100.0))[0], reference.step(np.ones(1))[0])
    count = env.counters.get("actions_clipped", 0)
    return Outcome(same and count == 1, f"the same step as at the bound: {same}, counted {count}")


@fault(28, "BADQPOS/QVEL/QACC", "truncate, drop row, count")
def diverged_physics(sandbox: Sandbox) -> Outcome:
    return warnings_counted(("BADQPOS", "BADQVEL", "BADQACC"))


@fault(29, "contact/constraint buffer full", "counted, warned")
def full_buffers(sandbox: Sandbox) -> Outcome:
    return warnings_counted(("CONTACTFULL", "CNSTRFULL", "INERTIA"))


def warnings_counted(kinds: tuple[str, ...]) -> Outcome:
    """Raises each of MuJoCo's warnings in five environments during training, and checks the replay buffer."""
    correct = wrong_rows = 0
    for env in ENVS:
        for kind in kinds:
            counted, wrong = one_warning(env, kind)
            correct += counted
            wrong_rows += wrong
    tried = len(ENVS) * len(kinds)
    ok = correct == tried and wrong_rows == 0
    return Outcome(ok, f"{correct} of {tried} surfaced, {wrong_rows} wrong rows")


def one_warning(env_id: str, kind: str) -> tuple[bool, int]:
    """Trains for a few steps and raises a warning of MuJoCo in the last one.

    Returns:
        Whether the environment counts the warning as it must, and the number of wrong rows in the replay
        buffer: a step of diverged physics must not be stored, any other one must.
    """
    import envs
    from agent.agent import WorldModelAgent
    from agent.configurator.dotted_names import replace
    from agent.configurator.settings import Config

    env = envs.make(env_id)
    settings = {
        "env": env_id,
        "steps": 60,
        "explore.warmup_decisions": 100,
        "model.latent_dim": 16,
        "model.hidden_dim": 32,
    }
    agent = WorldModelAgent(env.env_spec, replace(Config(), settings), env)
    agent.learn(5)
    inner: Any = env._checks.env
    real = inner.step
    inner.step = warning_step(env, kind, real)
    held, frames = agent.modules.replay_buffer.held, agent.frames
    agent.learn(1)
    inner.step = real
    assert agent.frames == frames + 1
    stored = agent.modules.replay_buffer.held - held
    counted = env.counters.get(f"mujoco_{kind.lower()}", 0) == 1
    if not kind.startswith("BAD"):
        return counted, 1 - stored
    truncated = env.counters.get("diverged_steps", 0) == 1 and agent.interaction.obs[0] is None
    return counted and truncated, stored


def warning_step(env: SafeEnv, kind: str, real: Any) -> Any:
    """A step that takes the real one and then raises a warning of MuJoCo; divergence resets the physics."""
    import mujoco

    from envs.physics import find_physics

    physics = find_physics(env)
    assert physics is not None
    model, data = physics.model, physics.data

    def step(action: Any) -> Any:
        result = real(action)
        if kind.startswith("BAD"):
            mujoco.mj_resetData(model, data)
        data.warning[int(getattr(mujoco.mjtWarning, f"mjWARN_{kind}"))].number += 1
        return result

    return step

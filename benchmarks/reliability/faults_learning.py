"""Faults 30 to 34: predictions, losses and weights that are not finite, collapse, and scales of the reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.odd_env import train_in_odd_env
from benchmarks.reliability.sandbox import Patch, Sandbox

PLANNERS = ("mppi", "icem", "cem", "random_shooting")
CANDIDATES = 10_000
"""Candidates that each planner evaluates at least."""


@fault(30, "latent explodes in imagination", "candidate dropped / safe action")
def exploding_prediction(sandbox: Sandbox) -> Outcome:
    import torch

    import planners

    chosen = candidates = 0
    bad = torch.tensor([torch.nan, torch.inf, -torch.inf, 3e38])

    def energy(actions: torch.Tensor) -> torch.Tensor:
        nonlocal candidates
        candidates += actions.shape[1]
        exploding = actions[:, :, 0, 0] > 0  # half of the candidates
        finite = actions.square().sum((-1, -2)) + 1.0
        kinds = bad[torch.arange(actions.shape[1]) % 4].expand_as(finite)
        return torch.where(exploding, kinds, finite)

    ones = torch.ones(2)
    for kind in PLANNERS:
        planner = planners.make(kind, horizon=3, low=-ones, high=ones)
        generator = torch.Generator().manual_seed(1)
        before = candidates
        while candidates - before < CANDIDATES:
            plan = planner.plan(energy, generator=generator)
            chosen += int(plan.actions[0, 0, 0] > 0) or int(not torch.isfinite(plan.energy).all())
    text = f"{candidates:,} candidates, half of them NaN, infinite or 3e38: chosen {chosen} times"
    return Outcome(chosen == 0, text)


def updates_not_finite(first: int, last: int, what: str) -> Patch:
    """Makes the loss or the gradient of the updates `first` to `last` NaN or infinite.

    Args:
        first: number of the first update, from 1.
        last: number of the last one.
        what: "nan loss", "inf loss", "nan latent", "nan gradient" or "inf gradient".
    """

    def patch() -> None:
        import torch

        from agent.learning.flat_parameters import FlatParameters
        from agent.learning.learner import Learner
        from agent.learning.losses import Losses
        from agent.memory.replay_buffer import ReplayBuffer

        learners: list[Learner] = []
        real_total = Losses.total
        real_update, real_sample, real_step = Learner.update, ReplayBuffer.sample, FlatParameters.step

        def hit(offset: int) -> bool:
            """Whether the update that is under way is one of those."""
            return first <= (learners[0].updates if learners else 0) + offset <= last

        def update(self: Learner, windows: Any, **more: Any) -> Any:
            learners[:] = [self]
            return real_update(self, windows, **more)

        def sample(self: ReplayBuffer, *given: Any) -> Any:
            windows = real_sample(self, *given)
            if what in ("nan loss", "nan latent") and hit(1):
                column: Any = windows.cost if what == "nan loss" else windows.obs
                column[:] = np.nan
            return windows

        def step(self: FlatParameters, max_grad_norm: float) -> Any:
            if what.endswith("gradient") and hit(0):
                assert self.vectors[0].grad is not None
                self.vectors[0].grad[0] = torch.nan if what == "nan gradient" else torch.inf
            return real_step(self, max_grad_norm)

        def total(self: Losses, *given: Any) -> Any:
            return real_total(self, *given) * (torch.inf if what == "inf loss" and hit(1) else 1)

        Losses.total = total  # type: ignore[method-assign, assignment]
        Learner.update, ReplayBuffer.sample, FlatParameters.step = update, sample, step  # type: ignore[method-assign, assignment]

    return patch


@fault(31, "loss or grad NaN/Inf", "skip <=k, then roll back + STOP")
def update_not_finite(sandbox: Sandbox) -> Outcome:
    checks = {}
    for what in ("nan loss", "inf loss", "nan latent", "nan gradient", "inf gradient"):
        for first in (1, 25, 50):  # the first update, a middle one, one of the last
            last = first + 4
            result = sandbox.train(patch=updates_not_finite(first, last, what))
            skipped = result.counter("updates_skipped")
            name = f"{what} {first} to {last}: {skipped} skipped"
            checks[name] = result.survived() and 0 < skipped <= 5
    for what in ("nan loss", "inf gradient"):
        result = sandbox.train(patch=updates_not_finite(30, 10_000, what))
        words = ("not finite", "seed 1", "last good checkpoint is step-40")
        checks[f"{what} from 30 on: stopped"] = result.stopped(*words)
        checks[f"{what}: resumes"] = sandbox.resume(result.folder).survived()
    at_the_end = sandbox.train(patch=weights_not_finite(119))
    checks["weights NaN at the end: not saved"] = at_the_end.stopped("not finite, so not saved")
    sac = sandbox.train(patch=sac_weights_not_finite(90), changes={"agent": "sac"})
    checks["sac: weights NaN"] = sac.stopped("last good")
    return all_of(checks)


def weights_not_finite(decision: int) -> Patch:
    """Makes a weight of the agent NaN after the updates of every decision beyond `decision`."""

    def patch() -> None:
        import torch

        from agent.learning.interaction import Interaction

        real = Interaction.run_due_updates

        def run_due_updates(self: Interaction) -> None:
            real(self)
            if self.decisions > decision:
                with torch.no_grad():
                    next(self.modules.networks.readout.parameters()).view(-1)[0] = torch.nan

        Interaction.run_due_updates = run_due_updates  # type: ignore[method-assign]

    return patch


def sac_weights_not_finite(decision: int) -> Patch:
    """Makes a weight of SAC's critic NaN at a decision."""

    def patch() -> None:
        import torch

        from joule.baselines.stable_baselines import Baseline

        real = Baseline._step

        def step(self: Baseline, callback: Any) -> None:
            real(self, callback)
            if self.decisions == decision:
                with torch.no_grad():
                    next(self.model.policy.critic.parameters()).view(-1)[0] = torch.nan

        Baseline._step = step  # type: ignore[method-assign]

    return patch


COLLAPSING = {
    "regularizer.kind": "simnorm",
    "learning.cost_weight": 0,
    "learning.critic_weight": 0,
    "learning.termination_weight": 0,
    "learning.encoder_learning_rate": 1.0,
    "learning.learning_rate": 0.003,
    "learning.pretrain_updates": 1000,
    "learning.precision": "float32",
}
"""Settings with which the encoder saturates."""


@fault(32, "latent collapse", "alarm, then STOP by policy")
def collapse(sandbox: Sandbox) -> Outcome:
    warned = sandbox.train("--on-collapse", "warn", changes=COLLAPSING)
    stopped = sandbox.train("--on-collapse", "stop", changes=COLLAPSING)
    alarms = warned.counter("collapse_alarms")
    warns = warned.survived() and alarms == 1 and warned.mentions("has collapsed")
    ok = warns and stopped.stopped("has collapsed", "seed 1")
    return Outcome(ok, f"warn: {warned.describe()}, {alarms} alarm; stop: {stopped.describe()}")


@fault(33, "constant reward, zero-variance dim", "std floor, finite")
def constant_reward(sandbox: Sandbox) -> Outcome:
    joule, ppo = (train_in_odd_env(sandbox, agent=agent, scale=0.0) for agent in ("joule", "ppo"))
    text = f"joule {joule.describe()}, ppo {ppo.describe()}; all that was saved is finite"
    return Outcome(joule.survived() and ppo.survived(), text)


def scaled_reward(scale: float) -> Callable[[], None]:
    """Multiplies the reward of the tiny environment."""

    def patch() -> None:
        import tiny_env

        real = tiny_env.Point.step

        def step(self: Any, action: Any) -> Any:
            observation, reward, *rest = real(self, action)
            return (observation, reward * scale, *rest)

        tiny_env.Point.step = step  # type: ignore[method-assign]

    return patch


@fault(34, "reward scale 1e6 / 1e-9", "finite, same policy order")
def reward_scales(sandbox: Sandbox) -> Outcome:
    checks = {}
    longer = {
        "steps": 500,
        "eval_every_frames": 500,
        "eval_episodes": 10,
        "explore.warmup_decisions": 150,
        "learning.pretrain_updates": 300,
        "learning.batch_size": 64,
        "learning.learning_rate": 0.002,
        "learning.encoder_learning_rate": 0.001,
    }
    for scale in (1.0, 1e6, 1e-9):
        joule = sandbox.train(patch=scaled_reward(scale), changes=longer)
        random = sandbox.train(patch=scaled_reward(scale), changes={**longer, "agent": "random"})
        mean, low = (run.summary().get("return_mean", np.nan) / scale for run in (joule, random))
        checks[f"{scale:g}: finite"] = joule.survived()
        checks[f"{scale:g}: {mean:.2f} above random's {low:.2f}"] = mean > low
    return all_of(checks)

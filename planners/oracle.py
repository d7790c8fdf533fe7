"""The oracle: the energy of candidates under true physics, the upper bound for any learned model.

Every planner that needs no gradient can plan with it, because it is an energy like any other:

    with Oracle(env.unwrapped.model, cost, frame_skip=5, threads=2) as oracle:
        plan = planner.plan(oracle.energy(env.unwrapped.data))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from jaxtyping import Float
from mujoco import rollout
from torch import Tensor

from planners.base import EnergyFn, SettingError

_PHYSICS = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
_USER = int(mujoco.mjtState.mjSTATE_USER)


@dataclass(frozen=True)
class Futures:
    """What true physics makes of candidate sequences; candidates are batch * samples in order."""

    states: Float[np.ndarray, "candidates horizon_and_one state"]
    """MuJoCo's full physics state now and after every decision: time, qpos, qvel, act, …"""
    sensors: Float[np.ndarray, "candidates horizon sensor"]
    """Sensor data as `mj_step` leaves it: measured at the beginning of each decision's last frame."""
    controls: Float[np.ndarray, "candidates horizon control"]
    """The controls applied."""
    model: mujoco.MjModel

    @property
    def qpos(self) -> Float[np.ndarray, "candidates horizon_and_one nq"]:
        """Positions, now and after every decision."""
        return self.states[..., 1 : 1 + self.model.nq]

    @property
    def qvel(self) -> Float[np.ndarray, "candidates horizon_and_one nv"]:
        """Velocities, now and after every decision."""
        return self.states[..., 1 + self.model.nq : 1 + self.model.nq + self.model.nv]


CostFn = Callable[[Futures], Float[np.ndarray, "candidates horizon"]]
"""Cost of every decision of every candidate; their sum is the energy."""


class Oracle:
    """True physics behind the planners' contract.

    `frame_skip` frames of physics make one decision. `threads` rollouts run at once; 0 uses the
    calling thread alone. With `unit`, actions in [-1, 1] are stretched onto the actuators' control
    range, otherwise an action is a control. `model` is read at every call, so that changes made to
    it (gravity, friction, …) are seen. Close it, or use it as a context, to end its threads.

    Raises SettingError for `unit` with an actuator of unlimited control range.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        cost: CostFn,
        *,
        frame_skip: int = 1,
        threads: int = 0,
        unit: bool = False,
    ) -> None:
        if frame_skip < 1 or threads < 0:
            raise SettingError(
                f"frame_skip, threads: found {frame_skip} and {threads}, expected at least 1 and at least 0"
            )
        if unit and not model.actuator_ctrllimited.all():
            raise SettingError("unit: needs a control range on every actuator of the model")
        self.model, self.cost, self.frame_skip, self.unit = model, cost, frame_skip, unit
        self._pool = rollout.Rollout(nthread=threads)
        self._scratch = [mujoco.MjData(model) for _ in range(max(threads, 1))]

    def __enter__(self) -> "Oracle":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads; the oracle cannot be used afterwards."""
        self._pool.close()

    def energy(self, data: mujoco.MjData | Sequence[mujoco.MjData]) -> EnergyFn:
        """The energy of candidates from the state of `data` (copied now), or of one data per environment.

        A candidate during which MuJoCo warns of instability has infinite energy: `mujoco.rollout`
        freezes it at that moment, and a frozen body may look cheap.
        """
        batch = [data] if isinstance(data, mujoco.MjData) else list(data)
        start = np.stack([_state(self.model, each, _PHYSICS) for each in batch])
        # Mocap poses, applied forces and the like; a rollout would reset what it is not given.
        held = np.stack([_state(self.model, each, _USER) for each in batch])
        warm = np.stack([each.qacc_warmstart for each in batch])

        def energy(actions: Float[Tensor, "batch samples horizon act"]) -> Float[Tensor, "batch samples"]:
            rows, samples = actions.shape[:2]
            flat = actions.detach().flatten(0, 1).to("cpu", torch.float64).numpy()
            repeats = samples if rows == len(batch) else 0
            if not repeats or flat.shape[2] != self.model.nu:
                found, expected = (rows, flat.shape[2]), (len(batch), self.model.nu)
                raise SettingError(f"actions: found (batch, act) {found}, the oracle expects {expected}")
            first, user, acceleration = (np.repeat(part, repeats, axis=0) for part in (start, held, warm))
            total = self._roll(flat, first, user, acceleration)
            return torch.from_numpy(total).to(actions).view(rows, samples)

        return energy

    def _roll(
        self,
        actions: Float[np.ndarray, "candidates horizon act"],
        start: Float[np.ndarray, "candidates state"],
        held: Float[np.ndarray, "candidates user"],
        warm: Float[np.ndarray, "candidates nv"],
    ) -> Float[np.ndarray, " candidates"]:
        model, skip = self.model, self.frame_skip
        controls = actions
        if self.unit:
            low, high = model.actuator_ctrlrange.T
            controls = low + (actions + 1) / 2 * (high - low)
        frames = np.repeat(held[:, None], actions.shape[1] * skip, axis=1)
        frames[:, :, : model.nu] = np.repeat(controls, skip, axis=1)  # controls come first in the user state
        states, sensors = self._pool.rollout(
            model, self._scratch, start, frames, control_spec=_USER, initial_warmstart=warm
        )
        ends = np.concatenate([start[:, None], states[:, skip - 1 :: skip]], axis=1)
        futures = Futures(states=ends, sensors=sensors[:, skip - 1 :: skip], controls=controls, model=model)
        total = np.asarray(self.cost(futures), dtype=np.float64).sum(axis=1)
        # Time stands still in a rollout that was frozen.
        elapsed = states[:, -1, 0] - start[:, 0]
        whole = np.abs(elapsed - frames.shape[1] * model.opt.timestep) < 0.5 * model.opt.timestep
        return np.where(whole & np.isfinite(states).all(axis=(1, 2)), total, np.inf)


def _state(model: mujoco.MjModel, data: mujoco.MjData, spec: int) -> Float[np.ndarray, " state"]:
    state = np.empty(mujoco.mj_stateSize(model, spec))
    mujoco.mj_getState(model, data, state, spec)
    return state

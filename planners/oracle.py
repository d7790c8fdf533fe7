"""The oracle: the energy of candidates under true physics, the upper bound for any learned model.

Every planner that needs no gradient can plan with it:

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
    """What true physics makes of candidate sequences; the axis `candidates` is batch * samples, in order."""

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
    """True physics as an energy of candidates. Use it as a context, or close it, to end its threads.

    Args:
        model: the model of the environment. It is read at every call, so that changes of it (gravity,
            friction, …) count.
        cost: the cost of every decision of every candidate.
        frame_skip: frames of physics per decision.
        threads: rollouts that run at once; 0 uses the calling thread alone.
        unit: actions are in [-1, 1] and are scaled onto the actuators' control range; else an action is a
            control.

    Raises:
        SettingError: for a `frame_skip` or `threads` out of range, and for `unit` with an actuator of
            unlimited control range.
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
        """The energy of candidates from the state of `data`.

        A candidate during which MuJoCo warns of instability has infinite energy. `mujoco.rollout` stops such
        a candidate at that moment, and its last state may have a low cost.

        Args:
            data: the state of one environment, or one of each environment of the batch. It is copied now.

        Returns:
            The energy function. It raises SettingError for actions that do not fit the model or the batch.
        """
        batch = [data] if isinstance(data, mujoco.MjData) else list(data)
        start = np.stack([_state(self.model, each, _PHYSICS) for each in batch])
        # Mocap poses, applied forces and the like; a rollout resets what it is not given.
        user_start = np.stack([_state(self.model, each, _USER) for each in batch])
        acceleration_start = np.stack([each.qacc_warmstart for each in batch])

        def energy(actions: Float[Tensor, "batch samples horizon act"]) -> Float[Tensor, "batch samples"]:
            rows, samples = actions.shape[:2]
            flat = actions.detach().flatten(0, 1).to("cpu", torch.float64).numpy()
            repeats = samples if rows == len(batch) else 0
            if not repeats or flat.shape[2] != self.model.nu:
                found, expected = (rows, flat.shape[2]), (len(batch), self.model.nu)
                raise SettingError(f"actions: found (batch, act) {found}, the oracle expects {expected}")
            first, user, acceleration = (
                np.repeat(part, repeats, axis=0) for part in (start, user_start, acceleration_start)
            )
            total = self._rollout(flat, first, user, acceleration)
            return torch.from_numpy(total).to(actions).view(rows, samples)

        return energy

    def _rollout(
        self,
        actions: Float[np.ndarray, "candidates horizon act"],
        start: Float[np.ndarray, "candidates state"],
        user: Float[np.ndarray, "candidates user"],
        acceleration: Float[np.ndarray, "candidates nv"],
    ) -> Float[np.ndarray, " candidates"]:
        """Energies of candidates, from each one's physics state, user state and solver warm start."""
        model, skip = self.model, self.frame_skip
        controls = actions
        if self.unit:
            low, high = model.actuator_ctrlrange.T
            controls = low + (actions + 1) / 2 * (high - low)
        frames = np.repeat(user[:, None], actions.shape[1] * skip, axis=1)
        frames[:, :, : model.nu] = np.repeat(controls, skip, axis=1)  # controls come first in the user state
        states, sensors = self._pool.rollout(
            model, self._scratch, start, frames, control_spec=_USER, initial_warmstart=acceleration
        )
        ends = np.concatenate([start[:, None], states[:, skip - 1 :: skip]], axis=1)
        futures = Futures(states=ends, sensors=sensors[:, skip - 1 :: skip], controls=controls, model=model)
        total = np.asarray(self.cost(futures), dtype=np.float64).sum(axis=1)
        # In a rollout that was stopped the clock stops too.
        elapsed = states[:, -1, 0] - start[:, 0]
        whole = np.abs(elapsed - frames.shape[1] * model.opt.timestep) < 0.5 * model.opt.timestep
        return np.where(whole & np.isfinite(states).all(axis=(1, 2)), total, np.inf)


def _state(model: mujoco.MjModel, data: mujoco.MjData, spec: int) -> Float[np.ndarray, " state"]:
    state = np.empty(mujoco.mj_stateSize(model, spec))
    mujoco.mj_getState(model, data, state, spec)
    return state

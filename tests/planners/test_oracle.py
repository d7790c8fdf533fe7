"""The oracle against MuJoCo stepped in Python."""

import mujoco
import numpy as np
import pytest
import torch

import planners
from planners import SettingError
from planners.oracle import Futures, Oracle

ARM = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <geom type="plane" size="3 3 .1" pos="0 0 .3"/>
    <body name="target" mocap="true" pos="0 0 2"/>
    <body name="upper" pos="0 0 1">
      <joint name="shoulder" type="hinge" axis="0 1 0" damping=".1"/>
      <geom type="capsule" fromto="0 0 0 .5 0 0" size=".05"/>
      <body pos=".5 0 0">
        <joint name="elbow" type="hinge" axis="0 1 0" damping=".1"/>
        <geom type="capsule" fromto="0 0 0 .6 0 0" size=".05"/>
        <site name="hand" pos=".6 0 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" gear="20" ctrlrange="-1 1" ctrllimited="true"/>
    <motor joint="elbow" gear="10" ctrlrange="-.5 2" ctrllimited="true"/>
  </actuator>
  <sensor><framepos objtype="site" objname="hand" reftype="body" refname="target"/></sensor>
</mujoco>
"""
SKIP, HORIZON = 3, 12


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(ARM)


def moving(model: mujoco.MjModel, seed: int) -> mujoco.MjData:
    """An arm in contact with the floor, with an applied force and a displaced mocap target."""
    data, rng = mujoco.MjData(model), np.random.default_rng(seed)
    data.qpos[:], data.qvel[:] = [0.6, 0.1], 0.1 * rng.normal(size=2)
    data.mocap_pos[:] = rng.normal(size=3)
    data.xfrc_applied[3, 2] = -1.0
    mujoco.mj_step(model, data, 40)
    assert data.ncon
    return data


def stepped(
    model: mujoco.MjModel, data: mujoco.MjData, controls: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """States [horizon + 1, state] and sensor data [horizon, sensor] of `mj_step` under the controls."""
    states, sensors = [np.r_[data.time, data.qpos, data.qvel]], []
    for control in controls:
        data.ctrl[:] = control
        for _ in range(SKIP):
            mujoco.mj_step(model, data)
        states.append(np.r_[data.time, data.qpos, data.qvel])
        sensors.append(data.sensordata.copy())
    return np.stack(states), np.stack(sensors)


@pytest.mark.parametrize("threads", [0, 2])
def test_futures_equal_those_of_mj_step(model: mujoco.MjModel, threads: int) -> None:
    received: list[Futures] = []

    def cost(futures: Futures) -> np.ndarray:
        received.append(futures)
        return futures.sensors.sum(axis=2) + futures.controls[..., 0] + futures.qvel[:, 1:, 0]

    actions = torch.rand(2, 5, HORIZON, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    starts = [moving(model, seed) for seed in (1, 2)]
    with Oracle(model, cost, frame_skip=SKIP, threads=threads) as oracle:
        energy = oracle.energy(starts)(actions)
    futures = received[0]
    for row, sample in np.ndindex(2, 5):
        controls, place = actions[row, sample].numpy(), row * 5 + sample
        states, sensors = stepped(model, moving(model, row + 1), controls)
        np.testing.assert_array_equal(futures.states[place], states)
        np.testing.assert_array_equal(futures.sensors[place], sensors)
        np.testing.assert_array_equal(futures.qpos[place], states[:, 1:3])
        total = sensors.sum() + controls[:, 0].sum() + states[1:, 3].sum()
        assert energy[row, sample].item() == pytest.approx(total, rel=1e-12)


def test_a_diverged_candidate_has_infinite_energy_and_changes_no_other(model: mujoco.MjModel) -> None:
    actions = torch.zeros(1, 3, HORIZON, 2)
    actions[0, 1, HORIZON // 2] = 1e30
    model.actuator_ctrllimited[:] = 0
    with Oracle(model, lambda futures: np.zeros(futures.controls.shape[:2]), frame_skip=SKIP) as oracle:
        energy = oracle.energy(moving(model, 1))(actions)
        assert energy.tolist() == [[0.0, np.inf, 0.0]]
        assert oracle.energy(moving(model, 1))(actions[:, ::2]).tolist() == [[0.0, 0.0]]


def test_unit_actions_span_the_control_range_and_changes_of_the_model_count(model: mujoco.MjModel) -> None:
    def cost(futures: Futures) -> np.ndarray:
        return futures.controls[..., 1] + 100 * futures.qvel[:, 1:, 0]

    data = mujoco.MjData(model)
    with Oracle(model, cost, unit=True) as oracle:
        energy = oracle.energy(data)
        ends = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2).clone()
        ends[..., 0] = 0
        falling = energy(ends)
        model.opt.gravity[:] = 0
        model.actuator_gear[:] = 0
        torch.testing.assert_close(energy(ends), torch.tensor([[-0.5, 0.75, 2.0]]))
        assert not torch.allclose(falling, energy(ends))
    model.actuator_ctrllimited[0] = 0
    with pytest.raises(SettingError, match="control range"):
        Oracle(model, cost, unit=True)


@pytest.mark.parametrize("kind", ["cem", "icem", "mppi"])
def test_planners_lower_the_energy_under_true_physics(model: mujoco.MjModel, kind: str) -> None:
    def cost(futures: Futures) -> np.ndarray:
        return -futures.qvel[:, 1:, 0]  # turn the shoulder forwards

    data = mujoco.MjData(model)
    side = torch.ones(2, dtype=torch.float64)
    planner = planners.make(kind, horizon=5, low=-side, high=side, samples=48, elites=8)
    with Oracle(model, cost, frame_skip=SKIP, unit=True) as oracle:
        energy = oracle.energy(data)
        plan = planner.plan(energy, generator=torch.Generator().manual_seed(0))
        zero_actions = energy(torch.zeros(1, 1, 5, 2, dtype=torch.float64))
        assert plan.energy.item() < zero_actions.item() - 1
        with pytest.raises(planners.PlanError, match="differentiable"):
            planners.make("gradient", horizon=5, low=-side, high=side).plan(energy)

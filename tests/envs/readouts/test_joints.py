"""Readouts of joints, by the types of a model's joints: their names, their values, and the state they give back."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

import envs
from agent.cost.readouts import Readouts
from envs.physics import find_physics
from envs.readouts.derived import of_joints
from envs.readouts.joints import MOST_NUMBERS, JointReadouts
from envs.readouts.root import of_root

ROBOT = """
<mujoco><option gravity="0 0 0"/><worldbody>
  <body name="torso" pos="0 0 1"><freejoint name="root"/><geom size="0.1"/>
    <body pos="0.2 0 0"><joint name="neck" type="ball"/><geom size="0.1"/>
      <body name="wheel" pos="0.2 0 0"><joint name="left:wheel" axis="0 1 0" ref="0.5"/><geom size="0.1"/>
        <body pos="0.2 0 0"><joint axis="0 0 1" range="-60 60" limited="true"/><geom size="0.1"/>
          <body pos="0.2 0 0"><joint name="rail" type="slide"/><geom size="0.1"/></body>
        </body></body></body></body>
</worldbody></mujoco>"""


def rows_of(model: Any, data: Any, joints: JointReadouts) -> tuple[Readouts, torch.Tensor]:
    """The layout of a model's readouts, and one row of them."""
    values = joints.read(data)
    assert {name: value.size for name, value in values.items()} == joints.sizes
    layout = Readouts(joints.sizes, of_joints(model, joints) | of_root(model, joints))
    return layout, torch.from_numpy(np.concatenate([*values.values()]))[None]


def test_every_type_of_joint_has_its_readouts_and_they_give_the_state_back() -> None:
    model = mujoco.MjModel.from_xml_string(ROBOT)
    joints = JointReadouts(model)
    assert joints.sizes == {
        "torso_position": 2, "torso_height": 1, "torso_up": 3, "torso_ahead": 3, "neck_up": 3, "neck_ahead": 3,
        "left_wheel_turn": 2, "joint3_angle": 1, "rail_position": 1,
        "torso_velocity": 3, "torso_local_velocity": 3, "torso_spin": 3, "neck_spin": 3,
        "left_wheel_velocity": 1, "joint3_velocity": 1, "rail_velocity": 1,
    }  # fmt: skip
    rng, data = np.random.default_rng(0), mujoco.MjData(model)
    for _ in range(20):
        data.qpos[:] = rng.normal(size=model.nq)
        data.qpos[11] = rng.uniform(-2.0, 2.0)  # within half a turn of its reference
        mujoco.mj_normalizeQuat(model, data.qpos)
        data.qvel[:] = rng.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        layout, row = rows_of(model, data, joints)
        found, speeds = (layout.value(name, row) for name in ("qpos", "qvel"))
        assert found is not None
        assert speeds is not None
        expected = data.qpos.copy()
        for first in (3, 7):  # of a quaternion and its negative the one with w above 0
            expected[first : first + 4] *= np.sign(expected[first])
        np.testing.assert_allclose(found[0], expected, atol=1e-9)
        np.testing.assert_array_equal(speeds[0], data.qvel)
        axes, world = data.body("torso").xmat.reshape(3, 3), data.qvel[:3]
        local = layout.value("torso_local_velocity", row)
        named = layout.of(row, row, lambda row=row: row[:, 0])  # type: ignore[misc]
        assert local is not None
        np.testing.assert_allclose(local, (axes.T @ world)[None])
        expected_now = {
            "height": data.qpos[2], "upright": axes[2, 2], "velocity": world[0], "climb": world[2],
            "speed": np.hypot(*world[:2]), "heading": np.arctan2(axes[1, 0], axes[0, 0]),
            "pitch": np.arcsin(-axes[2, 0]), "roll": np.arctan2(axes[2, 1], axes[2, 2]),
        }  # fmt: skip
        assert {name: float(named[name]) for name in expected_now} == pytest.approx(expected_now)


def test_a_hinge_that_winds_reads_the_same_after_every_turn() -> None:
    env = envs.make("dmc:walker-walk") if _has_dm_control() else envs.make("HalfCheetah-v5")
    env.reset(seed=0)
    physics = find_physics(env)
    assert physics is not None
    before = env.readouts()
    physics.data.qpos[2] += 6 * np.pi
    np.testing.assert_allclose(env.readouts(), before, atol=1e-6)
    turned = Readouts(env.env_spec.readout_sizes, env.env_spec.derived_readouts)
    pitch = turned.value("pitch", torch.from_numpy(before[None]))
    assert pitch is not None
    assert abs(float(pitch)) <= np.pi
    assert turned.turning("pitch") == [True]
    assert turned.turning("height") == [False]


def _has_dm_control() -> bool:
    return any(spec.startswith("dm_control/") for spec in gymnasium.registry)


def test_a_swimmer_has_its_velocity_in_its_own_axes() -> None:
    env: Any = envs.make("Swimmer-v5")
    env.reset(seed=0)
    raw = env.unwrapped
    raw.set_state(np.array([1.0, 2.0, np.pi / 2, 0, 0]), np.array([0.0, 3.0, 0, 0, 0]))
    spec = env.env_spec
    r = Readouts(spec.readout_sizes, spec.derived_readouts)
    row = torch.from_numpy(env.readouts())[None]
    named = r.of(row, row, lambda: row[:, 0])
    assert named["torso_local_velocity"][0].tolist() == pytest.approx([3.0, 0.0], abs=1e-6)
    assert [float(named[n]) for n in ("heading", "speed", "velocity")] == pytest.approx(
        [np.pi / 2, 3, 0], abs=1e-6
    )


def test_an_environments_own_names_are_kept_and_its_state_is_read_by_joints() -> None:
    env: Any = envs.make("joule/Push-v0")
    env.reset(seed=1)
    sizes = env.env_spec.readout_sizes
    assert [*sizes][:3] == ["pusher", "pusher_velocity", "block"]
    assert not {"qpos", "qvel"} & set(sizes)
    assert {"block_velocity", "block_velocity_of_joint", "block_up", "pusher_x_position"} <= set(sizes)
    row = torch.from_numpy(env.readouts())[None]
    layout = Readouts(sizes, env.env_spec.derived_readouts)
    found = layout.value("qpos", row)
    assert found is not None
    np.testing.assert_allclose(np.abs(found[0].numpy()), np.abs(env.unwrapped.data.qpos), atol=1e-6)


@pytest.mark.parametrize("moves", ['joint="j140"', 'jointinparent="j140"', 'tendon="cable"'])
def test_of_a_large_model_the_root_and_what_motors_move_have_readouts(moves: str) -> None:
    links = "".join(
        f'<body pos="0.1 {k} 0"><joint name="j{k}" axis="0 0 1"/><geom size="0.1"/></body>'
        for k in range(150)
    )
    cable = '<tendon><fixed name="cable"><joint joint="j140" coef="1"/></fixed></tendon>'
    motors = f"{cable}<actuator><motor {moves}/></actuator>"
    root = f'<body name="b"><freejoint/><geom size="1"/>{links}</body>'
    text = f"<mujoco><worldbody>{root}</worldbody>{motors}</mujoco>"
    model = mujoco.MjModel.from_xml_string(text)
    joints = JointReadouts(model)
    names = [joint.name for joint in joints.joints]
    assert names[0] == "b"
    assert {"j0", "j140"} <= set(names)
    assert "j149" not in names
    assert MOST_NUMBERS - 3 < sum(joints.sizes.values()) <= MOST_NUMBERS
    assert "qpos" not in of_joints(model, joints)


@pytest.mark.parametrize(
    ("joints", "moves"),
    [
        ("x y turns_z", True),
        ("x y z turns_z turns_y turns_x", True),
        ("x y z turns_x turns_y turns_z", False),
        ("y x y turns_z", False),
    ],
)
def test_a_root_has_a_velocity_in_the_plane_only_where_its_joints_say_it(joints: str, moves: bool) -> None:
    axes = {"x": "1 0 0", "y": "0 1 0", "z": "0 0 1"}
    written = "".join(
        f"<joint type='{'hinge' if 'turns' in name else 'slide'}' axis='{axes[name[-1]]}'/>"
        for name in joints.split()
    )
    model = mujoco.MjModel.from_xml_string(
        f"<mujoco><worldbody><body name='base'>{written}<geom size='.1'/></body></worldbody></mujoco>"
    )
    assert ("base_local_velocity" in JointReadouts(model).sizes) == moves

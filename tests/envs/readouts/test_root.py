"""Derived readouts of roots that are built turned, tilted, away from the origin, or with reversed joints."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from agent.cost.readouts import Readouts
from envs.readouts.derived import of_joints
from envs.readouts.joints import JointReadouts, kind_of
from envs.readouts.root import of_root, tilt_as_built

SLIDE_X, SLIDE_Y, SLIDE_Z = (f'<joint type="slide" axis="{axis}"/>' for axis in ("1 0 0", "0 1 0", "0 0 1"))
TURN = {
    axis: f'<joint type="hinge" axis="{xyz}"/>'
    for axis, xyz in zip("xyz", ("1 0 0", "0 1 0", "0 0 1"), strict=True)
}
ROBOTS = {
    "slides the other way": (SLIDE_X.replace("1", "-1") + SLIDE_Y.replace("1", "-1"), 'pos="0 0 1"'),
    "built turned": (SLIDE_X + SLIDE_Z, 'pos="0 0 1" euler="0 0 90"'),
    "away from the origin": (SLIDE_X + SLIDE_Y + TURN["z"], 'pos="3 -1 1"'),
    "with a reference": ('<joint type="slide" axis="1 0 0" ref="2"/>', 'pos="0 0 1"'),
    "a planar walker that is built upside down": (SLIDE_X + SLIDE_Z + TURN["y"], 'pos="0 0 1" euler="180 0 0"'),
    "a swimmer": (SLIDE_X + SLIDE_Y + TURN["z"], ""),
    "leaning two ways": (SLIDE_X + SLIDE_Z + TURN["x"] + TURN["y"], 'pos="0 0 1"'),
    "a hinge away from the origin": (
        SLIDE_X + SLIDE_Z + '<joint type="hinge" axis="0 1 0" pos="0 0 -.5"/>', 'pos="1 0 1" euler="0 0 180"',
    ),
    "an oblique hinge away from the origin": (
        SLIDE_X + SLIDE_Z + '<joint type="hinge" axis="0 1 1" pos="0 0 -.5"/>', 'pos="1 0 1"',
    ),
    "hinges at two places": (SLIDE_X + TURN["z"] + '<joint type="hinge" axis="0 1 0" pos="0 0 -.5"/>', ""),
    "turning after it leans": (SLIDE_X + TURN["y"] + TURN["z"], ""),
    "nearly straight": ('<joint type="slide" axis=".999 .04 0"/>', ""),
    "slides after a hinge": (TURN["z"] + SLIDE_X + SLIDE_Y, ""),
    "free": ("<freejoint/>", 'pos="1 0 1"'),
    "free, built tilted": ("<freejoint/>", 'pos="0 0 1" euler="90 0 0"'),
    "free, built tilted and turned": ("<freejoint/>", 'pos="0 0 1" euler="30 200 50"'),
    "free, built upside down": ("<freejoint/>", 'pos="0 0 1" euler="180 0 0"'),
}  # fmt: skip


def model_of(joints: str, placed: str) -> mujoco.MjModel:
    body = f'<body name="base" {placed}>{joints}<geom type="box" size=".1 .2 .3"/></body>'
    return mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{body}</worldbody></mujoco>")


def truth(model: Any, data: Any) -> dict[str, Any]:
    """The quantities of the root as MuJoCo has them."""
    velocity = np.empty(6)
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, 1, velocity, 0)
    hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    point = data.xanchor[hinges[0]] if len(hinges) else data.xpos[1]
    velocity[3:] += np.cross(velocity[:3], point - data.xpos[1])
    built, now = np.empty(9), data.xmat[1].reshape(3, 3)
    mujoco.mju_quat2Mat(built, model.body_quat[1])
    axes = now @ built.reshape(3, 3).T
    if model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:  # what it faces as built counts
        w, _, _, z = model.body_quat[1]
        facing = np.empty(9)
        mujoco.mju_quat2Mat(
            facing, np.array([w, 0, 0, z]) / (np.hypot(w, z) or 1.0) if w or z else np.eye(4)[0]
        )
        axes = axes @ facing.reshape(3, 3)
    return {
        "position": point[:2], "height": point[2], "velocity": velocity[3], "climb": velocity[5],
        "speed": np.hypot(velocity[3], velocity[4]), "upright": axes[2, 2], "pitch": np.arcsin(-axes[2, 0]),
        "roll": np.arctan2(axes[2, 1], axes[2, 2]), "heading": np.arctan2(axes[1, 0], axes[0, 0]),
    }  # fmt: skip


EXPECTED = {
    "slides the other way": {"position", "velocity", "speed"},
    "built turned": {"position", "speed", "height", "climb"},  # along y alone, so without a velocity along x
    "leaning two ways": {"position", "velocity", "speed", "height", "climb"},
    "slides after a hinge": set(),
    "hinges at two places": set(),
    "nearly straight": set(),
    "turning after it leans": {"position", "velocity", "speed", "upright"},
    "a swimmer": {"position", "velocity", "speed", "heading"},
}
"""Derived readouts of some of them."""


@pytest.mark.parametrize("name", ROBOTS)
def test_readouts_of_a_root_are_what_mujoco_says(name: str) -> None:
    model = model_of(*ROBOTS[name])
    joints = JointReadouts(model)
    found = of_root(model, joints)
    assert name not in EXPECTED or found.keys() == EXPECTED[name]
    layout = Readouts(joints.sizes, of_joints(model, joints) | found)
    rng, data = np.random.default_rng(1), mujoco.MjData(model)
    for attempt in range(20):
        data.qpos[:] = model.qpos0 + (rng.uniform(-1.2, 1.2, model.nq) if attempt else 0.0)
        mujoco.mj_normalizeQuat(model, data.qpos)
        data.qvel[:] = rng.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        row = torch.from_numpy(np.concatenate([*joints.read(data).values()]))[None]
        true = truth(model, data)
        if "position" in found and layout.sizes["position"] == 1:
            true["position"] = true["position"][0 if "velocity" in found else 1]
        for quantity in found:
            value = layout.value(quantity, row)
            assert value is not None
            np.testing.assert_allclose(
                value[0].numpy().squeeze(), true[quantity], atol=1e-9, err_msg=quantity
            )


def test_a_body_whose_z_axis_points_up_as_built_has_no_tilt() -> None:
    assert tilt_as_built(np.array([1.0, 0.0, 0.0, 0.0])) is None
    assert tilt_as_built(np.array([np.cos(0.4), 0.0, 0.0, np.sin(0.4)])) is None
    assert tilt_as_built(np.array([np.cos(0.4), np.sin(0.4), 0.0, 0.0])) == pytest.approx(
        [np.cos(0.4), np.sin(0.4), 0, 0]
    )


@pytest.mark.parametrize(
    ("limits", "kind"),
    [("-360 360", "angle"), ("-360.001 360.001", "angle"), ("-90 90", "angle"), ("-720 720", "turn")],
)
def test_a_wrist_with_limits_counts_its_turns(limits: str, kind: str) -> None:
    model = model_of(f'<joint type="hinge" limited="true" range="{limits}"/>', "")
    assert kind_of(model, 0) == kind


@pytest.mark.parametrize(
    "motor",
    [
        '<motor joint="hip"/>',
        '<motor jointinparent="hip"/>',
        '<motor site="push" gear="1 0 0 0 0 0"/>',
        '<motor tendon="cable"/>',
        '<general cranksite="push" slidersite="rail" cranklength="1"/>',
        '<general cranksite="rail" slidersite="push" cranklength="1"/>',
        '<adhesion body="leg" ctrlrange="0 1"/>',
    ],
)
def test_what_no_motor_moves_is_not_the_robot_although_it_comes_first(motor: str) -> None:
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body name="ball"><freejoint/><geom size=".1"/></body>'
        '<body name="torso"><freejoint/><geom size=".1"/><site name="push"/>'
        '<body name="leg"><joint name="hip"/><geom size=".1"/></body></body>'
        '<site name="rail"/></worldbody><tendon><fixed name="cable"><joint joint="hip" coef="1"/></fixed></tendon>'
        f"<actuator>{motor}</actuator></mujoco>"
    )
    found = of_root(model, JointReadouts(model))
    assert found["velocity"]["of"] == "torso_velocity"
    assert found["height"]["of"] == "torso_height"

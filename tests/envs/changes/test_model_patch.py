"""What a factor does to models with muscles, motors of several kinds, and damping of higher order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import mujoco
import numpy as np
import pytest

import envs
from envs.changes.factors import parse
from envs.changes.model_patch import ModelPatch
from envs.faults.errors import EnvError
from envs.physics import motor_count

ARM = """<mujoco><worldbody><body name="arm" pos="0 0 1">
  <joint name="elbow" axis="0 1 0" range="-90 90" damping="{damping}"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.5" size=".05"/><site name="a" pos="0.06 0 -.2"/></body>
  <site name="b" pos="0.2 0 1.2"/></worldbody>
  <tendon><spatial name="t"><site site="a"/><site site="b"/></spatial>
  <fixed name="bend"><joint joint="elbow" coef="1"/></fixed></tendon>
  <actuator>{actuator}</actuator></mujoco>"""
MUSCLE = '<muscle name="m" tendon="t" ctrlrange="0 1" lengthrange="0.2 0.8"/>'


def arm(actuator: str, damping: str = "0") -> Any:
    """A model of one joint; a test is skipped where MuJoCo's release does not know what it is made of."""
    try:
        return mujoco.MjModel.from_xml_string(ARM.format(actuator=actuator, damping=damping))
    except ValueError as error:
        pytest.skip(str(error).splitlines()[0])


def force(model: Any) -> float:
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = 0.3, 0.7, 0.9
    data.act[:] = 0.4
    mujoco.mj_forward(model, data)
    return float(data.actuator_force[0])


def driven(model: Any, change: str) -> Iterator[Any]:
    """Data of the model with all motors on: with the change, with it undone, and with no change applied then."""
    patch, data = ModelPatch(model), mujoco.MjData(model)
    for act in (partial(patch.apply, [parse(change)]), patch.undo, partial(patch.apply, [])):
        act()
        data.ctrl[:] = 1.0
        mujoco.mj_forward(model, data)
        yield data


def test_a_model_that_another_environment_has_changed_is_refused() -> None:
    model = arm(MUSCLE)
    first, second, gravity = ModelPatch(model), ModelPatch(model), model.opt.gravity.copy()
    first.apply([parse("gravity=0.5")])
    first.apply([parse("gravity=0.25")])
    with pytest.raises(EnvError, match=r"another environment has the same MjModel, .* copy\.copy\(model\)"):
        second.apply([parse("gravity=2")])
    first.undo()
    second.apply([parse("gravity=2")])
    assert np.array_equal(model.opt.gravity, 2 * gravity)
    second.undo()
    assert np.array_equal(model.opt.gravity, gravity)


def test_closing_an_environment_restores_its_model() -> None:
    env = envs.make("InvertedPendulum-v5", perturb=["gravity=0.5"])
    env.reset(seed=1)
    model = env.unwrapped.model  # type: ignore[attr-defined]
    assert model.opt.gravity[2] == pytest.approx(-9.81 / 2)
    env.close()
    assert model.opt.gravity[2] == -9.81


def test_a_heavier_arm_has_the_same_muscles() -> None:
    model = arm(MUSCLE)
    patch, before, acceleration = ModelPatch(model), force(model), model.actuator_acc0.copy()
    inverse_weight = model.body_invweight0.copy()
    patch.apply([parse("mass=4")])
    assert force(model) == before != 0.0
    assert (model.body_invweight0[1] < inverse_weight[1]).all(), "what does follow from the mass is computed"
    patch.undo()
    np.testing.assert_array_equal(model.actuator_acc0, acceleration)
    np.testing.assert_array_equal(model.body_invweight0, inverse_weight)


@pytest.mark.parametrize(
    "actuator",
    [
        MUSCLE,
        '<position name="m" joint="elbow" kp="3" dampratio="1"/>',
        '<damper name="m" joint="elbow" kv="2" ctrlrange="0 1"/>',
        '<pid name="m" joint="elbow" kp="3" kv="1" ki="2"/>',
    ],
)
@pytest.mark.parametrize(("text", "share"), [("gain=0.5", 0.5), ("gain.m=0.5", 0.5), ("dead=m", 0.0)])
def test_the_force_of_a_motor_is_scaled(actuator: str, text: str, share: float) -> None:
    model = arm(actuator)
    patch, before = ModelPatch(model), force(model)
    patch.apply([parse(text)])
    assert force(model) == pytest.approx(share * before)
    patch.undo()
    assert force(model) == before != 0.0


@pytest.mark.parametrize(("text", "share"), [("gain=0.5", 0.5), ("gain.m=2", 2.0), ("dead=m", 0.0)])
def test_the_force_of_a_servo_at_its_greatest_force_is_scaled(text: str, share: float) -> None:
    model = arm('<position name="m" joint="elbow" kp="30" forcerange="-2 5"/>')
    patch, before = ModelPatch(model), force(model)
    patch.apply([parse(text)])
    assert force(model) == pytest.approx(share * before)
    patch.undo()
    assert force(model) == before == 5.0


@pytest.mark.parametrize(
    ("other", "text", "most"),
    [
        ("", "gain.m=0.5", 2),
        ("<motor tendon='t'/>", "gain.m=0.5", 4),
        ("<motor tendon='t'/>", "gain=0.5", 2),
        ("<motor joint='elbow' gear='0'/>", "gain.m=0.5", 2),
    ],
)
def test_the_greatest_force_of_a_tendon_is_scaled_where_all_its_motors_are(
    other: str, text: str, most: float
) -> None:
    actuator = f'<general name="m" tendon="t" gainprm="30"/>{other}'
    limits = 'name="t" actuatorfrclimited="true" actuatorfrcrange="-4 4"'  # MuJoCo 3.5 does not infer it
    limited = ARM.replace('name="t"', limits)
    model = mujoco.MjModel.from_xml_string(limited.format(actuator=actuator, damping="0"))
    by_tendon = model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    changed, *undone = (data.actuator_force[by_tendon].sum() for data in driven(model, text))
    assert (changed, undone) == (pytest.approx(most), pytest.approx([4, 4]))


@pytest.mark.parametrize(
    ("other", "text", "most"),
    [
        ("", "gain.m=0.5", 2),
        ("<motor joint='elbow'/>", "gain.m=0.5", 4),
        ("<motor joint='elbow'/>", "gain=0.5", 2),
        ("<motor tendon='bend'/>", "gain.m=0.5", 4),
        ("<motor tendon='bend'/>", "gain=0.5", 2),
    ],
)
def test_the_greatest_force_at_a_joint_is_scaled_where_all_its_motors_are(
    other: str, text: str, most: float
) -> None:
    actuator = f'<motor name="m" joint="elbow" gear="30"/>{other}'
    text_of_model = ARM.format(actuator=actuator, damping='0" actuatorfrcrange="-4 4')
    model = mujoco.MjModel.from_xml_string(text_of_model)
    changed, *undone = (data.qfrc_actuator[0] for data in driven(model, text))
    assert (changed, undone) == (most, [4, 4])


@pytest.mark.parametrize(
    "pair", ["", '<contact><pair geom1="floor" geom2="ball" friction="0.6 0.6"/></contact>']
)
def test_the_friction_of_every_contact_is_scaled(pair: str) -> None:
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody><geom name="floor" type="plane" size="1 1 1" friction="0.6"/>
        <body pos="0 0 0.09"><freejoint/><geom name="ball" size="0.1" friction="0.6"/></body></worldbody>
        {pair}</mujoco>"""
    )
    patch, data = ModelPatch(model), mujoco.MjData(model)
    for perturbations, sliding in ((["friction=2"], 1.2), ([], 0.6)):
        patch.apply([parse(text) for text in perturbations])
        mujoco.mj_forward(model, data)
        assert data.contact.friction[0, 0] == pytest.approx(sliding)


def test_a_body_of_twice_the_mass_turns_half_as_fast() -> None:
    model = arm('<motor joint="elbow"/>')
    acceleration = []
    for perturbations in ([parse("mass.arm=2"), parse("gravity=0")], [parse("gravity=0")]):
        patch, data = ModelPatch(model), mujoco.MjData(model)
        patch.apply(perturbations)
        data.ctrl[0] = 1.0
        mujoco.mj_forward(model, data)
        acceleration.append(float(data.qacc[0]))
        patch.undo()
    assert acceleration[0] == pytest.approx(0.5 * acceleration[1])


def test_a_motor_with_two_controls_is_one_motor() -> None:
    model = arm('<pid name="first" joint="elbow" kp="3"/><motor name="second" joint="elbow"/>')
    assert (motor_count(model), model.nu) == (2, 3)
    with pytest.raises(envs.EnvError, match="index from 0 to 1"):
        ModelPatch(model).rows(parse("gain.2=0.5"))
    with pytest.raises(envs.EnvError, match="elbow is a joint, moved by the motors first and second"):
        ModelPatch(model).rows(parse("gain.elbow=0.5"))


def test_the_name_of_a_joint_leads_to_the_motor_of_its_tendon() -> None:
    model = arm('<motor name="pull" tendon="bend"/><motor name="other" tendon="t"/>')
    for text in ("gain.elbow=0.5", "dead=elbow"):
        with pytest.raises(envs.EnvError, match=r"elbow is a joint, moved by the motor pull \(or an index"):
            ModelPatch(model).rows(parse(text))


@pytest.mark.parametrize("text", ["gain=0.5", "gain.m=0.5", "dead=m"])
def test_a_motor_whose_parameters_do_not_scale_its_force_is_refused(text: str) -> None:
    model = arm('<dcmotor name="m" joint="elbow" motorconst="0.05" resistance="2" inductance=".01"/>')
    with pytest.raises(
        envs.EnvError, match="the motor m has the gain type dcmotor, whose parameters do not scale"
    ):
        ModelPatch(model).rows(parse(text))


def test_damping_of_higher_order_is_scaled_too() -> None:
    model = arm(MUSCLE, damping="1 0.5 0.2")
    patch = ModelPatch(model)
    patch.apply([parse("damping=3")])
    np.testing.assert_allclose(model.dof_damping, 3.0)
    np.testing.assert_allclose(model.dof_dampingpoly, [[1.5, 0.6]])
    patch.undo()
    np.testing.assert_allclose(model.dof_dampingpoly, [[0.5, 0.2]])

"""Perturbations: how they are written, what they change, and that a reset undoes them."""

from __future__ import annotations

import re
import warnings
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest

import envs
from envs.changes.factors import FACTORS, parse
from envs.changes.model_patch import ModelPatch
from envs.physics import find_physics
from joule_errors import Advice


def model_of(env: envs.SafeEnv) -> Any:
    physics = find_physics(env)
    assert physics is not None
    return physics.model


def every_byte(model: Any) -> dict[str, bytes]:
    """All fields of an mjModel: its arrays, its options and its statistics."""
    found: dict[str, bytes] = {}
    for owner, prefix in ((model, ""), (model.opt, "opt."), (model.stat, "stat.")):
        for name in dir(owner):
            value = None if name.startswith("_") else getattr(owner, name)
            if isinstance(value, np.ndarray | float | int):
                found[prefix + name] = np.asarray(value).tobytes()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gravity=0.5", ("gravity", 0.5, None, 0)),
        ("gravity=0.5@300", ("gravity", 0.5, None, 300)),
        ("mass.torso=2", ("mass", 2.0, "torso", 0)),
        ("mass.left.leg=2e-1@7", ("mass", 0.2, "left.leg", 7)),
        ("dead=2", ("dead", 0.0, "2", 0)),
        ("dead=hip_1@5", ("dead", 0.0, "hip_1", 5)),
        (" latency=3 ", ("latency", 3.0, None, 0)),
    ],
)
def test_text_of_a_perturbation(text: str, expected: tuple[Any, ...]) -> None:
    parsed = parse(text)
    assert (parsed.factor, parsed.value, parsed.target, parsed.onset) == expected
    assert parse(f"{parsed}@{parsed.onset}") == parsed


def test_none_is_no_perturbation_of_its_own() -> None:
    with pytest.raises(envs.EnvError, match=r"'none' changes nothing; unperturb\(\) undoes"):
        parse("none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gravty=0.5", "did you mean gravity?"),
        ("gravity", "malformed"),
        ("gravity=", "malformed"),
        ("=1", "malformed"),
        ("gravity=1=2", "malformed"),
        ("gravity=strong", "not a finite number"),
        ("gravity=nan", "not a finite number"),
        ("gravity=-9.81", "from 0 to 10; it multiplies, so that 1 changes nothing"),
        ("latency=20ms", "'20ms' is not a finite number, without a unit"),
        ("latency=1.5", "a whole number from 0 to 100, in frames"),
        ("noise=-1", "from 0 to 100, in the units of the sensors"),
        ("mass=2,latency=1", "is several: give each by itself, 'mass=2' and 'latency=1'"),
        ("mass.torso=2 dead=0", "is several: give each by itself, 'mass.torso=2' and 'dead=0'"),
        ("dead.bthigh", "is malformed: write dead=bthigh"),
        ("gravity=0.7-1.3", "'0.7-1.3' is not a number; a range is written 0.7..1.3"),
        ("gravity=[0.7,1.3]", "a range is written 0.7..1.3"),
        ("dead_sensor", "is malformed: write dead_sensor.NAME, of a sensor"),
        ("dead_sensor.torso_pitch=1", "write dead_sensor.torso_pitch"),
        ("dead.bthigh=1", "write dead=bthigh"),
        ("dead.bthigh@300", "is malformed: write dead=bthigh@300"),
        ("gravity=11", "from 0 to 10"),
        ("mass=0", "from 0.05 to 20"),
        ("latency=1.5", "a whole number from 0 to 100"),
        ("gravity=1@-1", "whole number of at least 0"),
        ("gravity=1@1.5", "whole number of at least 0"),
        ("gravity.torso=1", "gravity has no target, write gravity=VALUE"),
        ("mass.tors=2", "did you mean torso?"),
        ("mass.floor=2", "there is no body 'floor'; floor is a geom of the body world"),
        ("mass.bthigh_geom=2", "did you mean bthigh?"),
        ("dead=6", "index from 0 to 5"),
        ("dead=bthig", "did you mean bthigh?"),
        ("gravity=..", "a range has two bounds"),
        ("gravity=0.7..", "a range has two bounds"),
        ("gravity=0.1...3", "a range has two bounds"),
        ("gravity=1..2..3", "a range has two bounds"),
        ("gravity=1..1", "the range is empty, because its bounds are equal; write 1 alone"),
        ("gravity=1.3..0.7", "the smaller bound comes first; write 0.7..1.3"),
        ("gravity=-1..1", "from 0 to 10"),
        ("gravity=nan..1", "'nan' is not a finite number"),
        ("latency=0..1.5", "a whole number from 0 to 100"),
        ("mass=1|", "a value before and after every |"),
        ("mass=1||2", "a value before and after every |"),
        ("mass=1|nan", "'nan' is not a finite number"),
        ("mass=0.5..1|2", "the values of a choice are numbers"),
        ("mass.tors=1..2", "did you mean torso?"),
        ("gravity=1..2@3..4", "'3..4' is not a finite number"),
        ("dead=0..3", "dead takes no value"),
        ("dead=0|1", "gain.NAME=0|1 switches a motor off in some episodes"),
        ("dead_sensor.torso_pitch=0..1", "dead_sensor takes no value"),
        ("dead_sensor=0|1", "dead_sensor takes no value"),
    ],
)
def test_a_bad_perturbation_is_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(envs.EnvError) as refusal:
        envs.make("HalfCheetah-v5", perturb=[text])
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mass.head=2", "there is no body 'head'; head is a geom of the body torso"),
        ("mass.rootx=2", "rootx is a joint of the body torso"),
        ("gain.hinge=2", "there is no motor 'hinge'; hinge is a joint, moved by the motor slide_motor"),
        ("mass.slide_motor=2", "slide_motor is a motor"),
    ],
)
def test_the_name_of_something_else_is_refused_with_what_it_is(text: str, words: str) -> None:
    import mujoco

    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body name='torso'><joint name='rootx'/><geom name='head' size='.1'/>"
        "<body name='arm'><joint name='hinge'/><geom size='.1'/></body></body></worldbody>"
        "<actuator><motor name='slide_motor' joint='hinge'/></actuator></mujoco>"
    )
    with pytest.raises(envs.EnvError) as refusal:
        ModelPatch(model).rows(parse(text))
    assert words in str(refusal.value)


@pytest.mark.parametrize("text", ["gravity=0.5", "gravity=0.5|2@3"])
def test_a_perturbation_that_multiplies_nothing_but_zeros_is_said(text: str) -> None:
    with pytest.warns(Advice, match=rf"'{re.escape(text)}' changes nothing: what it multiplies is 0"):
        envs.make("Pusher-v5", perturb=[text])
    env = envs.make("Pusher-v5")
    env.reset(seed=0)
    with pytest.warns(Advice, match="changes nothing"):
        env.perturb(text)


def test_the_mass_of_what_no_joint_moves_is_said_to_change_nothing() -> None:
    with pytest.warns(Advice, match=r"'mass.target=2' changes nothing: no joint moves it"):
        envs.make("joule/Reach-v0", perturb=["mass.target=2"])


def test_a_gravity_that_looks_like_an_acceleration_is_said_to_be_a_factor() -> None:
    with pytest.warns(Advice, match=r"'gravity=9.81' makes gravity 9.81 times as strong: it is a factor"):
        envs.make("HalfCheetah-v5", perturb=["gravity=9.81"])


def test_what_multiplies_something_is_not_said_to_change_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        envs.make(
            "HalfCheetah-v5", perturb=["gravity=3", "friction=2", "mass.torso=2", "damping=2", "dead=bthigh"]
        )
        env = envs.make("HalfCheetah-v5")
        env.reset(seed=0)
        for text in ("gravity=0", "gravity=0.5"):  # the second one takes the place of the first
            env.perturb(text)


def test_a_model_without_motors_has_no_range_of_them() -> None:
    import mujoco

    body = "<body><joint/><geom size='.1'/></body>"
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{body}</worldbody></mujoco>")
    with pytest.raises(envs.EnvError, match=r"there is no motor '0', there are none with a name$"):
        ModelPatch(model).rows(parse("dead=0"))


def test_physical_factors_need_mujoco() -> None:
    with pytest.raises(envs.EnvError, match="needs MuJoCo physics"):
        envs.make("Counter-v0", perturb=["gravity=0.5"])


PHYSICAL = ["gravity=0.5", "friction=0.3", "mass=2", "mass.torso=3", "damping=3"]
MOTORS = ["gain=0.5", "gain.bthigh=2", "dead=2"]


@pytest.mark.parametrize("text", PHYSICAL + MOTORS)
def test_every_factor_changes_the_future_and_is_undone_to_the_byte(text: str) -> None:
    plain, env = envs.make("HalfCheetah-v5"), envs.make("HalfCheetah-v5")
    before = every_byte(model_of(env))
    action = np.full(6, 0.7, np.float32)

    def future(of: envs.SafeEnv) -> np.ndarray:
        return np.array([of.step(action)[0] for _ in range(20)])

    plain.reset(seed=1)
    env.reset(seed=1)
    np.testing.assert_array_equal(future(plain), future(env))
    env.perturb(text)
    changed = {name for name, value in every_byte(model_of(env)).items() if value != before[name]}
    assert FACTORS[parse(text).factor].fields[0] in changed
    assert not np.array_equal(future(plain), future(env))
    plain.reset()
    env.reset()
    assert every_byte(model_of(env)) == before
    np.testing.assert_array_equal(future(plain), future(env))


def test_a_heavier_robot_has_its_derived_constants_recomputed() -> None:
    # This robot has no armature, so that its inverse weights scale exactly with its mass.
    env = envs.make("InvertedDoublePendulum-v5", perturb=["mass=2"])
    model = model_of(env)
    mass, inverse, extent = model.body_subtreemass.copy(), model.body_invweight0.copy(), model.stat.extent
    env.reset(seed=0)
    np.testing.assert_allclose(model.body_subtreemass, 2 * mass)
    np.testing.assert_allclose(model.body_invweight0, inverse / 2)
    assert model.stat.extent == extent
    env.unperturb()
    np.testing.assert_array_equal(model.body_subtreemass, mass)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Humanoid-v5", "Pusher-v5", "dmc:quadruped-walk"])
def test_a_mass_of_one_changes_nothing(name: str) -> None:
    if name.startswith("dmc:"):
        pytest.importorskip("dm_control")
    env = envs.make(name)
    env.reset(seed=0)
    before = every_byte(model_of(env))
    env.perturb("mass=1")
    assert every_byte(model_of(env)) == before


def test_an_onset_counts_frames_of_each_episode() -> None:
    env = envs.make("HalfCheetah-v5", perturb=["gravity=0.5@3"], action_repeat=2)
    gravity = []
    for episode in range(2):
        env.reset(seed=episode)
        for _ in range(3):
            gravity.append(float(model_of(env).opt.gravity[2]))
            env.step(np.zeros(6, np.float32))
    assert gravity == pytest.approx([-9.81, -9.81, -9.81 / 2] * 2)


def test_a_later_change_replaces_an_earlier_one() -> None:
    env = envs.make("HalfCheetah-v5", perturb=["gravity=0.5", "mass=2"])
    env.reset(seed=0)
    env.perturb("gravity=3")
    assert model_of(env).opt.gravity[2] == pytest.approx(-9.81 * 3)
    assert env.perturbations == ["gravity=3", "mass=2"]
    env.unperturb()
    assert model_of(env).opt.gravity[2] == -9.81
    env.reset()
    assert env.perturbations == ["gravity=0.5", "mass=2"]


def test_what_is_held_takes_the_place_of_other_changes_of_its_factor_in_all_episodes() -> None:
    given = ["gravity=0.5", "gravity=0.2@2", "mass=2", "mass.torso=3"]
    env = envs.make("HalfCheetah-v5", perturb=given)
    env.reset(seed=0)
    env.hold("gravity=3")
    env.hold("mass=1")
    for _ in range(2):
        for _ in range(3):
            assert sorted(env.perturbations) == ["gravity=3", "mass.torso=3"]
            env.step(np.zeros(6, np.float32))
        env.reset()
    env.unperturb()
    assert env.perturbations == []


def test_to_hold_the_usual_value_needs_nothing_to_act_on() -> None:
    env = envs.make("Counter-v0")
    env.reset(seed=0)
    env.hold("gravity=1")
    with pytest.raises(envs.EnvError, match="needs MuJoCo physics"):
        env.hold("gravity=2")
    with pytest.raises(envs.EnvError, match=r"begins at frame 5, and .* leave out @5"):
        env.hold("noise=0.1@5")
    assert env.perturbations == []


def test_latency_delays_actions_by_frames() -> None:
    env = envs.make("Counter-v0", perturb=["latency=2"])
    for _ in range(2):
        env.reset(seed=0)
        action = np.zeros(1, np.float32)  # of one array, as a caller may do who does not keep actions
        for value in (-1.0, 0.5, 1.0, 0.0, 0.75):  # the last one is not executed, in the next episode either
            action[0] = value
            env.step(action)
        received = [float(action[0]) for action in env.unwrapped.received]  # type: ignore[attr-defined]
        assert received == [2.0, 2.0, -2.0, 4.0, 6.0]


def test_where_latency_begins_the_last_action_is_repeated() -> None:
    env = envs.make("Counter-v0", perturb=["latency=2@2"])
    env.reset(seed=0)
    for value in (0.0, 0.5, 1.0, -1.0, -0.5):
        env.step(np.array([value], np.float32))
    received = [float(action[0]) for action in env.unwrapped.received]  # type: ignore[attr-defined]
    assert received == [2.0, 4.0, 4.0, 4.0, 6.0]


def test_noise_has_its_standard_deviation_and_does_not_reach_readouts() -> None:
    env = envs.make("Swimmer-v5", perturb=["noise=0.5"])
    plain = envs.make("Swimmer-v5")
    env.reset(seed=5)
    plain.reset(seed=5)
    errors = []
    for _ in range(500):
        shown, true = env.step(np.zeros(2, np.float32))[0], plain.step(np.zeros(2, np.float32))[0]
        np.testing.assert_array_equal(env.readouts(), plain.readouts())
        errors.append(shown - true)
    assert np.std(errors) == pytest.approx(0.5, rel=0.05)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.05)


def test_dropout_is_drawn_for_each_episode_and_repeats_with_the_seed() -> None:
    env = envs.make("HalfCheetah-v5", perturb=["dropout=0.3"])

    def dead(seed: int | None) -> tuple[int, ...]:
        first = env.reset(seed=seed)[0] == 0
        env.step(np.ones(6, np.float32))
        assert ((env.observation == 0) == first).all()
        return tuple(np.flatnonzero(first))

    run = [dead(3), dead(None), dead(None)]
    assert {len(silent) for silent in run} == {round(0.3 * 17)}
    assert len(set(run)) == 3
    assert [dead(3), dead(None), dead(None)] == run


def test_another_perturbation_leaves_the_dropped_sensors_as_they_are() -> None:
    env = envs.make("HalfCheetah-v5", perturb=["dropout=0.5"])
    dropped = env.reset(seed=3)[0] == 0
    for text in ("gravity=0.5", "noise=0.1", "dropout=0.5"):
        env.perturb(text)
        np.testing.assert_array_equal(env.step(np.ones(6, np.float32))[0] == 0, dropped)


def test_a_change_acts_from_the_next_step_on_in_dm_control() -> None:
    pytest.importorskip("dm_control")
    heavy, switched = envs.make("dmc:walker-walk"), envs.make("dmc:walker-walk")
    heavy.reset(seed=0)
    switched.reset(seed=0)
    heavy.perturb("mass=3")
    first = heavy.step(np.ones(6, np.float32))[0]
    switched.perturb("mass=2")
    switched.perturb("mass=3")
    np.testing.assert_array_equal(first, switched.step(np.ones(6, np.float32))[0])
    before = every_byte(model_of(envs.make("dmc:walker-walk")))
    heavy.reset()
    assert every_byte(model_of(heavy)) == before

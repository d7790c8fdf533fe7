"""Perturbations: how they are written, what they do, and that nothing of them is left after a reset."""

from __future__ import annotations

from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest

import envs
from envs.changes.factors import FACTORS, parse
from envs.physics import find_physics


def model_of(body: envs.SafeEnv) -> Any:
    physics = find_physics(body)
    assert physics is not None
    return physics.model


def every_byte(model: Any) -> dict[str, bytes]:
    """All that an mjModel holds: its arrays, its options and its statistics."""
    held: dict[str, bytes] = {}
    for owner, prefix in ((model, ""), (model.opt, "opt."), (model.stat, "stat.")):
        for name in dir(owner):
            value = None if name.startswith("_") else getattr(owner, name)
            if isinstance(value, np.ndarray | float | int):
                held[prefix + name] = np.asarray(value).tobytes()
    return held


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
def test_how_a_perturbation_is_written(text: str, expected: tuple[Any, ...]) -> None:
    parsed = parse(text)
    assert (parsed.factor, parsed.value, parsed.target, parsed.onset) == expected
    assert parse(f"{parsed}@{parsed.onset}") == parsed


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
        ("gravity=11", "from 0 to 10"),
        ("mass=0", "from 0.05 to 20"),
        ("latency=1.5", "a whole number from 0 to 100"),
        ("gravity=1@-1", "whole number of at least 0"),
        ("gravity=1@1.5", "whole number of at least 0"),
        ("gravity.torso=1", "acts on the whole world"),
        ("mass.tors=2", "did you mean torso?"),
        ("dead=6", "index from 0 to 5"),
        ("dead=bthig", "did you mean bthigh?"),
    ],
)
def test_a_bad_perturbation_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(envs.EnvError) as refusal:
        envs.make("HalfCheetah-v5", perturb=[text])
    assert words in str(refusal.value)


def test_physics_needs_a_mujoco_body() -> None:
    with pytest.raises(envs.EnvError, match="needs a MuJoCo body"):
        envs.make("Counter-v0", perturb=["gravity=0.5"])


PHYSICAL = ["gravity=0.5", "friction=0.3", "mass=2", "mass.torso=3", "damping=3"]
MOTORS = ["gain=0.5", "gain.bthigh=2", "dead=2"]


@pytest.mark.parametrize("text", PHYSICAL + MOTORS)
def test_every_factor_changes_the_future_and_is_undone_to_the_byte(text: str) -> None:
    plain, body = envs.make("HalfCheetah-v5"), envs.make("HalfCheetah-v5")
    before = every_byte(model_of(body))
    action = np.full(6, 0.7, np.float32)

    def future(of: envs.SafeEnv) -> np.ndarray:
        return np.array([of.step(action)[0] for _ in range(20)])

    plain.reset(seed=1)
    body.reset(seed=1)
    np.testing.assert_array_equal(future(plain), future(body))
    body.perturb(text)
    changed = {name for name, held in every_byte(model_of(body)).items() if held != before[name]}
    assert FACTORS[parse(text).factor].fields[0] in changed
    assert not np.array_equal(future(plain), future(body))
    plain.reset()
    body.reset()
    assert every_byte(model_of(body)) == before
    np.testing.assert_array_equal(future(plain), future(body))


def test_a_heavier_body_has_its_derived_constants_recomputed() -> None:
    # This body has no armature, so that its inverse weights scale exactly with its mass.
    body = envs.make("InvertedDoublePendulum-v5", perturb=["mass=2"])
    model = model_of(body)
    mass, inverse, extent = model.body_subtreemass.copy(), model.body_invweight0.copy(), model.stat.extent
    body.reset(seed=0)
    np.testing.assert_allclose(model.body_subtreemass, 2 * mass)
    np.testing.assert_allclose(model.body_invweight0, inverse / 2)
    assert model.stat.extent == extent
    body.unperturb()
    np.testing.assert_array_equal(model.body_subtreemass, mass)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Humanoid-v5", "Pusher-v5", "dmc:quadruped-walk"])
def test_a_mass_of_one_changes_nothing(name: str) -> None:
    if name.startswith("dmc:"):
        pytest.importorskip("dm_control")
    body = envs.make(name)
    body.reset(seed=0)
    before = every_byte(model_of(body))
    body.perturb("mass=1")
    assert every_byte(model_of(body)) == before


def test_an_onset_counts_environment_steps_of_each_episode() -> None:
    body = envs.make("HalfCheetah-v5", perturb=["gravity=0.5@3"], action_repeat=2)
    gravity = []
    for episode in range(2):
        body.reset(seed=episode)
        for _ in range(3):
            gravity.append(float(model_of(body).opt.gravity[2]))
            body.step(np.zeros(6, np.float32))
    assert gravity == pytest.approx([-9.81, -9.81, -9.81 / 2] * 2)


def test_a_later_change_replaces_an_earlier_one() -> None:
    body = envs.make("HalfCheetah-v5", perturb=["gravity=0.5", "mass=2"])
    body.reset(seed=0)
    body.perturb("gravity=3")
    assert model_of(body).opt.gravity[2] == pytest.approx(-9.81 * 3)
    assert body.perturbations == ["gravity=3", "mass=2"]
    body.unperturb()
    assert model_of(body).opt.gravity[2] == -9.81
    body.reset()
    assert body.perturbations == ["gravity=0.5", "mass=2"]


def test_latency_delays_actions_by_environment_steps() -> None:
    body = envs.make("Counter-v0", perturb=["latency=2"])
    for _ in range(2):
        body.reset(seed=0)
        for value in (-1.0, 0.5, 1.0, 0.0, 0.0):
            body.step(np.array([value], np.float32))
        received = [float(action[0]) for action in body.unwrapped.received]  # type: ignore[attr-defined]
        assert received == [2.0, 2.0, -2.0, 4.0, 6.0]


def test_noise_has_its_deviation_and_leaves_readouts_true() -> None:
    body = envs.make("Swimmer-v5", perturb=["noise=0.5"])
    plain = envs.make("Swimmer-v5")
    body.reset(seed=5)
    plain.reset(seed=5)
    errors = []
    for _ in range(500):
        shown, true = body.step(np.zeros(2, np.float32))[0], plain.step(np.zeros(2, np.float32))[0]
        np.testing.assert_array_equal(body.readouts(), plain.readouts())
        errors.append(shown - true)
    assert np.std(errors) == pytest.approx(0.5, rel=0.05)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.05)


def test_dropout_is_drawn_for_each_episode_and_repeats_with_the_seed() -> None:
    body = envs.make("HalfCheetah-v5", perturb=["dropout=0.3"])

    def dead(seed: int | None) -> tuple[int, ...]:
        first = body.reset(seed=seed)[0] == 0
        body.step(np.ones(6, np.float32))
        assert ((body.observation == 0) == first).all()
        return tuple(np.flatnonzero(first))

    run = [dead(3), dead(None), dead(None)]
    assert {len(silent) for silent in run} == {round(0.3 * 17)}
    assert len(set(run)) == 3
    assert [dead(3), dead(None), dead(None)] == run


def test_dm_control_feels_a_change_from_the_very_next_step() -> None:
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

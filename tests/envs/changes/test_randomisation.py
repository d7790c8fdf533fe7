"""Domain randomisation: what is drawn, when, by which generator, and that the physics follows it."""

from __future__ import annotations

from functools import partial
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest

import envs
from envs.changes import factors
from envs.changes.randomisation import Randomised, draw, generator_of, parse_standing, standing, values_of
from envs.faults.boundary import DRAWN_KEY
from envs.physics import find_physics
from envs.vector import SafeEnvs

DRAWN = ("gravity=0.7..1.3", "mass.torso=0.5|1|2")


def model_of(env: envs.SafeEnv) -> Any:
    physics = find_physics(env)
    assert physics is not None
    return physics.model


@pytest.mark.parametrize(
    ("text", "values", "name"),
    [
        ("gravity=0.7..1.3", (0.7, 1.3), "gravity"),
        (" noise=0 .. 1e-2@7", (0.0, 0.01), "noise@7"),
        ("mass.left.leg=0.5|1|2", (0.5, 1.0, 2.0), "mass.left.leg"),
        ("latency=0 | 0 | 3", (0.0, 0.0, 3.0), "latency"),
    ],
)
def test_text_of_a_value_that_is_drawn(text: str, values: tuple[float, ...], name: str) -> None:
    parsed = parse_standing(text)
    assert isinstance(parsed, Randomised)
    assert (parsed.values, parsed.name, parsed.is_range) == (values, name, ".." in text)
    assert parse_standing(f"{parsed}@{parsed.onset}") == parsed
    with pytest.raises(envs.EnvError, match="here it must be one value"):
        factors.parse(text)


def test_a_range_is_uniform_and_a_choice_gives_each_of_its_values() -> None:
    rng = np.random.default_rng(0)

    def drawn(text: str) -> np.ndarray:
        return np.array([draw(standing([text]), rng)[0][0].value for _ in range(4_000)])

    gravity, mass, latency = drawn("gravity=0.7..1.3"), drawn("mass=1|1|4"), drawn("latency=2..4")
    assert 0.7 <= gravity.min() < 0.71
    assert 1.29 < gravity.max() <= 1.3
    np.testing.assert_allclose(np.quantile(gravity, [0.25, 0.5, 0.75]), [0.85, 1.0, 1.15], atol=0.02)
    assert max(len(factors.number_text(value)) for value in gravity.tolist()) == 6, "its text is short"
    assert (mass == 1).mean() == pytest.approx(2 / 3, abs=0.03)
    assert {*latency} == {2.0, 3.0, 4.0}
    assert len({*drawn("gravity=1..1.000001")}) > 500, "rounding leaves a narrow range a range"


def test_each_episode_has_values_of_its_own_which_the_seed_repeats_and_the_physics_follows() -> None:
    env = envs.make("HalfCheetah-v5", perturb=DRAWN)
    torso, weight = model_of(env).body("torso").id, float(model_of(env).body("torso").mass[0])

    def episodes(seed: int) -> list[dict[str, float]]:
        found = []
        for own_seed in (seed, None, None, None):
            info = env.reset(seed=own_seed)[1]
            drawn = env.drawn
            assert info[DRAWN_KEY] == drawn == env.step(np.zeros(6, np.float32))[4][DRAWN_KEY]
            assert model_of(env).opt.gravity[2] == pytest.approx(-9.81 * drawn["gravity"])
            assert model_of(env).body_mass[torso] == pytest.approx(weight * drawn["mass.torso"])
            assert env.perturbations == [
                f"{name}={factors.number_text(value)}" for name, value in drawn.items()
            ]
            found.append(drawn)
        return found

    three = episodes(3)
    assert len({drawn["gravity"] for drawn in three}) == 4
    assert episodes(4) != three == episodes(3)
    assert three[0] == values_of(DRAWN, 3)
    env.unperturb()
    assert (model_of(env).opt.gravity[2], model_of(env).body_mass[torso]) == (-9.81, weight)


def test_the_shown_values_repeat_an_episode_in_another_environment() -> None:
    drawn = envs.make("HalfCheetah-v5", perturb=DRAWN)
    drawn.reset(seed=5)
    given = envs.make("HalfCheetah-v5", perturb=drawn.perturbations)
    given.reset(seed=5)
    for _ in range(20):
        one, other = (env.step(np.ones(6, np.float32))[0] for env in (drawn, given))
        assert one.tobytes() == other.tobytes()


def test_a_value_is_drawn_at_the_reset_and_acts_from_its_onset_on() -> None:
    env = envs.make("HalfCheetah-v5", perturb=["gravity=0.7..1.3@2", "gravity=2"])
    env.reset(seed=0)
    gravity = []
    for _ in range(3):
        env.step(np.zeros(6, np.float32))
        gravity.append(float(model_of(env).opt.gravity[2]) / -9.81)
    assert gravity == pytest.approx([2.0, 2.0, env.drawn["gravity@2"]])
    assert 0.7 <= gravity[2] <= 1.3
    env.perturb("gravity=5..6")
    assert 5 <= model_of(env).opt.gravity[2] / -9.81 <= 6


def test_single_values_draw_nothing_and_say_nothing() -> None:
    env = envs.make("Counter-v0", perturb=["latency=1"])
    assert DRAWN_KEY not in env.reset(seed=0)[1]
    assert DRAWN_KEY not in env.step(np.zeros(1, np.float32))[4]
    # An older run with noise or dropout keeps its random numbers.
    rng = generator_of(1)
    draw(standing(["noise=0.1", "dropout=0.5"]), rng)
    assert rng.random() == generator_of(1).random()
    assert generator_of(1).random() != np.random.default_rng(1).random(), "the environment's own stream"


def test_environments_side_by_side_draw_each_for_itself() -> None:
    several = SafeEnvs([partial(envs.make, "Counter-v0", perturb=["latency=0..9", "noise=0..1"])] * 2)
    several.reset({0: 1, 1: 2})
    for _ in range(2):
        infos = [info for *_, info in several.step(np.zeros((2, 1), np.float32))]
    assert infos == [
        {"frames": 1, DRAWN_KEY: values_of(["latency=0..9", "noise=0..1"], seed)} for seed in (1, 2)
    ]
    assert infos[0] != infos[1]
    several.close()


def test_none_is_no_perturbation() -> None:
    assert standing(["none"]) == standing([]) == []
    with pytest.raises(envs.EnvError, match="none means no perturbation"):
        envs.make("Counter-v0", perturb=["none", "noise=1"])


def test_of_two_that_cannot_hold_together_none_is_dropped_in_silence() -> None:
    with pytest.raises(envs.EnvError, match=r"perturb: 'mass=2' and 'mass=0.5\|3' begin together"):
        standing(["mass=2", "mass=0.5|3"])
    assert len(standing(["mass=2", "mass=3@50", "mass.torso=3", "gravity=2"])) == 4
    assert len(standing(["mass=2", "mass=2"])) == 1

"""Which numbers of an observation are angles without limits is found by trying."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.adoption import adopt
from envs.readouts import angles

PITCH_OF_A_CHEETAH = 1


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(angles, "_found", {})


@pytest.mark.parametrize(
    ("env", "places"),
    [
        ("HalfCheetah-v5", (PITCH_OF_A_CHEETAH,)),
        ("Swimmer-v5", (0,)),
        ("dmc:reacher-easy", (0,)),
        ("InvertedPendulum-v5", ()),  # its hinge has limits
        ("Reacher-v5", ()),  # it shows sine and cosine itself
        ("Ant-v5", ()),  # its root has no hinge
        ("joule/Push-v0", ()),
    ],
)
def test_angles_of_known_robots(env: str, places: tuple[int, ...]) -> None:
    made = envs.make(env)
    assert made.env_spec.observation[0].angles == places
    made.close()


def test_an_environment_is_tried_once_and_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = gymnasium.make("HalfCheetah-v5").unwrapped
    made = []
    original = gymnasium.make

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(gymnasium, "make", counted)
    raw.reset(seed=1)
    physics: Any = raw
    before = physics.data.qpos.copy()
    for _ in range(2):
        assert angles.unlimited_angles(raw, 17) == (PITCH_OF_A_CHEETAH,)
    assert len(made) == 1
    np.testing.assert_array_equal(physics.data.qpos, before)


class InDegrees(gymnasium.ObservationWrapper[Any, Any, Any]):
    def observation(self, observation: Any) -> Any:
        return observation * 57.3


def test_a_number_in_another_unit_is_no_angle(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = gymnasium.make("HalfCheetah-v5")
    original = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda *a, **k: InDegrees(original(*a, **k)))
    assert angles.unlimited_angles(raw, 17) == ()


def test_an_environment_that_cannot_be_made_again_has_no_known_angles(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw = gymnasium.make("HalfCheetah-v5")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("only one robot here")

    monkeypatch.setattr(gymnasium, "make", refuse)
    assert angles.unlimited_angles(raw, 17) == ()
    assert "only one robot here" in caplog.text


def reversed_observation(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TransformObservation(env, lambda seen: seen[::-1].copy(), env.observation_space)


def test_an_observation_that_a_wrapper_changes_is_not_taken_for_the_one_that_is_registered() -> None:
    """In the reversed observation, place 1 is a velocity and no angle."""
    assert adopt(gymnasium.make("HalfCheetah-v5")).env_spec.observation[0].angles == (PITCH_OF_A_CHEETAH,)
    changed = reversed_observation(gymnasium.make("HalfCheetah-v5"))
    assert adopt(changed).env_spec.observation[0].angles == ()
    with pytest.raises(envs.EnvError, match="there is no sensor 'rooty_angle'"):
        adopt(changed, perturb=["dead_sensor.rooty_angle"])


@pytest.mark.parametrize(
    "wrapper", [gymnasium.wrappers.RecordEpisodeStatistics, gymnasium.wrappers.RenderCollection]
)
def test_a_wrapper_that_leaves_observations_alone_hides_no_angle(wrapper: Any) -> None:
    made = gymnasium.make("HalfCheetah-v5", render_mode="rgb_array")
    assert adopt(wrapper(made)).env_spec.observation[0].angles == (PITCH_OF_A_CHEETAH,)


REVERSED: Any = lambda: reversed_observation(gymnasium.make("HalfCheetah-v5"))  # noqa: E731
gymnasium.register("Reversed-v0", REVERSED)


def test_a_wrapper_that_is_registered_is_tried_too() -> None:
    assert envs.make("Reversed-v0").env_spec.observation[0].angles == (16 - PITCH_OF_A_CHEETAH,)

"""Which observation and action spaces are accepted, and how observations and actions are mapped."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from mjcf_env import MjcfEnv

import envs
from envs.wrappers import Flat
from joule_errors import Advice

FLOAT32_MAX = float(np.finfo(np.float32).max)


class Spaces(gymnasium.Env[Any, Any]):
    """Returns the observation that it was given, and keeps the last action."""

    def __init__(self, observation: Any, observation_space: Any, action_space: Any) -> None:
        self.shown, self.observation_space, self.action_space = observation, observation_space, action_space
        self.received: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self.shown, {}

    def step(self, action: Any) -> Any:
        self.received = action
        return self.shown, 0.0, False, False, {}


gymnasium.register("Spaces-v0", entry_point=f"{__name__}:Spaces")
BOX: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (2,), np.float32)
ZERO = np.zeros(2, np.float32)


def make(observation: Any = ZERO, observation_space: Any = BOX, action_space: Any = BOX) -> envs.SafeEnv:
    kwargs = {
        "observation": observation,
        "observation_space": observation_space,
        "action_space": action_space,
    }
    return envs.make("Spaces-v0", kwargs=kwargs)


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (spaces.Box(0, 255, (12,), np.uint8), np.full(12, 255, np.uint8)),
        (spaces.Box(-5, 5, (2,), np.int64), np.array([-5, 5])),
        (spaces.Box(-1, 1, (2, 2, 3)), np.full((2, 2, 3), 0.5, np.float32)),
        (
            spaces.Dict({"b": BOX, "a": spaces.Discrete(3)}),
            {"b": np.array([0.1, 0.2], np.float32), "a": np.int64(1)},
        ),
        (
            spaces.Dict({"z": BOX, "c": spaces.Dict({"y": BOX, "x": BOX})}),
            {"z": ZERO + 1, "c": {"y": ZERO + 2, "x": ZERO + 3}},
        ),
        (spaces.Tuple((BOX, spaces.Box(-1, 1, ()))), (ZERO + 0.5, np.float32(0.25))),
    ],
)
def test_observations_are_flattened_as_gymnasium_does(space: spaces.Space[Any], observation: Any) -> None:
    env = make(observation, space)
    flat, _ = env.reset(seed=0)
    assert flat.dtype == np.float32
    assert env.observation_space.shape == flat.shape
    assert env.env_spec.observation == (envs.ObservationPart("state", flat.shape, "float32"),)
    np.testing.assert_array_equal(flat, np.asarray(spaces.flatten(space, observation), np.float32).ravel())


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Sequence(BOX), "has no fixed size"),
        (spaces.Box(-1.0, 1.0, (0,)), "holds no number"),
        (spaces.Dict({}), "holds no number"),
        (spaces.Tuple((spaces.Dict({}),)), "holds no number"),
        (spaces.Dict({"a": BOX, "none": spaces.Dict({})}), "has a Dict or Tuple of nothing; leave it out"),
        (spaces.Dict({"a": spaces.Tuple((BOX, spaces.Tuple(())))}), "has a Dict or Tuple of nothing"),
    ],
)
def test_observation_spaces_that_cannot_be_flattened_are_refused(
    space: spaces.Space[Any], words: str
) -> None:
    with pytest.raises(envs.EnvError, match=words):
        make(space.sample(), space)


def test_a_number_beyond_float32_is_clipped() -> None:
    env = make(np.array([1e300, -1e300]), spaces.Box(-np.inf, np.inf, (2,), np.float64))
    np.testing.assert_array_equal(env.reset(seed=0)[0], np.array([FLOAT32_MAX, -FLOAT32_MAX], np.float32))


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.MultiDiscrete([2, 3]), "not a Box"),
        (spaces.Box(0, 5, (2,), np.int64), "not a Box of floats: Joule acts in continuous spaces only$"),
        (spaces.Discrete(3), "not a Box of floats.*; a wrapper may offer a number for each action"),
        (spaces.Box(-np.inf, np.inf, (2,)), "unbounded"),
        (spaces.Box(-1.0, np.array([1.0, np.inf], np.float32)), "unbounded"),
        (spaces.Box(-3.4e38, 3.4e38, (2,)), "unbounded"),
        (spaces.Box(-1.7e308, 1.7e308, (2,), np.float64), "unbounded"),
        (
            spaces.Box(np.zeros(2, np.float32), np.zeros(2, np.float32)),
            "every low equals its high$",
        ),
    ],
)
def test_action_spaces_that_are_not_bounded_boxes_are_refused(space: spaces.Space[Any], words: str) -> None:
    with pytest.raises(envs.EnvError, match=words):
        make(action_space=space)


@pytest.mark.parametrize(("low", "high", "words"), [(1.0, -1.0, "above"), (np.nan, 1.0, "NaN")])
def test_bounds_that_are_not_ordered_numbers_are_refused(low: float, high: float, words: str) -> None:
    space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    space.low[0], space.high[0] = low, high
    with pytest.raises(envs.EnvError, match=words):
        make(action_space=space)


@pytest.mark.parametrize("shape", [(1, 2), (2,), (2, 1)])
def test_actions_have_the_shape_and_bounds_of_the_environment(shape: tuple[int, ...]) -> None:
    low, high = np.array([-2.0, 0.1], np.float32), np.array([6.0, 0.3], np.float32)
    env = make(action_space=spaces.Box(low.reshape(shape), high.reshape(shape)))
    env.reset(seed=0)
    cases: list[tuple[float, np.ndarray]] = [(-1.0, low), (1.0, high), (0.0, (low + high) / 2)]
    for unit, expected in cases:
        env.step(np.full(2, unit, np.float32))
        received = env.unwrapped.received  # type: ignore[attr-defined]
        assert received.shape == shape
        assert received.dtype == np.float32
        np.testing.assert_allclose(received.ravel(), expected, rtol=1e-6)
        assert env.unwrapped.action_space.contains(received)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-5e11, 5e11, "float64"),
        (0.0, 1e12, "float32"),
        (-3, 7, "float16"),
    ],
)
def test_actions_reach_bounds_that_are_wide_or_coarse(low: float, high: float, dtype: str) -> None:
    env = make(action_space=spaces.Box(low, high, (2,), np.dtype(dtype).type))
    env.reset(seed=0)
    for unit, expected in ((-1.0, low), (0.0, low / 2 + high / 2), (1.0, high)):
        env.step(np.full(2, unit, np.float32))
        received = env.unwrapped.received  # type: ignore[attr-defined]
        assert received.dtype == dtype
        np.testing.assert_allclose(received, expected, rtol=1e-3)


@pytest.mark.parametrize("space", ["observation_space", "action_space"])
@pytest.mark.parametrize("found", [None, [-1.0, 1.0]])
def test_a_space_that_is_none_of_gymnasium_is_refused(space: str, found: Any) -> None:
    with pytest.raises(envs.EnvError, match=f"{space} of .* must be a space of gymnasium.spaces, not"):
        make(**{space: found})


def test_an_action_without_axes() -> None:
    env = make(action_space=spaces.Box(np.float32(0), np.float32(4), ()))
    env.reset(seed=0)
    env.step(np.ones(1, np.float32))
    assert env.unwrapped.received.shape == ()  # type: ignore[attr-defined]
    assert float(env.unwrapped.received) == 4.0  # type: ignore[attr-defined]


def test_an_action_dimension_with_equal_bounds_is_constant() -> None:
    space = spaces.Box(np.array([0.0, 7.0], np.float32), np.array([4.0, 7.0], np.float32))
    with pytest.warns(Advice, match="because low equals high: number 1 of an action, from 0$"):
        env = make(action_space=space)
    assert env.action_space.shape == (1,)
    env.reset(seed=0)
    env.step(np.array([-1.0], np.float32))
    assert env.unwrapped.received.tolist() == [0.0, 7.0]  # type: ignore[attr-defined]


def test_an_actuator_without_a_range_is_told_what_it_needs() -> None:
    joints = "".join(
        f'<body><joint name="{name}"/><geom size="0.1"/></body>' for name in ("shoulder", "elbow")
    )
    motors = '<motor joint="shoulder" ctrlrange="-1 1"/><motor joint="elbow"/>'
    env = MjcfEnv(f"<mujoco><worldbody>{joints}</worldbody><actuator>{motors}</actuator></mujoco>")
    low, high = env.model.actuator_ctrlrange.T.astype(np.float32)
    env.action_space = spaces.Box(low, high)
    with pytest.warns(
        Advice, match="number 1 of an action, from 0; in a MuJoCo model, an actuator needs a ctrl"
    ):
        Flat(env)
    env.action_space = spaces.Box(low[1:], high[1:])
    with pytest.raises(
        envs.EnvError, match="every low equals its high; in a MuJoCo model, an actuator needs"
    ):
        Flat(env)


@pytest.mark.parametrize(
    ("observation", "sentence"),
    [
        ({"gyro": ZERO}, r"is not a dict of \['gyro', 'touch'\]: it comes without 'touch'"),
        ({"gyro": ZERO, "touch": ZERO, "acc": ZERO}, r"\['gyro', 'touch'\]: it comes with 'acc'"),
        ({"gyro": ZERO, "tuoch": ZERO}, "it comes without 'touch' and with 'tuoch'"),
        (
            {"gyro": ZERO, "touch": np.zeros(3, np.float32)},
            r"in the part 'touch', the observation has shape \(3,\)",
        ),
        (ZERO, "is not a dict of .*, but ndarray"),
    ],
)
def test_the_part_of_a_dict_that_does_not_fit_is_named(observation: Any, sentence: str) -> None:
    env = make(observation, spaces.Dict({"touch": BOX, "gyro": BOX}))
    with pytest.raises(envs.EnvFault, match=sentence):
        env.reset(seed=0)


def test_a_text_in_an_observation_is_told() -> None:
    text = spaces.Text(4, charset="abcd")
    space = spaces.Dict({"state": BOX, "task": spaces.Dict({"mission": text})})
    with pytest.warns(Advice, match=r"has a text \(task\.mission\): its characters are observed as numbers"):
        env = make({"state": ZERO, "task": {"mission": "abca"}}, space)
    assert env.reset(seed=1)[0].shape == (6,)

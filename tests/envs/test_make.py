"""From an id to a body: what is refused and with which words, and which spaces are made flat and safe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import envs

HUGE = float(np.finfo(np.float32).max)


class Spaces(gymnasium.Env[Any, Any]):
    """Shows whatever observation it is given and remembers the action."""

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
BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)
UNIT = np.zeros(2, np.float32)


def body(observation: Any = UNIT, observation_space: Any = BOX, action_space: Any = BOX) -> envs.SafeEnv:
    shown = {"observation": observation, "observation_space": observation_space, "action_space": action_space}
    return envs.make("Spaces-v0", kwargs=shown)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("a:b:c", "malformed"),
        ("../x-v0", "malformed"),
        ("../x:Env-v0", "malformed"),
        ("dmc:", "malformed"),
        ("HalfCheeta-v5", "did you mean HalfCheetah-v5"),
        ("halfcheetah-v5", "did you mean HalfCheetah-v5"),
        ("HalfCheetah-v9", "exists in versions"),
        ("joule/Reech-v0", "did you mean joule/Reach-v0"),
        ("no_such_module:Env-v0", "no module 'no_such_module'"),
        ("counter_env:Count-v0", "did you mean counter_env:Counter-v"),
        ("CartPole-v1", "Discrete(2) is not a Box"),
    ],
)
def test_a_bad_id_is_refused_in_words(name: str, words: str) -> None:
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(name)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_module_that_breaks_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_body.py").write_text("raise RuntimeError('half written')")
    (tmp_path / "hungry_body.py").write_text("import a_package_nobody_has")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(envs.EnvError, match="half written"):
        envs.make("broken_body:Env-v0")
    with pytest.raises(envs.EnvError, match="needs the package 'a_package_nobody_has'"):
        envs.make("hungry_body:Env-v0")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("dmc:walker-walk", "dm_control", "dmc"),
        ("PointMaze_UMaze-v3", "gymnasium_robotics", "robotics"),
    ],
)
def test_a_missing_package_comes_with_its_command(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envs import registry

    real = registry.importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda p: None if p == package else real(p))
    monkeypatch.setattr(registry, "_registered", lambda name, env: None)
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(name)
    assert str(refusal.value).endswith(f'pip install -e "{Path(envs.__file__).parents[1]}[{extra}]"')


def test_the_newest_version_is_taken_and_recorded() -> None:
    for version in (2, 10, 9):
        gymnasium.register(f"Versioned-v{version}", entry_point="counter_env:Counter")
    env_spec = envs.make("counter_env:Versioned").env_spec
    assert (env_spec.env, env_spec.resolved) == ("counter_env:Versioned", "Versioned-v10")
    assert env_spec.episode_limit is None
    assert envs.make("counter_env:Counter-v0", action_repeat=3).env_spec.episode_limit == 4


def test_facts_of_a_mujoco_body() -> None:
    env_spec = envs.make("InvertedPendulum-v5", max_episode_frames=100, action_repeat=2).env_spec
    assert (env_spec.observation_size, env_spec.action_size, env_spec.episode_limit) == (4, 1, 50)
    assert env_spec.readout_sizes == {"qpos": 2, "qvel": 2}
    assert env_spec.mujoco
    assert env_spec.seconds_per_decision == pytest.approx(0.08)


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_impossible_numbers_are_refused(value: Any) -> None:
    with pytest.raises(envs.EnvError, match="action_repeat"):
        envs.make("counter_env:Counter-v0", action_repeat=value)
    with pytest.raises(envs.EnvError, match="max_episode_frames"):
        envs.make("counter_env:Counter-v0", max_episode_frames=value)


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(envs.EnvError, match="gravty"):
        envs.make("HalfCheetah-v5", kwargs={"gravty": 1})


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.MultiDiscrete([2, 3]), "not a Box"),
        (spaces.Box(0, 5, (2,), np.int64), "not a Box of floats"),
        (spaces.Box(-np.inf, np.inf, (2,)), "unbounded"),
        (spaces.Box(-1.0, np.array([1.0, np.inf], np.float32)), "unbounded"),
        (spaces.Box(np.ones(2, np.float32), np.ones(2, np.float32)), "no dimension left"),
    ],
)
def test_action_spaces_we_cannot_act_in(space: spaces.Space[Any], words: str) -> None:
    with pytest.raises(envs.EnvError, match=words):
        body(action_space=space)


@pytest.mark.parametrize(("low", "high", "words"), [(1.0, -1.0, "above"), (np.nan, 1.0, "NaN")])
def test_bounds_that_make_no_sense(low: float, high: float, words: str) -> None:
    space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    space.low[0], space.high[0] = low, high
    with pytest.raises(envs.EnvError, match=words):
        body(action_space=space)


@pytest.mark.parametrize("shape", [(1, 2), (2,), (2, 1)])
def test_actions_reach_the_env_in_its_own_shape_and_bounds(shape: tuple[int, ...]) -> None:
    low, high = np.array([-2.0, 0.1], np.float32), np.array([6.0, 0.3], np.float32)
    made = body(action_space=spaces.Box(low.reshape(shape), high.reshape(shape)))
    made.reset(seed=0)
    cases: list[tuple[float, np.ndarray]] = [(-1.0, low), (1.0, high), (0.0, (low + high) / 2)]
    for unit, expected in cases:
        made.step(np.full(2, unit, np.float32))
        received = made.unwrapped.received  # type: ignore[attr-defined]
        assert received.shape == shape
        assert received.dtype == np.float32
        np.testing.assert_allclose(received.ravel(), expected, rtol=1e-6)
        assert made.unwrapped.action_space.contains(received)


def test_a_0d_action_and_a_fixed_dimension() -> None:
    made = body(action_space=spaces.Box(np.float32(0), np.float32(4), ()))
    made.reset(seed=0)
    made.step(np.ones(1, np.float32))
    assert made.unwrapped.received.shape == ()  # type: ignore[attr-defined]
    assert float(made.unwrapped.received) == 4.0  # type: ignore[attr-defined]

    fixed = body(action_space=spaces.Box(np.array([0.0, 7.0], np.float32), np.array([4.0, 7.0], np.float32)))
    assert fixed.action_space.shape == (1,)
    fixed.reset(seed=0)
    fixed.step(np.array([-1.0], np.float32))
    assert fixed.unwrapped.received.tolist() == [0.0, 7.0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (spaces.Box(0, 255, (2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)),
        (spaces.Box(-5, 5, (2,), np.int64), np.array([-5, 5])),
        (
            spaces.Dict({"b": BOX, "a": spaces.Discrete(3)}),
            {"b": np.array([0.1, 0.2], np.float32), "a": np.int64(1)},
        ),
        (
            spaces.Dict({"z": BOX, "c": spaces.Dict({"y": BOX, "x": BOX})}),
            {"z": UNIT + 1, "c": {"y": UNIT + 2, "x": UNIT + 3}},
        ),
        (spaces.Tuple([BOX, spaces.Box(-1, 1, ())]), (UNIT + 0.5, np.float32(0.25))),
    ],
)
def test_observations_are_laid_flat_as_gymnasium_does(space: spaces.Space[Any], observation: Any) -> None:
    made = body(observation, space)
    shown, _ = made.reset(seed=0)
    assert shown.dtype == np.float32
    assert made.observation_space.shape == shown.shape
    np.testing.assert_array_equal(shown, np.asarray(spaces.flatten(space, observation), np.float32).ravel())


def test_what_float32_cannot_hold_is_clipped_not_infinite() -> None:
    made = body(np.array([1e300, -1e300]), spaces.Box(-np.inf, np.inf, (2,), np.float64))
    np.testing.assert_array_equal(made.reset(seed=0)[0], np.array([HUGE, -HUGE], np.float32))


def test_importing_envs_is_light_and_registers_our_bodies() -> None:
    script = (
        "import sys, envs, gymnasium; assert not {'mujoco', 'torch', 'scipy'} & set(sys.modules), 'heavy';"
        "print(gymnasium.make('joule/Reach-v0').spec.max_episode_steps)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "100", result.stderr

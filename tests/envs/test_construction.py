"""Making an environment: its specification, and arguments that are refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics, TimeLimit

import envs
from joule_errors import Advice


def test_specification_of_a_mujoco_environment() -> None:
    env_spec = envs.make("InvertedPendulum-v5", max_episode_frames=100, action_repeat=2).env_spec
    assert (env_spec.observation_size, env_spec.action_size, env_spec.episode_limit) == (4, 1, 50)
    assert env_spec.observation == (envs.ObservationPart("state", (4,), "float32"),)
    assert env_spec.readout_sizes == {
        "slider_position": 1, "hinge_angle": 1, "slider_velocity": 1, "hinge_velocity": 1,
    }  # fmt: skip
    assert env_spec.mujoco
    assert env_spec.seconds_per_decision == pytest.approx(0.08)


def test_the_observation_size_is_that_of_all_parts() -> None:
    flat = envs.make("InvertedPendulum-v5").env_spec
    parts = (
        envs.ObservationPart("state", (4,), "float32"),
        envs.ObservationPart("pixels", (8, 8, 3), "uint8"),
    )
    assert [part.size for part in parts] == [4, 192]
    assert dataclasses.replace(flat, observation=parts).observation_size == 196


def test_a_run_can_store_the_specification_as_json() -> None:
    stored = json.loads(json.dumps(dataclasses.asdict(envs.make("HalfCheetah-v5").env_spec)))
    assert stored["observation"] == [
        {"name": "state", "shape": [17], "dtype": "float32", "angles": [1], "stack": 1}
    ]
    assert stored["observation_size"] == 17


def test_the_episode_limit_is_in_decisions() -> None:
    assert envs.make("counter_env:Counter-v0", action_repeat=3).env_spec.episode_limit == 4
    assert envs.make("counter_env:Endless-v0").env_spec.episode_limit is None


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_counts_that_are_no_positive_whole_numbers_are_refused(value: Any) -> None:
    with pytest.raises(envs.EnvError, match="action_repeat"):
        envs.make("counter_env:Counter-v0", action_repeat=value)
    with pytest.raises(envs.EnvError, match="max_episode_frames"):
        envs.make("counter_env:Counter-v0", max_episode_frames=value)


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(envs.EnvError, match="gravty"):
        envs.make("HalfCheetah-v5", kwargs={"gravty": 1})


def test_a_dm_control_episode_is_500_decisions_and_a_truncation() -> None:
    import numpy as np

    pytest.importorskip("dm_control")
    env = envs.make("dmc:pendulum-swingup")
    assert (env.env_spec.resolved, env.env_spec.episode_limit) == ("dm_control/pendulum-swingup-v0", 500)
    env.reset(seed=0)
    for decision in range(1, 501):
        _, _, terminated, truncated, info = env.step(np.zeros(1, np.float32))
        assert info["frames"] == 2
        assert (terminated, truncated) == (False, decision == 500)


def test_a_limit_beyond_that_of_dm_control_is_said() -> None:
    pytest.importorskip("dm_control")
    with pytest.warns(Advice, match=r"itself ends an episode after 1,000 frames, before 3,000"):
        made = envs.make("dmc:pendulum-swingup", max_episode_frames=3_000)
    assert made.env_spec.episode_limit == 500


def test_a_stack_of_pictures_where_none_is_observed_is_said() -> None:
    with pytest.warns(
        Advice, match=r"obs_frames: pictures are stacked, and counter_env:Counter-v0 observes none"
    ):
        envs.make("counter_env:Counter-v0", stack=2)


def test_importing_envs_is_light_and_registers_the_environments() -> None:
    script = (
        "import sys, envs, gymnasium; assert not {'mujoco', 'torch', 'scipy'} & set(sys.modules), 'heavy';"
        "assert 'make' in dir(envs); print(gymnasium.make('joule/Reach-v0').spec.max_episode_steps)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "100", result.stderr


@pytest.mark.slow
def test_mujoco_is_not_imported_before_its_opengl_is_chosen() -> None:
    joule = ["environment", "storage.loading", "trained", "training.session", "training.env_check"]
    modules = ", ".join(["envs.construction", *(f"joule.{name}" for name in joule)])
    script = f"import sys, {modules}; sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2]).returncode == 0


class Yard(gymnasium.Env[np.ndarray, np.ndarray]):
    """Its size is not that of a frame, and its physics takes many steps in one of its own."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    dt = 0.002

    def __init__(self, width: float = 4.0, height: float = 3.0, render_mode: str | None = None) -> None:
        self.width, self.height, self.render_mode = width, height, render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(2, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.zeros(2, np.float32), 0.0, False, False, {}


def test_a_constructors_width_is_that_of_a_frame_only_in_families_that_mean_it() -> None:
    gymnasium.register("Yard-v0", entry_point=cast(Any, Yard))
    made: Any = envs.make("Yard-v0", render_mode="rgb_array", width=320, height=240)
    assert (made.unwrapped.width, made.unwrapped.height) == (4.0, 3.0)
    assert made.env_spec.seconds_per_decision == 0.02, "its frame rate, not the step of its physics"
    Yard.metadata["render_fps"] = 0.0
    try:
        assert envs.make("Yard-v0").env_spec.seconds_per_decision == 0.002, "its rate says nothing"
    finally:
        Yard.metadata["render_fps"] = 50
    cheetah: Any = envs.make("HalfCheetah-v5", render_mode="rgb_array", width=320, height=240)
    assert (cheetah.unwrapped.width, cheetah.unwrapped.height) == (320, 240)
    assert cheetah.env_spec.seconds_per_decision == pytest.approx(0.05)
    assert envs.make("Pendulum-v1").env_spec.seconds_per_decision == 0.05, "not its frame rate of 30"


def test_a_constructor_that_refuses_other_options_gets_no_frame_size() -> None:
    class Strict(Yard):
        def __init__(self, render_mode: str | None = None, **options: Any) -> None:
            if options:
                raise ValueError(f"unknown option {min(options)}")
            super().__init__(render_mode=render_mode)

    gymnasium.register("Strict-v0", entry_point=cast(Any, Strict))
    assert envs.make("Strict-v0", render_mode="rgb_array").render_mode == "rgb_array"
    with pytest.raises(envs.EnvError, match="its constructor raised ValueError: unknown option speed"):
        envs.make("Strict-v0", render_mode="rgb_array", kwargs={"speed": 2})


def test_a_constructors_error_without_a_text_is_one_sentence() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Broken(Yard):
        def __init__(self, render_mode: str | None = None, width: int = 480, height: int = 480) -> None:
            raise Mute

    gymnasium.register("Mute-v0", entry_point=cast(Any, Broken))
    with pytest.raises(envs.EnvError, match="Mute-v0 cannot be made: its constructor raised Mute"):
        envs.make("Mute-v0", render_mode="rgb_array")


def test_arguments_that_a_constructor_needs_are_named_with_the_option_for_them() -> None:
    class Sized(Yard):
        def __init__(self, arena: float, *, walls: int) -> None: ...

    gymnasium.register("Sized-v0", entry_point=cast(Any, Sized))
    with pytest.raises(envs.EnvError, match=r"""give the values by --env-kwargs '{"arena": \.\.\.}'$"""):
        envs.make("Sized-v0", kwargs={"walls": 1})
    with pytest.raises(envs.EnvError, match=r"""by --env-kwargs '{"walls": \.\.\.}'$"""):
        envs.make("Sized-v0", kwargs={"arena": 1})


@pytest.mark.parametrize(("skip", "seconds"), [(5, 0.05), (1, 1 / 30)])
def test_dt_counts_where_it_is_that_of_several_steps_of_physics(skip: int, seconds: float) -> None:
    class Bare(Yard):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
        dt = 0.01 * skip

        def __init__(self) -> None:
            self.model = mujoco.MjModel.from_xml_string('<mujoco><option timestep="0.01"/></mujoco>')
            self.data = mujoco.MjData(self.model)

    gymnasium.register(f"Bare{skip}-v0", entry_point=cast(Any, Bare))
    assert envs.make(f"Bare{skip}-v0").env_spec.seconds_per_decision == pytest.approx(seconds)


@pytest.mark.parametrize("wrapper", [NormalizeReward, NormalizeObservation])
def test_a_wrapper_with_statistics_is_named(wrapper: Any) -> None:
    gymnasium.register("Normalised-v0", entry_point=cast(Any, lambda: wrapper(Yard())))
    with pytest.warns(
        Advice, match=f"Normalised-v0 has the wrapper {wrapper.__name__}, whose statistics are others"
    ):
        envs.make("Normalised-v0")


@pytest.mark.parametrize("registered", [None, 200])
def test_the_limit_within_an_environment_is_that_of_its_episodes(registered: int | None) -> None:
    gymnasium.register(
        f"Limited{registered}-v0",
        entry_point=cast(Any, lambda: RecordEpisodeStatistics(TimeLimit(Yard(), 40))),
        max_episode_steps=registered,
    )
    made = envs.make(f"Limited{registered}-v0", action_repeat=3)
    assert made.env_spec.episode_limit == 14
    made.reset(seed=0)
    assert [made.step(np.zeros(1, np.float32))[3] for _ in range(14)] == [False] * 13 + [True]
    with pytest.warns(Advice, match="itself ends an episode after 40 frames, before 1,000"):
        assert envs.make(f"Limited{registered}-v0", max_episode_frames=1_000).env_spec.episode_limit == 40
    assert envs.make(f"Limited{registered}-v0", max_episode_frames=30).env_spec.episode_limit == 30

"""What a run says about its environment before it begins."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import far_env
import gymnasium
import pytest
import rough_env
import tiny_env
import unlike_robots  # noqa: F401  it registers environments
from arm_file import ARM

import joule
from agent.configurator.settings import Config
from joule.storage.changes_table import changed_settings, changes_until
from joule.training import env_check
from joule_errors import Advice

VISITED = "rough_env:joule-tests/Visited-v0"


@pytest.mark.parametrize(
    ("env", "kwargs", "unsaved", "shared"),
    [
        (f"tiny_env:{tiny_env.ID}", {}, [], []),
        (VISITED, {}, ["visited (set)"], []),
        (VISITED, {"forget": True}, [], []),
        (rough_env.ID, {"fault": "NumPy seed"}, [], ["numpy"]),
        (rough_env.ID, {"fault": "torch seed", "where": "reset", "at": 0}, [], ["torch"]),
    ],
)
def test_what_no_checkpoint_holds_and_shared_generators_are_found(
    env: str, kwargs: dict[str, Any], unsaved: list[str], shared: list[str]
) -> None:
    found = env_check.check_env(Config(env=env, env_kwargs=kwargs))
    assert (found["unsaved"], found["shared_generators"]) == (unsaved, shared)


def test_a_note_says_what_was_found() -> None:
    assert env_check.notes({"deterministic": True, "unsaved": [], "shared_generators": []}) == []
    assert env_check.notes({"unsaved": 3, "shared_generators": [["numpy"], "x"]}) == []  # of a stranger's run
    assert env_check.notes({}, ["noise=1"]) == []
    assert env_check.notes({}, ["noise=1", "mass=1|2"])[0].startswith("each episode draws from mass=1|2; ")
    many = [f"places_{k} (set)" for k in range(7)]
    first, second, third = env_check.notes(
        {"deterministic": False, "unsaved": many, "shared_generators": ["torch"]}
    )
    assert "cannot be repeated exactly" in first
    assert "places_4 (set) and 2 more" in second
    assert "(torch)" in third


def test_a_robot_that_was_changed_since_is_told(tmp_path: Path) -> None:
    model = tmp_path / "arm.xml"
    model.write_text(ARM)
    small: dict[str, Any] = {"preset": "smoke", "max_episode_frames": 20, "video": False}
    folder = tmp_path / "run"
    joule.train(env=model, reward="none", steps=60, out=folder, **small)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        joule.evaluate(folder, episodes=1)
    model.write_text(ARM.replace('mass="1"', 'mass="2"'))
    told = "joule/Model-v0: masses of its robot are not those that the agent learned with"
    with pytest.warns(Advice, match=told):
        joule.evaluate(folder, episodes=1)
    with pytest.warns(Advice, match=told):
        joule.train(resume=folder, steps=80)
    assert changes_until(folder / "changes.csv", 60) == ["from frame 60 on the robot has other masses"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        joule.evaluate(folder, episodes=1)
        joule.train(resume=folder, steps=100)
    assert (60, "robot: masses") in changed_settings(folder / "changes.csv")
    model.write_text(ARM)
    with pytest.warns(Advice, match=told):
        joule.train(resume=folder, steps=120)
    assert changes_until(folder / "changes.csv", 120)[-1].startswith("from frame 100 on the robot")


def test_a_robot_that_is_drawn_each_time_is_not_taken_for_a_changed_one() -> None:
    agent = joule.make("random", env="unlike_robots:joule-tests/DrawnWhereMade-v0").learn(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        joule.evaluate(agent, episodes=1)


def test_the_robot_of_an_environment_that_was_handed_in_may_have_been_drawn_before() -> None:
    env = gymnasium.make("joule-tests/DrawnAtReset-v0")
    env.reset()
    agent = joule.make("random", env=env).learn(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        joule.evaluate(agent, episodes=1)


WALKER = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body name="torso" pos="0 0 0.3">
      <freejoint/><geom type="box" size="0.2 0.1 0.05"/>
      <body pos="0.2 0 -0.1"><joint name="leg" axis="0 1 0"/><geom type="capsule" size="0.03 0.1"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="leg" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
SEEN = {"exclude_current_positions_from_observation": False}


def told_of(**settings: Any) -> list[str]:
    config = Config(**settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env_check.check_env(config)
    return [str(one.message) for one in caught if issubclass(one.category, Advice)]


def test_a_task_or_a_constraint_on_a_place_that_is_not_observed_is_told() -> None:
    cheetah: dict[str, Any] = {"env": "HalfCheetah-v5", "perturb": ("latency=3", "noise=0.1")}
    (told,) = told_of(**cheetah, task="track:velocity=2+0.1*reach:position=2")
    assert told.startswith(
        "task track:velocity=2+0.1*reach:position=2: the agent does not observe position, "
    )
    assert "'{\"exclude_current_positions_from_observation\": false}'" in told
    (told,) = told_of(**cheetah, task="more:velocity", constraint=("position<3", "speed<9"))
    assert told.startswith("constraint position<3: the agent does not observe position, ")
    assert not told_of(**cheetah, task="more:velocity", constraint=("height>-0.3",))
    assert not told_of(**cheetah, env_kwargs=SEEN, task="reach:position=2", constraint=("position<3",))
    assert not told_of(env="joule/Maze-v0", task="reach:position=0.2,0.3")


def test_a_robot_of_a_model_file_is_asked_to_observe_its_place(tmp_path: Path) -> None:
    model = tmp_path / "walker.xml"
    model.write_text(WALKER)
    robot: dict[str, Any] = {"env": "joule/Model-v0", "task": "reach:position=1,0"}
    (told,) = told_of(**robot, env_kwargs={"model": str(model)})
    assert "does not observe position, " in told
    assert "'{\"observe_place\": true}'" in told
    assert not told_of(**robot, env_kwargs={"model": str(model), "observe_place": True})
    (told,) = told_of(env="joule/Model-v0", task="less:qpos.1", env_kwargs={"model": str(model)})
    assert "does not observe qpos.1, " in told
    assert not told_of(env="joule/Model-v0", task="less:qpos.2", env_kwargs={"model": str(model)})


def test_a_place_beside_a_large_number_is_observed() -> None:
    robot: dict[str, Any] = {"env": "unlike_robots:joule-tests/UnderPressure-v0", "task": "reach:position=2"}
    assert not told_of(**robot, env_kwargs=SEEN)
    assert len(told_of(**robot)) == 1


def test_an_environment_without_physics_is_not_made_again_to_move_its_robot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = list[Config]()

    def making(config: Config) -> Any:
        made.append(config)
        return joule.make_env(config.env)

    monkeypatch.setattr(env_check, "make_env", making)
    assert not told_of(env=tiny_env.RECORDED, task="less:distance")
    assert len(made) == 1


def test_numbers_whose_motion_float32_loses_are_told_in_one_sentence() -> None:
    far = f"far_env:{far_env.ID}"
    (told,) = told_of(env=far)
    assert told.startswith(
        f"{far}: number 0 (clock.0) of the observation moves by 1.6 around 1.7e+09, where float32 has steps of "
        "1.3e+02; likewise 1 (place.0): subtract an offset "
    )
    (told,) = told_of(env=far, env_kwargs={"north": 5.0})
    assert "; likewise" not in told
    assert told_of(env=far, env_kwargs={"dtype": "float32"}) == [], (
        "nothing is lost where it is float32 already"
    )


@pytest.mark.parametrize("env", ["Hopper-v5", "joule/Push-v0", "Ant-v5"])
def test_robots_near_the_origin_are_not_warned_of(env: str) -> None:
    assert told_of(env=env) == []

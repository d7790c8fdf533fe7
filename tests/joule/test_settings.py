"""The settings of a run: presets, changes from Python, and what a resumed run may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import planners
from agent.configurator.dotted_names import replace
from agent.configurator.settings import PRESETS, Config
from agent.cost.task import Task
from agent.errors import ConfigError
from joule.model_file import with_model_file
from joule.settings import config_from, config_init_from, merged, resumed_config
from joule_schema.model_file import MODEL_ENV


def test_given_settings_replace_the_preset_which_replaces_the_defaults() -> None:
    config = config_from("smoke", {"learning.batch_size": 9, "perturb": ("mass=2", "gravity=0.5")})
    assert config.learning.batch_size == 9
    assert config.steps == PRESETS["smoke"]["steps"]
    assert config.planner.horizon_decisions == Config().planner.horizon_decisions
    assert config.perturb == ("mass=2", "gravity=0.5")


def test_a_preset_keeps_what_another_planner_has_and_drops_the_rest() -> None:
    config = config_from("smoke", {"planner.kind": "random_shooting"})
    assert set(config.planner.settings) == {"samples", "elites"}, "it has no iterations"


def test_a_preset_of_the_world_model_changes_no_other_agent() -> None:
    smoke = config_from("smoke", {"agent": "sac"})
    assert (smoke.steps, smoke.learning) == (PRESETS["smoke"]["steps"], Config().learning)
    with pytest.raises(ConfigError, match="--preset: strong changes nothing that sac uses"):
        config_from("strong", {"agent": "sac"})


def test_settings_from_python_take_keywords_and_dotted_names() -> None:
    given = merged({"planner.kind": "icem"}, {"seed": 3, "perturb": "mass=2", "constraint": ["speed<2"]})
    assert given == {"planner.kind": "icem", "seed": 3, "perturb": ("mass=2",), "constraint": ("speed<2",)}
    with pytest.raises(ConfigError, match="seed: given as a keyword and in settings"):
        merged({"seed": 1}, {"seed": 2})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stps": 5}, "unknown setting stps; did you mean steps"),
        ({"agent": "sac", "planner.kind": "icem"}, "planner.kind: sac has its library's published settings"),
        ({"agent": "zero", "explore.curiosity": 0.0}, "explore.curiosity: zero learns nothing"),
        ({"agent": "ppo", "learning.utd": 2.0}, "joule, sac, td3, tqc, crossq, sac_her use this setting"),
        ({"steps": "many"}, "steps: found 'many'"),
        ({"planner.kind": ["icem"]}, r"planner.kind: found \['icem'\]; give a text such as random_shooting"),
        ({"regularizer.kind": {}}, r"regularizer.kind: found \{\}; give a text such as simnorm"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from("default", given)


def test_a_resumed_run_may_have_another_budget_and_other_changes_need_override() -> None:
    before = replace(Config(), {"steps": 100, "planner.kind": "icem", "planner.colour": 2.0})
    assert resumed_config(before, {"steps": 200, "video": False}, override=False).steps == 200
    with pytest.raises(ConfigError, match=r"planner.colour 2.0 -> 1.0\); add --override"):
        resumed_config(before, {"planner.colour": 1.0}, override=False)
    assert resumed_config(Config(), {"planner.samples": 64}, override=False) == Config(), "64 is the default"
    changed = resumed_config(before, {"planner.kind": "mppi"}, override=True)
    assert (changed.planner.kind, changed.planner.settings) == ("mppi", {})
    assert resumed_config(before, {"steps": 51}, override=False, done=50).steps == 51
    with pytest.raises(ConfigError, match="steps: this run has 50 frames already; give more than that"):
        resumed_config(before, {"steps": 50}, override=True, done=50)
    from_data = replace(before, {"data": "moves.hdf5"})
    with pytest.raises(ConfigError, match="steps: this run has 50 gradient steps already"):
        resumed_config(from_data, {"steps": 50}, override=False, done=50)
    assert resumed_config(before, {"steps": 100}, override=False, done=102).steps == 100, (
        "with 4 frames a decision"
    )
    with pytest.raises(ConfigError, match="its own task; begin a run with --init-from this one"):
        resumed_config(before, {"task": "less:velocity"}, override=True)
    with pytest.raises(
        ConfigError, match=r"regularizer\.kind: this run keeps simnorm, because its latents are of"
    ):
        resumed_config(before, {"regularizer.kind": "contrast"}, override=True)


def test_a_run_of_a_model_file_keeps_its_model_and_its_keywords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("arm.xml", "leg.xml"):
        Path(name).touch()
    arm, leg = (str(tmp_path / name) for name in ("arm.xml", "leg.xml"))
    before = config_from("smoke", {"env": "arm.xml", "env_kwargs": {"frame_skip": 4}, "task": "upright"})
    assert resumed_config(before, {"env": "arm.xml"}, override=False) == before
    begun = config_init_from(before, {"env": "leg.xml"})
    assert (begun.env, begun.env_kwargs) == (MODEL_ENV, {"model": leg, "frame_skip": 4})
    assert with_model_file({"env_kwargs": {"frame_skip": 2}}, before) == {
        "env_kwargs": {"model": arm, "frame_skip": 2}
    }
    assert with_model_file({"env": "arm.xml", "env_kwargs": {}}, before)["env_kwargs"] == {"model": arm}
    assert config_init_from(before, {"env": "HalfCheetah-v5"}).env_kwargs == {}
    with pytest.raises(ConfigError, match=r"this run has other settings \(env_kwargs .*leg\.xml"):
        resumed_config(before, {"env": "leg.xml"}, override=False)
    named = {"env": MODEL_ENV, "env_kwargs": {"model": "arm.xml"}, "task": "upright"}
    assert config_from("smoke", named).env_kwargs == {"model": arm}
    explored = config_from("smoke", {"env": "arm.xml", "reward": "none"})
    with pytest.raises(ConfigError, match="says nothing of what the robot is to do"):
        config_init_from(explored, {})


def test_what_explored_goes_on_to_explore_in_its_own_way_without_rewards() -> None:
    before = config_from("smoke", {"reward": "none", "explore.kind": "smooth"})
    on = config_init_from(before, {"reward": "none"})
    assert (on.reward, on.explore.kind) == ("none", "smooth")
    task = config_init_from(before, {})
    assert (task.reward, task.explore.kind) == ("env", Config().explore.kind)


def test_a_run_keeps_what_its_agent_observes() -> None:
    before = config_from("smoke", {"obs": "pixels"})
    for change in ({"obs_size": 32}, {"obs_frames": 1}, {"obs_camera": "side"}, {"obs": "pixels+state"}):
        with pytest.raises(ConfigError, match=f"{next(iter(change))}: this run keeps .* train another run"):
            resumed_config(before, change, override=True)


def test_a_run_keeps_its_agent_and_the_sizes_of_its_networks() -> None:
    before = config_from("smoke", {})
    for change in ({"model.hidden_dim": 32}, {"cost.bins": 11}, {"agent": "sac"}):
        with pytest.raises(ConfigError, match=f"{next(iter(change))}: this run keeps .* train another run"):
            resumed_config(before, change, override=True)
    for change, way in (
        ({"seed": 5}, "train another run"),
        ({"env": "Hopper-v5"}, "begin a run there with --init-from"),
    ):
        with pytest.raises(
            ConfigError, match=f"{next(iter(change))}: this run keeps .*rows of one curve; {way}"
        ):
            resumed_config(before, change, override=True)
    with pytest.raises(
        ConfigError, match=r"init_from: model.latent_dim of that agent is 32, and its networks keep"
    ):
        config_init_from(before, {"model.latent_dim": 16})


@pytest.mark.parametrize(
    ("given", "used_with", "message"),
    [
        (
            {"cost.uncertainty": 0.5, "reward": "none"},
            {"reward": "env"},
            "--reward none only explores, without this setting",
        ),
        (
            {"explore.curiosity": 0.5, "reward": "none"},
            {"reward": "env"},
            "--reward none only explores, without this setting",
        ),
        (
            {"learning.cost_weight": 0.5, "reward": "none"},
            {"reward": "env"},
            "without rewards there are no costs",
        ),
        ({"actors_lockstep": True}, {"actors": 1}, "this setting is of --actors, and there are none"),
        ({"actor_chunk_decisions": 8}, {"actors": 2}, "this setting is of --actors, and there are none"),
        ({"learning.rate_at_end": 0.5}, {"data": "runs/a"}, "this setting is of --data, and there is none"),
        (
            {"regularizer.weight": 2.0},
            {"regularizer.kind": "vicreg"},
            "a regulariser of this kind has no penalty",
        ),
        ({"obs_size": 128}, {"obs": "pixels"}, "this setting is of --obs pixels, and no camera is observed"),
    ],
)
def test_a_setting_that_nothing_uses_is_refused(
    given: dict[str, object], used_with: dict[str, object], message: str
) -> None:
    name = next(iter(given))
    with pytest.raises(ConfigError, match=f"{name}: {message}.*; leave it out"):
        config_from("smoke", given)
    assert getattr(config_from("smoke", {**given, **used_with}), name.partition(".")[0])


def test_a_task_object_is_refused_with_what_takes_it() -> None:
    with pytest.raises(ConfigError, match=r"task: found Task, expected a text .* agent.plan_for\(task\)"):
        merged({}, {"task": Task("still", lambda r: r["speed"])})


@pytest.mark.parametrize("home", [dict, "__main__:Mine"])
def test_a_planner_of_no_file_is_refused(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(planners.KINDS, "mine", home)
    with pytest.raises(
        ConfigError, match=r"planners.KINDS: mine is named .*; name a class in a file of its own"
    ):
        config_from("default", {"planner.kind": "mine"})

"""Every setting has a range that is enforced, a name that is suggested, a sentence that explains it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import planners
from agent.configurator.config_json import from_json, to_json
from agent.configurator.dotted_names import flatten, replace, setting_of, value_of
from agent.configurator.settings import PRESETS, AgentKind, Config, PlannerConfig
from agent.configurator.validation import validate
from agent.errors import ConfigError
from joule.cli.options import field_help
from joule_schema.env_kwargs import RESERVED

SECTIONS: dict[str, type] = {"": Config} | {
    f"{item.name}.": type(getattr(Config(), item.name))
    for item in dataclasses.fields(Config)
    if dataclasses.is_dataclass(getattr(Config(), item.name))
}
RANGES: dict[str, tuple[float, float]] = {
    prefix + item.name: item.metadata["range"]
    for prefix, node in SECTIONS.items()
    for item in dataclasses.fields(node)
    if "range" in item.metadata
}


def refusal(**changes: Any) -> str:
    """Why a config with these values is refused."""
    with pytest.raises(ConfigError) as caught:
        validate(replace(Config(), changes))
    return str(caught.value)


def test_the_defaults_and_every_preset_are_valid() -> None:
    for preset in PRESETS.values():
        config = replace(Config(), preset)
        assert validate(config) is config


@pytest.mark.parametrize("name", RANGES)
def test_every_number_is_refused_outside_its_range(name: str) -> None:
    low, high = RANGES[name]
    whole = isinstance(flatten(Config())[name], int)
    values: list[Any] = [
        -(10**400),
        10**400,
        math.nan,
        math.inf,
        -math.inf,
        "3",
        True,
        [3],
        1.5 if whole else "1.5",
    ]
    just_below = low - 1 if whole else math.nextafter(low, -math.inf)
    just_above = high + 1 if whole else math.nextafter(high, math.inf)
    for value in [just_below, just_above, *values]:
        assert refusal(**{name: value}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "sac", "max_episode_frames": 2},
        {"planner.kind": "policy", "max_episode_frames": 2},
        {"max_episode_frames": 5, "action_repeat": 2},
    ],
)
def test_a_horizon_is_compared_with_an_episode_only_where_it_is_used(
    changes: dict[str, Any],
) -> None:
    config = replace(Config(), changes)
    assert validate(config) == config


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"env": ""}, "env"),
        ({"env": "   "}, "env"),
        ({"env": 3}, "env"),
        ({"agent": "sacc"}, "agent"),
        ({"agent": None}, "agent"),
        ({"regularizer.kind": "batchnorm"}, "regularizer.kind"),
        ({"regularizer.group_size": 1}, "regularizer.group_size"),
        ({"regularizer.kind": "vicreg", "regularizer.group_size": 4}, "regularizer.group_size"),
        ({"planner.colour": 2.0}, "planner.colour"),
        ({"planner.kind": "icem", "planner.colour": 11.0}, "planner.colour"),
        ({"planner.kind": "icem", "planner.samples": 1.5}, "planner.samples"),
        ({"planner.kind": "mpc"}, "planner.kind"),
        ({"learning.precision": "float16"}, "learning.precision"),
        ({"device": "gpu"}, "device"),
        ({"device": "cuda:"}, "device"),
        ({"device": "cuda:x"}, "device"),
        ({"device": ""}, "device"),
        ({"video": 1}, "video"),
        ({"perturb": "gravity=0"}, "perturb"),
        ({"perturb": (1,)}, "perturb"),
        ({"env_kwargs": []}, "env_kwargs"),
        ({"env_kwargs": {"a": {1, 2}}}, "env_kwargs"),
        ({"env_kwargs": {1: 2}}, "env_kwargs"),
        ({"learning.batch_size": 257, "learning.replay_capacity_transitions": 256}, "learning.batch_size"),
        ({"model.latent_dim": 12}, "model.latent_dim"),
        ({"planner.samples": 8, "planner.elites": 9}, "planner.elites"),
        ({"planner.horizon_decisions": 11, "max_episode_frames": 10}, "planner.horizon_decisions"),
        (
            {"planner.horizon_decisions": 6, "max_episode_frames": 10, "action_repeat": 2},
            "planner.horizon_decisions",
        ),
    ],
)
def test_an_impossible_value_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    message = refusal(**changes)
    assert message.startswith(f"{named}: ")
    assert "\n" not in message


@pytest.mark.parametrize("agent", [kind for kind in get_args(AgentKind) if kind != "joule"])
def test_only_the_world_model_agent_takes_several_environments(agent: str) -> None:
    assert refusal(agent=agent, num_envs=3) == (
        f"num_envs: found 3, and {agent} takes 1; only joule takes several"
    )
    assert validate(replace(Config(), {"num_envs": 3})).num_envs == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"actors": 2, "actor_chunk_decisions": 100},
            "128 is too small for 2 actors with actor_chunk_decisions 100; give 801 or more, or chunks of 15 "
            "or fewer",
        ),
        (
            {"actors": 2, "actor_chunk_decisions": 16},
            "128 is too small for 2 actors with actor_chunk_decisions 16; give 129 or more, or chunks of 15 "
            "or fewer",
        ),
        ({"actors": 2, "actor_chunk_decisions": 15}, ""),
        ({"actors": 32}, "128 is too small for 32 actors with actor_chunk_decisions 32; give 4097 or more"),
        ({"num_envs": 32}, "128 is too small for num_envs 32; give 129 or more"),
        ({"num_envs": 31}, ""),
    ],
)
def test_a_chunk_has_to_fit_into_the_share_of_its_actor(changes: dict[str, Any], sentence: str) -> None:
    small = {"learning.batch_size": 8, "learning.replay_capacity_transitions": 128, **changes}
    if sentence:
        assert refusal(**small) == f"learning.replay_capacity_transitions: {sentence}"
    else:
        validate(replace(Config(), small))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("stps", "steps"),
        ("planner.kin", "planner.kind"),
        ("learning.bach_size", "learning.batch_size"),
        ("agnt", "agent"),
        ("learning_rate", "learning.learning_rate"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(typed: str, meant: str) -> None:
    assert refusal(**{typed: 1}) == f"unknown setting {typed}; did you mean {meant}?"
    section, _, leaf = typed.rpartition(".")
    plain = {section: {leaf: 1}} if section else {leaf: 1}
    with pytest.raises(ConfigError, match=f"did you mean {meant}"):
        from_json(plain)


def test_a_section_is_not_a_setting() -> None:
    assert "unknown setting model" in refusal(model=3)
    values: list[Any] = [[], None, "model", 3]
    for wrong in values:
        with pytest.raises(ConfigError, match="object of settings"):
            from_json(wrong)
        with pytest.raises(ConfigError, match=r"^model: expected an object"):
            from_json({"model": wrong})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(flatten(Config()))), json_values)
def test_any_json_is_a_config_or_refused_in_one_sentence(name: str, value: Any) -> None:
    section, _, leaf = name.rpartition(".")
    try:
        config = from_json({section: {leaf: value}} if section else {leaf: value})
    except ConfigError:
        return
    assert from_json(to_json(config)) == config


AGREEING = {
    "model.latent_dim",
    "learning.replay_capacity_transitions",
    "num_envs",
    "actor_chunk_decisions",
}
"""Settings whose values others have to fit."""


@st.composite
def configs(draw: st.DrawFn) -> Config:
    whole = {n: r for n, r in RANGES.items() if isinstance(flatten(Config())[n], int)}
    names = draw(st.sets(st.sampled_from(sorted(set(whole) - AGREEING))))
    changes: dict[str, Any] = {n: draw(st.integers(int(whole[n][0]), int(whole[n][1]))) for n in names}
    free = st.text().filter(lambda name: name not in RESERVED)
    changes["env_kwargs"] = draw(st.dictionaries(free, st.integers() | st.text(), max_size=2))
    changes["perturb"] = tuple(draw(st.lists(st.text(), max_size=2)))
    return replace(Config(), changes)


@given(configs())
def test_a_config_comes_back_from_its_file(config: Config) -> None:
    assert from_json(json.loads(json.dumps(to_json(validate(config))))) == config


def test_every_setting_explains_itself() -> None:
    for prefix, node in SECTIONS.items():
        explained = field_help(node)
        for item in dataclasses.fields(node):
            if not dataclasses.is_dataclass(getattr(Config(), prefix.rstrip(".") or "env", None)) and prefix:
                continue
            if f"{item.name}." not in SECTIONS:
                assert explained.get(item.name, "").endswith("."), prefix + item.name


def test_keyword_arguments_are_the_same_before_and_after_they_were_in_a_file() -> None:
    given = {"z_range": (0.7, np.float64(2.0)), "parts": {"sizes": [(1, 2)]}}
    config = replace(Config(), {"env_kwargs": given, "perturb": ("mass=2",)})
    assert config.env_kwargs == {"z_range": [0.7, 2.0], "parts": {"sizes": [[1, 2]]}}
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_the_same_settings_are_the_same_file_however_they_are_given() -> None:
    given = {"planner.samples": 64, "planner.temperature": 0.5, "learning.utd": 1, "cost.uncertainty": 1.0}
    assert json.dumps(to_json(replace(Config(), given))) == json.dumps(to_json(Config()))
    weight = to_json(replace(Config(), {"learning.inverse_weight": 1}))["learning"]["inverse_weight"]
    assert (repr(weight), value_of(Config(), "planner.samples")) == ("1.0", 64)
    own = {"planner.kind": "icem", "planner.kept": 1, "planner.samples": 9, "regularizer.kind": "vicreg"}
    plain = to_json(replace(Config(), own | {"regularizer.covariance_weight": 1}))
    assert repr(plain["planner"]["settings"]) == "{'kept': 1.0, 'samples': 9}"
    assert repr(plain["regularizer"]["settings"]) == "{'covariance_weight': 1.0}"
    assert "planner.relative" in refusal(**{"planner.relative": 0})
    for unfit in (64.0, np.array([64, 64])):
        assert "planner.samples" in refusal(**{"planner.samples": unfit})
    other = replace(Config(), {"planner.kind": "cem", "planner.samples": 64})
    assert other.planner.settings == {"samples": 64}, "cem has another default"


def test_changes_leave_the_original_alone() -> None:
    before = Config()
    after = replace(before, {"planner.kind": "icem", "steps": 3})
    assert (before.planner.kind, before.steps, after.planner.kind, after.steps) == ("mppi", 50_000, "icem", 3)
    assert after.learning is before.learning


def test_settings_of_a_run_whose_penalty_had_no_fixed_default_are_read() -> None:
    plain = to_json(Config())
    plain["cost"]["uncertainty"] = None
    assert from_json(plain) == Config()


@pytest.mark.parametrize("module", ["absent_here", "absent_here.part"])
def test_a_planner_whose_module_is_missing_concerns_no_other_agent(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(planners.KINDS, "mine", f"{module}:Mine")
    validate(replace(Config(), {"planner.kind": "icem", "planner.colour": 0.5}))
    mine = Config(planner=PlannerConfig(kind="mine", settings={"width": 3}))
    with pytest.raises(
        ConfigError, match=f"planner.kind: planner mine is {module}:Mine, and there is no module"
    ):
        validate(mine)
    (tmp_path / "absent_here.py").write_text("class Mine:\n    width: int = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    if module == "absent_here":
        validate(mine)


def test_numbers_of_numpy_are_numbers() -> None:
    config = validate(replace(Config(), {"seed": np.int64(3), "cost.uncertainty": np.float32(0.5)}))
    assert (type(config.seed), config.seed, config.cost.uncertainty) == (int, 3, 0.5)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("width: float = setting(0.5, 0.0, 1.0)", 0.5),
        ("width: float = field(default=0.5)", 0.5),
        ("width: float = setting(0.5, low=0.0, high=1.0)", 0.5),
        ("width: float = setting(0.5, 0.0)", "MineSettings.width: its default and its range are to be"),
        (
            "width: float = setting(0.5, 0.0, math.inf)",
            "MineSettings.width: its default and its range are to be",
        ),
    ],
)
def test_the_settings_of_a_users_planner_are_read_or_named(
    line: str, found: float | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"mine_{abs(hash(line))}"
    (tmp_path / f"{module}.py").write_text(f"class MineSettings:\n    {line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(planners.KINDS, "mine", f"{module}:Mine")
    config = Config(planner=PlannerConfig(kind="mine"))
    if isinstance(found, float):
        assert setting_of(validate(config), "planner", "width") == found
        if "low" in line:
            with pytest.raises(ConfigError, match=r"planner.width: 7.0 is outside 0 to 1"):
                validate(replace(config, {"planner.width": 7.0}))
    else:
        with pytest.raises(ConfigError, match=found):
            replace(config, {"seed": 1})

"""What a run of another person may not do without trust: its keyword arguments, its memory budget, its sizes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from run_files import make_run

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.errors import ConfigError
from envs.env_spec import EnvSpec, ObservationPart
from joule import memory_budget
from joule.memory_budget import allocating, check_budget, check_environments
from joule.storage.errors import RunError
from joule.storage.run_folder import Run
from joule_errors.memory import MemoryShort

SPEC = EnvSpec(
    "Arm-v0", "Arm-v0", (ObservationPart("state", (17,), "float32"),), 6, 1000, 1, 0.05, {"q": 9}, True
)


@pytest.fixture
def another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function after whose call this user's list of runs is empty."""
    return lambda: monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_keyword_arguments_are_trusted_only_from_their_maker_or_by_the_option(
    tmp_path: Path, another_user: Any
) -> None:
    folder = make_run(tmp_path / "run", env_kwargs={"xml_file": "robot.xml"}).folder
    assert Run.open(folder).config.env_kwargs == {"xml_file": "robot.xml"}
    change_config(folder, env_kwargs={"xml_file": "/etc/passwd\x1b[2J"})
    with pytest.raises(RunError, match="--trust-env-kwargs") as caught:
        Run.open(folder)
    assert str(caught.value).isprintable()
    assert Run.open(folder, trust_env_kwargs=True).config.env_kwargs
    change_config(folder, env_kwargs={"xml_file": "robot.xml"})
    another_user()
    message = (
        'HalfCheetah-v5 would be made with the keyword arguments {"xml_file": "robot.xml"}; if you trust them'
    )
    with pytest.raises(RunError, match=message.replace("{", r"\{").replace("}", r"\}")):
        Run.open(folder)
    change_config(folder, env="my_pkg:Arm-v0")
    with pytest.raises(RunError, match="if you trust both, add --trust-module my_pkg --trust-env-kwargs"):
        Run.open(folder)
    with pytest.raises(RunError, match=r"add --trust-env-kwargs$"):
        Run.open(folder, trust_modules=["my_pkg"])
    Run.open(folder, trust_modules=["my_pkg"], trust_env_kwargs=True)


def test_what_the_user_changes_is_trusted_and_the_rest_is_not(tmp_path: Path, another_user: Any) -> None:
    folder = make_run(tmp_path / "run", env="theirs:Arm-v0").folder
    another_user()
    run = Run.open(folder, trust_modules=["theirs"])
    run.reconfigure(dataclasses.replace(run.config, env_kwargs={"a": 1}, memory_budget_gb=3.0), 0)
    again = Run.open(folder, trust_modules=["theirs"])
    assert (again.config.env_kwargs, again.config.memory_budget_gb) == ({"a": 1}, 3.0)
    with pytest.raises(RunError, match=r"--trust-module theirs$"):
        Run.open(folder)


def test_the_memory_budget_of_another_user_does_not_hold(tmp_path: Path, another_user: Any) -> None:
    folder = make_run(tmp_path / "run", memory_budget_gb=900.0).folder
    assert Run.open(folder).config.memory_budget_gb == 900.0
    another_user()
    assert Run.open(folder).config.memory_budget_gb is None


def test_a_memory_budget_of_a_whole_number_holds_as_well(tmp_path: Path, another_user: Any) -> None:
    folder = make_run(tmp_path / "run", memory_budget_gb=900).folder  # as Python code gives it
    assert Run.open(folder).config.memory_budget_gb == 900.0
    another_user()
    assert Run.open(folder).config.memory_budget_gb is None


HUGE: list[tuple[dict[str, Any], str]] = [
    ({"model.hidden_dim": 8192, "model.latent_dim": 4096, "model.ensemble_size": 32}, "networks"),
    ({"learning.replay_capacity_transitions": 100_000_000, "steps": 10**10}, "replay buffer"),
    ({"learning.batch_size": 65_536, "learning.window_decisions": 64}, "a gradient step"),
    (
        {"regularizer.kind": "sigreg", "regularizer.projections": 65_536, "regularizer.knots": 1_025},
        "a gradient step",
    ),
    ({"planner.samples": 1_000_000, "planner.iterations": 1_000}, "a plan"),
    ({"planner.kind": "gradient", "planner.elites": 900_000, "planner.samples": 1_000_000}, "a plan"),
    ({"num_envs": 1_024, "vector_mode": "async"}, "environments"),
]


@pytest.mark.parametrize(("changes", "part"), HUGE, ids=lambda value: str(value)[:24])
def test_sizes_are_refused_before_memory_is_taken(
    changes: dict[str, Any], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_budget, "machine_memory", lambda: 16e9)
    config = validate(replace(Config(), changes))
    with pytest.raises(
        ConfigError, match=rf"\({part} .* GB.*half of the 16\.0 GB here.*--memory-budget-gb"
    ) as caught:
        check_budget(config, SPEC)
    allowed = float(str(caught.value).split()[-1])
    check_budget(dataclasses.replace(config, memory_budget_gb=allowed), SPEC)
    if part == "environments":
        with pytest.raises(ConfigError, match="reduce num_envs"):
            check_environments(config)


def test_a_text_names_one_trusted_module_and_no_part_of_its_name(tmp_path: Path, another_user: Any) -> None:
    folder = make_run(tmp_path / "run").folder
    change_config(folder, env="my_pkg:Arm-v0")
    another_user()
    Run.open(folder, trust_modules="my_pkg")
    with pytest.raises(RunError, match="add --trust-module my_pkg"):
        Run.open(folder, trust_modules="my_pkg_too")
    for wrong in (None, 3, [3], b"my_pkg"):
        with pytest.raises(ConfigError, match=r"trust_modules: found .*; give a list of names"):
            Run.open(folder, trust_modules=wrong)  # type: ignore[arg-type]


def test_usual_settings_fit_a_small_machine_and_a_large_observation_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_budget, "machine_memory", lambda: 4e9)
    agents = ("joule", "sac", "td3", "tqc", "crossq", "ppo", "random")
    for agent in agents:
        check_budget(dataclasses.replace(Config(), agent=agent), SPEC)  # type: ignore[arg-type]
    wide = dataclasses.replace(SPEC, observation=(ObservationPart("state", (1_000_000,), "float32"),))
    for agent in agents[:-1]:
        with pytest.raises(ConfigError, match="memory: this agent may take"):
            check_budget(dataclasses.replace(Config(), agent=agent), wide)  # type: ignore[arg-type]
    large = validate(replace(Config(), {"learning.replay_capacity_transitions": 100_000_000}))
    check_budget(large, SPEC)
    with pytest.raises(ConfigError, match="replay buffer"):
        check_budget(large, SPEC, rows=100_000_000)


def test_memory_that_is_not_there_is_one_sentence() -> None:
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):
        with (
            pytest.raises(
                MemoryShort, match="memory is short: the agent of these settings takes up to about"
            ),
            allocating(Config(), SPEC),
        ):
            raise error
    with pytest.raises(ValueError, match="another"), allocating(Config(), SPEC):
        raise ValueError("another")

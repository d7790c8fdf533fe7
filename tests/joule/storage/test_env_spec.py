"""The specification of an environment is the same after `run.json`, and forged entries are refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.configurator.settings import Config
from agent.interface import EnvSpec
from envs.env_spec import EnvSpec as MadeEnvSpec
from envs.env_spec import ObservationPart
from joule.storage.env_spec import StoredEnvSpec, spec_of_run, spec_to_json
from joule.storage.errors import RunError
from joule.storage.run_folder import Run

SPEC = MadeEnvSpec(
    env="my_pkg:Arm",
    resolved="my_pkg:Arm-v0",
    observation=(
        ObservationPart("state", (17,), "float32", (1, 4)),
        ObservationPart("camera", (8, 8, 3), "uint8"),
    ),
    action_size=3,
    episode_limit=200,
    action_repeat=2,
    seconds_per_decision=0.04,
    readout_sizes={"qpos": 4, "qvel": 4},
    mujoco=True,
    derived_readouts={"position": {"of": "qpos", "indices": [0, 1]}},
)
NAMES = ("env", "observation", "observation_size", "action_size", "episode_limit", "action_repeat",
         "readout_sizes", "derived_readouts")  # fmt: skip


def opened(folder: Path, entries: dict[str, Any]) -> Run:
    """A run with these entries, read from its folder."""
    return Run.open(Run.create(folder, Config(), [], entries).folder)


def test_a_specification_is_read_as_it_was_stored(tmp_path: Path) -> None:
    stored = spec_of_run(opened(tmp_path / "made", spec_to_json(SPEC) | {"deterministic": False}))
    assert isinstance(stored, EnvSpec)
    assert {name: getattr(stored, name) for name in NAMES} == {name: getattr(SPEC, name) for name in NAMES}
    again = spec_of_run(opened(tmp_path / "stored", spec_to_json(stored)))
    assert isinstance(again, StoredEnvSpec)
    assert again == stored
    assert again.other == {
        "resolved": "my_pkg:Arm-v0", "seconds_per_decision": 0.04, "mujoco": True, "deterministic": False,
        "physics": SPEC.physics,
    }  # fmt: skip
    assert json.dumps(spec_to_json(again), sort_keys=True) == json.dumps(
        spec_to_json(SPEC) | {"deterministic": False}, sort_keys=True
    )


def test_the_specification_of_another_class_is_stored_too(tmp_path: Path) -> None:
    plain: Any = SimpleNamespace(**{name: getattr(SPEC, name) for name in NAMES})
    stored = spec_of_run(opened(tmp_path / "run", spec_to_json(plain)))
    assert {name: getattr(stored, name) for name in NAMES} == vars(plain)


def test_a_run_of_before_angles_were_known_has_none(tmp_path: Path) -> None:
    parts = [{"name": "state", "shape": [17], "dtype": "float32"}]
    stored = spec_of_run(opened(tmp_path / "run", spec_to_json(SPEC) | {"observation": parts}))
    assert stored.observation == (ObservationPart("state", (17,), "float32"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("env", 3), ("env", None),
        ("action_size", 0), ("action_size", True), ("action_size", 10**7), ("action_size", 2.0),
        ("action_repeat", None), ("episode_limit", -1), ("episode_limit", 10**13),
        ("readout_sizes", [4]), ("readout_sizes", {"qpos": -4}), ("readout_sizes", None),
        ("derived_readouts", None), ("derived_readouts", [1]),
        ("observation", None), ("observation", []), ("observation", {"name": "state"}), ("observation", [3]),
        ("observation", [{"name": "state", "shape": [17]}]),
        ("observation", [{"name": 3, "shape": [17], "dtype": "float32"}]),
        ("observation", [{"name": "state", "shape": 17, "dtype": "float32"}]),
        ("observation", [{"name": "state", "shape": [-17], "dtype": "float32"}]),
        ("observation", [{"name": "state", "shape": [10**6, 2], "dtype": "float32"}]),
        ("observation", [{"name": "state", "shape": [1] * 9, "dtype": "float32"}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": "object"}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": ["float32"]}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": "float32"}] * 2),
        ("observation", [{"name": "state", "shape": [17], "dtype": "float32", "angles": [17]}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": "float32", "angles": [1, 1]}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": "float32", "angles": [-1]}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": "float32", "angles": [True]}]),
        ("observation", [{"name": "state", "shape": [17], "dtype": "float32", "angles": 3}]),
    ],
)  # fmt: skip
def test_a_forged_entry_is_refused_by_name(tmp_path: Path, name: str, value: Any) -> None:
    run = opened(tmp_path / "run", spec_to_json(SPEC) | {name: value})
    with pytest.raises(RunError, match=rf"run\.json gives {name} as") as caught:
        spec_of_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "observation_size"])
def test_a_missing_entry_is_refused_by_name(tmp_path: Path, name: str) -> None:
    entries = spec_to_json(SPEC)
    del entries[name]
    with pytest.raises(RunError, match=rf"run\.json gives {name} as None"):
        spec_of_run(opened(tmp_path / "run", entries))

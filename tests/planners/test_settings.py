"""Settings of planners and regularisers: what is refused, and that the source is read as Python reads it."""

import dataclasses
import math
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import planners
from agent.configurator import kinds
from planners import SettingError
from planners.mppi import MPPI, MPPISettings

OWN_SETTINGS = [(section, kind) for section in ("planner", "regularizer") for kind in kinds.table(section)]


@pytest.mark.parametrize(("section", "kind"), OWN_SETTINGS)
def test_settings_read_from_the_source_are_those_of_the_dataclass(section: str, kind: str) -> None:
    module, _, name = kinds.table(section)[kind].partition(":")
    found = import_module(module)
    settings_class = planners.settings(kind) if section == "planner" else getattr(found, name)
    types = typing.get_type_hints(settings_class)
    expected = {
        field.name: (types[field.name], field.default, *field.metadata.get("range", (None, None)))
        for field in dataclasses.fields(settings_class)
    }
    read = kinds.settings_of(section, kind)
    assert {name: (s.type, s.default, s.low, s.high) for name, s in read.items()} == expected
    assert list(read) == list(expected)


@pytest.mark.parametrize(("section", "kind"), OWN_SETTINGS)
def test_every_setting_has_a_help_text_of_one_line(section: str, kind: str) -> None:
    for name, found in kinds.settings_of(section, kind).items():
        assert found.text.endswith("."), f"{name}: {found.text!r}"
        assert "\n" not in found.text, f"{name}: {found.text!r}"


def test_importing_planners_does_not_import_torch() -> None:
    script = (
        "import sys, planners; assert planners.KINDS; assert 'make' in dir(planners);"
        "assert not {'torch', 'mujoco', 'numpy'} & set(sys.modules), 'heavy'"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("mpii", {}, r"found 'mpii'.*did you mean mppi\?"),
        ("mppi", {"sample": 3}, r"sample: planner mppi accepts samples.*did you mean samples\?"),
        ("cem", {"temperature": 1.0}, "temperature: planner cem accepts samples, iterations"),
        ("mppi", {"samples": 0}, "samples: 0 is outside 1 to 1,000,000"),
        ("mppi", {"temperature": math.nan}, "temperature: nan is outside"),
        ("cem", {"elites": 200, "samples": 100}, "elites: 200 exceeds samples 100"),
        ("icem", {"std_min": 0.9}, "std_min: 0.9 exceeds std_max 0.5"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(kind: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        planners.make(kind, horizon=3, low=-1.0, high=1.0, **values)


@pytest.mark.usefixtures("unchecked")  # else the check of signatures comes first
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 2.5}, "samples: found 2.5, expected a whole number"),
        ({"samples": True}, "samples: found True, expected a whole number"),
        ({"relative": 1}, "relative: found 1, expected true or false"),
        ({"std_max": "wide"}, "std_max: found 'wide', expected a number"),
    ],
)
def test_a_setting_of_the_wrong_type_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        planners.make("mppi", horizon=3, low=-1.0, high=1.0, **values)


def test_none_leaves_a_setting_at_its_default() -> None:
    assert planners.settings("mppi") is MPPISettings
    planner = planners.make("mppi", horizon=3, low=-1.0, high=1.0, samples=None, std_max=2)
    assert isinstance(planner, MPPI)
    assert planner.settings == MPPISettings()


@pytest.mark.parametrize(
    ("low", "high", "counts", "message"),
    [
        (-torch.ones(2), torch.tensor([1.0, math.inf]), {}, "low, high"),
        (torch.ones(2), torch.ones(2), {}, "low, high"),
        (-torch.ones(1, 2), torch.ones(1, 2), {}, "low, high"),
        (-1.0, 1.0, {"horizon": 0}, "horizon: 0"),
        (-1.0, 1.0, {"batch": 0}, "batch: 0"),
    ],
)
def test_a_box_that_cannot_be_used_is_refused(
    low: Any, high: Any, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        planners.make("mppi", low=low, high=high, **{"horizon": 3, **counts})


def test_a_planner_of_ones_own_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_planner.py").write_text("class Half:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cases = {
        "nowhere:Planner": "planner mine: there is no module nowhere",
        "half_planner:Hlaf": "module half_planner has no class Hlaf$",
        "half_planner:Half": "module half_planner has no class HalfSettings",
    }
    for home, sentence in cases.items():
        monkeypatch.setitem(planners.KINDS, "mine", home)
        with pytest.raises(SettingError, match=sentence):
            planners.make("mine", horizon=1, low=-1.0, high=1.0)

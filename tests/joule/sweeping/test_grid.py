"""The settings that a sweep varies: what their texts mean, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.errors import ConfigError
from joule.sweeping.grid import Range, read_grid
from joule.sweeping.plan import Plan, check_plan, read_plan


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("learning.batch_size=64,256", (64, 256)),
        ("learning.batch-size=1e2", (100,)),
        ("planner.kind=mppi, icem", ("mppi", "icem")),
        ("eval_process=true,false", (True, False)),
        ("perturb=,mass=2", ((), ("mass=2",))),
        ('perturb=["mass=2", ["mass=2", "gravity=0.5"]]', (("mass=2",), ("mass=2", "gravity=0.5"))),
        ('env_kwargs=[{"a": 1}, {}]', ({"a": 1}, {})),
        ("learning.learning_rate=1e-4..1e-3", Range(1e-4, 1e-3, whole=False, log=False)),
        ("learning.learning_rate=1e-4..1e-3:log", Range(1e-4, 1e-3, whole=False, log=True)),
        ("learning.batch_size=64..256", Range(64, 256, whole=True, log=False)),
    ],
)
def test_a_text_names_values_or_a_range(text: str, meant: object) -> None:
    assert list(read_grid([text]).values()) == [meant]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["learning.batch_size"], "expected NAME=VALUE,VALUE"),
        (["learning.batch_size="], "learning.batch_size has no values"),
        (["learning.batch_size=[]"], "learning.batch_size has no values"),
        (["learning.batchsize=64"], "unknown setting learning.batchsize; did you mean learning.batch_size?"),
        (["learning.batch_size=64,many"], "--grid: learning.batch_size: 'many' is not a number"),
        (["learning.batch_size=1.5"], "--grid: learning.batch_size: 1.5 is not a whole number"),
        (["learning.batch_size=64,6.4e1"], "learning.batch_size: 64 comes twice"),
        (["cost.action=0", "cost.action=1"], "cost.action comes twice"),
        (["seed=1,2"], "seed has an option of its own, --seeds"),
        (["learning.learning_rate=1e-3..1e-4"], "whose first end is not the smaller"),
        (["cost.action=0..1:log"], "a logarithmic range begins above 0"),
        (["eval_process=yes"], "--grid: eval_process: found 'yes', expected true or false"),
        (["perturb=[1"], "perturb is no JSON list"),
    ],
)
def test_what_names_no_values_is_refused(texts: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_grid(texts)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (Plan(envs=()), "--envs: empty"),
        (Plan(seeds=(1, 2, 1)), "--seeds: 1 comes twice"),
        (Plan(agents=("jole",)), "did you mean joule?"),
        (Plan(seeds=(-1,)), "--seeds: -1 is less than 0"),
        (Plan(preset="fast"), "--preset"),
        (Plan(grid={"cost.action": Range(0.0, 1.0, False, False)}), "which needs --search N"),
        (Plan(grid={"cost.action": (0.0, 1.0)}, search=0), "--search: 0 is less than 1"),
        (Plan(grid={"cost.action": (0.0,)}, search=5), "nothing to vary"),
        (Plan(settings={"cost.action": 1.0}, grid={"cost.action": (0.0,)}), "give one of the two"),
        (Plan(seeds=tuple(range(1_000)), grid={"learning.batch_size": tuple(range(101))}), "101,000 trials"),
    ],
)
def test_a_plan_that_trains_nothing_or_something_twice_is_refused(plan: Plan, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_plan(plan)
    assert sentence in str(refused.value)


def test_a_file_holds_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps({
        "agents": ["joule", "sac"], "envs": ["Hopper-v5"], "seeds": [1, 2], "steps": 1000,
        "settings": {"perturb": ["mass=2"]}, "search": 3,
        "grid": {"learning.batch_size": [64, 256], "learning.learning_rate": "1e-4..1e-3:log"},
    }))  # fmt: skip
    assert read_plan(path) == Plan(
        ("joule", "sac"), ("Hopper-v5",), (1, 2), "default", {"perturb": ("mass=2",), "steps": 1000},
        {"learning.batch_size": (64, 256), "learning.learning_rate": Range(1e-4, 1e-3, False, True)}, 3,
    )  # fmt: skip


def test_one_text_alone_will_do_in_a_file_as_in_a_grid(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    path.write_text('{"settings": {"perturb": "mass=2"}, "grid": {"constraint": ["speed<2"]}}')
    assert read_plan(path).settings == {"perturb": ("mass=2",)}
    assert read_plan(path).grid == {"constraint": (("speed<2",),)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "is not a JSON object"),
        ("{", "is not JSON"),
        ('{"agent": ["sac"]}', "did you mean agents?"),
        ('{"seeds": 1}', "seeds is 1, expected a list"),
        ('{"grid": []}', "grid is a list of 0, expected an object"),
        ('{"grid": {"cost.action": 1}}', "cost.action is 1, expected a list of values"),
        ('{"settings": {"cost.acton": 1}}', "did you mean cost.action?"),
        ('{"settings": {"num_envs": 1, "num-envs": 2}}', "num_envs comes twice"),
        ('{"steps": 1, "settings": {"steps": 2}}', "steps comes twice"),
        ('{"grid": {"num_envs": [1], "num-envs": [2]}}', "num_envs comes twice"),
    ],
)
def test_a_file_that_holds_no_plan_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "sweep.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_plan(path)
    assert sentence in str(refused.value)

"""A planner or a regulariser in a file of the user's own, named `module:Class`, and runs that have one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_env
import torch
from run_files import make_run

import joule
import planners
from agent.configurator import kinds
from agent.configurator.dotted_names import replace
from agent.configurator.kinds import home_of
from agent.configurator.settings import Config, PlannerConfig, RegularizerConfig
from agent.configurator.validation import validate
from agent.errors import ConfigError
from agent.perception import regularizers
from joule.cli.options import given_settings
from joule.commands import evaluate, sweep, train
from joule.playing.steering import Steering
from joule.storage.errors import RunError
from joule.storage.run_folder import Run
from joule.sweeping.grid import Range, read_grid
from joule.sweeping.trials import grid_trials
from joule.trained import Request
from joule_schema.own_modules import names_class, source_of

pytestmark = pytest.mark.usefixtures("unchecked")

SOURCE = '''
from dataclasses import dataclass
import torch
from agent.perception.regularizers import SimNorm
from planners.base import Plan, check_settings, setting

@dataclass(frozen=True)
class StillSettings:
    force: float = setting(0.0, -1.0, 1.0)
    """The action."""

    def __post_init__(self):
        check_settings(self)

class Still:
    def __init__(self, settings, horizon, low, high, batch=1):
        self.force, self.shape = settings.force, (batch, horizon, len(low))

    def plan(self, energy, *, warm_start=None, proposals=None, generator=None, proceed=None):
        actions = torch.full(self.shape, self.force)
        return Plan(actions, energy(actions.unsqueeze(1))[:, 0])

@dataclass(frozen=True)
class Groups(SimNorm):
    group_size: int = setting(4, 2, 64)
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with `own_search.py` in it."""
    (tmp_path / "own_search.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own_search", raising=False)
    return tmp_path


def agent_of(small: Mapping[str, Any], **changes: Any) -> Any:
    settings = {name: value for name, value in small.items() if not name.startswith("planner.")}
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return joule.make("joule", env=tiny_env.ID, settings={**settings, "env": tiny_env.ID, **changes})


def gone(own: Path) -> None:
    """As in another program, and on another machine."""
    (own / "own_search.py").unlink()
    sys.modules.pop("own_search", None)


def test_a_run_keeps_the_names_and_acts_with_another_planner_where_they_are_gone(
    small: Mapping[str, Any], own: Path
) -> None:
    agent = agent_of(
        small, planner__kind="own_search:Still", planner__force=0.25, regularizer__kind="own_search:Groups"
    )
    agent.learn(60)
    agent.save(own / "run")
    obs = tiny_env.Point().reset(seed=1)[0]
    again: Any = joule.load(own / "run")
    assert again.predict(obs, deterministic=True)[0] == pytest.approx([0.25])
    assert type(again.modules.networks.encoder.regularizer).__name__ == "Groups"
    assert joule.load(own / "run", settings={"planner.force": -0.5}).predict(obs)[0] == pytest.approx([-0.5])
    gone(own)
    with pytest.raises(ConfigError, match=r"^planner.kind: there is no module own_search$"):
        joule.load(own / "run")
    with pytest.raises(ConfigError, match=r"^regularizer.kind: there is no module own_search$"):
        joule.load(own / "run", settings={"planner.kind": "mppi"})
    known = {"planner.kind": "mppi", "regularizer.kind": "simnorm"}
    assert joule.load(own / "run", settings=known).predict(obs)[0].shape == (1,)


def test_experience_is_learned_from_without_the_planner_that_collected_it(
    small: Mapping[str, Any], own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agent_of(small, planner__kind="own_search:Still", planner__force=0.25).learn(60).save(own / "run")
    gone(own)
    monkeypatch.setenv("XDG_STATE_HOME", str(own / "another user"))
    changes = {"planner.kind": "mppi", "planner.samples": 16, "video": False}
    begun = joule.train(init_from=own / "run", out=own / "begun", settings=changes, steps=20, progress=False)
    assert begun.agent.frames == 20
    options = {
        name: value for name, value in small.items() if "explore" not in name and "learning" not in name
    }
    options |= {"steps": 20, "eval_every_frames": 20}
    data = joule.train(settings={**options, "data": str(own / "run")}, out=own / "data", progress=False)
    assert data.agent.config.data
    assert not caplog.records  # nothing is said of a planner that is not used
    with pytest.raises(RunError, match="--trust-module own_search"):
        joule.train(init_from=own / "run", out=own / "refused", steps=20, progress=False)


@pytest.mark.parametrize(
    "source", ["class Other: pass", "class Still:\n    (", "class Still: force: float = {[1]: 2}"]
)
def test_a_run_is_opened_with_another_planner_where_its_own_has_changed(
    source: str, small: Mapping[str, Any], own: Path
) -> None:
    agent_of(small, planner__kind="own_search:Still", planner__force=0.25).save(own / "run")
    (own / "own_search.py").write_text(source)
    kinds._read.cache_clear()
    assert joule.load(own / "run", settings={"planner.kind": "mppi"}).config.planner.kind == "mppi"
    with pytest.raises(ConfigError):
        joule.load(own / "run")
    kinds._read.cache_clear()


def test_another_planner_is_no_trust_in_anything_else(
    small: Mapping[str, Any], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_of(small, planner__kind="own_search:Still").save(own / "planned")
    agent_of(small, regularizer__kind="own_search:Groups").save(own / "shaped")
    sys.modules.pop("own_search")
    monkeypatch.setenv("XDG_STATE_HOME", str(own / "another user"))
    for run, settings in (
        ("planned", {}),
        ("planned", {"planner.kind": "own_search:Still"}),  # a program may pass on what it read in the run
        ("planned", {"planner.force": 0.5}),
        ("shaped", {}),
        ("shaped", {"planner.kind": "icem"}),
    ):
        with pytest.raises(
            RunError, match=r"would use the module own_search; .* add --trust-module own_search$"
        ):
            joule.load(own / run, settings=settings)
    assert joule.load(own / "planned", settings={"planner.kind": "icem"})
    assert "own_search" not in sys.modules
    assert joule.load(own / "planned", trust_modules=["own_search"])


def test_a_run_with_a_planner_that_another_program_named_acts_with_a_known_one(
    small: Mapping[str, Any], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as program:
        program.setitem(planners.KINDS, "still", "own_search:Still")
        agent_of(small, planner__kind="still", planner__force=0.25).learn(30).save(own / "run")
    with pytest.raises(ConfigError, match=r"planner.kind: found 'still', expected one of .* or module:Class"):
        joule.load(own / "run")
    for kind in ("own_search:Still", "mppi"):
        loaded = joule.load(own / "run", settings={"planner.kind": kind})
        kept = {"force": 0.25} if kind == "own_search:Still" else {}
        assert loaded.config.planner == PlannerConfig(kind, loaded.config.planner.horizon_decisions, kept)


def test_the_modules_of_another_user_are_named_and_not_imported(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = own / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "search.py").write_text(f"{SOURCE}\nraise SystemExit('imported')\n")
    config = replace(Config(), {"planner.kind": "theirs.search:Still", "planner.force": 0.5})
    folder = make_run(own / "run", planner=config.planner, env="arms:Arm-v0").folder
    assert Run.open(folder).config.planner == config.planner
    monkeypatch.setenv("XDG_STATE_HOME", str(own / "another user"))
    with pytest.raises(
        RunError,
        match=r"its environment arms:Arm-v0 would import the module arms, and its planner theirs.search:Still "
        r"would use the module theirs.search; if you trust both, add --trust-module arms "
        r"--trust-module theirs.search$",
    ):
        Run.open(folder)
    assert Run.open(folder, trust_modules=["arms", "theirs.search"]).config.planner == config.planner
    with pytest.raises(
        RunError, match=r"would import the module arms; if you trust it, add --trust-module arms$"
    ):
        Request(folder, {"planner.kind": "mppi"})
    assert Request(folder, {"planner.kind": "mppi"}, trust_modules=["arms"]).config.planner == config.planner
    assert "theirs" not in sys.modules


@pytest.mark.parametrize("kind", ["os:abort", "agent.perception.regularizers:SimNorm", "arms:Still"])
def test_a_class_of_another_user_is_trusted_although_its_module_is_imported(
    kind: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "arms", sys)
    (own / "arms.py").write_text(SOURCE)
    folder = make_run(own / "run", regularizer=RegularizerConfig(kind), env="arms:Arm-v0").folder
    monkeypatch.setenv("XDG_STATE_HOME", str(own / "another user"))
    module = kind.partition(":")[0]
    with pytest.raises(
        RunError, match=f"would use the module {module}; if you trust it, add --trust-module {module}$"
    ):
        Run.open(folder)
    with pytest.raises(RunError, match=f"--trust-module {module}$"):
        Run.open(folder, trust_modules=["sys"])


def test_a_regulariser_is_a_class() -> None:
    with pytest.raises(ConfigError, match=r"^regularizer.kind: module os has no class abort$"):
        regularizers.make("os:abort")


def test_a_page_to_play_offers_the_planner_of_the_run(small: Mapping[str, Any], own: Path) -> None:
    steering = Steering(agent_of(small, planner__kind="own_search:Still"))
    for kind in ("mppi", "own_search:Still", "policy"):
        steering.choose_planner(kind)
        assert steering.planner == kind
        assert {kind, "own_search:Still"} <= set(steering.planners)


def test_the_command_line_takes_the_settings_of_a_planner_of_ones_own(own: Path) -> None:
    words = ["--planner.kind", "own_search:Still", "--planner.force", "0.5"]
    parser = train.parser(words)
    assert given_settings(parser.parse(words)) == {"planner.kind": "own_search:Still", "planner.force": 0.5}
    assert "The action. (of own_search:Still; default: 0.0)" in " ".join(parser.format_help().split())
    assert "own_search" not in sys.modules
    for kind, message in (
        ("own_serch:Still", r"^planner.kind: there is no module own_serch$"),
        ("own_search.py:Still", r"no module own_search.py; write own_search:Still$"),
        ("own_search", r"^argument --planner.kind: invalid choice: 'own_search'"),
        ("__main__:Still", r"^planner.kind: .*; name a class in a file of its own"),
    ):
        with pytest.raises(ConfigError, match=message):
            train.main(["--planner.kind", kind])
    with pytest.raises(ConfigError, match=r"unknown setting planner.force"):
        replace(Config(), {"planner.kind": ["own_search:Still"], "planner.force": 2.0})
    with pytest.raises(ConfigError, match=r"planner.force: 2.0 is outside -1 to 1"):
        validate(replace(Config(), {"planner.kind": "own_search:Still", "planner.force": 2.0}))
    (own / "own_search.py").write_text("class Still(:")
    with pytest.raises(ConfigError, match=r"own_search.py cannot be read: .*line 1"):
        replace(Config(), {"planner.kind": "own_search:Others"})


def test_a_run_takes_the_settings_of_its_planner_without_the_kind(
    small: Mapping[str, Any], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_of(small, planner__kind="own_search:Still", planner__force=0.25).save(own / "run")
    given = {"planner.force": 0.5}
    for command, words in ((train, ["--resume", "run"]), (evaluate, ["run", "--episodes", "1"])):
        words = [*words, "--planner.force", "0.5"]
        assert given_settings(command.parser(words).parse(words)) == given
    loaded: Any = joule.load("run", settings=given)
    assert loaded.predict(tiny_env.Point().reset(seed=1)[0])[0] == pytest.approx([0.5])


def test_a_sweep_varies_the_settings_of_a_planner_of_ones_own(own: Path) -> None:
    (own / "plan.json").write_text(
        '{"settings": {"planner.kind": "own_search:Still"}, "grid": {"planner.force": [0]}}'
    )
    for words in (
        ["--planner.kind", "own_search:Still", "--grid", "planner.force=0,0.5"],
        ["--grid", "planner.force=0,0.5", "planner.kind=own_search:Still"],
        ["--file", "plan.json", "--grid", "planner.force=0,0.5"],
    ):
        plan = sweep.plan_of(sweep.parser(words).parse(words))
        assert plan.grid["planner.force"] == (0.0, 0.5)
        trials, _ = grid_trials(plan, own)
        assert [one.config.planner.settings for one in trials if one.config] == [{}, {"force": 0.5}]
    for text, message in (
        ("planner.forse=1", r"^--grid: unknown setting planner.forse; did you mean planner.force\?$"),
        ("planner.force=much", r"^--grid: planner.force: 'much' is not a number$"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_grid([text, "planner.kind=mppi,own_search:Still"])
    assert "own_search" not in sys.modules


def test_own_settings_may_have_any_type_and_no_name_that_is_taken(own: Path) -> None:
    (own / "odd_search.py").write_text(
        "class Odd:\n    samples: float = 1.0\n    colour: bool = False\n    few: int = 3\n"
        "class Taken:\n    horizon_decisions: int = 3\n"
    )
    grid = read_grid(
        [
            "planner.colour=true,false",
            "planner.samples=0.5",
            "planner.few=1..4",
            "planner.kind=odd_search:Odd",
        ]
    )
    assert [*grid.values()][:3] == [(True, False), (0.5,), Range(1, 4, whole=True, log=False)]
    for text in ("planner.colour=1", "planner.few=1.5"):
        with pytest.raises(ConfigError, match=rf"^--grid: {text.partition('=')[0]}: "):
            read_grid(["planner.kind=odd_search:Odd", text])
    with pytest.raises(
        ConfigError, match=r"^planner.horizon_decisions: odd_search:Taken has a setting of this name"
    ):
        train.parser(["--planner.kind", "odd_search:Taken"])


def test_the_factory_makes_a_planner_of_ones_own(own: Path) -> None:
    one = torch.ones(1)
    planner = planners.make("own_search:Still", horizon=2, low=-one, high=one, force=0.5)
    assert planner.plan(lambda actions: actions.sum((2, 3))).energy == 1.0
    for name, lacks in (("Other", "no class Other"), ("Groups", "no class GroupsSettings")):
        with pytest.raises(planners.SettingError, match=f"^planner own_search:{name}: .* has {lacks}$"):
            planners.make(f"own_search:{name}", horizon=2, low=-one, high=one)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import absent_package", "importing own_search needs the package 'absent_package', not installed"),
        ("1 / 0", "importing own_search raised ZeroDivisionError: division by zero, at own_search.py:1"),
        ("class Bad: x = 0", "making it raised TypeError: Bad() takes no arguments"),
        (
            "class Bad:\n    def __init__(self, *of, **named):\n        raise KeyError(1)",
            "making it raised KeyError: 1, at own_search.py:3",
        ),
        ("class Bad:\n    def __init__(self, *of, **named): pass", "Bad has no method "),
    ],
)
def test_a_class_that_cannot_be_made_is_one_sentence(source: str, sentence: str, own: Path) -> None:
    (own / "own_search.py").write_text(f"{source}\nclass BadSettings: pass")
    one = torch.ones(1)
    with pytest.raises(planners.SettingError) as refused:
        planners.make("own_search:Bad", horizon=2, low=-one, high=one)
    assert str(refused.value).removeprefix("planner own_search:Bad: ").removesuffix("plan") == sentence
    with pytest.raises(ConfigError) as not_made:
        regularizers.make("own_search:Bad", {"group": 2})
    assert str(not_made.value).partition(": ")[2].replace("no project", "no method ") == sentence


def test_a_name_is_a_module_and_a_class(own: Path) -> None:
    assert names_class("a.b_2:Cd")
    assert not any(map(names_class, ("icem", "a:", ":A", "a:B:C", "a b:C", "a:B\n", "../a:B", "a.:B")))
    assert [home_of("planner", kind) for kind in ("cem", "a:B", "a")] == ["planners.cem:CEM", "a:B", None]
    assert source_of("own_search") == own / "own_search.py"
    assert source_of("sys") is None
    (own / "deep" / "er").mkdir(parents=True)
    (own / "deep" / "er" / "search.py").touch()
    assert source_of("deep.er.search") == own / "deep" / "er" / "search.py"
    for absent in (
        "own_search.part",
        "deep.er.absent",
        "deep.absent.search",
        "absent_here",
        "absent_here.part",
    ):
        with pytest.raises(ModuleNotFoundError, match=f"there is no module {absent}"):
            source_of(absent)

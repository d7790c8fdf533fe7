"""Constraints in words: what they forbid, and whether a task charges for violating them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import tiny_env
import torch

import envs
from agent.configurator.config_json import from_json, to_json
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.cost.constraint import Constraint, charge, covered_by_task, parse_constraint
from agent.cost.constraint_monitor import ConstraintMonitor
from agent.cost.readouts import Readouts
from agent.cost.regions import Disc, Limit, parse_disc
from agent.errors import ConfigError

LAYOUT = Readouts({"speed": 1, "place": 2}, {})


def violation(text: str, rows: list[list[float]]) -> list[float]:
    """By how much rows of speed and place violate a constraint, never below 0."""
    named = LAYOUT.of(torch.tensor(rows), torch.zeros(len(rows), 1), lambda: torch.zeros(len(rows)))
    found: list[float] = parse_constraint(text).cost(named).clamp_min(0.0).tolist()
    return found


def test_limits_and_discs_measure_the_violation() -> None:
    rows = [[3.0, 0.0, 0.0], [-1.0, 0.5, -4.0]]
    assert violation("speed<2", rows) == pytest.approx([1.0, 0.0])
    assert violation("speed<=2", rows) == violation("speed<2", rows)
    assert violation("speed > -0.5", rows) == pytest.approx([0.0, 0.5])
    assert violation("place>-1", rows) == pytest.approx([0.0, 3.0])
    assert violation("place.0<0.4", rows) == pytest.approx([0.0, 0.1])
    assert violation("out-of:x=0,y=0,r=1,of=place", rows) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize(
    "text",
    [
        "speed",
        "speed<fast",
        "2<speed",
        "a+b<1",
        "a,b<1",
        "speed<1,2",
        "zone:x=0",
        "speed<nan",
        "out-of:x=1",
        "out-of:x=0,y=0,r=1,z=2",
    ],
)
def test_text_that_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_constraint(text)


def test_a_bound_that_is_no_number_is_named_as_it_was_written() -> None:
    for text, value in (("speed<1,5", "1,5"), ("speed<2km/h", "2km/h"), ("speed < nan", "nan")):
        said = (
            f"constraint: '{value}' in {text} is not a finite number; write one such as 1.5, without a unit"
        )
        with pytest.raises(ConfigError, match=re.escape(said)):
            parse_constraint(text)


DISC = "out-of:x=0,y=0,r=1"


@pytest.mark.parametrize(
    ("constraints", "task"),
    [
        (("speed <2", DISC), "own+20*keep:speed<2+3*out-of:x=0,y=0,r=1"),
        (("speed <2", DISC), "out-of:x=0,y=0,r=1+keep: speed < 2"),
        (("speed<2.0",), "own+keep:speed<2"),
        (("speed<2",), "own+20*keep:speed<1.8"),  # a stricter limit
        (("height>0.3",), "own+keep:height>0.35"),
        ((DISC,), "own+out-of:r=1,y=0.0,x=0"),  # the same disc
        ((DISC,), "own+out-of:x=0,y=0,r=1,of=position"),
        ((DISC,), "own+out-of:x=0.5,y=0,r=1.5"),  # a disc that contains it
        (("out-of:x=0,y=0,r=0.5",), "own+out-of:x=0.3,y=0.4,r=1"),  # and that touches it from outside
        (("speed<2",), "own+-1*keep:height<1+keep:speed<2"),
        ((), "own"),
    ],
)
def test_a_task_covers_constraints_that_it_charges_for(constraints: tuple[str, ...], task: str) -> None:
    assert covered_by_task(constraints, task)


@pytest.mark.parametrize(
    ("constraint", "task"),
    [
        ("speed<8", "own+0*keep:speed<8"),  # charges nothing
        ("speed<8", "own+-1*keep:speed<8"),  # rewards the violation
        (DISC, "own+-0.5*out-of:x=0,y=0,r=1"),
        ("speed<8", "own+20*keep:speed<8+-30*keep:speed<8"),
        ("speed<2", "own+20*keep:speed<2.1"),  # a laxer limit
        ("speed<2", "own+20*keep:speed>2"),
        ("speed<2", "own+20*keep:pace<2"),
        ("height>0.3", "own+keep:height>0.2"),
        (DISC, "own+out-of:x=0,y=0,r=0.9"),
        (DISC, "own+out-of:x=0.5,y=0,r=1.4"),  # does not contain all of it
        (DISC, "own+out-of:x=0,y=0,r=1,of=place"),
        (DISC, "own+keep:position<2"),
        ("speed<2", "own"),
        ("speed<2", "python: careful"),
        ("python: careful", "own+keep:speed<2"),
        ("speed<2", ""),
    ],
)
def test_a_task_does_not_cover_what_it_does_not_charge_for(constraint: str, task: str) -> None:
    assert not covered_by_task((constraint,), task)


def test_a_constraint_is_covered_only_with_all_others() -> None:
    assert not covered_by_task(("speed<2", DISC), "own+20*keep:speed<2")
    assert not covered_by_task(("speed<2", DISC), "own+keep:speed<3+out-of:x=0,y=0,r=1")


@pytest.mark.parametrize(
    ("constraint", "term"),
    [
        ("speed<1.9", "keep:speed<1.5"),
        ("height>0.5", "keep:height>0.9"),
        ("x<1996.6", "keep:x<1996.1999999999998"),  # 2e+03 would be looser
        ("out-of:x=0,y=-1,r=0.5", "out-of:x=0.0,y=-1.0,r=0.7,of=position"),
    ],
)
def test_what_is_charged_is_stricter_than_the_constraint(constraint: str, term: str) -> None:
    assert charge(constraint, 0.4) == term
    assert covered_by_task((constraint,), f"own+20*{term}")


def test_a_limit_names_any_readout_that_an_environment_may_have() -> None:
    for name in ("left-knee", "joint angle", "q[0]", "fußpunkt"):
        limit = parse_constraint(f" {name} < 1.5").cost
        assert isinstance(limit, Limit)
        assert (limit.readout, limit.sign, limit.bound) == (name, 1.0, 1.5)


def test_the_text_of_a_function_is_a_limit_that_can_be_read_again() -> None:
    with pytest.raises(ConfigError, match=r"'not beyond 1.5' is no limit such as"):
        Constraint("slow", lambda r: r["speed"], "not beyond 1.5")


def test_discs_and_limits_are_values() -> None:
    assert parse_disc("y=0,x=0.0,r=1") == Disc(0.0, 0.0, 1.0)
    assert (
        parse_constraint("speed<2").cost == parse_constraint(" speed < 2.0").cost == Limit("speed", 1.0, 2.0)
    )
    assert Limit("speed", 1.0, 2.0).stricter_term(0.25) == "keep:speed<1.75"
    assert Limit("height", -1.0, 0.3).stricter_term(0.1) == "keep:height>0.4"


def test_constraints_are_settings_that_only_a_planner_can_keep() -> None:
    config = validate(replace(Config(), {"constraint": ("speed<2", DISC)}))
    assert from_json(to_json(config)) == config
    for other in ({"agent": "sac"}, {"planner.kind": "policy"}):
        with pytest.raises(ConfigError, match="cannot keep a constraint"):
            validate(replace(config, other))


@pytest.mark.parametrize(
    ("first", "second", "excluded"),
    [
        ("speed<1", "speed>2", True),
        ("speed>2", "speed<1", True),
        ("place>0", "place<=-0.5", True),
        ("place<1", "place.0>2", True),
        ("place.0<1", "place>2", True),
        ("place.0<1", "place.1>2", False),
        ("speed<2", "speed>1", False),
        ("speed<1", "speed>1", False),
        ("speed<1", "place>2", False),
        ("speed<1", "speed<2", False),
        ("place>0", DISC, False),
    ],
)
def test_two_limits_that_no_value_keeps_are_refused(first: str, second: str, excluded: bool) -> None:
    config = replace(Config(), {"constraint": (first, second)})
    if excluded:
        with pytest.raises(ConfigError, match=re.escape(f"keeps both {first} and {second}")):
            validate(config)
    else:
        validate(config)


def test_a_violation_that_is_no_number_keeps_nothing() -> None:
    env = envs.make(tiny_env.ID)
    monitor = ConstraintMonitor([Constraint("odd", lambda r: r["position"] * float("nan"))])
    watched = monitor.observe(env)
    watched.reset(seed=1)
    watched.step(np.zeros(1, np.float32))
    assert monitor.violations == [math.inf]
    assert monitor.per_thousand == 1000.0


def test_violations_of_several_constraints_are_counted_apart() -> None:
    env = envs.make(tiny_env.ID)
    limits = [
        Constraint("force", lambda r: 1e5 * (r["action.0"] - 0.5)),
        Constraint("place", lambda r: r["position"] - 9.0),
        Constraint("always", lambda r: 0.0 * r["position"] + 0.25),
    ]
    monitor = ConstraintMonitor(limits)
    nothing = {"per_1000": 0.0, "worst": 0.0}
    assert monitor.summaries() == [nothing] * 3
    watched = monitor.observe(env)
    watched.reset(seed=1)
    for action in (1.0, 0.0, 0.0, 0.0):
        watched.step(np.full(1, action, np.float32))
    force, place, always = monitor.summaries()
    assert force == {"per_1000": 250.0, "worst": pytest.approx(5e4)}
    assert place == nothing
    assert always == {"per_1000": 1000.0, "worst": pytest.approx(0.25)}
    assert (monitor.per_thousand, monitor.worst) == (1000.0, force["worst"])

"""Tasks: what their text means, how they add up, and an environment whose reward is a task."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from named_readouts import named

from agent.configurator.config_json import from_json, to_json
from agent.cost.readouts import TaskError
from agent.cost.task import Task
from agent.cost.task_text import parse
from agent.errors import ConfigError
from joule.environment import make_env


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("track:rate=2", [5.0, 3.0]),
        ("track:place=1,0", [3.0, 0.55]),
        ("track:rate=2,height=0.1", [8.6, 3.0]),
        ("track:place=1", [2.5, 0.65]),
        ("less:rate.0", [7.0, -1.0]),
        ("reach:place=0,0", [5.0, 0.5]),
        ("more:rate", [-7.0, 1.0]),
        ("less:place.0", [3.0, 0.3]),
        ("upright", [2.0, 0.0]),
        ("still", [3.5, 1.0]),
        ("control", [1.0, 0.125]),
        ("own", [10.0, 20.0]),
        ("nothing", [0.0, 0.0]),
        ("alive", [-1.0, -1.0]),
        ("track:rate=2 + 0.5*alive", [4.5, 2.5]),
        ("out-of:x=0,y=0,r=1", [0.0, 0.5]),
        ("out-of:x=0,y=0,r=1,of=qvel", [0.0, 0.0]),
        ("keep:rate<2", [5.0, 0.0]),
        ("2*keep:rate<=2", [10.0, 0.0]),
        ("keep:place.0>1", [0.0, 0.7]),
        ("own + 2*control+1e+1*upright", [32.0, 20.25]),
    ],
)
def test_each_term_has_its_cost(text: str, expected: list[float]) -> None:
    assert parse(text)(named()).tolist() == pytest.approx(expected)


def test_tasks_add_up_and_their_terms_stay_apart() -> None:
    task = Task("slow", lambda r: r["rate"]) + 0.5 * (parse("control") + parse("own"))
    assert [term.name for term in task.terms] == ["slow", "0.5 control", "0.5 own"]
    parts = [term(named()).tolist() for term in task.terms]
    assert task(named()).tolist() == pytest.approx(np.sum(parts, axis=0).tolist())
    assert task.text is None
    assert (parse("own") + 2 * parse("control")).text == "own+2*control"
    one, other = parse("own"), parse("control")
    both: Any = sum([one, other])
    assert both.text == "own+control"
    assert (one - other * 2).text == "own+-2*control"
    assert (-one).text == "-1*own"


@pytest.mark.usefixtures("unchecked")
def test_only_tasks_add_up_and_only_numbers_weight_them() -> None:
    one: Any = parse("own")
    for wrong in (lambda: one + "control", lambda: one - 1, lambda: one * one, lambda: [1.0] * one):
        with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
            wrong()


@pytest.mark.parametrize(
    ("cost", "sentence"),
    [
        (lambda r: r["place"], "'odd' must give one cost a row, .*; take one of the 2 numbers"),
        (lambda r: r["rate"].numpy(), "it gave ndarray, no tensor"),
        (lambda r: 1.0, "it gave float, no tensor"),
        (lambda r: r["rate"] > 1.0, r"gave truth values; give numbers, as r\['speed'\] - 1"),
        (lambda r: 1 / 0, "'odd' raised ZeroDivisionError: division by zero"),
        (lambda r: r["plce"], "'plce' is no readout of this environment"),
    ],
)
def test_a_function_that_gives_no_cost_is_named(cost: Any, sentence: str) -> None:
    with pytest.raises(TaskError, match=sentence):
        Task("odd", cost)(named())


@pytest.mark.parametrize("text", ["0.001*own", "1e-5*own+less:rate", "own+-1e-3*control", "-2*own"])
def test_weights_may_be_small_or_negative(text: str) -> None:
    written = parse(text).text
    assert written is not None
    assert parse(written).text == written


def test_weights_multiply_and_read_back_exactly() -> None:
    task = 0.5 * parse("track:position=0.2+0.1234567*control")
    assert task.text == "0.5*track:position=0.2+0.06172835*control"
    assert parse(task.text).text == task.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trak:rate=2", "did you mean track"),
        ("own-0.1*control", r"join terms by \+, as in own\+-0.1\*control"),
        ("track:rate", "give a readout and its value"),
        ("track:rate=fast", "rate=fast is not a number"),
        ("reach:place=nan,0", "is not a number"),
        ("out-of:x=0,y=0", "takes x, y, r and of"),
        ("out-of:x=0,y=0,r=0", "r is above 0"),
        ("upright:now", "takes nothing"),
        ("keep:rate", "give a limit"),
        ("keep:rate<fast", "'fast' in rate<fast is not a finite number; .*, without a unit"),
        ("keep:rate<1,5", "keep: found rate<1,5; give a limit"),
        ("keep:rate=2", "keep: found rate=2; give a limit, as in keep:speed<8"),
        ("less:rate=2", "less: found rate=2; give one readout"),
        ("track:rate=2m/s", "rate=2m/s is not a number without a unit"),
        ("rate=2", r"did you mean track:rate=2\?"),
        ("control=0.1", r"did you mean control\?"),
        ("less=rate", r"did you mean less:rate\?"),
        ("rate<2", r"did you mean keep:rate<2\?"),
        ("more:height - control", r"'more:height - control' cannot be read; join terms by \+"),
        ("less:rate;more:height", r"join terms by \+"),
        ("more:rate*2", "write a weight before its term"),
        ("track:rate=1,rate=2", "comes twice"),
        ("control+", "'' is none of"),
        (
            "readout:place=1,0",
            "a goal is given as --goal readout:ball=1.2,0.5, and in Python as a joule.Goal",
        ),
    ],
)
def test_text_that_is_no_task_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(text)


def test_more_of_a_readout_of_several_numbers_is_refused_with_the_name_of_one() -> None:
    with pytest.raises(TaskError, match=r"more: place has 2 numbers; name one of them, as in place\.0"):
        parse("more:place")(named())
    with pytest.raises(TaskError, match=r"^rate has 1 number, found 2$"):
        parse("reach:rate=1,2")(named())
    with pytest.raises(TaskError, match=r"^place has 2 numbers, found 1; place\.0 names the first$"):
        parse("reach:place=1")(named())
    with pytest.raises(TaskError, match=r"^rate\.1: rate is one number; leave out \.1$"):
        parse("less:rate.1")(named())


def test_the_reward_of_an_environment_with_a_task_is_minus_its_cost(make_agent: Callable[..., Any]) -> None:
    config = make_agent(task="track:position=0.5+control").config
    env = make_env(config)
    env.reset(seed=1)
    _, reward, _, _, info = env.step(np.array([0.5], np.float32))
    position, distance = env.readouts()
    assert reward == pytest.approx(-abs(position - 0.5) - 0.25, abs=1e-6)
    assert info["own_reward"] == pytest.approx(max(0.0, 1.0 - abs(distance)), abs=1e-6)
    with pytest.raises(TaskError, match="'hight' is no readout"):
        make_env(make_agent(task="more:hight").config)
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_a_task_with_a_space_for_its_colon_is_understood() -> None:
    with pytest.raises(ConfigError, match="did you mean more:height"):
        parse("more height")

"""Readouts by name: what a cost reads of an environment, derived readouts included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from named_readouts import LAYOUT, named

import envs
from agent.cost.readouts import NamedReadouts, Readouts, TaskError, difference
from agent.cost.task_text import parse


def test_names_and_derived_readouts_read_their_columns() -> None:
    r = named()
    assert r["rate"].tolist() == [7.0, -1.0]
    assert r["place"].shape == (2, 2)
    assert r["place.1"].tolist() == pytest.approx([4.0, 0.4])
    assert r["height"].tolist() == pytest.approx([-3.5, 0.1])
    assert r["upright"].tolist() == [-1.0, 1.0]
    assert r["speed"].tolist() == [5.0, 2.0]
    with pytest.raises(TaskError, match=r"'heihgt' is no readout .* did you mean height"):
        r["heihgt"]
    layout = Readouts({"qvel": 2, "velocity_of_hip": 1, "velocity": 1}, {})
    for begun in ("v", "velo"):
        assert "did you mean velocity?" in layout.unknown(begun, "this environment")
    with pytest.raises(TaskError, match="has 2 numbers"):
        r["place.2"]


def test_a_quaternion_and_its_negative_are_one_orientation() -> None:
    whole = {"of": ["up", "ahead"], "at": [*range(6)], "sign": 1.0, "plus": 0.0, "as": "quaternion"}
    pose = {"of": ["angle", "q"], "at": [0, 1, 2, 3, 4], "sign": 1.0, "plus": 0.0, "as": "value"}
    layout = Readouts(
        {"up": 3, "ahead": 3, "angle": 1}, {"q": whole, "pose": pose, "part": {**pose, "at": [1, 2]}}
    )
    # Turned about z by a little less and a little more than half a turn: w is at least 0 in both.
    before, after = torch.tensor([[0.02, 0.0, 0.0, 1.0]]), torch.tensor([[0.02, 0.0, 0.0, -1.0]])
    assert layout.apart("q", before, after).norm().item() == pytest.approx(0.04)
    assert layout.apart("q", -before, before[0]).norm().item() == 0.0
    angles = [torch.cat([torch.full((1, 1), angle), q], -1) for angle, q in ((0.5, before), (0.2, after))]
    assert layout.apart("pose", *angles)[0].tolist() == pytest.approx([0.3, 0.04, 0.0, 0.0, 0.0])
    assert layout.apart("part", before[:, :2], after[:, :2])[0].tolist() == [0.0, 0.0]
    assert layout.apart("q.3", before[:, 3:], after[:, 3:]).item() == 2.0
    above, ahead = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, -1.0, 0.0]])
    rows = layout.of(torch.cat([above, ahead, torch.zeros(1, 1)], -1), torch.zeros(1, 1), lambda: above[:, 0])
    half = 0.5**0.5  # a quarter turn about z
    for sign in (1.0, -1.0):
        assert parse(f"reach:q={sign * half},0,0,{sign * half}")(rows).item() == pytest.approx(0.0, abs=1e-6)


def test_the_environments_own_cost_is_computed_only_where_it_is_used() -> None:
    calls: list[int] = []

    def own() -> torch.Tensor:
        calls.append(1)
        return torch.zeros(1)

    r = LAYOUT.of(torch.zeros(1, 9), torch.zeros(1, 2), own)
    r["rate"]
    assert (calls, r.own_cost_used) == ([], False)
    r["cost"]
    assert (calls, r.own_cost_used) == ([1], True)


@pytest.mark.parametrize(
    "source",
    [
        {"of": "turn", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "up"},  # a quaternion has four numbers
        {"of": "place", "at": [2], "sign": 1.0, "plus": 0.0, "as": "value"},
        {"of": "nowhere", "at": [0], "sign": 1.0, "plus": 0.0, "as": "value"},
        {"of": "place", "at": [], "sign": 1.0, "plus": 0.0, "as": "value"},
        {"of": "place", "at": [0], "sign": "minus", "plus": 0.0, "as": "value"},
        {"of": "place", "at": [0], "sign": 1.0, "plus": 0.0, "as": "sine"},
        # Texts and halves would pass through int() and float(), and fail where the readout is computed.
        {"of": "place", "at": ["0"], "sign": 1.0, "plus": 0.0, "as": "value"},
        {"of": "place", "at": [0.5], "sign": 1.0, "plus": 0.0, "as": "value"},
        {"of": "place", "at": [0], "sign": 1.0, "plus": "1", "as": "value"},
        {"of": "place", "at": [0], "sign": 10**400, "plus": 0.0, "as": "value"},
        {},
    ],
)
def test_a_derived_readout_that_does_not_fit_is_refused(source: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match="'odd' does not fit"):
        Readouts({"place": 2, "turn": 4}, {"odd": source})


def readouts_of(env: Any) -> NamedReadouts:
    """The readouts of an environment now, by name."""
    rows = torch.from_numpy(env.readouts())[None]
    spec = env.env_spec
    action = torch.zeros(1, spec.action_size)
    return Readouts(spec.readout_sizes, spec.derived_readouts).of(rows, action, lambda: rows[:, 0])


def test_a_cheetah_has_derived_readouts_of_its_root() -> None:
    env = envs.make("HalfCheetah-v5")
    env.reset(seed=1)
    raw: Any = env.unwrapped
    raw.set_state(np.array([1.0, 0.2, math.pi / 3, *[0.0] * 6]), np.array([-2.0, 0.5, *[0.0] * 7]))
    r = readouts_of(env)
    assert float(r["height"]) == pytest.approx(raw.data.body("torso").xpos[2], abs=1e-5)
    assert float(r["upright"]) == pytest.approx(0.5, abs=1e-5)
    assert [float(r[n]) for n in ("velocity", "speed", "climb", "position")] == pytest.approx([-2, 2, 0.5, 1])


@pytest.mark.parametrize("name", ["Hopper-v5", "Ant-v5", "joule/Reach-v0"])
def test_derived_readouts_agree_with_the_simulator(name: str) -> None:
    env = envs.make(name)
    env.reset(seed=3)
    raw: Any = env.unwrapped
    r = readouts_of(env)
    if name == "joule/Reach-v0":
        assert r["position"][0].tolist() == pytest.approx(raw.data.site("fingertip").xpos[:2], abs=1e-5)
    else:
        torso = raw.data.body("torso")
        assert float(r["height"]) == pytest.approx(torso.xpos[2], abs=1e-4)
        assert float(r["upright"]) == pytest.approx(torso.xmat[8], abs=1e-5)


def test_a_target_of_an_angle_is_reached_by_the_shorter_way() -> None:
    layout = Readouts(
        {"turn": 2, "rate": 1},
        {"heading": {"of": "turn", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "angle"}},
    )
    rows = torch.tensor([[math.cos(-3.1), math.sin(-3.1), -3.1]])
    r = layout.of(rows, torch.tensor([[-3.1]]), lambda: torch.zeros(1))
    assert difference(r, "heading", [3.1]).item() == pytest.approx(2 * math.pi - 6.2, abs=1e-5)
    for name in ("rate", "action", "action.0"):
        assert difference(r, name, [3.1]).item() == pytest.approx(-6.2)


def test_differences_of_angles_are_within_half_a_turn() -> None:
    angle = {"of": "turn", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "angle"}
    several = {"of": ["turn", "yaw"], "at": [0, 4], "sign": 1.0, "plus": 0.0, "as": "value"}
    layout = Readouts({"turn": 4}, {"yaw": angle, "both": several})
    given = torch.tensor([[-0.5], [6.2], [-6.2], [3.0], [13.0]])
    expected = [-0.5, 6.2 - 2 * math.pi, 2 * math.pi - 6.2, 3.0, 13.0 - 4 * math.pi]
    assert layout.shortest("yaw", given).flatten().tolist() == pytest.approx(expected, abs=1e-5)
    pairs = layout.shortest("both", given.expand(-1, 2))
    assert pairs[:, 1].tolist() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(pairs[:, :1], given)
    torch.testing.assert_close(layout.shortest("both.0", given), given)
    assert layout.shortest("both.1", given).flatten().tolist() == pytest.approx(expected, abs=1e-5)

"""Legibility: R² of readouts by name, and the sentence about a task that names an illegible one."""

from __future__ import annotations

import math

import pytest
import torch

from agent.cost.legibility import FEWEST_ROWS, MOST_NAMES, illegible, of_whole_readouts, r_squared, warning
from agent.cost.readouts import Readouts

LAYOUT = Readouts(
    {"turn": 2, "speed": 1, "still": 1, "place": 2},
    {
        "angle": {"of": "turn", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "angle"},
        "qpos": {"of": ["angle", "place"], "at": [0, 1, 2], "sign": 1.0, "plus": 0.0, "as": "value"},
        "qvel": {"of": ["speed", "still"], "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "value"},
    },
)


def rows(angle: torch.Tensor, speed: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Rows of `LAYOUT` [rows, 6]."""
    return torch.stack([angle.cos(), angle.sin(), speed, 0 * speed + 3.0, place, place], -1)


def measured() -> dict[str, float]:
    """Angles about half a turn that are read 0.1 rad off, an exact speed, and a place that is noise."""
    torch.manual_seed(0)
    angle = math.pi + 0.5 * torch.randn(500)
    speed, place = torch.randn(500), torch.randn(500)
    return r_squared(LAYOUT, rows(angle, speed, place), rows(angle + 0.1, speed, torch.randn(500)))


def test_the_share_explained_of_each_readout_with_angles_the_short_way_round() -> None:
    found = measured()
    numbers = {"turn.0", "turn.1", "place.0", "place.1"}
    assert set(found) == {"angle", "turn", "speed", "still", "place"} | numbers
    assert set(of_whole_readouts(LAYOUT, found)) == set(found) - numbers
    assert found["speed"] == 1.0
    assert found["angle"] == pytest.approx(1.0 - 0.01 / 0.25, abs=0.02)
    assert found["turn"] > 0.9
    assert found["place"] < -0.5
    assert math.isnan(found["still"])


def test_rows_that_are_not_finite_are_left_out_and_too_few_give_nothing() -> None:
    few = torch.randn(FEWEST_ROWS + 1, 6)
    assert r_squared(LAYOUT, few, few)["speed"] == 1.0
    few[:2, 0] = torch.inf
    assert r_squared(LAYOUT, few, few) == {}


def test_a_readout_of_others_is_as_legible_as_those() -> None:
    found = measured()
    assert [*illegible(LAYOUT, found, ["qpos", "speed", "qvel", "action", "cost"])] == ["place"]
    assert [*illegible(LAYOUT, found, ["qpos.0", "qvel.1"])] == []
    assert [*illegible(LAYOUT, found, ["qpos.2", "place.0"])] == ["place.1", "place.0"]
    whole = of_whole_readouts(LAYOUT, found)
    assert [*illegible(LAYOUT, whole, ["qpos.2", "place.0"])] == ["place"]
    assert illegible(LAYOUT, {}, ["place", "place.0", "qpos.2"]) == {}


def test_the_sentence_names_what_is_illegible_and_what_is_legible() -> None:
    found = measured() | {"place": -0.25}
    sentence = warning(LAYOUT, "task reach place=1", illegible(LAYOUT, found, ["place"]), found)
    assert sentence.startswith(
        "task reach place=1 acts on what this agent cannot read off its observations: "
    )
    assert "place (R² -0.25 in its memory)" in sentence
    assert sentence.endswith("; legible are angle, turn, speed")


def test_a_legible_quantity_of_two_names_is_listed_once() -> None:
    same = {"at": [0], "sign": 1.0, "plus": 0.0, "as": "value"}
    layout = Readouts(
        {"x_velocity": 1, "z": 1, "place": 2, "turn": 2},
        {
            "velocity": {**same, "of": "x_velocity"},
            "speed": {**same, "of": ["x_velocity"]},
            "height": {**same, "of": "z", "plus": 0.7},
            "upright": {**same, "of": "turn"},
            "position": {**same, "of": ["place"], "at": [0, 1]},
        },
    )
    values = torch.randn(FEWEST_ROWS, 6)
    found = r_squared(layout, values, values)
    assert {"velocity", "speed", "x_velocity", "position", "place"} <= set(found)
    sentence = warning(layout, "task", {"x_velocity": 0.1}, found)
    assert "x_velocity (R² 0.10 in its memory)" in sentence, "as the user wrote it"
    assert sentence.endswith("; legible are velocity, height, upright, position, z, turn")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.7996, "0.79"), (0.57, "0.57"), (-0.25, "-0.25"), (-11.0, "below -10")]
)
def test_what_is_just_below_the_bound_does_not_read_as_the_bound(value: float, shown: str) -> None:
    assert f"place (R² {shown} in its memory)" in warning(
        Readouts({"place": 1}, {}), "task", {"place": value}, {}
    )


def test_names_that_a_cost_reads_are_known() -> None:
    blank = LAYOUT.blank(1, torch.zeros(1))
    blank["qpos.1"] + blank["speed"]
    assert [*blank.used] == ["qpos.1", "speed"]


def test_each_number_of_a_readout_is_judged_by_itself_whatever_its_unit() -> None:
    torch.manual_seed(0)
    layout = Readouts(
        {"obs": 4}, {"qpos": {"of": ["obs"], "at": [2, 0], "sign": 1.0, "plus": 0.0, "as": "value"}}
    )
    true = torch.randn(500, 4) * torch.tensor([1.0, 1.0, 1e6, 0.0])
    read = torch.cat((torch.randn(500, 2), true[:, 2:]), -1)
    found = r_squared(layout, true, read)
    assert found["obs"] == min(found["obs.0"], found["obs.1"]) < 0.0
    assert found["obs.2"] == 1.0
    assert math.isnan(found["obs.3"])
    assert [*illegible(layout, found, ["obs.0", "obs.2", "obs.3", "qpos.0"])] == ["obs.0"]
    assert [*illegible(layout, found, ["qpos.1"])] == ["obs.0"]
    assert [*illegible(layout, found, ["qpos"])] == ["obs"]
    assert warning(layout, "task", {"obs": -1.0}, found).endswith("; legible are obs.2")


def test_the_numbers_of_a_direction_are_judged_together() -> None:
    # A robot that hardly leans: the cosine of its angle is read worse than the mean, its angle is not.
    torch.manual_seed(0)
    angle = 0.05 * torch.randn(500)
    read = angle + 0.01 * torch.randn(500)
    cosines, sines = (torch.stack((each.cos(), each.sin()), -1) for each in (angle, read))
    sines[:, 0] += 0.005
    layout = Readouts({"turn": 2, "far": 2}, {})
    true = torch.cat((cosines, cosines + 1e3 * torch.randn(500, 1)), -1)
    found = r_squared(layout, true, torch.cat((sines, true[:, 2:]), -1))
    assert found["turn.0"] < 0.0
    assert found["turn"] > 0.9
    assert [*illegible(layout, found, ["turn", "turn.0"])] == ["turn.0"]
    assert warning(layout, "task", {"turn.0": -1.0}, found).endswith("; legible are turn, far")


def test_a_number_varies_where_its_normaliser_says_so() -> None:
    torch.manual_seed(0)
    north = 5.5e6 + 20.0 * torch.randn(500, 1, dtype=torch.float64)
    still = 5.5e6 + 2.0 * torch.randn(500, 1, dtype=torch.float64)
    true = torch.cat((north, still), -1)
    found = r_squared(Readouts({"place": 2}, {}), true, true + 1.0)
    assert found["place"] == found["place.0"] == pytest.approx(1.0 - 1.0 / 400.0, abs=1e-3)
    assert math.isnan(found["place.1"])


def test_a_readout_that_a_derived_one_of_its_name_hides_is_not_measured() -> None:
    same = {"of": "qpos", "at": [0], "sign": 1.0, "plus": 0.0, "as": "value"}
    assert illegible(Readouts({"qpos": 1}, {"qpos": same}), {}, ["qpos", "qpos.0"]) == {}


def test_of_many_legible_readouts_some_are_named() -> None:
    layout = Readouts({f"r{k}": 1 for k in range(MOST_NAMES + 2)}, {})
    assert warning(layout, "task", {"r0": 0.1}, dict.fromkeys(layout.sizes, 0.9)).endswith(" and 2 more")

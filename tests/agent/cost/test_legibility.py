"""Legibility: R² of readouts by name, and the sentence about a task that names an illegible one."""

from __future__ import annotations

import math

import pytest
import torch

from agent.cost.legibility import FEWEST_ROWS, illegible, r_squared, warning
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
    assert set(found) == {"angle", "turn", "speed", "still", "place"}
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
    assert [*illegible(LAYOUT, found, ["qpos.2", "place.0"])] == ["place"]
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

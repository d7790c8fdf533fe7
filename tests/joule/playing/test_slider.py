"""The box beside a slider of the page of `joule play`, in which any number can be typed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from agent.errors import ConfigError
from joule.playing.slider import Slider


@pytest.fixture
def slider() -> Slider:
    """From 0.2 to 5, at 1."""
    gui: Any = MagicMock()
    gui.add_slider.side_effect = lambda _, **given: SimpleNamespace(value=given["initial_value"], precision=0)
    return Slider(gui, "mass (x)", (0.2, 5.0), 1.0, 1)


def typed(slider: Slider, value: float | None) -> float | None:
    slider.handle.value = value
    return slider.take()


def test_a_number_within_the_bounds_holds(slider: Slider) -> None:
    assert slider.handle.precision > 0, "without decimals, the box makes 26 of 2.6"
    assert slider.held == 1.0
    assert typed(slider, 2.6) == slider.held == 2.6
    assert typed(slider, 5.0 + 1e-9) == slider.held == 5.0, "rounding of the track"


@pytest.mark.parametrize("value", [None, 0.0, -1.0])
def test_the_beginning_of_a_number_stays_in_the_box(slider: Slider, value: float | None) -> None:
    assert typed(slider, value) is None
    assert (slider.handle.value, slider.held) == (value, 1.0)


@pytest.mark.parametrize("value", [5.1, 16.0, 1e9, float("nan")])
def test_a_number_above_the_bounds_is_said_and_put_back(slider: Slider, value: float) -> None:
    assert typed(slider, 2.0) == 2.0
    with pytest.raises(ConfigError, match=f"{value:g} is more than 5; it stays at 2$".replace("+", ".")):
        typed(slider, value)
    assert (slider.handle.value, slider.held) == (2.0, 2.0)
    assert slider.take() is None, "what was put back holds already"
    assert typed(slider, 3.0) == 3.0
    assert typed(slider, 2.0) == 2.0


def test_a_number_whose_beginning_was_within_the_bounds_changes_nothing_in_the_end(slider: Slider) -> None:
    assert typed(slider, 2.6) == 2.6
    assert [typed(slider, key) for key in (1.0, None, 1.0)] == [1.0, None, 1.0]
    with pytest.raises(ConfigError, match=r"17 is more than 5; it stays at 2\.6$"):
        typed(slider, 17.0)
    assert slider.handle.value == 2.6
    assert slider.take() == slider.held == 2.6

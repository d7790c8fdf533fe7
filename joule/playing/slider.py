"""A slider of the page, and the box beside it in which a person types a number."""

from __future__ import annotations

from typing import Any

from agent.errors import ConfigError

DECIMALS = 2
"""Decimals, at least, that a box takes. Without any it drops the point, so that 2.6 is 26."""


class Slider:
    """A slider with bounds, and the number that holds.

    A box hands over every key, so that a person who types 0.5 gives 0 first.

    Args:
        gui: the `gui` of the viser server.
        label: beside the slider.
        bounds: the least and the greatest value.
        step: between two places of the slider.
        value: at first, within the bounds.
    """

    def __init__(self, gui: Any, label: str, bounds: tuple[float, float], step: float, value: float) -> None:
        self.label, (self._low, self._high), self._held = label, bounds, value
        self.handle = gui.add_slider(
            label, min=self._low, max=self._high, step=step, initial_value=float(value)
        )
        self.handle.precision = max(self.handle.precision, DECIMALS)
        self._was_put_back = False
        self._before_typing = self._held
        """What held before the person began to type the number that holds."""

    @property
    def held(self) -> float:
        """The last number within the bounds."""
        return self._held

    def put_back(self, value: float) -> None:
        """Shows a number within the bounds that holds already; the slider hands it over, and `take` gives None."""
        self._held = self._before_typing = value
        self._was_put_back = True
        self.handle.value = value

    def take(self) -> float | None:
        """The number that is given; None for an empty box, and below the bounds, where more keys may follow.

        When the person leaves a box with a number below the bounds, it takes the lower one, and hands that over.

        Raises:
            ConfigError: for a number above the bounds. The slider goes back to the number that held before it was
                typed: else the box would take the upper bound, when the person leaves it.
        """
        value, was_put_back = self.handle.value, self._was_put_back
        self._was_put_back = False
        # The end of the track may differ from the bound by rounding, because it is a multiple of the step.
        slack = 1e-6 * (self._high - self._low)
        if value is None or value < self._low - slack or (was_put_back and value == self._held):
            return None
        goes_on = _begins(self._held, value)
        if not value <= self._high + slack:
            stays = self._before_typing if goes_on else self._held
            if stays == self._held:
                self.put_back(stays)
            else:
                # The beginning held in between: `take` is asked again, and gives what held before.
                self.handle.value = stays
            raise ConfigError(f"{self.label}: {value:g} is more than {self._high:g}; it stays at {stays:g}")
        if not goes_on:
            self._before_typing = self._held
        self._held = min(max(float(value), self._low), self._high)
        return self._held


def _begins(shorter: float, longer: float) -> bool:
    """Whether a person who types `longer` has typed `shorter` on the way: 1 on the way to 15."""
    return f"{longer:g}".startswith(f"{shorter:g}")

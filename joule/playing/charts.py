"""The energy of the plans, the surprise and the reward of the last decisions, as curves and numbers."""

from __future__ import annotations

import html
import time
from collections import deque
from typing import Any

import numpy as np

from joule.escaping import terminal
from joule.playing.simulation import Moment

SPAN = 200
"""Decisions that the curves show."""
SECONDS_BETWEEN = 0.2
"""Wall time between two drawings."""
COLOURS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#dc2626", "#0891b2", "#a16207", "#be185d")
HEIGHT, AXIS_WIDTH = 70, 44
"""Of a curve and of the numbers beside it, in pixels."""
LONGEST_NAME = 40
"""Characters of the name of a term."""


class History:
    """What the curves show, by name: numbers of the last decisions."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque(maxlen=SPAN)

    def add(self, moment: Moment) -> None:
        """Takes in a moment; a new episode begins new curves, and the same moment again changes nothing."""
        if moment.decision == 0:
            self._moments.clear()
        elif not self._moments or self._moments[-1] is not moment:
            self._moments.append(moment)

    @property
    def seconds(self) -> np.ndarray:
        """Simulated time [decisions] of the episode."""
        return np.array([one.seconds for one in self._moments])

    @property
    def surprise(self) -> np.ndarray:
        """[decisions]; NaN where there is none."""
        return np.array([np.nan if one.surprise is None else one.surprise for one in self._moments])

    @property
    def reward(self) -> np.ndarray:
        """[decisions]"""
        return np.array([one.reward for one in self._moments])

    @property
    def terms(self) -> dict[str, np.ndarray]:
        """Name of each term of the energy -> [decisions]; NaN where a plan had no such term."""
        names = dict.fromkeys(name for one in self._moments for name in one.energies)
        return {name: np.array([one.energies.get(name, np.nan) for one in self._moments]) for name in names}


class Charts:
    """Draws a history into the panel of a viser server: a number and a curve for each quantity.

    Args:
        gui: the server's `gui`.
        plans: whether the agent plans, and is surprised.
    """

    def __init__(self, gui: Any, plans: bool) -> None:
        self._gui, self._plans, self.history = gui, plans, History()
        self._drawn_at = 0.0
        self._drawn: Moment | None = None
        self._energy = gui.add_folder("Energy of the plan", visible=plans)
        self._terms: dict[str, _Curve] = {}
        with self._energy:
            self._sum = gui.add_html("")
        with gui.add_folder("Surprise (1 is usual)", visible=plans):
            self._surprise = _Curve(gui, "surprise", COLOURS[4])
        with gui.add_folder("Reward", expand_by_default=not plans):
            self._reward = _Curve(gui, "of the last decision", COLOURS[2])

    def show(self, moment: Moment, last: bool = False) -> None:
        """Takes in a moment, and draws it where the last drawing is long enough ago.

        Args:
            moment: the newest.
            last: whether none may follow for a while: it is drawn now.
        """
        self.history.add(moment)
        now = time.perf_counter()
        soon = moment.decision > 1 and now - self._drawn_at < SECONDS_BETWEEN
        if moment is self._drawn or (soon and not last):
            return
        self._drawn, self._drawn_at = moment, now
        seconds = self.history.seconds
        self._reward.show(seconds, self.history.reward)
        if self._plans:
            self._surprise.show(seconds, self.history.surprise)
            self._show_terms(moment, seconds)

    def _show_terms(self, moment: Moment, seconds: np.ndarray) -> None:
        """Shows a curve for each term of the energy, and their sum."""
        terms = self.history.terms
        # An episode begins without a plan. Curves that are made anew lose their place in the page, and flicker.
        if terms and list(terms) != list(self._terms):
            for curve in self._terms.values():
                curve.remove()
            with self._energy:
                self._terms = {
                    name: _Curve(self._gui, name, COLOURS[number % len(COLOURS)])
                    for number, name in enumerate(terms)
                }
        for name, curve in self._terms.items():
            curve.show(seconds, terms.get(name, np.full(len(seconds), np.nan)))
        total = sum(moment.energies.values()) if moment.energies else np.nan
        self._sum.content = heading("sum", total, "#000000")


class _Curve:
    """A name, the last number, and a curve.

    Args:
        gui: the server's `gui`, in the folder that it appears in.
        name: what is shown.
        colour: of the curve, as in CSS.
    """

    def __init__(self, gui: Any, name: str, colour: str) -> None:
        self._name, self._colour = name, colour
        self._heading = gui.add_html(heading(name, np.nan, colour))
        self._plot = gui.add_uplot(
            (np.arange(2.0), np.zeros(2)),
            ({"label": "s"}, {"label": terminal(name, LONGEST_NAME), "stroke": colour, "width": 2}),
            scales={"x": {"time": False}},
            axes=({"show": False}, {"size": AXIS_WIDTH}),
            legend={"show": False},
            padding=(6, 6, 6, 0),
            height=HEIGHT,
        )

    def show(self, seconds: np.ndarray, values: np.ndarray) -> None:
        """Draws values [decisions] over the simulated time; what is not finite is left out."""
        finite = np.isfinite(values)
        last = float(values[-1]) if len(values) else np.nan
        self._heading.content = heading(self._name, last, self._colour)
        if finite.sum() > 1:
            self._plot.data = (seconds[finite], values[finite])

    def remove(self) -> None:
        """Takes it off the page."""
        self._heading.remove()
        self._plot.remove()


def heading(name: str, value: float, colour: str) -> str:
    """A name and a number as a line in HTML; no number where it is not finite."""
    number = f"{value:,.3f}" if np.isfinite(value) else "-"
    shown = html.escape(terminal(name, LONGEST_NAME))
    return (
        '<div style="display:flex;justify-content:space-between;font-size:0.85em;padding:0 0.8em">'
        f'<b style="color:{colour}">{shown}</b><span>{number}</span></div>'
    )

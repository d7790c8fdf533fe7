"""The loop of playing: decisions at the speed of the simulated time, and what a person asks for between them."""

from __future__ import annotations

import time
import traceback
from typing import Protocol

from joule.escaping import terminal
from joule.playing.requests import Requests
from joule.playing.simulation import Moment, Simulation
from joule_errors import JouleError

IDLE_SECONDS = 0.02
"""Between two looks for requests, while nothing moves."""
SMOOTHING = 0.1
"""Weight of the newest decision in the measured speed."""
PAUSE_AT_END_SECONDS = 1.0
"""Wall time between the end of an episode and the next one."""

LONGEST_ERROR = 200
"""Characters of the text of an exception that is said."""


class Display(Protocol):
    """What shows a simulation to a person."""

    def watched(self) -> bool:
        """Whether somebody is watching; without, the simulation waits."""
        ...

    def closed(self) -> bool:
        """Whether the person has ended it."""
        ...

    def show(self, moment: Moment) -> None:
        """Shows the simulation as it is now."""
        ...

    def say(self, sentence: str) -> None:
        """Tells the person something, such as why a request cannot be met."""
        ...


class Player:
    """Plays a simulation for a display.

    Args:
        simulation: what is played.
        requests: what the person asks for.
        speed: simulated seconds per second.
    """

    def __init__(self, simulation: Simulation, requests: Requests, speed: float = 1.0) -> None:
        self.simulation, self.requests, self.speed = simulation, requests, speed
        self.paused = False
        self.measured_speed = speed
        """Simulated seconds per second, as a moving average; an agent may be slower than its environment."""
        self._last = 0.0
        """When the last decision was due."""

    def run(self, display: Display) -> None:
        """Plays until the display is closed."""
        display.show(self.simulation.moment)
        while not display.closed():
            self.meet_requests(display)
            now = time.perf_counter()
            if self.paused or not display.watched():
                self._last = now
                time.sleep(IDLE_SECONDS)
                continue
            ended = self.simulation.moment.ended
            usual = self.simulation.seconds / self.speed
            due = self._last + (PAUSE_AT_END_SECONDS if ended else usual)
            if now < due:
                time.sleep(min(IDLE_SECONDS, due - now))
                continue
            if not ended:
                took = max(now - self._last, usual)
                self.measured_speed += SMOOTHING * (self.simulation.seconds / took - self.measured_speed)
            self._last = now if now > due + usual else due
            self.advance(display)

    def meet_requests(self, display: Display) -> None:
        """Carries out what was asked for. What fails is said; the rest goes on."""
        requests = self.requests.take()
        for request in requests:
            try:
                request()
            except JouleError as error:
                display.say(str(error))
            except Exception as error:  # noqa: BLE001  a defect of one request ends nothing else
                traceback.print_exception(error)
                said = terminal(str(error), LONGEST_ERROR)
                text = f": {said}" if said else ""
                display.say(f"{type(error).__name__}{text}; the terminal shows the traceback")
        if requests and self.paused:
            display.show(self.simulation.moment)

    def step(self, display: Display) -> None:
        """Takes one decision, and pauses."""
        self.paused = True
        self.advance(display)

    def reset(self, display: Display) -> None:
        """Begins the next episode now."""
        display.show(self.simulation.reset())

    def advance(self, display: Display) -> None:
        """Takes one decision, or begins an episode where the last one has ended."""
        ended = self.simulation.moment.ended
        display.show(self.simulation.reset() if ended else self.simulation.step())

"""How far a sweep is: the state of each trial, its return so far, and the time that is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from joule.sweeping.job import Outcome, State
from joule.sweeping.results import frames_so_far, last_return
from joule.sweeping.trial import Trial

STATES: tuple[State, ...] = ("done", "running", "ended early", "failed", "interrupted", "waiting")


class Standing:
    """How far one trial is.

    Args:
        trial: the trial.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.state: State = "waiting"
        self.sentence = ""
        """Why it failed or was interrupted."""
        self.frames = 0
        self.score: float | None = None
        """Mean return of the last evaluation."""
        self._log_size = 0
        """Bytes when the trial began to wait: its log grows once its process is there."""
        self._first: tuple[float, int] | None = None
        """Monotonic seconds and frames when it was first seen to train."""
        self._newest: tuple[float, int] | None = None

    def begin(self) -> None:
        """The trial waits for its process."""
        self.state, self._log_size = "waiting", _size(self.trial.log)
        self._read()

    def look(self) -> None:
        """Reads from the storage how far the trial is, where its process has begun."""
        if self.state == "waiting" and _size(self.trial.log) > self._log_size:
            self.state = "running"
        if self.state != "running":
            return
        before, now = self.frames, time.monotonic()
        self._read()
        if self._first is None:
            self._first = now, self.frames
        elif self.frames != before:
            self._newest = now, self.frames

    def _read(self) -> None:
        self.frames, self.score = frames_so_far(self.trial.folder), last_return(self.trial.folder)

    def end(self, outcome: Outcome) -> None:
        """Takes in how its process ended."""
        self._read()
        self.state, self.sentence = outcome.state, outcome.sentence
        if self.state == "done":
            self.frames = max(self.frames, self.trial.steps)

    @property
    def rate(self) -> float | None:
        """Frames per second, evaluations included; None until it is known."""
        if self._first is None or self._newest is None or self._newest[1] <= self._first[1]:
            return None
        seconds = self._newest[0] - self._first[0]
        return (self._newest[1] - self._first[1]) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Of this trial; None where it is not known."""
        if self.state != "running" or self.rate is None:
            return None
        return max(0, self.trial.steps - self.frames) / self.rate


class Standings:
    """How far all trials of a sweep are, by the name of the trial."""

    def __init__(self) -> None:
        self.of_trial: dict[str, Standing] = {}
        self.expected = 0
        """Trials of a search that are not drawn yet."""

    def add(self, trial: Trial) -> Standing:
        """A new trial, which waits."""
        return self.of_trial.setdefault(trial.name, Standing(trial))

    def all(self) -> Iterable[Standing]:
        """In the order in which they were added."""
        return self.of_trial.values()

    def of_state(self, state: State) -> list[Standing]:
        """The trials in this state."""
        return [standing for standing in self.all() if standing.state == state]

    def counts(self) -> Mapping[State, int]:
        """State -> number of trials."""
        found = {state: len(self.of_state(state)) for state in STATES}
        found["waiting"] += self.expected
        return found

    @property
    def share(self) -> float:
        """Of the frames of all trials that still count, those that are trained, in [0, 1]."""
        counted = [s for s in self.all() if s.state not in ("failed", "ended early")]
        if not counted:
            return float(not self.expected)
        budget = sum(s.trial.steps for s in counted) * (1 + self.expected / len(counted))
        return min(1.0, sum(min(s.frames, s.trial.steps) for s in counted) / max(1.0, budget))

    @property
    def seconds_left(self) -> float | None:
        """Of the sweep, at the speed of the trials that run now; None where it is not known."""
        rates = [s.rate for s in self.of_state("running")]
        known = [rate for rate in rates if rate is not None]
        if not known:
            return None
        unfinished = [*self.of_state("running"), *self.of_state("waiting")]
        left = sum(max(0, s.trial.steps - s.frames) for s in unfinished)
        if self.expected and self.of_trial:
            left += self.expected * sum(s.trial.steps for s in self.all()) // len(self.of_trial)
        return left / (sum(known) / len(known) * len(rates))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0

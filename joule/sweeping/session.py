"""A sweep from its first trial to its last: what waits is submitted, what has ended is collected."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from joule.cli import signals
from joule.cli.signal_watch import BOUNCE_SECONDS
from joule.storage.files import why
from joule.sweeping.backend import Backend
from joule.sweeping.display import Display
from joule.sweeping.job import NOT_BEGUN, Outcome
from joule.sweeping.progress import Standing, Standings
from joule.sweeping.results import collect, finished
from joule.sweeping.trial import Trial
from joule_errors import Refused

POLL_SECONDS = 0.2
"""Between two looks at the processes."""
LOOK_SECONDS = 5.0
"""Between two looks at the files of the trials that run; longer where there are many."""
TRIALS_PER_SECOND = 20
"""At whose files is looked, at most: a shared storage serves all machines."""


class Source(Protocol):
    """Where the trials of a sweep come from: a grid, or a search."""

    def due(self, unfinished: int) -> Sequence[Trial]:
        """The trials that can begin now.

        Args:
            unfinished: trials that were given out and have not ended.
        """

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """Takes in how a trial ended."""

    @property
    def expected(self) -> int:
        """Trials that are not given out yet."""

    @property
    def settings(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Name of a search -> the settings of its candidates; empty for a grid."""


class Listed:
    """The trials of a grid, all at once; a `Source`."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = list(trials)

    def due(self, unfinished: int) -> Sequence[Trial]:
        """See `Source`."""
        trials, self._trials = self._trials, []
        return trials

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """See `Source`."""

    @property
    def expected(self) -> int:
        """See `Source`."""
        return len(self._trials)

    @property
    def settings(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """See `Source`."""
        return {}


def collected(trial: Trial) -> None:
    """Copies the evaluations of a trial to its file of results. Raises OSError where that fails."""
    collect(trial.folder, trial.result, trial.given)


class StopRequest:
    """What a signal asks of a sweep: to end after the checkpoints of its trials. A second SIGINT ends it at once.

    It is called with the number of a signal; see `signals.handled`.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came first; None before."""
        self._at = 0.0

    def __call__(self, number: int) -> None:
        """Takes in a signal. Raises Ended for a second SIGINT."""
        if self.number is None:
            self.number, self._at = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._at > BOUNCE_SECONDS:
            raise signals.Ended(number)


ENDING = "ending the trials after their checkpoints; Ctrl-C ends them at once"
"""What is said when a signal has come."""


class Sweep:
    """Runs the trials of a source on a backend.

    Args:
        source: of the trials.
        backend: trains them.
        display: shows how far they are.
        standings: what the display shows.
        collect: copies the evaluations of a trial; called while it trains and at its end.
    """

    def __init__(
        self,
        source: Source,
        backend: Backend,
        display: Display,
        standings: Standings,
        collect: Callable[[Trial], None] = collected,
    ) -> None:
        self.source, self.backend, self.display, self.standings = source, backend, display, standings
        self.collect = collect
        self.stop = StopRequest()
        self._trials: dict[str, Trial] = {}
        """Run folder -> the trial that was submitted and has not ended."""
        self._look_due = 0.0
        self._unread: set[str] = set()

    def run(self, handle_signals: bool = True) -> None:
        """Runs until every trial has ended.

        Args:
            handle_signals: whether a signal in `signals.ENDING` ends the sweep.

        Raises:
            Ended: for a second SIGINT. The backend then ends what still runs.
        """
        asked = False
        with signals.handled(self.stop, handle_signals):
            while True:
                if self.stop.number is None:
                    self._submit_due()
                elif not asked:
                    asked = True
                    self.display.say(ENDING)
                    self.backend.stop()
                for job, outcome in self.backend.poll():
                    self._take(self._trials.pop(job.folder), outcome)
                self.standings.expected = self.source.expected
                if not self._trials and (self.stop.number is not None or not self.source.expected):
                    break
                self._look()
                self.display.refresh()
                time.sleep(POLL_SECONDS)

    def _submit_due(self) -> None:
        for trial in self.source.due(len(self._trials)):
            standing = self.standings.add(trial)
            if trial.error:
                self._take(trial, Outcome(Refused.exit_code, trial.error))
            elif finished(trial.folder, trial.steps):
                self._take(trial, Outcome(0))
            else:
                standing.begin()
                job = trial.job()
                self._trials[job.folder] = trial
                self.backend.submit(job)

    def _take(self, trial: Trial, outcome: Outcome) -> None:
        standing = self.standings.add(trial)
        self.source.ended(trial, outcome)
        if outcome == NOT_BEGUN:
            return
        standing.end(outcome)
        self._collect_safely(trial)
        self.display.changed(standing)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_due:
            return
        for standing in [self.standings.of_trial[trial.name] for trial in self._trials.values()]:
            before = standing.state
            standing.look()
            if standing.state != before:
                self.display.changed(standing)
            if standing.state == "running":
                self._collect_safely(standing.trial)
        running = len(self.standings.of_state("running"))
        self._look_due = now + max(LOOK_SECONDS, running / TRIALS_PER_SECOND)

    def _collect_safely(self, trial: Trial) -> None:
        """A file that cannot be read or written ends no sweep; a sentence says so once for each trial."""
        try:
            self.collect(trial)
        except OSError as error:
            if trial.name not in self._unread:
                self._unread.add(trial.name)
                self.display.say(f"warning: the evaluations of {trial.title} are not collected: {why(error)}")


def failures(standings: Standings) -> list[Standing]:
    """The trials that failed, were interrupted, or did not begin."""
    reached = ("done", "ended early")
    return [standing for standing in standings.all() if standing.state not in reached]

"""A search for settings with Optuna, whose trials run on any backend.

Each agent in each environment has a study of its own. The studies are in a file of the storage, to which lines are
only added. So a search that was stopped goes on: candidates whose trials were interrupted are resumed first.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joule.extras import needed
from joule.storage.files import DISK, open_plain_file, why
from joule.sweeping.candidates import SEARCH, Task
from joule.sweeping.grid import Range
from joule.sweeping.job import Outcome
from joule.sweeping.trial import Trial
from joule.sweeping.trials import StoredTrial
from joule_errors import Refused, Stopped

JOURNAL = "studies.journal"
"""The file of all studies of a storage."""


def journal_of(folder: Path) -> Any:
    """Optuna's storage of the studies in a folder.

    Raises:
        Refused: for a file that cannot be read.
        Stopped: where the disk refuses.
    """
    of_journals = needed("optuna", "search", "--search").storages.journal
    path = folder / JOURNAL
    lock = of_journals.JournalFileSymlinkLock(str(path))
    with _writing():
        DISK.make(folder)
        backend = of_journals.JournalFileBackend(str(path), lock)
        _cut(path, lock)
    try:
        return of_journals.JournalStorage(backend)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"{path}: the studies cannot be read ({error}); remove the file to draw the candidates anew"
        ) from error


def _cut(path: Path, lock: Any) -> None:
    """Removes a last line that a kill or a full disk has cut off: the next one would be joined to it."""
    with os.fdopen(open_plain_file(path, os.O_RDWR), "r+b") as file:
        if file.seek(0, os.SEEK_END) == 0 or _ends_with_line(file):
            return
        lock.acquire()  # another process may be writing it
        try:
            if not _ends_with_line(file):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        finally:
            lock.release()


def _ends_with_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


@contextmanager
def _writing() -> Iterator[None]:
    """Inside, the studies are written. Raises Stopped where the disk refuses."""
    try:
        yield
    except OSError as error:
        raise Stopped(f"the studies of the search cannot be written: {why(error)}") from error


class Candidate:
    """Settings that a study has drawn, while their trials go on."""

    def __init__(self, study: Study, number: int, settings: Mapping[str, Any]) -> None:
        self.study, self.number, self.settings = study, number, settings
        self.trials: list[StoredTrial] = study.task.trials(settings)
        self._outcomes: dict[str, Outcome] = {}

    def ended(self, name: str, outcome: Outcome) -> None:
        """Takes in how a trial ended, and tells the study once all have."""
        self._outcomes[name] = outcome
        states = [one.state for one in self._outcomes.values()]
        if len(states) == len({one.name for one in self.trials}) and "interrupted" not in states:
            self.study.tell(self.number, self.study.task.score(self.settings))


class Study:
    """The study of one agent in one environment.

    Args:
        task: the agent and the environment.
        journal: Optuna's storage.
    """

    def __init__(self, task: Task, journal: Any) -> None:
        self.task = task
        self._optuna = needed("optuna", "search", "--search")
        with _writing():
            self._study = self._optuna.create_study(
                storage=journal, study_name=task.name, direction="maximize", load_if_exists=True
            )
        states = self._optuna.trial.TrialState
        found = self._study.get_trials(deepcopy=False)
        # A draw is several lines of the journal. One that was interrupted between them lacks some settings.
        known = [one for one in found if task.space.keys() <= one.params.keys()]
        whole = {one.number for one in known}
        for one in found:
            if one.number not in whole and one.state == states.RUNNING:
                with _writing():
                    self._study.tell(one.number, state=states.FAIL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the option is experimental
            # Another seed each time the search goes on, so that no candidate is drawn again.
            self._study.sampler = self._optuna.samplers.TPESampler(seed=len(found), constant_liar=True)
        self._interrupted = [one for one in known if one.state == states.RUNNING]
        self.drawn = len(known)
        self._settings = [self.task.decoded(one.params) for one in known]

    @property
    def left(self) -> int:
        """Candidates that are still to begin."""
        return len(self._interrupted) + max(0, (self.task.plan.search or 0) - self.drawn)

    def next(self) -> Candidate | None:
        """A candidate to begin: one that was interrupted, or a new one; None where there is none left."""
        if self._interrupted:
            frozen = self._interrupted.pop(0)
            return Candidate(self, frozen.number, self.task.decoded(frozen.params))
        if not self.left:
            return None
        with _writing():
            drawn = self._study.ask(self._distributions())
        self.drawn += 1
        self._settings.append(self.task.decoded(drawn.params))
        return Candidate(self, drawn.number, self._settings[-1])

    def tell(self, number: int, score: float | None) -> None:
        """Gives the study the score of a candidate.

        One that has failed (None) stays unfinished: new candidates keep away from it, and the same command begins
        it again, as it does with a failed trial of a grid.
        """
        if score is not None:
            with _writing():  # another process, which the same command began, may have told it
                self._study.tell(number, score, skip_if_finished=True)

    @property
    def best(self) -> float:
        """The best score so far. Raises ValueError where no candidate has one."""
        return self._study.best_value

    @property
    def settings(self) -> list[Mapping[str, Any]]:
        """Of all candidates, in the order in which they were drawn."""
        return list(self._settings)

    def _distributions(self) -> dict[str, Any]:
        kinds, found = self._optuna.distributions, {}
        for name, entry in self.task.space.items():
            if isinstance(entry, Range):
                kind = kinds.IntDistribution if entry.whole else kinds.FloatDistribution
                found[name] = kind(entry.low, entry.high, log=entry.log)
            else:
                found[name] = kinds.CategoricalDistribution(tuple(range(len(entry))))
        return found


class OptunaSearch:
    """The trials of a search, a few at a time; a `Source`.

    Args:
        tasks: an agent and an environment each.
        storage: the folder of the sweep.
        workers: trials at a time; a candidate is drawn when there is a place for it.

    Raises:
        ConfigError: where Optuna is not installed.
        Refused, Stopped: as `journal_of`.
    """

    def __init__(self, tasks: Iterable[Task], storage: Path, workers: int) -> None:
        optuna = needed("optuna", "search", "--search")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        journal = journal_of(storage / SEARCH)
        self.studies = [Study(task, journal) for task in tasks]
        self._workers = workers
        self._open: dict[str, list[Candidate]] = {}
        """Name of a trial that goes on -> the candidates that it is for: two may have the same settings."""

    def due(self, unfinished: int) -> Sequence[Trial]:
        """See `Source`."""
        found: list[Trial] = []
        while unfinished + len(found) < self._workers and (candidate := self._next()) is not None:
            for one in candidate.trials:
                if one.name not in self._open:
                    found.append(one)
                self._open.setdefault(one.name, []).append(candidate)
        return found

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """See `Source`."""
        for candidate in self._open.pop(trial.name, []):
            candidate.ended(trial.name, outcome)

    @property
    def expected(self) -> int:
        """See `Source`."""
        return sum(study.left * len(study.task.plan.seeds) for study in self.studies)

    @property
    def settings(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """See `Source`."""
        return {study.task.name: study.settings for study in self.studies}

    def _next(self) -> Candidate | None:
        return next((found for study in self.studies if (found := study.next()) is not None), None)

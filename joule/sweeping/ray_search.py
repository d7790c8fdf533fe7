"""A search for settings with Ray Tune: candidates are drawn at random, and poor ones are ended early (ASHA).

Each candidate is an actor of Tune, which starts a train process for each seed on its node. Tune keeps no
checkpoint and synchronises nothing: the run folders are in the storage, and a candidate that begins again resumes
its runs. The draws have a fixed seed, so that the same command draws the same candidates and goes on with their
runs.

Source: L. Li et al. A system for massively parallel hyperparameter tuning. MLSys 2020.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from joule.cli import signals
from joule.sweeping.candidates import SEARCH, Task, draws
from joule.sweeping.display import Display
from joule.sweeping.job import Outcome
from joule.sweeping.node import TrialProcess
from joule.sweeping.progress import Standings
from joule.sweeping.ray_backend import NODE_DEATHS
from joule.sweeping.results import collect, evaluations, finished
from joule.sweeping.session import ENDING, LOOK_SECONDS, StopRequest
from joule.sweeping.trials import StoredTrial
from joule_errors import Refused

REDUCTION = 3
"""ASHA: of the candidates that reach a rung, one in so many goes on to the next, after so many times the frames."""
RUNGS = 3
"""ASHA: a candidate is judged at `steps / 9` and `steps / 3`; the third rung, at `steps`, is never reached."""
STEP_SECONDS = 5.0
"""After which an actor answers also where there is no new evaluation, so that it can be stopped."""
DRAWN = "drawn"
"""The entry of a candidate of Tune that holds its draw."""
_SEED = 1
_QUIET = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals belong to the command
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # before the first evaluation there is no return
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class TrainedCandidate(tune.Trainable):
    """One candidate on its node: a train process for each seed."""

    def setup(self, config: dict[str, Any], task: Task) -> None:  # type: ignore[override]
        """Starts the processes of the runs that are not finished."""
        trials = task.trials(task.decoded(config[DRAWN]))
        self._trials, self._reported = trials, 0
        self._processes: list[TrialProcess] = []
        self._refused: Refused | None = None
        try:
            for trial in trials:
                if not finished(trial.folder, trial.steps):
                    self._processes.append(TrialProcess(trial.job()))
        except Refused as error:  # `step` says so: Tune would try an exception here again, as a node's death
            self._refused = error

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another candidate: a new process of Python, which imports Ray, takes seconds."""
        self.cleanup()
        self.setup(new_config)  # type: ignore[call-arg]  # Tune gives the task again
        return True

    def step(self) -> dict[str, Any]:
        """The next evaluation that all seeds have; where there is none yet, what was known before."""
        if self._refused is not None:
            self.cleanup()
            return {"done": True, "code": self._refused.exit_code, "sentence": str(self._refused)}
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            outcomes = [process.poll() for process in self._processes]
            ended = [outcome for outcome in outcomes if outcome is not None]
            rows = [evaluations(trial.folder) for trial in self._trials]
            over = len(ended) == len(outcomes)
            if not over:  # a run that has its budget is not judged: it ends by itself
                rows = [[row for row in of_seed if row[0] < self._trials[0].steps] for of_seed in rows]
            known = min(len(of_seed) for of_seed in rows)
            failed = next((outcome for outcome in ended if outcome.state != "done"), None)
            if known > self._reported or over or failed or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        self._reported = min(known, self._reported + 1)
        found: dict[str, Any] = {"done": bool(failed) or (over and self._reported == known)}
        if self._reported:
            at = [of_seed[self._reported - 1] for of_seed in rows]
            found |= {"frames": min(frames for frames, _ in at)}
            found |= {"return_mean": sum(score for _, score in at) / len(at)}
        if failed is not None:
            found |= {"code": failed.code, "sentence": failed.sentence}
        return found

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing: the checkpoints are in the run folders."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: `setup` resumes the runs."""

    def cleanup(self) -> None:
        """Ends the processes after their checkpoints."""
        for process in self._processes:
            process.end()
        for process in self._processes:
            process.wait()


class Stopper(tune.Stopper):
    """Ends the search once a signal has come."""

    def __init__(self) -> None:
        self.stopped = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No candidate ends alone."""
        return False

    def stop_all(self) -> bool:
        """Whether all are to end."""
        return self.stopped


class Watch(tune.Callback):
    """Takes in how the candidates stand. Tune stores its callbacks; this one has nothing to store."""

    def __init__(self, search: TuneSearch, task: Task) -> None:
        self.search, self.task = search, task

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Tune has looked for events, several times a second."""
        self.search.look()

    def on_trial_start(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A candidate begins."""
        self.search.began(self.task, trial.config[DRAWN])

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A candidate has ended, by itself or because its return was poor."""
        self.search.ended(self.task, trial.config[DRAWN], trial.last_result or {})

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A candidate's node has died too often."""
        self.search.ended(self.task, trial.config[DRAWN], {"code": 137, "sentence": "its nodes have died"})


class TuneSearch:
    """A search on a Ray cluster that is connected.

    Args:
        tasks: an agent and an environment each, one after the other.
        standings: of the trials.
        display: shows them.
        workers: trials at a time; None leaves it to the cluster.
    """

    def __init__(
        self, tasks: Sequence[Task], standings: Standings, display: Display, workers: int | None
    ) -> None:
        self.tasks, self.standings, self.display, self.workers = tasks, standings, display, workers
        self.stop = StopRequest()
        self.settings: dict[str, list[Mapping[str, Any]]] = {task.name: [] for task in tasks}
        """Name of a task -> the settings of its candidates."""
        self._draws = {task.name: draws(task, _SEED) for task in tasks}
        self._to_begin = {task.name: len(self._draws[task.name]) * len(task.plan.seeds) for task in tasks}
        """Name of a task -> its trials that have not begun."""
        self._stopper = Stopper()
        self._look_due = 0.0
        self._expect()

    def run(self) -> None:
        """Runs until every candidate has ended. Raises Ended for a second SIGINT."""
        os.environ |= {**_QUIET, **os.environ}
        with signals.handled(self.stop):
            for task in self.tasks:
                if self.stop.number is None:
                    self._run(task)

    def _run(self, task: Task) -> None:
        plan = task.plan
        steps, seeds = task.trials(task.ends("low"))[0].steps, len(plan.seeds)
        folder = task.storage / SEARCH / "tune"
        scheduler = ASHAScheduler(
            time_attr="frames", metric="return_mean", mode="max", max_t=steps + 1, reduction_factor=REDUCTION,
            grace_period=steps // REDUCTION ** (RUNGS - 1) + 1,
        )  # fmt: skip
        trainable = tune.with_resources(
            tune.with_parameters(TrainedCandidate, task=task),
            {"cpu": task.cores * seeds, "gpu": task.gpus * seeds},
        )
        tune.Tuner(
            trainable,
            # Of two candidates with the same settings, one would find its runs in use by the other.
            param_space={DRAWN: tune.grid_search(self._draws[task.name])},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                scheduler=scheduler,
                search_alg=BasicVariantGenerator(
                    max_concurrent=0 if self.workers is None else max(1, self.workers // seeds)
                ),
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name=f"{task.name}-{time.time_ns()}",
                storage_path=str(folder),
                stop=self._stopper,
                callbacks=[Watch(self, task)],
                failure_config=tune.FailureConfig(max_failures=NODE_DEATHS),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()
        self._to_begin[task.name] = 0  # whatever ended the search
        self._expect()
        for standing in self.standings.of_state("running"):  # Tune says nothing of those that were stopped
            standing.end(Outcome(128 + (self.stop.number or signal.SIGTERM)))
            self.display.changed(standing)

    def began(self, task: Task, drawn: Mapping[str, Any]) -> None:
        """Takes in that a candidate begins, or begins again."""
        settings = task.decoded(drawn)
        if settings not in self.settings[task.name]:
            self.settings[task.name].append(settings)
            self._to_begin[task.name] -= len(task.plan.seeds)
            self._expect()
        for trial in task.trials(settings):
            self.standings.add(trial).begin()

    def ended(self, task: Task, drawn: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Takes in that a candidate has ended."""
        for trial in task.trials(task.decoded(drawn)):
            standing = self.standings.add(trial)
            if finished(trial.folder, trial.steps):
                standing.end(Outcome(0))
            elif "code" in result:
                standing.end(Outcome(result["code"], result.get("sentence", "")))
            else:
                standing.end(Outcome(143))
                standing.state = "interrupted" if self.stop.number is not None else "ended early"
            self._collect(trial)
            self.display.changed(standing)

    def look(self) -> None:
        """Refreshes the display, and ends the search where a signal has come."""
        if self.stop.number is not None and not self._stopper.stopped:
            self._stopper.stopped = True
            self.display.say(ENDING)
        now = time.monotonic()
        if now >= self._look_due:
            self._look_due = now + LOOK_SECONDS
            for standing in list(self.standings.all()):
                before = standing.state
                standing.look()
                if standing.state != before:
                    self.display.changed(standing)
        self.display.refresh()

    def _expect(self) -> None:
        self.standings.expected = sum(max(0, left) for left in self._to_begin.values())

    def _collect(self, trial: StoredTrial) -> None:
        try:
            collect(trial.folder, trial.result, trial.given)
        except OSError as error:
            self.display.say(f"warning: the evaluations of {trial.title} are not collected: {error}")

"""The evaluations of a run: when they are due, where they are played, and what the run records of them.

They are played on held-out seeds, here or in a process of their own. An agent that learns without rewards is
evaluated by what it explores.
"""

from collections.abc import Callable
from typing import TypeVar

from agent.agent import WorldModelAgent
from agent.interface import Agent, Policy
from joule.callbacks.callback import Callback, EvaluationResult, Measurement
from joule.callbacks.dispatch import CallbackError
from joule.storage.run_folder import Run
from joule.training.background_evaluation import BackgroundEvaluation
from joule.training.coverage import Exploration, Exploring, explored
from joule.training.divergence import in_evaluation
from joule.training.evaluation import Evaluator
from joule.training.evaluation_rows import SCORES, Moment, Recorded, Scores, protocol_row, recorded
from joule.training.interruption import Interrupted, InterruptiblePolicy, interruptible

Played = TypeVar("Played")


class RunEvaluations:
    """Evaluates the agent of a run, and records what is found.

    Args:
        agent: the agent.
        run: the run folder, locked.
        evaluate: plays the held-out episodes with the agent as it is; None where there is no environment.
        callback: is told what was found.
        background: plays the held-out episodes in a process of its own while training goes on, but for those at
            the run's end; None plays all of them with `evaluate`.
        check_interrupted: raises Interrupted when a signal has asked the run to end. It is called before every
            decision of an evaluation that is played here.
    """

    def __init__(
        self,
        agent: Agent,
        run: Run,
        evaluate: Callable[[Policy], Scores] | None,
        callback: Callback,
        background: BackgroundEvaluation | None,
        check_interrupted: Callable[[], None],
    ) -> None:
        self.agent, self.run, self.evaluate, self.callback = agent, run, evaluate, callback
        self.background, self.check_interrupted = background, check_interrupted
        self.last_scores: dict[str, float] = {}
        """Of the newest evaluation that is recorded; empty before the first."""

    @property
    def pending(self) -> Moment | None:
        """When the evaluation that is being made in the background was due; None where none is."""
        return None if self.background is None else self.background.due

    @property
    def of_now(self) -> bool:
        """Whether an evaluation of the agent as it is now is being made in the background."""
        pending = self.pending
        return pending is not None and pending.frames == self.agent.frames

    def step(self, before: int, ends: bool, before_failing: Callable[[], None]) -> None:
        """Evaluates where that is due after a decision, and records what has been found in the background.

        Args:
            before: frames before the decision.
            ends: whether the run ends, so that an evaluation is due and nothing could go on beside it.
            before_failing: saves what was learned, before the failure of an evaluation that is played here is
                reported.

        Raises:
            Interrupted: where a signal ended an evaluation that is played here; it is still due then.
            CallbackError: where a callback raised.
            EvaluationStopped: where one in the background failed.
        """
        every = self.agent.config.eval_every_frames
        if self.evaluate is not None and (ends or self.agent.frames // every > before // every):
            self._evaluate(self.evaluate, ends, before_failing)
        elif self.background is not None and self.background.ready():
            self.record_background()

    def record_background(self) -> None:
        """Waits for the evaluation in the background, where one is being made, and records it. Raises as `step`."""
        if self.background is not None and (due := self.background.due) is not None:
            with self.agent.clock.running(False):
                found = self.background.result()
            self.record(found, due)

    def record(self, evaluation: Recorded, at: Moment) -> None:
        """Writes an evaluation as a row of the protocol, and tells the callback."""
        row = protocol_row(self.agent, evaluation, at)
        self.run.evaluated(row)
        if evaluation.forecasts:
            self.run.forecasts(evaluation.forecasts)
        if evaluation.readouts:
            self.run.readouts(evaluation.readouts)
        self.last_scores = {name: row[name] for name in SCORES if name in row}
        if evaluation.diverged and not self.run.count("diverged_evaluation_episodes", evaluation.diverged):
            self.callback.on_note(in_evaluation(evaluation.diverged, row["episodes"]))
        self.callback.on_evaluation(EvaluationResult(at.frames, evaluation.returns, evaluation.lengths, row))

    def _evaluate(
        self, evaluate: Callable[[Policy], Scores], ends: bool, before_failing: Callable[[], None]
    ) -> None:
        """Evaluates the agent as it is now, or begins to. Arguments as for `step`."""
        agent = self.agent
        if isinstance(agent, WorldModelAgent) and agent.config.reward == "none":
            self._record_exploration(self._played(lambda: self._explore(agent, evaluate), before_failing))
            return
        if self.background is not None:
            self.record_background()
            if not ends:
                self.background.begin()
                return
        watched = interruptible(agent, self.check_interrupted)
        scores = self._played(lambda: evaluate(watched), before_failing)
        self.record(recorded(agent, scores, agent.frames), Moment.now(agent))

    def _explore(self, agent: WorldModelAgent, evaluate: Callable[[Policy], Scores]) -> Exploration:
        """Plays the held-out episodes as training explores."""
        assert isinstance(evaluate, Evaluator), "coverage needs the readouts of an evaluation"
        return explored(evaluate, agent, InterruptiblePolicy(Exploring(agent), self.check_interrupted))

    def _played(self, play: Callable[[], Played], before_failing: Callable[[], None]) -> Played:
        """Plays the held-out episodes; their time does not count as training's.

        Whatever fails in them, what was learned before is saved.
        """
        try:
            with self.agent.clock.running(False):
                return play()
        except (Interrupted, CallbackError):
            raise
        except Exception:
            before_failing()
            raise

    def _record_exploration(self, found: Exploration) -> None:
        """Writes the coverage as a row of metrics.csv, and tells the callback."""
        agent, scores = self.agent, found.scores()
        values = {f"explore/{name}": value for name, value in scores.items()}
        self.run.log(values, agent.frames)
        self.callback.on_metrics(Measurement(agent.frames, values, agent.clock.seconds()["wall"]))
        self.last_scores = scores
        error = "" if found.prediction_error is None else f", prediction error {found.prediction_error:.2f}"
        self.callback.on_note(
            f"{agent.frames:>9,} {agent.config.unit}  explored: coverage {found.coverage:.1f}, of random actions "
            f"{found.coverage_random:.1f}{error}"
        )

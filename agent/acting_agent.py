"""The agent as it acts: decisions, also by a deadline, and what they are explained by. It learns nothing here."""

from typing import Any

import numpy as np
from jaxtyping import Float

from agent import explanation
from agent.actor.actor import ActingState
from agent.actor.decision_timing import TimingStatistics
from agent.arguments import (
    MOST_STEPS,
    episode_starts,
    numbers_in,
    observation_rows,
    positive_number,
    rows_in,
    whole_number,
)
from agent.configurator.readout_checks import check_readouts
from agent.errors import InputError
from agent.forecast import Forecast
from agent.interface import Observation
from agent.modules import Modules
from agent.readout_legibility import legibility_on
from agent.saving import SavedAsFolder


class ActingAgent(SavedAsFolder):
    """What acts, explains its decisions and imagines.

    Args:
        modules: its modules.
    """

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.timing = TimingStatistics()
        """Latencies, missed deadlines and iterations of the decisions that had a deadline."""
        self.last_decision: ActingState | None = None
        """The state of the newest decision of `act`, as `explain` and `forecast` take it; its `timing` says how
        long it took. None before the first."""

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
        *,
        deadline_ms: float | None = None,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation [obs] or a batch [batch, obs], as in stable-baselines3.

        Args:
            observation: [obs] or [batch, obs]. With `perceive="energy"` a reading may be NaN.
            state: what the last call returned; it holds the plan to start the next search from.
            episode_start: [batch], marks environments whose episode begins.
            deterministic: False explores.
            deadline_ms: milliseconds after which the action is due, for the whole batch; see `act`. None makes the
                whole search, so that the action depends on no clock.

        Returns:
            The action [act] or [batch, act] in [-1, 1], and the state for the next decision.

        Raises:
            InputError: for another shape, and for what is not a finite number; the sentence says where.
        """
        deadline = None
        if deadline_ms is not None:
            milliseconds = positive_number("deadline_ms", deadline_ms)
            deadline = self.modules.actor.pace.deadline(milliseconds)
        decided = self.modules.predict(observation, state, episode_start, deterministic, deadline=deadline)
        if deadline is not None:
            self.timing.add(decided[1].timing)
        return decided

    def act(
        self, observation: Observation, deadline_ms: float | None = None, episode_start: bool = False
    ) -> np.ndarray:
        """The action for the observation of one robot, in a loop: the agent keeps the state between the calls.

        With a deadline, the search ends with the best plan so far when another iteration would not fit, and the
        policy acts when not even one fits. Where the policy has not learned the task, or constraints are kept, the
        last plan is continued by one decision before that. What fits is predicted from how long the last decisions
        took, so that a decision may miss its deadline when something else holds it up; the first ones do. `timing`
        counts them. The action is returned as soon as it is known; the loop keeps the rate.

        Args:
            observation: [obs].
            deadline_ms: milliseconds after which the action is due; None makes the whole search.
            episode_start: whether the observation has nothing to do with the one before.

        Returns:
            The action [act] in [-1, 1].

        Raises:
            InputError: as `predict`, for a batch of several observations, for a deadline that is no positive
                number, and for an `episode_start` that is neither true nor false.
        """
        rows, _ = observation_rows(self.modules.env_spec, observation, finite=False)
        if (count := rows_in(rows)) > 1:
            raise InputError(
                f"observation: found a batch of {count}; act is for one robot, and predict takes a batch"
            )
        before = None if episode_starts(episode_start, 1)[0] else self.last_decision
        action, self.last_decision = self.predict(observation, before, deadline_ms=deadline_ms)
        return action

    def explain(self, state: ActingState) -> dict[str, np.ndarray]:
        """The energy terms [batch] of the plan behind a decision; empty where it was not planned."""
        return explanation.energy_terms(self.modules, state)

    def forecast(self, state: ActingState) -> Forecast | None:
        """The return and the next cost that a decision's plan predicts; None where there is none."""
        return explanation.forecast(self.modules, state)

    def imagine(self, obs: Observation, actions: np.ndarray) -> Float[np.ndarray, "steps readouts"]:
        """Readouts predicted from `obs` [obs] under `actions` [horizon, act].

        Row 0 reads the present, each further row one predicted step.

        Raises:
            InputError: for another shape, for an observation that is not finite, and for an action outside
                [-1, 1].
            TaskError: for an agent that learned from data without readouts.
        """
        check_readouts(self.modules, "imagine")
        return explanation.imagine(self.modules, obs, actions)

    def imagine_plan(self, state: ActingState, steps: int) -> Float[np.ndarray, "_ readouts"]:
        """Readouts [steps + 1, readouts] predicted under the plan of a decision, and then under the policy.

        Args:
            state: what `predict` returned for one environment.
            steps: decisions that are predicted; row 0 reads the state of the decision.

        Raises:
            InputError: for what is not the state of a decision, one of several environments, and no count.
            TaskError: for an agent that learned from data without readouts.
        """
        check_readouts(self.modules, "imagine_plan")
        return explanation.imagine_plan(self.modules, state, whole_number("steps", steps, 0, MOST_STEPS))

    def legibility(self, obs: Observation, readouts: np.ndarray) -> dict[str, float]:
        """R² of every readout on steps with observations [steps, obs] and true readouts [steps, readouts].

        Above 0.8 a task or a constraint can act on it; see `cost.legibility`.

        Raises:
            InputError: for observations or readouts of another shape, and for what is not a number.
        """
        rows, _ = observation_rows(self.modules.env_spec, obs)
        shape = (rows_in(rows), sum(self.modules.env_spec.readout_sizes.values()))
        true = numbers_in("readouts", readouts)
        if true.shape != shape:
            raise InputError(f"readouts: found the shape {list(true.shape)}; give {list(shape)}")
        return legibility_on(self.modules, rows, true)

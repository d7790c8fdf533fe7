"""The model bank: one dynamics model for each world that an agent has met, and which of them is in use."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from agent.modules import Modules
from agent.world_model.change_detection import ModelComparison
from agent.world_model.delay import DELAY
from agent.world_model.dynamics import WorldModel
from agent.world_model.known_model import KnownModel, RowNumbers
from agent.world_model.network_weights import NetworkWeights
from agent.world_model.signals import Alarm
from agent.world_model.trial_returns import TrialReturns

WRONG_SWITCH_DECISIONS = 100
"""A switch to another model that is left again within so many decisions was a mistake; an alarm takes it back."""
COMPARED_LATE = 5
"""A comparison that began so few decisions after a switch was won since then: nothing had changed."""
LARGEST_BANK = 8
"""Models in the bank; beyond it, the one longest out of use is dropped. The first never is."""
COMPARISON = "comparison"
"""What noticed that a model that is known predicts better than the one in use."""


@dataclass(frozen=True)
class ModelSwitch:
    """A detected change: the model that is in use since."""

    decision: int
    """At which it was detected."""
    model: int
    """The model's number."""
    new: bool
    """Whether it began with this change, or was known."""
    since: int
    """How many decisions before, the change most likely happened."""
    signal: str = "errors"
    """What noticed it: a signal (`agent.world_model.signals`), `comparison` with a model that was known, or `delay`
    (`agent.world_model.delay`)."""
    delay: int = 0
    """Decisions by which actions are late since."""


@dataclass
class NewestSwitch:
    """The newest switch to another model: one to a model that was known may be a mistake."""

    left: KnownModel | None = None
    """The model in use before; None where the switch was to a new model, or took another one back."""
    moved: int = 0
    """Rows that were collected before the switch, and moved to the other model with it."""
    decisions: int = 0
    """Since then."""
    rewarded: float = 0.0
    """Sum of the rewards since then."""
    same_episode: bool = True
    """Whether it was in the episode in progress."""

    def step(self, reward: float) -> None:
        """One more step has this reward."""
        self.decisions += 1
        self.rewarded += reward

    def left_by_mistake(self, bank: Sequence[KnownModel]) -> KnownModel | None:
        """The model of the bank to go back to after an alarm; None where the switch is too old to be a mistake."""
        held = self.left is not None and any(known is self.left for known in bank)
        return self.left if held and self.decisions <= WRONG_SWITCH_DECISIONS else None

    def is_taken_back_by(self, known: KnownModel) -> bool:
        """Whether a switch to this model makes it a mistake."""
        return self.left_by_mistake([known]) is known


class ModelBank:
    """The models that are known. The networks of the agent have the weights of the one in use, or those kept.

    Args:
        modules: those of the agent.
        first: its model of training, which is in use.
    """

    def __init__(self, modules: Modules, first: KnownModel) -> None:
        self.weights = NetworkWeights(modules)
        self.first = self.in_use = first
        self.models = [first]
        self.newest_switch = NewestSwitch()
        self.events: list[ModelSwitch] = []
        self.usual_return = math.inf
        """What an episode returns at least without a change; infinite while that is not known."""
        self.begun = self.decisions = 0
        """Models that were begun, and steps that were observed."""

    @property
    def position(self) -> int:
        """Of the model in use, among the models."""
        return self.models.index(self.in_use)

    def world_model(self, known: KnownModel) -> WorldModel:
        """The world model of one of them."""
        return self.weights.model_of(known, self.in_use)

    def predicting(self, chosen: np.ndarray, due: np.ndarray) -> list[tuple[WorldModel, np.ndarray]]:
        """The world model of each, and the action [act] from which it predicts a step: `due` for the first.

        Only the first model allows for a delay: the others have learned from what was chosen.
        """
        return [(self.world_model(known), due if known is self.first else chosen) for known in self.models]

    # Episodes

    def begin_episode(self) -> None:
        """An episode begins, and with it those networks act whose turn it is."""
        known = self.in_use
        known.returns.break_off()
        self.weights.end_episode(known)
        kept = bool(known.kept) and known.returns.next_kept()
        self.weights.act(known, kept=kept)
        known.returns.begin(kept)
        self.newest_switch.same_episode = False

    def end_episode(self) -> None:
        """The episode is over. Those networks act that have returned more in this world."""
        self.weights.end_episode(self.in_use)
        self.weights.act(self.in_use, kept=self.in_use.returns.prefers_kept)

    def preferred(self) -> AbstractContextManager[None]:
        """Within it, the networks have the weights that have returned more in this world, whoever acts."""
        return self.weights.acting(self.in_use, kept=self.in_use.returns.prefers_kept)

    def step(self, row: int, reward: float) -> None:
        """One step was observed, and is in that row of the replay buffer."""
        self.decisions += 1
        self.in_use.returns.total += reward
        self.newest_switch.step(reward)
        self.in_use.rows.add([row])
        self.in_use.last_used = self.decisions

    # Changes

    def better(
        self, errors: Sequence[tuple[float, float]], standardised: Sequence[float]
    ) -> KnownModel | None:
        """The model that predicts better than the one in use; None while there is none.

        Args:
            errors: error and disagreement of the newest step, by every model.
            standardised: the same error in units of what is usual for each model, 0 where that is not known.
        """
        error = errors[self.position][0]
        found = [
            known
            for known, pair, own in zip(self.models, errors, standardised, strict=True)
            if known is not self.in_use and known.comparison.update(error, pair[0], own)
        ]
        return max(found, key=lambda known: known.comparison.level, default=None)

    def follow(self, alarm: Alarm) -> None:
        """After an alarm, goes back to the model that was left by mistake, or begins a new one."""
        if (left := self.newest_switch.left_by_mistake(self.models)) is None:
            self.begin_model(alarm.since, alarm.signal)
        else:
            self.switch_to(left, alarm.signal)
            self.newest_switch.left = None

    def begin_model(self, since: int, signal: str) -> None:
        """A new model, which begins as the one in use and with the last `since` steps; `signal` noticed."""
        known = self.in_use
        moved = known.hand_over(since)  # they were collected in another world
        self.weights.store(known, moved)
        earlier = known.earlier_rows if known is self.first else known.rows.all.copy()
        self.begun += 1
        new = KnownModel(
            copy.deepcopy(known.model),
            earlier,
            number=self.begun,
            rows=RowNumbers(moved),
            kept=known.preferred,
            returns=TrialReturns(known.returns.prefers_kept, enough=self.usual_return),
        )
        if len(self.models) == LARGEST_BANK:
            others = [other for other in self.models if other is not self.first and other is not known]
            self.models.remove(min(others, key=lambda other: other.last_used))
        self.models.append(new)
        known.returns.interrupt()
        new.returns.interrupt()  # this episode is of two worlds
        self.newest_switch = NewestSwitch()
        self._use(new, since, signal, new=True)

    def switch_to(self, known: KnownModel, signal: str = COMPARISON) -> None:
        """Uses a known model again, its weights as they were when it was stored; `signal` noticed."""
        before, switch = self.in_use, self.newest_switch
        mistake = switch.is_taken_back_by(known)
        since = max(1, known.comparison.steps)
        if mistake and (signal != COMPARISON or since >= switch.decisions - COMPARED_LATE):
            # Nothing had changed: what was moved then, and was collected since, is of its world.
            since = switch.moved + switch.decisions
        moved = before.hand_over(since)
        known.rows.add(moved)
        self.weights.store(before, moved)
        self.weights.restore(known, moved)
        before.returns.interrupt()
        if mistake and switch.same_episode:
            self.weights.resume(known, switch.rewarded)
        else:
            known.returns.interrupt()
        self.newest_switch = NewestSwitch(before, len(moved))
        self._use(known, since, signal, new=False)

    def delayed(self, delay: int, since: int) -> None:
        """Actions are late by so many decisions, since so many steps, in the world of the first model.

        The return of the episode in progress is of two worlds.
        """
        if self.in_use is self.first:
            self.first.returns.interrupt()
            self.events.append(ModelSwitch(self.decisions, self.first.number, False, since, DELAY, delay))
        else:
            self.switch_to(self.first, DELAY)
            self.events[-1] = replace(self.events[-1], since=since, delay=delay)

    def _use(self, known: KnownModel, since: int, signal: str, new: bool) -> None:
        self.in_use = known
        for other in self.models:
            other.comparison = ModelComparison()
        self.events.append(ModelSwitch(self.decisions, known.number, new, since, signal))

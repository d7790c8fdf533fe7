"""ADAPTATION: when the world changes, learn it from the last steps while acting, and keep the old one.

The agent watches its own surprise (`agent.world_model.change_detection`). On an alarm it begins a new
world: a copy of what it knew, which then learns at every decision from the steps since the change,
beside old ones whose share falls
as new ones come. What it knew of the old world is put aside, not overwritten. Every known world goes on to
predict each step; when another explains the present better than the one in use, the agent takes it up again.
Energy decides which model holds.

Surprise also says when to search. A plan is as good as the model it is made with: while the model errs by
more than its own doubt lets expect, the agent acts by its policy alone, mode 1, and searches again later.

Perception stays as it is: what is seen has not changed, only what follows from it. All models therefore
predict the same latents, and their errors can be compared.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agent.errors import ConfigError
from agent.interface import TrainingEnv
from agent.memory.windows import Windows
from agent.observed_env import Attended
from agent.world_model.change_detection import (
    LEAST_LIVED,
    MOST,
    Rival,
    Vigilance,
    VigilanceError,
    as_met,
    calibrate,
)
from agent.world_model.dynamics import WorldModel
from agent.world_model.model_bank import SETTLED, Event, World

if TYPE_CHECKING:
    from agent.agent import Joule

log = logging.getLogger(__name__)

UPDATES = 2.0
"""Gradient steps a decision while a world is being learned."""
DECISIONS_PER_ALARM = 50_000.0
"""In a world that does not change, one false alarm in so many decisions is wanted."""
CALIBRATION = 10_000
"""The newest decisions of training, from which is told what surprise is usual."""
WORTH = 500
"""Old steps weigh as much in learning as this many new ones would: half after 500, a tenth after 4,500."""
RECENT = 0.05
"""Rate at which the mean of recent excess follows: some twenty decisions."""
LOST = 1.25
"""Mean recent excess, in deviations, above which the model is not trusted with a search. At home it is 0.45
on average, and as much as this in the start of an episode."""
MOST_WORLDS = 8
"""Beyond it, the world that was longest out of use is forgotten; the first never is."""


class Adaptive:
    """A Joule agent that adapts: `predict` as before, and `attend` for the body it acts in, one at a time.

    Everything else is asked of the agent itself. Steps that are not attended teach nothing. Raises
    ConfigError for an agent that has lived too little to know what is usual, or plans for a task that its
    critic never learned.
    """

    def __init__(
        self, learner: Joule, updates: float = UPDATES, decisions_per_alarm: float = DECISIONS_PER_ALARM
    ):
        if learner.judge is not None:
            raise ConfigError("adapt: a task that is planned for teaches no critic; retask learns it")
        self.learner, self.updates, self.decisions_per_alarm = learner, updates, decisions_per_alarm
        memory = learner.memory
        known = memory.transitions()
        self.home = World(copy.deepcopy(learner.modules.world_model), known)
        try:
            error, disagreement = self.lived(known[-CALIBRATION:])
            self.home.usual = calibrate(as_met(error, learner.surprise), disagreement, decisions_per_alarm)
        except VigilanceError as error:
            raise ConfigError(f"adapt: this agent has lived too little: {error}") from error
        self.worlds = [self.home]
        self.world = self.home
        """The one in use."""
        self.acquainted = 0
        self.vigilance: Vigilance | None = Vigilance(self.home.usual.limit)
        self.decisions = 0
        self.events: list[Event] = []
        self.excess = 0.0
        """Of the newest step, in the world in use; 0 while what is usual there is not known."""
        self.recent_excess = 0.0
        """Its mean over the last decisions; by what is usual at home while nothing else is known."""
        self._credit = 0.0
        self._obs: np.ndarray | None = None
        if learner.config.perceive == "energy":  # by what is healthy: later rows may be of dead sensors
            learner.know_sensors()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)

    # Acting

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """As `Joule.predict`, for one body; what is due is learned first."""
        if np.ndim(observation) == 2 and len(observation) != 1:
            raise ConfigError(f"adapt: one body at a time, found {len(observation)}")
        if self._credit >= 1.0:
            with self.learner.own_generator():
                while self._credit >= 1.0:
                    self._credit -= 1.0
                    self.update()
        # An episode's first decision is searched for in any case: nothing strange has happened in it yet.
        first = state is None or (episode_start is not None and bool(np.any(episode_start)))
        actor = self.learner.novice if self.lost and not first else None
        return self.learner.predict(observation, state, episode_start, deterministic, actor)

    @property
    def lost(self) -> bool:
        """Whether the world is foreseen too badly for a search, so that the policy acts alone.

        Never within guards: a policy does not look ahead. It stays as it is while no step is attended.
        """
        return self.recent_excess > LOST and self.learner.barrier is None

    def update(self) -> None:
        """One gradient step, in which perception stands still and curiosity is off."""
        learner = self.learner.learner
        encoder, config = learner.model_group.optimizer.param_groups[0], learner.config
        rate = encoder["lr"]
        # The worlds are known by one perception. In a changed one all is new; what is wanted is the return.
        encoder["lr"], learner.config = 0.0, dataclasses.replace(config, curiosity=0.0)
        try:
            learner.update(self.sample())
        finally:
            encoder["lr"], learner.config = rate, config
        # What is known of the sensors stays, and of what a guard needs.
        self.learner.inferred_by = self.learner.room_by = learner.updates

    # Noticing

    def attend(self, body: TrainingEnv) -> Attended:
        """The same body, whose every step this agent notices."""
        return Attended(body, self)

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins."""
        self.learner.memory.begin(obs, readouts)
        self._obs = obs

    def notice(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """Takes in one step: remembered, compared with what was expected, and learned from if need be."""
        assert self._obs is not None
        memory, before = self.learner.memory, self._obs
        row = memory.rows - 1
        memory.add(action, reward, terminated, obs, readouts)
        self._obs = obs
        self.decisions += 1
        self.world.rows.append(row)
        self.world.last_used = self.decisions
        found = self.judged(before, action, obs)
        self.world.recent.append(found[self.worlds.index(self.world)])
        self.watch(found)
        if self.world is not self.home:
            self._credit += self.updates
            lived = len(self.world.rows)
            if lived >= SETTLED and lived % LEAST_LIVED == 0:
                self.settle()

    def settle(self) -> None:
        """Takes the newest steps in the world in use for what is usual there."""
        error, disagreement = np.array(self.world.recent).T
        try:
            self.world.usual = calibrate(error, disagreement, self.decisions_per_alarm)
        except VigilanceError as why:
            log.warning("world %d is not watched for a further change: %s", self.world.number, why)
            return
        self.vigilance = Vigilance(self.world.usual.limit)

    def watch(self, found: list[tuple[float, float]]) -> None:
        """Takes up another world when it holds better, or begins a new one on an alarm.

        `found` are errors and disagreements of the newest step by all worlds.
        """
        error, disagreement = found[self.worlds.index(self.world)]
        excesses = [
            0.0 if world.usual is None else float(world.usual.excess(*pair))
            for world, pair in zip(self.worlds, found, strict=True)
        ]
        self.excess = excesses[self.worlds.index(self.world)]
        usual = self.world.usual or self.home.usual
        assert usual is not None
        strange = float(usual.excess(error, disagreement))
        if math.isfinite(strange):
            self.recent_excess += RECENT * (min(max(strange, -MOST), MOST) - self.recent_excess)
        alarm, since = False, 1
        if self.vigilance is not None:
            alarm = self.vigilance.watch(self.excess)
            since = max(1, self.vigilance.since)
        better = [
            world
            for world, pair, excess in zip(self.worlds, found, excesses, strict=True)
            if world is not self.world and world.rival.watch(error, pair[0], excess)
        ]
        if better:
            self.take_up(max(better, key=lambda world: world.rival.level))
        elif alarm:
            self.begin_world(since)

    def judged(self, obs: np.ndarray, action: np.ndarray, after: np.ndarray) -> list[tuple[float, float]]:
        """Error and disagreement of a step by every known world."""
        z, seen = self.learner.perceive(np.stack((obs, after))).split(1)
        taken = torch.from_numpy(np.asarray(action, np.float32)[None]).to(z)
        with torch.inference_mode():
            steps = [self.model_of(world).predict(z, taken) for world in self.worlds]
            return [(float((s.z - seen).square().mean()), float(s.disagreement)) for s in steps]

    def model_of(self, world: World) -> WorldModel:
        """The world model of a world, in use or not."""
        return self.learner.modules.world_model if world is self.world else world.model

    def lived(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Errors and disagreements of remembered transitions, by absolute row, under the model in use."""
        memory, model = self.learner.memory, self.learner.modules.world_model
        errors, disagreements = [np.zeros(0)], [np.zeros(0)]
        for part in np.array_split(rows, len(rows) // 4096 + 1) if len(rows) else ():
            here = part % memory.capacity
            z = self.learner.perceive(memory.obs[here])
            seen = self.learner.perceive(memory.obs[(here + 1) % memory.capacity])
            with torch.inference_mode():
                step = model.predict(z, torch.from_numpy(memory.action[here]).to(z))
                errors.append((step.z - seen).square().mean(-1).cpu().numpy())
                disagreements.append(step.disagreement.cpu().numpy())
        return np.concatenate(errors), np.concatenate(disagreements)

    # Worlds

    def begin_world(self, since: int) -> None:
        """A new world, which begins with what was known and with the last `since` steps."""
        moved = self.rows_since(since)
        kept = self.world.rows
        self.put_aside()
        before = self.home.before if self.world is self.home else np.array(kept)
        self.acquainted += 1
        new = World(copy.deepcopy(self.world.model), before, number=self.acquainted, rows=moved)
        if len(self.worlds) == MOST_WORLDS:
            others = [w for w in self.worlds if w is not self.home and w is not self.world]
            self.worlds.remove(min(others, key=lambda world: world.last_used))
        self.worlds.append(new)
        self._use(new, since, True)

    def rows_since(self, since: int) -> list[int]:
        """Takes the last `since` rows from the world in use: they were lived in another."""
        rows = self.world.rows
        kept = max(len(rows) - since, 0)
        moved = rows[kept:]
        del rows[kept:]
        return moved

    def take_up(self, world: World) -> None:
        """A known world again, lived in since it is better: its weights as they were when it was left."""
        since = max(1, world.rival.steps)
        world.rows += self.rows_since(since)
        self.put_aside()
        self.learner.modules.load_state_dict(world.weights)
        for group, state in zip(self._groups(), world.optimizers, strict=True):
            group.optimizer.load_state_dict(state)
        self._use(world, since, False)

    def put_aside(self) -> None:
        """Keeps the weights of the world in use."""
        world, modules = self.world, self.learner.modules
        world.weights = {name: value.clone() for name, value in modules.state_dict().items()}
        world.optimizers = [copy.deepcopy(group.optimizer.state_dict()) for group in self._groups()]
        world.model = copy.deepcopy(modules.world_model)

    def _groups(self) -> tuple[Any, Any]:
        return self.learner.learner.model_group, self.learner.learner.policy_group

    def _use(self, world: World, since: int, new: bool) -> None:
        self.world = world
        self.vigilance = None if world.usual is None else Vigilance(world.usual.limit)
        for known in self.worlds:
            known.rival = Rival()
        if not new:  # its model is known to hold
            self.recent_excess = 0.0
        self._credit = 0.0
        self.events.append(Event(self.decisions, world.number, new, since))

    def sample(self) -> Windows:
        """A batch for one gradient step: windows of this world, and of the one before it."""
        learner, config = self.learner, self.learner.config.learner
        memory, rng = learner.memory, learner.rng
        new, old = self._held(np.array(self.world.rows, np.int64)), self._held(self.world.before)
        count = round(config.batch * len(new) / (len(new) + WORTH)) if len(old) else config.batch
        time = config.window + config.n_step - 1
        parts = [
            memory.sample(size, time, rng, among=rows)
            for size, rows in ((count, new), (config.batch - count, old))
            if size
        ]
        if len(parts) == 1:
            return parts[0]
        return Windows(
            *(np.concatenate(pair, 1) for pair in zip(*(vars(p).values() for p in parts), strict=True))
        )

    def _held(self, rows: np.ndarray) -> np.ndarray:
        """Places in the ring of those absolute rows that it still holds."""
        memory = self.learner.memory
        return rows[rows >= memory.first] % memory.capacity

"""The interaction loop: decisions in one or several environments, stored, and the updates that they add."""

from collections.abc import Sequence

import numpy as np
import torch

from agent.acting_copy import acting_copy
from agent.actor import acting_batch
from agent.actor.actor import ActingState
from agent.chunks import Actors, Chunk, LearnerState
from agent.errors import StopRun
from agent.interface import (
    DIVERGED_DECISIONS,
    DIVERGED_KEY,
    DRAWN_KEY,
    EndedEpisode,
    Observation,
    StepResult,
    TrainingEnvs,
)
from agent.learning.recorded import rescale_recorded
from agent.learning.running_statistics import take_in_new_rows
from agent.learning.schedule import is_broken_off, is_planned, rate_share, updates_due
from agent.learning.undirected import smooth_action, uniform_action
from agent.memory.columns import stack_parts
from agent.modules import Modules
from agent.seeds import reset_seed

NORMALISE_EVERY, MEASURE_EVERY = 100, 250
"""Updates between two refreshes of the running statistics, and between two measurements."""
RECORDED_EVERY, RECORDED_ERRORS = 50, 16
"""Updates between two measurements of surprise where no environment acts, and how many transitions one takes."""


class Interaction:
    """Where an agent's training is: its counters, its open episodes, and the updates that are due.

    Environment `i` writes to stream `i` of the replay buffer. One environment is the special case of one stream.
    """

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.frames = self.decisions = self.episodes = 0
        self.update_credit = 0.0
        """Gradient steps that are due, a fraction of one included."""
        self.stop_requested = False
        self.metrics: dict[str, float] = {}
        count = len(modules.replay_buffer.streams)
        self.obs: list[Observation | None] = [None] * count
        """The newest observation of each open episode; None between episodes."""
        self.acting: list[ActingState | None] = [None] * count
        """The acting state of each open episode; None before its first decision, and in warm-up."""
        self.episode_return, self.episode_decisions = [0.0] * count, [0] * count
        """Of each open episode, so far."""
        self.ended_episodes: list[EndedEpisode] = []
        """Those that ended with the newest decision."""
        self.episode_number = [0] * count
        """Number of each open episode, from 0; it says whether the episode is planned."""
        self.seeded = [False] * count
        """Whether each environment was reset with a seed, and continues from there by itself."""

    def begin_episode(self) -> None:
        """Forgets the open episodes: the next decision resets the environments, with `seeds.reset_seed`."""
        count = len(self.obs)
        self.obs, self.acting = [None] * count, [None] * count
        self.seeded = [False] * count

    def step(self, envs: TrainingEnvs) -> None:
        """One decision in every environment, stored in the replay buffer, and the updates that they add."""
        before = self.decisions
        self.collect(envs)
        self._count_updates(before)
        self.run_due_updates()

    def step_offline(self) -> None:
        """One gradient step on what the replay buffer holds, which counts as a frame."""
        self.frames += 1
        self.update_credit += 1.0
        self.ended_episodes = []
        if self.modules.learner.updates % RECORDED_EVERY == RECORDED_EVERY - 1:
            self._measure_recorded_surprise()
        if self.modules.learner.updates == self.modules.config.learning.horizons_terminating_from_updates:
            # The discount is another one from this update on, and no new row brings the scales up to it.
            rescale_recorded(self.modules)
        self.run_due_updates()

    def step_with(self, actors: Actors, until: int) -> None:
        """The next chunks of actors, stored in the replay buffer, and the updates that their decisions add.

        Args:
            actors: the actors.
            until: the frames at which learning ends.
        """
        modules, repeat = self.modules, self.modules.env_spec.action_repeat
        self.ended_episodes = []
        chunks = actors.next_chunks(
            LearnerState(
                updates=modules.learner.updates,
                decisions=self.decisions,
                decisions_left=-(-(until - self.frames) // repeat),
                copy=lambda: acting_copy(modules),
                stopped=lambda: self.stop_requested,
            )
        )
        for chunk in chunks:
            self.take_in(chunk)
        self.metrics |= actors.metrics
        self.run_due_updates()

    def take_in(self, chunk: Chunk) -> None:
        """Stores what an actor experienced, and counts the updates that it adds."""
        modules, before = self.modules, self.decisions
        modules.replay_buffer.streams[chunk.actor].extend(chunk.rows, chunk.continues)
        self.frames += chunk.frames
        self.decisions += chunk.decisions
        modules.terminations += chunk.terminations
        if chunk.diverged:
            self.metrics[DIVERGED_DECISIONS] = self.metrics.get(DIVERGED_DECISIONS, 0.0) + chunk.diverged
        for error in chunk.errors:
            self.metrics["surprise"] = modules.surprise.observe(error)
        for ended in chunk.ended:
            self._episode_ended(ended)
        self.metrics["actors/staleness_updates"] = float(modules.learner.updates - chunk.updates)
        self._count_updates(before)

    def _count_updates(self, before: int) -> None:
        """Adds the gradient steps that the decisions after `before` make due.

        Raises:
            StopRun: where warm-up is over and has left nothing to learn from.
        """
        config, held = self.modules.config, self.modules.replay_buffer.held
        if not held and 0 < config.explore.warmup_decisions <= self.decisions:
            raise StopRun(
                f"the physics diverged in each of the first {self.decisions:,} decisions, which leaves nothing to "
                "learn from; a smaller time step of the simulation or narrower bounds of the actions may prevent it"
            )
        for decisions in range(before + 1, self.decisions + 1):
            self.update_credit += updates_due(decisions, held, config.explore, config.learning)

    def _episode_ended(self, ended: EndedEpisode) -> None:
        self.episodes += 1
        self.metrics["episode/return"] = ended.total_return
        self.metrics["episode/length"] = float(ended.decisions)
        self.ended_episodes.append(ended)

    def collect(self, envs: TrainingEnvs) -> None:
        """One decision in every environment, stored in the replay buffer."""
        streams = self.modules.replay_buffer.streams
        self._begin_episodes(envs)
        actions, before = self._decide(), list(self.obs)
        results = envs.step(actions)
        readouts = envs.readouts()
        undirected = self._acts_undirected()
        self.decisions += envs.num_envs
        predicted, unplanned = [], []
        for i, (obs, reward, terminated, _, info) in enumerate(results):
            self.frames += info["frames"]
            # An observation after physics diverged is not one of this environment: nothing is learned from it.
            if info.get(DIVERGED_KEY, False):
                self.metrics[DIVERGED_DECISIONS] = self.metrics.get(DIVERGED_DECISIONS, 0.0) + 1.0
            else:
                streams[i].add(actions[i], reward, terminated, obs, readouts[i])
                self.episode_return[i] += float(reward)
                if self.acting[i] is not None:
                    predicted.append(i)
                elif undirected:
                    unplanned.append(i)
            self.obs[i] = obs
        self._measure_surprise(predicted)
        if unplanned:
            self._measure_undirected_surprise(unplanned, before, actions[unplanned])
        self._end_episodes(results)

    def _end_episodes(self, results: Sequence[StepResult]) -> None:
        """Closes the episodes that end with these steps, one step of each environment."""
        self.ended_episodes = []
        for i, (_, _, terminated, truncated, info) in enumerate(results):
            self.episode_decisions[i] += 1
            cut = is_broken_off(self.decisions, self.episode_decisions[i], self.modules.config.explore)
            if terminated or truncated or cut:
                self.modules.terminations += terminated
                drawn = info.get(DRAWN_KEY, {})
                self._episode_ended(EndedEpisode(self.episode_return[i], self.episode_decisions[i], drawn))
                self.obs[i] = None

    def _begin_episodes(self, envs: TrainingEnvs) -> None:
        """Resets the environments that have no open episode."""
        seed = self.modules.config.seed
        closed = [i for i, obs in enumerate(self.obs) if obs is None]
        if not closed:
            return
        seeds = {i: None if self.seeded[i] else reset_seed(seed, self.frames, i) for i in closed}
        first = envs.reset(seeds)
        readouts = envs.readouts()
        for place, i in enumerate(closed):
            self.obs[i] = first[i]
            self.seeded[i] = True
            self.modules.replay_buffer.streams[i].begin(first[i], readouts[i])
            self.episode_return[i], self.episode_decisions[i], self.acting[i] = 0.0, 0, None
            self.episode_number[i] = self.episodes + len(self.obs) - len(closed) + place

    def _decide(self) -> np.ndarray:
        """Actions [streams, act]: random in warm-up, then planned or by the policy, as the schedule says."""
        modules, config = self.modules, self.modules.config
        count, act = len(self.obs), modules.env_spec.action_size
        if self.decisions < config.explore.warmup_decisions:
            return np.stack([uniform_action(act, modules.rng) for _ in range(count)])
        if self._acts_undirected():
            return np.stack([self._undirected(i) for i in range(count)])
        actions: np.ndarray = np.zeros((count, act), np.float32)
        planned = [is_planned(self.decisions, number, config.explore) for number in self.episode_number]
        for with_plan, actor in ((True, modules.actor), (False, modules.policy_actor)):
            rows = [i for i in range(count) if planned[i] is with_plan]
            if not rows:
                continue
            starts = np.array([self.acting[i] is None for i in rows])
            state = acting_batch.joined([self.acting[i] or self.first_acting_state() for i in rows])
            obs = stack_parts([self.obs[i] for i in rows])
            batch, state = modules.decide(obs, state, starts, explore=True, actor=actor)
            actions[rows] = batch
            for i, own in zip(rows, acting_batch.separate(state), strict=True):
                self.acting[i] = own
        return actions

    def _acts_undirected(self) -> bool:
        """Whether decisions after warm-up depend on nothing that was learned."""
        explore = self.modules.config.explore
        warm = self.decisions >= explore.warmup_decisions
        return warm and self.modules.rewardless and explore.kind != "disagreement"

    def _undirected(self, env: int) -> np.ndarray:
        """An action [act] of the kind `random` or `smooth`."""
        config, act = self.modules.config, self.modules.env_spec.action_size
        if config.explore.kind == "random":
            return uniform_action(act, self.modules.rng)
        key = (config.seed, env, self.episode_number[env])
        return smooth_action(key, self.episode_decisions[env], act)

    def _measure_surprise(self, rows: list[int]) -> None:
        """Compares the newest observations of these environments with what was predicted of them."""
        if not rows:
            return
        # The predictions were made before these observations were known: their errors are always held out.
        z = self.modules.perceive(stack_parts([self.obs[i] for i in rows]))
        for place, i in enumerate(rows):
            state = self.acting[i]
            assert state is not None
            error = (state.expected - z[place : place + 1]).square().mean().item()
            self.metrics["surprise"] = self.modules.surprise.observe(error)

    def _measure_undirected_surprise(
        self, rows: list[int], before: list[Observation | None], actions: np.ndarray
    ) -> None:
        """The same for actions [rows, act] that depend on nothing learned, from the observations before."""
        modules = self.modules
        if not modules.learner.updates:
            return  # networks that have learned nothing would say what is usual
        earlier, later = stack_parts([before[i] for i in rows]), stack_parts([self.obs[i] for i in rows])
        self._observe_errors(earlier, later, actions)

    def _measure_recorded_surprise(self) -> None:
        """The same for recorded transitions. They are learned from, so that what is usual there is rather low."""
        modules = self.modules
        buffer = modules.replay_buffer
        # A generator of its own: what is learned does not depend on what is measured.
        rng = np.random.default_rng([modules.config.seed, modules.learner.updates])
        start, end = buffer.windows(RECORDED_ERRORS, 1, rng)
        self._observe_errors(buffer.observations(start), buffer.observations(end), buffer.action[start])

    def _observe_errors(self, before: Observation, after: Observation, actions: np.ndarray) -> None:
        """Takes in the errors of one-step predictions, from observations, actions [rows, act] and what followed."""
        modules = self.modules
        with torch.inference_mode():
            z, following = modules.perceive(before), modules.perceive(after)
            taken = torch.from_numpy(actions).to(z)
            errors = (modules.networks.world_model.expect(z, taken) - following).square().mean(-1)
        for error in errors.tolist():
            self.metrics["surprise"] = modules.surprise.observe(error)

    def first_acting_state(self) -> ActingState:
        """The state at an episode's start in training: no plan, and the agent's own generator."""
        modules = self.modules
        z = torch.zeros(1, modules.config.model.latent_dim, device=modules.device)
        return ActingState(modules.generator, None, z, z, np.full(1, np.nan))

    # Updates

    def run_due_updates(self) -> None:
        """The gradient steps that are due; where a stop is requested, they wait for the next call."""
        while self.update_credit >= 1.0 and not self.stop_requested:
            self.update_once()
            self.update_credit -= 1.0

    def update_once(self) -> None:
        """One gradient step on a sample of the replay buffer."""
        modules, learning = self.modules, self.modules.config.learning
        updates = modules.learner.updates
        if updates % NORMALISE_EVERY == 0:
            take_in_new_rows(modules)
        time = learning.window_decisions + learning.n_step - 1
        windows = modules.replay_buffer.sample(
            learning.batch_size,
            time,
            modules.rng,
            recency=learning.recency,
            per_episode=modules.learner.windows_per_episode,
        )
        measure = updates % MEASURE_EVERY == 0
        share = 1.0
        if modules.config.data:  # its length is that of the run
            share = rate_share(updates, modules.config.steps, learning.rate_at_end)
        self.metrics |= modules.learner.update(windows, measure=measure, rate_share=share)
        self.metrics["learning/skipped_updates"] = float(modules.learner.skipped)
        if measure:
            self._measure_energy()

    def _measure_energy(self) -> None:
        """The energy terms of the newest plan of the first environment."""
        state = self.acting[0]
        if state is None or state.plan is None:
            return
        with torch.inference_mode():
            terms = self.modules.energy(state.z).terms(state.plan.actions.unsqueeze(1))
        self.metrics |= {f"energy/{name}": float(term[0, 0]) for name, term in terms.items()}

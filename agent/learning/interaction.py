"""The interaction loop: one decision in the environment, stored, and the gradient steps that it adds."""

import numpy as np
import torch

from agent.actor.actor import ActingState
from agent.interface import TrainingEnv
from agent.learning.schedule import is_planned, updates_due
from agent.modules import Modules
from agent.seeds import reset_seed

NORMALISE_EVERY, MEASURE_EVERY = 100, 250
"""Updates between two refreshes of the running statistics, and between two measurements."""


class Interaction:
    """Where an agent's training is: its counters, its open episode, and the updates that are due."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.frames = self.decisions = self.episodes = 0
        self.update_credit = 0.0
        """Gradient steps that are due, a fraction of one included."""
        self.stop_requested = False
        self.metrics: dict[str, float] = {}
        self.episode_return = 0.0
        self.obs: np.ndarray | None = None
        """The newest observation [obs] of the open episode; None between episodes."""
        self.seeded = False
        """Whether the environment was reset with a seed, and continues from there by itself."""
        self.acting: ActingState | None = None

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        self.obs, self.acting, self.seeded = None, None, False

    def step(self, env: TrainingEnv) -> None:
        """One decision in the environment, stored in the replay buffer, and the updates that it adds."""
        config = self.modules.config
        self.collect(env)
        held = self.modules.replay_buffer.held
        self.update_credit += updates_due(self.decisions, held, config.explore, config.learning)
        self.run_due_updates()

    def collect(self, env: TrainingEnv) -> None:
        """One decision in the environment, stored in the replay buffer."""
        modules, config = self.modules, self.modules.config
        if self.obs is None:
            seed = None if self.seeded else reset_seed(config.seed, self.frames)
            self.obs, _ = env.reset(seed=seed)
            self.seeded = True
            modules.replay_buffer.begin(self.obs, env.readouts())
            self.episode_return, self.acting = 0.0, None
        if self.decisions < config.explore.warmup_decisions:
            action = modules.rng.uniform(-1.0, 1.0, modules.env_spec.action_size).astype(np.float32)
        else:
            start = np.array([self.acting is None])
            if self.acting is None:
                self.acting = self.first_acting_state()
            planned = is_planned(self.decisions, self.episodes, config.explore)
            actor = modules.actor if planned else modules.policy_actor
            batch, self.acting = modules.decide(self.obs[None], self.acting, start, explore=True, actor=actor)
            action = batch[0]
        obs, reward, terminated, truncated, info = env.step(action)
        self.frames += info["frames"]
        self.decisions += 1
        # An observation after physics diverged is not one of this environment: nothing is learned from it.
        if not info.get("diverged", False):
            modules.replay_buffer.add(action, reward, terminated, obs, env.readouts())
            self.episode_return += float(reward)
            if self.acting is not None:
                # The prediction was made before this observation was known: its error is always held out.
                error = (self.acting.expected - modules.perceive(obs[None])).square().mean().item()
                self.metrics["surprise"] = modules.surprise.observe(error)
        self.obs = obs
        if terminated or truncated:
            modules.terminations += terminated
            self.episodes += 1
            self.metrics["episode/return"] = self.episode_return
            self.obs = None

    def first_acting_state(self) -> ActingState:
        """The state at an episode's start in training: no plan, and the agent's own generator."""
        modules = self.modules
        z = torch.zeros(1, modules.config.model.latent_dim, device=modules.device)
        return ActingState(modules.generator, None, z, z, np.full(1, np.nan))

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
            modules.normalise()
        time = learning.window_decisions + learning.n_step - 1
        windows = modules.replay_buffer.sample(learning.batch_size, time, modules.rng)
        measure = updates % MEASURE_EVERY == 0
        self.metrics |= modules.learner.update(windows, measure=measure)
        self.metrics["learning/skipped_updates"] = float(modules.learner.skipped)
        if measure and self.acting is not None and self.acting.plan is not None:
            with torch.inference_mode():
                terms = modules.energy(self.acting.z).terms(self.acting.plan.actions.unsqueeze(1))
            self.metrics |= {f"energy/{name}": float(term[0, 0]) for name, term in terms.items()}

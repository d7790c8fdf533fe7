"""Learns to reach goals from the replay buffer: no reward, and no step in the environment.

Every moment that is remembered may serve as a goal of what came before it (hindsight, Andrychowicz et al. 2017;
Kaelbling 1993). A decision costs 1, and the goal ends the episode, so that the cost-to-go is the discounted number
of decisions to the goal. The policy learns to lower it. Perception and world model stay as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agent import random_state
from agent.errors import ConfigError
from agent.goal_networks import GoalNetworks
from agent.learning.dynamics_learning import DynamicsLearner
from agent.learning.flat_parameters import FlatParameters
from agent.learning.skipped_updates import SkipBudget
from agent.memory.portions import evenly
from agent.memory.replay_buffer import ReplayBuffer
from agent.modules import Modules
from agent.remembered_latents import latents_at

BATCH_SIZE = 256
LEARNING_RATE = 1e-3
TAU = 0.01
"""Rate at which the target critic follows."""
N_STEP = 10
"""Decisions of an episode before the critic's bootstrap. With 3, goals take twice the updates."""
FROM_THE_FUTURE = 0.85
"""Share of the goals that are later moments of the same episode; the others are moments of any episode, so that the
critic knows what is far."""
ENTROPY_WEIGHT = 0.01
"""Decisions that a nat of the policy's entropy is worth."""
MAX_GRAD_NORM = 20.0
MEASURED_STEPS = 2_000
"""Transitions at most on which the usual distance of successive latents is measured."""


@dataclass(frozen=True)
class Moments:
    """What the replay buffer holds, in the order in which it happened, one stream after another."""

    z: Float[Tensor, "moments latent"]
    action: Float[Tensor, "moments act"]
    last: np.ndarray
    """[moments], whether a moment is the last of its episode, without an action."""
    end: np.ndarray
    """[moments], index of the last moment of its episode."""
    starts: np.ndarray
    """Indices of the moments with an action."""
    terminated: np.ndarray
    """[moments], whether the episode terminates with the action of a moment."""


def order_of(buffer: ReplayBuffer) -> np.ndarray:
    """Places of the rows that are held, in the order in which they happened, one stream after another."""
    numbers = [buffer.numbers(number) for number in range(len(buffer.streams))]
    return buffer.place(np.concatenate(numbers))


def moments_of(modules: Modules) -> Moments:
    """The moments in an agent's replay buffer.

    Raises:
        ConfigError: where it holds no transition.
    """
    buffer = modules.replay_buffer
    if buffer.held == 0:
        raise ConfigError("goals: this agent has no experience that reaching goals could be learned from")
    places = order_of(buffer)
    z = latents_at(modules, places)
    last = buffer.last[places]
    ends = np.flatnonzero(last)
    end = ends[np.searchsorted(ends, np.arange(len(places)))]
    action = torch.from_numpy(buffer.action[places]).to(z.device)
    return Moments(z, action, last, end, np.flatnonzero(~last), buffer.terminated[places] > 0)


def usual_step(modules: Modules) -> float:
    """Mean distance between the latents of successive decisions that are remembered; 1 where there is none."""
    buffer = modules.replay_buffer
    if not buffer.held:
        return 1.0
    places = order_of(buffer)
    starts = np.flatnonzero(~buffer.last[places])
    starts = evenly(starts, MEASURED_STEPS)
    here, then = (latents_at(modules, places[at]) for at in (starts, starts + 1))
    return float(torch.linalg.vector_norm(then - here, dim=-1).mean()) or 1.0


def learn_goals(
    modules: Modules, updates: int, on_update: Callable[[int], None] | None = None
) -> GoalNetworks:
    """Trains a critic and a policy that are told the goal, on what an agent remembers. Deterministic.

    Where latents are made for plans by their distance, residual dynamics are trained beside them, for these plans.
    The process's random generators are left as they are.

    Args:
        modules: those of the agent; they are not changed.
        updates: gradient steps.
        on_update: called after each with how many were made.

    Raises:
        ConfigError: for a replay buffer without a transition, or less than one update.
        StopRun: when learning is no longer finite.
    """
    if updates < 1:
        raise ConfigError(f"goals: {updates} updates is less than 1")
    moments = moments_of(modules)
    with random_state.preserved():
        torch.manual_seed(modules.config.seed)
        networks = modules.networks.new_goals()
        budget, seed = modules.config.learning.max_skipped_updates, modules.config.seed
        learner = GoalLearner(networks, moments, budget, seed)
        dynamics = None
        if networks.dynamics is not None:
            dynamics = DynamicsLearner(
                networks.dynamics, moments.z, moments.action, moments.last, updates, budget, seed
            )
        for done in range(1, updates + 1):
            learner.update()
            if dynamics is not None:
                dynamics.update()
            if on_update is not None:
                on_update(done)
    return networks


def steps_towards(
    starts: np.ndarray, goals: np.ndarray, ends: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """How many decisions are taken from each start until its goal, the end of the episode, or `most` of them.

    Args:
        starts: moments [rows].
        goals: moments [rows].
        ends: the last moments of the episodes of `starts`.
        most: decisions.

    Returns:
        The decisions [rows], at least 1, and whether they lead to the goal.
    """
    distance = goals - starts
    taken = np.minimum(most, ends - starts)
    reached = (distance > 0) & (distance <= taken)
    return np.where(reached, distance, taken), reached


class GoalLearner:
    """Gradient steps on critic and policy.

    Args:
        networks: are trained.
        moments: what they learn from.
        max_skipped_updates: see `LearningConfig`.
        seed: of the draws of moments and goals.
    """

    def __init__(self, networks: GoalNetworks, moments: Moments, max_skipped_updates: int, seed: int) -> None:
        self.networks, self.moments = networks, moments
        self.discount = networks.discount
        self.critic = FlatParameters([(list(networks.critic.parameters()), LEARNING_RATE)])
        self.policy = FlatParameters([(list(networks.policy.parameters()), LEARNING_RATE)])
        self.pairs = list(zip(networks.target_critic.parameters(), networks.critic.parameters(), strict=True))
        self.budget = SkipBudget(max_skipped_updates)
        self.rng = np.random.default_rng(seed)
        self.updates = 0

    def goals(self, starts: np.ndarray) -> np.ndarray:
        """Moments [rows] that serve as goals of `starts` [rows]."""
        later = np.minimum(
            starts + self.rng.geometric(1.0 - self.discount, len(starts)), self.moments.end[starts]
        )
        any_moment = self.rng.integers(0, len(self.moments.last), len(starts))
        return np.where(self.rng.random(len(starts)) < FROM_THE_FUTURE, later, any_moment)

    @torch.no_grad()
    def targets(self, starts: np.ndarray, goals: np.ndarray) -> Float[Tensor, " rows"]:
        """Targets of the critic: the discounted number of decisions from `starts` [rows] to `goals` [rows]."""
        networks, moments = self.networks, self.moments
        taken, reached = steps_towards(starts, goals, moments.end[starts], N_STEP)
        after, goal = (moments.z[torch.from_numpy(index)] for index in (starts + taken, goals))
        share = torch.from_numpy(self.discount**taken).to(goal)
        later = torch.cat((after, goal), -1)
        to_go = networks.target_critic(later, networks.policy.draw(later)).amax(-1)
        # From where the episode terminated no goal is reached any more.
        over = moments.terminated[starts + taken - 1]
        to_go = to_go.masked_fill(torch.from_numpy(over).to(goal.device), 1.0 / (1.0 - self.discount))
        onward = share * torch.from_numpy(~reached).to(goal) * to_go
        return (1.0 - share) / (1.0 - self.discount) + onward

    def update(self) -> None:
        """One gradient step of each.

        Raises:
            StopRun: when more updates are skipped than the budget allows.
        """
        networks, moments = self.networks, self.moments
        starts = self.rng.choice(moments.starts, BATCH_SIZE)
        goals = self.goals(starts)
        target = self.targets(starts, goals)
        pair = torch.cat([moments.z[torch.from_numpy(index)] for index in (starts, goals)], -1)
        critic = networks.critic
        logits = critic.logits(pair, moments.action[torch.from_numpy(starts)])
        scaled = (target / critic.scale).unsqueeze(1).expand(-1, logits.shape[1])
        loss = critic.two_hot.loss(logits, scaled).mean()
        self.updates += 1
        if not self._step(self.critic, loss):
            return
        critic.requires_grad_(False)
        try:
            action, log_prob = networks.policy.sample(pair)
            decisions = critic(pair, action).mean() + ENTROPY_WEIGHT * log_prob.mean()
        finally:
            critic.requires_grad_(True)
        self._step(self.policy, decisions)
        with torch.no_grad():
            for follower, learned in self.pairs:
                follower.lerp_(learned, TAU)

    def _step(self, group: FlatParameters, loss: Float[Tensor, ""]) -> bool:
        return self.budget.step(group, loss, MAX_GRAD_NORM, self.updates, "reaching goals")

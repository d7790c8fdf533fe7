"""A new task inside an old model: critic, policy and cost head learned from replay and imagination.

Nothing here touches the body, nor what predicts it: perception, dynamics and readouts stay as they are.
What was lived is paid again at the task's price, on the true readouts that memory keeps; what was not lived
is imagined from there under the policy that is being learned, and paid on the readouts that are foreseen
(model-based value expansion, Feinberg et al. 2018; relabelling, Andrychowicz et al. 2017). Where a task goes
on from the environment's own cost, what the model is unsure of costs the critic `cost.uncertainty`, in sizes of
the usual cost, so that the policy does not move to where nothing was lived (Yu et al. 2020, equation 2).
What counts is by how much it exceeds the doubt of what was lived from the same place: that a place was seldom
visited is no reason to keep away, that an action was never tried there is. Such a task goes on from the old
one's critic, too, which knows the way. A task of other costs alone asks for what was not lived: there doubt
costs neither critic nor plans anything, and what was learned of another task gives way to a beginner's.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from agent import random_state
from agent.cost.readouts import Readouts
from agent.cost.returns import n_step_targets
from agent.cost.task import IN_PYTHON, Task
from agent.cost.task_cost import TaskCost
from agent.errors import ConfigError
from agent.learning.flat_parameters import FlatParameters
from agent.memory.replay_buffer import ReplayBuffer
from agent.modules import Modules
from agent.networks import Networks

BATCH = 64
"""Windows of an update, each both as it was lived and as it would go on under the policy."""
AHEAD = 3
"""Decisions of imagination."""
TASK_TAU = 0.05
"""Rate at which targets follow, some times that of training: what has a life there has 4,000 updates here."""
POLICY_DELAY = 0.25
"""Share of the updates in which the policy stands still, until the new critic is worth following."""


def learn_task_in_imagination(modules: Modules, task: Task, task_cost: TaskCost, updates: int) -> None:
    """Makes the agent of `modules` one that was trained for `task`, by `updates` steps of its critic and policy.

    Deterministic. The process's random generators are left as they were.

    Raises:
        ConfigError: for a replay buffer without a transition, or less than one update.
        StopRun: when learning is no longer finite.
    """
    if updates < 1:
        raise ConfigError(f"updates: {updates} is less than 1")
    buffer, m, config = modules.replay_buffer, modules.networks, modules.config
    if buffer.held == 0:
        raise ConfigError("learn_task: this agent has no experience that a task could be learned from")
    modules.normalise()
    continues = task_cost.asks_own
    relabel(buffer, task, task_cost.layout)
    uncertainty = config.cost.uncertainty if continues else 0.0
    config = modules.config = replace(config, cost=replace(config.cost, uncertainty=uncertainty))
    with random_state.preserved():
        torch.manual_seed(config.seed)
        # The cost head is about to learn the task's cost. A copy still predicts the environment's own.
        task_cost.world_model = copy.deepcopy(m.world_model).requires_grad_(False)
        if not continues:
            reset_costs(m, modules.new_networks())
        held = np.arange(buffer.first, modules.normalised_rows) % buffer.capacity
        cost, last = (torch.from_numpy(c[held]).to(modules.device) for c in (buffer.cost, buffer.last))
        m.rescale(cost, last, modules.discount)
        before = modules.learner
        learner = TaskLearner(modules, task_cost)
        for done in range(updates):
            learner.update(update_policy=done >= POLICY_DELAY * updates)
        modules.learner = modules.new_learner()
        modules.learner.updates, modules.learner.first_std = before.updates, before.first_std
    name = task.text if task.text is not None else IN_PYTHON + task.name
    modules.config = replace(config, task=name)


def relabel(buffer: ReplayBuffer, task: Task, layout: Readouts) -> None:
    """Gives every transition in the replay buffer the task's cost, by the true readouts after it."""
    rows = buffer.transitions() % buffer.capacity
    after, action, own = map(torch.from_numpy, buffer.outcomes(rows))
    cost = task(layout.of(after, action, lambda: own)).numpy()
    if not np.isfinite(cost).all():
        raise ConfigError(f"task: {task.name!r} is not finite on the transitions in the replay buffer")
    buffer.cost[rows] = cost


def reset_costs(m: Networks, fresh: Networks) -> None:
    """What was learned of the task before gives way to a beginner's; the model of the world stays.

    The policy begins where it was, because that is where the model has been: a beginner's asks of it what
    was never lived.
    """
    for name in ("critic", "target_critic", "scales"):
        getattr(m, name).load_state_dict(getattr(fresh, name).state_dict())
    m.world_model.cost.load_state_dict(fresh.world_model.cost.state_dict())
    m.spread.copy_(fresh.spread)
    m.log_entropy_weight.copy_(fresh.log_entropy_weight)


class TaskLearner:
    """Gradient steps on critic, cost head and policy of an agent, whose world model stands still."""

    def __init__(self, modules: Modules, task_cost: TaskCost):
        self.replay_buffer, self.task_cost, self.discount = modules.replay_buffer, task_cost, modules.discount
        self.networks, self.config = modules.networks, modules.config.learning
        self.terminates, self.device = modules.terminations > 0, modules.device
        self.uncertainty = self.networks.disagreement_cost(modules.config.cost.uncertainty)
        self.learner = modules.new_learner(tau=TASK_TAU)
        m = self.networks
        taught = [*m.critic.parameters(), *m.world_model.cost.parameters()]
        self.group = FlatParameters([(taught, self.config.learning_rate)])
        self.rng = np.random.default_rng(modules.config.seed)
        obs = modules.replay_buffer.obs[: len(modules.replay_buffer)]
        self.latents = torch.cat(
            [modules.perceive(part).cpu() for part in np.array_split(obs, -(-len(obs) // 4096))]
        )

    def update(self, *, update_policy: bool) -> None:
        """One step on as much of what was lived as of what is imagined."""
        m, learner = self.networks, self.learner
        lived, imagined = self.replayed_transitions(), self.imagine()
        z, action, cost, ends, target = (torch.cat(pair) for pair in zip(lived, imagined[:5], strict=True))
        with learner.arithmetic():
            with torch.no_grad():
                features = m.world_model.trunk(torch.cat((z, action), -1))
            said = m.world_model.cost(features).float()
            logits = m.critic.logits(z, action).float()
        scaled = (target / m.critic.scale).unsqueeze(1).expand(-1, logits.shape[1])
        loss = m.critic.two_hot.loss(logits, scaled).mean()
        loss = loss + m.world_model.two_hot.loss(said[:, :-1], cost / m.world_model.cost_scale).mean()
        real = len(lived[0])  # whether an episode ended is known of what was lived
        loss = loss + F.binary_cross_entropy_with_logits(said[:real, -1], ends[:real])
        learner.updates += 1
        self.group.zero_grad()
        loss.backward()
        norm = self.group.step(self.config.max_grad_norm)
        if not torch.isfinite(norm):
            learner.budget.skipped(learner.updates, f"the gradient of a new task is not finite (loss {loss})")
            return
        if update_policy:
            first, last = imagined[5][0], imagined[5][-1]
            learner.update_policy(torch.cat((first, last)), False)
        learner.follow()

    def replayed_transitions(self) -> tuple[torch.Tensor, ...]:
        """Transitions from memory at the task's price: latents, actions, costs, endings, targets [rows]."""
        steps = self.config.n_step
        index = self.replay_buffer.windows(BATCH, steps, self.rng)
        z = self.latents[torch.from_numpy(index)].to(self.device)
        here = index[:-1]
        valid, action, cost, ends = (
            torch.from_numpy(x).to(self.device)
            for x in (
                ~self.replay_buffer.last[here],
                self.replay_buffer.action[here],
                self.replay_buffer.cost[here],
                self.replay_buffer.terminated[here],
            )
        )
        target = self.targets(z, cost, ends, valid, steps)
        keep = valid.flatten()
        return tuple(x.flatten(0, 1)[keep] for x in (z[:-1], action, cost, ends, target))

    @torch.no_grad()
    def imagine(self) -> tuple[torch.Tensor, ...]:
        """The same of imagined transitions under the policy, and their latents [time + 1, batch, latent]."""
        m = self.networks
        start = self.replay_buffer.windows(BATCH, 1, self.rng)[0]
        z = [self.latents[torch.from_numpy(start)].to(self.device)]
        tried = torch.from_numpy(self.replay_buffer.action[start]).to(self.device)
        actions, costs, doubts, ends = [], [], [], []
        with self.learner.arithmetic():
            usual = self.task_cost.world_model.disagreement(z[0], tried) if self.uncertainty else 0.0
            for _ in range(AHEAD):
                action = m.policy.draw(z[-1]).float()
                step = self.task_cost.world_model.predict(z[-1], action)
                actions.append(action)
                costs.append(self.task_cost.total(step, action).float())
                doubts.append(self.uncertainty * (step.disagreement - usual).clamp_min(0.0))
                ends.append(
                    torch.sigmoid(step.termination.float())
                    if self.terminates
                    else torch.zeros_like(costs[-1])
                )
                z.append(step.z.float())
        latents, action, cost, doubt, ending = (torch.stack(x) for x in (z, actions, costs, doubts, ends))
        target = self.targets(latents, cost + doubt, ending, torch.ones_like(cost, dtype=torch.bool), AHEAD)
        flat = tuple(x.flatten(0, 1) for x in (latents[:-1], action, cost, ending, target))
        return (*flat, latents)

    @torch.no_grad()
    def targets(
        self, z: torch.Tensor, cost: torch.Tensor, ends: torch.Tensor, valid: torch.Tensor, steps: int
    ) -> torch.Tensor:
        """Costs-to-go [time, batch] along latents [time + 1, batch, latent]."""
        with self.learner.arithmetic():
            value = self.learner.value(z[1:].flatten(0, 1)).view(cost.shape)
        return n_step_targets(cost, ends, valid, value, self.discount, steps)

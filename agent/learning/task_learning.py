"""A new task inside an old model: critic, policy and cost head learned from replay and imagination.

Nothing here touches the body, nor what predicts it: perception, dynamics and readouts stay as they are.
What was lived is paid again at the task's price, on the true readouts that memory keeps; what was not lived
is imagined from there under the policy that is being learned, and paid on the readouts that are foreseen
(model-based value expansion, Feinberg et al. 2018; relabelling, Andrychowicz et al. 2017). Where a task goes
on from the environment's own cost, what the model is unsure of costs the critic `planner.unsure`, in sizes of
the usual cost, so that the policy does not move to where nothing was lived (Yu et al. 2020, equation 2).
What counts is by how much it exceeds the doubt of what was lived from the same place: that a place was seldom
visited is no reason to keep away, that an action was never tried there is. Such a task goes on from the old
one's critic, too, which knows the way. A task of other costs alone asks for what was not lived: there doubt
costs neither critic nor plans anything, and what was learned of another task gives way to a beginner's.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from agent import random_state as generators
from agent.cost.readouts import Readouts
from agent.cost.returns import n_step_targets
from agent.cost.task import IN_PYTHON, Task
from agent.cost.task_cost import Judge
from agent.errors import ConfigError
from agent.learning.flat_parameters import FlatGroup
from agent.learning.learner import Learner
from agent.memory.replay_buffer import Memory
from agent.networks import Modules

if TYPE_CHECKING:
    from agent.agent import Joule

BATCH = 64
"""Windows of an update, each both as it was lived and as it would go on under the policy."""
AHEAD = 3
"""Decisions of imagination."""
QUICK = 0.05
"""Rate at which targets follow, some times that of training: what has a life there has 4,000 updates here."""
PATIENCE = 0.25
"""Share of the updates in which the policy stands still, until the new critic is worth following."""


def learn_task(agent: Joule, task: Task, judge: Judge, updates: int) -> None:
    """Makes `agent` one that was trained for `task`, in place: `updates` steps of its critic and policy.

    Deterministic, and without trace in the process's random generators. Raises ConfigError for a memory
    without a transition, StopRun when learning is no longer finite.
    """
    if updates < 1:
        raise ConfigError(f"updates: {updates} is less than 1")
    memory, m, config = agent.memory, agent.modules, agent.config
    if memory.held == 0:
        raise ConfigError("retask: this agent has lived nothing that a task could be learned from")
    agent.normalise()
    goes_on = judge.asks_own
    relabel(memory, task, judge.layout)
    unsure = config.planner.unsure if goes_on else 0.0
    config = agent.config = replace(config, planner=replace(config.planner, unsure=unsure))
    with generators.preserved():
        torch.manual_seed(config.seed)
        # The cost head is about to learn another price: what is the environment's own is asked of a copy.
        judge.world_model = copy.deepcopy(m.world_model).requires_grad_(False)
        if not goes_on:
            facts, readouts = agent.facts, sum(agent.facts.readout_sizes.values())
            sizes = facts.observation_size, facts.action_size, readouts
            forget(m, Modules(*sizes, config.model, config.regularizer).to(agent.device))
        lived = np.arange(memory.first, agent.normalised_rows) % memory.capacity
        cost, last = (torch.from_numpy(c[lived]).to(agent.device) for c in (memory.cost, memory.last))
        m.rescale(cost, last, agent.discount)
        before = agent.learner
        lesson = Lesson(agent, judge)
        for done in range(updates):
            lesson.update(teach_policy=done >= PATIENCE * updates)
        agent.learner = Learner(m, config.learner, agent.discount)
        agent.learner.updates, agent.learner.first_std = before.updates, before.first_std
    name = task.text if task.text is not None else IN_PYTHON + task.name
    agent.config = replace(config, task=name)


def relabel(memory: Memory, task: Task, layout: Readouts) -> None:
    """Puts the task's price on every transition in memory, by the true readouts after it."""
    rows = memory.transitions() % memory.capacity
    after, action, own = map(torch.from_numpy, memory.outcomes(rows))
    price = task(layout.of(after, action, lambda: own)).numpy()
    if not np.isfinite(price).all():
        raise ConfigError(f"task: {task.name!r} is not finite on what was lived")
    memory.cost[rows] = price


def forget(m: Modules, fresh: Modules) -> None:
    """What was learned of the task before gives way to a beginner's; the model of the world stays.

    The policy begins where it was, because that is where the model has been: a beginner's asks of it what
    was never lived.
    """
    for name in ("critic", "target_critic", "scales"):
        getattr(m, name).load_state_dict(getattr(fresh, name).state_dict())
    m.world_model.cost.load_state_dict(fresh.world_model.cost.state_dict())
    m.spread.copy_(fresh.spread)
    m.log_entropy_weight.copy_(fresh.log_entropy_weight)


class Lesson:
    """Gradient steps on critic, cost head and policy of an agent, whose world model stands still."""

    def __init__(self, agent: Joule, judge: Judge):
        self.memory, self.judge, self.discount = agent.memory, judge, agent.discount
        self.modules, self.config = agent.modules, agent.config.learner
        self.terminates, self.device = agent.terminations > 0, agent.device
        self.unsure = self.modules.price_of_disagreement(agent.config.planner.unsure)
        quick = replace(self.config, target_rate=QUICK)
        self.learner = Learner(self.modules, quick, agent.discount)
        m = self.modules
        taught = [*m.critic.parameters(), *m.world_model.cost.parameters()]
        self.group = FlatGroup([(taught, self.config.learning_rate)])
        self.rng = np.random.default_rng(agent.config.seed)
        obs = agent.memory.obs[: len(agent.memory)]
        self.latents = torch.cat(
            [agent.perceive(part).cpu() for part in np.array_split(obs, -(-len(obs) // 4096))]
        )

    def update(self, *, teach_policy: bool) -> None:
        """One step on as much of what was lived as of what is imagined."""
        m, learner = self.modules, self.learner
        lived, imagined = self.live_again(), self.imagine()
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
        norm = self.group.step(self.config.clip_norm)
        if not torch.isfinite(norm):
            learner.budget.skipped(learner.updates, f"the gradient of a new task is not finite (loss {loss})")
            return
        if teach_policy:
            first, last = imagined[5][0], imagined[5][-1]
            learner.update_policy(torch.cat((first, last)), False)
        learner.follow()

    def live_again(self) -> tuple[torch.Tensor, ...]:
        """Transitions from memory at the task's price: latents, actions, costs, endings, targets [rows]."""
        steps = self.config.n_step
        index = self.memory.windows(BATCH, steps, self.rng)
        z = self.latents[torch.from_numpy(index)].to(self.device)
        here = index[:-1]
        valid, action, cost, ends = (
            torch.from_numpy(x).to(self.device)
            for x in (
                ~self.memory.last[here],
                self.memory.action[here],
                self.memory.cost[here],
                self.memory.terminated[here],
            )
        )
        target = self.targets(z, cost, ends, valid, steps)
        keep = valid.flatten()
        return tuple(x.flatten(0, 1)[keep] for x in (z[:-1], action, cost, ends, target))

    @torch.no_grad()
    def imagine(self) -> tuple[torch.Tensor, ...]:
        """The same of imagined transitions under the policy, and their latents [time + 1, batch, latent]."""
        m = self.modules
        start = self.memory.windows(BATCH, 1, self.rng)[0]
        z = [self.latents[torch.from_numpy(start)].to(self.device)]
        tried = torch.from_numpy(self.memory.action[start]).to(self.device)
        actions, costs, doubts, ends = [], [], [], []
        with self.learner.arithmetic():
            usual = self.judge.world_model.disagreement(z[0], tried) if self.unsure else 0.0
            for _ in range(AHEAD):
                action = m.policy.draw(z[-1]).float()
                step = self.judge.world_model.predict(z[-1], action)
                actions.append(action)
                costs.append(self.judge.total(step, action).float())
                doubts.append(self.unsure * (step.disagreement.sqrt() - usual).clamp_min(0.0))
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

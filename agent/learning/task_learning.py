"""Learns another task with a trained world model: critic, policy and cost head, from replay and imagination.

No step is taken in the environment; perception, dynamics and readout head stay as they are. The transitions
in the replay buffer get the costs of the task, by the readouts stored with them (relabelling, Andrychowicz et
al. 2017). From their states, transitions are imagined under the policy that is being learned, with costs by
predicted readouts (model-based value expansion, Feinberg et al. 2018).

A task that contains the environment's own cost starts from the present critic, and pays `cost.uncertainty`
for ensemble disagreement, in units of the usual cost, so that the policy does not move to states without data
(Yu et al. 2020, equation 2). Only disagreement above that of the logged action in the state where the
imagination begins is penalised: rarely visited states are not avoided, untried actions are.

A task without the environment's own cost needs states without data. Where no episode was terminated, it pays
nothing for disagreement, while it is learned and later in planning. Where terminations end episodes, such as
falls, it pays like the other tasks, because untried actions lead to falls; and the head that predicts
terminations keeps what it learned, because they do not depend on the task. The task starts from an untrained
critic. Its policy keeps to the action that was taken in a remembered state wherever the critic prefers that
action to the policy's own (critic-regularised regression with a binary filter, Wang et al. 2020, equation 3,
beside the critic's gradient): the gradient of a critic that was trained for minutes leads to actions that it
overrates, an action that was taken is never far off.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from agent import random_state
from agent.cost.returns import n_step_targets
from agent.cost.task import IN_PYTHON, Task
from agent.cost.task_cost import TaskCost
from agent.errors import ConfigError
from agent.learning.flat_parameters import FlatParameters
from agent.learning.relabelling import relabel, rescale, reset_costs
from agent.learning.running_statistics import take_in_new_rows
from agent.modules import Modules
from agent.remembered_latents import latents_in_portions

BATCH_SIZE = 64
"""Windows of an update from the replay buffer, and as many from imagination."""
IMAGINED_DECISIONS = 3
"""Decisions imagined from each state."""
TASK_TAU = 0.05
"""Rate at which target networks follow, several times that of training, because there are fewer updates."""
CLONING = 20.0
"""Weight of the squared distance from better actions that were taken, where the environment's own cost is no part
of the task."""
POLICY_DELAY = 0.25
"""Share of the updates before the policy is updated: at first the critic is that of another task."""


def learn_task_in_imagination(modules: Modules, task: Task, task_cost: TaskCost, updates: int) -> None:
    """Trains critic, policy and cost head of an agent for a task. Deterministic.

    The process's random generators are left as they are. What does not come to its end, because it is interrupted
    for example, changes nothing.

    Args:
        modules: those of the agent.
        task: the task.
        task_cost: its costs on imagined steps.
        updates: gradient steps.

    Raises:
        ConfigError: for a replay buffer without a transition, or less than one update.
        StopRun: when learning is no longer finite.
    """
    if updates < 1:
        raise ConfigError(f"updates: {updates} is less than 1")
    if modules.replay_buffer.held == 0:
        raise ConfigError("learn_task: this agent has no experience that a task could be learned from")
    with _unchanged_on_failure(modules):
        take_in_new_rows(modules)
        _learn(modules, task, task_cost, updates)


@contextmanager
def _unchanged_on_failure(modules: Modules) -> Iterator[None]:
    """An exception in the block leaves networks, learner, replayed costs and settings as they were."""
    config, learner, normalised = modules.config, modules.learner, list(modules.normalised_rows)
    learned = {name: value.clone() for name, value in modules.networks.state_dict().items()}
    costs = modules.replay_buffer.cost.copy()
    try:
        yield
    except BaseException:
        modules.config, modules.learner, modules.normalised_rows = config, learner, normalised
        modules.replay_buffer.cost[:] = costs
        learner.attach()
        modules.networks.load_state_dict(learned)
        raise


def _learn(modules: Modules, task: Task, task_cost: TaskCost, updates: int) -> None:
    buffer, networks, config = modules.replay_buffer, modules.networks, modules.config
    continues, terminates = task_cost.uses_own_cost, modules.terminations > 0
    relabel(buffer, task, task_cost.layout)
    uncertainty = config.cost.uncertainty if continues or terminates else 0.0
    config = replace(config, cost=replace(config.cost, uncertainty=uncertainty))
    config = modules.config = replace(
        config, reward="env", explore=replace(config.explore, kind="disagreement")
    )
    with random_state.preserved():
        torch.manual_seed(config.seed)
        # The cost head learns the task's cost from here on. A copy still predicts the environment's own.
        task_cost.world_model = copy.deepcopy(networks.world_model).requires_grad_(False)
        if not continues:
            reset_costs(networks, modules.new_networks(), keeps_termination=terminates)
        rescale(modules)
        before = modules.learner
        learner = TaskLearner(modules, task_cost)
        for done in range(updates):
            learner.update(update_policy=done >= POLICY_DELAY * updates)
        modules.learner = modules.new_learner()
        modules.learner.updates, modules.learner.first_std = before.updates, before.first_std
        modules.learner.budget, modules.learner.collapsed = before.budget, before.collapsed
    name = task.text if task.text is not None else IN_PYTHON + task.name
    modules.config = replace(modules.config, task=name)


@dataclass(frozen=True)
class Transitions:
    """Transitions with the costs of the task."""

    z: Float[Tensor, "rows latent"]
    action: Float[Tensor, "rows act"]
    cost: Float[Tensor, " rows"]
    termination: Float[Tensor, " rows"]
    """Probability that the episode terminates with the transition; 0 or 1 where it is observed."""
    target: Float[Tensor, " rows"]
    """Target of the critic."""


class TaskLearner:
    """Gradient steps on the critic, the cost head and the policy of an agent; its world model is fixed.

    Args:
        modules: those of the agent, whose replay buffer has the costs of the task.
        task_cost: its costs on imagined steps.
    """

    def __init__(self, modules: Modules, task_cost: TaskCost):
        self.replay_buffer, self.task_cost, self.discount = modules.replay_buffer, task_cost, modules.discount
        self.networks, self.config = modules.networks, modules.config.learning
        self.terminates, self.device = modules.terminations > 0, modules.device
        self.uncertainty = self.networks.disagreement_cost(modules.config.cost.uncertainty)
        self.clones = not task_cost.uses_own_cost
        cloning = replace(self.config, behaviour_cloning=CLONING if self.clones else 0.0)
        self.learner = modules.new_learner(TASK_TAU, cloning)
        trained = (self.networks.critic, self.networks.world_model.cost)
        parameters = [parameter for part in trained for parameter in part.parameters()]
        self.group = FlatParameters([(parameters, self.config.learning_rate)])
        self.rng = np.random.default_rng(modules.config.seed)
        places = self.replay_buffer.filled()
        self.latents = torch.zeros(int(places[-1]) + 1, modules.config.model.latent_dim)
        """[places, latent], of the observations in the replay buffer."""
        for part, z in latents_in_portions(modules, places):
            self.latents[part] = z.cpu()

    def update(self, *, update_policy: bool) -> None:
        """One gradient step on transitions of the replay buffer and as many imagined ones.

        Raises:
            StopRun: when more updates are skipped than `learning.max_skipped_updates` allows.
        """
        networks, learner = self.networks, self.learner
        replayed = self.replayed_transitions()
        imagined, latents, logged = self.imagine()
        pairs = zip(vars(replayed).values(), vars(imagined).values(), strict=True)
        batch = Transitions(*(torch.cat(pair) for pair in pairs))
        with learner.autograd.arithmetic():
            with torch.no_grad():
                features = networks.world_model.trunk(torch.cat((batch.z, batch.action), -1))
            cost_logits, termination = networks.world_model.cost.read(features)
            logits = networks.critic.logits(batch.z, batch.action).float()
        target = (batch.target / networks.critic.scale).unsqueeze(1).expand(-1, logits.shape[1])
        loss = networks.critic.two_hot.loss(logits, target).mean()
        scaled_cost = batch.cost / networks.world_model.cost_scale
        loss = loss + networks.world_model.two_hot.loss(cost_logits, scaled_cost).mean()
        real = len(replayed.z)  # terminations are learned from observed transitions alone
        loss = loss + F.binary_cross_entropy_with_logits(termination[:real], batch.termination[:real])
        learner.updates += 1
        largest = self.config.max_grad_norm
        if not learner.budget.step(self.group, loss, largest, learner.updates, "a new task"):
            return
        if update_policy:
            stored = self.better_actions(latents[0], logged) if self.clones else None
            learner.update_policy(torch.cat((latents[0], latents[-1])), False, stored)
        learner.update_targets(encoder_frozen=True)

    def replayed_transitions(self) -> Transitions:
        """Transitions of the replay buffer."""
        steps = self.config.n_step
        index = self.replay_buffer.windows(BATCH_SIZE, steps, self.rng)
        z = self.latents[torch.from_numpy(index)].to(self.device)
        here = index[:-1]
        valid, action, cost, terminated = (
            torch.from_numpy(x).to(self.device)
            for x in (
                ~self.replay_buffer.last[here],
                self.replay_buffer.action[here],
                self.replay_buffer.cost[here],
                self.replay_buffer.terminated[here],
            )
        )
        target = self.targets(z, cost, terminated, valid, steps)
        keep = valid.flatten()
        return Transitions(*(x.flatten(0, 1)[keep] for x in (z[:-1], action, cost, terminated, target)))

    @torch.no_grad()
    def better_actions(
        self, z: Float[Tensor, "batch latent"], logged: Float[Tensor, "batch act"]
    ) -> tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]]:
        """What the policy is to keep to, in remembered states and in as many imagined ones.

        Args:
            z: remembered states.
            logged: the actions that were taken there.

        Returns:
            The actions, and 1 where the critic expects less cost after one than after the policy's most likely
            action. Nothing was taken in an imagined state: 0.
        """
        networks = self.networks
        with self.learner.autograd.arithmetic():
            taken = networks.critic(z, logged).float().mean(1)
            own = networks.critic(z, networks.policy(z)).float().mean(1)
        better = (taken < own).float()
        return torch.cat((logged, torch.zeros_like(logged))), torch.cat((better, torch.zeros_like(better)))

    @torch.no_grad()
    def imagine(
        self,
    ) -> tuple[Transitions, Float[Tensor, "time_and_one batch latent"], Float[Tensor, "batch act"]]:
        """Imagined transitions under the policy, the latents along them, and the actions logged at the first."""
        networks, model = self.networks, self.task_cost.world_model
        start = self.replay_buffer.windows(BATCH_SIZE, 1, self.rng)[0]
        z = [self.latents[torch.from_numpy(start)].to(self.device)]
        logged = torch.from_numpy(self.replay_buffer.action[start]).to(self.device)
        actions, costs, penalties, terminations = [], [], [], []
        with self.learner.autograd.arithmetic():
            usual = model.disagreement(z[0], logged) if self.uncertainty else 0.0
            for _ in range(IMAGINED_DECISIONS):
                action = networks.policy.draw(z[-1]).float()
                step = model.predict(z[-1], action)
                actions.append(action)
                costs.append(self.task_cost.total(step, action).float())
                penalties.append(self.uncertainty * (step.disagreement - usual).clamp_min(0.0))
                terminates = torch.sigmoid(step.termination.float())
                terminations.append(terminates if self.terminates else torch.zeros_like(costs[-1]))
                z.append(step.z.float())
        latents, action, cost, penalty, termination = (
            torch.stack(x) for x in (z, actions, costs, penalties, terminations)
        )
        valid = torch.ones_like(cost, dtype=torch.bool)
        target = self.targets(latents, cost + penalty, termination, valid, IMAGINED_DECISIONS)
        flat = (x.flatten(0, 1) for x in (latents[:-1], action, cost, termination, target))
        return Transitions(*flat), latents, logged

    @torch.no_grad()
    def targets(
        self,
        z: Float[Tensor, "time_and_one batch latent"],
        cost: Float[Tensor, "time batch"],
        termination: Float[Tensor, "time batch"],
        valid: Bool[Tensor, "time batch"],
        steps: int,
    ) -> Float[Tensor, "time batch"]:
        """Targets of the critic along latents; see `n_step_targets`."""
        with self.learner.autograd.arithmetic():
            value = self.learner.autograd.value(z[1:].flatten(0, 1)).view(cost.shape)
        return n_step_targets(cost, termination, valid, value, self.discount, steps)

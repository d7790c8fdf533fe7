"""What happened in steps, beside what the model predicted: the data of every test for a changed world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from agent.interface import Observation
from agent.memory.columns import stack_parts
from agent.memory.portions import evenly, portions
from agent.memory.replay_buffer import ReplayBuffer
from agent.modules import Modules
from agent.world_model.dynamics import WorldModel


@dataclass(frozen=True)
class ObservedSteps:
    """Rows of steps, in the order of time."""

    z: np.ndarray
    """Latents before, [rows, latent]."""
    quantities: np.ndarray
    """Action and predicted readouts before, [rows, act + readouts]."""
    error: np.ndarray
    """Signed error of the next latent, predicted minus observed, [rows, latent]."""
    disagreement: np.ndarray
    """Of the heads about the next latent, [rows]."""
    shortfall: np.ndarray
    """TD error of the cost-to-go: cost + discount * value after - value before; positive is worse, [rows]."""
    terminated: np.ndarray
    """Whether the episode terminated, [rows]."""

    def __len__(self) -> int:
        return len(self.z)

    def at(self, rows: np.ndarray) -> ObservedSteps:
        """These rows alone: numbers, or a mask."""
        return ObservedSteps(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def observed_steps(
    modules: Modules,
    model: WorldModel,
    obs: Observation,
    action: np.ndarray,
    cost: np.ndarray,
    terminated: np.ndarray,
    after: Observation,
) -> ObservedSteps:
    """Compares steps with what the agent's networks, and `model`, predict of them.

    Args:
        modules: those of the agent.
        model: the world model that predicts.
        obs: observations before [rows, obs].
        action: [rows, act].
        cost: [rows].
        terminated: [rows].
        after: observations after [rows, obs].
    """
    networks = modules.networks
    z, observed = modules.perceive(obs), modules.perceive(after)
    with torch.inference_mode():
        taken = torch.from_numpy(np.asarray(action, np.float32)).to(z)
        step = model.predict(z, taken)
        both = torch.cat((z, observed))
        value, value_after = networks.critic(both, networks.policy(both)).mean(-1).chunk(2)
        onward = torch.from_numpy(1.0 - np.asarray(terminated, np.float32)).to(z) * value_after
        paid = torch.from_numpy(np.asarray(cost, np.float32)).to(z)
        shortfall = paid + modules.discount * onward - value
        quantities = torch.cat((taken, networks.readout(z)), -1)
        parts = (z, quantities, step.z - observed, step.disagreement, shortfall)
        arrays = [part.float().cpu().numpy().astype(np.float64) for part in parts]
    z_rows, quantity_rows, error, disagreement, td_error = arrays
    return ObservedSteps(z_rows, quantity_rows, error, disagreement, td_error, np.asarray(terminated, bool))


def _stored(buffer: ReplayBuffer, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Observation, Observation]]:
    """Places of stored transitions, and the observations before and after, in portions that fit in memory."""
    for part in portions(buffer, rows):
        here = buffer.place(part)
        yield here, buffer.observations(here), buffer.observations(buffer.after(here))


def remembered_steps(modules: Modules, most: int) -> ObservedSteps | None:
    """Stored transitions, at most so many, evenly spread over what the agent remembers; None without any."""
    buffer, model = modules.replay_buffer, modules.networks.world_model
    parts = []
    for here, before, after in _stored(buffer, evenly(buffer.transitions(), most)):
        taken = (buffer.action[here], buffer.cost[here], buffer.terminated[here])
        parts.append(observed_steps(modules, model, before, *taken, after))
    if not parts:
        return None
    names = [field.name for field in fields(ObservedSteps)]
    return ObservedSteps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def errors_of_rows(modules: Modules, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors and disagreements [rows] of stored transitions, by row number, of the agent's world model."""
    buffer, model = modules.replay_buffer, modules.networks.world_model
    errors, disagreements = [np.zeros(0)], [np.zeros(0)]
    for here, before, after in _stored(buffer, rows):
        z, observed = modules.perceive(before), modules.perceive(after)
        with torch.inference_mode():
            step = model.predict(z, torch.from_numpy(buffer.action[here]).to(z))
            errors.append((step.z - observed).square().mean(-1).cpu().numpy())
            disagreements.append(step.disagreement.cpu().numpy())
    return np.concatenate(errors), np.concatenate(disagreements)


def errors_of_step(
    modules: Modules, predicted: Sequence[tuple[WorldModel, np.ndarray]], obs: Observation, after: Observation
) -> list[tuple[float, float]]:
    """Error and disagreement of one step from `obs` to `after`, by each model for the action [act] beside it."""
    z, observed = modules.perceive(stack_parts([obs, after])).split(1)
    with torch.inference_mode():
        steps = [
            model.predict(z, torch.from_numpy(np.asarray(action, np.float32)[None]).to(z))
            for model, action in predicted
        ]
        return [(float((s.z - observed).square().mean()), float(s.disagreement)) for s in steps]

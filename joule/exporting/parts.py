"""The files of an export: for each its network, its inputs and outputs, and what the agent itself computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from agent.agent import WorldModelAgent
from agent.memory.portions import evenly
from agent.seeds import FIRST_SEED
from envs.safe_env import SafeEnv
from joule.exporting.networks import (
    CostNetwork,
    CostToGoNetwork,
    DynamicsNetwork,
    OwnActions,
    Perception,
    PolicyNetwork,
    PriorNetwork,
    ReadoutNetwork,
)

Samples = Mapping[str, np.ndarray]
"""Inputs by name, each [rows, numbers], float32."""
OwnAction = Callable[[np.ndarray], np.ndarray]
"""An action [act] in [-1, 1] -> the action that the environment itself gets for it."""
MOST_ROWS = 256
"""Transitions on which the files are checked."""
TOLERANCE = 1e-5
"""Of the difference of a file's value from the agent's own, in the units of `Value.unit`."""
LEAST = 1e-30
"""A scale above 0, for a number that is constant at 0."""


@dataclass(frozen=True, eq=False)
class Value:
    """An input or an output of a file, float32 [batch, *shape]."""

    shape: tuple[int, ...]
    meaning: str
    scale: float | np.ndarray = 1.0
    """The size of a usual value, where that is not of the order of 1."""
    far: bool = False
    """Whether a value may lie far from 0 while its differences matter, such as an action from 1,000 to 1,001."""

    def unit(self, wanted: np.ndarray) -> np.ndarray:
        """What a difference from the value `wanted` is measured in: its usual size plus, unless `far`, its own."""
        return np.broadcast_to(self.scale, wanted.shape) + (0.0 if self.far else np.abs(wanted))


@dataclass(frozen=True, eq=False)
class Part:
    """A file of an export."""

    name: str
    network: nn.Module
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    by_agent: Callable[[Samples], tuple[np.ndarray, ...]]
    """The outputs as the agent itself computes them."""


def samples_of(agent: WorldModelAgent, env: SafeEnv) -> dict[str, np.ndarray]:
    """Observations, actions, and the latents of the observations, on which the files are checked.

    They are transitions all over the replay buffer. An agent in the shared form has none, and plays some.

    Args:
        agent: the agent.
        env: its environment.
    """
    buffer = agent.modules.replay_buffer
    if not buffer.held:
        return _played(agent, env)
    places = buffer.place(buffer.transitions())
    places = evenly(places, MOST_ROWS)
    observation = buffer.observations(places)
    assert isinstance(observation, np.ndarray), "checked before"
    return {
        "observation": np.ascontiguousarray(observation, np.float32),
        "action": np.ascontiguousarray(buffer.action[places], np.float32),
        "latent": agent.modules.perceive(observation).cpu().numpy(),
    }


def _played(agent: WorldModelAgent, env: SafeEnv) -> dict[str, np.ndarray]:
    """See `samples_of`; the agent acts in its environment, without learning."""
    observations, actions = [], []
    obs, state = None, None
    for number in range(MOST_ROWS):
        if obs is None:
            obs, _ = env.reset(seed=FIRST_SEED + number)
            state = None
        action, state = agent.predict(obs, state)
        observations.append(np.asarray(obs, np.float32))
        actions.append(np.asarray(action, np.float32))
        obs, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            obs = None
    observation = np.stack(observations)
    return {
        "observation": observation,
        "action": np.stack(actions),
        "latent": agent.modules.perceive(observation).cpu().numpy(),
    }


def parts_of(agent: WorldModelAgent, own_action: OwnAction) -> list[Part]:
    """The files of an export, `policy` first; an environment without readouts has no file of them.

    Args:
        agent: the agent.
        own_action: of its environment.
    """
    modules, spec = agent.modules, agent.env_spec
    act, sizes = spec.action_size, agent.config.model
    networks = copy.deepcopy(modules.networks).cpu().eval().requires_grad_(False)
    own, computed = OwnActions.of(own_action, act), _ByAgent(agent, own_action)
    own_units = Value(
        (len(own.low),), "in the environment's own units and order, flat", _unit_of(own), far=True
    )
    action = Value((act,), "in [-1, 1]")
    observation = {
        "observation": Value((spec.observation_size,), "as the environment gives it, not normalised")
    }
    latent = {"latent": Value((sizes.latent_dim,), "the state of the world model")}
    step = {**latent, "action": action}
    cost_scale, critic_scale = float(networks.world_model.cost_scale), float(networks.critic.scale)
    prior = {
        "action": Value((act,), "the policy's most likely action, in [-1, 1]; the tanh of the mean"),
        "mean": Value((act,), "of the policy before the tanh"),
        "log_std": Value((act,), "logarithm of the policy's standard deviation before the tanh"),
    }
    by_head = (sizes.ensemble_size, sizes.latent_dim)
    dynamics = {
        "next_latent": Value(
            (sizes.latent_dim,), "the mean over the ensemble, from which a rollout continues"
        ),
        "next_latent_by_head": Value(by_head, "by each head of the ensemble"),
        "disagreement": Value((), "the ensemble's uncertainty"),
    }
    cost = {
        "cost": Value((), "of the step, in the unit of the reward; minus the reward", cost_scale),
        "termination": Value((), "probability that the episode terminates with the step"),
    }
    discounted = "by each critic: the discounted sum of the costs from here on, in the unit of the reward"
    to_go = {"cost_to_go": Value((agent.config.cost.critics,), discounted, critic_scale)}
    deviation = 1.0 / networks.readout_normalizer.scale.numpy()
    read = {
        "readouts": Value((modules.readouts_size,), "named physical quantities, in their units", deviation)
    }
    policy = {"action": own_units, "normalised_action": action}
    parts = [
        Part("policy", PolicyNetwork(networks, own), observation, policy, computed.policy),
        Part("encoder", Perception(networks), observation, latent, computed.encoder),
        Part("prior", PriorNetwork(networks), latent, prior, computed.prior),
        Part("dynamics", DynamicsNetwork(networks), step, dynamics, computed.dynamics),
        Part("cost", CostNetwork(networks), step, cost, computed.cost),
        Part("cost_to_go", CostToGoNetwork(networks), step, to_go, computed.cost_to_go),
        Part("readouts", ReadoutNetwork(networks), latent, read, computed.readouts),
    ]
    return parts if modules.readouts_size else parts[:-1]


def _unit_of(own: OwnActions) -> np.ndarray:
    """What a difference between own actions is measured in: half of their range, [own].

    It is larger where the environment's own numbers are coarser than that, such as float16. The unit of a constant
    is its size.
    """
    size = np.maximum(np.maximum(np.abs(own.low), np.abs(own.high)), LEAST)
    kind = np.dtype(own.dtype)
    coarse = size * (np.finfo(kind).eps / TOLERANCE if kind.kind == "f" else 0.0)
    return np.where(own.half > 0.0, np.maximum(own.half, coarse), size)


class _ByAgent:
    """The outputs of the files as the agent computes them, by its own methods and its environment's."""

    def __init__(self, agent: WorldModelAgent, own_action: OwnAction) -> None:
        self.modules, self.networks, self.own_action = agent.modules, agent.modules.networks, own_action

    def policy(self, samples: Samples) -> tuple[np.ndarray, ...]:
        modules = self.modules
        action, _ = modules.predict(samples["observation"], None, None, True, modules.policy_actor)
        return np.stack([np.asarray(self.own_action(row), np.float64).ravel() for row in action]), action

    def encoder(self, samples: Samples) -> tuple[np.ndarray, ...]:
        return (self.modules.perceive(samples["observation"]).cpu().numpy(),)

    @torch.inference_mode()
    def prior(self, samples: Samples) -> tuple[np.ndarray, ...]:
        policy, (latent,) = self.networks.policy, self._tensors(samples, "latent")
        return _arrays(policy(latent), *policy.distribution(latent))

    @torch.inference_mode()
    def dynamics(self, samples: Samples) -> tuple[np.ndarray, ...]:
        step = self.networks.world_model.predict(*self._tensors(samples, "latent", "action"))
        return _arrays(step.z, step.heads.transpose(0, 1), step.disagreement)

    @torch.inference_mode()
    def cost(self, samples: Samples) -> tuple[np.ndarray, ...]:
        model = self.networks.world_model
        step = model.predict(*self._tensors(samples, "latent", "action"))
        return _arrays(model.expected_cost(step), torch.sigmoid(step.termination))

    @torch.inference_mode()
    def cost_to_go(self, samples: Samples) -> tuple[np.ndarray, ...]:
        return _arrays(self.networks.critic(*self._tensors(samples, "latent", "action")))

    @torch.inference_mode()
    def readouts(self, samples: Samples) -> tuple[np.ndarray, ...]:
        networks, (latent,) = self.networks, self._tensors(samples, "latent")
        return _arrays(networks.read(latent))

    def _tensors(self, samples: Samples, *names: str) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(samples[name]).to(self.modules.device) for name in names)


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.float().cpu().numpy() for tensor in tensors)

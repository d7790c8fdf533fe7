"""The algorithm of a baseline: SAC, TD3 or PPO of stable-baselines3, TQC or CrossQ of sb3-contrib."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agent.configurator.settings import GOAL_CONDITIONED
from agent.interface import EnvSpec
from agent.memory.columns import sees_pictures
from joule.baselines.buffers import CountingReplayBuffer, StepwiseRolloutBuffer
from joule.baselines.env_bridge import EnvBridge
from joule.baselines.frame_buffer import FrameReplayBuffer
from joule.baselines.hindsight_buffer import HindsightReplayBuffer

ON_POLICY = "ppo"
"""The kind that learns from rollouts; the others learn from a replay buffer."""
_CLASSES: dict[str, Any] = {
    "sac": stable_baselines3.SAC,
    "td3": stable_baselines3.TD3,
    "ppo": stable_baselines3.PPO,
    "tqc": sb3_contrib.TQC,
    "crossq": sb3_contrib.CrossQ,
    GOAL_CONDITIONED: stable_baselines3.SAC,
}


@dataclass(frozen=True)
class Algorithm:
    """An object of the library's class. Its type differs by kind, and much that is used is of that type alone."""

    model: Any
    normalizer: Any
    """The library's `VecNormalize` around the environment; None where nothing is normalised."""


def make_algorithm(
    kind: str,
    settings: Mapping[str, Any],
    spec: EnvSpec,
    bridge: EnvBridge,
    seed: int,
    device: torch.device,
) -> Algorithm:
    """Makes the algorithm, seeded, on a vector of one environment.

    Args:
        kind: a key of `joule.baselines.settings.KINDS`.
        settings: keyword arguments of the library's class. `normalize`, `noise_std` and the name of an
            `activation_fn` are those of rl-zoo.
        spec: parts of an observation.
        bridge: the environment.
        seed: of weights, exploration and the library's random generators.
        device: where the networks are.
    """
    arguments = copy.deepcopy(dict(settings))  # the library writes into policy_kwargs
    env: Any = DummyVecEnv([lambda: bridge])
    normalizer = None
    if arguments.pop("normalize", False):
        # As in rl-zoo: rewards are scaled by the return's deviation under the algorithm's own discount.
        normalizer = env = VecNormalize(env, gamma=arguments.get("gamma", 0.99))
    if (std := arguments.pop("noise_std", None)) is not None:
        size = bridge.action_size
        arguments["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, std))
    if "activation_fn" in arguments.get("policy_kwargs", {}):
        activation = getattr(torch.nn, arguments["policy_kwargs"]["activation_fn"])
        arguments["policy_kwargs"] = {**arguments["policy_kwargs"], "activation_fn": activation}
    if kind == ON_POLICY:
        arguments["rollout_buffer_class"] = StepwiseRolloutBuffer
    elif kind == GOAL_CONDITIONED:
        arguments["replay_buffer_class"] = HindsightReplayBuffer
    elif sees_pictures(spec):
        arguments["replay_buffer_class"] = FrameReplayBuffer
        arguments["replay_buffer_kwargs"] = {"env_spec": spec}
    else:
        arguments["replay_buffer_class"] = CountingReplayBuffer
    policy = "MultiInputPolicy"
    if len(spec.observation) == 1:
        policy = "CnnPolicy" if sees_pictures(spec) else "MlpPolicy"
    model = _CLASSES[kind](policy, env, seed=seed, device=device, **arguments)
    # The library's own logger would leave an empty folder in the temporary directory at every call of `learn`.
    model.set_logger(Logger(None, []))
    return Algorithm(model, normalizer)

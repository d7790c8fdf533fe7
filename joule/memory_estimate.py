"""Estimates, from the settings alone, how much memory an agent can come to: nothing is allocated.

The estimate is of networks with their optimisers and a checkpoint being saved, the full replay buffer, one
gradient step, one plan, and the environments. It is for a bound, and right within a factor of two for what is
large enough to matter. Numbers are float32; python, torch and MuJoCo themselves are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.configurator.dotted_names import setting_of
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.settings import Config
from agent.interface import EnvSpec, ObservationPart
from agent.learning.schedule import rows_for
from agent.memory.columns import columns_of, is_picture, sees_pictures

FLOAT = 4
"""Bytes of a number."""
LEARNED, FOLLOWED = 12 * FLOAT, 4 * FLOAT
"""Bytes of a learned parameter: itself, its gradient, two moments, and copies of it, of the moments and of the file
while a checkpoint is written. Bytes of a parameter that follows a learned one, and its copies."""
POSITIONS = 2 * 32
"""Numbers that the encoder finds in pictures of any size: the row and the column of each feature."""
MAPS = 3 * 32 / 4**2
"""Numbers that three layers of the encoder keep for each pixel: they have a place for every patch of 4 by 4."""
EVALUATED_TOGETHER = 32
"""Episodes of an evaluation that are planned as one batch, at most."""
ENVIRONMENT, PROCESS = 4 << 20, 160 << 20
"""Bytes of a MuJoCo environment, and of a process that holds one."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by what takes them."""

    networks: float
    replay: float
    learning: float
    planning: float
    environments: float

    @property
    def total(self) -> float:
        """All of them."""
        return sum(vars(self).values())

    def largest(self) -> list[tuple[str, float]]:
        """Name and bytes, the largest first."""
        return sorted(vars(self).items(), key=lambda item: -item[1])


def estimate(config: Config, spec: EnvSpec, rows: int = 0) -> MemoryEstimate:
    """The memory that the agent of these settings can come to.

    Args:
        config: the settings.
        spec: sizes of the environment.
        rows: rows that its replay buffer holds already, or will hold beyond its budget.
    """
    envs = environments(config)
    if config.agent in ("random", "zero"):
        return MemoryEstimate(0.0, 0.0, 0.0, 0.0, envs)
    if config.agent != "joule":
        from joule.baselines.settings import settings_for

        decisions = max(1, config.steps // spec.action_repeat)
        pictures = sees_pictures(spec)
        settings = settings_for(config.agent, spec.env, decisions, pictures=pictures)
        return _baseline(config.agent, settings, spec, decisions, rows, envs)
    capacity = config.learning.replay_capacity_transitions
    budget = config.num_envs * rows_for(config.steps, config.num_envs)
    replay = _row_bytes(spec) * min(capacity + config.streams, max(budget, rows))
    return MemoryEstimate(
        _networks(config, spec), replay, _gradient_step(config, spec), _plan(config, spec), envs
    )


def environments(config: Config) -> float:
    """The memory of the environments of training and of an evaluation."""
    apart = config.actors > 0 or (config.vector_mode == "async" and config.num_envs > 1)
    own = PROCESS if apart else ENVIRONMENT
    return float(config.streams * own + min(config.eval_episodes, EVALUATED_TOGETHER) * ENVIRONMENT)


def _row_bytes(spec: EnvSpec) -> int:
    """Of a row of the replay buffer."""
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in columns_of(spec).values())


def _linear(inputs: int, *widths: int) -> int:
    """Parameters of a chain of linear layers with norms."""
    return sum(a * b + 3 * b for a, b in zip((inputs, *widths), widths, strict=False))


def _networks(config: Config, spec: EnvSpec) -> float:
    model, cost = config.model, config.cost
    latent, hidden, width, act = model.latent_dim, model.hidden_dim, model.head_width, spec.action_size
    readouts = sum(spec.readout_sizes.values())
    cosines = sum(len(part.angles) for part in spec.observation) if model.wrap_angles else 0
    encoder = _linear(_seen(spec) + cosines, hidden, latent)
    heads = model.ensemble_size * _linear(hidden, width, latent) + _linear(hidden, width, cost.bins + 1)
    critics = cost.critics * _linear(latent + act, hidden, hidden, cost.bins)
    policy, readout = _linear(latent, hidden, hidden, 2 * act), _linear(latent, hidden // 2, readouts)
    learned = encoder + _linear(latent + act, hidden) + heads + critics + policy + readout
    followed = critics + (encoder if config.regularizer.kind == "ema" else 0)
    return float(LEARNED * learned + FOLLOWED * followed)


def _seen(spec: EnvSpec) -> int:
    """Numbers that the first linear layer of the encoder reads: those of the state, and positions in pictures."""
    return sum(part.shape[0] if part.dtype != "uint8" else POSITIONS for part in spec.observation)


def _of_pictures(spec: EnvSpec) -> int:
    """Numbers that pictures of one row take in a gradient step: themselves, their bytes, and the layers."""
    shapes = [part.shape for part in spec.observation if part.dtype == "uint8"]
    return round(sum((1.25 * channels + MAPS) * height * width for channels, height, width in shapes))


def _step_numbers(config: Config) -> int:
    """Numbers that one predicted step of one row makes, each layer's product, norm and output kept."""
    model = config.model
    heads = model.ensemble_size * (3 * model.head_width + 3 * model.latent_dim)
    return 3 * model.hidden_dim + heads + 3 * model.head_width + 2 * config.cost.bins


def _critic_numbers(config: Config) -> int:
    """Numbers that the critics make of one row."""
    return config.cost.critics * (6 * config.model.hidden_dim + 3 * config.cost.bins)


def _gradient_step(config: Config, spec: EnvSpec) -> float:
    """A batch of windows, what the layers keep for the backward pass, and the regulariser's loss."""
    learning, model = config.learning, config.model
    batch, window = learning.batch_size, learning.window_decisions
    rows = batch * (window + learning.n_step)
    windows = rows * (4 * _seen(spec) + 2 * spec.action_size + 4 * model.latent_dim + 3 * model.hidden_dim)
    windows += rows * _of_pictures(spec)
    windows += rows * 2 * sum(spec.readout_sizes.values())
    kept = batch * window * (_step_numbers(config) + _critic_numbers(config))
    targets = rows * (config.cost.critics * (2 * model.hidden_dim + config.cost.bins) + _step_numbers(config))
    policy = 2 * batch * (6 * model.hidden_dim + _critic_numbers(config))
    knots, projections = (setting_of(config, "regularizer", name) for name in ("knots", "projections"))
    loss = 0
    if knots is not None and projections is not None:
        loss = 6 * batch * projections * knots + 2 * model.latent_dim * projections
    elif config.regularizer.kind == "vicreg":
        loss = 4 * model.latent_dim**2
    elif config.regularizer.kind == "contrast":
        loss = 4 * window * batch**2
    # Targets are computed without gradients, and the policy learns once the model's graph is gone.
    return float(FLOAT * (windows + kept + max(targets // 3, policy) + loss))


def _plan(config: Config, spec: EnvSpec) -> float:
    """Candidates, and what their predicted futures take at once, for all environments of a batch."""
    if config.planner.kind == NO_PLANNER:
        return 0.0
    given = (setting_of(config, "planner", name) for name in ("samples", "elites", "iterations", "memory"))
    samples, elites, iterations, memory = (1 if value is None else int(value) for value in given)
    horizon, act = config.planner.horizon_decisions, spec.action_size
    batch = max(config.num_envs, min(config.eval_episodes, EVALUATED_TOGETHER))
    candidates = samples + config.actor.proposals + elites
    rows, numbers = batch * candidates, horizon * act
    working = _step_numbers(config) + config.model.latent_dim + _critic_numbers(config) // 3
    sequences = iterations * samples * numbers + 4 * rows * numbers
    if config.planner.kind == "gradient":
        # The descent keeps the whole future of its candidates, and a history of its steps.
        sequences = samples * numbers + 4 * rows * numbers + 4 * memory * batch * elites * numbers
        future = horizon * _step_numbers(config) + _critic_numbers(config)
        return float(FLOAT * (sequences + max(rows * working, batch * elites * future)))
    return float(FLOAT * (sequences + rows * working))


def _baseline(
    kind: str, settings: dict[str, object], spec: EnvSpec, decisions: int, rows: int, envs: float
) -> MemoryEstimate:
    obs, act = spec.observation_size, spec.action_size
    of_pictures = _Convolutions(0, 0, 0)
    if pictures := [part for part in spec.observation if is_picture(part)]:
        of_pictures = _library_convolutions(pictures[0], alone=len(spec.observation) == 1)
        obs += of_pictures.features - math.prod(pictures[0].shape)
    policy = settings.get("policy_kwargs")
    arch = policy.get("net_arch") if isinstance(policy, dict) else None
    default = [64, 64] if kind == "ppo" else [256, 256]
    of_actor, of_critic = _widths(arch, ("pi",), default), _widths(arch, ("qf", "vf"), default)
    row = FLOAT * (2 * obs + act + 3)
    buffer, batch = _whole(settings, "buffer_size", 1_000_000), _whole(settings, "batch_size", 256)
    if kind == "ppo":
        learned, followed = _linear(obs, *of_actor, 2 * act) + _linear(obs, *of_critic, 1), 0
        held = _whole(settings, "n_steps", 2_048)
    else:
        actor, critics = _linear(obs, *of_actor, 2 * act), 2 * _linear(obs + act, *of_critic, 25)
        followed = {"td3": actor + critics, "crossq": 0}.get(kind, critics)
        learned = actor + critics
        learned += 2 * of_pictures.parameters
        followed += of_pictures.parameters * {"td3": 2, "crossq": 0}.get(kind, 1)
        held = min(buffer, max(decisions, rows))
        if pictures:  # each is kept once, and an episode has a row more than transitions
            row, held = _row_bytes(spec), min(buffer, max(2 * decisions, rows))
    step = batch * (6 * (sum(of_actor) + 2 * sum(of_critic)) + 4 * obs + of_pictures.numbers)
    networks = float(LEARNED * learned + FOLLOWED * followed)
    return MemoryEstimate(networks, float(row * held), float(FLOAT * step), 0.0, envs)


@dataclass(frozen=True)
class _Convolutions:
    """The library's convolutions of pictures."""

    features: int
    """Numbers that they give to the layers above."""
    parameters: int
    numbers: int
    """Numbers of one row in a gradient step: pictures before and after, as uint8 and as floats, and the outputs of
    the networks that are differentiated, with their gradients."""


def _library_convolutions(part: ObservationPart, alone: bool) -> _Convolutions:
    channels, height, width = part.shape
    parameters, outputs = 0, 0
    for out, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        parameters += channels * out * kernel**2 + out
        channels, height, width = out, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        outputs += channels * max(height, 1) * max(width, 1)
    features = 512 if alone else 256
    parameters += channels * max(height, 1) * max(width, 1) * features
    return _Convolutions(features, parameters, 3 * math.prod(part.shape) + 6 * outputs)


def _widths(arch: object, names: Sequence[str], default: list[int]) -> list[int]:
    """The hidden layers of one network of a baseline."""
    if isinstance(arch, dict):
        arch = next((arch[name] for name in names if name in arch), default)
    return [int(width) for width in arch] if isinstance(arch, list) else default


def _whole(settings: dict[str, object], name: str, default: int) -> int:
    value = settings.get(name, default)
    return value if isinstance(value, int) else default

"""Detectors of surprising events: each gives errors of predictions for every step of an episode.

A detector gives *signals*: errors, as vectors, of predictions that were made before the observation was known.
`benchmarks.comprehension.surprise_calibration` turns them into surprise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agent.agent import WorldModelAgent
from agent.cost.derivations import parts_of
from agent.cost.readouts import Readouts
from agent.networks import Networks

Floats = NDArray[np.float64]

WINDOW = 3
"""Steps of the longer prediction: those that the world model is trained on."""
STATE = ("qpos", "qvel")
"""Readouts from which all others of a MuJoCo environment follow."""


@dataclass(frozen=True)
class Clip:
    """A part of an episode, possible or impossible."""

    obs: NDArray[np.float32]
    """[steps + 1, obs]"""
    action: NDArray[np.float32]
    """[steps, act]"""
    cost: NDArray[np.float32]
    """[steps]"""
    readout: NDArray[np.float32]
    """[steps + 1, readouts], as in a replay buffer"""

    def part(self, first: int, last: int) -> Clip:
        """The steps from `first` to before `last`."""
        steps, states = slice(first, last), slice(first, last + 1)
        return Clip(self.obs[states], self.action[steps], self.cost[steps], self.readout[states])

    def followed_by(self, other: Clip) -> Clip:
        """This clip and one that begins where it ends."""

        def joined(name: str, first: int) -> Any:
            return np.concatenate([getattr(self, name), getattr(other, name)[first:]])

        return Clip(joined("obs", 1), joined("action", 0), joined("cost", 0), joined("readout", 1))


@dataclass(frozen=True)
class Signals:
    """What a detector measures of a clip."""

    errors: dict[str, Floats]
    """Term -> [steps, dims]; NaN in rows before which there are too few steps."""
    context: Floats
    """[steps, features], known before the step; it predicts the usual size of the errors."""


class Detector(Protocol):
    """Measures prediction errors of clips."""

    name: str
    absolute: frozenset[str]
    """Terms whose errors are not divided by the size that the context predicts."""

    def signals(self, clip: Clip) -> Signals:
        """The errors of every step."""
        ...


class WorldModelDetector:
    """The prediction errors of an agent's world model.

    Terms: `latent` is the error of the next latent. `window` is that of the latent after three steps, predicted
    without an observation between. `cost` is the error of the cost. `disagreement` is that of the ensemble. Each
    readout is a term by its name: the error of the change that was predicted. Where the environment names its
    positions and velocities, only these readouts are terms, because all others follow from them.

    Readouts and cost are compared by their changes, because a head that is wrong by some amount in one step is wrong
    by it in the next. Otherwise a whole episode in a rare state would be surprising.

    Args:
        name: name of the detector.
        networks: the agent's networks.
        layout: the names of the environment's readouts.
    """

    absolute = frozenset({"disagreement"})

    def __init__(self, name: str, networks: Networks, layout: Readouts) -> None:
        self.name, self.networks = name, networks
        derived = layout.derived
        # The readouts that positions and velocities are derived from, down to columns of the vector.
        groups = {part: _columns_below(layout, part) for part in STATE if part in derived}
        self.groups = groups or {name: [*range(at.start, at.stop)] for name, at in layout.columns.items()}
        """Name of a term -> its columns in the readout vector."""

    def signals(self, clip: Clip) -> Signals:
        """See `Detector.signals`."""
        m, model = self.networks, self.networks.world_model
        with torch.inference_mode():
            obs, action, cost, readout = (
                torch.from_numpy(np.ascontiguousarray(column, np.float32))
                for column in (clip.obs, clip.action, clip.cost, clip.readout)
            )
            steps = len(action)
            z = m.encoder(m.normalizer(obs))
            step = model.predict(z[:-1], action)
            window = torch.full_like(z[1:], float("nan"))
            if steps >= WINDOW:
                ahead = torch.stack([action[k : steps - WINDOW + k + 1] for k in range(WINDOW)], 1)
                window[WINDOW - 1 :] = z[WINDOW:] - model.rollout(z[:-WINDOW], ahead)[-1].z
            disagreement = step.disagreement.unsqueeze(1)
            cost_error = ((cost - model.expected_cost(step)) / model.cost_scale).unsqueeze(1)
            # Not through the normaliser, which clips at ten deviations: a large change would look small.
            observed = readout.diff(dim=0) * m.readout_normalizer.scale
            change_errors = observed - (m.readout(step.z) - m.readout(z[:-1]))
            errors = {
                "latent": z[1:] - step.z,
                "window": window,
                "cost": torch.cat((torch.full_like(cost_error[:1], float("nan")), cost_error.diff(dim=0))),
                "disagreement": disagreement,
                **{name: change_errors[:, columns] for name, columns in self.groups.items()},
            }
            features = model.trunk(torch.cat((z[:-1], action), -1))
            log_disagreement = disagreement.clamp_min(1e-6).log()
            context = torch.cat((features, log_disagreement, action, action.square()), -1)
        return Signals(
            {name: error.double().numpy() for name, error in errors.items()}, context.double().numpy()
        )


def world_model_detector(agent: WorldModelAgent) -> WorldModelDetector:
    """The detector of a trained agent."""
    return WorldModelDetector("world model", agent.modules.networks, agent.modules.layout())


def untrained_detector(agent: WorldModelAgent) -> WorldModelDetector:
    """The detector of the agent's networks before learning, with the normalisers of the trained ones."""
    torch.manual_seed(agent.config.seed)
    networks, trained = agent.modules.new_networks(), agent.modules.networks
    networks.normalizer.load_state_dict(trained.normalizer.state_dict())
    networks.readout_normalizer.load_state_dict(trained.readout_normalizer.state_dict())
    networks.world_model.cost_scale.copy_(trained.world_model.cost_scale)
    return WorldModelDetector("untrained world model", networks, agent.modules.layout())


def _columns_below(layout: Readouts, name: str) -> list[int]:
    """The columns of the readout vector that a readout is, or is derived from."""
    if name not in layout.derived:
        return [*range(layout.columns[name].start, layout.columns[name].stop)]
    return sorted({k for part in parts_of(layout.derived[name]) for k in _columns_below(layout, part)})


class ConstantVelocityDetector:
    """A baseline without learning: observations continue to change as they did in the last step.

    Terms: `observation` is the error one step ahead, `window` that of three steps.

    Args:
        name: name of the detector.
        scaled: whether errors are divided by the size that the observation predicts.
    """

    def __init__(self, name: str, *, scaled: bool) -> None:
        self.name = name
        self.absolute = frozenset() if scaled else frozenset({"observation", "window"})

    def signals(self, clip: Clip) -> Signals:
        """See `Detector.signals`."""
        obs = clip.obs.astype(np.float64)
        one, window = np.full_like(obs[1:], np.nan), np.full_like(obs[1:], np.nan)
        velocity = np.diff(obs, axis=0)
        one[1:] = velocity[1:] - velocity[:-1]
        window[WINDOW:] = obs[WINDOW + 1 :] - obs[1:-WINDOW] - WINDOW * velocity[:-WINDOW]
        now, action = obs[:-1], clip.action.astype(np.float64)
        context = np.concatenate([now, np.abs(now), now**2, action, action**2], 1)
        return Signals({"observation": one, "window": window}, context)

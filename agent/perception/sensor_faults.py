"""Sensor-fault inference: what the sensors should have read, where readings cannot be trusted.

The encoder takes every reading as it is. Sensor-fault inference instead finds the observation x of least
energy: its latent is to be the predicted one, and it is to agree with the trusted readings,

    E(x, y) = |enc(x) - predict(enc(y), a)|^2 / u  +  |y - m|^2_L  +  sum_i w_i (x_i - reading_i)^2,

where y is the observation before, m and the information L are the belief about y, and u is the usual squared
prediction error. E is minimised by Gauss-Newton steps with y eliminated in closed form (a Schur complement),
as in the iterated Kalman filter (Bell and Cathey 1993). No decoder is needed: x enters through the encoder.

The weights w_i come from experience. A reading is trusted (w infinite) where it differs from what all others
imply about as much as readings in the replay buffer do. A sensor with large errors over many decisions gets
less weight. A reading that jumps, or that stands still, gets none (w = 0).

Vectors are normalised observations; an angle without limits is in them as two numbers, its sine and cosine, which
one reading gives (`StateNormalizer`). The small matrices are float64 on the CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.memory.portions import evenly
from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.perception.sensor_belief import Belief
from agent.perception.state_normalizer import StateNormalizer

DIFFERENCE_STEP = 0.05
"""Step of the difference quotients, in standard deviations of a sensor."""
TRUSTED = 1e8
"""Weight of a trusted reading: far above any energy's information, far below float64's limit."""
INFORMATION_KEPT = 0.9
"""Share of its information that a belief keeps for the next decision: prediction errors are correlated."""
GAUSS_NEWTON_STEPS = 4
"""Largest number of Gauss-Newton steps a decision."""
LARGEST_MOVE = 1.0
"""Largest move of a sensor in a Gauss-Newton step, in standard deviations."""
SURPRISE_RATE = 0.1
"""Weight of the newest surprise in a sensor's mean surprise."""
LARGEST_SURPRISE = 30.0
"""Mean surprise above which a sensor's readings get less weight; 1 is usual."""
REPEATS = 1e-3
"""A sensor may stand still where a larger share of its readings in the replay buffer repeat exactly."""
UNUSUAL_START = 36.0
"""Squared standard deviations from the usual start above which an episode's first reading is not trusted."""
FEWEST_STARTS = 8
"""Episode starts in the replay buffer from which on their mean and variance are used."""
FEWEST_TRANSITIONS, MOST_TRANSITIONS = 64, 1024
"""Transitions of the replay buffer to calibrate on."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """An energy around `at`: 0.5 dx' information dx + slope' dx."""

    at: Float[Tensor, "batch obs"]
    information: Float[Tensor, "batch obs obs"]
    slope: Float[Tensor, "batch obs"]

    def minimum(
        self, readings: Float[Tensor, "batch obs"], weight: Float[Tensor, "batch obs"]
    ) -> tuple[Float[Tensor, "batch obs"], Float[Tensor, "batch obs"], Float[Tensor, "batch obs"]]:
        """Where the energy plus weight * (x - reading)^2 / 2 is least.

        Returns:
            The minimum; how far each reading is from the value that all others imply (leave one out); and the
            variance of that difference by this energy.
        """
        covariance = torch.linalg.inv(self.information + torch.diag_embed(weight))
        gradient = self.slope + weight * (self.at - readings)
        mean = self.at - (covariance @ gradient.unsqueeze(-1)).squeeze(-1)
        own = covariance.diagonal(dim1=-2, dim2=-1)
        left_out = (1.0 - weight * own).clamp_min(1e-12)
        return mean, (readings - mean) / left_out, own / left_out


def slopes(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch obs"], step: float = DIFFERENCE_STEP
) -> tuple[Float[Tensor, "batch out"], Float[Tensor, "batch out obs"]]:
    """Values and difference quotients of a function of rows, by one call and without a graph."""
    batch, size = x.shape
    moves = torch.cat((x.new_zeros(1, size), step * torch.eye(size, dtype=x.dtype, device=x.device)))
    y = function((x.unsqueeze(1) + moves).flatten(0, 1)).unflatten(0, (batch, size + 1)).double().cpu()
    return y[:, 0], (y[:, 1:] - y[:, :1]).transpose(1, 2) / step


class SensorFaultInference:
    """Infers observations from readings, calibrated on the replay buffer.

    Args:
        networks: normaliser, encoder and world model.
        replay_buffer: transitions collected with healthy sensors.

    Raises:
        ValueError: for fewer than FEWEST_TRANSITIONS transitions, or observations of several parts.
    """

    def __init__(self, networks: Networks, replay_buffer: ReplayBuffer):
        if replay_buffer.held < FEWEST_TRANSITIONS:
            raise ValueError(
                f"needs {FEWEST_TRANSITIONS} transitions in the replay buffer to calibrate the sensors, "
                f"and has {replay_buffer.held}"
            )
        self.networks = networks
        if not isinstance(networks.normalizer, StateNormalizer):
            raise ValueError(
                "infers what sensors should read, and takes the state alone; this agent observes a picture, or "
                "several parts"
            )
        self.device = networks.normalizer.shift.device
        obs = replay_buffer.obs
        if not isinstance(obs, np.ndarray):
            raise ValueError("infers observations of one part, a vector of sensors")
        # In each stream, oldest first: a row either follows the one before or begins an episode.
        held = [replay_buffer.numbers(stream) for stream in range(len(replay_buffer.streams))]
        numbers, following = (np.concatenate([one[part] for one in held]) for part in (np.s_[:-1], np.s_[1:]))
        order = np.argsort(numbers, kind="stable")
        here, after = (replay_buffer.place(rows[order]) for rows in (numbers, following))
        continues = ~replay_buffer.last[here]
        before, after, starts = here[continues], after[continues], after[~continues]
        repeats = (obs[after] == obs[before]).mean(0)
        self.may_repeat = networks.normalizer.of_features(torch.from_numpy(repeats > REPEATS))
        size = len(self.may_repeat)
        first = self.normalised(torch.from_numpy(obs[starts])).double()
        enough = len(starts) >= FEWEST_STARTS
        self.start_mean = first.mean(0) if enough else torch.zeros(size, dtype=torch.float64)
        variance = first.var(0) + 1e-4 if enough else torch.ones(size, dtype=torch.float64)
        self.start_information = torch.diag(1.0 / variance)
        # The newest half: older transitions come from other behaviour.
        newer = np.arange(len(before) // 2, len(before))
        most = max(FEWEST_TRANSITIONS, min(MOST_TRANSITIONS, 40_000 // (size + 1)))
        sample = evenly(newer, most)
        self.usual_error = 1.0
        """Usual squared error of a predicted latent."""
        self.usual = torch.ones(size, dtype=torch.float64)
        """Usual squared difference of each reading from what the others imply."""
        self.limit = torch.full((size,), torch.inf, dtype=torch.float64)
        """Largest surprise of each sensor that is trusted."""
        one, other = before[sample], after[sample]
        self.calibrate(*(torch.from_numpy(x) for x in (obs[one], replay_buffer.action[one], obs[other])))

    def normalised(self, readings: Float[Tensor, "rows readings"]) -> Float[Tensor, "rows obs"]:
        """The features of readings in standard deviations, on the CPU; one that is not a number counts as 0."""
        return self.networks.normalizer(readings.nan_to_num(0.0, 0.0, 0.0).to(self.device)).cpu()

    @torch.no_grad()
    def calibrate(
        self,
        before: Float[Tensor, "rows readings"],
        action: Float[Tensor, "rows act"],
        after: Float[Tensor, "rows readings"],
    ) -> None:
        """Measures the usual prediction error and the usual difference of each reading from the others.

        Args:
            before: observations of healthy sensors.
            action: the actions taken there.
            after: the observations that follow.
        """
        networks = self.networks
        x, y, a = self.normalised(after), self.normalised(before), action.to(self.device)
        predicted = networks.world_model.expect(networks.encoder(y.to(self.device)), a)
        error = networks.encoder(x.to(self.device)) - predicted
        self.usual_error = max(float(error.square().mean()), 1e-12)
        trusted = torch.full(x.shape, TRUSTED, dtype=torch.float64)
        parts = []
        for k in range(0, len(x), 64):
            part = slice(k, k + 64)
            prediction = self.predict(y[part], torch.diag_embed(trusted[part]), action[part])
            around = self.around(x[part], *prediction)
            parts.append(around.minimum(x[part].double(), trusted[part])[1].square())
        squares = torch.cat(parts)
        self.usual = squares.mean(0).clamp_min(1e-8)
        self.limit = 2.0 * (squares / self.usual).amax(0)

    def predict(
        self,
        mean: Float[Tensor, "batch obs"],
        information: Float[Tensor, "batch obs obs"],
        action: Float[Tensor, "batch act"],
    ) -> tuple[
        Float[Tensor, "batch latent"], Float[Tensor, "batch latent obs"], Float[Tensor, "batch obs obs"]
    ]:
        """Predicts the next latent from a belief.

        Returns:
            The predicted latent; its derivative by the belief's mean; and the covariance of the observation
            before, given the belief and the prediction.
        """
        networks, each = self.networks, mean.shape[1] + 1
        actions = action.to(self.device).repeat_interleave(each, 0)

        def next_latent(rows: Tensor) -> Tensor:
            return networks.world_model.expect(networks.encoder(rows.to(self.device)), actions)

        expected, by = slopes(next_latent, mean)
        return expected, by, torch.linalg.inv(by.mT @ by / self.usual_error + INFORMATION_KEPT * information)

    def around(
        self,
        x: Float[Tensor, "batch obs"],
        expected: Float[Tensor, "batch latent"],
        by: Float[Tensor, "batch latent obs"],
        covariance: Float[Tensor, "batch obs obs"],
    ) -> Quadratic:
        """The energy of x without the readings, minimised over the observation before; see `predict`."""
        z, at = slopes(lambda rows: self.networks.encoder(rows.to(self.device)), x)
        error = (z - expected).unsqueeze(-1)
        across, along = by.mT @ at / self.usual_error, by.mT @ error / self.usual_error
        information = at.mT @ at / self.usual_error - across.mT @ covariance @ across
        slope = at.mT @ error / self.usual_error - across.mT @ covariance @ along
        # The prior of a normalised observation, N(0, 1), holds a sensor that nothing else determines.
        prior = torch.eye(x.shape[1], dtype=information.dtype)
        return Quadratic(x.double(), information + prior, slope.squeeze(-1) + x.double())

    @torch.no_grad()
    def __call__(
        self,
        readings: Float[Tensor, "batch readings"],
        belief: Belief | None,
        action: Float[Tensor, "batch act"] | None,
        starts: Bool[Tensor, " batch"],
    ) -> Belief:
        """The belief after new readings.

        Args:
            readings: in the sensors' own units.
            belief: after the readings before; None at the start.
            action: taken since `belief`.
            starts: marks environments whose episode begins; they do not use `belief`.

        Raises:
            ValueError: for a belief without an action.
        """
        of_features = self.networks.normalizer.of_features
        x, given = self.normalised(readings), of_features(readings.isfinite())
        o = x.double()
        if belief is None:
            starts, belief = torch.ones_like(starts), self.no_belief(readings)
        begins = starts.unsqueeze(1)
        mean_surprise = torch.where(begins, 1.0, belief.surprise)
        still = of_features(readings == belief.readings) & ~self.may_repeat & ~begins
        reduced = 1.0 / (self.usual * mean_surprise)
        usual_weight = torch.where(mean_surprise > LARGEST_SURPRISE, reduced, TRUSTED)
        usual_weight = torch.where(still | ~given, 0.0, usual_weight)
        weight = usual_weight
        prediction = None
        if not starts.all():
            if action is None:
                raise ValueError("inference: a belief needs the action that was taken since")
            prediction = self.predict(belief.mean, belief.information, action)
        known = torch.where(begins, self.start_mean.expand_as(o), belief.mean.double())
        here = torch.where(weight == TRUSTED, o, known)

        def energy(point: Tensor) -> Quadratic:
            at_start = Quadratic(
                point,
                self.start_information.expand(len(o), -1, -1),
                (point - self.start_mean) @ self.start_information,
            )
            if prediction is None:
                return at_start
            later = self.around(point.float(), *prediction)
            return Quadratic(
                point,
                torch.where(begins.unsqueeze(1), at_start.information, later.information),
                torch.where(begins, at_start.slope, later.slope),
            )

        quadratic = energy(here)
        for _ in range(GAUSS_NEWTON_STEPS):
            mean, difference, variance = quadratic.minimum(o, weight)
            surprise = difference.square() / torch.where(begins, variance, self.usual)
            # A sudden large difference removes a reading at once; it is inferred from what was known before.
            largest = torch.where(begins, UNUSUAL_START, self.limit * mean_surprise.clamp_min(1.0))
            sudden = surprise > largest
            removed = sudden & (weight == TRUSTED)
            weight = torch.where(sudden, 0.0, usual_weight)
            trusted = weight == TRUSTED
            if trusted.all():
                break
            move = (mean - here).clamp(-LARGEST_MOVE, LARGEST_MOVE)
            # The slopes around a false reading are false too: an environment that removed one starts again.
            again = removed.any(1, keepdim=True)
            clip = self.networks.normalizer.clip
            moved = (here + move).clamp(-clip, clip)
            here = torch.where(again, torch.where(removed, known, here), moved)
            here = torch.where(trusted, o, here)
            quadratic = energy(here)
        inferred = torch.where(trusted, x, here.float())
        capped = torch.where(given, torch.minimum(surprise, self.limit), self.limit)
        return Belief(
            inferred,
            quadratic.information + torch.diag_embed(weight),
            mean_surprise + SURPRISE_RATE * (torch.where(begins, 1.0, capped) - mean_surprise),
            trusted,
            readings,
        )

    def no_belief(self, readings: Float[Tensor, "batch readings"]) -> Belief:
        """A belief without information, for the start of an episode."""
        o = torch.zeros(len(readings), len(self.usual), dtype=torch.float64)
        return Belief(o.float(), torch.diag_embed(o), o + 1.0, o > 0, torch.full_like(readings, torch.nan))

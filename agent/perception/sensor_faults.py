"""PERCEPTION BY ENERGY: what the sensors should have read, where they cannot be believed.

An encoder believes every reading. Here perception asks which observation x has least energy: it is to be
encoded where the world model expected to be, and to agree with the readings that deserve belief,

    E(x, y) = |enc(x) - predict(enc(y), a)|^2 / u  +  |y - m|^2_L  +  sum_i w_i (x_i - reading_i)^2,

y being the observation before, of which m and the information L are what was believed, and u the usual
squared error of a forecast. It is minimised by Gauss-Newton steps, with y eliminated in closed form (a Schur
complement), as in the iterated Kalman filter (Bell and Cathey 1993). No decoder is needed: x enters through
the encoder. Belief is a matter of experience. A reading that lies about as far from what all others say as
readings did in memory is taken as it is (w infinite); a sensor that is far off for long counts less; one that
leaps or stands still does not count (w = 0).

Vectors are normalised observations; the small matrices are float64, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.perception.belief import Belief

SLOPE = 0.05
"""Difference by which slopes are taken, in standard deviations of a sensor."""
SURE = 1e8
"""Information in a reading that is taken as it is: far above any energy's, far below float64's limit."""
FADES = 0.9
"""Share of its information that a belief keeps from one decision to the next; forecasts' errors repeat."""
PASSES = 4
"""Gauss-Newton steps where something is to be inferred."""
LONGEST = 1.0
"""A Gauss-Newton step moves no sensor further than this."""
RATE = 0.1
"""Weight of the newest surprise in a sensor's doubt."""
DOUBTED = 30.0
"""Doubt from which on a reading counts less: mean surprise, of which 1 is usual."""
STILL = 1e-3
"""Sensors whose reading repeats exactly more often than this in memory may stand still."""
FAR = 36.0
"""Squared standard deviations from an episode's usual start at which a first reading is not believed."""
LEAST, MOST = 64, 1024
"""Transitions of memory to calibrate by."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """An energy around `at`: 0.5 dx' information dx + slope' dx."""

    at: Float[Tensor, "batch obs"]
    information: Float[Tensor, "batch obs obs"]
    slope: Float[Tensor, "batch obs"]

    def least(
        self, readings: Float[Tensor, "batch obs"], weight: Float[Tensor, "batch obs"]
    ) -> tuple[Float[Tensor, "batch obs"], Float[Tensor, "batch obs"], Float[Tensor, "batch obs"]]:
        """Where the energy with the readings is least; and for every reading, how far it lies from what it
        would be by all the others, and the variance of that by this energy (leave one out)."""
        spread = torch.linalg.inv(self.information + torch.diag_embed(weight))
        pull = self.slope + weight * (self.at - readings)
        mean = self.at - (spread @ pull.unsqueeze(-1)).squeeze(-1)
        own = spread.diagonal(dim1=-2, dim2=-1)
        alone = (1.0 - weight * own).clamp_min(1e-12)
        return mean, (readings - mean) / alone, own / alone


def slopes(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch obs"], step: float = SLOPE
) -> tuple[Float[Tensor, "batch out"], Float[Tensor, "batch out obs"]]:
    """Values and difference quotients of a function of rows; one call, and no graph to build."""
    batch, size = x.shape
    moves = torch.cat((x.new_zeros(1, size), step * torch.eye(size, dtype=x.dtype, device=x.device)))
    y = function((x.unsqueeze(1) + moves).flatten(0, 1)).unflatten(0, (batch, size + 1)).double().cpu()
    return y[:, 0], (y[:, 1:] - y[:, :1]).transpose(1, 2) / step


class SensorFaultInference:
    """Infers observations by the energy of `modules`, with belief calibrated on `memory`.

    Raises ValueError for a memory of fewer than `LEAST` transitions.
    """

    def __init__(self, networks: Networks, replay_buffer: ReplayBuffer):
        if replay_buffer.held < LEAST:
            raise ValueError(
                f"needs {LEAST} remembered transitions to know its sensors by, has {replay_buffer.held}"
            )
        self.networks = networks
        self.device = networks.normalizer.shift.device
        size = replay_buffer.obs.shape[1]
        # Places in the ring of the rows that it holds, oldest first: a row may follow another, or begin anew.
        held = np.arange(replay_buffer.first, replay_buffer.rows) % replay_buffer.capacity
        here, following, obs = held[:-1], held[1:], replay_buffer.obs
        goes_on = ~replay_buffer.last[here]
        before, after, starts = here[goes_on], following[goes_on], following[~goes_on]
        repeats = (obs[after] == obs[before]).mean(0)
        self.may_rest = torch.from_numpy(repeats > STILL)
        first = self.normalised(torch.from_numpy(obs[starts])).double()
        many = len(starts) >= 8
        self.start_mean = first.mean(0) if many else torch.zeros(size, dtype=torch.float64)
        variance = first.var(0) + 1e-4 if many else torch.ones(size, dtype=torch.float64)
        self.start_information = torch.diag(1.0 / variance)
        # The newest half: older rows were lived by a body that moved in other ways.
        newer = np.arange(len(before) // 2, len(before))
        count = min(len(newer), max(LEAST, min(MOST, 40_000 // (size + 1))))
        sample = newer[np.linspace(0, len(newer) - 1, count).astype(int)]
        self.usual_error = 1.0
        self.usual = torch.ones(size, dtype=torch.float64)
        self.limit = torch.full((size,), torch.inf, dtype=torch.float64)
        one, other = before[sample], after[sample]
        self.calibrate(*(torch.from_numpy(x) for x in (obs[one], replay_buffer.action[one], obs[other])))

    def normalised(self, readings: Float[Tensor, "rows obs"]) -> Float[Tensor, "rows obs"]:
        """Readings in standard deviations, on the CPU; 0 for one that is not a number."""
        return self.networks.normalizer(readings.nan_to_num(0.0, 0.0, 0.0).to(self.device)).cpu()

    @torch.no_grad()
    def calibrate(
        self,
        before: Float[Tensor, "rows obs"],
        action: Float[Tensor, "rows act"],
        after: Float[Tensor, "rows obs"],
    ) -> None:
        """Learns from healthy transitions how far forecasts err, and how far readings lie from the others."""
        m = self.networks
        x, y, a = self.normalised(after), self.normalised(before), action.to(self.device)
        error = m.encoder(x.to(self.device)) - m.world_model.expect(m.encoder(y.to(self.device)), a)
        self.usual_error = max(float(error.square().mean()), 1e-12)
        sure = torch.full(x.shape, SURE, dtype=torch.float64)
        parts = []
        for k in range(0, len(x), 64):
            part = slice(k, k + 64)
            forecast = self.forecast(y[part], torch.diag_embed(sure[part]), action[part])
            parts.append(self.around(x[part], *forecast).least(x[part].double(), sure[part])[1].square())
        squares = torch.cat(parts)
        self.usual = squares.mean(0).clamp_min(1e-8)
        self.limit = 2.0 * (squares / self.usual).amax(0)

    def forecast(
        self,
        mean: Float[Tensor, "batch obs"],
        information: Float[Tensor, "batch obs obs"],
        action: Float[Tensor, "batch act"],
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch latent obs"], Tensor]:
        """The next latent by what was believed, its slope by that, and the inverse of what both say of it."""
        m, each = self.networks, mean.shape[1] + 1
        actions = action.to(self.device).repeat_interleave(each, 0)

        def ahead(rows: Tensor) -> Tensor:
            return m.world_model.expect(m.encoder(rows.to(self.device)), actions)

        expected, by = slopes(ahead, mean)
        return expected, by, torch.linalg.inv(by.mT @ by / self.usual_error + FADES * information)

    def around(
        self, x: Float[Tensor, "batch obs"], expected: Tensor, by: Tensor, spread: Tensor
    ) -> Quadratic:
        """The energy of x, least over the observation before, without the readings."""
        z, at = slopes(lambda rows: self.networks.encoder(rows.to(self.device)), x)
        error = (z - expected).unsqueeze(-1)
        across, along = by.mT @ at / self.usual_error, by.mT @ error / self.usual_error
        information = at.mT @ at / self.usual_error - across.mT @ spread @ across
        slope = at.mT @ error / self.usual_error - across.mT @ spread @ along
        # The running normaliser's own view, N(0, 1), holds what nothing else does.
        own = torch.eye(x.shape[1], dtype=information.dtype)
        return Quadratic(x.double(), information + own, slope.squeeze(-1) + x.double())

    @torch.no_grad()
    def __call__(
        self,
        readings: Float[Tensor, "batch obs"],
        belief: Belief | None,
        action: Float[Tensor, "batch act"] | None,
        starts: Bool[Tensor, " batch"],
    ) -> Belief:
        """The belief after `readings`; `action` was done since `belief`, which does not count at `starts`."""
        x, given = self.normalised(readings), readings.isfinite()
        o = x.double()
        if belief is None:
            starts, belief = torch.ones_like(starts), self.nothing(readings)
        begins = starts.unsqueeze(1)
        doubt = torch.where(begins, 1.0, belief.doubt)
        still = (readings == belief.readings) & ~self.may_rest & ~begins
        inferred_observation = torch.where(doubt > DOUBTED, 1.0 / (self.usual * doubt), SURE)
        inferred_observation = torch.where(still | ~given, 0.0, inferred_observation)
        weight = inferred_observation
        ahead = None
        if not starts.all():
            if action is None:
                raise ValueError("inference: a belief is carried on by the action that was done since")
            ahead = self.forecast(belief.mean, belief.information, action)
        known = torch.where(begins, self.start_mean.expand_as(o), belief.mean.double())
        here = torch.where(weight == SURE, o, known)

        def energy(point: Tensor) -> Quadratic:
            fresh = Quadratic(
                point,
                self.start_information.expand(len(o), -1, -1),
                (point - self.start_mean) @ self.start_information,
            )
            if ahead is None:
                return fresh
            seen = self.around(point.float(), *ahead)
            which = begins.unsqueeze(1)
            return Quadratic(
                point,
                torch.where(which, fresh.information, seen.information),
                torch.where(begins, fresh.slope, seen.slope),
            )

        quadratic = energy(here)
        for _ in range(PASSES):
            mean, off, variance = quadratic.least(o, weight)
            surprise = off.square() / torch.where(begins, variance, self.usual)
            # What is suddenly far off is left out at once, and inferred from what was known before.
            sudden = surprise > torch.where(begins, FAR, self.limit * doubt.clamp_min(1.0))
            leapt = sudden & (weight == SURE)
            weight = torch.where(sudden, 0.0, inferred_observation)
            sure = weight == SURE
            if sure.all():
                break
            move = (mean - here).clamp(-LONGEST, LONGEST)
            # Around a reading that was false the slopes are, too: there the next step is the first.
            fresh = leapt.any(1, keepdim=True)
            here = torch.where(fresh, torch.where(leapt, known, here), (here + move).clamp(-10.0, 10.0))
            here = torch.where(sure, o, here)
            quadratic = energy(here)
        found = torch.where(sure, x, here.float())
        capped = torch.where(given, torch.minimum(surprise, self.limit), self.limit)
        return Belief(
            found,
            quadratic.information + torch.diag_embed(weight),
            doubt + RATE * (torch.where(begins, 1.0, capped) - doubt),
            sure,
            readings,
        )

    def nothing(self, readings: Tensor) -> Belief:
        """A belief that holds nothing, for an episode's start."""
        o = torch.zeros(readings.shape, dtype=torch.float64)
        return Belief(o.float(), torch.diag_embed(o), o + 1.0, o > 0, torch.full_like(readings, torch.nan))

"""iCEM: the cross-entropy method made sample-efficient (Pinneri et al. 2020).

It adds four things to CEM. The noise is correlated along the horizon. Some elites are kept for the next
iteration and the next decision. Each iteration draws fewer candidates. The mean is a candidate of the last
iteration. A kept elite keeps its known energy here and is not evaluated again.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.action_box import ActionBox
from planners.anytime import while_asked
from planners.base import Bound, EnergyFn, Plan, Proceed, check_settings, setting
from planners.elites import Elites, evaluate, uniform_weights, with_given


@dataclass(frozen=True)
class ICEMSettings:
    """Settings of iCEM. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(128, 1, 1_000_000)
    """Candidate action sequences in the first iteration."""
    iterations: int = setting(4, 1, 1_000)
    """Number of times that candidates are drawn and the Gaussian is fitted again."""
    elites: int = setting(10, 1, 1_000_000)
    """Best candidates of an iteration, to which the Gaussian is fitted."""
    colour: float = setting(1.0, 0.0, 10.0)
    """Colour of the noise along the horizon: its power is frequency**-colour. 0 is white noise, 2 a random walk."""
    kept: float = setting(0.3, 0.0, 1.0)
    """Share of the elites kept for the next iteration, and for the next decision where `actor.prior_std` is 0."""
    decay: float = setting(1.25, 1.0, 10.0)
    """Factor by which the number of candidates falls in each iteration, to not less than twice the elites."""
    momentum: float = setting(0.1, 0.0, 0.999)
    """Weight of the previous mean and standard deviation in the new ones."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Minimum standard deviation of the Gaussian; 1 is half the action range."""
    std_max: float = setting(0.5, 1e-9, 1e3)
    """Maximum standard deviation of the Gaussian, with which the search starts; 1 is half the action range."""

    def __post_init__(self) -> None:
        check_settings(self)


def coloured(
    horizon: int, exponent: float, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "horizon horizon"]:
    """The matrix that turns white noise along the horizon into noise of power 1/f**exponent.

    Its columns are the real Fourier basis, each scaled by f**(-exponent/2). The mean (f = 0) counts as the
    lowest frequency. Every step keeps unit variance, so that only the correlation in time changes. Exponent 0
    gives an orthogonal matrix, which leaves white noise white. It is the synthesis of Timmer and Koenig 1995
    as one product instead of an inverse transform.

    Args:
        horizon: number of decisions.
        exponent: the noise's colour.
        dtype: dtype of the matrix.
        device: device of the matrix.
    """
    steps = torch.arange(horizon, dtype=torch.float64)
    columns = []
    for k in range(horizon // 2 + 1):
        gain = (max(k, 1) / horizon) ** (-exponent / 2)
        angle = 2 * math.pi * k * steps / horizon
        if k == 0 or 2 * k == horizon:
            columns.append(gain * angle.cos())
        else:
            columns += [gain * math.sqrt(2) * angle.cos(), gain * math.sqrt(2) * angle.sin()]
    basis = torch.stack(columns, dim=1)
    return (basis / basis[0].norm()).to(dtype=dtype, device=device)


class ICEM:
    """Iterated Gaussian sampling with coloured noise and elites that are kept from decision to decision.

    Args:
        settings: the planner's own settings.
        horizon: number of decisions planned ahead.
        low: lower bounds of the action, a tensor [act] or one number.
        high: upper bounds of the action, as `low`.
        batch: number of environments planned for at once.

    Raises:
        SettingError: for bounds, a horizon or a batch that cannot be used.
    """

    def __init__(self, settings: ICEMSettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = ActionBox(horizon, low, high, batch)
        self._std_min, self._std_max = settings.std_min * self.box.half, settings.std_max * self.box.half
        self._colour = coloured(horizon, settings.colour, self.box.low.dtype, self.box.low.device)
        self._kept = round(settings.kept * settings.elites)
        least = min(2 * settings.elites, settings.samples)
        self._samples = [
            max(int(settings.samples / settings.decay**k), least) for k in range(settings.iterations)
        ]

    @torch.no_grad()
    def plan(
        self,
        energy: EnergyFn,
        *,
        warm_start: Plan | None = None,
        proposals: Float[Tensor, "batch n horizon act"] | None = None,
        generator: torch.Generator | None = None,
        proceed: Proceed | None = None,
    ) -> Plan:
        """See `Planner.plan`."""
        box, settings = self.box, self.settings
        noise = self._colour @ box.normal(sum(self._samples), generator=generator)
        iterations = noise.split(self._samples)
        # The mean itself is a candidate of the first iteration (that of the warm start) and of the last one.
        iterations[0][0] = 0
        iterations[-1][0] = 0
        mean, std = box.first_mean(warm_start), box.first_std(warm_start, self._std_max)
        given = box.given_candidates(warm_start, proposals, warm_elites=self._kept)
        elites = Elites(settings.elites, keep=self._kept)
        for coloured_noise in while_asked(iterations, proceed):
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), coloured_noise))
            candidates, given = with_given(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            new_mean, new_std = elites.moments(uniform_weights(elites.energy))
            mean = torch.lerp(new_mean, mean, settings.momentum)
            std = torch.lerp(new_std, std, settings.momentum).clamp_(self._std_min, self._std_max)
        return elites.plan(mean, std)

"""The cross-entropy method: fit a Gaussian to the best candidates, draw from it, repeat (Rubinstein 1999)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from planners.base import check_settings, setting
from planners.elites import uniform_weights
from planners.gaussian_search import GaussianSearch


@dataclass(frozen=True)
class CEMSettings:
    """Settings of CEM. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(128, 1, 1_000_000)
    """Candidate action sequences per iteration, the current mean among them."""
    iterations: int = setting(4, 1, 1_000)
    """Number of times that candidates are drawn and the Gaussian is fitted again."""
    elites: int = setting(16, 1, 1_000_000)
    """Best candidates of an iteration, to which the Gaussian is fitted."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Minimum standard deviation of the Gaussian; 1 is half the action range."""
    std_max: float = setting(1.0, 1e-9, 1e3)
    """Maximum standard deviation of the Gaussian, with which the search starts; 1 is half the action range."""

    def __post_init__(self) -> None:
        check_settings(self)


class CEM(GaussianSearch[CEMSettings]):
    """Mean and standard deviation are those of the elites. Arguments, errors: see `GaussianSearch`."""

    kept = 1

    def weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        """See `GaussianSearch`; all alike."""
        return uniform_weights(energy)

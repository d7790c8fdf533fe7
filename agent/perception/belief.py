"""What perception by energy holds of the sensors, and acting carries from one decision to the next."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of the sensors after a decision's readings."""

    mean: Float[Tensor, "batch obs"]
    """What they should have read, normalised, float32."""
    information: Float[Tensor, "batch obs obs"]
    """Second derivative of half the energy around the mean."""
    doubt: Float[Tensor, "batch obs"]
    """Running mean of every sensor's surprise; 1 is usual."""
    trusted: Bool[Tensor, "batch obs"]
    """Whether a reading was taken as it is."""
    readings: Float[Tensor, "batch obs"]
    """The readings themselves, in the sensors' own units."""

    def rows(self, index: Tensor) -> Belief:
        """The belief of those environments alone."""
        return Belief(**{item.name: getattr(self, item.name)[index] for item in fields(self)})

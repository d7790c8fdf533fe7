"""State of the sensor-fault inference, which acting carries from one decision to the next."""

from dataclasses import dataclass, fields

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Belief:
    """The estimate of an observation after the readings of a decision."""

    mean: Float[Tensor, "batch obs"]
    """The features of what the sensors should have read, normalised, float32."""
    information: Float[Tensor, "batch obs obs"]
    """Second derivative of half the energy around the mean."""
    surprise: Float[Tensor, "batch obs"]
    """Running mean of every sensor's surprise; 1 is usual."""
    trusted: Bool[Tensor, "batch obs"]
    """Whether a reading was taken as it is."""
    readings: Float[Tensor, "batch readings"]
    """The readings themselves, in the sensors' own units."""

    def rows(self, index: Tensor) -> "Belief":
        """The belief of the environments with these numbers alone."""
        return Belief(**{item.name: getattr(self, item.name)[index] for item in fields(self)})

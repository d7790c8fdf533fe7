"""Running normalisation of vectors."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def is_rounding(std: Float[Tensor, " size"], mean: Float[Tensor, " size"]) -> Bool[Tensor, " size"]:
    """Which deviations are rounding, not a signal: below 1e-6, or below a millionth of the mean."""
    # Relative to the mean, because a constant float32 input shows rounding as variance.
    return std <= 1e-6 * mean.abs().clamp_min(1.0)


class Normalizer(nn.Module):
    """Running mean and deviation of a vector, by the parallel update of Chan et al. (1979).

    A dimension that never varies keeps deviation 1, so that it stays finite when it does vary. So does a
    dimension whose deviation is below 1e-6, or below a millionth of its mean: that is rounding, not a signal.
    A sensor with a smaller signal must be given in a smaller unit.

    Args:
        size: length of the vector.
        clip: normalised values are clipped to [-clip, clip].
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    shift: Tensor
    scale: Tensor
    divisor: Tensor

    def __init__(self, size: int, clip: float = 10.0):
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size), persistent=False)
        self.register_buffer("scale", torch.ones(size), persistent=False)
        self.register_buffer("divisor", torch.ones(size), persistent=False)
        # These three are not saved: they are computed from the statistics that are loaded.
        self.register_load_state_dict_post_hook(lambda module, keys: module.refresh())

    @torch.no_grad()
    def update(self, rows: Float[Tensor, "rows size"]) -> None:
        """Takes new rows into the statistics."""
        if rows.shape[0] == 0:
            return
        rows = rows.to(self.mean)
        total = self.count + rows.shape[0]
        delta = rows.mean(0) - self.mean
        spread = rows.var(0, correction=0) * rows.shape[0]
        spread = spread + self.variance * self.count + delta**2 * self.count * rows.shape[0] / total
        self.mean += delta * rows.shape[0] / total
        self.variance.copy_(spread / total)
        self.count.copy_(total)
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Recomputes the float32 constants that `forward`, `inverse` and `predicted` use."""
        std = self.variance.sqrt()
        flat = is_rounding(std, self.mean)
        self.shift = self.mean.float()
        self.scale = torch.where(flat, torch.ones_like(std), 1.0 / std.clamp_min(1e-12)).float()
        # A finite number over infinity is 0, so that `predicted` takes as long as `inverse`.
        self.divisor = self.scale.masked_fill(flat & (self.count > 0), torch.inf)

    def forward(self, rows: Float[Tensor, "*rows size"]) -> Float[Tensor, "*rows size"]:
        """Normalised rows."""
        return ((rows - self.shift) * self.scale).clamp(-self.clip, self.clip)

    def inverse(self, rows: Float[Tensor, "*rows size"]) -> Float[Tensor, "*rows size"]:
        """From normalised values back to the original units."""
        return rows / self.scale + self.shift

    def predicted(self, rows: Float[Tensor, "*rows size"]) -> Float[Tensor, "*rows size"]:
        """From normalised values that a network predicts back to the original units.

        It is `inverse`, but for a dimension that has never varied: that is its mean. Such a dimension has deviation
        1, so that the network's error would appear in it in the original unit.
        """
        return rows / self.divisor + self.shift

"""How large costs and returns are here, so that heads learn numbers near one whatever the reward's unit.

A cost head sees costs over their root mean square. The critic sees costs-to-go over the size of the
discounted returns that were lived, as reward scaling does in Lee et al. 2025 (SimbaV2, section 4.3):
the deviation of the running sum G_t = c_t + gamma G_{t-1}, or more where its largest value would not
fit the critic's range.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from agent.perception.normalizer import Normalizer


class Scales(nn.Module):
    """Running scales; every statistic is a buffer, so that a checkpoint holds them.

    `limit` is the largest value, in scaled units, that the critic's head can say.
    """

    square: Tensor
    count: Tensor
    running: Tensor
    largest: Tensor

    HEADROOM = 1.2

    def __init__(self, limit: float):
        super().__init__()
        self.limit = limit
        self.returns = Normalizer(1)
        for name in ("square", "count", "running", "largest"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, cost: Float[Tensor, " rows"], last: Bool[Tensor, " rows"], discount: float) -> None:
        """Takes in rows in the order they were lived. A `last` row holds no cost: it ends an episode."""
        running, sums = self.running.item(), []
        for value, ends in zip(cost.tolist(), last.tolist(), strict=True):
            running = 0.0 if ends else value + discount * running
            if not ends:
                sums.append(running)
        self.running.fill_(running)
        if not sums:
            return
        lived = torch.tensor(sums, dtype=torch.float64, device=self.square.device)
        self.returns.update(lived.unsqueeze(1))
        self.largest.copy_(torch.maximum(self.largest, lived.abs().max()))
        costs = cost[~last].to(self.square)
        self.count += len(costs)
        self.square += (costs.square().mean() - self.square) * len(costs) / self.count

    def cost(self) -> float:
        """Root mean square of an immediate cost; 1 while all were zero."""
        return self.square.sqrt().item() or 1.0

    def cost_to_go(self) -> float:
        """Size of a cost-to-go; 1 while all were zero."""
        deviation = self.returns.variance.sqrt().max()
        return torch.maximum(deviation, self.HEADROOM * self.largest / self.limit).item() or 1.0

"""The usual size of costs and returns, so that heads learn numbers near one whatever the reward's unit.

A cost head learns costs over their root mean square. The critic learns costs-to-go over the size of the
discounted returns in the data, as in the reward scaling of Lee et al. 2025 (SimbaV2, section 4.3): the
standard deviation of the running sum G_t = c_t + gamma G_{t-1}, or more where the largest |G_t| would not fit
the critic's range.

The largest |G_t| is forgotten slowly, so that one outlier does not coarsen the critic for good: at every
10,000th transition it is halved, but not below the largest of the last 10,000. It decays in steps, not at
every transition, because a change of scale rescales all outputs of the critic: a continuous decay would do so
between the peaks of any two episodes. For up to 10,000 transitions, and where returns stay alike, nothing
decays. A deviation that is then larger than the largest |G_t| is that of an outlier, and is measured anew.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from agent.perception.normalizer import Normalizer


class Scales(nn.Module):
    """Running scales; every statistic is a buffer, so that a checkpoint holds them.

    Args:
        limit: the largest value of the critic's head, in scaled units.
        streams: environments whose rows come in, each in its own order.
    """

    square: Tensor
    count: Tensor
    running: Tensor
    largest: Tensor
    """Largest |G_t|, slowly forgotten."""
    newest_largest: Tensor
    """Largest |G_t| since the last multiple of HALVING_PERIOD transitions."""

    HEADROOM = 1.2
    """The critic's range over the largest |G_t|."""
    HALVING_PERIOD = 10_000
    """Transitions after which the largest |G_t| is halved, where no other is as large."""

    def __init__(self, limit: float, streams: int = 1):
        super().__init__()
        self.limit = limit
        self.returns = Normalizer(1)
        for name in ("square", "count", "largest", "newest_largest"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        shape = () if streams == 1 else (streams,)
        self.register_buffer("running", torch.zeros(shape, dtype=torch.float64))

    def reset(self) -> None:
        """Forgets all costs: they will be others."""
        self.load_state_dict(Scales(self.limit, self.running.numel()).state_dict())

    @torch.no_grad()
    def update(
        self,
        cost: Float[Tensor, " rows"],
        last: Bool[Tensor, " rows"],
        discount: float,
        stream: int = 0,
        *,
        forgets: bool = True,
    ) -> None:
        """Takes in rows of one stream of the replay buffer, oldest first.

        Args:
            cost: immediate costs.
            last: whether a row is the last of its episode, which has no cost.
            discount: per decision.
            stream: the stream; its running sum continues from call to call.
            forgets: whether the largest |G_t| is forgotten slowly; the order of recorded episodes says nothing.
        """
        running, sums = self.running.view(-1)[stream].item(), []
        largest, newest, transitions = self.largest.item(), self.newest_largest.item(), int(self.count)
        for value, ends in zip(cost.tolist(), last.tolist(), strict=True):
            running = 0.0 if ends else value + discount * running
            if ends:
                continue
            sums.append(running)
            newest = max(newest, abs(running))
            largest = max(largest, newest)
            transitions += 1
            if forgets and transitions % self.HALVING_PERIOD == 0:
                largest, newest = max(0.5 * largest, newest), 0.0
                if float(self.returns.variance) > largest**2:  # no |G_t| that is remembered is as large
                    self.returns.load_state_dict(Normalizer(1).state_dict())
                    sums = []
        self.running.view(-1)[stream] = running
        costs = cost[~last].to(self.square)
        if not len(costs):
            return
        self.largest.fill_(largest)
        self.newest_largest.fill_(newest)
        if sums:
            returns = torch.tensor(sums, dtype=torch.float64, device=self.square.device)
            self.returns.update(returns.unsqueeze(1))
        self.count += len(costs)
        self.square += (costs.square().mean() - self.square) * len(costs) / self.count

    def cost(self) -> float:
        """Root mean square of an immediate cost; 1 while all are zero."""
        return self.square.sqrt().item() or 1.0

    def cost_to_go(self, share: float = 1.0) -> float:
        """Size of a cost-to-go; 0 while all are zero.

        Args:
            share: what an episode of full length shows of a cost-to-go; see `share_shown`.
        """
        deviation = self.returns.variance.sqrt().max()
        headroom = max(self.HEADROOM, 1.0 / share)
        return torch.maximum(deviation, headroom * self.largest / self.limit).item()


def share_shown(episode_decisions: int | None, discount: float) -> float:
    """The share of an endless discounted sum of equal costs that an episode of this length shows.

    A critic's targets go on after a time limit, where the sums of the data end.
    """
    return 1.0 if episode_decisions is None else 1.0 - discount**episode_decisions

"""What is acted towards now: the goal, or a sub-goal on the remembered way to it."""

import threading

import torch
from jaxtyping import Float
from torch import Tensor

from agent.world_model.experience_graph import Route


class GoalTarget:
    """The latents that plans and the goal's policy are given.

    Two time scales: a route, which looks far ahead, says where to be in some decisions, and the actor gets there.

    Args:
        goal: its latent.
        route: the remembered ways to the goal; None goes straight.
        ahead: decisions along the way at which the sub-goal lies.
    """

    def __init__(self, goal: Float[Tensor, "1 latent"], route: Route | None = None, ahead: int = 0) -> None:
        self.goal, self._route, self._ahead = goal, route, ahead
        self._now: dict[int, Tensor] = {}
        """By thread: several may act at once."""

    @property
    def ahead(self) -> int:
        """Decisions ahead at which sub-goals lie; 0 where the goal itself is acted towards."""
        return 0 if self._route is None else self._ahead

    @torch.no_grad()
    def look(self, z: Float[Tensor, "batch latent"]) -> None:
        """Chooses what is acted towards from here on, for each latent."""
        if self._route is not None:
            self._now[threading.get_ident()] = self._route.sub_goals(z, self._ahead)

    def rows(self, count: int) -> Float[Tensor, "rows latent"]:
        """What is acted towards, for rows that are those of the latents, each as often as there are candidates."""
        now = self._now.get(threading.get_ident(), self.goal)
        if len(now) == 1:
            return now.expand(count, -1)
        return now.repeat_interleave(count // len(now), 0)

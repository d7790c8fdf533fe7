"""A slow model of the world: which remembered moments lead to which others, and after how many decisions.

The dynamics model predicts one decision after another, and its errors add up. This model looks far ahead and says
nothing of actions: its nodes are remembered latents, and an edge is a way that was gone, or a step between two
moments that are nearly the same. The shortest path to a goal goes around what a straight line would run into, and
gives sub-goals that are near enough for plans and policies (Savinov et al. 2018).

What such a step costs is the number of decisions that reaching goals has learned for it, where it was learned
(Eysenbach et al. 2019). Moments that are nearly the same may differ in their speed, and the latent distance does
not say how long it takes to change that.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor

from agent.memory.portions import evenly

MOST_NODES = 20_000
"""Of longer experience, every second, third, ... moment is a node: neighbours take the square of their number."""
NEAR = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
"""Distances in usual steps up to which moments may be nearly the same. The least that connects the graph is
taken: with a greater one, ways lead through walls, whose sides are that near to each other."""
CONNECTED = 0.98
"""A graph is connected where this share of its nodes have ways to each other."""
STRICT = 1.25
"""That of NEAR which shows whether a graph is connectable."""
CONNECTABLE = 0.5
"""A graph of which STRICT connects a smaller share gets no greater distance. Its episodes differ in what does not
change within one, such as a target that is observed, and a step from one to another would never be made. The share
is 0.04 in joule/Reach-v0 and 0.004 in joule/Push-v0, and 0.88 to 0.98 in three mazes."""
NEIGHBOURS = 16
"""Edges at most from a moment to others that are nearly the same."""
CANDIDATES = 8
"""Nodes at most between which the way from a latent, and to a goal, is chosen."""
LEAST_COST = 1e-3
"""Decisions that an edge costs at least."""
AT_A_TIME = 1024
"""Latents whose neighbours are looked for together."""


Steps = Callable[[Tensor, Tensor], Tensor]
"""Latents [rows, latent] and others [rows, latent] -> the learned decisions from each to the other [rows]."""


class ExperienceGraph:
    """Ways between remembered moments.

    Args:
        z: latents of the moments in the order in which they happened, one episode after another.
        last: [moments], whether a moment is the last of its episode.
        usual_step: mean distance between the latents of successive decisions, above 0.
        steps: learned decisions between latents; None where the distance alone says how far they are.
        most_nodes: of the graph.
    """

    near: float
    """Distance in usual steps up to which moments are nearly the same, one of NEAR."""
    connectable: bool
    """Whether ways lead from one episode to another; see CONNECTABLE."""
    farthest: float
    """Distance in usual steps up to which ways begin and end at the nearest moment, where none is within `near`."""

    def __init__(
        self,
        z: Float[Tensor, "moments latent"],
        last: np.ndarray,
        usual_step: float,
        steps: Steps | None = None,
        most_nodes: int = MOST_NODES,
    ) -> None:
        episode = np.concatenate(([0], np.cumsum(last)[:-1]))  # its number, of each moment
        # Of many short episodes more are kept than asked for.
        kept = evenly(_kept(episode, last, -(-len(last) // most_nodes)), most_nodes)
        self.z = z[torch.from_numpy(kept).to(z.device)]
        """Latents of the nodes [nodes, latent]."""
        self.episode: Int[np.ndarray, " nodes"] = episode[kept]
        """The number of the episode of each node."""
        self.usual_step = usual_step
        self._goal = len(kept)
        """The node that stands for a goal: the row after those of the moments, without an edge yet."""
        onward = np.flatnonzero(np.diff(episode[kept]) == 0)  # the next node is of the same episode
        decisions = np.diff(kept)[onward].astype(np.float64)
        self.near, self._edges = self._least_connected(onward, decisions, steps)

    def _least_connected(
        self, onward: Int[np.ndarray, " gone"], decisions: Float[np.ndarray, " gone"], steps: Steps | None
    ) -> tuple[float, csr_array]:
        """The least of NEAR that connects the graph, or the greatest one, and the edges that it gives.

        Where the graph is not connectable, it is STRICT.

        Args:
            onward: nodes from which the next node was gone to.
            decisions: that this took.
            steps: see the class.
        """
        distance, neighbour = self._neighbours()
        node = np.repeat(np.arange(self._goal), neighbour.shape[1])
        distance, neighbour = distance.ravel(), neighbour.ravel()
        # A pair of nodes has one edge: the costs of several would be added up.
        gone = np.isin(node, onward) & (neighbour == node + 1)
        other = (neighbour != node) & ~gone
        for within in NEAR:
            near = (distance <= within) & other
            # Every edge points backwards in time: ways are looked for from the goal.
            ends = np.concatenate((onward + 1, neighbour[near])), np.concatenate((onward, node[near]))
            edges = csr_array((np.ones(len(ends[0])), ends), shape=(self._goal + 1, self._goal + 1))
            _, part = connected_components(edges, connection="strong")
            share = np.bincount(part).max() / self._goal
            if share >= CONNECTED or (within == STRICT and share < CONNECTABLE):
                break
        self.connectable = bool(share >= CONNECTABLE)
        self.farthest = NEAR[-1] if self.connectable else within
        between = self._cost(node[near], neighbour[near], distance[near], steps)
        cost = np.concatenate((decisions, between))
        return within, csr_array((cost, ends), shape=edges.shape)

    def _cost(
        self,
        start: Int[np.ndarray, " rows"],
        end: Int[np.ndarray, " rows"],
        distance: Float[np.ndarray, " rows"],
        steps: Steps | None,
    ) -> Float[np.ndarray, " rows"]:
        """Decisions that steps between nodes take which are nearly the same, and `distance` usual steps apart."""
        cost = np.maximum(distance.astype(np.float64), LEAST_COST)  # a cost of 0 would be no edge
        if steps is None:
            return cost
        for first in range(0, len(start), AT_A_TIME):
            part = slice(first, first + AT_A_TIME)
            here, there = (self.z[torch.from_numpy(index[part]).to(self.z.device)] for index in (start, end))
            cost[part] = np.maximum(cost[part], steps(here, there).cpu().numpy())
        return cost

    def _neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances in usual steps [nodes, k], and which nodes are so near [nodes, k]."""
        k = min(NEIGHBOURS, len(self.z))
        found = [self.distances(part).topk(k, largest=False) for part in self.z.split(AT_A_TIME)]
        distance, neighbour = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
        return distance, neighbour

    def distances(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows nodes"]:
        """Distances between latents and the nodes, in usual steps."""
        return torch.cdist(z, self.z) / self.usual_step

    def route(self, goal: Float[Tensor, "1 latent"]) -> "Route":
        """The ways from everywhere to a goal."""
        distance, node = self.nearest(goal)
        begins = distance[0] <= self.limit(distance)[0]
        distance, node = distance[0][begins], node[0][begins]
        # The goal's row is the last one: its edges go to the end of the arrays.
        edges = self._edges
        data = np.concatenate((edges.data, np.maximum(distance, LEAST_COST)))
        indices = np.concatenate((edges.indices, node.astype(edges.indices.dtype)))
        indptr = edges.indptr.copy()
        indptr[-1] += len(node)
        reversed_ways = csr_array((data, indices, indptr), shape=edges.shape)
        decisions, following = dijkstra(reversed_ways, indices=self._goal, return_predecessors=True)
        return Route(self, goal, decisions, following)

    def limit(self, distance: np.ndarray) -> np.ndarray:
        """How far a latent is, at most, from the nodes [rows, 1] at which its ways begin or end.

        What is like no remembered moment has ways over the nearest one, where that is no farther than `farthest`.

        Args:
            distance: of the nearest nodes [rows, k], the nearest one first.
        """
        return np.clip(distance[:, :1], self.near, self.farthest)

    def nearest(self, z: Float[Tensor, "rows latent"]) -> tuple[np.ndarray, np.ndarray]:
        """Distances in usual steps [rows, k] of the nearest nodes, and which they are [rows, k]."""
        found = self.distances(z).topk(min(CANDIDATES, len(self.z)), largest=False)
        return found.values.cpu().numpy().astype(np.float64), found.indices.cpu().numpy()


class Route:
    """The ways from remembered moments to one goal.

    Args:
        graph: has the moments.
        goal: its latent.
        decisions: [nodes + 1], from each node to the goal, which is the last one; infinite without a way.
        following: [nodes + 1], the next node on the way.
    """

    def __init__(
        self,
        graph: ExperienceGraph,
        goal: Float[Tensor, "1 latent"],
        decisions: np.ndarray,
        following: Int[np.ndarray, " nodes"],
    ) -> None:
        self.graph, self.goal = graph, goal
        self._decisions, self._following = decisions, following

    def decisions(self, z: Float[Tensor, "rows latent"]) -> np.ndarray:
        """Decisions from each latent to the goal [rows]; infinite where no way is remembered."""
        return self._entered(z)[0]

    def sub_goals(self, z: Float[Tensor, "rows latent"], ahead: int) -> Float[Tensor, "rows latent"]:
        """Where to go now from each latent: a remembered moment `ahead` decisions along the way to the goal.

        It is the goal itself where that is no farther, and where no way is remembered.
        """
        to_go, entered = self._entered(z)
        goal = len(self.graph.z)
        found = []
        for total, node in zip(to_go, entered, strict=True):
            place = int(node) if np.isfinite(total) else goal
            while place != goal and total - self._decisions[place] < ahead:
                place = int(self._following[place])
            found.append(self.goal[0] if place == goal else self.graph.z[place])
        return torch.stack(found)

    def _entered(self, z: Float[Tensor, "rows latent"]) -> tuple[np.ndarray, np.ndarray]:
        """Decisions to the goal [rows], and the node at which the way of each latent begins."""
        distance, node = self.graph.nearest(z)
        total = np.where(distance <= self.graph.limit(distance), distance + self._decisions[node], np.inf)
        straight = (torch.linalg.vector_norm(z - self.goal, dim=-1) / self.graph.usual_step).cpu().numpy()
        total = np.column_stack((np.where(straight <= self.graph.near, straight, np.inf), total))
        node = np.column_stack((np.full(len(z), len(self.graph.z)), node))
        best = total.argmin(1)
        rows = np.arange(len(z))
        return total[rows, best], node[rows, best]


def _kept(episode: np.ndarray, last: np.ndarray, stride: int) -> np.ndarray:
    """Every so many moments of each episode, and its last one."""
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    since = np.arange(len(last)) - first[episode]
    return np.flatnonzero((since % stride == 0) | last)

"""A task on imagined steps: its costs, by the readouts that are predicted from latents."""

from jaxtyping import Float
from torch import Tensor

from agent.cost.energy import OWN_TERMS
from agent.cost.readouts import NamedReadouts, Readouts
from agent.cost.task import Task
from agent.networks import Networks
from agent.world_model.dynamics import Step, WorldModel


class TaskCost:
    """The costs of a task on imagined steps, in the environment's units, term by term.

    `world_model` predicts the environment's own cost of a step.

    Args:
        task: the task.
        layout: the names of the environment's readouts.
        networks: predict the readouts.
        act: size of an action.

    Raises:
        TaskError: for a task on a readout that the environment does not have.
    """

    def __init__(self, task: Task, layout: Readouts, networks: Networks, act: int):
        self.task, self.layout, self.networks = task, layout, networks
        self.world_model: WorldModel = networks.world_model
        # Terms must not share a name, neither among themselves nor with the energy's own terms.
        names = [f"{t.name} (task)" if t.name in OWN_TERMS else t.name for t in task.terms]
        self.names = [n if names.count(n) == 1 else f"{n} ({k})" for k, n in enumerate(names, 1)]
        blank = layout.blank(act, next(networks.parameters()))
        task(blank)
        self.used = tuple(blank.used)
        """Names of the readouts that the task reads."""
        self.uses_own_cost = blank.own_cost_used
        """Whether the environment's own cost is part of the task."""

    @property
    def name(self) -> str:
        """That of the task."""
        return self.task.name

    def named(
        self, z: Float[Tensor, "rows latent"], step: Step, action: Float[Tensor, "rows act"]
    ) -> NamedReadouts:
        """The readouts predicted at latents `z`, after `action`."""
        networks = self.networks
        read = networks.read(z)
        return self.layout.of(read, action, lambda: self.world_model.expected_cost(step))

    def __call__(self, step: Step, action: Float[Tensor, "rows act"]) -> dict[str, Float[Tensor, " rows"]]:
        """Name of each term -> its cost."""
        named = self.named(step.z, step, action)
        return {name: term(named) for name, term in zip(self.names, self.task.terms, strict=True)}

    def total(self, step: Step, action: Float[Tensor, "rows act"]) -> Float[Tensor, " rows"]:
        """The task's cost."""
        return self.task(self.named(step.z, step, action))

"""A task meets a world model: what imagined steps cost, on readouts predicted from their latents."""

from jaxtyping import Float
from torch import Tensor

from agent.cost.energy import OWN_TERMS
from agent.cost.readouts import NamedReadouts, Readouts
from agent.cost.task import Task
from agent.networks import Networks
from agent.world_model.dynamics import Step, WorldModel


class TaskCost:
    """The costs of a task on imagined steps, in the body's own units, one by one.

    `world_model` says what the environment itself would charge for a step that it imagined. Raises TaskError
    when the task asks for what the body does not have.
    """

    def __init__(self, task: Task, layout: Readouts, networks: Networks, act: int):
        self.task, self.layout, self.networks = task, layout, networks
        self.world_model: WorldModel = networks.world_model
        # Two terms of one name are two terms, and so is one that has the name of an energy's own.
        names = [f"{t.name} (task)" if t.name in OWN_TERMS else t.name for t in task.terms]
        self.names = [n if names.count(n) == 1 else f"{n} ({k})" for k, n in enumerate(names, 1)]
        blank = layout.blank(act, next(networks.parameters()))
        task(blank)
        self.asks_own = blank.asked_own
        """Whether the environment's own cost is part of it."""

    def named(
        self, z: Float[Tensor, "rows latent"], step: Step, action: Float[Tensor, "rows act"]
    ) -> NamedReadouts:
        """What is foreseen at latents `z`, after `action`."""
        m = self.networks
        read = m.readout_normalizer.inverse(m.readout(z))
        return self.layout.of(read, action, lambda: self.world_model.expected_cost(step))

    def __call__(self, step: Step, action: Float[Tensor, "rows act"]) -> dict[str, Float[Tensor, " rows"]]:
        """Term -> cost."""
        named = self.named(step.z, step, action)
        return {name: term(named) for name, term in zip(self.names, self.task.terms, strict=True)}

    def total(self, step: Step, action: Float[Tensor, "rows act"]) -> Float[Tensor, " rows"]:
        """The task's cost."""
        return self.task(self.named(step.z, step, action))

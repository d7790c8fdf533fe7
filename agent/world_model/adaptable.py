"""Which agents can adapt, and whether their networks are still those that adaptation began with."""

from agent.configurator.settings import NO_USUAL_RETURN
from agent.errors import ConfigError
from agent.modules import Modules


def check_learned_task(modules: Modules) -> None:
    """Raises ConfigError for an agent that plans for a task that its critic never learned."""
    if modules.task_cost is not None:
        raise ConfigError("adapt: a task that is only planned for teaches no critic; learn_task learns it")


class OwnNetworks:
    """Notices where the networks of an agent have learned from elsewhere: stored models are then of before.

    Args:
        modules: those of the agent.

    Raises:
        ConfigError: for an agent that learned without rewards, or plans for a task that its critic never learned.
    """

    def __init__(self, modules: Modules) -> None:
        check_learned_task(modules)
        if modules.rewardless:
            raise ConfigError(f"adapt: {NO_USUAL_RETURN}")
        self._modules = modules
        self.accept()

    def accept(self) -> None:
        """The updates so far are those of adaptation."""
        self._learner, self._updates = self._modules.learner, self._modules.learner.updates

    @property
    def replaced(self) -> bool:
        """Whether the agent has learned elsewhere since."""
        learner = self._modules.learner
        return learner is not self._learner or learner.updates != self._updates

    def check(self) -> None:
        """Raises ConfigError where the agent has learned since, or plans for what it has not learned."""
        check_learned_task(self._modules)
        if self.replaced:
            raise ConfigError(
                "adapt: the agent has learned since; adapt() begins anew with what it knows now"
            )

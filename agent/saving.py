"""Agents are saved as folders: an object that holds an environment, generators and networks is not copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn, SupportsIndex

from agent.errors import ConfigError, InputError
from agent.interface import Services


class SavedAsFolder:
    """Refuses pickle, copy.copy and copy.deepcopy, and says what to do instead."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise InputError(
            f"{type(self).__name__}: an agent cannot be pickled or copied; save it by agent.save(folder), and "
            "joule.load(folder) makes another one"
        )


class SavesRuns(SavedAsFolder):
    """An agent that is saved as a run folder."""

    services: Services | None
    """How runs are saved; None for an agent that is not saved."""

    def save(self: Any, path: str | Path) -> None:
        """Writes a run folder at `path`. Raises as `joule.storage.agent_checkpoint.save_agent`.

        Where a trained agent cannot be saved at `path`, it is saved at a free path below `runs`, as the error says.
        """
        if self.services is None:
            raise ConfigError("save: this agent was made without a way to save; make it by joule.make")
        self.services.save_run(self, path)

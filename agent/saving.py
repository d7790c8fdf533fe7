"""Agents are saved as folders: an object that holds an environment, generators and networks is not copied."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

from agent.errors import InputError


class SavedAsFolder:
    """Refuses pickle, copy.copy and copy.deepcopy, and says what to do instead."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise InputError(
            f"{type(self).__name__}: an agent cannot be pickled or copied; save it by agent.save(folder), and "
            "joule.load(folder) makes another one"
        )

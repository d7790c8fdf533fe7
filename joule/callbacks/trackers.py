"""Trackers by name, as the option `--track` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agent.errors import ConfigError
from joule.callbacks.callback import Callback
from joule.callbacks.wandb_tracker import WandbTracker

TRACKERS: Mapping[str, Callable[[], Callback]] = {"wandb": WandbTracker}
"""Name -> makes the tracker, with its own environment variables as settings."""


def trackers(names: Sequence[str]) -> list[Callback]:
    """The trackers of these names.

    Raises:
        ConfigError: for an unknown name, and for one whose library is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"--track: {name!r} is none of {', '.join(TRACKERS)}")
    return [TRACKERS[name]() for name in dict.fromkeys(names)]

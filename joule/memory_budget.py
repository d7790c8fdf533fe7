"""The memory that an agent may come to, checked before any of it is allocated.

Settings may come from another person's run, and may ask for more memory than there is. The budget is half of the
machine's memory, or of the container's, unless the setting `memory_budget_gb` gives another.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import EnvSpec
from joule.memory_estimate import MemoryEstimate, environments, estimate
from joule_errors.memory import MemoryShort, is_short

GB = 1e9
SHARE = 0.5
"""Of the machine's memory, where the settings give no budget."""
FLAG = "--memory-budget-gb"
_UNKNOWN = 4e9
"""Bytes of memory where the system does not say."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container may take."""
_WORDS = {
    "networks": "networks",
    "replay": "replay buffer",
    "learning": "a gradient step",
    "planning": "a plan",
    "environments": "environments",
}
_REDUCED_BY = {
    "networks": "model.hidden_dim",
    "replay": "learning.replay_capacity_transitions",
    "learning": "learning.batch_size",
    "planning": "planner.samples",
    "environments": "num_envs",
}


def check_budget(config: Config, spec: EnvSpec, rows: int = 0) -> None:
    """Checks that the agent of these settings fits the budget. Nothing is allocated.

    Args:
        config: the settings.
        spec: sizes of the environment.
        rows: rows of experience that are to be loaded.

    Raises:
        ConfigError: where it does not; the message names what takes most, and the option that allows it.
    """
    needed = estimate(config, spec, rows)
    if needed.total > budget(config):
        raise ConfigError(_refusal(config, needed))


def check_environments(config: Config) -> None:
    """Checks that the environments of training fit the budget, before any of their processes is started.

    Raises:
        ConfigError: where they do not.
    """
    needed = environments(config)
    if needed > budget(config):
        raise ConfigError(_refusal(config, MemoryEstimate(0.0, 0.0, 0.0, 0.0, needed)))


def budget(config: Config) -> float:
    """The budget of these settings in bytes."""
    given = config.memory_budget_gb
    return SHARE * machine_memory() if given is None else given * GB


def largest_checkpoint(config: Config) -> float:
    """Bytes of arrays in a checkpoint that may be read: they are in memory twice, as a file and as arrays."""
    return budget(config) / 2


def machine_memory() -> float:
    """Bytes of memory of the machine, or of the container where that is less."""
    found = []
    with suppress(ValueError, OSError, AttributeError):  # not every system has these names
        found.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    for path in _LIMITS:
        with suppress(ValueError, OSError):  # no limit is the word "max"
            found.append(float(Path(path).read_text(encoding="ascii")))
    return min(found, default=_UNKNOWN)


@contextmanager
def allocating(config: Config, spec: EnvSpec) -> Iterator[None]:
    """Inside, memory that cannot be had is one sentence.

    Raises:
        MemoryShort: with what the settings need.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        if not is_short(error):
            raise
        needed = _gigabytes(estimate(config, spec).total)
        raise MemoryShort(
            f"memory is short: the agent of these settings takes up to about {needed}"
        ) from error


def _refusal(config: Config, needed: MemoryEstimate) -> str:
    largest = needed.largest()
    shown = [(name, size) for name, size in largest[:2] if size >= 0.1 * GB] or largest[:1]
    parts = ", ".join(f"{_WORDS[name]} {_gigabytes(size)}" for name, size in shown)
    allowed = _gigabytes(budget(config))
    origin = (
        "given" if config.memory_budget_gb is not None else f"half of the {_gigabytes(machine_memory())} here"
    )
    reduced = (
        _REDUCED_BY[largest[0][0]] if config.agent == "joule" or largest[0][0] == "environments" else "steps"
    )
    return (
        f"memory: this agent may take {_gigabytes(needed.total)} ({parts}), and the budget is {allowed} "
        f"({origin}); reduce {reduced}, or allow it by {FLAG} {math.ceil(needed.total / GB)}"
    )


def _gigabytes(size: float) -> str:
    if size < 0.1 * GB:
        return f"{size / 1e6:,.0f} MB"
    return f"{size / GB:,.1f} GB" if size < 1e15 else f"{size / GB:.0e} GB"

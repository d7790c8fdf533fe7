"""Joins a Ray cluster, for sweeps and for actors."""

from __future__ import annotations

import os
import socket
from typing import Any

from agent.errors import ConfigError
from joule.extras import needed

ANSWER_SECONDS = 10.0
"""Within which an address must answer."""

_STARTED_HERE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Joule sends nothing anywhere
    "RAY_worker_niceness": "0",  # Ray's own is 15, with which a trial waits for everything else on the machine
}
"""Environment variables of a cluster that is started here."""


def lines_of(error: Exception) -> list[str]:
    """The lines of an error of Ray, without those that are empty; its type where it says nothing."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


def missing_module(error: Exception) -> str | None:
    """The line of an error of Ray that names a module which a node does not have; None without one."""
    return next((line for line in reversed(lines_of(error)) if "No module named" in line), None)


def connect(address: str) -> Any:
    """Joins a Ray cluster. Returns the module `ray`.

    Args:
        address: of its head, such as `10.0.0.1:6379`; empty for the cluster of this machine, which is started
            where there is none.

    Raises:
        ConfigError: where Ray is not installed, or the address does not answer.
    """
    ray = needed("ray", "cluster", "--ray")
    for name, value in _STARTED_HERE.items():
        os.environ.setdefault(name, value)
    if address and "://" not in address and address != "auto":
        _check_answers(address)
    try:
        ray.init(address=address or None, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"--ray: {address or 'this machine'} cannot be joined: {lines[0]}") from error
    return ray


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"--ray: {address} is no address; give HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--ray: {address} does not answer ({error}); start the head there with `ray start --head`"
        ) from None

"""Joins a Ray cluster, for sweeps and for actors."""

from __future__ import annotations

import os
import socket
from typing import Any

from agent.errors import ConfigError
from joule.extras import needed
from joule.report.amounts import count

ANSWER_SECONDS = 10.0
"""Within which an address must answer."""

_STARTED_HERE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Joule sends nothing anywhere
    "RAY_worker_niceness": "0",  # Ray's own is 15, with which a trial waits for everything else on the machine
}
"""Environment variables of a cluster that is started here."""


_joined = ("", "")
"""The address by which this process has joined a cluster, and that of its head as Ray says it."""


def lines_of(error: Exception) -> list[str]:
    """The lines of an error of Ray, without those that are empty; its type where it says nothing."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


def missing_module(error: Exception) -> str | None:
    """The line of an error of Ray that names a module which a node does not have; None without one."""
    return next((line for line in reversed(lines_of(error)) if "No module named" in line), None)


def connect(address: str) -> Any:
    """Joins a Ray cluster. Returns the module `ray`.

    A process is in one cluster at most. One that it has joined before is used, and is never left.

    Args:
        address: of its head, such as `10.0.0.1:6379`; empty for the cluster of this machine, which is started
            where there is none.

    Raises:
        ConfigError: where Ray is not installed, the address does not answer, or this process is in another cluster.
    """
    global _joined
    ray = needed("ray", "cluster", "--ray")
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address in ("", "auto", here) or _joined == (address, here):  # such as localhost:6379
            return ray
        raise ConfigError(f"--ray: this process is in the cluster {here}, and cannot join {address} as well")
    for name, value in _STARTED_HERE.items():
        os.environ.setdefault(name, value)
    if address and "://" not in address and address != "auto":
        _check_answers(address)
    try:
        ray.init(address=address or None, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"--ray: {address or 'this machine'} cannot be joined: {lines[0]}") from error
    _joined = address, ray.get_runtime_context().gcs_address
    return ray


def check_fits_node(ray: Any, cores: int, gpus: int, of: str) -> None:
    """Refuses what no node of the cluster can hold: Ray would wait for such a node for ever, and say nothing.

    Args:
        ray: the module, connected.
        cores: that one process, or several on one node, keep busy.
        gpus: that they use.
        of: what they are, for the message.

    Raises:
        ConfigError: where no node has as many.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= cores and node.get("GPU", 0) >= gpus for node in nodes):
        return
    most = max((node.get("CPU", 0) for node in nodes), default=0)
    wanted = count(cores, "core") + (f" and {count(gpus, 'GPU')}" if gpus else "")
    lacking = f"the largest has {most:g} cores" if most < cores else "none has them"
    raise ConfigError(f"--ray: {of} needs {wanted} on one node of the cluster, and {lacking}")


def check_fits_cluster(ray: Any, cores: int, of: str) -> None:
    """Refuses what the nodes of the cluster together cannot hold; see `check_fits_node`.

    Raises:
        ConfigError: where they have fewer cores.
    """
    there = sum(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    if there < cores:
        raise ConfigError(
            f"--ray: {of} need {count(cores, 'core')}, and the cluster has {there:g}; ask for fewer, "
            "or add a node first"
        )


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"--ray: {address} is no address; give HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: for what is no name of a host
        raise ConfigError(
            f"--ray: {address} does not answer ({error}); start the head there with `ray start --head`"
        ) from None

"""Where a page is served, and what it is served by: checked before an agent is loaded."""

from __future__ import annotations

import errno
import socket
from contextlib import closing
from typing import Any

from agent.errors import ConfigError
from joule.extras import needed

IN_USE = "--port: {} is in use; give another one, or 0 for any that is free"


def check_library() -> Any:
    """The library viser. Raises ConfigError where it is not installed, with the command that installs it."""
    return needed("viser", "play", "play")


def check_address(host: str, port: int) -> None:
    """Raises ConfigError for an address at which no page can be served, such as a port in use."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: for what is no name of a host
        why = getattr(error, "strerror", "no name of a host")
        raise ConfigError(f"--host: {host!r:.80} is no address of this machine: {why}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(IN_USE.format(port)) from error
        if error.errno == errno.EACCES:
            raise ConfigError(
                f"--port: {port} needs the rights of an administrator; give one from 1024"
            ) from error
        raise ConfigError(f"--host: {host} cannot be served from: {error.strerror}") from error

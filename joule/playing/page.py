"""The page in the browser: a viser server with a stage, a panel and charts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from agent.errors import ConfigError
from joule.playing.address import IN_USE, check_address, check_library
from joule.playing.charts import Charts
from joule.playing.panel import Panel
from joule.playing.player import Player
from joule.playing.simulation import Moment
from joule.playing.stage import Stage

LABEL = "Joule"
BRAND = (37, 99, 235)
CURVES_WIDTH = 300
"""Of the panel of curves, in pixels."""


class Page:
    """A page that shows a simulation and takes what a person asks for. It is a `Display`.

    Args:
        server: the `viser.ViserServer`.
        player: plays the simulation.
        title: what is played, in a line.
        waits: whether nothing moves while no browser shows the page.
    """

    def __init__(self, server: Any, player: Player, title: str, waits: bool = True) -> None:
        self._server, self._player, self._waits = server, player, waits
        simulation = player.simulation
        server.gui.configure_theme(
            control_width="medium", show_logo=False, show_share_button=False, brand_color=BRAND
        )
        self.stage = Stage(server, simulation, player.requests)
        self.panel = Panel(server.gui, player, self.stage, self, title)
        server.gui.main_panel.dock_right()
        curves = server.gui.add_panel()
        curves.dock_left()
        curves.set_width(CURVES_WIDTH)
        with curves.add_tab("Plan"):
            self.charts = Charts(server.gui, plans=simulation.steering is not None)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host = self._server.get_host()
        shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host
        named = f"[{shown}]" if ":" in shown else shown  # an address of version 6
        return f"http://{named}:{self._server.get_port()}"

    def watched(self) -> bool:
        """See `Display`."""
        return not self._waits or bool(self._server.get_clients())

    def closed(self) -> bool:
        """See `Display`: Ctrl-C ends the command."""
        return False

    def show(self, moment: Moment) -> None:
        """See `Display`."""
        self.stage.show(moment)
        self.panel.show(moment)
        self.charts.show(moment, last=self._player.paused or moment.ended)

    def say(self, sentence: str) -> None:
        """See `Display`."""
        for client in self._server.get_clients().values():
            client.add_notification("Not possible", sentence, auto_close_seconds=10.0, color="red")


@contextmanager
def served(player: Player, title: str, host: str, port: int) -> Iterator[Page]:
    """Inside, a page is served.

    Args:
        player: plays what the page shows.
        title: what is played, in a line.
        host: the name or address of this machine at which it is served.
        port: 0 for any that is free.

    Raises:
        ConfigError: where viser is not installed, and for an address that cannot be served from.
    """
    viser = check_library()
    check_address(host, port)
    with _quiet():
        server = viser.ViserServer(host=host, port=port, label=LABEL, verbose=False)
    try:
        if port not in (
            0,
            server.get_port(),
        ):  # somebody took it since the check, and viser took the next one
            raise ConfigError(IN_USE.format(port))
        yield Page(server, player, title)
    finally:
        with _quiet():
            server.stop()


def _quiet() -> redirect_stdout[io.StringIO]:
    """Inside, nothing is printed to stdout: viser prints a table of addresses of its own, and that it stops."""
    return redirect_stdout(io.StringIO())

"""Play with a trained agent in the browser: push its robot, change gravity, a cost or the planner.

python play.py RUN                                   serves a page for this machine, and prints its address
python play.py RUN --port 9000                       at another port; 0 takes any that is free
python play.py RUN --host 0.0.0.0                    for other machines too: everybody who reaches it may play
python play.py RUN --perturb gravity=0.5             begins in a changed environment
python play.py RUN --task less:velocity              begins with another task
python play.py RUN --render human                    in MuJoCo's own viewer, where there is a display

The page works in a browser on another machine than the agent's, and without a display here: forward the port with
`ssh -L 8080:localhost:8080`. It needs the extra `play`: pip install viser. Ctrl-C ends it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule import threads
from joule.arguments import positive, whole
from joule.cli import signals
from joule.cli.options import given_settings
from joule.cli.parser import Parser, number, whole_number
from joule.cli.trained_options import add_changes
from joule.model_file import shown_name
from joule.trained import Request
from joule_errors import Advice
from joule_errors.words import range_text

if TYPE_CHECKING:
    from joule.playing.player import Player

PORT, LARGEST_PORT = 8080, 65_535
SLOWEST, FASTEST = 0.01, 100.0
"""Bounds of the speed."""


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of this command; `arguments` names the planner whose settings the help shows."""
    p = Parser(prog="play.py", description=__doc__, operands="RUN")
    p.add_argument("--host", default="127.0.0.1", metavar="NAME",
                   help="address to serve the page at (default: 127.0.0.1, for this machine alone)")  # fmt: skip
    p.add_argument("--port", type=whole_number, default=PORT, metavar="N",
                   help=f"port of the page; 0 takes any that is free (default: {PORT})")  # fmt: skip
    p.add_argument("--render", choices=("browser", "human"), default="browser",
                   help="a page in the browser, or MuJoCo's own viewer (default: browser)")  # fmt: skip
    p.add_argument("--seed", dest="first_seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help="seed of the first episode; the others follow (default: 10000)")  # fmt: skip
    p.add_argument("--speed", type=number, default=1.0, metavar="X",
                   help="simulated seconds per second (default: 1)")  # fmt: skip
    add_changes(p, arguments)
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser(arguments).parse(arguments)
    threads.set_variables(threads.of_run(options.run))
    port = whole("port", options.port, 0, LARGEST_PORT)
    seed, speed = whole("seed", options.first_seed, 0), positive("speed", options.speed)
    if not SLOWEST <= speed <= FASTEST:
        raise ConfigError(f"--speed: {speed:g} is outside {range_text(SLOWEST, FASTEST)}")
    request = Request(
        options.run,
        given_settings(options),
        learn_task=options.learn_task,
        trust_modules=options.trust_module,
        trust_env_kwargs=options.trust_env_kwargs,
    )
    human = options.render == "human"
    _check(human, options.host, port)

    # The imports of torch and MuJoCo take seconds; they follow once all of the above is checked.
    from joule.playing.player import Player
    from joule.playing.requests import Requests
    from joule.playing.simulation import Simulation
    from joule.training.unseen_place import UnseenPlace

    loaded = request.load()
    env = loaded.make_env()
    try:
        unseen = UnseenPlace(loaded.env_config, "train with")
        simulation = Simulation(loaded.agent, env, seed, unseen)
        for said in simulation.advice:
            warnings.warn(said, Advice, stacklevel=1)
        player = Player(simulation, Requests(), speed)
        if human:
            _in_window(player)
        else:
            assert request.run is not None, "the command has a run folder"
            config = loaded.env_config
            title = f"{request.run.folder.name}: {config.agent} in {shown_name(config)}"
            _in_browser(player, title, options.host, port)
    finally:
        env.close()
    return 0


def _check(human: bool, host: str, port: int) -> None:
    """Raises ConfigError for what cannot be shown, before anything is loaded."""
    if human:
        from joule.playing.window import check_display

        check_display()
        return
    from joule.playing.address import check_address, check_library

    check_library()
    check_address(host, port)


def _in_browser(player: Player, title: str, host: str, port: int) -> None:
    """Plays in a page until a signal ends it."""
    from joule.playing.page import served

    with served(player, title, host, port) as page:
        print(f"{page.address}   (Ctrl-C ends it)", flush=True)
        player.run(page)


def _in_window(player: Player) -> None:
    """Plays in MuJoCo's own viewer until its window is closed."""
    from joule.playing.window import window

    with window(player) as shown:
        player.run(shown)

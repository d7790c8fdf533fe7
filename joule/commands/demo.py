"""See a trained agent at once: it plays an episode, says what it does, and is filmed.

python demo.py                                  the cheetah
python demo.py reach                            another agent that comes with Joule
python demo.py --seconds 20 --out cheetah.mp4   more of it, into a file of your choice

Below each frame of the film are the return, the surprise of the world model and the energy of the plan. The
commands evaluate, render, explain, export and play take these agents too, as in
`joule evaluate joule://halfcheetah`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule import threads
from joule.arguments import positive, whole
from joule.cli import signals
from joule.cli.command_line import command_words, shell_line
from joule.cli.parser import Parser, number, whole_number
from joule.filming.film_file import check_film
from joule.storage import shipped

if TYPE_CHECKING:
    from agent.agent import WorldModelAgent
    from envs.safe_env import SafeEnv
    from joule.report.film import FilmPanel

DEFAULT = "halfcheetah"
SECONDS = 6.0
"""Simulated time that is shown."""
ROWS = 10
"""Lines of what it does."""
SHOWN = ("velocity", "height", "upright", "distance")
"""Readouts that a line may show, at most two of them."""


def parser() -> Parser:
    """The options of this command."""
    p = Parser(prog="demo.py", description=__doc__, operands="[NAME]")
    p.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME",
                   help=f"{', '.join(shipped.names())} (default: {DEFAULT})")  # fmt: skip
    p.add_argument("--seconds", type=number, default=SECONDS, metavar="S",
                   help=f"simulated time that is shown (default: {SECONDS:g})")  # fmt: skip
    p.add_argument("--seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help=f"seed of the episode (default: {FIRST_SEED})")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="FILE", help="the video (default: runs/NAME/videos/demo.mp4)")
    p.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser().parse(arguments)
    name, seed = options.name.removeprefix(shipped.address("")), whole("seed", options.seed, 0)
    seconds = positive("seconds", options.seconds)
    if name not in shipped.names():
        raise ConfigError(
            f"{name!r:.80} is no agent that comes with Joule; there are {', '.join(shipped.names())}"
        )
    if options.out is not None:
        check_film(options.out)
    folder = shipped.SHIPPED / name
    print(_introduction(folder), flush=True)
    threads.set_variables(threads.of_run(folder))
    film = options.out or shipped.outputs_of(folder) / "videos" / "demo.mp4"

    # The imports of torch and MuJoCo take seconds; something is on the screen by now.
    from joule.trained import Request

    loaded = Request(shipped.address(name), {}).load()
    agent = loaded.world_model
    assert agent is not None, "agents that come with Joule have a world model"
    filmed = _film(agent, loaded.make_env, film, seed, seconds)
    print()
    if filmed is None:
        print(f"film:         {film}")
    else:
        print(f"no film:      {filmed}")
    address = shipped.address(name)
    for what, command, words in (
        ("evaluate it", "evaluate", [address]),
        ("one decision", "explain", [address, "--step", "60"]),
        ("with a ghost", "render", [address, "--imagine"]),
        ("train one", "train", ["--env", agent.config.env]),
    ):
        print(f"{what + ':':<14}{shell_line(command_words(command, words))}")
    return 0


def _introduction(folder: Path) -> str:
    """What the agent is, in sentences. It imports neither torch nor NumPy."""
    from joule.storage.json_files import read_object

    values = read_object(folder / "provenance.json")
    last: Mapping[str, Any] = values["evaluations"][-1]
    return (
        f"{values['env']}, after {values['frames']:,} frames of training: return {last['return_mean']:,.1f} "
        f"± {last['return_std']:,.1f} over {last['episodes']} episodes.\n"
        "It predicts with its world model what sequences of actions lead to, and takes the one of least energy.\n"
        "Loading torch and MuJoCo ..."
    )


def _film(
    agent: WorldModelAgent, make_env: Callable[..., SafeEnv], film: Path, seed: int, seconds: float
) -> str | None:
    """Plays and films an episode. Returns why there is no film, or None; it is played in any case."""
    from envs.faults.errors import RenderError
    from joule.filming.recording import record

    try:
        env = make_env(render_mode="rgb_array", width=640, height=480, shadows=False)
    except RenderError as error:
        return _play(agent, make_env(), seed, seconds, str(error))
    try:
        rows = _Rows(agent, env, seconds)
        record(agent, env, film, seed=seed, max_seconds=seconds, on_panel=rows)
        rows.end()
    except RenderError as error:
        return _play(agent, make_env(), seed, seconds, str(error))
    finally:
        env.close()
    return None


def _play(agent: WorldModelAgent, env: SafeEnv, seed: int, seconds: float, reason: str) -> str:
    """Plays an episode without a film. Returns the reason."""
    from joule.report.film import Story

    rows = _Rows(agent, env, seconds)
    story = Story(env.env_spec.env, agent.kind, rows.seconds_per_decision, terms=(), surprise=True)
    obs, _ = env.reset(seed=seed)
    state = None
    for _ in range(max(1, round(seconds / rows.seconds_per_decision))):
        action, state = agent.predict(obs, state)
        obs, reward, terminated, truncated, _ = env.step(action)
        energies = {name: float(term[0]) for name, term in agent.explain(state).items()}
        surprise = float(state.surprise[0])  # not a number before anything was predicted
        rows(story.tell(reward, surprise=None if math.isnan(surprise) else surprise, energies={}), energies)
        if terminated or truncated:
            break
    rows.end()
    env.close()
    return reason


class _Rows:
    """Prints what an agent does, some lines an episode.

    Args:
        agent: the agent.
        env: its environment, for the readouts.
        seconds: simulated time of the episode.
    """

    def __init__(self, agent: WorldModelAgent, env: SafeEnv, seconds: float) -> None:
        self.layout, self.env = agent.modules.layout(), env
        self.seconds_per_decision = env.env_spec.seconds_per_decision or 1.0 / 30.0
        self.every, self.next = seconds / ROWS, 0.0
        self.newest: FilmPanel | None = None
        self.printed = False

    def __call__(self, panel: FilmPanel, energies: Mapping[str, float] | None = None) -> None:
        """Prints a line where one is due."""
        self.newest = panel
        if panel.seconds + 1e-9 < self.next:
            return
        self.next += self.every
        parts = [f"{panel.seconds:5.1f} s", f"return {panel.total_return:8,.1f}", *self._readouts()]
        if panel.surprise is not None:
            parts.append(f"surprise {panel.surprise:4.2f}")
        terms = panel.energies if energies is None else energies
        if terms:
            parts.append("energy " + ", ".join(f"{name} {value:,.1f}" for name, value in terms.items()))
        if not self.printed:
            print()
            self.printed = True
        print("   ".join(parts), flush=True)

    def _readouts(self) -> list[str]:
        """The readouts that say most, as texts."""
        import torch

        values = torch.from_numpy(self.env.readouts())[None]
        found: list[str] = []
        for name in SHOWN:
            value = self.layout.value(name, values)
            if value is not None and value.numel() == 1 and len(found) < 2:
                found.append(f"{name} {float(value):5.2f}")
        return found

    def end(self) -> None:
        """Prints how the episode ended."""
        if self.newest is not None:
            print(
                f"\nreturn {self.newest.total_return:,.1f} in {self.newest.decisions:,} decisions, "
                f"{self.newest.seconds:.1f} s of simulated time"
            )

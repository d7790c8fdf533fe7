"""Makes an agent that comes with Joule from a run: its shared form, in `joule/shipped/<name>`.

    python -m benchmarks.learning.ship RUN halfcheetah
    python -m benchmarks.learning.ship joule://halfcheetah halfcheetah      # measures a shipped agent again

The agent is evaluated as it is shipped, by the present version, and the first decisions of one episode are played;
`provenance.json` has both, so that a test can repeat the episode.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joule
from agent.interface import Agent
from agent.seeds import FIRST_SEED
from joule.cli.main import run_command
from joule.sharing.contents import PROVENANCE
from joule.sharing.pulling import verify
from joule.sharing.shared_form import shared_files, write_files
from joule.storage.files import DISK, replace_file
from joule.storage.loading import restored
from joule.storage.provenance import version
from joule.storage.run_folder import Run
from joule.storage.run_paths import located
from joule.storage.shipped import SHIPPED, address
from joule.trained import Request
from joule_errors import Refused

LARGEST = 3_000_000
"""Bytes of a shipped agent."""
DECISIONS = 40
"""Of the episode that a test repeats."""


def played(agent: Agent, decisions: int = DECISIONS, seed: int = FIRST_SEED) -> float:
    """The return of the first decisions of an episode."""
    env = joule.make_env(agent.config)
    try:
        obs, _ = env.reset(seed=seed)
        state, total = None, 0.0
        for _ in range(decisions):
            action, state = agent.predict(obs, state)
            obs, reward, _, _, _ = env.step(action)
            total += float(reward)
        return total
    finally:
        env.close()


def evaluated(path: Path, episodes: int) -> dict[str, Any]:
    """Return, episodes and version of an evaluation of the agent by this version."""
    found = joule.evaluate(Request(path, {}).load().agent, episodes)
    return {
        "return_mean": found["mean"], "return_std": found["std"], "episodes": episodes, "version": version(),
    }  # fmt: skip


def measured(path: Path, agent: Agent, episodes: int) -> dict[str, Any]:
    """What the provenance says of the agent as it is shipped."""
    return {
        "evaluated_as_shipped": evaluated(path, episodes),
        "episode": {"seed": FIRST_SEED, "decisions": DECISIONS, "return": played(agent)},
    }


def measure_again(name: str, episodes: int) -> None:
    """Evaluates a shipped agent by the present version, which may plan otherwise, and renews its provenance."""
    path = SHIPPED / name / PROVENANCE
    values = json.loads(path.read_text())
    found = measured(Path(address(name)), joule.load(address(name)), episodes)
    replace_file(path, (json.dumps(values | found, indent=2) + "\n").encode())
    print(f"{path}: {found}")


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    parser.add_argument("name", help="of the shipped agent")
    parser.add_argument("--episodes", type=int, default=10, help="of the evaluation (default: 10)")
    parser.add_argument("--licence", default="mit", help="for the model card (default: mit)")
    options = parser.parse_args(arguments)
    folder, chosen = located(options.run)
    if folder == SHIPPED / options.name:
        measure_again(options.name, options.episodes)
        return 0
    run = Run.open(folder)
    agent, saved = restored(run, chosen)
    more = measured(options.run, agent, options.episodes)
    agent.begin_episode()
    files = shared_files(run, agent, saved, licence=options.licence, address=address(options.name), more=more)
    size = sum(map(len, files.values()))
    if size > LARGEST:
        raise Refused(f"{options.name}: would hold {size:,} bytes, at most {LARGEST:,} are shipped")
    target = SHIPPED / options.name
    if target.exists():
        DISK.remove(target)
    write_files(target, files)
    verify(target)
    print(f"{target}: {size:,} bytes, {more['evaluated_as_shipped']}, {more['episode']}")
    return 0


if __name__ == "__main__":
    run_command(main)

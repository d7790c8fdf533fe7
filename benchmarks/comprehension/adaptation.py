"""The world changes under a trained agent: is it noticed, is the return regained, is the old world kept?

python benchmarks/adapt.py --runs runs/cheetah runs/hopper runs/sac-cheetah --ceilings runs/heavy runs/light
python benchmarks/adapt.py --train 50000                      trains all of these itself, into runs/adapt/
python benchmarks/adapt.py --runs runs/cheetah --teach 20000  the ceiling is the same agent, trained on in each changed world
python benchmarks/adapt.py --runs runs/cheetah --quick        one world, one episode: does it work at all

-> benchmarks/results/adapt.csv and adapt.json, docs/pictures/adaptation.png

Runs are trained in the world as it is: joule adapts and, beside it, stays frozen; SAC stays frozen and, beside it,
goes on learning. Ceilings are runs of joule or SAC trained in a changed world, by `train.py --perturb mass.torso=2`,
or the agent itself after so many frames more of training there (`--teach`), from an empty memory: it has what it knew
to begin with, and no old world to keep. What is achievable is the best of them, or the frozen agent where that is
better. A life of an agent that adapts, per changed world:

known     an episode in the world it knows: are there false alarms?
change    an episode in which the world changes after CHANGE decisions: after how many more is it noticed?
changed   episodes in the changed world, lived while adapting
after     held-out episodes there, without learning: what is regained
back      an episode in the changed world that changes back after CHANGE decisions
home      held-out episodes in the world it knew, without learning: what is kept

What is finished is in the CSV and is not done again.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.configurator.validation import replace
from agent.memory.replay_buffer import ReplayBuffer
from benchmarks import tables, training
from benchmarks.comprehension.adapt_summary import COLUMNS, drawn, written
from benchmarks.comprehension.episodes import played
from joule.environment import make_env
from joule.storage.provenance import version

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = ROOT / "docs" / "pictures" / "adaptation.png"
CHANGE = 300
"""Decisions of an episode before its world changes."""
FIRST_SEED = 20_000
TEACH_AFTER = 1_000.0
"""Gradient steps that an agent with an emptied memory forgoes, one a decision: a few rows alone mislead."""
WORLDS: dict[str, tuple[str, ...]] = {
    "HalfCheetah-v5": ("gravity=2", "mass.torso=2", "friction=0.15", "gain.bfoot=0", "latency=1"),
    "Hopper-v5": ("gravity=1.3", "mass.torso=1.5", "friction=0.5", "gain.2=0.5", "latency=1"),
}


def undone(world: str, onset: int) -> str:
    """The change that puts a changed world back."""
    factor = world.partition("=")[0]
    return f"{factor}={0 if factor == 'latency' else 1}@{onset}"


class Life:
    """Rows about one agent and one changed world."""

    def __init__(self, learner: Any, way: str, world: str, options: argparse.Namespace):
        self.learner, self.way, self.world, self.options = learner, way, world, options
        self.rows: list[dict[str, Any]] = []
        self.episode = 0

    def body(self, *perturb: str) -> Any:
        """A body in which these changes hold; the learner's own world is that of its training."""
        return make_env(replace(self.learner.config, {"perturb": perturb}))

    def onset(self, at: int) -> int:
        """Environment steps at which decision `at` has been taken."""
        return int(at * self.learner.env_spec.action_repeat)

    def add(self, phase: str, total: float, decisions: int, **more: Any) -> None:
        config = self.learner.config
        self.rows.append({
            "env": config.env, "world": self.world, "way": self.way, "seed": config.seed,
            "run_frames": self.learner.frames, "phase": phase, "episode": self.episode,
            "return": round(total, 2), "decisions": decisions, "commit": version(), **more,
        })  # fmt: skip
        self.episode += 1
        print(f"{config.env} {self.world:13} {self.way:15} {phase:8} {total:10.1f} {more}", flush=True)

    def held_out(self, phase: str, *perturb: str) -> None:
        """Episodes side by side, without learning."""
        bodies = [self.body(*perturb) for _ in range(self.options.episodes)]
        totals, counts = np.zeros(len(bodies)), np.zeros(len(bodies), int)
        for k, _, reward in played(self.learner.predict, bodies, self.options.decisions):
            totals[k] += reward
            counts[k] += 1
        for total, count in zip(totals, counts, strict=True):
            self.add(phase, float(total), int(count))

    def lived(self, adaptive: Any, phase: str, *perturb: str, changes: bool = False) -> None:
        """One episode of an agent that adapts; `changes` says that its world changes after CHANGE."""
        body = adaptive.observe(self.body(*perturb))
        obs, _ = body.reset(seed=FIRST_SEED + self.episode)
        began, before = adaptive.decisions, len(adaptive.events)
        state, total, over, cpu = None, 0.0, False, time.process_time()
        while not over and adaptive.decisions - began < self.options.decisions:
            action, state = adaptive.predict(obs, state, np.array([state is None]))
            obs, reward, terminated, truncated, _ = body.step(action)
            total, over = total + reward, terminated or truncated
        count = adaptive.decisions - began
        at = [event.decision - began for event in adaptive.events[before:]]
        after = [decision - self.options.change for decision in at if decision > self.options.change]
        false = len(at) if phase == "known" else len(at) - len(after) if phase == "change" else 0
        self.add(
            phase, total, count, changed_at=self.options.change if changes else "",
            noticed_after=after[0] if changes and after else "", false_alarms=false,
            world_in_use=adaptive.world.number,
            cpu_ms=round(1e3 * (time.process_time() - cpu) / count, 1),
        )  # fmt: skip

    def adapts(self) -> None:
        """See the top of this file."""
        adaptive, onset = self.learner.adapt(), self.onset(self.options.change)
        self.lived(adaptive, "known")
        self.lived(adaptive, "change", f"{self.world}@{onset}", changes=True)
        for _ in range(self.options.lived):
            self.lived(adaptive, "changed", self.world)
        self.held_out("after", self.world)
        self.lived(adaptive, "back", self.world, undone(self.world, onset), changes=True)
        self.held_out("home")

    def learns_on(self) -> None:
        """A model-free agent goes on learning in the changed world, as it learned before."""
        ended: list[tuple[float, int]] = []

        def on_step(learner: Any) -> bool:
            if learner.episodes > on_step.episodes:  # type: ignore[attr-defined]
                ended.append((learner.metrics["episode/return"], learner.decisions))
                on_step.episodes = learner.episodes  # type: ignore[attr-defined]
            return len(ended) < self.options.lived + 1

        on_step.episodes, first = self.learner.episodes, self.learner.decisions  # type: ignore[attr-defined]
        # As long as joule has lived there: the episode of the change, and those after it.
        self.learner.learn(10**9, self.body(self.world), on_step)
        for total, decision in ended:
            self.add("changed", total, decision - first)
            first = decision
        self.held_out("after", self.world)
        self.held_out("home")

    def is_taught(self) -> None:
        """An agent with a world model is trained on in the changed world, as it was trained, from an empty memory."""
        learner, body = self.learner, self.body(self.world)
        env_spec = learner.env_spec
        # Of one row: `learn` makes room for what it will live.
        learner.modules.replay_buffer = ReplayBuffer(
            1, env_spec.observation_size, env_spec.action_size, sum(env_spec.readout_sizes.values())
        )
        learner.modules.normalised_rows = 0
        learner.begin_episode()
        learner.interaction.update_credit = -TEACH_AFTER
        learner.learn(self.options.teach, body)
        self.held_out("after", self.world)

    def stays(self) -> None:
        """Without learning, in both worlds."""
        self.held_out("after", self.world)
        self.held_out("home")


def lives(options: argparse.Namespace, done: set[tuple[str, ...]]) -> Iterator[list[dict[str, Any]]]:
    """Rows of one agent in one changed world at a time, without those that are `done`."""
    for folder in options.runs:
        config = joule.load(folder).config
        if config.env not in WORLDS:
            raise SystemExit(
                f"{folder}: no changed worlds are set for {config.env}; there are {', '.join(WORLDS)}"
            )
        ways: dict[str, Callable[[Life], None]] = {"frozen": Life.stays}
        if config.agent == "joule":
            ways["adapts"] = Life.adapts
            if options.teach:
                ways["taught"] = Life.is_taught
        else:
            ways["learns on"] = Life.learns_on
        for world, (way, act) in itertools.product(
            WORLDS[config.env][: 1 if options.quick else None], ways.items()
        ):
            way = f"{config.agent} {way}"
            if (config.env, world, way, str(config.seed)) not in done:
                life = Life(joule.load(folder), way, world, options)
                act(life)
                yield life.rows
    for folder in options.ceilings:
        learner = joule.load(folder)
        config = learner.config
        way = f"{config.agent} ceiling"
        if len(config.perturb) != 1 or config.perturb[0] not in WORLDS.get(config.env, ()):
            raise SystemExit(
                f"{folder}: was trained with {config.perturb or 'no change'}, not in one of the worlds"
            )
        if (config.env, config.perturb[0], way, str(config.seed)) not in done:
            life = Life(learner, way, config.perturb[0], options)
            life.held_out("after", life.world)
            yield life.rows


def own_runs(envs: list[str], steps: int) -> tuple[list[Path], list[Path]]:
    """This benchmark's own runs, in the world as it is and in changed ones, trained or trained on."""
    place = training.ROOT / "runs" / "adapt"

    def run(env: str, kind: str, world: str = "") -> training.Training:
        folder = place / training.slug(env) / training.slug(f"{kind} {world}")
        changed = ("--perturb", world) if world else ()
        new = ("--agent", kind, "--env", env, "--seed", "1", *changed)
        return training.Training(folder, steps, new, always=("--eval-every-frames", str(steps)))

    plain = [run(env, kind) for env in envs for kind in ("joule", "sac")]
    changed = [run(env, "joule", world) for env in envs for world in WORLDS[env]]
    folders = training.all_trained([*plain, *changed])
    return folders[: len(plain)], folders[len(plain) :]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=Path, nargs="+", default=[], help="trained in the world as it is")
    p.add_argument("--ceilings", type=Path, nargs="*", default=[], help="trained in a changed world")
    p.add_argument(
        "--train", type=int, metavar="FRAMES", help="train runs and ceilings, for so many frames each"
    )
    p.add_argument(
        "--teach", type=int, default=0, metavar="FRAMES",
        help="train each joule run on in each changed world for so many frames, as a ceiling",
    )  # fmt: skip
    p.add_argument("--envs", nargs="+", choices=list(WORLDS), default=list(WORLDS), help="of --train")
    p.add_argument("--episodes", type=int, default=5, help="held-out episodes (default: 5)")
    p.add_argument("--lived", type=int, default=5, help="episodes in the changed world (default: 5)")
    p.add_argument("--decisions", type=int, default=1_000, help="of an episode at most (default: 1000)")
    p.add_argument(
        "--change", type=int, default=CHANGE, help=f"decisions before the change (default: {CHANGE})"
    )
    p.add_argument("--quick", action="store_true", help="one world, one held-out and one lived episode")
    p.add_argument("--out", type=Path, default=RESULTS / "adapt.csv")
    p.add_argument("--picture", type=Path, default=PICTURE)
    options = p.parse_args()
    if options.train:
        runs, ceilings = own_runs(options.envs, options.train)
        options.runs, options.ceilings = [*options.runs, *runs], [*options.ceilings, *ceilings]
    if not options.runs:
        p.error("give --runs, or --train")
    if options.quick:
        options.episodes = options.lived = 1
    torch.set_num_threads(1)
    rows = tables.read(options.out)
    done: set[tuple[str, ...]] = {(row["env"], row["world"], row["way"], row["seed"]) for row in rows}
    new = not options.out.exists()
    with options.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        for found in lives(options, done):
            writer.writerows(found)
            file.flush()
    written(tables.read(options.out), options.out.with_suffix(".json"))
    drawn(tables.read(options.out), options.picture)


if __name__ == "__main__":
    main()

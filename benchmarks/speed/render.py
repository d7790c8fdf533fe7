"""Measures how fast the camera of `--obs pixels` is: frames a second on one core, by environment.

    python benchmarks/speed/render.py              # measures; -> benchmarks/results/render.csv and pixels.json
    python benchmarks/speed/render.py --quick      # few frames and no file, to see that it works
    python benchmarks/speed/render.py --summary    # pixels.json and the table, from the rows that are there

A row is the CPU time of a frame of 64 x 64 in one turn: the environment takes a step with random actions, and the camera
then takes the same picture for a while. Environments take turns, so that what else the machine does disturbs all alike. A
figure is 1,000 over the median of an environment's milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

import joule
from benchmarks import pixel_results, raw_rows
from benchmarks.refusals import exit_code
from benchmarks.speed.speed import machine
from benchmarks.speed.stopwatch import take_turns
from benchmarks.training import RESULTS
from envs.rendering.pixels import Camera, PixelSettings

ROWS = RESULTS / "render.csv"
COLUMNS = ("env", "turn", "size", "cpu_ms", "cpu", "mujoco")
ENVS = (
    "joule/Reach-v0", "joule/Push-v0", "joule/Maze-v0", "joule/Cup-v0", "HalfCheetah-v5", "Hopper-v5",
    "dmc:reacher-easy", "dmc:cartpole-swingup", "dmc:walker-walk",
)  # fmt: skip
GOAL = 100.0
"""Frames a second of each of Joule's own robots."""


def measured(envs: Sequence[str], turns: int, turn_seconds: float, size: int = 64) -> list[dict[str, Any]]:
    """The rows of some environments.

    Args:
        envs: ids.
        turns: of each of them.
        turn_seconds: CPU time of a turn.
        size: height and width of a frame in pixels.
    """
    made = {name: joule.make_env(name) for name in envs}
    cameras = {name: Camera(env, name, PixelSettings(size)) for name, env in made.items()}
    rng, cpu, rows = np.random.default_rng(0), machine()["cpu"], []
    for name, env in made.items():
        env.reset(seed=1)
        cameras[name].frame()
    for turn in range(turns):
        for name, env in made.items():
            *_, terminated, truncated, _ = env.step(rng.uniform(-1.0, 1.0, env.env_spec.action_size))
            if terminated or truncated:
                env.reset()
            (ms,) = take_turns({name: cameras[name].frame}, 1, turn_seconds)[name]
            values = (name, turn, size, round(ms, 4), cpu, mujoco.__version__)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    for name, env in made.items():
        cameras[name].close()
        env.close()
    return rows


def frames_per_second(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Environment -> frames per CPU second, of the median frame."""
    by_env: dict[str, list[float]] = {}
    for row in rows:
        by_env.setdefault(row["env"], []).append(float(row["cpu_ms"]))
    return {name: round(1e3 / statistics.median(ms), 1) for name, ms in by_env.items()}


def table(figures: dict[str, float]) -> str:
    """A Markdown table."""
    lines = ["| environment | frames a second | ms a frame |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {fps:,.0f} | {1e3 / fps:.1f} |" for name, fps in figures.items()]
    slow = [name for name, fps in figures.items() if name.startswith("joule/") and fps < GOAL]
    return "\n".join(
        [*lines, "", f"Joule's robots below {GOAL:.0f} frames a second: {', '.join(slow) or 'none'}"]
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, writes the rows and the figures, and prints a table.

    Args:
        arguments: the options; default those of the process.
    """
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--envs", nargs="+", default=ENVS)
    p.add_argument("--turns", type=int, default=15)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--summary", action="store_true")
    options = p.parse_args(arguments)
    if options.quick:
        print(table(frames_per_second(measured(options.envs, 2, 0.01))))
        return 0
    if not options.summary:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        kept = [row for row in raw_rows.read(ROWS) if row["env"] not in options.envs]
        raw_rows.write(ROWS, COLUMNS, [*kept, *measured(options.envs, options.turns, 0.1)])
    figures = frames_per_second(raw_rows.read(ROWS))
    pixel_results.update({"render_fps": figures})
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

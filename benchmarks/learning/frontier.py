"""Return at equal CPU time: Joule's presets, SAC with one to eight updates per decision, TD3, TQC and CrossQ.

    python benchmarks/learning/frontier.py              from the rows: figure, table, benchmarks/results/frontier.json
    python benchmarks/learning/frontier.py --missing    lists the runs that have no rows up to the budget yet
    python benchmarks/learning/frontier.py --run --only td3 sac-4-updates --envs dmc:cheetah-run --seeds 1 2

`--run` trains the missing runs through the train command, one after another in each worker, and draws the figure at the
end. Stopped, it goes on where it was. While a run trains, its evaluations are copied to the results: to benchmarks/results/
for default settings, and to benchmarks/results_frontier/ for others. Rows up to the budget are never made again: where the
settings have changed, move the old rows away first.

Rows record CPU time, but they were made on different processors. So the CPU-minutes of the figure are the CPU time relative
to SAC's, which benchmarks/speed/whole_run.py measures in turns in one process, times the median of the CPU-minutes that
SAC's own rows record.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import markdown_tables
from benchmarks.contenders import BY_NAME, CONTENDERS, DMC, ENVS, GYMNASIUM, RUN_FRAMES, Contender
from benchmarks.learning import sweep
from benchmarks.learning.frontier_curves import CpuTime, Curve, curve_of, mean_of_tasks
from benchmarks.learning.frontier_figure import draw
from benchmarks.refusals import exit_code
from benchmarks.training import RESULTS, ROOT
from joule.report.evaluations import Run, read_evaluations

RESULT = RESULTS / "frontier.json"
PICTURE = ROOT / "docs" / "pictures" / "frontier.png"
PAGE = ROOT / "docs" / "reports" / "results.md"
MARKERS = markdown_tables.markers_of("frontier")
PRESETS = ("default", "strong")
"""The contenders whose figures the JSON file has by name."""
Rows = dict[tuple[str, str], list[Run]]
"""Contender and environment -> its runs."""


def job_of(contender: Contender, env: str, seed: int) -> sweep.Job:
    """The run of a contender in an environment."""
    return sweep.Job(
        contender.suite(env), contender.agent, env, seed, RUN_FRAMES, contender.options(), contender.tree
    )


def missing(contenders: Iterable[Contender], envs: Sequence[str], seeds: Sequence[int]) -> list[sweep.Job]:
    """The runs without rows up to the budget, in the order in which they are to be made."""
    jobs = [job_of(c, env, seed) for seed, c, env in itertools.product(seeds, contenders, envs)]
    return [job for job in jobs if not job.finished()]


def read_rows() -> Rows:
    """The rows of every contender; runs that are not finished only where no other seed is."""
    rows = {}
    for contender, env in itertools.product(CONTENDERS, ENVS):
        folder = job_of(contender, env, 1).result.parent
        runs = [read_evaluations(path) for path in sorted(folder.glob("seed*.csv"))]
        finished = [run for run in runs if run.frames[-1] >= RUN_FRAMES]
        if runs:
            rows[contender.name, env] = finished or runs
    return rows


def curves_of(rows: Rows, cpu: CpuTime) -> dict[str, dict[str, Curve]]:
    """Panel -> contender -> curve. The panels are the mean over the dm_control tasks, and each environment."""
    panels: dict[str, dict[str, Curve]] = {"": {}, **{env: {} for env in ENVS}}
    for (name, env), runs in rows.items():
        panels[env][name] = curve_of(runs, cpu.minutes(name, env))
    for name in BY_NAME:
        if all(name in panels[env] for env in DMC):
            panels[""][name] = mean_of_tasks([panels[env][name] for env in DMC])
    return panels


def last_return(curves: dict[str, Curve], name: str, frames: int = RUN_FRAMES) -> float | None:
    """The mean return at exactly so many frames; None without rows there."""
    curve = curves.get(name)
    at = [] if curve is None else [i for i, n in enumerate(curve.frames) if n == frames]
    return float(curve.mean[at[0]]) if curve is not None and at else None


def summary(panels: dict[str, dict[str, Curve]], rows: Rows, cpu: CpuTime) -> dict[str, Any]:
    """The figures of the presets; None, with a reason, where rows or a measurement are missing."""
    figures: dict[str, float | None] = {}
    reasons = {}

    def put(figure: str, value: float | None, reason: str) -> None:
        figures[figure] = value
        if value is None:
            reasons[figure] = reason

    for name in PRESETS:
        for title, panel, envs, frames in (
            (f"dmc6_{name}", "", DMC, RUN_FRAMES),
            (f"dmc6_{name}_50k", "", DMC, RUN_FRAMES // 2),
            (f"halfcheetah_{name}", GYMNASIUM[0], GYMNASIUM[:1], RUN_FRAMES),
            (f"hopper_{name}", GYMNASIUM[1], GYMNASIUM[1:], RUN_FRAMES),
        ):
            without = [env for env in envs if last_return(panels[env], name, frames) is None]
            reason = f"no row at {frames:,} frames: {', '.join(without)}"
            put(title, last_return(panels[panel], name, frames), reason)
        put(f"cpu_ratio_{name}", cpu.ratio(name, DMC[0]), "not measured; see benchmarks/speed/whole_run.py")
    seeds = {name: {env: len(rows.get((name, env), [])) for env in ENVS} for name in BY_NAME}
    return {
        **{name: None if value is None else round(value, 3) for name, value in figures.items()},
        "seeds": seeds,
        "reasons": reasons,
        "frames": RUN_FRAMES,
        "cpu_ratio_measured": cpu.source(DMC[0]),
    }


def table(panels: dict[str, dict[str, Curve]], rows: Rows, cpu: CpuTime) -> str:
    """The table in Markdown: a line for each contender with a row."""

    def cell(name: str, env: str, frames: int = RUN_FRAMES) -> str:
        value = last_return(panels[env], name, frames)
        seeds = [len(rows.get((name, one), [])) for one in (DMC if env == "" else (env,))]
        return "—" if value is None else f"{value:,.0f} ({min(seeds)})"

    def ratio(name: str, env: str) -> str:
        value = cpu.ratio(name, env)
        return "—" if value is None else f"{value:.2f}"

    lines = [
        [
            contender.label,
            ratio(name, DMC[0]),
            cell(name, "", RUN_FRAMES // 2),
            *(cell(name, env) for env in ("", "dmc:cheetah-run", "dmc:hopper-hop")),
            ratio(name, GYMNASIUM[0]),
            *(cell(name, env) for env in GYMNASIUM),
        ]
        for name, contender in BY_NAME.items()
    ]
    heads = ["agent", "CPU / SAC's, dm_control", "mean of 6 at 50k", "at 100k", "cheetah-run", "hopper-hop"]
    return markdown_tables.markdown([*heads, "CPU / SAC's, Gymnasium", *GYMNASIUM], lines)


def publish(picture: Path = PICTURE, page: Path = PAGE, result: Path = RESULT) -> dict[str, Any]:
    """Writes figure, table and summary from the rows, and returns the summary."""
    rows = read_rows()
    cpu = CpuTime.read(rows)
    panels = curves_of(rows, cpu)
    found = summary(panels, rows, cpu)
    result.write_text(json.dumps(found, indent=1) + "\n")
    markdown_tables.write(page, table(panels, rows, cpu), MARKERS)
    draw(panels, picture)
    return found


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_mutually_exclusive_group()
    what.add_argument("--run", action="store_true", help="train the missing runs first")
    what.add_argument("--missing", action="store_true", help="list the missing runs, and do nothing else")
    p.add_argument("--only", nargs="+", choices=list(BY_NAME), default=list(BY_NAME), metavar="AGENT")
    p.add_argument("--envs", nargs="+", choices=ENVS, default=list(ENVS), metavar="ENV")
    p.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    p.add_argument("--workers", type=int, default=2, help="runs at a time")
    options = p.parse_args()
    failed = False
    if options.run or options.missing:
        jobs = missing([BY_NAME[name] for name in options.only], options.envs, options.seeds)
        if options.missing:
            for job in jobs:
                print(job.result.relative_to(ROOT), *job.settings)
            print(f"{len(jobs)} runs are missing")
            return 0
        failed = bool(sweep.execute(jobs, options.workers))
    print(json.dumps(publish(), indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(exit_code(main))

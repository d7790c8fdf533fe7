"""Measures CPU time: compared with SAC and TD3, with the rate of the core, with another library, and as sizes grow.

    python benchmarks/speed/speed.py                    # tables; the last line is JSON
    python benchmarks/speed/speed.py --write            # the same figures into benchmarks/results/speed.json
    python benchmarks/speed/speed.py --device cuda      # a GPU as well, where there is one

CPU time is that of one thread, in one process, with calls that take short turns. Figures are medians over the turns,
and ratios of medians. docs/reports/speed.md says what each figure means. Sizes and settings are those of the default
configuration.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from benchmarks.refusals import exit_code
from benchmarks.speed import comparison, peer_planner
from benchmarks.speed.agent_calls import REFERENCE_PLAN, settled_agent
from benchmarks.speed.device import DEVICE_PLAN, measure_device
from benchmarks.speed.growth import growth
from benchmarks.speed.stopwatch import FULL, QUICK, slope
from benchmarks.training import RESULTS, ROOT
from joule.storage import provenance

RESULT = RESULTS / "speed.json"
RUN_FRAMES = 100_000
"""Frames of the run over which the cost of a decision is averaged."""


def default_env() -> str:
    """dmc:walker-walk where the extra `dmc` is installed, otherwise HalfCheetah-v5."""
    return "dmc:walker-walk" if importlib.util.find_spec("shimmy") else "HalfCheetah-v5"


def machine() -> dict[str, Any]:
    """The machine, the date, the load and the versions."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": torch.get_num_threads(),
        **provenance.versions(),
    }


def show(title: str, figures: Mapping[str, float]) -> None:
    """Prints a table."""
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:36s}{value:12.4g}", flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--env", help="default: dmc:walker-walk, or HalfCheetah-v5 without the extra dmc")
    p.add_argument("--quick", action="store_true", help="few and short turns, to see that it works")
    p.add_argument("--write", action="store_true", help=f"write the figures to {RESULT.relative_to(ROOT)}")
    p.add_argument("--device", default="cpu", help="a further device to plan and learn on, such as cuda")
    return p


def main(arguments: list[str] | None = None, config: Config | None = None) -> int:
    """Measures a configuration and prints the figures.

    Args:
        arguments: the options; default those of the process.
        config: what is measured; default the default configuration.
    """
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    extent = QUICK if options.quick else FULL
    config = replace(config or Config(steps=RUN_FRAMES), {"env": options.env or default_env()})
    record: dict[str, Any] = {"machine": machine(), "env": config.env, "quick": options.quick}
    print(json.dumps(record))

    baselines = comparison.compare_with_baselines(config, extent)
    show("compared with SAC and TD3, CPU ms on one thread", baselines)
    agent = settled_agent(config)
    core = comparison.compare_with_core(agent, extent)
    show(f"a plan of {REFERENCE_PLAN} compared with the core", core)
    record["headline"] = baselines | core
    record["peer"] = None
    if peer_planner.installed():
        record["peer"] = comparison.compare_with_peer(agent, extent)
        show("compared with stable-worldmodel's planners", record["peer"])
    else:
        print("\nstable-worldmodel is not installed: its planners are not measured")
    record["growth"] = growth(agent, config, extent)
    record["slopes"] = {title: slope(times) for title, times in record["growth"].items()}
    for title, times in record["growth"].items():
        row = "  ".join(f"{size}: {ms:.3g}" for size, ms in times.items())
        print(f"{title:26s}slope {record['slopes'][title]:5.2f}   ms {row}")
    record["device"] = None
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"\n{options.device}: not measured, because torch finds no CUDA GPU here")
    elif options.device != "cpu":
        other = validate(replace(config, {"device": options.device}))
        record["device"] = {"name": options.device, **measure_device(agent, other, extent)}
        figures = {name: value for name, value in record["device"].items() if name != "name"}
        show(f"on {options.device}, {DEVICE_PLAN}, wall ms", figures)
    if options.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
    flat = {"env": config.env, **record["headline"], **(record["peer"] or {})}
    print(json.dumps({name: round(v, 5) if isinstance(v, float) else v for name, v in flat.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

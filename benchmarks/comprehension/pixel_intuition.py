"""Violation of expectation from pictures: agents that see, pairs of seen clips, and how often each detector is right.

`python benchmarks/comprehension/intuition.py --pixels` is the command; docs/reports/violation-of-expectation.md the report.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import joule
from agent.agent import WorldModelAgent
from benchmarks import markdown_tables, pixel_results, raw_rows, training
from benchmarks.comprehension import outputs
from benchmarks.comprehension.detection import auroc, pairwise_accuracy
from benchmarks.comprehension.mixed_episodes import CALIBRATION_SEED, TEST_SEED, loaded
from benchmarks.comprehension.pixel_training import ENVS, trained
from benchmarks.comprehension.seen_matching import (
    gross_seen_pairs,
    matched_seen_pairs,
    ordinary_change,
    raw_change,
)
from benchmarks.comprehension.seen_pairs import LEAD, Floats, SeenPair, seen_episodes
from benchmarks.comprehension.seen_surprise import (
    FrameDifference,
    LatentChange,
    SeenDetector,
    SeenModel,
    score,
    stack_of,
    untrained_networks,
)
from benchmarks.comprehension.violations import GROSS, check_kinds, stage_of
from envs.rendering.pixels import Camera, PixelSettings
from joule.storage.provenance import version
from joule_errors import Refused

RESULT = training.RESULTS / "intuition_pixels.csv"
COLUMNS = (
    "env", "agent_frames", "agent_updates", "detector", "set", "violation", "pairs", "pairwise_accuracy", "low", "high",
    "auroc", "raw_change_real", "raw_change_edited", "seed", "commit",
)  # fmt: skip
MATCHED, UNMATCHED, ALL = "matched", "unmatched", "all"
TRAINED, UNTRAINED = "world model", "untrained world model"
UNTRAINED_SEEDS = 5
"""Untrained networks; their figures are of all of them together."""
BOOTSTRAP = 2_000
"""Resamples of the pairs for the interval of 95 %."""
REAL_DECISIONS = 2_400
"""Decisions of real episodes to test on; half as many calibrate the detectors, and say which raw changes are ordinary."""


def interval(right: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """The bootstrap interval of 95 % of a mean over pairs.

    Args:
        right: [detectors, pairs], from 0 to 1; pairs are drawn, each with all detectors.
        rng: draws them.
    """
    per_pair = right.mean(0)
    drawn = per_pair[rng.integers(len(per_pair), size=(BOOTSTRAP, len(per_pair)))].mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def rows_of(
    name: str, detectors: Sequence[SeenDetector], pairs: Mapping[str, Sequence[SeenPair]], seed: int
) -> list[dict[str, Any]]:
    """The rows of detectors of one name: one for each kind of violation, and one for all.

    Args:
        name: of the detectors.
        detectors: one, or several whose figures are taken together.
        pairs: kind of violation -> its pairs.
        seed: of the intervals.
    """
    kinds = [kind for kind in pairs if pairs[kind]]
    real, edited = (
        {
            kind: np.array([[score(d, getattr(p, side)) for p in pairs[kind]] for d in detectors])
            for kind in kinds
        }
        for side in ("real", "edited")
    )
    rows = []
    for kind in [*kinds, ALL] if kinds else []:
        of = kinds if kind == ALL else [kind]
        sides = [np.concatenate([side[k] for k in of], 1) for side in (real, edited)]
        right = 0.5 * (np.sign(sides[1] - sides[0]) + 1.0)
        low, high = interval(right, np.random.default_rng(seed))
        accuracy = np.mean([pairwise_accuracy(*both) for both in zip(*sides, strict=True)])
        area = np.mean([auroc(*both) for both in zip(*sides, strict=True)])
        clips = [(pair.real, pair.edited) for k in of for pair in pairs[k]]
        changes = [float(np.mean([raw_change(both[side]) for both in clips])) for side in (0, 1)]
        rows.append({
            "detector": name, "violation": kind, "pairs": right.shape[1],
            "pairwise_accuracy": f"{accuracy:.4f}", "low": f"{low:.4f}", "high": f"{high:.4f}", "auroc": f"{area:.4f}",
            "raw_change_real": f"{changes[0]:.3f}", "raw_change_edited": f"{changes[1]:.3f}",
        })  # fmt: skip
    return rows


def seeing(run: Path) -> WorldModelAgent:
    """The agent of a run.

    Raises:
        Refused: for one that does not observe at most `LEAD` pictures of a camera alone, and for one without a
            world model.
    """
    agent = loaded(run)
    if agent.config.obs != "pixels":
        raise Refused(f"{run}: observes {agent.config.obs}; --pixels tests agents with --obs pixels")
    if agent.config.obs_frames > LEAD:
        raise Refused(
            f"{run}: observes {agent.config.obs_frames} pictures at once; --pixels takes at most {LEAD}"
        )
    return agent


def examine(run: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Tests all detectors on pairs in the environment of one run, and returns their rows."""
    agent = seeing(run)
    config = agent.config
    env = joule.make_env(config.env, env_kwargs=config.env_kwargs, action_repeat=config.action_repeat)
    camera = Camera(env, config.env, PixelSettings(config.obs_size, config.obs_camera, config.obs_frames))
    env.reset(seed=CALIBRATION_SEED)
    real = options.real_steps or REAL_DECISIONS
    stage = stage_of(env, seen=True)
    check_kinds(config.env, stage, list(options.violations or ()))
    kinds = options.violations or [kind for kind in GROSS if kind in stage.kinds]
    calibration, test = (
        seen_episodes(env, camera, decisions, seed)
        for seed, decisions in ((CALIBRATION_SEED, real // 2), (TEST_SEED, real))
    )
    largest = ordinary_change(calibration)
    sets = {
        MATCHED: {k: matched_seen_pairs(env, camera, test, k, options.matched_pairs, largest) for k in kinds},
        UNMATCHED: {
            k: gross_seen_pairs(env, camera, test, k, options.matched_pairs // 2, TEST_SEED) for k in kinds
        },
    }
    for name, pairs in sets.items():
        print(
            f"{config.env}: {name}: " + ", ".join(f"{len(found)} {kind}" for kind, found in pairs.items()),
            flush=True,
        )
    clips = [episode.clip for episode in calibration]
    stack, networks = stack_of(agent), agent.modules.networks
    model = SeenModel(networks, stack, clips)
    detectors: dict[str, list[SeenDetector]] = {
        TRAINED: [model],
        UNTRAINED: [
            SeenModel(untrained_networks(agent, seed), stack, clips) for seed in range(UNTRAINED_SEEDS)
        ],
        "latent change": [LatentChange(networks, stack)],
        "frame difference": [FrameDifference()],
    }
    columns = {
        "env": config.env, "agent_frames": agent.frames, "agent_updates": agent.modules.learner.updates,
        "seed": config.seed, "commit": version(),
    }  # fmt: skip
    rows = [
        columns | {"set": name} | row
        for (name, pairs), (detector, several) in itertools.product(sets.items(), detectors.items())
        for row in rows_of(detector, several, pairs, TEST_SEED)
    ]
    if options.videos is not None:
        from benchmarks.comprehension.seen_sheet import sheet

        path = options.videos / f"{config.env.replace('/', '-')}-pixels.png"
        shown = [found[0] for found in sets[MATCHED].values() if found]
        if shown:
            sheet(path, shown, model)
            print(path)
    env.close()
    camera.close()
    return rows


def figures(rows: Sequence[Mapping[str, str]], commands: Mapping[str, str]) -> dict[str, Any]:
    """The figures of pixels.json: shares of matched pairs, as the mean over environments, and by environment.

    Those of an environment are means over its runs, and their pairs together.

    Args:
        rows: of the table.
        commands: environment -> the command that measured it last.
    """
    found: dict[str, Any] = {}
    names = {
        "matched_trained": TRAINED, "matched_untrained": UNTRAINED,
        "matched_frame_difference": "frame difference", "matched_latent_change": "latent change",
    }  # fmt: skip
    for key, detector in names.items():
        of_all = [
            row for row in rows if (row["detector"], row["set"], row["violation"]) == (detector, MATCHED, ALL)
        ]
        by_env = {
            env: _figures_of([row for row in of_all if row["env"] == env])
            for env in dict.fromkeys(row["env"] for row in of_all)
        }
        values = [own["accuracy"] for own in by_env.values()]
        found[key] = round(float(np.mean(values)), 4) if values else None
        found[f"{key}_by_env"] = by_env
    return found | {"matched_command": dict(commands)}


def _figures_of(runs: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The figures of one environment, from a row for each run."""
    columns = {"accuracy": "pairwise_accuracy", "low": "low", "high": "high"}
    means = {key: round(float(np.mean([float(row[c]) for row in runs])), 4) for key, c in columns.items()}
    return means | {"pairs": sum(int(row["pairs"]) for row in runs)}


def tables(rows: Sequence[Mapping[str, str]]) -> str:
    """Markdown: for every environment the matched and unmatched pairs by kind, all runs together."""
    parts = []
    heads = ["kind", "matched pairs", "world model", "untrained", "latent change", "frame difference",
             "unmatched pairs", "world model", "untrained", "frame difference"]  # fmt: skip
    detectors = {MATCHED: (TRAINED, UNTRAINED, "latent change", "frame difference"),
                 UNMATCHED: (TRAINED, UNTRAINED, "frame difference")}  # fmt: skip
    for env in dict.fromkeys(row["env"] for row in rows):
        of_env = [row for row in rows if row["env"] == env]
        own: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
        for row in of_env:
            own.setdefault((row["set"], row["violation"], row["detector"]), []).append(row)
        lines = []
        for kind in dict.fromkeys(kind for _, kind, _ in own if kind != ALL) | {ALL: None}:
            line = [f"`{kind}`" if kind != ALL else ALL]
            for name, shown in detectors.items():
                line.append(str(sum(int(row["pairs"]) for row in own.get((name, kind, TRAINED), ()))))
                line += [_percent(own.get((name, kind, detector), ())) for detector in shown]
            lines.append(line)
        updates = dict.fromkeys(f"{int(row['agent_updates']):,}" for row in of_env)
        caption = f"#### {env} in pictures, {', '.join(updates)} gradient steps"
        parts += [caption, markdown_tables.markdown(heads, lines)]
    return "\n\n".join(parts)


def _percent(runs: Sequence[Mapping[str, str]]) -> str:
    if not runs:
        return ""
    mean, low, high = (100.0 * _figures_of(runs)[name] for name in ("accuracy", "low", "high"))
    return f"{mean:.1f} % ({low:.0f} to {high:.0f})"


def run(options: argparse.Namespace) -> int:
    """Tests the runs that are given, or its own, and writes table and summary.

    Args:
        options: of `intuition.py`.
    """
    path = outputs.table(options, RESULT.name)
    summary = pixel_results.RESULT if path == RESULT else path.with_suffix(".json")
    command = f"python benchmarks/comprehension/intuition.py {shlex.join(sys.argv[1:])}"
    before = pixel_results.read(summary).get("matched_command")
    commands = before if isinstance(before, dict) else {}
    for folder in options.runs or (trained(env, options.steps) for env in options.envs or ENVS):
        rows = examine(folder, options)
        tried = {(row["env"], str(row["seed"])) for row in rows}
        commands |= {env: command for env, _ in tried}
        kept = [row for row in raw_rows.read(path) if (row["env"], row["seed"]) not in tried]
        raw_rows.write(path, COLUMNS, sorted([*kept, *rows], key=lambda row: row["env"]))
        for row in rows:
            if row["violation"] == ALL:
                print("  ".join(str(row[name]) for name in COLUMNS[3:11]), flush=True)
    record = pixel_results.update(figures(raw_rows.read(path), commands), summary)
    print(json.dumps({key: record[key] for key in record if key.startswith("matched")}, indent=1))
    print(path, summary)
    return 0

"""What a benchmark of comprehension tries on a robot: from the command line, from a file, or by default from its model.

The file is JSON: a table for each environment, and `"*"` for every other one.

    {
      "HalfCheetah-v5": {
        "worlds": ["gravity=2", "mass.torso=2"],
        "tasks": {"run backwards": "less:velocity"},
        "constraint": "speed<{speed}",
        "start": "keep:height>0",
        "violations": ["up", "teleport"],
        "sensors": ["dropout=0.3", "dead_sensor.torso_pitch"]
      }
    }

| key | what it holds | used by |
| --- | --- | --- |
| `worlds` | perturbations, one for each changed world | `adaptation.py` |
| `tasks` | name -> costs, as `--task` takes them | `tasks.py` |
| `constraint` | a limit, as `--constraint` takes it; a readout in braces is a bound that depends on the agent | `constraints.py` |
| `start` | the limit that its episodes begin within | `constraints.py` |
| `violations` | kinds of violation | `intuition.py` |
| `sensors` | perturbations of the sensors; `""` is none | `sensors.py` |

A key that is absent means the default, which follows from the model. `benchmarks/comprehension/robots.json` is an
example: the choices of the published results.
"""

from __future__ import annotations

import argparse
import difflib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from joule_errors import Refused

ANY = "*"
"""Key of the table for every environment that has none of its own."""
LARGEST = 1_000_000
"""Bytes of a file at most."""


@dataclass(frozen=True)
class Choices:
    """What is tried on one robot; None is the default, which follows from its model."""

    worlds: tuple[str, ...] | None = None
    tasks: dict[str, str] | None = None
    constraint: str | None = None
    start: str | None = None
    violations: tuple[str, ...] | None = None
    sensors: tuple[str, ...] | None = None


KEYS = tuple(field.name for field in fields(Choices))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--choices FILE` to a benchmark."""
    parser.add_argument(
        "--choices", type=Path, metavar="FILE",
        help="JSON with what is tried on each robot (see benchmarks/comprehension/choices.py; default: by its model)",
    )  # fmt: skip


def choices_for(path: Path | None, env: str) -> Choices:
    """The choices of a file for one environment; all defaults without a file.

    Raises:
        Refused: for a file that cannot be read, and for a key or a value that is none.
    """
    if path is None:
        return Choices()
    tables = _read(path)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise Refused(f"{path}: {name!r} must hold a table, found {type(table).__name__}")
        for key, value in table.items():
            _check(path, name, key, value)
    found: dict[str, Any] = tables.get(env, tables.get(ANY, {}))
    return Choices(
        worlds=_texts(found, "worlds"),
        tasks=found.get("tasks"),
        constraint=found.get("constraint"),
        start=found.get("start"),
        violations=_texts(found, "violations"),
        sensors=_texts(found, "sensors"),
    )


def _texts(table: dict[str, Any], key: str) -> tuple[str, ...] | None:
    return tuple(table[key]) if key in table else None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise Refused(f"{path}: is larger than {LARGEST:,} bytes")
        tables = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(tables, dict):
        raise Refused(f"{path}: must hold a table by environment, found {type(tables).__name__}")
    return tables


def _check(path: Path, env: str, key: str, value: object) -> None:
    """Refused for an unknown key, with the nearest one, and for a value of another type."""
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KEYS)}"
        raise Refused(f"{path}: {env} has an unknown key {key!r}: {hint}")
    if key in ("constraint", "start"):
        right, wanted = isinstance(value, str), "a text"
    elif key == "tasks":
        right = isinstance(value, dict) and bool(value) and all(isinstance(v, str) for v in value.values())
        wanted = "a table of name and costs"
    else:
        right = isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
        wanted = "a list of texts"
    if not right:
        raise Refused(f"{path}: {key} of {env} must be {wanted}, found {value!r:.80}")

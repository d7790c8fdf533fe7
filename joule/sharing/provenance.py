"""Where a shared agent comes from: the command, the versions, the settings, the evaluations, and its files.

`provenance.json` has all of it for a reader, and size and SHA-256 of the other files for `pull`. The sums show
damage; they do not show who made an agent.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shlex
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from joule.sharing.contents import CARD, PROVENANCE, SharingError, check_name, largest
from joule.storage.manifest import DIGEST, MANIFEST
from joule.storage.reader import whole_rows
from joule_schema import json_text
from joule_schema.errors import SchemaError
from joule_schema.model_file import is_model_file
from joule_schema.values import Count, Length, Pattern, checked

FORMAT: Literal[1] = 1
MOST_EVALUATIONS = 200
"""Of the newest ones, in `provenance.json`; `evaluations.csv` has all."""
_WITH_PATH = ("--out", "--init-from", "--resume", "--data")
"""Options of `joule train` whose value is a path of the machine."""
_OF_THE_MACHINE = ("--out", "--ray")
"""Options that mean nothing on another machine."""


class _File(TypedDict):
    size: Count
    sha256: Annotated[str, Pattern("[0-9a-f]{64}", "a SHA-256")]


class _Evaluation(TypedDict):
    frames: Count
    return_mean: float
    return_std: float
    episodes: Count
    version: Annotated[str, Length(0, 100)]


class _Known(TypedDict):
    """What a `pull` reads of `provenance.json`; the rest is for people."""

    format: Literal[1]
    env: Annotated[str, Length(1, 500)]
    frames: Count
    evaluations: Annotated[list[_Evaluation], Length(0, MOST_EVALUATIONS)]
    files: Annotated[dict[str, _File], Length(1, 64)]


def portable_command(line: str) -> str:
    """The command of a run without the paths of the machine it was typed on: `joule train --env ...`.

    Args:
        line: from `command.txt`; empty where there is none.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        return ""
    begins = [
        number for number, word in enumerate(words[:6]) if re.fullmatch(r"(.*[/\\])?train(\.py)?", word)
    ]
    if not begins:
        return ""
    kept: list[str] = []
    rest = deque(words[begins[0] + 1 :])
    while rest:
        flag, equals, value = (word := rest.popleft()).partition("=")
        if flag == "--env" and is_model_file(named := value if equals else rest[0] if rest else ""):
            kept += [flag, os.path.basename(named)]
            if not equals:
                rest.popleft()
            continue
        if flag not in (*_WITH_PATH, *_OF_THE_MACHINE):
            kept.append(word)
            continue
        if not equals and rest and not rest[0].startswith("-"):  # the address of `--ray` may be left out
            value = rest.popleft()
        if flag not in _OF_THE_MACHINE:
            kept += [flag, portable_source(value)]
    return shlex.join(["joule", "train", *kept])


def portable_source(source: str) -> str:
    """A run, or what `--data` names, without the path of the machine that it was on."""
    if source.startswith(("minari:", "joule://")):
        return source
    kind = "swm:" if source.startswith("swm:") else ""
    return kind + os.path.basename(source.removeprefix(kind).rstrip("/"))


def evaluations_until(table: str, frames: int) -> tuple[str, list[dict[str, str]]]:
    """The rows of `evaluations.csv` up to a checkpoint, as a table and by column.

    Args:
        table: its text.
        frames: of the checkpoint.
    """
    lines = whole_rows(table).splitlines()
    kept, rows = lines[:1], []
    for line, row in zip(lines[1:], csv.DictReader(lines), strict=False):
        if (row.get("frames") or "").isdigit() and int(row["frames"]) <= frames:
            kept.append(line)
            rows.append({name: value for name, value in row.items() if isinstance(name, str)})
    return "".join(f"{line}\n" for line in kept), rows


def evaluation_values(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The newest evaluations as JSON values."""
    return [
        {
            "frames": int(row["frames"]),
            "return_mean": float(row["return_mean"]),
            "return_std": float(row["return_std"]),
            "episodes": int(row["episodes"]),
            "version": row.get("version", ""),
        }
        for row in rows[-MOST_EVALUATIONS:]
    ]


def described(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of files by name; not of the model card, which its owner may edit."""
    return {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
        if name not in (CARD, PROVENANCE)
    }


def parsed(source: str, data: bytes) -> dict[str, Any]:
    """The values of a `provenance.json` from anybody.

    Args:
        source: begins the message of an error.
        data: its content.

    Raises:
        SharingError: where it is none, or names a file that no shared form has, is too large, or lies elsewhere.
    """
    try:
        values = json_text.loads(data)
    except ValueError as error:
        raise SharingError(f"{source}: its {PROVENANCE} is not JSON: {error}") from None
    try:
        checked(_Known, {name: values[name] for name in _Known.__annotations__ if name in values}, PROVENANCE)
    except (SchemaError, TypeError) as error:
        raise SharingError(f"{source}: {error}") from None
    for name, entry in values["files"].items():
        check_name(source, name)
        limit = largest(name)
        if limit is None or name in (CARD, PROVENANCE):
            raise SharingError(f"{source}: its {PROVENANCE} names {name!r:.120}, which no shared run has")
        if entry["size"] > limit:
            raise SharingError(
                f"{source}: {name} would hold {entry['size']} bytes, at most {limit} are allowed"
            )
    return dict(values)


def check_file(source: str, name: str, data: bytes, entry: Mapping[str, Any]) -> None:
    """Checks a file against its entry in `provenance.json`. Raises SharingError where it is another."""
    if len(data) != entry["size"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise SharingError(f"{source}: is damaged, {name} is not the file that was shared")


def agent_hash(names: Mapping[str, Any]) -> str:
    """The SHA-256 of the agent: that of its checkpoint's manifest, which has those of the networks.

    Args:
        names: the entry `files` of a `provenance.json`.
    """
    found = [entry["sha256"] for name, entry in names.items() if Path(name).name == MANIFEST]
    return str(found[0]) if len(found) == 1 else ""


def checkpoint_of(source: str, names: Mapping[str, Any]) -> str:
    """The folder of the one checkpoint that a shared form has. Raises SharingError where it has another number."""
    folders = {name.rpartition("/")[0] for name in names if name.endswith((f"/{MANIFEST}", f"/{DIGEST}"))}
    if len(folders) != 1:
        raise SharingError(f"{source}: has {len(folders)} checkpoints, and a shared run has one")
    return folders.pop()

"""The shared form of a run: a run folder that acts, without what only training needs.

It has the settings, one checkpoint with the networks and the running statistics, the evaluations, the curve, a
model card, and its provenance. It has no replay buffer, no optimisers, no logs and no state of an environment,
which would hold paths of the machine. Every command for trained agents reads it as it reads a run; it cannot be
resumed. Weights keep their type (float32), so that it acts as the run does, bit for bit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.configurator.config_json import to_json
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.interface import Agent
from joule.model_file import model_of
from joule.sharing.acting_state import acting_state
from joule.sharing.card import model_card
from joule.sharing.contents import CARD, CURVE_BYTES, PROVENANCE, SharingError
from joule.sharing.provenance import (
    FORMAT,
    described,
    evaluation_values,
    evaluations_until,
    portable_command,
    portable_source,
)
from joule.storage import arrays as array_file
from joule.storage.changes_table import changes_until
from joule.storage.checkpoint import Checkpoint
from joule.storage.env_spec import DATA
from joule.storage.errors import CheckpointError
from joule.storage.files import DISK, why
from joule.storage.json_files import encode_object, read_object
from joule.storage.links import CONFIG, RUN_FILE
from joule.storage.manifest import encode_members
from joule.storage.new_folder import new_folder
from joule.storage.provenance import version
from joule.storage.reader import COMMAND_BYTES, EVALUATIONS_BYTES, read_plain, read_text
from joule.storage.run_entries import CHANGES, CHECKPOINTS, COMMAND, CURVE, VERSIONS
from joule.storage.run_folder import SHARED, Run
from joule.storage.run_logs import EVALUATIONS
from joule.storage.run_replay import no_rows
from joule_errors import JouleError


def shared_files(
    run: Run,
    agent: Agent,
    saved: Checkpoint,
    *,
    repo: str = "",
    licence: str = "",
    address: str = "",
    revision: str = "",
    more: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files of a run's shared form, by their names in it.

    Args:
        run: the run.
        agent: its agent, restored from `saved`.
        saved: the checkpoint that is shared.
        repo: the repository that the model card names; empty for none.
        licence: an identifier such as `mit`; empty where none was chosen.
        address: of an agent that comes with Joule, for its model card.
        revision: the branch of the repository, for the model card; empty for the main one.
        more: further values for `provenance.json`.

    Raises:
        SharingError: for a run whose files cannot be read, or do not fit.
    """
    try:
        files, values = _files(run, agent, saved, more or {})
    except JouleError:
        raise
    except (OSError, ValueError) as error:
        raise SharingError(f"{run.folder}: cannot be shared: {why(error)}") from error
    curve = CURVE in files
    named = {"repo": repo, "licence": licence, "address": address, "revision": revision}
    card = model_card(values, run.env_spec, curve=curve, **named)
    return files | {CARD: card.encode()}


def _files(
    run: Run, agent: Agent, saved: Checkpoint, more: Mapping[str, Any]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files but for the model card, and the values of `provenance.json`."""
    config = _settings(run.config)
    record = read_object(run.folder / RUN_FILE)
    made_with = read_object(run.folder / VERSIONS)
    identifier = run.id if run.shared else _identifier(run.id, saved.step)
    command = portable_command(_text(run.folder / COMMAND, COMMAND_BYTES))
    all_evaluations = _text(run.folder / EVALUATIONS, EVALUATIONS_BYTES)
    table, rows = evaluations_until(all_evaluations, saved.step)
    files = {
        RUN_FILE: encode_object(
            {
                "format": record["format"],
                "id": identifier,
                "created": str(record.get("created", ""))[:40],
                "env_spec": _without_path(run.env_spec),
                SHARED: True,
            }
        ),
        CONFIG: encode_object(to_json(config)),
        VERSIONS: encode_object(made_with),
    }
    if command:
        files[COMMAND] = f"{command}\n".encode(errors="surrogateescape")
    if rows:
        files[EVALUATIONS] = table.encode()
        # The curve of the run goes on after an earlier checkpoint.
    if table == all_evaluations and (curve := _curve(run.folder / CURVE)):
        files[CURVE] = curve
    members, dtype = _checkpoint(agent, saved, identifier)
    files |= {f"{CHECKPOINTS}/step-{saved.step}/{name}": data for name, data in members.items()}
    values = {
        "format": FORMAT,
        "agent": config.agent,
        "env": config.env,
        "task": config.task,
        "frames": agent.frames,
        "decisions": agent.decisions,
        "seed": config.seed,
        "command": command,
        "changes": changes_until(run.folder / CHANGES, saved.step),
        "versions": made_with,
        "shared_by_version": version(),
        "weights": dtype,
        "evaluations": evaluation_values(rows),
        **more,
        "settings": to_json(config),
        "files": described(files),
    }
    files[PROVENANCE] = encode_object(values)
    return files, values


def _settings(config: Config) -> Config:
    """The settings as another machine can use them: without a memory budget, and with a GPU only where it is.

    Of the path of a robot's model file, the name is left.
    """
    changes: dict[str, Any] = {"memory_budget_gb": None}
    if config.device != "cpu":
        changes["device"] = "auto"
    if config.data:
        changes["data"] = portable_source(config.data)
    if robot := model_of(config):
        changes["env_kwargs"] = {**config.env_kwargs, "model": os.path.basename(robot)}
    return replace(config, changes)


def _without_path(env_spec: Mapping[str, Any]) -> dict[str, Any]:
    """The environment's sizes and names, and of recorded data their name without the folders above it."""
    record = env_spec.get(DATA)
    if not isinstance(record, Mapping) or not isinstance(record.get("source"), str):
        return dict(env_spec)
    return {**env_spec, DATA: {**record, "source": portable_source(record["source"])}}


def _identifier(run_id: str, step: int) -> str:
    """The id of a shared form, which follows from that of the run and is another one.

    The list of runs that this user trusts has the ids of runs, and everybody will know this one.
    """
    return hashlib.sha256(f"shared {run_id} {step}".encode()).hexdigest()[:32]


def _checkpoint(agent: Agent, saved: Checkpoint, identifier: str) -> tuple[dict[str, bytes], str]:
    """The files of the checkpoint by name, and the type of its weights."""
    arrays, meta = acting_state(*agent.state_dict())
    kinds = {str(array.dtype) for name, array in arrays.items() if name.endswith((".weight", ".bias"))}
    sections = {
        "agent": meta,
        "env": {},
        "clocks": saved.meta["clocks"],
        "scores": saved.meta["scores"],
        "counters": {},
        "unfinished": {},
    }
    identity = {**saved.identity, "run": identifier}
    try:
        members = encode_members(saved.step, array_file.pack(arrays), sections, identity, no_rows(agent))
    except CheckpointError as error:
        raise SharingError(str(error)) from error
    return members, ", ".join(sorted(kinds)) or "none"


def _text(path: Path, limit: int) -> str:
    """The text of a file of the run; empty where it is missing. Raises OSError."""
    try:
        return read_text(path, limit, errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _curve(path: Path) -> bytes:
    """The picture of the run; empty where it has none. Raises OSError."""
    try:
        return read_plain(path, CURVE_BYTES)
    except FileNotFoundError:
        return b""


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files of a shared form into a new folder. Raises OSError where the disk refuses."""
    for name, data in files.items():
        path = folder / name
        DISK.make(path.parent)
        DISK.write(path, data)


def write_shared(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a shared form into a new folder, which is complete, or absent.

    Raises:
        SharingError: where the disk refuses, or the place is taken.
    """
    try:
        with new_folder(folder, "push") as temporary:
            write_files(temporary, files)
    except OSError as error:
        raise SharingError(f"{folder}: cannot be written: {why(error)}") from error

"""The record and the settings of a run: written when its folder is made, and read whenever it is opened."""

from __future__ import annotations

import datetime
import os
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.configurator.config_json import from_json, to_json
from agent.configurator.settings import Config
from agent.errors import ConfigError
from joule.storage.errors import RunError
from joule.storage.files import replace_file, why
from joule.storage.format import FORMAT, OLDER, format_refusal
from joule.storage.json_files import encode_object, read_object
from joule.storage.links import CONFIG, RUN_FILE
from joule.storage.provenance import versions
from joule.storage.run_entries import COMMAND, VERSIONS, left_before_record
from joule.storage.run_paths import check_free, default_folder
from joule.storage.shipped import instead_of

_OLD_SECTION = "learner"  # a section that config.json had in format 1


def write_run(
    out: Path | None, config: Config, command: Sequence[str], env_spec: Mapping[str, Any]
) -> tuple[Path, dict[str, Any], bool]:
    """Makes the folder of a new run; arguments as for `Run.create`.

    Returns:
        The folder, the record of the run, and whether the folder is new.

    Raises:
        RunError: as `Run.create`.
    """
    folder = Path(out) if out is not None else default_folder(config)
    identifier = uuid.uuid4().hex
    record = {
        "format": FORMAT,
        "id": identifier,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "env_spec": dict(env_spec),
    }
    check_free(folder)
    made: list[Path] = []
    own = False
    try:
        own = folder.exists()
        if not own:
            missing = [folder, *(parent for parent in folder.parents if not parent.exists())]
            folder = _claimed(folder, config if out is None else None)
            own, made = True, [folder, *missing[1:]]
        if command:
            line = f"{shlex.join(command)}\n"
            replace_file(folder / COMMAND, line.encode(errors="surrogateescape"))
        replace_file(folder / CONFIG, encode_object(to_json(config)))
        replace_file(folder / VERSIONS, encode_object(versions()))
        replace_file(folder / RUN_FILE, encode_object(record))  # last: a folder without it is not a run
    except (OSError, TypeError) as error:
        if own:  # what another process has made meanwhile stays
            _clear(folder, made)
        raise RunError(f"{folder}: a run cannot be written there: {why(error)}") from error
    return folder, record, bool(made)


def read_run(folder: Path) -> tuple[dict[str, Any], Config]:
    """The record and the settings of a run, validated. Nobody has been asked yet whether they are trusted.

    Raises:
        RunError: as `Run.open`, but for trust.
    """
    try:
        if not folder.is_dir():
            found = "is not a run folder" if folder.exists() else f"does not exist{instead_of(folder)}"
            raise RunError(f"{folder}: {found}")
        if not os.path.lexists(folder / RUN_FILE) and left_before_record(folder):
            raise RunError(
                f"{folder}: the run was killed before it began, and nothing was trained in it; start it anew"
            )
    except OSError as error:
        raise RunError(f"{folder}: {why(error)}") from error
    record = read_object(folder / RUN_FILE)
    if refusal := format_refusal(record.get("format")):
        raise RunError(f"{folder}: {refusal}")
    identifier = record.get("id")
    if not (isinstance(identifier, str) and re.fullmatch("[0-9a-f]{32}", identifier)):
        raise RunError(f"{folder}: run.json has no run id")
    if not isinstance(record.get("env_spec"), dict):
        raise RunError(f"{folder}: run.json has no env_spec")
    settings = read_object(folder / CONFIG)
    if _OLD_SECTION in settings:
        raise RunError(f"{folder}: {OLDER}")
    try:
        config = from_json(settings, elsewhere=True)
    except ConfigError as error:
        raise RunError(f"{folder / CONFIG}: {error}") from error
    return record, config


def _claimed(folder: Path, config: Config | None) -> Path:
    """Makes a folder; of a config's default folders the next one, where another process was first.

    Raises:
        OSError: where it is there by now, or cannot be made.
    """
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if config is None or not os.path.lexists(folder):  # else it is in the way of a folder above
                raise
            folder = default_folder(config)
        else:
            return folder


def _clear(folder: Path, made: Sequence[Path]) -> None:
    """Removes what a refused `create` wrote, as far as the disk permits."""
    try:
        for name in (COMMAND, CONFIG, VERSIONS, RUN_FILE):
            if os.path.lexists(folder / name):
                (folder / name).unlink()
        for path in filter(os.path.lexists, made):
            path.rmdir()
    except OSError:
        return  # the user needs to read the refusal itself

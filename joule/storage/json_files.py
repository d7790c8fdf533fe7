"""The JSON files of a run folder: indented objects of a bounded size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joule.storage.errors import RunError
from joule.storage.files import replace_file, why
from joule.storage.links import run_nearby
from joule.storage.reader import JSON_BYTES, read_plain
from joule_schema import json_text


def encode_object(value: Mapping[str, Any]) -> bytes:
    """The content of a JSON file.

    Raises:
        TypeError: for a value that JSON does not have.
    """
    return (json.dumps(value, indent=2) + "\n").encode()


def write_object(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a JSON file atomically.

    Raises:
        RunError: for a value that JSON does not have, and when the disk refuses.
    """
    try:
        replace_file(path, encode_object(value))
    except (OSError, TypeError) as error:
        raise RunError(f"{path}: {why(error)}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a run folder, which may come from another person.

    Raises:
        RunError: for a file that is missing, a link, larger than 1 MiB, or not a JSON object of at most
            64 levels.
    """
    try:
        value = json_text.loads(read_plain(path, JSON_BYTES))
    except FileNotFoundError:
        raise RunError(
            f"{path.parent}: is not a run folder, {path.name} is missing{run_nearby(path.parent)}"
        ) from None
    except OSError as error:
        raise RunError(f"{path}: {why(error)}") from error
    except ValueError as error:
        raise RunError(f"{path}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: is not a JSON object")
    return value

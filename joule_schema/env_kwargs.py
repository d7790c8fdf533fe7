"""The keyword arguments that a user may give an environment's constructor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from joule_schema.errors import SchemaError, shown
from joule_schema.json_text import check_depth

RESERVED: dict[str, str] = {
    "id": "name the environment by env",
    "render_mode": "Joule asks for frames where a command makes a film, and never for a window",
    "max_episode_steps": "use max_episode_frames",
    "disable_env_checker": "Joule checks the environment itself",
}
"""What Joule itself gives Gymnasium's `make`, and what to do instead."""


def check_names(kwargs: Mapping[str, Any]) -> None:
    """Checks the names of keyword arguments.

    Raises:
        SchemaError: for one that Joule sets itself.
    """
    for name in kwargs:
        if name in RESERVED:
            raise SchemaError(f"env_kwargs: {name} is set by Joule; {RESERVED[name]}")


def check_env_kwargs(kwargs: Mapping[str, Any]) -> None:
    """Checks the keyword arguments in the settings of a run.

    Raises:
        SchemaError: for one that Joule sets itself, and for a value that JSON cannot hold or that is nested
            too deep.
    """
    check_names(kwargs)
    try:
        check_depth(kwargs)
        json.dumps(kwargs)
    except ValueError as error:
        raise SchemaError(f"env_kwargs: cannot be written as JSON: {error}") from None
    except TypeError:
        raise SchemaError(f"env_kwargs: {shown(str(kwargs))} cannot be written as JSON") from None

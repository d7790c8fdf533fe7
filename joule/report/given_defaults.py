"""Settings whose default depends on the environment: given or left to it, what comes to the same is one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from joule.report.evaluations import Run
from joule_schema.picture_defaults import OF_PICTURES


def without_given_defaults(runs: Sequence[Run]) -> list[Run]:
    """The runs, where such a setting counts as not given if it has the value that the environment would have given.

    That value is known from the runs that leave the setting to the same environment.
    """
    left_open = {
        (_env_of(run), name, value) for run in runs for name, value in _effective(run) if _is_open(run, name)
    }
    found = []
    for run in runs:
        names = [name for name, value in _effective(run) if (_env_of(run), name, value) in left_open]
        found.append(dataclasses.replace(run, settings=run.settings | dict.fromkeys(names)))
    return found


def _env_of(run: Run) -> tuple[str, str]:
    return run.env, repr(run.settings.get("env_kwargs"))


def _is_open(run: Run, name: str) -> bool:
    return name in run.settings and run.settings[name] is None


def _effective(run: Run) -> Iterator[tuple[str, Any]]:
    """The settings of this kind that a run has, each with what it came to."""
    repeat, limit = (run.env_spec.get(name) for name in ("action_repeat", "episode_limit"))
    if not isinstance(repeat, int) or not run.settings:
        return
    yield "action_repeat", repeat
    frames = run.settings.get("max_episode_frames")
    # What is given may cut off frames of the last decision of an episode.
    if isinstance(limit, int) and (frames is None or (isinstance(frames, int) and frames >= repeat * limit)):
        yield "max_episode_frames", (repeat, limit)
    sees = _observes_pictures(run.env_spec)
    for name, default in OF_PICTURES.items():
        value = run.settings.get(name)
        if value is None or isinstance(value, int | float):
            yield name, default[sees] if value is None else value


def _observes_pictures(env_spec: Mapping[str, Any]) -> bool:
    found = env_spec.get("observation")
    parts = [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []
    shapes = [part.get("shape") for part in parts if part.get("dtype") == "uint8"]
    return any(isinstance(shape, list) and len(shape) == 3 for shape in shapes)

"""What meta.json of a checkpoint must hold, beside the state of the agent and of its environment.

Those two have schemas of their own: `agent.state_schema`, `joule.baselines.algorithm_schema` and
`envs.state.snapshot_schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from joule_schema.errors import SchemaError
from joule_schema.values import ANY_FLOAT, Count, Within, check, checked

_Seconds = Annotated[float, Within(0.0, 1e12)]


class _Clocks(TypedDict):
    cpu: _Seconds
    wall: _Seconds


class _Unfinished(TypedDict, total=False):
    since: Count


class Meta(TypedDict):
    """The sections of meta.json; see `agent_checkpoint.write_checkpoint`."""

    agent: dict[str, Any]
    env: dict[str, Any]
    clocks: _Clocks
    scores: dict[str, Annotated[float, ANY_FLOAT]]
    counters: dict[str, Count]
    unfinished: _Unfinished


def check_meta(meta: Mapping[str, Any], step: int) -> None:
    """Checks the sections of meta.json.

    Args:
        meta: its content.
        step: environment frames at which the checkpoint was taken.

    Raises:
        SchemaError: for a section that is missing, not known, of another type, or out of range.
    """
    values = checked(Meta, dict(meta), "meta.json")
    frames = values["agent"].get("frames")
    check(Count, frames, "meta.json.agent.frames")
    if frames != step:
        raise SchemaError(f"meta.json.agent.frames: {frames} is not the checkpoint's step {step}")
    since = values["unfinished"].get("since", 0)
    if since > step:
        raise SchemaError(f"meta.json.unfinished.since: {since} is after the checkpoint's step {step}")


def check_no_options(env: Mapping[str, Any]) -> None:
    """Checks that the episode of an environment began without options.

    A run gives none to a reset. Those of a file would be arguments that nobody trusted, as `env_kwargs` are.

    Args:
        env: the state of an environment or of several, by name.

    Raises:
        SchemaError: for options.
    """
    for name, value in env.items():
        if name.endswith("record/reset") and isinstance(value, dict) and value.get("options"):
            raise SchemaError("env.record.reset.options: a run gives no options to a reset")

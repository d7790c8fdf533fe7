"""What a checkpoint must hold, beside the state of the agent and of its environment.

Those two have schemas of their own: `agent.state_schema`, `joule.baselines.algorithm_schema` and
`envs.state.snapshot_schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from joule_schema.errors import SchemaError
from joule_schema.values import ANY_FLOAT, MOST_METRICS, Count, Length, Name, Within, check, checked

_Seconds = Annotated[float, Within(0.0, 1e12)]


_Text = Annotated[str, Length(0, 500)]


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
    scores: Annotated[dict[Name, Annotated[float, ANY_FLOAT]], Length(0, MOST_METRICS)]
    counters: Annotated[dict[Name, Count], Length(0, MOST_METRICS)]
    unfinished: _Unfinished


class Identity(TypedDict):
    """What a checkpoint belongs to; see `run_folder.Run.identity`."""

    run: _Text
    env: _Text
    agent: _Text
    observation_size: Count
    action_size: Count
    threads: Count
    versions: Annotated[dict[_Text, _Text], Length(0, 100)]


def check_identity(identity: Mapping[str, Any]) -> None:
    """Checks what a manifest says of the run, the libraries and the machine; the differences are shown.

    Raises:
        SchemaError: as `check_meta`.
    """
    checked(Identity, dict(identity), "MANIFEST.json: identity")


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

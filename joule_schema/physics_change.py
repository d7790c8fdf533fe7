"""What two records of a robot's physics say of each other, as `envs.physics_record` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PHYSICS = "physics"
"""The entry of an environment's specification that holds a record."""
RELEASE = "mujoco"
"""The entry with the release of MuJoCo: another one may compute other numbers from the same file."""


def recorded_physics(value: Any) -> dict[str, str]:
    """The record, group -> hash, in a file that may come from another person; empty where it is none."""
    if not isinstance(value, Mapping):
        return {}
    return {group: of for group, of in value.items() if isinstance(group, str) and isinstance(of, str)}


def changed_groups(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The groups that two records of one release of MuJoCo both have, and that differ."""
    if before.get(RELEASE) != now.get(RELEASE):
        return []
    return [group for group in now if group in before and before[group] != now[group]]
